"""``attn-ref bench``: what it prints and writes, how it is cut short, and what it refuses."""

import json
import os
import socket
from pathlib import Path

import pytest
from typer.testing import CliRunner

import attn_ref
from attn_ref import cli
from attn_ref.bench import console, machine, page, report, runner
from attn_ref.bench.cases import CASES, GROUPS
from attn_ref.bench.contenders import CONTENDERS, OURS
from attn_ref.bench.runner import run_case

from .tiny import FAST, TINY

RUNNER = CliRunner(env={"COLUMNS": "100", "NO_COLOR": "1", "TERM": "dumb"})

SEEN = ("affine", "small", "growth")


@pytest.fixture(autouse=True)
def tiny_cases(monkeypatch, tmp_path):
    """Two cases of each of three groups, in a moment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ATTN_REF_NUM_THREADS", "1")
    cases = [case for group in SEEN for case in TINY if case.group == group]
    monkeypatch.setattr(console, "CASES", cases)
    monkeypatch.setattr(console, "Settings", lambda budget: FAST)
    return cases


def bench(*arguments):
    return RUNNER.invoke(cli.app, ["bench", *map(str, arguments)], prog_name="attn-ref")


def test_it_prints_tables_and_writes_everything(tmp_path, tiny_cases):
    result = bench("--json", "results.json", "--figure", "ratios.svg", "--threads", 1, "--seed", 4)
    assert result.exit_code == 0, result.output
    for words in (*(f"{group}: {GROUPS[group].summary}" for group in SEEN), "in short", "threads: attn_ref 1"):
        assert words in result.stdout
    assert all(case.name in result.stdout for case in tiny_cases)
    assert Path("ratios.svg").read_text(encoding="utf-8").startswith("<?xml")
    assert sorted(os.listdir()) == ["ratios.svg", "results.json"]

    found = json.loads(Path("results.json").read_text(encoding="utf-8"))
    assert found["schema"] == report.SCHEMA
    assert found["attn_ref"] == found["machine"]["versions"]["attn_ref"] == attn_ref.__version__
    assert not found["interrupted"]
    assert found["settings"]["seed"] == 4
    assert found["settings"]["limits"]["attn_ref"] == "1"
    assert [case["name"] for case in found["cases"]] == [case.name for case in tiny_cases]
    for case in found["cases"]:
        for times in case["times"]:
            assert len(times["seconds"]) == FAST.least
        assert all(c["agrees"] for c in case["comparisons"])
    assert found["machine"]["cpu"]
    assert found["machine"]["cores"] >= 1


def test_neither_host_nor_paths_are_told(tmp_path):
    bench("--only", "affine", "--json", "results.json")
    text = Path("results.json").read_text(encoding="utf-8")
    hidden = [str(tmp_path), str(Path.home()), str(Path(attn_ref.__file__).parents[1])]
    hidden += [socket.gethostname()] if len(socket.gethostname()) > 3 else []
    assert [words for words in hidden if words in text and words != "/"] == []


def test_groups_are_chosen():
    result = bench("--only", "small", "--json", "results.json")
    assert result.exit_code == 0
    assert {case["group"] for case in json.loads(Path("results.json").read_text())["cases"]} == {"small"}
    assert "affine" not in result.stdout


def test_ctrl_c_shows_what_was_done(monkeypatch, tiny_cases):
    def interrupted(case, *options):
        if case.group == "small":
            raise KeyboardInterrupt
        return run_case(case, *options)

    monkeypatch.setattr(runner, "run_case", interrupted)
    result = bench("--json", "results.json", "--figure", "ratios.png")
    done = sum(case.group == "affine" for case in tiny_cases)
    assert result.exit_code == 130
    assert f"{done} of {len(tiny_cases)} cases done before Ctrl-C" in result.stdout
    found = json.loads(Path("results.json").read_text(encoding="utf-8"))
    assert found["interrupted"]
    assert {case["group"] for case in found["cases"]} == {"affine"}
    assert "cut short" in page.page(found)


def test_ctrl_c_before_anything_was_done(monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(runner, "run_case", interrupted)
    result = bench("--json", "results.json", "--figure", "ratios.png")
    assert result.exit_code == 130
    assert "nothing to draw" in result.stderr
    assert os.listdir() == ["results.json"]


def test_wrong_results_exit_1(monkeypatch):
    if not CONTENDERS["torch"].installed:
        pytest.skip("there is nobody to differ from")
    monkeypatch.setattr("attn_ref.affine_grid", lambda *a, real=attn_ref.affine_grid, **k: 1.5 * real(*a, **k))
    result = bench("--only", "affine", "--json", "results.json")
    assert result.exit_code == 1
    assert "torch differs from attn_ref by 0.33" in " ".join(result.stdout.split())
    assert "WRONG" in page.page(json.loads(Path("results.json").read_text(encoding="utf-8")))


def test_our_failure_exits_1_and_the_rest_is_shown(monkeypatch):
    def fail(*_, **__):
        raise MemoryError("no room")

    monkeypatch.setattr("attn_ref.affine_grid", fail)
    result = bench()
    assert result.exit_code == 1
    assert "attn_ref failed: no room" in result.stdout
    assert f"small: {GROUPS['small'].summary}" in result.stdout


def test_nobody_else_is_needed(monkeypatch):
    monkeypatch.setattr(console, "CONTENDERS", {OURS: CONTENDERS[OURS]})
    result = bench("--json", "results.json", "--figure", "ratios.png")
    assert result.exit_code == 0
    found = json.loads(Path("results.json").read_text(encoding="utf-8"))
    assert all(case["comparisons"] == [] for case in found["cases"])
    assert "torch" not in found["settings"]["limits"]
    assert "the longest" in page.page(found)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--only", "smal"], "did you mean 'small'?"),
        (["--threads", "0"], "--threads must be at least 1, got 0"),
        (["--seed", "-1"], "--seed must be at least 0, got -1"),
        (["--seconds", "0"], "--seconds must be positive, got 0"),
        (["--seconds", "nan"], "--seconds must be positive, got nan"),
        (["--threads", "two"], "--threads"),
        (["--json", "absent/results.json"], "there is no folder"),
        (["--json", "."], "is a folder"),
        (["--json", os.devnull], "is not a regular file"),
        (["--figure", "ratios.xyz"], "use one of .png"),
        (["--figure", "absent/ratios.png"], "the folder absent does not exist"),
    ],
)
def test_mistakes_are_one_line_before_anything_runs(arguments, words, monkeypatch):
    monkeypatch.setattr(runner, "run_case", None)
    result = bench(*arguments)
    assert result.exit_code == 2
    assert words in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert not result.stdout
    assert os.listdir() == []


def test_an_old_file_stays_whole_if_writing_fails(monkeypatch):
    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    Path("results.json").write_text("old", encoding="utf-8")
    monkeypatch.setattr(os, "replace", refuse)
    result = bench("--only", "small", "--json", "results.json")
    assert result.exit_code == 2
    assert "results.json cannot be written: Permission denied" in result.stderr
    assert Path("results.json").read_text(encoding="utf-8") == "old"
    assert os.listdir() == ["results.json"]


def test_the_list_names_groups_cases_and_contenders(monkeypatch):
    monkeypatch.setattr(console, "CASES", CASES)
    result = bench("--list")
    assert result.exit_code == 0
    for words in (*GROUPS, *(case.name for case in CASES), *CONTENDERS):
        assert words in result.stdout


def test_help_has_an_example():
    text = " ".join(bench("--help").stdout.split())
    assert "attn-ref bench --only features" in text
    assert "idle machine" in text


def test_threads_are_set_and_put_back(monkeypatch):
    monkeypatch.delenv("ATTN_REF_NUM_THREADS", raising=False)
    torch = pytest.importorskip("torch")
    before = torch.get_num_threads()
    with machine.limited_threads(before + 1, with_torch=True) as done:
        assert torch.get_num_threads() == before + 1
        assert os.environ["ATTN_REF_NUM_THREADS"] == str(before + 1)
    assert done["torch"] == str(before + 1)
    assert torch.get_num_threads() == before
    assert "ATTN_REF_NUM_THREADS" not in os.environ


def test_blas_gets_as_many_threads():
    threadpoolctl = pytest.importorskip("threadpoolctl")

    def blas():
        return {info["num_threads"] for info in threadpoolctl.threadpool_info() if info["user_api"] == "blas"}

    before = blas()
    with machine.limited_threads(1, with_torch=False) as done:
        assert blas() == {1}
    assert done["BLAS"] == "1"
    assert blas() == before


def test_without_threadpoolctl_it_is_said(monkeypatch):
    monkeypatch.setattr(machine, "find_spec", lambda name: None)
    with machine.limited_threads(1, with_torch=False) as done:
        assert "threadpoolctl" in done["BLAS"]
    assert machine.describe(["no-such-package"])["versions"]["no-such-package"] is None
    assert "threadpoolctl" in machine.describe([])["blas"][0]
