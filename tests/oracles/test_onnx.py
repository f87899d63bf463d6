"""Against ONNX's reference evaluator: GridSample of opsets 16, 20 and 22, AffineGrid of opset 20.

It computes coordinates in float32 whatever the images are, so the points lie on eighths of pixels, exact in either
precision, and so are the cubic weights there. What remains are the roundings of the sums: the bounds of `problems`.
"""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import attn_ref

from .problems import PADDINGS, normalised, scales, with_random_arrays

onnx = pytest.importorskip("onnx")
ReferenceEvaluator = pytest.importorskip("onnx.reference").ReferenceEvaluator

OPSET = pytest.mark.parametrize("opset", [16, 20, 22])
MODE = pytest.mark.parametrize("mode", ["bilinear", "nearest", "bicubic"])
PADDING = pytest.mark.parametrize("padding_mode", PADDINGS)
ALIGNED = pytest.mark.parametrize("align_corners", [True, False])
ONNX_MODE = {"bilinear": "linear", "nearest": "nearest", "bicubic": "cubic"}

IMAGE = np.array([[[[10.0, 20.0, 30.0, 50.0], [70.0, 110.0, 130.0, 170.0]]]])
"""Shape (1, 1, 2, 4)."""


def evaluate(operator, opset, inputs, **attributes):
    """Run one node of the default domain."""
    helper = onnx.helper
    described = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
        for name, array in inputs.items()
    ]
    node = helper.make_node(operator, list(inputs), ["result"], **attributes)
    result = helper.make_tensor_value_info("result", onnx.TensorProto.DOUBLE, None)
    graph = helper.make_graph([node], "one_node", described, [result])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    return ReferenceEvaluator(model).run(None, inputs)[0]


def by_onnx(image, grid, *, mode, padding_mode, align_corners, opset=22):
    attributes = {"mode": ONNX_MODE[mode], "padding_mode": padding_mode, "align_corners": int(align_corners)}
    return evaluate("GridSample", opset, {"X": image, "grid": grid}, **attributes)


def at(p, align_corners=True, dtype=np.float64):
    """A grid of one point in the first row of `IMAGE`, p pixels along x."""
    return np.array([[[[normalised(p, 4, align_corners), normalised(0.0, 2, align_corners)]]]], dtype)


def both(grid, mode, padding_mode, align_corners=True, dtype=np.float64):
    """(the evaluator's value, ours) at one point of `IMAGE`."""
    options = {"mode": mode, "padding_mode": padding_mode, "align_corners": align_corners}
    image = IMAGE.astype(dtype)
    return by_onnx(image, grid, **options).item(), attn_ref.grid_sample(image, grid, **options).item()


@st.composite
def problems_on_eighths(draw, axes, mode, padding_mode, align_corners):
    """Points on eighths of pixels up to 3 sizes outside, but where the evaluator is known to deviate (see below)."""
    known = {2: [2, 3, 5, 9], 3: [2, 3, 5]} if align_corners else {2: [1, 2, 4, 8], 3: [1, 2, 4]}
    sizes = draw(st.lists(st.sampled_from(known[axes]), min_size=axes, max_size=axes, unique=True))
    batch, channels = draw(st.permutations([1, 2, 3]))[:2]
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    columns = []
    for size in reversed(sizes):
        eighths = rng.integers(-24 * size, 32 * size, (batch, 4, *[1] * (axes - 1)))
        if mode == "nearest" and padding_mode == "reflection" and not align_corners:
            eighths |= 1  # no ties
        if mode == "bicubic" and padding_mode == "border":  # not less than 1 px outside an edge
            eighths = np.where((eighths > -8) & (eighths < 0), -eighths % (8 * size - 7), eighths)
            beyond = (8 * (size - 1) < eighths) & (eighths < 8 * size)
            eighths = np.where(beyond, eighths % (8 * size - 7), eighths)
        columns.append(normalised(eighths / 8, size, align_corners))
    return with_random_arrays(rng, (batch, channels, *sizes), np.stack(columns, axis=-1))


# ---------------------------------------------------------------------------------------------------------------------
# GridSample where it follows the same rules


@OPSET
@pytest.mark.parametrize("axes", [2, 3])
@MODE
@PADDING
@ALIGNED
@settings(max_examples=4)
@given(data=st.data())
def test_values_agree_at_exact_coordinates(opset, axes, mode, padding_mode, align_corners, data):
    problem = data.draw(problems_on_eighths(axes, mode, padding_mode, align_corners))
    options = {"mode": mode, "padding_mode": padding_mode, "align_corners": align_corners}
    theirs = by_onnx(problem.input, problem.grid, opset=opset, **options)
    ours = attn_ref.grid_sample(problem.input, problem.grid, **options)
    assert ours.shape == theirs.shape
    assert np.abs(ours - theirs).max() <= 2 * scales(problem, mode, align_corners, 2.0**-53)["output"].error


