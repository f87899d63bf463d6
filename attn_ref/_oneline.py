"""How the command line fails: in one line on stderr, with exit status 2, and without a traceback."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

import typer
from typer.core import TyperGroup

from attn_ref._extras import missing

__all__ = ["OneLine", "failing_in_one_line"]

# typer's releases keep it in different places, none of them public
_UsageError = cast("type[typer.BadParameter]", typer.BadParameter.__mro__[1])


class OneLine(TyperGroup):
    """A command line whose every error is one line on stderr and exit status 2, and which shows its help if bare."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        if not (sys.argv[1:] if args is None else args):
            args = ["--help"]
        try:
            status = super().main(args, prog_name, complete_var, False, windows_expand_args, **extra)
        except (_UsageError, typer.Abort) as error:
            if not standalone_mode:
                raise
            if isinstance(error, typer.Abort):
                typer.echo("attn-ref: stopped", err=True)
                sys.exit(1)
            command = error.ctx.command_path if error.ctx else "attn-ref"
            message = " ".join(error.format_message().split()).rstrip(".")
            typer.echo(f"{command}: {message} (see {command} --help)", err=True)
            sys.exit(2)
        if standalone_mode:
            sys.exit(status)
        return status


@contextmanager
def failing_in_one_line(command: str) -> Iterator[None]:
    """Turn an error that was foreseen into one line on stderr and exit status 2.

    Parameters
    ----------
    command : str
        The command's name, with which the line begins.

    Raises
    ------
    typer.Exit
        In place of ValueError, OSError, MemoryError, and of the ModuleNotFoundError of an optional package.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        found = missing(error)
        if found is None:
            raise
        message = found
    except BrokenPipeError:  # whoever read the output has gone; typer knows what to do
        raise
    except MemoryError as error:
        message = f"out of memory: {error}"
    except (ValueError, OSError) as error:
        message = str(error)
    else:
        return
    typer.echo(f"attn-ref {command}: {' '.join(message.splitlines())}", err=True)
    raise typer.Exit(2)
