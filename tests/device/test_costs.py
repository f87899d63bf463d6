"""What each operation costs on a device, without a clock: calls of the library, and how often the host waits.

A call costs some ten microseconds on a GPU whatever it does, so the number of calls is the time of a small problem. A
figure here may go down: then write the smaller one.
"""

from dataclasses import astuple

import numpy as np
import pytest

from attn_ref.ops import taps
from tests.helpers import public_calls

from . import state

WAITING = ("affine_inverse", "cross_entropy")
"""They look at values before they compute: once in each function."""

SAMPLER = {
    ("bilinear", "zeros"): (25, 39, 40, 100),
    ("bilinear", "border"): (33, 55, 56, 143),
    ("bilinear", "reflection"): (49, 71, 72, 159),
    ("nearest", "zeros"): (24, 35, 41, 95),
    ("nearest", "border"): (32, 45, 51, 115),
    ("nearest", "reflection"): (48, 61, 67, 131),
    ("bicubic", "zeros"): (45, 63, 64, 137),
    ("bicubic", "border"): (57, 75, 76, 149),
    ("bicubic", "reflection"): (82, 100, 101, 174),
}
"""Calls of grid_sample in 2-D: forward, backward, jvp, double backward."""

OTHERS = {
    "affine_grid": 15,
    "affine_grid_backward": 14,
    "affine_grid_jvp": 15,
    "affine_grid_double_backward": 15,
    "affine_inverse": 47,
    "affine_inverse_backward": 52,
    "affine_inverse_jvp": 52,
    "affine_inverse_double_backward": 63,
    "squeeze_excitation": 13,
    "squeeze_excitation_backward": 36,
    "squeeze_excitation_jvp": 39,
    "squeeze_excitation_double_backward": 95,
    "linear": 2,
    "linear_backward": 3,
    "conv2d": 8,
    "conv2d_backward": 25,
    "batch_norm": 11,
    "batch_norm_backward": 18,
    "batch_norm_statistics": 12,
    "max_pool2d": 10,
    "max_pool2d_backward": 61,
    "avg_pool2d": 17,
    "avg_pool2d_backward": 17,
    "global_avg_pool": 2,
    "global_avg_pool_backward": 3,
    "cross_entropy": 12,
    "cross_entropy_backward": 15,
    "gelu": 7,
    "gelu.backward": 14,
    "gelu.jvp": 14,
    "gelu.double_backward": 37,
    "glu": 3,
    "glu.backward": 10,
    "glu.jvp": 11,
    "glu.double_backward": 32,
    "apply": 26,
    "transpose": 29,
    "grid_gradient": 34,
}


def cost(stand_in, call):
    """Counts of one call."""
    options = {key: stand_in.put(x) for key, x in call.options.items() if isinstance(x, np.ndarray)}
    placed = call.with_arrays(stand_in.put)
    taps._rules.cache_clear()  # what a first call costs
    with state.counting() as counts:
        placed(**options)
    return astuple(counts)


FUNCTIONS = ("grid_sample", "grid_sample_backward", "grid_sample_jvp", "grid_sample_double_backward")


@pytest.mark.parametrize("sizes", [{}, {"batch": 3, "channels": 5, "image": (17, 9), "output": (33, 12)}], ids=str)
@pytest.mark.parametrize(("mode", "padding_mode"), SAMPLER)
@pytest.mark.parametrize("align_corners", [False, True])
def test_the_sampler_makes_so_many_calls_whatever_the_sizes(stand_in, mode, padding_mode, align_corners, sizes):
    calls = public_calls(mode=mode, padding_mode=padding_mode, align_corners=align_corners, **sizes)
    found = [cost(stand_in, calls[name]) for name in FUNCTIONS]
    assert [counts[1:] for counts in found] == [(0, 0)] * 4
    for (count, *_), most in zip(found, SAMPLER[mode, padding_mode], strict=True):
        folds = 3 if align_corners and padding_mode == "reflection" else 0  # a single pixel has no period: three calls
        folds *= 1 if mode == "bicubic" else 2
        assert count == most + folds


@pytest.mark.parametrize("name", [name for name in public_calls() if name not in FUNCTIONS])
def test_an_operation_makes_so_many_calls_whatever_the_sizes(stand_in, name):
    for sizes in ({}, {"batch": 3, "channels": 5, "image": (11, 13), "output": (13, 12)}):
        calls, *others = cost(stand_in, public_calls(**sizes)[name])
        assert others == [int(name.startswith(WAITING)), 0]
        # Squeeze-and-excitation sums up long runs of pixels in two steps, and what is left of them in a third.
        assert calls == OTHERS[name] or (name.startswith("squeeze") and calls <= OTHERS[name])


def test_the_aims_are_met():
    forward, backward, *_ = SAMPLER["bilinear", "zeros"]
    assert forward <= 40
    assert backward <= 80
