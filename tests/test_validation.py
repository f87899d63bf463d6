"""The messages themselves are in test_bad_input.py; here, what the checks return and where their limits are."""

import numpy as np
import pytest

from attn_ref import validation


def test_numbers_convert_only_when_asked():
    swapped = np.arange(3, dtype=">f4")
    half = swapped.astype(np.float32)
    call = validation.numbers(a=swapped, b=half)
    assert call.given["a"] is swapped
    assert call["a"].dtype == np.dtype("=f4")
    assert np.shares_memory(call["b"], half)
    assert call.dtype == call.working == np.float32


def test_half_precision_works_in_single():
    call = validation.numbers(a=np.ones(3, np.float16))
    assert call.working == np.float32
    assert call["a"].dtype == np.float32
    assert call.finish(call["a"]).dtype == np.float16


def test_an_optional_argument_may_be_none_and_a_required_one_not():
    assert validation.numbers(("b",), a=np.ones(3), b=None).given["b"] is None
    with pytest.raises(TypeError, match=r"b must be an array .* it is required"):
        validation.numbers(a=np.ones(3), b=None)


def test_real_numbers_become_floats_if_they_will_do():
    def below_1(value):
        return value < 1

    for value in (0, 0.5, np.float32(0.5), np.int64(-3), -np.inf):
        found = validation.real("rate", value, "below 1", below_1)
        assert type(found) is float
        assert found == value
    for value in (1, np.float32(2), np.nan):
        with pytest.raises(ValueError, match=r"rate=.*: expected a number below 1"):
            validation.real("rate", value, "below 1", below_1)
    for value in (True, np.True_, "0", None, 1j, np.zeros(1)):
        with pytest.raises(TypeError, match="rate must be a number below 1, got"):
            validation.real("rate", value, "below 1", below_1)


def test_flags_and_sizes_become_python_values():
    assert validation.flag("x", np.True_) is True
    found = validation.sizes("size", (np.int32(2), 3), ("HW",))
    assert found == (2, 3)
    assert all(type(entry) is int for entry in found)


def test_what_cannot_be_counted_is_a_value_error_and_what_is_refused_a_memory_error():
    backend = validation.numbers(a=np.ones(1)).backend
    with pytest.raises(ValueError, match=r"size asks for an array of shape .* no machine"):
        validation.allocatable("size", (2**40, 2**40), np.dtype(float), backend)
    with pytest.raises(MemoryError, match="size asks for an array"):
        validation.allocatable("size", (2**30, 2**28), np.dtype(float), backend)
    with pytest.raises(ValueError, match="size asks for an array"):
        validation.allocatable("size", (0, 10**30), np.dtype(float), backend)
