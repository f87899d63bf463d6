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
    ("bilinear", "zeros"): (3, 21, 35, 36, 96),
    ("bilinear", "border"): (3, 25, 47, 48, 135),
    ("bilinear", "reflection"): (3, 38, 60, 61, 148),
    ("nearest", "zeros"): (3, 20, 31, 37, 91),
    ("nearest", "border"): (3, 24, 37, 43, 107),
    ("nearest", "reflection"): (3, 37, 50, 56, 120),
    ("bicubic", "zeros"): (24, 22, 40, 41, 114),
    ("bicubic", "border"): (32, 22, 40, 41, 114),
    ("bicubic", "reflection"): (52, 24, 42, 43, 116),
}
"""Calls of grid_sample in 2-D: once for all of its size; forward, backward, jvp, double backward."""

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
    "conv2d": 9,
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
    "apply": 25,
    "transpose": 28,
    "grid_gradient": 33,
}


def cost(stand_in, call, *, again=False):
    """Counts of a first call, or of one more on images of the same size."""
    options = {key: stand_in.put(x) for key, x in call.options.items() if isinstance(x, np.ndarray)}
    placed = call.with_arrays(stand_in.put)
    taps._rules.cache_clear()
    if again:
        placed(**options)
    with state.counting() as counts:
        placed(**options)
    return astuple(counts)


FUNCTIONS = ("grid_sample", "grid_sample_backward", "grid_sample_jvp", "grid_sample_double_backward")


@pytest.mark.parametrize("again", [False, True])
@pytest.mark.parametrize("sizes", [{}, {"batch": 3, "channels": 5, "image": (17, 9), "output": (33, 12)}], ids=str)
@pytest.mark.parametrize(("mode", "padding_mode"), SAMPLER)
@pytest.mark.parametrize("align_corners", [False, True])
def test_the_sampler_makes_so_many_calls_whatever_the_sizes(stand_in, mode, padding_mode, align_corners, sizes, again):
    calls = public_calls(mode=mode, padding_mode=padding_mode, align_corners=align_corners, **sizes)
    found = [cost(stand_in, calls[name], again=again) for name in FUNCTIONS]
    assert [counts[1:] for counts in found] == [(0, 0)] * 4
    once, *most = SAMPLER[mode, padding_mode]
    extra = align_corners and padding_mode == "reflection"  # a single pixel has no period
    assert [count for count, *_ in found] == [count + extra + (0 if again else once) for count in most]


@pytest.mark.parametrize("name", [name for name in public_calls() if name not in FUNCTIONS])
def test_an_operation_makes_so_many_calls_whatever_the_sizes(stand_in, name):
    for sizes in ({}, {"batch": 3, "channels": 5, "image": (11, 13), "output": (13, 12)}):
        calls, *others = cost(stand_in, public_calls(**sizes)[name])
        assert others == [int(name.startswith(WAITING)), 0]
        # Squeeze-and-excitation sums up long runs of pixels in two steps, and what is left of them in a third.
        assert calls == OTHERS[name] or (name.startswith("squeeze") and calls <= OTHERS[name])


def test_the_aims_are_met():
    for _, forward, backward, *_ in SAMPLER.values():
        assert forward + 1 <= 40
        assert backward + 1 <= 80
