"""Linear layers, convolutions and pooling, written as the sums that define them.

A window of a convolution or a pool visits the pixel

    row = stride · h + dilation · i − padding

with its tap i at the output h, and the columns likewise. `_visits` says for every output which taps meet a pixel of the
image; the rest falls on the padding: zeros for sums, nothing for a maximum. Forward and backward run over the same
visits, one reading where the other adds.
"""

from collections.abc import Sequence
from itertools import product
from typing import NamedTuple

import numpy.typing as npt

from attn_ref.exact.rationals import FractionArray, ensure_shape, to_fractions, zeros

__all__ = [
    "Conv2dCotangents",
    "LinearCotangents",
    "avg_pool2d",
    "avg_pool2d_backward",
    "conv2d",
    "conv2d_backward",
    "global_avg_pool",
    "global_avg_pool_backward",
    "linear",
    "linear_backward",
    "max_pool2d",
    "max_pool2d_backward",
]

IntOrPair = int | Sequence[int]


class LinearCotangents(NamedTuple):
    """Cotangents of the inputs of `linear`; None for an absent bias."""

    input: FractionArray
    weight: FractionArray
    bias: FractionArray | None


class Conv2dCotangents(NamedTuple):
    """Cotangents of the inputs of `conv2d`; None for an absent bias."""

    input: FractionArray
    weight: FractionArray
    bias: FractionArray | None


def linear(input: npt.ArrayLike, weight: npt.ArrayLike, bias: npt.ArrayLike | None = None) -> FractionArray:
    """y[n, o] = b[o] + Σ_i weight[o, i] input[n, i]; arguments as in :func:`attn_ref.linear`.

    Parameters
    ----------
    input, weight, bias : array_like of int, float or Fraction
        Of the shapes that :func:`attn_ref.linear` takes; every number is meant exactly. None for what is absent.

    Returns
    -------
    ndarray of Fraction
        The output, exactly.

    Raises
    ------
    TypeError, ValueError
        If something is no number, NaN or infinite, or if the shapes do not fit.

    Examples
    --------
    >>> linear([[1, 2]], [[10, 1]]).astype(float)
    array([[12.]])
    """
    x, W = to_fractions(input, "input"), to_fractions(weight, "weight")
    output = _biased((len(x), len(W)), bias)
    for n, o, i in product(range(len(x)), *map(range, W.shape)):
        output[n, o] += W[o, i] * x[n, i]
    return output


def linear_backward(
    grad_output: npt.ArrayLike, input: npt.ArrayLike, weight: npt.ArrayLike, bias: npt.ArrayLike | None = None
) -> LinearCotangents:
    """Hand each product's cotangent to its two factors.

    Parameters
    ----------
    grad_output, input, weight, bias : array_like of int, float or Fraction
        Of the shapes that :func:`attn_ref.linear_backward` takes; every number is meant exactly. None for what is
        absent.

    Returns
    -------
    tuple of ndarray of Fraction
        The cotangents of input, weight and bias, exactly; None for an absent bias.

    Raises
    ------
    TypeError, ValueError
        If something is no number, NaN or infinite, or if the shapes do not fit.

    Examples
    --------
    >>> grads = linear_backward([[1]], [[1, 2]], [[10, 1]])
    >>> grads[0].astype(float), grads[1].astype(float)
    (array([[10.,  1.]]), array([[1., 2.]]))
    """
    x, W = to_fractions(input, "input"), to_fractions(weight, "weight")
    dy = _check_like(grad_output, (len(x), len(W)))
    dx, dW, db = zeros(x.shape), zeros(W.shape), zeros((len(W),))
    for n, o in product(*map(range, dy.shape)):
        db[o] += dy[n, o]
        for i in range(x.shape[1]):
            dx[n, i] += dy[n, o] * W[o, i]
            dW[o, i] += dy[n, o] * x[n, i]
    return LinearCotangents(dx, dW, None if bias is None else db)


