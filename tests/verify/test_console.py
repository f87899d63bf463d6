"""``attn-ref verify``: what it prints, its exit status, its errors."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from attn_ref.cli import app
from attn_ref.verify.console import asked

RUNNER = CliRunner(env={"COLUMNS": "100", "NO_COLOR": "1", "TERM": "dumb"})
HERE = "tests.verify.candidates:"
FEW = ("--only", "ndim=2", "--only", "mode=bilinear", "--only", "padding_mode=zeros", "--examples", "4")


def run(*arguments):
    return RUNNER.invoke(app, ["verify", *map(str, arguments)], prog_name="attn-ref")


def test_a_right_candidate(tmp_path):
    result = run(
        "grid_sample", HERE + "right", "--backward", HERE + "right_backward", *FEW, "--json", tmp_path / "report.json"
    )
    assert result.exit_code == 0, result.output
    assert "right" in result.stdout
    assert "backward: grid" in result.stdout
    content = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert content["passed"] is True
    assert content["settings"]["options"]["mode"] == ["bilinear"]


def test_a_wrong_candidate():
    result = run("grid_sample", HERE + "swapped", *FEW, "--align-corners", "--dtype", "float32")
    assert result.exit_code == 1, result.output
    assert "WRONG" in result.stdout
    assert "replay(" in result.stdout
    assert "align_corners=False" not in result.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "give an OPERATION and a CANDIDATE"),
        (("grid_sample", "candidate"), "not of the form package.module:function"),
        (("grid_sample", "no_such_package.module:f"), "no module no_such_package"),
        (("grid_sample", HERE + "nothing"), "has no nothing"),
        (("grid_sample", HERE + "np"), "not a function"),
        (("grid_sampel", HERE + "right"), "did you mean 'grid_sample'"),
        (("grid_sample", HERE + "right", "--adapter", "jax"), "'jax' is unknown"),
        (("grid_sample", HERE + "right", "--only", "mode"), "expected NAME=VALUE"),
        (("grid_sample", HERE + "right", "--only", "mode=cubic"), "'cubic' is not among"),
        (("grid_sample", HERE + "right", "--dtype", "float8"), "float8"),
        (("grid_sample", HERE + "right", "--json", "/nowhere/report.json"), "no folder"),
        (("grid_sample", HERE + "rounds_up"), "has no argument 'mode'"),
    ],
)
def test_an_error_is_one_line_and_status_2(arguments, message):
    result = run(*arguments)
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert message in result.stderr
    assert result.stderr.count("\n") == 1


def test_values_are_read_as_what_they_are():
    assert asked(["ndim=3", "channels_last=True", "absent=", "absent=reduce_bias,expand_bias"], None) == {
        "ndim": [3],
        "channels_last": [True],
        "absent": [(), ("reduce_bias", "expand_bias")],
    }


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C is sent as a POSIX signal")
def test_ctrl_c_shows_what_was_done_and_gives_130(tmp_path):
    command = (
        "import signal; from attn_ref.__main__ import main;"
        "signal.signal(signal.SIGINT, signal.default_int_handler); main()"
    )
    started = tmp_path / "started"
    process = subprocess.Popen(
        [sys.executable, "-c", command, "verify", "grid_sample", HERE + "hangs", "--time-limit", "600"],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "HANGS_NOW": str(started)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    while not started.exists() and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, stderr
    assert "Stopped by Ctrl-C" in stdout
