"""Samplers of other systems as literal loops, in their own layouts: what the adapters are compared with.

Written from what the sources compute, one point and one tap at a time, forward and backward. The pixel map and the gate
are arguments; nothing here uses the package.
"""

import math
from typing import NamedTuple

import numpy as np

AC1 = lambda g, S: (g + 1) * (S - 1) / 2, lambda S: (S - 1) / 2
HALF = lambda g, S: (g + 1) / 2 * S, lambda S: S / 2
S_MINUS_2 = lambda g, S: 0.5 * ((g + 1) * (S - 2)), lambda S: 0.5 * (S - 2)


class Sampled(NamedTuple):
    output: np.ndarray
    grad_input: np.ndarray
    grad_grid: np.ndarray


def tap_by_tap(image, grid, grad_output, pixel_map, *, clipped=False):
    """Image (N, H, W, C), grid (N, H_out, W_out, 2) y first, cotangent (N, H_out, W_out, C).

    Four taps, each read only inside the image; or, ``clipped``, its index clipped into it *before* the weights.
    """
    to_pixel, slope = pixel_map
    H, W = image.shape[1:3]
    output, grad_input, grad_grid = (np.zeros(a.shape) for a in (grad_output, image, grid))
    for n, i, j in np.ndindex(grid.shape[:3]):
        y, x = to_pixel(grid[n, i, j, 0], H), to_pixel(grid[n, i, j, 1], W)
        rows, columns = ([math.floor(p), math.floor(p) + 1] for p in (y, x))
        if clipped:
            rows, columns = ([min(max(tap, 0), S - 1) for tap in taps] for taps, S in ((rows, H), (columns, W)))
        of_rows = list(zip(rows, [rows[1] - y, y - rows[0]], [-1, 1], strict=True))
        of_columns = list(zip(columns, [columns[1] - x, x - columns[0]], [-1, 1], strict=True))
        for r, wy, dy in of_rows:
            for c, wx, dx in of_columns:
                if 0 <= r < H and 0 <= c < W:
                    dot = image[n, r, c] @ grad_output[n, i, j]
                    output[n, i, j] += wy * wx * image[n, r, c]
                    grad_input[n, r, c] += wy * wx * grad_output[n, i, j]
                    grad_grid[n, i, j] += [dy * wx * dot * slope(H), wy * dx * dot * slope(W)]
    return Sampled(output, grad_input, grad_grid)


def half_open_grid(theta, H, W):
    """theta (N, 2, 3) on (y, x, 1) of −1 + 2i/H and −1 + 2j/W, -> (N, H, W, 2)."""
    grid = np.zeros((len(theta), H, W, 2))
    for n, i, j in np.ndindex(grid.shape[:3]):
        grid[n, i, j] = theta[n] @ [i / H * 2 - 1, j / W * 2 - 1, 1]
    return grid


def half_open_grid_backward(grad_grid):
    """-> (N, 2, 3)."""
    N, H, W, _ = grad_grid.shape
    grad = np.zeros((N, 2, 3))
    for n, i, j in np.ndindex(N, H, W):
        grad[n] += np.outer(grad_grid[n, i, j], [i / H * 2 - 1, j / W * 2 - 1, 1])
    return grad
