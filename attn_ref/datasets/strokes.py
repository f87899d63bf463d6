"""Digits drawn from strokes, so that the upright pose of each is known exactly.

A digit is a few strokes, and a stroke a few control points in a box that is 2 high, y downward:

* a *line* joins its points by straight segments;
* a *curve* passes smoothly through its points, a *loop* also returns to the first. Between the points a and b, with
  neighbours z and c, at t from 0 to 1, they are the spline of Catmull and Rom [1]_:

      (1/2) [ (−t + 2t² − t³) z + (2 − 5t² + 3t³) a + (t + 4t² − 3t³) b + (−t² + t³) c ]                     (1)

All of this is linear in the control points: the ends of the segments are a fixed matrix times them, B·p, and different
handwriting is B·(p + jitter). The ink at a pixel whose centre is d pixels from the nearest segment is

    ink = clip(w/2 − d + 1/2, 0, 1)                                                                          (2)

for a stroke w pixels wide, w ≥ 1: 1 inside, 0 outside, and between, nearly the share of the pixel that is covered.

The upright digits are then distorted like any other image, by :mod:`attn_ref.datasets.distortions`, whose conventions
hold for theta here. What jitter does to a digit's pose is not counted: the truth is the pose of its template.

.. [1] E. Catmull, R. Rom, "A class of local interpolating splines", Computer Aided Geometric Design, 1974.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from attn_ref.backend import Array
from attn_ref.datasets.distortions import KINDS, distort
from attn_ref.datasets.labelled import LabelledImages, check_count, generator
from attn_ref.validation import choice

__all__ = ["StrokeDigits", "stroke_digits"]

_Stroke = tuple[str, list[tuple[float, float]]]

_HEIGHT = 10 / 28
"""Half the height of a digit, of the side of its image: 20 of 28 pixels, as MNIST."""

_WIDTH = (2.2 / 28, 3.4 / 28)
"""Least and largest width of a stroke, of the side of the image."""

_JITTER = 0.035
"""Standard deviation of a control point's x and of its y, where the digit is 2 high."""

_SPLINE = np.array([[0, -1, 2, -1], [2, 0, -5, 3], [0, 1, 4, -3], [0, 0, -1, 1]]) / 2
"""Equation (1): the coefficients of 1, t, t², t³ for each of the four points."""

_PIECES = 2
"""Segments between two points of a curve."""


def _ellipse(x: float, y: float, width: float, height: float) -> _Stroke:
    """A loop of eight points, of half a width and half a height, from the right."""
    angles = np.arange(8) * np.pi / 4
    return "loop", [(x + width * np.cos(a), y + height * np.sin(a)) for a in angles]


_DIGITS: list[list[_Stroke]] = [
    [_ellipse(0, 0, 0.62, 1)],
    [("line", [(-0.4, -0.62), (0.05, -1), (0.05, 1)]), ("line", [(-0.4, 1), (0.5, 1)])],
    [
        ("curve", [(-0.6, -0.5), (-0.42, -0.88), (0.05, -1), (0.5, -0.78), (0.52, -0.3), (0.1, 0.25), (-0.62, 1)]),
        ("line", [(-0.62, 1), (0.66, 1)]),
    ],
    [
        ("curve", [(-0.56, -0.76), (-0.1, -1), (0.42, -0.82), (0.44, -0.36), (-0.14, -0.08)]),
        ("curve", [(-0.14, -0.08), (0.44, 0.1), (0.6, 0.5), (0.36, 0.88), (-0.14, 1), (-0.62, 0.76)]),
    ],
    [("line", [(0.28, 1), (0.28, -1), (-0.68, 0.36), (0.7, 0.36)])],
    [
        ("line", [(0.56, -1), (-0.42, -1), (-0.5, -0.12)]),
        ("curve", [(-0.5, -0.12), (0.06, -0.3), (0.54, -0.04), (0.6, 0.48), (0.2, 0.94), (-0.6, 0.84)]),
    ],
    [("curve", [(0.4, -1), (-0.1, -0.72), (-0.44, -0.24), (-0.58, 0.42)]), _ellipse(0, 0.44, 0.58, 0.56)],
    [("line", [(-0.6, -1), (0.62, -1), (-0.14, 1)])],
    [_ellipse(0, -0.52, 0.46, 0.48), _ellipse(0, 0.48, 0.58, 0.52)],
    [_ellipse(-0.02, -0.44, 0.54, 0.56), ("line", [(0.52, -0.44), (0.42, 1)])],
]
"""The strokes of the digits 0 to 9."""


@dataclass(frozen=True)
class StrokeDigits(LabelledImages):
    """Drawn digits with their pose.

    Attributes
    ----------
    images : array, shape (N, 1, H', W'), float32
        The distorted digits, 0 to 1.
    labels : array, shape (N,), int64
        The digits.
    theta : array, shape (N, 2, 3), float32
        From the upright image to the distorted one: ``affine_grid(theta, upright.shape, align_corners=False)`` samples
        the distorted image so that the digit stands upright.
    upright : array, shape (N, 1, size, size), float32
        The digits as they were drawn.

    Examples
    --------
    >>> digits = stroke_digits(2, 0)
    >>> digits.labels.shape, digits.images.dtype
    ((2,), dtype('float32'))
    """

    theta: Array
    upright: Array


