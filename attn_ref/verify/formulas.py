"""The formulas of the operations that are smooth but for activations, written for jets.

One forward and one backward formula an operation: carried along a direction, they give its jvp and its double backward
as well, since the second derivative of ⟨u, f(x)⟩ in direction v is the rate of the backward pass along v.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any, NamedTuple

import numpy as np

from attn_ref import backend
from attn_ref.ops.activations import Activation, get_activation
from attn_ref.ops.coordinates import pixel_centres
from attn_ref.verify.ranges import Curve, Floats, Jet, Range, einsum, joined

__all__ = ["FORMULAS", "Formula", "curve_of"]

Options = dict[str, Any]


class Formula(NamedTuple):
    """Forward and backward of one operation: ``forward(inputs, options)``, ``backward(grad_output, inputs, options)``.

    Inputs are jets, None for one that is absent; ``choices`` among the options says whether to cover all that is right,
    or only what the specification chose.
    """

    forward: Callable[[Sequence[Any], Options], Jet]
    backward: Callable[[Jet, Sequence[Any], Options], tuple[Jet | None, ...]]


# ---------------------------------------------------------------------------------------------------------------------
# Affine maps


def _base(theta: Jet, options: Options) -> Jet:
    """The base grid in homogeneous coordinates, x first: (points, d + 1).

    Where an aligned axis has one pixel, libraries put it anywhere from −1 to 1.
    """
    u, space, aligned = theta.value.u, options["size"][2:], options["align_corners"]
    centres = [pixel_centres(np, size, aligned) for size in space]
    loose = [np.full(size, float(aligned and size == 1 and options["choices"])) for size in space]
    mids, rads = (
        np.stack([x.ravel() for x in np.meshgrid(*a, indexing="ij")][::-1], axis=-1) for a in (centres, loose)
    )
    ones = np.ones((len(mids), 1))
    return Jet(Range(np.hstack([mids, ones]), np.hstack([rads + 6 * u, 0 * ones]), u))


def _affine_grid(inputs: Sequence[Any], options: Options) -> Jet:
    (theta,) = inputs
    grid = joined("pj,nij->npi", _base(theta, options), theta)
    return grid.map(lambda x: x.reshape(x.shape[0], *options["size"][2:], x.shape[-1]))


def _affine_grid_backward(dY: Jet, inputs: Sequence[Any], options: Options) -> tuple[Jet, ...]:
    (theta,) = inputs
    rows = dY.map(lambda x: x.reshape(x.shape[0], prod(x.shape[1:-1]), x.shape[-1]))
    return (joined("npi,pj->nij", rows, _base(theta, options)),)


def _inverse(theta: Jet) -> Jet:
    """J, the inverse of theta with a last row 0 … 0 1; any stable way is off by a multiple of |J| |theta| |J|."""
    value, u = theta.value.mid, theta.value.u
    n, d, _ = value.shape
    last = np.broadcast_to(np.eye(d + 1)[-1:], (n, 1, d + 1))
    J = np.linalg.inv(np.concatenate([value, last], axis=1))
    magnitude = np.abs(J) @ np.abs(np.concatenate([value, last], axis=1)) @ np.abs(J)
    known = Range(J, 16 * u * magnitude, u)
    if theta.rate is None:
        return Jet(known)
    return Jet(known, -einsum("nij,njk->nik", einsum("nij,njk->nik", known, _square(theta.rate)), known))


def _square(x: Range) -> Range:
    """With a last row of zeros."""
    return x.map(lambda a: np.concatenate([a, np.zeros_like(a[:, :1])], axis=1))


def _affine_inverse(inputs: Sequence[Any], options: Options) -> Jet:  # noqa: ARG001  one signature for all
    return _inverse(inputs[0]).map(lambda x: x[:, :-1])


def _affine_inverse_backward(dY: Jet, inputs: Sequence[Any], options: Options) -> tuple[Jet, ...]:  # noqa: ARG001
    J, whole = _inverse(inputs[0]), Jet(_square(dY.value))
    return (-joined("njk,nlk->njl", joined("nij,nik->njk", J, whole), J).map(lambda x: x[:, :-1]),)


# ---------------------------------------------------------------------------------------------------------------------
# Activations. Noise is what usual formulas are off: x Φ(x) by 1 + erf errs by u |x|, and 1 + tanh by u


def _zero(x: Floats) -> Floats:
    return np.zeros_like(x)


def _some(x: Floats) -> Floats:
    return 8 + 4 * np.abs(x)


_STEEPEST = {"hard_sigmoid": 0.0, "relu": 0.0, "identity": 1.0}
_EXACT = ("relu", "identity")


def curve_of(name: Any, *, choices: bool = True, **options: float) -> Curve:
    """Return an activation as ranges need it; ``name`` is a name or what ``get_activation`` returns."""
    activation = get_activation(name, **options) if isinstance(name, str) else name
    assert isinstance(activation, Activation)
    numpy = backend.of(x=np.zeros(1))
    functions = (activation.f, activation.f_prime, activation.f_second)
    orders = tuple(lambda x, f=f: np.asarray(f(numpy, np.asarray(x, np.float64)), np.float64) for f in functions)
    noise = (_zero, _zero, _zero) if activation.name in _EXACT else (_some, _some, _some)
    if activation.name == "hard_sigmoid":
        noise = (_some, lambda x: 4 * np.abs(orders[1](x)), _zero)
    return Curve(orders, noise, _STEEPEST.get(activation.name, 1.5), activation.kinks, choices)


def _activation(inputs: Sequence[Any], options: Options) -> Jet:
    return inputs[0].through(curve_of(**options))  # type: ignore[no-any-return]


def _activation_backward(dY: Jet, inputs: Sequence[Any], options: Options) -> tuple[Jet, ...]:
    return (dY * inputs[0].through(curve_of(**options), 1),)


def _glu(inputs: Sequence[Any], options: Options) -> Jet:
    a, b = _halves(inputs[0], options["axis"])
    return a * b.through(curve_of("sigmoid"))


def _glu_backward(dY: Jet, inputs: Sequence[Any], options: Options) -> tuple[Jet, ...]:
    a, b = _halves(inputs[0], options["axis"])
    da, db = dY * b.through(curve_of("sigmoid")), dY * a * b.through(curve_of("sigmoid"), 1)
    return (_beside(da, db, options["axis"]),)


def _halves(x: Jet, axis: int) -> tuple[Jet, Jet]:
    return x.map(lambda a: np.split(a, 2, axis)[0]), x.map(lambda a: np.split(a, 2, axis)[1])


def _beside(a: Jet, b: Jet, axis: int) -> Jet:
    def both(x: Range, y: Range) -> Range:
        return Range(np.concatenate([x.mid, y.mid], axis), np.concatenate([x.rad, y.rad], axis), x.u)

    rate = None
    if a.rate is not None and b.rate is not None:
        rate = both(a.rate, b.rate)
    return Jet(both(a.value, b.value), rate)


# ---------------------------------------------------------------------------------------------------------------------
# Squeeze-and-excitation: Y = X ∘ s, s = gate(W₂ act(W₁ mean(X) + b₁) + b₂); the backward pass as in its own module


def _excite(inputs: Sequence[Any], options: Options) -> tuple[Jet, ...]:
    X, W1, W2, b1, b2 = inputs
    rows = X.map(lambda x: _rows(x, options))
    pixels = rows.value.mid.shape[2]
    z = rows.sum(2).map(lambda x: x[:, :, 0] / pixels)
    h = joined("nc,rc->nr", z, W1)
    h = h if b1 is None else h + b1
    a = h.through(_curves(options)[0])
    v = joined("nr,cr->nc", a, W2)
    v = v if b2 is None else v + b2
    return rows, z, h, a, v


def _curves(options: Options) -> tuple[Curve, Curve]:
    act, gate = options.get("activation", "relu"), options.get("gate", "sigmoid")
    return curve_of(act, choices=options["choices"]), curve_of(gate, choices=options["choices"])


def _rows(x: Floats, options: Options) -> Floats:
    x = np.moveaxis(x, -1, 1) if options["channels_last"] else x
    return x.reshape(*x.shape[:2], prod(x.shape[2:]))  # (N, C, P)


def _image(x: Floats, shape: tuple[int, ...], options: Options) -> Floats:
    if not options["channels_last"]:
        return x.reshape(shape)
    return np.moveaxis(x.reshape(shape[0], shape[-1], *shape[1:-1]), 1, -1)


def _squeeze_excitation(inputs: Sequence[Any], options: Options) -> Jet:
    rows, _, _, _, v = _excite(inputs, options)
    s = v.through(_curves(options)[1]).map(lambda x: x[:, :, None])
    return (rows * s).map(lambda x: _image(x, inputs[0].value.mid.shape, options))


def _squeeze_excitation_backward(dY: Jet, inputs: Sequence[Any], options: Options) -> tuple[Jet | None, ...]:
    _, W1, W2, b1, b2 = inputs
    rows, z, h, a, v = _excite(inputs, options)
    grad = dY.map(lambda x: _rows(x, options))
    pixels = rows.value.mid.shape[2]
    act, gate = _curves(options)
    dv = joined("ncp,ncp->nc", grad, rows) * v.through(gate, 1)
    dh = joined("nc,cr->nr", dv, W2) * h.through(act, 1)
    dz = joined("nr,rc->nc", dh, W1).map(lambda x: x[:, :, None] / pixels)
    dX = grad * v.through(gate).map(lambda x: x[:, :, None]) + dz
    return (
        dX.map(lambda x: _image(x, inputs[0].value.mid.shape, options)),
        joined("nr,nc->rc", dh, z),
        joined("nc,nr->cr", dv, a),
        None if b1 is None else dh.sum(0).map(lambda x: x[0]),
        None if b2 is None else dv.sum(0).map(lambda x: x[0]),
    )


# ---------------------------------------------------------------------------------------------------------------------
# Layers: forward and backward only


def _normalised(inputs: Sequence[Any], options: Options) -> tuple[Any, ...]:
    x = inputs[0]
    axes, shape = (0, *range(2, x.value.mid.ndim)), (1, -1, *[1] * (x.value.mid.ndim - 2))
    count = prod(x.value.mid.shape[a] for a in axes)
    u = x.value.u
    if options["training"]:
        mean = x.sum(axes).map(lambda a: a / count)
        d = x - mean
        variance = (d * d).sum(axes).map(lambda a: a / count)
        squares = (x * x).sum(axes).value.mid / count  # E[x²] − mean² is usual, and cancels
        spread = variance.value.widened(4 * count * u * squares)
    else:
        mean, spread = (
            Range.of(np.reshape(np.asarray(options[name], np.float64), shape), u).rounded()
            for name in ("running_mean", "running_var")
        )
        d = x - Jet(mean)
    low = np.maximum(spread.mid - spread.rad, 0) + options["eps"] * (1 - 4 * u)
    high = spread.mid + spread.rad + options["eps"] * (1 + 4 * u)
    r = Range((low**-0.5 + high**-0.5) / 2, (low**-0.5 - high**-0.5) / 2, u).rounded(2)
    weight, bias = (None if w is None else w.map(lambda a: a.reshape(shape)) for w in inputs[1:])
    return d * Jet(r), Jet(r), weight, bias, axes, count


def _batch_norm(inputs: Sequence[Any], options: Options) -> Jet:
    y, _, weight, bias, _, _ = _normalised(inputs, options)
    y = y if weight is None else y * weight
    # Many fold the mean into a shift, b − m w r: its terms are those of y at 0.
    return y if bias is None else y + bias  # type: ignore[no-any-return]


def _batch_norm_backward(dY: Jet, inputs: Sequence[Any], options: Options) -> tuple[Jet | None, ...]:
    y, r, weight, bias, axes, count = _normalised(inputs, options)
    d_bias, d_weight = dY.sum(axes), (dY * y).sum(axes)
    inner = dY
    if options["training"]:
        inner = dY - d_bias.map(lambda a: a / count) - y * d_weight.map(lambda a: a / count)
    dx = inner * r if weight is None else inner * r * weight
    flat = [d.map(np.ravel) for d in (d_weight, d_bias)]
    return dx, None if weight is None else flat[0], None if bias is None else flat[1]


def _softmax(z: Jet) -> tuple[Jet, Range, Floats]:
    """Exponentials above the largest logit, their sum, and that logit; eᶻ passes the rounding of z on."""
    u = z.value.u
    largest = z.value.mid.max(axis=1, keepdims=True)
    shifted = z.value.mid - largest
    e = np.exp(shifted)
    exponentials = Range(e, 4 * u * e * (2 + np.abs(shifted) + np.abs(z.value.mid) + np.abs(largest)), u)
    return Jet(exponentials), exponentials.sum(1), largest


def _cross_entropy(inputs: Sequence[Any], options: Options) -> Jet:
    (z,) = inputs
    _, total, largest = _softmax(z)
    u, rows = z.value.u, np.arange(len(largest))
    logarithm = np.log(total.mid)
    log = Range(logarithm, total.rad / total.mid + 4 * u * (1 + logarithm), u)
    chosen = Range.of(z.value.mid[rows, list(options["labels"])][:, None], u)
    loss = log + (Range.of(largest, u) - chosen)
    loss = loss.widened(4 * u * (np.abs(largest) + np.abs(chosen.mid)))
    reduced = {"none": loss.map(lambda a: a[:, 0]), "sum": loss.sum((0, 1)).map(lambda a: a[0, 0])}
    reduced["mean"] = reduced["sum"].map(lambda a: a / max(len(rows), 1))
    return Jet(reduced[options["reduction"]])


def _cross_entropy_backward(dY: Jet, inputs: Sequence[Any], options: Options) -> tuple[Jet, ...]:
    (z,) = inputs
    e, total, largest = _softmax(z)
    p = e * Jet(total.reciprocal())
    hot = np.eye(z.value.mid.shape[1])[list(options["labels"])]
    share = 1 / max(len(largest), 1) if options["reduction"] == "mean" else 1.0
    each = dY.map(lambda a: a.reshape(-1, 1) * share)
    return (each * (p - Jet(Range.of(hot, z.value.u))),)


FORMULAS: dict[str, Formula] = {
    "affine_grid": Formula(_affine_grid, _affine_grid_backward),
    "affine_inverse": Formula(_affine_inverse, _affine_inverse_backward),
    "activation": Formula(_activation, _activation_backward),
    "glu": Formula(_glu, _glu_backward),
    "squeeze_excitation": Formula(_squeeze_excitation, _squeeze_excitation_backward),
    "batch_norm": Formula(_batch_norm, _batch_norm_backward),
    "cross_entropy": Formula(_cross_entropy, _cross_entropy_backward),
}
"""Formulas by the name of the operation."""
