"""The checks on arguments, and their messages, once.

Every public function checks before it computes, so that a mistake costs nothing and leaves nothing half done.
Each message names the argument as the signature does, says what was expected and what came, and how to mend it.
"""

from __future__ import annotations

import difflib
import reprlib
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

import numpy as np

from attn_ref import backend as _backend
from attn_ref.backend import Array, Backend

__all__ = [
    "Numbers",
    "allocatable",
    "axes",
    "choice",
    "flag",
    "grid_for",
    "image_and_grid",
    "numbers",
    "pair",
    "real",
    "shape",
    "shown",
    "sizes",
    "whole",
]

_WORKING: dict[str, np.dtype[Any]] = {"e": np.dtype("float32"), "f": np.dtype("float32"), "d": np.dtype("float64")}
"""The dtype characters that are accepted, and the precision in which each is computed."""


_REPR = reprlib.Repr()
_REPR.maxlevel, _REPR.maxstring, _REPR.maxother = 3, 60, 60


def shown(value: object) -> str:
    """Return an argument as a message shows it: its repr, short, on one line, whatever its class does."""
    return " ".join(_REPR.repr(value).split())


@dataclass(frozen=True)
class Numbers:
    """The checked arrays of one call.

    Attributes
    ----------
    backend : Backend
        The library that owns them.
    dtype : numpy.dtype
        The dtype of the arguments, and so of the results, in native byte order.
    given : dict of str to array
        The arguments by name, as they came; None for an optional one that is absent.
    """

    backend: Backend
    dtype: np.dtype[Any]
    given: dict[str, Array]

    @property
    def working(self) -> np.dtype[Any]:
        """The precision to compute in: float32 stands in for float16."""
        return _WORKING[self.dtype.char]

    def __getitem__(self, name: str) -> Array:
        """Return an argument, ready to compute with: in working precision, native byte order and C order."""
        return self.backend.xp.asarray(self.given[name], dtype=self.working, order="C")

    def finish(self, array: Array) -> Array:
        """Round a result once to the dtype of the call, in C order."""
        with self.backend.quiet():
            return self.backend.xp.asarray(array, dtype=self.dtype, order="C")


def numbers(optional: Collection[str] = (), /, **arrays: Array) -> Numbers:
    """Check that all arguments are floating arrays of one library, one device and one dtype.

    Parameters
    ----------
    optional : collection of str
        Names of the arguments that may be None.
    **arrays : array or None
        The arguments by name.

    Returns
    -------
    Numbers
        The same arrays. Nothing is converted yet, so that shapes can be checked before any work.

    Raises
    ------
    TypeError
        If one is not an array, belongs elsewhere, or has a dtype that is not float16, float32 or float64, or not
        that of the others; the message names it.
    """
    present = {name: array for name, array in arrays.items() if array is not None or name not in optional}
    backend = _backend.of(**present)
    first: tuple[str, np.dtype[Any]] | None = None
    for name, array in present.items():
        dtype = array.dtype
        if dtype.char not in _WORKING:
            mend = ".real or .imag" if dtype.kind == "c" else ".astype(numpy.float64)"
            raise TypeError(
                f"{name} has dtype {dtype}: expected float16, float32 or float64; convert with {name}{mend}"
            )
        dtype = dtype.newbyteorder("=")
        if first is None:
            first = (name, dtype)
        elif dtype != first[1]:
            raise TypeError(
                f"{name} has dtype {dtype} but {first[0]} has {first[1]}: all floating arrays of a call share one "
                f"dtype; convert with {name}.astype(numpy.{first[1]})"
            )
    assert first is not None
    return Numbers(backend, first[1], arrays)


def shape(name: str, array: Array, expected: tuple[int, ...], described: str) -> None:
    """Check the shape of an array.

    Parameters
    ----------
    name : str
        The argument's name.
    array : array
        The argument.
    expected : tuple of int
        The shape it must have.
    described : str
        Where that shape comes from: "the shape of theta".

    Raises
    ------
    ValueError
        If the shape is another.
    """
    if array.shape != expected:
        raise ValueError(f"{name} has shape {array.shape}: expected {expected}, {described}")


