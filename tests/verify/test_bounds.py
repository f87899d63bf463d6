"""Bounds hold every right result, and next to nothing else."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attn_ref import exact
from attn_ref.gradcheck import strategies
from attn_ref.gradcheck.subject import Subject
from attn_ref.registry import OPERATIONS, Call
from attn_ref.verify.bounds import FORMATS, Interval, intervals

SAMPLER = OPERATIONS["grid_sample"]


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def arrays_of(subject, call):
    """A cotangent and tangents for a call."""
    y = subject.forward(call.inputs, call.options)
    return subject.random(1, y.shape), subject.tangents(2, call)


def call_of(operation, data, kind=None):
    kinds = ("smooth", "kinks", "exact") if kind is None else (kind,)
    variant = data.draw(st.sampled_from(operation.variants))
    return data.draw(getattr(strategies, operation.strategy)(data.draw(st.sampled_from(kinds)), variant))


def sampler_call(rng, shape, output, dtype="float32", reach=1.7, **options):
    image = rng.standard_normal(shape).astype(dtype)
    grid = rng.uniform(-reach, reach, (shape[0], *output, len(shape) - 2)).astype(dtype)
    return Call((image, grid), {"mode": "bilinear", "padding_mode": "zeros", "align_corners": False, **options})


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
@pytest.mark.parametrize("name", OPERATIONS)
@settings(max_examples=15)
@given(data=st.data())
def test_the_package_itself_is_right_and_chooses_what_the_specification_chose(name, dtype, data):
    subject = Subject(OPERATIONS[name], np.dtype(dtype))
    call = subject.cast(call_of(subject.operation, data))
    u, v = arrays_of(subject, call)
    for choices in (True, False):
        bounds = intervals(subject.operation, call, u, v, dtype=dtype, choices=choices)
        results = subject.results(call.inputs, u, v, call.options)
        assert set(bounds) == {(r.function, r.of) for r in results}
        for r in results:
            interval = bounds[r.function, r.of]
            assert interval.low.shape == r.array.shape
            assert interval.holds(r.array).all(), (r.what, choices, interval.excess(r.array).max())


@pytest.mark.parametrize("name", OPERATIONS)
@settings(max_examples=6)
@given(data=st.data())
def test_the_exact_result_is_inside(name, data):
    """In float32 with numbers that are not chosen for it; in float64 the exact result, rounded, too."""
    operation = OPERATIONS[name]
    subject = Subject(operation, np.dtype(np.float32))
    call = call_of(operation, data, "smooth")
    if name not in ("cross_entropy", "max_pool2d"):
        call = Call(tuple(x * np.pi / 3 if i == 0 else x for i, x in enumerate(call.inputs)), call.options)
    call = subject.cast(call)
    u, v = arrays_of(subject, call)
    bounds = intervals(operation, call, u, v, dtype="float32")
    for function, of, array in operation.twin.results(call.inputs, u, v, call.options):
        assert bounds[function, of].holds(exact.to_float(array)).all(), (function, of)


@pytest.mark.parametrize("options", [*itertools.product(("bilinear", "nearest", "bicubic"), ("zeros", "border"))])
def test_float32_is_right_at_4096_pixels(rng, options):
    mode, padding = options
    call = sampler_call(rng, (1, 2, 3, 4096), (5, 6), mode=mode, padding_mode=padding)
    subject = Subject(SAMPLER, np.dtype(np.float32))
    u, v = arrays_of(subject, call)
    bounds = intervals(SAMPLER, call, u, v, dtype="float32")
    for r in subject.results(call.inputs, u, v, call.options):
        assert bounds[r.function, r.of].holds(r.array).all(), r.what


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
def test_a_ten_thousandth_of_a_pixel_is_seen_at_three_pixels(rng, mode, padding):
    call = sampler_call(rng, (1, 2, 2, 3), (4, 5), reach=0.3, mode=mode, padding_mode=padding, align_corners=True)
    subject = Subject(SAMPLER, np.dtype(np.float32))
    u, v = arrays_of(subject, call)
    moved = (call.inputs[0], call.inputs[1] + np.float32(1e-4))
    bounds = intervals(SAMPLER, call, u, v, dtype="float32")
    seen = ~bounds["forward", None].holds(subject.forward(moved, call.options))
    assert seen.mean() > (0.9 if mode == "bicubic" else 1 - 1e-9)  # a cubic has level places
    for r in subject.results(moved, u, v, call.options):
        if (r.function, r.of, mode) != ("backward", "grid", "bilinear"):  # constant along its own axis
            assert not bounds[r.function, r.of].holds(r.array).all(), r.what


def at(pixels, size=4, **options):
    """Bounds and options of one row of pixels 1, 2, 4, 8 read at a pixel, without aligned corners."""
    image = 2.0 ** np.arange(size).reshape(1, 1, 1, size)
    grid = np.array([[[[(2 * pixels + 1) / size - 1, 0.0]]]])
    call = Call((image, grid), {"mode": "bilinear", "padding_mode": "zeros", "align_corners": False, **options})
    u, v = np.ones((1, 1, 1, 1)), (np.zeros_like(image), np.zeros_like(grid))
    return call, u, v


def ends(interval, place=(..., 0)):
    return [float(np.ravel(end[place])[0]) for end in interval]


def test_a_kink_allows_both_sides_and_the_specification_chose_one():
    call, u, v = at(1.0)
    broad, strict = (
        intervals(SAMPLER, call, u, v, dtype="float64", choices=choices)["backward", "grid"]
        for choices in (True, False)
    )
    np.testing.assert_allclose(ends(broad), [2 * (2 - 1), 2 * (4 - 2)], rtol=1e-12)
    np.testing.assert_allclose(ends(strict), [2 * (4 - 2)] * 2, rtol=1e-12)


def test_the_end_of_a_border_allows_both_sides_and_the_specification_chose_zero():
    call, u, v = at(0.0, padding_mode="border")
    broad, strict = (
        intervals(SAMPLER, call, u, v, dtype="float64", choices=choices)["backward", "grid"]
        for choices in (True, False)
    )
    np.testing.assert_allclose(ends(broad), [0, 2 * (2 - 1)], atol=1e-12)
    np.testing.assert_allclose(ends(strict), [0, 0], atol=1e-12)


def test_a_tie_allows_both_pixels_and_the_specification_chose_the_even_one():
    call, u, v = at(1.5, mode="nearest")
    broad, strict = (
        intervals(SAMPLER, call, u, v, dtype="float64", choices=choices)["forward", None] for choices in (True, False)
    )
    np.testing.assert_allclose(ends(broad), [2, 4])
    np.testing.assert_allclose(ends(strict), [4, 4])


@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
def test_nothing_is_demanded_of_a_nan_point_and_the_specification_chose_nan(rng, padding):
    call = sampler_call(rng, (2, 3, 4, 5), (2, 3), padding_mode=padding)
    call.inputs[1][1, 0, 2, 1] = np.nan
    subject = Subject(SAMPLER, np.dtype(np.float32))
    u, v = arrays_of(subject, call)
    broad, strict = (intervals(SAMPLER, call, u, v, choices=choices) for choices in (True, False))
    assert np.isinf(broad["forward", None].low[1, :, 0, 2]).all()
    assert np.isfinite(np.delete(broad["forward", None].low.reshape(2, 3, 6), 2, axis=2)).all()
    assert np.isinf(broad["backward", "input"].low[1]).all()
    assert np.isfinite(broad["backward", "input"].low[0]).all()
    assert np.isnan(strict["backward", "grid"].low[1, 0, 2]).all()
    for r in subject.results(call.inputs, u, v, call.options):
        assert broad[r.function, r.of].holds(r.array).all()
        assert strict[r.function, r.of].holds(r.array).all()


def test_a_pixel_that_no_tap_reads_must_not_show(rng):
    call = sampler_call(rng, (1, 2, 4, 5), (2, 3), reach=0.2)
    call.inputs[0][0, 0, 0, 0] = np.inf
    subject = Subject(SAMPLER, np.dtype(np.float32))
    u, v = arrays_of(subject, call)
    for interval in intervals(SAMPLER, call, u, v).values():
        assert np.isfinite(interval.low).all()


def test_half_formats_compute_in_float32_and_round_once(rng):
    call = sampler_call(rng, (1, 2, 3, 4096), (5, 6), dtype="float16", reach=0.9)
    subject = Subject(SAMPLER, np.dtype(np.float16))
    u, v = arrays_of(subject, call)
    y = subject.forward(call.inputs, call.options)
    once, native = (intervals(SAMPLER, call, u, v, dtype="float16", native=native) for native in (False, True))
    assert once["forward", None].holds(y).all()
    coordinates_in_half = (call.inputs[0], np.float16(1.004) * call.inputs[1])
    wrong = subject.forward(coordinates_in_half, call.options)
    assert not once["forward", None].holds(wrong).all()
    assert native["forward", None].holds(wrong).all()


def test_bfloat16_is_rounded_to_eight_bits(rng):
    call = sampler_call(rng, (1, 2, 3, 5), (4, 5), reach=0.9)
    bits = [(x.view(np.uint32) + 0x8000 & 0xFFFF0000).view(np.float32) for x in call.inputs]
    call = Call(tuple(bits), call.options)
    subject = Subject(SAMPLER, np.dtype(np.float32))
    u, v = arrays_of(subject, call)
    y = subject.forward(call.inputs, call.options)
    rounded = (y.view(np.uint32) + 0x8000 & 0xFFFF0000).view(np.float32)
    interval = intervals(SAMPLER, call, u, v, dtype="bfloat16")["forward", None]
    assert interval.holds(rounded).all()
    assert not interval.holds(y * np.float32(1.01)).all()


def test_an_interval_says_by_how_much_a_value_is_outside():
    interval = Interval(np.array([0.0, 0.0, -np.inf, np.nan]), np.array([2.0, 2.0, np.inf, np.nan]))
    assert interval.holds([1.0, 3.0, np.nan, np.nan]).tolist() == [True, False, True, True]
    assert interval.excess([1.0, 3.0, np.nan, 1.0]).tolist() == [0.0, 1.0, 0.0, np.inf]
    assert interval.excess([np.nan, 0, 0, np.nan]).tolist() == [np.inf, 0, 0, 0]


@pytest.mark.parametrize("name", FORMATS)
def test_beyond_the_largest_number_lies_infinity(name):
    call = Call((np.full((1, 1), 3e38),), {"name": "relu"})
    operation = OPERATIONS["activation"]
    interval = intervals(operation, call, np.ones((1, 1)), (np.ones((1, 1)),), dtype=name)["forward", None]
    overflows = FORMATS[name].overflow < 3e38
    assert bool(interval.holds(np.full((1, 1), np.inf)).all()) == overflows


def test_a_function_without_curvature_passes_rounding_on():
    """The identity has the slope 1: what its argument may be off, it is off."""
    from attn_ref.verify.formulas import curve_of
    from attn_ref.verify.ranges import Range

    x = Range(np.array([3.0]), np.array([0.25]), 2.0**-24)
    assert curve_of("identity").at(x).rad[0] >= 0.25
