"""Blocks beside modules of torch with the same parameters, and blocks as functions of their parameters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from attn_ref.blocks import Block

TOLERANCE = 1e-11


def same(ours: Any, theirs: Any, what: str, tolerance: float = TOLERANCE) -> None:
    """Equal, relative to the largest element."""
    theirs = np.asarray(theirs)
    assert ours.shape == theirs.shape, what
    np.testing.assert_allclose(
        ours, theirs, rtol=0, atol=tolerance * max(1, np.abs(theirs).max(initial=0)), err_msg=what
    )


def bits(value: Any) -> Any:
    """What an object holds, down to the bytes of its arrays and through its children."""
    if isinstance(value, np.ndarray):
        return (value.shape, str(value.dtype), value.tobytes())
    if isinstance(value, Block):
        return bits(vars(value))
    if isinstance(value, dict):
        return {key: bits(entry) for key, entry in value.items()}
    if isinstance(value, tuple | list):
        return [bits(entry) for entry in value]
    return value


def assert_same_as_torch(block: Block, module: Any, x: Any, *, training: bool = False, seed: int = 0) -> None:
    """Output, buffers, and cotangents of x and of every parameter, by name, in float64; and nothing is left behind."""
    torch = pytest.importorskip("torch")
    module = module.double().train(training)
    arrays = {**block.params, **block.buffers}
    found = module.load_state_dict({name: torch.tensor(array) for name, array in arrays.items()}, strict=False)
    assert not found.unexpected_keys
    assert all(name.endswith("num_batches_tracked") for name in found.missing_keys)

    there = torch.tensor(x, requires_grad=True)
    expected = module(there)
    grad_y = np.random.default_rng(seed).standard_normal(tuple(expected.shape))
    expected.backward(torch.tensor(grad_y))

    before = bits(block), bits(x), bits(grad_y)
    y, backward, *rest = block.forward(x, training=training)
    grad_x, grads = backward(grad_y)
    again_x, again = backward(grad_y)
    assert before == (bits(block), bits(x), bits(grad_y)), "something was written to, or kept"
    assert bits(again_x) == bits(grad_x)
    assert bits(again) == bits(grads)

    same(y, expected.detach(), "output")
    same(grad_x, there.grad, "x")
    assert list(grads) == list(block.params)
    for name, parameter in module.named_parameters():
        same(grads[name], parameter.grad, name)
    if training:
        (new,) = rest
        assert list(new) == list(block.buffers)
        for name, buffer in module.named_buffers():
            if name in new:
                same(new[name], buffer, name)


def as_functions(block: Block, *, training: bool = False) -> tuple[Callable[..., Any], Callable[..., Any], list[Any]]:
    """forward(x, *parameters), backward(grad_output, x, *parameters) and the parameters, for check_gradients."""
    names = list(block.params)

    def forward(x: Any, *arrays: Any) -> Any:
        block.assign(dict(zip(names, arrays, strict=True)))
        return block.forward(x, training=training)[0]

    def backward(grad_output: Any, x: Any, *arrays: Any) -> Any:
        block.assign(dict(zip(names, arrays, strict=True)))
        grad_x, grads = block.forward(x, training=training)[1](grad_output)
        return (grad_x, *(grads[name] for name in names))

    return forward, backward, list(block.params.values())


def shuffled(block: Block, seed: int = 1) -> Block:
    """The block with random values in every parameter and buffer; variances stay positive."""
    rng = np.random.default_rng(seed)
    new = {name: array + 0.3 * rng.standard_normal(array.shape) for name, array in block.params.items()}
    new |= {name: array + rng.random(array.shape) for name, array in block.buffers.items()}
    block.assign(new)
    return block
