"""The mistakes of affine grids and of their inverses, by name."""

from __future__ import annotations

from attn_ref.verify.mistakes.affine import AFFINE_GRID, AFFINE_INVERSE
from attn_ref.verify.mistakes.recipe import Mistake, Row, of_rows

__all__ = ["AFFINE_GRID_MISTAKES", "AFFINE_INVERSE_MISTAKES"]

_GRID: tuple[Row, ...] = (
    (
        "rows of theta exchanged",
        {"theta": "rows reversed"},
        "Row 0 of theta gives y, row 1 gives x: the grid is (y, x).",
        "Let row 0 give x, and the last axis of the grid be (x, y).",
        "1: stn.pytorch, stnbhwd",
    ),
    (
        "x and y exchanged in the base grid",
        {"base_reversed": True},
        "theta acts on (y, x, 1): the meshgrid's outputs are taken in the other order.",
        "Let theta act on (x, y, 1), x running along the width.",
        "1: meshgrid indexing",
    ),
    (
        "theta in (y, x) order",
        {"theta": "rows and columns reversed"},
        "theta acts on (y, x, 1) and gives (y, x).",
        "Swap its rows and its first two columns.",
        "1: stn.pytorch, stnbhwd, RMPE",
    ),
    (
        "meshgrid of the other indexing",
        {"points_reversed": True},
        "The points run along the height first: the meshgrid was made with the other indexing.",
        "Use indexing='ij' with (height, width), or 'xy' with (width, height).",
        "1: meshgrid indexing",
    ),
    (
        "sizes of the axes exchanged",
        {"sizes_exchanged": True},
        "x has as many steps as the output is high.",
        "size is (N, C, H, W): x runs over W.",
        "1",
    ),
    (
        "align_corners flipped in the base grid",
        {"base": "flipped"},
        "The base grid is that of the other alignment.",
        "True: −1 + 2i/(S − 1). False: (2i + 1)/S − 1.",
        "2",
    ),
    (
        "align_corners ignored, always True",
        {"base": "always corners"},
        "The base grid is −1 + 2i/(S − 1) whatever align_corners says.",
        "With align_corners=False use (2i + 1)/S − 1.",
        "2: older releases",
    ),
    (
        "align_corners ignored, always False",
        {"base": "always centres"},
        "The base grid is (2i + 1)/S − 1 whatever align_corners says.",
        "With align_corners=True use −1 + 2i/(S − 1).",
        "2",
    ),
    (
        "half-open base grid −1 + 2i/S",
        {"base": "half-open"},
        "With align_corners the base grid never reaches 1.",
        "Divide by S − 1.",
        "4: fxia22/stn.pytorch",
    ),
    (
        "half-open base grid, whatever align_corners says",
        {"base": "always half-open"},
        "The base grid is −1 + 2i/S.",
        "True: −1 + 2i/(S − 1). False: (2i + 1)/S − 1.",
        "4: fxia22/stn.pytorch, RMPE's Caffe",
    ),
    (
        "one pixel at −1",
        {"base": "one at −1"},
        "An axis of one pixel with align_corners has its coordinate at −1, as linspace gives it.",
        "It is 0, the middle.",
        "4: ONNX reference evaluator",
    ),
    (
        "one pixel at 1",
        {"base": "one at 1"},
        "An axis of one pixel with align_corners has its coordinate at 1.",
        "It is 0, the middle.",
        "4: ONNX Runtime",
    ),
    ("base grid in pixels", {"base": "pixels"}, "theta acts on pixels.", "Normalise the base grid to −1 … 1.", ""),
    ("base grid from 0 to 1", {"base": "from 0 to 1"}, "It starts at 0.", "Let it run from −1 to 1.", ""),
    ("x mirrored", {"mirrored": (0,)}, "x runs from right to left.", "Let −1 be the left edge.", ""),
    ("y mirrored", {"mirrored": (1,)}, "y runs from bottom to top.", "Let −1 be the top edge.", ""),
    ("theta transposed", {"theta": "transposed"}, "The linear part is transposed.", "Multiply base @ thetaᵀ.", ""),
    ("theta's memory transposed", {"theta": "memory"}, "theta is read as (d + 1, d).", "It is (d, d + 1).", ""),
    ("translation dropped", {"theta": "without shift"}, "The last column is ignored.", "Append 1 to (x, y).", ""),
    ("translation negated", {"theta": "shift negated"}, "Its sign is turned.", "Add the last column.", ""),
    ("translation doubled", {"theta": "shift doubled"}, "It counts twice.", "Add it as it is.", ""),
    ("translation halved", {"theta": "shift halved"}, "It counts half.", "Add it as it is.", ""),
    ("translation exchanged", {"theta": "shift reversed"}, "Its x goes to y.", "Row 0 holds x.", "1: stnbhwd"),
    ("the first theta for all", {"shared": True}, "Every sample has the first theta.", "Use theta[n].", ""),
    (
        "base grid in float32",
        {"precision": "float32"},
        "The base grid is made in float32, whatever theta is.",
        "Make it in the type of theta.",
        "13: ONNX reference evaluator",
    ),
    (
        "base grid in float16",
        {"precision": "float16"},
        "The base grid is made in float16.",
        "Make it in float32.",
        "13",
    ),
    ("gradient accumulated twice", {"factor": 2.0}, "It is twice as large.", "Add it once.", "22"),
    ("gradient averaged over the batch", {"factor": 0.0}, "It is divided by N.", "Do not divide.", "22"),
    ("gradient negated", {"factor": -1.0}, "Its sign is turned.", "Keep the sign.", ""),
    ("gradient averaged over points", {"mean_over_points": True}, "A mean.", "Sum over points.", "22"),
)

