"""Channel gates: whether the gates of squeeze-and-excitation open for the channels that matter.

============  ==========================================================================  ===========================
data          channels                                                                    which matter
============  ==========================================================================  ===========================
``marked``    24, each shows a pattern; a few are *marked* by being brighter, others in   known: the marked ones show
              each sample (:mod:`attn_ref.datasets.channels`)                             the class
``fixed``     the same, but channels 0 to 2 in every sample                               known, and always the same
``textures``  24 energies of Gabor filters on patches of photographs                      unknown
              (:mod:`attn_ref.experiments.filter_bank`)
============  ==========================================================================  ===========================

Two networks are compared, with as nearly the same number of parameters as widths allow: *SE* begins with
squeeze-and-excitation, *plain* has a wider layer instead,

    SE      squeeze-and-excitation → 1 × 1 convolution to K channels → ReLU → linear
    plain                            1 × 1 convolution to K' > K      → ReLU → linear

with a mean over the pixels before the last layer for the textures, whose place does not matter. Samples are drawn anew
in each epoch.

Three things are measured of the gates. Where it is known which channels matter, the *AUC* of each channel: how often
its gate is larger in a sample where the channel matters than in one where it does not; 1 for a gate that always opens
for it, 0 for one that always closes, ½ for one that does not know. Either end is good: the weights that follow have
signs, and to subtract what does not matter is as good as to add what does. The error with *mean gates*, every gate
held at its mean over training samples: if it does not rise, gating by sample did nothing that fixed weights would not
do. And what the gates do, in a figure.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np

from attn_ref.backend import Array
from attn_ref.blocks import Activation, Block, Conv2d, Flatten, GlobalAvgPool, Linear, Sequential, SqueezeExcitation
from attn_ref.datasets import TEXTURES, LabelledImages, channel_task, texture_patches
from attn_ref.experiments.distorted_digits import error_rate
from attn_ref.experiments.experiment import Experiment, Report, Settings, Training, cut, fit, outputs
from attn_ref.experiments.filter_bank import ORIENTATIONS, WAVELENGTHS, energies
from attn_ref.experiments.gates import areas_under_curve, gates_of
from attn_ref.experiments.networks import widest
from attn_ref.experiments.results import cell, order, table, values, verdicts
from attn_ref.experiments.trainer import Batch

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["EXPERIMENT"]

_CHANNELS, _INFORMATIVE, _SIDE = 24, 3, 8

_TEST = 2018
"""Seed of the test samples."""

_SHOWN = 12

_SURE = 0.95
"""AUC above which a gate is said to open for a channel."""


class _Kind(NamedTuple):
    """Of a data set: its classes, the reduction of SE, K of the SE network, whether pixels are averaged."""

    classes: int
    reduction: int
    width: int
    pooled: bool


_KINDS = {
    "marked": _Kind(_CHANNELS // _INFORMATIVE, 1, 4, pooled=False),
    "fixed": _Kind(_CHANNELS // _INFORMATIVE, 1, 4, pooled=False),
    "textures": _Kind(len(TEXTURES), 4, 8, pooled=True),
}


def _draw(data: str, samples: int, rng: np.random.Generator, part: str) -> tuple[LabelledImages, Array | None]:
    """Samples, and which of their channels are informative if that is known."""
    if data == "textures":
        patches = texture_patches(-(-samples // len(TEXTURES)), rng, part=part)
        return LabelledImages(outputs(energies, patches.images), patches.labels), None
    task = channel_task(samples, _CHANNELS, _INFORMATIVE, rng, size=_SIDE, per_sample=data == "marked")
    return LabelledImages(task.images, task.labels), task.informative


def _build(net: str, data: str, rng: np.random.Generator) -> Sequential:
    kind = _KINDS[data]

    def head(width: int, rng: np.random.Generator) -> list[Block]:
        flat, features = (GlobalAvgPool(), width) if kind.pooled else (Flatten(), width * _SIDE**2)
        mix = Conv2d(_CHANNELS, width, 1, rng=rng)
        return [mix, Activation("relu"), flat, Linear(features, kind.classes, rng=rng)]

    def gated(rng: np.random.Generator) -> Sequential:
        return Sequential(SqueezeExcitation(_CHANNELS, kind.reduction, bias=True, rng=rng), *head(kind.width, rng))

    if net == "SE":
        return gated(rng)
    spare = np.random.default_rng(0)
    return Sequential(*head(widest(lambda width: Sequential(*head(width, spare)), gated(spare).count), rng))


def _run(training: Training, checkpoint: Path | None, report: Report | None) -> dict[str, Any]:
    settings, data = training.settings, training.data
    test, informative = _draw(data, settings.tests, np.random.default_rng(_TEST), "test")
    block = _build(training.net, data, training.generators()[0])
    first = block.children["0"]
    gate = first if isinstance(first, SqueezeExcitation) else None

    def batches(rng: np.random.Generator) -> list[Batch]:
        train, _ = _draw(data, settings.samples, rng, "train")
        return cut(train.images, train.labels, rng)

    def evaluate(block: Block) -> dict[str, Any]:
        return {"test_error": error_rate(block, test)}

    state = fit(training, block, batches, evaluate=evaluate, checkpoint=checkpoint, report=report)
    last = state.history[-1]
    result = {"parameters": block.count, "error": last["test_error"]}
    if gate:
        train, _ = _draw(data, settings.samples, np.random.default_rng(_TEST + 1), "train")
        mean = gates_of(gate, train.images).mean(axis=0)
        rest = Sequential(*list(block.children.values())[1:])
        held = LabelledImages(test.images * mean[:, None, None], test.labels)
        gates = gates_of(gate, test.images)
        by_class = np.stack([gates[test.labels == k].mean(axis=0) for k in np.unique(test.labels)])
        result |= {"held_error": error_rate(rest, held), "by_class": _rounded(by_class)}
        if informative is not None:
            if data == "marked":
                result["auc"] = _rounded(areas_under_curve(gates, informative))
            result |= {"gates": _rounded(gates[:_SHOWN]), "informative": informative[:_SHOWN].astype(int).tolist()}
    return {**result, "history": list(state.history)}


def _rounded(array: Array) -> list[Any]:
    return cast("list[Any]", np.round(array.astype(np.float64), 4).tolist())


def _section(results: Mapping[str, Any]) -> list[str]:
    settings = results["settings"]
    rows = []
    for data in order(results, "data"):
        for net in order(results, "net"):
            row = [data, net, f"{int(values(results, net, data, 'parameters')[0]):,}"]
            rows.append([*row, *(cell(values(results, net, data, key), factor=100) for key in ("error", "held_error"))])
    lines = [
        f"{settings['epochs']} epochs of {settings['samples']:,} samples, drawn anew in each, and "
        f"{settings['tests']:,} for testing (textures: from other parts of the photographs). *SE* begins with "
        "squeeze-and-excitation; *plain* has a wider layer in its place. *Mean gates*: the error when every gate is "
        "held at its mean. Mean ± standard deviation over the seeds.",
        "",
        *table(["data", "network", "parameters", "error, %", "mean gates: error, %"], rows),
        "",
    ]
    for data in order(results, "data"):
        lines += verdicts(results, data, "error", [("SE", "plain")], _REASONS.get(data, {}))
    lines += [f"- {line}" for data in order(results, "data") for line in _about_gates(results, data)]
    for data in order(results, "data"):
        if values(results, "SE", data, "held_error"):
            lines += ["", _CAPTIONS[data], "", f"![Gates on {data}](gates_{data}.png)"]
    return lines


def _about_gates(results: Mapping[str, Any], data: str) -> list[str]:
    held, error = (values(results, "SE", data, key) for key in ("held_error", "error"))
    lines = []
    for row in results["trainings"]:
        if row["data"] == data and "auc" in row:
            auc = np.array(row["auc"])
            opening, closing = int((auc > _SURE).sum()), int((auc < 1 - _SURE).sum())
            found = "find" if opening + closing > 0.75 * len(auc) else "do **not** all find"
            lines.append(
                f"{data}, seed {row['seed']}: the gates {found} the channels that matter. Of {len(auc)} channels, "
                f"{opening} have a gate that opens when the channel matters (AUC above {_SURE:g}), {closing} one that "
                f"closes (below {1 - _SURE:.2g}), and {len(auc) - opening - closing} one that does not tell."
            )
    if held:
        rise = 100 * (sum(held) - sum(error)) / len(held)
        use = (
            "so gating by sample is what the network works by"
            if rise > 5
            else "so fixed weights would do nearly as well"
        )
        lines.append(f"{data}: with the gates held at their means the error changes by {rise:+.1f} points, {use}.")
    return lines


_REASONS: dict[str, dict[str, str]] = {
    "fixed": {
        "SE < plain": "Nothing is to be gained: fixed weights can pick channels that are the same in every sample."
    },
    "textures": {
        "SE < plain": "The energies, averaged, tell these textures apart by themselves, and a wider layer reads them "
        "as well as a gated one."
    },
}

_CAPTIONS = {
    "marked": "Gates of some test samples on *marked* (seed 0), a row for each; rings mark the channels that matter:",
    "fixed": "The same on *fixed*, where the first three channels matter in every sample:",
    "textures": "Mean gate of each filter on each texture, less its mean over the textures (seed 0):",
}


def _figures(results: Mapping[str, Any]) -> dict[str, Figure]:
    from attn_ref.experiments import gate_figures

    made = {}
    for row in results["trainings"]:
        if row["net"] == "SE" and row["seed"] == 0:
            if "gates" in row:
                made[f"gates_{row['data']}"] = gate_figures.draw_gates(row["gates"], row["informative"])
            else:
                made[f"gates_{row['data']}"] = gate_figures.draw_by_class(
                    row["by_class"], list(TEXTURES), WAVELENGTHS, ORIENTATIONS
                )
    return made


def _prepare() -> None:
    texture_patches(1, 0)


EXPERIMENT = Experiment(
    name="channel-gates",
    question="do the gates open for the channels that matter?",
    nets={"SE": "begins with squeeze-and-excitation", "plain": "has a wider layer instead"},
    data={
        "marked": "a few channels matter, others in each sample, and are brighter",
        "fixed": "a few channels matter, always the same, and are brighter",
        "textures": "energies of Gabor filters on patches of photographs",
    },
    full=Settings(samples=4000, tests=1000, epochs=20),
    quick=Settings(samples=2000, tests=500, epochs=12),
    most=60_000,
    prepare=_prepare,
    run=_run,
    section=_section,
    figures=_figures,
)
"""What ``attn-ref experiment channel-gates`` runs."""
