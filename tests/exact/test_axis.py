"""Coordinates (C1-C3), padding (P1-P4) and weights (M1-M3) along one axis, against values worked out on paper."""

from fractions import Fraction as Fr

import pytest

from attn_ref.exact.axis import KERNELS, Rules, axis_taps, pad_coordinate, pixel_coordinate, polynomial_value

from .stencils import LEFT, RIGHT, derivative_at_zero


@pytest.mark.parametrize(
    ("g", "size", "aligned", "p", "slope"),
    [
        (-1, 5, True, 0, 2),
        (1, 5, True, 4, 2),
        (Fr(1, 2), 5, True, 3, 2),
        (-1, 4, False, Fr(-1, 2), 2),
        (1, 4, False, Fr(7, 2), 2),
        (0, 4, False, Fr(3, 2), 2),
        (0, 1, False, 0, Fr(1, 2)),
        (1, 1, False, Fr(1, 2), Fr(1, 2)),
        (-7, 1, True, 0, 0),
        (10**300, 1, True, 0, 0),
    ],
)
def test_pixel_coordinate_c1_c3(g, size, aligned, p, slope):
    assert pixel_coordinate(Fr(g), size, align_corners=aligned) == (p, slope)


@pytest.mark.parametrize(
    ("p", "q", "slope"),
    [(-2, 0, 0), (0, 0, 0), (Fr(1, 9), Fr(1, 9), 1), (Fr(8, 3), Fr(8, 3), 1), (3, 3, 0), (Fr(7, 2), 3, 0), (5, 3, 0)],
)
@pytest.mark.parametrize("aligned", [True, False])
def test_border_clips_and_is_flat_on_and_beyond_both_ends_p2(p, q, slope, aligned):
    assert pad_coordinate(Fr(p), 4, Rules("bilinear", "border", aligned)) == (q, slope)


@pytest.mark.parametrize(
    ("p", "q", "slope"),
    [
        # S = 4, folds about 0 and 3: ... 2 1 [0 1 2 3] 2 1 0 1 2 3 2 ...
        (Fr(1, 4), Fr(1, 4), 1),
        (Fr(-1, 4), Fr(1, 4), -1),
        (-2, 2, -1),
        (Fr(13, 4), Fr(11, 4), -1),
        (4, 2, -1),
        (5, 1, -1),
        (6, 0, 0),
        (Fr(25, 4), Fr(1, 4), 1),
        (8, 2, 1),
        (9, 3, 0),
        (Fr(-19, 4), Fr(5, 4), 1),
        (-3, 3, 0),
        (0, 0, 0),
        (3, 3, 0),
        (6 * 10**30 + 1, 1, 1),
        (-(6 * 10**30) - 1, 1, -1),
    ],
)
def test_reflection_aligned_folds_about_the_end_centres_p3(p, q, slope):
    assert pad_coordinate(Fr(p), 4, Rules("bilinear", "reflection", True)) == (q, slope)


@pytest.mark.parametrize(
    ("p", "q", "slope"),
    [
        # S = 3, folds about -1/2 and 5/2: ... 2 1 0 [0 1 2] 2 1 0 0 1 2 2 ...
        (Fr(1, 4), Fr(1, 4), 1),
        (Fr(-1, 4), 0, 0),
        (Fr(-1, 2), 0, 0),
        (Fr(-3, 4), 0, 0),
        (-1, 0, 0),
        (Fr(-5, 4), Fr(1, 4), -1),
        (-2, 1, -1),
        (Fr(5, 2), 2, 0),
        (3, 2, 0),
        (Fr(13, 4), Fr(7, 4), -1),
        (4, 1, -1),
        (6, 0, 0),
        (Fr(29, 4), Fr(5, 4), 1),
        (6 * 10**30 + 1, 1, 1),
    ],
)
def test_reflection_unaligned_folds_about_the_edges_then_clips_p3(p, q, slope):
    assert pad_coordinate(Fr(p), 3, Rules("bilinear", "reflection", False)) == (q, slope)


@pytest.mark.parametrize("aligned", [True, False])
@pytest.mark.parametrize("padding", ["border", "reflection"])
@pytest.mark.parametrize("p", [-3, Fr(-1, 2), 0, Fr(1, 4), Fr(1, 2), 7])
def test_one_pixel_leaves_nowhere_to_go(p, padding, aligned):
    assert pad_coordinate(Fr(p), 1, Rules("bilinear", padding, aligned)) == (0, 0)


def keys_kernel(s, a=Fr(-3, 4)):
    """Keys' kernel as published, on the distance from the tap."""
    s = abs(s)
    if s <= 1:
        return (a + 2) * s**3 - (a + 3) * s**2 + 1
    return a * s**3 - 5 * a * s**2 + 8 * a * s - 4 * a if s < 2 else Fr(0)


