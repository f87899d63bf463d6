"""``attn-ref experiment`` as a person sees it: what there is, progress, a table, files."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.text import Text

from attn_ref import validation
from attn_ref._console import INTERRUPTED
from attn_ref.experiments.catalogue import EXPERIMENTS
from attn_ref.experiments.checkpoints import CheckpointError
from attn_ref.experiments.experiment import Experiment, Settings, Training
from attn_ref.experiments.page import write_results
from attn_ref.experiments.results import collect
from attn_ref.experiments.trainer import Progress as Step
from attn_ref.experiments.workers import run_all

__all__ = ["list_experiments", "run"]


def list_experiments() -> None:
    """Print the experiments with their networks and data sets."""
    console = Console()
    for experiment in EXPERIMENTS.values():
        console.print(Text.assemble((experiment.name, "bold"), f": {experiment.question}"))
        for title, entries in (("networks", experiment.nets), ("data", experiment.data)):
            for number, (name, words) in enumerate(entries.items()):
                console.print(Text(f"  {title if number == 0 else '':10}{name:10}{words}"))


def run(
    name: str,
    *,
    quick: bool = False,
    seeds: int | None = None,
    only: Sequence[str] = (),
    jobs: int = 2,
    output: Path | None = None,
    restart: bool = False,
    samples: int | None = None,
    epochs: int | None = None,
) -> int:
    """Run an experiment, or go on with it, and write down what was found.

    Parameters
    ----------
    name : str
        A key of :data:`attn_ref.experiments.catalogue.EXPERIMENTS`.
    quick : bool
        Whether to train little, and with one seed.
    seeds : int, optional
        How many seeds, 0, 1, …; by default 3, or 1 if quick.
    only : sequence of str
        Names of networks and data sets to restrict it to.
    jobs : int
        Trainings at a time.
    output : pathlib.Path, optional
        The folder to write to, made if it does not exist; by default one called as the experiment.
    restart : bool
        Whether to begin anew where there are checkpoints, rather than go on.
    samples, epochs : int, optional
        In place of the experiment's own sizes; a quarter as many samples are for testing.

    Returns
    -------
    int
        Exit status: 0, or 130 after Ctrl-C.

    Raises
    ------
    ValueError
        If an argument is wrong (found out before any work), a checkpoint cannot be used, or training diverges.
    ModuleNotFoundError
        If an optional package is missing.
    """
    experiment = EXPERIMENTS[validation.choice("NAME", name, EXPERIMENTS)]
    settings = _settings(experiment, quick, samples, epochs)
    seeds = seeds if seeds is not None else 1 if quick else 3
    for option, value in (("--seeds", seeds), ("--jobs", jobs)):
        if value < 1:
            raise ValueError(f"{option} must be at least 1, got {value}")
    nets, data = _chosen(experiment, only)
    folder = output or Path(f"{name}-quick" if quick else name)
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"--output {folder} is not a folder")
    import matplotlib  # noqa: F401  # found missing now rather than after the work

    experiment.prepare()
    trainings = experiment.trainings(nets, data, seeds, settings)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "checkpoints").mkdir(exist_ok=True)
    checkpoints = [folder / "checkpoints" / f"{training.stem}.npz" for training in trainings]
    if restart:
        for path in checkpoints:
            path.unlink(missing_ok=True)

    console = Console(stderr=True)
    begun = sum(path.exists() for path in checkpoints)
    if begun:
        console.print(
            f"{begun} of {len(trainings)} trainings have checkpoints in {folder}: going on from there", soft_wrap=True
        )
    watch = _Watch(console, trainings)
    try:
        with watch.bars:
            results = run_all(trainings, checkpoints, jobs, watch.report, watch.done)
    except CheckpointError as error:
        raise ValueError(f"{error}; choose another --output, or --restart") from None
    except KeyboardInterrupt:
        console.print(
            f"stopped with {watch.finished} of {len(trainings)} trainings done. All is kept in {folder}: the same "
            "command goes on from there, to the same results",
            soft_wrap=True,
        )
        return INTERRUPTED
    command = _command(name, quick, seeds, only, samples, epochs)
    for path in write_results(folder, collect(trainings, results, settings, command, jobs)):
        print(f"wrote {path}")
    return 0


def _settings(experiment: Experiment, quick: bool, samples: int | None, epochs: int | None) -> Settings:
    settings = experiment.quick if quick else experiment.full
    if samples is not None:
        if not 20 <= samples <= experiment.most:
            raise ValueError(
                f"--samples must lie between 20 and {experiment.most} for {experiment.name}, got {samples}"
            )
        settings = replace(settings, samples=samples, tests=samples // 4)
    if epochs is not None:
        if epochs < 1:
            raise ValueError(f"--epochs must be at least 1, got {epochs}")
        settings = replace(settings, epochs=epochs)
    return settings


def _chosen(experiment: Experiment, only: Sequence[str]) -> tuple[list[str], list[str]]:
    """The networks and data sets that are named; all of a kind if none of it is."""
    for entry in only:
        validation.choice("--only", entry, [*experiment.nets, *experiment.data])
    chosen = [[name for name in names if name in only] or list(names) for names in (experiment.nets, experiment.data)]
    return chosen[0], chosen[1]


def _command(name: str, quick: bool, seeds: int, only: Sequence[str], samples: int | None, epochs: int | None) -> str:
    """The command that repeats an experiment, whatever the machine."""
    parts = [f"attn-ref experiment {name}", *["--quick"] * quick]
    parts += [f"--only {entry}" for entry in only]
    parts += [f"--seeds {seeds}"] if seeds != (1 if quick else 3) else []
    parts += [f"--{key} {value}" for key, value in (("samples", samples), ("epochs", epochs)) if value is not None]
    return " ".join(parts)


class _Watch:
    """Shows trainings under way: bars if someone watches, else a line for each epoch."""

    def __init__(self, console: Console, trainings: Sequence[Training]) -> None:
        self.console = console
        self.finished = 0
        columns = (TextColumn("{task.description}"), BarColumn(bar_width=20), TextColumn("{task.fields[status]}"))
        self.bars = Progress(*columns, TimeRemainingColumn(), console=console, transient=True)
        self._all = self.bars.add_task("all trainings", total=len(trainings), status="")
        self._tasks: dict[Training, TaskID] = {}
        self._parts: dict[Training, float] = {}
        self._since: dict[Training, tuple[float, int]] = {}

    def report(self, training: Training, step: Step) -> None:
        """Show a training's progress."""
        error = "" if step.error is None else f"  error {100 * step.error:5.1f} %"
        line = f"loss {step.loss:.3f}{error}{self._rate(training, step)}"
        done = (step.epoch - 1) + step.step / step.steps
        if training not in self._tasks:
            self._tasks[training] = self.bars.add_task(training.title, total=step.epochs, status=line)
        self.bars.update(self._tasks[training], completed=done, status=f"{line}  epoch {step.epoch}/{step.epochs}")
        self._parts[training] = done / step.epochs
        self.bars.update(self._all, completed=sum(self._parts.values()))
        if step.ended and not self.console.is_terminal:
            self.console.print(
                f"{training.title}: epoch {step.epoch}/{step.epochs}: {line}", style=None, soft_wrap=True
            )

    def done(self, training: Training) -> None:
        """Count a training that is done."""
        self.finished += 1
        if training in self._tasks:
            self.bars.remove_task(self._tasks.pop(training))
        self._parts[training] = 1.0
        self.bars.update(self._all, completed=sum(self._parts.values()), status=f"{self.finished} done")

    def _rate(self, training: Training, step: Step) -> str:
        """Samples a second since the first report on this epoch."""
        now = time.monotonic()
        before, samples = self._since.setdefault(training, (now, step.samples))
        if step.ended:
            del self._since[training]
        gone = now - before
        return f"  {(step.samples - samples) / gone:6.0f} samples/s" if gone > 0 else ""
