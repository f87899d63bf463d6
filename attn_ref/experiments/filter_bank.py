"""A fixed bank of Gabor filters: what a channel is, before anything is learned.

A filter of wavelength λ and orientation φ is a plane wave under a Gaussian window of standard deviation σ = λ/2,

    g(x, y) = exp(−(x² + y²)/2σ²) · exp(2πi (x cos φ + y sin φ)/λ)

less a multiple of the window, so that a constant image gives 0, and of norm 1. Its *energy* on an image, |g ∗ image|,
says how much of this wave there is at a place, wherever its crests are [1]_. Energies are not negative, so that their
mean over an image, which is what squeeze-and-excitation goes by, says how much of the wave there is in all.

.. [1] E. Adelson and J. Bergen, "Spatiotemporal energy models for the perception of motion", JOSA A 2(2), 1985.
"""

from __future__ import annotations

import numpy as np

from attn_ref.backend import Array
from attn_ref.ops.conv import conv2d

__all__ = ["ORIENTATIONS", "WAVELENGTHS", "energies", "filters"]

WAVELENGTHS = (3.0, 5.0, 8.0)
"""In pixels."""

ORIENTATIONS = 8
"""Waves run along multiples of 180°/8, the first along x."""

_SIDE = 13


def filters() -> Array:
    """Return the real and the imaginary parts of the filters.

    Returns
    -------
    array, shape (2, C, 13, 13), float32
        C = 3 · 8 filters, wavelength by wavelength.
    """
    y, x = np.meshgrid(*[np.arange(_SIDE) - _SIDE // 2] * 2, indexing="ij")
    angles = np.arange(ORIENTATIONS) * np.pi / ORIENTATIONS
    waves = []
    for wavelength in WAVELENGTHS:
        window = np.exp(-(x**2 + y**2) / (2 * (wavelength / 2) ** 2))
        for angle in angles:
            wave = window * np.exp(2j * np.pi * (x * np.cos(angle) + y * np.sin(angle)) / wavelength)
            wave -= window * wave.sum() / window.sum()
            waves.append(wave / np.sqrt((np.abs(wave) ** 2).sum()))
    bank = np.stack(waves)
    return np.stack([bank.real, bank.imag]).astype(np.float32)


def energies(images: Array, stride: int = 2) -> Array:
    """Compute the energy of every filter at every place.

    Parameters
    ----------
    images : array, shape (N, 1, H, W), float32
        The images, at least 13 × 13.
    stride : int
        Pixels from one place to the next.

    Returns
    -------
    array, shape (N, C, H', W'), float32
        |g ∗ image| for each filter, at places where the filter lies within the image.
    """
    real, imaginary = (conv2d(images, part[:, None], stride=stride) for part in filters())
    return np.hypot(real, imaginary)
