"""Presets: what each system builds, number by number against the same module in PyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from attn_ref.blocks import SE_PRESETS, SqueezeExcitation, load_se_weights, se_preset
from attn_ref.blocks.se_presets import LAYOUTS

CASES: list[tuple[str, int, dict[str, Any], int, tuple[str, str]]] = [  # preset, C, choices, R, activation and gate
    ("senet.pytorch", 64, {}, 4, ("relu", "sigmoid")),
    ("senet.pytorch", 40, {"reduction": 8}, 5, ("relu", "sigmoid")),
    ("caffe", 256, {}, 16, ("relu", "sigmoid")),
    ("torchvision", 30, {"width": 7}, 7, ("relu", "sigmoid")),
    ("torchvision", 30, {"width": 7, "activation": "gelu", "gate": "hard_sigmoid"}, 7, ("gelu", "hard_sigmoid")),
    ("torchvision.efficientnet", 96, {"block_channels": 16}, 4, ("silu", "sigmoid")),
    ("torchvision.efficientnet", 12, {"block_channels": 3}, 1, ("silu", "sigmoid")),
    ("torchvision.mobilenet_v3", 72, {}, 24, ("relu", "hard_sigmoid")),
    ("timm", 64, {}, 8, ("relu", "sigmoid")),
    ("timm", 72, {"reduction": 4, "gate": "hard_sigmoid"}, 16, ("relu", "hard_sigmoid")),
    ("timm", 64, {"width": 5, "activation": "silu", "bias": False}, 5, ("silu", "sigmoid")),
    ("alphapose", 20, {}, 20, ("relu", "sigmoid")),
]


def test_every_preset_is_tested() -> None:
    assert {case[0] for case in CASES} == set(SE_PRESETS)
    assert {preset.layout for preset in SE_PRESETS.values()} == set(LAYOUTS)


@pytest.mark.parametrize(("name", "C", "choices", "R", "functions"), CASES)
def test_equals_the_module_it_names(
    name: str, C: int, choices: dict[str, Any], R: int, functions: tuple[str, str]
) -> None:
    pytest.importorskip("torch")
    from tests.blocks import torch_senet as theirs

    layout = SE_PRESETS[name].layout
    bias = choices.get("bias", name != "senet.pytorch")
    module = (
        theirs.LinearExcitation(C, R, bias)
        if layout == "linear"
        else theirs.ConvExcitation(C, R, bias, activation=functions[0], gate=functions[1])
    )
    module = theirs.randomised(module, seed=5)
    state = theirs.state_of(module)
    if layout == "caffe":
        layers, blobs = {"fc1": "1x1_down", "fc2": "1x1_up"}, {"weight": "0", "bias": "1"}
        split = {key: key.split(".") for key in state}
        state = {f"{layers[layer]}/{blobs[kind]}": state[key] for key, (layer, kind) in split.items()}

    block = se_preset(name, C, rng=np.random.default_rng(1), dtype="float64", **choices)
    shapes = {"reduce_weight": (R, C), "expand_weight": (C, R)}
    shapes |= {"reduce_bias": (R,), "expand_bias": (C,)} if bias else {}
    assert {name: array.shape for name, array in block.params.items()} == shapes
    load_se_weights(block, state)

    rng = np.random.default_rng(6)
    x, grad_y = rng.standard_normal((3, C, 5, 2)), rng.standard_normal((3, C, 5, 2))
    y, backward = block.forward(x)
    grad_x, grads = backward(grad_y)
    t_y, t_grad_x, t_grads = theirs.gradients(module, x, grad_y)
    np.testing.assert_allclose(y, t_y, rtol=1e-11, atol=1e-11)
    np.testing.assert_allclose(grad_x, t_grad_x, rtol=1e-11, atol=1e-11)
    ours = {"fc.0": "reduce", "fc.2": "expand", "fc1": "reduce", "fc2": "expand"}
    assert len(t_grads) == len(grads)
    for key, grad in t_grads.items():
        layer, _, kind = key.rpartition(".")
        found = grads[f"{ours[layer]}_{kind}"]
        np.testing.assert_allclose(found, grad.reshape(found.shape), rtol=1e-11, atol=1e-11, err_msg=key)


def test_survey_selayer_of_senet_pytorch() -> None:
    """SELayer(channel, reduction): mean, Linear to channel // reduction, ReLU, Linear, sigmoid; no biases."""
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(8)
    W1, W2 = rng.standard_normal((2, 48)), rng.standard_normal((48, 2))
    x, grad_y = rng.standard_normal((5, 48, 4, 3)), rng.standard_normal((5, 48, 4, 3))
    block = se_preset("senet.pytorch", 48, reduction=24, dtype="float64")
    load_se_weights(block, {"fc.0.weight": W1, "fc.2.weight": W2})
    y, backward = block.forward(x)
    grad_x, grads = backward(grad_y)

    t_x, t_W1, t_W2 = (torch.from_numpy(array.copy()).requires_grad_() for array in (x, W1, W2))
    pooled = torch.nn.AdaptiveAvgPool2d(1)(t_x).view(5, 48)
    s = torch.sigmoid(torch.relu(pooled @ t_W1.T) @ t_W2.T)
    t_y = t_x * s.view(5, 48, 1, 1).expand_as(t_x)
    t_y.backward(torch.from_numpy(grad_y))
    pairs = [(y, t_y.detach()), (grad_x, t_x.grad), (grads["reduce_weight"], t_W1.grad)]
    for found, expected in [*pairs, (grads["expand_weight"], t_W2.grad)]:
        np.testing.assert_allclose(found, expected.numpy(), rtol=1e-11, atol=1e-11)


