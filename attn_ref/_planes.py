"""The fast path on the CPU: images as planes, for few channels and for images that fit no cache.

Each channel stands alone, in a frame of zeros wide enough for every tap of every point, so that a tap is read without
asking whether it is inside. A tap table is worked through in blocks of points whose intermediate results stay in the
cache; the weights of the K taps of a point are never formed for reading, since they are products, one factor an axis:
sums over taps are taken axis by axis. What the backward pass needs of a point, its place in the image and its
products, is found once for both gradients.

Every call of NumPy takes the interpreter's lock for about a microsecond, and a thread that has to wait for it loses
several. So calls are few and long: all axes, and all taps along an axis, at once.

Everything is partitioned by shape. What is summed into an image is summed in a fixed order, whoever computes it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from math import prod
from typing import Any

import numpy as np
from scipy import sparse

from attn_ref._threads import cut, results, run

__all__ = [
    "blocks",
    "frame_of",
    "gather",
    "scaled",
    "scatter",
    "scatter_and_weigh",
    "taps_in",
    "weigh",
    "within",
    "write_derivatives",
]

Array = Any

ZEROS = 3
"""Zeros behind the last pixel of each axis: taps may stand there, or as many before the first pixel, where the zeros of
the row before are. Before the very first pixel of all, as many zeros as that takes."""

_POINTS = 2**16
"""Points of a block. With shorter calls, threads wait for the lock longer than they work."""

_AT_ONCE = 2**14
"""Numbers below which NumPy adds them up faster than SciPy makes a matrix of them."""


def gather(table: Any, axes: tuple[int, ...], X: Array) -> Array:
    """S X or a derivative of it. X (N, R, C) -> (N, P, C), a plane a channel."""
    channels = X.shape[2]
    Y = np.empty((table.batch, channels, table.points), X.dtype).swapaxes(1, 2)
    frames, groups, last = _frames(table, X), _groups(table, channels), len(table.space) - 1

    def one(task: _Task) -> None:
        samples, parts = task
        framed = frames(samples)
        for points in parts:
            block = table.block((samples, points))
            wide = _Wide(_taps(block))
            # The weight of a single tap is 1, and that its derivatives are 0 is what ``scaled`` says.
            factors = [[_wide(factor) for factor in along] for along in _factors(block, axes)] if table.taps > 1 else []
            for c in groups:
                into = Y[samples, points, c].swapaxes(1, 2)  # (n, c, p)
                out = None if axes or block.nan is not None else into[None]  # else there is more to do
                values = _read(framed, wide, c, out if table.taps == 1 else None)
                for a, along in enumerate(factors):
                    values = _sum(_along(values, len(along)), along, own=True, out=out if a == last else None)
                if out is None:
                    into[...] = block.scaled(axes, values[0].swapaxes(1, 2)).swapaxes(1, 2)

    run(one, _tasks(table))
    return Y


def scatter(table: Any, axes: tuple[int, ...], Y: Array) -> Array:
    """Sᵀ Y or a derivative of it. Y (N, P, C) -> (N, R, C), a plane a channel."""
    return _pass(table, Y, axes, (), None)[0]


def weigh(table: Any, wanted: Sequence[tuple[int, ...]], Y: Array, X: Array) -> Array:
    """Σ_c Y ∘ (S_axes X) for each of the W wanted axes. Y (N, P, C), X (N, R, C) -> (N, P, W)."""
    return _pass(table, Y, None, wanted, X)[1]


def scatter_and_weigh(table: Any, wanted: Sequence[tuple[int, ...]], Y: Array, X: Array) -> tuple[Array, Array]:
    """Sᵀ Y, and Σ_c Y ∘ (S_axes X) for each of the wanted axes, with the geometry of each point made once."""
    return _pass(table, Y, (), wanted, X)


def _pass(
    table: Any, Y: Array, axes: tuple[int, ...] | None, wanted: Sequence[tuple[int, ...]], X: Array | None
) -> tuple[Any, Any]:
    """Go over the points once, with Y (N, P, C).

    Sums up Sᵀ Y, or its derivative with respect to ``axes``, unless those are None; and Σ_c Y ∘ (S_axes X) for each of
    the wanted axes. -> (N, R, C) or None, (N, P, W).
    """
    N, P, channels = Y.shape
    dX = None if axes is None or N == 1 else np.empty((N, channels, *table.space), Y.dtype)
    still = X is None or (table.flat and all(wanted))  # no derivative is wanted, or all are 0 whatever the products
    found = (np.zeros if still else np.empty)((N, P, len(wanted)), Y.dtype)
    frames = None if X is None or still else _frames(table, X)
    groups = _groups(table, channels)

    def one(task: _Task) -> _Sums | None:
        samples, parts = task
        framed = None if frames is None else frames(samples)
        sums = None if axes is None else _Sums(table.space, samples.stop - samples.start, groups)
        if sums is not None and len(parts) > 1:
            sums.make_room(channels, Y.dtype)
        for points in parts:
            block = table.block((samples, points))
            taps = _taps(block)
            wide = _Wide(taps)
            weights = [] if axes is None else [_wide(weight) for weight in block.weights(axes)]
            D = None  # ⟨Y, X[tap]⟩, (K, n, p)
            for g, c in enumerate(groups):
                y = Y[samples, points, c]
                if sums is not None:
                    terms = block.scaled(axes, y) if axes else y
                    sums.add(g, taps, wide, weights, terms.swapaxes(1, 2))
                if framed is not None:
                    products = _read(framed, wide, c)  # (K, n, c, p)
                    products *= y.swapaxes(1, 2)
                    some = products[:, :, 0] if products.shape[2] == 1 else products.sum(axis=2)
                    D = some if D is None else np.add(D, some, out=D)
            if not wanted or (still and block.nan is None):
                continue
            D = np.zeros((table.taps, *block.shape), Y.dtype) if D is None else D
            write_derivatives(block, wanted, D, found[samples, points])
        if sums is None or dX is None:
            return sums
        sums.copy_to(dX, samples)
        return None

    tasks = _tasks(table)
    if N == 1 and axes is not None:  # each half of the points has an image of its own
        tasks = _halves(tasks)
    halves = results(one, tasks)
    if axes is None:
        return None, found
    if dX is None:
        frames = None  # their memory is needed
        dX = np.empty((N, channels, *table.space), Y.dtype)
        while len(halves) > 1:
            halves[0] += halves.pop()
        for half in halves:
            half.copy_to(dX, slice(0, 1))
    if not tasks:
        dX[...] = 0
    return dX.reshape(N, channels, prod(table.space)).swapaxes(1, 2), found


class _Sums:
    """Images that are being summed up, in frames, by groups of channels."""

    def __init__(self, space: tuple[int, ...], count: int, groups: list[slice]) -> None:
        frame, self.lead, self.inner = frame_of(space)
        self.shape = (count, *frame)
        self.length = self.lead + prod(self.shape)
        self.groups = groups
        self.images: list[Any] = [None] * len(groups)
        self.made: tuple[list[_Tap], sparse.csc_array] | None = None

    def make_room(self, channels: int, dtype: Any) -> None:
        """Begin sums of several parts with zeros, of all channels in one piece of memory.

        Many smaller ones are given back to the system when they are freed, and asked for again in the next call.
        """
        room = np.zeros((channels, self.length), dtype)
        self.images = [room[c].reshape(-1) for c in self.groups]

    def add(self, g: int, taps: list[_Tap], wide: _Wide, weights: list[Any], y: Array) -> None:
        """Add the weights times y (n, c, p) to the pixels that the taps read, in the order of taps and points.

        ``add.at`` holds the interpreter's lock, so that threads wait for each other, but it adds to the image in place.
        SciPy's products are faster but make an image of their own, which costs more where points are few beside it.
        """
        entries, length = len(taps) * y.size, y.shape[1] * self.length
        image = self.images[g]
        if entries < _AT_ONCE or (image is not None and length > 2 * entries):
            if image is None:
                image = np.zeros(length, y.dtype)
            for (tap, shift), weight in zip(wide.of_channels(slice(0, y.shape[1]), self.length), weights, strict=True):
                np.add.at(image[shift:], tap.reshape(-1), (weight * y).reshape(-1))
        else:
            summed = self._summed(taps, weights, y, length)
            image = summed if image is None else np.add(image, summed, out=image)
        self.images[g] = image

    def _summed(self, taps: list[_Tap], weights: list[Any], y: Array, length: int) -> Array:
        """All taps at once, as the one column of a sparse matrix. -> (length,)."""
        values = np.empty((len(taps), *y.shape), y.dtype)
        for weight, value in zip(weights, values, strict=True):
            np.multiply(weight, y, out=value)
        if self.made is None or self.made[0] is not taps or self.made[1].shape[0] != length:
            self.made = taps, self._column(taps, values, length)
        column = self.made[1]
        column.data = values.reshape(-1)
        sums: Array = column @ np.ones(1, y.dtype)
        return sums

    def _column(self, taps: list[_Tap], values: Array, length: int) -> sparse.csc_array:
        """The matrix for values (K, n, c, p): of the same taps, made once for all channels."""
        channels = values.shape[2]
        integer: Any = np.int32 if length < 2**31 else np.int64
        apart = np.arange(channels, dtype=integer)[:, None] * integer(self.length)
        index = np.empty(values.shape, integer)
        for (tap, shift), at in zip(taps, index, strict=True):
            np.add(tap[:, None], apart + integer(shift), out=at)
        starts = np.array([0, index.size], integer)
        return sparse.csc_array((values.reshape(-1), index.reshape(-1), starts), shape=(length, 1))

    def __iadd__(self, other: _Sums) -> _Sums:
        for image, more in zip(self.images, other.images, strict=True):
            image += more
        return self

    def copy_to(self, dX: Array, samples: slice) -> None:
        """Copy the images out of their frames, into dX (N, C, …)."""
        for image, c in zip(self.images, self.groups, strict=True):
            framed = image.reshape(-1, self.length)[:, self.lead :].reshape(-1, *self.shape)  # (c, n, …)
            dX[samples, c] = framed[:, :, *self.inner].swapaxes(0, 1)


def _derivatives(block: Any, wanted: Sequence[tuple[int, ...]], D: Array) -> list[Array]:
    """Σ_k w_k D_k for each of the wanted derivatives of w. D (K, n, p), the products ⟨Y, X[tap]⟩ -> (n, p) each."""
    counts, steps = _steps(len(block.axes), tuple(wanted))
    sums: dict[tuple[int, ...], Array] = {(): D}
    for a, keys in enumerate(steps):  # axis by axis, x first; what several derivatives share is summed once
        sums = {key: _sum(_along(sums[key[:-1]], block.rules.taps), block.factors(a, key[-1])) for key in keys}
    if wanted and not np.isfinite(sums[counts[0]].sum()):  # perhaps inf · 0 of a tap outside, which is not used
        outside = np.stack(block.outside())
        if D[outside].any():
            D[outside] = 0
            return _derivatives(block, wanted, D)
    return [block.scaled(axes, sums[count][0]) for axes, count in zip(wanted, counts, strict=True)]


def write_derivatives(block: Any, wanted: Sequence[tuple[int, ...]], D: Array, into: Array) -> None:
    """Write Σ_k w_k D_k for each of the W wanted derivatives of w, D (K, n, p), side by side into (n, p, W)."""
    for i, derivative in enumerate(_derivatives(block, wanted, D)):
        into[..., i] = derivative


@lru_cache(maxsize=64)
def _steps(axes: int, wanted: tuple[tuple[int, ...], ...]) -> tuple[list[tuple[int, ...]], list[list[tuple[int, ...]]]]:
    """How often each of the wanted derivatives differentiates along each axis; and the different beginnings of that."""
    counts = [tuple(one.count(a) for a in range(axes)) for one in wanted]
    return counts, [list(dict.fromkeys(count[: a + 1] for count in counts)) for a in range(axes)]


def scaled(table: Any, axes: tuple[int, ...], Y: Array) -> Array:
    """Y as a derivative takes it: per unit of the grid, 0 where that is 0 by definition."""
    result = np.empty((Y.shape[0], Y.shape[2], Y.shape[1]), Y.dtype).swapaxes(1, 2)

    def one(place: tuple[slice, slice]) -> None:
        result[place] = table.block(place).scaled(axes, Y[place])

    run(one, blocks(table.batch, table.points))
    return result


# ---------------------------------------------------------------------------------------------------------------------
# Taps in frames

_Tap = tuple[Array, int]
"""Where a tap of each point of a block lies, (n, p), and what to add to that."""


@lru_cache(maxsize=64)
def frame_of(space: tuple[int, ...]) -> tuple[tuple[int, ...], int, tuple[slice, ...]]:
    """Shape of a framed image, zeros before the first of all, and where in the frame the image is."""
    frame = tuple(size + ZEROS for size in space)
    lead = ZEROS * sum(prod(frame[a + 1 :]) for a in range(len(frame)))
    return frame, lead, tuple(slice(0, size) for size in space)


def _frames(table: Any, X: Array) -> Callable[[slice], Array]:
    """Return a function that frames some samples of X (N, R, C); a single one is framed once for all."""
    if table.batch > 1:
        return lambda samples: _framed(X[samples], table.space)
    framed = _framed(X, table.space)
    return lambda _: framed


def _framed(X: Array, space: tuple[int, ...]) -> Array:
    """Copy planes into frames of zeros, one sample after the other. X (n, R, C) -> (C, lead + n · R')."""
    n, _, channels = X.shape
    frame, lead, inner = frame_of(space)
    everything = np.empty((channels, lead + n * prod(frame)), X.dtype)
    framed = everything[:, lead:].reshape(channels, n, *frame)
    source = X.swapaxes(1, 2).reshape(n, channels, *space).swapaxes(0, 1)
    everything[:, :lead] = 0
    for a, size in enumerate(space):
        framed[(slice(None), slice(None), *inner[:a], slice(size, None))] = 0

    def copy(some: slice) -> None:
        framed[(slice(None), slice(None), some, *inner[1:])] = source[:, :, some]

    run(copy, cut(space[0], X.size / 2**20))
    return everything


@lru_cache(maxsize=64)
def _shifts(space: tuple[int, ...], taps: int) -> list[int]:
    """How far the taps of a cell lie behind its first in a frame, x fastest."""
    frame, _, _ = frame_of(space)
    shifts = [0]
    for a in range(len(space)):  # z, y, x
        shifts = [shift + k * prod(frame[a + 1 :]) for shift in shifts for k in range(taps)]
    return shifts


def taps_in(block: Any, places: Array, apart: int, integer: Any = None) -> list[_Tap]:
    """Where the taps of a block lie in frames, x fastest, as narrow integers unless told otherwise.

    The zeros before the first frame count; ``places`` says at which place among frames, so many numbers apart, each
    sample stands: one after the other unless told which integers can count them.
    """
    rules, space = block.rules, block.rules.space[::-1]
    frame, lead, _ = frame_of(space)
    integer = integer or (np.int32 if lead + len(places) * apart + prod(frame) < 2**31 else np.int64)
    start = integer(lead + places[0] * apart) if len(places) == 1 else (lead + places * apart).astype(integer)[:, None]
    if rules.places is None:  # the taps of a cell lie beside each other
        index = block.cell[-1].astype(integer, copy=False)
        for a in block.axes[-2::-1]:
            index = index * frame[-1 - a] + block.cell[a]
        index = np.add(index, start, out=index if len(space) > 1 else None)
        return [(index, shift) for shift in _shifts(space, rules.taps)]
    rows = [start]
    for a in block.axes[::-1]:
        stride = integer(prod(frame[len(frame) - a :]))
        places = [place * stride for place in block.places(a)]
        rows = [row + place for row in rows for place in places]
    return [(row, 0) for row in rows]


def _taps(block: Any) -> list[_Tap]:
    """Where the taps of a block lie in frames that hold its samples alone."""
    return taps_in(block, np.arange(block.shape[0]), prod(frame_of(block.rules.space)[0]))


class _Wide:
    """Taps as integers of the width with which NumPy reads, of one channel and of several: made once for all calls."""

    def __init__(self, taps: list[_Tap]) -> None:
        self.taps = _changed(taps, lambda tap: tap.astype(np.intp, copy=False)[:, None])
        self.made: dict[tuple[int, int], list[_Tap]] = {}

    def of_channels(self, channels: slice, length: int) -> list[_Tap]:
        """Where some channels' taps lie, (n, c, p), if a channel is so long."""
        count = channels.stop - channels.start
        if (count, length) not in self.made:
            apart = np.arange(count)[:, None] * length
            self.made[count, length] = self.taps if count == 1 else _changed(self.taps, lambda tap: tap + apart)
        return [(tap, channels.start * length + shift) for tap, shift in self.made[count, length]]


def _changed(taps: list[_Tap], change: Callable[[Array], Array]) -> list[_Tap]:
    """Change the arrays of taps, once where several in a row share one: often all do."""
    found: list[_Tap] = []
    given: Any = None
    for tap, shift in taps:
        if tap is not given:
            given, changed = tap, change(tap)
        found.append((changed, shift))
    return found


def _read(framed: Array, wide: _Wide, channels: slice, out: Array | None = None) -> Array:
    """Read taps of some channels. Their indices are valid: ``clip`` keeps NumPy from looking. -> (K, n, c, p)."""
    taps = wide.of_channels(channels, framed.shape[1])
    everything = framed.reshape(-1)
    values = np.empty((len(taps), *taps[0][0].shape), framed.dtype) if out is None else out
    for (tap, shift), into in zip(taps, values, strict=True):
        everything[shift:].take(tap, out=into, mode="clip")
    return values


def within(outer: slice, inner: slice) -> slice:
    """Part of a part."""
    return slice(outer.start + inner.start, outer.start + inner.stop)


# ---------------------------------------------------------------------------------------------------------------------
# Sums, and how work is cut

_Task = tuple[slice, list[slice]]
"""Some samples, and parts of their points to be worked through one by one."""


def _factors(block: Any, axes: tuple[int, ...]) -> list[list[Any]]:
    """Weights of the taps along x, y and z, differentiated as asked for."""
    return [block.factors(a, axes.count(a)) for a in block.axes]


def _along(values: Array, taps: int) -> list[Array]:
    """Split off the fastest axis of taps: (K · k, …) -> k times (K, …)."""
    split = values.reshape(-1, taps, *values.shape[1:])
    return [split[:, k] for k in range(taps)]


def _sum(values: Sequence[Array], factors: list[Any], *, own: bool = False, out: Array | None = None) -> Array:
    """Σ_k w_k v_k, in the memory of v if that is our own, or at last in ``out``."""
    total, pairs = None, list(zip(values, factors, strict=True))
    if isinstance(factors[0], float) and factors[0] == -1:  # b − a rather than −a + b
        pairs.reverse()
    for i, (value, factor) in enumerate(pairs, start=1):
        if isinstance(factor, float) and factor in (1, -1):
            term, add = value, np.add if factor == 1 else np.subtract
        else:
            term, add = np.multiply(value, factor, out=value if own else None), np.add
        if total is None:
            total = term if add is np.add else np.negative(term)
            ours = own or total is not value
        else:
            target = out if out is not None and i == len(pairs) else total if ours else None
            total, ours = add(total, term, out=target), True
    return total


def blocks(batch: int, points: int) -> list[tuple[slice, slice]]:
    """Cut N × P points into blocks: whole samples, or parts of one.

    Two or more are about the same in number and size, so that two threads end together.
    """
    if batch * points == 0:
        return []
    if points <= _POINTS:
        return [(some, slice(0, points)) for some in cut(batch, batch * points / _POINTS)]
    return [(slice(n, n + 1), some) for n in range(batch) for some in cut(points, points / _POINTS)]


def _tasks(table: Any) -> list[_Task]:
    """Cut all points: several samples at once, or a large sample in parts; of a single one, each part is a task."""
    places = blocks(table.batch, table.points)
    if not places or table.batch == 1 or places[0][1].stop == table.points:
        return [(samples, [points]) for samples, points in places]
    return [(slice(n, n + 1), [points for samples, points in places if samples.start == n]) for n in range(table.batch)]


def _halves(tasks: list[_Task]) -> list[_Task]:
    """The same points in two tasks."""
    middle = (len(tasks) + 1) // 2
    return [
        (half[0][0], [points for _, parts in half for points in parts])
        for half in (tasks[:middle], tasks[middle:])
        if half
    ]


def _groups(table: Any, channels: int) -> list[slice]:
    """Channels that are worked on together: one, but for few points, where calls cost more than the work."""
    step = max(1, (2**15 if table.taps == 1 else 2**13) // max(1, table.batch * table.points))
    return [slice(c, min(c + step, channels)) for c in range(0, channels, step)]


def _wide(factor: Any) -> Any:
    """A factor (n, p) for all channels."""
    return factor if isinstance(factor, float) else factor[:, None]
