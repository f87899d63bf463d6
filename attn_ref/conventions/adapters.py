"""Between a system's arrays and the core's: layouts, coordinate orders and pixel maps, there and back.

A convention's sampler is the core's sampler with maps before and after it. With G the map from its grid to the core's,
g' = G(g), one axis at a time, the chain rule gives its derivative:

    y   = grid_sample(x, G(g))
    dg  = dg' · dG/dg         with dg' from grid_sample_backward(dy, x, G(g))

Moving axes only permutes; its derivative moves them back. Everything is computed in working precision, float32 for
float16, and rounded once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from attn_ref import validation
from attn_ref.backend import Array
from attn_ref.conventions.pixel_maps import BASE_GRIDS, PIXEL_MAPS, normalised
from attn_ref.ops.coordinates import pixels_per_unit
from attn_ref.validation import Numbers

if TYPE_CHECKING:
    from attn_ref.conventions.convention import Convention

__all__ = ["SampleCall", "base_rows", "coordinates_back", "coordinates_last", "layout_of", "sample_call", "x_first"]


def layout_of(layout: str, axes: int) -> str:
    """A layout in words, "N2HW" in 3-D being "(N, 3, D, H, W)"."""
    letters = layout.replace("HW", "DHW").replace("2", "3") if axes == 3 else layout
    return f"({', '.join(letters)})"


def coordinates_last(convention: Convention, grid: Array, xp: Any) -> Array:
    """Move a grid's axes to (N, *space, d), its coordinates staying in the system's order."""
    grid = grid if "N" in convention.grid_layout else grid[None]
    return grid if convention.grid_layout.endswith("2") else xp.moveaxis(grid, 1, -1)


def coordinates_back(convention: Convention, grid: Array, xp: Any) -> Array:
    """Undo :func:`coordinates_last`."""
    grid = grid if convention.grid_layout.endswith("2") else xp.moveaxis(grid, -1, 1)
    return grid if "N" in convention.grid_layout else grid[0]


def x_first(convention: Convention, coordinates: Array) -> Array:
    """Bring the last axis from the system's order to x first, or back: it is its own inverse."""
    return coordinates if convention.order == "x first" else coordinates[..., ::-1]


def base_rows(convention: Convention, numbers: Numbers, space: tuple[int, ...]) -> Array:
    """What theta acts on: rows (x, y, 1) or (y, x, 1) of all output pixels, (*space, d + 1)."""
    assert convention.base is not None
    xp, base = numbers.backend.xp, BASE_GRIDS[convention.base]
    axes = [base.coordinates(xp, size).astype(numbers.working) for size in space]
    mesh = xp.meshgrid(*axes, indexing="ij")
    mesh = mesh if convention.order == "y first" else mesh[::-1]
    return xp.stack([*mesh, xp.ones(space, numbers.working)], axis=-1)


@dataclass(frozen=True)
class SampleCall:
    """One checked call of a sampler: what the core takes, and the way back.

    Attributes
    ----------
    convention : Convention
        Whose call it is.
    numbers : Numbers
        The checked arrays.
    input, grid : array
        Those of the core: (N, C, *space) or (N, *space, C), and (N, *out, d), x first.
    options : dict
        The options of the core.
    space : tuple of int
        The spatial size of the image.
    """

    convention: Convention
    numbers: Numbers
    input: Array
    grid: Array
    options: dict[str, Any]
    space: tuple[int, ...]

    def image(self, name: str) -> Array:
        """An image of the convention, in the core's layout."""
        return _image_to_core(self.convention.image_layout, self.numbers[name])

    def finish_image(self, image: Array) -> Array:
        """An image of the core, in the convention's layout and dtype."""
        layout = self.convention.image_layout
        image = image if "C" in layout else image[:, 0]
        return self.numbers.finish(image if "N" in layout else image[0])

    def finish_grid(self, grad: Array) -> Array:
        """A cotangent of the core's grid, as one of the convention's."""
        pixel_map = PIXEL_MAPS[self.convention.pixel_map]
        if pixel_map.align_corners is None:
            aligned = self.options["align_corners"]
            parts = []
            for a in range(len(self.space)):
                size = self.space[-1 - a]
                unit = pixels_per_unit(size, aligned)  # 0 for one pixel between aligned corners
                parts.append(grad[..., a] * (pixel_map.scale(size) / unit if unit else 0.0))
            grad = self.numbers.backend.xp.stack(parts, axis=-1)
        grad = x_first(self.convention, grad)
        return self.numbers.finish(coordinates_back(self.convention, grad, self.numbers.backend.xp))


