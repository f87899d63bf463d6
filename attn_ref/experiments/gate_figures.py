"""Figures of gates: by sample, and by class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from attn_ref.experiments.figures import new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["draw_by_class", "draw_gates"]


def draw_gates(gates: Sequence[Sequence[float]], informative: Sequence[Sequence[int]]) -> Figure:
    """Draw the gates of some samples.

    Parameters
    ----------
    gates : sequence of sequence of float
        A row for each sample, a gate for each channel.
    informative : sequence of sequence of int
        1 for the channels that matter.

    Returns
    -------
    matplotlib.figure.Figure
        A map of the gates from 0 (dark) to 1, with rings round those of channels that matter.
    """
    values = np.asarray(gates)
    figure = new_figure(0.3 * values.shape[1] + 1.2, 0.3 * values.shape[0] + 0.9)
    panel = figure.subplots()
    image = panel.imshow(values, cmap="viridis", vmin=0, vmax=1)
    rows, columns = np.nonzero(np.asarray(informative))
    panel.plot(columns, rows, "o", markersize=11, markerfacecolor="none", markeredgecolor="white", markeredgewidth=1.8)
    panel.set(xlabel="channel", ylabel="sample", xticks=range(0, values.shape[1], 4), yticks=[])
    figure.colorbar(image, ax=panel, label="gate", shrink=0.9)
    return figure


def draw_by_class(
    gates: Sequence[Sequence[float]], classes: Sequence[str], wavelengths: Sequence[float], orientations: int
) -> Figure:
    """Draw the mean gates of each class, less the mean over the classes.

    Parameters
    ----------
    gates : sequence of sequence of float
        A row for each class, a gate for each filter, wavelength by wavelength.
    classes : sequence of str
        Their names.
    wavelengths : sequence of float
        Of the filters, in pixels.
    orientations : int
        How many filters there are of each wavelength.

    Returns
    -------
    matplotlib.figure.Figure
        A map for each wavelength, classes by orientations: blue where a gate is more closed than usual, red where it
        is more open.
    """
    values = np.asarray(gates)
    values = (values - values.mean(axis=0)).reshape(len(classes), len(wavelengths), orientations)
    largest = max(float(np.abs(values).max()), 1e-6)
    figure = new_figure(2.9 * len(wavelengths) + 1.4, 2.4)
    panels = np.atleast_1d(figure.subplots(1, len(wavelengths), sharey=True))
    for w, panel in enumerate(panels):
        image = panel.imshow(values[:, w], cmap="RdBu_r", vmin=-largest, vmax=largest, aspect="auto")
        degrees = [f"{180 * k / orientations:g}" for k in range(0, orientations, 2)]
        panel.set(title=f"wavelength {wavelengths[w]:g} px", xlabel="orientation, °")
        panel.set_xticks(range(0, orientations, 2), degrees)
        panel.set_yticks(range(len(classes)), classes)
    figure.colorbar(image, ax=list(panels), label="gate less its mean")
    return figure
