"""Suites on disk."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import jsonschema
import numpy as np
import pytest

from attn_ref.vectors import suite
from attn_ref.vectors.container import read_npz
from attn_ref.vectors.judge import judge

from .small import SOME, by_reference, write_small

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    folder = tmp_path_factory.mktemp("suite") / "vectors"
    return folder, write_small(folder)


def valid(manifest, schema):
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.Draft202012Validator(schema).validate(manifest)


def test_the_published_suite_is_written_and_the_package_passes_it(tmp_path):
    """The same bytes as when it was published, on any machine; and every result within its bounds."""
    made = suite.content()
    manifest = json.loads(made["manifest.json"])
    valid(manifest, json.loads(made["schema.json"]))
    assert sum(map(len, made.values())) < 12e6
    assert suite.write(tmp_path / "vectors", made) == suite.PUBLISHED.read_text(encoding="utf-8").strip()
    results = tmp_path / "results"
    results.mkdir()
    for problem in suite.problems():
        for dtype in problem.dtypes:
            name = f"{problem.name}-{dtype}"
            if problem.tag == "invalid":
                (results / f"{name}.refused").write_text(problem.refuses)
            else:
                np.savez(results / f"{name}.npz", **by_reference(problem, dtype))
    judged = judge(suite.Suite.read(tmp_path / "vectors"), results)
    assert [str(one) for one in judged if one.verdict != "right"] == []
    assert len(judged) > 3000


def test_other_processors_write_the_same_bytes(small):
    """NumPy without its vector instructions, BLAS for a processor of 2004, one thread."""
    _, read = small
    code = (
        "import hashlib; from tests.vectors.small import SOME; from attn_ref.vectors.suite import content; "
        "print(hashlib.sha256(content(SOME)['manifest.json']).hexdigest())"
    )
    plain = {"OPENBLAS_CORETYPE": "Prescott", "OPENBLAS_NUM_THREADS": "1", **without_vector_instructions()}
    ran = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **plain}, cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert ran.stdout.strip() == read.sha256


def without_vector_instructions():
    """The variable that tells NumPy to leave out what it chose at run time."""
    found = np.show_config(mode="dicts").get("SIMD Extensions", {}).get("found", [])
    return {"NPY_DISABLE_CPU_FEATURES": " ".join(found)} if found else {}


def test_both_files_of_a_case_hold_the_same_arrays(small):
    folder, read = small
    for case in read.cases:
        together = read_npz((folder / case.entry["files"]["npz"]["path"]).read_bytes())
        assert list(together) == list(case.arrays)
        for name, array in case.arrays.items():
            np.testing.assert_array_equal(together[name], array)
            assert together[name].dtype == array.dtype


def test_the_manifest_says_the_checksum_of_every_other_file(small):
    folder, read = small
    manifest = json.loads((folder / "manifest.json").read_bytes())
    said = dict(manifest["files"])
    for case in manifest["cases"]:
        said |= {file["path"]: file["sha256"] for file in case["files"].values()}
    there = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    assert set(there) == set(said) | {"manifest.json"}
    assert all(hashlib.sha256(there[name].read_bytes()).hexdigest() == checksum for name, checksum in said.items())
    assert read.sha256 == hashlib.sha256(there["manifest.json"].read_bytes()).hexdigest()


def test_the_index_says_what_the_manifest_says(small):
    folder, read = small
    lines = (folder / "index.txt").read_text(encoding="ascii").splitlines()
    assert lines.pop(0) == f"attn-ref-vectors {suite.SCHEMA_VERSION} {len(read.cases)}"
    for case in read.cases:
        word, name, operation, dtype, tag, options, arrays = lines.pop(0).split()
        assert (word, name, operation, dtype, tag) == (
            "case", case.name, case.entry["operation"], case.entry["dtype"], case.entry["tag"],
        )  # fmt: skip
        assert [lines.pop(0).split()[1] for _ in range(int(options))] == list(case.entry["options"])
        raw = (folder / case.entry["files"]["raw"]["path"]).read_bytes()
        names = []
        for _ in range(int(arrays)):
            word, name, role, dtype, offset, axes, *shape = lines.pop(0).split()
            names.append(name)
            found = np.frombuffer(raw, np.dtype(dtype), int(np.prod([int(s) for s in shape])), int(offset))
            assert len(shape) == int(axes)
            np.testing.assert_array_equal(found.reshape([int(s) for s in shape]), case.arrays[name])
            assert role in ("input", "grad_output", "direction", "result", *suite.ENDS)
        assert set(names) == set(case.arrays)
    assert lines == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("schema_version",), "2.0"),
        (("seed",), "1"),
        (("cases", 0, "tag"), "doubtful"),
        (("cases", 0, "refuses"), "grid"),
        (("cases", 0, "dtype"), "bfloat16"),
        (("cases", 0, "arrays", 0, "offset"), 4),
        (("cases", 0, "files", "raw", "sha256"), "0"),
        (("cases", 0, "extra"), 1),
    ],
)
def test_the_schema_refuses_what_is_wrong(small, path, value):
    folder, _ = small
    manifest, schema = (json.loads((folder / name).read_bytes()) for name in ("manifest.json", "schema.json"))
    valid(manifest, schema)
    place = manifest
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    with pytest.raises(jsonschema.ValidationError):
        valid(manifest, schema)


def test_a_folder_that_holds_something_is_left_alone(tmp_path):
    (tmp_path / "precious.txt").write_text("mine")
    with pytest.raises(ValueError, match="not an empty folder"):
        suite.write(tmp_path, {"manifest.json": b"{}"})
    with pytest.raises(ValueError, match="there is no folder"):
        suite.write(tmp_path / "nowhere" / "vectors", {"manifest.json": b"{}"})
    assert [path.name for path in tmp_path.iterdir()] == ["precious.txt"]


def test_an_empty_folder_is_filled(tmp_path):
    (tmp_path / "vectors").mkdir()
    suite.write(tmp_path / "vectors", {"manifest.json": b"{}"})
    assert (tmp_path / "vectors" / "manifest.json").read_bytes() == b"{}"


def test_a_suite_is_written_whole_or_not_at_all(tmp_path):
    """A file that cannot be written, as on a full disk: nothing is left, not even what came before it."""
    with pytest.raises(ValueError, match="vectors cannot be written"):
        suite.write(tmp_path / "vectors", {"cases/a.bin": b"1", "nowhere/b.bin": b"2", "manifest.json": b"{}"})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [None, b"", b"[]", b"{}"])
def test_what_is_no_suite_is_an_error(tmp_path, content):
    if content is not None:
        (tmp_path / "manifest.json").write_bytes(content)
    with pytest.raises(ValueError, match="holds no suite of vectors"):
        suite.Suite.read(tmp_path)


def test_a_suite_of_another_version_is_an_error(tmp_path):
    (tmp_path / "manifest.json").write_text('{"schema_version": "2.0", "cases": []}')
    with pytest.raises(ValueError, match=r"schema version 2\.0: this program reads 1\.0"):
        suite.Suite.read(tmp_path)


@pytest.mark.parametrize("change", ["changed", "missing"])
def test_a_damaged_suite_is_an_error(tmp_path, change):
    read = write_small(tmp_path / "vectors", SOME[:1])
    path = tmp_path / "vectors" / read.cases[0].entry["files"]["raw"]["path"]
    if change == "missing":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-1] + b"\x7f")
    with pytest.raises(ValueError, match="the suite is damaged"):
        read.cases[0].arrays  # noqa: B018  reads the file
