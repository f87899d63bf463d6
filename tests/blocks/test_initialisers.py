"""Distributions, determinism and errors of initialisers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attn_ref.blocks.initialisers import constant, fans, kaiming_normal, kaiming_uniform, uniform, xavier_uniform, zeros

SHAPES = st.lists(st.integers(1, 6), min_size=2, max_size=4).map(tuple)
DRAW = [kaiming_uniform, kaiming_normal, xavier_uniform]


def rng(seed=0):
    return np.random.default_rng(seed)


@given(SHAPES)
def test_fans_are_torchs(shape):
    torch = pytest.importorskip("torch")
    assert fans(shape) == torch.nn.init._calculate_fan_in_and_fan_out(torch.empty(shape))


@pytest.mark.parametrize("shape", [(40, 30, 5, 3), (300, 70)])
def test_the_spread_is_torchs(shape):
    torch = pytest.importorskip("torch")
    init, seeded = torch.nn.init, torch.Generator().manual_seed(1)
    pairs = [
        (kaiming_uniform(shape, rng()), lambda w: init.kaiming_uniform_(w, a=5**0.5, generator=seeded)),
        (
            kaiming_uniform(shape, rng(), slope=0, mode="fan_out"),
            lambda w: init.kaiming_uniform_(w, mode="fan_out", generator=seeded),
        ),
        (kaiming_normal(shape, rng()), lambda w: init.kaiming_normal_(w, mode="fan_out", generator=seeded)),
        (
            kaiming_normal(shape, rng(), slope=0.2, mode="fan_in"),
            lambda w: init.kaiming_normal_(w, a=0.2, generator=seeded),
        ),
        (xavier_uniform(shape, rng()), lambda w: init.xavier_uniform_(w, generator=seeded)),
    ]
    for ours, draw in pairs:
        theirs = draw(torch.empty(shape)).numpy()
        # The variance of n draws is off by a fraction of about √(2/n) (1 sigma, normal): four sigma of both.
        sigma = (2 / ours.size) ** 0.5
        assert abs(ours.var() / theirs.var() - 1) < 4 * 2**0.5 * sigma
        assert abs(ours.mean()) < 4 * ours.std() / ours.size**0.5


def test_the_bounds_are_reached_and_kept():
    for drawn, bound in [
        (kaiming_uniform((50, 8, 3), rng(), dtype="float64"), 1 / 24**0.5),
        (xavier_uniform((50, 10), rng(), dtype="float64"), 0.1**0.5),
        (uniform((500,), 0.25, rng(), dtype="float64"), 0.25),
    ]:
        assert 0.98 * bound < np.abs(drawn).max() <= bound


@pytest.mark.parametrize("draw", DRAW)
def test_a_seed_gives_the_same_numbers_in_every_dtype(draw):
    exact = draw((5, 4, 3), rng(7), dtype="float64")
    for dtype in ("float16", "float32"):
        drawn = draw((5, 4, 3), rng(7), dtype=dtype)
        assert drawn.dtype == dtype
        np.testing.assert_array_equal(drawn, exact.astype(dtype))
    assert not np.array_equal(draw((5, 4, 3), rng(8), dtype="float64"), exact)


def test_filled_arrays():
    np.testing.assert_array_equal(zeros((2, 3)), np.zeros((2, 3), np.float32), strict=True)
    np.testing.assert_array_equal(constant((2,), 0.5, dtype="float16"), np.full(2, 0.5, np.float16), strict=True)


@pytest.mark.parametrize("draw", DRAW)
def test_bad_arguments_are_refused(draw):
    with pytest.raises(
        TypeError, match=r"rng must be a numpy.random.Generator, got int 3: pass numpy.random.default_rng\(3\)"
    ):
        draw((2, 3), 3)
    with pytest.raises(TypeError, match="got RandomState"):
        draw((2, 3), np.random.RandomState(0))
    with pytest.raises(ValueError, match=r"shape must be that of a weight.*got \(3,\)"):
        draw((3,), rng())
    with pytest.raises(ValueError, match=r"got \(3, 0\)"):
        draw((3, 0), rng())
    with pytest.raises(TypeError, match="dtype must be"):
        draw((3, 2), rng(), dtype=np.int64)
    with pytest.raises(TypeError, match="dtype must be"):
        draw((3, 2), rng(), dtype="nonsense")


def test_unknown_fans_and_bad_bounds_are_refused():
    with pytest.raises(ValueError, match="mode='fan_avg' is unknown"):
        kaiming_normal((3, 2), rng(), mode="fan_avg")
    for draw in (kaiming_normal, kaiming_uniform):
        with pytest.raises(ValueError, match="slope=nan: expected a number that is finite"):
            draw((3, 2), rng(), slope=float("nan"))
    for bound in (-1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match=r"bound=.*: expected a number at least 0"):
            uniform((3,), bound, rng())
