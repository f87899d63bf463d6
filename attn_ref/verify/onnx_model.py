"""Verify what ONNX Runtime makes of an ONNX model: its samplers, grids and gates, against the reference.

Each node that is an operation of this package, and each squeeze-and-excitation block, is cut out of the model with its
attributes and weights, run by ONNX Runtime on inputs of its own, and judged by the bounds of
:mod:`attn_ref.verify.bounds`. A sampler gets the points of the golden vectors: inside cells, on kinks, far outside,
NaN.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from attn_ref._extras import optional
from attn_ref.backend import Array
from attn_ref.registry import OPERATIONS, Call
from attn_ref.vectors.cases import problems
from attn_ref.vectors.expected import filled, given, options
from attn_ref.vectors.inputs import full
from attn_ref.verify.candidate import Answer, Question
from attn_ref.verify.diagnosis import Diagnosis, diagnose
from attn_ref.verify.failures import Case, Failure, Outcome
from attn_ref.verify.judge import judge
from attn_ref.verify.language import Language
from attn_ref.verify.onnx_graph import Block, Graph, Single, Subject, attributes, onnx

__all__ = ["Checked", "told", "verify_onnx"]

_MODES = {"linear": "bilinear", "cubic": "bicubic"}
"""Opset 20 renamed the modes of GridSample; "nearest", and the names of opset 16, are those of this package."""
_DTYPES = ("float64", "float32", "float16")
_DEFAULT_GATE = "a gate of 0.2x + 0.5, which is ONNX's default; PyTorch, timm and Keras have x/6 + 0.5"

Session = Callable[[dict[str, Array]], Array]


@dataclass(frozen=True)
class _Cut:
    """Nodes cut out of a model, which answer as a candidate does."""

    session: Session
    feed: Callable[[Question], dict[str, Array]]

    def ask(self, question: Question) -> Answer:
        """Run the nodes."""
        try:
            output = self.session(self.feed(question))
        except Exception as error:  # whatever ONNX Runtime raises is what is to be told
            return Answer(kind="raises", message=_first_line(error))
        return Answer(((output, str(output.dtype)),))


@dataclass(frozen=True)
class Checked:
    """What was found of one node or block.

    Attributes
    ----------
    name, kind : str
        Which it is.
    operation : str
        The operation of this package that it was compared with.
    options : dict
        The options that its attributes stand for.
    outcomes : tuple of Outcome
        What it gave, case by case.
    notes : tuple of str
        What a reader should know, right or wrong.
    skipped : str or None
        Why it was not run.
    diagnoses : tuple of Diagnosis
        What explains the failures, the likeliest first.
    """

    name: str
    kind: str
    operation: str
    options: dict[str, Any]
    outcomes: tuple[Outcome, ...] = ()
    notes: tuple[str, ...] = ()
    skipped: str | None = None
    diagnoses: tuple[Diagnosis, ...] = ()

    @property
    def failures(self) -> list[Failure]:
        """All that is wrong."""
        return [failure for outcome in self.outcomes for failure in outcome.failures]

    @property
    def acceptable(self) -> list[Failure]:
        """All that deviates from the specification in a way that is right too."""
        return [failure for outcome in self.outcomes for failure in outcome.acceptable]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "name": self.name,
            "kind": self.kind,
            "operation": self.operation,
            "options": {
                key: value if isinstance(value, (str, bool)) else float(value) for key, value in self.options.items()
            },
            "cases": len(self.outcomes),
            "failures": [told(failure) for failure in self.failures],
            "acceptable": [told(failure) for failure in self.acceptable],
            "notes": list(self.notes),
            "skipped": self.skipped,
            "diagnoses": [str(diagnosis) for diagnosis in self.diagnoses],
        }


def told(failure: Failure) -> str:
    """What is wrong, on what, in a line."""
    case = failure.case
    return f"{failure.what} {failure.message} (rule {case.rule}, {case.dtype})"


def verify_onnx(path: Path, step: Callable[[str], None] = lambda _: None) -> list[Checked]:
    """Verify every GridSample, AffineGrid and HardSigmoid node and every squeeze-and-excitation block of a model.

    Parameters
    ----------
    path : pathlib.Path
        The model.
    step : callable
        Called with the name of each node or block before it is run.

    Returns
    -------
    list of Checked
        In the order of the graph.

    Raises
    ------
    ValueError
        If the file is no ONNX model, or has nothing to verify.
    ModuleNotFoundError
        Without onnx and onnxruntime; the message says which extra installs them.
    """
    package = onnx()
    _runtime()
    try:
        model = package.load(path)
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from None
    except Exception as error:  # protobuf has errors of its own
        raise ValueError(f"{path} is not an ONNX model: {_first_line(error)}") from None
    if not model.graph.node:
        raise ValueError(f"{path} is not an ONNX model: it has no nodes")
    graph = Graph(model)
    found = []
    for subject in graph.subjects():
        step(subject.name)
        one = _checked(graph, subject)
        found.append(replace(one, diagnoses=tuple(diagnose(one.operation, one.failures, one.outcomes, seconds=3.0))))
    if not found:
        raise ValueError(
            f"{path} has no GridSample, AffineGrid or HardSigmoid node and no squeeze-and-excitation block"
        )
    return found


def _checked(graph: Graph, subject: Subject) -> Checked:
    """Run one node or block on all its cases and judge it."""
    if isinstance(subject, Block):
        return _block(graph, subject)
    operation, chosen, notes = _SINGLE[subject.kind](subject)
    about = (subject.name, subject.kind, operation, chosen)
    dtype = graph.dtype(subject.node.input[0]) or "float32"
    if dtype not in _DTYPES:
        return Checked(*about, skipped=f"its dtype is {dtype}")
    try:
        session = _session(graph, (subject.node,), dtype)
    except Exception as error:  # whatever ONNX Runtime raises: it has no such node
        return Checked(*about, skipped=_first_line(error))
    node, language = _Cut(session, partial(_FEEDS[subject.kind], subject.node)), Language(OPERATIONS[operation])
    cases = _cases(graph, subject, operation, chosen, dtype)
    return Checked(*about, tuple(judge(language, node, case, ("forward",)) for case in cases), notes)


# ---------------------------------------------------------------------------------------------------------------------
# Nodes: what their attributes stand for, on what they are run, and how they are fed


def _grid_sample(subject: Single) -> tuple[str, dict[str, Any], tuple[str, ...]]:
    given_ = {"mode": "linear", "padding_mode": "zeros", "align_corners": 0, **attributes(subject.node)}
    mode = _MODES.get(given_["mode"], given_["mode"])
    chosen = {"mode": mode, "padding_mode": given_["padding_mode"], "align_corners": bool(given_["align_corners"])}
    return "grid_sample", chosen, ()


def _affine_grid(subject: Single) -> tuple[str, dict[str, Any], tuple[str, ...]]:
    return "affine_grid", {"align_corners": bool(attributes(subject.node).get("align_corners", 0))}, ()


def _hard_sigmoid(subject: Single) -> tuple[str, dict[str, Any], tuple[str, ...]]:
    given_ = {"alpha": float(np.float32(0.2)), "beta": 0.5, **attributes(subject.node)}
    notes = (_DEFAULT_GATE,) if np.float32(given_["alpha"]) == np.float32(0.2) else ()
    return "activation", {"name": "hard_sigmoid", "slope": given_["alpha"], "offset": given_["beta"]}, notes


_SINGLE: dict[str, Callable[[Single], tuple[str, dict[str, Any], tuple[str, ...]]]] = {
    "GridSample": _grid_sample,
    "AffineGrid": _affine_grid,
    "HardSigmoid": _hard_sigmoid,
}

_FEEDS: dict[str, Callable[[Any, Question], dict[str, Array]]] = {
    "GridSample": lambda node, asked: dict(zip(node.input, asked.arrays, strict=True)),
    "AffineGrid": lambda node, asked: dict(zip(node.input, (*asked.arrays, _size(asked)), strict=True)),
    "HardSigmoid": lambda node, asked: {node.input[0]: asked.arrays[0]},
}


def _size(asked: Question) -> Array:
    return np.array(asked.options["size"], np.int64)


def _cases(graph: Graph, subject: Single, operation: str, chosen: dict[str, Any], dtype: str) -> Iterator[Case]:
    """The golden vectors of the node's options and dtype; for a hard sigmoid numbers round its own corners."""
    if operation == "activation":
        low, high = -chosen["offset"] / chosen["slope"], (1 - chosen["offset"]) / chosen["slope"]
        special = [low, high, 0.0, 2 * low, 2 * high, 1000.0, -1000.0, np.nan]
        x = np.concatenate([full("onnx/hard sigmoid", (24,), dtype, largest=4), np.asarray(special, dtype)])
        yield _forward(operation, Call((x.reshape(4, 8),), chosen), dtype, "Q2")
        return
    shape = graph.shape(subject.node.input[0])
    axes = 4 if shape is None else len(shape)
    if operation == "affine_grid":
        axes = 5 if shape is not None and shape[1] == 3 else 4
    for problem in problems():
        of_node = problem.operation == operation and problem.tag != "invalid" and dtype in problem.dtypes
        if not of_node or problem.options.get("channels_last") or not chosen.items() <= problem.options.items():
            continue
        inputs = filled(given(problem, dtype).inputs)
        dimensions = inputs[0].ndim if operation == "grid_sample" else inputs[0].shape[1] + 2
        if dimensions == axes and all(x.size for x in inputs) and 0 not in problem.options.get("size", ()):
            yield _forward(operation, Call(inputs, options(problem)), dtype, problem.rules[-1])


