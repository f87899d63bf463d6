"""The tutorials: where the notebooks are, and how they get to a folder of the reader's own.

The source of each is ``tutorials/NN-name.md``, a notebook in MyST Markdown; beside it lies the same as ``.ipynb`` with
its outputs, made by :mod:`attn_ref.tutorials.regenerate`. In a checkout they are at the top, in a wheel inside this
package.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from attn_ref._extras import EXTRAS

__all__ = ["check_lab", "copy_notebooks", "folder", "notebooks", "open_lab"]

_PLACES = (Path(__file__).parent / "notebooks", Path(__file__).parents[2] / "tutorials")  # a wheel, a checkout


def folder() -> Path:
    """Return the folder that holds the tutorials.

    Returns
    -------
    pathlib.Path
        ``tutorials`` of the checkout that this package is imported from, or what the wheel brought.

    Raises
    ------
    FileNotFoundError
        If neither is there.
    """
    for place in _PLACES:
        if any(place.glob("[0-9][0-9]-*.md")):
            return place
    raise FileNotFoundError(f"there are no tutorials in {' or '.join(map(str, _PLACES))}: install attn_ref anew")


def notebooks() -> list[Path]:
    """Return the notebooks that come with the package, in the order of their numbers.

    Returns
    -------
    list of pathlib.Path
        ``NN-name.ipynb``, each with the outputs of its last run.

    Raises
    ------
    FileNotFoundError
        If they are neither in a checkout nor in the package.
    """
    return sorted(folder().glob("[0-9][0-9]-*.ipynb"))


def copy_notebooks(target: Path, *, replace: bool = False) -> tuple[list[Path], list[Path]]:
    """Copy the notebooks to a folder, which is made if need be.

    Parameters
    ----------
    target : pathlib.Path
        The folder.
    replace : bool
        Whether a notebook that is there already is replaced; without, it is kept: it may hold the reader's own work.

    Returns
    -------
    tuple of two lists of pathlib.Path
        The notebooks written, and those kept.

    Raises
    ------
    NotADirectoryError
        If the target is something other than a folder.
    FileNotFoundError
        If the notebooks are neither in a checkout nor in the package.
    """
    sources = notebooks()
    if target.exists() and not target.is_dir():
        raise NotADirectoryError(f"{target} is not a folder: name one, or one that does not exist yet")
    target.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    kept: list[Path] = []
    for source in sources:
        copy = target / source.name
        if copy.exists() and not replace:
            kept.append(copy)
            continue
        temporary = copy.with_suffix(".tmp")
        shutil.copyfile(source, temporary)
        temporary.replace(copy)
        written.append(copy)
    return written, kept


def check_lab() -> None:
    """Check, before any work, that JupyterLab is installed, and the packages that the notebooks import.

    Raises
    ------
    ModuleNotFoundError
        If one is missing: the extra ``tutorials`` installs it.
    """
    from importlib.util import find_spec

    for module in ("jupyterlab", *EXTRAS):  # its extra installs the others, too: name it first
        if EXTRAS[module][1] in ("tutorials", "check", "plot", "train") and find_spec(module) is None:
            raise ModuleNotFoundError("missing", name=module)


def open_lab(target: Path) -> int:
    """Open JupyterLab in a folder, and wait until it is closed.

    Parameters
    ----------
    target : pathlib.Path
        The folder.

    Returns
    -------
    int
        JupyterLab's exit status.
    """
    process = subprocess.Popen([sys.executable, "-m", "jupyterlab", str(target)])
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:  # JupyterLab got it, too, and asks whether it is meant
            continue
