import random
from fractions import Fraction as Fr

import numpy as np
import pytest

from attn_ref.exact import (
    affine_grid,
    affine_grid_backward,
    affine_inverse,
    affine_inverse_backward,
    affine_inverse_double_backward,
    affine_inverse_jvp,
    grid_sample,
    to_float,
    to_fractions,
)

from .problems import ALIGNED, MODE, PADDING, random_array, same
from .stencils import derivative_at_zero, inner, perturbed

IDENTITY = {2: [[1, 0, 0], [0, 1, 0]], 3: [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]]}
AXES = pytest.mark.parametrize("axes", [2, 3])


def test_identity_gives_the_pixel_centres():
    grid = affine_grid([IDENTITY[2]], (1, 1, 2, 3), align_corners=True)
    assert grid[0, ..., 0].tolist() == [[-1, 0, 1], [-1, 0, 1]]
    assert grid[0, ..., 1].tolist() == [[-1, -1, -1], [1, 1, 1]]
    grid = affine_grid([IDENTITY[2]], (1, 1, 2, 3), align_corners=False)
    assert grid[0, ..., 0].tolist() == [[Fr(-2, 3), 0, Fr(2, 3)]] * 2
    assert grid[0, ..., 1].tolist() == [[Fr(-1, 2)] * 3, [Fr(1, 2)] * 3]


def test_one_pixel_is_the_middle_c3():
    for align_corners in (True, False):
        assert affine_grid([IDENTITY[3]], (1, 1, 1, 1, 1), align_corners=align_corners).tolist() == [[[[[0, 0, 0]]]]]


def test_a_general_theta_by_hand():
    # at (x, y) = (1, -1): x' = 2 - 3 + 5 = 4 and y' = 7 - 11 + 13 = 9 with theta read row by row
    grid = affine_grid([[[2, 3, 5], [7, 11, 13]]], (1, 1, 2, 2), align_corners=True)
    assert grid[0, 0, 1].tolist() == [4, 9]
    assert grid[0, 1, 1].tolist() == [10, 31]


@ALIGNED
@AXES
@MODE
@PADDING
def test_identity_reproduces_the_image_exactly_c2(axes, mode, padding_mode, align_corners):
    shape = (2, 1, 3, 4) if axes == 2 else (1, 2, 1, 2, 3)
    image = random_array(random.Random(1), shape)
    grid = affine_grid([IDENTITY[axes]] * shape[0], shape, align_corners=align_corners)
    result = grid_sample(image, grid, mode=mode, padding_mode=padding_mode, align_corners=align_corners)
    assert same(result, image)


@ALIGNED
def test_quarter_turn_is_rot90(align_corners):
    image = to_fractions([[[[1, 2, 3], [4, 5, 6]]]])
    grid = affine_grid([[[0, -1, 0], [1, 0, 0]]], (1, 1, 3, 2), align_corners=align_corners)
    turned = grid_sample(image, grid, align_corners=align_corners)
    assert turned[0, 0].tolist() == [[3, 6], [2, 5], [1, 4]]


@ALIGNED
def test_shift_by_half_a_pixel_averages_neighbours(align_corners):
    half = Fr(1, 3) if align_corners else Fr(1, 4)  # half a pixel of four: 1/2 · 2/(S-1), 1/2 · 2/S
    grid = affine_grid([[[1, 0, half], [0, 1, 0]]], (1, 1, 1, 4), align_corners=align_corners)
    shifted = grid_sample([[[[2, 4, 8, 16]]]], grid, align_corners=align_corners)
    assert shifted[0, 0, 0].tolist() == [3, 6, 12, 8]


@ALIGNED
@AXES
def test_grid_backward_is_the_exact_adjoint(axes, align_corners):
    generator = random.Random(2)
    size = (2, 5, 3, 4) if axes == 2 else (2, 1, 2, 1, 3)
    theta = random_array(generator, (2, axes, axes + 1))
    cotangent = random_array(generator, (2, *size[2:], axes))
    grad_theta = affine_grid_backward(cotangent, size, align_corners=align_corners)
    assert grad_theta.shape == theta.shape
    assert inner(affine_grid(theta, size, align_corners=align_corners), cotangent) == inner(theta, grad_theta)


