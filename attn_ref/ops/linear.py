"""The linear layer: every output is a weighted sum of all inputs.

A row x of the input (F_in features) becomes the row y (F_out features)

    y = W x + b

With the N rows as matrices X (N, F_in) and Y (N, F_out),

    Y = X Wᵀ + 1 bᵀ

where 1 is a column of N ones. A dot is a tangent, dY a cotangent (see :mod:`attn_ref.ops.sampling` for the notation).
By the product rule Ẏ = Ẋ Wᵀ + X Ẇᵀ + 1 ḃᵀ, and ⟨dY, Ẏ⟩ collected by what multiplies each tangent is

    backward   dX = dY W        dW = dYᵀ X        db = dYᵀ 1, the sum of the rows of dY

The rows are independent samples; W and b are shared, so that their cotangents are sums over the samples.
"""

from __future__ import annotations

from typing import NamedTuple

from attn_ref import validation
from attn_ref.backend import Array
from attn_ref.validation import Numbers

__all__ = ["LinearCotangents", "linear", "linear_backward"]


class LinearCotangents(NamedTuple):
    """Cotangents of the inputs of :func:`linear`, each with its input's shape and dtype; None for an absent bias.

    Examples
    --------
    >>> import numpy as np
    >>> x, weight = np.ones((5, 3)), np.ones((2, 3))
    >>> linear_backward(np.ones((5, 2)), x, weight, np.zeros(2)).bias
    array([5., 5.])
    """

    input: Array
    weight: Array
    bias: Array | None


def linear(input: Array, weight: Array, bias: Array | None = None) -> Array:
    """Map each row of features to weighted sums of them.

    Parameters
    ----------
    input : array, shape (N, F_in)
        The samples, a row each. float64, float32 or float16.
    weight : array, shape (F_out, F_in)
        A row of weights for each output, as in PyTorch.
    bias : array, shape (F_out,), optional
        What is added to each output.

    Returns
    -------
    array, shape (N, F_out)
        X Wᵀ + b. With F_in = 0 that is b alone.

    Raises
    ------
    TypeError
        If an argument is not an array of a supported library, or the arrays differ in dtype, library or device.
    ValueError
        If the shapes do not fit.

    See Also
    --------
    linear_backward : The derivative.

    Examples
    --------
    >>> import numpy as np
    >>> linear(np.array([[1.0, 2.0]]), np.array([[10.0, 1.0], [0.0, 3.0]]), np.array([0.5, 0.0]))
    array([[12.5,  6. ]])
    """
    call = _call({"input": input, "weight": weight, "bias": bias})
    with call.backend.quiet():
        Y = call["input"] @ call["weight"].T  # (N, F_out)
        return call.finish(Y if bias is None else Y + call["bias"])


def linear_backward(grad_output: Array, input: Array, weight: Array, bias: Array | None = None) -> LinearCotangents:
    """Pull a cotangent of the output back to the input, the weight and the bias.

    Parameters
    ----------
    grad_output : array, shape (N, F_out)
        Cotangent of the output.
    input, weight, bias : array
        As in :func:`linear`.

    Returns
    -------
    LinearCotangents
        ``input``, dY W; ``weight``, dYᵀ X; ``bias``, Σ_n dY, or None.

    Raises
    ------
    TypeError, ValueError
        As in :func:`linear`; ``grad_output`` is checked like an input.

    Examples
    --------
    >>> import numpy as np
    >>> grads = linear_backward(np.array([[1.0, 0.0]]), np.array([[3.0, 4.0]]), np.array([[10.0, 1.0], [0.0, 3.0]]))
    >>> grads.input, grads.weight
    (array([[10.,  1.]]), array([[3., 4.],
           [0., 0.]]))
    """
    call = _call({"input": input, "weight": weight, "bias": bias, "grad_output": grad_output})
    X, W, dY = (call[name] for name in ("input", "weight", "grad_output"))
    with call.backend.quiet():
        db = None if bias is None else call.finish(dY.sum(axis=0))
        return LinearCotangents(call.finish(dY @ W), call.finish(dY.T @ X), db)


def _call(arrays: dict[str, Array]) -> Numbers:
    """Check the arguments of either function."""
    call = validation.numbers(["bias"], **arrays)
    X, W = arrays["input"], arrays["weight"]
    validation.axes("input", X, ("(N, F_in)",))
    validation.axes("weight", W, ("(F_out, F_in)",))
    if X.shape[1] != W.shape[1]:
        raise ValueError(
            f"input has {X.shape[1]} features but weight, of shape {W.shape}, takes {W.shape[1]}: expected input "
            f"(N, {W.shape[1]}); weight is (F_out, F_in)"
        )
    if arrays["bias"] is not None:
        validation.shape("bias", arrays["bias"], (W.shape[0],), "one for each row of weight")
    if "grad_output" in arrays:
        expected = (X.shape[0], W.shape[0])
        validation.shape("grad_output", arrays["grad_output"], expected, "the shape of the output")
    return call
