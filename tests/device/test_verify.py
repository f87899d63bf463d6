"""The verifier's adapter for CuPy: an implementation on a device is verified from the host."""

import sys

import pytest

import attn_ref
from attn_ref.verify import verify

from . import library
from .libraries import BOTH

SAMPLER = (attn_ref.grid_sample, attn_ref.grid_sample_backward)
SECOND = {"jvp": attn_ref.grid_sample_jvp, "double_backward": attn_ref.grid_sample_double_backward}


@pytest.fixture
def as_cupy(device, monkeypatch):
    """What the adapter imports by the name of cupy."""
    if device.name == "stand_in":
        monkeypatch.setitem(sys.modules, "cupy", library.xp)
    return device


@BOTH
@pytest.mark.parametrize(("operation", "functions", "second"), [
    ("grid_sample", SAMPLER, SECOND),
    ("affine_grid", (attn_ref.affine_grid, attn_ref.affine_grid_backward), {}),
    ("squeeze_excitation", (attn_ref.squeeze_excitation, attn_ref.squeeze_excitation_backward), {}),
])  # fmt: skip
def test_our_own_operations_are_right_on_a_device(as_cupy, operation, functions, second):
    report = verify(operation, *functions, **second, adapter="cupy", examples=12, isolate=False)
    assert report.passed, str(report)


@BOTH
def test_a_mistake_on_a_device_is_found(as_cupy):
    def doubled(grad_output, *inputs, **options):
        result = attn_ref.grid_sample_backward(grad_output, *inputs, **options)
        return result._replace(grid=2 * result.grid)

    report = verify("grid_sample", attn_ref.grid_sample, doubled, adapter="cupy", examples=6, isolate=False)
    assert not report.passed


@BOTH
def test_an_array_left_on_the_host_is_found(as_cupy):
    def left(*inputs, **options):
        return as_cupy.get(attn_ref.affine_grid(*inputs, **options))

    assert not verify("affine_grid", left, adapter="cupy", examples=2, isolate=False).passed
