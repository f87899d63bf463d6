"""The backend: one entry for a library, no mixing, CuPy untouched until needed, and the two sets of primitives."""

import functools
import operator
import re
import subprocess
import sys
import types
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import scipy.special
from hypothesis import assume, given
from hypothesis import strategies as st

import attn_ref
from attn_ref import _execute, backend
from attn_ref.backend import BACKENDS, Backend

from .helpers import CALLS, bytes_of, public_calls

GATHER, SCATTER, DOT = (
    make(np) for make in (_execute.gather_by_takes, _execute.scatter_by_sort, _execute.dot_by_takes)
)

# ---------------------------------------------------------------------------------------------------------------------
# A library of arrays that are not NumPy's: all it can do is what it hands on


class TinyArray:
    """A NumPy array in a box. NumPy itself refuses it, so that nothing of it is computed in passing."""

    __module__ = "tiny"
    __array_ufunc__ = None

    def __init__(self, boxed):
        self.boxed = boxed

    def __array__(self, *_, **__):
        raise TypeError("a TinyArray was about to become a NumPy array")

    def __getattr__(self, name):
        return handed_on(getattr(self.boxed, name))

    def __getitem__(self, place):
        return boxed(self.boxed[unboxed(place)])

    def __setitem__(self, place, value):
        self.boxed[unboxed(place)] = unboxed(value)

    def __len__(self):
        return len(self.boxed)

    def __bool__(self):
        return bool(self.boxed)

    __hash__ = None


def boxed(value):
    if isinstance(value, np.ndarray):
        return TinyArray(value)
    if isinstance(value, list | tuple):
        return type(value)(boxed(entry) for entry in value)
    return value


def unboxed(value):
    if isinstance(value, TinyArray):
        return value.boxed
    if isinstance(value, list | tuple):
        return type(value)(unboxed(entry) for entry in value)
    return value


def handed_on(value):
    """A function of NumPy as a function of tiny arrays; types and plain values as they are."""
    if isinstance(value, type) or not callable(value):
        return boxed(value)

    @functools.wraps(value)
    def function(*arguments, **named):
        return boxed(value(*unboxed(arguments), **{name: unboxed(entry) for name, entry in named.items()}))

    return function


def _give_operators(cls):
    for name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "and", "or", "xor"):
        setattr(cls, f"__{name}__", handed_on(getattr(np.ndarray, f"__{name}__")))
        setattr(cls, f"__r{name}__", handed_on(getattr(np.ndarray, f"__r{name}__")))
    for name in ("neg", "invert", "abs", "lt", "le", "gt", "ge", "eq", "ne", "int", "float"):
        setattr(cls, f"__{name}__", handed_on(getattr(np.ndarray, f"__{name}__")))
    for name in ("iadd", "isub", "imul"):
        setattr(cls, f"__{name}__", handed_on(getattr(operator, name)))


_give_operators(TinyArray)


class _Handing(types.ModuleType):
    """A module whose functions take and give tiny arrays."""

    def __init__(self, name, behind):
        super().__init__(name)
        self._behind = behind

    def __getattr__(self, name):
        return handed_on(getattr(self._behind, name))


TINY_NUMPY = _Handing("tiny.numpy", np)
TINY = Backend(
    name="tiny",
    xp=TINY_NUMPY,
    special=_Handing("tiny.special", scipy.special),
    array_types=(TinyArray,),
    gather=_execute.gather_by_takes(TINY_NUMPY),
    scatter=_execute.scatter_by_sort(TINY_NUMPY),
    dot=_execute.dot_by_takes(TINY_NUMPY),
    quiet=lambda: np.errstate(all="ignore"),
    to_host=lambda array: np.array(array.boxed),
    synchronize=lambda: None,
    device_of=lambda _: "tiny:0",
    current_device=lambda: "tiny:0",
    row_dots=lambda x, y: TINY_NUMPY.einsum("nckp,nckp->nck", x, y),
    sigmoid=lambda x: 1 / (1 + TINY_NUMPY.exp(-x)),
)


@pytest.fixture
def _tiny(monkeypatch):
    monkeypatch.setitem(BACKENDS, "tiny", lambda: TINY)


MODE = pytest.mark.parametrize("mode", ["bilinear", "nearest", "bicubic"])
PADDING = pytest.mark.parametrize("padding_mode", ["zeros", "border", "reflection"])


def tiny_options(call):
    """What is an array among the options: labels are whole numbers, of the same library."""
    return {name: TinyArray(value) for name, value in call.options.items() if isinstance(value, np.ndarray)}


