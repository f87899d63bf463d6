"""Converters: a theta or a grid of one system as the theta or grid of another.

Both go by way of pixels, which mean the same to everybody. With x first, an affine map takes output pixel i to the
input pixel

    p = a ∘ (Θ (o + s ∘ i) + t) + b

where o + s i is the base grid of the output's size and p = a g + b the pixel map of the input's. So its *pixel matrix*,
from output pixels to input pixels, is

    [a Θ s | a ∘ (Θ o + t) + b]

from which Θ and t follow backwards as long as no a and no s is 0. Systems that take theta with y first have its rows
and its first columns reversed; those whose matrix maps the source to the destination have its inverse.
"""

from __future__ import annotations

from attn_ref import validation
from attn_ref.backend import Array
from attn_ref.conventions.adapters import coordinates_back, coordinates_last, x_first
from attn_ref.conventions.convention import Convention
from attn_ref.conventions.pixel_maps import BASE_GRIDS, PIXEL_MAPS
from attn_ref.conventions.presets import CONVENTIONS
from attn_ref.ops.affine import affine_inverse
from attn_ref.validation import Numbers

__all__ = ["convert_grid", "convert_theta", "swap_theta_order", "theta_from_pixels", "theta_to_pixels"]


def swap_theta_order(theta: Array) -> Array:
    """Bring theta from y, x order to x, y order, or back: rows and first columns are reversed.

    Parameters
    ----------
    theta : array, shape (N, 2, 3) or (N, 3, 4)
        The map, on (y, x, 1) or on (x, y, 1).

    Returns
    -------
    array, shape of theta
        The same map in the other order.

    Raises
    ------
    TypeError, ValueError
        If theta is not an array of that kind.

    Examples
    --------
    >>> import numpy as np
    >>> swap_theta_order(np.array([[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]]))
    array([[[5., 4., 6.],
            [2., 1., 3.]]])
    """
    numbers, _ = _checked("theta", theta)
    return numbers.finish(_reversed(numbers, numbers["theta"]))


def theta_to_pixels(
    theta: Array, source: str | Convention, input_size: tuple[int, ...], output_size: tuple[int, ...]
) -> Array:
    """Convert a system's theta to the matrix from output pixels to input pixels, x first.

    Parameters
    ----------
    theta : array, shape (N, 2, 3) or (N, 3, 4)
        The map as the system writes it; with N also where the system has no batches.
    source : str or Convention
        The system: a name of :data:`CONVENTIONS` or what :func:`convention` returns, with its alignment.
    input_size, output_size : tuple of int
        (H, W) or (D, H, W) of what is read and of what is made.

    Returns
    -------
    array, shape of theta
        Maps (x, y, 1) in output pixels to input pixels: OpenCV's M with WARP_INVERSE_MAP.

    Raises
    ------
    TypeError, ValueError
        If the arguments do not fit, or the system has no affine grids; ValueError also if it inverts its matrix and
        that is singular.

    Examples
    --------
    >>> import numpy as np
    >>> identity = np.array([[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]])
    >>> theta_to_pixels(identity, "stn_pytorch_bhwd", (4, 4), (4, 4))
    array([[[0.75, 0.  , 0.  ],
            [0.  , 0.75, 0.  ]]])
    """
    chosen = _resolved("source", source)
    numbers, axes = _checked("theta", theta)
    a, b, s, o = _coefficients(chosen, numbers, axes, input_size, output_size)
    T = numbers["theta"]
    T = T if chosen.order == "x first" else _reversed(numbers, T)
    T = affine_inverse(T) if chosen.forward else T
    with numbers.backend.quiet():
        linear, shift = T[:, :, :axes], T[:, :, axes]
        shift = a * ((linear * o).sum(axis=2) + shift) + b  # (N, d)
        pixels = numbers.backend.xp.concatenate([a[:, None] * linear * s, shift[:, :, None]], axis=2)
    return numbers.finish(pixels)


