"""Every layer beside torch's in float64; by differences; and what it refuses."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from attn_ref.blocks import Activation, AvgPool2d, BatchNorm, Conv2d, GlobalAvgPool, Linear, MaxPool2d
from attn_ref.gradcheck import check_gradients

from .oracle import as_functions, assert_same_as_torch, bits, shuffled

F64 = {"dtype": "float64"}


def rng(seed=0):
    return np.random.default_rng(seed)


def image(shape=(2, 3, 7, 5), seed=2):
    return rng(seed).standard_normal(shape)


@pytest.mark.parametrize("bias", [True, False])
def test_linear_is_torchs(bias):
    torch = pytest.importorskip("torch")
    assert_same_as_torch(Linear(4, 3, bias=bias, rng=rng(), **F64), torch.nn.Linear(4, 3, bias=bias), image((5, 4)))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"stride": 2, "padding": 1},
        {"stride": (2, 1), "padding": (0, 2), "dilation": (1, 2)},
        {"groups": 2, "bias": False},
        {"groups": 4, "padding": 1, "dilation": 2},
    ],
)
def test_conv2d_is_torchs(options):
    torch = pytest.importorskip("torch")
    block = Conv2d(4, 8, (3, 2), rng=rng(), **options, **F64)
    assert_same_as_torch(block, torch.nn.Conv2d(4, 8, (3, 2), **options), image((2, 4, 7, 6)))


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("shape", [(5, 3), (4, 3, 6), (2, 3, 7, 5), (2, 3, 2, 4, 3)])
def test_batch_norm_is_torchs(shape, training):
    torch = pytest.importorskip("torch")
    block = shuffled(BatchNorm(3, eps=1e-3, momentum=0.3, **F64))
    kinds = {2: torch.nn.BatchNorm1d, 3: torch.nn.BatchNorm1d, 4: torch.nn.BatchNorm2d, 5: torch.nn.BatchNorm3d}
    assert_same_as_torch(block, kinds[len(shape)](3, eps=1e-3, momentum=0.3), image(shape), training=training)


def test_running_statistics_are_only_returned_and_used_once_assigned():
    block = BatchNorm(3, **F64)
    x = image() + 5
    before = bits(block)
    _, _, new = block.forward(x, training=True)
    assert bits(block) == before
    assert set(new) == set(block.buffers)
    evaluated = block.forward(x)[0]
    block.assign(new)
    assert not np.allclose(block.forward(x)[0], evaluated)
    np.testing.assert_allclose(block.buffers["running_mean"], 0.1 * x.mean(axis=(0, 2, 3)))
    np.testing.assert_allclose(block.buffers["running_var"], 0.9 + 0.1 * x.var(axis=(0, 2, 3), ddof=1))


@pytest.mark.parametrize("name", ["relu", "gelu", "gelu_tanh", "silu", "sigmoid", "hard_sigmoid"])
def test_activation_is_torchs(name):
    torch = pytest.importorskip("torch")

    class Hardsigmoid(torch.nn.Module):
        """torch.nn's has a derivative of 1/6 rounded to float32 even in float64, 3e-8 off."""

        def forward(self, x):
            return torch.clamp(x / 6 + 0.5, 0, 1)

    modules = {
        "relu": torch.nn.ReLU(),
        "gelu": torch.nn.GELU(),
        "gelu_tanh": torch.nn.GELU(approximate="tanh"),
        "silu": torch.nn.SiLU(),
        "sigmoid": torch.nn.Sigmoid(),
        "hard_sigmoid": Hardsigmoid(),
    }
    assert_same_as_torch(Activation(name), modules[name], 3 * image())


def test_glu_halves_the_axis_it_is_told():
    torch = pytest.importorskip("torch")
    assert_same_as_torch(Activation("glu", axis=2), torch.nn.GLU(2), image((2, 3, 8, 5)))


def test_activation_takes_the_callable_itself():
    class Square:
        def __call__(self, x):
            return x**2

        def backward(self, grad_output, x):
            return 2 * x * grad_output

    x, grad_y = image(seed=1), image(seed=2)
    y, backward = Activation(Square()).forward(x)
    np.testing.assert_array_equal(y, x**2)
    np.testing.assert_array_equal(backward(grad_y)[0], 2 * x * grad_y)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (lambda: MaxPool2d(2), lambda nn: nn.MaxPool2d(2)),
        (lambda: MaxPool2d((3, 2), stride=(2, 1), padding=1), lambda nn: nn.MaxPool2d((3, 2), (2, 1), 1)),
        (lambda: AvgPool2d(2), lambda nn: nn.AvgPool2d(2)),
        (lambda: AvgPool2d((3, 2), stride=(2, 1), padding=(1, 0)), lambda nn: nn.AvgPool2d((3, 2), (2, 1), (1, 0))),
        (lambda: GlobalAvgPool(), lambda nn: nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())),
    ],
)
def test_pooling_is_torchs(ours, theirs):
    torch = pytest.importorskip("torch")
    assert_same_as_torch(ours(), theirs(torch.nn), image())


