"""Patches of textures, cut from photographs that come inside scikit-image.

=======  ==========================  =============================  ====================================
class    photograph                  of it                          licence, as its documentation states
=======  ==========================  =============================  ====================================
brick    ``skimage.data.brick``      all                            CC0, from CC0Textures
grass    ``skimage.data.grass``      all                            CC0, from DeviantArt (linolafett)
gravel   ``skimage.data.gravel``     all                            CC0, from CC0Textures
wood     ``skimage.data.coffee``     the table at the right         CC0 by the photographer, Rachel Michetti
lawn     ``skimage.data.camera``     the lawn at the lower right    CC0 by the photographer, Lav Varshney
=======  ==========================  =============================  ====================================

These files are part of scikit-image's wheel; its functions find them there and download nothing.

Training and test patches come from *apart*: each texture is cut once along its longer side (brick, grass and gravel
between columns), the first two thirds for training, the last third for testing, and a patch lies in one of them
entirely. No pixel is in both.

Every patch is normalised by itself to mean 0 and standard deviation 1, so that brightness and contrast tell nothing,
neither of a class as a whole nor of one patch: what is left is structure. A patch whose pixels are all equal is 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from attn_ref._extras import optional
from attn_ref.backend import Array
from attn_ref.datasets.labelled import LabelledImages, check_count, generator
from attn_ref.validation import choice

__all__ = ["TEXTURES", "Texture", "TexturePatches", "texture_patches"]


@dataclass(frozen=True)
class Texture:
    """Where a texture is.

    Attributes
    ----------
    photograph : str
        The function of ``skimage.data``.
    box : tuple of int
        (top, left, bottom, right) of the texture in it, in pixels; bottom and right are beyond it.
    """

    photograph: str
    box: tuple[int, int, int, int]

    def part(self, name: str) -> tuple[int, int, int, int]:
        """Return the box of the part of a texture that is for "train" or for "test"."""
        top, left, bottom, right = self.box
        if bottom - top > right - left:
            cut = top + (bottom - top) * 2 // 3
            return (top, left, cut, right) if name == "train" else (cut, left, bottom, right)
        cut = left + (right - left) * 2 // 3
        return (top, left, bottom, cut) if name == "train" else (top, cut, bottom, right)


TEXTURES = {
    "brick": Texture("brick", (0, 0, 512, 512)),
    "grass": Texture("grass", (0, 0, 512, 512)),
    "gravel": Texture("gravel", (0, 0, 512, 512)),
    "wood": Texture("coffee", (225, 485, 400, 600)),
    "lawn": Texture("camera", (310, 412, 512, 512)),
}
"""The classes, in the order of their labels."""

_LUMA = np.array([0.299, 0.587, 0.114])
"""Grey of red, green and blue: ITU-R BT.601."""


@dataclass(frozen=True)
class TexturePatches(LabelledImages):
    """Patches of textures.

    Attributes
    ----------
    images : array, shape (N, 1, size, size), float32
        Grey patches, each of mean 0 and standard deviation 1.
    labels : array, shape (N,), int64
        The texture: its place in TEXTURES.
    corners : array, shape (N, 2), int64
        (row, column) of each patch's first pixel in its photograph.

    Examples
    --------
    >>> patches = texture_patches(2, 0)
    >>> len(patches), patches.corners.shape
    (10, (10, 2))
    """

    corners: Array


def texture_patches(
    n_per_class: int, rng: np.random.Generator | int, *, part: str = "train", size: int = 32
) -> TexturePatches:
    """Cut patches from photographs of textures, at random places.

    Parameters
    ----------
    n_per_class : int
        Patches of each of the five textures.
    rng : numpy.random.Generator or int
        Draws the places; a seed stands for a new generator.
    part : {"train", "test"}
        From which part of each photograph: they do not overlap.
    size : int
        Side of a patch in pixels, 2 to 59: no texture has more room in its test part.

    Returns
    -------
    TexturePatches
        ``images``, ``labels`` and ``corners``, ordered by class.

    Raises
    ------
    ModuleNotFoundError
        If scikit-image is missing; the message says which extra to install.
    TypeError
        If a count is not an integer, part not a string, or rng neither a generator nor a seed.
    ValueError
        If a count is too small, the patch larger than the smallest part, or the part unknown.

    Examples
    --------
    >>> patches = texture_patches(2, 0, size=24)
    >>> patches.images.shape
    (10, 1, 24, 24)
    """
    n, size, rng = check_count("n_per_class", n_per_class), check_count("size", size, 2), generator(rng)
    part = choice("part", part, ("train", "test"))
    boxes = np.array([texture.part(part) for texture in TEXTURES.values()])
    tests = np.array([texture.part("test") for texture in TEXTURES.values()])
    least = int((tests[:, 2:] - tests[:, :2]).min())
    if size > least:
        raise ValueError(f"size={size} is too large: expected at most {least}, the room in the smallest test part")
    corners = rng.integers(boxes[:, None, :2], boxes[:, None, 2:] - size, (len(boxes), n, 2), endpoint=True)
    patches = [
        np.lib.stride_tricks.sliding_window_view(_grey(texture.photograph), (size, size))[tuple(where.T)]
        for texture, where in zip(TEXTURES.values(), corners, strict=True)
    ]
    images = np.concatenate(patches)  # (5n, size, size)
    images = images - images.mean(axis=(1, 2), keepdims=True)
    deviation = images.std(axis=(1, 2), keepdims=True)
    images /= np.where(deviation > 0, deviation, 1)
    labels = np.repeat(np.arange(len(boxes)), n)
    return TexturePatches(images.astype(np.float32)[:, None], labels, corners.reshape(-1, 2))


@cache
def _grey(photograph: str) -> Array:
    """A photograph in grey, (H, W), float64, 0 to 255."""
    with optional():
        import skimage.data
    pixels = np.asarray(getattr(skimage.data, photograph)(), np.float64)
    return pixels @ _LUMA if pixels.ndim == 3 else pixels
