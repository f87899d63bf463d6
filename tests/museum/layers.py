"""Mistakes of the operations that training needs, to be planted like those of samplers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from attn_ref.ops import conv, normalization, pooling
from attn_ref.registry import OPERATIONS

from .bugs import Bug, Patch, _functions, _Library

LINEAR, CONV, NORM = "linear", "conv2d", "batch_norm"
MAX, AVG, GLOBAL, LOSS = "max_pool2d", "avg_pool2d", "global_avg_pool", "cross_entropy"


def _cotangents(patch: Patch, name: str, change: Callable[..., dict[str, Any]]) -> None:
    """Change some of the cotangents that the backward pass returns: ``change(right, grad_output, inputs)``."""
    right = OPERATIONS[name].functions.backward

    def backward(grad_output: Any, *inputs: Any, **options: Any) -> Any:
        found = right(grad_output, *inputs, **options)
        return found._replace(**change(found, grad_output, inputs))

    _functions(patch, name, backward=backward)


# --- linear


def bias_gradient_dropped(patch: Patch) -> None:
    _cotangents(patch, LINEAR, lambda found, *_: {"bias": None if found.bias is None else found.bias * 0})


def bias_gradient_averaged(patch: Patch) -> None:
    def change(found: Any, grad_output: Any, _: Any) -> dict[str, Any]:
        return {"bias": None if found.bias is None else grad_output.mean(axis=0)}

    _cotangents(patch, LINEAR, change)


# --- conv2d


def window_flipped(patch: Patch) -> None:
    """A convolution in the mathematicians' sense."""
    original = conv._Windows.matrices
    patch.setattr(conv._Windows, "matrices", lambda self, weight: original(self, weight[:, :, ::-1, ::-1]))


def weight_gradient_flipped(patch: Patch) -> None:
    _cotangents(patch, CONV, lambda found, *_: {"weight": np.ascontiguousarray(found.weight[:, :, ::-1, ::-1])})


def input_gradient_with_the_window_not_turned(patch: Patch) -> None:
    """The input's cotangent as a correlation with the same window, where it must be turned by half a turn."""
    right = OPERATIONS[CONV].functions.backward

    def backward(grad_output: Any, x: Any, W: Any, b: Any = None, **options: Any) -> Any:
        turned = right(grad_output, x, np.ascontiguousarray(W[:, :, ::-1, ::-1]), b, **options)
        return right(grad_output, x, W, b, **options)._replace(input=turned.input)

    _functions(patch, CONV, backward=backward)


def overlapping_windows_by_assignment(patch: Patch) -> None:
    """Folding that writes where it must add."""

    def fold(self: Any, xp: Any, T: Any) -> Any:
        (kH, kW), (_, _, Ho, Wo) = self.kernel, self.output
        m = T.shape[2] // (Ho * Wo)
        T = T.reshape(self.input[1], kH, kW, Ho, Wo, m)
        padded, inside = self._padded(xp, m, T.dtype)
        for i in range(kH):
            for j in range(kW):
                rows = conv._run(i * self.dilation[0], self.stride[0], Ho)
                padded[:, rows, conv._run(j * self.dilation[1], self.stride[1], Wo)] = T[:, i, j]
        return inside.transpose(3, 0, 1, 2)

    patch.setattr(conv._Windows, "fold", fold)


def padding_with_the_edge(patch: Patch) -> None:
    """The image continued by its edge pixels where zeros are meant."""
    right = OPERATIONS[CONV].functions.forward

    def forward(x: Any, *weights: Any, padding: Any, **options: Any) -> Any:
        beyond = [(0, 0), (0, 0), *((p, p) for p in np.broadcast_to(padding, 2))]
        return right(np.pad(x, beyond, mode="edge"), *weights, padding=0, **options)

    _functions(patch, CONV, forward=forward)


def conv_averaged_over_the_batch(patch: Patch) -> None:
    _cotangents(
        patch,
        CONV,
        lambda found, grad_output, _: {"weight": (found.weight / max(len(grad_output), 1)).astype(found.weight.dtype)},
    )


