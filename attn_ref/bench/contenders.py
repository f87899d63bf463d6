"""Who takes part: a table of contenders, each with the kinds of cases that it can do.

A contender prepares a case once (tensors, models) and hands out its *works*, by part: "forward", "forward + backward",
and so on. What it does not do it leaves out, and then only what both do is compared. None but this project is
required: a contender whose package is missing does not take part.

Those that take part on a GPU are in :mod:`attn_ref.bench.on_a_gpu`: their preparations move the arrays, and their works
return once the device is done.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from types import MappingProxyType

from attn_ref.bench import by_others, by_torch, ours
from attn_ref.bench.cases import Case
from attn_ref.bench.peak import Peak
from attn_ref.bench.problems import Arrays
from attn_ref.bench.works import Works

__all__ = ["CONTENDERS", "OURS", "Contender"]

OURS = "attn_ref"
"""The contender that all others are compared with."""


@dataclass(frozen=True)
class Contender:
    """A library that does the same work.

    Attributes
    ----------
    name : str
        What it is called.
    package : str
        What it needs; also what its version is looked up by.
    kinds : mapping
        By the kind of a case: a function of the case and its arrays that prepares the works; an empty dict if it
        cannot do this one.
    note : str
        What a reader should know about it.
    peak : callable, optional
        ``peak(case, part, seed)`` measures the peak of its memory, where that is not memory of the host.
    """

    name: str
    package: str
    kinds: Mapping[str, Callable[[Case, Arrays], Works]]
    note: str
    peak: Callable[[Case, str, int], Peak] | None = None

    @property
    def installed(self) -> bool:
        """Whether its package is there; it is not imported."""
        return find_spec(self.package) is not None

    def prepare(self, case: Case, arrays: Arrays) -> Works:
        """Prepare its works for a case; an empty dict if it cannot do it."""
        prepare = self.kinds.get(case.kind)
        return {} if prepare is None else prepare(case, arrays)


_ENTRIES = (
    Contender(OURS, "attn_ref", ours.KINDS, "this project"),
    Contender("torch", "torch", by_torch.KINDS, "eager mode on the CPU, gradients by autograd"),
    Contender(
        "onnx",
        "onnx",
        by_others.ONNX,
        "the reference evaluator: forward only, small 2-D cases in float32, in which it computes coordinates",
    ),
    Contender("pylops", "pylops", by_others.PYLOPS, "signalprocessing.Bilinear: points within the image, no padding"),
    Contender(
        "scipy",
        "scipy",
        by_others.SCIPY,
        "ndimage.map_coordinates, order 1, grid-constant, called for each channel: forward only, few channels",
    ),
)

CONTENDERS: Mapping[str, Contender] = MappingProxyType({entry.name: entry for entry in _ENTRIES})
"""By name, ours first."""
