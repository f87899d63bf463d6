"""Each system's convention: what is odd about it, and that the adapters agree with it, forward and backward."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import attn_ref
from attn_ref.conventions import BASE_GRIDS, CONVENTIONS, PIXEL_MAPS, convention, stn

from . import loops

IDENTITY = np.array([[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]])
CLOSE = {"rtol": 1e-11, "atol": 1e-12}


def normal(seed, *shape):
    return np.random.default_rng(seed).standard_normal(shape)


def theta_of(seed, n=2):
    return IDENTITY + 0.3 * normal(seed, n, 2, 3)


# ---------------------------------------------------------------------------------------------------------------------
# The survey: stn.pytorch and RMPE, whole, forward and backward


@pytest.mark.parametrize("layout", ["BHWD", "BCHW"])
@settings(max_examples=10)
@given(seed=st.integers(0, 2**32 - 1))
def test_survey_stn_pytorch_forward_and_backward(layout, seed):
    """STN(layout)(image, AffineGridGen(H, W)(theta)), y first, half-open base grid, AC1, zeros."""
    image, theta, grad_output = normal(seed, 2, 5, 7, 3), theta_of(seed + 1), normal(seed + 2, 2, 4, 6, 3)
    grid = loops.half_open_grid(theta, 4, 6)
    theirs = loops.tap_by_tap(image, grid, grad_output, loops.AC1)

    def there(array):  # to the layout
        return array if layout == "BHWD" else np.moveaxis(array, -1, 1)

    s = stn(layout)
    size = (2, 3, 4, 6)
    np.testing.assert_allclose(s.affine_grid(theta, size), there(grid), **CLOSE)
    np.testing.assert_allclose(s.grid_sample(there(image), there(grid)), there(theirs.output), **CLOSE)
    grads = s.grid_sample_backward(there(grad_output), there(image), there(grid))
    np.testing.assert_allclose(grads.input, there(theirs.grad_input), **CLOSE)
    np.testing.assert_allclose(grads.grid, there(theirs.grad_grid), **CLOSE)
    of_theta = loops.half_open_grid_backward(theirs.grad_grid)
    np.testing.assert_allclose(s.affine_grid_backward(grads.grid, size), of_theta, **CLOSE)
    whole = s.transform_backward(there(grad_output), there(image), theta, (4, 6))
    np.testing.assert_allclose(s.transform(there(image), theta, (4, 6)), there(theirs.output), **CLOSE)
    np.testing.assert_allclose(whole.input, there(theirs.grad_input), **CLOSE)
    np.testing.assert_allclose(whole.theta, of_theta, **CLOSE)


@settings(max_examples=10)
@given(seed=st.integers(0, 2**32 - 1))
def test_survey_rmpe_transformer_and_detransformer(seed):
    """STLayer with theta, then with the inverse of theta: HALF, half-open, rows first; both backward to theta."""
    s, theta = convention("rmpe"), theta_of(seed)
    image, grad = normal(seed + 1, 2, 3, 6, 7), normal(seed + 2, 2, 3, 6, 7)
    seen = s.transform(image, theta, (4, 5))
    gamma = attn_ref.affine_inverse(theta)
    restored = s.transform(seen, gamma, (6, 7))

    last = np.moveaxis
    first_grid, second_grid = loops.half_open_grid(theta, 4, 5), loops.half_open_grid(gamma, 6, 7)
    their_second = loops.tap_by_tap(last(seen, 1, -1), second_grid, last(grad, 1, -1), loops.HALF)
    their_first = loops.tap_by_tap(last(image, 1, -1), first_grid, their_second.grad_input, loops.HALF)
    np.testing.assert_allclose(seen, last(their_first.output, -1, 1), **CLOSE)
    np.testing.assert_allclose(restored, last(their_second.output, -1, 1), **CLOSE)

    back = s.transform_backward(grad, seen, gamma, (6, 7))
    forth = s.transform_backward(back.input, image, theta, (4, 5))
    np.testing.assert_allclose(forth.input, last(their_first.grad_input, -1, 1), **CLOSE)
    # dΘ = −Aᵀ Ḡ Aᵀ and dt = −Aᵀ da, with Ḡ = dA − da tᵀ
    G = loops.half_open_grid_backward(their_second.grad_grid)
    A, t, dA, da = gamma[:, :, :2], theta[:, :, 2:], G[:, :, :2], G[:, :, 2:]
    At = A.swapaxes(1, 2)
    through = np.concatenate([-At @ (dA - da @ t.swapaxes(1, 2)) @ At, -At @ da], axis=2)
    np.testing.assert_allclose(attn_ref.affine_inverse_backward(back.theta, theta), through, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(forth.theta, loops.half_open_grid_backward(their_first.grad_grid), **CLOSE)


def test_rmpe_restores_what_it_saw():
    """A whole shift by theta and back: the pixels that were seen are in their places, the rest is 0."""
    s, image = convention("rmpe"), normal(0, 1, 2, 8, 4)
    theta = np.array([[[1.0, 0.0, 0.5], [0.0, 1.0, -0.5]]])  # two rows down, one column left
    restored = s.transform(s.transform(image, theta), attn_ref.affine_inverse(theta))
    expected = np.zeros_like(image)
    expected[:, :, 2:, :3] = image[:, :, 2:, :3]
    np.testing.assert_allclose(restored, expected, atol=1e-13)


# ---------------------------------------------------------------------------------------------------------------------
# The oddities


@pytest.mark.parametrize("name", ["stn_pytorch_bhwd", "rmpe"])
@pytest.mark.parametrize("size", [1, 4, 5, 49])
def test_the_half_open_base_grid_starts_at_minus_one_and_never_reaches_one(name, size):
    grid = convention(name).affine_grid(IDENTITY, (1, 1, size, 3))
    assert grid.shape == (1, size, 3, 2)
    np.testing.assert_array_equal(grid[0, :, 0, 0], [float(Fraction(2 * i - size, size)) for i in range(size)])
    assert grid.max() < 1


@pytest.mark.parametrize("size", [4, 5, 8, 49])
def test_the_identity_of_stn_pytorch_drifts(size):
    """Pixel i reads i (S − 1)/S: of a ramp, that number. The closed grid of stnbhwd reads i."""
    ramp = np.arange(float(size)).reshape(1, 1, size, 1)
    drifted = convention("stn_pytorch_bhwd").transform(ramp, IDENTITY).ravel()
    np.testing.assert_allclose(drifted, ramp.ravel() * (size - 1) / size, rtol=1e-14, atol=1e-14)
    np.testing.assert_allclose(convention("stnbhwd").transform(ramp, IDENTITY).ravel(), ramp.ravel(), atol=1e-13)


@pytest.mark.parametrize("size", [1, 2, 4, 7, 49, 98, 103])
def test_the_identity_of_rmpe_is_the_identity(size):
    """Half-open and HALF are each other's inverse."""
    image = normal(size, 1, 2, 3, size)
    np.testing.assert_allclose(convention("rmpe").transform(image, IDENTITY), image, rtol=1e-12, atol=1e-12)