def groups_in_reverse_order(patch: Patch) -> None:
    """The backward pass with the groups of the output counted from the last."""
    original = conv._Windows.samples_last
    patch.setattr(conv._Windows, "samples_last", lambda self, dy: original(self, dy)[::-1])


def conv_bias_gradient_dropped(patch: Patch) -> None:
    _cotangents(patch, CONV, lambda found, *_: {"bias": None if found.bias is None else found.bias * 0})


def conv_bias_gradient_of_one_place(patch: Patch) -> None:
    """Summed over the samples, but not over the places."""

    def change(found: Any, grad_output: Any, _: Any) -> dict[str, Any]:
        return {"bias": None if found.bias is None else grad_output[:, :, 0, 0].sum(axis=0)}

    _cotangents(patch, CONV, change)


# --- batch normalisation


def _moments(patch: Patch, change: Callable[[Any, Any, Any, int], tuple[Any, Any, Any]]) -> None:
    """Change mean, variance and x − mean."""
    original = normalization._moments

    def moments(call: Any) -> Any:
        return change(*original(call), normalization._count(call.given["input"].shape))

    patch.setattr(normalization, "_moments", moments)


def unbiased_variance(patch: Patch) -> None:
    _moments(patch, lambda mean, v, centred, M: (mean, v * (M / (M - 1)), centred))


def eps_outside_the_root(patch: Patch) -> None:
    original = normalization._normalised

    def normalised(call: Any, training: bool, eps: float) -> Any:
        found = original(call, training, 1e-300)
        std = 1 / found.r
        return normalization._Normalised(found.x_hat * (std / (std + eps))[:, None], 1 / (std + eps), found.count)

    patch.setattr(normalization, "_normalised", normalised)


def _norm_input_gradient(patch: Patch, keeps_mean: bool, keeps_variance: bool) -> None:
    """The backward pass in training without the path through the mean, or the one through the variance."""
    right = OPERATIONS[NORM].functions.backward

    def backward(grad_output: Any, x: Any, weight: Any, bias: Any, *, training: bool, **options: Any) -> Any:
        found = right(grad_output, x, weight, bias, training=training, **options)
        if not training:
            return found
        axes = (0, *range(2, x.ndim))

        def along(a: Any) -> Any:
            return a.reshape(-1, *[1] * (x.ndim - 2))

        r = along(1 / np.sqrt(x.var(axis=axes) + options["eps"]))
        x_hat = (x - along(x.mean(axis=axes))) * r
        dx = grad_output.astype(x.dtype)
        if keeps_mean:
            dx = dx - along(grad_output.mean(axis=axes))
        if keeps_variance:
            dx = dx - x_hat * along((grad_output * x_hat).mean(axis=axes))
        dx = dx * r * (1 if weight is None else along(weight))
        return found._replace(input=dx.astype(x.dtype))

    _functions(patch, NORM, backward=backward)


def no_path_through_the_mean(patch: Patch) -> None:
    _norm_input_gradient(patch, keeps_mean=False, keeps_variance=True)


def no_path_through_the_variance(patch: Patch) -> None:
    _norm_input_gradient(patch, keeps_mean=True, keeps_variance=False)


def statistics_of_a_sample(patch: Patch) -> None:
    """Mean and variance of each sample, not of the batch: instance normalisation."""
    right = OPERATIONS[NORM].functions.forward

    def forward(x: Any, *parameters: Any, training: bool, **options: Any) -> Any:
        if not training or x[0, 0].size < 2:
            return right(x, *parameters, training=training, **options)
        return np.concatenate([right(one[None], *parameters, training=True, **options) for one in x])

    _functions(patch, NORM, forward=forward)


def training_in_evaluation(patch: Patch) -> None:
    right = OPERATIONS[NORM].functions.forward

    def forward(*inputs: Any, training: bool, **options: Any) -> Any:
        return right(*inputs, training=True, **options)

    _functions(patch, NORM, forward=forward)


# --- pooling


