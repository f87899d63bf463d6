"""Which array library is in hand.

NumPy and CuPy mirror each other so closely that an operation can be written once. What an operation needs of
them is collected in one small value, :class:`Backend`: the two modules that carry the same names on both sides
(``xp`` is numpy or cupy, ``special`` is scipy.special or cupyx.scipy.special), and the few things that truly
differ. :func:`of` finds the backend that owns the given arrays.

CuPy is never imported until one of its arrays arrives: the table :data:`BACKENDS` is keyed by the name of the
package that defines the array's class, and the value behind the name is a function that imports and builds.
A further array library is one more entry in that table.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import Any

import numpy as np

from attn_ref import _cuda, _execute

__all__ = ["BACKENDS", "Array", "Backend", "of", "unusable_because"]

Array = Any
"""An array of any of the backends; its shape and dtype are stated where it is used."""


@dataclass(frozen=True, eq=False)
class Backend:
    """One array library, as the operations see it.

    Attributes
    ----------
    name : str
        The name by which users know it, "numpy" or "cupy".
    xp, special : module
        The library itself and its special functions.
    array_types : tuple of type
        The classes whose instances are accepted, exactly: subclasses may mean something else by ``*``.
    quiet : callable
        A context in which NaN and inf flow through arithmetic without warnings. They are data here.
    to_host : callable
        A copy of an array as a NumPy array.
    synchronize : callable
        Waits until everything asked for has been computed; for timers.
    device_of : callable
        Where an array lies; two arrays of one call must lie in the same place.
    current_device : callable
        Where the library would compute now; it must be where the arrays lie.
    row_dots : callable
        Σ x ∘ y along the last axis of two arrays of one shape (N, C, K, P).
    sigmoid : callable
        1 / (1 + e⁻ˣ), as exact as the library's exponential.
    current_queue : callable
        In which order its work is done, a stream of the device: an array made once and kept serves that queue alone.
    chunk : int
        How many numbers of an image to work on before the next are looked at: what a cache holds; on a GPU, all.
    unless_nowhere : callable
        A mask, or None if it is known to hold nowhere. Where finding out would mean waiting for a device, the mask.
    rows : callable
        A context for arithmetic of rows of so many bytes with one number each; 0 if a result is to be converted.
    gather, scatter, dot : callable, optional
        The three primitives of the tap table (see :mod:`attn_ref._execute`).
    path : object, optional
        The sampler's own path in this library, in place of one through the three primitives.
    """

    name: str
    xp: ModuleType
    special: ModuleType
    array_types: tuple[type, ...]
    quiet: Callable[[], AbstractContextManager[object]]
    to_host: Callable[[Array], np.ndarray[Any, Any]]
    synchronize: Callable[[], None]
    device_of: Callable[[Array], object]
    current_device: Callable[[], object]
    row_dots: Callable[[Array, Array], Array]
    sigmoid: Callable[[Array], Array]
    current_queue: Callable[[], object] = lambda: None
    chunk: int = 2**19
    unless_nowhere: Callable[[Array], Array | None] = lambda mask: mask
    rows: Callable[[int], AbstractContextManager[object]] = lambda _: nullcontext()
    gather: Callable[[Array, Array, Array], Array] | None = None
    scatter: Callable[[Array, Array, Array, int], Array] | None = None
    dot: Callable[[Array, Array, Array], Array] | None = None
    path: Any = None


@cache
def _numpy() -> Backend:
    import scipy.special

    return Backend(
        name="numpy",
        xp=np,
        special=scipy.special,
        array_types=(np.ndarray, np.memmap),
        gather=_execute.gather_csr,
        scatter=_execute.scatter_csr,
        dot=_execute.dot_einsum,
        quiet=lambda: np.errstate(all="ignore"),
        unless_nowhere=lambda mask: mask if mask.any() else None,
        rows=_numpy_rows,
        row_dots=_numpy_row_dots,
        sigmoid=_numpy_sigmoid,
        to_host=lambda array: np.array(array),
        synchronize=lambda: None,
        device_of=lambda _: "cpu",
        current_device=lambda: "cpu",
    )


_LONG_ROW = 1536
"""Bytes of a row from which a loop of its own costs less than to write its number out as often as the row is long."""
_SHORT_ROW = 64
"""Numbers of a row up to which a call of BLAS costs more than the row."""


def _numpy_rows(nbytes: int) -> AbstractContextManager[object]:
    """A context in which NumPy takes each long row by itself.

    Otherwise it fills a buffer of 8192 numbers with as many rows as that holds, and writes the one number of each row
    out so many times, which takes longer than the arithmetic. The buffer's size belongs to the error state.
    """
    return _unbuffered() if nbytes >= _LONG_ROW else nullcontext()


@contextmanager
def _unbuffered() -> Iterator[None]:
    with np.errstate():
        np.setbufsize(16)  # the least
        yield


def _numpy_row_dots(x: Array, y: Array) -> Array:
    """Σ x ∘ y along the last axis: by BLAS, if rows are contiguous and not too short."""
    if x.shape[-1] > _SHORT_ROW and x.strides[-1] == y.strides[-1] == x.itemsize:
        return np.vecdot(x, y)
    return np.einsum("...p,...p->...", x, y)


def _numpy_sigmoid(x: Array) -> Array:
    """1 / (1 + e⁻ˣ). SciPy's expit is the same, a number at a time, and takes four times as long."""
    with np.errstate(over="ignore", under="ignore"):  # far on the left 1 / ∞ is right, on the right 1 / (1 + 0)
        return 1 / (1 + np.exp(-x))


