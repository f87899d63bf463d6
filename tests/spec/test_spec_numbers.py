"""Rules X1 to X3: coordinates that are NaN, infinite or huge. (X4 and X5, about pixels, are in test_spec_pixels.py.)"""

import functools
import math
from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import attn_ref

from . import oracle
from .cases import (
    ALIGNED,
    DIMENSIONS,
    DTYPE,
    MODE,
    MODES,
    PADDING,
    PADDINGS,
    PER_COMPONENT,
    PER_PIXEL,
    PER_POINT,
    PRIMITIVES,
    SPACES,
    Problem,
    assert_agrees,
    every_option,
    grid_of,
    run,
)
from .oracle import Options

NAN, INF = math.nan, math.inf
ORDINARY = [(0.3, -0.55, 0.1), (-0.8, 0.9, 0.45)]
# NaN against: an inner point, a kink, the outside, infinities, the largest numbers, NaN.
WITH_NAN = [
    *[tuple(NAN if b == a else 0.35 for b in range(3)) for a in range(3)],
    *[tuple(NAN if b == a else 1.0 for b in range(3)) for a in range(3)],
    *[tuple(NAN if b == a else -7.7 for b in range(3)) for a in range(3)],
    *[tuple(NAN if b == a else INF for b in range(3)) for a in range(3)],
    *[tuple(NAN if b == a else -INF for b in range(3)) for a in range(3)],
    *[tuple(NAN if b == a else 1e300 for b in range(3)) for a in range(3)],
    (NAN, NAN, NAN),
    (-NAN, 0.2, INF),
]
WITH_INF = [
    *[tuple(x if b == a else 0.35 for b in range(3)) for a in range(3) for x in (INF, -INF)],
    *[tuple(x if b == a else -1.3 for b in range(3)) for a in range(3) for x in (INF, -INF)],
    *[tuple(x if b == a else 1.0 for b in range(3)) for a in range(3) for x in (INF, -INF)],
    *product((INF, -INF), repeat=3),
    (1e300, INF, 0.0),
]


def cut(points, d):
    return [point[:d] for point in points]


def nan_points(points, d):
    return np.array([any(math.isnan(x) for x in point) for point in cut(points, d)])


@functools.cache
def expected(options, points, space, dtype=np.float64):
    """The problem on these points, and what the oracle says."""
    problem = Problem(space, grid_of(cut(points, len(space)), dtype, batch=2))
    return problem, oracle.everything(*problem.arrays, options)


def show_nan_at(got, where):
    """NaN in every result of those points, in every channel and component, and nowhere else."""
    for name in PER_POINT:
        assert (np.isnan(got[name].reshape(*got[name].shape[:2], -1)) == where).all(), name
    for name in PER_COMPONENT:
        d = got[name].shape[-1]
        assert (np.isnan(got[name].reshape(-1, len(where), d)) == where[:, None]).all(), name
    for name in PER_PIXEL:
        assert np.isfinite(got[name]).all(), name


@every_option
@PRIMITIVES
def test_X1_nan_coordinate_shows_at_its_point_only(mode, padding_mode, align_corners, d, channels_last):
    points = (ORDINARY[0], *[point for point in WITH_NAN if any(map(math.isnan, point[:d]))], ORDINARY[1])
    options = Options(mode, padding_mode, align_corners)
    problem, want = expected(options, points, SPACES[align_corners, d])
    got = run(problem, options, channels_last)
    show_nan_at(got, nan_points(points, d))
    assert_agrees(got, want, np.float64)


@every_option
@PRIMITIVES
def test_X1_nan_coordinate_adds_nothing_to_cotangents_of_the_image(mode, padding_mode, align_corners, d, channels_last):
    options = Options(mode, padding_mode, align_corners)
    points = [ORDINARY[0], *WITH_NAN, ORDINARY[1]]
    keep = ~nan_points(points, d)
    faulty = Problem(SPACES[align_corners, d], grid_of(cut(points, d), batch=2))
    faulty.grad_output[..., ~keep] = INF  # not even this
    clean = Problem(SPACES[align_corners, d], faulty.grid[..., keep, :])
    clean.image, clean.u = faulty.image, faulty.u
    clean.grad_output, clean.v = faulty.grad_output[..., keep], faulty.v[..., keep, :]
    got, want = run(faulty, options, channels_last), run(clean, options, channels_last)
    for name in PER_PIXEL:
        np.testing.assert_allclose(got[name], want[name], rtol=1e-13, atol=1e-13)


@MODE
@PADDING
@ALIGNED
@pytest.mark.parametrize("space", [(1, 4), (3, 1), (1, 1), (1, 3, 1)], ids=str)
@PRIMITIVES
def test_X1_nan_wins_on_a_one_pixel_axis(mode, padding_mode, align_corners, space):
    options = Options(mode, padding_mode, align_corners)
    points = (ORDINARY[0], *WITH_NAN, ORDINARY[1])
    problem, want = expected(options, points, space)
    got = run(problem, options)
    where = nan_points(points, len(space))
    assert np.isnan(got["output"].reshape(2, 3, -1)[:, :, where]).all()
    assert_agrees(got, want, np.float64)


