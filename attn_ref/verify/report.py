"""The report of a verification."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from attn_ref import __version__
from attn_ref.verify.failures import KINDS, Failure, Outcome
from attn_ref.verify.judge import DEVIATIONS

__all__ = ["Report", "VerificationError"]


class VerificationError(AssertionError):
    """A candidate is wrong; the message is the report.

    Examples
    --------
    >>> import numpy as np
    >>> from attn_ref.verify import verify
    >>> try:
    ...     verify("activation", np.abs, options={"name": ["relu"]}, examples=4).raise_if_failed()
    ... except VerificationError as error:
    ...     print(str(error)[:33])
    numpy.absolute as activation: WRO
    """


@dataclass(frozen=True)
class Report:
    """What :func:`attn_ref.verify.verify` found.

    Attributes
    ----------
    operation, candidate : str
        What was verified.
    settings : dict
        Adapter, convention, dtypes, options, seed: how.
    outcomes : tuple of Outcome
        All cases, with the candidate's results.
    counterexample : Failure or None
        The smallest failing case found.
    snippet : str
        Python source that shows it; "" if there is none.
    diagnoses : tuple
        What explains the failures, the likeliest first.
    skipped : dict
        Rules that were not tried, or not all of their cases, and why.
    seconds : float
        Wall time.
    interrupted : bool
        Whether Ctrl-C ended it early.

    Examples
    --------
    >>> from attn_ref import get_activation
    >>> from attn_ref.verify import verify
    >>> report = verify("activation", lambda x: get_activation("silu")(x), options={"name": ["silu"]}, examples=4)
    >>> report.passed, len(report.failures), report.counterexample
    (True, 0, None)
    """

    operation: str
    candidate: str
    settings: dict[str, Any]
    outcomes: tuple[Outcome, ...]
    counterexample: Failure | None = None
    snippet: str = ""
    diagnoses: tuple[Any, ...] = ()
    skipped: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    interrupted: bool = False

    @property
    def failures(self) -> tuple[Failure, ...]:
        """All that is wrong."""
        return tuple(failure for outcome in self.outcomes for failure in outcome.failures)

    @property
    def acceptable(self) -> tuple[Failure, ...]:
        """All that is right but is not what the specification chose; ``kind`` says in which way."""
        return tuple(failure for outcome in self.outcomes for failure in outcome.acceptable)

    @property
    def passed(self) -> bool:
        """Whether there were cases and nothing was wrong in them."""
        return bool(self.outcomes) and not self.failures

    def raise_if_failed(self) -> None:
        """Raise an error with the report if something is wrong, or nothing was tried.

        Raises
        ------
        VerificationError
            Then.
        """
        if not self.passed:
            raise VerificationError(str(self))

    def to_json(self) -> str:
        """Write the report as a JSON object, with the arrays of the counterexample and no others.

        Returns
        -------
        str
            The JSON.

        Raises
        ------
        TypeError
            If an option is not of a type that JSON has or ``str`` makes.
        """
        content = {
            "attn_ref": __version__,
            "operation": self.operation,
            "candidate": self.candidate,
            "passed": self.passed,
            "interrupted": self.interrupted,
            "settings": self.settings,
            "cases": len(self.outcomes),
            "seconds": round(self.seconds, 3),
            "results": self._rows(),
            "failures": [_plain(failure) for failure in self.failures],
            "acceptable": [_plain(failure) for failure in self.acceptable],
            "skipped": self.skipped,
            "counterexample": None if self.counterexample is None else _whole(self.counterexample),
            "snippet": self.snippet,
            "diagnoses": [str(diagnosis) for diagnosis in self.diagnoses],
        }
        return json.dumps(content, indent=2, default=str)

    def _rows(self) -> list[dict[str, Any]]:
        """A row for each result: cases, failures, acceptable deviations."""
        cases = Counter(f"{f}: {of or 'output'}" for outcome in self.outcomes for f, of in outcome.results)
        failed = Counter(_what(failure) for failure in self.failures)
        other = Counter(_what(failure) for failure in self.acceptable)
        names = [*cases, *(name for name in failed if name not in cases)]
        return [
            {"result": n, "cases": max(cases[n], failed[n]), "failed": failed[n], "acceptable": other[n]} for n in names
        ]

    def __str__(self) -> str:
        verdict = "right" if self.passed else "WRONG" if self.failures else "not tried"
        lines = [f"{self.candidate} as {self.operation}: {verdict}, {len(self.outcomes)} cases in {self.seconds:.1f} s"]
        lines += [
            "",
            *_table([("result", "cases", "failed", "acceptable"), *(tuple(r.values()) for r in self._rows())]),
        ]
        if self.failures:
            lines += ["", "Wrong:", *_summary(self.failures, KINDS)]
        if self.counterexample is not None:
            c = self.counterexample
            lines += ["", f"The smallest input that shows it, {_options(c)}:", f"  {c.what}", f"  {c.message}"]
            lines += ["", self.snippet.rstrip()] if self.snippet else []
        lines += ["", "What it looks like:"] * bool(self.diagnoses) + [f"  {diagnosis}" for diagnosis in self.diagnoses]
        if self.acceptable:
            lines += ["", "Acceptable:", *_summary(self.acceptable, DEVIATIONS)]
        lines += [""] * bool(self.skipped) + [f"Not tried: {rule}, {why}" for rule, why in self.skipped.items()]
        return "\n".join(lines)


def _what(failure: Failure) -> str:
    return f"{failure.function}: {failure.of or 'output'}"


def _table(rows: list[tuple[Any, ...]]) -> list[str]:
    text = [[str(word) for word in row] for row in rows]
    widths = [max(len(row[i]) for row in text) for i in range(len(text[0]))]
    return [
        "  ".join(w.ljust(n) if i == 0 else w.rjust(n) for i, (w, n) in enumerate(zip(row, widths, strict=True)))
        for row in text
    ]


def _summary(failures: tuple[Failure, ...], words: dict[str, str]) -> list[str]:
    """A line for each kind: how often, where, and the first."""
    lines = []
    for kind, count in Counter(f.kind for f in failures).most_common():
        of_kind = [f for f in failures if f.kind == kind]
        rules = sorted({f.case.rule for f in of_kind if f.case.rule})
        where = f" ({', '.join(rules)})" if rules else ""
        lines.append(f"  {kind}, {words[kind]}: {count}{where}")
        lines.append(f"    {_options(of_kind[0])}; {of_kind[0].what}: {of_kind[0].message}")
    return lines


def _options(failure: Failure) -> str:
    options = {k: v for k, v in failure.case.call.options.items() if k not in ("absent", "labels")}
    if not options.get("channels_last", True):
        del options["channels_last"]  # as usual
    return ", ".join([failure.case.dtype, *(f"{name}={value!r}" for name, value in options.items())])


def _plain(failure: Failure) -> dict[str, Any]:
    """A failure for JSON."""
    case = failure.case
    return {
        "kind": failure.kind,
        "function": failure.function,
        "of": failure.of,
        "message": failure.message,
        "rule": case.rule,
        "dtype": case.dtype,
        "options": dict(case.call.options),
        "shapes": [list(x.shape) for x in case.call.inputs],
    }


def _whole(failure: Failure) -> dict[str, Any]:
    """A failure with its arrays, for JSON."""
    case = failure.case
    arrays = {"inputs": case.call.inputs, "grad_output": (case.grad_output,), "tangents": case.tangents}
    written = {name: [_listed(x) for x in value] for name, value in arrays.items()}
    interval = None if failure.interval is None else [_listed(end) for end in failure.interval]
    return {**_plain(failure), **written, "got": _listed(failure.got), "interval": interval}


def _listed(array: Any) -> Any:
    """Nested lists; what is not finite as words, which JSON has no numbers for."""
    if array is None:
        return None
    values = np.asarray(array, np.float64)
    words = np.where(np.isfinite(values), values.astype(object), values.astype(str).astype(object))
    return words.tolist()
