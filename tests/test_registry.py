import inspect

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import attn_ref
from attn_ref.gradcheck import strategies
from attn_ref.gradcheck.subject import Subject
from attn_ref.ops.activations import ACTIVATIONS
from attn_ref.registry import OPERATIONS

LOOKED_UP = {"activation", "glu"}  # by get_activation
ADAPTED = {"batch_norm", "cross_entropy"}  # they take arrays that are not differentiated, from among the options
PUBLIC = [operation for name, operation in OPERATIONS.items() if name not in LOOKED_UP | ADAPTED]


@pytest.mark.parametrize("operation", PUBLIC, ids=lambda operation: operation.name)
def test_the_functions_are_the_public_ones_and_take_the_inputs_by_name(operation):
    kinds = ("forward", "backward", "jvp", "double_backward")
    suffixes = ("", "_backward", "_jvp", "_double_backward")
    for kind, suffix in zip(kinds, suffixes, strict=True):
        assert getattr(operation.functions, kind) is getattr(attn_ref, operation.name + suffix, None)
    names = list(inspect.signature(operation.functions.forward).parameters)
    assert tuple(names[: len(operation.inputs)]) == operation.inputs


def test_every_forward_function_of_the_package_is_registered():
    stems = {name.removesuffix("_backward") for name in attn_ref.__all__ if name.endswith("_backward")}
    assert {stem for stem in stems if not stem.endswith("_double")} == set(OPERATIONS) - LOOKED_UP


def test_every_activation_is_registered():
    names = {variant["name"] for variant in OPERATIONS["activation"].variants} | {"glu"}
    assert names == set(ACTIVATIONS)


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=lambda operation: operation.name)
@given(data=st.data())
def test_terms_bound_the_results(operation, data):
    """The bounds of the checks stand on these: no result may be larger than the sum of its terms."""
    calls = getattr(strategies, operation.strategy)
    kind = data.draw(st.sampled_from(["exact", "smooth"]))
    call = data.draw(calls(kind, data.draw(st.sampled_from(operation.variants))))
    terms = operation.terms(call)
    slack = 1 + 1e-12
    output = operation.forward(call.inputs, call.options)
    assert np.abs(output).max() <= terms.value * slack
    subject = Subject(operation, np.dtype(np.float64))
    v, w = ([t / 2 for t in subject.tangents(seed, call)] for seed in (2, 3))  # at most 1
    u = subject.random(1, output.shape)
    change = sum(abs((a * b).sum()) for a, b in zip(v, operation.backward(u, call.inputs, call.options), strict=True))
    assert change <= terms.first * np.abs(u).sum() * slack
    if operation.has_jvp:
        assert np.abs(operation.jvp(call.inputs, v, call.options)).max() <= terms.first * slack
    if not operation.has_double_backward:
        return
    second = operation.double_backward(v, u, call.inputs, call.options)[1:]
    change = sum(abs((a * b).sum()) for a, b in zip(w, second, strict=False))
    assert change <= terms.second * np.abs(u).sum() * slack


def test_every_variant_is_distinct_and_complete():
    sample = OPERATIONS["grid_sample"].variants
    assert len({tuple(variant.items()) for variant in sample}) == len(sample) == 2 * 3 * 3 * 2
