"""affine_grid and affine_inverse: values to be computed in the head, and singular maps. Rules are in tests/spec."""

from fractions import Fraction
from itertools import permutations
from math import prod

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import attn_ref
from attn_ref import validation
from attn_ref.gradcheck import strategies
from attn_ref.ops import affine


def test_identity_grids_by_hand():
    theta = np.eye(2, 3)[None]
    aligned = attn_ref.affine_grid(theta, (1, 1, 2, 3), align_corners=True)
    assert aligned[0, :, :, 0].tolist() == [[-1, 0, 1], [-1, 0, 1]]
    assert aligned[0, :, :, 1].tolist() == [[-1, -1, -1], [1, 1, 1]]
    edges = attn_ref.affine_grid(theta, (1, 1, 2, 4), align_corners=False)
    assert edges[0, 0, :, 0].tolist() == [-0.75, -0.25, 0.25, 0.75]
    assert edges[0, :, 0, 1].tolist() == [-0.5, 0.5]


def test_z_comes_last_and_indexes_depth():
    grid = attn_ref.affine_grid(np.eye(3, 4)[None], (1, 1, 2, 3, 5), align_corners=True)
    assert grid.shape == (1, 2, 3, 5, 3)
    assert grid[0, 1, 2, 4].tolist() == [1, 1, 1]
    assert grid[0, 1, 0, 0].tolist() == [-1, -1, 1]


@pytest.mark.parametrize("d", [2, 3])
@given(data=st.data())
def test_inverse_composed_with_the_map_is_the_identity(d, data):
    theta = data.draw(strategies.thetas(3, d, invertible=True))
    inverse = attn_ref.affine_inverse(theta)
    linear = theta[..., :d] @ inverse[..., :d]
    shift = theta[..., :d] @ inverse[..., d:] + theta[..., d:]
    np.testing.assert_allclose(linear, np.broadcast_to(np.eye(d), linear.shape), rtol=0, atol=1e-13)
    np.testing.assert_allclose(shift, 0, atol=1e-13)


@pytest.mark.parametrize("scale", [1e-150, 1e-30, 1e30, 1e150])
@pytest.mark.parametrize("d", [2, 3])
def test_scale_alone_makes_no_map_singular(scale, d):
    theta = np.zeros((1, d, d + 1))
    theta[0, :, :d] = scale * np.roll(np.eye(d), 1, axis=0)
    inverse = attn_ref.affine_inverse(theta)
    np.testing.assert_allclose(inverse[0, :, :d], np.roll(np.eye(d), -1, axis=0) / scale, rtol=1e-15)


def test_rows_and_columns_may_be_of_very_different_size():
    theta = np.zeros((1, 3, 4))
    theta[0, :, :3] = np.diag([1e200, 1.0, 1e-200])
    assert attn_ref.affine_inverse(theta)[0, :, :3].diagonal().tolist() == pytest.approx([1e-200, 1, 1e200], rel=1e-15)


@pytest.mark.parametrize(
    "linear",
    [
        [[0.0, 0.0], [0.0, 0.0]],
        [[1.0, 2.0], [2.0, 4.0]],
        [[0.1, 0.2], [0.3, 0.6]],  # its determinant is not computed as 0
        [[1.0, 0.0], [0.0, 0.0]],
        [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 9.0]],
    ],
)
def test_singular_maps_are_refused_by_name_and_place(linear):
    d = len(linear)
    theta = np.stack([np.eye(d, d + 1)] * 4)
    theta[2, :, :d] = linear
    with pytest.raises(ValueError, match=r"theta is singular in batch element 2: its determinant is \S+, within"):
        attn_ref.affine_inverse(theta)


def test_the_determinant_in_the_message_is_that_of_theta():
    theta = np.array([[[3.0, 6.0, 0.0], [1.0, 2.0 * (1 + 1e-16), 0.0]]])
    with pytest.raises(ValueError, match="its determinant is 0,"):
        attn_ref.affine_inverse(theta)
    theta = np.stack(
        [
            np.ldexp([[1.0, 2.0**-20, 0.0], [1.0, 3 * 2.0**-20, 0.0]], 10),
            np.array([[4.0, 8.0, 0.0], [1.0, 2.0 + 2**-51, 0.0]]),
        ]
    )
    with pytest.raises(
        ValueError, match=rf"element 1: its determinant is {2**-49:.6g}, within rounding error of 0, so"
    ) as e:
        attn_ref.affine_inverse(theta)
    assert str(e.value).endswith("so it has no inverse; keep its rows independent and its scale away from 0")


