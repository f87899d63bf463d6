"""Weights of other systems: in, out, and everything that does not fit refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from attn_ref.blocks import SE_PRESETS, Sequential, SqueezeExcitation, export_se_weights, load_se_weights
from attn_ref.blocks.se_presets import LAYOUTS

C, R = 6, 3
LINEAR = {"fc.0.weight": (R, C), "fc.2.weight": (C, R)}
LINEAR_WITH_BIAS = {**LINEAR, "fc.0.bias": (R,), "fc.2.bias": (C,)}
CONV = {"fc1.weight": (R, C, 1, 1), "fc1.bias": (R,), "fc2.weight": (C, R, 1, 1), "fc2.bias": (C,)}
CAFFE = {"1x1_down/0": (R, C, 1, 1), "1x1_down/1": (R,), "1x1_up/0": (C, R, 1, 1), "1x1_up/1": (C,)}
SHAPES = {
    "senet.pytorch": LINEAR,
    "alphapose": LINEAR_WITH_BIAS,
    "torchvision": CONV,
    "torchvision.efficientnet": CONV,
    "torchvision.mobilenet_v3": CONV,
    "timm": CONV,
    "caffe": CAFFE,
}
Arrays = dict[str, np.ndarray[Any, Any]]


def drawn(shapes: dict[str, tuple[int, ...]], seed: int = 1) -> Arrays:
    rng = np.random.default_rng(seed)
    return {name: rng.standard_normal(shape) for name, shape in shapes.items()}


def made(*, bias: bool = True, seed: int = 9) -> SqueezeExcitation:
    return SqueezeExcitation(C, width=R, bias=bias, rng=np.random.default_rng(seed), dtype="float64")


def unchanged(block: SqueezeExcitation) -> bool:
    """Whether a block is as :func:`made` made it."""
    fresh = made(bias="reduce_bias" in block.params).params
    return all(np.array_equal(array, fresh[name]) for name, array in block.params.items())


def test_every_preset_has_its_shapes_here() -> None:
    assert set(SHAPES) == set(SE_PRESETS)


@pytest.mark.parametrize("prefix", ["", "layer1.0.se."])
@pytest.mark.parametrize("preset", SHAPES)
def test_in_and_out_again_gives_the_same_bits(preset: str, prefix: str) -> None:
    shapes = {prefix + name: shape for name, shape in SHAPES[preset].items()}
    weights = drawn(shapes)
    block = made(bias=len(shapes) == 4)
    load_se_weights(block, {**weights, "head.weight": np.zeros(3)} if prefix else weights, prefix=prefix)
    exported = export_se_weights(block, preset, prefix=prefix)
    assert {name: array.shape for name, array in exported.items()} == shapes
    for name, array in weights.items():
        np.testing.assert_array_equal(exported[name], array)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_each_name_goes_where_it_belongs(layout: str) -> None:
    names = LAYOUTS[layout].names
    weights = drawn({"linear": LINEAR_WITH_BIAS, "conv": CONV, "caffe": CAFFE}[layout])
    block = made()
    load_se_weights(block, weights)
    assert set(names) == set(block.params)
    for name, array in block.params.items():
        np.testing.assert_array_equal(array, weights[names[name]].reshape(array.shape))


def test_linear_weights_under_the_names_of_convolutions_are_taken_as_they_are() -> None:
    weights = {name: array.reshape(array.shape[:2]) for name, array in drawn(CONV).items()}
    block = made()
    load_se_weights(block, weights)
    np.testing.assert_array_equal(block.params["reduce_weight"], weights["fc1.weight"])


def test_several_blocks_in_one_are_each_loaded_in_their_own_layout() -> None:
    first, second = drawn(CONV, seed=1), drawn(LINEAR_WITH_BIAS, seed=2)
    network = Sequential(made(seed=3), made(seed=4))
    load_se_weights(network, {f"0.{k}": a for k, a in first.items()} | {f"1.{k}": a for k, a in second.items()})
    np.testing.assert_array_equal(network.params["0.expand_bias"], first["fc2.bias"])
    np.testing.assert_array_equal(network.params["1.expand_bias"], second["fc.2.bias"])
    exported = export_se_weights(network, "alphapose")
    np.testing.assert_array_equal(exported["0.fc.2.weight"], first["fc2.weight"][:, :, 0, 0])


def test_loaded_and_exported_arrays_are_copies() -> None:
    weights = drawn(CONV)
    block = made()
    load_se_weights(block, weights)
    exported = export_se_weights(block, "timm")
    before = {name: array.copy() for name, array in block.params.items()}
    for arrays in (weights, exported):
        for array in arrays.values():
            array[...] = np.nan
    for name, array in block.params.items():
        np.testing.assert_array_equal(array, before[name])


def test_any_order_of_bytes_and_strides_is_taken() -> None:
    weights = drawn(LINEAR_WITH_BIAS)
    awkward = {name: np.asfortranarray(array).astype(">f8") for name, array in weights.items()}
    block = made()
    load_se_weights(block, awkward)
    for name, array in block.params.items():
        assert array.flags["C_CONTIGUOUS"]
        assert array.dtype.isnative
        np.testing.assert_array_equal(array, weights[LAYOUTS["linear"].names[name]])


REFUSED: list[tuple[str, dict[str, tuple[int, ...]], bool, list[str]]] = [
    ("a missing weight", {k: s for k, s in CONV.items() if k != "fc2.weight"}, True, ["fc2.weight is missing"]),
    ("a missing bias", LINEAR, True, ["fc.0.bias is missing", "fc.2.bias is missing"]),
    ("a bias where there is none", LINEAR_WITH_BIAS, False, ["fc.0.bias has no place", "fc.2.bias has no place"]),
    ("timm's norm_layer", {**CONV, "bn.weight": (R,)}, True, ["bn.weight has no place"]),
    ("two layouts at once", {**CONV, **LINEAR}, True, ["fc.0.weight has no place", "fc.2.weight has no place"]),
    ("another width", {**CONV, "fc1.weight": (R + 1, C, 1, 1)}, True, ["fc1.weight has shape (4, 6, 1, 1)", "(3, 6)"]),
    ("a 3×3 kernel", {**CONV, "fc1.weight": (R, C, 3, 3)}, True, ["fc1.weight has shape (3, 6, 3, 3)"]),
    ("a transposed weight", {**LINEAR, "fc.0.weight": (C, R)}, False, ["fc.0.weight has shape (6, 3)"]),
    ("three axes", {**CONV, "fc2.weight": (C, R, 1)}, True, ["fc2.weight has shape (6, 3, 1)"]),
    ("a flat weight", {**LINEAR, "fc.0.weight": (R * C,)}, False, ["fc.0.weight has shape (18,)"]),
    ("a bias with a kernel", {**CONV, "fc1.bias": (R, 1, 1)}, True, ["fc1.bias has shape (3, 1, 1)"]),
    ("exchanged weights", {**LINEAR, "fc.0.weight": (C, R), "fc.2.weight": (R, C)}, False, ["fc.0.wei", "fc.2.wei"]),
    (
        "everything at once",
        {"fc1.weight": (R, C, 2, 1), "fc1.bias": (R,), "fc2.weight": (C, R), "fc3.weight": (1,)},
        True,
        ["fc1.weight has shape", "fc2.bias is missing", "fc3.weight has no place"],
    ),
]


@pytest.mark.parametrize(("shapes", "bias", "told"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED])
def test_what_does_not_fit_is_listed_and_nothing_is_loaded(
    shapes: dict[str, tuple[int, ...]], bias: bool, told: list[str]
) -> None:
    block = made(bias=bias)
    with pytest.raises(ValueError, match="weights do not fit the SqueezeExcitation") as caught:
        load_se_weights(block, drawn(shapes))
    for part in told:
        assert part in str(caught.value)
    assert unchanged(block)


@pytest.mark.parametrize(
    ("weights", "options", "error", "message"),
    [
        ({"weight": np.zeros(3)}, {}, ValueError, "expected names of one of the layouts fc.0.weight.*got weight"),
        ({}, {}, ValueError, "none at all"),
        (drawn(CONV), {"prefix": "se."}, ValueError, "no name that starts with 'se.': got fc1.weight"),
        (list(drawn(CONV)), {}, TypeError, "mapping"),
        ({0: np.zeros(3)}, {}, TypeError, "names for keys, got int 0"),
        ({**drawn(CONV), "fc1.bias": [0.0] * R}, {}, TypeError, "fc1.bias must be an array"),
        ({**drawn(CONV), "fc1.bias": np.zeros(R, np.float32)}, {}, TypeError, "fc1.bias is a numpy array of float32"),
        ({**drawn(CONV), "fc1.bias": np.zeros(R, int)}, {}, TypeError, "fc1.bias has dtype int64"),
        (drawn(CONV), {"leave_out": ("num_batches_tracked",)}, ValueError, "num_batches_tracked, which weights do not"),
        ({**drawn(CONV), "discount": np.zeros(1)}, {"leave_out": ("count",)}, ValueError, "leave_out names count"),
        (drawn(CONV), {"leave_out": "fc1.bias"}, TypeError, r"pass \('fc1.bias',\)"),
        (drawn(CONV), {"leave_out": ("bias",)}, ValueError, "fc1.bias is missing; fc2.bias is missing"),
    ],
)
def test_bad_arguments_are_refused(weights: Any, options: dict[str, Any], error: type[Exception], message: str) -> None:
    block = made()
    with pytest.raises(error, match=message):
        load_se_weights(block, weights, **options)
    assert unchanged(block)


def test_tensors_are_refused_with_how_to_convert_them() -> None:
    torch = pytest.importorskip("torch")
    with pytest.raises(TypeError, match=r"fc1.weight must be an array.*detach\(\)"):
        load_se_weights(made(), {name: torch.from_numpy(array) for name, array in drawn(CONV).items()})


def test_what_is_named_is_left_out() -> None:
    weights = {**drawn(CONV), "bn.weight": np.zeros(R), "bn.count": np.array(3), "count": np.array(4)}
    block = made()
    load_se_weights(block, weights, leave_out=("bn.weight", "count"))
    np.testing.assert_array_equal(block.params["reduce_bias"], weights["fc1.bias"])


@pytest.mark.parametrize(
    ("preset", "bias", "message"),
    [
        ("senet.pytorch", True, "has a bias and 'senet.pytorch' has none: build it with bias=False"),
        ("caffe", False, "lacks a bias and 'caffe' has one: build it with bias=True"),
        ("tim", True, "did you mean 'timm'"),
    ],
)
def test_exports_that_no_module_could_load_are_refused(preset: str, bias: bool, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        export_se_weights(made(bias=bias), preset)


def test_timm_leaves_the_bias_to_choose() -> None:
    assert list(export_se_weights(made(bias=False), "timm")) == ["fc1.weight", "fc2.weight"]


@pytest.mark.parametrize("preset", [name for name in SHAPES if name != "caffe"])
def test_torch_loads_what_is_exported(preset: str) -> None:
    torch = pytest.importorskip("torch")
    from tests.blocks import torch_senet as theirs

    bias, layout = len(SHAPES[preset]) == 4, SE_PRESETS[preset].layout
    block = SqueezeExcitation(C, width=R, bias=bias, rng=np.random.default_rng(2), dtype="float64")
    module = (
        theirs.LinearExcitation(C, R, bias)
        if layout == "linear"
        else theirs.ConvExcitation(C, R, bias, activation="relu", gate="sigmoid")
    ).double()
    exported = export_se_weights(block, preset)
    module.load_state_dict({name: torch.from_numpy(array) for name, array in exported.items()})  # strict
    x = np.random.default_rng(3).standard_normal((2, C, 4, 5))
    with torch.no_grad():
        t_y = module(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(block.forward(x)[0], t_y, rtol=1e-11, atol=1e-11)
