"""Candidates that are wrong in known ways are named; others are described."""

import numpy as np
import pytest

import attn_ref
from attn_ref.registry import OPERATIONS
from attn_ref.verify import verify
from attn_ref.verify.diagnosis import diagnose
from attn_ref.verify.failures import Failure
from attn_ref.verify.mistakes import MISTAKES

from .judged import (
    activation_cases,
    excitation_cases,
    failures,
    grid_cases,
    inverse_cases,
    outcomes,
    sampler_cases,
)

SAMPLE = OPERATIONS["grid_sample"]
CASES = {
    "grid_sample": sampler_cases,
    "affine_grid": grid_cases,
    "affine_inverse": inverse_cases,
    "squeeze_excitation": excitation_cases,
}


def diagnosed(operation, cases, forward=None, backward=None):
    found = list(outcomes(cases, forward, backward))
    wrong = failures(found)
    assert wrong
    return diagnose(operation, wrong, found, seconds=60)


def sampling(**changed):
    """The reference called with other options, as forward and as backward."""

    def forward(inputs, options):
        return SAMPLE.forward(inputs, {**options, **{k: f(options) for k, f in changed.items()}})

    def backward(dy, inputs, options):
        return SAMPLE.backward(dy, inputs, {**options, **{k: f(options) for k, f in changed.items()}})

    return forward, backward


FLIPPED = sampling(align_corners=lambda options: not options["align_corners"])


def test_nothing_wrong_nothing_to_say():
    found = list(outcomes(sampler_cases(dtypes=("float32",), modes=("bilinear",))))
    assert failures(found) == []
    assert diagnose("grid_sample", [], found) == []


def test_an_unknown_operation_is_an_error_that_lists_those_there_are():
    with pytest.raises(ValueError, match="operation='grid_sampel'"):
        diagnose("grid_sampel", [])


def test_a_mistake_made_everywhere():
    first = diagnosed("grid_sample", sampler_cases(), *FLIPPED)[0]
    assert first.name == "align_corners flipped"
    assert first.certain
    assert first.explained == first.failures > 20
    assert "(S − 1)" in first.mend


def test_a_mistake_in_the_backward_pass_alone():
    first = diagnosed("grid_sample", sampler_cases(), None, FLIPPED[1])[0]
    assert first.name == "align_corners flipped, in the backward pass alone"
    assert first.mistakes[0].specification("forward") == first.mistakes[0].model.right


def test_a_mistake_in_the_forward_pass_alone():
    assert (
        diagnosed("grid_sample", sampler_cases(), FLIPPED[0])[0].name
        == "align_corners flipped, in the forward pass alone"
    )


def test_a_mistake_under_a_condition():
    """Flipped in 3-D alone."""

    def only_3d(f):
        return lambda *a: f(*a) if a[-2][1].shape[-1] == 3 else getattr(SAMPLE, f.__name__)(*a)

    cases = sampler_cases(axes=(2, 3), modes=("bilinear",), paddings=("zeros", "border"))
    assert diagnosed("grid_sample", cases, *map(only_3d, FLIPPED))[0].name == "align_corners flipped, with 3-D alone"


def test_two_mistakes_at_once():
    """x and y exchanged, and border computed as reflection."""
    lost = sampling(padding_mode=lambda o: {"border": "reflection"}.get(o["padding_mode"], o["padding_mode"]))

    def forward(inputs, options):
        return lost[0]((inputs[0], inputs[1][..., ::-1]), options)

    def backward(dy, inputs, options):
        of_input, of_grid = lost[1](dy, (inputs[0], inputs[1][..., ::-1]), options)
        return of_input, of_grid[..., ::-1]

    first = diagnosed("grid_sample", sampler_cases(modes=("bilinear",)), forward, backward)[0]
    assert first.name == "x and y exchanged; and border read as reflection"
    assert first.certain
    assert len(first.mistakes) == 2


def test_one_mistake_in_each_pass():
    def backward(dy, inputs, options):
        of_input, of_grid = SAMPLE.backward(dy, inputs, options)
        return of_input, -of_grid

    first = diagnosed("grid_sample", sampler_cases(modes=("bilinear",)), FLIPPED[0], backward)[0]
    assert (
        first.name
        == "align_corners flipped, in the forward pass alone; and grid gradient negated, in the backward pass alone"
    )


