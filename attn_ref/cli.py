"""The command line: what ``attn-ref --help`` lists. Each command imports what it needs when it runs."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from attn_ref import __version__
from attn_ref._oneline import OneLine, failing_in_one_line
from attn_ref.vectors.commands import vectors

__all__ = ["app"]

app = typer.Typer(cls=OneLine, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="markdown")
app.add_typer(vectors, name="vectors")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"attn-ref {__version__}")
        raise typer.Exit()


@app.callback()
def attn_ref(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """The reference implementation of the soft attention of computer vision, at the command line.

    attn_ref holds spatial transformers (affine_grid and grid_sample) and squeeze-and-excitation with every derivative
    derived by hand and checked, on NumPy or CuPy arrays. That is a library, `import attn_ref`; the commands below show
    it at work and look at the machine it runs on. Try first, in an empty folder:

        attn-ref warp --rotate 30 --scale 0.8 --figure grid.png

    Every command has its own --help, with an example. An error is one line on stderr, and exit status 2.
    """


@app.command()
def warp(
    photo: Annotated[
        Path | None,
        typer.Argument(metavar="PHOTO", help="The picture to warp. Without one: the photo of a cat in the package."),
    ] = None,
    rotate: Annotated[
        float, typer.Option(help="Degrees counter-clockwise, as seen on the screen.", rich_help_panel="Motion")
    ] = 0.0,
    scale: Annotated[float, typer.Option(help="Above 1 enlarges the content.", rich_help_panel="Motion")] = 1.0,
    shear: Annotated[
        float,
        typer.Option(help="Degrees by which upright lines lean, tops to the right.", rich_help_panel="Motion"),
    ] = 0.0,
    translate: Annotated[
        tuple[float, float],
        typer.Option(
            help="To the right and down, in fractions of the output's width and height.",
            metavar="X Y",
            rich_help_panel="Motion",
        ),
    ] = (0.0, 0.0),
    mode: Annotated[
        str, typer.Option(help="bilinear, nearest or bicubic.", metavar="WORD", rich_help_panel="Sampling")
    ] = "bilinear",
    padding: Annotated[
        str,
        typer.Option(
            help="What lies outside the photo: zeros (black, or transparent), border or reflection.",
            metavar="WORD",
            rich_help_panel="Sampling",
        ),
    ] = "zeros",
    align_corners: Annotated[
        bool,
        typer.Option(
            help="Whether -1 and 1 are the centres of the corner pixels or the outer edges. The photo moves by the "
            "same pixels; reflection folds elsewhere.",
            rich_help_panel="Sampling",
        ),
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="Where to write the result; the suffix says which format. Without: PHOTO-warped.png, here.",
            rich_help_panel="Files",
        ),
    ] = None,
    figure: Annotated[
        Path | None,
        typer.Option(help="Also draw the source under the sampling grid, beside the result.", rich_help_panel="Files"),
    ] = None,
    size: Annotated[
        tuple[int, int] | None,
        typer.Option(
            help="Output pixels; a larger output is a larger window, not a larger photo. Without: as PHOTO.",
            metavar="H W",
            rich_help_panel="Files",
        ),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Allow the result to replace PHOTO.", rich_help_panel="Files")
    ] = False,
) -> None:
    """Send a photo through affine_grid and grid_sample.

    The options describe how the content moves, in pixels: it is scaled, then sheared, then rotated about its centre,
    laid centre on centre on the output, and translated. A spatial transformer's theta maps the other way, from output
    to input, in normalised coordinates; the command converts and inverts. Shrinking does not blur first, as a sampler
    does not: expect aliasing.

    Example: turn a photo, a little smaller, and draw how it was sampled:

        attn-ref warp photo.jpg --rotate 30 --scale 0.8 --figure grid.png
    """
    with failing_in_one_line("warp"):
        from attn_ref import affine_grid, photos, validation, warping
        from attn_ref._files import write_bytes
        from attn_ref.ops.boundary import PADDINGS
        from attn_ref.ops.interpolation import MODES

        validation.choice("--mode", mode, MODES)
        validation.choice("--padding", padding, PADDINGS)
        source_path = photos.EXAMPLE if photo is None else photo
        source = photos.read_photo(source_path)
        output = output or Path(f"{Path(source_path.name).stem}-warped{source.lossless_suffix}")
        size = size or source.size
        photos.check_output_size(*size)
        photos.check_target(output)
        photos.check_apart(photo, output, figure, may_replace=force)
        if figure is not None:
            from attn_ref import plotting

            plotting.check_target(figure)

        theta = warping.theta_from_motion(
            source.size,
            size,
            rotate=rotate,
            scale=scale,
            shear=shear,
            translate=translate,
            align_corners=align_corners,
        )
        grid = affine_grid(theta, (1, 1, *size), align_corners=align_corners)
        values = warping.sample_in_bands(
            source.values, grid, mode=mode, padding_mode=padding, align_corners=align_corners, track=_progress
        )
        result = source.replace(values)

        contents = {output: photos.encode(result, output)}
        if figure is not None:
            drawn = plotting.draw_sampling(source.shown(), grid, result.shown(), align_corners=align_corners)
            contents[figure] = plotting.encode(drawn, figure)
        for path, content in contents.items():
            write_bytes(path, content)
            typer.echo(f"wrote {path}")


@app.command()
def check(
    op: Annotated[list[str] | None, typer.Option(help="Only this operation; may be repeated.", metavar="NAME")] = None,
    prop: Annotated[
        list[str] | None, typer.Option("--property", help="Only this property; may be repeated.", metavar="NAME")
    ] = None,
    examples: Annotated[
        int, typer.Option(help="Calls drawn for each variant (mode, padding, alignment, 2-D or 3-D).")
    ] = 8,
    seed: Annotated[int, typer.Option(help="The same seed draws the same calls.")] = 0,
    dtype: Annotated[str, typer.Option(help="float64, float32 or float16.", metavar="WORD")] = "float64",
    backend: Annotated[str, typer.Option(help="numpy or cupy.", metavar="WORD")] = "numpy",
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Also write the results to this file.", metavar="FILE")
    ] = None,
    list_only: Annotated[
        bool, typer.Option("--list", help="Print the operations and their properties, and exit.")
    ] = False,
    error_table: Annotated[
        bool,
        typer.Option(
            "--error-table", help="Measure how far all results are from exact ones, instead; with --op and --json."
        ),
    ] = False,
    page: Annotated[
        Path | None, typer.Option(help="Also write the error table as Markdown to this file.", metavar="FILE")
    ] = None,
) -> None:
    """Check every hand-derived derivative: each property of each operation, on calls that Hypothesis draws.

    Identities come first (adjoints, symmetry), then exact rational values, then differences, then kinks, NaN and
    infinities. Errors are shown in units of their derived bound: up to 1 is right. A failure is shrunk and printed as
    a snippet to paste into Python. Exit status: 0 if all passed, 1 if not; Ctrl-C shows what was done so far.

    Example: look hard at the sampler's gradients in float32:

        attn-ref check --op grid_sample --property jacobian --dtype float32 --examples 100

    With --error-table, the package's own error is measured against rational numbers, or 50 digits, in units of the
    bound that other implementations are judged by: every operation, variant and dtype, in about two minutes.
    """
    with failing_in_one_line("check"):
        from attn_ref.gradcheck import console

        if list_only:
            console.list_pairs()
            return
        if error_table:
            raise typer.Exit(console.error_table(op or (), json_file=json_file, page_file=page))
        if page is not None:
            raise ValueError("--page belongs to --error-table: add it")
        status = console.check(
            op or (),
            prop or (),
            examples=examples,
            seed=seed,
            dtype=dtype,
            backend=backend,
            json_file=json_file,
        )
    raise typer.Exit(status)


@app.command()
def verify(
    operation: Annotated[
        str | None, typer.Argument(metavar="OPERATION", help="grid_sample, affine_grid, squeeze_excitation, …")
    ] = None,
    candidate: Annotated[
        str | None,
        typer.Argument(metavar="CANDIDATE", help="Its forward function, package.module:function, found from here."),
    ] = None,
    backward: Annotated[
        str | None,
        typer.Option(help="Its backward function, likewise. Without: autograd, with torch.", metavar="PATH"),
    ] = None,
    adapter: Annotated[
        str, typer.Option(help="What arrays it takes: numpy (or __array__, DLPack), torch or cupy.", metavar="WORD")
    ] = "numpy",
    convention: Annotated[
        str | None, typer.Option(help="The convention it speaks, such as onnx; see the Rosetta page.", metavar="NAME")
    ] = None,
    align_corners: Annotated[
        bool | None,
        typer.Option("--align-corners/--no-align-corners", help="Only this alignment. Without: both."),
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(
            help="Only this value of an option, mode=bilinear or ndim=2; may be repeated.", metavar="NAME=VALUE"
        ),
    ] = None,
    dtype: Annotated[
        list[str] | None,
        typer.Option(
            help="float64, float32, float16 or bfloat16; may be repeated. Without: float64, float32.", metavar="WORD"
        ),
    ] = None,
    examples: Annotated[int, typer.Option(help="Calls drawn, besides the corners of the specification.")] = 200,
    seed: Annotated[int, typer.Option(help="The same seed draws the same calls.")] = 0,
    skip: Annotated[
        list[str] | None,
        typer.Option(help="Leave out the corners of this rule, such as X1; may be repeated.", metavar="RULE"),
    ] = None,
    time_limit: Annotated[float, typer.Option(help="Seconds that one call may take.")] = 10.0,
    onnx: Annotated[
        Path | None,
        typer.Option(help="Instead: every sampler, affine grid and gate of this ONNX model.", metavar="MODEL"),
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Also write the report to this file.", metavar="FILE")
    ] = None,
) -> None:
    """Tell whether another implementation is right, and if not, show the smallest input on which it is wrong.

    The candidate is called like the reference's own function, in a process of its own: it may crash or hang. Its
    results must lie within bounds that are derived for every element. Where right implementations differ, at ties,
    kinks and NaN, what it chose is listed as acceptable. An option that it does not have needs one value, from --only.

    Exit status: 0 if it is right, 1 if it is wrong, 2 after an error, 130 after Ctrl-C.

    Example: PyTorch's sampler, whose backward pass crashes on NaN and infinite coordinates:

        attn-ref verify grid_sample torch.nn.functional:grid_sample --adapter torch --only ndim=2 --skip X1 --skip X2

    With --onnx, ONNX Runtime runs each GridSample, AffineGrid and HardSigmoid node of a model, and each
    squeeze-and-excitation block with its own weights, and each is judged likewise, in its forward pass:

        attn-ref verify --onnx model.onnx
    """
    with failing_in_one_line("verify"):
        if onnx is not None:
            if operation is not None:
                raise ValueError("--onnx says by itself what is verified: leave out OPERATION and CANDIDATE")
            from attn_ref.verify import onnx_console

            raise typer.Exit(onnx_console.check(onnx, json_file=json_file))
        from attn_ref.verify import console

        if operation is None or candidate is None:
            raise ValueError("give an OPERATION and a CANDIDATE, package.module:function")
        status = console.run(
            operation,
            candidate,
            backward=backward,
            adapter=adapter,
            convention=convention,
            dtypes=dtype or ("float64", "float32"),
            options=console.asked(only or (), align_corners),
            examples=examples,
            seed=seed,
            skip=skip or (),
            time_limit=time_limit,
            json_file=json_file,
        )
    raise typer.Exit(status)


@app.command()
def identify(
    sampler: Annotated[
        str | None,
        typer.Argument(metavar="SAMPLER", help="A function of an image and a grid, package.module:function."),
    ] = None,
    adapter: Annotated[
        str, typer.Option(help="What arrays it takes: numpy (or __array__, DLPack), torch or cupy.", metavar="WORD")
    ] = "numpy",
    axes: Annotated[int, typer.Option(help="Ask about images of 2 or of 3 axes.")] = 2,
    option: Annotated[
        list[str] | None,
        typer.Option(help="A keyword argument that it is given, mode=nearest; may be repeated.", metavar="NAME=VALUE"),
    ] = None,
) -> None:
    """Name the convention of a sampler that is a black box.

    It is probed with images that tell where they are read: layouts, the order and the unit of coordinates, alignment,
    interpolation, ties, padding, NaN; and which of the presets of the Rosetta page agree. What cannot be told is said.

    Exit status: 0, or 2 after an error.

    Example: what PyTorch's sampler does by default:

        attn-ref identify torch.nn.functional:grid_sample --adapter torch --option align_corners=false
    """
    with failing_in_one_line("identify"):
        from attn_ref.verify import console

        if sampler is None:
            raise ValueError("give a SAMPLER, package.module:function")
        console.identified(sampler, adapter, axes, option or ())


@app.command()
def experiment(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="distorted-digits, upright or channel-gates; see --list.")
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Train little and with one seed: minutes, to see that it learns.")
    ] = False,
    seeds: Annotated[
        int | None, typer.Option(help="How many seeds: 0, 1, … Without: 3, or 1 with --quick.", metavar="N")
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(help="Only this network or this data set, as --list names them; may be repeated.", metavar="WORD"),
    ] = None,
    jobs: Annotated[
        int, typer.Option(help="Trainings at a time, a process with one thread each. It changes no result.")
    ] = 2,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="The folder to write to. Without: NAME or NAME-quick, here.", metavar="DIR"
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume/--restart", help="Go on from the checkpoints in the folder, or begin anew.")
    ] = True,
    samples: Annotated[
        int | None, typer.Option(help="Samples to train on; a quarter as many to test on.", metavar="N", hidden=True)
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over the samples.", metavar="N", hidden=True)] = None,
    list_only: Annotated[
        bool, typer.Option("--list", help="Print the experiments with their networks and data sets, and exit.")
    ] = False,
) -> None:
    """Repeat an experiment of the papers at laptop size, on real data.

    Writes results.json, results.md (the tables) and figures. It may be stopped with Ctrl-C at any moment: the same
    command goes on from there, to the same results. Training that meets a NaN stops and says where.

    Exit status: 0, 2 after an error, 130 after Ctrl-C.

    Example: see in two minutes whether a spatial transformer helps on rotated, scaled and translated digits:

        attn-ref experiment distorted-digits --quick --only RTS
    """
    with failing_in_one_line("experiment"):
        from attn_ref.experiments import console

        if list_only:
            console.list_experiments()
            return
        if name is None:
            raise ValueError("which one? Give a NAME, or --list to see them")
        status = console.run(
            name,
            quick=quick,
            seeds=seeds,
            only=only or (),
            jobs=jobs,
            output=output,
            restart=not resume,
            samples=samples,
            epochs=epochs,
        )
    raise typer.Exit(status)


@app.command()
def bench(
    only: Annotated[list[str] | None, typer.Option(help="Only this group; may be repeated.", metavar="GROUP")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Fewer cases, for a shorter time each: a minute.")] = False,
    threads: Annotated[
        int | None, typer.Option(help="Threads for both sides. Without: as many as attn_ref uses.")
    ] = None,
    seconds: Annotated[
        float | None, typer.Option(help="Time for the rounds of each case. Without: 4, or 0.5 if quick.")
    ] = None,
    seed: Annotated[int, typer.Option(help="The same seed makes the same arrays and the same order of calls.")] = 0,
    backend: Annotated[
        str, typer.Option(help="numpy, or cupy: on a GPU, beside NumPy and beside PyTorch there.", metavar="WORD")
    ] = "numpy",
    json_file: Annotated[
        Path | None,
        typer.Option("--json", help="Also write all times, the machine and the versions to this file.", metavar="FILE"),
    ] = None,
    figure: Annotated[Path | None, typer.Option(help="Also draw the ratios.", metavar="FILE")] = None,
    list_only: Annotated[
        bool, typer.Option("--list", help="Print the groups, their cases and the contenders, and exit.")
    ] = False,
) -> None:
    """Time attn_ref beside other libraries: PyTorch, ONNX's reference evaluator, PyLops, SciPy, where installed.

    All get the same arrays, options, dtype and number of threads. Their results are compared first; then they are
    called in turn, round by round in random order. Shown are medians, the ratio of our time to theirs (below 1:
    attn_ref is faster) with the range of the middle 80 % of the rounds, and a geometric mean for each group. About
    10 minutes; use an idle machine. Exit status: 0; 1 if results differ; Ctrl-C shows what was done so far.

    With `--backend cupy` attn_ref runs on the GPU, beside attn_ref on NumPy and PyTorch on the same GPU; each call is
    waited for, and the memory pool is reported.

    Example: the sampler on feature maps and on images, with a figure:

        attn-ref bench --only features --only images --json results.json --figure ratios.png
    """
    with failing_in_one_line("bench"):
        from attn_ref.bench import console

        if list_only:
            console.list_cases()
            return
        status = console.bench(
            only or (),
            quick=quick,
            threads=threads,
            seconds=seconds,
            seed=seed,
            json_file=json_file,
            figure=figure,
            backend=backend,
        )
    raise typer.Exit(status)


@app.command()
def tutorials(
    target: Annotated[
        Path, typer.Argument(metavar="DIR", help="Where to copy them; made if need be.", show_default=True)
    ] = Path("attn-ref-tutorials"),
    no_open: Annotated[bool, typer.Option("--no-open", help="Copy only; do not open JupyterLab.")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Replace notebooks that are there already, with what you changed in them.")
    ] = False,
) -> None:
    """Copy the tutorials to a folder and open them in JupyterLab.

    They are Jupyter notebooks with outputs: affine grids, sampling, its backward pass, gradient checks, training,
    squeeze-and-excitation, second derivatives. A notebook that is there already is kept, with your work in it. Ctrl-C
    closes JupyterLab. Exit status: 0, 2 after an error, or JupyterLab's own.

    Example: copy them without opening anything:

        attn-ref tutorials my-notebooks --no-open
    """
    with failing_in_one_line("tutorials"):
        from attn_ref.tutorials import check_lab, copy_notebooks, open_lab

        if not no_open:
            check_lab()
        written, kept = copy_notebooks(target, replace=force)
    for path in written:
        typer.echo(f"wrote {path}")
    if kept:
        typer.echo(f"kept {len(kept)} that you had in {target}; --force replaces them")
    if not no_open:
        typer.echo(f"opening JupyterLab in {target}; Ctrl-C closes it")
        raise typer.Exit(open_lab(target))


@app.command()
def info(
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object, for programs and bug reports.")
    ] = False,
) -> None:
    """Show versions, the array libraries that are usable, and the number of threads.

    Example: what to paste into a bug report:

        attn-ref info --json
    """
    from attn_ref.environment import describe

    found = describe()
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return

    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for title, entries in found.items():
        for number, (name, value) in enumerate(entries.items()):
            heading = Text(title if number == 0 else "", style="bold")
            table.add_row(heading, Text(name), Text("not installed" if value is None else str(value)))
    Console().print(table)


def _progress(bands: range) -> Iterable[int]:
    """The bands, under a progress bar if there are many and someone watches."""
    if len(bands) < 4 or not sys.stderr.isatty():
        return bands
    from rich.console import Console
    from rich.progress import track

    return track(bands, "sampling", console=Console(stderr=True), transient=True)
