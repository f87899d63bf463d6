"""In which words a candidate is spoken to: the core's, or those of a convention.

A language names the operation's variants, turns a drawn call of the core into the candidate's own arrays and options,
and bounds the results of such a call. For a convention the arrays are first written in its layout and coordinates, and
rounded there; the bounds are those of the core at what these numbers mean, brought back.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from attn_ref.backend import Array
from attn_ref.conventions import Convention, convention, convert_grid
from attn_ref.conventions.adapters import sample_call
from attn_ref.conventions.pixel_maps import PIXEL_MAPS
from attn_ref.ops.coordinates import to_pixels
from attn_ref.registry import OPERATIONS, Call, Operation
from attn_ref.verify.bounds import Interval, Key, intervals
from attn_ref.verify.failures import Case

__all__ = ["Language", "Spoken", "language_of"]

Options = dict[str, Any]

_NEAR = 1e-3
"""In pixels, and in parts of the coordinate: more than any rounding but that of half formats."""


class Language:
    """The core's own words.

    Parameters
    ----------
    operation : Operation
        What is spoken of.
    """

    def __init__(self, operation: Operation) -> None:
        self.operation = operation

    @property
    def variants(self) -> list[Options]:
        """The options to go through, in the candidate's words, with what is for the strategies alone."""
        variants = [dict(variant) for variant in self.operation.variants]
        if not self.operation.has_layouts:
            return variants
        return [{**variant, "channels_last": last} for variant in variants for last in (False, True)]

    def core(self, variant: Options) -> Options:
        """A variant as the strategies take it."""
        return {name: value for name, value in variant.items() if name != "channels_last"}

    def has_words_for(self, call: Call, variant: Options) -> bool:  # noqa: ARG002  one signature for both
        """Whether a call of the core can be written at all."""
        return True

    def write(self, call: Call, variant: Options, dtype: str) -> Call:
        """A drawn call of the core, in float64, as the candidate gets it."""
        inputs = tuple(rounded(x, dtype) for x in call.inputs)
        if not self.operation.has_layouts:
            return Call(inputs, call.options)
        last = variant.get("channels_last", False)
        image = np.ascontiguousarray(np.moveaxis(inputs[0], 1, -1)) if last else inputs[0]
        return Call((image, *inputs[1:]), {**call.options, "channels_last": last})

    def output(self, call: Call) -> Array:
        """What the reference gives, in float64."""
        wide = tuple(np.asarray(x, np.float64) for x in call.inputs)
        return np.asarray(self.operation.forward(wide, call.options))

    def intervals(self, case: Case, functions: Sequence[str], **reading: bool) -> dict[Key, Interval]:
        """Bounds of the results of a case."""
        return intervals(
            self.operation, case.call, case.grad_output, case.tangents, dtype=case.dtype, functions=functions, **reading
        )

    def near_kinks(self, case: Case) -> bool:
        """Whether a point of a sampler is near a whole or a half pixel, or so far away that it cannot be told."""
        image, grid = case.call.inputs
        space = image.shape[1:-1] if case.call.options.get("channels_last") else image.shape[2:]
        for a, size in enumerate(reversed(space)):
            p = to_pixels(np, np.asarray(grid[..., a], np.float64), size, case.call.options["align_corners"])
            if (np.abs(2 * p - np.rint(2 * p)) < _NEAR + _NEAR * np.abs(p)).any():
                return True
        return False

    @property
    def linear(self) -> bool:
        """Whether derivatives leave the inputs out of their signatures."""
        return self.operation.linear


@dataclass(frozen=True)
class _Sampling:
    """A call of a convention's sampler, as one of the core's."""

    call: Call
    back: Any


