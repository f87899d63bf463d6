"""Moving pictures for notebooks and pages: all frames in one image, and thirty lines of script that show one at a time.

There is no server, no file beside the page, and nothing to download. Where scripts do not run (on a code-hosting site,
in a notebook that is not trusted yet, on paper) the image with all frames is shown as it is, like a comic strip.
"""

from __future__ import annotations

import base64
import html
import io
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from attn_ref._extras import optional
from attn_ref.backend import Array

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Film", "film"]

_PLAYER = """
(() => {
  const film = document.currentScript.parentElement, sheet = film.querySelector("img"), data = film.dataset;
  const count = +data.frames, columns = +data.columns, rows = Math.ceil(count / columns);
  const labels = JSON.parse(data.labels), make = (name, style) => {
    const element = document.createElement(name);
    element.style.cssText = style;
    return film.appendChild(element);
  };
  const ratio = `${data.width}/${data.height}`;
  const pane = make("div", `overflow:hidden;width:${data.width}px;max-width:100%;aspect-ratio:${ratio}`);
  pane.append(sheet);
  sheet.style.cssText = `display:block;max-width:none;margin:0;width:${columns * 100}%;height:auto`;
  const button = make("button", "width:4em;margin-right:.5em;cursor:pointer;font:inherit");
  const slider = make("input", "width:12em;max-width:50%;vertical-align:middle");
  const label = make("span", "margin-left:.5em;font-variant-numeric:tabular-nums");
  Object.assign(slider, {type: "range", min: 0, max: count - 1, value: 0, ariaLabel: "frame"});
  let timer = null;
  const show = () => {
    const at = +slider.value;
    sheet.style.transform = `translate(${-100 / columns * (at % columns)}%,${-100 / rows * Math.floor(at / columns)}%)`;
    label.textContent = slider.ariaValueText = labels[at];
  };
  const play = on => {
    clearInterval(timer);
    timer = on ? setInterval(() => { slider.value = (+slider.value + 1) % count; show(); }, data.milliseconds) : null;
    button.textContent = on ? "pause" : "play";
  };
  button.onclick = () => play(timer === null);
  slider.oninput = () => { play(false); show(); };
  show();
  play(data.play === "true" && !matchMedia("(prefers-reduced-motion: reduce)").matches);
})();
"""


@dataclass(frozen=True)
class Film:
    """Frames as one image, with a player where scripts run; a notebook shows it when it is a cell's last value.

    Attributes
    ----------
    sheet : bytes
        All frames in one PNG image of at most 256 colours, row by row.
    size : tuple of int
        Height and width of a frame in pixels.
    labels : tuple of str
        What stands beside the slider, frame by frame.
    columns : int
        Frames in a row of the sheet.
    alt : str
        What is seen, for those who do not see it.
    milliseconds : int
        How long each frame is shown.
    play : bool
        Whether it plays by itself, or waits for the slider. It never does for readers who asked for less motion.

    Examples
    --------
    >>> import numpy as np
    >>> made = film([np.zeros((4, 6), np.uint8)] * 5, alt="nothing moves", labels="abcde")
    >>> made.size, made.labels, made.columns
    ((4, 6), ('a', 'b', 'c', 'd', 'e'), 2)
    """

    sheet: bytes = field(repr=False)
    size: tuple[int, int]
    labels: tuple[str, ...]
    columns: int
    alt: str
    milliseconds: int
    play: bool

    def _repr_html_(self) -> str:
        height, width = self.size
        data = {
            "frames": len(self.labels),
            "columns": self.columns,
            "height": height,
            "width": width,
            "milliseconds": self.milliseconds,
            "play": json.dumps(self.play),
            "labels": json.dumps(self.labels),
        }
        attributes = " ".join(f'data-{name}="{html.escape(str(value))}"' for name, value in data.items())
        image = base64.b64encode(self.sheet).decode()
        return (
            f'<div class="film" {attributes}><img src="data:image/png;base64,{image}" alt="{html.escape(self.alt)}" '
            f'style="max-width:100%"><script>{_PLAYER}</script></div>'
        )


