"""Right results: by hand, and against the package."""

import numpy as np
import pytest

from attn_ref.vectors.expected import given, key_of, name_of, results
from attn_ref.vectors.problem import Problem

from .small import VALID, by_reference, named

ROW = np.array([[[[10.0, 20.0, 30.0, 50.0]]]])
NAN, INF = np.nan, np.inf


def sampled(points, **options):
    """The output of the suite for points along the row 10, 20, 30, 50."""
    grid = np.array([[[[g, 0.0] for g in points]]])
    usual = {"mode": "bilinear", "padding_mode": "border", "align_corners": False, "channels_last": False}
    problem = Problem("row", "grid_sample", {"input": ROW, "grid": grid}, {**usual, **options}, ())
    return results(problem)["float64"][0].values.ravel().tolist()


def test_values_by_hand():
    assert sampled([-0.5, 0.5, 9.0]) == [15.0, 40.0, 50.0]
    assert sampled([-0.75, 0.0], mode="nearest") == [10.0, 30.0]  # 1.5 rounds to the even 2


@pytest.mark.parametrize(
    ("padding_mode", "expected"),
    [("zeros", [NAN, 0.0, 0.0]), ("border", [NAN, 50.0, 10.0]), ("reflection", [NAN, NAN, NAN])],
)
def test_nan_and_infinities_x1_x2(padding_mode, expected):
    np.testing.assert_array_equal(sampled([NAN, INF, -INF], padding_mode=padding_mode), expected)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_huge_coordinates_are_right_for_the_rounded_pixel_x3(dtype):
    """Up there every coordinate is an integer, and the images it lies beyond can be counted."""
    grid = np.array([[[[1e37, 0.0]]]], dtype)
    options = {"mode": "nearest", "padding_mode": "reflection", "align_corners": False, "channels_last": False}
    problem = Problem("huge", "grid_sample", {"input": ROW, "grid": grid}, options, (), dtypes=(dtype,))
    one, size = np.array(1, dtype), np.array(4, dtype)
    folded = int(((grid[0, 0, 0, 0] + one) * size - one) / (one + one)) % 8
    assert results(problem)[dtype][0].values.item() == ROW[0, 0, 0, folded if folded < 4 else 7 - folded]


def test_a_lost_point_adds_nothing_to_the_image():
    problem = named("grid_sample-2d-bilinear-border-edges-not-numbers")
    found = {result.name: result.values for result in results(problem)["float64"]}
    lost = np.isnan(problem.inputs["grid"]).any(axis=-1)
    assert np.isnan(found["backward.grid"][lost]).all()
    assert np.isfinite(found["backward.grid"][~lost]).all()
    assert np.isfinite(found["backward.input"]).all()
    assert np.isnan(found["output"][:, :, 0][:, :, lost[0, 0]]).all()


def test_activations_at_infinity_are_at_their_limits():
    limits = {"sigmoid": [1, 0, 0], "silu": [INF, 1, 0], "relu": [INF, 1, 0], "gelu": [INF, 1, 0]}
    for name, (value, slope, bend) in limits.items():
        problem = named(f"activation-{name}-not-numbers")
        call = given(problem, "float32")
        found = {result.name: result.values[0] for result in results(problem)["float32"]}
        assert found["output"][1] == value
        assert found["output"][2] == 0
        np.testing.assert_array_equal(found["backward.x"][1], slope * call.grad_output[0, 1])
        assert found["double_backward.x"][1] == bend
        assert all(np.isnan(values[0]) for values in found.values())


@pytest.mark.parametrize("key", [("forward", None), ("backward", "grid"), ("jvp", None), ("double_backward", None)])
def test_names_and_keys(key):
    assert key_of(name_of(*key)) == key


@pytest.mark.parametrize("problem", VALID, ids=lambda problem: problem.name)
def test_the_package_agrees_in_form_and_in_what_is_no_number(problem):
    for dtype, right in results(problem).items():
        ours = by_reference(problem, dtype)
        for result in right:
            found = ours[result.name]
            assert (found.shape, found.dtype) == (result.values.shape, result.values.dtype)
            special = ~np.isfinite(result.values)
            np.testing.assert_array_equal(~np.isfinite(found), special)
            np.testing.assert_array_equal(found[special], result.values[special])
