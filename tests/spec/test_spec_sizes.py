"""Rules E3 and E5: empty arrays, and sizes that cannot be."""

import numpy as np
import pytest

import attn_ref

from .calls import CALLS
from .cases import every_option
from .test_spec_errors import OF_SIZE, sample


@every_option
@pytest.mark.parametrize("empty", ["batch", "channels", "points"])
def test_E3_empty_results_have_their_shape_and_zero_gradients(
    mode, padding_mode, align_corners, d, channels_last, empty
):
    n, c = (0 if empty == "batch" else 2), (0 if empty == "channels" else 3)
    space, out = (3, 4, 5)[:d], [2, 3, 6][:d]
    for hole in range(d) if empty == "points" else [None]:
        shape = tuple(0 if i == hole else s for i, s in enumerate(out))
        image = np.ones((n, *space, c) if channels_last else (n, c, *space), np.float32)
        y = np.ones((n, *shape, c) if channels_last else (n, c, *shape), np.float32)
        grid = np.zeros((n, *shape, d), np.float32)
        options = {"mode": mode, "padding_mode": padding_mode, "align_corners": align_corners}
        options["channels_last"] = channels_last
        output = attn_ref.grid_sample(image, grid, **options)
        tangent = attn_ref.grid_sample_jvp(image, grid, image, grid, **options)
        assert output.shape == tangent.shape == y.shape
        back = attn_ref.grid_sample_backward(y, image, grid, **options)
        double = attn_ref.grid_sample_double_backward(image, grid, y, image, grid, **options)
        assert [a.shape for a in back] == [image.shape, grid.shape]
        assert [a.shape for a in double] == [y.shape, image.shape, grid.shape]
        assert all((a == 0).all() for a in (*back, double.input, double.grid))
        assert {a.dtype for a in (output, tangent, *back, *double)} == {np.dtype(np.float32)}


@pytest.mark.parametrize("size", [(0, 3, 4, 5), (2, 0, 4, 5), (2, 3, 0, 5), (2, 3, 4, 0), (2, 3, 0, 4, 5)], ids=str)
@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
def test_E3_empty_affine_grids(size, dtype):
    d = len(size) - 2
    for align_corners in (True, False):
        theta = np.ones((size[0], d, d + 1), dtype)
        grid = attn_ref.affine_grid(theta, size, align_corners=align_corners)
        assert grid.shape == (size[0], *size[2:], d)
        back = attn_ref.affine_grid_backward(grid, size, align_corners=align_corners)
        assert back.shape == theta.shape
        assert grid.dtype == back.dtype == theta.dtype
        if 0 in size[2:]:
            assert (back == 0).all()
    assert attn_ref.affine_inverse(np.ones((0, 2, 3))).shape == (0, 2, 3)


@pytest.mark.parametrize("size", [(0, 1, 10**7, 10**7), (1, 1, 0, 10**12), (1, 1, 10**12, 0)], ids=str)
def test_E3_an_empty_grid_needs_no_memory_however_long_its_other_axes(size):
    grid = attn_ref.affine_grid(np.ones((size[0], 2, 3)), size, align_corners=False)
    assert grid.shape == (size[0], *size[2:], 2)
    assert (attn_ref.affine_grid_backward(grid, size, align_corners=False) == 0).all()


@pytest.mark.parametrize("shape", [(1, 2, 0, 5), (1, 2, 5, 0), (1, 2, 4, 0, 5), (0, 2, 0, 5), (1, 0, 0, 5)], ids=str)
@pytest.mark.parametrize("points", [0, 3])
def test_E3_an_image_without_pixels_is_refused_whatever_the_output_size(shape, points):
    d = len(shape) - 2
    with pytest.raises(ValueError, match="input has no pixels"):
        sample(np.zeros(shape), np.zeros((shape[0], *[points] * d, d)))


@pytest.mark.parametrize("name", OF_SIZE)
@pytest.mark.parametrize(
    ("size", "error"),
    [
        ((2, 1, 6.0, 7), TypeError),
        ((2, 1, True, 7), TypeError),
        ((2, np.True_, 6, 7), TypeError),
        ((2, 1, "6", 7), TypeError),
        ((2, 1, None, 7), TypeError),
        (84, TypeError),
        (np.array([2, 1, 6, 7]), TypeError),
        ("2167", TypeError),
        ((2, 1, -6, 7), ValueError),
        ((2, 6, 7), ValueError),
        ((2, 1, 6, 7, 8, 9), ValueError),
        ((), ValueError),
    ],
    ids=str,
)
def test_E5_sizes_are_tuples_of_integers(name, size, error):
    with pytest.raises(error, match="size"):
        CALLS[name](size=size)


def test_E5_numpy_integers_are_integers():
    call = CALLS["affine_grid"]
    np.testing.assert_array_equal(call(size=tuple(np.int32([2, 1, 6, 7]))), call())


@pytest.mark.parametrize("size", [(0, 5), (5, 0), (2.0, 5), (True, 5), (5,), (1, 2, 3, 4), 5, (-1, 5)], ids=str)
def test_E5_input_size_of_an_operator(size):
    with pytest.raises((TypeError, ValueError), match="input_size"):
        attn_ref.sampling_operator(np.zeros((1, 1, 1, 2)), size, align_corners=True)


IMPOSSIBLE = [(1, 1, 10**7, 10**7), (1, 1, 2**40, 2**40), (1, 1, 10**30, 2)]


@pytest.mark.parametrize("size", IMPOSSIBLE, ids=str)
@pytest.mark.parametrize("name", ["affine_grid", "affine_grid_jvp", "affine_grid_double_backward"])
def test_E5_an_impossible_grid_is_refused_by_name(name, size):
    call = CALLS[name]
    (argument,) = call.arrays
    with pytest.raises((MemoryError, ValueError), match="size asks for an array of shape"):
        call(**{argument: np.zeros((1, 2, 3)), "size": size})


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16])
@pytest.mark.parametrize("channels", [1, 0])
def test_E5_an_impossible_output_is_refused_by_name(dtype, channels):
    """A broadcast view asks for more than any machine has, at no cost to its owner."""
    grid = np.broadcast_to(np.zeros(1, dtype), (1, 10**7, 10**7, 2))
    with pytest.raises((MemoryError, ValueError), match="grid asks for an array of shape"):
        sample(np.zeros((1, channels, 2, 2), dtype), grid)


def test_E5_an_impossible_image_is_refused_by_name():
    image = np.broadcast_to(np.zeros(1), (1, 1, 10**7, 10**7))
    with pytest.raises((MemoryError, ValueError), match="input asks for an array of shape"):
        sample(image, np.zeros((1, 1, 1, 2)))


def test_E5_an_impossible_operator_is_refused_by_name():
    make = attn_ref.sampling_operator
    with pytest.raises((MemoryError, ValueError), match="input_size"):
        make(np.zeros((1, 1, 1, 2)), (2**40, 2**40), align_corners=True)
    with pytest.raises((MemoryError, ValueError), match="grid asks for"):
        make(np.broadcast_to(np.zeros(1), (1, 10**7, 10**7, 2)), (2, 2), align_corners=True)
