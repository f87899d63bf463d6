"""The training loop: it learns, repeats itself to the bit, goes on to the same bits, and stops at a NaN."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attn_ref.blocks import SGD, Adam
from attn_ref.experiments.checkpoints import load_checkpoint
from attn_ref.experiments.losses import classification
from attn_ref.experiments.trainer import DivergedError

from .tiny import batches, bits, fit, network, whole


class StopAt:
    """A report that is Ctrl-C at some step."""

    def __init__(self, step):
        self.left = step

    def __call__(self, progress):
        self.left -= not progress.ended
        if self.left == 0 and not progress.ended:
            raise KeyboardInterrupt


def test_it_learns():
    _, state = fit(epochs=40, batches=lambda rng: batches(rng, size=64))
    errors = [record["error"] for record in state.history[1:]]
    assert np.mean(errors[-10:]) < 0.1 < 0.3 < np.mean(errors[:2])


def test_the_same_seed_gives_the_same_bits_and_another_does_not():
    (_, one), (_, two), (_, other) = fit(), fit(), fit(seed=2)
    assert whole(one) == whole(two)
    assert bits(one.params) != bits(other.params)


def test_the_block_holds_the_last_state():
    block, state = fit()
    assert bits(block.params) == bits(state.params)
    assert bits(block.buffers) == bits(state.buffers)


@pytest.mark.parametrize("optimiser", [Adam(0.01), SGD(0.05, momentum=0.9)])
@pytest.mark.parametrize("step", range(1, 13))
def test_interrupted_training_goes_on_to_the_same_bits(tmp_path, step, optimiser):
    _, expected = fit(optimiser=optimiser)
    path = tmp_path / "state.npz"
    with pytest.raises(KeyboardInterrupt):
        fit(optimiser=optimiser, checkpoint=path, report=StopAt(step))
    block, state = fit(network(seed=9), optimiser=optimiser, seed=77, checkpoint=path)
    assert whole(state) == whole(expected)
    assert bits(block.params) == bits(expected.params)


@settings(max_examples=15)
@given(st.lists(st.integers(1, 5), max_size=6))
def test_interrupted_again_and_again(tmp_path_factory, steps):
    path = tmp_path_factory.mktemp("again") / "state.npz"
    for step in steps:
        try:
            fit(checkpoint=path, report=StopAt(step))
        except KeyboardInterrupt:
            continue
    assert whole(fit(checkpoint=path)[1]) == whole(fit()[1])


def test_an_interruption_while_evaluating_loses_nothing(tmp_path):
    calls = []

    def evaluate(block):
        calls.append(block)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return {"first": float(block.params["0.weight"][0, 0])}

    path = tmp_path / "state.npz"
    with pytest.raises(KeyboardInterrupt):
        fit(checkpoint=path, evaluate=evaluate)
    calls += [None] * 9
    _, state = fit(checkpoint=path, evaluate=evaluate)
    calls += [None] * 9
    assert whole(state) == whole(fit(evaluate=evaluate)[1])


def test_finished_training_is_only_read(tmp_path):
    path = tmp_path / "state.npz"
    _, state = fit(checkpoint=path)
    before = path.read_bytes()
    block, again = fit(network(seed=9), checkpoint=path, report=lambda progress: pytest.fail("it trained"))
    assert whole(again) == whole(state)
    assert bits(block.params) == bits(state.params)
    assert path.read_bytes() == before


def test_the_history_and_the_reports_agree():
    seen = []
    _, state = fit(report=seen.append, evaluate=lambda block: {"count": block.count})
    assert [record["epoch"] for record in state.history] == [0, 1, 2, 3]
    assert all(record["count"] == network().count for record in state.history)
    assert "loss" not in state.history[0]
    ends = [p for p in seen if p.ended]
    assert [(p.loss, p.error) for p in ends] == [(r["loss"], r["error"]) for r in state.history[1:]]
    assert [(p.epoch, p.step) for p in seen if not p.ended] == [(e, s) for e in (1, 2, 3) for s in (1, 2, 3, 4)]
    assert {(p.epochs, p.steps) for p in seen} == {(3, 4)}


def test_the_schedule_is_followed():
    """Two epochs at rate 0 change nothing; buffers are not learned and go on."""
    start = network()
    block, state = fit(network(), optimiser=SGD(0.1), learning_rate=lambda done: 0.0 if done < 2 else 0.1, epochs=2)
    assert bits(block.params) == bits(start.params)
    assert bits(block.buffers) != bits(start.buffers)
    block, _ = fit(network(), optimiser=SGD(0.1), learning_rate=lambda done: 0.0 if done < 2 else 0.1, epochs=3)
    assert bits(block.params) != bits(start.params)
    assert len(state.history) == 3


def test_gradients_are_clipped():
    """One step of SGD moves by the learning rate times at most the greatest norm."""

    def moved(max_norm):
        block, state = fit(
            network(), optimiser=SGD(1.0), epochs=1, max_norm=max_norm, batches=lambda rng: batches(rng, count=1)
        )
        start = network().params
        steps = [np.square(block.params[name] - start[name], dtype=np.float64).sum() for name in start]
        return np.sqrt(sum(steps)), state.history[-1]["norm"]

    (free, norm), (short, same) = moved(None), moved(0.01)
    assert free == pytest.approx(norm, rel=1e-4)
    assert short == pytest.approx(0.01, rel=1e-3)
    assert norm == same > 0.01


@pytest.mark.parametrize(("value", "word"), [(np.nan, "NaN"), (np.inf, "NaN|infinite")])
def test_a_nan_stops_training_and_says_where(tmp_path, value, word):
    path = tmp_path / "state.npz"
    begun = []

    def spoiled(rng):
        begun.append(rng)
        made = batches(rng)
        if len(begun) == 2:
            made[2][0][0, 0] = value
        return made

    block = network()
    with pytest.raises(DivergedError, match=f"loss became ({word}) in epoch 2 of 3, step 3 of 4"):
        fit(block, checkpoint=path, batches=spoiled)
    state = load_checkpoint(path, network(), Adam(0.01), {})
    assert (state.epoch, state.step) == (1, 2)
    assert bits(block.params) == bits(state.params)
    assert all(np.isfinite(array).all() for array in {**state.params, **state.buffers, **state.optimiser}.values())


def test_a_gradient_that_overflows_is_named():
    def steep(output, targets):
        cost = classification(output, targets)
        grad = cost.grad_output.copy()
        grad[:, 0] = np.inf
        return cost._replace(grad_output=grad)

    with pytest.raises(DivergedError, match=r"the gradient of \S+ became NaN in epoch 1 of 3, step 1 of 4"):
        fit(loss=steep)


def test_a_parameter_that_overflows_is_named():
    with pytest.raises(DivergedError, match=r"(weight|bias) became infinite in epoch 1 of 3, step 1 of 4"):
        fit(optimiser=SGD(3e38), max_norm=1e6, loss=lambda y, t: classification(y, t)._replace(grad_output=y * 0 + 9))


def test_no_batches_is_an_error():
    with pytest.raises(ValueError, match="no batch"):
        fit(batches=lambda rng: [])
