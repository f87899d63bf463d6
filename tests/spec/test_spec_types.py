"""Rules T1 to T6: what may be passed, and what comes back."""

import dataclasses
import itertools

import numpy as np
import pytest
from scipy import sparse

import attn_ref
from attn_ref import backend

from .calls import ARGUMENTS, CALLS, EVERY_ARGUMENT

CALL = pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())
ARGUMENT = pytest.mark.parametrize(("name", "argument"), ARGUMENTS, ids=EVERY_ARGUMENT)


def test_T1_every_public_function_is_tried_here():
    functions = {name for name in attn_ref.__all__ if callable(getattr(attn_ref, name)) and name.islower()}
    assert functions - set(CALLS) == {"sampling_operator", "get_activation"}


@CALL
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16])
def test_T1_results_have_the_dtype_of_the_arguments(call, dtype):
    for result in call.results(**{name: a.astype(dtype) for name, a in call.arrays.items()}):
        assert result.dtype == dtype


@CALL
def test_T1_float16_is_float32_rounded_once(call):
    half = {name: a.astype(np.float16) for name, a in call.arrays.items()}
    wide = {name: a.astype(np.float32) for name, a in half.items()}
    for got, want in zip(call.results(**half), call.results(**wide), strict=True):
        np.testing.assert_array_equal(got, want.astype(np.float16))


def test_T1_float16_sums_do_not_overflow_on_the_way():
    """Ten thousand pixels' worth of 40 sum to 400 000 in the middle of a computation whose result is small."""
    image = np.full((1, 10000, 1, 2), 40, np.float16)
    image[:, ::2] = -40
    grid, y = np.zeros((1, 1, 1, 2), np.float16), np.full((1, 10000, 1, 1), 60, np.float16)
    grad = attn_ref.grid_sample_backward(y, image, grid, align_corners=False)
    assert (grad.grid == 0).all()


@ARGUMENT
def test_T1_an_argument_of_another_dtype_is_named(name, argument):
    call = CALLS[name]
    if len(call.arrays) == 1:
        assert call.results(**{argument: call.arrays[argument].astype(np.float32)})[0].dtype == np.float32
        return
    with pytest.raises(TypeError, match=r"has dtype float.*float") as error:
        call(**{argument: call.arrays[argument].astype(np.float32)})
    assert argument in str(error.value)


WRONG_DTYPES = ["i4", "u1", "?", "c8", "c16", "O", "U3", "S3", "g", [("a", "f8")], "M8[s]"]


@ARGUMENT
@pytest.mark.parametrize("dtype", WRONG_DTYPES, ids=str)
def test_T2_other_dtypes_are_named_with_a_conversion(name, argument, dtype):
    call = CALLS[name]
    wrong = np.zeros(call.arrays[argument].shape, dtype)
    with pytest.raises(TypeError, match=rf"{argument} has dtype .*float16, float32 or float64; convert with"):
        call(**{argument: wrong})


@CALL
@pytest.mark.parametrize("dtype", ["f8", "f4", "f2"])
def test_T2_byte_swapped_input_is_accepted_and_output_is_native(call, dtype):
    native = {name: a.astype(dtype) for name, a in call.arrays.items()}
    swapped = {name: a.astype(np.dtype(dtype).newbyteorder("S")) for name, a in native.items()}
    for got, want in zip(call.results(**swapped), call.results(**native), strict=True):
        assert got.dtype.isnative
        np.testing.assert_array_equal(got, want)


class Tensor:
    """Stands for an array of a library that is not served."""

    __module__ = "torch"
    shape = (2, 3)


class Subclass(np.ndarray):
    """A subclass may mean something else by its operators."""


NO_ARRAYS = {
    "list": (lambda a: a.tolist(), r"numpy\.asarray"),
    "scalar": (lambda _: 1.0, r"numpy\.asarray"),
    "numpy scalar": (lambda _: np.float64(1), r"numpy\.asarray"),
    "masked": (lambda a: np.ma.masked_array(a, np.zeros(a.shape, bool)), r"mask.*\.filled"),
    "matrix": (lambda a: np.asmatrix(a.reshape(1, -1)), r"numpy\.asarray"),
    "sparse": (lambda a: sparse.csr_array(a.reshape(1, -1)), r"\.toarray"),
    "tensor": (lambda _: Tensor(), r"\.detach\(\)\.cpu\(\)\.numpy\(\)"),
    "subclass": (lambda a: a.view(Subclass), r"numpy\.asarray"),
    "none": (lambda _: "image", "numpy"),
}


@ARGUMENT
@pytest.mark.parametrize("kind", NO_ARRAYS)
@pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")
def test_T3_what_is_no_array_is_named_with_the_function_that_converts(name, argument, kind):
    call = CALLS[name]
    make, mend = NO_ARRAYS[kind]
    with pytest.raises(TypeError, match=rf"{argument} must be an array.*{mend}"):
        call(**{argument: make(call.arrays[argument])})


@ARGUMENT
def test_T4_arrays_on_two_devices_are_both_named(name, argument, monkeypatch):
    call = CALLS[name]
    elsewhere = call.arrays[argument].copy()
    entry = dataclasses.replace(backend.BACKENDS["numpy"](), device_of=lambda a: "mars" if a is elsewhere else "earth")
    monkeypatch.setitem(backend.BACKENDS, "numpy", lambda: entry)
    if len(call.arrays) == 1 or name in ("apply", "transpose", "grid_gradient"):
        return  # one array has one device; an operator's grid was another call
    with pytest.raises(TypeError, match=argument) as error:
        call(**{argument: elsewhere})
    assert all(word in str(error.value) for word in ("mars", "earth", argument))