@pytest.mark.usefixtures("_tiny")
@MODE
@PADDING
@pytest.mark.parametrize("align_corners", [True, False])
@pytest.mark.parametrize("image", [(4, 5), (2, 4, 5)])
@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
def test_a_library_is_added_by_one_entry(mode, padding_mode, align_corners, image, dtype, monkeypatch):
    """Everything runs in it, with the bits of NumPy's own arrays where those use the same three primitives."""
    numpys = replace(BACKENDS["numpy"](), gather=GATHER, scatter=SCATTER, dot=DOT)
    monkeypatch.setitem(BACKENDS, "numpy", lambda: numpys)
    options = {"mode": mode, "padding_mode": padding_mode, "align_corners": align_corners}
    for call in public_calls(image=image, output=(3, 2, 7)[-len(image) :], **options).values():
        plain = call.with_arrays(lambda array: array.astype(dtype))
        before = bytes_of(*plain.arrays.values())
        results = plain.with_arrays(TinyArray).results(**tiny_options(plain))
        assert bytes_of(*plain.arrays.values()) == before
        assert {type(result) for result in results} == {TinyArray}
        assert {result.dtype for result in results} == {np.dtype(dtype)}
        assert bytes_of(*unboxed(results)) == bytes_of(*plain.results())


@pytest.mark.usefixtures("_tiny")
def test_the_matrix_of_an_operator_of_any_library_is_scipys():
    call = CALLS["apply"]
    grid = call.arrays["grid"]
    theirs = attn_ref.sampling_operator(TinyArray(grid), (4, 5), mode="bicubic", align_corners=False)
    ours = attn_ref.sampling_operator(grid, (4, 5), mode="bicubic", align_corners=False)
    assert abs(theirs.matrix - ours.matrix).max() == 0
    assert abs(theirs.derivative_matrix(0) - ours.derivative_matrix(0)).max() == 0


@pytest.mark.usefixtures("_tiny")
@pytest.mark.parametrize("name", [name for name, call in CALLS.items() if len(call.arrays) > 1])
def test_two_libraries_in_one_call_are_a_type_error_that_names_both(name):
    """T4: never a silent transfer."""
    call = CALLS[name]
    for argument, array in call.arrays.items():
        with pytest.raises(TypeError, match="tiny") as caught:
            call(**{argument: TinyArray(array)})
        assert argument in str(caught.value)
        assert "numpy" in str(caught.value)
        assert "convert one of them" in str(caught.value)


def test_two_devices_in_one_call_are_a_type_error_that_names_both(monkeypatch):
    places = {}
    placed = replace(TINY, device_of=lambda array: places[id(array)])
    monkeypatch.setitem(BACKENDS, "tiny", lambda: placed)
    x, g = (TinyArray(array) for array in CALLS["grid_sample"].arrays.values())
    places.update({id(x): "tiny:0", id(g): "tiny:1"})
    with pytest.raises(TypeError, match="input lies on tiny:0 and grid on tiny:1"):
        attn_ref.grid_sample(x, g, align_corners=True)


def test_a_subclass_of_a_librarys_array_is_not_that_librarys_array(monkeypatch):
    """Its * may mean something else, as that of numpy.matrix does."""
    monkeypatch.setitem(BACKENDS, "tiny", lambda: TINY)
    derived = type("Derived", (TinyArray,), {"__module__": "tiny"})
    with pytest.raises(TypeError, match=r"theta must be an array .* got tiny\.Derived"):
        attn_ref.affine_inverse(derived(np.ones((1, 2, 3))))


def test_the_backend_of_arrays_is_found_by_their_class():
    assert backend.of(a=np.zeros(3), b=np.ones(2)) is BACKENDS["numpy"]()
    assert backend.of(a=np.zeros(3)).xp is np
    with pytest.raises(TypeError):
        backend.of()


def test_a_host_copy_is_a_copy():
    array = np.arange(3.0)
    numpys = BACKENDS["numpy"]()
    assert not np.shares_memory(numpys.to_host(array), array)
    assert (numpys.to_host(array) == array).all()
    assert numpys.synchronize() is None


# ---------------------------------------------------------------------------------------------------------------------
# CuPy


