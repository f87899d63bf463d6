"""Affine grids and the inverse of an affine map, written as the sums that define them.

theta holds the top rows of the matrix T = [[M, b], [0, 1]] that takes output coordinates (x, y, 1), or (x, y, z, 1),
to input coordinates; row 0 gives x (rule S4). Along an axis of S pixels the output coordinate of pixel i is

    2i/(S − 1) − 1  if corners are aligned (0 if S = 1),      (2i + 1)/S − 1  if not,

the inverse of "normalised to pixel" at the centres of the pixels (rules C2 and C3). A grid is linear in theta, so
the tangent of a grid is the grid of the tangent of theta and there is nothing more to differentiate.
"""

from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import product
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from attn_ref.exact.rationals import FractionArray, ensure_bool, ensure_shape, to_fractions, zeros

__all__ = [
    "AffineInverseSecondCotangents",
    "affine_grid",
    "affine_grid_backward",
    "affine_inverse",
    "affine_inverse_backward",
    "affine_inverse_double_backward",
    "affine_inverse_jvp",
]


class AffineInverseSecondCotangents(NamedTuple):
    """Cotangents of the two inputs of `affine_inverse_backward`."""

    grad_inverse: FractionArray
    theta: FractionArray


def affine_grid(theta: npt.ArrayLike, size: Sequence[int], *, align_corners: bool) -> FractionArray:
    """Apply an affine map to the centres of the output pixels: grid_a = Σ_j theta_aj · base_j.

    Parameters
    ----------
    theta : array_like, shape (N, 2, 3) or (N, 3, 4)
    size : sequence of int, (N, C, H, W) or (N, C, D, H, W)
        The size of the output; C is not used.
    align_corners : bool
        Whether −1 and 1 are the centres of the end pixels, or their outer edges.

    Returns
    -------
    ndarray of Fraction, shape (N, H, W, 2) or (N, D, H, W, 3)
        Last axis (x, y) or (x, y, z).

    Raises
    ------
    ValueError
        Shapes that do not fit together, or a number that is not finite.

    Examples
    --------
    >>> affine_grid([[[1, 0, 0], [0, 1, 0]]], (1, 1, 1, 3), align_corners=False)[0, 0, :, 0]
    array([Fraction(-2, 3), Fraction(0, 1), Fraction(2, 3)], dtype=object)
    """
    spatial = _check_size(size)
    matrices = to_fractions(theta, "theta")
    ensure_shape(matrices, (size[0], len(spatial), len(spatial) + 1), "theta")
    grid = zeros((size[0], *spatial, len(spatial)))
    for n, pixel, base in _base_points(size[0], spatial, align_corners):
        for a, j in product(range(len(spatial)), range(len(base))):
            grid[n, *pixel, a] += matrices[n, a, j] * base[j]
    return grid


def affine_grid_backward(grad_grid: npt.ArrayLike, size: Sequence[int], *, align_corners: bool) -> FractionArray:
    """Pull a cotangent of the grid back to theta: grad_theta_aj = Σ_pixels grad_grid_a · base_j.

    Parameters
    ----------
    grad_grid : array_like, shape (N, H, W, 2) or (N, D, H, W, 3)
    size, align_corners
        As in `affine_grid`.

    Returns
    -------
    ndarray of Fraction, shape (N, 2, 3) or (N, 3, 4)

    Raises
    ------
    TypeError, ValueError
        As in :func:`attn_ref.exact.affine_grid`.

    Examples
    --------
    >>> grad_grid = [[[[1, 0], [0, 0], [0, 0]]]]  # x of the first of three points
    >>> affine_grid_backward(grad_grid, (1, 1, 1, 3), align_corners=False)[0, 0]
    array([Fraction(-2, 3), Fraction(0, 1), Fraction(1, 1)], dtype=object)
    """
    spatial = _check_size(size)
    cotangent = to_fractions(grad_grid, "grad_grid")
    ensure_shape(cotangent, (size[0], *spatial, len(spatial)), "grad_grid")
    grad_theta = zeros((size[0], len(spatial), len(spatial) + 1))
    for n, pixel, base in _base_points(size[0], spatial, align_corners):
        for a, j in product(range(len(spatial)), range(len(base))):
            grad_theta[n, a, j] += cotangent[n, *pixel, a] * base[j]
    return grad_theta


