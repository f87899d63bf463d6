"""Every property of every registered operation, on calls that Hypothesis draws by the profile in force."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attn_ref.gradcheck import strategies
from attn_ref.gradcheck.properties import PROPERTIES, PropertyError, examine, replay
from attn_ref.gradcheck.runner import pairs
from attn_ref.gradcheck.subject import Finding, Subject
from attn_ref.registry import OPERATIONS, Call


@pytest.mark.parametrize(("operation", "name"), pairs(), ids=["-".join(pair) for pair in pairs()])
@given(data=st.data())
def test_property_holds(operation, name, data):
    variant = data.draw(st.sampled_from(OPERATIONS[operation].variants))
    calls = getattr(strategies, OPERATIONS[operation].strategy)
    call = data.draw(calls(PROPERTIES[name].kind, variant))
    examine(name, Subject(OPERATIONS[operation], np.dtype(np.float64)), call)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("name", ["adjoint", "jvp-vjp", "second-order", "oracle", "purity", "special"])
@given(data=st.data())
def test_property_holds_in_narrow_types(dtype, name, data):
    variant = data.draw(st.sampled_from(OPERATIONS["grid_sample"].variants))
    call = data.draw(strategies.grid_sample_calls(PROPERTIES[name].kind, variant))
    examine(name, Subject(OPERATIONS["grid_sample"], np.dtype(dtype)), call)


def test_identities_hold_to_1e_12_relative_to_the_terms():
    """⟨Jv, u⟩ = ⟨v, Jᵀu⟩ in all variants, on grids that are not made of round numbers."""
    rng = np.random.default_rng(11)
    for variant in OPERATIONS["grid_sample"].variants:
        options = {key: value for key, value in variant.items() if key != "ndim"}
        d = variant["ndim"]
        image = rng.standard_normal((2, 3, *(4, 5, 7)[:d]))
        grid = rng.uniform(-2.5, 2.5, (2, *(3, 2, 4)[:d], d))
        v = [rng.standard_normal(image.shape), rng.standard_normal(grid.shape)]
        operation = OPERATIONS["grid_sample"]
        tangent = operation.jvp([image, grid], v, options)
        u = rng.standard_normal(tangent.shape)
        cotangents = operation.backward(u, [image, grid], options)
        left = (tangent * u).sum()
        right = sum((a * b).sum() for a, b in zip(v, cotangents, strict=True))
        assert abs(left - right) <= 1e-12 * (np.abs(tangent * u).sum() + 1), options


def test_replay_returns_the_worst_ratio_and_raises_on_a_failure(monkeypatch):
    theta = [np.array([[[1.0, 0.5, 0.25], [0.0, 2.0, -1.0]]])]
    options = {"size": (1, 1, 2, 3), "align_corners": True}
    assert 0 <= replay("affine_grid", "oracle", theta, options) <= 1
    monkeypatch.setattr("attn_ref.ops.affine.pixel_centres", lambda xp, size, align_corners: np.zeros(size))
    with pytest.raises(PropertyError, match="oracle does not hold"):
        replay("affine_grid", "oracle", theta, options)


def test_a_finding_that_is_nan_or_has_no_room_fails():
    assert not Finding("x", float("nan"), 1.0).ratio <= 1
    assert Finding("x", 1e-30, 0.0).ratio == float("inf")
    assert Finding("x", 0.0, 0.0).ratio == 0


def test_a_subject_of_another_backend_gets_its_arrays(monkeypatch):
    """The subject converts to and from the backend it is asked to use."""
    from attn_ref import backend

    seen = []
    real = backend.BACKENDS["numpy"]()

    class Library:
        def __getattr__(self, name):
            return getattr(np, name)

        def asarray(self, array):
            seen.append(array.shape)
            return np.asarray(array)

    import dataclasses

    monkeypatch.setitem(backend.BACKENDS, "other", lambda: dataclasses.replace(real, name="other", xp=Library()))
    call = Call((np.eye(2, 3)[None],), {"size": (1, 1, 2, 2), "align_corners": False})
    subject = Subject(OPERATIONS["affine_grid"], np.dtype(np.float64), "other")
    assert subject.forward(call.inputs, call.options).shape == (1, 2, 2, 2)
    assert seen == [(1, 2, 3)]
