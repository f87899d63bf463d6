"""The squeeze-and-excitation block: which channels of an image to look at, learned.

The operation [1]_ and its derivatives are those of :func:`attn_ref.squeeze_excitation`; a block holds its weights. The
means of the C channels pass through R < C hidden units and come back as C gates, which scale the channels:

    s = gate(W₂ act(W₁ mean(X) + b₁) + b₂)        Y = X ∘ s

How R follows from C is where implementations differ most, so the rules have names here: :data:`WIDTH_RULES`.

.. [1] J. Hu, L. Shen and G. Sun, "Squeeze-and-Excitation Networks", CVPR 2018, equations (2) to (4); r is their
   reduction ratio.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from attn_ref import validation
from attn_ref.backend import Array
from attn_ref.blocks.block import Arrays, Block, Pullback
from attn_ref.blocks.layers import _weight_and_bias
from attn_ref.ops.squeeze_excitation import squeeze_excitation, squeeze_excitation_backward

__all__ = ["WIDTH_RULES", "SqueezeExcitation", "reduced_width"]


def _divisible(width: float, round_limit: float) -> int:
    """Nearest multiple of 8, halves up and at least 8; the next one if it fell below round_limit of the width."""
    nearest = max(8, int(width + 4) // 8 * 8)
    return nearest + 8 if nearest < round_limit * width else nearest


WIDTH_RULES: dict[str, Callable[[int, int], int]] = {
    "floor": lambda C, r: C // r,
    "at_least_one": lambda C, r: max(1, C // r),
    "round": lambda C, r: round(C / r),
    "make_divisible": lambda C, r: _divisible(C // r, 0.9),
    "make_divisible_keras": lambda C, r: _divisible(C * (1 / r), 0.9),
    "make_divisible_timm": lambda C, r: _divisible(C * (1 / r), 0.0),
}
"""How the reduced width R follows from the number of channels C and the reduction r, by name.

``floor``
    C // r, as in moskomule/senet.pytorch (``SELayer``) and, where r divides C, in the paper and its Caffe models.
