"""What a block is: named parameters, and a forward pass that hands back its own backward pass.

    y, backward = block.forward(x)
    grad_x, grads = backward(grad_y)

``backward`` is the *pullback* at x: it takes a cotangent of y to the cotangents of x and of each parameter. All that it
needs of the forward pass it holds itself, as a closure; nothing is stored on the block. So a block that is used twice,
or in two threads, is right, and which arrays are kept for the backward pass is visible where they are used.

A block of blocks runs its children forward, keeps their pullbacks, and runs those in reverse: the chain rule. There is
no tape. A parameter of a child is known under the child's name, a dot and its own: ``"conv1.weight"``.

In training mode some blocks also compute new *buffers*: values that are kept but not learned by gradients, such as
running means. They are returned for the caller to assign, because assigning is a change of state and a forward pass
is none:

    y, backward, buffers = block.forward(x, training=True)
    block.assign(buffers)
"""

from __future__ import annotations

import difflib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from attn_ref import backend as _backend
from attn_ref import validation
from attn_ref.backend import Array

__all__ = ["Arrays", "Block", "Pullback", "prefixed"]

Arrays = dict[str, Array]
"""Arrays by the names of parameters or buffers."""

Pullback = Callable[[Array], tuple[Array, Arrays]]
"""From the cotangent of the output to those of the input and of the parameters."""


