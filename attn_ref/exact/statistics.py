"""Batch normalisation and cross-entropy as literal loops over 50-digit numbers: a root and exponentials occur in them.

Batch normalisation is written for the list of a channel's values, with its backward pass as the chain rule says it, a
double sum: the output i depends on the value j directly, through the mean and through the variance.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from attn_ref.exact.precise import context, to_precise

__all__ = ["BatchNormCotangents", "batch_norm", "batch_norm_backward", "cross_entropy", "cross_entropy_backward"]

Number = Any
Precise = Any
Optional = npt.ArrayLike | None


class BatchNormCotangents(NamedTuple):
    """Cotangents of the inputs of `batch_norm`; None for an absent weight or bias."""

    input: Precise
    weight: Precise | None
    bias: Precise | None


def batch_norm(
    input: npt.ArrayLike,
    weight: Optional = None,
    bias: Optional = None,
    running_mean: Optional = None,
    running_var: Optional = None,
    *,
    training: bool,
    eps: float = 1e-5,
) -> Precise:
    """γ (x − μ) / √(v + ε) + β; arguments as in :func:`attn_ref.batch_norm`.

    Parameters
    ----------
    input, weight, bias, running_mean, running_var : array_like of int, float or Fraction
        Of the shapes that :func:`attn_ref.batch_norm` takes; every number is meant exactly. None for what is absent.
    training, eps
        As in :func:`attn_ref.batch_norm`.

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
    >>> batch_norm([[1], [3]], training=True, eps=0).astype(float)
    array([[-1.],
           [ 1.]])
    """
    x = to_precise(input, "input")
    C = x.shape[1]
    gamma, beta = _or(weight, 1, C), _or(bias, 0, C)
    statistics = _statistics(x, running_mean, running_var, training)
    y = np.empty(x.shape, dtype=object)
    for place in np.ndindex(x.shape):
        mean, variance = statistics[place[1]]
        y[place] = gamma[place[1]] * (x[place] - mean) * _inverse_root(variance, eps) + beta[place[1]]
    return y


def batch_norm_backward(
    grad_output: npt.ArrayLike,
    input: npt.ArrayLike,
    weight: Optional = None,
    bias: Optional = None,
    running_mean: Optional = None,
    running_var: Optional = None,
    *,
    training: bool,
    eps: float = 1e-5,
) -> BatchNormCotangents:
    """Cotangents of input, weight and bias.

    With r = (v + ε)^(−1/2) and M values x_i of a channel, ∂μ/∂x_j = 1/M, ∂v/∂x_j = 2 (x_j − μ)/M, so
    ∂r/∂x_j = −r³ (x_j − μ)/M and ∂y_i/∂x_j = γ ((δ_ij − 1/M) r + (x_i − μ) ∂r/∂x_j). With running statistics only
    δ_ij r is left in the parentheses.

    Parameters
    ----------
    grad_output, input, weight, bias, running_mean, running_var : array_like of int, float or Fraction
        Of the shapes that :func:`attn_ref.batch_norm_backward` takes; every number is meant exactly. None for what is
        absent.
    training, eps
        As in :func:`attn_ref.batch_norm_backward`.

    Returns
    -------
    tuple of ndarray of mpf
        The cotangents of input, weight and bias, to 50 digits; None for what is absent.

    Raises
    ------
    TypeError, ValueError
        If something is no number, NaN or infinite, or if the shapes do not fit.

    Examples
    --------
    >>> grads = batch_norm_backward([[1], [0], [0]], [[1], [3], [8]], training=True, eps=0)
    >>> bool(abs(grads[0].sum()) < 1e-45)  # a shift of all changes nothing
    True
    """
    x, dy = to_precise(input, "input"), to_precise(grad_output, "grad_output")
    mp, C = context(), x.shape[1]
    gamma = _or(weight, 1, C)
    statistics = _statistics(x, running_mean, running_var, training)
    dx, d_gamma, d_beta = (np.full(shape, mp.mpf(0), dtype=object) for shape in (x.shape, (C,), (C,)))
    for c, (mean, variance) in enumerate(statistics):
        r, places = _inverse_root(variance, eps), _places(x, c)
        M = len(places)
        for i in places:
            d_beta[c] += dy[i]
            d_gamma[c] += dy[i] * (x[i] - mean) * r
            for j in places:
                slope = r if i == j else mp.mpf(0)
                if training:
                    slope += -r / M - (x[i] - mean) * r**3 * (x[j] - mean) / M
                dx[j] += dy[i] * gamma[c] * slope
    return BatchNormCotangents(dx, None if weight is None else d_gamma, None if bias is None else d_beta)


def cross_entropy(logits: npt.ArrayLike, labels: Sequence[int], *, reduction: str = "mean") -> Precise:
    """−log (exp z_t / Σ_j exp z_j); arguments as in :func:`attn_ref.cross_entropy`.

    Parameters
    ----------
    logits : array_like of int, float or Fraction
        Of the shapes that :func:`attn_ref.cross_entropy` takes; every number is meant exactly.
    labels, reduction
        As in :func:`attn_ref.cross_entropy`.

    Returns
    -------
    mpf, or ndarray of mpf
        The loss, to 50 digits.

    Raises
    ------
    TypeError, ValueError
        If something is no number, NaN or infinite, or if the shapes do not fit.

    Examples
    --------
    >>> print(cross_entropy([[0, 0]], [1]))  # ln 2
    0.69314718055994530941723212145817656807550013436025
    """
    z, mp = to_precise(logits, "logits"), context()
    losses = np.empty(len(z), dtype=object)
    for n, label in enumerate(labels):
        losses[n] = -mp.log(_softmax(z[n])[int(label)])
    return losses if reduction == "none" else np.array(_REDUCTIONS[reduction](list(losses)), dtype=object)


def cross_entropy_backward(
    grad_output: npt.ArrayLike, logits: npt.ArrayLike, labels: Sequence[int], *, reduction: str = "mean"
) -> Precise:
    """dz_k = g (p_k − [k = t]), g being the cotangent of the sample's loss.

    Parameters
    ----------
    grad_output, logits : array_like of int, float or Fraction
        Of the shapes that :func:`attn_ref.cross_entropy_backward` takes; every number is meant exactly.
    labels, reduction
        As in :func:`attn_ref.cross_entropy_backward`.

    Returns
    -------
    ndarray of mpf
        The cotangent of the logits, to 50 digits.

    Raises
    ------
    TypeError, ValueError
        If something is no number, NaN or infinite, or if the shapes do not fit.

    Examples
    --------
    >>> cross_entropy_backward(1, [[0, 0]], [1]).astype(float)
    array([[ 0.5, -0.5]])
    """
    z, u = to_precise(logits, "logits"), to_precise(grad_output, "grad_output")
    dz = np.empty(z.shape, dtype=object)
    for n, label in enumerate(labels):
        g = u[n] if reduction == "none" else u[()]
        if reduction == "mean":
            g = g / len(z)
        for k, p in enumerate(_softmax(z[n])):
            dz[n, k] = g * (p - (1 if k == int(label) else 0))
    return dz


_REDUCTIONS: dict[str, Callable[[list[Number]], Number]] = {
    "sum": lambda losses: sum(losses, context().mpf(0)),
    "mean": lambda losses: sum(losses, context().mpf(0)) / len(losses),
}


def _softmax(z: Precise) -> list[Number]:
    powers = [context().exp(value) for value in z]
    total = sum(powers)
    return [power / total for power in powers]


def _statistics(
    x: Precise, running_mean: Optional, running_var: Optional, training: bool
) -> list[tuple[Number, Number]]:
    """Mean and variance of each channel: the batch's own, or the given ones."""
    if not training:
        return list(zip(to_precise(running_mean, "running_mean"), to_precise(running_var, "running_var"), strict=True))
    result = []
    for c in range(x.shape[1]):
        values = [x[place] for place in _places(x, c)]
        mean = sum(values) / len(values)
        result.append((mean, sum((value - mean) ** 2 for value in values) / len(values)))
    return result


def _places(x: Precise, c: int) -> list[tuple[int, ...]]:
    """All places of a channel."""
    return [place for place in np.ndindex(x.shape) if place[1] == c]


def _inverse_root(variance: Number, eps: float) -> Number:
    mp = context()
    return 1 / mp.sqrt(variance + to_precise(eps)[()])


def _or(values: Optional, otherwise: int, count: int) -> Precise:
    """The given numbers, or as many of the same."""
    return np.full(count, context().mpf(otherwise), dtype=object) if values is None else to_precise(values)
