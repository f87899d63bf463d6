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
            if not isinstance(x, np.ndarray) or x.dtype.kind != "f":
                kind = f"an array of {x.dtype}" if isinstance(x, np.ndarray) else type(x).__name__
                raise TypeError(f"inputs[{i}] must be a floating NumPy array, got {kind}")
            ready.append(np.array(x))
        if not ready:
            raise ValueError("inputs is empty: there is nothing to differentiate")
        flags = [batched] * len(ready) if isinstance(batched, bool) else list(batched)
        if len(flags) != len(ready) or not all(isinstance(flag, bool) for flag in flags):
            raise ValueError(f"batched must be a bool, or one for each of the {len(ready)} inputs; got {batched!r}")
        known = list(names) if names is not None else [f"input {i}" for i in range(len(ready))]
        if len(known) != len(ready):
            raise ValueError(f"names has {len(known)} entries for {len(ready)} inputs")
        output = _array("forward returned", forward(*[x.copy() for x in ready]))
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
        return cls(forward, backward, ready, flags, known, output, cotangent.astype(output.dtype))

    def require_independent_samples(self) -> None:
        """Append one more sample: the outputs of the others must stay."""
        samples = len(self.output) if any(self.batched) else 0
        if samples == 0:
            return
        longer = [
            np.concatenate([a, a[:1] + np.asarray(2.0 ** round(np.log2(self.eps) / 6), a.dtype)]) if flag else a.copy()
            for a, flag in zip(self.inputs, self.batched, strict=True)
        ]
        outputs = _array("forward returned", self.forward(*longer))
        wanted = (samples + 1, *self.output.shape[1:])
        slack = ROUNDINGS * self.eps * float(np.abs(self.output).max(initial=0))
        if outputs.shape != wanted or not (np.abs(outputs[:-1] - self.output) <= slack).all():
            raise ValueError(
                "batched: one more sample on axis 0 of the batched inputs changed the outputs of the others, or the "
                f"output's shape from {self.output.shape} to {outputs.shape} instead of {wanted}; are the samples on "
                "axis 0 independent?"
            )

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
        """What each value of ``read`` is made of: the largest output, and the sum of the weighted magnitudes."""
        samples = self.inputs[i].shape[0] if self.batched[i] else 1
        magnitudes = np.abs(np.asarray(outputs, np.float64)).reshape(copies, samples, -1)
        total: Floats = (magnitudes * np.abs(self.cotangent).reshape(samples, -1)).sum(axis=-1, keepdims=True)
        if not full:
            return total
        largest = np.broadcast_to(magnitudes.max(axis=-1, keepdims=True), magnitudes.shape)
        return np.concatenate([largest, total], axis=-1)

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
            As from ``read``.
        sizes : array, shape (E, S, m + 1)
            Largest magnitude of what they are made of.
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
                outputs = self._stacked(i, moved.reshape(copies * samples, *x.shape[1:]), copies)
            else:
                rows = [self._others(i, one.reshape(x.shape)) for one in moved.reshape(copies, -1)]
                outputs = np.stack([_array("forward returned", self.forward(*row)) for row in rows])
            shape = (levels, len(some), samples, -1)
            parts.append(self.read(i, outputs, copies, full).reshape(shape))
            sizes.append(self.sizes(i, outputs, copies, full).reshape(shape).max(axis=0))
        return np.concatenate(parts, axis=1), np.concatenate(sizes, axis=0)

    def analytic(self, i: int, full: bool) -> Floats:
        """What backward says, (elements, S, m + 1) in the order of ``values``."""
        x, u = self.inputs[i], self.cotangent
        projected: Floats = self.by_element(i, self._cotangent_of(i, u, self.inputs))[:, :, None]
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
            rows = self._cotangent_of(i, units, tiled).reshape(m, samples, -1)
        else:
            units = np.eye(u.size, dtype=u.dtype).reshape(u.size, *u.shape)
            rows = np.stack([self._cotangent_of(i, unit, self.inputs) for unit in units]).reshape(u.size, 1, x.size)
        return np.concatenate([rows.transpose(2, 1, 0).astype(np.float64), projected], axis=-1)

    def _cotangent_of(self, i: int, grad_output: Any, inputs: list[Any]) -> Any:
        cotangents = self.backward(grad_output.copy(), *[a.copy() for a in inputs])
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

    def _others(self, i: int, x: Any) -> list[Any]:
        return [x if j == i else a.copy() for j, a in enumerate(self.inputs)]

    def _stacked(self, i: int, stacked: Any, copies: int) -> Any:
        arguments = []
        for j, a in enumerate(self.inputs):
            tiled = np.tile(a, (copies, *[1] * (a.ndim - 1))) if self.batched[j] else a.copy()
            arguments.append(stacked if j == i else tiled)
        outputs = _array("forward returned", self.forward(*arguments))
        if outputs.shape != (copies * len(self.output), *self.output.shape[1:]):
            raise ValueError(
                f"forward returned shape {outputs.shape} for {copies} stacked copies of inputs that give "
                f"{self.output.shape}: is axis 0 of {self.names[i]} a batch of independent samples?"
            )
        return outputs


def _array(what: str, value: Any) -> Any:
    if not isinstance(value, np.ndarray | np.floating) or value.dtype.kind != "f":
        raise TypeError(f"{what} {type(value).__name__}: expected a floating NumPy array")
    return np.asarray(value)