def _forward(operation: str, call: Call, dtype: str, rule: str) -> Case:
    """A case of a forward pass; the cotangents are not looked at."""
    output = OPERATIONS[operation].forward(call.inputs, call.options)
    return Case(operation, call, np.zeros_like(output), tuple(np.zeros_like(x) for x in call.inputs), dtype, rule)


# ---------------------------------------------------------------------------------------------------------------------
# Blocks


def _block(graph: Graph, block: Block) -> Checked:
    """Run a block on two images; where its reshapes allow one size only, on that."""
    chosen = {"activation": block.activation, "gate": block.gate}
    about = (block.name, block.kind, "squeeze_excitation", chosen)
    dtype = graph.dtype(block.image) or "float32"
    if dtype not in _DTYPES:
        return Checked(*about, skipped=f"its dtype is {dtype}")
    weights = {name: None if w is None else np.asarray(w, dtype) for name, w in block.parameters.items()}
    reduce_weight = weights["reduce_weight"]
    assert reduce_weight is not None
    declared = graph.shape(block.image)
    axes = 4 if declared is None else len(declared)
    shape = (2, reduce_weight.shape[1], *(3, 4, 5)[: axes - 2])
    if declared is not None and all(declared) and any(node.op_type in ("Reshape", "Flatten") for node in block.nodes):
        shape = tuple(size or 1 for size in declared)
    image = full(f"onnx/{block.name}", shape, dtype)
    absent = tuple(name for name, w in weights.items() if w is None)
    call = Call(filled({"input": image, **weights}), {**chosen, **({"absent": absent} if absent else {})})
    inner = {name for node in block.nodes for name in node.output}
    others = {name for node in block.nodes for name in node.input if name} - inner - {block.image, *graph.constants}
    if others:
        return Checked(*about, skipped=f"it also depends on {', '.join(sorted(others))}")
    try:
        case = _forward("squeeze_excitation", call, dtype, "Q1")
        session = _session(graph, block.nodes, dtype, block.output)
    except Exception as error:
        return Checked(*about, skipped=_first_line(error))
    notes = tuple(
        _DEFAULT_GATE
        for node in block.nodes
        if node.op_type == "HardSigmoid" and np.float32(attributes(node).get("alpha", 0.2)) == np.float32(0.2)
    )
    cut = _Cut(session, lambda asked: {block.image: asked.arrays[0]})
    return Checked(*about, (judge(Language(OPERATIONS["squeeze_excitation"]), cut, case, ("forward",)),), notes)


