"""Grid sampling and its derivatives, written as the sums that define them.

Let x be one image and g one point of the grid, with coordinate g_a along axis a. The output at that point is

    y = Σ_i  w(i; g) x_i,        w(i; g) = Π_a w_a(i_a; g_a),

where the 1-D weights w_a come from `attn_ref.exact.axis`. Below, *orders* is a tuple with one entry a coordinate:
how often the weight is differentiated with respect to it. (0, 0) is the weight itself, (1, 0) is ∂w/∂x, (1, 1) is
∂²w/∂x∂y. Every function here is a sum of pixels times such weights. The number of axes, 2 or 3, is never mentioned.
"""

from collections.abc import Iterator
from fractions import Fraction
from itertools import product
from typing import NamedTuple

import numpy.typing as npt

from attn_ref.exact.axis import KERNELS, PADDINGS, Rules, axis_taps
from attn_ref.exact.rationals import FractionArray, ensure_bool, ensure_shape, to_fractions, zeros

__all__ = [
    "GridSampleCotangents",
    "GridSampleSecondCotangents",
    "grid_sample",
    "grid_sample_backward",
    "grid_sample_double_backward",
    "grid_sample_jvp",
]


class GridSampleCotangents(NamedTuple):
    """Cotangents of the two inputs of `grid_sample`."""

    input: FractionArray
    grid: FractionArray


class GridSampleSecondCotangents(NamedTuple):
    """Cotangents of the three inputs of `grid_sample_backward`."""

    grad_output: FractionArray
    input: FractionArray
    grid: FractionArray


def grid_sample(
    input: npt.ArrayLike,
    grid: npt.ArrayLike,
    *,
    mode: str = "bilinear",
    padding_mode: str = "zeros",
    align_corners: bool,
) -> FractionArray:
    """Read an image at the points of a grid: y = Σ_i w(i; g) x_i.

    Parameters
    ----------
    input : array_like, shape (N, C, H, W) or (N, C, D, H, W)
        The images; no spatial axis may be empty.
    grid : array_like, shape (N, H_out, W_out, 2) or (N, D_out, H_out, W_out, 3)
        Normalised coordinates, last axis (x, y) or (x, y, z): x runs along W, y along H, z along D.
    mode : {"bilinear", "nearest", "bicubic"}
        The 1-D weights; with five axes the first and the last are trilinear and tricubic.
    padding_mode : {"zeros", "border", "reflection"}
        What lies outside the image.
    align_corners : bool
        Whether −1 and 1 are the centres of the end pixels, or their outer edges.

    Returns
    -------
    ndarray of Fraction, shape (N, C, H_out, W_out) or (N, C, D_out, H_out, W_out)

    Raises
    ------
    ValueError
        Shapes that do not fit together, an unknown option, a number that is not finite.
    TypeError
        An element that is not a number, or an `align_corners` that is not a bool.

    Examples
    --------
    >>> from fractions import Fraction
    >>> third = [[[[Fraction(-1, 3), 0]]]]  # a third of the way from pixel 0 to pixel 1
    >>> grid_sample([[[[0, 1]]]], third, align_corners=True)
    array([[[[Fraction(1, 3)]]]], dtype=object)
    """
    rules = _check_rules(mode, padding_mode, align_corners)
    x, g = _check_input_and_grid(input, grid)
    output = zeros(_output_shape(x, g))
    for n, c, out in _outputs(output):
        output[n, c, *out] = _read(x[n, c], g[n, *out], _orders(g), rules)
    return output


def grid_sample_backward(
    grad_output: npt.ArrayLike,
    input: npt.ArrayLike,
    grid: npt.ArrayLike,
    *,
    mode: str = "bilinear",
    padding_mode: str = "zeros",
    align_corners: bool,
) -> GridSampleCotangents:
    """Pull a cotangent of the output back to the image and the grid.

    With ȳ the cotangent of y:  x̄_i = Σ_points w(i; g) ȳ  and  ḡ_a = Σ_c ȳ_c Σ_i ∂w/∂g_a x_ci.

    Parameters
    ----------
    grad_output : array_like, shape of the output
    input, grid, mode, padding_mode, align_corners
        As in `grid_sample`.

    Returns
    -------
    GridSampleCotangents
        Fields `input` and `grid`, with the shapes of the arguments of those names.

    Raises
    ------
    TypeError, ValueError
        As in :func:`attn_ref.exact.grid_sample`.

    Examples
    --------
    >>> grads = grid_sample_backward([[[[1]]]], [[[[0, 1]]]], [[[[-0.5, 0]]]], align_corners=True)
    >>> grads[0].ravel(), grads[1].ravel()
    (array([Fraction(3, 4), Fraction(1, 4)], dtype=object), array([Fraction(1, 2), Fraction(0, 1)], dtype=object))
    """
    rules = _check_rules(mode, padding_mode, align_corners)
    x, g = _check_input_and_grid(input, grid)
    grad_y = _check_like(grad_output, _output_shape(x, g), "grad_output")
    grad_x, grad_g = zeros(x.shape), zeros(g.shape)
    for n, c, out in _outputs(grad_y):
        point = g[n, *out]
        _add(grad_x[n, c], grad_y[n, c, *out], point, _orders(g), rules)
        for a in range(len(point)):
            grad_g[n, *out, a] += grad_y[n, c, *out] * _read(x[n, c], point, _orders(g, a), rules)
    return GridSampleCotangents(grad_x, grad_g)