def test_survey_selayer_of_alphapose_has_biases_and_does_not_reduce() -> None:
    shapes = {name: array.shape for name, array in se_preset("alphapose", 10).params.items()}
    assert shapes == {
        "reduce_weight": (10, 10),
        "reduce_bias": (10,),
        "expand_weight": (10, 10),
        "expand_bias": (10,),
    }


def test_survey_torchvision_and_timm_differ_in_width_at_72_channels() -> None:
    torchvision, timm = se_preset("torchvision.mobilenet_v3", 72), se_preset("timm", 72, reduction=4)
    assert torchvision.params["reduce_weight"].shape == (24, 72)
    assert timm.params["reduce_weight"].shape == (16, 72)


def test_options_are_passed_on() -> None:
    block = se_preset("timm", 64, channels_last=True, rng=np.random.default_rng(2), dtype="float64")
    same = SqueezeExcitation(64, width=8, bias=True, rng=np.random.default_rng(2), dtype="float64")
    x = np.random.default_rng(1).standard_normal((2, 64, 3, 4))
    np.testing.assert_allclose(
        np.moveaxis(block.forward(np.moveaxis(x, 1, -1))[0], -1, 1), same.forward(x)[0], rtol=1e-13
    )


@pytest.mark.parametrize(
    ("name", "choices", "error", "message"),
    [
        ("senet", {}, ValueError, "'senet' is unknown: expected one of 'senet.pytorch', 'caffe'.*did you mean"),
        ("torchvison", {}, ValueError, "did you mean 'torchvision'"),
        (None, {}, TypeError, "name must be a string"),
        ("senet.pytorch", {"bias": True}, TypeError, "'senet.pytorch' has no bias: it leaves to choose reduction;"),
        ("senet.pytorch", {"width": 4}, TypeError, "has no width"),
        ("caffe", {"gate": "hard_sigmoid"}, TypeError, "has no gate"),
        ("torchvision", {}, TypeError, "needs width"),
        ("torchvision", {"width": None}, TypeError, "needs width"),
        ("torchvision.efficientnet", {}, TypeError, "needs block_channels"),
        ("torchvision.efficientnet", {"block_channels": 0}, ValueError, "block_channels"),
        ("torchvision.mobilenet_v3", {"reduction": 8}, TypeError, "it leaves to choose nothing"),
        ("timm", {"width": 8, "reduction": 8}, ValueError, "width=8 is given, so that reduction=8"),
        ("timm", {"rd_ratio": 0.25}, TypeError, "has no rd_ratio"),
        ("senet.pytorch", {"reduction": 128}, ValueError, "channels=64 with reduction=128"),
    ],
)
def test_what_a_preset_does_not_have_is_refused(
    name: Any, choices: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        se_preset(name, 64, **choices)
