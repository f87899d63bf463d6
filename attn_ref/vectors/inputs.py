"""Numbers for the inputs of a suite: drawn from SHAKE-256, so that they are the same everywhere and for ever.

A random generator of a library may change with its releases. The bytes of SHAKE-256 are a published standard (FIPS
202), and all that follows here is done in integers until a last division by a power of two, which is exact.
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np

from attn_ref.backend import Array

__all__ = ["SEED", "dyadic", "full", "integers"]

SEED = 1
"""The seed of the published suite."""
_BYTES = 8


def integers(label: str, shape: tuple[int, ...], low: int, high: int) -> Array:
    """Draw integers from low to high, both included.

    Parameters
    ----------
    label : str
        What they are for: another label gives other numbers.
    shape : tuple of int
        Shape of the result.
    low, high : int
        The range, of less than 2**53 numbers.

    Returns
    -------
    array of int64
    """
    count = int(np.prod(shape))
    stream = hashlib.shake_256(f"{SEED}/{label}".encode()).digest(_BYTES * count)
    words = (int.from_bytes(stream[_BYTES * i : _BYTES * (i + 1)], "little") for i in range(count))
    span = high - low + 1
    return np.array([low + (word * span >> 8 * _BYTES) for word in words], np.int64).reshape(shape)


def dyadic(label: str, shape: tuple[int, ...], *, largest: int = 2, denominator: int = 16) -> Array:
    """Draw odd multiples of 1/denominator below largest: never 0, and few bits, so that float16 holds them exactly."""
    steps = largest * denominator // 2
    return (2 * integers(label, shape, -steps, steps - 1) + 1) / denominator


def full(label: str, shape: tuple[int, ...], dtype: Any, *, largest: int = 2) -> Array:
    """Draw numbers of up to ``largest``, a power of two, whose every bit is in use. (shape), the dtype."""
    one = 2 ** (np.finfo(dtype).nmant + 1)
    drawn = integers(label, shape, -one, one).astype(np.float64) * (largest / one)
    return np.asarray(drawn, dtype)
