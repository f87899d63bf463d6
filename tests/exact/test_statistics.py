"""Literal batch normalisation and cross-entropy: torch in float64, and what 50 digits are for."""

import itertools

import numpy as np
import pytest

from attn_ref import exact


def numbers(shape, seed=1):
    return np.random.default_rng(seed).integers(-40, 41, shape) / 8


@pytest.mark.parametrize(
    ("training", "weight", "bias"), list(itertools.product((True, False), (True, False), (True, False)))
)
def test_batch_norm_as_torch(training, weight, bias):
    torch = pytest.importorskip("torch")
    x, gamma, beta = numbers((3, 2, 3)), numbers((2,), 2) if weight else None, numbers((2,), 3) if bias else None
    running = numbers((2,), 4), np.abs(numbers((2,), 5)) + 0.5
    tensors = [None if a is None else torch.from_numpy(a).requires_grad_() for a in (x, gamma, beta)]
    statistics = [torch.from_numpy(a.copy()) for a in running]
    expected = torch.nn.functional.batch_norm(tensors[0], *statistics, *tensors[1:], training, eps=1e-3)
    options = {"training": training, "eps": 1e-3}
    y = exact.batch_norm(x, gamma, beta, *running, **options)
    np.testing.assert_allclose(exact.to_float(y), expected.detach().numpy(), rtol=0, atol=1e-12)
    u = numbers(x.shape, 6)
    expected.backward(torch.from_numpy(u))
    for ours, theirs in zip(exact.batch_norm_backward(u, x, gamma, beta, *running, **options), tensors, strict=True):
        assert (ours is None) == (theirs is None)
        if ours is not None:
            np.testing.assert_allclose(exact.to_float(ours), theirs.grad.numpy(), rtol=0, atol=1e-11)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_cross_entropy_as_torch(reduction):
    torch = pytest.importorskip("torch")
    z, labels = numbers((3, 4)), [2, 0, 3]
    tensor = torch.from_numpy(z).requires_grad_()
    expected = torch.nn.functional.cross_entropy(tensor, torch.tensor(labels), reduction=reduction)
    got = exact.cross_entropy(z, labels, reduction=reduction)
    np.testing.assert_allclose(exact.to_float(got), expected.detach().numpy(), rtol=1e-14, atol=1e-14)
    u = numbers(tuple(expected.shape), 2) + 1 / 16
    expected.backward(torch.from_numpy(np.asarray(u)))
    dz = exact.cross_entropy_backward(u, z, labels, reduction=reduction)
    np.testing.assert_allclose(exact.to_float(dz), tensor.grad.numpy(), rtol=0, atol=1e-14)


def test_a_small_variance_beside_a_large_mean_keeps_its_digits():
    """The values are 2³⁰ and 2³⁰ + 2⁻²⁰, 50 bits apart: a deviation of 2⁻²¹."""
    x = np.array([[2.0**30], [2.0**30 + 2.0**-20]])
    y = exact.to_float(exact.batch_norm(x, training=True, eps=2.0**-42))
    np.testing.assert_allclose(y, [[-(0.5**0.5)], [0.5**0.5]], rtol=1e-15)


def test_huge_logits_overflow_nowhere():
    losses = exact.to_float(exact.cross_entropy([[1e4, 0.0], [-1e4, 1e4]], [1, 1], reduction="none"))
    assert losses.tolist() == [1e4, 0.0]