def grid_sample_jvp(
    input: npt.ArrayLike,
    grid: npt.ArrayLike,
    input_tangent: npt.ArrayLike,
    grid_tangent: npt.ArrayLike,
    *,
    mode: str = "bilinear",
    padding_mode: str = "zeros",
    align_corners: bool,
) -> FractionArray:
    """Push tangents ẋ, ġ forward:  ẏ = Σ_i w(i; g) ẋ_i + Σ_a ġ_a Σ_i ∂w/∂g_a x_i.

    Parameters
    ----------
    input, grid
        As in `grid_sample`.
    input_tangent, grid_tangent : array_like
        Shapes of `input` and `grid`.
    mode, padding_mode, align_corners
        As in `grid_sample`.

    Returns
    -------
    ndarray of Fraction
        The tangent of the output, with its shape.

    Raises
    ------
    TypeError, ValueError
        As in :func:`attn_ref.exact.grid_sample`.

    Examples
    --------
    >>> grid_sample_jvp([[[[0, 1]]]], [[[[-0.5, 0]]]], [[[[0, 0]]]], [[[[1, 0]]]], align_corners=True)
    array([[[[Fraction(1, 2)]]]], dtype=object)
    """
    rules = _check_rules(mode, padding_mode, align_corners)
    x, g = _check_input_and_grid(input, grid)
    dx = _check_like(input_tangent, x.shape, "input_tangent")
    dg = _check_like(grid_tangent, g.shape, "grid_tangent")
    tangent = zeros(_output_shape(x, g))
    for n, c, out in _outputs(tangent):
        point = g[n, *out]
        tangent[n, c, *out] = _read(dx[n, c], point, _orders(g), rules)
        for a in range(len(point)):
            tangent[n, c, *out] += dg[n, *out, a] * _read(x[n, c], point, _orders(g, a), rules)
    return tangent


def grid_sample_double_backward(
    grad_grad_input: npt.ArrayLike,
    grad_grad_grid: npt.ArrayLike,
    grad_output: npt.ArrayLike,
    input: npt.ArrayLike,
    grid: npt.ArrayLike,
    *,
    mode: str = "bilinear",
    padding_mode: str = "zeros",
    align_corners: bool,
) -> GridSampleSecondCotangents:
    """Pull cotangents u of x̄ and v of ḡ back through `grid_sample_backward`.

    That is, differentiate ⟨u, x̄⟩ + ⟨v, ḡ⟩, which sums over points and channels
    ȳ (Σ_i w u_i + Σ_a v_a Σ_i ∂w/∂g_a x_i):

    * to ȳ :   Σ_i w u_i + Σ_a v_a Σ_i ∂w/∂g_a x_i
    * to x_i : Σ_points ȳ Σ_a v_a ∂w/∂g_a
    * to g_a : Σ_c ȳ_c (Σ_i ∂w/∂g_a u_ci + Σ_b v_b Σ_i ∂²w/∂g_a∂g_b x_ci)

    Parameters
    ----------
    grad_grad_input, grad_grad_grid : array_like
        Shapes of `input` and `grid`.
    grad_output, input, grid, mode, padding_mode, align_corners
        As in `grid_sample_backward`.

    Returns
    -------
    GridSampleSecondCotangents
        Fields `grad_output`, `input` and `grid`, with the shapes of the arguments of those names.

    Raises
    ------
    TypeError, ValueError
        As in :func:`attn_ref.exact.grid_sample`.

    Examples
    --------
    >>> second = grid_sample_double_backward([[[[1, 0]]]], [[[[1, 0]]]], [[[[2]]]], [[[[10, 20]]]], [[[[-0.5, 0]]]],
    ...                                      align_corners=True)
    >>> [array.astype(float).ravel().tolist() for array in second]
    [[5.75], [-1.0, 1.0], [-1.0, 0.0]]
    """
    rules = _check_rules(mode, padding_mode, align_corners)
    x, g = _check_input_and_grid(input, grid)
    u = _check_like(grad_grad_input, x.shape, "grad_grad_input")
    v = _check_like(grad_grad_grid, g.shape, "grad_grad_grid")
    grad_y = _check_like(grad_output, _output_shape(x, g), "grad_output")
    to_y, to_x, to_g = zeros(grad_y.shape), zeros(x.shape), zeros(g.shape)
    for n, c, out in _outputs(grad_y):
        point, cotangent = g[n, *out], grad_y[n, c, *out]
        to_y[n, c, *out] = _read(u[n, c], point, _orders(g), rules)
        for a in range(len(point)):
            to_y[n, c, *out] += v[n, *out, a] * _read(x[n, c], point, _orders(g, a), rules)
            _add(to_x[n, c], cotangent * v[n, *out, a], point, _orders(g, a), rules)
            to_g[n, *out, a] += cotangent * _read(u[n, c], point, _orders(g, a), rules)
            for b in range(len(point)):
                second = _read(x[n, c], point, _orders(g, a, b), rules)
                to_g[n, *out, a] += cotangent * v[n, *out, b] * second
    return GridSampleSecondCotangents(to_y, to_x, to_g)


