"""Squeeze-and-excitation: weigh the channels of an image by what the whole image holds.

The block of SENet [1]_ answers *what to look at*: it squeezes each channel to its mean, lets two small matrices make a
gate between 0 and 1 for each channel of that, and multiplies.

Notation
--------
X is the image, (N, C, P), with its P pixels in a row whatever their number of dimensions; W₁ (R, C) reduces the C
channels to R, W₂ (C, R) expands them again, b₁ and b₂ are optional. act is the activation between (relu), gate the
function at the end (sigmoid). ∘ multiplies entry by entry, a gate by all pixels of its channel. A dot is a tangent, d a
cotangent; Σ_p sums over pixels, Σ_n over samples, and rows (N, ·) are multiplied by matrices from the right:

    z = Σ_p X / P           (N, C)      squeeze
    h = z W₁ᵀ + b₁          (N, R)      reduce
    a = act(h)
    u = a W₂ᵀ + b₂          (N, C)      expand
    s = gate(u)
    Y = X ∘ s               (N, C, P)   excite

The derivation
--------------
*jvp*. The product rule, line by line:

    ż = Σ_p Ẋ / P
    ḣ = ż W₁ᵀ + z Ẇ₁ᵀ + ḃ₁
    u̇ = ȧ W₂ᵀ + a Ẇ₂ᵀ + ḃ₂          with ȧ = act′(h) ∘ ḣ
    Ẏ = Ẋ ∘ s + X ∘ ṡ                with ṡ = gate′(u) ∘ u̇                         (1)

*backward*. ⟨dY, Ẏ⟩ = ⟨dY ∘ s, Ẋ⟩ + ⟨q, ṡ⟩ with q = Σ_p dY ∘ X. Going up from ṡ, line by line:

    du = q ∘ gate′(u)       dW₂ = duᵀ a     db₂ = Σ_n du
    dh = (du W₂) ∘ act′(h)  dW₁ = dhᵀ z     db₁ = Σ_n dh
    dz = dh W₁              dX  = dY ∘ s + dz / P                                  (2)

X acts twice: directly, and through the mean of its channel.

*double backward*. Let V be cotangents of the five results of (2), one for each input. Then the scalar to differentiate
is ⟨V, backward(dY)⟩ = ⟨dY, Ẏ⟩, where Ẏ is the jvp (1) in the direction V. So the cotangent of dY is that jvp, and those
of the inputs follow by going up through (1) with V held fixed. Write q̇ = Σ_p dY ∘ V_X, and mark by a ring what reaches
a dotted variable, by d what reaches a plain one:

    ů = q ∘ gate′(u)                      du = q̇ ∘ gate′(u) + q ∘ gate″(u) ∘ u̇
    å = ů W₂                              da = ů V_W₂ + du W₂
    h̊ = å ∘ act′(h)                       dh = da ∘ act′(h) + å ∘ act″(h) ∘ ḣ
    dW₂ = ůᵀ ȧ + duᵀ a    db₂ = Σ_n du
    dW₁ = h̊ᵀ ż + dhᵀ z    db₁ = Σ_n dh
    dX = dY ∘ ṡ + (h̊ V_W₁ + dh W₁) / P                                             (3)

.. [1] J. Hu, L. Shen, G. Sun, "Squeeze-and-Excitation Networks", CVPR 2018, equations (2) to (4).
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from math import prod
from typing import NamedTuple, TypeVar

from attn_ref import validation
from attn_ref._pixels import dots, piece_by_piece, sums, weigh
from attn_ref.backend import Array
from attn_ref.ops.activations import ACTIVATIONS, Activation
from attn_ref.validation import Numbers

__all__ = [
    "SqueezeExcitationCotangents",
    "SqueezeExcitationSecondCotangents",
    "squeeze_excitation",
    "squeeze_excitation_backward",
    "squeeze_excitation_double_backward",
    "squeeze_excitation_jvp",
]

_T = TypeVar("_T")


class SqueezeExcitationCotangents(NamedTuple):
    """Cotangents of the inputs of :func:`squeeze_excitation`, each with its input's shape and dtype; None for none.

    Examples
    --------
    >>> import numpy as np
    >>> image, W1, W2 = np.ones((1, 2, 3, 4)), np.ones((1, 2)), np.ones((2, 1))
    >>> grads = squeeze_excitation_backward(image, image, W1, W2)
    >>> grads.reduce_weight.shape, grads.expand_weight.shape, grads.reduce_bias
    ((1, 2), (2, 1), None)
    """

    input: Array
    reduce_weight: Array
    expand_weight: Array
    reduce_bias: Array | None
    expand_bias: Array | None


class SqueezeExcitationSecondCotangents(NamedTuple):
    """Cotangents of the inputs of :func:`squeeze_excitation_backward`, likewise.

    Examples
    --------
    >>> import numpy as np
    >>> image, W1, W2 = np.ones((1, 2, 3, 4)), np.ones((1, 2)), np.ones((2, 1))
    >>> second = squeeze_excitation_double_backward(image, W1, W2, None, None, image, image, W1, W2)
    >>> second.grad_output.shape, second.expand_weight.shape
    ((1, 2, 3, 4), (2, 1))
    """

    grad_output: Array
    input: Array
    reduce_weight: Array
    expand_weight: Array
    reduce_bias: Array | None
    expand_bias: Array | None


def squeeze_excitation(
    input: Array,
    reduce_weight: Array,
    expand_weight: Array,
    reduce_bias: Array | None = None,
    expand_bias: Array | None = None,
    *,
    activation: str | Activation = "relu",
    gate: str | Activation = "sigmoid",
    channels_last: bool = False,
) -> Array:
    """Weigh the channels of an image by gates made of their means.

    Parameters
    ----------
    input : array, shape (N, C, L), (N, C, H, W) or (N, C, D, H, W)
        The image, or with ``channels_last`` (N, L, C), (N, H, W, C) or (N, D, H, W, C). float64, float32 or float16.
    reduce_weight : array, shape (R, C)
        W₁, from channels to the reduced width R ≥ 1.
    expand_weight : array, shape (C, R)
        W₂, back to channels.
    reduce_bias : array, shape (R,), optional
        b₁.
    expand_bias : array, shape (C,), optional
        b₂.
    activation, gate : str or Activation
        Elementwise functions: a name that :func:`attn_ref.get_activation` knows, or what it returned. The gate is
        usually "sigmoid" or "hard_sigmoid". glu is none: it halves what it is given.
    channels_last : bool
        Whether the image's channels are its last axis.

    Returns
    -------
    array, shape and dtype of input
        X ∘ gate(W₂ act(W₁ mean(X) + b₁) + b₂).

    Raises
    ------
    TypeError
        If an argument is not an array of a supported library, the arrays differ in dtype, library or device, or an
        option has the wrong type.
    ValueError
        If the shapes do not fit, the image has no pixels, R is 0, an option is an unknown word, or activation or gate
        is glu.

    See Also
    --------
    squeeze_excitation_backward, squeeze_excitation_jvp, squeeze_excitation_double_backward : The derivatives.
    attn_ref.blocks.SqueezeExcitation : The same with its parameters, and the presets of other libraries.

    Notes
    -----
    See the head of this module. float16 is computed in float32 and rounded once: 90 000 pixels of 10 have the mean 10,
    though their sum is beyond float16. The weight of a 1×1 convolution, (R, C, 1, 1), is the same matrix: take
    ``[:, :, 0, 0]``.

    Examples
    --------
    Two channels of two pixels. The means are 2 and 3; the one reduced feature is relu(3 − 2) = 1; the gates are
    σ(0) = ½ and σ(1):

    >>> import numpy as np
    >>> image = np.array([[[1.0, 3.0], [2.0, 4.0]]])
    >>> squeeze_excitation(image, np.array([[-1.0, 1.0]]), np.array([[0.0], [1.0]]))
    array([[[0.5       , 1.5       ],
            [1.46211716, 2.92423431]]])
    """
    call = _call(activation, gate, channels_last, input, reduce_weight, expand_weight, reduce_bias, expand_bias)
    Y, rows_of_Y = call.new_image()

    def some(n: slice) -> None:
        X = call.image("input", n)
        call.weigh(X, call.excite(call.mean(X)).s, out=rows_of_Y[n])

    with call.quiet():
        call.piece_by_piece(some)
    return Y


def squeeze_excitation_backward(
    grad_output: Array,
    input: Array,
    reduce_weight: Array,
    expand_weight: Array,
    reduce_bias: Array | None = None,
    expand_bias: Array | None = None,
    *,
    activation: str | Activation = "relu",
    gate: str | Activation = "sigmoid",
    channels_last: bool = False,
) -> SqueezeExcitationCotangents:
    """Pull a cotangent of the output back to the image, the weights and the biases.

    Parameters
    ----------
    grad_output : array, shape of input
        Cotangent of the output.
    input, reduce_weight, expand_weight, reduce_bias, expand_bias
        As in :func:`squeeze_excitation`.
    activation, gate, channels_last
        As in :func:`squeeze_excitation`.

    Returns
    -------
    SqueezeExcitationCotangents
        Equations (2) above, by the names of the inputs; None for an absent bias.

    Raises
    ------
    TypeError, ValueError
        As in :func:`squeeze_excitation`; ``grad_output`` is checked like an input.

    Notes
    -----
    relu has the derivative 0 at 0, hard_sigmoid at both corners.

    Examples
    --------
    >>> import numpy as np
    >>> image = np.array([[[1.0, 3.0], [2.0, 4.0]]])  # 1 sample, 2 channels, 2 pixels; means 2 and 3
    >>> W1, W2 = np.array([[-1.0, 1.0]]), np.zeros((2, 1))  # every gate is sigmoid(0) = 1/2, its slope 1/4
    >>> grads = squeeze_excitation_backward(np.ones_like(image), image, W1, W2)
    >>> grads.input.ravel(), grads.expand_weight.ravel()  # q = 4 and 6, the activation is 1
    (array([0.5, 0.5, 0.5, 0.5]), array([1. , 1.5]))
    """
    given = (input, reduce_weight, expand_weight, reduce_bias, expand_bias)
    call = _call(activation, gate, channels_last, *given, grad_output=grad_output)
    W1, W2 = call.numbers["reduce_weight"], call.numbers["expand_weight"]
    dX, rows_of_dX = call.new_image()

    def some(n: slice) -> tuple[Array, ...]:
        X, dY = call.image("input", n), call.image("grad_output", n)
        at = call.excite(call.mean(X))
        du = call.products(dY, X) * at.gate_prime  # (n, C)
        dh = du @ W2 * at.act_prime  # (n, R)
        call.weigh(dY, at.s, plus=dh @ W1 / call.pixels, out=rows_of_dX[n])
        return at.z, at.a, dh, du

    with call.quiet():
        z, a, dh, du = map(call.numbers.backend.xp.concatenate, zip(*call.piece_by_piece(some), strict=True))
        return SqueezeExcitationCotangents(
            dX,
            call.numbers.finish(dh.T @ z),
            call.numbers.finish(du.T @ a),
            call.bias("reduce_bias", dh),
            call.bias("expand_bias", du),
        )


def squeeze_excitation_jvp(
    input: Array,
    reduce_weight: Array,
    expand_weight: Array,
    reduce_bias: Array | None,
    expand_bias: Array | None,
    input_tangent: Array,
    reduce_weight_tangent: Array,
    expand_weight_tangent: Array,
    reduce_bias_tangent: Array | None = None,
    expand_bias_tangent: Array | None = None,
    *,
    activation: str | Activation = "relu",
    gate: str | Activation = "sigmoid",
    channels_last: bool = False,
) -> Array:
    """Push tangents of the image, the weights and the biases forward to the output.

    Parameters
    ----------
    input, reduce_weight, expand_weight, reduce_bias, expand_bias
        As in :func:`squeeze_excitation`.
    input_tangent, reduce_weight_tangent, expand_weight_tangent : array
        The direction, each of its input's shape.
    reduce_bias_tangent, expand_bias_tangent : array or None
        Likewise; None where the bias is None, and only there.
    activation, gate, channels_last
        As in :func:`squeeze_excitation`.

    Returns
    -------
    array, shape of the output
        Equation (1) above.

    Raises
    ------
    TypeError, ValueError
        As in :func:`squeeze_excitation`; the tangents are checked like inputs.

    Examples
    --------
    >>> import numpy as np
    >>> image = np.array([[[1.0, 3.0], [2.0, 4.0]]])
    >>> W1, W2 = np.array([[-1.0, 1.0]]), np.zeros((2, 1))
    >>> opening = np.array([[1.0], [0.0]])  # the first gate opens, at rate 1/4
    >>> squeeze_excitation_jvp(image, W1, W2, None, None, np.zeros_like(image), np.zeros_like(W1), opening)
    array([[[0.25, 0.75],
            [0.  , 0.  ]]])
    """
    given = (input, reduce_weight, expand_weight, reduce_bias, expand_bias)
    tangents = {
        "input_tangent": input_tangent,
        "reduce_weight_tangent": reduce_weight_tangent,
        "expand_weight_tangent": expand_weight_tangent,
        "reduce_bias_tangent": reduce_bias_tangent,
        "expand_bias_tangent": expand_bias_tangent,
    }
    call = _call(activation, gate, channels_last, *given, **tangents)
    with call.quiet():
        X, X_dot = call.image("input"), call.image("input_tangent")
        at = call.excite(call.mean(X))
        moved = call.push(at, call.mean(X_dot), "{}_tangent")
        Y_dot = X_dot * at.s[:, :, None]
        Y_dot += X * moved.s[:, :, None]
        return call.output(Y_dot)


def squeeze_excitation_double_backward(
    grad_grad_input: Array,
    grad_grad_reduce_weight: Array,
    grad_grad_expand_weight: Array,
    grad_grad_reduce_bias: Array | None,
    grad_grad_expand_bias: Array | None,
    grad_output: Array,
    input: Array,
    reduce_weight: Array,
    expand_weight: Array,
    reduce_bias: Array | None = None,
    expand_bias: Array | None = None,
    *,
    activation: str | Activation = "relu",
    gate: str | Activation = "sigmoid",
    channels_last: bool = False,
) -> SqueezeExcitationSecondCotangents:
    """Pull cotangents of the backward pass's results back to its inputs.

    Parameters
    ----------
    grad_grad_input, grad_grad_reduce_weight, grad_grad_expand_weight : array
        Cotangents of the results of :func:`squeeze_excitation_backward`, each of its input's shape.
    grad_grad_reduce_bias, grad_grad_expand_bias : array or None
        Likewise; None where the bias is None, and only there.
    grad_output, input, reduce_weight, expand_weight, reduce_bias, expand_bias
        As in :func:`squeeze_excitation_backward`.
    activation, gate, channels_last
        As in :func:`squeeze_excitation`.

    Returns
    -------
    SqueezeExcitationSecondCotangents
        ``grad_output``, equation (1) along the given cotangents, and the inputs, equations (3) above.

    Raises
    ------
    TypeError, ValueError
        As in :func:`squeeze_excitation`; the cotangents are checked like inputs.

    Examples
    --------
    >>> import numpy as np
    >>> image = np.array([[[1.0, 3.0], [2.0, 4.0]]])
    >>> W1, W2 = np.array([[-1.0, 1.0]]), np.zeros((2, 1))
    >>> zeros = [np.zeros_like(image), np.zeros_like(W1)]
    >>> second = squeeze_excitation_double_backward(*zeros, np.array([[1.0], [0.0]]), None, None, image, image, W1, W2)
    >>> second.grad_output  # what the jvp gives in that direction
    array([[[0.25, 0.75],
            [0.  , 0.  ]]])
    """
    given = (input, reduce_weight, expand_weight, reduce_bias, expand_bias)
    cotangents = {
        "grad_output": grad_output,
        "grad_grad_input": grad_grad_input,
        "grad_grad_reduce_weight": grad_grad_reduce_weight,
        "grad_grad_expand_weight": grad_grad_expand_weight,
        "grad_grad_reduce_bias": grad_grad_reduce_bias,
        "grad_grad_expand_bias": grad_grad_expand_bias,
    }
    call = _call(activation, gate, channels_last, *given, **cotangents)
    with call.quiet():
        X, dY, V = call.image("input"), call.image("grad_output"), call.image("grad_grad_input")
        W1, W2 = call.numbers["reduce_weight"], call.numbers["expand_weight"]
        V1, V2 = call.numbers["grad_grad_reduce_weight"], call.numbers["grad_grad_expand_weight"]
        at = call.excite(call.mean(X))
        moved = call.push(at, call.mean(V), "grad_grad_{}")
        of_dY = V * at.s[:, :, None]
        of_dY += X * moved.s[:, :, None]

        q, q_dot = call.products(dY, X), call.products(dY, V)
        u_ring = q * at.gate_prime
        du = q_dot * at.gate_prime + q * at.gate_second * moved.u
        a_ring = u_ring @ W2
        da = u_ring @ V2 + du @ W2
        h_ring = a_ring * at.act_prime
        dh = da * at.act_prime + a_ring * at.act_second * moved.h
        of_X = dY * moved.s[:, :, None]
        of_X += ((h_ring @ V1 + dh @ W1) / call.pixels)[:, :, None]
        return SqueezeExcitationSecondCotangents(
            call.output(of_dY),
            call.output(of_X),
            call.numbers.finish(h_ring.T @ moved.z + dh.T @ at.z),
            call.numbers.finish(u_ring.T @ moved.a + du.T @ at.a),
            call.bias("reduce_bias", dh),
            call.bias("expand_bias", du),
        )


# ---------------------------------------------------------------------------------------------------------------------
# The small part: from means to gates


@dataclass(frozen=True)
class _Gates:
    """z, h, a, u, s as in the head of this module, of a point or of a direction. (N, C) or (N, R)."""

    z: Array
    h: Array
    a: Array
    u: Array
    s: Array


@dataclass(frozen=True)
class _Point(_Gates):
    """The gates at a point, and the derivatives of the two functions there."""

    call: _Call

    @property
    def act_prime(self) -> Array:
        return self.call.activation.f_prime(self.call.numbers.backend, self.h)

    @property
    def act_second(self) -> Array:
        return self.call.activation.f_second(self.call.numbers.backend, self.h)

    @property
    def gate_prime(self) -> Array:
        return self.call.gate.f_prime(self.call.numbers.backend, self.u)

    @property
    def gate_second(self) -> Array:
        return self.call.gate.f_second(self.call.numbers.backend, self.u)


@dataclass(frozen=True)
class _Call:
    """One checked call."""

    numbers: Numbers
    activation: Activation
    gate: Activation
    channels_last: bool

    @property
    def pixels(self) -> int:
        """P."""
        shape = self.numbers.given["input"].shape
        return prod(shape[1:-1] if self.channels_last else shape[2:])

    def quiet(self) -> AbstractContextManager[object]:
        """NaN and inf are data: no warnings."""
        return self.numbers.backend.quiet()

    def piece_by_piece(self, function: Callable[[slice], _T]) -> list[_T]:
        """Call a function with each piece of the batch: its later passes find it in the cache."""
        return piece_by_piece(self.numbers.backend, self.numbers.given["input"], function)

    def image(self, name: str, samples: slice = slice(None)) -> Array:
        """An image, or a tangent or cotangent of one, with its pixels in a row, ready to compute with: (N, C, P)."""
        given = self.numbers.given[name][samples]
        return self._in_rows(self.numbers.backend.xp.asarray(given, dtype=self.numbers.working, order="C"))

    def new_image(self) -> tuple[Array, Array]:
        """A result of the input's shape, to be filled; and the same memory seen as (N, C, P)."""
        image = self.numbers.backend.xp.empty(self.numbers.given["input"].shape, self.numbers.dtype)
        return image, self._in_rows(image)

    def _in_rows(self, image: Array) -> Array:
        if self.channels_last:
            return image.reshape(image.shape[0], self.pixels, image.shape[-1]).swapaxes(1, 2)
        return image.reshape(*image.shape[:2], self.pixels)

    def weigh(self, image: Array, by: Array, *, plus: Array | None = None, out: Array) -> None:
        """Multiply each channel by a number, add another, and round the result once into ``out``."""
        weigh(self.numbers.backend, image, by, plus=plus, out=out)

    def output(self, image: Array) -> Array:
        """(N, C, P) to the layout of the input."""
        result, rows = self.new_image()
        rows[...] = image
        return result

    def mean(self, image: Array) -> Array:
        """Σ_p / P. (N, C, P) -> (N, C)."""
        return sums(self.numbers.backend, image) / self.pixels

    def products(self, dY: Array, X: Array) -> Array:
        """Σ_p dY ∘ X. (N, C, P) twice -> (N, C)."""
        return dots(self.numbers.backend, dY, X)

    def bias(self, name: str, cotangents: Array) -> Array | None:
        """Σ_n, the cotangent of a bias; None if there is none."""
        return None if self.numbers.given[name] is None else self.numbers.finish(cotangents.sum(axis=0))

    def excite(self, z: Array) -> _Point:
        """From the means to the gates."""
        backend = self.numbers.backend
        h = self._plus(z @ self.numbers["reduce_weight"].T, "reduce_bias")  # (N, R)
        a = self.activation.f(backend, h)
        u = self._plus(a @ self.numbers["expand_weight"].T, "expand_bias")  # (N, C)
        return _Point(z, h, a, u, self.gate.f(backend, u), self)

    def push(self, at: _Point, z_dot: Array, direction: str) -> _Gates:
        """Equation (1) from ż to ṡ; ``direction`` is how the tangents of the weights and biases are named."""
        W1_dot = self.numbers[direction.format("reduce_weight")]
        W2_dot = self.numbers[direction.format("expand_weight")]
        h_dot = z_dot @ self.numbers["reduce_weight"].T + at.z @ W1_dot.T
        h_dot = self._plus(h_dot, direction.format("reduce_bias"))
        a_dot = at.act_prime * h_dot
        u_dot = a_dot @ self.numbers["expand_weight"].T + at.a @ W2_dot.T
        u_dot = self._plus(u_dot, direction.format("expand_bias"))
        return _Gates(z_dot, h_dot, a_dot, u_dot, at.gate_prime * u_dot)

    def _plus(self, rows: Array, bias: str) -> Array:
        return rows if self.numbers.given[bias] is None else rows + self.numbers[bias]


