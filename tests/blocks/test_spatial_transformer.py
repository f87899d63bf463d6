"""Spatial transformers beside torch's, from image to loss; by differences; and what they refuse."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from attn_ref import affine_inverse, cross_entropy, cross_entropy_backward
from attn_ref.blocks import (
    Activation,
    Adam,
    AvgPool2d,
    BatchNorm,
    Conv2d,
    Flatten,
    Identity,
    Linear,
    Sequential,
    SpatialTransformer,
    SpatialTransformerPair,
    identity_head,
    theta_of,
)
from attn_ref.gradcheck import check_gradients

from .oracle import as_functions, assert_same_as_torch, bits, same, shuffled

WIDTHS = {"affine": 6, "attention": 3, "rotation": 1}
N, C, H, W = 3, 2, 7, 6
F64 = {"dtype": "float64"}


def image(shape=(N, C, H, W), seed=2):
    return np.random.default_rng(seed).standard_normal(shape)


def localiser(restriction="affine", seed=0, channels=C, height=H, width=W):
    """Near the identity, but not at it: its head has small weights."""
    features = 4 * (height - 2) * (width - 2)
    head = identity_head(features, restriction, **F64)
    weight = head.params["weight"]
    head.assign({"weight": 0.05 * np.random.default_rng(seed + 1).standard_normal(weight.shape)})
    conv = Conv2d(channels, 4, 3, rng=np.random.default_rng(seed), **F64)
    return Sequential(conv, BatchNorm(4, **F64), Activation("silu"), Flatten(), head)


def torch_localiser(nn, restriction="affine"):
    conv, head = nn.Conv2d(C, 4, 3), nn.Linear(4 * (H - 2) * (W - 2), WIDTHS[restriction])
    return nn.Sequential(conv, nn.BatchNorm2d(4), nn.SiLU(), nn.Flatten(), head)


def torch_theta(torch, parameters, restriction):
    if restriction == "affine":
        return parameters.reshape(-1, 2, 3)
    zero = torch.zeros_like(parameters[:, 0])
    if restriction == "attention":
        s, t_x, t_y = parameters.T
        return torch.stack([s, zero, t_x, zero, s, t_y], dim=1).reshape(-1, 2, 3)
    cos, sin = torch.cos(parameters[:, 0]), torch.sin(parameters[:, 0])
    return torch.stack([cos, -sin, zero, sin, cos, zero], dim=1).reshape(-1, 2, 3)


def torch_read(torch, x, theta, size, **options):
    f = torch.nn.functional
    grid = f.affine_grid(theta, (*x.shape[:2], *size), align_corners=options["align_corners"])
    return f.grid_sample(x, grid, **options)


def torch_twin(kind, restriction, size, restored, body=None, **options):
    torch = pytest.importorskip("torch")

    class Twin(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.localiser = torch_localiser(torch.nn, restriction)
            if kind is SpatialTransformerPair:
                self.body = body

        def forward(self, x):
            theta = torch_theta(torch, self.localiser(x), restriction)
            seen = torch_read(torch, x, theta, size, **options)
            if kind is SpatialTransformer:
                return seen
            last = torch.tensor([[[0.0, 0.0, 1.0]]], dtype=theta.dtype).expand(len(theta), 1, 3)
            gamma = torch.linalg.inv(torch.cat([theta, last], dim=1))[:, :2]
            return torch_read(torch, self.body(seen), gamma, restored, **options)

    return Twin()


OPTIONS = [
    ("affine", {"mode": "bilinear", "padding_mode": "zeros", "align_corners": False}, None, False),
    ("affine", {"mode": "bicubic", "padding_mode": "reflection", "align_corners": True}, (4, 5), True),
    ("attention", {"mode": "bilinear", "padding_mode": "border", "align_corners": True}, (5, 9), False),
    ("attention", {"mode": "bicubic", "padding_mode": "zeros", "align_corners": False}, None, True),
    ("rotation", {"mode": "bilinear", "padding_mode": "zeros", "align_corners": True}, (8, 4), False),
    ("rotation", {"mode": "bilinear", "padding_mode": "reflection", "align_corners": False}, None, True),
    ("affine", {"mode": "nearest", "padding_mode": "zeros", "align_corners": False}, (4, 5), False),
]


@pytest.mark.parametrize(("restriction", "options", "size", "training"), OPTIONS)
def test_the_transformer_is_torchs(restriction, options, size, training):
    block = SpatialTransformer(localiser(restriction), output_size=size, restriction=restriction, **options)
    twin = torch_twin(SpatialTransformer, restriction, size or (H, W), None, **options)
    assert_same_as_torch(block, twin, image(), training=training)


@pytest.mark.parametrize(("restriction", "options", "size", "training"), OPTIONS)
def test_the_pair_is_torchs(restriction, options, size, training):
    """With a body that changes channels and size, and an output of another size than the input."""
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(8)
    body = Sequential(Conv2d(C, 5, 3, stride=2, padding=1, rng=rng, **F64), BatchNorm(5, **F64), Activation("sigmoid"))
    restored = None if size is None else (6, 9)
    block = SpatialTransformerPair(
        localiser(restriction), body, output_size=size, restored_size=restored, restriction=restriction, **options
    )
    nn = torch.nn
    there = nn.Sequential(nn.Conv2d(C, 5, 3, 2, 1), nn.BatchNorm2d(5), nn.Sigmoid())
    twin = torch_twin(SpatialTransformerPair, restriction, size or (H, W), restored or (H, W), body=there, **options)
    assert_same_as_torch(block, twin, image(), training=training)


def classifier(**options):
    rng = np.random.default_rng(5)
    return Sequential(
        SpatialTransformer(localiser(), output_size=(6, 5), **options),
        Conv2d(C, 4, 3, rng=rng, **F64),
        Activation("gelu"),
        AvgPool2d(2, stride=1),
        Flatten(),
        Linear(4 * 3 * 2, 5, rng=rng, **F64),
    )


def test_one_gradient_from_the_image_through_theta_grid_sampler_and_classifier_to_the_loss():
    torch = pytest.importorskip("torch")
    nn = torch.nn
    options = {"mode": "bilinear", "padding_mode": "zeros", "align_corners": False}
    block, labels = classifier(**options), np.array([3, 0, 4])
    twin = nn.Sequential(
        torch_twin(SpatialTransformer, "affine", (6, 5), None, **options),
        nn.Conv2d(C, 4, 3),
        nn.GELU(),
        nn.AvgPool2d(2, 1),
        nn.Flatten(),
        nn.Linear(24, 5),
    )
    twin = twin.double().train()
    arrays = {**block.params, **block.buffers}
    twin.load_state_dict({name: torch.tensor(array) for name, array in arrays.items()}, strict=False)
    there = torch.tensor(image(), requires_grad=True)
    expected = nn.functional.cross_entropy(twin(there), torch.tensor(labels))
    expected.backward()

    logits, backward, new = block.forward(image(), training=True)
    loss = cross_entropy(logits, labels)
    grad_x, grads = backward(cross_entropy_backward(np.ones_like(loss), logits, labels))
    same(np.asarray(loss), expected.detach(), "loss")
    same(grad_x, there.grad, "x")
    found = dict(twin.named_parameters())
    assert set(grads) == set(found) == set(block.params)
    assert sum(name.startswith("0.localiser.") for name in grads) == 6
    for name, grad in grads.items():
        same(grad, found[name].grad, name)
        assert np.abs(grad).max() > 1e-6 or name == "0.localiser.0.bias"  # batch normalisation undoes that bias
    for name, array in new.items():
        same(array, dict(twin.named_buffers())[name], name)


def small_localiser(restriction, seed=3):
    """Few parameters, for differences: pooled to 2 × 2 per channel, then one layer near the identity."""
    head = identity_head(4, restriction, **F64)
    rng = np.random.default_rng(seed)
    head.assign({"weight": 0.1 * rng.standard_normal((WIDTHS[restriction], 4))})
    head.assign({"bias": head.params["bias"] + 0.1 * rng.standard_normal(WIDTHS[restriction])})
    return Sequential(AvgPool2d(2, stride=(2, 1)), Activation("silu"), Flatten(), head)


@pytest.mark.parametrize("restriction", WIDTHS)
@pytest.mark.parametrize("pair", [False, True])
def test_gradients_are_those_of_differences(restriction, pair):
    options = {"align_corners": False, "restriction": restriction, "output_size": (3, 2)}
    if pair:
        body = Conv2d(1, 2, 2, padding=1, rng=np.random.default_rng(1), **F64)
        block = SpatialTransformerPair(small_localiser(restriction), body, **options)
    else:
        block = SpatialTransformer(small_localiser(restriction), **options)
    forward, backward, parameters = as_functions(block)
    inputs = [image((2, 1, 4, 3), seed=6), *parameters]
    batched = [True] + [False] * len(parameters)
    report = check_gradients(forward, backward, inputs, batched=batched, full_jacobian=not pair)
    report.raise_if_failed()
    assert len(report.comparisons) >= len(inputs)


@pytest.mark.parametrize("restriction", WIDTHS)
@pytest.mark.parametrize("align_corners", [True, False])
def test_it_starts_by_changing_nothing(restriction, align_corners):
    start = Sequential(Flatten(), identity_head(C * H * W, restriction, **F64))
    block = SpatialTransformer(start, align_corners=align_corners, restriction=restriction)
    x = image()
    np.testing.assert_allclose(block.forward(x)[0], x, atol=1e-14)
    pair = SpatialTransformerPair(start, Identity(), align_corners=align_corners, restriction=restriction)
    np.testing.assert_allclose(pair.forward(x)[0], x, atol=1e-13)
    _, grads = block.forward(x)[1](image(seed=4))
    assert np.abs(grads["localiser.1.weight"]).max() > 0.1  # and it can learn from there


@pytest.mark.parametrize("restriction", WIDTHS)
def test_theta_is_shown_in_evaluation_mode(restriction):
    block = SpatialTransformer(localiser(restriction), align_corners=True, restriction=restriction)
    before = bits(block)
    parameters, _ = block.children["localiser"].forward(image())
    np.testing.assert_array_equal(block.theta(image()), theta_of(parameters, restriction))
    assert bits(block) == before


def test_the_pair_puts_things_back_where_they_were():
    """A blob inside the glimpse is where it was; what lies outside is zero; γ is the inverse of theta."""
    inside = np.zeros((1, 1, 21, 21))
    y, x = np.mgrid[-10:11, -10:11]
    inside[0, 0] = np.exp(-((x - 3) ** 2 + (y + 2) ** 2) / 18)
    theta = np.array([[[0.6, -0.2, 0.25], [0.2, 0.6, -0.2]]])
    head = identity_head(1, **F64)
    head.assign({"bias": theta.reshape(6)})
    look = Sequential(AvgPool2d(21), Flatten(), head)
    pair = SpatialTransformerPair(look, Identity(), output_size=(63, 63), align_corners=True)
    restored = pair.forward(inside)[0][0, 0]
    gamma = affine_inverse(theta)[0]
    centres = np.stack([x / 10, y / 10, np.ones(x.shape)])
    u, v = np.tensordot(gamma, centres, 1)
    seen = (abs(u) < 0.95) & (abs(v) < 0.95)
    hidden = (abs(u) > 1.1) | (abs(v) > 1.1)
    assert seen.sum() > 60
    assert hidden.sum() > 60
    np.testing.assert_allclose(restored[seen], inside[0, 0][seen], atol=0.02)
    assert not restored[hidden].any()


def test_it_learns_to_turn_an_image_back():
    y, x = np.mgrid[-1:1:16j, -1:1:16j]
    target = np.exp(-((3 * x) ** 2) - (1.2 * y) ** 2 + x * y)[None, None]
    turn = Sequential(AvgPool2d(16), Flatten(), identity_head(1, "rotation", **F64))
    other = SpatialTransformer(turn, align_corners=False, restriction="rotation")
    other.assign({"localiser.2.bias": np.array([0.4])})
    turned = other.forward(target)[0]
    block = SpatialTransformer(
        Sequential(AvgPool2d(16), Flatten(), identity_head(1, "rotation", **F64)),
        align_corners=False,
        restriction="rotation",
    )
    optimiser = Adam(0.05)
    state = optimiser.init(block.params)
    for _ in range(60):
        seen, backward = block.forward(turned)
        _, grads = backward(seen - target)
        params, state = optimiser.step(block.params, grads, state)
        block.assign(params)
    angle = np.arctan2(*block.theta(turned)[0, [1, 0], 0])
    assert abs(angle + 0.4) < 0.02


def test_used_twice_and_in_two_threads_it_gives_the_same_bits():
    block = classifier(align_corners=True)
    inputs = [image(seed=1), image((5, C, H, W), seed=2)]

    def run(x):
        y, backward = block.forward(x)
        grad_x, grads = backward(np.cos(y))
        return bits(y), bits(grad_x), bits(grads)

    alone = [run(x) for x in inputs]
    (one, pull_one), (other, pull_other) = block.forward(inputs[0]), block.forward(inputs[1])
    assert bits(pull_one(np.cos(one))[0]) == alone[0][1]
    assert bits(pull_other(np.cos(other))[0]) == alone[1][1]

    start, together = threading.Barrier(2), [[], []]

    def work(i):
        start.wait()
        together[i] = [run(inputs[i]) for _ in range(10)]

    threads = [threading.Thread(target=work, args=(i,)) for i in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert together == [[alone[0]] * 10, [alone[1]] * 10]


def test_a_transformer_after_its_own_output_has_two_gradients_that_add_up():
    torch = pytest.importorskip("torch")
    options = {"mode": "bilinear", "padding_mode": "border", "align_corners": False}
    block = SpatialTransformer(localiser(), **options)
    twin = torch_twin(SpatialTransformer, "affine", (H, W), None, **options).double().eval()
    arrays = {**block.params, **block.buffers}
    twin.load_state_dict({name: torch.tensor(array) for name, array in arrays.items()}, strict=False)
    there, grad_y = torch.tensor(image(), requires_grad=True), image(seed=9)
    twin(twin(there)).backward(torch.tensor(grad_y))
    seen, pull_first = block.forward(image())
    _, pull_second = block.forward(seen)
    grad_seen, second = pull_second(grad_y)
    grad_x, first = pull_first(grad_seen)
    same(grad_x, there.grad, "x")
    for name, parameter in twin.named_parameters():
        same(first[name] + second[name], parameter.grad, name)


@pytest.mark.parametrize("kind", [SpatialTransformer, SpatialTransformerPair])
def test_what_does_not_fit_is_refused(kind):
    more = {} if kind is SpatialTransformer else {"body": Identity()}

    def made(local, **options):
        return kind(local, **more, **{"align_corners": False, **options})

    five = Sequential(Flatten(), Linear(C * H * W, 5, rng=np.random.default_rng(0), **F64))
    with pytest.raises(
        ValueError,
        match=r"the localiser, Sequential, yields parameters of shape \(3, 5\): "
        r"restriction='affine' takes \(3, 6\) or \(3, 2, 3\)",
    ):
        made(five).forward(image())
    with pytest.raises(
        ValueError, match=r"yields parameters of shape \(3, 84\): restriction='rotation' takes \(3, 1\)"
    ):
        made(Flatten(), restriction="rotation").forward(image())
    with pytest.raises(ValueError, match=r"input has 3 axes, shape \(2, 7, 6\): expected \(N, C, H, W\)"):
        made(localiser()).forward(image((2, 7, 6)))
    with pytest.raises(TypeError, match="input must be an array"):
        made(localiser()).theta([[1.0]])
    with pytest.raises(TypeError, match="'localiser' must be a Block"):
        made(lambda x: x)
    with pytest.raises(ValueError, match="restriction='translation' is unknown"):
        made(localiser(), restriction="translation")
    with pytest.raises(ValueError, match="mode='cubic' is unknown"):
        made(localiser(), mode="cubic")
    with pytest.raises(TypeError, match="align_corners must be True or False"):
        made(localiser(), align_corners=None)
    with pytest.raises(TypeError, match="align_corners"):
        kind(localiser(), **more)
    with pytest.raises(ValueError, match=r"output_size has 3 entries"):
        made(localiser(), output_size=(1, 2, 3))
    with pytest.raises(ValueError, match=r"output_size has an entry below 1"):
        made(localiser(), output_size=(0, 2))
    y, backward = made(localiser()).forward(image())
    with pytest.raises(ValueError, match="grad_output has shape"):
        backward(y[:, :, 1:])
    with pytest.raises(TypeError, match="grad_output has dtype float32"):
        backward(y.astype(np.float32))


def test_a_localiser_may_yield_theta_itself():
    class Whole(Flatten):
        """(N, 6) to (N, 2, 3)."""

        def _forward(self, x, _):
            return x.reshape(-1, 2, 3), lambda grad: (grad.reshape(-1, 6), {}), {}

    flat = SpatialTransformer(localiser(), align_corners=True)
    whole = SpatialTransformer(Sequential(*localiser().children.values(), Whole()), align_corners=True)
    (y, pull_flat), (again, pull_whole) = flat.forward(image()), whole.forward(image())
    grad_y = image(seed=4)
    assert bits(y) == bits(again)
    assert bits(pull_flat(grad_y)) == bits(pull_whole(grad_y))


def test_batches_are_not_mixed_up():
    class Halves(Identity):
        def _forward(self, *_):
            return np.ones((1, 6)), None, {}

    with pytest.raises(ValueError, match=r"Halves, yields parameters of shape \(1, 6\): .* takes \(3, 6\)"):
        SpatialTransformer(Halves(), align_corners=True).forward(image())


def test_the_pair_names_a_singular_theta_and_a_body_that_yields_no_image():
    head = identity_head(C * H * W, "attention", **F64)
    weight = np.zeros_like(head.params["weight"])
    weight[0, 0] = -1  # the scale of a sample whose first pixel is 1 is 0
    head.assign({"weight": weight})
    x = image()
    x[1, 0, 0, 0] = 1
    options = {"align_corners": False, "restriction": "attention"}
    pair = SpatialTransformerPair(Sequential(Flatten(), head), Identity(), **options)
    with pytest.raises(ValueError, match="theta is singular in batch element 1"):
        pair.forward(x)
    flat = SpatialTransformerPair(localiser(), Flatten(), align_corners=False)
    with pytest.raises(
        ValueError, match=r"the body, Flatten, yields shape \(3, 84\): expected an image \(3, C, H, W\)"
    ):
        flat.forward(image())
    with pytest.raises(ValueError, match="restored_size has an entry below 1"):
        SpatialTransformerPair(localiser(), Identity(), restored_size=(0, 3), align_corners=False)


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_everything_keeps_its_dtype(dtype):
    look = Sequential(AvgPool2d((H, W)), Flatten(), identity_head(C, dtype=dtype))
    x = image().astype(dtype)
    for block in (
        SpatialTransformer(look, align_corners=False),
        SpatialTransformerPair(look, Identity(), align_corners=False),
    ):
        y, backward = block.forward(x)
        grad_x, grads = backward(y)
        assert {array.dtype for array in (y, grad_x, *grads.values())} == {np.dtype(dtype)}


def test_running_statistics_have_the_names_of_the_block():
    body = Sequential(shuffled(BatchNorm(C, **F64)))
    pair = SpatialTransformerPair(localiser(), body, align_corners=False)
    _, _, new = pair.forward(image(), training=True)
    assert list(new) == list(pair.buffers)
    pair.assign(new)
