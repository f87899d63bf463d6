from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attn_ref.exact.axis import pad_border, pad_reflection
from attn_ref.ops.boundary import PADDINGS

SIZES = st.integers(1, 9)
QUARTERS = st.integers(-400, 400)
EXACT = {"border": pad_border, "reflection": pad_reflection}


@pytest.mark.parametrize("padding", EXACT)
@given(size=SIZES, k=QUARTERS, align_corners=st.booleans())
def test_value_and_slope_are_the_exact_ones_on_and_off_every_fold(padding, size, k, align_corners):
    value, slope = PADDINGS[padding].fold(np, np.array([k / 4]), size, align_corners)
    expected = EXACT[padding](Fraction(k, 4), size, align_corners)
    assert (value[0], slope[0]) == (float(expected.value), float(expected.slope))


@given(p=st.floats(allow_nan=False, allow_infinity=False), size=SIZES, align_corners=st.booleans())
def test_reflection_of_any_finite_number_is_inside(p, size, align_corners):
    value, slope = PADDINGS["reflection"].fold(np, np.array([p]), size, align_corners)
    assert 0 <= value[0] <= size - 1
    assert slope[0] in (-1, 0, 1)
    expected = float(EXACT["reflection"](Fraction(p), size, align_corners).value)
    assert abs(value[0] - expected) <= 4 * np.finfo(float).eps * size


@pytest.mark.parametrize("padding", PADDINGS)
@given(p=st.floats(allow_nan=False, allow_infinity=False), size=SIZES, align_corners=st.booleans())
def test_bringing_near_changes_no_tap(padding, p, size, align_corners):
    """What is brought near is small, keeps its fraction where that matters, and is the same modulo the padding."""
    near = PADDINGS[padding].bring_near(np, np.array([p]), size, align_corners)[0]
    assert abs(near) <= 2 * size + 2
    if padding == "reflection":
        period = max(2 * (size - 1), 1) if align_corners else 2 * size
        assert (Fraction(p) - Fraction(near)) % period == 0
    elif -3 <= p <= size + 1:
        assert near == p
    else:
        assert near in (-3, size + 1)


def test_infinities_are_clipped_or_nan():
    p = np.array([-np.inf, np.inf])
    for padding in ("zeros", "border"):
        assert PADDINGS[padding].bring_near(np, p, 4, True).tolist() == [-3, 5]
    with np.errstate(invalid="ignore"):
        assert np.isnan(PADDINGS["reflection"].bring_near(np, p, 4, True)).all()


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_coordinates_and_slopes_keep_their_dtype(padding, dtype):
    p = np.linspace(-5, 5, 7, dtype=dtype)
    assert PADDINGS[padding].bring_near(np, p, 4, False).dtype == dtype
    q, slope = PADDINGS[padding].fold(np, p, 4, False)
    assert q.dtype == dtype
    assert slope is None or slope.dtype == dtype
