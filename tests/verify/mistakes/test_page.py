"""The page in the docs is what the catalogue says."""

from attn_ref.verify.mistakes import MISTAKES
from attn_ref.verify.mistakes.page import PAGE, page


def test_the_page_in_the_docs_is_the_catalogue():
    assert PAGE.read_text(encoding="utf-8") == page(), "run python -m attn_ref.verify.mistakes.page"


def test_every_mistake_is_on_it():
    text = page()
    assert all(f"| {mistake.name} |" in text for mistakes in MISTAKES.values() for mistake in mistakes)
