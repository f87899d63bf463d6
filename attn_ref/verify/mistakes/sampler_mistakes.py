"""The mistakes of samplers, by name: what is wrong, what to change, where it was seen."""

from __future__ import annotations

from collections.abc import Iterator

from attn_ref.ops.interpolation import keys
from attn_ref.verify.mistakes.recipe import Mistake, Row, of_rows
from attn_ref.verify.mistakes.sampler import SAMPLER

__all__ = ["SAMPLER_MISTAKES"]

_B_SPLINE = (
    (1 / 6, -1 / 2, 1 / 2, -1 / 6),
    (2 / 3, 0.0, -1.0, 1 / 2),
    (1 / 6, 1 / 2, 1 / 2, -1 / 2),
    (0.0, 0.0, 0.0, 1 / 6),
)

_COORDINATES: tuple[Row, ...] = (
    (
        "x and y exchanged",
        {"order": "y first"},
        "The last axis of the grid is read as (y, x), or (z, y, x); or the image is transposed: x indexes H.",
        "Read x from entry 0, along the image's width: grid[..., 0] indexes W.",
        "1: many ports, meshgrid indexing",
    ),
    (
        "x and y exchanged, z kept",
        {"order": "x and y exchanged"},
        "The first two coordinates of the grid are read in the other order.",
        "Read x from entry 0, y from entry 1, z from entry 2.",
        "1: ports to 3-D",
    ),
    (
        "sizes of the axes exchanged",
        {"sizes_exchanged": True},
        "x is scaled by the height and y by the width.",
        "Scale x by W and y by H.",
        "1",
    ),
    ("x mirrored", {"mirrored": (0,)}, "The sign of x is turned.", "Let −1 be the left edge.", ""),
    ("y mirrored", {"mirrored": (1,)}, "The sign of y is turned.", "Let −1 be the top edge, not the bottom.", ""),
    (
        "align_corners flipped",
        {"pixel_map": "flipped", "fold": "about the other edge"},
        "align_corners means the opposite.",
        "True: p = (g + 1)/2·(S − 1). False: p = ((g + 1)·S − 1)/2.",
        "2: conversions",
    ),
    (
        "align_corners ignored, always True",
        {"pixel_map": "always AC1", "fold": "about the centres"},
        "Pixels are (g + 1)/2·(S − 1) whatever align_corners says.",
        "With align_corners=False use p = ((g + 1)·S − 1)/2.",
        "2: older releases",
    ),
    (
        "align_corners ignored, always False",
        {"pixel_map": "always AC0", "fold": "about the edges"},
        "Pixels are ((g + 1)·S − 1)/2 whatever align_corners says.",
        "With align_corners=True use p = (g + 1)/2·(S − 1).",
        "2: conversions",
    ),
    (
        "align_corners flipped in the pixel map alone",
        {"pixel_map": "flipped"},
        "The pixel map is that of the other alignment; reflection folds as asked.",
        "True: p = (g + 1)/2·(S − 1). False: p = ((g + 1)·S − 1)/2.",
        "2",
    ),
    (
        "pixel map always aligned",
        {"pixel_map": "always AC1"},
        "Pixels are (g + 1)/2·(S − 1) whatever align_corners says; reflection folds as asked.",
        "With align_corners=False use p = ((g + 1)·S − 1)/2.",
        "2",
    ),
    (
        "pixel map never aligned",
        {"pixel_map": "always AC0"},
        "Pixels are ((g + 1)·S − 1)/2 whatever align_corners says; reflection folds as asked.",
        "With align_corners=True use p = (g + 1)/2·(S − 1).",
        "2",
    ),
    (
        "half a pixel missing",
        {"pixel_map": "HALF for AC0"},
        "Without align_corners pixels are (g + 1)·S/2: the ½ is not subtracted.",
        "Use p = ((g + 1)·S − 1)/2: the centre of the first pixel is 0, its edge −½.",
        "",
    ),
    (
        "pixels (g + 1)S/2",
        {"pixel_map": "HALF"},
        "Pixels are (g + 1)·S/2 whatever align_corners says.",
        "Use the two maps of align_corners.",
        "3: RMPE's Caffe",
    ),
    (
        "half a pixel subtracted with aligned corners",
        {"pixel_map": "½ subtracted from AC1"},
        "The ½ of align_corners=False is subtracted with True as well.",
        "With align_corners=True use p = (g + 1)/2·(S − 1).",
        "",
    ),
    (
        "half a pixel added",
        {"pixel_map": "½ added in AC0"},
        "Without align_corners the ½ is added.",
        "Use p = ((g + 1)·S − 1)/2.",
        "",
    ),
    (
        "half a pixel subtracted twice",
        {"pixel_map": "½ subtracted twice"},
        "Without align_corners pixels are off by half a pixel to the left.",
        "Use p = ((g + 1)·S − 1)/2.",
        "",
    ),
    (
        "pixels (S − 2)/2, corners clipped before the weights",
        {"pixel_map": "S-2", "within": "[0, S − 1)"},
        "Pixels are (g + 1)·(S − 2)/2, and a point outside reads nothing at once.",
        "Use p = (g + 1)/2·(S − 1), and form the weights before the taps are clipped.",
        "3: kevinzakka/spatial-transformer-network",
    ),
    (
        "pixels (S − 2)/2",
        {"pixel_map": "S-2"},
        "Pixels are (g + 1)·(S − 2)/2: the last pixel is never reached.",
        "Use p = (g + 1)/2·(S − 1).",
        "3",
    ),
    ("grid taken for pixels", {"pixel_map": "pixels"}, "The grid is read as pixels.", "Normalise: −1 … 1.", ""),
    ("grid taken for [0, 1]", {"pixel_map": "from [0, 1]"}, "The grid is read as 0 … 1.", "Normalise: −1 … 1.", ""),
    (
        "coordinates in float32",
        {"precision": "float32"},
        "Coordinates are computed in float32, whatever the image is.",
        "Compute coordinates in the type of the grid.",
        "13: ONNX reference evaluator",
    ),
    (
        "computed in float32",
        {"precision": "float32", "arithmetic": "float32"},
        "All is computed in float32, whatever is given.",
        "Compute in the type of the inputs.",
        "13",
    ),
    (
        "coordinates in float16",
        {"precision": "float16"},
        "Coordinates are computed in float16, in which pixels beyond 1024 have no fraction.",
        "Compute coordinates in float32.",
        "13",
    ),
    (
        "computed in float16",
        {"precision": "float16", "arithmetic": "float16"},
        "All is computed in float16.",
        "Compute in float32 and round once.",
        "13",
    ),
    (
        "cast to integer before the range test",
        {"far": "cast"},
        "A coordinate is cast to an integer before it is compared with the image: NaN becomes some number.",
        "Test the range on the floating-point coordinate, then cast.",
        "14: ONNX Runtime #27975, PyTorch #35202",
    ),
    (
        "cast to integer before the range test, saturating",
        {"far": "saturated"},
        "A coordinate is cast to an integer before it is compared with the image: NaN becomes 0.",
        "Test the range on the floating-point coordinate, then cast.",
        "14: GPUs",
    ),
    (
        "coordinate wrapped to 32 bits",
        {"far": "wrapped"},
        "A coordinate beyond 2³¹ is taken modulo 2³².",
        "Test the range on the floating-point coordinate, then cast.",
        "14",
    ),
    ("NaN reads the first pixel", {"nan_reads": "first"}, "NaN is taken for 0.", "Return NaN there.", "14"),
    ("NaN reads nothing", {"nan_reads": "nothing"}, "NaN lies outside.", "Return NaN there.", "14"),
    (
        "the first sample's image for all",
        {"image_of": "first"},
        "Every sample reads the image of the first: the batch index is forgotten.",
        "Read sample n with point n.",
        "",
    ),
    ("the first sample's grid for all", {"grid_of": "first"}, "One grid is used for all.", "Use grid[n].", ""),
    ("the first channel for all", {"channel_of": "first"}, "All channels read the first.", "Read channel c for c.", ""),
    ("channels in reverse", {"channel_of": "reversed"}, "Channels come in reverse.", "Keep their order.", ""),
    (
        "memory read in the other layout",
        {"other_layout": True},
        "Images are read as channels first where they are channels last, or the reverse, without transposing.",
        "Transpose before calling the kernel of the other layout.",
        "5: fxia22/stn.pytorch, CUDA backward",
    ),
)

