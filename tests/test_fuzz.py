"""No crash, hang, warning, changed input or exception of a wrong kind, whatever is passed to a public function.

``python -m tests.test_fuzz MINUTES`` goes on drawing for as long as that, anew each time; the test draws a little.
"""

from __future__ import annotations

import faulthandler
import sys
import time
import warnings
from typing import Any

import numpy as np
from hypothesis import HealthCheck, example, given, seed, settings
from hypothesis import strategies as st

from . import odd
from .helpers import CALLS

SECONDS = 60
"""After so long a call counts as hanging: the stack is printed and the process ends."""


@st.composite
def spoiled_calls(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    """A public function, and arguments that fit but for up to three of them."""
    name = draw(st.sampled_from(sorted(CALLS)))
    given_ = {**CALLS[name].arrays, **CALLS[name].options}
    for spoiled in draw(st.lists(st.sampled_from(sorted(given_)), min_size=1, max_size=3, unique=True)):
        given_[spoiled] = draw(odd.arguments(given_[spoiled]))
    return name, given_


def contents(given_: dict[str, Any]) -> dict[str, bytes]:
    return {
        k: np.asarray(v).tobytes() for k, v in given_.items() if isinstance(v, np.ndarray) and not v.dtype.hasobject
    }


def check(name: str, given_: dict[str, Any]) -> None:
    """Call; a result is fresh arrays, an error is of a kind that is documented, one line, and names an argument."""
    before = contents(given_)
    faulthandler.dump_traceback_later(SECONDS, exit=True)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            result = CALLS[name].function(**given_)
    except (TypeError, ValueError, MemoryError) as error:
        message = str(error)
        assert "\n" not in message
        assert len(message) < 1000
        assert any(argument in message for argument in (*given_, "array is too big", "Unable to allocate")), message
    else:
        for array in result if isinstance(result, tuple) else (result,):
            assert array is None or type(array) is np.ndarray
            assert array is None or not any(
                isinstance(v, np.ndarray) and np.may_share_memory(array, v) for v in given_.values()
            )
    finally:
        faulthandler.cancel_dump_traceback_later()
    assert contents(given_) == before


@given(spoiled_calls())
@settings(max_examples=1000)
@example(("conv2d", {**CALLS["conv2d"].arrays, "stride": 2**63, "padding": (0, 1)}))  # one window: no step is taken
@example(("conv2d", {**CALLS["conv2d"].arrays, "weight": np.ones((4, 3, 1, 1)), "dilation": 2**63}))
@example(("conv2d", {**CALLS["conv2d"].arrays, "stride": 2**63, "padding": 2**63}))  # one window in a sea of zeros
@example(("conv2d", {**CALLS["conv2d"].arrays, "stride": 2**63, "padding": 2**61}))
@example(
    ("conv2d", {**CALLS["conv2d"].arrays, "weight": np.ones((0, 3, 2, 3)), "bias": np.ones(0)})
)  # no output channels
@example(
    (
        "conv2d_backward",
        {**CALLS["conv2d"].arrays, "weight": np.ones((0, 3, 2, 3)), "bias": None, "grad_output": np.ones((2, 0, 3, 3))},
    )
)
@example(("conv2d_backward", {**CALLS["conv2d_backward"].arrays, "stride": 2**63}))
def test_whatever_is_passed_is_answered_or_refused(call):
    check(*call)


def main(minutes: float) -> None:
    """Draw for some minutes, each round with a seed of its own."""
    end, rounds, count = time.monotonic() + 60 * minutes, 0, 0

    def one(call: tuple[str, dict[str, Any]]) -> None:
        nonlocal count
        count += 1
        check(*call)

    while time.monotonic() < end:
        rounds += 1
        quiet = settings(
            max_examples=5000, deadline=None, database=None, suppress_health_check=list(HealthCheck), derandomize=False
        )
        seed(time.time_ns())(quiet(given(spoiled_calls())(one)))()
        print(f"round {rounds}: {count} calls, none with a crash, a hang or a wrong answer", flush=True)


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 30)
