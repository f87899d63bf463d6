"""Chains, residual blocks, and the two blocks that only hand on."""

from __future__ import annotations

import traceback

import numpy as np
import pytest

from attn_ref.blocks import (
    Activation,
    BatchNorm,
    Conv2d,
    Flatten,
    GlobalAvgPool,
    Identity,
    Linear,
    MaxPool2d,
    Residual,
    Sequential,
)
from attn_ref.gradcheck import check_gradients

from .oracle import as_functions, assert_same_as_torch, shuffled


def image(shape=(2, 3, 7, 6), seed=2):
    return np.random.default_rng(seed).standard_normal(shape)


def network(seed=0):
    rng = np.random.default_rng(seed)
    f64 = {"dtype": "float64"}
    return Sequential(
        Conv2d(3, 4, 3, padding=1, bias=False, rng=rng, **f64),
        BatchNorm(4, **f64),
        Activation("silu"),
        MaxPool2d(2),
        Sequential(Conv2d(4, 5, (2, 1), rng=rng, **f64), Identity()),
        Flatten(),
        Linear(5 * 2 * 3, 3, rng=rng, **f64),
    )


def torch_network(nn):
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1, bias=False),
        nn.BatchNorm2d(4),
        nn.SiLU(),
        nn.MaxPool2d(2),
        nn.Sequential(nn.Conv2d(4, 5, (2, 1)), nn.Identity()),
        nn.Flatten(),
        nn.Linear(30, 3),
    )


@pytest.mark.parametrize("training", [True, False])
def test_a_network_is_torchs_and_so_are_its_names(training):
    torch = pytest.importorskip("torch")
    block = shuffled(network())
    assert_same_as_torch(block, torch_network(torch.nn), image(), training=training)
    assert list(block.params)[:4] == ["0.weight", "1.weight", "1.bias", "4.0.weight"]
    assert list(block.buffers) == ["1.running_mean", "1.running_var"]


@pytest.mark.parametrize("training", [True, False])
def test_a_residual_block_is_torchs(training):
    torch = pytest.importorskip("torch")
    nn = torch.nn

    class Twin(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4))
            self.shortcut = nn.Conv2d(3, 4, 1)

        def forward(self, x):
            return self.body(x) + self.shortcut(x)

    rng = np.random.default_rng(0)
    body = Sequential(Conv2d(3, 4, 3, padding=1, rng=rng, dtype="float64"), BatchNorm(4, dtype="float64"))
    block = shuffled(Residual(body, Conv2d(3, 4, 1, rng=rng, dtype="float64")))
    assert_same_as_torch(block, Twin(), image(), training=training)


def test_a_residual_block_adds_its_input_by_default():
    block = Residual(Activation("sigmoid"))
    x, grad_y = image(), image(seed=3)
    y, backward = block.forward(x)
    s = 1 / (1 + np.exp(-x))
    np.testing.assert_allclose(y, x + s, rtol=1e-14)
    np.testing.assert_allclose(backward(grad_y)[0], grad_y * (1 + s * (1 - s)), rtol=1e-14)
    with pytest.raises(ValueError, match="shortcut's output has shape"):
        Residual(MaxPool2d(2)).forward(x)


def test_gradients_are_those_of_differences():
    rng = np.random.default_rng(4)
    block = Sequential(
        Conv2d(2, 3, 2, rng=rng, dtype="float64"),
        Activation("gelu"),
        GlobalAvgPool(),
        Linear(3, 2, rng=rng, dtype="float64"),
    )
    forward, backward, parameters = as_functions(block)
    inputs = [image((2, 2, 3, 4)), *parameters]
    report = check_gradients(forward, backward, inputs, batched=[True] + [False] * len(parameters))
    report.raise_if_failed()
    assert not report.kinks


@pytest.mark.parametrize("block", [Identity(), Sequential()])
def test_identity_and_the_empty_chain_change_nothing(block):
    x, grad_y = image(), image(seed=3)
    y, backward = block.forward(x)
    grad_x, grads = backward(grad_y)
    np.testing.assert_array_equal(y, x)
    np.testing.assert_array_equal(grad_x, grad_y)
    assert grads == {}
    assert block.forward(x, training=True)[2] == {}


@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (3, 0, 2), (0, 3, 2), (4,)])
def test_flatten_and_back(shape):
    x = image(shape)
    y, backward = Flatten().forward(x)
    np.testing.assert_array_equal(y, x.reshape(shape[0], int(np.prod(shape[1:]))))
    np.testing.assert_array_equal(backward(y)[0], x)


@pytest.mark.parametrize("block", [Identity(), Flatten(), Sequential(), Residual(Identity())])
def test_a_cotangent_of_the_wrong_shape_or_dtype_is_refused(block):
    y, backward = block.forward(image())
    with pytest.raises(ValueError, match=r"grad_output has shape .*expected .*shape of the output"):
        backward(y[1:])
    with pytest.raises(TypeError, match="grad_output has dtype float32"):
        backward(y.astype(np.float32))


@pytest.mark.parametrize("block", [Identity(), Flatten(), Sequential()])
def test_lists_are_no_arrays(block):
    with pytest.raises(TypeError, match="input must be an array"):
        block.forward([[1.0, 2.0]])


def test_flatten_needs_a_batch():
    with pytest.raises(ValueError, match=r"expected \(N, …\)"):
        Flatten().forward(np.array(1.0))


def test_an_error_says_which_block_it_came_from():
    with pytest.raises(ValueError, match="input") as caught:
        Sequential(Identity(), network()).forward(image((2, 2, 7, 6)))
    text = "".join(traceback.format_exception(caught.value))
    assert text.index("in Conv2d '0' of a Sequential") < text.index("in Sequential '1' of a Sequential")


def test_what_is_no_block_is_refused():
    with pytest.raises(TypeError, match="'1' must be a Block, got function"):
        Sequential(Identity(), lambda x: x)
    with pytest.raises(TypeError, match="'shortcut' must be a Block, got int"):
        Residual(Identity(), 3)


def test_parameters_under_two_names_are_refused_and_blocks_without_any_are_not():
    layer = Linear(3, 3, rng=np.random.default_rng(0))
    with pytest.raises(ValueError, match=r"one Linear is both '0' and '2\.0'.*a block of its own"):
        Sequential(layer, Identity(), Sequential(layer))
    act = Activation("relu")
    assert Sequential(act, layer, act).count == 12
