"""Weights of other systems, into squeeze-and-excitation blocks and out of them.

A model's weights come as a plain mapping of names to arrays: a PyTorch state dict turned into NumPy, or the blobs of a
Caffe net. The two layers of squeeze and excitation are linear layers in some systems, (R, C), and 1×1 convolutions of
an image of one pixel in others, (R, C, 1, 1), which is the same numbers with two axes more. That is the only conversion
here: everything else that does not fit exactly is refused, and all of it is listed at once.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from attn_ref import validation
from attn_ref.backend import Array
from attn_ref.blocks.block import Arrays, Block
from attn_ref.blocks.se_presets import LAYOUTS, SE_PRESETS, Layout
from attn_ref.blocks.squeeze_excitation import SqueezeExcitation

__all__ = ["export_se_weights", "load_se_weights"]


def load_se_weights(
    block: Block, weights: Mapping[str, Array], *, prefix: str = "", leave_out: Collection[str] = ()
) -> None:
    """Set all parameters and buffers of a block from the weights of another system.

    Parameters
    ----------
    block : Block
        A :class:`~attn_ref.blocks.SqueezeExcitation`, or a block that contains some, as
        :class:`~attn_ref.blocks.SEBasicBlock` does.
    weights : mapping of str to array
        Theirs. The names of squeeze-and-excitation weights are recognised among those of
        :data:`~attn_ref.blocks.se_presets.LAYOUTS`; all others must be ours, which are PyTorch's ("conv1.weight").
        The arrays are copied.
    prefix : str
        Only the names that start with it are considered, without it: "layer1.0.se.".
    leave_out : collection of str
        Names to leave out, in full or their last part. Nothing else is left out: pass ("num_batches_tracked",) for the
        counters that PyTorch's batch normalisation keeps and no equation needs.

    Raises
    ------
    TypeError
        If something is not an array of the dtype and library of the block's parameters.
    ValueError
        If something is missing, left over or of another shape, such as a bias where the block has none; the message
        lists everything. The block is then as before.

    Notes
    -----
    A weight (R, C, 1, 1) becomes (R, C), in every layout; a weight (R, C) is taken as it is. Only weights are carried
    over: that activation, gate and eps are theirs is for who made the block to see to.

    Examples
    --------
    From PyTorch::

        state = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
        load_se_weights(block, state, prefix="layer1.0.", leave_out=("num_batches_tracked",))

    From Caffe's Python interface::

        layers = {name: net.params[f"conv2_1_{name}"] for name in ("1x1_down", "1x1_up")}
        load_se_weights(block, {f"{name}/{i}": blob.data for name in layers for i, blob in enumerate(layers[name])})

    >>> import numpy as np
    >>> block = SqueezeExcitation(8, reduction=4, bias=True, rng=np.random.default_rng(0))
    >>> theirs = {name: np.ones_like(array) for name, array in export_se_weights(block, "torchvision").items()}
    >>> load_se_weights(block, theirs)
    >>> block.params["reduce_weight"][0, 0]
    np.float32(1.0)
    """
    found = _selected(weights, prefix, leave_out)
    ours = {**block.params, **block.buffers}
    names = {name: name for name in ours}
    kernels: dict[str, tuple[tuple[int, ...], ...]] = dict.fromkeys(ours, ((),))
    for path, inner in _inside(block):
        layout = _recognised(path, found)
        for name in inner.params:
            names[path + name] = path + layout.names[name]
            kernels[path + name] = ((), (1, 1)) if name.endswith("weight") else ((),)
    wrong = [f"{name} is missing" for name in names.values() if name not in found]
    wrong += [f"{name} has no place in the block" for name in found if name not in names.values()]
    fitting: Arrays = {}
    for name, theirs in names.items():
        if theirs not in found:
            continue
        array = _checked(theirs, found[theirs], name, ours[name])
        expected = ours[name].shape
        if array.shape not in [expected + kernel for kernel in kernels[name]]:
            wrong.append(f"{theirs} has shape {array.shape} where the block has {expected}")
        elif not wrong:
            fitting[name] = array.reshape(expected)
    if wrong:
        counters = [name for name in found if name.endswith("num_batches_tracked")]
        hint = "; pass leave_out=('num_batches_tracked',) to leave the counters out" if counters else ""
        raise ValueError(f"weights do not fit the {type(block).__name__}: {'; '.join(wrong)}{hint}")
    block.assign(fitting)


def export_se_weights(block: Block, preset: str, *, prefix: str = "") -> Arrays:
    """Return the parameters and buffers of a block as another system names and shapes them.

    Parameters
    ----------
    block : Block
        As in :func:`load_se_weights`.
    preset : str
        The system: a name of :data:`~attn_ref.blocks.se_presets.SE_PRESETS`.
    prefix : str
        What to put before each name.

    Returns
    -------
    dict of str to array
        Copies.

    Raises
    ------
    ValueError
        If there is no such preset; or if a squeeze-and-excitation block has a bias and that system's has none, or the
        other way round.

    Examples
    --------
    >>> import numpy as np
    >>> block = SqueezeExcitation(8, reduction=4, bias=True, rng=np.random.default_rng(0))
    >>> {name: array.shape for name, array in export_se_weights(block, "torchvision").items()}
    {'fc1.weight': (2, 8, 1, 1), 'fc1.bias': (2,), 'fc2.weight': (8, 2, 1, 1), 'fc2.bias': (8,)}
    """
    system = SE_PRESETS[validation.choice("preset", preset, SE_PRESETS)]
    layout = LAYOUTS[system.layout]
    names = {name: name for name in {**block.params, **block.buffers}}
    kernels: dict[str, tuple[int, ...]] = {}
    for path, inner in _inside(block):
        biased = "reduce_bias" in inner.params
        if biased != system.fixed["bias"] and "bias" not in system.choices:
            has = ("has", "none") if biased else ("lacks", "one")
            raise ValueError(
                f"the block {has[0]} a bias and {preset!r} has {has[1]}: build it with bias={not biased}, or choose "
                "another preset"
            )
        for name in inner.params:
            names[path + name] = path + layout.names[name]
            kernels[path + name] = layout.kernel if name.endswith("weight") else ()
    exported: Arrays = {}
    for name, array in {**block.params, **block.buffers}.items():
        exported[prefix + names[name]] = array.reshape(array.shape + kernels.get(name, ())).copy()
    return exported


def _inside(block: Block, path: str = "") -> Iterator[tuple[str, SqueezeExcitation]]:
    """All squeeze-and-excitation blocks in a block, itself included, with what goes before their parameters' names."""
    if isinstance(block, SqueezeExcitation):
        yield path, block
    for name, child in block.children.items():
        yield from _inside(child, f"{path}{name}.")