def _call(
    activation: object,
    gate: object,
    channels_last: object,
    input: Array,
    reduce_weight: Array,
    expand_weight: Array,
    reduce_bias: Array | None,
    expand_bias: Array | None,
    **others: Array | None,
) -> _Call:
    """Check the arguments of one of the four functions; ``others`` are cotangents or tangents by name."""
    primals = {
        "input": input,
        "reduce_weight": reduce_weight,
        "expand_weight": expand_weight,
        "reduce_bias": reduce_bias,
        "expand_bias": expand_bias,
    }
    optional = [name for name in (*primals, *others) if "bias" in name]
    numbers = validation.numbers(optional, **primals, **others)
    chosen = _elementwise("activation", activation), _elementwise("gate", gate)
    channels_last = validation.flag("channels_last", channels_last)
    _check_shapes(primals, channels_last)
    for name, array in others.items():
        of = "input" if name == "grad_output" else name.removeprefix("grad_grad_").removesuffix("_tangent")
        if (array is None) != (primals[of] is None):
            given, missing = (of, name) if array is None else (name, of)
            raise ValueError(f"{given} is given but {missing} is None: give both, or neither")
        if array is not None:
            validation.shape(name, array, primals[of].shape, f"the shape of {of}")
    return _Call(numbers, *chosen, channels_last)


