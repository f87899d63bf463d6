"""What each operation costs on a device, without a clock: calls of the library, and how often the host waits.

A call costs some ten microseconds on a GPU whatever it does, so the number of calls is the time of a small problem. A
figure here may go down: then write the smaller one.
"""

from dataclasses import astuple

import numpy as np
import pytest

from tests.helpers import public_calls

from . import library

WAITING = ("affine_inverse", "cross_entropy")
"""They look at values before they compute: once in each function."""

SAMPLER = {
    ("bilinear", "zeros"): (37, 65, 62, 163),
    ("bilinear", "border"): (47, 83, 80, 208),
    ("bilinear", "reflection"): (83, 119, 116, 244),
    ("nearest", "zeros"): (33, 48, 56, 123),
    ("nearest", "border"): (43, 60, 68, 145),
    ("nearest", "reflection"): (79, 96, 104, 181),
    ("bicubic", "zeros"): (53, 91, 86, 218),
    ("bicubic", "border"): (63, 101, 96, 228),
    ("bicubic", "reflection"): (99, 137, 132, 264),
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
    "squeeze_excitation": 14,
    "squeeze_excitation_backward": 37,
    "squeeze_excitation_jvp": 41,
    "squeeze_excitation_double_backward": 97,
    "linear": 2,
    "linear_backward": 3,
    "conv2d": 8,
    "conv2d_backward": 26,
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
    "apply": 38,
    "transpose": 45,
    "grid_gradient": 51,
}


def cost(stand_in, call):
    """Counts of one call."""
    options = {key: stand_in.put(x) for key, x in call.options.items() if isinstance(x, np.ndarray)}
    placed = call.with_arrays(stand_in.put)
    with library.counting() as counts:
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
        assert most - 8 <= count <= most


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
