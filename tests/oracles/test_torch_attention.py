"""Against PyTorch 2.13 on the CPU: activations and squeeze-and-excitation in float64, to the second order.

Two right answers in float64 differ by roundings of the terms that they add up: 1e-11 of the largest result is thousands
of them. Where torch itself differs, its value is asserted beside ours.

torch's hard-sigmoid has no second derivative, and its first is 1/6 rounded to float32: clamp(x/6 + ½, 0, 1) stands in.
"""

import itertools
import math

import numpy as np
import pytest

import attn_ref
from attn_ref import get_activation

torch = pytest.importorskip("torch")
torch.set_num_threads(1)
F = torch.nn.functional

TORCH = {
    "relu": torch.relu,
    "gelu": F.gelu,
    "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "silu": F.silu,
    "sigmoid": torch.sigmoid,
    "hard_sigmoid": lambda x: torch.clamp(x / 6 + 0.5, 0, 1),
    "identity": lambda x: x * 1,
}
NAME = pytest.mark.parametrize("name", TORCH)


def by_torch(function, u, v, inputs):
    """Output, cotangents of the inputs, and cotangents of (u, inputs) given v of those cotangents."""
    u = torch.from_numpy(u.copy()).requires_grad_()
    leaves = [None if x is None else torch.from_numpy(x.copy()).requires_grad_() for x in inputs]
    present = [x for x in leaves if x is not None]
    output = function(*leaves)
    first = torch.autograd.grad(output, present, u, create_graph=True)
    seeds = [torch.from_numpy(d.copy()) for d in v if d is not None]
    scalar = sum((d * g).sum() for d, g in zip(seeds, first, strict=True))
    second = torch.autograd.grad(scalar, [u, *present], allow_unused=True)
    second = [torch.zeros_like(of) if g is None else g for g, of in zip(second, [u, *present], strict=True)]
    return [result.detach().numpy() for result in (output, *first, *second)]


def assert_agree(ours, theirs):
    ours = [a for a in ours if a is not None]
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-11 * max(1.0, np.abs(b).max(initial=0)))


@NAME
@pytest.mark.parametrize("shape", [(), (7,), (2, 3), (2, 3, 4, 5)], ids=str)
def test_activations_agree_to_the_second_order(name, shape):
    rng = np.random.default_rng(len(shape))
    x, u, v = 4 * rng.standard_normal(shape), rng.standard_normal(shape), rng.standard_normal(shape)
    x, u, v = np.asarray(x), np.asarray(u), np.asarray(v)
    f = get_activation(name)
    assert_agree([f(x), f.backward(u, x), *f.double_backward(v, u, x)], by_torch(TORCH[name], u, [v], [x]))


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_glu_agrees_to_the_second_order(axis):
    rng = np.random.default_rng(0)
    x, v = rng.standard_normal((2, 2, 6, 4))
    glu = get_activation("glu")
    u = rng.standard_normal(glu(x, axis=axis).shape)
    ours = [glu(x, axis=axis), glu.backward(u, x, axis=axis), *glu.double_backward(v, u, x, axis=axis)]
    assert_agree(ours, by_torch(lambda x: F.glu(x, dim=axis), u, [v], [x]))


def block(activation, gate, channels_last):
    """Squeeze-and-excitation in torch."""

    def forward(x, W1, W2, b1, b2):
        pixels = tuple(range(1, x.ndim - 1)) if channels_last else tuple(range(2, x.ndim))
        s = TORCH[gate](F.linear(TORCH[activation](F.linear(x.mean(pixels), W1, b1)), W2, b2))
        shape = (len(x), *[1] * len(pixels), -1) if channels_last else (len(x), -1, *[1] * len(pixels))
        return x * s.reshape(shape)

    return forward


