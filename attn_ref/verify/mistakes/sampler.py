"""A sampler that can be told to be wrong: every decision of grid_sample as a field, and what follows from it.

The mathematics is that of :mod:`attn_ref.ops.sampling`, Y = S X with derivatives of S, written once more as plain sums
over a tap table, slowly, since the right one has no slots for mistakes. Paddings, kernels and pixel maps are the
core's and those of :mod:`attn_ref.conventions`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from attn_ref.ops.taps import image_of_rows, rows_of_image
from attn_ref.verify.bounds import FORMATS, Interval
from attn_ref.verify.mistakes.recipe import Floats, Model, Point
from attn_ref.verify.mistakes.sampler_taps import ORDERS, Sampler, Table, table
from attn_ref.verify.mistakes.slips import FACTORS

__all__ = ["SAMPLER"]

Array = Any

_MOST = 2**24
"""Numbers that the exact range of a scatter may take; beyond, it is not widened by the coordinates' rounding."""
Sum = tuple[Array, Array]


@dataclass(frozen=True)
class _Call:
    """A point as rows, with the specification it is computed by."""

    spec: Sampler
    point: Point

    @property
    def channels_last(self) -> bool:
        asked = bool(self.point.options.get("channels_last", False))
        return asked != self.spec.other_layout

    def image(self, array: Floats) -> Floats:
        """An image or a cotangent of the output, as it is read, in this call's layout."""
        if self.spec.other_layout:
            shape = array.shape
            moved = (shape[0], *shape[2:], shape[1]) if self.channels_last else (shape[0], shape[-1], *shape[1:-1])
            array = array.reshape(moved)
        return array

    def rows(self, array: Floats) -> Floats:
        """An image, or a cotangent of the output, as rows: (N, R, C)."""
        rows: Floats = rows_of_image(self.image(array), self.channels_last)
        return rows

    @property
    def input(self) -> Floats:
        return self.image(self.point.inputs[0])

    @property
    def space(self) -> tuple[int, ...]:
        shape = self.input.shape
        return tuple(shape[1:-1] if self.channels_last else shape[2:])

    def image_rows(self, array: Floats) -> Floats:
        """Rows of an image, of the sample and channel that are read."""
        rows = self.rows(array)
        if self.spec.image_of == "first":
            rows = np.broadcast_to(rows[:1], rows.shape)
        if self.spec.channel_of == "first":
            rows = np.broadcast_to(rows[..., :1], rows.shape)
        return rows[..., ::-1] if self.spec.channel_of == "reversed" else rows

    def unread(self, total: Sum) -> Sum:
        """Undo :meth:`image_rows` for a gradient: where one row was read for all, all come back to it."""
        value, size = total
        for axis, first in ((1, self.spec.image_of == "first"), (3, self.spec.channel_of == "first")):
            if first:
                value, size = (_gathered(array, axis) for array in (value, size))
        if self.spec.channel_of == "reversed":
            value, size = value[..., ::-1], size[..., ::-1]
        return value, size

    def table(self) -> Table:
        """The tap table."""
        working = self.working if self.point.boxed else 0.0
        point = self.point
        return table(self.spec, point.inputs[1], self.space, point.options, working, point.sharp)

    def back(self, rows: Floats, space: tuple[int, ...], shape: tuple[int, ...]) -> Floats:
        """(N, R, C) back to the layout and shape of the caller."""
        image: Floats = image_of_rows(rows, space, self.channels_last).reshape(shape)
        return image

    @property
    def working(self) -> float:
        return FORMATS[self.spec.arithmetic].roundoff if self.spec.arithmetic else self.point.working


def _read(taps: Table, X: Floats, *axes: int) -> tuple[Array, Array]:
    """S X or a derivative of S times X: (B, N, P, C), and the sum of the magnitudes of its terms."""
    n, _, c = X.shape
    rows = np.concatenate([X, np.zeros((n, 1, c))], axis=1)
    values = rows[np.arange(n)[:, None, None], taps.index]  # (B, N, P, K, C)
    terms = taps.weight(*axes)[..., None] * values
    return terms.sum(axis=3), np.abs(terms).sum(axis=3)


