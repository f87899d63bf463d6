"""Samplers, one right and many at fault in one way each, in a module so that another process can import them."""

from __future__ import annotations

import itertools
import os
import time
from pathlib import Path
from typing import Any

import numpy as np

import attn_ref

_calls = itertools.count()


def right(input: Any, grid: Any, *, mode: str, padding_mode: str, align_corners: bool) -> Any:
    return attn_ref.grid_sample(input, grid, mode=mode, padding_mode=padding_mode, align_corners=align_corners)


def right_backward(
    grad_output: Any, input: Any, grid: Any, *, mode: str, padding_mode: str, align_corners: bool
) -> Any:
    options = {"mode": mode, "padding_mode": padding_mode, "align_corners": align_corners}
    return tuple(attn_ref.grid_sample_backward(grad_output, input, grid, **options))


def raises(input: Any, grid: Any, **options: Any) -> Any:
    if options["mode"] == "bicubic":
        raise NotImplementedError("cubic is for tomorrow")
    return attn_ref.grid_sample(input, grid, **options)


def wrong_shape(input: Any, grid: Any, **options: Any) -> Any:
    return attn_ref.grid_sample(input, grid, **options)[..., None]


def wrong_dtype(input: Any, grid: Any, **options: Any) -> Any:
    return attn_ref.grid_sample(input, grid, **options).astype(np.float64)


def a_list(input: Any, grid: Any, **options: Any) -> Any:
    return attn_ref.grid_sample(input, grid, **options).tolist()


def mutates(input: Any, grid: Any, **options: Any) -> Any:
    output = attn_ref.grid_sample(input, grid, **options)
    grid += 1
    return output


def gives_nan(input: Any, grid: Any, **options: Any) -> Any:
    output = attn_ref.grid_sample(input, grid, **options)
    output[..., :1] = np.nan
    return output


def differs(input: Any, grid: Any, **options: Any) -> Any:
    return attn_ref.grid_sample(input, grid, **options) + next(_calls)


def trembles(input: Any, grid: Any, **options: Any) -> Any:
    output = attn_ref.grid_sample(input, grid, **options)
    return np.nextafter(output, np.inf) if next(_calls) % 2 else output


def crashes(input: Any, grid: Any, **options: Any) -> Any:
    if np.isnan(grid).any():
        os.abort()
    return attn_ref.grid_sample(input, grid, **options)


def hangs(input: Any, grid: Any, **options: Any) -> Any:
    if "HANGS_NOW" in os.environ:
        Path(os.environ["HANGS_NOW"]).touch()
    time.sleep(3600)


def leaves(input: Any, grid: Any, **options: Any) -> Any:
    raise SystemExit(3)


def swapped(input: Any, grid: Any, **options: Any) -> Any:
    return attn_ref.grid_sample(input, grid[..., ::-1], **options)


def takes_c_order_for_granted(input: Any, grid: Any, **options: Any) -> Any:
    """Reads the memory of its arrays as if it were in C order."""
    as_if = [np.ravel(x, order="K").reshape(x.shape) for x in (input, grid)]
    return attn_ref.grid_sample(*as_if, **options)


def drops_the_tail(input: Any, grid: Any, **options: Any) -> Any:
    """Works in vectors of eight channels, and forgets the rest of them where there are some."""
    output = attn_ref.grid_sample(input, grid, **options)
    if output.shape[1] > 8:
        output[:, output.shape[1] // 8 * 8 :] = 0
    return output


def coarse(input: Any, grid: Any, **options: Any) -> Any:
    """Its image goes through float16."""
    return attn_ref.grid_sample(input.astype(np.float16).astype(input.dtype), grid, **options)


def one_gradient(grad_output: Any, input: Any, grid: Any, **options: Any) -> Any:
    return attn_ref.grid_sample_backward(grad_output, input, grid, **options).input


def rounds_up(input: Any, grid: Any, *, align_corners: bool) -> Any:
    """Nearest with zeros, a tie going to the larger pixel."""
    N, C, H, W = input.shape
    output = np.zeros((N, C, *grid.shape[1:-1]), input.dtype)
    for n, i, j in np.ndindex(grid.shape[:-1]):
        place = []
        for g, size in zip(grid[n, i, j, ::-1].astype(np.float64), (H, W), strict=True):
            p = (g + 1) / 2 * (size - 1) if align_corners else ((g + 1) * size - 1) / 2
            place.append(np.floor(p + 0.5))
        if all(0 <= k < size for k, size in zip(place, (H, W), strict=True)):
            output[n, :, i, j] = input[n, :, int(place[0]), int(place[1])]
        if np.isnan(place).any():
            output[n, :, i, j] = np.nan
    return output
