"""Sums over pixels: the same number in both layouts, as close to exact as PyTorch's, whatever the count."""

import dataclasses
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attn_ref import _pixels
from attn_ref.backend import BACKENDS

NUMPY = BACKENDS["numpy"]()


def channels_last(X):
    """The same image, its channels side by side in memory."""
    return np.ascontiguousarray(X.swapaxes(1, 2)).swapaxes(1, 2)


LAYOUT = pytest.mark.parametrize("layout", [np.ascontiguousarray, channels_last], ids=["first", "last"])


@LAYOUT
@given(
    pixels=st.integers(1, 5 * _pixels.RUN) | st.sampled_from([_pixels.RUN, _pixels.RUN + 1, 997]),
    samples=st.integers(0, 3),
    channels=st.integers(0, 4),
)
def test_every_pixel_is_counted_once(layout, pixels, samples, channels):
    """Whole numbers: exact in any order."""
    draw = np.random.default_rng(pixels).integers
    X, Y = (layout(draw(-50, 50, (samples, channels, pixels)).astype(np.float64)) for _ in range(2))
    np.testing.assert_array_equal(_pixels.sums(NUMPY, X), X.sum(axis=2))
    np.testing.assert_array_equal(_pixels.dots(NUMPY, X, Y), (X * Y).sum(axis=2))


@LAYOUT
@pytest.mark.parametrize("pixels", [999_983, 10**6])
@pytest.mark.parametrize("equal", [True, False])
def test_a_million_pixels_in_float32_lose_no_more_than_a_run_of_them(layout, pixels, equal):
    """One after another they would lose the fifth digit: equal numbers are rounded to one side again and again."""
    rng = np.random.default_rng(3)
    X, Y = (rng.uniform(0, 1, (1, 2, pixels)).astype(np.float32) for _ in range(2))
    if equal:
        X[...] = np.float32(0.1)
        Y[...] = np.float32(0.3)
    bound = 2.0**-24 * (_pixels.RUN + 20)  # 20 rounds of adding in pairs
    exactly = X.astype(np.float64).sum(axis=2)
    assert (np.abs(_pixels.sums(NUMPY, layout(X)) - exactly) <= bound * exactly).all()
    exactly = (X.astype(np.float64) * Y).sum(axis=2)
    assert (np.abs(_pixels.dots(NUMPY, layout(X), layout(Y)) - exactly) <= bound * exactly).all()


@LAYOUT
def test_torchs_error_is_not_exceeded_by_much(layout):
    torch = pytest.importorskip("torch")
    ours, theirs = [], []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        X, Y = (rng.standard_normal((1, 3, 10**6)).astype(np.float32) + np.float32(0.2) for _ in range(2))
        products = X.astype(np.float64) * Y
        exactly, magnitude = products.sum(axis=2), np.abs(products).sum(axis=2)
        ours.append(np.abs(_pixels.dots(NUMPY, layout(X), layout(Y)) - exactly) / magnitude)
        theirs.append(np.abs((torch.from_numpy(X) * torch.from_numpy(Y)).sum(2).numpy() - exactly) / magnitude)
    assert np.mean(ours) <= 4 * np.mean(theirs)


@given(samples=st.integers(0, 40), size=st.integers(0, 30), chunk=st.integers(1, 100))
def test_the_pieces_of_a_batch_follow_one_another_and_fit(samples, size, chunk):
    backend = dataclasses.replace(NUMPY, chunk=chunk)
    pieces = _pixels.pieces(backend, (samples, size, 1))
    assert len(pieces) >= 1
    assert [n for piece in pieces for n in range(samples)[piece]] == list(range(samples))
    assert all(len(range(samples)[piece]) * size <= max(chunk, size) for piece in pieces)


@pytest.mark.parametrize("pixels", [1, 49, 200, 1000])  # rows shorter and longer than what NumPy takes one by one
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("narrow", [False, True])
@pytest.mark.parametrize("shift", [False, True])
@LAYOUT
def test_channels_are_weighed_by_one_number_each(layout, pixels, dtype, narrow, shift):
    """To the bit, whatever buffers NumPy uses: the operation is one product and one sum, then perhaps a rounding."""
    rng = np.random.default_rng(pixels)
    X = layout(rng.standard_normal((2, 3, pixels)).astype(dtype))
    by, plus = rng.standard_normal((2, 2, 3)).astype(dtype)
    out = np.empty(X.shape, np.float16 if narrow else dtype)
    _pixels.weigh(NUMPY, X, by, plus=plus if shift else None, out=out)
    for n, c, p in np.ndindex(X.shape):
        expected = X[n, c, p] * by[n, c] + plus[n, c] if shift else X[n, c, p] * by[n, c]
        assert out[n, c, p] == out.dtype.type(expected)
    assert np.getbufsize() == 8192


@pytest.mark.parametrize("large", [False, True])
def test_pieces_come_in_order_and_threads_share_a_large_batch(monkeypatch, large):
    image = np.zeros((6, 2, 5))
    monkeypatch.setattr(_pixels, "SHARED", image.nbytes if large else image.nbytes + 1)
    monkeypatch.setenv("ATTN_REF_NUM_THREADS", "2")
    together = threading.Barrier(2)

    def one(piece):
        if large:
            together.wait(10)  # raises unless two are at work
        return piece

    backend = dataclasses.replace(NUMPY, chunk=30)
    assert _pixels.piece_by_piece(backend, image, one) == [slice(0, 3), slice(3, 6)]
