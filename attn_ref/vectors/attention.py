"""The problems of activations, glu and squeeze_excitation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from attn_ref.registry import OPERATIONS
from attn_ref.vectors.inputs import dyadic, full
from attn_ref.vectors.problem import DTYPES, Problem

__all__ = ["activations", "glus", "squeeze_excitations"]

_RULE = {"relu": "Q3", "gelu": "Q3", "gelu_tanh": "Q3", "silu": "Q3", "sigmoid": "Q3", "identity": "Q4"}
_CORNERS = [0.0, -0.0, 3.0, -3.0, 1.0, -1.0, 2.0, -2.0, 0.5, -0.5]
"""0 is relu's kink, the others those of the three hard sigmoids."""
_LARGE = [1000.0, -1000.0, 88.0, -88.0, 17.0, -17.0, 2.0**-14, -(2.0**-14)]


def activations() -> Iterator[Problem]:
    """Yield the problems of the activations: ordinary numbers, corners, large ones, NaN and infinities."""
    for variant in OPERATIONS["activation"].variants:
        options = dict(variant)
        line = f"-{options['slope']}x+{options['offset']}" if "slope" in options else ""
        name, rule = f"activation-{options['name']}{line}", _RULE.get(options["name"], "Q2")

        def problem(kind: str, x: Any, *rules: str, **more: Any) -> Problem:
            return Problem(f"{name}-{kind}", "activation", {"x": x}, options, (rule, *rules), **more)  # noqa: B023

        yield problem("dyadic", dyadic(f"{name}/x", (3, 5), largest=4))
        for dtype in DTYPES:
            yield problem("bits", full(f"{name}/x/{dtype}", (3, 5), dtype, largest=4), "T1", dtypes=(dtype,))
        yield problem("corners", np.array([_CORNERS]))
        yield problem("large", np.array([_LARGE]))
        yield problem("not-numbers", np.array([[np.nan, np.inf, -np.inf, 0.5]]), tag="acceptable")
    yield Problem("activation-relu-empty", "activation", {"x": np.zeros((0, 3))}, {"name": "relu"}, ("E3",))


def glus() -> Iterator[Problem]:
    """Yield the problems of glu."""
    for variant in OPERATIONS["glu"].variants:
        axis = variant["axis"]
        shape = [2, 3, 4]
        shape[axis] = 6
        name = f"glu-axis{axis}"
        x = dyadic(f"{name}/x", tuple(shape), largest=4)
        yield Problem(f"{name}-dyadic", "glu", {"x": x}, {"axis": axis}, ("Q4",))
        for dtype in DTYPES:
            bits = full(f"{name}/x/{dtype}", tuple(shape), dtype)
            yield Problem(f"{name}-bits", "glu", {"x": bits}, {"axis": axis}, ("Q4", "T1"), dtypes=(dtype,))


_BATCH, _CHANNELS, _REDUCED = 2, 3, 4
_SPACES = {1: (5,), 2: (2, 3), 3: (1, 2, 3)}


def squeeze_excitations() -> Iterator[Problem]:
    """Yield the problems of squeeze_excitation: every variant, then layouts, saturated gates and large images."""
    for variant in OPERATIONS["squeeze_excitation"].variants:
        absent = variant["absent"]
        names = f"{variant['activation']}-{variant['gate']}-{'-'.join(absent) or 'none'}-absent"
        name = f"squeeze_excitation-{variant['ndim']}d-{names}"
        options = {"activation": variant["activation"], "gate": variant["gate"]}
        space = _SPACES[variant["ndim"]]
        yield _block(f"{name}-dyadic", space, options, absent)
        for dtype in ("float64", "float32"):
            yield _block(f"{name}-bits", space, options, absent, dtype=dtype)
    usual = {"activation": "relu", "gate": "sigmoid"}
    yield _block("squeeze_excitation-2d-channels-last", (2, 3), usual, (), channels_last=True, rules=("Q5",))
    one = _block("squeeze_excitation-2d-saturated", (2, 3), usual, (), rules=("Q3",))
    one.inputs["expand_bias"] = np.array([1000.0, -1000.0, 17.0])
    yield one
    # Seventy-two thousands: their sum is infinite in float16, their mean is not.
    large = _block("squeeze_excitation-2d-large", (8, 9), usual, (), rules=("T1",), functions=("forward", "backward"))
    large.inputs["input"] = np.full((_BATCH, _CHANNELS, 8, 9), 1000.0)
    reduce_weight = large.inputs["reduce_weight"]
    assert reduce_weight is not None
    large.inputs["reduce_weight"] = reduce_weight / 512
    yield large


def _block(
    name: str,
    space: tuple[int, ...],
    options: dict[str, Any],
    absent: tuple[str, ...],
    *,
    dtype: str | None = None,
    channels_last: bool = False,
    rules: tuple[str, ...] = (),
    **more: Any,
) -> Problem:
    """A block with five inputs, of few bits or, with a dtype, of that dtype's every bit."""
    C, R = _CHANNELS, _REDUCED
    image = (_BATCH, *space, C) if channels_last else (_BATCH, C, *space)
    shapes = {
        "input": image,
        "reduce_weight": (R, C),
        "expand_weight": (C, R),
        "reduce_bias": (R,),
        "expand_bias": (C,),
    }
    inputs = {
        key: None
        if key in absent
        else dyadic(f"{name}/{key}", shape)
        if dtype is None
        else full(f"{name}/{key}/{dtype}", shape, dtype)
        for key, shape in shapes.items()
    }
    gate = "Q2" if options["gate"] == "hard_sigmoid" else "Q3"
    return Problem(
        name,
        "squeeze_excitation",
        inputs,
        {**options, "channels_last": channels_last},
        ("Q1", gate, *(("T1",) if dtype else ()), *rules),
        dtypes=DTYPES if dtype is None else (dtype,),
        **more,
    )
