"""What a contender hands out to be timed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from attn_ref.backend import Array

__all__ = ["BOTH", "FORWARD", "Work", "Works"]

FORWARD, BOTH = "forward", "forward + backward"
"""Names of the usual parts."""


class Work(NamedTuple):
    """One thing to time.

    ``run()`` does it and returns when the result is there, in the contender's own form; ``results`` turns that into
    NumPy arrays, to be compared with those of others. On a device ``elapsed()`` does it once more and returns the
    seconds between two events there.
    """

    run: Callable[[], Any]
    results: Callable[[Any], tuple[Array, ...]]
    elapsed: Callable[[], float] | None = None


Works = dict[str, Work]
"""By part, the most complete first."""
