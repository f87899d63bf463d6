"""From a failing case to the smallest that fails likewise: fewer samples, channels and points, plainer numbers."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from attn_ref.registry import Call
from attn_ref.verify.failures import Case, Failure

__all__ = ["smallest"]


def smallest(failure: Failure, attempt: Callable[[Case], Failure | None], seconds: float) -> Failure:
    """Cut a failing case down as long as it fails likewise.

    Parameters
    ----------
    failure : Failure
        Where to start.
    attempt : callable
        Judges a case, and returns its first failure, None if it is right.
    seconds : float
        For how long.

    Returns
    -------
    Failure
        The failure of the smallest case found.
    """
    end = time.perf_counter() + seconds
    found = True
    while found and time.perf_counter() < end:
        found = False
        for case in _smaller(failure.case):
            again = attempt(case)
            if again is not None and (again.kind, again.function, again.of) == (
                failure.kind,
                failure.function,
                failure.of,
            ):
                failure, found = again, True
                break
            if time.perf_counter() > end:
                break
    return failure


def _smaller(case: Case) -> Iterator[Case]:
    """Cases with less in them, the greatest cuts first."""
    if case.operation == "grid_sample":
        yield from _fewer_points(case)
    yield from _plainer(case)


def _fewer_points(case: Case) -> Iterator[Case]:
    """One sample, one channel, one point."""
    image, grid = case.call.inputs
    d = grid.shape[-1]
    last = bool(case.call.options.get("channels_last"))
    if image.ndim != d + 2 or grid.ndim != d + 2 or image.shape[0] != grid.shape[0]:
        return  # another layout
    channel = -1 if last else 1
    for n in range(grid.shape[0] if grid.shape[0] > 1 else 0):
        yield _cut(case, lambda x, n=n: x[n : n + 1], lambda g, n=n: g[n : n + 1], lambda y, n=n: y[n : n + 1])
    for c in range(image.shape[channel] if image.shape[channel] > 1 else 0):
        yield _cut(case, lambda x, c=c: x.take([c], channel), lambda g: g, lambda y, c=c: y.take([c], channel))
    for axis in range(d):
        length, of_output = grid.shape[1 + axis], axis + (1 if last else 2)
        for i in range(length if length > 1 else 0):
            yield _cut(
                case,
                lambda x: x,
                lambda g, i=i, axis=axis: g.take([i], 1 + axis),
                lambda y, i=i, of_output=of_output: y.take([i], of_output),
            )


def _cut(case: Case, image: Any, grid: Any, output: Any) -> Case:
    call = Call((image(case.call.inputs[0]), grid(case.call.inputs[1])), case.call.options)
    return case._replace(
        call=call,
        grad_output=output(case.grad_output),
        tangents=(image(case.tangents[0]), grid(case.tangents[1])),
    )


def _plainer(case: Case) -> Iterator[Case]:
    """Ones for cotangents and tangents; numbers of few digits for the inputs."""
    ones = [np.ones_like(case.grad_output), *(np.ones_like(v) for v in case.tangents)]
    if not all(np.array_equal(a, b) for a, b in zip(ones, (case.grad_output, *case.tangents), strict=True)):
        yield case._replace(grad_output=ones[0], tangents=tuple(ones[1:]))
    for digits in (1, 2, 3):
        for i, x in enumerate(case.call.inputs):
            plain = np.asarray(np.round(x.astype(np.float64), digits), x.dtype)
            if case.dtype != "bfloat16" and not np.array_equal(plain, x, equal_nan=True):
                inputs = list(case.call.inputs)
                inputs[i] = plain
                yield case._replace(call=Call(tuple(inputs), case.call.options))
