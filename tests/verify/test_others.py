"""Other libraries are right, but for what `docs/findings.md` says of them."""

from __future__ import annotations

import numpy as np
import pytest

from attn_ref.verify import verify

TORCH = {"adapter": "torch", "examples": 36}


def found(report):
    """Where a candidate is wrong: kinds, rules, modes and paddings."""
    return {
        (f.kind, f.case.rule, f.case.call.options.get("mode"), f.case.call.options.get("padding_mode"))
        for f in report.failures
    }


@pytest.mark.parametrize("options", [{"ndim": [2]}, {"ndim": [3], "mode": ["bilinear", "nearest"]}], ids=["2-D", "3-D"])
def test_torch_grid_sample_is_right_but_for_nan_and_infinity(options):
    functional = pytest.importorskip("torch.nn.functional")
    report = verify("grid_sample", functional.grid_sample, options=options, skip=("X1", "X2"), **TORCH)
    assert report.passed, str(report)
    assert not report.acceptable, str(report)


def test_torch_grid_sample_crashes_on_nan_and_infinity():
    """It reads and writes beyond its arrays there; whether that ends the process depends on where they lie."""
    functional = pytest.importorskip("torch.nn.functional")
    options = {"ndim": [2], "mode": ["bilinear"], "padding_mode": ["reflection"]}
    report = verify(
        "grid_sample", functional.grid_sample, options=options, dtypes=("float64",), adapter="torch", examples=0
    )
    assert {failure.kind for failure in report.failures} == {"crash"}
    assert {failure.function for failure in report.failures} == {"backward"}
    assert {failure.case.rule for failure in report.failures} <= {"X1", "X2"}


def test_a_candidate_without_a_process_of_its_own_is_not_asked_what_may_crash():
    functional = pytest.importorskip("torch.nn.functional")
    options = {"ndim": [2], "mode": ["bilinear"], "padding_mode": ["reflection"]}
    report = verify("grid_sample", functional.grid_sample, options=options, isolate=False, **TORCH)
    assert report.passed, str(report)
    assert set(report.skipped) == {"X1", "X2"}


def test_torch_affine_grid_is_right():
    functional = pytest.importorskip("torch.nn.functional")
    report = verify("affine_grid", functional.affine_grid, **TORCH)
    assert report.passed, str(report)
    assert {deviation.kind for deviation in report.acceptable} == {"empty"}


def test_torch_bfloat16_is_computed_in_bfloat16_and_accepted_as_such():
    functional = pytest.importorskip("torch.nn.functional")

    def sampler(input, grid, *, align_corners):
        return functional.grid_sample(input.float(), grid.float(), align_corners=align_corners).to(input.dtype)

    options = {"mode": ["bilinear"], "padding_mode": ["zeros"], "ndim": [2]}
    right = verify("grid_sample", sampler, options=options, dtypes=("bfloat16", "float16"), **TORCH)
    assert right.passed, str(right)
    assert "half" not in {deviation.kind for deviation in right.acceptable}


@pytest.mark.parametrize("dims", [2, 3])
def test_onnx_runtime_grid_sample_is_right_but_far_beyond_the_border(dims):
    pytest.importorskip("onnxruntime")
    from . import onnx_runtime

    options = {"ndim": [dims], "mode": ["bilinear", "nearest"] + ["bicubic"] * (dims == 2)}
    report = verify("grid_sample", onnx_runtime.grid_sample, options=options, dtypes=("float32",), examples=54)
    assert found(report) == {("value", "X3", "bilinear", "border")}, str(report)
    assert {deviation.kind for deviation in report.acceptable} == {"tie", "NaN input", "infinite input"}
    for deviation in report.acceptable:
        if deviation.kind == "tie":  # it rounds before it folds
            options = deviation.case.call.options
            assert (options["padding_mode"], options["align_corners"]) == ("reflection", False)


def test_onnx_runtime_affine_grid_is_right_but_for_one_pixel():
    pytest.importorskip("onnxruntime")
    from . import onnx_runtime

    report = verify("affine_grid", onnx_runtime.affine_grid, dtypes=("float32",), examples=20)
    assert report.passed, str(report)
    assert {deviation.kind for deviation in report.acceptable} == {"one pixel"}
    theta = np.array([[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]], "float32")
    assert onnx_runtime.affine_grid(theta, (1, 1, 1, 1), align_corners=True).tolist() == [[[[1.0, 1.0]]]]


def test_scipy_map_coordinates_is_right_in_its_convention():
    ndimage = pytest.importorskip("scipy.ndimage")

    def sampler(input, grid, *, mode, padding_mode):
        return ndimage.map_coordinates(input, grid, order=int(mode.removeprefix("order ")), mode=padding_mode)

    report = verify("grid_sample", sampler, convention="scipy", dtypes=("float64",), examples=60)
    assert report.passed, str(report)
    assert not report.acceptable, str(report)
    wrong = verify("grid_sample", lambda image, grid, **options: sampler(image, grid[::-1], **options),
                   convention="scipy", examples=5)  # fmt: skip
    assert not wrong.passed
