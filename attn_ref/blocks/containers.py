"""Blocks made of blocks, and the two that only hand on what they get.

A block of blocks runs its children forward and keeps their pullbacks; its own pullback runs those in reverse. That is
the chain rule, and all there is to back-propagation.
"""

from __future__ import annotations

from math import prod

from attn_ref import validation
from attn_ref.backend import Array
from attn_ref.blocks.block import Arrays, Block, Pullback, prefixed

__all__ = ["Flatten", "Identity", "Residual", "Sequential"]


class Flatten(Block):
    """All that belongs to a sample in one row: (N, …) to (N, F). The output may share memory with the input.

    Examples
    --------
    >>> import numpy as np
    >>> y, backward = Flatten().forward(np.zeros((5, 3, 4, 2)))
    >>> y.shape, backward(y)[0].shape
    ((5, 24), (5, 3, 4, 2))
    """

    def _forward(self, x: Array, training: bool) -> tuple[Array, Pullback, Arrays]:
        validation.numbers(input=x)
        if x.ndim < 1:
            raise ValueError(f"input has shape {x.shape}: expected (N, …)")
        y = x.reshape(x.shape[0], prod(x.shape[1:]))

        def backward(grad_y: Array) -> tuple[Array, Arrays]:
            return _like(grad_y, y).reshape(x.shape), {}

        return y, backward, {}


class Identity(Block):
    """The input itself.

    Examples
    --------
    >>> import numpy as np
    >>> y, backward = Identity().forward(np.array([[1.0, 2.0]]))
    >>> y, backward(y)[1]
    (array([[1., 2.]]), {})
    """

    def _forward(self, x: Array, training: bool) -> tuple[Array, Pullback, Arrays]:
        validation.numbers(input=x)
        return x, lambda grad_y: (_like(grad_y, x), {}), {}


class Sequential(Block):
    """One block after another.

    Parameters
    ----------
    *blocks : Block
        In the order in which they run; as children they are called "0", "1", … A block with parameters is given once:
        its gradients would otherwise come in parts, under two names.

    Raises
    ------
    TypeError, ValueError
        If something is not a block, or is given twice.

    Notes
    -----
    y = f₂(f₁(x)): the pullbacks run in reverse, each on the cotangent that the one after it returned.

    Examples
    --------
    >>> import numpy as np
    >>> from attn_ref.blocks import Activation, Linear
    >>> rng = np.random.default_rng(0)
    >>> net = Sequential(Linear(4, 8, rng=rng), Activation("relu"), Linear(8, 3, rng=rng))
    >>> y, backward = net.forward(np.ones((5, 4), np.float32))
    >>> grad_x, grads = backward(np.ones_like(y))
    >>> sorted(grads) == sorted(net.params), sorted(grads)
    (True, ['0.bias', '0.weight', '2.bias', '2.weight'])
    """

    def __init__(self, *blocks: Block) -> None:
        super().__init__(children={str(i): block for i, block in enumerate(blocks)})

    def _forward(self, x: Array, training: bool) -> tuple[Array, Pullback, Arrays]:
        if not self.children:
            return Identity()._forward(x, training)
        buffers: Arrays = {}
        pullbacks: dict[str, Pullback] = {}
        for name, block in self.children.items():
            try:
                x, pullbacks[name], new = block._forward(x, training)
            except (TypeError, ValueError) as error:
                error.add_note(f"in {type(block).__name__} {name!r} of a Sequential")
                raise
            buffers |= prefixed(name, new)

        def backward(grad: Array) -> tuple[Array, Arrays]:
            found: dict[str, Arrays] = {}
            for name, pullback in reversed(pullbacks.items()):
                grad, found[name] = pullback(grad)
            grads: Arrays = {}
            for name in pullbacks:
                grads |= prefixed(name, found[name])
            return grad, grads

        return x, backward, buffers


class Residual(Block):
    """Y = body(X) + shortcut(X).

    Parameters
    ----------
    body : Block
        One way from input to output.
    shortcut : Block, optional
        The other, with an output of the same shape; :class:`Identity` by default.

    Raises
    ------
    TypeError, ValueError
        If an argument is not a block; in a call, if the two outputs differ in shape or dtype.

    Notes
    -----
    Both ways get the cotangent of Y, and the cotangents of X that they return are added.

    Examples
    --------
    >>> import numpy as np
    >>> y, backward = Residual(Identity()).forward(np.array([[1.0, 2.0]]))
    >>> y, backward(np.ones_like(y))[0]
    (array([[2., 4.]]), array([[2., 2.]]))
    """

    def __init__(self, body: Block, shortcut: Block | None = None) -> None:
        super().__init__(children={"body": body, "shortcut": Identity() if shortcut is None else shortcut})

    def _forward(self, x: Array, training: bool) -> tuple[Array, Pullback, Arrays]:
        y, pull_body, new = self.children["body"]._forward(x, training)
        short, pull_shortcut, others = self.children["shortcut"]._forward(x, training)
        call = validation.numbers(body=y, shortcut=short)
        validation.shape("shortcut's output", short, y.shape, "the shape of body's output")

        def backward(grad_y: Array) -> tuple[Array, Arrays]:
            one, grads = pull_body(_like(grad_y, y))
            other, more = pull_shortcut(grad_y)
            with call.backend.quiet():
                return one + other, prefixed("body", grads) | prefixed("shortcut", more)

        with call.backend.quiet():
            return y + short, backward, prefixed("body", new) | prefixed("shortcut", others)


def _like(grad_y: Array, y: Array) -> Array:
    """Check a cotangent of an output that no operation checks."""
    validation.numbers(output=y, grad_output=grad_y)
    validation.shape("grad_output", grad_y, y.shape, "the shape of the output")
    return grad_y
