"""Spatial transformers: blocks that look where a smaller network tells them to.

A *localiser*, any block, maps the image to a few parameters a sample; they give theta, an affine map from output to
input coordinates; and the output reads the input through that map [1]_:

    parameters = localiser(x)                        (N, K)
    theta      = theta_of(parameters, restriction)   (N, 2, 3)
    grid       = affine_grid(theta, (N, C, *output_size))
    y          = grid_sample(x, grid)

x comes in twice, as what is read and as what decides where, so the chain rule gives two cotangents of x, which are
added:

    dx, dgrid   = grid_sample_backward(dy, x, grid)
    dtheta      = affine_grid_backward(dgrid)
    dparameters = theta_of_backward(dtheta, parameters, restriction)
    dx'         = the localiser's pullback of dparameters
    the cotangent of x is dx + dx'

**The pair.** RMPE [2]_ looks at a person with a transformer (STN), estimates the pose there, and carries it back with
a de-transformer (SDTN). In the paper's notation, with s for the coordinates of the input and t for those of the output
of the STN:

    STN   (xˢ, yˢ) = [θ₁ θ₂] (xᵗ, yᵗ) + θ₃           its equation (1)
    SDTN  (xᵗ, yᵗ) = [γ₁ γ₂] (xˢ, yˢ) + γ₃           equation (2)
          [γ₁ γ₂] = [θ₁ θ₂]⁻¹,  γ₃ = −[γ₁ γ₂] θ₃     equations (3) and (4)

so γ is ``affine_inverse(theta)``: the SDTN's output lies in the frame of the STN's input, and reads the processed image
at the inverse map. theta then gets cotangents along two ways, from the first grid and, through the inverse, from the
second:

    dgamma = affine_grid_backward(dgrid₂)
    dtheta = affine_grid_backward(dgrid₁) + affine_inverse_backward(dgamma, theta)

.. [1] M. Jaderberg et al., "Spatial Transformer Networks", NeurIPS 2015, section 3.
.. [2] H.-S. Fang et al., "RMPE: Regional Multi-person Pose Estimation", ICCV 2017, section 3.2.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attn_ref import validation
from attn_ref.backend import Array
from attn_ref.blocks.block import Arrays, Block, Pullback, prefixed
from attn_ref.blocks.restrictions import RESTRICTIONS, check_width, theta_of, theta_of_backward
from attn_ref.ops.affine import affine_grid, affine_grid_backward, affine_inverse, affine_inverse_backward
from attn_ref.ops.operator import sampling_operator
from attn_ref.ops.taps import check_options

__all__ = ["SpatialTransformer", "SpatialTransformerPair"]


class _Transformer(Block):
    """What both kinds share: a localiser, and how to read."""

    def __init__(
        self,
        children: dict[str, Block],
        output_size: tuple[int, int] | None,
        mode: str,
        padding_mode: str,
        align_corners: bool,
        restriction: str,
    ) -> None:
        super().__init__(children=children)
        mode, padding_mode, align_corners = check_options(mode, padding_mode, align_corners)
        self.options: dict[str, Any] = {"mode": mode, "padding_mode": padding_mode, "align_corners": align_corners}
        self.restriction = validation.choice("restriction", restriction, RESTRICTIONS)
        self.output_size = _size("output_size", output_size)

    def theta(self, x: Array) -> Array:
        """Return where the transformer looks, as in evaluation mode.

        Parameters
        ----------
        x : array, shape (N, C, H, W)
            The image.

        Returns
        -------
        array, shape (N, 2, 3)
            Maps output coordinates to input coordinates.

        Raises
        ------
        TypeError, ValueError
            As in ``forward``.
        """
        theta: Array = self._localise(x, training=False)[0]
        return theta

    def _localise(self, x: Array, training: bool) -> tuple[Array, Pullback, Arrays]:
        """Theta, and its pullback to x and to the localiser's parameters, with their names in this block."""
        validation.numbers(input=x)
        if x.ndim != 4:
            raise ValueError(f"input has {x.ndim} axes, shape {x.shape}: expected (N, C, H, W)")
        localiser = self.children["localiser"]
        parameters, pull, new = localiser._forward(x, training)
        subject = f"the localiser, {type(localiser).__name__}, yields parameters of"
        check_width(subject, parameters.shape, self.restriction, batch=x.shape[0])

        def backward(grad_theta: Array) -> tuple[Array, Arrays]:
            grad_x, grads = pull(theta_of_backward(grad_theta, parameters, self.restriction))
            return grad_x, prefixed("localiser", grads)

        theta = theta_of(parameters, self.restriction)
        return theta, backward, prefixed("localiser", new)

    def _read(self, x: Array, theta: Array, space: tuple[int, ...]) -> tuple[Array, Callable[[Array], Any]]:
        """Read x through theta, and the pullback to both. The operator of the grid is made once and serves both."""
        align_corners = self.options["align_corners"]
        size = (*x.shape[:2], *space)
        grid = affine_grid(theta, size, align_corners=align_corners)
        validation.image_and_grid(x.shape, grid.shape, channels_last=False)
        S = sampling_operator(grid, x.shape[2:], **self.options)

        def backward(grad_y: Array) -> tuple[Array, Array]:
            grad_grid = S.grid_gradient(grad_y, x)
            return S.transpose(grad_y), affine_grid_backward(grad_grid, size, align_corners=align_corners)

        return S.apply(x), backward


