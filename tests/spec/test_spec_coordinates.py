"""Rules S1 to S4 and C1 to C3: shapes, the order of coordinates, and normalised coordinates."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import attn_ref

from . import oracle
from .cases import (
    ALIGNED,
    DIMENSIONS,
    DTYPE,
    MODE,
    MODES,
    PADDING,
    PADDINGS,
    PRIMITIVES,
    SPACES,
    Problem,
    assert_agrees,
    every_option,
    grid_of,
    run,
)
from .oracle import Options


@every_option
def test_S1_shapes_and_layouts(mode, padding_mode, align_corners, d, channels_last):
    space, out = (4, 5, 6)[:d], (2, 3, 7)[-d:]
    image_shape, out_shape = ((2, *space, 3), (2, *out, 3)) if channels_last else ((2, 3, *space), (2, 3, *out))
    generator = np.random.default_rng(0)
    image, u = generator.normal(size=(2, *image_shape))
    grid, v = generator.uniform(-1.5, 1.5, (2, 2, *out, d))
    options = {"mode": mode, "padding_mode": padding_mode, "align_corners": align_corners}
    options["channels_last"] = channels_last
    y = attn_ref.grid_sample(image, grid, **options)
    assert y.shape == out_shape
    back = attn_ref.grid_sample_backward(y, image, grid, **options)
    assert (back.input.shape, back.grid.shape) == (image_shape, grid.shape)
    assert attn_ref.grid_sample_jvp(image, grid, u, v, **options).shape == out_shape
    double = attn_ref.grid_sample_double_backward(u, v, y, image, grid, **options)
    assert [a.shape for a in double] == [out_shape, image_shape, grid.shape]


@every_option
def test_S1_layouts_give_the_same_numbers(mode, padding_mode, align_corners, d, channels_last):
    """Both layouts, all four functions, at ordinary points: the oracle's numbers."""
    points = np.random.default_rng(d).uniform(-2.5, 2.5, (7, d))
    options = Options(mode, padding_mode, align_corners)
    problem = Problem(SPACES[align_corners, d], grid_of(points, batch=2))
    assert_agrees(run(problem, options, channels_last), oracle.everything(*problem.arrays, options), np.float64)


@MODE
@ALIGNED
def test_S2_x_indexes_the_last_axis_y_the_one_before_z_the_first(mode, align_corners):
    image = np.arange(2.0 * 3 * 5).reshape(1, 1, 2, 3, 5)
    z, y, x = 1, 0, 3
    point = [(2 * i - (s - 1)) / (s - 1 if align_corners else s) for i, s in ((x, 5), (y, 3), (z, 2))]
    got = attn_ref.grid_sample(image, grid_of([point]), mode=mode, align_corners=align_corners)
    assert got.item() == pytest.approx(image[0, 0, z, y, x], abs=1e-12)
    flat = image[:, :, z]
    got = attn_ref.grid_sample(flat, grid_of([point[:2]]), mode=mode, align_corners=align_corners)
    assert got.item() == pytest.approx(flat[0, 0, y, x], abs=1e-12)


def test_S2_first_component_of_a_grid_gradient_is_along_the_width():
    image = np.broadcast_to(np.array([0.0, 1.0, 2.0]), (1, 1, 4, 3))  # rises along W only
    grad = attn_ref.grid_sample_backward(np.ones((1, 1, 1, 1)), image, np.zeros((1, 1, 1, 2)), align_corners=True)
    assert grad.grid.ravel().tolist() == [1.0, 0.0]


@pytest.mark.parametrize(("images", "grids"), [(1, 2), (2, 1), (3, 2)])
def test_S3_batches_are_never_broadcast(images, grids):
    image, grid = np.zeros((images, 1, 2, 3)), np.zeros((grids, 4, 5, 2))
    with pytest.raises(ValueError, match=rf"input has batch size {images} but grid has {grids}.*repeat"):
        attn_ref.grid_sample(image, grid, align_corners=True)
    with pytest.raises(ValueError, match="batch size"):
        attn_ref.grid_sample_jvp(image, grid, image, grid, align_corners=True)
    with pytest.raises(ValueError, match="batch size"):
        attn_ref.affine_grid(np.zeros((images, 2, 3)), (grids, 1, 4, 5), align_corners=True)


