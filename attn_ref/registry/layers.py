"""What training needs: linear layers, convolutions, batch normalisation, pooling, cross-entropy."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

from attn_ref import backend as _backend
from attn_ref import exact
from attn_ref.backend import Array
from attn_ref.ops import conv, linear, losses, normalization, pooling
from attn_ref.registry.operation import Call, Functions, Operation, Options, Terms

__all__ = ["LAYERS"]


def _largest(array: Any) -> float:
    return float(np.abs(np.asarray(array, np.float64)).max(initial=0))


def _row_sum(weight: Array) -> float:
    """The largest sum of the magnitudes of the weights of one output."""
    rows = np.abs(weight).astype(np.float64).reshape(len(weight), -1).sum(axis=1)
    return float(rows.max(initial=0))


# ---------------------------------------------------------------------------------------------------------------------
# Weighted sums: linear and conv2d


def _weighted_terms(call: Call) -> Terms:
    """An output sums over its taps, a weight's cotangent over samples and places, an input's over outputs."""
    x, W, b = call.inputs
    taps, row = W[0].size, _row_sum(W)
    depth = 16 + taps + x.size // max(x.shape[1], 1) + W.size // max(W.shape[1], 1)
    return Terms(row * _largest(x) + _largest(b), row + taps * _largest(x) + 1, 2.0 * taps, depth)


# ---------------------------------------------------------------------------------------------------------------------
# Pooling


def _pooled_terms(call: Call) -> Terms:
    """At most a mean of all pixels, and of a pixel's cotangents."""
    (image,) = call.inputs
    return Terms(_largest(image), 1.0, 0.0, 8 + prod(image.shape[2:]))


_WINDOWS: tuple[Options, ...] = (
    {"kernel_size": 2},
    {"kernel_size": (2, 3)},
    {"kernel_size": 3, "stride": 2, "padding": 1},
    {"kernel_size": (3, 2), "stride": (1, 3), "padding": (0, 1)},
    {"kernel_size": (1, 2), "stride": (2, 1)},
)

# ---------------------------------------------------------------------------------------------------------------------
# batch_norm. The running statistics are constants: the registry holds them as tuples of numbers, among the options


def _with_statistics(function: Callable[..., Any], arrays: int) -> Callable[..., Any]:
    """A function of batch_norm's with the statistics after ``arrays`` arrays, brought to the library and dtype."""

    def adapted(*inputs: Any, running_mean: Any = None, running_var: Any = None, **options: Any) -> Any:
        assert len(inputs) == arrays
        xp = _backend.of(input=inputs[-3]).xp
        statistics = [None if s is None else xp.asarray(s, inputs[-3].dtype) for s in (running_mean, running_var)]
        return function(*inputs, *statistics, **options)

    return adapted


