"""What can go wrong along one axis, as tables: pixel maps, scales, folds, slopes, roundings, gates, factors.

The first entry of each table is the right one. The others are named as the fields of a specification name them.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

from attn_ref.conventions.pixel_maps import PIXEL_MAPS, PixelMap
from attn_ref.ops.boundary import PADDINGS, Padding
from attn_ref.verify.mistakes.recipe import Floats, Point

__all__ = ["EDGES", "FACTORS", "FOLDS", "MAPS", "ROUNDINGS", "SCALES", "SLOPES", "WITHIN", "Fold"]

Fold = Callable[[Floats], tuple[Any, Any]]


def _own(aligned: bool) -> PixelMap:
    return PIXEL_MAPS["AC1" if aligned else "AC0"]


_EARLY = PixelMap("p = (g + 1)(S − 1)/2 − ½", lambda S: (S - 1) / 2, 1.0, -0.5)
_LATE = PixelMap("p = (g + 1)S/2 + ½", lambda S: S / 2, 1.0, 0.5)
_TWICE = PixelMap("p = (g + 1)S/2 − 1", lambda S: S / 2, 1.0, -1.0)
_UNIT = PixelMap("p = g(S − 1)", lambda S: float(S - 1))
_UNIT_EDGES = PixelMap("p = gS − ½", float, 0.0, -0.5)

MAPS: dict[str, Callable[[bool], PixelMap]] = {
    "as asked": _own,
    "flipped": lambda aligned: _own(not aligned),
    "always AC1": lambda _: PIXEL_MAPS["AC1"],
    "always AC0": lambda _: PIXEL_MAPS["AC0"],
    "HALF": lambda _: PIXEL_MAPS["HALF"],
    "HALF for AC0": lambda aligned: PIXEL_MAPS["AC1" if aligned else "HALF"],
    "S-2": lambda _: PIXEL_MAPS["S-2"],
    "pixels": lambda _: PIXEL_MAPS["pixels"],
    "½ subtracted from AC1": lambda aligned: _EARLY if aligned else _own(False),
    "½ added in AC0": lambda aligned: _own(True) if aligned else _LATE,
    "½ subtracted twice": lambda aligned: _own(True) if aligned else _TWICE,
    "from [0, 1]": lambda aligned: _UNIT if aligned else _UNIT_EDGES,
}
"""From normalised coordinates to pixels, for each value of align_corners."""

SCALES: dict[str, Callable[[PixelMap, int, bool], float]] = {
    "own": lambda own, size, _: own.scale(size),
    "missing": lambda *_: 1.0,
    "of the other alignment": lambda _, size, aligned: _own(not aligned).scale(size),
    "not halved": lambda own, size, _: 2 * own.scale(size),
    "inverted": lambda own, size, _: 1 / own.scale(size) if own.scale(size) else 0.0,
    "squared": lambda own, size, _: own.scale(size) ** 2,
}
"""The derivative of the pixel map, from (the map in force, S, align_corners)."""


def _folded(padding: Padding, p: Floats, size: int, aligned: bool) -> tuple[Any, Any]:
    return padding.fold(np, padding.bring_near(np, p, size, aligned), size, aligned)


def _folded_once(padding: Padding, p: Floats, size: int, aligned: bool) -> tuple[Any, Any]:  # noqa: ARG001
    low2, high2 = (0, 2 * (size - 1)) if aligned else (-1, 2 * size - 1)
    once = np.where(p < low2 / 2, low2 - p, np.where(p > high2 / 2, high2 - p, p))
    sign = np.where((p < low2 / 2) | (p > high2 / 2), -1.0, 1.0)
    q, inside = PADDINGS["border"].fold(np, once, size, aligned)
    return q, sign * inside


def _wrapped(padding: Padding, p: Floats, size: int, aligned: bool) -> tuple[Any, Any]:  # noqa: ARG001
    return np.mod(p, size), np.ones_like(p)


EDGES: dict[str, Callable[[bool], bool]] = {
    "as asked": lambda aligned: aligned,
    "about the other edge": lambda aligned: not aligned,
    "about the centres": lambda _: True,
    "about the edges": lambda _: False,
}
"""Whether reflection is about the centres of the edge pixels, for each value of align_corners."""


def _about(edges: Callable[[bool], bool]) -> Callable[[Padding, Floats, int, bool], tuple[Any, Any]]:
    return lambda padding, p, size, aligned: _folded(padding, p, size, edges(aligned))


FOLDS: dict[str, Callable[[Padding, Floats, int, bool], tuple[Any, Any]]] = {
    **{name: _about(edges) for name, edges in EDGES.items()},
    "about the other edge, in its own period": lambda padding, p, size, aligned: padding.fold(
        np, padding.bring_near(np, p, size, aligned), size, not aligned
    ),
    "once": _folded_once,
    "wrapped": _wrapped,
}
"""How reflection folds a coordinate: (q, dq/dp) from (the padding, p, S, align_corners)."""


def _one_sided(fold: Fold, p: Floats, sides: tuple[float, ...]) -> Floats:
    """The slope, but where it is 0 that beside it."""
    slope = fold(p)[1]
    for side in sides:
        beside = fold(p + side * 1e-6 * (1 + np.abs(p)))[1]
        slope = np.where(slope == 0, beside, slope)
    return np.asarray(slope, np.float64)


SLOPES: dict[str, Callable[[Fold, Floats, Floats], Any]] = {
    "own": lambda fold, p, _: fold(p)[1],
    "1": lambda _, p, __: np.ones_like(p),
    "kept at both ends": lambda fold, p, _: _one_sided(fold, p, (1, -1)),
    "kept at the low end": lambda fold, p, _: np.where(fold(p - 1e-6)[1] == 0, _one_sided(fold, p, (1,)), fold(p)[1]),
    "kept at the high end": lambda fold, p, _: np.where(fold(p + 1e-6)[1] == 0, _one_sided(fold, p, (-1,)), fold(p)[1]),
    "sign lost": lambda fold, p, _: np.abs(fold(p)[1]),
    "sign turned": lambda fold, p, _: -fold(p)[1],
    "0 beyond the edge": lambda fold, p, _: np.where(fold(p)[0] == p, fold(p)[1], 0.0),
    "1 between −1 and 1": lambda _, p, g: np.broadcast_to((np.abs(g) < 1).astype(np.float64), p.shape),
    "0 between −1 and 1": lambda _, p, g: np.broadcast_to((np.abs(g) >= 1).astype(np.float64), p.shape),
}
"""The derivative of border and reflection, from (the fold, p, g)."""

ROUNDINGS: dict[str, Callable[[Floats], Floats]] = {
    "even": np.rint,
    "floor": np.floor,
    "trunc": np.trunc,
    "ceil": np.ceil,
    "half away from zero": lambda q: np.trunc(q + np.copysign(0.5, q)),
    "half up": lambda q: np.floor(q + 0.5),
    "half down": lambda q: np.ceil(q - 0.5),
}
"""From a coordinate to a whole number."""

WITHIN: dict[str, Callable[[Floats, Floats, int], Any]] = {
    "anywhere": lambda p, *_: np.ones(p.shape, bool),
    "[0, S − 1)": lambda p, _, size: ~((p < 0) | (p >= size - 1)),
    "[0, S − 1]": lambda p, _, size: ~((p < 0) | (p > size - 1)),
    "g in [−1, 1]": lambda p, g, _: np.broadcast_to(~(np.abs(g) > 1), p.shape),
}
"""Where a point is read at all, from (p, g, S)."""

FACTORS: dict[str, Callable[[Point], float]] = {
    "1": lambda _: 1.0,
    "0": lambda _: 0.0,
    "−1": lambda _: -1.0,
    "2": lambda _: 2.0,
    "½": lambda _: 0.5,
    "1/N": lambda point: 1 / max(len(point.inputs[0]), 1),
    "N": lambda point: float(len(point.inputs[0])),
    "1/C": lambda point: 1 / _channels(point),
    "1/pixels": lambda point: _channels(point) / max(point.inputs[0][0].size, 1) if len(point.inputs[0]) else 1.0,
    "1/points": lambda point: _channels(point) * len(point.inputs[0]) / max(_output_size(point), 1),
    "1/elements": lambda point: 1 / max(_output_size(point), 1),
}
"""By what a gradient may be multiplied."""


def _channels(point: Point) -> int:
    shape = point.inputs[0].shape
    return int(max(shape[-1] if point.options.get("channels_last") else shape[1], 1))


def _output_size(point: Point) -> int:
    return 0 if point.grad_output is None else prod(point.grad_output.shape)
