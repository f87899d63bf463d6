"""The reference's own error: how far it is from exact results, in units of the bound that others are judged by.

Rule D3 asks for it. Each variant of each operation is called on arrays whose every bit is in use, in each dtype; the
error is the distance from what :mod:`attn_ref.exact` gives for the same numbers, and its unit is the radius of the
interval of rule D2 (:mod:`attn_ref.verify.bounds`) at that element. A number of 1 would be an error as large as a right
implementation may have.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from attn_ref.backend import Array
from attn_ref.exact.rationals import exactly
from attn_ref.registry import OPERATIONS, Call, Operation
from attn_ref.vectors.inputs import full
from attn_ref.verify.bounds import FUNCTIONS, Key, intervals

__all__ = ["DTYPES", "FILE_HEAD", "Row", "label", "measure", "page", "rows"]

DTYPES = ("float64", "float32", "float16")
_DRAWS = 2
_SMALLER = 2.0 ** (-52 + 24)
"""Bounds of float64 are those of float32 but for this: in float64 itself their radius is lost between two numbers."""

Options = dict[str, Any]


@dataclass(frozen=True)
class Row:
    """One variant of one operation in one dtype.

    Attributes
    ----------
    operation, variant, dtype : str
        What was measured.
    errors : dict of str to float
        Worst error by function, in units of the bound.
    """

    operation: str
    variant: str
    dtype: str
    errors: dict[str, float]

    @property
    def worst(self) -> float:
        """The worst of all functions."""
        return max(self.errors.values())


# ---------------------------------------------------------------------------------------------------------------------
# Calls: shapes of the inputs, and options that no variant has

_SPACE = {0: (), 1: (5,), 2: (4, 5), 3: (3, 4, 5)}
_GRID = {2: (2, 4), 3: (1, 2, 3)}


def _sampler(variant: Options) -> tuple[dict[str, Any], Options]:
    d = variant["ndim"]
    return {
        "input": (2, 3, *_SPACE[d]) if d == 2 else (1, 2, *_SPACE[d]),
        "grid": (2 if d == 2 else 1, *_GRID[d], d),
    }, {}


def _theta(variant: Options) -> dict[str, Any]:
    return {"theta": (2, variant["ndim"], variant["ndim"] + 1)}


def _conv(variant: Options) -> tuple[dict[str, Any], Options]:
    groups = variant["groups"]
    return {"input": (2, 2 * groups, 6, 7), "weight": (3 * groups, 2, 2, 3), "bias": (3 * groups,)}, {}


def _batch_norm(variant: Options) -> tuple[dict[str, Any], Options]:
    statistics = {"running_mean": (0.3, -0.7, 0.1), "running_var": (0.6, 1.7, 0.9)}
    shapes = {"input": (4, 3, *_SPACE[variant["ndim"]]), "weight": (3,), "bias": (3,)}
    return shapes, {} if variant["training"] else statistics


def _block(variant: Options) -> tuple[dict[str, Any], Options]:
    image = (2, 3, *{1: (5,), 2: (2, 3), 3: (1, 2, 3)}[variant["ndim"]])
    weights = {"reduce_weight": (4, 3), "expand_weight": (3, 4), "reduce_bias": (4,), "expand_bias": (3,)}
    return {"input": image, **weights}, {}


def _glu(variant: Options) -> tuple[dict[str, Any], Options]:
    shape = [2, 3, 4]
    shape[variant["axis"]] = 6
    return {"x": tuple(shape)}, {}


_SHAPES: dict[str, Callable[[Options], tuple[dict[str, Any], Options]]] = {
    "affine_grid": lambda variant: (_theta(variant), {"size": (2, 3, *_SPACE[variant["ndim"]])}),
    "affine_inverse": lambda variant: (_theta(variant), {}),
    "grid_sample": _sampler,
    "activation": lambda _: ({"x": (6, 7)}, {}),
    "glu": _glu,
    "squeeze_excitation": _block,
    "linear": lambda _: ({"input": (3, 7), "weight": (4, 7), "bias": (4,)}, {}),
    "conv2d": _conv,
    "batch_norm": _batch_norm,
    "max_pool2d": lambda _: ({"input": (2, 3, 6, 7)}, {}),
    "avg_pool2d": lambda _: ({"input": (2, 3, 6, 7)}, {}),
    "global_avg_pool": lambda variant: ({"input": (2, 3, *_SPACE[variant["ndim"]])}, {}),
    "cross_entropy": lambda _: ({"logits": (4, 5)}, {"labels": (3, 0, 2, 2)}),
}


def _call(operation: Operation, variant: Options, dtype: str, draw: int) -> Call:
    shapes, more = _SHAPES[operation.name](variant)
    name = f"own error/{operation.name}/{label(variant)}/{dtype}/{draw}"
    inputs = {key: full(f"{name}/{key}", shape, dtype) for key, shape in shapes.items()}
    if operation.name == "affine_inverse":  # well conditioned: the identity and a little
        d = variant["ndim"]
        inputs["theta"] = np.asarray(np.eye(d, d + 1) * 2 + inputs["theta"].astype(np.float64) / 4, dtype)
    options = {key: value for key, value in variant.items() if key != "ndim"}
    return Call(tuple(inputs.values()), {**options, **more})


def label(variant: Options) -> str:
    """A variant in words: the values of its options, and what it leaves out."""
    words = []
    for key, value in variant.items():
        if key == "absent":
            words += [f"without {name}" for name in value]
        elif key == "ndim":
            words.append(f"{value}-D")
        elif isinstance(value, str):
            words.append(value)
        elif key == "align_corners":
            words.append("aligned" if value else "not aligned")
        else:
            words.append(f"{key} {value}")
    return ", ".join(words) or "all inputs"


# ---------------------------------------------------------------------------------------------------------------------
# Errors


def measure(operation: str, variant: Options, dtype: str) -> Row:
    """Measure one variant in one dtype.

    Parameters
    ----------
    operation : str
        A key of :data:`attn_ref.registry.OPERATIONS`.
    variant : dict
        One of its variants.
    dtype : str
        One of :data:`DTYPES`.

    Returns
    -------
    Row
    """
    subject = OPERATIONS[operation]
    errors: dict[str, float] = {}
    for draw in range(_DRAWS):
        call = _call(subject, variant, dtype, draw)
        shape = subject.forward(call.inputs, call.options).shape
        dy = np.asarray(full(f"{operation}/{label(variant)}/{dtype}/{draw}/grad_output", shape, dtype))
        tangents = tuple(full(f"{operation}/{dtype}/{draw}/{i}", x.shape, dtype) for i, x in enumerate(call.inputs))
        radii = _radii(subject, call, dy, tangents, dtype)
        ours = subject.results(call.inputs, dy, tangents, call.options)
        theirs = subject.twin.results(call.inputs, dy, tangents, call.options)
        for (function, of, found), (_, _, right) in zip(ours, theirs, strict=True):
            ratio = _ratio(np.asarray(found), np.asarray(right, object), radii[function, of])
            errors[function] = max(errors.get(function, 0.0), ratio)
    return Row(operation, label(variant), dtype, errors)


def _radii(subject: Operation, call: Call, dy: Array, tangents: Sequence[Array], dtype: str) -> dict[Key, Array]:
    """Half the width of the interval of every element."""
    functions = [name for name in FUNCTIONS if getattr(subject.functions, name) is not None]
    computed, factor = ("float32", _SMALLER) if dtype == "float64" else (dtype, 1.0)
    found = intervals(subject, call, dy, tangents, dtype=computed, functions=functions, choices=False)
    return {key: (interval.high - interval.low) / 2 * factor for key, interval in found.items()}


def _ratio(found: Array, right: Array, radius: Array) -> float:
    """The worst error of one result in units of its radius; errors are differences of exact numbers."""
    worst = 0.0
    for place in np.ndindex(found.shape):
        error = abs(Fraction(float(found[place])) - exactly(right[place]))
        if error:
            worst = max(worst, float(error) / float(radius[place]) if radius[place] > 0 else float("inf"))
    return worst


def rows(operations: Sequence[str] = (), step: Callable[[str], None] = lambda _: None) -> Iterator[Row]:
    """Measure every variant of operations, all of them by default, in every dtype.

    Parameters
    ----------
    operations : sequence of str
        Names in the registry.
    step : callable
        Called with the operation's name after each row.

    Yields
    ------
    Row
        One after the other.
    """
    for name in operations or OPERATIONS:
        for variant in OPERATIONS[name].variants:
            for dtype in DTYPES:
                yield measure(name, variant, dtype)
                step(name)


FILE_HEAD = """\
# The reference's own error

