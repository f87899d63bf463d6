"""Difference quotients, many at once.

A derivative is approximated from values at a few distances s from a point. Two ways are used:

* *Exact stencils.* Where the function is known to be a polynomial of low degree in each input element (inside a cell,
  a linear interpolation has degree 1, a cubic one degree 3), a stencil that is exact for that degree has *no*
  truncation error, however large the step. A large step divides the rounding error by a large number.

      degree ≤ 2:   (f(h) − f(−h)) / 2h
      degree ≤ 4:   (8 (f(h) − f(−h)) − (f(2h) − f(−2h))) / 12h

* *Extrapolation.* Elsewhere, central differences at h, h/2, h/4, … have an error that is a power series in h², and
  Richardson's scheme removes term by term [1]_. Of the resulting triangle the entry is taken whose two parents it
  agrees with best, and that disagreement is its error estimate [2]_.

.. [1] L. F. Richardson, "The deferred approach to the limit", Phil. Trans. A 226 (1927).
.. [2] C. J. F. Ridders, "Accurate computation of F'(x) and F'(x) F''(x)", Advances in Engineering Software 4 (1982).
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

__all__ = ["SAFETY", "STENCILS", "at_level", "extrapolated", "stencil_for"]

Floats = np.ndarray[Any, np.dtype[np.float64]]

SAFETY = 10.0
"""How many times its estimated error an extrapolated derivative may be wrong by."""

STENCILS: dict[int, tuple[tuple[float, float], ...]] = {
    2: ((1.0, 0.5), (-1.0, -0.5)),
    4: ((1.0, 2 / 3), (-1.0, -2 / 3), (2.0, -1 / 12), (-2.0, 1 / 12)),
}
"""Exact stencils by the highest degree they are exact for: pairs of (offset in steps, coefficient times step)."""


def stencil_for(degree: int) -> tuple[tuple[float, float], ...]:
    """Return the shortest stencil that differentiates polynomials of the degree exactly.

    Raises
    ------
    ValueError
        If there is none for so high a degree.
    """
    for highest, stencil in STENCILS.items():
        if degree <= highest:
            return stencil
    raise ValueError(f"degree={degree} is too high: exact stencils go to degree {max(STENCILS)}; leave degree out")


def extrapolated(central: Floats, noise: Floats) -> tuple[Floats, Floats, np.ndarray[Any, np.dtype[np.intp]]]:
    """Extrapolate central differences to step 0.

    Parameters
    ----------
    central : array, shape (levels, …)
        Central differences; the step of each level is half that of the one before. NaN where there is none.
    noise : array, shape (levels, …)
        What rounding may have added to each.

    Returns
    -------
    derivative, error : array, shape (…)
        The best entry of Richardson's triangle and the estimate of its error, rounding not included.
    level : array of int, shape (…)
        The level of the smallest step that went into it, at least 1.

    Notes
    -----
    Large steps may agree by chance, on a fast oscillation or across a kink. So an entry counts only if the quotients at
    all smaller steps, each within its noise and four times its last change, say the same. Of those that count, the one
    with the least bound is taken, :data:`SAFETY` times its error and its noise; if none does, the quotient that changed
    least. Of many entries some agree with their parents by chance, so on a ladder of more than three levels no column
    is believed to gain more than a factor of four on the one before.

    From one step to the next the noise n doubles, and the error d of a smooth function falls to a quarter. So where the
    bound is least, SAFETY · d + n ≤ SAFETY · d/4 + 2n, and SAFETY · d is at most 4/3 n: the noise has the last word. A
    larger error says that the differences do not settle. (With the least d + n instead, d itself may be 4/3 n, and the
    flat end of a smooth function, drowned in the noise of other outputs, is taken for a kink.)
    """
    levels = len(central)
    change = np.abs(np.diff(central, axis=0))
    level = np.asarray(1 + np.argmin(_or_inf(change + noise[1:]), axis=0))
    best, error = at_level(central, level), at_level(_or_inf(change), level - 1)  # copies, to be written to
    least = np.full(best.shape, np.inf)
    radius = noise[1:] + 4 * change
    low, high = np.full(best.shape, -np.inf), np.full(best.shape, np.inf)
    for k in range(levels - 1, 0, -1):
        row = [central[max(0, k - _ORDERS) + j] for j in range(min(k, _ORDERS) + 1)]
        for j in range(1, len(row)):
            finer, previous = row[-1], row[:]
            row = [b + (b - a) / (4.0**j - 1) for a, b in pairwise(row)]
            disagreement = np.maximum(np.abs(row[-1] - finer), np.abs(row[-1] - previous[-2]))
            if levels > 3:
                disagreement = np.maximum(disagreement, change[k - 1] / 4.0**j)
            bound = SAFETY * disagreement + noise[k]
            better = (bound < least) & (row[-1] >= low) & (row[-1] <= high)
            for known, found in ((least, bound), (best, row[-1]), (error, disagreement), (level, k)):
                np.copyto(known, found, where=better)
        low = np.fmax(low, central[k] - radius[k - 1])
        high = np.fmin(high, central[k] + radius[k - 1])
    return best, error, level


def at_level(values: Any, level: Any) -> Any:
    """Take from each column of values (levels, …) the one at its level (…)."""
    columns = values.reshape(len(values), level.size)
    return columns[level.reshape(-1), np.arange(level.size)].reshape(level.shape)


_ORDERS = 5
"""Columns of Richardson's triangle: errors up to the step to the power of twelve are removed."""


def _or_inf(array: Floats) -> Floats:
    return np.where(np.isnan(array), np.inf, array)
