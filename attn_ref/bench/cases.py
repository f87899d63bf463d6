"""What is timed: groups of cases, each a problem of one size in one dtype.

The shapes are those that networks have: 28×28 digits to 2048×2048 pictures, 1 to 512 channels. A group is summed up by
one number, the geometric mean of its ratios against torch, and has an aim for it: context for the reader, not a test,
for times depend on the machine and on what else it does.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

__all__ = ["CASES", "GROUPS", "SAMPLER", "Case", "Group", "chosen"]


@dataclass(frozen=True)
class Group:
    """Cases that are summed up together.

    Attributes
    ----------
    summary : str
        What they time.
    aim : str
        What is aimed at, in words, or "".
    measure : {"ratio", "exponent", "memory"}
        What sums the group up: the geometric mean of the ratios to torch, the exponent with which our time grows, or
        the peak of memory.
    """

    summary: str
    aim: str = ""
    measure: str = "ratio"


GROUPS: dict[str, Group] = {
    "features": Group("grid_sample, bilinear, on feature maps (16 channels and more)", "≤ 0.5"),
    "images": Group("grid_sample, bilinear, on images (3 channels and fewer)", "≤ 2.0"),
    "bicubic": Group("grid_sample, bicubic", "≤ 1.0"),
    "nearest": Group("grid_sample, nearest", "≤ 1.0"),
    "volumes": Group("grid_sample, trilinear, in 3-D", "≤ 1.0"),
    "operator": Group("a bilinear sampling operator: made, applied, transposed, on one channel"),
    "affine": Group("affine_grid", "≤ 1.0"),
    "se": Group("squeeze_excitation, reduction 16", "≤ 0.6"),
    "gradcheck": Group("check_gradients against torch.autograd.gradcheck", "≤ 0.15"),
    "small": Group("one small call of grid_sample", "below 150 µs"),
    "train": Group("one training step of a small convolutional network, batch 64", "≤ 2.0"),
    "growth": Group("how our time grows with the number of output values", "0.95 to 1.05", "exponent"),
    "memory": Group("peak of memory over the inputs, in units of the results' size", "≤ 2.5", "memory"),
}
"""By name, in the order in which they run."""

SAMPLER = ("features", "images")
"""The groups whose geometric mean over all shapes is given too, as "sampler"; its aim is 1.0."""


@dataclass(frozen=True)
class Case:
    """A problem of one size.

    Attributes
    ----------
    group : str
        A key of :data:`GROUPS`.
    kind : str
        What is computed: a key of the tables of :mod:`attn_ref.bench.problems` and of the contenders.
    shape : tuple of int
        Of the input: (N, C, H, W) or (N, C, D, H, W).
    dtype : str
        Of all arrays.
    points : tuple of int
        Output size where it is not that of the input.
    options : mapping
        Options of the operation.
    quick : bool
        Whether ``--quick`` keeps it.
    """

    group: str
    kind: str
    shape: tuple[int, ...]
    dtype: str = "float32"
    points: tuple[int, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    quick: bool = False

    @property
    def output(self) -> tuple[int, ...]:
        """Output size: (H_out, W_out) or (D_out, H_out, W_out)."""
        return self.points or self.shape[2:]

    @property
    def values(self) -> int:
        """Number of output values."""
        return self.shape[0] * self.shape[1] * prod(self.output)

    @property
    def name(self) -> str:
        """The shape, the output size where it differs, and the dtype, in words."""
        at = " at " + "×".join(map(str, self.points)) if self.points else ""
        return f"{'×'.join(map(str, self.shape))}{at} {self.dtype}"


_PLAIN: dict[str, Any] = {"mode": "bilinear", "padding_mode": "zeros", "align_corners": False}


def _cases(
    group: str,
    kind: str,
    shapes: Sequence[tuple[int, ...]],
    *,
    dtypes: Sequence[str] = ("float32", "float64"),
    quick: Sequence[tuple[int, ...]] = (),
    points: tuple[int, ...] = (),
    **options: Any,
) -> list[Case]:
    """Every shape in every dtype; ``--quick`` keeps the shapes named, in the first dtype."""
    return [
        Case(group, kind, shape, dtype, points, options, quick=shape in quick and dtype == dtypes[0])
        for shape in shapes
        for dtype in dtypes
    ]


_FEATURES = [
    (64, 32, 28, 28),
    (8, 64, 56, 56),
    (16, 256, 14, 14),
    (4, 512, 28, 28),
    (1, 128, 128, 128),
    (1, 64, 256, 256),
    (2, 16, 512, 512),
]
_IMAGES = [
    (1, 3, 28, 28),
    (128, 1, 28, 28),
    (32, 3, 64, 64),
    (8, 3, 224, 224),
    (1, 1, 1024, 1024),
    (2, 2, 512, 512),
    (1, 3, 2048, 2048),
]
_MODES = [(8, 64, 28, 28), (4, 3, 224, 224), (1, 16, 256, 256)]
_GROWTH = [(1, 16, 79, 79), (1, 16, 250, 250), (1, 16, 791, 791), (1, 16, 2500, 2500)]  # 1e5, 1e6, 1e7, 1e8 values

CASES: tuple[Case, ...] = (
    *_cases("features", "sample", _FEATURES, quick=_FEATURES[:3], **_PLAIN),
    *_cases("images", "sample", _IMAGES, quick=[*_IMAGES[:4], _IMAGES[4]], **_PLAIN),
    *_cases("bicubic", "sample", _MODES, quick=_MODES[:2], **{**_PLAIN, "mode": "bicubic"}),
    *_cases("nearest", "sample", _MODES, quick=_MODES[:2], **{**_PLAIN, "mode": "nearest"}),
    *_cases("volumes", "sample", [(2, 16, 8, 28, 28), (1, 1, 64, 96, 96), (1, 64, 16, 32, 32)],
            quick=[(2, 16, 8, 28, 28), (1, 1, 64, 96, 96)], **_PLAIN),
    *_cases("operator", "operator", [(1, 1, 128, 128), (1, 1, 512, 512)], dtypes=["float64"],
            quick=[(1, 1, 128, 128)], **_PLAIN),
    *_cases("affine", "affine", [(16, 1, 64, 64), (4, 1, 256, 256), (1, 1, 1024, 1024), (2, 1, 16, 64, 64)],
            quick=[(16, 1, 64, 64), (4, 1, 256, 256)], align_corners=False),
    *_cases("se", "se", [(8, 64, 56, 56), (8, 256, 14, 14), (16, 512, 7, 7)],
            quick=[(8, 64, 56, 56), (8, 256, 14, 14)], reduction=16),
    *_cases("gradcheck", "gradcheck", [(2, 3, 5, 6)], dtypes=["float64"], quick=[(2, 3, 5, 6)], points=(4, 3),
            **_PLAIN),
    *_cases("small", "small", [(2, 3, 5, 6)], dtypes=["float64", "float32"], quick=[(2, 3, 5, 6)], points=(4, 3),
            **_PLAIN),
    *_cases("train", "train", [(64, 1, 28, 28), (64, 1, 42, 42)], dtypes=["float32"], quick=[(64, 1, 28, 28)]),
    *_cases("growth", "sample", _GROWTH, dtypes=["float32"], quick=_GROWTH[:3], **_PLAIN),
    *_cases("memory", "sample", [(1, 8, 2048, 2048)], dtypes=["float32"], quick=[(1, 8, 2048, 2048)], **_PLAIN),
)  # fmt: skip
"""All of them, group by group."""


def chosen(only: Sequence[str] = (), *, quick: bool = False, cases: Sequence[Case] = CASES) -> list[Case]:
    """Choose the cases to run.

    Parameters
    ----------
    only : sequence of str
        Names of groups; empty for all.
    quick : bool
        Whether to keep the few that are marked so.
    cases : sequence of Case
        What to choose from.

    Returns
    -------
    list of Case
        In the order of the table.

    Raises
    ------
    ValueError
        If a name is unknown; the message lists the known ones.
    """
    for name in only:
        if name not in GROUPS:
            near = difflib.get_close_matches(name, GROUPS, 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ValueError(f"unknown group {name!r}: expected one of {', '.join(GROUPS)}{hint}")
    return [case for case in cases if (not only or case.group in only) and (not quick or case.quick)]