@pytest.mark.parametrize(("activation", "gate"), [*itertools.product(TORCH, TORCH)])
def test_squeeze_and_excitation_agrees_to_the_second_order(activation, gate):
    """With no bias, either, and both; 1-D, 2-D and 3-D pixels; both layouts."""
    N, C, R = 2, 5, 3
    for k, (space, channels_last, with_b1, with_b2) in enumerate(
        itertools.product([(4,), (4, 6), (1, 4, 6)], [False, True], [False, True], [False, True])
    ):
        rng = np.random.default_rng(k)
        shape = (N, *space, C) if channels_last else (N, C, *space)
        shapes = [shape, (R, C), (C, R), (R,) if with_b1 else None, (C,) if with_b2 else None]
        inputs, v = ([None if s is None else rng.standard_normal(s) for s in shapes] for _ in range(2))
        u = rng.standard_normal(shape)
        options = {"activation": activation, "gate": gate, "channels_last": channels_last}
        theirs = by_torch(block(activation, gate, channels_last), u, v, inputs)
        ours = [
            attn_ref.squeeze_excitation(*inputs, **options),
            *attn_ref.squeeze_excitation_backward(u, *inputs, **options),
            *attn_ref.squeeze_excitation_double_backward(*v, u, *inputs, **options),
        ]
        assert_agree(ours, theirs)
        # the cotangent of u is the jvp along v
        present = sum(x is not None for x in inputs)
        assert_agree([attn_ref.squeeze_excitation_jvp(*inputs, *v, **options)], [theirs[1 + present]])


# ---------------------------------------------------------------------------------------------------------------------
# Where torch deviates: its value, ours, and why ours is right


def value_and_slope(function, x):
    x = torch.tensor([x], dtype=torch.float64, requires_grad=True)
    y = function(x)
    (slope,) = torch.autograd.grad(y, x, torch.ones_like(y))
    return y.item(), slope.item()


def ours(name, x):
    f, x = get_activation(name), np.array([x])
    return f(x).item(), f.backward(np.ones(1), x).item()


def test_torchs_hard_sigmoid_has_a_slope_of_one_sixth_in_float32():
    """Q2: also in float64, so it is 5e-9 too large, 3e-8 of it."""
    _, slope = value_and_slope(F.hardsigmoid, 0.5)
    assert slope == float(np.float32(1 / 6)) == 0.1666666716337204
    assert ours("hard_sigmoid", 0.5)[1] == 1 / 6


def test_torchs_hard_sigmoid_has_no_second_derivative():
    """Q2: it is 0."""
    x = torch.tensor([0.5], dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(F.hardsigmoid(x), x, torch.ones(1, dtype=torch.float64), create_graph=True)
    with pytest.raises(RuntimeError, match="hardsigmoid_backward is not implemented"):
        torch.autograd.grad(slope, x)
    one = np.ones(1)
    assert get_activation("hard_sigmoid").double_backward(one, one, np.array([0.5])).x.tolist() == [0.0]


def test_the_corners_of_torchs_own_hard_sigmoid_are_flat_and_those_of_its_clamp_are_not():
    """Q2: the derivative at the two corners is 0."""
    for corner in (-3.0, 3.0):
        assert ours("hard_sigmoid", corner)[1] == value_and_slope(F.hardsigmoid, corner)[1] == 0
        assert value_and_slope(TORCH["hard_sigmoid"], corner)[1] == pytest.approx(1 / 6)


@pytest.mark.parametrize(("name", "function", "torchs"), [("relu", F.relu, 1.0), ("hard_sigmoid", F.hardsigmoid, 0.0)])
def test_the_slope_at_a_nan_is_a_number_in_torch_and_nan_here(name, function, torchs):
    """Q3: the fault shows in the value of both, and in the derivative of ours."""
    value, slope = value_and_slope(function, math.nan)
    assert math.isnan(value)
    assert slope == torchs
    assert all(math.isnan(a) for a in ours(name, math.nan))


@pytest.mark.parametrize("name", ["gelu", "gelu_tanh", "silu"])
def test_infinities_are_nan_in_torch_and_limits_here(name):
    """Q3: torch multiplies infinity by 0."""
    assert all(math.isnan(a) for a in value_and_slope(TORCH[name], -math.inf))
    assert ours(name, -math.inf) == (0.0, 0.0)
    value, slope = value_and_slope(TORCH[name], math.inf)
    assert value == math.inf
    assert math.isnan(slope)
    assert ours(name, math.inf) == (math.inf, 1.0)


def test_torchs_gelu_is_zero_where_it_is_tiny():
    """Q3: −10 Φ(−10), by 1 + erf there and by erfc here."""
    assert value_and_slope(F.gelu, -10.0)[0] == 0.0
    assert ours("gelu", -10.0)[0] == pytest.approx(-7.61985302416052607e-23, rel=1e-13)
