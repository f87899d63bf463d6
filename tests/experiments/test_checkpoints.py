"""Checkpoints: exact, without pickles, and refused with one clear error if they are anything else."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attn_ref.blocks import SGD, Adam, Linear, load_arrays, save_arrays
from attn_ref.experiments.checkpoints import CheckpointError, load_checkpoint, save_checkpoint

from .tiny import bits, fit, network, whole

SETTINGS = {"epochs": 3, "sizes": (1, 2)}


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "state.npz"
    _, state = fit(checkpoint=path, settings=SETTINGS)
    return path, state


def refused(path, match, block=None, optimiser=None, settings=SETTINGS):
    """Loading fails with a line that names the file, changing neither file nor block."""
    block = block or network(seed=5)
    content, before = path.read_bytes(), bits({**block.params, **block.buffers})
    with pytest.raises(CheckpointError, match=match) as caught:
        load_checkpoint(path, block, optimiser or Adam(), settings)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == content
    assert bits({**block.params, **block.buffers}) == before


def test_what_is_saved_is_loaded_to_the_bit(saved):
    path, state = saved
    block = network(seed=5)
    loaded = load_checkpoint(path, block, Adam(), SETTINGS)
    assert whole(loaded) == whole(state)
    assert bits(block.params) == bits(state.params)


def test_a_generator_of_a_checkpoint_draws_on(saved):
    path, state = saved
    rng, other = np.random.default_rng(3), np.random.default_rng(4)
    rng.bit_generator.state = state.generator
    other.bit_generator.state = load_checkpoint(path, network(), Adam(), SETTINGS).generator
    assert (rng.random(9) == other.random(9)).all()


def test_there_is_no_pickle_in_it(saved):
    with np.load(saved[0], allow_pickle=False) as archive:
        assert json.loads(str(archive["record"]))["settings"] == {"epochs": 3, "sizes": [1, 2]}


@settings(max_examples=25)
@given(st.floats(0, 1, exclude_max=True))
def test_a_checkpoint_cut_short_is_refused(tmp_path_factory, share):
    path = tmp_path_factory.mktemp("cut") / "state.npz"
    fit(epochs=1, checkpoint=path, settings=SETTINGS)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    refused(path, "not a whole .npz file")


def test_a_file_of_parameters_is_no_checkpoint(tmp_path):
    path = tmp_path / "parameters.npz"
    save_arrays(path, network().params)
    refused(path, "is not a checkpoint")


@pytest.mark.parametrize("record", ["", "[]", "{}", '{"format": "attn_ref training 1"}', "null"])
def test_a_record_of_something_else_is_refused(saved, record):
    path, _ = saved
    save_arrays(path, {**load_arrays(path), "record": np.array(record)})
    refused(path, "is not a checkpoint")


def test_a_broken_generator_is_refused(saved):
    path, _ = saved
    arrays = load_arrays(path)
    record = json.loads(str(arrays["record"]))
    record["generator"]["bit_generator"] = "Dice"
    save_arrays(path, {**arrays, "record": np.array(json.dumps(record))})
    refused(path, "no state of a PCG64")


def test_other_settings_are_listed(saved):
    match = r"other settings: epochs was 3 and is now 4; sizes was \[1, 2\] and is now None"
    refused(saved[0], match, settings={"epochs": 4})


def test_another_network_or_optimiser_is_refused(saved):
    path, _ = saved
    refused(path, "its parameters have other names or shapes", block=Linear(3, 2, rng=np.random.default_rng(0)))
    refused(path, "its optimiser's arrays have other", optimiser=SGD(0.1, momentum=0.9))


def test_a_folder_or_nothing_cannot_be_read(tmp_path):
    for path in (tmp_path, tmp_path / "nothing.npz"):
        with pytest.raises(ValueError, match="cannot be read"):
            load_checkpoint(path, network(), Adam(), SETTINGS)


def test_the_old_file_stays_if_the_new_one_cannot_be_written(saved, monkeypatch):
    path, state = saved
    before = path.read_bytes()

    def fail(*arguments):
        raise OSError("no space left")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(ValueError, match="cannot be written"):
        save_checkpoint(path, state, {"epochs": 9})
    assert path.read_bytes() == before
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]
