"""The catalogue of mistakes: ways to be wrong that have been seen, or are easy, each with functions that make it."""

from attn_ref.verify.mistakes.affine_mistakes import AFFINE_GRID_MISTAKES, AFFINE_INVERSE_MISTAKES
from attn_ref.verify.mistakes.attention_mistakes import (
    ACTIVATION_MISTAKES,
    GLU_MISTAKES,
    SQUEEZE_EXCITATION_MISTAKES,
)
from attn_ref.verify.mistakes.recipe import Mistake, Model, Point
from attn_ref.verify.mistakes.sampler_mistakes import SAMPLER_MISTAKES

__all__ = ["MISTAKES", "Mistake", "Model", "Point"]

MISTAKES: dict[str, tuple[Mistake, ...]] = {
    "affine_grid": AFFINE_GRID_MISTAKES,
    "affine_inverse": AFFINE_INVERSE_MISTAKES,
    "grid_sample": SAMPLER_MISTAKES,
    "activation": ACTIVATION_MISTAKES,
    "glu": GLU_MISTAKES,
    "squeeze_excitation": SQUEEZE_EXCITATION_MISTAKES,
}
"""By operation, the likelier first within each group. Other operations have none: their failures are only described."""
