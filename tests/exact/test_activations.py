"""The 50-digit activations: values known on paper, derivatives against differences at 50 digits, corners, rounding."""

from fractions import Fraction as Fr

import numpy as np
import pytest

from attn_ref import exact
from attn_ref.exact.activations import scalar_activation
from attn_ref.exact.precise import DIGITS, context, to_precise

mpmath = pytest.importorskip("mpmath")
SMOOTH = ["sigmoid", "silu", "gelu", "gelu_tanh"]
ALL = [*SMOOTH, "relu", "identity", "hard_sigmoid"]
POINTS = [Fr(-23, 2), Fr(-13, 4), Fr(-7, 5), Fr(-1, 9), Fr(3, 8), Fr(1), Fr(5, 2), Fr(29, 3)]


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("x", POINTS, ids=str)
def test_derivatives_are_those_of_the_value(name, x):
    """mpmath differences the value with digits to spare; no point is on a kink."""
    f, f1, f2 = scalar_activation(name)
    mp = context()
    (at,) = to_precise([x])
    with mp.workdps(DIGITS):
        first, second = mp.diff(f, at), mp.diff(f, at, 2)
    assert mp.almosteq(f1(at), first, abs_eps=mp.mpf(10) ** -30)
    assert mp.almosteq(f2(at), second, abs_eps=mp.mpf(10) ** -15)


def test_values_by_hand():
    mp = context()
    values = {name: scalar_activation(name)[0](mp.mpf(1)) for name in ALL}
    assert values["relu"] == values["identity"] == 1
    assert values["hard_sigmoid"] == mp.mpf(2) / 3
    assert mp.almosteq(values["sigmoid"], mp.e / (1 + mp.e))
    assert mp.almosteq(values["silu"], mp.e / (1 + mp.e))
    assert mp.almosteq(values["gelu"], (1 + mp.erf(mp.sqrt(mp.mpf(1) / 2))) / 2)
    v = mp.sqrt(2 / mp.pi) * mp.mpf("1.044715")
    assert mp.almosteq(values["gelu_tanh"], (1 + mp.tanh(v)) / 2)


@pytest.mark.parametrize("name", ALL)
def test_values_at_zero(name):
    f, f1, f2 = scalar_activation(name)
    mp = context()
    half, zero = mp.mpf(1) / 2, mp.mpf(0)
    want = {
        "sigmoid": (half, half / 2, 0),
        "silu": (0, half, half),
        "gelu": (0, half, mp.sqrt(2 / mp.pi)),
        "gelu_tanh": (0, half, mp.sqrt(2 / mp.pi)),
        "relu": (0, 0, 0),
        "identity": (0, 1, 0),
        "hard_sigmoid": (half, mp.mpf(1) / 6, 0),
    }[name]
    assert all(mp.almosteq(got, expected) for got, expected in zip((f(zero), f1(zero), f2(zero)), want, strict=True))


@pytest.mark.parametrize("name", ["gelu", "gelu_tanh", "silu", "sigmoid"])
def test_fifty_digits_are_kept_where_the_value_is_tiny(name):
    """In 200 digits (1 + erf)/2 has 50 of them left at -16; computed from 50 it had none."""
    precise = mpmath.MPContext()
    precise.dps = 400
    x = precise.mpf(-16)
    v = precise.sqrt(2 / precise.pi) * (x + precise.mpf(44715) / 10**6 * x**3)
    want = {
        "gelu": x * (1 + precise.erf(x / precise.sqrt(2))) / 2,
        "gelu_tanh": x * (1 + precise.tanh(v)) / 2,
        "silu": x / (1 + precise.exp(-x)),
        "sigmoid": 1 / (1 + precise.exp(-x)),
    }[name]
    got = precise.mpf(scalar_activation(name)[0](context().mpf(-16)))
    assert abs(got / want - 1) < precise.mpf(10) ** -45


@pytest.mark.parametrize(
    ("x", "value", "slope"),
    [
        (Fr(-3), 0, 0),
        (Fr(3), 1, 0),
        (Fr(-3) + Fr(1, 10**40), Fr(1, 6 * 10**40), Fr(1, 6)),
        (Fr(-4), 0, 0),
        (Fr(4), 1, 0),
    ],
    ids=str,
)
def test_hard_sigmoid_has_its_corners_at_minus_three_and_three_exactly(x, value, slope):
    f, f1, f2 = scalar_activation("hard_sigmoid")
    mp = context()
    at, value, slope = to_precise([x, value, slope])
    assert mp.almosteq(f(at), value, abs_eps=mp.mpf(10) ** -49)
    assert (f1(at), f2(at)) == (slope, 0)
    assert f(to_precise([Fr(3)])[0]) == 1
    assert f(to_precise([Fr(-3)])[0]) == 0


