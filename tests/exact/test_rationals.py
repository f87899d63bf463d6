import math
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attn_ref.exact import to_float, to_fractions
from attn_ref.exact.precise import context
from attn_ref.exact.rationals import ensure_bool, ensure_shape, zeros


def test_a_float_is_exactly_the_rational_that_it_stores():
    assert to_fractions(0.1)[()] == Fraction(3602879701896397, 36028797018963968)
    assert to_fractions(np.float32(0.1))[()] == Fraction(13421773, 134217728)
    assert to_fractions(np.array([0.5, 2], dtype=np.float16)).tolist() == [Fraction(1, 2), 2]


def test_nested_lists_of_mixed_numbers_become_fractions():
    result = to_fractions([[1, 0.25], [Fraction(1, 3), np.int64(-2)]])
    assert result.tolist() == [[1, Fraction(1, 4)], [Fraction(1, 3), -2]]
    assert all(type(value) is Fraction for value in result.flat)


@pytest.mark.parametrize("shape", [(0,), (2, 0, 3), (), (1, 2)])
def test_shapes_survive_in_both_directions(shape):
    assert to_fractions(np.zeros(shape)).shape == shape
    assert to_float(zeros(shape)).shape == shape


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, np.float32("nan"), np.float64("inf")])
def test_numbers_that_are_not_finite_are_refused_by_name_and_place(value):
    with pytest.raises(ValueError, match=r"grid\[0, 1\] is -?(nan|inf): .* finite"):
        to_fractions([[0, value]], "grid")


@pytest.mark.parametrize("value", [True, np.True_, "1", None, 1j, Decimal(1), [1, 2]])
def test_what_is_not_a_real_number_is_a_type_error(value):
    with pytest.raises(TypeError, match=r"theta\[1\] is of type"):
        to_fractions([0, value], "theta")


def test_the_input_is_copied():
    values = to_fractions([1, 2])
    to_fractions(values)[0] += 1
    assert values[0] == 1


def test_to_float_rounds_once_to_nearest_even():
    third = to_float([Fraction(1, 3)])
    assert third.dtype == np.float64
    assert third[0] == 1 / 3
    half_ulp = Fraction(1, 2**53)
    assert to_float([1 + half_ulp, 1 + 3 * half_ulp]).tolist() == [1.0, 1 + 4 * 2.0**-53]
    assert to_float([1 + half_ulp + Fraction(1, 10**40)])[0] == 1 + 2.0**-52


def test_to_float_beyond_the_range_is_infinite():
    assert to_float([10**400, -(10**400), Fraction(1, 10**400)]).tolist() == [math.inf, -math.inf, 0.0]


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16])
@given(numerator=st.integers(-(10**30), 10**30), denominator=st.integers(1, 10**30), power=st.integers(-1200, 1200))
def test_to_float_is_the_nearest_number_of_any_dtype(dtype, numerator, denominator, power):
    """Neither neighbour is nearer; at equal distance the last bit is even."""
    value = Fraction(numerator, denominator) * Fraction(2) ** power
    found = to_float([value], dtype)[0]
    assert found.dtype == dtype
    assert np.signbit(found) == (value < 0)
    info = np.finfo(dtype)
    half_a_unit_beyond_the_largest = Fraction(2) ** int(info.maxexp) * (1 - Fraction(1, 2 ** (info.nmant + 2)))
    if not np.isfinite(found):
        assert abs(value) >= half_a_unit_beyond_the_largest
        assert (found > 0) == (value > 0)
        return
    assert abs(value) < half_a_unit_beyond_the_largest
    distance = abs(Fraction(float(found)) - value)
    for direction in (-np.inf, np.inf):
        with np.errstate(over="ignore"):
            neighbour = np.nextafter(found, dtype(direction))
        if np.isfinite(neighbour):
            away = abs(Fraction(float(neighbour)) - value)
            assert distance < away or (distance == away and int(found.view(f"u{found.itemsize}")) % 2 == 0)


def test_to_float_does_not_round_to_float64_on_the_way():
    """1 + 2⁻²⁴ is half way between two float32 numbers; what is beyond it by less than float64 sees decides."""
    beyond = 1 + Fraction(1, 2**24) + Fraction(1, 2**80)
    assert to_float([beyond], np.float32)[0] == np.float32(1 + 2.0**-23)
    assert np.float32(to_float([beyond])[0]) == np.float32(1)


@pytest.mark.parametrize("power", [-(10**30), 10**30])
def test_to_float_of_fifty_digits_with_an_astronomical_exponent(power):
    assert to_float([-context().ldexp(3, power)])[0] == (0.0 if power < 0 else -math.inf)


def test_to_float_refuses_fifty_digits_that_are_no_number():
    with pytest.raises(ValueError, match="finite"):
        to_float([context().inf])


def test_shapes_and_flags_are_checked_by_name():
    with pytest.raises(ValueError, match=r"grad_output has shape \(2,\), expected \(3,\)"):
        ensure_shape(zeros((2,)), (3,), "grad_output")
    with pytest.raises(TypeError, match="align_corners is 1"):
        ensure_bool(1, "align_corners")
    assert ensure_bool(np.False_, "align_corners") is False
