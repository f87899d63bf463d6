"""What attn_ref finds on this machine: versions, array libraries, threads."""

from __future__ import annotations

import platform
from collections.abc import Iterable
from importlib import metadata

from attn_ref import __version__, _threads
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
        where that comes from; and ``used``, how many the sampler uses on NumPy arrays large enough to share out).

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
    count, origin = _threads.allowed()
    return {
        "versions": versions,
        "backends": backends,
        "threads": {"allowed": count, "set by": origin, "used": count},
    }


def _version(distributions: Iterable[str]) -> str | None:
    for name in distributions:
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return None
