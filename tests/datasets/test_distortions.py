"""The distortions, and above all the direction, the degrees and the pixels of the theta that undoes them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import attn_ref
from attn_ref.datasets import KINDS, distort, motion_of_theta
from attn_ref.datasets.distortions import _PATCH

from .helpers import bits, blobs

SHAPE = (28, 36)
SIGMA = 4.0


def undone(images, theta, shape):
    grid = attn_ref.affine_grid(theta, (*images.shape[:2], *shape), align_corners=False)
    return attn_ref.grid_sample(images, grid, align_corners=False)


@pytest.mark.parametrize("kind", ["R", "RTS"])
def test_sampling_the_distorted_image_with_theta_gives_the_upright_one_back(kind):
    """Linear interpolation errs by at most (|f_xx| + |f_yy|)/8, and |f_xx| ≤ 1/σ² for a blob; twice, at scale 0.7."""
    rng = np.random.default_rng(3)
    centres = (np.array(SHAPE[::-1]) - 1) / 2 + rng.uniform(-5, 5, (40, 1, 2))
    images = blobs(centres, SHAPE, SIGMA)
    distorted, theta = distort(images, kind, rng)
    bound = (1 / SIGMA**2 + 1 / (0.7 * SIGMA) ** 2) / 4
    inside = (slice(None), slice(None), slice(7, -7), slice(11, -11))  # 14 × 14: no corner of it is ever cut off
    assert abs(undone(distorted, theta, SHAPE) - images)[inside].max() < bound
    other_way = attn_ref.affine_inverse(theta)
    assert abs(undone(distorted, other_way, SHAPE) - images)[inside].max() > 10 * bound


@pytest.mark.parametrize("kind", ["R", "RTS"])
def test_the_distorted_image_is_the_upright_one_sampled_with_the_inverse(kind):
    images = np.random.default_rng(0).random((5, 2, *SHAPE))
    distorted, theta = distort(images, kind, 1)
    again = undone(images, attn_ref.affine_inverse(theta), distorted.shape[2:])
    np.testing.assert_allclose(distorted, again, rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", ["R", "RTS"])
def test_blobs_go_where_the_motion_says_in_degrees_and_pixels(kind):
    """Measured on the pixels: centres of mass of one blob at the centre, and of one to its right."""
    sigma, reach, shape = 1.6, 6.0, (28, 36)
    centre = (np.array(shape[::-1]) - 1) / 2
    at_centre = blobs(np.tile(centre, (60, 1, 1)), shape, sigma)
    at_right = blobs(np.tile(centre + np.array([reach, 0]), (60, 1, 1)), shape, sigma)
    middle, theta = distort(at_centre, kind, 5)
    right, same_theta = distort(at_right, kind, 5)
    assert np.array_equal(theta, same_theta)
    motion = motion_of_theta(theta, middle.shape[2:], shape)

    def mass_centres(images):
        y, x = np.mgrid[: images.shape[2], : images.shape[3]]
        weight = images[:, 0] / images.sum(axis=(1, 2, 3))[:, None, None]
        return np.stack([(weight * x).sum(axis=(1, 2)), (weight * y).sum(axis=(1, 2))], axis=1)

    moved = mass_centres(middle) - (np.array(middle.shape[:1:-1]) - 1) / 2
    assert abs(moved - motion.translate).max() < 0.05
    arm = mass_centres(right) - mass_centres(middle)
    assert abs(np.hypot(*arm.T) / reach - motion.scale).max() < 0.01
    degrees = np.degrees(np.arctan2(-arm[:, 1], arm[:, 0]))  # y points down: counter-clockwise is upward at the right
    assert abs(degrees - motion.rotate).max() < 0.5


@settings(max_examples=25)
@given(kind=st.sampled_from(sorted(KINDS)), seed=st.integers(0, 999), shape=st.tuples(*[st.integers(6, 40)] * 2))
def test_motions_stay_within_the_ranges_of_the_paper(kind, seed, shape):
    images, theta = distort(np.ones((7, 2, *shape)), kind, seed)
    canvas = [round(side * {"R": 1, "RTS": 1.5, "T": 60 / 28}[kind]) for side in shape]
    assert images.shape == (7, 2, *canvas)
    rotate, scale, translate = motion_of_theta(theta, canvas, shape)
    largest, (least, most) = {"R": 90, "RTS": 45, "T": 0}[kind], {"RTS": (0.7, 1.2)}.get(kind, (1, 1))
    assert (abs(rotate) <= largest + 1e-9).all()
    assert (scale >= least - 1e-12).all()
    assert (scale <= most + 1e-12).all()
    room = np.array(canvas[::-1]) - scale[:, None] * shape[::-1]
    assert (abs(translate) <= room / 2 + 1e-9).all()
    assert kind != "R" or not translate.any()


@pytest.mark.parametrize(("kind", "index"), [("R", 0), ("RTS", 0), ("RTS", 1)])
def test_rotation_and_scale_are_uniform(kind, index):
    """Mean and variance of 4,000 draws, within five standard deviations of the mean, and 5 %."""
    _, theta = distort(np.ones((4000, 1, 4, 4)), kind, 0)
    drawn = motion_of_theta(theta, (4, 4) if kind == "R" else (6, 6), (4, 4))[index]
    low, high = {("R", 0): (-90, 90), ("RTS", 0): (-45, 45), ("RTS", 1): (0.7, 1.2)}[kind, index]
    assert abs(drawn.mean() - (low + high) / 2) < 5 * (high - low) / np.sqrt(12 * 4000)
    assert drawn.var() == pytest.approx((high - low) ** 2 / 12, rel=0.05)


def test_t_copies_the_pixels_and_adds_clutter_of_other_samples():
    rng = np.random.default_rng(0)
    images = rng.integers(1, 256, (6, 1, 28, 28)).astype(np.float32) / 256
    images += np.arange(6, dtype=np.float32)[:, None, None, None]  # whose pixel it is: its whole part
    distorted, theta = distort(images, "T", rng)
    assert distorted.shape == (6, 1, 60, 60)
    left, top = (motion_of_theta(theta, (60, 60), (28, 28)).translate + 16).T
    foreign = []
    for n, (row, column) in enumerate(zip(np.rint(top).astype(int), np.rint(left).astype(int), strict=True)):
        np.testing.assert_allclose([top[n], left[n]], [row, column], atol=1e-5)
        own = np.zeros((60, 60), np.float32)
        own[row : row + 28, column : column + 28] = images[n, 0]
        other = distorted[n, 0] != own
        assert (distorted[n, 0][other] > own[other]).all()  # the brighter stays
        assert np.isin(distorted[n, 0][other], np.delete(images, n, axis=0)).all()
        assert other.sum() <= 6 * 6 * 6
        foreign.append(other.sum())
    assert foreign[0] > 36  # where all others are brighter


def test_clutter_comes_in_six_squares_of_six():
    """All black but one sample, whose pixels are all different: each sample's clutter is squares cut out of it."""
    images = np.zeros((40, 1, 28, 28), np.float32)
    images[0, 0] = np.arange(1, 785).reshape(28, 28)
    distorted, _ = distort(images, "T", 0)
    assert round(_PATCH * 28) == 6
    seen = 0
    for canvas in distorted[1:, 0]:
        for row, column in np.argwhere(canvas):
            value = int(canvas[row, column]) - 1
            square = canvas[row : row + 6, column : column + 6]
            expected = value + np.add.outer(28 * np.arange(6), np.arange(6)) + 1
            seen += square.shape == (6, 6) and np.array_equal(square, expected)
    assert 2 <= seen <= 18  # of 39 × 6 patches one in 39 is expected to come from that sample: 6


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_seed_decides_every_bit_and_the_images_are_left_alone(kind, dtype):
    images = np.random.default_rng(0).random((5, 3, 12, 17)).astype(dtype)
    before = images.tobytes()
    result = distort(images, kind, 1)
    assert bits(result) == bits(distort(images, kind, np.random.default_rng(1)))
    assert bits(result) != bits(distort(images, kind, 2))
    assert images.tobytes() == before
    assert result.images.dtype == result.theta.dtype == dtype


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("value", [1.0, -0.7])
def test_no_value_leaves_the_range_of_the_images_and_0(kind, value):
    images, _ = distort(np.full((50, 1, 11, 13), value, np.float32), kind, 0)
    assert images.min() >= min(0, np.float32(value))
    assert images.max() <= max(0, np.float32(value))
    assert (images == np.float32(value)).any()


