"""The problems of affine_grid, affine_inverse and grid_sample.

Each grid holds points of one kind. "inside" has points inside cells whose pixel coordinates are computed without
rounding; "kinks" whole and half pixels; "bits" numbers whose every bit is in use; the others are named by what is
special about them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np

from attn_ref.backend import Array
from attn_ref.registry import OPERATIONS
from attn_ref.vectors.inputs import dyadic, full, integers
from attn_ref.vectors.problem import DTYPES, Problem

__all__ = ["affine_grids", "affine_inverses", "grid_samples"]

_SPACE = {2: (4, 5), 3: (3, 4, 5)}
_OUTPUT = {2: (2, 3), 3: (1, 2, 3)}
_ON_KINKS = {(2, True): (3, 5), (2, False): (2, 4), (3, True): (2, 3, 5), (3, False): (4, 2, 8)}
"""Sizes at which whole and half pixels have normalised coordinates of few bits."""
_PADDING_RULE = {"zeros": "P1", "border": "P2", "reflection": "P3"}
_MODE_RULE = {"bilinear": "M1", "nearest": "M2", "bicubic": "M3"}
_TWO = ("float64", "float32")


def grid_samples() -> Iterator[Problem]:
    """Yield the problems of grid_sample: every variant with points of every kind, then what is rare."""
    for variant in OPERATIONS["grid_sample"].variants:
        d, options = variant["ndim"], {name: value for name, value in variant.items() if name != "ndim"}
        yield _inside(d, options)
        yield _kinks(d, options)
        for dtype in ("float32",) if d == 3 else DTYPES:
            yield _bits(d, options, dtype)
        yield _not_numbers(d, options)
        if d == 2:
            for dtype in _TWO:
                yield _far(options, dtype)
            yield _one_pixel(options)
            yield _unused_pixels(options)
    yield from _rare()


def _named(kind: str, d: int, options: dict[str, Any]) -> str:
    corners = "aligned" if options["align_corners"] else "edges"
    return f"grid_sample-{d}d-{options['mode']}-{options['padding_mode']}-{corners}-{kind}"


def _sampling(kind: str, image: Array, grid: Array, options: dict[str, Any], *rules: str, **more: Any) -> Problem:
    """A problem of grid_sample, with the rules that its options are about."""
    usual = ("C1", _PADDING_RULE[options["padding_mode"]], _MODE_RULE[options["mode"]])
    return Problem(
        name=_named(kind, grid.shape[-1], options),
        operation="grid_sample",
        inputs={"input": image, "grid": grid},
        options={**options, "channels_last": False},
        rules=(*usual, *rules),
        **more,
    )


def _inside(d: int, options: dict[str, Any]) -> Problem:
    """Points in and round the image, and as many again up to two images away."""
    name = _named("inside", d, options)
    batch, channels = (2, 3) if d == 2 else (1, 2)
    near = dyadic(f"{name}/near", (batch, *_OUTPUT[d], d), largest=2, denominator=32)
    far = dyadic(f"{name}/away", near.shape, largest=4, denominator=16)
    grid = np.where(integers(f"{name}/which", (*near.shape[:-1], 1), 0, 1) > 0, near, far)
    return _sampling("inside", dyadic(f"{name}/input", (batch, channels, *_SPACE[d])), grid, options, "S2")


def _kinks(d: int, options: dict[str, Any]) -> Problem:
    """Whole and half pixels, from one and a half before the first to as many behind the last."""
    name, space = _named("kinks", d, options), _ON_KINKS[d, options["align_corners"]]
    points = 12 if d == 2 else 6
    coordinates = []
    for axis, size in enumerate(reversed(space)):
        pixel = integers(f"{name}/axis {axis}", (1, *[1] * (d - 1), points), -3, 2 * size + 1) / 2
        coordinates.append(_normalised(pixel, size, options["align_corners"]))
    image = dyadic(f"{name}/input", (1, 2, *space))
    return _sampling("kinks", image, np.stack(coordinates, axis=-1), options, dtypes=_TWO if d == 2 else ("float32",))


def _normalised(pixel: Array, size: int, align_corners: bool) -> Array:
    return 2 * pixel / (size - 1) - 1 if align_corners else (2 * pixel + 1) / size - 1


def _bits(d: int, options: dict[str, Any], dtype: str) -> Problem:
    name = f"{_named('bits', d, options)}/{dtype}"
    points = (2, 4) if d == 2 else (1, 1, 4)
    image, grid = full(f"{name}/input", (1, 2, *_SPACE[d]), dtype), full(f"{name}/grid", (1, *points, d), dtype)
    return _sampling("bits", image, grid, options, "T1", dtypes=(dtype,))


def _far(options: dict[str, Any], dtype: str) -> Problem:
    """Finite coordinates so large that their pixel is only right if nothing is cast or added too early."""
    huge = {"float64": 1e300, "float32": 1e37}[dtype]
    lengths = np.array([huge, -huge, huge / 3, -huge / 7, 1000.3, -777.7], dtype)
    grid = np.full((1, 2, len(lengths), 2), 0.25, dtype)
    grid[0, 0, :, 0] = grid[0, 1, :, 1] = lengths
    image = dyadic(f"{_named('far', 2, options)}/input", (1, 2, *_SPACE[2]))
    return _sampling("far", image, grid, options, "X3", dtypes=(dtype,), tag="acceptable")


def _not_numbers(d: int, options: dict[str, Any]) -> Problem:
    """NaN and infinities in each coordinate, alone and together, between ordinary points."""
    nan, inf = np.nan, np.inf
    points = [[0.25, -0.375], [nan, 0.25], [0.25, nan], [nan, inf], [inf, 0.25], [-inf, 0.25], [0.25, inf], [-inf, inf]]
    grid = np.full((1, *[1] * (d - 1), len(points), d), 0.125)
    grid[..., -2:] = points
    image = dyadic(f"{_named('not-numbers', d, options)}/input", (1, 2, *_SPACE[d]))
    more: dict[str, Any] = {"tag": "acceptable", "dtypes": _TWO if d == 2 else ("float32",)}
    return _sampling("not-numbers", image, grid, options, "X1", "X2", **more)


def _one_pixel(options: dict[str, Any]) -> Problem:
    """One pixel along an axis. Between aligned corners every g but NaN is that pixel."""
    more: dict[str, Any] = {"dtypes": ("float32",)}
    points = [[-1.0, -0.5], [0.3125, 0.25], [-0.1875, 1.5], [0.0625, -2.25]]
    if options["align_corners"]:
        points += [[6e4, 0.125], [np.inf, 0.125], [np.nan, 0.125]]
        more["tag"] = "acceptable"
    grid = np.array(points).reshape(1, 1, -1, 2)
    image = dyadic(f"{_named('one-pixel', 2, options)}/input", (1, 2, 5, 1))
    return _sampling("one-pixel", image, grid, options, "C3", **more)


def _unused_pixels(options: dict[str, Any]) -> Problem:
    """NaN and infinities in pixels that no tap reads."""
    image = dyadic(f"{_named('unused', 2, options)}/input", (1, 2, 6, 5))
    image[0, 0, 4:, :] = np.nan
    image[0, 1, :, 4:] = np.inf
    points = [[1.25, 1.375], [1.875, 1.125]]  # in pixels: of taps 0 to 3 along each axis
    rows = [
        [_normalised(np.float64(p), size, options["align_corners"]) for p, size in zip(point, (5, 6), strict=True)]
        for point in points
    ]
    grid = np.array(rows, np.float32).reshape(1, 1, 2, 2)
    return _sampling("unused", image, grid, options, "X4", dtypes=("float32",))


def _rare() -> Iterator[Problem]:
    """Channels last, empty arrays, and a NaN pixel that is read."""
    base = {"mode": "bilinear", "padding_mode": "border", "align_corners": False}
    for mode in _MODE_RULE:
        for d in (2, 3):
            problem = _inside(d, {**base, "mode": mode})
            image = problem.inputs["input"]
            assert image is not None
            yield dataclasses.replace(
                problem,
                name=_named("channels-last", d, {**base, "mode": mode}),
                inputs={**problem.inputs, "input": np.moveaxis(image, 1, -1)},
                options={**problem.options, "channels_last": True},
                rules=(*problem.rules, "S1"),
                dtypes=("float32",),
            )
    shapes = {
        "no-batch": ((0, 3, 4, 5), (0, 2, 3, 2)),
        "no-channels": ((2, 0, 4, 5), (2, 2, 3, 2)),
        "no-output": ((2, 3, 4, 5), (2, 0, 3, 2)),
    }
    for kind, (image_shape, grid_shape) in shapes.items():
        image, grid = dyadic(f"{kind}/input", image_shape), dyadic(f"{kind}/grid", grid_shape)
        yield _sampling(kind, image, grid, base, "E3", dtypes=("float32",))
    image, grid = dyadic("used/input", (1, 2, 4, 5)), np.array([[0.125, 0.125], [-0.875, -0.875]]).reshape(1, 1, 2, 2)
    image[0, 1, 2, 2] = np.nan
    yield _sampling("used-nan", image, grid, base, "X5", functions=("forward",))


# ---------------------------------------------------------------------------------------------------------------------


def affine_grids() -> Iterator[Problem]:
    """Yield the problems of affine_grid."""
    for variant in OPERATIONS["affine_grid"].variants:
        d, aligned = variant["ndim"], variant["align_corners"]
        space = {2: (4, 5), 3: (2, 4, 5)}[d]
        name = f"affine_grid-{d}d-{'aligned' if aligned else 'edges'}"

        def problem(kind: str, theta: Array, size: tuple[int, ...], *rules: str, **more: Any) -> Problem:
            options = {"size": size, "align_corners": aligned}  # noqa: B023  called within the same round
            return Problem(f"{name}-{kind}", "affine_grid", {"theta": theta}, options, ("S4", "C2", *rules), **more)  # noqa: B023

        shape = (2, d, d + 1)
        yield problem("dyadic", dyadic(f"{name}/theta", shape), (2, 3, *space))
        for dtype in DTYPES:
            theta = full(f"{name}/theta/{dtype}", shape, dtype)
            yield problem("bits", theta, (2, 3, *space), "T1", dtypes=(dtype,))
        tag = "acceptable" if aligned else "valid"
        yield problem("one-pixel", dyadic(f"{name}/theta", shape), (2, 3, *space[:-1], 1), "C3", tag=tag)
        yield problem("no-output", dyadic(f"{name}/theta", shape), (2, 3, *space[:-1], 0), "E3", dtypes=("float32",))


def affine_inverses() -> Iterator[Problem]:
    """Yield the problems of affine_inverse: well conditioned maps, turned, mirrored and shifted."""
    for variant in OPERATIONS["affine_inverse"].variants:
        d = variant["ndim"]
        name = f"affine_inverse-{d}d"
        order = np.roll(np.eye(d), 1, axis=1) * np.array([1, -1, 1][:d])[:, None]
        strong = np.concatenate([np.stack([np.eye(d), order]) * 2, np.zeros((2, d, 1))], axis=2)
        theta = strong + dyadic(f"{name}/theta", strong.shape, largest=1) / 2
        yield Problem(f"{name}-dyadic", "affine_inverse", {"theta": theta}, {}, ("S4",))
        for dtype in DTYPES:
            bits = np.asarray(strong + full(f"{name}/theta/{dtype}", strong.shape, dtype, largest=1) / 4, dtype)
            yield Problem(f"{name}-bits", "affine_inverse", {"theta": bits}, {}, ("S4", "T1"), dtypes=(dtype,))
