"""``attn-ref verify --onnx`` as a person sees it: progress, a table, what is wrong, a JSON file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from attn_ref._console import INTERRUPTED
from attn_ref._files import reserve, write_bytes
from attn_ref.verify.onnx_model import Checked, told, verify_onnx

__all__ = ["check"]

_SHOWN, _DIAGNOSES = 3, 2


def check(model: Path, *, json_file: Path | None) -> int:
    """Verify a model and show what was found.

    Parameters
    ----------
    model : pathlib.Path
        The ONNX file.
    json_file : pathlib.Path or None
        Where to write the results.

    Returns
    -------
    int
        Exit status: 0 if nothing is wrong, 1 if something is, 130 after Ctrl-C.

    Raises
    ------
    ValueError, OSError
        If the model cannot be read or has nothing to verify, or the file cannot be written.
    ModuleNotFoundError
        Without onnx or onnxruntime.
    """
    if json_file is not None:
        reserve("--json", json_file)
    watched = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    try:
        with Progress(*columns, console=watched, transient=True, disable=not watched.is_terminal) as bar:
            task = bar.add_task("", total=None)
            found = verify_onnx(model, lambda name: bar.update(task, description=name))
    except KeyboardInterrupt:
        watched.print("stopped; nothing was judged")
        return INTERRUPTED
    Console().print(_table(found))
    for one in found:
        _tell(one)
    if json_file is not None:
        content = {"model": model.name, "checked": [one.to_dict() for one in found]}
        write_bytes(json_file, json.dumps(content, indent=1).encode() + b"\n")
    return 1 if any(one.failures for one in found) else 0


def _table(found: Sequence[Checked]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for heading in ("node", "kind", "options"):
        table.add_column(heading)
    for heading in ("cases", "acceptable", "wrong"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("")
    for one in found:
        chosen = ", ".join(f"{name} {_short(value)}" for name, value in one.options.items())
        verdict = "not run" if one.skipped else "WRONG" if one.failures else "ok"
        wrong, other = (sum(bool(x) for x in column) for column in zip(*_by_case(one), strict=True))
        table.add_row(one.name, one.kind, chosen, str(len(one.outcomes)), str(other), str(wrong), verdict)
    return table


def _by_case(one: Checked) -> list[tuple[Any, Any]]:
    return [(outcome.failures, outcome.acceptable) for outcome in one.outcomes] or [((), ())]


def _short(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _tell(one: Checked) -> None:
    """What is to be said of a node beside its row."""
    for text in (*one.notes, *([f"not run: {one.skipped}"] if one.skipped else [])):
        print(f"{one.name}: {text}")
    for failure in one.failures[:_SHOWN]:
        print(f"{one.name}: {told(failure)}")
    if len(one.failures) > _SHOWN:
        print(f"{one.name}: … and {len(one.failures) - _SHOWN} more; --json FILE has them all")
    for diagnosis in one.diagnoses[:_DIAGNOSES]:
        print(f"{one.name}: {diagnosis}")
