"""The drawn digits: their ink against a literal version, and their theta in degrees and pixels."""

import math
from itertools import pairwise

import numpy as np
import pytest

import attn_ref
from attn_ref.datasets import KINDS, motion_of_theta, stroke_digits
from attn_ref.datasets import strokes as module

from .helpers import bits

LABELS = np.repeat(np.arange(10), 12)


def undone(digits, theta):
    grid = attn_ref.affine_grid(theta.astype(np.float32), digits.upright.shape, align_corners=False)
    return attn_ref.grid_sample(digits.images, grid, align_corners=False)


def squared_error(digits, theta):
    return float(((undone(digits, theta) - digits.upright) ** 2).mean())


def turned(theta, size, upright_size, degrees=0.0, right=0.0, down=0.0, factor=1.0):
    """Theta of the same motions, turned, moved or enlarged a little more; literally equation (2)."""
    motion = motion_of_theta(theta, (size, size), (upright_size, upright_size))
    rows = []
    for rotate, scale, (x, y) in zip(*motion, strict=True):
        c, s = (factor * scale * f(math.radians(rotate + degrees)) for f in (math.cos, math.sin))
        k = upright_size / size
        rows.append([[c * k, s * k, 2 * (x + right) / size], [-s * k, c * k, 2 * (y + down) / size]])
    return np.array(rows)


@pytest.mark.parametrize("kind", ["R", "RTS"])
def test_theta_is_the_motion_in_degrees_and_pixels(kind):
    """No other theta a few degrees, half a pixel or a few per cent away undoes the distortion as well."""
    digits = stroke_digits(len(LABELS), 0, labels=LABELS, kind=kind, size=56)
    size = digits.images.shape[2]
    np.testing.assert_allclose(turned(digits.theta, size, 56), digits.theta, atol=1e-5)
    least = squared_error(digits, digits.theta)
    near = [{"degrees": 3}, {"degrees": -3}, {"right": 0.5}, {"right": -0.5}, {"down": 0.5}, {"down": -0.5}]
    for change in [*near, {"factor": 1.03}, {"factor": 1 / 1.03}]:
        assert squared_error(digits, turned(digits.theta, size, 56, **change)) > 1.3 * least
    assert squared_error(digits, attn_ref.affine_inverse(digits.theta)) > 10 * least


@pytest.mark.parametrize("kind", ["R", "RTS"])
def test_undoing_the_distortion_gives_the_drawn_digit_within_interpolation_error(kind):
    """Ink has slope 1 a pixel, so a bilinear value is off by a fraction of a pixel at edges only."""
    digits = stroke_digits(40, 0, labels=LABELS[::3], kind=kind, size=112)
    back = undone(digits, digits.theta)
    assert abs(back - digits.upright).mean() < 0.01
    correlation = [np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in zip(back, digits.upright, strict=True)]
    assert min(correlation) > 0.97


def test_the_ink_is_that_of_the_literal_version():
    """Equation (2) with loops, on the control points and widths that the generator gives."""
    size, labels = 17, np.array([8, 1, 3])
    images = stroke_digits(3, 5, labels=labels, kind=None, size=size).upright
    rng = np.random.default_rng(5)
    points = module._POINTS[labels] + rng.normal(0, module._JITTER, (3, *module._POINTS.shape[1:]))
    width = rng.uniform(module._WIDTH[0] * size, module._WIDTH[1] * size, 3)
    for n, label in enumerate(labels):
        drawn, k = [], 0
        for kind, template in module._DIGITS[label]:
            drawn += literal_segments(kind, points[n, k : k + len(template)])
            k += len(template)
        for i in range(0, size, 2):
            for j in range(0, size, 3):
                pixel = (np.array([j, i]) - (size - 1) / 2) / (10 / 28 * size)
                d = min(literal_distance(pixel, a, b) for a, b in drawn) * (10 / 28 * size)
                assert images[n, 0, i, j] == pytest.approx(min(max(width[n] / 2 - d + 0.5, 0), 1), abs=1e-4)


def literal_segments(kind, points):
    if kind == "line":
        return list(pairwise(points))
    count = len(points)
    closed = kind == "loop"

    def point(i):
        return points[i % count if closed else min(max(i, 0), count - 1)]

    path = []
    for i in range(count if closed else count - 1):
        z, a, b, c = (point(i + j) for j in (-1, 0, 1, 2))
        for t in np.arange(module._PIECES) / module._PIECES:
            path.append(
                ((-t + 2 * t**2 - t**3) * z + (2 - 5 * t**2 + 3 * t**3) * a + (t + 4 * t**2 - 3 * t**3) * b) / 2
                + (-(t**2) + t**3) * c / 2
            )
    path.append(point(0 if closed else count - 1))
    return list(pairwise(path))


