"""Statistics on numbers whose answer is known."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attn_ref.bench.statistics import Ratio, exponent, geometric_mean, ratio

TIMES = st.floats(1e-6, 1e3)


def test_a_ratio_is_taken_round_by_round():
    assert ratio([1, 6, 4], [2, 2, 2]) == Ratio(2.0, pytest.approx(0.8), pytest.approx(2.8))


@given(st.lists(TIMES, min_size=1, max_size=30), TIMES, st.randoms())
def test_what_slows_both_down_leaves_the_ratio(theirs, factor, random):
    slow = [random.uniform(1, 100) for _ in theirs]
    ours = [factor * t * s for t, s in zip(theirs, slow, strict=True)]
    found = ratio(ours, [t * s for t, s in zip(theirs, slow, strict=True)])
    assert found.low <= found.median <= found.high
    assert [found.low, found.median, found.high] == pytest.approx([factor] * 3, rel=1e-12)


@given(st.lists(TIMES, min_size=1, max_size=30))
def test_the_geometric_mean_of_ratios_turns_over_with_them(values):
    assert geometric_mean([1 / v for v in values]) == pytest.approx(1 / geometric_mean(values), rel=1e-9)
    assert min(values) * (1 - 1e-9) <= geometric_mean(values) <= max(values) * (1 + 1e-9)


def test_the_geometric_mean_of_three():
    assert geometric_mean([1, 2, 4]) == pytest.approx(2)


@given(st.floats(0.1, 3), TIMES, st.lists(st.integers(1, 10**8), min_size=2, max_size=8, unique=True))
def test_the_exponent_of_a_power_is_found(power, factor, sizes):
    seconds = [factor * (size / 1e4) ** power for size in sizes]
    assert exponent(sizes, seconds) == pytest.approx(power, rel=1e-4)


def test_the_exponent_is_that_of_least_squares():
    sizes, seconds = [1e5, 1e6, 1e7, 1e8], [0.02, 0.1, 1.2, 9.0]
    assert exponent(sizes, seconds) == pytest.approx(np.polyfit(np.log(sizes), np.log(seconds), 1)[0], rel=1e-9)


@pytest.mark.parametrize(
    "call",
    [
        lambda: ratio([], []),
        lambda: ratio([1.0], [1.0, 2.0]),
        lambda: ratio([1.0], [0.0]),
        lambda: ratio([float("nan")], [1.0]),
        lambda: geometric_mean([]),
        lambda: geometric_mean([1.0, -1.0]),
        lambda: exponent([10, 10], [1.0, 2.0]),
        lambda: exponent([10, 20], [1.0]),
        lambda: exponent([0, 20], [1.0, 1.0]),
    ],
)
def test_numbers_that_mean_nothing_are_refused(call):
    with pytest.raises(ValueError, match="expected"):
        call()
