"""linear: values to be computed in the head, and torch. Rules about arrays are in the tests of all functions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import attn_ref


def test_by_hand():
    x, W, b = np.array([[1.0, 2.0, 3.0]]), np.array([[1.0, 0.0, -1.0], [0.5, 0.5, 0.5]]), np.array([10.0, -3.0])
    assert attn_ref.linear(x, W).tolist() == [[-2.0, 3.0]]
    assert attn_ref.linear(x, W, b).tolist() == [[8.0, 0.0]]
    got = attn_ref.linear_backward(np.array([[2.0, 4.0]]), x, W, b)
    assert got.input.tolist() == [[4.0, 2.0, 0.0]]
    assert got.weight.tolist() == [[2.0, 4.0, 6.0], [4.0, 8.0, 12.0]]
    assert got.bias.tolist() == [2.0, 4.0]
    assert attn_ref.linear_backward(np.array([[2.0, 4.0]]), x, W).bias is None


@given(st.integers(0, 5), st.integers(0, 4), st.integers(0, 7), st.booleans(), st.integers(0, 2**16))
def test_as_torch(samples, features, outputs, with_bias, seed):
    torch = pytest.importorskip("torch")
    normal = np.random.default_rng(seed).standard_normal
    arrays = [normal((samples, features)), normal((outputs, features)), normal(outputs) if with_bias else None]
    tensors = [None if a is None else torch.from_numpy(a).requires_grad_() for a in arrays]
    expected = torch.nn.functional.linear(*tensors)
    got = attn_ref.linear(*arrays)
    np.testing.assert_allclose(got, expected.detach().numpy(), rtol=0, atol=1e-12)
    u = normal(got.shape)
    expected.backward(torch.from_numpy(u))
    for ours, theirs in zip(attn_ref.linear_backward(u, *arrays), tensors, strict=True):
        if theirs is None:
            assert ours is None
        else:
            np.testing.assert_allclose(ours, theirs.grad.numpy(), rtol=0, atol=1e-12)


def test_float16_is_summed_in_float32():
    """2049 ones: a sum kept in half stops at 2048."""
    x = np.ones((1, 4096), np.float16)
    assert attn_ref.linear(x, x).item() == 4096.0
    rows = np.ones((4096, 1), np.float16)
    assert attn_ref.linear_backward(rows, rows, x[:, :1], x[0, :1]).bias.item() == 4096.0


def test_no_features_leave_the_bias_and_no_samples_leave_zeros():
    b = np.array([1.0, 2.0])
    assert attn_ref.linear(np.zeros((3, 0)), np.zeros((2, 0)), b).tolist() == [[1.0, 2.0]] * 3
    got = attn_ref.linear_backward(np.zeros((0, 2)), np.zeros((0, 4)), np.ones((2, 4)), b)
    assert [a.shape for a in got] == [(0, 4), (2, 4), (2,)]
    assert not any(a.any() for a in got)


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"input": np.ones((2, 5))}, ["input has 5 features", "(3, 4)", "takes 4", r"(N, 4)"]),
        ({"input": np.ones(4)}, ["input has 1 axes", "(N, F_in)"]),
        ({"weight": np.ones((3, 4, 1, 1))}, ["weight has 4 axes", "(F_out, F_in)"]),
        ({"bias": np.ones(4)}, ["bias has shape (4,)", "(3,)"]),
        ({"bias": np.ones((1, 3))}, ["bias has shape (1, 3)", "(3,)"]),
    ],
)
def test_what_does_not_fit_is_named(arrays, words):
    good = {"input": np.ones((2, 4)), "weight": np.ones((3, 4)), "bias": np.ones(3)}
    with pytest.raises(ValueError, match=words[0].replace("(", r"\(").replace(")", r"\)")) as error:
        attn_ref.linear(**{**good, **arrays})
    assert all(word in str(error.value) for word in words)


def test_a_cotangent_of_another_shape_is_named():
    with pytest.raises(ValueError, match=r"grad_output has shape \(3, 2\): expected \(2, 3\)"):
        attn_ref.linear_backward(np.ones((3, 2)), np.ones((2, 4)), np.ones((3, 4)))
