"""The problems of the suite."""

import re
from pathlib import Path

import numpy as np
import pytest

from attn_ref.registry import OPERATIONS
from attn_ref.vectors.cases import problems
from attn_ref.vectors.expected import filled, options
from attn_ref.vectors.problem import FUNCTIONS, TAGS

PROBLEMS = problems()
SPEC = (Path(__file__).parents[2] / "docs" / "spec.md").read_text(encoding="utf-8")


def test_names_are_unique_and_fit_for_files():
    names = [f"{problem.name}-{dtype}" for problem in PROBLEMS for dtype in problem.dtypes]
    assert len(set(names)) == len(names) == len({name.lower() for name in names})
    assert all(re.fullmatch(r"[A-Za-z0-9_.+-]+", name) for name in names)


def test_rules_are_those_of_the_specification_and_most_are_met():
    rules = {rule.upper() for rule in re.findall(r"^\(([a-z]\d)\)=$", SPEC, re.MULTILINE)}
    named = {rule for problem in PROBLEMS for rule in problem.rules}
    assert named <= rules
    # What is left is not about numbers of one call: types of Python, memory, determinism, published tables.
    assert rules - named <= {"P4", "T3", "T4", "T5", "T6", "E2", "D1", "D2", "D3"}


@pytest.mark.parametrize(
    "name", ["grid_sample", "affine_grid", "affine_inverse", "squeeze_excitation", "activation", "glu"]
)
def test_every_variant_of_the_registry_is_there_in_single_precision_and_double(name):
    for variant in OPERATIONS[name].variants:
        asked = {key: value for key, value in variant.items() if key not in ("ndim", "absent")}
        for dtype in ("float64", "float32"):
            found = [
                problem
                for problem in PROBLEMS
                if problem.operation == name and dtype in problem.dtypes and problem.functions == FUNCTIONS
                if asked.items() <= problem.options.items() and problem.tag == "valid"
                if variant.get("ndim") in (None, _ndim(problem))
                if variant.get("absent", ()) == options(problem).get("absent", ())
            ]
            assert found, (variant, dtype)


def _ndim(problem):
    if "theta" in problem.inputs:
        return problem.inputs["theta"].shape[1]
    if "input" not in problem.inputs:
        return None
    return problem.inputs["input"].ndim - 2


def test_inputs_are_exact_in_every_dtype_of_their_problem():
    for problem in PROBLEMS:
        for name, x in problem.inputs.items():
            for dtype in problem.dtypes if problem.tag != "invalid" and x is not None else ():
                with np.errstate(over="raise"):
                    np.testing.assert_array_equal(x.astype(dtype).astype(np.float64), x, f"{problem.name}: {name}")


def test_tags_say_what_to_expect():
    for problem in PROBLEMS:
        assert problem.tag in TAGS
        assert (problem.refuses is not None) == (problem.tag == "invalid") == (problem.functions == ())


INVALID = [pytest.param(problem, id=problem.name) for problem in PROBLEMS if problem.tag == "invalid"]


@pytest.mark.parametrize("problem", INVALID)
def test_the_package_refuses_what_must_be_refused_and_names_it(problem):
    operation = OPERATIONS[problem.operation]
    left_out = {"absent": ("reduce_bias", "expand_bias")} if problem.operation == "squeeze_excitation" else {}
    inputs = dict(problem.inputs)
    for name in operation.inputs:
        if name not in inputs:
            inputs[name] = None
        elif left_out and name in left_out["absent"]:
            left_out = {"absent": tuple(other for other in left_out["absent"] if other != name)}
    with pytest.raises((ValueError, TypeError), match=problem.refuses):
        operation.forward(filled(inputs), {**problem.options, **left_out})
