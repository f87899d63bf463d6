"""attn_ref: the reference implementation of spatial transformers.

Forward passes and every derivative, derived by hand, on NumPy or CuPy arrays. Start with :func:`affine_grid` and
:func:`grid_sample`.
"""

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
from attn_ref.ops.operator import SamplingOperator, sampling_operator
from attn_ref.ops.sampling import (
    GridSampleCotangents,
    GridSampleSecondCotangents,
    grid_sample,
    grid_sample_backward,
    grid_sample_double_backward,
    grid_sample_jvp,
)

__version__ = "0.1.0"

__all__ = [
    "AffineInverseSecondCotangents",
    "GridSampleCotangents",
    "GridSampleSecondCotangents",
    "SamplingOperator",
    "__version__",
    "affine_grid",
    "affine_grid_backward",
    "affine_grid_double_backward",
    "affine_grid_jvp",
    "affine_inverse",
    "affine_inverse_backward",
    "affine_inverse_double_backward",
    "affine_inverse_jvp",
    "grid_sample",
    "grid_sample_backward",
    "grid_sample_double_backward",
    "grid_sample_jvp",
    "sampling_operator",
]
