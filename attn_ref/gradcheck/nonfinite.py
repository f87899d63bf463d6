"""What NaN, infinities and huge numbers must do: spoil what they stand for, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from attn_ref.backend import Array
from attn_ref.exact.axis import Rules, axis_taps
from attn_ref.registry import Call

if TYPE_CHECKING:
    from attn_ref.gradcheck.subject import Subject

__all__ = ["findings"]


def findings(subject: Subject, call: Call) -> Iterator[tuple[str, float]]:
    """Yield what was looked at and 0 if it is right, inf if not."""
    if subject.operation.points_in is None:
        yield from _sample_by_sample(subject, call)
    else:
        yield from _nan_points(subject, call)
        yield from _infinite_points(subject, call)
        yield from _unused_pixels(subject, call)


def _verdict(what: str, holds: bool) -> tuple[str, float]:
    return what, 0.0 if holds else float("inf")


def _everything(subject: Subject, inputs: Sequence[Array], options: dict[str, Any], u: Array, v: Any) -> list[Array]:
    """All results: output, tangent, second cotangent of grad_output; then cotangents of the inputs of both orders."""
    second = subject.double_backward(v, u, inputs, options)
    by_output = [subject.forward(inputs, options), subject.jvp(inputs, v, options), second[0]]
    return [*by_output, *subject.backward(u, inputs, options), *second[1:]]


def _unmoved(subject: Subject, call: Call, a: Array, b: Array, u: Array, v: Sequence[Array]) -> bool:
    """Whether two results are the same: in every bit, or to rounding where sums may run in another order."""
    if not subject.operation.any_order:
        return _same(a, b)
    return a.shape == b.shape and bool((np.abs(a - b) <= subject.rounding(call, u, v)).all())


def _same(a: Array, b: Array) -> bool:
    return bool(np.array_equal(a, b, equal_nan=True))


def _sample_by_sample(subject: Subject, call: Call) -> Iterator[tuple[str, float]]:
    """A NaN or infinity in one sample of an input leaves the other samples alone."""
    operation = subject.operation
    y = subject.forward(call.inputs, call.options)
    u, v = subject.random(1, y.shape), subject.tangents(2, call)
    before = subject.results(call.inputs, u, v, call.options)
    batched = dict(zip(operation.inputs, operation.batched, strict=True))
    for i, name in enumerate(operation.inputs):
        if not batched[name]:
            continue
        for value in (np.nan, np.inf, -np.inf):
            spoiled = list(call.inputs)
            spoiled[i] = spoiled[i].copy()
            spoiled[i][0].flat[0] = value
            after = subject.results(spoiled, u, v, call.options)
            if np.isnan(value) or not operation.bounded:
                shows = not np.isfinite(after[0].array[0]).all()
                yield _verdict(f"{value} in {name}[0] shows in sample 0", shows)
            else:
                number = not np.isnan(after[0].array[0]).any()
                yield _verdict(f"{value} in {name}[0] gives numbers in sample 0", number)
            for a, b in zip(before, after, strict=True):
                if a.of is None or batched[a.of]:  # what has samples on axis 0
                    same = _unmoved(subject, call, a.array[1:], b.array[1:], u, v)
                    yield _verdict(f"{value} in {name}[0] leaves the other samples, {a.what}", same)


def _nan_points(subject: Subject, call: Call) -> Iterator[tuple[str, float]]:
    """A point with a NaN coordinate is NaN in all that belongs to it, and adds nothing to the image's cotangents."""
    image, grid = call.inputs
    rng = np.random.default_rng(5)
    bad = tuple(int(rng.integers(0, n)) for n in grid.shape[:-1])
    nan_grid = grid.copy()
    nan_grid[(*bad, int(rng.integers(0, grid.shape[-1])))] = np.nan
    y = subject.forward(call.inputs, call.options)
    u, v = subject.random(1, y.shape), subject.tangents(2, call)
    silent = u.copy()  # the same call without the point's cotangent
    silent[(bad[0], slice(None), *bad[1:])] = 0
    at = (bad[0], slice(None), *bad[1:])
    found = _everything(subject, [image, nan_grid], call.options, u, v)
    expected = _everything(subject, call.inputs, call.options, silent, v)
    for i, (a, b) in enumerate(zip(found[:3], expected[:3], strict=True)):
        a, b = a.copy(), b.copy()
        yield _verdict(f"result {i}: NaN in every channel of the point", bool(np.isnan(a[at]).all()))
        a[at] = b[at] = 0
        yield _verdict(f"result {i}: unchanged at the other points", _same(a, b))
    for i, (a, b) in enumerate(zip(found[3:], expected[3:], strict=True), start=3):
        a, b = a.copy(), b.copy()
        if (i - 3) % 2 == 1:  # the grid's, of both orders
            yield _verdict(f"result {i}: NaN in every component of the point", bool(np.isnan(a[bad]).all()))
            a[bad] = b[bad] = 0
        yield _verdict(f"result {i}: nothing added elsewhere", _same(a, b))


