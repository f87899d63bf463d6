"""Run every property of every operation with Hypothesis: the engine behind ``attn-ref check``.

Operations come from :data:`attn_ref.registry.OPERATIONS`, properties from
:data:`attn_ref.gradcheck.properties.PROPERTIES`. Each pair goes through all variants of the operation (modes, paddings,
alignments, 2-D and 3-D), a few examples each, and gives one row. A failing example is shrunk by Hypothesis and turned
into a snippet that fails again when it is pasted into Python.
"""

from __future__ import annotations

import difflib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from attn_ref.gradcheck import strategies
from attn_ref.gradcheck.properties import PROPERTIES, examine
from attn_ref.gradcheck.subject import Subject
from attn_ref.registry import OPERATIONS, Call, Operation

__all__ = ["Failure", "Result", "drawing", "pairs", "run", "run_pair"]


@dataclass(frozen=True)
class Failure:
    """A property that does not hold: why, on which call, and how to see it again."""

    message: str
    snippet: str


@dataclass(frozen=True)
class Result:
    """One row: a property of an operation.

    Attributes
    ----------
    operation, property_name : str
        The pair.
    examples : int
        Calls examined.
    worst : float
        Worst error in units of its bound, of the calls that passed.
    seconds : float
        Wall time.
    failure : Failure or None
        The first variant that failed, shrunk.
    """

    operation: str
    property_name: str
    examples: int
    worst: float
    seconds: float
    failure: Failure | None = None

    @property
    def passed(self) -> bool:
        """Whether the property held in every example."""
        return self.failure is None

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {**asdict(self), "passed": self.passed}


def pairs(
    operations: Sequence[str] = (), properties: Sequence[str] = (), dtype: str = "float64"
) -> list[tuple[str, str]]:
    """List the (operation, property) pairs that apply, all of them by default, in the order they are run.

    Raises
    ------
    ValueError
        If a name is unknown; the message lists the known ones.
    """
    for given_names, known, what in ((operations, OPERATIONS, "operation"), (properties, PROPERTIES, "property")):
        for name in given_names:
            if name not in known:
                near = difflib.get_close_matches(name, known, 1)
                hint = f"; did you mean {near[0]!r}?" if near else ""
                raise ValueError(f"unknown {what} {name!r}: expected one of {', '.join(known)}{hint}")
    return [
        (operation, name)
        for operation in OPERATIONS
        if not operations or operation in operations
        for name, prop in PROPERTIES.items()
        if (not properties or name in properties) and dtype in prop.dtypes and prop.applies(OPERATIONS[operation])
    ]


def run(
    chosen: Sequence[tuple[str, str]],
    *,
    examples: int = 8,
    seed: int = 0,
    dtype: str = "float64",
    backend: str = "numpy",
    progress: Callable[[str, str], None] | None = None,
) -> Iterator[Result]:
    """Run pairs one after the other.

    Parameters
    ----------
    chosen : sequence of (str, str)
        What to run, from :func:`pairs`.
    examples : int
        Calls drawn for each variant of the operation.
    seed : int
        Seed of the draws: the same seed draws the same calls.
    dtype : {"float64", "float32", "float16"}
        Dtype of the calls.
    backend : str
        Array library to run the operations on.
    progress : callable, optional
        Called with (operation, property) after each variant.

    Yields
    ------
    Result
        A row for each pair, as soon as it is done.
    """
    for operation, name in chosen:
        yield run_pair(
            OPERATIONS[operation], name, examples=examples, random_seed=seed, dtype=dtype, backend=backend,
            progress=progress,
        )  # fmt: skip


def run_pair(
    operation: Operation,
    name: str,
    *,
    examples: int,
    random_seed: int,
    dtype: str = "float64",
    backend: str = "numpy",
    progress: Callable[[str, str], None] | None = None,
    shrink: bool = True,
) -> Result:
    """Run one property of one operation, which need not be a registered one, through all its variants.

    Parameters
    ----------
    operation : Operation
        The operation.
    name : str
        A key of :data:`attn_ref.gradcheck.properties.PROPERTIES`.
    examples, random_seed, dtype, backend, progress
        As in :func:`run`.
    shrink : bool
        Whether to look for the smallest failing call.

    Returns
    -------
    Result
        The row; it stops at the first variant that fails.
    """
    subject = Subject(operation, np.dtype(dtype), backend)
    strategy = getattr(strategies, operation.strategy)
    start = time.perf_counter()
    count, worst = 0, 0.0
    failure: Failure | None = None
    for variant in operation.variants:
        found = _explore(subject, name, strategy(PROPERTIES[name].kind, variant), examples, random_seed, shrink)
        count, worst, failure = count + found[0], max(worst, found[1]), found[2]
        if progress is not None:
            progress(operation.name, name)
        if failure is not None:
            break
    return Result(operation.name, name, count, worst, time.perf_counter() - start, failure)


def drawing(examples: int, *, shrink: bool) -> settings:
    """How Hypothesis is to draw calls: so many, keeping no notes; and whether to look for the smallest that fails."""
    return settings(
        max_examples=examples,
        deadline=None,
        database=None,
        print_blob=False,
        report_multiple_bugs=False,
        phases=[Phase.generate, *([Phase.shrink] if shrink else [])],
        suppress_health_check=list(HealthCheck),
    )


def _explore(
    subject: Subject, name: str, calls: st.SearchStrategy[Call], examples: int, random_seed: int, shrink: bool
) -> tuple[int, float, Failure | None]:
    """Draw calls until one fails; Hypothesis shrinks it, if asked to, and runs the smallest one last."""
    count, worst = 0, 0.0
    last: Call | None = None

    @seed(random_seed)
    @drawing(examples, shrink=shrink)
    @given(calls)
    def explore(call: Call) -> None:
        nonlocal count, worst, last
        count, last = count + 1, call
        worst = max(worst, examine(name, subject, call))

    try:
        explore()
    except Exception as error:  # whatever an operation under test may raise is a failure of it
        if last is None:
            raise  # no call was drawn: the strategy is at fault
        message = str(error) if isinstance(error, AssertionError) else f"{type(error).__name__}: {error}"
        return count, worst, Failure(message, _snippet(subject, name, subject.cast(last)))
    return count, worst, None


def _snippet(subject: Subject, name: str, call: Call) -> str:
    """Python source that examines one call again."""
    inputs = ",\n        ".join(_source(x) for x in call.inputs)
    options = "{" + ", ".join(f"{key!r}: {_source(value)}" for key, value in call.options.items()) + "}"
    extra = "".join(
        f", {key}={value!r}"
        for key, value, usual in (("dtype", str(subject.dtype), "float64"), ("backend", subject.backend, "numpy"))
        if value != usual
    )
    return (
        "import numpy as np\n"
        "from attn_ref.gradcheck.properties import replay\n\n"
        f"replay({subject.operation.name!r}, {name!r},\n"
        f"    [\n        {inputs},\n    ],\n    {options}{extra})\n"
    )


def _source(value: Any) -> str:
    """Python source of an argument."""
    if isinstance(value, np.ndarray):
        return f"np.array({value.tolist()!r}, {str(value.dtype)!r})"
    return repr(value)
