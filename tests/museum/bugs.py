"""The bug museum: mistakes of samplers, as small patches to be planted one at a time.

Each entry says what the mistake is, where it was seen, how to plant it, and which properties of ``attn-ref check``
must catch it. The patches change the package from outside, for the length of one test.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from attn_ref import backend
from attn_ref.ops import affine, boundary, interpolation, taps
from attn_ref.registry import OPERATIONS

Patch = pytest.MonkeyPatch


@dataclass(frozen=True)
class Bug:
    """A mistake, and what must catch it.

    ``plant`` patches the package; ``operation`` names what is then checked, in the variants that have what ``where``
    says. ``caught_by`` are the properties that must fail; others may.
    """

    name: str
    seen_in: str
    operation: str
    plant: Callable[[Patch], None]
    caught_by: tuple[str, ...]
    where: Mapping[str, Any] = field(default_factory=lambda: {"ndim": 2})


def _functions(patch: Patch, name: str, **replaced: Callable[..., Any]) -> None:
    operation = OPERATIONS[name]
    functions = dataclasses.replace(operation.functions, **replaced)
    patch.setitem(OPERATIONS, name, dataclasses.replace(operation, functions=functions))


def _backend(patch: Patch, **replaced: Any) -> None:
    changed = dataclasses.replace(backend.BACKENDS["numpy"](), **replaced)
    patch.setitem(backend.BACKENDS, "numpy", lambda: changed)


class _Library(ModuleType):
    """NumPy with some functions replaced."""

    def __init__(self, **replaced: Any) -> None:
        super().__init__("numpy")
        self.__dict__.update(replaced)

    def __getattr__(self, name: str) -> Any:
        return getattr(np, name)


def _table(patch: Patch, change: Callable[[dict[str, Any]], None]) -> None:
    """Change what a TapTable is made from: grid, space, mode, padding_mode, align_corners."""
    original = taps.TapTable.__init__
    names = ("backend", "grid", "space", "mode", "padding_mode", "align_corners")

    def init(self: taps.TapTable, *values: Any) -> None:
        arguments = dict(zip(names, values, strict=True))
        change(arguments)
        original(self, **arguments)

    patch.setattr(taps.TapTable, "__init__", init)


# ---------------------------------------------------------------------------------------------------------------------
# Axes and alignment


def swapped_axes(patch: Patch) -> None:
    _table(patch, lambda a: a.update(grid=a["grid"][..., ::-1]))


def swapped_meshgrid(patch: Patch) -> None:
    original = affine._base_grid
    patch.setattr(affine, "_base_grid", lambda *a: original(*a)[:, [1, 0, 2]])


def swapped_theta_rows(patch: Patch) -> None:
    original = affine._grid
    patch.setattr(affine, "_grid", lambda name, theta, *rest: original(name, theta[:, ::-1], *rest))


def flipped_alignment(patch: Patch) -> None:
    _table(patch, lambda a: a.update(align_corners=not a["align_corners"]))


def flipped_alignment_in_backward(patch: Patch) -> None:
    right = OPERATIONS["grid_sample"].functions.backward

    def backward(*inputs: Any, align_corners: bool, **options: Any) -> Any:
        return right(*inputs, align_corners=not align_corners, **options)

    _functions(patch, "grid_sample", backward=backward)


def flipped_alignment_in_base_grid(patch: Patch) -> None:
    original = affine.pixel_centres
    patch.setattr(affine, "pixel_centres", lambda xp, size, align_corners: original(xp, size, not align_corners))


def size_minus_two(patch: Patch) -> None:
    patch.setattr(taps, "to_pixels", lambda xp, g, size, align_corners: (g + 1) / 2 * (size - 2))
    hard = dataclasses.replace(boundary.PADDINGS["zeros"], fold=boundary.PADDINGS["border"].fold)
    patch.setitem(boundary.PADDINGS, "zeros", hard)


def half_open_base_grid(patch: Patch) -> None:
    original = affine.pixel_centres

    def centres(xp: Any, size: int, align_corners: bool) -> Any:
        return -1 + 2 * np.arange(size) / size if align_corners else original(xp, size, align_corners)

    patch.setattr(affine, "pixel_centres", centres)


def one_pixel_at_minus_one(patch: Patch) -> None:
    original = affine.pixel_centres

    def centres(xp: Any, size: int, align_corners: bool) -> Any:
        return np.array([-1.0]) if size == 1 and align_corners else original(xp, size, align_corners)

    patch.setattr(affine, "pixel_centres", centres)


def channels_last_kernel_on_channels_first(patch: Patch) -> None:
    right = OPERATIONS["grid_sample"].functions.backward

    def untransposed(image: Any) -> Any:
        return image.reshape(image.shape[0], *image.shape[2:], image.shape[1])

    def backward(grad_output: Any, image: Any, grid: Any, **options: Any) -> Any:
        if options.pop("channels_last", False):
            return right(grad_output, image, grid, channels_last=True, **options)
        wrong = right(untransposed(grad_output), untransposed(image), grid, channels_last=True, **options)
        return wrong._replace(input=wrong.input.reshape(image.shape))

    _functions(patch, "grid_sample", backward=backward)


# ---------------------------------------------------------------------------------------------------------------------
# Padding


def border_as_clamped_grid(patch: Patch) -> None:
    def change(a: dict[str, Any]) -> None:
        if a["padding_mode"] == "border":
            a.update(grid=np.clip(a["grid"], -1, 1), padding_mode="zeros")

    _table(patch, change)


def _fold(patch: Patch, padding: str, slope: Callable[[Any, Any, int], Any]) -> None:
    original = boundary.PADDINGS[padding]

    def fold(xp: Any, q: Any, size: int, align_corners: bool) -> Any:
        padded, right = original.fold(xp, q, size, align_corners)
        return padded, slope(right, q, size)

    patch.setitem(boundary.PADDINGS, padding, dataclasses.replace(original, fold=fold))


def border_gradient_not_zeroed(patch: Patch) -> None:
    _fold(patch, "border", lambda slope, q, size: np.ones_like(slope))


def border_gradient_kept_at_the_ends(patch: Patch) -> None:
    _fold(patch, "border", lambda slope, q, size: ((q >= 0) & (q <= size - 1)).astype(slope.dtype))


def reflection_sign_lost(patch: Patch) -> None:
    _fold(patch, "reflection", lambda slope, q, size: np.abs(slope))


def reflection_about_the_wrong_edge(patch: Patch) -> None:
    right = boundary.PADDINGS["reflection"]

    def fold(xp, p, size, aligned):  # after the right period
        return right.fold(xp, right.bring_near(xp, p, size, aligned), size, not aligned)

    patch.setitem(boundary.PADDINGS, "reflection", dataclasses.replace(right, fold=fold))


def cast_before_range_test(patch: Patch) -> None:
    original = taps.to_pixels

    def pixels(xp: Any, g: Any, size: int, align_corners: bool) -> Any:
        p = original(xp, g, size, align_corners)
        return np.where(np.isnan(p), 0, np.clip(p, -(2.0**31), 2.0**31))

    patch.setattr(taps, "to_pixels", pixels)


def masked_by_multiplication(patch: Patch) -> None:
    right = backend.BACKENDS["numpy"]().gather

    def gather(index: Any, weight: Any, source: Any) -> Any:
        outside = index == len(source) - 1
        return right(np.where(outside, 0, index), weight * ~outside, source)

    _backend(patch, gather=gather)


# ---------------------------------------------------------------------------------------------------------------------
# Scales and weights


def scale_missing(patch: Patch) -> None:
    patch.setattr(taps, "pixels_per_unit", lambda size, align_corners: 1.0)


def scale_exchanged(patch: Patch) -> None:
    original = taps.pixels_per_unit
    patch.setattr(taps, "pixels_per_unit", lambda size, align_corners: original(size, not align_corners))


def cubic_pads_the_point(patch: Patch) -> None:
    cubic = interpolation.MODES["bicubic"]
    patch.setitem(interpolation.MODES, "bicubic", dataclasses.replace(cubic, pads_taps=False))


def cubic_coefficient_half(patch: Patch) -> None:
    a = -0.5
    rows = ((0.0, a, -2 * a, a), (1.0, 0.0, -(a + 3), a + 2), (0.0, -a, 2 * a + 3, -(a + 2)), (0.0, 0.0, a, -a))
    cubic = interpolation.MODES["bicubic"]
    patch.setitem(interpolation.MODES, "bicubic", dataclasses.replace(cubic, coefficients=rows))


def nearest_half_away_from_zero(patch: Patch) -> None:
    _backend(patch, xp=_Library(rint=lambda q: np.trunc(q + np.copysign(0.5, q))))


def nearest_rounds_before_padding(patch: Patch) -> None:
    nearest = interpolation.MODES["nearest"]
    patch.setitem(interpolation.MODES, "nearest", dataclasses.replace(nearest, pads_taps=True))


def nearest_different_in_3d(patch: Patch) -> None:
    original = taps._Rules.block

    def block(self: Any, grid: Any) -> Any:
        rules = copy.copy(self)
        rules.backend = dataclasses.replace(self.backend, xp=_Library(rint=lambda q: np.floor(q + 0.5)))
        return original(rules, grid)

    patch.setattr(taps._Rules, "block", block)


def linear_read_as_nearest(patch: Patch) -> None:
    patch.setitem(interpolation.MODES, "bilinear", interpolation.MODES["nearest"])


def coordinates_in_float32(patch: Patch) -> None:
    original = taps.to_pixels
    patch.setattr(taps, "to_pixels", lambda xp, g, *rest: original(xp, g.astype(np.float32), *rest).astype(g.dtype))


# ---------------------------------------------------------------------------------------------------------------------
# Sums


def scatter_by_assignment(patch: Patch) -> None:
    def scatter(index: Any, weight: Any, rows: Any, length: int) -> Any:
        result = np.zeros((length, rows.shape[1]), rows.dtype)
        for k in range(index.shape[1]):
            result[index[:, k]] += weight[:, k, None] * rows  # repeated indices: the last one wins
        return result

    _backend(patch, scatter=scatter)


def _scaled_backward(patch: Patch, factor: Callable[[Any], float]) -> None:
    right = OPERATIONS["grid_sample"].functions.backward

    def backward(grad_output: Any, *inputs: Any, **options: Any) -> Any:
        result = right(grad_output, *inputs, **options)
        return result._replace(input=(result.input * factor(grad_output)).astype(result.input.dtype))

    _functions(patch, "grid_sample", backward=backward)


def averaged_over_batch(patch: Patch) -> None:
    _scaled_backward(patch, lambda grad_output: 1 / len(grad_output))


def accumulated_twice(patch: Patch) -> None:
    _scaled_backward(patch, lambda grad_output: 2.0)


def sum_over_ones(patch: Patch) -> None:
    right = OPERATIONS["grid_sample"].functions.backward

    def backward(grad_output: Any, *inputs: Any, **options: Any) -> Any:
        return right(np.ones_like(grad_output), *inputs, **options)

    _functions(patch, "grid_sample", backward=backward)


def input_written_to(patch: Patch) -> None:
    right = OPERATIONS["grid_sample"].functions.forward

    def forward(image: Any, grid: Any, **options: Any) -> Any:
        np.clip(grid, -1.5, 1.5, out=grid)
        return right(image, grid, **options)

    _functions(patch, "grid_sample", forward=forward)


# ---------------------------------------------------------------------------------------------------------------------
# Higher derivatives


def jvp_without_grid(patch: Patch) -> None:
    right = OPERATIONS["grid_sample"].functions.jvp

    def jvp(image: Any, grid: Any, image_tangent: Any, grid_tangent: Any, **options: Any) -> Any:
        return right(image, grid, image_tangent, np.zeros_like(grid_tangent), **options)

    _functions(patch, "grid_sample", jvp=jvp)


def second_derivative_missing(patch: Patch) -> None:
    original = taps.TapTable.weigh

    def weigh(self: taps.TapTable, D: Any, *axes: int) -> Any:
        result = original(self, D, *axes)
        return result * 0 if len(axes) == 2 else result

    patch.setattr(taps.TapTable, "weigh", weigh)


# ---------------------------------------------------------------------------------------------------------------------
# The de-transformer


def _inverse_backward(patch: Patch, wrong: Callable[[Any, Any, Any], tuple[Any, Any]]) -> None:
    """Plant (dΘ, dt) computed from A = Θ⁻¹ (N, d, d), G = dA − da tᵀ and da (N, d, 1)."""

    def backward(grad_inverse: Any, theta: Any) -> Any:
        inverse = affine.affine_inverse(theta)
        A, dA, da = inverse[..., :-1], grad_inverse[..., :-1], grad_inverse[..., -1:]
        G = dA - da @ theta[..., -1:].swapaxes(1, 2)
        return np.concatenate(wrong(A, G, da), axis=2)

    _functions(patch, "affine_inverse", backward=backward)


def inverse_transposed(patch: Patch) -> None:
    _inverse_backward(patch, lambda A, G, da: (A @ G @ A, -A.swapaxes(1, 2) @ da))


def inverse_without_determinant(patch: Patch) -> None:
    def wrong(A: Any, G: Any, da: Any) -> Any:
        At = A.swapaxes(1, 2)
        return -At @ G @ At / np.linalg.det(A)[:, None, None] ** 2, -At @ da

    _inverse_backward(patch, wrong)


def inverse_without_shift(patch: Patch) -> None:
    right = OPERATIONS["affine_inverse"].functions.backward

    def backward(grad_inverse: Any, theta: Any) -> Any:
        unshifted = theta.copy()
        unshifted[..., -1] = 0
        return right(grad_inverse, unshifted)

    _functions(patch, "affine_inverse", backward=backward)


SAMPLE, GRID, INVERSE = "grid_sample", "affine_grid", "affine_inverse"

BUGS: tuple[Bug, ...] = (
    Bug(
        "x and y swapped in the grid",
        "many ports",
        SAMPLE,
        swapped_axes,
        ("oracle", "jacobian", "second-differences", "kinks", "special"),
    ),
    Bug("meshgrid indexing swapped", "many ports", GRID, swapped_meshgrid, ("oracle",)),
    Bug(
        "rows of theta swapped",
        "ports of (y, x) code",
        GRID,
        swapped_theta_rows,
        ("adjoint", "jvp-vjp", "oracle", "jacobian"),
    ),
    Bug(
        "align_corners flipped",
        "conversions",
        SAMPLE,
        flipped_alignment,
        ("oracle", "jacobian", "second-differences", "kinks", "special"),
    ),
    Bug(
        "align_corners flipped in backward only",
        "",
        SAMPLE,
        flipped_alignment_in_backward,
        ("adjoint", "jvp-vjp", "oracle", "jacobian", "second-differences", "kinks", "special"),
    ),
    Bug("align_corners flipped in the base grid only", "", GRID, flipped_alignment_in_base_grid, ("oracle",)),
    Bug(
        "pixels (S−2)/2, corners clipped before the weights",
        "kevinzakka/spatial-transformer-network",
        SAMPLE,
        size_minus_two,
        ("oracle", "jacobian", "second-differences", "kinks", "special"),
    ),
    Bug("half-open base grid −1 + 2i/S", "fxia22/stn.pytorch", GRID, half_open_base_grid, ("oracle",)),
    Bug("one pixel aligned at −1", "ONNX reference evaluator", GRID, one_pixel_at_minus_one, ("oracle",)),
    Bug(
        "channels-last kernel on channels-first arrays",
        "fxia22/stn.pytorch, CUDA backward",
        SAMPLE,
        channels_last_kernel_on_channels_first,
        ("adjoint", "jvp-vjp", "oracle", "jacobian", "second-differences", "kinks", "layouts", "special"),
    ),
    Bug(
        "border as clamp(grid, −1, 1) with zeros",
        "emulations",
        SAMPLE,
        border_as_clamped_grid,
        ("oracle", "jacobian", "second-differences", "kinks", "special"),
    ),
    Bug(
        "border gradient not zeroed",
        "PyTorch #23925",
        SAMPLE,
        border_gradient_not_zeroed,
        ("oracle", "jacobian", "second-differences", "kinks", "special"),
    ),
    Bug(
        "border gradient kept at the ends",
        "PyTorch #23925",
        SAMPLE,
        border_gradient_kept_at_the_ends,
        ("oracle", "kinks"),
    ),
    Bug(
        "sign of the reflected gradient lost",
        "",
        SAMPLE,
        reflection_sign_lost,
        ("jacobian", "second-differences", "kinks"),
    ),
    Bug("reflection about the wrong edge", "", SAMPLE, reflection_about_the_wrong_edge, ("oracle", "kinks", "special")),
    Bug(
        "scale S/2 missing from the grid gradient",
        "",
        SAMPLE,
        scale_missing,
        ("oracle", "jacobian", "second-differences", "kinks"),
    ),
    Bug(
        "scales S/2 and (S−1)/2 exchanged",
        "",
        SAMPLE,
        scale_exchanged,
        ("oracle", "jacobian", "second-differences", "kinks"),
    ),
    Bug(
        "cubic pads the point, not the taps",
        "ONNX Runtime #10607, old ONNX reference",
        SAMPLE,
        cubic_pads_the_point,
        ("oracle", "kinks", "special"),
    ),
    Bug("cubic with A = −0.5", "conversions", SAMPLE, cubic_coefficient_half, ("oracle", "kinks")),
    Bug("nearest rounds half away from zero", "", SAMPLE, nearest_half_away_from_zero, ("oracle", "kinks")),
    Bug("nearest rounds before padding", "PyTorch #97000", SAMPLE, nearest_rounds_before_padding, ("kinks",)),
    Bug(
        "nearest differs in 3-D",
        "PyTorch #97000",
        SAMPLE,
        nearest_different_in_3d,
        ("oracle", "kinks"),
        where={"ndim": 3},
    ),
    Bug("linear read as nearest", "TensorRT #4646", SAMPLE, linear_read_as_nearest, ("oracle", "kinks")),
    Bug(
        "coordinates in float32",
        "ONNX reference evaluator",
        SAMPLE,
        coordinates_in_float32,
        ("jacobian", "second-differences", "kinks"),
    ),
    Bug(
        "cast to integer before the range test",
        "ONNX Runtime #27975, PyTorch #35202",
        SAMPLE,
        cast_before_range_test,
        ("special",),
    ),
    Bug("outside taps multiplied by 0", "PyTorch #194787", SAMPLE, masked_by_multiplication, ("special",)),
    Bug(
        "scatter by assignment: repeats lost",
        "",
        SAMPLE,
        scatter_by_assignment,
        ("adjoint", "jvp-vjp", "second-order", "oracle", "jacobian", "second-differences", "kinks", "special"),
    ),
    Bug(
        "gradient averaged over the batch",
        "",
        SAMPLE,
        averaged_over_batch,
        ("adjoint", "jvp-vjp", "oracle", "jacobian", "second-differences", "kinks"),
    ),
    Bug(
        "gradient accumulated twice",
        "",
        SAMPLE,
        accumulated_twice,
        ("adjoint", "jvp-vjp", "oracle", "jacobian", "second-differences", "kinks"),
    ),
    Bug(
        "the cotangent ignored: gradient of the sum",
        "",
        SAMPLE,
        sum_over_ones,
        ("adjoint", "jvp-vjp", "oracle", "jacobian", "second-differences", "kinks", "special"),
    ),
    Bug("an input written to", "", SAMPLE, input_written_to, ("jacobian", "second-differences", "purity", "special")),
    Bug("jvp without the grid's part", "", SAMPLE, jvp_without_grid, ("jvp-vjp", "second-order", "oracle", "kinks")),
    Bug(
        "second derivative in the grid missing",
        "",
        SAMPLE,
        second_derivative_missing,
        ("oracle", "second-differences", "kinks"),
    ),
    Bug(
        "inverse: off-diagonals transposed, wrong sign",
        "RMPE Caffe",
        INVERSE,
        inverse_transposed,
        ("jvp-vjp", "oracle", "jacobian", "second-differences"),
    ),
    Bug(
        "inverse: 1/det² missing",
        "RMPE Caffe",
        INVERSE,
        inverse_without_determinant,
        ("jvp-vjp", "oracle", "jacobian", "second-differences", "precision", "special"),
    ),
    Bug(
        "inverse: the shift's part missing",
        "",
        INVERSE,
        inverse_without_shift,
        ("jvp-vjp", "oracle", "jacobian", "second-differences"),
    ),
)
