"""What the gates of squeeze-and-excitation do: their values, and whether they know which channels matter."""

from __future__ import annotations

import numpy as np

from attn_ref.backend import Array
from attn_ref.blocks import SqueezeExcitation
from attn_ref.ops.activations import get_activation
from attn_ref.ops.linear import linear
from attn_ref.ops.pooling import global_avg_pool

__all__ = ["areas_under_curve", "gates_of"]


def gates_of(block: SqueezeExcitation, inputs: Array) -> Array:
    """Compute the gates of a block with biases, ReLU and sigmoid.

    Parameters
    ----------
    block : SqueezeExcitation
        The block.
    inputs : array, shape (N, C, …)
        Its input.

    Returns
    -------
    array, shape (N, C)
        s = σ(W₂ relu(W₁ mean + b₁) + b₂).
    """
    p = block.params
    hidden = get_activation("relu")(linear(global_avg_pool(inputs), p["reduce_weight"], p["reduce_bias"]))
    gates: Array = get_activation("sigmoid")(linear(hidden, p["expand_weight"], p["expand_bias"]))
    return gates


def areas_under_curve(gates: Array, informative: Array) -> Array:
    """Compute, for each channel, how often its gate is larger where the channel is informative.

    Parameters
    ----------
    gates : array, shape (N, C)
        The gates.
    informative : array of bool, shape (N, C)
        Which channels are informative.

    Returns
    -------
    array, shape (C,)
        The share of pairs of samples, one where the channel is informative and one where it is not, in which the former
        has the larger gate: the area under the ROC curve. Equal gates count half. ½ for a channel that is informative
        always, or never.
    """
    areas = np.full(gates.shape[1], 0.5)
    for c, known in enumerate(informative.T):
        inside, outside = gates[known, c], np.sort(gates[~known, c])
        if inside.size and outside.size:
            below, up_to = (np.searchsorted(outside, inside, side) for side in ("left", "right"))
            areas[c] = (below + up_to).mean() / (2 * outside.size)
    return areas
