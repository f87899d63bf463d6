"""Exact data for the tests of this folder: random fractions, and points put where they are wanted, in pixels."""

import random
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from attn_ref.exact import to_fractions
from attn_ref.exact.rationals import FractionArray, zeros

DEGREE = {"nearest": 0, "bilinear": 1, "bicubic": 3}  # of the weights, in each coordinate
PADDINGS = ["zeros", "border", "reflection"]
ALIGNED = pytest.mark.parametrize("align_corners", [True, False])
MODE = pytest.mark.parametrize("mode", DEGREE)
PADDING = pytest.mark.parametrize("padding_mode", PADDINGS)
SIZES = pytest.mark.parametrize("sizes", [(3, 4), (2, 3, 2)], ids=["2d", "3d"])

# Inside the image, across its edges, folds away, beyond one edge: always 1/10 pixel or more from whole and half pixels.
INSIDE_CELLS = [
    (Fraction(4, 5), Fraction(9, 7), Fraction(5, 8)),
    (Fraction(-3, 8), Fraction(11, 5), Fraction(-2, 7)),
    (Fraction(77, 8), Fraction(-31, 5), Fraction(6, 5)),
    (Fraction(-12, 7), Fraction(6, 5), Fraction(-27, 8)),
]


def same(a: FractionArray, b: FractionArray) -> bool:
    """Return whether shapes and all elements are equal."""
    return a.shape == b.shape and bool((a == b).all())


def random_array(generator: random.Random, shape: tuple[int, ...], denominator: int = 8) -> FractionArray:
    """Return small random fractions."""
    result = zeros(shape)
    for place in np.ndindex(shape):
        result[place] = Fraction(generator.randint(-3 * denominator, 3 * denominator), denominator)
    return result


def normalised(p: Fraction, size: int, align_corners: bool) -> Fraction:
    """Return the g whose pixel coordinate is p; the middle where there is but one, p = 0."""
    if align_corners and size == 1:
        return Fraction(0)
    return 2 * p / (size - 1) - 1 if align_corners else (2 * p + 1) / size - 1


def grid_at(pixels: list[tuple[Any, ...]], sizes: tuple[int, ...], align_corners: bool) -> FractionArray:
    """Return a grid of one row with the points given in pixels, (x, y) or (x, y, z); sizes are ([D,] H, W)."""
    points = [
        [normalised(Fraction(p), size, align_corners) for p, size in zip(point, reversed(sizes), strict=True)]
        for point in pixels
    ]
    nested: Any = [points]
    for _ in range(len(sizes) - 1):
        nested = [nested]
    return to_fractions(nested)


def points_inside_cells(sizes: tuple[int, ...], align_corners: bool, count: int) -> FractionArray:
    """Return a grid of the first points of `INSIDE_CELLS`."""
    return grid_at([point[: len(sizes)] for point in INSIDE_CELLS[:count]], sizes, align_corners)


def problem(
    sizes: tuple[int, ...], align_corners: bool, count: int = 3, seed: int = 1
) -> tuple[FractionArray, FractionArray, FractionArray, FractionArray, FractionArray]:
    """Return image, grid, cotangent of the output, and tangents of image and grid."""
    generator = random.Random(seed)
    grid = points_inside_cells(sizes, align_corners, count)
    image = random_array(generator, (1, 2, *sizes))
    cotangent = random_array(generator, (1, 2, *grid.shape[1:-1]))
    return image, grid, cotangent, random_array(generator, image.shape), random_array(generator, grid.shape)
