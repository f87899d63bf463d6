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
from attn_ref.blocks.spatial_transformer import SpatialTransformer, SpatialTransformerPair

__all__ = [
    "RESTRICTIONS",
    "SGD",
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
    "Sequential",
    "SpatialTransformer",
    "SpatialTransformerPair",
    "clip_gradients",
    "identity_head",
    "initialisers",
    "load",
    "load_arrays",
    "prefixed",
    "save",
    "save_arrays",
    "theta_of",
    "theta_of_backward",
]
