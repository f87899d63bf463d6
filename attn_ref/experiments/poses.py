"""How well a learned pose agrees with the true one, when each class may stand as it likes.

A sample was made from an upright image by a known T, and a transformer found L: both are theta matrices into the
distorted image, T from the upright image and L from the glimpse. Nobody told the transformer what upright is. What it
can have learned is to show every sample of a class in the same pose, whichever: then

    R = T⁻¹ L                                                                                          (1)

the map from the glimpse to the upright image, is the same for all samples of a class. So R is compared with what is
typical of its class, in three parts. With s(M) the root of M's determinant, a(M) the angle of the nearest rotation and
0 the centre of the glimpse:

    rotation    |a(R) − ā|             in degrees; ā is the direction of the mean of (cos a, sin a)        (2)
    scale       |log s(R) − mean|      as a ratio, exp of it less 1
    place       |L(0) − T(mean R(0))|  in pixels of the distorted image: how far the glimpse's centre is from the
                                       place of the digit that is usual for the class

Each is averaged over the samples. The typical values of a class, four numbers, are estimated on one set of samples and
used on another, so they cannot fit the samples that are scored.

What the same measure gives for a transformer that does nothing, L = 1, is the spread of the distortion itself. That is
the value to beat; 0 is perfect.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from attn_ref.backend import Array
from attn_ref.datasets import motion_of_theta
from attn_ref.ops.affine import affine_inverse

__all__ = ["Poses", "Scores", "score"]


_LEAST = 1e-6
"""Smallest scale that is told from 0."""


class Poses(NamedTuple):
    """What was found of some samples, and what is true: ``learned`` and ``true`` (N, 2, 3), ``labels`` (N,)."""

    learned: Array
    true: Array
    labels: Array


class Scores(NamedTuple):
    """Mean deviation from what is typical of the class: degrees, a ratio less 1, pixels."""

    degrees: float
    scale: float
    pixels: float


def score(poses: Poses, typical_of: Poses, size: tuple[int, int], upright_size: tuple[int, int]) -> Scores:
    """Score learned poses against true ones.

    Parameters
    ----------
    poses : Poses
        The samples that are scored.
    typical_of : Poses
        Other samples, from which the typical pose of each class is estimated; every class of ``poses`` occurs.
    size : tuple of int
        (H, W) of the distorted images, in pixels.
    upright_size : tuple of int
        (H, W) of the upright images, and of the glimpses.

    Returns
    -------
    Scores
        Equations (2) above, averaged over the samples of ``poses``.

    Notes
    -----
    A scale below 10⁻⁶, such as that of a singular theta, counts as 10⁻⁶.
    """
    classes, index = np.unique(typical_of.labels, return_inverse=True)
    member = (index[:, None] == np.arange(len(classes))).astype(np.float64)
    member /= member.sum(axis=0)  # (N, K): columns average over a class

    angle, log_scale, centre = _residuals(typical_of, upright_size)
    typical_angle = np.arctan2(member.T @ np.sin(angle), member.T @ np.cos(angle))
    typical_scale, typical_centre = member.T @ log_scale, member.T @ centre  # (K,), (K, 2)

    k = np.searchsorted(classes, poses.labels)
    angle, log_scale, _ = _residuals(poses, upright_size)
    turned = np.angle(np.exp(1j * (angle - typical_angle[k])))  # within ±π
    true, learned = poses.true.astype(np.float64), poses.learned.astype(np.float64)
    usual = np.einsum("nij,nj->ni", true[:, :, :2], typical_centre[k]) + true[:, :, 2]
    apart = (learned[:, :, 2] - usual) * np.array(size[::-1]) / 2  # pixels
    ratio = np.exp(np.abs(log_scale - typical_scale[k]).mean()) - 1
    return Scores(
        float(np.degrees(np.abs(turned)).mean()), float(ratio), float(np.hypot(apart[:, 0], apart[:, 1]).mean())
    )


def _residuals(poses: Poses, upright_size: tuple[int, int]) -> tuple[Array, Array, Array]:
    """Of R = T⁻¹ L: angle in radians (N,), logarithm of the scale (N,), image of the centre (N, 2), normalised."""
    inverse = affine_inverse(poses.true.astype(np.float64))
    learned = poses.learned.astype(np.float64)
    R = inverse[:, :, :2] @ learned  # (N, 2, 3)
    R[:, :, 2] += inverse[:, :, 2]
    motion = motion_of_theta(R, upright_size, upright_size)
    return np.radians(motion.rotate), np.log(np.maximum(motion.scale, _LEAST)), R[:, :, 2]
