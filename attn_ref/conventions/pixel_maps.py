"""Pixel maps and base grids: the two choices that decide where a coordinate points.

A *pixel map* takes the coordinate g that a system writes in its grids to the pixel coordinate p it means, 0 at the
centre of the first of S pixels and S − 1 at the centre of the last. All of them have the form

    p = (g + shift) · scale(S) + offset,        dp/dg = scale(S)

and the maps of a flow add the index i of the output pixel. A *base grid* is the other half of an affine grid: the
coordinate that a system gives to output pixel i before theta acts. Where base grid and pixel map are not each other's
inverse, the identity moves the image.

The core knows two of the maps, AC1 and AC0. Any other system is sampled by the core at the coordinate g' whose pixel is
p. Of the floating-point numbers next to the solution :func:`normalised` takes the smallest whose pixel, as the core
computes it, is not below p: so a whole pixel stays on its own side of the kink there, and is hit exactly where any
number hits it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType

from attn_ref.backend import Array
from attn_ref.ops.coordinates import pixel_centres, to_pixels

__all__ = ["BASE_GRIDS", "PIXEL_MAPS", "BaseGrid", "PixelMap", "normalised"]


@dataclass(frozen=True)
class PixelMap:
    """One map from coordinates to pixels, p = (g + shift) · scale(S) + offset.

    Attributes
    ----------
    formula : str
        The map as the documentation prints it.
    scale : callable
        ``scale(S)``, the derivative dp/dg along an axis of S pixels.
    shift, offset : float
        The constants of the map.
    align_corners : bool or None
        The core's name of the map, None if the core has it not.
    flow : bool
        Whether the coordinate is relative to the output pixel, so that its index is added.

    Examples
    --------
    >>> import numpy as np
    >>> left = np.array([-1.0])
    >>> {name: PIXEL_MAPS[name].pixels(left, 4).item() for name in ("AC1", "AC0", "HALF")}
    {'AC1': 0.0, 'AC0': -0.5, 'HALF': 0.0}
    """

    formula: str
    scale: Callable[[int], float]
    shift: float = 0.0
    offset: float = 0.0
    align_corners: bool | None = None
    flow: bool = False

    def pixels(self, g: Array, size: int, index: Array | int = 0) -> Array:
        """Map coordinates along one axis to pixels.

        Parameters
        ----------
        g : array, any shape
            Coordinates.
        size : int
            S, the pixels of the image along the axis.
        index : array or int
            The output pixel's index along the axis, which broadcasts with g; only a flow's map uses it.

        Returns
        -------
        array, the shape of g
            Pixel coordinates.
        """
        p = (g + self.shift) * self.scale(size) + self.offset
        return p + index if self.flow else p


PIXEL_MAPS: dict[str, PixelMap] = {
    "AC1": PixelMap("p = (g + 1)(S − 1)/2", lambda S: (S - 1) / 2, 1.0, align_corners=True),
    "AC0": PixelMap("p = ((g + 1)S − 1)/2", lambda S: S / 2, 1.0, -0.5, align_corners=False),
    "HALF": PixelMap("p = (g + 1)S/2", lambda S: S / 2, 1.0),
    "S-2": PixelMap("p = (g + 1)(S − 2)/2", lambda S: (S - 2) / 2, 1.0),
    "pixels": PixelMap("p = g", lambda _: 1.0),
    "flow added": PixelMap("p = i + g", lambda _: 1.0, flow=True),
    "flow subtracted": PixelMap("p = i − g", lambda _: -1.0, flow=True),
}
"""The pixel maps by name; g is the coordinate, S the pixels along its axis, i the index of the output pixel."""


@dataclass(frozen=True)
class BaseGrid:
    """One choice of the coordinates that theta acts on: output pixel i is at start(S) + i · step(S).

    Attributes
    ----------
    formula : str
        The coordinate of output pixel i as the documentation prints it.
    start, step : callable
        ``start(S)`` and ``step(S)`` along an axis of S output pixels.
    coordinates : callable
        ``coordinates(xp, S)`` gives the coordinates of all of them, float64, each rounded once.

    Examples
    --------
    >>> import numpy as np
    >>> BASE_GRIDS["corners"].coordinates(np, 5), BASE_GRIDS["half-open"].coordinates(np, 4)
    (array([-1. , -0.5,  0. ,  0.5,  1. ]), array([-1. , -0.5,  0. ,  0.5]))
    """

    formula: str
    start: Callable[[int], float]
    step: Callable[[int], float]
    coordinates: Callable[[ModuleType, int], Array]


BASE_GRIDS: dict[str, BaseGrid] = {
    "corners": BaseGrid(
        "−1 + 2i/(S − 1)",
        lambda S: -1.0 if S > 1 else 0.0,
        lambda S: 2 / (S - 1) if S > 1 else 0.0,
        lambda xp, S: pixel_centres(xp, S, True),
    ),
    "centres": BaseGrid(
        "(2i + 1)/S − 1", lambda S: (1 - S) / S, lambda S: 2 / S, lambda xp, S: pixel_centres(xp, S, False)
    ),
    "half-open": BaseGrid(
        "−1 + 2i/S",
        lambda _: -1.0,
        lambda S: 2 / S,
        lambda xp, S: (2 * xp.arange(S, dtype="float64") - S) / max(S, 1),
    ),
    "pixels": BaseGrid("i", lambda _: 0.0, lambda _: 1.0, lambda xp, S: xp.arange(S, dtype="float64")),
}
"""The base grids by name. "corners" has its one pixel at 0, as the core has; "half-open" never reaches 1."""


def normalised(xp: ModuleType, p: Array, size: int, align_corners: bool) -> Array:
    """Return the core's normalised coordinates of pixels, see the head of this module.

    Parameters
    ----------
    xp : module
        The array library.
    p : array, any shape
        Pixel coordinates, float32 or float64.
    size : int
        S, the pixels along the axis.
    align_corners : bool
        Which of the core's two maps to invert.

    Returns
    -------
    array, the shape of p
        Infinite where p is, NaN where p is. One pixel between aligned corners is at 0.
    """
    if align_corners and size == 1:
        return xp.where(xp.isnan(p), p, xp.zeros_like(p))
    g = 2 * p / (size - 1) - 1 if align_corners else (2 * p + 1) / size - 1
    eps = float(xp.finfo(p.dtype).eps)
    # How far apart the numbers next to g are once 1 is added to them; 0 at infinity.
    step = xp.where(xp.isfinite(g), xp.where(xp.abs(g) > 1, eps * xp.abs(g), eps / 2), 0).astype(p.dtype)
    chosen = g + 3 * step
    for k in (2, 1, 0, -1, -2, -3):
        candidate = g + k * step
        chosen = xp.where(to_pixels(xp, candidate, size, align_corners) >= p, candidate, chosen)
    return chosen