SHOW_IN_OTHER_CASES = {
    "base grid in float32",
    "pooled in float16",
    "act″ missing",
    "jvp without the image's part",
    "activation is silu",
}


@pytest.mark.parametrize(
    "mistake",
    [m for name in ("affine_grid", "affine_inverse", "squeeze_excitation") for m in MISTAKES[name]][::3],
    ids=lambda m: f"{m.operation}-{m.name}",
)
def test_each_mistake_of_the_catalogue_is_among_what_explains_it(mistake):
    """Where these cases show it at all."""
    functions = mistake.functions
    operation = OPERATIONS[mistake.operation]
    made = type(operation)(**{**vars(operation), "functions": functions})
    found = list(outcomes(CASES[mistake.operation](), made.forward, made.backward))
    assert (not failures(found)) == (mistake.name in SHOW_IN_OTHER_CASES)
    if mistake.name in SHOW_IN_OTHER_CASES:
        return
    names = [one.name.partition(", in the ")[0] for one in diagnose(mistake.operation, failures(found), found)]
    specification = [m.changes for m in MISTAKES[mistake.operation] if m.name in names]
    assert mistake.name in names or len(specification) == 5, names


# ---------------------------------------------------------------------------------------------------------------------
# What is in no catalogue


def described(operation, cases, forward=None, backward=None):
    found = diagnosed(operation, cases, forward, backward)
    assert [one.mistakes for one in found if one.certain] == []
    unknown = next(one for one in found if one.name == "not in the catalogue")
    return unknown.sentence


def grid_gradient(change):
    def backward(dy, inputs, options):
        of_input, of_grid = SAMPLE.backward(dy, inputs, options)
        return of_input, change(of_grid.copy(), inputs, options)

    return backward


def test_a_constant_factor_along_one_axis():
    told = described(
        "grid_sample", sampler_cases(), None, grid_gradient(lambda g, *_: g * np.array([1.97, 1], g.dtype))
    )
    assert "Right: forward, gradient of input. Wrong: gradient of grid." in told
    assert "gradient of grid is off by a factor, 1.97." in told
    assert "gradient of grid is wrong along x alone." in told


def test_a_factor_that_is_a_size():
    told = described(
        "grid_sample", sampler_cases(), None, grid_gradient(lambda g, i, _: g * g.dtype.type(i[0].shape[3]))
    )
    assert "off by a factor" in told


def test_points_outside():
    def forward(inputs, options):
        y, out = SAMPLE.forward(inputs, options), (np.abs(inputs[1]) > 1.3).any(axis=-1)
        return np.where(out[:, None], y + 1, y).astype(y.dtype)

    told = described("grid_sample", sampler_cases(modes=("bilinear",)), forward)
    assert "The output is wrong only outside the image." in told
    assert "The output is off by a constant, 1." in told


def test_samples_after_the_first():
    def forward(inputs, options):
        y = SAMPLE.forward(inputs, options)
        y[1:] = y[1:] ** 2 + 1
        return y

    assert "right in the first sample and wrong in others" in described("grid_sample", sampler_cases(), forward)


def test_channels_after_the_first():
    def forward(inputs, options):
        y = SAMPLE.forward(inputs, options)
        y[:, 1:] = np.tanh(y[:, 1:]) - 3
        return y

    assert "right in the first channel and wrong in others" in described("grid_sample", sampler_cases(), forward)


def test_one_dtype_and_one_option():
    def forward(inputs, options):
        y = SAMPLE.forward(inputs, options)
        odd = y.dtype == np.float32 and options["padding_mode"] == "border"
        return np.exp(y) if odd else y

    told = described("grid_sample", sampler_cases(), forward)
    assert "Wrong only with float32 and padding_mode='border'." in told


def test_the_right_numbers_in_other_places():
    def forward(inputs, options):
        return np.flip(SAMPLE.forward(inputs, options), axis=-1).copy()

    assert "The output is in reverse along axis 3" in described("grid_sample", sampler_cases(), forward)


def test_where_nothing_regular_is_seen_it_says_how_far_off_it_is():
    def forward(inputs, options):
        return SAMPLE.forward((inputs[0], (inputs[1] * 0.9).astype(inputs[1].dtype)), options)

    told = described("grid_sample", sampler_cases(modes=("bilinear",)), forward)
    assert "Right: gradient of grid, gradient of input. Wrong: forward." in told
    assert "of its largest one, in no regular way." in told


