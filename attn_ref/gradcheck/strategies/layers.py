"""Strategies for the operations that training needs.

Only the maximum has kinks: where two pixels of a window are equal. Images without repeated values keep clear of them;
images of few values are full of them, and of all-equal windows. Windows reach into the padding on every side.
"""

from __future__ import annotations

from math import prod

import numpy as np
from hypothesis import strategies as st

from attn_ref.gradcheck.strategies.basic import Options, images, signed, whole
from attn_ref.registry.operation import Call

__all__ = [
    "batch_norm_calls",
    "conv2d_calls",
    "cross_entropy_calls",
    "global_avg_pool_calls",
    "linear_calls",
    "pooling_calls",
]


def _generator(draw: st.DrawFn) -> np.random.Generator:
    return np.random.default_rng(draw(st.integers(0, 2**16 - 1)))


@st.composite
def linear_calls(draw: st.DrawFn, kind: str, variant: Options) -> Call:  # noqa: ARG001  smooth everywhere
    """Draw calls of linear: N, F_in and F_out all different.

    Parameters
    ----------
    kind : {"smooth", "kinks", "exact"}
        Which calls, see the head of :mod:`attn_ref.gradcheck.strategies`.
    variant : dict
        One of the variants of linear in :data:`attn_ref.registry.OPERATIONS`.

    Returns
    -------
    strategy of Call
        Inputs of linear in float64, in their order, and its options.

    Examples
    --------
    >>> from hypothesis import find
    >>> variant = {}
    >>> call = find(linear_calls("smooth", variant), lambda call: True)  # the simplest
    >>> [x.shape for x in call.inputs]
    [(1, 2), (3, 2), (3,)]
    """
    samples, features, outputs = draw(st.lists(st.integers(1, 5), min_size=3, max_size=3, unique=True))
    generator = _generator(draw)
    weights = signed(generator, (outputs, features)), signed(generator, (outputs,))
    return Call((draw(images((samples, features))), *weights), dict(variant))


@st.composite
def conv2d_calls(draw: st.DrawFn, kind: str, variant: Options) -> Call:  # noqa: ARG001  smooth everywhere
    """Draw calls of conv2d: a window of two different sizes, an image in which it fits once to three times.

    The first pixel is always read by some window, though strides and dilations may leave others out.

    Parameters
    ----------
    kind : {"smooth", "kinks", "exact"}
        Which calls, see the head of :mod:`attn_ref.gradcheck.strategies`.
    variant : dict
        One of the variants of conv2d in :data:`attn_ref.registry.OPERATIONS`.

    Returns
    -------
    strategy of Call
        Inputs of conv2d in float64, in their order, and its options.

    Examples
    --------
    >>> from hypothesis import find
    >>> variant = {"stride": 2, "padding": 1, "dilation": 1, "groups": 1, "absent": ()}
    >>> call = find(conv2d_calls("smooth", variant), lambda call: True)  # the simplest
    >>> [x.shape for x in call.inputs]
    [(1, 1, 1, 1), (2, 1, 2, 3), (2,)]
    """
    groups = variant["groups"]
    rules = [np.broadcast_to(variant[name], 2).tolist() for name in ("stride", "padding", "dilation")]
    kernel: list[int] = []
    space: list[int] = []
    for s, p, d in zip(*rules, strict=True):
        kernel.append(draw(st.sampled_from([k for k in range(1 + p % s, 4) if k not in kernel])))
        least = max(d * (kernel[-1] - 1) + 1 - 2 * p + p % d, 1)
        space.append(least + draw(st.integers(0, 2 * s)))
    inputs, outputs = draw(st.lists(st.integers(1, 2), min_size=2, max_size=2, unique=True))
    generator = _generator(draw)
    weights = signed(generator, (groups * outputs, inputs, *kernel)), signed(generator, (groups * outputs,))
    image = draw(images((draw(st.integers(1, 2)), groups * inputs, *space)))
    return Call((image, *weights), dict(variant))


@st.composite
def batch_norm_calls(draw: st.DrawFn, kind: str, variant: Options) -> Call:  # noqa: ARG001  smooth everywhere
    """Draw calls of batch_norm, of at least two values a channel; running statistics in evaluation only.

    Parameters
    ----------
    kind : {"smooth", "kinks", "exact"}
        Which calls, see the head of :mod:`attn_ref.gradcheck.strategies`.
    variant : dict
        One of the variants of batch_norm in :data:`attn_ref.registry.OPERATIONS`.

    Returns
    -------
    strategy of Call
        Inputs of batch_norm in float64, in their order, and its options.

    Examples
    --------
    >>> from hypothesis import find
    >>> variant = {"ndim": 2, "training": True, "eps": 0.125, "absent": ()}
    >>> call = find(batch_norm_calls("smooth", variant), lambda call: True)  # the simplest
    >>> [x.shape for x in call.inputs]
    [(2, 1, 1, 2), (1,), (1,)]
    """
    options = {name: value for name, value in variant.items() if name != "ndim"}
    samples, channels = draw(st.sampled_from(((2, 1), (2, 3), (3, 1), (3, 2))))
    space = draw(st.lists(st.integers(1, 3), min_size=variant["ndim"], max_size=variant["ndim"], unique=True))
    generator = _generator(draw)
    if not variant["training"]:
        options["running_mean"] = tuple(map(float, signed(generator, (channels,))))
        options["running_var"] = tuple(map(float, np.abs(signed(generator, (channels,)))))
    weights = signed(generator, (channels,)), signed(generator, (channels,))
    return Call((draw(images((samples, channels, *space))), *weights), options)


