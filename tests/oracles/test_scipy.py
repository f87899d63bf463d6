"""Against scipy.ndimage.map_coordinates: orders 1 and 0 are bilinear and nearest, and its modes are our paddings.

It takes pixels in index order where a grid is normalised with x first, so the pixel coordinates differ by the roundings
of the map from one to the other, which the bounds of `problems` contain. Its order 3 is a B-spline, not Keys' kernel.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

import attn_ref

from .problems import normalised, problems_inside_cells, scales

RULE = pytest.mark.parametrize(
    ("scipys", "padding_mode", "align_corners"),
    [
        ("grid-constant", "zeros", True),
        ("grid-constant", "zeros", False),
        ("nearest", "border", True),
        ("nearest", "border", False),
        ("mirror", "reflection", True),
        ("reflect", "reflection", False),
    ],
)
ORDER = {"nearest": 0, "bilinear": 1}
ROW = np.array([10.0, 20.0, 30.0, 50.0])


def by_scipy(image, grid, scipys, mode, align_corners):
    """Sample each image of the batch and each channel on its own."""
    pixels = [
        ((g + 1) * (size - 1) if align_corners else (g + 1) * size - 1) / 2
        for g, size in zip(np.moveaxis(grid, -1, 0), reversed(image.shape[2:]), strict=True)
    ]
    index = np.stack(pixels[::-1], axis=1)  # (N, d, …), index order
    return np.stack(
        [
            np.stack([ndimage.map_coordinates(x, p, order=ORDER[mode], mode=scipys) for x in channels])
            for channels, p in zip(image, index, strict=True)
        ]
    )


def both(p, scipys, mode, padding_mode, align_corners=True):
    """(SciPy's value, ours) p pixels along `ROW`."""
    grid = np.array([[[[normalised(p, 4, align_corners), 0.0]]]])
    options = {"mode": mode, "padding_mode": padding_mode, "align_corners": align_corners}
    theirs = ndimage.map_coordinates(ROW, [[p]], order=ORDER[mode], mode=scipys).item()
    return theirs, attn_ref.grid_sample(ROW.reshape(1, 1, 1, 4), grid, **options).item()


@pytest.mark.parametrize("axes", [2, 3])
@pytest.mark.parametrize("mode", ORDER)
@RULE
@settings(max_examples=20)
@given(data=st.data())
def test_values_agree_inside_cells(axes, mode, scipys, padding_mode, align_corners, data):
    problem = data.draw(problems_inside_cells(axes, align_corners))
    theirs = by_scipy(problem.input, problem.grid, scipys, mode, align_corners)
    ours = attn_ref.grid_sample(
        problem.input, problem.grid, mode=mode, padding_mode=padding_mode, align_corners=align_corners
    )
    assert ours.shape == theirs.shape
    assert np.abs(ours - theirs).max() <= 2 * scales(problem, mode, align_corners, 2.0**-53)["output"].error


@pytest.mark.parametrize("p", [-4.0, -1.0, -0.5, 0.0, 1.0, 2.0, 2.5, 3.0, 3.5, 4.0, 7.0])
@RULE
def test_values_agree_on_kinks(scipys, padding_mode, align_corners, p):
    """Up to the rounding of p: thirds, for aligned corners."""
    theirs, ours = both(p, scipys, "bilinear", padding_mode, align_corners)
    assert abs(ours - theirs) <= 64 * 2.0**-53 * 50


@pytest.mark.parametrize(("p", "ours"), [(-0.25, 7.5), (-0.75, 2.5), (3.25, 37.5), (3.5, 25.0)])
def test_constant_is_not_zeros(p, ours):
    """`constant` is 0 at once outside [0, S−1]; with `zeros` the value fades over one pixel, tap by tap (P1)."""
    assert both(p, "constant", "bilinear", "zeros") == pytest.approx((0.0, ours), rel=2.0**-48)
    assert both(p, "grid-constant", "bilinear", "zeros") == pytest.approx((ours, ours), rel=2.0**-48)


@pytest.mark.parametrize(("p", "theirs", "ours"), [(0.5, 20.0, 10.0), (1.5, 30.0, 30.0), (2.5, 50.0, 30.0)])
@pytest.mark.parametrize(("scipys", "padding_mode"), [("grid-constant", "zeros"), ("nearest", "border")])
def test_ties_round_up_there_and_to_even_here(p, theirs, ours, scipys, padding_mode):
    """M2, and torch."""
    assert both(p, scipys, "nearest", padding_mode) == (theirs, ours)


@pytest.mark.parametrize(
    ("p", "scipys", "padding_mode", "theirs", "ours"),
    [
        (np.nan, "mirror", "reflection", 0.0, np.nan),
        (np.inf, "mirror", "reflection", 0.0, np.nan),
        (1e30, "nearest", "border", 10.0, 50.0),
        (np.inf, "nearest", "border", np.nan, 50.0),
        (np.inf, "grid-constant", "zeros", np.nan, 0.0),
    ],
)
def test_coordinates_that_fit_no_integer_are_read_anywhere_there(p, scipys, padding_mode, theirs, ours):
    """X1, X2, X3: ours are NaN for NaN and for the reflection of infinity, else the limit."""
    assert both(p, scipys, "bilinear", padding_mode) == pytest.approx((theirs, ours), nan_ok=True)
