"""What is made of measured times: ratios with their spread, geometric means, exponents of growth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

__all__ = ["Ratio", "exponent", "geometric_mean", "ratio"]


@dataclass(frozen=True)
class Ratio:
    """How long one thing takes in units of another: the median over the rounds, and the range of the middle 80 %."""

    median: float
    low: float
    high: float

    def to_dict(self) -> dict[str, float]:
        """Return plain values for JSON."""
        return asdict(self)


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> Ratio:
    """Compare two series of times that were measured side by side.

    Parameters
    ----------
    ours, theirs : sequence of float, of one length
        Seconds; entry i of both was measured in round i, so that a slow spell of the machine falls on both.

    Returns
    -------
    Ratio
        Of ours[i] / theirs[i]: the median, the 10th and the 90th percentile.

    Raises
    ------
    ValueError
        If the lengths differ, there is no round, or a time is not positive.

    Examples
    --------
    The machine was busy in the second round, for both:

    >>> ratio([1.0, 5.0, 1.0], [2.0, 10.0, 2.0])
    Ratio(median=0.5, low=0.5, high=0.5)
    """
    if len(ours) != len(theirs) or len(ours) == 0:
        raise ValueError(f"expected two series of one length, at least 1, got {len(ours)} and {len(theirs)}")
    quotients = _positive(ours) / _positive(theirs)
    low, median, high = (float(q) for q in np.percentile(quotients, (10, 50, 90)))
    return Ratio(median, low, high)


def geometric_mean(values: Sequence[float]) -> float:
    """Return the geometric mean, in which twice as fast here makes up for twice as slow there.

    Parameters
    ----------
    values : sequence of float
        Positive numbers, at least one.

    Returns
    -------
    float
        (Π v)^(1/n).

    Raises
    ------
    ValueError
        If there is none, or one is not positive.

    Examples
    --------
    >>> round(geometric_mean([0.5, 2.0]), 12)
    1.0
    """
    if len(values) == 0:
        raise ValueError("expected at least one value")
    return float(np.exp(np.log(_positive(values)).mean()))


def exponent(sizes: Sequence[float], seconds: Sequence[float]) -> float:
    """Return the p of seconds ≈ a · sizeᵖ, by least squares on the logarithms.

    Parameters
    ----------
    sizes, seconds : sequence of float, of one length
        Positive numbers.

    Returns
    -------
    float
        p: 1 if time grows in proportion.

    Raises
    ------
    ValueError
        If the lengths differ, fewer than two sizes differ, or a number is not positive.

    Examples
    --------
    >>> round(exponent([1e5, 1e6, 1e7], [0.01, 0.1, 1.0]), 12)
    1.0
    """
    if len(sizes) != len(seconds) or len(set(sizes)) < 2:
        raise ValueError("expected as many times as sizes, of at least two different sizes")
    x, y = np.log(_positive(sizes)), np.log(_positive(seconds))
    x = x - x.mean()
    return float((x @ y) / (x @ x))


def _positive(values: Sequence[float]) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    array = np.asarray(values, np.float64)
    if not (array > 0).all():
        raise ValueError(f"expected positive numbers, got {values!r}")
    return array
