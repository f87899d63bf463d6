"""Theta from a few parameters: values, directions, gradients, errors."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attn_ref import affine_grid, grid_sample
from attn_ref.blocks import RESTRICTIONS, identity_head, theta_of, theta_of_backward
from attn_ref.gradcheck import check_gradients

WIDTHS = {"affine": 6, "attention": 3, "rotation": 1}
IDENTITY = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])


def normal(shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def test_the_table_is_what_is_tested():
    assert {name: len(rule.identity) for name, rule in RESTRICTIONS.items()} == WIDTHS


def test_values():
    a, s, t, u = 0.3, 0.5, 0.25, -2.0
    rows = np.arange(12.0).reshape(2, 6)
    np.testing.assert_array_equal(theta_of(rows, "affine"), rows.reshape(2, 2, 3))
    np.testing.assert_array_equal(theta_of(rows.reshape(2, 2, 3)), rows.reshape(2, 2, 3))
    np.testing.assert_array_equal(theta_of(np.array([[s, t, u]]), "attention"), [[[s, 0, t], [0, s, u]]])
    rotated = theta_of(np.array([[a]]), "rotation")
    np.testing.assert_allclose(rotated, [[[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0]]], rtol=1e-15)


@pytest.mark.parametrize("restriction", WIDTHS)
def test_identity_parameters_give_the_identity(restriction):
    identity = np.array([RESTRICTIONS[restriction].identity], float)
    np.testing.assert_array_equal(theta_of(identity, restriction)[0], IDENTITY)
    assert not np.signbit(theta_of(identity, restriction)).any()


def test_a_quarter_turn_reads_clockwise_and_shows_counter_clockwise():
    image = np.array([[1.0, 2.0], [3.0, 4.0]])[None, None]
    theta = theta_of(np.array([[np.pi / 2]]), "rotation")
    grid = affine_grid(theta, (1, 1, 2, 2), align_corners=False)
    seen = grid_sample(image, grid, align_corners=False, padding_mode="border")[0, 0]
    np.testing.assert_allclose(seen, np.rot90(image[0, 0]), atol=1e-14)  # rot90 turns counter-clockwise
    right = theta[0] @ [1.0, 0.0, 1.0]
    np.testing.assert_allclose(right, [0, 1], atol=1e-15)  # what is on the right is read from below


@pytest.mark.parametrize("restriction", WIDTHS)
def test_the_backward_pass_is_that_of_differences(restriction):
    parameters = normal((3, WIDTHS[restriction]))
    check_gradients(
        lambda p: theta_of(p, restriction),
        lambda grad, p: theta_of_backward(grad, p, restriction),
        [parameters],
        batched=True,
    ).raise_if_failed()


@given(st.sampled_from(sorted(WIDTHS)), st.integers(0, 4), st.integers(0, 2**32 - 1))
def test_a_cotangent_pairs_with_a_tangent(restriction, n, seed):
    """⟨J v, u⟩ = ⟨v, Jᵀ u⟩, the tangent by a complex step, which has no rounding error."""
    rng = np.random.default_rng(seed)
    p, v, u = (
        rng.standard_normal((n, WIDTHS[restriction])),
        rng.standard_normal((n, WIDTHS[restriction])),
        normal((n, 2, 3)),
    )
    step = 1e-30
    columns = list((p + 1j * step * v).T)
    tangent = [np.imag(entry) / step for entry in RESTRICTIONS[restriction].theta(np, columns)]
    left = sum(float(t @ u.reshape(n, 6)[:, k]) for k, t in enumerate(tangent))
    right = float((v * theta_of_backward(u, p, restriction)).sum())
    np.testing.assert_allclose(left, right, rtol=1e-12, atol=1e-13)


def test_cotangents_have_the_shape_and_dtype_of_the_parameters():
    for dtype in ("float16", "float32", "float64"):
        for restriction, width in WIDTHS.items():
            p = normal((3, width)).astype(dtype)
            theta = theta_of(p, restriction)
            grad = theta_of_backward(theta, p, restriction)
            assert (theta.shape, theta.dtype) == ((3, 2, 3), dtype)
            assert (grad.shape, grad.dtype) == (p.shape, dtype)
    whole = normal((4, 2, 3))
    np.testing.assert_array_equal(theta_of_backward(whole, whole), whole)


@pytest.mark.parametrize(
    ("shape", "restriction", "message"),
    [
        ((4, 5), "affine", r"parameters has shape \(4, 5\): restriction='affine' takes \(N, 6\) or \(N, 2, 3\)"),
        ((4, 3, 2), "affine", r"takes \(N, 6\) or \(N, 2, 3\)"),
        ((6,), "affine", r"takes \(N, 6\)"),
        ((), "affine", r"takes \(N, 6\)"),
        ((4, 6), "attention", r"restriction='attention' takes \(N, 3\)$"),
        ((4, 2, 3), "attention", r"takes \(N, 3\)$"),
        ((4,), "rotation", r"restriction='rotation' takes \(N, 1\)$"),
        ((4, 6), "afine", "restriction='afine' is unknown.*did you mean 'affine'"),
    ],
)
def test_what_does_not_fit_is_refused(shape, restriction, message):
    with pytest.raises(ValueError, match=message):
        theta_of(normal(shape), restriction)
    with pytest.raises(ValueError, match=message):
        theta_of_backward(normal((4, 2, 3)), normal(shape), restriction)


def test_a_cotangent_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"grad_theta has shape \(3, 6\): expected \(3, 2, 3\), the shape of theta"):
        theta_of_backward(normal((3, 6)), normal((3, 6)))
    with pytest.raises(TypeError, match="grad_theta has dtype float32 but parameters has float64"):
        theta_of_backward(normal((3, 2, 3)).astype(np.float32), normal((3, 6)))
    with pytest.raises(TypeError, match="parameters must be an array"):
        theta_of([[1.0, 0.0, 0.0]], "attention")


@pytest.mark.parametrize("restriction", WIDTHS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_an_identity_head_yields_the_identity_whatever_it_sees(restriction, dtype):
    head = identity_head(5, restriction, dtype=dtype)
    theta = theta_of(head.forward(normal((4, 5)).astype(dtype))[0], restriction)
    np.testing.assert_array_equal(theta, np.broadcast_to(IDENTITY, (4, 2, 3)))
    assert theta.dtype == dtype
    assert {name: array.shape for name, array in head.params.items()} == {
        "weight": (WIDTHS[restriction], 5),
        "bias": (WIDTHS[restriction],),
    }


def test_an_identity_head_refuses_what_it_cannot_be():
    with pytest.raises(ValueError, match="in_features=0 is too small: expected at least 1"):
        identity_head(0)
    with pytest.raises(ValueError, match="restriction='shear' is unknown"):
        identity_head(4, "shear")
    with pytest.raises(TypeError, match="dtype must be"):
        identity_head(4, dtype=int)
