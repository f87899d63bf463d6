"""Ask a candidate about a case and judge what it answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from attn_ref.verify.bounds import Interval, Key
from attn_ref.verify.candidate import Answer, Question
from attn_ref.verify.failures import Case, Failure, Outcome
from attn_ref.verify.language import Language

__all__ = ["DEVIATIONS", "Asked", "judge"]

DEVIATIONS = {
    "tie": "another pixel where two are equally near",
    "kink": "another derivative at a kink: that of the other side, or one between",
    "one pixel": "another base coordinate where an aligned axis has one pixel",
    "NaN input": "another answer to a NaN",
    "infinite input": "another answer to an infinity",
    "huge": "another answer to a coordinate too large to be told from its neighbours",
    "half": "computed in half precision, coordinates included",
    "empty": "an array without elements is refused",
    "order": "other bits from run to run, all of them right",
}
"""The classes of acceptable deviations, in words."""


class Asked(Protocol):
    """Whatever answers questions: a candidate, here or in another process."""

    def ask(self, question: Question) -> Answer:
        """Answer a question."""


def judge(language: Language, candidate: Asked, case: Case, functions: Sequence[str]) -> Outcome:
    """Ask for all results of a case, twice, and compare them with what they may be.

    Parameters
    ----------
    language : Language
        In which the case is written.
    candidate : Asked
        What answers.
    case : Case
        The case.
    functions : sequence of str
        What the candidate can be asked for.

    Returns
    -------
    Outcome
        Results, failures, and acceptable deviations.
    """
    results: dict[Key, Any] = {}
    failures: list[Failure] = []
    acceptable: list[Failure] = []
    bounds: dict[Key, Interval] | None = None
    for function in functions:
        question = _question(language, case, function)
        answer = candidate.ask(question)
        if answer.kind == "raises" and case.rule == "E3":
            acceptable.append(Failure(case, "empty", function, None, answer.message))
            continue
        if answer.kind:
            failures.append(Failure(case, answer.kind, function, None, answer.message))
            if answer.kind in ("crash", "timeout"):
                break  # once a case, or a hanging candidate takes forever
            continue
        bounds = language.intervals(case, functions) if bounds is None else bounds
        expected = [key for key in bounds if key[0] == function]
        again = candidate.ask(question)
        expected = [key for key in expected if not _is_absent(case, key[1])]
        first, second = _by_key(answer, expected), _by_key(again, expected)
        problem = _wrong_form(function, answer, first, expected, case, bounds)
        if problem is not None:
            failures.append(problem)
            continue
        for key in expected:
            got = results[key] = first[key][0]
            found = _compared(language, case, functions, key, got, second.get(key), bounds[key], again.message)
            if found is not None:
                (acceptable if found.kind in DEVIATIONS else failures).append(found)
    if bounds is not None:
        acceptable += _deviations(language, case, functions, results, bounds, {(f.function, f.of) for f in failures})
    return Outcome(case, results, tuple(failures), tuple(acceptable))


def _question(language: Language, case: Case, function: str) -> Question:
    """The arguments of a function, in the order of the reference's."""
    absent, names = case.call.options.get("absent", ()), language.operation.inputs

    def present(arrays: Sequence[Any]) -> list[Any]:
        return [None if name in absent else x for name, x in zip(names, arrays, strict=True)]

    inputs, tangents = present(case.call.inputs), present(case.tangents)
    primals = [] if language.linear else inputs
    arrays = {
        "forward": inputs,
        "backward": [case.grad_output, *primals],
        "jvp": [*primals, *tangents],
        "double_backward": [*tangents, *([case.grad_output] if primals else []), *primals],
    }[function]
    options = {name: value for name, value in case.call.options.items() if name != "absent"}
    return Question(function, tuple(arrays), tuple(inputs), options, case.dtype)


def _is_absent(case: Case, of: str | None) -> bool:
    return of is not None and of in case.call.options.get("absent", ())


def _by_key(answer: Answer, expected: Sequence[Key]) -> dict[Key, Any]:
    """Results by what they are; with or without those of absent inputs, which are None. Empty if they do not fit."""
    results = answer.results if len(answer.results) == len(expected) else [x for x in answer.results if x is not None]
    return dict(zip(expected, results, strict=True)) if len(results) == len(expected) else {}


def _wrong_form(
    function: str,
    answer: Answer,
    results: dict[Key, Any],
    expected: Sequence[Key],
    case: Case,
    bounds: dict[Key, Interval],
) -> Failure | None:
    """A failure if there are too few results, or one has another shape or dtype."""
    if not results:
        what = f"{function} returned {len(answer.results)} arrays, expected {len(expected)}: {_named(expected)}"
        return Failure(case, "type", function, None, what)
    for key, result in results.items():
        if result is None:
            return Failure(case, "type", *key, f"{_words(key)} is None, expected an array")
        array, dtype = result
        wanted = bounds[key].low.shape
        if array.shape != wanted:
            return Failure(case, "shape", *key, f"{_words(key)} has shape {array.shape}, expected {wanted}", array)
        if dtype != case.dtype:
            return Failure(case, "dtype", *key, f"{_words(key)} is {dtype}, expected {case.dtype}", array)
    return None


