"""The run behind :func:`attn_ref.verify.verify`: corners first, then drawn calls, then the smallest that fails."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from hypothesis import given, seed
from hypothesis import strategies as st

from attn_ref.gradcheck import strategies
from attn_ref.gradcheck.runner import drawing
from attn_ref.gradcheck.strategies import signed
from attn_ref.registry import Call
from attn_ref.verify.corners import CORNERS, RISKY
from attn_ref.verify.failures import Case, Failure, Outcome
from attn_ref.verify.judge import Asked, judge
from attn_ref.verify.language import Language, Options, Spoken, rounded
from attn_ref.verify.smaller import smallest

__all__ = ["Run", "case_of"]

_ENOUGH = 60
"""Failing cases after which no further corners are tried: enough for a diagnosis."""
_SHRINKING = 3.0
"""Seconds spent on looking for a smaller failing call."""
_FATAL = ("crash", "timeout")
"""Failures that cost seconds each."""
_CRASHES, _CRASHES_OF_A_RULE = 6, 2
"""How many crashes are looked at, of all rules and of one; a single timeout is enough."""
_TRANSLATED = ("C1", "P1", "P2", "P3", "P4", "D1")
"""The corners that have a meaning in every convention."""
_THOROUGH = ("C1", "C2", "Q1", "Q2", "Q3", "Q4", "D2")
"""The rules whose corners are tried in every dtype; the dtypes take turns at the others."""
_KINDS = ("smooth", "rough", "kinks", "exact")


@dataclass
class Run:
    """One run: what is asked, and what was found so far.

    Attributes
    ----------
    language : Language
        In which the candidate is spoken to.
    candidate : Asked
        What answers.
    functions : tuple of str
        What it can be asked for.
    variants : list of dict
        The options to go through.
    dtypes : tuple of str
        The dtypes to go through.
    examples, random_seed : int
        How many calls are drawn, and how.
    skip : tuple of str
        Rules whose corners are left out.
    alone : bool
        Whether the candidate is in a process of its own.
    progress : callable
        Called with a line after each case.
    """

    language: Language
    candidate: Asked
    functions: tuple[str, ...]
    variants: list[Options]
    dtypes: tuple[str, ...]
    examples: int
    random_seed: int
    skip: tuple[str, ...] = ()
    alone: bool = False
    progress: Callable[[str], None] = lambda _: None
    outcomes: list[Outcome] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    counterexample: Failure | None = None
    interrupted: bool = False

    def __post_init__(self) -> None:
        self._fixed = list(self._corners())

    @property
    def total(self) -> int:
        """About how many cases there will be."""
        return self.examples + len(self._fixed)

    def go(self) -> None:
        """Run; Ctrl-C ends it early."""
        try:
            self._run_corners(risky=False)
            self._draw()
            self._run_corners(risky=True)  # last: what writes beyond its arrays may show later
            self._shrink()
        except KeyboardInterrupt:
            self.interrupted = True

    # Corners ----------------------------------------------------------------------------------------------------------

    def _run_corners(self, *, risky: bool) -> None:
        failed = sum(bool(outcome.failures) for outcome in self.outcomes)
        for rule, call, variant, dtype in self._fixed:
            if rule in self.skipped or (rule in RISKY) is not risky:
                continue
            if self._hopeless or failed >= _ENOUGH:
                self.skipped["corners"] = f"those after the first {failed} failing cases"
                return
            outcome = self._judged(call, variant, dtype, rule)
            failed += bool(outcome.failures)
            if sum(r == rule for r in self._fatal) >= _CRASHES_OF_A_RULE:
                self.skipped[rule] = f"the rest of its cases, after {_CRASHES_OF_A_RULE} crashes"

    @property
    def _fatal(self) -> list[str]:
        """The rules of the cases that ended the process."""
        return [f.case.rule for outcome in self.outcomes for f in outcome.failures if f.kind in _FATAL]

    @property
    def _hopeless(self) -> bool:
        """Whether going on would only cost time."""
        timeout = any(f.kind == "timeout" for outcome in self.outcomes for f in outcome.failures)
        return timeout or len(self._fatal) >= _CRASHES

    def _corners(self) -> Iterator[tuple[str, Call, Options, str]]:
        """Rule by rule over all variants, so that a few cases already show all of them."""
        make = CORNERS.get(self.language.operation.name)
        if make is None:
            return
        lists = [list(make(self.language.core(variant))) for variant in self.variants]
        for i in range(max(map(len, lists), default=0)):
            for v, (variant, corners) in enumerate(zip(self.variants, lists, strict=True)):
                if i >= len(corners):
                    continue
                rule, call = corners[i]
                if variant.get("channels_last") and rule not in _TRANSLATED:
                    continue  # the layout is one thing, the rules are another
                turn = (self.dtypes[(i + v) % len(self.dtypes)],)
                for dtype in self.dtypes if rule in _THOROUGH else turn:
                    if self.language.has_words_for(call, variant) and self._wanted(rule, call, dtype):
                        yield rule, call, variant, dtype

    def _wanted(self, rule: str, call: Call, dtype: str) -> bool:
        if rule in self.skip or (isinstance(self.language, Spoken) and rule not in _TRANSLATED):
            return False
        if rule in RISKY and not self.alone:
            self.skipped[rule] = "its cases have crashed libraries, and this candidate is not in a process of its own"
            return False
        return not (rule == "D2" and dtype == "float64" and max(call.inputs[0].shape, default=0) > 1000)

    # Drawn calls ------------------------------------------------------------------------------------------------------

    def _draw(self) -> None:
        each = -(-self.examples // max(len(self.variants), 1))
        broken = 0
        left = self.examples
        for i, variant in enumerate(self.variants):
            count = min(each, left)
            if count <= 0 or broken >= 3 or self._hopeless:
                return
            left -= count
            broken += self._explore(variant, count, self.random_seed + i, shrink=broken == 0)

    def _explore(self, variant: Options, count: int, random_seed: int, *, shrink: bool) -> bool:
        """Draw calls of one variant until one fails, and shrink it if asked to; whether one failed."""
        core, operation = self.language.core(variant), self.language.operation
        draw = getattr(strategies, operation.strategy)
        kinds = _KINDS if not isinstance(self.language, Spoken) else ("smooth",)
        started: list[float] = []
        best: list[str] = []

        @seed(random_seed)
        @drawing(count, shrink=shrink)
        @given(st.data())
        def explore(data: st.DataObject) -> None:
            kind = data.draw(st.sampled_from(kinds))
            dtype = data.draw(st.sampled_from(self.dtypes))
            call = data.draw(draw("smooth" if kind == "rough" else kind, core))
            call = _roughened(call, data.draw(st.integers(1, 2**16))) if kind == "rough" else call
            name = repr((dtype, call))
            late = started and (self._hopeless or time.perf_counter() - started[0] > _SHRINKING)
            if not self.language.has_words_for(call, variant) or (late and name not in best):
                return  # Hypothesis comes back to the smallest in the end
            outcome = self._judged(call, variant, dtype, "", keep=not started)
            if outcome.failures:
                started.append(time.perf_counter())
                best.append(name)
                self._note(outcome)
                raise _Found

        try:
            explore()
        except _Found:
            return True
        return False

    def _note(self, outcome: Outcome) -> None:
        """Remember the smallest case that fails."""
        worst = outcome.failures[0]
        if self.counterexample is None or _weight(worst) < _weight(self.counterexample):
            self.counterexample = worst

    def _shrink(self) -> None:
        """Make the smallest failing case smaller still."""
        failing = [outcome for outcome in self.outcomes if outcome.failures]
        for outcome in failing:
            self._note(outcome)
        if self.counterexample is None or self.counterexample.kind in _FATAL:
            return
        self.counterexample = smallest(self.counterexample, self._try, _SHRINKING)

    def _try(self, case: Case) -> Failure | None:
        outcome = judge(self.language, self.candidate, case, self.functions)
        return next(iter(outcome.failures), None)

    # ------------------------------------------------------------------------------------------------------------------

    def _judged(self, call: Call, variant: Options, dtype: str, rule: str, keep: bool = True) -> Outcome:
        case = case_of(self.language, call, variant, dtype, rule)
        outcome = judge(self.language, self.candidate, case, self.functions)
        if keep or outcome.failures:
            self.outcomes.append(outcome)
        self.progress(rule or "drawn")
        return outcome


class _Found(Exception):  # noqa: N818  it is what was looked for
    """A call that fails was drawn."""


def case_of(language: Language, call: Call, variant: Options, dtype: str, rule: str) -> Case:
    """Write a call of the core as a case: in the candidate's language and dtype, with random cotangents."""
    written = language.write(call, variant, dtype)
    rng = np.random.default_rng(1)
    grad_output = rounded(np.asarray(signed(rng, language.output(written).shape)), dtype)
    tangents = tuple(rounded(signed(rng, x.shape), dtype) for x in written.inputs)
    if rule == "T5":  # other strides
        grad_output, tangents = np.asfortranarray(grad_output), tuple(map(np.asfortranarray, tangents))
        written = Call(tuple(map(np.asfortranarray, written.inputs)), written.options)
    return Case(language.operation.name, written, grad_output, tangents, dtype, rule)


def _roughened(call: Call, random_seed: int) -> Call:
    """Numbers with all their bits: each moved by up to a hundredth."""
    rng = np.random.default_rng(random_seed)
    return Call(tuple(x * (1 + rng.uniform(-0.01, 0.01, x.shape)) for x in call.inputs), call.options)


def _weight(failure: Failure) -> tuple[bool, int, int]:
    """What makes a failing case small: no crash, few numbers (but some), of few digits."""
    inputs: Sequence[Any] = failure.case.call.inputs
    size = sum(x.size for x in inputs)
    digits = sum(len(repr(float(v))) for x in inputs for v in x.ravel()[:64])
    return failure.kind in _FATAL, size if all(x.size for x in inputs) else 10**6, digits
