"""Squeeze-and-excitation blocks as other systems build them.

They agree on the equation and differ in all that surrounds it: how the reduced width follows from the number of
channels, whether the layers have biases, which gate ends them, and how the weights are called and shaped. Each entry of
:data:`SE_PRESETS` was read in the source that it names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from attn_ref import validation
from attn_ref.blocks.squeeze_excitation import SqueezeExcitation, reduced_width

__all__ = ["LAYOUTS", "SE_PRESETS", "Layout", "Preset", "se_preset"]


@dataclass(frozen=True)
class Layout:
    """How a system names and shapes the weights.

    Attributes
    ----------
    names : mapping of str to str
        Its names of our parameters.
    kernel : tuple of int
        What follows (R, C) and (C, R) in the shapes of its weights: nothing for linear layers, (1, 1) for convolutions.
    """

    names: Mapping[str, str]
    kernel: tuple[int, ...]


def _layout(reduce: str, expand: str, weight: str, bias: str, kernel: tuple[int, ...]) -> Layout:
    layers = {"reduce": reduce, "expand": expand}
    kinds = {"weight": weight, "bias": bias}
    return Layout({f"{layer}_{kind}": layers[layer] + kinds[kind] for layer in layers for kind in kinds}, kernel)


LAYOUTS: dict[str, Layout] = {
    "linear": _layout("fc.0", "fc.2", ".weight", ".bias", ()),
    "conv": _layout("fc1", "fc2", ".weight", ".bias", (1, 1)),
    "caffe": _layout("1x1_down", "1x1_up", "/0", "/1", (1, 1)),
}
"""The layouts of the presets.

``linear``
    ``fc.0.weight`` (R, C), ``fc.2.weight`` (C, R), and ``.bias``: a PyTorch sequence of Linear, activation and Linear.
``conv``
    ``fc1.weight`` (R, C, 1, 1), ``fc2.weight`` (C, R, 1, 1), and ``.bias``: two 1×1 convolutions in PyTorch.
``caffe``
    ``1x1_down/0`` (R, C, 1, 1), ``1x1_up/0`` (C, R, 1, 1), and ``/1`` for the biases: the layers of the authors'
    models without the name of the stage before them (``conv2_1_1x1_down``), and the number of the blob, as Caffe
    numbers blobs when it saves a net as HDF5.
"""


@dataclass(frozen=True)
class Preset:
    """What a system fixes, and what it leaves to choose.

    Attributes
    ----------
    fixed : mapping of str to object
        Arguments of :class:`~attn_ref.blocks.SqueezeExcitation`. Those that ``choices`` names are defaults.
    choices : tuple of str
        What its constructor lets one choose: arguments of :class:`~attn_ref.blocks.SqueezeExcitation`, and
        ``block_channels``, the channels of the surrounding block's input, of which the reduced width is computed.
    needs : tuple of str
        Those of the choices that have no default.
    layout : str
        A name of :data:`LAYOUTS`.
    source : str
        Where this was read.
    """

    fixed: Mapping[str, Any]
    choices: tuple[str, ...]
    needs: tuple[str, ...]
    layout: str
    source: str


SE_PRESETS: dict[str, Preset] = {
    "senet.pytorch": Preset(
        {"reduction": 16, "width_rule": "floor", "bias": False},
        ("reduction",),
        (),
        "linear",
        "moskomule/senet.pytorch, senet/se_module.py, SELayer",
    ),
    "caffe": Preset(
        {"reduction": 16, "width_rule": "floor", "bias": True},
        ("reduction",),
        (),
        "caffe",
        "hujie-frank/SENet, models/SE-ResNet-50.prototxt; without the sum in its Axpy layer",
    ),
    "torchvision": Preset(
        {"bias": True},
        ("width", "activation", "gate"),
        ("width",),
        "conv",
        "pytorch/vision, torchvision/ops/misc.py, SqueezeExcitation; its scale_activation is the gate",
    ),
    "torchvision.efficientnet": Preset(
        {"reduction": 4, "width_rule": "at_least_one", "bias": True, "activation": "silu"},
        ("block_channels",),
        ("block_channels",),
        "conv",
        "pytorch/vision, torchvision/models/efficientnet.py, MBConv",
    ),
    "torchvision.mobilenet_v3": Preset(
        {"reduction": 4, "width_rule": "make_divisible", "bias": True, "gate": "hard_sigmoid"},
        (),
        (),
        "conv",
        "pytorch/vision, torchvision/models/mobilenetv3.py, InvertedResidual",
    ),
    "timm": Preset(
        {"reduction": 16, "width_rule": "make_divisible_timm", "bias": True},
        ("reduction", "width", "bias", "activation", "gate"),
        (),
        "conv",
        "huggingface/pytorch-image-models, timm/layers/squeeze_excite.py, SEModule; without add_maxpool and norm_layer",
    ),
    "alphapose": Preset(
        {"reduction": 1, "width_rule": "floor", "bias": True},
        ("reduction",),
        (),
        "linear",
        "MVIG-SJTU/AlphaPose, SELayer; its SE_Resnet.py uses it only in blocks with a downsample path",
    ),
}
"""The presets by name. What they leave out is as in :class:`~attn_ref.blocks.SqueezeExcitation`: ReLU and sigmoid."""


def se_preset(
    name: str,
    channels: int,
    *,
    channels_last: bool = False,
    rng: np.random.Generator | None = None,
    dtype: Any = "float32",
    **choices: Any,
) -> SqueezeExcitation:
    """Make a squeeze-and-excitation block as another system does.

    Parameters
    ----------
    name : str
        A name of :data:`SE_PRESETS`.
    channels : int
        C.
    channels_last, rng, dtype
        As in :class:`~attn_ref.blocks.SqueezeExcitation`.
    **choices
        What that system leaves to choose, and nothing else: ``reduction``, ``width``, ``bias``, ``activation``,
        ``gate``, or ``block_channels``; see :attr:`Preset.choices`.

    Returns
    -------
    SqueezeExcitation
        The block, with fresh weights. :func:`~attn_ref.blocks.load_se_weights` gives it those of that system.

    Raises
    ------
    TypeError
        If a choice is missing, or is not that system's; or as for the block.
    ValueError
        If there is no such preset, or as for the block.

    Examples
    --------
    >>> se_preset("timm", 64).params["reduce_weight"].shape
    (8, 64)
    >>> se_preset("torchvision.efficientnet", 96, block_channels=16).params["reduce_weight"].shape
    (4, 96)
    """
    preset = SE_PRESETS[validation.choice("name", name, SE_PRESETS)]
    open_ = f"it leaves to choose {', '.join(preset.choices) or 'nothing'}"
    for choice in choices:
        if choice not in preset.choices:
            raise TypeError(f"preset {name!r} has no {choice}: {open_}; build a SqueezeExcitation for anything else")
    for choice in preset.needs:
        if choices.get(choice) is None:
            raise TypeError(f"preset {name!r} needs {choice}: pass {choice}=…")
    arguments = {**preset.fixed, **choices}
    if "block_channels" in arguments:
        base = validation.whole("block_channels", arguments.pop("block_channels"), 1)
        arguments["width"] = reduced_width(base, arguments["reduction"], arguments["width_rule"])
    if arguments.get("width") is not None and "reduction" not in choices:
        arguments = {key: value for key, value in arguments.items() if key not in ("reduction", "width_rule")}
    return SqueezeExcitation(channels, **arguments, channels_last=channels_last, rng=rng, dtype=dtype)
