"""Layers: the operations as blocks, with their parameters.

Each forward pass calls an operation and returns, as its pullback, a closure over that operation's backward function and
what it takes. Parameters and buffers have the names and shapes of PyTorch's layers ("weight", "bias", "running_mean",
"running_var"), and start with the same distributions. They are float32 unless ``dtype`` says otherwise; a call's input
must have the same dtype.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf, sqrt
from typing import Any

import numpy as np

from attn_ref import validation
from attn_ref.backend import Array
from attn_ref.blocks import initialisers
from attn_ref.blocks.block import Arrays, Block, Pullback
from attn_ref.ops.activations import get_activation
from attn_ref.ops.conv import conv2d, conv2d_backward
from attn_ref.ops.linear import linear, linear_backward
from attn_ref.ops.normalization import batch_norm, batch_norm_backward, batch_norm_statistics
from attn_ref.ops.pooling import (
    avg_pool2d,
    avg_pool2d_backward,
    global_avg_pool,
    global_avg_pool_backward,
    max_pool2d,
    max_pool2d_backward,
)

__all__ = [
    "Activation",
    "AvgPool2d",
    "BatchNorm",
    "Conv2d",
    "GlobalAvgPool",
    "Linear",
    "MaxPool2d",
]

Pair = int | tuple[int, int]
"""One number for both axes, or (vertical, horizontal)."""


class Linear(Block):
    """Y = X Wᵀ + b.

    Parameters
    ----------
    in_features, out_features : int
        Length of a row of the input (N, in_features) and of the output (N, out_features).
    bias : bool
        Whether b is there.
    rng : numpy.random.Generator
        Draws ``weight`` (out_features, in_features) and then ``bias`` (out_features,), both from U(−k, k),
        k = 1/√in_features.
    dtype : dtype
        Of the parameters.

    Raises
    ------
    TypeError, ValueError
        If an argument is of another kind, or a size below 1.

    Examples
    --------
    >>> import numpy as np
    >>> layer = Linear(3, 2, rng=np.random.default_rng(0))
    >>> y, backward = layer.forward(np.ones((5, 3), np.float32))
    >>> grad_x, grads = backward(np.ones_like(y))
    >>> y.shape, grad_x.shape, grads["weight"].shape, grads["bias"]
    ((5, 2), (5, 3), (2, 3), array([5., 5.], dtype=float32))
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        bias: bool = True,
        rng: np.random.Generator,
        dtype: Any = "float32",
    ) -> None:
        shape = (validation.whole("out_features", out_features, 1), validation.whole("in_features", in_features, 1))
        super().__init__(_weight_and_bias(shape, bias, rng, dtype))

    def _forward(self, x: Array, training: bool) -> tuple[Array, Pullback, Arrays]:
        parameters = (self._params["weight"], self._params.get("bias"))
        y = linear(x, *parameters)

        def backward(grad_y: Array) -> tuple[Array, Arrays]:
            return _split(linear_backward(grad_y, x, *parameters))

        return y, backward, {}


