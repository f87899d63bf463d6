"""One axis: where a grid coordinate lands, what padding does to it, and which pixels it weighs.

Along an axis of S pixels a normalised coordinate g goes through at most four steps:

1. to pixels (rules C1, C3):  p = (g + 1)/2 · (S − 1) if corners are aligned, else ((g + 1)·S − 1)/2.
2. padding (P1–P4): q = pad(p), where `bilinear` and `nearest` pad the coordinate; `bicubic` leaves q = p.
3. cell and fraction (M1–M3): an integer i = place(q), usually the floor, and t = q − i.
4. taps: pixel i + offset has the weight polynomial_offset(t); `bicubic` now pads the index i + offset;
   what still lies outside the image reads 0, so it is left out of the list.

The weights are polynomials in t, hence so are their derivatives, and p and q are piecewise linear in g:

    d^k weight / dg^k = polynomial^(k)(t) · (dq/dp · dp/dg)^k.

Evaluating the polynomial of the cell that *starts* at i gives the right-hand derivative in q when t = 0.
"""

import math
from collections.abc import Callable
from fractions import Fraction
from typing import NamedTuple

__all__ = ["KERNELS", "PADDINGS", "Kernel", "Rules", "Tap", "axis_taps", "pad_coordinate", "pixel_coordinate"]

HALF = Fraction(1, 2)
A = Fraction(-3, 4)  # the free parameter of Keys' cubic kernel


class Rules(NamedTuple):
    """The options of a sampler: how coordinates, weights and the outside are to be understood."""

    mode: str
    padding_mode: str
    align_corners: bool


class Located(NamedTuple):
    """A coordinate, and its derivative with respect to what it was computed from."""

    value: Fraction
    slope: Fraction


class Tap(NamedTuple):
    """A pixel's index along one axis, and its weight (or a derivative of its weight)."""

    pixel: int
    weight: Fraction


class Kernel(NamedTuple):
    """The 1-D weights of a mode: polynomials in t, lowest power first, one for each tap offset."""

    place: Callable[[Fraction], int]
    polynomials: dict[int, tuple[Fraction | int, ...]]
    pads_index: bool


def round_half_even(q: Fraction) -> int:
    """Return the nearest integer; of two equally near ones the even one."""
    return round(q)


KERNELS = {
    "nearest": Kernel(round_half_even, {0: (1,)}, pads_index=False),
    "bilinear": Kernel(math.floor, {0: (1, -1), 1: (0, 1)}, pads_index=False),
    # Keys' kernel K(s) = (A+2)|s|³ − (A+3)|s|² + 1 for |s| ≤ 1 and A|s|³ − 5A|s|² + 8A|s| − 4A for 1 ≤ |s| ≤ 2,
    # at the distance s = t − offset and multiplied out.
    "bicubic": Kernel(
        math.floor,
        {
            -1: (0, A, -2 * A, A),
            0: (1, 0, -(A + 3), A + 2),
            1: (0, -A, 2 * A + 3, -(A + 2)),
            2: (0, 0, A, -A),
        },
        pads_index=True,
    ),
}


def pixel_coordinate(g: Fraction, size: int, *, align_corners: bool) -> Located:
    """Turn a normalised coordinate into a pixel coordinate p, with dp/dg (rule C1).

    One aligned pixel needs no case of its own: both are multiples of size − 1 = 0 (rule C3).
    """
    if align_corners:
        return Located((g + 1) / 2 * (size - 1), Fraction(size - 1, 2))
    return Located(((g + 1) * size - 1) / 2, Fraction(size, 2))


def pad_zeros(p: Fraction, size: int, align_corners: bool) -> Located:  # noqa: ARG001 - one signature for all
    """Leave the coordinate alone: the taps outside are dropped one by one (rule P1)."""
    return Located(p, Fraction(1))


def pad_border(p: Fraction, size: int, align_corners: bool) -> Located:  # noqa: ARG001 - one signature for all
    """Clip to [0, size − 1]; the derivative is 1 strictly inside, 0 on and beyond both ends (rule P2)."""
    if p <= 0:
        return Located(Fraction(0), Fraction(0))
    if p >= size - 1:
        return Located(Fraction(size - 1), Fraction(0))
    return Located(p, Fraction(1))


def pad_reflection(p: Fraction, size: int, align_corners: bool) -> Located:
    """Fold about the centres (aligned) or the outer edges (not) of the end pixels, then clip (rule P3)."""
    lower = Fraction(0) if align_corners else -HALF
    upper = size - 1 - lower
    if lower == upper:
        return Located(lower, Fraction(0))
    folds, rest = divmod(p - lower, upper - lower)
    folded, sign = (lower + rest, 1) if folds % 2 == 0 else (upper - rest, -1)
    clipped = pad_border(folded, size, align_corners)
    return Located(clipped.value, sign * clipped.slope)


PADDINGS = {"zeros": pad_zeros, "border": pad_border, "reflection": pad_reflection}


def pad_coordinate(p: Fraction, size: int, rules: Rules) -> Located:
    """Return q = pad(p) and dq/dp for the padding named in `rules`."""
    return PADDINGS[rules.padding_mode](p, size, rules.align_corners)


def polynomial_value(coefficients: tuple[Fraction | int, ...], t: Fraction, order: int) -> Fraction:
    """Evaluate the derivative of the given order of Σ_k c_k tᵏ.

    It is Σ_{k ≥ order} c_k · k·(k−1)…(k−order+1) · t^(k−order).
    """
    total = Fraction(0)
    for power in range(order, len(coefficients)):
        total += coefficients[power] * math.perm(power, order) * t ** (power - order)
    return total


def axis_taps(g: Fraction, size: int, order: int, rules: Rules) -> list[Tap]:
    """List the pixels that a coordinate uses along one axis.

    Parameters
    ----------
    g : Fraction
        The normalised coordinate.
    size : int
        The number of pixels along the axis, at least 1.
    order : int
        0 for the weights themselves, k for their k-th derivatives with respect to g.
    rules : Rules
        Mode, padding and alignment.

    Returns
    -------
    list of Tap
        Only taps inside the image. Padding may make two taps share an index: their weights add up.
    """
    kernel = KERNELS[rules.mode]
    q, slope = pixel_coordinate(g, size, align_corners=rules.align_corners)
    if not kernel.pads_index:
        padded = pad_coordinate(q, size, rules)
        q, slope = padded.value, padded.slope * slope
    cell = kernel.place(q)
    taps = []
    for offset, coefficients in kernel.polynomials.items():
        index = cell + offset
        if kernel.pads_index:
            index = int(pad_coordinate(Fraction(index), size, rules).value)  # an integer stays one under every padding
        if 0 <= index < size:
            taps.append(Tap(index, polynomial_value(coefficients, q - cell, order) * slope**order))
    return taps