def _exact_with_statistics(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same for the exact twin, whose numbers are those that the input's dtype holds."""

    def adapted(*inputs: Any, running_mean: Any = None, running_var: Any = None, **options: Any) -> Any:
        statistics = [
            None if s is None else np.asarray(s, np.asarray(inputs[-3]).dtype) for s in (running_mean, running_var)
        ]
        return function(*inputs, *statistics, **options)

    return adapted


def _batch_norm_terms(call: Call) -> Terms:
    """Go forward with magnitudes.

    The rounding of v, up to some roundings of X², is passed on by r, whose relative change is half that of v + ε:
    every bound is larger by the condition number 1 + X² r².
    """
    x, gamma, beta = (np.asarray(a, np.float64) for a in call.inputs)
    count = x.size // max(x.shape[1], 1)
    axes = (0, *range(2, x.ndim))
    training = call.options["training"]
    variance = x.var(axis=axes) if training else np.asarray(call.options["running_var"])
    r = float((1 / np.sqrt(variance + call.options["eps"])).max(initial=0))
    X = _largest(x) + (0.0 if training else _largest(call.options["running_mean"]))
    x_hat = 2 * X * r
    g = 0.0 if "weight" in call.options["absent"] else _largest(gamma)
    g = max(g, 1.0)
    condition = 1 + (X * r) ** 2
    first = g * r * (2 + x_hat**2) + x_hat + 1
    second = (2 * r * (2 + x_hat**2) + 6 * g * r**2 * (1 + x_hat) ** 3) * condition
    return Terms((g * x_hat + _largest(beta)) * condition, first * condition, second, 32 + 2 * count)


def _batch_norm_steps(call: Call) -> tuple[list[Any], int] | None:
    return None if call.options["training"] else ([1.0, 1.0, 1.0], 1)


# ---------------------------------------------------------------------------------------------------------------------
# cross_entropy. The labels are a tuple of numbers


def _cross_entropy(logits: Array, *, labels: tuple[int, ...], reduction: str) -> Array:
    index = _backend.of(logits=logits).xp.asarray(labels, np.int64)
    return losses.cross_entropy(logits, index, reduction=reduction)


def _cross_entropy_backward(grad_output: Array, logits: Array, *, labels: tuple[int, ...], reduction: str) -> Array:
    index = _backend.of(logits=logits).xp.asarray(labels, np.int64)
    return losses.cross_entropy_backward(grad_output, logits, index, reduction=reduction)


def _cross_entropy_terms(call: Call) -> Terms:
    """An exponential passes the rounding of its argument on, as a relative one: hence the factor 1 + 2 max |z|."""
    (z,) = call.inputs
    samples, classes = z.shape
    summed = samples if call.options["reduction"] == "sum" else 1
    condition = 1 + 2 * _largest(z)
    value = summed * (2 * _largest(z) + float(np.log(max(classes, 1))))
    return Terms(value, summed * 2 * condition, summed * 2 * condition, 32 + samples + classes)


LAYERS: tuple[Operation, ...] = (
    Operation(
        name="linear",
        inputs=("input", "weight", "bias"),
        functions=Functions(linear.linear, linear.linear_backward),
        exact=Functions(exact.linear, exact.linear_backward),
        linear=False,
        linear_in=(),
        batched=(True, False, False),
        variants=({"absent": ()}, {"absent": ("bias",)}),
        strategy="linear_calls",
        terms=_weighted_terms,
        steps=lambda _: ([1.0, 1.0, 1.0], 1),
        any_order=True,
    ),
    Operation(
        name="conv2d",
        inputs=("input", "weight", "bias"),
        functions=Functions(conv.conv2d, conv.conv2d_backward),
        exact=Functions(exact.conv2d, exact.conv2d_backward),
        linear=False,
        linear_in=(),
        batched=(True, False, False),
        variants=(
            {"stride": 1, "padding": 0, "dilation": 1, "groups": 1, "absent": ()},
            {"stride": 2, "padding": 1, "dilation": 1, "groups": 1, "absent": ("bias",)},
            {"stride": (1, 2), "padding": (2, 0), "dilation": (2, 1), "groups": 2, "absent": ()},
            {"stride": (2, 1), "padding": (0, 1), "dilation": (1, 2), "groups": 1, "absent": ()},
            {"stride": 1, "padding": (1, 2), "dilation": 2, "groups": 3, "absent": ("bias",)},
        ),
        strategy="conv2d_calls",
        terms=_weighted_terms,
        steps=lambda _: ([1.0, 1.0, 1.0], 1),
        any_order=True,
    ),
    Operation(
        name="batch_norm",
        inputs=("input", "weight", "bias"),
        functions=Functions(
            _with_statistics(normalization.batch_norm, 3), _with_statistics(normalization.batch_norm_backward, 4)
        ),
        exact=Functions(_exact_with_statistics(exact.batch_norm), _exact_with_statistics(exact.batch_norm_backward)),
        linear=False,
        linear_in=(),
        batched=(False, False, False),  # in training the samples of a batch depend on one another
        variants=(
            {"ndim": 0, "training": True, "eps": 0.125, "absent": ()},
            {"ndim": 1, "training": True, "eps": 1e-5, "absent": ("weight",)},
            {"ndim": 2, "training": True, "eps": 1e-3, "absent": ()},
            {"ndim": 2, "training": True, "eps": 1e-5, "absent": ("weight", "bias")},
            {"ndim": 0, "training": False, "eps": 1e-5, "absent": ("bias",)},
            {"ndim": 2, "training": False, "eps": 0.125, "absent": ()},
        ),
        strategy="batch_norm_calls",
        terms=_batch_norm_terms,
        steps=_batch_norm_steps,
        any_order=True,
    ),
    Operation(
        name="max_pool2d",
        inputs=("input",),
        functions=Functions(pooling.max_pool2d, pooling.max_pool2d_backward),
        exact=Functions(exact.max_pool2d, exact.max_pool2d_backward),
        linear=False,
        linear_in=(),
        batched=(True,),
        variants=_WINDOWS,
        strategy="pooling_calls",
        terms=_pooled_terms,
        steps=lambda _: ([0.05], 1),  # the pixels drawn for it are 1/8 apart, and more
        kinked=True,
        bounded=True,
    ),
    Operation(
        name="avg_pool2d",
        inputs=("input",),
        functions=Functions(pooling.avg_pool2d, pooling.avg_pool2d_backward),
        exact=Functions(exact.avg_pool2d, exact.avg_pool2d_backward),
        linear=False,
        linear_in=(0,),
        batched=(True,),
        variants=_WINDOWS,
        strategy="pooling_calls",
        terms=_pooled_terms,
        steps=lambda _: ([1.0], 1),
    ),
    Operation(
        name="global_avg_pool",
        inputs=("input",),
        functions=Functions(pooling.global_avg_pool, pooling.global_avg_pool_backward),
        exact=Functions(exact.global_avg_pool, exact.global_avg_pool_backward),
        linear=False,
        linear_in=(0,),
        batched=(True,),
        variants=({"ndim": 1}, {"ndim": 2}, {"ndim": 3}),
        strategy="global_avg_pool_calls",
        terms=_pooled_terms,
        steps=lambda _: ([1.0], 1),
        any_order=True,
    ),
    Operation(
        name="cross_entropy",
        inputs=("logits",),
        functions=Functions(_cross_entropy, _cross_entropy_backward),
        exact=Functions(exact.cross_entropy, exact.cross_entropy_backward),
        linear=False,
        linear_in=(),
        batched=(False,),  # a mean or a sum has no samples left
        variants=({"reduction": "mean"}, {"reduction": "sum"}, {"reduction": "none"}),
        strategy="cross_entropy_calls",
        terms=_cross_entropy_terms,
        steps=lambda _: None,
        any_order=True,
    ),
)
"""What training needs: forward and backward."""
