"""A strict stand-in for CuPy: what it computes, NumPy computes; what it refuses, counts and scrambles is the point.

An array of it lies on a device. Everything that works in NumPy by being on the host is an error here, everything that
a GPU leaves undefined is drawn at random, and everything that makes the host wait is counted:

* ``numpy.asarray`` of it, a NumPy function of it, or a NumPy array or scalar beside it raises;
* results have a device too, also those without axes; ``bool``, ``int``, ``float``, ``item``, ``tolist``, a mask as an
  index and a copy to the host are counted as synchronisations;
* an index out of bounds wraps round; a float that fits no integer becomes any integer; of values assigned to one place
  any may stay; unordered additions come in any order; fresh memory holds NaN or nonsense;
* names, keywords and dtypes are those that ``names.json`` records of CuPy, no more;
* kernels are compiled by g++ and run thread by thread in a random order (:mod:`tests.device.kernels`).
"""

import functools
import operator
import types

import numpy as np
import scipy.special

from .names import recorded
from .state import COUNTS, STATE, OutOfMemoryError, Pool, cuda, synchronised

TABLE = recorded()
RANDOM = np.random.default_rng(0)


# ---------------------------------------------------------------------------------------------------------------------
# Arrays


class ndarray:  # noqa: N801 - CuPy's name for it
    """An array on a device."""

    __module__ = "stand_in"
    __array_ufunc__ = None
    __hash__ = None

    def __init__(self, on_host, device, stream=None):
        assert isinstance(on_host, np.ndarray)
        self._on_host = on_host
        self._device = device
        self._stream = stream or cuda.get_current_stream()

    def _view(self, on_host):
        return ndarray(on_host, self._device, self._stream)

    # What is known without asking the device

    shape = property(lambda self: self._on_host.shape)
    dtype = property(lambda self: self._on_host.dtype)
    ndim = property(lambda self: self._on_host.ndim)
    size = property(lambda self: self._on_host.size)
    itemsize = property(lambda self: self._on_host.itemsize)
    nbytes = property(lambda self: self._on_host.nbytes)
    strides = property(lambda self: self._on_host.strides)
    flags = property(lambda self: self._on_host.flags)
    T = property(lambda self: self.transpose())
    device = property(lambda self: types.SimpleNamespace(id=self._device))

    def __len__(self):
        return len(self._on_host)

    def __iter__(self):
        return (self[i] for i in range(len(self)))

    # What is refused

    def __array__(self, *_, **__):
        raise TypeError("Implicit conversion to a NumPy array is not allowed")

    def __array_function__(self, function, *_):
        raise TypeError(f"numpy.{function.__name__} was given an array of a device")

    def __getattr__(self, name):
        kind = "has, but the stand-in has not: write it" if name in TABLE["ndarray"] else "has no"
        raise AttributeError(f"CuPy's array {kind} {name!r}")

    # What makes the host wait

    def _scalar(self, convert):
        synchronised()
        return convert(self._on_host)

    __bool__ = lambda self: self._scalar(bool)  # noqa: E731
    __int__ = lambda self: self._scalar(int)  # noqa: E731
    __float__ = lambda self: self._scalar(float)  # noqa: E731
    __index__ = lambda self: self._scalar(operator.index)  # noqa: E731
    item = lambda self: self._scalar(np.ndarray.item)  # noqa: E731
    tolist = lambda self: self._scalar(np.ndarray.tolist)  # noqa: E731

    def get(self):
        return asnumpy(self)

    # Views

    def reshape(self, *shape, order="C"):
        result = self._on_host.reshape(*shape, order=order)
        if not np.shares_memory(result, self._on_host):
            _called(self)
            return ndarray(result, self._device)
        return self._view(result)

    def transpose(self, *axes):
        return self._view(self._on_host.transpose(*axes))

    def swapaxes(self, axis1, axis2):
        return self._view(self._on_host.swapaxes(axis1, axis2))

    # Indices

    def __getitem__(self, key):
        key, advanced = _key(key, self.shape)
        if advanced:
            _called(self)
            return ndarray(np.array(self._on_host[key]), self._device)
        return self._view(self._on_host[(*key, ...)] if ... not in key else self._on_host[key])

    def __setitem__(self, key, value):
        _called(self, value)
        key, advanced = _key(key, self.shape)
        value = value._on_host if isinstance(value, ndarray) else value
        if not advanced:
            self._on_host[key] = value
            return
        places = np.arange(self.size).reshape(self.shape)[key]
        values = np.broadcast_to(np.asarray(value, self.dtype), places.shape).reshape(-1)
        order = RANDOM.permutation(places.size)
        self._on_host[np.unravel_index(places.reshape(-1)[order], self.shape)] = values[order]

    # Computing

    def astype(self, dtype, order="K", copy=True):
        dtype = np.dtype(dtype)
        if not copy and dtype == self.dtype:
            return self
        _called(self)
        return ndarray(_cast(self._on_host, dtype, order), self._device)

    def copy(self, order="C"):
        _called(self)
        return ndarray(self._on_host.copy(order), self._device)

    def fill(self, value):
        self[...] = value


