"""The tests of each rule of the specification: a page that shows them, and a line below each rule that leads there."""

import ast
import re
from pathlib import Path

HERE = Path(__file__).parent
TESTS = HERE.parent / "tests"
HEAD = """# The tests of the specification

Each rule of [the specification](spec.md) has tests that carry its id in their names. Here they are, rule by rule, as
they stand in `tests/`. What they call besides is in the same folder.
"""


def tests_by_rule() -> dict[str, list[tuple[Path, ast.FunctionDef]]]:
    """``def test_X1_X2_…`` is a test of X1 and of X2."""
    found: dict[str, list[tuple[Path, ast.FunctionDef]]] = {}
    for path in sorted(TESTS.rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            named = isinstance(node, ast.FunctionDef) and re.match(r"test_((?:[A-Z]\d+_)+)", node.name)
            if named:
                for rule in named[1].strip("_").split("_"):
                    found.setdefault(rule, []).append((path, node))
    return found


def write_page() -> None:
    spec = (HERE / "spec.md").read_text(encoding="utf-8")
    found, shown = tests_by_rule(), set()
    lines = [HEAD]
    for rule, title in re.findall(r"^### ([A-Z]\d+) (.*)$", spec, re.MULTILINE):
        lines += [f"## {rule} {title}", "", f"[The rule](spec.md#{rule.lower()})", ""]
        for path, node in found[rule]:
            if node.name in shown:
                lines += [f"Also [{_words(node.name)}](#{_anchor(node.name)}).", ""]
                continue
            shown.add(node.name)
            first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
            name = path.relative_to(HERE.parent).as_posix()
            lines += [f"({_anchor(node.name)})=", f"### {_words(node.name)}", ""]
            lines += [f"`{name}`, line {node.lineno}", "", f"```{{literalinclude}} ../{name}"]
            lines += [":language: python", f":lines: {first}-{node.end_lineno}", "```", ""]
    (HERE / "spec-tests.md").write_text("\n".join(lines), encoding="utf-8")


def link_rules(app, docname: str, source: list[str]) -> None:
    """Below the text of each rule: where its tests are."""
    if docname != "spec":
        return
    found = tests_by_rule()

    def below(match: re.Match[str]) -> str:
        links = [f"[{_words(node.name)}](spec-tests.md#{_anchor(node.name)})" for _, node in found[match[2]]]
        return f"{match[1].rstrip()}\n\n:::{{rst-class}} tests\n:::\n*Tests:* {'; '.join(links)}.\n\n"

    source[0] = re.sub(r"(^### ([A-Z]\d+) .*?(?=^\([a-z]\d+\)=$|^## |\Z))", below, source[0], flags=re.M | re.S)


def _anchor(name: str) -> str:
    return name.replace("_", "-").lower()


def _words(name: str) -> str:
    return re.sub(r"^test_(?:[A-Z]\d+_)+", "", name).replace("_", " ")


def setup(app):
    write_page()
    app.connect("source-read", link_rules)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