@every_option
def test_X1_X2_hold_in_half_precision(mode, padding_mode, align_corners, d, channels_last):
    points = [p for p in (*ORDINARY, *WITH_NAN, *WITH_INF) if 1e300 not in p]
    options = Options(mode, padding_mode, align_corners)
    problem = Problem(SPACES[align_corners, d], grid_of(cut(points, d), np.float16, batch=2))
    half = run(problem, options, channels_last)
    wide = Problem(SPACES[align_corners, d], problem.grid.astype(np.float32))
    wide.image, wide.grad_output, wide.u, wide.v = (
        a.astype(np.float32) for a in (problem.image, problem.grad_output, problem.u, problem.v)
    )
    for name, result in run(wide, options, channels_last).items():
        assert np.array_equal(half[name], result.astype(np.float16), equal_nan=True), name


@every_option
@PRIMITIVES
def test_X2_infinite_coordinate(mode, padding_mode, align_corners, d, channels_last):
    options = Options(mode, padding_mode, align_corners)
    points = (ORDINARY[0], *[p for p in WITH_INF if any(map(math.isinf, p[:d]))], ORDINARY[1])
    problem, want = expected(options, points, SPACES[align_corners, d])
    got = run(problem, options, channels_last)
    infinite = np.isinf(problem.grid[:1]).reshape(-1, d)  # (P, d)
    rows = infinite.any(axis=1)
    if padding_mode == "reflection":
        show_nan_at(got, rows)
    elif padding_mode == "zeros":
        for name in ("output", "tangent"):
            assert (got[name].reshape(2, 3, -1)[:, :, rows] == 0).all()
        for name in PER_COMPONENT:
            assert (got[name].reshape(2, -1, d)[:, rows] == 0).all()
    else:  # exactly 0 along the infinite component
        assert (got["grad_grid"].reshape(2, -1, d)[:, infinite] == 0).all()
        assert (got["of_grid"].reshape(2, -1, d)[:, infinite] == 0).all()
    assert_agrees(got, want, np.float64)


@every_option
def test_X2_border_at_infinity_is_border_far_away(mode, padding_mode, align_corners, d, channels_last):
    if padding_mode != "border":
        return
    options = Options(mode, padding_mode, align_corners)
    infinite = grid_of(cut(WITH_INF, d), batch=2)
    far = np.where(np.isinf(infinite), np.copysign(2.0**20 + 1, infinite), infinite)
    space = SPACES[align_corners, d]
    results = [run(Problem(space, grid), options, channels_last) for grid in (infinite, far)]
    for name in ("output", "grad_input"):
        np.testing.assert_allclose(results[0][name], results[1][name], rtol=1e-13, atol=1e-13)


@MODE
@pytest.mark.parametrize("sign", [1, -1])
def test_X2_border_reads_the_edge_pixel(mode, sign):
    image = np.array([[[[3.0, 5.0, 7.0, 11.0]]]])
    grid = np.array([[[[sign * INF, 0.0]]]])
    for align_corners in (True, False):
        y = attn_ref.grid_sample(image, grid, mode=mode, padding_mode="border", align_corners=align_corners)
        assert y.item() == (11.0 if sign > 0 else 3.0)


@ALIGNED
@MODE
def test_X2_reflected_infinity_is_nan(mode, align_corners):
    image = np.arange(6.0).reshape(1, 1, 2, 3)
    for point in ((INF, 0.0), (0.0, -INF), (INF, INF)):
        grid = np.array(point).reshape(1, 1, 1, 2)
        y = attn_ref.grid_sample(image, grid, mode=mode, padding_mode="reflection", align_corners=align_corners)
        assert np.isnan(y).all()


@MODE
@PADDING
@DTYPE
@DIMENSIONS
def test_X2_finite_coordinate_that_overflows_counts_as_infinite(mode, padding_mode, dtype, d):
    largest = np.finfo(dtype).max
    options = Options(mode, padding_mode, False)
    space = SPACES[False, d]
    points = [tuple(s * largest if b == a else 0.3 for b in range(d)) for a in range(d) for s in (1, -1)]
    finite, infinite = (Problem(space, grid_of(p, dtype)) for p in (points, np.sign(points) * np.inf))
    infinite.grid = np.where(np.abs(finite.grid) > 1, infinite.grid, finite.grid)
    for name, want in run(infinite, options).items():
        assert np.array_equal(run(finite, options)[name], want, equal_nan=True), name


