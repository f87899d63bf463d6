"""The mistakes of squeeze-and-excitation and of activations, by name."""

from __future__ import annotations

from collections.abc import Iterator

from attn_ref.verify.mistakes.curves import CURVES, ELEMENTWISE
from attn_ref.verify.mistakes.elementwise import ACTIVATION, GLU
from attn_ref.verify.mistakes.excitation import EXCITATION
from attn_ref.verify.mistakes.recipe import Mistake, Row, of_rows

__all__ = ["ACTIVATION_MISTAKES", "GLU_MISTAKES", "SQUEEZE_EXCITATION_MISTAKES"]

_FORWARD: tuple[Row, ...] = (
    ("squeezed by the sum", {"squeeze": "sum"}, "The pixels are summed.", "Divide by H·W.", "18"),
    ("squeezed by the maximum", {"squeeze": "maximum"}, "The largest pixel is taken.", "Take the mean.", "18"),
    (
        "mean over the batch too",
        {"squeeze": "over the batch too"},
        "The mean runs over samples as well as pixels.",
        "Take the mean over the spatial axes alone.",
        "18",
    ),
    (
        "mean over channels too",
        {"squeeze": "over channels too"},
        "The mean runs over channels as well as pixels.",
        "Take the mean over the spatial axes alone.",
        "18",
    ),
    ("mean divided by H·W − 1", {"squeeze": "by pixels − 1"}, "The divisor is one less.", "Divide by H·W.", "18"),
    ("mean divided by N·C·H·W", {"squeeze": "by all elements"}, "Divided by all.", "Divide by H·W.", "18"),
    ("mean divided by C", {"squeeze": "by channels"}, "Divided by channels.", "Divide by H·W.", "18"),
    (
        "pooled in float16",
        {"squeeze": "in float16"},
        "The sum over pixels runs in float16: 90 000 tens are infinite.",
        "Sum in float32.",
        "21",
    ),
    (
        "gate before the expansion",
        {"gate_first": True},
        "The gate follows the reduction, and nothing the expansion.",
        "Activation after W₁, gate after W₂.",
        "18",
    ),
    ("gate and activation exchanged", {"functions_exchanged": True}, "They are.", "The gate comes last.", "18"),
    ("gate added, not multiplied", {"excite": "added"}, "The gates are added to the image.", "Multiply.", "18"),
    ("1 + gate", {"excite": "1 + s"}, "The image is added to the result.", "Y = X ∘ s.", "18"),
    ("1 − gate", {"excite": "1 − s"}, "The complement is multiplied.", "Y = X ∘ s.", "18"),
    ("gate returned alone", {"excite": "the gate alone"}, "Y is s, spread over pixels.", "Y = X ∘ s.", "18"),
    ("reduce bias dropped", {"dropped": ("reduce_bias",)}, "b₁ is ignored.", "Add it.", "20"),
    ("expand bias dropped", {"dropped": ("expand_bias",)}, "b₂ is ignored.", "Add it.", "20"),
    ("biases dropped", {"dropped": ("reduce_bias", "expand_bias")}, "b₁, b₂ are ignored.", "Add them.", "20"),
    ("W₁ and W₂ exchanged", {"weights": "exchanged"}, "Each is used as the other's transpose.", "Swap.", "20"),
    ("weights' memory transposed", {"weights": "memory"}, "W₁ is read as (C, R).", "It is (R, C), W₂ (C, R).", "20"),
    (
        "width of C // 16",
        {"width": "C // 16"},
        "Only C // 16 of the R reduced features are computed.",
        "Take R from the weights: libraries round it differently.",
        "20",
    ),
    ("width of C // 4", {"width": "C // 4"}, "Only C // 4 reduced features.", "Take R from the weights.", "20"),
    ("the last reduced feature lost", {"width": "R − 1"}, "R − 1 features.", "Take R from the weights.", "20"),
    ("gates of the first sample for all", {"shared": True}, "All have its gates.", "Use z[n] for sample n.", ""),
    ("activation left out", {"activation": "taken for identity"}, "There is none.", "Apply it after W₁.", "18"),
    ("gate left out", {"gate": "taken for identity"}, "There is none.", "Apply it after W₂.", "18"),
    (
        "hard sigmoid 0.2x + ½ for x/6 + ½",
        {"gate": "taken for hard_sigmoid 0.2x + ½"},
        "The gate is clip(0.2x + ½, 0, 1), ONNX's default.",
        "Use the slope 1/6: HardSigmoid(alpha=1/6).",
        "20: ONNX's default",
    ),
)

