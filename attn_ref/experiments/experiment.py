"""What an experiment is: networks, data sets and seeds, one training for each combination, and what is made of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from attn_ref.backend import Array
from attn_ref.blocks import Adam, Block
from attn_ref.experiments.checkpoints import State
from attn_ref.experiments.losses import Loss
from attn_ref.experiments.trainer import Batch, Progress, train

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Experiment", "Report", "Settings", "Training", "cut", "fit", "outputs"]

Report = Callable[[Progress], None]
Result = dict[str, Any]
"""What is kept of a training: a dict that JSON can hold."""

_BATCH = 64
_LEARNING_RATE = 2e-3
_MAX_NORM = 5.0
_LATE = 0.3


@dataclass(frozen=True)
class Settings:
    """How much is trained.

    Attributes
    ----------
    samples, tests : int
        Samples to train on and to test on.
    epochs : int
        Passes over the training samples.
    """

    samples: int
    tests: int
    epochs: int


@dataclass(frozen=True)
class Training:
    """One training: a network, a data set, a seed.

    Attributes
    ----------
    experiment, net, data : str
        The names of each.
    seed : int
        For the parameters at the start and the samples of each epoch. The test set does not depend on it.
    settings : Settings
        How much is trained.
    """

    experiment: str
    net: str
    data: str
    seed: int
    settings: Settings

    @property
    def title(self) -> str:
        """What it is called in a line of text."""
        return f"{self.net} on {self.data}, seed {self.seed}"

    @property
    def stem(self) -> str:
        """What its file is called, without a suffix."""
        return f"{self.net}_{self.data}_{self.seed}"

    def generators(self) -> tuple[np.random.Generator, np.random.Generator]:
        """Return generators for the parameters and for the samples: the latter are the same for every network."""
        parameters, samples = (np.random.default_rng([self.seed, stream]) for stream in range(2))
        return parameters, samples

    def to_dict(self) -> dict[str, Any]:
        """Return everything that makes it this training and no other."""
        return dataclasses.asdict(self)


@dataclass(frozen=True)
class Experiment:
    """An experiment.

    Attributes
    ----------
    name, question : str
        What it is called, and what it asks, in a line.
    nets, data : dict of str to str
        The names of the networks and of the data sets, and a few words on each.
    full, quick : Settings
        How much is trained, in earnest and with ``--quick``.
    most : int
        The most training samples there are.
    prepare : callable
        Loads the data once, so that whatever is missing is found out before any work.
    run : callable
        Runs a training, given its checkpoint and whom to report to, and returns what is kept of it.
    section : callable
        From results to the lines of Markdown that say what was found.
    figures : callable
        From results to figures, by the name of their file without its suffix.
    """

    name: str
    question: str
    nets: Mapping[str, str]
    data: Mapping[str, str]
    full: Settings
    quick: Settings
    most: int
    prepare: Callable[[], object]
    run: Callable[[Training, Path | None, Report | None], Result]
    section: Callable[[Mapping[str, Any]], list[str]]
    figures: Callable[[Mapping[str, Any]], dict[str, Figure]]

    def trainings(self, nets: Sequence[str], data: Sequence[str], seeds: int, settings: Settings) -> list[Training]:
        """Return all trainings, seed after seed."""
        return [Training(self.name, n, d, seed, settings) for seed in range(seeds) for d in data for n in nets]


def fit(
    training: Training,
    block: Block,
    batches: Callable[[np.random.Generator], Sequence[Batch]],
    *,
    loss: Callable[[Array, Array], Loss] | None = None,
    evaluate: Callable[[Block], dict[str, Any]],
    checkpoint: Path | None,
    report: Report | None,
) -> State:
    """Train a block by the recipe that all experiments share.

    Adam with a learning rate of 0.002, times 0.3 in the last quarter of the epochs; gradients shortened to a norm of 5;
    batches of 64.

    Parameters
    ----------
    training : Training
        Which.
    block, batches, loss, evaluate, checkpoint, report
        As in :func:`attn_ref.experiments.trainer.train`.

    Returns
    -------
    State
        The last one.
    """
    epochs = training.settings.epochs
    recipe = {"batch": _BATCH, "learning_rate": _LEARNING_RATE, "late": _LATE, "max_norm": _MAX_NORM}
    return train(
        block,
        batches,
        Adam(_LEARNING_RATE),
        epochs=epochs,
        rng=training.generators()[1],
        loss=loss,
        learning_rate=lambda done: _LEARNING_RATE * (_LATE if done >= epochs - epochs // 4 else 1),
        max_norm=_MAX_NORM,
        evaluate=evaluate,
        checkpoint=checkpoint,
        settings={**training.to_dict(), "recipe": recipe},
        report=report,
    )


def cut(inputs: Array, targets: Array, rng: np.random.Generator) -> list[Batch]:
    """Shuffle samples and cut them into batches of 64; the last one may be shorter.

    Parameters
    ----------
    inputs, targets : array, shapes (N, …)
        The samples.
    rng : numpy.random.Generator
        Shuffles.

    Returns
    -------
    list of pairs of arrays
        The batches.
    """
    order = rng.permutation(len(inputs))
    parts = [order[first : first + _BATCH] for first in range(0, len(order), _BATCH)]
    return [(inputs[part], targets[part]) for part in parts]


def outputs(function: Callable[[Array], Array], inputs: Array, size: int = 250) -> Array:
    """Apply a function to a few samples at a time, and put the outputs together.

    Parameters
    ----------
    function : callable
        From samples to an array with a row for each.
    inputs : array, shape (N, …)
        All samples.
    size : int
        How many at a time.

    Returns
    -------
    array, shape (N, …)
        The outputs.
    """
    return np.concatenate([function(inputs[first : first + size]) for first in range(0, len(inputs), size)])
