"""The exact sampler rounded once, against PyTorch in float64, in every combination that PyTorch has."""

import random
from fractions import Fraction as Fr

import numpy as np
import pytest

from attn_ref.exact import grid_sample, grid_sample_backward, grid_sample_double_backward, to_float

from .problems import ALIGNED, PADDING, grid_at, points_inside_cells, random_array

KINDS = pytest.mark.parametrize(
    ("sizes", "mode"),
    [((3, 4), "bilinear"), ((3, 4), "nearest"), ((3, 4), "bicubic"), ((2, 3, 4), "bilinear"), ((2, 3, 4), "nearest")],
)


def close(ours, theirs):
    ours, theirs = to_float(ours), theirs.detach().numpy()
    return ours.shape == theirs.shape and np.abs(ours - theirs).max() < 1e-12


@KINDS
@PADDING
@ALIGNED
def test_value_and_first_and_second_derivatives_inside_cells(sizes, mode, padding_mode, align_corners):
    torch = pytest.importorskip("torch")
    options = {"mode": mode, "padding_mode": padding_mode, "align_corners": align_corners}
    generator = random.Random(8)
    image = to_float(random_array(generator, (1, 2, *sizes)))
    grid = to_float(points_inside_cells(sizes, align_corners, count=4))  # rounded: the exact input of both sides
    cotangent = to_float(random_array(generator, (1, 2, *grid.shape[1:-1])))
    u, v = to_float(random_array(generator, image.shape)), to_float(random_array(generator, grid.shape))

    x, g, y = (torch.from_numpy(array.copy()).requires_grad_() for array in (image, grid, cotangent))
    output = torch.nn.functional.grid_sample(x, g, **options)
    first = torch.autograd.grad(output, (x, g), y, create_graph=True)
    seeds = (torch.from_numpy(u), torch.from_numpy(v))
    second = torch.autograd.grad(first, (y, x, g), seeds, allow_unused=True, materialize_grads=True)

    assert close(grid_sample(image, grid, **options), output)
    for ours, theirs in zip(grid_sample_backward(cotangent, image, grid, **options), first, strict=True):
        assert close(ours, theirs)
    for ours, theirs in zip(grid_sample_double_backward(u, v, cotangent, image, grid, **options), second, strict=True):
        assert close(ours, theirs)


@KINDS
@PADDING
@ALIGNED
def test_value_on_kinks_and_ties(sizes, mode, padding_mode, align_corners):
    """Sizes at which whole and half pixels are exact in both alignments' arithmetic."""
    torch = pytest.importorskip("torch")
    options = {"mode": mode, "padding_mode": padding_mode, "align_corners": align_corners}
    generator = random.Random(9)
    sizes = ((3, 2, 5) if align_corners else (2, 8, 4))[-len(sizes) :]
    image = to_float(random_array(generator, (1, 2, *sizes)))
    pixels = [tuple(Fr(generator.randint(-20, 24), 2) for _ in sizes) for _ in range(12)]
    grid = to_float(grid_at(pixels, sizes, align_corners))
    theirs = torch.nn.functional.grid_sample(torch.from_numpy(image), torch.from_numpy(grid), **options)
    assert close(grid_sample(image, grid, **options), theirs)