@MODE
@PADDING
def test_S3_each_sample_reads_its_own_image_at_its_own_points(mode, padding_mode):
    generator = np.random.default_rng(1)
    image, grid = generator.normal(size=(3, 2, 4, 5)), generator.uniform(-1.5, 1.5, (3, 2, 3, 2))
    options = {"mode": mode, "padding_mode": padding_mode, "align_corners": False}
    whole = attn_ref.grid_sample(image, grid, **options)
    for n in range(3):
        one = attn_ref.grid_sample(image[n : n + 1], grid[n : n + 1], **options)
        np.testing.assert_array_equal(whole[n : n + 1], one)


@ALIGNED
def test_S4_theta_maps_output_coordinates_to_input_coordinates_row_0_gives_x(align_corners):
    theta = np.array([[[2.0, 3.0, 5.0], [7.0, 11.0, 13.0]]])
    grid = attn_ref.affine_grid(theta, (1, 1, 3, 3), align_corners=align_corners)
    one = 1 if align_corners else 2 / 3  # the centre of the last of three pixels
    assert grid[0, 1, 1].tolist() == [5, 13]
    np.testing.assert_allclose(grid[0, 1, 2], [5 + 2 * one, 13 + 7 * one], rtol=1e-15)  # a step in x
    np.testing.assert_allclose(grid[0, 2, 1], [5 + 3 * one, 13 + 11 * one], rtol=1e-15)  # a step in y
    theta = np.arange(1.0, 13).reshape(1, 3, 4)
    grid = attn_ref.affine_grid(theta, (1, 1, 3, 3, 3), align_corners=align_corners)
    np.testing.assert_allclose(grid[0, 2, 1, 1], theta[0, :, 3] + theta[0, :, 2] * one, rtol=1e-15)  # a step in z


def test_S4_a_positive_shift_of_x_moves_the_picture_to_the_left():
    image = np.array([[[[0.0, 0.0, 1.0, 0.0, 0.0]]]])
    theta = np.array([[[1.0, 0.0, 0.5], [0.0, 1.0, 0.0]]])  # reads one pixel (of 5, corners aligned) further right
    grid = attn_ref.affine_grid(theta, image.shape, align_corners=True)
    assert attn_ref.grid_sample(image, grid, align_corners=True).ravel().tolist() == [0, 1, 0, 0, 0]


@pytest.mark.parametrize("size", [2, 3, 7])
def test_C1_minus_one_and_one_are_centres_or_edges(size):
    ramp = np.arange(float(size)).reshape(1, 1, 1, size)
    grid = np.array([[[[-1.0, 0.0], [1.0, 0.0], [0.0, 0.0]]]])
    middle = (size - 1) / 2
    aligned = attn_ref.grid_sample(ramp, grid, align_corners=True)
    assert aligned.ravel().tolist() == [0, size - 1, middle]
    edges = attn_ref.grid_sample(ramp, grid, align_corners=False)  # half a pixel outside: half of it is left
    assert edges.ravel().tolist() == [0, (size - 1) / 2, middle]


@DTYPE
@ALIGNED
@pytest.mark.parametrize("size", [6, 11, 100])
def test_C1_is_evaluated_left_to_right_in_the_working_precision(dtype, align_corners, size):
    """At whole pixels a last bit of p decides the cell: the derivative tells which p was formed."""
    i = np.arange(size - 1)
    g = ((2 * i + 1 - size) / (size - 1 if align_corners else size)).astype(dtype)
    g = np.concatenate([g, np.nextafter(g, dtype(2)), np.nextafter(g, dtype(-2))])
    one, two, S = dtype(1), dtype(2), dtype(size)
    if align_corners:
        p, other = (g + one) / two * (S - one), (g * (S - one) + (S - one)) / two
    else:
        p, other = ((g + one) * S - one) / two, (g * S + (S - one)) / two
    assert (np.floor(p) != np.floor(other)).any()  # the order of evaluation shows
    squares = (np.arange(size, dtype=dtype) ** 2).reshape(1, 1, 1, size)
    grid = np.stack([g, np.zeros_like(g)], axis=-1).reshape(1, 1, -1, 2)
    back = attn_ref.grid_sample_backward(np.ones((1, 1, 1, len(g)), dtype), squares, grid, align_corners=align_corners)
    per_pixel = back.grid[0, 0, :, 0] / ((S - one) / two if align_corners else S / two)
    inside = (p >= 0) & (p < size - 1)
    np.testing.assert_allclose(per_pixel[inside], 2 * np.floor(p[inside]) + 1, rtol=1e-5)


