"""Batch normalisation: bring every channel to mean 0 and variance 1, then to a learned mean and variance.

For a channel (everything below is one channel's; there are M = N·P values of it in a batch of N samples of P pixels)

    x̂ = (x − μ) r,      r = 1 / √(v + ε),      y = γ x̂ + β

with weight γ and bias β [1]_. In *training* μ and v are the mean and the variance of the batch itself,

    μ = Σ x / M,        v = Σ (x − μ)² / M                                         (1)

the *biased* variance, divided by M. In *evaluation* they are the running statistics, constants. Those are moved towards
the batch's by a step of training, with the *unbiased* variance M v / (M − 1), as in PyTorch:

    running ← (1 − momentum) · running + momentum · batch's                        (2)

The derivation
--------------
A dot is a tangent, dy a cotangent (see :mod:`attn_ref.ops.sampling` for the notation), ⟨·⟩ the mean over the batch. In
evaluation y is linear in x: ẏ = γ r ẋ. In training μ and v move with x: μ̇ = ⟨ẋ⟩ and v̇ = 2 ⟨(x − μ) ẋ⟩, since ⟨x − μ⟩ is
0. From ṙ = −r³ v̇ / 2 follows (x − μ) ṙ = −x̂ r ⟨x̂ ẋ⟩, so that

    ẏ = γ r (ẋ − ⟨ẋ⟩ − x̂ ⟨x̂ ẋ⟩) + γ̇ x̂ + β̇                                        (3)

The map of ẋ takes away the parts along 1 and along x̂. It is symmetric, so it is its own transpose:

    backward   training    dx = γ r (dy − ⟨dy⟩ − x̂ ⟨x̂ dy⟩)
               evaluation  dx = γ r dy                                             (4)
               both        dγ = Σ x̂ dy        dβ = Σ dy

.. [1] S. Ioffe, C. Szegedy, "Batch Normalization", ICML 2015, algorithm 1; its backward pass is in section 3.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, prod
from typing import NamedTuple

from attn_ref import validation
from attn_ref.backend import Array
from attn_ref.validation import Numbers

__all__ = [
    "BatchNormCotangents",
    "BatchNormStatistics",
    "batch_norm",
    "batch_norm_backward",
    "batch_norm_statistics",
]


class BatchNormCotangents(NamedTuple):
    """Cotangents of the inputs of :func:`batch_norm`, each with its input's shape and dtype; None for an absent one.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.array([[1.0], [3.0]])
    >>> batch_norm_backward(x, x, bias=np.array([0.0]), training=True).bias  # the sum of grad_output
    array([4.])
    """

    input: Array
    weight: Array | None
    bias: Array | None


class BatchNormStatistics(NamedTuple):
    """The running statistics after a step of training.

    Examples
    --------
    >>> import numpy as np
    >>> mean, var = batch_norm_statistics(np.array([[1.0], [3.0]]), np.array([0.0]), np.array([1.0]))
    >>> float(mean[0]), float(var[0])  # a tenth of the way to the batch's 2 and 2
    (0.2, 1.1)
    """

    running_mean: Array
    running_var: Array


def batch_norm(
    input: Array,
    weight: Array | None = None,
    bias: Array | None = None,
    running_mean: Array | None = None,
    running_var: Array | None = None,
    *,
    training: bool,
    eps: float = 1e-5,
) -> Array:
    """Normalise each channel.

    Parameters
    ----------
    input : array, shape (N, C, …)
        The samples, with any number of spatial axes, none included. float64, float32 or float16.
    weight, bias : array, shape (C,), optional
        γ, by default 1, and β, by default 0.
    running_mean, running_var : array, shape (C,), optional
        The statistics to normalise with in evaluation, where they are required. In training they are checked but not
        used; :func:`batch_norm_statistics` moves them.
    training : bool
        Whether to normalise with the statistics of the batch. There is no default: forgetting it is the usual mistake.
    eps : float
        Added to the variance; positive.

    Returns
    -------
    array, shape of input
        γ x̂ + β.

    Raises
    ------
    TypeError
        If an argument is not an array of a supported library, the arrays differ in dtype, library or device, training
        is not a bool, or eps not a number.
    ValueError
        If the shapes do not fit, eps is not positive, running statistics are missing in evaluation, or a channel has a
        single value in training, whose variance says nothing.

    See Also
    --------
    batch_norm_backward : The derivative.
    batch_norm_statistics : The running statistics.

    Notes
    -----
    In training the samples of a batch depend on one another: a NaN in one of them spoils its channel in all. A channel
    of constant value gives β (the variance is 0, and ε keeps the quotient finite). The mean is taken away before
    squares are summed, so that a large mean costs no digits.

    Examples
    --------
    >>> import numpy as np
    >>> batch_norm(np.array([[1.0], [3.0]]), training=True, eps=1e-12)
    array([[-1.],
           [ 1.]])
    """
    arrays = {"input": input, "weight": weight, "bias": bias, "running_mean": running_mean, "running_var": running_var}
    call, training, eps = _call(arrays, training, eps)
    with call.backend.quiet():
        y = _normalised(call, training, eps).x_hat
        if weight is not None:
            y *= call["weight"][:, None]
        if bias is not None:
            y += call["bias"][:, None]
        return call.finish(y.reshape(input.shape))


def batch_norm_backward(
    grad_output: Array,
    input: Array,
    weight: Array | None = None,
    bias: Array | None = None,
    running_mean: Array | None = None,
    running_var: Array | None = None,
    *,
    training: bool,
    eps: float = 1e-5,
) -> BatchNormCotangents:
    """Pull a cotangent of the output back to the input, the weight and the bias.

    Parameters
    ----------
    grad_output : array, shape of input
        Cotangent of the output.
    input, weight, bias, running_mean, running_var
        As in :func:`batch_norm`.
    training, eps
        As in :func:`batch_norm`.

    Returns
    -------
    BatchNormCotangents
        Equations (4) above, by the names of the inputs; None for an absent weight or bias. The running statistics are
        constants and have none.

    Raises
    ------
    TypeError, ValueError
        As in :func:`batch_norm`; ``grad_output`` is checked like an input.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.array([[1.0], [3.0], [8.0]])
    >>> grads = batch_norm_backward(np.array([[1.0], [0.0], [0.0]]), x, np.array([2.0]), training=True)
    >>> bool(abs(grads.input.sum()) < 1e-15), bool(abs((grads.input * x).sum()) < 1e-5)  # a shift, a scale: no change
    (True, True)
    """
    arrays = {"input": input, "weight": weight, "bias": bias, "running_mean": running_mean, "running_var": running_var}
    call, training, eps = _call({**arrays, "grad_output": grad_output}, training, eps)
    xp = call.backend.xp
    dy = _rows(call["grad_output"])  # (N, C, P)
    with call.backend.quiet():
        at = _normalised(call, training, eps)
        d_beta = dy.sum(axis=(0, 2))  # (C,)
        d_gamma = xp.einsum("ncp,ncp->c", at.x_hat, dy)
        if training and at.count:
            dx = at.x_hat * (d_gamma / -at.count)[:, None]
            dx -= (d_beta / at.count)[:, None]
            dx += dy
        else:
            dx = dy.copy()
        dx *= (at.r if weight is None else at.r * call["weight"])[:, None]
        return BatchNormCotangents(
            call.finish(dx.reshape(input.shape)),
            None if weight is None else call.finish(d_gamma),
            None if bias is None else call.finish(d_beta),
        )


def batch_norm_statistics(
    input: Array, running_mean: Array, running_var: Array, *, momentum: float = 0.1
) -> BatchNormStatistics:
    """Move the running statistics towards those of a batch.

    Parameters
    ----------
    input : array, shape (N, C, …)
        The batch, as it is given to :func:`batch_norm`.
    running_mean, running_var : array, shape (C,)
        The statistics so far.
    momentum : float
        The weight of the batch, from 0 to 1.

    Returns
    -------
    BatchNormStatistics
        Equation (2) above, with the unbiased variance; fresh arrays.

    Raises
    ------
    TypeError
        As in :func:`batch_norm`, and if momentum is not a number.
    ValueError
        If the shapes do not fit, momentum is not between 0 and 1, or a channel has fewer than two values.

    Examples
    --------
    >>> import numpy as np
    >>> batch_norm_statistics(np.array([[1.0], [3.0]]), np.array([0.0]), np.array([1.0]), momentum=0.5)
    BatchNormStatistics(running_mean=array([1.]), running_var=array([1.5]))
    """
    call = _check_arrays({"input": input, "running_mean": running_mean, "running_var": running_var}, ())
    momentum = validation.real("momentum", momentum, "from 0 to 1", lambda value: 0 <= value <= 1)
    count = _count(input.shape)
    if count < 2:
        _few(input.shape, count)
    with call.backend.quiet():
        mean, variance, _ = _moments(call)
        variance *= count / (count - 1)
        of_mean = (1 - momentum) * call["running_mean"] + momentum * mean
        of_var = (1 - momentum) * call["running_var"] + momentum * variance
        return BatchNormStatistics(call.finish(of_mean), call.finish(of_var))


# ---------------------------------------------------------------------------------------------------------------------
# Statistics. Images as (N, C, P), P pixels in a row


@dataclass(frozen=True)
class _Normalised:
    """x̂ (N, C, P), a fresh array; r (C,); and M."""

    x_hat: Array
    r: Array
    count: int


def _normalised(call: Numbers, training: bool, eps: float) -> _Normalised:
    if training:
        _, variance, centred = _moments(call)
    else:
        variance = call["running_var"]
        centred = _rows(call["input"]) - call["running_mean"][:, None]
    r = 1 / call.backend.xp.sqrt(variance + eps)
    centred *= r[:, None]
    return _Normalised(centred, r, _count(call.given["input"].shape))


def _moments(call: Numbers) -> tuple[Array, Array, Array]:
    """μ and v of (1), (C,), and x − μ, (N, C, P); zeros for no values."""
    x = _rows(call["input"])
    count = max(_count(x.shape), 1)
    mean = x.sum(axis=(0, 2)) / count
    centred = x - mean[:, None]
    return mean, call.backend.xp.einsum("ncp,ncp->c", centred, centred) / count, centred


def _rows(image: Array) -> Array:
    """(N, C, …) as (N, C, P), P = 1 without spatial axes."""
    return image.reshape(*image.shape[:2], prod(image.shape[2:]))


def _count(shape: tuple[int, ...]) -> int:
    """M: values of a channel."""
    return shape[0] * prod(shape[2:])


# ---------------------------------------------------------------------------------------------------------------------
# Checks


def _call(arrays: dict[str, Array], training: object, eps: object) -> tuple[Numbers, bool, float]:
    """Check the arguments of batch_norm and its backward pass."""
    call = _check_arrays(arrays, ("weight", "bias", "running_mean", "running_var"))
    training = validation.flag("training", training)
    eps = validation.real("eps", eps, "that is positive and finite", lambda value: 0 < value < inf)
    shape = arrays["input"].shape
    if training and _count(shape) == 1:
        _few(shape, 1)
    for name in ("running_mean", "running_var"):
        if not training and arrays[name] is None:
            raise ValueError(
                f"{name} is None: expected the running statistics, shape ({shape[1]},), with training=False"
            )
    return call, training, eps


def _check_arrays(arrays: dict[str, Array], optional: tuple[str, ...]) -> Numbers:
    call = validation.numbers(optional, **arrays)
    shape = arrays["input"].shape
    if len(shape) < 2:
        raise ValueError(f"input has {len(shape)} axes, shape {shape}: expected (N, C, …)")
    if 0 in shape[2:]:
        raise ValueError(f"input has no pixels, shape {shape}: every spatial size must be at least 1")
    for name, array in arrays.items():
        if name == "grad_output":
            validation.shape(name, array, shape, "the shape of input")
        elif name != "input" and array is not None:
            validation.shape(name, array, (shape[1],), "one for each channel of input")
    return call


def _few(shape: tuple[int, ...], count: int) -> None:
    """Say that there are too few values."""
    raise ValueError(
        f"input has shape {shape}, {count} value{'s' * (count != 1)} for each channel: their variance says nothing; "
        "expected at least 2, in samples and pixels together"
    )
