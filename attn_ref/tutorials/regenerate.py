"""Run the tutorials and write them as notebooks with outputs: python -m attn_ref.tutorials.regenerate [NN …].

Each ``NN-name.md`` is read with jupytext, run from top to bottom in a fresh kernel, and written beside its source as
``NN-name.ipynb``. A cell that raises, or takes longer than a minute, stops the run and leaves the old notebook.
"""

from __future__ import annotations

import argparse
import base64
import copy
import io
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from attn_ref._files import write_bytes
from attn_ref.tutorials import folder

__all__ = ["LIMIT", "main", "read", "run"]

LIMIT = 250_000
"""Bytes that a notebook may have."""

_SECONDS = 60
_METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},  # without the version, which would change with every machine
}
_HIDDEN = {"hide-input": ["source_hidden"], "hide-cell": ["source_hidden", "outputs_hidden"]}


def read(source: Path) -> Any:
    """Read a tutorial's source as a notebook without outputs.

    Parameters
    ----------
    source : pathlib.Path
        ``NN-name.md``.

    Returns
    -------
    nbformat.NotebookNode
        Always the same for the same source. What MyST-NB folds by a tag, ``hide-input`` or ``hide-cell``, Jupyter
        folds too.
    """
    import jupytext

    notebook = jupytext.read(source)
    notebook.metadata = copy.deepcopy(_METADATA)
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number}"
        for tag in cell.metadata.get("tags", []):
            for hidden in _HIDDEN.get(tag, []):
                cell.metadata.setdefault("jupyter", {})[hidden] = True
    return notebook


def run(notebook: Any) -> Any:
    """Run a notebook from top to bottom in a fresh kernel, in an empty folder.

    Parameters
    ----------
    notebook : nbformat.NotebookNode
        It is changed: outputs are filled in, pictures as PNG files of at most 256 colours.

    Returns
    -------
    nbformat.NotebookNode
        The same notebook.

    Raises
    ------
    nbclient.exceptions.CellExecutionError
        If a cell raises.
    nbclient.exceptions.CellTimeoutError
        If a cell takes longer than a minute.
    """
    from nbclient import NotebookClient

    root = Path(__file__).parents[2]  # the kernel shall import this package, whatever is installed
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(root), *filter(None, [os.getenv("PYTHONPATH")])])}
    with tempfile.TemporaryDirectory() as empty:
        client = NotebookClient(
            notebook,
            timeout=_SECONDS,
            kernel_name="python3",
            record_timing=False,
            extra_arguments=["--log-level=ERROR"],
            resources={"metadata": {"path": empty}},
        )
        client.execute(env=environment)
    notebook.metadata = copy.deepcopy(_METADATA)
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if "image/png" in data:
                data["image/png"] = _with_few_colours(data["image/png"])
    return notebook


def main(arguments: list[str] | None = None) -> int:
    """Regenerate the notebooks whose numbers are given, or all.

    Parameters
    ----------
    arguments : list of str, optional
        The command line's; without, those of this process.

    Returns
    -------
    int
        0, or 1 if a notebook is too large.
    """
    parser = argparse.ArgumentParser(prog="python -m attn_ref.tutorials.regenerate", description=__doc__)
    parser.add_argument("numbers", nargs="*", metavar="NN", help="which; without, all")
    wanted = parser.parse_args(arguments).numbers
    sources = sorted(folder().glob("[0-9][0-9]-*.md"))
    unknown = {number.zfill(2) for number in wanted} - {source.name[:2] for source in sources}
    if unknown:
        parser.error(f"there is no tutorial {', '.join(sorted(unknown))}")
    status = 0
    for source in sources:
        if wanted and source.name[:2] not in {number.zfill(2) for number in wanted}:
            continue
        start = time.perf_counter()
        content = _encode(run(read(source)))
        write_bytes(source.with_suffix(".ipynb"), content)
        print(f"{source.stem}: {time.perf_counter() - start:.0f} s, {len(content) / 1000:.0f} kB", flush=True)
        if len(content) > LIMIT:
            print(f"{source.stem} is too large: at most {LIMIT / 1000:.0f} kB", file=sys.stderr)
            status = 1
    return status


def _encode(notebook: Any) -> bytes:
    import nbformat

    nbformat.validate(notebook)
    text: str = nbformat.writes(notebook)  # type: ignore[no-untyped-call]
    return (text.rstrip("\n") + "\n").encode()


def _with_few_colours(encoded: str) -> str:
    """A PNG image in base64 with at most 256 colours, if that is smaller; an animated one as it is."""
    from PIL import Image

    before = base64.b64decode(encoded)
    with Image.open(io.BytesIO(before)) as image:
        if getattr(image, "is_animated", False):
            return encoded
        on_white = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA")).convert("RGB")
        after = io.BytesIO()
        on_white.quantize(256, dither=Image.Dither.NONE).save(after, "PNG", optimize=True)
    return encoded if len(after.getvalue()) >= len(before) else base64.b64encode(after.getvalue()).decode()


if __name__ == "__main__":
    sys.exit(main())
