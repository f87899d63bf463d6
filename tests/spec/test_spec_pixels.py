"""Rules X4 and X5: pixels that are NaN or infinite, used and unused."""

import functools
import math

import numpy as np
import pytest

import attn_ref

from . import oracle
from .cases import MODE, PADDINGS, PRIMITIVES, SPACES, Problem, assert_agrees, every_option, grid_of, pixel_grid, run
from .oracle import Options

NAN, INF = math.nan, math.inf
# Along one axis, in pixels: whole and half ones inside, both ends, just and far beyond, every fold.
ALONG = [0, 1, 1.25, 1.5, 2, 2.75, 3, 4, -0.25, -0.5, -1, -1.5, -2.5, 4.5, 5.25, 6, 7, 8.5, 11, -9, 40, -40]


def kinks(d):
    """Points that meet each place of ALONG in one coordinate while the others take another one."""
    n = len(ALONG)
    return [tuple(ALONG[(i * step + shift) % n] for step, shift in ((1, 0), (3, 1), (5, 2))[:d]) for i in range(n)]


@functools.cache
def faulty(options, d, name, value):
    space = SPACES[options.align_corners, d]
    finite = pixel_grid(kinks(d), space, options.align_corners)
    infinite = grid_of([(INF, 0.4, -0.3)[:d], (0.1, -INF, 0.2)[:d], (-INF, -INF, INF)[:d]])
    problem = Problem(space, np.concatenate([finite, infinite], axis=-2))
    array = getattr(problem, name)
    places = np.random.default_rng(7).permutation(array[0, 0].size)[:2]
    array[0, 1].reshape(-1)[places] = value
    return problem, oracle.everything(*problem.arrays, options)


@every_option
@pytest.mark.parametrize(("name", "value"), [("image", INF), ("image", NAN), ("u", -INF)])
@PRIMITIVES
def test_X5_used_pixels_follow_ieee_arithmetic(mode, padding_mode, align_corners, d, channels_last, name, value):
    options = Options(mode, padding_mode, align_corners)
    problem, want = faulty(options, d, name, value)
    assert_agrees(run(problem, options, channels_last), want, np.float64)


@every_option
@PRIMITIVES
def test_X4_unused_pixels_never_touch_the_result(mode, padding_mode, align_corners, d, channels_last):
    options = Options(mode, padding_mode, align_corners)
    space = SPACES[align_corners, d]
    for point in kinks(d)[::3]:
        clean = Problem(space, pixel_grid([point], space, align_corners))
        used = np.zeros(space, bool)
        for _, taps_of in oracle.points(clean.grid, space, options):
            for pixel, _ in taps_of():
                used[pixel] = True
        want = run(clean, options, channels_last)
        for poison in (NAN, INF):
            poisoned = Problem(space, clean.grid)
            poisoned.image[..., ~used] = poison
            poisoned.u[..., ~used] = poison
            for name, result in run(poisoned, options, channels_last).items():
                assert result.tobytes() == want[name].tobytes(), name


@every_option
@PRIMITIVES
def test_X4_points_outside_add_nothing_whatever_their_cotangent_is(mode, padding_mode, align_corners, d, channels_last):
    """The transpose of a tap that reads nothing: one that writes nothing."""
    space = SPACES[align_corners, d]
    grid = pixel_grid([(20, 1, 1)[:d], (1, -20, 1)[:d], (1.5, 0.25, 0.75)[:d]], space, align_corners)
    clean, spoilt = Problem(space, grid), Problem(space, grid)
    clean.grad_output[..., :2] = 0
    spoilt.grad_output[..., :2] = NAN
    options = Options(mode, "zeros", align_corners)
    want, got = run(clean, options, channels_last), run(spoilt, options, channels_last)
    if padding_mode != "zeros":  # where there is always a pixel, the cotangent arrives
        got = run(spoilt, Options(mode, padding_mode, align_corners), channels_last)
        assert np.isnan(got["grad_input"]).any()
        return
    for name in ("grad_input", "of_input"):
        np.testing.assert_array_equal(got[name], want[name])


ROW = np.array([2.0, 3.0, 5.0, 7.0, 11.0])


