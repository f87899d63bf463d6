"""Kernels on a CPU: the text that NVRTC would compile, compiled by g++ and run thread by thread in a random order."""

import ctypes
import functools
import hashlib
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from .library import RANDOM, _called, ndarray

HEADER = Path(__file__).with_name("cuda_on_a_cpu.hpp")
COMPILER = shutil.which("g++")
_BUILT = tempfile.TemporaryDirectory(prefix="attn_ref-kernels-")


@functools.cache
def compiled(text):
    """A shared library with a ``launcher_of_NAME`` for each kernel of the text."""
    names = re.findall(r"__global__ void (\w+)\(", text)
    launchers = "".join(
        f'extern "C" void* launcher_of_{name}() {{ return (void*)&Launch<&{name}>::run; }}\n' for name in names
    )
    stem = Path(_BUILT.name) / hashlib.sha256(text.encode()).hexdigest()[:16]
    unit = stem.with_suffix(".cpp")
    unit.write_text(f"{HEADER.read_text()}\n{text}\n{launchers}")
    # No product is added before it is rounded, as with --fmad=false; -Werror: a warning is a mistake in the kernel.
    options = ["-std=c++17", "-O1", "-ffp-contract=off", "-shared", "-fPIC", "-Wall", "-Wextra", "-Werror"]
    command = [COMPILER, *options, "-Wno-unused-parameter", "-Wno-unused-variable", str(unit), "-o", f"{stem}.so"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return ctypes.CDLL(f"{stem}.so")


class RawModule:
    """As CuPy's. Options are for NVRTC."""

    def __init__(self, code, options=()):
        assert "--fmad=false" in options
        self._library = compiled(code)

    def get_function(self, name):
        launcher = getattr(self._library, f"launcher_of_{name}")
        launcher.restype = ctypes.c_void_p
        address = launcher()

        def launch(grid, block, arguments):
            _called(*[a for a in arguments if isinstance(a, ndarray)])
            (blocks,), (threads,) = grid, block
            assert 0 < threads <= 1024
            passed = [_pointer(a) if isinstance(a, ndarray) else _integer(a) for a in arguments]
            kinds = [type(entry) for entry in passed]
            signature = ctypes.CFUNCTYPE(None, *[ctypes.c_longlong] * 3, *kinds)
            # Few threads, so that each goes round its loop several times.
            signature(address)(min(blocks, 3), min(threads, 5), int(RANDOM.integers(2**62)), *passed)

        return launch


def _pointer(array):
    if not array.flags.c_contiguous:
        raise ValueError(f"a kernel was given an array of shape {array.shape} with strides {array.strides}")
    return ctypes.c_void_p(array._on_host.ctypes.data)


def _integer(value):
    if type(value) is not int:
        raise TypeError(f"a kernel was given {value!r}: CuPy passes a whole number in 8 bytes")
    return ctypes.c_longlong(value)
