"""The path of many channels on the CPU: images as rows, a pixel a row with its channels side by side.

A tap then reads a row at a time, and SciPy's products of a sparse matrix with rows do all the work. Samples are spread
over the threads, and of a single sample the channels or the points. As in :mod:`attn_ref._planes` images stand in
frames of zeros, and everything is partitioned by shape.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np

from attn_ref._planes import derivatives, frame_of, scaled
from attn_ref._threads import run

__all__ = ["gather", "scaled", "scatter", "weigh"]

Array = Any

_NUMBERS = 2**17
"""Numbers, points times channels, that are worked on at a time."""
_GEOMETRY = 2**14
"""Points of a sample, at most, whose geometry is made at once."""


def gather(table: Any, axes: tuple[int, ...], X: Array) -> Array:
    """S X or a derivative of it. X (N, R, C) -> (N, P, C)."""
    Y = _room(table.batch, table.points, X)

    def some(samples: slice) -> None:
        source = _framed(X[samples], table.space)
        blocks = _blocks(table, samples)

        def part(points: slice) -> None:
            block = blocks(points)
            rows = table.backend.gather(_index(block, source), block.weight(*axes), source)
            _copy(Y[samples, points], block.scaled(axes, rows.reshape(*block.shape, X.shape[2])))

        run(part, _points(table, X.shape[2]))

    run(some, _samples(table, X.shape[2]))
    return Y


def scatter(table: Any, axes: tuple[int, ...], Y: Array) -> Array:
    """Sᵀ Y or a derivative of it. Y (N, P, C) -> (N, R, C)."""
    X = _room(table.batch, prod(table.space), Y)
    frame, lead, inner = frame_of(table.space)

    def some(samples: slice) -> None:
        block = table.block((samples, slice(None)))
        n, p = block.shape
        length = lead + n * prod(frame)
        index, weight = _index(block, range(length)), block.weight(*axes)

        def part(channels: slice) -> None:
            y = Y[samples, :, channels]
            rows = np.empty(y.shape, Y.dtype)
            _copy(rows, y)
            rows = block.scaled(axes, rows).reshape(n * p, y.shape[2])
            sums = table.backend.scatter(index, weight, rows, length)[lead:].reshape(n, *frame, -1)
            _copy(X[samples, :, channels].reshape(n, *table.space, -1), sums[:, *inner])

        run(part, _channels(table, Y.shape[2]))

    run(some, _samples(table, Y.shape[2]))
    return X


def weigh(table: Any, wanted: Sequence[tuple[int, ...]], Y: Array, X: Array) -> list[Array]:
    """Σ_c Y ∘ (S_axes X) for each of the wanted axes. Y (N, P, C), X (N, R, C) -> (N, P) each."""
    results = [np.empty((table.batch, table.points), X.dtype) for _ in wanted]

    def some(samples: slice) -> None:
        source = _framed(X[samples], table.space)
        blocks = _blocks(table, samples)

        def part(points: slice) -> None:
            block = blocks(points)
            rows = np.empty((*block.shape, X.shape[2]), X.dtype)
            _copy(rows, Y[samples, points])
            D = table.backend.dot(_index(block, source), rows.reshape(-1, X.shape[2]), source)
            D = np.ascontiguousarray(D.T).reshape(-1, *block.shape)
            for result, derivative in zip(results, derivatives(block, wanted, D), strict=True):
                result[samples, points] = derivative

        run(part, _points(table, X.shape[2]))

    run(some, _samples(table, X.shape[2]))
    return results


# ---------------------------------------------------------------------------------------------------------------------
# Tasks and copies


def _samples(table: Any, channels: int) -> list[slice]:
    per = max(1, _NUMBERS // (channels * max(table.points, prod(table.space))))
    return [slice(n, min(n + per, table.batch)) for n in range(0, table.batch, per)]


def _blocks(table: Any, samples: slice) -> Callable[[slice], Any]:
    """Blocks of points of some samples; their geometry is made at once unless that would be much."""
    if table.points > _GEOMETRY:
        return lambda points: table.block((samples, points))
    whole = table.block((samples, slice(None)))
    return lambda points: whole.cut((slice(None), points))


def _points(table: Any, channels: int) -> list[slice]:
    step = max(256, _NUMBERS // channels)
    return [slice(p, min(p + step, table.points)) for p in range(0, table.points, step)]


def _channels(table: Any, channels: int) -> list[slice]:
    """Few enough that the rows of an image stay in the cache, and several parts for a single sample."""
    step = 64 if table.batch > 1 else max(8, min(64, channels // 4))
    return [slice(c, min(c + step, channels)) for c in range(0, channels, step)]


def _index(block: Any, source: Sequence[Any]) -> Array:
    most = max(len(source), 64 * prod(block.shape))  # also of entries in the table
    return block.framed_index(np.int32 if most < 2**31 else np.int64)


def _room(batch: int, length: int, like: Array) -> Array:
    """An empty (N, length, C), its memory in the order of another's."""
    channels = like.shape[2]
    if like.strides[2] > like.strides[1]:
        return np.empty((batch, channels, length), like.dtype).swapaxes(1, 2)
    return np.empty((batch, length, channels), like.dtype)


def _framed(X: Array, space: tuple[int, ...]) -> Array:
    """Copy images into frames of zeros. X (n, R, C) -> (lead + n · R', C)."""
    n, _, channels = X.shape
    frame, lead, inner = frame_of(space)
    rows = np.zeros((lead + n * prod(frame), channels), X.dtype)
    framed = rows[lead:].reshape(n, *frame, channels)[:, *inner]
    source = X.reshape(n, *space, channels)

    def copy(some: slice) -> None:
        _copy(framed[..., some], source[..., some])

    run(copy, [slice(c, c + 64) for c in range(0, channels, 64)])
    return rows


def _copy(target: Array, source: Array) -> None:
    """Copy (n, …, c), between planes and rows by tiles that stay in the cache."""
    if (target.strides[-1] > target.strides[-2]) == (source.strides[-1] > source.strides[-2]):
        target[...] = source
        return
    if target.strides[-1] > target.strides[-2]:  # to planes, by some thousand numbers
        row = max(1, prod(target.shape[2:-1]))
        step = max(1, min(max(2**13 // target.shape[-1], 16), 256) // row)
        for p in range(0, target.shape[1], step):
            target[:, p : p + step] = source[:, p : p + step]
    else:  # planes of a power of two fall on each other in the cache
        step = 8 if source.strides[-1] % 4096 == 0 else 32
        for c in range(0, target.shape[-1], step):
            target[..., c : c + step] = source[..., c : c + step]
