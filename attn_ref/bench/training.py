"""A small convolutional network and one step of training it, by us and by PyTorch.

    Conv(C → 16, 3×3) · ReLU · max 2×2 · Conv(16 → 32, 3×3) · ReLU · max 2×2 · Linear(→ 10), cross-entropy, SGD

Both begin with the same parameters, whose names are the same in both, and give the gradients and the new parameters of
a step. Every further step goes on from the last.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from attn_ref import backend as _backend
from attn_ref import cross_entropy_backward
from attn_ref.backend import Array
from attn_ref.bench.cases import Case
from attn_ref.bench.problems import Arrays
from attn_ref.bench.works import Work, Works
from attn_ref.blocks import SGD, Activation, Conv2d, Flatten, Linear, MaxPool2d, Sequential

__all__ = ["by_torch", "ours"]

_RATE, _MOMENTUM = 0.01, 0.9

_PART = "step"


def ours(case: Case, arrays: Arrays) -> Works:
    """Prepare a step of attn_ref's network."""
    rng = np.random.default_rng(0)  # for values that are replaced at once
    network = Sequential(
        Conv2d(case.shape[1], 16, 3, padding=1, rng=rng, dtype=case.dtype),
        Activation("relu"),
        MaxPool2d(2),
        Conv2d(16, 32, 3, padding=1, rng=rng, dtype=case.dtype),
        Activation("relu"),
        MaxPool2d(2),
        Flatten(),
        Linear(_features(case), 10, rng=rng, dtype=case.dtype),
    )
    xp = _backend.of(input=arrays["input"]).xp
    network.move(xp.asarray)
    network.assign({name: arrays[name] for name in network.params})
    optimiser = SGD(_RATE, momentum=_MOMENTUM)
    state = optimiser.init(network.params)
    one = xp.ones((), case.dtype)

    def step() -> tuple[Array, ...]:
        nonlocal state
        logits, backward, _ = network.forward(arrays["input"], training=True)
        _, grads = backward(cross_entropy_backward(one, logits, arrays["labels"]))
        params, state = optimiser.step(network.params, grads, state)
        network.assign(params)
        return (*(grads[name] for name in params), *params.values())

    return {_PART: Work(step, tuple)}


def by_torch(device: str, case: Case, arrays: Arrays) -> Works:
    """Prepare a step of PyTorch's network on a device as PyTorch names it."""
    import torch
    from torch import nn

    network = nn.Sequential(
        nn.Conv2d(case.shape[1], 16, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(_features(case), 10),
    ).to(device, getattr(torch, case.dtype))
    network.load_state_dict({name: torch.from_numpy(arrays[name]) for name in network.state_dict()})
    optimiser = torch.optim.SGD(network.parameters(), _RATE, momentum=_MOMENTUM)
    x, labels = (torch.from_numpy(arrays[name]).to(device) for name in ("input", "labels"))

    def step() -> Any:
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(network(x), labels).backward()
        optimiser.step()
        return list(network.parameters())

    def results(parameters: Any) -> tuple[Array, ...]:
        return (
            *(p.grad.cpu().numpy().copy() for p in parameters),
            *(p.detach().cpu().numpy().copy() for p in parameters),
        )

    return {_PART: Work(step, results)}


def _features(case: Case) -> int:
    height, width = case.output
    return 32 * (height // 4) * (width // 4)
