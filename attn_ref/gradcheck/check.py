"""Compare a backward pass, anyone's, with differences of its forward pass.

Every element of every input is moved a little both ways, and the change of the output is compared with what the
backward pass says. Two comparisons are made for each input: with a random cotangent, always, and with every unit
cotangent in turn (the full Jacobian) where the output is small. A random cotangent, never ones: a sum over outputs
hides errors that cancel in it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np

from attn_ref.gradcheck.differences import SAFETY, at_level, extrapolated, stencil_for
from attn_ref.gradcheck.problem import ROUNDINGS, Floats, Problem
from attn_ref.gradcheck.report import Comparison, Kink, Report

__all__ = ["check_gradients"]

_LEVELS = 70
"""Longest ladder of steps: from 1/8 down to 2**-72."""


def check_gradients(
    forward: Callable[..., Any],
    backward: Callable[..., Any],
    inputs: Sequence[Any],
    *,
    batched: bool | Sequence[bool] = False,
    names: Sequence[str] | None = None,
    step: Sequence[Any] | None = None,
    degree: int | None = None,
    kink_distance: Sequence[Any] | None = None,
    full_jacobian: bool | None = None,
    seed: int = 0,
) -> Report:
    """Check a hand-written backward pass against finite differences of its forward pass.

    Parameters
    ----------
    forward : callable
        ``forward(*inputs)`` gives the output, one floating array of any shape.
    backward : callable
        ``backward(grad_output, *inputs)`` gives the cotangents of the inputs, in their order, each of its input's
        shape; with one input, the array itself will do.
    inputs : sequence of array
        Where to check: NumPy arrays of float64 (best), float32 or float16. They are not written to.
    batched : bool or sequence of bool
        Whether axis 0 of an input holds independent samples, and axis 0 of the output likewise: one flag for all, or
        one for each input, since weights are shared between samples. It makes the check much faster.
    names : sequence of str, optional
        What to call the inputs in the report.
    step : sequence of array or float, optional
        With ``degree``: how far to move the elements of each input, in its units.
    degree : int, optional
        The output is a polynomial of at most this degree in each single element, within one step to both sides if the
        degree is at most 2, within two steps if it is 3 or 4. The differences are then exact but for rounding.
    kink_distance : sequence of array, optional
        Distance of each element of each input from the nearest kink, in its units; elements nearer than the
        differences reach are reported as kinks. Without it, kinks are found by comparing one-sided differences.
    full_jacobian : bool, optional
        Whether to compare every entry of the Jacobian besides the projection; by default where it is small.
    seed : int
        Seed of the random cotangent.

    Returns
    -------
    Report
        ``passed``, ``comparisons``, ``kinks``; prints as a table; ``raise_if_failed()``.

    Raises
    ------
    TypeError
        If an input, an output or a cotangent is not a floating-point NumPy array.
    ValueError
        If shapes or lengths do not fit, the output is not finite, or samples turn out not to be independent.

    Notes
    -----
    Without ``degree``, central differences at three steps are extrapolated to step 0. Elements that do not agree, or
    whose differences do not settle, are tried again over a long ladder of steps, so that a nearby kink, the edge of the
    function's domain or a fast oscillation gets a step that suits it; where the function raises or is not finite there
    is no difference. The bound of each comparison is ten times the extrapolation's own error estimate plus 64 rounding
    errors of the output divided by the step.

    An element is on a kink if its one-sided differences keep disagreeing as the step shrinks (for a smooth function the
    gap shrinks with the step), or if nothing can be said of its derivative at any step. It is then listed and not
    compared, with two exceptions: a gradient that is NaN or inf fails, and so does one that lies further outside the
    one-sided differences than ten times the gap between them. If nothing is left to compare, the table says so. An
    element with a kink close by is listed too, but compared, with steps that stay on its side.

    With a single sample, no check can tell a shared weight's gradient that forgets to sum over samples from a right
    one.

    Examples
    --------
    A forgotten factor is found and shown:

    >>> import numpy as np
    >>> x = np.array([[0.5, -1.5], [2.0, 0.25]])
    >>> report = check_gradients(lambda x: x**2, lambda dy, x: dy * x, [x], batched=True)
    >>> report.passed
    False
    >>> check_gradients(lambda x: x**2, lambda dy, x: 2 * dy * x, [x], batched=True).passed
    True
    """
    if (step is None) != (degree is None):
        raise ValueError("step and degree belong together: give both, or neither")
    stencil = stencil_for(_whole("degree", degree)) if degree is not None else None
    problem = Problem.of(forward, backward, inputs, batched, names, seed)
    steps = _per_input("step", step, problem)
    distances = _per_input("kink_distance", kink_distance, problem)
    problem.require_independent_samples()
    comparisons: list[Comparison] = []
    kinks: list[Kink] = []
    for i, x in enumerate(problem.inputs):
        if x.size == 0 or problem.output.size == 0:
            continue
        full = problem.full_is_cheap(i) if full_jacobian is None else full_jacobian
        analytic = problem.analytic(i, full)
        if stencil is None:
            estimate = _by_extrapolation(problem, i, full, analytic)
        else:
            estimate = _by_stencil(problem, i, full, stencil, np.broadcast_to(np.asarray(steps[i], float), x.shape))
        if distances[i] is not None:
            near = np.broadcast_to(np.asarray(distances[i]) <= estimate.reach, x.shape)
            estimate.kinky |= problem.by_element(i, near)[:, :, None]
        comparisons += _compare(problem, i, estimate, full, analytic)
        kinks += _kinks(problem, i, estimate, analytic)
    return Report(tuple(comparisons), tuple(kinks))


def _per_input(name: str, values: Any, problem: Problem) -> list[Any]:
    if values is None:
        return [None] * len(problem.inputs)
    if not isinstance(values, Sequence) or isinstance(values, str) or len(values) != len(problem.inputs):
        raise ValueError(f"{name} must be a sequence with one entry for each of the {len(problem.inputs)} inputs")
    for i, value in enumerate(values):
        array = np.asarray(value, np.float64)
        if not (np.isfinite(array) & (array >= 0)).all() or (name == "step" and not array.all()):
            raise ValueError(f"{name}[{i}] must be finite and positive, got {value!r}")
        try:
            np.broadcast_to(array, problem.inputs[i].shape)
        except ValueError:
            wanted = problem.inputs[i].shape
            raise ValueError(
                f"{name}[{i}] has shape {array.shape}: it must broadcast to that of the input, {wanted}"
            ) from None
    return list(values)


def _whole(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, Integral) or value < 0:
        raise ValueError(f"{name} must be a whole number from 0 up, got {value!r}")
    return int(value)


# ---------------------------------------------------------------------------------------------------------------------
# Numbers and their bounds


@dataclass
class _Estimate:
    """Derivatives of one input by differences, all (E, S, m + 1).

    ``kinky`` are not to be compared, ``near`` have a kink close by; reach, of the input's shape, is how far they look.
    """

    numeric: Floats
    bound: Floats
    kinky: Any
    near: Any
    reach: Any = 0.0


def _rounding(problem: Problem, sizes: Floats, quotient: Floats, coordinate: Any, step: Any) -> Floats:
    """What rounding in the values and in a moved coordinate of that size leaves in a quotient."""
    bound: Floats = ROUNDINGS * problem.eps * (sizes + np.abs(quotient) * coordinate) / step
    return bound


def _by_stencil(problem: Problem, i: int, full: bool, stencil: Any, step: Any) -> _Estimate:
    """Differences without truncation error."""
    h = problem.by_element(i, step)
    everywhere = np.arange(len(h))
    values, sizes = problem.values(i, everywhere, np.stack([offset * h for offset, _ in stencil]), full)
    h = h[:, :, None]
    numeric = sum(c * value for (_, c), value in zip(stencil, values, strict=True)) / h
    # The caller knows the pieces and so, it seems, something like pixels: a coordinate may have been moved by about 1.
    x = 1 + problem.by_element(i, np.abs(problem.inputs[i]).astype(np.float64))[:, :, None]
    bound = _rounding(problem, sizes.max(axis=0), numeric, x, h)
    reach = max(offset for offset, _ in stencil) * np.abs(step)
    nowhere = np.zeros(numeric.shape, bool)
    return _Estimate(numeric, bound, nowhere, nowhere.copy(), reach)


def _by_extrapolation(problem: Problem, i: int, full: bool, analytic: Floats) -> _Estimate:
    """Richardson's differences: three steps for all elements, then a long ladder for those that need it."""
    x = problem.by_element(i, np.abs(problem.inputs[i]).astype(np.float64))  # (E, S)
    digits = np.log2(problem.eps)
    first = round(digits / 6)  # 2**-9 in float64: truncation and rounding about even
    unit = 2.0 ** np.floor(np.log2(np.maximum(x, 1)))
    everywhere = np.arange(len(x))
    estimate, settled = _ladder(problem, i, full, everywhere, unit * 2.0**first, 3)
    estimate.reach = 2.0**first
    agrees = (np.abs(analytic - estimate.numeric) <= estimate.bound) & settled & ~estimate.kinky
    again = everywhere[~agrees.all(axis=(1, 2))]
    if len(again):
        top = unit[again] / 8
        bottom = np.where(x > 0, np.clip(x, 1e-30, 1), 1)[again] * 2.0 ** round(0.6 * digits)
        levels = int(np.clip(np.ceil(np.log2((top / bottom).max())), 8, _LEVELS))
        closer, settled = _ladder(problem, i, full, again, top, levels)
        estimate.numeric[again], estimate.bound[again] = closer.numeric, closer.bound
        magnitude = np.abs(closer.numeric) + np.abs(analytic[again])
        # Nothing is known of it, and it is not merely small beside the others.
        lost = (closer.bound > magnitude) & (closer.bound > 1e-6 * np.abs(analytic).max())
        estimate.kinky[again] = closer.kinky | (~settled & lost)
        estimate.near[again] = closer.near
    return estimate


