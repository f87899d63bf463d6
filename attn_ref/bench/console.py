"""``attn-ref bench`` as a person sees it: progress, tables, a JSON file, a figure."""

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

from attn_ref._console import INTERRUPTED
from attn_ref._files import reserve, write_bytes
from attn_ref.bench import machine, report
from attn_ref.bench.cases import CASES, GROUPS, Case, chosen
from attn_ref.bench.contenders import CONTENDERS, Contender
from attn_ref.bench.page import SUMMARY_HEADS
from attn_ref.bench.runner import Outcome, run
from attn_ref.bench.timing import Settings

__all__ = ["bench", "list_cases"]


_SECONDS, _QUICK_SECONDS = 4.0, 0.5


def list_cases() -> None:
    """Print the groups, their cases, and who takes part."""
    console = Console()
    for name, group in GROUPS.items():
        aim = f"; aim: {group.aim}" if group.aim else ""
        console.print(f"[bold]{name}[/bold]  {group.summary}{aim}", highlight=False)
        for case in chosen([name], cases=CASES):
            console.print(Text(f"  {case.name}{'  (quick)' if case.quick else ''}"))
    console.print("[bold]contenders[/bold]", highlight=False)
    for contender in CONTENDERS.values():
        missing = "" if contender.installed else " (not installed)"
        console.print(Text(f"  {contender.name}{missing}: {contender.note}"))


def bench(
    only: Sequence[str],
    *,
    quick: bool,
    threads: int | None,
    seconds: float | None,
    seed: int,
    json_file: Path | None,
    figure: Path | None,
    backend: str = "numpy",
) -> int:
    """Run the benchmark and show it.

    Parameters
    ----------
    only : sequence of str
        Groups to run; empty for all.
    quick : bool
        Whether to run the few cases that are marked so, for a shorter time.
    threads : int or None
        For both sides; by default as many as attn_ref uses.
    seconds : float or None
        To spend on the rounds of each case.
    seed : int
        Of the arrays and of the order of calls.
    json_file, figure : Path or None
        Where to write the report and the figure.
    backend : str
        "numpy", or a library on a GPU: then attn_ref there is compared with attn_ref on NumPy and with PyTorch there.

    Returns
    -------
    int
        Exit status: 0, 1 if results differ, 130 after Ctrl-C.

    Raises
    ------
    ValueError
        If a name is unknown, a number is out of range, the backend cannot be used here, or a figure cannot be
        written in that format.
    OSError
        If the JSON file cannot be written; found out before anything is run.
    ModuleNotFoundError
        If a figure is wanted and Matplotlib is missing.
    """
    cases = chosen(only, quick=quick, cases=CASES)
    for name, value, least in (("--threads", threads, 1), ("--seed", seed, 0)):
        if value is not None and value < least:
            raise ValueError(f"{name} must be at least {least}, got {value}")
    if seconds is not None and not 0 < seconds < float("inf"):
        raise ValueError(f"--seconds must be positive, got {seconds}")
    if json_file is not None:
        reserve("--json", json_file)
    if figure is not None:
        from attn_ref import plotting

        plotting.check_target(figure)
    settings = Settings(budget=seconds or (_QUICK_SECONDS if quick else _SECONDS))
    if backend == "numpy":
        taking_part = [contender for contender in CONTENDERS.values() if contender.installed]
    else:
        from attn_ref.bench import on_a_gpu

        taking_part = on_a_gpu.contenders(backend)
        cases = [case for case in cases if case.kind in taking_part[0].kinds]
    threads = threads or machine.default_threads()
    outcomes: list[Outcome] = []
    with machine.limited_threads(threads, with_torch="torch" in [c.package for c in taking_part]) as limits:
        described = machine.describe(c.package for c in taking_part)
        if backend != "numpy":
            described["device"] = on_a_gpu.describe(backend)
        interrupted = _run(outcomes, cases, taking_part, settings, seed)
        if backend != "numpy":
            described["pool"] = on_a_gpu.pool(backend)
    options = {
        "backend": backend,
        "quick": quick,
        "only": list(only),
        "seed": seed,
        "threads": threads,
        "limits": limits,
    }
    content = report.assemble(
        outcomes, taking_part, settings={**options, **asdict(settings)}, machine=described, cases=cases
    )
    _show(content, interrupted)
    if json_file is not None:
        write_bytes(json_file, json.dumps(content, indent=1).encode() + b"\n")
    if figure is not None:
        from attn_ref.bench.figure import draw

        drawn = draw(content)
        if drawn is None:
            Console(stderr=True).print("nothing to draw: no figure is written", highlight=False)
        else:
            write_bytes(figure, plotting.encode(drawn, figure))
    return 1 if report.wrong(content) else INTERRUPTED if interrupted else 0


