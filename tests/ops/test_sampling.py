"""grid_sample: values to be computed in the head, and what the photo of a cat shows. Rules are tested in tests/spec."""

import inspect
import re

import numpy as np
import pytest

import attn_ref
from attn_ref import exact

IMAGE = np.array([[10.0, 20.0, 30.0], [40.0, 60.0, 90.0]])[None, None]
ALIGNED = {"align_corners": True}


def at(x, y, **options):
    """Sample IMAGE at pixel (x, y)."""
    grid = np.array([[[[x - 1.0, 2.0 * y - 1]]]])
    return attn_ref.grid_sample(IMAGE, grid, **ALIGNED, **options)[0, 0, 0, 0]


def test_bilinear_by_hand():
    assert at(0, 0) == 10
    assert at(2, 1) == 90
    assert at(0.5, 0) == 15
    assert at(0.5, 0.5) == 32.5
    assert at(1.25, 0.5) == (0.75 * 20 + 0.25 * 30 + 0.75 * 60 + 0.25 * 90) / 2


def test_paddings_by_hand():
    assert at(-0.25, 0) == 7.5
    assert at(-0.25, 0, padding_mode="border") == 10
    assert at(-0.25, 0, padding_mode="reflection") == 12.5
    assert at(2.5, 1, padding_mode="reflection") == 75
    assert at(6, 1, padding_mode="reflection") == 90


def test_nearest_takes_the_even_pixel_on_a_tie():
    assert at(0.5, 0, mode="nearest") == 10
    assert at(1.5, 0, mode="nearest") == 30


def test_gradients_by_hand():
    """At (0.5, 0) the value is (10 + 20)/2; a pixel is 1 along x and ½ along y in normalised units."""
    grid = np.array([[[[-0.5, -1.0]]]])
    gradients = attn_ref.grid_sample_backward(np.array([[[[2.0]]]]), IMAGE, grid, **ALIGNED)
    assert gradients.input.tolist() == [[[[1.0, 1.0, 0.0], [0.0, 0.0, 0.0]]]]
    assert gradients.grid.tolist() == [[[[2.0 * 10, 2.0 * 0.5 * (50 - 15)]]]]


def test_a_repeated_point_adds_its_cotangents_up():
    grid = np.full((1, 1, 5, 2), [[-1.0, -1.0]])
    cotangent = np.arange(1.0, 6.0).reshape(1, 1, 1, 5)
    assert attn_ref.grid_sample_backward(cotangent, IMAGE, grid, **ALIGNED).input[0, 0, 0, 0] == 15


@pytest.mark.parametrize("mode", ["bilinear", "nearest", "bicubic"])
@pytest.mark.parametrize("align_corners", [True, False])
def test_quarter_turn_is_rot90(mode, align_corners):
    rng = np.random.default_rng(0)
    image = rng.standard_normal((1, 2, 4, 4))
    # the output's top left reads the input's top right
    quarter = np.array([[[0.0, -1.0, 0.0], [1.0, 0.0, 0.0]]])
    grid = attn_ref.affine_grid(quarter, (1, 2, 4, 4), align_corners=align_corners)
    turned = attn_ref.grid_sample(image, grid, mode=mode, align_corners=align_corners)
    np.testing.assert_allclose(turned, np.rot90(image, 1, (2, 3)), rtol=0, atol=1e-14)


@pytest.mark.parametrize("padding_mode", ["zeros", "border", "reflection"])
def test_linear_interpolation_of_a_ramp_is_the_ramp(padding_mode):
    z, y, x = np.meshgrid(np.arange(4.0), np.arange(5.0), np.arange(6.0), indexing="ij")
    ramp = (2 * x - 3 * y + 0.5 * z)[None, None]
    p = np.random.default_rng(0).uniform(0, 3, (1, 3, 4, 5, 3))
    grid = 2 * p / np.array([5.0, 4.0, 3.0]) - 1
    sampled = attn_ref.grid_sample(ramp, grid, padding_mode=padding_mode, align_corners=True)
    expected = 2 * p[..., 0] - 3 * p[..., 1] + 0.5 * p[..., 2]
    np.testing.assert_allclose(sampled[:, 0], expected, rtol=0, atol=1e-13)


