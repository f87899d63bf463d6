"""Files are written whole or not at all."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

__all__ = ["one_line", "write_bytes"]


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file whole or not at all: under a temporary name beside it, which is then renamed.

    Parameters
    ----------
    path : pathlib.Path
        The file; one that exists is replaced, through a symbolic link if it is one.
    content : bytes
        What it shall hold.

    Raises
    ------
    ValueError
        If the system refuses; the message says why. Nothing is left behind then.
    """
    target = Path(os.path.realpath(path))
    temporary = target.parent / f".attn-ref-{secrets.token_hex(6)}.tmp"
    try:
        try:
            with temporary.open("xb") as file:
                file.write(content)
            os.replace(temporary, target)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise ValueError(f"{path} cannot be written: {error.strerror or one_line(error)}") from None


def one_line(error: BaseException) -> str:
    """Return an error's message on one line."""
    return " ".join(str(error).split()) or type(error).__name__
