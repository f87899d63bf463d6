"""Write docs/rosetta.md from the presets: ``python -m attn_ref.conventions.page``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from attn_ref.conventions.adapters import layout_of
from attn_ref.conventions.convention import Convention
from attn_ref.conventions.pixel_maps import BASE_GRIDS, PIXEL_MAPS
from attn_ref.conventions.presets import CONVENTIONS

__all__ = ["PAGE", "page"]

PAGE = Path(__file__).parents[2] / "docs" / "rosetta.md"

_HEAD = """\
# Rosetta: one sampler, many conventions

All of these systems compute the same thing, a weighted sum of a few pixels round a point, and disagree about how the
point is written. Each is a preset here, `attn_ref.conventions.convention(name)`: a small value whose `grid_sample`,
`affine_grid` and `transform`, and their backward functions, take and return that system's own arrays. They are the
core's functions with maps before and after, so the gradients are exact for that convention too.

This page is generated from the presets, `python -m attn_ref.conventions.page`.

## Where a coordinate points

g is the coordinate along one axis, S the number of pixels of the image there, p the pixel coordinate: 0 is the centre
of the first pixel, S − 1 that of the last. i is the index of the output pixel.

"""

_BASES = """
An affine grid applies theta to a *base grid*, the coordinates of the output's pixels; S is then the output's size.
Where pixel map and base grid are each other's inverse, as AC1 and corners, AC0 and centres, HALF and half-open, the
identity reproduces the image. Otherwise it drifts.

"""

_SYSTEMS = """
## The systems

N images of C channels; the 2 in a grid's layout is its coordinates, and in 3-D layouts have D before H. Names of modes
and paddings are the system's own, its default first (ours in brackets where it differs). Zeros fade over one pixel, tap
by tap, except where the gate says *point*. Matrices act on coordinates in the order of the grid. Where a system's own
arrays differ in small things (RMPE's and kornia's grids are internal, OpenCV takes the two maps apart), the layout here
is the natural one.

"""

_SOURCES = """
## What else is to be known, and sources

"""

_HOW_TO = """
## How to

**Reproduce another system**, gradients included. `stn("BHWD")` is the module `STN` of stn.pytorch; its half-open base
grid shifts the last of four pixels by ¾:

```python
import numpy as np
from attn_ref.conventions import convention, stn

identity = np.array([[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]])
row = np.array([10.0, 20.0, 30.0, 40.0]).reshape(1, 1, 4, 1)  # (N, H, W, C)
drifted = stn("BHWD").transform(row, identity)
assert np.allclose(drifted.ravel(), [10.0, 17.5, 25.0, 32.5])
grads = stn("BHWD").transform_backward(drifted, row, identity)
assert grads.input.shape == row.shape and grads.theta.shape == identity.shape
```

**Port a theta.** Both networks then look at the same pixels. The matrix in between maps output pixels to input pixels,
x first: OpenCV's M with `WARP_INVERSE_MAP`.

```python
import numpy as np
from attn_ref.conventions import convention, convert_theta, theta_to_pixels

theta = np.array([[[0.9, 0.1, 0.2], [-0.1, 0.8, 0.0]]])  # of RMPE: y first, p = (g + 1)S/2
input_size, output_size = (6, 8), (5, 7)
pytorch = convention("pytorch", align_corners=True)
ported = convert_theta(theta, "rmpe", pytorch, input_size, output_size)
image = np.random.default_rng(0).standard_normal((1, 3, 6, 8))
theirs = convention("rmpe").transform(image, theta, output_size)
assert np.allclose(pytorch.transform(image, ported, output_size), theirs)
matrix = theta_to_pixels(theta, "rmpe", input_size, output_size)
M = convert_theta(theta, "rmpe", "opencv", input_size, output_size)  # source to destination: the inverse of matrix
```

**Change only the alignment**, or only the order:

```python
import numpy as np
from attn_ref.conventions import convention, convert_theta, swap_theta_order

theta = np.array([[[1.0, 0.0, 0.25], [0.0, 1.0, 0.0]]])  # one pixel of eight to the right, align_corners=False
aligned = convert_theta(theta, convention("pytorch"), convention("pytorch", align_corners=True), (4, 8), (4, 8))
assert np.allclose(aligned[0, 0, 2], 2 / 7)
assert swap_theta_order(theta)[0, 1, 2] == 0.25  # now on (y, x, 1)
```

