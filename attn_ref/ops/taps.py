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

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache, reduce
from itertools import combinations_with_replacement
from math import prod
from typing import Any

from attn_ref import _execute, validation
from attn_ref.backend import Array, Backend
from attn_ref.ops.boundary import PADDINGS
from attn_ref.ops.coordinates import pixels_per_unit, to_pixels
from attn_ref.ops.interpolation import MODES

__all__ = ["Block", "Products", "TapTable", "check_options", "image_of_rows", "rows_of_image", "taps_of"]


_OUTSIDE = 3
"""Pixels before the first one at which a tap may be, if its point is not brought nearer: see the paddings."""


class _Rules:
    """What all points of a grid have in common.

    Attributes
    ----------
    space : tuple of int
        Pixels along x, y and z.
    sizes : array, shape (d, 1, 1)
        The same, to compute with coordinates.
    per_unit : tuple of float
        Pixels per unit of the normalised coordinate, along each axis.
    places : list of array, or None
        Along each axis the pixel that each tap reads, at cell + tap − ``first``, -1 if none; None where it is simply
        cell + tap.
    """

    def __init__(
        self, backend: Backend, space: tuple[int, ...], dtype: Any, mode: str, padding_mode: str, align_corners: bool
    ) -> None:
        self.backend, self.space, self.dtype = backend, space, dtype
        self.interpolation, self.padding, self.align_corners = MODES[mode], PADDINGS[padding_mode], align_corners
        self.sizes = self._by_axis(space)
        self.per_unit = tuple(pixels_per_unit(size, align_corners) for size in space)
        self.single = align_corners and 1 in space
        self.taps = len(self.interpolation.coefficients)
        self.first, self.places = [-_OUTSIDE] * len(space), None
        if self.interpolation.pads_taps:  # |q| is at most twice the size, and the lowest cell is kept for NaN
            self.first = [-2 * size - 4 - self.taps for size in space]
            self.places = [self._places(size, first) for size, first in zip(space, self.first, strict=True)]
        self.nowhere = -_OUTSIDE if self.places is None else self._by_axis(self.first)

    def _by_axis(self, numbers: Sequence[int]) -> Array:
        """A number for each axis, (d, 1, 1), made where the arrays lie: nothing is handed over to a device."""
        return self.backend.xp.stack([self.backend.xp.full((1, 1), number, self.dtype) for number in numbers])

    def _places(self, size: int, first: int) -> Array:
        xp = self.backend.xp
        tap = xp.arange(first, 2 * size + 4 + self.taps, dtype=self.dtype) + self.interpolation.first
        tap, _ = self.padding.fold(xp, tap, size, self.align_corners)
        tap[: self.taps] = -1
        return xp.where((tap < 0) | (tap >= size), -1, tap).astype("int32")

    def block(self, grid: Array) -> Block:
        """Geometry of the points of a grid (n, p, d)."""
        backend, xp = self.backend, self.backend.xp
        g = xp.ascontiguousarray(grid.transpose(2, 0, 1))  # each axis in one piece
        if self.single:  # there every coordinate but NaN is the pixel's
            g = xp.where((self.sizes == 1) & ~xp.isnan(g), xp.zeros((), g.dtype), g)
        p = to_pixels(xp, g, self.sizes, self.align_corners)  # (d, n, p), in pixels
        if self.interpolation.pads_taps:
            q, slope = self.padding.bring_near(xp, p, self.sizes, self.align_corners), None
        else:
            q, slope = self.padding.fold(xp, p, self.sizes, self.align_corners)
        whole = xp.rint(q) if self.interpolation.rounds else xp.floor(q)
        nan = backend.unless_nowhere(xp.isnan(q))
        beyond = backend.unless_nowhere(xp.isinf(p)) if self.interpolation.pads_taps else None
        t = None if self.taps == 1 else xp.subtract(q, whole, out=q)
        if nan is not None:
            whole = xp.where(nan, self.nowhere, whole)
            nan = nan.any(axis=0)
        return Block(self, whole.astype("int32"), t, slope, nan, beyond)


@lru_cache(maxsize=64)
def _rules(backend: Backend, place: object, *arguments: Any) -> _Rules:  # noqa: ARG001  arrays stay in their place
    """Make the rules once: small calls, of which a gradient check makes thousands, would spend their time here."""
    return _Rules(backend, *arguments)


