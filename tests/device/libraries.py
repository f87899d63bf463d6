"""The libraries that the tests of devices run on: the stand-in everywhere, CuPy where there is a GPU."""

import contextlib
import warnings

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings

from attn_ref import backend

from . import kernels, library, state

STAND_IN = backend.on_a_gpu("stand_in", library.xp, library.special)

BOTH = pytest.mark.parametrize(
    "device", ["stand_in", pytest.param("cupy", marks=pytest.mark.gpu)], indirect=True, ids=str
)


class Device:
    """A library by its name, and what a test does with it."""

    def __init__(self, name):
        self.name = name
        self.backend = backend.BACKENDS[name]()
        self.xp = self.backend.xp

    def put(self, array):
        """An array of the host, or None, on the device."""
        return None if array is None else self.xp.asarray(array)

    def get(self, array):
        return self.backend.to_host(array)

    @contextlib.contextmanager
    def unattended(self, synchronisations=0):
        """Fail if the host waits more often than said, or hands anything over. CuPy knows only whether it waited."""
        if self.name == "stand_in":
            with state.counting() as counts:
                yield
            assert (counts.synchronisations, counts.uploads) == (synchronisations, 0)
        else:
            import cupyx

            with contextlib.ExitStack() as stack:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # CuPy warns that this does not see everything
                    stack.enter_context(cupyx.allow_synchronize(synchronisations > 0))
                yield


@contextlib.contextmanager
def registered():
    """The stand-in in the table of backends."""
    if kernels.COMPILER is None:
        pytest.skip("the stand-in compiles the kernels with g++, which is not installed")
    backend.BACKENDS["stand_in"] = lambda: STAND_IN
    try:
        yield Device("stand_in")
    finally:
        del backend.BACKENDS["stand_in"]


def drawn(strategy, count, number=0):
    """Some examples of a strategy, the same each time."""
    found = []

    @seed(number)
    @settings(
        max_examples=count,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def collect(example):
        found.append(example)

    collect()
    return found
