"""Derivatives against differences that are exact, first inside cells, then on the kinks."""

import random
from fractions import Fraction as Fr

import numpy as np
import pytest

from attn_ref.exact import (
    grid_sample,
    grid_sample_backward,
    grid_sample_double_backward,
    grid_sample_jvp,
    to_fractions,
)

from .problems import ALIGNED, DEGREE, MODE, PADDING, PADDINGS, SIZES, normalised, problem, random_array, same
from .stencils import derivative_at_zero, gradient_by_stencil, inner


@SIZES
@MODE
@PADDING
@ALIGNED
def test_backward_is_the_exact_difference_quotient(sizes, mode, padding_mode, align_corners):
    options = {"mode": mode, "padding_mode": padding_mode, "align_corners": align_corners}
    image, grid, cotangent, *_ = problem(sizes, align_corners)
    to_input, to_grid = grid_sample_backward(cotangent, image, grid, **options)
    by_image = gradient_by_stencil(lambda x: inner(cotangent, grid_sample(x, grid, **options)), image, 1)
    by_grid = gradient_by_stencil(lambda g: inner(cotangent, grid_sample(image, g, **options)), grid, DEGREE[mode])
    assert same(to_input, by_image)
    assert same(to_grid, by_grid)


@pytest.mark.parametrize(
    ("sizes", "mode"), [((3, 4), "nearest"), ((3, 4), "bilinear"), ((3, 4), "bicubic"), ((2, 3, 2), "bilinear")]
)
@PADDING
@ALIGNED
def test_jvp_is_the_exact_derivative_along_a_joint_direction(sizes, mode, padding_mode, align_corners):
    options = {"mode": mode, "padding_mode": padding_mode, "align_corners": align_corners}
    image, grid, _, dx, dg = problem(sizes, align_corners)
    tangent = grid_sample_jvp(image, grid, dx, dg, **options)
    along = derivative_at_zero(
        lambda h: grid_sample(image + dx * h, grid + dg * h, **options),
        1 + DEGREE[mode] * len(sizes),
        step=Fr(1, 1024),
    )
    assert same(tangent, along)


@SIZES
@MODE
@PADDING
@ALIGNED
def test_forward_and_backward_are_adjoint_exactly(sizes, mode, padding_mode, align_corners):
    options = {"mode": mode, "padding_mode": padding_mode, "align_corners": align_corners}
    image, grid, cotangent, dx, dg = problem(sizes, align_corners, seed=2)
    for points in (grid, random_array(random.Random(3), grid.shape, 2)):  # the second one is full of kinks
        to_input, to_grid = grid_sample_backward(cotangent, image, points, **options)
        assert inner(grid_sample(image, points, **options), cotangent) == inner(image, to_input)
        pushed = grid_sample_jvp(image, points, dx, dg, **options)
        assert inner(pushed, cotangent) == inner(dx, to_input) + inner(dg, to_grid)


@SIZES
@MODE
@PADDING
@ALIGNED
def test_double_backward_is_the_exact_difference_quotient_of_backward(sizes, mode, padding_mode, align_corners):
    options = {"mode": mode, "padding_mode": padding_mode, "align_corners": align_corners}
    image, grid, cotangent, u, v = problem(sizes, align_corners, count=3 if len(sizes) == 2 else 2, seed=4)

    def paired(cotangent=cotangent, image=image, grid=grid):
        to_input, to_grid = grid_sample_backward(cotangent, image, grid, **options)
        return inner(u, to_input) + inner(v, to_grid)

    result = grid_sample_double_backward(u, v, cotangent, image, grid, **options)
    assert same(result.grad_output, gradient_by_stencil(lambda y: paired(cotangent=y), cotangent, 1))
    assert same(result.grid, gradient_by_stencil(lambda g: paired(grid=g), grid, DEGREE[mode]))
    if (len(sizes), mode) == (3, "bicubic"):  # linear in the image: one direction says as much, in less time
        direction = random_array(random.Random(5), image.shape)
        along = derivative_at_zero(lambda h: paired(image=image + direction * h), 1)
        assert inner(result.input, direction) == along
    else:
        assert same(result.input, gradient_by_stencil(lambda x: paired(image=x), image, 1))


# --- on the kinks -------------------------------------------------------------------------------------------------

# At the whole pixels -4 … 8 of a row of four: R and L name the one-sided derivative in p that is meant, 0 is zero.
SIDES = [
    ("zeros", True, "RRRRRRRRRRRRR"),
    ("zeros", False, "RRRRRRRRRRRRR"),
    ("border", True, "00000RR000000"),
    ("border", False, "00000RR000000"),
    ("reflection", True, "R0LL0RR0LL0RR"),
    ("reflection", False, "0LL00RR00LL00"),
]


@pytest.mark.parametrize("axis", ["x", "y", "z"])
@pytest.mark.parametrize(("padding_mode", "align_corners", "sides"), SIDES)
def test_the_one_sided_derivative_at_whole_pixels_m1(axis, padding_mode, align_corners, sides):
    options = {"padding_mode": padding_mode, "align_corners": align_corners}
    a = "xyz".index(axis)
    image = to_fractions([3, -1, 4, 2]).reshape(1, 1, *(4 if b == 2 - a else 1 for b in range(3)))

    def read(g):
        point = [Fr(0)] * 3
        point[a] = g
        return point, grid_sample(image, [[[[point]]]], **options).flat[0]

    for p, side in zip(range(-4, 9), sides, strict=True):
        g = normalised(Fr(p), 4, align_corners)
        grad = grid_sample_backward([[[[[1]]]]], image, [[[[read(g)[0]]]]], **options).grid.flat[a]
        left, right = (derivative_at_zero(lambda h, g=g: read(g + h)[1], 1, side=s) for s in (-1, 1))
        assert grad == {"R": right, "L": left, "0": 0}[side]
        assert min(left, right) <= grad <= max(left, right)


def test_mixed_second_derivative_at_a_whole_pixel_is_from_the_right_on_both_axes():
    image = to_fractions([[[[1, 2, 4], [8, 16, 32], [64, 128, 256]]]])  # dp/dg = 1
    zeros = np.zeros((1, 1, 3, 3))
    for padding_mode in PADDINGS:
        result = grid_sample_double_backward(
            zeros, [[[[1, 0]]]], [[[[1]]]], image, [[[[0, 0]]]], padding_mode=padding_mode, align_corners=True
        )
        assert result.grid.tolist() == [[[[0, 16 - 32 - 128 + 256]]]]


@PADDING
@ALIGNED
def test_nearest_has_no_derivative_in_the_grid_m2(padding_mode, align_corners):
    options = {"mode": "nearest", "padding_mode": padding_mode, "align_corners": align_corners}
    image, _, _, dx, _ = problem((3, 4), align_corners)
    grid = random_array(random.Random(6), (1, 2, 3, 2), 2)
    ones = np.ones((1, 2, 2, 3))
    assert not grid_sample_backward(ones, image, grid, **options).grid.any()
    assert not grid_sample_double_backward(dx, grid, ones, image, grid, **options).grid.any()
