"""Pooling: values to be computed in the head, torch over all options, ties, NaN, mistakes."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import attn_ref

KERNELS = [1, 2, 3, (3, 2), (1, 4)]
STRIDES = [None, 1, 2, (1, 3)]
PADDINGS = [0, 1, (1, 0)]
OPTIONS = [
    (k, s, p)
    for k, s, p in itertools.product(KERNELS, STRIDES, PADDINGS)
    if all(2 * beyond <= size for beyond, size in zip(np.broadcast_to(p, 2), np.broadcast_to(k, 2), strict=True))
]
POOLS = {
    "max_pool2d": (attn_ref.max_pool2d, attn_ref.max_pool2d_backward),
    "avg_pool2d": (attn_ref.avg_pool2d, attn_ref.avg_pool2d_backward),
}
POOL = pytest.mark.parametrize("name", list(POOLS))


@POOL
@pytest.mark.parametrize(("kernel", "stride", "padding"), OPTIONS)
def test_as_torch_over_all_options(name, kernel, stride, padding):
    """With many ties: the numbers are whole and few."""
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(7)
    x = rng.integers(-2, 3, (2, 3, 8, 7)).astype(float)
    forward, backward = POOLS[name]
    tensor = torch.from_numpy(x).requires_grad_()
    expected = getattr(torch.nn.functional, name)(tensor, kernel, stride=stride, padding=padding)
    got = forward(x, kernel, stride=stride, padding=padding)
    np.testing.assert_allclose(got, expected.detach().numpy(), rtol=0, atol=1e-14)
    u = rng.standard_normal(got.shape)
    expected.backward(torch.from_numpy(u))
    np.testing.assert_allclose(
        backward(u, x, kernel, stride=stride, padding=padding), tensor.grad.numpy(), rtol=0, atol=1e-14
    )


@POOL
@given(data=st.data())
def test_at_any_shape_the_backward_pass_hands_on_the_whole_cotangent(name, data):
    draw = lambda low, high: data.draw(st.integers(low, high))  # noqa: E731
    kernel, stride = (draw(1, 4), draw(1, 4)), (draw(1, 5), draw(1, 5))
    padding = (0, 0) if name == "avg_pool2d" else tuple(draw(0, k // 2) for k in kernel)
    shape = (draw(0, 2), draw(0, 3), kernel[0] + draw(0, 6), kernel[1] + draw(0, 6))
    rng = np.random.default_rng(draw(0, 2**16))
    x = rng.standard_normal(shape)
    forward, backward = POOLS[name]
    y = forward(x, kernel, stride=stride, padding=padding)
    u = rng.standard_normal(y.shape)
    dx = backward(u, x, kernel, stride=stride, padding=padding)
    assert dx.shape == x.shape
    np.testing.assert_allclose(dx.sum(), u.sum(), rtol=0, atol=1e-11)
    np.testing.assert_allclose((dx * x).sum(), (u * y).sum(), rtol=0, atol=1e-11)  # homogeneous of degree 1


def test_of_equal_pixels_the_first_row_by_row_gets_the_whole_cotangent():
    x = np.zeros((1, 1, 2, 4))
    x[0, 0, 1, 0] = x[0, 0, 0, 1] = 3
    got = attn_ref.max_pool2d_backward(np.array([[[[5.0, 7.0]]]]), x, 2)
    assert got[0, 0].tolist() == [[0, 5, 7, 0], [0, 0, 0, 0]]


def test_nan_is_the_largest_and_the_first_of_several_is_chosen():
    nan = np.nan
    x = np.array([[[[1.0, nan, nan, 2.0], [np.inf, 3.0, nan, nan]]]])
    assert np.isnan(attn_ref.max_pool2d(x, 2)).all()
    assert attn_ref.max_pool2d_backward(np.array([[[[5.0, 7.0]]]]), x, 2)[0, 0].tolist() == [[0, 5, 7, 0], [0] * 4]


def test_a_single_nan_in_a_window_is_chosen_as_in_torch():
    torch = pytest.importorskip("torch")
    x = np.random.default_rng(3).standard_normal((2, 3, 6, 8))
    x[:, :, ::2, ::4] = np.nan
    tensor = torch.from_numpy(x).requires_grad_()
    expected = torch.nn.functional.max_pool2d(tensor, 2)
    u = np.random.default_rng(4).standard_normal(expected.shape)
    expected.backward(torch.from_numpy(u))
    np.testing.assert_array_equal(attn_ref.max_pool2d(x, 2), expected.detach().numpy())
    np.testing.assert_array_equal(attn_ref.max_pool2d_backward(u, x, 2), tensor.grad.numpy())


@pytest.mark.parametrize("value", [-np.inf, -1e300, -5.0])
def test_padding_is_never_chosen(value):
    x = np.full((1, 1, 3, 3), value)
    y = attn_ref.max_pool2d(x, 3, stride=2, padding=1)
    assert (y == value).all()
    u = np.arange(1.0, 5.0).reshape(1, 1, 2, 2)
    dx = attn_ref.max_pool2d_backward(u, x, 3, stride=2, padding=1)
    assert dx[0, 0].tolist() == [[1, 2, 0], [3, 4, 0], [0, 0, 0]]


def test_an_infinite_cotangent_of_one_window_stays_in_it():
    dx = attn_ref.max_pool2d_backward(np.array([[[[np.inf, np.nan]]]]), np.arange(8.0).reshape(1, 1, 2, 4), 2)
    np.testing.assert_array_equal(dx[0, 0], [[0, 0, 0, 0], [0, np.inf, 0, np.nan]])


def test_padded_zeros_count_in_a_mean():
    assert attn_ref.avg_pool2d(np.full((1, 1, 2, 2), 8.0), 2, padding=1).tolist() == [[[[2.0, 2.0], [2.0, 2.0]]]]


@pytest.mark.parametrize("space", [(5,), (4, 5), (2, 3, 4)])
def test_global_means_and_their_cotangents(space):
    rng = np.random.default_rng(2)
    x, u = rng.standard_normal((2, 3, *space)), rng.standard_normal((2, 3))
    axes = tuple(range(2, x.ndim))
    np.testing.assert_allclose(attn_ref.global_avg_pool(x), x.mean(axis=axes), rtol=0, atol=1e-15)
    got = attn_ref.global_avg_pool_backward(u, x)
    assert (got == np.expand_dims(u / np.prod(space), axes) + np.zeros(x.shape)).all()


def test_float16_is_summed_in_float32():
    """90 000 tens are more than float16 holds."""
    x = np.full((1, 1, 300, 300), 10.0, np.float16)
    assert attn_ref.global_avg_pool(x).item() == 10.0
    assert attn_ref.avg_pool2d(x, 300).item() == 10.0


def test_empty_batches_and_channels():
    for shape in ((0, 3, 6, 4), (2, 0, 6, 4)):
        x, y = np.ones(shape), np.ones((*shape[:2], 3, 2))
        for forward, backward in POOLS.values():
            assert forward(x, 2).shape == y.shape
            assert backward(y, x, 2).shape == shape
        assert attn_ref.global_avg_pool(x).shape == shape[:2]
        assert attn_ref.global_avg_pool_backward(np.ones(shape[:2]), x).shape == shape


@POOL
@pytest.mark.parametrize(
    ("changes", "exception", "words"),
    [
        ({"input": np.ones((3, 4, 5))}, ValueError, ["input has 3 axes", "(N, C, H, W)"]),
        ({"input": np.ones((1, 3, 0, 5))}, ValueError, ["input has no pixels", "(1, 3, 0, 5)"]),
        ({"kernel_size": 5}, ValueError, ["input has height 4", "spans 5"]),
        ({"kernel_size": (1, 6)}, ValueError, ["input has width 5", "spans 6"]),
        ({"kernel_size": 0}, ValueError, ["kernel_size=0", "at least 1"]),
        ({"kernel_size": 2.0}, TypeError, ["kernel_size", "float 2.0"]),
        ({"kernel_size": (2, 2, 2)}, ValueError, ["kernel_size has 3 entries"]),
        ({"stride": True}, TypeError, ["stride", "bool"]),
        ({"stride": 0}, ValueError, ["stride=0"]),
        ({"padding": 2}, ValueError, ["padding=2", "half of kernel_size=2"]),
        ({"padding": -1}, ValueError, ["padding=-1"]),
        ({"padding": None}, TypeError, ["padding", "NoneType"]),
    ],
)
def test_what_does_not_fit_is_named(name, changes, exception, words):
    with pytest.raises(exception) as error:
        POOLS[name][0](**{"input": np.ones((2, 3, 4, 5)), "kernel_size": 2, **changes})
    assert all(word in str(error.value) for word in words), str(error.value)


@POOL
def test_a_cotangent_of_another_shape_is_named(name):
    with pytest.raises(ValueError, match=r"grad_output has shape \(2, 3, 4, 5\): expected \(2, 3, 2, 2\)"):
        POOLS[name][1](np.ones((2, 3, 4, 5)), np.ones((2, 3, 4, 5)), 2)


def test_what_does_not_fit_a_global_mean_is_named():
    with pytest.raises(ValueError, match=r"input has 2 axes, shape \(2, 3\): expected \(N, C, …\)"):
        attn_ref.global_avg_pool(np.ones((2, 3)))
    with pytest.raises(ValueError, match="input has no pixels"):
        attn_ref.global_avg_pool(np.ones((2, 3, 0)))
    with pytest.raises(ValueError, match=r"grad_output has shape \(2, 3, 1, 1\): expected \(2, 3\)"):
        attn_ref.global_avg_pool_backward(np.ones((2, 3, 1, 1)), np.ones((2, 3, 4, 5)))
