"""Call several works in turn, round by round in random order, and take their times."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

__all__ = ["Settings", "Times", "interleave"]

Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True)
class Settings:
    """How long to measure.

    Attributes
    ----------
    budget : float
        Seconds for the rounds of one case, as far as the least number of rounds allows.
    least, most : int
        Rounds, at least and at most.
    shortest : float
        Seconds that one measurement should last: shorter calls are repeated within it.
    pause : float
        Seconds of rest before each measurement. Threads of libraries go on spinning for some milliseconds after their
        work, in wait of more, and would take the cores from whoever is measured next.
    """

    budget: float = 5.0
    least: int = 5
    most: int = 200
    shortest: float = 2e-3
    pause: float = 1e-2


@dataclass(frozen=True)
class Times:
    """Seconds for one call, measured in each round, and how many calls a measurement was made of."""

    seconds: list[float]
    calls: int


def interleave(works: Mapping[Key, Callable[[], Any]], settings: Settings, seed: int) -> dict[Key, Times]:
    """Time several works side by side.

    Every round calls each of them, in a fresh random order, so that a slow spell of the machine meets all: after a rest
    once to be warm, which does not count, and then for the clock. The garbage collector rests meanwhile.

    Parameters
    ----------
    works : mapping of callables
        What to time; each should have been called before, to be warm.
    settings : Settings
        How long.
    seed : int
        Of the order.

    Returns
    -------
    dict of Times
        With the keys of ``works``. Entry i of all ``seconds`` is from round i.
    """
    rng = np.random.default_rng(seed)
    with _without_collector():
        once = {key: _measure(run, 1) for key, run in works.items()}  # a second warm-up, and a first idea
        calls = {key: max(1, round(settings.shortest / seconds)) for key, seconds in once.items()}
        one_round = sum(once[key] * (1 + calls[key]) + settings.pause for key in works)
        rounds = int(np.clip(settings.budget / one_round, settings.least, settings.most))
        taken: dict[Key, list[float]] = {key: [] for key in works}
        keys = list(works)
        for _ in range(rounds):
            for i in rng.permutation(len(keys)):
                time.sleep(settings.pause)
                works[keys[i]]()
                taken[keys[i]].append(_measure(works[keys[i]], calls[keys[i]]))
    return {key: Times(seconds, calls[key]) for key, seconds in taken.items()}


def _measure(run: Callable[[], Any], calls: int) -> float:
    """Seconds for one of several calls. What a call returns is freed within the time."""
    start = time.perf_counter()
    for _ in range(calls):
        run()
    return max(time.perf_counter() - start, 1e-9) / calls


@contextmanager
def _without_collector() -> Iterator[None]:
    enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
