"""Films: every frame is in the sheet, and what is asked for is checked first."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure
from PIL import Image

from attn_ref.film import film


@given(st.integers(1, 13), st.integers(1, 9), st.integers(1, 7), st.integers(0, 99))
def test_every_frame_is_where_the_player_looks(count, height, width, seed):
    rng = np.random.default_rng(seed)
    frames = list(rng.choice(np.arange(0, 256, 17, dtype=np.uint8), (count, height, width)))
    made = film(frames, alt="noise")
    with Image.open(io.BytesIO(made.sheet)) as image:
        sheet = np.asarray(image.convert("L"))
    assert made.size == (height, width)
    assert sheet.shape == (-(-count // made.columns) * height, made.columns * width)
    for i, frame in enumerate(frames):
        row, column = divmod(i, made.columns)
        np.testing.assert_array_equal(sheet[row * height :][:height, column * width :][:, :width], frame)


def test_figures_are_drawn():
    figures = [Figure(figsize=(1.0, 0.5), dpi=40) for _ in range(3)]
    assert film(figures, alt="three empty pictures").size == (20, 40)


def test_the_html_needs_nothing_from_elsewhere_and_escapes_what_it_is_given():
    text = film([np.zeros((2, 3), np.uint8)], alt='a "b" <c>', labels=["<&'\">"])._repr_html_()
    assert "http" not in text
    assert 'alt="a &quot;b&quot; &lt;c&gt;"' in text
    assert 'data-labels="[&quot;&lt;&amp;&#x27;\\&quot;&gt;&quot;]"' in text


def test_the_image_is_not_in_the_plain_text():
    assert len(repr(film([np.zeros((2, 3), np.uint8)], alt="black"))) < 200


@pytest.mark.parametrize(
    ("frames", "options", "error", "says"),
    [
        ([], {}, ValueError, "frames is empty"),
        ([np.zeros((2, 3))], {}, TypeError, "float64"),
        ([[1, 2]], {}, TypeError, "list"),
        ([np.zeros((2, 3, 4), np.uint8)], {}, ValueError, r"\(2, 3, 4\)"),
        ([np.zeros((2, 3), np.uint8), np.zeros((3, 2), np.uint8)], {}, ValueError, "one size"),
        ([np.zeros((2, 3), np.uint8)], {"labels": ["a", "b"]}, ValueError, "2 texts for 1 frames"),
        ([np.zeros((2, 3), np.uint8)], {"alt": " "}, ValueError, "alt is empty"),
    ],
)
def test_bad_calls_are_refused(frames, options, error, says):
    with pytest.raises(error, match=says):
        film(frames, **{"alt": "something", **options})
