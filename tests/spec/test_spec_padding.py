"""Rules P1 to P4 and M1 to M3: paddings and modes, by values computed by hand and by exact kinks."""

import math
from fractions import Fraction

import numpy as np
import pytest

import attn_ref

from . import oracle
from .cases import ALIGNED, DTYPE, MODES, SPACES, Problem, assert_agrees, every_option, normalised, pixel_grid, run
from .oracle import Options

ROW = [10.0, 20.0, 40.0, 80.0, 160.0]  # slopes between pixels: 10, 20, 40, 80
EDGE_ROW = [10.0, 20.0, 40.0, 80.0]
TINY = 2.0**-40


def along_x(p, mode, padding_mode, align_corners=True, row=None):
    """Value, first and second derivative at pixel p of a row, per pixel; the rows above and below are the same."""
    row = np.array(row or (ROW if align_corners else EDGE_ROW))
    image = np.broadcast_to(row, (1, 1, 4, len(row)))
    factor = (len(row) - 1 if align_corners else len(row)) / 2
    y = 0.0 if not align_corners else 1 / 3  # inside the image
    grid = np.array([[[[normalised(p, len(row), align_corners), y]]]])
    options = {"mode": mode, "padding_mode": padding_mode, "align_corners": align_corners}
    one, v, none = np.ones((1, 1, 1, 1)), np.array([[[[1.0, 0.0]]]]), np.zeros(image.shape)
    value = attn_ref.grid_sample(image, grid, **options).item()
    back = attn_ref.grid_sample_backward(one, image, grid, **options).grid.ravel()
    bend = attn_ref.grid_sample_double_backward(none, v, one, image, grid, **options).grid.ravel()
    push = attn_ref.grid_sample_jvp(image, grid, none, v, **options).item()
    assert push == back[0]
    return value, back[0] / factor, bend[0] / factor**2


def expect(p, value, slope, **options):
    got = along_x(p, options.pop("mode", "bilinear"), **options)
    assert got[:2] == pytest.approx((value, slope), rel=1e-9, abs=1e-9)
    if slope == 0:
        assert got[1] == 0  # exactly


# Every kind of place along an axis, in pixels, met by all three coordinates in turn.
KINKS = [0, 1, 2, 3, 4, 7, -1, -0.5, -1.5, 0.5, 1.5, 2.5, 3.5, 4.5, 5, 6, 8, 9, -4, -4.5, -5, -8.5, 15.5, 16, 0.75]


@every_option
def test_P1_P2_P3_P4_M1_M2_M3_on_every_kink(mode, padding_mode, align_corners, d, channels_last):
    n = len(KINKS)
    points = [tuple(KINKS[(i * step + step) % n] for step in (1, 3, 7)[:d]) for i in range(n)]
    space = SPACES[align_corners, d]
    problem = Problem(space, pixel_grid(points, space, align_corners))
    options = Options(mode, padding_mode, align_corners)
    assert_agrees(run(problem, options, channels_last), oracle.everything(*problem.arrays, options), np.float64)


@pytest.mark.parametrize(
    ("p", "value", "slope"),
    [
        (-1 - TINY, 0, 0),
        (-1, 0, 10),  # the right-hand derivative
        (-0.5, 5, 10),
        (0, 10, 10),
        (1, 20, 20),
        (3.75, 140, 80),
        (4, 160, -160),  # towards the nothing on the right
        (4.5, 80, -160),
        (5, 0, 0),
        (300, 0, 0),
    ],
)
def test_P1_zeros_gates_tap_by_tap_and_fades_over_one_pixel(p, value, slope):
    expect(p, value, slope, padding_mode="zeros")


def test_P1_taps_are_gated_one_by_one_in_a_corner():
    image, grid = np.array([[[[8.0, 1.0], [1.0, 1.0]]]]), np.array([[[[-2.0, -2.0]]]])
    assert attn_ref.grid_sample(image, grid, align_corners=True).item() == 2  # p = (−½, −½): a quarter of 8


@pytest.mark.parametrize(
    ("p", "value", "slope"),
    [
        (-7, 10, 0),
        (0, 10, 0),  # on the end, the right-hand derivative would be 10
        (TINY, 10, 10),
        (1, 20, 20),
        (4 - TINY, 160, 80),
        (4, 160, 0),
        (4.5, 160, 0),
    ],
)
def test_P2_border_clips_and_is_flat_on_and_beyond_the_ends(p, value, slope):
    expect(p, value, slope, padding_mode="border")


def test_P2_border_clips_to_pixel_centres_also_when_edges_are_the_reference():
    for p, value, slope in ((-0.5, 10, 0), (-0.25, 10, 0), (0.25, 12.5, 10), (3.25, 80, 0), (3.5, 80, 0)):
        expect(p, value, slope, padding_mode="border", align_corners=False)