# ---------------------------------------------------------------------------------------------------------------------
# Where it deviates: its value, ours, and which is right


def test_coordinates_are_float32_there_also_for_float64_images():
    """C1: coordinates are evaluated in the working precision. On a ramp the value is p itself."""
    ramp = np.arange(8.0).reshape(1, 1, 1, 8)
    grid = np.array([[[[0.1, 0.0]]]])
    exact = (Fraction(0.1) + 1) * 7 / 2
    ours = attn_ref.grid_sample(ramp, grid, align_corners=True).item()
    theirs = by_onnx(ramp, grid, mode="bilinear", padding_mode="zeros", align_corners=True).item()
    assert abs(Fraction(ours) - exact) <= 8 * Fraction(1, 2**53) * 8
    assert theirs == float(np.float32(ours))
    assert abs(Fraction(theirs) - exact) > Fraction(1, 2**27)


@OPSET
@pytest.mark.parametrize(("p", "theirs"), [(-0.25, 10.0), (-0.75, 10.0), (3.25, 50.0), (3.5, 50.0)])
def test_cubic_border_clips_the_point_there_and_each_tap_here(p, theirs, opset):
    """P4, and torch: the border pixel is repeated for ever, and the kernel goes on over the repetition.

    Less than a pixel outside, one tap still reads the pixel next to the edge, with weight A t²(1−t), t being the
    distance from the cell's far end. Clipping the point first gives the edge's value at once: a jump in the slope.
    """
    edge, inner, t = (10.0, 20.0, 1 + p) if p < 0 else (50.0, 30.0, 1 - (p - 3))
    options = {"mode": "bicubic", "padding_mode": "border", "align_corners": True}
    assert by_onnx(IMAGE, at(p), opset=opset, **options).item() == theirs == edge
    exact = edge + (inner - edge) * -0.75 * t**2 * (1 - t)
    assert exact != edge
    assert attn_ref.grid_sample(IMAGE, at(p), **options).item() == pytest.approx(exact, rel=2**-48)


@pytest.mark.parametrize(
    ("p", "theirs", "ours"), [(-1.5, 20.0, 10.0), (-3.5, 50.0, 30.0), (4.5, 50.0, 30.0), (5.5, 20.0, 30.0)]
)
def test_nearest_rounds_before_reflecting_there_and_after_it_here(p, theirs, ours):
    """M2, and torch: p = 4.5 is 2.5 reflected at 3.5, which ties to 2; rounded first it is 4, reflected 3."""
    assert both(at(p, align_corners=False), "nearest", "reflection", align_corners=False) == (theirs, ours)
    folded = p % 8
    folded = min(folded, 7 - folded) if folded <= 7.5 else folded - 8
    assert ours == IMAGE[0, 0, 0, round(folded)]


@pytest.mark.parametrize("mode", ["bilinear", "nearest", "bicubic"])
def test_huge_reflected_coordinates_lose_their_period_there(mode):
    """X3, in float32 on both sides: one rounding of 3/2 (g+1) makes the same p. Its period is 6."""
    p = Fraction(float((np.float32(1e30) + 1) / 2 * 3))
    pixel = int(min(p % 6, 6 - p % 6))
    theirs, ours = both(np.array([[[[1e30, -1.0]]]], np.float32), mode, "reflection", dtype=np.float32)
    assert ours == IMAGE[0, 0, 0, pixel] == 30.0
    assert theirs == 50.0


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
@PADDING
def test_nan_coordinates_raise_there_and_are_nan_here(mode, padding_mode):
    """X1."""
    options = {"mode": mode, "padding_mode": padding_mode, "align_corners": True}
    with pytest.raises(ValueError, match="cannot convert float NaN to integer"):
        by_onnx(IMAGE, at(np.nan), **options)
    assert np.isnan(attn_ref.grid_sample(IMAGE, at(np.nan), **options)).all()


@pytest.mark.parametrize(("padding_mode", "theirs"), [("zeros", 0.0), ("border", 10.0), ("reflection", 30.0)])
@pytest.mark.filterwarnings("ignore:invalid value encountered in cast:RuntimeWarning")
def test_nan_coordinates_in_nearest_are_some_pixel_there_and_nan_here(padding_mode, theirs):
    """X1. NaN becomes -2³¹ by its cast to an integer, and so whatever the padding makes of that."""
    value, ours = both(at(np.nan), "nearest", padding_mode)
    assert value == theirs
    assert np.isnan(ours)


