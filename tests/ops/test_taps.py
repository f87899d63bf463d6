import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attn_ref import validation
from attn_ref.gradcheck import strategies
from attn_ref.ops.taps import TapTable, image_of_rows, rows_of_image
from attn_ref.registry import OPERATIONS

VARIANTS = OPERATIONS["grid_sample"].variants


def table_of(call, **changed):
    options = {**call.options, **changed}
    backend = validation.numbers(grid=call.inputs[1]).backend
    return TapTable(backend, call.inputs[1], call.inputs[0].shape[2:], **options)


@given(data=st.data(), channels_last=st.booleans())
def test_rows_and_images_are_each_others_inverse(data, channels_last):
    shape = data.draw(strategies.sizes(2) | strategies.sizes(3))
    image = data.draw(strategies.images(shape))
    space = image.shape[1:-1] if channels_last else image.shape[2:]
    rows = rows_of_image(image, channels_last)
    channels = image.shape[-1 if channels_last else 1]
    assert rows.shape == (len(image), np.prod(space), channels)
    assert (
        rows[-1, -1] == (image[-1].reshape(-1, channels) if channels_last else image[-1].reshape(channels, -1).T)[-1]
    ).all()
    assert (image_of_rows(rows, space, channels_last) == image).all()


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda v: "-".join(map(str, v.values())))
@given(data=st.data())
def test_indices_are_valid_and_weights_of_inner_points_sum_to_one(variant, data):
    call = data.draw(strategies.grid_sample_calls("exact", variant))
    table = table_of(call)
    assert table.index.dtype == np.int32
    assert table.index.min() >= 0
    assert table.index.max() <= table.pixels
    weights = table.weight()
    assert weights.shape == table.index.shape
    assert np.abs(weights.sum(axis=1) - 1).max() <= 1e-15
    if variant["padding_mode"] != "zeros":
        assert not weights[table.index == table.pixels].any()  # but for a neighbour of weight 0, all is inside


@given(data=st.data())
def test_taps_stay_in_their_own_sample(data):
    call = data.draw(strategies.grid_sample_calls("exact", data.draw(st.sampled_from(VARIANTS))))
    table = table_of(call)
    per_sample = int(np.prod(table.space))
    points = len(table.index) // table.batch
    sample = np.arange(len(table.index))[:, None] // points
    inside = table.index < table.pixels
    assert (np.broadcast_to(sample, inside.shape)[inside] == table.index[inside] // per_sample).all()


@given(data=st.data())
def test_transpose_is_the_adjoint_of_apply_for_every_derivative(data):
    variant = data.draw(st.sampled_from(VARIANTS))
    call = data.draw(strategies.grid_sample_calls("exact", variant))
    table = table_of(call)
    rng = np.random.default_rng(0)
    X = rng.standard_normal((table.batch, np.prod(table.space), 3))
    Y = rng.standard_normal((table.batch, table.points, 3))
    d = variant["ndim"]
    for axes in [(), *[(a,) for a in range(d)], *[(a, b) for a in range(d) for b in range(d)]]:
        left = (table.apply(X, *axes) * Y).sum()
        assert left == pytest.approx((table.transpose(Y, *axes) * X).sum(), rel=1e-11, abs=1e-11)
        assert left == pytest.approx(table.weigh(table.dot(Y, X), *axes).sum(), rel=1e-11, abs=1e-11)


def test_second_derivatives_commute_to_the_bit():
    rng = np.random.default_rng(1)
    grid = rng.uniform(-1, 1, (2, 3, 4, 2, 3))
    table = TapTable(validation.numbers(grid=grid).backend, grid, (4, 5, 6), "bicubic", "reflection", True)
    for a in range(3):
        for b in range(3):
            assert (table.weight(a, b) == table.weight(b, a)).all()
