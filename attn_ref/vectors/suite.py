"""A suite on disk: how it is written, and how it is read again.

A folder with, for each case, one .npz and one raw file of the same arrays; a manifest in JSON, whose schema lies beside
it; and the same as an index of plain words for programs that do not read JSON. The manifest holds a checksum of every
other file, so the checksum of the manifest is that of the suite.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from importlib.resources import files
from pathlib import Path
from typing import Any

from attn_ref.backend import Array
from attn_ref.vectors.bounds import bounds
from attn_ref.vectors.cases import problems
from attn_ref.vectors.container import Placed, npz_bytes, raw_bytes, read_raw
from attn_ref.vectors.expected import given, results
from attn_ref.vectors.inputs import SEED
from attn_ref.vectors.problem import Problem

__all__ = ["PUBLISHED", "SCHEMA_VERSION", "Stored", "Suite", "content", "write"]

SCHEMA_VERSION = "1.0"
PUBLISHED = files(__package__).joinpath("published.sha256")
"""Checksum of the suite's manifest."""
_FIXED = {"schema.json": "schema.json", "README.txt": "README.txt"}
"""Files of a suite that are those of this folder."""

ENDS = ("low", "high", "chosen_low", "chosen_high")
"""Roles of bounds, and what their names end in after that of the result."""

Files = dict[str, bytes]


@dataclass(frozen=True)
class Stored:
    """A case of a suite on disk.

    Attributes
    ----------
    entry : dict
        What the manifest says of it.
    folder : pathlib.Path
        The suite's folder.
    """

    entry: dict[str, Any]
    folder: Path

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.entry["name"])

    @cached_property
    def arrays(self) -> dict[str, Array]:
        """Its arrays by name.

        Raises
        ------
        ValueError
            If the file is missing or damaged.
        """
        raw = self.entry["files"]["raw"]
        content = _intact(self.folder / raw["path"], raw["sha256"])
        return {
            array["name"]: read_raw(
                content, Placed(array["name"], array["dtype"], tuple(array["shape"]), array["offset"])
            )
            for array in _unfolded(self.entry["arrays"])
        }

    @property
    def results(self) -> dict[str, dict[str, Any]]:
        """What the manifest says of the arrays that are results, by name."""
        return {array["name"]: array for array in self.entry["arrays"] if array["role"] == "result"}


@dataclass(frozen=True)
class Suite:
    """A suite on disk.

    Attributes
    ----------
    cases : list of Stored
        Its cases.
    sha256 : str
        Its checksum.
    """

    cases: list[Stored]
    sha256: str

    @classmethod
    def read(cls, folder: Path) -> Suite:
        """Read the manifest of a suite.

        Raises
        ------
        ValueError
            If there is none, or it is of another version.
        """
        try:
            found = (folder / "manifest.json").read_bytes()
            manifest = json.loads(found)
            version = manifest["schema_version"]
        except (OSError, ValueError, KeyError, TypeError):
            raise ValueError(f"{folder} holds no suite of vectors: write one with attn-ref vectors write") from None
        if str(version).partition(".")[0] != SCHEMA_VERSION.partition(".")[0]:
            raise ValueError(f"the suite in {folder} has schema version {version}: this program reads {SCHEMA_VERSION}")
        return cls([Stored(entry, folder) for entry in manifest["cases"]], hashlib.sha256(found).hexdigest())


def _intact(path: Path, checksum: str) -> bytes:
    try:
        found = path.read_bytes()
    except OSError as error:
        raise ValueError(f"the suite is damaged: {path} cannot be read: {error.strerror}") from None
    if hashlib.sha256(found).hexdigest() != checksum:
        raise ValueError(f"the suite is damaged: {path} has another checksum than the manifest says")
    return found


def content(chosen: list[Problem] | None = None, step: Callable[[str], None] = lambda _: None) -> Files:
    """Make all files of a suite.

    Parameters
    ----------
    chosen : list of Problem, optional
        The problems; all without.
    step : callable
        Called with the name of each problem before it is computed.

    Returns
    -------
    dict of str to bytes
        Content by path; the manifest comes last.
    """
    made: Files = {}
    entries: list[dict[str, Any]] = []
    for problem in problems() if chosen is None else chosen:
        step(problem.name)
        for dtype, arrays in _arrays(problem).items():
            name = f"{problem.name}-{dtype}"
            npz = npz_bytes({key: array for key, (_, array) in arrays.items()})
            raw, places = raw_bytes({key: array for key, (_, array) in arrays.items()})
            made |= {f"cases/{name}.npz": npz, f"cases/{name}.bin": raw}
            entries.append(
                {
                    "name": name,
                    "operation": problem.operation,
                    "dtype": dtype,
                    "tag": problem.tag,
                    "refuses": problem.refuses,
                    "rules": list(problem.rules),
                    "options": problem.options,
                    "absent": [key for key, x in problem.inputs.items() if x is None],
                    "files": {
                        kind: {"path": f"cases/{name}.{suffix}", "sha256": hashlib.sha256(data).hexdigest()}
                        for kind, suffix, data in (("npz", "npz", npz), ("raw", "bin", raw))
                    },
                    "arrays": _described(places, {key: role for key, (role, _) in arrays.items()}),
                }
            )
    made["index.txt"] = _index(entries).encode()
    for path, name in _FIXED.items():
        made[path] = files(__package__).joinpath(name).read_bytes()
    others = {path: hashlib.sha256(made[path]).hexdigest() for path in ("index.txt", *_FIXED)}
    manifest = {"schema_version": SCHEMA_VERSION, "seed": SEED, "files": others, "cases": entries}
    made["manifest.json"] = _json(manifest).encode()
    return made


