"""Every bug of the museum, planted in a candidate and not in the reference, is found by verify."""

from __future__ import annotations

import pytest

from attn_ref.ops import taps
from attn_ref.registry import OPERATIONS
from attn_ref.verify import verification, verify

from ..museum.attention import ATTENTION_BUGS
from ..museum.bugs import BUGS, Bug
from ..museum.layers import LAYER_BUGS

ACCEPTABLE = {
    "one_pixel_at_minus_one",
    "nearest_half_away_from_zero",
    "nearest_rounds_before_padding",
    "cast_before_range_test",  # in int64 it is right for all numbers, so that only NaN and infinities show
    "relu_slope_one_at_zero",
    "relu_swallows_nan",
    "hard_sigmoid_slope_at_the_corners",
    "ties_shared",
    "ties_all_paid_in_full",
    "last_of_the_ties",
    "nearest_different_in_3d",
}
"""Bugs that differ only where right implementations do: at ties, kinks, NaN and one pixel. They are listed as such."""


@pytest.fixture(autouse=True)
def no_diagnosis(monkeypatch):
    """What a report makes of its findings is tested elsewhere, and takes longer than the findings."""
    monkeypatch.setattr(verification, "diagnose", lambda *_: [])


def planted(bug: Bug) -> dict:
    """The operation's functions, each with the bug for as long as it runs."""

    def with_bug(name):
        def function(*arrays, **options):
            taps._rules.cache_clear()  # what was made before knows nothing of the bug, nor the other way round
            try:
                with pytest.MonkeyPatch.context() as patch:
                    bug.plant(patch)
                    return getattr(OPERATIONS[bug.operation].functions, name)(*arrays, **options)
            finally:
                taps._rules.cache_clear()

        return function

    functions = OPERATIONS[bug.operation].functions
    names = ("forward", "backward", "jvp", "double_backward")
    return {name: with_bug(name) for name in names if getattr(functions, name) is not None}


@pytest.mark.parametrize("bug", [*BUGS, *ATTENTION_BUGS, *LAYER_BUGS], ids=lambda bug: bug.plant.__name__)
def test_planted_bug_is_found(bug: Bug):
    options = {name: [value] for name, value in bug.where.items()}
    functions = planted(bug)
    first = {name: functions.pop(name) for name in ("forward", "backward")}
    asked = {"options": options, "dtypes": ("float64",), "examples": 18}
    report = verify(bug.operation, **first, **asked)
    if not report.failures and not report.acceptable:
        report = verify(bug.operation, **first, **functions, **asked)
    if bug.plant.__name__ in ACCEPTABLE:
        assert report.passed, f"{bug.name}\n{report}"
        assert report.acceptable, f"{bug.name}\n{report}"
    else:
        assert report.failures, f"{bug.name}\n{report}"
