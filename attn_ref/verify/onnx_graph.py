"""What is to be verified in an ONNX graph: samplers, affine grids, hard sigmoids, and squeeze-and-excitation blocks.

A block is looked for backwards, from the product of an image with a gate: the gate's activation, a linear map (Conv of
one pixel, Gemm, MatMul with or without Add), an activation, another linear map, and a pooling of that same image, with
reshapes anywhere between. What a block may have got wrong is found too: another pooling, a sum in place of the product.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from attn_ref._extras import optional
from attn_ref.backend import Array

__all__ = ["Block", "Graph", "Single", "Subject", "attributes", "onnx"]

_SINGLE = ("GridSample", "AffineGrid", "HardSigmoid")
_POOLS = ("GlobalAveragePool", "ReduceMean", "GlobalMaxPool", "ReduceMax", "ReduceSum")
_SHAPING = ("Reshape", "Flatten", "Squeeze", "Unsqueeze", "Expand", "Identity", "Dropout")
_ACTIVATIONS = {"Relu": "relu", "Gelu": "gelu", "Sigmoid": "sigmoid", "HardSigmoid": "hard_sigmoid"}
_GATES = {"Sigmoid": "sigmoid", "HardSigmoid": "hard_sigmoid"}
_JOINS = ("Mul", "Add")


def onnx() -> Any:
    """Import the package onnx; the error says which extra installs it."""
    with optional():
        import onnx
        import onnx.helper
        import onnx.inliner
        import onnx.numpy_helper
        import onnx.shape_inference
    return onnx


def attributes(node: Any) -> dict[str, Any]:
    """The attributes of a node by name, strings as strings."""
    found = {a.name: onnx().helper.get_attribute_value(a) for a in node.attribute}
    return {name: value.decode() if isinstance(value, bytes) else value for name, value in found.items()}


@dataclass(frozen=True)
class Single:
    """One node that is an operation by itself."""

    node: Any

    @property
    def kind(self) -> str:
        """Its type in ONNX."""
        return str(self.node.op_type)

    @property
    def name(self) -> str:
        """Its name, or that of its output."""
        return str(self.node.name or self.node.output[0])


@dataclass(frozen=True)
class Block:
    """The nodes of a squeeze-and-excitation block, and its parameters as the reference takes them.

    Attributes
    ----------
    nodes : tuple of NodeProto
        In the order of the graph.
    image, output : str
        Names of the tensors that go in and come out.
    activation, gate : str
        As :func:`attn_ref.squeeze_excitation` names them.
    parameters : dict of str to array or None
        ``reduce_weight`` (R, C), ``expand_weight`` (C, R) and the biases.
    """

    nodes: tuple[Any, ...]
    image: str
    output: str
    activation: str
    gate: str
    parameters: dict[str, Array | None] = field(repr=False)

    kind = "squeeze-and-excitation"

    @property
    def name(self) -> str:
        """The name of the node that joins gate and image, or of its output."""
        return str(self.nodes[-1].name or self.output)


Subject = Single | Block


class _NoBlockError(Exception):
    """What is there is not a block."""


class Graph:
    """A model's graph, with what is needed to walk it backwards.

    Parameters
    ----------
    model : ModelProto
        The model; its functions are written out, and shapes inferred as far as ONNX can. What is in the branches and
        bodies of If and Loop is not looked at.
    """

    def __init__(self, model: Any) -> None:
        if model.functions:
            model = onnx().inliner.inline_local_functions(model)
        self.model = onnx().shape_inference.infer_shapes(model)
        graph = self.model.graph
        self.producers = {name: node for node in graph.node for name in node.output}
        self.constants = {tensor.name: onnx().numpy_helper.to_array(tensor) for tensor in graph.initializer}
        for node in graph.node:
            if node.op_type == "Constant" and node.attribute[0].name == "value":
                self.constants[node.output[0]] = onnx().numpy_helper.to_array(node.attribute[0].t)
        self.types = {info.name: info.type.tensor_type for info in (*graph.input, *graph.value_info, *graph.output)}

    def subjects(self) -> Iterator[Subject]:
        """Yield what is to be verified, in the order of the graph."""
        for node in self.model.graph.node:
            if node.op_type in _SINGLE and node.domain in ("", "ai.onnx"):
                yield Single(node)
            elif node.op_type in _JOINS and len(node.input) == 2:
                for image, gated in (tuple(node.input), tuple(node.input)[::-1]):
                    try:
                        yield self._block(node, image, gated)
                        break
                    except _NoBlockError:
                        continue

    def dtype(self, name: str) -> str | None:
        """The dtype of a tensor as NumPy names it; None if ONNX cannot tell."""
        kind = self.types[name].elem_type if name in self.types else 0
        return str(onnx().helper.tensor_dtype_to_np_dtype(kind)) if kind else None

    def shape(self, name: str) -> tuple[int | None, ...] | None:
        """The shape of a tensor, None for a size, or for the whole, that ONNX cannot tell."""
        if name in self.constants:
            return tuple(self.constants[name].shape)
        if name not in self.types or not self.types[name].HasField("shape"):
            return None
        return tuple(axis.dim_value or None for axis in self.types[name].shape.dim)

    def _block(self, join: Any, image: str, gated: str) -> Block:
        """Walk back from the gate to the pooling of the image."""
        walk = _Walk(self)
        gate = walk.one_of(_GATES, gated)
        expand_weight, expand_bias, below = walk.linear(gate.input[0])
        activation, below = walk.activation(below)
        reduce_weight, reduce_bias, below = walk.linear(below)
        pool = walk.one_of(_POOLS, below)
        if pool.input[0] != image:
            raise _NoBlockError
        return Block(
            nodes=self._between(image, join),
            image=image,
            output=join.output[0],
            activation=activation,
            gate=_GATES[gate.op_type],
            parameters={
                "reduce_weight": reduce_weight,
                "expand_weight": expand_weight,
                "reduce_bias": reduce_bias,
                "expand_bias": expand_bias,
            },
        )

    def _between(self, image: str, join: Any) -> tuple[Any, ...]:
        """All nodes on the way from an image to a node, those that only compute its shapes included."""
        wanted, found = [*join.input], {join.output[0]}
        while wanted:
            name = wanted.pop()
            producer = self.producers.get(name)
            if name == image or producer is None or producer.output[0] in found:
                continue
            found.add(producer.output[0])
            wanted += producer.input
        return tuple(node for node in self.model.graph.node if node.output and node.output[0] in found)


class _Walk:
    """A walk backwards."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph

    def _at(self, name: str) -> Any:
        """The node that makes a tensor, past what only shapes it."""
        while True:
            if name not in self.graph.producers:
                raise _NoBlockError
            node = self.graph.producers[name]
            if node.op_type not in _SHAPING:
                return node
            name = node.input[0]

    def one_of(self, kinds: Any, name: str) -> Any:
        """The node that makes a tensor, if it is of one of these types."""
        node = self._at(name)
        if node.op_type not in kinds:
            raise _NoBlockError
        return node

    def activation(self, name: str) -> tuple[str, str]:
        """The activation that makes a tensor, and what it is applied to."""
        node = self._at(name)
        if node.op_type in _ACTIVATIONS:
            tanh = attributes(node).get("approximate") == "tanh"
            return _ACTIVATIONS[node.op_type] + ("_tanh" if tanh else ""), node.input[0]
        if node.op_type == "Mul":  # x · σ(x)
            for below, other in (tuple(node.input), tuple(node.input)[::-1]):
                gate = self.graph.producers.get(other)
                if gate is not None and gate.op_type == "Sigmoid" and gate.input[0] == below:
                    return "silu", below
        raise _NoBlockError

    def linear(self, name: str) -> tuple[Array, Array | None, str]:
        """The linear map that makes a tensor: weight (out, in), bias if any, and what it is applied to."""
        node, bias = self._at(name), None
        if node.op_type == "Add":
            for below, other in (tuple(node.input), tuple(node.input)[::-1]):
                if other in self.graph.constants:
                    bias, node = self.graph.constants[other].reshape(-1), self._at(below)
                    break
        if node.op_type not in ("Conv", "Gemm", "MatMul") or node.input[1] not in self.graph.constants:
            raise _NoBlockError
        weight = self.graph.constants[node.input[1]]
        options = attributes(node)
        if node.op_type == "Conv":
            if weight.size != weight.shape[0] * weight.shape[1] or options.get("group", 1) != 1:
                raise _NoBlockError
            weight = weight.reshape(weight.shape[:2])
        elif not options.get("transB", 0):
            weight = weight.T
        if weight.ndim != 2:
            raise _NoBlockError
        if len(node.input) > 2 and node.input[2] in self.graph.constants:
            bias = self.graph.constants[node.input[2]].reshape(-1)
        return np.ascontiguousarray(weight), bias, node.input[0]
