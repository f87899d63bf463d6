"""The arrays of each case, the same for every contender, from a seed.

Grids are those of a spatial transformer: a rotation, a scaling and a shift, another for each sample, with a part of
the points beyond the edge. They are then moved off the kinks: where a point lies exactly on a pixel (or, for nearest,
half way between two), derivatives are a matter of convention and rounding decides, so that right contenders would
disagree there. Every coordinate keeps its cell, and its place in the cell is squeezed into the middle between
the kinks.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod, sqrt
from typing import Any

import numpy as np

from attn_ref.backend import Array
from attn_ref.bench.cases import Case

__all__ = ["PROBLEMS", "Arrays", "build", "tolerance"]

Arrays = dict[str, Array]
"""Arrays by the names of the operation's arguments, cotangents among them."""


def build(case: Case, seed: int) -> Arrays:
    """Make the arrays of a case.

    Parameters
    ----------
    case : Case
        The case.
    seed : int
        The same seed gives the same arrays.

    Returns
    -------
    dict of str to array
        C-ordered NumPy arrays of the case's dtype; labels are int64.
    """
    arrays = PROBLEMS[case.kind](case, np.random.default_rng(seed))
    return {
        name: np.ascontiguousarray(array, array.dtype if array.dtype.kind == "i" else case.dtype)
        for name, array in arrays.items()
    }


def tolerance(case: Case) -> float:
    """Return how far right results may differ, in units of the largest value.

    A coordinate near the far edge of an image with side S is rounded to about S·eps pixels, and the images are noise,
    which changes by its own size from pixel to pixel; a sum over n samples and pixels, in which terms cancel, is
    rounded to about √n·eps of what remains. Both stay below 16·eps times the larger of S and √n, and a wrong result is
    off by about 1.
    """
    return 16 * float(np.finfo(case.dtype).eps) * max(*case.shape, sqrt(case.shape[0] * prod(case.shape[2:])))


def _normal(rng: np.random.Generator, shape: tuple[int, ...], dtype: str) -> Array:
    """Drawn in the dtype itself: large cases have no memory to spare."""
    return rng.standard_normal(shape, np.float32) if dtype == "float32" else rng.standard_normal(shape)


def _sample(case: Case, rng: np.random.Generator) -> Arrays:
    n, channels = case.shape[:2]
    return {
        "grid": _grid(case, rng, inside=False),
        "input": _normal(rng, case.shape, case.dtype),
        "grad_output": _normal(rng, (n, channels, *case.output), case.dtype),
    }


def _operator(case: Case, rng: np.random.Generator) -> Arrays:
    """As above, but all points lie within the image: PyLops has no padding."""
    return {**_sample(case, rng), "grid": _grid(case, rng, inside=True)}


def _affine(case: Case, rng: np.random.Generator) -> Arrays:
    n, axes = case.shape[0], len(case.output)
    theta = np.eye(axes, axes + 1) + 0.3 * rng.standard_normal((n, axes, axes + 1))
    return {"theta": theta, "grad_grid": _normal(rng, (n, *case.output, axes), case.dtype)}


def _se(case: Case, rng: np.random.Generator) -> Arrays:
    channels = case.shape[1]
    width = max(1, channels // case.options["reduction"])
    return {
        "input": _normal(rng, case.shape, case.dtype),
        "reduce_weight": rng.standard_normal((width, channels)) / channels**0.5,
        "expand_weight": rng.standard_normal((channels, width)) / width**0.5,
        "reduce_bias": rng.standard_normal(width),
        "expand_bias": rng.standard_normal(channels),
        "grad_output": _normal(rng, case.shape, case.dtype),
    }


def _train(case: Case, rng: np.random.Generator) -> Arrays:
    """Of the network of :mod:`attn_ref.bench.training`, its parameters by the names they have there."""
    n, channels, height, width = case.shape
    shapes = {"0": (16, channels, 3, 3), "3": (32, 16, 3, 3), "7": (10, 32 * (height // 4) * (width // 4))}
    arrays = {"input": _normal(rng, case.shape, case.dtype), "labels": rng.integers(0, 10, n)}
    for name, shape in shapes.items():
        arrays[f"{name}.weight"] = rng.standard_normal(shape) / sqrt(prod(shape[1:]))
        arrays[f"{name}.bias"] = rng.standard_normal(shape[0]) / sqrt(prod(shape[1:]))
    return arrays


PROBLEMS: dict[str, Callable[[Case, np.random.Generator], Arrays]] = {
    "sample": _sample,
    "small": _sample,
    "gradcheck": _sample,
    "operator": _operator,
    "affine": _affine,
    "se": _se,
    "train": _train,
}
"""By the kind of a case."""


def _grid(case: Case, rng: np.random.Generator, *, inside: bool) -> Array:
    """A smooth grid off the kinks, (N, …, axes), for align_corners=False; within the image if ``inside``."""
    size = case.shape[2:]
    axes = len(size)
    reach = 0.45 if inside else 1.0
    grids = []
    for _ in range(case.shape[0]):
        linear = _rotation(axes, rng.uniform(0.3, 0.6)) * rng.uniform(0.9, 1.1) * reach
        shift = rng.uniform(-0.15, 0.15, axes) * reach
        lines = [(2 * np.arange(extent) + 1) / extent - 1 for extent in case.output]
        base = np.stack(np.meshgrid(*lines, indexing="ij")[::-1], axis=-1)  # (…, axes), x first
        grids.append(_off_kinks(base @ linear.T + shift, size).astype(case.dtype))
    return np.stack(grids)


def _rotation(axes: int, angle: float) -> Any:
    """By an angle in every plane of two axes in turn."""
    result = np.eye(axes)
    for a in range(axes):
        for b in range(a):
            turn = np.eye(axes)
            turn[[a, b], [a, b]] = np.cos(angle)
            turn[a, b], turn[b, a] = np.sin(angle), -np.sin(angle)
            result = turn @ result
    return result


def _off_kinks(grid: Any, size: tuple[int, ...]) -> Any:
    """Squeeze the place of each point within half a pixel into its middle: [0.05, 0.45] or [0.55, 0.95]."""
    extents = np.array(size[::-1])
    pixels = ((grid + 1) * extents - 1) / 2
    halves = np.floor(2 * pixels)
    pixels = halves / 2 + 0.05 + 0.4 * (2 * pixels - halves)
    return (2 * pixels + 1) / extents - 1