def _key(key, shape):
    """An index as NumPy takes it, whole numbers brought inside, and whether it copies."""
    keys = key if isinstance(key, tuple) else (key,)
    found, advanced, axis = [], False, 0
    after = sum(k is not None and k is not ... for k in keys)
    for k in keys:
        if isinstance(k, np.ndarray | np.generic | list):
            raise TypeError(f"an index of the host, {type(k).__name__}, into an array of a device")
        if k is ...:
            axis = len(shape) - after
        elif k is not None:
            after -= 1
            if isinstance(k, ndarray):
                advanced = True
                if k.dtype == bool:
                    synchronised()  # how many are true decides the shape
                    k = k._on_host
                    axis += k.ndim - 1
                else:
                    k = k._on_host % max(shape[axis], 1)
            axis += 1
        found.append(k)
    return tuple(found), advanced


def _cast(array, dtype, order="K"):
    """A conversion in which a float that fits no integer becomes any integer."""
    with np.errstate(all="ignore"):
        result = array.astype(dtype, order=order)
    if array.dtype.kind == "f" and dtype.kind in "iu":
        limits = np.iinfo(dtype)
        lost = ~((array >= float(limits.min)) & (array < float(limits.max) + 1))
        result[lost] = RANDOM.integers(limits.min, limits.max, lost.sum(), dtype=dtype, endpoint=True)
    return result


# ---------------------------------------------------------------------------------------------------------------------
# Functions


def _arrays(values):
    for value in values:
        if isinstance(value, list | tuple):
            yield from _arrays(value)
        elif isinstance(value, np.ndarray):
            raise TypeError("an array of the host beside arrays of a device")
        elif isinstance(value, np.generic):
            raise TypeError(f"a scalar of the host, {type(value).__name__}, beside arrays of a device")
        elif isinstance(value, ndarray):
            yield value


def _called(*values):
    """Check that arrays lie on the current device, and that what made them is done, and count a call."""
    now = cuda.get_current_stream()
    for array in _arrays(values):
        if array._stream is not now and (array._stream.non_blocking or now.non_blocking):
            raise ValueError("an array of another stream, which nothing orders before this one")
        if array._device != STATE.device:
            raise ValueError(
                f"Array device must be same as the current device: array device = {array._device} while current = "
                f"{STATE.device}"
            )
    COUNTS.calls += 1


def _bare(value):
    if isinstance(value, ndarray):
        return value._on_host
    if isinstance(value, list | tuple):
        return type(value)(_bare(entry) for entry in value)
    return value


def _placed(value):
    if isinstance(value, np.ndarray | np.generic):
        return ndarray(_allocated(np.asarray(value)), STATE.device)
    if isinstance(value, list | tuple):
        return type(value)(_placed(entry) for entry in value)
    return value


def _allocated(array):
    if STATE.memory is not None:
        STATE.memory -= array.nbytes
        if STATE.memory < 0:
            raise OutOfMemoryError(f"Out of memory allocating {array.nbytes} bytes (allocated so far: 0 bytes).")
    return array


