"""What the properties are about: an operation on one array library in one precision, and what is found of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from attn_ref import backend as _backend
from attn_ref.backend import Array
from attn_ref.gradcheck.strategies import signed
from attn_ref.registry.operation import Call, Operation

__all__ = ["Finding", "Result", "Subject", "difference", "inner", "largest", "total"]


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


class Result(NamedTuple):
    """One of the arrays that an operation's functions give: which function, the cotangent of which input if any."""

    function: str
    of: str | None
    array: Array

    @property
    def what(self) -> str:
        """In words."""
        return f"{self.function}: {'output' if self.of is None else f'cotangent of {self.of}'}"


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
        return np.asarray(signed(np.random.default_rng(seed), shape), self.dtype)  # an array, without axes too

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

    def results(
        self, inputs: Sequence[Array], grad_output: Array, tangents: Sequence[Array], options: dict[str, Any]
    ) -> list[Result]:
        """All that the functions give at a point."""
        native = self._native([grad_output, *inputs]), self._native(tangents)
        found = self.operation.results(native[0][1:], native[0][0], native[1], options)
        return [Result(function, of, self._host(array)) for function, of, array in found]

    def rounding(self, call: Call, grad_output: Array, tangents: Sequence[Array]) -> float:
        """How far any two ways of adding up the terms of one result may be apart."""
        terms = self.operation.terms(call)
        u, v = total(grad_output), largest(tangents)
        return self.eps * terms.depth * (terms.value + (terms.first + terms.second * v) * max(u, v))

    def _native(self, arrays: Sequence[Array]) -> list[Array]:
        if self.backend == "numpy":
            return list(arrays)
        asarray = _backend.BACKENDS[self.backend]().xp.asarray
        return [asarray(a) for a in arrays]

    def _host(self, array: Array) -> Array:
        return array if self.backend == "numpy" else _backend.BACKENDS[self.backend]().to_host(array)


def inner(a: Array, b: Array) -> float:
    """⟨a, b⟩ in float64."""
    return float((a.astype(np.float64) * b.astype(np.float64)).sum())


def total(a: Array) -> float:
    """Sum of the magnitudes."""
    return float(np.abs(a).astype(np.float64).sum())


def largest(arrays: Iterable[Array]) -> float:
    """Largest magnitude in any of the arrays."""
    return max((float(np.abs(a).max(initial=0)) for a in arrays), default=0.0)


def difference(a: Array, b: Array) -> float:
    """Largest difference; NaN if either has one, inf if the shapes differ."""
    if a.shape != b.shape:
        return float("inf")
    return float(np.abs(a.astype(np.float64) - b.astype(np.float64)).max(initial=0))
