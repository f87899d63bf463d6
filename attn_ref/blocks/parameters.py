"""Parameters in files: named arrays as ``.npz``, written whole or not at all.

An ``.npz`` file is a zip archive with one ``.npy`` file for each array; ``numpy.load`` reads it too. Nothing here
reads or writes pickles, which can run code when they are loaded.
"""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from attn_ref import backend
from attn_ref._files import one_line, write_bytes
from attn_ref.backend import Array
from attn_ref.blocks.block import Block

__all__ = ["load", "load_arrays", "save", "save_arrays"]

_FORBIDDEN = ("/", "\\", "\0")
"""What a name may not hold: zip archives read these as folders, or cut the name there."""


def save(block: Block, path: str | os.PathLike[str]) -> None:
    """Write a block's parameters and buffers to a file.

    Parameters
    ----------
    block : Block
        Its ``params`` and ``buffers`` are written, under their names.
    path : path
        The file, usually ``….npz``. One that exists is replaced once the new one is complete.

    Raises
    ------
    ValueError
        If the file cannot be written; one that exists stays as it was.

    Examples
    --------
    >>> import numpy as np
    >>> import tempfile
    >>> from attn_ref.blocks import Linear
    >>> layer = Linear(3, 2, rng=np.random.default_rng(0))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(layer, f"{folder}/layer.npz")
    ...     sorted(load_arrays(f"{folder}/layer.npz"))
    ['bias', 'weight']
    """
    save_arrays(path, {**block.params, **block.buffers})


def load(block: Block, path: str | os.PathLike[str]) -> None:
    """Read a block's parameters and buffers from a file that :func:`save` wrote.

    Parameters
    ----------
    block : Block
        Made with the same arguments. It gets all of the arrays, or none if anything is wrong.
    path : path
        The file.

    Raises
    ------
    ValueError
        If the file cannot be read, is damaged, or does not fit: the message lists names that are missing, names that
        the block does not have, and shapes and dtypes that differ.

    Examples
    --------
    >>> import numpy as np
    >>> import tempfile
    >>> from attn_ref.blocks import Linear
    >>> one, other = (Linear(3, 2, rng=np.random.default_rng(seed)) for seed in (0, 1))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(one, f"{folder}/layer.npz")
    ...     load(other, f"{folder}/layer.npz")
    >>> bool((one.params["weight"] == other.params["weight"]).all())
    True
    """
    found = load_arrays(path)
    wanted = {**block.params, **block.buffers}
    problems = []
    for title, names in (
        ("it lacks", [name for name in wanted if name not in found]),
        ("the block has no", [name for name in found if name not in wanted]),
    ):
        if names:
            problems.append(f"{title} {', '.join(names)}")
    for name in (name for name in wanted if name in found):
        there, here = _kind(found[name]), _kind(wanted[name])
        if there != here:
            problems.append(f"{name} is {there} in the file and {here} in the block")
    if problems:
        raise ValueError(f"{path} does not fit the {type(block).__name__}: {'; '.join(problems)}")
    native = {name: array.astype(wanted[name].dtype, copy=False) for name, array in found.items()}
    block.assign({name: backend.of(**{name: wanted[name]}).xp.asarray(array) for name, array in native.items()})


def _kind(array: Array) -> str:
    return f"{array.dtype.newbyteorder('=')} {array.shape}"


def save_arrays(path: str | os.PathLike[str], arrays: Mapping[str, Array]) -> None:
    """Write named arrays to a file: what a checkpoint holds besides a block, such as the state of an optimiser.

    Parameters
    ----------
    path : path
        The file, usually ``….npz``. One that exists is replaced once the new one is complete.
    arrays : mapping of str to array
        Arrays of any shape and of any dtype but objects, by name. The same arrays make the same bytes.

    Raises
    ------
    TypeError
        If a name is not a string, or a value is not an array or holds Python objects.
    ValueError
        If a name is empty or holds a slash, a backslash or a null character, or the file cannot be written; one that
        exists stays as it was.

    Examples
    --------
    >>> import numpy as np
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_arrays(f"{folder}/arrays.npz", {"conv1.weight": np.array([1.0, 2.0])})
    ...     print(load_arrays(f"{folder}/arrays.npz"))
    {'conv1.weight': array([1., 2.])}
    """
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, array in arrays.items():
            host = _host_array(name, array)
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as member:
                np.lib.format.write_array(member, host, allow_pickle=False)
    write_bytes(Path(path), content.getvalue())


def _host_array(name: object, array: Array) -> np.ndarray[Any, Any]:
    if not isinstance(name, str):
        raise TypeError(f"names must be strings, got {type(name).__name__} {name!r}")
    if not name or any(character in name for character in _FORBIDDEN):
        raise ValueError(f"{name!r} cannot name an array in a file: expected no slash, backslash or null character")
    library = backend.of(**{name: array})
    if array.dtype.hasobject:
        raise TypeError(f"{name} holds Python objects: expected numbers, flags or strings")
    return np.asarray(library.to_host(array), order="C")


def load_arrays(path: str | os.PathLike[str]) -> dict[str, Array]:
    """Read the arrays of an ``.npz`` file.

    Parameters
    ----------
    path : path
        The file.

    Returns
    -------
    dict of str to array
        NumPy arrays by name, in the file's order.

    Raises
    ------
    ValueError
        If the file cannot be read, or is not a whole ``.npz`` file: cut short, damaged (each array has a checksum),
        something else, or with a pickle inside, which is never loaded.

    Examples
    --------
    >>> import numpy as np
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_arrays(f"{folder}/arrays.npz", {"a": np.arange(3), "b": np.zeros((2, 0))})
    ...     {name: array.shape for name, array in load_arrays(f"{folder}/arrays.npz").items()}
    {'a': (3,), 'b': (2, 0)}
    """
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror or one_line(error)}") from None
    try:
        return _parsed(content)
    except Exception as error:  # zipfile, zlib and NumPy raise a dozen kinds for a damaged file
        raise ValueError(f"{path} is not a whole .npz file of arrays: {one_line(error)}") from error


def _parsed(content: bytes) -> dict[str, Array]:
    arrays: dict[str, Array] = {}
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        for info in archive.infolist():
            name = info.filename.removesuffix(".npy")
            if name == info.filename or name in arrays:
                raise ValueError(f"it holds {info.filename!r}, which is no array or there twice")
            with archive.open(info) as member:
                arrays[name] = np.lib.format.read_array(member, allow_pickle=False)
                if member.read(1):  # and at the end of a member its checksum is compared
                    raise ValueError(f"there is more in {info.filename!r} than its array")
    return arrays
