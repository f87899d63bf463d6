"""Rules Q1 to Q5, and T1 and E3 where they speak of squeeze-and-excitation."""

import itertools
import math

import numpy as np
import pytest

import attn_ref
from attn_ref import get_activation

ELEMENTWISE = ["relu", "gelu", "gelu_tanh", "silu", "sigmoid", "hard_sigmoid", "identity"]
NAME = pytest.mark.parametrize("name", ELEMENTWISE)
DTYPES = pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16])
LAYOUT = pytest.mark.parametrize("channels_last", [False, True], ids=["first", "last"])
SPACE = pytest.mark.parametrize("space", [(4,), (4, 3), (2, 4, 3)], ids=["1d", "2d", "3d"])
INPUTS = ("input", "reduce_weight", "expand_weight", "reduce_bias", "expand_bias")
N, C, R = 2, 6, 5


def draw(shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def five(space=(4, 3), seed=0, channels_last=False, batch=N, channels=C):
    """Image, both weights, both biases."""
    image = (batch, *space, channels) if channels_last else (batch, channels, *space)
    shapes = (image, (R, channels), (channels, R), (R,), (channels,))
    return [draw(shape, seed + i) for i, shape in enumerate(shapes)]


def everything(given, u, v, **options):
    """All that the four functions give, by their names."""
    first = attn_ref.squeeze_excitation_backward(u, *given, **options)
    second = attn_ref.squeeze_excitation_double_backward(*v, u, *given, **options)
    return {
        "output": attn_ref.squeeze_excitation(*given, **options),
        "tangent": attn_ref.squeeze_excitation_jvp(*given, *v, **options),
        **{f"grad_{name}": array for name, array in first._asdict().items()},
        **{f"of_{name}": array for name, array in second._asdict().items()},
    }


def literally(X, W1, W2, b1, b2, act, gate):
    """The definition, one sample at a time, in plain Python. X is (N, C, P)."""
    Y = np.zeros(X.shape)
    for n, sample in enumerate(X):
        z = [sum(row) / len(row) for row in sample.tolist()]
        h = [sum(w * value for w, value in zip(row, z, strict=True)) + b for row, b in zip(W1, b1, strict=True)]
        u = [sum(w * act(value) for w, value in zip(row, h, strict=True)) + b for row, b in zip(W2, b2, strict=True)]
        Y[n] = [[x * gate(value) for x in row] for row, value in zip(sample, u, strict=True)]
    return Y


FORMULAS = {
    "relu": lambda x: max(x, 0.0),
    "gelu": lambda x: x / 2 * (1 + math.erf(x / math.sqrt(2))),
    "gelu_tanh": lambda x: x / 2 * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
    "silu": lambda x: x / (1 + math.exp(-x)),
    "sigmoid": lambda x: 1 / (1 + math.exp(-x)),
    "hard_sigmoid": lambda x: min(max(x / 6 + 0.5, 0.0), 1.0),
    "identity": lambda x: x,
}


@LAYOUT
@SPACE
def test_Q1_weights_have_the_shapes_that_the_definition_gives_them(space, channels_last):
    given, v = five(space, channels_last=channels_last), five(space, 9, channels_last)
    u = draw(given[0].shape, 20)
    y = attn_ref.squeeze_excitation(*given, channels_last=channels_last)
    X = np.moveaxis(given[0], -1, 1) if channels_last else given[0]
    Y = literally(X.reshape(N, C, -1), *given[1:], FORMULAS["relu"], FORMULAS["sigmoid"]).reshape(X.shape)
    np.testing.assert_allclose(np.moveaxis(y, -1, 1) if channels_last else y, Y, rtol=1e-13, atol=1e-14)
    found = everything(given, u, v, channels_last=channels_last)
    for name, x in zip(INPUTS, given, strict=True):
        assert found[f"grad_{name}"].shape == found[f"of_{name}"].shape == x.shape
    assert found["tangent"].shape == found["of_grad_output"].shape == given[0].shape


@pytest.mark.parametrize("absent", [(3,), (4,), (3, 4)], ids=["reduce", "expand", "both"])
def test_Q1_biases_are_optional_each_on_its_own(absent):
    given, v = five(), five(seed=9)
    zeros = [np.zeros_like(a) if i in absent else a for i, a in enumerate(given)]
    no_bend = [np.zeros_like(a) if i in absent else a for i, a in enumerate(v)]
    without, without_v = ([None if i in absent else a for i, a in enumerate(arrays)] for arrays in (given, v))
    u = draw(given[0].shape, 20)
    got, want = everything(without, u, without_v), everything(zeros, u, no_bend)
    biases = [("reduce_bias", "expand_bias")[i - 3] for i in absent]
    for name, array in got.items():
        if name.removeprefix("grad_").removeprefix("of_") in biases:
            assert array is None
        else:
            np.testing.assert_array_equal(array, want[name])


@pytest.mark.parametrize(
    ("W1", "W2", "words"),
    [
        ((R, C + 1), (C, R), "reduce_weight"),
        ((C, R), (C, R), "reduce_weight"),
        ((R,), (C, R), "reduce_weight"),
        ((R, C), (R, C), "expand_weight"),
        ((R, C), (C, R + 1), "expand_weight"),
        ((0, C), (C, 0), "R must be at least 1"),
        ((R, C, 1, 1), (C, R), r"reduce_weight\[:, :, 0, 0\]"),
        ((R, C), (C, R, 1, 1), r"expand_weight\[:, :, 0, 0\]"),
    ],
)
def test_Q1_weights_that_do_not_fit_are_refused(W1, W2, words):
    with pytest.raises(ValueError, match=words):
        attn_ref.squeeze_excitation(np.ones((N, C, 4)), np.ones(W1), np.ones(W2))


@pytest.mark.parametrize(("activation", "gate"), [*itertools.product(ELEMENTWISE, ELEMENTWISE)])
def test_Q2_any_elementwise_activation_may_be_either(activation, gate):
    given = five((4,))
    named = attn_ref.squeeze_excitation(*given, activation=activation, gate=gate)
    looked_up = attn_ref.squeeze_excitation(*given, activation=get_activation(activation), gate=get_activation(gate))
    np.testing.assert_array_equal(named, looked_up)
    want = literally(*given, FORMULAS[activation], FORMULAS[gate])
    np.testing.assert_allclose(named, want, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize(("slope", "offset", "corner"), [(1 / 6, 0.5, 3), (0.2, 0.5, 2.5), (0.5, 0.5, 1)])
def test_Q2_hard_sigmoid_is_flat_in_both_corners(slope, offset, corner):
    f = get_activation("hard_sigmoid", slope=slope, offset=offset)
    x, one = np.array([-corner - 1, -corner, 0.25, corner, corner + 1]), np.ones(5)
    np.testing.assert_allclose(f(x), [0, 0, slope / 4 + offset, 1, 1], rtol=1e-15, atol=1e-16)
    assert f.backward(one, x).tolist() == [0, 0, slope, 0, 0]
    assert f.double_backward(one, one, x).x.tolist() == [0] * 5


@pytest.mark.parametrize("corner", [-3.0, 3.0])
def test_Q2_a_gate_in_its_corner_passes_nothing_to_the_weights(corner):
    given = five()
    given[2][...], given[4][...] = 0, corner
    back = attn_ref.squeeze_excitation_backward(draw(given[0].shape, 20), *given, gate="hard_sigmoid")
    assert not any(a.any() for a in back[1:])


@NAME
def test_Q3_values_are_those_of_the_formulas(name):
    x = np.linspace(-6, 6, 97)
    want = [FORMULAS[name](value) for value in x.tolist()]
    np.testing.assert_allclose(get_activation(name)(x), want, rtol=1e-13, atol=1e-15)


def test_Q3_the_slope_of_relu_at_zero_is_zero():
    assert get_activation("relu").backward(np.ones(3), np.array([0.0, -0.0, 5e-324])).tolist() == [0, 0, 1]


LIMITS = {
    **dict.fromkeys(["relu", "gelu", "gelu_tanh", "silu"], ((0, math.inf), (0, 1))),
    **dict.fromkeys(["sigmoid", "hard_sigmoid"], ((0, 1), (0, 0))),
    "identity": ((-math.inf, math.inf), (1, 1)),
}


@NAME
@DTYPES
def test_Q3_limits_at_infinity_and_nothing_overflows_before(name, dtype):
    f, one = get_activation(name), np.ones(2, dtype)
    for far in (np.array([-np.inf, np.inf], dtype), np.array([-1000, 1000], dtype)):
        value = np.where(np.isinf(LIMITS[name][0]), far, LIMITS[name][0])
        np.testing.assert_array_equal(f(far), value)
        np.testing.assert_array_equal(f.backward(one, far), LIMITS[name][1])
        np.testing.assert_array_equal(f.double_backward(one, one, far).x, [0, 0])


@NAME
@DTYPES
def test_Q3_a_nan_shows_in_value_and_derivatives(name, dtype):
    x, one = np.array([np.nan, 1], dtype), np.ones(2, dtype)
    f = get_activation(name)
    for result in (f(x), f.backward(one, x), f.jvp(x, one), *f.double_backward(one, one, x)):
        assert np.isnan(result).tolist() == [True, False]


@LAYOUT
@NAME
def test_Q3_a_nan_pixel_spoils_its_sample_and_no_other(name, channels_last):
    given, v = five((4, 3), 0, channels_last, batch=3), five((4, 3), 9, channels_last, batch=3)
    given[0][1, 0, 0, 0] = np.nan
    found = everything(given, draw(given[0].shape, 20), v, activation=name, channels_last=channels_last)
    for what in ("output", "tangent", "grad_input", "of_grad_output", "of_input"):
        assert np.isnan(found[what][1]).all(), what
        assert np.isfinite(found[what][[0, 2]]).all(), what
    for what in INPUTS[1:]:
        assert np.isnan(found[f"grad_{what}"]).any(), what


def test_Q4_every_name_is_known_and_an_unknown_one_lists_them_all():
    for name in (*ELEMENTWISE, "glu"):
        assert get_activation(name).name == name
    with pytest.raises(ValueError, match="did you mean 'gelu'") as error:
        get_activation("gellu")
    assert all(repr(name) in str(error.value) for name in (*ELEMENTWISE, "glu"))


def test_Q4_glu_halves_its_axis_and_says_so_when_it_is_odd():
    glu, x = get_activation("glu"), draw((3, 4, 6))
    np.testing.assert_allclose(glu(x), x[:, :2] / (1 + np.exp(-x[:, 2:])), rtol=1e-14)
    np.testing.assert_allclose(glu(x, axis=-1), x[..., :3] / (1 + np.exp(-x[..., 3:])), rtol=1e-14)
    with pytest.raises(ValueError, match=r"3 elements along axis 0.*halves.*even"):
        glu(x, axis=0)


@pytest.mark.parametrize("option", ["activation", "gate"])
@pytest.mark.parametrize("value", ["glu", get_activation("glu")], ids=["name", "object"])
def test_Q4_glu_is_refused_inside_squeeze_and_excitation(option, value):
    with pytest.raises(ValueError, match=f"{option} is glu, which halves the features"):
        attn_ref.squeeze_excitation(*five(), **{option: value})


@SPACE
@pytest.mark.parametrize("gate", ["sigmoid", "hard_sigmoid"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_Q5_both_layouts_give_the_same_numbers(space, gate, dtype):
    given, v = five(space), five(space, 9)
    given, v = [a.astype(dtype) for a in given], [a.astype(dtype) for a in v]
    u = draw(given[0].shape, 20).astype(dtype)

    def last(image):
        return np.moveaxis(image, 1, -1)

    first = everything(given, u, v, gate=gate)
    moved = everything([last(given[0]), *given[1:]], last(u), [last(v[0]), *v[1:]], gate=gate, channels_last=True)
    rounding = 1000 * float(np.finfo(dtype).eps)
    for name, want in first.items():
        got = np.moveaxis(moved[name], -1, 1) if want.ndim > 2 else moved[name]
        np.testing.assert_allclose(got, want, rtol=rounding, atol=rounding * np.abs(want).max(), err_msg=name)


@LAYOUT
def test_T1_the_mean_of_90_000_float16_pixels_of_10_is_10(channels_last):
    """Their sum is beyond float16. The identity as gate shows the mean: Y = X ∘ mean."""
    X = np.full((1, 300, 300, 2) if channels_last else (1, 2, 300, 300), 10, np.float16)
    W = np.eye(2, dtype=np.float16)
    options = {"activation": "identity", "gate": "identity", "channels_last": channels_last}
    assert (attn_ref.squeeze_excitation(X, W, W, **options) == 100).all()
    u = np.full(X.shape, 2.0**-10, np.float16)  # Σ dY ∘ X is 879; added up in float16 it would stop at 32
    back = attn_ref.squeeze_excitation_backward(u, X, W, W, **options)
    assert back.expand_weight[0, 0] == np.float16(90_000 * 10 * 2.0**-10 * 10)
    assert np.isfinite(back.input).all()


@LAYOUT
@pytest.mark.parametrize("space", [(0,), (0, 3), (4, 0), (2, 0, 3)], ids=str)
@pytest.mark.parametrize("batch", [0, 2])
def test_E3_squeezing_over_no_pixels_is_refused(space, batch, channels_last):
    given, v = five(space, 0, channels_last, batch), five(space, 9, channels_last, batch)
    options = {"channels_last": channels_last}
    for call in (
        lambda: attn_ref.squeeze_excitation(*given, **options),
        lambda: attn_ref.squeeze_excitation_backward(given[0], *given, **options),
        lambda: attn_ref.squeeze_excitation_jvp(*given, *v, **options),
        lambda: attn_ref.squeeze_excitation_double_backward(*v, given[0], *given, **options),
    ):
        with pytest.raises(ValueError, match="input has no pixels"):
            call()


@LAYOUT
@SPACE
@DTYPES
@pytest.mark.parametrize(("batch", "channels"), [(0, C), (N, 0), (0, 0)])
def test_E3_no_samples_or_no_channels_give_nothing_and_zero_gradients(space, dtype, batch, channels, channels_last):
    given, v = ([a.astype(dtype) for a in five(space, seed, channels_last, batch, channels)] for seed in (0, 9))
    found = everything(given, given[0], v, channels_last=channels_last)
    for name in ("output", "tangent", "grad_input", "of_grad_output", "of_input"):
        assert found[name].shape == given[0].shape
        assert found[name].dtype == dtype
    for name, x in zip(INPUTS[1:], given[1:], strict=True):
        for result in (found[f"grad_{name}"], found[f"of_{name}"]):
            np.testing.assert_array_equal(result, np.zeros_like(x))


@pytest.mark.parametrize("shape", [(0,), (0, 4), (3, 0), (2, 0, 4)], ids=str)
@NAME
def test_E3_activations_of_nothing(name, shape):
    f, x = get_activation(name), np.zeros(shape)
    for result in (f(x), f.backward(x, x), f.jvp(x, x), *f.double_backward(x, x, x)):
        assert result.shape == shape