def conv2d(
    input: npt.ArrayLike,
    weight: npt.ArrayLike,
    bias: npt.ArrayLike | None = None,
    *,
    stride: IntOrPair = 1,
    padding: IntOrPair = 0,
    dilation: IntOrPair = 1,
    groups: int = 1,
) -> FractionArray:
    """y[n, o, h, w] = b[o] + Σ_cij weight[o, c, i, j] x[n, c, row, column]; arguments as in :func:`attn_ref.conv2d`.

    Parameters
    ----------
    input, weight, bias : array_like of int, float or Fraction
        Of the shapes that :func:`attn_ref.conv2d` takes; every number is meant exactly. None for what is absent.
    stride, padding, dilation, groups
        As in :func:`attn_ref.conv2d`.

    Returns
    -------
    ndarray of Fraction
        The output, exactly.

    Raises
    ------
    TypeError, ValueError
        If something is no number, NaN or infinite, or if the shapes do not fit.

    Examples
    --------
    >>> conv2d([[[[1, 4, 9]]]], [[[[-1, 1]]]]).astype(float)
    array([[[[3., 5.]]]])
    """
    x, W = to_fractions(input, "input"), to_fractions(weight, "weight")
    visits = _visits(x.shape[2:], W.shape[2:], stride, padding, dilation)
    output = _biased((len(x), len(W), *_size(x.shape[2:], W.shape[2:], stride, padding, dilation)), bias)
    for n, o, k in product(range(len(x)), range(len(W)), range(W.shape[1])):
        for out, tap, pixel in visits:
            output[n, o, *out] += W[o, k, *tap] * x[n, _channel(o, k, W.shape, groups), *pixel]
    return output


def conv2d_backward(
    grad_output: npt.ArrayLike,
    input: npt.ArrayLike,
    weight: npt.ArrayLike,
    bias: npt.ArrayLike | None = None,
    *,
    stride: IntOrPair = 1,
    padding: IntOrPair = 0,
    dilation: IntOrPair = 1,
    groups: int = 1,
) -> Conv2dCotangents:
    """Hand each product's cotangent to its two factors.

    Parameters
    ----------
    grad_output, input, weight, bias : array_like of int, float or Fraction
        Of the shapes that :func:`attn_ref.conv2d_backward` takes; every number is meant exactly. None for what is
        absent.
    stride, padding, dilation, groups
        As in :func:`attn_ref.conv2d_backward`.

    Returns
    -------
    tuple of ndarray of Fraction
        The cotangents of input, weight and bias, exactly; None for an absent bias.

    Raises
    ------
    TypeError, ValueError
        If something is no number, NaN or infinite, or if the shapes do not fit.

    Examples
    --------
    >>> grads = conv2d_backward([[[[1, 0]]]], [[[[1, 4, 9]]]], [[[[-1, 1]]]])
    >>> grads[0].astype(float), grads[1].astype(float)
    (array([[[[-1.,  1.,  0.]]]]), array([[[[1., 4.]]]]))
    """
    x, W = to_fractions(input, "input"), to_fractions(weight, "weight")
    space = _size(x.shape[2:], W.shape[2:], stride, padding, dilation)
    dy = _check_like(grad_output, (len(x), len(W), *space))
    dx, dW, db = zeros(x.shape), zeros(W.shape), zeros((len(W),))
    for n, o in product(range(len(x)), range(len(W))):
        for out in product(*map(range, space)):
            db[o] += dy[n, o, *out]
        for k in range(W.shape[1]):
            c = _channel(o, k, W.shape, groups)
            for out, tap, pixel in _visits(x.shape[2:], W.shape[2:], stride, padding, dilation):
                dx[n, c, *pixel] += dy[n, o, *out] * W[o, k, *tap]
                dW[o, k, *tap] += dy[n, o, *out] * x[n, c, *pixel]
    return Conv2dCotangents(dx, dW, None if bias is None else db)


def max_pool2d(
    input: npt.ArrayLike, kernel_size: IntOrPair, *, stride: IntOrPair | None = None, padding: IntOrPair = 0
) -> FractionArray:
    """Take the largest pixel of each window; arguments as in :func:`attn_ref.max_pool2d`.

    Parameters
    ----------
    input : array_like of int, float or Fraction
        Of the shapes that :func:`attn_ref.max_pool2d` takes; every number is meant exactly.
    kernel_size, stride, padding
        As in :func:`attn_ref.max_pool2d`.

    Returns
    -------
    ndarray of Fraction
        The output, exactly.

    Raises
    ------
    TypeError, ValueError
        If something is no number, NaN or infinite, or if the shapes do not fit.

    Examples
    --------
    >>> max_pool2d([[[[1, 2, 3]]]], (1, 3))
    array([[[[Fraction(3, 1)]]]], dtype=object)
    """
    x = to_fractions(input, "input")
    s = kernel_size if stride is None else stride
    output = zeros((*x.shape[:2], *_size(x.shape[2:], _pair(kernel_size), s, padding, 1)))
    for n, c in product(*map(range, x.shape[:2])):
        for out, pixel in _chosen(x[n, c], kernel_size, s, padding).items():
            output[n, c, *out] = x[n, c, *pixel]
    return output


