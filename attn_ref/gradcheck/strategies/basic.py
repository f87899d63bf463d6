"""What the strategies of all operations share: sizes, images without repeated values, signed cotangents."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

__all__ = ["Floats", "Options", "cotangents", "images", "signed", "sizes", "whole"]

Floats = np.ndarray[Any, np.dtype[np.float64]]
Options = dict[str, Any]


@st.composite
def sizes(draw: st.DrawFn, ndim: int = 2, *, largest: int = 6) -> tuple[int, ...]:
    """Draw (N, C, H, W) or (N, C, D, H, W): N ≠ C, all spatial sizes different, each from 1 pixel up."""
    batch = draw(st.lists(st.integers(1, 3 if ndim == 2 else 2), min_size=2, max_size=2, unique=True))
    space = draw(st.lists(st.integers(1, largest), min_size=ndim, max_size=ndim, unique=True))
    return (*batch, *space)


@st.composite
def images(draw: st.DrawFn, shape: tuple[int, ...]) -> Floats:
    """Draw an image without repeated values: multiples of 1/8 round 0, in random order."""
    generator = np.random.default_rng(draw(st.integers(0, 2**16 - 1)))
    count = int(np.prod(shape))
    return ((generator.permutation(count) - count // 2) / 8).reshape(shape)


@st.composite
def cotangents(draw: st.DrawFn, shape: tuple[int, ...]) -> Floats:
    """Draw a cotangent or a tangent: signed multiples of 1/16 between 1/8 and 2, never 0."""
    return signed(np.random.default_rng(draw(st.integers(0, 2**16 - 1))), shape)


def signed(generator: np.random.Generator, shape: tuple[int, ...]) -> Floats:
    """Random signed multiples of 1/16 between 1/8 and 2."""
    values: Floats = generator.integers(2, 33, shape) * generator.choice([-1.0, 1.0], shape) / 16
    return values


def whole(draw: st.DrawFn, shape: tuple[int, ...], low: int, high: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Draw integers from low to high."""
    return draw(hnp.arrays(np.int64, shape, elements=st.integers(low, high)))