@pytest.mark.parametrize(
    ("p", "value", "slope"),
    [
        (0, 10, 0),  # at the mirrors
        (4, 160, 0),
        (8, 10, 0),
        (-4, 160, 0),
        (0.5, 15, 10),
        (-0.5, 15, -10),  # fold −1
        (-1, 20, -20),  # right-hand in q, so left-hand in p
        (4.5, 120, -80),  # fold 1
        (7, 20, -20),
        (8.5, 15, 10),  # fold 2
        (9, 20, 20),
        (-7.5, 15, 10),  # fold −2
        (8 * 10**6 + 1, 20, 20),
        (-(8 * 10**6) - 1, 20, -20),
    ],
)
def test_P3_reflection_about_centres(p, value, slope):
    expect(p, value, slope, padding_mode="reflection")


@pytest.mark.parametrize(
    ("p", "value", "slope"),
    [
        (-0.5, 10, 0),  # the mirror; and half a pixel on both sides is clipped
        (-0.25, 10, 0),
        (-0.75, 10, 0),
        (-1, 10, 0),
        (0, 10, 0),
        (0.25, 12.5, 10),
        (-1.25, 12.5, -10),
        (-2, 20, -20),
        (3, 80, 0),
        (3.5, 80, 0),
        (4, 80, 0),
        (4.25, 70, -40),
        (7.5, 10, 0),  # the second mirror from there
        (8.25, 12.5, 10),
        (-8.5, 10, 0),
        (8 * 10**6 + 1, 20, 20),
    ],
)
def test_P3_reflection_about_edges(p, value, slope):
    expect(p, value, slope, padding_mode="reflection", align_corners=False)


def test_P3_one_aligned_pixel_has_coordinate_0_and_derivative_0():
    for mode in MODES:
        image, grid = np.array([[[[8.0]]]]), np.array([[[[5.25, -3.0]]]])
        options = {"mode": mode, "padding_mode": "reflection", "align_corners": True}
        assert attn_ref.grid_sample(image, grid, **options).item() == 8
        assert (attn_ref.grid_sample_backward(image, image, grid, **options).grid == 0).all()


@DTYPE
@ALIGNED
@pytest.mark.parametrize("size", [2, 3, 6, 37])
def test_P3_whole_periods_are_taken_off_before_half_a_pixel_is_added(dtype, align_corners, size):
    """p + ½ would be rounded to an even pixel from 2²³ (2⁵²) on; fmod first keeps the pixel. Oracle: fractions."""
    image = np.arange(size, dtype=dtype).reshape(1, 1, 1, size)
    top = 24 if dtype == np.float32 else 53
    generator = np.random.default_rng(size)
    g = np.concatenate([generator.uniform(-1, 1, 50).astype(dtype) * dtype(2.0**k) for k in range(top - 6, top + 4)])
    grid = np.stack([g, np.zeros_like(g)], axis=-1).reshape(1, 1, -1, 2)
    p = [Fraction(oracle.pixel_coordinate(x, size, align_corners, dtype)) for x in g]
    q = [float(oracle.pad(x, size, "reflection", align_corners)[0]) for x in p]
    y = attn_ref.grid_sample(image, grid, padding_mode="reflection", align_corners=align_corners)
    np.testing.assert_allclose(y.ravel(), q, rtol=0, atol=4 * size * np.finfo(dtype).eps)


def test_P4_cubic_pads_the_index_of_each_tap():
    # weights −3/32, 19/32, 19/32, −3/32; pixels −2, −1, 0, 1 become 0, 0, 0, 1
    value = 10 * 35 / 32 - 20 * 3 / 32
    slope = 10 * 3 / 16 - 20 * 3 / 16  # of the unpadded coordinate: not 0
    expect(-0.5, value, slope, mode="bicubic", padding_mode="border")
    # reflected about pixel 0: 2, 1, 0, 1
    value = (-3 * 40 + 19 * 20 + 19 * 10 - 3 * 20) / 32
    slope = (3 * 40 - 21 * 20 + 21 * 10 - 3 * 20) / 16
    expect(-0.5, value, slope, mode="bicubic", padding_mode="reflection")
    # reflected about the edge −½: 1, 0, 0, 1
    value = (-3 * 20 + 19 * 10 + 19 * 10 - 3 * 20) / 32
    expect(-0.5, value, 0, mode="bicubic", padding_mode="reflection", align_corners=False)
    # zeros: −, −, 0, 1
    expect(-0.5, (19 * 10 - 3 * 20) / 32, (21 * 10 - 3 * 20) / 16, mode="bicubic", padding_mode="zeros")


def test_P4_linear_and_nearest_pad_the_coordinate():
    expect(-0.5, 10, 0, padding_mode="border")
    expect(-1.5, 30, -20, padding_mode="reflection")
    expect(5.4, 80, 0, mode="nearest", padding_mode="reflection")  # 8 − 5.4 = 2.6


