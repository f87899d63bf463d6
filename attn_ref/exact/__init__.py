"""The oracle of the oracle: the operations as literal loops over exact numbers.

The fast operations of this package work in floating point, on whole arrays, with shared tables and chunks. This
folder says the same thing a second time and shares no line with them: every definition is a nested loop over
`fractions.Fraction`, so nothing is rounded and there is nothing to vectorise, fuse or reorder. It is slow on
purpose. Read it to learn what an operation *is*; call it on a few pixels to learn what the right answer is, to the
last digit, including which of two one-sided derivatives is meant.

Where an exponential or a root occurs (activations, squeeze-and-excitation, batch normalisation, cross-entropy) no
rational number is exact, and 50 decimal digits stand in for it: see `attn_ref.exact.precise`.

Inputs are nested lists or arrays of int, float or `Fraction`; a float stands for exactly the rational number that
it stores. Outputs are NumPy object arrays of `Fraction`, or of 50-digit numbers; `to_float` rounds them, once.

Being exact has one consequence to keep in mind: the pixel coordinate is not rounded either. Where a floating-point
sampler computes a p that lands on a whole or half pixel only by rounding, it may take the other of two cells than the
exact p does. To compare on such points, hand over the exact g of the *rounded* p: a grid may hold fractions.

The conventions are those of the whole package: see `attn_ref.exact.axis` for coordinates, padding and weights along
one axis, `attn_ref.exact.sampling` for how the axes are multiplied together, `attn_ref.exact.affine` for the grids.
"""

from attn_ref.exact.activations import (
    activation,
    activation_backward,
    activation_double_backward,
    activation_jvp,
    glu,
    glu_backward,
    glu_double_backward,
    glu_jvp,
)
from attn_ref.exact.affine import (
    affine_grid,
    affine_grid_backward,
    affine_inverse,
    affine_inverse_backward,
    affine_inverse_double_backward,
    affine_inverse_jvp,
)
from attn_ref.exact.layers import (
    avg_pool2d,
    avg_pool2d_backward,
    conv2d,
    conv2d_backward,
    global_avg_pool,
    global_avg_pool_backward,
    linear,
    linear_backward,
    max_pool2d,
    max_pool2d_backward,
)
from attn_ref.exact.rationals import to_float, to_fractions
from attn_ref.exact.sampling import grid_sample, grid_sample_backward, grid_sample_double_backward, grid_sample_jvp
from attn_ref.exact.squeeze_excitation import (
    squeeze_excitation,
    squeeze_excitation_backward,
    squeeze_excitation_double_backward,
    squeeze_excitation_jvp,
)
from attn_ref.exact.statistics import batch_norm, batch_norm_backward, cross_entropy, cross_entropy_backward

__all__ = [
    "activation",
    "activation_backward",
    "activation_double_backward",
    "activation_jvp",
    "affine_grid",
    "affine_grid_backward",
    "affine_inverse",
    "affine_inverse_backward",
    "affine_inverse_double_backward",
    "affine_inverse_jvp",
    "avg_pool2d",
    "avg_pool2d_backward",
    "batch_norm",
    "batch_norm_backward",
    "conv2d",
    "conv2d_backward",
    "cross_entropy",
    "cross_entropy_backward",
    "global_avg_pool",
    "global_avg_pool_backward",
    "glu",
    "glu_backward",
    "glu_double_backward",
    "glu_jvp",
    "grid_sample",
    "grid_sample_backward",
    "grid_sample_double_backward",
    "grid_sample_jvp",
    "linear",
    "linear_backward",
    "max_pool2d",
    "max_pool2d_backward",
    "squeeze_excitation",
    "squeeze_excitation_backward",
    "squeeze_excitation_double_backward",
    "squeeze_excitation_jvp",
    "to_float",
    "to_fractions",
]
