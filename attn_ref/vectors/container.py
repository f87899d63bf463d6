"""Files whose bytes depend on what is in them and on nothing else: .npz and raw little-endian.

NumPy and zipfile write the date, the system and their own version's habits into a file. Here the headers are written
out, as the two formats define them, and every date is that of the format's first day.
"""

from __future__ import annotations

import io
import zipfile
from typing import Any, NamedTuple

import numpy as np

from attn_ref.backend import Array

__all__ = ["ALIGNMENT", "Placed", "npz_bytes", "raw_bytes", "read_npz", "read_raw"]

ALIGNMENT = 8
"""Every array of a raw file begins at a multiple of so many bytes."""
_DATE = (1980, 1, 1, 0, 0, 0)


class Placed(NamedTuple):
    """Where an array is in a raw file."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    offset: int


def npz_bytes(arrays: dict[str, Array]) -> bytes:
    """Write arrays by name as an uncompressed .npz file, which :func:`numpy.load` reads."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, array in arrays.items():
            entry = zipfile.ZipInfo(f"{name}.npy", _DATE)
            entry.create_system, entry.external_attr = 3, 0o644 << 16
            archive.writestr(entry, _npy_bytes(array))
    return buffer.getvalue()


def _npy_bytes(array: Array) -> bytes:
    """Version 1.0 of the .npy format: magic, version, length of the header, header padded to 64 bytes, data."""
    shape = f"({', '.join(map(str, array.shape))}{',' if array.ndim == 1 else ''})"
    header = f"{{'descr': '{_little(array.dtype).str}', 'fortran_order': False, 'shape': {shape}, }}".encode()
    padded = header + b" " * (-(len(header) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(padded).to_bytes(2, "little") + padded + _data(array)


def raw_bytes(arrays: dict[str, Array]) -> tuple[bytes, list[Placed]]:
    """Write arrays one after the other, in C order; and say where each of them is."""
    content, places = b"", []
    for name, array in arrays.items():
        content += b"\0" * (-len(content) % ALIGNMENT)
        places.append(Placed(name, str(array.dtype), array.shape, len(content)))
        content += _data(array)
    return content, places


def read_npz(content: bytes) -> dict[str, Array]:
    """Read the arrays of an .npz file; nothing in it is executed."""
    with np.load(io.BytesIO(content), allow_pickle=False) as found:
        return {name: found[name] for name in found.files}


def read_raw(content: bytes, place: Placed) -> Array:
    """Read one array of a raw file."""
    count = int(np.prod(place.shape))
    array = np.frombuffer(content, _little(np.dtype(place.dtype)), count, place.offset)
    return array.astype(np.dtype(place.dtype)).reshape(place.shape)


def _data(array: Array) -> bytes:
    return np.ascontiguousarray(array, _little(array.dtype)).tobytes()


def _little(dtype: np.dtype[Any]) -> np.dtype[Any]:
    return dtype.newbyteorder("<")