def test_half_a_turn_of_rmpe_loses_the_first_pixel():
    """Pixel i reads S − i, so pixel 0 reads outside."""
    row = np.array([10.0, 20.0, 30.0, 40.0]).reshape(1, 1, 1, 4)
    turn = np.array([[[1.0, 0.0, 0.0], [0.0, -1.0, 0.0]]])
    np.testing.assert_array_equal(convention("rmpe").transform(row, turn).ravel(), [0.0, 40.0, 30.0, 20.0])


def test_y_comes_first_in_the_thetas_and_grids_of_stnbhwd():
    """Its "translationX" lands in the row of y."""
    image = normal(0, 1, 5, 3, 2)
    down = np.array([[[1.0, 0.0, 0.5], [0.0, 1.0, 0.0]]])  # 0.5 of (5 − 1)/2 pixels
    moved = convention("stnbhwd").transform(image, down)
    np.testing.assert_allclose(moved[:, :4], image[:, 1:], atol=1e-14)
    np.testing.assert_array_equal(moved[:, 4], 0.0)
    swapped = convention("stnbhwd").affine_grid(down, (1, 2, 5, 3))[..., ::-1]
    plain = attn_ref.affine_grid(np.array([[[1.0, 0.0, 0.0], [0.0, 1.0, 0.5]]]), (1, 2, 5, 3), align_corners=True)
    np.testing.assert_array_equal(swapped, plain)