def test_other_slopes_have_other_corners():
    f, f1, _ = scalar_activation("hard_sigmoid", slope=Fr(1, 5), offset=Fr(1, 2))
    low, inside, high = to_precise([Fr(-5, 2), Fr(1), Fr(5, 2)])
    assert (f1(low), f1(high)) == (0, 0)
    assert context().almosteq(f(inside), context().mpf(7) / 10)


def test_an_unknown_name_is_a_key_error():
    with pytest.raises(KeyError, match="tanh"):
        scalar_activation("tanh")


def test_arrays_go_element_by_element():
    x, dy, v = [[Fr(-1), Fr(2)]], [[Fr(3), Fr(5)]], [[Fr(7), Fr(11)]]
    assert exact.activation(x, name="relu").tolist() == [[0, 2]]
    assert exact.activation_backward(dy, x, name="relu").tolist() == [[0, 5]]
    assert exact.activation_jvp(x, v, name="relu").tolist() == [[0, 11]]
    of_dy, of_x = exact.activation_double_backward(v, dy, x, name="relu")
    assert (of_dy.tolist(), of_x.tolist()) == ([[0, 11]], [[0, 0]])
    of_dy, of_x = exact.activation_double_backward(v, dy, x, name="silu")
    _, f1, f2 = scalar_activation("silu")
    assert of_x[0, 1] == 55 * f2(context().mpf(2))
    assert of_dy[0, 1] == 11 * f1(context().mpf(2))


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_glu_derivatives_are_those_of_the_value(axis):
    """Along a direction: jvp and, through ⟨dy, jvp⟩, backward and double backward, all against mp.diff."""
    mp = context()
    rng = np.random.default_rng(4)
    x, v = (to_precise(rng.integers(-20, 20, (2, 4)).astype(float) / 8) for _ in range(2))
    y = exact.glu(x.astype(float), axis=axis)
    dy = to_precise(rng.integers(-20, 20, y.shape).astype(float) / 8)

    def inner(a, b):
        return sum(p * q for p, q in zip(a.flat, b.flat, strict=True))

    f = lambda t: inner(dy, _glu(x + t * v, axis))  # noqa: E731
    args = (x.astype(float), v.astype(float), dy.astype(float))
    first, second = mp.diff(f, 0), mp.diff(f, 0, 2)
    assert mp.almosteq(inner(dy, exact.glu_jvp(args[0], args[1], axis=axis)), first, abs_eps=mp.mpf(10) ** -30)
    assert mp.almosteq(inner(v, exact.glu_backward(args[2], args[0], axis=axis)), first, abs_eps=mp.mpf(10) ** -30)
    of_dy, of_x = exact.glu_double_backward(args[1], args[2], args[0], axis=axis)
    assert mp.almosteq(inner(v, of_x), second, abs_eps=mp.mpf(10) ** -15)
    assert (of_dy == exact.glu_jvp(args[0], args[1], axis=axis)).all()


def _glu(x, axis):
    a, b = np.split(x, 2, axis=axis)
    exp = np.frompyfunc(context().exp, 1, 1)
    return a / (1 + exp(-b))


def test_glu_by_hand():
    assert exact.glu([[Fr(3), Fr(0)]]).tolist() == [[context().mpf(3) / 2]]
    assert exact.glu_backward([[Fr(4)]], [[Fr(3), Fr(0)]]).tolist() == [[2, 3]]


# ---------------------------------------------------------------------------------------------------------------------
# Rounding


def test_fifty_digit_numbers_are_rounded_once_to_the_nearest_double():
    mp = context()
    third, tie = mp.mpf(1) / 3, mp.mpf(1) + mp.mpf(2) ** -53
    values = np.array([third, tie, tie + mp.mpf(2) ** -150, mp.mpf(-2) ** -1074], dtype=object)
    assert exact.to_float(values).tolist() == [1 / 3, 1.0, 1 + 2.0**-52, 2.0**-1074]
    assert exact.to_float(np.array(mp.pi * 1, dtype=object)) == np.pi
    assert exact.to_float(np.empty((0, 3), dtype=object)).shape == (0, 3)


def test_fifty_digit_numbers_beyond_the_largest_double_are_infinite():
    mp = context()
    assert exact.to_float(np.array([mp.mpf(10) ** 400, -(mp.mpf(10) ** 400)], dtype=object)).tolist() == [
        np.inf,
        -np.inf,
    ]


def test_floats_are_held_exactly():
    (tenth,) = to_precise([0.1])
    assert tenth == context().mpf(3602879701896397) / context().mpf(36028797018963968)
    with pytest.raises(ValueError, match=r"x\[1\] is nan"):
        to_precise([0.0, np.nan], "x")
    with pytest.raises(TypeError, match="complex"):
        to_precise([1j])


def test_the_context_is_of_its_own():
    before = mpmath.mp.dps
    assert context().dps == DIGITS == 50
    assert mpmath.mp.dps == before
    assert context() is not mpmath.mp
