"""The specification once more, one point at a time, in plain Python: what the tests of this folder compare with.

Geometry is done in fractions, starting from the pixel coordinate p that the working precision gives (rule C1). Weights
and pixels are then multiplied and added as IEEE doubles, tap by tap, so that an infinite pixel does what rule X5 says.
Nothing here is shared with the package, and nothing is fast.
"""

import math
from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import product
from typing import Any, NamedTuple

import numpy as np

HALF = Fraction(1, 2)
A = Fraction(-3, 4)
FAR = 10  # pixels beyond the edge: there, `border` gives what it gives at infinity


class Options(NamedTuple):
    mode: str
    padding_mode: str
    align_corners: bool


class Axis(NamedTuple):
    """One axis of one point: its taps (pixel, weights of order 0, 1, 2), and which derivatives are 0 by definition."""

    taps: list[tuple[int, tuple[Fraction, ...]]]
    held: tuple[bool, bool, bool]


def pixel_coordinate(g: Any, size: int, align_corners: bool, working: Any) -> float:
    """C1 and C3, in the working precision, left to right as written."""
    g = working(g)
    if math.isnan(g):
        return math.nan
    with np.errstate(all="ignore"):
        if not align_corners:
            return float(((g + working(1)) * working(size) - working(1)) / working(2))
        return 0.0 if size == 1 else float((g + working(1)) / working(2) * working(size - 1))


def pad(p: Fraction, size: int, padding_mode: str, align_corners: bool) -> tuple[Fraction, int]:
    """P1, P2, P3: the padded coordinate and its derivative."""
    if padding_mode == "zeros":
        return p, 1
    sign = 1
    if padding_mode == "reflection":
        low, span = (Fraction(0), size - 1) if align_corners else (-HALF, size)
        if span == 0:
            return low, 0
        folds, rest = divmod(p - low, span)
        p, sign = (low + rest, 1) if folds % 2 == 0 else (low + span - rest, -1)
    if p <= 0:
        return Fraction(0), 0
    return (Fraction(size - 1), 0) if p >= size - 1 else (p, sign)


def keys(s: Fraction, *, outer: bool) -> tuple[Fraction, ...]:
    """M3: W, dW/ds and d²W/ds² at the signed distance s, on the outer or the inner of the kernel's two pieces."""
    d, sign = abs(s), 1 if s > 0 else -1
    if outer:
        return (
            A * d**3 - 5 * A * d**2 + 8 * A * d - 4 * A,
            sign * (3 * A * d**2 - 10 * A * d + 8 * A),
            6 * A * d - 10 * A,
        )
    inner = (A + 2) * d**3 - (A + 3) * d**2 + 1
    return inner, sign * (3 * (A + 2) * d**2 - 2 * (A + 3) * d), 6 * (A + 2) * d - 2 * (A + 3)


def axis(g: Any, size: int, options: Options, working: Any) -> Axis | None:
    """Taps along one axis; None where the coordinate counts as NaN (X1, X2)."""
    mode, padding_mode, align_corners = options
    p = pixel_coordinate(g, size, align_corners, working)
    if math.isnan(p) or (math.isinf(p) and padding_mode == "reflection"):
        return None
    infinite = math.isinf(p)
    if infinite and padding_mode == "zeros":
        return Axis([], (False, True, True))
    exact = Fraction(size + FAR if p > 0 else -FAR) if infinite else Fraction(p)
    factor = Fraction(size - 1 if align_corners else size, 2)
    taps = []
    if mode == "bicubic":
        cell = math.floor(exact)
        for offset in (-1, 0, 1, 2):
            index, _ = pad(Fraction(cell + offset), size, padding_mode, align_corners)
            w = keys(exact - cell - offset, outer=offset in (-1, 2))
            if 0 <= index < size:
                taps.append((int(index), tuple(w[k] * factor**k for k in range(3))))
        still = infinite or factor == 0
        return Axis(taps, (False, still, still))
    q, slope = pad(exact, size, padding_mode, align_corners)
    if mode == "nearest":
        taps, held = [(round(q), (Fraction(1), Fraction(0), Fraction(0)))], (False, True, True)
    else:
        cell, chain = math.floor(q), slope * factor
        t = q - cell
        taps = [(cell, (1 - t, -chain, Fraction(0))), (cell + 1, (t, chain, Fraction(0)))]
        held = (False, chain == 0, True)
    return Axis([(i, w) for i, w in taps if 0 <= i < size], held)


def taps(point: list[Axis | None], orders: tuple[int, ...]) -> list[tuple[tuple[int, ...], float]] | None:
    """Pixels and weights of a point, its weights differentiated; None for a NaN, [] where the derivative is held."""
    if any(a is None for a in point):
        return None
    axes = [a for a in point if a is not None]
    if any(a.held[order] for a, order in zip(axes, orders, strict=True)):
        return []
    result = []
    for combination in product(*(a.taps for a in reversed(axes))):
        weight = math.prod(w[order] for (_, w), order in zip(combination, reversed(orders), strict=True))
        result.append((tuple(i for i, _ in combination), float(weight)))
    return result


def read(image: np.ndarray, used: list[tuple[tuple[int, ...], float]] | None) -> float:
    if used is None:
        return math.nan
    total = 0.0
    for pixel, weight in used:
        total += weight * float(image[pixel])
    return total


def spread(image: np.ndarray, used: list[tuple[tuple[int, ...], float]] | None, value: float) -> None:
    for pixel, weight in used or []:
        image[pixel] = float(image[pixel]) + weight * value


def points(grid: np.ndarray, space: tuple[int, ...], options: Options) -> Iterator[tuple[tuple[int, ...], Callable]]:
    """Every point of a grid: where it stands, and its taps as a function of the axes to differentiate."""
    working = np.float64 if grid.dtype == np.float64 else np.float32
    d = len(space)
    for place in np.ndindex(grid.shape[:-1]):
        point = [axis(grid[place][a], space[-1 - a], options, working) for a in range(d)]
        yield place, lambda *axes, point=point: taps(point, tuple(axes.count(a) for a in range(d)))


def everything(image, grid, grad_output, u, v, options: Options) -> dict[str, np.ndarray]:
    """Output, backward, jvp in direction (u, v), double backward with cotangents (u, v); channels first, float64."""
    axes = range(grid.shape[-1])
    result = {
        "output": np.zeros(grad_output.shape),
        "tangent": np.zeros(grad_output.shape),
        "grad_input": np.zeros(image.shape),
        "grad_grid": np.zeros(grid.shape),
        "of_grad_output": np.zeros(grad_output.shape),
        "of_input": np.zeros(image.shape),
        "of_grid": np.zeros(grid.shape),
    }
    for (n, *out), taps_of in points(grid, image.shape[2:], options):
        s = taps_of()
        first = [taps_of(a) for a in axes]
        second = [[taps_of(a, b) for b in axes] for a in axes]
        where = (n, *out)
        for c in range(image.shape[1]):
            at = (n, c, *out)
            x, uc, dy = image[n, c], u[n, c], float(grad_output[at])
            result["output"][at] = read(x, s)
            pushed = read(uc, s)
            spread(result["grad_input"][n, c], s, dy)
            for a in axes:
                va = float(v[where][a])
                slope = read(x, first[a])
                pushed += va * slope
                result["grad_grid"][where][a] += dy * slope
                spread(result["of_input"][n, c], first[a], va * dy)
                bend = sum(float(v[where][b]) * read(x, second[a][b]) for b in axes)
                result["of_grid"][where][a] += dy * (read(uc, first[a]) + bend)
            result["tangent"][at] = result["of_grad_output"][at] = pushed
    return result