def test_zeros_and_nans():
    zeros = described("affine_grid", grid_cases(), lambda i, o: OPERATIONS["affine_grid"].forward(i, o) * 0)
    assert "The output is 0 everywhere" in zeros
    nans = described("affine_grid", grid_cases(), lambda i, o: OPERATIONS["affine_grid"].forward(i, o) * np.nan)
    assert "The output is NaN wherever it is wrong" in nans


def test_coarse_arithmetic_is_told_by_its_size():
    def forward(inputs, options):
        return np.round(OPERATIONS["affine_inverse"].forward(inputs, options), 3)

    assert "is nearly right: off by at most" in described("affine_inverse", inverse_cases(), forward)


def test_failures_without_a_result_are_told_by_their_kind():
    (one,) = activation_cases("relu")
    failure = Failure(one, "raises", "forward", None, "KeyError: 'relu'")
    (told,) = diagnose("activation", [failure])
    assert told.name == "not in the catalogue"
    assert "an exception, first KeyError: 'relu'" in told.sentence


def test_an_operation_without_a_catalogue_is_described():
    operation = OPERATIONS["linear"]
    rng = np.random.default_rng(0)
    from .judged import case

    cases = [case("linear", tuple(rng.standard_normal(s) for s in ((2, 3), (4, 3), (4,))), {}, "float64")]
    told = diagnosed("linear", cases, lambda i, o: 2 * operation.forward(i, o))
    assert [one.name for one in told] == ["not in the catalogue"]
    assert "The output is off by a factor, 2." in told[0].sentence


def test_as_text():
    text = str(diagnosed("grid_sample", sampler_cases(modes=("bilinear",)), *FLIPPED)[0])
    assert text.splitlines()[0].startswith("align_corners flipped (explains ")
    assert "To mend it: True: p = " in text
    assert attn_ref.__version__


def test_a_candidate_that_returns_nothing_in_some_cases_is_not_said_to_be_wrong_in_others():
    def forward(x, name):
        if len(x) > 1:
            raise RuntimeError("one row only")
        return attn_ref.get_activation(name)(x)

    report = verify("activation", forward, options={"name": ["relu"]}, examples=6)
    assert report.failures
    (told,) = report.diagnoses
    assert "RuntimeError: one row only" in told.sentence
    assert "only with ;" not in told.sentence


def test_alignment_flipped_in_the_backward_pass_alone_is_named_in_every_mode_and_padding():
    """Cubic reflection folds in the flipped period, too."""

    def forward(input, grid, *, mode, padding_mode, align_corners):
        options = {"mode": mode, "padding_mode": padding_mode, "align_corners": align_corners}
        return attn_ref.grid_sample(input, grid, **options)

    def backward(grad_output, input, grid, *, mode, padding_mode, align_corners):
        options = {"mode": mode, "padding_mode": padding_mode, "align_corners": not align_corners}
        return attn_ref.grid_sample_backward(grad_output, input, grid, **options)

    report = verify("grid_sample", forward, backward, options={"ndim": [2]}, examples=40)
    first = report.diagnoses[0]
    assert first.name == "align_corners flipped, in the backward pass alone"
    assert first.certain


def test_what_is_wrong_in_a_later_case_is_not_said_to_be_right():
    def forward(input, grid, *, mode, padding_mode, align_corners):
        options = {"mode": mode, "padding_mode": padding_mode, "align_corners": align_corners}
        return attn_ref.grid_sample(input, grid, **options)

    def backward(grad_output, input, grid, *, mode, padding_mode, align_corners):
        options = {"mode": mode, "padding_mode": padding_mode, "align_corners": align_corners}
        found = attn_ref.grid_sample_backward(grad_output, input, grid, **options)
        return found._replace(input=found.input * 1.37 + 0.01, grid=np.cbrt(found.grid) + 0.3)

    report = verify("grid_sample", forward, backward, options={"ndim": [2]}, examples=40)
    told = report.diagnoses[-1].sentence
    assert "Right: forward. Wrong: " in told
    assert "gradient of input" in told.partition("Wrong: ")[2].partition(".")[0]
