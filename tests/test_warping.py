"""The geometry of a motion: exact cases, both alignments, images that are not square."""

import math

import numpy as np
import pytest

from attn_ref import affine_grid
from attn_ref.ops.coordinates import to_pixels
from attn_ref.warping import sample_in_bands, theta_from_motion

ALIGNED = pytest.mark.parametrize("align_corners", [True, False])
rng = np.random.default_rng


def moved(image, align_corners, output_size=None, mode="bilinear", padding_mode="zeros", **motion):
    theta = theta_from_motion(image.shape[:2], output_size, align_corners=align_corners, **motion)
    grid = affine_grid(theta, (1, 1, *(output_size or image.shape[:2])), align_corners=align_corners)
    return sample_in_bands(image, grid, mode=mode, padding_mode=padding_mode, align_corners=align_corners)


def source_pixels(input_size, output_size, align_corners, **motion):
    """Pixel (x, y) that each output pixel reads."""
    theta = theta_from_motion(input_size, output_size, align_corners=align_corners, **motion)
    grid = affine_grid(theta, (1, 1, *(output_size or input_size)), align_corners=align_corners)[0]
    return np.stack([to_pixels(np, grid[..., a], input_size[1 - a], align_corners) for a in (0, 1)], axis=-1)


@ALIGNED
def test_no_motion_is_the_identity(align_corners):
    theta = theta_from_motion((5, 7), align_corners=align_corners)
    assert theta.shape == (1, 2, 3)
    assert theta.dtype == np.float64
    np.testing.assert_array_equal(theta[0], [[1, 0, 0], [0, 1, 0]])


@ALIGNED
@pytest.mark.parametrize("mode", ["bilinear", "nearest", "bicubic"])
@pytest.mark.parametrize("quarters", [-3, -1, 1, 2, 3, 4, 5])
def test_quarter_turns_of_a_square_are_those_of_numpy(quarters, mode, align_corners):
    image = rng(0).integers(0, 256, (9, 9, 3)).astype(float)
    turned = moved(image, align_corners, rotate=90 * quarters, mode=mode)
    np.testing.assert_allclose(turned, np.rot90(image, quarters), rtol=0, atol=1e-10)


@ALIGNED
@pytest.mark.parametrize("size", [(5, 8), (6, 9), (7, 3)])
def test_a_quarter_turn_into_the_turned_size_is_whole(size, align_corners):
    image = rng(1).random((*size, 2))
    turned = moved(image, align_corners, size[::-1], rotate=90)
    np.testing.assert_allclose(turned, np.rot90(image), rtol=0, atol=1e-12)


@ALIGNED
def test_a_quarter_turn_of_an_oblong_keeps_its_pixels_square(align_corners):
    image = rng(2).random((6, 10, 1))
    turned = moved(image, align_corners, rotate=90)
    expected = np.zeros_like(image)
    expected[:, 2:8] = np.rot90(image)[2:8]  # the middle of a 10 × 6 picture in a frame of 6 × 10
    np.testing.assert_allclose(turned, expected, rtol=0, atol=1e-12)


@ALIGNED
@pytest.mark.parametrize("output_size", [None, (11, 4)])
def test_a_motion_is_what_its_equation_says(output_size, align_corners):
    size, (phi, psi, scale, (tx, ty)) = (6, 9), (37.0, -20.0, 1.7, (0.1, -0.25))
    got = source_pixels(size, output_size, align_corners, rotate=phi, shear=psi, scale=scale, translate=(tx, ty))
    height, width = output_size or size
    cos, sin, lean = math.cos(math.radians(phi)), math.sin(math.radians(phi)), math.tan(math.radians(psi))
    for i, j in [(0, 0), (3, 2), (height - 1, width - 1)]:
        x, y = got[i, j] - [(size[1] - 1) / 2, (size[0] - 1) / 2]
        x, y = scale * x, scale * y
        x, y = x - lean * y, y
        x, y = cos * x + sin * y, -sin * x + cos * y
        x, y = x + (width - 1) / 2 + tx * width, y + (height - 1) / 2 + ty * height
        np.testing.assert_allclose([x, y], [j, i], rtol=0, atol=1e-12)


