"""The table of cases, and the arrays made for them."""

import numpy as np
import pytest

from attn_ref.bench.cases import CASES, GROUPS, chosen
from attn_ref.bench.problems import PROBLEMS, build
from attn_ref.ops.coordinates import to_pixels

from .tiny import TINY, tiny


def test_every_group_has_cases_and_some_of_them_are_quick():
    assert {case.group for case in CASES} == set(GROUPS)
    assert {case.group for case in CASES if case.quick} == set(GROUPS)
    assert len({(case.group, case.name) for case in CASES}) == len(CASES)
    assert list(dict.fromkeys(case.group for case in CASES)) == list(GROUPS)


def test_groups_hold_what_they_say():
    assert all(case.shape[1] >= 16 for case in chosen(["features"]))
    assert all(case.shape[1] <= 3 for case in chosen(["images"]))
    assert {case.options["mode"] for case in chosen(["bicubic"])} == {"bicubic"}
    assert {case.options["mode"] for case in chosen(["nearest"])} == {"nearest"}
    assert {len(case.shape) for case in chosen(["volumes"])} == {5}
    growth = [case.values for case in chosen(["growth"])]
    np.testing.assert_allclose(growth, [1e5, 1e6, 1e7, 1e8], rtol=2e-3)


def test_cases_are_chosen_by_group_and_speed():
    assert chosen() == list(CASES)
    assert {case.group for case in chosen(["se", "affine"])} == {"se", "affine"}
    assert chosen(["se"], quick=True) == [case for case in CASES if case.group == "se" and case.quick]


def test_an_unknown_group_is_named_with_the_near_miss():
    with pytest.raises(ValueError, match=r"unknown group 'feature': expected one of features, .* did you mean 'featu"):
        chosen(["feature"])


def test_a_name_says_shape_output_size_and_dtype():
    (case,) = chosen(["gradcheck"])
    assert case.name == "2×3×5×6 at 4×3 float64"
    assert case.values == 2 * 3 * 4 * 3


@pytest.mark.parametrize("kind", PROBLEMS)
def test_the_seed_makes_the_arrays(kind):
    case = next(case for case in TINY if case.kind == kind)
    first, again, other = build(case, 5), build(case, 5), build(case, 6)
    assert first.keys() == again.keys()
    for name, array in first.items():
        assert array.dtype == case.dtype or array.dtype.kind == "i"
        assert array.flags.c_contiguous
        np.testing.assert_array_equal(array, again[name])
    assert any((first[name] != other[name]).any() for name in first)


@pytest.mark.parametrize("group", ["features", "volumes", "operator"])
def test_points_keep_off_the_kinks(group):
    """Nowhere near a whole or half pixel; some are beyond the edge, unless the contender cannot have that."""
    case = tiny(chosen([group])[0])
    grid = build(case, 0)["grid"].astype(np.float64)
    beyond = np.zeros(grid.shape[:-1], bool)
    for a, extent in enumerate(case.shape[:1:-1]):
        pixels = to_pixels(np, grid[..., a], extent, False)
        halves = 2 * pixels
        assert (np.abs(halves - np.rint(halves)) > 0.09).all()
        beyond |= (pixels < 0) | (pixels > extent - 1)
    assert beyond.any() == (group != "operator")
