"""The mistakes of samplers, by name: those of weights, words and gradients, and all together."""

from __future__ import annotations

from collections.abc import Iterator

from attn_ref.ops.interpolation import keys
from attn_ref.verify.mistakes.reading_mistakes import COORDINATES, OUTSIDE
from attn_ref.verify.mistakes.recipe import Mistake, Row, of_rows
from attn_ref.verify.mistakes.sampler import SAMPLER

__all__ = ["SAMPLER_MISTAKES"]

_B_SPLINE = (
    (1 / 6, -1 / 2, 1 / 2, -1 / 6),
    (2 / 3, 0.0, -1.0, 1 / 2),
    (1 / 6, 1 / 2, 1 / 2, -1 / 2),
    (0.0, 0.0, 0.0, 1 / 6),
)

_INTERPOLATION: tuple[Row, ...] = (
    (
        "cubic with A = −0.5",
        {"kernel": keys(-0.5)},
        "Cubic uses Keys' own A = −½ (Catmull-Rom).",
        "Use A = −¾.",
        "10: conversions",
    ),
    ("cubic with A = −1", {"kernel": keys(-1.0)}, "Cubic uses A = −1.", "Use A = −¾.", "10"),
    ("cubic with A = 0", {"kernel": keys(0.0)}, "Cubic uses A = 0 (Hermite).", "Use A = −¾.", "10"),
    (
        "cubic B-spline, not prefiltered",
        {"kernel": _B_SPLINE},
        "Cubic uses the B-spline's weights, which blur.",
        "Use Keys' kernel with A = −¾.",
        "10",
    ),
    (
        "cubic pads the point, not the taps",
        {"pads_point": True},
        "Cubic folds or clips the point and then takes its four taps.",
        "Pad the index of each tap; differentiate the coordinate as it is.",
        "10",
    ),
    (
        "cubic pads the point before its taps",
        {"pads_both": True},
        "Cubic folds or clips the point, then takes its four taps, and pads those too.",
        "Pad the index of each tap alone; differentiate the coordinate as it is.",
        "10: ONNX Runtime #10607, old ONNX reference",
    ),
    (
        "nearest rounds half away from zero",
        {"rounding": "half away from zero"},
        "Ties go away from zero, as C's round does.",
        "Round half to even (rint, nearbyint).",
        "11",
    ),
    ("nearest rounds half up", {"rounding": "half up"}, "Ties go up: floor(p + ½).", "Round half to even.", "11"),
    ("nearest rounds half down", {"rounding": "half down"}, "Ties go down.", "Round half to even.", "11"),
    ("nearest takes the floor", {"rounding": "floor"}, "Nearest takes the floor.", "Round to the nearest.", "11"),
    ("nearest truncates", {"rounding": "trunc"}, "Nearest truncates towards 0.", "Round to the nearest.", "11"),
    ("nearest takes the ceiling", {"rounding": "ceil"}, "Nearest takes the ceiling.", "Round to the nearest.", "11"),
    (
        "nearest rounds before padding",
        {"rounds_first": True},
        "Nearest rounds the coordinate and then pads the index.",
        "Pad the coordinate, then round.",
        "11: PyTorch #97000",
    ),
    (
        "cell by truncation, not floor",
        {"cell": "trunc"},
        "The cell of a negative coordinate is found by a cast, which truncates towards 0.",
        "Use floor before the cast.",
        "14",
    ),
    (
        "cell by rounding, not floor",
        {"cell": "even"},
        "The cell is the nearest pixel, so that t is negative in half of all points.",
        "Use floor.",
        "",
    ),
    (
        "linear weights exchanged",
        {"weights_exchanged": True},
        "The left tap is weighed by t, the right one by 1 − t.",
        "The left tap has the weight 1 − t.",
        "",
    ),
)

