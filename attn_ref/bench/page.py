"""The page of benchmarks in the documentation, made from a report.

    python -m attn_ref.bench.page results.json docs/benchmarks.md --figure docs/_static/benchmarks.svg

So the published figures are those that were measured, and nobody types them.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from attn_ref._files import one_line, write_bytes
from attn_ref.bench.cases import GROUPS
from attn_ref.bench.report import SCHEMA, Line, left_out, lines, summary_lines, wrong

__all__ = ["main", "page"]

_INTRODUCTION = """# Benchmarks

How fast attn_ref is beside others, as `attn-ref bench` measured it. This page is made from the results by
`python -m attn_ref.bench.page`; a number below 1 means that attn_ref is the faster one. Times on a GPU are in
[its own page](gpu.md).
"""

_METHOD = """## Method

Every case is one problem with the same arrays, options and dtype for all. First the results of each contender are
compared with ours: the largest difference, in units of the largest value, must be one that rounding explains. Then
all are called in turn, {least} rounds or more in about {budget:g} s a case, in random order in every round, after a
warm-up; each after {pause:g} ms of rest, in which threads that wait for more work go to sleep, and one call that does
not count, so that it is warm as in a loop. Calls shorter than {shortest:g} ms are repeated within a round. The ratio of
times is taken round by round, so that a slow spell of the machine falls on both sides; given are the median and the
range of the middle 80 %. A group is summed up by the geometric mean of its ratios; the aims are what the project works
towards, and no test fails on them. Who does less (a forward pass only, one channel) is compared with our time for the
same part.

Grids are rotations with scaling and a shift, a part of them beyond the edge, moved off the kinks. The peak of memory is
what one forward and backward pass in a process of its own takes over its inputs, in units of the size of its results,
which it contains; the larger of what the system and Python counted.
"""


def page(report: Mapping[str, Any], figure: str | None = None) -> str:
    """Write the page.

    Parameters
    ----------
    report : mapping
        A report, as read from the JSON of ``attn-ref bench``.
    figure : str, optional
        Where the page finds a figure.

    Returns
    -------
    str
        Markdown.

    Raises
    ------
    ValueError
        If it is no such report, or one of another schema.
    """
    if not isinstance(report, Mapping) or report.get("schema") != SCHEMA or "cases" not in report:
        raise ValueError(f"this is no report of attn-ref bench in schema {SCHEMA}: run attn-ref bench --json anew")
    settings = report["settings"]
    parts = [_INTRODUCTION]
    if report["interrupted"]:
        parts.append(f"The run was cut short: {len(report['cases'])} of {report['chosen']} cases.\n")
    parts += ["## In short\n", _table(SUMMARY_HEADS, summary_lines(report))]
    if figure is not None:
        parts.append(f"![Time of attn_ref in units of each contender's, case by case]({figure})\n")
    parts += ["## Machine\n", _table(("", ""), _machine(report))]
    parts.append(
        _METHOD.format(**{**settings, "shortest": settings["shortest"] * 1e3, "pause": settings["pause"] * 1e3})
    )
    parts += ["## Who takes part\n", _table(("", "version", ""), _contenders(report))]
    parts += ["## How to repeat it\n", f"```bash\n{_command(settings)}\n```\n"]
    for group, described in GROUPS.items():
        found = lines([case for case in report["cases"] if case["group"] == group])
        if found:
            parts.append(f"## {group}: {described.summary}\n")
            parts += [f"Aim: {described.aim}.\n"] if described.aim else []
            parts.append(_table(HEADS, found))
    unsaid = [*wrong(report), *left_out(report)]
    if unsaid:
        parts += ["## What went wrong\n", "".join(f"- {line}\n" for line in unsaid)]
    return "\n".join(parts)


HEADS = Line("case", "part", "attn_ref", "beside", "takes", "ratio", "middle 80 %", "difference")
"""Headings of the columns of :func:`attn_ref.bench.report.lines`."""


SUMMARY_HEADS = ("group", "measured", "value", "aim", "cases")
"""Of the columns of :func:`attn_ref.bench.report.summary_lines`."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run ``python -m attn_ref.bench.page``."""
    parser = argparse.ArgumentParser(prog="python -m attn_ref.bench.page", description="Write the page of benchmarks.")
    parser.add_argument("results", type=Path, help="what attn-ref bench --json wrote")
    parser.add_argument("page", type=Path, help="the Markdown file to write")
    parser.add_argument("--figure", type=Path, help="also draw this figure, and show it on the page")
    chosen = parser.parse_args(arguments)
    try:
        report = json.loads(chosen.results.read_text(encoding="utf-8"))
        where = None
        if chosen.figure is not None:
            from attn_ref import plotting
            from attn_ref.bench.figure import draw

            plotting.check_target(chosen.figure)
            where = chosen.figure.resolve().relative_to(chosen.page.resolve().parent).as_posix()
        text = page(report, where)
        if chosen.figure is not None:
            drawn = draw(report)
            if drawn is None:
                raise ValueError("the report has nothing to draw: leave out --figure")
            write_bytes(chosen.figure, plotting.encode(drawn, chosen.figure))
        write_bytes(chosen.page, text.encode())
    except KeyError as error:
        parser.error(f"{chosen.results} is no whole report: it lacks {error}")
    except (OSError, ValueError) as error:  # of which a broken JSON file is one
        parser.error(one_line(error))


def _machine(report: Mapping[str, Any]) -> list[tuple[str, str]]:
    machine, versions = report["machine"], report["machine"]["versions"]
    memory = f"{machine['memory']} GiB" if machine["memory"] else "not known"
    threads = ", ".join(f"{name}: {count}" for name, count in report["settings"]["limits"].items())
    return [
        ("processor", f"{machine['cpu']}, {machine['cores']} cores"),
        ("memory", memory),
        ("BLAS", "; ".join(machine["blas"])),
        ("threads", threads),
        ("system", machine["system"]),
        ("versions", ", ".join(f"{name} {versions[name]}" for name in ("attn_ref", "python", "numpy", "scipy"))),
    ]


def _contenders(report: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    return [(name, c["version"] or "", c["note"]) for name, c in report["contenders"].items()]


def _command(settings: Mapping[str, Any]) -> str:
    words = ["attn-ref", "bench", "--threads", str(settings["threads"]), "--seed", str(settings["seed"])]
    words += ["--seconds", f"{settings['budget']:g}"]
    words += ["--quick"] if settings["quick"] else []
    for group in settings["only"]:
        words += ["--only", group]
    return " ".join([*words, "--json", "results.json"])


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    written = [heads, ["---"] * len(heads), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |\n" for row in written)


if __name__ == "__main__":
    main()
