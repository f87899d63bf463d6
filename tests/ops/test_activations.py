"""Activations: values known on paper, limits, kinks, agreement of the four functions, and mistakes."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import attn_ref
from attn_ref import exact, get_activation
from attn_ref.backend import BACKENDS
from attn_ref.exact.activations import scalar_activation
from attn_ref.exact.precise import to_precise
from attn_ref.ops.activations import ACTIVATIONS, Activation

ELEMENTWISE = [name for name, entry in ACTIVATIONS.items() if isinstance(entry, Activation)]
NAME = pytest.mark.parametrize("name", ELEMENTWISE)
DTYPE = pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16])
EPS = float(np.finfo(np.float64).eps)
FLOATS = st.floats(-40, 40).map(lambda v: v if abs(v) > 1e-100 else 0.0)
POINTS = hnp.arrays(np.float64, hnp.array_shapes(max_dims=3, max_side=4), elements=FLOATS)


def derivatives(name, x):
    """f, f′ and f″."""
    f, x = get_activation(name), np.asarray(x, np.float64)
    one = np.ones_like(x)
    return f(x), f.backward(one, x), f.double_backward(one, one, x).x


@pytest.mark.parametrize(
    ("name", "x", "value", "slope", "bend"),
    [
        ("relu", [-2, 0, 3], [0, 0, 3], [0, 0, 1], [0, 0, 0]),
        ("identity", [-2, 0, 3], [-2, 0, 3], [1, 1, 1], [0, 0, 0]),
        ("hard_sigmoid", [-4, -3, -1.5, 0, 3, 4], [0, 0, 0.25, 0.5, 1, 1], [0, 0, 1 / 6, 1 / 6, 0, 0], [0] * 6),
        # e^x = 3 at ln 3: σ = 3/4, σ′ = 3/16, σ″ = 3/16 · (1/4 − 3/4)
        ("sigmoid", [0, math.log(3)], [0.5, 0.75], [0.25, 3 / 16], [0, -3 / 32]),
        ("silu", [0, math.log(3)], [0, 0.75 * math.log(3)], [0.5, 0.75 + math.log(3) * 3 / 16],
         [0.5, 2 * 3 / 16 - math.log(3) * 3 / 32]),
        ("gelu", [0, 1], [0, 0.8413447460685429], [0.5, 0.8413447460685429 + 0.24197072451914337],
         [2 / math.sqrt(2 * math.pi), 0.24197072451914337]),
        ("gelu_tanh", [0, 1], [0, 0.8411919906082768], [0.5, 1.0829640838457826],
         [2 / math.sqrt(2 * math.pi), 0.2421482]),
    ],
)  # fmt: skip
def test_values_worked_out_on_paper(name, x, value, slope, bend):
    for got, want in zip(derivatives(name, x), (value, slope, bend), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-8 if name == "gelu_tanh" else 4 * EPS, atol=EPS / 4)


@NAME
@given(x=POINTS)
def test_values_and_derivatives_are_those_of_fifty_digits(name, x):
    """Relative to the largest term of each sum: x · G′ g′ is what cancels against G."""
    magnitude = 1 + np.abs(x)
    dy, v = np.cos(np.arange(x.size)).reshape(x.shape) + 2, np.sin(np.arange(x.size)).reshape(x.shape) + 2
    f = get_activation(name)
    pairs = [
        (f(x), exact.activation(x, name=name), magnitude),
        (f.backward(dy, x), exact.activation_backward(dy, x, name=name), magnitude * dy),
        (f.jvp(x, v), exact.activation_jvp(x, v, name=name), magnitude * v),
        *zip(
            f.double_backward(v, dy, x),
            exact.activation_double_backward(v, dy, x, name=name),
            (magnitude * v, magnitude * v * dy),
            strict=True,
        ),
    ]
    for got, want, scale in pairs:
        assert (np.abs(got - exact.to_float(want)) <= 32 * EPS * scale).all()


@pytest.mark.parametrize("name", ["gelu", "gelu_tanh", "silu", "sigmoid"])
def test_digits_are_kept_far_out_where_values_are_tiny(name):
    """An exponential of v is wrong by |v| roundings, and v is at most some hundreds where the value is no subnormal."""
    x = -np.arange(3.0, 20.0)
    twin = scalar_activation(name)
    for got, f in zip(derivatives(name, x), twin, strict=True):
        want = exact.to_float(np.array([f(v) for v in to_precise(x)]))
        ordinary = np.abs(want) > 1e-290
        assert ordinary.sum() > 8
        np.testing.assert_allclose(got[ordinary], want[ordinary], rtol=2000 * EPS)


@NAME
@DTYPE
def test_a_nan_shows_in_value_and_derivatives_and_stays_where_it_is(name, dtype):
    x = np.array([0.5, np.nan, -0.5], dtype)
    f, one = get_activation(name), np.ones(3, dtype)
    for result in (f(x), f.backward(one, x), f.jvp(x, one), *f.double_backward(one, one, x)):
        assert np.isnan(result).tolist() == [False, True, False]


LIMITS = {  # at −∞, at +∞: of f, f′, f″
    "relu": ((0, math.inf), (0, 1), (0, 0)),
    "gelu": ((0, math.inf), (0, 1), (0, 0)),
    "gelu_tanh": ((0, math.inf), (0, 1), (0, 0)),
    "silu": ((0, math.inf), (0, 1), (0, 0)),
    "sigmoid": ((0, 1), (0, 0), (0, 0)),
    "hard_sigmoid": ((0, 1), (0, 0), (0, 0)),
    "identity": ((-math.inf, math.inf), (1, 1), (0, 0)),
}


@NAME
@DTYPE
def test_infinities_have_their_limits(name, dtype):
    x, one = np.array([-np.inf, np.inf], dtype), np.ones(2, dtype)
    f = get_activation(name)
    for got, want in zip((f(x), f.backward(one, x), f.double_backward(one, one, x).x), LIMITS[name], strict=True):
        np.testing.assert_array_equal(got, want)


@NAME
@DTYPE
def test_far_out_is_as_at_infinity_and_nothing_overflows(name, dtype):
    x, one = np.array([-1000, 1000], dtype), np.ones(2, dtype)
    f = get_activation(name)
    value, *slopes = LIMITS[name]
    for got, want in zip((f.backward(one, x), f.double_backward(one, one, x).x), slopes, strict=True):
        np.testing.assert_array_equal(got, want)
    np.testing.assert_array_equal(f(x), np.where(np.isinf(value), x, value))


@pytest.mark.parametrize("slope", [1 / 6, 0.2, 0.5, 0.3])
@pytest.mark.parametrize("offset", [0.5, 0.1])
def test_hard_sigmoid_is_flat_at_and_beyond_both_corners(slope, offset):
    f = get_activation("hard_sigmoid", slope=slope, offset=offset)
    low, high = f.kinks
    x = np.array([low - 1, low, (low + high) / 2, high, high + 1, -np.inf, np.inf])
    assert f.backward(np.full(7, 2.0), x).tolist() == [0, 0, 2 * slope, 0, 0, 0, 0]
    np.testing.assert_allclose(f(x), [0, 0, 0.5, 1, 1, 0, 1], atol=2 * EPS)
    assert f(x)[[0, 4, 5, 6]].tolist() == [0, 1, 0, 1]  # exactly, beyond them


def test_hard_sigmoid_of_onnx_has_its_corners_at_two_and_a_half():
    assert get_activation("hard_sigmoid", slope=0.2).kinks == (-2.5, 2.5)
    assert get_activation("hard_sigmoid").kinks == (-3.0, 3.0)


def test_relu_of_a_negative_zero_has_slope_zero():
    assert get_activation("relu").backward(np.ones(2), np.array([-0.0, 0.0])).tolist() == [0, 0]


@NAME
@given(x=POINTS, seed=st.integers(0, 99))
def test_jvp_and_backward_are_one_map(name, x, seed):
    v = np.random.default_rng(seed).standard_normal(x.shape)
    f = get_activation(name)
    np.testing.assert_array_equal(f.jvp(x, v), f.backward(v, x))
    np.testing.assert_array_equal(f.double_backward(v, 2 * v, x).grad_output, f.jvp(x, v))


@pytest.mark.parametrize("name", [*ELEMENTWISE, "glu"])
@DTYPE
def test_the_result_has_the_dtype_and_a_memory_of_its_own(name, dtype):
    x = np.linspace(-4, 4, 12).astype(dtype).reshape(3, 4)
    y = get_activation(name)(x)
    assert y.dtype == dtype
    assert not np.shares_memory(x, y)


@NAME
def test_arrays_without_axes_are_numbers(name):
    x, v = np.array(0.75), np.array(2.0)
    f, (value, slope, bend) = get_activation(name), derivatives(name, [0.75])
    double = f.double_backward(v, v, x)
    got = (f(x), f.backward(v, x), f.jvp(x, v), *double)
    for array, want in zip(got, (value, 2 * slope, 2 * slope, 2 * slope, 4 * bend), strict=True):
        assert type(array) is np.ndarray
        assert array.shape == ()
        assert array == pytest.approx(want.item(), rel=4 * EPS)


# ---------------------------------------------------------------------------------------------------------------------
# The gated linear unit


def test_glu_by_hand():
    """a = (1, −2), b = (0, ln 3): σ(b) = (1/2, 3/4), σ′(b) = (1/4, 3/16)."""
    glu, x = get_activation("glu"), np.array([[1.0, -2.0, 0.0, math.log(3)]])
    np.testing.assert_allclose(glu(x), [[0.5, -1.5]], rtol=4 * EPS)
    np.testing.assert_allclose(glu.backward(np.array([[2.0, 1.0]]), x), [[1.0, 0.75, 0.5, -2 * 3 / 16]], rtol=4 * EPS)
    np.testing.assert_allclose(glu.jvp(x, np.array([[1.0, 0.0, 0.0, 1.0]])), [[0.5, -2 * 3 / 16]], rtol=4 * EPS)


@pytest.mark.parametrize("axis", [0, 1, 2, -1, -2, -3])
def test_glu_halves_the_axis_it_is_given(axis):
    glu, x = get_activation("glu"), np.random.default_rng(0).standard_normal((4, 6, 2))
    moved = np.moveaxis(x, axis, -1)
    half = moved.shape[-1] // 2
    want = moved[..., :half] * get_activation("sigmoid")(np.ascontiguousarray(moved[..., half:]))
    np.testing.assert_allclose(np.moveaxis(glu(x, axis=axis), axis, -1), want, rtol=4 * EPS)


@given(seed=st.integers(0, 2**16), axis=st.sampled_from([0, 1, -1]))
def test_glu_adjoint_and_symmetry(seed, axis):
    draw = np.random.default_rng(seed).standard_normal
    glu, (x, v, w) = get_activation("glu"), (draw((2, 4, 6)) for _ in range(3))
    u = draw(glu(x, axis=axis).shape)
    assert (glu.jvp(x, v, axis=axis) * u).sum() == pytest.approx((v * glu.backward(u, x, axis=axis)).sum(), abs=1e-12)
    along_v, along_w = glu.double_backward(v, u, x, axis=axis), glu.double_backward(w, u, x, axis=axis)
    assert (w * along_v.x).sum() == pytest.approx((v * along_w.x).sum(), abs=1e-12)
    np.testing.assert_array_equal(along_v.grad_output, glu.jvp(x, v, axis=axis))


def test_glu_of_nothing_is_nothing():
    assert get_activation("glu")(np.zeros((0, 4))).shape == (0, 2)
    assert get_activation("glu")(np.zeros((3, 0))).shape == (3, 0)


def test_survey_activation_lookup_of_detr():
    """DETR's _get_activation_fn knows relu, gelu, glu; its message forgets glu, which leaves half of the features."""
    x = np.random.default_rng(1).standard_normal((3, 8))
    for name, features in (("relu", 8), ("gelu", 8), ("glu", 4)):
        assert get_activation(name)(x).shape == (3, features)
    np.testing.assert_array_equal(get_activation("relu")(x), np.maximum(x, 0))
    weight = np.random.default_rng(2).standard_normal((5, 8))
    with pytest.raises(ValueError, match=r"input has 4 features but weight, of shape \(5, 8\), takes 8"):
        attn_ref.linear(get_activation("glu")(x), weight)
    with pytest.raises(ValueError, match="glu") as error:
        get_activation("tanh")
    assert all(repr(name) in str(error.value) for name in ("relu", "gelu", "glu"))