def _spread(taps: Table, Y: Floats, space: tuple[int, ...], how: str, *axes: int) -> Sum:
    """Sᵀ Y likewise, (·, N, R, C): its value, its lowest and its highest, each point being anywhere in its own box.

    Or repeated indices are not added up: then one value, since which of them is left is another number.
    """
    weight, index, (n, p, c), pixels = taps.weight(*axes), taps.index, Y.shape, prod(space) + 1
    samples = np.arange(n)[:, None, None]
    terms = weight[0, ..., None] * Y[:, :, None]  # (N, P, K, C), at the middle
    value, size = (np.zeros((n, pixels, c)) for _ in range(2))
    np.add.at(size, (samples, index[0]), np.abs(terms))
    if how == "assign at once":
        value[samples, index[0]] += terms
    elif how == "assign":
        for k in range(index.shape[3]):
            value[samples[..., 0], index[0, ..., k]] += terms[:, :, k]
    else:
        np.add.at(value, (samples, index[0]), terms)
    found = [value]
    if how == "add" and len(index) * n * p * pixels * c < _MOST:
        dense = np.zeros((len(index), n, p, pixels))  # what each point adds to each pixel, at each corner
        np.add.at(dense, (np.arange(len(index))[:, None, None, None], samples, np.arange(p)[:, None], index), weight)
        added = [dense.min(axis=0)[..., None] * Y[:, :, None], dense.max(axis=0)[..., None] * Y[:, :, None]]
        found += [np.minimum(*added).sum(axis=1), np.maximum(*added).sum(axis=1)]
    return np.stack(found)[:, :, :-1], size[None, :, :-1]


def _plus(*sums: Sum) -> Sum:
    return sum(value for value, _ in sums), sum(size for _, size in sums)


def _times(factor: Array, total: Sum) -> Sum:
    return factor * total[0], np.abs(factor) * total[1]


def _evaluate(spec: Sampler, function: str, point: Point) -> dict[str | None, Interval]:
    call = _Call(spec, point)
    with np.errstate(all="ignore"):
        return _FUNCTIONS[function](call, call.table())


def _forward(call: _Call, taps: Table) -> dict[str | None, Interval]:
    return {None: _output(call, taps, _read(taps, call.image_rows(call.point.inputs[0])))}


def _backward(call: _Call, taps: Table) -> dict[str | None, Interval]:
    dY = _cotangent(call)
    X = call.image_rows(call.point.inputs[0])
    axes = range(len(call.space))
    to_grid = [_over_channels(dY, _read(taps, X, a)) for a in axes]
    to_input = _spread(taps, _still(dY, taps), call.space, call.spec.scatter)
    return {"input": _image(call, to_input), "grid": _grid(call, taps, to_grid)}


def _moved(call: _Call, taps: Table) -> Sum:
    """The jvp along the tangents, as a sum."""
    X, (X_dot, g_dot) = call.image_rows(call.point.inputs[0]), _tangents(call)
    parts = [_read(taps, X_dot)] if call.spec.input_part else []
    if call.spec.grid_part:
        parts += [_times(g_dot[..., a, None], _read(taps, X, a)) for a in range(len(call.space))]
    return _plus(*parts)


def _jvp(call: _Call, taps: Table) -> dict[str | None, Interval]:
    return {None: _output(call, taps, _moved(call, taps))}


def _double_backward(call: _Call, taps: Table) -> dict[str | None, Interval]:
    X, (U, v) = call.image_rows(call.point.inputs[0]), _tangents(call)
    dY, axes = _cotangent(call), range(len(call.space))
    to_input = _plus(
        *(_spread(taps, _still(v[..., a, None] * dY, taps), call.space, call.spec.scatter, a) for a in axes)
    )
    to_grid = []
    for a in axes:
        parts = [_over_channels(dY, _read(taps, U, a))]
        for b in axes:
            if call.spec.bent or a != b:
                parts.append(_times(v[..., b], _over_channels(dY, _read(taps, X, a, b))))
        to_grid.append(_plus(*parts))
    return {
        None: _output(call, taps, _moved(call, taps)),
        "input": _image(call, to_input),
        "grid": _grid(call, taps, to_grid),
    }


