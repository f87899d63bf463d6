"""Photos as arrays and back, with Pillow: what the command line reads and writes.

Whatever a file holds becomes one of a few kinds of picture, named as Pillow names them:

=========  ======================================================  =======================
kind       read from                                               stored as
=========  ======================================================  =======================
L, RGB     grey, bilevel, palette, RGB, CMYK, YCbCr, ...           8 bits
LA, RGBA   the same with an alpha channel or a transparent colour  8 bits
I;16       16-bit grey                                             16 bits
I          32-bit integers that do not fit into 16 bits            32 bits, signed
F          floating-point grey                                     float32
=========  ======================================================  =======================

Colours are *premultiplied* by alpha on the way in and divided by it on the way out. Interpolation is an average, and
only so does a transparent pixel, whatever colour it hides, add nothing to the average of its neighbours. Values are
sampled as they are stored, without undoing the gamma curve.
"""

from __future__ import annotations

import difflib
import io
import os
import warnings
from dataclasses import dataclass, replace
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import numpy as np

from attn_ref._files import one_line
from attn_ref.backend import Array

__all__ = [
    "EXAMPLE",
    "PIXEL_LIMIT",
    "Photo",
    "check_apart",
    "check_output_size",
    "check_place",
    "check_target",
    "encode",
    "read_photo",
]

PIXEL_LIMIT = 2**26
"""Pixels in the largest photo that is read or made: 67 million. Each takes 8 bytes a channel, several times over."""

EXAMPLE: Traversable = resources.files("attn_ref") / "data" / "chelsea.jpg"
"""The small photograph that comes with the package."""

_KINDS: dict[str, tuple[float, float, type[np.generic]]] = {
    "L": (0, 255, np.uint8),
    "LA": (0, 255, np.uint8),
    "RGB": (0, 255, np.uint8),
    "RGBA": (0, 255, np.uint8),
    "I;16": (0, 65535, np.uint16),
    "I": (-(2**31), 2**31 - 1, np.int32),
    "F": (-float(np.finfo(np.float32).max), float(np.finfo(np.float32).max), np.float32),
}
"""Least and largest value, and the dtype in which each kind is stored."""

_SAVE: dict[str, dict[str, Any]] = {"JPEG": {"quality": 95}, "WEBP": {"lossless": True}, "TIFF": {"compression": None}}
"""What a format is told beyond its defaults."""

_USUAL = (".png", ".jpg", ".webp", ".tif", ".gif", ".bmp")
"""Suffixes to suggest."""