# ---------------------------------------------------------------------------------------------------------------------
# Mistakes

X = np.ones((2, 4))
NEAR = {"Relu": "relu", "geluu": "gelu", "swish_silu": "silu", "hardsigmoid": "hard_sigmoid", "gelu-tanh": "gelu_tanh"}


@pytest.mark.parametrize("name", NEAR)
def test_a_near_miss_is_answered_with_the_name_that_was_meant(name):
    with pytest.raises(ValueError, match=f"name='{name}' is unknown: expected one of .*did you mean '{NEAR[name]}'"):
        get_activation(name)


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: get_activation(3), TypeError, ["name must be a string", "'relu'", "'glu'", "int 3"]),
        (lambda: get_activation(None), TypeError, ["name must be a string", "NoneType"]),
        (lambda: get_activation("relu", slope=1.0), ValueError, ["slope", "hard_sigmoid", "'relu'", "leave them out"]),
        (lambda: get_activation("glu", offset=1.0), ValueError, ["offset", "hard_sigmoid", "'glu'"]),
        (lambda: get_activation("hard_sigmoid", slope=0), ValueError, ["slope=0", "above 0"]),
        (lambda: get_activation("hard_sigmoid", slope=-0.2), ValueError, ["slope=-0.2", "above 0"]),
        (lambda: get_activation("hard_sigmoid", slope=math.nan), ValueError, ["slope=nan", "above 0"]),
        (lambda: get_activation("hard_sigmoid", slope=math.inf), ValueError, ["slope=inf", "finite"]),
        (lambda: get_activation("hard_sigmoid", offset=math.nan), ValueError, ["offset=nan", "finite"]),
        (lambda: get_activation("hard_sigmoid", slope="steep"), TypeError, ["slope", "number", "str 'steep'"]),
        (lambda: get_activation("hard_sigmoid", slope=True), TypeError, ["slope", "number", "bool True"]),
        (lambda: get_activation("relu")([1.0]), TypeError, ["x must be an array", "list", "numpy.asarray"]),
        (lambda: get_activation("relu")(X.astype(int)), TypeError, ["x has dtype int", "astype"]),
        (lambda: get_activation("relu").backward(X[:1], X), ValueError,
         ["grad_output has shape (1, 4)", "expected (2, 4)", "the shape of x"]),
        (lambda: get_activation("relu").backward(X.astype(np.float32), X), TypeError,
         ["grad_output has dtype float32", "x has float64"]),
        (lambda: get_activation("silu").jvp(X, X[0]), ValueError, ["x_tangent has shape (4,)", "expected (2, 4)"]),
        (lambda: get_activation("gelu").double_backward(X[:, :1], X, X), ValueError,
         ["grad_grad_x has shape (2, 1)", "expected (2, 4)"]),
        (lambda: get_activation("glu")(X[:, :3]), ValueError, ["x has 3 elements along axis 1", "(2, 3)", "even"]),
        (lambda: get_activation("glu")(X[:, :3], axis=-1), ValueError, ["3 elements along axis -1", "even"]),
        (lambda: get_activation("glu")(X, axis=2), ValueError, ["axis=2", "2 axes", "(2, 4)"]),
        (lambda: get_activation("glu")(np.array(1.0)), ValueError, ["axis=1", "0 axes"]),
        (lambda: get_activation("glu")(X, axis=1.0), TypeError, ["axis must be an integer", "float 1.0"]),
        (lambda: get_activation("glu")(X, axis=True), TypeError, ["axis must be an integer", "bool True"]),
        (lambda: get_activation("glu").backward(X, X), ValueError,
         ["grad_output has shape (2, 4)", "expected (2, 2)", "the shape of the output"]),
    ],
)  # fmt: skip
def test_mistakes_are_named(make, error, words):
    with pytest.raises(error) as caught:
        make()
    message = str(caught.value)
    assert not [word for word in words if word not in message], message
    assert "\n" not in message
    assert len(message) < 400


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_far_from_zero_the_sigmoid_is_quiet_even_by_itself(dtype):
    """Formulas of bounds call it outside of an operation, whose warnings are off."""
    x = np.array([-2000, -700, 700, 2000, -np.inf, np.inf, np.nan], dtype)
    with np.errstate(all="raise"):
        values = BACKENDS["numpy"]().sigmoid(x)
    np.testing.assert_allclose(values, [0, np.exp(-700) if dtype == "float64" else 0, 1, 1, 0, 1, np.nan], rtol=1e-13)