# ---------------------------------------------------------------------------------------------------------------------
# Running


def _session(graph: Graph, nodes: tuple[Any, ...], dtype: str, output: str | None = None) -> Session:
    """Cut nodes out of a model; return a function of their inputs."""
    helper, model = onnx().helper, graph.model
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    made = {name for node in nodes for name in node.output}
    needed = {name for node in nodes for name in node.input if name and name not in made}
    single = output is None
    initializers = [tensor for tensor in model.graph.initializer if tensor.name in needed and not single]
    outside = needed - {tensor.name for tensor in initializers}
    described = [
        helper.make_tensor_value_info(name, onnx().TensorProto.INT64 if _takes_size(nodes, name) else kind, None)
        for name in sorted(outside)
    ]
    result = helper.make_tensor_value_info(output or nodes[0].output[0], kind, None)
    cut = helper.make_graph(list(nodes), "cut", described, [result], initializers)
    whole = helper.make_model(cut, opset_imports=model.opset_import, ir_version=model.ir_version)
    runtime = _runtime()
    quiet = runtime.SessionOptions()
    quiet.log_severity_level = 4
    session = runtime.InferenceSession(whole.SerializeToString(), quiet, providers=["CPUExecutionProvider"])
    return lambda inputs: np.asarray(session.run(None, inputs)[0])


def _runtime() -> Any:
    with optional():
        import onnxruntime
    return onnxruntime


def _takes_size(nodes: tuple[Any, ...], name: str) -> bool:
    """Whether a tensor is the size of an affine grid."""
    return any(node.op_type == "AffineGrid" and node.input[1] == name for node in nodes)


def _first_line(error: BaseException) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0][:600]
