"""What verifying finds: cases, and where a candidate is wrong in one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from attn_ref.backend import Array
from attn_ref.registry import Call
from attn_ref.verify.bounds import Interval

__all__ = ["KINDS", "Case", "Failure", "Outcome"]

KINDS = {
    "value": "outside what is right",
    "nan": "NaN or infinity where there should be a number",
    "shape": "the wrong shape",
    "dtype": "the wrong dtype",
    "type": "not an array",
    "raises": "an exception",
    "mutates": "an input is written to",
    "nondeterministic": "another result for the same input",
    "crash": "the process dies",
    "timeout": "no answer in time",
}
"""The kinds of failures, in words."""


class Case(NamedTuple):
    """A call of an operation with what its derivatives are asked for.

    Attributes
    ----------
    operation : str
        Name of the operation in the registry.
    call : Call
        Inputs, as NumPy arrays of the dtype (float32 arrays that hold bfloat16 numbers for "bfloat16"), and options.
    grad_output : array
        Cotangent of the output.
    tangents : tuple of array
        One for each input: the direction of the jvp, and what the double backward pulls back.
    dtype : str
        "float64", "float32", "float16" or "bfloat16".
    rule : str
        The rule of the specification that it is about; "" if it was drawn.

    Examples
    --------
    >>> import numpy as np
    >>> from attn_ref.registry import Call
    >>> x, ones = np.array([0.5]), np.ones(1)
    >>> Case("activation", Call((x,), {"name": "relu"}), ones, (ones,), "float64").call.options
    {'name': 'relu'}
    """

    operation: str
    call: Call
    grad_output: Array
    tangents: tuple[Array, ...]
    dtype: str
    rule: str = ""


@dataclass(frozen=True)
class Failure:
    """One result of a candidate that is wrong, or that deviates acceptably.

    Attributes
    ----------
    case : Case
        On what.
    kind : str
        A key of :data:`KINDS`; for an acceptable deviation a key of :data:`attn_ref.verify.judge.DEVIATIONS`.
    function : str
        "forward", "backward", "jvp" or "double_backward".
    of : str or None
        The input whose cotangent it is; None if it has the shape of the output.
    message : str
        What is wrong, in a line.
    got : array or None
        The candidate's result, as NumPy has it; None if there is none.
    interval : Interval or None
        What it may be; None if it did not come to that.

    Examples
    --------
    >>> import numpy as np
    >>> from attn_ref.verify import verify
    >>> report = verify("activation", np.abs, options={"name": ["relu"]}, examples=4)
    >>> report.counterexample.kind, report.counterexample.what
    ('value', 'forward: output')
    """

    case: Case
    kind: str
    function: str
    of: str | None
    message: str
    got: Any = None
    interval: Interval | None = None

    @property
    def what(self) -> str:
        """The result in words."""
        return f"{self.function}: {'output' if self.of is None else f'cotangent of {self.of}'}"


@dataclass(frozen=True)
class Outcome:
    """What a candidate did in one case.

    Attributes
    ----------
    case : Case
        The case.
    results : dict
        Its results by (function, of), as NumPy arrays; what is missing raised, or was not asked for.
    failures, acceptable : tuple of Failure
        What is wrong, and what deviates in a way that is right too.

    Examples
    --------
    >>> import numpy as np
    >>> from attn_ref.verify import verify
    >>> report = verify("activation", np.abs, options={"name": ["relu"]}, examples=4)
    >>> report.outcomes[0].case.rule, len(report.outcomes[0].failures)
    ('Q3', 1)
    """

    case: Case
    results: dict[tuple[str, str | None], Any]
    failures: tuple[Failure, ...] = ()
    acceptable: tuple[Failure, ...] = ()
