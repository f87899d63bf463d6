"""Beyond the edge: what a coordinate outside the image stands for.

Each padding is a map of the pixel coordinate p to another, q, with the derivative dq/dp that the chain rule asks for:

* zeros: q = p. The taps that fall outside [0, S−1] read nothing, one by one, so that values fade over one pixel. (Where
  no tap of any mode is inside any more, q may be any such place, and is one close by.)
* border: q = p clipped to [0, S−1]; dq/dp is 1 strictly inside and 0 on and beyond both ends.
* reflection: p folded about the ends, {0, S−1} with align_corners and {−½, S−½} without, then clipped like border;
  dq/dp is +1 on even folds, −1 on odd ones, 0 where it was clipped.

Linear and nearest interpolation apply the map to the coordinate; cubic applies it to the index of each of its four
taps, and differentiates the coordinate as it was.

Infinities: `zeros` reads nothing there, `border` reads the edge, and a reflected infinity has no limit: it is NaN.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType

from attn_ref.backend import Array

__all__ = ["PADDINGS", "Padding"]


Size = int | Array
"""Pixels along an axis; or of several axes, an array of the coordinates' dtype, to be broadcast against them."""


@dataclass(frozen=True)
class Padding:
    """One padding, as two maps along an axis.

    Attributes
    ----------
    fold : callable
        ``fold(xp, p, size, align_corners)`` returns the padded coordinate, small whatever p was, infinities included,
        and its derivative, None for 1.
    bring_near : callable
        ``bring_near(xp, p, size, align_corners)`` replaces coordinates of any size by equivalent ones that are small
        enough to become integers, for modes that pad each tap.
    """

    fold: Callable[[ModuleType, Array, Size, bool], tuple[Array, Array | None]]
    bring_near: Callable[[ModuleType, Array, Size, bool], Array]


def _clip_to_outside(xp: ModuleType, p: Array, size: Size, align_corners: bool) -> Array:  # noqa: ARG001
    """Clip to where no tap of any mode is in the image any more, those of the cubic one included."""
    return xp.clip(p, -3, size + 1)


def _modulo_period(xp: ModuleType, p: Array, size: Size, align_corners: bool) -> Array:
    """Take off whole periods, exactly; an infinity becomes NaN."""
    return xp.fmod(p, _mirrors(size, size - 1, align_corners)[2])


def _mirrors(size: Size, last: Size, align_corners: bool) -> tuple[Size, Size, Size]:
    """Twice the coordinates of the two mirrors; and how far apart the image's repetitions are, 1 for a single point."""
    if align_corners:
        high2 = 2 * last
        return 0, high2, high2 + (size == 1)
    period = 2 * size
    return -1, period - 1, period


def _fold_zeros(xp: ModuleType, p: Array, size: Size, align_corners: bool) -> tuple[Array, None]:
    return _clip_to_outside(xp, p, size, align_corners), None


def _fold_border(xp: ModuleType, p: Array, size: Size, align_corners: bool) -> tuple[Array, Array]:  # noqa: ARG001
    return _clip(xp, p, size - 1)


def _fold_reflection(xp: ModuleType, p: Array, size: Size, align_corners: bool) -> tuple[Array, Array]:
    last = size - 1
    low2, high2, period = _mirrors(size, last, align_corners)  # a reflection about c maps q to 2c − q
    q = xp.fmod(p, period)
    below = q < low2 / 2
    q = xp.where(below, low2 - q, q)
    above = q > high2 / 2
    q = xp.where(above, high2 - q, q)
    q, inside = _clip(xp, q, last)  # half a pixel beyond an edge, at most
    return q, xp.where(below ^ above, -inside, inside)


def _clip(xp: ModuleType, p: Array, last: Size) -> tuple[Array, Array]:
    """Clip to [0, last]; and the derivative of that, 1 strictly inside and 0 elsewhere."""
    strictly_inside = (p > 0) & (p < last)
    return xp.clip(p, 0, last), strictly_inside.astype(p.dtype)


PADDINGS: dict[str, Padding] = {
    "zeros": Padding(_fold_zeros, _clip_to_outside),
    "border": Padding(_fold_border, _clip_to_outside),
    "reflection": Padding(_fold_reflection, _modulo_period),
}
"""The paddings of grid_sample by name."""
