"""Write docs/diagnosis.md from the catalogue: ``python -m attn_ref.verify.mistakes.page``."""

from __future__ import annotations

from pathlib import Path

from attn_ref.verify.mistakes import MISTAKES

__all__ = ["PAGE", "page"]

PAGE = Path(__file__).parents[3] / "docs" / "diagnosis.md"

_HEAD = """\
# What is wrong, and which convention is it?

[`verify`](verify.md) says that an implementation differs. Two more questions it answers, or tries to.

## Which mistake does it look like?

A report ends with what explains its failures, `report.diagnoses`. Behind it is a catalogue of mistakes: for each, a
small model of the operation with one decision taken the wrong way, which says what such an implementation returns. One
whose results agree with *all* that was seen, the wrong results and the right ones, element by element within its
rounding, is an explanation. The mistake may be made everywhere, in one pass alone, or under a condition, as in 3-D
alone; if no single one fits, pairs are tried.

```python
import attn_ref
from attn_ref.verify import verify


def mine(input, grid, *, mode, padding_mode, align_corners):
    padding_mode = "zeros" if padding_mode == "border" else padding_mode  # an enumerator lost on the way
    return attn_ref.grid_sample(input, grid, mode=mode, padding_mode=padding_mode, align_corners=not align_corners)


report = verify("grid_sample", mine, options={"ndim": [2], "mode": ["bilinear"]}, examples=10)
print(report.diagnoses[0])
assert report.diagnoses[0].name == "align_corners flipped; and border read as zeros"
```

If nothing fits it says so, and what can be told: which results are right, which options and dtypes are hit, whether a
result is off by a factor (and which size that factor is), by a constant, or only a little; whether it is 0, NaN, or in
another order; and where the wrong elements are: in samples or channels after the first, along one coordinate, outside
the image, on odd folds, on whole pixels. A candidate that is right, with acceptable deviations that one mistake
explains, such as ties that go another way, is told that too.

## Which convention is it?

`identify` needs no reference: it probes a sampler whose convention is not known, and names it.

```python
from scipy import ndimage
from attn_ref.verify import identify

found = identify(ndimage.map_coordinates, options={"order": 1, "mode": "reflect"})
print(found)
assert found.padding == "reflection about the edges" and found.matches == ("scipy",)
```

```console
$ attn-ref identify torch.nn.functional:grid_sample --adapter torch --option align_corners=false
```

It finds the layouts of images and grids, which coordinate comes first, the pixel map, the interpolation, how ties are
broken, the coefficient of a cubic, the padding, what a NaN gives, and which of [the presets](rosetta.md) agree. A pixel
map that is none of the known ones is measured. What it cannot tell it says.

## The catalogue

The number is that of the kind of mistake, one for one with [the museum](museum.md) where it has one: mistakes that were
seen, and where. This part of the page is generated from the code, `python -m attn_ref.verify.mistakes.page`.

"""

_KINDS = {
    1: "axes exchanged",
    2: "alignment",
    3: "pixel maps and gates",
    4: "base grids",
    5: "layouts",
    7: "border by clamping",
    8: "gradients of paddings",
    9: "scales of the grid's gradient",
    10: "cubic",
    11: "nearest",
    12: "words lost in conversion",
    13: "precision",
    14: "casts",
    15: "masks",
    16: "scatter",
    17: "inverses",
    18: "squeezing and exciting",
    19: "derivatives inside the block",
    20: "gates, biases, weights, widths",
    21: "pooling in half",
    22: "factors",
}


def page() -> str:
    """Return the page as Markdown.

    Returns
    -------
    str
        What docs/diagnosis.md holds.
    """
    parts = [_HEAD, "Kinds: " + "; ".join(f"{number} {words}" for number, words in _KINDS.items()) + ".\n"]
    for operation, mistakes in MISTAKES.items():
        parts.append(
            f"\n### {operation}\n\n| mistake | what is wrong | what to change | kind, seen in |\n|---|---|---|---|\n"
        )
        parts += [
            f"| {_cell(m.name)} | {_cell(m.sentence)} | {_cell(m.mend)} | {_cell(m.museum) or '–'} |\n"
            for m in mistakes
        ]
    return "".join(parts)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
