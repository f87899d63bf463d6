"""Files that hold nothing but the arrays."""

import io
import zipfile

import numpy as np
import pytest

from attn_ref.vectors.container import ALIGNMENT, npz_bytes, raw_bytes, read_npz, read_raw

ARRAYS = {
    "input": np.arange(24.0).reshape(2, 3, 4),
    "output.low": np.array([np.nan, -np.inf, 0.5], np.float16),
    "empty": np.zeros((0, 5), np.float32),
    "number": np.array(3, np.int32),
}


def test_numpy_reads_the_npz_files():
    with np.load(io.BytesIO(npz_bytes(ARRAYS))) as found:
        assert list(found.files) == list(ARRAYS)
        for name, array in ARRAYS.items():
            np.testing.assert_array_equal(found[name], array)
            assert found[name].dtype == array.dtype
    assert {name: a.shape for name, a in read_npz(npz_bytes(ARRAYS)).items()} == {n: a.shape for n, a in ARRAYS.items()}


def test_raw_files_are_read_back_and_aligned():
    content, places = raw_bytes(ARRAYS)
    for place, (name, array) in zip(places, ARRAYS.items(), strict=True):
        assert place.name == name
        assert place.offset % ALIGNMENT == 0
        np.testing.assert_array_equal(read_raw(content, place), array)
        assert read_raw(content, place).dtype == array.dtype


@pytest.mark.parametrize("write", [npz_bytes, lambda arrays: raw_bytes(arrays)[0]], ids=["npz", "raw"])
def test_bytes_depend_on_the_values_alone(write):
    """Neither on byte order, nor on strides, nor on who wrote them."""
    array = np.arange(12, dtype=np.float32).reshape(3, 4)
    same = [array.astype(">f4"), np.asfortranarray(array), np.repeat(array, 2, axis=1)[:, ::2], array.copy()]
    assert {write({"x": other}) for other in same} == {write({"x": array})}
    assert write({"x": array + 1}) != write({"x": array})


def test_raw_data_is_little_endian():
    assert raw_bytes({"x": np.array([1.0], ">f4")})[0] == b"\0\0\x80\x3f"


def test_dates_and_systems_are_fixed():
    with zipfile.ZipFile(io.BytesIO(npz_bytes(ARRAYS))) as archive:
        for entry in archive.infolist():
            assert entry.date_time == (1980, 1, 1, 0, 0, 0)
            assert (entry.create_system, entry.compress_type) == (3, zipfile.ZIP_STORED)


def test_objects_are_not_read():
    """An .npz file can hold pickles, which are programs."""
    buffer = io.BytesIO()
    np.savez(buffer, output=np.array([{}], dtype=object))
    with pytest.raises(ValueError, match="allow_pickle"):
        read_npz(buffer.getvalue())
