"""Strategies for activations and squeeze-and-excitation.

relu has its kink at 0, hard_sigmoid at its two corners. Inside a block the argument of an activation is itself
computed, h = W₁ z + b₁: it is kept off the kinks, or put on one, by the choice of the bias, or, where there is none, by
the signs of the weights. "exact" and "kinks" have images whose number of pixels is a power of two, so that a mean is
exact.
"""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from attn_ref.gradcheck.strategies.basic import Floats, Options, images, signed, whole
from attn_ref.ops.activations import Activation, get_activation
from attn_ref.registry.operation import Call

__all__ = ["activation_calls", "glu_calls", "squeeze_excitation_calls"]


@st.composite
def activation_calls(draw: st.DrawFn, kind: str, variant: Options) -> Call:
    """Draw calls of an elementwise activation: multiples of 1/8 round its kinks, or off them by 1/16.

    Parameters
    ----------
    kind : {"smooth", "kinks", "exact"}
        Which calls, see the head of :mod:`attn_ref.gradcheck.strategies`.
    variant : dict
        One of the variants of the activations in :data:`attn_ref.registry.OPERATIONS`.

    Returns
    -------
    strategy of Call
        Inputs of the activations in float64, in their order, and its options.

    Examples
    --------
    >>> from hypothesis import find
    >>> variant = {"name": "relu"}
    >>> call = find(activation_calls("kinks", variant), lambda call: True)  # the simplest
    >>> call.inputs
    (array([[0.]]),)
    """
    options = {key: value for key, value in variant.items() if key != "name"}
    activation = get_activation(variant["name"], **options)
    assert isinstance(activation, Activation)
    shape = (draw(st.integers(1, 3)), *draw(st.lists(st.integers(1, 4), min_size=1, max_size=2, unique=True)))
    x: Floats = whole(draw, shape, -48, 48) / 8
    if kind == "smooth":
        x = x + 1 / 16  # kinks are multiples of 1/8 in all variants
    elif kind == "kinks" and activation.kinks:
        on = np.array(activation.kinks)[whole(draw, shape, 0, len(activation.kinks) - 1)]
        x = np.where(whole(draw, shape, 0, 1) > 0, on, x)
    return Call((x,), dict(variant))


@st.composite
def glu_calls(draw: st.DrawFn, kind: str, variant: Options) -> Call:  # noqa: ARG001  smooth everywhere
    """Draw calls of glu: three axes, the halved one even.

    Parameters
    ----------
    kind : {"smooth", "kinks", "exact"}
        Which calls, see the head of :mod:`attn_ref.gradcheck.strategies`.
    variant : dict
        One of the variants of the gated linear unit in :data:`attn_ref.registry.OPERATIONS`.

    Returns
    -------
    strategy of Call
        Inputs of the gated linear unit in float64, in their order, and its options.

    Examples
    --------
    >>> from hypothesis import find
    >>> variant = {"axis": 1}
    >>> call = find(glu_calls("smooth", variant), lambda call: True)  # the simplest
    >>> [x.shape for x in call.inputs], call.options
    ([(1, 2, 2)], {'axis': 1})
    """
    shape = [draw(st.integers(1, 3)), *draw(st.lists(st.integers(1, 4), min_size=2, max_size=2, unique=True))]
    shape[variant["axis"]] *= 2
    return Call((whole(draw, tuple(shape), -32, 32) / 8,), dict(variant))


@st.composite
def squeeze_excitation_calls(draw: st.DrawFn, kind: str, variant: Options) -> Call:
    """Draw calls of squeeze_excitation; the layout is channels first.

    Parameters
    ----------
    kind : {"smooth", "kinks", "exact"}
        Which calls, see the head of :mod:`attn_ref.gradcheck.strategies`.
    variant : dict
        One of the variants of squeeze_excitation in :data:`attn_ref.registry.OPERATIONS`.

    Returns
    -------
    strategy of Call
        Inputs of squeeze_excitation in float64, in their order, and its options.

    Examples
    --------
    >>> from hypothesis import find
    >>> variant = {"ndim": 2, "activation": "silu", "gate": "sigmoid", "absent": ()}
    >>> call = find(squeeze_excitation_calls("smooth", variant), lambda call: True)  # the simplest
    >>> [x.shape for x in call.inputs]
    [(2, 3, 3, 1), (1, 3), (3, 1), (1,), (3,)]
    """
    options = {name: value for name, value in variant.items() if name != "ndim"}
    absent = variant["absent"]
    pixel_sizes = (1, 2, 3, 4) if kind == "smooth" else (1, 2, 4)
    batch, reduced = draw(st.lists(st.integers(1, 2), min_size=2, max_size=2, unique=True))
    channels = draw(st.integers(2, 3)) if batch == 1 else 3
    space = draw(
        st.lists(st.sampled_from(pixel_sizes), min_size=variant["ndim"], max_size=variant["ndim"], unique=True)
    )
    while np.prod(space) > 4:
        space[int(np.argmax(space))] = 1
    image = draw(images((batch, channels, *space))) / 2
    generator = np.random.default_rng(draw(st.integers(0, 2**16 - 1)))
    W1, W2, b1, b2 = (
        signed(generator, shape) for shape in ((reduced, channels), (channels, reduced), (reduced,), (channels,))
    )
    z = image.reshape(batch, channels, -1).mean(axis=2)  # (N, C)
    hard = variant["gate"] == "hard_sigmoid"
    if kind == "smooth" and variant["activation"] == "relu":
        b1 = np.sign(b1) * (np.abs(z @ W1.T).max(axis=0) + 1)  # one sign for h[·, r], whatever the sample
        if "reduce_bias" in absent:
            image, W1 = np.abs(image) + 1, np.sign(W1[:, :1]) * np.abs(W1)
    if kind == "smooth" and variant["activation"] == "hard_sigmoid":
        W1, b1 = W1 / (1 + np.abs(z @ W1.T).max()), _between_corners(generator, reduced)
    if kind == "smooth" and hard:
        a = _activated(variant, image, W1, None if "reduce_bias" in absent else b1)
        W2, b2 = W2 / (1 + np.abs(a @ W2.T).max()), _between_corners(generator, channels)
    if kind == "kinks":
        W1[0] = np.where("reduce_bias" in absent, 0.0, W1[0])
        b1 = b1.copy()
        corner = {"relu": 0.0, "hard_sigmoid": 3.0}.get(variant["activation"])
        if corner is not None:
            b1[0] = corner * np.sign(b1[0]) - z[0] @ W1[0]
        if hard and variant["activation"] in ("relu", "identity", "hard_sigmoid"):
            a = _activated(variant, image, W1, None if "reduce_bias" in absent else b1)
            exactly = np.where(a == np.round(a * 64) / 64, a, 0)  # what has few bits; else W₂ reads nothing of it
            W2 = np.where((a == exactly).all(axis=0), W2, 0.0)
            b2 = 3 * np.sign(b2) - exactly[0] @ W2.T
    return Call((image, W1, W2, b1, b2), options)


def _between_corners(generator: np.random.Generator, count: int) -> Floats:
    """Biases that keep what is moved by at most 1 away from −3 and 3."""
    return np.array([-5.0, -1.0, 1.0, 5.0])[generator.integers(0, 4, count)]


def _activated(variant: Options, image: Floats, W1: Floats, b1: Floats | None) -> Floats:
    """A = act(W₁ z + b₁), (N, R)."""
    z = image.reshape(*image.shape[:2], -1).mean(axis=2)
    h = z @ W1.T
    activated: Floats = get_activation(variant["activation"])(h if b1 is None else h + b1)
    return activated
