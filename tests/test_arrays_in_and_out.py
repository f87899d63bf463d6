"""Which arrays may come in, and what goes out: memory, order, dtype, empty shapes, same bits (T1, T2, T5, E3, D1)."""

import itertools

import numpy as np
import pytest

import attn_ref

from .helpers import CALLS, bytes_of, public_calls

SPATIAL = ("affine_", "grid_", "apply", "transpose")
CALL = pytest.mark.parametrize("name", list(CALLS))
DTYPE = pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
MODE = pytest.mark.parametrize("mode", ["bilinear", "nearest", "bicubic"])


def byte_swapped(array):
    return array.astype(array.dtype.newbyteorder())


def negative_strides(array):
    backwards = (slice(None, None, -1),) * array.ndim
    return array[backwards].copy()[backwards]


def fortran_ordered(array):
    return np.asfortranarray(array)


def every_second_element(array):
    wide = np.full([2 * n for n in array.shape], np.nan, array.dtype)
    sparse = (slice(1, None, 2),) * array.ndim
    wide[sparse] = array
    return wide[sparse]


def transposed(array):
    """The memory of a channel-last array seen channel-first, and the like."""
    return np.swapaxes(np.ascontiguousarray(np.swapaxes(array, 0, -1)), 0, -1)


def read_only(array):
    array = array.copy()
    array.flags.writeable = False
    return array


def unaligned(array):
    buffer = np.zeros(array.nbytes + 1, np.uint8)
    view = buffer[1:].view(array.dtype).reshape(array.shape)
    view[...] = array
    assert not view.flags.aligned
    return view


STORAGES = [
    byte_swapped,
    negative_strides,
    fortran_ordered,
    every_second_element,
    transposed,
    read_only,
    unaligned,
]


def assert_fresh(results, inputs):
    """T5: own memory, in C order, native, writeable."""
    for result in results:
        assert type(result) is np.ndarray
        assert result.flags.c_contiguous
        assert result.flags.writeable
        assert result.flags.aligned
        assert result.dtype.isnative
    assert not any(np.shares_memory(result, array) for result in results for array in inputs)
    assert not any(np.shares_memory(one, other) for one, other in itertools.combinations(results, 2))


@CALL
@pytest.mark.parametrize("storage", STORAGES)
@DTYPE
def test_how_the_inputs_are_stored_changes_nothing_but_roundings_of_matrix_products(name, storage, dtype):
    plain = CALLS[name].with_arrays(lambda array: array.astype(dtype))
    call = plain.with_arrays(storage)
    before = bytes_of(*call.arrays.values())
    results = call.results()
    assert bytes_of(*call.arrays.values()) == before
    assert {result.dtype for result in results} == {np.dtype(dtype)}
    assert_fresh(results, call.arrays.values())
    if name.startswith("affine_"):
        # Matrix products: a BLAS may sum in another order, of P + d terms, here 45 of magnitudes of some units.
        u = float(np.finfo(np.float32 if dtype == "float16" else dtype).eps)
        last = float(np.finfo(dtype).eps)
        for ours, expected in zip(results, plain.results(), strict=True):
            assert np.allclose(ours.astype(float), expected.astype(float), rtol=last, atol=256 * u)
    else:
        assert bytes_of(*results) == bytes_of(*plain.results())


@CALL
@DTYPE
def test_broadcast_views_are_taken_as_what_they_show(name, dtype):
    def as_view(array):
        return np.broadcast_to(array[:1], array.shape)

    view = CALLS[name].with_arrays(lambda array: as_view(array.astype(dtype)))
    copied = view.with_arrays(np.array)
    assert all(array.strides[0] == 0 for array in view.arrays.values())
    before = bytes_of(*view.arrays.values())
    results = view.results()
    assert bytes_of(*results) == bytes_of(*copied.results())
    assert bytes_of(*view.arrays.values()) == before
    assert_fresh(results, view.arrays.values())


