"""The distortions of the spatial transformer paper, and the theta that undoes each.

=====  ==========================  ==========  ===============================  ========================
kind   rotation                    scale       place                            canvas, of 28 × 28
=====  ==========================  ==========  ===============================  ========================
R      uniform within ±90°         1           the centre                       28 × 28
RTS    uniform within ±45°         0.7 to 1.2  anywhere it fits                 42 × 42
T      none                        1           anywhere it fits, whole pixels   60 × 60, with clutter
=====  ==========================  ==========  ===============================  ========================

They are those of [1]_, appendix A.4 (T is its "translated and cluttered" set). The paper does not say how large the
images of R are; here the canvas is the image itself, from which a turned digit of MNIST hardly ever sticks out: its
20 × 20 pixels reach 14.1 pixels from their centre, the image 14. Clutter is six patches of 6 × 6 pixels, each cut at
random from the image of another sample and laid at random on the canvas; where things overlap the brighter stays, so
that the black of a patch does not erase the digit. For images of another size the canvas and the patches are larger or
smaller in proportion.

Conventions
-----------
With pixels p = (x, y), y downward, centres c and c', and primes for the distorted image, a sample is moved by

    p' − c' = scale · R(rotate) (p − c) + translate          R(φ) = [[cos φ, sin φ], [−sin φ, cos φ]]         (1)

counter-clockwise on the screen. ``theta`` is this very map, from the *upright* image to the *distorted* one, in
normalised coordinates: p − c = U g with U = diag(W/2, H/2) for ``align_corners=False``, so

    theta = [U'⁻¹ scale R U | U'⁻¹ translate]                                                                (2)

It is what a spatial transformer should find. A grid maps output to input, so *sampling the distorted image with theta
gives the upright one back*::

    grid = affine_grid(theta, (N, C, 28, 28), align_corners=False)
    upright = grid_sample(distorted, grid, align_corners=False)

and the distorted image itself was sampled from the upright one with ``affine_inverse(theta)``.

.. [1] M. Jaderberg, K. Simonyan, A. Zisserman, K. Kavukcuoglu, "Spatial Transformer Networks", NeurIPS 2015.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from attn_ref.backend import Array
from attn_ref.datasets.labelled import generator
from attn_ref.ops.affine import affine_grid, affine_inverse
from attn_ref.ops.sampling import grid_sample
from attn_ref.validation import choice, numbers, sizes

__all__ = ["KINDS", "Distorted", "Kind", "Motion", "distort", "motion_of_theta"]

_PATCH = Fraction(6, 28)
"""Side of a patch of clutter, of the shorter side of the image."""


@dataclass(frozen=True)
class Kind:
    """One distortion.

    Attributes
    ----------
    canvas : Fraction
        Size of the distorted image, of the image's.
    rotate : float
        Largest rotation either way, in degrees.
    scale : tuple of float
        Least and largest scale.
    place : {"centre", "anywhere", "whole pixels"}
        Where the image is laid on the canvas.
    patches : int
        Patches of clutter.
    """

    canvas: Fraction = Fraction(1)
    rotate: float = 0.0
    scale: tuple[float, float] = (1.0, 1.0)
    place: str = "centre"
    patches: int = 0


KINDS = {
    "R": Kind(rotate=90.0),
    "RTS": Kind(Fraction(42, 28), rotate=45.0, scale=(0.7, 1.2), place="anywhere"),
    "T": Kind(Fraction(60, 28), place="whole pixels", patches=6),
}
"""The distortions by name."""


class Distorted(NamedTuple):
    """Distorted images, and the theta that undoes each."""

    images: Array
    theta: Array


class Motion(NamedTuple):
    """What theta does: ``rotate`` (N,) in degrees, ``scale`` (N,), ``translate`` (N, 2) = (x, y) in pixels.

    Examples
    --------
    >>> import numpy as np
    >>> theta = np.array([[[0.5, 0.0, 0.0], [0.0, 0.5, 0.0]]])
    >>> motion_of_theta(theta, (20, 20), (20, 20)).scale
    array([0.5])
    """

    rotate: Array
    scale: Array
    translate: Array


def distort(
    images: Array, kind: str, rng: np.random.Generator | int, *, size: tuple[int, int] | None = None
) -> Distorted:
    """Distort images at random.

    Parameters
    ----------
    images : array, shape (N, C, H, W), float32 or float64
        The upright images, dark outside: what lies beyond an image is 0.
    kind : {"R", "RTS", "T"}
        Which distortion, see the head of this module.
    rng : numpy.random.Generator or int
        Draws the motions and the clutter; a seed stands for a new generator.
    size : tuple of int, optional
        (H', W') of the distorted images. By default 1, 1.5 or 60/28 times (H, W), rounded.

    Returns
    -------
    Distorted
        ``images`` (N, C, H', W') and ``theta`` (N, 2, 3), in the dtype of the images. No value is outside the range of
        the images and 0.

    Raises
    ------
    TypeError
        If images is not a NumPy array of one of those dtypes, or rng neither a generator nor a seed.
    ValueError
        If images has another shape or no pixels, the kind is unknown, the canvas too small for the largest scale, or
        there is no other image to cut clutter from.

    Notes
    -----
    Made by :func:`attn_ref.grid_sample`: bilinear, and nearest for T, whose pixels are copies. Of RTS the image's own
    square, shrunk or enlarged but not turned, lies within the canvas; what is turned may lose its corners.

    Examples
    --------
    >>> import numpy as np
    >>> images, theta = distort(np.ones((5, 1, 28, 28), np.float32), "RTS", 0)
    >>> images.shape, theta.shape
    ((5, 1, 42, 42), (5, 2, 3))
    """
    name = choice("kind", kind, KINDS)
    rng, spec = generator(rng), KINDS[name]
    _check_images(images)
    N, C, H, W = images.shape
    height, width = _canvas(name, (H, W), size)
    if spec.patches and N < 2:
        raise ValueError(f"images holds {N} sample: kind={name!r} cuts clutter from other samples, give at least 2")

    rotate = rng.uniform(-spec.rotate, spec.rotate, N)
    scale = rng.uniform(*spec.scale, N)
    room = np.array([width, height]) - scale[:, None] * [W, H]  # (N, 2), pixels
    translate = _places(spec.place, room, rng)
    theta = _theta(Motion(rotate, scale, translate), (height, width), (H, W))
    grid = affine_grid(affine_inverse(theta).astype(images.dtype), (N, C, height, width), align_corners=False)
    mode = "nearest" if spec.place == "whole pixels" else "bilinear"
    moved = grid_sample(images, grid, mode=mode, align_corners=False)
    if images.size:
        np.clip(moved, min(0, images.min()), max(0, images.max()), out=moved)  # weights sum to 1 only to rounding
    if spec.patches:
        _clutter(moved, images, spec.patches, rng)
    return Distorted(moved, theta.astype(images.dtype))


def motion_of_theta(theta: Array, size: tuple[int, int], upright_size: tuple[int, int]) -> Motion:
    """Say what theta does, in degrees and pixels.

    Parameters
    ----------
    theta : array, shape (N, 2, 3)
        From the upright image to the distorted one, as :func:`distort` returns it and a spatial transformer finds it.
    size : tuple of int
        (H', W') of the distorted image.
    upright_size : tuple of int
        (H, W) of the upright one.

    Returns
    -------
    Motion
        ``rotate``, degrees counter-clockwise from -180 to 180; ``scale``; ``translate``, pixels of the distorted image
        to the right and downward. All float64.

    Raises
    ------
    TypeError
        If theta is not an array of numbers, or a size not a tuple of integers.
    ValueError
        If theta has another shape, or a size is below 1.

    Notes
    -----
    The inverse of equation (2). A theta that also shears or stretches has no single angle: ``rotate`` is then that of
    the nearest rotation, in the sense of least squares, and ``scale`` the root of the ratio of areas.

    Examples
    --------
    >>> import numpy as np
    >>> motion_of_theta(np.array([[[0.0, 1.0, 0.5], [-1.0, 0.0, 0.0]]]), (20, 20), (20, 20))
    Motion(rotate=array([90.]), scale=array([1.]), translate=array([[5., 0.]]))
    """
    numbers(theta=theta)
    if theta.ndim != 3 or theta.shape[1:] != (2, 3):
        raise ValueError(f"theta has shape {theta.shape}: expected (N, 2, 3)")
    unit = _unit(_pair("size", size))
    A = theta[:, :, :2].astype(np.float64) * unit[:, None] / _unit(_pair("upright_size", upright_size))
    rotate = np.degrees(np.arctan2(A[:, 0, 1] - A[:, 1, 0], A[:, 0, 0] + A[:, 1, 1]))
    scale = np.sqrt(np.abs(A[:, 0, 0] * A[:, 1, 1] - A[:, 0, 1] * A[:, 1, 0]))
    return Motion(rotate, scale, theta[:, :, 2] * unit)


def _theta(motion: Motion, size: tuple[int, int], upright_size: tuple[int, int]) -> Array:
    """Equation (2), (N, 2, 3)."""
    angle = np.radians(motion.rotate)
    cos, sin = motion.scale * np.cos(angle), motion.scale * np.sin(angle)
    A = np.stack([cos, sin, -sin, cos], axis=1).reshape(-1, 2, 2)
    moved = np.concatenate([A * _unit(upright_size), motion.translate[:, :, None]], axis=2)  # (N, 2, 3), pixels
    return moved / _unit(size)[:, None]


def _unit(size: tuple[int, int]) -> Array:
    """Pixels in one unit of x and of y, (2,)."""
    return np.array(size[::-1]) / 2


def _places(place: str, room: Array, rng: np.random.Generator) -> Array:
    """Translations (N, 2) from the centre that keep an image within a canvas with so much room around it."""
    if place == "centre":
        return np.zeros_like(room)
    if place == "whole pixels":
        return rng.integers(0, room.astype(np.int64), endpoint=True) - room / 2
    return rng.uniform(-room / 2, room / 2)


def _clutter(canvas: Array, images: Array, patches: int, rng: np.random.Generator) -> None:
    """Lay patches of other samples' images on each canvas, in place."""
    N, _, H, W = images.shape
    side = max(1, round(_PATCH * min(H, W)))
    step = np.arange(side)
    own = np.arange(N)[:, None, None]

    def corners(height: int, width: int) -> tuple[Array, Array]:
        """Rows (N, side, 1) and columns (N, 1, side) of one square within an image, for each sample."""
        top, left = rng.integers(0, [height - side, width - side], (N, 2), endpoint=True).T
        return (top[:, None] + step)[:, :, None], (left[:, None] + step)[:, None, :]

    for _ in range(patches):
        other = (own + rng.integers(1, N, N)[:, None, None]) % N
        rows, columns = corners(H, W)
        patch = images[other, :, rows, columns]  # (N, side, side, C)
        rows, columns = corners(*canvas.shape[2:])
        canvas[own, :, rows, columns] = np.maximum(canvas[own, :, rows, columns], patch)


