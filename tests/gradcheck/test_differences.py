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


def test_extrapolation_gains_orders_and_knows_its_error():
    steps = 2.0 ** -np.arange(3.0, 12.0)[:, None]
    x = np.array([0.3, 1.1, -2.0])
    derivative, error, step = extrapolated(np.exp(x + steps), np.exp(x - steps), steps, 1e-12)
    central = np.abs((np.exp(x + 0.125) - np.exp(x - 0.125)) / 0.25 - np.exp(x))
    assert (np.abs(derivative - np.exp(x)) < 1e-9 * central).all()
    assert (np.abs(derivative - np.exp(x)) <= 10 * error + 1e-13).all()
    assert ((step <= 0.125) & (step >= 2.0**-11)).all()


def test_a_kink_between_the_steps_is_left_behind():
    """|x − 0.01| at 0: the large steps cross the kink, the small ones do not."""
    steps = 2.0 ** -np.arange(3.0, 14.0)[:, None]
    derivative, error, step = extrapolated(np.abs(steps - 0.01), np.abs(-steps - 0.01), steps, 1e-12)
    assert derivative[0] == pytest.approx(-1, abs=1e-12)
    assert error[0] < 1e-12
    assert step[0] < 0.01
