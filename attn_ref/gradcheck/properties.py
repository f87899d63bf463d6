"""What every registered operation must satisfy: the table that ``attn-ref check`` goes through.

Strongest first: identities that need no differencing and hold to rounding; the rational oracle; differences with
steps that have no truncation error; kinks, on purpose; and what must hold for any input at all.

A property is a function of a :class:`~attn_ref.gradcheck.subject.Subject` and a call, and yields
:class:`~attn_ref.gradcheck.subject.Finding` values: an error and the bound that it must not pass. Bounds are derived,
from the operation's :class:`~attn_ref.registry.Terms`: a sum of n products is wrong by at most n roundings of the sum
of their magnitudes.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from attn_ref.backend import Array
from attn_ref.gradcheck.derivatives import jacobian, kinks, second_differences
from attn_ref.gradcheck.identities import adjoint, jvp_vjp, oracle, second_order
from attn_ref.gradcheck.invariants import layouts, precision, purity, special
from attn_ref.gradcheck.subject import Finding, Subject
from attn_ref.registry import OPERATIONS, Call, Operation

__all__ = ["PROPERTIES", "Property", "PropertyError", "examine", "replay"]


class PropertyError(AssertionError):
    """A property does not hold; the message says what was found."""


@dataclass(frozen=True)
class Property:
    """A property, and the kind of calls it is examined on."""

    check: Callable[[Subject, Call], Iterator[Finding]]
    kind: str
    dtypes: tuple[str, ...] = ("float64", "float32", "float16")
    applies: Callable[[Operation], bool] = lambda _: True

    @property
    def summary(self) -> str:
        """The first line of its docstring."""
        return (self.check.__doc__ or "").partition("\n")[0]


PROPERTIES: dict[str, Property] = {
    "adjoint": Property(adjoint, "exact", applies=lambda operation: bool(operation.linear_in)),
    "jvp-vjp": Property(jvp_vjp, "exact", applies=lambda operation: operation.has_jvp),
    "second-order": Property(second_order, "exact", applies=lambda operation: operation.has_double_backward),
    "oracle": Property(oracle, "exact"),
    "jacobian": Property(jacobian, "smooth", ("float64", "float32")),
    "second-differences": Property(
        second_differences,
        "smooth",
        ("float64", "float32"),
        applies=lambda operation: operation.has_double_backward and not operation.linear,
    ),
    "kinks": Property(kinks, "kinks", ("float64", "float32"), applies=lambda operation: operation.kinked),
    "precision": Property(precision, "smooth", ("float64",)),
    "layouts": Property(layouts, "exact"),
    "purity": Property(purity, "exact"),
    "special": Property(special, "smooth"),
}
"""All properties by name, strongest first."""


def examine(name: str, subject: Subject, call: Call) -> float:
    """Examine one call.

    Parameters
    ----------
    name : str
        A key of :data:`PROPERTIES`.
    subject : Subject
        The operation, in one library and precision.
    call : Call
        The call; its inputs are brought to the subject's dtype.

    Returns
    -------
    float
        The worst error in units of its bound.

    Raises
    ------
    PropertyError
        If a finding passes its bound.
    RuntimeWarning
        If NumPy warns.
    """
    worst = 0.0
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)  # NaN and inf are data: no operation may warn of them
        for finding in PROPERTIES[name].check(subject, subject.cast(call)):
            if not finding.ratio <= 1:
                raise PropertyError(
                    f"{subject.operation.name}: {name} does not hold ({PROPERTIES[name].summary}): "
                    f"{finding.what}: error {finding.error:.6g}, bound {finding.bound:.3g}"
                )
            worst = max(worst, finding.ratio)
    return worst


def replay(
    operation: str,
    property: str,
    inputs: Sequence[Array],
    options: dict[str, Any],
    *,
    dtype: str = "float64",
    backend: str = "numpy",
) -> float:
    """Examine one call again: what the snippets of ``attn-ref check`` use.

    Parameters
    ----------
    operation, property : str
        Keys of :data:`attn_ref.registry.OPERATIONS` and :data:`PROPERTIES`.
    inputs : sequence of array
        The differentiable inputs.
    options : dict
        The other arguments.
    dtype, backend : str
        As in ``attn-ref check``.

    Returns
    -------
    float
        The worst error in units of its bound.

    Raises
    ------
    PropertyError
        If the property does not hold.
    """
    subject = Subject(OPERATIONS[operation], np.dtype(dtype), backend)
    return examine(property, subject, Call(tuple(inputs), options))
