"""What is said when an optional package is missing."""

import tomllib
from pathlib import Path

import pytest

from attn_ref._extras import EXTRAS, missing, optional


def test_every_extra_named_holds_its_package():
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for package, extra in EXTRAS.values():
        assert any(line.startswith(f"{package}>=") for line in project["optional-dependencies"][extra])


def test_a_submodule_belongs_to_its_package():
    line = missing(ModuleNotFoundError("no", name="mlxtend.data"))
    assert line == "the package mlxtend is missing: pip install 'attn_ref[train]'"


@pytest.mark.parametrize("name", ["numpy", None])
def test_a_module_of_no_extra_is_left_to_python(name):
    error = ModuleNotFoundError("as Python says it", name=name)
    assert missing(error) is None
    with pytest.raises(ModuleNotFoundError, match="as Python says it"), optional():
        raise error