@CALL
def test_memory_mapped_files_are_read_and_left_as_they_were(name, tmp_path):
    def on_disk(array):
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.bin"
        array.tofile(path)
        return np.memmap(path, array.dtype, "r+", shape=array.shape)

    call = CALLS[name].with_arrays(on_disk)
    files = sorted(tmp_path.iterdir())
    before = [path.read_bytes() for path in files]
    results = call.results()
    for array in call.arrays.values():
        array.flush()
    assert [path.read_bytes() for path in files] == before
    assert bytes_of(*results) == bytes_of(*CALLS[name].results())
    assert_fresh(results, call.arrays.values())


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("batch", [1, 2])
@MODE
def test_results_share_no_memory_at_any_layout(channels_last, channels, batch, mode):
    """One channel or one sample makes a transposed array contiguous as it is: then a view would go unnoticed."""
    for call in public_calls(batch=batch, channels=channels, channels_last=channels_last, mode=mode).values():
        before = bytes_of(*call.arrays.values())
        first, second = call.results(), call.results()
        assert bytes_of(*call.arrays.values()) == before
        assert_fresh((*first, *second), call.arrays.values())


def test_one_array_given_twice_is_taken_twice():
    """Arguments that share memory are not written to either."""
    x = np.random.default_rng(2).standard_normal((2, 2, 2, 2))
    before = x.tobytes()
    results = attn_ref.grid_sample_double_backward(x, x, x, x, x, align_corners=True)
    copies = [x.copy() for _ in range(5)]
    assert bytes_of(*results) == bytes_of(*attn_ref.grid_sample_double_backward(*copies, align_corners=True))
    assert_fresh(results, [x])
    assert x.tobytes() == before


def test_an_operator_keeps_nothing_of_the_grid_and_gives_nothing_of_itself_away():
    call = CALLS["apply"]
    grid, image = call.arrays["grid"].copy(), call.arrays["input"]
    S = attn_ref.sampling_operator(grid, (4, 5), mode="bicubic", padding_mode="border", align_corners=False)
    results = [S.apply(image), S.derivative_matrix(0, 1).toarray()]
    before = bytes_of(*results)
    grid[...] = np.nan
    for array in (results[0], S.matrix.data, S.matrix.indices, S.derivative_matrix(0, 1).data):
        array[...] = 0
    results = [S.apply(image), S.derivative_matrix(0, 1).toarray()]
    assert bytes_of(*results) == before


# ---------------------------------------------------------------------------------------------------------------------
# dtypes (T1)


@CALL
@DTYPE
@MODE
@pytest.mark.parametrize("padding_mode", ["zeros", "border", "reflection"])
def test_results_have_the_dtype_of_the_inputs(name, dtype, mode, padding_mode):
    call = public_calls(mode=mode, padding_mode=padding_mode)[name].with_arrays(lambda array: array.astype(dtype))
    assert {result.dtype for result in call.results()} == {np.dtype(dtype)}


@CALL
@MODE
@pytest.mark.parametrize("padding_mode", ["zeros", "border", "reflection"])
@pytest.mark.parametrize("image", [(4, 5), (2, 4, 5)])
def test_float16_is_float32_rounded_once(name, mode, padding_mode, image):
    calls = public_calls(mode=mode, padding_mode=padding_mode, image=image, output=(3, 2, 6)[-len(image) :])
    half = calls[name].with_arrays(lambda array: array.astype(np.float16))
    single = half.with_arrays(lambda array: array.astype(np.float32))
    expected = [result.astype(np.float16) for result in single.results()]
    assert bytes_of(*half.results()) == bytes_of(*expected)


def test_float16_sums_are_not_kept_in_float16():
    """2049 and the like are no halves: a sum of ones in half stops at 2048."""
    grad = attn_ref.grid_sample_backward(
        np.ones((1, 1, 1, 4096), np.float16),
        np.ones((1, 1, 1, 1), np.float16),
        np.zeros((1, 1, 4096, 2), np.float16),
        align_corners=True,
    )
    assert grad.input.item() == 4096.0


def test_float16_results_that_are_too_large_are_infinite_without_a_warning():
    image = np.full((1, 1, 1, 3), 60000.0, np.float16)
    grad = attn_ref.grid_sample_backward(image, image, np.zeros((1, 1, 3, 2), np.float16), align_corners=True)
    assert np.isinf(grad.input).any()


# ---------------------------------------------------------------------------------------------------------------------
# Empty shapes (E3)

