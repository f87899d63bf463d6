"""Every public function that takes arrays, as a call that works, to be spoiled or repeated one argument at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

import attn_ref

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Call:
    """A function, its arrays and its options by name, all of which may be changed for one call."""

    function: Callable[..., Any]
    arrays: dict[str, Array]
    options: dict[str, Any]

    def __call__(self, **changes: Any) -> Any:
        return self.function(**{**self.arrays, **self.options, **changes})

    def results(self, **changes: Any) -> tuple[Array, ...]:
        result = self(**changes)
        return tuple(result) if isinstance(result, tuple) else (result,)

    def with_arrays(self, change: Callable[[Array], Any]) -> Call:
        return replace(self, arrays={name: change(array) for name, array in self.arrays.items()})


def _of_operator(method: str) -> Callable[..., Any]:
    """Make the operator of a grid and call one method of it."""

    def call(grid: Any, input_size: tuple[int, ...], *, channels_last: Any = False, **arguments: Any) -> Any:
        options = {name: arguments.pop(name) for name in ("mode", "padding_mode", "align_corners") if name in arguments}
        S = attn_ref.sampling_operator(grid, input_size, **options)
        return getattr(S, method)(**arguments, channels_last=channels_last)

    return call


def public_calls(
    *,
    batch: int = 2,
    channels: int = 3,
    image: tuple[int, ...] = (4, 5),
    output: tuple[int, ...] = (6, 7),
    mode: str = "bilinear",
    padding_mode: str = "zeros",
    align_corners: bool = False,
    channels_last: bool = False,
    seed: int = 1,
) -> dict[str, Call]:
    """All functions and the three methods of the operator, with random arrays of these sizes in float64."""
    normal = np.random.default_rng(seed).standard_normal
    d = len(image)

    def pixels(space: tuple[int, ...]) -> Array:
        return normal((batch, *space, channels) if channels_last else (batch, channels, *space))

    theta_shape, grid_shape = (batch, d, d + 1), (batch, *output, d)
    theta = normal(theta_shape) + 4 * np.eye(d, d + 1)
    x, dx, ddx, dy = pixels(image), pixels(image), pixels(image), pixels(output)
    grid, dg = normal(grid_shape), normal(grid_shape)
    size = {"size": (batch, channels, *output), "align_corners": align_corners}
    options = {"mode": mode, "padding_mode": padding_mode, "align_corners": align_corners}
    sampling = {**options, "channels_last": channels_last}
    operator = {**sampling, "input_size": image}
    f = attn_ref
    table: list[tuple[Callable[..., Any], dict[str, Array], dict[str, Any]]] = [
        (f.affine_grid, {"theta": theta}, size),
        (f.affine_grid_backward, {"grad_grid": dg}, size),
        (f.affine_grid_jvp, {"theta_tangent": normal(theta_shape)}, size),
        (f.affine_grid_double_backward, {"grad_grad_theta": normal(theta_shape)}, size),
        (f.affine_inverse, {"theta": theta}, {}),
        (f.affine_inverse_backward, {"grad_inverse": normal(theta_shape), "theta": theta}, {}),
        (f.affine_inverse_jvp, {"theta": theta, "theta_tangent": normal(theta_shape)}, {}),
        (
            f.affine_inverse_double_backward,
            {"grad_grad_theta": normal(theta_shape), "grad_inverse": normal(theta_shape), "theta": theta},
            {},
        ),
        (f.grid_sample, {"input": x, "grid": grid}, sampling),
        (f.grid_sample_backward, {"grad_output": dy, "input": x, "grid": grid}, sampling),
        (f.grid_sample_jvp, {"input": x, "grid": grid, "input_tangent": dx, "grid_tangent": dg}, sampling),
        (
            f.grid_sample_double_backward,
            {"grad_grad_input": ddx, "grad_grad_grid": dg, "grad_output": dy, "input": x, "grid": grid},
            sampling,
        ),
    ]
    table += _attention(normal, channels, pixels, image, channels_last)
    table += _layers(normal, batch, channels, image[-2:])
    calls = {function.__name__: Call(function, arrays, options) for function, arrays, options in table}
    for name, x_shape, y_shape in (("gelu", (batch, 4), (batch, 4)), ("glu", (batch, 6), (batch, 3))):
        calls |= _activation(name, normal, x_shape, y_shape)
    calls["apply"] = Call(_of_operator("apply"), {"grid": grid, "input": x}, operator)
    calls["transpose"] = Call(_of_operator("transpose"), {"grid": grid, "grad_output": dy}, operator)
    calls["grid_gradient"] = Call(
        _of_operator("grid_gradient"), {"grid": grid, "grad_output": dy, "input": x}, operator
    )
    return calls


def _attention(
    normal: Callable[..., Array],
    channels: int,
    pixels: Callable[[tuple[int, ...]], Array],
    image: tuple[int, ...],
    channels_last: bool,
) -> list[tuple[Callable[..., Any], dict[str, Array], dict[str, Any]]]:
    """The functions of squeeze-and-excitation."""
    f, reduced = attn_ref, 4

    def five(form: str = "{}") -> dict[str, Array]:
        shapes = {
            "reduce_weight": (reduced, channels),
            "expand_weight": (channels, reduced),
            "reduce_bias": (reduced,),
            "expand_bias": (channels,),
        }
        arrays = {"input": pixels(image), **{name: normal(shape) for name, shape in shapes.items()}}
        return {form.format(name): array for name, array in arrays.items()}

    primals, dy, options = five(), {"grad_output": pixels(image)}, {"channels_last": channels_last}
    return [
        (f.squeeze_excitation, primals, options),
        (f.squeeze_excitation_backward, {**dy, **primals}, options),
        (f.squeeze_excitation_jvp, {**primals, **five("{}_tangent")}, options),
        (f.squeeze_excitation_double_backward, {**five("grad_grad_{}"), **dy, **primals}, options),
    ]


def _layers(
    normal: Callable[..., Array], batch: int, channels: int, image: tuple[int, ...]
) -> list[tuple[Callable[..., Any], dict[str, Array], dict[str, Any]]]:
    """The functions that serve training; images are channels first."""
    f, outputs = attn_ref, 4
    x = normal((batch, channels, *image))
    rows = {"input": normal((batch, 6)), "weight": normal((outputs, 6)), "bias": normal((outputs,))}
    convolved = {"input": x, "weight": normal((outputs, channels, 2, 3)), "bias": normal((outputs,))}
    stride = {"stride": (1, 2), "padding": (0, 1)}
    parameters = {name: normal((channels,)) for name in ("weight", "bias", "running_mean", "running_var")}
    statistics = {name: parameters[name] for name in ("running_mean", "running_var")}
    logits, labels = {"logits": normal((batch, 5))}, {"labels": np.arange(batch) % 5, "reduction": "none"}
    window = {"kernel_size": (3, 2), "stride": 1, "padding": (1, 0)}
    pooled = normal((batch, channels, image[0], image[1] - 1))
    return [
        (f.linear, rows, {}),
        (f.linear_backward, {"grad_output": normal((batch, outputs)), **rows}, {}),
        (f.conv2d, convolved, stride),
        (
            f.conv2d_backward,
            {"grad_output": normal((batch, outputs, image[0] - 1, (image[1] - 1) // 2 + 1)), **convolved},
            stride,
        ),
        (f.batch_norm, {"input": x, **parameters}, {"training": True}),
        (f.batch_norm_backward, {"grad_output": normal(x.shape), "input": x, **parameters}, {"training": True}),
        (f.batch_norm_statistics, {"input": x, **statistics}, {}),
        (f.max_pool2d, {"input": x}, window),
        (f.max_pool2d_backward, {"grad_output": pooled, "input": x}, window),
        (f.avg_pool2d, {"input": x}, window),
        (f.avg_pool2d_backward, {"grad_output": pooled, "input": x}, window),
        (f.global_avg_pool, {"input": x}, {}),
        (f.global_avg_pool_backward, {"grad_output": normal((batch, channels)), "input": x}, {}),
        (f.cross_entropy, logits, labels),
        (f.cross_entropy_backward, {"grad_output": normal((batch,)), **logits}, labels),
    ]


def _activation(
    name: str, normal: Callable[..., Array], x_shape: tuple[int, ...], y_shape: tuple[int, ...]
) -> dict[str, Call]:
    """An activation and its three methods."""
    found = attn_ref.get_activation(name)
    x, dx, ddx, dy = normal(x_shape), normal(x_shape), normal(x_shape), normal(y_shape)
    return {
        name: Call(found, {"x": x}, {}),
        f"{name}.backward": Call(found.backward, {"grad_output": dy, "x": x}, {}),
        f"{name}.jvp": Call(found.jvp, {"x": x, "x_tangent": dx}, {}),
        f"{name}.double_backward": Call(found.double_backward, {"grad_grad_x": ddx, "grad_output": dy, "x": x}, {}),
    }


CALLS = public_calls()


def arguments() -> Iterator[tuple[str, str]]:
    """Each (call, name of one of its arrays)."""
    for name, call in CALLS.items():
        for argument in call.arrays:
            yield name, argument


def may_be_absent(name: str, argument: str) -> bool:
    """Whether None is taken for an argument: a bias, and all but the input of a batch normalisation in training."""
    normalised = name in ("batch_norm", "batch_norm_backward") and argument not in ("input", "grad_output")
    return "bias" in argument or normalised


def bytes_of(*arrays: Array) -> list[bytes]:
    return [array.tobytes() for array in arrays]
