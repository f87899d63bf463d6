"""Exact numbers in, exact numbers out: the containers of this folder.

NumPy serves as a box with a shape, never as a calculator: an object array whose elements are `Fraction`.
"""

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = ["FractionArray", "ensure_bool", "ensure_shape", "exactly", "to_float", "to_fractions", "zeros"]

#: An object array whose elements are `Fraction`.
FractionArray: TypeAlias = npt.NDArray[np.object_]


def to_fractions(values: npt.ArrayLike, name: str = "values") -> FractionArray:
    """Convert numbers to the exact rationals that they are.

    Parameters
    ----------
    values : array_like of int, float or Fraction
        An array of any shape, or nested lists. The float 0.1 becomes 3602879701896397/36028797018963968.
    name : str
        What error messages call the argument.

    Returns
    -------
    ndarray of Fraction
        A fresh object array of the same shape.

    Raises
    ------
    ValueError
        A NaN or an infinity: rational numbers have neither.
    TypeError
        An element that is not an int, a float or a Fraction (ragged lists end here too).

    Examples
    --------
    >>> to_fractions([0.5, 3])
    array([Fraction(1, 2), Fraction(3, 1)], dtype=object)
    """
    boxed = np.asarray(values, dtype=object)
    result = np.empty(boxed.shape, dtype=object)
    for place in np.ndindex(boxed.shape):
        result[place] = _to_fraction(boxed[place], f"{name}[{', '.join(map(str, place))}]" if place else name)
    return result


def _to_fraction(value: Any, name: str) -> Fraction:
    if isinstance(value, (int, np.integer)) and not isinstance(value, bool):
        return Fraction(int(value))
    if isinstance(value, (float, np.floating, Fraction)):
        if not isinstance(value, Fraction) and not np.isfinite(value):
            raise ValueError(f"{name} is {value}: exact rational arithmetic needs finite numbers")
        return Fraction(*value.as_integer_ratio())
    raise TypeError(f"{name} is of type {type(value).__name__}: expected an int, a float or a Fraction")


def to_float(values: npt.ArrayLike, dtype: npt.DTypeLike = np.float64) -> npt.NDArray[Any]:
    """Round exact numbers to floating point, once.

    Parameters
    ----------
    values : array_like of Fraction or mpf
        What the functions of this folder return.
    dtype : {"float64", "float32", "float16"}
        What to round to. By way of float64 a number could be rounded twice, and wrongly; it is not.

    Returns
    -------
    ndarray of dtype
        Same shape; each element is the number nearest to the exact value, ties to even, and ±inf beyond the
        largest one.

    Examples
    --------
    >>> from fractions import Fraction
    >>> to_float([Fraction(1, 3), 2])
    array([0.33333333, 2.        ])
    """
    boxed = np.asarray(values, dtype=object)
    info = np.finfo(np.dtype(dtype))
    result = np.empty(boxed.shape, dtype=info.dtype)
    for place in np.ndindex(boxed.shape):
        result[place] = _nearest(exactly(boxed[place]), info)
    return result


def exactly(value: Any) -> Fraction:
    """A Fraction of a number, or of an mpf: an integer times a power of two, whose exponent may be astronomical."""
    if not type(value).__module__.startswith("mpmath"):
        return _to_fraction(value, "values")
    if not value.context.isfinite(value):
        raise ValueError(f"values hold {value}: expected finite numbers")
    mantissa, exponent = value.man_exp
    beyond = 3000  # as good as any larger one, with 50 digits: it rounds to 0 or to infinity
    magnitude: Fraction = Fraction(abs(int(mantissa))) * Fraction(2) ** min(max(exponent, -beyond), beyond)
    return -magnitude if value < 0 else magnitude


def _nearest(value: Fraction, info: Any) -> float:
    """Count in units in the last place; below the smallest normal number they are no smaller than there."""
    exponent = abs(value.numerator).bit_length() - value.denominator.bit_length()  # of the leading bit, or one more
    exponent -= abs(value) < Fraction(2) ** exponent
    unit = max(exponent, int(info.minexp)) - int(info.nmant)
    count = round(abs(value) / Fraction(2) ** unit)  # half to even, as IEEE 754 rounds
    overflows = count * Fraction(2) ** unit > Fraction(float(info.max))
    magnitude = math.inf if overflows else math.ldexp(count, unit)
    return -magnitude if value < 0 else magnitude


def zeros(shape: Sequence[int]) -> FractionArray:
    """Return an object array of the given shape filled with `Fraction(0)`."""
    return np.full(tuple(shape), Fraction(0), dtype=object)


def ensure_shape(values: FractionArray, expected: Sequence[int], name: str) -> None:
    """Raise a ValueError that names the argument unless `values` has the expected shape."""
    if values.shape != tuple(expected):
        raise ValueError(f"{name} has shape {values.shape}, expected {tuple(expected)}")


def ensure_bool(value: object, name: str) -> bool:
    """Return a flag, or raise a TypeError that names the argument."""
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    raise TypeError(f"{name} is {value!r}, expected True or False")
