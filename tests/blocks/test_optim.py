"""Optimisers beside torch's, as pure functions, and what they refuse."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attn_ref.blocks import SGD, Adam, Linear, clip_gradients, load_arrays, save_arrays

from .oracle import bits

SHAPES = {"conv1.weight": (3, 2, 2), "conv1.bias": (3,), "scale": ()}

SETTINGS = [
    (SGD, {"learning_rate": 0.1}, "SGD"),
    (SGD, {"learning_rate": 0.1, "weight_decay": 0.03}, "SGD"),
    (SGD, {"learning_rate": 0.1, "momentum": 0.9}, "SGD"),
    (SGD, {"learning_rate": 0.1, "momentum": 0.8, "weight_decay": 0.03, "nesterov": True}, "SGD"),
    (Adam, {"learning_rate": 0.02}, "Adam"),
    (Adam, {"learning_rate": 0.02, "betas": (0.7, 0.95), "eps": 1e-3, "weight_decay": 0.1}, "Adam"),
    (Adam, {"learning_rate": 0.02, "betas": (0.0, 0.5)}, "Adam"),
]


def arrays(seed, dtype="float64"):
    rng = np.random.default_rng(seed)
    return {name: np.asarray(rng.standard_normal(shape), dtype) for name, shape in SHAPES.items()}


def gradients(params, k):
    """Some gradient that depends on the parameters and on the step."""
    return {name: np.asarray(np.sin(3 * array + k), array.dtype) for name, array in params.items()}


@pytest.mark.parametrize(("kind", "settings", "twin"), SETTINGS)
def test_ten_steps_are_torchs(kind, settings, twin):
    torch = pytest.importorskip("torch")
    params = arrays(0)
    there = {name: torch.tensor(array, requires_grad=True) for name, array in params.items()}
    translated = {{"learning_rate": "lr"}.get(name, name): value for name, value in settings.items()}
    reference = getattr(torch.optim, twin)(there.values(), **translated)
    optimiser = kind(**settings)
    state = optimiser.init(params)
    for k in range(10):
        rate = settings["learning_rate"] * 0.5 ** (k // 4)
        for group in reference.param_groups:
            group["lr"] = rate
        for name, grad in gradients(params, k).items():
            there[name].grad = torch.tensor(grad)
        reference.step()
        params, state = optimiser.step(params, gradients(params, k), state, rate)
        for name, array in params.items():
            np.testing.assert_allclose(array, there[name].detach(), rtol=0, atol=1e-12)


@pytest.mark.parametrize(("kind", "settings", "twin"), SETTINGS)
def test_a_step_is_pure_and_its_results_are_fresh(kind, settings, twin):
    optimiser, params = kind(**settings), arrays(0)
    grads, state = gradients(params, 0), optimiser.init(params)
    _, state = optimiser.step(params, grads, state)
    before = bits(vars(optimiser)), bits(params), bits(grads), bits(state)
    one = optimiser.step(params, grads, state)
    assert (bits(vars(optimiser)), bits(params), bits(grads), bits(state)) == before
    other = optimiser.step(params, grads, state)
    assert [bits(mapping) for mapping in one] == [bits(mapping) for mapping in other]
    given = [*params.values(), *grads.values(), *state.values()]
    for array in [*one[0].values(), *one[1].values()]:
        assert type(array) is np.ndarray
        assert not any(np.shares_memory(array, old) for old in given)
    assert {name: array.shape for name, array in one[0].items()} == SHAPES
    assert list(one[1]) == list(state)


@pytest.mark.parametrize(("kind", "settings", "twin"), SETTINGS)
def test_training_resumes_from_a_file_to_the_same_bits(kind, settings, twin, tmp_path):
    def steps(params, state, ks):
        for k in ks:
            params, state = optimiser.step(params, gradients(params, k), state)
        return params, state

    optimiser, params = kind(**settings), arrays(0, "float32")
    whole, _ = steps(params, optimiser.init(params), range(6))
    params, state = steps(params, optimiser.init(params), range(3))
    save_arrays(tmp_path / "state.npz", state)
    resumed, _ = steps(params, load_arrays(tmp_path / "state.npz"), range(3, 6))
    assert bits(resumed) == bits(whole)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize(("kind", "settings", "twin"), SETTINGS)
def test_parameters_keep_their_dtype_and_state_is_in_working_precision(kind, settings, twin, dtype):
    optimiser, params = kind(**settings), arrays(0, dtype)
    params, state = optimiser.step(params, gradients(params, 0), optimiser.init(params))
    assert {array.dtype for array in params.values()} == {np.dtype(dtype)}
    working = {"float16": "float32"}.get(dtype, dtype)
    assert {array.dtype for name, array in state.items() if name != "step"} <= {np.dtype(working)}


def test_small_gradients_are_not_lost_in_float16():
    optimiser, params = Adam(0.25), {"w": np.ones(2, np.float16)}
    grads = {"w": np.full(2, 2.0**-20, np.float16)}  # its square is 0 in float16
    params, _ = optimiser.step(params, grads, optimiser.init(params))
    np.testing.assert_allclose(params["w"], 0.75, rtol=0.01)


def test_a_step_of_rate_0_moves_nothing_but_remembers():
    optimiser, params = SGD(0.1, momentum=0.5), arrays(0)
    grads = gradients(params, 0)
    same, state = optimiser.step(params, grads, optimiser.init(params), 0.0)
    assert bits(same) == bits(params)
    assert bits(state) == bits({f"velocity.{name}": grad for name, grad in grads.items()})


def test_it_learns_a_line():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((40, 3))
    target = x @ np.array([[1.0], [-2.0], [0.5]]) + 3
    for optimiser in (SGD(0.05, momentum=0.8), Adam(0.1)):
        block = Linear(3, 1, rng=rng, dtype="float64")
        state = optimiser.init(block.params)
        for _ in range(400):
            y, backward = block.forward(x)
            _, grads = backward(2 * (y - target) / len(x))
            params, state = optimiser.step(block.params, grads, state)
            block.assign(params)
        np.testing.assert_allclose(block.params["weight"], [[1.0, -2.0, 0.5]], atol=1e-4)
        np.testing.assert_allclose(block.params["bias"], [3.0], atol=1e-4)


@given(seed=st.integers(0, 2**32 - 1), max_norm=st.floats(1e-3, 1e3), scale=st.floats(1e-6, 1e6))
def test_clipping_is_torchs(seed, max_norm, scale):
    torch = pytest.importorskip("torch")
    grads = {name: np.asarray(scale * array) for name, array in arrays(seed).items()}
    there = [torch.zeros(array.shape, dtype=torch.float64, requires_grad=True) for array in grads.values()]
    for parameter, grad in zip(there, grads.values(), strict=True):
        parameter.grad = torch.tensor(grad)
    expected = torch.nn.utils.clip_grad_norm_(there, max_norm)
    before = bits(grads)
    clipped, norm = clip_gradients(grads, max_norm)
    assert bits(grads) == before
    np.testing.assert_allclose(norm, float(expected), rtol=1e-13)
    assert list(clipped) == list(grads)
    for array, parameter in zip(clipped.values(), there, strict=True):
        assert type(array) is np.ndarray
        np.testing.assert_allclose(array, parameter.grad, rtol=1e-13)


def test_clipping_short_gradients_changes_no_bit_and_long_ones_keep_their_direction():
    grads = arrays(3, "float32")
    norm = np.sqrt(sum(float((array.astype(float) ** 2).sum()) for array in grads.values()))
    assert bits(clip_gradients(grads, 2 * norm)[0]) == bits(grads)
    huge = {
        name: np.asarray(array * np.float32(1e25)) for name, array in grads.items()
    }  # whose squares are inf in float32
    clipped, length = clip_gradients(huge, 1.0)
    np.testing.assert_allclose(length, 1e25 * norm, rtol=1e-5)
    for name, array in clipped.items():
        np.testing.assert_allclose(array, grads[name] / norm, rtol=1e-5)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_clipping_shows_a_gradient_that_is_not_finite(bad):
    clipped, norm = clip_gradients({"a": np.array([1.0, bad]), "b": np.array([2.0])}, 1.0)
    assert not np.isfinite(norm)
    assert not np.isfinite(clipped["a"]).all()


def test_no_parameters_are_fine():
    for optimiser in (SGD(0.1, momentum=0.9), Adam()):
        params, _ = optimiser.step({}, {}, optimiser.init({}))
        assert params == {}
    assert clip_gradients({}, 1.0) == ({}, 0.0)


@pytest.mark.parametrize(
    ("make", "kind", "message"),
    [
        (lambda: SGD(-0.1), ValueError, r"learning_rate=-0\.1: expected a number at least 0"),
        (lambda: SGD(float("nan")), ValueError, "learning_rate=nan"),
        (lambda: SGD("fast"), TypeError, "learning_rate must be a number at least 0, got str 'fast'"),
        (lambda: SGD(0.1, momentum=-1), ValueError, "momentum=-1"),
        (lambda: SGD(0.1, weight_decay=-1), ValueError, "weight_decay=-1"),
        (lambda: SGD(0.1, nesterov=True), ValueError, "nesterov=True needs a momentum"),
        (lambda: SGD(0.1, momentum=0.9, nesterov=1), TypeError, "nesterov must be True or False"),
        (lambda: Adam(-1e-3), ValueError, "learning_rate=-0"),
        (lambda: Adam(betas=(0.9, 1.0)), ValueError, r"betas\[1\]=1.0: expected a number at least 0 and below 1"),
        (lambda: Adam(betas=(-0.1, 0.9)), ValueError, r"betas\[0\]=-0.1: expected"),
        (lambda: Adam(betas=0.9), TypeError, "betas must be a pair"),
        (lambda: Adam(eps=-1e-8), ValueError, "eps=-1e-08"),
        (lambda: Adam(weight_decay=True), TypeError, "weight_decay must be a number"),
        (lambda: clip_gradients({}, 0), ValueError, "max_norm=0: expected a number above 0"),
        (lambda: clip_gradients({}, -1.0), ValueError, "max_norm=-1"),
        (lambda: clip_gradients({"w": [1.0]}, 1.0), TypeError, "w must be an array"),
    ],
)
def test_bad_settings_are_refused_at_once(make, kind, message):
    with pytest.raises(kind, match=message):
        make()


@pytest.mark.parametrize("optimiser", [SGD(0.1), SGD(0.1, momentum=0.9), Adam()])
def test_gradients_that_do_not_fit_are_refused(optimiser):
    params = arrays(0)
    grads, state = gradients(params, 0), optimiser.init(params)

    def step(**changes):
        return optimiser.step(**{"params": params, "grads": grads, "state": state, **changes})

    fewer = {name: grad for name, grad in grads.items() if name != "scale"}
    with pytest.raises(ValueError, match=r"grads does not fit params: missing: scale$"):
        step(grads=fewer)
    with pytest.raises(ValueError, match=r"missing: scale; without a parameter: sclae"):
        step(grads={**fewer, "sclae": grads["scale"]})
    with pytest.raises(ValueError, match=r"grads\['conv1.bias'\] has shape \(1,\): expected \(3,\)"):
        step(grads={**grads, "conv1.bias": np.zeros(1)})
    with pytest.raises(TypeError, match=r"grads\['scale'\] has dtype float32 but params\['scale'\] has float64"):
        step(grads={**grads, "scale": np.zeros((), np.float32)})
    with pytest.raises(TypeError, match=r"grads\['scale'\] must be an array"):
        step(grads={**grads, "scale": 1.0})
    with pytest.raises(ValueError, match="learning_rate=-1: expected"):
        step(learning_rate=-1)
    with pytest.raises(ValueError, match=r"without a parameter: velocity\.other"):
        step(state={**state, "velocity.other": np.zeros(3)})


def test_state_that_does_not_fit_is_refused():
    params = arrays(0)
    grads = gradients(params, 0)
    sgd, adam = SGD(0.1, momentum=0.9), Adam()
    with pytest.raises(ValueError, match=r"state does not fit params: missing: velocity\.conv1\.weight, velocity"):
        sgd.step(params, grads, {})
    with pytest.raises(ValueError, match=r"missing: step, mean\.conv1\.weight"):
        adam.step(params, grads, sgd.init(params))
    state = adam.init(params)
    with pytest.raises(ValueError, match=r"state\['mean.scale'\] has shape \(2,\)"):
        adam.step(params, grads, {**state, "mean.scale": np.zeros(2)})
    with pytest.raises(TypeError, match=r"state\['square.scale'\] is a numpy array of float32: expected .* float64"):
        adam.step(params, grads, {**state, "square.scale": np.zeros((), np.float32)})
    for count in (np.array(-1), np.array(1.0), np.zeros(1, int), 3):
        with pytest.raises(ValueError, match=r"state\['step'\] must be"):
            adam.step(params, grads, {**state, "step": count})
