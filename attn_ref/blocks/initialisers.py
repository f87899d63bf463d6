"""What parameters are before training: arrays drawn with a given generator, or filled.

A weight has shape (outputs, inputs, …), with the sizes of the kernel last; let T be the number of the kernel's taps, 1
for a linear layer. One output sums over fan_in = inputs · T products, and one input goes into fan_out = outputs · T of
them. If the inputs are independent with variance v, and the weights too with variance w and mean 0, a sum has variance
fan_in · w · v. The schemes of Glorot [1]_ and He [2]_ choose w so that this neither grows nor shrinks from layer to
layer:

    xavier   w = 2 / (fan_in + fan_out)     a compromise between forward and backward pass
    kaiming  w = 2 / ((1 + a²) · fan)       for a leaky ReLU of slope a on the negative side, 0 for ReLU

and U(−b, b) has variance b²/3, so it gets b = √(3 w).

Randomness is explicit: every function that draws takes a ``numpy.random.Generator``. Values are drawn in float64 and
rounded to the dtype, so one seed gives the same numbers in every dtype.

.. [1] X. Glorot and Y. Bengio, "Understanding the difficulty of training deep feedforward neural networks", AISTATS
   2010, equation (16).
.. [2] K. He et al., "Delving Deep into Rectifiers", ICCV 2015, equations (10) and (14).
"""

from __future__ import annotations

from math import inf, isfinite, prod, sqrt
from typing import Any

import numpy as np

from attn_ref import validation
from attn_ref.backend import Array

__all__ = [
    "constant",
    "fans",
    "float_dtype",
    "generator",
    "kaiming_normal",
    "kaiming_uniform",
    "uniform",
    "xavier_uniform",
    "zeros",
]


def kaiming_uniform(
    shape: tuple[int, ...],
    rng: np.random.Generator,
    *,
    slope: float = sqrt(5),
    mode: str = "fan_in",
    dtype: Any = "float32",
) -> Array:
    """Draw from U(−b, b), b = √(6 / ((1 + slope²) · fan)).

    Parameters
    ----------
    shape : tuple of int
        (outputs, inputs, …), the kernel's sizes last.
    rng : numpy.random.Generator
        Where the numbers come from.
    slope : float
        Slope a of the activation for negative inputs. The default √5 is no activation's: it makes b = 1/√fan, which is
        how PyTorch's Linear and Conv2d start.
    mode : {"fan_in", "fan_out"}
        Whether the forward or the backward pass keeps its variance.
    dtype : dtype
        float16, float32 or float64.

    Returns
    -------
    array
        The weight.

    Raises
    ------
    TypeError
        If rng is not a generator, or the dtype is another.
    ValueError
        If the shape has fewer than two axes or an empty one, slope is not finite, or mode is unknown.

    Notes
    -----
    He et al., "Delving Deep into Rectifiers", ICCV 2015; ``torch.nn.init.kaiming_uniform_``.
    """
    return uniform(shape, sqrt(3 * _variance(shape, slope, mode)), rng, dtype=dtype)


def kaiming_normal(
    shape: tuple[int, ...],
    rng: np.random.Generator,
    *,
    slope: float = 0.0,
    mode: str = "fan_out",
    dtype: Any = "float32",
) -> Array:
    """Draw from a normal distribution with variance 2 / ((1 + slope²) · fan).

    Parameters
    ----------
    shape, rng, slope, mode, dtype
        As in :func:`kaiming_uniform`. The defaults, ReLU and fan_out, are how residual networks start.

    Returns
    -------
    array
        The weight.

    Raises
    ------
    TypeError, ValueError
        As in :func:`kaiming_uniform`.

    Notes
    -----
    He et al., "Delving Deep into Rectifiers", ICCV 2015; ``torch.nn.init.kaiming_normal_``.
    """
    deviation = sqrt(_variance(shape, slope, mode))
    return (deviation * generator(rng).standard_normal(shape)).astype(float_dtype(dtype))


def xavier_uniform(shape: tuple[int, ...], rng: np.random.Generator, *, dtype: Any = "float32") -> Array:
    """Draw from U(−b, b), b = √(6 / (fan_in + fan_out)).

    Parameters
    ----------
    shape, rng, dtype
        As in :func:`kaiming_uniform`.

    Returns
    -------
    array
        The weight.

    Raises
    ------
    TypeError, ValueError
        As in :func:`kaiming_uniform`.

    Notes
    -----
    Glorot and Bengio, AISTATS 2010, equation (16); ``torch.nn.init.xavier_uniform_``.
    """
    return uniform(shape, sqrt(6 / sum(fans(shape))), rng, dtype=dtype)


