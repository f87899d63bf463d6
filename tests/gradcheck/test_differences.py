import numpy as np
import pytest

from attn_ref.gradcheck.differences import STENCILS, extrapolated, stencil_for


@pytest.mark.parametrize("degree", STENCILS)
def test_stencil_is_exact_for_its_degree_and_not_beyond(degree):
    for power in range(degree + 2):
        derivative = sum(c * offset**power for offset, c in STENCILS[degree])
        expected = 1.0 if power == 1 else 0.0
        assert (abs(derivative - expected) < 1e-15) == (power <= degree)


def test_the_shortest_stencil_is_chosen():
    assert len(stencil_for(0)) == len(stencil_for(2)) == 2
    assert len(stencil_for(3)) == len(stencil_for(4)) == 4
    with pytest.raises(ValueError, match="degree=5"):
        stencil_for(5)


def central(f, x, steps):
    return (f(x + steps) - f(x - steps)) / (2 * steps)


def test_extrapolation_gains_orders_and_knows_its_error():
    steps = 2.0 ** -np.arange(3.0, 6.0)[:, None]
    x = np.array([0.3, 1.1, -2.0])
    quotients = central(np.exp, x, steps)
    derivative, error, level = extrapolated(quotients, np.full_like(quotients, 1e-14))
    assert (np.abs(derivative - np.exp(x)) < 1e-6 * np.abs(quotients[-1] - np.exp(x))).all()
    assert (np.abs(derivative - np.exp(x)) <= 10 * error).all()
    assert (level == 2).all()


def test_a_kink_between_the_steps_is_left_behind():
    """|x − 0.01| at 0: the large steps cross the kink, the small ones do not."""
    steps = 2.0 ** -np.arange(3.0, 14.0)[:, None]
    quotients = central(lambda x: np.abs(x - 0.01), np.zeros(1), steps)
    derivative, error, level = extrapolated(quotients, 1e-14 / steps)
    assert derivative[0] == pytest.approx(-1, abs=1e-12)
    assert error[0] < 1e-12
    assert steps[level[0], 0] < 0.01


def test_steps_without_a_value_are_left_out():
    steps = 2.0 ** -np.arange(3.0, 30.0)[:, None]
    with np.errstate(invalid="ignore"):
        quotients = central(np.log, np.array([1e-4]), steps)
    assert np.isnan(quotients[0, 0])
    derivative, error, _ = extrapolated(quotients, 1e-15 / steps)
    assert derivative[0] == pytest.approx(1e4, abs=10 * error[0] + 1e-3)


def test_large_steps_that_agree_by_chance_are_overruled_by_the_small_ones():
    """Three equal quotients, then what the function really does."""
    quotients = np.array([[5.0], [5.0], [5.0], [2.0], [1.25], [1.0625], [1.015625], [1.00390625]])
    derivative, *_ = extrapolated(quotients, np.full_like(quotients, 1e-12))
    assert derivative[0] == pytest.approx(1, abs=1e-2)


def test_one_derivative_is_extrapolated_like_many():
    quotients = np.array([1.0, 1.1, 1.12, 1.125])
    many = extrapolated(quotients[:, None], np.full((4, 1), 1e-9))
    for one, of_many in zip(extrapolated(quotients, np.full(4, 1e-9)), many, strict=True):
        assert one.shape == ()
        assert one == of_many[0]