def test_cupy_and_torch_are_never_imported_for_numpy_arrays():
    """All functions in a fresh process, right and wrong uses."""
    script = """
import sys
import numpy as np
import attn_ref
from tests.helpers import CALLS

for call in CALLS.values():
    call()
    for name in call.arrays:
        try:
            call(**{name: [1.0]})
        except TypeError:
            pass
attn_ref.sampling_operator(np.zeros((1, 2, 3, 2)), (4, 5), align_corners=True).matrix
loaded = {name.partition(".")[0] for name in sys.modules} & {"cupy", "cupyx", "torch", "onnx"}
assert not loaded, loaded
"""
    command = [sys.executable, "-W", "error", "-c", script]
    root = Path(__file__).parents[1]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_numpy_is_usable():
    assert backend.unusable_because("numpy") is None


@pytest.mark.filterwarnings("ignore::UserWarning")  # CuPy warns of a missing driver when it is imported
def test_cupy_is_usable_or_says_in_one_line_why_not():
    reason = backend.unusable_because("cupy")
    if reason is None:
        assert backend.BACKENDS["cupy"]().name == "cupy"
    else:
        assert re.search(r"\(\w+(Error|Exception): .+\)$|^\w+Error: .+", reason)
        assert "\n" not in reason


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_the_cupy_entry_is_built_without_a_gpu():
    cupy = pytest.importorskip("cupy")
    built = BACKENDS["cupy"]()
    assert built.xp is cupy
    assert built.array_types == (cupy.ndarray,)
    assert built.special.expit is not None
    assert BACKENDS["cupy"]() is built


@pytest.mark.parametrize("text", ["first line\nsecond line", "", "  \n "])
def test_the_reason_is_one_line_whatever_a_library_raises(text, monkeypatch):
    def broken():
        raise RuntimeError(text)

    monkeypatch.setitem(BACKENDS, "broken", broken)
    reason = backend.unusable_because("broken")
    assert reason.startswith("RuntimeError")
    assert reason.splitlines() == [reason]


# ---------------------------------------------------------------------------------------------------------------------
# The primitives: sums of takes against SciPy's compressed rows


