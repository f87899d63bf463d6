"""Affine grids, and the inverse of an affine map.

A spatial transformer [1]_ predicts a matrix theta per sample, of shape (2, 3), or (3, 4) in 3-D. It maps *output*
coordinates to *input* coordinates: the output pixel whose centre has normalised coordinates (x, y) reads the input at

    grid[n, i, j] = theta[n] · (x_j, y_i, 1)

with x first. (x_j, y_i, 1) is the *base grid*, fixed by the output's size and by ``align_corners``. With the P output
pixels in d dimensions as rows of a matrix B (P, d+1),

    grid = B thetaᵀ

is linear in theta, so the derivatives are short (a dot is a tangent, dgrid a cotangent; see
:mod:`attn_ref.ops.sampling` for the notation):

    jvp              the tangent of the grid is  B θ̇ᵀ
    backward         dtheta = dgridᵀ B
    double backward  the cotangent of dgrid, given V of dtheta, is  B Vᵀ

The inverse of theta = [Θ | t], which a de-transformer [2]_ applies, is [Θ⁻¹ | −Θ⁻¹ t]. In homogeneous coordinates
T = [[Θ, t], [0, 1]] it is J = T⁻¹. From T J = I follows Ṫ J + T J̇ = 0, so

    jvp              J̇  = −J Ṫ J

and ⟨G, J̇⟩ = ⟨−Jᵀ G Jᵀ, Ṫ⟩ for a cotangent G of J, so

    backward         dT = −Jᵀ G Jᵀ

Let V be the cotangent of dT. L = ⟨V, −Jᵀ G Jᵀ⟩ is linear in G, and its rate of change along Ṫ, through both J, is
⟨V, Jᵀ Ṫᵀ Jᵀ G Jᵀ + Jᵀ G Jᵀ Ṫᵀ Jᵀ⟩. Collected:

    double backward  of G:  −J V J
                     of T:  Jᵀ (G Jᵀ Vᵀ + Vᵀ Jᵀ G) Jᵀ

all with the last row, which is constant, left out.

.. [1] M. Jaderberg et al., "Spatial Transformer Networks", NeurIPS 2015, equation (1).
.. [2] H.-S. Fang et al., "RMPE: Regional Multi-person Pose Estimation", ICCV 2017, section 3.2.
"""

from __future__ import annotations

from math import prod
from types import ModuleType
from typing import NamedTuple

from attn_ref import validation
from attn_ref.backend import Array, Backend
from attn_ref.ops.coordinates import pixel_centres
from attn_ref.validation import Numbers

__all__ = [
    "AffineInverseSecondCotangents",
    "affine_grid",
    "affine_grid_backward",
    "affine_grid_double_backward",
    "affine_grid_jvp",
    "affine_inverse",
    "affine_inverse_backward",
    "affine_inverse_double_backward",
    "affine_inverse_jvp",
]


class AffineInverseSecondCotangents(NamedTuple):
    """Cotangents of the inputs of :func:`affine_inverse_backward`.

    Examples
    --------
    >>> import numpy as np
    >>> theta = np.array([[[2.0, 0.0, 0.0], [0.0, 4.0, 0.0]]])
    >>> affine_inverse_double_backward(theta, theta, theta).theta.shape
    (1, 2, 3)
    """

    grad_inverse: Array
    theta: Array


# ---------------------------------------------------------------------------------------------------------------------
# affine_grid


def affine_grid(theta: Array, size: tuple[int, ...], *, align_corners: bool) -> Array:
    """Make the sampling grid of an affine map.

    Parameters
    ----------
    theta : array, shape (N, 2, 3) or (N, 3, 4)
        Maps output coordinates (x, y, 1) or (x, y, z, 1) to input coordinates, both normalised. Row 0 gives x.
        float64, float32 or float16.
    size : tuple of int
        Size of the output to sample, (N, C, H, W) or (N, C, D, H, W); C plays no part.
    align_corners : bool
        Whether -1 and 1 are the centres of the corner pixels or the outer edges of the image. Give the same to
        :func:`attn_ref.grid_sample`.

    Returns
    -------
    array, shape (N, H, W, 2) or (N, D, H, W, 3)
        Input coordinates of each output pixel, (x, y) or (x, y, z).

    Raises
    ------
    TypeError
        If theta is not an array of a supported library and dtype, size holds anything but integers, or align_corners
        is not a bool.
    ValueError
        If the shape of theta and size do not fit, or no machine could hold the grid.
    MemoryError
        If this machine refuses the memory for the grid.

    Notes
    -----
    grid[n, i, j] = theta[n] · (x_j, y_i, 1). The identity gives each pixel its own centre. An axis of one pixel with
    ``align_corners=True`` has its centre at 0. NaN or inf in theta is data.

    Examples
    --------
    >>> import numpy as np
    >>> identity = np.array([[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]])
    >>> affine_grid(identity, (1, 1, 1, 3), align_corners=False)[0, 0, :, 0]
    array([-0.66666667,  0.        ,  0.66666667])
    """
    return _grid("theta", theta, size, align_corners)


