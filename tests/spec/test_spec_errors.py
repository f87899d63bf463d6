"""Rules E1, E2, E4 and E6: what is refused, and in which words. (E3 and E5 are in test_spec_sizes.py.)"""

import math
import re

import numpy as np
import pytest

import attn_ref

from .calls import ARGUMENTS, CALLS, EVERY_ARGUMENT
from .cases import MODE, PADDING

ARGUMENT = pytest.mark.parametrize(("name", "argument"), ARGUMENTS, ids=EVERY_ARGUMENT)
SAMPLERS = [name for name in CALLS if name.startswith("grid_sample")]
OF_SIZE = [name for name in CALLS if name.startswith("affine_grid")]
COTANGENTS = [(name, argument) for name, argument in ARGUMENTS if "grad" in argument or "tangent" in argument]


def sample(image, grid, **options):
    return attn_ref.grid_sample(image, grid, **{"align_corners": True, **options})


@pytest.mark.parametrize(
    ("image", "grid", "words"),
    [
        ((2, 3, 4, 5), (2, 6, 7, 3), "grid has last axis 3 but input is 4-D: expected (N, H_out, W_out, 2)"),
        ((2, 3, 4, 5), (2, 2, 6, 7), "a channel-first grid is moved with numpy.moveaxis(grid, 1, -1)"),
        ((2, 3, 4, 5, 6), (2, 6, 7, 7, 2), "grid has last axis 2 but input is 5-D: expected (N, D_out, H_out, W_out"),
        ((2, 3, 4, 5), (2, 6, 7, 7, 3), "grid has 5 axes, shape (2, 6, 7, 7, 3), but input is 4-D"),
        ((2, 3, 4), (2, 6, 2), "input has 3 axes, shape (2, 3, 4): expected (N, C, H, W) or (N, C, D, H, W)"),
        ((1, 3, 4, 5), (2, 6, 7, 2), "input has batch size 1 but grid has 2"),
        ((), (2, 6, 7, 2), "input has 0 axes"),
        ((2, 3, 4, 5), (), "grid has 0 axes"),
    ],
)
def test_E1_shape_messages_name_the_argument_what_was_expected_and_what_came(image, grid, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        sample(np.zeros(image), np.zeros(grid))


def test_E1_affine_messages():
    f = attn_ref.affine_grid
    with pytest.raises(ValueError, match=re.escape("theta has shape (1, 3, 4): expected (N, 2, 3)")):
        f(np.zeros((1, 3, 4)), (1, 1, 2, 2), align_corners=True)
    with pytest.raises(ValueError, match=re.escape("theta has shape (2, 3): expected (N, 2, 3)")):
        f(np.zeros((2, 3)), (1, 1, 2, 2), align_corners=True)
    with pytest.raises(ValueError, match=re.escape("theta has batch size 2 but size starts with 1")):
        f(np.zeros((2, 2, 3)), (1, 1, 2, 2), align_corners=True)
    with pytest.raises(ValueError, match=re.escape("theta has shape (1, 2, 2): expected (N, 2, 3) or (N, 3, 4)")):
        attn_ref.affine_inverse(np.zeros((1, 2, 2)))


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize(
    "wrong", [{"mode": "x"}, {"padding_mode": "x"}, {"align_corners": 1}, {"channels_last": "yes"}], ids=str
)
def test_E1_options_are_checked_before_anything_is_computed(name, wrong, monkeypatch):
    def computed(*_, **__):
        raise AssertionError("work has started")

    monkeypatch.setattr("attn_ref.ops.sampling.TapTable", computed)
    (option,) = wrong
    with pytest.raises((TypeError, ValueError), match=option):
        CALLS[name](**wrong)


@pytest.mark.parametrize(("name", "argument"), COTANGENTS)
def test_E2_cotangents_and_tangents_must_have_the_shape_of_what_they_belong_to(name, argument):
    call = CALLS[name]
    right = call.arrays[argument]
    for shape in ((*right.shape[:-1], right.shape[-1] + 1), right.shape[1:], (*right.shape, 1), ()):
        with pytest.raises(ValueError, match=rf"{argument} has (shape|batch)") as error:
            call(**{argument: np.zeros(shape)})
        assert str(shape) in str(error.value)


@pytest.mark.parametrize(("name", "argument"), COTANGENTS)
def test_E2_cotangents_and_tangents_must_be_floating_arrays(name, argument):
    call = CALLS[name]
    with pytest.raises(TypeError, match=argument):
        call(**{argument: call.arrays[argument].tolist()})
    with pytest.raises(TypeError, match=argument):
        call(**{argument: call.arrays[argument].astype(int)})


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize(
    ("option", "value", "near"),
    [
        ("mode", "bilinaer", "bilinear"),
        ("mode", "Nearest", "nearest"),
        ("mode", "cubic", "bicubic"),
        ("padding_mode", "reflect", "reflection"),
        ("padding_mode", "zero", "zeros"),
        ("padding_mode", "quatsch", None),
    ],
)
def test_E4_unknown_words_list_the_choices_and_the_near_miss(name, option, value, near):
    choices = ("bilinear", "nearest", "bicubic") if option == "mode" else ("zeros", "border", "reflection")
    with pytest.raises(ValueError, match=option) as error:
        CALLS[name](**{option: value})
    assert all(word in str(error.value) for word in (*choices, value))
    assert (f"did you mean '{near}'?" in str(error.value)) == (near is not None)


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("option", ["mode", "padding_mode"])
@pytest.mark.parametrize("value", [0, None, True, b"bilinear", ["bilinear"]], ids=str)
def test_E4_words_of_another_type_are_type_errors(name, option, value):
    with pytest.raises(TypeError, match=f"{option} must be a string"):
        CALLS[name](**{option: value})


@pytest.mark.parametrize("name", SAMPLERS + OF_SIZE)
@pytest.mark.parametrize("value", [1, 0, None, "True", 1.0, np.int64(1), np.array(True)], ids=repr)
def test_E4_flags_must_be_bool(name, value):
    with pytest.raises(TypeError, match="align_corners must be True or False"):
        CALLS[name](align_corners=value)
    if name in SAMPLERS:
        with pytest.raises(TypeError, match="channels_last must be True or False"):
            CALLS[name](channels_last=value)


@pytest.mark.parametrize("name", SAMPLERS + OF_SIZE)
def test_E4_numpy_bools_are_bools_and_align_corners_has_no_default(name):
    call = CALLS[name]
    for got, want in zip(call.results(align_corners=np.True_), call.results(align_corners=True), strict=True):
        np.testing.assert_array_equal(got, want)
    others = {key: value for key, value in call.options.items() if key != "align_corners"}
    with pytest.raises(TypeError, match="align_corners"):
        call.function(**call.arrays, **others)


@MODE
@PADDING
def test_E4_an_operator_checks_its_options_likewise(mode, padding_mode):
    grid = np.zeros((1, 1, 1, 2))
    make = attn_ref.sampling_operator
    assert make(grid, (2, 3), mode=mode, padding_mode=padding_mode, align_corners=np.False_).shape == (1, 6)
    with pytest.raises(ValueError, match="did you mean"):
        make(grid, (2, 3), mode=mode + "x", align_corners=True)
    with pytest.raises(ValueError, match="did you mean"):
        make(grid, (2, 3), padding_mode=padding_mode + "x", align_corners=True)
    with pytest.raises(TypeError, match="align_corners"):
        make(grid, (2, 3), mode=mode, align_corners=1)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("name", [name for name in CALLS if not name.startswith("affine_inverse")])
def test_E6_nan_and_inf_are_data(name, value):
    call = CALLS[name]
    for argument, array in call.arrays.items():
        spoilt = array.copy()
        spoilt.reshape(-1)[min(3, spoilt.size - 1)] = value
        call(**{argument: spoilt})  # neither an error nor a warning


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("place", [(0, 0), (0, 1), (1, 0), (1, 1), (0, 2), (1, 2)], ids=str)
@pytest.mark.parametrize("theta", [[[2.0, 1, 3], [1, 4, 5]], [[2.0, 0, 3], [0, 4, 5]]], ids=["full", "diagonal"])
def test_E6_nan_and_inf_in_a_matrix_to_invert_are_data(value, place, theta):
    """In one element of the batch; the others are inverted as if alone."""
    theta = np.array([theta, [[2.0, 0, 0], [0, 4, 0]]])
    theta[(0, *place)] = value
    inverse = attn_ref.affine_inverse(theta)
    np.testing.assert_array_equal(inverse[1], [[0.5, 0, 0], [0, 0.25, 0]])
    assert not np.isfinite(inverse[0]).all() or math.isinf(value)


def test_E6_nan_in_theta_reaches_exactly_the_points_it_concerns():
    theta = np.array([[[1.0, 0, math.nan], [0, 1, 0]], [[1.0, 0, 0], [0, 1, 0]]])
    grid = attn_ref.affine_grid(theta, (2, 1, 3, 4), align_corners=False)
    assert np.isnan(grid[0, ..., 0]).all()
    assert np.isfinite(grid[0, ..., 1]).all()
    assert np.isfinite(grid[1]).all()


SINGULAR = {
    "zero": [[0.0, 0, 1], [0, 0, 1]],
    "equal rows": [[1.0, 2, 0], [1, 2, 9]],
    "multiple rows": [[0.1, 0.3, 0], [0.3, 0.9, 0]],
    "large": [[1e200, 2e200, 0], [1e200, 2e200, 0]],
    "3-D": [[1.0, 2, 3, 0], [4, 5, 6, 0], [7, 8, 9, 0]],
}


@pytest.mark.parametrize("theta", SINGULAR.values(), ids=SINGULAR.keys())
@pytest.mark.parametrize("name", [name for name in CALLS if name.startswith("affine_inverse")])
def test_E6_a_singular_theta_is_refused_with_batch_element_and_determinant(name, theta):
    d = len(theta)
    good = np.eye(d, d + 1)
    batch = np.stack([good, np.array(theta), good])
    arrays = {argument: np.ones_like(batch) for argument in CALLS[name].arrays} | {"theta": batch}
    with pytest.raises(ValueError, match=r"theta is singular in batch element 1: its determinant is \S+"):
        CALLS[name](**arrays)


def test_E6_small_and_large_scales_are_not_singular():
    for scale in (1e-150, 1e-300, 1e150, 1e300):
        theta = np.array([[[scale, 0, 0], [0, scale, 0]]])
        np.testing.assert_allclose(attn_ref.affine_inverse(theta)[0, :, :2], np.eye(2) / scale, rtol=1e-15)