@pytest.mark.parametrize(
    ("make", "shape", "training"),
    [
        (lambda: Linear(4, 3, rng=rng(), **F64), (5, 4), False),
        (lambda: Conv2d(2, 4, 3, stride=2, padding=1, groups=2, rng=rng(), **F64), (2, 2, 5, 4), False),
        (lambda: shuffled(BatchNorm(3, **F64)), (2, 3, 3, 2), False),
        (lambda: shuffled(BatchNorm(2, **F64)), (3, 2, 4), True),
        (lambda: Activation("gelu"), (2, 3), False),
        (lambda: AvgPool2d(2, stride=1), (2, 3, 3, 4), False),
        (lambda: MaxPool2d(2), (2, 3, 4, 5), False),
        (lambda: GlobalAvgPool(), (2, 3, 4, 5), False),
    ],
)
def test_gradients_are_those_of_differences(make, shape, training):
    forward, backward, parameters = as_functions(make(), training=training)
    batched = [not training, *(False for _ in parameters)]
    report = check_gradients(forward, backward, [image(shape), *parameters], batched=batched)
    report.raise_if_failed()
    assert not report.kinks
    assert report.comparisons


def test_a_layer_used_twice_in_one_graph_has_two_gradients_that_add_up():
    torch = pytest.importorskip("torch")
    block = Linear(4, 4, rng=rng(), **F64)
    x, grad_y = image((3, 4)), image((3, 4), seed=5)
    hidden, pull_first = block.forward(x)
    _, pull_second = block.forward(hidden)
    grad_hidden, second = pull_second(grad_y)
    grad_x, first = pull_first(grad_hidden)

    module = torch.nn.Linear(4, 4).double()
    module.load_state_dict({name: torch.tensor(array) for name, array in block.params.items()})
    there = torch.tensor(x, requires_grad=True)
    module(module(there)).backward(torch.tensor(grad_y))
    np.testing.assert_allclose(grad_x, there.grad, rtol=0, atol=1e-12)
    for name, parameter in module.named_parameters():
        np.testing.assert_allclose(first[name] + second[name], parameter.grad, rtol=0, atol=1e-12)


def test_pullbacks_belong_to_their_call_whatever_comes_between():
    block = Linear(4, 3, rng=rng(), **F64)
    x, grad_y = image((5, 4)), image((5, 3), seed=5)
    _, backward = block.forward(x)
    expected = bits(backward(grad_y)[0]), bits(backward(grad_y)[1])
    block.forward(image((5, 4), seed=6))
    block.assign({name: array + 1 for name, array in block.params.items()})
    grad_x, grads = backward(grad_y)
    assert (bits(grad_x), bits(grads)) == expected


