"""Upright: whether a spatial transformer finds the pose that a digit was drawn in.

Digits are drawn from strokes and distorted by a theta that is known (:mod:`attn_ref.datasets.strokes`). ST-linear and
ST-CNN are trained to name the digit, and see no pose. Both have the localiser of ST-CNN
(:mod:`attn_ref.experiments.networks`); what follows it differs. A convolutional classifier can tell drawn digits apart
however they stand, and so rewards little of what a transformer could do for it. A linear one has a single template for
each class, and needs more. Afterwards the theta that each found is compared with the true one, up to one pose for each
class: :mod:`attn_ref.experiments.poses` says how.

Two values frame the score. A glimpse that stands still has the spread of the distortion itself. And the localiser
alone, *taught* theta by squared error, shows what that network can find out about a pose if it is told what to look
for. It learns the upright pose of a digit, so it is scored by the same measure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from attn_ref.backend import Array
from attn_ref.blocks import Block, Flatten, Linear, Sequential, SpatialTransformer
from attn_ref.datasets import LabelledImages, distort, stroke_digits
from attn_ref.experiments.distorted_digits import error_rate, transformer_of
from attn_ref.experiments.experiment import Experiment, Report, Settings, Training, cut, fit, outputs
from attn_ref.experiments.losses import squared_error
from attn_ref.experiments.networks import GLIMPSE, build, convolutional_localiser
from attn_ref.experiments.poses import Poses, Scores, score
from attn_ref.experiments.results import cell, order, table, values
from attn_ref.experiments.trainer import Batch

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["EXPERIMENT"]

_DRAWN, _TEST, _TYPICAL = 1989, 1990, 1991
"""Seeds: of the training digits, of the test digits, and of those that the typical poses are taken from."""

_SIZE = (GLIMPSE, GLIMPSE)

_SHOWN = 6

_REASON = (
    "Nothing rewards turning as such. Drawn digits of a class are so alike that even a linear classifier can tell the "
    "classes apart at every angle that occurs; and the localiser sees the digit too, so it can show classes in "
    "different sizes or places and thereby say which it is."
)
"""Why a transformer that learns from classes alone may leave digits as they lean."""


@cache
def _upright(samples: int) -> LabelledImages:
    return stroke_digits(samples, _DRAWN, kind=None)


@cache
def _known(tests: int, data: str, seed: int) -> tuple[LabelledImages, Array]:
    """Distorted digits that nothing is trained on, at least two of each class, and their thetas."""
    labels = np.arange(max(tests, 20)) % 10
    digits = stroke_digits(len(labels), seed, kind=data, labels=labels)
    return LabelledImages(digits.images, digits.labels), digits.theta


def _linear(size: int, rng: np.random.Generator) -> Block:
    glimpse = SpatialTransformer(convolutional_localiser(size, rng), output_size=_SIZE, align_corners=False)
    return Sequential(glimpse, Flatten(), Linear(GLIMPSE * GLIMPSE, 10, rng=rng))


_NETWORKS: dict[str, Callable[[int, np.random.Generator], Block]] = {
    "ST-linear": _linear,
    "ST-CNN": lambda size, rng: build("ST-CNN", size, rng),
    "taught": convolutional_localiser,
}


def _theta(block: Block, images: Array) -> Array:
    """What a network, or a localiser by itself, says of images: (N, 2, 3)."""
    transformer = transformer_of(block)
    function = transformer.theta if transformer else lambda x: block.forward(x)[0].reshape(-1, 2, 3)
    return outputs(function, images)


def _run(training: Training, checkpoint: Path | None, report: Report | None) -> dict[str, Any]:
    settings, taught = training.settings, training.net == "taught"
    upright = _upright(settings.samples)
    test, test_theta = _known(settings.tests, training.data, _TEST)
    typical, typical_theta = _known(settings.tests, training.data, _TYPICAL)
    size = test.images.shape[2]
    block = _NETWORKS[training.net](size, training.generators()[0])

    def batches(rng: np.random.Generator) -> list[Batch]:
        images, theta = distort(upright.images, training.data, rng)
        return cut(images, theta.reshape(-1, 6) if taught else upright.labels, rng)

    def scored(learned: Array, learned_typical: Array) -> Scores:
        known = Poses(learned_typical, typical_theta, typical.labels)
        return score(Poses(learned, test_theta, test.labels), known, (size, size), _SIZE)

    def evaluate(block: Block) -> dict[str, Any]:
        learned = _theta(block, test.images)
        found: dict[str, Any] = dict(scored(learned, _theta(block, typical.images))._asdict())
        if not taught:
            found["test_error"] = error_rate(block, test)
        found["theta"] = np.round(learned[:_SHOWN].astype(np.float64), 4).tolist()
        return found

    loss = squared_error if taught else None
    state = fit(training, block, batches, loss=loss, evaluate=evaluate, checkpoint=checkpoint, report=report)
    last = state.history[-1]
    still = np.repeat(np.eye(2, 3)[None], len(test), axis=0)
    return {
        "parameters": block.count,
        **{name: last[name] for name in ("degrees", "scale", "pixels", "test_error") if name in last},
        "still": scored(still, still[: len(typical)])._asdict(),
        "history": list(state.history),
    }


def _section(results: Mapping[str, Any]) -> list[str]:
    settings = results["settings"]
    rows = []
    for data in order(results, "data"):
        still = next(row["still"] for row in results["trainings"] if row["data"] == data)
        rows.append([f"{data}: a glimpse that stands still", "–", *_written({k: [v] for k, v in still.items()})])
        for net in order(results, "net"):
            found = {key: values(results, net, data, key) for key in Scores._fields}
            rows.append(
                [f"{data}: {net}", cell(values(results, net, data, "test_error"), factor=100), *_written(found)]
            )
    lines = [
        f"Drawn digits with a known pose; {settings['epochs']} epochs of {settings['samples']:,}, distorted anew in "
        "each. ST-linear (a transformer, then a linear classifier) and ST-CNN are told which digit it is and nothing "
        "of its pose; *taught* is their localiser alone, told the true theta. What is scored is how far the glimpse is "
        "from the pose that is typical of its class: the mean deviation of its angle, its scale and its centre, over "
        f"{settings['tests']:,} test digits, the typical poses being taken from others. A transformer is free to "
        "choose how a class stands, so only the consistency within a class is scored. Mean ± standard deviation over "
        "the seeds.",
        "",
        *table(["", "error, %", "rotation, °", "scale, %", "place, pixels"], rows),
        "",
    ]
    for data in order(results, "data"):
        still = next(row["still"] for row in results["trainings"] if row["data"] == data)
        for net in order(results, "net"):
            lines += _verdict(results, net, data, still)
    for net, data in _looked_at(results):
        lines += [
            "",
            f"Where {'the localiser that was taught' if net == 'taught' else f'the {net}'} looks on {data} (seed 0), "
            "and what it sees:",
            "",
            f"![Where the glimpse of {net} is on {data}, over the epochs](looking_{net}_{data}.png)",
        ]
    return lines


def _written(found: Mapping[str, list[float]]) -> list[str]:
    return [cell(found["degrees"]), cell(found["scale"], factor=100), cell(found["pixels"], digits=2)]


def _verdict(results: Mapping[str, Any], net: str, data: str, still: Mapping[str, float]) -> list[str]:
    """How much of each spread is left, against a glimpse that stands still."""
    parts = []
    for key, title in (("degrees", "rotation"), ("scale", "scale"), ("pixels", "place")):
        found = values(results, net, data, key)
        if found and still[key] > 1e-3:
            parts.append(f"{100 * sum(found) / len(found) / still[key]:.0f} % of that of {title}")
    if not parts:
        return []
    line = f"- {data}, {net}: of the spread of the distortion there remains {', '.join(parts)}."
    degrees = values(results, net, data, "degrees")
    if net != "taught" and sum(degrees) / len(degrees) > still["degrees"] / 2:
        line += f" **It turns the digits little or not at all.** {_REASON}"
    return [line]


def _looked_at(results: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(row["net"], row["data"]) for row in results["trainings"] if row["seed"] == 0]


def _figures(results: Mapping[str, Any]) -> dict[str, Figure]:
    from attn_ref.experiments import figures

    made = {}
    for row in results["trainings"]:
        if row["seed"] == 0:
            images = _known(results["settings"]["tests"], row["data"], _TEST)[0].images[:_SHOWN]
            made[f"looking_{row['net']}_{row['data']}"] = figures.draw_looking(images, row["history"])
    return made


EXPERIMENT = Experiment(
    name="upright",
    question="does it find the pose that a digit was drawn in?",
    nets={
        "ST-linear": "a convolutional transformer, then one linear layer; trained to name the digit",
        "ST-CNN": "a convolutional transformer, then a CNN; trained to name the digit",
        "taught": "the localiser of both, trained to give the true theta",
    },
    data={"R": "rotated within ±90°", "RTS": "rotated within ±45°, scaled by 0.7 to 1.2, anywhere in 42 × 42 pixels"},
    full=Settings(samples=4000, tests=1000, epochs=20),
    quick=Settings(samples=1500, tests=500, epochs=10),
    most=60_000,
    prepare=lambda: _upright(1),
    run=_run,
    section=_section,
    figures=_figures,
)
"""What ``attn-ref experiment upright`` runs."""
