"""Mistakes and what is said about them: a table of calls, the exception and the words that its message must hold.

The words are the argument's name, what was expected, what came, and the mend (E1). Every row is checked to leave its
inputs as they were, byte for byte, and to warn of nothing.
"""

import re
import warnings
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from scipy import sparse

import attn_ref
from attn_ref.backend import BACKENDS

from .helpers import CALLS, arguments, may_be_absent, public_calls

NAN = float("nan")
ABSENT = object()
"""In place of an argument: leave it out."""

VOLUMES = public_calls(image=(2, 4, 5), output=(3, 6, 7))
LAST = public_calls(channels_last=True)
SETS = {"": CALLS, "3d ": VOLUMES, "last ": LAST}


@dataclass(frozen=True)
class Row:
    """One mistake: what is changed in a call that works."""

    call: str
    changes: dict[str, Any]
    exception: type[Exception] | tuple[type[Exception], ...]
    words: tuple[str, ...] = ()


def row(id, call, changes, exception, *words):
    return pytest.param(Row(call, changes, exception, words), id=f"{call} {id}")


def run(mistake):
    """Make the mistaken call and return the message."""
    of, _, name = mistake.call.rpartition(" ")
    call = SETS[of + " " if of else ""][name]
    given = {**call.arrays, **call.options, **mistake.changes}
    given = {name: value for name, value in given.items() if value is not ABSENT}
    contents = {
        name: value.tobytes() for name, value in given.items() if isinstance(value, np.ndarray) and is_small(value)
    }
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(mistake.exception) as caught:
            call.function(**given)
    assert contents == {name: given[name].tobytes() for name in contents}
    return str(caught.value)


def is_small(array):
    return array.size < 10_000 and not array.dtype.hasobject


def check(mistake):
    message = run(mistake)
    missing = [word for word in mistake.words if not says(message, word)]
    assert not missing, f"{missing} not in {message!r}"
    assert len(message) < 400
    assert "\n" not in message


def says(message, word):
    """Whether a message holds a word: a name as a whole, not as a part of another."""
    return re.search(rf"\b{word}\b" if word.isidentifier() else re.escape(word), message) is not None


def shaped(*shape, dtype=np.float64):
    return np.random.default_rng(3).standard_normal(shape).astype(dtype)


def singular(entries, at=0, batch=1):
    """Invertible maps but for one, whose linear part is given."""
    d = len(entries)
    theta = shaped(batch, d, d + 1) + 4 * np.eye(d, d + 1)
    theta[at, :, :d] = entries
    return theta


# ---------------------------------------------------------------------------------------------------------------------
# The table

