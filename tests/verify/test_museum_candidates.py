"""The bug museum as candidates: each mistake, made by somebody else than the catalogue, is found and named first.

Most are the museum's own patches, planted in a candidate for as long as it runs; the others are plain code. The numbers
are those of the kinds of mistakes that the catalogue gives as ``museum``.
"""

import numpy as np
import pytest
from scipy.special import expit

import attn_ref
from attn_ref.gradcheck import check_gradients
from attn_ref.verify import verify

from ..museum.attention import ATTENTION_BUGS
from ..museum.bugs import BUGS
from .test_museum import planted as planted_functions

PATCHES = {bug.plant.__name__: bug for bug in (*BUGS, *ATTENTION_BUGS)}
SAMPLER = {"ndim": [2], "channels_last": [False]}
LINEAR = {**SAMPLER, "mode": ["bilinear"]}
ZEROS = {**LINEAR, "padding_mode": ["zeros"]}
BORDER, REFLECTION = ({**LINEAR, "padding_mode": [word]} for word in ("border", "reflection"))
NEAREST, CUBIC = ({**SAMPLER, "mode": [word]} for word in ("nearest", "bicubic"))
EXCITATION = {"ndim": [2], "channels_last": [False]}


def planted(bug):
    """Forward and backward with a patch of the museum."""
    functions = planted_functions(bug)
    return functions["forward"], functions["backward"]


def named(operation, forward, backward, options, **more):
    """The report of a verification and the name that it gives first."""
    report = verify(operation, forward, backward, options=options, examples=6, isolate=False, **more)
    assert report.diagnoses, str(report)
    return report, report.diagnoses[0].name


# By the name of the patch: number, options to narrow the sweep to, and the name that comes first.
NAMED = {
    "swapped_meshgrid": (1, {"ndim": [2]}, "x and y exchanged in the base grid"),
    "flipped_alignment": (2, LINEAR, "align_corners flipped"),
    "flipped_alignment_in_backward": (2, LINEAR, "align_corners flipped, in the backward pass alone"),
    "flipped_alignment_in_base_grid": (2, {}, "align_corners flipped in the base grid"),
    "half_open_base_grid": (4, {}, "half-open base grid −1 + 2i/S"),
    "one_pixel_at_minus_one": (4, {}, "one pixel at −1"),
    "channels_last_kernel_on_channels_first": (
        5,
        {"ndim": [2], "mode": ["bilinear"], "padding_mode": ["zeros"]},
        "memory read in the other layout, in the backward pass alone, with channels_last=False alone",
    ),
    "border_as_clamped_grid": (
        7,
        {**BORDER, "padding_mode": ["zeros", "border"]},
        "border as a clamped grid with zeros",
    ),
    "border_gradient_not_zeroed": (8, BORDER, "padding's gradient not zeroed"),
    "border_gradient_kept_at_the_ends": (8, BORDER, "padding's gradient kept at both ends"),
    "reflection_sign_lost": (8, REFLECTION, "sign of the reflected gradient lost"),
    "reflection_about_the_wrong_edge": (8, REFLECTION, "reflection about the wrong edge, after the right period"),
    "scale_missing": (9, ZEROS, "scale missing from the grid gradient"),
    "scale_exchanged": (9, ZEROS, "scales S/2 and (S − 1)/2 exchanged"),
    "cubic_coefficient_half": (10, CUBIC, "cubic with A = −0.5"),
    "nearest_half_away_from_zero": (11, NEAREST, "nearest rounds half away from zero"),
    "nearest_rounds_before_padding": (11, NEAREST, "nearest rounds before padding"),
    "linear_read_as_nearest": (12, {**SAMPLER, "mode": ["bilinear", "nearest"]}, "bilinear read as nearest"),
    "coordinates_in_float32": (13, ZEROS, "coordinates in float32"),
    "cast_before_range_test": (14, ZEROS, "cast to integer before the range test, saturating"),
    "masked_by_multiplication": (15, ZEROS, "outside taps multiplied by 0"),
    "inverse_transposed": (17, {}, "gradient: A G A for −Aᵀ G Aᵀ"),
    "inverse_without_determinant": (17, {}, "gradient: 1/det² missing"),
    "inverse_without_shift": (17, {}, "gradient: the shift's part missing"),
    "squeezed_by_sum": (18, EXCITATION, "squeezed by the sum"),
    "squeezed_by_max": (18, EXCITATION, "squeezed by the maximum"),
    "mean_over_the_batch": (18, EXCITATION, "mean over the batch too"),
    "gate_before_the_expansion": (18, EXCITATION, "gate before the expansion"),
    "path_through_the_mean_missing": (19, EXCITATION, "no path through the mean"),
    "pixels_not_divided_by": (19, EXCITATION, "1/(H·W) missing"),
    "gate_prime_of_the_gate": (19, EXCITATION, "gate′ of the gate"),
    "reduce_bias_dropped": (20, EXCITATION, "reduce bias dropped"),
    "hard_sigmoid_of_onnx": (20, {**EXCITATION, "gate": ["hard_sigmoid"]}, "hard sigmoid 0.2x + ½ for x/6 + ½"),
    "gradient_of_the_weights_exchanged": (20, EXCITATION, "gradients of W₁ and W₂ exchanged"),
    "averaged_over_batch": (22, ZEROS, "image gradient averaged over the batch"),
    "accumulated_twice": (22, ZEROS, "image gradient accumulated twice"),
    "sum_over_ones": (22, ZEROS, "cotangent ignored"),
    "weights_averaged_over_batch": (22, EXCITATION, "gradient of W₁ averaged over the batch"),
    "weights_accumulated_twice": (22, EXCITATION, "gradient of W₂ accumulated twice"),
    "gelu_by_tanh": (20, {"name": ["gelu"]}, "gelu by tanh"),
    "silu_slope_is_the_gate": (19, {"name": ["silu"]}, "slope is the gate"),
}
FORWARD_ALONE = {  # their backward pass is neither that of the mistake nor the right one
    "squeezed_by_sum",
    "squeezed_by_max",
    "mean_over_the_batch",
    "gate_before_the_expansion",
    "reduce_bias_dropped",
}
MUST_FAIL = set(NAMED) - {
    "one_pixel_at_minus_one",  # right implementations differ on these
    "border_gradient_kept_at_the_ends",
    "nearest_half_away_from_zero",
    "nearest_rounds_before_padding",
    "cast_before_range_test",
    "masked_by_multiplication",
}


