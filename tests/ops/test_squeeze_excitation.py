"""Squeeze-and-excitation: a block worked out on paper, identities, layouts, pieces of a batch, precision, mistakes."""

import dataclasses
import itertools
import math
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import attn_ref
from attn_ref import backend, get_activation
from attn_ref.ops.activations import ACTIVATIONS, Activation

se, se_backward = attn_ref.squeeze_excitation, attn_ref.squeeze_excitation_backward
se_jvp, se_double = attn_ref.squeeze_excitation_jvp, attn_ref.squeeze_excitation_double_backward
ELEMENTWISE = [name for name, entry in ACTIVATIONS.items() if isinstance(entry, Activation)]
SPACES = [(5,), (4, 3), (2, 1, 3)]
BIASES = [(), ("reduce_bias",), ("expand_bias",), ("reduce_bias", "expand_bias")]
"""Those that are absent."""


class Problem:
    """The five inputs, a cotangent of the output and one of each input, which also serve as tangents."""

    def __init__(self, space=(4, 3), absent=(), seed=0, batch=2, channels=6, reduced=5, dtype=np.float64):
        normal = np.random.default_rng(seed).standard_normal
        shapes = {
            "input": (batch, channels, *space),
            "reduce_weight": (reduced, channels),
            "expand_weight": (channels, reduced),
            "reduce_bias": (reduced,),
            "expand_bias": (channels,),
        }
        self.given, self.v, self.w = (
            [None if name in absent else normal(shape).astype(dtype) for name, shape in shapes.items()]
            for _ in range(3)
        )
        self.u = normal(shapes["input"]).astype(dtype)

    def all(self, channels_last=False, **options):
        """Everything the four functions give, channels first, in one list."""
        if not channels_last:
            return self._all(lambda image: image, lambda image: image, options)
        return self._all(
            lambda image: np.moveaxis(image, 1, -1), lambda image: np.moveaxis(image, -1, 1),
            {**options, "channels_last": True},
        )  # fmt: skip

    def _all(self, there, back, options):
        given, v = [there(self.given[0]), *self.given[1:]], [there(self.v[0]), *self.v[1:]]
        u = there(self.u)
        first, second = se_backward(u, *given, **options), se_double(*v, u, *given, **options)
        images = [se(*given, **options), first[0], se_jvp(*given, *v, **options), second[0], second[1]]
        return [back(image) for image in images] + [a for a in (*first[1:], *second[2:]) if a is not None]


def inner(a, b):
    return sum(float((x * y).sum()) for x, y in zip(a, b, strict=True) if x is not None)


def test_a_block_worked_out_on_paper():
    """Two channels of means 2 and −1; h = (2, −3), relu leaves (2, 0); u = (0, ln 3), so s = (1/2, 3/4)."""
    X = np.array([[[1.0, 3.0], [-2.0, 0.0]]])
    W1, b1 = np.array([[1.0, 0.0], [-1.0, 1.0]]), np.array([0.0, 0.0])
    W2, b2 = np.array([[0.5, 7.0], [0.0, 5.0]]), np.array([-1.0, math.log(3)])
    np.testing.assert_allclose(se(X, W1, W2, b1, b2), [[[0.5, 1.5], [-1.5, 0.0]]], rtol=1e-15)
    # dY = 1, 0 | 0, 2: q = (1, 0), du = (1/4, 0), a = (2, 0), dh = (1/8, 0), dz = (1/8, 0)
    back = se_backward(np.array([[[1.0, 0.0], [0.0, 2.0]]]), X, W1, W2, b1, b2)
    np.testing.assert_allclose(back.input, [[[0.5 + 1 / 16, 1 / 16], [0.0, 1.5]]], rtol=1e-15)
    np.testing.assert_allclose(back.reduce_weight, [[0.25, -0.125], [0, 0]], rtol=1e-15)
    np.testing.assert_allclose(back.expand_weight, [[0.5, 0], [0, 0]], rtol=1e-15)
    np.testing.assert_allclose(back.reduce_bias, [0.125, 0], rtol=1e-15)
    np.testing.assert_allclose(back.expand_bias, [0.25, 0], rtol=1e-15)


