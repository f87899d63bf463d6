"""What the registry says of an operation."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from attn_ref.backend import Array

__all__ = ["Call", "Functions", "Operation", "Options", "Terms"]

Options = dict[str, Any]


class Call(NamedTuple):
    """One call of an operation: its differentiable inputs in order, and everything else by name.

    The option ``absent`` is the registry's own: it names optional inputs that are to be left out. They stand in
    ``inputs`` all the same, so that every call of an operation has the same inputs; nothing may depend on them.

    Examples
    --------
    >>> import numpy as np
    >>> Call((np.zeros((1, 2)), np.zeros((3, 2))), {"absent": ("bias",)}).options
    {'absent': ('bias',)}
    """

    inputs: tuple[Array, ...]
    options: Options


class Terms(NamedTuple):
    """Upper bounds of the sums that a call's results are made of, every product taken with its magnitude.

    Attributes
    ----------
    value : float
        Of one output element.
    first : float
        Of one output element's change, if every input element changes by at most 1.
    second : float
        Of that change's own change, likewise.
    depth : int
        Roundings on the way from the inputs to one element of any result.

    Examples
    --------
    >>> import numpy as np
    >>> from attn_ref.registry import OPERATIONS
    >>> call = Call((np.ones((1, 2)), np.ones((3, 2)), np.ones(3)), {})
    >>> OPERATIONS["linear"].terms(call)
    Terms(value=3.0, first=5.0, second=4.0, depth=22)
    """

    value: float
    first: float
    second: float
    depth: int


@dataclass(frozen=True)
class Functions:
    """An operation and its derivatives; layers that only serve training have no more than a backward pass.

    Examples
    --------
    >>> from attn_ref.registry import OPERATIONS
    >>> OPERATIONS["conv2d"].functions.jvp is None  # it only serves training
    True
    """

    forward: Callable[..., Any]
    backward: Callable[..., Any]
    jvp: Callable[..., Any] | None = None
    double_backward: Callable[..., Any] | None = None


@dataclass(frozen=True)
class Operation:
    """One operation.

    Attributes
    ----------
    name : str
        The public name of its forward function.
    inputs : tuple of str
        Its differentiable inputs, in order.
    functions, exact : Functions
        The operation, and the same over exact numbers as literal loops.
    linear : bool
        Whether it is linear, so that its derivatives leave the inputs out of their signatures.
    linear_in : tuple of int
        The inputs in which it is linear, each for itself.
    batched : tuple of bool
        Whether axis 0 of each input holds independent samples, as axis 0 of the output then does.
    variants : tuple of dict
        The options to go through one by one; what is for the strategy alone, such as ``ndim``, is among them.
    strategy : str
        The function of :mod:`attn_ref.gradcheck.strategies` that draws calls: ``f(kind, variant)``.
    terms : callable
        ``terms(call)`` gives the :class:`Terms`.
    steps : callable
        ``steps(call)`` gives, for each input, how far its elements may be moved within one piece (an array or a
        number), and the degree of the output in one element there; None where it is no polynomial.
    kinked : bool
        Whether there are points where it is not differentiable; its strategy then draws calls of the kind ``"kinks"``.
    piecewise_in : str or None
        The input in which it is piecewise, each output element depending on one point of it: where its kinks can be
        looked at from both sides.
    points_in : str or None
        The input that holds sample points, last axis a coordinate: there non-finite values are of interest.
    has_layouts : bool
        Whether it takes ``channels_last``, which then speaks of input 0, an image, and of the output.
    any_order : bool
        Whether its sums may run in another order where strides or sizes differ, as matrix products do.
    bounded : bool
        Whether an infinite input has an output that is a number all the same, finite or not.
    resized : callable
        ``resized(options, samples)`` gives the options of a call whose batch has another number of samples.

    Examples
    --------
    >>> from attn_ref.registry import OPERATIONS
    >>> sampler = OPERATIONS["grid_sample"]
    >>> sampler.inputs, sampler.linear_in, sampler.has_double_backward
    (('input', 'grid'), (0,), True)
    """

    name: str
    inputs: tuple[str, ...]
    functions: Functions
    exact: Functions
    linear: bool
    linear_in: tuple[int, ...]
    batched: tuple[bool, ...]
    variants: tuple[Options, ...]
    strategy: str
    terms: Callable[[Call], Terms]
    steps: Callable[[Call], tuple[list[Any], int] | None]
    kinked: bool = False
    piecewise_in: str | None = None
    points_in: str | None = None
    has_layouts: bool = False
    any_order: bool = False
    bounded: bool = False
    resized: Callable[[Options, int], Options] = lambda options, _: options

    @property
    def twin(self) -> Operation:
        """The same operation over exact numbers."""
        return dataclasses.replace(self, functions=self.exact)

    @property
    def has_jvp(self) -> bool:
        """Whether it has a forward-mode derivative."""
        return self.functions.jvp is not None

    @property
    def has_double_backward(self) -> bool:
        """Whether it has a second derivative."""
        return self.functions.double_backward is not None

    def forward(self, inputs: Sequence[Array], options: Options) -> Array:
        """Output of the operation."""
        return self.functions.forward(*self._present(inputs, options), **_given(options))

    def backward(self, grad_output: Array, inputs: Sequence[Array], options: Options) -> tuple[Array, ...]:
        """Cotangents of the inputs, in order; zeros of those that are absent."""
        primals = () if self.linear else self._present(inputs, options)
        results = _tuple(self.functions.backward(grad_output, *primals, **_given(options)))
        return self._filled(results, inputs, options)

    def jvp(self, inputs: Sequence[Array], tangents: Sequence[Array], options: Options) -> Array:
        """Tangent of the output."""
        assert self.functions.jvp is not None
        primals = () if self.linear else self._present(inputs, options)
        return self.functions.jvp(*primals, *self._present(tangents, options), **_given(options))

    def double_backward(
        self, grad_grads: Sequence[Array], grad_output: Array, inputs: Sequence[Array], options: Options
    ) -> tuple[Array, ...]:
        """Cotangents of grad_output and, but for linear operations, of the inputs."""
        assert self.functions.double_backward is not None
        primals = () if self.linear else (grad_output, *self._present(inputs, options))
        v = self._present(grad_grads, options)
        results = _tuple(self.functions.double_backward(*v, *primals, **_given(options)))
        return (results[0], *self._filled(results[1:], inputs, options))

    def results(
        self, inputs: Sequence[Array], grad_output: Array, tangents: Sequence[Array], options: Options
    ) -> Iterator[tuple[str, str | None, Array]]:
        """Yield all that its functions give at a point.

        Yields
        ------
        function : str
            "forward", "backward", "jvp" or "double_backward".
        of : str or None
            The input whose cotangent the array is; None if it has the shape of the output.
        array : array
            The result.
        """
        yield "forward", None, self.forward(inputs, options)
        for name, array in zip(self.inputs, self.backward(grad_output, inputs, options), strict=True):
            yield "backward", name, array
        if self.has_jvp:
            yield "jvp", None, self.jvp(inputs, tangents, options)
        if self.has_double_backward:
            second = self.double_backward(tangents, grad_output, inputs, options)
            yield "double_backward", None, second[0]
            for name, array in zip(self.inputs, second[1:], strict=False):
                yield "double_backward", name, array

    def _present(self, arrays: Sequence[Any], options: Options) -> tuple[Any, ...]:
        """The arrays of the inputs, or tangents of them, with None for what is absent."""
        absent = options.get("absent", ())
        return tuple(None if name in absent else array for name, array in zip(self.inputs, arrays, strict=True))

    def _filled(self, results: tuple[Any, ...], inputs: Sequence[Array], options: Options) -> tuple[Array, ...]:
        """Cotangents with zeros in place of None; None must stand where an input is absent, and only there."""
        if not results:
            return results
        for name, result in zip(self.inputs, results, strict=True):
            if (result is None) != (name in options.get("absent", ())):
                raise AssertionError(f"the cotangent of {name} is {result!r} with {options}")
        return tuple(x * 0 if result is None else result for x, result in zip(inputs, results, strict=True))


def _tuple(result: Any) -> tuple[Array, ...]:
    return tuple(result) if isinstance(result, tuple) else (result,)


def _given(options: Options) -> Options:
    return {name: value for name, value in options.items() if name != "absent"}
