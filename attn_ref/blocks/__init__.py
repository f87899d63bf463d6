"""Operations with parameters: layers, squeeze-and-excitation and spatial transformer blocks, and what trains them."""

from attn_ref.blocks import initialisers
from attn_ref.blocks.block import Arrays, Block, Pullback, prefixed
from attn_ref.blocks.containers import Flatten, Identity, Residual, Sequential
from attn_ref.blocks.layers import (
    Activation,
    AvgPool2d,
    BatchNorm,
    Conv2d,
    GlobalAvgPool,
    Linear,
    MaxPool2d,
)
from attn_ref.blocks.optim import SGD, Adam, clip_gradients
from attn_ref.blocks.parameters import load, load_arrays, save, save_arrays
from attn_ref.blocks.restrictions import RESTRICTIONS, Restriction, identity_head, theta_of, theta_of_backward
from attn_ref.blocks.se_basic_block import SEBasicBlock
from attn_ref.blocks.se_presets import SE_PRESETS, se_preset
from attn_ref.blocks.se_weights import export_se_weights, load_se_weights
from attn_ref.blocks.spatial_transformer import SpatialTransformer, SpatialTransformerPair
from attn_ref.blocks.squeeze_excitation import WIDTH_RULES, SqueezeExcitation, reduced_width

__all__ = [
    "RESTRICTIONS",
    "SE_PRESETS",
    "SGD",
    "WIDTH_RULES",
    "Activation",
    "Adam",
    "Arrays",
    "AvgPool2d",
    "BatchNorm",
    "Block",
    "Conv2d",
    "Flatten",
    "GlobalAvgPool",
    "Identity",
    "Linear",
    "MaxPool2d",
    "Pullback",
    "Residual",
    "Restriction",
    "SEBasicBlock",
    "Sequential",
    "SpatialTransformer",
    "SpatialTransformerPair",
    "SqueezeExcitation",
    "clip_gradients",
    "export_se_weights",
    "identity_head",
    "initialisers",
    "load",
    "load_arrays",
    "load_se_weights",
    "prefixed",
    "reduced_width",
    "save",
    "save_arrays",
    "se_preset",
    "theta_of",
    "theta_of_backward",
]