_BACKWARD: tuple[Row, ...] = (
    (
        "no path through the mean",
        {"mean_path": "missing"},
        "The image's gradient is dY ∘ s alone.",
        "Add (dh W₁)/(H·W): the gates depend on the image too.",
        "19",
    ),
    (
        "1/(H·W) missing",
        {"mean_path": "not divided"},
        "The gradient through the mean is not divided by H·W.",
        "Divide it.",
        "19",
    ),
    ("no direct path", {"direct_path": False}, "dY ∘ s is missing.", "dX = dY ∘ s + (dh W₁)/(H·W).", "19"),
    ("gate′ of the gate", {"gate_slope_at": "value"}, "gate′(s) for gate′(u).", "Take it at u.", "19"),
    ("gate′ of the input", {"gate_slope_at": "mean"}, "gate′(z) for gate′(u).", "Take it at u.", "19"),
    ("gate′ left out", {"gate": "slope is 1"}, "The gate's derivative is 1.", "du = q ∘ gate′(u).", "19"),
    ("gate′ is the gate", {"gate": "slope is the value"}, "s for s(1 − s).", "du = q ∘ gate′(u).", "19"),
    ("act′ of its own value", {"act_slope_at": "value"}, "act′(a) for act′(h).", "Take it at h.", "19"),
    ("act′ left out", {"activation": "slope is 1"}, "The activation's derivative is 1.", "∘ act′(h).", "19"),
    (
        "the gate's cotangent without the image",
        {"products": "without the image"},
        "q is Σ dY.",
        "q = Σ dY ∘ X.",
        "19",
    ),
    ("the gate's cotangent averaged", {"products": "mean"}, "q is a mean over pixels.", "q = Σ dY ∘ X.", "19"),
    (
        "gradients of W₁ and W₂ exchanged",
        {"gradients_exchanged": True},
        "Each is the transpose of the other.",
        "dW₁ = dhᵀ z, dW₂ = duᵀ a.",
        "20",
    ),
    ("cotangent ignored", {"cotangent": "ones"}, "Gradients of the sum.", "Multiply by grad_output.", "22"),
    ("gate″ missing", {"gate": "second derivative missing"}, "It is taken for 0.", "See q ∘ gate″(u) ∘ u̇.", ""),
    ("act″ missing", {"activation": "second derivative missing"}, "It is taken for 0.", "å ∘ act″(h) ∘ ḣ.", ""),
    (
        "jvp without the weights' part",
        {"still": ("reduce_weight", "expand_weight")},
        "The tangents of the weights are ignored.",
        "ḣ has z Ẇ₁ᵀ, u̇ has a Ẇ₂ᵀ.",
        "",
    ),
    ("jvp without the biases' part", {"still": ("reduce_bias", "expand_bias")}, "Ignored.", "Add ḃ₁ and ḃ₂.", ""),
    ("jvp without the image's part", {"still": ("input",)}, "Ignored.", "Ẏ has Ẋ ∘ s, and ż.", ""),
)

_PARAMETERS = {
    "image": ("input",),
    "W₁": ("reduce_weight",),
    "W₂": ("expand_weight",),
    "b₁": ("reduce_bias",),
    "b₂": ("expand_bias",),
    "weights": ("reduce_weight", "expand_weight"),
    "biases": ("reduce_bias", "expand_bias"),
    "weights and biases": ("reduce_weight", "expand_weight", "reduce_bias", "expand_bias"),
    "all inputs": ("input", "reduce_weight", "expand_weight", "reduce_bias", "expand_bias"),
}


def _factors() -> Iterator[Row]:
    for what, names in _PARAMETERS.items():
        for factor, name, sentence, mend, museum in (
            ("1/N", "averaged over the batch", "divided by N", "Sum over samples.", "22"),
            ("2", "accumulated twice", "twice as large", "Zero the accumulator first, or add once.", "22"),
            ("0", "dropped", "0", "Compute it.", "20" if what.startswith("b") else ""),
            ("−1", "negated", "of the wrong sign", "Keep the sign.", ""),
        ):
            changes = {"factors": tuple((one, factor) for one in names)}
            yield f"gradient of {what} {name}", changes, f"The gradient of {what} is {sentence}.", mend, museum


def _confusions(field: str, what: str) -> Iterator[Row]:
    for name in CURVES:
        if name.startswith("taken for") and "identity" not in name and not (field == "gate" and " 0.2x" in name):
            other = name.removeprefix("taken for ")
            sentence = f"{other} is computed for the {what}."
            yield f"{what} is {other}", {field: name}, sentence, "Use the one asked for.", "20"


SQUEEZE_EXCITATION_MISTAKES: tuple[Mistake, ...] = of_rows(
    EXCITATION,
    (*_FORWARD, *_BACKWARD, *_factors(), *_confusions("gate", "gate"), *_confusions("activation", "activation")),
)
"""Of squeeze_excitation, the likelier first within each group."""


_NAMED = (("gelu", "gelu_tanh"), ("gelu_tanh", "gelu"), ("hard_sigmoid", "hard_sigmoid 0.2x + ½"))
"""Confusions that have rows of their own."""


