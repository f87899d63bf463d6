"""Many trainings at once, each worker a process of its own with one thread.

Workers are spawned and take trainings from a queue, so how many there are changes the order of things and no result.
Ctrl-C reaches the parent alone: workers ignore it, and when the parent says so they stop at the end of their step, with
their checkpoints written. They stop likewise if the parent is gone.
"""

from __future__ import annotations

import multiprocessing
import os
import queue
import signal
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from attn_ref.experiments.checkpoints import CheckpointError
from attn_ref.experiments.experiment import Training
from attn_ref.experiments.trainer import Progress

__all__ = ["run_all"]

_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "ATTN_REF_NUM_THREADS")
"""What the libraries that might start threads listen to."""

_PAUSE = 0.2
"""Seconds between two reports of a worker on steps of one epoch."""

_FORESEEN = (ValueError, OSError, MemoryError, ModuleNotFoundError)


def run_all(
    trainings: Sequence[Training],
    checkpoints: Sequence[Path],
    jobs: int,
    report: Callable[[Training, Progress], None],
    done: Callable[[Training], None],
) -> list[dict[str, Any]]:
    """Run trainings in worker processes.

    Parameters
    ----------
    trainings : sequence of Training
        What to run; started in this order.
    checkpoints : sequence of pathlib.Path
        Where each keeps its state, and where it goes on from if the file exists.
    jobs : int
        How many run at a time.
    report, done : callable
        Called, here, with a training and its progress, and when it is done.

    Returns
    -------
    list of dict
        What each training yields, in the order of ``trainings``.

    Raises
    ------
    CheckpointError
        If a checkpoint cannot be used; the others are stopped first, as in what follows.
    ValueError
        If a training fails in a way that was foreseen, with its title.
    RuntimeError
        If one fails otherwise, with its traceback, or a worker dies.
    KeyboardInterrupt
        After Ctrl-C, once all workers have stopped. A second Ctrl-C ends them at once.
    """
    context = multiprocessing.get_context("spawn")
    tasks, events, stop = context.Queue(), context.Queue(), context.Event()
    for task in enumerate(zip(trainings, checkpoints, strict=True)):
        tasks.put(task)
    count = min(jobs, len(trainings))
    for _ in range(count):
        tasks.put(None)
    workers = [context.Process(target=_work, args=(tasks, events, stop), daemon=True) for _ in range(count)]
    with _one_thread(), _ignoring_interrupts():
        for worker in workers:
            worker.start()
    results: dict[int, dict[str, Any]] = {}
    try:
        while len(results) < len(trainings):
            kind, index, value = _next(events, workers)
            if kind == "failed":
                raise value
            if kind == "result":
                results[index] = value
                done(trainings[index])
            else:
                report(trainings[index], value)
    finally:
        stop.set()
        tasks.cancel_join_thread()
        try:
            _join(workers, events)
        finally:
            for worker in workers:
                worker.terminate()
    return [results[index] for index in range(len(trainings))]


def _next(events: Any, workers: Sequence[Any]) -> tuple[str, int, Any]:
    """The next event; an error if there will be none."""
    while True:
        dead = [worker.exitcode for worker in workers if worker.exitcode]
        try:
            event: tuple[str, int, Any] = events.get(timeout=_PAUSE)
            return event
        except queue.Empty:
            if dead:
                raise RuntimeError(
                    f"a worker process ended with exit code {dead[0]}; out of memory? The checkpoints are kept: run "
                    "the command again to go on"
                ) from None


def _join(workers: Sequence[Any], events: Any) -> None:
    """Wait for workers to end, and take what they still send: a process does not end before that is taken."""
    while any(worker.is_alive() for worker in workers):
        try:
            events.get(timeout=_PAUSE / 4)
        except queue.Empty:
            continue


def _work(tasks: Any, events: Any, stop: Any) -> None:
    """The worker: trainings from the queue, until there is none or it is stopped."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()

    def stopped() -> bool:
        return stop.is_set() or parent is None or not parent.is_alive()

    while not stopped():
        try:
            task = tasks.get(timeout=_PAUSE)
        except queue.Empty:
            continue
        if task is None:
            return
        index, (training, checkpoint) = task
        try:
            events.put(("result", index, _run(training, checkpoint, index, events, stopped)))
        except KeyboardInterrupt:
            return
        except CheckpointError as error:
            events.put(("failed", index, error))
            return
        except _FORESEEN as error:
            events.put(("failed", index, ValueError(f"{training.title}: {error}")))
            return
        except Exception:
            events.put(("failed", index, RuntimeError(f"{training.title} failed:\n{traceback.format_exc()}")))
            return


def _run(training: Training, checkpoint: Path, index: int, events: Any, stopped: Callable[[], bool]) -> dict[str, Any]:
    from attn_ref.experiments.catalogue import EXPERIMENTS

    told = 0.0

    def report(progress: Progress) -> None:
        nonlocal told
        if stopped():
            raise KeyboardInterrupt
        if progress.ended or time.monotonic() - told > _PAUSE:
            told = time.monotonic()
            events.put(("progress", index, progress))

    return EXPERIMENTS[training.experiment].run(training, checkpoint, report)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Processes that start inside use one thread."""
    before = {name: os.environ.get(name) for name in _THREADS}
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def _ignoring_interrupts() -> Iterator[None]:
    """Processes that start inside ignore Ctrl-C from their first moment, before they can say so themselves."""
    try:
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    except ValueError:  # not the main thread: it gets no Ctrl-C, and may not say who does
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