def test_float32_and_float64_see_the_same_motion():
    images = np.random.default_rng(0).random((5, 3, 12, 17))
    double, single = (distort(images.astype(dtype), "RTS", 1) for dtype in (np.float64, np.float32))
    np.testing.assert_allclose(single.theta, double.theta, rtol=0, atol=1e-6)
    np.testing.assert_allclose(single.images, double.images, rtol=0, atol=2e-5)


def test_another_canvas_may_be_asked_for():
    images, theta = distort(np.ones((9, 1, *SHAPE)), "RTS", 0, size=(50, 44))
    assert images.shape[2:] == (50, 44)
    room = np.array([44, 50]) - motion_of_theta(theta, (50, 44), SHAPE).scale[:, None] * SHAPE[::-1]
    assert (abs(motion_of_theta(theta, (50, 44), SHAPE).translate) <= room / 2 + 1e-9).all()


@pytest.mark.parametrize("kind", ["R", "RTS"])
def test_no_images_give_no_images(kind):
    images, theta = distort(np.ones((0, 1, 28, 28)), kind, 0)
    assert images.shape[0] == theta.shape[0] == 0


ONES = np.ones((2, 1, 28, 28), np.float32)


@pytest.mark.parametrize(
    ("arguments", "exception", "words"),
    [
        ({"kind": "TRS"}, ValueError, "kind='TRS' is unknown: expected one of 'R', 'RTS', 'T'"),
        ({"kind": None}, TypeError, "kind must be a string"),
        ({"images": ONES.tolist()}, TypeError, "images"),
        ({"images": ONES.astype(np.uint8)}, TypeError, "images has dtype uint8"),
        ({"images": ONES.astype(np.float16)}, TypeError, "expected float32 or float64"),
        ({"images": ONES[:, 0]}, ValueError, r"images has shape \(2, 28, 28\): expected \(N, C, H, W\)"),
        ({"images": ONES[..., :0]}, ValueError, "with pixels"),
        ({"images": ONES[:1], "kind": "T"}, ValueError, "cuts clutter from other samples, give at least 2"),
        ({"size": (33, 50)}, ValueError, r"size=\(33, 50\) is too small: .* up to 33.6 × 33.6"),
        ({"size": 42}, TypeError, "size must be a tuple of integers"),
    ],
)
def test_mistakes_are_named(arguments, exception, words):
    with pytest.raises(exception, match=words):
        distort(**{"images": ONES, "kind": "RTS", "rng": 0, **arguments})