@pytest.mark.parametrize(("activation", "gate"), [*itertools.product(ELEMENTWISE, ELEMENTWISE)])
@settings(max_examples=12)
@given(seed=st.integers(0, 2**16))
def test_the_four_functions_are_one(activation, gate, seed):
    """⟨J v, u⟩ = ⟨v, Jᵀ u⟩; the second derivative is symmetric and contains the jvp."""
    problem = Problem(SPACES[seed % 3], BIASES[seed % 4], seed)
    options = {"activation": activation, "gate": gate}
    y_dot = se_jvp(*problem.given, *problem.v, **options)
    cotangents = se_backward(problem.u, *problem.given, **options)
    size = inner([np.abs(a) for a in cotangents if a is not None], [np.abs(a) for a in problem.v if a is not None])
    assert inner([y_dot], [problem.u]) == pytest.approx(inner(cotangents, problem.v), abs=1e-13 * (size + 100))
    along_v = se_double(*problem.v, problem.u, *problem.given, **options)
    along_w = se_double(*problem.w, problem.u, *problem.given, **options)
    np.testing.assert_allclose(along_v.grad_output, y_dot, rtol=1e-13, atol=1e-13)
    size = inner([np.abs(a) for a in along_v[1:] if a is not None], [np.abs(a) for a in problem.w if a is not None])
    assert inner(along_v[1:], problem.w) == pytest.approx(inner(along_w[1:], problem.v), abs=1e-12 * (size + 100))


@pytest.mark.parametrize("absent", BIASES, ids=str)
def test_an_absent_bias_is_a_bias_of_zero_and_has_no_cotangent(absent):
    problem, zeros = Problem(absent=absent), Problem(absent=absent)
    for name, at in (("reduce_bias", 3), ("expand_bias", 4)):
        if name in absent:
            zeros.given[at] = zeros.v[at] = np.zeros(5 if at == 3 else 6)
    back, with_zeros = se_backward(problem.u, *problem.given), se_backward(problem.u, *zeros.given)
    double = se_double(*problem.v, problem.u, *problem.given)
    np.testing.assert_array_equal(se(*problem.given), se(*zeros.given))
    for field in back._fields:
        assert (getattr(back, field) is None) == (getattr(double, field) is None) == (field in absent)
        if field not in absent:
            np.testing.assert_array_equal(getattr(back, field), getattr(with_zeros, field))


