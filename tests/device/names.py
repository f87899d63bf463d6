"""What CuPy offers: its names, keywords and types, as a table. Record it anew with ``python -m tests.device.names``.

The table stands in ``names.json``, with the release of CuPy that it was taken from. It serves where CuPy is not
installed, and the stand-in offers what it lists, no more.
"""

import inspect
import json
import re
import warnings
from pathlib import Path

SNAPSHOT = Path(__file__).with_name("names.json")
UFUNC_KEYWORDS = ["out", "dtype", "casting"]
"""CuPy's ufuncs take these and refuse all others; their signature does not tell."""


def parameters(function, ufunc):
    """Names of the parameters, in order; None if they are not to be had."""
    if isinstance(function, ufunc):
        return ["_"] * function.nin + UFUNC_KEYWORDS
    try:
        found = inspect.signature(function).parameters.values()
        names = [p.name for p in found if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
        if any(p.kind == p.VAR_KEYWORD for p in found):  # the docstring has them
            names += re.findall(r"^\s+(\w+) \(.*\):", function.__doc__ or "", re.MULTILINE)
        return ["*", *names] if any(p.kind == p.VAR_POSITIONAL for p in found) else names
    except (ValueError, TypeError):  # compiled: the first line of the docstring has it
        line = (function.__doc__ or "").strip().partition("\n")[0]
        matched = re.fullmatch(r"[\w.]+\((.*)\)(?: ->.*)?", line)
        if not matched:
            return None
        words = [word.strip() for word in matched[1].split(",")]
        names = [re.split(r"[=:]", word)[0].split()[-1] for word in words if word]
        return [re.sub(r"^\*+", "*", name) if name in ("*", "*args") else name for name in names if name != "self"]


def described(value, ufunc):
    """One entry of the table."""
    if inspect.ismodule(value):
        return {"kind": "module"}
    if isinstance(value, ufunc):
        entry = {"kind": "ufunc", "parameters": parameters(value, ufunc), "types": list(value.types)}
        return {**entry, "at": True} if hasattr(value, "at") else entry
    if isinstance(value, type):
        return {"kind": "type"}
    if callable(value):
        return {"kind": "function", "parameters": parameters(value, ufunc)}
    return {"kind": "constant"}


def taken_from(cupy, special):
    """The table of a real CuPy."""

    def names(module):
        public = sorted(name for name in dir(module) if not name.startswith("_"))
        return {name: described(getattr(module, name), cupy.ufunc) for name in public}

    return {
        "cupy": cupy.__version__,
        "xp": names(cupy),
        "lib.stride_tricks": names(cupy.lib.stride_tricks),
        "special": names(special),
        "ndarray": {
            name: {"kind": "function", "parameters": parameters(value, cupy.ufunc)}
            if callable(value)
            else {"kind": "attribute"}
            for name in dir(cupy.ndarray)
            for value in [getattr(cupy.ndarray, name)]
            if not name.startswith("_") or name in ("__array__", "__matmul__")
        },
    }


def recorded():
    return json.loads(SNAPSHOT.read_text(encoding="utf-8"))


def real():
    """(cupy, cupyx.scipy.special), imported without its warning that there is no driver."""
    import importlib

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return importlib.import_module("cupy"), importlib.import_module("cupyx.scipy.special")


def written(table):
    """The table as JSON, an entry a line."""
    sections = []
    for section, entries in table.items():
        if isinstance(entries, dict):
            lines = [f"  {json.dumps(name)}: {json.dumps(entry)}" for name, entry in entries.items()]
            sections.append(f"{json.dumps(section)}: {{\n" + ",\n".join(lines) + "\n}")
        else:
            sections.append(f"{json.dumps(section)}: {json.dumps(entries)}")
    return "{\n" + ",\n".join(sections) + "\n}\n"


if __name__ == "__main__":
    SNAPSHOT.write_text(written(taken_from(*real())), encoding="utf-8")
    print(f"wrote {SNAPSHOT}")
