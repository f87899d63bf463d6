"""Interpolation along one axis: how much each neighbour of a point counts.

A point lies at p = i + t, where i is an integer and 0 ≤ t < 1. The value there is a weighted sum of a few
pixels, the *taps* at i + first, i + first + 1, …, and each weight is a polynomial in t. So a mode is a small
table of coefficients, and its derivatives are the table differentiated:

* nearest: one tap, weight 1 (i is the pixel nearest to p, and t plays no part);
* linear: taps 0, 1 with weights 1 − t, t;
* cubic: taps −1, 0, 1, 2 with Keys' convolution kernel [1]_ at the distances 1+t, t, 1−t, 2−t:

      W(d) = (A+2) d³ − (A+3) d² + 1          for d ≤ 1
           = A d³ − 5A d² + 8A d − 4A         for 1 < d ≤ 2,      A = −3/4

  written out in powers of t. A = −3/4 is what PyTorch, ONNX and OpenCV use; Keys' own choice was −1/2.

The weights of a mode sum to 1, so those of each derivative sum to 0. At t = 0 the polynomials are those of the
cell to the right: every derivative here is the right-hand one.

.. [1] R. Keys, "Cubic convolution interpolation for digital image processing", IEEE Transactions on Acoustics,
   Speech, and Signal Processing 29 (1981), equation (4).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from attn_ref.backend import Array

__all__ = ["MODES", "Interpolation", "differentiated", "keys"]


@dataclass(frozen=True)
class Interpolation:
    """One mode, as a table.

    Attributes
    ----------
    first : int
        Offset of the first tap from the integer part of the coordinate.
    coefficients : tuple of tuple of float
        A row a tap: the weight's coefficients of 1, t, t², t³.
    pads_taps : bool
        Whether padding acts on each tap's index (cubic) or on the coordinate itself (linear, nearest).
    rounds : bool
        Whether the integer part is the nearest integer, ties to even, instead of the floor.
    """

    first: int
    coefficients: tuple[tuple[float, ...], ...]
    pads_taps: bool = False
    rounds: bool = False

    def is_flat(self, order: int) -> bool:
        """Whether the derivative of this order is zero everywhere."""
        return order >= len(self.coefficients[0])

    def factors(self, t: Array, order: int) -> list[Any]:
        """Evaluate the taps' weights one by one; a weight that does not depend on t is a number.

        Parameters
        ----------
        t : array, any shape
            Fractional parts, in pixels; not looked at if no weight depends on them.
        order : int
            0 for the weights, 1 and 2 for their derivatives.

        Returns
        -------
        list of array or float
            Horner's scheme over the (differentiated) coefficients.
        """
        return [_polynomial(differentiated(row, order), t) for row in self.coefficients]


def _polynomial(coefficients: tuple[float, ...], t: Array) -> Any:
    """c₀ + c₁ t + c₂ t² + …, without the operations that change nothing."""
    value: Any = 0.0
    for c in reversed(coefficients):
        if isinstance(value, float):
            value = c if value == 0 else t if (value, c) == (1, 0) else c - t if value == -1 else value * t + c
        else:
            value = value * t + c if c else value * t
    return value


def differentiated(coefficients: tuple[float, ...], order: int) -> tuple[float, ...]:
    """Coefficients of the order-th derivative of a polynomial."""
    for _ in range(order):
        coefficients = tuple(power * c for power, c in enumerate(coefficients))[1:]
    return coefficients


def keys(A: float) -> tuple[tuple[float, ...], ...]:
    """Coefficients of the four taps of Keys' kernel, see the head of this module."""
    return (
        (0.0, A, -2 * A, A),
        (1.0, 0.0, -(A + 3), A + 2),
        (0.0, -A, 2 * A + 3, -(A + 2)),
        (0.0, 0.0, A, -A),
    )


MODES: dict[str, Interpolation] = {
    "bilinear": Interpolation(0, ((1.0, -1.0), (0.0, 1.0))),
    "nearest": Interpolation(0, ((1.0,),), rounds=True),
    "bicubic": Interpolation(-1, keys(-0.75), pads_taps=True),
}
"""The modes of grid_sample by name; in 3-D the same names mean trilinear, nearest and tricubic."""
