"""Optional packages: which extra installs each, and what is said when one is missing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["EXTRAS", "missing", "optional"]

EXTRAS = {
    "PIL": ("pillow", "plot"),
    "matplotlib": ("matplotlib", "plot"),
    "hypothesis": ("hypothesis", "check"),
    "mpmath": ("mpmath", "check"),
    "mlxtend": ("mlxtend", "train"),
    "skimage": ("scikit-image", "train"),
    "sklearn": ("scikit-learn", "train"),
    "onnx": ("onnx", "oracles"),
    "onnxruntime": ("onnxruntime", "oracles"),
    "jupyterlab": ("jupyterlab", "tutorials"),
}
"""By the name of a module: its package, and the extra that installs it."""


def missing(error: ModuleNotFoundError) -> str | None:
    """Return the line that says how to mend an import that failed; None if the module is of no extra."""
    module = (error.name or "").partition(".")[0]
    if module not in EXTRAS:
        return None
    package, extra = EXTRAS[module]
    return f"the package {package} is missing: pip install 'attn_ref[{extra}]'"


@contextmanager
def optional() -> Iterator[None]:
    """Import an optional package inside: if it is missing, the error says which extra to install.

    Raises
    ------
    ModuleNotFoundError
        In place of the one that Python raises; its ``name`` is that of the package's module.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        message = missing(error)
        if message is None:
            raise
        raise ModuleNotFoundError(message, name=(error.name or "").partition(".")[0]) from None
