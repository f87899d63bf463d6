"""``attn-ref vectors`` as a person sees it: progress, a table, what is wrong, a JSON file."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from attn_ref._console import INTERRUPTED, counting
from attn_ref._files import reserve, write_bytes
from attn_ref.vectors import suite
from attn_ref.vectors.cases import problems
from attn_ref.vectors.judge import VERDICTS, Judgement, judge, outcomes, required
from attn_ref.verify.diagnosis import diagnose

__all__ = ["check", "write"]

_SHOWN, _DIAGNOSES = 10, 2


def write(folder: Path) -> int:
    """Write the suite; return the exit status: 0, 1 if it is not the published one, 130 after Ctrl-C.

    Raises
    ------
    ValueError
        If the folder holds anything, or cannot be written.
    """
    suite.check_folder(folder)
    chosen = problems()
    try:
        with counting(len(chosen)) as step:
            made = suite.content(chosen, step)
        found = suite.write(folder, made)
    except KeyboardInterrupt:
        Console(stderr=True).print("stopped; nothing was written")
        return INTERRUPTED
    cases = sum(len(problem.dtypes) for problem in chosen)
    size = sum(map(len, made.values())) / 1e6
    print(f"wrote {folder}: {cases} cases, {len(made)} files, {size:.1f} MB, schema {suite.SCHEMA_VERSION}")
    print(f"sha256 of its manifest: {found}")
    if found != suite.PUBLISHED.read_text(encoding="utf-8").strip():
        print(
            "This is not the published suite of this version: please report it, with what attn-ref info --json prints."
        )
        return 1
    return 0


def check(folder: Path, results: Path, *, require: Sequence[str], strict: bool, json_file: Path | None) -> int:
    """Judge results and show what was found.

    Parameters
    ----------
    folder, results : Path
        The suite, and what a program computed.
    require : sequence of str
        Patterns of CASE/RESULT that must be there.
    strict : bool
        Whether acceptable deviations are failures.
    json_file : Path or None
        Where to write all judgements.

    Returns
    -------
    int
        Exit status: 0 if nothing is wrong, 1 if something is, 130 after Ctrl-C.

    Raises
    ------
    ValueError, OSError
        If the suite or the results cannot be read.
    """
    if json_file is not None:
        reserve("--json", json_file)
    read = suite.Suite.read(folder)
    try:
        with counting(len(read.cases)) as step:
            judged = required(judge(read, results, step), require)
    except KeyboardInterrupt:
        Console(stderr=True).print("stopped; nothing was judged")
        return INTERRUPTED
    bad = ("wrong", "acceptable") if strict else ("wrong",)
    failed = [one for one in judged if one.verdict in bad]
    console = Console()
    console.print(_table(judged))
    for one in failed[:_SHOWN]:
        print(f"{one.case.name}: {one.result} {one.message}")
    if len(failed) > _SHOWN:
        print(f"… and {len(failed) - _SHOWN} more; --json FILE has them all")
    for operation, (failures, seen) in outcomes(judged).items():
        for diagnosis in diagnose(operation, failures, seen)[:_DIAGNOSES]:
            print(f"\n{operation}: {diagnosis}")
    counts = Counter(one.verdict for one in judged)
    print(", ".join(f"{counts[verdict]} {verdict}" for verdict in VERDICTS))
    if json_file is not None:
        told = {"suite": read.sha256, "counts": dict(counts), "judgements": [one.to_dict() for one in judged]}
        write_bytes(json_file, json.dumps(told, indent=1).encode() + b"\n")
    return 1 if failed else 0


def _table(judged: Sequence[Judgement]) -> Table:
    """How many results of each operation in each dtype are what; nothing of those of which there is nothing."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for heading in ("operation", "dtype"):
        table.add_column(heading, no_wrap=True)
    for heading in VERDICTS:
        table.add_column(heading, justify="right", no_wrap=True)
    counts: dict[tuple[str, str], Counter[str]] = {}
    for one in judged:
        row = one.case.entry["operation"], one.case.entry["dtype"]
        counts.setdefault(row, Counter())[one.verdict] += 1
    for (operation, dtype), count in counts.items():
        if set(count) == {"missing"}:
            continue
        table.add_row(operation, dtype, *[str(count[verdict]) for verdict in VERDICTS])
    return table
