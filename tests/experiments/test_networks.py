"""The networks: equal in size, transformers that start at the identity, and the paper's kinds."""

import itertools

import numpy as np
import pytest

from attn_ref.blocks import Conv2d, Linear, SpatialTransformer
from attn_ref.experiments.networks import GLIMPSE, NETWORKS, PARAMETERS, build, widest

SIZES = {"R": 28, "RTS": 42}


def kinds(block):
    return [type(child) for _, child in block._descendants()]


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
def test_parameter_counts_are_within_a_fifth_of_each_other(size):
    counts = {name: build(name, size, np.random.default_rng(0)).count for name in NETWORKS}
    for (one, a), (other, b) in itertools.combinations(counts.items(), 2):
        assert abs(a - b) <= 0.2 * min(a, b), (one, a, other, b)
    assert all(abs(count - PARAMETERS) <= 0.05 * PARAMETERS for count in counts.values()), counts


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
@pytest.mark.parametrize("name", NETWORKS)
def test_shapes_and_dtypes(name, size):
    rng = np.random.default_rng(1)
    block = build(name, size, rng)
    x = rng.random((3, 1, size, size), np.float32)
    y, backward, _ = block.forward(x, training=True)
    grad_x, grads = backward(rng.standard_normal(y.shape).astype(np.float32))
    assert y.shape == (3, 10)
    assert grad_x.shape == x.shape
    assert {array.dtype for array in (y, *grads.values(), *block.params.values())} == {np.dtype(np.float32)}
    assert {name: array.shape for name, array in grads.items()} == {n: p.shape for n, p in block.params.items()}


def test_kinds():
    for name in NETWORKS:
        found = kinds(build(name, 42, np.random.default_rng(0)))
        assert (Conv2d in found) == ("CNN" in name)
        assert (SpatialTransformer in found) == name.startswith("ST-")
        assert Linear in found


@pytest.mark.parametrize("name", ["ST-FCN", "ST-CNN"])
def test_transformers_start_at_the_identity(name):
    rng = np.random.default_rng(2)
    glimpse = build(name, 42, rng).children["0"]
    x = rng.random((2, 1, 42, 42), np.float32)
    np.testing.assert_array_equal(glimpse.theta(x), np.repeat(np.eye(2, 3, dtype=np.float32)[None], 2, axis=0))
    assert glimpse.forward(x)[0].shape == (2, 1, GLIMPSE, GLIMPSE)


@pytest.mark.parametrize("wanted", [1, 8, 9, 10, 57, 1000])
def test_widest_comes_nearest(wanted):
    def make(width):
        return Linear(4, width, rng=np.random.default_rng(0))  # 5 parameters for each unit

    width = widest(make, wanted)
    assert abs(make(width).count - wanted) == min(abs(5 * other - wanted) for other in range(1, 300))
