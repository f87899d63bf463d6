"""Squeeze-and-excitation that can be told to be wrong.

One forward and one backward formula, written for the jets of :mod:`attn_ref.verify.ranges`: carried along a direction
they give the jvp and the double backward too, and what rounding may do to each.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from attn_ref.verify.bounds import Interval
from attn_ref.verify.mistakes.curves import curve
from attn_ref.verify.mistakes.recipe import Floats, Model, Point
from attn_ref.verify.mistakes.slips import FACTORS
from attn_ref.verify.ranges import Jet, Range, joined

__all__ = ["EXCITATION", "EXCITES", "SQUEEZES", "WIDTHS", "Excitation", "ends", "jet"]

_INPUTS = ("input", "reduce_weight", "expand_weight", "reduce_bias", "expand_bias")


@dataclass(frozen=True)
class Excitation:
    """What an implementation of squeeze_excitation decides; the defaults are right.

    Attributes
    ----------
    squeeze, excite, width : str
        Entries of :data:`SQUEEZES`, :data:`EXCITES` and :data:`WIDTHS`.
    activation, gate : str
        Entries of :data:`attn_ref.verify.mistakes.curves.CURVES`.
    functions_exchanged : bool
        Whether the gate comes between the layers and the activation last.
    gate_first : bool
        Whether the gate comes before the expansion, and nothing after it.
    dropped : tuple of str
        Biases that are left out.
    weights : {"own", "exchanged", "memory"}
        Whether W₁ and W₂ are exchanged, each transposed, or the memory of both is read transposed.
    shared : bool
        Whether the gates of the first sample serve all.
    mean_path : {"there", "missing", "not divided"}
        The path of the gradient through the mean.
    direct_path : bool
        Whether the image's gradient has dY ∘ s.
    products : {"own", "without the image", "mean"}
        What the gate's gradient is made of.
    gate_slope_at, act_slope_at : {"argument", "value", "mean"}
        Where the derivatives of gate and activation are taken.
    gradients_exchanged : bool
        Whether the weights' gradients are exchanged.
    factors : tuple of (str, str)
        By input, what its gradient is multiplied by: entries of :data:`attn_ref.verify.mistakes.slips.FACTORS`.
    still : tuple of str
        Inputs whose tangents are ignored.
    cotangent : {"own", "ones"}
        What the backward pass pulls back.
    """

    squeeze: str = "mean"
    excite: str = "multiplied"
    width: str = "own"
    activation: str = "own"
    gate: str = "own"
    functions_exchanged: bool = False
    gate_first: bool = False
    dropped: tuple[str, ...] = ()
    weights: str = "own"
    shared: bool = False
    mean_path: str = "there"
    direct_path: bool = True
    products: str = "own"
    gate_slope_at: str = "argument"
    act_slope_at: str = "argument"
    gradients_exchanged: bool = False
    factors: tuple[tuple[str, str], ...] = ()
    still: tuple[str, ...] = ()
    cotangent: str = "own"


# ---------------------------------------------------------------------------------------------------------------------
# Tables


class _Squeeze(NamedTuple):
    """From the pixels X (N, C, P) to z (N, C), and a cotangent of z back to X."""

    forward: Callable[[Jet], Jet]
    backward: Callable[[Jet, Jet], Jet]


def _scaled(x: Jet, factor: float) -> Jet:
    return x.map(lambda a: a * factor)


def _share(divisor: Callable[[tuple[int, ...]], float]) -> _Squeeze:
    """The sum over pixels divided by something, from the shape (N, C, P)."""

    def forward(X: Jet) -> Jet:
        return _scaled(X.sum(2).map(lambda a: a[:, :, 0]), 1 / divisor(X.value.mid.shape))

    def backward(dz: Jet, X: Jet) -> Jet:
        shape = X.value.mid.shape
        return _scaled(dz.map(lambda a: np.broadcast_to(a[:, :, None], shape)), 1 / divisor(shape))

    return _Squeeze(forward, backward)


def _over(axis: int) -> _Squeeze:
    """The mean over pixels, and over samples or channels too."""
    mean = _share(lambda shape: shape[2])

    def averaged(z: Jet) -> Jet:
        shape = z.value.mid.shape
        return _scaled(z.sum(axis), 1 / shape[axis]).map(lambda a: np.broadcast_to(a, shape))

    return _Squeeze(lambda X: averaged(mean.forward(X)), lambda dz, X: mean.backward(averaged(dz), X))


def _chosen(X: Jet) -> Any:
    return X.value.mid.argmax(axis=2)[:, :, None]


def _in_half(X: Jet) -> Jet:
    """The mean from a running sum in float16, which overflows."""
    total = X.sum(2).map(lambda a: a[:, :, 0])
    pixels = X.value.mid.shape[2]
    size = np.abs(X.value.mid).sum(axis=2)
    mid = np.where(np.abs(total.value.mid) > 65504, np.sign(total.value.mid) * np.inf, total.value.mid) / pixels
    return Jet(Range(mid, total.value.rad / pixels + 2.0**-11 * size, total.value.u), total.rate)


_MEAN = _share(lambda shape: shape[2])

SQUEEZES: dict[str, _Squeeze] = {
    "mean": _MEAN,
    "sum": _share(lambda _: 1.0),
    "maximum": _Squeeze(
        lambda X: X.map(lambda a: np.take_along_axis(a, _chosen(X), 2)[:, :, 0]),
        lambda dz, X: dz.map(lambda a: a[:, :, None] * (np.arange(X.value.mid.shape[2]) == _chosen(X))),
    ),
    "over the batch too": _over(0),
    "over channels too": _over(1),
    "by pixels − 1": _share(lambda shape: max(shape[2] - 1, 1)),
    "by all elements": _share(lambda shape: float(np.prod(shape))),
    "by channels": _share(lambda shape: shape[1]),
    "in float16": _Squeeze(_in_half, _MEAN.backward),
}
"""How the pixels of a channel become one number."""


class _Excite(NamedTuple):
    """Y of (X, s); what the gate's cotangent sums over pixels, of (dY, X); what reaches X directly, of (dY, s)."""

    forward: Callable[[Jet, Jet], Jet]
    to_gate: Callable[[Jet, Jet], Jet]
    to_image: Callable[[Jet, Jet], Jet]


