"""Formulas become MathML when the pages are built: browsers draw it themselves, without a script.

The font, STIX Two Math, is the one that ziamath brings (SIL Open Font License).
"""

import importlib.resources
import shutil
from pathlib import Path

from docutils import nodes
from math_core import LatexToMathML

CONVERTER = LatexToMathML(fancy_error=False)  # it raises on a command that it does not know
FONT = "STIXTwoMath-Regular.ttf"


def inline(self, node: nodes.math) -> None:
    self.body.append(CONVERTER.convert_with_local_state(node.astext(), displaystyle=False))
    raise nodes.SkipNode


def block(self, node: nodes.math_block) -> None:
    self.body.append(self.starttag(node, "div", CLASS="math-block"))
    if node["number"]:
        self.body.append(f'<span class="eqno">({node["number"]})')
        self.add_permalink_ref(node, "Link to this equation")
        self.body.append("</span>")
    self.body.append(CONVERTER.convert_with_local_state(node.astext(), displaystyle=True) + "</div>")
    raise nodes.SkipNode


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
