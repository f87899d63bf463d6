"""Sums over the pixels of an image, fast and close to exact; and a batch cut into pieces that fit the cache.

No mathematics of an operation lives here. An image is (N, C, P): N samples, C channels, P pixels in a row. In memory
either the pixels are side by side or, of an image with its channels last, the channels.

*Accuracy.* Adding P numbers one after another loses up to P roundings: of a million equal pixels in float32 the mean is
off in the fifth digit. Here runs of at most :data:`RUN` pixels are added up, by compiled loops in whatever order is
fast, and then the sums of the runs, pairwise. What is lost is of the order of RUN roundings at worst, whatever P is.

*Speed.* An image is larger than the cache and its passes wait for memory. So an operation goes through the batch in
pieces, :func:`samples_at_a_time`, and makes all its passes over one piece before it looks at the next. How the batch is
cut depends on the shape alone.
"""

from __future__ import annotations

from math import prod

from attn_ref.backend import Array, Backend

__all__ = ["RUN", "dots", "samples_at_a_time", "sums"]

RUN = 64
"""Pixels that are added up in one go."""


def samples_at_a_time(backend: Backend, shape: tuple[int, ...]) -> list[slice]:
    """Cut a batch of images (N, …) into pieces for the backend's cache; at least one, which may be empty."""
    step = max(1, backend.chunk // max(1, prod(shape[1:])))
    return [slice(start, start + step) for start in range(0, max(1, shape[0]), step)]


def sums(backend: Backend, X: Array) -> Array:
    """Σ_p X. (N, C, P) -> (N, C)."""
    runs, rest = _runs(X)
    if _pixels_side_by_side(X):
        rows = runs.reshape(-1, runs.shape[3])  # one tall matrix
        total = _pairwise(backend, (rows @ backend.xp.ones(rows.shape[1], X.dtype)).reshape(runs.shape[:3]))
    else:
        total = _pairwise(backend, runs.sum(axis=-1))
    return total if rest.shape[2] == 0 else total + rest.sum(axis=2)


def dots(backend: Backend, X: Array, Y: Array) -> Array:
    """Σ_p X ∘ Y of two images in the same layout. (N, C, P) twice -> (N, C)."""
    (x, x_rest), (y, y_rest) = _runs(X), _runs(Y)
    if _pixels_side_by_side(X):
        products = (x[..., None, :] @ y[..., :, None])[..., 0, 0]
    else:
        products = backend.xp.einsum("nckp,nckp->nck", x, y)
    total = _pairwise(backend, products)
    return total if x_rest.shape[2] == 0 else total + (x_rest * y_rest).sum(axis=2)


def _runs(X: Array) -> tuple[Array, Array]:
    """An image as runs of pixels (N, C, K, P // K), no longer than RUN, and the fewer than K pixels that are left."""
    N, C, P = X.shape
    count = max(1, -(-P // RUN))
    length = P // count
    return X[:, :, : count * length].reshape(N, C, count, length), X[:, :, count * length :]


def _pixels_side_by_side(X: Array) -> bool:
    return bool(X.strides[2] == X.itemsize)


def _pairwise(backend: Backend, runs: Array) -> Array:
    """Add up the sums of the runs: along a row of memory the array libraries add in pairs. (N, C, K) -> (N, C)."""
    return runs[:, :, 0] if runs.shape[2] == 1 else backend.xp.ascontiguousarray(runs).sum(axis=2)