class Spoken(Language):
    """The words of a convention's sampler.

    Parameters
    ----------
    system : Convention
        The convention.
    """

    def __init__(self, system: Convention) -> None:
        super().__init__(OPERATIONS["grid_sample"])
        self.system = system

    @property
    def variants(self) -> list[Options]:
        """Modes, paddings and alignments that the system has, in its words."""
        alignments: Sequence[bool | None] = list(self.system.alignments) or [None]
        every = itertools.product(self.system.axes, self.system.modes, self.system.paddings, alignments)
        return [
            {"ndim": d, "mode": m, "padding_mode": p, **({} if a is None else {"align_corners": a})}
            for d, m, p, a in every
        ]

    def core(self, variant: Options) -> Options:
        """The variant of the core whose cells are those of the system's."""
        chosen = self.system.aligned(variant.get("align_corners"))
        padding, about_corners = self.system.paddings[variant["padding_mode"]]
        aligned = PIXEL_MAPS[chosen.pixel_map].align_corners
        aligned = bool(about_corners) if aligned is None else aligned
        return {
            "ndim": variant["ndim"],
            "mode": self.system.modes[variant["mode"]],
            "padding_mode": padding,
            "align_corners": aligned,
        }

    def has_words_for(self, call: Call, variant: Options) -> bool:
        """Whether no axis is so short that all coordinates of the system are the same pixel."""
        pixel_map = PIXEL_MAPS[self.system.aligned(variant.get("align_corners")).pixel_map]
        return all(pixel_map.scale(size) != 0 for size in call.inputs[0].shape[2:])

    def write(self, call: Call, variant: Options, dtype: str) -> Call:
        """Write an image and a grid in the system's layouts, coordinates and order."""
        image, grid = call.inputs
        chosen = self.system.aligned(variant.get("align_corners"))
        core = convention("pytorch").aligned(call.options["align_corners"])
        grid = grid if "N" in chosen.grid_layout else grid[:1]
        grid = convert_grid(grid, core, chosen, image.shape[2:])
        layout = chosen.image_layout
        image = image if "N" in layout else image[0]
        if "C" not in layout:
            image = image[:, 0] if "N" in layout else image[0]
        elif layout.endswith("C"):
            image = np.moveaxis(image, 1 if "N" in layout else 0, -1)
        options = {name: value for name, value in variant.items() if name != "ndim"}
        return Call((rounded(np.ascontiguousarray(image), dtype), rounded(np.ascontiguousarray(grid), dtype)), options)

    def near_kinks(self, case: Case) -> bool:  # noqa: ARG002  one signature for both
        """Not looked for: points of conventions are drawn inside cells."""
        return False

    def output(self, call: Call) -> Array:
        """What the system gives, in float64."""
        wide = tuple(np.asarray(x, np.float64) for x in call.inputs)
        return np.asarray(self.system.grid_sample(*wide, **call.options))

    def intervals(self, case: Case, functions: Sequence[str], **reading: bool) -> dict[Key, Interval]:
        """Bounds of the core at what the system's numbers mean, in the system's layouts and units."""
        chosen = self.system.aligned(case.call.options.get("align_corners"))
        image, grid = (np.asarray(x, np.float64) for x in case.call.inputs)
        arrays = {"input": image, "grid": grid, "grad_output": np.asarray(case.grad_output, np.float64)}
        call = sample_call(chosen, arrays, case.call.options.get("mode"), case.call.options.get("padding_mode"))
        core = Call((call.input, call.grid), call.options)
        dY = call.image("grad_output")
        nothing = (np.zeros_like(call.input), np.zeros_like(call.grid))
        wanted = [name for name in functions if name in ("forward", "backward")]
        found = intervals(self.operation, core, dY, nothing, dtype=case.dtype, functions=wanted, **reading)

        def back(array: Any, of: str | None) -> Any:
            return call.finish_grid(array) if of == "grid" else call.finish_image(array)

        ends = {key: [back(end, key[1]) for end in interval] for key, interval in found.items() if key[0] in wanted}
        return {key: Interval(np.minimum(a, b), np.maximum(a, b)) for key, (a, b) in ends.items()}


def language_of(operation: Operation, system: str | Convention | None) -> Language:
    """Return the language of a candidate.

    Raises
    ------
    ValueError
        If a convention is named for an operation that it does not speak of.
    """
    if system is None:
        return Language(operation)
    chosen = convention(system) if isinstance(system, str) else system
    if operation.name != "grid_sample":
        raise ValueError(
            f"convention={chosen.name!r} speaks of grid_sample, not of {operation.name}: leave it out, or compare with "
            f"attn_ref.convention({chosen.name!r}) by hand"
        )
    return Spoken(chosen)


def rounded(array: Array, dtype: str) -> Array:
    """Round numbers to a dtype, larger ones to its largest; to bfloat16 as float32 numbers, ties to even."""
    if dtype != "bfloat16":
        largest = float(np.finfo(dtype).max)
        return np.asarray(np.where(np.isinf(array), array, np.clip(array, -largest, largest)), dtype)
    single = np.asarray(array, np.float32)
    bits = single.view(np.uint32)
    nearest = (bits + 0x7FFF + ((bits >> 16) & 1)) & np.uint32(0xFFFF0000)
    return np.where(np.isfinite(single), nearest.view(np.float32), single)
