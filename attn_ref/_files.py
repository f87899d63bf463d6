"""Files are written whole or not at all."""

from __future__ import annotations

import os
import secrets
import tempfile
from pathlib import Path

__all__ = ["one_line", "reserve", "write_bytes"]


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


def reserve(option: str, path: Path) -> None:
    """Find out before a long run whether a file can be written there.

    Parameters
    ----------
    option : str
        The option that named it, for the message.
    path : pathlib.Path
        Where the file shall go; nothing is left there.

    Raises
    ------
    OSError
        If it is a folder, or anything but a regular file, or its folder does not exist or cannot be written to.
    """
    if path.is_dir():
        raise IsADirectoryError(f"{option} {path} is a folder: name a file")
    if path.exists() and not path.is_file():
        raise FileExistsError(f"{option} {path} is not a regular file, and is not replaced")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"{option} {path}: there is no folder {path.parent}")
    with tempfile.TemporaryFile(dir=path.parent):
        pass


def one_line(error: BaseException) -> str:
    """Return an error's message on one line."""
    return " ".join(str(error).split()) or type(error).__name__
