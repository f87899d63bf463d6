"""The fixed cases: corners of the specification, each by the id of its rule.

They are calls of the core in float64, one list for each variant of an operation. What they have in common with the
strategies: no value twice in an image, N ≠ C ≠ H ≠ W.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from attn_ref.conventions.pixel_maps import normalised
from attn_ref.ops.activations import get_activation
from attn_ref.registry import Call

__all__ = ["CORNERS", "RISKY", "Corner"]

Options = dict[str, Any]
Corner = tuple[str, Call]
"""The id of a rule, and a call."""

RISKY = ("X1", "X2")
"""Rules on which implementations have crashed: their cases are only tried in a process of its own."""

_ALL_BITS = np.pi / 3
"""Numbers times this have digits to the last: an arithmetic of fewer shows."""

# ---------------------------------------------------------------------------------------------------------------------
# grid_sample


def _image(shape: tuple[int, ...]) -> Any:
    count = int(np.prod(shape))
    return ((np.random.default_rng(count).permutation(count) - count // 2) * _ALL_BITS / 8).reshape(shape)


def _sampler_call(variant: Options, shape: tuple[int, ...], pixels: Any) -> Call:
    """Read an image at pixels (N, …, d), x first."""
    aligned = variant["align_corners"]
    axes = [normalised(np, pixels[..., a], shape[-1 - a], aligned) for a in range(variant["ndim"])]
    return Call((_image(shape), np.stack(axes, axis=-1)), {k: v for k, v in variant.items() if k != "ndim"})


def _scattered(shape: tuple[int, ...], output: tuple[int, ...], low: float, high: float) -> Any:
    """Pixels (N, *output, d) between low and S − 1 + high, 1/16 and more from whole and half ones."""
    rng = np.random.default_rng(7)
    size = np.array(shape[:1:-1])
    p = rng.uniform(low, size - 1 + high, (shape[0], *output, len(size)))
    return np.floor(2 * p) / 2 + 1 / 16 + (2 * p - np.floor(2 * p)) * 3 / 16


def _sampler_corners(variant: Options) -> Iterator[Corner]:
    d, mode, padding = variant["ndim"], variant["mode"], variant["padding_mode"]
    shape, output = ((2, 3, 5, 4), (2, 3)) if d == 2 else ((2, 1, 3, 5, 4), (1, 2, 3))
    size = np.array(shape[:1:-1])
    yield "C1", _sampler_call(variant, shape, _scattered(shape, output, 0, -0.5))
    rule = {"zeros": "P1", "border": "P2", "reflection": "P3"}[padding]
    yield rule, _sampler_call(variant, shape, _scattered(shape, output, -2 * max(size), 2 * max(size)))
    yield ("P4" if mode == "bicubic" else rule), _sampler_call(variant, shape, _scattered(shape, output, -1.5, 1.5))
    even = (2, 3, 3, 5) if variant["align_corners"] else (2, 3, 2, 4)  # sizes where these pixels are hit exactly
    shape_2 = even if d == 2 else (*even[:2], 5 if variant["align_corners"] else 8, *even[2:])
    halves = np.random.default_rng(3).integers(-3, 2 * np.array(shape_2[:1:-1]) + 3, (2, 3, *output[1:], d)) / 2
    yield (
        {"bilinear": "M1", "nearest": "M2", "bicubic": "M3"}[mode],
        _sampler_call(variant, shape_2, halves[:, :1] if d == 3 else halves),
    )
    for axis in range(d):
        one = list(shape)
        one[-1 - axis] = 1
        grid = np.random.default_rng(axis).uniform(-1.7, 1.7, (2, *output, d))
        yield "C3", Call((_image(tuple(one)), grid), {k: v for k, v in variant.items() if k != "ndim"})
    crowd = (2, 3, 2, 3) if d == 2 else (2, 1, 2, 3, 4)
    yield "D1", _sampler_call(variant, crowd, _scattered(crowd, (3, 5) if d == 2 else (2, 3, 2), 0, 0))
    few = _scattered(shape, output, 0, -0.5)
    for value, rule in ((np.nan, "X1"), (np.inf, "X2"), (-np.inf, "X2")):
        call = _sampler_call(variant, shape, few)
        call.inputs[1][(1, *[0] * (d - 1), 1, d - 1)] = value
        yield rule, call
    if padding != "reflection":
        call = _sampler_call(variant, shape, few)
        call.inputs[1][(0, *[0] * (d - 1), 1, 0)], call.inputs[1][(1, *[0] * (d - 1), 2, d - 1)] = -4e9, 1e10
        yield "X3", call
    if padding == "zeros":
        call = _sampler_call(variant, shape, _scattered(shape, output, 0, -0.5) - size - 4)
        call.inputs[0][...] = np.where(_at_an_edge(shape), np.inf, call.inputs[0])
        yield "X4", call
    yield "T5", _sampler_call(variant, shape, _scattered(shape, output, -1, 1))
    many = (shape[0], 17, *shape[2:])  # more channels, and more points, than a vector has
    yield "S1", _sampler_call(variant, many, _scattered(many, output, -2, 2))
    yield "S1", _sampler_call(variant, shape, _scattered(shape, (11, 13) if d == 2 else (3, 5, 7), -2, 2))
    for empty in ((0, *shape[1:]), (shape[0], 0, *shape[2:])):
        grid = np.zeros((empty[0], *output, d))
        yield "E3", Call((np.zeros(empty), grid), {k: v for k, v in variant.items() if k != "ndim"})
    if d == 2:
        wide = (1, 2, 3, 4096)
        yield "D2", _sampler_call(variant, wide, _scattered(wide, (2, 5), -1, 1))


def _at_an_edge(shape: tuple[int, ...]) -> Any:
    inside = np.zeros(shape, bool)
    inside[(slice(None), slice(None), *[slice(1, -1)] * (len(shape) - 2))] = True
    return ~inside


# ---------------------------------------------------------------------------------------------------------------------
# affine_grid, activations, squeeze_excitation


def _affine_grid_corners(variant: Options) -> Iterator[Corner]:
    d, aligned = variant["ndim"], variant["align_corners"]
    rng = np.random.default_rng(d)
    theta = rng.integers(-32, 33, (2, d, d + 1)) * _ALL_BITS / 16
    identity = np.stack([np.eye(d, d + 1)] * 2)
    space = (5, 4) if d == 2 else (3, 5, 4)
    yield "C2", Call((identity,), {"size": (2, 3, *space), "align_corners": aligned})
    yield "S4", Call((theta,), {"size": (2, 3, *space), "align_corners": aligned})
    yield "C3", Call((theta,), {"size": (2, 3, *space[:-1], 1), "align_corners": aligned})
    yield "C3", Call((theta,), {"size": (2, 3, *[1] * d), "align_corners": aligned})
    yield "D2", Call((theta,), {"size": (2, 3, *[1] * (d - 2), 2, 4096), "align_corners": aligned})
    yield "T5", Call((theta,), {"size": (2, 3, *space), "align_corners": aligned})
    yield "E3", Call((theta[:0],), {"size": (0, 3, *space), "align_corners": aligned})
    spoilt = theta.copy()
    spoilt[1, 0, 0] = np.nan
    yield "E6", Call((spoilt,), {"size": (2, 3, *space), "align_corners": aligned})


def _activation_corners(variant: Options) -> Iterator[Corner]:
    options = {key: value for key, value in variant.items() if key != "name"}
    kinks = getattr(get_activation(variant["name"], **options), "kinks", ())
    rule = {"relu": "Q3", "hard_sigmoid": "Q2"}.get(variant["name"], "Q4")
    yield rule, Call((np.array([[*kinks, -0.5, 0.25, 3.5], [*kinks, -3.5, 0.0, 1.0]]),), dict(variant))
    yield "Q3", Call((np.array([[-1000.0, -80.0, -20.0, -6.5], [1000.0, 80.0, 20.0, 6.5]]),), dict(variant))
    yield "X5", Call((np.array([[np.nan, 1.0, -1.0], [np.inf, -np.inf, 0.5]]),), dict(variant))


def _squeeze_excitation_corners(variant: Options) -> Iterator[Corner]:
    options = {name: value for name, value in variant.items() if name != "ndim"}
    rng = np.random.default_rng(11)
    for rule, (n, c, r), space in (
        ("Q1", (2, 6, 3), (3, 5, 4)),
        ("Q1", (1, 4, 1), (1, 1, 1)),
        ("D2", (2, 16, 4), (8, 9, 10)),
    ):
        shapes = ((n, c, *space[: variant["ndim"]]), (r, c), (c, r), (r,), (c,))
        inputs = [rng.uniform(-2, 2, shape) for shape in shapes]
        yield rule, Call(tuple(inputs), options)
        if rule == "D2":
            yield "T5", Call(tuple(inputs), options)
        if rule == "Q1" and n == 2:
            spoilt = inputs[0].copy()
            spoilt[1, 0] = np.nan
            yield "X5", Call((spoilt, *inputs[1:]), options)


CORNERS: dict[str, Callable[[Options], Iterator[Corner]]] = {
    "grid_sample": _sampler_corners,
    "affine_grid": _affine_grid_corners,
    "activation": _activation_corners,
    "squeeze_excitation": _squeeze_excitation_corners,
}
"""The corners of a variant, by operation; those without have only drawn cases."""
