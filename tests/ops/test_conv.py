"""conv2d: values to be computed in the head, torch over all options, mistakes. Rules about arrays are elsewhere."""

import itertools

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import attn_ref
from attn_ref.ops import conv

OPTIONS = list(itertools.product((1, 2, (3, 1)), (0, 1, (2, 3)), (1, 2, (1, 3)), (1, 2), (False, True)))


def test_by_hand():
    image = np.arange(12.0).reshape(1, 1, 3, 4)
    W = np.array([[[[1.0, 0.0], [0.0, -10.0]]]])  # not flipped: the pixel less ten times its lower right neighbour
    assert attn_ref.conv2d(image, W)[0, 0].tolist() == [[-50, -59, -68], [-86, -95, -104]]
    got = attn_ref.conv2d_backward(np.array([[[[1.0, 0.0, 0.0], [0.0, 0.0, 2.0]]]]), image, W, np.zeros(1))
    assert got.input[0, 0].tolist() == [[1, 0, 0, 0], [0, -10, 2, 0], [0, 0, 0, -20]]
    assert got.weight[0, 0].tolist() == [[0 + 12, 1 + 14], [4 + 20, 5 + 22]]
    assert got.bias.tolist() == [3.0]


@pytest.mark.parametrize(("stride", "padding", "dilation", "groups", "with_bias"), OPTIONS)
def test_as_torch_over_all_options(stride, padding, dilation, groups, with_bias):
    compare((3, 4, 9, 8), (6, 4 // groups, 3, 2), with_bias, stride, padding, dilation, groups)


@given(st.data())
def test_as_torch_at_any_shape(data):
    groups = data.draw(st.integers(1, 3))
    draw = lambda low, high: data.draw(st.integers(low, high))  # noqa: E731
    kernel = (draw(1, 4), draw(1, 4))
    dilation, padding, stride = (draw(1, 3), draw(1, 3)), (draw(0, 5), draw(0, 5)), (draw(1, 4), draw(1, 4))
    space = [max(d * (k - 1) + 1 - 2 * p, 1) + draw(0, 5) for k, d, p in zip(kernel, dilation, padding, strict=True)]
    image = (draw(0, 4), groups * draw(1, 2), *space)
    compare(
        image, (groups * draw(1, 3), image[1] // groups, *kernel), draw(0, 1) > 0, stride, padding, dilation, groups
    )


def compare(image, weight, with_bias, stride, padding, dilation, groups):
    torch = pytest.importorskip("torch")
    normal = np.random.default_rng(5).standard_normal
    arrays = [normal(image), normal(weight), normal(weight[0]) if with_bias else None]
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    tensors = [None if a is None else torch.from_numpy(a).requires_grad_() for a in arrays]
    expected = torch.nn.functional.conv2d(*tensors, **options)
    got = attn_ref.conv2d(*arrays, **options)
    np.testing.assert_allclose(got, expected.detach().numpy(), rtol=0, atol=1e-11)
    u = normal(got.shape)
    expected.backward(torch.from_numpy(u))
    for ours, theirs in zip(attn_ref.conv2d_backward(u, *arrays, **options), tensors, strict=True):
        if theirs is None:
            assert ours is None
        else:
            np.testing.assert_allclose(ours, theirs.grad.numpy(), rtol=0, atol=1e-11)


@pytest.mark.parametrize("chunk", [1, 400, 10**9])
@pytest.mark.parametrize("groups", [1, 2])
def test_how_many_samples_are_unfolded_at_a_time_changes_nothing_but_roundings(chunk, groups, monkeypatch):
    normal = np.random.default_rng(3).standard_normal
    x, W, u = normal((7, 4, 6, 5)), normal((2, 4 // groups, 3, 2)), normal((7, 2, 3, 4))
    options = {"stride": (2, 1), "padding": (1, 0), "groups": groups}
    expected = [attn_ref.conv2d(x, W, **options), *attn_ref.conv2d_backward(u, x, W, **options)[:2]]
    monkeypatch.setattr(conv, "_CHUNK", chunk)
    got = [attn_ref.conv2d(x, W, **options), *attn_ref.conv2d_backward(u, x, W, **options)[:2]]
    for a, b in zip(got, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-13)


@given(st.integers(0, 2**16))
@example(0)
def test_the_adjoint_in_both_arguments(seed):
    """⟨W U x, u⟩ = ⟨x, Uᵀ Wᵀ u⟩ = ⟨W, u (U x)ᵀ⟩."""
    normal = np.random.default_rng(seed).standard_normal
    x, W, options = normal((2, 3, 7, 6)), normal((5, 3, 2, 3)), {"stride": (2, 1), "padding": (0, 2), "dilation": 2}
    y = attn_ref.conv2d(x, W, **options)
    u = normal(y.shape)
    got = attn_ref.conv2d_backward(u, x, W, **options)
    bound = 1e-12 * np.abs(u).sum()
    assert abs((y * u).sum() - (x * got.input).sum()) < bound
    assert abs((y * u).sum() - (W * got.weight).sum()) < bound


def test_no_samples_and_no_channels():
    W, b = np.ones((4, 3, 2, 2)), np.arange(4.0)
    got = attn_ref.conv2d_backward(np.ones((0, 4, 4, 5)), np.ones((0, 3, 5, 6)), W, b)
    assert attn_ref.conv2d(np.ones((0, 3, 5, 6)), W, b).shape == (0, 4, 4, 5)
    assert [a.shape for a in got] == [(0, 3, 5, 6), W.shape, b.shape]
    assert not any(a.any() for a in got)
    alone = attn_ref.conv2d(np.ones((2, 0, 5, 6)), np.ones((4, 0, 2, 2)), b)  # an empty sum and the bias
    assert (alone == b[:, None, None] + np.zeros((2, 4, 4, 5))).all()


def test_float16_is_summed_in_float32():
    x, W = np.full((1, 1, 1, 4096), 1.0, np.float16), np.ones((1, 1, 1, 4096), np.float16)
    assert attn_ref.conv2d(x, W).item() == 4096.0
    u = np.ones((1, 1, 1, 4096), np.float16)
    got = attn_ref.conv2d_backward(u, x, W[..., :1], W[0, 0, 0, :1])
    assert got.weight.item() == got.bias.item() == 4096.0


GOOD = {"input": np.ones((2, 4, 6, 7)), "weight": np.ones((6, 4, 3, 2)), "bias": np.ones(6)}


@pytest.mark.parametrize(
    ("changes", "exception", "words"),
    [
        ({"input": np.ones((4, 6, 7))}, ValueError, ["input has 3 axes", "(N, C, H, W)"]),
        ({"weight": np.ones((6, 4))}, ValueError, ["weight has 2 axes", "(O, C/groups, kH, kW)"]),
        ({"input": np.ones((2, 3, 6, 7))}, ValueError, ["weight", "(6, 4, 3, 2)", "3 channels", "(6, 3, kH, kW)"]),
        ({"groups": 2}, ValueError, ["weight", "(6, 4, 3, 2)", "2 groups", "(6, 2, kH, kW)"]),
        ({"groups": 3}, ValueError, ["groups=3", "4 channels", "input"]),
        ({"groups": 4}, ValueError, ["groups=4", "6 output channels", "weight"]),
        ({"groups": 0}, ValueError, ["groups=0", "at least 1"]),
        ({"groups": True}, TypeError, ["groups", "bool"]),
        ({"groups": 1.0}, TypeError, ["groups", "float 1.0"]),
        ({"bias": np.ones((6, 1))}, ValueError, ["bias", "(6, 1)", "(6,)"]),
        ({"bias": np.ones(4)}, ValueError, ["bias", "(4,)", "(6,)"]),
        ({"input": np.ones((2, 4, 0, 7))}, ValueError, ["input", "no pixels", "(2, 4, 0, 7)"]),
        ({"weight": np.ones((6, 4, 3, 0))}, ValueError, ["weight", "no pixels"]),
        ({"dilation": 3}, ValueError, ["input has height 6", "spans 7", "padding"]),
        ({"dilation": (1, 7)}, ValueError, ["input has width 7", "spans 8"]),
        ({"stride": 0}, ValueError, ["stride=0", "at least 1"]),
        ({"stride": True}, TypeError, ["stride", "bool True", "(vertical, horizontal)"]),
        ({"stride": 1.0}, TypeError, ["stride", "float 1.0"]),
        ({"stride": (1, 2.0)}, TypeError, ["stride", "float 2.0", "(1, 2.0)"]),
        ({"stride": (1, 2, 3)}, ValueError, ["stride has 3 entries", "(vertical, horizontal)"]),
        ({"stride": "2"}, TypeError, ["stride", "str"]),
        ({"stride": None}, TypeError, ["stride", "NoneType"]),
        ({"padding": -1}, ValueError, ["padding=-1", "at least 0"]),
        ({"padding": "same"}, TypeError, ["padding", "str 'same'"]),
        ({"dilation": 0}, ValueError, ["dilation=0", "at least 1"]),
        ({"padding": 2**40}, (MemoryError, ValueError), ["(2, 6, "]),
    ],
)
def test_what_does_not_fit_is_named(changes, exception, words):
    with pytest.raises(exception) as error:
        attn_ref.conv2d(**{**GOOD, **changes})
    assert all(word in str(error.value) for word in words), str(error.value)


def test_a_cotangent_of_another_shape_is_named():
    with pytest.raises(ValueError, match=r"grad_output has shape \(2, 6, 6, 7\): expected \(2, 6, 4, 6\), the"):
        attn_ref.conv2d_backward(np.ones((2, 6, 6, 7)), **GOOD)
