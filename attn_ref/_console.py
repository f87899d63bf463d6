"""What the commands have in common: a bar that counts, Hypothesis's notes out of the way, the status after Ctrl-C."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

__all__ = ["INTERRUPTED", "counting", "notes_aside"]

INTERRUPTED = 130
"""Exit status after Ctrl-C."""


@contextmanager
def counting(total: int) -> Iterator[Callable[[str], None]]:
    """A progress bar, on stderr and only if someone watches; what it gives is called for each piece of work."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=total)
        yield lambda name: bar.update(task, advance=1, description=name)


@contextmanager
def notes_aside() -> Iterator[None]:
    """Let Hypothesis keep its notes in a temporary folder, not in the current one."""
    from hypothesis.configuration import set_hypothesis_home_dir

    with tempfile.TemporaryDirectory() as scratch:
        set_hypothesis_home_dir(scratch)
        try:
            yield
        finally:
            set_hypothesis_home_dir(None)
