"""Compare a backward pass, anyone's, with differences of its forward pass.

Every element of every input is moved a little both ways, and the change of the output is compared with what the
backward pass says. Two comparisons are made for each input: with a random cotangent, always, and with every unit
cotangent in turn (the full Jacobian) where the output is small. A random cotangent, never ones: a sum over outputs
hides errors that cancel in it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from attn_ref.gradcheck.differences import extrapolated, stencil_for
from attn_ref.gradcheck.problem import ROUNDINGS, Floats, Problem
from attn_ref.gradcheck.report import Comparison, Kink, Report

__all__ = ["check_gradients"]


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
    Without ``degree``, central differences at three steps are extrapolated to step 0; elements that do not agree, or
    whose differences do not settle, are tried again over a long ladder of steps, so that a nearby kink or a fast
    oscillation gets a step that suits it. An element is called a kink if its one-sided differences keep disagreeing
    as the step shrinks (for a smooth function the gap shrinks with the step), or if its differences never settle; it is
    then listed and not compared. If nothing is left to compare, the table says so. The bound of each comparison is ten
    times the extrapolation's own error estimate plus 64 rounding errors of the output divided by the step.

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
    stencil = stencil_for(degree) if degree is not None else None
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
        if stencil is None:
            estimate = _by_extrapolation(problem, i, full)
        else:
            estimate = _by_stencil(problem, i, full, stencil, np.broadcast_to(np.asarray(steps[i], float), x.shape))
        if distances[i] is not None:
            near = np.broadcast_to(np.asarray(distances[i]) <= estimate.reach, x.shape)
            estimate.kinky |= problem.by_element(i, near)[:, :, None]
        comparisons += _compare(problem, i, estimate, full)
        kinks += _kinks(problem, i, estimate)
    return Report(tuple(comparisons), tuple(kinks))


def _per_input(name: str, values: Any, problem: Problem) -> list[Any]:
    if values is None:
        return [None] * len(problem.inputs)
    if isinstance(values, np.ndarray) or len(values) != len(problem.inputs):
        raise ValueError(f"{name} must be a sequence with one entry for each of the {len(problem.inputs)} inputs")
    return list(values)


# ---------------------------------------------------------------------------------------------------------------------
# Numbers and their bounds


@dataclass
class _Estimate:
    """Derivatives of one input by differences, all (E, S, m + 1); reach, of the input's shape, is how far they look."""

    numeric: Floats
    bound: Floats
    kinky: Any
    reach: Any = 0.0


def _rounding(problem: Problem, i: int, elements: Any, sizes: Floats, numeric: Floats, step: Any) -> Floats:
    """What rounding in the values and in the moved coordinate leaves in a quotient."""
    x = problem.by_element(i, np.abs(problem.inputs[i]).astype(np.float64))[elements, :, None]
    bound: Floats = ROUNDINGS * problem.eps * (sizes + np.abs(numeric) * (1 + x)) / step
    return bound


def _by_stencil(problem: Problem, i: int, full: bool, stencil: Any, step: Any) -> _Estimate:
    """Differences without truncation error."""
    h = problem.by_element(i, step)
    everywhere = np.arange(len(h))
    values, sizes = problem.values(i, everywhere, np.stack([offset * h for offset, _ in stencil]), full)
    h = h[:, :, None]
    numeric = sum(c * value for (_, c), value in zip(stencil, values, strict=True)) / h
    bound = _rounding(problem, i, everywhere, sizes, numeric, h)
    reach = max(offset for offset, _ in stencil) * np.abs(step)
    return _Estimate(numeric, bound, np.zeros(numeric.shape, bool), reach)


def _by_extrapolation(problem: Problem, i: int, full: bool) -> _Estimate:
    """Richardson's differences: three steps for all elements, then a long ladder for those that need it."""
    first = round(np.log2(problem.eps) / 6)  # 2**-9 in float64: truncation and rounding about even
    analytic = problem.analytic(i, full)
    everywhere = np.arange(len(analytic))
    estimate = _ladder(problem, i, full, everywhere, [first, first - 1, first - 2])
    estimate.reach = 2.0**first
    doubtful = ~(np.abs(analytic - estimate.numeric) <= estimate.bound) | estimate.kinky
    again = everywhere[doubtful.any(axis=(1, 2))]
    if len(again):
        largest = float(np.abs(problem.inputs[i]).max())  # steps grow with |x|: go down as far for large ones
        last = 2 * first + 1 - max(0, round(np.log2(max(largest, 1))))
        closer = _ladder(problem, i, full, again, range(first + 6, last, -1))
        estimate.numeric[again], estimate.bound[again] = closer.numeric, closer.bound
        estimate.kinky[again] = closer.kinky
    return estimate


def _ladder(problem: Problem, i: int, full: bool, elements: Any, exponents: Sequence[int]) -> _Estimate:
    """Central differences at the steps 2**exponent (times the power of two below |x|), extrapolated."""
    x = problem.by_element(i, np.abs(problem.inputs[i]))[elements]
    unit = 2.0 ** np.floor(np.log2(np.maximum(x, 1)))
    steps = np.stack([unit * 2.0**exponent for exponent in exponents])  # (L, E, S)
    plus, sizes = problem.values(i, elements, steps, full)
    minus, _ = problem.values(i, elements, -steps, full)
    steps = steps[..., None]
    finest = (plus[-1] - minus[-1]) / (2 * steps[-1])
    noise = _rounding(problem, i, elements, sizes, finest, steps[-1])
    numeric, error, used = extrapolated(plus, minus, steps, noise)
    rounding = _rounding(problem, i, elements, sizes, numeric, used)
    centre = problem.read(i, problem.output, 1, full)
    gap = np.abs(plus + minus - 2 * centre) / steps  # |right-hand − left-hand| quotient, at each step
    jumps = (gap[-1] > 0.75 * gap[-2]) & (gap[-1] > 4 * noise)
    unsettled = error > 1e-6 * np.abs(numeric) + 100 * noise
    return _Estimate(numeric, 10 * error + rounding, jumps | unsettled)


def _compare(problem: Problem, i: int, estimate: _Estimate, full: bool) -> list[Comparison]:
    analytic = problem.analytic(i, full)
    error = np.where(estimate.kinky, 0, np.abs(analytic - estimate.numeric))
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(error == 0, 0, error / estimate.bound)
    ratio = np.where(np.isnan(error), np.inf, ratio)
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
                int((~estimate.kinky[:, :, columns]).sum()),
                float(error[at]),
                float(estimate.bound[at]),
                index,
                float(analytic[at]),
                float(estimate.numeric[at]),
            )
        )
    return comparisons


def _kinks(problem: Problem, i: int, estimate: _Estimate) -> list[Kink]:
    """One-sided quotients of the projected output for the elements set aside."""
    pairs = np.argwhere(estimate.kinky.any(axis=2))
    if len(pairs) == 0:
        return []
    analytic = problem.analytic(i, full=False)
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
                float(analytic[element, sample, 0]),
            )
        )
    return found
