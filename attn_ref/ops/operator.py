"""The sampler as an object: one grid, made once into a sparse matrix, then applied to many images."""

from __future__ import annotations

from dataclasses import replace
from math import prod
from numbers import Integral

from scipy import sparse

from attn_ref import _execute, validation
from attn_ref.backend import Array
from attn_ref.ops.taps import TapTable, check_options, image_of_rows, rows_of_image, taps_of
from attn_ref.validation import Numbers

__all__ = ["SamplingOperator", "sampling_operator"]


class SamplingOperator:
    """The linear operator S of a grid: ``apply`` is Y = S X, ``transpose`` is X = Sᵀ Y.

    Made by :func:`sampling_operator`. The geometry (which pixels, which weights) is computed once, when it is made;
    the object keeps nothing else and never changes, so it may be shared between threads.

    Attributes
    ----------
    input_size, output_size : tuple of int
        Spatial sizes of the images it reads and writes, (H, W) or (D, H, W).
    batch : int
        Number of samples N, each with its own points.
    shape : tuple of int
        Shape of the matrix: (N · output pixels, N · input pixels).
    dtype : numpy.dtype
        Dtype of the grid, and of the images it takes.

    Examples
    --------
    Reading halfway between two pixels, and what that does to a cotangent:

    >>> import numpy as np
    >>> S = sampling_operator(np.array([[[[0.0, 0.0]]]]), (1, 2), align_corners=True)
    >>> S.matrix.toarray()
    array([[0.5, 0.5]])
    >>> S.transpose(np.array([[[[8.0]]]]))
    array([[[[4., 4.]]]])
    """

    def __init__(self, call: Numbers, table: TapTable, output_size: tuple[int, ...]) -> None:
        self._call = call
        self._table = table
        self.input_size = table.space
        self.output_size = output_size
        self.batch = table.batch
        self.shape = (self.batch * prod(output_size), table.pixels)
        self.dtype = call.dtype

    def __repr__(self) -> str:
        return (
            f"SamplingOperator({self.shape[0]} points of {self.batch} × {self.output_size}, "
            f"{self._table.taps} taps each, of images {self.input_size}, {self.dtype}, "
            f"{self._call.backend.name})"
        )

    @property
    def matrix(self) -> sparse.csr_array:
        """S as a SciPy CSR matrix on the host, in the precision that is computed with.

        Shape ``shape``: row n·P + p is point p of sample n, column n·R + r is pixel r of sample n, both counted along
        the last axis first. Taps outside the image have no entry, taps that fall on one pixel are added up. A tap of
        weight 0 inside the image is an entry; ``matrix.eliminate_zeros()`` removes those. The rows of points with a
        NaN coordinate are empty.
        """
        return self.derivative_matrix()

    def derivative_matrix(self, *axes: int) -> sparse.csr_array:
        """Return S differentiated with respect to grid coordinates, as a SciPy CSR matrix on the host.

        Parameters
        ----------
        *axes : int
            None for S, one for S_a = ∂S/∂g_a, two for the second derivative; 0 is x, 1 is y, 2 is z.

        Returns
        -------
        scipy.sparse.csr_array, shape ``shape``
            Per unit of normalised coordinate.

        Raises
        ------
        TypeError
            If an axis is not an integer.
        ValueError
            If an axis does not exist or more than two are given.
        """
        known = tuple(self._table.axes)
        if any(isinstance(a, bool) or not isinstance(a, Integral) for a in axes):
            raise TypeError(f"axes must be integers, at most two of {known}, got {validation.shown(axes)}")
        if len(axes) > 2 or any(a not in known for a in axes):
            raise ValueError(f"axes must be at most two of {known}, got {validation.shown(axes)}")
        to_host = self._call.backend.to_host
        with self._call.backend.quiet():
            weight = to_host(self._table.weight(*axes))
        full = _execute.csr(to_host(self._table.index), weight, self._table.pixels + 1)
        matrix = full[:, :-1]
        matrix.sum_duplicates()
        return matrix

    def apply(self, input: Array, *, channels_last: bool = False) -> Array:
        """Sample an image: the same as :func:`attn_ref.grid_sample` on this operator's grid.

        Parameters
        ----------
        input : array, shape (N, C, *input_size), or (N, *input_size, C) with ``channels_last``
            The image.
        channels_last : bool
            Where the channels are.

        Returns
        -------
        array, shape (N, C, *output_size), or (N, *output_size, C)
            The samples.

        Raises
        ------
        TypeError, ValueError
            If the image does not fit the operator's library, dtype or sizes.
        """
        X = self._rows("input", input, self.input_size, channels_last)
        with self._call.backend.quiet():
            return self._image(self._table.apply(X), self.output_size, channels_last)

    def transpose(self, grad_output: Array, *, channels_last: bool = False) -> Array:
        """Spread a cotangent of the output over the image: ``input`` of :func:`attn_ref.grid_sample_backward`.

        Parameters
        ----------
        grad_output : array, shape (N, C, *output_size), or (N, *output_size, C) with ``channels_last``
            Cotangent of the output.
        channels_last : bool
            Where the channels are.

        Returns
        -------
        array, shape (N, C, *input_size), or (N, *input_size, C)
            Sᵀ dY.

        Raises
        ------
        TypeError, ValueError
            If the cotangent does not fit the operator's library, dtype or sizes.
        """
        dY = self._rows("grad_output", grad_output, self.output_size, channels_last)
        with self._call.backend.quiet():
            return self._image(self._table.transpose(dY), self.input_size, channels_last)

    def grid_gradient(self, grad_output: Array, input: Array, *, channels_last: bool = False) -> Array:
        """Pull a cotangent of the output back to the grid: ``grid`` of :func:`attn_ref.grid_sample_backward`.

        Parameters
        ----------
        grad_output, input : array
            As in ``transpose`` and ``apply``.
        channels_last : bool
            Where the channels of both are.

        Returns
        -------
        array, shape (N, *output_size, d)
            Σ_c dY ∘ (S_a X), per unit of normalised coordinate.

        Raises
        ------
        TypeError, ValueError
            If an argument does not fit the operator, or they do not fit each other.
        """
        X = self._rows("input", input, self.input_size, channels_last)
        dY = self._rows("grad_output", grad_output, self.output_size, channels_last)
        if X.shape[2] != dY.shape[2]:
            raise ValueError(f"grad_output has {dY.shape[2]} channels but input has {X.shape[2]}: they must agree")
        with self._call.backend.quiet():
            gradient = self._table.gradient(self._table.dot(dY, X))
        return self._call.finish(gradient.reshape(self.batch, *self.output_size, len(self.input_size)))

    def _rows(self, name: str, image: Array, space: tuple[int, ...], channels_last: bool) -> Array:
        channels_last = validation.flag("channels_last", channels_last)
        call = validation.numbers(**{name: image})
        if call.backend is not self._call.backend:
            raise TypeError(
                f"{name} is a {call.backend.name} array but the grid of this operator is a "
                f"{self._call.backend.name} array: convert one of them"
            )
        if call.dtype != self.dtype:
            raise TypeError(f"{name} has dtype {call.dtype} but the grid of this operator has {self.dtype}; convert it")
        channels = image.shape[-1 if channels_last else 1] if image.ndim > 1 else 0
        wanted = (self.batch, *space, channels) if channels_last else (self.batch, channels, *space)
        validation.shape(name, image, wanted, "for this operator")
        for size in (self.input_size, self.output_size):
            validation.allocatable(name, (self.batch, channels, *size), call.working, call.backend)
        return rows_of_image(call[name], channels_last)

    def _image(self, rows: Array, space: tuple[int, ...], channels_last: bool) -> Array:
        return self._call.finish(image_of_rows(rows, space, channels_last))


