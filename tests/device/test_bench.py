"""``attn-ref bench --backend``: the same cases on a device, beside NumPy."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from attn_ref import cli
from attn_ref.bench import console, on_a_gpu, report
from attn_ref.bench.contenders import OURS
from attn_ref.bench.runner import run_case
from tests.bench.tiny import FAST, TINY

from .libraries import BOTH

RUNNER = CliRunner(env={"COLUMNS": "100", "NO_COLOR": "1", "TERM": "dumb"})
CASES = [case for case in TINY if case.kind != "gradcheck" and case.group != "growth"]


@BOTH
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.group}-{case.name}")
def test_everyone_does_the_same_work(device, case):
    taking_part = on_a_gpu.contenders(device.name)
    assert [contender.name for contender in taking_part][:2] == [OURS, "attn_ref on numpy"]
    outcome = run_case(case, taking_part, FAST, seed=1)
    assert outcome.failures == {}
    assert all(comparison.agrees for comparison in outcome.comparisons)
    if case.group == "memory":
        assert outcome.peaks[OURS].results > 0
        assert device.name == "stand_in" or outcome.peaks[OURS].traced >= outcome.peaks[OURS].results
    else:
        assert "attn_ref on numpy" in {comparison.contender for comparison in outcome.comparisons}
        assert {name for name, _ in outcome.on_device} >= {OURS}
        assert all(seconds > 0 for seconds in outcome.on_device.values())


@BOTH
def test_the_command_reports_the_device_and_its_memory_pool(device, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(console, "CASES", [case for case in CASES if case.group in ("small", "affine")])
    monkeypatch.setattr(console, "Settings", lambda budget: FAST)
    arguments = ["bench", "--backend", device.name, "--json", "results.json", "--threads", "1"]
    result = RUNNER.invoke(cli.app, arguments, prog_name="attn-ref")
    assert result.exit_code == 0, result.output
    for words in ("attn_ref on numpy", "between events on the device", "memory pool:", "driver serves CUDA"):
        assert words in result.output
    found = json.loads(Path("results.json").read_text(encoding="utf-8"))
    assert found["settings"]["backend"] == device.name
    assert found["machine"]["device"]["memory"] > 0
    assert set(found["machine"]["pool"]) == {"used", "total"}
    assert {row["aim"] for row in found["summaries"]} == {""}


def test_a_run_on_the_cpu_has_nothing_to_tell_of_a_device():
    assert report.device_lines({"machine": {}, "cases": []}) == []


@pytest.mark.parametrize("name", ["cuda", "nothing"])
def test_an_unknown_backend_is_one_line(name):
    result = RUNNER.invoke(cli.app, ["bench", "--backend", name], prog_name="attn-ref")
    assert result.exit_code == 2
    assert f"unknown backend '{name}': expected numpy or cupy" in result.stderr


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_backend_that_cannot_be_used_is_one_line_that_says_why(monkeypatch):
    monkeypatch.setattr(on_a_gpu._backend, "unusable_because", lambda name: "there is no driver")
    result = RUNNER.invoke(cli.app, ["bench", "--backend", "cupy"], prog_name="attn-ref")
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1].endswith("cupy cannot be used here: there is no driver")
