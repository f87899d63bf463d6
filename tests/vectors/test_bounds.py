"""Bounds of the suite: they hold what is right, refuse what is not, and do not depend on a last bit."""

import numpy as np
import pytest

from attn_ref.vectors import bounds as module
from attn_ref.vectors.bounds import bounds
from attn_ref.vectors.expected import given, results
from attn_ref.verify.bounds import Interval

from .small import VALID, by_reference

PROBLEM = pytest.mark.parametrize("problem", VALID, ids=lambda problem: problem.name)


def within(values, low, high):
    values, low, high = (a.astype(np.float64) for a in (values, low, high))
    anything = (low == -np.inf) & (high == np.inf)
    return anything | ((low <= values) & (values <= high)) | (np.isnan(low) & np.isnan(values))


@PROBLEM
def test_right_results_are_within_and_the_package_is_too(problem):
    for dtype, right in results(problem).items():
        ours = by_reference(problem, dtype)
        for result, ends in zip(right, bounds(problem, dtype, given(problem, dtype), right), strict=True):
            for low, high in [(ends.low, ends.high), *([ends.chosen] if ends.chosen else [])]:
                assert low.dtype == high.dtype == result.values.dtype
                assert within(result.values, low, high).all(), result.name
                assert within(ours[result.name], low, high).all(), result.name
            assert (ends.chosen is not None) == (problem.tag == "acceptable")


@PROBLEM
def test_bounds_are_narrow_where_no_kink_is_near(problem):
    if not problem.name.endswith(("-inside", "-bits", "-dyadic")) or "hard_sigmoid" in problem.name:
        return
    for dtype, right in results(problem).items():
        for result, ends in zip(right, bounds(problem, dtype, given(problem, dtype), right), strict=True):
            width = (ends.high.astype(np.float64) - ends.low.astype(np.float64)).max(initial=0)
            scale = np.abs(result.values.astype(np.float64)).max(initial=0)
            assert width <= 2000 * np.finfo(dtype).eps * max(scale, 1), result.name


@PROBLEM
@pytest.mark.parametrize("sign", [-1, 1])
def test_a_last_bit_of_the_intervals_does_not_show(problem, sign, monkeypatch):
    """As another machine's matrix products and exponentials would give them."""
    dtype = problem.dtypes[0]
    right = results(problem)[dtype]
    before = bounds(problem, dtype, given(problem, dtype), right)
    exactly = module.intervals

    def elsewhere(*arguments, **options):
        moved = 1 + sign * 2.0**-51
        found = exactly(*arguments, **options)
        return {key: Interval(interval.low * moved, interval.high * moved) for key, interval in found.items()}

    monkeypatch.setattr(module, "intervals", elsewhere)
    after = bounds(problem, dtype, given(problem, dtype), right)
    for a, b in zip(before, after, strict=True):
        assert (a.low.tobytes(), a.high.tobytes()) == (b.low.tobytes(), b.high.tobytes())


def test_an_exact_result_out_of_bounds_is_an_error(monkeypatch):
    problem = VALID[0]
    right = results(problem)["float64"]
    nothing = {(result.function, result.of): Interval(result.values + 1, result.values + 2) for result in right}
    monkeypatch.setattr(module, "intervals", lambda *_, **__: nothing)
    with pytest.raises(AssertionError, match="out of bounds"):
        bounds(problem, "float64", given(problem, "float64"), right)
