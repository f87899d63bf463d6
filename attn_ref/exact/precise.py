"""Fifty digits: the numbers of the operations in which an exponential or a root occurs.

A rational number has no rational exponential, so these operations are computed with mpmath to 50 decimal digits, in a
context of their own: nothing global is changed, and nothing of it is shared with the rest of a program. Rounded to
float64 once, at the end, they are right to the last digit but for a coincidence 34 digits long.

mpmath is imported when it is first needed; ``pip install 'attn_ref[check]'`` brings it.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from attn_ref.exact.rationals import to_fractions

__all__ = ["DIGITS", "context", "to_precise"]

DIGITS = 50


@cache
def context() -> Any:
    """Return the mpmath context of 50 digits."""
    import mpmath

    precise = mpmath.MPContext()
    precise.dps = DIGITS
    return precise


def to_precise(values: Any, name: str = "values") -> npt.NDArray[Any]:
    """Convert numbers to 50-digit ones.

    Parameters
    ----------
    values : array_like of int, float or Fraction
        An array of any shape, or nested lists. Every float is held exactly.
    name : str
        What error messages call the argument.

    Returns
    -------
    ndarray of mpf
        A fresh object array of the same shape.

    Raises
    ------
    ValueError, TypeError
        As in :func:`attn_ref.exact.to_fractions`.
    """
    mp = context()
    exact: Any = to_fractions(values, name)
    result = np.empty(exact.shape, dtype=object)
    for place in np.ndindex(exact.shape):
        number = exact[place]
        result[place] = mp.mpf(number.numerator) / mp.mpf(number.denominator)
    return result