class SpatialTransformer(_Transformer):
    """Look where the localiser says.

    Parameters
    ----------
    localiser : Block
        Takes the image (N, C, H, W) and yields the parameters of theta: (N, 6) or (N, 2, 3), (N, 3) or (N, 1), as the
        restriction asks. Let it end in :func:`identity_head`.
    output_size : (int, int), optional
        Height and width of the output; those of the input by default.
    mode : {"bilinear", "nearest", "bicubic"}
        As in :func:`attn_ref.grid_sample`. With "nearest" theta has gradient 0 and learns nothing.
    padding_mode : {"zeros", "border", "reflection"}
        As in :func:`attn_ref.grid_sample`.
    align_corners : bool
        As in :func:`attn_ref.grid_sample`; used for both grid and sampling.
    restriction : {"affine", "attention", "rotation"}
        As in :func:`theta_of`.

    Raises
    ------
    TypeError, ValueError
        If an argument is of another kind; in a call, if the image does not fit, or the localiser yields another shape
        than the restriction asks for.

    Notes
    -----
    Jaderberg et al., "Spatial Transformer Networks", NeurIPS 2015. Parameters are named "localiser.…".

    Examples
    --------
    >>> import numpy as np
    >>> from attn_ref.blocks import Flatten, Sequential, identity_head
    >>> block = SpatialTransformer(Sequential(Flatten(), identity_head(12, "rotation")), align_corners=False,
    ...                            restriction="rotation")
    >>> x = np.arange(12, dtype=np.float32).reshape(1, 1, 3, 4)
    >>> y, backward = block.forward(x)
    >>> bool(np.allclose(y, x))
    True
    """

    def __init__(
        self,
        localiser: Block,
        *,
        output_size: tuple[int, int] | None = None,
        mode: str = "bilinear",
        padding_mode: str = "zeros",
        align_corners: bool,
        restriction: str = "affine",
    ) -> None:
        super().__init__({"localiser": localiser}, output_size, mode, padding_mode, align_corners, restriction)

    def _forward(self, x: Array, training: bool) -> tuple[Array, Pullback, Arrays]:
        theta, pull_theta, new = self._localise(x, training)
        y, pull_read = self._read(x, theta, self.output_size or x.shape[2:])

        def backward(grad_y: Array) -> tuple[Array, Arrays]:
            read, grad_theta = pull_read(grad_y)
            decided, grads = pull_theta(grad_theta)
            return _sum(read, decided), grads

        return y, backward, new


class SpatialTransformerPair(_Transformer):
    """Look where the localiser says, process what is seen, and put the result back in its place (RMPE).

    Parameters
    ----------
    localiser : Block
        As in :class:`SpatialTransformer`.
    body : Block
        Takes what is seen, (N, C, *output_size), and yields an image (N, C', H', W') of it, of any size.
    output_size : (int, int), optional
        Height and width of what the body sees; those of the input by default.
    restored_size : (int, int), optional
        Height and width of the output; those of the input by default.
    mode, padding_mode, align_corners, restriction
        As in :class:`SpatialTransformer`, for both transformers. Places that were not looked at lie outside the body's
        image: with "zeros" they are 0 in the output.

    Raises
    ------
    TypeError, ValueError
        As for :class:`SpatialTransformer`; in a call also if a theta is singular (its message names the sample) or the
        body yields no image.

    Notes
    -----
    Fang et al., "RMPE", ICCV 2017, section 3.2: STN, pose estimator and SDTN, whose γ is the inverse of theta.
    Parameters are named "localiser.…" and "body.…".

    Examples
    --------
    >>> import numpy as np
    >>> from attn_ref.blocks import Flatten, Identity, Sequential, identity_head
    >>> localiser = Sequential(Flatten(), identity_head(12))
    >>> pair = SpatialTransformerPair(localiser, Identity(), align_corners=False)
    >>> x = np.arange(12, dtype=np.float32).reshape(1, 1, 3, 4)
    >>> bool(np.allclose(pair.forward(x)[0], x))  # there and back
    True
    """

    def __init__(
        self,
        localiser: Block,
        body: Block,
        *,
        output_size: tuple[int, int] | None = None,
        restored_size: tuple[int, int] | None = None,
        mode: str = "bilinear",
        padding_mode: str = "zeros",
        align_corners: bool,
        restriction: str = "affine",
    ) -> None:
        children = {"localiser": localiser, "body": body}
        super().__init__(children, output_size, mode, padding_mode, align_corners, restriction)
        self.restored_size = _size("restored_size", restored_size)

    def _forward(self, x: Array, training: bool) -> tuple[Array, Pullback, Arrays]:
        theta, pull_theta, new = self._localise(x, training)
        gamma = affine_inverse(theta)
        seen, pull_seen = self._read(x, theta, self.output_size or x.shape[2:])
        body = self.children["body"]
        processed, pull_body, more = body._forward(seen, training)
        if processed.ndim != 4 or processed.shape[0] != x.shape[0]:
            raise ValueError(
                f"the body, {type(body).__name__}, yields shape {processed.shape}: expected an image "
                f"({x.shape[0]}, C, H, W)"
            )
        y, pull_restored = self._read(processed, gamma, self.restored_size or x.shape[2:])

        def backward(grad_y: Array) -> tuple[Array, Arrays]:
            grad_processed, grad_gamma = pull_restored(grad_y)
            grad_seen, body_grads = pull_body(grad_processed)
            read, grad_theta = pull_seen(grad_seen)
            decided, grads = pull_theta(_sum(grad_theta, affine_inverse_backward(grad_gamma, theta)))
            return _sum(read, decided), grads | prefixed("body", body_grads)

        return y, backward, new | prefixed("body", more)


def _size(name: str, value: tuple[int, int] | None) -> tuple[int, ...] | None:
    return None if value is None else validation.sizes(name, value, ["HW"], least=1)


def _sum(one: Array, other: Array) -> Array:
    with validation.numbers(one=one, other=other).backend.quiet():
        return one + other
