"""Moving a picture: from a motion that a person describes to the theta that a grid needs.

A person says "turn it by 30°, shrink it a little": a map of the *content*, in *pixels*, as seen on the screen.
:func:`attn_ref.affine_grid` wants the opposite: a map from *output* to *input*, in *normalised* coordinates, whose
unit is another length along each axis of a photo that is not square. With pixels p = (x, y), x to the right and y
downward, centres c = ((W − 1)/2, (H − 1)/2), and primes for the output, the motion is

    p' − c' = A (p − c) + t,        A = R(rotate) K(shear) scale                                  (1)

    R(φ) = [[cos φ, sin φ], [−sin φ, cos φ]]       K(φ) = [[1, −tan φ], [0, 1]]

(y points down, so R turns counter-clockwise, and K leans the top to the right, as italics do). Both alignments put the
normalised 0 at the centre, p − c = U g, and differ only in the unit U = diag(u_x, u_y): u is S/2 for an axis of S
pixels, or (S − 1)/2 with ``align_corners``. Inserted into (1),

    g' = U'⁻¹ A U g + U'⁻¹ t        and        theta = the inverse of [U'⁻¹ A U | U'⁻¹ t]        (2)

So the picture moves by the same pixels whichever alignment is chosen; what then differs is where reflection folds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import numpy as np

from attn_ref.backend import Array
from attn_ref.ops.affine import affine_inverse
from attn_ref.ops.coordinates import pixels_per_unit
from attn_ref.ops.sampling import grid_sample
from attn_ref.validation import flag, sizes

__all__ = ["sample_in_bands", "theta_from_motion"]

_LARGEST = 1e100
"""Entries of theta beyond this would overflow on their way to pixels."""

_POINTS = 2**19
"""Points sampled at a time: their bicubic tap table takes a few hundred megabytes."""


def theta_from_motion(
    input_size: tuple[int, int],
    output_size: tuple[int, int] | None = None,
    *,
    rotate: float = 0.0,
    scale: float = 1.0,
    shear: float = 0.0,
    translate: tuple[float, float] = (0.0, 0.0),
    align_corners: bool,
) -> Array:
    """Return the theta that moves the content of an image.

    The content is scaled, then sheared, then rotated, all about the centre of the image, which is laid on the centre of
    the output; then it is translated. All of it happens in pixels: a motion never distorts an image that is not square.

    Parameters
    ----------
    input_size : tuple of int
        (H, W) of the image, in pixels.
    output_size : tuple of int, optional
        (H, W) of the output. It is a larger or smaller window on the moved content, not another resolution: an
        identity motion into a larger output adds a margin, and ``scale`` enlarges. By default ``input_size``.
    rotate : float
        Degrees counter-clockwise, as seen on a screen. Quarter turns are exact.
    scale : float
        Above 1 enlarges the content; a negative one also turns it by 180°.
    shear : float
        Degrees, strictly between -90 and 90, by which vertical lines lean: their tops to the right if positive.
    translate : tuple of float
        (x, y) to the right and downward, in fractions of the output's width and height.
    align_corners : bool
        As it will be given to :func:`attn_ref.affine_grid` and :func:`attn_ref.grid_sample`.

    Returns
    -------
    array, shape (1, 2, 3), float64
        theta for :func:`attn_ref.affine_grid`.

    Raises
    ------
    TypeError
        If a size is not a tuple of integers, or align_corners is not a bool.
    ValueError
        If a size is below 1, a number is NaN or infinite, the scale is 0, the shear a right angle or more, or the
        result is beyond what float64 can hold.

    Notes
    -----
    Equation (2) at the head of this module. An axis of one pixel has no extent with ``align_corners=True``: every
    coordinate lands on that pixel, and its unit here is half a pixel, which lets the inverse exist.

    Examples
    --------
    Twice as large, so each output pixel looks half as far from the centre:

    >>> theta_from_motion((3, 5), scale=2.0, align_corners=False)[0, :, :2]
    array([[0.5, 0. ],
           [0. , 0.5]])
    """
    input_size = _size("input_size", input_size)
    output_size = input_size if output_size is None else _size("output_size", output_size)
    align_corners = flag("align_corners", align_corners)
    motion = {"rotate": rotate, "scale": scale, "shear": shear, "translate": translate}
    for name, value in motion.items():
        if not np.isfinite(np.asarray(value, np.float64)).all():
            raise ValueError(f"{name} must be finite, got {value}")
    if scale == 0:
        raise ValueError("scale must not be 0: the content would shrink to a point, and that map has no inverse")
    if not -90 < shear < 90:
        raise ValueError(f"shear must lie strictly between -90 and 90 degrees, got {shear:g}")

    cos, sin = _cos_sin(rotate)
    lean = math.tan(math.radians(shear))
    unit, unit_out = _units(input_size, align_corners), _units(output_size, align_corners)
    with np.errstate(over="ignore", invalid="ignore"):
        A = np.array([[cos, sin], [-sin, cos]]) @ np.array([[1.0, -lean], [0.0, 1.0]]) * scale
        shift = np.array(translate, float) * output_size[::-1]  # pixels
        forward = np.concatenate([A * unit, shift[:, None]], axis=1) / unit_out[:, None]  # (2, 3)
    if not np.isfinite(forward).all():
        raise ValueError("the motion is too large: its matrix is beyond what float64 can hold")
    theta = affine_inverse(forward[None])
    if not (np.abs(theta) < _LARGEST).all():  # also where it is NaN
        raise ValueError("the motion is too large, or its scale too small: its inverse is beyond what float64 can hold")
    return theta + 0.0  # -0 becomes 0


def sample_in_bands(
    image: Array,
    grid: Array,
    *,
    mode: str,
    padding_mode: str,
    align_corners: bool,
    track: Callable[[range], Iterable[int]] = iter,
) -> Array:
    """Sample one image on a grid, a band of output rows at a time, in bounded memory.

    Parameters
    ----------
    image : array, shape (H, W, C)
        The image, channels last.
    grid : array, shape (1, H_out, W_out, 2)
        As :func:`attn_ref.affine_grid` makes it.
    mode, padding_mode, align_corners
        As in :func:`attn_ref.grid_sample`.
    track : callable
        Wraps the iteration over the first rows of the bands: a place to hang a progress bar.

    Returns
    -------
    array, shape (H_out, W_out, C)
        The samples, in the dtype of the image.

    Raises
    ------
    TypeError, ValueError, MemoryError
        As in :func:`attn_ref.grid_sample`.
    """
    _, height, width, _ = grid.shape
    result = np.empty((height, width, image.shape[-1]), image.dtype)
    rows = max(1, _POINTS // max(width, 1))
    for top in track(range(0, height, rows)):
        result[top : top + rows] = grid_sample(
            image[None],
            grid[:, top : top + rows],
            mode=mode,
            padding_mode=padding_mode,
            align_corners=align_corners,
            channels_last=True,
        )[0]
    return result


def _size(name: str, value: object) -> tuple[int, int]:
    height, width = sizes(name, value, ("HW",), least=1)
    return height, width


def _units(size: tuple[int, int], align_corners: bool) -> Array:
    """Pixels in one unit of x and of y, (2,)."""
    height, width = size
    return np.array([pixels_per_unit(s, align_corners) or 0.5 for s in (width, height)])


def _cos_sin(degrees: float) -> tuple[float, float]:
    """Cosine and sine, exact at whole quarter turns."""
    degrees = math.fmod(degrees, 360)
    quarters = round(degrees / 90)
    rest = math.radians(degrees - 90 * quarters)
    cos, sin = math.cos(rest), math.sin(rest)
    for _ in range(quarters % 4):
        cos, sin = -sin, cos
    return cos, sin
