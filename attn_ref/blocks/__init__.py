"""Operations with parameters: layers, squeeze-and-excitation and spatial transformer blocks, and what trains them."""

from attn_ref.blocks.block import Arrays, Block, Pullback, prefixed

__all__ = ["Arrays", "Block", "Pullback", "prefixed"]
