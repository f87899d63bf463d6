"""The fast path on the CPU: images as planes, for few channels and for images that fit no cache.

Each channel stands alone, in a frame of zeros wide enough for every tap of every point, so that a tap is read without
asking whether it is inside. A tap table is worked through in blocks of points whose intermediate results stay in the
cache; the weights of the K taps of a point are never formed, since they are products, one factor an axis: sums over
taps are taken axis by axis.

Everything is partitioned by shape. What is summed into an image is summed in a fixed order, whoever computes it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from math import prod
from typing import Any

import numpy as np
from scipy import sparse

from attn_ref._threads import in_order, run

__all__ = ["blocks", "derivatives", "frame_of", "framed_planes", "gather", "scaled", "scatter", "weigh"]

Array = Any

_ZEROS = 2
"""Zeros behind the last pixel of each axis: a pair of taps may start there, or two before the first pixel, where the
zeros of the row before are. Before the very first pixel of all, as many zeros as that takes."""

_POINTS = 2**14
"""Points of a block: the numbers in hand for each, about twenty, stay in the cache."""
_SUMMED = 2**15
"""Points that are summed into an image at a time, at least."""
_PARTS = 6
"""Into how many parts the points of one sample are cut at most where they are summed into an image."""


def gather(table: Any, axes: tuple[int, ...], X: Array) -> Array:
    """S X or a derivative of it. X (N, R, C) -> (N, P, C), a plane a channel."""
    channels = X.shape[2]
    framed, pixels = framed_planes(X, table.space)
    Y = np.empty((table.batch, channels, table.points), X.dtype).swapaxes(1, 2)

    def one(place: tuple[slice, slice]) -> None:
        block = table.block(place)
        taps = _taps(block, place[0].start, channels * pixels)
        factors = [[_wide(factor) for factor in along] for along in _factors(block, axes)]
        for c in _groups(block, channels):
            room = np.empty((len(taps), *_with(block, c)), X.dtype)
            values = [_take(framed, pixels, c, tap, into) for tap, into in zip(taps, room, strict=True)]
            for along in reversed(factors):  # x first
                values = [_sum(values[k : k + len(along)], along, own=True) for k in range(0, len(values), len(along))]
            Y[(*place, c)] = block.scaled(axes, values[0].swapaxes(1, 2))

    run(one, blocks(table.batch, table.points))
    return Y


def weigh(table: Any, wanted: Sequence[tuple[int, ...]], Y: Array, X: Array) -> list[Array]:
    """Σ_c Y ∘ (S_axes X) for each of the wanted axes. Y (N, P, C), X (N, R, C) -> (N, P) each."""
    channels = X.shape[2]
    framed, pixels = framed_planes(X, table.space)
    results = [np.zeros((table.batch, table.points), X.dtype) for _ in wanted]

    def one(place: tuple[slice, slice]) -> None:
        block = table.block(place)
        taps = _taps(block, place[0].start, channels * pixels)
        D = np.empty((len(taps), *block.shape), X.dtype)  # ⟨Y, X[tap]⟩
        for c in _groups(block, channels):
            y = Y[(*place, c)].swapaxes(1, 2)  # (n, c, p)
            product = np.empty(y.shape, X.dtype)
            for tap, d in zip(taps, D, strict=True):
                if c == slice(0, 1):
                    np.multiply(_take(framed, pixels, c, tap, d[:, None]), y, out=d[:, None])
                    continue
                np.multiply(_take(framed, pixels, c, tap, product), y, out=product)
                if c.start == 0:
                    np.add.reduce(product, axis=1, out=d)
                else:
                    d += np.add.reduce(product, axis=1)
        for result, derivative in zip(results, derivatives(block, wanted, D), strict=True):
            result[place] = derivative

    if channels:
        run(one, blocks(table.batch, table.points))
    return results


def derivatives(block: Any, wanted: Sequence[tuple[int, ...]], D: Array) -> list[Array]:
    """Σ_k w_k D_k for each of the wanted derivatives of w. D (K, n, p), the products ⟨Y, X[tap]⟩ -> (n, p) each."""
    counts = [tuple(axes.count(a) for a in range(len(block.along))) for axes in wanted]
    sums: dict[tuple[int, ...], list[Array]] = {(): list(D)}
    for a in range(len(block.along)):  # axis by axis, x first; what several derivatives share is summed once
        found = {}
        for key in dict.fromkeys(count[: a + 1] for count in counts):
            values, along = sums[key[:-1]], block.factors(a, key[-1])
            found[key] = [_sum(values[k : k + len(along)], along) for k in range(0, len(values), len(along))]
        sums = found
    if wanted and not np.isfinite(sums[counts[0]][0].sum()):  # perhaps inf · 0 of a tap outside, which is not used
        outside = np.stack(block.outside())
        if D[outside].any():
            D[outside] = 0
            return derivatives(block, wanted, D)
    return [block.scaled(axes, sums[count][0]) for axes, count in zip(wanted, counts, strict=True)]


def scatter(table: Any, axes: tuple[int, ...], Y: Array) -> Array:
    """Sᵀ Y or a derivative of it. Y (N, P, C) -> (N, R, C), a plane a channel."""
    N, P, channels = table.batch, table.points, Y.shape[2]
    frame, lead, inner = frame_of(table.space)
    pixels = prod(frame)
    X = np.zeros((N, channels, *table.space), Y.dtype)
    if axes:
        Y = scaled(table, axes, Y)

    def entries(samples: slice, points: slice, width: int) -> tuple[Array, Array]:
        """Where the taps of some points lie if a sample has so many frames, and their weights. (K, n, p) each."""
        n, p = samples.stop - samples.start, points.stop - points.start
        integer = np.int32 if max(n * width * pixels + lead, table.taps * n * p) < 2**31 else np.int64
        index = np.empty((table.taps, n, p), integer)
        weight = np.empty((table.taps, n, p), Y.dtype)
        offset = np.arange(n, dtype=integer)[:, None] * (width * pixels)

        def part(place: tuple[slice, slice]) -> None:
            some, here = place
            first = slice(samples.start + some.start, samples.start + some.stop)
            block = table.block((first, slice(points.start + here.start, points.start + here.stop)))
            for k, (tap, shift) in enumerate(block.taps()):
                np.add(tap, offset[some] + integer(shift) if n > 1 else shift, out=index[(k, *place)])
            *slow, fast = _factors(block, axes)
            planes: list[Any] = [1.0]
            for along in slow:
                planes = [plane * factor for plane in planes for factor in along]
            for k, (plane, factor) in enumerate((plane, factor) for plane in planes for factor in fast):
                np.multiply(plane, factor, out=weight[(k, *place)])

        run(part, blocks(n, p))
        return index, weight

    def summed(index: Array, weight: Array, y: Array, width: int = 1) -> Array:
        """Taps of some channels y (n, c, p), added up in their order. -> (n, c, *frame)."""
        n, c, _ = y.shape
        index, weight = index[:, :, None], weight[:, :, None]  # (K, n, 1, p)
        if c > 1:
            index = index + np.arange(c, dtype=index.dtype)[:, None] * pixels
        # They are the one column of a sparse matrix.
        values, starts = (weight * y).reshape(-1), np.array([0, index.size], index.dtype)
        column = sparse.csc_array((values, index.reshape(-1), starts), shape=(lead + n * width * pixels, 1))
        return (column @ np.ones(1, Y.dtype))[lead:].reshape(n, width, *frame)[:, :c]

    def some(samples: slice) -> None:
        width = max(1, min(channels, _POINTS // max(1, (samples.stop - samples.start) * P)))
        index, weight = entries(samples, slice(0, P), width)
        for c in range(0, channels, width):
            y = Y[samples, :, c : c + width].swapaxes(1, 2)
            X[samples, c : c + width] = summed(index, weight, y, width)[:, :, *inner]

    if P <= _SUMMED or (N > 1 and P <= 8 * _SUMMED):
        per = max(1, _POINTS // max(P, 1))
        run(some, [slice(n, min(n + per, N)) for n in range(0, N, per)])
        return X.reshape(N, channels, prod(table.space)).swapaxes(1, 2)
    for n in range(N):
        sample = slice(n, n + 1)
        total = np.zeros((channels, *frame), Y.dtype)
        for _, points in blocks(1, P, max(_SUMMED, -(-P // _PARTS))):
            index, weight = entries(sample, points, 1)
            _, _, p = index.shape
            tasks = [(c, slice(h * p // 2, (h + 1) * p // 2)) for c in range(channels) for h in range(2)]

            half = partial(_half, summed, index, weight, Y[sample, points])
            for (c, _), sums in zip(tasks, in_order(half, tasks), strict=True):
                total[c] += sums[0, 0]
        X[n] = total[:, *inner]
    return X.reshape(N, channels, prod(table.space)).swapaxes(1, 2)


def _half(
    summed: Callable[[Array, Array, Array], Array], index: Array, weight: Array, Y: Array, task: tuple[int, slice]
) -> Array:
    c, points = task
    return summed(index[:, :, points], weight[:, :, points], Y[:, None, points, c])


def scaled(table: Any, axes: tuple[int, ...], Y: Array) -> Array:
    """Y as a derivative takes it: per unit of the grid, 0 where that is 0 by definition."""
    result = np.empty((Y.shape[0], Y.shape[2], Y.shape[1]), Y.dtype).swapaxes(1, 2)

    def one(place: tuple[slice, slice]) -> None:
        result[place] = table.block(place).scaled(axes, Y[place])

    run(one, blocks(table.batch, table.points))
    return result


# ---------------------------------------------------------------------------------------------------------------------
# Helpers


def _factors(block: Any, axes: tuple[int, ...]) -> list[list[Any]]:
    """Weights of the taps along z, y and x, differentiated as asked for."""
    return [block.factors(a, axes.count(a)) for a in range(len(block.along) - 1, -1, -1)]


def _sum(values: Sequence[Array], factors: list[Any], *, own: bool = False) -> Array:
    """Σ_k w_k v_k, in the memory of v if that is our own."""
    total = None
    pairs = list(zip(values, factors, strict=True))
    if isinstance(factors[0], float) and factors[0] == -1:  # b − a rather than −a + b
        pairs.reverse()
    for value, factor in pairs:
        if isinstance(factor, float) and factor in (1, -1):
            term, add = value, np.add if factor == 1 else np.subtract
        else:
            term, add = np.multiply(value, factor, out=value if own else None), np.add
        if total is None:
            total = term if add is np.add else np.negative(term)
            ours = own or total is not value
        else:
            total, ours = add(total, term, out=total if ours else None), True
    return total


def framed_planes(X: Array, space: tuple[int, ...]) -> tuple[Array, int]:
    """Copy planes into frames of zeros. X (N, R, C) -> (lead + N · C · R',), R'."""
    batch, _, channels = X.shape
    frame, lead, inner = frame_of(space)
    pixels = prod(frame)
    everything = np.empty(lead + batch * channels * pixels, X.dtype)
    everything[:lead] = 0
    framed = everything[lead:].reshape(batch, channels, *frame)
    source = X.swapaxes(1, 2).reshape(batch, channels, *space)

    def copy(place: tuple[slice, slice]) -> None:
        framed[place] = 0
        framed[(*place, *inner)] = source[place]

    whole = max(1, 4 * _POINTS // (max(channels, 1) * pixels))
    if whole > 1 or channels == 1:
        run(copy, [(slice(n, n + whole), slice(None)) for n in range(0, batch, whole)])
    else:
        run(copy, [(slice(n, n + 1), slice(c, c + 1)) for n in range(batch) for c in range(channels)])
    return everything, pixels


def frame_of(space: tuple[int, ...]) -> tuple[tuple[int, ...], int, tuple[slice, ...]]:
    """Shape of a framed image, zeros before the first of all, and where in the frame the image is."""
    frame = tuple(size + _ZEROS for size in space)
    lead = _ZEROS * sum(prod(frame[a + 1 :]) for a in range(len(frame)))
    return frame, lead, tuple(slice(0, size) for size in space)


def blocks(batch: int, points: int, size: int = _POINTS) -> list[tuple[slice, slice]]:
    """Cut N × P points into blocks of about a given number: whole samples, or parts of one."""
    if points <= size:
        per = size // max(points, 1)
        return [(slice(n, min(n + per, batch)), slice(0, points)) for n in range(0, batch, per)] if points else []
    return [(slice(n, n + 1), slice(p, min(p + size, points))) for n in range(batch) for p in range(0, points, size)]


def _taps(block: Any, first: int, sample: int) -> list[tuple[Array, int]]:
    """Where the taps of a block lie if its samples are so many numbers apart: indices to take, and what to add."""
    taps, found, array = [], None, None
    several = block.shape[0] > 1 or first > 0
    offset = np.arange(first, first + block.shape[0])[:, None] * sample
    for tap, shift in block.taps():
        if tap is not array:
            array, found = tap, tap.astype(np.intp)
            if several:
                found += offset
        taps.append((found, shift))
    return taps


def _take(framed: Array, pixels: int, channels: slice, tap: tuple[Array, int], into: Array) -> Array:
    """Read a tap of some channels, (n, c, p). Its index is valid; ``clip`` keeps NumPy from checking it in a buffer."""
    index, shift = tap
    index = index[:, None]
    if channels.stop > channels.start + 1:
        index = index + np.arange(channels.stop - channels.start)[:, None] * pixels
    return framed[channels.start * pixels + shift :].take(index, out=into, mode="clip")


def _groups(block: Any, channels: int) -> list[slice]:
    """Channels that are worked on together: one, but for small blocks, where calls cost more than the work."""
    step = max(1, _POINTS // max(1, prod(block.shape)))
    return [slice(c, min(c + step, channels)) for c in range(0, channels, step)]


def _with(block: Any, channels: slice) -> tuple[int, int, int]:
    n, p = block.shape
    return n, channels.stop - channels.start, p


def _wide(factor: Any) -> Any:
    """A factor (n, p) for all channels."""
    return factor if isinstance(factor, float) else factor[:, None]
