"""What other libraries do: parts of some cases."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np

from attn_ref.backend import Array
from attn_ref.bench.cases import Case
from attn_ref.bench.problems import Arrays
from attn_ref.bench.works import FORWARD, Work, Works
from attn_ref.ops.coordinates import to_pixels

__all__ = ["ONNX", "PYLOPS", "SCIPY"]

_ONNX_VALUES = 4096
"""Output values above which the evaluator, which loops over them in Python, would take seconds."""

_SCIPY_CALLS = 128
"""Calls (one for each channel of each sample) beyond which calling would be timed rather than sampling."""

_ONNX_MODES = {"bilinear": "linear", "nearest": "nearest", "bicubic": "cubic"}


def _onnx(case: Case, arrays: Arrays) -> Works:
    if case.dtype != "float32" or len(case.output) != 2 or case.values > _ONNX_VALUES:
        return {}
    from onnx import TensorProto, helper
    from onnx.reference import ReferenceEvaluator

    options = case.options
    node = helper.make_node(
        "GridSample",
        ["input", "grid"],
        ["output"],
        mode=_ONNX_MODES[options["mode"]],
        padding_mode=options["padding_mode"],
        align_corners=int(options["align_corners"]),
    )
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("input", "grid", "output")]
    graph = helper.make_graph([node], "sampler", values[:2], values[2:])
    model = ReferenceEvaluator(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)]))
    feed = {name: arrays[name] for name in ("input", "grid")}
    return {FORWARD: Work(lambda: model.run(None, feed), tuple)}


def _pixels(case: Case, grid: Array) -> Array:
    """Pixel coordinates in the order of the array's axes, (N, axes, …)."""
    aligned = case.options["align_corners"]
    size = case.shape[2:]
    axes = range(len(size))
    return np.stack([to_pixels(np, grid[..., a], size[::-1][a], aligned) for a in reversed(axes)], axis=1)


def _pylops(case: Case, arrays: Arrays) -> Works:
    bilinear = _pylops_bilinear()
    x, grid, grad = arrays["input"], arrays["grid"], arrays["grad_output"]

    def use() -> tuple[Array, ...]:
        points = _pixels(case, grid)[0].reshape(2, -1)
        S = bilinear(points, dims=case.shape[2:], dtype=case.dtype)
        return (S @ x.reshape(-1)).reshape(grad.shape), (S.H @ grad.reshape(-1)).reshape(x.shape)

    return {"make and use": Work(use, tuple)}


def _pylops_bilinear() -> Any:
    """PyLops' operator, imported by its own switch without CuPy, which only GPU arrays would need."""
    before = os.environ.get("CUPY_PYLOPS")
    os.environ["CUPY_PYLOPS"] = "0"
    try:
        from pylops.signalprocessing import Bilinear
    finally:
        if before is None:
            del os.environ["CUPY_PYLOPS"]
        else:
            os.environ["CUPY_PYLOPS"] = before
    return Bilinear


def _scipy(case: Case, arrays: Arrays) -> Works:
    n, channels = case.shape[:2]
    usual = case.options["mode"] == "bilinear" and case.options["padding_mode"] == "zeros"
    if not usual or n * channels > _SCIPY_CALLS:
        return {}
    from scipy.ndimage import map_coordinates

    x, grid, grad = arrays["input"], arrays["grid"], arrays["grad_output"]

    def forward() -> Array:
        output = np.empty_like(grad)
        for sample, points in enumerate(_pixels(case, grid)):
            for c in range(channels):
                map_coordinates(x[sample, c], points, output[sample, c], order=1, mode="grid-constant")
        return output

    return {FORWARD: Work(forward, lambda output: (output,))}


_Kinds = dict[str, Callable[[Case, Arrays], Works]]

ONNX: _Kinds = {"sample": _onnx, "small": _onnx}
PYLOPS: _Kinds = {"operator": _pylops}
SCIPY: _Kinds = {"sample": _scipy, "small": _scipy}
"""By the kind of a case."""
