"""What PyTorch does in each kind of case, in eager mode on the CPU or on a GPU."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import numpy as np

from attn_ref.backend import Array
from attn_ref.bench import training
from attn_ref.bench.cases import Case
from attn_ref.bench.problems import Arrays
from attn_ref.bench.works import BOTH, FORWARD, Work, Works

__all__ = ["KINDS", "kinds"]


def _all(results: Any) -> tuple[Array, ...]:
    return tuple(tensor.detach().cpu().numpy() for tensor in results)


def _one(result: Any) -> tuple[Array, ...]:
    return (result.detach().cpu().numpy(),)


def _tensors(device: str, arrays: Iterable[Array]) -> list[Any]:
    import torch

    return [torch.from_numpy(array).to(device) for array in arrays]


def _both(device: str, f: Callable[..., Any], inputs: list[Array], grad: Array) -> Work:
    """Forward, and backward to all inputs."""
    import torch

    leaves = [tensor.requires_grad_() for tensor in _tensors(device, inputs)]
    (cotangent,) = _tensors(device, [grad])

    def run() -> tuple[Any, ...]:
        output = f(*leaves)
        return (output, *torch.autograd.grad(output, leaves, cotangent))

    return Work(run, _all)


def _sample(device: str, case: Case, arrays: Arrays) -> Works:
    import torch

    def f(x: Any, grid: Any) -> Any:
        return torch.nn.functional.grid_sample(x, grid, **case.options)

    inputs = [arrays["input"], arrays["grid"]]
    tensors = _tensors(device, inputs)
    return {BOTH: _both(device, f, inputs, arrays["grad_output"]), FORWARD: Work(lambda: f(*tensors), _one)}


def _small(device: str, case: Case, arrays: Arrays) -> Works:
    return {FORWARD: _sample(device, case, arrays)[FORWARD]}


def _affine(device: str, case: Case, arrays: Arrays) -> Works:
    import torch

    size = [*case.shape[:2], *case.output]

    def f(theta: Any) -> Any:
        return torch.nn.functional.affine_grid(theta, size, **case.options)

    return {BOTH: _both(device, f, [arrays["theta"]], arrays["grad_grid"])}


def _se(device: str, _: Case, arrays: Arrays) -> Works:
    import torch
    from torch.nn.functional import linear

    def f(x: Any, reduce_weight: Any, expand_weight: Any, reduce_bias: Any, expand_bias: Any) -> Any:
        hidden = torch.relu(linear(x.mean((2, 3)), reduce_weight, reduce_bias))
        return x * torch.sigmoid(linear(hidden, expand_weight, expand_bias))[:, :, None, None]

    return {BOTH: _both(device, f, [a for name, a in arrays.items() if name != "grad_output"], arrays["grad_output"])}


def _gradcheck(device: str, case: Case, arrays: Arrays) -> Works:
    import torch

    leaves = [tensor.requires_grad_() for tensor in _tensors(device, [arrays["input"], arrays["grid"]])]

    def f(x: Any, grid: Any) -> Any:
        return torch.nn.functional.grid_sample(x, grid, **case.options)

    def check() -> bool:
        return bool(torch.autograd.gradcheck(f, leaves))

    return {"check": Work(check, lambda passed: (np.array(float(passed)),))}


def kinds(device: str) -> dict[str, Callable[[Case, Arrays], Works]]:
    """Return the preparations for a device as PyTorch names it, by the kind of a case."""
    functions = {
        "sample": _sample,
        "small": _small,
        "affine": _affine,
        "se": _se,
        "gradcheck": _gradcheck,
        "train": training.by_torch,
    }
    return {kind: partial(function, device) for kind, function in functions.items()}


KINDS = kinds("cpu")
"""By the kind of a case, on the CPU."""
