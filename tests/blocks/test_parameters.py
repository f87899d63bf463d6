"""Parameters to files and back, and every way in which a file can be wrong."""

from __future__ import annotations

import io
import pickle
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from attn_ref.blocks import BatchNorm, Conv2d, Linear, Sequential, load, load_arrays, save, save_arrays

from .oracle import bits, shuffled


def block(seed=0, features=3, dtype="float32"):
    rng = np.random.default_rng(seed)
    return Sequential(
        Conv2d(2, 4, 3, rng=rng, dtype=dtype), BatchNorm(4, dtype=dtype), Linear(4, features, rng=rng, dtype=dtype)
    )


def everything(made):
    return bits({**made.params, **made.buffers})


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_a_block_comes_back_to_the_bit(tmp_path, dtype):
    written, read = block(1, dtype=dtype), block(2, dtype=dtype)
    written.assign({"1.running_mean": np.array([1.0, np.nan, -0.0, np.inf], dtype)})
    save(written, tmp_path / "block.npz")
    assert everything(read) != everything(written)
    load(read, str(tmp_path / "block.npz"))
    assert everything(read) == everything(written)


names = st.text(st.characters(codec="utf-8", exclude_characters="/\\\0"), min_size=1, max_size=12)
values = hnp.arrays(
    st.one_of(hnp.floating_dtypes(), hnp.integer_dtypes(), hnp.boolean_dtypes(), hnp.unicode_string_dtypes()),
    hnp.array_shapes(min_dims=0, min_side=0, max_dims=3, max_side=3),
)


@given(st.dictionaries(names, values, max_size=4))
def test_any_arrays_come_back_to_the_bit(tmp_path_factory, arrays):
    path = tmp_path_factory.mktemp("arrays") / "arrays.npz"
    save_arrays(path, arrays)
    found = load_arrays(path)
    assert bits(found) == bits(arrays)
    assert list(found) == list(arrays)
    with np.load(path, allow_pickle=False) as archive:
        assert bits(dict(archive)) == bits(arrays)


def test_the_same_arrays_make_the_same_bytes_and_views_are_written_as_they_look(tmp_path):
    array = np.arange(12.0).reshape(3, 4)
    save_arrays(tmp_path / "one", {"a": array.T, "b": array[::2]})
    save_arrays(tmp_path / "two", {"a": array.T.copy(), "b": array[::2].copy()})
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    assert load_arrays(tmp_path / "one")["a"].flags.c_contiguous


def content(**arrays):
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def archive(*members):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as made:
        for name, data in members:
            made.writestr(name, data)
    return file.getvalue()


def npy(array, **options):
    file = io.BytesIO()
    np.save(file, array, **options)
    return file.getvalue()


WHOLE = content(weight=np.arange(50.0))
FLIPPED = bytearray(WHOLE)
FLIPPED[300] ^= 1

