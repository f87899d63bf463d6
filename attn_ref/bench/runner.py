"""Run cases: prepare the contenders, compare their results with ours, time them side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any

import numpy as np

from attn_ref._files import one_line
from attn_ref.backend import Array
from attn_ref.bench.cases import GROUPS, Case
from attn_ref.bench.contenders import OURS, Contender
from attn_ref.bench.memory import peak_of
from attn_ref.bench.peak import Peak
from attn_ref.bench.problems import build, tolerance
from attn_ref.bench.statistics import Ratio, ratio
from attn_ref.bench.timing import Settings, Times, interleave
from attn_ref.bench.works import BOTH, Works

__all__ = ["Comparison", "Outcome", "difference", "run", "run_case"]


@dataclass(frozen=True)
class Comparison:
    """A contender beside us on one part.

    Attributes
    ----------
    contender, part : str
        Who, and what was done.
    difference, tolerance : float
        The largest difference of a result from ours in units of its largest value, and how much of it rounding
        explains.
    ratio : Ratio
        Our time in units of the contender's.
    """

    contender: str
    part: str
    difference: float
    tolerance: float
    ratio: Ratio

    @property
    def agrees(self) -> bool:
        """Whether both did the same work."""
        return self.difference <= self.tolerance


@dataclass(frozen=True)
class Outcome:
    """What came of a case.

    Attributes
    ----------
    case : Case
        The case.
    times : dict
        By (contender, part).
    on_device : dict
        By (contender, part): seconds between two events on the device, where there is one.
    comparisons : list of Comparison
        Each contender with us.
    peaks : dict of str to Peak
        Of memory, by contender, where that is what the case measures.
    failures : dict of str to str
        By contender: why it could not be measured.
    """

    case: Case
    times: dict[tuple[str, str], Times] = field(default_factory=dict)
    on_device: dict[tuple[str, str], float] = field(default_factory=dict)
    comparisons: list[Comparison] = field(default_factory=list)
    peaks: dict[str, Peak] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        case = self.case
        return {
            "group": case.group,
            "name": case.name,
            "kind": case.kind,
            "shape": list(case.shape),
            "output": list(case.output),
            "values": case.values,
            "dtype": case.dtype,
            "options": dict(case.options),
            "times": [
                {"contender": contender, "part": part, "median": median(times.seconds), **asdict(times)}
                | ({"on device": self.on_device[contender, part]} if (contender, part) in self.on_device else {})
                for (contender, part), times in self.times.items()
            ],
            "comparisons": [{**asdict(c), "agrees": c.agrees} for c in self.comparisons],
            "peaks": {name: peak.to_dict() for name, peak in self.peaks.items()},
            "failures": self.failures,
        }


def run(
    cases: Iterable[Case],
    contenders: Sequence[Contender],
    settings: Settings,
    seed: int,
    progress: Callable[[Case], None] | None = None,
) -> Iterator[Outcome]:
    """Run cases one after the other.

    Parameters
    ----------
    cases : iterable of Case
        What to run.
    contenders : sequence of Contender
        Who takes part, ours among them.
    settings : Settings
        How long to measure.
    seed : int
        Of the arrays and of the order of calls.
    progress : callable, optional
        Called with each case before it is run.

    Yields
    ------
    Outcome
        What came of each, as soon as it is done.
    """
    for case in cases:
        if progress is not None:
            progress(case)
        yield run_case(case, contenders, settings, seed)


def run_case(case: Case, contenders: Sequence[Contender], settings: Settings, seed: int) -> Outcome:
    """Run one case. The parameters are those of :func:`run`.

    A contender that fails is noted and left out, so that the others, and the cases after, are still measured.
    """
    measure = GROUPS[case.group].measure
    if measure == "memory":
        return _peaks(case, [c for c in contenders if c.peak or c.name in (OURS, "torch")], seed)
    taking_part = [c for c in contenders if c.name == OURS or measure == "ratio"]
    outcome = Outcome(case)
    arrays = build(case, seed)
    works: dict[str, Works] = {}
    differences: dict[tuple[str, str], float] = {}
    reference: dict[str, tuple[Array, ...]] = {}
    for contender in sorted(taking_part, key=lambda c: c.name != OURS):  # ours first
        try:
            prepared = contender.prepare(case, arrays)
            for part in _parts(prepared, works.get(OURS, prepared)):
                results = prepared[part].results(prepared[part].run())
                if contender.name == OURS:
                    reference[part] = results
                    continue
                if part not in reference:
                    reference[part] = works[OURS][part].results(works[OURS][part].run())
                differences[contender.name, part] = difference(reference[part], results)
        except Exception as error:  # whatever a contender may raise; MemoryError above all
            outcome.failures[contender.name] = one_line(error)
            if contender.name == OURS:
                return outcome
        else:
            works[contender.name] = prepared
    del reference
    ours = dict.fromkeys([*_parts(works[OURS], works[OURS]), *(part for _, part in differences)])
    timed = [*((OURS, part) for part in ours), *differences]
    runs = {(name, part): works[name][part].run for name, part in timed}
    outcome.times.update(interleave(runs, settings, seed))
    for name, part in timed:
        elapsed = works[name][part].elapsed
        if elapsed is not None:
            outcome.on_device[name, part] = median(elapsed() for _ in range(5))
    for (name, part), gap in differences.items():
        times = ratio(outcome.times[OURS, part].seconds, outcome.times[name, part].seconds)
        outcome.comparisons.append(Comparison(name, part, gap, tolerance(case), times))
    return outcome


def difference(ours: Sequence[Array], theirs: Sequence[Array]) -> float:
    """Return the largest difference between results, in units of the largest value of ours.

    Infinite if their number, shapes or dtypes differ, or if a value is not finite.
    """
    if len(ours) != len(theirs):
        return float("inf")
    worst = 0.0
    for a, b in zip(ours, theirs, strict=True):
        if a.shape != b.shape or a.dtype != b.dtype:
            return float("inf")
        if a.size == 0:
            continue
        gap = float(np.abs(a - b).max())
        if not np.isfinite(gap):
            return float("inf")
        worst = max(worst, gap and gap / max(float(np.abs(a).max()), float(np.finfo(a.dtype).tiny)))
    return worst


def _parts(prepared: Works, ours: Works) -> list[str]:
    """The most complete part that both do."""
    return [part for part in prepared if part in ours][:1]


def _peaks(case: Case, contenders: Sequence[Contender], seed: int) -> Outcome:
    outcome = Outcome(case)
    for contender in contenders:
        name = contender.name
        try:
            measured = contender.peak(case, BOTH, seed) if contender.peak else peak_of(case, name, BOTH, seed)
            outcome.peaks[name] = measured
        except (RuntimeError, MemoryError) as error:
            outcome.failures[name] = one_line(error)
    return outcome