SHAPES = [
    row("4 axes", "affine_grid", {"theta": shaped(1, 2, 2, 3)}, ValueError, "theta", "(1, 2, 2, 3)", "(N, 2, 3)"),
    row("2 axes", "affine_grid", {"theta": shaped(2, 3)}, ValueError, "theta", "(2, 3)", "expected (N, 2, 3)"),
    row("square", "affine_grid", {"theta": shaped(2, 3, 3)}, ValueError, "theta", "(2, 3, 3)", "(N, 2, 3)"),
    row("transposed", "affine_grid", {"theta": shaped(2, 3, 2)}, ValueError, "theta", "(2, 3, 2)", "(N, 2, 3)"),
    row("3-D theta, 2-D size", "affine_grid", {"theta": shaped(2, 3, 4)}, ValueError, "theta", "(N, 2, 3)", "size"),
    row("2-D theta, 3-D size", "3d affine_grid", {"theta": shaped(2, 2, 3)}, ValueError, "theta", "(N, 3, 4)", "size"),
    row("batch", "affine_grid", {"theta": shaped(5, 2, 3)}, ValueError, "theta", "5", "size", "2", "agree"),
    row("batch 1", "affine_grid", {"theta": shaped(1, 2, 3)}, ValueError, "theta", "1", "size", "2", "agree"),
    row("flat", "affine_grid_jvp", {"theta_tangent": shaped(2, 6)}, ValueError, "theta_tangent", "(2, 6)", "(N, 2, 3)"),
    row("batch", "affine_grid_jvp", {"theta_tangent": shaped(3, 2, 3)}, ValueError, "theta_tangent", "3", "size"),
    row(
        "flat",
        "affine_grid_double_backward",
        {"grad_grad_theta": shaped(2, 6)},
        ValueError,
        "grad_grad_theta",
        "(2, 6)",
    ),
    row(
        "channels first",
        "affine_grid_backward",
        {"grad_grid": shaped(2, 2, 6, 7)},
        ValueError,
        "grad_grid",
        "(2, 2, 6, 7)",
        "expected (2, 6, 7, 2)",
        "grid",
    ),
    row("H and W swapped", "affine_grid_backward", {"grad_grid": shaped(2, 7, 6, 2)}, ValueError, "(2, 6, 7, 2)"),
    row("2 axes", "affine_inverse", {"theta": shaped(2, 3)}, ValueError, "theta", "(2, 3)", "(N, 2, 3) or (N, 3, 4)"),
    row("square", "affine_inverse", {"theta": shaped(1, 3, 3)}, ValueError, "theta", "(1, 3, 3)", "(N, 2, 3)"),
    row("1-D map", "affine_inverse", {"theta": shaped(1, 1, 2)}, ValueError, "theta", "(1, 1, 2)", "(N, 2, 3)"),
    row(
        "other batch",
        "affine_inverse_backward",
        {"grad_inverse": shaped(3, 2, 3)},
        ValueError,
        "grad_inverse",
        "(3, 2, 3)",
        "expected (2, 2, 3)",
        "theta",
    ),
    row("square", "affine_inverse_jvp", {"theta_tangent": shaped(2, 2, 2)}, ValueError, "theta_tangent", "(2, 2, 3)"),
    row(
        "3-D",
        "affine_inverse_double_backward",
        {"grad_grad_theta": shaped(2, 3, 4)},
        ValueError,
        "grad_grad_theta",
        "(2, 3, 4)",
        "(2, 2, 3)",
    ),
    row("3 axes", "grid_sample", {"input": shaped(3, 4, 5)}, ValueError, "input", "3 axes", "(N, C, H, W)"),
    row("6 axes", "grid_sample", {"input": shaped(1, 1, 1, 2, 3, 4)}, ValueError, "input", "6", "(N, C, D, H, W)"),
    row("3 axes", "last grid_sample", {"input": shaped(3, 4, 5)}, ValueError, "input", "3 axes", "(N, H, W, C)"),
    row("3 axes", "grid_sample", {"grid": shaped(2, 6, 2)}, ValueError, "grid", "3 axes", "(N, H_out, W_out, 2)"),
    row(
        "last axis 3",
        "grid_sample",
        {"grid": shaped(2, 6, 7, 3)},
        ValueError,
        "grid has last axis 3",
        "input is 4-D",
        "expected (N, H_out, W_out, 2)",
    ),
    row(
        "last axis 2",
        "3d grid_sample",
        {"grid": shaped(2, 3, 6, 7, 2)},
        ValueError,
        "grid has last axis 2",
        "input is 5-D",
        "expected (N, D_out, H_out, W_out, 3)",
    ),
    row(
        "channels first", "grid_sample", {"grid": shaped(2, 2, 6, 7)}, ValueError, "grid", "7", "moveaxis(grid, 1, -1)"
    ),
    row("2-D grid", "3d grid_sample", {"grid": shaped(2, 6, 7, 2)}, ValueError, "grid", "(2, 6, 7, 2)", "input is 5-D"),
    row("3-D grid", "grid_sample", {"grid": shaped(2, 3, 6, 7, 3)}, ValueError, "grid", "5 axes", "input is 4-D"),
    row(
        "grid for input",
        "grid_sample",
        {"input": shaped(2, 6, 7, 2), "grid": shaped(2, 3, 4, 5)},
        ValueError,
        "grid",
        "5",
    ),
    row("batch 1", "grid_sample", {"grid": shaped(1, 6, 7, 2)}, ValueError, "input", "2", "grid", "1", "repeat"),
    row("batch 1", "3d grid_sample", {"input": shaped(1, 3, 2, 4, 5)}, ValueError, "input", "1", "grid", "2", "repeat"),
    row(
        "one channel",
        "grid_sample_backward",
        {"grad_output": shaped(2, 1, 6, 7)},
        ValueError,
        "grad_output",
        "(2, 1, 6, 7)",
        "expected (2, 3, 6, 7)",
        "output",
    ),
    row(
        "channels last",
        "grid_sample_backward",
        {"grad_output": shaped(2, 6, 7, 3)},
        ValueError,
        "grad_output",
        "(2, 6, 7, 3)",
        "expected (2, 3, 6, 7)",
    ),
    row(
        "channels first",
        "last grid_sample_backward",
        {"grad_output": shaped(2, 3, 6, 7)},
        ValueError,
        "grad_output",
        "(2, 3, 6, 7)",
        "expected (2, 6, 7, 3)",
    ),
    row("the input's shape", "grid_sample_backward", {"grad_output": shaped(2, 3, 4, 5)}, ValueError, "grad_output"),
    row("scalar of a loss", "grid_sample_backward", {"grad_output": shaped(1)}, ValueError, "grad_output", "(1,)"),
    row(
        "one channel",
        "grid_sample_jvp",
        {"input_tangent": shaped(2, 1, 4, 5)},
        ValueError,
        "input_tangent",
        "(2, 1, 4, 5)",
        "expected (2, 3, 4, 5)",
        "input",
    ),
    row("no batch", "grid_sample_jvp", {"grid_tangent": shaped(6, 7, 2)}, ValueError, "grid_tangent", "(2, 6, 7, 2)"),
    row(
        "the output's shape",
        "grid_sample_double_backward",
        {"grad_grad_input": shaped(2, 3, 6, 7)},
        ValueError,
        "grad_grad_input",
        "(2, 3, 6, 7)",
        "expected (2, 3, 4, 5)",
    ),
    row(
        "one component",
        "grid_sample_double_backward",
        {"grad_grad_grid": shaped(2, 6, 7, 1)},
        ValueError,
        "grad_grad_grid",
        "(2, 6, 7, 1)",
        "expected (2, 6, 7, 2)",
    ),
    row("channels last", "apply", {"input": shaped(2, 4, 5, 3)}, ValueError, "input", "(2, 4, 5, 3)", "expected"),
    row("batch", "apply", {"input": shaped(1, 3, 4, 5)}, ValueError, "input", "(1, 3, 4, 5)", "(2, 3, 4, 5)"),
    row("other image", "apply", {"input": shaped(2, 3, 5, 4)}, ValueError, "input", "(2, 3, 5, 4)", "(2, 3, 4, 5)"),
    row("1 axis", "apply", {"input": shaped(4)}, ValueError, "input", "(4,)", "expected"),
    row("an image", "transpose", {"grad_output": shaped(2, 3, 4, 5)}, ValueError, "grad_output", "(2, 3, 6, 7)"),
    row(
        "channels differ",
        "grid_gradient",
        {"grad_output": shaped(2, 2, 6, 7)},
        ValueError,
        "grad_output",
        "2 channels",
        "input",
        "3",
    ),
    row(
        "2-D grid, 3-D image",
        "apply",
        {"input_size": (2, 4, 5)},
        ValueError,
        "grid",
        "input_size (2, 4, 5) is 3-D",
        "(N, D_out, H_out, W_out, 3)",
    ),
    row("3 components", "apply", {"grid": shaped(2, 6, 7, 3)}, ValueError, "grid", "3", "(N, H_out, W_out, 2)"),
    row("0 axes", "apply", {"grid": shaped()}, ValueError, "grid", "0 axes"),
]