@dataclass(eq=False)
class Block:
    """The taps of some points of some samples.

    Attributes
    ----------
    rules : _Rules
        What they have in common with all others.
    cell : array of int, shape (d, n, p)
        Cell of each point along x, y and z: the integer part of its coordinate, brought near enough to be one.
    t : array (d, n, p), or None
        Fraction of each point within its cell; None if no weight depends on it.
    slope : array (d, n, p), or None
        Derivative of the padding's map of coordinates at each point; None for 1.
    nan : array of bool (n, p), or None
        Points with a NaN coordinate; None for nowhere.
    beyond : array of bool (d, n, p), or None
        Where all derivatives are 0 because the coordinate is infinite; None for nowhere.
    """

    rules: _Rules
    cell: Array
    t: Array | None
    slope: Array | None
    nan: Array | None
    beyond: Array | None
    found: dict[int, list[list[Any]]] = field(default_factory=dict)

    @property
    def shape(self) -> tuple[int, int]:
        """Samples and points, (n, p)."""
        _, n, p = self.cell.shape
        return n, p

    @property
    def axes(self) -> range:
        """The axes x, y and z."""
        return range(len(self.rules.space))

    def cut(self, place: tuple[slice, slice]) -> Block:
        """Part of the block."""
        n, p = self.shape
        if [range(*some.indices(size)) for some, size in zip(place, (n, p), strict=True)] == [range(n), range(p)]:
            return self
        arrays = (self.cell, self.t, self.slope, self.nan, self.beyond)
        cell, t, slope, nan, beyond = (None if a is None else a[(..., *place)] for a in arrays)
        return Block(self.rules, cell, t, slope, nan, beyond)

    def places(self, a: int) -> list[Array]:
        """Pixel along an axis that each of its taps reads, outside the image if none: (n, p) each."""
        xp, rules, cell = self.rules.backend.xp, self.rules, self.cell[a]
        if rules.places is None:
            return [cell + k if k else cell for k in range(rules.taps)]
        return [xp.take(rules.places[a], cell + (k - rules.first[a])) for k in range(rules.taps)]

    def factors(self, a: int, order: int) -> list[Any]:
        """Weights of the taps along an axis, differentiated so often in pixels: arrays (n, p), or numbers."""
        if order not in self.found:  # of all axes at once
            factors = self.rules.interpolation.factors(self.t, order)
            self.found[order] = [[f if isinstance(f, float) else f[b] for f in factors] for b in self.axes]
        return self.found[order][a]

    def weights(self, axes: tuple[int, ...]) -> list[Any]:
        """Weight of each tap, x fastest, differentiated once for each axis named: arrays (n, p), or numbers."""
        planes: list[Any] = self.factors(self.axes[-1], axes.count(self.axes[-1]))
        for a in reversed(self.axes[:-1]):
            planes = [one * other for one in planes for other in self.factors(a, axes.count(a))]
        return planes

    def outside(self) -> list[Array]:
        """Whether each tap reads nothing, x fastest, (n, p) for each."""
        inside = None
        for a in reversed(self.axes):
            within = [(place >= 0) & (place < self.rules.space[a]) for place in self.places(a)]
            inside = within if inside is None else [one & other for one in inside for other in within]
        assert inside is not None
        return [~mask for mask in inside]

    def scaled(self, axes: tuple[int, ...], value: Array) -> Array:
        """Turn a derivative in pixels, (n, p, …), into one per unit of the grid; 0 and NaN where they are due."""
        rules, xp = self.rules, self.rules.backend.xp
        wide = (..., *[None] * (value.ndim - 2))
        factor, still = 1.0, []
        for a in axes:
            factor *= rules.per_unit[a]
            if self.slope is not None:
                value = value * self.slope[a][wide]
        for a in set(axes):
            if rules.interpolation.is_flat(axes.count(a)) or rules.per_unit[a] == 0:
                value = xp.zeros_like(value)
            elif self.slope is not None:
                still.append(self.slope[a] == 0)
            elif self.beyond is not None:
                still.append(self.beyond[a])
        if factor != 1:
            value = value * factor
        if still:
            mask = rules.backend.unless_nowhere(reduce(xp.logical_or, still))
            if mask is not None:
                value = xp.where(mask[wide], xp.zeros((), value.dtype), value)
        if self.nan is not None:
            value = xp.where(self.nan[wide], xp.nan, value)
        return value

    # As a table of rows: (M, K) for M = n · p points, x fastest

    @property
    def index(self) -> Array:
        """Pixel that each tap reads, counted over the samples; the number of pixels where it reads nothing. (M, K)."""
        xp, space = self.rules.backend.xp, self.rules.space
        n, p = self.shape
        pixels, taps = n * prod(space), self.rules.taps ** len(space)
        integer = "int32" if max(n * p * taps, pixels + 1) < 2**31 else "int64"
        row = xp.arange(n, dtype=integer)[:, None, None]
        inside = None
        for a in reversed(self.axes):  # z, y, x
            place = xp.stack(self.places(a), axis=-1)  # (n, p, k)
            within = (place >= 0) & (place < space[a])
            row = (row * space[a])[..., None] + place[:, :, None, :]
            inside = within if inside is None else inside[..., None] & within[:, :, None, :]
            shape = (n, p, prod(row.shape[2:]))  # not -1, which is undefined where there are no points
            row, inside = row.reshape(shape), inside.reshape(shape)
        return xp.where(inside, row, pixels).astype(integer, copy=False).reshape(n * p, taps)

    def weight(self, *axes: int) -> Array:
        """Weight of each tap, differentiated in pixels once for each axis named. (M, K)."""
        planes = self.weights(axes)
        weight = self.rules.backend.xp.empty((*self.shape, len(planes)), self.rules.dtype)
        for k, plane in enumerate(planes):
            weight[..., k] = plane
        return weight.reshape(-1, len(planes))


