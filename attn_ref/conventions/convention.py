"""A convention: what a system means by an image, a grid and a theta, as one small value with adapters.

Its functions take and return the system's own arrays, and are the core's functions with maps before and after them (see
:mod:`attn_ref.conventions.adapters`), so every derivative is the core's, carried through those maps.

The affine grid is B thetaᵀ, as in :mod:`attn_ref.ops.affine`, with the system's own base grid B in the system's own
order; where a system's matrix maps the source to the destination, theta is its inverse.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import prod
from typing import NamedTuple

from attn_ref import validation
from attn_ref.backend import Array
from attn_ref.conventions.adapters import base_rows, coordinates_back, coordinates_last, layout_of, sample_call
from attn_ref.conventions.pixel_maps import PIXEL_MAPS
from attn_ref.ops.affine import affine_inverse, affine_inverse_backward
from attn_ref.ops.sampling import GridSampleCotangents, grid_sample, grid_sample_backward

__all__ = ["Convention", "TransformCotangents"]


class TransformCotangents(NamedTuple):
    """Cotangents of the inputs of :meth:`Convention.transform`, each with its input's shape and dtype.

    Examples
    --------
    >>> import numpy as np
    >>> from attn_ref.conventions import convention
    >>> theta, image = np.array([[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]]), np.ones((1, 3, 4, 5))
    >>> grads = convention("pytorch", align_corners=False).transform_backward(image, image, theta)
    >>> grads.input.shape, grads.theta.shape
    ((1, 3, 4, 5), (1, 2, 3))
    """

    input: Array
    theta: Array


@dataclass(frozen=True)
class Convention:
    """How a system writes images, grids and affine maps, and what it means by them.

    Attributes
    ----------
    name : str
        By which :func:`convention` finds it.
    system : str
        The system, and its function where it has several.
    image_layout : str
        The axes of an image; "HW" is "DHW" in 3-D.
    grid_layout : str
        The axes of a grid, 2 standing for its coordinates.
    order : {"x first", "y first"}
        Which coordinate comes first, in grids and in theta.
    pixel_map : str
        The map in force, a name of :data:`PIXEL_MAPS`.
    base : str or None
        The base grid in force, a name of :data:`BASE_GRIDS`; None if the system has no affine grids.
    modes : mapping of str to str
        Its names of the core's modes, its default first.
    paddings : mapping of str to (str, bool or None)
        Its names of the core's paddings, its default first, and whether it reflects about the corner pixels' centres
        (True), their outer edges (False) or as ``align_corners`` says (None).
    source : str
        Where this was read.
    alignments : mapping of bool to (str, str)
        Pixel map and base grid for each value of ``align_corners``; empty if the system has no such option.
    gate : {"tap", "point"}
        Whether zeros are read tap by tap, or the whole point is 0 as soon as it lies outside [0, S − 1) along any axis.
    forward : bool
        Whether its matrix maps the source to the destination, and is inverted before it acts.
    axes : tuple of int
        The numbers of spatial axes that it has.
    remarks : str
        What else is to be known.

    Examples
    --------
    >>> from attn_ref.conventions import convention
    >>> chainer = convention("chainer")
    >>> chainer.grid_layout, chainer.order, chainer.pixel_map
    ('N2HW', 'x first', 'AC1')
    """

    name: str
    system: str
    image_layout: str
    grid_layout: str
    order: str
    pixel_map: str
    base: str | None
    modes: Mapping[str, str]
    paddings: Mapping[str, tuple[str, bool | None]]
    source: str
    alignments: Mapping[bool, tuple[str, str]]
    gate: str = "tap"
    forward: bool = False
    axes: tuple[int, ...] = (2,)
    remarks: str = ""

    def aligned(self, align_corners: bool | None) -> Convention:
        """Choose an alignment.

        Parameters
        ----------
        align_corners : bool or None
            None keeps the one in force.

        Returns
        -------
        Convention
            The same convention with that alignment in force.

        Raises
        ------
        TypeError
            If it is neither a bool nor None.
        ValueError
            If the system has no such alignment.
        """
        if align_corners is None:
            return self
        align_corners = validation.flag("align_corners", align_corners)
        if align_corners not in self.alignments:
            raise ValueError(
                f"align_corners={align_corners}: the convention {self.name!r} has only the map "
                f"{PIXEL_MAPS[self.pixel_map].formula}; leave align_corners out"
            )
        pixel_map, base = self.alignments[align_corners]
        return replace(self, pixel_map=pixel_map, base=base)

    def grid_sample(
        self,
        input: Array,
        grid: Array,
        *,
        mode: str | None = None,
        padding_mode: str | None = None,
        align_corners: bool | None = None,
    ) -> Array:
        """Sample an image as the system does.

        Parameters
        ----------
        input : array, of shape ``image_layout``
            The image. float64, float32 or float16.
        grid : array, of shape ``grid_layout``
            Where to sample, in the system's coordinates.
        mode, padding_mode : str, optional
            A name of ``modes`` and one of ``paddings``; the system's default by default.
        align_corners : bool, optional
            As in :meth:`aligned`.

        Returns
        -------
        array
            The samples, in the image's layout and dtype.

        Raises
        ------
        TypeError, ValueError, MemoryError
            As in :func:`attn_ref.grid_sample`; also if the system has not got the option.
        """
        call = sample_call(self.aligned(align_corners), {"input": input, "grid": grid}, mode, padding_mode)
        return call.finish_image(grid_sample(call.input, call.grid, **call.options))

    def grid_sample_backward(
        self,
        grad_output: Array,
        input: Array,
        grid: Array,
        *,
        mode: str | None = None,
        padding_mode: str | None = None,
        align_corners: bool | None = None,
    ) -> GridSampleCotangents:
        """Pull a cotangent of the output back to the image and the grid.

        Parameters
        ----------
        grad_output : array, shape of the output
            Cotangent of the output, in the image's layout.
        input, grid, mode, padding_mode, align_corners
            As in :meth:`grid_sample`.

        Returns
        -------
        GridSampleCotangents
            ``input`` and ``grid``, the latter per unit of the system's coordinates.

        Raises
        ------
        TypeError, ValueError, MemoryError
            As in :meth:`grid_sample`.
        """
        arrays = {"input": input, "grid": grid, "grad_output": grad_output}
        call = sample_call(self.aligned(align_corners), arrays, mode, padding_mode)
        grads = grid_sample_backward(call.image("grad_output"), call.input, call.grid, **call.options)
        with call.numbers.backend.quiet():
            return GridSampleCotangents(call.finish_image(grads.input), call.finish_grid(grads.grid))

    def affine_grid(self, theta: Array, size: tuple[int, ...], *, align_corners: bool | None = None) -> Array:
        """Make the sampling grid of an affine map as the system does.

        Parameters
        ----------
        theta : array, shape (N, d, d + 1), without N where ``grid_layout`` has none
            The map, in the system's order and coordinates.
        size : tuple of int
            The output's size as in :func:`attn_ref.affine_grid`, (N, C, H, W) or (N, C, D, H, W), whatever the layout
            of images; where ``grid_layout`` has no N, (H, W) or (D, H, W).
        align_corners : bool, optional
            As in :meth:`aligned`.

        Returns
        -------
        array, of shape ``grid_layout``
            The grid, in the system's coordinates.

        Raises
        ------
        TypeError, ValueError, MemoryError
            As in :func:`attn_ref.affine_grid`; ValueError also if the system has no affine grids, or inverts its
            matrix and that is singular.
        """
        chosen = self.aligned(align_corners)
        space = chosen._space(size)
        numbers = validation.numbers(theta=theta)
        chosen._check_theta(theta, size)
        xp, axes = numbers.backend.xp, len(space)
        theta = chosen._batched(numbers["theta"])
        wanted = (theta.shape[0], *space, axes)
        validation.allocatable("size", wanted, numbers.working, numbers.backend)
        if chosen.forward:
            theta = affine_inverse(theta)
        with numbers.backend.quiet():
            B = base_rows(chosen, numbers, space).reshape(prod(space), axes + 1)  # (P, d + 1)
            grid = xp.matmul(B, theta.swapaxes(1, 2)).reshape(wanted)  # in the system's order, as theta is
            return numbers.finish(coordinates_back(chosen, grid, xp))

    def affine_grid_backward(
        self,
        grad_grid: Array,
        size: tuple[int, ...],
        *,
        theta: Array | None = None,
        align_corners: bool | None = None,
    ) -> Array:
        """Pull a cotangent of the grid back to theta.

        Parameters
        ----------
        grad_grid : array, of shape ``grid_layout``
            Cotangent of the grid.
        size : tuple of int
            As in :meth:`affine_grid`.
        theta : array, optional
            The map; needed where the system inverts it (``forward``), for only then does the gradient depend on it.
        align_corners : bool, optional
            As in :meth:`aligned`.

        Returns
        -------
        array, shape of theta
            The cotangent of theta.

        Raises
        ------
        TypeError, ValueError
            As in :meth:`affine_grid`; TypeError also if theta is needed and not given.
        """
        chosen = self.aligned(align_corners)
        space = chosen._space(size)
        if chosen.forward and theta is None:
            raise TypeError(
                f"theta is required: the convention {self.name!r} inverts it, so its gradient depends on it"
            )
        optional = {"theta": theta} if theta is not None else {}
        numbers = validation.numbers(grad_grid=grad_grid, **optional)
        xp, axes = numbers.backend.xp, len(space)
        expected = chosen._grid_shape(size, space)
        validation.shape("grad_grid", grad_grid, expected, f"the shape of the grid of size {tuple(size)}")
        with numbers.backend.quiet():
            dg = coordinates_last(chosen, numbers["grad_grid"], xp)
            dg = dg.reshape(dg.shape[0], prod(space), axes)  # (N, P, d)
            B = base_rows(chosen, numbers, space).reshape(prod(space), axes + 1)
            grad = xp.matmul(dg.swapaxes(1, 2), B)  # (N, d, d + 1)
        if theta is not None:
            chosen._check_theta(theta, size)
        if chosen.forward:
            grad = affine_inverse_backward(xp.asarray(grad, order="C"), chosen._batched(numbers["theta"]))
        return numbers.finish(grad if "N" in chosen.grid_layout else grad[0])

    def transform(
        self,
        input: Array,
        theta: Array,
        output_size: tuple[int, ...] | None = None,
        *,
        mode: str | None = None,
        padding_mode: str | None = None,
        align_corners: bool | None = None,
    ) -> Array:
        """Warp an image by an affine map: affine grid and sampler in one, as systems without public grids offer it.

        Parameters
        ----------
        input : array, of shape ``image_layout``
            The image.
        theta : array
            As in :meth:`affine_grid`.
        output_size : tuple of int, optional
            The output's (H, W) or (D, H, W); the image's by default.
        mode, padding_mode, align_corners
            As in :meth:`grid_sample`.

        Returns
        -------
        array, of shape ``image_layout``
            The warped image.

        Raises
        ------
        TypeError, ValueError, MemoryError
            As in :meth:`affine_grid` and :meth:`grid_sample`.
        """
        chosen = self.aligned(align_corners)
        grid = chosen.affine_grid(theta, chosen._size_for(input, output_size))
        return chosen.grid_sample(input, grid, mode=mode, padding_mode=padding_mode)

    def transform_backward(
        self,
        grad_output: Array,
        input: Array,
        theta: Array,
        output_size: tuple[int, ...] | None = None,
        *,
        mode: str | None = None,
        padding_mode: str | None = None,
        align_corners: bool | None = None,
    ) -> TransformCotangents:
        """Pull a cotangent of the warped image back to the image and theta.

        Parameters
        ----------
        grad_output : array, shape of the output
            Cotangent of the output.
        input, theta, output_size, mode, padding_mode, align_corners
            As in :meth:`transform`.

        Returns
        -------
        TransformCotangents
            ``input`` and ``theta``.

        Raises
        ------
        TypeError, ValueError, MemoryError
            As in :meth:`transform`.
        """
        chosen = self.aligned(align_corners)
        size = chosen._size_for(input, output_size)
        grid = chosen.affine_grid(theta, size)
        grads = chosen.grid_sample_backward(grad_output, input, grid, mode=mode, padding_mode=padding_mode)
        return TransformCotangents(grads.input, chosen.affine_grid_backward(grads.grid, size, theta=theta))

    # ------------------------------------------------------------------------------------------------------------------

    def _space(self, size: tuple[int, ...]) -> tuple[int, ...]:
        """Check a size, and that there is an affine grid at all; return the spatial part."""
        if self.base is None:
            raise ValueError(f"the convention {self.name!r} ({self.system}) has no affine grids: it is sampled only")
        forms = {2: "NCHW", 3: "NCDHW"} if "N" in self.grid_layout else {2: "HW", 3: "DHW"}
        sizes = validation.sizes("size", size, [forms[axes] for axes in self.axes])
        return sizes[2:] if "N" in self.grid_layout else sizes

    def _check_theta(self, theta: Array, size: tuple[int, ...]) -> None:
        d = len(self._space(size))
        if "N" in self.grid_layout:
            validation.shape("theta", theta, (int(size[0]), d, d + 1), f"for size {tuple(size)} is {d}-D")
        else:
            validation.shape("theta", theta, (d, d + 1), f"for size {tuple(size)} is {d}-D, without a batch")

    def _batched(self, theta: Array) -> Array:
        return theta if "N" in self.grid_layout else theta[None]

    def _grid_shape(self, size: tuple[int, ...], space: tuple[int, ...]) -> tuple[int, ...]:
        batch = (int(size[0]),) if "N" in self.grid_layout else ()
        d = len(space)
        return (*batch, *space, d) if self.grid_layout.endswith("2") else (*batch, d, *space)

    def _size_for(self, input: Array, output_size: tuple[int, ...] | None) -> tuple[int, ...]:
        """The size that :meth:`affine_grid` takes, for an image."""
        validation.numbers(input=input)
        validation.axes("input", input, [layout_of(self.image_layout, axes) for axes in self.axes])
        axes, before = input.ndim - len(self.image_layout) + 2, self.image_layout.index("H")
        space = tuple(input.shape[before : before + axes])
        if output_size is not None:
            space = validation.sizes("output_size", output_size, ["HW" if axes == 2 else "DHW"])
        return (input.shape[0], 1, *space) if "N" in self.grid_layout else space