def affine_inverse(theta: npt.ArrayLike) -> FractionArray:
    """Return theta of the inverse map: the top rows of P = T⁻¹, by P_ij = cofactor_ji / det.

    Parameters
    ----------
    theta : array_like, shape (N, 2, 3) or (N, 3, 4)

    Returns
    -------
    ndarray of Fraction, shape of `theta`

    Raises
    ------
    ValueError
        A wrong shape, a number that is not finite, or a map without an inverse.

    Examples
    --------
    >>> affine_inverse([[[3, 0, 1], [0, 2, 0]]])[0, 0]
    array([Fraction(1, 3), Fraction(0, 1), Fraction(-1, 3)], dtype=object)
    """
    matrices = _check_theta(theta, "theta")
    result = zeros(matrices.shape)
    for n in range(len(matrices)):
        inverse = _inverse(matrices[n], n)
        for i, j in _entries(matrices):
            result[n, i, j] = inverse[i][j]
    return result


def affine_inverse_backward(grad_inverse: npt.ArrayLike, theta: npt.ArrayLike) -> FractionArray:
    """Pull a cotangent G of the inverse back to theta.

    From dP = −P dT P:  grad_theta_ij = −Σ_kl P_ki G_kl P_jl.

    Parameters
    ----------
    grad_inverse, theta : array_like, shape (N, 2, 3) or (N, 3, 4)

    Returns
    -------
    ndarray of Fraction, shape of `theta`

    Raises
    ------
    TypeError, ValueError
        As in :func:`attn_ref.exact.affine_inverse`.

    Examples
    --------
    >>> affine_inverse_backward([[[1, 0, 0], [0, 0, 0]]], [[[3, 0, 0], [0, 2, 0]]])[0, 0, 0]  # -1/a**2
    Fraction(-1, 9)
    """
    matrices = _check_theta(theta, "theta")
    cotangent = _check_like(grad_inverse, matrices, "grad_inverse")
    result = zeros(matrices.shape)
    for n in range(len(matrices)):
        inverse = _inverse(matrices[n], n)
        for (i, j), (k, m) in product(_entries(matrices), repeat=2):
            result[n, i, j] -= inverse[k][i] * cotangent[n, k, m] * inverse[j][m]
    return result


def affine_inverse_jvp(theta: npt.ArrayLike, theta_tangent: npt.ArrayLike) -> FractionArray:
    """Push a tangent Ṫ of theta forward: Ṗ_kl = −Σ_ij P_ki Ṫ_ij P_jl.

    Parameters
    ----------
    theta, theta_tangent : array_like, shape (N, 2, 3) or (N, 3, 4)

    Returns
    -------
    ndarray of Fraction, shape of `theta`

    Raises
    ------
    TypeError, ValueError
        As in :func:`attn_ref.exact.affine_inverse`.

    Examples
    --------
    >>> affine_inverse_jvp([[[3, 0, 0], [0, 2, 0]]], [[[1, 0, 0], [0, 0, 0]]])[0, 0, 0]
    Fraction(-1, 9)
    """
    matrices = _check_theta(theta, "theta")
    tangent = _check_like(theta_tangent, matrices, "theta_tangent")
    result = zeros(matrices.shape)
    for n in range(len(matrices)):
        inverse = _inverse(matrices[n], n)
        for (k, m), (i, j) in product(_entries(matrices), repeat=2):
            result[n, k, m] -= inverse[k][i] * tangent[n, i, j] * inverse[j][m]
    return result


