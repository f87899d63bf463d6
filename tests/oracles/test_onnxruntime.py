"""Against ONNX Runtime on the CPU: where it agrees, by the bounds of the verifier, and where it does not.

Huge coordinates and those that are no numbers are cast to integers before they are looked at. What a cast gives that
does not fit is the processor's choice: the tests ask only that it is wrong, or that it is some pixel.
"""

import numpy as np
import pytest

import attn_ref
from attn_ref.registry import OPERATIONS, Call
from attn_ref.vectors.cases import problems
from attn_ref.vectors.expected import filled, given, options
from attn_ref.verify.bounds import intervals

onnx = pytest.importorskip("onnx")
runtime = pytest.importorskip("onnxruntime")

ONNX_MODE = {"bilinear": "linear", "nearest": "nearest", "bicubic": "cubic"}
MODE = pytest.mark.parametrize("mode", ["bilinear", "nearest", "bicubic"])
PADDING = pytest.mark.parametrize("padding_mode", ["zeros", "border", "reflection"])
ALIGNED = pytest.mark.parametrize("align_corners", [True, False])
DTYPE = pytest.mark.parametrize("dtype", [np.float64, np.float32])

ROW = np.array([[[[10.0, 20.0, 30.0, 50.0]]]])
IDENTITY = np.array([[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]] * 2)


def evaluate(operator, inputs, dtype, opset=22, **attributes):
    """Run one node."""
    helper = onnx.helper
    described = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), [None] * array.ndim)
        for name, array in inputs.items()
    ]
    result = helper.make_tensor_value_info("result", helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), None)
    graph = helper.make_graph(
        [helper.make_node(operator, list(inputs), ["result"], **attributes)], "one_node", described, [result]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)
    quiet = runtime.SessionOptions()
    quiet.log_severity_level = 4
    session = runtime.InferenceSession(model.SerializeToString(), quiet, providers=["CPUExecutionProvider"])
    return session.run(None, inputs)[0]


def sample(image, grid, *, mode="bilinear", padding_mode="zeros", align_corners=False):
    """Both samplers, theirs first."""
    attributes = {"mode": ONNX_MODE[mode], "padding_mode": padding_mode, "align_corners": int(align_corners)}
    theirs = evaluate("GridSample", {"X": image, "grid": grid}, image.dtype, **attributes)
    named = {"mode": mode, "padding_mode": padding_mode, "align_corners": align_corners}
    return theirs, attn_ref.grid_sample(image, grid, **named)


def at(g, dtype=np.float32, **options_):
    """Both samplers at one point of the row."""
    theirs, ours = sample(ROW.astype(dtype), np.array([[[[g, 0.0]]]], dtype), **options_)
    return theirs.item(), ours.item()


def grids(size, align_corners, dtype=np.float64):
    """Both grids of the identity, theirs first; of opset 20, to which AffineGrid belongs."""
    inputs = {"theta": IDENTITY[: size[0]].astype(dtype), "size": np.array(size)}
    theirs = evaluate("AffineGrid", inputs, dtype, opset=20, align_corners=int(align_corners))
    return theirs, attn_ref.affine_grid(IDENTITY.astype(dtype), size, align_corners=align_corners)


AGREES = [
    pytest.param(problem, id=problem.name)
    for problem in problems()
    if problem.operation == "grid_sample" and problem.tag == "valid" and not problem.options["channels_last"]
    if problem.name.startswith(("grid_sample-2d-", "grid_sample-3d-nearest", "grid_sample-3d-bilinear"))
    if problem.name.endswith(("-inside", "-bits", "-kinks", "-unused"))
]


@pytest.mark.parametrize("problem", AGREES)
def test_samplers_agree_within_the_bounds_inside_cells_and_on_kinks(problem):
    for dtype in problem.dtypes:
        call = given(problem, dtype)
        named = {name: value for name, value in problem.options.items() if name != "channels_last"}
        theirs, _ = sample(call.inputs["input"], call.inputs["grid"], **named)
        right = intervals(
            OPERATIONS["grid_sample"],
            Call(filled(call.inputs), options(problem)),
            call.grad_output,
            filled(call.direction),
            dtype=dtype,
            functions=("forward",),
        )
        assert right["forward", None].holds(theirs).all()


@MODE
@PADDING
@ALIGNED
@DTYPE
def test_a_nan_coordinate_reads_some_pixel_there_and_is_nan_here(mode, padding_mode, align_corners, dtype):
    """X1."""
    theirs, ours = at(np.nan, dtype, mode=mode, padding_mode=padding_mode, align_corners=align_corners)
    assert np.isfinite(theirs)
    assert np.isnan(ours)


