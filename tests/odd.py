"""Odd arguments: what people pass by mistake, and arrays in every state NumPy allows."""

from __future__ import annotations

import decimal
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import strategies as st
from scipy import sparse

__all__ = ["arguments", "arrays", "objects"]


class Hostile:
    """An object whose every conversion raises something of its own."""

    def _refuse(self, *_: Any, **__: Any) -> Any:
        raise RuntimeError("hostile")

    __array__ = __bool__ = __eq__ = __float__ = __hash__ = __index__ = __int__ = __iter__ = __len__ = _refuse
    __repr__ = __str__ = __format__ = lambda self, *_: "Hostile()"


class Text(str):
    """A string of a subclass."""


class Sub(np.ndarray):
    """An array of a subclass, whose ``*`` might mean anything."""


OBJECTS = [
    None, True, False, 0, 1, -1, 7, 2**31, 2**63, -(2**70), 0.0, -0.5, 1e300, float("nan"), float("inf"), 1j,
    "", "bilinear", "Bilinear", "zeros", "border ", "nan", "\n", "x" * 300, b"zeros", Text("reflection"), (), [],
    {}, set(), (1,), (1, 2), (2, 3, 4, 5), (2, 3, 6, 7), (2, 3, 6, 7, 8), (0, 0, 0, 0), (-1, 3, 4, 5),
    (2, 3, 2**40, 2**40), (2**62, 1, 2, 2), (2, 3, 4.0, 5), (True, 3, 4, 5), [2, 3, 6, 7], range(4), ((2,), 3),
    np.array([2, 3, 6, 7]), np.int64(3), np.float32(0.5), np.bool_(True), np.str_("nearest"), slice(None), ...,
    object(), int, len, np.add, decimal.Decimal(1), Hostile(), sparse.eye_array(3), [[1.0, 2.0]], (i for i in (1, 2)),
    np.float64("nan"), np.datetime64("2020-01-01"),
]  # fmt: skip
"""Objects that are no arrays, or hardly."""


def objects() -> st.SearchStrategy[Any]:
    """Any of :data:`OBJECTS`, which Hypothesis is kept from looking into."""
    return st.integers(0, len(OBJECTS) - 1).map(OBJECTS.__getitem__)


CHANGES: dict[str, Callable[[np.ndarray[Any, Any]], Any]] = {
    "as it is": lambda a: a,
    "reversed": lambda a: a[..., ::-1],
    "turned": lambda a: a.T,
    "an axis more": lambda a: a[None],
    "an axis less": lambda a: a[0] if a.ndim else a,
    "flat": lambda a: a.reshape(-1),
    "nothing of it": lambda a: a[:0],
    "empty at the end": lambda a: a[..., :0],
    "one of it": lambda a: a[:1],
    "all but one": lambda a: a[..., :-1],
    "twice": lambda a: np.concatenate([a, a]) if a.ndim else a,
    "broadcast": lambda a: np.broadcast_to(a[:1], a.shape) if a.ndim else a,
    "Fortran": np.asfortranarray,
    "every other": lambda a: np.repeat(a, 2, axis=-1)[..., ::2] if a.ndim else a,
    "unaligned": lambda a: np.frombuffer(b"\0" + a.tobytes(), np.uint8)[1:].view(a.dtype).reshape(a.shape),
    "read-only": lambda a: _frozen(a),
    "swapped bytes": lambda a: a.astype(a.dtype.newbyteorder()),
    "float32": lambda a: a.astype(np.float32),
    "float16": lambda a: a.astype(np.float16),
    "longdouble": lambda a: a.astype(np.longdouble),
    "int8": lambda a: np.nan_to_num(a).clip(-100, 100).astype(np.int8),
    "bool": lambda a: a > 0,
    "complex": lambda a: a.astype(complex),
    "object": lambda a: a.astype(object),
    "strings": lambda a: a.astype(str),
    "masked": lambda a: np.ma.masked_greater(a, 0),
    "subclass": lambda a: a.view(Sub),
    "list": lambda a: a.tolist(),
    "NaN": lambda a: np.full_like(a, np.nan),
    "infinite": lambda a: a * np.inf,
    "huge": lambda a: a * 1e300,
    "tiny": lambda a: a * 5e-324,
    "zero": lambda a: a * 0,
    "whole": np.round,
    "a NaN in it": lambda a: np.where(np.arange(a.size).reshape(a.shape) == a.size // 2, np.nan, a),
}


def _frozen(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    array = array.copy()
    array.flags.writeable = False
    return array


@st.composite
def arrays(draw: st.DrawFn, like: np.ndarray[Any, Any]) -> Any:
    """An array in place of another: up to two changes of it, one after the other."""
    for name in draw(st.lists(st.sampled_from(list(CHANGES)), min_size=1, max_size=2)):
        if not isinstance(like, np.ndarray):
            break
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                like = CHANGES[name](like)
            except (TypeError, ValueError, IndexError):  # the first change left nothing for the second to work on
                break
    return like


def arguments(value: Any) -> st.SearchStrategy[Any]:
    """Whatever may come in place of an argument."""
    if isinstance(value, np.ndarray):
        return st.one_of(arrays(value), arrays(value), arrays(value), objects())
    return st.one_of(objects(), st.text(max_size=5), st.lists(st.integers(-1, 5), max_size=5).map(tuple))
