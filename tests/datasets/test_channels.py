"""The task of the channel gates: what it takes to solve it, and what does not suffice."""

import numpy as np
import pytest

from attn_ref.datasets import channel_task
from attn_ref.datasets.channels import _patterns

from .helpers import bits

N, C, K = 2000, 12, 4
"""Samples, channels, classes."""


def votes(task, weight):
    """The class whose pattern is strongest in a weighted sum of the channels."""
    mixed = np.einsum("nc,nchw->nhw", weight, task.images)
    return np.einsum("nhw,khw->nk", mixed, _patterns(K, task.images.shape[-1])).argmax(axis=1)


def accuracy(task, weight):
    return (votes(task, weight) == task.labels).mean()


CHANCE = 1 / K + 5 * np.sqrt((1 / K) * (1 - 1 / K) / N)
"""What chance reaches in all but one of a million tries."""


@pytest.mark.parametrize("per_sample", [True, False])
def test_gates_on_the_channel_means_find_the_informative_channels_and_they_solve_it(per_sample):
    task = channel_task(N, C, C // K, 0, per_sample=per_sample)
    gates = task.images.mean(axis=(2, 3)) > 0.5
    assert (gates == task.informative).mean() > 0.999
    assert accuracy(task, gates.astype(np.float32)) > 0.999


def test_without_gates_it_is_chance():
    """All channels alike, or any other fixed weights: the patterns are the same in every sample."""
    task = channel_task(N, C, C // K, 0)
    assert accuracy(task, np.ones((N, C), np.float32)) < CHANCE
    weight = np.random.default_rng(1).uniform(0, 1, C).astype(np.float32)
    assert accuracy(task, np.broadcast_to(weight, (N, C))) < CHANCE


def test_fixed_weights_solve_it_only_where_the_channels_are_fixed():
    first = np.broadcast_to(np.arange(C) < C // K, (N, C)).astype(np.float32)
    assert accuracy(channel_task(N, C, C // K, 0, per_sample=False), first) > 0.999
    assert accuracy(channel_task(N, C, C // K, 0), first) < CHANCE


def test_the_channel_means_alone_are_chance():
    """The informative channels are distributed alike in every class."""
    task = channel_task(20000, C, C // K, 0)
    expected = 1 / K
    for k in range(K):
        share = task.informative[task.labels == k].mean(axis=0)
        assert abs(share - expected).max() < 5 * np.sqrt(expected * (1 - expected) / (20000 / K))


@pytest.mark.parametrize("per_sample", [True, False])
def test_every_class_is_shown_by_equally_many_channels(per_sample):
    task = channel_task(300, C, C // K, 0, per_sample=per_sample, noise=0)
    assert np.array_equal(task.informative.sum(axis=1), np.full(300, C // K))
    strength = np.einsum("nchw,khw->nck", task.images, _patterns(K, 8)) / 64
    shown = strength.argmax(axis=2)
    np.testing.assert_allclose(strength, np.eye(K)[shown], atol=1e-5)
    assert np.array_equal(np.sort(shown, axis=1), np.tile(np.repeat(np.arange(K), C // K), (300, 1)))
    assert np.array_equal(task.informative, shown == task.labels[:, None])
    np.testing.assert_allclose(task.images.mean(axis=(2, 3)), task.informative, atol=1e-6)
    assert per_sample or task.informative[:, : C // K].all()


@pytest.mark.parametrize(("count", "size"), [(3, 2), (9, 5), (63, 8)])
def test_patterns_are_orthogonal_of_mean_0_and_mean_square_1(count, size):
    P = _patterns(count, size).reshape(count, -1).astype(float)
    np.testing.assert_allclose(P @ P.T / size**2, np.eye(count), atol=1e-6)
    np.testing.assert_allclose(P.mean(axis=1), 0, atol=1e-7)


def test_noise_and_mark_are_as_asked():
    plain, bright, noisy = (channel_task(400, 6, 2, 3, mark=m, noise=s) for m, s in ((0, 0), (2, 0), (0, 0.7)))
    added = np.broadcast_to(2 * plain.informative[:, :, None, None], plain.images.shape)
    np.testing.assert_allclose(bright.images - plain.images, added, atol=1e-6)
    noise = noisy.images - plain.images
    assert noise.std() == pytest.approx(0.7, rel=0.01)
    assert abs(noise.mean()) < 5 * 0.7 / np.sqrt(noise.size)


@pytest.mark.parametrize("per_sample", [True, False])
def test_the_seed_decides_every_bit(per_sample):
    task = channel_task(9, 6, 2, 4, size=5, per_sample=per_sample)
    assert bits(task) == bits(channel_task(9, 6, 2, np.random.default_rng(4), size=5, per_sample=per_sample))
    assert bits(task) != bits(channel_task(9, 6, 2, 5, size=5, per_sample=per_sample))
    assert (task.images.shape, task.images.dtype) == ((9, 6, 5, 5), np.float32)
    assert (task.labels.dtype, task.informative.dtype) == (np.int64, bool)
    assert set(channel_task(100, 6, 2, 0).labels) == {0, 1, 2}


@pytest.mark.parametrize(
    ("arguments", "exception", "words"),
    [
        ({"n": 1.5}, TypeError, "n must be an integer"),
        ({"n": -1}, ValueError, "n=-1 is too small"),
        ({"channels": True}, TypeError, "channels must be an integer"),
        ({"informative": 0}, ValueError, "informative=0 is too small"),
        ({"informative": 5}, ValueError, "channels=12 must be a multiple of informative=5"),
        ({"informative": 12}, ValueError, "channels=12 must be a multiple of informative=12, at least twice as many"),
        ({"informative": 1, "size": 3}, ValueError, "size=3 has 8 patterns, but 12/1 = 12 classes"),
        ({"per_sample": 1}, TypeError, "per_sample must be True or False"),
        ({"mark": float("nan")}, ValueError, "mark must be finite"),
        ({"noise": -0.5}, ValueError, "noise must be finite and not negative, got -0.5"),
        ({"noise": float("inf")}, ValueError, "noise must be finite"),
    ],
)
def test_mistakes_are_named(arguments, exception, words):
    with pytest.raises(exception, match=words):
        channel_task(**{"n": 2, "channels": 12, "informative": 3, "rng": 0, **arguments})