def ties_shared(patch: Patch) -> None:
    """Every largest pixel of a window gets an equal part."""

    def to_maxima(xp: Any, windows: Any, X: Any, dY: Any) -> Any:
        Y, dX = pooling._maxima(xp, windows, X), np.zeros_like(X)
        count = np.zeros_like(Y)
        for tap in windows.taps():
            count[tap.outputs] += X[tap.pixels] == Y[tap.outputs]
        for tap in windows.taps():
            chosen = X[tap.pixels] == Y[tap.outputs]
            dX[tap.pixels] += np.where(chosen, dY[tap.outputs] / count[tap.outputs], 0)
        return dX

    patch.setattr(pooling, "_to_maxima", to_maxima)


def ties_all_paid_in_full(patch: Patch) -> None:
    """Every largest pixel of a window gets the whole cotangent."""
    original = pooling._to_maxima
    library = _Library(ones=lambda shape, dtype: np.ones(shape, dtype).view(_NeverSettled))

    def to_maxima(xp: Any, windows: Any, X: Any, dY: Any) -> Any:
        return np.asarray(original(library, windows, X, dY))

    patch.setattr(pooling, "_to_maxima", to_maxima)


class _NeverSettled(np.ndarray):
    """Flags that nothing clears."""

    def __ixor__(self, other: Any) -> _NeverSettled:
        return self


def last_of_the_ties(patch: Patch) -> None:
    original = pooling._Windows.taps
    patch.setattr(pooling._Windows, "taps", lambda self: reversed(list(original(self))))


def padded_with_zeros(patch: Patch) -> None:
    """A maximum over zeros where the window reaches beyond the image."""
    original = pooling._maxima

    def maxima(xp: Any, windows: Any, X: Any) -> Any:
        return original(_Library(full=lambda shape, value, dtype: np.zeros(shape, dtype)), windows, X)

    patch.setattr(pooling, "_maxima", maxima)


def divided_by_the_pixels_inside(patch: Patch) -> None:
    """A mean over the pixels of the window that lie in the image, as with count_include_pad=False."""
    right = OPERATIONS[AVG].functions.forward

    def forward(x: Any, kernel_size: Any, **options: Any) -> Any:
        inside = right(np.ones_like(x), kernel_size, **options)
        return right(x, kernel_size, **options) / inside

    _functions(patch, AVG, forward=forward)


def mean_gradient_not_divided(patch: Patch) -> None:
    right = OPERATIONS[AVG].functions.backward

    def backward(grad_output: Any, x: Any, kernel_size: Any, **options: Any) -> Any:
        return right(grad_output, x, kernel_size, **options) * int(np.prod(np.broadcast_to(kernel_size, 2)))

    _functions(patch, AVG, backward=backward)


def global_mean_gradient_not_divided(patch: Patch) -> None:
    right = OPERATIONS[GLOBAL].functions.backward
    _functions(patch, GLOBAL, backward=lambda grad_output, x: right(grad_output, x) * x[0, 0].size)


# --- cross-entropy


def loss_gradient_not_divided_by_n(patch: Patch) -> None:
    right = OPERATIONS[LOSS].functions.backward

    def backward(grad_output: Any, logits: Any, *, reduction: str, **options: Any) -> Any:
        return right(grad_output, logits, reduction="sum" if reduction == "mean" else reduction, **options)

    _functions(patch, LOSS, backward=backward)


def loss_gradient_without_the_label(patch: Patch) -> None:
    """The softmax alone, without −1 at the right class."""
    right = OPERATIONS[LOSS].functions.backward

    def backward(grad_output: Any, logits: Any, *, labels: Any, reduction: str) -> Any:
        g = np.broadcast_to(grad_output / (len(logits) if reduction == "mean" else 1), len(logits))
        result = right(grad_output, logits, labels=labels, reduction=reduction)
        result[np.arange(len(logits)), list(labels)] += g.astype(result.dtype)
        return result

    _functions(patch, LOSS, backward=backward)


def labels_counted_from_one(patch: Patch) -> None:
    """The class before the right one; the first counts as the last."""
    right = OPERATIONS[LOSS].functions.forward

    def forward(logits: Any, *, labels: Any, reduction: str) -> Any:
        before = tuple((label - 1) % logits.shape[1] for label in labels)
        return right(logits, labels=before, reduction=reduction)

    _functions(patch, LOSS, forward=forward)