EMPTY_IMAGES = [
    row("H = 0", "grid_sample", {"input": shaped(2, 3, 0, 5)}, ValueError, "input", "(2, 3, 0, 5)", "at least 1"),
    row("W = 0", "grid_sample", {"input": shaped(2, 3, 4, 0)}, ValueError, "input", "(2, 3, 4, 0)", "at least 1"),
    row("D = 0", "3d grid_sample", {"input": shaped(2, 3, 0, 4, 5)}, ValueError, "input", "at least 1"),
    row("H = 0", "last grid_sample", {"input": shaped(2, 0, 5, 3)}, ValueError, "input", "(2, 0, 5, 3)", "at least 1"),
    row(
        "H = 0 and no points",
        "grid_sample",
        {"input": shaped(2, 3, 0, 5), "grid": shaped(2, 0, 7, 2)},
        ValueError,
        "input",
        "at least 1",
    ),
    row(
        "H = 0 and no samples",
        "grid_sample",
        {"input": shaped(0, 3, 0, 5), "grid": shaped(0, 6, 7, 2)},
        ValueError,
        "input",
        "at least 1",
    ),
    row("W = 0", "grid_sample_backward", {"input": shaped(2, 3, 4, 0)}, ValueError, "input", "at least 1"),
    row("H = 0", "apply", {"input_size": (0, 5)}, ValueError, "input_size", "(0, 5)", "at least 1"),
]

