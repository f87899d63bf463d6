import math
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest

from attn_ref.exact import to_float, to_fractions
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


def test_shapes_and_flags_are_checked_by_name():
    with pytest.raises(ValueError, match=r"grad_output has shape \(2,\), expected \(3,\)"):
        ensure_shape(zeros((2,)), (3,), "grad_output")
    with pytest.raises(TypeError, match="align_corners is 1"):
        ensure_bool(1, "align_corners")
    assert ensure_bool(np.False_, "align_corners") is False
