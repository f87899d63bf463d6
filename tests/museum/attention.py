"""Mistakes of activations and of squeeze-and-excitation, to be planted like those of samplers."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from attn_ref.ops import activations
from attn_ref.ops import squeeze_excitation as se
from attn_ref.registry import OPERATIONS

from .bugs import Bug, Patch, _functions

SE, ACTIVATION, GLU = "squeeze_excitation", "activation", "glu"


def _method(patch: Patch, name: str, replaced: Callable[..., Any]) -> None:
    patch.setattr(se._Call, name, replaced)


def _activation(patch: Patch, name: str, **replaced: Any) -> None:
    entry = dataclasses.replace(activations.ACTIVATIONS[name], **replaced)
    patch.setitem(activations.ACTIVATIONS, name, entry)


def _cotangents(patch: Patch, change: Callable[..., dict[str, Any]]) -> None:
    """Change some of the cotangents that the backward pass returns: ``change(right, grad_output, inputs)``."""
    right = OPERATIONS[SE].functions.backward

    def backward(grad_output: Any, *inputs: Any, **options: Any) -> Any:
        found = right(grad_output, *inputs, **options)
        return found._replace(**change(found, grad_output, inputs, options))

    _functions(patch, SE, backward=backward)


# --- the forward pass


def squeezed_by_sum(patch: Patch) -> None:
    _method(patch, "mean", lambda self, image: image.sum(axis=2))


def squeezed_by_max(patch: Patch) -> None:
    _method(patch, "mean", lambda self, image: image.max(axis=2))


def mean_over_the_batch(patch: Patch) -> None:
    original = se._Call.mean

    def mean(self: Any, image: Any) -> Any:
        z = original(self, image)
        return np.broadcast_to(z.mean(axis=0), z.shape)

    _method(patch, "mean", mean)


def gate_before_the_expansion(patch: Patch) -> None:
    def excite(self: Any, z: Any) -> Any:
        h = self._plus(z @ self.numbers["reduce_weight"].T, "reduce_bias")
        a = self.gate.f(self.numbers.backend, h)
        u = self._plus(a @ self.numbers["expand_weight"].T, "expand_bias")
        return se._Point(z, h, a, u, u, self)

    _method(patch, "excite", excite)


def activation_left_out(patch: Patch) -> None:
    original = se._Call.excite

    def excite(self: Any, z: Any) -> Any:
        plain = dataclasses.replace(self, activation=activations.ACTIVATIONS["identity"])
        return dataclasses.replace(original(plain, z), call=self)

    _method(patch, "excite", excite)


def gate_added(patch: Patch) -> None:
    right = OPERATIONS[SE].functions.forward

    def forward(image: Any, *others: Any, **options: Any) -> Any:
        return image + right(np.ones_like(image), *others, **options)

    _functions(patch, SE, forward=forward)


def reduce_bias_dropped(patch: Patch) -> None:
    original = se._Call._plus
    _method(patch, "_plus", lambda self, rows, bias: rows if bias == "reduce_bias" else original(self, rows, bias))


def hard_sigmoid_of_onnx(patch: Patch) -> None:
    patch.setitem(activations.ACTIVATIONS, "hard_sigmoid", activations._hard_sigmoid(0.2, 0.5))


# --- the backward pass


def _direct(grad_output: Any, inputs: Any, options: Any) -> Any:
    """dY ∘ s: what reaches the image past the mean."""
    call = se._call(options["activation"], options["gate"], options.get("channels_last", False), *inputs)
    s = call.excite(call.mean(call.image("input"))).s
    pixels = [1] * (grad_output.ndim - 2)
    return grad_output * s.reshape(len(s), *([*pixels, -1] if call.channels_last else [-1, *pixels])).astype(s.dtype)


def path_through_the_mean_missing(patch: Patch) -> None:
    _cotangents(patch, lambda found, dy, inputs, options: {"input": _direct(dy, inputs, options).astype(dy.dtype)})


def pixels_not_divided_by(patch: Patch) -> None:
    def change(found: Any, grad_output: Any, inputs: Any, options: Any) -> dict[str, Any]:
        direct = _direct(grad_output, inputs, options)
        pixels = inputs[0][0].size // len(inputs[2])
        return {"input": (direct + (found.input - direct) * pixels).astype(found.input.dtype)}

    _cotangents(patch, change)


def gate_prime_of_the_gate(patch: Patch) -> None:
    def gate_prime(self: Any) -> Any:
        return self.call.gate.f_prime(self.call.numbers.backend, self.s)

    patch.setattr(se._Point, "gate_prime", property(gate_prime))


def gradient_of_the_weights_exchanged(patch: Patch) -> None:
    _cotangents(
        patch,
        lambda found, *_: {
            "reduce_weight": found.expand_weight.T.copy(),
            "expand_weight": found.reduce_weight.T.copy(),
        },
    )


def bias_gradient_dropped(patch: Patch) -> None:
    def change(found: Any, *_: Any) -> dict[str, Any]:
        return {} if found.expand_bias is None else {"expand_bias": np.zeros_like(found.expand_bias)}

    _cotangents(patch, change)


def weights_averaged_over_batch(patch: Patch) -> None:
    _cotangents(patch, lambda found, dy, *_: {"reduce_weight": (found.reduce_weight / len(dy)).astype(dy.dtype)})


def weights_accumulated_twice(patch: Patch) -> None:
    _cotangents(patch, lambda found, *_: {"expand_weight": found.expand_weight * 2})


def jvp_without_the_weights(patch: Patch) -> None:
    original = se._Call.push

    def push(self: Any, at: Any, z_dot: Any, direction: str) -> Any:
        still = dict(self.numbers.given)
        for name in ("reduce_weight", "expand_weight"):
            still[direction.format(name)] = np.zeros_like(still[direction.format(name)])
        quiet = dataclasses.replace(self, numbers=dataclasses.replace(self.numbers, given=still))
        return original(quiet, at, z_dot, direction)

    _method(patch, "push", push)


def second_derivative_of_the_gate_missing(patch: Patch) -> None:
    patch.setattr(se._Point, "gate_second", property(lambda self: np.zeros_like(self.u)))


# --- activations


def relu_slope_one_at_zero(patch: Patch) -> None:
    _activation(patch, "relu", f_prime=lambda backend, x: np.where(np.isnan(x), x, x >= 0).astype(x.dtype))


def relu_swallows_nan(patch: Patch) -> None:
    _activation(patch, "relu", f=lambda backend, x: np.where(x > 0, x, 0).astype(x.dtype))


def hard_sigmoid_slope_at_the_corners(patch: Patch) -> None:
    def f_prime(backend: Any, x: Any) -> Any:
        return np.where(np.isnan(x), x, ((x >= -3) & (x <= 3)) / 6).astype(x.dtype)

    _activation(patch, "hard_sigmoid", f_prime=f_prime)


def gelu_by_tanh(patch: Patch) -> None:
    tanh = activations.ACTIVATIONS["gelu_tanh"]
    _activation(patch, "gelu", f=tanh.f, f_prime=tanh.f_prime, f_second=tanh.f_second)


def silu_slope_is_the_gate(patch: Patch) -> None:
    _activation(patch, "silu", f_prime=activations.ACTIVATIONS["sigmoid"].f)


def sigmoid_overflows(patch: Patch) -> None:
    _activation(patch, "sigmoid", f=lambda backend, x: np.exp(x) / (1 + np.exp(x)))


def glu_halves_exchanged(patch: Patch) -> None:
    original = activations._halves
    patch.setattr(activations, "_halves", lambda *arguments: original(*arguments)[::-1])


def glu_without_the_gates_slope(patch: Patch) -> None:
    patch.setattr(activations, "_sigmoid_prime", lambda backend, x: np.zeros_like(x))


BIASED = {"absent": ()}
ATTENTION_BUGS: tuple[Bug, ...] = (
    Bug(
        "squeezed by the sum",
        "",
        SE,
        squeezed_by_sum,
        ("jvp-vjp", "second-order", "oracle", "jacobian", "second-differences", "kinks"),
    ),
    Bug(
        "squeezed by the maximum",
        "",
        SE,
        squeezed_by_max,
        ("jvp-vjp", "second-order", "oracle", "jacobian", "second-differences", "kinks"),
    ),
    Bug(
        "mean over the batch too",
        "",
        SE,
        mean_over_the_batch,
        ("jvp-vjp", "second-order", "oracle", "jacobian", "second-differences", "kinks", "special"),
    ),
    Bug(
        "gate before the expansion",
        "",
        SE,
        gate_before_the_expansion,
        ("oracle", "jacobian", "second-differences", "kinks"),
    ),
    Bug(
        "activation left out",
        "",
        SE,
        activation_left_out,
        ("oracle", "jacobian", "second-differences", "kinks"),
        where={"activation": "silu"},
    ),
    Bug("gate added, not multiplied", "", SE, gate_added, ("oracle", "jacobian", "kinks")),
    Bug(
        "bias dropped", "", SE, reduce_bias_dropped, ("oracle", "jacobian", "second-differences", "kinks"), where=BIASED
    ),
    Bug(
        "0.2x + ½ for x/6 + ½",
        "ONNX's default",
        SE,
        hard_sigmoid_of_onnx,
        ("oracle", "kinks"),
        where={"gate": "hard_sigmoid"},
    ),
    Bug(
        "no path through the mean",
        "",
        SE,
        path_through_the_mean_missing,
        ("jvp-vjp", "oracle", "jacobian", "second-differences", "kinks"),
    ),
    Bug(
        "1/(H·W) missing",
        "",
        SE,
        pixels_not_divided_by,
        ("jvp-vjp", "oracle", "jacobian", "second-differences", "kinks"),
    ),
    Bug(
        "gate′ of the gate, not of its argument",
        "",
        SE,
        gate_prime_of_the_gate,
        ("oracle", "jacobian", "second-differences", "kinks"),
    ),
    Bug(
        "gradients of W₁ and W₂ exchanged",
        "",
        SE,
        gradient_of_the_weights_exchanged,
        ("jvp-vjp", "oracle", "jacobian", "second-differences", "kinks"),
    ),
    Bug(
        "gradient of a bias dropped",
        "",
        SE,
        bias_gradient_dropped,
        ("jvp-vjp", "oracle", "jacobian", "second-differences", "kinks"),
        where=BIASED,
    ),
    Bug(
        "gradient averaged over the batch",
        "",
        SE,
        weights_averaged_over_batch,
        ("jvp-vjp", "oracle", "jacobian", "second-differences", "kinks"),
    ),
    Bug(
        "gradient accumulated twice",
        "",
        SE,
        weights_accumulated_twice,
        ("jvp-vjp", "oracle", "jacobian", "second-differences", "kinks"),
    ),
    Bug(
        "jvp without the weights' part",
        "",
        SE,
        jvp_without_the_weights,
        ("jvp-vjp", "second-order", "oracle", "second-differences", "kinks"),
    ),
    Bug("gate″ missing", "", SE, second_derivative_of_the_gate_missing, ("oracle", "second-differences", "kinks")),
    Bug("relu′(0) = 1", "", ACTIVATION, relu_slope_one_at_zero, ("oracle", "kinks"), where={"name": "relu"}),
    Bug("relu of NaN is 0", "", ACTIVATION, relu_swallows_nan, ("special",), where={"name": "relu"}),
    Bug(
        "slope at the corners",
        "",
        ACTIVATION,
        hard_sigmoid_slope_at_the_corners,
        ("kinks",),
        where={"name": "hard_sigmoid"},
    ),
    Bug("tanh form taken for erf", "", ACTIVATION, gelu_by_tanh, ("oracle", "kinks"), where={"name": "gelu"}),
    Bug(
        "slope is the gate alone",
        "",
        ACTIVATION,
        silu_slope_is_the_gate,
        ("oracle", "jacobian", "second-differences", "kinks"),
        where={"name": "silu"},
    ),
    Bug("overflow far out", "", ACTIVATION, sigmoid_overflows, ("special",), where={"name": "sigmoid"}),
    Bug(
        "halves exchanged",
        "",
        GLU,
        glu_halves_exchanged,
        ("jvp-vjp", "second-order", "oracle", "jacobian", "second-differences"),
        where={},
    ),
    Bug(
        "the gate's slope forgotten",
        "",
        GLU,
        glu_without_the_gates_slope,
        ("oracle", "jacobian", "second-differences"),
        where={},
    ),
)
