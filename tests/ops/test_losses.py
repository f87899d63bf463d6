"""cross_entropy: values to be computed in the head, torch, large logits, mistakes in the labels."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

import attn_ref

REDUCTION = pytest.mark.parametrize("reduction", ["mean", "sum", "none"])


def test_by_hand():
    z, labels = np.log(np.array([[1.0, 2.0, 5.0], [1.0, 1.0, 2.0]])), np.array([1, 2])
    losses = attn_ref.cross_entropy(z, labels, reduction="none")
    np.testing.assert_allclose(losses, [math.log(4), math.log(2)], rtol=1e-15)
    assert attn_ref.cross_entropy(z, labels) == pytest.approx(1.5 * math.log(2), rel=1e-15)
    dz = attn_ref.cross_entropy_backward(np.array(2.0), z, labels)
    np.testing.assert_allclose(dz, [[1 / 8, 2 / 8 - 1, 5 / 8], [1 / 4, 1 / 4, 2 / 4 - 1]], rtol=0, atol=1e-15)


@REDUCTION
@given(st.integers(1, 5), st.integers(1, 6), st.sampled_from((1.0, 30.0, 1e4)), st.integers(0, 2**16))
def test_as_torch(reduction, samples, classes, scale, seed):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(seed)
    z, labels = scale * rng.standard_normal((samples, classes)), rng.integers(0, classes, samples)
    tensor = torch.from_numpy(z).requires_grad_()
    expected = torch.nn.functional.cross_entropy(tensor, torch.from_numpy(labels), reduction=reduction)
    got = attn_ref.cross_entropy(z, labels, reduction=reduction)
    assert type(got) is np.ndarray
    assert got.shape == expected.shape
    np.testing.assert_allclose(got, expected.detach().numpy(), rtol=1e-13, atol=1e-13)
    u = np.asarray(rng.standard_normal(got.shape))
    expected.backward(torch.from_numpy(u))
    dz = attn_ref.cross_entropy_backward(u, z, labels, reduction=reduction)
    np.testing.assert_allclose(dz, tensor.grad.numpy(), rtol=0, atol=1e-13 * (1 + np.abs(u).max()))
    np.testing.assert_allclose(dz.sum(axis=1), 0, atol=1e-12)  # a constant added to all logits changes nothing


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
@pytest.mark.parametrize("size", [1e4, -1e4])
def test_large_logits_overflow_nowhere(dtype, size):
    z = np.array([[size, 0.0, 1.0], [size, size, size]], dtype)
    losses = attn_ref.cross_entropy(z, np.array([0, 1]), reduction="none")
    expected = [0.0 if size > 0 else 1e4 + math.log(1 + math.e), math.log(3)]
    np.testing.assert_allclose(losses, expected, rtol=2 * np.finfo(dtype).eps)
    assert np.isfinite(attn_ref.cross_entropy_backward(np.array(1.0, dtype), z, np.array([0, 1]))).all()


def test_infinite_and_nan_logits_are_data():
    z = np.array([[0.0, -np.inf], [0.0, -np.inf], [np.inf, 0.0], [np.nan, 0.0]])
    losses = attn_ref.cross_entropy(z, np.array([0, 1, 1, 1]), reduction="none")
    np.testing.assert_array_equal(losses, [0.0, np.inf, np.nan, np.nan])


def test_float16_losses_are_summed_in_float32():
    z = np.zeros((4096, 2), np.float16)
    z[:, 1] = 1
    labels = np.zeros(4096, int)
    one = attn_ref.cross_entropy(z[:1].astype(float), labels[:1])
    assert attn_ref.cross_entropy(z, labels, reduction="sum") == np.float16(4096 * one)
    assert attn_ref.cross_entropy(z, labels) == np.float16(one)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "uint64", ">i8"])
def test_labels_may_be_any_integers_stored_in_any_way(dtype):
    z = np.random.default_rng(1).standard_normal((4, 3))
    labels = np.array([2, 0, 1, 2])
    for given_labels in (labels.astype(dtype), np.repeat(labels, 2).astype(dtype)[::2]):
        before = given_labels.tobytes()
        for reduction in ("mean", "none"):
            got = attn_ref.cross_entropy(z, given_labels, reduction=reduction)
            assert (got == attn_ref.cross_entropy(z, labels, reduction=reduction)).all()
        u = np.array(0.5)
        got = attn_ref.cross_entropy_backward(u, z, given_labels)
        assert (got == attn_ref.cross_entropy_backward(u, z, labels)).all()
        assert given_labels.tobytes() == before


def test_no_samples():
    z, labels = np.zeros((0, 3)), np.zeros(0, int)
    assert attn_ref.cross_entropy(z, labels, reduction="sum") == 0
    assert attn_ref.cross_entropy(z, labels, reduction="none").shape == (0,)
    assert attn_ref.cross_entropy_backward(np.array(1.0), z, labels, reduction="sum").shape == (0, 3)
    with pytest.raises(ValueError, match=r"logits has no samples, shape \(0, 3\): the mean loss of none is undefined"):
        attn_ref.cross_entropy(z, labels)


@pytest.mark.parametrize("function", [attn_ref.cross_entropy, attn_ref.cross_entropy_backward])
@pytest.mark.parametrize(
    ("changes", "exception", "words"),
    [
        ({"labels": np.array([0, 3])}, ValueError, ["labels[1] is 3", "from 0 to 2", "3 columns"]),
        ({"labels": np.array([-1, 5])}, ValueError, ["labels[0] is -1", "from 0 to 2"]),
        ({"labels": np.array([0, -100])}, ValueError, ["labels[1] is -100"]),
        ({"labels": np.array([0, 2**63], np.uint64)}, ValueError, ["labels[1] is 9223372036854775808"]),
        ({"labels": np.array([0.0, 1.0])}, TypeError, ["labels has dtype float64", "integers", ".astype(numpy.int64)"]),
        ({"labels": np.array([True, False])}, TypeError, ["labels has dtype bool", "integers"]),
        ({"labels": np.eye(3)[:2]}, TypeError, ["labels has dtype float64", "index"]),
        ({"labels": np.array([[0], [1]])}, ValueError, ["labels has shape (2, 1)", "(2,)"]),
        ({"labels": np.array([0, 1, 2])}, ValueError, ["labels has shape (3,)", "(2,)"]),
        ({"labels": [0, 1]}, TypeError, ["labels must be an array", "list", "numpy.asarray"]),
        ({"labels": None}, TypeError, ["labels must be an array", "required"]),
        ({"labels": np.ma.masked_array([0, 1], [True, False])}, TypeError, ["labels", "mask", ".filled"]),
        ({"labels": sparse.coo_array([0, 1])}, TypeError, ["labels", ".toarray()"]),
        ({"logits": np.zeros((2, 0))}, ValueError, ["labels[0] is 0", "0 columns"]),
        ({"logits": np.zeros(3)}, ValueError, ["logits has 1 axes", "(N, K)"]),
        ({"logits": np.zeros((2, 3), int)}, TypeError, ["logits has dtype int64"]),
        ({"reduction": "average"}, ValueError, ["reduction='average'", "'mean', 'sum', 'none'"]),
        ({"reduction": None}, TypeError, ["reduction", "NoneType"]),
    ],
)
def test_what_does_not_fit_is_named(function, changes, exception, words):
    call = {"logits": np.zeros((2, 3)), "labels": np.array([0, 1]), **changes}
    if function is attn_ref.cross_entropy_backward:
        call["grad_output"] = np.array(1.0)
    with pytest.raises(exception) as error:
        function(**call)
    assert all(word in str(error.value) for word in words), str(error.value)


@REDUCTION
def test_a_cotangent_of_another_shape_is_named(reduction):
    wrong = np.ones(()) if reduction == "none" else np.ones(2)
    with pytest.raises(ValueError, match=r"grad_output has shape .*: expected .*, the shape of the output for"):
        attn_ref.cross_entropy_backward(wrong, np.zeros((2, 3)), np.array([0, 1]), reduction=reduction)