def _activations() -> Iterator[Row]:
    mend = "Use the one asked for."
    yield (
        "gelu by tanh",
        {"curve": "taken for gelu_tanh", "only": ("gelu",)},
        "The tanh form is computed where the erf form is asked.",
        "gelu is x Φ(x) with erf; the tanh form is gelu_tanh.",
        "",
    )
    yield "gelu_tanh by erf", {"curve": "taken for gelu", "only": ("gelu_tanh",)}, "The erf form.", mend, ""
    yield (
        "hard sigmoid 0.2x + ½ for x/6 + ½",
        {"curve": "taken for hard_sigmoid 0.2x + ½", "only": ("hard_sigmoid",)},
        "clip(0.2x + ½, 0, 1) is computed, ONNX's default.",
        "Use the slope 1/6.",
        "20: ONNX's default",
    )
    rows = {
        "slope kept at the kinks": ("The derivative at a kink is that beside it, as relu′(0) = 1.", "It is 0."),
        "slope halved at the kinks": ("The derivative at a kink is the mean of both sides.", "It is 0."),
        "slope at the output": ("f′ is taken at f(x).", "Take it at x."),
        "slope is 1": ("The derivative is 1.", "dx = f′(x) ∘ dy."),
        "slope is the value": ("f is taken for f′.", "dx = f′(x) ∘ dy."),
        "slope is the gate": ("σ(x) is taken for f′.", "silu′ = σ + x σ′: the product rule."),
        "slope without the gate's": ("f(x)/x is taken for f′: the gate is not differentiated.", "The product rule."),
        "slope negated": ("The derivative has the wrong sign.", "Keep the sign."),
        "second derivative missing": ("f″ is 0.", "Differentiate twice."),
        "NaN becomes 0": ("The comparison that selects is false for NaN.", "Let NaN pass."),
        "overflows": ("eˣ overflows far out, and inf/inf is NaN.", "Use σ(x) = 1/(1 + e⁻ˣ) on the right."),
        "overflows on the left": ("e⁻ˣ overflows far out.", "Use eˣ/(1 + eˣ) on the left."),
    }
    for name, (sentence, right) in rows.items():
        yield name, {"curve": name}, sentence, right, ""
    for name in ("slope kept at the kinks", "slope halved at the kinks"):
        for asked in ("relu", "hard_sigmoid"):
            yield f"{name} of {asked}", {"curve": name, "only": (asked,)}, rows[name][0], "It is 0.", ""
    for name in CURVES:
        if name.startswith("taken for"):
            other = name.removeprefix("taken for ")
            yield f"{other} for any", {"curve": name}, f"{other} is computed, whatever is asked.", mend, "20"
            for asked in ELEMENTWISE:
                if asked != other and (asked, other) not in _NAMED:
                    changes = {"curve": name, "only": (asked,)}
                    yield f"{other} for {asked}", changes, f"{other} is computed for {asked}.", mend, "20"
    yield "gradient accumulated twice", {"factor": 2.0}, "It is twice as large.", "Add it once.", "22"
    yield "gradient missing", {"factor": 0.0}, "It is 0.", "dx = f′(x) ∘ dy.", ""
    yield "cotangent ignored", {"cotangent": "ones"}, "The gradient is f′(x).", "Multiply by grad_output.", "22"


ACTIVATION_MISTAKES: tuple[Mistake, ...] = of_rows(ACTIVATION, tuple(_activations()))
"""Of the activations of one number."""

_GATES = {"identity": "bilinear", "relu": "ReGLU", "gelu": "GEGLU", "silu": "SwiGLU", "tanh": "GTU"}

GLU_MISTAKES: tuple[Mistake, ...] = of_rows(
    GLU,
    (
        ("halves exchanged", {"halves": "exchanged"}, "The first half gates the second.", "a ∘ σ(b).", ""),
        ("halves interleaved", {"halves": "interleaved"}, "Every other element gates.", "Split in two halves.", ""),
        *(
            (f"halved along axis {axis}", {"axis": axis}, "The axis asked for is ignored.", "Pass the axis on.", "")
            for axis in (0, 1, 2, -1)
        ),
        ("the gate's slope forgotten", {"to_gate": 0.0}, "db is 0.", "db = dy ∘ a ∘ σ′(b).", ""),
        ("σ for σ′", {"gate": "slope is the value"}, "σ(b) is taken for σ′(b).", "σ′ = σ(1 − σ).", ""),
        ("gate's slope left out", {"gate": "slope is 1"}, "σ′(b) is taken for 1.", "db = dy ∘ a ∘ σ′(b).", ""),
        ("the value's gradient missing", {"to_value": 0.0}, "da is 0.", "da = dy ∘ σ(b).", ""),
        ("gate added, not multiplied", {"added": True}, "a + σ(b) is computed.", "a ∘ σ(b).", ""),
        *(
            (f"{name} in place of sigmoid", {"gate": f"taken for {name}"}, f"This is {title}.", "a ∘ σ(b).", "")
            for name, title in _GATES.items()
        ),
        ("gradient accumulated twice", {"to_value": 2.0, "to_gate": 2.0}, "Twice as large.", "Add it once.", "22"),
        ("cotangent ignored", {"cotangent": "ones"}, "Gradients of the sum.", "Multiply by grad_output.", "22"),
    ),
)
"""Of the gated linear unit."""
