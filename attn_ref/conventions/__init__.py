"""Conventions of other systems: named presets with adapters round the core, and converters between them.

:func:`convention` looks one up; its ``grid_sample``, ``affine_grid``, ``transform`` and their backward functions take
and return that system's own arrays. Weights of squeeze-and-excitation are converted by
:func:`attn_ref.blocks.load_se_weights` and :func:`attn_ref.blocks.export_se_weights`.
"""

from attn_ref.conventions.convention import Convention, TransformCotangents
from attn_ref.conventions.converters import (
    convert_grid,
    convert_theta,
    swap_theta_order,
    theta_from_pixels,
    theta_to_pixels,
)
from attn_ref.conventions.pixel_maps import BASE_GRIDS, PIXEL_MAPS, BaseGrid, PixelMap
from attn_ref.conventions.presets import CONVENTIONS, convention, stn

__all__ = [
    "BASE_GRIDS",
    "CONVENTIONS",
    "PIXEL_MAPS",
    "BaseGrid",
    "Convention",
    "PixelMap",
    "TransformCotangents",
    "convention",
    "convert_grid",
    "convert_theta",
    "stn",
    "swap_theta_order",
    "theta_from_pixels",
    "theta_to_pixels",
]
