"""Every operation, once: its functions, its exact twin, where its inputs come from, how large its terms are.

Whatever goes over all operations (the gradient checks, the command line, the docs' table of properties) reads
:data:`OPERATIONS` and nothing else, so that adding an operation is one file and one entry here.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from attn_ref import exact
from attn_ref.backend import Array
from attn_ref.ops import affine, sampling
from attn_ref.ops.boundary import PADDINGS
from attn_ref.ops.coordinates import pixels_per_unit
from attn_ref.ops.interpolation import MODES

__all__ = ["OPERATIONS", "Call", "Functions", "Operation", "Terms"]

Options = dict[str, Any]


class Call(NamedTuple):
    """One call of an operation: its differentiable inputs in order, and everything else by name."""

    inputs: tuple[Array, ...]
    options: Options


class Terms(NamedTuple):
    """Upper bounds of the sums that a call's results are made of, every product taken with its magnitude.

    Attributes
    ----------
    value : float
        Of one output element.
    first : float
        Of one output element's change, if every input element changes by at most 1.
    second : float
        Of that change's own change, likewise.
    depth : int
        Roundings on the way from the inputs to one element of any result.
    """

    value: float
    first: float
    second: float
    depth: int


@dataclass(frozen=True)
class Functions:
    """An operation and its three derivatives."""

    forward: Callable[..., Any]
    backward: Callable[..., Any]
    jvp: Callable[..., Any]
    double_backward: Callable[..., Any]


@dataclass(frozen=True)
class Operation:
    """One operation.

    Attributes
    ----------
    name : str
        The public name of its forward function.
    inputs : tuple of str
        Its differentiable inputs, in order.
    functions, exact : Functions
        The operation, and the same over rational numbers as literal loops.
    linear : bool
        Whether it is linear, so that its derivatives leave the inputs out of their signatures.
    linear_in : tuple of int
        The inputs in which it is linear, each for itself.
    batched : tuple of bool
        Whether axis 0 of each input holds independent samples, as axis 0 of the output then does.
    variants : tuple of dict
        The options to go through one by one; ``ndim`` among them is the number of spatial axes.
    strategy : str
        The function of :mod:`attn_ref.gradcheck.strategies` that draws calls: ``f(kind, variant)``.
    terms : callable
        ``terms(call)`` gives the :class:`Terms`.
    steps : callable
        ``steps(call)`` gives, for each input, how far its elements may be moved within one piece (an array or a
        number), and the degree of the output in one element there; None where it is no polynomial.
    points_in : str or None
        The input that holds sample points, last axis a coordinate: there kinks and non-finite values are of interest.
    has_layouts : bool
        Whether it takes ``channels_last``, which then speaks of input 0, an image, and of the output.
    """

    name: str
    inputs: tuple[str, ...]
    functions: Functions
    exact: Functions
    linear: bool
    linear_in: tuple[int, ...]
    batched: tuple[bool, ...]
    variants: tuple[Options, ...]
    strategy: str
    terms: Callable[[Call], Terms]
    steps: Callable[[Call], tuple[list[Any], int] | None]
    points_in: str | None = None
    has_layouts: bool = False

    def forward(self, inputs: Sequence[Array], options: Options) -> Array:
        """Output of the operation."""
        return self.functions.forward(*inputs, **options)

    def backward(self, grad_output: Array, inputs: Sequence[Array], options: Options) -> tuple[Array, ...]:
        """Cotangents of the inputs, in order."""
        primals = () if self.linear else inputs
        return _tuple(self.functions.backward(grad_output, *primals, **options))

    def jvp(self, inputs: Sequence[Array], tangents: Sequence[Array], options: Options) -> Array:
        """Tangent of the output."""
        primals = () if self.linear else inputs
        return self.functions.jvp(*primals, *tangents, **options)

    def double_backward(
        self, grad_grads: Sequence[Array], grad_output: Array, inputs: Sequence[Array], options: Options
    ) -> tuple[Array, ...]:
        """Cotangents of grad_output and, but for linear operations, of the inputs."""
        primals = () if self.linear else (grad_output, *inputs)
        return _tuple(self.functions.double_backward(*grad_grads, *primals, **options))


def _tuple(result: Any) -> tuple[Array, ...]:
    return tuple(result) if isinstance(result, tuple) else (result,)


# ---------------------------------------------------------------------------------------------------------------------
# affine_grid and affine_inverse


def _affine_grid_terms(call: Call) -> Terms:
    (theta,) = call.inputs
    columns = theta.shape[-1]
    return Terms(
        columns * float(np.abs(theta).max(initial=0)), columns, 0.0, 8 + int(np.prod(call.options["size"][2:]))
    )


def _affine_inverse_terms(call: Call) -> Terms:
    (theta,) = call.inputs
    n, d, _ = theta.shape
    last = np.broadcast_to(np.eye(d + 1)[-1:], (n, 1, d + 1))
    whole = np.concatenate([theta.astype(np.float64), last], axis=1)
    # An entry of J is wrong by the condition number times the rounding of its terms; each derivative has one J more.
    inverse = np.linalg.inv(whole)
    norms = [np.abs(a).sum(axis=axis).max(axis=-1, initial=1.0) for a in (whole, inverse) for axis in (1, 2)]
    size = float(np.maximum(norms[2], norms[3]).max(initial=1.0))
    condition = float((np.maximum(norms[0], norms[1]) * np.maximum(norms[2], norms[3])).max(initial=1.0))
    return Terms(size * condition, size**2 * condition, 2 * size**3 * condition, 32)


# ---------------------------------------------------------------------------------------------------------------------
# grid_sample

_WEIGHT_SUMS = {"nearest": (1.0, 0.0, 0.0), "bilinear": (1.0, 2.0, 0.0), "bicubic": (1.5, 3.0, 12.0)}
"""Upper bounds over t of Σ|w|, Σ|w′| and Σ|w″| along one axis, per pixel."""


def _space(call: Call) -> tuple[int, ...]:
    shape: tuple[int, ...] = call.inputs[0].shape
    return shape[1:-1] if call.options.get("channels_last") else shape[2:]


def _grid_sample_terms(call: Call) -> Terms:
    image, grid = call.inputs
    space = _space(call)
    d = len(space)
    w0, w1, w2 = _WEIGHT_SUMS[call.options["mode"]]
    largest = float(np.abs(image).max(initial=0))
    scale = max(pixels_per_unit(size, call.options["align_corners"]) for size in space)
    one = d * scale * w1 * w0 ** (d - 1)  # one coordinate differentiated
    two = scale**2 * (d * w2 * w0 ** (d - 1) + d * (d - 1) * w1**2 * w0 ** max(d - 2, 0))
    taps = len(MODES[call.options["mode"]].coefficients) ** d
    channels = image.size // max(image.shape[0] * int(np.prod(space)), 1)
    points = grid[0].size // d if len(grid) else 0
    depth = 16 + channels + taps * max(points, 1)
    return Terms(w0**d * largest, w0**d + one * largest, 2 * one + two * largest, depth)


def _grid_sample_steps(call: Call) -> tuple[list[Any], int]:
    """0.08 pixel for linear, twice 0.05 for cubic: the grids drawn for it leave that much room on both sides."""
    degree = {"nearest": 0, "bilinear": 1, "bicubic": 3}[call.options["mode"]]
    pixels = 0.05 if degree == 3 else 0.08
    per_unit = [pixels_per_unit(size, call.options["align_corners"]) for size in reversed(_space(call))]
    return [1.0, np.array([pixels / max(scale, 0.5) for scale in per_unit])], degree


OPERATIONS: dict[str, Operation] = {
    operation.name: operation
    for operation in (
        Operation(
            name="affine_grid",
            inputs=("theta",),
            functions=Functions(
                affine.affine_grid,
                affine.affine_grid_backward,
                affine.affine_grid_jvp,
                affine.affine_grid_double_backward,
            ),
            exact=Functions(exact.affine_grid, exact.affine_grid_backward, exact.affine_grid, exact.affine_grid),
            linear=True,
            linear_in=(0,),
            batched=(True,),
            variants=tuple({"ndim": d, "align_corners": a} for d, a in itertools.product((2, 3), (True, False))),
            strategy="affine_grid_calls",
            terms=_affine_grid_terms,
            steps=lambda _: ([1.0], 1),
        ),
        Operation(
            name="affine_inverse",
            inputs=("theta",),
            functions=Functions(
                affine.affine_inverse,
                affine.affine_inverse_backward,
                affine.affine_inverse_jvp,
                affine.affine_inverse_double_backward,
            ),
            exact=Functions(
                exact.affine_inverse,
                exact.affine_inverse_backward,
                exact.affine_inverse_jvp,
                exact.affine_inverse_double_backward,
            ),
            linear=False,
            linear_in=(),
            batched=(True,),
            variants=({"ndim": 2}, {"ndim": 3}),
            strategy="affine_inverse_calls",
            terms=_affine_inverse_terms,
            steps=lambda _: None,
        ),
        Operation(
            name="grid_sample",
            inputs=("input", "grid"),
            functions=Functions(
                sampling.grid_sample,
                sampling.grid_sample_backward,
                sampling.grid_sample_jvp,
                sampling.grid_sample_double_backward,
            ),
            exact=Functions(
                exact.grid_sample,
                exact.grid_sample_backward,
                exact.grid_sample_jvp,
                exact.grid_sample_double_backward,
            ),
            linear=False,
            linear_in=(0,),
            batched=(True, True),
            variants=tuple(
                {"ndim": d, "mode": m, "padding_mode": p, "align_corners": a}
                for d, m, p, a in itertools.product((2, 3), MODES, PADDINGS, (True, False))
            ),
            strategy="grid_sample_calls",
            terms=_grid_sample_terms,
            steps=_grid_sample_steps,
            points_in="grid",
            has_layouts=True,
        ),
    )
}
"""All operations by name."""