@pytest.mark.parametrize("p", [0.0, 0.25, 1.0, 1.5, 2.0, 3.75])
def test_M1_linear_weights_and_right_hand_derivatives(p):
    i = math.floor(p)
    t, slope = p - i, ROW[i + 1] - ROW[i]
    value, first, second = along_x(p, "bilinear", "zeros")
    assert (value, first, second) == ((1 - t) * ROW[i] + t * ROW[i + 1], slope, 0.0)


def test_M1_left_and_right_of_a_kink():
    for p, slope in ((1 - TINY, 10), (1, 20), (1 + TINY, 20)):
        expect(p, 20, slope, padding_mode="border")
    for p, slope in ((-1 - TINY, -20), (-1, -20), (-1 + TINY, -10)):  # fold −1: the side with the larger q
        expect(p, 20, slope, padding_mode="reflection")


def test_M1_trilinear_weights():
    image = np.zeros((1, 1, 2, 2, 2))
    grid = np.array([[[[[0.5, 0.0, -0.5]]]]])  # p = (¾, ½, ¼)
    grad = attn_ref.grid_sample_backward(np.ones((1, 1, 1, 1, 1)), image, grid, align_corners=True)
    for z, wz in enumerate((0.75, 0.25)):
        for y, wy in enumerate((0.5, 0.5)):
            for x, wx in enumerate((0.25, 0.75)):
                assert grad.input[0, 0, z, y, x] == wz * wy * wx


@pytest.mark.parametrize(
    ("padding_mode", "p", "pixel"),
    [
        *[("zeros", p, i) for p, i in ((0.5, 0), (1.5, 2), (2.5, 2), (1.49, 1), (2.51, 3), (-0.5, 0), (4.5, 4))],
        *[("zeros", p, None) for p in (-0.51, 4.51, -1.5)],
        *[("border", p, i) for p, i in ((-0.51, 0), (4.51, 4), (3.5, 4), (2.5, 2))],
        *[("reflection", p, i) for p, i in ((-0.5, 0), (-1.5, 2), (4.5, 4), (5.5, 2), (6.5, 2), (-2.5, 2))],
    ],
)
def test_M2_nearest_pads_then_rounds_half_to_even(padding_mode, p, pixel):
    expect(p, 0 if pixel is None else ROW[pixel], 0, mode="nearest", padding_mode=padding_mode)


def test_M2_rounding_at_the_edges():
    """With four pixels ½ rounds down to 0 and 3½ up to 4, which is outside."""
    for padding_mode, p, value in (
        ("zeros", -0.5, 10),
        ("zeros", 3.5, 0),
        ("border", 3.5, 80),
        ("reflection", 3.5, 80),
        ("reflection", 4.5, 40),  # q = 2.5
        ("reflection", -1.5, 10),  # q = 0.5
    ):
        expect(p, value, 0, mode="nearest", padding_mode=padding_mode, align_corners=False)


def keys(d):
    """The kernel as Keys wrote it, A = −3/4."""
    d, a = abs(d), -0.75
    return (a + 2) * d**3 - (a + 3) * d**2 + 1 if d <= 1 else a * (d**3 - 5 * d**2 + 8 * d - 4) if d <= 2 else 0.0


@pytest.mark.parametrize("t", [0.0, 0.125, 0.25, 0.5, 0.9375])
def test_M3_cubic_weights_are_keys_kernel(t):
    for pixel in range(6):
        row = [0.0] * 6
        row[pixel] = 1.0
        assert along_x(2 + t, "bicubic", "zeros", row=row)[0] == pytest.approx(keys(2 + t - pixel), abs=1e-14)


def test_M3_first_derivatives_are_continuous_second_ones_right_handed():
    left, here, right = (along_x(p, "bicubic", "zeros") for p in (2 - TINY, 2.0, 2 + TINY))
    assert left[1] == pytest.approx(here[1], abs=1e-8)
    assert here[1] == pytest.approx(0.75 * (80 - 20))  # −A (x₃ − x₁)
    # twice the coefficients of t² of the four weights
    second = 2 * (-2 * -0.75 * 20 - (-0.75 + 3) * 40 + (2 * -0.75 + 3) * 80 - 0.75 * 160)
    assert here[2] == pytest.approx(second)
    assert right[2] == pytest.approx(second, abs=1e-7)
    assert abs(left[2] - second) > 1


def test_M3_the_kernels_parameter_is_minus_three_quarters():
    """Keys' own −½ would give a straight line its slope 1 everywhere."""
    value, slope, _ = along_x(2.5, "bicubic", "zeros", row=[0.0, 1.0, 2.0, 3.0, 4.0, 5.0])
    assert (value, slope) == pytest.approx((2.5, 0.75))
