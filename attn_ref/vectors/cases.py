"""All problems of the suite, in order."""

from __future__ import annotations

from attn_ref.vectors.attention import activations, glus, squeeze_excitations
from attn_ref.vectors.invalid import invalid
from attn_ref.vectors.problem import Problem
from attn_ref.vectors.spatial import affine_grids, affine_inverses, grid_samples

__all__ = ["problems"]


def problems() -> list[Problem]:
    """List the problems."""
    families = (grid_samples, affine_grids, affine_inverses, squeeze_excitations, activations, glus, invalid)
    return [problem for family in families for problem in family()]
