import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attn_ref.gradcheck import strategies
from attn_ref.ops.coordinates import to_pixels
from attn_ref.registry import OPERATIONS

SPACE = (4, 1, 7)


@given(size=strategies.sizes(2) | strategies.sizes(3))
def test_sizes_differ(size):
    assert size[0] != size[1]
    assert len(set(size[2:])) == len(size) - 2


@given(image=strategies.images((2, 3, 4, 5)))
def test_images_hold_no_value_twice(image):
    assert len(np.unique(image)) == image.size
    assert (image.astype(np.float16) == image).all()


@given(u=strategies.cotangents((3, 4)))
def test_cotangents_are_never_zero_and_not_all_alike(u):
    assert (u != 0).all()
    assert len(np.unique(u)) > 1


@pytest.mark.parametrize("align_corners", [True, False])
@given(data=st.data())
def test_points_in_cells_keep_away_from_whole_and_half_pixels(align_corners, data):
    grid = data.draw(strategies.grids_in_cells(2, (2, 3, 1), SPACE, align_corners))
    assert grid.shape == (2, 2, 3, 1, 3)
    for a, size in enumerate(reversed(SPACE)):
        if size == 1 and align_corners:
            continue
        p = to_pixels(np, grid[..., a], size, align_corners)
        distance = np.abs(p - np.rint(p))
        assert (distance >= 0.149).all()
        assert (distance <= 0.401).all()
        assert (p >= -2 * size).all()
        assert (p <= 3 * size + 1).all()


@pytest.mark.parametrize(
    ("size", "align_corners"), [(2, True), (3, True), (5, True), (1, False), (2, False), (8, False)]
)
@given(data=st.data())
def test_points_on_kinks_are_exactly_there(size, align_corners, data):
    grid = data.draw(strategies.grids_on_kinks(1, (3, 2), (size, size), align_corners))
    p = to_pixels(np, grid, size, align_corners)
    assert (2 * p == np.rint(2 * p)).all()


@given(theta=strategies.thetas(3, 2, invertible=True) | strategies.thetas(3, 3, invertible=True))
def test_invertible_thetas_are_well_conditioned(theta):
    linear = theta[..., :-1]
    assert (np.linalg.cond(linear) < 30).all()
    assert (np.abs(np.linalg.det(linear)) > 0.1).all()


@given(shapes=strategies.empty_shapes(2) | strategies.empty_shapes(3))
def test_empty_shapes_are_empty_but_have_pixels(shapes):
    image, grid = shapes
    assert 0 in (*image[:2], *grid[:-1])
    assert 0 not in image[2:]
    assert image[0] == grid[0]


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=lambda operation: operation.name)
@pytest.mark.parametrize("kind", ["smooth", "kinks", "exact"])
@given(data=st.data())
def test_calls_can_be_made(operation, kind, data):
    variant = data.draw(st.sampled_from(operation.variants))
    call = data.draw(getattr(strategies, operation.strategy)(kind, variant))
    assert len(call.inputs) == len(operation.inputs)
    assert np.isfinite(operation.forward(call.inputs, call.options)).all()


@given(options=strategies.grid_sample_options())
def test_options_are_those_of_grid_sample(options):
    assert set(options) == {"mode", "padding_mode", "align_corners", "channels_last"}
