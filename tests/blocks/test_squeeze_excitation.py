"""The squeeze-and-excitation block against PyTorch, the width rules against values worked out by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attn_ref.blocks import WIDTH_RULES, SqueezeExcitation, reduced_width
from attn_ref.ops.activations import get_activation
from attn_ref.ops.squeeze_excitation import squeeze_excitation

N, C, R = 4, 7, 3
GATES = ["sigmoid", "hard_sigmoid"]
ACTIVATIONS = ["relu", "silu", "gelu", "gelu_tanh", "sigmoid", "hard_sigmoid"]


def made(**options: Any) -> SqueezeExcitation:
    return SqueezeExcitation(C, **{"width": R, "rng": np.random.default_rng(3), "dtype": "float64", **options})


def image(space: tuple[int, ...], *, channels_last: bool, seed: int = 1) -> np.ndarray[Any, Any]:
    shape = (N, *space, C) if channels_last else (N, C, *space)
    return np.random.default_rng(seed).standard_normal(shape) * 3


@pytest.mark.parametrize("space", [(5,), (5, 2), (3, 2, 6)], ids=["1d", "2d", "3d"])
@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("gate", [*GATES, "onnx"])
def test_equals_torch(gate: str, activation: str, bias: bool, channels_last: bool, space: tuple[int, ...]) -> None:
    torch = pytest.importorskip("torch")
    from tests.blocks.torch_senet import FUNCTIONS

    onnx = get_activation("hard_sigmoid", slope=0.2, offset=0.5)
    block = made(bias=bias, activation=activation, gate=onnx if gate == "onnx" else gate, channels_last=channels_last)
    x, grad_y = (image(space, channels_last=channels_last, seed=seed) for seed in (1, 2))
    y, backward = block.forward(x)
    grad_x, grads = backward(grad_y)

    t = {name: torch.from_numpy(array.copy()).requires_grad_() for name, array in block.params.items()}
    t_x = torch.from_numpy(x.copy()).requires_grad_()
    moved = t_x.movedim(-1, 1) if channels_last else t_x
    z = moved.mean(dim=tuple(range(2, x.ndim)))
    h = torch.nn.functional.linear(z, t["reduce_weight"], t.get("reduce_bias"))
    u = torch.nn.functional.linear(FUNCTIONS[activation](h), t["expand_weight"], t.get("expand_bias"))
    s = torch.clip(0.2 * u + 0.5, 0, 1) if gate == "onnx" else FUNCTIONS[gate](u)
    t_y = moved * s.reshape(N, C, *(1 for _ in space))
    (t_y.movedim(1, -1) if channels_last else t_y).backward(torch.from_numpy(grad_y))

    t_out = (t_y.movedim(1, -1) if channels_last else t_y).detach().numpy()
    np.testing.assert_allclose(y, t_out, rtol=1e-11, atol=1e-11)
    np.testing.assert_allclose(grad_x, t_x.grad.numpy(), rtol=1e-11, atol=1e-11)
    assert list(grads) == list(block.params)
    for name, grad in grads.items():
        np.testing.assert_allclose(grad, t[name].grad.numpy(), rtol=1e-11, atol=1e-11, err_msg=name)
    assert any(np.abs(grad).max() > 1e-3 for grad in grads.values())


@pytest.mark.parametrize("bias", [False, True])
def test_parameters_have_their_names_and_shapes(bias: bool) -> None:
    expected = {"reduce_weight": (R, C), "expand_weight": (C, R)}
    expected |= {"reduce_bias": (R,), "expand_bias": (C,)} if bias else {}
    assert {name: array.shape for name, array in made(bias=bias).params.items()} == expected


def test_is_the_operation_on_its_parameters() -> None:
    block = made(bias=True)
    x = image((2, 5), channels_last=False)
    p = block.params
    inputs = (p["reduce_weight"], p["expand_weight"], p["reduce_bias"], p["expand_bias"])
    np.testing.assert_array_equal(block.forward(x)[0], squeeze_excitation(x, *inputs))


def test_the_pullback_keeps_the_parameters_it_was_made_with() -> None:
    block = made()
    x, grad_y = (image((2, 5), channels_last=False, seed=seed) for seed in (1, 2))
    _, backward = block.forward(x)
    before = backward(grad_y)
    block.assign({name: array + 1 for name, array in block.params.items()})
    after = backward(grad_y)
    np.testing.assert_array_equal(before[0], after[0])
    for name in before[1]:
        np.testing.assert_array_equal(before[1][name], after[1][name])


def test_training_mode_gives_no_buffers() -> None:
    block = made()
    x = image((2, 5), channels_last=False)
    y, _, buffers = block.forward(x, training=True)
    assert buffers == {}
    np.testing.assert_array_equal(y, block.forward(x)[0])


def test_one_seed_gives_the_same_weights_and_none_gives_fresh_ones() -> None:
    one, two = made(bias=True).params, made(bias=True).params
    for name in one:
        np.testing.assert_array_equal(one[name], two[name])
    fresh, other = (SqueezeExcitation(C, width=R).params["reduce_weight"] for _ in range(2))
    assert not np.array_equal(fresh, other)


def test_weights_start_within_their_bounds() -> None:
    params = SqueezeExcitation(400, width=100, bias=True, rng=np.random.default_rng(1), dtype="float64").params
    for name, bound in {
        "reduce_weight": 1 / 20,
        "reduce_bias": 1 / 20,
        "expand_weight": 0.1,
        "expand_bias": 0.1,
    }.items():
        assert 0.9 * bound < np.abs(params[name]).max() <= bound


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_dtype(dtype: str) -> None:
    block = made(dtype=dtype, bias=True)
    y, backward = block.forward(image((2, 5), channels_last=False).astype(dtype))
    grad_x, grads = backward(np.ones_like(y))
    assert {str(array.dtype) for array in [y, grad_x, *grads.values(), *block.params.values()]} == {dtype}


# ---------------------------------------------------------------------------------------------------------------------
# width rules

BY_HAND = [  # C, r, rule, R
    (64, 16, "floor", 4),
    (72, 16, "floor", 4),
    (256, 16, "floor", 16),
    (5, 16, "at_least_one", 1),
    (72, 4, "at_least_one", 18),
    (24, 16, "round", 2),  # 1.5, to even
    (40, 16, "round", 2),  # 2.5, to even
    (30, 8, "round", 4),  # 3.75
    (16, 4, "make_divisible", 8),  # 4: at least 8
    (64, 4, "make_divisible", 16),  # 16, a multiple
    (72, 4, "make_divisible", 24),  # 18 -> 16, which lost 11 %
    (96, 4, "make_divisible", 24),
    (120, 4, "make_divisible", 32),  # 30 -> 32
    (480, 4, "make_divisible", 120),
    (672, 4, "make_divisible", 168),
    (960, 4, "make_divisible", 240),
    (107, 4, "make_divisible", 24),  # 26 -> 24, which lost 8 %
    (107, 4, "make_divisible_keras", 32),  # 26.75 -> 24, which lost 10.3 %
    (64, 16, "make_divisible_timm", 8),  # 4: at least 8
    (72, 4, "make_divisible_timm", 16),  # 18 -> 16, and no more is asked
    (192, 16, "make_divisible_timm", 16),  # 12: halves up
    (300, 16, "make_divisible_timm", 16),  # 18.75 -> 16
    (320, 16, "make_divisible_timm", 24),  # 20: halves up
    (256, 16, "make_divisible_timm", 16),
]


@pytest.mark.parametrize(("C", "r", "rule", "expected"), BY_HAND)
def test_width_rules_give_what_was_worked_out_by_hand(C: int, r: int, rule: str, expected: int) -> None:
    assert reduced_width(C, r, rule) == expected
    assert SqueezeExcitation(C, r, width_rule=rule).params["reduce_weight"].shape == (expected, C)


def test_every_width_rule_was_worked_out_by_hand() -> None:
    assert {rule for _, _, rule, _ in BY_HAND} == set(WIDTH_RULES)


@given(C=st.integers(1, 4000), r=st.integers(1, 64), rule=st.sampled_from(sorted(WIDTH_RULES)))
def test_width_rules_keep_what_they_promise(C: int, r: int, rule: str) -> None:
    ratio = C / r
    try:
        width = reduced_width(C, r, rule)
    except ValueError:
        assert rule in ("floor", "round")
        assert ratio < 1
        return
    assert isinstance(width, int)
    assert width >= 1
    if rule.startswith("make_divisible"):
        assert width % 8 == 0
        assert width == 8 or abs(width - ratio) < 13
    else:
        assert width == 1 or abs(width - ratio) < 1
    if rule in ("make_divisible", "make_divisible_keras"):
        assert width >= 0.9 * (C // r if rule == "make_divisible" else ratio) * (1 - 1e-12)


@pytest.mark.parametrize(("C", "r", "rule"), [(8, 16, "floor"), (15, 16, "floor"), (8, 16, "round"), (1, 3, "round")])
def test_a_width_below_one_is_refused_with_a_rule_that_would_do(C: int, r: int, rule: str) -> None:
    for build in (lambda: reduced_width(C, r, rule), lambda: SqueezeExcitation(C, r, width_rule=rule)):
        with pytest.raises(
            ValueError, match=rf"channels={C} with reduction={r} .* 0 by width_rule='{rule}'.*width_rule='at_least_one'"
        ):
            build()
    assert reduced_width(C, r, "at_least_one") == 1


# ---------------------------------------------------------------------------------------------------------------------
# bad input


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"channels": 0}, ValueError, "channels"),
        ({"channels": 32.0}, TypeError, "channels"),
        ({"channels": True}, TypeError, "channels"),
        ({"reduction": 0}, ValueError, "reduction"),
        ({"reduction": 1 / 16}, TypeError, "reduction"),
        ({"width_rule": "flor"}, ValueError, "width_rule='flor'.*did you mean 'floor'"),
        ({"width_rule": 8}, TypeError, "width_rule must be a string"),
        ({"width": 0}, ValueError, "width"),
        ({"width": 4, "reduction": 8}, ValueError, "width=4 is given, so that reduction=8"),
        ({"width": 4, "width_rule": "round"}, ValueError, "width=4 is given.*width_rule='round'"),
        ({"bias": 1}, TypeError, "bias"),
        ({"activation": "rleu"}, ValueError, "did you mean 'relu'"),
        ({"activation": "glu"}, ValueError, "glu"),
        ({"gate": "softmax"}, ValueError, "'softmax'.*'hard_sigmoid'"),
        ({"gate": 3}, TypeError, "gate"),
        ({"channels_last": "NHWC"}, TypeError, "channels_last"),
        ({"rng": 7}, TypeError, r"rng.*default_rng\(7\)"),
        ({"dtype": "int32"}, TypeError, "dtype"),
    ],
)
def test_bad_arguments_are_refused(options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        SqueezeExcitation(**{"channels": 32, **options})


@pytest.mark.parametrize(
    ("x", "error"),
    [
        (np.zeros((N, C + 1, 4, 5)), ValueError),
        (np.zeros((N, C, 4, 5), np.float32), TypeError),
        (np.zeros((N, C, 0, 5)), ValueError),
        ([[1.0]], TypeError),
    ],
)
def test_bad_inputs_are_refused(x: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"input|reduce_weight"):
        made().forward(x)


def test_a_cotangent_of_another_shape_is_refused() -> None:
    _, backward = made().forward(image((2, 5), channels_last=False))
    with pytest.raises(ValueError, match="grad_output"):
        backward(np.zeros((N, C, 5, 2)))
