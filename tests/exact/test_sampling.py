"""Values by hand, shapes and errors."""

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

from .problems import ALIGNED, DEGREE, MODE, PADDING, PADDINGS, SIZES, grid_at, problem, same


def sample_row(values, pixels, **options):
    """Read a one-row image at these x coordinates, in pixels."""
    grid = grid_at([(p, 0) for p in pixels], (1, len(values)), options["align_corners"])
    return grid_sample([[[values]]], grid, **options)[0, 0, 0].tolist()


@PADDING
def test_one_cell_by_hand(padding_mode):
    # [[1, 2], [3, 5]] at x = 1/4, y = 1/2: rows give 5/4 and 7/2, their middle is 19/8
    image, grid = [[[[1, 2], [3, 5]]]], grid_at([(Fr(1, 4), Fr(1, 2))], (2, 2), True)
    options = {"padding_mode": padding_mode, "align_corners": True}
    assert grid_sample(image, grid, **options).tolist() == [[[[Fr(19, 8)]]]]
    # dp/dg = 1/2 on both axes: ∂y/∂p = (3/2, 9/4), ∂²y/∂p_x∂p_y = 5 - 3 - 2 + 1
    to_input, to_grid = grid_sample_backward([[[[8]]]], image, grid, **options)
    assert to_input.tolist() == [[[[3, 1], [3, 1]]]]
    assert to_grid.tolist() == [[[[6, 9]]]]
    second = grid_sample_double_backward(np.zeros((1, 1, 2, 2)), [[[[1, 0]]]], [[[[8]]]], image, grid, **options)
    assert second.grad_output.tolist() == [[[[Fr(3, 4)]]]]
    assert second.input.tolist() == [[[[-2, 2], [-2, 2]]]]
    assert second.grid.tolist() == [[[[0, 2]]]]


@ALIGNED
def test_x_runs_along_w_y_along_h_z_along_d_s2(align_corners):
    image = to_fractions(np.arange(24).reshape(1, 1, 2, 3, 4))
    grid = grid_at([(3, 1, 0), (0, 2, 1), (2, 0, 1)], (2, 3, 4), align_corners)
    for mode in DEGREE:
        result = grid_sample(image, grid, mode=mode, align_corners=align_corners)
        assert result.tolist() == [[[[[7, 20, 14]]]]]


@SIZES
@ALIGNED
def test_linear_weights_reproduce_a_ramp_inside(sizes, align_corners):
    image = to_fractions(np.zeros((1, 1, *sizes)))
    for pixel in np.ndindex(sizes):
        image[0, 0, *pixel] = 2 + sum(slope * p for slope, p in zip((3, 5, 7), reversed(pixel), strict=False))
    point = (Fr(2, 3), Fr(9, 7), Fr(1, 5))[: len(sizes)]
    expected = 2 + sum(slope * p for slope, p in zip((3, 5, 7), point, strict=False))
    for padding_mode in PADDINGS:
        grid = grid_at([point], sizes, align_corners)
        result = grid_sample(image, grid, padding_mode=padding_mode, align_corners=align_corners)
        assert result.flat[0] == expected


@ALIGNED
def test_cubic_at_a_quarter_by_hand_m3(align_corners):
    # weights (-27, 225, 67, -9)/256 on 1, 2, 4, 8; a ramp rises by 19/64, not 1/4, since A = -3/4
    options = {"mode": "bicubic", "align_corners": align_corners}
    assert sample_row([1, 2, 4, 8], [Fr(5, 4)], **options) == [Fr(-27 + 450 + 268 - 72, 256)]
    assert sample_row([0, 1, 2, 3], [Fr(5, 4)], **options) == [1 + Fr(19, 64)]