@settings(max_examples=20)
@given(seed=st.integers(0, 2**32 - 1))
def test_kevinzakka_clips_the_corners_before_the_weights(seed):
    """The loop clips literally; the adapter moves such points away. Values and both gradients agree."""
    image, grad_output = normal(seed, 2, 5, 7, 3), normal(seed + 1, 2, 4, 6, 3)
    grid = np.random.default_rng(seed).uniform(-2, 3, (2, 4, 6, 2))  # y first here
    theirs = loops.tap_by_tap(image, grid, grad_output, loops.S_MINUS_2, clipped=True)
    theirs_grid = np.moveaxis(grid[..., ::-1], -1, 1)
    k = convention("kevinzakka")
    np.testing.assert_allclose(k.grid_sample(image, theirs_grid), theirs.output, **CLOSE)
    grads = k.grid_sample_backward(grad_output, image, theirs_grid)
    np.testing.assert_allclose(grads.input, theirs.grad_input, **CLOSE)
    np.testing.assert_allclose(grads.grid, np.moveaxis(theirs.grad_grid[..., ::-1], -1, 1), **CLOSE)


@pytest.mark.parametrize(("p", "value"), [(-0.25, 0.0), (0.0, 10.0), (2.75, 47.5), (3.0, 0.0), (3.25, 0.0)])
def test_kevinzakka_is_zero_at_once_outside(p, value):
    """Its pixel map is (g + 1)(S − 2)/2: four pixels, [−1, 1] covers only [0, 2]. At p = S − 1 it is 0 already."""
    row = np.array([[10.0, 20.0, 40.0, 50.0], [0.0] * 4]).reshape(1, 2, 4, 1)
    grid = np.array([p - 1.0, -1.0]).reshape(1, 2, 1, 1)
    assert convention("kevinzakka").grid_sample(row, grid).item() == value
    grads = convention("kevinzakka").grid_sample_backward(np.array([[[[1.5]]]]), row, grid)
    assert (np.abs(grads.input).sum() == 0) == (value == 0)


def test_flows_are_added_in_mxnet_and_subtracted_in_tensorflow_addons():
    image = normal(3, 2, 4, 5, 3)
    flow = np.zeros((2, 4, 5, 2))
    flow[..., 0] = 1.0  # one row
    warped = convention("tfa_dense_image_warp").grid_sample(image, flow)
    np.testing.assert_allclose(warped, image[:, [0, 0, 1, 2]], atol=1e-13)  # reads a row above; the edge repeats
    first = np.moveaxis(image, -1, 1)
    added = convention("mxnet_warp").grid_sample(first, np.moveaxis(flow[..., ::-1], -1, 1))
    np.testing.assert_allclose(added[:, :, :3], first[:, :, 1:], atol=1e-13)
    np.testing.assert_allclose(added[:, :, 3], 0.0, atol=1e-13)


