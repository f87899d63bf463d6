"""Distorted digits: whether a spatial transformer helps to read them.

The table of the spatial transformer paper [1]_ on 5,000 real digits in place of 70,000, with networks of about 120,000
parameters (:mod:`attn_ref.experiments.networks`). 4,000 digits are for training, distorted anew in each epoch; 1,000
for testing, distorted once, the same for every network and seed. The error that counts is that after the last epoch:
no epoch, network or seed is chosen by its test error.

.. [1] M. Jaderberg, K. Simonyan, A. Zisserman, K. Kavukcuoglu, "Spatial Transformer Networks", NeurIPS 2015, table 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from attn_ref.backend import Array
from attn_ref.blocks import Block, Sequential, SpatialTransformer
from attn_ref.datasets import LabelledImages, distort, mnist_digits, split
from attn_ref.experiments.experiment import Experiment, Report, Settings, Training, cut, fit, outputs
from attn_ref.experiments.networks import build
from attn_ref.experiments.results import cell, order, table, values, verdicts
from attn_ref.experiments.trainer import Batch

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["EXPERIMENT", "PAPER", "error_rate", "transformer_of"]

PAPER = {
    "R": {"FCN": 2.1, "CNN": 1.2, "ST-FCN": 1.2, "ST-CNN": 0.7},
    "RTS": {"FCN": 5.2, "CNN": 0.8, "ST-FCN": 0.8, "ST-CNN": 0.5},
}
"""Errors in per cent, from table 1 of the paper; the ST columns are those of the affine transformer."""

_SPLIT, _TEST = 2015, 2016
"""Seeds: which digits are held out, and how they are distorted."""

_SHOWN = 6
"""Test digits of which it is recorded where the transformer looks: the first of as many classes."""

_EXPECTED = [("ST-FCN", "FCN"), ("ST-CNN", "CNN"), ("ST-CNN", "ST-FCN"), ("CNN", "FCN")]

_REASONS: dict[str, str] = {}


@cache
def _digits(samples: int, tests: int) -> tuple[LabelledImages, LabelledImages]:
    """Training and test digits, upright; the first of a fixed order, in which classes are mixed."""
    train, test = split(mnist_digits(), 0.2, _SPLIT)
    rng = np.random.default_rng(_SPLIT)
    mixed = [part.take(rng.permutation(len(part))) for part in (train, test)]
    return mixed[0].take(np.arange(samples)), mixed[1].take(np.arange(tests))


def test_set(settings: Settings, data: str) -> LabelledImages:
    """Return the test digits, distorted.

    Parameters
    ----------
    settings : Settings
        How many.
    data : {"R", "RTS"}
        The distortion.

    Returns
    -------
    LabelledImages
        Always the same.
    """
    _, test = _digits(settings.samples, settings.tests)
    return LabelledImages(distort(test.images, data, _TEST).images, test.labels)


def error_rate(block: Block, data: LabelledImages) -> float:
    """Return the share of samples whose largest logit is that of another class."""
    logits = outputs(lambda x: block.forward(x)[0], data.images)
    return float((logits.argmax(axis=1) != data.labels).mean())


def transformer_of(block: Block) -> SpatialTransformer | None:
    """Return the spatial transformer that a network begins with, if it does."""
    first = block.children.get("0") if isinstance(block, Sequential) else None
    return first if isinstance(first, SpatialTransformer) else None


def _shown(labels: Array) -> Array:
    """Indices of the first sample of each of the first classes."""
    return np.array([np.argmax(labels == k) for k in range(10) if (labels == k).any()][:_SHOWN])


def _run(training: Training, checkpoint: Path | None, report: Report | None) -> dict[str, Any]:
    settings = training.settings
    train, _ = _digits(settings.samples, settings.tests)
    test = test_set(settings, training.data)
    block = build(training.net, test.images.shape[2], training.generators()[0])
    examples = test.images[_shown(test.labels)]

    def batches(rng: np.random.Generator) -> list[Batch]:
        return cut(distort(train.images, training.data, rng).images, train.labels, rng)

    def evaluate(block: Block) -> dict[str, Any]:
        found: dict[str, Any] = {"test_error": error_rate(block, test)}
        transformer = transformer_of(block)
        if transformer is not None:
            found["theta"] = np.round(transformer.theta(examples).astype(np.float64), 4).tolist()
        return found

    state = fit(training, block, batches, evaluate=evaluate, checkpoint=checkpoint, report=report)
    history = list(state.history)
    return {"parameters": block.count, "error": history[-1]["test_error"], "history": history}


def _section(results: Mapping[str, Any]) -> list[str]:
    data_sets, settings = order(results, "data"), results["settings"]
    header = ["network", "parameters"]
    for data in data_sets:
        header += [f"{data}: error, %", f"{data}: the paper's, %"]
    rows = []
    for net in order(results, "net"):
        counts = sorted({int(n) for data in data_sets for n in values(results, net, data, "parameters")})
        row = [net, " / ".join(f"{count:,}" for count in counts)]
        for data in data_sets:
            row += [cell(values(results, net, data, "error"), factor=100), f"{PAPER[data][net]:.1f}"]
        rows.append(row)
    lines = [
        f"Error on {settings['tests']:,} held-out digits after {settings['epochs']} epochs of {settings['samples']:,} "
        "training digits, distorted anew in each epoch: mean ± standard deviation over the seeds. One digit is "
        f"{100 / settings['tests']:.2g} %. The paper trained on 60,000 digits and for far longer, so compare the order "
        "of the networks, not the figures.",
        "",
        *table(header, rows),
        "",
        "Whether the order is the paper's:",
        "",
    ]
    for data in data_sets:
        pairs = [(a, b) for a, b in _EXPECTED if PAPER[data][a] < PAPER[data][b]]
        lines += verdicts(results, data, "error", pairs, _REASONS)
    lines += ["", "![Test error of each network over the epochs, a line for each seed](errors.png)"]
    for net, data in _looked_at(results):
        lines += [
            "",
            f"Where the {net} looks on {data} (seed 0): for each test digit the input, with the outline of the glimpse "
            "and a dot at its upper left corner, and below it the glimpse, which is what the classifier gets. In "
            "training it was told the class of a digit, and nothing about where or how it stands.",
            "",
            f"![Where the {net} looks on {data}, over the epochs](looking_{net}_{data}.png)",
        ]
    return lines


def _looked_at(results: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Networks with a transformer, and the data sets: those of seed 0."""
    first = [row for row in results["trainings"] if row["seed"] == 0 and "theta" in row["history"][0]]
    return [(row["net"], row["data"]) for row in first]


