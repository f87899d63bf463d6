"""Every operation on a device: NumPy's results to rounding, the same bits twice, waiting only to check values."""

import numpy as np
import pytest

import attn_ref
from attn_ref.gradcheck import strategies
from attn_ref.gradcheck.subject import Subject
from attn_ref.registry import OPERATIONS

from .libraries import BOTH, drawn

WAITS = {"affine_inverse": 1, "cross_entropy": 1}
"""Validation that looks at values: is a map singular, is a label a class. Each function waits so often."""

PAIRS = [(name, i) for name, operation in OPERATIONS.items() for i in range(len(operation.variants))]


@BOTH
@pytest.mark.parametrize(("name", "variant"), PAIRS, ids=str)
@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
def test_an_operation_gives_what_it_gives_on_numpy(device, name, variant, dtype):
    examine(device, name, variant, dtype)


def examine(device, name, variant, dtype):
    """Compare with NumPy, run twice, watch for waiting and for arguments that are written to."""
    operation = OPERATIONS[name]
    host = Subject(operation, np.dtype(dtype))
    kinds = ["smooth", "kinks"] if operation.kinked and dtype == "float64" else ["smooth"]
    for kind in kinds:
        strategy = getattr(strategies, operation.strategy)(kind, operation.variants[variant])
        for call in map(host.cast, drawn(strategy, 2)):
            y = host.forward(call.inputs, call.options)
            u, v = host.random(1, y.shape), host.tangents(2, call)
            expected = host.results(call.inputs, u, v, call.options)
            options = {key: placed(device, key, x, dtype) for key, x in call.options.items()}
            given = [device.put(x) for x in call.inputs], device.put(u), [device.put(x) for x in v]
            found, again = (functions(device, operation, *given, options) for _ in range(2))
            bound = host.rounding(call, u, v)
            for want, got, twice in zip(expected, found, again, strict=True):
                assert type(got) is device.xp.ndarray
                assert (got.shape, got.dtype, got.flags.c_contiguous) == (want.array.shape, want.array.dtype, True)
                got, twice = device.get(got), device.get(twice)
                assert got.tobytes() == twice.tobytes()
                assert (np.abs(got.astype(float) - want.array.astype(float)) <= bound).all(), want.what
            for x, y in zip(call.inputs, given[0], strict=True):
                assert device.get(y).tobytes() == x.tobytes()


def placed(device, key, value, dtype):
    """An option; what is an array in the signature lies on the device."""
    if key == "labels":
        return device.put(np.array(value, np.int64))
    return device.put(np.array(value, dtype)) if key.startswith("running") and value is not None else value


def functions(device, operation, inputs, grad_output, tangents, options):
    """All results, each function watched for waiting."""
    results = []
    steps = operation.results(inputs, grad_output, tangents, options)
    many = 2 + operation.has_jvp + operation.has_double_backward
    with device.unattended(many * WAITS.get(operation.name, 0)):
        for _, _, array in steps:
            results.append(array)
    return results


@BOTH
@pytest.mark.parametrize("mode", ["bilinear", "nearest", "bicubic"])
@pytest.mark.parametrize("padding_mode", ["zeros", "border"])
def test_a_pixel_that_many_points_read_gets_the_same_bits_every_time(device, mode, padding_mode):
    crowded(device, mode=mode, padding_mode=padding_mode)


def crowded(device, **options):
    """Thousands of points on a dozen pixels: the order of addition shows in the last bits."""
    rng = np.random.default_rng(0)
    grid, u = rng.uniform(-1.5, 1.5, (2, 40, 50, 2)), rng.standard_normal((2, 3, 40, 50))
    x = rng.standard_normal((2, 3, 3, 4))
    arrays = [a.astype("float32") for a in (u, x, grid)]
    placed = [device.put(a) for a in arrays]
    want = attn_ref.grid_sample_backward(*arrays, align_corners=False, **options)
    seen = set()
    for _ in range(5):
        got = attn_ref.grid_sample_backward(*placed, align_corners=False, **options)
        seen.add(device.get(got.input).tobytes() + device.get(got.grid).tobytes())
    assert len(seen) == 1
    if options["mode"] != "bicubic":  # no weight is negative: Sᵀ|dY| is the size of the sums, of so many terms at most
        size = attn_ref.grid_sample_backward(np.abs(arrays[0]), *arrays[1:], align_corners=False, **options).input
        assert (np.abs(device.get(got.input) - want.input) <= 2 * (4 * 2000 + 4) * 2.0**-24 * size).all()