def test_the_gradient_of_a_spatial_transformer_reaches_theta():
    """Image → theta → grid → sample → loss, in one chain, against differences of the whole."""
    rng = np.random.default_rng(3)
    image, target = rng.standard_normal((2, 3, 6, 7)), rng.standard_normal((2, 3, 4, 5))
    theta = np.array([[[0.7, 0.1, 0.05], [-0.2, 0.6, 0.1]], [[0.5, -0.3, 0.0], [0.2, 0.8, -0.1]]])
    theta += rng.uniform(-0.01, 0.01, theta.shape)  # no point on a pixel, where the second derivative jumps
    size, options = (2, 3, 4, 5), {"mode": "bicubic", "padding_mode": "border", "align_corners": False}

    def loss(theta):
        grid = attn_ref.affine_grid(theta, size, align_corners=False)
        return 0.5 * ((attn_ref.grid_sample(image, grid, **options) - target) ** 2).sum()

    grid = attn_ref.affine_grid(theta, size, align_corners=False)
    residual = attn_ref.grid_sample(image, grid, **options) - target
    grad_grid = attn_ref.grid_sample_backward(residual, image, grid, **options).grid
    grad_theta = attn_ref.affine_grid_backward(grad_grid, size, align_corners=False)
    for index in np.ndindex(theta.shape):
        h = np.zeros(theta.shape)
        h[index] = 1e-5
        assert grad_theta[index] == pytest.approx((loss(theta + h) - loss(theta - h)) / 2e-5, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize(
    "options", [{}, {"mode": "bicubic", "padding_mode": "reflection"}, {"mode": "nearest"}], ids=str
)
@pytest.mark.parametrize("space", [(3, 4), (2, 3, 2)])
def test_the_four_functions_are_the_literal_ones(space, options, channels_last):
    """The defaults of the options and both layouts, in small; every combination is in the property tests."""
    rng, points = np.random.default_rng(len(space)), (3, 1, 2)[: len(space)]
    x, dx, U = rng.standard_normal((3, 2, 5, *space))
    dy = rng.standard_normal((2, 5, *points))
    g, dg, v = rng.uniform(-1.3, 1.3, (3, 2, *points, len(space)))
    options = {**options, "align_corners": False}

    def laid(image):
        return np.moveaxis(image, 1, -1) if channels_last else image

    def plain(image):
        return np.moveaxis(image, -1, 1) if channels_last else image

    def agree(got, want):
        np.testing.assert_allclose(got, np.asarray(want, float), rtol=1e-11, atol=1e-11)

    last = {"channels_last": True} if channels_last else {}
    agree(plain(attn_ref.grid_sample(laid(x), g, **options, **last)), exact.grid_sample(x, g, **options))
    got = attn_ref.grid_sample_backward(laid(dy), laid(x), g, **options, **last)
    want = exact.grid_sample_backward(dy, x, g, **options)
    agree(plain(got.input), want.input)
    agree(got.grid, want.grid)
    got = attn_ref.grid_sample_jvp(laid(x), g, laid(dx), dg, **options, **last)
    agree(plain(got), exact.grid_sample_jvp(x, g, dx, dg, **options))
    got = attn_ref.grid_sample_double_backward(laid(U), v, laid(dy), laid(x), g, **options, **last)
    want = exact.grid_sample_double_backward(U, v, dy, x, g, **options)
    agree(plain(got.grad_output), want.grad_output)
    agree(plain(got.input), want.input)
    agree(got.grid, want.grid)


X, GRID, DY = np.zeros((2, 3, 4, 5)), np.zeros((2, 6, 7, 2)), np.zeros((2, 3, 6, 7))


@pytest.mark.parametrize(
    ("function", "arrays", "name", "shape", "what"),
    [
        (attn_ref.grid_sample_backward, [DY, X, GRID], "grad_output", DY.shape, "the shape of the output"),
        (attn_ref.grid_sample_jvp, [X, GRID, X, GRID], "input_tangent", X.shape, "the shape of input"),
        (attn_ref.grid_sample_jvp, [X, GRID, X, GRID], "grid_tangent", GRID.shape, "the shape of grid"),
        (
            attn_ref.grid_sample_double_backward,
            [X, GRID, DY, X, GRID],
            "grad_grad_input",
            X.shape,
            "the shape of input",
        ),
        (
            attn_ref.grid_sample_double_backward,
            [X, GRID, DY, X, GRID],
            "grad_grad_grid",
            GRID.shape,
            "the shape of grid",
        ),
    ],
)
def test_a_cotangent_or_tangent_of_another_shape_is_told_in_full(function, arrays, name, shape, what):
    text = f"{name} has shape (1, 2): expected {shape}, {what}"
    named = dict(zip(inspect.signature(function).parameters, arrays, strict=False))
    with pytest.raises(ValueError, match=f"^{re.escape(text)}$"):
        function(**{**named, name: np.zeros((1, 2))}, align_corners=True)
