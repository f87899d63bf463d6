"""Gates: those of the block, and how they are scored."""

import numpy as np

from attn_ref.experiments.channel_gates import _build, _draw
from attn_ref.experiments.gates import areas_under_curve, gates_of


def test_gates_are_those_of_the_block():
    block = _build("SE", "marked", np.random.default_rng(0)).children["0"]
    x, _ = _draw("marked", 9, np.random.default_rng(1), "test")
    y = block.forward(x.images)[0]
    np.testing.assert_allclose(y, x.images * gates_of(block, x.images)[:, :, None, None], rtol=1e-5, atol=1e-6)


def test_areas_under_curve():
    informative = np.array([[1, 1, 1, 0, 1], [1, 1, 1, 0, 0], [0, 0, 0, 0, 1], [0, 0, 0, 0, 0]], bool)
    gates = np.array(
        [[0.9, 0.1, 0.5, 0.3, 0.2], [0.8, 0.2, 0.5, 0.1, 0.1], [0.1, 0.8, 0.5, 0.2, 0.8], [0.2, 0.9, 0.5, 0.9, 0.4]]
    )
    np.testing.assert_allclose(areas_under_curve(gates, informative), [1, 0, 0.5, 0.5, 0.75])
