"""The peak of memory of a work, in a process of its own.

The process makes the arrays, does the same work on a tiny problem (so that libraries are loaded and pools are made),
and then runs the work once, keeping the results. Two figures are taken: the peak of the *resident* memory above what
was resident before, as the operating system counts it (Linux and macOS), which contains everything; and the peak of the
memory that Python *traced*, which contains NumPy's arrays and nothing of other libraries, and is the same run after
run. (macOS tells only the peak since the process began: there, what making the arrays took beyond the arrays
themselves hides as much of the growth.)
"""

from __future__ import annotations

import multiprocessing
import signal
import sys
import tracemalloc
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path

from attn_ref.bench.cases import Case
from attn_ref.bench.contenders import CONTENDERS
from attn_ref.bench.peak import Peak
from attn_ref.bench.problems import build

__all__ = ["Peak", "peak_of"]


def peak_of(case: Case, contender: str, part: str, seed: int) -> Peak:
    """Run a work once in a fresh process and return its peak of memory.

    Parameters
    ----------
    case : Case
        The problem.
    contender, part : str
        Which work.
    seed : int
        Of the arrays.

    Returns
    -------
    Peak
        What was measured.

    Raises
    ------
    RuntimeError
        If the process ends without a result, for lack of memory perhaps.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(theirs, case, contender, part, seed), daemon=True)
    process.start()
    theirs.close()
    try:
        received: Peak = ours.recv()
    except EOFError:
        process.join()
        raise RuntimeError(f"measuring the memory of {case.name} ended with status {process.exitcode}") from None
    finally:
        process.kill()
        process.join()
        ours.close()
    return received


def _work(sender: Connection, case: Case, contender: str, part: str, seed: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends this process
    prepare = CONTENDERS[contender].prepare
    tiny = replace(case, shape=tuple(min(extent, 16) for extent in case.shape), points=())
    prepare(tiny, build(tiny, seed))[part].run()
    work = prepare(case, build(case, seed))[part]
    for_arrays = contender != "torch"  # which has allocators of its own
    before = _resident("VmRSS")
    if for_arrays:
        tracemalloc.start()
    results = work.run()
    traced = tracemalloc.get_traced_memory()[1] if for_arrays else None
    after = _resident("VmHWM")
    resident = None if before is None or after is None else after - before
    sender.send(Peak(sum(array.nbytes for array in work.results(results)), resident, traced))


def _resident(which: str) -> int | None:
    """Resident memory of this process in bytes: "VmRSS", that of now, or "VmHWM", the largest so far."""
    try:
        text = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return _largest_resident()
    found = [line.split() for line in text.splitlines() if line.startswith(f"{which}:")]
    return 1024 * int(found[0][1]) if found else None


def _largest_resident() -> int | None:
    """The same for systems without /proc; Linux would count here what the parent had when it started this process."""
    try:
        import resource
    except ModuleNotFoundError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak
