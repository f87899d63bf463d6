"""Images with labels, and their split into a training and a test set.

A data set is a few arrays whose first axis counts the samples. :meth:`LabelledImages.take` picks samples from all of
them at once, so whatever else a data set knows of a sample (its pose, where it was cut out) stays with it.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from numbers import Integral
from typing import Self, TypeVar

import numpy as np

from attn_ref.backend import Array

__all__ = ["LabelledImages", "check_count", "generator", "split"]


@dataclass(frozen=True)
class LabelledImages:
    """Images and their classes.

    Attributes
    ----------
    images : array, shape (N, C, H, W), float32
        The images.
    labels : array, shape (N,), int64
        The class of each, from 0.

    Examples
    --------
    >>> import numpy as np
    >>> data = LabelledImages(np.zeros((3, 1, 2, 2), np.float32), np.array([4, 0, 4]))
    >>> len(data), len(data.take(data.labels == 4))
    (3, 2)
    """

    images: Array
    labels: Array

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, index: Array) -> Self:
        """Return the samples of an index, in its order.

        Parameters
        ----------
        index : array, shape (M,)
            Integers, or N booleans.

        Returns
        -------
        LabelledImages
            The same kind of data set, with copies of these samples.
        """
        arrays = {field.name: getattr(self, field.name)[index] for field in dataclasses.fields(self)}
        return dataclasses.replace(self, **arrays)


Data = TypeVar("Data", bound=LabelledImages)


def split(data: Data, test: float, rng: np.random.Generator | int) -> tuple[Data, Data]:
    """Split a data set in two, each class in the same proportion.

    Parameters
    ----------
    data : LabelledImages
        Any of the data sets of this package.
    test : float
        The share of the test set, strictly between 0 and 1. Of a class of n samples it gets round(test · n).
    rng : numpy.random.Generator or int
        Chooses which; a seed stands for a new generator.

    Returns
    -------
    train, test : LabelledImages
        Each sample is in exactly one of them. Both keep the order of ``data``.

    Raises
    ------
    TypeError
        If rng is neither a generator nor a seed.
    ValueError
        If test is not between 0 and 1, or so that one of the two would lack a class.

    Examples
    --------
    >>> import numpy as np
    >>> data = LabelledImages(np.zeros((6, 1, 2, 2), np.float32), np.array([0, 0, 0, 1, 1, 1]))
    >>> train, test = split(data, 1 / 3, 7)
    >>> train.labels, test.labels
    (array([0, 0, 1, 1]), array([0, 1]))
    """
    rng = generator(rng)
    if not 0 < test < 1:
        raise ValueError(f"test={test!r} is not a share: expected a number strictly between 0 and 1, such as 0.2")
    order = rng.permutation(len(data))
    order = order[np.argsort(data.labels[order], kind="stable")]  # class by class, at random within each
    _, first, counts = np.unique(data.labels[order], return_index=True, return_counts=True)
    taken = np.rint(test * counts).astype(np.int64)
    lacking = (taken == 0) | (taken == counts)
    if lacking.any():
        k = int(np.argmax(lacking))
        raise ValueError(
            f"test={test!r} leaves the {'test' if taken[k] == 0 else 'training'} set without class "
            f"{data.labels[order[first[k]]]}, which has {counts[k]} samples: give another share, or more samples"
        )
    place = np.arange(len(data)) - np.repeat(first, counts)  # within its class
    in_test = np.empty(len(data), bool)
    in_test[order] = place < np.repeat(taken, counts)
    return data.take(~in_test), data.take(in_test)


def generator(rng: object) -> np.random.Generator:
    """Return a generator, or a new one of a seed.

    Raises
    ------
    TypeError
        If it is neither: None would draw a seed from the system, and no run could be repeated.
    ValueError
        If the seed is negative.
    """
    if isinstance(rng, np.random.Generator):
        return rng
    if isinstance(rng, bool) or not isinstance(rng, Integral):
        raise TypeError(
            f"rng must be a numpy.random.Generator or a seed, got {type(rng).__name__} {rng!r}; "
            "numpy.random.default_rng(0) makes one"
        )
    if rng < 0:
        raise ValueError(f"rng={rng} is negative: expected a seed from 0")
    return np.random.default_rng(int(rng))


def check_count(name: str, value: object, least: int = 1) -> int:
    """Check a number of something.

    Raises
    ------
    TypeError
        If it is not an integer.
    ValueError
        If it is below the least.
    """
    if isinstance(value, bool | np.bool_) or not isinstance(value, Integral):
        raise TypeError(f"{name} must be an integer, got {type(value).__name__} {value!r}")
    if value < least:
        raise ValueError(f"{name}={value} is too small: expected at least {least}")
    return int(value)
