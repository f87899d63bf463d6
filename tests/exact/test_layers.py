"""The literal layers: values to be computed in the head, and torch in float64."""

from fractions import Fraction

import numpy as np
import pytest

from attn_ref import exact


def numbers(shape, seed=1):
    """Multiples of 1/8, few of them equal."""
    return np.random.default_rng(seed).integers(-40, 41, shape) / 8


def compare(name, arrays, options, others=()):
    """Forward and backward of a function of exact and of torch.nn.functional."""
    torch = pytest.importorskip("torch")
    tensors = [None if a is None else torch.from_numpy(a).requires_grad_() for a in arrays]
    expected = getattr(torch.nn.functional, name)(*tensors, *others, **options)
    np.testing.assert_allclose(
        exact.to_float(getattr(exact, name)(*arrays, *others, **options)), expected.detach().numpy(), rtol=0, atol=1e-13
    )
    u = numbers(tuple(expected.shape), 2)
    expected.backward(torch.from_numpy(u))
    found = getattr(exact, f"{name}_backward")(u, *arrays, *others, **options)
    found = found if isinstance(found, tuple) else (found,)
    for ours, theirs in zip(found, tensors, strict=True):
        assert (ours is None) == (theirs is None)
        if ours is not None:
            np.testing.assert_allclose(exact.to_float(ours), theirs.grad.numpy(), rtol=0, atol=1e-13)


@pytest.mark.parametrize("bias", [True, False])
def test_linear_as_torch(bias):
    compare("linear", [numbers((3, 4)), numbers((2, 4)), numbers((2,)) if bias else None], {})


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"stride": (1, 2), "padding": (2, 1)},
        {"dilation": (2, 1), "groups": 2},
        {"stride": 3, "padding": 1, "dilation": (1, 2), "groups": 2},
    ],
)
@pytest.mark.parametrize("bias", [True, False])
def test_conv2d_as_torch(options, bias):
    W = numbers((6, 4 // options.get("groups", 1), 2, 3))
    compare("conv2d", [numbers((2, 4, 6, 7)), W, numbers((6,)) if bias else None], options)


@pytest.mark.parametrize("name", ["max_pool2d", "avg_pool2d"])
@pytest.mark.parametrize(
    ("kernel", "options"), [(2, {}), ((3, 2), {"stride": (1, 3)}), (3, {"stride": 2, "padding": 1})]
)
def test_pools_as_torch(name, kernel, options):
    compare(name, [numbers((2, 3, 6, 7)) // 2], options, (kernel,))  # whole numbers: many ties


def test_by_hand_and_without_rounding():
    third = Fraction(1, 3)
    x = np.array([[[[third, 1], [Fraction(1, 7), 0]]]], dtype=object)
    assert exact.conv2d(x, np.array([[[[3]], [[7]]]], dtype=object).reshape(1, 1, 2, 1)).tolist() == [[[[2, 3]]]]
    assert exact.global_avg_pool(x).tolist() == [[(third + 1 + Fraction(1, 7)) / 4]]
    assert exact.global_avg_pool_backward([[1]], x).tolist() == [[[[Fraction(1, 4)] * 2] * 2]]
    assert exact.max_pool2d_backward([[[[third]]]], x * 0, 2).tolist() == [[[[third, 0], [0, 0]]]]


@pytest.mark.parametrize(
    "call",
    [
        lambda: exact.linear_backward(np.ones((2, 2)), np.ones((3, 4)), np.ones((2, 4))),
        lambda: exact.conv2d_backward(np.ones((1, 1, 3, 3)), np.ones((1, 1, 3, 3)), np.ones((1, 1, 2, 2))),
        lambda: exact.avg_pool2d_backward(np.ones((1, 1, 2, 2)), np.ones((1, 1, 2, 2)), 2),
        lambda: exact.global_avg_pool_backward(np.ones((1, 1, 1)), np.ones((1, 1, 2))),
    ],
)
def test_a_cotangent_of_another_shape_is_named(call):
    with pytest.raises(ValueError, match="grad_output has shape"):
        call()


def test_a_bias_of_another_length_is_named():
    with pytest.raises(ValueError, match=r"bias has shape \(3,\)"):
        exact.linear(np.ones((1, 2)), np.ones((2, 2)), np.ones(3))