EMPTY = [
    {"batch": 0},
    {"channels": 0},
    {"output": (0, 7)},
    {"output": (6, 0)},
    {"output": (0, 0)},
    {"batch": 0, "channels": 0},
    {"batch": 0, "output": (0, 7)},
    {"channels": 0, "output": (6, 0)},
    {"image": (2, 4, 5), "output": (0, 6, 7)},
    {"image": (2, 4, 5), "output": (3, 0, 7)},
    {"image": (2, 4, 5), "output": (3, 6, 0)},
    {"image": (2, 4, 5), "output": (3, 6, 7), "batch": 0},
    {"image": (2, 4, 5), "output": (3, 6, 7), "channels": 0},
]


def expected_shapes(name, call, sizes, channels_last):
    """Shapes of the results by the definitions S1, S4."""
    batch, channels, output = sizes.get("batch", 2), sizes.get("channels", 3), sizes.get("output", (6, 7))
    d = len(output)
    shapes = {
        "theta": (batch, d, d + 1),
        "grid": (batch, *output, d),
        "output": (batch, *output, channels) if channels_last else (batch, channels, *output),
        "input": call.arrays["input"].shape if "input" in call.arrays else (),
    }
    if name == "transpose":
        image = sizes.get("image", (4, 5))
        return [(batch, *image, channels) if channels_last else (batch, channels, *image)]
    names = {
        "affine_grid": ["grid"],
        "affine_grid_backward": ["theta"],
        "affine_grid_jvp": ["grid"],
        "affine_grid_double_backward": ["grid"],
        "affine_inverse": ["theta"],
        "affine_inverse_backward": ["theta"],
        "affine_inverse_jvp": ["theta"],
        "affine_inverse_double_backward": ["theta", "theta"],
        "grid_sample": ["output"],
        "grid_sample_backward": ["input", "grid"],
        "grid_sample_jvp": ["output"],
        "grid_sample_double_backward": ["output", "input", "grid"],
        "apply": ["output"],
        "grid_gradient": ["grid"],
    }
    return [shapes[word] for word in names[name]]


@pytest.mark.parametrize("name", [name for name in CALLS if name.startswith(SPATIAL)])
@pytest.mark.parametrize("sizes", EMPTY, ids=str)
@pytest.mark.parametrize("channels_last", [False, True])
@MODE
def test_empty_arrays_give_empty_results_and_zero_gradients(name, sizes, channels_last, mode):
    for dtype, padding_mode in (("float64", "zeros"), ("float16", "reflection")):
        call = public_calls(**sizes, channels_last=channels_last, mode=mode, padding_mode=padding_mode)[name]
        call = call.with_arrays(lambda array, dtype=dtype: array.astype(dtype))
        results = call.results()
        assert [result.shape for result in results] == expected_shapes(name, call, sizes, channels_last)
        assert {result.dtype for result in results} == {np.dtype(dtype)}
        assert_fresh(results, call.arrays.values())
        if not name.startswith("affine_") or (name == "affine_grid_backward" and 0 in sizes.get("output", ())):
            assert not any(result.any() for result in results)


@pytest.mark.parametrize("sizes", [size for size in EMPTY if "channels" not in size], ids=str)
def test_an_operator_of_no_points_is_a_matrix_of_no_rows(sizes):
    call = public_calls(**sizes)["apply"]
    image = call.options["input_size"]
    S = attn_ref.sampling_operator(call.arrays["grid"], image, align_corners=True)
    rows, columns = int(np.prod(call.arrays["grid"].shape[:-1])), sizes.get("batch", 2) * int(np.prod(image))
    for matrix in (S.matrix, S.derivative_matrix(0), S.derivative_matrix(0, 1)):
        assert matrix.shape == S.shape == (rows, columns)
        assert matrix.nnz == 0


# ---------------------------------------------------------------------------------------------------------------------
# The same bits twice (D1)


@CALL
@MODE
@pytest.mark.parametrize("padding_mode", ["zeros", "border", "reflection"])
@DTYPE
def test_the_same_call_gives_the_same_bits(name, mode, padding_mode, dtype):
    """Many points a pixel, so that the order of additions would show."""
    sizes = {"batch": 2, "channels": 5, "image": (3, 4), "output": (40, 30)}
    call = public_calls(**sizes, mode=mode, padding_mode=padding_mode)[name]
    call = call.with_arrays(lambda array: array.astype(dtype))
    again = call.with_arrays(np.array)
    assert bytes_of(*call.results()) == bytes_of(*call.results()) == bytes_of(*again.results())