# ---------------------------------------------------------------------------------------------------------------------
# Oracles


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize("name", ["pytorch", "onnx", "paddle", "stnbhwd", "chainer", "mxnet", "cudnn"])
def test_torch_agrees_with_every_convention_of_its_maps(name, align_corners):
    torch = pytest.importorskip("torch")
    s = CONVENTIONS[name]
    if s.alignments:
        s = convention(name, align_corners=align_corners)
    elif not align_corners:
        with pytest.raises(ValueError, match="align_corners"):
            s.aligned(False)
        return
    x, theta, dy = normal(1, 2, 3, 5, 7), theta_of(2), normal(3, 2, 3, 4, 6)
    tensors = [torch.tensor(a, requires_grad=True) for a in (x, theta)]
    grid = torch.nn.functional.affine_grid(tensors[1], (2, 3, 4, 6), align_corners=align_corners)
    grid.retain_grad()
    y = torch.nn.functional.grid_sample(tensors[0], grid, align_corners=align_corners)
    y.backward(torch.tensor(dy))

    def image(a):
        return np.moveaxis(a, 1, -1) if s.image_layout == "NHWC" else a

    def points(a):
        a = a[..., ::-1] if s.order == "y first" else a
        return np.moveaxis(a, -1, 1) if s.grid_layout == "N2HW" else a

    def matrix(a):
        return a[:, ::-1][:, :, [1, 0, 2]] if s.order == "y first" else a

    g = points(grid.detach().numpy())
    np.testing.assert_allclose(s.affine_grid(matrix(theta), (2, 3, 4, 6)), g, **CLOSE)
    np.testing.assert_allclose(s.grid_sample(image(x), g), image(y.detach().numpy()), **CLOSE)
    grads = s.grid_sample_backward(image(dy), image(x), g)
    np.testing.assert_allclose(grads.input, image(tensors[0].grad.numpy()), **CLOSE)
    np.testing.assert_allclose(grads.grid, points(grid.grad.numpy()), **CLOSE)
    whole = s.transform_backward(image(dy), image(x), matrix(theta), (4, 6))
    np.testing.assert_allclose(whole.theta, matrix(tensors[1].grad.numpy()), **CLOSE)


@pytest.mark.parametrize("mode", ["linear", "nearest", "cubic"])
@pytest.mark.parametrize("align_corners", [False, True])
def test_onnx_agrees_in_its_own_words(mode, align_corners):
    pytest.importorskip("onnx")
    from onnx import TensorProto, helper
    from onnx.reference import ReferenceEvaluator

    node = helper.make_node("GridSample", ["x", "g"], ["y"], mode=mode, align_corners=int(align_corners))
    infos = [helper.make_tensor_value_info(n, TensorProto.DOUBLE, None) for n in "xgy"]
    graph = helper.make_graph([node], "one", infos[:2], infos[2:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)])
    x = normal(1, 2, 3, 8, 4) if not align_corners else normal(1, 2, 3, 9, 5)
    grid = np.random.default_rng(2).integers(-7, 8, (2, 4, 6, 2)) / 8 + 1 / 64  # exact in float32, on no kink
    theirs = ReferenceEvaluator(model).run(None, {"x": x, "g": grid})[0]
    ours = convention("onnx", align_corners=align_corners).grid_sample(x, grid, mode=mode)
    np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("axes", [2, 3])
@pytest.mark.parametrize("padding", ["grid-constant", "nearest", "mirror", "reflect"])
@pytest.mark.parametrize("order", [0, 1])
def test_scipy_agrees_in_its_own_words(axes, padding, order):
    from scipy import ndimage

    image = normal(1, *(4, 5, 6)[:axes])
    rng = np.random.default_rng(2)
    points = rng.integers(-9, 14, (axes, *(3, 7, 2)[:axes])) + rng.choice(
        [0.0, 0.25, 0.3, 0.7], (axes, *(3, 7, 2)[:axes])
    )
    ours = convention("scipy").grid_sample(image, points, mode=f"order {order}", padding_mode=padding)
    np.testing.assert_allclose(ours, ndimage.map_coordinates(image, points, order=order, mode=padding), **CLOSE)
    matrix = np.eye(axes, axes + 1) + 0.2 * normal(3, axes, axes + 1)
    ours = convention("scipy").transform(image, matrix, (3, 7, 2)[:axes], padding_mode=padding, mode=f"order {order}")
    theirs = ndimage.affine_transform(
        image, matrix[:, :axes], matrix[:, axes], (3, 7, 2)[:axes], order=order, mode=padding
    )
    np.testing.assert_allclose(ours, theirs, **CLOSE)


