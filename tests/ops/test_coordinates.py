from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attn_ref.ops.coordinates import pixel_centres, pixels_per_unit, to_pixels

SIZES = st.integers(1, 5000)


@given(size=SIZES, align_corners=st.booleans())
def test_centres_are_the_inverse_of_the_pixel_map(size, align_corners):
    p = to_pixels(np, pixel_centres(np, size, align_corners), size, align_corners)
    assert np.abs(p - np.arange(size)).max() <= 4 * np.finfo(float).eps * size


@given(size=SIZES, align_corners=st.booleans())
def test_centres_are_symmetric_and_rounded_once(size, align_corners):
    centres = pixel_centres(np, size, align_corners)
    assert (centres == -centres[::-1]).all()
    extent = size - 1 if align_corners else size
    expected = [float(Fraction(2 * i + 1 - size, extent)) if extent else 0.0 for i in range(size)]
    assert centres.tolist() == expected


@pytest.mark.parametrize(
    ("size", "align_corners", "ends"),
    [(5, True, (0, 4)), (5, False, (-0.5, 4.5)), (1, True, (0, 0)), (1, False, (-0.5, 0.5))],
)
def test_the_ends_are_centres_or_edges(size, align_corners, ends):
    assert tuple(to_pixels(np, np.array([-1.0, 1.0]), size, align_corners)) == ends


@given(size=SIZES, align_corners=st.booleans(), k=st.integers(-64, 64))
def test_the_slope_is_pixels_per_unit(size, align_corners, k):
    g = np.array([k / 16, k / 16 + 1])
    p = to_pixels(np, g, size, align_corners)
    assert p[1] - p[0] == pixels_per_unit(size, align_corners)


def test_one_aligned_pixel_takes_everything_but_nan():
    p = to_pixels(np, np.array([0.0, -7.0, np.inf, 1e300, np.nan]), 1, True)
    assert (p[:4] == 0).all()
    assert np.isnan(p[4])


@given(size=SIZES)
def test_no_pixels_have_no_centres_and_dtype_is_kept(size):
    assert pixel_centres(np, 0, True).shape == pixel_centres(np, 0, False).shape == (0,)
    for align_corners in (True, False):
        assert to_pixels(np, np.zeros(2, np.float32), size, align_corners).dtype == np.float32
