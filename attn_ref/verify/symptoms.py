"""What can be told of wrong results that no known mistake explains: where they are, and how they are off."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from math import prod
from typing import Any

import numpy as np

from attn_ref.conventions.pixel_maps import PIXEL_MAPS
from attn_ref.verify.failures import KINDS, Failure
from attn_ref.verify.observations import Observation, expected, traits_of

__all__ = ["symptoms"]

_FEW = 24
_NAMES = "xyz"


def symptoms(operation: str, failures: Sequence[Failure], seen: Sequence[Observation]) -> list[str]:
    """Say what the failures have in common, in sentences.

    Parameters
    ----------
    operation : str
        The operation.
    failures : sequence of Failure
        All failures.
    seen : sequence of Observation
        The results among them, and right ones, as :func:`attn_ref.verify.observations.observations` gives them.

    Returns
    -------
    list of str
        At least one sentence.
    """
    every = [one for one in seen if one.wrong]
    wrong, right = every[:_FEW], [one for one in seen if not one.wrong]
    told = [*_kinds(failures), *_results(every, right), *_circumstances(wrong, right)]
    pairs = [(one, expected(one)) for one in wrong if one.interval is not None]
    judged = [(one, truth) for one, truth in pairs if truth is not None]
    for function, of in dict.fromkeys((one.function, one.of) for one, _ in judged):
        of_these = [(one, truth) for one, truth in judged if (one.function, one.of) == (function, of)]
        name = "The output" if function == "forward" else _result(function, of)
        told += [f"{name} {what}." for what in _elements(operation, of, of_these) or [_how_far(of_these)]]
    return told


def _result(function: str, of: str | None) -> str:
    if function == "backward":
        return f"The gradient of {of}"
    return f"The result of {function}" if of is None else f"The cotangent of {of} in {function}"


def _kinds(failures: Sequence[Failure]) -> Iterator[str]:
    """Failures that are no wrong values."""
    others = dict.fromkeys(f.kind for f in failures if f.kind not in ("value", "nan"))
    for kind in others:
        of_kind = [failure for failure in failures if failure.kind == kind]
        words = KINDS.get(kind, kind)
        yield f"{len(of_kind)} of {len(failures)} failures: {words}, first {of_kind[0].message}."


def _results(wrong: list[Observation], right: list[Observation]) -> Iterator[str]:
    """Which results are wrong and which never are."""
    bad = list(dict.fromkeys((one.function, one.of) for one in wrong))
    good = [key for key in dict.fromkeys((one.function, one.of) for one in right) if key not in bad]
    if bad and good:
        yield f"Right: {_listed(good)}. Wrong: {_listed(bad)}."


def _listed(results: list[tuple[str, str | None]]) -> str:
    words = {key: "forward" if key == ("forward", None) else _result(*key).removeprefix("The ") for key in results}
    return ", ".join(words.values())


def _circumstances(wrong: list[Observation], right: list[Observation]) -> Iterator[str]:
    """Options and shapes with which alone results are wrong."""
    if not wrong:  # where nothing came back there is nothing to compare
        return
    functions = {(one.function, one.of) for one in wrong}
    mine, others = [traits_of(one.case) for one in wrong], [traits_of(one.case) for one in right]
    passing = [t for t, one in zip(others, right, strict=True) if (one.function, one.of) in functions] or others
    shared = []
    for name in dict.fromkeys(key for traits in (*mine, *passing) for key in traits):
        values, others_have = {t.get(name) for t in mine}, {t.get(name) for t in passing}
        if len(values) < 3 and others_have - values:
            if not values & others_have:
                yield f"Wrong only with {_words(name, values)}; right with {_words(name, others_have)}."
                return
            shared.append((name, values))
    if shared:
        all_of = " and ".join(_words(name, values) for name, values in shared)
        if any(all(t.get(name) in values for name, values in shared) for t in passing):
            yield f"All failures have {all_of}."
        else:
            yield f"Wrong only with {all_of}."


_OF_SHAPES = ("axes", "batch", "pixels", "numbers")


def _words(name: str, values: Any) -> str:
    words = " or ".join(repr(v) if isinstance(v, (str, tuple)) else str(v) for v in sorted(values, key=str))
    return words.replace("'", "") if name in (*_OF_SHAPES, "dtype") else f"{name}={words}"


# ---------------------------------------------------------------------------------------------------------------------
# Elements

Judged = list[tuple[Observation, Any]]


def _elements(operation: str, of: str | None, judged: Judged) -> list[str]:
    """How the wrong elements of one result are off, and where they are."""
    return [*_elements_in_words(operation, of, judged)]


def _how_far(judged: Judged) -> str:
    """What is left to say of a result that is off in no regular way: how many elements, and by how much."""
    count = sum(int((~np.asarray(one.interval.holds(one.got))).sum()) for one, _ in judged if one.interval is not None)
    with np.errstate(all="ignore"):  # NaN and inf are left out
        errors = [np.abs(one.got - truth) / max(float(np.abs(truth).max()), 1e-300) for one, truth in judged]
    largest = max((float(e[np.isfinite(e)].max(initial=0.0)) for e in errors), default=0.0)
    total = sum(int(one.got.size) for one, _ in judged)
    return f"is wrong in {count} of {total} elements, by up to {largest:.2g} of its largest one, in no regular way"


def _elements_in_words(operation: str, of: str | None, judged: Judged) -> Iterator[str]:
    """The same, one by one."""
    masks = [~np.asarray(one.interval.holds(one.got)) for one, _ in judged if one.interval is not None]
    if all((one.got == 0).all() for one, _ in judged):
        yield "is 0 everywhere"
        return
    if all(np.isnan(one.got[mask]).all() for (one, _), mask in zip(judged, masks, strict=True)):
        yield "is NaN wherever it is wrong"
    else:
        whole = list(_off(judged, masks, slice(None)))
        if whole:
            yield from whole
        elif of == "grid":
            for a in range(min(one.got.shape[-1] for one, _ in judged)):
                yield from (f"along {_NAMES[a]} {what}" for what in _off(judged, masks, a))
        yield from _rearranged(judged)
    yield from _places(operation, of, judged, masks)


def _off(judged: Judged, masks: list[Any], component: Any) -> Iterator[str]:
    """By a factor, a difference, or little."""
    pairs = []
    for (one, truth), mask in zip(judged, masks, strict=True):
        chosen = mask[..., component] & np.isfinite(one.got[..., component]) & np.isfinite(truth[..., component])
        pairs.append((one.point, one.got[..., component][chosen], truth[..., component][chosen]))
    pairs = [pair for pair in pairs if pair[1].size]
    if not pairs:
        return
    got, truth = (np.concatenate([pair[i] for pair in pairs]) for i in (1, 2))
    largest = max(np.abs(truth).max(), 1e-300)
    error = np.abs(got - truth).max()
    factors = [np.median(g / np.where(t == 0, np.nan, t)) for _, g, t in pairs]
    if error < 2e-3 * largest:
        yield f"is nearly right: off by at most {error / largest:.2g} of its largest element, as by coarser arithmetic"
        return
    if all(np.allclose(g, f * t, rtol=1e-3, atol=1e-6 * largest) for (_, g, t), f in zip(pairs, factors, strict=True)):
        named = _factor([point for point, _, _ in pairs], np.array(factors))
        yield f"is off by a factor, {named}" if named else f"is off by a factor that varies, first {factors[0]:.4g}"
        return
    shifts = [np.median(g - t) for _, g, t in pairs]
    if all(np.allclose(g - t, s, rtol=1e-3, atol=1e-4 * largest) for (_, g, t), s in zip(pairs, shifts, strict=True)):
        same = np.allclose(shifts, shifts[0], rtol=1e-3, atol=1e-4 * largest)
        yield f"is off by a constant{f', {shifts[0]:.4g}' if same else ' in each case'}"


def _quantities(point: Any) -> dict[str, float]:
    """Numbers of a case by which a result may be multiplied."""
    first, options = point.inputs[0], point.options
    if first.ndim < 3:
        return {"N": float(len(first)) if first.ndim else 1.0}
    last = bool(options.get("channels_last", False))
    space = first.shape[1:-1] if last else first.shape[2:]
    named = {"N": len(first), "C": first.shape[-1 if last else 1], "the number of pixels": prod(space)}
    named |= {f"the image's size along {_NAMES[a]}": space[-1 - a] for a in range(len(space))}
    if point.grad_output is not None:
        named["the number of output elements"] = point.grad_output.size
    if "align_corners" in options:
        for name, word in (("AC1", "(S − 1)/2"), ("AC0", "S/2")):
            named |= {f"{word} along {_NAMES[a]}": PIXEL_MAPS[name].scale(space[-1 - a]) for a in range(len(space))}
    return {name: float(value) for name, value in named.items()}


def _factor(points: list[Any], factors: Any) -> str:
    """A factor as a number, or as what it is in every case."""
    if np.allclose(factors, factors[0], rtol=1e-3):
        return f"{factors[0]:.4g}"
    quantities = [_quantities(point) for point in points]
    for name in quantities[0]:
        values = np.array([q.get(name, np.nan) for q in quantities])
        with np.errstate(divide="ignore"):
            for words, value in ((name, values), (f"1 / ({name})", 1 / values)):
                if np.allclose(factors, value, rtol=1e-3):
                    return words
    return ""


def _rearranged(judged: Judged) -> Iterator[str]:
    """The right numbers in other places."""
    axes = max(truth.ndim for _, truth in judged)
    moves = {f"is in reverse along axis {a}": partial(_flipped, a) for a in range(axes)}
    moves |= {f"has axes {b} and {a} exchanged": partial(_exchanged, a, b) for a in range(axes) for b in range(a)}
    for words, move in moves.items():
        if all(_close(one.got, move(truth), truth) for one, truth in judged):
            yield words
            return
    if all(_close(np.sort(one.got, axis=None), np.sort(truth, axis=None), truth) for one, truth in judged):
        yield "holds the right numbers in other places"


def _flipped(axis: int, array: Any) -> Any:
    return np.flip(array, axis) if axis < array.ndim else array


def _exchanged(one: int, other: int, array: Any) -> Any:
    return np.swapaxes(array, one, other).reshape(array.shape) if one < array.ndim else array


def _close(got: Any, moved: Any, truth: Any) -> bool:
    largest = np.abs(truth[np.isfinite(truth)]).max(initial=1e-300)
    return bool(np.allclose(got, moved, rtol=1e-4, atol=1e-5 * largest, equal_nan=True))


def _places(operation: str, of: str | None, judged: Judged, masks: list[Any]) -> Iterator[str]:
    """Where the wrong elements are."""
    shapes = [mask.shape for mask in masks]
    if all(len(shape) > 1 for shape in shapes) and of not in ("theta", "reduce_weight", "expand_weight"):
        yield from _along(masks, 0, "sample")
        last = [bool(one.point.options.get("channels_last", False)) for one, _ in judged]
        if of != "grid" and operation in ("grid_sample", "squeeze_excitation") and len(set(last)) == 1:
            yield from _along(masks, -1 if last[0] else 1, "channel")
    if of == "grid":
        wrong = [a for a in range(max(s[-1] for s in shapes)) if any(m[..., a].any() for m in masks if m.shape[-1] > a)]
        if len(wrong) < max(s[-1] for s in shapes):
            yield f"is wrong along {', '.join(_NAMES[a] for a in wrong)} alone"
    if operation == "grid_sample" and of != "input":
        yield from _points(of, judged, masks)


def _along(masks: list[Any], axis: int, word: str) -> Iterator[str]:
    """Only beyond the first, or only in the first, of an axis."""
    long = [np.moveaxis(mask, axis, 0) for mask in masks if mask.shape[axis] > 1]
    if not long:
        return
    if all(not mask[0].any() for mask in long):
        yield f"is right in the first {word} and wrong in others"
    elif all(not mask[1:].any() for mask in long) and len(long) == len(masks):
        yield f"is wrong in the first {word} alone"


_REGIONS: dict[str, Callable[[Any, Any], Any]] = {
    "at points that are no numbers": lambda p, _: ~np.isfinite(p).all(axis=-1),
    "inside the image": lambda p, s: ((p >= 0) & (p <= s - 1)).all(axis=-1),
    "outside the image": lambda p, s: ((p < 0) | (p > s - 1)).any(axis=-1),
    "within a pixel of the edge": lambda p, s: ((np.abs(p + 0.5) <= 1) | (np.abs(p - s + 0.5) <= 1)).any(axis=-1),
    "on odd folds": lambda p, s: (np.floor((p + 0.5) / s) % 2 == 1).any(axis=-1),
    "on even folds other than the image": lambda p, s: (
        (np.floor((p + 0.5) / s) % 2 == 0).all(axis=-1) & (np.floor((p + 0.5) / s) != 0).any(axis=-1)
    ),
    "left of or above the image": lambda p, _: (p < 0).any(axis=-1),
    "right of or below the image": lambda p, s: (p > s - 1).any(axis=-1),
    "on whole or half pixels": lambda p, _: (p * 2 == np.round(p * 2)).any(axis=-1),
    "off whole pixels": lambda p, _: (p != np.round(p)).any(axis=-1),
    "at coordinates beyond 2²⁰ pixels": lambda p, _: (np.abs(p) > 2.0**20).any(axis=-1),
}
"""Points by their pixel coordinates (…, d) and the sizes of the axes, x first; the most particular first."""


def _points(of: str | None, judged: Judged, masks: list[Any]) -> Iterator[str]:
    """The region in which all wrong points lie, if some points lie elsewhere."""
    held = dict.fromkeys(_REGIONS, True)
    elsewhere = dict.fromkeys(_REGIONS, 0)
    total = 0
    for (one, _), mask in zip(judged, masks, strict=True):
        last = bool(one.point.options.get("channels_last", False))
        image, grid = one.point.inputs
        space = np.array((image.shape[1:-1] if last else image.shape[2:])[::-1])
        pixel_map = PIXEL_MAPS["AC1" if one.point.options["align_corners"] else "AC0"]
        with np.errstate(all="ignore"):
            p = np.stack([pixel_map.pixels(grid[..., a], int(s)) for a, s in enumerate(space)], axis=-1)
            wrong = mask.any(axis=-1 if of == "grid" or last else 1)
            for name, region in _REGIONS.items():
                inside = region(p, space)
                held[name] &= not (wrong & ~inside).any()
                elsewhere[name] += int((~inside).sum())
        total += wrong.size
    chosen = [name for name in _REGIONS if held[name] and elsewhere[name] * 10 > total]
    if chosen:
        yield f"is wrong only {min(chosen, key=lambda name: -elsewhere[name])}"