def max_pool2d_backward(
    grad_output: npt.ArrayLike,
    input: npt.ArrayLike,
    kernel_size: IntOrPair,
    *,
    stride: IntOrPair | None = None,
    padding: IntOrPair = 0,
) -> FractionArray:
    """Hand each window's cotangent to the first of its largest pixels.

    Parameters
    ----------
    grad_output, input : array_like of int, float or Fraction
        Of the shapes that :func:`attn_ref.max_pool2d_backward` takes; every number is meant exactly.
    kernel_size, stride, padding
        As in :func:`attn_ref.max_pool2d_backward`.

    Returns
    -------
    ndarray of Fraction
        The cotangent of the input, exactly.

    Raises
    ------
    TypeError, ValueError
        If something is no number, NaN or infinite, or if the shapes do not fit.

    Examples
    --------
    >>> max_pool2d_backward([[[[5]]]], [[[[1, 7, 7]]]], (1, 3)).astype(float)  # the first of equal ones
    array([[[[0., 5., 0.]]]])
    """
    x = to_fractions(input, "input")
    s = kernel_size if stride is None else stride
    dy = _check_like(grad_output, (*x.shape[:2], *_size(x.shape[2:], _pair(kernel_size), s, padding, 1)))
    dx = zeros(x.shape)
    for n, c in product(*map(range, x.shape[:2])):
        for out, pixel in _chosen(x[n, c], kernel_size, s, padding).items():
            dx[n, c, *pixel] += dy[n, c, *out]
    return dx


def _chosen(
    plane: FractionArray, kernel_size: IntOrPair, stride: IntOrPair, padding: IntOrPair
) -> dict[tuple[int, int], tuple[int, int]]:
    """For each output the pixel of its window that is larger than all before it and not smaller than any after it."""
    best: dict[tuple[int, int], tuple[int, int]] = {}
    for out, _, pixel in _visits(plane.shape, _pair(kernel_size), stride, padding, 1):
        if out not in best or plane[pixel] > plane[best[out]]:
            best[out] = pixel
    return best


def avg_pool2d(
    input: npt.ArrayLike, kernel_size: IntOrPair, *, stride: IntOrPair | None = None, padding: IntOrPair = 0
) -> FractionArray:
    """Σ of each window, divided by the number of its taps; arguments as in :func:`attn_ref.avg_pool2d`.

    Parameters
    ----------
    input : array_like of int, float or Fraction
        Of the shapes that :func:`attn_ref.avg_pool2d` takes; every number is meant exactly.
    kernel_size, stride, padding
        As in :func:`attn_ref.avg_pool2d`.

    Returns
    -------
    ndarray of Fraction
        The output, exactly.

    Raises
    ------
    TypeError, ValueError
        If something is no number, NaN or infinite, or if the shapes do not fit.

    Examples
    --------
    >>> avg_pool2d([[[[1, 2, 3]]]], (1, 3))
    array([[[[Fraction(2, 1)]]]], dtype=object)
    """
    x, kernel = to_fractions(input, "input"), _pair(kernel_size)
    s = kernel_size if stride is None else stride
    output = zeros((*x.shape[:2], *_size(x.shape[2:], kernel, s, padding, 1)))
    for n, c in product(*map(range, x.shape[:2])):
        for out, _, pixel in _visits(x.shape[2:], kernel, s, padding, 1):
            output[n, c, *out] += x[n, c, *pixel] / (kernel[0] * kernel[1])
    return output


def avg_pool2d_backward(
    grad_output: npt.ArrayLike,
    input: npt.ArrayLike,
    kernel_size: IntOrPair,
    *,
    stride: IntOrPair | None = None,
    padding: IntOrPair = 0,
) -> FractionArray:
    """Hand to each pixel its part of the cotangent of every window that it is in.

    Parameters
    ----------
    grad_output, input : array_like of int, float or Fraction
        Of the shapes that :func:`attn_ref.avg_pool2d_backward` takes; every number is meant exactly.
    kernel_size, stride, padding
        As in :func:`attn_ref.avg_pool2d_backward`.

    Returns
    -------
    ndarray of Fraction
        The cotangent of the input, exactly.

    Raises
    ------
    TypeError, ValueError
        If something is no number, NaN or infinite, or if the shapes do not fit.

    Examples
    --------
    >>> avg_pool2d_backward([[[[1]]]], [[[[1, 2, 3]]]], (1, 3))
    array([[[[Fraction(1, 3), Fraction(1, 3), Fraction(1, 3)]]]], dtype=object)
    """
    x, kernel = to_fractions(input, "input"), _pair(kernel_size)
    s = kernel_size if stride is None else stride
    dy = _check_like(grad_output, (*x.shape[:2], *_size(x.shape[2:], kernel, s, padding, 1)))
    dx = zeros(x.shape)
    for n, c in product(*map(range, x.shape[:2])):
        for out, _, pixel in _visits(x.shape[2:], kernel, s, padding, 1):
            dx[n, c, *pixel] += dy[n, c, *out] / (kernel[0] * kernel[1])
    return dx


