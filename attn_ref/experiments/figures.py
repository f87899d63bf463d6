"""Figures of the experiments, drawn with Matplotlib through its object interface: no window, nothing global."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from attn_ref.backend import Array
from attn_ref.experiments.results import order
from attn_ref.ops.affine import affine_grid
from attn_ref.ops.coordinates import to_pixels
from attn_ref.ops.sampling import grid_sample
from attn_ref.plotting import COLOURS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["chosen_epochs", "draw_errors", "draw_looking", "new_figure", "quadrilateral"]

_LINES = [COLOURS[name] for name in ("blue", "red", "green", "purple", "sky", "orange")]
_FRAME = COLOURS["yellow"]


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure of a size in inches."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def draw_errors(results: Mapping[str, Any]) -> Figure:
    """Draw the test error of each network over the epochs: a line for each seed, a panel for each data set.

    Parameters
    ----------
    results : mapping
        As :func:`attn_ref.experiments.results.collect` returns it, of an experiment whose records have "test_error".

    Returns
    -------
    matplotlib.figure.Figure
        The figure.
    """
    data_sets, nets = order(results, "data"), order(results, "net")
    figure = new_figure(4.6 * len(data_sets), 3.6)
    panels = np.atleast_1d(figure.subplots(1, len(data_sets), sharey=True))
    for panel, data in zip(panels, data_sets, strict=True):
        for row in results["trainings"]:
            records = [record for record in row["history"] if "test_error" in record]
            if row["data"] == data and records:
                panel.plot(
                    [record["epoch"] for record in records],
                    [100 * record["test_error"] for record in records],
                    color=_LINES[nets.index(row["net"])],
                    label=row["net"] if row["seed"] == 0 else None,
                    linewidth=1.4,
                    alpha=0.85,
                )
        panel.set(title=data, xlabel="epoch", yscale="log")
        panel.xaxis.get_major_locator().set_params(integer=True)
        panel.yaxis.set_major_formatter("{x:g}")
        panel.yaxis.set_minor_formatter(_few_labels)
        panel.grid(alpha=0.3, which="both")
        panel.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel("test error, %")
    panels[-1].legend(frameon=False)
    return figure


def draw_looking(inputs: Array, history: Sequence[Mapping[str, Any]]) -> Figure:
    """Draw where a transformer looks, and what it sees, as training goes on.

    Parameters
    ----------
    inputs : array, shape (M, 1, H, W)
        The images.
    history : sequence of mapping
        Records with an "epoch" and the "theta" (M, 2, 3) of the images.

    Returns
    -------
    matplotlib.figure.Figure
        A column for each image, and for each of a few epochs two rows: the input, with the outline of the glimpse on it
        and a dot at the glimpse's upper left corner; and the glimpse.
    """
    records = chosen_epochs(history)
    size = (28, 28)
    figure = new_figure(1.25 * len(inputs) + 0.6, 2.5 * len(records) + 0.5)
    panels = figure.subplots(2 * len(records), len(inputs), squeeze=False)
    for r, record in enumerate(records):
        theta = np.asarray(record["theta"], inputs.dtype)
        grid = affine_grid(theta, (*inputs.shape[:2], *size), align_corners=False)
        seen = grid_sample(inputs, grid, align_corners=False)
        for m, image in enumerate(inputs):
            above, below = panels[2 * r, m], panels[2 * r + 1, m]
            _show(above, image[0])
            corners = quadrilateral(theta[m], image.shape[1:])
            above.plot(*corners.T, color=_FRAME, linewidth=1.6)
            above.plot(*corners[0], "o", color=_FRAME, markersize=4)
            height, width = image.shape[1:]
            above.set(xlim=(-0.2 * width, 1.2 * width), ylim=(1.2 * height, -0.2 * height), facecolor="#404040")
            _show(below, seen[m, 0])
        name = "at the start" if record["epoch"] == 0 else f"epoch {record['epoch']}"
        panels[2 * r, 0].set_ylabel(name, fontsize=11)
        panels[2 * r + 1, 0].set_ylabel("seen", fontsize=9, color="#606060")
    return figure


def chosen_epochs(history: Sequence[Mapping[str, Any]], most: int = 5) -> list[Mapping[str, Any]]:
    """Choose a few records: the first and the last, and between them ever farther apart."""
    last = len(history) - 1
    wanted = np.unique(np.rint(np.concatenate([[0], np.geomspace(1, max(last, 1), most - 1)])).astype(int))
    return [history[k] for k in wanted if k <= last]


def quadrilateral(theta: Array, size: Sequence[int]) -> Array:
    """Compute the outline of a glimpse on its input.

    Parameters
    ----------
    theta : array, shape (2, 3)
        From output to input coordinates, of ``align_corners=False``.
    size : (int, int)
        (H, W) of the input.

    Returns
    -------
    array, shape (5, 2)
        The corners (x, y) in pixels of the input: upper left, upper right, lower right, lower left, upper left.
    """
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1], [-1, -1]], np.float64)
    normalised = corners @ theta[:, :2].T + theta[:, 2]
    return np.stack([to_pixels(np, normalised[:, a], size[1 - a], False) for a in range(2)], axis=-1)


def _few_labels(value: float, position: int | None = None) -> str:  # noqa: ARG001  # what Matplotlib calls
    """Labels at 2, 3 and 5 of a decade."""
    return f"{value:g}" if f"{value:e}"[0] in "235" else ""


def _show(axes: Axes, image: Array) -> None:
    axes.imshow(image, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
