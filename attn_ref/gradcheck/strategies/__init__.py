"""Hypothesis strategies for the inputs of every registered operation, built round its kinks.

The calls of an operation come in three kinds:

* ``"smooth"``: away from every kink, for differences;
* ``"kinks"``: on the kinks exactly;
* ``"exact"``: numbers with few bits, for which rational and floating-point arithmetic agree to the last digit, on and
  off the kinks.

Nothing is filtered, nothing retried: points are constructed where they are wanted. Sizes are drawn without repetition
(H ≠ W, N ≠ C), since equal ones hide swapped axes; cotangents are signed and never 0. All arrays are float64.
"""

from attn_ref.gradcheck.strategies.attention import activation_calls, glu_calls, squeeze_excitation_calls
from attn_ref.gradcheck.strategies.basic import cotangents, images, signed, sizes
from attn_ref.gradcheck.strategies.layers import (
    batch_norm_calls,
    conv2d_calls,
    cross_entropy_calls,
    global_avg_pool_calls,
    linear_calls,
    pooling_calls,
)
from attn_ref.gradcheck.strategies.spatial import (
    affine_grid_calls,
    affine_inverse_calls,
    empty_shapes,
    grid_sample_calls,
    grid_sample_options,
    grids_dyadic,
    grids_in_cells,
    grids_on_kinks,
    thetas,
)

__all__ = [
    "activation_calls",
    "affine_grid_calls",
    "affine_inverse_calls",
    "batch_norm_calls",
    "conv2d_calls",
    "cotangents",
    "cross_entropy_calls",
    "empty_shapes",
    "global_avg_pool_calls",
    "glu_calls",
    "grid_sample_calls",
    "grid_sample_options",
    "grids_dyadic",
    "grids_in_cells",
    "grids_on_kinks",
    "images",
    "linear_calls",
    "pooling_calls",
    "signed",
    "sizes",
    "squeeze_excitation_calls",
    "thetas",
]