@dataclass
class Products:
    """⟨Y, X[tap]⟩, the products of which all grid derivatives are made; formed when it is known which are wanted."""

    Y: Array
    X: Array
    orders: dict[int, Array] = field(default_factory=dict)
    """All derivatives of an order, side by side, (N, P, W)."""


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
        self.dtype = grid.dtype
        self.kept: dict[Any, Any] = {}
        self.flat = MODES[mode].is_flat(1)
        options = (mode, padding_mode, align_corners)
        place = backend.current_device(), backend.current_queue()
        self._rules = _rules(backend, place, space[::-1], grid.dtype, *options)
        self._grid = grid.reshape(self.batch, self.points, len(space))
        self._whole = self._rules.block(self._grid) if _execute.keeps(self) else None

    def block(self, place: tuple[slice, slice]) -> Block:
        """Taps of some points of some samples."""
        return self._rules.block(self._grid[place]) if self._whole is None else self._whole.cut(place)

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
        return self._weighed(D, len(axes))[..., self._wanted(len(axes)).index(tuple(sorted(axes)))]

    def gradient(self, D: Products) -> Array:
        """``weigh`` for every axis a, x first: Σ_c Y ∘ (S_a X) for D = dot(Y, X). -> (N, P, d)."""
        return self._weighed(D, 1)

    def pull_back(self, Y: Array, X: Array) -> tuple[Array, Array]:
        """``transpose(Y)`` and ``gradient(dot(Y, X))``, in one pass over the points where the path has one."""
        both = getattr(_execute.path(self, X), "scatter_and_weigh", None)
        return both(self, self._wanted(1), Y, X) if both else (self.transpose(Y), self.gradient(self.dot(Y, X)))

    def _wanted(self, order: int) -> list[tuple[int, ...]]:
        """The axes of all derivatives of an order."""
        return list(combinations_with_replacement(self.axes, order))

    def _weighed(self, D: Products, order: int) -> Array:
        """One pass over the points for all derivatives of an order. -> (N, P, W)."""
        if order not in D.orders:
            path, wanted = _execute.path(self, D.X), self._wanted(order)
            if order and self.flat:  # all derivatives are 0, whatever the products
                nothing = self.backend.xp.zeros((self.batch, self.points, 1), D.X.dtype)
                results = self.backend.xp.concatenate([path.scaled(self, axes, nothing) for axes in wanted], axis=-1)
            else:
                results = path.weigh(self, wanted, D.Y, D.X)
            D.orders[order] = results
        return D.orders[order]


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
