"""Pooling: the largest or the mean value of each window of an image, or the mean of all of it.

A window of kH × kW pixels moves over each channel by itself, ``stride`` pixels at a time (by default its own size, so
that windows do not overlap), over an image padded on all sides. An axis of H pixels gives ⌊(H + 2p − k) / s⌋ + 1
outputs. Let T_ij be the linear map that picks from the image tap (i, j) of every window. Then

    maximum    Y = max_ij T_ij x
    mean       Y = Σ_ij T_ij x / (kH kW)
    global     Y = Σ_p x / P, over all P pixels of a channel

A dot is a tangent, dY a cotangent (see :mod:`attn_ref.ops.sampling` for the notation). Means are linear in x. A maximum
moves with the pixel that is the largest, so with the mask M_ij, 1 where window's tap (i, j) is the one chosen,
Ẏ = Σ_ij M_ij ∘ T_ij ẋ. Collected from ⟨dY, Ẏ⟩, where T_ijᵀ adds each entry to the pixel that it was read from:

    backward   maximum  dx = Σ_ij T_ijᵀ (M_ij ∘ dY)
               mean     dx = Σ_ij T_ijᵀ dY / (kH kW)
               global   dx = dY / P at every pixel

Choices
-------
*Ties*: where several pixels of a window are the largest, the first of them, row by row, is the one chosen: it gets the
whole cotangent. *NaN* counts as larger than any number, and the first NaN is chosen. *Padding* of a maximum is never
chosen, whatever the image holds; of a mean it is zeros, which count: every window is divided by kH·kW. A padding is at
most half the kernel, so that every window holds at least one pixel.

How it is made fast
-------------------
Each channel of each sample is a plane by itself. The planes are made the *last* axis, (H, W, m), as many at a time as
fit a cache: then a tap of all windows is long runs of neighbours in memory, whatever the size of the image.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from types import ModuleType
from typing import NamedTuple

from attn_ref import validation
from attn_ref.backend import Array
from attn_ref.ops.conv import output_size
from attn_ref.validation import Numbers

__all__ = [
    "avg_pool2d",
    "avg_pool2d_backward",
    "global_avg_pool",
    "global_avg_pool_backward",
    "max_pool2d",
    "max_pool2d_backward",
]

_CHUNK = 1 << 17
"""Pixels that are worked on at a time, or one plane's, if those are more."""

Pair = tuple[int, int]


def max_pool2d(
    input: Array, kernel_size: int | Pair, *, stride: int | Pair | None = None, padding: int | Pair = 0
) -> Array:
    """Take the largest value of each window.

    Parameters
    ----------
    input : array, shape (N, C, H, W)
        The images. float64, float32 or float16.
    kernel_size : int or (int, int)
        Size of the window, at least 1: for both directions, or (vertical, horizontal).
    stride : int or (int, int), optional
        Pixels from one window to the next; by default the size of the window.
    padding : int or (int, int)
        How far windows may reach beyond the image, at most half the kernel. What lies there is never chosen.

    Returns
    -------
    array, shape (N, C, H_out, W_out)
        The maxima; NaN where a window holds a NaN.

    Raises
    ------
    TypeError
        If input is not an array of a supported library and dtype, or an option is anything but integers.
    ValueError
        If the shape does not fit, the image has no pixels, the window does not fit the padded image even once, or the
        padding is more than half the kernel.

    See Also
    --------
    max_pool2d_backward : The derivative.

    Examples
    --------
    >>> import numpy as np
    >>> max_pool2d(np.array([[[[1.0, 5.0, 2.0, 0.0], [3.0, 4.0, 8.0, 1.0]]]]), 2)
    array([[[[5., 8.]]]])
    """
    call, windows = _call({"input": input}, kernel_size, stride, padding)
    xp = call.backend.xp
    x, Y = _planes(call["input"]), xp.empty(windows.output, call.working)
    with call.backend.quiet():
        for part in windows.parts():
            _planes(Y)[part] = _planes_first(_maxima(xp, windows, _planes_last(xp, x[part])))
        return call.finish(Y)