def test_the_motion_of_a_sheared_theta_is_that_of_the_nearest_rotation():
    rng = np.random.default_rng(0)
    theta = np.concatenate([rng.normal(size=(50, 2, 2)), np.zeros((50, 2, 1))], axis=2)
    theta[:, :, :2] *= np.sign(np.linalg.det(theta[:, :, :2]))[:, None, None] ** [[0], [1]]  # no mirror images
    rotate, scale, _ = motion_of_theta(theta, (9, 9), (9, 9))
    U, values, V = np.linalg.svd(theta[:, :, :2])
    nearest = U @ V
    np.testing.assert_allclose(rotate, np.degrees(np.arctan2(nearest[:, 0, 1], nearest[:, 0, 0])), atol=1e-9)
    np.testing.assert_allclose(scale, np.sqrt(values.prod(axis=1)), rtol=1e-12)


@pytest.mark.parametrize(
    ("theta", "exception", "words"),
    [
        (np.ones((2, 3)), ValueError, r"theta has shape \(2, 3\): expected \(N, 2, 3\)"),
        (np.ones((1, 3, 4)), ValueError, "theta has shape"),
        ([[[1.0, 0, 0], [0, 1, 0]]], TypeError, "theta"),
    ],
)
def test_a_motion_is_of_a_theta(theta, exception, words):
    with pytest.raises(exception, match=words):
        motion_of_theta(theta, (9, 9), (9, 9))
