"""The tap table: a grid, turned once into the sparse operator that everything else applies.

For P sample points and R pixels in each of N samples, sampling is Y = S X with K taps a row. Along each axis a point
has a few taps; the K taps of the point are all their combinations, with the product of the weights. So a derivative of
S with respect to a coordinate is the same table with one factor differentiated, and a second derivative with two.

Three things are decided here and nowhere else:

* A tap outside the image reads *nothing*: it points at a number that is zero, whatever the image holds.
* A point with a NaN coordinate has taps that read nothing, and NaN in its output and in all its cotangents. So the
  fault shows in the results of that point, and enters no cotangent of the image.
* Where a derivative is 0 by definition (padding holds the coordinate still, nearest, an axis of one aligned pixel) it
  is exactly 0, even if the pixels are inf. Points with a NaN are left out of that: theirs stay NaN.

The geometry of a point is little: along each axis the cell it lies in and the fraction within. It is made, and indices
and weights of it, for a block of points at a time, where they are used (see :mod:`attn_ref._execute`).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import reduce
from itertools import combinations_with_replacement
from math import prod
from types import ModuleType
from typing import Any

from attn_ref import _execute, validation
from attn_ref.backend import Array, Backend
from attn_ref.ops.boundary import PADDINGS
from attn_ref.ops.coordinates import pixels_per_unit, to_pixels
from attn_ref.ops.interpolation import MODES, Interpolation

__all__ = ["Block", "Products", "TapTable", "check_options", "image_of_rows", "rows_of_image", "taps_of"]


@dataclass(frozen=True)
class _Axis:
    """The geometry of points along one axis, arrays (n, p) for samples and points.

    Attributes
    ----------
    size : int
        Pixels along the axis.
    interpolation : Interpolation
        What weights the taps have.
    factor : float
        Pixels per unit of the normalised coordinate.
    places : array or None
        Place of tap k of a cell, at cell + k; None if it is simply cell + k. Places count from two before the first
        pixel: 0, 1, size + 2 and size + 3 are outside.
    cell : array of int
        Cell of each point.
    t : array or None
        Fraction of each point within its cell; None if no weight depends on it.
    slope : array or None
        Derivative of the padding's map of coordinates at each point; None for 1.
    nan, beyond : array of bool or None
        Where the coordinate is NaN, and where all derivatives are 0 because it is infinite; None for nowhere.
    """

    size: int
    interpolation: Interpolation
    factor: float
    places: Array | None
    cell: Array
    t: Array | None
    slope: Array | None
    nan: Array | None
    beyond: Array | None

    def taps(self, xp: ModuleType) -> list[tuple[Array, int]]:
        """Place of each tap, as an array (n, p) and a number to add."""
        count = range(len(self.interpolation.coefficients))
        if self.places is None:
            return [(self.cell, k) for k in count]
        return [(xp.take(self.places, self.cell + k), 0) for k in count]


def _axis(backend: Backend, g: Array, size: int, mode: str, padding_mode: str, align_corners: bool) -> _Axis:
    """Geometry along one axis, from normalised coordinates g (n, p)."""
    xp, interpolation, padding = backend.xp, MODES[mode], PADDINGS[padding_mode]
    p = to_pixels(xp, g, size, align_corners)  # pixels
    q = padding.bring_near(xp, p, size, align_corners)
    slope = None
    if not interpolation.pads_taps:
        q, slope = padding.fold(xp, q, size, align_corners)
    whole = xp.rint(q) if interpolation.rounds else xp.floor(q)
    taps = len(interpolation.coefficients)
    if interpolation.first == 0 and taps <= 2 and not interpolation.pads_taps:
        low, high, places = -2, size, None  # there all taps are outside
    else:  # |q| is at most twice the size, and the lowest cell is kept for NaN
        low, high = -2 * size - 4 - taps, 2 * size + 3
        tap = xp.arange(low, high + taps, dtype=q.dtype) + interpolation.first
        if interpolation.pads_taps:
            tap, _ = padding.fold(xp, tap, size, align_corners)
        places = xp.clip(tap + 2, 1, size + 2).astype("int32")
        places[:taps] = 0
    t = q - whole if taps > 1 else None
    nan = backend.unless_nowhere(xp.isnan(q))
    if nan is not None:
        whole = xp.where(nan, low, whole)
    cell = (xp.clip(whole, low, high) - low).astype("int32")  # range tests come before the cast
    beyond = backend.unless_nowhere(xp.isinf(p)) if interpolation.pads_taps else None
    factor = pixels_per_unit(size, align_corners)
    return _Axis(size, interpolation, factor, places, cell, t, slope, nan, beyond)


@dataclass(frozen=True)
class Block:
    """The taps of some points of some samples.

    Attributes
    ----------
    backend : Backend
        The array library.
    along : tuple of _Axis
        Geometry along x, y and z, for (n, p) points.
    """

    backend: Backend
    along: tuple[_Axis, ...]
    dtype: Any

    @property
    def shape(self) -> tuple[int, int]:
        """Samples and points, (n, p)."""
        n, p = self.along[0].cell.shape
        return n, p

    def cut(self, block: tuple[slice, slice]) -> Block:
        """Part of the block."""
        n, p = self.shape
        if [range(*some.indices(size)) for some, size in zip(block, (n, p), strict=True)] == [range(n), range(p)]:
            return self
        parts = []
        for axis in self.along:
            arrays = (axis.t, axis.slope, axis.nan, axis.beyond)
            t, slope, nan, beyond = (None if a is None else a[block] for a in arrays)
            parts.append(replace(axis, cell=axis.cell[block], t=t, slope=slope, nan=nan, beyond=beyond))
        return Block(self.backend, tuple(parts), self.dtype)

    # As planes: an array (n, p) a tap

    def taps(self) -> list[tuple[Array, int]]:
        """Place of each tap in the image of its own sample, x fastest: an array (n, p) and a number to add.

        Each axis has two more places than pixels, behind the last; they stand before the first of the next row, too.
        Place 0 is two before the first pixel along every axis.
        """
        base: list[tuple[Array, int]] | None = None
        for axis in reversed(self.along):  # z, y, x
            taps, stride = axis.taps(self.backend.xp), axis.size + 2
            if base is None:
                base = taps
            elif axis.places is None and all(array is base[0][0] for array, _ in base):
                cell = base[0][0] * stride + axis.cell
                base = [(cell, shift * stride + k) for _, shift in base for _, k in taps]
            else:
                rows = [array * stride + shift * stride for array, shift in base]
                base = [(row + array, k) for row in rows for array, k in taps]
        assert base is not None
        return base

    def factors(self, a: int, order: int) -> list[Any]:
        """Weights of the taps along an axis, differentiated so often in pixels: arrays (n, p), or numbers."""
        axis = self.along[a]
        return axis.interpolation.factors(axis.t, order)

    def outside(self) -> list[Array]:
        """Whether each tap reads nothing, (n, p) for each."""
        inside = None
        for axis in reversed(self.along):
            places = [array + k for array, k in axis.taps(self.backend.xp)]
            within = [(place > 1) & (place < axis.size + 2) for place in places]
            inside = within if inside is None else [one & other for one in inside for other in within]
        assert inside is not None
        return [~mask for mask in inside]

    def scaled(self, axes: tuple[int, ...], value: Array) -> Array:
        """Turn a derivative in pixels into one per unit of the grid; 0 and NaN where they are due.

        value is (n, p, …); it may be changed in place.
        """
        xp = self.backend.xp
        wide = (..., *[None] * (value.ndim - 2))
        factor, still = 1.0, []
        for a in axes:
            factor *= self.along[a].factor
            slope = self.along[a].slope
            if slope is not None:
                value = value * slope[wide]
        for a in set(axes):
            axis = self.along[a]
            if axis.interpolation.is_flat(axes.count(a)) or axis.factor == 0:
                value = xp.zeros_like(value)
            elif axis.slope is not None:
                still.append(axis.slope == 0)
            elif axis.beyond is not None:
                still.append(axis.beyond)
        if factor != 1:
            value = value * factor
        if still:
            mask = self.backend.unless_nowhere(reduce(xp.logical_or, still))
            if mask is not None:
                value = xp.where(mask[wide], xp.zeros((), value.dtype), value)
        nan = [axis.nan for axis in self.along if axis.nan is not None]
        if nan:
            value = xp.where(reduce(xp.logical_or, nan)[wide], xp.nan, value)
        return value

    def framed_index(self, integer: Any) -> Array:
        """The same places as a table, the samples following each other. (M, K)."""
        xp = self.backend.xp
        taps, (n, p) = self.taps(), self.shape
        each = prod(axis.size + 2 for axis in self.along)
        index = xp.empty((n, p, len(taps)), integer)
        for k, (tap, shift) in enumerate(taps):
            index[..., k] = tap + shift if n == 1 else tap + (shift + xp.arange(n, dtype=integer)[:, None] * each)
        return index.reshape(n * p, len(taps))

    # As a table of rows: (M, K) for M = n · p points

    @property
    def index(self) -> Array:
        """Pixel that each tap reads, counted over the samples; the number of pixels where it reads nothing. (M, K)."""
        xp = self.backend.xp
        n, p = self.shape
        pixels = n * prod(axis.size for axis in self.along)
        taps = prod(len(axis.interpolation.coefficients) for axis in self.along)
        integer = "int32" if max(n * p * taps, pixels + 1) < 2**31 else "int64"
        base = [xp.arange(n, dtype=integer)[:, None]]
        for axis in reversed(self.along):  # z, y, x
            places = [array.astype(integer, copy=False) + (k - 2) for array, k in axis.taps(xp)]
            base = [row * axis.size + place for row in base for place in places]
        planes = [xp.where(outside, pixels, row) for row, outside in zip(base, self.outside(), strict=True)]
        return xp.stack(planes, axis=-1).astype(integer, copy=False).reshape(n * p, taps)

    def weight(self, *axes: int) -> Array:
        """Weight of each tap, differentiated in pixels once for each axis named. (M, K)."""
        n, p = self.shape
        planes = [self.backend.xp.ones((), self.dtype)]
        for a in range(len(self.along) - 1, -1, -1):  # z, y, x
            planes = [one * other for one in planes for other in self.factors(a, axes.count(a))]
        weight = self.backend.xp.empty((n, p, len(planes)), self.dtype)
        for k, plane in enumerate(planes):
            weight[..., k] = plane
        return weight.reshape(n * p, len(planes))


@dataclass
class Products:
    """⟨Y, X[tap]⟩, the products of which all grid derivatives are made; formed when it is known which are wanted."""

    Y: Array
    X: Array
    found: dict[tuple[int, ...], Array] = field(default_factory=dict)


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
    (N, R, C), and Y has shape (N, P, C).
    """

    def __init__(
        self, backend: Backend, grid: Array, space: tuple[int, ...], mode: str, padding_mode: str, align_corners: bool
    ) -> None:
        self.backend = backend
        self.axes = range(len(space))
        self.batch, self.points = grid.shape[0], prod(grid.shape[1:-1])
        self.space = space
        self.pixels = self.batch * prod(space)
        self.taps = taps_of(mode, len(space))
        self._grid = grid.reshape(self.batch, self.points, len(space))
        self._options = (mode, padding_mode, align_corners)
        self._whole = self._block((slice(None), slice(None))) if _execute.keeps(self) else None

    def block(self, place: tuple[slice, slice]) -> Block:
        """Taps of some points of some samples."""
        return self._block(place) if self._whole is None else self._whole.cut(place)

    def _block(self, place: tuple[slice, slice]) -> Block:
        along = [_axis(self.backend, self._grid[(*place, a)], self.space[-1 - a], *self._options) for a in self.axes]
        return Block(self.backend, tuple(along), self._grid.dtype)

    @property
    def whole(self) -> Block:
        """Taps of all points."""
        return self.block((slice(None), slice(None)))

    @property
    def index(self) -> Array:
        """Pixel that each tap reads, over all samples; the number of pixels where it reads nothing. Shape (N·P, K)."""
        return self.whole.index

    def weight(self, *axes: int) -> Array:
        """Weight of each tap, differentiated once for each axis named, per unit of the grid. Shape (N·P, K)."""
        weight = self.whole.weight(*axes).reshape(self.batch, self.points, self.taps)
        return self.whole.scaled(axes, weight).reshape(-1, self.taps)

    def apply(self, X: Array, *axes: int) -> Array:
        """S X, or S_a X, S_ab X for the axes named. X (N, R, C) -> (N, P, C)."""
        return _execute.path(self, X).gather(self, axes, X)

    def transpose(self, Y: Array, *axes: int) -> Array:
        """Sᵀ Y, or S_aᵀ Y. Y (N, P, C) -> (N, R, C)."""
        return _execute.path(self, Y).scatter(self, axes, Y)

    def dot(self, Y: Array, X: Array) -> Products:
        """D[p, k] = ⟨Y[p], X[tap k of p]⟩, 0 where the tap reads nothing, for ``weigh``."""
        return Products(Y, X)

    def weigh(self, D: Products, *axes: int) -> Array:
        """Σ_k S_a[p, k] D[p, k], which for D = dot(Y, X) is Σ_c Y ∘ (S_a X). -> (N, P)."""
        axes = tuple(sorted(axes))
        if axes not in D.found:  # one pass over the points for all derivatives of the order
            path, wanted = _execute.path(self, D.X), list(combinations_with_replacement(self.axes, len(axes)))
            if axes and MODES[self._options[0]].is_flat(1):  # all derivatives are 0, whatever the products
                nothing = self.backend.xp.zeros((self.batch, self.points, 1), D.X.dtype)
                results = [path.scaled(self, axes, nothing)[..., 0] for axes in wanted]
            else:
                results = path.weigh(self, wanted, D.Y, D.X)
            D.found.update(zip(wanted, results, strict=True))
        return D.found[axes]


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


def rows_of_image(image: Array, channels_last: bool) -> Array:
    """See an image, or a cotangent of the output, as rows of channels, a row a pixel.

    Parameters
    ----------
    image : array, shape (N, C, …) or (N, …, C)
        The image.
    channels_last : bool
        Where the channels are.

    Returns
    -------
    array, shape (N, R, C)
        A view where the strides allow it.
    """
    shape = image.shape
    if channels_last:
        return image.reshape(shape[0], prod(shape[1:-1]), shape[-1])
    return image.reshape(shape[0], shape[1], prod(shape[2:])).swapaxes(1, 2)


def image_of_rows(rows: Array, space: tuple[int, ...], channels_last: bool) -> Array:
    """Undo :func:`rows_of_image`: (N, R, C) -> (N, C, …) or (N, …, C), a view where the strides allow it."""
    batch, _, channels = rows.shape
    if channels_last:
        return rows.reshape(batch, *space, channels)
    return rows.swapaxes(1, 2).reshape(batch, channels, *space)