OPTIONS = [
    row(
        "bilnear",
        "grid_sample",
        {"mode": "bilnear"},
        ValueError,
        "mode='bilnear'",
        "nearest",
        "did you mean 'bilinear'",
    ),
    row("linear", "grid_sample", {"mode": "linear"}, ValueError, "mode='linear'", "did you mean 'bilinear'"),
    row("trilinear", "3d grid_sample", {"mode": "trilinear"}, ValueError, "mode", "did you mean 'bilinear'", "bicubic"),
    row("cubic", "grid_sample_backward", {"mode": "cubic"}, ValueError, "mode='cubic'", "did you mean 'bicubic'"),
    row("tricubic", "3d apply", {"mode": "tricubic"}, ValueError, "mode", "did you mean 'bicubic'"),
    row("Bilinear", "grid_sample", {"mode": "Bilinear"}, ValueError, "mode", "did you mean 'bilinear'"),
    row("lanczos", "grid_sample", {"mode": "lanczos"}, ValueError, "mode", "'bilinear', 'nearest', 'bicubic'"),
    row("empty", "grid_sample", {"mode": ""}, ValueError, "mode", "'bilinear', 'nearest', 'bicubic'"),
    row("0", "grid_sample", {"mode": 0}, TypeError, "mode", "'bilinear'", "int 0"),
    row("None", "grid_sample", {"mode": None}, TypeError, "mode", "'bilinear'", "NoneType"),
    row("bytes", "grid_sample_jvp", {"mode": b"bilinear"}, TypeError, "mode", "'bilinear'", "bytes"),
    row("a list", "grid_sample", {"mode": ["bilinear"]}, TypeError, "mode", "string", "list"),
    row("zero", "grid_sample", {"padding_mode": "zero"}, ValueError, "padding_mode='zero'", "did you mean 'zeros'"),
    row("reflect", "grid_sample", {"padding_mode": "reflect"}, ValueError, "padding_mode", "did you mean 'reflection'"),
    row("borders", "transpose", {"padding_mode": "borders"}, ValueError, "padding_mode", "did you mean 'border'"),
    row("wrap", "grid_sample", {"padding_mode": "wrap"}, ValueError, "padding_mode", "'zeros', 'border', 'reflection'"),
    row("0", "grid_sample", {"padding_mode": 0}, TypeError, "padding_mode", "'zeros'", "int 0"),
    row("None", "grid_sample_double_backward", {"padding_mode": None}, TypeError, "padding_mode", "NoneType"),
    *[
        row(str(value), name, {"align_corners": value}, TypeError, "align_corners", "True or False", kind)
        for name in ("affine_grid", "affine_grid_backward", "grid_sample", "grid_sample_backward", "apply")
        for value, kind in ((1, "int 1"), (None, "NoneType"), ("yes", "str 'yes'"), (1.0, "float"))
    ],
    *[
        row("missing", name, {"align_corners": ABSENT}, TypeError, "align_corners", "missing")
        for name, call in CALLS.items()
        if "align_corners" in call.options
    ],
    *[
        row(str(value), name, {"channels_last": value}, TypeError, "channels_last", "True or False", kind)
        for name in ("grid_sample", "grid_sample_double_backward", "apply", "transpose", "grid_gradient")
        for value, kind in ((1, "int 1"), ("NHWC", "str 'NHWC'"), (None, "NoneType"))
    ],
]

