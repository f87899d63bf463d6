"""``attn-ref verify`` and ``attn-ref identify`` as a person sees them: progress, the report, a JSON file."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from attn_ref._console import INTERRUPTED, notes_aside
from attn_ref._files import reserve, write_bytes
from attn_ref.verify.adapters import ADAPTERS
from attn_ref.verify.candidate import load
from attn_ref.verify.identification import identify
from attn_ref.verify.verification import verify

__all__ = ["asked", "identified", "run"]


def asked(only: Sequence[str], align_corners: bool | None) -> dict[str, list[Any]]:
    """Read ``NAME=VALUE``, each as often as it is given, as the values to ask for by option.

    Parameters
    ----------
    only : sequence of str
        Values are words, numbers, true or false, or some of these with commas between them.
    align_corners : bool or None
        A value of that option, None for all.

    Returns
    -------
    dict
        Lists of values by option.

    Raises
    ------
    ValueError
        If one has no ``=``.

    Examples
    --------
    >>> asked(["mode=bilinear", "mode=nearest", "ndim=2"], align_corners=True)
    {'align_corners': [True], 'mode': ['bilinear', 'nearest'], 'ndim': [2]}
    """
    options: dict[str, list[Any]] = {} if align_corners is None else {"align_corners": [align_corners]}
    for item in only:
        name, equals, text = item.partition("=")
        if not (name and equals):
            raise ValueError(f"--only {item}: expected NAME=VALUE, such as mode=bilinear")
        words = [_value(word) for word in text.split(",")] if text else []
        options.setdefault(name, []).append(words[0] if len(words) == 1 else tuple(words))
    return options


def _value(word: str) -> Any:
    known = {"true": True, "false": False}
    if word.lower() in known:
        return known[word.lower()]
    for kind in (int, float):
        try:
            return kind(word)
        except ValueError:
            continue
    return word


def run(
    operation: str,
    forward: str,
    *,
    backward: str | None,
    adapter: str,
    convention: str | None,
    dtypes: Sequence[str],
    options: dict[str, list[Any]],
    examples: int,
    seed: int,
    skip: Sequence[str],
    time_limit: float,
    json_file: Path | None,
) -> int:
    """Verify a candidate and show what was found.

    Parameters
    ----------
    operation : str
        Name of the operation.
    forward, backward : str
        The candidate's functions as ``package.module:function``; the current folder is looked in first.
    adapter, convention, dtypes, options, examples, seed, skip, time_limit
        As in :func:`attn_ref.verify.verify`.
    json_file : Path or None
        Where to write the report.

    Returns
    -------
    int
        Exit status: 0 if the candidate is right, 1 if it is wrong, 130 after Ctrl-C.

    Raises
    ------
    ValueError
        If an argument is wrong, or the candidate cannot be imported.
    OSError
        If the JSON file cannot be written; found out before anything is run.
    """
    if json_file is not None:
        reserve("--json", json_file)
    functions = _loaded([path for path in (forward, backward) if path is not None], adapter)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    bar = Progress(*columns, console=Console(stderr=True), transient=True)
    task = bar.add_task(operation, total=None)

    def step(word: str, done: int, total: int) -> None:
        bar.start()  # not before there is something to show: an error is one line
        bar.update(task, completed=done, total=total, description=f"{operation}: {word}")

    with notes_aside():
        try:
            report = verify(
                operation,
                *functions,
                adapter=adapter,
                convention=convention,
                dtypes=tuple(dtypes),
                options=options,
                examples=examples,
                seed=seed,
                skip=skip,
                time_limit=time_limit,
                progress=step,
            )
        finally:
            if bar.live.is_started:  # stopping prints a line
                bar.stop()
    print(report)  # plain: rich would wrap the snippet
    if report.interrupted:
        print("\nStopped by Ctrl-C: what was done so far")
    if json_file is not None:
        write_bytes(json_file, report.to_json().encode() + b"\n")
    return 1 if report.failures else INTERRUPTED if report.interrupted else 0


def identified(path: str, adapter: str, axes: int, options: Sequence[str]) -> None:
    """Probe a sampler and print what it is.

    Parameters
    ----------
    path : str
        The sampler as ``package.module:function``; the current folder is looked in first.
    adapter, axes
        As in :func:`attn_ref.verify.identify`.
    options : sequence of str
        What it is given besides, ``NAME=VALUE`` each.

    Raises
    ------
    ValueError
        If an argument is wrong, or the sampler cannot be imported.
    """
    given = {}
    for item in options:
        name, equals, text = item.partition("=")
        if not (name and equals):
            raise ValueError(f"--option {item}: expected NAME=VALUE, such as mode=nearest")
        given[name] = _value(text)
    (sampler,) = _loaded([path], adapter)
    print(identify(sampler, adapter=adapter, axes=axes, options=given))


def _loaded(paths: Sequence[str], adapter: str) -> list[Callable[..., Any]]:
    """Import functions, the current folder first; say so if the adapter's library is missing."""
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    if adapter in ADAPTERS and adapter != "numpy" and importlib.util.find_spec(adapter) is None:
        raise ValueError(f"--adapter {adapter}: {adapter} is not installed here")
    return [load(path) for path in paths]
