"""The stand-in is as strict as it says."""

import numpy as np
import pytest

from . import state
from .library import special, xp
from .state import counting


def array(values=(1.0, 2.0, 3.0), dtype="float64"):
    return xp.asarray(np.array(values, dtype))


REFUSED = {
    "numpy.asarray": np.asarray,
    "numpy.array": np.array,
    "numpy.sum": np.sum,
    "numpy.floor": np.floor,
    "numpy.concatenate": lambda a: np.concatenate([a, a]),
    "an array of the host on the right": lambda a: a + np.ones(3),
    "an array of the host on the left": lambda a: np.ones(3) + a,
    "an array of the host in a list": lambda a: xp.stack([a, np.ones(3)]),
    "an array of the host put in": lambda a: a.__setitem__(slice(None), np.ones(3)),
    "an array of the host as an index": lambda a: a[np.array([0])],
    "a list as an index": lambda a: a[[0, 1]],
    "a scalar of NumPy on the right": lambda a: a * np.float32(2),
    "a scalar of NumPy on the left": lambda a: np.float64(2) * a,
    "a scalar of NumPy in a function": lambda a: xp.where(a > 0, a, np.float64(0)),
    "a long double": lambda a: xp.asarray(np.ones(2, np.longdouble)),
    "objects": lambda a: xp.asarray(np.array([None])),
    "strings": lambda a: xp.asarray(np.array(["a"])),
    "take with a mode": lambda a: xp.take(a, xp.arange(2), mode="clip"),
    "an unknown keyword": lambda a: xp.clip(a, 0, 1, where=True),
    "too many arguments": lambda a: xp.isnan(a, None, None, None, None, None),
    "a float as a mask of bits": lambda a: a & a,
    "more results than there are": lambda a: xp.frexp(a, 1, 2, 3, 4, 5),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_belongs_to_the_host_is_refused(what):
    with pytest.raises((TypeError, ValueError)):
        REFUSED[what](array())


@pytest.mark.parametrize("name", ["errstate", "vecdot", "unstack", "block", "nothing"])
def test_a_name_that_cupy_lacks_is_none(name):
    with pytest.raises(AttributeError, match=r"xp of CuPy 14.* has no"):
        getattr(xp, name)


def test_an_attribute_that_cupys_arrays_lack_is_none():
    with pytest.raises(AttributeError, match="CuPy's array has no 'newbyteorder'"):
        _ = array().newbyteorder


def test_results_stay_on_the_device_down_to_no_axes():
    a = array()
    for result in (a.sum(), a.max(), a[1], xp.sum(a), a @ a, a.mean(), special.expit(a[0]), xp.zeros(()), abs(a[0])):
        assert type(result) is xp.ndarray
        assert result.shape == ()


WAITING = {
    "bool": lambda a: bool(a[0] > 0),
    "int": lambda a: int(a[0]),
    "float": lambda a: float(a[0]),
    "item": lambda a: a[0].item(),
    "tolist": lambda a: a.tolist(),
    "index": lambda a: [1, 2, 3][a[0].astype("int64")],
    "a branch": lambda a: 1 if a.any() else 2,
    "a mask as an index": lambda a: a[a > 1],
    "a copy to the host": xp.asnumpy,
    "get": lambda a: a.get(),
    "a stream": lambda a: xp.cuda.get_current_stream().synchronize(),
}


@pytest.mark.parametrize("what", WAITING)
def test_waiting_is_counted(what):
    with counting() as counts:
        WAITING[what](array())
    assert counts.synchronisations == 1


def test_what_is_handed_over_is_counted_and_copied():
    on_host = np.ones(3)
    with counting() as counts:
        a = xp.asarray(on_host)
        xp.array([1, 2])
        xp.asarray(2.0)
        xp.asarray(a)
        xp.array(a)
    assert counts.uploads == 3
    on_host[:] = 7
    assert a.tolist() == [1, 1, 1]


def test_calls_are_counted_and_views_are_not():
    a = array(np.arange(6.0))
    with counting() as counts:
        view = a.reshape(2, 3).swapaxes(0, 1)[1:, None].T
        _ = view.shape, view.dtype, len(view), view.flags.c_contiguous
    assert counts.calls == 0
    with counting() as counts:
        a.reshape(2, 3).T.reshape(6)  # a copy
        a += 1
        a[0] = 3
        _ = a + a, xp.where(a > 0, a, 0), a.sum(), a.astype("float32"), a.copy()
    assert counts.calls == 9


def test_an_index_out_of_bounds_wraps_round():
    a = array()
    assert xp.take(a, xp.asarray(np.array([3, -1, 7]))).tolist() == [1, 3, 2]
    assert a[xp.asarray(np.array([3, -1, 7]))].tolist() == [1, 3, 2]
    a[xp.asarray(np.array([4]))] = 9
    assert a.tolist() == [1, 9, 3]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e30, -1e30, 2.0**31])