SIZES = [
    *[
        row(id, name, {"size": value}, exception, "size", "(N, C, H, W)", *words)
        for name in ("affine_grid", "affine_grid_backward", "affine_grid_jvp", "affine_grid_double_backward")
        for id, value, exception, *words in (
            ("float", (2, 3, 6.0, 7), TypeError, "integers", "float 6.0"),
            ("bool", (2, True, 6, 7), TypeError, "integers", "bool True"),
            ("NumPy bool", (2, 3, np.True_, 7), TypeError, "integers", "bool"),
            ("negative", (2, 3, -6, 7), ValueError, "-6"),
            ("H, W only", (6, 7), ValueError, "2 entries", "(6, 7)"),
            ("6 entries", (2, 3, 4, 5, 6, 7), ValueError, "6 entries"),
            ("empty", (), ValueError, "0 entries"),
            ("None", None, TypeError, "NoneType"),
            ("string", "2367", TypeError, "str"),
            ("int", 6, TypeError, "int 6"),
            ("string entry", (2, 3, "6", 7), TypeError, "str '6'"),
            ("None entry", (2, 3, None, 7), TypeError, "NoneType"),
        )
    ],
    row("array", "affine_grid", {"size": np.array([2, 3, 6, 7])}, TypeError, "size", "tuple of integers", "ndarray"),
    row(
        "more than an address counts",
        "affine_grid",
        {"size": (2, 3, 2**31, 2**31)},
        (ValueError, MemoryError),
        "size",
        "(2, 2147483648, 2147483648, 2)",
    ),
    row("beyond any integer", "affine_grid_jvp", {"size": (2, 3, 10**30, 7)}, (ValueError, MemoryError), "size"),
    row(
        "4 PiB",
        "affine_grid_double_backward",
        {"size": (2, 3, 2**24, 2**23)},
        (ValueError, MemoryError),
        "size",
        "GiB",
    ),
    *[
        row(id, "apply", {"input_size": value}, exception, "input_size", "(H, W)", *words)
        for id, value, exception, *words in (
            ("float", (4.0, 5), TypeError, "integers", "float 4.0"),
            ("bool", (True, 5), TypeError, "integers", "bool True"),
            ("negative", (-4, 5), ValueError, "-4"),
            ("with N and C", (2, 3, 4, 5), ValueError, "4 entries"),
            ("None", None, TypeError, "NoneType"),
            ("int", 4, TypeError, "int 4"),
        )
    ],
    row("beyond any integer", "apply", {"input_size": (2**40, 2**40)}, (ValueError, MemoryError), "input_size"),
]


def vast_grid(dtype):
    """2⁵² bytes and more of points, as a view of one."""
    return np.broadcast_to(np.zeros((1, 1, 1, 2), dtype), (2, 2**24, 2**24, 2))


