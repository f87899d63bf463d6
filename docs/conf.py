"""How the documentation is built: python -m sphinx -W --keep-going -b html docs docs/_build/html."""

import hashlib
import inspect
import os
import re
import shutil
import sys
from pathlib import Path
from types import ModuleType

HERE = Path(__file__).parent
ROOT = HERE.parent
sys.path[:0] = [str(ROOT), str(HERE)]

import attn_ref
import attn_ref.blocks
import attn_ref.conventions
import attn_ref.datasets
import attn_ref.exact
import attn_ref.film
import attn_ref.gradcheck
import attn_ref.gradcheck.strategies
import attn_ref.plotting
import attn_ref.registry
import attn_ref.verify

project = "attn_ref"
author = "The attn_ref authors"
copyright = author
version = release = attn_ref.__version__

extensions = ["myst_nb", "numpydoc", "sphinx.ext.autodoc", "sphinx.ext.autosummary", "_mathml", "_spec_tests"]
exclude_patterns = ["_build", "_templates", "README.md", "reference/properties.md"]
templates_path = ["_templates"]

myst_enable_extensions = ["colon_fence", "dollarmath", "attrs_inline"]
myst_heading_anchors = 3
html_math_renderer = "mathml"

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


_PACKAGES = (
    attn_ref,
    attn_ref.blocks,
    attn_ref.conventions,
    attn_ref.datasets,
    attn_ref.exact,
    attn_ref.gradcheck,
    attn_ref.gradcheck.strategies,
    attn_ref.verify,
    attn_ref.registry,
    attn_ref.plotting,
    attn_ref.film,
)
autosummary_context = {"groups": {package.__name__: _groups(package) for package in _PACKAGES}}


def _write_properties() -> None:
    """The table of properties, from the registry that the checks run on."""
    from attn_ref.gradcheck.properties import PROPERTIES
    from attn_ref.registry import OPERATIONS

    rows = ["| property | says | of |", "|---|---|---|"]
    for name, prop in PROPERTIES.items():
        of = ", ".join(f"`{operation.name}`" for operation in OPERATIONS.values() if prop.applies(operation))
        rows.append(f"| {name} | {prop.summary} | {of} |")
    folder = HERE / "reference"
    folder.mkdir(exist_ok=True)
    (folder / "properties.md").write_text("\n".join(rows) + "\n", encoding="utf-8")


_write_properties()


def _copy_tutorials() -> None:
    """The notebooks' sources, which lie outside this folder; a page that did not change is not touched."""
    target = HERE / "tutorials"
    target.mkdir(exist_ok=True)
    sources = {source.name: source for source in (ROOT / "tutorials").glob("[0-9][0-9]-*.md")}
    for page in target.glob("*.md"):
        if page.name not in sources:
            page.unlink()
    for name, source in sources.items():
        page = target / name
        if not page.exists() or page.read_bytes() != source.read_bytes():
            shutil.copyfile(source, page)


def _fingerprint() -> str:
    """Of everything that a notebook may import from here: what it gave holds for this code only."""
    code = hashlib.sha256()
    for path in sorted((ROOT / "attn_ref").rglob("*.py")):
        code.update(path.read_bytes())
    return code.hexdigest()[:16]


_copy_tutorials()
if not any((HERE / "tutorials").iterdir()):
    exclude_patterns.append("tutorials.md")

# Every notebook is run, from top to bottom; one that raises fails the build. Kept is what the same code gave before.
nb_execution_mode = "cache"
nb_execution_cache_path = str(HERE / "_build" / "notebooks" / _fingerprint())
nb_execution_timeout = 300  # seconds a cell: that is a cell that hangs, even where much else is going on
nb_execution_raise_on_error = True
nb_merge_streams = True
nb_ipywidgets_js = {}  # no script from elsewhere
nb_mime_priority_overrides = [("html", "text/html", 1)]
os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])

html_theme = "furo"
html_title = "attn_ref"
html_static_path = ["_static"]
html_css_files = ["custom.css"]
html_favicon = "_static/favicon.svg"
html_show_sphinx = False


def _render_as_written(app, what, name, object, options, lines):
    """Docstrings are written to be read in the source: a starred name in a shape, an author's initial, a formula."""
    lines[:] = [re.sub(r"(?<=[( ])\*(?=\w+[,)])", r"\\*", line) for line in lines]
    lines[:] = [re.sub(r"^(\.\. \[\w+\] )(?=[A-Z]\. )", r"\1\\", line) for line in lines]
    if what == "module":
        for i in reversed(range(1, len(lines))):
            begins = lines[i].startswith("    ") and not lines[i - 1].strip()
            above = next((line for line in reversed(lines[:i]) if line.strip()), "")
            if begins and not above.startswith((" ", "* ", ".. ")):
                lines[i:i] = [".. code-block:: text", ""]


def _skip_fields(app, what, name, object, skip, options):
    """Fields of a named tuple are in its signature; what Python says of them is "Alias for field number 0"."""
    return True if type(object).__name__ == "_tuplegetter" else None


def setup(app):
    app.connect("autodoc-process-docstring", _render_as_written, priority=400)  # before numpydoc
    app.connect("autodoc-skip-member", _skip_fields)
