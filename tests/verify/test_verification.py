"""What verify says of candidates that are right, and of candidates at fault in one way each."""

from __future__ import annotations

import json

import numpy as np
import pytest

import attn_ref
from attn_ref.conventions import convention
from attn_ref.registry import OPERATIONS
from attn_ref.verify import VerificationError, replay, verify
from attn_ref.verify.failures import KINDS
from attn_ref.verify.judge import DEVIATIONS

from . import candidates

FEW = {"ndim": [2], "mode": ["bilinear"], "padding_mode": ["zeros", "border"]}


def kinds(report):
    return {failure.kind for failure in report.failures}


def of_registry(name):
    functions = OPERATIONS[name].functions
    return [functions.forward, functions.backward], {
        "jvp": functions.jvp,
        "double_backward": functions.double_backward,
    }


@pytest.mark.parametrize("name", OPERATIONS)
def test_the_package_itself_passes_in_every_dtype(name):
    functions, more = of_registry(name)
    options = {"ndim": [2], "channels_last": [False]} if name == "grid_sample" else {}
    dtypes = ("float64", "float32", "float16")
    report = verify(name, *functions, **more, dtypes=dtypes, options=options, examples=36, isolate=False)
    assert report.passed, str(report)
    assert not report.acceptable, str(report)
    assert not report.skipped


def test_the_sampler_passes_in_3d_with_its_channels_last():
    report = verify(
        "grid_sample",
        attn_ref.grid_sample,
        attn_ref.grid_sample_backward,
        options={"ndim": [3], "channels_last": [True], "padding_mode": ["reflection"]},
        examples=20,
        isolate=False,
    )
    assert report.passed, str(report)


def test_a_right_candidate_in_a_process_of_its_own():
    report = verify("grid_sample", candidates.right, candidates.right_backward, options=FEW, examples=10)
    assert report.passed, str(report)
    assert report.settings["isolated"]
    assert {outcome.case.rule for outcome in report.outcomes} >= {"C1", "C3", "P1", "P2", "X1", "X2", "X3", "E3", "D2"}
    report.raise_if_failed()


@pytest.mark.parametrize(
    ("candidate", "kind"),
    [
        (candidates.raises, "raises"),
        (candidates.wrong_shape, "shape"),
        (candidates.wrong_dtype, "dtype"),
        (candidates.a_list, "type"),
        (candidates.mutates, "mutates"),
        (candidates.gives_nan, "nan"),
        (candidates.differs, "nondeterministic"),
        (candidates.leaves, "raises"),
        (candidates.swapped, "value"),
    ],
    ids=lambda x: getattr(x, "__name__", x),
)
def test_a_fault_is_reported_as_what_it_is(candidate, kind):
    options = {**FEW, "mode": ["bicubic" if kind == "raises" and candidate is candidates.raises else "bilinear"]}
    report = verify("grid_sample", candidate, options=options, dtypes=("float32",), examples=5, isolate=False)
    assert kinds(report) == {kind}
    assert report.counterexample is not None
    assert report.counterexample.kind == kind
    with pytest.raises(VerificationError, match="WRONG"):
        report.raise_if_failed()


@pytest.mark.parametrize(
    ("candidate", "rule"), [(candidates.takes_c_order_for_granted, "T5"), (candidates.drops_the_tail, "S1")]
)
def test_what_shows_only_in_other_arrays_is_found(candidate, rule):
    options = {**FEW, "channels_last": [False]}
    report = verify("grid_sample", candidate, options=options, examples=5, isolate=False)
    assert {failure.case.rule for failure in report.failures} == {rule}
    with pytest.raises(VerificationError, match="value"):
        exec(report.snippet, {})


def test_fewer_bits_show():
    report = verify("grid_sample", candidates.coarse, options=FEW, examples=0, isolate=False)
    assert "C1" in {failure.case.rule for failure in report.failures}


