"""What is said of another program's results; and one in C."""

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from attn_ref.cli import app
from attn_ref.vectors import console, suite
from attn_ref.vectors.judge import judge, outcomes, required
from attn_ref.vectors.problem import FUNCTIONS

from .small import SOME, by_reference, named, write_small

RUNNER = CliRunner(env={"COLUMNS": "100", "NO_COLOR": "1", "TERM": "dumb"})
SOURCE = Path(__file__).parents[2] / "docs" / "vectors" / "bilinear.c"
NAME = "grid_sample-2d-bilinear-zeros-edges-inside-float32"


def run(*arguments):
    return RUNNER.invoke(app, ["vectors", *map(str, arguments)], prog_name="attn-ref")


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    folder = tmp_path_factory.mktemp("suite") / "vectors"
    return folder, write_small(folder)


@pytest.fixture
def results(tmp_path):
    """A folder with the right results of one case."""
    folder = tmp_path / "results"
    folder.mkdir()
    for name, array in by_reference(named(NAME.removesuffix("-float32")), "float32").items():
        (folder / f"{NAME}.{name}.bin").write_bytes(array.tobytes())
    return folder


def of(judged, name, result):
    (found,) = [one for one in judged if (one.case.name, one.result) == (name, result)]
    return found


def counts(judged):
    return {verdict: sum(one.verdict == verdict for one in judged) for verdict in ("right", "acceptable", "wrong")}


def test_right_results_in_raw_files_are_right_and_others_are_missing(small, results):
    judged = judge(small[1], results)
    assert counts(judged) == {"right": 7, "acceptable": 0, "wrong": 0}
    assert {one.verdict for one in judged if one.case.name != NAME} == {"missing"}


def test_a_value_that_is_wrong_is_told_with_its_place(small, results):
    path = results / f"{NAME}.backward.grid.bin"
    values = np.fromfile(path, np.float32)
    values[5] += 0.01
    values.tofile(path)
    one = of(judge(small[1], results), NAME, "backward.grid")
    assert one.verdict == "wrong"
    assert one.message.startswith("[0, 0, 2, 1] is ")
    failures, seen = outcomes([one])["grid_sample"]
    assert [(failure.function, failure.of, failure.kind) for failure in failures] == [("backward", "grid", "value")]
    assert not failures[0].interval.holds(failures[0].got).all()
    assert seen[0].case.call.options["mode"] == "bilinear"


def test_one_unit_in_the_last_place_is_no_mistake_and_many_are(small, results):
    path = results / f"{NAME}.output.bin"
    values = np.fromfile(path, np.float32)
    for part, verdict in ((2.0**-23, "right"), (1e-3, "wrong")):
        (values * np.float32(1 + part)).tofile(path)
        assert of(judge(small[1], results), NAME, "output").verdict == verdict


@pytest.mark.parametrize(
    ("change", "kind"),
    [(lambda a: a.astype(np.float64), "dtype"), (lambda a: a[:1], "shape"), (lambda a: a * np.nan, "nan")],
)
def test_results_in_npz_files_of_another_form_are_wrong(small, tmp_path, change, kind):
    right = by_reference(named(NAME.removesuffix("-float32")), "float32")
    np.savez(tmp_path / f"{NAME}.npz", **{**right, "output": change(right["output"]), "unknown": np.zeros(3)})
    judged = judge(small[1], tmp_path)
    assert of(judged, NAME, "output").verdict == "wrong"
    assert of(judged, NAME, "output").kind == kind
    assert counts(judged)["right"] == 6


def test_a_raw_file_of_another_length_is_wrong(small, results):
    (results / f"{NAME}.output.bin").write_bytes(b"\0" * 12)
    assert "has 12 bytes, expected 144" in of(judge(small[1], results), NAME, "output").message


def test_an_npz_file_that_is_none_is_an_error(small, tmp_path):
    (tmp_path / f"{NAME}.npz").write_bytes(b"PK nonsense")
    with pytest.raises(ValueError, match="cannot be read"):
        judge(small[1], tmp_path)


def test_other_choices_at_nan_are_acceptable_and_a_wrong_ordinary_point_is_not(small, tmp_path):
    name = "grid_sample-2d-bilinear-border-edges-not-numbers"
    output = by_reference(named(name), "float32")["output"]
    other = np.where(np.isnan(output), np.float32(0.5), output)  # a number, where the specification chose NaN
    np.savez(tmp_path / f"{name}-float32.npz", output=other)
    one = of(judge(small[1], tmp_path), f"{name}-float32", "output")
    assert one.verdict == "acceptable"
    assert "expected nan" in one.message
    other[0, 0, 0, 0] += 1
    np.savez(tmp_path / f"{name}-float32.npz", output=other)
    assert of(judge(small[1], tmp_path), f"{name}-float32", "output").verdict == "wrong"


def test_a_call_that_must_be_refused(small, tmp_path):
    name = "grid_sample-invalid-other-batch-float32"
    told = tmp_path / f"{name}.refused"
    for message, verdict in (("grid has another N", "right"), ("no", "acceptable"), ("", "acceptable")):
        told.write_text(message)
        assert of(judge(small[1], tmp_path), name, "refused").verdict == verdict
    told.unlink()
    (tmp_path / f"{name}.output.bin").write_bytes(b"")
    assert of(judge(small[1], tmp_path), name, "refused").verdict == "wrong"


