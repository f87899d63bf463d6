"""The tap table: a grid, turned once into the sparse operator that everything else applies.

For M = N·P sample points and R = N·H·W pixels, sampling is Y = S X with K taps a row. Along each axis a point has a
few taps; the K taps of the point are all their combinations, with the product of the weights. So a derivative of S
with respect to a coordinate is the same table with one factor differentiated, and a second derivative with two.

Three things are decided here and nowhere else:

* A tap outside the image reads *nothing*: its index is R, a row of zeros that X carries at its end.
* A coordinate that is NaN has NaN weights on taps that read nothing. So the fault shows in the output and in all
  cotangents of that point, and enters no cotangent of the image.
* Where a derivative is 0 by definition (padding holds the coordinate still, nearest, an axis of one aligned pixel) it
  is exactly 0, even if the pixels are inf. Points with a NaN are left out of that: theirs stay NaN.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, reduce
from math import prod

from attn_ref import validation
from attn_ref.backend import Array, Backend
from attn_ref.ops.boundary import PADDINGS
from attn_ref.ops.coordinates import pixels_per_unit, to_pixels
from attn_ref.ops.interpolation import MODES

__all__ = ["TapTable", "check_options", "image_of_rows", "rows_of_image", "taps_of"]


@dataclass(frozen=True)
class _Axis:
    """The taps of all points along one axis.

    Attributes
    ----------
    index : array, shape (M, k), integer
        Pixel of each tap, 0 where there is none.
    inside : array, shape (M, k), bool
        Whether there is one.
    weights : tuple of three arrays, shape (M, k)
        Weight of each tap, and its first and second derivatives with respect to the normalised coordinate.
    still : tuple of three (array, shape (M,), or None)
        Where the derivative of that order is 0 by definition; None for nowhere.
    """

    index: Array
    inside: Array
    weights: tuple[Array, Array, Array]
    still: tuple[Array | None, Array | None, Array | None]


def _axis(
    backend: Backend, g: Array, size: int, mode: str, padding_mode: str, align_corners: bool, integer: str
) -> _Axis:
    """Geometry along one axis: from normalised coordinates g (M,) to taps."""
    xp, interpolation, padding = backend.xp, MODES[mode], PADDINGS[padding_mode]
    p = to_pixels(xp, g, size, align_corners)  # pixels
    q = padding.bring_near(xp, p, size, align_corners)
    slope = None
    if not interpolation.pads_taps:
        q, slope = padding.fold(xp, q, size, align_corners)
    whole = xp.rint(q) if interpolation.rounds else xp.floor(q)
    t = q - whole  # (M,)
    offsets = xp.arange(len(interpolation.coefficients), dtype=q.dtype) + interpolation.first
    tap = whole[:, None] + offsets  # (M, k)
    if interpolation.pads_taps:
        tap, _ = padding.fold(xp, tap, size, align_corners)
    inside = (tap >= 0) & (tap <= size - 1)  # false for NaN: range tests come before the cast
    index = xp.where(inside, tap, 0).astype(integer)

    factor = pixels_per_unit(size, align_corners)
    chain = factor if slope is None else (slope * factor)[:, None]
    weights = tuple(interpolation.weights(xp, t, order) * chain**order for order in range(3))
    beyond = xp.isinf(p) if interpolation.pads_taps else None
    everywhere = xp.ones(g.shape, bool)
    still: list[Array | None] = [None]
    for order in (1, 2):
        if interpolation.is_flat(order) or factor == 0:
            still.append(everywhere)
        else:
            still.append(beyond if slope is None else slope == 0)
    return _Axis(index, inside, weights, tuple(still))  # type: ignore[arg-type]


class TapTable:
    """The sampler's operator S for one grid, and its derivatives S_a = ∂S/∂g_a and S_ab.

    Parameters
    ----------
    backend : Backend
        The array library.
    grid : array, shape (N, …, d)
        Normalised sample points, x first, in the precision to compute with.
    space : tuple of int
        Spatial size of the image, (H, W) or (D, H, W).
    mode, padding_mode, align_corners
        As in :func:`attn_ref.grid_sample`.

    Notes
    -----
    Axes are counted as the grid's last axis counts them: 0 is x, 1 is y, 2 is z. Images are rows: X has shape
    (R + 1, C), its last row zero, and Y has shape (M, C).
    """

    def __init__(
        self, backend: Backend, grid: Array, space: tuple[int, ...], mode: str, padding_mode: str, align_corners: bool
    ) -> None:
        xp = backend.xp
        self.backend = backend
        self.axes = range(len(space))
        self.batch = grid.shape[0]
        self.space = space
        self.pixels = self.batch * prod(space)
        points = grid.reshape(prod(grid.shape[:-1]), len(space))  # (M, d)
        fits = max(len(points) * taps_of(mode, len(space)), self.pixels + 1) < 2**31
        self._integer = "int32" if fits else "int64"
        self._along = [
            _axis(backend, points[:, a], space[-1 - a], mode, padding_mode, align_corners, self._integer)
            for a in self.axes
        ]
        with_nan = [xp.isnan(axis.weights[0][:, 0]) for axis in self._along]
        self._nan = reduce(xp.logical_or, with_nan)  # (M,)

    @cached_property
    def index(self) -> Array:
        """Pixel row that each tap reads; the number of pixels where it reads nothing. Shape (M, K)."""
        xp = self.backend.xp
        points = len(self._nan)
        sample = xp.arange(points, dtype=self._integer) // max(points // max(self.batch, 1), 1)
        index = sample[:, None]  # (M, 1): number in the batch
        inside = xp.ones((points, 1), bool)
        for axis, size in zip(reversed(self._along), self.space, strict=True):  # z, y, x
            index = _combined(index * size, axis.index, xp.add)
            inside = _combined(inside, axis.inside, xp.logical_and)
        return xp.where(inside, index, self.pixels).astype(self._integer, copy=False)

    def weight(self, *axes: int) -> Array:
        """Weight of each tap, differentiated once for each axis named. Shape (M, K)."""
        multiply = self.backend.xp.multiply
        factors = [self._along[a].weights[axes.count(a)] for a in reversed(self.axes)]  # z, y, x
        return reduce(lambda weight, factor: _combined(weight, factor, multiply), factors)

    def hold(self, axes: tuple[int, ...], value: Array) -> Array:
        """Set to 0 the points at which this derivative is 0 by definition; value is (M,) or (M, C)."""
        xp = self.backend.xp
        still = [self._along[a].still[axes.count(a)] for a in set(axes)]
        still = [mask for mask in still if mask is not None]
        if not still:
            return value
        mask = reduce(xp.logical_or, still) & ~self._nan
        return xp.where(mask.reshape(-1, *[1] * (value.ndim - 1)), xp.zeros((), value.dtype), value)

    def apply(self, X: Array, *axes: int) -> Array:
        """S X, or S_a X, S_ab X for the axes named. X (R + 1, C) -> (M, C)."""
        return self.hold(axes, self.backend.gather(self.index, self.weight(*axes), X))

    def transpose(self, Y: Array, *axes: int) -> Array:
        """Sᵀ Y, or S_aᵀ Y. Y (M, C) -> (R, C)."""
        Y = self.hold(axes, Y)
        return self.backend.scatter(self.index, self.weight(*axes), Y, self.pixels + 1)[:-1]

    def dot(self, Y: Array, X: Array) -> Array:
        """D[m, k] = ⟨Y[m], X[index[m, k]]⟩, 0 where the tap reads nothing. -> (M, K)."""
        xp = self.backend.xp
        products = self.backend.dot(self.index, Y, X)  # Y · 0 is 0 only if Y is finite
        return xp.where(self.index == self.pixels, xp.zeros((), products.dtype), products)

    def weigh(self, D: Array, *axes: int) -> Array:
        """Σ_k S_a[m, k] D[m, k], which for D = dot(Y, X) is Σ_c Y ∘ (S_a X). -> (M,)."""
        return self.hold(axes, (self.weight(*axes) * D).sum(axis=1))


def _combined(slow: Array, fast: Array, combine: Callable[[Array, Array], Array]) -> Array:
    """All pairs of two axes' taps, the second running faster: (M, k), (M, l) -> (M, k·l)."""
    pairs = combine(slow[:, :, None], fast[:, None, :])
    return pairs.reshape(len(pairs), slow.shape[1] * fast.shape[1])


