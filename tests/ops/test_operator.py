import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import attn_ref
from attn_ref.gradcheck import strategies
from attn_ref.registry import OPERATIONS

VARIANTS = OPERATIONS["grid_sample"].variants


def rows(image):
    return np.moveaxis(image, 1, -1).reshape(-1, image.shape[1])


@given(data=st.data(), channels_last=st.booleans())
def test_operator_is_grid_sample_on_its_grid(data, channels_last):
    call = data.draw(strategies.grid_sample_calls("exact", data.draw(st.sampled_from(VARIANTS))))
    image, grid = call.inputs
    S = attn_ref.sampling_operator(grid, image.shape[2:], **call.options)
    if channels_last:
        image = np.ascontiguousarray(np.moveaxis(image, 1, -1))
    options = {**call.options, "channels_last": channels_last}
    output = attn_ref.grid_sample(image, grid, **options)
    u = data.draw(strategies.cotangents(output.shape))
    backward = attn_ref.grid_sample_backward(u, image, grid, **options)
    assert S.apply(image, channels_last=channels_last).tobytes() == output.tobytes()
    assert S.transpose(u, channels_last=channels_last).tobytes() == backward.input.tobytes()
    assert S.grid_gradient(u, image, channels_last=channels_last).tobytes() == backward.grid.tobytes()


@given(data=st.data())
def test_matrix_is_the_operator(data):
    call = data.draw(strategies.grid_sample_calls("exact", data.draw(st.sampled_from(VARIANTS))))
    image, grid = call.inputs
    S = attn_ref.sampling_operator(grid, image.shape[2:], **call.options)
    output = S.apply(image)
    assert S.matrix.shape == S.shape == (output.size // output.shape[1], image.size // image.shape[1])
    assert S.matrix.has_canonical_format
    np.testing.assert_allclose(S.matrix @ rows(image), rows(output), rtol=0, atol=1e-13 * np.abs(image).max())
    np.testing.assert_allclose(S.matrix.T @ rows(output), rows(S.transpose(output)), rtol=0, atol=1e-11)


@given(data=st.data())
def test_derivative_matrices_are_the_derivatives_of_the_matrix(data):
    variant = data.draw(st.sampled_from([v for v in VARIANTS if v["mode"] != "nearest"]))
    call = data.draw(strategies.grid_sample_calls("smooth", variant))
    image, grid = call.inputs
    a = data.draw(st.integers(0, variant["ndim"] - 1))
    step = np.zeros(variant["ndim"])
    (_, steps), _ = OPERATIONS["grid_sample"].steps(call)
    step[a] = h = steps[a]

    def matrix(k):
        return attn_ref.sampling_operator(grid + k * step, image.shape[2:], **call.options).matrix.toarray()

    numeric = (8 * (matrix(0.5) - matrix(-0.5)) - (matrix(1) - matrix(-1))) / (6 * h)
    exact = attn_ref.sampling_operator(grid, image.shape[2:], **call.options).derivative_matrix(a).toarray()
    np.testing.assert_allclose(numeric, exact, rtol=0, atol=1e-11)


def test_identity_is_the_identity_matrix():
    theta = np.eye(2, 3)[None]
    for align_corners in (True, False):
        grid = attn_ref.affine_grid(theta, (1, 1, 4, 5), align_corners=align_corners)
        matrix = attn_ref.sampling_operator(grid, (4, 5), align_corners=align_corners).matrix.toarray()
        np.testing.assert_allclose(matrix, np.eye(20), rtol=0, atol=1e-14)


def test_rows_of_nan_points_are_empty_and_outside_points_too():
    grid = np.array([[[[np.nan, 0.0], [9.0, 0.0], [0.0, 0.0]]]])
    matrix = attn_ref.sampling_operator(grid, (3, 3), align_corners=True).matrix
    assert np.diff(matrix.indptr).tolist() == [0, 0, 4]


def test_taps_of_weight_zero_are_entries_until_eliminated():
    matrix = attn_ref.sampling_operator(np.zeros((1, 1, 1, 2)), (3, 3), align_corners=True).matrix
    assert matrix.nnz == 4
    matrix.eliminate_zeros()
    assert matrix.nnz == 1


def test_repr_says_what_it_is():
    S = attn_ref.sampling_operator(np.zeros((2, 3, 4, 2), np.float32), (5, 6), align_corners=True)
    assert repr(S) == "SamplingOperator(24 points of 2 × (3, 4), 4 taps each, of images (5, 6), float32, numpy)"


def test_changing_the_grid_afterwards_changes_nothing():
    rng = np.random.default_rng(0)
    grid, image = rng.uniform(-1, 1, (1, 3, 4, 2)), rng.standard_normal((1, 2, 5, 6))
    S = attn_ref.sampling_operator(grid, (5, 6), align_corners=False)
    before = S.apply(image)
    grid[...] = 7
    assert (S.apply(image) == before).all()


def test_one_operator_serves_many_threads():
    rng = np.random.default_rng(0)
    S = attn_ref.sampling_operator(rng.uniform(-1, 1, (2, 30, 40, 2)), (50, 60), align_corners=False)
    images = [rng.standard_normal((2, c, 50, 60)) for c in (1, 2, 3, 5)]
    alone = [S.apply(image) for image in images]
    together = [None] * 4

    def work(i):
        for _ in range(20):
            together[i] = S.apply(images[i])

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(a.tobytes() == b.tobytes() for a, b in zip(alone, together, strict=True))


@pytest.mark.parametrize("axes", [(2,), (-1,), (0, 1, 0)])
def test_unknown_axes_are_named(axes):
    S = attn_ref.sampling_operator(np.zeros((1, 1, 1, 2)), (3, 3), align_corners=True)
    with pytest.raises(ValueError, match="axes"):
        S.derivative_matrix(*axes)


def test_nothing_is_computed_late():
    S = attn_ref.sampling_operator(np.zeros((1, 3, 4, 2)), (5, 6), align_corners=False)
    before = dict(vars(S._table))
    S.apply(np.zeros((1, 2, 5, 6)))
    S.grid_gradient(np.zeros((1, 2, 3, 4)), np.zeros((1, 2, 5, 6)))
    assert vars(S._table).keys() == before.keys()
