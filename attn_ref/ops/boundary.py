"""Beyond the edge: what a coordinate outside the image stands for.

Each padding is a map of the pixel coordinate p to another, q, with the derivative dq/dp that the chain rule asks for:

* zeros: q = p. The taps that fall outside [0, S−1] read nothing, one by one, so that values fade over one pixel.
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
    bring_near : callable
        ``bring_near(xp, p, size, align_corners)`` replaces coordinates of any size, infinities too, by equivalent ones
        that are small enough to become integers.
    fold : callable
        ``fold(xp, q, size, align_corners)`` returns the padded coordinate and its derivative, None for 1.
    """

    bring_near: Callable[[ModuleType, Array, Size, bool], Array]
    fold: Callable[[ModuleType, Array, Size, bool], tuple[Array, Array | None]]


def _clip_to_outside(xp: ModuleType, p: Array, size: Size, align_corners: bool) -> Array:  # noqa: ARG001
    """Clip to where no tap of any mode is in the image any more, those of the cubic one included."""
    q = xp.maximum(p, -3)
    return xp.minimum(q, size + 1, out=q)


def _modulo_period(xp: ModuleType, p: Array, size: Size, align_corners: bool) -> Array:
    """Take off whole periods, exactly; an infinity becomes NaN."""
    return xp.fmod(p, _period(size, align_corners))


def _period(size: Size, align_corners: bool) -> Size:
    """Distance after which the mirrored image repeats; 1 where a single pixel has none."""
    return 2 * (size - 1) + (size == 1) if align_corners else 2 * size


def _fold_zeros(xp: ModuleType, q: Array, size: Size, align_corners: bool) -> tuple[Array, None]:  # noqa: ARG001
    return q, None


def _fold_border(xp: ModuleType, q: Array, size: Size, align_corners: bool) -> tuple[Array, Array]:  # noqa: ARG001
    strictly_inside = (q > 0) & (q < size - 1)
    q = xp.maximum(q, 0)
    return xp.minimum(q, size - 1, out=q), strictly_inside.astype(q.dtype)


def _fold_reflection(xp: ModuleType, q: Array, size: Size, align_corners: bool) -> tuple[Array, Array]:
    # Twice the coordinates of the two mirrors, integers: a reflection about c maps q to 2c − q.
    low2, high2 = (0, 2 * (size - 1)) if align_corners else (-1, 2 * size - 1)
    q = xp.fmod(q, _period(size, align_corners))
    slope = xp.ones_like(q)
    below = q < low2 / 2
    q, slope = xp.where(below, low2 - q, q), xp.where(below, -slope, slope)
    above = q > high2 / 2
    q, slope = xp.where(above, high2 - q, q), xp.where(above, -slope, slope)
    q, inside = _fold_border(xp, q, size, align_corners)  # half a pixel beyond an edge, at most
    return q, slope * inside


PADDINGS: dict[str, Padding] = {
    "zeros": Padding(_clip_to_outside, _fold_zeros),
    "border": Padding(_clip_to_outside, _fold_border),
    "reflection": Padding(_modulo_period, _fold_reflection),
}
"""The paddings of grid_sample by name."""