_PADDING: tuple[Row, ...] = (
    (
        "border as a clamped grid with zeros",
        {"clamped": ("border",)},
        "border is emulated by clamping the grid to [−1, 1] and padding with zeros.",
        "Clip the pixel coordinate to [0, S − 1]: without align_corners ±1 lies half a pixel outside.",
        "7: emulations",
    ),
    (
        "reflection about the wrong edge",
        {"fold": "about the other edge"},
        "Reflection folds about {0, S − 1} where {−½, S − ½} is asked, and the reverse.",
        "Fold about the centres of the end pixels with align_corners, about their outer edges without.",
        "",
    ),
    (
        "reflection about the wrong edge, after the right period",
        {"fold": "about the other edge, in its own period"},
        "A coordinate is reduced by the period of align_corners, and folded about the edges of the other.",
        "Fold about the centres of the end pixels with align_corners, about their outer edges without.",
        "",
    ),
    (
        "reflection always about the centres",
        {"fold": "about the centres"},
        "Reflection folds about {0, S − 1} whatever align_corners says.",
        "Without align_corners fold about {−½, S − ½}.",
        "",
    ),
    (
        "reflection always about the edges",
        {"fold": "about the edges"},
        "Reflection folds about {−½, S − ½} whatever align_corners says.",
        "With align_corners fold about {0, S − 1}.",
        "",
    ),
    (
        "reflection folds once",
        {"fold": "once"},
        "A coordinate is reflected once and then clipped.",
        "Reduce it by the period 2(S − 1), or 2S, first.",
        "",
    ),
    (
        "reflection wraps round",
        {"fold": "wrapped"},
        "Reflection is periodic: a point beyond the right edge reads from the left.",
        "Fold: every other period runs backwards.",
        "",
    ),
    (
        "point outside reads nothing",
        {"within": "[0, S − 1]"},
        "A point outside [0, S − 1] is 0 at once.",
        "Leave out tap by tap: values fade over one pixel.",
        "3: scipy.ndimage's mode constant",
    ),
    (
        "point off the last cell reads nothing",
        {"within": "[0, S − 1)"},
        "A point outside [0, S − 1) is 0 at once.",
        "Leave out tap by tap: values fade over one pixel.",
        "3: kevinzakka/spatial-transformer-network",
    ),
    (
        "point beyond ±1 reads nothing",
        {"within": "g in [−1, 1]"},
        "A point whose grid coordinate lies outside [−1, 1] is 0 at once.",
        "Leave out tap by tap.",
        "3",
    ),
    (
        "outside taps multiplied by 0",
        {"masked": "times 0"},
        "A tap outside reads the edge pixel and is multiplied by 0: inf · 0 is NaN.",
        "Select with where.",
        "15: PyTorch #194787",
    ),
    (
        "padding's gradient not zeroed",
        {"slope": "1"},
        "The derivative of border or reflection is 1 everywhere.",
        "Multiply by 0 where the coordinate is clipped, by −1 on odd folds.",
        "8: PyTorch #23925",
    ),
    (
        "padding's gradient kept at both ends",
        {"slope": "kept at both ends"},
        "Exactly at the ends of the image the derivative is that inside.",
        "It is 0 on both ends.",
        "8: PyTorch #23925",
    ),
    (
        "padding's gradient kept at the low end",
        {"slope": "kept at the low end"},
        "Exactly at the low end of the image the derivative is that inside.",
        "It is 0 on both ends.",
        "8",
    ),
    (
        "padding's gradient kept at the high end",
        {"slope": "kept at the high end"},
        "Exactly at the high end of the image the derivative is that inside.",
        "It is 0 on both ends.",
        "8",
    ),
    (
        "sign of the reflected gradient lost",
        {"slope": "sign lost"},
        "The derivative of reflection is +1 on every fold.",
        "Turn its sign on odd folds.",
        "8",
    ),
    (
        "sign of the padding's gradient turned",
        {"slope": "sign turned"},
        "The derivative of border or reflection has the wrong sign.",
        "It is +1 inside, −1 on odd folds.",
        "8",
    ),
    (
        "reflected gradient zeroed",
        {"slope": "0 beyond the edge"},
        "The derivative of reflection is 0 outside the image.",
        "It is −1 on odd folds, +1 on even ones.",
        "8",
    ),
    (
        "padding's gradient gated by ±1",
        {"slope": "1 between −1 and 1"},
        "The derivative is kept where |g| < 1, not where the pixel is inside.",
        "Compare the pixel coordinate with 0 and S − 1.",
        "8",
    ),
    (
        "padding's gradient zeroed on the wrong side",
        {"slope": "0 between −1 and 1"},
        "The derivative is 0 inside and 1 outside.",
        "It is 0 where the coordinate is clipped.",
        "8: PyTorch #23925",
    ),
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
    *_COORDINATES,
    *_PADDING,
    *_INTERPOLATION,
    *_confusions("modes", "mode", ("bilinear", "nearest", "bicubic"), {("bilinear", "nearest"): "12: TensorRT #4646"}),
    *_confusions("paddings", "padding", ("zeros", "border", "reflection"), {}),
    *_GRADIENTS,
)

SAMPLER_MISTAKES: tuple[Mistake, ...] = of_rows(SAMPLER, _ROWS)
"""Of grid_sample, the likelier first within each group."""
