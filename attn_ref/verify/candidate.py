"""A candidate: the functions of a foreign implementation, called like the reference's own."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from attn_ref.verify.adapters import ADAPTERS, NoArrayError

__all__ = ["Answer", "Candidate", "Question", "accepts", "import_path", "imported", "load"]


class Question(NamedTuple):
    """What a candidate is asked: a function, its arrays in order (None for one that is absent), its options.

    ``inputs`` are those of the operation, for a library that differentiates by itself.
    """

    function: str
    arrays: tuple[Any, ...]
    inputs: tuple[Any, ...]
    options: dict[str, Any]
    dtype: str


class Answer(NamedTuple):
    """What a candidate gave.

    Attributes
    ----------
    results : tuple of (array, str), optional
        Its results with their dtypes; None in place of one that is None.
    kind : str
        "" if all went well; else the kind of the failure.
    message : str
        What happened.
    """

    results: tuple[Any, ...] = ()
    kind: str = ""
    message: str = ""


@dataclass(frozen=True)
class Candidate:
    """Functions by name ("forward", "backward", "jvp", "double_backward") and the adapter that feeds them."""

    functions: Mapping[str, Callable[..., Any]]
    adapter: str

    @property
    def answers(self) -> tuple[str, ...]:
        """The functions that it can be asked for."""
        names = tuple(name for name, function in self.functions.items() if function is not None)
        autograd = ADAPTERS[self.adapter].differentiate is not None
        return (*names, "backward") if autograd and "backward" not in names else names

    def ask(self, question: Question) -> Answer:
        """Call a function and bring its results to NumPy; whatever it does wrong is in the answer."""
        adapter = ADAPTERS[self.adapter]
        if question.function not in self.functions:  # by autograd
            question = question._replace(arrays=(question.arrays[0], *question.inputs))
        given = [None if x is None else adapter.give(x, question.dtype) for x in question.arrays]
        before = [None if x is None else _bytes(adapter.take(x)[0]) for x in given]
        try:
            result = self._call(question, given)
        except NoArrayError as error:
            return Answer(kind="type", message=f"{question.function} returned {error}")
        except MemoryError:
            raise
        except (Exception, SystemExit) as error:  # whatever a candidate raises is its answer
            return Answer(kind="raises", message=f"{type(error).__name__}: {' '.join(str(error).split())[:300]}")
        for i, (x, bits) in enumerate(zip(given, before, strict=True)):
            if x is not None and _bytes(adapter.take(x)[0]) != bits:
                return Answer(kind="mutates", message=f"{question.function} wrote to its argument {i}")
        several = isinstance(result, (tuple, list)) and question.function in ("backward", "double_backward")
        try:
            found = [None if x is None else adapter.take(x) for x in (result if several else (result,))]
        except NoArrayError as error:
            return Answer(kind="type", message=f"{question.function} returned {error}")
        return Answer(tuple(found))

    def _call(self, question: Question, given: Sequence[Any]) -> Any:
        function = self.functions.get(question.function)
        if function is not None:
            return function(*_taken(function, given, question.options), **question.options)
        differentiate = ADAPTERS[self.adapter].differentiate
        assert differentiate is not None
        forward = self.functions["forward"]
        grad_output, inputs = given[0], given[1:]
        return differentiate(
            lambda *x: forward(*_taken(forward, x, question.options), **question.options), inputs, grad_output
        )


def _taken(function: Callable[..., Any], arrays: Sequence[Any], options: Mapping[str, Any]) -> list[Any]:
    """Without what is absent at the end and has no place in the function's signature."""
    kept = list(arrays)
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return kept
    places = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) and p.name not in options]
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return kept
    while kept and kept[-1] is None and len(kept) > len(places):
        kept.pop()
    return kept


def _bytes(array: Any) -> bytes:
    return np.ascontiguousarray(array).tobytes()


def accepts(function: Callable[..., Any], name: str) -> bool:
    """Whether a function takes an argument of that name; taken for granted where its signature is not known."""
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):
        return True
    return name in parameters or any(p.kind is p.VAR_KEYWORD for p in parameters.values())


def load(path: str) -> Callable[..., Any]:
    """Import ``package.module:function``.

    Raises
    ------
    ValueError
        If the path is written otherwise, or there is no such function; the message says which part.
    """
    module_name, colon, names = path.partition(":")
    if not (module_name and colon and names):
        raise ValueError(f"{path!r} is not of the form package.module:function")
    try:
        found: Any = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not (module_name + ".").startswith(error.name + "."):
            raise ValueError(f"{module_name} cannot be imported: {error}") from error
        raise ValueError(
            f"there is no module {error.name} (of {path!r}) on the path {':'.join(sys.path[:3])}…"
        ) from None
    except Exception as error:
        raise ValueError(f"{module_name} cannot be imported: {type(error).__name__}: {error}") from error
    for name in names.split("."):
        if not hasattr(found, name):
            raise ValueError(f"{module_name} has no {names}")
        found = getattr(found, name)
    if not callable(found):
        raise ValueError(f"{path} is a {type(found).__name__}, not a function")
    return found  # type: ignore[no-any-return]


def import_path(function: object) -> str | None:
    """The path under which another process finds a function; None if there is none, as for a lambda."""
    module, name = getattr(function, "__module__", None), getattr(function, "__qualname__", "<none>")
    if not module or module == "__main__" or "<" in name or module not in sys.modules:
        return None
    found: Any = sys.modules[module]
    for part in name.split("."):
        found = getattr(found, part, None)
    return f"{module}:{name}" if found is function else None


def imported(functions: Mapping[str, Callable[..., Any]]) -> dict[str, str] | None:
    """The paths of all functions; None if one has none."""
    paths = {name: import_path(function) for name, function in functions.items()}
    known = {name: path for name, path in paths.items() if path is not None}
    return known if len(known) == len(paths) else None