def axes(name: str, array: Array, forms: Sequence[str]) -> None:
    """Check how many axes an array has.

    Parameters
    ----------
    name : str
        The argument's name.
    array : array
        The argument.
    forms : sequence of str
        The admissible shapes as the docs write them, "(N, C, H, W)".

    Raises
    ------
    ValueError
        If the array has another number of axes.
    """
    if array.ndim not in [form.count(",") + 1 for form in forms]:
        raise ValueError(f"{name} has {array.ndim} axes, shape {array.shape}: expected {' or '.join(forms)}")


def choice(name: str, value: object, choices: Iterable[str]) -> str:
    """Check an option that is one of a few words.

    Raises
    ------
    TypeError
        If the value is not a string.
    ValueError
        If it is not one of the choices; the message lists them, and the nearest first if one is near.
    """
    known = list(choices)
    if isinstance(value, str) and value in known:
        return value
    listed = ", ".join(repr(word) for word in known)
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a string, one of {listed}; got {type(value).__name__} {shown(value)}")
    near = difflib.get_close_matches(value.lower(), known, 1, cutoff=0.5)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise ValueError(f"{name}={shown(value)} is unknown: expected one of {listed}{hint}")


def flag(name: str, value: object) -> bool:
    """Check an option that is true or false.

    Raises
    ------
    TypeError
        If the value is not a bool (1 and 0 are not: they are often a misplaced size).
    """
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} must be True or False, got {type(value).__name__} {shown(value)}")
    return bool(value)


def sizes(name: str, value: object, letters: Sequence[str], *, least: int = 0) -> tuple[int, ...]:
    """Check a tuple of sizes.

    Parameters
    ----------
    name : str
        The argument's name.
    value : object
        The argument.
    letters : sequence of str
        The admissible forms, a letter an entry: ("NCHW", "NCDHW").
    least : int
        The smallest admissible entry.

    Returns
    -------
    tuple of int
        The sizes as Python integers.

    Raises
    ------
    TypeError
        If it is not a tuple or list of integers (bool and float are not).
    ValueError
        If it has a length that fits no form, or an entry below the least.
    """
    forms = " or ".join(f"({', '.join(word)})" for word in letters)
    if not isinstance(value, tuple | list):
        raise TypeError(f"{name} must be a tuple of integers {forms}, got {type(value).__name__} {shown(value)}")
    for entry in value:
        if isinstance(entry, bool | np.bool_) or not isinstance(entry, Integral):
            raise TypeError(
                f"{name} must hold integers {forms}, got {type(entry).__name__} {shown(entry)} in {shown(value)}"
            )
    if len(value) not in [len(word) for word in letters]:
        raise ValueError(f"{name} has {len(value)} entries: expected {forms}, got {shown(tuple(value))}")
    if min(value) < least:
        raise ValueError(
            f"{name} has an entry below {least}: expected {forms}, each at least {least}; got {shown(value)}"
        )
    return tuple(int(entry) for entry in value)


def whole(name: str, value: object, least: int) -> int:
    """Check a whole number.

    Raises
    ------
    TypeError
        If it is not an integer (bool and float are not).
    ValueError
        If it is below the least.
    """
    if isinstance(value, bool | np.bool_) or not isinstance(value, Integral):
        raise TypeError(f"{name} must be an integer, got {type(value).__name__} {shown(value)}")
    if value < least:
        raise ValueError(f"{name}={value} is too small: expected at least {least}")
    return int(value)


def pair(name: str, value: object, least: int) -> tuple[int, int]:
    """Check a whole number for both directions, or a pair of them.

    Parameters
    ----------
    name : str
        The argument's name.
    value : object
        The argument: an integer, or a tuple or list (vertical, horizontal).
    least : int
        The smallest admissible number.

    Returns
    -------
    tuple of int
        (vertical, horizontal) as Python integers.

    Raises
    ------
    TypeError
        If it is neither, or holds anything but integers (bool and float are not).
    ValueError
        If it has another length than 2, or an entry below the least.
    """
    entries = value if isinstance(value, tuple | list) else (value, value)
    for entry in entries:
        if isinstance(entry, bool | np.bool_) or not isinstance(entry, Integral):
            raise TypeError(
                f"{name} must be an integer or a pair of integers (vertical, horizontal), got {type(entry).__name__} "
                f"{shown(entry)}" + (f" in {shown(value)}" if entries is value else "")
            )
    if len(entries) != 2:
        raise ValueError(f"{name} has {len(entries)} entries: expected an integer or (vertical, horizontal)")
    if min(entries) < least:
        raise ValueError(f"{name}={shown(value)} is too small: expected at least {least}")
    return int(entries[0]), int(entries[1])


