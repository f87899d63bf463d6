"""What is written down of an experiment, and the arithmetic of its tables."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from attn_ref import __version__
from attn_ref.bench.machine import describe
from attn_ref.experiments.experiment import Settings, Training

__all__ = ["cell", "collect", "machine", "mean_and_spread", "order", "read", "table", "values", "verdicts"]

_FORMAT = "attn_ref experiment 1"


def collect(
    trainings: Sequence[Training], results: Sequence[Mapping[str, Any]], settings: Settings, command: str, jobs: int
) -> dict[str, Any]:
    """Gather what a results file holds.

    Parameters
    ----------
    trainings, results : sequence
        The trainings of one experiment and what each yields.
    settings : Settings
        How much was trained.
    command : str
        What repeats it.
    jobs : int
        How many ran at a time.

    Returns
    -------
    dict
        Of values that JSON can hold: "experiment", "command", "settings", "machine" and "trainings", in which each has
        its "net", "data" and "seed" besides what it yields.
    """
    rows = [
        {"net": training.net, "data": training.data, "seed": training.seed, **result}
        for training, result in zip(trainings, results, strict=True)
    ]
    return {
        "format": _FORMAT,
        "attn_ref": __version__,
        "experiment": trainings[0].experiment,
        "command": command,
        "settings": dataclasses.asdict(settings),
        "machine": {**machine(), "jobs": jobs},
        "trainings": rows,
    }


def read(path: Path) -> dict[str, Any]:
    """Read a results file.

    Parameters
    ----------
    path : pathlib.Path
        What ``attn-ref experiment`` wrote as ``results.json``.

    Returns
    -------
    dict
        As :func:`collect` returns it.

    Raises
    ------
    ValueError
        If the file cannot be read or is something else.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if found["format"] == _FORMAT:
            return dict(found)
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from None
    except (KeyError, TypeError, ValueError):
        pass
    raise ValueError(f"{path} is not a results file of an experiment ({_FORMAT!r})")


def machine() -> dict[str, Any]:
    """Describe the machine, as far as it bears on time and on the last bits.

    Returns
    -------
    dict
        "cpu", "cores", "system", "blas" (a list of names) and the versions of "python" and "numpy".
    """
    found = describe(())
    kept = {name: found[name] for name in ("cpu", "cores", "system", "blas")}
    return {**kept, **{name: found["versions"][name] for name in ("python", "numpy")}}


def order(results: Mapping[str, Any], key: str) -> list[str]:
    """Return the networks (key "net") or data sets ("data") that were trained, each once, in their order."""
    return list(dict.fromkeys(row[key] for row in results["trainings"]))


def values(results: Mapping[str, Any], net: str, data: str, key: str) -> list[float]:
    """Return a number of each seed's training.

    Parameters
    ----------
    results : mapping
        As :func:`collect` returns it.
    net, data : str
        Whose.
    key : str
        Which.

    Returns
    -------
    list of float
        One for each seed; empty if there was no such training.
    """
    return [row[key] for row in results["trainings"] if (row["net"], row["data"]) == (net, data) and key in row]


def mean_and_spread(numbers: Sequence[float]) -> tuple[float, float | None]:
    """Return the mean, and the standard deviation (of n − 1 degrees of freedom) if there are at least two numbers."""
    mean = sum(numbers) / len(numbers)
    if len(numbers) < 2:
        return mean, None
    return mean, math.sqrt(sum((number - mean) ** 2 for number in numbers) / (len(numbers) - 1))


def cell(numbers: Sequence[float], digits: int = 1, factor: float = 1.0) -> str:
    """Write a mean and its spread, times a factor: ``"6.2 ± 0.4"``, or ``"–"`` for none."""
    if not numbers:
        return "–"
    mean, spread = mean_and_spread([number * factor for number in numbers])
    return f"{mean:.{digits}f}" + ("" if spread is None else f" ± {spread:.{digits}f}")


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Write a Markdown table; the first column to the left, the others to the right."""
    marks = ["---", *["--:"] * (len(header) - 1)]
    return [f"| {' | '.join(row)} |" for row in (header, marks, *rows)]


def verdicts(
    results: Mapping[str, Any], data: str, key: str, expected: Sequence[tuple[str, str]], reasons: Mapping[str, str]
) -> list[str]:
    """Say of pairs of networks whether the one expected to be better is.

    Parameters
    ----------
    results : mapping
        As :func:`collect` returns it.
    data, key : str
        On which data set, and by which number; less is better. It is written in hundredths.
    expected : sequence of (str, str)
        The better network and the other.
    reasons : mapping
        Why an expectation may fail, by "better < other": said only if it does.

    Returns
    -------
    list of str
        A line of Markdown for each pair that was trained.
    """
    lines = []
    for better, other in expected:
        one, two = values(results, better, data, key), values(results, other, data, key)
        if not (one and two):
            continue
        a, b = mean_and_spread(one)[0], mean_and_spread(two)[0]
        every = ", in every pair of seeds" if len(one) > 1 and max(one) < min(two) else ""
        tie = math.isclose(a, b, abs_tol=1e-9)
        found = "is a **tie**" if tie else f"holds{every}" if a < b else "**does not hold**"
        line = f"- {data}: {better} below {other} {found}: "
        line += f"{100 * a:.1f} against {100 * b:.1f} %."
        if len(one) > 1 and not every and not tie:
            line += f" By seed: {_listed(one)} against {_listed(two)}."
        lines.append(line if a < b and not tie else f"{line} {reasons.get(f'{better} < {other}', '')}".rstrip())
    return lines


def _listed(numbers: Sequence[float]) -> str:
    """Numbers in hundredths, one for each seed."""
    return ", ".join(f"{100 * number:.1f}" for number in numbers)
