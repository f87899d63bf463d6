"""Properties of any call: precision, layouts, purity, and numbers that are not ordinary."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from attn_ref.backend import Array
from attn_ref.gradcheck import nonfinite
from attn_ref.gradcheck.subject import Finding, Subject, difference, largest, total
from attn_ref.registry import Call

__all__ = ["layouts", "precision", "purity", "special"]


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
        moved = 4 * (2 + largest(wide.inputs))  # roundings in a coordinate, in its own units
        inside = float(np.finfo(np.float32).eps)
        y64 = reference.forward(wide.inputs, wide.options)
        bound = narrow.eps * terms.value + inside * (terms.depth * terms.value + moved * terms.first)
        yield Finding(f"{np.dtype(dtype)} output", difference(y, y64), bound)
        theirs = reference.backward(u.astype(np.float64), wide.inputs, wide.options)
        for name, ours, other in zip(
            operation.inputs, narrow.backward(u, small.inputs, small.options), theirs, strict=True
        ):
            size = terms.first + moved * terms.second
            bound = total(u) * (narrow.eps * terms.first + inside * terms.depth * size)
            yield Finding(f"{np.dtype(dtype)} cotangent of {name}", difference(ours, other), bound)


def layouts(subject: Subject, call: Call) -> Iterator[Finding]:
    """Channels last and reversed strides give the same numbers."""
    operation = subject.operation
    y = subject.forward(call.inputs, call.options)
    u, v = subject.random(1, y.shape), subject.tangents(2, call)
    found = subject.results(call.inputs, u, v, call.options)

    def strided(x: Array) -> Array:
        return np.ascontiguousarray(x[..., ::-1])[..., ::-1] if x.ndim else x

    again = subject.results([strided(x) for x in call.inputs], strided(u), [strided(x) for x in v], call.options)
    for a, b in zip(found, again, strict=True):
        bound = subject.rounding(call, u, v) if operation.any_order else 0.0
        yield Finding(f"{a.what} with reversed strides", difference(a.array, b.array), bound)
    if not operation.has_layouts:
        return

    def last(x: Array) -> Array:
        return np.moveaxis(x, 1, -1)

    options = {**call.options, "channels_last": True}
    inputs, tangents = [last(call.inputs[0]), *call.inputs[1:]], [last(v[0]), *v[1:]]
    for a, b in zip(found, subject.results(inputs, last(u), tangents, options), strict=True):
        expected = last(a.array) if a.of in (None, operation.inputs[0]) else a.array
        yield Finding(f"{a.what} with channels last", difference(expected, b.array), subject.rounding(call, u, v))


def purity(subject: Subject, call: Call) -> Iterator[Finding]:
    """Inputs are not written to, outputs are fresh, twice is the same bits."""
    before = [x.tobytes() for x in call.inputs]
    y = subject.forward(call.inputs, call.options)
    u, v = subject.random(1, y.shape), subject.tangents(2, call)
    arrays = [*call.inputs, u, *v]
    before += [a.tobytes() for a in (u, *v)]
    first = subject.results(call.inputs, u, v, call.options)
    second = subject.results(call.inputs, u, v, call.options)
    seen: list[Array] = []
    for a, b in zip(first, second, strict=True):
        same = a.array.tobytes() == b.array.tobytes()
        fresh = not any(np.shares_memory(a.array, x) for x in [*arrays, *seen])
        seen.append(a.array)
        right = a.array.dtype == subject.dtype and a.array.flags.c_contiguous and a.array.flags.writeable
        for what, holds in (("the same bits twice", same), ("fresh", fresh), ("C-ordered, of the dtype", right)):
            yield Finding(f"{a.what} is not {what}", 0.0 if holds else float("inf"), 0.0)
    changed = [i for i, (a, b) in enumerate(zip(arrays, before, strict=True)) if a.tobytes() != b]
    yield Finding(f"arguments {changed} were written to", float("inf") if changed else 0.0, 0.0)


def special(subject: Subject, call: Call) -> Iterator[Finding]:
    """NaN and infinities do what is documented, and only where they are."""
    for what, error in nonfinite.findings(subject, call):
        yield Finding(what, error, 0.0)
