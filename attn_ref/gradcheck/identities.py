"""Properties that need no differences: identities that hold to rounding, and exact values."""

from __future__ import annotations

from collections.abc import Iterator

from attn_ref import exact
from attn_ref.gradcheck.subject import Finding, Subject, difference, inner, largest, total
from attn_ref.registry import Call

__all__ = ["adjoint", "jvp_vjp", "oracle", "second_order"]


def adjoint(subject: Subject, call: Call) -> Iterator[Finding]:
    """⟨S x, y⟩ = ⟨x, Sᵀ y⟩ in every linear input."""
    terms = subject.operation.terms(call)
    y = subject.forward(call.inputs, call.options)
    u = subject.random(1, y.shape)
    cotangents = subject.backward(u, call.inputs, call.options)
    for i in subject.operation.linear_in:
        bound = subject.eps * terms.depth * total(u) * terms.value
        error = abs(inner(y, u) - inner(call.inputs[i], cotangents[i]))
        yield Finding(f"⟨f(x), u⟩ − ⟨x, fᵀ(u)⟩ for {subject.operation.inputs[i]}", error, bound)


def jvp_vjp(subject: Subject, call: Call) -> Iterator[Finding]:
    """⟨J v, u⟩ = ⟨v, Jᵀ u⟩ for random v and u."""
    terms = subject.operation.terms(call)
    v = subject.tangents(2, call)
    y_dot = subject.jvp(call.inputs, v, call.options)
    u = subject.random(1, y_dot.shape)
    cotangents = subject.backward(u, call.inputs, call.options)
    error = abs(inner(y_dot, u) - sum(inner(a, b) for a, b in zip(v, cotangents, strict=True)))
    yield Finding("⟨Jv, u⟩ − ⟨v, Jᵀu⟩", error, subject.eps * terms.depth * total(u) * largest(v) * terms.first)


def second_order(subject: Subject, call: Call) -> Iterator[Finding]:
    """The second derivative is symmetric, and contains the forward derivative."""
    terms = subject.operation.terms(call)
    v, w = subject.tangents(2, call), subject.tangents(3, call)
    y_dot = subject.jvp(call.inputs, v, call.options)
    u = subject.random(1, y_dot.shape)
    along_v = subject.double_backward(v, u, call.inputs, call.options)
    bound = subject.eps * terms.depth * largest(v) * terms.first
    yield Finding("cotangent of grad_output − Jv", difference(along_v[0], y_dot), bound)
    along_w = subject.double_backward(w, u, call.inputs, call.options)
    left = sum(inner(a, b) for a, b in zip(w, along_v[1:], strict=False))
    right = sum(inner(a, b) for a, b in zip(v, along_w[1:], strict=False))
    bound = subject.eps * terms.depth * total(u) * largest(v) * largest(w) * terms.second
    yield Finding("⟨w, H v⟩ − ⟨v, H w⟩", abs(left - right), bound)


def oracle(subject: Subject, call: Call) -> Iterator[Finding]:
    """All its functions agree with literal loops over exact numbers."""
    terms = subject.operation.terms(call)
    y = subject.forward(call.inputs, call.options)
    u, v = subject.random(1, y.shape), subject.tangents(2, call)
    first = subject.eps * terms.depth * terms.first
    second = subject.eps * terms.depth * terms.second * largest(v)
    bounds = {
        "forward": subject.eps * terms.depth * terms.value,
        "backward": first * total(u),
        "jvp": first * largest(v),
        "double_backward": first * largest(v) + second * total(u),
    }
    exactly = subject.operation.twin.results(call.inputs, u, v, call.options)
    for ours, theirs in zip(subject.results(call.inputs, u, v, call.options), exactly, strict=True):
        error = difference(ours.array, exact.to_float(theirs[2]))
        yield Finding(f"{ours.what} − exact", error, bounds[ours.function])
