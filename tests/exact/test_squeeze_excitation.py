"""The 50-digit block: values worked out on paper, and every derivative against differences at 50 digits."""

import itertools
from fractions import Fraction as Fr

import numpy as np
import pytest

from attn_ref import exact
from attn_ref.exact.precise import context, to_precise

pytest.importorskip("mpmath")
PAIRS = [("relu", "sigmoid"), ("silu", "hard_sigmoid"), ("gelu", "sigmoid"), ("gelu_tanh", "silu")]
ABSENT = [(), ("reduce_bias",), ("expand_bias",), ("reduce_bias", "expand_bias")]
NAMES = ("input", "reduce_weight", "expand_weight", "reduce_bias", "expand_bias")
N, C, R, SPACE = 2, 3, 2, (2, 1)


def inner(a, b):
    return sum((p * q for x, y in zip(a, b, strict=True) if x is not None for p, q in zip(x.flat, y.flat, strict=True)),
               context().mpf(0))  # fmt: skip


def drawn(absent, seed, channels_last=False):
    """Inputs and a direction in sixteenths, and a cotangent of the output."""
    rng = np.random.default_rng(seed)
    image = (N, *SPACE, C) if channels_last else (N, C, *SPACE)
    shapes = dict(zip(NAMES, (image, (R, C), (C, R), (R,), (C,)), strict=True))

    def some():
        return [
            None if name in absent else (rng.integers(-20, 21, shape) * 2 + 1) / 16 for name, shape in shapes.items()
        ]

    given = some()
    return given, some(), (rng.integers(-20, 21, image) * 2 + 1) / 16


def moved(given, v, t):
    """given + t v in fractions, which the exact functions take as they are."""
    return [
        None if x is None else np.vectorize(lambda a, b: Fr(a) + t * Fr(b), otypes=[object])(x, d)
        for x, d in zip(given, v, strict=True)
    ]


def difference(f, order=1):
    """The derivative at 0 by a central stencil over fractions: eight nodes, error far below the bound asked for."""
    h = Fr(1, 10**4)
    nodes = {k: f(k * h) for k in range(-4, 5)}
    weights = {
        1: {1: Fr(4, 5), 2: Fr(-1, 5), 3: Fr(4, 105), 4: Fr(-1, 280)},
        2: {0: Fr(-205, 72), 1: Fr(8, 5), 2: Fr(-1, 5), 3: Fr(8, 315), 4: Fr(-1, 560)},
    }[order]
    mp = context()
    total = mp.mpf(0)
    for k, weight in weights.items():
        w = mp.mpf(weight.numerator) / weight.denominator
        total += w * (nodes[0] if k == 0 else nodes[k] - nodes[-k] if order == 1 else nodes[k] + nodes[-k])
    return total / mp.mpf(h.numerator) ** order * mp.mpf(h.denominator) ** order


def test_a_block_by_hand():
    """Means 2 and −1, h = 2, relu; u = (0, 4): s = (1/2, 7/6 clipped to 1) with the hard gate."""
    y = exact.squeeze_excitation(
        [[[1, 3], [-2, 0]]], [[1, 0]], [[0], [2]], [0], [0, 0], activation="relu", gate="hard_sigmoid"
    )
    assert exact.to_float(y).tolist() == [[[0.5, 1.5], [-2.0, 0.0]]]
    back = exact.squeeze_excitation_backward(
        [[[1, 0], [0, 2]]], [[[1, 3], [-2, 0]]], [[1, 0]], [[6], [2]], [0], [-12, 0], gate="hard_sigmoid"
    )
    # du = (1/6, 0), dh = 1, dz = (1, 0)
    dX, dW1, dW2, db1, db2 = (exact.to_float(a) for a in back)
    assert dX.tolist() == [[[1.0, 0.5], [0.0, 2.0]]]
    assert dW1.tolist() == [[2.0, -1.0]]
    assert dW2.tolist() == [[2 / 6], [0.0]]
    assert (db1.tolist(), db2.tolist()) == ([1.0], [1 / 6, 0.0])