def _infinite_points(subject: Subject, call: Call) -> Iterator[tuple[str, float]]:
    """An infinite or huge coordinate: nothing, the edge, or NaN, by the padding."""
    image = call.inputs[0]
    options, padding = call.options, call.options["padding_mode"]
    space = image.shape[2:]
    d = len(space)
    inside = np.zeros((image.shape[0], *[1] * d, d), subject.dtype)  # the centre
    for a, size in enumerate(reversed(space)):
        for sign in (-1.0, 1.0):
            far, near = inside.copy(), inside.copy()
            far[..., a] = sign * np.inf
            near[..., a] = sign * 50  # finite, and so far out that every tap is on the edge
            y = subject.forward([image, far], options)
            u, v = subject.random(1, y.shape), subject.tangents(2, Call((image, far), options))
            results = _everything(subject, [image, far], options, u, v)
            what = f"{sign * np.inf} along axis {a} with {padding}"
            if options["align_corners"] and size == 1:
                centre = _everything(subject, [image, inside], options, u, v)
                same = all(_same(r, c) for r, c in zip(results, centre, strict=True))
                yield _verdict(f"{what}: one pixel is where it is", same)
            elif padding == "zeros":
                yield _verdict(f"{what}: nothing", not y.any() and not any(r.any() for r in results[3:]))
            elif padding == "border":
                edge = subject.forward([image, near], options)
                slack = 16 * subject.eps * float(np.abs(image).max(initial=0)) * 3
                yield _verdict(f"{what}: the edge", bool((np.abs(y - edge) <= slack).all()))
                yield _verdict(f"{what}: still along it", not results[4][..., a].any())
            else:
                yield _verdict(f"{what}: NaN", bool(np.isnan(y).all() and np.isnan(results[4]).all()))


def _unused_pixels(subject: Subject, call: Call) -> Iterator[tuple[str, float]]:
    """What no tap reads is never touched: an infinity there changes no bit of anything."""
    image, grid = call.inputs
    y = subject.forward(call.inputs, call.options)
    u, v = subject.random(1, y.shape), subject.tangents(2, call)
    used = _used(call)[:, None]
    poisoned = np.where(used, image, np.array(np.inf, image.dtype))
    before = _everything(subject, [image, grid], call.options, u, v)
    after = _everything(subject, [poisoned, grid], call.options, u, v)
    same = all(_same(a, b) for a, b in zip(before, after, strict=True))
    yield _verdict("inf in pixels that no tap reads changes nothing", same)


def _used(call: Call) -> Array:
    """Pixels that some tap reads, by the exact definition. (N, *space), bool."""
    image, grid = call.inputs
    rules = Rules(call.options["mode"], call.options["padding_mode"], call.options["align_corners"])
    space = image.shape[2:]
    used = np.zeros((image.shape[0], *space), bool)
    for n, points in enumerate(grid.reshape(grid.shape[0], -1, len(space))):
        for point in points:
            taps = [
                sorted({tap.pixel for tap in axis_taps(Fraction(float(g)), size, 0, rules)})
                for g, size in zip(reversed(point), space, strict=True)
            ]
            used[n][np.ix_(*taps)] = True
    return used