def test_grid_backward_by_hand():
    # one row (-1, 0, 1): cotangent of x is (1, 2, 4), of y (0, 0, 8); the only y is 0
    grad = affine_grid_backward([[[[1, 0], [2, 0], [4, 8]]]], (1, 9, 1, 3), align_corners=True)
    assert grad.tolist() == [[[3, 0, 7], [8, 0, 8]]]


@pytest.mark.parametrize("size", [(0, 3, 2, 2), (2, 0, 0, 3), (2, 1, 3, 0), (1, 1, 0, 2, 2)])
def test_empty_sizes_keep_their_shape_e3(size):
    axes = len(size) - 2
    theta = np.ones((size[0], axes, axes + 1))
    grid = affine_grid(theta, size, align_corners=False)
    assert grid.shape == (size[0], *size[2:], axes)
    grad = affine_grid_backward(grid, size, align_corners=False)
    assert same(grad, to_fractions(np.zeros((size[0], axes, axes + 1))))


def test_inverse_by_hand():
    assert affine_inverse([[[2, 0, 6], [0, 4, -8]]]).tolist() == [[[Fr(1, 2), 0, -3], [0, Fr(1, 4), 2]]]
    assert affine_inverse([[[1, 2, 0], [3, 4, 1]]]).tolist() == [[[-2, 1, -1], [Fr(3, 2), Fr(-1, 2), Fr(1, 2)]]]


def homogeneous(theta):
    return [[*row] for row in theta] + [[0] * len(theta) + [1]]


def matmul(a, b):
    return [[sum(a[i][k] * b[k][j] for k in range(len(b))) for j in range(len(b[0]))] for i in range(len(a))]


@AXES
def test_inverse_undoes_theta_on_both_sides(axes):
    theta = random_array(random.Random(3), (3, axes, axes + 1))
    for forward, back in zip(theta, affine_inverse(theta), strict=True):
        unit = [[int(i == j) for j in range(axes + 1)] for i in range(axes + 1)]
        assert matmul(homogeneous(forward), homogeneous(back)) == unit
        assert matmul(homogeneous(back), homogeneous(forward)) == unit


@AXES
def test_inverse_jvp_obeys_the_product_rule(axes):
    generator = random.Random(4)
    theta, tangent = (random_array(generator, (2, axes, axes + 1)) for _ in range(2))
    for t, dt, p, dp in zip(theta, tangent, affine_inverse(theta), affine_inverse_jvp(theta, tangent), strict=True):
        first = matmul([*map(list, dt)], homogeneous(p))
        second = matmul(homogeneous(t), [*map(list, dp), [0] * (axes + 1)])[:axes]
        assert [[a + b for a, b in zip(*rows, strict=True)] for rows in zip(first, second, strict=True)] == [
            [0] * (axes + 1)
        ] * axes


@AXES
def test_inverse_backward_is_the_exact_adjoint_of_the_jvp(axes):
    generator = random.Random(5)
    theta, tangent, cotangent = (random_array(generator, (2, axes, axes + 1)) for _ in range(3))
    forward = inner(affine_inverse_jvp(theta, tangent), cotangent)
    assert forward == inner(tangent, affine_inverse_backward(cotangent, theta))


def test_inverse_backward_by_hand():
    # one axis at a time: p = 1/m and c = -b/m, so dp/dm = -1/m², dc/dm = b/m², dc/db = -1/m
    theta = [[[2, 0, 6], [0, 1, 0]]]
    assert affine_inverse_backward([[[1, 0, 0], [0, 0, 0]]], theta)[0, 0].tolist() == [Fr(-1, 4), 0, 0]
    assert affine_inverse_backward([[[0, 0, 1], [0, 0, 0]]], theta)[0, 0].tolist() == [Fr(3, 2), 0, Fr(-1, 2)]