``at_least_one``
    max(1, C // r), as in torchvision's EfficientNet (``MBConv``, which takes the C of the *block's input*).
``round``
    C / r to the nearest integer, halves to even, as in the RegNets (torchvision's ``BottleneckTransform``, likewise of
    the block's input).
``make_divisible``
    C // r to the nearest multiple of 8, at least 8, and 8 more if that lost over 10 %: torchvision's MobileNetV3
    (``_make_divisible(expanded_channels // 4, 8)``).
``make_divisible_keras``
    The same of C / r, not floored first, as in Keras' MobileNetV3 (``_depth(filters * se_ratio)``); 24 turns into 32
    for C = 107, r = 4.
``make_divisible_timm``
    C / r to the nearest multiple of 8, at least 8, however much that loses: timm's ``SEModule``
    (``make_divisible(channels * rd_ratio, 8, round_limit=0.)``), so that C = 64, r = 16 has R = 8.
"""


def reduced_width(channels: int, reduction: int, width_rule: str = "floor") -> int:
    """Compute the reduced width R of a squeeze-and-excitation block.

    Parameters
    ----------
    channels : int
        C, at least 1.
    reduction : int
        r, at least 1.
    width_rule : str
        A name of :data:`WIDTH_RULES`.

    Returns
    -------
    int
        R, at least 1.

    Raises
    ------
    TypeError
        If channels or reduction is not an integer, or width_rule not a string.
    ValueError
        If channels or reduction is below 1, width_rule unknown, or R below 1. (A linear layer of width 0 is accepted by
        some frameworks; its gates are constant and nothing is learned.)

    Examples
    --------
    >>> {rule: reduced_width(72, 4, rule) for rule in WIDTH_RULES if rule != "make_divisible_keras"}
    {'floor': 18, 'at_least_one': 18, 'round': 18, 'make_divisible': 24, 'make_divisible_timm': 16}
    """
    C, r = validation.whole("channels", channels, 1), validation.whole("reduction", reduction, 1)
    width = WIDTH_RULES[validation.choice("width_rule", width_rule, WIDTH_RULES)](C, r)
    if width < 1:
        raise ValueError(
            f"channels={C} with reduction={r} has a reduced width of {width} by width_rule={width_rule!r}: expected "
            f"at least 1; use width_rule='at_least_one', or a reduction of at most {C}"
        )
    return width


class SqueezeExcitation(Block):
    """Squeeze-and-excitation with its weights.

    Parameters
    ----------
    channels : int
        C of the input (N, C, …), or (N, …, C) with ``channels_last``; one to three pixel axes.
    reduction : int
        r, from which the reduced width R follows. 16 is the paper's.
    width_rule : str
        How it follows: a name of :data:`WIDTH_RULES`. The default, C // r, is that of the paper and senet.pytorch.
    width : int, optional
        R itself, in place of the two.
    bias : bool
        Whether the two layers have biases. The paper's equation (3) and senet.pytorch have none, though its authors'
        Caffe models do: see :data:`attn_ref.blocks.se_presets.SE_PRESETS`.
    activation, gate : str or activation
        Between the layers and at the end, as in :func:`attn_ref.squeeze_excitation`.
    channels_last : bool
        Whether the channels are the last axis of the input.
    rng : numpy.random.Generator, optional
        Draws ``reduce_weight`` (R, C), ``reduce_bias`` (R,), ``expand_weight`` (C, R) and ``expand_bias`` (C,), in this
        order, from U(−k, k), k = 1/√C for the first two and 1/√R for the others, as PyTorch's layers start. None makes
        a fresh generator without a seed, so that each block starts differently.
    dtype : dtype
        Of the parameters: float16, float32 or float64. A call's input must have the same.

    Raises
    ------
    TypeError
        If an argument is of another kind.
    ValueError
        If a size is below 1, R included; if a name is unknown; or if width comes together with a reduction or a rule,
        which would then play no part.

    Examples
    --------
    >>> import numpy as np
    >>> block = SqueezeExcitation(32, rng=np.random.default_rng(0))
    >>> {name: array.shape for name, array in block.params.items()}
    {'reduce_weight': (2, 32), 'expand_weight': (32, 2)}
    >>> y, backward = block.forward(np.ones((5, 32, 4, 3), np.float32))
    >>> grad_x, grads = backward(np.ones_like(y))
    >>> y.shape, grad_x.shape, grads["expand_weight"].shape
    ((5, 32, 4, 3), (5, 32, 4, 3), (32, 2))
    """

    def __init__(
        self,
        channels: int,
        reduction: int = 16,
        *,
        width_rule: str = "floor",
        width: int | None = None,
        bias: bool = False,
        activation: Any = "relu",
        gate: Any = "sigmoid",
        channels_last: bool = False,
        rng: np.random.Generator | None = None,
        dtype: Any = "float32",
    ) -> None:
        C = validation.whole("channels", channels, 1)
        if width is None:
            R = reduced_width(C, reduction, width_rule)
        elif (reduction, width_rule) == (16, "floor"):
            R = validation.whole("width", width, 1)
        else:
            raise ValueError(
                f"width={width!r} is given, so that reduction={reduction!r} and width_rule={width_rule!r} would play "
                "no part: leave out either it or them"
            )
        rng = np.random.default_rng() if rng is None else rng
        parameters: Arrays = {}
        for layer, shape in {"reduce": (R, C), "expand": (C, R)}.items():
            parameters |= {
                f"{layer}_{kind}": array for kind, array in _weight_and_bias(shape, bias, rng, dtype).items()
            }
        super().__init__(parameters)
        self.options: dict[str, Any] = {
            "activation": activation,
            "gate": gate,
            "channels_last": validation.flag("channels_last", channels_last),
        }
        self._forward(np.zeros((1, 1, C) if channels_last else (1, C, 1), dtype), training=False)  # checks the names

    def _forward(self, x: Array, training: bool) -> tuple[Array, Pullback, Arrays]:
        parameters = [self._params.get(name) for name in _NAMES]
        y = squeeze_excitation(x, *parameters, **self.options)

        def backward(grad_y: Array) -> tuple[Array, Arrays]:
            grad_x, *grads = squeeze_excitation_backward(grad_y, x, *parameters, **self.options)
            found = dict(zip(_NAMES, grads, strict=True))
            return grad_x, {name: found[name] for name in self._params}

        return y, backward, {}


_NAMES = ("reduce_weight", "expand_weight", "reduce_bias", "expand_bias")
"""The parameters in the order of the operation's arguments."""