@MODE
@pytest.mark.parametrize("g", [np.inf, -np.inf])
def test_infinite_coordinates_raise_there_and_take_their_limit_here(mode, g):
    """X2: 0 with zeros, NaN where no limit is. The border's value is the same."""
    grid = np.array([[[[g, -1.0]]]])
    options = {"mode": mode, "align_corners": True}
    if mode != "nearest":
        with pytest.raises(OverflowError, match="cannot convert float infinity to integer"):
            by_onnx(IMAGE, grid, padding_mode="zeros", **options)
    with pytest.raises(OverflowError, match="cannot convert float infinity to integer"):
        by_onnx(IMAGE, grid, padding_mode="reflection", **options)
    assert attn_ref.grid_sample(IMAGE, grid, padding_mode="zeros", **options).item() == 0.0
    assert np.isnan(attn_ref.grid_sample(IMAGE, grid, padding_mode="reflection", **options).item())
    assert both(grid, mode, "border") == ((50.0, 50.0) if g > 0 else (10.0, 10.0))


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
@pytest.mark.filterwarnings("ignore:divide by zero:RuntimeWarning")
def test_reflection_at_one_pixel_between_aligned_corners_divides_by_zero_there(mode):
    """C3, P3: every tap is the one pixel."""
    image, grid = IMAGE[:, :, :1], np.array([[[[-1.0, 0.3]]]])
    options = {"mode": mode, "padding_mode": "reflection", "align_corners": True}
    with pytest.raises(OverflowError, match="cannot convert float infinity to integer"):
        by_onnx(image, grid, **options)
    assert attn_ref.grid_sample(image, grid, **options).item() == 10.0


def test_an_empty_output_raises_there_and_is_empty_here():
    """E3."""
    grid = np.zeros((1, 0, 3, 2))
    with pytest.raises(TypeError, match="does not return a tuple"):
        by_onnx(IMAGE, grid, mode="bilinear", padding_mode="zeros", align_corners=True)
    assert attn_ref.grid_sample(IMAGE, grid, align_corners=True).shape == (1, 1, 0, 3)


@pytest.mark.parametrize("word", ["bilinear", "bicubic"])
def test_the_evaluator_does_not_know_the_names_that_opset_16_gave_its_modes(word):
    """Opset 20 renamed them linear and cubic; ours are those of opset 16 and torch."""
    with pytest.raises(RuntimeError, match="only supports nearest, linear, and cubic modes"):
        evaluate("GridSample", 16, {"X": IMAGE, "grid": at(0.0)}, mode=word, align_corners=1)
    assert attn_ref.grid_sample(IMAGE, at(0.0), mode=word, align_corners=True).item() == 10.0
    with pytest.raises(ValueError, match="mode='cubic' is unknown"):
        attn_ref.grid_sample(IMAGE, at(0.0), mode="cubic", align_corners=True)


# ---------------------------------------------------------------------------------------------------------------------
# AffineGrid


@pytest.mark.parametrize("axes", [2, 3])
@ALIGNED
@settings(max_examples=25)
@given(data=st.data())
def test_affine_grids_agree_to_the_rounding_to_float32(axes, align_corners, data):
    """It computes in float64 and returns float32 for every theta; it steps along an axis, S roundings of 2/S."""
    size = data.draw(st.lists(st.integers(2, 9), min_size=axes + 2, max_size=axes + 2, unique=True))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    theta = rng.standard_normal((size[0], axes, axes + 1))
    theirs = evaluate("AffineGrid", 20, {"theta": theta, "size": np.array(size)}, align_corners=int(align_corners))
    ours = attn_ref.affine_grid(theta, tuple(size), align_corners=align_corners)
    assert theirs.dtype == np.float32
    assert ours.dtype == np.float64
    largest = np.abs(theta).sum(axis=2).max()
    stepped = 2 * (max(size) + 8) * 2.0**-53 * largest
    assert (np.abs(ours - theirs) <= 2.0**-24 * np.abs(theirs) + stepped).all()


@pytest.mark.filterwarnings("ignore:divide by zero:RuntimeWarning")
def test_one_pixel_between_aligned_corners_lies_at_minus_one_there_and_in_the_middle_here():
    """C3, and torch: identity theta shall give the pixel its own centre. Theirs is 2/0, and then the start, -1."""
    theta = np.array([[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]])
    theirs = evaluate("AffineGrid", 20, {"theta": theta, "size": np.array([1, 1, 1, 3])}, align_corners=1)
    ours = attn_ref.affine_grid(theta, (1, 1, 1, 3), align_corners=True)
    assert theirs.tolist() == [[[[-1.0, -1.0], [0.0, -1.0], [1.0, -1.0]]]]
    assert ours.tolist() == [[[[-1.0, 0.0], [0.0, 0.0], [1.0, 0.0]]]]


def test_the_middle_of_three_pixels_is_not_zero_there_and_zero_here():
    """C2: ours is (2i + 1 − S)/S, symmetric about 0; theirs is reached by steps."""
    theta = np.array([[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]])
    theirs = evaluate("AffineGrid", 20, {"theta": theta, "size": np.array([1, 1, 1, 3])}, align_corners=0)
    assert 0 < abs(theirs[0, 0, 1, 0]) < 2.0**-52
    assert attn_ref.affine_grid(theta, (1, 1, 1, 3), align_corners=False)[0, 0, 1, 0] == 0.0