DAMAGED = {
    "empty": b"",
    "cut short": WHOLE[:-40],
    "cut in half": WHOLE[: len(WHOLE) // 2],
    "one bit flipped": bytes(FLIPPED),
    "a pickle": pickle.dumps({"weight": np.zeros(2)}),
    "a pickle inside": archive(("weight.npy", npy(np.array([{}], object), allow_pickle=True))),
    "one array, no archive": npy(np.zeros(2)),
    "text": b"weight = 3",
    "another file inside": archive(("weight.npy", npy(np.zeros(2))), ("README.txt", "hello")),
    "an array cut short": archive(("weight.npy", npy(np.zeros(9))[:-8])),
    "more than an array": archive(("weight.npy", npy(np.zeros(9)) + b"more")),
    "a broken header": archive(("weight.npy", npy(np.zeros(9)).replace(b"(9,)", b"(999"))),
    "a huge array without data": archive(
        ("weight.npy", npy(np.zeros(9)).replace(b"(9,), }" + b" " * 16, b"(99999999999999999,), }"))
    ),
}


@pytest.mark.parametrize("data", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_file_is_one_clear_error_and_changes_nothing(tmp_path, data):
    path = tmp_path / "bad.npz"
    path.write_bytes(data)
    made = block()
    before = everything(made)
    for read in (load_arrays, lambda path: load(made, path)):
        with pytest.raises(ValueError, match=r"bad\.npz is not a whole \.npz file of arrays: .") as caught:
            read(path)
        assert "\n" not in str(caught.value)
    assert everything(made) == before


def test_a_name_that_is_there_twice_is_refused(tmp_path):
    with pytest.warns(UserWarning, match="Duplicate"):
        data = archive(("w.npy", npy(np.zeros(2))), ("w.npy", npy(np.ones(2))))
    (tmp_path / "bad.npz").write_bytes(data)
    with pytest.raises(ValueError, match="there twice"):
        load_arrays(tmp_path / "bad.npz")


def test_a_pickle_is_not_run(tmp_path):
    class Trap:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    array = np.empty(1, object)
    array[0] = Trap()
    path = tmp_path / "trap.npz"
    path.write_bytes(archive(("weight.npy", npy(array, allow_pickle=True))))
    with pytest.raises(ValueError, match="allow_pickle"):
        load_arrays(path)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("cut", [1, 100, 500, 1000])
def test_a_checkpoint_cut_short_leaves_the_block_as_it_was(tmp_path, cut):
    path = tmp_path / "block.npz"
    save(block(1), path)
    path.write_bytes(path.read_bytes()[:-cut])
    made = block(2)
    before = everything(made)
    with pytest.raises(ValueError, match="not a whole"):
        load(made, path)
    assert everything(made) == before


def test_what_does_not_fit_is_listed_before_anything_is_assigned(tmp_path):
    path = tmp_path / "block.npz"
    arrays = {**block(1).params, **block(1).buffers}
    del arrays["0.bias"], arrays["1.running_mean"]
    arrays |= {"2.weight": np.zeros((5, 4), np.float32), "2.bias": np.zeros(3), "3.bias": np.zeros(3)}
    save_arrays(path, arrays)
    made = block(2)
    before = everything(made)
    with pytest.raises(ValueError, match="does not fit the Sequential") as caught:
        load(made, path)
    assert str(caught.value).removeprefix(f"{path} does not fit the Sequential: ") == (
        "it lacks 0.bias, 1.running_mean; the block has no 3.bias; "
        "2.weight is float32 (5, 4) in the file and float32 (3, 4) in the block; "
        "2.bias is float64 (3,) in the file and float32 (3,) in the block"
    )
    assert everything(made) == before


def test_a_file_of_another_byte_order_is_the_same(tmp_path):
    written, read = block(1), block(2)
    arrays = {**written.params, **written.buffers}
    save_arrays(tmp_path / "big.npz", {name: array.astype(">f4") for name, array in arrays.items()})
    load(read, tmp_path / "big.npz")
    assert everything(read) == everything(written)


@pytest.mark.parametrize(
    ("arrays", "kind", "message"),
    [
        ({"a": [1.0]}, TypeError, "a must be an array"),
        ({"a": np.array([{}], object)}, TypeError, "a holds Python objects"),
        ({"a": np.zeros(2, [("x", object)])}, TypeError, "a holds Python objects"),
        ({3: np.zeros(2)}, TypeError, "names must be strings, got int 3"),
        ({"": np.zeros(2)}, ValueError, "'' cannot name an array"),
        ({"../a": np.zeros(2)}, ValueError, "'../a' cannot name an array"),
        ({"a\\b": np.zeros(2)}, ValueError, "cannot name an array"),
        ({"a\0b": np.zeros(2)}, ValueError, "cannot name an array"),
    ],
)
def test_what_cannot_be_written_is_refused_and_the_old_file_stays(tmp_path, arrays, kind, message):
    path = tmp_path / "old.npz"
    save_arrays(path, {"b": np.ones(2)})
    before = path.read_bytes()
    with pytest.raises(kind, match=message):
        save_arrays(path, {"first": np.zeros(3), **arrays})
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["old.npz"]


def test_a_failure_while_writing_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "old.npz"
    save(block(1), path)
    before = path.read_bytes()

    def refuse(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("attn_ref._files.os.replace", refuse)
    with pytest.raises(ValueError, match=r"old\.npz cannot be written: No space left"):
        save(shuffled(block(2, dtype="float64")), path)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["old.npz"]


def test_files_and_folders_that_are_not_there(tmp_path):
    with pytest.raises(ValueError, match=r"none\.npz cannot be read: No such file"):
        load(block(), tmp_path / "none.npz")
    with pytest.raises(ValueError, match="cannot be read: Is a directory"):
        load_arrays(tmp_path)
    with pytest.raises(ValueError, match="cannot be written: No such file"):
        save(block(), tmp_path / "none" / "block.npz")