@pytest.mark.parametrize("t", [Fr(k, 8) for k in range(8)])
def test_cubic_taps_are_keys_kernel_m3(t):
    for offset, coefficients in KERNELS["bicubic"].polynomials.items():
        assert polynomial_value(coefficients, t, 0) == keys_kernel(t - offset)


def test_cubic_weights_at_a_quarter_by_hand():
    rules = Rules("bicubic", "zeros", True)  # S = 9: p = 4 (g + 1)
    weights = {tap.pixel: tap.weight for tap in axis_taps(Fr(1, 16), 9, 0, rules)}
    assert weights == {3: Fr(-27, 256), 4: Fr(225, 256), 5: Fr(67, 256), 6: Fr(-9, 256)}


@pytest.mark.parametrize("mode", KERNELS)
@pytest.mark.parametrize("t", [Fr(0), Fr(1, 3), Fr(7, 8)])
def test_weights_sum_to_one_and_their_derivatives_to_zero(mode, t):
    for order, total in [(0, 1), (1, 0), (2, 0)]:
        assert sum(polynomial_value(c, t, order) for c in KERNELS[mode].polynomials.values()) == total


@pytest.mark.parametrize(
    ("p", "pixel"), [(Fr(-1, 2), 0), (Fr(1, 2), 0), (Fr(3, 2), 2), (Fr(5, 2), 2), (Fr(7, 2), 4), (Fr(9, 4), 2)]
)
def test_nearest_takes_the_even_one_of_two_m2(p, pixel):
    assert axis_taps(p / 2 - 1, 5, 0, Rules("nearest", "zeros", True)) == [(pixel, 1)]
    assert axis_taps(p / 2 - 1, 5, 1, Rules("nearest", "zeros", True)) == [(pixel, 0)]


@pytest.mark.parametrize(
    ("padding", "aligned", "p", "pixel"),
    [
        ("zeros", True, Fr(9, 2), 4),  # 4.5 goes to 4, which is inside; 4.75 to 5, which is not
        ("zeros", True, Fr(19, 4), None),
        ("border", True, Fr(19, 4), 4),
        ("reflection", True, Fr(-3, 2), 2),  # folded to 1.5 first
        ("reflection", False, Fr(-3, 2), 0),  # folded to 0.5 first
        ("reflection", False, Fr(-5, 2), 2),  # folded to 1.5 first
    ],
)
def test_nearest_pads_before_it_rounds_m2(padding, aligned, p, pixel):
    g = p / 2 - 1 if aligned else (2 * p + 1) / 5 - 1
    taps = axis_taps(g, 5, 0, Rules("nearest", padding, aligned))
    assert taps == ([] if pixel is None else [(pixel, 1)])


def test_cubic_pads_the_index_of_each_tap_p4():
    g = Fr(-1)  # p = 0 if aligned: taps -1, 0, 1, 2; p = -1/2 if not: taps -2, -1, 0, 1
    indices = {
        (padding, aligned): [tap.pixel for tap in axis_taps(g, 4, 0, Rules("bicubic", padding, aligned))]
        for padding in ("zeros", "border", "reflection")
        for aligned in (True, False)
    }
    assert indices == {
        ("zeros", True): [0, 1, 2],
        ("border", True): [0, 0, 1, 2],
        ("reflection", True): [1, 0, 1, 2],
        ("zeros", False): [0, 1],
        ("border", False): [0, 0, 0, 1],
        ("reflection", False): [1, 0, 0, 1],
    }


@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
@pytest.mark.parametrize("aligned", [True, False])
def test_cubic_derivatives_do_not_see_the_padding_of_the_coordinate_p4(padding, aligned):
    g = Fr(53, 16)  # far outside
    for order in (1, 2):
        taps = axis_taps(g, 4, order, Rules("bicubic", padding, aligned))
        slope = Fr(3, 2) if aligned else Fr(2)
        t = pixel_coordinate(g, 4, align_corners=aligned).value % 1
        expected = [slope**order * polynomial_value(c, t, order) for c in KERNELS["bicubic"].polynomials.values()]
        assert [tap.weight for tap in taps] == (expected if padding != "zeros" else [])


@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
def test_cubic_first_derivative_is_continuous_and_the_second_is_from_the_right_m3(padding):
    values = [Fr(3), Fr(-1), Fr(4), Fr(2), Fr(-5)]
    rules = Rules("bicubic", padding, True)  # S = 5: p = 2 (g + 1)

    def read(g, order=0):
        return sum(tap.weight * values[tap.pixel] for tap in axis_taps(g, 5, order, rules))

    jumps = 0
    for p in range(-3, 9):
        g = Fr(p, 2) - 1
        right, left = ([derivative_at_zero(lambda h, g=g: read(g + h), 3, k, s) for k in (1, 2)] for s in (RIGHT, LEFT))
        assert read(g, 1) == right[0] == left[0]
        assert read(g, 2) == right[1]
        jumps += right[1] != left[1]
    assert jumps > 3
