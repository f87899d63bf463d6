"""Squeeze-and-excitation modules of other systems in PyTorch, from their definitions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
nn = torch.nn
F = torch.nn.functional

FUNCTIONS = {
    "relu": F.relu,
    "silu": F.silu,
    "gelu": F.gelu,
    "gelu_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "sigmoid": torch.sigmoid,
    # F.hardsigmoid's backward multiplies by 1/6 rounded to float32, in float64 too (PyTorch 2.13): 5e-9 off
    "hard_sigmoid": lambda x: torch.clip(x / 6 + 0.5, 0, 1),
}


class Excitation(nn.Module):  # type: ignore[misc, name-defined]
    """Mean, gates of it, which are the subclasses' matter, and scaling."""

    gates: Any

    def forward(self, x: Any) -> Any:
        z = x.mean(dim=tuple(range(2, x.ndim)))
        return x * self.gates(z).reshape(*z.shape, *(1 for _ in x.shape[2:]))


class LinearExcitation(Excitation):
    """fc.0 and fc.2, as in senet.pytorch (no biases) and AlphaPose (biases)."""

    def __init__(self, channels: int, width: int, bias: bool) -> None:
        super().__init__()
        self.fc = nn.Sequential(
            nn.Linear(channels, width, bias=bias), nn.ReLU(), nn.Linear(width, channels, bias=bias), nn.Sigmoid()
        )

    def gates(self, z: Any) -> Any:
        return self.fc(z)


class ConvExcitation(Excitation):
    """fc1 and fc2, 1×1 convolutions, as in torchvision and timm."""

    def __init__(self, channels: int, width: int, bias: bool, activation: str, gate: str) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(channels, width, 1, bias=bias)
        self.fc2 = nn.Conv2d(width, channels, 1, bias=bias)
        self.activation, self.gate = FUNCTIONS[activation], FUNCTIONS[gate]

    def gates(self, z: Any) -> Any:
        return self.gate(self.fc2(self.activation(self.fc1(z[:, :, None, None]))))


class BasicBlock(nn.Module):  # type: ignore[misc, name-defined]
    """senet.pytorch's SEBasicBlock."""

    def __init__(self, inplanes: int, planes: int, stride: int, downsample: Any, reduction: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inplanes, planes, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.se = LinearExcitation(planes, planes // reduction, bias=False)
        self.downsample = downsample

    def forward(self, x: Any) -> Any:
        h = F.relu(self.bn1(self.conv1(x)))
        h = self.se(self.bn2(self.conv2(h)))
        return F.relu(h + (x if self.downsample is None else self.downsample(x)))


def shortcut(inplanes: int, planes: int, stride: int) -> Any:
    return nn.Sequential(nn.Conv2d(inplanes, planes, 1, stride, bias=False), nn.BatchNorm2d(planes))


def randomised(module: Any, seed: int) -> Any:
    """The module in float64 with all of its parameters and statistics drawn anew, so that none is 0 or 1."""
    rng = np.random.default_rng(seed)
    module = module.double()
    with torch.no_grad():
        for name, tensor in module.state_dict().items():
            if tensor.is_floating_point():
                drawn = rng.uniform(0.5, 2, tensor.shape) if name.endswith("running_var") else None
                tensor.copy_(torch.from_numpy(rng.standard_normal(tensor.shape) if drawn is None else drawn))
    return module


def state_of(module: Any) -> dict[str, np.ndarray[Any, Any]]:
    return {name: tensor.numpy().copy() for name, tensor in module.state_dict().items()}


def gradients(module: Any, x: np.ndarray[Any, Any], grad_y: np.ndarray[Any, Any]) -> tuple[Any, Any, dict[str, Any]]:
    """Output, gradient of the input, and of the parameters by their names in the state dict."""
    leaf = torch.from_numpy(x.copy()).requires_grad_()
    module.zero_grad()
    y = module(leaf)
    y.backward(torch.from_numpy(grad_y))
    grads = {name: parameter.grad.numpy() for name, parameter in module.named_parameters()}
    return y.detach().numpy(), leaf.grad.numpy(), grads