def theta_from_pixels(
    matrix: Array, target: str | Convention, input_size: tuple[int, ...], output_size: tuple[int, ...]
) -> Array:
    """Convert a matrix from output pixels to input pixels, x first, to a system's theta.

    Parameters
    ----------
    matrix : array, shape (N, 2, 3) or (N, 3, 4)
        As :func:`theta_to_pixels` returns it.
    target : str or Convention
        The system.
    input_size, output_size : tuple of int
        As in :func:`theta_to_pixels`.

    Returns
    -------
    array, shape of matrix
        The map as the system writes it.

    Raises
    ------
    TypeError, ValueError
        As in :func:`theta_to_pixels`; ValueError also if a size leaves theta undetermined, as one pixel between
        aligned corners does.

    Examples
    --------
    A pixel to the right, for PyTorch:

    >>> import numpy as np
    >>> matrix = np.array([[[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]]])
    >>> theta_from_pixels(matrix, "pytorch", (4, 8), (4, 8))
    array([[[1.  , 0.  , 0.25],
            [0.  , 1.  , 0.  ]]])
    """
    chosen = _resolved("target", target)
    numbers, axes = _checked("matrix", matrix)
    a, b, s, o = _coefficients(chosen, numbers, axes, input_size, output_size)
    for name, factors, size in (("input_size", a, input_size), ("output_size", s, output_size)):
        if bool((factors == 0).any()):
            raise ValueError(
                f"{name}={tuple(size)} leaves theta undetermined in the convention {chosen.name!r}: along an axis all "
                "coordinates are the same pixel"
            )
    with numbers.backend.quiet():
        P = numbers["matrix"]
        linear = P[:, :, :axes] / (a[:, None] * s)
        shift = (P[:, :, axes] - b) / a - (linear * o).sum(axis=2)
        T = numbers.backend.xp.concatenate([linear, shift[:, :, None]], axis=2)
    T = affine_inverse(T) if chosen.forward else T
    return numbers.finish(T if chosen.order == "x first" else _reversed(numbers, T))


def convert_theta(
    theta: Array,
    source: str | Convention,
    target: str | Convention,
    input_size: tuple[int, ...],
    output_size: tuple[int, ...],
) -> Array:
    """Convert theta from one system to another, so that every output pixel reads the same place.

    Parameters
    ----------
    theta : array, shape (N, 2, 3) or (N, 3, 4)
        The map as the source writes it.
    source, target : str or Convention
        The systems; ``convention("pytorch", align_corners=True)`` is PyTorch with that alignment.
    input_size, output_size : tuple of int
        As in :func:`theta_to_pixels`.

    Returns
    -------
    array, shape of theta
        The map as the target writes it.

    Raises
    ------
    TypeError, ValueError
        As in :func:`theta_to_pixels` and :func:`theta_from_pixels`.

    Examples
    --------
    Half a turn of RMPE is about pixel S/2, and so ends a whole pixel further than PyTorch's, which is about (S − 1)/2:

    >>> import numpy as np
    >>> turn = np.array([[[-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]]])
    >>> convert_theta(turn, "rmpe", "pytorch", (4, 4), (4, 4))
    array([[[-1. ,  0. ,  0.5],
            [ 0. , -1. ,  0.5]]])
    """
    source, target = _resolved("source", source), _resolved("target", target)
    return theta_from_pixels(theta_to_pixels(theta, source, input_size, output_size), target, input_size, output_size)


