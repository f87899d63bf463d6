"""Theta and grids from one system to another: every output pixel reads the same place, and back again."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import attn_ref
from attn_ref.conventions import (
    CONVENTIONS,
    convention,
    convert_grid,
    convert_theta,
    swap_theta_order,
    theta_from_pixels,
    theta_to_pixels,
)

WITH_THETA = [s.name for s in CONVENTIONS.values() if s.base]
SEEDS = st.integers(0, 2**32 - 1)


def variants(name):
    s = CONVENTIONS[name]
    return [convention(name, align_corners=a) for a in s.alignments] or [s]


ALIGNED = [v for name in WITH_THETA for v in variants(name)]
IDS = [f"{v.name}-{v.pixel_map}" for v in ALIGNED]


def theta_of(seed, n, axes=2):
    return np.eye(axes, axes + 1) + 0.15 * np.random.default_rng(seed).uniform(-1, 1, (n, axes, axes + 1))


@pytest.mark.parametrize("axes", [2, 3])
@given(seed=SEEDS)
def test_swapping_twice_is_nothing_and_once_is_a_permutation(axes, seed):
    theta = theta_of(seed, 3, axes)
    swapped = swap_theta_order(theta)
    np.testing.assert_array_equal(swap_theta_order(swapped), theta)
    point = np.random.default_rng(seed).standard_normal(axes)
    np.testing.assert_allclose(swapped @ [*point[::-1], 1], (theta @ [*point, 1])[:, ::-1], rtol=1e-14, atol=1e-14)
    assert not np.shares_memory(theta, swapped)


@pytest.mark.parametrize("s", ALIGNED, ids=IDS)
@settings(max_examples=10)
@given(seed=SEEDS)
def test_to_pixels_and_back(s, seed):
    theta, sizes = theta_of(seed, 3), ((5, 8), (4, 7))
    matrix = theta_to_pixels(theta, s, *sizes)
    np.testing.assert_allclose(theta_from_pixels(matrix, s, *sizes), theta, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("s", ALIGNED, ids=IDS)
@settings(max_examples=5)
@given(seed=SEEDS)
def test_the_pixel_matrix_reads_where_the_system_reads(s, seed):
    """Its affine grid, carried to pixels, is the matrix times (j, i, 1)."""
    theta, inputs, outputs = theta_of(seed, 1), (5, 8), (4, 7)
    matrix = theta_to_pixels(theta, s, inputs, outputs)[0]
    batched = "N" in s.grid_layout
    grid = s.affine_grid(theta if batched else theta[0], (1, 1, *outputs) if batched else outputs)
    pixels = convert_grid(grid, s, "scipy", inputs)  # (2, H, W), y first
    i, j = np.indices(outputs)
    expected = matrix @ np.stack([j, i, np.ones_like(i)]).reshape(3, -1)
    np.testing.assert_allclose(pixels[::-1].reshape(2, -1), expected, rtol=1e-12, atol=1e-11)


@pytest.mark.parametrize("target", ALIGNED, ids=IDS)
@pytest.mark.parametrize("source", [ALIGNED[i] for i in (0, 3, 4, 5)], ids=[IDS[i] for i in (0, 3, 4, 5)])
def test_both_ways_between_systems(source, target):
    theta, sizes = theta_of(11, 3), ((5, 8), (4, 7))
    there = convert_theta(theta, source, target, *sizes)
    np.testing.assert_allclose(convert_theta(there, target, source, *sizes), theta, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize("source", ["rmpe", "stn_pytorch_bchw", "kornia", "pytorch"])
def test_the_converted_theta_warps_the_image_alike(source, align_corners):
    """Off the border: zeros fade alike since every point is the same pixel."""
    image, theta = np.random.default_rng(1).standard_normal((2, 3, 5, 8)), theta_of(2, 2)
    target = convention("pytorch", align_corners=align_corners)
    theirs = convention(source).transform(image, theta, (4, 7))
    ours = target.transform(image, convert_theta(theta, source, target, (5, 8), (4, 7)), (4, 7))
    np.testing.assert_allclose(ours, theirs, rtol=1e-11, atol=1e-11)


def test_the_three_alignments_of_the_same_map_by_hand():
    """One pixel to the right of eight: 2/7, 2/8 and 2/8 in normalised coordinates."""
    matrix = np.array([[[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]]])
    sizes = (4, 8), (4, 8)
    shift = {
        "AC1": theta_from_pixels(matrix, convention("pytorch", align_corners=True), *sizes)[0, 0, 2],
        "AC0": theta_from_pixels(matrix, convention("pytorch", align_corners=False), *sizes)[0, 0, 2],
        "HALF": theta_from_pixels(matrix, "rmpe", *sizes)[0, 1, 2],  # x is its second row
    }
    assert shift == pytest.approx({"AC1": 2 / 7, "AC0": 0.25, "HALF": 0.25}, abs=1e-15)


def test_opencv_and_kornia_take_the_inverse_of_the_pixel_matrix():
    matrix = theta_of(3, 2)
    for name in ("opencv", "kornia"):
        M = theta_from_pixels(matrix, name, (5, 8), (4, 7))
        np.testing.assert_allclose(M, attn_ref.affine_inverse(matrix), rtol=1e-14, atol=1e-14)
        np.testing.assert_allclose(theta_to_pixels(M, name, (5, 8), (4, 7)), matrix, rtol=1e-13, atol=1e-13)


def test_three_axes():
    theta, sizes = theta_of(5, 2, 3), ((3, 5, 8), (2, 4, 7))
    there = convert_theta(theta, "pytorch", convention("pytorch", align_corners=True), *sizes)
    image = np.random.default_rng(1).standard_normal((2, 3, *sizes[0]))
    ours, theirs = (
        convention("pytorch", align_corners=a).transform(image, t, sizes[1]) for a, t in ((False, theta), (True, there))
    )
    np.testing.assert_allclose(ours, theirs, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("target", CONVENTIONS)
@pytest.mark.parametrize("source", CONVENTIONS)
def test_grids_there_and_back_are_the_same_grids(source, target):
    a, b = CONVENTIONS[source], CONVENTIONS[target]
    sizes = {"N": (1,), "H": (4,), "W": (7,), "2": (2,)}
    grid = np.random.default_rng(2).standard_normal(tuple(n for letter in a.grid_layout for n in sizes[letter]))
    there = convert_grid(grid, source, target, (5, 8))
    assert there.shape == tuple(n for letter in b.grid_layout for n in sizes[letter])
    assert not np.shares_memory(there, grid)
    np.testing.assert_allclose(convert_grid(there, target, source, (5, 8)), grid, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("source", CONVENTIONS)
def test_a_converted_grid_reads_the_same_places(source):
    s = CONVENTIONS[source]
    image, sizes = np.random.default_rng(1).standard_normal((5, 8)), {"N": (1,), "H": (4,), "W": (7,), "2": (2,)}
    grid = 0.7 * np.random.default_rng(2).uniform(-1, 1, tuple(n for x in s.grid_layout for n in sizes[x])) + 0.01
    layout = {"N": 1, "C": 1, "H": 5, "W": 8}
    theirs = s.grid_sample(
        image.reshape([layout[x] for x in s.image_layout]), grid, padding_mode=next(iter(s.paddings))
    )
    padding = "border" if source == "tfa_dense_image_warp" else "zeros"
    ours = convention("pytorch").grid_sample(
        image[None, None], convert_grid(grid, source, "pytorch", (5, 8)).reshape(1, 4, 7, 2), padding_mode=padding
    )
    np.testing.assert_allclose(ours.ravel(), theirs.ravel(), rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_the_dtype_is_kept(dtype):
    theta = theta_of(1, 2).astype(dtype)
    assert convert_theta(theta, "rmpe", "pytorch", (5, 8), (4, 7)).dtype == dtype
    assert convert_grid(theta[:, None, :, :2], "pytorch", "rmpe", (5, 8)).dtype == dtype


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda t: swap_theta_order(t[0]), "theta has shape"),
        (lambda t: theta_to_pixels(t, "pytorhc", (4, 5), (4, 5)), "did you mean 'pytorch'"),
        (lambda t: theta_to_pixels(t, "mxnet_warp", (4, 5), (4, 5)), "no affine grids"),
        (lambda t: theta_to_pixels(t, "pytorch", (4, 5, 6), (4, 5)), "input_size"),
        (lambda t: theta_from_pixels(t, "stnbhwd", (4, 1), (4, 5)), "input_size=.* undetermined"),
        (lambda t: theta_from_pixels(t, "stnbhwd", (4, 5), (1, 5)), "output_size=.* undetermined"),
        (lambda t: theta_to_pixels(0 * t, "kornia", (4, 5), (4, 5)), "singular"),
        (lambda t: convert_grid(t, "pytorch", "rmpe", (4, 5)), "grid has shape"),
        (lambda t: convert_grid(t[:, None, :, :2], "pytorch", "scipy", (4, 5)), "no batches"),
        (lambda t: convert_grid(t[:, None, :, :2], "pytorch", "kevinzakka", (2, 5)), "same pixel"),
    ],
)
def test_what_does_not_fit_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call(theta_of(1, 2))