def _pixels(
    point: FractionArray, sizes: tuple[int, ...], orders: tuple[int, ...], rules: Rules
) -> Iterator[tuple[tuple[int, ...], Fraction]]:
    """Yield the pixels (row, column) or (slice, row, column) that a point uses, each with its weight.

    The weight is the product of one 1-D weight an axis. A point is written (x, y[, z]) and a pixel ([z,] y, x),
    so coordinates and orders are turned round.
    """
    coordinates = zip(reversed(point), sizes, reversed(orders), strict=True)
    for taps in product(*(axis_taps(g, size, order, rules) for g, size, order in coordinates)):
        weight = Fraction(1)
        for tap in taps:
            weight *= tap.weight
        yield tuple(tap.pixel for tap in taps), weight


def _read(image: FractionArray, point: FractionArray, orders: tuple[int, ...], rules: Rules) -> Fraction:
    """Return Σ_i ∂w(i; point) · image_i."""
    total = Fraction(0)
    for pixel, weight in _pixels(point, image.shape, orders, rules):
        total += weight * image[pixel]
    return total


def _add(image: FractionArray, value: Fraction, point: FractionArray, orders: tuple[int, ...], rules: Rules) -> None:
    """Do image_i += ∂w(i; point) · value for every pixel i: the transpose of `_read`."""
    for pixel, weight in _pixels(point, image.shape, orders, rules):
        image[pixel] += weight * value


def _orders(grid: FractionArray, *differentiated: int) -> tuple[int, ...]:
    """Count how often each coordinate is named: `_orders(grid, 0, 0)` is (2, 0) on a 2-D grid."""
    return tuple(differentiated.count(a) for a in range(grid.shape[-1]))


def _outputs(output: FractionArray) -> Iterator[tuple[int, int, tuple[int, ...]]]:
    """Run over batch element, channel and output position."""
    for n, c, *out in product(*map(range, output.shape)):
        yield n, c, tuple(out)


def _output_shape(x: FractionArray, g: FractionArray) -> tuple[int, ...]:
    return (*x.shape[:2], *g.shape[1:-1])


def _check_rules(mode: str, padding_mode: str, align_corners: bool) -> Rules:
    for name, value, known in (("mode", mode, KERNELS), ("padding_mode", padding_mode, PADDINGS)):
        if value not in known:
            raise ValueError(f"{name} is {value!r}, expected one of {', '.join(known)}")
    return Rules(mode, padding_mode, ensure_bool(align_corners, "align_corners"))


def _check_input_and_grid(input: npt.ArrayLike, grid: npt.ArrayLike) -> tuple[FractionArray, FractionArray]:
    x, g = to_fractions(input, "input"), to_fractions(grid, "grid")
    if x.ndim not in (4, 5):
        raise ValueError(f"input has shape {x.shape}, expected (N, C, H, W) or (N, C, D, H, W)")
    if 0 in x.shape[2:]:
        raise ValueError(f"input has shape {x.shape}: it has no pixels to read")
    if g.ndim != x.ndim or g.shape[-1] != x.ndim - 2 or g.shape[0] != x.shape[0]:
        layout = "(N, H_out, W_out, 2)" if x.ndim == 4 else "(N, D_out, H_out, W_out, 3)"
        raise ValueError(f"grid has shape {g.shape} but input has shape {x.shape}: expected {layout}, N={x.shape[0]}")
    return x, g


def _check_like(values: npt.ArrayLike, shape: tuple[int, ...], name: str) -> FractionArray:
    exact = to_fractions(values, name)
    ensure_shape(exact, shape, name)
    return exact
