"""The report of a run: one plain dict, written as JSON, from which table, figure and page are made."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import log10
from typing import Any, NamedTuple

from attn_ref import __version__
from attn_ref.bench.cases import GROUPS, SAMPLER, Case
from attn_ref.bench.contenders import OURS, Contender
from attn_ref.bench.runner import Outcome
from attn_ref.bench.statistics import exponent, geometric_mean

__all__ = [
    "SCHEMA",
    "Line",
    "assemble",
    "device_lines",
    "duration",
    "left_out",
    "lines",
    "summaries",
    "summary_lines",
    "wrong",
]

SCHEMA = 1
"""Changes whenever a field changes its meaning."""

Report = dict[str, Any]


def assemble(
    outcomes: Sequence[Outcome],
    contenders: Sequence[Contender],
    *,
    settings: Mapping[str, Any],
    machine: Mapping[str, Any],
    cases: Sequence[Case],
) -> Report:
    """Put together all there is to tell.

    Parameters
    ----------
    outcomes : sequence of Outcome
        What was done.
    contenders : sequence of Contender
        Who took part.
    settings : mapping
        Seeds, threads, times: what is needed to repeat the run.
    machine : mapping
        From :func:`attn_ref.bench.machine.describe`.
    cases : sequence of Case
        What was to be done; more than the outcomes if the run was cut short.

    Returns
    -------
    dict
        Plain values.
    """
    done = [outcome.to_dict() for outcome in outcomes]
    summed = summaries(done)
    if "device" in machine:  # the aims are for the CPU
        summed = [{**row, "aim": ""} for row in summed]
    return {
        "schema": SCHEMA,
        "attn_ref": __version__,
        "settings": dict(settings),
        "interrupted": len(outcomes) < len(cases),
        "chosen": len(cases),
        "machine": dict(machine),
        "contenders": {c.name: {"version": machine["versions"].get(c.package), "note": c.note} for c in contenders},
        "cases": done,
        "summaries": summed,
    }


def summaries(cases: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Sum up each group that has outcomes.

    Parameters
    ----------
    cases : sequence of mapping
        Outcomes as in the report.

    Returns
    -------
    list of dict
        ``group``, ``what`` it is, of which ``contender``, ``value`` and ``unit`` (seconds, or 1), over how many
        ``cases``, and the ``aim``.
    """
    found = []
    for group in GROUPS:
        members = [case for case in cases if case["group"] == group]
        found += _MEASURES[GROUPS[group].measure](group, members)
    sampler = [case for case in cases if case["group"] in SAMPLER]
    if len({case["group"] for case in sampler}) == len(SAMPLER):
        found += [
            {**row, "aim": "≤ 1.0" if row["contender"] == "torch" else ""}
            for row in _ratios("sampler", sampler)
            if row["contender"] == "torch"
        ]
    return found


_FIELDS = ("group", "what", "contender", "value", "unit", "cases", "aim")


def _summary(*values: Any) -> dict[str, Any]:
    return dict(zip(_FIELDS, values, strict=True))


