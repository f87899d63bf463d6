"""Passes over the pixels of an image: sums, fast and close to exact, and arithmetic with one number a channel.

No mathematics of an operation lives here. An image is (N, C, P): N samples, C channels, P pixels in a row. In memory
either the pixels are side by side or, of an image with its channels last, the channels.

*Accuracy.* Adding P numbers one after another loses up to P roundings: of a million equal pixels in float32 the mean is
off in the fifth digit. Here runs of at most :data:`RUN` pixels are added up, by compiled loops in whatever order is
fast, and then the sums of the runs, pairwise. What is lost is of the order of RUN roundings at worst, whatever P is.
(Where pixels lie side by side, several are added up at once, so that there :data:`LONG_RUN` is as good.)

*Speed.* An image is larger than the cache and its passes wait for memory. So an operation goes through the batch
:func:`piece_by_piece`, and makes all its passes over one piece before it looks at the next. How the batch is cut, and
whether threads share it, depends on its shape and dtype alone.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import TypeVar

from attn_ref._threads import cut, results
from attn_ref.backend import Array, Backend

__all__ = ["LONG_RUN", "RUN", "dots", "piece_by_piece", "pieces", "sums", "weigh"]

_T = TypeVar("_T")

RUN = 64
"""Pixels that are added up in one go."""
LONG_RUN = 256
"""Pixels side by side, or products of them, that are added up in one go, several at once."""
SHARED = 2**24
"""Bytes of a batch from which threads share it: to wake one up takes as long as a pass over a small batch."""


def piece_by_piece(backend: Backend, image: Array, function: Callable[[slice], _T]) -> list[_T]:
    """Call a function with each piece of a batch of images (N, …), by threads if it is large; what it returned."""
    some = pieces(backend, image.shape)
    return results(function, some) if image.nbytes >= SHARED else [function(piece) for piece in some]


def pieces(backend: Backend, shape: tuple[int, ...]) -> list[slice]:
    """Cut a batch of images (N, …) into pieces for the backend's cache; at least one, which may be empty."""
    batch, numbers = max(1, shape[0]), max(1, prod(shape[1:]))
    return cut(batch, batch / max(1, backend.chunk // numbers))


def weigh(backend: Backend, X: Array, by: Array, *, plus: Array | None = None, out: Array) -> None:
    """Multiply each channel by a number, add another, and round the result once into ``out``.

    X (N, C, P), by and plus (N, C) of one dtype; ``out`` has the shape of X, and may have a narrower dtype.
    """
    xp, same = backend.xp, out.dtype == X.dtype
    with backend.rows(X.shape[2] * X.itemsize if same else 0):
        if plus is None:
            xp.multiply(X, by[:, :, None], out=out)
        else:
            product = xp.multiply(X, by[:, :, None], out=out if same else None)
            xp.add(product, plus[:, :, None], out=out)


def sums(backend: Backend, X: Array) -> Array:
    """Σ_p X. (N, C, P) -> (N, C)."""
    runs, rest = _runs(X)
    total = _pairwise(backend, backend.xp.einsum("nckp->nck", runs) if _side_by_side(X) else runs.sum(axis=3))
    return total if rest is None else total + rest.sum(axis=2)


def dots(backend: Backend, X: Array, Y: Array) -> Array:
    """Σ_p X ∘ Y of two images in the same layout. (N, C, P) twice -> (N, C)."""
    (x, x_rest), (y, y_rest) = _runs(X), _runs(Y)
    total = _pairwise(backend, backend.row_dots(x, y))
    return total if x_rest is None else total + (x_rest * y_rest).sum(axis=2)


def _runs(X: Array) -> tuple[Array, Array | None]:
    """An image as runs of pixels, (N, C, K, P // K), and the fewer than K pixels that are left, if any.

    A length that divides P is taken if there is one not much below the longest.
    """
    N, C, P = X.shape
    longest = LONG_RUN if _side_by_side(X) else RUN
    lengths = range(min(longest, P), min(longest, P) // 4, -1)
    length = next((length for length in lengths if P % length == 0), lengths[0])
    count = P // length
    runs = X[:, :, : count * length].reshape(N, C, count, length)
    return runs, None if count * length == P else X[:, :, count * length :]


def _side_by_side(X: Array) -> bool:
    return bool(X.strides[2] == X.itemsize)


def _pairwise(backend: Backend, runs: Array) -> Array:
    """Add up the sums of the runs: along a row of memory the array libraries add in pairs. (N, C, K) -> (N, C)."""
    return runs[:, :, 0] if runs.shape[2] == 1 else backend.xp.ascontiguousarray(runs).sum(axis=2)