_INVERSE: tuple[Row, ...] = (
    ("theta not inverted", {"inverse": "theta itself"}, "theta is returned as it is.", "Invert it.", ""),
    ("shift only negated", {"inverse": "shift negated alone"}, "The shift is −t.", "It is −Θ⁻¹ t.", "17"),
    ("shift not negated", {"inverse": "shift not negated"}, "The shift is Θ⁻¹ t.", "It is −Θ⁻¹ t.", "17"),
    ("shift kept", {"inverse": "shift kept"}, "The shift is t.", "It is −Θ⁻¹ t.", "17"),
    ("shift lost", {"inverse": "shift lost"}, "The shift is 0.", "It is −Θ⁻¹ t.", "17"),
    ("shift by theta", {"inverse": "shift by theta"}, "The shift is −Θ t.", "It is −Θ⁻¹ t.", "17"),
    ("shift by the transpose", {"inverse": "shift by the transpose"}, "The shift is −Θ⁻ᵀ t.", "Use −Θ⁻¹ t.", "17"),
    ("inverse transposed", {"inverse": "transposed"}, "The linear part is Θ⁻ᵀ.", "Do not transpose.", "17"),
    ("transposed in place of inverted", {"inverse": "theta transposed"}, "Right for rotations alone.", "Invert.", "17"),
    ("1/det missing", {"inverse": "without determinant"}, "The adjugate is returned.", "Divide by det Θ.", "17"),
    (
        "off-diagonals not negated",
        {"inverse": "off-diagonals not negated"},
        "The off-diagonal entries have the wrong sign.",
        "The cofactors off the diagonal are negative.",
        "17: RMPE Caffe",
    ),
    ("multiplied by det", {"inverse": "times the determinant"}, "The adjugate times det.", "Divide by det Θ.", "17"),
    (
        "gradient: A G A for −Aᵀ G Aᵀ",
        {"gradient": "transposed, sign lost"},
        "The gradient of the linear part is A Ḡ A: transposed, and with the wrong sign.",
        "dΘ = −Aᵀ Ḡ Aᵀ with A = Θ⁻¹ and Ḡ = dA − da tᵀ.",
        "17: RMPE Caffe",
    ),
    (
        "gradient: off-diagonals transposed, wrong sign",
        {"gradient": "off-diagonals transposed and negated"},
        "The off-diagonal entries of the gradient are exchanged and have the wrong sign.",
        "dΘ = −Aᵀ Ḡ Aᵀ.",
        "17: RMPE Caffe",
    ),
    ("gradient: off-diagonals negated", {"gradient": "off-diagonals negated"}, "Signs.", "dΘ = −Aᵀ Ḡ Aᵀ.", "17"),
    ("gradient: off-diagonals transposed", {"gradient": "off-diagonals transposed"}, "Order.", "dΘ = −Aᵀ Ḡ Aᵀ.", "17"),
    ("gradient: not transposed", {"gradient": "transposed"}, "A Ḡ A.", "dΘ = −Aᵀ Ḡ Aᵀ, dt = −Aᵀ da.", "17"),
    ("gradient: sign lost", {"gradient": "sign lost"}, "Both signs are turned.", "dΘ = −Aᵀ Ḡ Aᵀ.", "17"),
    ("gradient: sign of the matrix lost", {"gradient": "sign of the matrix lost"}, "+Aᵀ Ḡ Aᵀ.", "−Aᵀ Ḡ Aᵀ.", "17"),
    (
        "gradient: 1/det² missing",
        {"gradient": "determinant squared"},
        "The products of cofactors are not divided by the determinant's square.",
        "Divide: each of the two factors A has one.",
        "17: RMPE Caffe",
    ),
    ("gradient: 1/det missing", {"gradient": "one determinant"}, "One of the two is missing.", "Divide by both.", "17"),
    ("gradient: divided by det² again", {"gradient": "divided by it again"}, "Twice.", "A has it already.", "17"),
    (
        "gradient: the shift's part missing",
        {"gradient": "without the shift's part"},
        "The gradient of the linear part ignores that the shift −Θ⁻¹ t depends on it.",
        "Ḡ = dA − da tᵀ.",
        "17",
    ),
    ("gradient: one inverse alone", {"gradient": "one inverse alone"}, "−Aᵀ Ḡ.", "Multiply by Aᵀ once more.", "17"),
    ("gradient: dt negated", {"gradient": "shift's gradient negated"}, "dt = Aᵀ da.", "dt = −Aᵀ da.", "17"),
    ("gradient: dt not transposed", {"gradient": "shift's gradient not transposed"}, "−A da.", "−Aᵀ da.", "17"),
    ("gradient: dt is −da", {"gradient": "shift's gradient passed on"}, "dt = −da.", "dt = −Aᵀ da.", "17"),
    ("gradient accumulated twice", {"factor": 2.0}, "It is twice as large.", "Add it once.", "22"),
    ("gradient averaged over the batch", {"factor": 0.0}, "It is divided by N.", "Do not divide.", "22"),
)

AFFINE_GRID_MISTAKES: tuple[Mistake, ...] = of_rows(AFFINE_GRID, _GRID)
"""Of affine_grid, the likelier first within each group."""

AFFINE_INVERSE_MISTAKES: tuple[Mistake, ...] = of_rows(AFFINE_INVERSE, _INVERSE)
"""Of affine_inverse."""