def _check_images(images: Array) -> None:
    call = numbers(images=images)
    if not isinstance(images, np.ndarray):
        raise TypeError(f"images must be a NumPy array, got {type(images).__name__}: data sets are made on the CPU")
    if call.dtype.char not in "fd":
        raise TypeError(f"images has dtype {call.dtype}: expected float32 or float64, theta needs the digits")
    if images.ndim != 4 or 0 in images.shape[2:]:
        raise ValueError(f"images has shape {images.shape}: expected (N, C, H, W), with pixels")


def _canvas(name: str, image: tuple[int, int], size: tuple[int, int] | None) -> tuple[int, int]:
    """The size of the distorted images, checked to hold the image at its largest."""
    spec = KINDS[name]
    if size is None:
        return round(spec.canvas * image[0]), round(spec.canvas * image[1])
    height, width = _pair("size", size)
    largest = tuple(spec.scale[1] * side for side in image)
    if height < largest[0] or width < largest[1]:
        raise ValueError(
            f"size={(height, width)} is too small: kind={name!r} makes images of {image} up to "
            f"{largest[0]:g} × {largest[1]:g} pixels large"
        )
    return height, width


def _pair(name: str, value: object) -> tuple[int, int]:
    height, width = sizes(name, value, ("HW",), least=1)
    return height, width