def sampling_operator(
    grid: Array,
    input_size: tuple[int, ...],
    *,
    mode: str = "bilinear",
    padding_mode: str = "zeros",
    align_corners: bool,
) -> SamplingOperator:
    """Make the sampler of a grid, to look at it or to use it for many images.

    Parameters
    ----------
    grid : array, shape (N, H_out, W_out, 2) or (N, D_out, H_out, W_out, 3)
        Sample points in normalised coordinates, x first.
    input_size : tuple of int
        Spatial size of the images, (H, W) or (D, H, W), each at least 1.
    mode, padding_mode, align_corners
        As in :func:`attn_ref.grid_sample`.

    Returns
    -------
    SamplingOperator
        The sparse linear operator from images to samples.

    Raises
    ------
    TypeError, ValueError
        As in :func:`attn_ref.grid_sample`; a bad ``input_size`` is named.
    MemoryError
        If this machine refuses the memory for the taps.

    Examples
    --------
    >>> import numpy as np
    >>> S = sampling_operator(np.array([[[[-0.5, 0.0]]]]), (1, 2), align_corners=True)  # one point on 1 x 2 pixels
    >>> S.apply(np.array([[[[10.0, 20.0]]]])), S.apply(np.array([[[[0.0, 4.0]]]]))  # two images, one table of taps
    (array([[[[12.5]]]]), array([[[[1.]]]]))
    """
    space = validation.sizes("input_size", input_size, ("HW", "DHW"), least=1)
    call = validation.numbers(grid=grid)
    mode, padding_mode, align_corners = check_options(mode, padding_mode, align_corners)
    validation.grid_for(grid.shape, len(space), f"input_size {space} is {len(space)}-D")
    if grid.shape[0] * prod(space) >= 2**62:
        raise ValueError(f"input_size={space} has more pixels than an index can count")
    taps = (*grid.shape[:-1], taps_of(mode, len(space)))
    validation.allocatable("grid", taps, call.working, call.backend)
    with call.backend.quiet():
        table = TapTable(call.backend, call.backend.xp.array(call["grid"]), space, mode, padding_mode, align_corners)
    return SamplingOperator(replace(call, given={}), table, tuple(grid.shape[1:-1]))
