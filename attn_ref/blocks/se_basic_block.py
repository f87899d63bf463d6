"""The basic block of SE-ResNets: two 3×3 convolutions, squeeze and excitation, and a shortcut.

    Y = relu(SE(BN(conv(relu(BN(conv(X)))))) + shortcut(X))

as in moskomule/senet.pytorch (``senet/se_resnet.py``, ``SEBasicBlock``), with its names of parameters and buffers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from attn_ref import validation
from attn_ref.backend import Array
from attn_ref.blocks.block import Arrays, Block, Pullback
from attn_ref.blocks.containers import Sequential
from attn_ref.blocks.layers import Activation, BatchNorm, Conv2d
from attn_ref.blocks.squeeze_excitation import SqueezeExcitation

__all__ = ["SEBasicBlock"]


class SEBasicBlock(Block):
    """A basic residual block with squeeze and excitation.

    Parameters
    ----------
    inplanes, planes : int
        Channels of the input (N, inplanes, H, W) and of the output.
    stride : int
        Of the first convolution; the output has ⌈H / stride⌉ × ⌈W / stride⌉ pixels.
    downsample : Block, optional
        The shortcut: from the input to the output's shape. Required, and so asked for, if stride or channels make the
        two differ; else None means the input itself.
    groups : int
        Must be 1: see the notes.
    base_width : int
        Must be 64.
    dilation : int
        Must be 1.
    norm_layer : callable, optional
        From a number of channels to the block that normalises them, called twice, with ``planes``; by default
        :class:`~attn_ref.blocks.BatchNorm` in the block's dtype. senet.pytorch takes this argument and ignores it.
    reduction : int
        r of the squeeze and excitation, of width planes // r without biases.
    rng : numpy.random.Generator, optional
        Draws the weights of conv1, conv2 and se, in this order. None makes a fresh generator without a seed, so that
        each block starts differently.
    dtype : dtype
        Of the parameters: float16, float32 or float64.

    Raises
    ------
    TypeError
        If an argument is of another kind.
    ValueError
        If a size is below 1, planes // reduction included; if downsample is missing; if groups, base_width or dilation
        is not the one value that is supported.

    Notes
    -----
    groups, base_width and dilation are in the signature because torchvision's ResNet passes them to every block. They
    shape the middle convolution of a bottleneck, of which a basic block has none. senet.pytorch ignores them, so that a
    network asked for in 32 groups is silently another; torchvision's own ``BasicBlock`` refuses them, as this does.

    Parameters and buffers: conv1.weight, bn1.weight, bn1.bias, bn1.running_mean, bn1.running_var, the same of conv2 and
    bn2, se.reduce_weight, se.expand_weight, and those of downsample. :func:`~attn_ref.blocks.load_se_weights` takes the
    state dict of senet.pytorch's block, where the two of se are called se.fc.0.weight and se.fc.2.weight.

    Examples
    --------
    >>> import numpy as np
    >>> from attn_ref.blocks import BatchNorm, Conv2d, Sequential
    >>> rng = np.random.default_rng(0)
    >>> shortcut = Sequential(Conv2d(3, 16, 1, stride=2, bias=False, rng=rng), BatchNorm(16))
    >>> block = SEBasicBlock(3, 16, 2, shortcut, rng=rng)
    >>> y, backward, buffers = block.forward(np.ones((5, 3, 7, 8), np.float32), training=True)
    >>> block.assign(buffers)
    >>> y.shape
    (5, 16, 4, 4)
    """

    expansion = 1
    """Channels of the output for each of ``planes``."""

    def __init__(
        self,
        inplanes: int,
        planes: int,
        stride: int = 1,
        downsample: Block | None = None,
        groups: int = 1,
        base_width: int = 64,
        dilation: int = 1,
        norm_layer: Callable[[int], Block] | None = None,
        *,
        reduction: int = 16,
        rng: np.random.Generator | None = None,
        dtype: Any = "float32",
    ) -> None:
        inplanes, planes, stride = (
            validation.whole("inplanes", inplanes, 1),
            validation.whole("planes", planes, 1),
            validation.whole("stride", stride, 1),
        )
        _only("groups", groups, 1)
        _only("base_width", base_width, 64)
        _only("dilation", dilation, 1)
        _check_downsample(downsample, inplanes, planes, stride)
        rng = np.random.default_rng() if rng is None else rng

        norm = _norms(norm_layer, planes, dtype)

        def conv(inputs: int, stride: int) -> Block:
            return Conv2d(inputs, planes, 3, stride=stride, padding=1, bias=False, rng=rng, dtype=dtype)

        self._body = _Named(
            conv1=conv(inplanes, stride),
            bn1=norm[0],
            relu=Activation("relu"),
            conv2=conv(planes, 1),
            bn2=norm[1],
            se=SqueezeExcitation(planes, reduction, rng=rng, dtype=dtype),
        )
        self._shortcut = _Named(**({} if downsample is None else {"downsample": downsample}))
        super().__init__(children={**self._body.children, **self._shortcut.children})

    def _forward(self, x: Array, training: bool) -> tuple[Array, Pullback, Arrays]:
        out, pull_body, new = self._body._forward(x, training)
        short, pull_shortcut, others = self._shortcut._forward(x, training)
        call = validation.numbers(input=out, shortcut=short)
        validation.shape("downsample's output", short, out.shape, "the shape of the other path's output")
        with call.backend.quiet():
            total = out + short
        y, pull_relu, _ = self.children["relu"]._forward(total, training)

        def backward(grad_y: Array) -> tuple[Array, Arrays]:
            grad_total, _ = pull_relu(grad_y)
            one, grads = pull_body(grad_total)
            other, more = pull_shortcut(grad_total)
            with call.backend.quiet():
                return one + other, grads | more

        return y, backward, new | others


class _Named(Sequential):
    """Blocks in sequence that have names of their own."""

    def __init__(self, **blocks: Block) -> None:
        Block.__init__(self, children=blocks)


def _check_downsample(downsample: object, inplanes: int, planes: int, stride: int) -> None:
    if downsample is None:
        if stride != 1 or inplanes != planes:
            raise ValueError(
                f"downsample is missing: stride={stride} from {inplanes} to {planes} channels changes the shape, so "
                "the shortcut must too; pass downsample=Sequential("
                f"Conv2d({inplanes}, {planes}, 1, stride={stride}, bias=False, rng=rng), BatchNorm({planes}))"
            )
    elif not isinstance(downsample, Block):
        raise TypeError(f"downsample must be a Block or None, got {type(downsample).__name__}")


def _norms(norm_layer: Any, planes: int, dtype: Any) -> list[Block]:
    """The two blocks of normalisation."""
    if norm_layer is None:
        return [BatchNorm(planes, dtype=dtype) for _ in range(2)]
    if not callable(norm_layer):
        raise TypeError(f"norm_layer must be callable, from channels to a Block; got {type(norm_layer).__name__}")
    norms = [norm_layer(planes) for _ in range(2)]
    for norm in norms:
        if not isinstance(norm, Block):
            raise TypeError(f"norm_layer must return a Block, got {type(norm).__name__}")
    return norms


def _only(name: str, value: object, supported: int) -> None:
    if validation.whole(name, value, 1) != supported:
        raise ValueError(
            f"{name}={value!r} is not supported: a basic block has no bottleneck for it to shape, so {name} must be "
            f"{supported}"
        )