def _nothing(x: Jet) -> Jet:
    return _scaled(x, 0.0)


def _one_more(s: Jet) -> Jet:
    return s + Jet(Range.of(np.ones_like(s.value.mid), s.value.u))


EXCITES: dict[str, _Excite] = {
    "multiplied": _Excite(lambda X, s: X * s, lambda dY, X: dY * X, lambda dY, s: dY * s),
    "added": _Excite(lambda X, s: X + s, lambda dY, _: dY, lambda dY, _: dY),
    "1 + s": _Excite(lambda X, s: X * _one_more(s), lambda dY, X: dY * X, lambda dY, s: dY * _one_more(s)),
    "the gate alone": _Excite(lambda X, s: _nothing(X) + s, lambda dY, _: dY, lambda dY, _: _nothing(dY)),
    "1 − s": _Excite(lambda X, s: X - X * s, lambda dY, X: -(dY * X), lambda dY, s: dY - dY * s),
}
"""What is done with the gates."""

WIDTHS: dict[str, Callable[[int, int], int]] = {
    "own": lambda R, _: R,
    "C // 16": lambda R, C: min(R, max(1, C // 16)),
    "C // 4": lambda R, C: min(R, max(1, C // 4)),
    "R − 1": lambda R, _: max(1, R - 1),
}
"""How many of the R reduced features are computed."""


# ---------------------------------------------------------------------------------------------------------------------
# The two formulas


def jet(point: Point, x: Floats | None, tangent: Floats | None) -> Jet:
    """An array, and its tangent, as a jet."""
    rate = None if tangent is None else Range.of(tangent, point.working)
    return Jet(Range.of(x, point.working), rate)


def ends(point: Point, x: Range) -> Interval:
    """A range as an interval, after the rounding of storage; a map that turned its sign turned that of its radius."""
    with np.errstate(all="ignore"):
        reach = np.where(
            np.isfinite(x.mid), np.abs(x.rad) + point.stored * np.abs(x.mid) + np.finfo(np.float64).tiny, 0
        )
        return Interval(x.mid - reach, x.mid + reach)


@dataclass(frozen=True)
class _Block:
    """A point as jets: rows X (N, C, P), weights as they are used, and the numbers on the way to the gates."""

    spec: Excitation
    point: Point
    given: dict[str, Jet | None]

    @property
    def last(self) -> bool:
        return bool(self.point.options.get("channels_last", False))

    def rows(self, x: Floats) -> Floats:
        x = np.moveaxis(x, -1, 1) if self.last else x
        return x.reshape(*x.shape[:2], -1)

    def image(self, x: Floats) -> Floats:
        shape = self.point.inputs[0].shape
        if not self.last:
            return x.reshape(shape)
        return np.moveaxis(x.reshape(shape[0], shape[-1], *shape[1:-1]), 1, -1)

    @property
    def weights(self) -> tuple[Jet, Jet]:
        """W₁ (R, C) and W₂ (C, R)."""
        W1, W2 = self.given["reduce_weight"], self.given["expand_weight"]
        assert W1 is not None
        assert W2 is not None
        if self.spec.weights == "exchanged":
            W1, W2 = W2.map(np.transpose), W1.map(np.transpose)
        elif self.spec.weights == "memory":
            W1, W2 = W1.map(lambda a: a.reshape(a.shape[::-1]).T), W2.map(lambda a: a.reshape(a.shape[::-1]).T)
        R, C = W1.value.mid.shape
        kept = (np.arange(R) < WIDTHS[self.spec.width](R, C)).astype(float)
        return W1, W2.map(lambda a: a * kept)

    def bias(self, name: str) -> Jet | None:
        return None if name in self.spec.dropped else self.given[name]

    def curves(self) -> tuple[Any, Any]:
        """Activation and gate, as they are computed."""
        options, spec = self.point.options, self.spec
        act = curve(options.get("activation", "relu"), spec.activation, sharp=self.point.sharp)
        gate = curve(options.get("gate", "sigmoid"), spec.gate, sharp=self.point.sharp)
        if spec.gate_first:
            return gate, curve("identity", "own")
        return (gate, act) if spec.functions_exchanged else (act, gate)

    def numbers(self) -> tuple[Jet, ...]:
        """X, z, h, a, u, s."""
        given = self.given["input"]
        assert given is not None
        (W1, W2), (act, gate) = self.weights, self.curves()
        X = given.map(self.rows)
        z = SQUEEZES[self.spec.squeeze].forward(X)
        if self.spec.shared:
            z = z.map(lambda a: np.broadcast_to(a[:1], a.shape))
        h = _plus(joined("nc,rc->nr", z, W1), self.bias("reduce_bias"))
        a = h.through(act)
        u = _plus(joined("nr,cr->nc", a, W2), self.bias("expand_bias"))
        return X, z, h, a, u, u.through(gate)

    def forward(self) -> Jet:
        X, *_, s = self.numbers()
        Y = EXCITES[self.spec.excite].forward(X, s.map(lambda a: a[:, :, None]))
        return Y.map(self.image)

    def backward(self, dY: Jet) -> dict[str | None, Jet | None]:
        spec, excite = self.spec, EXCITES[self.spec.excite]
        (W1, W2), (act, gate) = self.weights, self.curves()
        X, z, h, a, u, s = self.numbers()
        at = {"argument": (h, u), "value": (a, s), "mean": (h, z)}
        products = dY if spec.products == "without the image" else excite.to_gate(dY, X)
        q = products.sum(2).map(lambda x: x[:, :, 0] / (X.value.mid.shape[2] if spec.products == "mean" else 1))
        du = q * at[spec.gate_slope_at][1].through(gate, 1)
        dh = joined("nc,cr->nr", du, W2) * at[spec.act_slope_at][0].through(act, 1)
        dz = joined("nr,rc->nc", dh, W1)
        direct = excite.to_image(dY, s.map(lambda x: x[:, :, None]))
        parts = [direct if spec.direct_path else _nothing(direct)]
        if spec.mean_path != "missing":
            squeeze = SQUEEZES["sum" if spec.mean_path == "not divided" else spec.squeeze]
            parts.append(squeeze.backward(dz, X))
        dW1, dW2 = joined("nr,nc->rc", dh, z), joined("nc,nr->cr", du, a)
        if spec.gradients_exchanged != (spec.weights == "exchanged"):
            dW1, dW2 = dW2.map(np.transpose), dW1.map(np.transpose)
        whole = parts[0] if len(parts) == 1 else parts[0] + parts[1]
        biases = {"reduce_bias": dh, "expand_bias": du}
        sums: dict[str | None, Jet | None] = {
            name: None if self.given[name] is None else x.sum(0).map(lambda a: a[0] * (name not in spec.dropped))  # noqa: B023
            for name, x in biases.items()
        }
        return {"input": whole.map(self.image), "reduce_weight": dW1, "expand_weight": dW2, **sums}


def _plus(x: Jet, bias: Jet | None) -> Jet:
    return x if bias is None else x + bias


def _evaluate(spec: Excitation, function: str, point: Point) -> dict[str | None, Interval]:
    absent = point.options.get("absent", ())
    moved = function in ("jvp", "double_backward")
    tangents: Any = point.tangents if moved else [None] * len(_INPUTS)
    given = {
        name: None if name in absent else jet(point, x, None if v is None else v * (name not in spec.still))
        for name, x, v in zip(_INPUTS, point.inputs, tangents, strict=True)
    }
    block = _Block(spec, point, given)
    with np.errstate(all="ignore"):
        found: dict[str | None, Jet | None] = {}
        if function != "backward":
            found[None] = block.forward()
        if function in ("backward", "double_backward"):
            assert point.grad_output is not None
            dY = block.rows(point.grad_output)
            found = {**found, **block.backward(jet(point, np.ones_like(dY) if spec.cotangent == "ones" else dY, None))}
        return {of: _finished(spec, point, of, x, moved) for of, x in found.items() if x is not None}


def _finished(spec: Excitation, point: Point, of: str | None, x: Jet, moved: bool) -> Interval:
    result = x.rate if moved else x.value
    if result is None:
        result = Range.of(np.zeros_like(x.value.mid), point.working)
    factor = FACTORS[dict(spec.factors).get(of, "1")](point) if of is not None else 1.0
    return ends(point, result.map(lambda a: a * factor))


EXCITATION = Model("squeeze_excitation", Excitation(), _evaluate)
"""squeeze_excitation, with its decisions as fields."""
