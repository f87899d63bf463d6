"""The score of a pose: zero for what is the same up to one pose a class, and in the units it says."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attn_ref.datasets.distortions import Motion, _theta
from attn_ref.experiments.poses import Poses, score

SIZE, UPRIGHT = (42, 48), (28, 24)


def motions(n, rng):
    return Motion(rng.uniform(-60, 60, n), rng.uniform(0.6, 1.4, n), rng.uniform(-5, 5, (n, 2)))


def composed(outer, inner):
    """The map that does ``inner`` first: (N, 2, 3) each."""
    A = outer[:, :, :2] @ inner
    A[:, :, 2] += outer[:, :, 2]
    return A


def sample(rng, n, canon, classes):
    """True thetas, and those of a transformer that shows class k in the pose canon[k]."""
    labels = np.arange(n) % classes
    true = _theta(motions(n, rng), SIZE, UPRIGHT)
    return Poses(composed(true, canon[labels]), true, labels)


@given(st.integers(0, 2**31), st.integers(1, 4))
def test_a_pose_for_each_class_is_perfect(seed, classes):
    rng = np.random.default_rng(seed)
    canon = _theta(motions(classes, rng), UPRIGHT, UPRIGHT)
    found = score(sample(rng, 8, canon, classes), sample(rng, 12, canon, classes), SIZE, UPRIGHT)
    assert found == pytest.approx((0, 0, 0), abs=1e-6)


@pytest.mark.parametrize(
    ("motion", "expected"),
    [
        (Motion(np.array([7.0]), np.array([1.0]), np.zeros((1, 2))), (7, 0, 0)),
        (Motion(np.array([0.0]), np.array([1.25]), np.zeros((1, 2))), (0, 0.25, 0)),
    ],
)
def test_degrees_and_ratios(motion, expected):
    """Half of the samples are turned or enlarged one way, half the other: each is so far from the mean."""
    back = Motion(-motion.rotate, 1 / motion.scale, -motion.translate)
    rng = np.random.default_rng(0)
    thetas = np.concatenate([_theta(m, UPRIGHT, UPRIGHT) for m in (motion, back)])[np.arange(12) % 2]
    true = _theta(motions(12, rng), SIZE, UPRIGHT)
    poses = Poses(composed(true, thetas), true, np.zeros(12, int))
    assert score(poses, poses, SIZE, UPRIGHT) == pytest.approx(expected, abs=1e-9)


def test_pixels_are_those_of_the_distorted_image():
    """The glimpse's centre lies 3 and 4 pixels off, one way or the other."""
    true = _theta(motions(12, np.random.default_rng(1)), SIZE, UPRIGHT)
    learned = true.copy()
    off = np.where(np.arange(12) % 2, 1, -1)
    typical = Poses(true.copy(), true, np.zeros(12, int))
    learned[:, 0, 2] += off * 3 / (SIZE[1] / 2)
    learned[:, 1, 2] += off * 4 / (SIZE[0] / 2)
    found = score(Poses(learned, true, typical.labels), typical, SIZE, UPRIGHT)
    assert found == pytest.approx((0, 0, 5), abs=1e-9)


def test_standing_still_has_the_spread_of_the_distortion():
    rng = np.random.default_rng(2)
    n = 4000
    true = _theta(Motion(rng.uniform(-45, 45, n), np.ones(n), np.zeros((n, 2))), UPRIGHT, UPRIGHT)
    still = Poses(np.repeat(np.eye(2, 3)[None], n, axis=0), true, np.arange(n) % 10)
    degrees, scale, pixels = score(still, still, UPRIGHT, UPRIGHT)
    assert degrees == pytest.approx(22.5, abs=0.7)  # the mean of |u|, u within ±45
    assert (scale, pixels) == pytest.approx((0, 0), abs=1e-9)


def test_a_singular_theta_is_finite_and_bad():
    true = _theta(motions(6, np.random.default_rng(3)), SIZE, UPRIGHT)
    flat = true.copy()
    flat[0, :, :2] = 0
    labels = np.zeros(6, int)
    found = score(Poses(flat, true, labels), Poses(true, true, labels), SIZE, UPRIGHT)
    assert np.isfinite(found).all()
    assert found.scale > 1