_FUNCTIONS: dict[str, Callable[[_Call, Table], dict[str | None, Interval]]] = {
    "forward": _forward,
    "backward": _backward,
    "jvp": _jvp,
    "double_backward": _double_backward,
}


def _cotangent(call: _Call) -> Floats:
    assert call.point.grad_output is not None
    dY = call.rows(call.point.grad_output)
    return np.ones_like(dY) if call.spec.cotangent == "ones" else dY


def _tangents(call: _Call) -> tuple[Floats, Floats]:
    assert call.point.tangents is not None
    of_input, of_grid = call.point.tangents
    return call.image_rows(of_input), of_grid.reshape(len(of_grid), -1, of_grid.shape[-1])


def _still(Y: Floats, taps: Table) -> Floats:
    """A cotangent of the output, 0 where the point has a NaN."""
    return np.where(taps.nan[..., None], 0.0, Y)


def _over_channels(dY: Floats, read: Sum) -> Sum:
    return (dY * read[0]).sum(axis=-1), (np.abs(dY) * read[1]).sum(axis=-1)


def _range(call: _Call, total: Sum, count: int) -> tuple[Floats, ...]:
    """Ends of a sum over the corners of the box, widened by the rounding of its terms and of its storage."""
    value, size = total
    reach = 4 * (count + 8) * call.working * size + call.point.stored * np.abs(value) + np.finfo(np.float64).tiny
    reach = np.where(np.isfinite(reach), reach, 0)
    low, high = value - reach, value + reach
    return low.min(axis=0), high.max(axis=0)


def _terms(call: _Call, taps: Table) -> int:
    return int(taps.index.shape[3] + call.input.size // max(prod(call.space), 1))


def _output(call: _Call, taps: Table, total: Sum) -> Interval:
    ends = [np.where(taps.nan[..., None], np.nan, end) for end in _range(call, total, _terms(call, taps))]
    given, grid = call.point.inputs[0].shape, call.point.inputs[1].shape
    last = bool(call.point.options.get("channels_last", False))
    shape = (*grid[:-1], given[-1]) if last else (*given[:2], *grid[1:-1])
    return Interval(*(call.back(end, grid[1:-1], shape) for end in ends))


def _image(call: _Call, total: Sum) -> Interval:
    factor = FACTORS[call.spec.input_factor](call.point)
    total = call.unread(_times(factor, total))
    ends = _range(call, total, call.point.inputs[1].size)
    return Interval(*(call.back(end, call.space, call.point.inputs[0].shape) for end in ends))


def _gathered(array: Array, axis: int) -> Array:
    """Zeros, but the sum along an axis in its first place."""
    total = np.zeros_like(array)
    np.moveaxis(total, axis, 0)[0] = array.sum(axis=axis)
    return total


def _grid(call: _Call, taps: Table, components: list[Sum]) -> Interval:
    """The grid's gradient; its components are those of the order and signs in which the grid was read."""
    axes, spec = len(components), call.spec
    factor = FACTORS[spec.grid_factor](call.point)
    signs = [-1.0 if a in spec.mirrored else 1.0 for a in range(axes)]
    scaled = [_times(factor * sign, one) for sign, one in zip(signs, components, strict=True)]
    placed = [scaled[a] for a in ORDERS[spec.order](axes)]
    placed = placed[::-1] if spec.components_exchanged else placed
    total = (np.stack([v for v, _ in placed], axis=-1), np.stack([s for _, s in placed], axis=-1))
    ends = [np.where(taps.nan[..., None], np.nan, end) for end in _range(call, total, _terms(call, taps))]
    return Interval(*(end.reshape(call.point.inputs[1].shape) for end in ends))


SAMPLER = Model("grid_sample", Sampler(), _evaluate)
"""grid_sample, with its decisions as fields."""
