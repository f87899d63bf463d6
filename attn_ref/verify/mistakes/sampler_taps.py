"""The decisions of a sampler as fields, and the tap table that they make.

A result is a range, not a number: the table is made at every corner of the box in which rounding may have put each
pixel coordinate, so that a candidate with a mistake is recognised in float32 as well as in float64, on both sides of a
tie or a kink.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any

import numpy as np

from attn_ref.conventions.pixel_maps import PixelMap
from attn_ref.ops.boundary import PADDINGS
from attn_ref.ops.interpolation import MODES, Interpolation
from attn_ref.registry.operation import Options
from attn_ref.verify.bounds import FORMATS
from attn_ref.verify.mistakes.recipe import Floats
from attn_ref.verify.mistakes.slips import EDGES, FOLDS, MAPS, ROUNDINGS, SCALES, SLOPES, WITHIN, Fold

__all__ = ["ORDERS", "Sampler", "Table", "table"]

Array = Any


@dataclass(frozen=True)
class Sampler:
    """What an implementation of grid_sample decides; the defaults are right.

    Attributes
    ----------
    order : {"x first", "y first", "x and y exchanged"}
        How a grid's last axis is read.
    mirrored : tuple of int
        Axes whose coordinate changes its sign.
    sizes_exchanged : bool
        Whether the pixel map takes the sizes of the axes in reverse.
    other_layout : bool
        Whether the memory of images is read in the other layout, channels first for last, untransposed.
    clamped : tuple of str
        Paddings that are emulated by clamping the grid to [−1, 1] and padding with zeros.
    pixel_map, scale : str
        Entries of :data:`MAPS` and :data:`SCALES`: from g to pixels, and the derivative of that.
    modes, paddings : tuple of (str, str)
        What is taken for what.
    fold, slope : str
        Entries of :data:`FOLDS` and :data:`SLOPES`: how reflection folds, and the padding's derivative.
    within : str
        An entry of :data:`WITHIN`: points outside read nothing at all, whatever their taps.
    cell : str
        An entry of :data:`ROUNDINGS`: the cell of linear and cubic.
    rounding : str
        Likewise, of nearest.
    rounds_first : bool
        Whether nearest rounds before it pads.
    weights_exchanged : bool
        Whether linear weighs its left tap by t.
    kernel : tuple of tuple of float, optional
        Another table of weights for cubic.
    pads_point, pads_both : bool
        Whether cubic pads the point in place of its taps, or before them.
    far : {"number", "cast", "saturated", "wrapped"}
        Whether NaN and huge coordinates are dealt with, or cast to a 32-bit integer first, as x86 does it (all of them
        become −2³¹), as ARM and GPUs do (the nearest integer, NaN 0), or modulo 2³².
    nan_reads : {"nan", "first", "nothing"}
        What a NaN coordinate reads.
    masked : {"where", "times 0"}
        How taps outside are left out.
    precision : str
        The type of the coordinates; "" for that of the arithmetic.
    arithmetic : str
        The type of the sums; "" for that of the arithmetic.
    image_of, grid_of : {"own", "first"}
        The sample whose image and grid are used.
    channel_of : {"own", "first", "reversed"}
        The channel that is read.
    cotangent : {"own", "ones"}
        What the backward pass pulls back.
    scatter : {"add", "assign", "assign at once"}
        Whether repeated indices are added up.
    input_factor, grid_factor : str
        Entries of :data:`FACTORS`, by which the gradients are multiplied.
    components_exchanged : bool
        Whether the components of the grid's gradient are returned in reverse.
    grid_part, input_part : bool
        Whether the grid's, and the image's, part of a product rule is there.
    bent : bool
        Whether the second derivative of the weights is there.
    """

    order: str = "x first"
    mirrored: tuple[int, ...] = ()
    sizes_exchanged: bool = False
    other_layout: bool = False
    clamped: tuple[str, ...] = ()
    pixel_map: str = "as asked"
    scale: str = "own"
    modes: tuple[tuple[str, str], ...] = ()
    paddings: tuple[tuple[str, str], ...] = ()
    fold: str = "as asked"
    slope: str = "own"
    within: str = "anywhere"
    cell: str = "floor"
    rounding: str = "even"
    rounds_first: bool = False
    weights_exchanged: bool = False
    kernel: tuple[tuple[float, ...], ...] | None = None
    pads_point: bool = False
    pads_both: bool = False
    far: str = "number"
    nan_reads: str = "nan"
    masked: str = "where"
    precision: str = ""
    arithmetic: str = ""
    image_of: str = "own"
    grid_of: str = "own"
    channel_of: str = "own"
    cotangent: str = "own"
    scatter: str = "add"
    input_factor: str = "1"
    grid_factor: str = "1"
    components_exchanged: bool = False
    grid_part: bool = True
    input_part: bool = True
    bent: bool = True


@dataclass
class Table:
    """The tap table at every corner of the rounding box: B corners, N samples, P points, K taps.

    Attributes
    ----------
    index : array of int, (B, N, P, K)
        Pixel of each tap within its sample; the number of pixels where it reads nothing.
    factors : list of list of array
        By axis (x first) and order of differentiation, weights (B, N, P, K) in units of the grid.
    nan : array of bool, (N, P)
        Points with a coordinate that is no number, or a reflected infinity.
    """

    index: Array
    factors: list[list[Array]]
    nan: Array
    weights: dict[tuple[int, ...], Array] = field(default_factory=dict)

    def weight(self, *axes: int) -> Array:
        """Weights, differentiated once for each axis named."""
        key = tuple(sorted(axes))
        if key not in self.weights:
            self.weights[key] = prod(
                (orders[key.count(a)] for a, orders in enumerate(self.factors)), start=np.float64(1.0)
            )
        return self.weights[key]


ORDERS: dict[str, Any] = {
    "x first": lambda axes: tuple(range(axes)),
    "y first": lambda axes: tuple(range(axes))[::-1],
    "x and y exchanged": lambda axes: (1, 0, 2)[:axes],
}
"""Which entry of a grid's last axis is x, y, z; each order is its own inverse."""


