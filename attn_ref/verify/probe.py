"""A black box sampler, made to answer a plain question: what is read of these images at these coordinates.

Its layouts are found first, by trying: a sampler that is given arrays of another layout refuses them, or returns
another shape. From then on images are lists of planes and coordinates are lists of points, whatever the box takes.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from attn_ref.conventions import CONVENTIONS
from attn_ref.verify.adapters import Adapter
from attn_ref.verify.mistakes.recipe import Floats

__all__ = ["Probe", "probes"]

_IMAGES = tuple(dict.fromkeys(c.image_layout for c in CONVENTIONS.values()))
_GRIDS = tuple(dict.fromkeys(c.grid_layout for c in CONVENTIONS.values()))


@dataclass(frozen=True)
class Probe:
    """A sampler with its layouts.

    Attributes
    ----------
    sampler : callable
        ``sampler(image, grid, **options)``.
    adapter : Adapter
        How arrays reach it.
    options : dict
        What it is given besides.
    axes : int
        Spatial axes, 2 or 3.
    dtype : str
        In which it is asked.
    image_layout, grid_layout : str
        As :class:`attn_ref.conventions.Convention` writes them.
    """

    sampler: Callable[..., Any]
    adapter: Adapter
    options: dict[str, Any]
    axes: int
    dtype: str
    image_layout: str
    grid_layout: str

    def read(self, planes: Floats, points: Floats) -> Floats:
        """Sample images.

        Parameters
        ----------
        planes : array, shape (K, *space)
            Images of one channel.
        points : array, shape (*out, d)
            Coordinates, in the box's own order and units.

        Returns
        -------
        array, shape (K, *out)
            What it reads.
        """
        if "C" not in self.image_layout:
            return np.stack([self._read(plane[None], points)[0] for plane in planes])
        return self._read(planes, points)

    def _read(self, planes: Floats, points: Floats) -> Floats:
        """All planes as channels of one image, twice: a batch of one hides mistakes."""
        batch = 2
        image: Any = np.stack([planes] * batch) if "N" in self.image_layout else planes
        if "C" not in self.image_layout:
            image = image[:, 0] if "N" in self.image_layout else image[0]
        elif self.image_layout.endswith("C"):
            image = np.moveaxis(image, 1 if "N" in self.image_layout else 0, -1)
        grid = points if self.grid_layout.endswith("2") else np.moveaxis(points, -1, 0)
        grid = np.stack([grid] * batch) if "N" in self.grid_layout else grid
        given = [self.adapter.give(np.ascontiguousarray(x, self.dtype), self.dtype) for x in (image, grid)]
        result, _ = self.adapter.take(self.sampler(*given, **self.options))
        result = np.asarray(result, np.float64)
        expected = self._shape(len(planes), points.shape[:-1], batch)
        if result.shape != expected:
            raise ValueError(f"the result has shape {result.shape}, expected {expected}")
        result = result[0] if "N" in self.image_layout else result
        if "C" not in self.image_layout:
            return result[None]
        return np.moveaxis(result, -1, 0) if self.image_layout.endswith("C") else result

    def _shape(self, channels: int, out: tuple[int, ...], batch: int) -> tuple[int, ...]:
        sizes = {"N": batch, "C": channels}
        letters = self.image_layout.replace("HW", "S")
        return tuple(n for letter in letters for n in (out if letter == "S" else (sizes[letter],)))


def probes(
    sampler: Callable[..., Any], adapter: Adapter, options: dict[str, Any], axes: int, dtypes: Sequence[str]
) -> tuple[list[Probe], str]:
    """Find the layouts and the dtype that a sampler takes.

    Returns
    -------
    list of Probe
        One for each pair of layouts that it took and answered in the right shape.
    str
        What it said to the most usual layouts if it took none.
    """
    shape, out = ((5, 7), (4, 6)) if axes == 2 else ((5, 7, 8), (4, 6, 9))
    planes = np.random.default_rng(0).standard_normal((3, *shape))
    refusal = ""
    for dtype in dtypes:
        found = []
        for image_layout, grid_layout in itertools.product(_IMAGES, _GRIDS):
            if ("N" in image_layout) != ("N" in grid_layout):
                continue
            probe = Probe(sampler, adapter, options, axes, dtype, image_layout, grid_layout)
            try:
                probe.read(planes, np.full((*out, axes), 0.1))
            except Exception as error:  # whatever a foreign function raises is an answer here
                if (image_layout, grid_layout) == ("NCHW", "NHW2"):
                    refusal = f"{type(error).__name__}: {error}".splitlines()[0]
                continue
            found.append(probe)
        if found:
            return found, ""
    return [], refusal
