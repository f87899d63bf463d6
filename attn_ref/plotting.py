"""Pictures of what the operations do, drawn with Matplotlib.

Figures are made by the object interface, without pyplot: nothing global is set, no window is opened, and any number
may be drawn at once. Each function returns a :class:`matplotlib.figure.Figure` to save or to show in a notebook.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from attn_ref.backend import Array
from attn_ref.ops.coordinates import to_pixels
from attn_ref.photos import check_place
from attn_ref.validation import flag

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["COLOURS", "check_target", "draw_sampling", "encode"]

COLOURS = {
    "black": "#000000",
    "orange": "#E69F00",
    "sky": "#56B4E9",
    "green": "#009E73",
    "yellow": "#F0E442",
    "blue": "#0072B2",
    "red": "#D55E00",
    "purple": "#CC79A7",
}
"""The palette of Okabe and Ito, which colour-blind people can tell apart. Yellow is for use on dark only."""

# Edged dark, they stand out from a photo.
_LINE, _FRAME, _EDGE = COLOURS["sky"], COLOURS["yellow"], "#202020"

_DPI = 100

_SUFFIXES = (".png", ".jpg", ".webp", ".tif", ".pdf", ".svg")

_FAR = 1e5
"""Pixels beyond which points are drawn no farther out: Agg cannot draw a line of any length."""


def draw_sampling(
    source: Array,
    grid: Array,
    result: Array,
    *,
    align_corners: bool,
    lines: int = 12,
    titles: Sequence[str] = ("source, and where it is sampled", "result"),
) -> Figure:
    """Draw a sampling grid over its source, beside what was sampled.

    Parameters
    ----------
    source : array, shape (H, W), (H, W, 3) or (H, W, 4)
        The image that was sampled, as Matplotlib shows images: uint8, or floats from 0 to 1.
    grid : array, shape (H_out, W_out, 2) or (1, H_out, W_out, 2)
        Where, in normalised coordinates (x, y). It need not be affine.
    result : array, shape (H_out, W_out), (H_out, W_out, 3) or (H_out, W_out, 4)
        What was read there.
    align_corners : bool
        The convention in which the grid was made.
    lines : int
        About how many grid lines to draw along the longer side, at least 2; the lines of all pixels would cover the
        image.
    titles : sequence of str
        Captions of the two halves.

    Returns
    -------
    matplotlib.figure.Figure
        Left the source, on it some rows and columns of the grid as lines, the outline of the output, and a dot at the
        output's first pixel; right the result with the same lines, outline and dot.

    Raises
    ------
    TypeError
        If align_corners is not a bool.
    ValueError
        If the shapes do not fit, there are no points, or lines is below 2.
    ModuleNotFoundError
        If Matplotlib is missing.

    Notes
    -----
    Parts of the grid beyond one width or height of the source outside it are cut off. A NaN leaves a gap.

    Examples
    --------
    >>> import numpy as np
    >>> from attn_ref import affine_grid, grid_sample
    >>> image = np.random.default_rng(0).uniform(size=(1, 1, 20, 30))
    >>> theta = np.array([[[0.8, 0.4, 0.0], [-0.4, 0.8, 0.0]]])
    >>> grid = affine_grid(theta, image.shape, align_corners=False)
    >>> result = grid_sample(image, grid, align_corners=False)
    >>> figure = draw_sampling(image[0, 0], grid, result[0, 0], align_corners=False)
    >>> [axes.get_title() for axes in figure.axes]
    ['source, and where it is sampled', 'result']
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    align_corners = flag("align_corners", align_corners)
    grid = np.asarray(grid, np.float64)
    grid = grid[0] if grid.ndim == 4 and len(grid) == 1 else grid
    if grid.ndim != 3 or grid.shape[-1] != 2 or 0 in grid.shape:
        raise ValueError(f"grid has shape {grid.shape}: expected (H_out, W_out, 2), with at least one point")
    _check_image("source", source)
    _check_image("result", result)
    if result.shape[:2] != grid.shape[:2]:
        raise ValueError(f"result has shape {result.shape}: expected the size of the grid, {grid.shape[:2]}")
    if lines < 2:
        raise ValueError(f"lines={lines} is too few: expected at least 2")

    points = _pixels(grid, source.shape[:2], align_corners)
    height, width = result.shape[:2]
    own = np.stack(np.meshgrid(np.arange(width), np.arange(height)), axis=-1).astype(np.float64)  # (H_out, W_out, 2)
    left, right = _limits(source.shape[:2], points), _limits((height, width), own)
    spans = [(x1 - x0) / (y1 - y0) for (x0, x1), (y0, y1) in (left, right)]
    shares = [min(max(span, 0.25), 4.0) for span in spans]
    panel = min(9 / sum(shares), 6.0)  # inches high
    figure = Figure(figsize=(panel * sum(shares) + 0.5, panel + 0.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, 2, width_ratios=shares)
    panels = zip(axes, (source, result), (points, own), (left, right), titles, strict=True)
    for place, image, mesh, (x_limits, y_limits), title in panels:
        place.imshow(image, interpolation="nearest", cmap="gray" if image.ndim == 2 else None)
        _draw_lattice(place, mesh, lines)
        place.set(xlim=x_limits, ylim=y_limits[::-1], xticks=[], yticks=[], facecolor="#F2F2F2")
        place.set_title(title, fontsize=12)
        place.spines[:].set_visible(False)
    return figure


def check_target(path: Path) -> None:
    """Check, before any work, that a figure can be written to a path.

    Parameters
    ----------
    path : pathlib.Path
        Where it shall go. The suffix says which format.

    Raises
    ------
    ValueError
        If the suffix is not one of .png, .jpg, .webp, .tif, .pdf and .svg, the folder does not exist, or something
        other than a file is in the way.
    ModuleNotFoundError
        If Matplotlib is missing.

    Examples
    --------
    >>> check_target(Path("figure.txt"))
    Traceback (most recent call last):
    ValueError: figure.txt: the suffix '.txt' is of no figure; use one of .png, .jpg, .webp, .tif, .pdf, .svg
    """
    import matplotlib  # noqa: F401  # found missing now rather than after the work

    if path.suffix.lower() not in _SUFFIXES:
        raise ValueError(f"{path}: the suffix {path.suffix!r} is of no figure; use one of {', '.join(_SUFFIXES)}")
    check_place(path)


def encode(figure: Figure, path: Path) -> bytes:
    """Encode a figure in the format that the suffix of a path names; nothing is written.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        The figure.
    path : pathlib.Path
        Its suffix is used.

    Returns
    -------
    bytes
        The file's content.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> encode(Figure(figsize=(1, 1)), Path("figure.png"))[1:4]
    b'PNG'
    """
    content = io.BytesIO()
    kind = path.suffix.lower().removeprefix(".")
    options: dict[str, Any] = {"pil_kwargs": {"optimize": True}} if kind == "png" else {}
    figure.savefig(content, format=kind, dpi=_DPI, **options)
    return content.getvalue()


def _check_image(name: str, image: Array) -> None:
    shape = image.shape
    if not (len(shape) == 2 or (len(shape) == 3 and shape[2] in (3, 4))) or 0 in shape:
        raise ValueError(f"{name} has shape {shape}: expected (H, W), (H, W, 3) or (H, W, 4), with at least one pixel")


def _pixels(grid: Array, size: tuple[int, int], align_corners: bool) -> Array:
    """Pixel coordinates (x, y) of the points of a grid, (H_out, W_out, 2)."""
    height, width = size
    with np.errstate(all="ignore"):
        axes = [to_pixels(np, grid[..., a], extent, align_corners) for a, extent in enumerate((width, height))]
        return np.clip(np.stack(axes, axis=-1), -_FAR, _FAR)


def _limits(size: tuple[int, int], points: Array) -> list[tuple[float, float]]:
    """What to show of x and of y: the whole image, and the points as far as one image beyond it."""
    limits = []
    margin = 0.03 * max(size)  # room for the dot
    for a, extent in enumerate(size[::-1]):
        within = points[..., a][np.isfinite(points[..., a])]
        least, most = (within.min(), within.max()) if within.size else (0.0, 0.0)
        low, high = min(-0.5, least), max(extent - 0.5, most)
        limits.append((float(max(low, -extent) - margin), float(min(high, 2.0 * extent) + margin)))
    return limits


def _draw_lattice(axes: Axes, points: Array, lines: int) -> None:
    """Some rows and columns of the points as lines, their outline, and a dot at the first. points (H_out, W_out, 2)."""
    from matplotlib.collections import LineCollection
    from matplotlib.patheffects import withStroke

    rows, columns = _thinned(points.shape[0], points.shape[1], lines)
    thin = [points[i] for i in rows[1:-1]] + [points[:, j] for j in columns[1:-1]]
    outline = np.concatenate([points[0], points[1:, -1], points[-1, -2::-1], points[-2:0:-1, 0], points[:1, 0]])
    for segments, colour, width, above in ((thin, _LINE, 0.9, 2), ([outline], _FRAME, 2.0, 3)):
        edge = withStroke(linewidth=width + 1.2, foreground=_EDGE, alpha=0.55)
        drawn = LineCollection(segments, colors=colour, linewidth=width, zorder=above, path_effects=[edge])
        axes.add_collection(drawn, autolim=False)
    axes.plot(*points[0, 0], "o", color=_FRAME, markeredgecolor=_EDGE, markersize=7, zorder=4)


def _thinned(height: int, width: int, lines: int) -> tuple[Array, Array]:
    """Rows and columns to draw, the first and last among them, at about one distance in pixels."""
    step = max(height - 1, width - 1, 1) / (lines - 1)

    def chosen(extent: int) -> Array:
        return np.unique(np.rint(np.linspace(0, extent - 1, max(2, round((extent - 1) / step) + 1))).astype(int))

    return chosen(height), chosen(width)
