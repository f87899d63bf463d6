"""``attn-ref experiment``: what it lists, and how it fails before any work."""

import os

import pytest
from typer.testing import CliRunner

from attn_ref.cli import app
from attn_ref.experiments import console
from attn_ref.experiments.catalogue import EXPERIMENTS

RUNNER = CliRunner(env={"COLUMNS": "120", "NO_COLOR": "1", "TERM": "dumb"})


def run(*arguments):
    return RUNNER.invoke(app, ["experiment", *map(str, arguments)], prog_name="attn-ref")


@pytest.fixture(autouse=True)
def empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(console, "run_all", lambda *arguments: pytest.fail("work began"))
    return tmp_path


def bad(*arguments):
    before = sorted(os.listdir())
    result = run(*arguments)
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1
    assert result.stderr.startswith("attn-ref experiment")
    assert sorted(os.listdir()) == before
    return result.stderr


def test_the_list():
    result = run("--list")
    assert result.exit_code == 0
    for experiment in EXPERIMENTS.values():
        assert f"{experiment.name}: {experiment.question}" in result.stdout
        for name in (*experiment.nets, *experiment.data):
            assert name in result.stdout


def test_the_help_has_an_example():
    result = run("--help")
    assert result.exit_code == 0
    assert "attn-ref experiment distorted-digits --quick --only RTS" in result.stdout
    assert "--samples" not in result.stdout


def test_an_unknown_name_lists_the_names():
    line = bad("distorted-digit")
    assert all(name in line for name in EXPERIMENTS)
    assert "--list" in bad()


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_an_unknown_part_lists_the_parts(name):
    line = bad(name, "--only", "nothing")
    assert all(part in line for part in (*EXPERIMENTS[name].nets, *EXPERIMENTS[name].data))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--seeds", 0], "--seeds must be at least 1, got 0"),
        (["--seeds", "two"], "--seeds"),
        (["--jobs", 0], "--jobs must be at least 1, got 0"),
        (["--epochs", 0], "--epochs must be at least 1, got 0"),
        (["--samples", 19], "--samples must lie between 20 and 4000"),
        (["--samples", 4001], "--samples must lie between 20 and 4000"),
    ],
)
def test_numbers_out_of_range(arguments, says):
    assert says in bad("distorted-digits", *arguments)


def test_an_output_that_is_a_file(empty_folder):
    (empty_folder / "taken").write_text("mine")
    assert "--output taken is not a folder" in bad("upright", "--output", "taken")
    assert "taken" in bad("upright", "--output", "taken/below")
    assert (empty_folder / "taken").read_text() == "mine"


@pytest.mark.parametrize(
    ("module", "name", "extra"),
    [
        ("matplotlib", "upright", "plot"),
        ("mlxtend", "distorted-digits", "train"),
        ("skimage", "channel-gates", "train"),
    ],
)
def test_a_missing_package_is_one_line(monkeypatch, module, name, extra):
    import attn_ref.datasets.digits as digits
    import attn_ref.datasets.textures as textures

    digits._mnist.cache_clear()
    textures._grey.cache_clear()
    monkeypatch.setitem(__import__("sys").modules, module, None)
    for below in ("mlxtend.data", "skimage.data"):
        if below.startswith(module):
            monkeypatch.setitem(__import__("sys").modules, below, None)
    assert f"pip install 'attn_ref[{extra}]'" in bad(name)
