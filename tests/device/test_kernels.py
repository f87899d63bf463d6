"""The kernels: NVRTC compiles them without a GPU, and on a CPU they do what SciPy's compressed rows do, to the bit."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attn_ref import _kernels
from attn_ref.backend import BACKENDS
from attn_ref.ops.taps import TapTable
from attn_ref.registry import OPERATIONS

from . import names
from .libraries import BOTH

TYPES = [(number, integer) for number in ("float32", "float64") for integer in ("int32", "int64")]
VARIANTS = OPERATIONS["grid_sample"].variants


def nvrtc():
    """CuPy's binding to NVRTC, the compiler for GPUs, which needs no GPU; skips where there is none."""
    pytest.importorskip("cupy")
    names.real()
    from cupy.cuda import nvrtc

    try:
        nvrtc.getVersion()
    except Exception as error:  # the library is loaded at the first call, by a package with errors of its own
        pytest.skip(f"NVRTC cannot be loaded: {str(error).splitlines()[0]}")
    return nvrtc


@pytest.mark.parametrize(("number", "integer"), TYPES)
@pytest.mark.parametrize("architecture", [75, 90])
def test_nvrtc_compiles_the_kernels_without_a_warning(number, integer, architecture):
    compiler = nvrtc()
    program = compiler.createProgram(_kernels.source(number, integer), "kernels.cu", [], [])
    options = [*_kernels.OPTIONS, f"--gpu-architecture=compute_{architecture}"]
    try:
        compiler.compileProgram(program, tuple(options))
    except compiler.NVRTCError:
        pytest.fail(compiler.getProgramLog(program))
    assert compiler.getProgramLog(program).strip("\0\n ") == ""
    code = compiler.getPTX(program)
    for name in ("gather", "weigh", "targets", "scatter"):
        assert f".entry {name}(".encode() in code
    assert b"fma" not in code  # products are rounded before they are added, as on a CPU
    assert b"atom" not in code


def test_nvrtc_finds_a_mistake():
    """The test above can fail."""
    compiler = nvrtc()
    broken = _kernels.source("float32", "int32").replace("T sum = 0;", "T sum = none;", 1)
    program = compiler.createProgram(broken, "kernels.cu", [], [])
    with pytest.raises(compiler.NVRTCError):
        compiler.compileProgram(program, _kernels.OPTIONS)


@BOTH
@pytest.mark.parametrize("variant", VARIANTS, ids=lambda v: "-".join(map(str, v.values())))
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@settings(max_examples=6)
@given(seed=st.integers(0, 2**32 - 1), channels=st.integers(1, 4), points=st.integers(0, 9))
def test_kernels_give_the_bits_of_the_table_as_a_sparse_matrix(device, variant, dtype, seed, channels, points):
    """The same products in the same order, whatever the order of the threads."""
    options = {**variant}
    d = options.pop("ndim")
    rng = np.random.default_rng(seed)
    space = (2, 4, 5)[-d:]
    grid = rng.uniform(-1.4, 1.4, (3, 1, points, d) if d == 2 else (3, 1, 1, points, d)).astype(dtype)
    pixels = int(np.prod(space))
    X = rng.standard_normal((3, pixels, channels)).astype(dtype)
    Y = rng.standard_normal((3, points, channels)).astype(dtype)
    on_device = TapTable(device.backend, device.put(grid), space, **options)
    on_host = TapTable(BACKENDS["numpy"](), grid, space, **options)
    path, put, get = device.backend.path, device.put, device.get
    for axes in [(), (0,), (d - 1,), (0, d - 1)]:
        index, weight = on_host.index, on_host.whole.weight(*axes)
        source = np.concatenate([X.reshape(-1, channels), np.zeros((1, channels), dtype)])
        gathered, spread = np.zeros((len(index), channels), dtype), np.zeros((3 * pixels + 1, channels), dtype)
        rows = on_host.whole.scaled(axes, Y).reshape(-1, channels)
        for p in range(len(index)):
            for k in range(index.shape[1]):
                gathered[p] += weight[p, k] * source[index[p, k]]
                spread[index[p, k]] += weight[p, k] * rows[p]
        expected = on_host.whole.scaled(axes, gathered.reshape(3, points, channels))
        assert (get(path.gather(on_device, axes, put(X))) == expected).all()
        assert (get(path.scatter(on_device, axes, put(Y))).reshape(-1, channels) == spread[:-1]).all()