@dataclass(frozen=True)
class Photo:
    """A picture ready to be sampled.

    Attributes
    ----------
    values : array, shape (H, W, C), float64
        The values as stored (0 to 255 for 8 bits), colours premultiplied by alpha if there is any.
    kind : str
        One of the kinds in the table at the head of this module.
    profile : bytes or None
        The ICC colour profile.
    """

    values: Array
    kind: str
    profile: bytes | None = None

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) in pixels."""
        return self.values.shape[0], self.values.shape[1]

    @property
    def lossless_suffix(self) -> str:
        """A suffix whose format holds this kind of picture exactly."""
        return ".tif" if self.kind in ("I", "F") else ".png"

    def replace(self, values: Array) -> Photo:
        """Return a picture of the same kind with other values, of shape (H', W', C)."""
        return replace(self, values=values)

    def stored(self) -> Array:
        """Return the values as a file stores them: not premultiplied, clipped, and rounded to even.

        Returns
        -------
        array, shape (H, W) or (H, W, C)
            uint8, uint16, int32 or float32, by kind. Colours are 0 where alpha is.
        """
        least, largest, dtype = _KINDS[self.kind]
        values = self.values
        if self.kind.endswith("A"):
            alpha = values[..., -1:]
            shown = np.rint(alpha) > 0
            colours = np.where(shown, values[..., :-1] / np.where(shown, alpha, 1) * 255, 0)
            values = np.concatenate([colours, alpha], axis=2)
        values = np.clip(values, least, largest)
        if self.kind != "F":
            values = np.rint(values)
        stored = values.astype(dtype)
        return stored[..., 0] if stored.shape[2] == 1 else stored

    def shown(self) -> Array:
        """Return the values as a figure shows them.

        Returns
        -------
        array, shape (H, W, 3) or (H, W, 4), float64
            Colours from 0 to 1; grey is repeated. Kinds I and F are stretched from their least value to their largest.
        """
        stored = np.atleast_3d(self.stored()).astype(np.float64)
        least, largest, _ = _KINDS[self.kind]
        if self.kind in ("I", "F"):
            finite = stored[np.isfinite(stored)]
            least, largest = (finite.min(), finite.max()) if finite.size else (0, 1)
        stored = np.clip((np.nan_to_num(stored) - least) / (largest - least or 1), 0, 1)
        return stored if stored.shape[2] >= 3 else stored[..., [0, 0, 0, *range(1, stored.shape[2])]]


def read_photo(path: Path | Traversable) -> Photo:
    """Read a picture, upright: the first frame, turned as its EXIF orientation says.

    Parameters
    ----------
    path : pathlib.Path or importlib.resources.abc.Traversable
        The file; any format that Pillow reads.

    Returns
    -------
    Photo
        Its values and kind.

    Raises
    ------
    ValueError
        If there is no such file, it is not a picture, it is broken, or it has more than PIXEL_LIMIT pixels. The message
        is one line and names the file.
    ModuleNotFoundError
        If Pillow is missing.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    if path.is_dir():
        raise ValueError(f"{path} is a folder: give a picture in it")
    if not path.is_file():
        raise ValueError(f"{path} does not exist")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of oddities that it then copes with
        try:
            with path.open("rb") as file, Image.open(file) as image:
                _check_pixels(f"{path} has", image.height, image.width)
                upright: Image.Image = ImageOps.exif_transpose(image)
                return _photo(upright)
        except UnidentifiedImageError:
            raise ValueError(f"{path} is not a picture of a format that Pillow reads") from None
        except Image.DecompressionBombError as error:
            raise ValueError(f"{path} is too large: {error}") from None
        except _TooLargeError:
            raise
        except PermissionError:
            raise ValueError(f"{path} cannot be read: permission denied") from None
        except MemoryError:
            raise ValueError(f"{path} does not fit into memory") from None
        except Exception as error:  # decoders raise whatever their bytes lead them to
            raise ValueError(f"{path} cannot be decoded, it is broken or cut short: {one_line(error)}") from None


def check_target(path: Path) -> None:
    """Check, before any work, that a picture can be written to a path.

    Parameters
    ----------
    path : pathlib.Path
        Where it shall go. The suffix says which format.

    Raises
    ------
    ValueError
        If the suffix is of no format that Pillow writes, the folder does not exist, or something other than a file is
        in the way.
    ModuleNotFoundError
        If Pillow is missing.
    """
    _format(path)
    check_place(path)


def check_place(path: Path) -> None:
    """Check that a file could stand at a path, whatever its format.

    Raises
    ------
    ValueError
        If the folder does not exist, or something other than a file is in the way.
    """
    if path.exists() and not path.is_file():
        raise ValueError(f"{path} is not a file: give another name")
    if not path.parent.is_dir():
        raise ValueError(f"the folder {path.parent} does not exist")


def check_apart(photo: Path | None, output: Path, figure: Path | None, *, may_replace: bool) -> None:
    """Check that what is written replaces neither the photo that is read nor one another.

    Parameters
    ----------
    photo, output, figure : pathlib.Path or None
        What is read, and what is written; None if absent.
    may_replace : bool
        Whether the output may replace the photo.

    Raises
    ------
    ValueError
        If two of them are one file.
    """
    if figure is not None and _same(output, figure):
        raise ValueError(f"the result and the figure would both be written to {output}")
    if photo is None:
        return
    if not may_replace and _same(photo, output):
        raise ValueError(f"{output} is the photo itself: give another name, or --force to replace it")
    if figure is not None and _same(photo, figure):
        raise ValueError(f"{figure} is the photo itself: give the figure another name")