def _compared(
    language: Language,
    case: Case,
    functions: Sequence[str],
    key: Key,
    got: Any,
    again: Any,
    interval: Interval,
    message: str,
) -> Failure | None:
    """What is wrong with a result of the right form, or deviates; ``again`` is the same of a second run."""
    right = interval.holds(got).all()
    if again is None or again[0].shape != got.shape:
        return Failure(case, "nondeterministic", *key, message or "other results at the second call", got, interval)
    if not np.array_equal(got, again[0], equal_nan=True):
        kind = "order" if right and interval.holds(again[0]).all() else "nondeterministic"
        return Failure(case, kind, *key, _between_runs(got, again[0]), got, interval)
    if right:
        return None
    return _half(language, case, functions, key, got) or _outside(case, key, got, interval)


def _named(keys: Sequence[Key]) -> str:
    return ", ".join(key[1] or "the output" for key in keys)


def _words(key: Key) -> str:
    return f"{key[0]}'s {'result' if key[1] is None else 'gradient of ' + key[1]}"


def _between_runs(a: Any, b: Any) -> str:
    with np.errstate(invalid="ignore"):
        at = np.unravel_index(int(np.argmax(~((a == b) | (np.isnan(a) & np.isnan(b))))), a.shape)
    return f"at {_index(at)}: {_number(a[at])} at first, then {_number(b[at])}"


def _outside(case: Case, key: Key, got: Any, interval: Interval) -> Failure:
    """The failure of a result that is not right everywhere, at its worst element."""
    excess = np.where(interval.holds(got), -1.0, interval.excess(got))
    at = np.unravel_index(int(np.argmax(excess)), excess.shape)
    value, low, high = (float(np.asarray(a)[at]) for a in (got, interval.low, interval.high))
    kind = "value" if np.isfinite(value) or not np.isfinite(low + high) else "nan"
    middle = (low + high) / 2
    wanted = f"{_number(middle)} ± {(high - low) / 2:.2g}" if np.isfinite(middle) else f"[{low}, {high}]"
    count = int((excess >= 0).sum())
    message = f"at {_index(at)}: {_number(value)}, expected {wanted}; {count} of {excess.size} elements are wrong"
    return Failure(case, kind, *key, message, got, interval)


def _index(at: Sequence[Any]) -> str:
    return "[" + ", ".join(str(int(i)) for i in at) + "]"


def _number(value: Any) -> str:
    return f"{float(value):.9g}"


def _half(language: Language, case: Case, functions: Sequence[str], key: Key, got: Any) -> Failure | None:
    """An acceptable deviation if the result is right for one who computes in half precision throughout."""
    if case.dtype not in ("float16", "bfloat16"):
        return None
    interval = language.intervals(case, functions, native=True)[key]
    if not interval.holds(got).all():
        return None
    return Failure(case, "half", *key, DEVIATIONS["half"], got, interval)


def _deviations(
    language: Language,
    case: Case,
    functions: Sequence[str],
    results: dict[Key, Any],
    bounds: dict[Key, Interval],
    wrong: set[Key],
) -> list[Failure]:
    """The results that are right, but not what the specification chose."""
    if not results or not _has_choices(language, case):
        return []
    chosen = language.intervals(case, functions, choices=False)
    found = []
    for key, got in results.items():
        other = ~chosen[key].holds(got) & bounds[key].holds(got)
        if key in wrong or not other.any():
            continue
        at = np.unravel_index(int(np.argmax(other)), other.shape)
        low, high = (float(end[at]) for end in chosen[key])
        kind = _class(case, bounds[key], other)
        message = f"at {_index(at)}: {_number(got[at])}, the specification chose {_number((low + high) / 2)}"
        found.append(Failure(case, kind, *key, message, got, chosen[key]))
    return found


def _has_choices(language: Language, case: Case) -> bool:
    """Whether there may be something to choose: it saves time to know that there is not."""
    if not all(np.isfinite(x).all() for x in case.call.inputs):
        return True
    if language.operation.points_in is not None:
        return language.near_kinks(case)
    size = case.call.options.get("size", ())
    return language.operation.kinked or (bool(case.call.options.get("align_corners")) and 1 in size[2:])


def _class(case: Case, interval: Interval, other: Any) -> str:
    """Which class of deviations an element belongs to."""
    values = [np.asarray(x, np.float64) for x in case.call.inputs]
    if any(np.isnan(x).any() for x in values):
        return "NaN input"
    if any(np.isinf(x).any() for x in values):
        return "infinite input"
    if case.operation == "affine_grid":
        return "one pixel"
    if np.isinf(interval.low[other]).any() and np.isinf(interval.high[other]).any():
        return "huge"
    return "tie" if case.call.options.get("mode") in ("nearest", "closest") else "kink"
