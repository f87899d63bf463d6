"""The properties of the gradient checks, on a device: what ``attn-ref check --backend`` does."""

import pytest

from attn_ref.gradcheck import check_gradients
from attn_ref.gradcheck.properties import PROPERTIES
from attn_ref.gradcheck.runner import pairs, run_pair
from attn_ref.registry import OPERATIONS
from tests.helpers import CALLS

from .libraries import BOTH

SLOW = ("oracle", "precision", "second-differences")
"""Compared on the host in other tests: here the results are NumPy's, which is cheaper to see."""
PAIRS = [(operation, name) for operation, name in pairs() if name not in SLOW]


@BOTH
@pytest.mark.parametrize(("operation", "name"), PAIRS, ids=str)
def test_a_property_holds_on_a_device(device, operation, name):
    result = run_pair(OPERATIONS[operation], name, examples=1, random_seed=0, backend=device.name, shrink=False)
    assert result.failure is None, result.failure.message
    assert result.examples >= len(OPERATIONS[operation].variants)


@BOTH
def test_anyones_gradients_are_checked_on_a_device(device):
    """The checker keeps to the host: what it checks goes to the device and back."""
    call, back = CALLS["grid_sample"], CALLS["grid_sample_backward"]

    def forward(x, grid):
        return device.get(call(input=device.put(x), grid=device.put(grid)))

    def backward(u, x, grid):
        arrays = {"grad_output": device.put(u), "input": device.put(x), "grid": device.put(grid)}
        return tuple(device.get(array) for array in back(**arrays))

    inputs = list(call.arrays.values())
    assert check_gradients(forward, backward, inputs, batched=True).passed
    assert not check_gradients(forward, lambda *a: [2 * g for g in backward(*a)], inputs, batched=True).passed


def test_every_property_that_is_left_out_exists():
    assert set(SLOW) < set(PROPERTIES)