def _ladder(
    problem: Problem, i: int, full: bool, elements: Any, top: Floats, levels: int
) -> tuple[_Estimate, np.ndarray[Any, np.dtype[np.bool_]]]:
    """Central differences at top, top/2, …, extrapolated; and where they settled. top is (E, S)."""
    x = problem.by_element(i, np.abs(problem.inputs[i]).astype(np.float64))[elements]
    h = top * 2.0 ** -np.arange(levels)[:, None, None]  # (L, E, S)
    (plus, minus), sizes = (
        both.reshape(2, levels, *both.shape[1:]) for both in problem.values(i, elements, np.concatenate([h, -h]), full)
    )
    steps = h[..., None]
    with np.errstate(invalid="ignore", over="ignore"):
        central = np.where(steps > 256 * problem.eps * x[:, :, None], (plus - minus) / (2 * steps), np.nan)
        central = np.where(np.isfinite(central), central, np.nan)
        noise = _rounding(problem, sizes.max(axis=0), central, x[:, :, None] + steps, steps)
        if levels > 3:
            noise = np.fmax(noise, _measured(central, steps) / steps)
        numeric, error, level = extrapolated(central, noise)
        centre = problem.read(i, problem.output, 1, full)
        gap = np.abs(plus + minus - 2 * centre) / steps  # |right-hand − left-hand| quotient, at each step
        # The gap of a smooth function halves with the step; that of a kink stays.
        jump = (gap[1:] > 0.75 * gap[:-1]) & (gap[1:] > 4 * noise[1:])
        kinky = at_level(jump, level - 1)
        steady = jump & (gap[1:] < 4 / 3 * gap[:-1])
        near = (steady[8:-2] & steady[9:-1] & steady[10:]).any(axis=0) | kinky
        noise = at_level(noise, level)
    constant = np.all((plus == centre) & (minus == centre), axis=0)  # and 0 ± rounding is its derivative
    noise = np.where(constant, np.maximum(noise, ROUNDINGS * problem.eps), noise)
    settled = SAFETY * error <= 1e-6 * np.abs(numeric) + 4 * noise
    return _Estimate(numeric, SAFETY * error + noise, kinky, near), settled