def convert_grid(grid: Array, source: str | Convention, target: str | Convention, input_size: tuple[int, ...]) -> Array:
    """Convert a grid from one system to another, so that every point is the same place.

    Parameters
    ----------
    grid : array, of the source's ``grid_layout``
        The grid.
    source, target : str or Convention
        The systems, as in :func:`convert_theta`.
    input_size : tuple of int
        (H, W) or (D, H, W) of the image that is sampled.

    Returns
    -------
    array, of the target's ``grid_layout``
        The grid of the same dtype. A grid without a batch becomes one of a batch of one, and back.

    Raises
    ------
    TypeError, ValueError
        If the arguments do not fit, the target has no batches and there are several, or a size leaves the target's
        coordinates undetermined.

    Examples
    --------
    >>> import numpy as np
    >>> grid = np.array([[[[-1.0, 0.0]]]])  # x, y: the left edge
    >>> convert_grid(grid, "pytorch", "scipy", (3, 4)).ravel()  # pixels, y first
    array([ 1. , -0.5])
    """
    before, after = _resolved("source", source), _resolved("target", target)
    numbers = validation.numbers(grid=grid)
    sizes = validation.sizes("input_size", input_size, ["HW", "DHW"], least=1)
    xp, axes = numbers.backend.xp, len(sizes)
    at = grid.ndim - 1 if before.grid_layout.endswith("2") else before.grid_layout.index("2")
    if grid.ndim != len(before.grid_layout) + axes - 2 or grid.shape[at] != axes:
        raise ValueError(
            f"grid has shape {grid.shape}: expected {before.grid_layout} of {axes} coordinates, for input_size "
            f"{sizes} is {axes}-D"
        )
    points = coordinates_last(before, numbers["grid"], xp)
    if "N" not in after.grid_layout and points.shape[0] != 1:
        raise ValueError(f"grid has batch size {points.shape[0]}: {after.name!r} has no batches; convert one at a time")
    if before.pixel_map != after.pixel_map:
        with numbers.backend.quiet():
            points = x_first(before, points)
            parts = [_moved(before, after, points, a, sizes[-1 - a], xp) for a in range(axes)]
            points = x_first(before, xp.stack(parts, axis=-1))
    points = points if before.order == after.order else points[..., ::-1]
    return numbers.finish(xp.array(coordinates_back(after, points, xp)))


def _moved(before: Convention, after: Convention, points: Array, a: int, size: int, xp: object) -> Array:
    """Component a of a grid, x first, from one system's coordinates to another's."""
    there, here = PIXEL_MAPS[before.pixel_map], PIXEL_MAPS[after.pixel_map]
    scale = here.scale(size)
    if scale == 0:
        raise ValueError(f"input_size has {size} along an axis: all coordinates of {after.name!r} are the same pixel")
    index = xp.arange(points.shape[-2 - a], dtype=points.dtype).reshape(-1, *[1] * a)  # type: ignore[attr-defined]
    p = there.pixels(points[..., a], size, index)
    p = p - index if here.flow else p
    return (p - here.offset) / scale - here.shift


def _resolved(name: str, value: str | Convention) -> Convention:
    """A convention, or one by its name."""
    return value if isinstance(value, Convention) else CONVENTIONS[validation.choice(name, value, CONVENTIONS)]


def _checked(name: str, theta: Array) -> tuple[Numbers, int]:
    numbers = validation.numbers(**{name: theta})
    if theta.ndim != 3 or theta.shape[1:] not in ((2, 3), (3, 4)):
        raise ValueError(f"{name} has shape {theta.shape}: expected (N, 2, 3) or (N, 3, 4)")
    return numbers, theta.shape[1]


def _reversed(numbers: Numbers, T: Array) -> Array:
    """Rows and first columns in reverse order."""
    axes = T.shape[1]
    xp = numbers.backend.xp
    return xp.concatenate([T[:, ::-1, :axes][:, :, ::-1], T[:, ::-1, axes:]], axis=2)


def _coefficients(
    chosen: Convention, numbers: Numbers, axes: int, input_size: tuple[int, ...], output_size: tuple[int, ...]
) -> tuple[Array, Array, Array, Array]:
    """(a, b, s, o) of the head of this module, x first, (d,) each."""
    if chosen.base is None:
        raise ValueError(f"the convention {chosen.name!r} ({chosen.system}) has no affine grids, so no theta")
    form = ["HW" if axes == 2 else "DHW"]
    inputs = validation.sizes("input_size", input_size, form, least=1)[::-1]
    outputs = validation.sizes("output_size", output_size, form, least=1)[::-1]
    pixel_map, base = PIXEL_MAPS[chosen.pixel_map], BASE_GRIDS[chosen.base]
    a = [float(pixel_map.scale(size)) for size in inputs]
    b = [pixel_map.shift * scale + pixel_map.offset for scale in a]
    columns = (a, b, [base.step(size) for size in outputs], [base.start(size) for size in outputs])
    xp, dtype = numbers.backend.xp, numbers.working
    return xp.asarray(a, dtype), xp.asarray(b, dtype), xp.asarray(columns[2], dtype), xp.asarray(columns[3], dtype)
