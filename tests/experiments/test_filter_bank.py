"""The filter bank: blind to a constant, and each filter answers most to its own wave."""

import numpy as np

from attn_ref.experiments.filter_bank import ORIENTATIONS, WAVELENGTHS, energies, filters


def wave(wavelength, degrees, size=40, phase=0.3):
    y, x = np.mgrid[:size, :size]
    angle = np.radians(degrees)
    image = np.cos(2 * np.pi * (x * np.cos(angle) + y * np.sin(angle)) / wavelength + phase)
    return image.astype(np.float32)[None, None]


def test_shapes_and_norms():
    bank = filters()
    assert bank.shape == (2, len(WAVELENGTHS) * ORIENTATIONS, 13, 13)
    assert bank.dtype == np.float32
    np.testing.assert_allclose((bank.astype(float) ** 2).sum(axis=(0, 2, 3)), 1, rtol=1e-5)
    assert energies(np.zeros((2, 1, 32, 30), np.float32)).shape == (2, 24, 10, 9)


def test_a_constant_has_no_energy():
    assert energies(np.full((1, 1, 20, 20), 7, np.float32)).max() < 1e-4


def test_each_filter_answers_most_to_its_own_wave():
    for w, wavelength in enumerate(WAVELENGTHS):
        for k in range(ORIENTATIONS):
            answer = energies(wave(wavelength, 180 * k / ORIENTATIONS)).mean(axis=(0, 2, 3))
            assert answer.argmax() == w * ORIENTATIONS + k


def test_the_energy_does_not_depend_on_the_phase():
    one, two = (energies(wave(5.0, 45, phase=phase))[0, 10] for phase in (0.0, 1.4))
    np.testing.assert_allclose(one, two, rtol=0.02)