# Beyond these a float32 or float64 has no fraction; beyond the others no int32 or int64 has room.
HUGE = {
    np.float32: [2.0**24 + 2, 2.0**25 - 2, 2.0**31, -(2.0**31) - 256, 2.0**32 + 512, 2.0**63, -1e20, 3e37, -3e37],
    np.float64: [2.0**24 + 0.5, 2.0**31 + 0.5, -(2.0**32) - 1.25, 2.0**53 + 2, 2.0**63, -(2.0**64) - 4096, 1e300],
}


@every_option
@DTYPE
def test_X3_huge_finite_coordinates_are_right(mode, padding_mode, align_corners, d, channels_last, dtype):
    huge = HUGE[dtype]
    points = tuple((huge[i], *(0.35, huge[-1 - i])[:: 1 if i % 2 else -1]) for i in range(len(huge)))
    options = Options(mode, padding_mode, align_corners)
    problem, want = expected(options, points, SPACES[align_corners, d], dtype)
    assert_agrees(run(problem, options, channels_last), want, dtype)


@DTYPE
@ALIGNED
@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 100])
def test_X3_reflection_of_a_huge_pixel_is_integer_arithmetic(dtype, align_corners, size):
    """Python's integers say which pixel a huge p lands on: p modulo the period, mirrored in its second half."""
    image = np.arange(size, dtype=dtype).reshape(1, 1, 1, size)
    exponents = np.arange(26 if dtype == np.float32 else 54, 118 if dtype == np.float32 else 1000)
    g = (np.random.default_rng(3).uniform(1, 2, len(exponents)).astype(dtype) * dtype(2.0) ** exponents).astype(dtype)
    g = np.concatenate([g, -g])
    grid = np.stack([g, np.zeros_like(g)], axis=-1).reshape(1, 1, -1, 2)
    want = []
    for x in g:
        p = Fraction(oracle.pixel_coordinate(x, size, align_corners, dtype))
        assert p.denominator == 1  # there are no fractions this far out, except that one pixel maps all to 0
        period = 2 * (size - 1) if align_corners else 2 * size
        i = int(p) % period if period else 0
        want.append(i if i < size else (period - i if align_corners else period - 1 - i))
    for mode in MODES:
        y = attn_ref.grid_sample(image, grid, mode=mode, padding_mode="reflection", align_corners=align_corners)
        assert y[0, 0, 0].tolist() == want


@MODE
@ALIGNED
@DTYPE
@pytest.mark.parametrize("padding_mode", ["border", "reflection"])
def test_X3_weights_sum_to_one_at_any_size(mode, align_corners, dtype, padding_mode):
    exponents = np.linspace(-30, 120, 400)
    g = np.concatenate([-(2.0**exponents), 2.0**exponents]).astype(dtype)
    grid = np.stack([g, g[::-1]], axis=-1).reshape(1, 1, -1, 2)
    ones = np.ones((1, 1, 4, 6), dtype)
    y = attn_ref.grid_sample(ones, grid, mode=mode, padding_mode=padding_mode, align_corners=align_corners)
    np.testing.assert_allclose(y, 1, rtol=8 * np.finfo(dtype).eps)


@DTYPE
@MODE
@ALIGNED
def test_X3_zeros_far_away_reads_nothing(mode, align_corners, dtype):
    """A cast to an integer before the range test wraps round and lands inside."""
    g = np.array([*HUGE[dtype], *[2.0**k for k in range(8, 120)], *[-(2.0**k) for k in range(8, 120)]], dtype)
    grid = np.stack([g, np.zeros_like(g)], axis=-1).reshape(1, 1, -1, 2)
    problem = Problem((3, 4), grid)
    for name, result in run(problem, Options(mode, "zeros", align_corners)).items():
        assert (result == 0).all(), name


@st.composite
def any_problem(draw):
    dtype = draw(st.sampled_from([np.float32, np.float64]))
    space = tuple(draw(st.lists(st.integers(1, 5), min_size=2, max_size=3)))
    special = st.sampled_from([NAN, INF, -INF, -1.0, 1.0, 0.0, -0.0, 2.0**24 + 2, 1e30, -1e30, 2.0**53])
    any_float = st.floats(width=32 if dtype == np.float32 else 64)
    coordinate = st.one_of(st.floats(-4, 4, width=32), special, any_float)
    points = draw(st.lists(st.tuples(*[coordinate] * len(space)), min_size=1, max_size=4))
    options = Options(draw(st.sampled_from(MODES)), draw(st.sampled_from(PADDINGS)), draw(st.booleans()))
    return Problem(space, grid_of(points, dtype), seed=draw(st.integers(0, 9))), options, draw(st.booleans())


@given(any_problem())
def test_X1_X2_X3_any_float_whatever_is_a_coordinate(case):
    problem, options, channels_last = case
    want = oracle.everything(*problem.arrays, options)
    assert_agrees(run(problem, options, channels_last), want, problem.grid.dtype)
