"""The networks of the spatial transformer paper at laptop size, each with about the same number of parameters.

==========  ==========================================================================================================
name        network, from an image of side S (28 or 42) to 10 logits
==========  ==========================================================================================================
FCN         two hidden fully-connected layers of h units
CNN         two stages of 5 × 5 convolution and 2 × 2 max-pooling, with 16 and 32 channels, then h units
ST-FCN      a transformer to 28 × 28, and an FCN. Its localiser too is fully connected: two layers of 32 units
ST-CNN      a transformer to 28 × 28, and a CNN. Its localiser: pool, two stages of 5 × 5 convolution and pooling, with
            8 and 16 channels, then 32 units
==========  ==========================================================================================================

Activations are ReLUs, convolutions are padded to keep the size (the second stage of a classifier is not), and a
transformer samples bilinearly, with zeros outside, and starts at the identity. So the kinds are those of the paper
(appendix A.4) and their widths are not: h is chosen so that a network comes as near as it can to
:data:`PARAMETERS`. What a network gains by its kind is then not gained by its size.

M. Jaderberg, K. Simonyan, A. Zisserman, K. Kavukcuoglu, "Spatial Transformer Networks", NeurIPS 2015.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from attn_ref.blocks import (
    Activation,
    AvgPool2d,
    Block,
    Conv2d,
    Flatten,
    Linear,
    MaxPool2d,
    Sequential,
    SpatialTransformer,
    identity_head,
)

__all__ = ["GLIMPSE", "NETWORKS", "PARAMETERS", "build", "convolutional_localiser", "widest"]

PARAMETERS = 120_000
"""What the number of parameters of each network comes near to."""

GLIMPSE = 28
"""Height and width in pixels of what a transformer sees."""

Builder = Callable[[int, int, np.random.Generator], Block]
"""From the side of the image, h and a generator to a network."""


def build(name: str, size: int, rng: np.random.Generator) -> Block:
    """Make one of the networks, with as many hidden units as bring it nearest to :data:`PARAMETERS`.

    Parameters
    ----------
    name : str
        A key of :data:`NETWORKS`.
    size : int
        Height and width of the images in pixels, at least 20.
    rng : numpy.random.Generator
        Draws the parameters.

    Returns
    -------
    Block
        From images (N, 1, size, size), float32, to logits (N, 10).
    """
    network = NETWORKS[name]
    return network(size, widest(lambda hidden: network(size, hidden, np.random.default_rng(0)), PARAMETERS), rng)


def widest(make: Callable[[int], Block], parameters: int) -> int:
    """Find the width with which a network comes nearest to a number of parameters.

    Parameters
    ----------
    make : callable
        From a width to a network, with more parameters for a larger width.
    parameters : int
        The number.

    Returns
    -------
    int
        The width, at least 1.
    """
    high = 2
    while make(high).count < parameters:
        high *= 2
    low = high // 2  # the count of high is enough, that of low is not, or low is 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if make(middle).count >= parameters else (middle, high)
    return min((low, high), key=lambda width: abs(make(width).count - parameters))


def _fcn(size: int, hidden: int, rng: np.random.Generator) -> Block:
    return Sequential(
        Flatten(),
        Linear(size * size, hidden, rng=rng),
        Activation("relu"),
        Linear(hidden, hidden, rng=rng),
        Activation("relu"),
        Linear(hidden, 10, rng=rng),
    )


def _cnn(size: int, hidden: int, rng: np.random.Generator) -> Block:
    side = (size // 2 - 4) // 2
    return Sequential(
        Conv2d(1, 16, 5, padding=2, rng=rng),
        Activation("relu"),
        MaxPool2d(2),
        Conv2d(16, 32, 5, rng=rng),
        Activation("relu"),
        MaxPool2d(2),
        Flatten(),
        Linear(32 * side * side, hidden, rng=rng),
        Activation("relu"),
        Linear(hidden, 10, rng=rng),
    )


def _fully_connected_localiser(size: int, rng: np.random.Generator) -> Block:
    return Sequential(
        Flatten(),
        Linear(size * size, 32, rng=rng),
        Activation("relu"),
        Linear(32, 32, rng=rng),
        Activation("relu"),
        identity_head(32),
    )


def convolutional_localiser(size: int, rng: np.random.Generator) -> Block:
    """Make the localiser of ST-CNN.

    Parameters
    ----------
    size : int
        Height and width of the images in pixels, at least 8.
    rng : numpy.random.Generator
        Draws the parameters.

    Returns
    -------
    Block
        From images (N, 1, size, size), float32, to the entries of theta (N, 6); at first those of the identity.
    """
    side = size // 8
    return Sequential(
        AvgPool2d(2),
        Conv2d(1, 8, 5, padding=2, rng=rng),
        Activation("relu"),
        MaxPool2d(2),
        Conv2d(8, 16, 5, padding=2, rng=rng),
        Activation("relu"),
        MaxPool2d(2),
        Flatten(),
        Linear(16 * side * side, 32, rng=rng),
        Activation("relu"),
        identity_head(32),
    )


def _transformed(localiser: Callable[[int, np.random.Generator], Block], classifier: Builder) -> Builder:
    def make(size: int, hidden: int, rng: np.random.Generator) -> Block:
        glimpse = SpatialTransformer(localiser(size, rng), output_size=(GLIMPSE, GLIMPSE), align_corners=False)
        return Sequential(glimpse, classifier(GLIMPSE, hidden, rng))

    return make


NETWORKS: dict[str, Builder] = {
    "FCN": _fcn,
    "CNN": _cnn,
    "ST-FCN": _transformed(_fully_connected_localiser, _fcn),
    "ST-CNN": _transformed(convolutional_localiser, _cnn),
}
"""The networks by name."""