def test_a_call_that_must_not_be_refused(small, tmp_path):
    (tmp_path / f"{NAME}.refused").write_text("grid")
    judged = [one for one in judge(small[1], tmp_path) if one.case.name == NAME]
    assert {one.verdict for one in judged} == {"wrong"}
    assert outcomes(judged) == {}


def test_what_is_required_and_missing_is_wrong(small, results):
    judged = judge(small[1], results)
    assert counts(required(judged, [f"{NAME}/*"]))["wrong"] == 0
    (results / f"{NAME}.output.bin").unlink()
    assert counts(required(judge(small[1], results), [f"{NAME}/*"]))["wrong"] == 1
    with pytest.raises(ValueError, match="fits no CASE/RESULT"):
        required(judged, ["trilinear*"])


def test_the_command_line_judges(small, results):
    folder, _ = small
    told = results.parent / "told.json"
    result = run("check", folder, results, "--require", f"{NAME}/*", "--json", told)
    assert result.exit_code == 0, result.output
    assert "7 right, 0 acceptable, 0 wrong" in result.stdout
    content = json.loads(told.read_bytes())
    assert content["counts"]["right"] == 7
    assert len(content["judgements"]) == sum(content["counts"].values())
    np.full(36, 7, np.float32).tofile(results / f"{NAME}.output.bin")
    result = run("check", folder, results)
    assert result.exit_code == 1
    assert f"{NAME}: output [" in result.stdout


def test_acceptable_deviations_are_failures_when_strict(small, tmp_path):
    (tmp_path / "grid_sample-invalid-other-batch-float32.refused").write_text("")
    assert run("check", small[0], tmp_path).exit_code == 0
    assert run("check", small[0], tmp_path, "--strict").exit_code == 1


def test_errors_are_one_line(small, tmp_path):
    folder, _ = small
    for arguments, words in (
        ((folder, tmp_path / "nowhere"), "is not a folder"),
        ((folder, tmp_path), "holds no results of this suite"),
        ((tmp_path, tmp_path), "holds no suite"),
        ((folder, tmp_path, "--json", tmp_path), "is a folder"),
    ):
        result = run("check", *arguments)
        assert result.exit_code == 2
        assert result.stderr.count("\n") == 1
        assert words in result.stderr
    result = run("write", folder)
    assert (result.exit_code, result.stderr.count("\n")) == (2, 1)


def test_the_command_line_writes_and_compares_with_what_is_published(tmp_path, monkeypatch):
    monkeypatch.setattr(console, "problems", lambda: SOME[:1])
    result = run("write", tmp_path / "vectors")
    assert result.exit_code == 1  # one case is not the published suite
    assert "not the published suite" in result.stdout
    (tmp_path / "published").write_text(suite.Suite.read(tmp_path / "vectors").sha256 + "\n")
    monkeypatch.setattr(suite, "PUBLISHED", tmp_path / "published")
    assert run("write", tmp_path / "again").exit_code == 0


def test_ctrl_c_leaves_nothing(tmp_path, monkeypatch):
    def interrupted(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(suite, "content", interrupted)
    assert run("write", tmp_path / "vectors").exit_code == 130
    assert list(tmp_path.iterdir()) == []


def test_bare_and_in_words():
    assert "attn-ref vectors write vectors" in run().stdout
    assert run().exit_code == 0
    for command in ("write", "check"):
        assert "Example" in run(command, "--help").stdout


# ---------------------------------------------------------------------------------------------------------------------
# The program of the documentation

COMPILER = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")


@pytest.fixture(scope="module")
def forward_suite(tmp_path_factory):
    """All bilinear cases in two dimensions that are valid."""
    import dataclasses

    folder = tmp_path_factory.mktemp("forward") / "vectors"
    chosen = [
        dataclasses.replace(problem, functions=FUNCTIONS[:1])
        for problem in suite.problems()
        if problem.name.startswith("grid_sample-2d-bilinear") and problem.tag == "valid"
    ]
    write_small(folder, chosen)
    return folder


@pytest.mark.skipif(COMPILER is None, reason="there is no C compiler here: cc, gcc or clang")
@pytest.mark.parametrize("flags", [[], ["-DBUG"]], ids=["right", "x and y swapped"])
def test_the_program_in_c_is_judged(forward_suite, tmp_path, flags):
    program, results = tmp_path / "bilinear", tmp_path / "results"
    results.mkdir()
    strict = ["-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror", *flags]
    subprocess.run([COMPILER, *strict, "-o", program, SOURCE], check=True)
    ran = subprocess.run([program, forward_suite, results], check=True, capture_output=True, text=True)
    assert "cases computed" in ran.stdout
    asked = [f"grid_sample-2d-bilinear-*-{kind}-float32/output" for kind in ("inside", "kinks", "bits", "unused")]
    result = run("check", forward_suite, results, *[word for pattern in asked for word in ("--require", pattern)])
    assert result.exit_code == (1 if flags else 0), result.output
    count = len(list(results.iterdir()))
    assert count > 24
    assert (f"{count} right, 0 acceptable, 0 wrong" in result.stdout) == (not flags)
    assert ("grid_sample: x and y exchanged" in result.stdout) == bool(flags)
