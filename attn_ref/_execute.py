"""The three primitives of the tap table, made fast. No mathematics of sampling lives here.

A tap table says, for each of M output rows, which K input rows it reads (``index``, of shape (M, K)) and with
which weights (``weight``, likewise). It is a sparse matrix S with K entries a row, and all that the sampler and
its derivatives need of it is

======== ============================= ===========================================
gather   Y = S X                       Y[m] = Σ_k weight[m, k] X[index[m, k]]
scatter  X = Sᵀ Y                      X[r] = Σ_{m,k: index[m,k] = r} weight[m, k] Y[m]
dot      D[m, k] = ⟨Y[m], X[index]⟩    the products from which every grid derivative follows
======== ============================= ===========================================

An entry that reads *nothing* (it lies outside the image) points at the row after the last, ``len(X) - 1`` here:
X carries one extra row of zeros at its end. So every index is valid, whatever the image holds is never touched by
an entry that does not use it, and a scatter into the extra row falls away.

Two sets are given. On the CPU, SciPy's compressed sparse rows, whose loops are compiled and whose order of
summation is fixed. And, for any array library that has ``take``, ``argsort`` and ``searchsorted``, sums of takes
and a sorted segmented sum: the same result bit for bit run after run, without atomic additions. CuPy has kernels of its
own (:mod:`attn_ref._kernels`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from types import ModuleType
from typing import Any

import numpy as np
from scipy import sparse

from attn_ref import _planes, _rows

__all__ = [
    "csr",
    "dot_by_takes",
    "dot_einsum",
    "gather_by_takes",
    "gather_csr",
    "keeps",
    "path",
    "scatter_by_sort",
    "scatter_csr",
]

Array = Any


def csr(index: Array, weight: Array, columns: int) -> sparse.csr_array:
    """Return the tap table as a SciPy sparse matrix of shape (M, columns), entries in the table's order."""
    rows, taps = index.shape
    starts = np.arange(0, rows * taps + 1, taps, dtype=index.dtype)
    return sparse.csr_array((weight.reshape(-1), index.reshape(-1), starts), shape=(rows, columns))


def gather_csr(index: Array, weight: Array, source: Array) -> Array:
    """Y = S X on the CPU. index, weight (M, K), source (R, C) -> (M, C)."""
    return csr(index, weight, len(source)) @ source


def scatter_csr(index: Array, weight: Array, rows: Array, length: int) -> Array:
    """X = Sᵀ Y on the CPU. index, weight (M, K), rows (M, C) -> (length, C)."""
    return csr(index, weight, length).T @ rows


def dot_einsum(index: Array, rows: Array, source: Array) -> Array:
    """D = ⟨Y, X[index]⟩ on the CPU. index (M, K), rows (M, C), source (R, C) -> (M, K)."""
    result = np.empty(index.shape, rows.dtype)
    for k in range(index.shape[1]):  # over taps, never over points: 4 for bilinear, 64 for tricubic
        np.einsum("mc,mc->m", rows, source.take(index[:, k], axis=0), out=result[:, k])
    return result


def gather_by_takes(xp: ModuleType) -> Callable[[Array, Array, Array], Array]:
    """Y = S X as a weighted sum of takes, in the array library ``xp``."""

    def gather(index: Array, weight: Array, source: Array) -> Array:
        result = xp.zeros((index.shape[0], source.shape[1]), source.dtype)
        for k in range(index.shape[1]):
            result += weight[:, k, None] * xp.take(source, index[:, k], axis=0)
        return result

    return gather