def table(spec: Sampler, grid: Floats, space: tuple[int, ...], options: Options, working: float, sharp: bool) -> Table:
    """Make the tap table of a grid.

    Parameters
    ----------
    spec : Sampler
        The decisions.
    grid : array, shape (N, …, d)
        Normalised coordinates.
    space : tuple of int
        Spatial size of the image, as it is read.
    options : dict
        Those of grid_sample.
    working : float
        Unit roundoff of the coordinates; 0 for no boxes.
    sharp : bool
        Whether the box of a coordinate that is computed without rounding has no extent.

    Returns
    -------
    Table
        The taps at every corner of the rounding box, the middle first.
    """
    axes, sizes = grid.shape[-1], space[::-1]  # x first
    g = grid.reshape(len(grid), -1, axes)
    if spec.grid_of == "first":
        g = np.broadcast_to(g[:1], g.shape)
    order = ORDERS[spec.order](axes)
    shifts = np.array(list(itertools.product((0, -1, 1), repeat=axes)))  # (B, d)
    read = (("mode", spec.modes), ("padding_mode", spec.paddings))
    mode, padding = (str(dict(words).get(options[name], options[name])) for name, words in read)
    clamped = padding in spec.clamped
    u = max(FORMATS[spec.precision].roundoff, working) if spec.precision and working else working
    along, inside = [], np.ones((1, *g.shape[:-1]), bool)
    for a, size in enumerate(sizes):
        coordinate = g[..., order[a]] * (-1.0 if a in spec.mirrored else 1.0)
        if clamped:
            coordinate = np.clip(coordinate, -1, 1)
        mapped_size = sizes[::-1][a] if spec.sizes_exchanged else size
        axis = _Axis(spec, size, mapped_size, "zeros" if clamped else padding, options["align_corners"], mode)
        p = axis.pixels(coordinate)
        box = 4 * u * (np.abs(p) + size)
        box = np.where(np.isfinite(p) & ~(sharp & _exact(p, axis.pixels(coordinate.astype(np.longdouble)), u)), box, 0)
        p = p + shifts[:, a, None, None] * box
        inside = inside & WITHIN[spec.within](p, coordinate, size)
        along.append(axis.taps(p, coordinate))
    lost = np.logical_or.reduce([axis[2] for axis in along])
    return _product(along, sizes, inside | (padding != "zeros"), lost, spec)


def _exact(p: Array, finer: Array, u: float) -> Array:
    """Whether a coordinate fits the arithmetic, and no rounding was seen on the way to it."""
    scale = 2.0 ** np.ceil(np.log2(np.maximum(np.abs(p), 1))) * u
    return (p == finer) & (np.round(p / scale) * scale == p)


