"""Every name and keyword of the array library that the package uses is one that CuPy has."""

import ast
from pathlib import Path

import numpy as np
import pytest

import attn_ref

from . import names
from .library import xp

FILES = [
    path
    for path in sorted(Path(attn_ref.__file__).parent.rglob("*.py"))
    if path.parent.name in ("attn_ref", "ops", "blocks", "conventions", "registry")
]


def chain(node):
    """("backend", "xp", "where") of the expression backend.xp.where; None of another."""
    found = []
    while isinstance(node, ast.Attribute):
        found.append(node.attr)
        node = node.value
    return (*([node.id] if isinstance(node, ast.Name) else [""]), *reversed(found))


def uses(text):
    """(section, name, keywords) of each use of ``….xp.NAME``, ``xp.NAME`` and ``….special.NAME``."""
    tree = ast.parse(text)
    called = {id(node.func): [k.arg for k in node.keywords if k.arg] for node in ast.walk(tree)
              if isinstance(node, ast.Call)}  # fmt: skip
    for node in ast.walk(tree):
        if not isinstance(node, ast.Attribute):
            continue
        parts = chain(node)
        for section in ("xp", "special"):
            if section in parts[:-1] and parts[-2] == section and parts[0] != "scipy":
                yield section, parts[-1], called.get(id(node), [])


def missing(text, table):
    """What a text uses and CuPy has not."""
    found = []
    for section, name, keywords in uses(text):
        entry = table[section].get(name)
        if entry is None:
            found.append(f"{section}.{name}")
        elif entry["kind"] in ("function", "ufunc"):
            found += [f"{section}.{name}({key}=)" for key in keywords if key not in entry["parameters"]]
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_names_are_cupys_as_recorded(path):
    assert missing(path.read_text(encoding="utf-8"), names.recorded()) == []


def test_names_are_cupys_as_installed():
    pytest.importorskip("cupy")
    table = names.taken_from(*names.real())
    for path in FILES:
        assert missing(path.read_text(encoding="utf-8"), table) == []


def test_many_names_are_looked_at():
    """The tests above can fail: this is what they look at."""
    found = {f"{section}.{name}" for path in FILES for section, name, _ in uses(path.read_text(encoding="utf-8"))}
    assert {"xp.where", "xp.floor", "xp.fmod", "xp.lib", "special.expit", "special.erfc"} < found
    assert len(found) > 40


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("backend.xp.vecdot(a, b)", ["xp.vecdot"]),
        ("call.numbers.backend.xp.take(a, i, mode='clip')", ["xp.take(mode=)"]),
        ("xp.errstate()", ["xp.errstate"]),
        ("backend.special.erfcx(x)", []),
        ("backend.special.voigt_profile(x)", ["special.voigt_profile"]),
        ("xp.maximum(a, b, where=c)", ["xp.maximum(where=)"]),
    ],
)
def test_a_name_that_cupy_lacks_is_found(line, expected):
    assert missing(line, names.recorded()) == expected


def test_the_record_is_that_of_the_release_installed():
    """Of the names in use; some others are NumPy's own, and come and go with its releases."""
    cupy = pytest.importorskip("cupy")
    record = names.recorded()
    if cupy.__version__ != record["cupy"]:
        pytest.skip(f"recorded of CuPy {record['cupy']}, installed is {cupy.__version__}")
    installed = names.taken_from(*names.real())
    used = {(section, name) for path in FILES for section, name, _ in uses(path.read_text(encoding="utf-8"))}
    assert {key: installed[key[0]][key[1]] for key in used} == {key: record[key[0]][key[1]] for key in used}
    assert installed["ndarray"].keys() == record["ndarray"].keys()


def test_the_stand_in_has_no_name_that_cupy_lacks():
    for name in ("vecdot", "errstate", "unstack", "block", "asnumpy_"):
        with pytest.raises(AttributeError, match=r"of CuPy .* has no"):
            getattr(xp, name)
    with pytest.raises(TypeError, match=r"CuPy's xp.maximum has no keyword 'where'"):
        xp.maximum(xp.zeros(2), 0, where=np.bool_(True))
