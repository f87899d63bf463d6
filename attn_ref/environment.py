"""What attn_ref finds on this machine: versions, array libraries, threads."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable
from importlib import metadata

from attn_ref import __version__
from attn_ref.backend import BACKENDS, unusable_because

__all__ = ["describe"]

_PACKAGES: dict[str, tuple[str, ...]] = {
    "numpy": ("numpy",),
    "scipy": ("scipy",),
    "hypothesis": ("hypothesis",),
    "typer": ("typer",),
    "rich": ("rich",),
    "pillow": ("pillow",),
    "matplotlib": ("matplotlib",),
    "torch": ("torch",),
    "onnx": ("onnx",),
    "cupy": ("cupy", "cupy-cuda12x", "cupy-cuda13x"),
}
"""Packages by name, and the names under which each is distributed."""


def describe() -> dict[str, dict[str, str | int | None]]:
    """Describe the environment.

    Returns
    -------
    dict
        ``versions`` (of attn_ref, Python, the platform and packages; None for a package that is not installed),
        ``backends`` ("usable", or why not) and ``threads`` (``allowed``; ``set by``,
        where that comes from; and ``used``, how many the operations use).

    Notes
    -----
    Packages are not imported, except those of the array libraries in :data:`attn_ref.backend.BACKENDS`, which are
    tried out.
    """
    versions: dict[str, str | int | None] = {
        "attn_ref": __version__,
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "platform": platform.platform(),
    }
    versions |= {name: _version(distributions) for name, distributions in _PACKAGES.items()}
    backends: dict[str, str | int | None] = {}
    for name in BACKENDS:
        reason = unusable_because(name)
        backends[name] = "usable" if reason is None else f"not usable: {reason}"
    count, origin = _threads()
    return {
        "versions": versions,
        "backends": backends,
        "threads": {"allowed": count, "set by": origin, "used": 1},
    }


def _version(distributions: Iterable[str]) -> str | None:
    for name in distributions:
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return None


def _threads() -> tuple[int, str]:
    """How many threads may be used, and what says so."""
    wanted = os.environ.get("ATTN_REF_NUM_THREADS", "").strip()
    if wanted.isascii() and wanted.isdigit() and int(wanted) > 0:
        return int(wanted), "ATTN_REF_NUM_THREADS"
    affinity = getattr(os, "sched_getaffinity", None)  # Linux only
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    ignored = f"; ATTN_REF_NUM_THREADS={wanted!r} is not a number above 0" if wanted else ""
    return cores, f"the cores available{ignored}"