def _check_keywords(name, entry, arguments, named):
    known = entry["parameters"]
    if "*" not in known and len(arguments) > len(known):
        raise TypeError(f"CuPy's {name} takes {known}, got {len(arguments)} arguments")
    for keyword in named:
        if keyword not in known:
            raise TypeError(f"CuPy's {name} has no keyword {keyword!r}, only {known}")


def _check_types(name, entry, function, arguments):
    """CuPy takes the first loop to which the arrays can be cast; it must be there, and give what NumPy gives."""
    inputs = arguments[: function.nin]
    dtypes = [a.dtype for a in inputs if isinstance(a, ndarray)]
    if not dtypes:
        return
    common = np.result_type(*dtypes)
    wanted = [a.dtype if isinstance(a, ndarray) else np.result_type(common, a) for a in inputs]
    for loop in entry["types"]:
        if "E" in loop:  # bfloat16, which NumPy has not
            continue
        takes, gives = loop.split("->")
        if all(np.can_cast(dtype, char) for dtype, char in zip(wanted, takes, strict=True)):
            numpys = function.resolve_dtypes((*wanted, *[None] * function.nout))[function.nin :]
            if [np.dtype(char) for char in gives] == list(numpys):
                return
            raise TypeError(f"CuPy's {name} of {wanted} gives {gives}, NumPy's {numpys}")
    raise TypeError(f"CuPy's {name} takes no {', '.join(map(str, wanted))}: only {entry['types']}")


def _function(name, entry, function):
    """A function of NumPy or SciPy as CuPy has it."""

    @functools.wraps(function)
    def call(*arguments, **named):
        _check_keywords(name, entry, arguments, named)
        _called(*arguments, *named.values())
        out = named.pop("out", None)
        if entry["kind"] == "ufunc":
            _check_types(name, entry, function, arguments)
        if out is not None:
            named["out"] = out._on_host
        with np.errstate(all="ignore"):
            result = function(*_bare(arguments), **_bare(named))
        return out if out is not None else _placed(result)

    if entry.get("at"):
        call.at = functools.partial(_add_in_any_order, function)
    return call


def _add_in_any_order(function, target, index, values):
    """``ufunc.at``: by atomic operations, in whatever order they come."""
    _called(target, index, values)
    index = index._on_host % len(target)
    order = RANDOM.permutation(len(index))
    values = np.broadcast_to(_bare(values), (len(index), *target.shape[1:]))
    function.at(target._on_host, index[order], values[order])


def asnumpy(array):
    """A copy on the host."""
    synchronised()
    return np.array(array._on_host)


def _array(a, dtype=None, copy=True, order="K", *, force=False):
    dtype = None if dtype is None else np.dtype(dtype)
    if isinstance(a, ndarray):
        if not force and (dtype in (None, a.dtype)) and (order in ("K", "A") or a.flags.c_contiguous):
            return a
        _called(a)
        return ndarray(_allocated(np.array(_cast(a._on_host, dtype or a.dtype), order=order)), STATE.device)
    COUNTS.uploads += 1
    on_host = np.array(a, dtype, order=order)
    if on_host.dtype.kind not in "biufc" or on_host.dtype.char in "gG":
        raise ValueError(f"Unsupported dtype {on_host.dtype}")
    return ndarray(_allocated(on_host.astype(on_host.dtype.newbyteorder("="))), STATE.device)


def _ascontiguousarray(a, dtype=None):
    return _array(a, dtype, order="C")


def _asarray(a, dtype=None, order=None, *, copy=None, blocking=False):
    return _array(a, dtype, order=order or "K", force=bool(copy))


def _fresh(shape, dtype=float, order="C"):
    """Memory as it comes: not zeros."""
    COUNTS.calls += 1
    result = np.empty(shape, dtype, order)
    result[...] = np.nan if result.dtype.kind in "fc" else 77
    return ndarray(_allocated(result), STATE.device)


def _fresh_like(prototype, dtype=None):
    return _fresh(prototype.shape, dtype or prototype.dtype)


