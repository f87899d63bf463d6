"""``verify`` tells whether a foreign implementation is right; ``replay`` shows one of its cases again."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from attn_ref import validation
from attn_ref.conventions import Convention
from attn_ref.registry import OPERATIONS, Call, Operation
from attn_ref.verify.adapters import adapter_named
from attn_ref.verify.bounds import FORMATS
from attn_ref.verify.candidate import Candidate, accepts, import_path, imported
from attn_ref.verify.diagnosis import diagnose
from attn_ref.verify.failures import Case, Failure
from attn_ref.verify.isolation import Isolated
from attn_ref.verify.judge import judge
from attn_ref.verify.language import Language, Options, language_of
from attn_ref.verify.report import Report, VerificationError
from attn_ref.verify.runner import Run

__all__ = ["replay", "verify"]


def verify(
    operation: str,
    forward: Callable[..., Any],
    backward: Callable[..., Any] | None = None,
    *,
    jvp: Callable[..., Any] | None = None,
    double_backward: Callable[..., Any] | None = None,
    adapter: str = "numpy",
    convention: str | Convention | None = None,
    dtypes: Sequence[str] = ("float64", "float32"),
    options: Mapping[str, Sequence[Any]] | None = None,
    examples: int = 200,
    seed: int = 0,
    skip: Sequence[str] = (),
    isolate: bool | None = None,
    time_limit: float = 10.0,
    progress: Callable[[str, int, int], None] | None = None,
) -> Report:
    """Compare a foreign implementation with the reference, within derived bounds.

    Parameters
    ----------
    operation : str
        The name of a registered operation, such as ``"grid_sample"``, ``"affine_grid"``, ``"squeeze_excitation"``.
    forward : callable
        The candidate, called like the reference's own function: inputs by position, options by name. Inputs that are
        absent are None, and left out where the signature has no place for them. An option that the signature does not
        have is not passed, provided one value of it is asked for.
    backward, jvp, double_backward : callable, optional
        Its derivatives, called like the reference's: ``backward(grad_output, *inputs, **options)``, and so on. With
        torch, autograd takes the place of a missing ``backward``.
    adapter : {"numpy", "torch", "cupy"}
        What arrays it takes. Results of "numpy" may be whatever has ``__array__`` or DLPack.
    convention : str or Convention, optional
        The convention it speaks, see :func:`attn_ref.conventions.convention`: then its layouts, coordinates and options
        are that system's, and so are those of the calls. For ``grid_sample``.
    dtypes : sequence of str
        "float64", "float32", "float16", "bfloat16".
    options : mapping, optional
        The values to ask for, by option: ``{"mode": ["bilinear"], "ndim": [2]}``; all by default.
    examples : int
        How many calls are drawn, besides the corners of the specification.
    seed : int
        The same seed draws the same calls.
    skip : sequence of str
        Rules of the specification whose corners are left out, such as "X1" (NaN coordinates).
    isolate : bool, optional
        Whether to run the candidate in a process of its own, which it may crash or hang. By default, if it can be
        imported there: not for lambdas, and functions typed into an interpreter.
    time_limit : float
        Seconds that one call may take in a process of its own.
    progress : callable, optional
        Called with a word, the number of cases done and about how many there are, after each case.

    Returns
    -------
    Report
        With ``passed``, ``failures``, ``counterexample``, ``acceptable``; ``str`` makes a table of it.

    Raises
    ------
    TypeError, ValueError
        If an argument is wrong; or an option that the candidate does not have is asked for with several values.
    ModuleNotFoundError
        If the adapter's library is not installed.

    See Also
    --------
    attn_ref.verify.bounds.intervals : The bounds.

    Notes
    -----
    A result is right if it lies within the range of the exact result over the coordinates' rounding, widened by the
    rounding of the terms (rule D2). Where right implementations differ, at ties, kinks, NaN and one-pixel axes, every
    answer of theirs is let pass, and listed as an acceptable deviation if the specification chose another.

    Examples
    --------
    A sampler that forgot that the last axis of a grid begins with x:

    >>> import attn_ref
    >>> def swapped(input, grid, **options):
    ...     return attn_ref.grid_sample(input, grid[..., ::-1], **options)
    >>> only = {"ndim": [2], "mode": ["bilinear"], "padding_mode": ["zeros"]}
    >>> report = verify("grid_sample", swapped, options=only, examples=10)
    >>> report.passed
    False
    """
    chosen = OPERATIONS[validation.choice("operation", operation, OPERATIONS)]
    functions = {"forward": forward, "backward": backward, "jvp": jvp, "double_backward": double_backward}
    given = {name: function for name, function in functions.items() if function is not None}
    _check_functions(chosen, given, convention is not None)
    _check(dtypes, examples, seed, time_limit)
    adapter_named(adapter, dtypes)
    language = language_of(chosen, convention)
    variants, passed = _variants(language, forward, dict(options or {}))
    paths = imported(given)
    alone = paths is not None if isolate is None else isolate
    if alone and paths is None:
        raise ValueError("isolate=True, but another process cannot import the candidate: it must be in a module")
    local = Candidate(given, adapter)
    answering = Isolated(paths, adapter, time_limit) if alone and paths is not None else local
    asked = _Passing(answering, passed)
    start = time.perf_counter()
    run = Run(
        language,
        asked,
        local.answers,
        variants,
        tuple(dtypes),
        examples,
        seed,
        tuple(skip),
        alone or adapter == "numpy",
    )
    if progress is not None:
        run.progress = _counting(progress, run.total)
    try:
        run.go()
    finally:
        if isinstance(answering, Isolated):
            answering.close()
    settings = {
        "adapter": adapter,
        "convention": None if convention is None else getattr(convention, "name", convention),
        "dtypes": list(dtypes),
        "options": {name: list(values) for name, values in (options or {}).items()},
        "examples": examples,
        "seed": seed,
        "isolated": alone,
    }
    report = Report(
        operation=operation,
        candidate=_name(forward),
        settings=settings,
        outcomes=tuple(run.outcomes),
        counterexample=run.counterexample,
        snippet="" if run.counterexample is None else _snippet(run.counterexample, given, settings, passed),
        skipped=dict(run.skipped),
        seconds=time.perf_counter() - start,
        interrupted=run.interrupted,
    )
    if convention is not None or run.interrupted:  # the catalogue speaks the core's words
        return report
    found = diagnose(operation, report.failures or report.acceptable, report.outcomes)
    return replace(report, diagnoses=tuple(one for one in found if report.failures or one.certain))


def replay(
    operation: str,
    functions: Mapping[str, Callable[..., Any]],
    inputs: Sequence[Any],
    options: Mapping[str, Any],
    *,
    grad_output: Any,
    tangents: Sequence[Any] | None = None,
    dtype: str,
    adapter: str = "numpy",
    convention: str | None = None,
) -> None:
    """Judge one call of a candidate: what the snippets of a report run.

    Parameters
    ----------
    operation : str
        The name of the operation.
    functions : mapping of str to callable
        The candidate's functions, by "forward", "backward", "jvp", "double_backward".
    inputs : sequence of array
        The inputs.
    options : mapping
        Everything else by name.
    grad_output : array
        Cotangent of the output.
    tangents : sequence of array, optional
        Tangents of the inputs; zeros by default.
    dtype, adapter, convention
        As in :func:`verify`.

    Raises
    ------
    VerificationError
        If a result is wrong.
    TypeError, ValueError
        As in :func:`verify`.

    Examples
    --------
    >>> import numpy as np, attn_ref
    >>> x, ones = np.array([[-1.0, 2.0]]), np.ones((1, 2))
    >>> relu = attn_ref.get_activation("relu")
    >>> call = {"inputs": [x], "options": {"name": "relu"}, "grad_output": ones, "dtype": "float64"}
    >>> replay("activation", {"forward": lambda x: relu(x)}, **call)
    >>> replay("activation", {"forward": np.abs}, **call)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    attn_ref.verify.report.VerificationError: value, forward: output: at [0, 0]: 1, expected 0 ...
    """
    language = language_of(OPERATIONS[validation.choice("operation", operation, OPERATIONS)], convention)
    candidate = Candidate(functions, adapter)
    options = dict(options)
    left_out = {name for name in options if name != "absent" and not accepts(functions["forward"], name)}
    tangents = [np.zeros_like(x) for x in inputs] if tangents is None else tangents
    case = Case(operation, Call(tuple(inputs), options), grad_output, tuple(tangents), dtype)
    outcome = judge(language, _Passing(candidate, left_out), case, candidate.answers)
    if outcome.failures:
        raise VerificationError("\n".join(f"{f.kind}, {f.what}: {f.message}" for f in outcome.failures))


class _Passing:
    """A candidate that is not passed some options."""

    def __init__(self, candidate: Any, left_out: set[str]) -> None:
        self.candidate, self.left_out = candidate, left_out

    def ask(self, question: Any) -> Any:
        """Ask without them."""
        kept = {name: value for name, value in question.options.items() if name not in self.left_out}
        return self.candidate.ask(question._replace(options=kept))


def _check_functions(operation: Operation, given: Mapping[str, Callable[..., Any]], in_convention: bool) -> None:
    for name, function in given.items():
        if not callable(function):
            raise TypeError(f"{name} must be a function, got {type(function).__name__}")
        if (name == "jvp" and not operation.has_jvp) or (
            name == "double_backward" and not operation.has_double_backward
        ):
            raise ValueError(f"{name}: the reference has no {name} of {operation.name} to compare with; leave it out")
        if in_convention and name in ("jvp", "double_backward"):
            raise ValueError(f"{name}: a convention has none to compare with; leave it out")


def _check(dtypes: Sequence[str], examples: int, seed: int, time_limit: float) -> None:
    if isinstance(dtypes, str) or not dtypes:
        raise TypeError(f"dtypes must be a sequence of names, got {dtypes!r}")
    for dtype in dtypes:
        validation.choice("dtypes", dtype, FORMATS)
    validation.whole("examples", examples, 0)
    validation.whole("seed", seed, 0)
    validation.real("time_limit", time_limit, "above 0", lambda x: x > 0)


def _variants(language: Language, forward: Callable[..., Any], asked: dict[str, Any]) -> tuple[list[Options], set[str]]:
    """The variants that were asked for, and the options that the candidate is not passed."""
    variants = language.variants
    for name, values in asked.items():
        if isinstance(values, str) or not isinstance(values, (list, tuple, set, range)):
            raise TypeError(f"options[{name!r}] must be a list of values, got {values!r}")
        known = [variant[name] for variant in variants if name in variant]
        if not known:
            every = dict.fromkeys(key for variant in language.variants for key in variant)
            raise ValueError(f"options: {language.operation.name} has no option {name!r}; it has {', '.join(every)}")
        for value in values:
            if value not in known:
                choices = ", ".join(repr(v) for i, v in enumerate(known) if v not in known[:i])
                raise ValueError(f"options[{name!r}]: {value!r} is not among {choices}")
        variants = [variant for variant in variants if name not in variant or variant[name] in values]
    if not variants:
        raise ValueError("options: no variant has them all; see attn-ref check --list")
    left_out = set()
    for name in dict.fromkeys(key for variant in variants for key in variant):
        if name in ("ndim", "absent") or accepts(forward, name):
            continue
        left_out.add(name)
        values = [variant.get(name) for variant in variants]
        values = [v for i, v in enumerate(values) if v not in values[:i]]
        if name == "channels_last" and name not in asked:
            variants = [variant for variant in variants if not variant.get(name)]
        elif len(values) > 1:
            choices = ", ".join(map(repr, values))
            raise ValueError(
                f"{_name(forward)} has no argument {name!r}: say which of {choices} it implements, "
                f"options={{{name!r}: [{values[0]!r}]}}, or --only {name}={values[0]}"
            )
    return variants, left_out


def _name(function: Any) -> str:
    module = getattr(function, "__module__", None)
    name = getattr(function, "__qualname__", None) or type(function).__name__
    return f"{module}.{name}" if module and module != "__main__" else str(name)


def _counting(progress: Callable[[str, int, int], None], total: int) -> Callable[[str], None]:
    done = 0

    def count(word: str) -> None:
        nonlocal done
        done += 1
        progress(word, done, max(total, done))

    return count


def _snippet(failure: Failure, given: Mapping[str, Callable[..., Any]], settings: Options, left_out: set[str]) -> str:
    """Python source that judges one case again."""
    case = failure.case
    lines = ["import numpy as np", "from attn_ref.verify import replay", ""]
    names = {}
    for name, function in given.items():
        path = import_path(function)
        if path is not None and "." not in path.partition(":")[2]:
            module, _, attribute = path.partition(":")
            lines.append(f"from {module} import {attribute} as {name}")
        else:
            lines.append(f"{name} = ...  # {_name(function)}")
        names[name] = name
    functions = "{" + ", ".join(f"{name!r}: {name}" for name in names) + "}"
    inputs = "".join(f"        {_source(x)},\n" for x in case.call.inputs)
    tangents = ""
    if {"jvp", "double_backward"} & set(given):
        tangents = "    tangents=[\n" + "".join(f"        {_source(x)},\n" for x in case.tangents) + "    ],\n"
    options = "{" + ", ".join(f"{k!r}: {v!r}" for k, v in case.call.options.items() if k not in left_out) + "}"
    extra = f", convention={settings['convention']!r}" if settings["convention"] else ""
    lines += [
        "",
        f"replay(\n    {case.operation!r}, {functions},\n    [\n{inputs}    ],\n    {options},\n"
        f"    grad_output={_source(case.grad_output)},\n{tangents}"
        f"    dtype={case.dtype!r}, adapter={settings['adapter']!r}{extra},\n)",
    ]
    return "\n".join(lines) + "\n"


def _source(array: Any) -> str:
    """Python source of an array, as short as it goes."""
    if array.size > 1 and (array == array.flat[0]).all():
        return f"np.full({array.shape!r}, {array.flat[0].item()!r}, {array.dtype.name!r})"
    text = f"np.array({array.tolist()!r}, {array.dtype.name!r})"
    if not array.size:
        text = f"np.zeros({array.shape!r}, {array.dtype.name!r})"
    for word in ("nan", "inf"):
        text = text.replace(word, f"np.{word}")
    return text if array.flags.c_contiguous else f"np.asfortranarray({text})"