def check_output_size(height: int, width: int) -> None:
    """Check the size of a picture that is to be made.

    Raises
    ------
    ValueError
        If a side is below 1, or there are more than PIXEL_LIMIT pixels.
    """
    if min(height, width) < 1:
        raise ValueError(f"the output must have at least one pixel each way, got {height} × {width}")
    _check_pixels("the output would have", height, width)


def encode(photo: Photo, path: Path) -> bytes:
    """Encode a picture in the format that the suffix of a path names.

    Parameters
    ----------
    photo : Photo
        The picture. Formats with losses are told to keep them small.
    path : pathlib.Path
        Its suffix is used; nothing is written.

    Returns
    -------
    bytes
        The file's content.

    Raises
    ------
    ValueError
        If the format is unknown, or cannot hold this kind of picture.
    ModuleNotFoundError
        If Pillow is missing.
    """
    from PIL import Image

    name = _format(path)
    mend = f"write a {photo.lossless_suffix}"
    if photo.kind == "I" and name != "TIFF":  # others would keep the low bits only
        raise ValueError(f"{path.name}: {name} cannot hold 32-bit integers; {mend}")
    content = io.BytesIO()
    try:
        extras = {"icc_profile": photo.profile} if photo.profile else {}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            Image.fromarray(photo.stored()).save(content, format=name, **_SAVE.get(name, {}), **extras)
    except Exception as error:  # as in read_photo
        raise ValueError(f"{path.name} cannot be written: {one_line(error)}; {mend}") from None
    return content.getvalue()


class _TooLargeError(ValueError):
    """A picture has too many pixels."""


def _check_pixels(subject: str, height: int, width: int) -> None:
    if height * width > PIXEL_LIMIT:
        raise _TooLargeError(
            f"{subject} {height} × {width} pixels, {height * width / 1e6:.0f} million: the limit is "
            f"{PIXEL_LIMIT / 1e6:.0f} million"
        )


def _photo(image: Any) -> Photo:
    """From a Pillow image."""
    mode: str = image.mode
    if mode == "I" or mode.startswith("I;"):
        values = np.asarray(image)
        kind = "I;16" if values.min() >= 0 and values.max() <= 65535 else "I"
        return Photo(values[..., None].astype(np.float64), kind)
    if mode == "F":
        return Photo(np.asarray(image)[..., None].astype(np.float64), "F")
    grey = mode in ("1", "L", "LA", "La")
    kind = ("LA" if grey else "RGBA") if image.has_transparency_data else ("L" if grey else "RGB")
    own_colours = grey or mode.startswith(("P", "RGB"))  # the profile of others describes what is converted away
    values = np.asarray(image.convert(kind)).astype(np.float64).reshape(image.height, image.width, -1)
    if kind.endswith("A"):
        values[..., :-1] *= values[..., -1:] / 255
    return Photo(values, kind, image.info.get("icc_profile") if own_colours else None)


def _same(a: Path, b: Path) -> bool:
    """Whether two paths are one file, or would be."""
    if a.exists() and b.exists():
        return a.samefile(b)
    return os.path.normcase(os.path.realpath(a)) == os.path.normcase(os.path.realpath(b))


def _format(path: Path) -> str:
    """The name of the format of a suffix."""
    from PIL import Image

    suffix = path.suffix.lower()
    known: dict[str, str] = Image.registered_extensions()
    writable = {ending: name for ending, name in known.items() if name in Image.SAVE}
    if suffix not in writable:
        near = difflib.get_close_matches(suffix, _USUAL, 1) or difflib.get_close_matches(suffix, writable, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"use one of {', '.join(_USUAL)}"
        if not suffix:
            raise ValueError(f"{path} has no suffix that says which format to write: {hint}")
        raise ValueError(f"{path}: the suffix {path.suffix!r} is of no format that Pillow writes; {hint}")
    return writable[suffix]
