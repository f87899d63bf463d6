"""Squeeze-and-excitation as literal loops over 50-digit numbers.

The definition is written for one sample: an image x[c][p], its channels' means z[c], the reduced features h[r], the
gates s[c] = gate(u[c]). The backward pass and the jvp say what the chain rule says, one number at a time.

The double backward is not derived a second time. It is the derivative of the jvp, and a derivative can be taken without
deriving: on *dual numbers*, a + b ε with ε² = 0, every operation carries its derivative along. The jvp is evaluated on
x + ε e for each unit vector e, and the part with ε is the answer: slow, and without a formula of the fast version.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from attn_ref.exact.activations import scalar_activation
from attn_ref.exact.precise import context, to_precise

__all__ = [
    "squeeze_excitation",
    "squeeze_excitation_backward",
    "squeeze_excitation_double_backward",
    "squeeze_excitation_jvp",
]

Number = Any
Precise = Any
Optional = npt.ArrayLike | None


@dataclass(frozen=True)
class _Dual:
    """The number value + slope · ε, with ε² = 0."""

    value: Number
    slope: Number

    def __add__(self, other: _Dual) -> _Dual:
        return _Dual(self.value + other.value, self.slope + other.slope)

    def __mul__(self, other: _Dual) -> _Dual:
        return _Dual(self.value * other.value, self.slope * other.value + self.value * other.slope)


_Function = Callable[[Number], Number]


def _lifted(f: _Function, f_prime: _Function) -> Callable[[_Dual], _Dual]:
    """A function of numbers as a function of dual numbers."""
    return lambda x: _Dual(f(x.value), f_prime(x.value) * x.slope)


def squeeze_excitation(
    input: npt.ArrayLike,
    reduce_weight: npt.ArrayLike,
    expand_weight: npt.ArrayLike,
    reduce_bias: Optional = None,
    expand_bias: Optional = None,
    *,
    activation: str = "relu",
    gate: str = "sigmoid",
    channels_last: bool = False,
) -> Precise:
    """x[n][c][p] · s[n][c]; arguments as in :func:`attn_ref.squeeze_excitation`.

    Parameters
    ----------
    input, reduce_weight, expand_weight, reduce_bias, expand_bias : array_like of int, float or Fraction
        Of the shapes that :func:`attn_ref.squeeze_excitation` takes; every number is meant exactly. None for what is
        absent.
    activation, gate, channels_last
        As in :func:`attn_ref.squeeze_excitation`.

    Returns
    -------
    ndarray of mpf
        The output, to 50 digits.

    Raises
    ------
    TypeError, ValueError
        If something is no number, NaN or infinite, or if the shapes do not fit.

    Examples
    --------
    >>> squeeze_excitation([[[1, 3], [2, 4]]], [[-1, 1]], [[0], [0]]).astype(float)  # both gates are 1/2
    array([[[0.5, 1.5],
            [1. , 2. ]]])
    """
    act, out = scalar_activation(activation)[0], scalar_activation(gate)[0]
    x, W1, W2, b1, b2, shape = _given(
        input, reduce_weight, expand_weight, reduce_bias, expand_bias, channels_last=channels_last
    )
    y = np.empty(x.shape, dtype=object)
    for n in range(len(x)):
        _, _, a = _reduced(x[n], W1, b1, act)
        for c in range(x.shape[1]):
            s = out(sum((W2[c, r] * a[r] for r in range(len(W1))), b2[c]))
            for p in range(x.shape[2]):
                y[n, c, p] = x[n, c, p] * s
    return _laid_out(y, shape, channels_last)


def _reduced(x: Precise, W1: Precise, b1: Precise, act: _Function) -> tuple[list[Number], list[Number], list[Number]]:
    """z, h and a of one sample."""
    C, P = x.shape
    z = [sum(x[c, p] for p in range(P)) / P for c in range(C)]
    h = [sum((W1[r, c] * z[c] for c in range(C)), b1[r]) for r in range(len(W1))]
    return z, h, [act(value) for value in h]


def squeeze_excitation_backward(
    grad_output: npt.ArrayLike,
    input: npt.ArrayLike,
    reduce_weight: npt.ArrayLike,
    expand_weight: npt.ArrayLike,
    reduce_bias: Optional = None,
    expand_bias: Optional = None,
    *,
    activation: str = "relu",
    gate: str = "sigmoid",
    channels_last: bool = False,
) -> tuple[Precise | None, ...]:
    """Cotangents of the five inputs, None for an absent bias.

    Parameters
    ----------
    grad_output, input, reduce_weight, expand_weight, reduce_bias, expand_bias : array_like of int, float or Fraction
        Of the shapes that :func:`attn_ref.squeeze_excitation_backward` takes; every number is meant exactly. None for
        what is absent.
    activation, gate, channels_last
        As in :func:`attn_ref.squeeze_excitation_backward`.

    Returns
    -------
    tuple of ndarray of mpf
        The cotangents of the five inputs, to 50 digits; None for an absent bias.

    Raises
    ------
    TypeError, ValueError
        If something is no number, NaN or infinite, or if the shapes do not fit.

    Examples
    --------
    >>> grads = squeeze_excitation_backward([[[1, 1], [1, 1]]], [[[1, 3], [2, 4]]], [[-1, 1]], [[0], [0]])
    >>> grads[0].astype(float), grads[2].astype(float)
    (array([[[0.5, 0.5],
            [0.5, 0.5]]]), array([[1. ],
           [1.5]]))
    """
    act, act1, _ = scalar_activation(activation)
    out, out1, _ = scalar_activation(gate)
    x, W1, W2, b1, b2, shape = _given(
        input, reduce_weight, expand_weight, reduce_bias, expand_bias, channels_last=channels_last
    )
    dy = _in_a_row(to_precise(grad_output, "grad_output"), channels_last)
    N, C, P = x.shape
    R = len(W1)
    dx, dW1, dW2, db1, db2 = (_zeros(a.shape) for a in (x, W1, W2, b1, b2))
    for n in range(N):
        z, h, a = _reduced(x[n], W1, b1, act)
        u = [sum((W2[c, r] * a[r] for r in range(R)), b2[c]) for c in range(C)]
        du = [out1(u[c]) * sum(dy[n, c, p] * x[n, c, p] for p in range(P)) for c in range(C)]
        dh = [act1(h[r]) * sum(du[c] * W2[c, r] for c in range(C)) for r in range(R)]
        for c in range(C):
            db2[c] += du[c]
            for r in range(R):
                dW2[c, r] += du[c] * a[r]
            dz = sum(dh[r] * W1[r, c] for r in range(R))
            for p in range(P):
                dx[n, c, p] = dy[n, c, p] * out(u[c]) + dz / P
        for r in range(R):
            db1[r] += dh[r]
            for c in range(C):
                dW1[r, c] += dh[r] * z[c]
    biases = (None if reduce_bias is None else db1, None if expand_bias is None else db2)
    return (_laid_out(dx, shape, channels_last), dW1, dW2, *biases)


def squeeze_excitation_jvp(
    input: npt.ArrayLike,
    reduce_weight: npt.ArrayLike,
    expand_weight: npt.ArrayLike,
    reduce_bias: Optional,
    expand_bias: Optional,
    input_tangent: npt.ArrayLike,
    reduce_weight_tangent: npt.ArrayLike,
    expand_weight_tangent: npt.ArrayLike,
    reduce_bias_tangent: Optional = None,
    expand_bias_tangent: Optional = None,
    *,
    activation: str = "relu",
    gate: str = "sigmoid",
    channels_last: bool = False,
) -> Precise:
    """Tangent of the output: the definition on dual numbers.

    Parameters
    ----------
    input, reduce_weight, expand_weight, reduce_bias, expand_bias : array_like
        The inputs, numbers that are meant exactly.
    input_tangent, reduce_weight_tangent, expand_weight_tangent, reduce_bias_tangent, expand_bias_tangent : array_like
        Of the shapes that :func:`attn_ref.squeeze_excitation_jvp` takes; every number is meant exactly. None for what
        is absent.
    activation, gate, channels_last
        As in :func:`attn_ref.squeeze_excitation_jvp`.

    Returns
    -------
    ndarray of mpf
        The tangent of the output, to 50 digits.

    Raises
    ------
    TypeError, ValueError
        If something is no number, NaN or infinite, or if the shapes do not fit.

    Examples
    --------
    >>> image, zeros = [[[1, 3], [2, 4]]], [[[0, 0], [0, 0]]]
    >>> tangents = zeros, [[0, 0]], [[1], [0]]  # the first gate opens
    >>> squeeze_excitation_jvp(image, [[-1, 1]], [[0], [0]], None, None, *tangents).astype(float)
    array([[[0.25, 0.75],
            [0.  , 0.  ]]])
    """
    act, act1, _ = scalar_activation(activation)
    out, out1, _ = scalar_activation(gate)
    primals = _given(input, reduce_weight, expand_weight, reduce_bias, expand_bias, channels_last=channels_last)
    tangents = _given(
        input_tangent, reduce_weight_tangent, expand_weight_tangent, reduce_bias_tangent, expand_bias_tangent,
        channels_last=channels_last, like=primals,
    )  # fmt: skip
    duals = [_paired(a, b) for a, b in zip(primals[:5], tangents[:5], strict=True)]
    y = _definition(duals, _lifted(act, act1), _lifted(out, out1))
    return _laid_out(_slopes(y), primals[5], channels_last)


def squeeze_excitation_double_backward(
    grad_grad_input: npt.ArrayLike,
    grad_grad_reduce_weight: npt.ArrayLike,
    grad_grad_expand_weight: npt.ArrayLike,
    grad_grad_reduce_bias: Optional,
    grad_grad_expand_bias: Optional,
    grad_output: npt.ArrayLike,
    input: npt.ArrayLike,
    reduce_weight: npt.ArrayLike,
    expand_weight: npt.ArrayLike,
    reduce_bias: Optional = None,
    expand_bias: Optional = None,
    *,
    activation: str = "relu",
    gate: str = "sigmoid",
    channels_last: bool = False,
) -> tuple[Precise | None, ...]:
    """Cotangents of grad_output and the five inputs, None for an absent bias.

    Parameters
    ----------
    grad_grad_input, grad_grad_reduce_weight, grad_grad_expand_weight : array_like
        Cotangents of the results of the backward pass, numbers that are meant exactly.
    grad_grad_reduce_bias, grad_grad_expand_bias : array_like or None
        Likewise; None for an absent bias.
    grad_output, input, reduce_weight, expand_weight, reduce_bias, expand_bias : array_like
        Of the shapes that :func:`attn_ref.squeeze_excitation_double_backward` takes; every number is meant exactly.
        None for what is absent.
    activation, gate, channels_last
        As in :func:`attn_ref.squeeze_excitation_double_backward`.

    Returns
    -------
    tuple of ndarray of mpf
        The cotangents of grad_output and of the five inputs, to 50 digits; None for an absent bias.

    Raises
    ------
    TypeError, ValueError
        If something is no number, NaN or infinite, or if the shapes do not fit.

    Examples
    --------
    >>> image, zeros = [[[1, 3], [2, 4]]], [[[0, 0], [0, 0]]]
    >>> W1, W2, opening = [[-1, 1]], [[0], [0]], [[1], [0]]
    >>> second = squeeze_excitation_double_backward(zeros, [[0, 0]], opening, None, None, image, image, W1, W2)
    >>> second[0].astype(float)  # of grad_output: what the jvp gives in that direction
    array([[[0.25, 0.75],
            [0.  , 0.  ]]])
    """
    given = (input, reduce_weight, expand_weight, reduce_bias, expand_bias)
    directions = (
        grad_grad_input, grad_grad_reduce_weight, grad_grad_expand_weight, grad_grad_reduce_bias, grad_grad_expand_bias,
    )  # fmt: skip
    options = {"activation": activation, "gate": gate, "channels_last": channels_last}
    primals = _given(*given, channels_last=channels_last)
    tangents = _given(*directions, channels_last=channels_last, like=primals)
    dy = _in_a_row(to_precise(grad_output, "grad_output"), channels_last)
    act, out = _twice(activation), _twice(gate)
    results: list[Precise | None] = [squeeze_excitation_jvp(*given, *directions, **options)]  # type: ignore[arg-type]
    for i, original in enumerate(given):
        if original is None:
            results.append(None)
            continue
        cotangent = _zeros(primals[i].shape)
        for place in np.ndindex(primals[i].shape):
            # the jvp along the direction, at the point moved by ε in this one element: numbers (a + bδ) + (c + dδ)ε
            nested = [
                _nested(a, b, place if j == i else None)
                for j, (a, b) in enumerate(zip(primals[:5], tangents[:5], strict=True))
            ]
            y = _definition(nested, act, out)
            cotangent[place] = sum((dy[k] * y[k].slope.slope for k in np.ndindex(dy.shape)), context().mpf(0))
        results.append(_laid_out(cotangent, primals[5], channels_last) if i == 0 else cotangent)
    return tuple(results)


def _definition(
    given: Sequence[Precise],
    act: Callable[[Any], Any],
    out: Callable[[Any], Any],
) -> Precise:
    """The block on numbers that can be added and multiplied, such as dual ones."""
    x, W1, W2, b1, b2 = given
    N, C, P = x.shape
    part = _constant_like(x.flat[0] if x.size else b1.flat[0], context().mpf(1) / P)
    y = np.empty(x.shape, dtype=object)
    for n in range(N):
        z = [_total(x[n, c, p] for p in range(P)) * part for c in range(C)]
        a = [act(_total([b1[r], *(W1[r, c] * z[c] for c in range(C))])) for r in range(len(W1))]
        for c in range(C):
            s = out(_total([b2[c], *(W2[c, r] * a[r] for r in range(len(W1)))]))
            for p in range(P):
                y[n, c, p] = x[n, c, p] * s
    return y


def _total(terms: Any) -> Any:
    first, *others = terms
    for term in others:
        first = first + term
    return first


def _constant_like(number: Any, value: Number) -> Any:
    """A constant as a dual number, of as many levels as another."""
    if not isinstance(number, _Dual):
        return value
    zero = _constant_like(number.slope, context().mpf(0))
    return _Dual(_constant_like(number.value, value), zero)


def _twice(name: str) -> Callable[[Any], Any]:
    """An activation on dual numbers of dual numbers."""
    f, f1, f2 = scalar_activation(name)
    inner, inner1 = _lifted(f, f1), _lifted(f1, f2)
    return lambda x: _Dual(inner(x.value), inner1(x.value) * x.slope)


def _paired(values: Precise, slopes: Precise) -> Precise:
    result = np.empty(values.shape, dtype=object)
    for place in np.ndindex(values.shape):
        result[place] = _Dual(values[place], slopes[place])
    return result


def _nested(values: Precise, slopes: Precise, moved: tuple[int, ...] | None) -> Precise:
    """(value + ε at the moved place) + (slope) δ, as dual numbers in δ of dual numbers in ε."""
    mp = context()
    result = np.empty(values.shape, dtype=object)
    for place in np.ndindex(values.shape):
        at = _Dual(values[place], mp.mpf(1 if place == moved else 0))
        result[place] = _Dual(at, _Dual(slopes[place], mp.mpf(0)))
    return result


def _slopes(numbers: Precise) -> Precise:
    result = np.empty(numbers.shape, dtype=object)
    for place in np.ndindex(numbers.shape):
        result[place] = numbers[place].slope
    return result


def _given(
    input: npt.ArrayLike,
    reduce_weight: npt.ArrayLike,
    expand_weight: npt.ArrayLike,
    reduce_bias: Optional,
    expand_bias: Optional,
    *,
    channels_last: bool,
    like: tuple[Any, ...] | None = None,
) -> tuple[Any, ...]:
    """The five as 50-digit numbers, zeros for an absent bias, pixels in a row; and the shape of the image."""
    image = to_precise(input, "input")
    W1, W2 = to_precise(reduce_weight, "reduce_weight"), to_precise(expand_weight, "expand_weight")
    b1 = _zeros((len(W1),)) if reduce_bias is None else to_precise(reduce_bias, "reduce_bias")
    b2 = _zeros((len(W2),)) if expand_bias is None else to_precise(expand_bias, "expand_bias")
    given = (_in_a_row(image, channels_last), W1, W2, b1, b2, image.shape)
    for array, other in zip(given[:5], like[:5] if like else given[:5], strict=True):
        if array.shape != other.shape:
            raise ValueError(f"a tangent has shape {array.shape}, expected {other.shape}")
    if W1.shape != (W2.shape[1], given[0].shape[1]) or len(W2) != given[0].shape[1]:
        raise ValueError(f"weights of shapes {W1.shape} and {W2.shape} do not fit an image of shape {image.shape}")
    return given


def _in_a_row(image: Precise, channels_last: bool) -> Precise:
    """(N, C, …) or (N, …, C) to (N, C, P)."""
    if channels_last:
        image = np.moveaxis(image, -1, 1)
    return image.reshape(*image.shape[:2], int(np.prod(image.shape[2:])))


def _laid_out(image: Precise, shape: tuple[int, ...], channels_last: bool) -> Precise:
    """(N, C, P) back to the layout of the input."""
    if channels_last:
        return np.moveaxis(image.reshape(shape[0], shape[-1], *shape[1:-1]), 1, -1)
    return image.reshape(shape)


def _zeros(shape: tuple[int, ...]) -> Precise:
    return np.full(shape, context().mpf(0), dtype=object)
