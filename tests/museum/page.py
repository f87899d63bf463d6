"""Write docs/museum.md from the museum's table: ``python -m tests.museum.page``."""

from pathlib import Path

from .attention import ATTENTION_BUGS
from .bugs import BUGS
from .layers import LAYER_BUGS

PAGE = Path(__file__).parents[2] / "docs" / "museum.md"

HEAD = """\
# The bug museum

Mistakes that real samplers have made, where a source is given, and others that are easy to make. Each is kept as a
small patch ({file}), planted alone in a test, and must be caught by at least the properties named here, with three
calls a variant; `attn-ref check` draws eight and may catch it elsewhere too. This page is generated from the same
table: `python -m tests.museum.page`.

| operation | the mistake | seen in | caught by |
|---|---|---|---|
"""

FOOT = """
One more is a mistake of a grid, not of a sampler: the cylinder grid of fxia22/stn.pytorch has −½ sin((1 + cos θ)/2)
where the derivative is sin θ. `check_gradients` catches it.
"""


def page() -> str:
    """The page as Markdown."""
    rows = [
        f"| `{bug.operation}` | {bug.name} | {bug.seen_in or '–'} | {', '.join(bug.caught_by)} |"
        for bug in (*BUGS, *ATTENTION_BUGS, *LAYER_BUGS)
    ]
    return HEAD.format(file="`tests/museum/bugs.py`") + "\n".join(rows) + "\n" + FOOT


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
