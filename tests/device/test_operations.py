"""Every operation on a device: NumPy's results to rounding, the same bits twice, waiting only to check values."""

import numpy as np
import pytest

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