@pytest.mark.parametrize(
    "linear",
    [
        [[1.0, 0.125], [3.0, 0.375]],
        [[1.0, 0.75], [2.5, 1.875]],
        [[1.0, 0.125, 0.0625], [0.5, 1.0, 0.25], [1.5, 1.125, 0.3125]],
        [[1.0, 0.0, 0.5], [3.0, 1.75, 0.0], [4.0, 1.75, 0.5]],
        [[1.0, 0.75, 0.0], [0.125, 0.0, 0.5], [1.125, 0.75, 0.5]],
    ],
)
def test_singular_is_a_determinant_within_the_rounding_of_its_terms(linear):
    """Few digits, so that nothing is rounded; scaling changes neither side: refused to the last bit, and no further."""
    d = len(linear)
    rows = [[Fraction(entry) for entry in row] for row in linear]
    eps, answers = Fraction(2) ** -52, set()
    for k in range(300):
        rows[0][0] = 1 + k * eps
        terms = [prod(rows[i][p[i]] for i in range(d)) for p in permutations(range(d))]
        if any(Fraction(float(term)) != term for term in terms):
            continue
        signs = [prod((-1) ** (p[i] > p[j]) for j in range(d) for i in range(j)) for p in permutations(range(d))]
        singular = abs(sum(s * t for s, t in zip(signs, terms, strict=True))) <= d * eps * sum(map(abs, terms))
        theta = np.tile(np.eye(d, d + 1), (3, 1, 1))
        theta[1, :, :d] = [[float(entry) for entry in row] for row in rows]
        answers.add(singular)
        if singular:
            with pytest.raises(ValueError, match="singular in batch element 1"):
                attn_ref.affine_inverse(theta)
        else:
            assert np.isfinite(attn_ref.affine_inverse(theta)).all()
    assert answers == {True, False}


@pytest.mark.parametrize("d", [2, 3])
@pytest.mark.parametrize("axis", [0, 1])
def test_rows_or_columns_may_be_tiny_all_but_one(d, axis):
    """The products of two tiny ones underflow, unless each is scaled on its own."""
    linear = np.array([[4.0, 1.0, 1.0], [2.0, 3.0, 1.0], [0.5, 1.0, 2.0]])[:d, :d]
    tiny = np.ldexp(1.0, [0, -700, -720])[:d]
    theta = np.zeros((1, d, d + 1))
    theta[0, :, :d] = linear * (tiny[:, None] if axis == 0 else tiny)
    inverse = attn_ref.affine_inverse(theta)[0, :, :d]
    back = inverse * (tiny if axis == 0 else tiny[:, None])
    np.testing.assert_allclose(back, np.linalg.inv(linear), rtol=1e-14)


def test_a_size_of_a_wrong_length_is_told_both_forms():
    with pytest.raises(ValueError, match=r"size has 3 entries: expected \(N, C, H, W\) or \(N, C, D, H, W\), got"):
        attn_ref.affine_grid(np.eye(2, 3)[None], (1, 2, 3), align_corners=True)


def test_nan_is_data_and_stays_in_its_sample():
    theta = np.stack([np.eye(2, 3)] * 2)
    theta[0, 0, 0] = np.nan
    inverse = attn_ref.affine_inverse(theta)
    assert np.isnan(inverse[0]).any()
    assert (inverse[1] == np.eye(2, 3)).all()


def test_no_negative_zeros_in_the_inverse_of_a_diagonal():
    inverse = attn_ref.affine_inverse(np.array([[[2.0, 0.0, 0.0], [0.0, 4.0, 0.0]]]))
    assert not np.signbit(inverse).any()


def test_float32_is_computed_in_float32():
    """A matrix of zeros or ones of another dtype would make everything float64, for nothing but time."""
    theta = np.eye(2, 3, dtype=np.float32)[None]
    call = validation.numbers(theta=theta)
    assert affine._base_grid(call, (2, 3), align_corners=False).dtype == np.float32
    assert affine._homogeneous(call.backend, theta, last=1).dtype == np.float32