class Conv2d(Block):
    """Cross-correlation with a kernel, as convolutional networks have it.

    Parameters
    ----------
    in_channels, out_channels : int
        C of the input (N, C, H, W) and of the output.
    kernel_size : int or (int, int)
        Height and width of the kernel.
    stride, padding, dilation : int or (int, int)
        As in :func:`attn_ref.conv2d`.
    groups : int
        Divides both numbers of channels; channels are only joined within their group.
    bias : bool
        Whether each output channel has a bias.
    rng : numpy.random.Generator
        Draws ``weight`` (out_channels, in_channels / groups, kH, kW) and then ``bias`` (out_channels,), both from
        U(−k, k), k = 1/√(in_channels / groups · kH · kW).
    dtype : dtype
        Of the parameters.

    Raises
    ------
    TypeError, ValueError
        If an argument is of another kind or out of range.

    Examples
    --------
    >>> import numpy as np
    >>> layer = Conv2d(3, 8, 3, padding=1, stride=2, rng=np.random.default_rng(0))
    >>> y, backward = layer.forward(np.ones((5, 3, 6, 8), np.float32))
    >>> grad_x, grads = backward(np.ones_like(y))
    >>> y.shape, {name: grad.shape for name, grad in grads.items()}
    ((5, 8, 3, 4), {'weight': (8, 3, 3, 3), 'bias': (8,)})
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Pair,
        *,
        stride: Pair = 1,
        padding: Pair = 0,
        dilation: Pair = 1,
        groups: int = 1,
        bias: bool = True,
        rng: np.random.Generator,
        dtype: Any = "float32",
    ) -> None:
        inputs, outputs = (
            validation.whole("in_channels", in_channels, 1),
            validation.whole("out_channels", out_channels, 1),
        )
        groups = validation.whole("groups", groups, 1)
        if inputs % groups or outputs % groups:
            raise ValueError(f"groups={groups} must divide in_channels={inputs} and out_channels={outputs}")
        shape = (outputs, inputs // groups, *validation.pair("kernel_size", kernel_size, 1))
        super().__init__(_weight_and_bias(shape, bias, rng, dtype))
        self.options: dict[str, Any] = {
            "stride": validation.pair("stride", stride, 1),
            "padding": validation.pair("padding", padding, 0),
            "dilation": validation.pair("dilation", dilation, 1),
            "groups": groups,
        }

    def _forward(self, x: Array, training: bool) -> tuple[Array, Pullback, Arrays]:
        parameters = (self._params["weight"], self._params.get("bias"))
        y = conv2d(x, *parameters, **self.options)

        def backward(grad_y: Array) -> tuple[Array, Arrays]:
            return _split(conv2d_backward(grad_y, x, *parameters, **self.options))

        return y, backward, {}


class BatchNorm(Block):
    """Batch normalisation of each channel.

    In training mode with the mean and variance of the batch, and new running statistics are returned; otherwise with
    the running statistics.

    Parameters
    ----------
    channels : int
        C of the input (N, C, …).
    eps : float
        Added to the variance before its root, above 0.
    momentum : float
        Weight of the batch in the new running statistics, 0 to 1.
    dtype : dtype
        Of the parameters ``weight`` (ones) and ``bias`` (zeros) and of the buffers ``running_mean`` (zeros) and
        ``running_var`` (ones), all (C,).

    Raises
    ------
    TypeError, ValueError
        If an argument is of another kind or out of range.

    Notes
    -----
    S. Ioffe and C. Szegedy, "Batch Normalization", ICML 2015. As in PyTorch the batch is normalised with its biased
    variance while the running variance follows the unbiased one. Of PyTorch's buffers ``num_batches_tracked`` is left
    out: it only counts.

    Examples
    --------
    >>> import numpy as np
    >>> norm = BatchNorm(1, dtype="float64")
    >>> y, backward, buffers = norm.forward(np.array([[1.0], [3.0]]), training=True)
    >>> norm.assign(buffers)
    >>> norm.buffers["running_mean"], norm.buffers["running_var"]
    (array([0.2]), array([1.1]))
    """

    def __init__(self, channels: int, *, eps: float = 1e-5, momentum: float = 0.1, dtype: Any = "float32") -> None:
        shape = (validation.whole("channels", channels, 1),)
        ones, zeros = (initialisers.constant(shape, value, dtype=dtype) for value in (1.0, 0.0))
        super().__init__({"weight": ones, "bias": zeros}, {"running_mean": zeros.copy(), "running_var": ones.copy()})
        self.eps = validation.real("eps", eps, "above 0", lambda value: 0 < value < inf)
        self.momentum = validation.real("momentum", momentum, "from 0 to 1", lambda value: 0 <= value <= 1)

    def _forward(self, x: Array, training: bool) -> tuple[Array, Pullback, Arrays]:
        mean, variance = self._buffers["running_mean"], self._buffers["running_var"]
        arrays = (x, self._params["weight"], self._params["bias"], mean, variance)
        options: dict[str, Any] = {"training": training, "eps": self.eps}
        y = batch_norm(*arrays, **options)

        def backward(grad_y: Array) -> tuple[Array, Arrays]:
            return _split(batch_norm_backward(grad_y, *arrays, **options))

        if not training:
            return y, backward, {}
        new = batch_norm_statistics(x, mean, variance, momentum=self.momentum)
        return y, backward, {"running_mean": new.running_mean, "running_var": new.running_var}


class _Fixed(Block):
    """A block without parameters: an operation, its backward function and the options of both."""

    def __init__(self, function: Callable[..., Array], pullback: Callable[..., Array], options: dict[str, Any]) -> None:
        super().__init__()
        self.options = options
        self._function = function
        self._pullback = pullback

    def _forward(self, x: Array, training: bool) -> tuple[Array, Pullback, Arrays]:
        y = self._function(x, **self.options)

        def backward(grad_y: Array) -> tuple[Array, Arrays]:
            return self._pullback(grad_y, x, **self.options), {}

        return y, backward, {}


class Activation(_Fixed):
    """An activation, element by element (or, for glu, by halves).

    Parameters
    ----------
    activation : str or activation
        A name that :func:`attn_ref.get_activation` knows, or what it returns: a callable with a ``backward``.
    **options
        Passed to it: ``axis`` for glu.

    Raises
    ------
    TypeError, ValueError
        If there is no such activation.

    Examples
    --------
    >>> import numpy as np
    >>> y, backward = Activation("relu").forward(np.array([[-1.0, 2.0]]))
    >>> y, backward(np.array([[5.0, 5.0]]))
    (array([[0., 2.]]), (array([[0., 5.]]), {}))
    """

    def __init__(self, activation: Any, **options: Any) -> None:
        found = get_activation(activation) if isinstance(activation, str) else activation
        if not (callable(found) and callable(getattr(found, "backward", None))):
            raise TypeError(
                f"activation must be a name or a callable with a method backward, got {type(activation).__name__}"
            )
        super().__init__(found, found.backward, options)


class MaxPool2d(_Fixed):
    """The largest value in each window of an image (N, C, H, W).

    Parameters
    ----------
    kernel_size : int or (int, int)
        Height and width of a window.
    stride : int or (int, int), optional
        From one window to the next; the window's size by default.
    padding : int or (int, int)
        Pixels of −inf added on each side.

    Raises
    ------
    TypeError, ValueError
        If an argument is of another kind or out of range.

    Examples
    --------
    >>> import numpy as np
    >>> y, backward = MaxPool2d(2).forward(np.ones((1, 3, 4, 6)))
    >>> y.shape, backward(y)[0].shape
    ((1, 3, 2, 3), (1, 3, 4, 6))
    """

    def __init__(self, kernel_size: Pair, *, stride: Pair | None = None, padding: Pair = 0) -> None:
        super().__init__(max_pool2d, max_pool2d_backward, _window(kernel_size, stride, padding))


class AvgPool2d(_Fixed):
    """The mean of each window of an image (N, C, H, W).

    Parameters
    ----------
    kernel_size, stride
        As in :class:`MaxPool2d`.
    padding : int or (int, int)
        Pixels of 0 added on each side; they count in the mean.

    Raises
    ------
    TypeError, ValueError
        As in :class:`MaxPool2d`.

    Examples
    --------
    >>> import numpy as np
    >>> y, backward = AvgPool2d(2).forward(np.ones((1, 3, 4, 6)))
    >>> y.shape, backward(y)[0].shape
    ((1, 3, 2, 3), (1, 3, 4, 6))
    """

    def __init__(self, kernel_size: Pair, *, stride: Pair | None = None, padding: Pair = 0) -> None:
        super().__init__(avg_pool2d, avg_pool2d_backward, _window(kernel_size, stride, padding))


class GlobalAvgPool(_Fixed):
    """The mean of each channel: (N, C, …) to (N, C).

    Examples
    --------
    >>> import numpy as np
    >>> y, backward = GlobalAvgPool().forward(np.ones((1, 3, 4, 6)))
    >>> y.shape, backward(y)[0].shape
    ((1, 3), (1, 3, 4, 6))
    """

    def __init__(self) -> None:
        super().__init__(global_avg_pool, global_avg_pool_backward, {})


# ---------------------------------------------------------------------------------------------------------------------


def _split(cotangents: Any) -> tuple[Array, Arrays]:
    """The input's cotangent, and those of the parameters that are there."""
    grad_x, *rest = cotangents
    return grad_x, {name: grad for name, grad in zip(("weight", "bias"), rest, strict=True) if grad is not None}


def _weight_and_bias(shape: tuple[int, ...], bias: bool, rng: np.random.Generator, dtype: Any) -> Arrays:
    arrays = {"weight": initialisers.kaiming_uniform(shape, rng, dtype=dtype)}
    if validation.flag("bias", bias):
        bound = 1 / sqrt(initialisers.fans(shape)[0])
        arrays["bias"] = initialisers.uniform(shape[:1], bound, rng, dtype=dtype)
    return arrays


def _window(kernel_size: Pair, stride: Pair | None, padding: Pair) -> dict[str, Any]:
    kernel = validation.pair("kernel_size", kernel_size, 1)
    return {
        "kernel_size": kernel,
        "stride": kernel if stride is None else validation.pair("stride", stride, 1),
        "padding": validation.pair("padding", padding, 0),
    }