def film(
    frames: Sequence[Array | Figure],
    *,
    alt: str,
    labels: Sequence[str] | None = None,
    seconds: float = 0.2,
    play: bool = True,
) -> Film:
    """Make a film, or pictures to choose from with a slider, out of figures or images.

    Parameters
    ----------
    frames : sequence of matplotlib.figure.Figure or uint8 arrays
        At least one, all of one size. Arrays are (H, W) in grey or (H, W, 3) in colour, a pixel a pixel.
    alt : str
        What is seen, in a sentence, for those who do not see it.
    labels : sequence of str, optional
        What stands beside the slider, a text a frame; without, the frame's number.
    seconds : float
        How long each frame is shown.
    play : bool
        Whether it plays by itself; if not, the reader moves the slider.

    Returns
    -------
    Film
        Shown by Jupyter when it is the last value of a cell. ``len(film.sheet)`` is its size in bytes; in a notebook it
        takes a third more.

    Raises
    ------
    TypeError
        If a frame is neither a figure nor a uint8 array.
    ValueError
        If there are no frames, they differ in size, or there is not one label a frame, or alt is empty.
    ModuleNotFoundError
        If Pillow is missing.

    Examples
    --------
    >>> import numpy as np
    >>> from attn_ref.film import film
    >>> growing = [np.tri(8, 8, k, dtype=np.uint8) * 255 for k in range(6)]
    >>> film(growing, alt="a white triangle that grows").size
    (8, 8)
    """
    with optional():
        from PIL import Image
    images = [_pixels(frame) for frame in frames]
    if not images:
        raise ValueError("frames is empty: expected at least one")
    if not alt.strip():
        raise ValueError("alt is empty: say in a sentence what is seen")
    sizes = {image.shape for image in images}
    if len(sizes) > 1:
        raise ValueError(f"frames have the sizes {sorted(size[:2] for size in sizes)}: expected one size for all")
    texts = tuple(str(i + 1) for i in range(len(images))) if labels is None else tuple(labels)
    if len(texts) != len(images):
        raise ValueError(f"labels has {len(texts)} texts for {len(images)} frames: expected one a frame")

    height, width = images[0].shape[:2]
    columns = math.ceil(math.sqrt(len(images) * height / width))  # the sheet is about square
    columns = min(max(columns, 1), len(images))
    rows = math.ceil(len(images) / columns)
    sheet = np.full((rows * height, columns * width, 3), 255, np.uint8)
    for i, image in enumerate(images):
        y, x = i // columns * height, i % columns * width
        sheet[y : y + height, x : x + width] = image
    content = io.BytesIO()
    Image.fromarray(sheet).quantize(256, dither=Image.Dither.NONE).save(content, "PNG", optimize=True)
    return Film(content.getvalue(), (height, width), texts, columns, alt, round(1000 * seconds), play)


def _pixels(frame: Any) -> Array:
    """A frame as uint8, (H, W, 3)."""
    if hasattr(frame, "savefig"):
        from matplotlib.backends.backend_agg import FigureCanvasAgg

        canvas: Any = FigureCanvasAgg(frame)
        canvas.draw()
        return np.asarray(canvas.buffer_rgba())[..., :3].copy()
    if not isinstance(frame, np.ndarray) or frame.dtype != np.uint8:
        kind = getattr(frame, "dtype", type(frame).__name__)
        raise TypeError(f"frames holds {kind}: expected Matplotlib figures or uint8 arrays")
    if frame.ndim == 2:
        return np.repeat(frame[..., None], 3, axis=2)
    if frame.ndim != 3 or frame.shape[2] != 3 or 0 in frame.shape:
        raise ValueError(f"a frame has shape {frame.shape}: expected (H, W) or (H, W, 3)")
    return frame
