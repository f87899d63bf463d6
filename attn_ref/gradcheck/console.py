"""``attn-ref check`` as a person sees it: progress, a table, counterexamples, a JSON file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from attn_ref import __version__, validation
from attn_ref import backend as _backend
from attn_ref._console import INTERRUPTED, counting, notes_aside
from attn_ref._files import reserve, write_bytes
from attn_ref.gradcheck.properties import PROPERTIES, Property
from attn_ref.gradcheck.runner import Result, pairs, run
from attn_ref.registry import OPERATIONS

__all__ = ["check", "list_pairs"]


def list_pairs() -> None:
    """Print the operations and the properties, a line each."""
    console = Console()
    for operation in OPERATIONS.values():
        takes = ", ".join(operation.inputs)
        console.print(f"[bold]{operation.name}[/bold]({takes}), {len(operation.variants)} variants", highlight=False)
        for name, prop in PROPERTIES.items():
            if prop.applies(operation):
                console.print(Text(f"  {name:20}{prop.summary}"))


def check(
    operations: Sequence[str],
    properties: Sequence[str],
    *,
    examples: int,
    seed: int,
    dtype: str,
    backend: str,
    json_file: Path | None,
) -> int:
    """Run the checks and show them.

    Parameters
    ----------
    operations, properties : sequence of str
        What to run; empty for all.
    examples : int
        Calls drawn for each variant.
    seed : int
        Seed of the draws.
    dtype, backend : str
        What to run on.
    json_file : Path or None
        Where to write the results.

    Returns
    -------
    int
        Exit status: 0 if all passed, 1 if not, 130 after Ctrl-C.

    Raises
    ------
    ValueError
        If a name is unknown, a number is out of range, or the backend is not usable here.
    OSError
        If the JSON file cannot be written; found out before the checks run.
    """
    validation.choice("--dtype", dtype, Property.dtypes)
    validation.choice("--backend", backend, _backend.BACKENDS)
    for name, value, least in (("--examples", examples, 1), ("--seed", seed, 0)):
        if value < least:
            raise ValueError(f"{name} must be at least {least}, got {value}")
    reason = _backend.unusable_because(backend)
    if reason is not None:
        raise ValueError(f"--backend {backend} is not usable here: {reason}")
    chosen = pairs(operations, properties, dtype)
    if not chosen:
        raise ValueError("nothing to check: no chosen property applies to a chosen operation in this dtype; see --list")
    if json_file is not None:
        reserve("--json", json_file)
    results: list[Result] = []
    with notes_aside():
        interrupted = _run(results, chosen, examples=examples, seed=seed, dtype=dtype, backend=backend)
    console = Console()
    console.print(_table(results))
    for result in results:
        if result.failure is not None:
            console.print(Text(f"\n{result.failure.message}", style="bold red"))
            console.print(Text("Paste this into Python to see it again:\n"))
            print(result.failure.snippet)  # plain: rich would wrap it
    failed = sum(not result.passed for result in results)
    done = f"{len(results)} of {len(chosen)} done before Ctrl-C; " if interrupted else ""
    seconds = sum(result.seconds for result in results)
    console.print(f"{done}{len(results) - failed} passed, {failed} failed, in {seconds:.0f} s")
    if json_file is not None:
        settings = {"examples": examples, "seed": seed, "dtype": dtype, "backend": backend, "interrupted": interrupted}
        content = {"attn_ref": __version__, **settings, "results": [r.to_dict() for r in results]}
        write_bytes(json_file, json.dumps(content, indent=2).encode() + b"\n")
    return 1 if failed else INTERRUPTED if interrupted else 0


def error_table(operations: Sequence[str], *, json_file: Path | None, page_file: Path | None) -> int:
    """Measure the package's own error and show it.

    Parameters
    ----------
    operations : sequence of str
        What to measure; empty for all.
    json_file, page_file : Path or None
        Where to write the results, and the page of the documentation.

    Returns
    -------
    int
        Exit status: 0 if every error is within its bound, 1 if not, 130 after Ctrl-C.

    Raises
    ------
    ValueError, OSError
        If a name is unknown, or a file cannot be written; found out before anything is measured.
    """
    from attn_ref.verify import own_error

    for name in operations:
        validation.choice("--op", name, OPERATIONS)
    for option, path in (("--json", json_file), ("--page", page_file)):
        if path is not None:
            reserve(option, path)
    found: list[own_error.Row] = []
    total = len(own_error.DTYPES) * sum(len(OPERATIONS[name].variants) for name in operations or OPERATIONS)
    interrupted = False
    try:
        with counting(total) as step:
            for row in own_error.rows(operations, step):
                found.append(row)
    except KeyboardInterrupt:
        interrupted = True
    Console().print(_error_table(found))
    worst = max((row.worst for row in found), default=0.0)
    done = f"{len(found)} of {total} done before Ctrl-C; " if interrupted else ""
    print(f"{done}worst error in units of its bound: {worst:.2g}")
    if json_file is not None:
        content = {"attn_ref": __version__, "interrupted": interrupted, "rows": [asdict(row) for row in found]}
        write_bytes(json_file, json.dumps(content, indent=1).encode() + b"\n")
    if page_file is not None and not interrupted:
        write_bytes(page_file, own_error.page(found).encode())
    return 1 if worst > 1 else INTERRUPTED if interrupted else 0


def _error_table(found: Sequence[Any]) -> Table:
    """A line for each variant, a column for each dtype."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    lines: dict[tuple[str, str], dict[str, float]] = {}
    for row in found:
        lines.setdefault((row.operation, row.variant), {})[row.dtype] = row.worst
    dtypes = list(next(iter(lines.values()), {}))
    for heading in ("operation", "variant"):
        table.add_column(heading)
    for heading in dtypes:
        table.add_column(heading, justify="right", no_wrap=True)
    before = ""
    for (operation, variant), errors in lines.items():
        numbers = [f"{errors[dtype]:.2g}" if dtype in errors else "" for dtype in dtypes]
        table.add_row("" if operation == before else operation, variant, *numbers)
        before = operation
    return table


def _run(results: list[Result], chosen: Sequence[tuple[str, str]], **options: Any) -> bool:
    """Fill in the results under a progress bar; return whether Ctrl-C cut it short."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=console, transient=True) as bar:
        task = bar.add_task("", total=sum(len(OPERATIONS[name].variants) for name, _ in chosen))

        def step(operation: str, name: str) -> None:
            bar.update(task, advance=1, description=f"{operation}: {name}")

        try:
            for result in run(chosen, progress=step, **options):
                results.append(result)
                if not console.is_terminal:  # a log: a line as each row is done
                    verdict = "ok" if result.passed else "FAILED"
                    console.print(f"{result.operation}: {result.property_name}: {verdict} in {result.seconds:.1f} s")
        except KeyboardInterrupt:
            return True
    return False


def _table(results: Sequence[Result]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for heading in ("operation", "property"):
        table.add_column(heading, no_wrap=True)
    for heading in ("examples", "worst/bound", "seconds"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("")
    before = ""
    for r in results:
        verdict = Text("ok", style="green") if r.passed else Text("FAILED", style="bold red")
        name = "" if r.operation == before else r.operation
        table.add_row(name, r.property_name, str(r.examples), f"{r.worst:.2g}", f"{r.seconds:.1f}", verdict)
        before = r.operation
    return table