How far the results of this package are from exact ones, in units of the bound that other implementations are judged by
(rules [D2](d2) and [D3](d3)): 1 would be as large as the error of a right implementation may be. Each number is the
worst over the output, all gradients, the JVP and the double backward where there are any, of two calls on arrays whose
every bit is in use. The exact results are rational numbers, or have 50 digits where an exponential or a root occurs.
float16 comes near 1 because its only rounding, the last one, is most of its bound. This page is made by
`attn-ref check --error-table --page docs/errors.md`; where a sum runs in another order or an exponential is another
library's, the last digit may differ.
"""


def page(found: Sequence[Row]) -> str:
    """Write the table as Markdown, with a section for each operation.

    Parameters
    ----------
    found : sequence of Row
        From :func:`rows`.

    Returns
    -------
    str
        The page.
    """
    by_operation: dict[str, dict[str, dict[str, Row]]] = {}
    for row in found:
        by_operation.setdefault(row.operation, {}).setdefault(row.variant, {})[row.dtype] = row
    lines = [FILE_HEAD]
    for operation, variants in by_operation.items():
        lines += [f"## {operation}", "", f"| variant | {' | '.join(DTYPES)} |", "|---|" + "--:|" * len(DTYPES)]
        for variant, measured in variants.items():
            lines.append(f"| {variant} | " + " | ".join(f"{measured[dtype].worst:.2g}" for dtype in DTYPES) + " |")
        lines.append("")
    return "\n".join(lines)