def sample_call(
    convention: Convention, arrays: dict[str, Array], mode: str | None, padding_mode: str | None
) -> SampleCall:
    """Check the arguments of a sampler's call, and bring them to the core.

    Raises
    ------
    TypeError, ValueError
        As :func:`attn_ref.grid_sample`, in the words of the convention's layouts.
    """
    modes, paddings = convention.modes, convention.paddings
    mode = next(iter(modes)) if mode is None else validation.choice("mode", mode, modes)
    padding = (
        next(iter(paddings)) if padding_mode is None else validation.choice("padding_mode", padding_mode, paddings)
    )
    numbers = validation.numbers(**arrays)
    space = _check_shapes(convention, arrays)
    core_padding, reflected_about_corners = paddings[padding]
    aligned = PIXEL_MAPS[convention.pixel_map].align_corners
    if aligned is None:
        # Zeros and border do not depend on it; aligned corners put both ends of the image at exact coordinates.
        aligned = min(space) > 1 if reflected_about_corners is None else reflected_about_corners
    options = {
        "mode": modes[mode],
        "padding_mode": core_padding,
        "align_corners": aligned,
        "channels_last": convention.image_layout.endswith("C"),
    }
    with numbers.backend.quiet():
        grid = _core_coordinates(convention, numbers, space, aligned)
    return SampleCall(
        convention, numbers, _image_to_core(convention.image_layout, numbers["input"]), grid, options, space
    )


def _image_to_core(layout: str, image: Array) -> Array:
    image = image if "N" in layout else image[None]
    return image if "C" in layout else image[:, None]


def _check_shapes(convention: Convention, arrays: dict[str, Array]) -> tuple[int, ...]:
    """Check the shapes of an image, a grid and a cotangent of the output; return the image's spatial size."""
    image, grid = arrays["input"], arrays["grid"]
    layout, grid_layout = convention.image_layout, convention.grid_layout
    validation.axes("input", image, [layout_of(layout, axes) for axes in convention.axes])
    before = layout.index("H")  # the spatial axes follow one another
    axes = image.ndim - len(layout) + 2
    space = tuple(image.shape[before : before + axes])
    validation.axes("grid", grid, [layout_of(grid_layout, axes)])
    at = grid.ndim - 1 if grid_layout.endswith("2") else grid_layout.index("2")
    if grid.shape[at] != axes:
        raise ValueError(
            f"grid has shape {grid.shape}: expected {layout_of(grid_layout, axes)}, {axes} on axis {at}, "
            f"in the convention {convention.name!r}"
        )
    if "N" in grid_layout and image.shape[0] != grid.shape[0]:
        raise ValueError(f"input has batch size {image.shape[0]} but grid has {grid.shape[0]}: they must agree")
    if 0 in space:
        raise ValueError(f"input has no pixels, shape {image.shape}: every spatial size must be at least 1")
    if "grad_output" in arrays:
        out = tuple(size for a, size in enumerate(grid.shape) if a != at)[1 if "N" in grid_layout else 0 :]
        expected = (*image.shape[:before], *out, *image.shape[before + axes :])
        validation.shape("grad_output", arrays["grad_output"], expected, "the shape of the output")
    return space


def _core_coordinates(convention: Convention, numbers: Numbers, space: tuple[int, ...], aligned: bool) -> Array:
    """The grid that the core is to sample, (N, *out, d), x first."""
    xp, pixel_map = numbers.backend.xp, PIXEL_MAPS[convention.pixel_map]
    grid = x_first(convention, coordinates_last(convention, numbers["grid"], xp))
    if pixel_map.align_corners is not None and convention.gate == "tap":
        return grid
    out = grid.shape[1:-1]
    pixels, outside = [], xp.zeros(grid.shape[:-1], bool)
    for a in range(len(space)):
        size = space[-1 - a]
        index = xp.arange(out[-1 - a], dtype=numbers.working).reshape(-1, *[1] * a)
        p = pixel_map.pixels(grid[..., a], size, index)
        pixels.append(p)
        outside |= (p < 0) | (p >= size - 1)
    if convention.gate == "point":  # an infinity reads nothing, with derivative 0; a NaN stays
        pixels = [xp.where(outside & ~xp.isnan(p), xp.inf, p).astype(p.dtype) for p in pixels]
    return xp.stack([normalised(xp, p, space[-1 - a], aligned) for a, p in enumerate(pixels)], axis=-1)
