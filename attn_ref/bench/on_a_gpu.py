"""The same cases on a GPU: attn_ref there, attn_ref on NumPy on the host, and PyTorch on the same GPU.

A work is handed to the device and waited for: an event is recorded behind it, and the host stands still until that has
come to pass. Times are those of the host's clock, launches and waiting included, as whoever calls it sees them. Beside
them the time between two events on the device is taken, in a few further calls.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attn_ref import backend as _backend
from attn_ref.backend import Array, Backend
from attn_ref.bench import by_torch, ours
from attn_ref.bench.cases import Case
from attn_ref.bench.contenders import OURS, Contender
from attn_ref.bench.peak import Peak
from attn_ref.bench.problems import Arrays, build
from attn_ref.bench.works import Work, Works

__all__ = ["contenders", "describe", "pool"]

_ON_THE_DEVICE = ("sample", "small", "operator", "affine", "se", "train")
"""Kinds of cases: all but the gradient checker, which keeps to the host."""

Preparation = Callable[[Case, Arrays], Works]


def contenders(name: str) -> list[Contender]:
    """List who takes part.

    Parameters
    ----------
    name : str
        A key of :data:`attn_ref.backend.BACKENDS`, of a library on a GPU.

    Returns
    -------
    list of Contender
        attn_ref on the device, attn_ref on NumPy, and PyTorch if it can use the same GPU.

    Raises
    ------
    ValueError
        If the backend is unknown, or cannot be used here; the message says why.
    """
    if name not in _backend.BACKENDS or name == "numpy":
        known = ", ".join(key for key in _backend.BACKENDS if key != "numpy")
        raise ValueError(f"unknown backend {name!r}: expected numpy or {known}")
    reason = _backend.unusable_because(name)
    if reason is not None:
        raise ValueError(f"{name} cannot be used here: {reason}")
    backend = _backend.BACKENDS[name]()
    kinds = {kind: _placed(backend, ours.KINDS[kind]) for kind in _ON_THE_DEVICE}
    on_host = {kind: ours.KINDS[kind] for kind in _ON_THE_DEVICE}
    found = [
        Contender(OURS, "attn_ref", kinds, f"this project, on {name} arrays", peak=_peak_of(backend, kinds)),
        Contender("attn_ref on numpy", "attn_ref", on_host, "this project, on the host"),
    ]
    if _torch_has_a_gpu():
        note = "eager mode on the same GPU, gradients by autograd"
        on_gpu = {kind: _waited_for_torch(prepare) for kind, prepare in by_torch.kinds("cuda").items()}
        on_gpu.pop("gradcheck")
        found.append(Contender("torch on the GPU", "torch", on_gpu, note, peak=_torch_peak_of(on_gpu)))
    return found


def describe(name: str) -> dict[str, Any]:
    """Describe the device: its name, memory in GiB, and the CUDA versions of driver and library."""
    runtime = _backend.BACKENDS[name]().xp.cuda.runtime
    properties = runtime.getDeviceProperties(runtime.getDevice())
    model = properties["name"]
    return {
        "name": model.decode() if isinstance(model, bytes) else str(model),
        "memory": round(properties["totalGlobalMem"] / 2**30, 1),
        "driver serves CUDA": runtime.driverGetVersion(),
        "library built for CUDA": runtime.runtimeGetVersion(),
    }


def pool(name: str) -> dict[str, int]:
    """Bytes in the library's memory pool: in use, and taken from the device."""
    found = _backend.BACKENDS[name]().xp.get_default_memory_pool()
    return {"used": int(found.used_bytes()), "total": int(found.total_bytes())}


def _placed(backend: Backend, prepare: Preparation) -> Preparation:
    """The preparation with its arrays moved to the device, and works that wait for it."""

    def on_device(case: Case, arrays: Arrays) -> Works:
        moved = {name: backend.xp.asarray(array) for name, array in arrays.items()}
        return {part: _waited_for(backend, work) for part, work in prepare(case, moved).items()}

    return on_device


def _waited_for(backend: Backend, work: Work) -> Work:
    cuda = backend.xp.cuda

    def results(result: Any) -> tuple[Array, ...]:
        return tuple(backend.to_host(array) for array in work.results(result))

    return _between(cuda.Event(), cuda.Event(), cuda.get_elapsed_time, Work(work.run, results))


def _between(before: Any, behind: Any, milliseconds: Callable[[Any, Any], float], work: Work) -> Work:
    """The work between two events of a device, and waiting for the second."""

    def run() -> Any:
        result = work.run()
        behind.record()
        behind.synchronize()
        return result

    def elapsed() -> float:
        before.record()
        run()
        return float(milliseconds(before, behind)) / 1e3

    return Work(run, work.results, elapsed)


def _peak_of(backend: Backend, kinds: dict[str, Preparation]) -> Callable[[Case, str, int], Peak]:
    """How much the memory pool grows from empty while a work is done; a first run has loaded the kernels."""

    def peak(case: Case, part: str, seed: int) -> Peak:
        work = kinds[case.kind](case, build(case, seed))[part]
        memory = backend.xp.get_default_memory_pool()
        work.run()
        memory.free_all_blocks()
        before = memory.total_bytes()
        results = work.run()
        grown = memory.total_bytes() - before
        return Peak(sum(array.nbytes for array in work.results(results)), None, int(grown))

    return peak


def _torch_has_a_gpu() -> bool:
    try:
        import torch
    except ModuleNotFoundError:
        return False
    return bool(torch.cuda.is_available())


def _waited_for_torch(prepare: Preparation) -> Preparation:
    import torch

    def waited(work: Work) -> Work:
        before, behind = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        return _between(before, behind, torch.cuda.Event.elapsed_time, work)

    return lambda case, arrays: {part: waited(work) for part, work in prepare(case, arrays).items()}


def _torch_peak_of(kinds: dict[str, Preparation]) -> Callable[[Case, str, int], Peak]:
    import torch

    def peak(case: Case, part: str, seed: int) -> Peak:
        work = kinds[case.kind](case, build(case, seed))[part]
        work.run()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        results = work.run()
        grown = torch.cuda.max_memory_allocated() - before
        return Peak(sum(array.nbytes for array in work.results(results)), None, int(grown))

    return peak