@st.composite
def pooling_calls(draw: st.DrawFn, kind: str, variant: Options) -> Call:
    """Draw calls of max_pool2d and avg_pool2d; of the kind "kinks" with ties in most windows.

    Parameters
    ----------
    kind : {"smooth", "kinks", "exact"}
        Which calls, see the head of :mod:`attn_ref.gradcheck.strategies`.
    variant : dict
        One of the variants of max_pool2d and avg_pool2d in :data:`attn_ref.registry.OPERATIONS`.

    Returns
    -------
    strategy of Call
        Inputs of max_pool2d and avg_pool2d in float64, in their order, and its options.

    Examples
    --------
    >>> from hypothesis import find
    >>> variant = {"kernel_size": 2}
    >>> call = find(pooling_calls("kinks", variant), lambda call: True)  # the simplest
    >>> call.inputs[0].shape, sorted(call.options)
    ((1, 2, 2, 2), ['kernel_size'])
    """
    kernel = np.broadcast_to(variant["kernel_size"], 2)
    padding = np.broadcast_to(variant.get("padding", 0), 2)
    space = [max(int(k - 2 * p), 1) + draw(st.integers(0, 4)) for k, p in zip(kernel, padding, strict=True)]
    shape = (*draw(st.sampled_from(((1, 2), (2, 1), (2, 3)))), *space)
    image = whole(draw, shape, -1, 1) / 8 if kind == "kinks" else draw(images(shape))
    return Call((image,), dict(variant))


@st.composite
def global_avg_pool_calls(draw: st.DrawFn, kind: str, variant: Options) -> Call:  # noqa: ARG001  it is linear
    """Draw calls of global_avg_pool.

    Parameters
    ----------
    kind : {"smooth", "kinks", "exact"}
        Which calls, see the head of :mod:`attn_ref.gradcheck.strategies`.
    variant : dict
        One of the variants of global_avg_pool in :data:`attn_ref.registry.OPERATIONS`.

    Returns
    -------
    strategy of Call
        Inputs of global_avg_pool in float64, in their order, and its options.

    Examples
    --------
    >>> from hypothesis import find
    >>> variant = {"ndim": 2}
    >>> call = find(global_avg_pool_calls("smooth", variant), lambda call: True)  # the simplest
    >>> call.inputs[0].shape
    (1, 2, 1, 2)
    """
    samples, channels = draw(st.lists(st.integers(1, 3), min_size=2, max_size=2, unique=True))
    space = draw(st.lists(st.integers(1, 4), min_size=variant["ndim"], max_size=variant["ndim"], unique=True))
    return Call((draw(images((samples, channels, *space))),), {})


@st.composite
def cross_entropy_calls(draw: st.DrawFn, kind: str, variant: Options) -> Call:  # noqa: ARG001  smooth everywhere
    """Draw calls of cross_entropy: logits up to 4, a label for each sample.

    Parameters
    ----------
    kind : {"smooth", "kinks", "exact"}
        Which calls, see the head of :mod:`attn_ref.gradcheck.strategies`.
    variant : dict
        One of the variants of cross_entropy in :data:`attn_ref.registry.OPERATIONS`.

    Returns
    -------
    strategy of Call
        Inputs of cross_entropy in float64, in their order, and its options.

    Examples
    --------
    >>> from hypothesis import find
    >>> variant = {"reduction": "mean"}
    >>> call = find(cross_entropy_calls("smooth", variant), lambda call: True)  # the simplest
    >>> call.inputs[0].shape, call.options
    ((1, 2), {'reduction': 'mean', 'labels': (0,)})
    """
    samples, classes = draw(st.lists(st.integers(1, 5), min_size=2, max_size=2, unique=True))
    labels = tuple(draw(st.lists(st.integers(0, classes - 1), min_size=samples, max_size=samples)))
    logits = _generator(draw).permutation(samples * classes).reshape(samples, classes)
    return Call(((logits - prod(logits.shape) // 2) / 4,), {**variant, "labels": labels})
