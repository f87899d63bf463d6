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
    found = [y, *subject.backward(u, call.inputs, call.options), subject.jvp(call.inputs, v, call.options)]
    found += subject.double_backward(v, u, call.inputs, call.options)

    def strided(x: Array) -> Array:
        return np.ascontiguousarray(x[..., ::-1])[..., ::-1]

    inputs, v2 = [strided(x) for x in call.inputs], [strided(x) for x in v]
    again = [subject.forward(inputs, call.options), *subject.backward(strided(u), inputs, call.options)]
    again.append(subject.jvp(inputs, v2, call.options))
    again += subject.double_backward(v2, strided(u), inputs, call.options)
    for i, (a, b) in enumerate(zip(found, again, strict=True)):
        yield Finding(f"result {i} with reversed strides", difference(a, b), 0.0)
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
    bound = subject.eps * terms.depth * (terms.value + (terms.first + terms.second * largest(v)) * total(u))
    for i, (a, b) in enumerate(zip(found, other, strict=True)):
        yield Finding(f"result {i} with channels last", difference(last(a) if i in images else a, b), bound)


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
