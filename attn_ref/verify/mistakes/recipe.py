"""What a mistake is: a recipe of an operation with a few of its fields changed.

A *specification* is a small frozen value whose every field is one decision an implementation takes: which coordinate is
x, how a pixel is rounded, what a derivative is scaled by. Its defaults are the right ones. Together with a function
that computes what it says, a :class:`Model`, it stands for an operation; a mistake changes a field, a pair of mistakes
two. Each of the four functions has a specification of its own, so that a mistake in the backward pass alone is
the same change, made there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from attn_ref.registry.operation import Functions, Options
from attn_ref.verify.bounds import FORMATS, FUNCTIONS, Interval
from attn_ref.verify.failures import Case

__all__ = ["Mistake", "Model", "Point", "Row", "functions_of", "of_rows"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Point:
    """A call of an operation and what its derivatives are asked for, in float64, whatever the candidate computed in.

    Attributes
    ----------
    inputs : tuple of array
        The differentiable inputs, in order.
    options : dict
        Everything else by name, as in :class:`attn_ref.registry.operation.Call`.
    dtype : str
        What the candidate was given: "float64", "float32", "float16" or "bfloat16".
    grad_output : array, optional
        The cotangent of the output.
    tangents : tuple of array, optional
        One for each input: the direction of the jvp, and the cotangents that the double backward pulls back.
    sharp : bool
        Whether a coordinate that is computed without rounding counts as exact, so that ties and kinks have one side.
    boxed : bool
        Whether coordinates have a box of rounding at all.
    """

    inputs: tuple[Floats, ...]
    options: Options
    dtype: str = "float64"
    grad_output: Floats | None = None
    tangents: tuple[Floats, ...] | None = None
    sharp: bool = False
    boxed: bool = True

    @classmethod
    def of(cls, case: Case, *, sharp: bool = False) -> Point:
        """The point of a case."""
        inputs = tuple(np.asarray(x, np.float64) for x in case.call.inputs)
        tangents = tuple(np.asarray(x, np.float64) for x in case.tangents)
        return cls(inputs, case.call.options, case.dtype, np.asarray(case.grad_output, np.float64), tangents, sharp)

    @property
    def working(self) -> float:
        """Unit roundoff of the arithmetic: half precision is computed in float32."""
        return min(self.stored, FORMATS["float32"].roundoff)

    @property
    def stored(self) -> float:
        """Unit roundoff with which results are stored."""
        return FORMATS[self.dtype].roundoff


Evaluate = Callable[[Any, str, Point], dict[str | None, Interval]]


@dataclass(frozen=True)
class Model:
    """An operation as something that mistakes can be made in.

    Attributes
    ----------
    operation : str
        Its name in the registry.
    right : object
        The specification of the operation as it should be.
    evaluate : callable
        ``evaluate(specification, function, point)`` gives the results of one of the functions: an :class:`Interval` for
        each input whose cotangent it is, or for None if it has the shape of the output.
    """

    operation: str
    right: Any
    evaluate: Evaluate


@dataclass(frozen=True)
class Mistake:
    """One way to be wrong.

    Attributes
    ----------
    name : str
        In a few words.
    sentence : str
        What is wrong.
    mend : str
        What to change.
    model : Model
        In what it is made.
    changes : mapping of str to object
        Fields of the specification, and what they are instead.
    museum : str
        The number and the place of its kind in the bug museum: where it was seen; "" if it was not.
    functions_changed : tuple of str
        The functions that make it; all of them but where it is said to be made in some alone.
    where : (str, tuple), optional
        What a case must be for it to be made: a trait and its values.
    """

    name: str
    sentence: str
    mend: str
    model: Model
    changes: Mapping[str, Any]
    museum: str = ""
    functions_changed: tuple[str, ...] = FUNCTIONS
    where: tuple[str, tuple[Any, ...]] | None = None

    @property
    def operation(self) -> str:
        """The operation in which it is made."""
        return self.model.operation

    def specification(self, function: str) -> Any:
        """What one of the functions does."""
        right = self.model.right
        return replace(right, **self.changes) if function in self.functions_changed else right

    def alone_in(self, functions: Iterable[str]) -> Mistake:
        """Make the same mistake in some of the functions alone."""
        return replace(self, functions_changed=tuple(functions))

    def only_where(self, trait: str, values: tuple[Any, ...]) -> Mistake:
        """Make the same mistake only in cases with these values of a trait, and say so."""
        words = " or ".join(
            value if isinstance(value, str) else f"no {trait}" if value is None else f"{trait}={value}"
            for value in values
        )
        return replace(self, name=f"{self.name}, with {words} alone", where=(trait, values))

    def holds_for(self, traits: Mapping[str, Any]) -> bool:
        """Whether it is made in a case of these traits."""
        return self.where is None or traits.get(self.where[0]) in self.where[1]

    def ranges(self, function: str, point: Point) -> dict[str | None, Interval]:
        """Where the results of a function that makes the mistake lie."""
        return self.model.evaluate(self.specification(function), function, point)

    @property
    def functions(self) -> Functions:
        """The operation with the mistake, called as the registry calls the right one."""
        return functions_of(self.model, self.specification)


def functions_of(model: Model, specification: Callable[[str], Any]) -> Functions:
    """Build the four functions that follow specifications, one for each of their names."""
    from attn_ref.registry import OPERATIONS

    operation = OPERATIONS[model.operation]
    count = len(operation.inputs)

    def results(function: str, point: Point) -> Any:
        found = model.evaluate(specification(function), function, point)
        dtype = point.dtype
        arrays = {of: ((r.low + r.high) / 2).astype(dtype) for of, r in found.items()}
        present = tuple(arrays.get(name) for name in operation.inputs)
        if function in ("forward", "jvp"):
            return arrays[None]
        if function == "backward":
            return present[0] if count == 1 else present
        return arrays[None] if operation.linear else (arrays[None], *present)

    def point(options: Options, inputs: Sequence[Any], dy: Any = None, tangents: Sequence[Any] | None = None) -> Point:
        first = next(a for a in (*inputs, dy, *(tangents or ())) if a is not None)
        wide = [None if a is None else np.asarray(a, np.float64) for a in inputs]
        absent = [name for name, a in zip(operation.inputs, inputs, strict=False) if a is None]
        options = {**options, "absent": (*absent,)} if absent else dict(options)
        filled: list[Any] = [np.zeros(0) if a is None else a for a in wide]
        directions = None
        if tangents is not None:
            directions = tuple(np.asarray(0 if t is None else t, np.float64) for t in tangents)
        cotangent = None if dy is None else np.asarray(dy, np.float64)
        return Point(tuple(filled), options, first.dtype.name, cotangent, directions, sharp=True, boxed=False)

    def forward(*inputs: Any, **options: Any) -> Any:
        return results("forward", point(options, inputs))

    def backward(grad_output: Any, *inputs: Any, **options: Any) -> Any:
        return results("backward", point(options, inputs, grad_output))

    def jvp(*arrays: Any, **options: Any) -> Any:
        inputs = () if operation.linear else arrays[:count]
        return results("jvp", point(options, inputs, None, arrays[len(inputs) :]))

    def double_backward(*arrays: Any, **options: Any) -> Any:
        rest = arrays[count:]
        dy, inputs = (rest[0], rest[1:]) if rest else (None, ())
        return results("double_backward", point(options, inputs, dy, arrays[:count]))

    return Functions(
        forward,
        backward,
        jvp if operation.has_jvp else None,
        double_backward if operation.has_double_backward else None,
    )


Row = tuple[str, Mapping[str, Any], str, str, str]
"""Name, changes, sentence, mend, museum: a mistake of one model."""


def of_rows(model: Model, rows: Iterable[Row]) -> tuple[Mistake, ...]:
    """Make mistakes of a table's rows."""
    return tuple(
        Mistake(name, sentence, mend, model, changes, museum) for name, changes, sentence, mend, museum in rows
    )
