"""What every tutorial keeps: it is short, asserts what it claims, and its notebook is its source, run once from top to
bottom. The documentation's build runs them all."""

import base64
import io
import json
import re
import sys
from pathlib import Path

import jupytext
import pytest
from PIL import Image
from typer.testing import CliRunner

from attn_ref import tutorials
from attn_ref.cli import app
from attn_ref.tutorials.regenerate import LIMIT, main, read

FOLDER = Path(__file__).parents[1] / "tutorials"
SOURCES = sorted(FOLDER.glob("[0-9][0-9]-*.md"))
REGENERATE = "run python -m attn_ref.tutorials.regenerate"
NAMES = [source.stem for source in SOURCES]


def prose(notebook):
    """The words a reader reads, without formulas, links' addresses and markup."""
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    text = re.sub(r"\$\$.*?\$\$|\$[^$]*\$|\]\([^)]*\)|<[^>]*>", " ", text, flags=re.DOTALL)
    return re.findall(r"[^\W\d_][\w'’-]*", text)


@pytest.fixture(params=SOURCES, ids=NAMES)
def source(request):
    return request.param


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def test_cells_are_short(source):
    for cell in code_cells(jupytext.read(source)):
        assert len(cell.source.splitlines()) < 15, cell.source


def test_it_is_short_but_says_something(source):
    assert 800 <= len(prose(jupytext.read(source))) <= 1500


def test_what_it_claims_is_asserted(source):
    asserted = [c for c in code_cells(jupytext.read(source)) if re.search(r"\bassert|pytest\.raises", c.source)]
    assert len(asserted) >= 3


def test_it_has_exercises_with_folded_solutions(source):
    notebook = jupytext.read(source)
    folded = [c for c in code_cells(notebook) if "hide-cell" in c.metadata.get("tags", [])]
    assert folded
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    assert re.search("exercise", text, re.IGNORECASE)


