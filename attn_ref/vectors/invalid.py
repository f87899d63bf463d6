"""Calls that must be refused, each with one argument that is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from attn_ref.backend import Array
from attn_ref.vectors.inputs import dyadic
from attn_ref.vectors.problem import Problem

__all__ = ["invalid"]

_SAMPLING = {"mode": "bilinear", "padding_mode": "zeros", "align_corners": False, "channels_last": False}


def _draw(what: str, *shape: int) -> Array:
    return np.asarray(dyadic(f"invalid/{what}", shape), np.float32)


def _sampler(what: str, argument: str, rules: tuple[str, ...], **changes: Any) -> Problem:
    inputs = {"input": _draw("input", 2, 3, 4, 5), "grid": _draw("grid", 2, 2, 3, 2)}
    options = dict(_SAMPLING)
    for name, value in changes.items():
        (inputs if name in inputs else options)[name] = value
    return _refused("grid_sample", what, argument, rules, inputs, options)


def _refused(
    operation: str, what: str, argument: str, rules: tuple[str, ...], inputs: dict[str, Array], options: dict[str, Any]
) -> Problem:
    return Problem(
        f"{operation}-invalid-{what}",
        operation,
        dict(inputs),
        options,
        rules,
        dtypes=("float32",),
        tag="invalid",
        functions=(),
        refuses=argument,
    )


def invalid() -> Iterator[Problem]:
    """Yield the problems whose only right answer is an error."""
    yield _sampler("three-coordinates", "grid", ("S1", "E1"), grid=_draw("grid", 2, 2, 3, 3))
    yield _sampler("grid-without-rows", "grid", ("S1", "E1"), grid=_draw("grid", 2, 3, 2))
    yield _sampler("other-batch", "grid", ("S3", "E1"), grid=_draw("grid", 1, 2, 3, 2))
    yield _sampler("no-rows", "input", ("E3",), input=_draw("input", 2, 3, 0, 5))
    yield _sampler("image-of-three-axes", "input", ("S1", "E1"), input=_draw("input", 2, 4, 5))
    yield _sampler("unknown-mode", "mode", ("E4",), mode="lanczos")
    yield _sampler("unknown-padding", "padding_mode", ("E4",), padding_mode="wrap")
    yield _sampler("integers", "input", ("T2",), input=np.arange(120, dtype=np.int32).reshape(2, 3, 4, 5))
    yield _sampler("two-dtypes", "grid", ("T1",), grid=_draw("grid", 2, 2, 3, 2).astype(np.float64))

    grid: dict[str, Any] = {"size": (2, 3, 4, 5), "align_corners": False}
    theta = _draw("theta", 2, 2, 3)
    for what, argument, rules, inputs, options in (
        ("square", "theta", ("S4", "E1"), {"theta": _draw("theta", 2, 3, 3)}, grid),
        ("other-batch", "size", ("S3", "E1"), {"theta": theta}, {**grid, "size": (1, 3, 4, 5)}),
        ("negative-size", "size", ("E5",), {"theta": theta}, {**grid, "size": (2, 3, -4, 5)}),
        ("size-of-three", "size", ("E5",), {"theta": theta}, {**grid, "size": (2, 4, 5)}),
    ):
        yield _refused("affine_grid", what, argument, rules, inputs, options)

    singular = np.array([[[1.0, 0.5, 0.25], [0.5, 1.0, 0.0]], [[1.0, 2.0, 0.5], [0.5, 1.0, 0.25]]], np.float32)
    yield _refused("affine_inverse", "singular", "theta", ("E6",), {"theta": singular}, {})
    yield _refused("affine_inverse", "square", "theta", ("E1",), {"theta": _draw("theta", 2, 3, 3)}, {})

    block = {"activation": "relu", "gate": "sigmoid", "channels_last": False}
    right = {"input": _draw("x", 2, 3, 2, 5), "reduce_weight": _draw("w1", 4, 3), "expand_weight": _draw("w2", 3, 4)}
    for what, argument, rules, inputs, options in (
        ("other-channels", "reduce_weight", ("Q1",), {**right, "reduce_weight": _draw("w1", 4, 5)}, block),
        ("exchanged", "expand_weight", ("Q1",), {**right, "expand_weight": _draw("w2", 4, 3)}, block),
        ("no-pixels", "input", ("E3",), {**right, "input": _draw("x", 2, 3, 0, 5)}, block),
        ("long-bias", "reduce_bias", ("Q1",), {**right, "reduce_bias": _draw("b1", 3)}, block),
        ("unknown-gate", "gate", ("E4", "Q2"), right, {**block, "gate": "step"}),
        ("glu-as-activation", "activation", ("Q4",), right, {**block, "activation": "glu"}),
    ):
        yield _refused("squeeze_excitation", what, argument, rules, inputs, options)
    nothing = {**right, "reduce_weight": _draw("w1", 0, 3), "expand_weight": _draw("w2", 3, 0)}
    yield _refused("squeeze_excitation", "no-features", "reduce_weight", ("Q1",), nothing, block)

    yield _refused("activation", "unknown", "name", ("Q4", "E4"), {"x": _draw("x", 3, 5)}, {"name": "swoosh"})
    yield _refused("glu", "odd", "x", ("Q4",), {"x": _draw("x", 2, 3, 5)}, {"axis": 2})
