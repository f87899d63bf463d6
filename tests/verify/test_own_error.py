"""The package's own error, and the page that publishes it."""

import re
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from attn_ref.cli import app
from attn_ref.registry import OPERATIONS
from attn_ref.verify import own_error
from attn_ref.verify.own_error import DTYPES, FILE_HEAD, label, measure, page, rows

PAGE = (Path(__file__).parents[2] / "docs" / "errors.md").read_text(encoding="utf-8")
RUNNER = CliRunner(env={"COLUMNS": "120", "NO_COLOR": "1", "TERM": "dumb"})
QUICK = ("affine_grid", "affine_inverse", "activation", "glu", "linear", "max_pool2d", "avg_pool2d", "cross_entropy")


def published():
    """Worst errors by (operation, variant), as the page has them."""
    found = {}
    for section in re.split(r"^## ", PAGE, flags=re.MULTILINE)[1:]:
        operation, *lines = section.splitlines()
        for line in lines[3:]:
            if line.startswith("|"):
                variant, *numbers = (word.strip() for word in line.strip("|").split("|"))
                found[operation, variant] = dict(zip(DTYPES, map(float, numbers), strict=True))
    return found


def test_the_page_has_every_variant_of_every_operation_and_all_are_within_their_bound():
    assert PAGE.startswith(FILE_HEAD)
    expected = [(name, label(variant)) for name, op in OPERATIONS.items() for variant in op.variants]
    assert list(published()) == expected
    assert len(set(expected)) == len(expected)
    worst = {dtype: max(errors[dtype] for errors in published().values()) for dtype in DTYPES}
    assert worst["float64"] < 0.5  # float16 comes near 1, by its last rounding
    assert worst["float32"] < 0.5
    assert worst["float16"] <= 1


def agrees(row):
    """As published, but for what another order of a sum, or another library's exponential, changes."""
    expected = published()[row.operation, row.variant][row.dtype]
    return row.worst <= 1 and (abs(row.worst - expected) <= 0.05 or 0.5 < row.worst / expected < 2)


@pytest.mark.parametrize("operation", QUICK)
def test_the_page_says_what_is_measured(operation):
    found = list(rows([operation]))
    assert [row for row in found if not agrees(row)] == []
    assert len(found) == len(DTYPES) * len(OPERATIONS[operation].variants)


@pytest.mark.parametrize("name", ["grid_sample", "squeeze_excitation", "conv2d", "batch_norm", "global_avg_pool"])
def test_the_page_says_what_is_measured_of_slower_operations(name):
    variant = OPERATIONS[name].variants[-1]
    assert [dtype for dtype in DTYPES if not agrees(measure(name, variant, dtype))] == []


def test_every_bit_of_the_inputs_is_in_use():
    """Of numbers with few bits nothing is rounded, and nothing measured."""
    for dtype in DTYPES:
        row = measure("glu", {"axis": 1}, dtype)
        assert min(row.errors.values()) > 0


def test_an_error_is_measured(monkeypatch):
    """A slope that is wrong by one part in a thousand, in the jvp alone."""
    exactly = OPERATIONS["activation"].functions.jvp

    def wrong(*arguments, **options):
        return exactly(*arguments, **options) * np.float32(1.001)

    broken = type(OPERATIONS["activation"].functions)
    functions = OPERATIONS["activation"].functions
    changed = broken(functions.forward, functions.backward, wrong, functions.double_backward)
    operation = type(OPERATIONS["activation"])(**{**vars(OPERATIONS["activation"]), "functions": changed})
    monkeypatch.setitem(own_error.OPERATIONS, "activation", operation)
    errors = measure("activation", {"name": "silu"}, "float32").errors
    assert errors["jvp"] > 100
    assert errors["backward"] < 1


def test_the_command_line(tmp_path):
    arguments = ["check", "--error-table", "--op", "glu"]
    told, text = tmp_path / "told.json", tmp_path / "page.md"
    result = RUNNER.invoke(app, [*arguments, "--json", str(told), "--page", str(text)], prog_name="attn-ref")
    assert result.exit_code == 0, result.output
    assert "worst error in units of its bound" in result.stdout
    assert text.read_text(encoding="utf-8") == page(list(rows(["glu"])))
    assert '"operation": "glu"' in told.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--error-table", "--op", "gul"], "did you mean 'glu'"),
        (["--page", "errors.md"], "--page belongs to --error-table"),
        (["--error-table", "--page", "nowhere/errors.md"], "there is no folder"),
    ],
)
def test_errors_of_the_command_line(arguments, words):
    result = RUNNER.invoke(app, ["check", *arguments], prog_name="attn-ref")
    assert result.exit_code == 2
    assert words in result.stderr
    assert result.stderr.count("\n") == 1
