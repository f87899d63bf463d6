"""A task for channel gates: a few channels are informative, and it is known which.

There are C channels and k informative ones; K = C/k classes. Class j has a *pattern* P_j, a plane wave pressed into the
image: the two-dimensional cosines, in the order of their frequency, each of mean exactly 0 and of mean square 1, all
orthogonal. A sample of class y is made as follows.

1. Each class is shown by exactly k channels: k of them show P_y, and so for every other class.
2. The k channels that show P_y are *informative*, and are marked: they are brighter by ``mark`` throughout.
3. White noise of standard deviation ``noise`` is added to every pixel of every channel.

    x[c] = P_shown[c] + mark · [c is informative] + noise · ε                                                  (1)

So the patterns alone say nothing: every sample shows each of them equally often, and but for noise the sum over
channels is the same whatever the class. The channel means alone say nothing either: they tell which channels count, not
what these show. Only the two together, channel by channel, tell the class. The mean of a channel, which is what a
squeeze computes, is ``mark`` or 0, with a standard deviation of noise / √(H·W): at the defaults the two are
1/0.125 = 8 of these apart. A gate that opens for bright channels and closes for the others leaves k P_y, from which
a linear layer reads the class.

The fewer the informative channels among many, the less a network reaches that has no gates, and must find brightness
and pattern together in mixtures of all channels.

With ``per_sample=True`` the informative channels are drawn anew for each sample, so no fixed weighting of the channels
brings the pattern of the class to the fore; with ``per_sample=False`` they are channels 0 to k − 1 in all samples, and
fixed weights do as well as gates.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from attn_ref.backend import Array
from attn_ref.datasets.labelled import LabelledImages, check_count, generator
from attn_ref.validation import flag

__all__ = ["ChannelTask", "channel_task"]


@dataclass(frozen=True)
class ChannelTask(LabelledImages):
    """Images of which a few channels are informative.

    Attributes
    ----------
    images : array, shape (N, C, H, W), float32
        The images.
    labels : array, shape (N,), int64
        The class of each, from 0 to C/k − 1.
    informative : array, shape (N, C), bool
        Which channels are informative, k in each sample.

    Examples
    --------
    >>> task = channel_task(100, 12, 3, 0)
    >>> int(task.informative[0].sum())  # channels of the first sample that tell its class
    3
    """

    informative: Array


def channel_task(
    n: int,
    channels: int,
    informative: int,
    rng: np.random.Generator | int,
    *,
    size: int = 8,
    per_sample: bool = True,
    mark: float = 1.0,
    noise: float = 1.0,
) -> ChannelTask:
    """Make images of which a few channels are informative.

    Parameters
    ----------
    n : int
        Samples.
    channels : int
        C, a multiple of ``informative``.
    informative : int
        k, the informative channels of each sample. There are C/k classes, at least 2.
    rng : numpy.random.Generator or int
        Draws the samples; a seed stands for a new generator. The patterns do not depend on it.
    size : int
        H = W in pixels.
    per_sample : bool
        Whether the informative channels differ from sample to sample.
    mark : float
        By how much an informative channel is brighter.
    noise : float
        Standard deviation of the noise.

    Returns
    -------
    ChannelTask
        Equation (1) at the head of this module: ``images`` (n, C, size, size), ``labels``, and which channels are
        ``informative``.

    Raises
    ------
    TypeError
        If a count is not an integer, per_sample not a bool, or rng neither a generator nor a seed.
    ValueError
        If channels is not a multiple of informative, there are fewer than 2 classes or more than patterns (size² − 1),
        mark is not finite, or noise not finite or negative.

    Examples
    --------
    >>> task = channel_task(100, 12, 3, 0)
    >>> task.images.shape, task.informative.shape, np.unique(task.labels)
    ((100, 12, 8, 8), (100, 12), array([0, 1, 2, 3]))
    """
    n, size = check_count("n", n, 0), check_count("size", size, 2)
    C, k = check_count("channels", channels), check_count("informative", informative)
    rng, per_sample = generator(rng), flag("per_sample", per_sample)
    classes = C // k
    if C % k or classes < 2:
        raise ValueError(
            f"channels={C} must be a multiple of informative={k}, at least twice as many: their ratio is the number "
            "of classes"
        )
    if classes > size**2 - 1:
        raise ValueError(f"size={size} has {size**2 - 1} patterns, but {C}/{k} = {classes} classes need one each")
    if not np.isfinite(mark):
        raise ValueError(f"mark must be finite, got {mark}")
    if not (np.isfinite(noise) and noise >= 0):
        raise ValueError(f"noise must be finite and not negative, got {noise}")

    labels = rng.integers(0, classes, n)
    others = (labels[:, None] + 1 + np.repeat(np.arange(classes - 1), k)) % classes  # (n, C − k)
    shown = np.concatenate([np.repeat(labels[:, None], k, axis=1), rng.permuted(others, axis=1)], axis=1)
    if per_sample:
        shown = rng.permuted(shown, axis=1)
    marked = shown == labels[:, None]  # (n, C)
    images = rng.standard_normal((n, C, size, size), np.float32)
    images *= np.float32(noise)
    images += _patterns(classes, size)[shown]
    images += np.float32(mark) * marked[:, :, None, None]
    return ChannelTask(images, labels, marked)


def _patterns(count: int, size: int) -> Array:
    """The first patterns, (count, size, size), float32: products of the cosines of the DCT-II, without the constant."""
    i = np.arange(size)
    waves = np.cos(np.pi * np.outer(i, i + 0.5) / size)  # (frequency, pixel)
    waves[1:] *= np.sqrt(2)  # mean square 1
    v, u = np.meshgrid(i, i, indexing="ij")
    order = np.argsort((u**2 + v**2).ravel(), kind="stable")[1 : count + 1]
    patterns = waves[v.ravel()[order], :, None] * waves[u.ravel()[order], None, :]
    return patterns.astype(np.float32)
