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
    """Draw (N, C, H, W) or (N, C, D, H, W): N ≠ C, all spatial sizes different, each from 1 pixel up.

    Parameters
    ----------
    ndim : {2, 3}
        Spatial dimensions.
    largest : int
        The largest spatial size.

    Returns
    -------
    strategy of tuple of int
        The shape of an image, channels first.

    Examples
    --------
    >>> from hypothesis import find
    >>> found = find(sizes(3), lambda found: True)  # the simplest
    >>> found
    (1, 2, 1, 2, 3)
    """
    batch = draw(st.lists(st.integers(1, 3 if ndim == 2 else 2), min_size=2, max_size=2, unique=True))
    space = draw(st.lists(st.integers(1, largest), min_size=ndim, max_size=ndim, unique=True))
    return (*batch, *space)


@st.composite
def images(draw: st.DrawFn, shape: tuple[int, ...]) -> Floats:
    """Draw an image without repeated values: multiples of 1/8 round 0, in random order.

    Parameters
    ----------
    shape : tuple of int
        The array's shape.

    Returns
    -------
    strategy of ndarray
        Of that shape, float64.

    Examples
    --------
    >>> import numpy as np
    >>> from hypothesis import find
    >>> found = find(images((1, 2, 3)), lambda found: True)  # the simplest
    >>> found.shape, bool(np.all(found * 8 == np.round(found * 8)))
    ((1, 2, 3), True)
    """
    generator = np.random.default_rng(draw(st.integers(0, 2**16 - 1)))
    count = int(np.prod(shape))
    return ((generator.permutation(count) - count // 2) / 8).reshape(shape)


@st.composite
def cotangents(draw: st.DrawFn, shape: tuple[int, ...]) -> Floats:
    """Draw a cotangent or a tangent: signed multiples of 1/16 between 1/8 and 2, never 0.

    Parameters
    ----------
    shape : tuple of int
        The array's shape.

    Returns
    -------
    strategy of ndarray
        Of that shape, float64.

    Examples
    --------
    >>> import numpy as np
    >>> from hypothesis import find
    >>> found = find(cotangents((2, 3)), lambda found: True)  # the simplest
    >>> found.shape, bool(np.all(found != 0))
    ((2, 3), True)
    """
    return signed(np.random.default_rng(draw(st.integers(0, 2**16 - 1))), shape)


def signed(generator: np.random.Generator, shape: tuple[int, ...]) -> Floats:
    """Random signed multiples of 1/16 between 1/8 and 2.

    Parameters
    ----------
    generator : numpy.random.Generator
        Draws them.
    shape : tuple of int
        The array's shape.

    Returns
    -------
    ndarray
        Of that shape, float64.

    Examples
    --------
    >>> import numpy as np
    >>> found = signed(np.random.default_rng(0), (4, 5))
    >>> found.shape, bool(np.all(found != 0)), bool(np.any(found < 0))
    ((4, 5), True, True)
    """
    values: Floats = generator.integers(2, 33, shape) * generator.choice([-1.0, 1.0], shape) / 16
    return values


def whole(draw: st.DrawFn, shape: tuple[int, ...], low: int, high: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Draw integers from low to high."""
    return draw(hnp.arrays(np.int64, shape, elements=st.integers(low, high)))
