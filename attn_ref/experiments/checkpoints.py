"""All that training changes, as one value, and the file that it is kept in.

A checkpoint is an ``.npz`` file of arrays: "params.NAME", "buffers.NAME" and "optimiser.NAME", and "record", a string
that holds everything else as JSON: the settings of the training, the generator's state, the place and the history.
Python writes and reads the numbers in it exactly. There is no pickle in it, and the file is written whole or not at
all.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from attn_ref.backend import Array
from attn_ref.blocks import Arrays, Block, load_arrays, prefixed, save_arrays

__all__ = ["CheckpointError", "Optimiser", "State", "load_checkpoint", "save_checkpoint"]

_FORMAT = "attn_ref training 1"

_ARRAYS = {"params": "parameters", "buffers": "buffers", "optimiser": "optimiser's arrays"}
"""Kinds of arrays, and what they are called."""

_NUMBERS = ("generator", "epoch", "step", "loss", "wrong", "seen", "norm", "history")


class CheckpointError(ValueError):
    """A file that training cannot go on from; the message names it and says why."""


class Optimiser(Protocol):
    """What training needs of an optimiser: :mod:`attn_ref.blocks.optim` has two."""

    def init(self, params: Mapping[str, Array]) -> Arrays:
        """Return the state before the first step."""

    def step(
        self,
        params: Mapping[str, Array],
        grads: Mapping[str, Array],
        state: Mapping[str, Array],
        learning_rate: float | None = None,
    ) -> tuple[Arrays, Arrays]:
        """Return the new parameters and the new state."""


@dataclass(frozen=True)
class State:
    """All that training changes.

    Attributes
    ----------
    params, buffers, optimiser : dict of str to array
        Of the block, and what the optimiser remembers.
    generator : mapping
        State of the generator's bit generator when this epoch began.
    epoch, step : int
        How many epochs are done, and how many steps of this one.
    loss : float
        Sum over the samples of this epoch so far.
    wrong, seen : int
        Wrong ones among them (None if the loss knows of none), and their number.
    norm : float
        Largest norm of a gradient in this epoch so far, before clipping.
    history : tuple of dict
        A record of the beginning and one of each epoch done.
    """

    params: Arrays
    buffers: Arrays
    optimiser: Arrays
    generator: Mapping[str, Any]
    epoch: int = 0
    step: int = 0
    loss: float = 0.0
    wrong: int | None = None
    seen: int = 0
    norm: float = 0.0
    history: tuple[dict[str, Any], ...] = ()


def save_checkpoint(path: Path, state: State, settings: Mapping[str, Any]) -> None:
    """Write a state to a file.

    Parameters
    ----------
    path : pathlib.Path
        The file; one that exists is replaced once the new one is complete.
    state : State
        What to keep.
    settings : mapping
        Of the training, as JSON can hold them.

    Raises
    ------
    ValueError
        If the file cannot be written; one that exists stays as it was.
    """
    record = {"format": _FORMAT, "settings": settings, **{name: getattr(state, name) for name in _NUMBERS}}
    arrays: Arrays = {"record": np.array(json.dumps(record, allow_nan=False))}
    for kind in _ARRAYS:
        arrays |= prefixed(kind, getattr(state, kind))
    save_arrays(path, arrays)


def load_checkpoint(path: Path, block: Block, optimiser: Optimiser, settings: Mapping[str, Any]) -> State:
    """Read a state, and give the block its parameters and buffers.

    Parameters
    ----------
    path : pathlib.Path
        A file that :func:`save_checkpoint` wrote.
    block : Block
        Made as when the training began. It is changed only if all is well.
    optimiser : Optimiser
        Likewise.
    settings : mapping
        Those that the training has now.

    Returns
    -------
    State
        The state that was kept.

    Raises
    ------
    CheckpointError
        If the file cannot be read, is cut short or damaged, is no checkpoint, has other settings (the message lists
        them), or does not fit the block or the optimiser. The file stays as it is.
    """
    try:
        found = load_arrays(path)
    except ValueError as error:
        raise CheckpointError(str(error)) from error
    record = _record(path, found)
    here, there = _plain(settings), record["settings"]
    names = sorted({*here, *there}, key=str)
    differing = [
        f"{name} was {there.get(name)!r} and is now {here.get(name)!r}"
        for name in names
        if here.get(name) != there.get(name)
    ]
    if differing:
        raise CheckpointError(f"{path} is a checkpoint of other settings: {'; '.join(differing)}")
    parts = {
        kind: {name.removeprefix(f"{kind}."): array for name, array in found.items() if name.startswith(f"{kind}.")}
        for kind in _ARRAYS
    }
    wanted = {"params": block.params, "buffers": block.buffers, "optimiser": optimiser.init(block.params)}
    for kind, arrays in wanted.items():
        if _shapes(arrays) != _shapes(parts[kind]):
            raise CheckpointError(
                f"{path} does not fit this {type(block).__name__}: its {_ARRAYS[kind]} have other names or shapes"
            )
    generator = np.random.default_rng(0).bit_generator
    try:
        generator.state = record["generator"]
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path} holds no state of a {type(generator).__name__} generator") from error
    block.assign({**parts["params"], **parts["buffers"]})
    numbers: dict[str, Any] = {name: record[name] for name in _NUMBERS}
    numbers["history"] = tuple(record["history"])
    return State(parts["params"], parts["buffers"], parts["optimiser"], **numbers)


def _record(path: Path, found: Arrays) -> dict[str, Any]:
    """The part that is JSON, checked to be one."""
    try:
        record = json.loads(str(found["record"][()]))
        if record["format"] == _FORMAT and set(record) == {"format", "settings", *_NUMBERS}:
            return dict(record)
    except (KeyError, TypeError, ValueError):
        pass
    raise CheckpointError(f"{path} is not a checkpoint of a training: it has no record of one ({_FORMAT!r})")


def _plain(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as they come back from JSON, where a tuple is a list."""
    plain: dict[str, Any] = json.loads(json.dumps(settings))
    return plain


def _shapes(arrays: Arrays) -> dict[str, tuple[Any, ...]]:
    return {name: (array.dtype, array.shape) for name, array in arrays.items()}