VAST = [
    row("4 PiB", name, {"grid": vast_grid(dtype), **changes}, (ValueError, MemoryError), "grid", "(2,")
    for dtype in (np.float64, np.float16)
    for name, changes in (
        ("grid_sample", {"input": shaped(2, 3, 4, 5, dtype=dtype)}),
        ("apply", {"input": shaped(2, 3, 4, 5, dtype=dtype)}),
    )
]

SINGULAR = [
    row("exactly", "affine_inverse", {"theta": singular([[1, 2], [2, 4]])}, ValueError, "theta", "element 0", "is 0"),
    row("a zero row", "affine_inverse", {"theta": singular([[0, 0], [3, 4]])}, ValueError, "theta", "element 0", "0"),
    row("all zeros", "affine_inverse", {"theta": np.zeros((1, 2, 3))}, ValueError, "theta", "element 0", "determinant"),
    row(
        "to rounding",
        "affine_inverse",
        {"theta": singular([[0.1 + 0.2, 1], [0.3, 1]])},
        ValueError,
        "theta",
        "element 0",
        "determinant is 5.55112e-17",
    ),
    row(
        "the fourth of five",
        "affine_inverse",
        {"theta": singular([[1, 1], [1, 1]], at=3, batch=5)},
        ValueError,
        "theta",
        "element 3",
        "determinant is 0",
    ),
    row(
        "3-D, rows dependent",
        "affine_inverse",
        {"theta": singular([[1, 2, 3], [4, 5, 6], [7, 8, 9]], at=1, batch=2)},
        ValueError,
        "theta",
        "element 1",
        "determinant",
    ),
    row(
        "3-D, zero column",
        "affine_inverse",
        {"theta": singular([[1, 0, 3], [4, 0, 6], [7, 0, 1]])},
        ValueError,
        "theta",
    ),
    row(
        "float32 to rounding",
        "affine_inverse",
        {"theta": singular([[0.1, 0.3], [0.2, 0.6]]).astype(np.float32)},
        ValueError,
        "theta",
        "element 0",
    ),
    *[
        row("one of two", name, {"theta": singular([[1, 2], [2, 4]], at=1, batch=2)}, ValueError, "theta", "element 1")
        for name in ("affine_inverse_backward", "affine_inverse_jvp", "affine_inverse_double_backward")
    ],
]


@pytest.mark.parametrize("mistake", [*SHAPES, *EMPTY_IMAGES, *OPTIONS, *SIZES, *SINGULAR, *VAST])
def test_a_mistake_is_named_with_what_was_expected_and_what_came(mistake):
    check(mistake)


# ---------------------------------------------------------------------------------------------------------------------
# Every array argument of every function, replaced by what is no array or has the wrong dtype


def matrix(array):
    with warnings.catch_warnings():  # numpy.matrix is pending deprecation
        warnings.simplefilter("ignore")
        return np.asmatrix(array.reshape(array.shape[0], -1))


def structured(array):
    return np.zeros(array.shape, [("x", float), ("y", float)])


class Subclass(np.ndarray):
    """An array class of somebody's own, whose * may mean anything."""


