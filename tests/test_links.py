"""Links on the pages: inside the project they lead somewhere, outside they are well formed. Nothing is fetched."""

import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest

ROOT = Path(__file__).parents[1]
MADE = {"reference", "tutorials", "_build"}  # when the pages are built; Sphinx checks links to them
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")]
PAGES += [page for page in (ROOT / "docs").rglob("*.md") if page.relative_to(ROOT / "docs").parts[0] not in MADE]
PAGES += (ROOT / "tutorials").glob("*.md")
PAGES = sorted(page for page in PAGES if page.name != "spec-tests.md")


def prose(page):
    """The page without code, in which brackets are no links."""
    text = page.read_text(encoding="utf-8")
    text = re.sub(r"^(`{3,}|:{3,}).*?^\1", "", text, flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"`[^`\n]*`", "", text)


def links(page):
    return re.findall(r"\[[^\]]*\]\(([^()\s]+)\)", prose(page))


def anchors(page):
    """Targets on a page: explicit ones, and headings by their usual names."""
    text = page.read_text(encoding="utf-8")
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    slugs = (re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings)
    return {*slugs, *re.findall(r"^\(([\w-]+)\)=$", text, re.MULTILINE)}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_inside_the_project_lead_somewhere(page):
    for link in links(page):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path) if path else page
        if target.name == "spec-tests.md" or (MADE & set(target.parts) and not target.exists()):
            continue
        if target.suffix == "" and not target.exists():  # MyST: a target by its name alone, `[S1](s1)`
            assert any(path in anchors(other) for other in PAGES), f"{page.name}: {link}"
            continue
        assert target.exists(), f"{page.name}: {link}"
        assert not anchor or anchor in anchors(target), f"{page.name}: {link}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_elsewhere_are_well_formed_and_encrypted(page):
    for link in re.findall(r"[a-z]+://[^\s)>\]\"'`]+", prose(page)):
        parts = urlsplit(link)
        assert parts.scheme == "https", link
        assert re.fullmatch(r"[\w-]+(\.[\w-]+)+", parts.netloc), link


def test_there_are_links_to_look_at():
    assert sum(len(links(page)) for page in PAGES) > 50


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_picture_says_what_it_shows(page):
    pictures = re.findall(r"!\[([^\]]*)\]\(([^)\s]+)\)", prose(page))
    assert all(len(alt) >= 10 for alt, _ in pictures), pictures
    assert all("://" in target or (page.parent / target).exists() for _, target in pictures)


def test_decisions_are_numbered_in_order_and_none_twice():
    pages = sorted((ROOT / "docs" / "decisions").glob("[0-9]*.md"))
    assert [int(page.name[:4]) for page in pages] == list(range(1, len(pages) + 1))
    for page in pages:
        assert page.read_text(encoding="utf-8").startswith(f"# {int(page.name[:4])}. ")
