"""Two-dimensional convolution: the same small window of weights applied everywhere in an image.

What the field calls convolution is a correlation. With stride s, padding p and dilation d (each has a vertical and a
horizontal value), the output at (h, w) reads the image through a window of kH × kW taps:

    y[n, o, h, w] = b[o] + Σ_c Σ_ij W[o, c, i, j] · x̄[n, c, s h + d i − p, s w + d j − p]

where x̄ is the image with zeros all round it. The window is not flipped. An axis of H pixels gives

    H_out = ⌊(H + 2p − d (k − 1) − 1) / s⌋ + 1

outputs. With G groups, the channels of input and output are divided into G equal parts, and each part of the output
sees its part of the input only.

The derivation
--------------
Reading all windows is a linear map U, *unfolding*: it takes an image to a matrix with a row for each tap (c, i, j) of
the window and a column for each place (h, w), of which each entry is a copy of one pixel of x̄. Then a convolution is a
matrix product,

    Y = W U x + b                                                                  (1)

with W (O, C·kH·kW). A dot is a tangent, dY a cotangent (see :mod:`attn_ref.ops.sampling` for the notation). By the
product rule Ẏ = Ẇ U x + W U ẋ + ḃ, and ⟨dY, Ẏ⟩ collected by what multiplies each tangent is

    backward   dW = dY (U x)ᵀ        dx = Uᵀ (Wᵀ dY)        db = the sum of dY over all places and samples     (2)

Uᵀ, *folding*, adds each entry to the pixel that it was read from (and drops those read from the zeros round the image):
the transpose of a copy is an addition. dW and db are sums over the samples too, which share W and b.

How it is made fast
-------------------
U x holds each pixel up to kH·kW times, so it is made for a few samples at a time, as many as fit a cache. The samples
are its *last* axis, (C, kH, kW, H_out, W_out, m): then neighbouring places of a row are neighbours in memory, for all m
samples, and unfolding copies (folding adds) long runs instead of single rows of a small image.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import NamedTuple

from attn_ref import validation
from attn_ref.backend import Array
from attn_ref.validation import Numbers

__all__ = ["Conv2dCotangents", "conv2d", "conv2d_backward"]

_CHUNK = 1 << 19
"""Entries of U x that are made at a time (or one sample's, if those are more): 2 MiB in float32."""

Pair = tuple[int, int]


class Conv2dCotangents(NamedTuple):
    """Cotangents of the inputs of :func:`conv2d`, each with its input's shape and dtype; None for an absent bias.

    Examples
    --------
    >>> import numpy as np
    >>> image, kernel, bias = np.ones((1, 1, 2, 4)), np.ones((3, 1, 2, 2)), np.zeros(3)
    >>> conv2d_backward(np.ones((1, 3, 1, 3)), image, kernel, bias).bias
    array([3., 3., 3.])
    """

    input: Array
    weight: Array
    bias: Array | None


def conv2d(
    input: Array,
    weight: Array,
    bias: Array | None = None,
    *,
    stride: int | Pair = 1,
    padding: int | Pair = 0,
    dilation: int | Pair = 1,
    groups: int = 1,
) -> Array:
    """Correlate images with windows of weights.

    Parameters
    ----------
    input : array, shape (N, C, H, W)
        The images. float64, float32 or float16.
    weight : array, shape (O, C / groups, kH, kW)
        A window over the input channels for each output channel, as in PyTorch.
    bias : array, shape (O,), optional
        What is added to each output channel.
    stride : int or (int, int)
        Pixels from one window to the next, at least 1; for both directions, or (vertical, horizontal).
    padding : int or (int, int)
        Rows of zeros above and below, columns of zeros left and right.
    dilation : int or (int, int)
        Pixels from one tap of the window to the next, at least 1.
    groups : int
        Number of parts that the channels are divided into; it must divide C and O.

    Returns
    -------
    array, shape (N, O, H_out, W_out)
        Equation (1) above.

    Raises
    ------
    TypeError
        If an argument is not an array of a supported library, the arrays differ in dtype, library or device, or an
        option is anything but integers.
    ValueError
        If the shapes do not fit, the image or the window has no pixels, the groups do not divide the channels, or the
        window does not fit the padded image even once.
    MemoryError
        If this machine refuses the memory for the output or the padded image.

    See Also
    --------
    conv2d_backward : The derivative.

    Notes
    -----
    The zeros round the image are numbers like any others: an infinite or NaN weight makes NaN with them. float16 is
    computed in float32 and rounded once.

    Examples
    --------
    The difference of each pixel from its left neighbour:

    >>> import numpy as np
    >>> image = np.array([[[[1.0, 4.0, 9.0, 16.0]]]])
    >>> conv2d(image, np.array([[[[-1.0, 1.0]]]]))
    array([[[[3., 5., 7.]]]])
    """
    call, windows = _call({"input": input, "weight": weight, "bias": bias}, stride, padding, dilation, groups)
    xp = call.backend.xp
    x, W = call["input"], windows.matrices(call["weight"])
    with call.backend.quiet():
        output = xp.empty(windows.output, call.working)
        for part in windows.parts():
            Y = xp.matmul(W, windows.unfold(xp, x[part]))  # (G, O/G, places)
            output[part] = windows.samples_first(Y)
        if bias is not None:
            output += call["bias"][:, None, None]
        return call.finish(output)


def conv2d_backward(
    grad_output: Array,
    input: Array,
    weight: Array,
    bias: Array | None = None,
    *,
    stride: int | Pair = 1,
    padding: int | Pair = 0,
    dilation: int | Pair = 1,
    groups: int = 1,
) -> Conv2dCotangents:
    """Pull a cotangent of the output back to the images, the weight and the bias.

    Parameters
    ----------
    grad_output : array, shape (N, O, H_out, W_out)
        Cotangent of the output.
    input, weight, bias : array
        As in :func:`conv2d`.
    stride, padding, dilation, groups
        As in :func:`conv2d`.

    Returns
    -------
    Conv2dCotangents
        Equations (2) above, by the names of the inputs; None for an absent bias.

    Raises
    ------
    TypeError, ValueError, MemoryError
        As in :func:`conv2d`; ``grad_output`` is checked like an input.

    Examples
    --------
    >>> import numpy as np
    >>> image = np.array([[[[1.0, 4.0, 9.0, 16.0]]]])
    >>> grads = conv2d_backward(np.array([[[[0.0, 1.0, 0.0]]]]), image, np.array([[[[-1.0, 1.0]]]]))
    >>> grads.input.ravel(), grads.weight.ravel(), grads.bias
    (array([ 0., -1.,  1.,  0.]), array([4., 9.]), None)
    """
    arrays = {"input": input, "weight": weight, "bias": bias, "grad_output": grad_output}
    call, windows = _call(arrays, stride, padding, dilation, groups)
    xp = call.backend.xp
    x, W, dy = call["input"], windows.matrices(call["weight"]), call["grad_output"]
    with call.backend.quiet():
        dx = xp.empty(windows.input, call.working)
        dW = xp.zeros(W.shape, call.working)
        for part in windows.parts():
            dY = windows.samples_last(dy[part])  # (G, O/G, places)
            dW += xp.matmul(dY, windows.unfold(xp, x[part]).swapaxes(1, 2))
            dx[part] = windows.fold(xp, xp.matmul(W.swapaxes(1, 2), dY))
        db = None if bias is None else call.finish(xp.ascontiguousarray(dy).sum(axis=(0, 2, 3)))
        return Conv2dCotangents(call.finish(dx), call.finish(dW.reshape(weight.shape)), db)


@dataclass(frozen=True)
class _Windows:
    """All windows of a call: where they lie, and U and Uᵀ. Places are (h, w, sample), m samples at a time."""

    input: tuple[int, ...]  # (N, C, H, W)
    output: tuple[int, ...]  # (N, O, H_out, W_out)
    kernel: Pair
    stride: Pair
    padding: Pair
    dilation: Pair
    groups: int

    def parts(self) -> Iterator[slice]:
        """Divide the samples into parts of about equal size, each with at most _CHUNK entries of U x or one sample."""
        samples, channels = self.input[:2]
        entries = channels * self.kernel[0] * self.kernel[1] * self.output[2] * self.output[3]
        count = max(-(-samples * entries // _CHUNK), 1)
        size = max(-(-samples // count), 1)
        for first in range(0, samples, size):
            yield slice(first, first + size)

    def matrices(self, weight: Array) -> Array:
        """(O, C/G, kH, kW) to a matrix for each group, (G, O/G, taps)."""
        taps = weight.shape[1] * self.kernel[0] * self.kernel[1]
        return weight.reshape(self.groups, weight.shape[0] // self.groups, taps)

    def unfold(self, xp: ModuleType, x: Array) -> Array:
        """U x for a part: (m, C, H, W) -> (G, taps, places)."""
        padded, inside = self._padded(xp, x.shape[0], x.dtype)
        inside[...] = x.transpose(1, 2, 3, 0)
        (_, _, Ho, Wo), (kH, kW), m = self.output, self.kernel, x.shape[0]
        of_channel, of_row, of_column, of_sample = padded.strides
        windows = xp.lib.stride_tricks.as_strided(
            padded,
            (x.shape[1], kH, kW, Ho, Wo, m),
            (
                of_channel,
                of_row * self.dilation[0],
                of_column * self.dilation[1],
                of_row * self.stride[0],
                of_column * self.stride[1],
                of_sample,
            ),
        )
        return windows.reshape(self.groups, x.shape[1] // self.groups * kH * kW, Ho * Wo * m)

    def fold(self, xp: ModuleType, T: Array) -> Array:
        """Uᵀ T for a part: (G, taps, places) -> (m, C, H, W)."""
        (_, C, _, _), (_, _, Ho, Wo), (kH, kW) = self.input, self.output, self.kernel
        m = T.shape[2] // (Ho * Wo)
        T = T.reshape(C, kH, kW, Ho, Wo, m)
        padded, inside = self._padded(xp, m, T.dtype)
        for i in range(kH):
            rows = _run(i * self.dilation[0], self.stride[0], Ho)
            for j in range(kW):
                padded[:, rows, _run(j * self.dilation[1], self.stride[1], Wo)] += T[:, i, j]
        return inside.transpose(3, 0, 1, 2)

    def samples_last(self, dy: Array) -> Array:
        """(m, O, H_out, W_out) -> (G, O/G, places)."""
        m, channels, height, width = dy.shape
        return dy.transpose(1, 2, 3, 0).reshape(self.groups, channels // self.groups, height * width * m)

    def samples_first(self, Y: Array) -> Array:
        """(G, O/G, places) -> (m, O, H_out, W_out)."""
        _, channels, height, width = self.output
        return Y.reshape(channels, height, width, Y.shape[2] // (height * width)).transpose(3, 0, 1, 2)

    def _padded(self, xp: ModuleType, m: int, dtype: object) -> tuple[Array, Array]:
        """Zeros for m images with their padding, (C, H + 2p, W + 2p, m), and the view of the images in it."""
        (_, C, H, W), (above, left) = self.input, self.padding
        padded = xp.zeros((C, H + 2 * above, W + 2 * left, m), dtype)
        return padded, padded[:, above : above + H, left : left + W]


def _run(first: int, step: int, count: int) -> slice:
    """Pick ``count`` indices, ``step`` apart."""
    return slice(first, first + step * (count - 1) + 1, step)


def _call(
    arrays: dict[str, Array], stride: object, padding: object, dilation: object, groups: object
) -> tuple[Numbers, _Windows]:
    """Check the arguments of either function."""
    call = validation.numbers(["bias"], **arrays)
    s, p = validation.pair("stride", stride, 1), validation.pair("padding", padding, 0)
    d, G = validation.pair("dilation", dilation, 1), validation.whole("groups", groups, 1)
    x, W = arrays["input"].shape, arrays["weight"].shape
    validation.axes("input", arrays["input"], ("(N, C, H, W)",))
    validation.axes("weight", arrays["weight"], ("(O, C/groups, kH, kW)",))
    for name, shape in (("input", x), ("weight", W)):
        if 0 in shape[2:]:
            raise ValueError(f"{name} has no pixels, shape {shape}: every spatial size must be at least 1")
    for name, channels in (("input", x[1]), ("weight", W[0])):
        if channels % G:
            what = "channels" if name == "input" else "output channels"
            raise ValueError(f"groups={G} does not divide the {channels} {what} of {name}, shape {arrays[name].shape}")
    if W[1] * G != x[1]:
        raise ValueError(
            f"weight has shape {W} but input has {x[1]} channels in {G} group{'s' * (G > 1)}: expected weight "
            f"({W[0]}, {x[1] // G}, kH, kW)"
        )
    if arrays["bias"] is not None:
        validation.shape("bias", arrays["bias"], (W[0],), "one for each output channel")
    space = tuple(output_size(*axis) for axis in zip(("height", "width"), x[2:], W[2:], s, p, d, strict=True))
    output = (x[0], W[0], *space)
    validation.allocatable("input", output, call.dtype, call.backend)
    padded = tuple(size + 2 * more for size, more in zip(x[2:], p, strict=True))
    validation.allocatable("padding", (x[1], *padded), call.working, call.backend)
    if "grad_output" in arrays:
        validation.shape("grad_output", arrays["grad_output"], output, "the shape of the output")
    s, d = _taken(s, space), _taken(d, W[2:])
    return call, _Windows(x, output, W[2:], s, p, d, G)


def _taken(step: Pair, counts: Sequence[int]) -> Pair:
    """Steps between so many places along both axes: 1 where there is one place, whatever number was given."""
    height, width = (one if count > 1 else 1 for one, count in zip(step, counts, strict=True))
    return height, width


def output_size(axis: str, size: int, kernel: int, stride: int, padding: int, dilation: int = 1) -> int:
    """Count the windows along an axis; a ValueError if there is none."""
    span = dilation * (kernel - 1) + 1
    if span > size + 2 * padding:
        raise ValueError(
            f"input has {axis} {size}, with padding {size + 2 * padding}, but the window spans {span}: no output "
            "is left; enlarge the input or its padding, or take a smaller kernel or dilation"
        )
    return (size + 2 * padding - span) // stride + 1