def at(p, *, mode="bilinear", padding_mode="border", **infinite):
    """Read a row of five pixels at p, some of them replaced: (value, derivative in pixels)."""
    row = ROW.copy()
    for name, value in infinite.items():
        row[int(name[1:])] = value
    options = {"mode": mode, "padding_mode": padding_mode, "align_corners": True}
    image, grid = row.reshape(1, 1, 1, 5), np.array([[[[p / 2 - 1, 0.0]]]])
    y = attn_ref.grid_sample(image, grid, **options)
    slope = attn_ref.grid_sample_backward(np.ones_like(y), image, grid, **options).grid[..., 0] / 2
    return y.item(), slope.item()


def test_X5_weight_zero_inside_the_image_is_used():
    value, slope = at(1.0, p2=INF)  # weights 1, 0 on pixels 1, 2
    assert math.isnan(value)
    assert slope == INF
    assert at(2.0, p1=INF) == (5.0, 2.0)  # the left neighbour is no tap of a whole pixel


def test_X5_weight_zero_outside_the_image_is_not_used():
    for padding_mode in PADDINGS:
        assert at(4.0, padding_mode=padding_mode)[0] == 11.0
    assert at(4.0, padding_mode="zeros", p4=INF) == (INF, -INF)
    assert at(-1.0, padding_mode="zeros")[0] == 0.0
    value, slope = at(-1.0, padding_mode="zeros", p0=INF)  # weight 0 on pixel 0: used
    assert math.isnan(value)
    assert slope == INF


@pytest.mark.parametrize("p", [4.0, 4.5, 300.0, INF])
def test_X5_infinite_pixel_at_a_clamped_border(p):
    assert at(p, p4=INF) == (INF, 0.0)
    assert at(p, p4=-INF) == (-INF, 0.0)
    assert at(p, p3=INF) == (11.0, 0.0)  # the clamped coordinate's cell begins at the last pixel


@pytest.mark.parametrize("padding_mode", ["border", "reflection"])
def test_X5_derivative_is_zero_where_padding_holds_the_coordinate(padding_mode):
    ends = [0.0, 4.0] if padding_mode == "reflection" else [0.0, 4.0, -3.0, 17.5]
    for p in ends:
        for spoilt in ({"p0": INF}, {"p1": NAN}, {"p3": NAN}, {"p4": -INF}):
            assert at(p, padding_mode=padding_mode, **spoilt)[1] == 0.0


@MODE
def test_X5_derivative_is_zero_on_one_aligned_pixel_that_is_infinite(mode):
    image = np.full((1, 1, 1, 1), INF)
    grid = np.array([[[[0.3, -7.0]]]])
    for padding_mode in PADDINGS:
        options = {"mode": mode, "padding_mode": padding_mode, "align_corners": True}
        grad = attn_ref.grid_sample_backward(np.ones((1, 1, 1, 1)), image, grid, **options).grid
        assert (grad == 0).all()


def test_X5_nearest_has_no_derivative_at_an_infinite_pixel():
    assert at(1.2, mode="nearest", p1=INF) == (INF, 0.0)
    value, slope = at(1.2, mode="nearest", p1=NAN)
    assert math.isnan(value)
    assert slope == 0.0


def test_X5_both_infinities_meet_as_nan():
    value, _ = at(1.5, p1=INF, p2=-INF)
    assert math.isnan(value)


@PRIMITIVES
@pytest.mark.parametrize("cotangent", [INF, NAN])
def test_X4_X5_cotangent_that_is_not_finite_meets_used_pixels_only(cotangent):
    """At −½ one of two taps is used; at −3, and at infinity, none: 0 · inf would be NaN."""
    image = ROW.reshape(1, 1, 1, 5)
    grid = np.array([[[[-0.5 / 2 - 1, 0.0], [-3 / 2 - 1, 0.0], [-INF, 0.0]]]])
    grad_output = np.full((1, 1, 1, 3), cotangent)
    grad = attn_ref.grid_sample_backward(grad_output, image, grid, align_corners=True)
    np.testing.assert_array_equal(grad.grid[0, 0, :, 0], [cotangent, 0, 0])
    np.testing.assert_array_equal(grad.input[0, 0, 0], [cotangent, 0, 0, 0, 0])
