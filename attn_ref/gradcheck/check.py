"""Compare a backward pass, anyone's, with differences of its forward pass.

Every element of every input is moved a little both ways, and the change of the output is compared with what the
backward pass says. Two comparisons are made for each input: with a random cotangent, always, and with every unit
cotangent in turn (the full Jacobian) where the output is small. A random cotangent, never ones: a sum over outputs
hides errors that cancel in it.

If axis 0 of an input holds independent samples, all perturbations of it are stacked along that axis and evaluated in
one call, so the full Jacobian costs a handful of calls instead of two an element.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from attn_ref.gradcheck.differences import extrapolated, stencil_for
from attn_ref.gradcheck.report import Comparison, Kink, Report

__all__ = ["check_gradients"]

Floats = np.ndarray[Any, np.dtype[np.float64]]

_ROUNDINGS = 64
"""Roundings allowed for in one value of the function; its own error is not known, only its size."""
_CELLS = 2**22
"""Numbers held at a time while perturbations are stacked."""
_FULL = 2**18
"""Largest number of entries for which the full Jacobian is formed."""
_CALLS = 200
"""Largest number of calls of backward that a full Jacobian of an unbatched input may take."""


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
        Where to check: NumPy arrays of float64 (best) or float32. They are not written to.
    batched : bool or sequence of bool
        Whether axis 0 of an input holds independent samples, and axis 0 of the output likewise: one flag for all, or
        one for each input, since weights are shared between samples. It makes the check much faster.
    names : sequence of str, optional
        What to call the inputs in the report.
    step : sequence of array or float, optional
        With ``degree``: how far to move the elements of each input, in its units.
    degree : int, optional
        The output is a polynomial of at most this degree in each single element within the steps (2 or 4 at most:
        the stencils reach one or two steps). The differences are then exact but for rounding.
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
        If an input is no floating NumPy array, or an output or cotangent is none.
    ValueError
        If shapes or lengths do not fit, the output is not finite, or samples turn out not to be independent.

    Notes
    -----
    Without ``degree``, central differences at three steps are extrapolated to step 0; elements that do not agree, or
    whose differences do not settle, are tried again over a long ladder of steps, so that a nearby kink or a fast
    oscillation gets a step that suits it. An element is called a kink if its one-sided differences keep disagreeing
    as the step shrinks (for a smooth function the gap shrinks with the step). The bound of each comparison is ten
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
    problem = _Problem.of(forward, backward, inputs, batched, names, seed)
    steps = _per_input("step", step, problem) if step is not None else [None] * len(problem.inputs)
    distances = _per_input("kink_distance", kink_distance, problem) if kink_distance is not None else steps[:0]
    if (step is None) != (degree is None):
        raise ValueError("step and degree belong together: give both, or neither")
    stencil = stencil_for(degree) if degree is not None else None
    problem.require_independent_samples()
    comparisons: list[Comparison] = []
    kinks: list[Kink] = []
    reach: Any
    for i, x in enumerate(problem.inputs):
        if x.size == 0 or problem.output.size == 0:
            continue
        full = problem.full_is_cheap(i) if full_jacobian is None else full_jacobian
        estimate = (
            _by_extrapolation(problem, i, full)
            if stencil is None
            else _by_stencil(problem, i, full, stencil, np.broadcast_to(np.asarray(steps[i], float), x.shape))
        )
        if distances:
            reach = estimate.reach
            if stencil is not None:
                reach = max(offset for offset, _ in stencil) * np.abs(np.asarray(steps[i], float))
            near = np.broadcast_to(np.asarray(distances[i]) <= reach, x.shape)
            estimate.kinky |= problem.by_element(i, near)[:, :, None]
        comparisons += _compare(problem, i, estimate, full)
        kinks += _kinks(problem, i, estimate)
    return Report(tuple(comparisons), tuple(kinks))


# ---------------------------------------------------------------------------------------------------------------------
# The function under test, with its perturbations stacked


@dataclass
class _Problem:
    """The function under test at one point.

    Values of the function are handled as arrays (…, S, m + 1): for each sample its m outputs and, last, their sum
    weighted with the random cotangent. Without independent samples everything is one sample, S = 1.
    """

    forward: Callable[..., Any]
    backward: Callable[..., Any]
    inputs: list[Any]
    batched: list[bool]
    names: list[str]
    output: Any
    cotangent: Any
    eps: float = field(init=False)

    def __post_init__(self) -> None:
        self.eps = float(max(np.finfo(a.dtype).eps for a in (*self.inputs, self.output)))

    @classmethod
    def of(
        cls,
        forward: Callable[..., Any],
        backward: Callable[..., Any],
        inputs: Any,
        batched: bool | Sequence[bool],
        names: Sequence[str] | None,
        seed: int,
    ) -> _Problem:
        if isinstance(inputs, np.ndarray):
            raise TypeError("inputs must be a sequence of arrays, got one array: pass [x]")
        ready = []
        for i, x in enumerate(inputs):
            if not isinstance(x, np.ndarray) or x.dtype.kind != "f":
                kind = f"an array of {x.dtype}" if isinstance(x, np.ndarray) else type(x).__name__
                raise TypeError(f"inputs[{i}] must be a floating NumPy array, got {kind}")
            ready.append(np.array(x))
        if not ready:
            raise ValueError("inputs is empty: there is nothing to differentiate")
        flags = [batched] * len(ready) if isinstance(batched, bool) else list(batched)
        if len(flags) != len(ready) or not all(isinstance(flag, bool) for flag in flags):
            raise ValueError(f"batched must be a bool, or one for each of the {len(ready)} inputs; got {batched!r}")
        known = list(names) if names is not None else [f"input {i}" for i in range(len(ready))]
        if len(known) != len(ready):
            raise ValueError(f"names has {len(known)} entries for {len(ready)} inputs")
        output = _array("forward returned", forward(*[x.copy() for x in ready]))
        if not np.isfinite(output).all():
            raise ValueError("forward returned NaN or inf: gradients are checked where the function is finite")
        samples = {x.shape[0] if x.ndim else None for x, flag in zip(ready, flags, strict=True) if flag}
        if samples and samples != {output.shape[0] if output.ndim else None}:
            raise ValueError(
                f"batched inputs have {samples} samples on axis 0 and the output has shape {output.shape}: "
                "axis 0 of each must hold the same samples"
            )
        cotangent = np.random.default_rng(seed).uniform(0.5, 1.5, output.shape)
        cotangent *= np.random.default_rng(seed + 1).choice([-1.0, 1.0], output.shape)
        return cls(forward, backward, ready, flags, known, output, cotangent.astype(output.dtype))

    def require_independent_samples(self) -> None:
        """Append one more sample: the outputs of the others must stay."""
        samples = len(self.output) if any(self.batched) else 0
        if samples == 0:
            return
        longer = [
            np.concatenate([a, a[:1] + np.asarray(2.0 ** round(np.log2(self.eps) / 6), a.dtype)]) if flag else a.copy()
            for a, flag in zip(self.inputs, self.batched, strict=True)
        ]
        outputs = _array("forward returned", self.forward(*longer))
        wanted = (samples + 1, *self.output.shape[1:])
        slack = _ROUNDINGS * self.eps * float(np.abs(self.output).max(initial=0))
        if outputs.shape != wanted or not (np.abs(outputs[:-1] - self.output) <= slack).all():
            raise ValueError(
                "batched: one more sample on axis 0 of the batched inputs changed the outputs of the others, or the "
                f"output's shape from {self.output.shape} to {outputs.shape} instead of {wanted}; are the samples on "
                "axis 0 independent?"
            )

    def full_is_cheap(self, i: int) -> bool:
        if self.batched[i]:
            m = self.output[0].size if len(self.output) else 0
            return bool(m * self.inputs[i].size <= _FULL)
        return bool(self.output.size <= _CALLS and self.output.size * self.inputs[i].size <= _FULL)

    def by_element(self, i: int, array: Any) -> Any:
        """Bring an array of input i's shape to (elements of a sample, S)."""
        return array.reshape(self.inputs[i].shape[0] if self.batched[i] else 1, -1).T

    def index_of(self, i: int, element: int, sample: int) -> tuple[int, ...]:
        shape = self.inputs[i].shape
        local = np.unravel_index(element, shape[1:] if self.batched[i] else shape)
        return ((sample,) if self.batched[i] else ()) + tuple(int(k) for k in local)

    def read(self, i: int, outputs: Any, copies: int, full: bool) -> Floats:
        """Outputs of stacked copies to (copies, S, m + 1), or (copies, S, 1) without the single outputs."""
        samples = self.inputs[i].shape[0] if self.batched[i] else 1
        values = np.asarray(outputs, np.float64).reshape(copies, samples, -1)
        projected = (values * self.cotangent.reshape(samples, -1)).sum(axis=-1, keepdims=True)
        return np.concatenate([values, projected], axis=-1) if full else projected

    def sizes(self, i: int, outputs: Any, copies: int, full: bool) -> Floats:
        """What each value of ``read`` is made of: the largest output, and the sum of the weighted magnitudes."""
        samples = self.inputs[i].shape[0] if self.batched[i] else 1
        magnitudes = np.abs(np.asarray(outputs, np.float64)).reshape(copies, samples, -1)
        total: Floats = (magnitudes * np.abs(self.cotangent).reshape(samples, -1)).sum(axis=-1, keepdims=True)
        if not full:
            return total
        largest = np.broadcast_to(magnitudes.max(axis=-1, keepdims=True), magnitudes.shape)
        return np.concatenate([largest, total], axis=-1)

    def values(self, i: int, elements: Any, offsets: Any, full: bool) -> tuple[Floats, Floats]:
        """Evaluate f with one element of each sample moved at a time.

        Parameters
        ----------
        i : int
            The input to move.
        elements : array, shape (E,)
            Its elements, counted within a sample.
        offsets : array, shape (L, E, S)
            How far, in the input's units.
        full : bool
            Whether single outputs are wanted besides the projection.

        Returns
        -------
        values : array, shape (L, E, S, m + 1)
            As from ``read``.
        sizes : array, shape (E, S, m + 1)
            Largest magnitude of what they are made of.
        """
        x = self.inputs[i]
        levels, count, samples = offsets.shape
        width = self.output.size + sum(a.size for a, flag in zip(self.inputs, self.batched, strict=True) if flag)
        chunk = max(1, _CELLS // max(1, width * levels)) if self.batched[i] else 1
        parts, sizes = [], []
        for start in range(0, count, chunk):
            some = elements[start : start + chunk]
            copies = levels * len(some)
            moved = np.repeat(x.reshape(1, samples, -1), copies, axis=0).reshape(levels, len(some), samples, -1)
            here = np.arange(len(some))
            moved[:, here, :, some] += offsets[:, start : start + len(some)].swapaxes(0, 1).astype(x.dtype)
            if self.batched[i]:
                outputs = self._stacked(i, moved.reshape(copies * samples, *x.shape[1:]), copies)
            else:
                rows = [self._others(i, one.reshape(x.shape)) for one in moved.reshape(copies, -1)]
                outputs = np.stack([_array("forward returned", self.forward(*row)) for row in rows])
            shape = (levels, len(some), samples, -1)
            parts.append(self.read(i, outputs, copies, full).reshape(shape))
            sizes.append(self.sizes(i, outputs, copies, full).reshape(shape).max(axis=0))
        return np.concatenate(parts, axis=1), np.concatenate(sizes, axis=0)

    def analytic(self, i: int, full: bool) -> Floats:
        """What backward says, (elements, S, m + 1) in the order of ``values``."""
        x, u = self.inputs[i], self.cotangent
        projected: Floats = self.by_element(i, self._cotangent_of(i, u, self.inputs))[:, :, None]
        if not full:
            return projected
        if self.batched[i]:
            samples, m = len(u), u[0].size
            units = np.broadcast_to(np.eye(m, dtype=u.dtype)[:, None], (m, samples, m)).reshape(
                m * samples, *u.shape[1:]
            )
            tiled = [
                np.tile(a, (m, *[1] * (a.ndim - 1))) if flag else a
                for a, flag in zip(self.inputs, self.batched, strict=True)
            ]
            rows = self._cotangent_of(i, units, tiled).reshape(m, samples, -1)
        else:
            units = np.eye(u.size, dtype=u.dtype).reshape(u.size, *u.shape)
            rows = np.stack([self._cotangent_of(i, unit, self.inputs) for unit in units]).reshape(u.size, 1, x.size)
        return np.concatenate([rows.transpose(2, 1, 0).astype(np.float64), projected], axis=-1)

    def _cotangent_of(self, i: int, grad_output: Any, inputs: list[Any]) -> Any:
        cotangents = self.backward(grad_output.copy(), *[a.copy() for a in inputs])
        if len(inputs) == 1 and not isinstance(cotangents, tuple | list):
            cotangents = (cotangents,)
        if not isinstance(cotangents, Sequence) or len(cotangents) != len(inputs):
            raise ValueError(
                f"backward must return {len(inputs)} cotangents in the order of the inputs, got "
                f"{len(cotangents) if isinstance(cotangents, Sequence) else type(cotangents).__name__}"
            )
        cotangent = _array(f"backward returned for {self.names[i]}", cotangents[i])
        if cotangent.shape != inputs[i].shape:
            raise ValueError(
                f"backward returned shape {cotangent.shape} for {self.names[i]}, which has {inputs[i].shape}"
            )
        return cotangent.astype(np.float64)

    def _others(self, i: int, x: Any) -> list[Any]:
        return [x if j == i else a.copy() for j, a in enumerate(self.inputs)]

    def _stacked(self, i: int, stacked: Any, copies: int) -> Any:
        arguments = []
        for j, a in enumerate(self.inputs):
            tiled = np.tile(a, (copies, *[1] * (a.ndim - 1))) if self.batched[j] else a.copy()
            arguments.append(stacked if j == i else tiled)
        outputs = _array("forward returned", self.forward(*arguments))
        if outputs.shape != (copies * len(self.output), *self.output.shape[1:]):
            raise ValueError(
                f"forward returned shape {outputs.shape} for {copies} stacked copies of inputs that give "
                f"{self.output.shape}: is axis 0 of {self.names[i]} a batch of independent samples?"
            )
        return outputs


def _array(what: str, value: Any) -> Any:
    if not isinstance(value, np.ndarray | np.floating) or value.dtype.kind != "f":
        raise TypeError(f"{what} {type(value).__name__}: expected a floating NumPy array")
    return np.asarray(value)


def _per_input(name: str, values: Any, problem: _Problem) -> list[Any]:
    if isinstance(values, np.ndarray) or len(values) != len(problem.inputs):
        raise ValueError(f"{name} must be a sequence with one entry for each of the {len(problem.inputs)} inputs")
    return list(values)


# ---------------------------------------------------------------------------------------------------------------------
# Numbers and their bounds


@dataclass
class _Estimate:
    """Derivatives of one input by differences, all (E, S, m + 1)."""

    numeric: Floats
    bound: Floats
    kinky: Any
    reach: float = 0.0


def _rounding(problem: _Problem, i: int, elements: Any, sizes: Floats, numeric: Floats, step: Any) -> Floats:
    """What rounding in the values and in the moved coordinate leaves in a quotient."""
    x = problem.by_element(i, np.abs(problem.inputs[i]).astype(np.float64))[elements, :, None]
    bound: Floats = _ROUNDINGS * problem.eps * (sizes + np.abs(numeric) * (1 + x)) / step
    return bound


def _by_stencil(problem: _Problem, i: int, full: bool, stencil: Any, step: Any) -> _Estimate:
    """Differences without truncation error."""
    h = problem.by_element(i, step)
    everywhere = np.arange(len(h))
    values, sizes = problem.values(i, everywhere, np.stack([offset * h for offset, _ in stencil]), full)
    h = h[:, :, None]
    numeric = sum(c * value for (_, c), value in zip(stencil, values, strict=True)) / h
    bound = _rounding(problem, i, everywhere, sizes, numeric, h)
    return _Estimate(numeric, bound, np.zeros(numeric.shape, bool))


def _by_extrapolation(problem: _Problem, i: int, full: bool) -> _Estimate:
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


def _ladder(problem: _Problem, i: int, full: bool, elements: Any, exponents: Sequence[int]) -> _Estimate:
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


def _compare(problem: _Problem, i: int, estimate: _Estimate, full: bool) -> list[Comparison]:
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


def _kinks(problem: _Problem, i: int, estimate: _Estimate) -> list[Kink]:
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
