"""The command ``attn-ref``, also ``python -m attn_ref``.

The command line itself is in :mod:`attn_ref.cli`. It needs packages that a bare install does not have; this module
needs none and says which one is missing.
"""

from __future__ import annotations

import importlib
import sys

__all__ = ["main"]


def main() -> None:
    """Run the command line; without its packages, say in one line what to install, and exit with status 2."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a file name may hold what the terminal's encoding does not
            stream.reconfigure(errors="backslashreplace")
    try:
        importlib.import_module("typer")
        importlib.import_module("rich")
    except ModuleNotFoundError as error:
        print(f"attn-ref: the package {error.name} is missing: pip install 'attn_ref[check]'", file=sys.stderr)
        raise SystemExit(2) from None

    from attn_ref.cli import app

    app(prog_name="attn-ref")


if __name__ == "__main__":
    main()