NO_ARRAYS = {
    "list": (lambda a: a.tolist(), "list", "numpy.asarray"),
    "tuple": (lambda a: tuple(a.tolist()), "tuple", "numpy.asarray"),
    "float": (lambda _: 1.0, "float", "numpy.asarray"),
    "NumPy scalar": (lambda _: np.float64(1.0), "float64", "numpy.asarray"),
    "string": (lambda _: "image.png", "str"),
    "None": (lambda _: None, "None"),
    "masked": (np.ma.masked_invalid, "MaskedArray", "mask", ".filled("),
    "matrix": (matrix, "matrix", "numpy.asarray"),
    "subclass": (lambda a: a.view(Subclass), "Subclass", "numpy.asarray"),
    "record array": (lambda a: structured(a).view(np.recarray), "recarray"),
    "sparse array": (lambda a: sparse.csr_array(a.reshape(a.shape[0], -1)), "csr_array", ".toarray()"),
    "sparse matrix": (lambda a: sparse.coo_matrix(a.reshape(a.shape[0], -1)), "coo_matrix", ".toarray()"),
}
DTYPES = {
    "int64": (lambda a: a.astype(np.int64), "int64", "float64", ".astype("),
    "uint8": (lambda a: a.astype(np.int64).astype(np.uint8), "uint8", "float64", ".astype("),
    "bool": (lambda a: a > 0, "bool", "float64", ".astype("),
    "complex128": (lambda a: a + 0j, "complex128", "float64", ".real"),
    "complex64": (lambda a: a.astype(np.complex64), "complex64", "float64", ".real"),
    "object": (lambda a: a.astype(object), "object", "float64", ".astype("),
    "string": (lambda a: a.astype(str), "<U", "float64"),
    "structured": (structured, "'x'", "float64"),
    "longdouble": (lambda a: a.astype(np.longdouble), "longdouble|float128|float96", "float64", ".astype("),
    "datetime": (lambda a: a.astype(np.int64).astype("M8[s]"), "datetime64", "float64"),
}
ARGUMENT = pytest.mark.parametrize(("name", "argument"), list(arguments()))


def check_replaced(name, argument, value, exception, *patterns):
    message = run(Row(name, {argument: value}, exception))
    missing = [pattern for pattern in (rf"\b{argument}\b", *patterns) if not re.search(pattern, message)]
    assert not missing, f"{missing} not in {message!r}"


@ARGUMENT
@pytest.mark.parametrize("kind", NO_ARRAYS)
def test_what_is_no_array_of_a_known_library_is_a_type_error_that_says_how_to_convert(name, argument, kind):
    make, *words = NO_ARRAYS[kind]
    value = make(CALLS[name].arrays[argument])
    if value is None and may_be_absent(name, argument):
        return
    check_replaced(name, argument, value, TypeError, *[re.escape(word) for word in words])


@ARGUMENT
@pytest.mark.parametrize("kind", DTYPES)
def test_a_dtype_that_is_no_float_is_a_type_error_that_says_what_to_convert_to(name, argument, kind):
    make, *words = DTYPES[kind]
    if kind == "longdouble" and np.dtype(np.longdouble) == np.dtype(np.float64):
        pytest.skip("long double is double here")
    value = make(CALLS[name].arrays[argument])
    check_replaced(name, argument, value, TypeError, *[word if "|" in word else re.escape(word) for word in words])


@pytest.mark.parametrize(("name", "argument"), [pair for pair in arguments() if len(CALLS[pair[0]].arrays) > 1])
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_another_float_dtype_than_the_others_have_is_a_type_error_that_names_both(name, argument, dtype):
    value = CALLS[name].arrays[argument].astype(dtype)
    check_replaced(name, argument, value, TypeError, dtype, "float64", "dtype", "convert")


@ARGUMENT
def test_tensors_of_torch_are_a_type_error_that_says_how_to_convert(name, argument):
    torch = pytest.importorskip("torch")
    value = torch.from_numpy(CALLS[name].arrays[argument].copy())
    check_replaced(name, argument, value, TypeError, "torch", re.escape(".detach().cpu().numpy()"))


ANY_AXES = (
    "squeeze_excitation",
    "batch_norm",
    "batch_norm_backward",
    "batch_norm_statistics",
    "global_avg_pool",
    "global_avg_pool_backward",
)


