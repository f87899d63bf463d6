"""What is right: the exact results of a problem, rounded once.

They come from :mod:`attn_ref.exact`, which knows finite numbers only. What the specification says of NaN, infinities
and coordinates that overflow is put round it here, point by point: such a point is replaced by one that an exact
sampler treats alike, and what must be NaN is made NaN afterwards.

One number is not exact on purpose: a sampler's pixel coordinate. Rule C1 says in which precision and order it is
evaluated, and all else is said of the coordinate that results, so the exact sampler is given that one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

from attn_ref import exact
from attn_ref.backend import Array
from attn_ref.exact.axis import Rules, axis_taps
from attn_ref.ops.coordinates import to_pixels
from attn_ref.registry import OPERATIONS
from attn_ref.vectors.inputs import dyadic, full
from attn_ref.vectors.problem import Problem

__all__ = ["Given", "Result", "StandIn", "filled", "given", "key_of", "name_of", "options", "results", "stand_in"]

_FAR = 10
"""Pixels beyond the edge: there every padding but reflection gives what it gives at infinity."""
_BEYOND = 10**6
"""Activations are at their limits there, to fifty digits and more."""


class Given(NamedTuple):
    """A call in full: the inputs by name, a cotangent of the output, and a direction.

    The direction serves twice: as tangents of the jvp, and as cotangents of the gradients in the double backward.
    """

    inputs: dict[str, Array | None]
    grad_output: Array
    direction: dict[str, Array | None]


class Result(NamedTuple):
    """One array of results: its name in the suite, what it is the result of, and the values."""

    name: str
    function: str
    of: str | None
    values: Array


def given(problem: Problem, dtype: str) -> Given:
    """Complete a problem by a cotangent and a direction, drawn as its inputs are, and bring all to a dtype."""
    inputs = {name: None if x is None else np.asarray(x, dtype) for name, x in problem.inputs.items()}
    shape = OPERATIONS[problem.operation].forward(filled(inputs), options(problem)).shape

    def draw(what: str, shape: tuple[int, ...]) -> Array:
        label = f"{problem.name}/{what}"
        drawn = full(label, shape, dtype) if len(problem.dtypes) == 1 else dyadic(label, shape)
        return np.asarray(drawn, dtype)

    direction = {name: None if x is None else draw(f"direction.{name}", x.shape) for name, x in inputs.items()}
    return Given(inputs, draw("grad_output", shape), direction)


def results(problem: Problem) -> dict[str, list[Result]]:
    """Compute all results of a problem.

    Parameters
    ----------
    problem : Problem
        A problem that is not invalid.

    Returns
    -------
    dict of str to list of Result
        By dtype.
    """
    first = problem.dtypes[0]  # all dtypes have the same inputs, and so the same exact results
    precise = list(_of_twin(problem, given(problem, first)))
    return {
        dtype: [
            Result(name_of(function, of), function, of, _rounded(values, dtype)) for function, of, values in precise
        ]
        for dtype in problem.dtypes
    }


def name_of(function: str, of: str | None) -> str:
    """The name of a result in a suite."""
    if function == "forward":
        return "output"
    whole = "grad_output" if function == "double_backward" else "output"
    return f"{function}.{of or whole}"


def key_of(name: str) -> tuple[str, str | None]:
    """The function of a result of that name, and the input whose cotangent it is, if any."""
    function, _, of = name.rpartition(".")
    return (function or "forward", None if of in ("output", "grad_output") else of)


def _rounded(values: Any, dtype: str) -> Array:
    """Round numbers once; NaN and infinities, which are floats among them, stay."""
    special = np.array([isinstance(v, float) and not np.isfinite(v) for v in values.flat], bool).reshape(values.shape)
    numbers = values.copy()
    numbers[special] = 0
    result = exact.to_float(numbers, dtype)
    result[special] = values[special].astype(dtype)
    return result


def options(problem: Problem) -> dict[str, Any]:
    """The options as the registry wants them: with the names of the inputs that are absent."""
    absent = tuple(name for name, x in problem.inputs.items() if x is None)
    return {**problem.options, **({"absent": absent} if absent else {})}


def filled(arrays: dict[str, Array | None]) -> tuple[Array, ...]:
    """Inputs, or a direction, as the registry wants them: with an array, which is not read, for what is absent."""
    some = next(x for x in arrays.values() if x is not None)
    return tuple(np.zeros(1, some.dtype) if x is None else x for x in arrays.values())


# ---------------------------------------------------------------------------------------------------------------------
# What an exact twin is given, and what is put back into its results


class StandIn(NamedTuple):
    """A call with finite numbers that is treated alike, and the way back.

    Attributes
    ----------
    call : Given
        The call; a grid holds rational numbers.
    restore : callable
        ``restore(function, of, values)`` puts back into a result, in place, what finite numbers could not say.
    options : dict
        The options of the twin.
    """

    call: Given
    restore: Callable[[str, str | None, Any], Any]
    options: dict[str, Any]


def stand_in(problem: Problem, call: Given) -> StandIn:
    """Replace what is not finite in a call by what is treated alike."""
    return _STAND_INS.get(problem.operation, _itself)(problem, call)


def _of_twin(problem: Problem, call: Given) -> Iterator[tuple[str, str | None, Any]]:
    near = stand_in(problem, call)
    arrays = filled(near.call.inputs), near.call.grad_output, filled(near.call.direction)
    for function, of, values in OPERATIONS[problem.operation].twin.results(*arrays, near.options):
        if function in problem.functions and (of is None or problem.inputs[of] is not None):
            yield function, of, near.restore(function, of, values)


def _itself(problem: Problem, call: Given) -> StandIn:
    return StandIn(call, lambda function, of, values: values, options(problem))  # noqa: ARG005  one signature for all


def _activation(problem: Problem, call: Given) -> StandIn:
    """NaN gives NaN; at infinity a function and its derivatives are at their limits."""
    x = call.inputs["x"]
    assert x is not None
    nan, infinite, wide = np.isnan(x), np.isinf(x), x.astype(np.float64)
    near = np.where(infinite, np.copysign(_BEYOND, wide), np.where(nan, 0, wide))

    def restore(function: str, of: str | None, values: Any) -> Any:  # noqa: ARG001  one signature for all
        values[nan] = np.nan
        grown = infinite & np.array([abs(v) > _BEYOND / 2 for v in values.flat], bool).reshape(values.shape)
        if function == "forward":
            values[grown] = wide[grown].astype(object)
        return values

    return StandIn(call._replace(inputs={"x": near}), restore, problem.options)


def _grid_sample(problem: Problem, call: Given) -> StandIn:
    """Points that are no numbers, and images with their channels last."""
    channels = -1 if problem.options["channels_last"] else 1
    sampling = {name: value for name, value in problem.options.items() if name != "channels_last"}
    image, grid, u = call.inputs["input"], call.inputs["grid"], call.direction["input"]
    assert image is not None
    assert grid is not None
    assert u is not None
    image, dy, rules = _moved(image, channels, 1), _moved(call.grad_output, channels, 1), Rules(**sampling)
    points, lost = _points(grid, image.shape[2:], rules)
    spoiled = _reads_nan(np.isnan(image), points, rules) if np.isnan(image).any() else np.zeros(dy.shape, bool)
    spoiled |= lost[:, None]

    def restore(function: str, of: str | None, values: Any) -> Any:  # noqa: ARG001  one signature for all
        if of == "grid":
            values[lost] = np.nan
            return values
        if of is None:
            values[spoiled] = np.nan
        return _moved(values, 1, channels)

    finite = np.where(np.isfinite(image), image, 0).astype(image.dtype)
    silent = np.where(lost[:, None], 0, dy).astype(dy.dtype)  # adds nothing to the image's cotangents
    direction = {**call.direction, "input": _moved(u, channels, 1)}
    return StandIn(Given({"input": finite, "grid": points}, silent, direction), restore, sampling)


def _moved(array: Array, source: int, destination: int) -> Array:
    return np.moveaxis(array, source, destination)


def _points(grid: Array, space: tuple[int, ...], rules: Rules) -> tuple[Any, Array]:
    """The grid as rational numbers that an exact sampler treats alike; and the points that count as NaN."""
    working = np.float64 if grid.dtype == np.float64 else np.float32
    points = np.full(grid.shape, Fraction(0), dtype=object)
    lost = np.zeros(grid.shape[:-1], bool)
    for a, size in enumerate(reversed(space)):
        with np.errstate(all="ignore"):
            pixels = to_pixels(np, grid[..., a].astype(working), size, rules.align_corners)
        lost |= np.isnan(pixels) | (np.isinf(pixels) & (rules.padding_mode == "reflection"))
        for place in np.ndindex(pixels.shape):
            p = pixels[place]
            if np.isfinite(p):
                points[(*place, a)] = _normalised(Fraction(float(p)), size, rules.align_corners)
            elif np.isinf(p):
                beyond = Fraction(size + _FAR if p > 0 else -_FAR)
                points[(*place, a)] = _normalised(beyond, size, rules.align_corners)
    return points, lost


def _normalised(p: Fraction, size: int, align_corners: bool) -> Fraction:
    """The g whose exact pixel coordinate is p; for one aligned pixel any will do."""
    if align_corners:
        return 2 * p / (size - 1) - 1 if size > 1 else Fraction(0)
    return (2 * p + 1) / size - 1


def _reads_nan(nan: Array, points: Any, rules: Rules) -> Array:
    """Output elements of which a tap reads a NaN pixel. (N, C, *output), bool."""
    space = nan.shape[2:]
    spoiled = np.zeros((*nan.shape[:2], *points.shape[1:-1]), bool)
    for n, *place in np.ndindex(points.shape[:-1]):
        coordinates = zip(reversed(points[(n, *place)]), space, strict=True)
        taps = [sorted({tap.pixel for tap in axis_taps(g, size, 0, rules)}) for g, size in coordinates]
        read = nan[n][(slice(None), *np.ix_(*taps))]
        spoiled[(n, slice(None), *place)] = read.reshape(len(read), -1).any(axis=1)
    return spoiled


_STAND_INS: dict[str, Callable[[Problem, Given], StandIn]] = {"activation": _activation, "grid_sample": _grid_sample}
"""Operations whose inputs may be no numbers."""
