"""Activations once more, from their definitions, to 50 digits.

Each is three functions of one number: value, first and second derivative. Nothing is shared with the fast versions, not
even a formula where two are known: the approximation of gelu goes by tanh here, and the derivatives are written out for
each.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from attn_ref.exact.precise import context, to_precise

__all__ = [
    "activation",
    "activation_backward",
    "activation_double_backward",
    "activation_jvp",
    "glu",
    "glu_backward",
    "glu_double_backward",
    "glu_jvp",
    "scalar_activation",
]

Number = Any
Precise = npt.NDArray[Any]
Derivatives = Callable[[Number], Number]


def scalar_activation(name: str, **options: Fraction | float) -> tuple[Derivatives, Derivatives, Derivatives]:
    """Return f, f′ and f″ of an activation, each a function of one 50-digit number.

    Parameters
    ----------
    name : str
        As in :func:`attn_ref.get_activation`, but glu.
    **options
        ``slope`` and ``offset`` of hard_sigmoid.

    Raises
    ------
    KeyError
        If the name is unknown.
    """
    mp = context()
    zero, one = mp.mpf(0), mp.mpf(1)

    def sigmoid(x: Number) -> Number:
        return one / (1 + mp.exp(-x))

    def sigmoid_1(x: Number) -> Number:
        return mp.exp(-x) / (1 + mp.exp(-x)) ** 2

    def sigmoid_2(x: Number) -> Number:
        e = mp.exp(-x)
        return e * (e - 1) / (1 + e) ** 3

    def silu_1(x: Number) -> Number:
        return sigmoid(x) + x * sigmoid_1(x)

    def silu_2(x: Number) -> Number:
        return 2 * sigmoid_1(x) + x * sigmoid_2(x)

    def gelu(x: Number) -> Number:
        return x * mp.ncdf(x)  # (1 + erf)/2 would lose its fifty digits where erf is near -1

    def gelu_1(x: Number) -> Number:
        return mp.ncdf(x) + x * mp.npdf(x)

    def gelu_2(x: Number) -> Number:
        return (2 - x * x) * mp.npdf(x)

    cubic = mp.mpf(44715) / 1000000

    def inner(x: Number) -> Number:
        return mp.sqrt(2 / mp.pi) * (x + cubic * x**3)

    def inner_1(x: Number) -> Number:
        return mp.sqrt(2 / mp.pi) * (1 + 3 * cubic * x**2)

    def half_one_plus_tanh(x: Number) -> Number:
        return mp.exp(x) / (2 * mp.cosh(x))  # likewise

    def gelu_tanh(x: Number) -> Number:
        return x * half_one_plus_tanh(inner(x))

    def gelu_tanh_1(x: Number) -> Number:
        return half_one_plus_tanh(inner(x)) + x * inner_1(x) / (2 * mp.cosh(inner(x)) ** 2)

    def gelu_tanh_2(x: Number) -> Number:
        flat = 1 / mp.cosh(inner(x)) ** 2
        inner_2 = mp.sqrt(2 / mp.pi) * 6 * cubic * x
        return flat * (inner_1(x) + x * inner_2 / 2 - x * inner_1(x) ** 2 * mp.tanh(inner(x)))

    slope, offset = Fraction(options.get("slope", Fraction(1, 6))), Fraction(options.get("offset", Fraction(1, 2)))
    slope_, offset_, low, high = to_precise([slope, offset, -offset / slope, (1 - offset) / slope])

    def hard(x: Number) -> Number:
        return zero if x <= low else one if x >= high else slope_ * x + offset_

    def hard_1(x: Number) -> Number:
        return slope_ if low < x < high else zero

    functions: dict[str, tuple[Derivatives, Derivatives, Derivatives]] = {
        "relu": (lambda x: max(x, zero), lambda x: one if x > 0 else zero, lambda _: zero),
        "identity": (lambda x: x, lambda _: one, lambda _: zero),
        "sigmoid": (sigmoid, sigmoid_1, sigmoid_2),
        "silu": (lambda x: x * sigmoid(x), silu_1, silu_2),
        "gelu": (gelu, gelu_1, gelu_2),
        "gelu_tanh": (gelu_tanh, gelu_tanh_1, gelu_tanh_2),
        "hard_sigmoid": (hard, hard_1, lambda _: zero),
    }
    return functions[name]


def activation(x: npt.ArrayLike, *, name: str, **options: float) -> Precise:
    """f(x), element by element.

    Parameters
    ----------
    x : array_like of int, float or Fraction
        Of the shapes that the activation of :func:`attn_ref.get_activation` takes; every number is meant exactly.
    name, **options
        The activation's name and options, as :func:`attn_ref.get_activation` takes them.

    Returns
    -------
    ndarray of mpf
        The value, to 50 digits.

    Raises
    ------
    TypeError, ValueError
        If something is no number, NaN or infinite, or if the shapes do not fit.

    Examples
    --------
    >>> print(activation([1], name="sigmoid")[0])
    0.73105857863000487925115924182183627436514464016506
    """
    f, _, _ = scalar_activation(name, **options)
    return _each(f, to_precise(x, "x"))


def activation_backward(grad_output: npt.ArrayLike, x: npt.ArrayLike, *, name: str, **options: float) -> Precise:
    """f′(x) · dy.

    Parameters
    ----------
    grad_output, x : array_like of int, float or Fraction
        Of the shapes that the activation of :func:`attn_ref.get_activation` takes; every number is meant exactly.
    name, **options
        The activation's name and options, as :func:`attn_ref.get_activation` takes them.

    Returns
    -------
    ndarray of mpf
        The cotangent of x, to 50 digits.

    Raises
    ------
    TypeError, ValueError
        If something is no number, NaN or infinite, or if the shapes do not fit.

    Examples
    --------
    >>> activation_backward([5, 5], [-1, 2], name="relu").astype(float)
    array([0., 5.])
    """
    _, f1, _ = scalar_activation(name, **options)
    return _each(lambda dy, x: f1(x) * dy, to_precise(grad_output, "grad_output"), to_precise(x, "x"))


def activation_jvp(x: npt.ArrayLike, x_tangent: npt.ArrayLike, *, name: str, **options: float) -> Precise:
    """f′(x) · ẋ.

    Parameters
    ----------
    x, x_tangent : array_like of int, float or Fraction
        Of the shapes that the activation of :func:`attn_ref.get_activation` takes; every number is meant exactly.
    name, **options
        The activation's name and options, as :func:`attn_ref.get_activation` takes them.

    Returns
    -------
    ndarray of mpf
        The tangent of the value, to 50 digits.

    Raises
    ------
    TypeError, ValueError
        If something is no number, NaN or infinite, or if the shapes do not fit.

    Examples
    --------
    >>> activation_jvp([0], [8], name="sigmoid").astype(float)  # 8 · σ(0)(1 − σ(0))
    array([2.])
    """
    return activation_backward(x_tangent, x, name=name, **options)


def activation_double_backward(
    grad_grad_x: npt.ArrayLike, grad_output: npt.ArrayLike, x: npt.ArrayLike, *, name: str, **options: float
) -> tuple[Precise, Precise]:
    """V · f′(x) and V · dy · f″(x).

    Parameters
    ----------
    grad_grad_x, grad_output, x : array_like of int, float or Fraction
        Of the shapes that the activation of :func:`attn_ref.get_activation` takes; every number is meant exactly.
    name, **options
        The activation's name and options, as :func:`attn_ref.get_activation` takes them.

    Returns
    -------
    tuple of two ndarray of mpf
        The cotangents of grad_output and of x, to 50 digits.

    Raises
    ------
    TypeError, ValueError
        If something is no number, NaN or infinite, or if the shapes do not fit.

    Examples
    --------
    >>> of_grad, of_x = activation_double_backward([1], [8], [0], name="sigmoid")
    >>> float(of_grad[0]), float(of_x[0])  # σ′(0) = 1/4, σ″(0) = 0
    (0.25, 0.0)
    """
    _, f1, f2 = scalar_activation(name, **options)
    V, dy, x = to_precise(grad_grad_x), to_precise(grad_output), to_precise(x)
    return _each(lambda V, x: V * f1(x), V, x), _each(lambda V, dy, x: V * dy * f2(x), V, dy, x)


def glu(x: npt.ArrayLike, *, axis: int = 1) -> Precise:
    """A · σ(b), where a and b are the halves of x along the axis.

    Parameters
    ----------
    x : array_like of int, float or Fraction
        Of the shapes that the gated linear unit of :func:`attn_ref.get_activation` takes; every number is meant
        exactly.
    axis : int
        The axis to halve.

    Returns
    -------
    ndarray of mpf
        The value, to 50 digits.

    Raises
    ------
    TypeError, ValueError
        If something is no number, NaN or infinite, or if the shapes do not fit.

    Examples
    --------
    >>> glu([[6, 0]]).astype(float)  # 6 · σ(0)
    array([[3.]])
    """
    s, _, _ = scalar_activation("sigmoid")
    a, b = np.split(to_precise(x, "x"), 2, axis=axis)
    return _each(lambda a, b: a * s(b), a, b)


def glu_backward(grad_output: npt.ArrayLike, x: npt.ArrayLike, *, axis: int = 1) -> Precise:
    """Dy · σ(b) beside dy · a · σ′(b).

    Parameters
    ----------
    grad_output, x : array_like of int, float or Fraction
        Of the shapes that the gated linear unit of :func:`attn_ref.get_activation` takes; every number is meant
        exactly.
    axis : int
        The axis to halve.

    Returns
    -------
    ndarray of mpf
        The cotangent of x, to 50 digits.

    Raises
    ------
    TypeError, ValueError
        If something is no number, NaN or infinite, or if the shapes do not fit.

    Examples
    --------
    >>> glu_backward([[1]], [[6, 0]]).astype(float)  # σ(0), and 6 · σ′(0)
    array([[0.5, 1.5]])
    """
    s, s1, _ = scalar_activation("sigmoid")
    dy = to_precise(grad_output, "grad_output")
    a, b = np.split(to_precise(x, "x"), 2, axis=axis)
    of_a, of_b = _each(lambda dy, b: dy * s(b), dy, b), _each(lambda dy, a, b: dy * a * s1(b), dy, a, b)
    return np.concatenate([of_a, of_b], axis=axis)


def glu_jvp(x: npt.ArrayLike, x_tangent: npt.ArrayLike, *, axis: int = 1) -> Precise:
    """ȧ · σ(b) + a · σ′(b) · ḃ.

    Parameters
    ----------
    x, x_tangent : array_like of int, float or Fraction
        Of the shapes that the gated linear unit of :func:`attn_ref.get_activation` takes; every number is meant
        exactly.
    axis : int
        The axis to halve.

    Returns
    -------
    ndarray of mpf
        The tangent of the value, to 50 digits.

    Raises
    ------
    TypeError, ValueError
        If something is no number, NaN or infinite, or if the shapes do not fit.

    Examples
    --------
    >>> glu_jvp([[6, 0]], [[1, 1]]).astype(float)
    array([[2.]])
    """
    s, s1, _ = scalar_activation("sigmoid")
    a, b = np.split(to_precise(x, "x"), 2, axis=axis)
    a_dot, b_dot = np.split(to_precise(x_tangent, "x_tangent"), 2, axis=axis)
    return _each(lambda a, b, a_dot, b_dot: a_dot * s(b) + a * s1(b) * b_dot, a, b, a_dot, b_dot)


def glu_double_backward(
    grad_grad_x: npt.ArrayLike, grad_output: npt.ArrayLike, x: npt.ArrayLike, *, axis: int = 1
) -> tuple[Precise, Precise]:
    """Cotangents of dy and x, given V and W of the two halves of dx.

    Parameters
    ----------
    grad_grad_x, grad_output, x : array_like of int, float or Fraction
        Of the shapes that the gated linear unit of :func:`attn_ref.get_activation` takes; every number is meant
        exactly.
    axis : int
        The axis to halve.

    Returns
    -------
    tuple of two ndarray of mpf
        The cotangents of grad_output and of x, to 50 digits.

    Raises
    ------
    TypeError, ValueError
        If something is no number, NaN or infinite, or if the shapes do not fit.

    Examples
    --------
    >>> of_grad, of_x = glu_double_backward([[1, 0]], [[1]], [[6, 0]])
    >>> of_grad.astype(float), of_x.astype(float)
    (array([[0.5]]), array([[0.  , 0.25]]))
    """
    _, s1, s2 = scalar_activation("sigmoid")
    dy = to_precise(grad_output, "grad_output")
    a, b = np.split(to_precise(x, "x"), 2, axis=axis)
    V, W = np.split(to_precise(grad_grad_x, "grad_grad_x"), 2, axis=axis)
    of_a = _each(lambda W, dy, b: W * dy * s1(b), W, dy, b)
    of_b = _each(lambda V, W, dy, a, b: V * dy * s1(b) + W * dy * a * s2(b), V, W, dy, a, b)
    return glu_jvp(x, grad_grad_x, axis=axis), np.concatenate([of_a, of_b], axis=axis)


def _each(function: Callable[..., Number], *arrays: Precise) -> Precise:
    """Apply a function of numbers at each place of arrays of one shape."""
    result = np.empty(arrays[0].shape, dtype=object)
    for place in np.ndindex(result.shape):
        result[place] = function(*[array[place] for array in arrays])
    return result