def _run(
    outcomes: list[Outcome], cases: Sequence[Case], contenders: Sequence[Contender], settings: Settings, seed: int
) -> bool:
    """Fill in the outcomes under a progress bar; return whether Ctrl-C cut it short."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=console, transient=True) as bar:
        task = bar.add_task("", total=len(cases))

        def step(case: Case) -> None:
            bar.update(task, completed=len(outcomes), description=f"{case.group}: {case.name}")

        try:
            for outcome in run(cases, contenders, settings, seed, progress=step):
                outcomes.append(outcome)
                if not console.is_terminal:  # a log: a line as each case is done
                    found = "; ".join(_in_short(line) for line in report.lines([outcome.to_dict()]))
                    console.print(Text(f"{outcome.case.group}: {outcome.case.name}: {found}"), soft_wrap=True)
        except KeyboardInterrupt:
            return True
    return False


def _in_short(line: report.Line) -> str:
    if line.ratio and line.theirs:
        return f"{line.part} {line.ours}, {line.ratio} of {line.contender}"
    return " ".join(word for word in (line.part, line.ours, line.contender, line.ratio) if word)


def _show(content: dict[str, Any], interrupted: bool) -> None:
    """The tables, and what is wrong."""
    console = Console()
    for group, described in GROUPS.items():
        cases = [case for case in content["cases"] if case["group"] == group]
        found = report.lines(cases)
        if found:
            title = f"{group}: {described.summary}"
            console.print(Text(f"{title}: {found[0].part}" if described.measure == "ratio" else title, style="bold"))
            console.print(_table(("case", "attn_ref", "beside", "takes", "ratio", "middle 80 %"), _rows(found)), "")
    if content["summaries"]:
        console.print(Text("in short (ratios: geometric means)", style="bold"))
        console.print(_table(SUMMARY_HEADS, report.summary_lines(content)), "")
    for line in report.device_lines(content):
        console.print(Text(line), soft_wrap=True)
    for line in report.left_out(content):
        console.print(Text(line))
    for line in report.wrong(content):
        console.print(Text(line, style="bold red"))
    done = f"{len(content['cases'])} of {content['chosen']} cases"
    limits = ", ".join(f"{name} {count}" for name, count in content["settings"]["limits"].items())
    console.print(Text(f"{done}{' done before Ctrl-C' if interrupted else ''}; threads: {limits}"))


def _rows(found: Sequence[report.Line]) -> list[tuple[str, ...]]:
    """Narrower: the part stands in the title, or with the contender if it is another."""
    rows: list[tuple[str, ...]] = []
    before = ""
    for line in found:
        beside = line.contender if line.part == found[0].part else f"{line.contender}, {line.part}"
        case = "" if line.case == before else line.case
        rows.append((case, line.ours, beside, line.theirs, line.ratio, line.spread))
        before = line.case
    return rows


_RIGHT = {"attn_ref", "takes", "ratio", "middle 80 %", "value", "cases"}


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for head in heads:
        table.add_column(head, justify="right" if head in _RIGHT else "left", no_wrap=True)
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    return table
