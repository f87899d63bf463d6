"""The pixel maps, the base grids, and the way from pixels to the core's coordinates."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attn_ref.conventions import BASE_GRIDS, PIXEL_MAPS
from attn_ref.conventions.pixel_maps import normalised
from attn_ref.ops.coordinates import pixels_per_unit, to_pixels

SIZES = st.integers(1, 130)


def read(formula, **values):
    """Evaluate a formula as the documentation prints it, exactly."""
    text = formula.partition("= ")[2] or formula
    text = text.replace("−", "-").replace(")(", ")*(").replace(")S", ")*S").replace("2i", "2*i")
    return eval(text, {name: Fraction(value) for name, value in values.items()})


@pytest.mark.parametrize("name", PIXEL_MAPS)
@given(S=SIZES, g=st.integers(-64, 64), i=st.integers(0, 9))
def test_a_map_is_its_printed_formula(name, S, g, i):
    """In eighths, where the arithmetic is exact."""
    pixel_map = PIXEL_MAPS[name]
    exact = read(pixel_map.formula, g=Fraction(g, 8), S=S, i=i)
    assert pixel_map.pixels(np.float64(g / 8), S, i) == exact
    slope = read(pixel_map.formula, g=1, S=S, i=i) - read(pixel_map.formula, g=0, S=S, i=i)
    assert pixel_map.scale(S) == slope


@pytest.mark.parametrize("name", ["AC1", "AC0"])
@given(S=st.integers(2, 130))
def test_the_core_s_maps_are_the_core_s(name, S):
    pixel_map = PIXEL_MAPS[name]
    g = np.linspace(-2, 2, 33)
    np.testing.assert_allclose(
        pixel_map.pixels(g, S), to_pixels(np, g, S, pixel_map.align_corners), rtol=1e-15, atol=1e-13
    )
    assert pixel_map.scale(S) == pixels_per_unit(S, pixel_map.align_corners)


@pytest.mark.parametrize("name", BASE_GRIDS)
@given(S=st.integers(2, 130))
def test_a_base_grid_is_its_printed_formula(name, S):
    base = BASE_GRIDS[name]
    exact = [float(read(base.formula, S=S, i=i)) for i in range(S)]
    np.testing.assert_array_equal(base.coordinates(np, S), exact)
    np.testing.assert_allclose(base.start(S) + base.step(S) * np.arange(S), exact, rtol=0, atol=1e-15 * S)


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@given(S=SIZES, seed=st.integers(0, 2**32 - 1))
def test_normalised_is_the_smallest_that_is_not_below(align_corners, dtype, S, seed):
    """Whole pixels stay on their side of the kink; nothing moves by more than a few roundings of p and S."""
    rng = np.random.default_rng(seed)
    p = np.concatenate([np.arange(-2, S + 2), rng.uniform(-S, 2 * S, 9)]).astype(dtype)
    g = normalised(np, p, S, align_corners)
    assert g.dtype == dtype
    if align_corners and S == 1:
        np.testing.assert_array_equal(g, 0)
        return
    there = to_pixels(np, g, S, align_corners)
    inside = (p >= 0) & (p <= S - 1)
    assert (there[inside] >= p[inside]).all()
    whole = inside & (p == np.floor(p))
    np.testing.assert_array_equal(np.floor(there[whole]), p[whole])
    assert (np.abs(there - p) <= 8 * np.finfo(dtype).eps * (np.abs(p) + S)).all()


@given(S=st.integers(2, 130))
def test_the_ends_are_exact_between_aligned_corners(S):
    """Where border stops, and its derivative with it."""
    ends = np.array([0.0, S - 1])
    np.testing.assert_array_equal(to_pixels(np, normalised(np, ends, S, True), S, True), ends)


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize("S", [1, 5])
def test_what_is_not_finite_stays_so(align_corners, S):
    g = normalised(np, np.array([np.nan, np.inf, -np.inf]), S, align_corners)
    expected = [np.nan, 0, 0] if align_corners and S == 1 else [np.nan, np.inf, -np.inf]
    np.testing.assert_array_equal(g, expected)
