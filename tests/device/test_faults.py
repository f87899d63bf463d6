"""What can go wrong with a GPU: no memory, no driver, the wrong wheel, two devices, another stream."""

import re
import sys
import types

import numpy as np
import pytest

import attn_ref
from attn_ref import _cuda, backend
from tests.helpers import CALLS, bytes_of

from . import state
from .libraries import BOTH


class CUDARuntimeError(RuntimeError):
    pass


def raising(error):
    def function(*_):
        raise error

    return function


def fake(driver=12080, built_for=12090, devices=1):
    """A CuPy that can be imported, and what its runtime says."""
    count = raising(CUDARuntimeError("cudaErrorNoDevice")) if devices == 0 else lambda: devices
    runtime = types.SimpleNamespace(
        driverGetVersion=lambda: driver, runtimeGetVersion=lambda: built_for, getDeviceCount=count
    )
    return types.SimpleNamespace(cuda=types.SimpleNamespace(runtime=runtime))


@pytest.mark.parametrize(
    ("error", "cupy", "words"),
    [
        (ModuleNotFoundError("No module named 'cupy'", name="cupy"), None, r"not installed.*attn_ref\[cuda12\]"),
        (ImportError("libcublas.so.12: cannot open"), None, "installed but cannot be imported"),
        (CUDARuntimeError("cudaErrorInsufficientDriver"), fake(driver=0), "no NVIDIA driver"),
        (CUDARuntimeError("cudaErrorInsufficientDriver"), fake(driver=11080), r"CUDA 11\.8 .* 12\.9.*cupy-cuda11x"),
        (CUDARuntimeError("cudaErrorInsufficientDriver"), fake(12080, 13000), r"12\.8 .* 13\.0.*cupy-cuda12x"),
        (CUDARuntimeError("cudaErrorNoDevice"), fake(devices=0), "finds no GPU"),
        (RuntimeError("CuPy failed to load libnvrtc.so.12"), fake(), r"NVRTC.*cupy-cuda12x\[ctk\]"),
    ],
)
def test_what_is_wrong_is_said_and_what_to_do(error, cupy, words, monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setitem(backend.BACKENDS, "cupy", raising(error))
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    reason = backend.unusable_because("cupy")
    assert re.search(words, reason)
    assert str(error) in reason
    assert "\n" not in reason


def test_a_hidden_gpu_is_named(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert "CUDA_VISIBLE_DEVICES is ''" in _cuda.explain(CUDARuntimeError("cudaErrorNoDevice"), fake(devices=0))


def test_an_error_of_another_kind_stands_for_itself():
    broken = types.SimpleNamespace(cuda=types.SimpleNamespace(runtime=types.SimpleNamespace()))
    for cupy in (fake(), broken):
        assert _cuda.explain(RuntimeError("something else"), cupy) is None


# ---------------------------------------------------------------------------------------------------------------------
# Memory


def placed(stand_in, call):
    options = {key: stand_in.put(x) for key, x in call.options.items() if isinstance(x, np.ndarray)}
    return call.with_arrays(stand_in.put), options


@pytest.mark.parametrize("name", CALLS)
def test_without_memory_there_is_a_memory_error_and_nothing_is_changed(stand_in, name):
    """At the first allocation, in the middle, at the last one."""
    call, options = placed(stand_in, CALLS[name])
    expected = [stand_in.get(x).tobytes() for x in call.results(**options)]
    with state.memory(2**40):
        call(**options)
        used = 2**40 - state.STATE.memory
    for limit in (0, used // 3, used - 1):
        with state.memory(limit), pytest.raises(MemoryError, match="Out of memory allocating"):
            call(**options)
        assert [stand_in.get(x).tobytes() for x in call.arrays.values()] == bytes_of(*CALLS[name].arrays.values())
    assert [stand_in.get(x).tobytes() for x in call.results(**options)] == expected


def test_an_array_too_large_for_the_device_is_refused_by_name_before_any_work(stand_in):
    x, grid = (stand_in.put(CALLS["grid_sample"].arrays[name]) for name in ("input", "grid"))
    with state.memory(100), state.counting() as counts, pytest.raises(MemoryError, match=r"^(input|grid) asks for"):
        attn_ref.grid_sample(x, grid, align_corners=False)
    assert counts.calls <= 1


# ---------------------------------------------------------------------------------------------------------------------
# Devices and streams


def test_arrays_of_two_devices_are_a_type_error_that_names_both(stand_in):
    call, options = placed(stand_in, CALLS["grid_sample"])
    with state.Device(1):
        elsewhere = stand_in.put(CALLS["grid_sample"].arrays["grid"])
    with pytest.raises(TypeError, match="input lies on cuda:0 and grid on cuda:1"):
        call(grid=elsewhere, **options)


@pytest.mark.parametrize("name", CALLS)
def test_another_device_works_where_it_is_current_and_is_refused_by_name_elsewhere(stand_in, name):
    with state.Device(1):
        call, options = placed(stand_in, CALLS[name])
        results = call.results(**options)
        assert {result.device.id for result in results} == {1}
    with pytest.raises(ValueError, match=r"lies on cuda:1 and the current device .* is cuda:0: .*Device\(1\)"):
        call(**options)


@pytest.mark.parametrize("name", CALLS)
def test_nothing_is_kept_from_one_stream_to_another(stand_in, name):
    """A stream that does not block is ordered after no other: what one makes another may read before it is there."""
    for stream in (state.DEFAULT_STREAM, state.Stream(non_blocking=True), state.Stream(non_blocking=True)):
        with stream:
            call, options = placed(stand_in, CALLS[name])
            call(**options)


@BOTH
@pytest.mark.parametrize("name", ["grid_sample", "grid_sample_backward", "squeeze_excitation_backward", "conv2d"])
def test_a_stream_of_ones_own_gives_the_same_bits(device, name):
    call, options = placed(device, CALLS[name])
    expected = [device.get(x).tobytes() for x in call.results(**options)]
    stream = device.xp.cuda.Stream()
    with stream:
        results = call.results(**options)
        device.backend.synchronize()
        assert [device.get(x).tobytes() for x in results] == expected