@st.composite
def tables(draw):
    """(index, weight, rows, source): few sources for many entries, so that targets repeat; any may be empty."""
    points, taps = draw(st.integers(0, 40)), draw(st.sampled_from([1, 4, 8, 16]))
    length, channels = draw(st.integers(1, 12)), draw(st.integers(0, 5))
    dtype = np.dtype(draw(st.sampled_from(["float64", "float32"])))
    integer = draw(st.sampled_from([np.int32, np.int64]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    index = rng.integers(0, draw(st.integers(1, length)), (points, taps)).astype(integer)
    weight, rows, source = (rng.standard_normal(s) for s in ((points, taps), (points, channels), (length, channels)))
    return index, weight.astype(dtype), rows.astype(dtype), source.astype(dtype)


def agree(ours, theirs, magnitude, terms):
    """Two sums of so many products, in any order: n u of the sum of the magnitudes each."""
    assert ours.shape == theirs.shape
    assert ours.dtype == theirs.dtype
    u = float(np.finfo(ours.dtype).eps) / 2
    assert (np.abs(ours - theirs) <= 2 * (terms + 1) * u * magnitude).all()


@given(tables())
def test_a_gather_by_takes_is_the_gather_by_compressed_rows(table):
    index, weight, _, source = table
    magnitude = _execute.gather_csr(index, np.abs(weight), np.abs(source))
    agree(GATHER(index, weight, source), _execute.gather_csr(index, weight, source), magnitude, index.shape[1])


@given(tables())
def test_a_scatter_by_sort_is_the_scatter_by_compressed_rows(table):
    index, weight, rows, source = table
    magnitude = _execute.scatter_csr(index, np.abs(weight), np.abs(rows), len(source))
    theirs = _execute.scatter_csr(index, weight, rows, len(source))
    agree(SCATTER(index, weight, rows, len(source)), theirs, magnitude, index.size)


@given(tables())
def test_a_dot_by_takes_is_the_dot_by_einsum(table):
    index, _, rows, source = table
    magnitude = _execute.dot_einsum(index, np.abs(rows), np.abs(source))
    agree(DOT(index, rows, source), _execute.dot_einsum(index, rows, source), magnitude, rows.shape[1])


@given(tables())
def test_gather_and_scatter_are_adjoint(table):
    """⟨Y, S X⟩ = ⟨Sᵀ Y, X⟩, for both sets."""
    index, weight, rows, source = (array if array.dtype.kind == "i" else array.astype(float) for array in table)
    magnitude = (np.abs(rows) * _execute.gather_csr(index, np.abs(weight), np.abs(source))).sum()
    bound = 2 * (index.size + index.shape[1] + rows.size + source.size) * 2.0**-53 * magnitude
    for gather, scatter in ((GATHER, SCATTER), (_execute.gather_csr, _execute.scatter_csr)):
        forward = (rows * gather(index, weight, source)).sum()
        assert abs(forward - (scatter(index, weight, rows, len(source)) * source).sum()) <= bound


@given(tables())
def test_the_primitives_give_the_same_bits_twice(table):
    index, weight, rows, source = table
    for gather, scatter, dot in (
        (GATHER, SCATTER, DOT),
        (_execute.gather_csr, _execute.scatter_csr, _execute.dot_einsum),
    ):
        assert gather(index, weight, source).tobytes() == gather(index.copy(), weight, source).tobytes()
        once, again = (scatter(i, weight, rows, len(source)) for i in (index, index.copy()))
        assert once.tobytes() == again.tobytes()
        assert dot(index, rows, source).tobytes() == dot(index.copy(), rows, source).tobytes()


BOTH = pytest.mark.parametrize(
    ("gather", "scatter", "dot"),
    [(GATHER, SCATTER, DOT), (_execute.gather_csr, _execute.scatter_csr, _execute.dot_einsum)],
    ids=["takes", "csr"],
)


@BOTH
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
@given(tables(), st.sampled_from([np.inf, -np.inf, np.nan]))
def test_an_unused_pixel_touches_nothing_whatever_it_holds(gather, scatter, dot, table, poison):
    """X4. The last source is not in the index."""
    index, weight, rows, source = table
    poisoned = np.concatenate([source, np.full((1, source.shape[1]), poison, source.dtype)])
    assert gather(index, weight, poisoned).tobytes() == gather(index, weight, source).tobytes()
    assert dot(index, rows, poisoned).tobytes() == dot(index, rows, source).tobytes()
    longer = scatter(index, weight, rows, len(poisoned))
    assert longer[:-1].tobytes() == scatter(index, weight, rows, len(source)).tobytes()
    assert not longer[-1].any()


@BOTH
@given(tables(), st.data())
def test_nan_weights_on_the_row_of_nothing_stay_there(gather, scatter, dot, table, data):
    """X1. One point has NaN weights, all on the last row, which is zero: it is NaN, and spoils no other row."""
    index, weight, rows, source = table
    nothing = len(source)
    source = np.concatenate([source, np.zeros((1, source.shape[1]), source.dtype)])
    assume(len(index) > 0)
    at = data.draw(st.integers(0, len(index) - 1))
    index, weight, clean = index.copy(), weight.copy(), weight.copy()
    index[at], weight[at], clean[at] = nothing, np.nan, 0
    others = np.arange(len(index)) != at
    result, expected = gather(index, weight, source), gather(index, clean, source)
    assert np.isnan(result[at]).all()
    assert (result[others] == expected[others]).all()
    spread = scatter(index, weight, rows, len(source))
    assert np.isfinite(spread[:-1]).all()
    assert (spread[:-1] == scatter(index, clean, rows, len(source))[:-1]).all()
    assert not dot(index, rows, source)[at].any()


@BOTH
def test_entries_that_repeat_are_added_not_overwritten(gather, scatter, dot):
    """Museum piece 16: g[idx] += v."""
    index = np.array([[1, 1], [1, 0]], np.int32)
    weight = np.array([[2.0, 3.0], [5.0, 7.0]])
    rows = np.array([[1.0, 10.0], [100.0, 1000.0]])
    assert scatter(index, weight, rows, 3).tolist() == [[700.0, 7000.0], [505.0, 5050.0], [0.0, 0.0]]
    source = np.array([[1.0, 2.0], [10.0, 20.0]])
    assert gather(index, weight, source).tolist() == [[50.0, 100.0], [57.0, 114.0]]
    assert dot(index, rows, source).tolist() == [[210.0, 210.0], [21000.0, 2100.0]]


@BOTH
@pytest.mark.parametrize(("points", "channels"), [(0, 3), (4, 0), (0, 0)])
def test_no_points_and_no_channels_give_zeros_of_the_right_shape(gather, scatter, dot, points, channels):
    index, weight = np.zeros((points, 4), np.int32), np.ones((points, 4), np.float32)
    rows, source = np.ones((points, channels), np.float32), np.ones((6, channels), np.float32)
    for result, shape in (
        (gather(index, weight, source), (points, channels)),
        (scatter(index, weight, rows, 6), (6, channels)),
        (dot(index, rows, source), (points, 4)),
    ):
        assert result.shape == shape
        assert result.dtype == np.float32
        assert not result.any()
