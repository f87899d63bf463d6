"""Hypothesis profiles: ``dev`` draws anew each time, ``ci`` always the same, ``thorough`` long and anew, ``mutants`` as
``ci`` but content with the first failure, without looking for a simpler one.

Choose one with the environment variable HYPOTHESIS_PROFILE; ``dev`` is the default.
"""

import functools
import os
import warnings

import pytest
from hypothesis import HealthCheck, Phase, settings

from attn_ref.backend import unusable_because
from attn_ref.ops import taps

_QUIET = [HealthCheck.too_slow, HealthCheck.data_too_large]

settings.register_profile("dev", deadline=None, suppress_health_check=_QUIET)
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True, suppress_health_check=_QUIET)
settings.register_profile("mutants", settings.get_profile("ci"), phases=[Phase.explicit, Phase.generate])
settings.register_profile("thorough", deadline=None, max_examples=2000, print_blob=True, suppress_health_check=_QUIET)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "dev"))


@functools.cache
def _unusable() -> str | None:
    """Why CuPy cannot compute here: found by computing something, since importing it proves nothing."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # CuPy warns of a missing driver when it is imported
        return unusable_because("cupy")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs a GPU where there is none; the summary says how many, and why."""
    for item in items:
        if item.get_closest_marker("gpu") and (reason := _unusable()):
            item.add_marker(pytest.mark.skip(reason=f"needs a GPU that CuPy can use: {reason}"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say in one line how many tests wait for a GPU."""
    waiting = [r for r in terminalreporter.stats.get("skipped", []) if "needs a GPU" in str(r.longrepr)]
    if waiting:
        terminalreporter.write_line(f"{len(waiting)} tests need a GPU and were skipped: {_unusable()}")


@pytest.fixture(autouse=True)
def nothing_kept_by_the_sampler():
    """It keeps what it made of its tables: a planted bug must find nothing of before, and leave nothing behind."""
    taps._rules.cache_clear()
    yield
    taps._rules.cache_clear()
