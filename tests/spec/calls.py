"""Every public function with arguments that fit, so that a rule about arguments is tried on all of them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import attn_ref


@dataclass(frozen=True)
class Call:
    """A function, its arrays by name and its other arguments by name."""

    function: Callable[..., Any]
    arrays: dict[str, np.ndarray]
    others: dict[str, Any]

    def __call__(self, **replaced: Any) -> Any:
        return self.function(**{**self.arrays, **self.others, **replaced})

    def results(self, **replaced: Any) -> list[np.ndarray]:
        got = self(**replaced)
        return list(got) if isinstance(got, tuple) else [got]


def _draw(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).uniform(-1.2, 1.2, shape)


def _sampling() -> dict[str, Call]:
    image, grid, y = _draw(2, 3, 4, 5), _draw(2, 6, 7, 2), _draw(2, 3, 6, 7)
    aligned = {"align_corners": False}
    f = attn_ref
    return {
        "grid_sample": Call(f.grid_sample, {"input": image, "grid": grid}, aligned),
        "grid_sample_backward": Call(f.grid_sample_backward, {"grad_output": y, "input": image, "grid": grid}, aligned),
        "grid_sample_jvp": Call(
            f.grid_sample_jvp,
            {"input": image, "grid": grid, "input_tangent": image + 1, "grid_tangent": grid + 1},
            aligned,
        ),
        "grid_sample_double_backward": Call(
            f.grid_sample_double_backward,
            {
                "grad_grad_input": image + 1,
                "grad_grad_grid": grid + 1,
                "grad_output": y,
                "input": image,
                "grid": grid,
            },
            aligned,
        ),
    }


def _affine() -> dict[str, Call]:
    theta, tangent, grid = _draw(2, 2, 3) + np.eye(2, 3) * 3, _draw(2, 2, 3), _draw(2, 6, 7, 2)
    size = {"size": (2, 1, 6, 7), "align_corners": True}
    f = attn_ref
    return {
        "affine_grid": Call(f.affine_grid, {"theta": theta}, size),
        "affine_grid_backward": Call(f.affine_grid_backward, {"grad_grid": grid}, size),
        "affine_grid_jvp": Call(f.affine_grid_jvp, {"theta_tangent": theta}, size),
        "affine_grid_double_backward": Call(f.affine_grid_double_backward, {"grad_grad_theta": theta}, size),
        "affine_inverse": Call(f.affine_inverse, {"theta": theta}, {}),
        "affine_inverse_backward": Call(f.affine_inverse_backward, {"grad_inverse": tangent, "theta": theta}, {}),
        "affine_inverse_jvp": Call(f.affine_inverse_jvp, {"theta": theta, "theta_tangent": tangent}, {}),
        "affine_inverse_double_backward": Call(
            f.affine_inverse_double_backward,
            {"grad_grad_theta": tangent + 1, "grad_inverse": tangent, "theta": theta},
            {},
        ),
    }


def _operator() -> dict[str, Call]:
    """The operator, made anew for each call, so that its grid is an argument like the others."""

    def made(grid: np.ndarray) -> attn_ref.SamplingOperator:
        return attn_ref.sampling_operator(grid, (4, 5), align_corners=False)

    image, grid, y = _draw(2, 3, 4, 5), _draw(2, 6, 7, 2), _draw(2, 3, 6, 7)
    return {
        "operator.apply": Call(lambda grid, **a: made(grid).apply(**a), {"grid": grid, "input": image}, {}),
        "operator.transpose": Call(lambda grid, **a: made(grid).transpose(**a), {"grid": grid, "grad_output": y}, {}),
        "operator.grid_gradient": Call(
            lambda grid, **a: made(grid).grid_gradient(**a), {"grid": grid, "grad_output": y, "input": image}, {}
        ),
    }


CALLS: dict[str, Call] = {**_sampling(), **_affine(), **_operator()}
"""By name; a function of `attn_ref.__all__` that is missing here fails a test."""

ARGUMENTS = [(name, argument) for name, call in CALLS.items() for argument in call.arrays]
EVERY_ARGUMENT = [f"{name}:{argument}" for name, argument in ARGUMENTS]
