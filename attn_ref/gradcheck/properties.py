"""What every registered operation must satisfy, as functions of one call.

Strongest first: identities that need no differencing and hold to rounding; the rational oracle; differences with
steps that have no truncation error; kinks, on purpose; and what must hold for any input at all.

A property looks at one call of one operation and yields :class:`Finding` values: an error and the bound that it must
not pass. Bounds are derived, from the operation's :class:`~attn_ref.registry.Terms`: a sum of n products is wrong by
at most n roundings of the sum of their magnitudes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from attn_ref import backend as _backend
from attn_ref import exact
from attn_ref.gradcheck import nonfinite
from attn_ref.gradcheck.check import check_gradients
from attn_ref.gradcheck.report import Report
from attn_ref.gradcheck.strategies import signed
from attn_ref.registry import OPERATIONS, Call, Operation

__all__ = ["PROPERTIES", "Finding", "Property", "PropertyError", "Subject", "replay"]

Array = Any


class Finding(NamedTuple):
    """An error that was measured, and what it may be."""

    what: str
    error: float
    bound: float

    @property
    def ratio(self) -> float:
        """The error in units of its bound; more than 1, or NaN, is a failure."""
        if self.error == 0:
            return 0.0
        return self.error / self.bound if self.bound > 0 else float("inf")


class PropertyError(AssertionError):
    """A property does not hold; the message says what was found."""


@dataclass(frozen=True)
class Subject:
    """An operation on one array library in one precision, taking and giving NumPy arrays.

    Attributes
    ----------
    operation : Operation
        The operation.
    dtype : numpy.dtype
        The dtype of all arrays of the calls.
    backend : str
        A key of :data:`attn_ref.backend.BACKENDS`.
    """

    operation: Operation
    dtype: np.dtype[Any]
    backend: str = "numpy"

    @property
    def eps(self) -> float:
        """Distance from 1 to the next number."""
        return float(np.finfo(self.dtype).eps)

    def cast(self, call: Call) -> Call:
        """Bring a call to the dtype."""
        return Call(tuple(x.astype(self.dtype) for x in call.inputs), call.options)

    def random(self, seed: int, shape: tuple[int, ...]) -> Array:
        """Make a random cotangent or tangent."""
        return signed(np.random.default_rng(seed), shape).astype(self.dtype)

    def tangents(self, seed: int, call: Call) -> tuple[Array, ...]:
        """Make a random direction in all inputs."""
        return tuple(self.random(seed + 10 * i, x.shape) for i, x in enumerate(call.inputs))

    def forward(self, inputs: Sequence[Array], options: dict[str, Any]) -> Array:
        """Output."""
        return self._host(self.operation.forward(self._native(inputs), options))

    def backward(self, grad_output: Array, inputs: Sequence[Array], options: dict[str, Any]) -> tuple[Array, ...]:
        """Cotangents of the inputs."""
        native = self._native([grad_output, *inputs])
        return tuple(self._host(a) for a in self.operation.backward(native[0], native[1:], options))

    def jvp(self, inputs: Sequence[Array], tangents: Sequence[Array], options: dict[str, Any]) -> Array:
        """Tangent of the output."""
        return self._host(self.operation.jvp(self._native(inputs), self._native(tangents), options))

    def double_backward(
        self, grad_grads: Sequence[Array], grad_output: Array, inputs: Sequence[Array], options: dict[str, Any]
    ) -> tuple[Array, ...]:
        """Cotangents of grad_output and the inputs."""
        native = self._native([grad_output, *inputs])
        results = self.operation.double_backward(self._native(grad_grads), native[0], native[1:], options)
        return tuple(self._host(a) for a in results)

    def _native(self, arrays: Sequence[Array]) -> list[Array]:
        if self.backend == "numpy":
            return list(arrays)
        asarray = _backend.BACKENDS[self.backend]().xp.asarray
        return [asarray(a) for a in arrays]

    def _host(self, array: Array) -> Array:
        return array if self.backend == "numpy" else _backend.BACKENDS[self.backend]().to_host(array)


def _inner(a: Array, b: Array) -> float:
    """⟨a, b⟩ in float64."""
    return float((a.astype(np.float64) * b.astype(np.float64)).sum())


def _total(a: Array) -> float:
    return float(np.abs(a).astype(np.float64).sum())


def _largest(arrays: Iterable[Array]) -> float:
    return max((float(np.abs(a).max(initial=0)) for a in arrays), default=0.0)


def _difference(a: Array, b: Array) -> float:
    """Largest difference; NaN if either has one, inf if the shapes differ."""
    if a.shape != b.shape:
        return float("inf")
    return float(np.abs(a.astype(np.float64) - b.astype(np.float64)).max(initial=0))


# ---------------------------------------------------------------------------------------------------------------------
# Identities


def adjoint(subject: Subject, call: Call) -> Iterator[Finding]:
    """⟨S x, y⟩ = ⟨x, Sᵀ y⟩ in every linear input."""
    terms = subject.operation.terms(call)
    y = subject.forward(call.inputs, call.options)
    u = subject.random(1, y.shape)
    cotangents = subject.backward(u, call.inputs, call.options)
    for i in subject.operation.linear_in:
        bound = subject.eps * terms.depth * _total(u) * terms.value
        error = abs(_inner(y, u) - _inner(call.inputs[i], cotangents[i]))
        yield Finding(f"⟨f(x), u⟩ − ⟨x, fᵀ(u)⟩ for {subject.operation.inputs[i]}", error, bound)


def jvp_vjp(subject: Subject, call: Call) -> Iterator[Finding]:
    """⟨J v, u⟩ = ⟨v, Jᵀ u⟩ for random v and u."""
    terms = subject.operation.terms(call)
    v = subject.tangents(2, call)
    y_dot = subject.jvp(call.inputs, v, call.options)
    u = subject.random(1, y_dot.shape)
    cotangents = subject.backward(u, call.inputs, call.options)
    error = abs(_inner(y_dot, u) - sum(_inner(a, b) for a, b in zip(v, cotangents, strict=True)))
    yield Finding("⟨Jv, u⟩ − ⟨v, Jᵀu⟩", error, subject.eps * terms.depth * _total(u) * _largest(v) * terms.first)


def second_order(subject: Subject, call: Call) -> Iterator[Finding]:
    """The second derivative is symmetric, and holds the forward derivative."""
    terms = subject.operation.terms(call)
    v, w = subject.tangents(2, call), subject.tangents(3, call)
    y_dot = subject.jvp(call.inputs, v, call.options)
    u = subject.random(1, y_dot.shape)
    along_v = subject.double_backward(v, u, call.inputs, call.options)
    bound = subject.eps * terms.depth * _largest(v) * terms.first
    yield Finding("cotangent of grad_output − Jv", _difference(along_v[0], y_dot), bound)
    along_w = subject.double_backward(w, u, call.inputs, call.options)
    left = sum(_inner(a, b) for a, b in zip(w, along_v[1:], strict=False))
    right = sum(_inner(a, b) for a, b in zip(v, along_w[1:], strict=False))
    bound = subject.eps * terms.depth * _total(u) * _largest(v) * _largest(w) * terms.second
    yield Finding("⟨w, H v⟩ − ⟨v, H w⟩", abs(left - right), bound)


# ---------------------------------------------------------------------------------------------------------------------
# Exact values


def oracle(subject: Subject, call: Call) -> Iterator[Finding]:
    """All four functions agree with literal loops over rational numbers."""
    operation, terms = subject.operation, subject.operation.terms(call)
    twin = operation.exact
    primals = () if operation.linear else call.inputs
    y = subject.forward(call.inputs, call.options)
    u, v = subject.random(1, y.shape), subject.tangents(2, call)
    first = subject.eps * terms.depth * terms.first
    second = subject.eps * terms.depth * terms.second * _largest(v)
    named = [f"cotangent of {name}" for name in operation.inputs]
    groups = [
        (["output"], [y], twin.forward(*call.inputs, **call.options), subject.eps * terms.depth * terms.value),
        (
            named,
            subject.backward(u, call.inputs, call.options),
            twin.backward(u, *primals, **call.options),
            first * _total(u),
        ),
        (
            ["tangent"],
            [subject.jvp(call.inputs, v, call.options)],
            twin.jvp(*primals, *v, **call.options),
            first * _largest(v),
        ),
        (
            ["double backward: cotangent of grad_output", *[f"double backward: {name}" for name in named]],
            subject.double_backward(v, u, call.inputs, call.options),
            twin.double_backward(*v, *(() if operation.linear else (u, *primals)), **call.options),
            first * _largest(v) + second * _total(u),
        ),
    ]
    for names, found, expected, bound in groups:
        expected = expected if isinstance(expected, tuple) else (expected,)
        for name, ours, theirs in zip(names, found, expected, strict=False):
            yield Finding(f"{name} − exact", _difference(ours, exact.to_float(theirs)), bound)


# ---------------------------------------------------------------------------------------------------------------------
# Differences


def jacobian(subject: Subject, call: Call) -> Iterator[Finding]:
    """The backward pass is the derivative of the forward pass: every entry of the Jacobian."""
    steps = subject.operation.steps(call)
    report = check_gradients(
        lambda *inputs: subject.forward(inputs, _resized(call, inputs)),
        lambda u, *inputs: subject.backward(u, inputs, _resized(call, inputs)),
        call.inputs,
        batched=True,
        names=subject.operation.inputs,
        step=steps[0] if steps else None,
        degree=steps[1] if steps else None,
    )
    yield from _reported(report)


def second_differences(subject: Subject, call: Call) -> Iterator[Finding]:
    """The double backward pass is the derivative of the backward pass."""
    steps = subject.operation.steps(call)
    u = subject.random(1, subject.forward(call.inputs, call.options).shape)

    def backward(u: Array, *inputs: Array) -> Array:
        cotangents = subject.backward(u, inputs, _resized(call, inputs))
        return np.concatenate([a.reshape(len(a), -1) for a in cotangents], axis=1)

    def double_backward(v: Array, u: Array, *inputs: Array) -> tuple[Array, ...]:
        ends = np.cumsum([x[0].size for x in inputs])[:-1]
        parts = np.split(v, ends, axis=1)
        shaped = [part.reshape(x.shape) for part, x in zip(parts, inputs, strict=True)]
        return subject.double_backward(shaped, u, inputs, _resized(call, inputs))

    report = check_gradients(
        backward,
        double_backward,
        [u, *call.inputs],
        batched=True,
        names=("grad_output", *subject.operation.inputs),
        step=[1.0, *steps[0]] if steps else None,
        degree=steps[1] if steps else None,
        full_jacobian=False,
    )
    yield from _reported(report)


def _resized(call: Call, inputs: Sequence[Array]) -> dict[str, Any]:
    """The options of a call for stacked copies of its samples: only ``size`` counts them."""
    if "size" not in call.options:
        return call.options
    return {**call.options, "size": (len(inputs[0]), *call.options["size"][1:])}


def _reported(report: Report) -> Iterator[Finding]:
    for c in report.comparisons:
        yield Finding(f"{c.name} at {c.index}: {c.analytic:.12g} − {c.numeric:.12g}", c.error, c.bound)
    for kink in report.kinks:
        yield Finding(f"unexpected kink at {kink.name}{list(kink.index)}", float("inf"), 0.0)


# ---------------------------------------------------------------------------------------------------------------------
# Kinks


def kinks(subject: Subject, call: Call) -> Iterator[Finding]:
    """On whole and half pixels: the documented choice, between the one-sided differences."""
    yield from oracle(subject, call)
    operation, options = subject.operation, call.options
    if options["mode"] == "nearest":
        return  # it jumps at ties: there are no one-sided differences to lie between
    assert operation.points_in is not None
    terms = operation.terms(call)
    where = operation.inputs.index(operation.points_in)
    steps = operation.steps(call)
    assert steps is not None
    here = subject.forward(call.inputs, options)
    for a in range(call.inputs[where].shape[-1]):
        unit = np.zeros_like(call.inputs[where])
        unit[..., a] = 1
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
        roundings = subject.eps * 40 * (terms.value + terms.first * (2 + _largest([call.inputs[where]]))) / h
        yield Finding(f"coordinate {a}: outside the one-sided differences", float(outside.max(initial=0)), roundings)


# ---------------------------------------------------------------------------------------------------------------------
# Any input


def precision(subject: Subject, call: Call) -> Iterator[Finding]:
    """float32 and float16 agree with float64 within their rounding."""
    operation = subject.operation
    for dtype in (np.float32, np.float16):
        narrow = Subject(operation, np.dtype(dtype), subject.backend)
        small = narrow.cast(call)
        wide = Call(tuple(x.astype(np.float64) for x in small.inputs), call.options)
        reference = Subject(operation, np.dtype(np.float64), subject.backend)
        terms = operation.terms(wide)
        y = narrow.forward(small.inputs, small.options)
        u = narrow.random(1, y.shape)
        if y.dtype != dtype:
            yield Finding(f"{y.dtype} output of {np.dtype(dtype)} inputs", float("inf"), 0.0)
        moved = 4 * (2 + _largest(wide.inputs))  # roundings in a coordinate, in its own units
        inside = float(np.finfo(np.float32).eps)
        y64 = reference.forward(wide.inputs, wide.options)
        bound = narrow.eps * terms.value + inside * (terms.depth * terms.value + moved * terms.first)
        yield Finding(f"{np.dtype(dtype)} output", _difference(y, y64), bound)
        theirs = reference.backward(u.astype(np.float64), wide.inputs, wide.options)
        for name, ours, other in zip(
            operation.inputs, narrow.backward(u, small.inputs, small.options), theirs, strict=True
        ):
            size = terms.first + moved * terms.second
            bound = _total(u) * (narrow.eps * terms.first + inside * terms.depth * size)
            yield Finding(f"{np.dtype(dtype)} cotangent of {name}", _difference(ours, other), bound)


def layouts(subject: Subject, call: Call) -> Iterator[Finding]:
    """Channels last and reversed strides give the same numbers."""
    operation = subject.operation
    y = subject.forward(call.inputs, call.options)
    u, v = subject.random(1, y.shape), subject.tangents(2, call)
    found = [y, *subject.backward(u, call.inputs, call.options), subject.jvp(call.inputs, v, call.options)]
    found += subject.double_backward(v, u, call.inputs, call.options)

    def strided(x: Array) -> Array:
        return np.ascontiguousarray(x[..., ::-1])[..., ::-1]

    inputs, v2 = [strided(x) for x in call.inputs], [strided(x) for x in v]
    again = [subject.forward(inputs, call.options), *subject.backward(strided(u), inputs, call.options)]
    again.append(subject.jvp(inputs, v2, call.options))
    again += subject.double_backward(v2, strided(u), inputs, call.options)
    for i, (a, b) in enumerate(zip(found, again, strict=True)):
        yield Finding(f"result {i} with reversed strides", _difference(a, b), 0.0)
    if not operation.has_layouts:
        return

    def last(x: Array) -> Array:
        return np.moveaxis(x, 1, -1)

    options = {**call.options, "channels_last": True}
    inputs = [last(call.inputs[0]), *call.inputs[1:]]
    v2 = [last(v[0]), *v[1:]]
    other = [subject.forward(inputs, options), *subject.backward(last(u), inputs, options)]
    other.append(subject.jvp(inputs, v2, options))
    other += subject.double_backward(v2, last(u), inputs, options)
    n = len(call.inputs)
    images = {0, 1, 1 + n, 2 + n, 3 + n}  # output, cotangent of the image, tangent, second cotangents of both
    terms = operation.terms(call)
    bound = subject.eps * terms.depth * (terms.value + (terms.first + terms.second * _largest(v)) * _total(u))
    for i, (a, b) in enumerate(zip(found, other, strict=True)):
        yield Finding(f"result {i} with channels last", _difference(last(a) if i in images else a, b), bound)


def purity(subject: Subject, call: Call) -> Iterator[Finding]:
    """Inputs are not written to, outputs are fresh, twice is the same bits."""
    before = [x.tobytes() for x in call.inputs]
    y = subject.forward(call.inputs, call.options)
    u, v = subject.random(1, y.shape), subject.tangents(2, call)
    arrays = [*call.inputs, u, *v]
    before += [a.tobytes() for a in (u, *v)]

    def everything() -> list[Array]:
        results = [subject.forward(call.inputs, call.options), *subject.backward(u, call.inputs, call.options)]
        results.append(subject.jvp(call.inputs, v, call.options))
        return [*results, *subject.double_backward(v, u, call.inputs, call.options)]

    first, second = everything(), everything()
    for i, (a, b) in enumerate(zip(first, second, strict=True)):
        same = a.tobytes() == b.tobytes()
        fresh = not any(np.shares_memory(a, x) for x in [*arrays, *first[:i]])
        right = a.dtype == subject.dtype and a.flags.c_contiguous and a.flags.writeable
        for what, holds in (("the same bits twice", same), ("fresh", fresh), ("C-ordered, of the dtype", right)):
            yield Finding(f"result {i} is not {what}", 0.0 if holds else float("inf"), 0.0)
    changed = [i for i, (a, b) in enumerate(zip(arrays, before, strict=True)) if a.tobytes() != b]
    yield Finding(f"arguments {changed} were written to", float("inf") if changed else 0.0, 0.0)


def special(subject: Subject, call: Call) -> Iterator[Finding]:
    """NaN and infinities do what is documented, and only where they are."""
    for what, error in nonfinite.findings(subject, call):
        yield Finding(what, error, 0.0)


# ---------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Property:
    """A property, and the kind of calls it is examined on."""

    check: Callable[[Subject, Call], Iterator[Finding]]
    kind: str
    dtypes: tuple[str, ...] = ("float64", "float32", "float16")
    applies: Callable[[Operation], bool] = lambda _: True

    @property
    def summary(self) -> str:
        """The first line of its docstring."""
        return (self.check.__doc__ or "").partition("\n")[0]


PROPERTIES: dict[str, Property] = {
    "adjoint": Property(adjoint, "exact", applies=lambda operation: bool(operation.linear_in)),
    "jvp-vjp": Property(jvp_vjp, "exact"),
    "second-order": Property(second_order, "exact"),
    "oracle": Property(oracle, "exact"),
    "jacobian": Property(jacobian, "smooth", ("float64", "float32")),
    "second-differences": Property(
        second_differences, "smooth", ("float64", "float32"), applies=lambda operation: not operation.linear
    ),
    "kinks": Property(
        kinks, "kinks", ("float64", "float32"), applies=lambda operation: operation.points_in is not None
    ),
    "precision": Property(precision, "smooth", ("float64",)),
    "layouts": Property(layouts, "exact"),
    "purity": Property(purity, "exact"),
    "special": Property(special, "smooth"),
}
"""All properties by name, strongest first."""


def examine(name: str, subject: Subject, call: Call) -> float:
    """Examine one call.

    Returns
    -------
    float
        The worst error in units of its bound.

    Raises
    ------
    PropertyError
        If a finding passes its bound.
    """
    worst = 0.0
    for finding in PROPERTIES[name].check(subject, subject.cast(call)):
        if not finding.ratio <= 1:
            raise PropertyError(
                f"{subject.operation.name}: {name} does not hold ({PROPERTIES[name].summary}): "
                f"{finding.what}: error {finding.error:.6g}, bound {finding.bound:.3g}"
            )
        worst = max(worst, finding.ratio)
    return worst


def replay(
    operation: str,
    property: str,
    inputs: Sequence[Array],
    options: dict[str, Any],
    *,
    dtype: str = "float64",
    backend: str = "numpy",
) -> float:
    """Examine one call again: what the snippets of ``attn-ref check`` use.

    Parameters
    ----------
    operation, property : str
        Keys of :data:`attn_ref.registry.OPERATIONS` and :data:`PROPERTIES`.
    inputs : sequence of array
        The differentiable inputs.
    options : dict
        The other arguments.
    dtype, backend : str
        As in ``attn-ref check``.

    Returns
    -------
    float
        The worst error in units of its bound.

    Raises
    ------
    PropertyError
        If the property does not hold.
    """
    subject = Subject(OPERATIONS[operation], np.dtype(dtype), backend)
    return examine(property, subject, Call(tuple(inputs), options))
