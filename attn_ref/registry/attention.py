"""What to look at: activations and squeeze-and-excitation."""

from __future__ import annotations

from typing import Any

import numpy as np

from attn_ref import exact
from attn_ref.backend import Array
from attn_ref.ops import squeeze_excitation as se
from attn_ref.ops.activations import ACTIVATIONS, Activation, ActivationSecondCotangents, get_activation
from attn_ref.registry.operation import Call, Functions, Operation, Terms

__all__ = ["ATTENTION"]

_STEEPEST, _BENT = 1.2, 1.0
"""Upper bounds of |f′| and |f″| over all activations: those of gelu, 1.13 and 0.80, with some room."""


def _largest(array: Any) -> float:
    return float(np.abs(np.asarray(array, np.float64)).max(initial=0))


# ---------------------------------------------------------------------------------------------------------------------
# Activations, looked up by their name


def _activation(x: Array, *, name: str, **options: float) -> Array:
    return get_activation(name, **options)(x)


def _activation_backward(grad_output: Array, x: Array, *, name: str, **options: float) -> Array:
    return get_activation(name, **options).backward(grad_output, x)


def _activation_jvp(x: Array, x_tangent: Array, *, name: str, **options: float) -> Array:
    return get_activation(name, **options).jvp(x, x_tangent)


def _activation_double_backward(
    grad_grad_x: Array, grad_output: Array, x: Array, *, name: str, **options: float
) -> ActivationSecondCotangents:
    return get_activation(name, **options).double_backward(grad_grad_x, grad_output, x)


def _activation_terms(call: Call) -> Terms:
    return Terms(max(_largest(call.inputs[0]), 1.0), _STEEPEST, _BENT, 32)


def _activation_steps(call: Call) -> tuple[list[Any], int] | None:
    """The piecewise linear ones, 0.05: the points drawn for them are that far from the kinks, and more."""
    options = {key: value for key, value in call.options.items() if key != "name"}
    activation = get_activation(call.options["name"], **options)
    return ([0.05], 1) if isinstance(activation, Activation) and activation.kinks else None


def _glu_terms(call: Call) -> Terms:
    largest = _largest(call.inputs[0])
    return Terms(largest, 1 + largest / 4, 0.5 + largest / 10, 32)


_GLU = get_activation("glu")

# ---------------------------------------------------------------------------------------------------------------------
# Squeeze-and-excitation


def _squeeze_excitation_terms(call: Call) -> Terms:
    """Go forward with magnitudes; each function's argument is itself rounded, which its own slope passes on."""
    image, W1, W2, b1, b2 = call.inputs
    R, C = W1.shape
    x = _largest(image)
    w1, w2 = (float(np.abs(w).astype(np.float64).sum(axis=1).max(initial=0)) for w in (W1, W2))
    h = w1 * x + _largest(b1)
    a = max(1.0, h)
    u = w2 * (a + _STEEPEST * h) + _largest(b2)
    s = max(1.0, u)
    h_dot = w1 + C * x + 1
    a_dot = _STEEPEST * h_dot
    u_dot = w2 * a_dot + R * a + 1
    s_dot = _STEEPEST * u_dot
    u_dotdot = w2 * (_BENT * h_dot**2 + _STEEPEST * 2 * C) + 2 * R * a_dot
    rounded = 1 + h + u
    pixels = image.size // max(image.shape[0] * C, 1)
    return Terms(
        x * (s + _STEEPEST * u),
        (s + x * s_dot) * rounded,
        (2 * s_dot + x * (_BENT * u_dot**2 + _STEEPEST * u_dotdot)) * rounded,
        64 + C + R + image.shape[0] * pixels,
    )


_BIASES = ("reduce_bias", "expand_bias")
_ELEMENTWISE = [name for name, entry in ACTIVATIONS.items() if isinstance(entry, Activation)]
_PAIRED = [*((name, "sigmoid") for name in _ELEMENTWISE), ("relu", "hard_sigmoid"), ("silu", "hard_sigmoid")]

ATTENTION: tuple[Operation, ...] = (
    Operation(
        name="activation",
        inputs=("x",),
        functions=Functions(_activation, _activation_backward, _activation_jvp, _activation_double_backward),
        exact=Functions(
            exact.activation, exact.activation_backward, exact.activation_jvp, exact.activation_double_backward
        ),
        linear=False,
        linear_in=(),
        batched=(True,),
        variants=(
            *({"name": name} for name in _ELEMENTWISE),
            {"name": "hard_sigmoid", "slope": 0.5, "offset": 0.5},
            {"name": "hard_sigmoid", "slope": 0.25, "offset": 0.5},
        ),
        strategy="activation_calls",
        terms=_activation_terms,
        steps=_activation_steps,
        kinked=True,
        piecewise_in="x",
        bounded=True,
    ),
    Operation(
        name="glu",
        inputs=("x",),
        functions=Functions(_GLU.__call__, _GLU.backward, _GLU.jvp, _GLU.double_backward),
        exact=Functions(exact.glu, exact.glu_backward, exact.glu_jvp, exact.glu_double_backward),
        linear=False,
        linear_in=(),
        batched=(True,),
        variants=({"axis": 1}, {"axis": 2}, {"axis": -1}),
        strategy="glu_calls",
        terms=_glu_terms,
        steps=lambda _: None,
        bounded=True,
    ),
    Operation(
        name="squeeze_excitation",
        inputs=("input", "reduce_weight", "expand_weight", *_BIASES),
        functions=Functions(
            se.squeeze_excitation,
            se.squeeze_excitation_backward,
            se.squeeze_excitation_jvp,
            se.squeeze_excitation_double_backward,
        ),
        exact=Functions(
            exact.squeeze_excitation,
            exact.squeeze_excitation_backward,
            exact.squeeze_excitation_jvp,
            exact.squeeze_excitation_double_backward,
        ),
        linear=False,
        linear_in=(),
        batched=(True, False, False, False, False),
        # The numbers of axes and the biases take turns along the way.
        variants=tuple(
            {"ndim": 1 + i % 3, "activation": activation, "gate": gate, "absent": ((), _BIASES, *zip(_BIASES))[i % 4]}
            for i, (activation, gate) in enumerate(_PAIRED)
        ),
        strategy="squeeze_excitation_calls",
        terms=_squeeze_excitation_terms,
        steps=lambda _: None,
        kinked=True,
        has_layouts=True,
        any_order=True,
    ),
)
"""What to look at: the operations of squeeze-and-excitation."""