def affine_inverse_double_backward(
    grad_grad_theta: npt.ArrayLike, grad_inverse: npt.ArrayLike, theta: npt.ArrayLike
) -> AffineInverseSecondCotangents:
    """Pull a cotangent V of grad_theta back through `affine_inverse_backward`.

    That is, differentiate L = −Σ_ijkl V_ij P_ki G_kl P_jl. To G it is the tangent rule applied to V. P occurs
    twice: ∂L/∂P_ki = −Σ_jl V_ij G_kl P_jl and ∂L/∂P_jl = −Σ_ik V_ij G_kl P_ki; their sum goes back from P to theta
    by `affine_inverse_backward`. (The bottom row of P is constant and has no cotangent.)

    Parameters
    ----------
    grad_grad_theta, grad_inverse, theta : array_like, shape (N, 2, 3) or (N, 3, 4)

    Returns
    -------
    AffineInverseSecondCotangents
        Fields `grad_inverse` and `theta`.

    Raises
    ------
    TypeError, ValueError
        As in :func:`attn_ref.exact.affine_inverse`.

    Examples
    --------
    >>> one = [[[1, 0, 0], [0, 0, 0]]]
    >>> of_grad, of_theta = affine_inverse_double_backward(one, one, [[[3, 0, 0], [0, 2, 0]]])
    >>> of_grad[0, 0, 0], of_theta[0, 0, 0]  # -1/a**2 and 2/a**3
    (Fraction(-1, 9), Fraction(2, 27))
    """
    matrices = _check_theta(theta, "theta")
    cotangent = _check_like(grad_inverse, matrices, "grad_inverse")
    second = _check_like(grad_grad_theta, matrices, "grad_grad_theta")
    to_inverse = zeros(matrices.shape)
    for n in range(len(matrices)):
        inverse = _inverse(matrices[n], n)
        for (i, j), (k, m) in product(_entries(matrices), repeat=2):
            both = second[n, i, j] * cotangent[n, k, m]
            to_inverse[n, k, i] -= both * inverse[j][m]
            if j < matrices.shape[1]:
                to_inverse[n, j, m] -= both * inverse[k][i]
    return AffineInverseSecondCotangents(
        affine_inverse_jvp(matrices, second), affine_inverse_backward(to_inverse, matrices)
    )


def _base_points(
    batch: int, spatial: tuple[int, ...], align_corners: bool
) -> Iterator[tuple[int, tuple[int, ...], list[Fraction]]]:
    """Yield batch element, pixel ([z,] y, x) and its output coordinates (x, y[, z], 1)."""
    aligned = ensure_bool(align_corners, "align_corners")
    for n, *pixel in product(range(batch), *map(range, spatial)):
        centre = [_pixel_centre(i, s, aligned) for i, s in zip(pixel, spatial, strict=True)]
        yield n, tuple(pixel), [*reversed(centre), Fraction(1)]


def _pixel_centre(i: int, size: int, align_corners: bool) -> Fraction:
    if align_corners:
        return Fraction(2 * i, size - 1) - 1 if size > 1 else Fraction(0)
    return Fraction(2 * i + 1, size) - 1


def _inverse(theta: FractionArray, n: int) -> list[list[Fraction]]:
    """Return P = T⁻¹ of batch element n by cofactors, bottom row (0, …, 0, 1) included."""
    rows, columns = theta.shape
    matrix = [list(row) for row in theta] + [[Fraction(int(j == rows)) for j in range(columns)]]
    determinant = _determinant(matrix)
    if determinant == 0:
        raise ValueError(f"theta[{n}] has no inverse: its determinant is {determinant}")
    return [[_cofactor(matrix, j, i) / determinant for j in range(columns)] for i in range(columns)]


def _determinant(matrix: list[list[Fraction]]) -> Fraction:
    """Expand along the first row: det = Σ_j m_0j · cofactor_0j, and 1 for the empty matrix."""
    if not matrix:
        return Fraction(1)
    return sum((matrix[0][j] * _cofactor(matrix, 0, j) for j in range(len(matrix))), Fraction(0))


def _cofactor(matrix: list[list[Fraction]], i: int, j: int) -> Fraction:
    """Return (−1)^(i+j) times the determinant of the matrix without row i and column j."""
    minor = [row[:j] + row[j + 1 :] for k, row in enumerate(matrix) if k != i]
    return _determinant(minor) if (i + j) % 2 == 0 else -_determinant(minor)


def _entries(theta: FractionArray) -> list[tuple[int, int]]:
    """List the places (row, column) of one theta."""
    return list(np.ndindex(theta.shape[1:]))


def _check_size(size: Sequence[int]) -> tuple[int, ...]:
    if len(size) not in (4, 5) or any(s < 0 for s in size):
        raise ValueError(f"size is {tuple(size)}, expected (N, C, H, W) or (N, C, D, H, W), none negative")
    return tuple(size[2:])


def _check_theta(values: npt.ArrayLike, name: str) -> FractionArray:
    exact = to_fractions(values, name)
    if exact.shape[1:] not in ((2, 3), (3, 4)):
        raise ValueError(f"{name} has shape {exact.shape}, expected (N, 2, 3) or (N, 3, 4)")
    return exact


def _check_like(values: npt.ArrayLike, theta: FractionArray, name: str) -> FractionArray:
    exact = to_fractions(values, name)
    ensure_shape(exact, theta.shape, name)
    return exact