def uniform(shape: tuple[int, ...], bound: float, rng: np.random.Generator, *, dtype: Any = "float32") -> Array:
    """Draw from U(−bound, bound).

    Parameters
    ----------
    shape : tuple of int
        Any shape.
    bound : float
        At least 0. PyTorch's biases start with 1/√fan_in of their weight.
    rng, dtype
        As in :func:`kaiming_uniform`.

    Returns
    -------
    array
        The numbers.

    Raises
    ------
    TypeError
        As in :func:`kaiming_uniform`.
    ValueError
        If the bound is negative or not finite.
    """
    bound = validation.real("bound", bound, "at least 0", lambda number: 0 <= number < inf)
    return generator(rng).uniform(-bound, bound, shape).astype(float_dtype(dtype))


def zeros(shape: tuple[int, ...], *, dtype: Any = "float32") -> Array:
    """Return zeros of a shape.

    Parameters
    ----------
    shape : tuple of int
        Any shape.
    dtype : dtype
        float16, float32 or float64.

    Returns
    -------
    array
        Zeros.

    Raises
    ------
    TypeError
        If the dtype is another.
    """
    return constant(shape, 0.0, dtype=dtype)


def constant(shape: tuple[int, ...], value: float, *, dtype: Any = "float32") -> Array:
    """Return an array filled with one value.

    Parameters
    ----------
    shape : tuple of int
        Any shape.
    value : float
        The value.
    dtype : dtype
        float16, float32 or float64.

    Returns
    -------
    array
        The value everywhere.

    Raises
    ------
    TypeError
        If the dtype is another.
    """
    return np.full(shape, value, float_dtype(dtype))


def fans(shape: tuple[int, ...]) -> tuple[int, int]:
    """Count what goes into one output of a weight, and what one input goes into.

    Parameters
    ----------
    shape : tuple of int
        (outputs, inputs, …), the kernel's sizes last.

    Returns
    -------
    fan_in, fan_out : int
        inputs · T and outputs · T, for a kernel of T taps.

    Raises
    ------
    ValueError
        If the shape has fewer than two axes or an empty one.

    Examples
    --------
    >>> fans((8, 3, 5, 5))
    (75, 200)
    """
    if len(shape) < 2 or min(shape) < 1:
        raise ValueError(f"shape must be that of a weight, (outputs, inputs, …), each at least 1; got {shape!r}")
    outputs, inputs, *kernel = shape
    return inputs * prod(kernel), outputs * prod(kernel)


def _variance(shape: tuple[int, ...], slope: float, mode: str) -> float:
    """Kaiming's variance of a weight."""
    names = ("fan_in", "fan_out")
    fan = dict(zip(names, fans(shape), strict=True))[validation.choice("mode", mode, names)]
    return 2 / ((1 + validation.real("slope", slope, "that is finite", isfinite) ** 2) * fan)


def generator(rng: object) -> np.random.Generator:
    """Check that something is a generator: a seed, None and the old global state are not.

    Parameters
    ----------
    rng : numpy.random.Generator
        The argument.

    Returns
    -------
    numpy.random.Generator
        The same.

    Raises
    ------
    TypeError
        If it is anything else; the message says how to make one.
    """
    if not isinstance(rng, np.random.Generator):
        seed = rng if isinstance(rng, int) and not isinstance(rng, bool) else 0
        raise TypeError(
            f"rng must be a numpy.random.Generator, got {type(rng).__name__} {rng!r}: "
            f"pass numpy.random.default_rng({seed})"
        )
    return rng


def float_dtype(dtype: Any) -> np.dtype[Any]:
    """Check the dtype of parameters.

    Parameters
    ----------
    dtype : dtype
        float16, float32 or float64, in any form that NumPy takes.

    Returns
    -------
    numpy.dtype
        In native byte order.

    Raises
    ------
    TypeError
        If it is another.
    """
    try:
        found = np.dtype(np.void if dtype is None else dtype).newbyteorder("=")  # None would mean float64
    except TypeError:
        found = np.dtype(np.void)
    if found not in (np.float16, np.float32, np.float64):
        raise TypeError(f"dtype must be float16, float32 or float64, got {dtype!r}")
    return found
