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

from typing import Any

import numpy as np

__all__ = ["STENCILS", "extrapolated", "stencil_for"]

Floats = np.ndarray[Any, np.dtype[np.float64]]

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


def extrapolated(plus: Floats, minus: Floats, steps: Floats, noise: Floats) -> tuple[Floats, Floats, Floats]:
    """Extrapolate central differences to step 0.

    Parameters
    ----------
    plus, minus : array, shape (levels, …)
        f at +steps and −steps; each step is half the one before it.
    steps : array, shape (levels, …)
        The steps, broadcast against the values.
    noise : array, broadcast against (…)
        Rounding error of the quotient at the smallest step.

    Returns
    -------
    derivative, error, step : array, shape (…)
        The best entry of Richardson's triangle, the estimate of its error, and the smallest step that went into it.

    Notes
    -----
    Large steps may agree by chance, on a fast oscillation for one. So an entry counts only if the quotient at the
    smallest step, within four times its own last change and the noise, says the same.
    """
    central = (plus - minus) / (2 * steps)
    best, error = central[-1], np.abs(central[-1] - central[-2])
    radius = 4 * error + noise
    step = np.broadcast_to(steps[-1], best.shape)
    row = central[:1]
    for level in range(1, len(central)):
        previous, row = row, np.empty_like(central[: level + 1])
        row[0] = central[level]
        for j in range(1, level + 1):
            row[j] = row[j - 1] + (row[j - 1] - previous[j - 1]) / (4.0**j - 1)
            disagreement = np.maximum(np.abs(row[j] - row[j - 1]), np.abs(row[j] - previous[j - 1]))
            better = (disagreement < error) & (np.abs(row[j] - central[-1]) <= radius)
            best, error = np.where(better, row[j], best), np.where(better, disagreement, error)
            step = np.where(better, np.broadcast_to(steps[level], best.shape), step)
    return best, error, step