def _measured(central: Floats, steps: Floats) -> Floats:
    """Rounding error of the values, read off the four smallest steps: all that still changes there.

    It is larger than the outputs tell if large terms cancelled in them.
    """
    wobble = np.abs(np.diff(central, axis=0)) * steps[1:]
    known = ~np.isnan(wobble)
    smallest = known & (np.cumsum(known[::-1], axis=0)[::-1] <= 4)
    noise: Floats = 2 * np.where(smallest, wobble, 0).max(axis=0)
    return noise


def _compare(problem: Problem, i: int, estimate: _Estimate, full: bool, analytic: Floats) -> list[Comparison]:
    """Sum up each kind of comparison by its worst member."""
    kinky = estimate.kinky & np.isfinite(analytic)  # NaN is right nowhere
    error = np.abs(analytic - estimate.numeric)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(error == 0, 0, error / estimate.bound)
    ratio = np.where(kinky, -1, np.where(np.isnan(ratio), np.inf, ratio))
    name = problem.names[i]
    parts = [(f"{name}: random cotangent", slice(-1, None))]
    if full:
        parts.append((f"{name}: full Jacobian", slice(0, -1)))
    comparisons = []
    for title, columns in parts:
        element, sample, column = np.unravel_index(int(ratio[:, :, columns].argmax()), ratio[:, :, columns].shape)
        at = (element, sample, np.arange(ratio.shape[2])[columns][column])
        index = problem.index_of(i, int(element), int(sample))
        if title.endswith("Jacobian"):
            shape = problem.output.shape[1:] if problem.batched[i] else problem.output.shape
            local = tuple(int(k) for k in np.unravel_index(int(column), shape))
            index = ((int(sample),) if problem.batched[i] else ()) + local + index
        comparisons.append(
            Comparison(
                title,
                int((~kinky[:, :, columns]).sum()),
                0.0 if kinky[at] else float(error[at]),
                float(estimate.bound[at]),
                index,
                float(analytic[at]),
                float(estimate.numeric[at]),
            )
        )
    return comparisons


def _kinks(problem: Problem, i: int, estimate: _Estimate, analytic: Floats) -> list[Kink]:
    """One-sided quotients of the projected output for the elements on or near a kink."""
    pairs = np.argwhere((estimate.kinky | estimate.near).any(axis=2))
    if len(pairs) == 0:
        return []
    elements = np.unique(pairs[:, 0])
    samples = analytic.shape[1]
    h = 2.0 ** round(np.log2(problem.eps) / 3)
    offsets = np.full((2, len(elements), samples), h)
    offsets[0] = -h
    (left, right), _ = problem.values(i, elements, offsets, full=False)
    centre = problem.read(i, problem.output, 1, full=False)[0]
    found = []
    for element, sample in pairs:
        e = int(np.searchsorted(elements, element))
        found.append(
            Kink(
                problem.names[i],
                problem.index_of(i, int(element), int(sample)),
                float((centre[sample, 0] - left[e, sample, 0]) / h),
                float((right[e, sample, 0] - centre[sample, 0]) / h),
                float(analytic[element, sample, -1]),
                not bool(estimate.kinky[element, sample].any()),
            )
        )
    return found