def max_pool2d_backward(
    grad_output: Array,
    input: Array,
    kernel_size: int | Pair,
    *,
    stride: int | Pair | None = None,
    padding: int | Pair = 0,
) -> Array:
    """Pull a cotangent of the maxima back to the pixels that were chosen.

    Parameters
    ----------
    grad_output : array, shape (N, C, H_out, W_out)
        Cotangent of the output.
    input, kernel_size, stride, padding
        As in :func:`max_pool2d`.

    Returns
    -------
    array, shape of input
        Each entry of grad_output, at the first of the largest pixels of its window; sums where windows share a pixel.

    Raises
    ------
    TypeError, ValueError
        As in :func:`max_pool2d`; ``grad_output`` is checked like the input.

    Notes
    -----
    As in PyTorch, but for windows with several NaN, where PyTorch chooses the last of them.

    Examples
    --------
    >>> import numpy as np
    >>> image = np.array([[[[1.0, 5.0, 2.0, 0.0], [3.0, 4.0, 8.0, 1.0]]]])
    >>> max_pool2d_backward(np.array([[[[10.0, 20.0]]]]), image, 2)
    array([[[[ 0., 10.,  0.,  0.],
             [ 0.,  0., 20.,  0.]]]])
    """
    call, windows = _call({"input": input, "grad_output": grad_output}, kernel_size, stride, padding)
    xp = call.backend.xp
    x, dy = _planes(call["input"]), _planes(call["grad_output"])
    dx = xp.empty(windows.input, call.working)
    with call.backend.quiet():
        for part in windows.parts():
            X, dY = _planes_last(xp, x[part]), _planes_last(xp, dy[part])
            _planes(dx)[part] = _planes_first(_to_maxima(xp, windows, X, dY))
        return call.finish(dx)


def avg_pool2d(
    input: Array, kernel_size: int | Pair, *, stride: int | Pair | None = None, padding: int | Pair = 0
) -> Array:
    """Take the mean of each window.

    Parameters
    ----------
    input : array, shape (N, C, H, W)
        The images. float64, float32 or float16.
    kernel_size : int or (int, int)
        Size of the window, at least 1: for both directions, or (vertical, horizontal).
    stride : int or (int, int), optional
        Pixels from one window to the next; by default the size of the window.
    padding : int or (int, int)
        Zeros round the image, at most half the kernel. They count: each sum is divided by kH·kW, which is PyTorch's
        default too.

    Returns
    -------
    array, shape (N, C, H_out, W_out)
        The means.

    Raises
    ------
    TypeError, ValueError
        As in :func:`max_pool2d`.

    See Also
    --------
    avg_pool2d_backward : The derivative.

    Examples
    --------
    >>> import numpy as np
    >>> avg_pool2d(np.array([[[[1.0, 5.0, 2.0, 0.0], [3.0, 3.0, 8.0, 2.0]]]]), 2)
    array([[[[3., 3.]]]])
    """
    call, windows = _call({"input": input}, kernel_size, stride, padding)
    xp = call.backend.xp
    x, Y = _planes(call["input"]), xp.empty(windows.output, call.working)
    with call.backend.quiet():
        for part in windows.parts():
            X = _planes_last(xp, x[part])  # (H, W, m)
            total = xp.zeros((*windows.output[2:], X.shape[2]), X.dtype)
            for tap in windows.taps():
                total[tap.outputs] += X[tap.pixels]
            total /= prod(windows.kernel)
            _planes(Y)[part] = _planes_first(total)
        return call.finish(Y)


def avg_pool2d_backward(
    grad_output: Array,
    input: Array,
    kernel_size: int | Pair,
    *,
    stride: int | Pair | None = None,
    padding: int | Pair = 0,
) -> Array:
    """Pull a cotangent of the means back to the pixels.

    Parameters
    ----------
    grad_output : array, shape (N, C, H_out, W_out)
        Cotangent of the output.
    input, kernel_size, stride, padding
        As in :func:`avg_pool2d`. Of the input only the shape is used: means are linear.

    Returns
    -------
    array, shape of input
        Each entry of grad_output divided by kH·kW, added to every pixel of its window.

    Raises
    ------
    TypeError, ValueError
        As in :func:`avg_pool2d`; ``grad_output`` is checked like the input.

    Examples
    --------
    >>> import numpy as np
    >>> avg_pool2d_backward(np.array([[[[4.0, 8.0]]]]), np.zeros((1, 1, 2, 4)), 2)
    array([[[[1., 1., 2., 2.],
             [1., 1., 2., 2.]]]])
    """
    call, windows = _call({"input": input, "grad_output": grad_output}, kernel_size, stride, padding)
    xp = call.backend.xp
    dy, dx = _planes(call["grad_output"]), xp.empty(windows.input, call.working)
    with call.backend.quiet():
        for part in windows.parts():
            share = _planes_last(xp, dy[part]) / prod(windows.kernel)
            dX = xp.zeros((*windows.input[2:], share.shape[2]), share.dtype)
            for tap in windows.taps():
                dX[tap.pixels] += share[tap.outputs]
            _planes(dx)[part] = _planes_first(dX)
        return call.finish(dx)


