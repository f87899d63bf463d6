"""Name the convention of a black box: what it means by a coordinate, how it interpolates, what lies outside.

Nothing is assumed but that it samples images at the points of a grid. What is asked of it is in
:mod:`attn_ref.verify.study`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from attn_ref.conventions import CONVENTIONS, PIXEL_MAPS, Convention
from attn_ref.conventions.adapters import layout_of
from attn_ref.verify.adapters import adapter_named
from attn_ref.verify.probe import probes
from attn_ref.verify.study import Study

__all__ = ["Identification", "identify"]


@dataclass(frozen=True)
class Identification:
    """What a black box sampler was found to do; None for what could not be told.

    Attributes
    ----------
    image_layout, grid_layout : str or None
        Its layouts, as :class:`attn_ref.conventions.Convention` writes them.
    order : str or None
        "x first" or "y first".
    pixel_map : str or None
        A name of :data:`attn_ref.conventions.PIXEL_MAPS`, or a formula if it is none of them.
    mode : str or None
        "bilinear", "nearest", "bicubic" or "cubic B-spline".
    rounding : str or None
        How nearest breaks ties.
    cubic_coefficient : float or None
        A of Keys' kernel.
    padding : str or None
        "zeros", "border", "reflection about the centres" or "about the edges", or another in words.
    gate : str or None
        With zeros, whether taps or whole points are left out.
    nan : str or None
        What it answers to a NaN coordinate.
    precision : str or None
        The dtype in which it was asked and computes.
    matches : tuple of str
        The presets that agree in all that was found.
    unknown : tuple of str
        What could not be told, and why.
    axes : int
        The number of spatial axes that it was asked about.

    Examples
    --------
    >>> from scipy import ndimage
    >>> print(identify(ndimage.map_coordinates, options={"order": 1, "mode": "mirror"}))
    images          (H, W)
    grids           (2, H, W)
    coordinates     y first
    pixel map       pixels: p = g
    mode            bilinear
    padding         reflection about the centres
    NaN coordinate  0
    computes in     float64
    agrees with     scipy
    """

    image_layout: str | None = None
    grid_layout: str | None = None
    order: str | None = None
    pixel_map: str | None = None
    mode: str | None = None
    rounding: str | None = None
    cubic_coefficient: float | None = None
    padding: str | None = None
    gate: str | None = None
    nan: str | None = None
    precision: str | None = None
    matches: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    axes: int = 2

    def _rows(self) -> list[tuple[str, str]]:
        """What was found, as pairs of words."""
        formula = PIXEL_MAPS[self.pixel_map].formula if self.pixel_map in PIXEL_MAPS else ""
        layouts = (self.image_layout, self.grid_layout)
        images, grids = (None if a is None else layout_of(a, self.axes) for a in layouts)
        found = {
            "images": images,
            "grids": grids,
            "coordinates": self.order,
            "pixel map": f"{self.pixel_map}: {formula}" if formula else self.pixel_map,
            "mode": self.mode,
            "ties": self.rounding,
            "cubic coefficient A": None if self.cubic_coefficient is None else f"{self.cubic_coefficient:.6g}",
            "padding": self.padding,
            "zeros are left out": self.gate,
            "NaN coordinate": self.nan,
            "computes in": self.precision,
            "agrees with": ", ".join(self.matches) or "none of the presets",
        }
        rows = [(name, value) for name, value in found.items() if value is not None]
        return [*rows, *(("could not tell", reason) for reason in self.unknown)]

    def __str__(self) -> str:
        """Return a table."""
        rows = self._rows()
        width = max(len(name) for name, _ in rows)
        return "\n".join(f"{name.ljust(width)}  {value}" for name, value in rows)


def identify(
    sampler: Callable[..., Any],
    *,
    adapter: str = "numpy",
    options: Mapping[str, Any] | None = None,
    axes: int = 2,
    dtypes: Sequence[str] = ("float64", "float32"),
) -> Identification:
    """Probe a black box sampler and name its convention.

    Parameters
    ----------
    sampler : callable
        ``sampler(image, grid, **options)`` gives the samples. Only its values are looked at, not its gradients.
    adapter : {"numpy", "torch", "cupy"}
        What arrays it takes, as in :func:`attn_ref.verify.verify`.
    options : mapping, optional
        Keyword arguments that it is given at every call.
    axes : {2, 3}
        The number of spatial axes to ask about.
    dtypes : sequence of str
        In which to ask; the next is tried if it refuses one.

    Returns
    -------
    Identification
        Field by field; ``str`` makes a table of it.

    Raises
    ------
    TypeError
        If the sampler is not callable, or an argument has the wrong type.
    ValueError
        If axes is neither 2 nor 3, or an argument is unknown.
    ModuleNotFoundError
        If the adapter's library is not installed.

    Notes
    -----
    Between −1 and 1 a reflection about the centres of the end pixels and one about their edges differ only outside, and
    two ways to round differ only at ties: what is compared is on purpose there.

    Examples
    --------
    >>> import attn_ref
    >>> found = identify(attn_ref.conventions.convention("stn_pytorch_bhwd").grid_sample)
    >>> found.order, found.pixel_map, found.image_layout
    ('y first', 'AC1', 'NHWC')
    """
    if not callable(sampler):
        raise TypeError(f"sampler must be a function, got {type(sampler).__name__}")
    if axes not in (2, 3):
        raise ValueError(f"axes={axes!r}: expected 2 or 3")
    found, refusal = probes(sampler, adapter_named(adapter, dtypes[:1]), dict(options or {}), int(axes), dtypes)
    if not found:
        return Identification(unknown=(f"anything: it takes no layout that is known here ({refusal})",), axes=axes)
    studied = [_named(Study(probe).findings(), int(axes)) for probe in found]
    return max(studied, key=lambda one: len(one._rows()) - 4 * len(one.unknown))


def _named(findings: Mapping[str, Any], axes: int) -> Identification:
    found = Identification(**findings, axes=axes)
    return replace(found, matches=_matches(found))


def _matches(found: Identification) -> tuple[str, ...]:
    """Presets, at each of their alignments, that agree in all that was found."""
    names = []
    for convention in CONVENTIONS.values():
        for aligned in convention.alignments or (None,):
            if _agrees(convention.aligned(aligned), found):
                names.append(convention.name + ("" if aligned is None else f" (align_corners={aligned})"))
    return tuple(names)


def _agrees(convention: Convention, found: Identification) -> bool:
    if found.axes not in convention.axes or found.mode is None or found.padding is None:
        return False
    own = PIXEL_MAPS[convention.pixel_map].align_corners
    paddings = {
        f"reflection about the {'centres' if (own if edges is None else edges) else 'edges'}"
        if core == "reflection"
        else core
        for core, edges in convention.paddings.values()
    }
    gate = "tap by tap" if convention.gate == "tap" else "the whole point, unless [0, S − 1)"
    return (
        (convention.image_layout, convention.grid_layout) == (found.image_layout, found.grid_layout)
        and (convention.order, convention.pixel_map) == (found.order, found.pixel_map)
        and found.mode in convention.modes.values()
        and found.padding in paddings
        and (found.gate is None or found.gate == gate)
        and (found.cubic_coefficient in (None, -0.75))
    )
