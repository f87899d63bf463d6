"""What the documentation promises: examples that run, docstrings that are whole, a start page whose code works."""

import ast
import doctest
import functools
import importlib
import importlib.util
import inspect
import pkgutil
import re
from pathlib import Path

import numpydoc.validate
import pytest
from numpydoc.docscrape import FunctionDoc

import attn_ref
import attn_ref.blocks
import attn_ref.conventions
import attn_ref.datasets
import attn_ref.exact
import attn_ref.film
import attn_ref.gradcheck.strategies
import attn_ref.plotting
import attn_ref.verify

ROOT = Path(__file__).parents[1]
MODULES = ["attn_ref", *sorted(info.name for info in pkgutil.walk_packages(attn_ref.__path__, "attn_ref."))]
RUNNABLE = {"attn_ref.__main__"}  # importing it runs the command line


def resolve(name):
    return functools.reduce(getattr, name.split("."), attn_ref)


PACKAGES = ["blocks", "conventions", "datasets", "exact", "film", "gradcheck", "gradcheck.strategies", "plotting"]
PACKAGES += ["verify"]
NAMES = [name for name in attn_ref.__all__ if callable(getattr(attn_ref, name))]
NAMES += [
    f"{package}.{name}"
    for package in PACKAGES
    for name in resolve(package).__all__
    if inspect.isclass(resolve(f"{package}.{name}")) or inspect.isfunction(resolve(f"{package}.{name}"))
]
CHECKS_NOTHING = {"blocks.prefixed", "conventions.PixelMap.pixels", "datasets.LabelledImages.take", "exact.to_float"}
CHECKS_NOTHING |= {
    "plotting.encode",
    *(f"gradcheck.strategies.{name}" for name in attn_ref.gradcheck.strategies.__all__),
}
METHODS = [
    f"{name}.{attribute}"
    for name in NAMES
    if inspect.isclass(resolve(name)) and not issubclass(resolve(name), tuple)
    for attribute, value in vars(resolve(name)).items()
    if inspect.isfunction(value) and not attribute.startswith("_")
]


@pytest.mark.parametrize("name", [name for name in MODULES if name not in RUNNABLE])
def test_doctests(name):
    """A module that cannot be imported fails here: none is left out silently."""
    result = doctest.testmod(importlib.import_module(name), optionflags=doctest.FAIL_FAST)
    assert result.failed == 0


def public(package):
    """The classes and functions that a package names as its own."""
    module = importlib.import_module(f"attn_ref.{package}".rstrip("."))
    for name in module.__all__:
        value = getattr(module, name)
        if inspect.isclass(value) or inspect.isroutine(value):
            yield f"{package}.{name}".lstrip("."), value


@pytest.mark.parametrize(
    ("name", "value"), [each for package in ("", *PACKAGES, "registry") for each in public(package)]
)
def test_every_public_name_has_an_example_that_shows_a_result(name, value):
    """That it runs is for the test above, which runs all of a module."""
    examples = doctest.DocTestParser().get_examples(value.__doc__)
    assert any(example.want for example in examples)


@pytest.mark.parametrize("name", MODULES)
def test_every_module_says_what_it_is(name):
    source = importlib.util.find_spec(name).origin
    text = ast.get_docstring(ast.parse(Path(source).read_text(encoding="utf-8")))
    assert text is not None
    assert text.splitlines()[0].endswith(".")


def test_all_is_sorted_and_everything_in_it_exists():
    assert sorted(attn_ref.__all__) == list(attn_ref.__all__)
    assert all(hasattr(attn_ref, name) for name in attn_ref.__all__)


@pytest.mark.parametrize("name", [*[name for name in NAMES if inspect.isfunction(resolve(name))], *METHODS])
def test_docstrings_of_functions_are_whole(name):
    function = resolve(name)
    documented = FunctionDoc(function)
    returns = inspect.signature(function).return_annotation not in (None, "None")
    takes = [p for p in inspect.signature(function).parameters if p != "self"]
    sections = {"Parameters": bool(takes), "Returns": returns, "Raises": name not in CHECKS_NOTHING}
    for section, wanted in sections.items():
        assert bool(documented[section]) == wanted, f"{name}: section {section}"
    described = [word.strip().lstrip("*") for entry in documented["Parameters"] for word in entry.name.split(",")]
    assert described == takes


# What numpydoc calls errors, less those that contradict the house style.
STYLE = {
    "GL01",  # the summary stands on the line of the quotes
    "ES01",  # not everything needs an extended summary
    "EX01",  # nor an example
    "SA01",  # nor a See Also
    "PR01",  # parameters that share a description are listed together; the test above checks their names
    "PR02",
    "PR04",
    "PR08",  # "x first" begins with the name it is about
    "RT02",  # the returned value has no name
    "RT04",
}
# In the exact twins the definition itself may be the summary, and arguments are those of the other function.
STYLE_OF_TWINS = STYLE | {"PR03", "PR07", "RT03", "SS02", "SS05"}


@pytest.mark.parametrize("name", [*NAMES, *METHODS])
def test_docstrings_are_numpydoc(name):
    errors = numpydoc.validate.validate(f"attn_ref.{name}")["errors"]
    style = STYLE_OF_TWINS if name.startswith("exact.") else STYLE
    assert [error for error in errors if error[0] not in style] == []


@pytest.mark.parametrize(
    "page",
    [
        "README.md",
        "docs/index.md",
        "docs/derivations.md",
        "docs/how-to/add-an-operation.md",
        "docs/how-to/write-a-strategy.md",
        "docs/gradient-checks.md",
        "docs/rosetta.md",
        "docs/diagnosis.md",
        "docs/verify.md",
    ],
)
def test_code_on_the_pages_runs(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert blocks
    for code in blocks:
        exec(compile(code, page, "exec"), {})


def test_the_readme_counts_the_rules():
    rules = re.findall(r"^### [A-Z]\d", (ROOT / "docs" / "spec.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert f"[{len(rules)} rules]" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_links_to_rules_lead_somewhere():
    text = (ROOT / "docs" / "spec.md").read_text(encoding="utf-8")
    targets = set(re.findall(r"^\(([a-z]\d+)\)=$", text, re.MULTILINE))
    links = re.findall(r"\[([^\]]+)\]\(([a-z]\d+)\)", text)
    assert links
    assert all(target in targets and label.lower().startswith(target) for label, target in links)