ALL: dict[str, Any] = {}
TRAINING, EVALUATION = {"training": True}, {"training": False}

LAYER_BUGS: tuple[Bug, ...] = (
    Bug("bias gradient dropped", "", LINEAR, bias_gradient_dropped, ("oracle", "jacobian"), ALL),
    Bug("bias gradient averaged over the batch", "", LINEAR, bias_gradient_averaged, ("oracle", "jacobian"), ALL),
    Bug("the window flipped", "", CONV, window_flipped, ("oracle", "jacobian"), ALL),
    Bug("weight gradient flipped", "", CONV, weight_gradient_flipped, ("oracle", "jacobian"), ALL),
    Bug(
        "input gradient with the window not turned",
        "",
        CONV,
        input_gradient_with_the_window_not_turned,
        ("oracle", "jacobian"),
        ALL,
    ),
    Bug(
        "overlapping windows folded by assignment",
        "",
        CONV,
        overlapping_windows_by_assignment,
        ("oracle", "jacobian"),
        ALL,
    ),
    Bug(
        "padded with the edge, not with zeros", "", CONV, padding_with_the_edge, ("oracle", "jacobian"), {"padding": 1}
    ),
    Bug("weight gradient averaged over the batch", "", CONV, conv_averaged_over_the_batch, ("oracle", "jacobian"), ALL),
    Bug(
        "groups in reverse order in the backward pass",
        "",
        CONV,
        groups_in_reverse_order,
        ("oracle", "jacobian"),
        {"groups": 2},
    ),
    Bug("bias gradient dropped", "", CONV, conv_bias_gradient_dropped, ("oracle", "jacobian"), ALL),
    Bug(
        "bias gradient of one place, not of all", "", CONV, conv_bias_gradient_of_one_place, ("oracle", "jacobian"), ALL
    ),
    Bug("unbiased variance for the biased one", "", NORM, unbiased_variance, ("oracle", "jacobian"), TRAINING),
    Bug("ε added to the deviation, not to the variance", "", NORM, eps_outside_the_root, ("oracle", "jacobian"), ALL),
    Bug("backward pass without the mean's path", "", NORM, no_path_through_the_mean, ("oracle", "jacobian"), TRAINING),
    Bug(
        "backward pass without the variance's path",
        "",
        NORM,
        no_path_through_the_variance,
        ("oracle", "jacobian"),
        TRAINING,
    ),
    Bug(
        "statistics of each sample, not of the batch",
        "",
        NORM,
        statistics_of_a_sample,
        ("oracle", "jacobian"),
        TRAINING,
    ),
    Bug("statistics of the batch in evaluation", "", NORM, training_in_evaluation, ("oracle", "jacobian"), EVALUATION),
    Bug("ties share the cotangent", "", MAX, ties_shared, ("kinks",), ALL),
    Bug("every tie gets the whole cotangent", "", MAX, ties_all_paid_in_full, ("kinks",), ALL),
    Bug("the last of the ties is chosen", "", MAX, last_of_the_ties, ("kinks",), ALL),
    Bug("maximum over padded zeros", "", MAX, padded_with_zeros, ("oracle", "jacobian"), {"padding": 1}),
    Bug(
        "divided by the pixels inside the image",
        "",
        AVG,
        divided_by_the_pixels_inside,
        ("adjoint", "oracle", "jacobian"),
        {"padding": 1},
    ),
    Bug("mean's gradient not divided", "", AVG, mean_gradient_not_divided, ("adjoint", "oracle", "jacobian"), ALL),
    Bug(
        "mean's gradient not divided",
        "",
        GLOBAL,
        global_mean_gradient_not_divided,
        ("adjoint", "oracle", "jacobian"),
        ALL,
    ),
    Bug(
        "gradient of the mean not divided by N",
        "",
        LOSS,
        loss_gradient_not_divided_by_n,
        ("oracle", "jacobian"),
        {"reduction": "mean"},
    ),
    Bug(
        "gradient without −1 at the right class", "", LOSS, loss_gradient_without_the_label, ("oracle", "jacobian"), ALL
    ),
    Bug("labels counted from one", "", LOSS, labels_counted_from_one, ("oracle", "jacobian"), ALL),
)