def global_avg_pool(input: npt.ArrayLike) -> FractionArray:
    """Σ of all pixels of a channel, divided by their number; arguments as in :func:`attn_ref.global_avg_pool`.

    Parameters
    ----------
    input : array_like of int, float or Fraction
        Of the shapes that :func:`attn_ref.global_avg_pool` takes; every number is meant exactly.

    Returns
    -------
    ndarray of Fraction
        The output, exactly.

    Raises
    ------
    TypeError, ValueError
        If something is no number, NaN or infinite, or if the shapes do not fit.

    Examples
    --------
    >>> global_avg_pool([[[[1, 0, 0]]]])
    array([[Fraction(1, 3)]], dtype=object)
    """
    x = to_fractions(input, "input")
    output = zeros(x.shape[:2])
    for n, c, *pixel in product(*map(range, x.shape)):
        output[n, c] += x[n, c, *pixel] / x[n, c].size
    return output


def global_avg_pool_backward(grad_output: npt.ArrayLike, input: npt.ArrayLike) -> FractionArray:
    """Hand to each pixel its part of the cotangent of its channel.

    Parameters
    ----------
    grad_output, input : array_like of int, float or Fraction
        Of the shapes that :func:`attn_ref.global_avg_pool_backward` takes; every number is meant exactly.

    Returns
    -------
    ndarray of Fraction
        The cotangent of the input, exactly.

    Raises
    ------
    TypeError, ValueError
        If something is no number, NaN or infinite, or if the shapes do not fit.

    Examples
    --------
    >>> global_avg_pool_backward([[1]], [[[[1, 0, 0]]]])
    array([[[[Fraction(1, 3), Fraction(1, 3), Fraction(1, 3)]]]], dtype=object)
    """
    x = to_fractions(input, "input")
    dy = _check_like(grad_output, x.shape[:2])
    dx = zeros(x.shape)
    for n, c, *pixel in product(*map(range, x.shape)):
        dx[n, c, *pixel] = dy[n, c] / x[n, c].size
    return dx


_Place = tuple[int, int]


def _visits(
    space: Sequence[int], kernel: Sequence[int], stride: IntOrPair, padding: IntOrPair, dilation: IntOrPair
) -> list[tuple[_Place, _Place, _Place]]:
    """List (output, tap, pixel) wherever a tap meets a pixel; for each output its taps row by row."""
    (s0, s1), (p0, p1), (d0, d1) = _pair(stride), _pair(padding), _pair(dilation)
    found = []
    for h, w in product(*map(range, _size(space, kernel, stride, padding, dilation))):
        for i, j in product(*map(range, kernel)):
            row, column = s0 * h + d0 * i - p0, s1 * w + d1 * j - p1
            if 0 <= row < space[0] and 0 <= column < space[1]:
                found.append(((h, w), (i, j), (row, column)))
    return found


def _size(
    space: Sequence[int], kernel: Sequence[int], stride: IntOrPair, padding: IntOrPair, dilation: IntOrPair
) -> tuple[int, ...]:
    """Count the windows that lie in the padded image, one after the other."""
    rules = zip(space, kernel, _pair(stride), _pair(padding), _pair(dilation), strict=True)
    return tuple(len(range(0, S + 2 * p - d * (k - 1), s)) for S, k, s, p, d in rules)


def _channel(o: int, k: int, weight: Sequence[int], groups: int) -> int:
    """The input channel that the k-th of output o's is, among its group's."""
    return o // (weight[0] // groups) * weight[1] + k


def _pair(value: IntOrPair) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else (value[0], value[1])


def _biased(shape: tuple[int, ...], bias: npt.ArrayLike | None) -> FractionArray:
    """An output of zeros, or of its channels' biases."""
    output = zeros(shape)
    if bias is not None:
        b = to_fractions(bias, "bias")
        ensure_shape(b, shape[1:2], "bias")
        for place in product(*map(range, shape)):
            output[place] += b[place[1]]
    return output


def _check_like(values: npt.ArrayLike, shape: Sequence[int]) -> FractionArray:
    exact = to_fractions(values, "grad_output")
    ensure_shape(exact, shape, "grad_output")
    return exact
