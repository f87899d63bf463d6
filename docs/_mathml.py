"""Formulas become MathML when the pages are built: browsers draw it themselves, without a script.

The font, STIX Two Math, is the one that ziamath brings (SIL Open Font License).
"""

import html
import importlib.resources
import re
import shutil
from pathlib import Path

from docutils import nodes
from math_core import LatexError, LatexToMathML
from sphinx.util import logging

LOGGER = logging.getLogger(__name__)
CONVERTER = LatexToMathML(fancy_error=False)  # it raises on a command that it does not know
TAG = re.compile(r"\\tag\{(.*?)\}")
# The font's primes stand as high as an exponent already, and would be raised twice.
PRIME = r'<mpadded voffset="-0.4em" height="0.4em"><mo class="prime">\1</mo></mpadded>'
FONT = "STIXTwoMath-Regular.ttf"


def inline(self, node: nodes.math) -> None:
    self.body.append(_convert(node, node.astext(), False))
    raise nodes.SkipNode


def block(self, node: nodes.math_block) -> None:
    tag = TAG.search(node.astext())
    self.body.append(self.starttag(node, "div", CLASS="math-block"))
    if tag:
        self.body.append(f'<span class="eqno">({tag[1]})</span>')
    self.body.append(_convert(node, TAG.sub("", node.astext()), True) + "</div>")
    raise nodes.SkipNode


def _convert(node: nodes.Node, latex: str, displaystyle: bool) -> str:
    try:
        made = CONVERTER.convert_with_local_state(latex, displaystyle=displaystyle)
        return re.sub("<mo[^>]*>([′″‴])</mo>", PRIME, made)
    except LatexError as error:
        LOGGER.warning("this formula cannot be drawn: %s: %s", latex, error, location=node)
        return html.escape(latex)


def copy_font(app) -> None:
    if app.builder.format == "html":
        target = Path(app.outdir) / "_static"
        target.mkdir(parents=True, exist_ok=True)
        with importlib.resources.as_file(importlib.resources.files("ziamath") / "fonts" / FONT) as font:
            shutil.copyfile(font, target / FONT)


def setup(app):
    app.add_html_math_renderer("mathml", (inline, None), (block, None))
    app.connect("builder-inited", copy_font)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