def test_T4_arrays_of_two_libraries_are_both_named(monkeypatch):
    class Other(np.ndarray):
        __module__ = "elsewhere"

    entry = dataclasses.replace(backend.BACKENDS["numpy"](), name="elsewhere", array_types=(Other,))
    monkeypatch.setitem(backend.BACKENDS, "elsewhere", lambda: entry)
    call = CALLS["grid_sample_backward"]
    for argument in call.arrays:
        with pytest.raises(TypeError, match="numpy") as error:
            call(**{argument: call.arrays[argument].view(Other)})
        assert all(word in str(error.value) for word in ("elsewhere", argument))
    operator = attn_ref.sampling_operator(call.arrays["grid"], (4, 5), align_corners=False)
    with pytest.raises(TypeError, match="input is a elsewhere array but the grid of this operator is a numpy"):
        operator.apply(call.arrays["input"].view(Other))


def _strided(a):
    wide = np.zeros((*a.shape[:-1], 2 * a.shape[-1]), a.dtype)
    wide[..., ::2] = a
    return wide[..., ::2]


def _offset(a):
    """Off its natural alignment by one byte."""
    buffer = np.zeros(a.nbytes + 1, np.uint8)[1:]
    view = buffer.view(a.dtype).reshape(a.shape) if a.size else a
    view[...] = a
    return view


VIEWS = {
    "strided": _strided,
    "fortran": np.asfortranarray,
    "reversed": lambda a: np.flip(np.flip(a).copy()),
    "transposed": lambda a: np.ascontiguousarray(a.T).T,
    "unaligned": _offset,
}


@CALL
@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("dtype", [np.float64, np.float16])
def test_T5_every_layout_of_memory_is_accepted_read_only_and_left_alone(call, view, dtype):
    plain = {name: a.astype(dtype) for name, a in call.arrays.items()}
    viewed = {name: VIEWS[view](a) for name, a in plain.items()}
    for a in viewed.values():
        a.flags.writeable = False
    results = call.results(**viewed)
    for got, want in zip(results, call.results(**plain), strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-3 if dtype == np.float16 else 1e-13)
    assert all(a.tobytes() == plain[name].tobytes() for name, a in viewed.items())


@CALL
def test_T5_broadcast_views_are_accepted(call):
    views = {name: np.broadcast_to(a[:1], a.shape) for name, a in call.arrays.items()}
    copies = {name: a.copy() for name, a in views.items()}
    for got, want in zip(call.results(**views), call.results(**copies), strict=True):
        np.testing.assert_array_equal(got, want)


@CALL
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16])
def test_T5_results_are_fresh_c_ordered_and_share_memory_with_nothing(call, dtype):
    arrays = {name: a.astype(dtype) for name, a in call.arrays.items()}
    before = {name: a.tobytes() for name, a in arrays.items()}
    results = call.results(**arrays)
    again = [a.copy() for a in results]
    for result in results:
        assert type(result) is np.ndarray
        assert result.flags.c_contiguous
        assert result.flags.writeable
        assert not any(np.shares_memory(result, a) for a in arrays.values())
    assert not any(np.shares_memory(a, b) for a, b in itertools.combinations(results, 2))
    for result in results:
        result[...] = -7
    assert all(a.tobytes() == before[name] for name, a in arrays.items())
    for got, want in zip(call.results(**arrays), again, strict=True):
        np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("channels_last", [False, True])
def test_T5_one_channel_results_are_fresh_too(channels_last):
    image, grid = np.ones((1, 1, 1, 1)), np.zeros((1, 1, 1, 2))
    options = {"align_corners": True, "channels_last": channels_last}
    y = attn_ref.grid_sample(image, grid, **options)
    back = attn_ref.grid_sample_backward(image, image, grid, **options)
    for result in (y, *back):
        result[...] = -7
    assert (image == 1).all()
    assert (grid == 0).all()


def test_T5_an_operator_cannot_be_changed_through_its_results():
    call = CALLS["apply"]
    operator = attn_ref.sampling_operator(call.arrays["grid"], (4, 5), align_corners=False)
    want = operator.apply(call.arrays["input"])
    matrix = operator.matrix
    matrix.data[:], matrix.indices[:] = 0, 0
    operator.apply(call.arrays["input"])[...] = 0
    np.testing.assert_array_equal(operator.apply(call.arrays["input"]), want)
    grid = call.arrays["grid"].copy()
    operator = attn_ref.sampling_operator(grid, (4, 5), align_corners=False)
    grid[...] = 0  # the caller's array is his own
    np.testing.assert_array_equal(operator.apply(call.arrays["input"]), want)


def test_T6_indices_are_int32_while_they_fit():
    grid = np.array([[[[0.9, 0.8]]]])
    assert attn_ref.sampling_operator(grid, (40, 50), align_corners=False).matrix.indices.dtype == np.int32


def test_T6_indices_are_int64_where_pixels_could_pass_2_to_the_31():
    """The matrix of a 65536 × 65536 image needs no image."""
    operator = attn_ref.sampling_operator(np.array([[[[0.9, 0.8]]]]), (65536, 65536), align_corners=False)
    i, j = (int(((g + 1) * 65536 - 1) / 2) for g in (0.8, 0.9))
    want = [i * 65536 + j, i * 65536 + j + 1, (i + 1) * 65536 + j, (i + 1) * 65536 + j + 1]
    assert operator.matrix.indices.dtype == np.int64
    assert operator.matrix.indices.tolist() == want
