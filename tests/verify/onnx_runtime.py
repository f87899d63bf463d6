"""ONNX Runtime's GridSample and AffineGrid as candidates."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import onnxruntime
from onnx import TensorProto, helper

MODES = {"bilinear": "linear", "nearest": "nearest", "bicubic": "cubic"}
TYPES = {"float32": TensorProto.FLOAT, "float64": TensorProto.DOUBLE}


@lru_cache(maxsize=256)
def _session(kind: str, dtype: str, inputs: tuple[str, ...], **attributes: Any) -> onnxruntime.InferenceSession:
    types = [TensorProto.INT64 if name == "size" else TYPES[dtype] for name in inputs]
    graph = helper.make_graph(
        [helper.make_node(kind, list(inputs), ["y"], **attributes)],
        kind,
        [helper.make_tensor_value_info(name, t, None) for name, t in zip(inputs, types, strict=True)],
        [helper.make_tensor_value_info("y", TYPES[dtype], None)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def grid_sample(input: Any, grid: Any, *, mode: str, padding_mode: str, align_corners: bool) -> Any:
    session = _session(
        "GridSample",
        input.dtype.name,
        ("x", "grid"),
        mode=MODES[mode],
        padding_mode=padding_mode,
        align_corners=int(align_corners),
    )
    return session.run(None, {"x": np.ascontiguousarray(input), "grid": np.ascontiguousarray(grid)})[0]


def affine_grid(theta: Any, size: tuple[int, ...], *, align_corners: bool) -> Any:
    session = _session("AffineGrid", theta.dtype.name, ("theta", "size"), align_corners=int(align_corners))
    return session.run(None, {"theta": np.ascontiguousarray(theta), "size": np.array(size, np.int64)})[0]