class Block(ABC):
    """A function with named parameters.

    Parameters
    ----------
    params : mapping of str to array, optional
        The block's own parameters.
    buffers : mapping of str to array, optional
        Its own buffers: kept and saved, but not trained.
    children : mapping of str to Block, optional
        Blocks it is made of.

    Raises
    ------
    TypeError
        If a child is not a block.
    ValueError
        If a block with parameters or buffers of its own occurs twice among the children and theirs.

    Notes
    -----
    A kind of block implements ``_forward(x, training)``, which returns the output, the pullback and the new buffers.

    A block owns its parameters under one name. To share them, run one child twice and add its two gradients; a child
    under two names would be trained twice, each time with a part of its gradient.

    Examples
    --------
    >>> import numpy as np
    >>> class Scale(Block):
    ...     def _forward(self, x, training):
    ...         s = self.params["s"]
    ...         return s * x, lambda grad_y: (s * grad_y, {"s": (grad_y * x).sum(keepdims=True).ravel()}), {}
    >>> y, backward = Scale({"s": np.array([3.0])}).forward(np.array([1.0, 2.0]))
    >>> y, backward(np.array([1.0, 1.0]))
    (array([3., 6.]), (array([3., 3.]), {'s': array([3.])}))
    """

    def __init__(
        self,
        params: Mapping[str, Array] | None = None,
        buffers: Mapping[str, Array] | None = None,
        children: Mapping[str, Block] | None = None,
    ) -> None:
        self._params: Arrays = dict(params or {})
        self._buffers: Arrays = dict(buffers or {})
        self.children: dict[str, Block] = dict(children or {})
        for name, child in self.children.items():
            if not isinstance(child, Block):
                raise TypeError(f"{name!r} must be a Block, got {type(child).__name__}")
        owners: dict[int, str] = {}
        for name, block in self._descendants():
            if (block._params or block._buffers) and owners.setdefault(id(block), name) != name:
                raise ValueError(
                    f"one {type(block).__name__} is both {owners[id(block)]!r} and {name!r}: it would be trained "
                    "twice, each time with a part of its gradient; give each place a block of its own"
                )

    def _descendants(self) -> Iterator[tuple[str, Block]]:
        for name, child in self.children.items():
            yield name, child
            for rest, block in child._descendants():
                yield f"{name}.{rest}", block

    @property
    def params(self) -> Arrays:
        """All parameters by name, those of children after the block's own. A fresh dict of the arrays themselves."""
        return self._gathered(lambda block: block._params)

    @property
    def buffers(self) -> Arrays:
        """All buffers by name, likewise."""
        return self._gathered(lambda block: block._buffers)

    def _gathered(self, own: Callable[[Block], Arrays]) -> Arrays:
        found = dict(own(self))
        for name, child in self.children.items():
            found |= prefixed(name, child._gathered(own))
        return found

    def assign(self, arrays: Mapping[str, Array]) -> None:
        """Replace parameters and buffers: all that are named, or none if anything is wrong.

        Parameters
        ----------
        arrays : mapping of str to array
            New values by name, each with the shape, dtype and array library of the value it replaces. The block keeps
            the arrays themselves and never writes into them.

        Raises
        ------
        ValueError
            If a name is unknown or a shape differs.
        TypeError
            If something is not an array, or its dtype or library differs.
        """
        known = {**self.params, **self.buffers}
        for name, array in arrays.items():
            if name not in known:
                near = difflib.get_close_matches(name, known, 1)
                hint = f"; did you mean {near[0]!r}?" if near else ""
                raise ValueError(f"{name!r} is no parameter or buffer: expected some of {', '.join(known)}{hint}")
            given = validation.numbers(**{name: array})
            there = validation.numbers(**{name: known[name]})
            validation.shape(name, array, known[name].shape, "the shape of the value it replaces")
            if given.dtype != there.dtype or given.backend is not there.backend:
                raise TypeError(
                    f"{name} is a {given.backend.name} array of {given.dtype} but replaces a {there.backend.name} "
                    f"array of {there.dtype}: convert it"
                )
        for name, array in arrays.items():
            self._set(name, array)

    def move(self, to: Callable[[Array], Array]) -> None:
        """Take all parameters and buffers to another array library or device: all of them, or none if anything fails.

        Parameters
        ----------
        to : callable
            Makes the new array of an old one: ``cupy.asarray`` moves a block to a GPU, ``cupy.asnumpy`` back.

        Raises
        ------
        TypeError, ValueError
            If it does not give an array of a supported library, or changes a shape or dtype; the message names the
            parameter.
        """
        moved = {name: to(array) for name, array in {**self.params, **self.buffers}.items()}
        if moved:
            _backend.of(**moved)  # one library and one device for all of them
        for name, old in {**self.params, **self.buffers}.items():
            validation.shape(name, moved[name], old.shape, "the shape it had before it was moved")
            if moved[name].dtype != old.dtype:
                raise TypeError(f"{name} was an array of {old.dtype} and came back as {moved[name].dtype}")
        for name, array in moved.items():
            self._set(name, array)

    def _set(self, name: str, array: Array) -> None:
        for own in (self._params, self._buffers):
            if name in own:
                own[name] = array
                return
        child, _, rest = name.partition(".")
        self.children[child]._set(rest, array)

    def forward(self, x: Array, *, training: bool = False) -> Any:
        """Compute the output, and make the pullback.

        Parameters
        ----------
        x : array
            The input; its shape is the block's matter.
        training : bool
            Whether to compute as in training: batch normalisation then uses the statistics of the batch.

        Returns
        -------
        y : array
            The output.
        backward : callable
            The pullback: ``grad_x, grads = backward(grad_y)``, where ``grads`` is a dict with the names of ``params``.
        buffers : dict of str to array
            Only if ``training``: new values of the buffers, for the caller to assign.

        Raises
        ------
        TypeError, ValueError
            If x does not fit the block; ``grad_y`` is checked likewise when the pullback is called.
        """
        training = validation.flag("training", training)
        y, backward, buffers = self._forward(x, training)
        return (y, backward, buffers) if training else (y, backward)

    @abstractmethod
    def _forward(self, x: Array, training: bool) -> tuple[Array, Pullback, Arrays]:
        """Return the output, the pullback and the new buffers."""

    @property
    def count(self) -> int:
        """Number of parameters, counted element by element."""
        return sum(int(np.prod(array.shape)) for array in self.params.values())


def prefixed(name: str, arrays: Mapping[str, Array]) -> Arrays:
    """Return arrays of a child under the names that they have in its parent.

    Parameters
    ----------
    name : str
        The child's name.
    arrays : mapping of str to array
        Arrays under the child's own names.

    Returns
    -------
    dict of str to array
        The same arrays as "NAME.own".

    Examples
    --------
    >>> import numpy as np
    >>> prefixed("conv1", {"weight": np.zeros(2), "bias": np.zeros(1)}).keys()
    dict_keys(['conv1.weight', 'conv1.bias'])
    """
    return {f"{name}.{key}": array for key, array in arrays.items()}