def affine_grid_backward(grad_grid: Array, size: tuple[int, ...], *, align_corners: bool) -> Array:
    """Pull a cotangent of the grid back to theta.

    Parameters
    ----------
    grad_grid : array, shape (N, H, W, 2) or (N, D, H, W, 3)
        Cotangent of the grid.
    size, align_corners
        As in :func:`affine_grid`.

    Returns
    -------
    array, shape (N, 2, 3) or (N, 3, 4)
        dtheta = dgridᵀ B. Zeros if the grid has no points.

    Raises
    ------
    TypeError, ValueError
        As in :func:`affine_grid`.

    Examples
    --------
    >>> import numpy as np
    >>> grad_grid = np.zeros((1, 2, 2, 2))
    >>> grad_grid[0, 0, 1, 0] = 1.0  # x of the point whose base coordinates are (1, -1)
    >>> affine_grid_backward(grad_grid, (1, 1, 2, 2), align_corners=True)
    array([[[ 1., -1.,  1.],
            [ 0.,  0.,  0.]]])
    """
    sizes, align_corners = _check_size(size, align_corners)
    call = validation.numbers(grad_grid=grad_grid)
    space = sizes[2:]
    validation.shape("grad_grid", grad_grid, (sizes[0], *space, len(space)), f"the shape of the grid of size {sizes}")
    if grad_grid.size == 0:
        return call.backend.xp.zeros((sizes[0], len(space), len(space) + 1), call.dtype)
    base = _base_grid(call, space, align_corners)  # (P, d+1)
    dg = call["grad_grid"].reshape(sizes[0], prod(space), len(space))  # (N, P, d)
    with call.backend.quiet():
        return call.finish(call.backend.xp.matmul(dg.swapaxes(1, 2), base))


def affine_grid_jvp(theta_tangent: Array, size: tuple[int, ...], *, align_corners: bool) -> Array:
    """Push a tangent of theta forward to the grid.

    Parameters
    ----------
    theta_tangent : array, shape (N, 2, 3) or (N, 3, 4)
        Direction in theta.
    size, align_corners
        As in :func:`affine_grid`.

    Returns
    -------
    array, shape of the grid
        The grid is linear in theta, so this is the grid of the tangent.

    Raises
    ------
    TypeError, ValueError, MemoryError
        As in :func:`affine_grid`.

    Examples
    --------
    >>> import numpy as np
    >>> right = np.array([[[0.0, 0.0, 1.0], [0.0, 0.0, 0.0]]])  # theta's translation moves in x
    >>> affine_grid_jvp(right, (1, 1, 1, 3), align_corners=False)[0, 0]
    array([[1., 0.],
           [1., 0.],
           [1., 0.]])
    """
    return _grid("theta_tangent", theta_tangent, size, align_corners)


def affine_grid_double_backward(grad_grad_theta: Array, size: tuple[int, ...], *, align_corners: bool) -> Array:
    """Pull a cotangent of :func:`affine_grid_backward`'s result back to ``grad_grid``.

    Parameters
    ----------
    grad_grad_theta : array, shape (N, 2, 3) or (N, 3, 4)
        Cotangent of dtheta.
    size, align_corners
        As in :func:`affine_grid`.

    Returns
    -------
    array, shape of the grid
        B Vᵀ, the grid of grad_grad_theta.

    Raises
    ------
    TypeError, ValueError, MemoryError
        As in :func:`affine_grid`.

    Examples
    --------
    >>> import numpy as np
    >>> direction = np.array([[[1.0, 0.0, 0.0], [0.0, 0.0, 0.0]]])
    >>> affine_grid_double_backward(direction, (1, 1, 1, 2), align_corners=True)[0, 0]  # as affine_grid_jvp
    array([[-1.,  0.],
           [ 1.,  0.]])
    """
    return _grid("grad_grad_theta", grad_grad_theta, size, align_corners)


