"""Activations: functions of one number, applied to each element; and the gated linear unit.

An elementwise activation is a record of f, f′ and f″, from which its four functions follow (a dot is a tangent, d a
cotangent; see :mod:`attn_ref.ops.sampling` for the notation):

    forward          y  = f(x)
    jvp              ẏ  = f′(x) ∘ ẋ
    backward         dx = f′(x) ∘ dy
    double backward  given V of dx:   of dy:  V ∘ f′(x)       of x:  V ∘ dy ∘ f″(x)

Three of them are x times a gate G between 0 and 1, f = x · G(g(x)): silu [1]_, gelu and its approximation gelu_tanh
[2]_. σ(x) = 1/(1 + e⁻ˣ) is the logistic function, Φ the cumulative function of the normal distribution, φ its density:

    silu        G = σ       g(x) = x
    gelu        G = Φ       g(x) = x
    gelu_tanh   G = σ       g(x) = 2√(2/π) (x + 0.044715 x³)        for (1 + tanh(v))/2 = σ(2v)

Differentiated, with all of G at g(x):

    f′ = G + x G′ g′            f″ = 2 G′ g′ + x (G″ g′² + G′ g″)
    σ′ = σ(x) σ(−x)             σ″ = σ′ · (σ(−x) − σ(x))
    Φ′ = φ                      Φ″ = −x φ

The gated linear unit [3]_ halves an axis, x = (a, b), and lets one half gate the other:

    forward          y = a ∘ σ(b)
    jvp              ẏ = ȧ ∘ σ(b) + a ∘ σ′(b) ∘ ḃ
    backward         da = dy ∘ σ(b)             db = dy ∘ a ∘ σ′(b)
    double backward  given (V, W) of (da, db):
                     of dy:  V ∘ σ(b) + W ∘ a ∘ σ′(b)          (the jvp along (V, W))
                     of a:   W ∘ dy ∘ σ′(b)
                     of b:   V ∘ dy ∘ σ′(b) + W ∘ dy ∘ a ∘ σ″(b)

At a kink the derivative is 0 by definition, that of the flat side: relu at 0, hard_sigmoid at both corners. A NaN gives
NaN in the value and in every derivative. At ±∞ value, f′ and f″ are the limits: silu(−∞) is 0, not NaN from ∞ · 0. The
gated linear unit, of two numbers, has no limits there and follows IEEE arithmetic.

.. [1] S. Elfwing, E. Uchibe, K. Doya, "Sigmoid-weighted linear units for neural network function approximation in
   reinforcement learning", Neural Networks 107 (2018), equation (5).
.. [2] D. Hendrycks, K. Gimpel, "Gaussian Error Linear Units (GELUs)", arXiv:1606.08415, section 2.
.. [3] Y. Dauphin, A. Fan, M. Auli, D. Grangier, "Language Modeling with Gated Convolutional Networks", ICML 2017,
   equation (1).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf, isfinite, pi, sqrt
from numbers import Integral
from typing import NamedTuple

from attn_ref import validation
from attn_ref.backend import Array, Backend
from attn_ref.validation import Numbers

__all__ = ["ACTIVATIONS", "Activation", "ActivationSecondCotangents", "GatedLinearUnit", "get_activation"]

Elementwise = Callable[[Backend, Array], Array]


class ActivationSecondCotangents(NamedTuple):
    """Cotangents of the inputs of an activation's ``backward``, each with its input's shape and dtype.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.array([0.5, -2.0])
    >>> get_activation("sigmoid").double_backward(x, x, x).x.shape
    (2,)
    """

    grad_output: Array
    x: Array


@dataclass(frozen=True)
class Activation:
    """An elementwise activation: call it for the value; ``backward``, ``jvp``, ``double_backward`` for the derivatives.

    Attributes
    ----------
    name : str
        Its name.
    f, f_prime, f_second : callable
        ``f(backend, x)``: value, first and second derivative, elementwise on unchecked arrays.
    kinks : tuple of float
        Where it is not differentiable; the derivative there is one of the two one-sided ones, or between.

    Examples
    --------
    >>> import numpy as np
    >>> silu = get_activation("silu")
    >>> x = np.array([0.0, 30.0])
    >>> silu(x), silu.backward(np.ones(2), x)
    (array([ 0., 30.]), array([0.5, 1. ]))
    """

    name: str
    f: Elementwise
    f_prime: Elementwise
    f_second: Elementwise
    kinks: tuple[float, ...] = ()

    def __call__(self, x: Array) -> Array:
        """Apply the activation.

        Parameters
        ----------
        x : array, any shape
            float64, float32 or float16 (computed in float32 and rounded once).

        Returns
        -------
        array, shape and dtype of x
            f(x).

        Raises
        ------
        TypeError
            If x is not an array of a supported library and dtype.
        """
        call = validation.numbers(x=x)
        with call.backend.quiet():
            return call.finish(self.f(call.backend, call["x"]))

    def backward(self, grad_output: Array, x: Array) -> Array:
        """Pull a cotangent of the output back to x.

        Parameters
        ----------
        grad_output, x : array, the same shape
            Cotangent of the output, and the input.

        Returns
        -------
        array, shape and dtype of x
            f′(x) ∘ dy.

        Raises
        ------
        TypeError, ValueError
            If an argument is no floating array of the same library and dtype, or the shapes differ.
        """
        call = self._check(x=x, grad_output=grad_output)
        with call.backend.quiet():
            return call.finish(call["grad_output"] * self.f_prime(call.backend, call["x"]))

    def jvp(self, x: Array, x_tangent: Array) -> Array:
        """Push a tangent of x forward to the output.

        Parameters
        ----------
        x, x_tangent : array, the same shape
            The input and the direction.

        Returns
        -------
        array, shape and dtype of x
            f′(x) ∘ ẋ.

        Raises
        ------
        TypeError, ValueError
            As in ``backward``.
        """
        call = self._check(x=x, x_tangent=x_tangent)
        with call.backend.quiet():
            return call.finish(self.f_prime(call.backend, call["x"]) * call["x_tangent"])

    def double_backward(self, grad_grad_x: Array, grad_output: Array, x: Array) -> ActivationSecondCotangents:
        """Pull a cotangent of ``backward``'s result back to its inputs.

        Parameters
        ----------
        grad_grad_x, grad_output, x : array, the same shape
            Cotangent of the result of ``backward``, and what that was called with.

        Returns
        -------
        ActivationSecondCotangents
            ``grad_output``, V ∘ f′(x), and ``x``, V ∘ dy ∘ f″(x).

        Raises
        ------
        TypeError, ValueError
            As in ``backward``.
        """
        call = self._check(x=x, grad_output=grad_output, grad_grad_x=grad_grad_x)
        backend, V, dy = call.backend, call["grad_grad_x"], call["grad_output"]
        with backend.quiet():
            of_dy = V * self.f_prime(backend, call["x"])
            of_x = V * dy * self.f_second(backend, call["x"])
            return ActivationSecondCotangents(call.finish(of_dy), call.finish(of_x))

    def _check(self, **arrays: Array) -> Numbers:
        call = validation.numbers(**arrays)
        for name, array in arrays.items():
            validation.shape(name, array, arrays["x"].shape, "the shape of x")
        return call


@dataclass(frozen=True)
class GatedLinearUnit:
    """The gated linear unit: y = a ∘ σ(b), where a and b are the two halves of x along an axis.

    It is called, and differentiated, like an :class:`Activation`, with ``axis`` as a further argument. Its output has
    half as many elements along that axis, so whatever follows must expect half the features.

    Examples
    --------
    >>> import numpy as np
    >>> glu = get_activation("glu")
    >>> glu(np.array([[6.0, 8.0, 0.0, 100.0]]))  # 6 · σ(0) and 8 · σ(100)
    array([[3., 8.]])
    """

    name: str = "glu"

    def __call__(self, x: Array, axis: int = 1) -> Array:
        """Apply the gated linear unit.

        Parameters
        ----------
        x : array
            float64, float32 or float16.
        axis : int
            The axis to halve, of even length; negative ones count from the end. The default is the features or
            channels of (N, C, …).

        Returns
        -------
        array
            The shape of x, but half as long along the axis.

        Raises
        ------
        TypeError
            If x is not an array of a supported library and dtype, or axis is not an integer.
        ValueError
            If x has no such axis, or an odd number of elements along it.
        """
        call, axis = self._check(axis, x=x)
        with call.backend.quiet():
            a, b = _halves(call.backend, call["x"], axis)
            return call.finish(a * _sigmoid(call.backend, b))

    def backward(self, grad_output: Array, x: Array, axis: int = 1) -> Array:
        """Pull a cotangent of the output back to x.

        Parameters
        ----------
        grad_output : array, shape of the output
            Cotangent of the output.
        x, axis
            As in the call.

        Returns
        -------
        array, shape and dtype of x
            (dy ∘ σ(b), dy ∘ a ∘ σ′(b)), side by side along the axis.

        Raises
        ------
        TypeError, ValueError
            As in the call; ``grad_output`` is checked likewise.
        """
        call, axis = self._check(axis, x=x, grad_output=grad_output)
        backend, dy = call.backend, call["grad_output"]
        with backend.quiet():
            a, b = _halves(backend, call["x"], axis)
            da, db = dy * _sigmoid(backend, b), dy * a * _sigmoid_prime(backend, b)
            return call.finish(backend.xp.concatenate([da, db], axis=axis))

    def jvp(self, x: Array, x_tangent: Array, axis: int = 1) -> Array:
        """Push a tangent of x forward to the output.

        Parameters
        ----------
        x, x_tangent : array, the same shape
            The input and the direction.
        axis : int
            As in the call.

        Returns
        -------
        array, shape of the output
            ȧ ∘ σ(b) + a ∘ σ′(b) ∘ ḃ.

        Raises
        ------
        TypeError, ValueError
            As in the call.
        """
        call, axis = self._check(axis, x=x, x_tangent=x_tangent)
        with call.backend.quiet():
            return call.finish(self._push(call, axis, "x_tangent"))

    def double_backward(
        self, grad_grad_x: Array, grad_output: Array, x: Array, axis: int = 1
    ) -> ActivationSecondCotangents:
        """Pull a cotangent of ``backward``'s result back to its inputs.

        Parameters
        ----------
        grad_grad_x : array, shape of x
            Cotangent of the result of ``backward``.
        grad_output, x, axis
            As in ``backward``.

        Returns
        -------
        ActivationSecondCotangents
            ``grad_output`` and ``x``: see the head of this module.

        Raises
        ------
        TypeError, ValueError
            As in the call.
        """
        call, axis = self._check(axis, x=x, grad_output=grad_output, grad_grad_x=grad_grad_x)
        backend, dy = call.backend, call["grad_output"]
        with backend.quiet():
            a, b = _halves(backend, call["x"], axis)
            V, W = _halves(backend, call["grad_grad_x"], axis)
            prime = _sigmoid_prime(backend, b)
            of_a = W * dy * prime
            of_b = V * dy * prime + W * dy * a * _sigmoid_second(backend, b)
            of_x = backend.xp.concatenate([of_a, of_b], axis=axis)
            of_dy = self._push(call, axis, "grad_grad_x")
        return ActivationSecondCotangents(call.finish(of_dy), call.finish(of_x))

    def _push(self, call: Numbers, axis: int, direction: str) -> Array:
        a, b = _halves(call.backend, call["x"], axis)
        a_dot, b_dot = _halves(call.backend, call[direction], axis)
        return a_dot * _sigmoid(call.backend, b) + a * _sigmoid_prime(call.backend, b) * b_dot

    def _check(self, axis: object, **arrays: Array) -> tuple[Numbers, int]:
        call, x = validation.numbers(**arrays), arrays["x"]
        if isinstance(axis, bool) or not isinstance(axis, Integral):
            raise TypeError(f"axis must be an integer, got {type(axis).__name__} {validation.shown(axis)}")
        axis = int(axis)
        if not -x.ndim <= axis < x.ndim:
            raise ValueError(f"axis={axis} but x has {x.ndim} axes, shape {x.shape}")
        length = x.shape[axis]
        if length % 2:
            raise ValueError(
                f"x has {length} elements along axis {axis}, shape {x.shape}: glu halves that axis, so it must be even"
            )
        half = list(x.shape)
        half[axis] = length // 2
        for name, array in arrays.items():
            wanted = tuple(half) if name == "grad_output" else x.shape
            described = "the shape of the output" if name == "grad_output" else "the shape of x"
            validation.shape(name, array, wanted, described)
        return call, axis


def get_activation(
    name: str, *, slope: float | None = None, offset: float | None = None
) -> Activation | GatedLinearUnit:
    """Look an activation up by its name.

    Parameters
    ----------
    name : str
        One of relu, gelu (exact, by the error function), gelu_tanh (its approximation), silu, sigmoid, hard_sigmoid,
        identity, glu.
    slope, offset : float, optional
        Of hard_sigmoid only, clip(slope · x + offset, 0, 1); the defaults are 1/6 and 1/2, as in PyTorch, timm and
        Keras 3. ONNX's own default is slope=0.2, offset=0.5.

    Returns
    -------
    Activation or GatedLinearUnit
        Callable: ``f(x)``, ``f.backward(grad_output, x)``, ``f.jvp(x, x_tangent)``,
        ``f.double_backward(grad_grad_x, grad_output, x)``; for glu each takes ``axis=1`` too.

    Raises
    ------
    TypeError
        If the name is not a string, or slope or offset not a number.
    ValueError
        If the name is unknown (the message lists every one), slope or offset is given to another activation, slope is
        not above 0, or either is not finite.

    Examples
    --------
    >>> import numpy as np
    >>> relu = get_activation("relu")
    >>> relu(np.array([-1.0, 2.0])), relu.backward(np.array([5.0, 5.0]), np.array([-1.0, 2.0]))
    (array([0., 2.]), array([0., 5.]))
    """
    name = validation.choice("name", name, ACTIVATIONS)
    if slope is None and offset is None:
        return ACTIVATIONS[name]
    if name != "hard_sigmoid":
        raise ValueError(f"slope and offset are of hard_sigmoid, and name is {name!r}: leave them out")
    slope = 1 / 6 if slope is None else validation.real("slope", slope, "above 0, finite", lambda v: 0 < v < inf)
    offset = 0.5 if offset is None else validation.real("offset", offset, "that is finite", isfinite)
    return _hard_sigmoid(slope, offset)


# ---------------------------------------------------------------------------------------------------------------------
# The functions: f, f′, f″ of each


def _halves(backend: Backend, x: Array, axis: int) -> tuple[Array, Array]:
    a, b = backend.xp.split(x, 2, axis=axis)
    return a, b


def _nan_or(backend: Backend, x: Array, value: Array | float) -> Array:
    """The value, a mask or a number, where x is a number; x where it is NaN."""
    return backend.xp.where(backend.xp.isnan(x), x, value if isinstance(value, float) else value.astype(x.dtype))


def _near(backend: Backend, x: Array) -> Array:
    """Clip to where the gates and their derivatives are already at their limits, so that no ∞ · 0 arises."""
    return backend.xp.clip(x, -1e4, 1e4)


def _sigmoid(backend: Backend, x: Array) -> Array:
    return backend.sigmoid(x)


def _sigmoid_prime(backend: Backend, x: Array) -> Array:
    return _sigmoid(backend, x) * _sigmoid(backend, -x)  # not σ(1 − σ): that loses every digit where σ is near 1


def _sigmoid_second(backend: Backend, x: Array) -> Array:
    up, down = _sigmoid(backend, x), _sigmoid(backend, -x)
    return up * down * (down - up)


def _gated(
    name: str, gate: Elementwise, gate_prime: Elementwise, gate_second: Elementwise, inner: Callable[..., Array]
) -> Activation:
    """X · G(g(x)) from the gate G, its derivatives, and ``inner(x, order)``, which is g, g′, g″."""

    def f(backend: Backend, x: Array) -> Array:
        far_right = backend.xp.maximum(x, -1e4)  # on the left the gate is 0, on the right it is 1
        return far_right * gate(backend, inner(_near(backend, x), 0))

    def f_prime(backend: Backend, x: Array) -> Array:
        x = _near(backend, x)
        g = inner(x, 0)
        return gate(backend, g) + x * gate_prime(backend, g) * inner(x, 1)

    def f_second(backend: Backend, x: Array) -> Array:
        x = _near(backend, x)
        g, g1, g2 = (inner(x, order) for order in range(3))
        prime = gate_prime(backend, g)
        return 2 * prime * g1 + x * (gate_second(backend, g) * g1 * g1 + prime * g2)

    return Activation(name, f, f_prime, f_second)


def _itself(x: Array, order: int) -> Array:
    """g(x) = x and its derivatives."""
    return (x, 1.0, 0.0)[order]


def _tanh_argument(x: Array, order: int) -> Array:
    """g(x) = 2√(2/π) (x + 0.044715 x³) and its derivatives."""
    scale, cubic = 2 * sqrt(2 / pi), 0.044715
    if order == 0:
        return scale * (x + cubic * x * x * x)
    return scale * (1 + 3 * cubic * x * x) if order == 1 else scale * 6 * cubic * x


def _normal_cdf(backend: Backend, x: Array) -> Array:
    return backend.special.erfc(-x / sqrt(2)) / 2  # erfc keeps its digits far out on the left, 1 + erf does not


def _normal_pdf(backend: Backend, x: Array) -> Array:
    return backend.xp.exp(-x * x / 2) / sqrt(2 * pi)


def _normal_pdf_prime(backend: Backend, x: Array) -> Array:
    return -x * _normal_pdf(backend, x)


def _hard_sigmoid(slope: float, offset: float) -> Activation:
    low, high = -offset / slope, (1 - offset) / slope  # the corners

    def f(backend: Backend, x: Array) -> Array:
        return backend.xp.clip(slope * x + offset, 0, 1)

    def f_prime(backend: Backend, x: Array) -> Array:
        return _nan_or(backend, x, (x > low) & (x < high)) * slope

    return Activation("hard_sigmoid", f, f_prime, lambda backend, x: _nan_or(backend, x, 0.0), (low, high))


ACTIVATIONS: dict[str, Activation | GatedLinearUnit] = {
    "relu": Activation(
        "relu",
        lambda backend, x: backend.xp.maximum(x, 0),
        lambda backend, x: _nan_or(backend, x, x > 0),
        lambda backend, x: _nan_or(backend, x, 0.0),
        kinks=(0.0,),
    ),
    "gelu": _gated("gelu", _normal_cdf, _normal_pdf, _normal_pdf_prime, _itself),
    "gelu_tanh": _gated("gelu_tanh", _sigmoid, _sigmoid_prime, _sigmoid_second, _tanh_argument),
    "silu": _gated("silu", _sigmoid, _sigmoid_prime, _sigmoid_second, _itself),
    "sigmoid": Activation("sigmoid", _sigmoid, _sigmoid_prime, _sigmoid_second),
    "hard_sigmoid": _hard_sigmoid(1 / 6, 0.5),
    "identity": Activation(
        "identity",
        lambda backend, x: backend.xp.array(x),  # a copy: outputs share no memory with inputs
        lambda backend, x: _nan_or(backend, x, 1.0),
        lambda backend, x: _nan_or(backend, x, 0.0),
    ),
}
"""The activations by name, with their usual options."""

ACTIVATIONS["glu"] = GatedLinearUnit()