**Port a grid**, from normalised x, y to the pixels in index order that `scipy.ndimage.map_coordinates` takes:

```python
import numpy as np
from scipy import ndimage
from attn_ref.conventions import convention, convert_grid

image = np.random.default_rng(0).standard_normal((6, 8))
grid = np.random.default_rng(1).uniform(-1.5, 1.5, (1, 5, 7, 2))
points = convert_grid(grid, "pytorch", "scipy", (6, 8))  # (2, 5, 7)
theirs = ndimage.map_coordinates(image, points, order=1, mode="grid-constant")
assert np.allclose(convention("pytorch").grid_sample(image[None, None], grid)[0, 0], theirs)
```

**Port the weights of squeeze-and-excitation**, between linear layers (R, C) and 1×1 convolutions (R, C, 1, 1), and the
names that PyTorch, timm and Caffe models give them: `attn_ref.blocks.load_se_weights` and `export_se_weights`, with the
presets of `attn_ref.blocks.se_preset`.
"""


def page() -> str:
    """Return the page as Markdown.

    Returns
    -------
    str
        What ``docs/rosetta.md`` holds.
    """
    maps = [
        (name, m.formula, _core_name(m.align_corners), _used_by(name, "pixel_map")) for name, m in PIXEL_MAPS.items()
    ]
    bases = [(name, base.formula, _used_by(name, "base")) for name, base in BASE_GRIDS.items()]
    heads = [
        "name",
        "system",
        "image",
        "grid",
        "order",
        "pixel map",
        "base grid",
        "gate",
        "matrix",
        "paddings",
        "modes",
    ]
    sources = [f"- `{s.name}`: read in {s.source}." + (f" {s.remarks}" if s.remarks else "") for s in _all()]
    return (
        _HEAD
        + _table(["pixel map", "formula", "in the core", "systems"], maps)
        + _BASES
        + _table(["base grid", "output pixel i is at", "systems"], bases)
        + _SYSTEMS
        + _table(heads, [_row(s) for s in _all()])
        + _SOURCES
        + "\n".join(sources)
        + "\n"
        + _HOW_TO
    )


def _all() -> list[Convention]:
    return list(CONVENTIONS.values())


def _row(s: Convention) -> list[str]:
    coordinates = {"x first": "x, y", "y first": "y, x"}[s.order] + (" (, z)" if s.order == "x first" else "")
    coordinates = coordinates if len(s.axes) > 1 else coordinates.removesuffix(" (, z)")
    coordinates = "(z,) y, x" if len(s.axes) > 1 and s.order == "y first" else coordinates
    others = [f"{m} ({'default' if m == s.pixel_map else 'option'})" for m, _ in s.alignments.values()]
    matrix = "–" if s.base is None else "source → destination" if s.forward else "destination → source"
    return [
        f"`{s.name}`",
        s.system,
        layout_of(s.image_layout, 2),
        layout_of(s.grid_layout, 2),
        coordinates,
        ", ".join(others) or s.pixel_map,
        " or ".join(base for _, base in s.alignments.values()) or s.base or "–",
        s.gate,
        matrix,
        ", ".join(_padding(*item) for item in s.paddings.items()),
        ", ".join(theirs if theirs == ours else f"{theirs} ({ours})" for theirs, ours in s.modes.items()),
    ]


def _padding(name: str, ours: tuple[str, bool | None]) -> str:
    mode, about_centres = ours
    about = {None: "", True: " about the corner pixels' centres", False: " about the image's edges"}[about_centres]
    meant = "" if mode == name and not about else f" ({mode}{about})"
    return f"{name}{meant}"


def _core_name(align_corners: bool | None) -> str:
    return "–" if align_corners is None else f"`align_corners={align_corners}`"


def _used_by(name: str, field: str) -> str:
    at = ("pixel_map", "base").index(field)
    used = [
        f"`{s.name}`"
        for s in _all()
        if getattr(s, field) == name or name in [choice[at] for choice in s.alignments.values()]
    ]
    return ", ".join(used)


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    written = [heads, ["---"] * len(heads), *rows]
    return "".join("| " + " | ".join(cells) + " |\n" for cells in written)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
