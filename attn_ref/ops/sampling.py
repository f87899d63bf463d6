"""Grid sampling: read an image at arbitrary points, and every derivative of doing so.

The sampler of spatial transformer networks [1]_. The output at a point is the interpolated image there,

    y[n, :, i, j] = Σ_k w_k(grid[n, i, j]) · x[n, :, tap_k(grid[n, i, j])]

with K taps a point: 1 for nearest, 4 for bilinear, 16 for bicubic; 8 and 64 for trilinear and tricubic.

The idea
--------
For a given grid this is *linear* in the image. Write the image as rows X, a pixel a row with its C channels, and the
output as rows Y, a sample point a row. Then

    Y = S(g) X

where S is a sparse matrix with K entries a row: the weights. Every derivative of the sampler is S itself, its
transpose, or S with one or two factors of its weights differentiated: S_a is S with each row differentiated with
respect to coordinate a (x, y or z) of its own point, and S_ab with respect to two of them.

Notation
--------
A dot is a *tangent*: Ẏ is the rate at which Y changes as X and g move in a direction (Ẋ, ġ). dY is a *cotangent*: the
derivative of a scalar loss with respect to Y, of Y's shape; likewise dX and dg. ⟨A, B⟩ is the sum of the products of
all entries, ∘ multiplies entry by entry (a column by every channel), and Σ_c sums over channels. The *jvp* takes a
tangent forward (Jacobian times vector), the *backward* takes a cotangent back (its transpose times vector).

The derivation
--------------
*jvp*. Differentiate Y = S(g) X by the product rule, in direction (Ẋ, ġ). A row of S depends on its own point only, so
ġ_a multiplies rows:

    Ẏ = S Ẋ + Σ_a ġ_a ∘ (S_a X)                                                   (1)

*backward*. A scalar loss changes by ⟨dY, Ẏ⟩. Insert (1) and collect what multiplies Ẋ and each ġ_a:

    ⟨dY, S Ẋ⟩ = ⟨Sᵀ dY, Ẋ⟩              so    dX   = Sᵀ dY                          (2)
    ⟨dY, ġ_a ∘ (S_a X)⟩                 so    dg_a = Σ_c dY ∘ (S_a X)               (3)

*double backward*. Let U and v be the cotangents of dX and dg. The scalar to differentiate is

    L = ⟨U, Sᵀ dY⟩ + Σ_a ⟨v_a, Σ_c dY ∘ (S_a X)⟩ = ⟨dY, S U + Σ_a v_a ∘ (S_a X)⟩

It is linear in dY and in X, and depends on g through S and S_a:

    dY :  S U + Σ_a v_a ∘ (S_a X)                                                  (4)
    X  :  Σ_a S_aᵀ (v_a ∘ dY)                                                      (5)
    g_a:  Σ_c dY ∘ (S_a U) + Σ_b v_b ∘ Σ_c dY ∘ (S_ab X)                           (6)

Note that (4) is (1) in the direction (U, v): that part of the double backward is a jvp.

How S is made from a grid is in :mod:`attn_ref.ops.taps`. Each of N samples has P sample points, R pixels and its own
block of S: X is (N, R, C) and Y is (N, P, C). Three methods need a word: ``S.apply(X, a)`` is S_a X, and
``S.weigh(S.dot(Y, X), a)`` is Σ_c Y ∘ (S_a X), where the dot products of Y's row with the K rows of X that its point
reads are formed once and then serve every derivative; ``S.gradient(S.dot(Y, X))`` has the components of all axes. The
backward pass, ``S.pull_back(dY, X)``, is ``S.transpose(dY)`` and ``S.gradient(S.dot(dY, X))`` in one go.

.. [1] M. Jaderberg, K. Simonyan, A. Zisserman, K. Kavukcuoglu, "Spatial Transformer Networks", NeurIPS 2015,
   section 3.3.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import NamedTuple

from attn_ref import validation
from attn_ref.backend import Array
from attn_ref.ops.taps import TapTable, check_options, image_of_rows, rows_of_image, taps_of
from attn_ref.validation import Numbers

__all__ = [
    "GridSampleCotangents",
    "GridSampleSecondCotangents",
    "grid_sample",
    "grid_sample_backward",
    "grid_sample_double_backward",
    "grid_sample_jvp",
]


class GridSampleCotangents(NamedTuple):
    """Cotangents of the inputs of :func:`grid_sample`, each with its input's shape and dtype.

    Examples
    --------
    >>> import numpy as np
    >>> image, grid = np.zeros((1, 3, 4, 5)), np.zeros((1, 6, 7, 2))
    >>> grads = grid_sample_backward(np.ones((1, 3, 6, 7)), image, grid, align_corners=False)
    >>> grads.input.shape, grads.grid.shape
    ((1, 3, 4, 5), (1, 6, 7, 2))
    """

    input: Array
    grid: Array


class GridSampleSecondCotangents(NamedTuple):
    """Cotangents of the inputs of :func:`grid_sample_backward`, each with its input's shape and dtype.

    Examples
    --------
    >>> import numpy as np
    >>> image, grid, grad_output = np.ones((1, 3, 4, 5)), np.zeros((1, 6, 7, 2)), np.ones((1, 3, 6, 7))
    >>> second = grid_sample_double_backward(image, grid, grad_output, image, grid, align_corners=False)
    >>> second.grad_output.shape, second.input.shape, second.grid.shape
    ((1, 3, 6, 7), (1, 3, 4, 5), (1, 6, 7, 2))
    """

    grad_output: Array
    input: Array
    grid: Array


def grid_sample(
    input: Array,
    grid: Array,
    *,
    mode: str = "bilinear",
    padding_mode: str = "zeros",
    align_corners: bool,
    channels_last: bool = False,
) -> Array:
    """Sample an image at the points of a grid.

    Parameters
    ----------
    input : array, shape (N, C, H, W) or (N, C, D, H, W)
        The image; (N, H, W, C) or (N, D, H, W, C) with ``channels_last``. float64, float32 or float16.
    grid : array, shape (N, H_out, W_out, 2) or (N, D_out, H_out, W_out, 3)
        Where to sample, in normalised coordinates, last axis (x, y) or (x, y, z): x runs along W, from -1 at the left
        to 1 at the right; y along H, from -1 at the top; z along D.
    mode : {"bilinear", "nearest", "bicubic"}
        Interpolation; in 3-D the same words mean trilinear, nearest and tricubic.
    padding_mode : {"zeros", "border", "reflection"}
        What lies outside the image: zeros; the nearest pixel of its border; or the image mirrored at its edges (see
        :mod:`attn_ref.ops.boundary`).
    align_corners : bool
        Whether -1 and 1 are the centres of the corner pixels (True) or the outer edges of the image (False). There is
        no default: the two differ by up to half a pixel, and libraries disagree on which is usual.
    channels_last : bool
        Whether the image's channels are its last axis.

    Returns
    -------
    array, shape (N, C, H_out, W_out) or (N, C, D_out, H_out, W_out)
        The samples, in the image's layout and dtype: fresh, C-ordered. A point with a NaN coordinate is NaN in every
        channel.

    Raises
    ------
    TypeError
        If an argument is not an array of a supported library, or the arrays differ in dtype, library or device; or if
        an option has the wrong type.
    ValueError
        If the shapes do not fit, the image has no pixels, or an option is an unknown word.
    MemoryError
        If this machine refuses the memory for the output or the taps.

    See Also
    --------
    grid_sample_backward, grid_sample_jvp, grid_sample_double_backward : The derivatives.
    sampling_operator : The same as an object, to sample many images on one grid.

    Notes
    -----
    Y = S X, see the head of this module. float16 is computed in float32 and rounded once.

    Differences from ``torch.nn.functional.grid_sample``: ``align_corners`` has no default, tricubic exists, a NaN
    coordinate gives NaN with every padding, a reflected infinity is NaN, and huge finite coordinates are right.

    Examples
    --------
    A quarter pixel to the right of the first of two pixels:

    >>> import numpy as np
    >>> image = np.array([[[[10.0, 20.0]]]])
    >>> grid = np.array([[[[-0.5, 0.0]]]])
    >>> grid_sample(image, grid, align_corners=True)
    array([[[[12.5]]]])
    """
    call = _call({"input": input, "grid": grid}, mode, padding_mode, align_corners, channels_last)
    X, S = call.image_rows("input"), call.operator
    with call.quiet():
        Y = S.apply(X)
    return call.output(Y)


def grid_sample_backward(
    grad_output: Array,
    input: Array,
    grid: Array,
    *,
    mode: str = "bilinear",
    padding_mode: str = "zeros",
    align_corners: bool,
    channels_last: bool = False,
) -> GridSampleCotangents:
    """Pull a cotangent of the output back to the image and the grid.

    Parameters
    ----------
    grad_output : array, shape of the output of :func:`grid_sample`
        Cotangent of the output, in the image's layout.
    input, grid : array
        As in :func:`grid_sample`.
    mode, padding_mode, align_corners, channels_last
        As in :func:`grid_sample`.

    Returns
    -------
    GridSampleCotangents
        ``input``, Sᵀ dY, in the image's layout, and ``grid``, Σ_c dY ∘ (S_a X), per unit of normalised coordinate:
        equations (2) and (3) above.

    Raises
    ------
    TypeError, ValueError, MemoryError
        As in :func:`grid_sample`; ``grad_output`` is checked like an input.

    Notes
    -----
    Where the sampler has a kink the derivative with respect to the grid is one-sided, as follows. Bilinear: at whole
    pixels the right-hand one, in the padded coordinate; with border and reflection 0 at both ends and wherever the
    coordinate is clipped. Bicubic has no kink in its first derivative. Nearest: 0.

    A point with a NaN coordinate has NaN in its own grid cotangent and adds nothing to the image's. The sum over points
    is taken in a fixed order: the same bits run after run.

    Examples
    --------
    >>> import numpy as np
    >>> image = np.array([[[[10.0, 20.0]]]])
    >>> grid = np.array([[[[-0.5, 0.0]]]])  # pixel 0.25, so the weights are 0.75 and 0.25
    >>> grads = grid_sample_backward(np.array([[[[1.0]]]]), image, grid, align_corners=True)
    >>> grads.input, grads.grid  # 10 a pixel, and half a pixel a unit of x
    (array([[[[0.75, 0.25]]]]), array([[[[5., 0.]]]]))
    """
    arrays = {"input": input, "grid": grid, "grad_output": grad_output}
    call = _call(arrays, mode, padding_mode, align_corners, channels_last)
    X, dY, S = call.image_rows("input"), call.output_rows("grad_output"), call.operator
    with call.quiet():
        dX, dg = S.pull_back(dY, X)
    return GridSampleCotangents(call.image(dX), call.grid(dg))


def grid_sample_jvp(
    input: Array,
    grid: Array,
    input_tangent: Array,
    grid_tangent: Array,
    *,
    mode: str = "bilinear",
    padding_mode: str = "zeros",
    align_corners: bool,
    channels_last: bool = False,
) -> Array:
    """Push tangents of the image and the grid forward to the output.

    Parameters
    ----------
    input, grid : array
        As in :func:`grid_sample`.
    input_tangent, grid_tangent : array, shapes of input and grid
        The direction, in the units of each.
    mode, padding_mode, align_corners, channels_last
        As in :func:`grid_sample`.

    Returns
    -------
    array, shape of the output
        S Ẋ + Σ_a ġ_a ∘ (S_a X), equation (1) above.

    Raises
    ------
    TypeError, ValueError, MemoryError
        As in :func:`grid_sample`; the tangents are checked like inputs.

    Examples
    --------
    >>> import numpy as np
    >>> image = np.array([[[[10.0, 20.0]]]])
    >>> grid = np.array([[[[-0.5, 0.0]]]])
    >>> brighter, right = np.ones_like(image), np.array([[[[1.0, 0.0]]]])
    >>> grid_sample_jvp(image, grid, brighter, right, align_corners=True)  # 1 + 5
    array([[[[6.]]]])
    """
    arrays = {"input": input, "grid": grid, "input_tangent": input_tangent, "grid_tangent": grid_tangent}
    call = _call(arrays, mode, padding_mode, align_corners, channels_last)
    X, S = call.image_rows("input"), call.operator
    X_dot, g_dot = call.image_rows("input_tangent"), call.components("grid_tangent")
    with call.quiet():
        Y_dot = S.apply(X_dot) + sum(g_dot[a] * S.apply(X, a) for a in S.axes)
    return call.output(Y_dot)


def grid_sample_double_backward(
    grad_grad_input: Array,
    grad_grad_grid: Array,
    grad_output: Array,
    input: Array,
    grid: Array,
    *,
    mode: str = "bilinear",
    padding_mode: str = "zeros",
    align_corners: bool,
    channels_last: bool = False,
) -> GridSampleSecondCotangents:
    """Pull cotangents of the backward pass's results back to its inputs.

    Parameters
    ----------
    grad_grad_input, grad_grad_grid : array, shapes of input and grid
        Cotangents of the two results of :func:`grid_sample_backward`.
    grad_output, input, grid : array
        As in :func:`grid_sample_backward`.
    mode, padding_mode, align_corners, channels_last
        As in :func:`grid_sample`.

    Returns
    -------
    GridSampleSecondCotangents
        ``grad_output``, ``input`` and ``grid``: equations (4), (5) and (6) above.

    Raises
    ------
    TypeError, ValueError, MemoryError
        As in :func:`grid_sample`; the cotangents are checked like inputs.

    Notes
    -----
    At a kink the second derivative is that of the piece which the first derivative chose; the jump between pieces,
    a Dirac pulse, is left out.

    Examples
    --------
    >>> import numpy as np
    >>> image, grid, grad_output = np.array([[[[10.0, 20.0]]]]), np.array([[[[-0.5, 0.0]]]]), np.array([[[[2.0]]]])
    >>> U, v = np.array([[[[1.0, 0.0]]]]), np.array([[[[1.0, 0.0]]]])
    >>> second = grid_sample_double_backward(U, v, grad_output, image, grid, align_corners=True)
    >>> second.grad_output, second.input, second.grid
    (array([[[[5.75]]]]), array([[[[-1.,  1.]]]]), array([[[[-1.,  0.]]]]))
    """
    arrays = {
        "input": input,
        "grid": grid,
        "grad_output": grad_output,
        "grad_grad_input": grad_grad_input,
        "grad_grad_grid": grad_grad_grid,
    }
    call = _call(arrays, mode, padding_mode, align_corners, channels_last)
    X, dY, S = call.image_rows("input"), call.output_rows("grad_output"), call.operator
    U, v = call.image_rows("grad_grad_input"), call.components("grad_grad_grid")
    with call.quiet():
        of_dY = S.apply(U) + sum(v[a] * S.apply(X, a) for a in S.axes)
        of_X = sum(S.transpose(v[a] * dY, a) for a in S.axes)
        DU, DX = S.dot(dY, U), S.dot(dY, X)
        of_g = [S.weigh(DU, a) + sum(v[b][..., 0] * S.weigh(DX, a, b) for b in S.axes) for a in S.axes]
    return GridSampleSecondCotangents(call.output(of_dY), call.image(of_X), call.grid(of_g))


# ---------------------------------------------------------------------------------------------------------------------
# From arguments to rows, and back


@dataclass(frozen=True)
class _Call:
    """One checked call: its arrays by name as rows, and the way back to the caller's layout."""

    numbers: Numbers
    channels_last: bool
    operator: TapTable

    def quiet(self) -> AbstractContextManager[object]:
        """NaN and inf are data: no warnings."""
        return self.numbers.backend.quiet()

    def image_rows(self, name: str) -> Array:
        """An image, or a tangent or cotangent of one, (N, R, C)."""
        return rows_of_image(self.numbers[name], self.channels_last)

    def output_rows(self, name: str) -> Array:
        """A cotangent of the output, (N, P, C)."""
        return rows_of_image(self.numbers[name], self.channels_last)

    def components(self, name: str) -> list[Array]:
        """A tangent or cotangent of the grid, component by component, (N, P, 1) each."""
        array = self.numbers[name]
        return [array[..., a].reshape(self.operator.batch, self.operator.points, 1) for a in self.operator.axes]

    def output(self, rows: Array) -> Array:
        """(N, P, C) to the layout of the output."""
        return self._image(rows, self.numbers.given["grid"].shape[1:-1])

    def image(self, rows: Array) -> Array:
        """(N, R, C) to the layout of the input."""
        return self._image(rows, self.operator.space)

    def grid(self, components: Array | list[Array]) -> Array:
        """(N, P, d), or (N, P) for each component, to the layout of the grid."""
        if isinstance(components, list):
            components = self.numbers.backend.xp.stack(components, axis=-1)
        return self.numbers.finish(components.reshape(self.numbers.given["grid"].shape))

    def _image(self, rows: Array, space: tuple[int, ...]) -> Array:
        image = image_of_rows(rows, space, self.channels_last)
        return self.numbers.finish(image)


