"""Normalised coordinates and pixels, in both directions.

A normalised coordinate g runs over [-1, 1] along an axis of S pixels; a pixel coordinate p is 0 at the centre of
the first pixel and S − 1 at the centre of the last. What −1 and 1 stand for is the choice ``align_corners``:

========================  =========================  ====================  ==================
align_corners             −1 and 1 are               p of g                g of the centre i
========================  =========================  ====================  ==================
True                      centres of corner pixels   (g+1)/2 · (S−1)       (2i + 1 − S)/(S−1)
False                     outer edges of the image   ((g+1)·S − 1)/2       (2i + 1 − S)/S
========================  =========================  ====================  ==================

One pixel with ``align_corners=True`` has no extent: its centre is at g = 0 and every g lands on it.
"""

from __future__ import annotations

from types import ModuleType

from attn_ref.backend import Array

__all__ = ["pixel_centres", "pixels_per_unit", "to_pixels"]


def to_pixels(xp: ModuleType, g: Array, size: int, align_corners: bool) -> Array:
    """Map normalised coordinates to pixels, evaluated left to right as written above.

    Parameters
    ----------
    xp : module
        The array library.
    g : array, any shape
        Normalised coordinates.
    size : int, or array of g's dtype
        Pixels along the axis, S ≥ 1; or of several axes, to be broadcast against g (then, if they are aligned, an axis
        of one pixel takes only finite coordinates).
    align_corners : bool
        What −1 and 1 stand for.

    Returns
    -------
    array, the shape of g
        Pixel coordinates; NaN where g is NaN.
    """
    if align_corners and isinstance(size, int) and size == 1:
        return xp.where(xp.isnan(g), g, xp.zeros_like(g))
    p = g + 1
    if align_corners:
        p *= (size - 1) / 2  # halving is exact: no rounding changes
    else:
        p *= size
        p -= 1
        p *= 0.5
    return p


def pixels_per_unit(size: int, align_corners: bool) -> float:
    """Return the derivative dp/dg of :func:`to_pixels`, in pixels."""
    return (size - 1) / 2 if align_corners else size / 2


def pixel_centres(xp: ModuleType, size: int, align_corners: bool) -> Array:
    """Return the normalised coordinates of the centres of all pixels along an axis.

    Parameters
    ----------
    xp : module
        The array library.
    size : int
        Pixels along the axis, S ≥ 0.
    align_corners : bool
        What −1 and 1 stand for.

    Returns
    -------
    array, shape (S,), float64
        The inverse of :func:`to_pixels` at 0 … S−1, each rounded once and symmetric about 0.
    """
    extent = size - 1 if align_corners else size
    return (2 * xp.arange(size, dtype="float64") + (1 - size)) / max(extent, 1)