def test_a_crash_is_survived_and_reported_with_its_input():
    report = verify("grid_sample", candidates.crashes, options=FEW, dtypes=("float32",), examples=5)
    assert kinds(report) == {"crash"}
    assert {failure.case.rule for failure in report.failures} == {"X1"}
    assert all(np.isnan(failure.case.call.inputs[1]).any() for failure in report.failures)
    assert "X1" in report.skipped


def test_a_candidate_that_hangs_is_given_up():
    report = verify("grid_sample", candidates.hangs, options=FEW, examples=5, time_limit=0.5)
    assert kinds(report) == {"timeout"}
    assert len(report.failures) == 1


def test_other_bits_that_are_right_too_are_acceptable():
    report = verify("grid_sample", candidates.trembles, options=FEW, examples=5, isolate=False)
    assert report.passed
    assert {deviation.kind for deviation in report.acceptable} == {"order"}


def test_ties_that_go_up_are_acceptable_and_listed():
    options = {"ndim": [2], "mode": ["nearest"], "padding_mode": ["zeros"]}
    report = verify(
        "grid_sample", candidates.rounds_up, options=options, dtypes=("float64",), examples=40, isolate=False
    )
    assert report.passed, str(report)
    assert "tie" in {deviation.kind for deviation in report.acceptable}


def test_one_array_where_two_are_expected():
    report = verify(
        "grid_sample", candidates.right, candidates.one_gradient, options=FEW, dtypes=("float32",), examples=2,
        isolate=False,
    )  # fmt: skip
    assert kinds(report) == {"type"}
    assert "input, grid" in report.failures[0].message


def test_the_counterexample_is_small_and_its_snippet_shows_it():
    report = verify("grid_sample", candidates.swapped, options=FEW, examples=20, isolate=False)
    assert report.counterexample is not None
    image, grid = report.counterexample.case.call.inputs
    assert grid.size == 2
    assert image.size <= 12
    namespace: dict[str, object] = {}
    with pytest.raises(VerificationError, match="value"):
        exec(report.snippet, namespace)


def test_replay_says_nothing_of_what_is_right():
    x, ones = np.array([[-1.0, 2.0]]), np.ones((1, 2))
    relu = attn_ref.get_activation("relu")
    functions = {"forward": lambda x: relu(x), "backward": lambda u, x: relu.backward(u, x)}
    replay("activation", functions, [x], {"name": "relu"}, grad_output=ones, dtype="float64")


def test_a_right_forward_pass_does_not_hide_a_wrong_backward_pass():
    def halved(grad_output, input, grid, **options):
        found = attn_ref.grid_sample_backward(grad_output, input, grid, **options)
        return found.input, found.grid / 2

    report = verify("grid_sample", attn_ref.grid_sample, halved, options={**FEW, "channels_last": [False]}, examples=5)
    assert {(failure.function, failure.of) for failure in report.failures} == {("backward", "grid")}
    assert not report.settings["isolated"]


def test_the_report_is_json():
    report = verify("grid_sample", candidates.swapped, options=FEW, examples=5, isolate=False)
    content = json.loads(report.to_json())
    assert content["passed"] is False
    assert content["counterexample"]["kind"] == "value"
    assert content["results"][0]["failed"] > 0
    assert "result" in str(report)


def test_bfloat16_candidates_are_judged_as_such():
    ml_dtypes = pytest.importorskip("ml_dtypes")

    def in_single(input, grid, *, align_corners):
        image, points = input.astype(np.float32), grid.astype(np.float32)
        return attn_ref.grid_sample(image, points, align_corners=align_corners).astype(ml_dtypes.bfloat16)

    def in_double(input, grid, *, align_corners):
        return in_single(input, grid, align_corners=align_corners).astype(np.float64)

    options = {"ndim": [2], "mode": ["bilinear"], "padding_mode": ["zeros"]}
    report = verify("grid_sample", in_single, options=options, dtypes=("bfloat16", "bfloat16"), examples=20)
    assert report.passed, str(report)
    assert not {d.kind for d in report.acceptable} - {"kink"}
    assert kinds(verify("grid_sample", in_double, options=options, dtypes=("bfloat16",), examples=2)) == {"dtype"}