@pytest.mark.parametrize("padding", ["constant", "replicate", "reflect_101", "reflect"])
def test_opencv_is_scipy_with_channels_and_x_first(padding):
    """And its M is inverted: the documentation's dst(x, y) = src(M⁻¹(x, y))."""
    theirs = {"constant": "grid-constant", "replicate": "nearest", "reflect_101": "mirror", "reflect": "reflect"}
    image, points = normal(1, 4, 5, 3), np.random.default_rng(2).uniform(-6, 9, (7, 2, 2))
    cv, sp = convention("opencv"), convention("scipy")
    expected = [
        sp.grid_sample(image[..., c], np.moveaxis(points[..., ::-1], -1, 0), padding_mode=theirs[padding])
        for c in range(3)
    ]
    np.testing.assert_allclose(cv.grid_sample(image, points, padding_mode=padding), np.stack(expected, -1), **CLOSE)
    M = theta_of(5, 1)
    inverse = attn_ref.affine_inverse(M)[0][::-1][:, [1, 0, 2]]
    expected = [
        sp.transform(image[..., c], np.ascontiguousarray(inverse), (7, 2), padding_mode=theirs[padding])
        for c in range(3)
    ]
    np.testing.assert_allclose(cv.transform(image, M[0], (7, 2), padding_mode=padding), np.stack(expected, -1), **CLOSE)


def test_kornia_moves_a_pixel_where_its_matrix_says():
    """Source to destination, in pixels: the pixel at (x, y) = (1, 2) goes to (3, 1)."""
    image = np.zeros((1, 1, 4, 6))
    image[0, 0, 2, 1] = 7.0
    M = np.array([[[1.0, 0.0, 2.0], [0.0, 1.0, -1.0]]])
    moved = convention("kornia").transform(image, M)
    assert moved[0, 0, 1, 3] == pytest.approx(7.0, abs=1e-12)
    assert np.abs(moved).sum() == pytest.approx(7.0, abs=1e-12)


def test_kornia_is_torch_with_the_normalised_inverse():
    """dst_norm = N_dst M N_src⁻¹ with N of S − 1, inverted, as its source does."""
    torch = pytest.importorskip("torch")
    x, M = normal(1, 2, 3, 5, 7), np.array([[[1.2, 0.3, 0.4], [-0.2, 0.9, 0.6]], [[0.8, 0.1, -1.0], [0.2, 1.1, 0.5]]])

    def norm(h, w):
        return np.array([[2 / (w - 1), 0, -1], [0, 2 / (h - 1), -1], [0, 0, 1.0]])

    M3 = np.concatenate([M, np.tile([[[0.0, 0.0, 1.0]]], (2, 1, 1))], axis=1)
    theta = np.linalg.inv(norm(4, 6) @ M3 @ np.linalg.inv(norm(5, 7)))[:, :2]
    grid = torch.nn.functional.affine_grid(torch.tensor(theta), (2, 3, 4, 6), align_corners=True)
    theirs = torch.nn.functional.grid_sample(torch.tensor(x), grid, align_corners=True).numpy()
    np.testing.assert_allclose(convention("kornia").transform(x, M, (4, 6)), theirs, **CLOSE)


# ---------------------------------------------------------------------------------------------------------------------
# All of them


def shapes(s, axes):
    """Shapes of an image, a grid and an output of a convention; N, C and the sizes all differ where they may."""
    sizes, outs = (3, 4, 5)[-axes:], (3, 6, 2)[-axes:]
    outs = sizes if PIXEL_MAPS[s.pixel_map].flow else outs
    space = {"H": sizes, "2": (axes,), "N": (2,), "C": (1 + axes,), "W": ()}
    image = tuple(n for letter in s.image_layout for n in space[letter])
    out = {**space, "H": outs}
    grid = tuple(n for letter in s.grid_layout for n in out[letter])
    output = tuple(n for letter in s.image_layout for n in out[letter])
    return image, grid, output


EVERY = [(name, axes) for name, s in CONVENTIONS.items() for axes in s.axes]


