"""The fast path on the CPU: images as planes, for few channels and for images that fit no cache.

Each channel stands alone, in a frame of zeros wide enough for every tap of every point, so that a tap is read without
asking whether it is inside. A tap table is worked through in blocks of points whose intermediate results stay in the
cache; the weights of the K taps of a point are never formed, since they are products, one factor an axis: sums over
taps are taken axis by axis.

Every call of NumPy takes the interpreter's lock for about a microsecond, and a thread that has to wait for it loses
several. So calls are few and long: all axes, and all taps along an axis, at once.

Everything is partitioned by shape. What is summed into an image is summed in a fixed order, whoever computes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import ceil, prod
from typing import Any

import numpy as np
from scipy import sparse

from attn_ref._threads import run

__all__ = [
    "blocks",
    "derivatives",
    "frame_of",
    "framed_planes",
    "gather",
    "scaled",
    "scatter",
    "taps_in",
    "weigh",
    "within",
]

Array = Any

ZEROS = 3
"""Zeros behind the last pixel of each axis: taps may stand there, or as many before the first pixel, where the zeros of
the row before are. Before the very first pixel of all, as many zeros as that takes."""

_BYTES = 2**18
"""What one number for each point of a block takes, 2¹⁶ points in float32. With shorter calls, threads wait for the lock
longer than they work."""

_LARGE = 2**17
"""Points of a sample above which they are added up block by block; of smaller samples, half as many are at once."""
_AT_ONCE = 2**14
"""Numbers below which NumPy adds them up faster than SciPy makes a matrix of them."""


def gather(table: Any, axes: tuple[int, ...], X: Array) -> Array:
    """S X or a derivative of it. X (N, R, C) -> (N, P, C), a plane a channel."""
    channels = X.shape[2]
    framed, pixels = framed_planes(X, table.space)
    Y = np.empty((table.batch, channels, table.points), X.dtype).swapaxes(1, 2)

    def one(place: tuple[slice, slice]) -> None:
        block = table.block(place)
        taps = taps_in(block, range(place[0].start, place[0].stop), channels * pixels, np.intp)
        factors = [[_wide(factor) for factor in along] for along in _factors(block, axes)]
        for c in _groups(block.shape, channels):
            values = _read(framed, _of_channels(taps, c, pixels))
            for along in reversed(factors):  # x first
                values = _sum(_along(values, len(along)), along, own=True)
            Y[(*place, c)] = block.scaled(axes, values[0].swapaxes(1, 2))

    run(one, blocks(table.batch, table.points, X.itemsize))
    return Y


def weigh(table: Any, wanted: Sequence[tuple[int, ...]], Y: Array, X: Array) -> Array:
    """Σ_c Y ∘ (S_axes X) for each of the W wanted axes. Y (N, P, C), X (N, R, C) -> (N, P, W)."""
    channels = X.shape[2]
    framed, pixels = framed_planes(X, table.space)
    found = np.empty((table.batch, table.points, len(wanted)), X.dtype)
    if channels == 0:
        found[...] = 0
        return found

    def one(place: tuple[slice, slice]) -> None:
        block = table.block(place)
        taps = taps_in(block, range(place[0].start, place[0].stop), channels * pixels, np.intp)
        D = None  # ⟨Y, X[tap]⟩, (K, n, p)
        for c in _groups(block.shape, channels):
            products = _read(framed, _of_channels(taps, c, pixels))  # (K, n, c, p)
            products *= Y[(*place, c)].swapaxes(1, 2)
            some = products[:, :, 0] if products.shape[2] == 1 else products.sum(axis=2)
            D = some if D is None else np.add(D, some, out=D)
        for i, derivative in enumerate(derivatives(block, wanted, D)):
            found[(*place, i)] = derivative

    run(one, blocks(table.batch, table.points, X.itemsize))
    return found


def derivatives(block: Any, wanted: Sequence[tuple[int, ...]], D: Array) -> list[Array]:
    """Σ_k w_k D_k for each of the wanted derivatives of w. D (K, n, p), the products ⟨Y, X[tap]⟩ -> (n, p) each."""
    counts = [tuple(axes.count(a) for a in block.axes) for axes in wanted]
    sums: dict[tuple[int, ...], Array] = {(): D}
    for a in block.axes:  # axis by axis, x first; what several derivatives share is summed once
        found = {}
        for key in dict.fromkeys(count[: a + 1] for count in counts):
            along = block.factors(a, key[-1])
            found[key] = _sum(_along(sums[key[:-1]], len(along)), along)
        sums = found
    if wanted and not np.isfinite(sums[counts[0]].sum()):  # perhaps inf · 0 of a tap outside, which is not used
        outside = np.stack(block.outside())
        if D[outside].any():
            D[outside] = 0
            return derivatives(block, wanted, D)
    return [block.scaled(axes, sums[count][0]) for axes, count in zip(wanted, counts, strict=True)]


def scatter(table: Any, axes: tuple[int, ...], Y: Array) -> Array:
    """Sᵀ Y or a derivative of it. Y (N, P, C) -> (N, R, C), a plane a channel."""
    if axes:
        Y = scaled(table, axes, Y)
    X = np.empty((table.batch, Y.shape[2], *table.space), Y.dtype)
    if table.points <= _LARGE:
        samples = blocks(table.batch, table.points, 1, max(table.points, _LARGE // 2))
        run(lambda place: _scatter_samples(table, axes, place[0], Y, X), samples)
        if not samples:
            X[...] = 0
    else:
        _scatter_points(table, axes, Y, X)
    return X.reshape(table.batch, Y.shape[2], prod(table.space)).swapaxes(1, 2)


def _scatter_samples(table: Any, axes: tuple[int, ...], samples: slice, Y: Array, X: Array) -> None:
    """Sᵀ Y of some samples, all taps at once, into X (N, C, …)."""
    frame, lead, inner = frame_of(table.space)
    index, weight = _entries(table, axes, samples)
    _, n, p = index.shape
    length = lead + n * prod(frame)
    for c in _groups((n, p), Y.shape[2]):
        y = np.moveaxis(Y[samples, :, c], 2, 0)[:, None]  # (c, 1, n, p)
        apart = np.arange(len(y), dtype=index.dtype)[:, None, None, None] * length
        sums = _summed(index + apart if len(y) > 1 else index, weight * y, len(y) * length)
        images = sums.reshape(len(y), length)[:, lead:].reshape(len(y), n, *frame)
        X[samples, c] = images[:, :, *inner].swapaxes(0, 1)


def _scatter_points(table: Any, axes: tuple[int, ...], Y: Array, X: Array) -> None:
    """Sᵀ Y of large samples, block by block, into X (N, C, …).

    ``add.at`` holds the interpreter's lock, so that threads would wait for each other; but it adds to the image in
    place, and SciPy's products would each make an image of their own.
    """
    N, P, channels = Y.shape
    frame, lead, inner = frame_of(table.space)
    pixels = prod(frame)
    sums = np.zeros(lead + N * channels * pixels, Y.dtype)
    for place in blocks(N, P, Y.itemsize):
        block = table.block(place)
        taps = taps_in(block, range(place[0].start, place[0].stop), channels * pixels, np.intp)
        weights = block.weights(axes)
        room = np.empty(block.shape, Y.dtype)
        for c in range(channels):
            for (tap, shift), weight in zip(taps, weights, strict=True):
                np.multiply(weight, Y[(*place, c)], out=room)
                np.add.at(sums[c * pixels + shift :], tap.reshape(-1), room.reshape(-1))
    X[...] = sums[lead:].reshape(N, channels, *frame)[:, :, *inner]


def scaled(table: Any, axes: tuple[int, ...], Y: Array) -> Array:
    """Y as a derivative takes it: per unit of the grid, 0 where that is 0 by definition."""
    result = np.empty((Y.shape[0], Y.shape[2], Y.shape[1]), Y.dtype).swapaxes(1, 2)

    def one(place: tuple[slice, slice]) -> None:
        result[place] = table.block(place).scaled(axes, Y[place])

    run(one, blocks(table.batch, table.points, Y.itemsize))
    return result


# ---------------------------------------------------------------------------------------------------------------------
# Taps in frames


@lru_cache(maxsize=64)
def frame_of(space: tuple[int, ...]) -> tuple[tuple[int, ...], int, tuple[slice, ...]]:
    """Shape of a framed image, zeros before the first of all, and where in the frame the image is."""
    frame = tuple(size + ZEROS for size in space)
    lead = ZEROS * sum(prod(frame[a + 1 :]) for a in range(len(frame)))
    return frame, lead, tuple(slice(0, size) for size in space)


def framed_planes(X: Array, space: tuple[int, ...]) -> tuple[Array, int]:
    """Copy planes into frames of zeros. X (N, R, C) -> (lead + N · C · R',), R'."""
    batch, _, channels = X.shape
    frame, lead, inner = frame_of(space)
    everything = np.zeros(lead + batch * channels * prod(frame), X.dtype)
    framed = everything[lead:].reshape(batch * channels, *frame)
    source = X.swapaxes(1, 2).reshape(batch * channels, *space)

    def copy(some: slice) -> None:
        framed[(some, *inner)] = source[some]

    run(copy, [some for some, _ in blocks(batch * channels, prod(frame), 1, 2**18)])
    return everything, prod(frame)


def taps_in(block: Any, places: Sequence[int] | Array, apart: int, integer: Any) -> list[tuple[Array, int]]:
    """Where the taps of a block lie in frames, x fastest: indices (n, p), and what to add to each.

    The zeros before the first frame count; ``places`` says at which place among frames, so many numbers apart, each
    sample stands.
    """
    rules = block.rules
    frame, lead, _ = frame_of(rules.space[::-1])
    strides = [prod(frame[len(frame) - a :]) for a in block.axes]
    start = lead + np.asarray(places)[:, None] * apart  # (n, 1)
    narrow = np.int32 if start.max() + apart + prod(frame) < 2**31 else np.int64
    start = start.astype(narrow)
    if rules.places is None:  # the taps of a cell lie beside each other
        index = block.cell[-1].astype(narrow, copy=False)
        for a in reversed(block.axes[:-1]):
            index = index * (frame[-1 - a]) + block.cell[a]
        index = np.add(index, start, out=index if len(rules.space) > 1 else None).astype(integer, copy=False)
        shifts = [0]
        for a in reversed(block.axes):
            shifts = [shift + k * strides[a] for shift in shifts for k in range(rules.taps)]
        return [(index, shift) for shift in shifts]
    rows = [start]
    for a in reversed(block.axes):
        places = [place * narrow(strides[a]) for place in block.places(a)]
        rows = [row + place for row in rows for place in places]
    return [(row.astype(integer, copy=False), 0) for row in rows]


def _of_channels(taps: list[tuple[Array, int]], channels: slice, pixels: int) -> list[tuple[Array, int]]:
    """Taps of some channels, (n, c, p), of those of the first, (n, p)."""
    first, count = channels.start * pixels, channels.stop - channels.start
    apart = np.arange(count)[:, None] * pixels
    found, given, index = [], None, None
    for tap, shift in taps:
        if tap is not given:  # often it is
            given, index = tap, tap[:, None] + apart if count > 1 else tap[:, None]
        found.append((index, first + shift))
    return found


def _read(framed: Array, taps: list[tuple[Array, int]]) -> Array:
    """Read taps (n, c, p). Their indices are valid: ``clip`` keeps NumPy from looking, in a buffer. -> (K, n, c, p)."""
    values = np.empty((len(taps), *taps[0][0].shape), framed.dtype)
    for (tap, shift), into in zip(taps, values, strict=True):
        framed[shift:].take(tap, out=into, mode="clip")
    return values


def _entries(table: Any, axes: tuple[int, ...], samples: slice) -> tuple[Array, Array]:
    """Where the taps of some samples lie in frames of their own, and their weights. (K, n, p) each, x fastest."""
    n, p, pixels = samples.stop - samples.start, table.points, prod(frame_of(table.space)[0])
    integer = np.int32 if max((n + 1) * pixels, table.taps * n * p) < 2**30 else np.int64
    index = np.empty((table.taps, n, p), integer)
    weight = np.empty((table.taps, n, p), table.dtype)
    for some, here in blocks(n, p, weight.itemsize):
        block = table.block((within(samples, some), here))
        for (tap, shift), into in zip(taps_in(block, range(n)[some], pixels, integer), index, strict=True):
            np.add(tap, integer(shift), out=into[some, here])
        for one, into in zip(block.weights(axes), weight, strict=True):
            into[some, here] = one
    return index, weight


def within(outer: slice, inner: slice) -> slice:
    """Part of a part."""
    return slice(outer.start + inner.start, outer.start + inner.stop)


def _summed(index: Array, values: Array, length: int) -> Array:
    """Σ of the values with the same index, in their order. -> (length,)."""
    index, values = index.reshape(-1), values.reshape(-1)
    if index.size < _AT_ONCE:
        sums = np.zeros(length, values.dtype)
        np.add.at(sums, index, values)
        return sums
    starts = np.array([0, index.size], index.dtype)  # they are the one column of a sparse matrix
    column: Array = sparse.csc_array((values, index, starts), shape=(length, 1)) @ np.ones(1, values.dtype)
    return column


# ---------------------------------------------------------------------------------------------------------------------
# Sums, and how work is cut


def _factors(block: Any, axes: tuple[int, ...]) -> list[list[Any]]:
    """Weights of the taps along z, y and x, differentiated as asked for."""
    return [block.factors(a, axes.count(a)) for a in reversed(block.axes)]


def _along(values: Array, taps: int) -> list[Array]:
    """Split off the fastest axis of taps: (K · k, …) -> k times (K, …)."""
    split = values.reshape(-1, taps, *values.shape[1:])
    return [split[:, k] for k in range(taps)]


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


def blocks(batch: int, points: int, itemsize: int, size: int = _BYTES) -> list[tuple[slice, slice]]:
    """Cut N × P points into blocks of so many bytes of one number: whole samples, or parts of one.

    Two or more are about the same in number and size, so that two threads end together.
    """
    size = max(1, size // itemsize)
    if batch * points == 0:
        return []
    if points <= size:
        return [(some, slice(0, points)) for some in _cut(batch, batch * points / size)]
    return [(slice(n, n + 1), some) for n in range(batch) for some in _cut(points, points / size)]


def _cut(length: int, parts: float) -> list[slice]:
    """Cut a range into that many parts or a few more: an even number of about equal length, unless one will do."""
    count = 1 if parts <= 1 else 2 * ceil(parts / 2)
    step = ceil(length / count)
    return [slice(start, min(start + step, length)) for start in range(0, length, step)]


def _groups(shape: tuple[int, int], channels: int) -> list[slice]:
    """Channels that are worked on together: one, but for small blocks, where calls cost more than the work."""
    step = max(1, 2**13 // max(1, prod(shape)))
    return [slice(c, min(c + step, channels)) for c in range(0, channels, step)]


def _wide(factor: Any) -> Any:
    """A factor (n, p) for all channels."""
    return factor if isinstance(factor, float) else factor[:, None]