def test_a_gate_in_its_corner_and_relu_at_zero_pass_nothing_on():
    arguments = ([[[1, 3]]], [[1]], [[1]], [-2], [3])  # h = 0, u = 3
    back = exact.squeeze_excitation_backward([[[5, 7]]], *arguments, gate="hard_sigmoid")
    assert [exact.to_float(a).ravel().tolist() for a in back] == [[5.0, 7.0], [0.0], [0.0], [0.0], [0.0]]


@pytest.mark.parametrize(("activation", "gate"), PAIRS)
@pytest.mark.parametrize("absent", ABSENT, ids=str)
@pytest.mark.parametrize("channels_last", [False, True], ids=["first", "last"])
def test_derivatives_are_those_of_the_value(activation, gate, absent, channels_last):
    mp = context()
    given, v, dy = drawn(absent, 3, channels_last)
    options = {"activation": activation, "gate": gate, "channels_last": channels_last}
    u = to_precise(dy)

    def f(t):
        return inner([u], [exact.squeeze_excitation(*moved(given, v, t), **options)])

    y_dot = exact.squeeze_excitation_jvp(*given, *v, **options)
    back = exact.squeeze_excitation_backward(dy, *given, **options)
    double = exact.squeeze_excitation_double_backward(*v, dy, *given, **options)
    precise_v = [None if d is None else to_precise(d) for d in v]
    slope = difference(f)
    close = {"abs_eps": mp.mpf(10) ** -18, "rel_eps": mp.mpf(10) ** -18}
    assert mp.almosteq(inner([u], [y_dot]), slope, **close)
    assert mp.almosteq(inner(back, precise_v), slope, **close)
    assert mp.almosteq(inner(double[1:], precise_v), difference(f, 2), **close)
    assert (double[0] == y_dot).all()
    assert [a is None for a in back] == [a is None for a in double[1:]] == [x is None for x in given]
    assert [a.shape for a in back if a is not None] == [x.shape for x in given if x is not None]


def test_every_entry_of_the_cotangents_is_a_partial_derivative():
    """Not only their sum along a direction."""
    given, _, dy = drawn((), 5)
    u = to_precise(dy)
    back = exact.squeeze_excitation_backward(dy, *given, activation="silu")
    for i, x in enumerate(given):
        for place in itertools.islice(np.ndindex(x.shape), 4):
            unit = [np.zeros(other.shape) for other in given]
            unit[i][place] = 1

            def along(t, direction=unit):
                return inner([u], [exact.squeeze_excitation(*moved(given, direction, t), activation="silu")])

            slope = difference(along)
            assert context().almosteq(back[i][place], slope, abs_eps=context().mpf(10) ** -18)


def test_layouts_are_transposes_of_each_other():
    given, v, dy = drawn((), 7)
    last = [[np.moveaxis(a[0], 1, -1), *a[1:]] for a in (given, v)]
    options = {"activation": "gelu", "gate": "sigmoid"}
    first_results = exact.squeeze_excitation_double_backward(*v, dy, *given, **options)
    last_results = exact.squeeze_excitation_double_backward(
        *last[1], np.moveaxis(dy, 1, -1), *last[0], **options, channels_last=True
    )
    for k, (a, b) in enumerate(zip(first_results, last_results, strict=True)):
        assert (a == (np.moveaxis(b, -1, 1) if k < 2 else b)).all()


def test_weights_that_do_not_fit_are_refused():
    image = np.ones((1, 3, 2))
    with pytest.raises(ValueError, match="do not fit an image of shape"):
        exact.squeeze_excitation(image, np.ones((2, 4)), np.ones((4, 2)))
    with pytest.raises(ValueError, match="a tangent has shape"):
        exact.squeeze_excitation_jvp(
            image, np.ones((2, 3)), np.ones((3, 2)), None, None, np.ones((1, 2, 2)), np.ones((2, 3)), np.ones((3, 2))
        )