def inside(s, axes, rng, shape):
    """A grid that stays off the kinks by 0.02 px or more, through the inverse of the pixel map."""
    pixel_map = PIXEL_MAPS[s.pixel_map]
    at = len(shape) - 1 if s.grid_layout.endswith("2") else s.grid_layout.index("2")
    sizes = (3, 4, 5)[-axes:]
    sizes = sizes if s.order == "y first" else sizes[::-1]
    spatial = tuple(n for i, n in enumerate(shape) if i != at)
    parts = []
    for k, size in enumerate(sizes):
        p = rng.integers(-2, size + 1, spatial) + rng.choice([0.07, 0.22, 0.4, 0.63, 0.9], spatial)
        axis = k if s.order == "y first" else axes - 1 - k
        if pixel_map.flow:
            out = spatial[-axes:][axis]
            p = p - np.arange(out).reshape(-1, *[1] * (axes - 1 - axis))
        parts.append((p - pixel_map.offset) / pixel_map.scale(size) - pixel_map.shift)
    return np.stack(parts, axis=at)


@pytest.mark.parametrize(("name", "axes"), EVERY)
def test_the_sampler_s_gradients_are_its_differences(name, axes):
    """Linear in the image, a polynomial inside a cell: central differences of the grid are exact to rounding."""
    s, rng = CONVENTIONS[name], np.random.default_rng(4)
    image_shape, grid_shape, output_shape = shapes(s, axes)
    image, grid = rng.standard_normal(image_shape), inside(s, axes, rng, grid_shape)
    dy, u = rng.standard_normal(output_shape), rng.standard_normal(image_shape)
    for padding in s.paddings:
        assert s.grid_sample(image, grid, padding_mode=padding).shape == output_shape
        grads = s.grid_sample_backward(dy, image, grid, padding_mode=padding)
        assert grads.input.shape == image_shape
        assert grads.grid.shape == grid_shape
        lhs = (s.grid_sample(u, grid, padding_mode=padding) * dy).sum()
        assert lhs == pytest.approx((u * grads.input).sum(), rel=1e-12)
        at = len(grid_shape) - 1 if s.grid_layout.endswith("2") else s.grid_layout.index("2")
        for a in range(axes):  # a step along one component of every point at once
            v = np.zeros(grid_shape)
            index = [slice(None)] * len(grid_shape)
            index[at] = a
            v[tuple(index)] = rng.choice([-1.0, 1.0], v[tuple(index)].shape)
            h = 1e-3
            up, down = (s.grid_sample(image, grid + e * h * v, padding_mode=padding) for e in (1, -1))
            slope = ((up - down) * dy).sum() / (2 * h)
            assert slope == pytest.approx((v * grads.grid).sum(), rel=1e-9, abs=1e-9)


@pytest.mark.parametrize(("name", "axes"), [(n, a) for n, a in EVERY if CONVENTIONS[n].base])
def test_the_affine_grid_s_gradient_is_its_difference(name, axes):
    s, rng = CONVENTIONS[name], np.random.default_rng(5)
    batched = "N" in s.grid_layout
    space = (2, 3, 4)[-axes:]
    size = (2, 5, *space) if batched else space
    theta = np.eye(axes, axes + 1) + 0.1 * rng.standard_normal((2, axes, axes + 1) if batched else (axes, axes + 1))
    grid = s.affine_grid(theta, size)
    dg, v, h = rng.standard_normal(grid.shape), rng.standard_normal(theta.shape), 1e-5
    grad = s.affine_grid_backward(dg, size, theta=theta)
    assert grad.shape == theta.shape
    slope = ((s.affine_grid(theta + h * v, size) - s.affine_grid(theta - h * v, size)) * dg).sum() / (2 * h)
    assert slope == pytest.approx((v * grad).sum(), rel=1e-7)


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize("axes", [2, 3])
def test_pytorch_s_affine_grid_is_the_core_s_to_the_bit(axes, align_corners):
    theta, size = normal(6, 2, axes, axes + 1), (2, 3, *(1, 4, 5)[-axes:])
    ours = convention("pytorch").affine_grid(theta, size, align_corners=align_corners)
    np.testing.assert_array_equal(ours, attn_ref.affine_grid(theta, size, align_corners=align_corners))