@pytest.mark.parametrize("space", SPACES, ids=str)
@pytest.mark.parametrize("gate", ["sigmoid", "hard_sigmoid"])
def test_both_layouts_give_the_same_numbers(space, gate):
    problem = Problem(space)
    for first, last in zip(problem.all(gate=gate), problem.all(channels_last=True, gate=gate), strict=True):
        np.testing.assert_allclose(first, last, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("layout", [False, True], ids=["first", "last"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16])
@pytest.mark.parametrize("chunk", [1, 150, 2**62])
def test_how_the_batch_is_cut_changes_nothing_but_rounding(layout, dtype, chunk, monkeypatch):
    problem = Problem(batch=7, dtype=dtype)
    want = problem.all(layout)
    entry = dataclasses.replace(backend.BACKENDS["numpy"](), chunk=chunk)
    monkeypatch.setitem(backend.BACKENDS, "numpy", lambda: entry)
    tolerance = 64 * float(np.finfo(dtype).eps)
    for got, expected in zip(problem.all(layout), want, strict=True):
        np.testing.assert_allclose(got, expected, rtol=tolerance, atol=tolerance * np.abs(expected).max())


@pytest.mark.parametrize("layout", [False, True], ids=["first", "last"])
def test_each_sample_is_weighed_by_its_own_means(layout):
    problem = Problem(batch=3)
    together = problem.all(layout)[0]
    for n in range(3):
        alone = se(problem.given[0][n : n + 1], *problem.given[1:])
        np.testing.assert_allclose(together[n : n + 1], alone, rtol=1e-14)


def test_names_and_what_get_activation_returns_are_the_same():
    problem = Problem()
    named = problem.all(activation="silu", gate="hard_sigmoid")
    given = problem.all(activation=get_activation("silu"), gate=get_activation("hard_sigmoid"))
    for a, b in zip(named, given, strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_gate_may_have_another_slope():
    """ONNX's default, 0.2 x + ½."""
    X = np.ones((1, 1, 2))
    y = se(X, np.ones((1, 1)), np.ones((1, 1)), gate=get_activation("hard_sigmoid", slope=0.2))
    np.testing.assert_allclose(y, 0.7 * X, rtol=1e-15)


@pytest.mark.parametrize("corner", [-3.0, 3.0])
def test_a_hard_gate_in_its_corner_passes_nothing_on(corner):
    problem = Problem(absent=("reduce_bias",))
    problem.given[2][...] = 0
    problem.given[4][...] = corner
    back = se_backward(problem.u, *problem.given, gate="hard_sigmoid")
    np.testing.assert_array_equal(back.input, problem.u if corner > 0 else np.zeros_like(problem.u))
    assert not any(a.any() for a in (back.reduce_weight, back.expand_weight, back.expand_bias))


def test_relu_at_zero_passes_nothing_on():
    problem = Problem()
    problem.given[1][...] = problem.given[3][...] = 0
    back = se_backward(problem.u, *problem.given)
    assert not back.reduce_weight.any()
    assert not back.reduce_bias.any()
    assert back.expand_bias.all()


@pytest.mark.parametrize("layout", [False, True], ids=["first", "last"])
def test_a_nan_spoils_its_sample_alone(layout):
    """All of it: every gate depends on every channel."""
    problem = Problem(batch=3, reduced=4)
    problem.given[0][1, 0, 0, 0] = np.nan
    output, dX, *_ = problem.all(layout, activation="silu")
    for result in (output, dX):
        assert np.isnan(result[1]).all()
        assert np.isfinite(result[[0, 2]]).all()


@pytest.mark.parametrize("layout", [False, True], ids=["first", "last"])
def test_the_mean_of_a_large_float32_image_is_close_to_exact(layout):
    """A million equal pixels added one after another would be off by 1e-5 and more."""
    X = np.full((1, 2, 1000, 1000), 0.1, np.float32)
    X = np.moveaxis(X, 1, -1) if layout else X
    one = np.eye(2, dtype=np.float32)
    s = se(X, one, one, gate="identity", channels_last=layout) / X
    np.testing.assert_allclose(s, 0.1, rtol=1e-6)


# ---------------------------------------------------------------------------------------------------------------------
# Mistakes

IMAGE, W1, W2 = np.ones((2, 6, 4, 3)), np.ones((5, 6)), np.ones((6, 5))
B1, B2 = np.ones(5), np.ones(6)


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: se(IMAGE[0, 0], W1, W2), ValueError, ["input has 2 axes", "(N, C, L), (N, C, H, W)"]),
        (lambda: se(IMAGE[0, 0], W1, W2, channels_last=True), ValueError, ["input has 2 axes", "(N, L, C)"]),
        (lambda: se(np.ones((1,) * 6), W1, W2), ValueError, ["input has 6 axes", "(N, C, D, H, W)"]),
        (lambda: se(IMAGE[:, :, :0], W1, W2), ValueError, ["input has no pixels", "(2, 6, 0, 3)", "mean"]),
        (lambda: se(IMAGE[:0, :, :0], W1, W2), ValueError, ["input has no pixels"]),
        (lambda: se(np.moveaxis(IMAGE, 1, -1), W1, W2), ValueError,
         ["reduce_weight has shape (5, 6)", "expected (R, 4)", "(2, 4, 3, 6)"]),
        (lambda: se(IMAGE, W1[:, :4], W2), ValueError, ["reduce_weight has shape (5, 4)", "expected (R, 6)"]),
        (lambda: se(IMAGE, W1[..., None, None], W2), ValueError,
         ["reduce_weight has shape (5, 6, 1, 1)", "expected (R, 6)", "reduce_weight[:, :, 0, 0]"]),
        (lambda: se(IMAGE, W1, W2[..., None, None]), ValueError,
         ["expand_weight has shape (6, 5, 1, 1)", "expected (6, 5)", "expand_weight[:, :, 0, 0]"]),
        (lambda: se(IMAGE, W1.T, W2), ValueError, ["reduce_weight has shape (6, 5)", "(R, 6)", "reduce_weight.T"]),
        (lambda: se(IMAGE, W1, W2.T), ValueError, ["expand_weight has shape (5, 6)", "(6, 5)", "expand_weight.T"]),
        (lambda: se(IMAGE, W1, W2[:, :4]), ValueError, ["expand_weight has shape (6, 4)", "expected (6, 5)"]),
        (lambda: se(IMAGE, W1[:0], W2[:, :0]), ValueError, ["reduce_weight has no rows", "R must be at least 1"]),
        (lambda: se(IMAGE, np.array(1.0), W2), ValueError, ["reduce_weight has shape ()", "expected (R, 6)"]),
        (lambda: se(IMAGE, W1, W2, B2), ValueError, ["reduce_bias has shape (6,)", "expected (5,)"]),
        (lambda: se(IMAGE, W1, W2, B1, B1), ValueError, ["expand_bias has shape (5,)", "expected (6,)"]),
        (lambda: se(IMAGE, W1, W2, B1[:, None]), ValueError, ["reduce_bias has shape (5, 1)", "expected (5,)"]),
        (lambda: se(IMAGE, None, W2), TypeError, ["reduce_weight must be an array", "it is required"]),
        (lambda: se(IMAGE, W1.astype(np.float32), W2), TypeError, ["reduce_weight has dtype float32", "input"]),
        (lambda: se(IMAGE, W1, W2, B1.astype(np.float16)), TypeError, ["reduce_bias has dtype float16", "astype"]),
        (lambda: se(IMAGE, W1, W2, activation="glu"), ValueError, ["activation is glu", "halves", "relu, gelu"]),
        (lambda: se(IMAGE, W1, W2, gate=get_activation("glu")), ValueError, ["gate is glu", "halves"]),
        (lambda: se(IMAGE, W1, W2, gate="hardsigmoid"), ValueError, ["gate='hardsigmoid'", "'hard_sigmoid'"]),
        (lambda: se(IMAGE, W1, W2, activation="Silu"), ValueError, ["activation='Silu'", "did you mean 'silu'"]),
        (lambda: se(IMAGE, W1, W2, gate="tanh"), ValueError, ["gate='tanh' is unknown", "'sigmoid'"]),
        (lambda: se(IMAGE, W1, W2, activation=np.tanh), TypeError, ["activation must be a name", "get_activation"]),
        (lambda: se(IMAGE, W1, W2, gate=None), TypeError, ["gate must be a name", "NoneType"]),
        (lambda: se(IMAGE, W1, W2, channels_last=1), TypeError, ["channels_last must be True or False", "int 1"]),
        (lambda: se(IMAGE, W1, W2, channels_last="NHWC"), TypeError, ["channels_last", "str 'NHWC'"]),
        (lambda: se_backward(IMAGE[:1], IMAGE, W1, W2), ValueError,
         ["grad_output has shape (1, 6, 4, 3)", "expected (2, 6, 4, 3)", "the shape of input"]),
        (lambda: se_backward(np.moveaxis(IMAGE, 1, -1), IMAGE, W1, W2), ValueError, ["grad_output has shape"]),
        (lambda: se_backward(IMAGE.astype(np.float32), IMAGE, W1, W2), TypeError, ["has dtype", "grad_output"]),
        (lambda: se_jvp(IMAGE, W1, W2, B1, None, IMAGE, W1, W2), ValueError,
         ["reduce_bias is given but reduce_bias_tangent is None", "both"]),
        (lambda: se_jvp(IMAGE, W1, W2, None, None, IMAGE, W1, W2, None, B2), ValueError,
         ["expand_bias_tangent is given but expand_bias is None", "both"]),
        (lambda: se_jvp(IMAGE, W1, W2, None, None, IMAGE, W1.T, W2), ValueError,
         ["reduce_weight_tangent has shape (6, 5)", "expected (5, 6)", "reduce_weight"]),
        (lambda: se_double(IMAGE, W1, W2, None, B2, IMAGE, IMAGE, W1, W2, B1, B2), ValueError,
         ["reduce_bias is given but grad_grad_reduce_bias is None"]),
        (lambda: se_double(IMAGE, W1, W2, B1, None, IMAGE, IMAGE, W1, W2), ValueError,
         ["grad_grad_reduce_bias is given but reduce_bias is None"]),
        (lambda: se_double(IMAGE, W1, W1, None, None, IMAGE, IMAGE, W1, W2), ValueError,
         ["grad_grad_expand_weight has shape (5, 6)", "expected (6, 5)"]),
    ],
)  # fmt: skip
def test_mistakes_are_named(make, error, words):
    with pytest.raises(error) as caught:
        make()
    message = str(caught.value)
    assert not [word for word in words if word not in message], message
    assert "\n" not in message
    assert len(message) < 400