def scatter_by_sort(xp: ModuleType) -> Callable[[Array, Array, Array, int], Array]:
    """X = Sᵀ Y by a stable sort and a segmented sum, in the array library ``xp``.

    After sorting by target, the entries of one target stand together. In round d every entry adds the entry
    2ᵈ places on, if that has the same target; after log₂ rounds the first entry of each segment holds the whole
    sum. The tree of additions depends on the indices alone, so the bits are the same run after run.
    """

    def scatter(index: Array, weight: Array, rows: Array, length: int) -> Array:
        points, taps = index.shape
        entries = points * taps
        if entries == 0:
            return xp.zeros((length, rows.shape[1]), rows.dtype)
        target = index.reshape(-1)
        order = xp.argsort(target, kind="stable")
        target = xp.take(target, order)
        values = xp.take(weight.reshape(-1), order)[:, None] * xp.take(rows, order // taps, axis=0)
        step = 1
        while step < entries:
            same = (target[:-step] == target[step:])[:, None]
            added = xp.where(same, values[step:], 0)
            values = xp.concatenate([values[:-step] + added, values[-step:]])
            step *= 2
        targets = xp.arange(length, dtype=target.dtype)
        first = xp.minimum(xp.searchsorted(target, targets), entries - 1)
        hit = (xp.take(target, first) == targets)[:, None]
        return xp.where(hit, xp.take(values, first, axis=0), xp.zeros((), rows.dtype))

    return scatter


def dot_by_takes(xp: ModuleType) -> Callable[[Array, Array, Array], Array]:
    """D = ⟨Y, X[index]⟩ by takes, in the array library ``xp``."""

    def dot(index: Array, rows: Array, source: Array) -> Array:
        taps = range(index.shape[1])
        return xp.stack([(rows * xp.take(source, index[:, k], axis=0)).sum(axis=1) for k in taps], axis=1)

    return dot


# ---------------------------------------------------------------------------------------------------------------------
# Which path


class _Whole:
    """Everything at once, on any array library: the three primitives on the whole table."""

    def gather(self, table: Any, axes: tuple[int, ...], X: Array) -> Array:
        """S X or a derivative of it. X (N, R, C) -> (N, P, C)."""
        block = table.whole
        Y = table.backend.gather(block.index, block.weight(*axes), self._with_nothing(table, X))
        return block.scaled(axes, Y.reshape(table.batch, table.points, X.shape[2]))

    def scatter(self, table: Any, axes: tuple[int, ...], Y: Array) -> Array:
        """Sᵀ Y or a derivative of it. Y (N, P, C) -> (N, R, C)."""
        block, channels = table.whole, Y.shape[2]
        rows = block.scaled(axes, Y).reshape(table.batch * table.points, channels)
        X = table.backend.scatter(block.index, block.weight(*axes), rows, table.pixels + 1)
        return X[:-1].reshape(table.batch, prod(table.space), channels)

    def weigh(self, table: Any, wanted: Sequence[tuple[int, ...]], Y: Array, X: Array) -> Array:
        """Σ_c Y ∘ (S_axes X) for each of the W wanted axes. Y (N, P, C), X (N, R, C) -> (N, P, W)."""
        xp, block, shape = table.backend.xp, table.whole, (table.batch, table.points)
        index = block.index
        D = table.backend.dot(index, Y.reshape(len(index), Y.shape[2]), self._with_nothing(table, X))
        D = xp.where(index == table.pixels, xp.zeros((), D.dtype), D)  # Y · 0 is 0 only if Y is finite
        sums = [block.scaled(axes, (block.weight(*axes) * D).sum(axis=1).reshape(shape)) for axes in wanted]
        return xp.stack(sums, axis=-1)

    def scaled(self, table: Any, axes: tuple[int, ...], Y: Array) -> Array:
        """Y (N, P, C) as a derivative takes it: per unit of the grid, 0 and NaN where they are due."""
        return table.whole.scaled(axes, Y)

    @staticmethod
    def _with_nothing(table: Any, X: Array) -> Array:
        """Rows of (N, R, C), and one more row of zeros, which taps outside read."""
        rows = table.backend.xp.zeros((table.pixels + 1, X.shape[2]), X.dtype)
        rows[:-1] = X.reshape(table.pixels, X.shape[2])
        return rows


np.empty(2**25 - 2**16, np.uint8)
"""Keep freed memory: glibc gives it back to the system where more lies free than twice the largest block that was freed
and is below 32 MiB, and what is given back has to be asked for again, page by page, in the next call. So one block of
nearly that size is asked for, never touched, and freed. Elsewhere this does nothing.
"""

WHOLE = _Whole()
_FEW = 8
"""Channels below which planes are faster than rows."""
_MANY = 2**22
"""Numbers of one sample above which planes are used in any case: rows hold a second copy of each."""
_KEPT = 2**15
"""Points whose geometry is kept: a block or two."""


def path(table: Any, X: Array) -> Any:
    """Choose how a tap table is applied to X (N, R or P, C): a value with ``gather``, ``scatter`` and ``weigh``."""
    if table.backend.path is not None:
        return table.backend.path
    if not _on_the_cpu(table.backend):
        return WHOLE
    channels, size = X.shape[2], max(table.points, prod(table.space))
    taken = table.taps == 1 and X.strides[1] < X.strides[2]  # one tap: rows would only be copied there and back
    return _planes if taken or channels < _FEW or channels * size > _MANY else _rows


def keeps(table: Any) -> bool:
    """Whether to keep the geometry of all points, or to make it where it is used, so that it stays in the cache."""
    if table.backend.path is not None or not _on_the_cpu(table.backend):
        return True
    return bool(table.batch * table.points <= _KEPT)


def _on_the_cpu(backend: Any) -> bool:
    """Whether the primitives are those of this file; others may mean something else."""
    return (backend.gather, backend.scatter, backend.dot) == (gather_csr, scatter_csr, dot_einsum)