@pytest.mark.parametrize("name", CONVENTIONS)
def test_float16_is_rounded_once(name):
    """T1: grids of pixels too are never rounded to half before sampling."""
    s, rng = CONVENTIONS[name], np.random.default_rng(7)
    image_shape, grid_shape, output_shape = shapes(s, 2)
    arrays = rng.standard_normal(output_shape), rng.standard_normal(image_shape), inside(s, 2, rng, grid_shape)
    half = [a.astype(np.float16) for a in arrays]
    single = [a.astype(np.float32) for a in half]
    assert s.grid_sample(*half[1:]).dtype == np.float16
    np.testing.assert_array_equal(s.grid_sample(*half[1:]), s.grid_sample(*single[1:]).astype(np.float16))
    for ours, theirs in zip(s.grid_sample_backward(*half), s.grid_sample_backward(*single), strict=True):
        np.testing.assert_array_equal(ours, theirs.astype(np.float16))


@pytest.mark.parametrize("name", CONVENTIONS)
def test_inputs_are_not_written_to_and_outputs_are_fresh(name):
    s, rng = CONVENTIONS[name], np.random.default_rng(8)
    image_shape, grid_shape, output_shape = shapes(s, 2)
    arrays = [rng.standard_normal(output_shape), rng.standard_normal(image_shape), inside(s, 2, rng, grid_shape)]
    before = [a.tobytes() for a in arrays]
    for a in arrays:
        a.setflags(write=False)
    results = [s.grid_sample(*arrays[1:]), *s.grid_sample_backward(*arrays)]
    assert [a.tobytes() for a in arrays] == before
    assert all(r.flags.c_contiguous and not any(np.shares_memory(r, a) for a in arrays) for r in results)


@pytest.mark.parametrize("name", CONVENTIONS)
def test_a_nan_shows_where_it_is(name):
    """X1, through every map and gate."""
    s, rng = CONVENTIONS[name], np.random.default_rng(9)
    image_shape, grid_shape, output_shape = shapes(s, 2)
    grid = inside(s, 2, rng, grid_shape)
    at = len(grid_shape) - 1 if s.grid_layout.endswith("2") else s.grid_layout.index("2")
    index = [0] * len(grid_shape)
    index[at] = 1
    grid[tuple(index)] = np.nan
    image, dy = rng.standard_normal(image_shape), rng.standard_normal(output_shape)
    grads = s.grid_sample_backward(dy, image, grid)
    index[at] = slice(None)
    assert np.isnan(grads.grid[tuple(index)]).all()
    assert np.isnan(grads.grid).sum() == 2
    assert np.isfinite(grads.input).all()
    channels = image_shape[s.image_layout.index("C")] if s.image_layout.endswith("C") else image_shape[1]
    channels = 1 if "C" not in s.image_layout else channels
    assert np.isnan(s.grid_sample(image, grid)).sum() == channels


@pytest.mark.parametrize("name", CONVENTIONS)
@pytest.mark.parametrize("empty", ["batch", "channels", "output"])
def test_empty_in_empty_out(name, empty):
    """E3."""
    s = CONVENTIONS[name]
    image_shape, grid_shape, output_shape = (list(shape) for shape in shapes(s, 2))
    for layout, shape in ((s.image_layout, image_shape), (s.grid_layout, grid_shape), (s.image_layout, output_shape)):
        if empty == "batch" and "N" in layout:
            shape[layout.index("N")] = 0
        if empty == "channels" and "C" in layout:
            shape[layout.index("C")] = 0
        if empty == "output" and shape is not image_shape:
            shape[layout.index("W")] = 0
    image, grid, output = np.ones(image_shape), np.zeros(grid_shape), np.ones(output_shape)
    assert s.grid_sample(image, grid).shape == output.shape
    grads = s.grid_sample_backward(output, image, grid)
    assert (grads.input.shape, grads.grid.shape) == (image.shape, grid.shape)
    if not output.size:
        np.testing.assert_array_equal(grads.input, 0 * image)
    if s.base and empty == "output":
        size = (2, 3, 4, 0) if "N" in s.grid_layout else (4, 0)
        theta = np.tile(IDENTITY, (2, 1, 1)) if "N" in s.grid_layout else IDENTITY[0]
        grid = s.affine_grid(theta, size)
        assert grid.size == 0
        np.testing.assert_array_equal(s.affine_grid_backward(grid, size, theta=theta), 0 * theta)


