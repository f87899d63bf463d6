"""A figure of a report: ratios case by case, and how our time grows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from attn_ref.bench.contenders import OURS
from attn_ref.bench.statistics import exponent

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw"]

# Of the palette of Okabe and Ito, which colour-blind people can tell apart, with a marker for each.
_LOOKS = {
    "torch": ("#0072B2", "o"),
    "onnx": ("#D55E00", "s"),
    "pylops": ("#009E73", "D"),
    "scipy": ("#CC79A7", "^"),
}
_OTHER = ("#505050", "v")


def draw(report: Mapping[str, Any]) -> Figure | None:
    """Draw a report.

    Parameters
    ----------
    report : mapping
        From :func:`attn_ref.bench.report.assemble`, or read from its JSON.

    Returns
    -------
    matplotlib.figure.Figure or None
        Above, our time in units of each contender's, case by case, with the range of the middle 80 % of the rounds;
        below, our time against the number of output values. Nothing if the report has neither.

    Raises
    ------
    ModuleNotFoundError
        If Matplotlib is missing.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    compared = [case for case in report["cases"] if case["comparisons"]]
    growth = [case for case in report["cases"] if case["group"] == "growth" and case["times"]]
    heights = [h for h in (0.17 * len(compared) + 1.2 if compared else 0, 3.0 if growth else 0) if h]
    if not heights:
        return None
    figure = Figure(figsize=(8, sum(heights)), layout="constrained")
    FigureCanvasAgg(figure)
    panels = list(figure.subplots(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0])
    if compared:
        _draw_ratios(panels.pop(0), compared)
    if growth:
        _draw_growth(panels.pop(0), growth)
    return figure


def _draw_ratios(axes: Axes, cases: Sequence[Mapping[str, Any]]) -> None:
    seen: dict[str, Any] = {}
    for y, case in enumerate(cases):
        for c in case["comparisons"]:
            colour, marker = _LOOKS.get(c["contender"], _OTHER)
            r = c["ratio"]
            axes.plot([r["low"], r["high"]], [y, y], color=colour, linewidth=1)
            (dots,) = axes.plot([r["median"]], [y], marker, color=colour, markersize=4)
            seen.setdefault(c["contender"], dots)
    groups = [case["group"] for case in cases]
    for y in range(1, len(cases)):
        if groups[y] != groups[y - 1]:
            axes.axhline(y - 0.5, color="#D0D0D0", linewidth=0.8)
    axes.axvline(1, color="#202020", linewidth=0.8)
    axes.set(xscale="log", ylim=(len(cases) - 0.5, -0.5), xlabel="time of attn_ref / time of the other")
    axes.set_yticks(range(len(cases)), [f"{case['group']}: {case['name']}" for case in cases], fontsize=7)
    axes.set_title("left of 1, attn_ref is faster", fontsize=10)
    axes.legend(list(seen.values()), list(seen), fontsize=8)


def _draw_growth(axes: Axes, cases: Sequence[Mapping[str, Any]]) -> None:
    points = [(case["values"], t["median"]) for case in cases for t in case["times"] if t["contender"] == OURS]
    sizes, seconds = [p[0] for p in points], [p[1] for p in points]
    axes.loglog(sizes, seconds, "o-", color=_LOOKS["torch"][0])
    title = "time of attn_ref"
    if len(set(sizes)) > 1:
        title += f", growing with exponent {exponent(sizes, seconds):.2f}"
    axes.set_title(title, fontsize=10)
    axes.set(xlabel="output values", ylabel="seconds, forward + backward")
    axes.grid(color="#E0E0E0", linewidth=0.6)
