"""The basic block of SE-ResNets against the same block in PyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from attn_ref.blocks import (
    Activation,
    BatchNorm,
    Block,
    Conv2d,
    Identity,
    SEBasicBlock,
    Sequential,
    export_se_weights,
    load_se_weights,
)

LEFT_OUT = ("num_batches_tracked",)
CASES = [  # inplanes, planes, stride, whether with a downsample path
    (8, 8, 1, False),
    (8, 8, 1, True),
    (3, 8, 1, True),
    (3, 8, 2, True),
    (8, 8, 2, True),
    (6, 4, 3, True),
]


def rng(seed: int = 1) -> np.random.Generator:
    return np.random.default_rng(seed)


def shortcut(inplanes: int, planes: int, stride: int, dtype: str = "float64") -> Block:
    conv = Conv2d(inplanes, planes, 1, stride=stride, bias=False, rng=rng(4), dtype=dtype)
    return Sequential(conv, BatchNorm(planes, dtype=dtype))


def made(inplanes: int = 8, planes: int = 8, stride: int = 1, down: bool = False, **options: Any) -> SEBasicBlock:
    down_path = shortcut(inplanes, planes, stride) if down else None
    options = {"reduction": 2, "rng": rng(5), "dtype": "float64", **options}
    return SEBasicBlock(inplanes, planes, stride, down_path, **options)


def theirs(inplanes: int, planes: int, stride: int, down: bool) -> Any:
    pytest.importorskip("torch")
    from tests.blocks import torch_senet

    path = torch_senet.shortcut(inplanes, planes, stride) if down else None
    return torch_senet, torch_senet.randomised(torch_senet.BasicBlock(inplanes, planes, stride, path, 2), seed=7)


OURS = {"se.fc.0.weight": "se.reduce_weight", "se.fc.2.weight": "se.expand_weight"}


@pytest.mark.parametrize("training", [False, True], ids=["eval", "train"])
@pytest.mark.parametrize(("inplanes", "planes", "stride", "down"), CASES)
def test_survey_sebasicblock_equals_torch(inplanes: int, planes: int, stride: int, down: bool, training: bool) -> None:
    torch_senet, module = theirs(inplanes, planes, stride, down)
    block = made(inplanes, planes, stride, down)
    load_se_weights(block, torch_senet.state_of(module), leave_out=LEFT_OUT)

    x = rng(2).standard_normal((4, inplanes, 7, 6))
    forward = block.forward(x, training=training)
    y, backward = forward[:2]
    grad_y = rng(3).standard_normal(y.shape)
    grad_x, grads = backward(grad_y)

    t_y, t_grad_x, t_grads = torch_senet.gradients(module.train(training), x, grad_y)
    np.testing.assert_allclose(y, t_y, rtol=1e-11, atol=1e-11)
    np.testing.assert_allclose(grad_x, t_grad_x, rtol=1e-11, atol=1e-11)
    assert {OURS.get(name, name) for name in t_grads} == set(grads)
    for name, grad in t_grads.items():
        np.testing.assert_allclose(grads[OURS.get(name, name)], grad, rtol=1e-11, atol=1e-11, err_msg=name)
        assert np.abs(grad).max() > 1e-6
    if training:
        buffers = forward[2]
        t_buffers = {name: t.numpy() for name, t in module.named_buffers() if not name.endswith(LEFT_OUT)}
        assert set(buffers) == set(t_buffers) == set(block.buffers)
        for name, statistic in t_buffers.items():
            np.testing.assert_allclose(buffers[name], statistic, rtol=1e-11, atol=1e-11, err_msg=name)
            assert not np.array_equal(buffers[name], block.buffers[name])


def test_survey_sebasicblock_trains_as_torch_does() -> None:
    """Three steps of gradient descent, the running statistics carried along, then evaluation."""
    torch_senet, module = theirs(3, 8, 2, True)
    block = made(3, 8, 2, True)
    load_se_weights(block, torch_senet.state_of(module), leave_out=LEFT_OUT)
    optimiser = torch_senet.torch.optim.SGD(module.parameters(), lr=0.01)
    for step in range(3):
        x, grad_y = rng(10 + step).standard_normal((4, 3, 7, 6)), rng(20 + step).standard_normal((4, 8, 4, 3))
        _, backward, buffers = block.forward(x, training=True)
        _, grads = backward(grad_y)
        block.assign({name: array - 0.01 * grads[name] for name, array in block.params.items()} | buffers)
        torch_senet.gradients(module.train(), x, grad_y)
        optimiser.step()
    exported = export_se_weights(block, "senet.pytorch")
    state = {name: array for name, array in torch_senet.state_of(module).items() if not name.endswith(LEFT_OUT)}
    assert set(exported) == set(state)
    for name, array in state.items():
        np.testing.assert_allclose(exported[name], array, rtol=1e-9, atol=1e-9, err_msg=name)
    with torch_senet.torch.no_grad():
        t_y = module.eval()(torch_senet.torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(block.forward(x)[0], t_y, rtol=1e-9, atol=1e-9)


def test_names_are_those_of_the_torch_model() -> None:
    _, module = theirs(3, 8, 2, True)
    block = made(3, 8, 2, True)
    names = {OURS.get(name, name) for name in module.state_dict() if not name.endswith(LEFT_OUT)}
    assert set(block.params) | set(block.buffers) == names
    assert set(block.buffers) == {name for name in names if "running" in name}


def test_torch_loads_what_is_exported() -> None:
    torch_senet, module = theirs(3, 8, 2, True)
    block = made(3, 8, 2, True)
    exported = export_se_weights(block, "senet.pytorch")
    module.load_state_dict({name: torch_senet.torch.from_numpy(array) for name, array in exported.items()})
    x = rng(2).standard_normal((4, 3, 7, 6))
    with torch_senet.torch.no_grad():
        t_y = module.eval()(torch_senet.torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(block.forward(x)[0], t_y, rtol=1e-11, atol=1e-11)


def test_counters_are_refused_unless_named() -> None:
    torch_senet, module = theirs(8, 8, 1, False)
    block = made()
    before = {**block.params, **block.buffers}
    state = torch_senet.state_of(module)
    with pytest.raises(ValueError, match=r"bn1.num_batches_tracked has no place.*leave_out=\('num_batches_tracked',\)"):
        load_se_weights(block, state)
    assert all(array is before[name] for name, array in {**block.params, **block.buffers}.items())


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda s: {**s, "conv1.bias": np.zeros(8)}, "conv1.bias has no place"),
        (lambda s: {k: a for k, a in s.items() if k != "bn2.running_var"}, "bn2.running_var is missing"),
        (lambda s: {**s, "conv2.weight": s["conv2.weight"][:, :, 1, 1]}, "conv2.weight has shape (8, 8)"),
        (lambda s: {**s, "se.fc.0.bias": np.zeros(4)}, "se.fc.0.bias has no place"),
        (lambda s: {**s, "downsample.0.weight": np.zeros((8, 8, 1, 1))}, "downsample.0.weight has no place"),
    ],
)
def test_state_dicts_that_do_not_fit_are_refused(change: Any, told: str) -> None:
    block = made()
    state = change(export_se_weights(made(rng=rng(6)), "senet.pytorch"))
    before = {**block.params, **block.buffers}
    with pytest.raises(ValueError, match="do not fit the SEBasicBlock") as caught:
        load_se_weights(block, state)
    assert told in str(caught.value)
    assert all(array is before[name] for name, array in {**block.params, **block.buffers}.items())


def test_a_prefix_picks_one_block_of_a_network() -> None:
    source = made(rng=rng(6))
    state = export_se_weights(source, "senet.pytorch", prefix="layer1.0.") | {"fc.weight": np.zeros((2, 2))}
    block = made()
    load_se_weights(block, state, prefix="layer1.0.")
    for name, array in block.params.items():
        np.testing.assert_array_equal(array, source.params[name])


# ---------------------------------------------------------------------------------------------------------------------
# arguments: honoured or refused


def test_norm_layer_is_honoured() -> None:
    widths: list[int] = []

    def norm_layer(channels: int) -> Block:
        widths.append(channels)
        return BatchNorm(channels, eps=0.5, momentum=0.3, dtype="float64")

    torch_senet, module = theirs(8, 8, 1, False)
    for norm in (module.bn1, module.bn2):
        norm.eps, norm.momentum = 0.5, 0.3
    block = made(norm_layer=norm_layer)
    load_se_weights(block, torch_senet.state_of(module), leave_out=LEFT_OUT)
    assert widths == [8, 8]
    x, grad_y = rng(2).standard_normal((4, 8, 7, 6)), rng(3).standard_normal((4, 8, 7, 6))
    y, backward, buffers = block.forward(x, training=True)
    t_y, t_grad_x, _ = torch_senet.gradients(module.train(), x, grad_y)
    np.testing.assert_allclose(y, t_y, rtol=1e-11, atol=1e-11)
    np.testing.assert_allclose(backward(grad_y)[0], t_grad_x, rtol=1e-11, atol=1e-11)
    np.testing.assert_allclose(buffers["bn2.running_var"], module.bn2.running_var.numpy(), rtol=1e-11)


def test_a_norm_layer_without_parameters_will_do() -> None:
    block = made(norm_layer=lambda channels: Identity())
    assert set(block.params) == {"conv1.weight", "conv2.weight", "se.reduce_weight", "se.expand_weight"}
    x = rng(2).standard_normal((4, 8, 7, 6))
    assert block.forward(x, training=True)[2] == {}


def test_reduction_is_honoured() -> None:
    assert made(planes=8, reduction=4).params["se.reduce_weight"].shape == (2, 8)
    with pytest.raises(ValueError, match="channels=8 with reduction=16"):
        made(planes=8, reduction=16)


def test_downsample_need_not_be_a_convolution() -> None:
    """Any block of the right shape: here relu, so that the shortcut is no longer the identity."""
    with_relu = SEBasicBlock(8, 8, 1, Activation("relu"), reduction=2, rng=rng(5), dtype="float64")
    x = rng(2).standard_normal((4, 8, 7, 6))
    plain, negative = made(), x < 0
    difference = with_relu.forward(x)[0] - plain.forward(x)[0]
    assert np.all(difference[negative] >= 0)
    assert np.any(difference[negative] > 0)
    np.testing.assert_array_equal(difference[~negative], 0)


def test_survey_sebasicblock_ignores_no_argument() -> None:
    """senet.pytorch takes groups, base_width, dilation and norm_layer and does nothing with them."""
    for name, value in {"groups": 32, "base_width": 4, "dilation": 2}.items():
        with pytest.raises(ValueError, match=f"{name}={value} is not supported: a basic block has no bottleneck"):
            made(**{name: value})
    assert made(groups=1, base_width=64, dilation=1).params.keys() == made().params.keys()


def test_as_positional_arguments_of_torchvisions_resnet() -> None:
    """ResNet calls block(inplanes, planes, stride, downsample, groups, base_width, dilation, norm_layer)."""
    block = SEBasicBlock(3, 16, 2, shortcut(3, 16, 2, "float32"), 1, 64, 1, BatchNorm)
    assert block.forward(np.ones((2, 3, 7, 6), np.float32))[0].shape == (2, 16, 4, 3)
    assert SEBasicBlock.expansion == 1


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (
            {"stride": 2},
            ValueError,
            r"pass downsample=Sequential\(Conv2d\(8, 8, 1, stride=2, bias=False.*BatchNorm\(8\)",
        ),
        ({"inplanes": 3}, ValueError, r"downsample is missing: stride=1 from 3 to 8 channels"),
        ({"downsample": lambda x: x}, TypeError, "downsample must be a Block"),
        ({"norm_layer": 8}, TypeError, "norm_layer must be callable"),
        ({"norm_layer": lambda channels: channels}, TypeError, "norm_layer must return a Block, got int"),
        ({"inplanes": 0}, ValueError, "inplanes"),
        ({"planes": 8.0}, TypeError, "planes"),
        ({"stride": (2, 2)}, TypeError, "stride"),
        ({"groups": "1"}, TypeError, "groups"),
        ({"dilation": True}, TypeError, "dilation"),
        ({"reduction": 0}, ValueError, "reduction"),
        ({"rng": 3}, TypeError, "rng"),
        ({"dtype": "int8"}, TypeError, "dtype"),
    ],
)
def test_bad_arguments_are_refused(options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        SEBasicBlock(**{"inplanes": 8, "planes": 8, "reduction": 2, **options})


def test_one_normalisation_in_two_places_is_refused() -> None:
    norm = BatchNorm(8)
    with pytest.raises(ValueError, match="'bn1' and 'bn2'"):
        made(norm_layer=lambda channels: norm)


def test_a_downsample_path_of_another_shape_is_refused() -> None:
    block = SEBasicBlock(3, 8, 2, shortcut(3, 8, 1), reduction=2, dtype="float64")
    with pytest.raises(ValueError, match=r"downsample's output has shape .*4, 8, 7, 6.*expected .*4, 8, 4, 3"):
        block.forward(np.ones((4, 3, 7, 6)))


@pytest.mark.parametrize("x", [np.ones((4, 3, 7, 6)), np.ones((4, 8, 7)), np.ones((4, 8, 7, 6), np.float32), [[1.0]]])
def test_bad_inputs_are_refused(x: Any) -> None:
    with pytest.raises((TypeError, ValueError), match=r"input|weight"):
        made().forward(x)


def test_a_cotangent_of_another_shape_is_refused() -> None:
    _, backward = made().forward(np.ones((4, 8, 7, 6)))
    with pytest.raises(ValueError, match="grad_output"):
        backward(np.ones((4, 8, 6, 7)))


def test_nothing_is_kept_between_calls() -> None:
    block = made(3, 8, 2, True)
    x, other = rng(2).standard_normal((4, 3, 7, 6)), rng(3).standard_normal((5, 3, 9, 4))
    before = {name: array.copy() for name, array in {**block.params, **block.buffers}.items()}
    y, backward, _ = block.forward(x, training=True)
    expected = backward(np.ones_like(y))
    block.forward(other, training=True)
    again = backward(np.ones_like(y))
    np.testing.assert_array_equal(expected[0], again[0])
    for name in block.params:
        np.testing.assert_array_equal(expected[1][name], again[1][name])
    for name, array in {**block.params, **block.buffers}.items():
        np.testing.assert_array_equal(array, before[name])


def test_nan_and_infinity_flow_through_without_warnings() -> None:
    x = rng(2).standard_normal((4, 8, 7, 6))
    x[1, 2, 3, 4], x[2, 0, 0, 0] = np.nan, np.inf
    y, backward = made().forward(x)
    assert np.isnan(y[1]).any()
    assert np.isfinite(y[[0, 3]]).all()
    grad_x, _ = backward(rng(3).standard_normal(y.shape))
    assert np.isfinite(grad_x[[0, 3]]).all()