def _elementwise(option: str, value: object) -> Activation:
    """Check ``activation`` or ``gate``."""
    known = {name: entry for name, entry in ACTIVATIONS.items() if isinstance(entry, Activation)}
    if isinstance(value, Activation):
        return value
    if value == "glu" or getattr(value, "name", None) == "glu":
        raise ValueError(f"{option} is glu, which halves the features: expected one of {', '.join(known)}")
    if not isinstance(value, str):
        raise TypeError(
            f"{option} must be a name or what get_activation returns, "
            f"got {type(value).__name__} {validation.shown(value)}"
        )
    return known[validation.choice(option, value, known)]


def _check_shapes(primals: dict[str, Array], channels_last: bool) -> None:
    """Check that image, weights and biases fit one another."""
    image, reduce_weight = primals["input"].shape, primals["reduce_weight"].shape
    if len(image) not in (3, 4, 5):
        layout = (
            "(N, L, C), (N, H, W, C) or (N, D, H, W, C)"
            if channels_last
            else "(N, C, L), (N, C, H, W) or (N, C, D, H, W)"
        )
        raise ValueError(f"input has {len(image)} axes, shape {image}: expected {layout}")
    channels = image[-1] if channels_last else image[1]
    if 0 in (image[1:-1] if channels_last else image[2:]):
        raise ValueError(f"input has no pixels, shape {image}: there is no mean to squeeze to")
    if len(reduce_weight) != 2 or reduce_weight[1] != channels:
        hint = _hint("reduce_weight", reduce_weight, (reduce_weight[-1] if reduce_weight else 0, channels))
        raise ValueError(
            f"reduce_weight has shape {reduce_weight}: expected (R, {channels}), as input has shape {image}{hint}"
        )
    reduced = reduce_weight[0]
    if reduced == 0:
        raise ValueError("reduce_weight has no rows: the reduced width R must be at least 1")
    expand_weight = primals["expand_weight"].shape
    hint = _hint("expand_weight", expand_weight, (channels, reduced))
    validation.shape(
        "expand_weight", primals["expand_weight"], (channels, reduced), f"(C, R), as reduce_weight is (R, C){hint}"
    )
    for name, width in (("reduce_bias", reduced), ("expand_bias", channels)):
        if primals[name] is not None:
            validation.shape(name, primals[name], (width,), "one for each row of its weight")


def _hint(name: str, shape: tuple[int, ...], wanted: tuple[int, int]) -> str:
    """How to mend a weight that comes from a convolution, or from a library that stores it the other way round."""
    if len(shape) == 4 and shape[2:] == (1, 1):
        return f"; of a 1×1 convolution's weight take {name}[:, :, 0, 0]"
    return f"; pass {name}.T" if shape == wanted[::-1] else ""
