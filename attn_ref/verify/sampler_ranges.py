"""What a right sampler may return: the range of every result over the box round each point's exact coordinate.

A point's coordinate p is computed, in any order, from the grid and the size S of the axis, so a right implementation
may read anywhere in the box p ± c·u·(|p| + S). The box is cut where the interpolation changes its formula: at whole
pixels, for nearest at half pixels. Within a piece the weights are polynomials of a fraction t that is known to a small
radius; at a kink two pieces meet, and the range covers both.

Padding is treated as what it means: the image goes on beyond its edges, as zeros, as its border, or mirrored. So a tap
at any integer is a pixel or nothing, and a fold is a place like any other.

The operator S of the sampler (see :mod:`attn_ref.ops.sampling`) is held as a full matrix, a row a point and a column a
pixel, for some points at a time: this is made for the small images of tests.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from math import prod
from typing import Any

import numpy as np

from attn_ref.exact.axis import KERNELS, Rules
from attn_ref.ops.coordinates import pixels_per_unit, to_pixels
from attn_ref.verify.ranges import Floats, Range, einsum, hull

__all__ = ["COORDINATE", "Sampled", "sampled"]

COORDINATE = 6
"""Roundings on the way from a normalised coordinate to a padded pixel coordinate, each of at most |p| + S."""
_PIECES = 64
"""A box that spans more cells than this (a coordinate beyond 2**20 pixels, say) is not followed: anything goes."""
_CELLS = 2**19
"""Numbers in a matrix at a time."""
_WEIGHT = 4
"""Roundings of one weight, of the magnitudes it is computed from."""


@dataclass(frozen=True)
class Sampled:
    """Ranges of all results of one call, channels first: images (N, C, R), outputs (N, C, P), grids (N, P, d).

    Attributes
    ----------
    results : dict
        By (function, of).
    wide : array of bool, (N, P)
        Points whose box is too wide to follow.
    reads : array of bool, (N, P, R)
        Pixels that a right implementation may read at a point, with weight 0 or not.
    """

    results: dict[tuple[str, str | None], Range]
    wide: Any
    reads: Any


@dataclass(frozen=True)
class _Piece:
    """One piece of the boxes along one axis: where it exists, and weights of all pixels (N, P, S) by derivative."""

    exists: Any
    weights: tuple[Range, ...]
    reads: Any


def sampled(
    image: Floats,
    grid: Floats,
    grad_output: Floats,
    tangents: tuple[Floats, Floats],
    *,
    space: tuple[int, ...],
    rules: Rules,
    u: float,
    orders: int,
    choices: bool,
) -> Sampled:
    """Find the ranges of all results.

    Parameters
    ----------
    image : array, shape (N, C, R)
        Pixels, flattened.
    grid : array, shape (N, P, d)
        Finite points.
    grad_output : array, shape (N, C, P)
        Cotangent of the output.
    tangents : tuple of array
        Tangents of image and grid.
    space : tuple of int
        (H, W) or (D, H, W), of product R.
    rules : Rules
        Mode, padding, alignment.
    u : float
        Unit roundoff of the arithmetic.
    orders : int
        How far to go: 0 forward, 1 backward and jvp, 2 double backward.
    choices : bool
        Whether to cover every piece that a box reaches, not only the one of its middle.
    """
    N, P, _ = grid.shape
    step = max(_CELLS // max(N * prod(space), 1), 1)
    parts = [slice(start, start + step) for start in range(0, P, step)] or [slice(0)]
    arrays = (image, tangents[0])
    done = [
        _some(arrays, grid[:, p], grad_output[:, :, p], tangents[1][:, p], space, rules, u, orders, choices)
        for p in parts
    ]
    results = {}
    for key in done[0].results:
        ranges = [part.results[key] for part in done]
        if key[1] == "input":  # a sum over points; its rounding is that of all terms, not of some
            counts = [part.reads.sum(axis=1)[:, None, :] for part in done]
            results[key] = _added(ranges, sum(counts))
        else:
            axis = 1 if key[1] == "grid" else 2
            mid = np.concatenate([x.mid for x in ranges], axis=axis)
            results[key] = Range(mid, np.concatenate([x.rad for x in ranges], axis=axis), u)
    wide = np.concatenate([part.wide for part in done], axis=1)
    return Sampled(results, wide, np.concatenate([part.reads for part in done], axis=1))


def _added(parts: list[Range], terms: Any) -> Range:
    mid = np.sum([x.mid for x in parts], axis=0)
    rad = np.sum([x.rad for x in parts], axis=0)
    magnitude = np.sum([x.magnitude for x in parts], axis=0)
    return Range(mid, rad, parts[0].u).widened(2 * (len(parts) > 1) * terms * parts[0].u * magnitude)


def _some(
    images: tuple[Floats, Floats],
    grid: Floats,
    dY: Floats,
    v: Floats,
    space: tuple[int, ...],
    rules: Rules,
    u: float,
    orders: int,
    choices: bool,
) -> Sampled:
    """The ranges for some points."""
    d = len(space)
    axes = [_pieces(grid[..., a], space[-1 - a], rules, u, orders, choices) for a in range(d)]
    wide = np.logical_or.reduce([wide for _, wide in axes])
    K = len(KERNELS[rules.mode].polynomials) ** d
    X, U, Y = (Range.of(array, u) for array in (*images, dY))
    V = [Range.of(v[:, None, :, a], u) for a in range(d)]
    found: dict[Any, list[tuple[Range, Any]]] = {}
    reads = np.zeros((*grid.shape[:2], prod(space)), bool)
    for pieces in product(*(pieces for pieces, _ in axes)):
        exists = np.logical_and.reduce([piece.exists for piece in pieces])
        if found and not exists.any():
            continue
        S = _Operator(pieces, space, rules)
        reads |= exists[:, :, None] & S.reads
        wide_mask = exists[:, None, :]

        def note(key: Any, x: Range, mask: Any) -> None:
            found.setdefault(key, []).append((x, mask))

        def read(A: Range, *along: int, S: _Operator = S) -> Range:
            return einsum("npr,ncr->ncp", S(*along), A, terms=K)

        note(("forward", None), read(X), wide_mask)
        if orders == 0:
            continue
        note("S", S(), exists[:, :, None])
        slopes = [read(X, a) for a in range(d)]
        grads = [einsum("ncp,ncp->np", Y, slope) for slope in slopes]
        note(("backward", "grid"), _stacked(grads), exists[:, :, None])
        moved = read(U)
        for a in range(d):
            moved = moved + V[a] * slopes[a]
        note(("jvp", None), moved, wide_mask)
        if orders == 1:
            continue
        note(("double_backward", None), moved, wide_mask)
        for a in range(d):
            note(("S", a), S(a), exists[:, :, None])
        seconds = []
        for a in range(d):
            total = einsum("ncp,ncp->np", Y, read(U, a))
            for b in range(d):
                bent = einsum("ncp,ncp->np", Y, read(X, a, b))
                total = total + V[b].map(lambda x: x[:, 0]) * bent
            seconds.append(total)
        note(("double_backward", "grid"), _stacked(seconds), exists[:, :, None])
    hulls = {key: hull(ranges) for key, ranges in found.items()}
    terms = reads.sum(axis=1)[:, None, :]
    if orders:
        hulls["backward", "input"] = einsum("npr,ncp->ncr", hulls.pop("S"), Y, terms=terms)
    if orders > 1:
        parts = [einsum("npr,ncp->ncr", hulls.pop(("S", a)), V[a] * Y, terms=terms) for a in range(d)]
        hulls["double_backward", "input"] = sum(parts[1:], start=parts[0])
    return Sampled(hulls, wide, reads)


def _stacked(ranges: list[Range]) -> Range:
    mid, rad = (np.stack(arrays, axis=-1) for arrays in zip(*((x.mid, x.rad) for x in ranges), strict=True))
    return Range(mid, rad, ranges[0].u)


class _Operator:
    """S, or a derivative of it, for one combination of pieces: (N, P, R)."""

    def __init__(self, pieces: tuple[_Piece, ...], space: tuple[int, ...], rules: Rules) -> None:
        self.pieces = pieces
        self.factors = [pixels_per_unit(size, rules.align_corners) for size in reversed(space)]

    def __call__(self, *along: int) -> Range:
        total: Range | None = None
        for a, piece in reversed(list(enumerate(self.pieces))):  # z, y, x: rows of pixels run along x
            order = along.count(a)
            weights = piece.weights[order] * Range.of(self.factors[a] ** order, piece.weights[0].u)
            if total is None:
                total = weights
            else:
                wide = total.map(lambda x: x[..., None]) * weights.map(lambda x: x[:, :, None, :])
                total = wide.map(_flat)
        assert total is not None
        return total

    @property
    def reads(self) -> Any:
        """Whether a tap of a point is at a pixel, (N, P, R)."""
        total = None
        for piece in reversed(self.pieces):
            if total is None:
                total = piece.reads
            else:
                wide = total[..., None] & piece.reads[:, :, None, :]
                total = _flat(wide)
        return total


def _flat(x: Any) -> Any:
    """Join the last two axes; -1 would not do for arrays without elements."""
    return x.reshape(*x.shape[:2], x.shape[2] * x.shape[3])


def _pieces(g: Floats, size: int, rules: Rules, u: float, orders: int, choices: bool) -> tuple[list[_Piece], Any]:
    """Cut the boxes along one axis into pieces; and say which are too wide."""
    low, high, table, origin = _table(size, rules.padding_mode, rules.align_corners)
    p = to_pixels(np, g, size, rules.align_corners)
    one_pixel = rules.align_corners and size == 1
    radius = np.zeros_like(p) if one_pixel else COORDINATE * u * (np.abs(p) + size)
    if rules.padding_mode == "reflection":
        p = np.fmod(p, max(2 * (size - 1), 1) if rules.align_corners else 2 * size)
        radius = np.minimum(radius, 2 * _PIECES)
        bottom, top = p - radius, p + radius
    else:
        bottom, top = np.clip(p - radius, low, high), np.clip(p + radius, low, high)
        p = np.clip(p, low, high)
    if rules.mode == "nearest":
        first, last = np.ceil(bottom - 0.5), np.floor(top + 0.5)
        middle = np.rint(p)
    else:
        first, last, middle = np.floor(bottom), np.floor(top), np.floor(p)
    wide = last - first >= _PIECES
    if not choices:
        first = last = middle
    first, last = np.where(wide, middle, first), np.where(wide, middle, last)
    pieces = []
    for j in range(int((last - first).max(initial=0)) + 1):
        cell = first + j
        start, end = np.clip(bottom - cell, 0, 1), np.clip(top - cell, 0, 1)
        t = Range((start + end) / 2, np.abs(end - start) / 2, u)
        pieces.append(_piece(cell <= last, cell, t, size, _polynomials(rules.mode), orders, table, origin))
    return pieces, wide


def _piece(
    exists: Any, cell: Floats, t: Range, size: int, taps: dict[int, _Tap], orders: int, table: Any, origin: int
) -> _Piece:
    """Weights of all pixels for points in the given cells at the given fractions."""
    rows, columns = np.ogrid[: cell.shape[0], : cell.shape[1]]
    mids, rads = np.zeros((2, orders + 1, *cell.shape, size + 1))
    reads = np.zeros((*cell.shape, size + 1), bool)
    whole = cell.astype(np.int64) + origin
    for offset, tap in taps.items():
        pixel = table[np.clip(whole + offset, 0, len(table) - 1)]  # `size` for none
        reads[rows, columns, pixel] = True
        for order in range(orders + 1):
            weight = _weight(tap, t, order, offset)
            mids[order, rows, columns, pixel] += weight.mid  # a tap has one pixel a point
            rads[order, rows, columns, pixel] += weight.rad
    weights = tuple(Range(mids[k][..., :size], rads[k][..., :size], t.u) for k in range(orders + 1))
    return _Piece(exists, weights, reads[..., :size])


_Tap = tuple[tuple[float, ...], ...]
"""A weight as a polynomial of the fraction, lowest power first, and all its derivatives."""


@lru_cache(maxsize=8)
def _polynomials(mode: str) -> dict[int, _Tap]:
    """The taps of a mode by offset."""
    taps = {}
    for offset, exact in KERNELS[mode].polynomials.items():
        derivatives = [tuple(map(float, exact))]
        while len(derivatives[-1]) > 1:
            derivatives.append(tuple(k * c for k, c in enumerate(derivatives[-1]))[1:])
        taps[offset] = tuple(derivatives)
    return taps


def _weight(tap: _Tap, t: Range, order: int, offset: int) -> Range:
    """The range of a weight, or a derivative of it, over a range of fractions: Taylor's formula, which ends."""
    if order >= len(tap):
        nothing = np.zeros_like(t.mid)
        return Range(nothing, nothing, t.u)
    rad, factor = np.zeros_like(t.mid), 1.0
    for k in range(order + 1, len(tap)):
        factor /= k - order
        rad = rad + factor * np.abs(_value(tap[k], t.mid)) * t.rad ** (k - order)
    if len(tap) > 1:
        # The kernel is usually evaluated at the distance from the tap: its terms there are larger than its value.
        terms = sum(map(abs, tap[0])) if len(tap) > 2 else 1.0
        rad = rad + _WEIGHT * t.u * terms * np.maximum(np.abs(t.mid - offset), 1) ** 3
    return Range(_value(tap[order], t.mid), rad, t.u)


def _value(coefficients: tuple[float, ...], t: Floats) -> Floats:
    total = np.full_like(t, coefficients[-1])
    for c in reversed(coefficients[:-1]):
        total = total * t + c
    return total


@lru_cache(maxsize=256)
def _table(size: int, padding_mode: str, align_corners: bool) -> tuple[int, int, Any, int]:
    """Pixel that each integer coordinate stands for, ``size`` for none: from -origin up; the range of coordinates."""
    low, high = -3, size + 2  # further out nothing changes, but for reflection, which is reduced by its period
    reach = 2 * size + 2 * _PIECES + 8 if padding_mode == "reflection" else 8
    k = np.arange(-reach, size + reach)
    if padding_mode == "zeros":
        pixel = np.where((k >= 0) & (k < size), k, size)
    elif padding_mode == "border":
        pixel = np.clip(k, 0, size - 1)
    else:
        period = max(2 * (size - 1), 1) if align_corners else 2 * size
        pixel = np.minimum(k % period, (period if align_corners else period - 1) - k % period)
    return low, high, pixel, reach
