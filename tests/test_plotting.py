"""The figure of a sampling grid."""

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from attn_ref import affine_grid, grid_sample
from attn_ref.plotting import check_target, draw_sampling, encode
from attn_ref.warping import theta_from_motion

SOURCE = np.random.default_rng(0).random((20, 30, 3))


def figure_of(size=(20, 30), align_corners=False, **motion):
    theta = theta_from_motion((20, 30), size, align_corners=align_corners, **motion)
    grid = affine_grid(theta, (1, 1, *size), align_corners=align_corners)
    result = grid_sample(SOURCE[None], grid, align_corners=align_corners, channels_last=True)[0]
    return draw_sampling(SOURCE, grid, result, align_corners=align_corners)


@pytest.mark.parametrize("align_corners", [True, False])
def test_the_outline_is_where_the_output_reads(align_corners):
    left, right = figure_of(rotate=90, align_corners=align_corners).axes
    outline = left.collections[1].get_segments()[0]
    # Turned counter-clockwise about (14.5, 9.5): the output's first pixel reads beyond the top right of the source.
    np.testing.assert_allclose(outline[0], [14.5 + 9.5, 9.5 - 14.5], atol=1e-9)
    np.testing.assert_array_equal(outline[0], outline[-1])
    np.testing.assert_allclose(np.abs(outline - [14.5, 9.5]).max(axis=0), [9.5, 14.5], atol=1e-9)
    assert len(outline) == 2 * (20 + 30) - 4 + 1
    dot = np.squeeze(left.lines[0].get_data())
    np.testing.assert_allclose(dot, outline[0])
    np.testing.assert_array_equal(right.collections[1].get_segments()[0][0], [0, 0])


def test_lines_are_thinned_to_one_distance():
    left, _ = figure_of(rotate=10).axes
    lines = left.collections[0].get_segments()
    assert len([line for line in lines if len(line) == 30]) == 6  # rows, without the outline's
    assert len([line for line in lines if len(line) == 20]) == 10


def test_the_view_holds_the_source_and_the_grid_but_not_all_of_space():
    left, right = figure_of(rotate=90).axes
    assert left.get_ylim()[1] < 9.5 - 14.5
    assert left.get_ylim()[0] > 9.5 + 14.5
    assert left.get_ylim()[0] > left.get_ylim()[1]  # y runs downward
    far, _ = figure_of(scale=1e-9).axes
    assert far.get_xlim()[0] > -31
    assert far.get_xlim()[1] < 62
    assert right.get_xlim()[0] < 0


@pytest.mark.parametrize("motion", [{}, {"rotate": 33, "scale": 0.6}, {"scale": 1e-9}, {"scale": 1e9}])
def test_every_motion_can_be_drawn(motion, tmp_path):
    content = encode(figure_of(**motion), tmp_path / "figure.PNG")
    assert content.startswith(b"\x89PNG")


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (5, 1), (2, 2), (40, 3)])
def test_every_size_can_be_drawn(size, tmp_path):
    encode(figure_of(size, rotate=5), tmp_path / "figure.png")


def test_a_missing_point_leaves_a_gap(tmp_path):
    grid = affine_grid(np.eye(2, 3)[None], (1, 1, 6, 7), align_corners=True)
    grid[0, 2, 3] = np.nan
    encode(draw_sampling(SOURCE, grid, np.zeros((6, 7)), align_corners=True), tmp_path / "figure.png")


def test_formats_by_suffix(tmp_path):
    drawn = figure_of(rotate=3)
    assert encode(drawn, tmp_path / "a.svg").lstrip().startswith(b"<?xml")
    assert encode(drawn, tmp_path / "a.pdf").startswith(b"%PDF")
    check_target(tmp_path / "a.pdf")
    with pytest.raises(ValueError, match=r"the suffix '\.bmq' is of no figure; use one of \.png"):
        check_target(tmp_path / "a.bmq")
    with pytest.raises(ValueError, match="does not exist"):
        check_target(tmp_path / "missing" / "a.png")


def test_the_pixels_of_the_photo_are_in_the_picture(tmp_path):
    source = np.zeros((40, 60, 3))
    source[..., 0] = 1
    grid = affine_grid(np.eye(2, 3)[None], (1, 1, 40, 60), align_corners=False)
    path = tmp_path / "figure.png"
    path.write_bytes(encode(draw_sampling(source, grid, source, align_corners=False), path))
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB")).reshape(-1, 3)
    assert (pixels == [255, 0, 0]).all(axis=1).mean() > 0.4


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"grid": np.zeros((4, 5))}, "grid has shape"),
        ({"grid": np.zeros((2, 4, 5, 2))}, "grid has shape"),
        ({"grid": np.zeros((4, 5, 3))}, "grid has shape"),
        ({"grid": np.zeros((0, 5, 2))}, "at least one point"),
        ({"source": np.zeros((3, 4, 5))}, "source has shape"),
        ({"source": np.zeros((3, 0))}, "source has shape"),
        ({"result": np.zeros(4)}, "result has shape"),
        ({"result": np.zeros((5, 4))}, r"expected the size of the grid, \(4, 5\)"),
        ({"lines": 1}, "lines=1 is too few"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(change, message):
    arguments = {"source": np.zeros((6, 7)), "grid": np.zeros((4, 5, 2)), "result": np.zeros((4, 5))} | change
    with pytest.raises(ValueError, match=message):
        draw_sampling(**arguments, align_corners=True)


def test_pyplot_is_never_imported():
    code = (
        "import sys, numpy as np; from attn_ref.plotting import draw_sampling;"
        "draw_sampling(np.zeros((3, 4)), np.zeros((2, 2, 2)), np.zeros((2, 2)), align_corners=True);"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