@pytest.mark.parametrize("plant", NAMED)
def test_a_patch_of_the_museum_is_named_first(plant):
    number, options, name = NAMED[plant]
    bug = PATCHES[plant]
    forward, backward = planted(bug)
    report, first = named(bug.operation, forward, None if plant in FORWARD_ALONE else backward, options)
    assert first == name, str(report)
    assert report.diagnoses[0].certain
    assert bool(report.failures) or plant not in MUST_FAIL
    museum = report.diagnoses[0].mistakes[0].museum
    assert not museum or number == int(museum.partition(":")[0])


def test_a_mistake_is_named_though_its_backward_pass_is_neither_its_own_nor_right():
    _, first = named("squeeze_excitation", *planted(PATCHES["squeezed_by_sum"]), EXCITATION)
    assert first.partition(",")[0] == "squeezed by the sum"


def test_nearly_all_numbers_are_named():
    """3, 16 and 21 are plain code, 6 is no operation's."""
    assert {number for number, _, _ in NAMED.values()} >= set(range(1, 23)) - {3, 6, 16, 21}


# ---------------------------------------------------------------------------------------------------------------------
# Plain code


def kevinzakka(input, grid, *, align_corners):
    """As stn/transformer.py has it: (S − 2)/2, and corners clipped before the weights are formed."""
    N, C, H, W = input.shape
    x, y = ((grid[..., a].astype(np.float64) + 1) * (S - 2) / 2 for a, S in ((0, W), (1, H)))
    with np.errstate(invalid="ignore"):
        x0, y0 = np.floor(np.clip(x, -1e6, 1e6)), np.floor(np.clip(y, -1e6, 1e6))
    x1, y1 = np.clip(x0 + 1, 0, W - 1), np.clip(y0 + 1, 0, H - 1)
    x0, y0 = np.clip(x0, 0, W - 1), np.clip(y0, 0, H - 1)
    output = np.zeros((N, C, *grid.shape[1:-1]), input.dtype)
    with np.errstate(invalid="ignore", over="ignore"):
        corners = [
            ((x1 - x) * (y1 - y), x0, y0), ((x1 - x) * (y - y0), x0, y1),
            ((x - x0) * (y1 - y), x1, y0), ((x - x0) * (y - y0), x1, y1),
        ]  # fmt: skip
        for n in range(N):
            for weight, i, j in corners:
                row, column = (np.nan_to_num(k[n]).astype(int) for k in (j, i))
                output[n] += (weight[n] * input[n][:, row, column]).astype(input.dtype)
    return output


