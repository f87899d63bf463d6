"""Optimisers: from parameters and gradients to new parameters, by pure functions.

    state = optimiser.init(block.params)
    …
    params, state = optimiser.step(block.params, grads, state)
    block.assign(params)

An optimiser holds its settings and nothing else. What it remembers from step to step is ``state``, a flat dict of
arrays that the caller keeps, and can save with :func:`attn_ref.blocks.save_arrays` beside the parameters. No array is
ever written into: the old parameters, gradients and state stay as they were.

The formulas are PyTorch's. With the gradient g of a parameter p, learning rate η and weight decay λ, both start with
g ← g + λ p, the gradient of an added ½ λ ‖p‖².
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf, sqrt
from typing import Any

import numpy as np

from attn_ref import validation
from attn_ref.backend import Array
from attn_ref.blocks.block import Arrays, prefixed
from attn_ref.validation import Numbers

__all__ = ["SGD", "Adam", "clip_gradients"]


@dataclass(frozen=True)
class SGD:
    """Stochastic gradient descent, with momentum m.

    The velocity v starts at 0:

        v ← m v + g
        p ← p − η v, or p − η (g + m v) with ``nesterov``

    Parameters
    ----------
    learning_rate : float
        η, at least 0.
    momentum : float
        m, at least 0; with 0 there is no state.
    weight_decay : float
        λ, at least 0.
    nesterov : bool
        Whether to look ahead by one more step of momentum.

    Raises
    ------
    TypeError, ValueError
        If a setting is not a number or out of range, or ``nesterov`` is asked for without momentum.

    Notes
    -----
    I. Sutskever et al., "On the importance of initialization and momentum in deep learning", ICML 2013, in the form of
    ``torch.optim.SGD``: the learning rate multiplies the velocity and is no part of it.

    Examples
    --------
    >>> import numpy as np
    >>> optimiser = SGD(0.1, momentum=0.5)
    >>> params, grads = {"w": np.array([1.0])}, {"w": np.array([2.0])}
    >>> state = optimiser.init(params)
    >>> params, state = optimiser.step(params, grads, state)
    >>> params, state = optimiser.step(params, grads, state)
    >>> params["w"]
    array([0.5])
    """

    learning_rate: float
    momentum: float = 0.0
    weight_decay: float = 0.0
    nesterov: bool = False

    def __post_init__(self) -> None:
        for name in ("learning_rate", "momentum", "weight_decay"):
            _at_least_0(name, getattr(self, name))
        if validation.flag("nesterov", self.nesterov) and not self.momentum:
            raise ValueError("nesterov=True needs a momentum above 0")

    def init(self, params: Mapping[str, Array]) -> Arrays:
        """Return the state before the first step.

        Parameters
        ----------
        params : mapping of str to array
            The parameters by name.

        Returns
        -------
        dict of str to array
            "velocity.NAME" for each parameter, zeros; nothing without momentum.

        Raises
        ------
        TypeError
            If a parameter is not an array of a supported library and dtype.
        """
        return _zeros("velocity", params) if self.momentum else {}

    def step(
        self,
        params: Mapping[str, Array],
        grads: Mapping[str, Array],
        state: Mapping[str, Array],
        learning_rate: float | None = None,
    ) -> tuple[Arrays, Arrays]:
        """Take one step.

        Parameters
        ----------
        params, grads : mapping of str to array
            Parameters and their gradients: the same names, shapes and dtypes.
        state : mapping of str to array
            From ``init``, or from the step before.
        learning_rate : float, optional
            For this step, in place of the optimiser's: what a schedule gives.

        Returns
        -------
        params, state : dict of str to array
            The new ones; fresh arrays.

        Raises
        ------
        TypeError, ValueError
            If names, shapes, dtypes or libraries do not fit; nothing is computed then.
        """
        rate = _rate(self, learning_rate)
        calls = _checked(params, grads, state, ["velocity"] if self.momentum else [])
        new_params: Arrays = {}
        new_state: Arrays = {}
        for name, call in calls.items():
            with call.backend.quiet():
                p, g = call["param"], call["grad"]
                if self.weight_decay:
                    g = g + self.weight_decay * p
                if self.momentum:
                    v = self.momentum * state[f"velocity.{name}"] + g
                    new_state[f"velocity.{name}"] = _kept(call, v)
                    g = g + self.momentum * v if self.nesterov else v
                new_params[name] = _finished(call, p - rate * g)
        return new_params, new_state


@dataclass(frozen=True)
class Adam:
    """Adam: steps of about η, whatever the scale of the gradient.

    Running means of g and g², both from 0, and corrected for that in step t = 1, 2, …:

        m ← β₁ m + (1 − β₁) g
        v ← β₂ v + (1 − β₂) g²
        p ← p − η m / (1 − β₁ᵗ) / (√(v / (1 − β₂ᵗ)) + ε)

    Parameters
    ----------
    learning_rate : float
        η, at least 0.
    betas : (float, float)
        β₁ and β₂, at least 0 and below 1.
    eps : float
        ε, at least 0.
    weight_decay : float
        λ, at least 0.

    Raises
    ------
    TypeError, ValueError
        If a setting is not a number or out of range.

    Notes
    -----
    D. Kingma and J. Ba, "Adam", ICLR 2015, algorithm 1; ``torch.optim.Adam``. The weight decay is part of the gradient,
    unlike AdamW's.

    Examples
    --------
    >>> import numpy as np
    >>> optimiser = Adam(0.1)
    >>> params, grads = {"w": np.array([1.0])}, {"w": np.array([250.0])}
    >>> params, state = optimiser.step(params, grads, optimiser.init(params))
    >>> params["w"]  # the first step is the learning rate, whatever the size of the gradient
    array([0.9])
    """

    learning_rate: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        for name in ("learning_rate", "eps", "weight_decay"):
            _at_least_0(name, getattr(self, name))
        if not isinstance(self.betas, tuple | list) or len(self.betas) != 2:
            raise TypeError(f"betas must be a pair of numbers, got {self.betas!r}")
        for i, beta in enumerate(self.betas):
            validation.real(f"betas[{i}]", beta, "at least 0 and below 1", lambda number: 0 <= number < 1)

    def init(self, params: Mapping[str, Array]) -> Arrays:
        """Return the state before the first step.

        Parameters
        ----------
        params : mapping of str to array
            The parameters by name.

        Returns
        -------
        dict of str to array
            "step", the number of steps taken, a NumPy integer array without axes; and for each parameter "mean.NAME"
            and "square.NAME", zeros.

        Raises
        ------
        TypeError
            If a parameter is not an array of a supported library and dtype.
        """
        return {"step": np.array(0), **_zeros("mean", params), **_zeros("square", params)}

    def step(
        self,
        params: Mapping[str, Array],
        grads: Mapping[str, Array],
        state: Mapping[str, Array],
        learning_rate: float | None = None,
    ) -> tuple[Arrays, Arrays]:
        """Take one step.

        Parameters
        ----------
        params, grads, state, learning_rate
            As in :meth:`SGD.step`.

        Returns
        -------
        params, state : dict of str to array
            The new ones; fresh arrays.

        Raises
        ------
        TypeError, ValueError
            As in :meth:`SGD.step`.
        """
        rate = _rate(self, learning_rate)
        calls = _checked(params, grads, state, ["mean", "square"], counted=True)
        t = int(state["step"]) + 1
        first, second = self.betas
        new_params: Arrays = {}
        new_state: Arrays = {"step": np.array(t)}
        for name, call in calls.items():
            with call.backend.quiet():
                p, g = call["param"], call["grad"]
                if self.weight_decay:
                    g = g + self.weight_decay * p
                m = first * state[f"mean.{name}"] + (1 - first) * g
                v = second * state[f"square.{name}"] + (1 - second) * (g * g)
                new_state[f"mean.{name}"], new_state[f"square.{name}"] = _kept(call, m), _kept(call, v)
                root = call.backend.xp.sqrt(v) / sqrt(1 - second**t) + self.eps
                new_params[name] = _finished(call, p - rate / (1 - first**t) * (m / root))
        return new_params, new_state


def clip_gradients(grads: Mapping[str, Array], max_norm: float) -> tuple[Arrays, float]:
    """Shorten the gradient, all parameters taken as one vector, to at most a given length.

    Parameters
    ----------
    grads : mapping of str to array
        Gradients by name.
    max_norm : float
        Greatest length ‖g‖, above 0.

    Returns
    -------
    clipped : dict of str to array
        min(1, max_norm / (‖g‖ + 10⁻⁶)) · g, fresh arrays.
    norm : float
        ‖g‖ before, summed in float64. If it is NaN or inf, some gradient is, and so are the clipped ones: look at it.

    Raises
    ------
    TypeError, ValueError
        If a gradient is not an array of a supported library and dtype, or max_norm is not a number above 0.

    Notes
    -----
    R. Pascanu et al., "On the difficulty of training recurrent neural networks", ICML 2013, algorithm 1;
    ``torch.nn.utils.clip_grad_norm_``, which has the 10⁻⁶ too.

    Examples
    --------
    >>> import numpy as np
    >>> clip_gradients({"w": np.array([3.0, 4.0])}, 1.0)  # the norm was 5
    ({'w': array([0.59999988, 0.79999984])}, 5.0)
    """
    validation.real("max_norm", max_norm, "above 0", lambda number: 0 < number < inf)
    calls = {name: validation.numbers(**{name: grad}) for name, grad in grads.items()}
    squares = 0.0
    for name, call in calls.items():
        with call.backend.quiet():
            squares += float(call.backend.xp.square(call[name].astype(np.float64)).sum())
    norm = sqrt(squares)
    factor = max_norm / (norm + 1e-6)
    factor = min(factor, 1.0) if factor == factor else factor
    clipped: Arrays = {}
    for name, call in calls.items():
        with call.backend.quiet():
            clipped[name] = call.finish(call[name] * factor).reshape(grads[name].shape)
    return clipped, norm


# ---------------------------------------------------------------------------------------------------------------------


def _at_least_0(name: str, value: Any) -> float:
    return validation.real(name, value, "at least 0", lambda number: 0 <= number < inf)


def _rate(optimiser: SGD | Adam, learning_rate: float | None) -> float:
    return float(optimiser.learning_rate) if learning_rate is None else _at_least_0("learning_rate", learning_rate)


def _zeros(kind: str, params: Mapping[str, Array]) -> Arrays:
    """Zeros for each parameter, in the precision that is computed with."""
    calls = {name: validation.numbers(**{name: array}) for name, array in params.items()}
    return prefixed(
        kind, {name: call.backend.xp.zeros(params[name].shape, call.working) for name, call in calls.items()}
    )


def _checked(
    params: Mapping[str, Array],
    grads: Mapping[str, Array],
    state: Mapping[str, Array],
    kinds: list[str],
    *,
    counted: bool = False,
) -> dict[str, Numbers]:
    """Check that gradients and state fit the parameters; the pair of each name, ready to compute with."""
    _same_names("grads", grads, list(params))
    _same_names("state", state, ["step"] * counted + [f"{kind}.{name}" for kind in kinds for name in params])
    calls = {}
    for name, array in params.items():
        title = f"params[{name!r}]"
        _matches(title, array, f"grads[{name!r}]", grads[name])
        calls[name] = validation.numbers(param=array, grad=grads[name])
        for key in (f"{kind}.{name}" for kind in kinds):
            kept = validation.numbers(**{f"state[{key!r}]": state[key]})
            validation.shape(f"state[{key!r}]", state[key], array.shape, f"the shape of {title}")
            if kept.dtype != calls[name].working or kept.backend is not calls[name].backend:
                raise TypeError(
                    f"state[{key!r}] is a {kept.backend.name} array of {kept.dtype}: expected a "
                    f"{calls[name].backend.name} array of {calls[name].working} for {title}"
                )
    if counted:
        count = state["step"]
        if not isinstance(count, np.ndarray) or count.shape != () or count.dtype.kind not in "iu" or count < 0:
            raise ValueError(f"state['step'] must be a NumPy integer array without axes, at least 0, got {count!r}")
    return calls


def _same_names(title: str, given: Mapping[str, Array], wanted: list[str]) -> None:
    missing = [name for name in wanted if name not in given]
    surplus = [name for name in given if name not in wanted]
    if missing or surplus:
        parts = [("missing", missing), ("without a parameter", surplus)]
        listed = "; ".join(f"{word}: {', '.join(names)}" for word, names in parts if names)
        raise ValueError(f"{title} does not fit params: {listed}")


def _matches(title: str, array: Array, other_title: str, other: Array) -> None:
    validation.numbers(**{title: array, other_title: other})
    validation.shape(other_title, other, array.shape, f"the shape of {title}")


def _kept(call: Numbers, array: Array) -> Array:
    """An array for the state: a 0-d result is a scalar in NumPy, and becomes an array again."""
    return call.backend.xp.asarray(array, call.working)


def _finished(call: Numbers, array: Array) -> Array:
    return call.finish(array).reshape(call.given["param"].shape)
