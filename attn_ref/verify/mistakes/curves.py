"""Activations that are not quite the ones asked for, as curves: a function, its derivative, its second derivative."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from scipy.special import expit

from attn_ref.ops.activations import ACTIVATIONS, Activation
from attn_ref.verify.formulas import curve_of
from attn_ref.verify.ranges import Curve, Floats

__all__ = ["CURVES", "ELEMENTWISE", "Wrong", "curve"]

Wrong = Callable[[Curve], Curve]
Order = Callable[[Floats], Floats]

ELEMENTWISE = tuple(name for name, entry in ACTIVATIONS.items() if isinstance(entry, Activation))
"""The names of the activations of one number."""


def _named(name: str, **options: float) -> Wrong:
    return lambda own: curve_of(name, choices=own.choices, **options)


def _orders(f: Order, first: Order, second: Order, steepest: float = 2.0) -> Wrong:
    noise = (lambda x: 8 + 4 * np.abs(x),) * 3
    return lambda own: Curve((f, first, second), noise, max(steepest, own.steepest))


def _with(order: int, changed: Callable[[Curve], Order]) -> Wrong:
    """One of the three functions replaced; a jump in it is taken as it stands, even by a rounding of its argument."""

    def wrong(own: Curve) -> Curve:
        orders = [*own.orders]
        orders[order] = changed(own)
        return replace(own, orders=tuple(orders), choices=False)

    return wrong


def _slope(changed: Callable[[Curve, Floats], Floats]) -> Wrong:
    return _with(1, lambda own: lambda x: changed(own, x))


def _ends(own: Curve, x: Floats) -> Floats:
    """The derivative where it is; at a kink the larger of those beside it."""
    f = own.orders[1]
    beside = np.maximum(f(np.nextafter(x, -np.inf)), f(np.nextafter(x, np.inf)))
    return np.where(np.isin(x, own.kinks), beside, f(x))


def _tanh_prime(x: Floats) -> Floats:
    return 1 - np.tanh(x) ** 2


CURVES: dict[str, Wrong] = {
    "own": lambda own: own,
    **{f"taken for {name}": _named(name) for name in ELEMENTWISE},
    "taken for hard_sigmoid 0.2x + ½": _named("hard_sigmoid", slope=0.2, offset=0.5),
    "taken for hard_sigmoid (x + 1)/2": _named("hard_sigmoid", slope=0.5, offset=0.5),
    "taken for hard_sigmoid x/4 + ½": _named("hard_sigmoid", slope=0.25, offset=0.5),
    "taken for tanh": _orders(np.tanh, _tanh_prime, lambda x: -2 * np.tanh(x) * _tanh_prime(x)),
    "taken for x σ(1.702x)": _orders(
        lambda x: x * expit(1.702 * x),
        lambda x: expit(1.702 * x) * (1 + 1.702 * x * expit(-1.702 * x)),
        lambda x: 1.702 * expit(1.702 * x) * expit(-1.702 * x) * (2 + 1.702 * x * (1 - 2 * expit(1.702 * x))),
    ),
    "taken for leaky relu": _orders(
        lambda x: np.where(x > 0, x, 0.01 * x), lambda x: np.where(x > 0, 1.0, 0.01), np.zeros_like
    ),
    "slope kept at the kinks": _slope(_ends),
    "slope halved at the kinks": _slope(lambda own, x: (_ends(own, x) + own.orders[1](x)) / 2),
    "slope at the output": _slope(lambda own, x: own.orders[1](own.orders[0](x))),
    "slope is 1": _slope(lambda _, x: np.ones_like(x)),
    "slope is the value": _slope(lambda own, x: own.orders[0](x)),
    "slope is the gate": _slope(lambda _, x: expit(x)),
    "slope negated": _slope(lambda own, x: -own.orders[1](x)),
    "slope without the gate's": _slope(lambda own, x: np.where(x == 0, own.orders[1](x), own.orders[0](x) / x)),
    "second derivative missing": _with(2, lambda _: np.zeros_like),
    "NaN becomes 0": _with(0, lambda own: lambda x: np.where(np.isnan(x), 0.0, own.orders[0](x))),
    "overflows": _with(0, lambda own: lambda x: np.where(x > 709, np.nan, own.orders[0](x))),
    "overflows on the left": _with(0, lambda own: lambda x: np.where(x < -88, np.nan, own.orders[0](x))),
}
"""By name: from the curve that was asked for to that which is computed."""


def curve(asked: Any, how: str, *, sharp: bool = False, **options: float) -> Curve:
    """Return what is computed for an activation.

    Parameters
    ----------
    asked : str or Activation
        What was asked for.
    how : str
        An entry of :data:`CURVES`.
    sharp : bool
        Whether at a kink there is one derivative, that of the specification; else either side's will do.
    **options : float
        Those of hard_sigmoid.

    Returns
    -------
    Curve
        The curve.
    """
    own = curve_of(asked, choices=not sharp, **options)
    return own if how == "own" else CURVES[how](own)
