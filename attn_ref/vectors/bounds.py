"""Between which two numbers each result must lie: rule D2, as :mod:`attn_ref.verify.bounds` derives it.

Those intervals are computed in floating point, with matrix products and exponentials whose last bit differs from
machine to machine; a suite must not. So they are stored as distances from the exact value, each rounded up to a few
bits and a little more, so that a last bit can no longer show. That needs distances far larger than what float64 loses,
as those of float32 are. A bound is linear in the unit roundoff, or less than that, but for the jumps that it includes;
so distances of float64 are those of float32, made smaller by the quotient of the two, where they are no jumps.
"""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import numpy as np

from attn_ref.backend import Array
from attn_ref.exact import to_float
from attn_ref.registry import OPERATIONS, Call
from attn_ref.vectors.expected import Given, Result, filled, options, stand_in
from attn_ref.vectors.problem import Problem
from attn_ref.verify.bounds import Interval, Key, intervals

__all__ = ["Bounds", "bounds"]

_BITS = 8
"""Distances are rounded up to so many bits."""
_GUARD = 1 + 2.0**-12
"""And before that by so much, so that a number of few bits is not on the edge."""
_SMALLER = 2.0 ** (-52 + 24)
"""Bounds of float64 count two unit roundoffs of 2⁻⁵³, those of float32 one of 2⁻²⁴. (Not so round huge coordinates,
which roundings move by whole pixels in any format: their distances stay.)"""
_FEW = 8 * 2.0**-24
_JUMP = 2.0**-10
"""A distance above this share of the magnitudes is a jump: roundings of float32 come to less."""


class Bounds(NamedTuple):
    """The ends between which a result must lie, and for acceptable problems those of what the specification chose."""

    low: Array
    high: Array
    chosen: tuple[Array, Array] | None


def bounds(problem: Problem, dtype: str, call: Given, results: list[Result]) -> list[Bounds]:
    """Bound the results of a problem.

    Parameters
    ----------
    problem, dtype : Problem, str
        What is bounded.
    call : Given
        The arrays of the call.
    results : list of Result
        The right results.

    Returns
    -------
    list of Bounds
        Of each result, in its dtype: numbers of the dtype lie between them if and only if they lie between the stored
        distances.

    Raises
    ------
    AssertionError
        If a right result lies outside.
    """
    if any(x.size == 0 for x in (*filled(call.inputs), call.grad_output)):  # nothing is summed, nothing is rounded
        return [Bounds(result.values, result.values, None) for result in results]
    smaller = _SMALLER if dtype == "float64" and "X3" not in problem.rules else 1.0
    allowed = _intervals(problem, dtype, call, choices=True)
    ends = [_ends(allowed[result.function, result.of], result, dtype, smaller) for result in results]
    if problem.tag != "acceptable":
        return [Bounds(*pair, None) for pair in ends]
    near = stand_in(problem, call)
    numbers = {name: _floats(x) for name, x in near.call.inputs.items()}
    plain = dataclasses.replace(problem, options=near.options)
    narrow = _intervals(plain, dtype, near.call._replace(inputs=numbers), choices=False)
    chosen = [_ends(_round(narrow[result.function, result.of], result), result, dtype, smaller) for result in results]
    return [Bounds(*pair, inner) for pair, inner in zip(ends, chosen, strict=True)]


def _floats(x: Any) -> Array | None:
    return to_float(x) if x is not None and x.dtype == object else x


def _intervals(problem: Problem, dtype: str, call: Given, *, choices: bool) -> dict[Key, Interval]:
    return intervals(
        OPERATIONS[problem.operation],
        Call(filled(call.inputs), options(problem)),
        call.grad_output,
        filled(call.direction),
        dtype="float32" if dtype == "float64" else dtype,
        functions=problem.functions,
        choices=choices,
    )


def _round(interval: Interval, result: Result) -> Interval:
    """An interval as wide, or a few roundings, round the right result; where that is no number, the result."""
    exact = result.values.astype(np.float64)
    radius = (interval.high - interval.low) / 2 + _FEW * np.abs(exact)
    radius = np.where(np.isfinite(exact), radius, 0)
    return Interval(exact - radius, exact + radius)


def _ends(interval: Interval, result: Result, dtype: str, smaller: float) -> tuple[Array, Array]:
    """Both ends in the dtype, rounded inward: which changes nothing for numbers of the dtype."""
    exact = result.values.astype(np.float64)
    finite = np.isfinite(exact)
    scale = np.abs(exact, where=finite, out=np.zeros_like(exact)).max(initial=0)
    ends = []
    for end, sign in ((interval.low, -1), (interval.high, 1)):
        with np.errstate(invalid="ignore"):
            distance = _up(sign * (end - exact), scale, smaller)
            moved = np.where(np.isfinite(end) & finite, exact + sign * distance, end)
        assert not (distance < 0).any(), f"{result.name}: the exact result is out of bounds"
        ends.append(_inward(moved, -sign, dtype))
    return ends[0], ends[1]


def _up(distance: Array, scale: Any, smaller: float) -> Array:
    """A distance with few bits, not smaller; what is not a jump is first made smaller by the factor."""
    distance = np.where(distance > _JUMP * scale, distance, distance * smaller)
    mantissa, exponent = np.frexp(distance * _GUARD)
    return np.ldexp(np.ceil(mantissa * 2.0**_BITS), exponent - _BITS)


def _inward(end: Array, sign: int, dtype: str) -> Array:
    """The number of the dtype that is nearest to an end on the inner side."""
    with np.errstate(over="ignore"):
        rounded = end.astype(dtype)
    with np.errstate(invalid="ignore"):
        outside = (rounded.astype(np.float64) - end) * sign < 0
    return np.where(outside, np.nextafter(rounded, np.array(sign * np.inf, dtype)), rounded)