def test_3_kevinzakkas_own_code():
    report, first = named("grid_sample", kevinzakka, None, {**ZEROS, "align_corners": [True]})
    assert first == "pixels (S − 2)/2, corners clipped before the weights", str(report)


def test_1_a_sampler_that_takes_y_first():
    def forward(input, grid, **options):
        return attn_ref.grid_sample(input, grid[..., ::-1], **options)

    def backward(dy, input, grid, **options):
        of_input, of_grid = attn_ref.grid_sample_backward(dy, input, grid[..., ::-1], **options)
        return of_input, of_grid[..., ::-1]

    assert named("grid_sample", forward, backward, ZEROS)[1] == "x and y exchanged"


def test_10_cubic_on_a_point_that_was_clipped():
    def forward(input, grid, *, align_corners):
        ends = np.array([1 if align_corners else 1 - 1 / size for size in input.shape[:1:-1]], grid.dtype)
        options = {"mode": "bicubic", "padding_mode": "border", "align_corners": align_corners}
        return attn_ref.grid_sample(input, np.clip(grid, -ends, ends), **options)

    report, first = named("grid_sample", forward, None, {**CUBIC, "padding_mode": ["border"]})
    assert first == "cubic pads the point before its taps", str(report)


def test_2_two_errors_that_cancel_are_seen_one_by_one():
    """The base grid flipped, for a sampler that is flipped too."""

    def grid(theta, size, *, align_corners):
        return attn_ref.affine_grid(theta, size, align_corners=not align_corners)

    assert named("affine_grid", grid, None, {})[1] == "align_corners flipped in the base grid"


def fancy(grad_output, input, grid, *, align_corners):
    """A bilinear backward pass whose gradient of the image is scattered by fancy indexing, corner by corner."""
    H, W = input.shape[2:]
    of_input = np.zeros_like(input)
    of_grid = attn_ref.grid_sample_backward(grad_output, input, grid, align_corners=align_corners).grid
    sizes = np.array([W, H])
    g = grid.astype(np.float64)
    p = (g + 1) / 2 * (sizes - 1) if align_corners else ((g + 1) * sizes - 1) / 2
    p = np.where(np.isfinite(p), np.clip(p, -9, 1e5), -9)
    cell = np.floor(p).astype(int)
    for n in range(len(input)):
        for corner in np.ndindex(2, 2):
            tap = cell[n] + corner
            weight = np.prod(1 - np.abs(p[n] - tap), axis=-1)
            weight = np.where(((tap >= 0) & (tap < sizes)).all(axis=-1) & np.isfinite(grid[n]).all(axis=-1), weight, 0)
            x, y = np.moveaxis(np.clip(tap, 0, sizes - 1), -1, 0)
            inside = weight != 0
            of_input[n][:, y[inside], x[inside]] += (weight * grad_output[n]).astype(input.dtype)[:, inside]
    return of_input, of_grid


def test_16_scatter_by_fancy_indexing():
    def forward(input, grid, *, align_corners):
        return attn_ref.grid_sample(input, grid, align_corners=align_corners)

    report, first = named("grid_sample", forward, fancy, ZEROS)
    assert first == "scatter by assignment, in the backward pass alone" or first == "scatter by assignment", str(report)


