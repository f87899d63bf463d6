"""Ranges: numbers that are not known exactly, and arithmetic that keeps track of how far they may be off.

A range is a middle and a radius, element by element. Every operation widens the radius by what its operands may be off
and by its own rounding, so that the result of *any* right way of computing a formula in a precision with unit roundoff
u lies in the range that the formula has here [1]_. Sums of n terms are allowed n roundings, since they may be added in
any order. Where a formula goes one way on one side of a number and another on the other side, the range covers both.

A *jet* is a range and the rate at which it changes in some direction. Written once for jets, the forward and the
backward formula of an operation give its jvp and its second derivative too.

.. [1] N. Higham, "Accuracy and Stability of Numerical Algorithms", 2nd ed., SIAM 2002, sections 3.1 and 3.3.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

__all__ = ["Curve", "Jet", "Range", "einsum", "hull", "joined"]

Floats = np.ndarray[Any, np.dtype[np.float64]]

_PER_OPERATION = 2
"""Roundings allowed for one operation: one, and one for another way of writing it, such as times 1/n for over n."""


@dataclass(frozen=True)
class Range:
    """Numbers between mid − rad and mid + rad, computed with unit roundoff u."""

    mid: Floats
    rad: Floats
    u: float

    @classmethod
    def of(cls, values: Any, u: float) -> Range:
        """Numbers that are known exactly."""
        mid = np.asarray(values, np.float64)
        return cls(mid, np.zeros_like(mid), u)

    @property
    def magnitude(self) -> Floats:
        """The largest magnitude in each range."""
        return np.abs(self.mid) + self.rad

    def rounded(self, terms: Any = 1) -> Range:
        """The same after the roundings of an operation that sums so many terms."""
        return Range(self.mid, self.rad + _PER_OPERATION * terms * self.u * self.magnitude, self.u)

    def widened(self, by: Any) -> Range:
        """The same with a larger radius."""
        return Range(self.mid, self.rad + by, self.u)

    def map(self, function: Callable[[Floats], Floats]) -> Range:
        """Move elements about, nothing else."""
        return Range(function(self.mid), function(self.rad), self.u)

    def __neg__(self) -> Range:
        return Range(-self.mid, self.rad, self.u)

    def __add__(self, other: Range) -> Range:
        return Range(self.mid + other.mid, self.rad + other.rad, self.u).rounded()

    def __sub__(self, other: Range) -> Range:
        return self + -other

    def __mul__(self, other: Range) -> Range:
        rad = np.abs(self.mid) * other.rad + self.rad * other.magnitude
        return Range(self.mid * other.mid, rad, self.u).rounded()

    def reciprocal(self) -> Range:
        """1/x; a range that holds 0 has no bounds."""
        nearest = np.abs(self.mid) - self.rad
        with np.errstate(divide="ignore", invalid="ignore"):
            mid = 1 / self.mid
            rad = np.where(nearest > 0, self.rad / (np.abs(self.mid) * nearest), np.inf)
        return Range(np.where(np.isfinite(mid), mid, 0.0), rad, self.u).rounded()

    def sum(self, axis: int | tuple[int, ...]) -> Range:
        """Sum over axes, which stay with length 1."""
        axes = (axis,) if isinstance(axis, int) else axis
        terms = prod(self.mid.shape[a] for a in axes)
        magnitude = self.magnitude.sum(axis=axes, keepdims=True)
        rad = self.rad.sum(axis=axes, keepdims=True) + _PER_OPERATION * terms * self.u * magnitude
        return Range(self.mid.sum(axis=axes, keepdims=True), rad, self.u)


def einsum(subscripts: str, a: Range, b: Range, terms: Any = None) -> Range:
    """Sum products of two ranges as :func:`numpy.einsum` does; ``terms`` that are not 0, all if it is not given."""
    if terms is None:
        inputs, output = subscripts.split("->")
        names = zip(inputs.split(","), (a.mid.shape, b.mid.shape), strict=True)
        sizes = {letter: size for word, shape in names for letter, size in zip(word, shape, strict=True)}
        terms = prod(size for letter, size in sizes.items() if letter not in output)
    size_a, size_b = np.abs(a.mid), np.abs(b.mid)
    exact = np.einsum(subscripts, size_a, size_b)
    magnitude = np.einsum(subscripts, size_a + a.rad, size_b + b.rad)
    mid = np.einsum(subscripts, a.mid, b.mid)
    return Range(mid, np.maximum(magnitude - exact, 0) + _PER_OPERATION * (terms + 1) * a.u * magnitude, a.u)


def hull(ranges: Sequence[tuple[Range, Floats | None]]) -> Range:
    """Cover ranges, each where its mask is true (None: everywhere)."""
    low: Floats = np.array(np.inf)
    high: Floats = np.array(-np.inf)
    for x, mask in ranges:
        below, above = x.mid - x.rad, x.mid + x.rad
        if mask is not None:
            below, above = np.where(mask, below, np.inf), np.where(mask, above, -np.inf)
        low, high = np.minimum(low, below), np.maximum(high, above)
    return Range((low + high) / 2, (high - low) / 2, ranges[0][0].u)


@dataclass(frozen=True)
class Curve:
    """A function of one number with its derivatives, as ranges need it.

    Attributes
    ----------
    orders : tuple of callable
        The function, its derivative, its second derivative: float64 to float64. At a kink any one-sided value will do.
    noise : tuple of callable
        For each of these, what one evaluation may be off in units of u, as a function of x.
    steepest : float
        An upper bound of the magnitudes of the derivatives from the first to the third, off the kinks.
    kinks : tuple of float
        Where the function is not differentiable; then it is linear in pieces.
    choices : bool
        Whether a derivative covers both sides of a kink that its argument reaches, or takes the value that
        ``orders`` gives.
    """

    orders: tuple[Callable[[Floats], Floats], ...]
    noise: tuple[Callable[[Floats], Floats], ...]
    steepest: float
    kinks: tuple[float, ...] = ()
    choices: bool = True

    def at(self, x: Range, order: int = 0) -> Range:
        """Return the range of the function, or a derivative of it, over a range."""
        f, noise = self.orders[order], self.noise[order](x.mid) * x.u
        if not self.kinks:
            slope = np.abs(self.orders[order + 1](x.mid)) if order + 1 < len(self.orders) else self.steepest
            return Range(f(x.mid), np.minimum(slope + self.steepest * x.rad, self.steepest) * x.rad + noise, x.u)
        if order and not self.choices:
            return Range(f(x.mid), noise, x.u)
        low, high = x.mid - x.rad, x.mid + x.rad  # its extremes are at ends and beside kinks
        values = [f(low), f(x.mid), f(high)]
        for kink in self.kinks:
            on = (low <= kink) & (kink <= high)
            beside = [np.nextafter(kink, way) for way in (-np.inf, np.inf)]
            values += [np.where(on, f(np.full_like(low, place)), values[0]) for place in beside]
        bottom, top = np.minimum.reduce(values), np.maximum.reduce(values)
        return Range((bottom + top) / 2, (top - bottom) / 2 + noise, x.u)


@dataclass(frozen=True)
class Jet:
    """A range and its rate of change in one direction; None stands for no change."""

    value: Range
    rate: Range | None = None

    def __neg__(self) -> Jet:
        return Jet(-self.value, None if self.rate is None else -self.rate)

    def __add__(self, other: Jet) -> Jet:
        return Jet(self.value + other.value, _plus(self.rate, other.rate))

    def __sub__(self, other: Jet) -> Jet:
        return self + -other

    def __mul__(self, other: Jet) -> Jet:
        left = None if self.rate is None else self.rate * other.value
        right = None if other.rate is None else self.value * other.rate
        return Jet(self.value * other.value, _plus(left, right))

    def map(self, function: Callable[[Floats], Floats]) -> Jet:
        """Move elements about, nothing else."""
        return Jet(self.value.map(function), None if self.rate is None else self.rate.map(function))

    def sum(self, axis: int | tuple[int, ...]) -> Jet:
        """Sum over axes, which stay with length 1."""
        return Jet(self.value.sum(axis), None if self.rate is None else self.rate.sum(axis))

    def through(self, curve: Curve, order: int = 0) -> Jet:
        """Apply a function of one number, or a derivative of it."""
        rate = None if self.rate is None else curve.at(self.value, order + 1) * self.rate
        return Jet(curve.at(self.value, order), rate)


def joined(subscripts: str, a: Jet, b: Jet) -> Jet:
    """Sum products of two jets as :func:`numpy.einsum` does."""
    left = None if a.rate is None else einsum(subscripts, a.rate, b.value)
    right = None if b.rate is None else einsum(subscripts, a.value, b.rate)
    return Jet(einsum(subscripts, a.value, b.value), _plus(left, right))


def _plus(a: Range | None, b: Range | None) -> Range | None:
    if a is None or b is None:
        return b if a is None else a
    return a + b
