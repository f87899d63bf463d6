"""Affine grids and inverses that can be told to be wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any, NamedTuple

import numpy as np

from attn_ref.conventions.pixel_maps import BASE_GRIDS
from attn_ref.verify.bounds import FORMATS, Interval
from attn_ref.verify.mistakes.excitation import ends
from attn_ref.verify.mistakes.recipe import Floats, Model, Point
from attn_ref.verify.ranges import Range, einsum

__all__ = ["AFFINE_GRID", "AFFINE_INVERSE", "BACKWARDS", "BASES", "INVERSES", "THETAS", "Grid", "Inverse"]


@dataclass(frozen=True)
class Grid:
    """What an implementation of affine_grid decides; the defaults are right.

    Attributes
    ----------
    base, theta : str
        Entries of :data:`BASES` and :data:`THETAS`.
    mirrored : tuple of int
        Axes whose base coordinate changes its sign.
    base_reversed : bool
        Whether theta acts on (y, x, 1).
    points_reversed : bool
        Whether the base grid's points run along the first axis fastest, as a meshgrid of the other indexing does.
    sizes_exchanged : bool
        Whether x has as many steps as the output is high.
    precision : str
        The type of the base grid; "" for that of the arithmetic.
    shared : bool
        Whether the first theta serves all samples.
    factor : float
        By which theta's gradient is multiplied, or 1/N if 0.
    mean_over_points : bool
        Whether theta's gradient is averaged over points.
    """

    base: str = "as asked"
    theta: str = "own"
    mirrored: tuple[int, ...] = ()
    base_reversed: bool = False
    points_reversed: bool = False
    sizes_exchanged: bool = False
    precision: str = ""
    shared: bool = False
    factor: float = 1.0
    mean_over_points: bool = False


def _base(name: str) -> Callable[[int], Floats]:
    return lambda size: np.asarray(BASE_GRIDS[name].coordinates(np, size), np.float64)


def _own(aligned: bool) -> Callable[[int], Floats]:
    return _base("corners" if aligned else "centres")


def _one_at(place: float, aligned: bool) -> Callable[[int], Floats]:
    return lambda size: np.array([place]) if size == 1 and aligned else _own(aligned)(size)


def _linspace_in(low: float) -> Callable[[int], Floats]:
    return lambda size: np.linspace(low, 1.0, size) if size > 1 else np.zeros(size)


BASES: dict[str, Callable[[bool], Callable[[int], Floats]]] = {
    "as asked": _own,
    "flipped": lambda aligned: _own(not aligned),
    "always corners": lambda _: _base("corners"),
    "always centres": lambda _: _base("centres"),
    "half-open": lambda aligned: _base("half-open") if aligned else _own(False),
    "always half-open": lambda _: _base("half-open"),
    "pixels": lambda _: _base("pixels"),
    "one at −1": lambda aligned: _one_at(-1.0, aligned),
    "one at 1": lambda aligned: _one_at(1.0, aligned),
    "from 0 to 1": lambda _: _linspace_in(0.0),
}
"""The base grid along an axis, for each value of align_corners: from its size to its coordinates."""


class _Turn(NamedTuple):
    """A linear map of theta (N, d, d + 1), and its transpose."""

    forward: Callable[[Floats], Floats]
    backward: Callable[[Floats], Floats]


def _both(f: Callable[[Floats], Floats]) -> _Turn:
    return _Turn(f, f)


def _columns_reversed(theta: Floats) -> Floats:
    d = theta.shape[1]
    return theta[:, :, [*range(d)[::-1], d]]


def _transposed(theta: Floats) -> Floats:
    d = theta.shape[1]
    return np.concatenate([theta[:, :, :d].swapaxes(1, 2), theta[:, :, d:]], axis=2)


def _shift(factor: float) -> _Turn:
    return _both(lambda theta: np.concatenate([theta[..., :-1], factor * theta[..., -1:]], axis=-1))


def _memory(theta: Floats) -> Floats:
    n, d, columns = theta.shape
    return theta.reshape(n, columns, d).swapaxes(1, 2)


THETAS: dict[str, _Turn] = {
    "own": _both(lambda theta: theta),
    "rows reversed": _both(lambda theta: theta[:, ::-1]),
    "columns reversed": _both(_columns_reversed),
    "rows and columns reversed": _both(lambda theta: _columns_reversed(theta)[:, ::-1]),
    "transposed": _both(_transposed),
    "without shift": _shift(0.0),
    "shift negated": _shift(-1.0),
    "shift doubled": _shift(2.0),
    "shift halved": _shift(0.5),
    "memory": _Turn(_memory, lambda grad: grad.swapaxes(1, 2).reshape(grad.shape)),
    "shift reversed": _both(lambda theta: np.concatenate([theta[..., :-1], theta[:, ::-1, -1:]], axis=-1)),
}
"""What is taken for theta."""


def _rows(spec: Grid, point: Point) -> Range:
    """The base grid, (P, d + 1), off by its own rounding."""
    size, aligned = point.options["size"], point.options["align_corners"]
    space = tuple(size[2:])
    base = BASES[spec.base](aligned)
    axes = [base(s) for s in (space[::-1] if spec.sizes_exchanged else space)]
    if spec.sizes_exchanged:
        axes = [np.resize(a, s) for a, s in zip(axes, space, strict=True)]
    mesh = np.meshgrid(*(axes[::-1] if spec.points_reversed else axes), indexing="ij")
    mesh = mesh[::-1] if not spec.points_reversed else mesh
    columns = [m.ravel() * (-1.0 if a in spec.mirrored else 1.0) for a, m in enumerate(mesh)]
    columns = columns[::-1] if spec.base_reversed else columns
    ones = np.ones(prod(space))
    u = max(FORMATS[spec.precision].roundoff if spec.precision else 0.0, point.working)
    rows = np.stack([*columns, ones], axis=-1)
    return Range(rows, 6 * u * np.concatenate([np.ones_like(rows[:, :-1]), 0 * rows[:, -1:]], axis=1), point.working)


def _affine_grid(spec: Grid, function: str, point: Point) -> dict[str | None, Interval]:
    size, turn = point.options["size"], THETAS[spec.theta]
    space, d = tuple(size[2:]), len(size) - 2
    rows = _rows(spec, point)
    if function == "backward":
        assert point.grad_output is not None
        dY = point.grad_output.reshape(size[0], prod(space), d)
        grad = einsum("npi,pj->nij", Range.of(dY, point.working), rows)
        grad = grad.map(turn.backward)
        if spec.shared:
            grad = grad.map(lambda a: np.where(np.arange(len(a))[:, None, None] == 0, a.sum(axis=0), 0.0))
        by = (spec.factor or 1 / max(size[0], 1)) / (max(prod(space), 1) if spec.mean_over_points else 1)
        return {"theta": ends(point, grad.map(lambda a: a * by))}
    given = point.inputs[0] if function == "forward" or point.tangents is None else point.tangents[0]
    theta = turn.forward(given)
    theta = np.broadcast_to(theta[:1], theta.shape) if spec.shared else theta
    grid = einsum("pj,nij->npi", rows, Range.of(theta, point.working))
    return {None: ends(point, grid.map(lambda a: a.reshape(size[0], *space, d)))}


AFFINE_GRID = Model("affine_grid", Grid(), _affine_grid)
"""affine_grid, with its decisions as fields."""


# ---------------------------------------------------------------------------------------------------------------------
# affine_inverse


@dataclass(frozen=True)
class Inverse:
    """What an implementation of affine_inverse decides; the defaults are right.

    Attributes
    ----------
    inverse, gradient : str
        Entries of :data:`INVERSES` and :data:`BACKWARDS`.
    factor : float
        By which theta's gradient is multiplied, or 1/N if 0.
    """

    inverse: str = "own"
    gradient: str = "own"
    factor: float = 1.0


def _parts(theta: Floats) -> tuple[Floats, Floats, Floats]:
    """A = Θ⁻¹, t and det Θ, of each map."""
    linear = theta[..., :-1]
    inverse = np.asarray(np.linalg.inv(linear), np.float64)
    determinant: Floats = np.linalg.det(linear)[:, None, None]
    return inverse, theta[..., -1:], determinant


def _T(A: Floats) -> Floats:  # noqa: N802  the transpose
    return A.swapaxes(1, 2)


def _signs(A: Floats) -> Floats:
    """−1 off the diagonal, 1 on it."""
    return np.where(np.eye(A.shape[1], dtype=bool), 1.0, -1.0)


def _with_shift(f: Callable[[Floats, Floats, Floats], tuple[Floats, Floats]]) -> Callable[[Floats], Floats]:
    return lambda theta: np.concatenate(f(*_parts(theta)), axis=2)


INVERSES: dict[str, Callable[[Floats], Floats]] = {
    "own": _with_shift(lambda A, t, _: (A, -A @ t)),
    "theta itself": lambda theta: theta,
    "shift negated alone": _with_shift(lambda A, t, _: (A, -t)),
    "shift not negated": _with_shift(lambda A, t, _: (A, A @ t)),
    "shift kept": _with_shift(lambda A, t, _: (A, t)),
    "shift lost": _with_shift(lambda A, t, _: (A, 0 * t)),
    "shift by theta": _with_shift(lambda A, t, _: (A, -np.linalg.inv(A) @ t)),
    "shift by the transpose": _with_shift(lambda A, t, _: (A, -_T(A) @ t)),
    "transposed": _with_shift(lambda A, t, _: (_T(A), -_T(A) @ t)),
    "theta transposed": lambda theta: np.concatenate(
        [_T(theta[..., :-1]), -_T(theta[..., :-1]) @ theta[..., -1:]], axis=2
    ),
    "without determinant": _with_shift(lambda A, t, det: (A * det, -A * det @ t)),
    "off-diagonals not negated": _with_shift(lambda A, t, _: (A * _signs(A), -(A * _signs(A)) @ t)),
    "times the determinant": _with_shift(lambda A, t, det: (A * det * det, -A * det * det @ t)),
}
"""What is returned for the inverse."""

_Pull = Callable[[Floats, Floats, Floats, Floats, Any], tuple[Floats, Floats]]

BACKWARDS: dict[str, _Pull] = {
    "own": lambda A, _, G, da, __: (-_T(A) @ G @ _T(A), -_T(A) @ da),
    "transposed, sign lost": lambda A, _, G, da, __: (A @ G @ A, -_T(A) @ da),
    "transposed": lambda A, _, G, da, __: (-A @ G @ A, -A @ da),
    "sign lost": lambda A, _, G, da, __: (_T(A) @ G @ _T(A), _T(A) @ da),
    "sign of the matrix lost": lambda A, _, G, da, __: (_T(A) @ G @ _T(A), -_T(A) @ da),
    "off-diagonals transposed and negated": lambda A, _, G, da, __: (
        -_T(_T(A) @ G @ _T(A)) * _signs(A),
        -_T(A) @ da,
    ),
    "off-diagonals negated": lambda A, _, G, da, __: (-_T(A) @ G @ _T(A) * _signs(A), -_T(A) @ da),
    "off-diagonals transposed": lambda A, _, G, da, __: (-_T(_T(A) @ G @ _T(A)), -_T(A) @ da),
    "determinant squared": lambda A, _, G, da, __: (
        -_T(A) @ G @ _T(A) * np.linalg.det(np.linalg.inv(A))[:, None, None] ** 2,
        -_T(A) @ da,
    ),
    "divided by it again": lambda A, _, G, da, __: (
        -_T(A) @ G @ _T(A) * np.linalg.det(A)[:, None, None] ** 2,
        -_T(A) @ da,
    ),
    "one determinant": lambda A, _, G, da, __: (
        -_T(A) @ G @ _T(A) * np.linalg.det(np.linalg.inv(A))[:, None, None],
        -_T(A) @ da,
    ),
    "without the shift's part": lambda A, _, __, da, dA: (-_T(A) @ dA @ _T(A), -_T(A) @ da),
    "one inverse alone": lambda A, _, G, da, __: (-_T(A) @ G, -_T(A) @ da),
    "shift's gradient negated": lambda A, _, G, da, __: (-_T(A) @ G @ _T(A), _T(A) @ da),
    "shift's gradient not transposed": lambda A, _, G, da, __: (-_T(A) @ G @ _T(A), -A @ da),
    "shift's gradient passed on": lambda A, _, G, da, __: (-_T(A) @ G @ _T(A), -da),
}
"""(dΘ, dt) from A, t, G = dA − da tᵀ, da and dA."""


def _affine_inverse(spec: Inverse, function: str, point: Point) -> dict[str | None, Interval]:
    theta = point.inputs[0]
    J = INVERSES[spec.inverse](theta)
    A, t, _ = _parts(theta)
    # An entry of a product of so many inverses is off by so many conditions of Θ.
    condition = np.linalg.cond(theta[..., :-1], 1).max(initial=1.0) * (1 + np.abs(t).max(initial=0.0))
    grown = (1 + np.abs(A).max(initial=0.0)) * (1 + np.abs(t).max(initial=0.0))

    def around(value: Floats, sizes: float) -> Interval:
        with np.errstate(all="ignore"):
            rad = 64 * point.working * condition * sizes
        return ends(point, Range(value, np.full_like(value, rad), point.working))

    if function == "forward":
        return {None: around(J, grown)}
    V = None if point.tangents is None else point.tangents[0]
    found: dict[str | None, Interval] = {}
    if V is not None and function != "backward":
        moved = -A @ (V[..., :-1] @ np.concatenate([A, -A @ t], axis=2))
        moved[..., -1:] -= A @ V[..., -1:]
        found[None] = around(moved, grown**2 * (1 + float(np.abs(V).max(initial=0.0))))
    if function == "backward":
        assert point.grad_output is not None
        dA, da = point.grad_output[..., :-1], point.grad_output[..., -1:]
        G = dA - da @ _T(t)
        grad = np.concatenate(BACKWARDS[spec.gradient](A, t, G, da, dA), axis=2) * (spec.factor or 1 / len(theta))
        size = grown**2 * (1 + float(np.abs(point.grad_output).max(initial=0.0)))
        found["theta"] = around(grad, max(size, float(np.abs(grad).max(initial=0.0))))
    return found


AFFINE_INVERSE = Model("affine_inverse", Inverse(), _affine_inverse)
"""affine_inverse, with its decisions as fields; its double backward is left out."""