def _take(a, indices, axis=None, out=None):
    assert out is None
    _called(a, indices)
    return _placed(np.take(a._on_host, indices._on_host, axis, mode="wrap"))


def _bincount(x, weights=None, minlength=0):
    _called(x, weights)
    order = RANDOM.permutation(len(x))
    return _placed(np.bincount(x._on_host[order], None if weights is None else weights._on_host[order], minlength))


def _as_strided(x, shape=None, strides=None):
    return ndarray(np.lib.stride_tricks.as_strided(x._on_host, shape, strides), x._device)


class _Module(types.ModuleType):
    """A module that offers what CuPy offers under its name, computed by NumPy or SciPy; and what is given."""

    def __init__(self, title, behind, section, **given):
        super().__init__(title)
        self._title, self._behind, self._table = title, behind, TABLE[section]
        vars(self).update(given)

    def __getattr__(self, name):
        if name not in self._table:
            raise AttributeError(f"{self._title} of CuPy {TABLE['cupy']} has no {name!r}")
        value, entry = getattr(self._behind, name), self._table[name]
        if entry["kind"] in ("ufunc", "function") and not isinstance(value, type) and name != "finfo":
            value = _function(f"{self._title}.{name}", entry, value)
        setattr(self, name, value)
        return value


def _raw_module(code, options=()):
    from .kernels import RawModule

    return RawModule(code, options)


def _make_xp():
    return _Module(
        "xp", np, "xp",
        ndarray=ndarray, asnumpy=asnumpy, array=_array_copy, asarray=_asarray,
        ascontiguousarray=_ascontiguousarray, empty=_fresh, empty_like=_fresh_like,
        take=_take, bincount=_bincount, cuda=cuda, RawModule=_raw_module, get_default_memory_pool=Pool,
        lib=types.SimpleNamespace(
            stride_tricks=_Module("xp.lib.stride_tricks", np.lib.stride_tricks, "lib.stride_tricks",
                                  as_strided=_as_strided)
        ),
    )  # fmt: skip


def _array_copy(obj, dtype=None, copy=True, order="K"):
    return _array(obj, dtype, order=order, force=copy)


def _give_methods():
    """Operators and reductions are the functions of the same name."""
    for symbol, name in {
        "add": "add", "sub": "subtract", "mul": "multiply", "truediv": "true_divide", "floordiv": "floor_divide",
        "mod": "remainder", "pow": "power", "matmul": "matmul", "and": "bitwise_and", "or": "bitwise_or",
        "xor": "bitwise_xor", "lt": "less", "le": "less_equal", "gt": "greater", "ge": "greater_equal", "eq": "equal",
        "ne": "not_equal",
    }.items():  # fmt: skip
        setattr(ndarray, f"__{symbol}__", lambda a, b, n=name: getattr(xp, n)(a, b))
        setattr(ndarray, f"__r{symbol}__", lambda a, b, n=name: getattr(xp, n)(b, a))
        if symbol not in ("lt", "le", "gt", "ge", "eq", "ne"):
            setattr(ndarray, f"__i{symbol}__", lambda a, b, n=name: getattr(xp, n)(a, b, out=a))
    for symbol, name in {"neg": "negative", "abs": "absolute", "invert": "invert"}.items():
        setattr(ndarray, f"__{symbol}__", lambda a, n=name: getattr(xp, n)(a))
    for name in ("sum", "max", "min", "mean", "any", "all", "argmax", "argmin", "argsort", "ravel", "squeeze", "take",
                 "repeat", "cumsum", "prod", "clip", "round"):  # fmt: skip
        setattr(ndarray, name, lambda self, *a, n=name, **named: _method(self, n, a, named))


def _method(array, name, arguments, named):
    _check_keywords(f"ndarray.{name}", TABLE["ndarray"][name], arguments, named)
    _called(array, *arguments, *named.values())
    with np.errstate(all="ignore"):
        return _placed(getattr(array._on_host, name)(*_bare(arguments), **_bare(named)))


xp = _make_xp()
special = _Module("special", scipy.special, "special")
_give_methods()