@pytest.mark.parametrize(
    ("padding_mode", "align_corners", "expected"),
    [
        # at p =          -2  -1  -1/2  7/2   4   5
        ("zeros", True, [0, 0, 1, 8, 0, 0]),
        ("zeros", False, [0, 0, 1, 8, 0, 0]),
        ("border", True, [2, 2, 2, 16, 16, 16]),
        ("border", False, [2, 2, 2, 16, 16, 16]),
        ("reflection", True, [8, 4, 3, 12, 8, 4]),
        ("reflection", False, [4, 2, 2, 16, 16, 8]),
    ],
)
def test_one_and_two_pixels_outside_p1_p2_p3(padding_mode, align_corners, expected):
    pixels = [-2, -1, Fr(-1, 2), Fr(7, 2), 4, 5]
    options = {"padding_mode": padding_mode, "align_corners": align_corners}
    assert sample_row([2, 4, 8, 16], pixels, **options) == expected
    if padding_mode != "zeros":  # at whole pixels every mode reads the same one
        for mode in ("nearest", "bicubic"):
            result = sample_row([2, 4, 8, 16], pixels, mode=mode, **options)
            assert [result[i] for i in (0, 1, 4, 5)] == [expected[i] for i in (0, 1, 4, 5)]


@MODE
def test_reflection_far_outside_repeats_p3(mode):
    row = [2, 4, 8, 16]
    for align_corners, period in ((True, 6), (False, 8)):
        options = {"mode": mode, "padding_mode": "reflection", "align_corners": align_corners}
        inside = [Fr(1, 3), 1, Fr(9, 4), 3, Fr(10, 3)]
        expected = sample_row(row, inside, **options)
        for turns in (1, -2, 10**6):
            assert sample_row(row, [p + turns * period for p in inside], **options) == expected
        mirrored = [(0 if align_corners else -1) - p for p in inside]
        if mode != "nearest":
            assert sample_row(row, mirrored, **options) == expected


@ALIGNED
def test_nearest_goes_to_the_even_one_of_two_m2(align_corners):
    ties = [Fr(k, 2) for k in (-1, 1, 3, 5, 7)]
    options = {"mode": "nearest", "align_corners": align_corners}
    assert sample_row([2, 4, 8, 16], ties, **options) == [2, 2, 8, 8, 0]  # 7/2 goes to 4, outside
    assert sample_row([2, 4, 8, 16], ties, padding_mode="border", **options) == [2, 2, 8, 8, 16]
    folded = [2, 2, 8, 8, 8] if align_corners else [2, 2, 8, 8, 16]  # 7/2 folds to 5/2, or is clipped to 3
    assert sample_row([2, 4, 8, 16], ties, padding_mode="reflection", **options) == folded


@MODE
@PADDING
def test_one_aligned_pixel_ignores_the_coordinate_c3(mode, padding_mode):
    options = {"mode": mode, "padding_mode": padding_mode, "align_corners": True}
    image, grid = [[[[5], [7]]]], to_fractions([[[[-9, -1], [Fr(1, 3), -1], [10**30, 1]]]])
    assert grid_sample(image, grid, **options).tolist() == [[[[5, 5, 7]]]]
    to_grid = grid_sample_backward([[[[1, 2, 3]]]], image, grid, **options).grid
    assert to_grid[..., 0].tolist() == [[[0, 0, 0]]]


def test_one_unaligned_pixel_fades_with_zeros_and_stays_with_the_others():
    grid = to_fractions([[[[0, 0], [1, 0], [Fr(-3, 2), 0], [2, 0]]]])  # p = g/2
    for padding_mode, expected in (("zeros", [8, 4, 2, 0]), ("border", [8] * 4), ("reflection", [8] * 4)):
        options = {"padding_mode": padding_mode, "align_corners": False}
        assert grid_sample([[[[8]]]], grid, **options)[0, 0, 0].tolist() == expected
        slopes = grid_sample_backward(np.ones((1, 1, 1, 4)), [[[[8]]]], grid, **options).grid[0, 0, :, 0]
        assert slopes.tolist() == ([-4, -4, 4, 0] if padding_mode == "zeros" else [0] * 4)


def test_batch_elements_are_read_on_their_own_grid():
    grid = np.concatenate([grid_at([(0, 0)], (1, 2), True), grid_at([(1, 0)], (1, 2), True)])
    image = [[[[1, 2]], [[3, 4]]], [[[5, 6]], [[7, 8]]]]
    assert grid_sample(image, grid, align_corners=True)[:, :, 0, 0].tolist() == [[1, 3], [6, 8]]
    assert grid_sample_backward(np.ones((2, 2, 1, 1)), image, grid, align_corners=True).input.tolist() == [
        [[[1, 0]], [[1, 0]]],
        [[[0, 1]], [[0, 1]]],
    ]