def test_a_block_serves_two_threads_at_once():
    block = Conv2d(3, 4, 3, padding=1, rng=rng(), **F64)
    inputs = [image(seed=1), image((3, 3, 6, 8), seed=2)]

    def run(x):
        y, backward = block.forward(x)
        grad_x, grads = backward(np.cos(y))
        return bits(y), bits(grad_x), bits(grads)

    alone = [run(x) for x in inputs]
    start = threading.Barrier(2)
    together = [[], []]

    def work(i):
        start.wait()
        together[i] = [run(inputs[i]) for _ in range(20)]

    threads = [threading.Thread(target=work, args=(i,)) for i in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert together == [[alone[0]] * 20, [alone[1]] * 20]


def test_the_same_seed_makes_the_same_layer_and_parameters_start_as_torchs():
    layers = [lambda g: Linear(6, 50, rng=g), lambda g: Conv2d(4, 50, (3, 2), groups=2, rng=g)]
    for make, fan_in in zip(layers, (6, 12), strict=True):
        assert bits(make(rng(3)).params) == bits(make(rng(3)).params)
        assert bits(make(rng(3)).params) != bits(make(rng(4)).params)
        for array in make(rng(3)).params.values():
            assert array.dtype == np.float32
            assert 0.8 / fan_in**0.5 < np.abs(array).max() <= np.float32(1 / fan_in**0.5)
            assert array.min() < 0 < array.max()


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_everything_keeps_the_dtype_of_the_parameters(dtype):
    for block in (Conv2d(3, 4, 2, rng=rng(), dtype=dtype), BatchNorm(3, dtype=dtype)):
        y, backward, new = block.forward(image().astype(dtype), training=True)
        grad_x, grads = backward(y)
        assert {array.dtype for array in (y, grad_x, *grads.values(), *new.values())} == {np.dtype(dtype)}


@pytest.mark.parametrize(
    ("make", "kind", "message"),
    [
        (lambda: Linear(0, 3, rng=rng()), ValueError, "in_features=0 is too small: expected at least 1"),
        (lambda: Linear(2.0, 3, rng=rng()), TypeError, "in_features must be an integer.*got float 2.0"),
        (lambda: Linear(2, True, rng=rng()), TypeError, "out_features must be an integer.*got bool True"),
        (lambda: Linear(2, 3, bias=1, rng=rng()), TypeError, "bias must be True or False"),
        (lambda: Linear(2, 3, rng=7), TypeError, r"rng must be a numpy.random.Generator.*default_rng\(7\)"),
        (lambda: Linear(2, 3, rng=None), TypeError, "rng must be a numpy.random.Generator, got NoneType"),
        (
            lambda: Linear(2, 3, rng=rng(), dtype="int8"),
            TypeError,
            "dtype must be float16, float32 or float64, got 'int8'",
        ),
        (lambda: Linear(2, 3, rng=rng(), dtype=None), TypeError, "dtype must be .* got None"),
        (lambda: Conv2d(3, 4, 0, rng=rng()), ValueError, "kernel_size=0 is too small: expected at least 1"),
        (lambda: Conv2d(3, 4, (1, 2, 3), rng=rng()), ValueError, "kernel_size has 3 entries"),
        (
            lambda: Conv2d(3, 4, 3, stride=(1, 0), rng=rng()),
            ValueError,
            r"stride=\(1, 0\) is too small: expected at least 1",
        ),
        (lambda: Conv2d(3, 4, 3, padding=-1, rng=rng()), ValueError, "padding=-1 is too small: expected at least 0"),
        (lambda: Conv2d(3, 4, 3, padding="same", rng=rng()), TypeError, "padding must be .*got str 'same'"),
        (lambda: Conv2d(3, 4, 3, dilation=1.5, rng=rng()), TypeError, "dilation must be"),
        (lambda: Conv2d(3, 4, 3, groups=2, rng=rng()), ValueError, "groups=2 must divide in_channels=3"),
        (lambda: BatchNorm(3, eps=-1e-5), ValueError, "eps=-1e-05: expected a number above 0"),
        (lambda: BatchNorm(3, eps="1"), TypeError, "eps must be a number above 0, got str"),
        (lambda: BatchNorm(3, momentum=1.5), ValueError, "momentum=1.5: expected a number from 0 to 1"),
        (lambda: BatchNorm(3, momentum=float("nan")), ValueError, "momentum=nan"),
        (lambda: Activation(np.tanh), TypeError, "callable with a method backward, got ufunc"),
        (lambda: MaxPool2d(0), ValueError, "kernel_size=0"),
        (lambda: AvgPool2d(2, stride=0), ValueError, "stride=0"),
    ],
)
def test_bad_settings_are_refused_at_once(make, kind, message):
    with pytest.raises(kind, match=message):
        make()


def test_an_unknown_activation_is_refused_at_once():
    with pytest.raises(ValueError, match="rleu"):
        Activation("rleu")


@pytest.mark.parametrize(
    "make",
    [
        lambda: Linear(5, 3, rng=rng(), **F64),
        lambda: Conv2d(3, 4, 2, rng=rng(), **F64),
        lambda: BatchNorm(3, **F64),
        lambda: Activation("silu"),
        lambda: MaxPool2d(2),
        lambda: AvgPool2d(2),
        lambda: GlobalAvgPool(),
    ],
)
def test_a_cotangent_of_the_wrong_shape_or_dtype_is_refused(make):
    block = make()
    y, backward = block.forward(image((2, 5)) if isinstance(block, Linear) else image())
    with pytest.raises(ValueError, match="grad_output"):
        backward(y[1:])
    with pytest.raises(TypeError, match="grad_output"):
        backward(y.astype(np.float32))


def test_an_input_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="4"):
        Linear(4, 3, rng=rng(), **F64).forward(image((5, 2)))
    with pytest.raises(TypeError, match="float32"):
        Linear(4, 3, rng=rng()).forward(image((5, 4)))