def stroke_digits(
    n: int, rng: np.random.Generator | int, *, size: int = 28, kind: str | None = "RTS", labels: Array | None = None
) -> StrokeDigits:
    """Draw digits, each in its own hand, and distort them by a theta that is known.

    Parameters
    ----------
    n : int
        How many.
    rng : numpy.random.Generator or int
        Draws labels, handwriting and motion; a seed stands for a new generator.
    size : int
        Side of the upright images in pixels, at least 16. The digit takes 20/28 of it.
    kind : {"RTS", "R", "T"} or None
        The distortion, see :mod:`attn_ref.datasets.distortions`; None leaves the digits upright, with theta the
        identity.
    labels : array, shape (n,), integers from 0 to 9, optional
        Which digits. By default at random.

    Returns
    -------
    StrokeDigits
        ``images``, ``labels``, ``theta`` and the ``upright`` images.

    Raises
    ------
    TypeError
        If a count is not an integer, labels not an array of integers, or rng neither a generator nor a seed.
    ValueError
        If n or size is too small, labels has another shape or holds anything but digits, or the kind is unknown.

    Examples
    --------
    >>> digits = stroke_digits(5, 0)
    >>> digits.images.shape, digits.upright.shape, digits.theta.shape
    ((5, 1, 42, 42), (5, 1, 28, 28), (5, 2, 3))
    """
    n, size, rng = check_count("n", n, 0), check_count("size", size, 16), generator(rng)
    if kind is not None:
        kind = choice("kind", kind, KINDS)
    labels = rng.integers(0, 10, n) if labels is None else _digits(labels, n)
    upright = _draw(labels, rng, size)
    if kind is None:
        identity = np.repeat(np.eye(2, 3, dtype=np.float32)[None], n, axis=0)
        return StrokeDigits(upright.copy(), labels, identity, upright)
    images, theta = distort(upright, kind, rng)
    return StrokeDigits(images, labels, theta, upright)


def _draw(labels: Array, rng: np.random.Generator, size: int) -> Array:
    """Upright digits, (N, 1, size, size), by equation (2)."""
    n = len(labels)
    points = _POINTS[labels] + rng.normal(0, _JITTER, (n, *_POINTS.shape[1:]))  # (N, K, 2)
    ends = _ENDS[:, labels] @ points  # (2, N, S, 2)
    starts, ends = (ends * (_HEIGHT * size) + (size - 1) / 2).astype(np.float32)  # pixels
    width = rng.uniform(_WIDTH[0] * size, _WIDTH[1] * size, n).astype(np.float32)
    distance = np.sqrt(_squared_distance(starts, ends, size))  # (N, size, size)
    return np.clip((width[:, None, None] + 1) / 2 - distance, 0, 1)[:, None]


def _squared_distance(starts: Array, ends: Array, size: int) -> Array:
    """From each pixel to the nearest of the segments, (N, S, 2) each -> (N, size, size)."""
    pixel = np.arange(size, dtype=np.float32)
    nearest = np.full((len(starts), size, size), np.inf, np.float32)
    for s in range(starts.shape[1]):
        (x0, y0), (dx, dy) = starts[:, s].T[:, :, None, None], (ends - starts)[:, s].T[:, :, None, None]
        x, y = pixel - x0, pixel[:, None] - y0  # from the start; (N, 1, size) and (N, size, 1)
        length = np.maximum(dx * dx + dy * dy, np.float32(1e-12))
        t = np.clip((x * dx + y * dy) / length, 0, 1)  # the foot of the perpendicular
        np.minimum(nearest, (x - t * dx) ** 2 + (y - t * dy) ** 2, out=nearest)
    return nearest


def _basis(kind: str, count: int) -> Array:
    """The matrix from the control points of a stroke to the points of its polyline."""
    if kind == "line":
        return np.eye(count)
    spans = np.arange(count if kind == "loop" else count - 1)
    t = np.arange(_PIECES) / _PIECES
    weight = np.vander(t, 4, increasing=True) @ _SPLINE.T  # (pieces, 4 points)
    basis = np.zeros((len(spans), _PIECES, count))
    for j in range(4):  # at its ends a curve has its last point twice
        point = (spans + j - 1) % count if kind == "loop" else np.clip(spans + j - 1, 0, count - 1)
        basis[spans, :, point] += weight[:, j]
    last = np.eye(count)[[0 if kind == "loop" else -1]]
    return np.concatenate([basis.reshape(-1, count), last])


def _tables() -> tuple[Array, Array]:
    """The control points (10, K, 2) and the matrices to the starts and ends of all segments (2, 10, S, K).

    Digits of fewer control points or segments are filled up: with points that nothing uses, and with their last segment
    again.
    """
    K = max(sum(len(points) for _, points in digit) for digit in _DIGITS)
    controls, segments = np.zeros((10, K, 2)), []
    for d, digit in enumerate(_DIGITS):
        k, parts = 0, []
        for kind, points in digit:
            basis = np.zeros((len(_basis(kind, len(points))), K))
            basis[:, k : k + len(points)] = _basis(kind, len(points))
            controls[d, k : k + len(points)] = points
            parts.append(np.stack([basis[:-1], basis[1:]]))
            k += len(points)
        segments.append(np.concatenate(parts, axis=1))  # (2, S of the digit, K)
    S = max(part.shape[1] for part in segments)
    filled = [part[:, np.minimum(np.arange(S), part.shape[1] - 1)] for part in segments]
    return controls, np.stack(filled, axis=1)


_POINTS, _ENDS = _tables()


def _digits(labels: Array, n: int) -> Array:
    """Check labels that were given."""
    if not isinstance(labels, np.ndarray) or labels.dtype.kind not in "iu":
        raise TypeError(f"labels must be a NumPy array of integers, got {type(labels).__name__} {labels!r}")
    if labels.shape != (n,):
        raise ValueError(f"labels has shape {labels.shape}: expected ({n},), one for each of the n={n} samples")
    if n and (labels.min() < 0 or labels.max() > 9):
        raise ValueError(f"labels must hold digits from 0 to 9, got {labels.min()} to {labels.max()}")
    return labels.astype(np.int64)
