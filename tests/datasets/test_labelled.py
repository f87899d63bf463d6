"""Sets of labelled images and their split by class."""

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attn_ref.datasets import LabelledImages, channel_task, distort, split, stroke_digits, texture_patches
from attn_ref.datasets.labelled import generator

from .helpers import bits


def numbered(counts, seed=0):
    """Samples of each class, shuffled, whose images say which sample they are."""
    labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(counts)), counts))
    return LabelledImages(np.arange(len(labels), dtype=np.float32).reshape(-1, 1, 1, 1), labels)


@given(counts=st.lists(st.integers(4, 30), min_size=1, max_size=6), share=st.floats(0.2, 0.8), seed=st.integers(0, 99))
def test_a_split_takes_each_sample_once_and_each_class_by_its_share(counts, share, seed):
    data = numbered(counts, seed)
    train, test = split(data, share, seed)
    numbers = np.concatenate([train.images, test.images]).ravel()
    assert sorted(numbers) == list(range(len(data)))
    assert np.array_equal(np.bincount(test.labels, minlength=len(counts)), np.rint(share * np.array(counts)))
    for part in (train, test):
        numbers = part.images.ravel().astype(int)
        assert np.array_equal(numbers, np.sort(numbers))
        assert np.array_equal(part.labels, data.labels[numbers])


def test_a_split_is_drawn_by_its_generator():
    data = numbered([40, 30, 50])
    first, again, other = (split(data, 0.3, seed) for seed in (1, np.random.default_rng(1), 2))
    assert bits(*first) == bits(*again)
    assert bits(*first) != bits(*other)


def test_a_split_chooses_all_samples_alike():
    """Each of 20 samples is in the test set in half of the splits, give or take five standard deviations."""
    data, rng, splits = numbered([20]), np.random.default_rng(0), 1000
    times = np.bincount(
        np.concatenate([split(data, 0.5, rng)[1].images.ravel().astype(int) for _ in range(splits)]), minlength=20
    )
    assert abs(times - splits / 2).max() < 5 * np.sqrt(splits / 4)


def test_whatever_else_is_known_of_a_sample_stays_with_it():
    @dataclass(frozen=True)
    class Posed(LabelledImages):
        pose: np.ndarray

    plain = numbered([6, 9])
    data = Posed(plain.images, plain.labels, plain.images[:, 0, 0, 0] * 10)
    for part in split(data, 1 / 3, 0):
        assert type(part) is Posed
        assert len(part) == len(part.pose)
        assert np.array_equal(part.pose, part.images[:, 0, 0, 0] * 10)


@pytest.mark.parametrize(
    ("share", "counts", "words"),
    [
        (0, [9], "strictly between 0 and 1"),
        (1, [9], "strictly between 0 and 1"),
        (20, [9], "strictly between 0 and 1"),
        (float("nan"), [9], "strictly between 0 and 1"),
        (0.1, [9, 4], "leaves the test set without class 1, which has 4 samples"),
        (0.9, [9, 4], "leaves the training set without class 1"),
    ],
)
def test_a_share_that_does_not_fit_is_refused(share, counts, words):
    with pytest.raises(ValueError, match=words):
        split(numbered(counts), share, 0)


IMAGES = np.ones((3, 1, 8, 8), np.float32)
DRAWN = {
    "split": lambda rng: split(numbered([5, 5]), 0.4, rng),
    "distort": lambda rng: distort(IMAGES, "RTS", rng),
    "stroke_digits": lambda rng: stroke_digits(2, rng),
    "texture_patches": lambda rng: texture_patches(2, rng),
    "channel_task": lambda rng: channel_task(2, 4, 2, rng),
}


@pytest.mark.parametrize("make", DRAWN.values(), ids=DRAWN)
@pytest.mark.parametrize("rng", [None, True, 1.0, np.random.RandomState(0)])
def test_nothing_is_drawn_from_an_unknown_source(make, rng):
    with pytest.raises(TypeError, match=r"rng must be a numpy\.random\.Generator or a seed"):
        make(rng)


def test_a_seed_is_not_negative():
    with pytest.raises(ValueError, match="rng=-1 is negative"):
        generator(-1)


def test_a_numpy_integer_is_a_seed():
    assert generator(np.int64(5)).random() == generator(5).random()
