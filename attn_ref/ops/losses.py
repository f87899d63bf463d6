"""Softmax cross-entropy: how surprised a classifier is by the right answers.

A classifier gives K logits z for a sample; they mean the probabilities p = softmax(z), p_k = exp(z_k) / Σ_j exp(z_j).
The loss of a sample with the right class t is −log p_t, which is

    l = log Σ_j exp(z_j) − z_t

Nothing changes if a constant is taken from all logits. With their largest, m, all exponents are at most 0 and one of
them is 0, so that neither the sum nor its logarithm overflows or vanishes:

    l = log Σ_j exp(z_j − m) − (z_t − m)                                           (1)

The derivative of log Σ_j exp(z_j) with respect to z_k is p_k, so with e_t the unit vector of the right class

    l̇ = ⟨p − e_t, ż⟩        and        dz = g (p − e_t)                            (2)

for a cotangent g of the loss of the sample (see :mod:`attn_ref.ops.sampling` for the notation). The sum over samples
hands its cotangent to each of them; the mean over N of them hands each 1/N of it.
"""

from __future__ import annotations

from attn_ref import backend as _backend
from attn_ref import validation
from attn_ref.backend import Array
from attn_ref.validation import Numbers

__all__ = ["cross_entropy", "cross_entropy_backward"]

_REDUCTIONS = ("mean", "sum", "none")


def cross_entropy(logits: Array, labels: Array, *, reduction: str = "mean") -> Array:
    """Compute −log softmax(logits)[label].

    Parameters
    ----------
    logits : array, shape (N, K)
        Any real numbers, a row of K for each sample. float64, float32 or float16.
    labels : array of integers, shape (N,)
        The right classes, from 0 to K − 1. No label is left out: there is no ``ignore_index``.
    reduction : {"mean", "sum", "none"}
        What to do with the losses of the samples.

    Returns
    -------
    array, shape () or (N,)
        The mean or sum of the losses, without axes, or with "none" all of them; dtype of the logits.

    Raises
    ------
    TypeError
        If logits is not an array of a supported library and dtype, labels is not an array of integers of the same
        library and device, or reduction is no string.
    ValueError
        If the shapes do not fit, a label is out of range (the message names the first), reduction is an unknown word,
        or a mean over no samples is asked for.

    See Also
    --------
    cross_entropy_backward : The derivative.

    Notes
    -----
    Equation (1) above: right for logits of any size. A logit of −inf has probability 0; a row with +inf or NaN has the
    loss NaN.

    Examples
    --------
    >>> import numpy as np
    >>> cross_entropy(np.array([[0.0, 0.0], [1000.0, 0.0]]), np.array([0, 1]), reduction="none")
    array([6.93147181e-01, 1.00000000e+03])
    """
    call, rows = _call({"logits": logits}, labels, reduction)
    xp = call.backend.xp
    with call.backend.quiet():
        shifted = _shifted(call)  # (N, K)
        losses = xp.log(xp.exp(shifted).sum(axis=1)) - shifted[rows, labels]
        if reduction == "none":
            return call.finish(losses)
        total = losses.sum() / (len(losses) if reduction == "mean" else 1)
        return call.finish(xp.asarray(total)).reshape(())


def cross_entropy_backward(grad_output: Array, logits: Array, labels: Array, *, reduction: str = "mean") -> Array:
    """Pull a cotangent of the loss back to the logits.

    Parameters
    ----------
    grad_output : array, shape () or (N,)
        Cotangent of the output, of its shape: ``np.ones(())`` for the gradient of a mean or a sum.
    logits, labels, reduction
        As in :func:`cross_entropy`.

    Returns
    -------
    array, shape (N, K)
        Equation (2) above, divided by N for a mean.

    Raises
    ------
    TypeError, ValueError
        As in :func:`cross_entropy`; ``grad_output`` is checked like the logits.

    Examples
    --------
    >>> import numpy as np
    >>> cross_entropy_backward(np.array(1.0), np.array([[0.0, 0.0]]), np.array([0]))  # softmax less the one-hot label
    array([[-0.5,  0.5]])
    """
    call, rows = _call({"logits": logits, "grad_output": grad_output}, labels, reduction)
    with call.backend.quiet():
        p = call.backend.xp.exp(_shifted(call))
        p /= p.sum(axis=1, keepdims=True)
        p[rows, labels] -= 1
        g = call["grad_output"] / (len(p) if reduction == "mean" else 1)
        return call.finish(p * g.reshape(-1, 1))


def _shifted(call: Numbers) -> Array:
    """Logits less the largest of their row."""
    z = call["logits"]
    return z - z.max(axis=1, keepdims=True) if z.size else z


def _call(arrays: dict[str, Array], labels: Array, reduction: str) -> tuple[Numbers, Array]:
    """Check the arguments of either function; the second result is the index of each sample."""
    call = validation.numbers(**arrays)
    _backend.of(logits=arrays["logits"], labels=labels)
    reduction = validation.choice("reduction", reduction, _REDUCTIONS)
    if labels.dtype.kind not in "iu":
        raise TypeError(
            f"labels has dtype {labels.dtype}: expected integers, the index of the right class of each sample; convert "
            "with labels.astype(numpy.int64)"
        )
    logits = arrays["logits"]
    validation.axes("logits", logits, ("(N, K)",))
    N, K = logits.shape
    validation.shape("labels", labels, (N,), f"one label for each of the {N} rows of logits")
    if N == 0 and reduction == "mean":
        raise ValueError(f"logits has no samples, shape {logits.shape}: the mean loss of none is undefined")
    wrong = (labels < 0) | (labels >= K)
    if bool(wrong.any()):
        n = int(wrong.argmax())
        raise ValueError(
            f"labels[{n}] is {int(labels[n])}: expected a class from 0 to {K - 1}, since logits has {K} columns"
        )
    if "grad_output" in arrays:
        expected = (N,) if reduction == "none" else ()
        validation.shape("grad_output", arrays["grad_output"], expected, f"the shape of the output for {reduction!r}")
    return call, call.backend.xp.arange(N)
