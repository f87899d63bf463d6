"""Theta from a few parameters: which maps a spatial transformer may choose from.

A *restriction* is a table entry: theta as a function of a few parameters, its backward pass, and the parameters of the
identity, from which training should start (see :func:`identity_head`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

from attn_ref import validation
from attn_ref.backend import Array
from attn_ref.blocks import initialisers
from attn_ref.blocks.layers import Linear
from attn_ref.validation import Numbers

__all__ = ["RESTRICTIONS", "Restriction", "check_width", "identity_head", "theta_of", "theta_of_backward"]


@dataclass(frozen=True)
class Restriction:
    """A family of affine maps of the plane.

    Attributes
    ----------
    identity : tuple of float
        The parameters of the identity map; their number is the number of parameters.
    theta : callable
        ``theta(xp, parameters)``: from the parameters, a list of arrays (N,), to the six entries of theta, row by row.
    backward : callable
        ``backward(xp, grad_theta, parameters)``: from the six cotangents to those of the parameters, likewise.

    Examples
    --------
    >>> RESTRICTIONS["attention"].identity  # scale, and the centre's x and y
    (1, 0, 0)
    """

    identity: tuple[float, ...]
    theta: Callable[[ModuleType, list[Array]], list[Array]]
    backward: Callable[[ModuleType, list[Array], list[Array]], list[Array]]


def _attention(xp: ModuleType, parameters: list[Array]) -> list[Array]:
    s, t_x, t_y = parameters
    zero = xp.zeros_like(s)
    return [s, zero, t_x, zero, s, t_y]


def _attention_backward(_: ModuleType, grad: list[Array], _parameters: list[Array]) -> list[Array]:
    return [grad[0] + grad[4], grad[2], grad[5]]


def _rotation(xp: ModuleType, parameters: list[Array]) -> list[Array]:
    cos, sin = xp.cos(parameters[0]), xp.sin(parameters[0])
    zero = xp.zeros_like(cos)
    return [cos, 0 - sin, zero, sin, cos, zero]


def _rotation_backward(xp: ModuleType, grad: list[Array], parameters: list[Array]) -> list[Array]:
    cos, sin = xp.cos(parameters[0]), xp.sin(parameters[0])
    return [(grad[3] - grad[1]) * cos - (grad[0] + grad[4]) * sin]


RESTRICTIONS: dict[str, Restriction] = {
    "affine": Restriction((1, 0, 0, 0, 1, 0), lambda _, p: p, lambda _, grad, _p: grad),
    "attention": Restriction((1, 0, 0), _attention, _attention_backward),
    "rotation": Restriction((0,), _rotation, _rotation_backward),
}
"""What theta may be, by the names that ``restriction`` takes."""


def theta_of(parameters: Array, restriction: str = "affine") -> Array:
    """Make theta of the parameters that a localiser yields.

    Parameters
    ----------
    parameters : array, shape (N, K)
        What they are depends on the restriction. float64, float32 or float16.
    restriction : {"affine", "attention", "rotation"}
        Which maps are possible:

        - "affine", K = 6: the entries of theta row by row; theta itself, (N, 2, 3), will do.
        - "attention", K = 3: (s, t_x, t_y), scale and translation, theta = [[s, 0, t_x], [0, s, t_y]]. s < 1 looks at a
          part of the image, enlarged, with its centre at (t_x, t_y).
        - "rotation", K = 1: an angle α in radians, theta = [[cos α, −sin α, 0], [sin α, cos α, 0]].

    Returns
    -------
    array, shape (N, 2, 3)
        Maps output coordinates (x, y, 1) to input coordinates.

    Raises
    ------
    TypeError
        If parameters is not an array of a supported library and dtype, or restriction not a string.
    ValueError
        If the shape does not fit the restriction, or there is no such restriction.

    Notes
    -----
    Jaderberg et al., NeurIPS 2015, equations (1) and (2). y points down, so for α > 0 the place that is read turns
    *clockwise* about the centre, as one sees it, and what is seen appears turned counter-clockwise: a digit that leans
    clockwise by α is set upright. The coordinates that turn are the normalised ones; it is a rotation of pixels where
    the image and the output are square.

    Examples
    --------
    >>> import numpy as np
    >>> theta_of(np.array([[0.5, 0.25, 0.0]]), "attention")
    array([[[0.5 , 0.  , 0.25],
            [0.  , 0.5 , 0.  ]]])
    """
    rule, call = _check_parameters(restriction, parameters=parameters)
    xp = call.backend.xp
    with call.backend.quiet():
        entries = rule.theta(xp, _columns(call["parameters"], len(rule.identity)))
        return call.finish(xp.stack(entries, axis=-1).reshape(-1, 2, 3))


def theta_of_backward(grad_theta: Array, parameters: Array, restriction: str = "affine") -> Array:
    """Pull a cotangent of theta back to the parameters.

    Parameters
    ----------
    grad_theta : array, shape (N, 2, 3)
        Cotangent of theta.
    parameters, restriction
        As in :func:`theta_of`.

    Returns
    -------
    array, shape of parameters
        - "affine": dtheta itself, in the shape of parameters.
        - "attention": (dθ₁₁ + dθ₂₂, dθ₁₃, dθ₂₃).
        - "rotation": (dθ₂₁ − dθ₁₂) cos α − (dθ₁₁ + dθ₂₂) sin α.

    Raises
    ------
    TypeError, ValueError
        As in :func:`theta_of`; the cotangent is checked likewise.

    Examples
    --------
    >>> import numpy as np
    >>> grad_theta = np.array([[[1.0, 7.0, 2.0], [7.0, 1.0, 3.0]]])
    >>> theta_of_backward(grad_theta, np.array([[0.5, 0.0, 0.0]]), "attention")  # s stands in theta twice
    array([[2., 2., 3.]])
    """
    rule, call = _check_parameters(restriction, parameters=parameters, grad_theta=grad_theta)
    validation.shape("grad_theta", grad_theta, (parameters.shape[0], 2, 3), "the shape of theta")
    xp = call.backend.xp
    with call.backend.quiet():
        grad, entries = _columns(call["grad_theta"], 6), _columns(call["parameters"], len(rule.identity))
        return call.finish(xp.stack(rule.backward(xp, grad, entries), axis=-1).reshape(parameters.shape))


def _check_parameters(restriction: str, **arrays: Array) -> tuple[Restriction, Numbers]:
    rule = RESTRICTIONS[validation.choice("restriction", restriction, RESTRICTIONS)]
    call = validation.numbers(**arrays)
    check_width("parameters has", arrays["parameters"].shape, restriction)
    return rule, call


def check_width(subject: str, shape: tuple[int, ...], restriction: str, batch: int | None = None) -> None:
    """Check that parameters have the shape that a restriction takes.

    Parameters
    ----------
    subject : str
        How the message begins: "parameters has".
    shape : tuple of int
        Their shape.
    restriction : str
        A key of :data:`RESTRICTIONS`.
    batch : int, optional
        N, if it is known.

    Raises
    ------
    ValueError
        If the shape is another; the message says which are possible.
    """
    forms: list[tuple[int, ...]] = [(len(RESTRICTIONS[restriction].identity),)]
    forms += [(2, 3)] if restriction == "affine" else []
    if len(shape) < 1 or shape[1:] not in forms or shape[0] != (shape[0] if batch is None else batch):
        first = "N" if batch is None else str(batch)
        wanted = " or ".join(f"({', '.join([first, *map(str, form)])})" for form in forms)
        raise ValueError(f"{subject} shape {shape}: restriction={restriction!r} takes {wanted}")


def _columns(array: Array, width: int) -> list[Array]:
    rows = array.reshape(-1, width)
    return [rows[:, k] for k in range(width)]


def identity_head(in_features: int, restriction: str = "affine", *, dtype: Any = "float32") -> Linear:
    """Make the last layer of a localiser, so that it starts with the identity map.

    Parameters
    ----------
    in_features : int
        Length of the features (N, in_features) that it takes.
    restriction : {"affine", "attention", "rotation"}
        As in :func:`theta_of`.
    dtype : dtype
        Of the parameters.

    Returns
    -------
    Linear
        With weights 0, and for bias the parameters of the identity: 1, 0, 0, 0, 1, 0 for "affine".

    Raises
    ------
    TypeError, ValueError
        If in_features is not an integer, at least 1, or the restriction or the dtype is unknown.

    Notes
    -----
    Nothing is random about it. Its weight gets a gradient at once; the layers before it from the second step on, when
    the weight is no longer 0.

    Examples
    --------
    >>> import numpy as np
    >>> head = identity_head(12, "attention")
    >>> head.forward(np.ones((1, 12), np.float32))[0]  # whatever comes in
    array([[1., 0., 0.]], dtype=float32)
    """
    identity = RESTRICTIONS[validation.choice("restriction", restriction, RESTRICTIONS)].identity
    head = Linear(in_features, len(identity), rng=np.random.default_rng(0), dtype=dtype)
    weight = initialisers.zeros(head.params["weight"].shape, dtype=dtype)
    head.assign({"weight": weight, "bias": np.array(identity, initialisers.float_dtype(dtype))})
    return head
