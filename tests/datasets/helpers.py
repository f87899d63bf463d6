"""What the tests of data sets share."""

import dataclasses

import numpy as np


def arrays(data):
    """All arrays of a data set, a named tuple, or one array."""
    if isinstance(data, np.ndarray):
        return [data]
    if dataclasses.is_dataclass(data):
        return [getattr(data, field.name) for field in dataclasses.fields(data)]
    return list(data)


def bits(*sets):
    return [(array.dtype, array.shape, array.tobytes()) for data in sets for array in arrays(data)]


def blobs(centres, shape, sigma):
    """Round blobs of height 1 at (x, y) in pixels, the brightest of them at each pixel, (N, 1, H, W)."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    squared = (x - centres[..., 0, None, None]) ** 2 + (y - centres[..., 1, None, None]) ** 2
    return np.exp(-squared / (2 * sigma**2)).max(axis=1, keepdims=True)