def _call(arrays: dict[str, Array], mode: str, padding_mode: str, align_corners: bool, channels_last: bool) -> _Call:
    """Check the arguments of one of the four functions and build the operator of its grid."""
    numbers = validation.numbers(**arrays)
    mode, padding_mode, align_corners = check_options(mode, padding_mode, align_corners)
    channels_last = validation.flag("channels_last", channels_last)
    image, grid = arrays["input"].shape, arrays["grid"].shape
    validation.image_and_grid(image, grid, channels_last)
    space, channels = (image[1:-1], image[-1]) if channels_last else (image[2:], image[1])
    output = (*grid[:-1], channels) if channels_last else (grid[0], channels, *grid[1:-1])
    expected = {
        "grad_output": (output, "the shape of the output"),
        "input_tangent": (image, "the shape of input"),
        "grad_grad_input": (image, "the shape of input"),
        "grid_tangent": (grid, "the shape of grid"),
        "grad_grad_grid": (grid, "the shape of grid"),
    }
    for name, array in arrays.items():
        if name in expected:
            validation.shape(name, array, *expected[name])
    for name, shape in (("input", image), ("grid", output), ("grid", (*grid[:-1], taps_of(mode, len(space))))):
        validation.allocatable(name, shape, numbers.working, numbers.backend)
    with numbers.backend.quiet():
        operator = TapTable(numbers.backend, numbers["grid"], space, mode, padding_mode, align_corners)
    return _Call(numbers, channels_last, operator)
