"""The catalogue: its models are the operations, and each mistake is one, another than all others."""

import inspect
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attn_ref.gradcheck import strategies
from attn_ref.gradcheck.strategies import signed
from attn_ref.registry import OPERATIONS
from attn_ref.verify.bounds import FUNCTIONS
from attn_ref.verify.mistakes import MISTAKES, Point

from .points import POINTS, results

ALL = [mistake for mistakes in MISTAKES.values() for mistake in mistakes]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("kind", ["smooth", "kinks", "exact"])
@pytest.mark.parametrize("name", MISTAKES)
@settings(max_examples=12)
@given(data=st.data())
def test_the_right_specification_holds_what_the_reference_returns(name, kind, dtype, data):
    operation = OPERATIONS[name]
    call = data.draw(getattr(strategies, operation.strategy)(kind, data.draw(st.sampled_from(operation.variants))))
    rng = np.random.default_rng(data.draw(st.integers(0, 2**16)))
    inputs = tuple(x.astype(dtype) for x in call.inputs)
    dy = signed(rng, operation.forward(inputs, call.options).shape).astype(dtype)
    tangents = tuple(signed(rng, x.shape).astype(dtype) for x in inputs)
    wide = [[x.astype(np.float64) for x in arrays] for arrays in (inputs, tangents)]
    point = Point(tuple(wide[0]), call.options, dtype, dy.astype(np.float64), tuple(wide[1]), data.draw(st.booleans()))
    model = MISTAKES[name][0].model
    absent = call.options.get("absent", ())
    for function, of, got in operation.results(inputs, dy, tangents, call.options):
        found = model.evaluate(model.right, function, point)
        if of in absent or (name == "affine_inverse" and function == "double_backward" and of is not None):
            assert of not in found
        else:
            assert found[of].holds(got).all(), (function, of)


@pytest.mark.parametrize("name", MISTAKES)
def test_every_mistake_shows_and_no_two_are_the_same(name):
    """On a handful of points; sharp ones, since some show at a tie alone."""
    mistakes, points = MISTAKES[name], POINTS[name]
    right = results(mistakes[0].model.right, mistakes[0].model, points)
    seen = {}
    for mistake in mistakes:
        made = results(mistake.specification("forward"), mistake.model, points)
        shows = made != right
        assert shows, f"{mistake.name} does not show"
        again = seen.get(made)
        assert again is None, f"{mistake.name} is the same as {again}"
        seen[made] = mistake.name


@pytest.mark.parametrize("mistake", ALL, ids=lambda m: f"{m.operation}-{m.name}")
def test_each_says_what_is_wrong_and_what_to_change(mistake):
    assert mistake.name == mistake.name.strip(" .")
    assert mistake.sentence.endswith(".")
    assert mistake.mend.endswith(".")
    assert re.fullmatch(r"(\d+(: .+)?)?", mistake.museum)


def test_names_are_unique_in_an_operation():
    for mistakes in MISTAKES.values():
        names = [mistake.name for mistake in mistakes]
        assert len(set(names)) == len(names)


def test_the_whole_museum_is_covered():
    """Its number 6 is a grid's own, and no mistake of an operation."""
    numbers = {int(mistake.museum.partition(":")[0]) for mistake in ALL if mistake.museum}
    assert numbers == set(range(1, 23)) - {6}


@pytest.mark.parametrize("name", MISTAKES)
def test_functions_are_called_like_the_reference_and_return_what_it_returns(name):
    """The right specification, as functions."""
    operation, model = OPERATIONS[name], MISTAKES[name][0].model
    from attn_ref.verify.mistakes.recipe import functions_of

    mine = functions_of(model, lambda _: model.right)
    for point in POINTS[name][:2]:
        if not all(np.isfinite(x).all() for x in point.inputs):
            continue
        twin = {function: getattr(mine, function) for function in FUNCTIONS}
        import dataclasses

        other = dataclasses.replace(operation, functions=dataclasses.replace(operation.functions, **twin))
        if name == "affine_inverse":  # has no double backward here
            other = dataclasses.replace(other, functions=dataclasses.replace(other.functions, double_backward=None))
        arguments = (point.inputs, point.grad_output, point.tangents, point.options)
        theirs = {(f, of): x for f, of, x in operation.results(*arguments)}
        for function, of, got in other.results(*arguments):
            expected = theirs[function, of]
            assert got.dtype == expected.dtype
            np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-9)


def test_a_mistake_in_one_function_alone_leaves_the_others_right():
    flipped = next(m for m in MISTAKES["grid_sample"] if m.name == "align_corners flipped")
    alone = flipped.alone_in(["backward"])
    assert alone.specification("forward") == flipped.model.right
    assert alone.specification("backward") == flipped.specification("backward") != flipped.model.right


def test_functions_of_a_mistake_have_the_options_of_the_reference():
    mistake = MISTAKES["grid_sample"][0]
    x, g = POINTS["grid_sample"][0].inputs
    options = POINTS["grid_sample"][0].options
    swapped = OPERATIONS["grid_sample"].forward((x, g[..., ::-1]), options)
    np.testing.assert_allclose(mistake.functions.forward(x, g, **options), swapped, atol=1e-12, equal_nan=True)
    assert inspect.signature(mistake.functions.forward)