def write(folder: Path, made: Files) -> str:
    """Write a suite, whole or not at all; return its checksum.

    Raises
    ------
    ValueError
        If the folder holds anything already, or cannot be written.
    """
    check_folder(folder)
    temporary = folder.absolute().parent / f".attn-ref-{secrets.token_hex(6)}.tmp"
    try:
        (temporary / "cases").mkdir(parents=True)
        for path, data in made.items():
            (temporary / path).write_bytes(data)
        if folder.exists():
            folder.rmdir()
        os.replace(temporary, folder)
    except OSError as error:
        raise ValueError(f"{folder} cannot be written: {error.strerror or error}") from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return hashlib.sha256(made["manifest.json"]).hexdigest()


def check_folder(folder: Path) -> None:
    """Find out before the work whether a suite can be written there."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"{folder} exists and is not an empty folder: name a new one")
    if not folder.absolute().parent.is_dir():
        raise ValueError(f"{folder}: there is no folder {folder.absolute().parent}")


def _arrays(problem: Problem) -> dict[str, dict[str, tuple[str, Array]]]:
    """Role and array by name, by dtype."""
    if problem.tag == "invalid":
        wrong = {name: ("input", x) for name, x in problem.inputs.items() if x is not None}
        return dict.fromkeys(problem.dtypes, wrong)
    found = {}
    for dtype, right in results(problem).items():
        call = given(problem, dtype)
        arrays = {name: ("input", x) for name, x in call.inputs.items() if x is not None}
        arrays["grad_output"] = ("grad_output", call.grad_output)
        arrays |= {f"direction.{name}": ("direction", x) for name, x in call.direction.items() if x is not None}
        for result, ends in zip(right, bounds(problem, dtype, call, right), strict=True):
            arrays[result.name] = ("result", result.values)
            arrays[f"{result.name}.low"], arrays[f"{result.name}.high"] = ("low", ends.low), ("high", ends.high)
            if ends.chosen is not None:
                arrays[f"{result.name}.chosen_low"] = ("chosen_low", ends.chosen[0])
                arrays[f"{result.name}.chosen_high"] = ("chosen_high", ends.chosen[1])
        found[dtype] = arrays
    return found


def _described(places: list[Placed], roles: dict[str, str]) -> list[dict[str, Any]]:
    """The arrays of a case; the bounds of a result are part of what is said of it."""
    described: dict[str, dict[str, Any]] = {}
    for place in places:
        of, _, end = place.name.rpartition(".")
        if roles[place.name] in ENDS:
            described[of].setdefault("bounds", {})[end] = place.offset
        else:
            described[place.name] = {**place._asdict(), "role": roles[place.name]}
    return list(described.values())


def _json(manifest: dict[str, Any]) -> str:
    """JSON with a line for each case: short, and yet of use to diff."""
    dump = partial(json.dumps, separators=(",", ":"))
    head = dump({**manifest, "cases": []}).removesuffix("[]}")
    return head + "[\n" + ",\n".join(map(dump, manifest["cases"])) + "\n]}\n"


def _index(entries: list[dict[str, Any]]) -> str:
    """The manifest as lines of words: what a program in C reads with scanf."""
    lines = [f"attn-ref-vectors {SCHEMA_VERSION} {len(entries)}"]
    for entry in entries:
        options, arrays = entry["options"], list(_unfolded(entry["arrays"]))
        head = ("case", entry["name"], entry["operation"], entry["dtype"], entry["tag"], len(options), len(arrays))
        lines.append(" ".join(map(str, head)))
        lines += [f"option {name} {_word(value)}" for name, value in options.items()]
        for array in arrays:
            shape = array["shape"]
            words = ("array", array["name"], array["role"], array["dtype"], array["offset"], len(shape), *shape)
            lines.append(" ".join(map(str, words)))
    return "\n".join(lines) + "\n"


def _unfolded(arrays: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Every array by itself."""
    for array in arrays:
        yield array
        for end, offset in array.get("bounds", {}).items():
            yield {**array, "name": f"{array['name']}.{end}", "role": end, "offset": offset}


def _word(value: Any) -> str:
    """An option as one word."""
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)
