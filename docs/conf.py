"""How the documentation is built: python -m sphinx -W --keep-going -b html docs docs/_build/html."""

import inspect
import re
import sys
from pathlib import Path
from types import ModuleType

sys.path.insert(0, str(Path(__file__).parents[1]))

import attn_ref
import attn_ref.blocks
import attn_ref.conventions
import attn_ref.datasets

project = "attn_ref"
author = "The attn_ref authors"
copyright = author
version = release = attn_ref.__version__

extensions = ["myst_parser", "numpydoc", "sphinx.ext.autodoc", "sphinx.ext.autosummary"]
exclude_patterns = ["_build", "_templates", "README.md", "reference/properties.md"]
templates_path = ["_templates"]

# Formulas are Unicode text and code blocks, so a page needs no script from elsewhere and reads well offline.
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3

numpydoc_show_class_members = False  # the templates say which members are shown
autodoc_typehints = "none"  # shapes and dtypes are in the text
autodoc_member_order = "bysource"
autosummary_generate = True
# Beside attn_ref.blocks.Block, which is the same name where file names have no case.
autosummary_filename_map = {"attn_ref.blocks.block": "attn_ref.blocks.about-block"}


def _groups(package: ModuleType) -> list[dict[str, object]]:
    """A package's public names by the module that defines them: its name, its title, its names."""
    modules: dict[ModuleType, list[str]] = {}
    for name in package.__all__:
        value = getattr(package, name)
        if inspect.ismodule(value):  # public as a whole
            modules[value] = [f"{name}.{member}" for member in value.__all__]
        elif inspect.isclass(value) or inspect.isroutine(value):
            modules.setdefault(sys.modules[value.__module__], []).append(name)
    groups = []
    for module, names in modules.items():
        assert module.__doc__ is not None
        order = [name.rpartition(".")[2] for name in module.__all__]
        names.sort(key=lambda name: (name[0].isupper(), order.index(name.rpartition(".")[2])))  # functions first
        title = re.split("[:,.]", module.__doc__)[0]
        groups.append({"module": module.__name__, "title": title, "names": names})
    return groups


_PACKAGES = (attn_ref, attn_ref.blocks, attn_ref.conventions, attn_ref.datasets)
autosummary_context = {"groups": {package.__name__: _groups(package) for package in _PACKAGES}}


def _write_properties() -> None:
    """The table of properties, from the registry that the checks run on."""
    from attn_ref.gradcheck.properties import PROPERTIES
    from attn_ref.registry import OPERATIONS

    rows = ["| property | says | of |", "|---|---|---|"]
    for name, prop in PROPERTIES.items():
        of = ", ".join(f"`{operation.name}`" for operation in OPERATIONS.values() if prop.applies(operation))
        rows.append(f"| {name} | {prop.summary} | {of} |")
    folder = Path(__file__).parent / "reference"
    folder.mkdir(exist_ok=True)
    (folder / "properties.md").write_text("\n".join(rows) + "\n", encoding="utf-8")


_write_properties()

html_theme = "furo"
html_title = "attn_ref"
html_static_path = ["_static"] if (Path(__file__).parent / "_static").is_dir() else []
html_show_sphinx = False


def _render_as_written(app, what, name, object, options, lines):  # noqa: ARG001
    """Docstrings are written to be read in the source: a starred name in a shape, an author's initial, a formula."""
    lines[:] = [re.sub(r"(?<=[( ])\*(?=\w+[,)])", r"\\*", line) for line in lines]
    lines[:] = [re.sub(r"^(\.\. \[\w+\] )(?=[A-Z]\. )", r"\1\\", line) for line in lines]
    if what == "module":
        for i in reversed(range(1, len(lines))):
            begins = lines[i].startswith("    ") and not lines[i - 1].strip()
            above = next((line for line in reversed(lines[:i]) if line.strip()), "")
            if begins and not above.startswith((" ", "* ", ".. ")):
                lines[i:i] = [".. code-block:: text", ""]


def _skip_fields(app, what, name, object, skip, options):  # noqa: ARG001
    """Fields of a named tuple are in its signature; what Python says of them is "Alias for field number 0"."""
    return True if type(object).__name__ == "_tuplegetter" else None


def setup(app):
    app.connect("autodoc-process-docstring", _render_as_written, priority=400)  # before numpydoc
    app.connect("autodoc-skip-member", _skip_fields)
