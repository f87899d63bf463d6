"""What attn_ref does in each kind of case."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import attn_ref
from attn_ref.backend import Array
from attn_ref.bench import training
from attn_ref.bench.cases import Case
from attn_ref.bench.problems import Arrays
from attn_ref.bench.works import BOTH, FORWARD, Work, Works
from attn_ref.gradcheck import check_gradients

__all__ = ["KINDS"]


def _all(results: Any) -> tuple[Array, ...]:
    """Arrays already."""
    return tuple(results)


def _one(result: Array) -> tuple[Array, ...]:
    return (result,)


def _sample(case: Case, arrays: Arrays) -> Works:
    x, grid, grad = arrays["input"], arrays["grid"], arrays["grad_output"]

    def forward() -> Array:
        return attn_ref.grid_sample(x, grid, **case.options)

    def both() -> tuple[Array, ...]:
        return (forward(), *attn_ref.grid_sample_backward(grad, x, grid, **case.options))

    return {BOTH: Work(both, _all), FORWARD: Work(forward, _one)}


def _small(case: Case, arrays: Arrays) -> Works:
    return {FORWARD: _sample(case, arrays)[FORWARD]}


def _operator(case: Case, arrays: Arrays) -> Works:
    x, grid, grad = arrays["input"], arrays["grid"], arrays["grad_output"]

    def use() -> tuple[Array, ...]:
        S = attn_ref.sampling_operator(grid, case.shape[2:], **case.options)
        return S.apply(x), S.transpose(grad)

    return {"make and use": Work(use, _all)}


def _affine(case: Case, arrays: Arrays) -> Works:
    theta, grad = arrays["theta"], arrays["grad_grid"]
    size = (*case.shape[:2], *case.output)

    def both() -> tuple[Array, ...]:
        grid = attn_ref.affine_grid(theta, size, **case.options)
        return grid, attn_ref.affine_grid_backward(grad, size, **case.options)

    return {BOTH: Work(both, _all)}


def _se(_: Case, arrays: Arrays) -> Works:
    grad = arrays["grad_output"]
    inputs = [array for name, array in arrays.items() if name != "grad_output"]

    def both() -> tuple[Array, ...]:
        output = attn_ref.squeeze_excitation(*inputs)
        return (output, *attn_ref.squeeze_excitation_backward(grad, *inputs))

    return {BOTH: Work(both, _all)}


def _gradcheck(case: Case, arrays: Arrays) -> Works:
    def forward(x: Array, grid: Array) -> Array:
        return attn_ref.grid_sample(x, grid, **case.options)

    def backward(grad: Array, x: Array, grid: Array) -> tuple[Array, ...]:
        return attn_ref.grid_sample_backward(grad, x, grid, **case.options)

    def check() -> bool:
        return check_gradients(forward, backward, [arrays["input"], arrays["grid"]], batched=True).passed

    return {"check": Work(check, lambda passed: (np.array(float(passed)),))}


KINDS: dict[str, Callable[[Case, Arrays], Works]] = {
    "sample": _sample,
    "small": _small,
    "operator": _operator,
    "affine": _affine,
    "se": _se,
    "gradcheck": _gradcheck,
    "train": training.ours,
}
"""By the kind of a case."""
