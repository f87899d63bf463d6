"""What diagnosing looks at: single results of a candidate, wrong ones and right ones, the telling ones first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from attn_ref.registry import OPERATIONS
from attn_ref.verify.bounds import Interval
from attn_ref.verify.failures import KINDS, Case, Failure, Outcome
from attn_ref.verify.mistakes import Point

__all__ = ["Observation", "observations", "traits_of"]


@dataclass(frozen=True, eq=False)
class Observation:
    """One result of a candidate.

    Attributes
    ----------
    case : Case
        On what.
    point : Point
        The same in float64.
    function : str
        "forward", "backward", "jvp" or "double_backward".
    of : str or None
        The input whose cotangent it is; None if it has the shape of the output.
    got : array of float64
        The result.
    interval : Interval or None
        What it may be, if it is wrong and has the right shape.
    wrong : bool
        Whether it is wrong.
    """

    case: Case
    point: Point
    function: str
    of: str | None
    got: Any
    interval: Interval | None
    wrong: bool

    def fits(self, interval: Interval) -> bool:
        """Whether a mistake with these results explains it; where nothing is demanded anything does."""
        if self.got.shape != interval.low.shape:
            return False
        held = interval.holds(self.got)
        if self.interval is not None:
            held = held | ((self.interval.low == -np.inf) & (self.interval.high == np.inf))
        return bool(np.all(held))

    @property
    def cost(self) -> int:
        """Numbers in the case."""
        return sum(x.size for x in self.point.inputs) + int(self.got.size)


def traits_of(case: Case) -> dict[str, Any]:
    """What a case is, in words with which cases can be told apart."""
    inputs, options = case.call.inputs, case.call.options
    first = np.asarray(inputs[0]) if inputs else np.zeros(())
    traits: dict[str, Any] = {
        "dtype": case.dtype,
        "axes": f"{first.ndim - 2}-D" if first.ndim > 2 else f"{first.ndim} axes",
        "batch": "one sample" if first.ndim and len(first) == 1 else "more than one sample",
        "pixels": "an axis of one pixel" if 1 in first.shape[2:] else "all axes longer than one pixel",
        "numbers": "numbers" if all(np.isfinite(x).all() for x in inputs) else "NaN or infinity among the inputs",
    }
    if case.operation == "affine_grid":
        traits["axes"] = f"{len(options['size']) - 2}-D"
        traits["pixels"] = "an axis of one pixel" if 1 in options["size"][2:] else "all axes longer than one pixel"
    for name, value in options.items():
        if name != "size" and isinstance(value, (str, bool, int, float, tuple)):
            traits[name] = value
    return traits


def observations(failures: Sequence[Failure], outcomes: Sequence[Outcome]) -> list[Observation]:
    """Make observations of failures, and of what was right in the outcomes; few, small and various ones first.

    Parameters
    ----------
    failures : sequence of Failure
        What is to be explained. If all of them are acceptable deviations, ties and kinks count as exact.
    outcomes : sequence of Outcome
        What else the candidate returned; a result that is among the failures is left out.

    Returns
    -------
    list of Observation
        The wrong ones, then the right ones. Failures without an array are none.
    """
    sharp = bool(failures) and all(failure.kind not in KINDS for failure in failures)
    points: dict[int, Point] = {}

    def point(case: Case) -> Point:
        return points.setdefault(id(case), Point.of(case, sharp=sharp))

    wrong, bad = [], set()
    for failure in failures:
        bad.add((id(failure.case), failure.function, failure.of))
        got = _array(failure.got)
        if got is not None:
            interval = failure.interval
            if interval is not None and interval.low.shape != got.shape:
                interval = None
            wrong.append(
                Observation(failure.case, point(failure.case), failure.function, failure.of, got, interval, True)
            )
    right = []
    for outcome in outcomes:
        excused = bad | {(id(f.case), f.function, f.of) for f in (*outcome.failures, *outcome.acceptable)}
        finite = all(np.isfinite(x).all() for x in outcome.case.call.inputs)
        for (function, of), result in outcome.results.items():
            got = _array(result)
            if got is not None and (finite or sharp) and (id(outcome.case), function, of) not in excused:
                right.append(Observation(outcome.case, point(outcome.case), function, of, got, None, False))
    return [*_various(wrong), *_various(right)]


def _array(got: Any) -> Any:
    """A result as float64, or None if it holds no numbers."""
    array = np.asarray(got)
    return array.astype(np.float64) if array.dtype.kind in "fiub" and array.size else None


def _various(found: list[Observation]) -> list[Observation]:
    """In turns over what they are about, the smallest of each first, but not so small that all mistakes look alike."""
    groups: dict[Any, list[Observation]] = {}
    for one in sorted(found, key=lambda one: (one.cost < 24, one.cost)):
        groups.setdefault((one.function, one.of, *map(str, traits_of(one.case).values())), []).append(one)
    rounds = max(map(len, groups.values()), default=0)
    return [group[i] for i in range(rounds) for group in groups.values() if i < len(group)]


def expected(one: Observation) -> Any:
    """What is right, in float64, or None if the reference refuses the case."""
    operation = OPERATIONS[one.case.operation]
    point = one.point
    assert point.grad_output is not None
    assert point.tangents is not None
    results = operation.results(point.inputs, point.grad_output, point.tangents, point.options)
    return next((array for function, of, array in results if (function, of) == (one.function, one.of)), None)
