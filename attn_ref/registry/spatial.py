"""The operations of spatial transformers: affine grids, their inverse, grid sampling."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from attn_ref import exact
from attn_ref.ops import affine, sampling
from attn_ref.ops.boundary import PADDINGS
from attn_ref.ops.coordinates import pixels_per_unit
from attn_ref.ops.interpolation import MODES
from attn_ref.registry.operation import Call, Functions, Operation, Terms

__all__ = ["SPATIAL"]

# ---------------------------------------------------------------------------------------------------------------------
# affine_grid and affine_inverse


def _affine_grid_terms(call: Call) -> Terms:
    (theta,) = call.inputs
    columns = theta.shape[-1]
    return Terms(
        columns * float(np.abs(theta).max(initial=0)), columns, 0.0, 8 + int(np.prod(call.options["size"][2:]))
    )


def _affine_inverse_terms(call: Call) -> Terms:
    (theta,) = call.inputs
    n, d, _ = theta.shape
    last = np.broadcast_to(np.eye(d + 1)[-1:], (n, 1, d + 1))
    whole = np.concatenate([theta.astype(np.float64), last], axis=1)
    # An entry of J is wrong by the condition number times the rounding of its terms; each derivative has one J more.
    inverse = np.linalg.inv(whole)
    norms = [np.abs(a).sum(axis=axis).max(axis=-1, initial=1.0) for a in (whole, inverse) for axis in (1, 2)]
    size = float(np.maximum(norms[2], norms[3]).max(initial=1.0))
    condition = float((np.maximum(norms[0], norms[1]) * np.maximum(norms[2], norms[3])).max(initial=1.0))
    return Terms(size * condition, size**2 * condition, 2 * size**3 * condition, 32)


# ---------------------------------------------------------------------------------------------------------------------
# grid_sample

_WEIGHT_SUMS = {"nearest": (1.0, 0.0, 0.0), "bilinear": (1.0, 2.0, 0.0), "bicubic": (1.5, 3.0, 12.0)}
"""Upper bounds over t of Σ|w|, Σ|w′| and Σ|w″| along one axis, per pixel."""


def _space(call: Call) -> tuple[int, ...]:
    shape: tuple[int, ...] = call.inputs[0].shape
    return shape[1:-1] if call.options.get("channels_last") else shape[2:]


def _grid_sample_terms(call: Call) -> Terms:
    image, grid = call.inputs
    space = _space(call)
    d = len(space)
    w0, w1, w2 = _WEIGHT_SUMS[call.options["mode"]]
    largest = float(np.abs(image).max(initial=0))
    scale = max(pixels_per_unit(size, call.options["align_corners"]) for size in space)
    one = d * scale * w1 * w0 ** (d - 1)  # one coordinate differentiated
    two = scale**2 * (d * w2 * w0 ** (d - 1) + d * (d - 1) * w1**2 * w0 ** max(d - 2, 0))
    taps = len(MODES[call.options["mode"]].coefficients) ** d
    channels = image.size // max(image.shape[0] * int(np.prod(space)), 1)
    points = grid[0].size // d if len(grid) else 0
    depth = 16 + channels + taps * max(points, 1)
    return Terms(w0**d * largest, w0**d + one * largest, 2 * one + two * largest, depth)


def _grid_sample_steps(call: Call) -> tuple[list[Any], int]:
    """0.08 pixel for linear, twice 0.05 for cubic: the grids drawn for it leave that much room on both sides."""
    degree = {"nearest": 0, "bilinear": 1, "bicubic": 3}[call.options["mode"]]
    pixels = 0.05 if degree == 3 else 0.08
    per_unit = [pixels_per_unit(size, call.options["align_corners"]) for size in reversed(_space(call))]
    return [1.0, np.array([pixels / max(scale, 0.5) for scale in per_unit])], degree


SPATIAL: tuple[Operation, ...] = (
    Operation(
        name="affine_grid",
        inputs=("theta",),
        functions=Functions(
            affine.affine_grid,
            affine.affine_grid_backward,
            affine.affine_grid_jvp,
            affine.affine_grid_double_backward,
        ),
        exact=Functions(exact.affine_grid, exact.affine_grid_backward, exact.affine_grid, exact.affine_grid),
        linear=True,
        linear_in=(0,),
        batched=(True,),
        variants=tuple({"ndim": d, "align_corners": a} for d, a in itertools.product((2, 3), (True, False))),
        strategy="affine_grid_calls",
        terms=_affine_grid_terms,
        steps=lambda _: ([1.0], 1),
        resized=lambda options, samples: {**options, "size": (samples, *options["size"][1:])},
    ),
    Operation(
        name="affine_inverse",
        inputs=("theta",),
        functions=Functions(
            affine.affine_inverse,
            affine.affine_inverse_backward,
            affine.affine_inverse_jvp,
            affine.affine_inverse_double_backward,
        ),
        exact=Functions(
            exact.affine_inverse,
            exact.affine_inverse_backward,
            exact.affine_inverse_jvp,
            exact.affine_inverse_double_backward,
        ),
        linear=False,
        linear_in=(),
        batched=(True,),
        variants=({"ndim": 2}, {"ndim": 3}),
        strategy="affine_inverse_calls",
        terms=_affine_inverse_terms,
        steps=lambda _: None,
    ),
    Operation(
        name="grid_sample",
        inputs=("input", "grid"),
        functions=Functions(
            sampling.grid_sample,
            sampling.grid_sample_backward,
            sampling.grid_sample_jvp,
            sampling.grid_sample_double_backward,
        ),
        exact=Functions(
            exact.grid_sample,
            exact.grid_sample_backward,
            exact.grid_sample_jvp,
            exact.grid_sample_double_backward,
        ),
        linear=False,
        linear_in=(0,),
        batched=(True, True),
        variants=tuple(
            {"ndim": d, "mode": m, "padding_mode": p, "align_corners": a}
            for d, m, p, a in itertools.product((2, 3), MODES, PADDINGS, (True, False))
        ),
        strategy="grid_sample_calls",
        terms=_grid_sample_terms,
        steps=_grid_sample_steps,
        kinked=True,
        piecewise_in="grid",
        points_in="grid",
        has_layouts=True,
    ),
)
"""Where to look: the operations of spatial transformers."""