def taps_of(mode: str, axes: int) -> int:
    """Return K, the number of taps of a point: those along an axis, to the power of the number of axes."""
    taps: int = len(MODES[mode].coefficients) ** axes
    return taps


def check_options(mode: object, padding_mode: object, align_corners: object) -> tuple[str, str, bool]:
    """Check the three options that make a tap table of a grid.

    Raises
    ------
    TypeError, ValueError
        If one has the wrong type or is an unknown word; the message names it.
    """
    return (
        validation.choice("mode", mode, MODES),
        validation.choice("padding_mode", padding_mode, PADDINGS),
        validation.flag("align_corners", align_corners),
    )


def rows_of_image(backend: Backend, image: Array, channels_last: bool, *, with_nothing: bool) -> Array:
    """Lay out an image as rows of channels, a row a pixel.

    Parameters
    ----------
    backend : Backend
        The array library.
    image : array, shape (N, C, …) or (N, …, C)
        The image, or a cotangent of the output.
    channels_last : bool
        Where the channels are.
    with_nothing : bool
        Whether to append the row of zeros that taps outside the image read.

    Returns
    -------
    array, shape (R, C) or (R + 1, C)
        Never a view of the image if the row is appended.
    """
    xp = backend.xp
    if not channels_last:
        image = xp.moveaxis(image, 1, -1)
    channels = image.shape[-1]
    if not with_nothing:
        return xp.ascontiguousarray(image).reshape(prod(image.shape[:-1]), channels)
    rows = xp.empty((prod(image.shape[:-1]) + 1, channels), image.dtype)
    rows[:-1].reshape(image.shape)[...] = image
    rows[-1] = 0
    return rows


def image_of_rows(backend: Backend, rows: Array, batch: int, space: tuple[int, ...], channels_last: bool) -> Array:
    """Undo :func:`rows_of_image`: (N·P, C) -> (N, C, …) or (N, …, C), a view."""
    image = rows.reshape(batch, *space, rows.shape[-1])
    return image if channels_last else backend.xp.moveaxis(image, -1, 1)
