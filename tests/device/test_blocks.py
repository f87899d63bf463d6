"""Blocks on a device: moved there, trained there, saved from there; the numbers are NumPy's to rounding."""

import numpy as np
import pytest

from attn_ref.blocks import (
    SGD,
    Activation,
    Adam,
    AvgPool2d,
    BatchNorm,
    Conv2d,
    Flatten,
    GlobalAvgPool,
    Linear,
    MaxPool2d,
    Residual,
    SEBasicBlock,
    Sequential,
    SpatialTransformer,
    SpatialTransformerPair,
    SqueezeExcitation,
    clip_gradients,
    identity_head,
    load,
    save,
)

from .libraries import BOTH

F64 = {"dtype": "float64"}


def rng():
    return np.random.default_rng(3)


def network():
    return Sequential(
        Conv2d(3, 4, 3, padding=1, bias=False, rng=rng(), **F64),
        BatchNorm(4, **F64),
        Activation("gelu"),
        Residual(Conv2d(4, 4, 1, rng=rng(), **F64)),
        MaxPool2d(2),
        AvgPool2d(2, padding=1),
        SqueezeExcitation(4, reduction=2, rng=rng(), **F64),
        GlobalAvgPool(),
        Linear(4, 3, rng=rng(), **F64),
    )


def localiser():
    return Sequential(Flatten(), Linear(3 * 8 * 7, 6, rng=rng(), **F64), Activation("relu"), identity_head(6, **F64))


BLOCKS = {
    "network": network,
    "SEBasicBlock": lambda: SEBasicBlock(3, 3, reduction=2, rng=rng(), **F64),
    "SpatialTransformer": lambda: SpatialTransformer(localiser(), output_size=(5, 6), align_corners=False),
    "SpatialTransformerPair": lambda: SpatialTransformerPair(
        localiser(), Conv2d(3, 3, 1, rng=rng(), **F64), output_size=(5, 6), align_corners=True, mode="bicubic"
    ),
    "rotation": lambda: SpatialTransformer(
        Sequential(Flatten(), identity_head(3 * 8 * 7, "rotation", **F64)), align_corners=False, restriction="rotation"
    ),
}


WAITS = {"SpatialTransformerPair": 2}
"""Of forward and backward together: it inverts theta, which must not be singular."""


def close(device, ours, theirs):
    theirs = np.asarray(theirs)
    np.testing.assert_allclose(device.get(ours), theirs, rtol=0, atol=1e-11 * (1 + np.abs(theirs).max(initial=0)))


@BOTH
@pytest.mark.parametrize("name", BLOCKS)
@pytest.mark.parametrize("training", [False, True])
def test_a_block_gives_on_a_device_what_it_gives_on_the_host(device, name, training):
    here, there = BLOCKS[name](), BLOCKS[name]()
    there.move(device.put)
    x = rng().standard_normal((2, 3, 8, 7))
    expected, pull, *new = here.forward(x, training=training)
    u = rng().standard_normal(expected.shape)
    grad_x, grads = pull(u)
    given, cotangent = device.put(x), device.put(u)
    for _ in range(2):  # a block used twice
        with device.unattended(WAITS.get(name, 0)):
            y, backward, *buffers = there.forward(given, training=training)
            grad_given, grads_there = backward(cotangent)
        close(device, y, expected)
        close(device, grad_given, grad_x)
        for ours, theirs in [(grads_there, grads), *zip(buffers, new, strict=True)]:
            assert ours.keys() == theirs.keys()
            for key, value in ours.items():
                assert type(value) is device.xp.ndarray
                close(device, value, theirs[key])


@BOTH
@pytest.mark.parametrize("optimiser", [SGD(0.1, momentum=0.9), Adam(0.01, weight_decay=0.1)], ids=["SGD", "Adam"])
def test_a_step_of_training_on_a_device_is_that_on_the_host(device, optimiser, tmp_path):
    here, there = network(), network()
    there.move(device.put)
    x = rng().standard_normal((4, 3, 8, 7))
    given, u = device.put(x), device.put(np.ones((4, 3)))
    states = [optimiser.init(here.params), optimiser.init(there.params)]
    for _ in range(2):
        _, pull, _ = here.forward(x, training=True)
        grads, norm = clip_gradients(pull(np.ones((4, 3)))[1], 0.5)
        params, states[0] = optimiser.step(here.params, grads, states[0])
        here.assign(params)
        _, backward, _ = there.forward(given, training=True)
        # To shorten the gradient its length must be known: one wait for each parameter.
        with device.unattended(len(params)):
            grads, norm_there = clip_gradients(backward(u)[1], 0.5)
        assert norm_there == pytest.approx(norm, rel=1e-10)
        with device.unattended():
            params, states[1] = optimiser.step(there.params, grads, states[1])
        there.assign(params)
    for key, value in there.params.items():
        close(device, value, here.params[key])
    save(there, tmp_path / "device.npz")
    again = network()
    load(again, tmp_path / "device.npz")
    for key, value in again.params.items():
        assert (value == device.get(there.params[key])).all()
    there.move(device.backend.to_host)
    assert {type(value) for value in there.params.values()} == {np.ndarray}


def test_parameters_are_moved_all_or_none(stand_in):
    block = network()
    before = block.params
    taken = []

    def once(array):
        taken.append(array)
        return stand_in.put(array) if len(taken) == 1 else array

    with pytest.raises(TypeError, match="stand_in"):
        block.move(once)
    with pytest.raises(TypeError, match=r"0\.weight .* float64 .* float32"):
        block.move(lambda array: array.astype("float32"))
    with pytest.raises(ValueError, match=r"0\.weight has shape"):
        block.move(lambda array: array.reshape(-1))
    with pytest.raises(TypeError, match=r"list"):
        block.move(lambda array: array.tolist())
    assert all(block.params[name] is array for name, array in before.items())


def test_arrays_of_the_host_are_not_moved_in_passing(stand_in):
    block = network()
    block.move(stand_in.put)
    with pytest.raises(TypeError, match=r"numpy.*stand_in|stand_in.*numpy"):
        block.forward(np.zeros((2, 3, 8, 7)))
