"""Which known mistake a wrong candidate looks like.

Every mistake of the catalogue says what a candidate that makes it returns. One that agrees with *all* that was seen,
with the wrong results and with the right ones, is an explanation. Looked for are, in this order, single mistakes; the
same made in the forward or the backward pass alone; those made under a condition, as in 3-D alone; and pairs. If
nothing fits, what the wrong results have in common is said instead.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations, product
from typing import Any

from attn_ref.verify.bounds import FUNCTIONS, Interval
from attn_ref.verify.failures import Failure, Outcome
from attn_ref.verify.mistakes import MISTAKES, Mistake, Model
from attn_ref.verify.observations import Observation, observations, traits_of
from attn_ref.verify.symptoms import symptoms

__all__ = ["Diagnosis", "diagnose"]

_WRONG, _RIGHT, _MOST, _ROUNDS = 16, 48, 5, 3
_IN_WORDS = {
    "forward": "the forward pass",
    "backward": "the backward pass",
    "jvp": "the jvp",
    "double_backward": "the double backward",
}


@dataclass(frozen=True)
class Diagnosis:
    """What may be wrong with a candidate.

    Attributes
    ----------
    name : str
        In a few words; "not in the catalogue" if nothing known fits.
    sentence : str
        What is wrong, or what can be told of it.
    mend : str
        What to change; "" if that is not known.
    explained, failures : int
        How many of the failures it explains, and how many there are.
    mistakes : tuple of Mistake
        Those of the catalogue that it is made of: one, two, or none.

    Examples
    --------
    >>> from attn_ref.verify import verify
    >>> def relu(x, *, name):
    ...     return x * (x > -1)
    >>> verify("activation", relu, options={"name": ["relu"]}, examples=20).diagnoses[0].name
    'not in the catalogue'
    """

    name: str
    sentence: str
    mend: str
    explained: int
    failures: int
    mistakes: tuple[Mistake, ...] = ()

    @property
    def certain(self) -> bool:
        """Whether it explains all failures."""
        return bool(self.mistakes) and self.explained == self.failures

    def __str__(self) -> str:
        """Return the diagnosis in a few lines."""
        count = f"explains {self.explained} of {self.failures} failures" if self.mistakes else "no known mistake fits"
        lines = [f"{self.name} ({count})", f"    {self.sentence}"]
        return "\n".join([*lines, f"    To mend it: {self.mend}"] if self.mend else lines)


def diagnose(
    operation: str, failures: Sequence[Failure], outcomes: Sequence[Outcome] = (), *, seconds: float = 5.0
) -> list[Diagnosis]:
    """Rank what explains the failures of a candidate.

    Parameters
    ----------
    operation : str
        Name of the operation in the registry.
    failures : sequence of Failure
        What is to be explained: failures, or, if a candidate has none, its acceptable deviations.
    outcomes : sequence of Outcome
        All that the candidate returned; its right results, too, must agree with an explanation.
    seconds : float
        Of computing, for how long to look for pairs.

    Returns
    -------
    list of Diagnosis
        The likeliest first: at most five; one without mistakes if nothing explains all failures; none if there are no
        failures.

    Raises
    ------
    ValueError
        If the operation is unknown.

    Notes
    -----
    :func:`attn_ref.verify.verify` calls it for its report. A mistake explains a result if the result lies in the
    interval round what the mistake gives, for every element; it must not contradict what was right.

    Examples
    --------
    >>> from attn_ref.verify import verify
    >>> import numpy as np
    >>> def tanh_form(x, *, name):
    ...     return x / (1 + np.exp(-2 * np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))
    >>> report = verify("activation", tanh_form, options={"name": ["gelu"]}, examples=20, dtypes=["float64"])
    >>> print(diagnose("activation", report.failures, report.outcomes)[0].name)
    gelu by tanh
    """
    from attn_ref import validation
    from attn_ref.registry import OPERATIONS

    operation = validation.choice("operation", operation, OPERATIONS)
    if not failures:
        return []
    seen = observations(failures, outcomes)
    wrong, right = ([one for one in seen if one.wrong == kind] for kind in (True, False))
    chosen, counted, until = wrong[:_WRONG], [], time.process_time() + seconds
    for _ in range(_ROUNDS):  # on few results at first, then on those too that the first explanation leaves
        search = _Search(MISTAKES.get(operation, ()), chosen, right[:_RIGHT], until)
        found = list(_first(search.explanations(), _MOST))
        counted = [_diagnosis(made, wrong, len(failures)) for made in found]
        complete = [one for one in counted if one.explained == len(failures)]
        if complete:
            return complete
        left = [one for one in wrong if found and not _fits(found[0], one)]
        if not left or counted[0].explained == len(wrong):
            break
        chosen = [*left[:_WRONG], *chosen]
    unknown = Diagnosis("not in the catalogue", " ".join(symptoms(operation, failures, seen)), "", 0, len(failures))
    derived = [
        replace(one, name=f"{one.name}, but for what is derived from it")
        for one in (_diagnosis(made, wrong, len(failures)) for made in search.underived())
    ]
    partly = derived or counted or [_diagnosis(made, wrong, len(failures)) for made in search.partly()]
    partly.sort(key=lambda one: -one.explained)
    return [*(one for one in partly if derived or 2 * one.explained > len(failures)), unknown][:_MOST]


def _first(found: Iterable[Any], count: int) -> Iterator[Any]:
    for _, one in zip(range(count), found, strict=False):
        yield one


def _diagnosis(made: tuple[Mistake, ...], wrong: list[Observation], failures: int) -> Diagnosis:
    """What a set of mistakes says, and how many of the failures it explains."""
    explained = sum(_fits(made, one) for one in wrong)
    names = [mistake.name for mistake in made]
    return Diagnosis(
        "; and ".join(names),
        " ".join(mistake.sentence for mistake in made),
        " ".join(mistake.mend for mistake in made),
        explained,
        failures,
        made,
    )


def _fits(made: tuple[Mistake, ...], one: Observation) -> bool:
    found = _result(made, one)
    return found is not None and one.fits(found)


def _specification(made: tuple[Mistake, ...], function: str) -> Any:
    spec = made[0].model.right
    for mistake in made:
        if function in mistake.functions_changed:
            spec = replace(spec, **mistake.changes)
    return spec


def _result(made: tuple[Mistake, ...], one: Observation) -> Interval | None:
    made = tuple(mistake for mistake in made if mistake.holds_for(traits_of(one.case)))
    if not made:
        return one.interval
    return _evaluated(made[0].model, _specification(made, one.function), one).get(one.of)


def _evaluated(model: Model, specification: Any, one: Observation) -> dict[str | None, Interval]:
    """The results of a function by a specification; none if its shapes do not fit together in this case."""
    try:
        return model.evaluate(specification, one.function, one.point)
    except (ValueError, IndexError):
        return {}


@dataclass
class _Search:
    """Looks for explanations among the mistakes of one operation.

    Attributes
    ----------
    mistakes : sequence of Mistake
        The catalogue.
    wrong, right : list of Observation
        What is to be explained, and what must not be contradicted.
    until : float
        When to stop looking for pairs, in the time of the process.
    """

    mistakes: Sequence[Mistake]
    wrong: list[Observation]
    right: list[Observation]
    until: float
    known: dict[Any, dict[str | None, Interval]] = field(default_factory=dict)

    def explanations(self) -> Iterator[tuple[Mistake, ...]]:
        """Sets of mistakes that explain all, the simplest first."""
        if not self.mistakes or not self.wrong:
            return
        found = 0
        for level in (self._singles, self._conditional, self._pairs):
            for made in level():
                found += 1
                yield made
            if found:
                return

    def underived(self) -> list[tuple[Mistake, ...]]:
        """Explain the forward and the backward pass alone, or the forward pass alone.

        What is derived from a mistaken pass may be wrong in another way than the catalogue's.
        """
        for kept in (FUNCTIONS[:2], FUNCTIONS[:1]):
            wrong, right = ([one for one in some if one.function in kept] for some in (self.wrong, self.right))
            if wrong and len(wrong) < len(self.wrong):
                found = [*_first(_Search(self.mistakes, wrong, right, self.until).explanations(), _MOST)]
                if found:
                    return found
        return []

    def partly(self) -> list[tuple[Mistake, ...]]:
        """Single mistakes that explain some of the failures and contradict nothing, those that explain most first."""
        counts = {m.name: sum(self._fits(m.model, m.changes, one) for one in self.wrong) for m in self.mistakes}
        kept = sorted((m for m in self.mistakes if counts[m.name]), key=lambda m: -counts[m.name])
        return [(m,) for m in kept[:12] if all(self._fits(m.model, m.changes, one) for one in self.right)]

    @property
    def failing(self) -> list[str]:
        """Functions with wrong results."""
        return [function for function in FUNCTIONS if any(one.function == function for one in self.wrong)]

    def _of(self, function: str, *, wrong: bool) -> list[Observation]:
        return [one for one in (self.wrong if wrong else self.right) if one.function == function]

    def _fits(self, model: Model, changes: Any, one: Observation) -> bool:
        """Whether a result is what these changes make."""
        spec = replace(model.right, **changes)
        key = (spec, one.function, id(one.point))
        if key not in self.known:
            self.known[key] = _evaluated(model, spec, one)
        found = self.known[key].get(one.of)
        return found is not None and one.fits(found)

    def _explains(self, changes: Any, function: str, *, rights: bool = True) -> bool:
        """Whether changes in a function explain all of its results."""
        model = self.mistakes[0].model
        seen = [*self._of(function, wrong=True), *(self._of(function, wrong=False) if rights else ())]
        return all(self._fits(model, changes, one) for one in seen)

    def _singles(self) -> Iterator[tuple[Mistake, ...]]:
        """One mistake: everywhere, or in the functions alone that fail."""
        failing = self.failing
        others = [f for f in FUNCTIONS if f not in failing and self._of(f, wrong=False)]
        alone = []
        for mistake in self.mistakes:
            if all(self._explains(mistake.changes, function) for function in failing):
                if all(self._explains(mistake.changes, function) for function in others):
                    yield (mistake,)
                else:
                    alone.append(_in(mistake, failing, self._looked_at))
        yield from ((mistake,) for mistake in alone)

    def _conditional(self) -> Iterator[tuple[Mistake, ...]]:
        """One mistake that explains all failures, but would show where the candidate is right, too."""
        failing = self.failing
        for mistake in self.mistakes:
            if not all(self._explains(mistake.changes, function, rights=False) for function in failing):
                continue
            against = [one for one in self.right if not self._fits(mistake.model, mistake.changes, one)]
            elsewhere = [one for one in against if one.function not in failing]
            inside = [one for one in against if one.function in failing]
            for name, values in _separating(self.wrong, inside):
                limited = mistake if not elsewhere else _in(mistake, failing, self._looked_at)
                yield (limited.only_where(name, values),)
                break

    def _pairs(self) -> Iterator[tuple[Mistake, ...]]:
        """Two mistakes, each of them everywhere or in some functions alone."""
        failing = self.failing
        singles = {f: [m for m in self.mistakes if self._explains(m.changes, f)] for f in failing}
        if len(failing) == 2 and all(singles.values()):
            for one, other in product(singles[failing[0]][:2], singles[failing[1]][:2]):
                yield _in(one, failing[:1], self._looked_at), _in(other, failing[1:], self._looked_at)
            return
        hardest = min(failing, key=lambda function: len(singles[function]))
        at_work = [m for m in self.mistakes if self._shows(m, hardest)]
        for a, b in combinations(at_work, 2):
            if time.process_time() > self.until:
                return
            if a.changes.keys() & b.changes.keys() or not self._explains({**a.changes, **b.changes}, hardest):
                continue
            where: dict[str, list[str]] = {a.name: [hardest], b.name: [hardest]}
            for function in FUNCTIONS:
                if function != hardest and (self._of(function, wrong=True) or self._of(function, wrong=False)):
                    for subset in ((a, b), (a,), (b,), ()):
                        merged = {key: value for m in subset for key, value in m.changes.items()}
                        if (subset or function not in failing) and self._explains(merged, function):
                            for mistake in subset:
                                where[mistake.name].append(function)
                            break
                    else:
                        break
            else:
                yield tuple(_in(mistake, where[mistake.name], self._looked_at) for mistake in (a, b))

    @property
    def _looked_at(self) -> list[str]:
        return [f for f in FUNCTIONS if self._of(f, wrong=True) or self._of(f, wrong=False)]

    def _shows(self, mistake: Mistake, function: str) -> bool:
        """Whether a mistake alters what the wrong results should be."""
        model = mistake.model
        for one in self._of(function, wrong=True)[:6]:
            mine, right = (
                _evaluated(model, replace(model.right, **changes), one).get(one.of) for changes in (mistake.changes, {})
            )
            if mine is None or right is None or mine.low.shape != right.low.shape:
                return True
            if not right.holds((mine.low + mine.high) / 2).all():
                return True
        return False


def _in(mistake: Mistake, functions: list[str], looked_at: Sequence[str] = ()) -> Mistake:
    """The same mistake in some functions alone, and saying so, unless these are all there are."""
    if set(looked_at) and set(functions) >= set(looked_at):
        return mistake
    rest = [function for function in looked_at if function not in functions]
    inside, outside = (" and ".join(_IN_WORDS[function] for function in some) for some in (functions, rest))
    where = f"but not in {outside}" if 0 < len(rest) < len(functions) else f"in {inside} alone"
    return replace(mistake.alone_in(functions), name=f"{mistake.name}, {where}")


def _separating(wrong: list[Observation], against: list[Observation]) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """Traits whose values tell the wrong results from those that speak against a mistake."""
    mine, others = [traits_of(one.case) for one in wrong], [traits_of(one.case) for one in against]
    for name in dict.fromkeys(key for traits in (*mine, *others) for key in traits):
        values = {traits.get(name) for traits in mine}
        if against and not values & {traits.get(name) for traits in others}:
            yield name, tuple(sorted(values, key=str))