def _grid(name: str, theta: Array, size: tuple[int, ...], align_corners: bool) -> Array:
    """B thetaᵀ, for a theta or a tangent or cotangent of one."""
    sizes, align_corners = _check_size(size, align_corners)
    call = validation.numbers(**{name: theta})
    space = sizes[2:]
    d = len(space)
    if theta.ndim != 3 or theta.shape[1:] != (d, d + 1):
        raise ValueError(f"{name} has shape {theta.shape}: expected (N, {d}, {d + 1}), for size {sizes} is {d}-D")
    if theta.shape[0] != sizes[0]:
        raise ValueError(f"{name} has batch size {theta.shape[0]} but size starts with {sizes[0]}: they must agree")
    wanted = (sizes[0], *space, d)
    validation.allocatable("size", wanted, call.dtype, call.backend)
    if 0 in wanted:
        return call.backend.xp.zeros(wanted, call.dtype)
    base = _base_grid(call, space, align_corners)  # (P, d+1)
    with call.backend.quiet():
        grid = call.backend.xp.matmul(base, call[name].swapaxes(1, 2))  # (N, P, d)
        return call.finish(grid.reshape(wanted))


def _check_size(size: object, align_corners: object) -> tuple[tuple[int, ...], bool]:
    sizes = validation.sizes("size", size, ("NCHW", "NCDHW"))
    return sizes, validation.flag("align_corners", align_corners)


def _base_grid(call: Numbers, space: tuple[int, ...], align_corners: bool) -> Array:
    """Rows (x, y, 1) or (x, y, z, 1) of the centres of all output pixels, x running fastest. (P, d+1)."""
    backend = call.backend
    axes = [pixel_centres(backend.xp, s, align_corners).astype(call.working) for s in space]
    mesh = backend.xp.meshgrid(*axes, indexing="ij")
    ones = backend.xp.ones(space, call.working)
    return backend.xp.stack([*reversed(mesh), ones], axis=-1).reshape(prod(space), len(space) + 1)


# ---------------------------------------------------------------------------------------------------------------------
# affine_inverse


def affine_inverse(theta: Array) -> Array:
    """Invert affine maps.

    Parameters
    ----------
    theta : array, shape (N, 2, 3) or (N, 3, 4)
        The maps [Θ | t]. float64, float32 or float16.

    Returns
    -------
    array, shape of theta
        [Θ⁻¹ | −Θ⁻¹ t]: composing it with theta, in either order, is the identity.

    Raises
    ------
    TypeError
        If theta is not an array of a supported library and dtype.
    ValueError
        If theta has another shape, or a map is singular to working precision: its determinant is at most d · eps times
        the sum of the magnitudes of its products, so that no digit of it is certain. The message names the batch
        element and the determinant.

    Notes
    -----
    By cofactors, after scaling each Θ by a power of two so that nothing overflows on the way. NaN or inf in theta is
    data: it gives NaN or 0 as the arithmetic does.

    Examples
    --------
    >>> import numpy as np
    >>> affine_inverse(np.array([[[2.0, 0.0, 1.0], [0.0, 4.0, 0.0]]]))
    array([[[ 0.5 ,  0.  , -0.5 ],
            [ 0.  ,  0.25,  0.  ]]])
    """
    call = _check_theta(theta=theta)
    with call.backend.quiet():
        return call.finish(_inverse(call.backend, call["theta"])[:, :-1])