def test_the_notebook_is_its_source_run_once(source):
    """Apart from outputs it is what the source gives; each cell has been run, in order, without error."""
    path = source.with_suffix(".ipynb")
    made = json.loads(path.read_text(encoding="utf-8"))
    expected = read(source)
    assert made["metadata"] == expected.metadata
    assert (made["nbformat"], made["nbformat_minor"]) == (4, 5)
    assert len(made["cells"]) == len(expected.cells)
    for cell, wanted in zip(made["cells"], expected.cells, strict=True):
        assert cell["cell_type"] == wanted.cell_type
        assert "".join(cell["source"]) == wanted.source, (
            f"{source.stem} changed: python -m attn_ref.tutorials.regenerate"
        )
        assert cell["metadata"] == wanted.metadata
    ran = [cell for cell in made["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in ran] == list(range(1, len(ran) + 1))
    assert all(output["output_type"] != "error" for cell in ran for output in cell["outputs"])


def test_the_notebook_is_small(source):
    assert source.with_suffix(".ipynb").stat().st_size <= LIMIT


def test_every_picture_has_alt_text(source):
    """Pictures of a cell have theirs in its metadata; a film is given its own."""
    made = json.loads(source.with_suffix(".ipynb").read_text(encoding="utf-8"))
    for cell in made["cells"]:
        kinds = {kind for output in cell.get("outputs", []) for kind in output.get("data", {})}
        if kinds & {"image/png", "image/jpeg", "image/svg+xml", "image/gif"}:
            assert len(cell["metadata"]["mystnb"]["image"]["alt"]) >= 10, "".join(cell["source"])


def test_nothing_of_this_machine_is_in_it(source):
    text = source.with_suffix(".ipynb").read_text(encoding="utf-8")
    assert not re.search(r"/tmp/|/home/|/root/|site-packages|https?://(?:127|localhost)", text)


def test_no_notebook_is_without_source():
    assert sorted(path.stem for path in FOLDER.glob("*.ipynb")) == NAMES


def test_the_list_names_them_all_in_order():
    listed = re.findall(r"^\d+\. \[[^\]]+\]\((.*)\.ipynb\)", (FOLDER / "README.md").read_text(encoding="utf-8"), re.M)
    assert listed == NAMES


# ---------------------------------------------------------------------------------------------------------------------
# how they get to the reader

RUNNER = CliRunner(env={"COLUMNS": "100", "NO_COLOR": "1", "TERM": "dumb"})


def run(*arguments):
    return RUNNER.invoke(app, ["tutorials", *map(str, arguments)], prog_name="attn-ref")


@pytest.fixture
def two(tmp_path, monkeypatch):
    """A folder of two tutorials in place of the real ones; the current folder is empty."""
    place = tmp_path / "two"
    place.mkdir()
    for name in ("01-one", "02-two"):
        (place / f"{name}.md").write_text(f"# {name}\n", encoding="utf-8")
        (place / f"{name}.ipynb").write_text(f"{{{name}}}", encoding="utf-8")
    monkeypatch.setattr(tutorials, "_PLACES", (tmp_path / "nowhere", place))
    (tmp_path / "current").mkdir()
    monkeypatch.chdir(tmp_path / "current")
    return place


def test_copies_are_whole_and_a_readers_work_is_kept(two):
    result = run("--no-open")
    target = Path("attn-ref-tutorials")
    assert result.exit_code == 0
    first, second = target / "01-one.ipynb", target / "02-two.ipynb"
    assert result.stdout == f"wrote {first}\nwrote {second}\n"
    assert sorted(target.iterdir()) == [first, second]
    assert first.read_bytes() == (two / first.name).read_bytes()
    first.write_text("my work", encoding="utf-8")
    second.unlink()
    assert run("--no-open").stdout == f"wrote {second}\nkept 1 that you had in {target}; --force replaces them\n"
    assert first.read_text(encoding="utf-8") == "my work"
    assert run("--no-open", "--force").exit_code == 0
    assert first.read_bytes() == (two / first.name).read_bytes()


def test_the_lab_is_opened_in_the_folder_and_its_status_passed_on(two, monkeypatch):
    called = []

    class Lab:
        def __init__(self, command):
            called.append(command)
            self.waits = 0

        def wait(self):
            self.waits += 1
            if self.waits == 1:
                raise KeyboardInterrupt  # which JupyterLab has got as well
            return 3

    monkeypatch.setattr(tutorials, "check_lab", lambda: None)
    monkeypatch.setattr(tutorials.subprocess, "Popen", Lab)
    assert run("mine").exit_code == 3
    assert called == [[sys.executable, "-m", "jupyterlab", "mine"]]
    assert Path("mine/01-one.ipynb").exists()


@pytest.mark.parametrize(("module", "extra"), [("jupyterlab", "tutorials"), ("matplotlib", "plot")])
def test_without_what_they_need_nothing_is_copied_and_a_line_names_the_extra(two, module, extra, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == module else object())
    result = run()
    assert result.exit_code == 2
    assert result.stderr == (f"attn-ref tutorials: the package {module} is missing: pip install 'attn_ref[{extra}]'\n")
    assert not list(Path().iterdir())


def test_of_all_that_is_missing_the_lab_is_named_whose_extra_brings_the_rest(two, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert "attn_ref[tutorials]" in run().stderr


def test_a_file_is_no_folder(two):
    Path("file").write_text("", encoding="utf-8")
    result = run("file", "--no-open")
    assert result.exit_code == 2
    assert result.stderr == "attn-ref tutorials: file is not a folder: name one, or one that does not exist yet\n"


def test_a_package_that_has_lost_them_says_so(two, monkeypatch):
    monkeypatch.setattr(tutorials, "_PLACES", (two / "nowhere",))
    result = run("--no-open")
    assert result.exit_code == 2
    assert "there are no tutorials in" in result.stderr


def test_an_unknown_number_is_refused(two, capsys):
    with pytest.raises(SystemExit):
        main(["77"])
    assert "there is no tutorial 77" in capsys.readouterr().err


def test_regenerating_runs_the_cells_and_folds_what_the_page_folds(two, capsys):
    """A photo's many colours become 256; an error leaves the old notebook."""
    (two / "02-two.md").write_text(SOURCE, encoding="utf-8")
    assert main(["2"]) == 0
    assert capsys.readouterr().out.startswith("02-two: ")
    made = json.loads((two / "02-two.ipynb").read_text(encoding="utf-8"))
    text, picture, solution = made["cells"]
    assert "".join(text["source"]) == "# Two"
    assert solution["metadata"]["jupyter"] == {"source_hidden": True, "outputs_hidden": True}
    assert solution["outputs"][0]["text"] == ["3\n"]
    with Image.open(io.BytesIO(base64.b64decode(picture["outputs"][0]["data"]["image/png"]))) as image:
        assert image.mode == "P"
        assert image.size == (30, 20)
    before = (two / "02-two.ipynb").read_bytes()
    (two / "02-two.md").write_text(SOURCE + "\n```{code-cell}\n1 / 0\n```\n", encoding="utf-8")
    with pytest.raises(Exception, match="ZeroDivisionError"):
        main(["02"])
    assert (two / "02-two.ipynb").read_bytes() == before


SOURCE = """---
jupytext:
  text_representation:
    extension: .md
    format_name: myst
kernelspec:
  display_name: Python 3
  language: python
  name: python3
---

# Two

```{code-cell}
import numpy as np
from PIL import Image
Image.fromarray(np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8))
```

```{code-cell}
:tags: [hide-cell]

print(1 + 2)
```
"""
