"""Problems for the comparisons with other implementations, and how far two right answers may lie apart.

Points are built as cell + fraction, in pixels, so that both sides read the same pixels however their arithmetic is
ordered. The bounds are derived, not measured. Let u be the unit roundoff, and along one axis

* Λ_r the largest Σ_k |w_k⁽ʳ⁾(t)| over a cell, w_k⁽ʳ⁾ being the r-th derivatives of the 1-D weights,
* ω u the error of all weights of an axis together, as their polynomials are evaluated,
* δ = 8 u (|p| + S) the error of the pixel coordinate: 3 roundings of the map, 5 of a reflection.

A weight sum differentiated r_a times along axis a, f_a pixels per unit, of pixels no larger than 1, is then at most
T(r) = Π f_a^r_a Λ_r_a, and its error at most

    E(r) = Σ_a (δ Λ_{r_a+1} + ω u) Π_{b≠a} Λ_r_b · Π f^r + 8 u T(r)

to first order in u, the last term for products; a sum of n terms adds n u of the sum of their magnitudes. Each result
of the sampler is a sum of such weight sums times the largest entries of the arrays that it is linear in.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st

Array = np.ndarray[Any, np.dtype[Any]]

TAPS = {"nearest": 1, "bilinear": 2, "bicubic": 4}
# Λ_0 … Λ_3. Cubic, A = −3/4: at t = ½ for Λ_0 and Λ_1; Σ|w''| is convex in t, so largest at an end; w''' is constant.
LAMBDA = {"nearest": (1.0, 0.0, 0.0, 0.0), "bilinear": (1.0, 2.0, 0.0, 0.0), "bicubic": (1.375, 3.0, 12.0, 24.0)}
# One subtraction each for linear. Cubic: Horner's scheme on [1, 2] loses at most 36 u, on [0, 1] 9 u; two of each.
OMEGA = {"nearest": 0.0, "bilinear": 2.0, "bicubic": 90.0}

COMBINATIONS_2D = [(2, "bilinear"), (2, "nearest"), (2, "bicubic")]
COMBINATIONS_3D = [(3, "bilinear"), (3, "nearest")]
PADDINGS = ["zeros", "border", "reflection"]


class Problem(NamedTuple):
    """Everything that the sampler and its derivatives take, channels first."""

    input: Array
    grid: Array
    grad_output: Array
    grad_grad_input: Array
    grad_grad_grid: Array

    def astype(self, dtype: Any) -> Problem:
        return Problem(*(array.astype(dtype) for array in self))


def normalised(p: Any, size: int, align_corners: bool) -> Any:
    """The g whose pixel coordinate is p; with one pixel between aligned corners any will do."""
    if align_corners:
        return 2 * p / (size - 1) - 1 if size > 1 else p / 2
    return (2 * p + 1) / size - 1


def with_random_arrays(rng: np.random.Generator, shape: tuple[int, ...], grid: Array) -> Problem:
    """A problem with this grid, all other arrays random."""
    output = (*shape[:2], *grid.shape[1:-1])
    normal = rng.standard_normal
    return Problem(normal(shape), grid, normal(output), normal(shape), normal(grid.shape))


@st.composite
def problems_inside_cells(
    draw: st.DrawFn, axes: int, align_corners: bool, *, largest: int = 7, reach: int = 3
) -> Problem:
    """No two of N, C and the sizes are equal. Points up to `reach` image sizes outside, 0.1 px or more from any kink.

    The kinks are at whole pixels (linear, cubic), at half ones (nearest), at the mirrors of either alignment.
    """
    shape = tuple(draw(st.lists(st.integers(1, largest), min_size=axes + 2, max_size=axes + 2, unique=True)))
    out = draw(st.lists(st.integers(1, 5 if axes == 2 else 3), min_size=axes, max_size=axes, unique=True))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    columns = []
    for size in reversed(shape[2:]):  # x first
        cell = rng.integers(-reach * size, (reach + 1) * size, (shape[0], *out))
        fraction = rng.uniform(0.1, 0.4, cell.shape) + 0.5 * rng.integers(0, 2, cell.shape)
        columns.append(normalised(cell + fraction, size, align_corners))
    return with_random_arrays(rng, shape, np.stack(columns, axis=-1))


def problem_on_kinks(rng: np.random.Generator, axes: int, align_corners: bool) -> Problem:
    """All whole and half pixels along x from 2 sizes before to 2 sizes after the image, others random.

    The sizes are such that g, and p of it, are exact in either order of evaluation.
    """
    sizes = ((3, 9, 5) if align_corners else (2, 8, 4))[-axes:]
    steps = 2 * 5 * sizes[-1]
    halves = [
        np.stack([rng.permutation(steps) if a or n else np.arange(steps) for n in range(2)]) % (10 * size)
        for a, size in enumerate(reversed(sizes))
    ]
    columns = [
        normalised(h / 2 - 2 * size, size, align_corners) for h, size in zip(halves, reversed(sizes), strict=True)
    ]
    grid = np.stack(columns, axis=-1).reshape(2, *[1] * (axes - 1), steps, axes)
    return with_random_arrays(rng, (2, 3, *sizes), grid)


@dataclass(frozen=True)
class Scale:
    """How large a result may be and how far from the truth, as numbers for all of its elements."""

    magnitude: float
    error: float


def scales(problem: Problem, mode: str, align_corners: bool, u: float) -> dict[str, Scale]:
    """`Scale` of each result: output, grad_input, grad_grid, and of_grad_output, of_input, of_grid of second order."""
    sizes = problem.input.shape[:1:-1]  # x first
    axes = range(len(sizes))
    p_max = [_largest_p(problem.grid[..., a], sizes[a], align_corners) for a in axes]
    f = [(s - 1) / 2 if align_corners else s / 2 for s in sizes]
    lam, omega = LAMBDA[mode], OMEGA[mode]

    def weight_sum(*differentiated: int) -> Scale:
        r = [differentiated.count(a) for a in axes]
        chain = prod(f[a] ** r[a] for a in axes)
        total = 0.0
        for a in axes:
            moved = 8 * u * (p_max[a] + sizes[a]) * lam[min(r[a] + 1, 3)]
            blurred = omega * u if mode != "nearest" else 0.0
            total += (moved + blurred) * prod(lam[r[b]] for b in axes if b != a)
        magnitude = chain * prod(lam[k] for k in r)
        return Scale(magnitude, chain * total + 8 * u * magnitude)

    x, _, dy, ddx, ddg = (float(np.abs(array).max()) for array in problem)
    channels, points, taps = problem.input.shape[1], prod(problem.grid.shape[1:-1]), TAPS[mode] ** len(sizes)
    value = weight_sum()
    first = [weight_sum(a) for a in axes]
    second = [[weight_sum(a, b) for b in axes] for a in axes]

    def combined(terms: int, *parts: tuple[float, Scale]) -> Scale:
        """Σ factor · weight sum, added up from so many terms in any order."""
        magnitude = sum(factor * part.magnitude for factor, part in parts)
        return Scale(magnitude, sum(factor * part.error for factor, part in parts) + terms * u * magnitude)

    return {
        "output": combined(taps, (x, value)),
        "grad_input": combined(points * taps, (points * dy, value)),
        "grad_grid": combined(channels * taps, *[(channels * dy * x, max(first, key=lambda s: s.error))]),
        "of_grad_output": combined(taps + 4, (ddx, value), *[(ddg * x, part) for part in first]),
        "of_input": combined(points * taps + 4, *[(points * ddg * dy, part) for part in first]),
        "of_grid": combined(
            channels * taps + 8,
            (channels * dy * ddx, max(first, key=lambda s: s.error)),
            *[(channels * dy * x * ddg, max((row[b] for row in second), key=lambda s: s.error)) for b in axes],
        ),
    }


def _largest_p(g: Array, size: int, align_corners: bool) -> float:
    return float(np.abs(g).max() + 1) * (size - 1 if align_corners else size) / 2 + 1
