import itertools
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attn_ref.ops.interpolation import MODES, Interpolation


def weights(mode, t, order):
    """The weights of all taps, (M, taps); some of them are plain numbers."""
    factors = MODES[mode].factors(t, order)
    return np.stack([np.broadcast_to(np.asarray(w, t.dtype), t.shape) for w in factors], axis=1)


T = st.integers(0, 63).map(lambda k: np.array([k / 64]))


@pytest.mark.parametrize("mode", MODES)
@given(t=T)
def test_weights_sum_to_one_and_their_derivatives_to_zero(mode, t):
    for order, total in enumerate((1, 0, 0)):
        assert weights(mode, t, order).sum() == total


@pytest.mark.parametrize("mode", MODES)
@given(t=T, order=st.integers(0, 1))
def test_each_derivative_is_that_of_the_order_before(mode, t, order):
    """Differences exact for degree 4, with numbers of few bits: equal but for two roundings."""
    h = 0.25
    at = {k: weights(mode, t + k * h, order) for k in (-2, -1, 1, 2)}
    numeric = (8 * (at[1] - at[-1]) - (at[2] - at[-2])) / (12 * h)
    assert np.abs(numeric - weights(mode, t, order + 1)).max() < 1e-13


def keys(d, a=Fraction(-3, 4)):
    """Keys' kernel as the paper writes it."""
    d = abs(d)
    if d <= 1:
        return (a + 2) * d**3 - (a + 3) * d**2 + 1
    return a * d**3 - 5 * a * d**2 + 8 * a * d - 4 * a if d <= 2 else Fraction(0)


@given(k=st.integers(0, 63))
def test_cubic_weights_are_keys_kernel(k):
    t = Fraction(k, 64)
    expected = [float(keys(t - offset)) for offset in (-1, 0, 1, 2)]
    assert weights("bicubic", np.array([k / 64]), 0)[0].tolist() == expected


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
def test_at_a_pixel_only_that_pixel_counts(mode):
    at_pixel = weights(mode, np.zeros(1), 0)[0]
    assert at_pixel[-MODES[mode].first] == 1
    assert np.abs(at_pixel).sum() == 1


def test_cubic_slope_is_continuous_and_its_curvature_is_not():
    for order, continuous in ((0, True), (1, True), (2, False)):
        left = weights("bicubic", np.ones(1), order)[0]  # t = 1 in one cell is t = 0 in the next, a tap further
        right = weights("bicubic", np.zeros(1), order)[0]
        assert (left[1:].tolist() == right[:-1].tolist() and left[0] == right[-1] == 0) == continuous


@pytest.mark.parametrize("mode", MODES)
def test_weights_that_depend_on_t_are_nan_where_it_is_and_float32_stays_float32(mode):
    for order in range(3):
        for w in MODES[mode].factors(np.array([np.nan], np.float32), order):
            assert isinstance(w, float) or (np.isnan(w).all() and w.dtype == np.float32)
        assert MODES[mode].is_flat(order) == (not weights(mode, np.array([0.3]), order).any())


@pytest.mark.parametrize("coefficients", list(itertools.product((-2.0, -1.0, 0.0, 1.0, 2.0), repeat=3)))
def test_a_polynomial_is_one_whatever_is_left_out(coefficients):
    t = np.array([0.0, 0.25, 0.5, 1.0])
    value = Interpolation(0, (coefficients,)).factors(t, 0)[0]
    assert (value == np.polyval(coefficients[::-1], t)).all()