def excite(x, W1, W2, b1=None, b2=None, *, activation="relu", gate="sigmoid", pool, width):
    """A plain block for images (N, C, H, W), with its pooling and its width to choose."""
    act = attn_ref.get_activation(activation)
    R = width(len(W1), x.shape[1])
    h = pool(x) @ W1.T[:, :R] + (0 if b1 is None else b1[:R])
    u = act(h.astype(x.dtype)) @ W2.T[:R] + (0 if b2 is None else b2)
    s = expit(u) if gate == "sigmoid" else np.clip(u / 6 + 0.5, 0, 1)
    return (x * s[:, :, None, None]).astype(x.dtype)


def mean(x):
    return x.mean(axis=(2, 3), dtype=np.float64)


def own(R, C):
    return R


def block(pool=mean, width=own):
    def forward(input, reduce_weight, expand_weight, reduce_bias=None, expand_bias=None, *, activation, gate):
        return excite(
            input, reduce_weight, expand_weight, reduce_bias, expand_bias, activation=activation, gate=gate, pool=pool,
            width=width,
        )  # fmt: skip

    return forward


def test_a_plain_block_is_right():
    assert verify("squeeze_excitation", block(), options=EXCITATION, examples=6, isolate=False).passed


def test_20_a_width_of_another_rule():
    report, first = named("squeeze_excitation", block(width=lambda R, C: min(R, max(1, C // 4))), None, EXCITATION)
    assert first == "width of C // 4", str(report)


def test_20_the_two_weights_exchanged():
    def forward(input, reduce_weight, expand_weight, reduce_bias=None, expand_bias=None, *, activation, gate):
        biases = {"reduce_bias": reduce_bias, "expand_bias": expand_bias}
        return block()(input, expand_weight.T, reduce_weight.T, **biases, activation=activation, gate=gate)

    assert named("squeeze_excitation", forward, None, EXCITATION)[1] == "W₁ and W₂ exchanged"


def test_18_the_gate_added():
    def forward(input, *others, activation, gate):
        gates = block(pool=lambda _: mean(input))(np.ones_like(input), *others, activation=activation, gate=gate)
        return input + gates

    assert named("squeeze_excitation", forward, None, EXCITATION)[1] == "gate added, not multiplied"


def test_21_pooled_in_float16():
    """Images of 10 000, whose sums are beyond float16."""
    from attn_ref.verify.diagnosis import diagnose

    from .judged import case, failures, outcomes

    rng = np.random.default_rng(0)
    arrays = (
        1e4 + 100 * rng.random((2, 4, 3, 5)),
        *(rng.standard_normal(s) / 1e4 for s in ((3, 4), (4, 3), (3,), (4,))),
    )
    options = {"activation": "relu", "gate": "sigmoid", "absent": (), "channels_last": False}
    cases = [case("squeeze_excitation", arrays, options, dtype) for dtype in ("float64", "float32")]

    def pool(x):
        with np.errstate(over="ignore"):  # that is the mistake
            total = np.zeros(x.shape[:2], np.float16)
            for pixel in np.moveaxis(x.reshape(*x.shape[:2], -1), 2, 0):
                total = total + pixel.astype(np.float16)
        return total.astype(np.float64) / x[0, 0].size

    def forward(inputs, options):
        with np.errstate(invalid="ignore"):
            return excite(*inputs, pool=pool, width=own)

    found = list(outcomes(cases, forward))
    assert failures(found)
    assert (
        diagnose("squeeze_excitation", failures(found), found)[0].name == "pooled in float16, in the forward pass alone"
    )


def test_6_the_cylinder_grid_is_caught_by_check_gradients():
    """fxia22/stn.pytorch: −½ sin((1 + cos θ)/2) where the derivative of −cos θ is sin θ."""
    theta = np.array([[0.3, 1.2], [2.0, -0.7]])

    def wrong(dy, theta):
        return -dy / 2 * np.sin((1 + np.cos(theta)) / 2)

    assert not check_gradients(lambda theta: -np.cos(theta), wrong, [theta], batched=True).passed
