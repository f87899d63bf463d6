"""Why CuPy cannot be used on a machine, in words that say what to do."""

from __future__ import annotations

import os
from types import ModuleType
from typing import Any

__all__ = ["explain"]


def explain(error: Exception, cupy: ModuleType | Any | None) -> str | None:
    """Say what an error means that came of importing CuPy or of a first small computation.

    Parameters
    ----------
    error : Exception
        What was raised.
    cupy : module or None
        CuPy, if it could be imported.

    Returns
    -------
    str or None
        What is wrong and what to do; None if there is nothing to add to the error.
    """
    if isinstance(error, ModuleNotFoundError) and (error.name or "").partition(".")[0] in ("cupy", "cupyx"):
        return (
            "CuPy is not installed: pip install 'attn_ref[cuda12]' or 'attn_ref[cuda13]', whichever the driver serves "
            "(nvidia-smi shows its CUDA version)"
        )
    if cupy is None:
        return "CuPy is installed but cannot be imported"
    runtime = cupy.cuda.runtime
    try:
        driver, built_for = runtime.driverGetVersion(), runtime.runtimeGetVersion()
    except Exception:  # whatever is broken there; the first error says more
        return None
    if driver == 0:
        return "there is no NVIDIA driver on this machine"
    if driver // 1000 < built_for // 1000:  # within a major version older drivers serve newer releases
        return (
            f"the NVIDIA driver serves CUDA {_words(driver)} and this CuPy is built for {_words(built_for)}: update "
            f"the driver, or install the CuPy for CUDA {driver // 1000} (cupy-cuda{driver // 1000}x)"
        )
    try:
        count = runtime.getDeviceCount()
    except Exception:  # cudaErrorNoDevice, usually
        count = 0
    if count == 0:
        visible = os.environ.get("CUDA_VISIBLE_DEVICES")
        hint = "" if visible is None else f" (CUDA_VISIBLE_DEVICES is {visible!r})"
        return f"the NVIDIA driver finds no GPU{hint}"
    if "nvrtc" in f"{type(error).__name__} {error}".lower():
        major = built_for // 1000
        return (
            f"NVRTC, which compiles CuPy's kernels, cannot be loaded or refuses them: install that of CUDA {major} "
            f"(pip install 'cupy-cuda{major}x[ctk]')"
        )
    return None


def _words(version: int) -> str:
    return f"{version // 1000}.{version % 1000 // 10}"
