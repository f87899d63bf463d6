"""attn_ref: the reference implementation of the soft attention of computer vision.

Where to look (spatial transformers) and what to look at (squeeze-and-excitation): forward passes and every derivative,
derived by hand, on NumPy or CuPy arrays. Start with :func:`affine_grid` and :func:`grid_sample`, or with
:func:`squeeze_excitation`. Operations with parameters, and what trains them, are in :mod:`attn_ref.blocks`.
"""

from attn_ref.ops.activations import Activation, ActivationSecondCotangents, GatedLinearUnit, get_activation
from attn_ref.ops.affine import (
    AffineInverseSecondCotangents,
    affine_grid,
    affine_grid_backward,
    affine_grid_double_backward,
    affine_grid_jvp,
    affine_inverse,
    affine_inverse_backward,
    affine_inverse_double_backward,
    affine_inverse_jvp,
)
from attn_ref.ops.conv import Conv2dCotangents, conv2d, conv2d_backward
from attn_ref.ops.linear import LinearCotangents, linear, linear_backward
from attn_ref.ops.losses import cross_entropy, cross_entropy_backward
from attn_ref.ops.normalization import (
    BatchNormCotangents,
    BatchNormStatistics,
    batch_norm,
    batch_norm_backward,
    batch_norm_statistics,
)
from attn_ref.ops.operator import SamplingOperator, sampling_operator
from attn_ref.ops.pooling import (
    avg_pool2d,
    avg_pool2d_backward,
    global_avg_pool,
    global_avg_pool_backward,
    max_pool2d,
    max_pool2d_backward,
)
from attn_ref.ops.sampling import (
    GridSampleCotangents,
    GridSampleSecondCotangents,
    grid_sample,
    grid_sample_backward,
    grid_sample_double_backward,
    grid_sample_jvp,
)
from attn_ref.ops.squeeze_excitation import (
    SqueezeExcitationCotangents,
    SqueezeExcitationSecondCotangents,
    squeeze_excitation,
    squeeze_excitation_backward,
    squeeze_excitation_double_backward,
    squeeze_excitation_jvp,
)

__version__ = "0.1.0"

__all__ = [
    "Activation",
    "ActivationSecondCotangents",
    "AffineInverseSecondCotangents",
    "BatchNormCotangents",
    "BatchNormStatistics",
    "Conv2dCotangents",
    "GatedLinearUnit",
    "GridSampleCotangents",
    "GridSampleSecondCotangents",
    "LinearCotangents",
    "SamplingOperator",
    "SqueezeExcitationCotangents",
    "SqueezeExcitationSecondCotangents",
    "__version__",
    "affine_grid",
    "affine_grid_backward",
    "affine_grid_double_backward",
    "affine_grid_jvp",
    "affine_inverse",
    "affine_inverse_backward",
    "affine_inverse_double_backward",
    "affine_inverse_jvp",
    "avg_pool2d",
    "avg_pool2d_backward",
    "batch_norm",
    "batch_norm_backward",
    "batch_norm_statistics",
    "conv2d",
    "conv2d_backward",
    "cross_entropy",
    "cross_entropy_backward",
    "get_activation",
    "global_avg_pool",
    "global_avg_pool_backward",
    "grid_sample",
    "grid_sample_backward",
    "grid_sample_double_backward",
    "grid_sample_jvp",
    "linear",
    "linear_backward",
    "max_pool2d",
    "max_pool2d_backward",
    "sampling_operator",
    "squeeze_excitation",
    "squeeze_excitation_backward",
    "squeeze_excitation_double_backward",
    "squeeze_excitation_jvp",
]