@ALIGNED
@DIMENSIONS
@MODE
@PADDING
@pytest.mark.parametrize("channels_last", [False, True])
def test_C2_identity_reproduces_the_image(align_corners, d, mode, padding_mode, channels_last):
    """Exactly: the sizes of SPACES have exact pixel centres."""
    space = SPACES[align_corners, d]
    theta = np.repeat(np.eye(d, d + 1)[None], 2, axis=0)
    grid = attn_ref.affine_grid(theta, (2, 3, *space), align_corners=align_corners)
    image = np.random.default_rng(0).normal(size=(2, *space, 3) if channels_last else (2, 3, *space))
    options = {"mode": mode, "padding_mode": padding_mode, "align_corners": align_corners}
    np.testing.assert_array_equal(attn_ref.grid_sample(image, grid, **options, channels_last=channels_last), image)


@given(st.integers(1, 60), st.integers(1, 60), st.booleans(), st.sampled_from(MODES), st.sampled_from(PADDINGS))
def test_C2_identity_reproduces_the_image_to_rounding_at_any_size(height, width, align_corners, mode, padding_mode):
    grid = attn_ref.affine_grid(np.eye(2, 3)[None], (1, 1, height, width), align_corners=align_corners)
    image = np.random.default_rng(0).normal(size=(1, 1, height, width))
    y = attn_ref.grid_sample(image, grid, mode=mode, padding_mode=padding_mode, align_corners=align_corners)
    np.testing.assert_allclose(y, image, rtol=0, atol=1e-12)


@ALIGNED
@DIMENSIONS
def test_C2_base_grid_is_the_inverse_of_the_pixel_map(align_corners, d):
    space = (1, 6, 7)[-d:] if not align_corners else (2, 6, 7)[-d:]
    grid = attn_ref.affine_grid(np.eye(d, d + 1)[None], (1, 1, *space), align_corners=align_corners)[0]
    for a, size in enumerate(reversed(space)):
        line = np.moveaxis(grid, d - 1 - a, 0)[..., a].reshape(size, -1)
        assert (line == line[:, :1]).all()  # x does not depend on y, and so on
        p = [oracle.pixel_coordinate(g, size, align_corners, np.float64) for g in line[:, 0]]
        np.testing.assert_allclose(p, np.arange(size), rtol=0, atol=1e-14)
        exact = [Fraction(2 * i + 1 - size, size - 1 if align_corners else size) for i in range(size)]
        assert line[:, 0].tolist() == [float(x) for x in exact]  # each rounded once


EVERY_G = [0.0, 0.3, -1.0, 1.0, 7.5, -1e4, 2.0**60, 1e300, -1e300, math.inf, -math.inf]


@MODE
@PADDING
@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("space", [(1, 5), (5, 1), (1, 1), (1, 3, 5), (3, 1, 5), (3, 5, 1), (1, 1, 1)], ids=str)
@PRIMITIVES
def test_C3_one_aligned_pixel_is_read_whatever_the_coordinate(mode, padding_mode, channels_last, space):
    d = len(space)
    singles = [a for a in range(d) if space[-1 - a] == 1]
    points = [tuple(g if a in singles else 0.0 for a in range(d)) for g in EVERY_G]  # elsewhere the central pixel
    options = Options(mode, padding_mode, True)
    problem = Problem(space, grid_of(points, batch=2))
    got = run(problem, options, channels_last)
    pixel = problem.image[(..., *[s // 2 for s in space])]
    np.testing.assert_array_equal(got["output"].reshape(2, 3, -1), np.repeat(pixel[..., None], len(points), axis=-1))
    for name in ("grad_grid", "of_grid"):
        assert (got[name][..., singles] == 0).all(), name
    assert_agrees(got, oracle.everything(*problem.arrays, options), np.float64)


@pytest.mark.parametrize("space", [(1, 4), (4, 1), (1, 1), (3, 1, 4)], ids=str)
def test_C3_base_coordinate_of_one_aligned_pixel_is_0(space):
    d = len(space)
    grid = attn_ref.affine_grid(np.eye(d, d + 1)[None], (1, 1, *space), align_corners=True)
    for a in range(d):
        if space[-1 - a] == 1:
            assert (grid[..., a] == 0).all()


@MODE
def test_C3_does_not_hold_at_edges(mode):
    """One pixel that is not aligned has an extent; far from it there is nothing."""
    image, grid = np.array([[[[8.0]]]]), np.array([[[[0.0, 0.0], [5.5, 0.0], [-5.5, 0.0], [0.5, 0.0]]]])
    y = attn_ref.grid_sample(image, grid, mode=mode, align_corners=False)
    assert y[0, 0, 0, :3].tolist() == [8, 0, 0]
    if mode == "bilinear":
        assert y[0, 0, 0, 3] == 6  # a quarter of a pixel off
