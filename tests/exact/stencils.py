"""Exact derivatives of polynomials."""

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np

from attn_ref.exact.rationals import FractionArray, zeros

CENTRE, RIGHT, LEFT = 0, 1, -1  # where the nodes lie


def derivative_at_zero(
    f: Callable[[Fraction], Any], degree: int, order: int = 1, side: int = CENTRE, step: Fraction = Fraction(1, 64)
) -> Any:
    """Differentiate at 0 a polynomial of at most the given degree, exactly, from its values on one or both sides.

    The polynomial through degree + 1 nodes is f itself, so its Taylor coefficient is no approximation.
    """
    count = max(degree, order)
    half = (count + 1) // 2
    steps = range(0, side * (count + 1), side) if side else range(-half, half + 1)
    nodes = [step * i for i in steps]
    total: Any = 0
    for node in nodes:
        coefficients = [Fraction(1)]  # of Π (h − other)/(node − other), lowest power first
        for other in nodes:
            if other != node:
                shifted, scaled = [Fraction(0), *coefficients], [*(-other * c for c in coefficients), Fraction(0)]
                coefficients = [(a + b) / (node - other) for a, b in zip(shifted, scaled, strict=True)]
        if coefficients[order]:
            total = total + f(node) * (coefficients[order] * math.factorial(order))
    return total


def inner(a: FractionArray, b: FractionArray) -> Fraction:
    """Return Σ a_i b_i."""
    assert a.shape == b.shape
    return sum((x * y for x, y in zip(a.flat, b.flat, strict=True)), Fraction(0))


def perturbed(values: FractionArray, place: tuple[int, ...], amount: Fraction) -> FractionArray:
    """Return a copy with one element changed."""
    copy = values.copy()
    copy[place] += amount
    return copy


def gradient_by_stencil(f: Callable[[FractionArray], Fraction], values: FractionArray, degree: int) -> FractionArray:
    """Differentiate with respect to every element, f being a polynomial of that degree in each of them."""
    result = zeros(values.shape)
    for place in np.ndindex(values.shape):
        result[place] = derivative_at_zero(lambda h, place=place: f(perturbed(values, place, h)), degree)
    return result
