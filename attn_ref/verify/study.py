"""What is asked of a black box sampler, and what its answers tell.

Images whose values are pixel coordinates tell where a point is read. Then images of random numbers are read at chosen
points, inside, at ties and outside, and compared with what each known interpolation and padding gives there; between
−1 and 1 two reflections, and off ties two ways to round, cannot be told apart.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import ndimage

from attn_ref.conventions import PIXEL_MAPS, PixelMap
from attn_ref.ops.interpolation import keys
from attn_ref.verify.bounds import Interval
from attn_ref.verify.mistakes.recipe import Floats, Point
from attn_ref.verify.mistakes.sampler import SAMPLER
from attn_ref.verify.mistakes.sampler_taps import Sampler
from attn_ref.verify.probe import Probe

__all__ = ["Study"]

_SIZES = {2: ((9, 17), (8, 16), (10, 18)), 3: ((9, 17, 33), (8, 16, 32), (10, 18, 34))}
"""Images whose pixels are hit exactly by aligned corners, by edges, and by (S − 2)/2."""


@dataclass(frozen=True)
class _Map:
    """Where coordinates point: component a of a point is read along ``place[a]``, x being 0, by a pixel map."""

    place: tuple[int, ...]
    map: PixelMap

    def coordinates(self, pixels: Floats, sizes: tuple[int, ...]) -> Floats:
        """Box coordinates of pixels (*out, d), x first."""
        out = pixels.shape[:-1]
        parts = []
        for place in self.place:
            index = np.indices(out)[len(out) - 1 - place] if self.map.flow else 0
            parts.append((pixels[..., place] - self.map.offset - index) / self.map.scale(sizes[place]) - self.map.shift)
        return np.stack(parts, axis=-1)


class Study:
    """What one probe tells."""

    def __init__(self, probe: Probe) -> None:
        self.probe = probe
        self.axes = probe.axes
        self.unknown: list[str] = []
        self.exact = {"float64": 1e-9, "float32": 2e-4}.get(probe.dtype, 5e-2)

    def findings(self) -> dict[str, Any]:
        """Ask everything.

        Returns
        -------
        dict
            Fields of :class:`attn_ref.verify.identification.Identification`; what could not be told is left out, and
            why is in ``unknown``.
        """
        layouts = {"image_layout": self.probe.image_layout, "grid_layout": self.probe.grid_layout}
        with np.errstate(all="ignore"):
            found = {**layouts, "precision": self.probe.dtype, **self._all()}
        return {**found, "unknown": tuple(self.unknown)}

    def _all(self) -> dict[str, Any]:
        where = self._map()
        if where is None:
            return {}
        name, self.where = where
        orders = {tuple(range(self.axes)): "x first", tuple(range(self.axes))[::-1]: "y first"}
        order = orders.get(self.where.place, ", ".join("xyz"[a] for a in self.where.place))
        self.size = next(size for size in _SIZES[self.axes] if _is_exact(self.where.map, size))
        found: dict[str, Any] = {"order": order, "pixel_map": name, "nan": self._nan(), "precision": self._precision()}
        spec, mode, coefficient = self._mode()
        if spec is None:
            self.unknown.append("the interpolation: its values inside the image are those of none that is known")
            return found
        rounding = self._rounding(spec) if mode == "nearest" else None
        padding, gate = self._padding(replace(spec, rounding=rounding or "even"), mode)
        return {
            **found,
            "mode": mode,
            "cubic_coefficient": coefficient,
            "rounding": self._tie(rounding, padding),
            "padding": padding,
            "gate": gate,
        }

    # Where

    def _ramps(self, space: tuple[int, ...], points: Floats) -> Floats:
        """Pixel coordinates that are read, (d, *out), x first; NaN outside. Right for weights that sum to 1."""
        mesh = np.indices(space)[::-1].astype(np.float64)  # x first
        read = self.probe.read(np.concatenate([mesh + 1, np.ones((1, *space))]), points)
        return np.where(np.abs(read[-1] - 1) < 1e-3, read[:-1] - 1, np.nan)

    def _map(self) -> tuple[str, _Map] | None:
        """Order, and the pixel map that agrees on images of several sizes."""
        spans = {"normalised": np.linspace(-0.35, 0.35, 15), "pixels": np.linspace(2.15, 3.9, 15), "flow": None}
        for kind in spans:
            seen = [self._moved(space, spans[kind]) for space in _SIZES[self.axes]]
            if any(one is None for one in seen):
                continue
            places = {one[0] for one in seen if one is not None}
            if len(places) != 1:
                continue
            measured = [one[1] for one in seen if one is not None]
            place = places.pop()
            near = []
            for name, pixel_map in PIXEL_MAPS.items():
                off = [
                    self._off(pixel_map, m, space, place) for m, space in zip(measured, _SIZES[self.axes], strict=True)
                ]
                if max(off) < 0.51:
                    near.append((round(max(off), 3), name))
            if near:
                name = min(near)[1]
                return name, _Map(place, PIXEL_MAPS[name])
            if kind == "normalised":
                fits = [_line(*m[0]) for m in measured]
                self.unknown.append(
                    "the pixel map: along x it is about "
                    + ", ".join(
                        f"p = {a:.4g} g + {b:.4g} for S = {s[-1]}"
                        for (a, b), s in zip(fits, _SIZES[self.axes], strict=True)
                    )
                )
                return None
        self.unknown.append("where coordinates point: no coordinate moved what is read along one axis alone")
        return None

    def _moved(self, space: tuple[int, ...], values: Floats | None) -> Any:
        """Move one component at a time: which axis it moves along, and (coordinates, pixels, indices) of each axis.

        None if a component moves no axis, or several. Without values the coordinates are taken for a flow, relative to
        the output's own pixels.
        """
        d, flow = self.axes, values is None
        values = np.linspace(0.15, 1.4, 6) if values is None else values
        out = (3,) * (d - 1) + (len(values),)
        place: list[int] = []
        measured = {}
        middle = float(values.mean()) + 0.03
        still = self._ramps(space, np.full((*out, d), middle))
        for a in range(d):
            points = np.full((*out, d), middle)
            points[..., a] = values
            read = self._ramps(space, points)
            inside = [np.isfinite(p) & (p > 0.2) & (p < s - 1.2) for p, s in zip(read, space[::-1], strict=True)]
            changed = [i for i in range(d) if _extent((read[i] - still[i])[inside[i]]) > 0.6]
            if len(changed) != 1 or inside[changed[0]].sum() < 4:
                return None
            axis = changed[0]
            index = np.indices(out)[d - 1 - axis]
            if flow != (_extent(still[axis][inside[axis]]) > 1e-3):
                return None
            place.append(axis)
            measured[axis] = tuple(array[inside[axis]] for array in (points[..., a], read[axis], index))
        return (tuple(place), measured) if len(measured) == d else None

    def _off(self, pixel_map: PixelMap, measured: Any, space: tuple[int, ...], place: tuple[int, ...]) -> float:
        """How far a map is from what was measured, in pixels, plus a penalty for rounding it does not explain."""
        worst = 0.0
        for axis in place:
            g, p, index = measured[axis]
            worst = max(worst, float(np.abs(pixel_map.pixels(g, space[self.axes - 1 - axis], index) - p).max()))
        return worst

    # How

    def _predict(
        self, spec: Sampler, mode: str, padding: str, image: Floats, pixels: Floats, aligned: bool = True
    ) -> Interval:
        """Interval of what a specification reads at pixels (*out, d)."""
        core = _Map(tuple(range(self.axes)), PIXEL_MAPS["AC1" if aligned else "AC0"])
        grid = core.coordinates(pixels, self.size[::-1])
        options = {"mode": mode, "padding_mode": padding, "align_corners": aligned}
        point = Point((image[None], grid[None]), options, self.probe.dtype, sharp=True)
        found = SAMPLER.evaluate(spec, "forward", point)[None]
        return Interval(found.low[0], found.high[0])

    def _read(self, image: Floats, pixels: Floats) -> Floats:
        return self.probe.read(image, self.where.coordinates(pixels, self.size[::-1]))

    def _image(self, seed: int) -> Floats:
        return np.random.default_rng(seed).integers(-40, 41, (2, *self.size)) / 8

    def _inside(self, seed: int) -> Floats:
        """Points inside the image, off whole and half pixels."""
        rng = np.random.default_rng(seed)
        out = (4, 6) if self.axes == 2 else (2, 3, 4)
        cells = np.stack([rng.integers(1, s - 3, out) for s in self.size[::-1]], axis=-1)
        fractions: Floats = rng.choice([0.15, 0.2, 0.3, 0.4, 0.6, 0.7, 0.85], cells.shape)
        return cells + fractions

    def _agrees(self, got: Floats, interval: Interval) -> bool:
        middle = (interval.low + interval.high) / 2
        near = np.abs(got - middle) <= self.exact * (1 + np.abs(middle)) + (interval.high - interval.low)
        return bool((near | (np.isnan(got) & np.isnan(middle))).all())

    def _mode(self) -> tuple[Sampler | None, str, float | None]:
        """The interpolation that agrees inside the image."""
        image, pixels = self._image(1), self._inside(2)
        got = self._read(image, pixels)
        for mode in ("bilinear", "nearest"):
            if self._agrees(got, self._predict(Sampler(), mode, "border", image, pixels)):
                return Sampler(), mode, None
        for rounding in ("floor", "ceil"):
            spec = Sampler(rounding=rounding)
            if self._agrees(got, self._predict(spec, "nearest", "border", image, pixels)):
                self.unknown.append(f"whether nearest takes the {rounding} or the pixel map is half a pixel off")
                return spec, "nearest", None
        choices = dict.fromkeys((-0.75, -0.5, -1.0, 0.0, round(self._coefficient(image, pixels), 6)))
        for A in choices:
            spec = Sampler(kernel=keys(A))
            if self._agrees(got, self._predict(spec, "bicubic", "border", image, pixels)):
                return spec, "bicubic", A
        if self._is_spline(image, pixels, got):
            return Sampler(), "cubic B-spline", None
        return None, "", None

    def _coefficient(self, image: Floats, pixels: Floats) -> float:
        """A, from points on a row of whole pixels, along which the value is linear in A."""
        level = pixels.copy()
        level[..., 1:] = np.round(level[..., 1:])
        read = self._read(image, level)
        ends = [self._predict(Sampler(kernel=keys(A)), "bicubic", "border", image, level) for A in (0.0, -1.0)]
        zero, one = ((e.low + e.high) / 2 for e in ends)
        change = zero - one
        return float((change * (read - zero)).sum() / (change**2).sum())

    def _is_spline(self, image: Floats, pixels: Floats, got: Floats) -> bool:
        index = np.moveaxis(pixels[..., ::-1], -1, 0)
        for mode in ("mirror", "reflect", "nearest", "grid-wrap", "constant", "grid-constant"):
            read = np.stack([ndimage.map_coordinates(x, index, order=3, mode=mode) for x in image])
            if np.abs(read - got).max() < 1e-6:
                return True
        return False

    def _rounding(self, spec: Sampler) -> str | None:
        """How ties are broken, at points between pixels along each axis."""
        if spec.rounding != "even":
            return spec.rounding
        for size in [size for size in _SIZES[self.axes] if _is_exact(self.where.map, size)]:
            self.size = size
            image, steps = self._image(3), np.arange(min(self.size) - 1) + 0.5
            pixels = np.tile(steps[:, None], (*[1] * (self.axes - 1), 1, self.axes))
            got = self._read(image, pixels)
            for rounding in ("even", "half up", "half down", "trunc", "ceil"):
                spec = replace(spec, rounding=rounding)
                if self._agrees(got, self._predict(spec, "nearest", "border", image, pixels, self.size[0] % 2 == 1)):
                    return rounding
        self.unknown.append("how ties are broken: not as any rounding of the coordinate does it")
        return None

    def _tie(self, rounding: str | None, padding: str | None) -> str | None:
        """The same in words; up and away from zero differ at −½ alone, where only zeros let one see it."""
        if rounding != "half up":
            return "half to even" if rounding == "even" else rounding
        if padding != "zeros":
            return "half up, or away from zero"
        point = np.zeros((1,) * self.axes + (self.axes,))
        point[..., 0] = -0.5
        return "half up" if self._read(np.ones((1, *self.size)), point).all() else "half away from zero"

    def _outside(self) -> Floats:
        """Points up to two images outside along each axis in turn, off ties, and the ends of the image."""
        parts = []
        for a in range(self.axes):
            size = self.size[::-1][a]
            along = np.concatenate([np.arange(-2.3 * size, -3, 2.37), [-1.8, -1.3, -0.9, -0.7, -0.4, -0.2]])
            along = np.concatenate([along, size - 1 - along, [0.3, size - 1.3, 0.0, size - 1.0]])
            points = np.tile(np.arange(self.axes) + 1.3, (len(along), 1))
            points[:, a] = along
            parts.append(points)
        flat = np.concatenate(parts)
        return flat.reshape((1,) * (self.axes - 1) + flat.shape)

    def _padding(self, spec: Sampler, mode: str) -> tuple[str | None, str | None]:
        """The padding that agrees outside, and its gate."""
        if mode == "cubic B-spline":
            self.unknown.append("the padding: that of a B-spline is not looked at")
            return None, None
        image, pixels = self._image(4), self._outside()
        got = self._read(image, pixels)
        edges = self.where.map.align_corners is False
        for name, gate, changes, padding, aligned in _paddings(mode, aligned=not edges):
            if self._agrees(got, self._predict(replace(spec, **changes), mode, padding, image, pixels, aligned)):
                return name, gate
        self.unknown.append("the padding: what is read outside is that of none that is known")
        return None, None

    def _nan(self) -> str | None:
        """What it answers to NaN."""
        image = np.abs(self._image(5)) + 1
        points = self.where.coordinates(self._inside(6), self.size[::-1])
        points[..., 0] = np.nan
        try:
            got = self.probe.read(image, points)
        except Exception as error:  # whatever a foreign function raises is an answer here
            return f"{type(error).__name__}"
        return "NaN" if np.isnan(got).all() else "0" if (got == 0).all() else "a pixel, or a mixture"

    def _precision(self) -> str:
        """The dtype, and whether the arithmetic is coarser."""
        image, pixels = self._image(7), self._inside(8)
        got, again = self._read(image, pixels), self._read(image * 3, pixels)
        off = float(np.abs(again - 3 * got).max())
        coarse = self.probe.dtype == "float64" and bool((got == got.astype(np.float32)).all()) and off > 0
        return "float32, whatever is given" if coarse else self.probe.dtype


def _paddings(mode: str, *, aligned: bool) -> list[tuple[str, str | None, dict[str, Any], str, bool]]:
    """Name, gate, and how it is computed: changes, padding, alignment; the likelier first."""
    centres, edges = "reflection about the centres", "reflection about the edges"
    found: list[tuple[str, str | None, dict[str, Any], str, bool]] = [
        ("zeros", "tap by tap", {}, "zeros", True),
        ("border", None, {}, "border", True),
        (centres, None, {}, "reflection", True),
        (edges, None, {}, "reflection", False),
    ]
    for within in ("[0, S − 1)", "[0, S − 1]", "g in [−1, 1]"):
        found.append(("zeros", f"the whole point, unless {within}", {"within": within}, "zeros", aligned))
    found += [
        (f"{centres}, once", None, {"fold": "once"}, "reflection", True),
        (f"{edges}, once", None, {"fold": "once"}, "reflection", False),
        ("periodic", None, {"fold": "wrapped"}, "reflection", True),
    ]
    if mode == "bicubic":
        point = {"pads_point": True}
        found += [
            ("border of the point, not of its taps", None, point, "border", True),
            (f"{centres}, of the point", None, point, "reflection", True),
            (f"{edges}, of the point", None, point, "reflection", False),
        ]
    found.append(("zeros, the grid clamped to [−1, 1]", None, {"clamped": ("border",)}, "border", aligned))
    return found


def _extent(values: Floats) -> float:
    return float(values.max() - values.min()) if values.size else 0.0


def _is_exact(pixel_map: PixelMap, space: tuple[int, ...]) -> bool:
    return all(np.log2(pixel_map.scale(size)) % 1 == 0 if pixel_map.scale(size) > 0 else True for size in space)


def _line(g: Floats, p: Floats, index: Floats) -> tuple[float, float]:  # noqa: ARG001  one signature for all
    slope, offset = np.polyfit(g, p, 1)
    return float(slope), float(offset)
