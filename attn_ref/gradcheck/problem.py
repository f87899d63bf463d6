"""The function under test at one point, with its perturbations stacked.

If axis 0 of an input holds independent samples, all perturbations of it are stacked along that axis and evaluated in
one call, so the full Jacobian costs a handful of calls instead of two an element.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

__all__ = ["ROUNDINGS", "Floats", "Problem"]

Floats = np.ndarray[Any, np.dtype[np.float64]]

ROUNDINGS = 64
"""Roundings allowed for in one value of the function; its own error is not known, only its size."""
_CELLS = 2**22
"""Numbers held at a time while perturbations are stacked."""
_FULL = 2**18
"""Largest number of entries for which the full Jacobian is formed."""
_CALLS = 200
"""Largest number of calls of backward that a full Jacobian of an unbatched input may take."""


@dataclass
class Problem:
    """The function under test at one point.

    Values of the function are handled as arrays (…, S, m + 1): for each sample its m outputs and, last, their sum
    weighted with the random cotangent. Without independent samples everything is one sample, S = 1.
    """

    forward: Callable[..., Any]
    backward: Callable[..., Any]
    inputs: list[Any]
    batched: list[bool]
    names: list[str]
    output: Any
    cotangent: Any
    eps: float = field(init=False)
    pulled: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.eps = float(max(np.finfo(a.dtype).eps for a in (*self.inputs, self.output)))

    @classmethod
    def of(
        cls,
        forward: Callable[..., Any],
        backward: Callable[..., Any],
        inputs: Any,
        batched: bool | Sequence[bool],
        names: Sequence[str] | None,
        seed: int,
    ) -> Problem:
        """Check the arguments of check_gradients, and evaluate the function once."""
        if isinstance(inputs, np.ndarray):
            raise TypeError("inputs must be a sequence of arrays, got one array: pass [x]")
        ready = []
        for i, x in enumerate(inputs):
            if type(x) not in (np.ndarray, np.memmap) or x.dtype.char not in "efd":
                kind = f"an array of {x.dtype}" if type(x) is np.ndarray else type(x).__name__
                raise TypeError(f"inputs[{i}] must be a NumPy array of float64, float32 or float16, got {kind}")
            if not np.isfinite(x).all():
                raise ValueError(f"inputs[{i}] holds NaN or inf: gradients are checked at finite points")
            ready.append(np.array(x))
        if not ready:
            raise ValueError("inputs is empty: there is nothing to differentiate")
        flags = [batched] * len(ready) if isinstance(batched, bool | np.bool_ | str | int) else list(batched)
        if len(flags) != len(ready) or not all(isinstance(flag, bool | np.bool_) for flag in flags):
            raise ValueError(f"batched must be a bool, or one for each of the {len(ready)} inputs; got {batched!r}")
        known = list(names) if names is not None else [f"input {i}" for i in range(len(ready))]
        if len(known) != len(ready):
            raise ValueError(f"names has {len(known)} entries for {len(ready)} inputs")
        output = _array("forward returned", forward(*[x.copy() for x in ready])).copy()
        again = _array("forward returned", forward(*[x.copy() for x in ready]))
        if output.shape != again.shape or not np.array_equal(output, again, equal_nan=True):
            raise ValueError("forward returned other values for the same inputs: fix the seed of what is random in it")
        if not np.isfinite(output).all():
            raise ValueError("forward returned NaN or inf: gradients are checked where the function is finite")
        samples = {x.shape[0] if x.ndim else None for x, flag in zip(ready, flags, strict=True) if flag}
        if samples and samples != {output.shape[0] if output.ndim else None}:
            raise ValueError(
                f"batched inputs have {samples} samples on axis 0 and the output has shape {output.shape}: "
                "axis 0 of each must hold the same samples"
            )
        cotangent = np.random.default_rng(seed).uniform(0.5, 1.5, output.shape)
        cotangent *= np.random.default_rng(seed + 1).choice([-1.0, 1.0], output.shape)
        return cls(forward, backward, ready, flags, known, output, np.asarray(cotangent, output.dtype))

    def require_independent_samples(self) -> None:
        """Put one more sample before and one behind: the outputs of the others must stay."""
        samples = len(self.output) if any(self.batched) else 0
        if samples == 0:
            return
        nudge = 2.0 ** round(np.log2(self.eps) / 6)
        question = "are the samples on axis 0 of the batched inputs independent?"
        try:
            outputs = self._surrounded(nudge)
        except Exception:  # the moved samples may lie outside the function's domain: copies do not
            try:
                outputs = self._surrounded(0.0)
            except Exception as error:
                raise ValueError(
                    f"batched: forward fails with {samples + 2} samples, not {samples}; {question}"
                ) from error
        wanted = (samples + 2, *self.output.shape[1:])
        if outputs.shape != wanted:
            raise ValueError(
                f"batched: with {samples + 2} samples forward returned shape {outputs.shape}, not {wanted}; {question}"
            )
        slack = ROUNDINGS * self.eps * float(np.abs(self.output).max(initial=0))
        if not (np.abs(outputs[1:-1] - self.output) <= slack).all():
            raise ValueError(f"batched: two more samples changed the outputs of the others; {question}")

    def _surrounded(self, nudge: float) -> Any:
        """Outputs with the last sample, moved a little, put before the first, and the first behind the last."""
        longer = [
            np.concatenate([a[-1:] + a.dtype.type(nudge), a, a[:1] - a.dtype.type(nudge)]) if flag else a.copy()
            for a, flag in zip(self.inputs, self.batched, strict=True)
        ]
        with np.errstate(all="ignore"):
            return _array("forward returned", self.forward(*longer))

    def full_is_cheap(self, i: int) -> bool:
        """Whether the full Jacobian of input i takes little memory and few calls."""
        if self.batched[i]:
            m = self.output[0].size if len(self.output) else 0
            return bool(m * self.inputs[i].size <= _FULL)
        return bool(self.output.size <= _CALLS and self.output.size * self.inputs[i].size <= _FULL)

    def by_element(self, i: int, array: Any) -> Any:
        """Bring an array of input i's shape to (elements of a sample, S)."""
        return array.reshape(self.inputs[i].shape[0] if self.batched[i] else 1, -1).T

    def index_of(self, i: int, element: int, sample: int) -> tuple[int, ...]:
        """Index into input i of an element of a sample."""
        shape = self.inputs[i].shape
        local = np.unravel_index(element, shape[1:] if self.batched[i] else shape)
        return ((sample,) if self.batched[i] else ()) + tuple(int(k) for k in local)

    def read(self, i: int, outputs: Any, copies: int, full: bool) -> Floats:
        """Outputs of stacked copies to (copies, S, m + 1), or (copies, S, 1) without the single outputs."""
        samples = self.inputs[i].shape[0] if self.batched[i] else 1
        values = np.asarray(outputs, np.float64).reshape(copies, samples, -1)
        projected = (values * self.cotangent.reshape(samples, -1)).sum(axis=-1, keepdims=True)
        return np.concatenate([values, projected], axis=-1) if full else projected

    def sizes(self, i: int, outputs: Any, copies: int, full: bool) -> Floats:
        """What each value of ``read`` is made of, for its rounding error.

        The sum of the weighted magnitudes; for a single output its own and a sixteenth of the sample's largest, since
        an output may be small because large terms cancelled in it.
        """
        samples = self.inputs[i].shape[0] if self.batched[i] else 1
        magnitudes = np.abs(np.asarray(outputs, np.float64)).reshape(copies, samples, -1)
        total: Floats = (magnitudes * np.abs(self.cotangent).reshape(samples, -1)).sum(axis=-1, keepdims=True)
        if not full:
            return total
        own = magnitudes + magnitudes.max(axis=-1, keepdims=True) / 16
        return np.concatenate([own, total], axis=-1)

    def values(self, i: int, elements: Any, offsets: Any, full: bool) -> tuple[Floats, Floats]:
        """Evaluate f with one element of each sample moved at a time.

        Parameters
        ----------
        i : int
            The input to move.
        elements : array, shape (E,)
            Its elements, counted within a sample.
        offsets : array, shape (L, E, S)
            How far, in the input's units.
        full : bool
            Whether single outputs are wanted besides the projection.

        Returns
        -------
        values : array, shape (L, E, S, m + 1)
            As from ``read``; NaN where f is not finite or raised.
        sizes : array, shape (L, E, S, m + 1)
            As from ``sizes``.
        """
        x = self.inputs[i]
        levels, count, samples = offsets.shape
        width = self.output.size + sum(a.size for a, flag in zip(self.inputs, self.batched, strict=True) if flag)
        chunk = max(1, _CELLS // max(1, width * levels)) if self.batched[i] else 1
        parts, sizes = [], []
        for start in range(0, count, chunk):
            some = elements[start : start + chunk]
            copies = levels * len(some)
            moved = np.repeat(x.reshape(1, samples, -1), copies, axis=0).reshape(levels, len(some), samples, -1)
            here = np.arange(len(some))
            moved[:, here, :, some] += offsets[:, start : start + len(some)].swapaxes(0, 1).astype(x.dtype)
            if self.batched[i]:
                outputs = self._of_samples(i, moved.reshape(copies * samples, *x.shape[1:]), 0)
            else:
                outputs = np.stack([self._of_whole(i, one.reshape(x.shape)) for one in moved.reshape(copies, -1)])
            shape = (levels, len(some), samples, -1)
            with np.errstate(invalid="ignore", over="ignore"):
                parts.append(self.read(i, outputs, copies, full).reshape(shape))
                sizes.append(self.sizes(i, outputs, copies, full).reshape(shape))
        return np.concatenate(parts, axis=1), np.concatenate(sizes, axis=1)

    def analytic(self, i: int, full: bool) -> Floats:
        """What backward says, (elements, S, m + 1) in the order of ``values``."""
        x, u = self.inputs[i], self.cotangent
        projected: Floats = self.by_element(i, self._cotangent_of(i, u, self.inputs, "projected"))[:, :, None]
        if not full:
            return projected
        if self.batched[i]:
            samples, m = len(u), u[0].size
            units = np.broadcast_to(np.eye(m, dtype=u.dtype)[:, None], (m, samples, m)).reshape(
                m * samples, *u.shape[1:]
            )
            tiled = [
                np.tile(a, (m, *[1] * (a.ndim - 1))) if flag else a
                for a, flag in zip(self.inputs, self.batched, strict=True)
            ]
            rows = self._cotangent_of(i, units, tiled, "single outputs").reshape(m, samples, -1)
        else:
            units = np.eye(u.size, dtype=u.dtype).reshape(u.size, *u.shape)
            rows = np.stack([self._cotangent_of(i, unit, self.inputs) for unit in units]).reshape(u.size, 1, x.size)
        return np.concatenate([rows.transpose(2, 1, 0).astype(np.float64), projected], axis=-1)

    def _cotangent_of(self, i: int, grad_output: Any, inputs: list[Any], what: str = "") -> Any:
        """Cotangent of input i, in float64; a call that has a name is made once for all inputs."""
        if what in self.pulled:
            cotangents = self.pulled[what]
        else:
            with np.errstate(all="ignore"):  # what is NaN shows in the report
                cotangents = self.backward(np.array(grad_output), *[a.copy() for a in inputs])
            if what:
                self.pulled[what] = cotangents = _kept(cotangents)
        if len(inputs) == 1 and not isinstance(cotangents, tuple | list):
            cotangents = (cotangents,)
        if not isinstance(cotangents, Sequence) or len(cotangents) != len(inputs):
            raise ValueError(
                f"backward must return {len(inputs)} cotangents in the order of the inputs, got "
                f"{len(cotangents) if isinstance(cotangents, Sequence) else type(cotangents).__name__}"
            )
        cotangent = _array(f"backward returned for {self.names[i]}", cotangents[i])
        if cotangent.shape != inputs[i].shape:
            raise ValueError(
                f"backward returned shape {cotangent.shape} for {self.names[i]}, which has {inputs[i].shape}"
            )
        return cotangent.astype(np.float64)

    def _of_whole(self, i: int, moved: Any) -> Any:
        """Output for a moved input without independent samples; NaN if forward raises there."""
        try:
            with np.errstate(all="ignore"):
                output = self.forward(*[moved if j == i else a.copy() for j, a in enumerate(self.inputs)])
        except Exception:  # outside the function's domain: no value here
            return np.full(self.output.shape, np.nan)
        output = _array("forward returned", output).copy()
        if output.shape != self.output.shape:
            raise ValueError(f"forward returned shape {output.shape} for moved inputs, {self.output.shape} before")
        return output

    def _of_samples(self, i: int, moved: Any, first: int) -> Any:
        """Outputs for stacked samples of a moved input, the first of which is sample ``first``.

        If forward raises, the halves are tried, so that only the samples outside its domain are NaN.
        """
        which = (first + np.arange(len(moved))) % len(self.output)
        stacked = [
            moved.copy() if j == i else a[which] if flag else a.copy()
            for j, (a, flag) in enumerate(zip(self.inputs, self.batched, strict=True))
        ]
        try:
            with np.errstate(all="ignore"):
                outputs = self.forward(*stacked)
        except Exception:  # some of them lie outside the function's domain
            if len(moved) == 1:
                return np.full((1, *self.output.shape[1:]), np.nan)
            half = len(moved) // 2
            parts = self._of_samples(i, moved[:half], first), self._of_samples(i, moved[half:], first + half)
            return np.concatenate(parts)
        outputs = _array("forward returned", outputs)
        if outputs.shape != (len(moved), *self.output.shape[1:]):
            raise ValueError(
                f"forward returned shape {outputs.shape} for {len(moved)} stacked samples of inputs that give "
                f"{self.output.shape}: is axis 0 of {self.names[i]} a batch of independent samples?"
            )
        return outputs.copy()


def _kept(cotangents: Any) -> Any:
    """Copies of arrays, which the function may write to in its next call."""
    if isinstance(cotangents, tuple | list):
        return [_kept(one) for one in cotangents]
    return cotangents.copy() if isinstance(cotangents, np.ndarray) else cotangents


def _array(what: str, value: Any) -> Any:
    if not isinstance(value, np.ndarray | np.floating) or value.dtype.kind != "f":
        raise TypeError(f"{what} {type(value).__name__}: expected a floating NumPy array")
    return np.asarray(value)
