"""Activations and the gated linear unit that can be told to be wrong, written for jets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from attn_ref.verify.bounds import Interval
from attn_ref.verify.mistakes.curves import curve
from attn_ref.verify.mistakes.excitation import ends, jet
from attn_ref.verify.mistakes.recipe import Floats, Model, Point
from attn_ref.verify.ranges import Curve, Jet, Range

__all__ = ["ACTIVATION", "GLU", "HALVES", "Elementwise", "Gated"]


@dataclass(frozen=True)
class Elementwise:
    """What an implementation of an activation decides; the defaults are right.

    Attributes
    ----------
    curve : str
        An entry of :data:`attn_ref.verify.mistakes.curves.CURVES`.
    only : tuple of str
        The activations in which the mistake is made; all of them if empty.
    factor : float
        By which the derivative is multiplied.
    cotangent : {"own", "ones"}
        What the backward pass pulls back.
    """

    curve: str = "own"
    only: tuple[str, ...] = ()
    factor: float = 1.0
    cotangent: str = "own"


def _activation(spec: Elementwise, function: str, point: Point) -> dict[str | None, Interval]:
    options = {key: value for key, value in point.options.items() if key not in ("name", "absent")}
    name = point.options["name"]
    how = spec.curve if not spec.only or name in spec.only else "own"
    f: Curve = curve(name, how, sharp=point.sharp, **options)
    moved = function in ("jvp", "double_backward")
    x = jet(point, point.inputs[0], point.tangents[0] if moved and point.tangents else None)
    with np.errstate(all="ignore"):
        found: dict[str | None, Range | None] = {}
        if function != "backward":
            y = x.through(f)
            found[None] = y.rate if moved else y.value
        if function in ("backward", "double_backward"):
            assert point.grad_output is not None
            dy = np.ones_like(point.grad_output) if spec.cotangent == "ones" else point.grad_output
            dx = jet(point, dy, None) * x.through(f, 1)
            found["x"] = dx.rate if moved else dx.value
        by = 1.0 if function == "forward" else spec.factor
        return {of: ends(point, r.map(lambda a: a * by)) for of, r in found.items() if r is not None}


ACTIVATION = Model("activation", Elementwise(), _activation)
"""The activations of one number, with their decisions as fields."""


@dataclass(frozen=True)
class Gated:
    """What an implementation of glu decides; the defaults are right.

    Attributes
    ----------
    halves : str
        An entry of :data:`HALVES`.
    axis : int, optional
        The axis that is halved, whatever is asked.
    gate : str
        An entry of :data:`attn_ref.verify.mistakes.curves.CURVES`, asked for sigmoid.
    added : bool
        Whether the gate is added.
    to_value, to_gate : float
        By which the cotangents of the two halves are multiplied.
    cotangent : {"own", "ones"}
        What the backward pass pulls back.
    """

    halves: str = "in order"
    axis: int | None = None
    gate: str = "own"
    added: bool = False
    to_value: float = 1.0
    to_gate: float = 1.0
    cotangent: str = "own"


Places = Callable[[int], Any]


def _interleaved(n: int) -> Any:
    return np.concatenate([np.arange(0, n, 2), np.arange(1, n, 2)])


HALVES: dict[str, Places] = {
    "in order": np.arange,
    "exchanged": lambda n: np.roll(np.arange(n), n // 2),
    "interleaved": _interleaved,
}
"""The order of the 2n elements, of which the first half is gated by the second."""


def _glu(spec: Gated, function: str, point: Point) -> dict[str | None, Interval]:
    axis = point.options.get("axis", 1) if spec.axis is None else spec.axis
    moved = function in ("jvp", "double_backward")
    x = jet(point, point.inputs[0], point.tangents[0] if moved and point.tangents else None)
    length = point.inputs[0].shape[axis]
    if length % 2:
        return {}
    order = HALVES[spec.halves](length)

    def placed(array: Floats) -> Floats:
        return np.asarray(np.take(array, order, axis), np.float64)

    a = x.map(lambda array: np.split(placed(array), 2, axis)[0])
    b = x.map(lambda array: np.split(placed(array), 2, axis)[1])
    gate = curve("sigmoid", spec.gate)
    with np.errstate(all="ignore"):
        s = b.through(gate)
        found: dict[str | None, Jet] = {}
        if function != "backward":
            found[None] = a + s if spec.added else a * s
        if function in ("backward", "double_backward"):
            assert point.grad_output is not None
            dy = jet(point, np.ones_like(point.grad_output) if spec.cotangent == "ones" else point.grad_output, None)
            if point.grad_output.shape != s.value.mid.shape:
                return {}
            da = dy if spec.added else dy * s
            db = (dy if spec.added else dy * a) * b.through(gate, 1)
            found["x"] = _joined(_times(da, spec.to_value), _times(db, spec.to_gate), axis, np.argsort(order))
        results = {of: y.rate if moved else y.value for of, y in found.items()}
        nothing = {of: Range.of(np.zeros_like(y.value.mid), point.working) for of, y in found.items()}
        return {of: ends(point, nothing[of] if r is None else r) for of, r in results.items()}


def _times(x: Jet, factor: float) -> Jet:
    return x.map(lambda array: array * factor)


def _joined(a: Jet, b: Jet, axis: int, order: Any) -> Jet:
    """Two halves one behind the other, and back to their places."""

    def both(one: Range, other: Range) -> Range:
        parts = ((one.mid, other.mid), (one.rad, other.rad))
        mid, rad = (np.take(np.concatenate(pair, axis), order, axis) for pair in parts)
        return Range(mid, rad, one.u)

    if a.rate is None and b.rate is None:
        return Jet(both(a.value, b.value))
    still = Range.of(np.zeros_like(a.value.mid), a.value.u)
    return Jet(both(a.value, b.value), both(a.rate or still, b.rate or still))


GLU = Model("glu", Gated(), _glu)
"""The gated linear unit, with its decisions as fields."""
