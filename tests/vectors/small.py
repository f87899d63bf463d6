"""A few problems of each kind, made quickly, and what the tests of this folder share."""

import numpy as np

from attn_ref.registry import OPERATIONS
from attn_ref.vectors import suite
from attn_ref.vectors.cases import problems
from attn_ref.vectors.expected import filled, given, name_of, options

KINDS = (
    "grid_sample-2d-bilinear-zeros-edges-",
    "grid_sample-2d-nearest-reflection-aligned-",
    "grid_sample-2d-bilinear-border-edges-",
    "affine_grid-2d-aligned-one-pixel",
    "affine_inverse-2d-",
    "squeeze_excitation-2d-relu-hard_sigmoid",
    "activation-hard_sigmoid",
    "glu-axis1",
    "-invalid-",
)
SOME = [problem for problem in problems() if any(kind in problem.name for kind in KINDS)]
VALID = [problem for problem in SOME if problem.tag != "invalid"]


def named(name):
    """The problem of that name."""
    (found,) = [problem for problem in problems() if problem.name == name]
    return found


def by_reference(problem, dtype):
    """What the package computes, by the names of a suite."""
    call, operation = given(problem, dtype), OPERATIONS[problem.operation]
    found = operation.results(filled(call.inputs), call.grad_output, filled(call.direction), options(problem))
    return {name_of(function, of): np.asarray(array) for function, of, array in found}


def write_small(folder, chosen=None):
    """Write a suite of a few problems and read it again."""
    suite.write(folder, suite.content(SOME if chosen is None else chosen))
    return suite.Suite.read(folder)
