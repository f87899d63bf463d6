"""Patches of textures: where they come from, and what is left of them."""

import socket

import numpy as np
import pytest

from attn_ref.datasets import TEXTURES, texture_patches, textures

from .helpers import bits

data = pytest.importorskip("skimage.data")


def grey(texture):
    pixels = getattr(data, texture.photograph)().astype(float)
    return pixels @ [0.299, 0.587, 0.114] if pixels.ndim == 3 else pixels


@pytest.mark.parametrize("part", ["train", "test"])
def test_patches_are_cut_where_their_corners_say_and_normalised(part):
    patches = texture_patches(7, 0, part=part, size=24)
    assert patches.images.shape == (35, 1, 24, 24)
    assert (patches.images.dtype, patches.labels.dtype) == (np.float32, np.int64)
    assert np.array_equal(patches.labels, np.repeat(np.arange(5), 7))
    photographs = [grey(texture) for texture in TEXTURES.values()]
    for image, label, (row, column) in zip(patches.images[:, 0], patches.labels, patches.corners, strict=True):
        cut = photographs[label][row : row + 24, column : column + 24]
        np.testing.assert_allclose(image, (cut - cut.mean()) / cut.std(), rtol=0, atol=1e-5)


def test_no_pixel_is_in_a_training_and_a_test_patch():
    """Of so many patches that the training part, and the test part, of every texture is covered nearly whole."""
    covered = {}
    for part in ("train", "test"):
        patches = texture_patches(600, 0, part=part)
        for label, texture in enumerate(TEXTURES.values()):
            pixels = np.zeros(grey(texture).shape, bool)
            for row, column in patches.corners[patches.labels == label]:
                pixels[row : row + 32, column : column + 32] = True
            covered[part, label] = pixels
    for label, texture in enumerate(TEXTURES.values()):
        train, test = covered["train", label], covered["test", label]
        assert not (train & test).any()
        top, left, bottom, right = texture.box
        assert (train | test).sum() == (train | test)[top:bottom, left:right].sum()
        area = (bottom - top) * (right - left)
        assert 0.6 * area < train.sum() < 0.68 * area
        assert 0.3 * area < test.sum() < 0.35 * area


def test_brightness_and_contrast_tell_nothing():
    images = texture_patches(40, 0).images
    assert abs(images.mean(axis=(1, 2, 3))).max() < 1e-6
    assert abs(images.std(axis=(1, 2, 3)) - 1).max() < 1e-5


def test_structure_tells_the_texture():
    """Nearest class mean of eight moments, learned in one part and tried in the other: 20 % by chance."""

    def features(patches):
        x = patches.images[:, 0]
        shifts = ((0, 1), (1, 0), (1, 1), (0, 3), (3, 0), (2, 2))
        moments = [x[:, i:, j:] * x[:, : 32 - i, : 32 - j] for i, j in shifts]
        moments += [x[:, 2:, :-2] * x[:, :-2, 2:], x**3 / 3]
        return np.stack([moment.mean(axis=(1, 2)) for moment in moments], axis=1)

    train, test = texture_patches(100, 0), texture_patches(100, 0, part="test")
    means = features(train).reshape(5, 100, -1).mean(axis=1)
    squared = ((features(test)[:, None] - means) ** 2).sum(axis=2)
    assert (squared.argmin(axis=1) == test.labels).mean() > 0.8


def test_a_flat_patch_is_0(monkeypatch):
    monkeypatch.setattr(textures, "_grey", lambda photograph: np.full((600, 600), 80.0))
    assert not texture_patches(2, 0).images.any()


def test_nothing_is_downloaded(monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket, "socket", refuse)
    textures._grey.cache_clear()
    assert len(texture_patches(1, 0)) == 5


def test_the_seed_decides_every_bit():
    assert bits(texture_patches(3, 8)) == bits(texture_patches(3, np.random.default_rng(8)))
    assert bits(texture_patches(3, 8)) != bits(texture_patches(3, 9))


@pytest.mark.parametrize(
    ("arguments", "exception", "words"),
    [
        ({"n_per_class": 0}, ValueError, "n_per_class=0 is too small"),
        ({"n_per_class": 2.5}, TypeError, "n_per_class must be an integer"),
        ({"size": 1}, ValueError, "size=1 is too small"),
        ({"size": 60}, ValueError, "size=60 is too large: expected at most 59"),
        ({"part": "validation"}, ValueError, "part='validation' is unknown: expected one of 'train', 'test'"),
    ],
)
def test_mistakes_are_named(arguments, exception, words):
    with pytest.raises(exception, match=words):
        texture_patches(**{"n_per_class": 2, "rng": 0, **arguments})


def test_the_largest_patch_fits():
    assert texture_patches(1, 0, size=59, part="test").images.shape == (5, 1, 59, 59)
