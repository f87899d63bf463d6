"""Judge what another program computed for the cases of a suite."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np

from attn_ref.backend import Array
from attn_ref.registry import OPERATIONS, Call
from attn_ref.vectors.container import Placed, read_npz, read_raw
from attn_ref.vectors.expected import filled, key_of
from attn_ref.vectors.suite import Stored, Suite
from attn_ref.verify.bounds import Interval
from attn_ref.verify.failures import Case, Failure, Outcome

__all__ = ["REFUSED", "VERDICTS", "Judgement", "judge", "outcomes", "required"]

VERDICTS = {
    "right": "within its bounds",
    "acceptable": "within its bounds, other than what the specification chose",
    "wrong": "out of its bounds, or not of the right form",
    "missing": "not there",
}
REFUSED = "refused"
"""The result of an invalid case: that the call was refused."""
_MESSAGE = 200


@dataclass(frozen=True)
class Judgement:
    """What is said of one result.

    Attributes
    ----------
    case : Stored
        The case.
    result : str
        The result's name, or :data:`REFUSED`.
    verdict : str
        A key of :data:`VERDICTS`.
    message : str
        What is wrong, or otherwise, in a line.
    kind : str
        For a wrong one, a key of :data:`attn_ref.verify.failures.KINDS`.
    got : array or None
        The result, if it has the right form.
    """

    case: Stored = field(repr=False)
    result: str
    verdict: str
    message: str = ""
    kind: str = "value"
    got: Any = field(default=None, repr=False)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {"case": self.case.name, "result": self.result, "verdict": self.verdict, "message": self.message}


def judge(suite: Suite, folder: Path, step: Callable[[str], None] = lambda _: None) -> list[Judgement]:
    """Judge a folder of results.

    Parameters
    ----------
    suite : Suite
        The suite.
    folder : pathlib.Path
        ``CASE.RESULT.bin`` or ``CASE.npz`` for each case that was computed, ``CASE.refused`` for each that was refused.
    step : callable
        Called with the name of each case before it is judged.

    Returns
    -------
    list of Judgement
        Of every result of every case, in the suite's order.

    Raises
    ------
    ValueError
        If there is no such folder, it holds no result of the suite, or the suite is damaged.
    """
    if not folder.is_dir():
        raise ValueError(f"{folder} is not a folder: name the one that your program wrote its results to")
    here = {path.name for path in folder.iterdir()}
    judged: list[Judgement] = []
    for case in suite.cases:
        step(case.name)
        judged += _invalid(case, folder, here) if case.entry["tag"] == "invalid" else _valid(case, folder, here)
    if all(one.verdict == "missing" for one in judged):
        raise ValueError(f"{folder} holds no results of this suite: see README.txt in it for their names")
    return judged


def required(judged: Sequence[Judgement], patterns: Sequence[str]) -> list[Judgement]:
    """Make what is missing, but was asked for, wrong.

    Parameters
    ----------
    judged : sequence of Judgement
        From :func:`judge`.
    patterns : sequence of str
        Of ``CASE/RESULT``, with ``*`` and ``?``.

    Raises
    ------
    ValueError
        If a pattern fits nothing in the suite.
    """
    names = [f"{one.case.name}/{one.result}" for one in judged]
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise ValueError(f"--require {pattern!r} fits no CASE/RESULT of the suite, such as {names[0]}")
    return [
        dataclasses.replace(one, verdict="wrong", message="is missing, and required", kind="raises")
        if one.verdict == "missing" and any(fnmatchcase(name, pattern) for pattern in patterns)
        else one
        for one, name in zip(judged, names, strict=True)
    ]


def _invalid(case: Stored, folder: Path, here: set[str]) -> list[Judgement]:
    """A call that must be refused."""
    argument = case.entry["refuses"]
    if f"{case.name}.refused" in here:
        told = (folder / f"{case.name}.refused").read_bytes()[:4096].decode(errors="replace")
        verdict = "right" if argument in told else "acceptable"
        message = (
            "" if verdict == "right" else f"was refused, but the message does not name {argument}: {told[:_MESSAGE]!r}"
        )
        return [Judgement(case, REFUSED, verdict, "" if verdict == "right" else message)]
    if any(name.startswith(f"{case.name}.") for name in here):
        return [Judgement(case, REFUSED, "wrong", f"was computed; it must be refused, because of {argument}", "raises")]
    return [Judgement(case, REFUSED, "missing")]


def _valid(case: Stored, folder: Path, here: set[str]) -> list[Judgement]:
    """A call that has results."""
    if f"{case.name}.refused" in here:
        return [Judgement(case, name, "wrong", "was refused", "raises") for name in case.results]
    together: dict[str, Array] = {}
    if f"{case.name}.npz" in here:
        try:
            together = read_npz((folder / f"{case.name}.npz").read_bytes())
        except (ValueError, OSError, EOFError, KeyError, NotImplementedError) as error:
            raise ValueError(f"{folder / case.name}.npz cannot be read: {error}") from None
    judged = []
    for name, described in case.results.items():
        raw = f"{case.name}.{name}.bin"
        if raw in here:
            judged.append(_of_bytes(case, described, (folder / raw).read_bytes()))
        elif name in together:
            judged.append(_of_array(case, described, together[name]))
        else:
            judged.append(Judgement(case, name, "missing"))
    return judged


def _of_bytes(case: Stored, described: dict[str, Any], content: bytes) -> Judgement:
    place = Placed(described["name"], described["dtype"], tuple(described["shape"]), 0)
    size = int(np.prod(place.shape)) * np.dtype(place.dtype).itemsize
    if len(content) != size:
        message = f"has {len(content)} bytes, expected {size}: {place.dtype} of shape {place.shape}"
        return Judgement(case, place.name, "wrong", message, "shape")
    return _of_array(case, described, read_raw(content, place))


def _of_array(case: Stored, described: dict[str, Any], got: Array) -> Judgement:
    name, dtype, shape = described["name"], described["dtype"], tuple(described["shape"])
    for kind, found, expected in (("dtype", str(got.dtype.newbyteorder("=")), dtype), ("shape", got.shape, shape)):
        if found != expected:
            return Judgement(case, name, "wrong", f"has {kind} {found}, expected {expected}", kind)
    for wrong, verdict in (("", "wrong"), ("chosen_", "acceptable")):
        if wrong + "low" in described["bounds"]:
            interval = _interval(case, name, wrong)
            holds = interval.holds(got)
            if not holds.all():
                return Judgement(case, name, verdict, _told(case, name, got, interval, holds), _kind(got, holds), got)
    return Judgement(case, name, "right", got=got)


def _interval(case: Stored, name: str, which: str = "") -> Interval:
    low, high = (case.arrays[f"{name}.{which}{end}"].astype(np.float64) for end in ("low", "high"))
    return Interval(low, high)


def _kind(got: Array, holds: Any) -> str:
    return "value" if np.isfinite(got[~holds]).all() else "nan"


def _told(case: Stored, name: str, got: Array, interval: Interval, holds: Any) -> str:
    """The worst element, and how many more there are."""
    excess = np.where(holds, -1.0, interval.excess(got))
    place = tuple(int(i) for i in np.unravel_index(int(np.argmax(excess)), got.shape))
    expected = case.arrays[name][place]
    low, high = interval.low[place], interval.high[place]
    wrong = int((~holds).sum())
    others = f", and {wrong - 1} of {got.size - 1} more" if wrong > 1 else ""
    return f"[{', '.join(map(str, place))}] is {got[place]}, expected {expected} ({low:.9g} to {high:.9g}){others}"


def outcomes(judged: Sequence[Judgement]) -> dict[str, tuple[list[Failure], list[Outcome]]]:
    """Bring judgements of values to the form that :mod:`attn_ref.verify` diagnoses, by operation."""
    found: dict[str, tuple[list[Failure], list[Outcome]]] = {}
    by_case: dict[str, list[Judgement]] = {}
    for one in judged:
        if one.got is not None:
            by_case.setdefault(one.case.name, []).append(one)
    for ones in by_case.values():
        case = _case(ones[0].case)
        failures = tuple(
            Failure(case, one.kind, *key_of(one.result), one.message, one.got, _interval(one.case, one.result))
            for one in ones
            if one.verdict == "wrong"
        )
        failed, all_of_it = found.setdefault(case.operation, ([], []))
        failed += failures
        all_of_it.append(Outcome(case, {key_of(one.result): one.got for one in ones}, failures))
    return found


def _case(stored: Stored) -> Case:
    """A case of a suite as a case of the verifier."""
    entry, arrays = stored.entry, stored.arrays
    absent = entry["absent"]
    inputs = {array["name"]: arrays[array["name"]] for array in entry["arrays"] if array["role"] == "input"}
    names = OPERATIONS[entry["operation"]].inputs
    primals = filled({name: inputs.get(name) for name in names})
    direction = filled({name: arrays.get(f"direction.{name}") for name in names})
    options = {name: tuple(value) if isinstance(value, list) else value for name, value in entry["options"].items()}
    call = Call(primals, {**options, **({"absent": tuple(absent)} if absent else {})})
    return Case(entry["operation"], call, arrays["grad_output"], direction, entry["dtype"], entry["rules"][0])