def test_both_alignments_read_the_same_pixels():
    motion = {"rotate": 10, "scale": 0.5, "shear": 15, "translate": (0.3, 0.2)}
    first, second = (source_pixels((7, 5), (4, 9), aligned, **motion) for aligned in (True, False))
    np.testing.assert_allclose(first, second, rtol=0, atol=1e-12)


@ALIGNED
def test_twice_as_large_shows_the_middle_half(align_corners):
    image = rng(3).random((4, 6, 1))
    enlarged = moved(image, align_corners, (8, 12), scale=2, mode="nearest")
    np.testing.assert_array_equal(enlarged, image.repeat(2, 0).repeat(2, 1))
    np.testing.assert_array_equal(moved(image, align_corners, scale=2, mode="nearest"), enlarged[2:6, 3:9])


@ALIGNED
def test_translation_is_in_fractions_of_the_output_right_and_down(align_corners):
    image = rng(4).random((4, 10, 1))
    shifted = moved(image, align_corners, translate=(0.2, 0.5))
    expected = np.zeros_like(image)
    expected[2:, 2:] = image[:2, :8]
    np.testing.assert_allclose(shifted, expected, rtol=0, atol=1e-12)


@ALIGNED
def test_a_positive_shear_leans_the_top_to_the_right(align_corners):
    image = np.zeros((5, 9, 1))
    image[:, 4] = 1
    leaning = moved(image, align_corners, shear=45)
    np.testing.assert_allclose(leaning[..., 0], np.eye(9)[6:1:-1], rtol=0, atol=1e-12)


def test_a_negative_scale_is_a_half_turn():
    np.testing.assert_allclose(
        theta_from_motion((4, 7), scale=-1, align_corners=False),
        theta_from_motion((4, 7), rotate=180, align_corners=False),
        rtol=0,
        atol=0,
    )


@ALIGNED
@pytest.mark.parametrize("size", [(1, 1), (1, 5), (4, 1)])
def test_an_axis_of_one_pixel_stays(size, align_corners):
    image = rng(5).random((*size, 2)) + 1
    np.testing.assert_allclose(moved(image, align_corners), image, rtol=1e-14)
    assert np.isfinite(moved(image, align_corners, rotate=30, scale=3)).all()


@pytest.mark.parametrize(
    ("motion", "message"),
    [
        ({"scale": 0.0}, "scale must not be 0"),
        ({"scale": float("nan")}, "scale must be finite, got nan"),
        ({"rotate": float("inf")}, "rotate must be finite, got inf"),
        ({"shear": float("-inf")}, "shear must be finite"),
        ({"translate": (0.0, float("nan"))}, "translate must be finite"),
        ({"shear": 90.0}, "shear must lie strictly between -90 and 90 degrees, got 90"),
        ({"shear": -135.0}, "shear must lie strictly"),
        ({"scale": 1e-150}, "its inverse is beyond"),
        ({"scale": 1e-320}, "too small"),
        ({"scale": 1.7e308}, "too large"),
        ({"translate": (1.7e308, 0.0)}, "too large"),
        ({"translate": (1e120, 0.0)}, "too large"),
    ],
)
def test_impossible_motions_are_refused(motion, message):
    with pytest.raises(ValueError, match=message):
        theta_from_motion((4, 5), align_corners=False, **motion)


def test_sizes_and_alignment_are_checked():
    with pytest.raises(ValueError, match="input_size has an entry below 1"):
        theta_from_motion((0, 5), align_corners=False)
    with pytest.raises(ValueError, match="output_size has an entry below 1"):
        theta_from_motion((3, 5), (2, 0), align_corners=False)
    with pytest.raises(TypeError, match="align_corners must be True or False"):
        theta_from_motion((3, 5), align_corners=1)


def test_bands_make_no_difference(monkeypatch):
    image = rng(6).random((13, 11, 3))
    whole = moved(image, False, rotate=20, mode="bicubic", padding_mode="reflection")
    monkeypatch.setattr("attn_ref.warping._POINTS", 25)
    seen = []
    theta = theta_from_motion((13, 11), rotate=20, align_corners=False)
    grid = affine_grid(theta, (1, 1, 13, 11), align_corners=False)
    options = {"mode": "bicubic", "padding_mode": "reflection", "align_corners": False}
    banded = sample_in_bands(image, grid, track=lambda bands: seen.append(bands) or bands, **options)
    np.testing.assert_array_equal(banded, whole)
    assert seen == [range(0, 13, 2)]
