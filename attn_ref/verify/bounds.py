"""Derived bounds (rule D2): for every element of every result of a call, the interval that holds all right values.

A bound has two readings. With ``choices`` an interval holds whatever a right implementation may return, all that right
implementations differ in included: which side of a kink, which of two pixels at a tie, what a NaN coordinate gives.
Without, it holds what the specification chose, to rounding. A value that the first holds and the second does not is an
acceptable deviation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from math import prod
from typing import Any, NamedTuple

import numpy as np

from attn_ref.backend import Array
from attn_ref.exact.axis import Rules
from attn_ref.registry import Call, Operation
from attn_ref.verify.formulas import FORMULAS
from attn_ref.verify.ranges import Floats, Jet, Range
from attn_ref.verify.sampler_ranges import sampled

__all__ = ["FORMATS", "FUNCTIONS", "Format", "Interval", "Key", "intervals"]

Key = tuple[str, str | None]
"""A result of a call: (function, of), as :meth:`attn_ref.registry.Operation.results` names it."""

FUNCTIONS = ("forward", "backward", "jvp", "double_backward")
"""The functions whose results have bounds."""


class Format(NamedTuple):
    """A number format: unit roundoff, smallest subnormal, and where rounding gives infinity."""

    roundoff: float
    least: float
    overflow: float


FORMATS = {
    "float64": Format(2.0**-53, 2.0**-1074, np.inf),
    "float32": Format(2.0**-24, 2.0**-149, 2.0**128 * (1 - 2.0**-25)),
    "float16": Format(2.0**-11, 2.0**-24, 65520.0),
    "bfloat16": Format(2.0**-8, 2.0**-133, 2.0**128 * (1 - 2.0**-9)),
}
"""Number formats by name."""


class Interval(NamedTuple):
    """What a result may be, element by element.

    From −inf to inf nothing is demanded, and NaN will do; where both ends are NaN, NaN is demanded.

    Attributes
    ----------
    low, high : array of float64, shape of the result
        The ends, which belong to it.

    Examples
    --------
    >>> import numpy as np
    >>> interval = Interval(np.array([0.0, 1.0, -np.inf]), np.array([0.5, 1.5, np.inf]))
    >>> interval.holds([0.2, 2.0, np.nan])
    array([ True, False,  True])
    """

    low: Floats
    high: Floats

    def holds(self, got: Any) -> Any:
        """Say of each element whether it is right.

        Parameters
        ----------
        got : array, shape of the ends
            A result. (bfloat16 is to be converted to float32, which changes nothing.)

        Returns
        -------
        array of bool
            True inside, and where nothing is demanded.

        Raises
        ------
        ValueError
            If it has another shape, and does not broadcast.
        """
        value = np.asarray(got, np.float64)
        anything = (self.low == -np.inf) & (self.high == np.inf)
        nan = np.isnan(self.low)
        return anything | np.where(nan, np.isnan(value), (self.low <= value) & (value <= self.high))

    def excess(self, got: Any) -> Floats:
        """Say how far each element lies outside.

        Parameters
        ----------
        got : array, shape of the ends
            A result.

        Returns
        -------
        array of float64
            In units of the interval's radius: 0 inside, inf for NaN where a number is demanded.

        Raises
        ------
        ValueError
            If it has another shape, and does not broadcast.
        """
        value = np.asarray(got, np.float64)
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            outside = np.maximum(self.low - value, value - self.high)
            ratio = outside / np.maximum((self.high - self.low) / 2, np.finfo(np.float64).tiny)
        return np.where(self.holds(value), 0.0, np.where(np.isnan(ratio), np.inf, ratio))


def intervals(
    operation: Operation,
    call: Call,
    grad_output: Array,
    tangents: Sequence[Array],
    *,
    dtype: str = "float32",
    functions: Sequence[str] = FUNCTIONS,
    choices: bool = True,
    native: bool = False,
) -> dict[Key, Interval]:
    """Bound every element of the results of a call.

    Parameters
    ----------
    operation : Operation
        A registered operation.
    call : Call
        Its inputs, holding numbers of the dtype (in any wider dtype), and options.
    grad_output : array, shape of the output
        Cotangent for ``backward`` and ``double_backward``.
    tangents : sequence of array
        Tangents of the inputs for ``jvp``, cotangents of the first gradients for ``double_backward``: those of
        :meth:`attn_ref.registry.Operation.results`.
    dtype : {"float64", "float32", "float16", "bfloat16"}
        What the implementation takes and returns. Half formats are computed in float32 and rounded once (T1).
    functions : sequence of str
        Which results are wanted.
    choices : bool
        Whether to allow everything that is right, or only what the specification chose.
    native : bool
        For half formats: whether to allow computing in them, coordinates included.

    Returns
    -------
    dict
        Interval by (function, of), in the order of :meth:`attn_ref.registry.Operation.results`.

    Raises
    ------
    KeyError
        If the dtype is unknown.
    ValueError
        If the arrays do not fit one another.

    Notes
    -----
    Inputs that are NaN or infinite: with ``choices`` nothing is demanded of the elements that they may reach, without,
    what the reference returns.

    Examples
    --------
    ReLU has a kink at 0, where any slope from 0 to 1 will do; elsewhere there is one.

    >>> import numpy as np
    >>> from attn_ref.registry import OPERATIONS, Call
    >>> relu, ones = Call((np.array([-1.0, 0.0, 2.0]),), {"name": "relu"}), np.ones(3)
    >>> found = intervals(OPERATIONS["activation"], relu, ones, [ones])
    >>> np.round(found["backward", "x"].low), np.round(found["backward", "x"].high)
    (array([-0., -0.,  1.]), array([0., 1., 1.]))
    """
    half = dtype in ("float16", "bfloat16")
    u = FORMATS[dtype if native or not half else "float32"].roundoff
    if dtype == "float64":
        u *= 2  # no higher precision stands behind the reference
    order = 2 if "double_backward" in functions else 1 if {"backward", "jvp"} & set(functions) else 0
    inputs = tuple(np.asarray(x, np.float64) for x in call.inputs)
    clean = tuple(np.where(np.isfinite(x), x, 0.0) for x in inputs)
    point = _Point(
        operation,
        Call(clean, call.options),
        np.asarray(grad_output, np.float64),
        tuple(np.asarray(v, np.float64) for v in tangents),
        u,
        order,
        choices,
        None if all(np.isfinite(x).all() for x in inputs) else inputs,
    )
    ranges, free = _ranges(point)
    known = None
    if not choices or point.spoilt is not None:
        known = point.results(Call(inputs, call.options))
    found: dict[Key, Interval] = {}
    names = (None, *operation.inputs)
    for key, x in sorted(ranges.items(), key=lambda item: (FUNCTIONS.index(item[0][0]), names.index(item[0][1]))):
        if key[0] not in functions:
            continue
        mid = x.mid if choices or known is None else np.where(np.isfinite(known[key]), known[key], x.mid)
        rad = x.rad if choices else 2 * x.rad  # the reference in float64 is itself somewhere in it
        interval = _rounded_out(mid - rad, mid + rad, dtype, half)
        if known is not None and point.spoilt is not None:
            loose = ~np.isfinite(known[key]) | ~interval.holds(known[key])
            loose = loose | free.get(key, False) if choices else loose
            ends = (-np.inf, np.inf) if choices else (known[key], known[key])
            interval = Interval(np.where(loose, ends[0], interval.low), np.where(loose, ends[1], interval.high))
        elif choices and key in free:
            interval = Interval(np.where(free[key], -np.inf, interval.low), np.where(free[key], np.inf, interval.high))
        found[key] = interval
    return found


def _rounded_out(low: Floats, high: Floats, dtype: str, half: bool) -> Interval:
    """Ends after the last rounding, beyond which lies a few times the least number, and beyond the largest infinity."""
    form = FORMATS[dtype]
    last = form.roundoff if half else 0.0
    low = low - last * np.abs(low) - 4 * form.least
    high = high + last * np.abs(high) + 4 * form.least
    return Interval(np.where(low <= -form.overflow, -np.inf, low), np.where(high >= form.overflow, np.inf, high))


# ---------------------------------------------------------------------------------------------------------------------
# Ranges of one call


@dataclass(frozen=True)
class _Point:
    """A call with finite inputs, in float64; ``spoilt`` has the inputs as they were, if they were not finite."""

    operation: Operation
    call: Call
    grad_output: Floats
    tangents: tuple[Floats, ...]
    u: float
    order: int
    choices: bool
    spoilt: tuple[Floats, ...] | None

    def results(self, call: Call) -> dict[Key, Floats]:
        """What the reference gives in float64."""
        operation, inputs, options = self.operation, call.inputs, call.options
        found: dict[Key, Floats] = {("forward", None): operation.forward(inputs, options)}
        if self.order:
            cotangents = operation.backward(self.grad_output, inputs, options)
            found |= {("backward", name): x for name, x in zip(operation.inputs, cotangents, strict=True)}
            if operation.has_jvp:
                found["jvp", None] = operation.jvp(inputs, self.tangents, options)
        if self.order > 1 and operation.has_double_backward:
            second = operation.double_backward(self.tangents, self.grad_output, inputs, options)
            found["double_backward", None] = second[0]
            names = zip(operation.inputs, second[1:], strict=False)
            found |= {("double_backward", name): x for name, x in names}
        return found


def _ranges(point: _Point) -> tuple[dict[Key, Range], dict[Key, Any]]:
    """Ranges, and for some results where nothing is demanded."""
    name = point.operation.name
    if name == "grid_sample":
        return _sampler(point)
    if name in FORMULAS:
        return _by_formula(point), {}
    if name == "max_pool2d":
        return _max_pool(point), {}
    return _by_magnitude(point), {}


def _by_formula(point: _Point) -> dict[Key, Range]:
    """Carry ranges through the formulas, along the tangents."""
    operation, options = point.operation, {"channels_last": False, **point.call.options, "choices": point.choices}
    if operation.name in ("activation", "glu"):
        options = {**point.call.options, "choices": point.choices}
    absent = options.get("absent", ())
    moves = operation.has_jvp and point.order > 0
    jets = [
        None if name in absent else Jet(Range.of(x, point.u), Range.of(v, point.u) if moves else None)
        for name, x, v in zip(operation.inputs, point.call.inputs, point.tangents, strict=True)
    ]
    formula = FORMULAS[operation.name]
    y = formula.forward(jets, options)
    found: dict[Key, Range] = {("forward", None): y.value}
    if not point.order:
        return found
    cotangents = formula.backward(Jet(Range.of(point.grad_output, point.u)), jets, options)
    if y.rate is not None:
        found["jvp", None] = y.rate
        if operation.has_double_backward:
            found["double_backward", None] = y.rate
    for name, x, cotangent in zip(operation.inputs, point.call.inputs, cotangents, strict=True):
        nothing = Range.of(np.zeros_like(x), point.u)
        found["backward", name] = nothing if cotangent is None else cotangent.value
        if operation.has_double_backward and not operation.linear:
            rate = None if cotangent is None else cotangent.rate
            found["double_backward", name] = nothing if rate is None else rate
    return found


def _by_magnitude(point: _Point) -> dict[Key, Range]:
    """Products of the inputs, summed: the same formula on magnitudes gives the terms that are rounded."""
    operation, call = point.operation, point.call
    depth = operation.terms(call).depth
    sizes = Call(tuple(np.abs(x) for x in call.inputs), call.options)
    magnitudes = _Point(
        operation, sizes, np.abs(point.grad_output), point.tangents, point.u, point.order, point.choices, None
    ).results(sizes)
    values = point.results(call)
    return {key: Range(x, 2 * depth * point.u * np.abs(magnitudes[key]), point.u) for key, x in values.items()}


def _max_pool(point: _Point) -> dict[Key, Range]:
    """The maximum is exact; of pixels that tie, each may get the cotangent, none, or a share."""
    values = point.results(point.call)
    found: dict[Key, Range] = {("forward", None): Range.of(values["forward", None], point.u)}
    if not point.order:
        return found
    (image,), options = point.call.inputs, point.call.options
    kernel = tuple(int(k) for k in np.broadcast_to(options["kernel_size"], 2))
    stride = tuple(int(s) for s in np.broadcast_to(options.get("stride") or kernel, 2))
    pad = tuple(int(p) for p in np.broadcast_to(options.get("padding", 0), 2))
    around = ((0, 0), (0, 0), *((p, p + k) for p, k in zip(pad, kernel, strict=True)))
    framed = np.pad(image, around, constant_values=-np.inf)
    y, g = values["forward", None], point.grad_output
    places: list[Any] = [
        (..., *(slice(o, o + s * n, s) for o, s, n in zip(offset, stride, y.shape[2:], strict=True)))
        for offset in np.ndindex(*kernel)
    ]
    ties = np.sum([framed[place] == y for place in places], axis=0)
    low, high, size = np.zeros_like(framed), np.zeros_like(framed), np.zeros_like(framed)
    for place in places:
        chosen = framed[place] == y
        alone = chosen & (ties == 1)
        low[place] += np.where(alone, g, np.where(chosen, np.minimum(g, 0), 0))
        high[place] += np.where(alone, g, np.where(chosen, np.maximum(g, 0), 0))
        size[place] += np.where(chosen, np.abs(g), 0)
    inside: Any = (..., *(slice(p, p + n) for p, n in zip(pad, image.shape[2:], strict=True)))
    low, high, size = low[inside], high[inside], size[inside]
    rad = (high - low) / 2 if point.choices else 0.0
    rounding = 2 * prod(kernel) * point.u * size
    found["backward", "input"] = Range((low + high) / 2, rad + rounding, point.u)
    return found


_FAR = 1e6
"""A normalised coordinate as good as infinity, beyond the edge of any image."""


def _sampler(point: _Point) -> tuple[dict[Key, Range], dict[Key, Any]]:
    """Bring the arrays to rows and back; say what points and pixels that are no numbers may reach."""
    options = point.call.options
    image, grid = point.call.inputs
    last = options.get("channels_last", False)

    def to_front(x: Floats) -> Floats:
        return np.moveaxis(x, -1, 1) if last else x

    space, out = to_front(image).shape[2:], grid.shape[1:-1]

    def rows(x: Floats) -> Floats:
        x = to_front(x)
        return x.reshape(*x.shape[:2], prod(x.shape[2:]))

    def back(x: Any, key: Key) -> Any:
        if key[1] == "grid":
            return x.reshape(grid.shape)
        x = x.reshape(*x.shape[:2], *(space if key[1] == "input" else out))
        return np.ascontiguousarray(np.moveaxis(x, 1, -1)) if last else x

    rules = Rules(options.get("mode", "bilinear"), options.get("padding_mode", "zeros"), bool(options["align_corners"]))
    flat = (grid.shape[0], prod(out), len(space))
    points, dY = grid.reshape(flat), rows(point.grad_output)
    bad: Any = np.zeros(flat[:2], bool)
    if point.spoilt is not None:
        raw = point.spoilt[1].reshape(flat)
        bad = ~np.isfinite(raw).all(axis=-1)
        nowhere: Any = np.isnan(raw).any(axis=-1) | (bad if rules.padding_mode == "reflection" else False)
        points = np.where(np.isinf(raw), np.sign(raw) * _FAR, points)
        dY = np.where(nowhere[:, None, :], 0.0, dY)  # such a point adds nothing
    found = sampled(
        rows(image),
        points,
        dY,
        (rows(point.tangents[0]), point.tangents[1].reshape(flat)),
        space=space,
        rules=rules,
        u=point.u,
        orders=point.order,
        choices=point.choices,
    )
    bad, touched = bad | found.wide, np.zeros(dY.shape, bool)
    if point.spoilt is not None:
        spoilt = ~np.isfinite(rows(point.spoilt[0]))
        touched = np.einsum("npr,ncr->ncp", found.reads, spoilt, dtype=int) > 0
    free = _free(found.results, bad, touched) if bad.any() or touched.any() else {}
    ranges = {key: x.map(partial(back, key=key)) for key, x in found.results.items()}
    return ranges, {key: back(mask, key) for key, mask in free.items()}


def _free(results: dict[Key, Range], bad: Any, touched: Any) -> dict[Key, Any]:
    """Elements of which nothing is demanded: those of bad points, those that read a bad pixel."""
    points = bad | touched.any(axis=1)  # (N, P)
    masks = {}
    for key, x in results.items():
        if key[1] == "grid":
            masks[key] = np.broadcast_to(points[:, :, None], x.mid.shape)
        elif key[1] == "input":  # to which a bad point may add
            masks[key] = np.broadcast_to(bad.any(axis=1)[:, None, None], x.mid.shape)
        else:
            first = key[0] == "forward"
            masks[key] = np.broadcast_to(bad[:, None, :] | (touched if first else points[:, None, :]), x.mid.shape)
    return masks