def global_avg_pool(input: Array) -> Array:
    """Take the mean of each channel over all pixels.

    Parameters
    ----------
    input : array, shape (N, C, …)
        The images, with one or more spatial axes. float64, float32 or float16.

    Returns
    -------
    array, shape (N, C)
        The means.

    Raises
    ------
    TypeError
        If input is not an array of a supported library and dtype.
    ValueError
        If it has fewer than three axes, or no pixels.

    See Also
    --------
    global_avg_pool_backward : The derivative.

    Notes
    -----
    float16 is summed in float32.

    Examples
    --------
    >>> import numpy as np
    >>> global_avg_pool(np.array([[[[1.0, 2.0], [3.0, 6.0]]]]))
    array([[3.]])
    """
    call = _check_global({"input": input})
    with call.backend.quiet():
        return call.finish(_rows(call["input"]).sum(axis=2) / prod(input.shape[2:]))


def global_avg_pool_backward(grad_output: Array, input: Array) -> Array:
    """Pull a cotangent of the means back to the pixels.

    Parameters
    ----------
    grad_output : array, shape (N, C)
        Cotangent of the output.
    input : array, shape (N, C, …)
        As in :func:`global_avg_pool`. Only its shape is used: a mean is linear.

    Returns
    -------
    array, shape of input
        grad_output / P at every pixel.

    Raises
    ------
    TypeError, ValueError
        As in :func:`global_avg_pool`; ``grad_output`` is checked like the input.

    Examples
    --------
    >>> import numpy as np
    >>> global_avg_pool_backward(np.array([[6.0]]), np.zeros((1, 1, 2, 3)))
    array([[[[1., 1., 1.],
             [1., 1., 1.]]]])
    """
    call = _check_global({"input": input, "grad_output": grad_output})
    xp = call.backend.xp
    with call.backend.quiet():
        share = call["grad_output"] / prod(input.shape[2:])  # (N, C)
        dx = xp.empty(input.shape, call.working)
        _rows(dx)[...] = share[:, :, None]
        return call.finish(dx)


# ---------------------------------------------------------------------------------------------------------------------
# Windows


class _Tap(NamedTuple):
    """One tap of all windows that have it inside the image: which outputs those are, and the pixels they read there."""

    outputs: tuple[slice, ...]
    pixels: tuple[slice, ...]