@MODE
@ALIGNED
@pytest.mark.parametrize("g", [1e30, -1e30, np.inf, -np.inf])
def test_far_outside_something_is_read_there_and_nothing_here(mode, align_corners, g):
    """P1, X2, X3: with zeros."""
    theirs, ours = at(g, mode=mode, align_corners=align_corners)
    assert theirs != 0
    assert ours == 0


@MODE
@ALIGNED
@pytest.mark.parametrize(("g", "edge"), [(1e30, 50.0), (np.inf, 50.0)])
def test_far_to_the_right_the_border_is_another_pixel_there(mode, align_corners, g, edge):
    """P2, X2, X3."""
    theirs, ours = at(g, mode=mode, padding_mode="border", align_corners=align_corners)
    assert theirs != edge
    assert ours == edge


@ALIGNED
def test_in_float32_bilinear_weights_of_ten_thousand_million_pixels_vanish_there(align_corners):
    """X3. With 1e10 the border is 0, which no pixel is."""
    assert at(1e10, padding_mode="border", align_corners=align_corners) == (0.0, 50.0)


@MODE
@PADDING
@pytest.mark.parametrize("g", [np.inf, -np.inf])
def test_infinity_reflected_is_a_number_there_and_nan_here(mode, padding_mode, g):
    """X2: there is no limit."""
    theirs, ours = at(g, mode=mode, padding_mode="reflection")
    assert np.isfinite(theirs)
    assert np.isnan(ours)


@pytest.mark.parametrize(("p", "theirs", "ours"), [(-1.5, 20.0, 10.0), (-2.5, 20.0, 30.0), (4.5, 50.0, 30.0)])
def test_nearest_rounds_before_it_folds_there(p, theirs, ours):
    """M2: padding first, then half to even; both lie within the bounds, which hold both sides of a tie."""
    assert at((2 * p + 1) / 4 - 1, mode="nearest", padding_mode="reflection") == (theirs, ours)


@pytest.mark.parametrize("p", [-0.25, 3.5])
def test_bicubic_pads_the_taps_as_here(p):
    """P4. ONNX's reference evaluator still pads the point."""
    theirs, ours = at((2 * p + 1) / 4 - 1, mode="bicubic", padding_mode="border")
    assert theirs == ours


def test_tricubic_is_refused_there():
    """M3."""
    image, grid = np.ones((1, 1, 2, 3, 4), np.float32), np.zeros((1, 1, 1, 1, 3), np.float32)
    with pytest.raises(Exception, match="Only support GridSample Cubic mode in 4-D cases"):
        sample(image, grid, mode="bicubic")
    named = {"mode": "bicubic", "padding_mode": "border", "align_corners": True}
    assert attn_ref.grid_sample(image, grid, **named).item() == 1


@DTYPE
def test_one_pixel_between_aligned_corners_lies_at_one_there_and_in_the_middle_here(dtype):
    """C3. (ONNX's reference evaluator: -1.)"""
    theirs, ours = grids((2, 1, 1, 3), True, dtype)
    assert theirs[0].tolist() == [[[-1.0, 1.0], [0.0, 1.0], [1.0, 1.0]]]
    assert ours[0].tolist() == [[[-1.0, 0.0], [0.0, 0.0], [1.0, 0.0]]]


def test_affine_grids_of_half_precision_are_computed_in_it_there():
    """T1."""
    theirs, ours = grids((2, 1, 2, 50), False, np.float16)
    exact = (2 * np.arange(50) + 1) / 50 - 1
    assert np.array_equal(ours[0, 0, :, 0], exact.astype(np.float16))
    assert np.abs(theirs[0, 0, :, 0] - ours[0, 0, :, 0]).max() > 2.0**-12
    nan, _ = grids((2, 1, 1, 3), True, np.float16)
    assert np.isnan(nan).all()


def test_affine_grids_of_half_precision_for_one_sample_raise_there():
    """E1: nothing is wrong with the call."""
    theta = IDENTITY[:1].astype(np.float16)
    with pytest.raises(Exception, match="axis 1 is not in valid range"):
        grids((1, 1, 2, 3), False, np.float16)
    assert attn_ref.affine_grid(theta, (1, 1, 2, 3), align_corners=False).shape == (1, 2, 3, 2)


def test_hard_sigmoid_has_no_float64_there():
    x = np.array([0.5])
    with pytest.raises(Exception, match="Could not find an implementation for HardSigmoid"):
        evaluate("HardSigmoid", {"X": x}, np.float64, alpha=1 / 6)
    assert attn_ref.get_activation("hard_sigmoid")(x).item() == pytest.approx(0.5 / 6 + 0.5)


def test_an_empty_output_is_empty_on_both_sides():
    """E3. ONNX's reference evaluator raises."""
    theirs, ours = sample(ROW, np.zeros((1, 0, 3, 2)))
    assert theirs.shape == ours.shape == (1, 1, 0, 3)
