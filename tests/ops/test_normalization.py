"""Batch normalisation: torch in training and evaluation, statistics, degenerate channels, mistakes."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import attn_ref

SHAPES = [(5, 3), (4, 3, 6), (4, 2, 3, 5), (2, 3, 4, 1, 3)]


def draw(shape, weight, bias, seed=1):
    normal = np.random.default_rng(seed).standard_normal
    C = shape[1]
    mean, var = normal(C), normal(C) ** 2 + 0.1
    x = 3 * normal(shape) + 10
    return [x, 2 + normal(C) if weight else None, normal(C) if bias else None, mean, var]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    ("training", "weight", "bias"), list(itertools.product((True, False), (True, False), (True, False)))
)
def test_as_torch(shape, training, weight, bias):
    torch = pytest.importorskip("torch")
    arrays = draw(shape, weight, bias)
    tensors = [None if a is None else torch.from_numpy(a.copy()) for a in arrays]
    for tensor in tensors[:3]:
        if tensor is not None:
            tensor.requires_grad_()
    x, gamma, beta, mean, var = tensors
    expected = torch.nn.functional.batch_norm(x, mean, var, gamma, beta, training, momentum=0.3, eps=1e-3)
    got = attn_ref.batch_norm(*arrays, training=training, eps=1e-3)
    np.testing.assert_allclose(got, expected.detach().numpy(), rtol=0, atol=1e-12)
    u = np.random.default_rng(2).standard_normal(shape)
    expected.backward(torch.from_numpy(u))
    for ours, theirs in zip(
        attn_ref.batch_norm_backward(u, *arrays, training=training, eps=1e-3), tensors[:3], strict=True
    ):
        if theirs is None:
            assert ours is None
        else:
            np.testing.assert_allclose(ours, theirs.grad.numpy(), rtol=0, atol=1e-11)
    if training:
        moved = attn_ref.batch_norm_statistics(arrays[0], *arrays[3:], momentum=0.3)
        np.testing.assert_allclose(moved.running_mean, mean.numpy(), rtol=0, atol=1e-13)
        np.testing.assert_allclose(moved.running_var, var.numpy(), rtol=0, atol=1e-12)


@given(st.integers(2, 5), st.integers(1, 3), st.integers(1, 4), st.integers(0, 2**16))
def test_the_gradient_in_training_is_orthogonal_to_a_constant_and_but_for_eps_to_the_output(n, channels, pixels, seed):
    """A constant added to a batch, or a factor, changes nothing: Σ dx = 0, and Σ x̂ dx = r Σ x̂ dy · ε/(v + ε)."""
    rng, eps = np.random.default_rng(seed), 0.1
    x = rng.permutation(n * channels * pixels).reshape(n, channels, pixels) / 7
    y = attn_ref.batch_norm(x, training=True, eps=eps)
    v = x.var(axis=(0, 2))
    np.testing.assert_allclose(y.mean(axis=(0, 2)), 0, atol=1e-13)
    np.testing.assert_allclose(y.var(axis=(0, 2)), v / (v + eps), rtol=1e-12)
    u = rng.standard_normal(x.shape)
    dx = attn_ref.batch_norm_backward(u, x, training=True, eps=eps).input
    np.testing.assert_allclose(dx.sum(axis=(0, 2)), 0, atol=1e-12)
    expected = (y * u).sum(axis=(0, 2)) * eps / (v + eps) ** 1.5
    np.testing.assert_allclose((dx * y).sum(axis=(0, 2)), expected, rtol=0, atol=1e-11)


def test_by_hand():
    x = np.array([[0.0, 5.0], [4.0, 5.0]])  # mean 2 and 5, variance 4 and 0
    y = attn_ref.batch_norm(x, np.array([3.0, 3.0]), np.array([1.0, 7.0]), training=True, eps=12.0)
    assert y.tolist() == [[-0.5, 7.0], [2.5, 7.0]]
    moved = attn_ref.batch_norm_statistics(x, np.array([1.0, 1.0]), np.array([1.0, 1.0]), momentum=0.25)
    assert moved.running_mean.tolist() == [1.25, 2.0]
    assert moved.running_var.tolist() == [0.75 + 0.25 * 8, 0.75]  # unbiased: 8, not 4
    y = attn_ref.batch_norm(x, None, None, np.array([1.0, 1.0]), np.array([3.0, 0.0]), training=False, eps=1.0)
    assert y.tolist() == [[-0.5, 4.0], [1.5, 4.0]]


def test_a_large_mean_costs_no_digits():
    x = np.random.default_rng(3).standard_normal((64, 1, 40)).astype(np.float32)
    shifted = (x.astype(np.float64) + 4096).astype(np.float32)  # the shift itself rounds, by 2⁻¹²
    plain, moved = (attn_ref.batch_norm(a, training=True) for a in (x, shifted))
    assert np.abs(plain - moved).max() < 2.0**-10


def test_float16_is_summed_in_float32():
    x = np.full((1, 1, 300, 300), 10.0, np.float16)
    x[..., ::2] = 12
    y = attn_ref.batch_norm(x, training=True)
    assert y.dtype == np.float16
    np.testing.assert_allclose(np.abs(y.astype(float)), 1, atol=2e-3)


def test_running_statistics_are_not_used_in_training_nor_written_to():
    arrays = draw((4, 2, 3, 5), True, True)
    before = [a.copy() for a in arrays]
    with_them = attn_ref.batch_norm(*arrays, training=True)
    assert (with_them == attn_ref.batch_norm(*arrays[:3], training=True)).all()
    attn_ref.batch_norm_statistics(arrays[0], *arrays[3:])
    assert all((a == b).all() for a, b in zip(arrays, before, strict=True))


@pytest.mark.parametrize("training", [True, False])
def test_no_samples_give_nothing_and_zero_gradients(training):
    x, c = np.zeros((0, 3, 4, 5)), np.ones(3)
    assert attn_ref.batch_norm(x, c, c, c, c, training=training).shape == x.shape
    got = attn_ref.batch_norm_backward(x, x, c, c, c, c, training=training)
    assert [a.shape for a in got] == [x.shape, (3,), (3,)]
    assert not any(a.any() for a in got)


GOOD = {"input": np.ones((2, 3, 4, 5)), "weight": np.ones(3), "running_mean": np.ones(3), "running_var": np.ones(3)}


@pytest.mark.parametrize(
    ("changes", "exception", "words"),
    [
        ({"input": np.ones(3)}, ValueError, ["input has 1 axes", "(N, C, …)"]),
        ({"input": np.ones((2, 3, 0))}, ValueError, ["input has no pixels"]),
        ({"input": np.ones((1, 3))}, ValueError, ["input", "(1, 3)", "1 value for each channel", "at least 2"]),
        ({"input": np.ones((1, 3, 1, 1))}, ValueError, ["input", "1 value"]),
        ({"weight": np.ones(4)}, ValueError, ["weight", "(4,)", "(3,)", "channel"]),
        ({"bias": np.ones((1, 3, 1, 1))}, ValueError, ["bias", "(1, 3, 1, 1)", "(3,)"]),
        ({"running_mean": np.ones(2)}, ValueError, ["running_mean", "(2,)"]),
        ({"running_var": np.ones((3, 1))}, ValueError, ["running_var", "(3, 1)"]),
        ({"running_mean": None, "training": False}, ValueError, ["running_mean is None", "(3,)", "training=False"]),
        ({"running_var": None, "training": False}, ValueError, ["running_var is None"]),
        ({"training": 1}, TypeError, ["training", "int 1"]),
        ({"eps": 0.0}, ValueError, ["eps=0.0", "positive"]),
        ({"eps": -1e-5}, ValueError, ["eps=-1e-05"]),
        ({"eps": float("nan")}, ValueError, ["eps=nan"]),
        ({"eps": "1e-5"}, TypeError, ["eps", "str"]),
        ({"eps": True}, TypeError, ["eps", "bool"]),
    ],
)
def test_what_does_not_fit_is_named(changes, exception, words):
    with pytest.raises(exception) as error:
        attn_ref.batch_norm(**{**GOOD, "training": True, **changes})
    assert all(word in str(error.value) for word in words), str(error.value)


def test_one_value_a_channel_is_enough_in_evaluation():
    assert attn_ref.batch_norm(**{**GOOD, "input": np.ones((1, 3))}, training=False).tolist() == [[0.0] * 3]


@pytest.mark.parametrize(
    ("changes", "exception", "words"),
    [
        ({"momentum": None}, TypeError, ["momentum", "NoneType"]),
        ({"momentum": 1.5}, ValueError, ["momentum=1.5", "0 to 1"]),
        ({"momentum": -0.1}, ValueError, ["momentum=-0.1"]),
        ({"input": np.ones((1, 3))}, ValueError, ["input", "1 value"]),
        ({"input": np.ones((0, 3))}, ValueError, ["input", "0 values"]),
        ({"running_mean": None}, TypeError, ["running_mean", "None"]),
    ],
)
def test_what_does_not_fit_the_statistics_is_named(changes, exception, words):
    good = {name: GOOD[name] for name in ("input", "running_mean", "running_var")}
    with pytest.raises(exception) as error:
        attn_ref.batch_norm_statistics(**{**good, **changes})
    assert all(word in str(error.value) for word in words), str(error.value)


def test_a_cotangent_of_another_shape_is_named():
    with pytest.raises(ValueError, match=r"grad_output has shape \(2, 3\): expected \(2, 3, 4, 5\), the"):
        attn_ref.batch_norm_backward(np.ones((2, 3)), **GOOD, training=True)