@pytest.mark.parametrize(  # but of an activation, which takes any shape, and of an image that may have several
    ("name", "argument"),
    [
        pair
        for pair in arguments()
        if not pair[0].startswith(("gelu", "glu")) and not (pair[0] in ANY_AXES and pair[1] == "input")
    ],
)
@pytest.mark.parametrize(
    "make", [lambda _: np.array(1.0), lambda a: a[None], lambda a: a[..., None], lambda a: np.asarray(a[0])]
)
def test_another_number_of_axes_is_a_value_error_that_names_the_argument_and_its_shape(name, argument, make):
    value = make(CALLS[name].arrays[argument])
    message = run(Row(name, {argument: value}, ValueError))
    assert says(message, argument)
    assert "expected" in message
    assert str(value.shape) in message or f"{value.ndim} axes" in message or f"{argument} is {value.ndim}-D" in message


# ---------------------------------------------------------------------------------------------------------------------
# Two libraries, two devices


class FakeArray:
    """An array of a library of its own: no more of it is needed before the arguments are refused."""

    __module__ = "fakelib"

    def __init__(self, device="fake:0"):
        self.device = device


@pytest.fixture
def _fakelib(monkeypatch):
    made = replace(BACKENDS["numpy"](), name="fakelib", array_types=(FakeArray,), device_of=lambda array: array.device)
    monkeypatch.setitem(BACKENDS, "fakelib", lambda: made)


MIXED = pytest.mark.parametrize(
    ("name", "argument"), [(n, a) for n, a in arguments() if len(CALLS[n].arrays) > 1 and hasattr(attn_ref, n)]
)


@pytest.mark.usefixtures("_fakelib")
@MIXED
def test_arrays_of_two_libraries_are_a_type_error_that_names_both(name, argument):
    check_replaced(name, argument, FakeArray(), TypeError, "fakelib", "numpy", "convert")


@pytest.mark.usefixtures("_fakelib")
@MIXED
def test_arrays_of_two_devices_are_a_type_error_that_names_both(name, argument):
    call = CALLS[name].with_arrays(lambda _: FakeArray())
    with pytest.raises(TypeError, match="one device") as caught:
        call(**{argument: FakeArray("fake:1")})
    assert all(word in str(caught.value) for word in (argument, "fake:0", "fake:1", "copy"))


# ---------------------------------------------------------------------------------------------------------------------
# derivative_matrix


@pytest.mark.parametrize("axes", [(0.0,), (2,), (-1,), (0, 2), (0, 0, 0), ("x",), (None,), (0.5,)])
def test_an_axis_of_derivative_matrix_that_does_not_exist_is_named(axes):
    S = attn_ref.sampling_operator(shaped(2, 6, 7, 2), (4, 5), align_corners=True)
    with pytest.raises((ValueError, TypeError), match="axes") as caught:
        S.derivative_matrix(*axes)
    assert "(0, 1)" in str(caught.value)
    assert repr(axes) in str(caught.value)


# ---------------------------------------------------------------------------------------------------------------------
# What is no mistake


@pytest.mark.parametrize("value", [np.True_, np.False_])
def test_a_numpy_bool_is_a_flag(value):
    expected = CALLS["grid_sample"](align_corners=bool(value))
    assert (CALLS["grid_sample"](align_corners=value) == expected).all()


def test_numpy_integers_are_sizes():
    size = tuple(np.array([2, 3, 6, 7], np.int32))
    assert (CALLS["affine_grid"](size=size) == CALLS["affine_grid"]()).all()


@pytest.mark.parametrize("scale", [1e-150, 1e-30, 1e30, 1e150])
def test_a_small_or_large_scale_is_not_singular(scale):
    theta = np.array([[[scale, 0.0, 1.0], [0.0, 2 * scale, 1.0]]])
    assert attn_ref.affine_inverse(theta)[0, 0, 0] == pytest.approx(1 / scale, rel=2.0**-50)


@pytest.mark.parametrize("bad", [NAN, np.inf])
@pytest.mark.parametrize("name", list(CALLS))
def test_nan_and_inf_are_data_and_warn_of_nothing(name, bad):
    def spoilt(array):
        array = array.copy()
        array[(0,) * array.ndim] = bad
        return array

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        CALLS[name].with_arrays(spoilt)()
