import json
import os

import numpy as np
import pytest
from typer.testing import CliRunner

from attn_ref import cli
from attn_ref.gradcheck import runner
from attn_ref.gradcheck.properties import PROPERTIES, PropertyError
from attn_ref.ops import taps
from attn_ref.registry import OPERATIONS
from tests.museum import bugs


def test_all_pairs_by_default_and_each_applies():
    chosen = runner.pairs()
    assert len(chosen) == len(set(chosen)) >= 25
    assert {operation for operation, _ in chosen} == set(OPERATIONS)
    assert {name for _, name in chosen} == set(PROPERTIES)
    assert ("affine_grid", "kinks") not in chosen


def test_pairs_are_narrowed_by_name_and_dtype():
    assert runner.pairs(["affine_inverse"], ["oracle"]) == [("affine_inverse", "oracle")]
    assert ("grid_sample", "jacobian") not in runner.pairs(dtype="float16")


@pytest.mark.parametrize(("operations", "properties"), [(["grid_sampl"], []), ([], ["jacobain"])])
def test_unknown_names_are_listed_with_the_near_miss(operations, properties):
    with pytest.raises(ValueError, match=r"unknown .* expected one of .* did you mean"):
        runner.pairs(operations, properties)


def test_the_same_seed_draws_the_same_calls(monkeypatch):
    def record(seed):
        drawn = []
        monkeypatch.setattr(
            runner, "examine", lambda name, subject, call: drawn.append(call.inputs[0].tobytes()) or 0.0
        )
        list(runner.run([("grid_sample", "adjoint")], examples=3, seed=seed))
        return drawn

    assert record(5) == record(5)
    assert record(5) != record(6)


def test_a_failure_is_shrunk_and_its_snippet_fails_again(monkeypatch):
    bugs.scale_missing(monkeypatch)
    (result,) = runner.run([("grid_sample", "jacobian")], examples=5)
    assert not result.passed
    assert "jacobian does not hold" in result.failure.message
    assert "array(" not in result.failure.snippet.replace("np.array(", "")
    assert len(result.failure.snippet) < 900  # shrunk to a few numbers
    with pytest.raises(PropertyError, match="jacobian does not hold"):
        exec(result.failure.snippet, {})
    monkeypatch.undo()
    taps._rules.cache_clear()  # what was made with the bug
    exec(result.failure.snippet, {})  # and passes once the bug is mended


def test_a_snippet_keeps_the_dtype(monkeypatch):
    bugs.accumulated_twice(monkeypatch)
    (result,) = runner.run([("grid_sample", "adjoint")], examples=3, dtype="float32")
    assert "dtype='float32'" in result.failure.snippet
    with pytest.raises(PropertyError, match="adjoint does not hold"):
        exec(result.failure.snippet, {})


def test_an_operation_that_crashes_is_a_failure_and_not_a_crash(monkeypatch):
    def forward(*inputs, **options):
        raise IndexError("index 7 is out of bounds")

    bugs._functions(monkeypatch, "grid_sample", forward=forward)
    (result,) = runner.run([("grid_sample", "adjoint")], examples=2)
    assert result.failure.message == "IndexError: index 7 is out of bounds"


def test_a_warning_of_numpy_is_a_failure(monkeypatch):
    right = OPERATIONS["grid_sample"].functions.forward

    def forward(*inputs, **options):
        np.log(np.zeros(1))
        return right(*inputs, **options)

    bugs._functions(monkeypatch, "grid_sample", forward=forward)
    (result,) = runner.run([("grid_sample", "adjoint")], examples=2)
    assert "RuntimeWarning" in result.failure.message
    with pytest.raises(RuntimeWarning):
        exec(result.failure.snippet, {})


def test_progress_is_called_for_each_variant():
    seen = []
    list(runner.run([("affine_grid", "adjoint")], examples=1, progress=lambda *pair: seen.append(pair)))
    assert seen == [("affine_grid", "adjoint")] * len(OPERATIONS["affine_grid"].variants)


# --- the command


def attn_ref(*arguments):
    return CliRunner().invoke(cli.app, ["check", *arguments])


def test_command_prints_a_table_and_exits_0(tmp_path):
    file = tmp_path / "results.json"
    result = attn_ref("--op", "affine_inverse", "--examples", "2", "--json", str(file))
    assert result.exit_code == 0, result.output
    for word in ("operation", "property", "examples", "worst/bound", "affine_inverse", "jvp-vjp", "9 passed, 0 failed"):
        assert word in result.stdout
    content = json.loads(file.read_text())
    assert content["examples"] == 2
    assert not content["interrupted"]
    assert [row["property_name"] for row in content["results"]] == [
        name for _, name in runner.pairs(["affine_inverse"])
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["results.json"]
    umask = os.umask(0)
    os.umask(umask)
    assert file.stat().st_mode & 0o777 == 0o666 & ~umask or os.name == "nt"


def test_command_leaves_nothing_in_the_current_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert attn_ref("--op", "affine_grid", "--property", "adjoint", "--examples", "1").exit_code == 0
    assert not list(tmp_path.iterdir())


def test_command_exits_1_on_a_failure_and_prints_a_snippet(monkeypatch):
    bugs.inverse_transposed(monkeypatch)
    result = attn_ref("--op", "affine_inverse", "--property", "jacobian", "--examples", "3")
    assert result.exit_code == 1
    assert "FAILED" in result.stdout
    assert "replay('affine_inverse', 'jacobian'" in result.stdout
    assert "0 passed, 1 failed" in result.stdout


def test_command_shows_what_was_done_before_ctrl_c(monkeypatch, tmp_path):
    real = runner.run_pair

    def interrupted(operation, name, **options):
        if name == "second-order":
            raise KeyboardInterrupt
        return real(operation, name, **options)

    monkeypatch.setattr(runner, "run_pair", interrupted)
    file = tmp_path / "results.json"
    result = attn_ref("--op", "affine_inverse", "--examples", "1", "--json", str(file))
    assert result.exit_code == 130
    assert "1 of 9 done before Ctrl-C; 1 passed, 0 failed" in result.stdout
    assert json.loads(file.read_text())["interrupted"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--op", "grid_sampel"], "did you mean 'grid_sample'?"),
        (["--property", "adjoin"], "did you mean 'adjoint'?"),
        (["--examples", "0"], "--examples must be at least 1"),
        (["--seed", "-1"], "--seed must be at least 0"),
        (["--dtype", "float46"], "did you mean 'float64'?"),
        (["--backend", "jax"], "--backend='jax' is unknown"),
        (["--op", "affine_grid", "--property", "kinks"], "nothing to check"),
        (["--json", "no/such/folder/x.json"], "there is no folder"),
        (["--json", "."], "is a folder"),
        (["--json", os.devnull], "is not a regular file"),
    ],
)
def test_command_says_in_one_line_what_is_wrong(arguments, words):
    result = attn_ref(*arguments)
    assert result.exit_code == 2
    assert words in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert not result.stdout


def test_command_lists_operations_and_properties():
    result = attn_ref("--list")
    assert result.exit_code == 0
    for word in (*OPERATIONS, *PROPERTIES):
        assert word in result.stdout
