"""Properties that compare derivatives with differences, inside the pieces of an operation and on the kinks between."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from attn_ref.backend import Array
from attn_ref.gradcheck.check import check_gradients
from attn_ref.gradcheck.identities import oracle
from attn_ref.gradcheck.report import Report
from attn_ref.gradcheck.subject import Finding, Subject, largest
from attn_ref.registry import Call

__all__ = ["jacobian", "kinks", "second_differences"]


def jacobian(subject: Subject, call: Call) -> Iterator[Finding]:
    """The backward pass is the derivative of the forward pass: every entry of the Jacobian."""
    steps, resized = subject.operation.steps(call), _resizing(subject, call)
    report = check_gradients(
        lambda *inputs: subject.forward(inputs, resized(inputs)),
        lambda u, *inputs: subject.backward(u, inputs, resized(inputs)),
        call.inputs,
        batched=subject.operation.batched,
        names=subject.operation.inputs,
        step=steps[0] if steps else None,
        degree=steps[1] if steps else None,
    )
    yield from _reported(report)


def second_differences(subject: Subject, call: Call) -> Iterator[Finding]:
    """The double backward pass is the derivative of the backward pass."""
    steps, resized = subject.operation.steps(call), _resizing(subject, call)
    u = subject.random(1, subject.forward(call.inputs, call.options).shape)
    apart = all(subject.operation.batched)  # else a shared input's cotangent is summed over the samples

    def backward(u: Array, *inputs: Array) -> Array:
        cotangents = subject.backward(u, inputs, resized(inputs))
        return np.concatenate([a.reshape(len(a), -1) if apart else a.reshape(-1) for a in cotangents], axis=-1)

    def double_backward(v: Array, u: Array, *inputs: Array) -> tuple[Array, ...]:
        ends = np.cumsum([x[0].size if apart else x.size for x in inputs])[:-1]
        parts = np.split(v, ends, axis=-1)
        shaped = [part.reshape(x.shape) for part, x in zip(parts, inputs, strict=True)]
        return subject.double_backward(shaped, u, inputs, resized(inputs))

    report = check_gradients(
        backward,
        double_backward,
        [u, *call.inputs],
        batched=apart,
        names=("grad_output", *subject.operation.inputs),
        step=[1.0, *steps[0]] if steps else None,
        degree=steps[1] if steps else None,
        full_jacobian=False,
    )
    yield from _reported(report)


def _resizing(subject: Subject, call: Call) -> Callable[[Sequence[Array]], dict[str, Any]]:
    """The options of a call for stacked copies of its samples."""
    samples = subject.operation.batched.index(True) if any(subject.operation.batched) else None
    if samples is None:
        return lambda _: call.options
    return lambda inputs: subject.operation.resized(call.options, len(inputs[samples]))


def _reported(report: Report) -> Iterator[Finding]:
    for c in report.comparisons:
        yield Finding(f"{c.name} at {c.index}: {c.analytic:.12g} − {c.numeric:.12g}", c.error, c.bound)
    for kink in report.kinks:
        yield Finding(f"unexpected kink at {kink.name}{list(kink.index)}", float("inf"), 0.0)


def kinks(subject: Subject, call: Call) -> Iterator[Finding]:
    """On kinks: the oracle's choice exactly, and between the one-sided differences."""
    yield from oracle(subject, call)
    operation, options = subject.operation, call.options
    steps = operation.steps(call)
    if operation.piecewise_in is None or steps is None:
        return  # an output depends on several kinks at once, or the pieces are no polynomials
    if steps[1] == 0:
        return  # piecewise constant, it jumps: there are no one-sided differences to lie between
    terms = operation.terms(call)
    where = operation.inputs.index(operation.piecewise_in)
    here = subject.forward(call.inputs, options)
    directions = [np.ones_like(call.inputs[where])]
    if operation.points_in == operation.piecewise_in:
        coordinates = range(call.inputs[where].shape[-1])
        directions = [directions[0] * (np.arange(len(coordinates)) == a) for a in coordinates]
    for a, unit in enumerate(directions):
        unit = unit.astype(subject.dtype)
        tangents = [unit if i == where else np.zeros_like(x) for i, x in enumerate(call.inputs)]
        derivative = subject.jvp(call.inputs, tangents, options)
        h = np.broadcast_to(np.asarray(steps[0][where]), unit.shape)[..., a].flat[0]
        sides = []
        for sign in (-1.0, 1.0):
            values = [here]
            for k in (1, 2, 3):
                moved = list(call.inputs)
                moved[where] = (moved[where] + sign * k * h * unit).astype(subject.dtype)
                values.append(subject.forward(moved, options))
            # One-sided, exact for degree 3.
            sides.append((-11 * values[0] + 18 * values[1] - 9 * values[2] + 2 * values[3]) / (6 * sign * h))
        low, high = np.minimum(*sides), np.maximum(*sides)
        outside = np.maximum(np.maximum(low - derivative, derivative - high), 0)
        roundings = subject.eps * 40 * (terms.value + terms.first * (2 + largest([call.inputs[where]]))) / h
        yield Finding(f"direction {a}: outside the one-sided differences", float(outside.max(initial=0)), roundings)
