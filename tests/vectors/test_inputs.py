"""Numbers drawn from SHAKE-256."""

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attn_ref.vectors.inputs import SEED, dyadic, full, integers


def test_integers_are_what_the_standard_says():
    stream = hashlib.shake_256(f"{SEED}/label".encode()).digest(16)
    words = [int.from_bytes(stream[:8], "little"), int.from_bytes(stream[8:], "little")]
    assert integers("label", (2,), 0, 999).tolist() == [word * 1000 >> 64 for word in words]


def test_the_numbers_of_this_version_stay():
    """Another generator is another suite: its seed must change, and its schema version be thought about."""
    assert integers("a", (2, 3), -5, 5).tolist() == [[-4, 3, -3], [2, -5, -5]]


@given(st.text(max_size=8), st.integers(-(10**6), 10**6), st.integers(0, 10**6))
def test_integers_are_in_their_range_and_depend_on_the_label(label, low, span):
    drawn = integers(label, (3, 4), low, low + span)
    assert drawn.shape == (3, 4)
    assert ((low <= drawn) & (drawn <= low + span)).all()
    assert np.array_equal(drawn, integers(label, (3, 4), low, low + span))
    assert integers(label, (64,), 0, 2**40).tolist() != integers(label + "x", (64,), 0, 2**40).tolist()


def test_every_number_of_a_range_is_drawn_about_equally_often():
    counts = np.bincount(integers("fair", (6000,), 0, 5))
    assert (np.abs(counts - 1000) < 6 * np.sqrt(1000 * 5 / 6)).all()


def test_dyadic_numbers_are_odd_multiples_and_exact_in_half_precision():
    drawn = dyadic("d", (500,), largest=4, denominator=32)
    assert (np.abs(drawn) < 4).all()
    assert (drawn * 32 % 2 == 1).all()
    assert np.array_equal(drawn.astype(np.float16), drawn)


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16])
def test_full_numbers_use_every_bit(dtype):
    drawn = full("f", (500,), dtype)
    assert drawn.dtype == dtype
    assert (np.abs(drawn) <= 2).all()
    lowest = drawn.astype(np.float64) * 2.0 ** np.finfo(dtype).nmant
    assert (lowest == np.round(lowest)).all()
    assert 0.4 < (lowest % 2 == 1).mean() < 0.6