def _figures(results: Mapping[str, Any]) -> dict[str, Figure]:
    from attn_ref.experiments import figures

    made = {"errors": figures.draw_errors(results)}
    settings = Settings(**results["settings"])
    histories = {(row["net"], row["data"]): row["history"] for row in results["trainings"] if row["seed"] == 0}
    for net, data in _looked_at(results):
        test = test_set(settings, data)
        inputs = test.images[_shown(test.labels)]
        made[f"looking_{net}_{data}"] = figures.draw_looking(inputs, histories[net, data])
    return made


EXPERIMENT = Experiment(
    name="distorted-digits",
    question="does a spatial transformer help to read distorted digits?",
    nets={
        "FCN": "fully connected",
        "CNN": "convolutional",
        "ST-FCN": "a fully connected transformer, then an FCN",
        "ST-CNN": "a convolutional transformer, then a CNN",
    },
    data={"R": "rotated within ±90°", "RTS": "rotated within ±45°, scaled by 0.7 to 1.2, anywhere in 42 × 42 pixels"},
    full=Settings(samples=4000, tests=1000, epochs=20),
    quick=Settings(samples=1500, tests=500, epochs=10),
    most=4000,
    prepare=mnist_digits,
    run=_run,
    section=_section,
    figures=_figures,
)
"""What ``attn-ref experiment distorted-digits`` runs."""
