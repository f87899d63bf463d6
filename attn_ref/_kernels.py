"""The sampler on a GPU: the three primitives as four small kernels, each a literal loop over taps.

The text of the kernels is in ``_kernels.cu``. CuPy compiles it when it is first used, once for each precision. The
weights' polynomials come from :mod:`attn_ref.ops.interpolation` and are put before it, and cells and fractions of the
points are those that every other path uses: nothing of the mathematics is written a second time.

Why not CuPy's own functions: a sum of takes costs three calls a tap, each of which reads and writes the whole output,
and a call costs more than the work unless arrays are large. Why no atomic additions: their order, and with it the last
bits, differs from run to run. Here each number of a result is summed by one thread. The transpose sorts taps by the
pixel that they read, stably, and each pixel then adds up its own: the same order as on one core of a CPU. Products are
rounded before they are added (``--fmad=false``), so that even the bits are those of the same loops on a CPU.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from math import prod
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from attn_ref.ops.interpolation import MODES, differentiated

__all__ = ["OPTIONS", "Kernels", "source"]

Array = Any

OPTIONS = ("--fmad=false", "--std=c++17")
"""How NVRTC is to compile the kernels."""
_THREADS = 256
_BLOCKS = 2**20
"""Most blocks of a launch; beyond that each thread does several numbers."""


class Kernels:
    """How a tap table is applied on a GPU: a path in the sense of :func:`attn_ref._execute.path`.

    Parameters
    ----------
    cupy : module
        CuPy, or what stands in for it.
    """

    def __init__(self, cupy: ModuleType) -> None:
        self._cupy = cupy
        self._module = cache(lambda *types: cupy.RawModule(code=source(*types), options=OPTIONS))

    def gather(self, table: Any, axes: tuple[int, ...], X: Array) -> Array:
        """S X or a derivative of it. X (N, R, C) -> (N, P, C)."""
        Y = self._cupy.empty((table.batch, table.points, X.shape[2]), X.dtype)
        self._launch("gather", Y.size, table, axes, X.shape[2], self._rows(X), Y)
        return table.whole.scaled(axes, Y)

    def weigh(self, table: Any, wanted: Sequence[tuple[int, ...]], Y: Array, X: Array) -> Array:
        """Σ_c Y ∘ (S_axes X) for each of the W wanted axes. Y (N, P, C), X (N, R, C) -> (N, P, W)."""
        Y, X = self._rows(Y), self._rows(X)
        results = []
        for axes in wanted:
            result = self._cupy.empty((table.batch, table.points), X.dtype)
            self._launch("weigh", result.size, table, axes, X.shape[2], Y, X, result)
            results.append(table.whole.scaled(axes, result))
        return self._cupy.stack(results, axis=-1)

    def scatter(self, table: Any, axes: tuple[int, ...], Y: Array) -> Array:
        """Sᵀ Y or a derivative of it. Y (N, P, C) -> (N, R, C)."""
        shape = (table.batch, prod(table.space), Y.shape[2])
        entries = table.batch * table.points * table.taps
        if entries == 0:
            return self._cupy.zeros(shape, Y.dtype)
        Y = self._rows(table.whole.scaled(axes, Y))
        X, target = self._cupy.empty(shape, Y.dtype), self._cupy.empty(entries, _integer(table))
        self._launch("targets", entries, table, axes, Y.shape[2], target)
        order = self._cupy.argsort(target, kind="stable")
        self._launch("scatter", X.size, table, axes, Y.shape[2], target, order, Y, X)
        return X

    def scaled(self, table: Any, axes: tuple[int, ...], Y: Array) -> Array:
        """Y (N, P, C) as a derivative takes it: per unit of the grid, 0 and NaN where they are due."""
        return table.whole.scaled(axes, Y)

    def _rows(self, array: Array) -> Array:
        return self._cupy.ascontiguousarray(array)

    def _launch(
        self,
        name: str,
        count: int,
        table: Any,
        axes: tuple[int, ...],
        channels: int,
        *arrays: Array,
    ) -> None:
        """Run a kernel with about one thread for each of ``count`` numbers."""
        if count == 0:
            return
        block, rules = table.whole, table.whole.rules
        mode = next(i for i, mode in enumerate(MODES.values()) if mode is rules.interpolation)
        geometry: list[Any] = [table.batch, table.points, channels, mode]
        for a in range(3):
            if a < len(rules.space):
                t = 0 if block.t is None else block.t[a]
                places = 0 if rules.places is None else rules.places[a]
                geometry += [block.cell[a], t, places, rules.first[a], rules.space[a], axes.count(a)]
            else:
                geometry += [0, 0, 0, 0, 1, 0]
        module = self._module(table.dtype, _integer(table))
        blocks = min(-(-count // _THREADS), _BLOCKS)
        module.get_function(name)((blocks,), (_THREADS,), (*arrays, *geometry))


def _integer(table: Any) -> str:
    return "int32" if table.pixels < 2**31 - 1 else "int64"


def source(number: Any, integer: Any) -> str:
    """Return the text of the kernels for one precision and one type of index: weights, then ``_kernels.cu``."""
    numbers = {"float32": "float", "float64": "double"}[np.dtype(number).name]
    integers = {"int32": "int", "int64": "long long"}[np.dtype(integer).name]
    modes = []
    for mode in MODES.values():
        orders = [[differentiated(row, order) for row in mode.coefficients] for order in range(3)]
        modes.append([[_padded(row, 4, 0.0) for row in _padded(taps, 4, ())] for taps in orders])
    table = str(modes).replace("[", "{").replace("]", "}")
    taps = ", ".join(str(len(mode.coefficients)) for mode in MODES.values())
    return (
        f"typedef {numbers} T;\ntypedef {integers} I;\n"
        f"__device__ static const int TAPS[{len(modes)}] = {{{taps}}};\n"
        f"__device__ static const T COEFFICIENTS[{len(modes)}][3][4][4] = {table};\n\n"
        + Path(__file__).with_suffix(".cu").read_text(encoding="utf-8")
    )


def _padded(entries: Sequence[Any], length: int, filler: Any) -> list[Any]:
    return [*entries, *[filler] * (length - len(entries))]
