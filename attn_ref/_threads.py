"""Threads: how many, and one pool of them, made when first needed.

Work is cut into tasks by the shapes of the arrays, never by the number of threads, and no task depends on another. So
the bits of a result do not depend on how many threads there are.
"""

from __future__ import annotations

import contextvars
import os
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from math import ceil
from typing import Any

__all__ = ["allowed", "cut", "results", "run"]

_local = threading.local()
_lock = threading.Lock()
_pools: dict[tuple[int, int], ThreadPoolExecutor] = {}
"""The pool, by process (a forked child has none of its parent's threads) and number of threads."""


def allowed() -> tuple[int, str]:
    """Return how many threads may be used, and what says so.

    Returns
    -------
    count : int
        The environment variable ATTN_REF_NUM_THREADS, or else the number of cores available.
    origin : str
        Which of the two; and whether the first was set but is not a number above 0.
    """
    wanted = os.environ.get("ATTN_REF_NUM_THREADS", "").strip()
    if wanted.isascii() and wanted.isdigit() and int(wanted) > 0:
        return int(wanted), "ATTN_REF_NUM_THREADS"
    affinity = getattr(os, "sched_getaffinity", None)  # Linux only
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    ignored = f"; ATTN_REF_NUM_THREADS={wanted!r} is not a number above 0" if wanted else ""
    return cores, f"the cores available{ignored}"


def cut(length: int, parts: float) -> list[slice]:
    """Cut a range into about that many equal parts: one if that will do, else an even number where it can be."""
    count = 1 if parts <= 1 else 2 * ceil(parts / 2)
    step = ceil(length / count)
    return [slice(start, min(start + step, length)) for start in range(0, length, step)]


def run(function: Callable[[Any], object], tasks: Sequence[Any]) -> None:
    """Call the function with each task, several at a time.

    The caller works, too: it begins at once, and who joins it takes the tasks that are left. So little is lost where a
    thread needs longer to wake up than the work takes. A single task is computed where it is, and so is everything that
    a task itself asks for.
    """
    count = 1 if len(tasks) < 2 or getattr(_local, "inside", False) else min(allowed()[0], len(tasks))
    if count == 1:
        for task in tasks:
            function(task)
        return
    left = deque(tasks)

    def work() -> None:
        _local.inside = True
        try:
            while left:
                try:
                    task = left.popleft()
                except IndexError:  # another was faster
                    return
                function(task)
        except BaseException:
            left.clear()
            raise
        finally:
            _local.inside = False

    # NumPy's error state belongs to the context: what is quiet here is quiet there.
    pool = _pool(allowed()[0])
    helpers = [pool.submit(contextvars.copy_context().run, work) for _ in range(count - 1)]
    try:
        work()
    finally:
        wait(helper for helper in helpers if not helper.cancel())  # who has not begun need not begin
    for helper in helpers:
        if not helper.cancelled():
            helper.result()


def results(function: Callable[[Any], Any], tasks: Sequence[Any]) -> list[Any]:
    """Return what the function returns for each task, in the order of the tasks."""
    found: list[Any] = [None] * len(tasks)

    def one(i: int) -> None:
        found[i] = function(tasks[i])

    run(one, range(len(tasks)))
    return found


def _pool(count: int) -> ThreadPoolExecutor:
    key = (os.getpid(), count)
    with _lock:
        if key not in _pools:
            _pools[key] = ThreadPoolExecutor(count, "attn_ref")
        return _pools[key]
