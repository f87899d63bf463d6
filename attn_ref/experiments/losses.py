"""What training makes small, with its derivative."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from attn_ref.backend import Array
from attn_ref.ops.losses import cross_entropy, cross_entropy_backward

__all__ = ["Loss", "classification", "squared_error"]


class Loss(NamedTuple):
    """What a batch costs: the mean over its samples, the cotangent of the output, and how many outputs are wrong.

    None of them is right or wrong if ``wrong`` is None.
    """

    value: float
    grad_output: Array
    wrong: int | None


def classification(logits: Array, labels: Array) -> Loss:
    """Softmax cross-entropy. An output is wrong if its largest logit is another class's.

    Parameters
    ----------
    logits : array, shape (N, K)
        The outputs.
    labels : array of integers, shape (N,)
        The classes.

    Returns
    -------
    Loss
        As :func:`attn_ref.experiments.trainer.train` takes it.
    """
    grad = cross_entropy_backward(np.ones((), logits.dtype), logits, labels)
    return Loss(float(cross_entropy(logits, labels)), grad, int((logits.argmax(axis=1) != labels).sum()))


def squared_error(output: Array, target: Array) -> Loss:
    """½ |y − t|², summed over the entries of a sample. No output is right or wrong.

    Parameters
    ----------
    output, target : array, shape (N, …)
        Of one shape and dtype.

    Returns
    -------
    Loss
        As :func:`attn_ref.experiments.trainer.train` takes it.
    """
    difference = output - target
    value = float(np.square(difference, dtype=np.float64).sum()) / 2 / len(output)
    return Loss(value, difference / np.asarray(len(output), output.dtype), None)