def test_coordinates_in_half_are_acceptable():
    def in_half(input, grid, *, align_corners):
        """The pixel coordinate is rounded to float16, the rest is right."""
        size = np.array(input.shape[:1:-1], np.float64)
        scale, shift = ((size - 1) / 2, (size - 1) / 2) if align_corners else (size / 2, (size - 1) / 2)
        p = np.clip(grid.astype(np.float64) * scale + shift, -6e4, 6e4).astype(np.float16).astype(np.float64)
        moved = np.divide(p - shift, scale, out=np.zeros_like(p), where=scale > 0)
        moved = np.where(np.isnan(p), np.nan, np.clip(moved, -9, 9))
        return attn_ref.grid_sample(input.astype(np.float64), moved, align_corners=align_corners).astype(np.float16)

    options = {"ndim": [2], "mode": ["bilinear"], "padding_mode": ["zeros"]}
    report = verify("grid_sample", in_half, options=options, dtypes=("float16",), examples=5)
    assert report.passed, str(report)
    assert "half" in {deviation.kind for deviation in report.acceptable}


@pytest.mark.parametrize("name", ["stn_pytorch_bhwd", "pytorch", "onnx", "opencv"])
def test_a_candidate_may_speak_a_convention(name):
    system = convention(name)
    report = verify(
        "grid_sample", system.grid_sample, system.grid_sample_backward, convention=name, examples=20, isolate=False
    )
    assert report.passed, str(report)


def test_a_candidate_that_speaks_another_convention_is_wrong():
    chainer = convention("chainer")
    report = verify("grid_sample", chainer.grid_sample, convention="pytorch", examples=5, isolate=False, options=FEW)
    assert not report.passed


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"operation": "grid_sampel"}, ValueError, "did you mean 'grid_sample'"),
        ({"forward": 3}, TypeError, "forward must be a function"),
        ({"adapter": "jax"}, ValueError, "adapter='jax' is unknown"),
        ({"dtypes": "float32"}, TypeError, "dtypes must be a sequence"),
        ({"dtypes": ["float8"]}, ValueError, "float8"),
        ({"options": {"moda": ["bilinear"]}}, ValueError, "no option 'moda'"),
        ({"options": {"mode": "bilinear"}}, TypeError, "must be a list"),
        ({"options": {"mode": ["cubic"]}}, ValueError, "'cubic' is not among"),
        ({"examples": -1}, ValueError, "examples=-1"),
        ({"time_limit": 0}, ValueError, "time_limit"),
        ({"convention": "pytorch", "operation": "affine_grid"}, ValueError, "speaks of grid_sample"),
        ({"forward": lambda image, grid: image}, ValueError, "has no argument 'mode'"),
        ({"forward": lambda image, **_: image, "isolate": True}, ValueError, "cannot import the candidate"),
    ],
)
def test_a_wrong_argument_is_named_before_any_work(arguments, error, message):
    arguments = {"operation": "grid_sample", "forward": candidates.right, **arguments}
    with pytest.raises(error, match=message):
        verify(**arguments)


def test_ctrl_c_leaves_what_was_done(monkeypatch):
    def interrupted(word, done, total):
        if done == 5:
            raise KeyboardInterrupt

    report = verify("grid_sample", candidates.right, options=FEW, examples=5, isolate=False, progress=interrupted)
    assert report.interrupted
    assert len(report.outcomes) == 5


def test_failures_and_deviations_have_different_names():
    assert not set(KINDS) & set(DEVIATIONS)


def test_absent_inputs_need_no_place_in_the_signature():
    """A squeeze-and-excitation block without biases."""

    def without_biases(input, reduce_weight, expand_weight, activation, gate):
        return attn_ref.squeeze_excitation(input, reduce_weight, expand_weight, activation=activation, gate=gate)

    absent = [("reduce_bias", "expand_bias")]
    options = {"absent": absent, "channels_last": [False]}
    report = verify("squeeze_excitation", without_biases, options=options, examples=10)
    assert report.passed, str(report)
    assert len(report.outcomes) > 10
