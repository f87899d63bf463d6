"""On what was measured: processor, cores, memory, BLAS, versions, and how many threads each side may use."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from attn_ref.environment import describe as environment

__all__ = ["default_threads", "describe", "limited_threads"]

_VARIABLE = "ATTN_REF_NUM_THREADS"


def describe(packages: Iterable[str]) -> dict[str, Any]:
    """Describe the machine, without names of hosts or paths.

    Parameters
    ----------
    packages : iterable of str
        Packages whose versions are of interest besides those that :func:`attn_ref.environment.describe` lists.

    Returns
    -------
    dict
        ``cpu``, ``cores``, ``memory`` (GiB), ``system``, ``blas`` (name, version and kernel of each BLAS in this
        process, or why that is not known), and ``versions``, ``backends`` and ``threads`` of
        :func:`attn_ref.environment.describe`.
    """
    found: dict[str, Any] = environment()
    found["versions"] |= {name: _version(name) for name in packages if name not in found["versions"]}
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count()
    system = f"{platform.system()} on {platform.machine()}"
    return {"cpu": _cpu(), "cores": cores, "memory": _memory(), "system": system, "blas": _blas(), **found}


def default_threads() -> int:
    """How many threads attn_ref uses if nobody says otherwise."""
    return int(environment()["threads"]["used"] or 1)


@contextmanager
def limited_threads(count: int, *, with_torch: bool) -> Iterator[dict[str, str]]:
    """Give both sides the same number of threads, and put back afterwards what was set.

    Parameters
    ----------
    count : int
        How many, at least 1.
    with_torch : bool
        Whether torch takes part; it is imported only then.

    Yields
    ------
    dict of str to str
        What was done about ``attn_ref``, ``torch`` and ``BLAS``.
    """
    before = os.environ.get(_VARIABLE)
    with ExitStack() as stack:
        os.environ[_VARIABLE] = str(count)
        stack.callback(_restore, before)
        done = {"attn_ref": f"{environment()['threads']['used']}"}
        if with_torch:
            import torch

            stack.callback(torch.set_num_threads, torch.get_num_threads())
            torch.set_num_threads(count)
            done["torch"] = str(torch.get_num_threads())
        if find_spec("threadpoolctl") is None:
            done["BLAS"] = "as it comes: threadpoolctl, which could set it, is not installed"
        else:
            from threadpoolctl import threadpool_limits

            stack.enter_context(threadpool_limits(count, user_api="blas"))
            done["BLAS"] = str(count)
        yield done


def _restore(value: str | None) -> None:
    if value is None:
        del os.environ[_VARIABLE]
    else:
        os.environ[_VARIABLE] = value


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _cpu() -> str:
    """The processor's name, which Python knows on some systems only."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""
    for line in text.splitlines():
        key, _, value = line.partition(":")
        if key.strip() == "model name" and value.strip():
            return value.strip()
    return platform.processor() or platform.machine()


def _memory() -> float | None:
    """In GiB, where the system tells."""
    try:
        size: int = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None
    return round(size / 2**30, 1)


def _blas() -> list[str]:
    """Which BLAS, and which kernels it chose for this processor."""
    if find_spec("threadpoolctl") is None:
        return ["not known: threadpoolctl is not installed"]
    from threadpoolctl import threadpool_info

    found = [
        f"{library['internal_api']} {library['version']}, kernels for {library.get('architecture', 'unknown')}"
        for library in threadpool_info()
        if library["user_api"] == "blas"
    ]
    return list(dict.fromkeys(found))