def real(name: str, value: object, described: str, allowed: Callable[[float], bool]) -> float:
    """Check a number that need not be whole.

    Parameters
    ----------
    name : str
        The argument's name.
    value : object
        The argument.
    described : str
        Which numbers will do: "from 0 to 1".
    allowed : callable
        Whether a number will do. NaN fails every comparison.

    Returns
    -------
    float
        The number.

    Raises
    ------
    TypeError
        If it is not a real number (bool is not).
    ValueError
        If it will not do.
    """
    if isinstance(value, bool | np.bool_) or not isinstance(value, Real):
        raise TypeError(f"{name} must be a number {described}, got {type(value).__name__} {shown(value)}")
    if not allowed(float(value)):
        raise ValueError(f"{name}={shown(value)}: expected a number {described}")
    return float(value)


def allocatable(name: str, wanted: tuple[int, ...], dtype: np.dtype[Any], backend: Backend) -> None:
    """Check, before any work, that an array of the wanted shape can exist.

    Raises
    ------
    ValueError
        If it has more bytes than an address can count.
    MemoryError
        If the memory for it is refused.
    """
    count = 1
    for entry in wanted:
        count *= entry
    count *= dtype.itemsize
    if count >= 2**63:
        raise ValueError(f"{name} asks for an array of shape {wanted}, {count:.3g} bytes: no machine can hold that")
    try:
        backend.xp.empty(wanted, dtype)
    except MemoryError as error:
        raise MemoryError(
            f"{name} asks for an array of shape {wanted}, {count / 2**30:.3g} GiB, which this machine refuses: {error}"
        ) from error
    except ValueError as error:  # an axis too long to index, though another is 0
        raise ValueError(f"{name} asks for an array of shape {wanted}: {error}") from error


def image_and_grid(input_shape: tuple[int, ...], grid_shape: tuple[int, ...], channels_last: bool) -> None:
    """Check that an image and a grid fit one another.

    Parameters
    ----------
    input_shape : tuple of int
        Shape of ``input``: (N, C, H, W) or (N, C, D, H, W), or with the channels last.
    grid_shape : tuple of int
        Shape of ``grid``: (N, H_out, W_out, 2) or (N, D_out, H_out, W_out, 3).
    channels_last : bool
        Where the channels of the image are.

    Raises
    ------
    ValueError
        If the numbers of axes, the last axis of the grid or the batches differ, or the image has no pixel.
    """
    layouts = ("(N, H, W, C)", "(N, D, H, W, C)") if channels_last else ("(N, C, H, W)", "(N, C, D, H, W)")
    if len(input_shape) not in (4, 5):
        raise ValueError(
            f"input has {len(input_shape)} axes, shape {input_shape}: expected {layouts[0]} or {layouts[1]}"
        )
    grid_for(grid_shape, len(input_shape) - 2, f"input is {len(input_shape)}-D")
    if input_shape[0] != grid_shape[0]:
        raise ValueError(
            f"input has batch size {input_shape[0]} but grid has {grid_shape[0]}: they must agree, N is never "
            "broadcast; repeat the smaller one with numpy.repeat(array, N, axis=0)"
        )
    space = input_shape[1:-1] if channels_last else input_shape[2:]
    if 0 in space:
        raise ValueError(f"input has no pixels, shape {input_shape}: every spatial size must be at least 1")


def grid_for(grid_shape: tuple[int, ...], axes: int, because: str) -> None:
    """Check that a grid has the shape that an image of so many spatial axes asks for.

    Raises
    ------
    ValueError
        If it has not; ``because`` says in the message what asks for it.
    """
    wanted = "(N, H_out, W_out, 2)" if axes == 2 else "(N, D_out, H_out, W_out, 3)"
    if len(grid_shape) != axes + 2:
        raise ValueError(f"grid has {len(grid_shape)} axes, shape {grid_shape}, but {because}: expected {wanted}")
    if grid_shape[-1] != axes:
        moved = grid_shape[1] == axes
        hint = "; a channel-first grid is moved with numpy.moveaxis(grid, 1, -1)" if moved else ""
        raise ValueError(f"grid has last axis {grid_shape[-1]} but {because}: expected {wanted}{hint}")