def _selected(weights: Mapping[str, Any], prefix: str, leave_out: Collection[str]) -> dict[str, Any]:
    """The weights under a prefix, without it, but those to leave out."""
    if not isinstance(weights, Mapping):
        raise TypeError(f"weights must be a mapping of names to arrays, got {type(weights).__name__}")
    if isinstance(leave_out, str):
        raise TypeError(f"leave_out must be a collection of names, got the string {leave_out!r}: pass ({leave_out!r},)")
    for name in weights:
        if not isinstance(name, str):
            raise TypeError(f"weights must have names for keys, got {type(name).__name__} {name!r}")
    under = {name.removeprefix(prefix): array for name, array in weights.items() if name.startswith(prefix)}
    if not under:
        raise ValueError(f"weights have no name that starts with {prefix!r}: got {_some(weights)}")
    unused = [name for name in leave_out if not any(_is(key, name) for key in under)]
    if unused:
        raise ValueError(f"leave_out names {', '.join(unused)}, which weights do not hold under {prefix!r}")
    return {key: array for key, array in under.items() if not any(_is(key, name) for name in leave_out)}


def _is(key: str, name: str) -> bool:
    return key == name or key.endswith(f".{name}")


def _recognised(path: str, found: Collection[str]) -> Layout:
    """The layout with which most of the weights of the block at a path are named."""
    hits = {name: sum(path + key in found for key in layout.names.values()) for name, layout in LAYOUTS.items()}
    best = max(hits, key=hits.__getitem__)
    if not hits[best]:
        known = "; ".join(", ".join(layout.names.values()) for layout in LAYOUTS.values())
        raise ValueError(
            f"weights hold none that is known of a squeeze-and-excitation block, after {path!r}: expected names of one "
            f"of the layouts {known}; got {_some(found)}"
        )
    return LAYOUTS[best]


def _some(names: Collection[str]) -> str:
    """The first few of some names, for a message."""
    more = f" and {len(names) - 8} more" if len(names) > 8 else ""
    return (", ".join(list(names)[:8]) + more) or "none at all"


def _checked(key: str, array: Any, name: str, replaced: Array) -> Array:
    """A copy of an array that has the dtype and the library of what it replaces."""
    given, there = validation.numbers(**{key: array}), validation.numbers(**{name: replaced})
    if given.backend is not there.backend or given.dtype != there.dtype:
        raise TypeError(
            f"{key} is a {given.backend.name} array of {given.dtype} but the block's {name} a {there.backend.name} "
            f"array of {there.dtype}: convert it, or make the block with dtype={str(given.dtype)!r}"
        )
    return given.backend.xp.array(array, dtype=given.dtype, order="C")