def test_an_unknown_name_lists_all_and_the_near_miss():
    with pytest.raises(ValueError, match="did you mean 'stnbhwd'") as caught:
        convention("stn-bhwd")
    assert all(repr(name) in str(caught.value) for name in CONVENTIONS)
    with pytest.raises(ValueError, match="'BHWD', 'BCHW'"):
        stn("BWHD")
    with pytest.raises(TypeError, match="name must be a string"):
        convention(3)


@pytest.mark.parametrize(
    ("name", "call", "message"),
    [
        (
            "stnbhwd",
            lambda s: s.grid_sample(np.zeros((1, 4, 5, 3)), np.zeros((1, 2, 4, 5))),
            r"expected \(N, H, W, 2\)",
        ),
        (
            "chainer",
            lambda s: s.grid_sample(np.zeros((1, 3, 4, 5)), np.zeros((1, 4, 5, 2))),
            r"expected \(N, 2, H, W\)",
        ),
        ("stnbhwd", lambda s: s.grid_sample(np.zeros((1, 4, 5, 3)), np.zeros((2, 4, 5, 2))), "batch size"),
        ("stnbhwd", lambda s: s.grid_sample(np.zeros((4, 5, 3)), np.zeros((2, 4, 5, 2))), r"\(N, H, W, C\)"),
        ("stnbhwd", lambda s: s.grid_sample(np.zeros((1, 0, 5, 3)), np.zeros((1, 4, 5, 2))), "no pixels"),
        ("stnbhwd", lambda s: s.grid_sample(np.zeros((1, 4, 5, 3)), np.zeros((1, 4, 5, 2)), mode="nearest"), "mode"),
        ("rmpe", lambda s: s.transform(np.zeros((1, 3, 4, 5)), np.zeros((1, 2, 3)), align_corners=True), "align_corn"),
        (
            "scipy",
            lambda s: s.grid_sample(np.zeros((4, 5)), np.zeros((2, 4, 5)), padding_mode="constant"),
            "padding_mode",
        ),
        ("mxnet_warp", lambda s: s.affine_grid(IDENTITY, (1, 1, 4, 5)), "no affine grids"),
        ("opencv", lambda s: s.affine_grid(np.zeros((2, 3)), (4, 5)), "singular"),
        ("opencv", lambda s: s.affine_grid(IDENTITY, (4, 5)), "without a batch"),
        ("chainer", lambda s: s.affine_grid(IDENTITY, (2, 1, 4, 5)), "theta has shape"),
        (
            "chainer",
            lambda s: s.grid_sample_backward(np.zeros((1, 3, 2, 2)), np.zeros((1, 3, 4, 5)), np.zeros((1, 2, 3, 2))),
            "grad_output has shape",
        ),
    ],
)
def test_what_does_not_fit_is_refused(name, call, message):
    with pytest.raises(ValueError, match=message):
        call(convention(name))


def test_a_gradient_that_depends_on_theta_asks_for_it():
    with pytest.raises(TypeError, match="theta is required"):
        convention("kornia").affine_grid_backward(np.zeros((1, 4, 5, 2)), (1, 1, 4, 5))


@pytest.mark.parametrize("name", CONVENTIONS)
def test_every_preset_is_whole(name):
    s = CONVENTIONS[name]
    assert s.name == name
    assert s.source
    assert s.pixel_map in PIXEL_MAPS
    assert s.base is None or s.base in BASE_GRIDS
    assert s.order in ("x first", "y first")
    assert ("N" in s.image_layout) == ("N" in s.grid_layout)
    assert set(s.modes.values()) <= {"bilinear", "nearest", "bicubic"}
    assert {padding for padding, _ in s.paddings.values()} <= {"zeros", "border", "reflection"}
