"""Training, as steps from one state to the next.

All that training changes is in one value, a :class:`~attn_ref.experiments.checkpoints.State`: parameters, buffers, what
the optimiser remembers, which step of which epoch comes next, and how the generator stood when the epoch began. A step
makes a new state of the last one,

    state ← step(state, batch)

and writes into nothing. So at any moment one state is whole. Whatever interrupts, that one is kept; and training that
goes on from it ends with the same bits as training that was never interrupted: the batches of the epoch are made again
from the generator that it began with, and those already seen are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from attn_ref.backend import Array
from attn_ref.blocks import Block, clip_gradients
from attn_ref.experiments.checkpoints import Optimiser, State, load_checkpoint, save_checkpoint
from attn_ref.experiments.losses import Loss, classification

__all__ = ["Batch", "DivergedError", "Progress", "train"]

Batch = tuple[Array, Array]
"""Inputs and what is to be predicted of them."""


class Progress(NamedTuple):
    """Where training is, after a step or (``ended``) an epoch. Loss and error are those of the epoch so far."""

    epoch: int
    epochs: int
    step: int
    steps: int
    samples: int
    loss: float
    error: float | None
    ended: bool


class DivergedError(ValueError):
    """Training met a NaN or an infinity: the message says where."""


def train(
    block: Block,
    batches: Callable[[np.random.Generator], Sequence[Batch]],
    optimiser: Optimiser,
    *,
    epochs: int,
    rng: np.random.Generator,
    loss: Callable[[Array, Array], Loss] | None = None,
    learning_rate: Callable[[int], float] | None = None,
    max_norm: float | None = None,
    evaluate: Callable[[Block], dict[str, Any]] | None = None,
    checkpoint: Path | None = None,
    settings: Mapping[str, Any] | None = None,
    report: Callable[[Progress], None] | None = None,
) -> State:
    """Train a block, or go on with it.

    Parameters
    ----------
    block : Block
        What is trained. Afterwards it holds the parameters and buffers of the last state.
    batches : callable
        From a generator to the batches of one epoch, pairs of inputs and targets. Called once an epoch, and again
        when that epoch is resumed; all that is random about them must come from the generator.
    optimiser : SGD or Adam
        What turns gradients into steps.
    epochs : int
        How many passes in all; those before an interruption count.
    rng : numpy.random.Generator
        What ``batches`` gets. When training goes on, it is put back into the state that it had.
    loss : callable, optional
        From outputs and targets to a :class:`~attn_ref.experiments.losses.Loss`; by default
        :func:`~attn_ref.experiments.losses.classification`.
    learning_rate : callable, optional
        The schedule: from the number of epochs done to the learning rate. By default the optimiser's own.
    max_norm : float, optional
        Gradients that are longer are shortened to this norm.
    evaluate : callable, optional
        From the block to what shall be recorded of it before the first epoch and after each: a dict that JSON can hold.
    checkpoint : pathlib.Path, optional
        A file, written after each epoch and when training is interrupted. If it exists, training goes on from there.
    settings : mapping, optional
        Kept in the checkpoint and compared: a checkpoint of other settings is refused. Anything that JSON can hold.
    report : callable, optional
        Called with a :class:`Progress` after each step and each epoch. A KeyboardInterrupt from it is like Ctrl-C.

    Returns
    -------
    State
        The last one. Its ``history`` has a dict of the beginning, "epoch": 0, and one of each epoch: "epoch", "loss"
        and "error" (the mean loss over the epoch, and the share of wrong outputs or None), "norm" (the largest norm
        of a gradient, before it was shortened); each with what ``evaluate`` returned.

    Raises
    ------
    DivergedError
        If the loss, a gradient, a parameter or a buffer is NaN or infinite. The message names it and the step; the
        checkpoint keeps the state before that step.
    CheckpointError
        If the checkpoint cannot be used, see :func:`~attn_ref.experiments.checkpoints.load_checkpoint`.
    KeyboardInterrupt
        After Ctrl-C, once the checkpoint is written.
    """
    loop = _Loop(block, optimiser, loss or classification, max_norm, epochs)
    if checkpoint is not None and checkpoint.exists():
        state = load_checkpoint(checkpoint, block, optimiser, settings or {})
    else:
        state = State(block.params, block.buffers, optimiser.init(block.params), rng.bit_generator.state)
        state = replace(state, history=({"epoch": 0, **_recorded(evaluate, block)},))

    def keep() -> None:
        if checkpoint is not None:
            save_checkpoint(checkpoint, state, settings or {})

    try:
        while state.epoch < epochs:
            rng.bit_generator.state = state.generator
            rate = None if learning_rate is None else learning_rate(state.epoch)
            epoch = batches(rng)
            if not len(epoch):
                raise ValueError("batches returned no batch: expected at least one in an epoch")
            for batch in epoch[state.step :]:
                state = loop.step(state, batch, rate, len(epoch))
                if report is not None:
                    report(_progress(state, epochs, len(epoch)))
            ended = _progress(state, epochs, len(epoch), ended=True)
            record = {"epoch": ended.epoch, "loss": ended.loss, "error": ended.error, "norm": state.norm}
            history = (*state.history, {**record, **_recorded(evaluate, block)})
            new = rng.bit_generator.state
            state = State(state.params, state.buffers, state.optimiser, new, state.epoch + 1, history=history)
            keep()
            if report is not None:
                report(ended)
    except (KeyboardInterrupt, DivergedError):
        keep()
        raise
    return state


@dataclass(frozen=True)
class _Loop:
    """What stays the same from step to step."""

    block: Block
    optimiser: Optimiser
    loss: Callable[[Array, Array], Loss]
    max_norm: float | None
    epochs: int

    def step(self, state: State, batch: Batch, rate: float | None, steps: int) -> State:
        """The next state; the block gets its parameters and buffers."""
        where = f"epoch {state.epoch + 1} of {self.epochs}, step {state.step + 1} of {steps}"
        inputs, targets = batch
        output, backward, buffers = self.block.forward(inputs, training=True)
        cost = self.loss(output, targets)
        _check("the ", {"loss": cost.value}, where)
        _, grads = backward(cost.grad_output)
        shortened, norm = clip_gradients(grads, self.max_norm or 1.0)
        if not np.isfinite(norm):
            _check("the gradient of ", grads, where)
            _check("the ", {"norm of the gradient": norm}, where)
        params, remembered = self.optimiser.step(
            state.params, shortened if self.max_norm else grads, state.optimiser, rate
        )
        _check("", {**params, **buffers}, where)
        self.block.assign({**params, **buffers})
        return replace(
            state,
            params=params,
            buffers={**state.buffers, **buffers},
            optimiser=remembered,
            step=state.step + 1,
            loss=state.loss + cost.value * len(inputs),
            wrong=None if cost.wrong is None else (state.wrong or 0) + cost.wrong,
            seen=state.seen + len(inputs),
            norm=max(state.norm, norm),
        )


def _check(title: str, values: Mapping[str, Any], where: str) -> None:
    for name, value in values.items():
        if not np.isfinite(value).all():
            kind = "NaN" if np.isnan(value).any() else "infinite"
            raise DivergedError(f"{title}{name} became {kind} in {where}; training stopped there")


def _recorded(evaluate: Callable[[Block], dict[str, Any]] | None, block: Block) -> dict[str, Any]:
    return {} if evaluate is None else evaluate(block)


def _progress(state: State, epochs: int, steps: int, *, ended: bool = False) -> Progress:
    error = None if state.wrong is None else state.wrong / state.seen
    return Progress(state.epoch + 1, epochs, state.step, steps, state.seen, state.loss / state.seen, error, ended)
