"""Points at which all mistakes show."""

import numpy as np

from attn_ref.registry import OPERATIONS
from attn_ref.verify.bounds import FUNCTIONS
from attn_ref.verify.mistakes import Point


def _point(name, inputs, options, seed, dtype="float64"):
    rng = np.random.default_rng(seed)
    y = OPERATIONS[name].forward(inputs, options)
    tangents = tuple(rng.standard_normal(x.shape) for x in inputs)
    return Point(inputs, options, dtype, rng.standard_normal(y.shape), tangents, sharp=True)


def _samplers():
    rng = np.random.default_rng(1)
    variants = OPERATIONS["grid_sample"].variants
    in_3d = [variant for variant in variants if variant["ndim"] == 3]
    for i, variant in enumerate([v for v in variants if v["ndim"] == 2] + in_3d[::7]):
        options = {**variant, "channels_last": False}
        d = options.pop("ndim")
        space = ((5, 9) if options["align_corners"] else (4, 8)) if d == 2 else (3, 5, 2)
        image = rng.standard_normal((3, 4, *space))
        steps = 4 * (np.array(space[::-1]) - 1) if options["align_corners"] else 4 * np.array(space[::-1])
        grid = rng.integers(-3 * steps, 3 * steps + 1, (3, *((4, 5) if d == 2 else (2, 1, 3)), d)) / steps
        off = rng.uniform(-0.9, 0.9, grid.shape)
        grid = np.where(rng.random(grid.shape) < 0.5, grid, off)
        grid[2, 0, 0] = 0
        grid[2, 0, 0, ..., 0] = -1 - options["align_corners"] / (space[-1] - 1)  # the tie at −½
        if i % 2:
            grid[0, 0, 0], grid[1, 0, 0], grid[1, 1, 0] = np.nan, 1e10, -(2.0**40)
            image[..., 0, 0], image[..., -1, -1] = np.inf, np.nan
        yield _point("grid_sample", (image, grid), options, i)
        if i == 5:
            yield _point("grid_sample", (np.moveaxis(image, 1, -1).copy(), grid), {**options, "channels_last": True}, i)


def _affine_grids():
    rng = np.random.default_rng(2)
    for i, variant in enumerate(OPERATIONS["affine_grid"].variants):
        d = variant["ndim"]
        for space in ((3, 4), (1, 5)) if d == 2 else ((2, 3, 4), (4, 1, 3)):
            options = {"size": (2, 3, *space), "align_corners": variant["align_corners"]}
            yield _point("affine_grid", (rng.standard_normal((2, d, d + 1)),), options, i)


def _affine_inverses():
    rng = np.random.default_rng(3)
    for d in (2, 3):
        yield _point("affine_inverse", (rng.standard_normal((2, d, d + 1)) + 2 * np.eye(d, d + 1),), {}, d)


def _activations():
    x = np.array([[-1e3, -3.0, -1.3, 0.0, 0.5, 3.0, 1e3], [np.nan, -2.6, -2.0, 2.0, 1.0, -1.0, 2.6]])
    for i, variant in enumerate(OPERATIONS["activation"].variants):
        yield _point("activation", (x,), dict(variant), i)


def _glus():
    rng = np.random.default_rng(4)
    for i, (axis, shape) in enumerate(((1, (2, 4, 6)), (2, (2, 4, 6)), (-1, (2, 4, 6)), (1, (2, 4, 6, 8)))):
        yield _point("glu", (rng.standard_normal(shape),), {"axis": axis}, i)


def _squeeze_excitations():
    rng = np.random.default_rng(5)
    for i, variant in enumerate(OPERATIONS["squeeze_excitation"].variants):
        options = {name: value for name, value in variant.items() if name != "ndim"}
        image = rng.standard_normal((2, 20, *(3, 2, 1)[: variant["ndim"]])) * (30000 if i % 3 == 2 else 1)
        shapes = ((7, 20), (20, 7), (7,), (20,))
        inputs = (image, *(rng.standard_normal(shape) / 2 for shape in shapes))
        yield _point("squeeze_excitation", inputs, {**options, "channels_last": False}, i)


POINTS = {
    "grid_sample": list(_samplers()),
    "affine_grid": list(_affine_grids()),
    "affine_inverse": list(_affine_inverses()),
    "activation": list(_activations()),
    "glu": list(_glus()),
    "squeeze_excitation": list(_squeeze_excitations()),
}


def results(specification, model, points):
    """All results as bytes: both ends, to nine digits of the largest; of derived functions at some points alone."""
    content = []
    for i, point in enumerate(points):
        for function in FUNCTIONS if i % 4 == 0 else FUNCTIONS[:2]:
            for of, interval in model.evaluate(specification, function, point).items():
                for end in interval:
                    largest = np.abs(end[np.isfinite(end)]).max(initial=1e-300)
                    unit = 10.0 ** np.floor(np.log10(largest))
                    content.append((function, of, unit, end.shape, (np.round(end / unit, 8) + 0.0).tobytes()))
    return tuple(content)