def _product(along: list[tuple[Any, ...]], sizes: tuple[int, ...], read: Array, nan: Array, spec: Sampler) -> Table:
    """All combinations of the taps along each axis; a point that is not read has taps that read nothing."""
    axes = len(along)
    index: Array = 0
    ok: Array = True
    factors: list[list[Array]] = []
    for a in range(axes - 1, -1, -1):
        taps, weights, _ = along[a]  # (B, N, P, k), [(B, N, P, k) × 3]
        shape = [1] * axes
        shape[axes - 1 - a] = taps.shape[-1]
        spread = [array.reshape(*array.shape[:3], *shape) for array in (taps, *weights)]
        index = index * sizes[a] + np.clip(spread[0], 0, sizes[a] - 1)
        ok = ok & (spread[0] >= 0) & (spread[0] < sizes[a])
        factors.insert(0, spread[1:])
    full = np.broadcast_shapes(index.shape, *(f.shape for orders in factors for f in orders))
    flat = (*full[:3], prod(full[3:]))
    ok = np.broadcast_to(ok & read[..., *[None] * axes] & ~nan[..., *[None] * axes], full)
    if spec.masked == "times 0":
        factors[0] = [np.where(ok, f, 0.0) for f in factors[0]]
    else:
        index = np.where(ok, index, prod(sizes))
    wide = [[np.broadcast_to(f, full).reshape(flat) for f in orders] for orders in factors]
    return Table(np.broadcast_to(index, full).reshape(flat), wide, nan)


@dataclass(frozen=True)
class _Axis:
    """Decisions along one axis: the specification, the pixels along it, and the options."""

    spec: Sampler
    size: int
    mapped_size: int
    padding: str
    aligned: bool
    mode: str

    @property
    def map(self) -> PixelMap:
        return MAPS[self.spec.pixel_map](self.aligned)

    def pixels(self, g: Floats) -> Floats:
        """Pixel coordinate, after what a cast makes of numbers that are no pixels."""
        scale = self.map.scale(self.mapped_size)
        p = self.map.pixels(g, self.mapped_size) if scale else np.where(np.isnan(g), g, self.map.offset)
        if self.spec.far == "cast":
            p = np.where(np.abs(p) < 2.0**31, p, -(2.0**31))
        elif self.spec.far == "saturated":
            p = np.where(np.isnan(p), 0.0, np.clip(p, -(2.0**31), 2.0**31))
        elif self.spec.far == "wrapped":
            p = np.where(np.isfinite(p), (p + 2.0**31) % 2.0**32 - 2.0**31, -(2.0**31))
        if self.spec.nan_reads != "nan":
            p = np.where(np.isnan(p), 0.0 if self.spec.nan_reads == "first" else -(2.0**31), p)
        return p

    @property
    def interpolation(self) -> Interpolation:
        found = MODES[self.mode]
        if self.mode == "bicubic":
            kernel = found.coefficients if self.spec.kernel is None else self.spec.kernel
            found = replace(found, coefficients=kernel, pads_taps=not self.spec.pads_point)
        elif self.mode == "bilinear" and self.spec.weights_exchanged:
            found = replace(found, coefficients=found.coefficients[::-1])
        elif self.mode == "nearest" and self.spec.rounds_first:
            found = replace(found, pads_taps=True)
        return found

    @property
    def fold(self) -> Fold:
        """How the padding maps a coordinate: (q, slope)."""
        padding = PADDINGS[self.padding]
        chosen = FOLDS[self.spec.fold] if self.padding == "reflection" else FOLDS["as asked"]
        return lambda p: chosen(padding, p, self.size, self.aligned)

    def taps(self, p: Floats, g: Floats) -> tuple[Array, list[Array], Array]:
        """Index of each tap, outside where it reads nothing; its weights by order; and where the point is lost."""
        interpolation, slope = self.interpolation, np.ones_like(p)
        q, folded = p, None
        if not interpolation.pads_taps or (self.mode == "bicubic" and self.spec.pads_both):
            q, folded = self.fold(p)
            slope = SLOPES[self.spec.slope](self.fold, p, g) if folded is not None else slope
        elif self.padding == "reflection":
            edges = EDGES.get(self.spec.fold, EDGES["as asked"])  # whole periods of the fold itself
            q = PADDINGS["reflection"].bring_near(np, p, self.size, edges(self.aligned))
        lost = np.isnan(q[0])
        q = np.where(np.isnan(q), -10.0, np.clip(q, -4.0 * self.size - 8, 4.0 * self.size + 8))
        whole = ROUNDINGS[self.spec.rounding if interpolation.rounds else self.spec.cell](q)
        t = q - whole
        taps = np.stack([whole + interpolation.first + k for k in range(len(interpolation.coefficients))], axis=-1)
        if interpolation.pads_taps:
            taps = self.fold(taps)[0]
        scale = SCALES[self.spec.scale](self.map, self.mapped_size, self.aligned)
        weights = []
        for order in range(3):
            parts = [np.broadcast_to(w, t.shape) for w in interpolation.factors(t, order)]
            by = (slope * scale) ** order
            weights.append(np.where(by[..., None] == 0, 0.0, np.stack(parts, axis=-1) * by[..., None]))
        return taps.astype(np.int64), weights, lost