def affine_inverse_backward(grad_inverse: Array, theta: Array) -> Array:
    """Pull a cotangent of the inverse back to theta.

    Parameters
    ----------
    grad_inverse : array, shape (N, 2, 3) or (N, 3, 4)
        Cotangent of the inverse.
    theta : array, shape of grad_inverse
        As in :func:`affine_inverse`.

    Returns
    -------
    array, shape of theta
        −Jᵀ G Jᵀ without its last row, J being the inverse.

    Raises
    ------
    TypeError, ValueError
        As in :func:`affine_inverse`.

    Examples
    --------
    >>> import numpy as np
    >>> theta = np.array([[[2.0, 0.0, 1.0], [0.0, 4.0, 0.0]]])
    >>> grad_inverse = np.array([[[0.0, 0.0, 1.0], [0.0, 0.0, 0.0]]])  # of the inverse's x translation, -1/2
    >>> affine_inverse_backward(grad_inverse, theta)
    array([[[ 0.25, -0.  , -0.5 ],
            [-0.  , -0.  , -0.  ]]])
    """
    call = _check_theta(theta=theta, grad_inverse=grad_inverse)
    with call.backend.quiet():
        Jt = _inverse(call.backend, call["theta"]).swapaxes(1, 2)
        G = _homogeneous(call.backend, call["grad_inverse"], last=0)
        return call.finish(-(Jt @ G @ Jt)[:, :-1])


def affine_inverse_jvp(theta: Array, theta_tangent: Array) -> Array:
    """Push a tangent of theta forward to the inverse.

    Parameters
    ----------
    theta, theta_tangent : array, shape (N, 2, 3) or (N, 3, 4)
        The maps and the direction.

    Returns
    -------
    array, shape of theta
        −J Ṫ J without its last row.

    Raises
    ------
    TypeError, ValueError
        As in :func:`affine_inverse`.

    Examples
    --------
    >>> import numpy as np
    >>> theta = np.array([[[2.0, 0.0, 1.0], [0.0, 4.0, 0.0]]])
    >>> faster = np.array([[[1.0, 0.0, 0.0], [0.0, 0.0, 0.0]]])
    >>> affine_inverse_jvp(theta, faster)[0, 0]  # 1/a at rate -1/a**2, -t/a at rate t/a**2
    array([-0.25, -0.  ,  0.25])
    """
    call = _check_theta(theta=theta, theta_tangent=theta_tangent)
    with call.backend.quiet():
        J = _inverse(call.backend, call["theta"])
        T_dot = _homogeneous(call.backend, call["theta_tangent"], last=0)
        return call.finish(-(J @ T_dot @ J)[:, :-1])


def affine_inverse_double_backward(
    grad_grad_theta: Array, grad_inverse: Array, theta: Array
) -> AffineInverseSecondCotangents:
    """Pull a cotangent of :func:`affine_inverse_backward`'s result back to its inputs.

    Parameters
    ----------
    grad_grad_theta : array, shape (N, 2, 3) or (N, 3, 4)
        Cotangent of dtheta.
    grad_inverse, theta : array, the same shape
        As in :func:`affine_inverse_backward`.

    Returns
    -------
    AffineInverseSecondCotangents
        ``grad_inverse``, −J V J, and ``theta``, Jᵀ (G Jᵀ Vᵀ + Vᵀ Jᵀ G) Jᵀ, both without the last row.

    Raises
    ------
    TypeError, ValueError
        As in :func:`affine_inverse`.

    Examples
    --------
    >>> import numpy as np
    >>> theta = np.array([[[2.0, 0.0, 0.0], [0.0, 4.0, 0.0]]])
    >>> one = np.array([[[1.0, 0.0, 0.0], [0.0, 0.0, 0.0]]])
    >>> second = affine_inverse_double_backward(one, one, theta)
    >>> float(second.grad_inverse[0, 0, 0]), float(second.theta[0, 0, 0])  # -1/a**2 and 2/a**3
    (-0.25, 0.25)
    """
    call = _check_theta(theta=theta, grad_inverse=grad_inverse, grad_grad_theta=grad_grad_theta)
    with call.backend.quiet():
        J = _inverse(call.backend, call["theta"])
        G = _homogeneous(call.backend, call["grad_inverse"], last=0)
        V = _homogeneous(call.backend, call["grad_grad_theta"], last=0)
        Jt, Vt = J.swapaxes(1, 2), V.swapaxes(1, 2)
        of_G = -(J @ V @ J)[:, :-1]
        of_T = (Jt @ (G @ Jt @ Vt + Vt @ Jt @ G) @ Jt)[:, :-1]
        return AffineInverseSecondCotangents(call.finish(of_G), call.finish(of_T))


