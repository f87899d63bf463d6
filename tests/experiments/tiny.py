"""A training that takes milliseconds: a network with buffers, on batches that the generator draws."""

import numpy as np

from attn_ref.blocks import Activation, Adam, BatchNorm, Linear, Sequential
from attn_ref.experiments.trainer import train


def network(seed=0):
    rng = np.random.default_rng(seed)
    return Sequential(Linear(3, 5, rng=rng), BatchNorm(5), Activation("relu"), Linear(5, 2, rng=rng))


def batches(rng, count=4, size=6):
    made = []
    for _ in range(count):
        x = rng.standard_normal((size, 3)).astype(np.float32)
        made.append((x, (x[:, 0] > x[:, 1]).astype(np.int64)))
    return made


def fit(block=None, epochs=3, seed=1, optimiser=None, **options):
    block = block or network()
    options = {"batches": batches, "max_norm": 5.0, **options}
    chosen = options.pop("batches")
    state = train(block, chosen, optimiser or Adam(0.01), epochs=epochs, rng=np.random.default_rng(seed), **options)
    return block, state


def bits(arrays):
    return {name: (array.dtype, array.shape, array.tobytes()) for name, array in arrays.items()}


def whole(state):
    """Everything in a state, to the bit."""
    numbers = (state.generator, state.epoch, state.step, state.loss, state.wrong, state.seen, state.norm, state.history)
    return bits(state.params), bits(state.buffers), bits(state.optimiser), numbers
