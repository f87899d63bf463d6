"""Mistakes that work on NumPy, planted: the tests on the stand-in catch each of them."""

import numpy as np
import pytest

from attn_ref import _kernels, validation
from attn_ref.gradcheck.runner import run_pair
from attn_ref.ops import taps
from attn_ref.registry import OPERATIONS

from . import library
from .test_operations import crowded, examine

to_pixels = taps.to_pixels


def coordinates(change):
    """A mistake at the beginning: in the map from the grid to pixels."""

    def pixels(xp, g, *rest):
        p = to_pixels(xp, g, *rest)
        return change(xp, p) if xp is library.xp else p  # the host stays right

    def plant(patch):
        patch.setattr(taps, "to_pixels", pixels)

    return plant


def scattered(how):
    """A mistake in the sum over taps, in place of the stable sort."""

    def scatter(self, table, axes, Y):
        xp, block = self._cupy, table.whole
        index, weight = block.index, block.weight(*axes)
        rows = block.scaled(axes, Y).reshape(-1, Y.shape[2])
        X = xp.zeros((table.pixels + 1, Y.shape[2]), Y.dtype)
        for k in range(index.shape[1]):
            how(xp, X, index[:, k], weight[:, k, None] * rows)
        return X[:-1].reshape(table.batch, -1, Y.shape[2])

    return lambda patch: patch.setattr(_kernels.Kernels, "scatter", scatter)


def assign(xp, X, index, values):
    X[index] += values


def strided(patch):
    patch.setattr(_kernels.Kernels, "_rows", lambda self, array: array)


def not_cleared(patch):
    patch.setattr(library.xp, "zeros", library.xp.empty)


def on_the_host(patch):
    finish = validation.Numbers.finish

    def finished(numbers, array):
        result = finish(numbers, array)
        return library.xp.asarray(library.asnumpy(result)) if numbers.backend.name == "stand_in" else result

    patch.setattr(validation.Numbers, "finish", finished)


def left_on_the_host(patch):
    finish = validation.Numbers.finish

    def finished(numbers, array):
        result = finish(numbers, array)
        return np.zeros(result.shape) if numbers.backend.name == "stand_in" else result

    patch.setattr(validation.Numbers, "finish", finished)


PLANTED = {
    "numpy.asarray of an array": coordinates(lambda xp, p: np.asarray(p)),
    "a function of NumPy": coordinates(lambda xp, p: np.floor(p)),
    "numpy.zeros in a sum": coordinates(lambda xp, p: p + np.zeros(p.shape)),
    "numpy.zeros as the result": left_on_the_host,
    "float()": coordinates(lambda xp, p: p + 0 * float(p.sum())),
    "item()": coordinates(lambda xp, p: p + 0 * p.sum().item()),
    "bool()": coordinates(lambda xp, p: p if p.any() else -p),
    "int()": coordinates(lambda xp, p: p + 0 * int(xp.isfinite(p).sum())),
    "a mask as an index": coordinates(lambda xp, p: p + 0 * p[p > 0].sum()),
    "a scalar of NumPy": coordinates(lambda xp, p: p * np.float64(1)),
    "a number handed over": coordinates(lambda xp, p: p * xp.asarray(1.0, p.dtype)),
    "a list handed over": coordinates(lambda xp, p: p * xp.array([1.0], p.dtype)),
    "a name that CuPy lacks": coordinates(lambda xp, p: p + 0 * xp.vecdot(p, p)[..., None]),
    "a keyword that CuPy lacks": coordinates(lambda xp, p: xp.add(p, 0, where=p > 0)),
    "a dtype that CuPy lacks": coordinates(lambda xp, p: xp.asarray(p, np.longdouble)),
    "float64 in float32": coordinates(lambda xp, p: p * xp.ones((), "float64")),
    "a copy to the host and back": on_the_host,
    "an unordered scatter": scattered(lambda xp, X, index, values: xp.add.at(X, index, values)),
    "an assignment to repeated places": scattered(assign),
    "an index out of bounds": scattered(lambda xp, X, index, values: xp.add.at(X, index + 1, values)),
    "strides unknown to a kernel": strided,
    "memory that is not cleared": not_cleared,
}

CHECKS = {
    "memory that is not cleared": lambda device: examine(device, "avg_pool2d", 0, "float32"),
    "an unordered scatter": lambda device: crowded(device, mode="bilinear", padding_mode="zeros"),
}
"""The test that is to catch it, where it is not the sampler's."""


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_mistake_is_caught(stand_in, name, monkeypatch):
    check = CHECKS.get(name, lambda device: examine(device, "grid_sample", 1, "float32"))
    check(stand_in)
    PLANTED[name](monkeypatch)
    with pytest.raises((AssertionError, TypeError, AttributeError, ValueError)):
        check(stand_in)


def test_a_cast_before_the_range_test_is_caught(stand_in, monkeypatch):
    """Of NaN and of numbers that fit no integer a device makes anything."""

    def cast(xp, p):
        return to_pixels(xp, p, 2, True) * 0 + p.astype("int32").astype(p.dtype) + (p - xp.floor(p))

    operation = OPERATIONS["grid_sample"]
    arguments = {"examples": 1, "random_seed": 0, "backend": "stand_in", "shrink": False}
    assert run_pair(operation, "special", **arguments).failure is None
    coordinates(cast)(monkeypatch)
    assert run_pair(operation, "special", **arguments).failure is not None