FORMS = {
    False: "expected (N, C, L), (N, C, H, W) or (N, C, D, H, W)",
    True: "expected (N, L, C), (N, H, W, C) or (N, D, H, W, C)",
}


def whole_messages():
    """Calls by what they are refused with, from the first letter to the last."""
    given = Problem().given
    image, W1, W2, b1, b2 = given
    for last, forms in FORMS.items():
        yield f"input has 2 axes, shape (2, 6): {forms}", [np.ones((2, 6)), W1, W2, b1, b2], {"channels_last": last}
    for shape, last in [((2, 6, 0, 3), False), ((2, 6, 4, 0), False), ((2, 0, 3, 6), True), ((2, 4, 0, 6), True)]:
        text = f"input has no pixels, shape {shape}: there is no mean to squeeze to"
        yield text, [np.ones(shape), W1, W2, b1, b2], {"channels_last": last}
    yield (
        "reduce_weight has no rows: the reduced width R must be at least 1",
        [image, np.ones((0, 6)), np.ones((6, 0)), None, None],
        {},
    )
    wanted = "reduce_weight has shape {}: expected (R, 6), as input has shape (2, 6, 4, 3)"
    for shape, hint in [
        ((5, 6, 1, 1), "; of a 1×1 convolution's weight take reduce_weight[:, :, 0, 0]"),
        ((5, 6, 1, 3), ""),
        ((5, 6, 1), ""),
        ((6, 5), "; pass reduce_weight.T"),
        ((5, 7), ""),
        ((), ""),
    ]:
        yield wanted.format(shape) + hint, [image, np.ones(shape), W2, b1, b2], {}
    for shape, hint in [((5, 6), "; pass expand_weight.T"), ((6, 4), ""), ((5, 6, 1, 2), "")]:
        text = f"expand_weight has shape {shape}: expected (6, 5), (C, R), as reduce_weight is (R, C){hint}"
        yield text, [image, W1, np.ones(shape), b1, b2], {}
    for name, place, width in [("reduce_bias", 3, 5), ("expand_bias", 4, 6)]:
        text = f"{name} has shape (1,): expected ({width},), one for each row of its weight"
        yield text, [np.ones(1) if i == place else x for i, x in enumerate(given)], {}


@pytest.mark.parametrize(("text", "arrays", "options"), list(whole_messages()))
def test_a_shape_that_does_not_fit_is_told_in_full(text, arrays, options):
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        se(*arrays, **options)


def test_what_is_no_activation_is_told_in_full():
    with pytest.raises(TypeError, match=r"^gate must be a name or what get_activation returns, got int 12$"):
        se(*Problem().given, gate=12)
