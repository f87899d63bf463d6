"""Strategies for spatial transformers.

A sampler is smooth between pixels and has a kink at every pixel, edge and fold. Points drawn at random land on a kink
with probability zero and *near* one often, which is the wrong way round: a check wants them well inside a cell, or
exactly on the kink. So grids are constructed, in pixels: a whole cell plus a fraction away from 0, ½ and 1, or half
pixels exactly; then brought to normalised coordinates. Images hold no value twice, since equal neighbours hide wrong
taps.

Of the kinds of calls, "kinks" has whole and half pixels, on sizes for which the pixel coordinate is computed exactly;
"exact" has one-pixel axes too, and points up to two images outside. Thetas, images, cotangents and dyadic grids have so
few bits that they are exact in float16 too.
"""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from attn_ref.gradcheck.strategies.basic import Floats, Options, images, sizes, whole
from attn_ref.registry.operation import Call

__all__ = [
    "affine_grid_calls",
    "affine_inverse_calls",
    "empty_shapes",
    "grid_sample_calls",
    "grid_sample_options",
    "grids_dyadic",
    "grids_in_cells",
    "grids_on_kinks",
    "thetas",
]


@st.composite
def empty_shapes(draw: st.DrawFn, ndim: int = 2) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Draw shapes of an image and a grid that have no batch, no channel or no output, but always pixels.

    Parameters
    ----------
    ndim : {2, 3}
        Spatial dimensions.

    Returns
    -------
    strategy of tuple
        The shapes of an image and of a grid.

    Examples
    --------
    >>> from hypothesis import find
    >>> found = find(empty_shapes(2), lambda found: True)  # the simplest
    >>> found
    ((0, 2, 1, 2), (0, 1, 2, 2))
    """
    image = list(draw(sizes(ndim)))
    output = list(draw(st.lists(st.integers(1, 4), min_size=ndim, max_size=ndim, unique=True)))
    which = draw(st.sampled_from(("batch", "channels", "output")))
    if which == "batch":
        image[0] = 0
    elif which == "channels":
        image[1] = 0
    else:
        output[draw(st.integers(0, ndim - 1))] = 0
    return tuple(image), (image[0], *output, ndim)


def _normalised(pixels: Floats, size: int, align_corners: bool) -> Floats:
    """Inverse of the pixel map; on a one-pixel aligned axis, where all coordinates are one, pixels pass as they are."""
    if align_corners:
        return 2 * pixels / (size - 1) - 1 if size > 1 else pixels
    return (2 * pixels + 1) / size - 1


@st.composite
def grids_in_cells(
    draw: st.DrawFn, batch: int, output: tuple[int, ...], space: tuple[int, ...], align_corners: bool
) -> Floats:
    """Draw a grid whose points lie inside cells, at least 0.15 pixel from whole and 0.1 from half pixels.

    From two images before the first pixel to two images behind the last, so that every fold is visited.

    Parameters
    ----------
    batch : int
        N, the number of samples.
    output : tuple of int
        (H_out, W_out) or (D_out, H_out, W_out).
    space : tuple of int
        The image's pixels, (H, W) or (D, H, W).
    align_corners : bool
        The convention in which the grid is meant.

    Returns
    -------
    strategy of ndarray, shape (N, *output, ndim)
        Normalised coordinates, last axis (x, y) or (x, y, z), float64.

    Examples
    --------
    >>> from hypothesis import find
    >>> found = find(grids_in_cells(2, (3, 4), (5, 7), True), lambda found: True)  # the simplest
    >>> found.shape
    (2, 3, 4, 2)
    """
    components = []
    for size in reversed(space):
        code = whole(draw, (batch, *output), -2 * size * 64, 3 * size * 64)
        cell, fraction = code // 64, code % 64
        inside: Floats = np.where(fraction < 32, 0.15 + 0.25 * fraction / 32, 0.6 + 0.25 * (fraction - 32) / 32)
        pixels: Floats = cell + inside
        components.append(_normalised(pixels, size, align_corners))
    return np.stack(components, axis=-1)


@st.composite
def grids_on_kinks(
    draw: st.DrawFn, batch: int, output: tuple[int, ...], space: tuple[int, ...], align_corners: bool
) -> Floats:
    """Draw a grid on whole and half pixels; exactly there if S − 1 (aligned) or S (not) is a power of two.

    Parameters
    ----------
    batch : int
        N, the number of samples.
    output : tuple of int
        (H_out, W_out) or (D_out, H_out, W_out).
    space : tuple of int
        The image's pixels, (H, W) or (D, H, W).
    align_corners : bool
        The convention in which the grid is meant.

    Returns
    -------
    strategy of ndarray, shape (N, *output, ndim)
        Normalised coordinates, last axis (x, y) or (x, y, z), float64.

    Examples
    --------
    >>> import numpy as np
    >>> from hypothesis import find
    >>> found = find(grids_on_kinks(2, (3, 4), (5, 7), True), lambda found: True)  # the simplest
    >>> pixels = (found[..., 0] + 1) / 2 * 6  # along 7 pixels, corners aligned
    >>> found.shape, bool(np.all(2 * pixels == np.round(2 * pixels)))
    ((2, 3, 4, 2), True)
    """
    components = [
        _normalised(whole(draw, (batch, *output), -4 * size, 6 * size) / 2, size, align_corners)
        for size in reversed(space)
    ]
    return np.stack(components, axis=-1)


@st.composite
def grids_dyadic(draw: st.DrawFn, batch: int, output: tuple[int, ...], ndim: int) -> Floats:
    """Draw a grid of multiples of 1/8 in [-5, 5]: exact in every dtype, and mapped to pixels exactly for every size.

    Parameters
    ----------
    batch : int
        N, the number of samples.
    output : tuple of int
        (H_out, W_out) or (D_out, H_out, W_out).
    ndim : {2, 3}
        Spatial dimensions.

    Returns
    -------
    strategy of ndarray, shape (N, *output, ndim)
        Normalised coordinates, last axis (x, y) or (x, y, z), float64.

    Examples
    --------
    >>> from hypothesis import find
    >>> found = find(grids_dyadic(2, (3, 4), 2), lambda found: True)  # the simplest
    >>> found.shape
    (2, 3, 4, 2)
    """
    return whole(draw, (batch, *output, ndim), -40, 40) / 8


@st.composite
def thetas(draw: st.DrawFn, batch: int, ndim: int = 2, *, invertible: bool = False) -> Floats:
    """Draw affine maps of multiples of 1/16, up to 2 in magnitude: rotations, flips, shears, zooms, shifts.

    With ``invertible``, one entry of each row and column outweighs the others, so that every map is well conditioned.

    Parameters
    ----------
    batch : int
        N, the number of samples.
    ndim : {2, 3}
        Spatial dimensions.
    invertible : bool
        Whether all have an inverse.

    Returns
    -------
    strategy of ndarray, shape (N, ndim, ndim + 1)
        Affine maps, float64.

    Examples
    --------
    >>> from hypothesis import find
    >>> found = find(thetas(4, invertible=True), lambda found: True)  # the simplest
    >>> found.shape
    (4, 2, 3)
    """
    if not invertible:
        return whole(draw, (batch, ndim, ndim + 1), -32, 32) / 16
    theta = whole(draw, (batch, ndim, ndim + 1), -4, 4) / 16
    rows = np.arange(ndim)
    for n in range(batch):
        columns = np.array(draw(st.permutations(range(ndim))))
        strong = whole(draw, (ndim,), 16, 32) / 16
        theta[n, rows, columns] = strong * np.where(whole(draw, (ndim,), 0, 1) > 0, -1, 1)
        theta[n, :, -1] *= 4
    return theta


@st.composite
def grid_sample_options(draw: st.DrawFn) -> Options:
    """Draw mode, padding, alignment and layout.

    Returns
    -------
    strategy of dict
        What :func:`attn_ref.grid_sample` takes by name.

    Examples
    --------
    >>> from hypothesis import find
    >>> found = find(grid_sample_options(), lambda found: True)  # the simplest
    >>> found
    {'mode': 'bilinear', 'padding_mode': 'zeros', 'align_corners': False, 'channels_last': False}
    """
    return {
        "mode": draw(st.sampled_from(("bilinear", "nearest", "bicubic"))),
        "padding_mode": draw(st.sampled_from(("zeros", "border", "reflection"))),
        "align_corners": draw(st.booleans()),
        "channels_last": draw(st.booleans()),
    }


@st.composite
def affine_grid_calls(draw: st.DrawFn, kind: str, variant: Options) -> Call:  # noqa: ARG001  linear: no kinks
    """Draw calls of affine_grid.

    Parameters
    ----------
    kind : {"smooth", "kinks", "exact"}
        Which calls, see the head of :mod:`attn_ref.gradcheck.strategies`.
    variant : dict
        One of the variants of affine_grid in :data:`attn_ref.registry.OPERATIONS`.

    Returns
    -------
    strategy of Call
        Inputs of affine_grid in float64, in their order, and its options.

    Examples
    --------
    >>> from hypothesis import find
    >>> variant = {"ndim": 2, "align_corners": True}
    >>> call = find(affine_grid_calls("smooth", variant), lambda call: True)  # the simplest
    >>> call.inputs[0].shape, call.options
    ((1, 2, 3), {'size': (1, 2, 1, 2), 'align_corners': True})
    """
    size = draw(sizes(variant["ndim"]))
    theta = draw(thetas(size[0], variant["ndim"]))
    return Call((theta,), {"size": size, "align_corners": variant["align_corners"]})


@st.composite
def affine_inverse_calls(draw: st.DrawFn, kind: str, variant: Options) -> Call:  # noqa: ARG001  smooth everywhere
    """Draw calls of affine_inverse.

    Parameters
    ----------
    kind : {"smooth", "kinks", "exact"}
        Which calls, see the head of :mod:`attn_ref.gradcheck.strategies`.
    variant : dict
        One of the variants of affine_inverse in :data:`attn_ref.registry.OPERATIONS`.

    Returns
    -------
    strategy of Call
        Inputs of affine_inverse in float64, in their order, and its options.

    Examples
    --------
    >>> from hypothesis import find
    >>> variant = {"ndim": 2}
    >>> call = find(affine_inverse_calls("smooth", variant), lambda call: True)  # the simplest
    >>> call.inputs[0].shape
    (1, 2, 3)
    """
    batch = draw(st.integers(1, 3))
    return Call((draw(thetas(batch, variant["ndim"], invertible=True)),), {})


@st.composite
def grid_sample_calls(draw: st.DrawFn, kind: str, variant: Options) -> Call:
    """Draw calls of grid_sample; the layout is channels first.

    Parameters
    ----------
    kind : {"smooth", "kinks", "exact"}
        Which calls, see the head of :mod:`attn_ref.gradcheck.strategies`.
    variant : dict
        One of the variants of grid_sample in :data:`attn_ref.registry.OPERATIONS`.

    Returns
    -------
    strategy of Call
        Inputs of grid_sample in float64, in their order, and its options.

    Examples
    --------
    >>> from hypothesis import find
    >>> variant = {"ndim": 2, "mode": "bilinear", "padding_mode": "border", "align_corners": True}
    >>> call = find(grid_sample_calls("kinks", variant), lambda call: True)  # the simplest
    >>> [x.shape for x in call.inputs], sorted(call.options)
    ([(1, 2, 1, 2), (1, 1, 2, 2)], ['align_corners', 'mode', 'padding_mode'])
    """
    options = {name: value for name, value in variant.items() if name != "ndim"}
    ndim, aligned = variant["ndim"], variant["align_corners"]
    shape = draw(sizes(ndim, largest=6 if ndim == 2 else 4))
    if kind == "kinks":
        exact_sizes = (1, 2, 3, 5)[: 6 - ndim] if aligned else (1, 2, 4, 8)[: 6 - ndim]
        space = draw(st.lists(st.sampled_from(exact_sizes), min_size=ndim, max_size=ndim, unique=True))
        shape = (*shape[:2], *space)
    output = tuple(draw(st.lists(st.integers(1, 5 - ndim), min_size=ndim, max_size=ndim, unique=ndim == 2)))
    grids = {
        "smooth": grids_in_cells(shape[0], output, shape[2:], aligned),
        "kinks": grids_on_kinks(shape[0], output, shape[2:], aligned),
        "exact": grids_dyadic(shape[0], output, ndim),
    }
    image = draw(images(shape))
    return Call((image, draw(grids[kind])), options)