def _ratios(group: str, cases: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """A geometric mean for each contender and part. One group's aim is our own time."""
    medians: dict[tuple[str, str], list[float]] = {}
    for case in cases:
        for c in case["comparisons"]:
            medians.setdefault((c["contender"], c["part"]), []).append(c["ratio"]["median"])
    aim = GROUPS[group].aim if group in GROUPS else ""
    rows = []
    if group == "small":
        ours = [t["median"] for case in cases for t in case["times"] if t["contender"] == OURS]
        if ours:
            rows.append(_summary(group, "the longest", OURS, max(ours), "s", len(ours), aim))
        aim = ""
    for (contender, part), values in medians.items():
        wanted = aim if contender == "torch" else ""
        what = f"{part} / {contender}'s"
        rows.append(_summary(group, what, contender, geometric_mean(values), "1", len(values), wanted))
    return rows


def _exponents(group: str, cases: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    points = [(case["values"], time["median"]) for case in cases for time in case["times"]]
    sizes, seconds = [p[0] for p in points], [p[1] for p in points]
    if len(set(sizes)) < 2:
        return []
    return [_summary(group, "exponent", OURS, exponent(sizes, seconds), "1", len(points), GROUPS[group].aim)]


def _memory(group: str, cases: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    worst: dict[str, list[float]] = {}
    for case in cases:
        for name, peak in case["peaks"].items():
            if peak["ratio"] is not None:
                worst.setdefault(name, []).append(peak["ratio"])
    return [
        _summary(group, f"peak of {name}", name, max(v), "1", len(v), GROUPS[group].aim if name == OURS else "")
        for name, v in worst.items()
    ]


_MEASURES: dict[str, Callable[[str, Sequence[Mapping[str, Any]]], list[dict[str, Any]]]] = {
    "ratio": _ratios,
    "exponent": _exponents,
    "memory": _memory,
}


def wrong(report: Mapping[str, Any]) -> list[str]:
    """What is wrong with a run, a line each: results that differ from ours, and our own failures."""
    found = []
    for case in report["cases"]:
        where = f"{case['group']}: {case['name']}"
        found += [
            f"{where}: {c['contender']} differs from attn_ref by {c['difference']:.2g} of the largest value "
            f"({c['part']}); rounding explains {c['tolerance']:.2g}"
            for c in case["comparisons"]
            if not c["agrees"]
        ]
        found += [f"{where}: attn_ref failed: {why}" for name, why in case["failures"].items() if name == OURS]
    return found


def left_out(report: Mapping[str, Any]) -> list[str]:
    """Other contenders that failed, a line each: they are missing from the tables."""
    return [
        f"{case['group']}: {case['name']}: {name} failed and is left out: {why}"
        for case in report["cases"]
        for name, why in case["failures"].items()
        if name != OURS
    ]


def device_lines(report: Mapping[str, Any]) -> list[str]:
    """Return what was measured on a device, a line each: the time between two events, the memory pool, the device."""
    machine = report["machine"]
    if "device" not in machine:
        return []
    found = [
        f"{case['group']}: {case['name']}: {time['part']}, {time['contender']}: {duration(time['on device'])} between "
        "events on the device"
        for case in report["cases"]
        for time in case["times"]
        if "on device" in time
    ]
    device, pool = machine["device"], machine["pool"]
    mebibytes = {name: size / 2**20 for name, size in pool.items()}
    found.append(f"memory pool: {mebibytes['total']:.0f} MiB of the device, {mebibytes['used']:.0f} MiB in use")
    found.append(", ".join(f"{name} {value}" for name, value in device.items()))
    return found


# ---------------------------------------------------------------------------------------------------------------------
# In words


class Line(NamedTuple):
    """A line of the table of a group: our time beside that of one contender."""

    case: str
    part: str
    ours: str
    contender: str
    theirs: str
    ratio: str
    spread: str
    difference: str


def lines(cases: Sequence[Mapping[str, Any]]) -> list[Line]:
    """Return the lines of some outcomes, as they stand in the report, for a table."""
    found = []
    for case in cases:
        name = case["name"]
        times = {(t["contender"], t["part"]): duration(t["median"]) for t in case["times"]}
        for c in case["comparisons"]:
            who, part, r = c["contender"], c["part"], c["ratio"]
            spread = f"{_figure(r['low'], 2)}–{_figure(r['high'], 2)}"
            gap = f"{c['difference']:.0e}" if c["agrees"] else f"WRONG: {c['difference']:.0e}"
            found.append(Line(name, part, times[OURS, part], who, times[who, part], _figure(r["median"]), spread, gap))
        if not case["comparisons"]:
            found += [Line(name, part, time, "", "", "", "", "") for (who, part), time in times.items() if who == OURS]
        for who, peak in case["peaks"].items():
            size = f"peak over {peak['results'] / 2**20:.0f} MiB"
            found.append(Line(name, size, "", who, "", _figure(peak["ratio"]), "", ""))
    return found


def summary_lines(report: Mapping[str, Any]) -> list[tuple[str, str, str, str, str]]:
    """Return group, what is measured, the value, the aim, and the number of cases, in words."""
    return [
        (
            row["group"],
            row["what"],
            duration(row["value"]) if row["unit"] == "s" else _figure(row["value"]),
            row["aim"],
            str(row["cases"]),
        )
        for row in report["summaries"]
    ]


def duration(seconds: float) -> str:
    """Return a time with three digits and the unit that suits it."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= size:
            return f"{_figure(seconds / size)} {unit}"
    return f"{_figure(seconds / 1e-9)} ns"


def _figure(value: float | None, digits: int = 3) -> str:
    """So many digits at least; one less, and an exponent, below a thousandth."""
    if value is None:
        return "not known"
    if value == 0:
        return "0"
    if abs(value) < 1e-3:
        return f"{value:.{digits - 2}e}"
    return f"{value:.{max(0, digits - 1 - int(log10(abs(value)) // 1))}f}"