@cache
def _cupy() -> Backend:
    return on_a_gpu("cupy", importlib.import_module("cupy"), importlib.import_module("cupyx.scipy.special"))


def on_a_gpu(name: str, cupy: ModuleType, special: ModuleType) -> Backend:
    """Build the backend of CuPy, or of a library that can take its place."""
    from attn_ref._kernels import Kernels

    return Backend(
        name=name,
        xp=cupy,
        special=special,
        chunk=2**62,
        array_types=(cupy.ndarray,),
        path=Kernels(cupy),
        quiet=nullcontext,  # a GPU raises no floating-point warnings
        to_host=cupy.asnumpy,
        synchronize=lambda: cupy.cuda.get_current_stream().synchronize(),
        device_of=lambda array: f"cuda:{array.device.id}",
        current_device=lambda: f"cuda:{cupy.cuda.runtime.getDevice()}",
        row_dots=lambda x, y: cupy.einsum("nckp,nckp->nck", x, y),
        sigmoid=special.expit,
        current_queue=lambda: cupy.cuda.get_current_stream().ptr,
    )


BACKENDS: dict[str, Callable[[], Backend]] = {"numpy": _numpy, "cupy": _cupy}
"""The package that defines the class of an array, and how to build the backend that serves it."""


def _entry(array: object) -> Backend | None:
    package = type(array).__module__.partition(".")[0]
    if package not in BACKENDS:
        return None
    backend = BACKENDS[package]()
    return backend if type(array) in backend.array_types else None


def _convert_hint(value: object) -> str:
    """How to make an array of something else."""
    module = type(value).__module__
    package = module.partition(".")[0]
    if value is None:
        return "it is required"
    if isinstance(value, np.ma.MaskedArray):
        return "a mask is never dropped silently: pass .filled(value) with the value you mean"
    if isinstance(value, np.matrix):
        return "pass numpy.asarray(matrix)"
    if package in ("scipy", "cupyx") and hasattr(value, "toarray"):
        return "pass .toarray()"
    if package == "torch":
        return "pass .detach().cpu().numpy()"
    return "pass numpy.asarray(value)"


def of(**arrays: object) -> Backend:
    """Return the backend that owns all of the given arrays.

    Parameters
    ----------
    **arrays : array
        The arrays of one call, by the names of their arguments.

    Returns
    -------
    Backend
        The one backend of them all.

    Raises
    ------
    TypeError
        If an argument is not an array of a known library (lists, scalars, masked arrays, matrices, sparse
        matrices, tensors of other libraries), or if two arguments belong to two libraries or two devices.
    ValueError
        If the arrays lie on another device than the library's current one.
    """
    found: tuple[str, Backend, object] | None = None
    for name, array in arrays.items():
        backend = _entry(array)
        if backend is None:
            kind = f"{type(array).__module__}.{type(array).__qualname__}".removeprefix("builtins.")
            raise TypeError(
                f"{name} must be an array of one of the libraries {', '.join(sorted(BACKENDS))}, got {kind}: "
                f"{_convert_hint(array)}"
            )
        device = backend.device_of(array)
        if found is None:
            found = (name, backend, device)
        elif found[1] is not backend:
            raise TypeError(
                f"{found[0]} is a {found[1].name} array and {name} is a {backend.name} array: all arrays of a call "
                f"belong to one library; convert one of them (cupy.asarray(array), cupy.asnumpy(array))"
            )
        elif found[2] != device:
            raise TypeError(
                f"{found[0]} lies on {found[2]} and {name} on {device}: all arrays of a call lie on one device; "
                "copy one of them"
            )
    if found is None:
        raise TypeError("no array was given")
    name, backend, device = found
    if backend.current_device() != device:
        raise ValueError(
            f"{name} lies on {device} and the current device of {backend.name} is {backend.current_device()}: call "
            f"inside `with {backend.name}.cuda.Device({str(device).rpartition(':')[2]}):`"
        )
    return backend


def unusable_because(name: str) -> str | None:
    """Say why a backend cannot be used on this machine.

    Parameters
    ----------
    name : str
        A key of :data:`BACKENDS`.

    Returns
    -------
    str or None
        None if an array could be made and computed with; else the reason, in one line.
    """
    try:
        backend = BACKENDS[name]()
        backend.to_host(backend.xp.arange(3) + 1)
    except Exception as error:  # whatever a library or a driver may raise is an answer here
        text = str(error).strip()
        said = f"{type(error).__name__}: {text.splitlines()[0] if text else ''}"
        meaning = _cuda.explain(error, sys.modules.get("cupy")) if name == "cupy" else None
        return said if meaning is None else f"{meaning} ({said})"
    return None
