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
        f'extern "C" void* launcher_of_{name}() {{ return (void*)&Launch<&{name}>::run; }}\n'
        f'extern "C" const char* signature_of_{name}() {{ return Launch<&{name}>::signature(); }}\n'
        for name in names
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
        signature_of = getattr(self._library, f"signature_of_{name}")
        signature_of.restype = ctypes.c_char_p
        parameters = signature_of().decode().split()

        def launch(grid, block, arguments):
            _called(*[a for a in arguments if isinstance(a, ndarray)])
            (blocks,), (threads,) = grid, block
            assert 0 < threads <= 1024
            assert len(arguments) == len(parameters)
            passed = [
                _pointer(a, kind) if isinstance(a, ndarray) else _integer(a, kind)
                for a, kind in zip(arguments, parameters, strict=True)
            ]
            kinds = [type(entry) for entry in passed]
            signature = ctypes.CFUNCTYPE(None, *[ctypes.c_longlong] * 3, *kinds)
            # Few threads, so that each goes round its loop several times.
            signature(address)(min(blocks, 3), min(threads, 5), int(RANDOM.integers(2**62)), *passed)

        return launch


_KINDS = {"f": "float32", "d": "float64", "i": "int32", "x": "int64"}


def _pointer(array, kind):
    if kind[0] != "P" or _KINDS[kind[-1]] != array.dtype:
        raise TypeError(f"a kernel was given an array of {array.dtype} where its parameter is {kind!r}")
    if not array.flags.c_contiguous:
        raise ValueError(f"a kernel was given an array of shape {array.shape} with strides {array.strides}")
    return ctypes.c_void_p(array._on_host.ctypes.data)


def _integer(value, kind):
    if type(value) is not int or not (kind == "x" or (kind[0] == "P" and value == 0)):
        raise TypeError(f"a kernel was given {value!r} for {kind!r}: CuPy passes a whole number in 8 bytes")
    return ctypes.c_longlong(value)
