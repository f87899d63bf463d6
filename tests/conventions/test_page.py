"""The Rosetta page is what the presets say."""

from attn_ref.conventions import CONVENTIONS, PIXEL_MAPS
from attn_ref.conventions.page import PAGE, page


def test_the_page_in_the_docs_is_the_presets():
    assert PAGE.read_text(encoding="utf-8") == page(), "run python -m attn_ref.conventions.page"


def test_every_preset_and_map_is_on_it():
    text = page()
    assert all(f"| `{name}` | {s.system} |" in text for name, s in CONVENTIONS.items())
    assert all(f"| {name} | {m.formula} |" in text for name, m in PIXEL_MAPS.items())
