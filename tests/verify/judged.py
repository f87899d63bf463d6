"""Outcomes of a candidate on a few cases, judged by the bounds: what diagnosing takes, without a whole verification."""

import itertools

import numpy as np

from attn_ref.registry import OPERATIONS, Call
from attn_ref.verify.bounds import intervals
from attn_ref.verify.failures import Case, Failure, Outcome


def sampler_cases(
    *,
    dtypes=("float64", "float32"),
    axes=(2,),
    paddings=("zeros", "border", "reflection"),
    modes=("bilinear", "nearest", "bicubic"),
    batch=2,
):
    """A case for each choice of options, points inside and outside."""
    rng = np.random.default_rng(0)
    for dtype, d, mode, padding, aligned in itertools.product(dtypes, axes, modes, paddings, (True, False)):
        space, out = ((4, 7), (3, 5)) if d == 2 else ((3, 5, 4), (2, 3, 1))
        image, grid = rng.standard_normal((batch, 3, *space)), rng.uniform(-2.2, 2.2, (batch, *out, d))
        options = {"mode": mode, "padding_mode": padding, "align_corners": aligned, "channels_last": False}
        yield case("grid_sample", (image, grid), options, dtype)


def excitation_cases(dtypes=("float64",)):
    rng = np.random.default_rng(1)
    for dtype, gate, absent in itertools.product(dtypes, ("sigmoid", "hard_sigmoid"), ((), ("reduce_bias",))):
        shapes = ((2, 6, 3, 4), (3, 6), (6, 3), (3,), (6,))
        arrays = tuple(rng.standard_normal(shape) for shape in shapes)
        options = {"activation": "silu", "gate": gate, "absent": absent, "channels_last": False}
        yield case("squeeze_excitation", arrays, options, dtype)


def grid_cases(dtypes=("float64",)):
    rng = np.random.default_rng(2)
    for dtype, space, aligned in itertools.product(dtypes, ((3, 5), (2, 3, 4)), (True, False)):
        d = len(space)
        yield case(
            "affine_grid",
            (rng.standard_normal((2, d, d + 1)),),
            {"size": (2, 1, *space), "align_corners": aligned},
            dtype,
        )


def inverse_cases(dtypes=("float64",)):
    rng = np.random.default_rng(3)
    for dtype, d in itertools.product(dtypes, (2, 3)):
        yield case("affine_inverse", (rng.standard_normal((2, d, d + 1)) + 2 * np.eye(d, d + 1),), {}, dtype)


def activation_cases(name):
    x = np.linspace(-4.1, 4.3, 21).reshape(3, 7)
    yield case("activation", (x,), {"name": name}, "float64")


def case(operation, inputs, options, dtype):
    rng = np.random.default_rng(len(options))
    inputs = tuple(x.astype(dtype) for x in inputs)
    y = OPERATIONS[operation].forward(inputs, options)
    tangents = tuple(rng.standard_normal(x.shape).astype(dtype) for x in inputs)
    return Case(operation, Call(inputs, options), rng.standard_normal(y.shape).astype(dtype), tangents, dtype)


def outcomes(cases, forward=None, backward=None):
    """What a candidate returns: ``forward(inputs, options)``, ``backward(grad_output, inputs, options)``."""
    for one in cases:
        operation = OPERATIONS[one.operation]
        inputs, options = one.call
        results = {("forward", None): (forward or operation.forward)(inputs, options)}
        cotangents = (backward or operation.backward)(one.grad_output, inputs, options)
        absent = options.get("absent", ())
        results |= {
            ("backward", name): x for name, x in zip(operation.inputs, cotangents, strict=True) if name not in absent
        }
        bounds = intervals(operation, one.call, one.grad_output, one.tangents, dtype=one.dtype)
        failures = tuple(
            Failure(one, "value", *key, "wrong", got, bounds[key])
            for key, got in results.items()
            if not bounds[key].holds(got).all()
        )
        yield Outcome(one, results, failures)


def failures(found):
    return [failure for outcome in found for failure in outcome.failures]
