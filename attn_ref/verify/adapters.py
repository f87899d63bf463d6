"""Between NumPy and a candidate: arrays of its library go in, NumPy arrays come out, and torch differentiates.

An adapter is three functions. ``give`` makes a candidate's array of a NumPy array; float32 numbers become bfloat16 if
that is what is verified. ``take`` makes a NumPy array of a result and says what its dtype was; of what is no array it
raises :class:`NoArrayError`. ``differentiate`` gives the gradients of a candidate that comes without a backward pass.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from attn_ref import validation

__all__ = ["ADAPTERS", "Adapter", "NoArrayError", "adapter_named"]


class NoArrayError(TypeError):
    """A candidate's result is not an array of the kind that its adapter reads."""


@dataclass(frozen=True)
class Adapter:
    """How arrays reach a candidate, and how its results come back.

    Attributes
    ----------
    give : callable
        ``give(array, dtype)``: a NumPy array as the candidate's; it shares no memory with it.
    take : callable
        ``take(result)``: a NumPy array, in float32 for bfloat16, and the name of its dtype.
    differentiate : callable or None
        ``differentiate(forward, inputs, grad_output)``: cotangents of the inputs, None for one without.
    """

    give: Callable[[Any, str], Any]
    take: Callable[[Any], tuple[Any, str]]
    differentiate: Callable[[Callable[..., Any], Sequence[Any], Any], tuple[Any, ...]] | None = None


# ---------------------------------------------------------------------------------------------------------------------
# numpy: whatever has __array__ or DLPack


def _numpy_give(array: Any, dtype: str) -> Any:
    if dtype == "bfloat16":
        import ml_dtypes

        return array.astype(ml_dtypes.bfloat16)
    return array.copy(order="K")


def _numpy_take(result: Any) -> tuple[Any, str]:
    if isinstance(result, (np.ndarray, np.generic)) or hasattr(result, "__array__"):
        array = np.asarray(result)
    elif hasattr(result, "__dlpack__"):
        array = np.from_dlpack(result)
    else:
        raise NoArrayError(f"a {type(result).__name__}, which has neither __array__ nor DLPack")
    if array.dtype.name == "bfloat16":
        return array.astype(np.float32), "bfloat16"
    return array, array.dtype.name


# ---------------------------------------------------------------------------------------------------------------------
# torch


def _torch_give(array: Any, dtype: str) -> Any:
    import torch

    order = np.argsort([-stride for stride in array.strides], kind="stable")
    tensor = torch.tensor(array.transpose(order)).permute(*np.argsort(order))  # with the strides of the array
    return tensor.to(torch.bfloat16) if dtype == "bfloat16" else tensor


def _torch_take(result: Any) -> tuple[Any, str]:
    import torch

    if not isinstance(result, torch.Tensor):
        raise NoArrayError(f"a {type(result).__name__}, not a torch.Tensor")
    name = str(result.dtype).removeprefix("torch.")
    tensor = result.detach().cpu()
    return (tensor.float() if name == "bfloat16" else tensor).numpy().copy(), name


def _torch_differentiate(forward: Callable[..., Any], inputs: Sequence[Any], grad_output: Any) -> tuple[Any, ...]:
    import torch

    leaves = [x if x is None else x.detach().requires_grad_(True) for x in inputs]
    output = forward(*leaves)
    if not isinstance(output, torch.Tensor):
        raise NoArrayError(f"a {type(output).__name__}, not a torch.Tensor")
    if not output.requires_grad:
        raise RuntimeError("autograd cannot follow forward: its output does not depend on its inputs; pass backward")
    wanted = [x for x in leaves if x is not None]
    found = iter(torch.autograd.grad(output, wanted, grad_output, allow_unused=True))
    given = [None if x is None else next(found) for x in leaves]
    return tuple(torch.zeros_like(x) if g is None and x is not None else g for x, g in zip(leaves, given, strict=True))


# ---------------------------------------------------------------------------------------------------------------------
# cupy


def _cupy_give(array: Any, dtype: str) -> Any:
    import cupy

    if dtype == "bfloat16":
        raise ValueError("CuPy has no bfloat16: leave it out of dtypes")
    return cupy.array(array, order="K")


def _cupy_take(result: Any) -> tuple[Any, str]:
    import cupy

    if not isinstance(result, cupy.ndarray):
        raise NoArrayError(f"a {type(result).__name__}, not a cupy.ndarray")
    return cupy.asnumpy(result), result.dtype.name


ADAPTERS: dict[str, Adapter] = {
    "numpy": Adapter(_numpy_give, _numpy_take),
    "torch": Adapter(_torch_give, _torch_take, _torch_differentiate),
    "cupy": Adapter(_cupy_give, _cupy_take),
}
"""The adapters by name."""


def adapter_named(name: object, dtypes: Sequence[str]) -> Adapter:
    """Return an adapter that can be used here.

    Raises
    ------
    TypeError, ValueError
        If there is none of that name, or it has not got one of the dtypes.
    ModuleNotFoundError
        If its library is not installed.
    """
    adapter = ADAPTERS[validation.choice("adapter", name, ADAPTERS)]
    for dtype in dtypes:
        adapter.give(np.zeros(1, np.float32 if dtype == "bfloat16" else dtype), dtype)
    return adapter