def _check_theta(**arrays: Array) -> Numbers:
    """Check theta and arrays of its shape."""
    call = validation.numbers(**arrays)
    theta = arrays["theta"]
    if theta.ndim != 3 or theta.shape[1:] not in ((2, 3), (3, 4)):
        raise ValueError(f"theta has shape {theta.shape}: expected (N, 2, 3) or (N, 3, 4)")
    for name, array in arrays.items():
        validation.shape(name, array, theta.shape, "the shape of theta")
    return call


def _homogeneous(backend: Backend, theta: Array, *, last: int) -> Array:
    """Append the row (0, …, 0, last), last being 1 for a map, 0 for a tangent or cotangent. -> (N, d+1, d+1)."""
    n, d, _ = theta.shape
    row = backend.xp.zeros((n, 1, d + 1), theta.dtype)
    row[:, :, -1] = last
    return backend.xp.concatenate([theta, row], axis=1)


def _inverse(backend: Backend, theta: Array) -> Array:
    """J = T⁻¹ in homogeneous coordinates, (N, d, d+1) -> (N, d+1, d+1); ValueError where Θ is singular."""
    xp = backend.xp
    d = theta.shape[1]
    linear, shift = theta[:, :, :d], theta[:, :, d:]
    # Powers of two make the largest entry of each row, then of each column, about 1: Θ = 2ʳ unit 2ᶜ, exactly.
    r = _exponents(xp, linear, axis=2)  # (N, d, 1)
    unit = xp.ldexp(linear, -r)
    c = _exponents(xp, unit, axis=1)  # (N, 1, d)
    unit = xp.ldexp(unit, -c)
    cofactors, terms = _cofactors(xp, unit)
    determinant = (unit[:, 0] * cofactors[:, 0]).sum(axis=1)  # (N,)
    rounding = d * float(xp.finfo(theta.dtype).eps) * terms
    singular = (xp.abs(determinant) <= rounding) & xp.isfinite(determinant)  # NaN and inf are data
    if bool(singular.any()):
        n = int(xp.argmax(singular))
        value = float(xp.ldexp(determinant, r.sum(axis=(1, 2)) + c.sum(axis=(1, 2)))[n])
        raise ValueError(
            f"theta is singular in batch element {n}: its determinant is {value:.6g}, within rounding error of 0, so "
            "it has no inverse; keep its rows independent and its scale away from 0"
        )
    inverse = cofactors.swapaxes(1, 2) / determinant[:, None, None]
    inverse = xp.ldexp(xp.ldexp(inverse, -c.swapaxes(1, 2)), -r.swapaxes(1, 2))
    return _homogeneous(backend, xp.concatenate([inverse, 0 - inverse @ shift], axis=2), last=1)


def _exponents(xp: ModuleType, A: Array, axis: int) -> Array:
    """Exponent of the largest magnitude along an axis; of 1 where that is 0, inf or NaN."""
    largest = xp.abs(A).max(axis=axis, keepdims=True)
    _, exponent = xp.frexp(xp.where(xp.isfinite(largest) & (largest > 0), largest, xp.ones_like(largest)))
    return exponent


def _cofactors(xp: ModuleType, A: Array) -> tuple[Array, Array]:
    """Cofactors of A (N, d, d), and the sum of the magnitudes of all products in its determinant (N,)."""
    if A.shape[1] == 2:  # 0 − x is never −0
        cofactors = xp.stack([A[:, 1, 1], 0 - A[:, 1, 0], 0 - A[:, 0, 1], A[:, 0, 0]], axis=1).reshape(A.shape)
        return cofactors, (xp.abs(A[:, 0]) * xp.abs(cofactors[:, 0])).sum(axis=1)
    # Rows and columns taken cyclically, the sign of a 3×3 cofactor is always +.
    rows = xp.concatenate([A, A], axis=1)
    A2 = xp.concatenate([rows, rows], axis=2)  # (N, 6, 6)
    left = A2[:, 1:4, 1:4] * A2[:, 2:5, 2:5]
    right = A2[:, 1:4, 2:5] * A2[:, 2:5, 1:4]
    return left - right, (xp.abs(A[:, 0]) * (xp.abs(left[:, 0]) + xp.abs(right[:, 0]))).sum(axis=1)
