"""``attn-ref vectors``: its two commands. Each imports what it needs when it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from attn_ref._oneline import failing_in_one_line

__all__ = ["vectors"]

vectors = typer.Typer(rich_markup_mode="markdown")


@vectors.callback(invoke_without_command=True)
def about(context: typer.Context) -> None:
    """Golden vectors: write them for a program in any language, and judge what it computes.

    Example: write them, run a program that puts its results into `results`, and have it judged:

        attn-ref vectors write vectors

        attn-ref vectors check vectors results
    """
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@vectors.command()
def write(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder that does not exist yet, or is empty.")],
) -> None:
    """Write the suite: inputs, exact results rounded once, and their bounds, as .npz and as raw little-endian files.

    README.txt in the folder says how it is laid out, schema.json what the manifest holds. The bytes are the same on
    every machine; the checksum of the manifest is printed, and compared with the published one. About half a minute.

    Exit status: 0; 1 if the checksum is not the published one; 2 after an error; 130 after Ctrl-C.

    Example:

        attn-ref vectors write vectors
    """
    with failing_in_one_line("vectors write"):
        from attn_ref.vectors import console

        status = console.write(folder)
    raise typer.Exit(status)


@vectors.command()
def check(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The suite.")],
    results: Annotated[
        Path, typer.Argument(metavar="RESULTS", help="The folder with CASE.RESULT.bin, CASE.npz, CASE.refused.")
    ],
    require: Annotated[
        list[str] | None,
        typer.Option(help="What must not be missing: a pattern of CASE/RESULT with * and ?.", metavar="PATTERN"),
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Count acceptable deviations (NaN, infinities, one pixel) as wrong.")
    ] = False,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Also write every judgement to this file.", metavar="FILE")
    ] = None,
) -> None:
    """Judge the results of another program by the bounds of the suite.

    A program may leave out what it cannot compute: that is counted as missing, and is no failure unless --require asks
    for it. Where frameworks differ for reasons, another choice than the specification's is counted as acceptable.

    Exit status: 0 if nothing is wrong, 1 if something is, 2 after an error, 130 after Ctrl-C.

    Example: a bilinear sampler in float32, forward only:

        attn-ref vectors check vectors results --require 'grid_sample-2d-bilinear-*-float32/output'
    """
    with failing_in_one_line("vectors check"):
        from attn_ref.vectors import console

        status = console.check(folder, results, require=require or (), strict=strict, json_file=json_file)
    raise typer.Exit(status)
