"""Losses and their cotangents."""

import numpy as np
import pytest

from attn_ref.experiments.losses import classification, squared_error


def test_squared_error_is_the_derivative_of_its_value():
    rng = np.random.default_rng(0)
    y, t, v = (rng.standard_normal((5, 3)) for _ in range(3))
    h = 1e-4
    slope = (squared_error(y + h * v, t).value - squared_error(y - h * v, t).value) / (2 * h)  # exact: a parabola
    assert squared_error(y, t).grad_output.ravel() @ v.ravel() == pytest.approx(slope, rel=1e-9)
    assert squared_error(y, t).value == pytest.approx(((y - t) ** 2).sum() / 10)


def test_classification_counts_the_wrong_ones():
    logits = np.array([[0.0, 2.0, 1.0], [3.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    assert classification(logits, np.array([1, 2, 2])).wrong == 1