def literal_distance(p, a, b):
    along = np.dot(p - a, b - a) / np.dot(b - a, b - a)
    return math.dist(p, a + min(max(along, 0), 1) * (b - a))


def test_a_spline_passes_through_its_points_smoothly():
    rng = np.random.default_rng(0)
    for kind, count in [("curve", 5), ("loop", 8)]:
        points = rng.normal(size=(count, 2))
        path = module._basis(kind, count) @ points
        closing = points[:1] if kind == "loop" else points[:0]
        np.testing.assert_allclose(path[:: module._PIECES], np.concatenate([points, closing]), atol=1e-12)
    np.testing.assert_allclose(module._basis("loop", 8).sum(axis=1), 1, atol=1e-12)


def test_digits_of_a_class_look_alike_and_of_different_classes_do_not():
    """Each is nearest to the mean of its class over other hands."""
    one, other = (stroke_digits(len(LABELS), seed, labels=LABELS, kind=None).images for seed in (0, 1))
    means = one.reshape(10, 12, -1).mean(axis=1)
    squared = ((other.reshape(-1, 1, 28 * 28) - means) ** 2).sum(axis=2)
    assert np.array_equal(squared.argmin(axis=1), LABELS)
    spread = (other - one).reshape(len(LABELS), -1).std(axis=1)
    assert (spread > 0.02).all()


@pytest.mark.parametrize("size", [16, 28, 61])
def test_an_upright_digit_takes_twenty_twenty_eighths_of_its_image(size):
    digits = stroke_digits(len(LABELS), 0, labels=LABELS, kind=None, size=size)
    assert digits.upright.shape == (len(LABELS), 1, size, size)
    height = digits.upright[:, 0].max(axis=2).sum(axis=1)  # rows with ink, those at its ends by their share
    drawn = 20 + np.mean(module._WIDTH) * 28  # from the middle of a stroke to the middle of another, and a width
    assert height.mean() / size * 28 == pytest.approx(drawn, rel=0.05)
    assert digits.upright.min() == 0
    assert digits.upright.max() == 1


def test_without_a_distortion_theta_is_the_identity():
    digits = stroke_digits(3, 0, kind=None)
    assert np.array_equal(digits.theta, np.repeat(np.eye(2, 3)[None], 3, axis=0))
    assert np.array_equal(digits.images, digits.upright)
    assert not np.shares_memory(digits.images, digits.upright)


@pytest.mark.parametrize("kind", [None, *KINDS])
def test_the_seed_decides_every_bit(kind):
    digits = stroke_digits(9, 4, kind=kind)
    assert bits(digits) == bits(stroke_digits(9, np.random.default_rng(4), kind=kind))
    assert bits(digits) != bits(stroke_digits(9, 5, kind=kind))
    assert [array.dtype for array in (digits.images, digits.upright, digits.theta)] == [np.float32] * 3
    assert digits.labels.dtype == np.int64
    assert digits.images.min() >= 0
    assert digits.images.max() <= 1


def test_labels_are_drawn_from_all_digits_alike():
    counts = np.bincount(stroke_digits(3000, 0, kind=None, size=16).labels, minlength=10)
    assert len(counts) == 10
    assert abs(counts - 300).max() < 5 * math.sqrt(3000 * 0.1 * 0.9)


@pytest.mark.parametrize(
    ("arguments", "exception", "words"),
    [
        ({"kind": "upright"}, ValueError, "kind='upright' is unknown: expected one of 'R', 'RTS', 'T'"),
        ({"n": 2.0}, TypeError, "n must be an integer, got float 2.0"),
        ({"n": -1}, ValueError, "n=-1 is too small"),
        ({"size": 15}, ValueError, "size=15 is too small: expected at least 16"),
        ({"size": (28, 28)}, TypeError, "size must be an integer"),
        ({"labels": [1, 2]}, TypeError, "labels must be a NumPy array of integers, got list"),
        ({"labels": np.array([1.0, 2.0])}, TypeError, "labels must be a NumPy array of integers"),
        ({"labels": np.array([1, 2, 3])}, ValueError, r"labels has shape \(3,\): expected \(2,\)"),
        ({"labels": np.array([1, 10])}, ValueError, "digits from 0 to 9, got 1 to 10"),
        ({"labels": np.array([-1, 2])}, ValueError, "digits from 0 to 9, got -1 to 2"),
    ],
)
def test_mistakes_are_named(arguments, exception, words):
    with pytest.raises(exception, match=words):
        stroke_digits(**{"n": 2, "rng": 0, **arguments})