@AXES
def test_inverse_double_backward_is_the_exact_derivative_of_backward(axes):
    """Every element is a polynomial over det², so the quotient rule on two exact stencils gives its derivative."""
    generator = random.Random(6)
    shape = (1, axes, axes + 1)
    theta, cotangent, second = (random_array(generator, shape, denominator=2) for _ in range(3))
    to_cotangent, to_theta = affine_inverse_double_backward(second, cotangent, theta)

    def determinant(t):
        return matrix_determinant([[*row[:axes]] for row in t[0]])

    def value(t, g=cotangent):
        return inner(second, affine_inverse_backward(g, t))

    for place in np.ndindex(shape):
        assert to_cotangent[place] == derivative_at_zero(
            lambda h, place=place: value(theta, perturbed(cotangent, place, h)), 1
        )
        square = determinant(theta) ** 2
        change = derivative_at_zero(lambda h, place=place: determinant(perturbed(theta, place, h)) ** 2, 2)
        numerator = derivative_at_zero(
            lambda h, place=place: value(perturbed(theta, place, h)) * determinant(perturbed(theta, place, h)) ** 2,
            2 * axes + 2,
        )
        assert to_theta[place] == (numerator - value(theta) * change) / square


def matrix_determinant(m):
    if len(m) == 2:
        return m[0][0] * m[1][1] - m[0][1] * m[1][0]
    return sum(
        m[0][i] * (m[1][(i + 1) % 3] * m[2][(i + 2) % 3] - m[1][(i + 2) % 3] * m[2][(i + 1) % 3]) for i in range(3)
    )


def test_empty_batches_of_inverses():
    empty = np.zeros((0, 2, 3))
    assert affine_inverse(empty).shape == (0, 2, 3)
    assert affine_inverse_double_backward(empty, empty, empty).theta.shape == (0, 2, 3)


def test_a_singular_theta_is_named_with_its_batch_element_e6():
    with pytest.raises(ValueError, match=r"theta\[1\] has no inverse: its determinant is 0"):
        affine_inverse([IDENTITY[2], [[1, 2, 0], [2, 4, 0]]])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: affine_grid([IDENTITY[2]], (2, 1, 3, 3), align_corners=True), "theta has shape"),
        (lambda: affine_grid([IDENTITY[2]], (1, 3, 3), align_corners=True), "size is"),
        (lambda: affine_grid([IDENTITY[2]], (1, 1, -1, 3), align_corners=True), "size is"),
        (lambda: affine_grid([[[1, 0, np.nan], [0, 1, 0]]], (1, 1, 2, 2), align_corners=True), r"theta\[0, 0, 2\]"),
        (lambda: affine_grid_backward([[[[1]]]], (1, 1, 1, 1), align_corners=True), "grad_grid has shape"),
        (lambda: affine_inverse([[1, 0, 0], [0, 1, 0]]), "theta has shape"),
        (lambda: affine_inverse_backward([[[1]]], [IDENTITY[2]]), "grad_inverse has shape"),
        (lambda: affine_inverse_jvp([IDENTITY[2]], [[[1]]]), "theta_tangent has shape"),
    ],
)
def test_errors_name_the_argument(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_align_corners_is_a_bool():
    with pytest.raises(TypeError, match="align_corners is 1"):
        affine_grid([IDENTITY[2]], (1, 1, 2, 2), align_corners=1)
    with pytest.raises(TypeError, match="align_corners"):
        affine_grid([IDENTITY[2]], (1, 1, 2, 2))


@pytest.mark.filterwarnings("ignore:Since version 1.3.0, affine_grid behavior has changed")
@ALIGNED
@pytest.mark.parametrize("size", [(2, 1, 3, 4), (2, 1, 1, 5), (2, 1, 2, 3, 4), (2, 1, 2, 1, 3)])
def test_agrees_with_torch(size, align_corners):
    torch = pytest.importorskip("torch")
    axes = len(size) - 2
    generator = random.Random(7)
    theta = random_array(generator, (2, axes, axes + 1))
    cotangent = random_array(generator, (2, *size[2:], axes))
    leaf = torch.from_numpy(to_float(theta)).requires_grad_()
    grid = torch.nn.functional.affine_grid(leaf, list(size), align_corners=align_corners)
    grid.backward(torch.from_numpy(to_float(cotangent)))
    ours = to_float(affine_grid(theta, size, align_corners=align_corners))
    assert np.abs(ours - grid.detach().numpy()).max() < 1e-12
    grad = to_float(affine_grid_backward(cotangent, size, align_corners=align_corners))
    assert np.abs(grad - leaf.grad.numpy()).max() < 1e-12