_GRADIENTS: tuple[Row, ...] = (
    (
        "scale missing from the grid gradient",
        {"scale": "missing"},
        "The grid's gradient is per pixel: the factor S/2 or (S − 1)/2 is missing.",
        "Multiply by dp/dg: (S − 1)/2 with align_corners, S/2 without.",
        "9",
    ),
    (
        "scales S/2 and (S − 1)/2 exchanged",
        {"scale": "of the other alignment"},
        "The grid's gradient has the scale of the other alignment.",
        "Multiply by (S − 1)/2 with align_corners, by S/2 without.",
        "9",
    ),
    ("scale not halved", {"scale": "not halved"}, "The grid's gradient is twice as large.", "dp/dg is S/2.", "9"),
    ("scale inverted", {"scale": "inverted"}, "The grid's gradient is divided by dp/dg.", "Multiply by it.", "9"),
    ("scale applied twice", {"scale": "squared"}, "dp/dg is there twice.", "Multiply once.", "9"),
    (
        "components of the grid gradient exchanged",
        {"components_exchanged": True},
        "The grid's gradient is returned as (y, x).",
        "Return the derivative with respect to x first.",
        "1",
    ),
    ("grid gradient negated", {"grid_factor": "−1"}, "Its sign is turned.", "The right tap counts positive.", ""),
    ("grid gradient missing", {"grid_factor": "0"}, "It is 0.", "Differentiate the weights.", ""),
    ("grid gradient averaged over channels", {"grid_factor": "1/C"}, "A mean.", "Sum over channels.", "22"),
    ("grid gradient averaged over the batch", {"grid_factor": "1/N"}, "It is divided by N.", "Do not divide.", "22"),
    ("grid gradient accumulated twice", {"grid_factor": "2"}, "It is twice as large.", "Add it once.", "22"),
    ("grid gradient halved", {"grid_factor": "½"}, "It is half as large.", "Do not halve.", "22"),
    (
        "scatter by assignment",
        {"scatter": "assign"},
        "Where two points read one pixel, one contribution is lost: g[index] += v.",
        "Add repeated indices up: np.add.at, bincount, atomics.",
        "16",
    ),
    (
        "scatter by one assignment",
        {"scatter": "assign at once"},
        "Of all taps that read one pixel only the last counts.",
        "Add repeated indices up: np.add.at, bincount, atomics.",
        "16",
    ),
    ("image gradient averaged over the batch", {"input_factor": "1/N"}, "It is divided by N.", "Do not.", "22"),
    ("image gradient accumulated twice", {"input_factor": "2"}, "It is twice as large.", "Add it once.", "22"),
    ("image gradient averaged over points", {"input_factor": "1/points"}, "A mean.", "Sum over points.", "22"),
    ("image gradient negated", {"input_factor": "−1"}, "Its sign is turned.", "Keep the sign.", ""),
    ("image gradient missing", {"input_factor": "0"}, "It is 0.", "Scatter the cotangent with the weights.", ""),
    (
        "gradients averaged over the batch",
        {"input_factor": "1/N", "grid_factor": "1/N"},
        "Both gradients are divided by N.",
        "Do not divide: a backward pass is linear in the cotangent.",
        "22",
    ),
    (
        "gradients accumulated twice",
        {"input_factor": "2", "grid_factor": "2"},
        "Both gradients are twice as large.",
        "Zero the accumulator first, or add once.",
        "22",
    ),
    (
        "gradients of the mean",
        {"input_factor": "1/elements", "grid_factor": "1/elements"},
        "Both gradients are those of the mean of the output.",
        "Pull the cotangent back as it is.",
        "22",
    ),
    (
        "cotangent ignored",
        {"cotangent": "ones"},
        "The gradients are those of the sum of the output: the cotangent is taken for ones.",
        "Multiply by grad_output.",
        "22",
    ),
    ("jvp without the grid's part", {"grid_part": False}, "The grid's tangent is ignored.", "Add Σ_a ġ_a S_a X.", ""),
    ("jvp without the image's part", {"input_part": False}, "The image's tangent is ignored.", "Add S Ẋ.", ""),
    (
        "second derivative along one axis missing",
        {"bent": False},
        "The second derivative of the weights along one axis is 0.",
        "Cubic has one: differentiate the weights twice.",
        "",
    ),
)


def _confusions(field: str, kind: str, words: tuple[str, ...], museum: dict[tuple[str, str], str]) -> Iterator[Row]:
    """One word taken for another; two words exchanged; one word for all."""
    for one in words:
        for other in words:
            if one != other:
                yield (
                    f"{one} read as {other}",
                    {field: ((one, other),)},
                    f"{one} is computed as {other}.",
                    f"Look at how the {kind} is passed on: names or enumerators are lost.",
                    museum.get((one, other), "12"),
                )
    for i, one in enumerate(words):
        for other in words[i + 1 :]:
            yield (
                f"{one} and {other} exchanged",
                {field: ((one, other), (other, one))},
                f"{one} is computed as {other} and the reverse.",
                f"Compare the enumerators of the {kind} on both sides.",
                "12",
            )
    for one in words:
        yield (
            f"{kind} ignored, always {one}",
            {field: tuple((other, one) for other in words if other != one)},
            f"Whatever is asked, {one} is computed.",
            f"Pass the {kind} on.",
            "12",
        )


_ROWS: tuple[Row, ...] = (
    *COORDINATES,
    *OUTSIDE,
    *_INTERPOLATION,
    *_confusions("modes", "mode", ("bilinear", "nearest", "bicubic"), {("bilinear", "nearest"): "12: TensorRT #4646"}),
    *_confusions("paddings", "padding", ("zeros", "border", "reflection"), {}),
    *_GRADIENTS,
)

SAMPLER_MISTAKES: tuple[Mistake, ...] = of_rows(SAMPLER, _ROWS)
"""Of grid_sample, the likelier first within each group."""
