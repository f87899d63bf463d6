"""The conventions of other systems on a device: adapters round the core, images and gradients there and back."""

import numpy as np
import pytest

from attn_ref.conventions import CONVENTIONS, convert_grid, convert_theta

from .libraries import BOTH

IDENTITY = np.array([[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]])


def normal(*shape):
    return np.random.default_rng(len(shape)).standard_normal(shape)


def close(device, ours, theirs):
    assert type(ours) is device.xp.ndarray
    np.testing.assert_allclose(device.get(ours), theirs, rtol=0, atol=1e-11 * (1 + np.abs(theirs).max(initial=0)))


def of(layout, sizes):
    return normal(*[sizes[letter] for letter in layout])


@BOTH
@pytest.mark.parametrize("name", CONVENTIONS)
def test_a_convention_gives_on_a_device_what_it_gives_on_the_host(device, name):
    system = CONVENTIONS[name]
    image = of(system.image_layout, {"N": 2, "C": 3, "H": 5, "W": 7})
    grid = of(system.grid_layout, {"N": 2, "H": 4, "W": 6, "2": 2})
    grid = grid + 2 if system.pixel_map == "pixels" else grid
    expected = system.grid_sample(image, grid)
    grad = normal(*expected.shape)
    back = system.grid_sample_backward(grad, image, grid)
    placed = device.put(image), device.put(grid)
    close(device, system.grid_sample(*placed), expected)
    for ours, theirs in zip(system.grid_sample_backward(device.put(grad), *placed), back, strict=True):
        close(device, ours, theirs)
    if system.base is not None:
        batched = "N" in system.image_layout
        theta, size = (IDENTITY + 0.2 * normal(2, 2, 3), (2, 3, 4, 6)) if batched else (IDENTITY[0], (4, 6))
        close(device, system.affine_grid(device.put(theta), size), system.affine_grid(theta, size))


@BOTH
def test_converters_work_on_a_device(device):
    theta, grid = IDENTITY + 0.2 * normal(2, 2, 3), normal(2, 4, 6, 2)
    converted = convert_theta(theta, "rmpe", "pytorch", (5, 7), (4, 6))
    close(device, convert_theta(device.put(theta), "rmpe", "pytorch", (5, 7), (4, 6)), converted)
    converted = convert_grid(grid, "pytorch", "tfa_resampler", (5, 7))
    close(device, convert_grid(device.put(grid), "pytorch", "tfa_resampler", (5, 7)), converted)
