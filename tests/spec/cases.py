"""What the tests of this folder share: the options to run through, data, and one call of all four functions."""

import functools
from typing import Any

import numpy as np
import pytest

import attn_ref

from .oracle import Options

MODES = ["nearest", "bilinear", "bicubic"]
PADDINGS = ["zeros", "border", "reflection"]
# Sizes at which whole and half pixels have exact normalised coordinates, for corners aligned and not.
SPACES = {(True, 2): (3, 5), (True, 3): (2, 3, 5), (False, 2): (2, 4), (False, 3): (4, 2, 8)}

MODE = pytest.mark.parametrize("mode", MODES)
PADDING = pytest.mark.parametrize("padding_mode", PADDINGS)
ALIGNED = pytest.mark.parametrize("align_corners", [True, False], ids=["aligned", "edges"])
DIMENSIONS = pytest.mark.parametrize("d", [2, 3], ids=["2d", "3d"])
LAYOUT = pytest.mark.parametrize("channels_last", [False, True], ids=["first", "last"])
PRIMITIVES = pytest.mark.usefixtures("primitives")
DTYPE = pytest.mark.parametrize("dtype", [np.float64, np.float32])


def every_option(test: Any) -> Any:
    """Every mode, padding, alignment, number of axes and layout: 72 cases."""
    return LAYOUT(DIMENSIONS(ALIGNED(PADDING(MODE(test)))))


def normalised(p: float, size: int, align_corners: bool) -> float:
    """The normalised coordinate of a pixel coordinate; at the sizes of SPACES the way back is exact."""
    if align_corners:
        return 2 * p / (size - 1) - 1 if size > 1 else 0.0
    return (2 * p + 1) / size - 1


def grid_of(points: Any, dtype: Any = np.float64, batch: int = 1) -> np.ndarray:
    """Normalised points, a list of (x, y) or (x, y, z), as a grid of one row; the same for each sample."""
    array = np.array(points, dtype)
    one = array.reshape(*[1] * array.shape[1], *array.shape)
    return np.repeat(one, batch, axis=0)


def pixel_grid(points: Any, space: tuple[int, ...], align_corners: bool, dtype: Any = np.float64) -> np.ndarray:
    """The same, the points given in pixels."""
    sizes = space[::-1]
    rows = [[normalised(p, s, align_corners) for p, s in zip(point, sizes, strict=True)] for point in points]
    return grid_of(rows, dtype)


class Problem:
    """Image, grid, cotangent of the output, and a direction (u, v) that serves as tangents and second cotangents."""

    def __init__(self, space: tuple[int, ...], grid: np.ndarray, *, channels: int = 3, seed: int = 0) -> None:
        generator = np.random.default_rng(seed)

        def draw(*shape: int) -> np.ndarray:
            # eighths, so that whole weights give whole results; never 0, so that a product shows
            return ((generator.integers(1, 24, shape) / 8) * generator.choice([-1, 1], shape)).astype(grid.dtype)

        self.grid = grid
        self.image = draw(grid.shape[0], channels, *space)
        self.grad_output = draw(grid.shape[0], channels, *grid.shape[1:-1])
        self.u = draw(*self.image.shape)
        self.v = draw(*grid.shape)

    @property
    def arrays(self) -> tuple[np.ndarray, ...]:
        return self.image, self.grid, self.grad_output, self.u, self.v


def run(problem: Problem, options: Options, channels_last: bool = False) -> dict[str, np.ndarray]:
    """All four functions, with the names of the oracle; results with the channels first, whatever the layout."""
    last = functools.partial(np.moveaxis, source=1, destination=-1) if channels_last else lambda a: a
    first = functools.partial(np.moveaxis, source=-1, destination=1) if channels_last else lambda a: a
    image, grid, grad_output, u, v = problem.arrays
    image, grad_output, u = last(image), last(grad_output), last(u)
    named: dict[str, Any] = {**options._asdict(), "channels_last": channels_last}
    back = attn_ref.grid_sample_backward(grad_output, image, grid, **named)
    double = attn_ref.grid_sample_double_backward(u, v, grad_output, image, grid, **named)
    return {
        "output": first(attn_ref.grid_sample(image, grid, **named)),
        "tangent": first(attn_ref.grid_sample_jvp(image, grid, u, v, **named)),
        "grad_input": first(back.input),
        "grad_grid": back.grid,
        "of_grad_output": first(double.grad_output),
        "of_input": first(double.input),
        "of_grid": double.grid,
    }


PER_POINT = ["output", "tangent", "of_grad_output"]  # channels first
PER_COMPONENT = ["grad_grid", "of_grid"]
PER_PIXEL = ["grad_input", "of_input"]


def assert_agrees(got: dict[str, np.ndarray], want: dict[str, np.ndarray], dtype: Any) -> None:
    """Equal up to rounding, NaN and inf in the same places."""
    u = float(np.finfo(dtype).eps)
    for name, expected in want.items():
        finite = np.abs(expected[np.isfinite(expected)])
        scale = max(100.0, float(finite.max(initial=0)))  # what is summed is at most some hundreds
        np.testing.assert_allclose(got[name], expected, rtol=100 * u, atol=10 * u * scale, err_msg=name)
        assert got[name].dtype == dtype