@dataclass(frozen=True)
class _Windows:
    """Where the windows of a call lie."""

    input: tuple[int, ...]  # (N, C, H, W)
    output: tuple[int, ...]  # (N, C, H_out, W_out)
    kernel: Pair
    stride: Pair
    padding: Pair

    def parts(self) -> Iterator[slice]:
        """Divide the planes into parts of at most _CHUNK pixels, or one plane."""
        size = max(_CHUNK // (self.input[2] * self.input[3]), 1)
        for first in range(0, self.input[0] * self.input[1], size):
            yield slice(first, first + size)

    def taps(self) -> Iterator[_Tap]:
        """Go through the taps of the window, row by row."""
        for i in range(self.kernel[0]):
            output_rows, rows = self._along(0, i)
            for j in range(self.kernel[1]):
                output_columns, columns = self._along(1, j)
                yield _Tap((output_rows, output_columns), (rows, columns))

    def _along(self, axis: int, tap: int) -> tuple[slice, slice]:
        """Outputs whose tap lies inside the image, 0 ≤ s·o + tap − p < S, and the pixels there."""
        S, outputs = self.input[2 + axis], self.output[2 + axis]
        s, offset = self.stride[axis], tap - self.padding[axis]
        first = max(-(offset // s), 0)  # ⌈−offset / s⌉
        end = max(min((S - 1 - offset) // s + 1, outputs), first)
        return slice(first, end), slice(first * s + offset, max((end - 1) * s + offset + 1, 0), s)


def _maxima(xp: ModuleType, windows: _Windows, X: Array) -> Array:
    """The largest value of each window. (H, W, m) -> (H_out, W_out, m)."""
    Y = xp.full((*windows.output[2:], X.shape[2]), -xp.inf, X.dtype)
    for tap in windows.taps():
        xp.maximum(Y[tap.outputs], X[tap.pixels], out=Y[tap.outputs])
    return Y


def _to_maxima(xp: ModuleType, windows: _Windows, X: Array, dY: Array) -> Array:
    """Each cotangent at the pixel that its window has chosen. (H, W, m), (H_out, W_out, m) -> (H, W, m)."""
    Y = _maxima(xp, windows, X)
    dX = xp.zeros(X.shape, X.dtype)
    unsettled = xp.ones(Y.shape, bool)  # windows whose pixel is still to be found
    for tap in windows.taps():
        pixels, here = X[tap.pixels], unsettled[tap.outputs]
        chosen = pixels == Y[tap.outputs]
        chosen |= pixels != pixels  # NaN is the largest, and equal to nothing
        chosen &= here
        here ^= chosen
        dX[tap.pixels] += xp.where(chosen, dY[tap.outputs], 0)
    return dX


def _planes(image: Array) -> Array:
    """(N, C, H, W) as (N·C, H, W); a view of what is in C order."""
    return image.reshape(image.shape[0] * image.shape[1], *image.shape[2:])


def _planes_last(xp: ModuleType, planes: Array) -> Array:
    """(m, H, W) to (H, W, m)."""
    return xp.ascontiguousarray(planes.transpose(1, 2, 0))


def _planes_first(image: Array) -> Array:
    """(H, W, m) to (m, H, W)."""
    return image.transpose(2, 0, 1)


def _rows(image: Array) -> Array:
    """(N, C, …) as (N, C, P); a view of what is in C order."""
    return image.reshape(*image.shape[:2], prod(image.shape[2:]))


# ---------------------------------------------------------------------------------------------------------------------
# Checks


def _call(arrays: dict[str, Array], kernel_size: object, stride: object, padding: object) -> tuple[Numbers, _Windows]:
    """Check the arguments of a function with windows."""
    call = validation.numbers(**arrays)
    k = validation.pair("kernel_size", kernel_size, 1)
    s = k if stride is None else validation.pair("stride", stride, 1)
    p = validation.pair("padding", padding, 0)
    x = arrays["input"].shape
    validation.axes("input", arrays["input"], ("(N, C, H, W)",))
    _check_pixels(x)
    if any(2 * beyond > size for beyond, size in zip(p, k, strict=True)):
        raise ValueError(
            f"padding={padding!r} is more than half of kernel_size={kernel_size!r}: some windows would hold no pixel"
        )
    space = [output_size(*axis) for axis in zip(("height", "width"), x[2:], k, s, p, strict=True)]
    windows = _Windows(x, (*x[:2], *space), k, s, p)
    if "grad_output" in arrays:
        validation.shape("grad_output", arrays["grad_output"], windows.output, "the shape of the output")
    return call, windows


def _check_global(arrays: dict[str, Array]) -> Numbers:
    """Check the arguments of a global mean."""
    call = validation.numbers(**arrays)
    x = arrays["input"]
    if x.ndim < 3:
        raise ValueError(f"input has {x.ndim} axes, shape {x.shape}: expected (N, C, …), at least one axis of pixels")
    _check_pixels(x.shape)
    if "grad_output" in arrays:
        validation.shape("grad_output", arrays["grad_output"], x.shape[:2], "the shape of the output")
    return call


def _check_pixels(shape: tuple[int, ...]) -> None:
    if 0 in shape[2:]:
        raise ValueError(f"input has no pixels, shape {shape}: every spatial size must be at least 1")
