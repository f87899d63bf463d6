"""What a problem of a suite is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from attn_ref.backend import Array

__all__ = ["DTYPES", "FUNCTIONS", "TAGS", "Problem"]

DTYPES = ("float64", "float32", "float16")
FUNCTIONS = ("forward", "backward", "jvp", "double_backward")
TAGS = ("valid", "acceptable", "invalid")
"""valid: every implementation must agree. acceptable: frameworks differ for reasons, so a difference is reported but is
no failure. invalid: the call must be refused."""


@dataclass(frozen=True)
class Problem:
    """One call of an operation and its derivatives: a case of the suite for each of its dtypes.

    Attributes
    ----------
    name : str
        Says what is in it; with the dtype it names the case.
    operation : str
        A key of :data:`attn_ref.registry.OPERATIONS`.
    inputs : dict of str to array or None
        The differentiable inputs by name, in order; None for an optional one that is absent. Every number is exact in
        each of the dtypes.
    options : dict
        The other arguments.
    rules : tuple of str
        Ids of the specification's rules that it is about.
    dtypes : tuple of str
        The dtypes of its cases.
    tag : str
        One of :data:`TAGS`.
    functions : tuple of str
        Which functions' results are asked for.
    refuses : str or None
        The argument that is wrong, if the tag is invalid.
    """

    name: str
    operation: str
    inputs: dict[str, Array | None]
    options: dict[str, Any]
    rules: tuple[str, ...]
    dtypes: tuple[str, ...] = DTYPES
    tag: str = "valid"
    functions: tuple[str, ...] = FUNCTIONS
    refuses: str | None = None
