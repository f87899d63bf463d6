"""The path of many channels on the CPU: images as rows, a pixel a row with its channels side by side.

A tap then reads a row at a time, and SciPy's products of a sparse matrix with rows do all the work. The matrix is made
once for all points. Samples are spread over the threads, and of a single sample the channels or the points. As in
:mod:`attn_ref._planes` images stand in frames of zeros, and everything is partitioned by shape.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np

from attn_ref._planes import blocks, frame_of, scaled, taps_in, within, write_derivatives
from attn_ref._threads import cut, run

__all__ = ["gather", "scaled", "scatter", "scatter_and_weigh", "weigh"]

Array = Any

_NUMBERS = 2**18
"""Numbers, points times channels, that are worked on at a time."""
_TILE = 2**15
"""Numbers that are changed from rows to planes at a time."""
_KEPT = 2**22
"""Entries of the matrix, at most, that are kept for the next product."""


def gather(table: Any, axes: tuple[int, ...], X: Array) -> Array:
    """S X or a derivative of it. X (N, R, C) -> (N, P, C)."""
    channels = X.shape[2]
    Y = _room(table.batch, table.points, X)
    groups = _samples(table, channels)
    entries = _entries(table, axes, groups)

    def some(samples: slice) -> None:
        source = _framed(X[samples], table.space)

        def part(points: slice) -> None:
            index, weight, plain = entries(samples, points)
            rows = table.backend.gather(_flat(index), _flat(weight), source).reshape(*index.shape[:2], channels)
            if axes or not plain:
                rows = table.block((samples, points)).scaled(axes, rows)
            _copy(Y[samples, points], rows)

        run(part, _points(table, channels))

    run(some, groups)
    return Y


def scatter(table: Any, axes: tuple[int, ...], Y: Array) -> Array:
    """Sᵀ Y or a derivative of it. Y (N, P, C) -> (N, R, C)."""
    X = _room(table.batch, prod(table.space), Y)
    groups = _samples(table, Y.shape[2])
    entries = _entries(table, axes, groups)

    def some(task: tuple[slice, slice]) -> None:
        samples, channels = task
        rows = _rows_of(Y[samples, :, channels])
        if axes:
            rows = table.block((samples, slice(None))).scaled(axes, rows)
        _add_up(table, entries(samples, slice(0, table.points)), rows, X[samples, :, channels])

    run(some, [(samples, channels) for samples in groups for channels in _channels(table, Y.shape[2])])
    return X


def weigh(table: Any, wanted: Sequence[tuple[int, ...]], Y: Array, X: Array) -> Array:
    """Σ_c Y ∘ (S_axes X) for each of the W wanted axes. Y (N, P, C), X (N, R, C) -> (N, P, W)."""
    D = np.empty((table.taps, table.batch, table.points), X.dtype)  # ⟨Y, X[tap]⟩
    groups = _samples(table, X.shape[2])
    entries = _entries(table, (), groups)

    def some(samples: slice) -> None:
        source = _framed(X[samples], table.space)

        def part(points: slice) -> None:
            rows = _rows_of(Y[samples, points])
            D[:, samples, points] = _products(table, entries(samples, points), rows, source)

        run(part, _points(table, X.shape[2]))

    run(some, groups)
    return _derived(table, wanted, D)


def scatter_and_weigh(table: Any, wanted: Sequence[tuple[int, ...]], Y: Array, X: Array) -> tuple[Array, Array]:
    """Sᵀ Y, and Σ_c Y ∘ (S_axes X) for each of the wanted axes; of several samples with the rows of Y made once."""
    channels = X.shape[2]
    groups = _samples(table, channels)
    if table.flat or len(groups) < 2:
        return scatter(table, (), Y), table.gradient(table.dot(Y, X))
    dX, D = _room(table.batch, prod(table.space), Y), np.empty((table.taps, table.batch, table.points), X.dtype)
    entries = _entries(table, (), groups)

    def some(samples: slice) -> None:
        rows, source = _rows_of(Y[samples]), _framed(X[samples], table.space)
        for c in _channels(table, channels):
            _add_up(table, entries(samples, slice(0, table.points)), rows[:, :, c], dX[samples, :, c])
        for points in _points(table, channels):
            D[:, samples, points] = _products(table, entries(samples, points), rows[:, points], source)

    run(some, groups)
    return dX, _derived(table, wanted, D)


def _rows_of(Y: Array) -> Array:
    """A copy of (n, p, C) with the channels side by side."""
    rows = np.empty(Y.shape, Y.dtype)
    _copy(rows, Y)
    return rows


def _add_up(table: Any, entries: _Entries, rows: Array, X: Array) -> None:
    """Sᵀ of rows (n, p, c), into X (n, R, c)."""
    index, weight, _ = entries
    n, p, c = rows.shape
    frame, lead, inner = frame_of(table.space)
    sums = table.backend.scatter(_flat(index), _flat(weight), rows.reshape(n * p, c), lead + n * prod(frame))
    _copy(X.reshape(n, *table.space, c), sums[lead:].reshape(n, *frame, c)[:, *inner])


def _products(table: Any, entries: _Entries, rows: Array, source: Array) -> Array:
    """⟨Y, X[tap]⟩ of rows (n, p, C) of Y and the framed rows of X. -> (K, n, p)."""
    index, _, _ = entries
    products = table.backend.dot(_flat(index), rows.reshape(-1, rows.shape[2]), source)
    return products.T.reshape(-1, *rows.shape[:2])


def _derived(table: Any, wanted: Sequence[tuple[int, ...]], D: Array) -> Array:
    """Σ_k w_k D_k for each of the W wanted derivatives of w. D (K, N, P) -> (N, P, W)."""
    found = np.empty((table.batch, table.points, len(wanted)), D.dtype)

    def derive(place: tuple[slice, slice]) -> None:
        write_derivatives(table.block(place), wanted, D[:, *place], found[place])

    run(derive, blocks(table.batch, table.points))
    return found


# ---------------------------------------------------------------------------------------------------------------------
# The matrix

_Entries = tuple[Array, Array, bool]
"""Columns and weights of some points, (n, p, K) each, and whether none of them is NaN."""


def _entries(table: Any, axes: tuple[int, ...], groups: list[slice]) -> Callable[[slice, slice], _Entries]:
    """Return a function that finds the entries of some points.

    The samples of a group have their frames one after the other.
    """
    group = groups[0].stop if groups else 1
    if table.batch * table.points * table.taps > _KEPT:
        return lambda samples, points: _made(table, axes, (samples, points), group)
    key = (axes, group)
    if key not in table.kept:
        table.kept[key] = _made(table, axes, (slice(0, table.batch), slice(0, table.points)), group)
    index, weight, plain = table.kept[key]
    return lambda samples, points: (index[samples, points], weight[samples, points], plain)


def _made(table: Any, axes: tuple[int, ...], place: tuple[slice, slice], group: int) -> _Entries:
    samples, points = place
    n, p, pixels = samples.stop - samples.start, points.stop - points.start, prod(frame_of(table.space)[0])
    integer = np.int32 if max((group + 1) * pixels, group * table.points * table.taps) < 2**31 else np.int64
    index, weight = np.empty((n, p, table.taps), integer), np.empty((n, p, table.taps), table.dtype)
    plain = []

    def one(some: tuple[slice, slice]) -> None:
        here = within(samples, some[0]), within(points, some[1])
        block = table.block(here)
        plain.append(block.nan is None)
        frames = np.arange(here[0].start, here[0].stop) % group
        for k, (tap, shift) in enumerate(taps_in(block, frames, pixels, integer)):
            np.add(tap, integer(shift), out=index[(*some, k)])
        for k, plane in enumerate(block.weights(axes)):
            weight[(*some, k)] = plane

    run(one, blocks(n, p))
    return index, weight, all(plain)


def _flat(entries: Array) -> Array:
    """(n, p, K) -> (n·p, K)."""
    return entries.reshape(-1, entries.shape[2])


# ---------------------------------------------------------------------------------------------------------------------
# Tasks and copies


def _samples(table: Any, channels: int) -> list[slice]:
    per = max(1, _NUMBERS // (channels * max(table.points, prod(table.space))))
    return cut(table.batch, table.batch / per)


def _points(table: Any, channels: int) -> list[slice]:
    step = max(256, _NUMBERS // channels)
    return [slice(p, min(p + step, table.points)) for p in range(0, table.points, step)]


def _channels(table: Any, channels: int) -> list[slice]:
    """Few enough that the rows of an image stay in the cache, and several parts for a single sample."""
    step = max(16, min(128, _NUMBERS // max(table.points, prod(table.space))))
    return [slice(c, min(c + step, channels)) for c in range(0, channels, step)]


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
    step = max(1, space[0] * _NUMBERS // max(1, X.size))

    def copy(some: slice) -> None:
        _copy(framed[:, some], source[:, some])

    run(copy, [slice(h, h + step) for h in range(0, space[0], step)])
    return rows


def _copy(target: Array, source: Array) -> None:
    """Copy (n, …, c), between planes and rows by tiles, each a call of some ten microseconds.

    To planes: so many rows that they stay in the cache, while plane after plane reads them. To rows: where planes are
    longer than a page of memory, a number of each, so few planes that the processor remembers where their pages are.
    """
    if target.strides[-1] > target.strides[-2] and source.strides[-1] <= source.strides[-2]:
        step = max(1, _TILE // max(1, prod(target.shape[2:])))
        for p in range(0, target.shape[1], step):
            target[:, p : p + step] = source[:, p : p + step]
    else:
        step = 32 if source.strides[-1] >= 4096 else max(1, target.shape[-1])
        for c in range(0, target.shape[-1], step):
            target[..., c : c + step] = source[..., c : c + step]