@pytest.mark.parametrize(
    ("input_shape", "grid_shape"),
    [
        ((0, 2, 3, 4), (0, 5, 6, 2)),
        ((1, 0, 3, 4), (1, 5, 6, 2)),
        ((1, 2, 3, 4), (1, 0, 6, 2)),
        ((1, 2, 3, 4, 5), (1, 2, 0, 6, 3)),
    ],
)
def test_empty_shapes_give_empty_outputs_and_zero_gradients_e3(input_shape, grid_shape):
    x, g = np.ones(input_shape), np.zeros(grid_shape)
    y = grid_sample(x, g, align_corners=True)
    assert y.shape == (*input_shape[:2], *grid_shape[1:-1])
    to_input, to_grid = grid_sample_backward(y, x, g, align_corners=True)
    assert (to_input.shape, to_grid.shape) == (input_shape, grid_shape)
    assert not to_input.any()
    assert not to_grid.any()
    assert same(grid_sample_jvp(x, g, x, g, align_corners=True), y)
    second = grid_sample_double_backward(x, g, y, x, g, align_corners=True)
    assert [part.shape for part in second] == [y.shape, input_shape, grid_shape]


IMAGE, GRID = np.ones((1, 1, 2, 3)), np.zeros((1, 1, 1, 2))
BAD = np.ones((1, 1, 2, 2))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda **o: grid_sample(np.ones((2, 3)), GRID, **o), "input has shape"),
        (lambda **o: grid_sample(np.ones((1, 1, 0, 3)), GRID, **o), "no pixels"),
        (lambda **o: grid_sample(IMAGE, np.zeros((1, 1, 1, 3)), **o), r"grid has shape .* \(N, H_out, W_out, 2\)"),
        (lambda **o: grid_sample(IMAGE, np.zeros((2, 1, 1, 2)), **o), "grid has shape .* N=1"),
        (lambda **o: grid_sample(IMAGE, GRID + np.inf, **o), r"grid\[0, 0, 0, 0\] is inf"),
        (lambda **o: grid_sample(IMAGE * np.nan, GRID, **o), r"input\[0, 0, 0, 0\] is nan"),
        (lambda **o: grid_sample(IMAGE, GRID, mode="linear", **o), "mode is 'linear', expected one of nearest"),
        (lambda **o: grid_sample(IMAGE, GRID, padding_mode="wrap", **o), "padding_mode is 'wrap', .* zeros"),
        (lambda **o: grid_sample_backward(BAD, IMAGE, GRID, **o), "grad_output has shape"),
        (lambda **o: grid_sample_jvp(IMAGE, GRID, BAD, GRID, **o), "input_tangent has shape"),
        (lambda **o: grid_sample_jvp(IMAGE, GRID, IMAGE, BAD, **o), "grid_tangent has shape"),
        (lambda **o: grid_sample_double_backward(BAD, GRID, BAD, IMAGE, GRID, **o), "grad_grad_input has shape"),
        (lambda **o: grid_sample_double_backward(IMAGE, BAD, BAD, IMAGE, GRID, **o), "grad_grad_grid has shape"),
    ],
)
def test_errors_name_the_argument(call, message):
    with pytest.raises(ValueError, match=message):
        call(align_corners=True)


def test_align_corners_is_a_bool_and_has_no_default():
    with pytest.raises(TypeError, match="align_corners is 1"):
        grid_sample(IMAGE, GRID, align_corners=1)
    with pytest.raises(TypeError, match="align_corners"):
        grid_sample(IMAGE, GRID)


def test_inputs_are_not_written_to():
    image, grid, cotangent, dx, dg = problem((3, 4), False)
    copies = [array.copy() for array in (image, grid, cotangent, dx, dg)]
    grid_sample_double_backward(dx, dg, cotangent, image, grid, align_corners=False)
    assert all(same(a, b) for a, b in zip((image, grid, cotangent, dx, dg), copies, strict=True))