def test_a_float_that_fits_no_integer_becomes_any(value):
    found = {int(array([value]).astype("int32")[0]) for _ in range(8)}
    assert len(found) > 4
    assert array([2.0**31 - 1, -(2.0**31)]).astype("int32").tolist() == [2**31 - 1, -(2**31)]


def test_of_values_for_one_place_any_may_stay():
    zeros, values = xp.asarray(np.zeros(50, np.int64)), xp.arange(50.0)
    found = set()
    for _ in range(8):
        a = array()
        a[zeros] = values
        found.add(float(a[0]))
        assert a.tolist()[1:] == [2, 3]
    assert len(found) > 4


def test_unordered_additions_come_in_any_order():
    index, values = xp.asarray(np.zeros(1000, np.int64)), xp.asarray(np.random.default_rng(0).standard_normal(1000))

    def added():
        a = xp.zeros(1)
        xp.add.at(a, index, values)
        return float(a[0])

    assert len({added() for _ in range(8)}) > 2
    assert added() == pytest.approx(float(values.sum()), abs=1e-10)
    assert len({float(xp.bincount(index, values)[0]) for _ in range(8)}) > 2


def test_fresh_memory_holds_nonsense():
    assert np.isnan(xp.asnumpy(xp.empty(3))).all()
    assert xp.empty(3, "int32").tolist() != [0, 0, 0]


def test_devices_are_kept_apart():
    here = array()
    with state.Device(1):
        there = array()
        with pytest.raises(ValueError, match="Array device must be same as the current device"):
            _ = here + 1
        _ = there + 1
    with pytest.raises(ValueError, match="array device = 1 while current = 0"):
        _ = here + there


def test_streams_that_do_not_block_are_kept_apart():
    here = array()
    with state.Stream():
        _ = here + 1
    with state.Stream(non_blocking=True):
        with pytest.raises(ValueError, match="another stream"):
            _ = here.reshape(3, 1) + 1
        there = array()
        _ = there[1:] + 1
    with pytest.raises(ValueError, match="another stream"):
        _ = there.T * 2


def test_a_kernel_takes_rows_and_whole_numbers_only():
    module = xp.RawModule(
        code='extern "C" __global__ void twice(double* a, long long n)\n'
        "{ for (long long i = blockIdx.x * (long long)blockDim.x + threadIdx.x; i < n;\n"
        "       i += gridDim.x * (long long)blockDim.x) a[i] *= 2; }\n",
        options=("--fmad=false",),
    )
    twice = module.get_function("twice")
    a = array(np.arange(12.0))
    twice((4,), (64,), (a, 12))
    assert a.tolist() == list(range(0, 24, 2))
    with pytest.raises(ValueError, match="strides"):
        twice((4,), (64,), (a.reshape(3, 4).T, 12))
    with pytest.raises(TypeError, match="8 bytes"):
        twice((4,), (64,), (a, 12.0))
    with pytest.raises(TypeError, match="float32"):
        twice((4,), (64,), (a.astype("float32"), 12))
