"""Black boxes are named: every preset, the samplers of other libraries, and samplers that are none of them."""

import numpy as np
import pytest
from scipy import ndimage
from typer.testing import CliRunner

import attn_ref
from attn_ref.cli import app
from attn_ref.conventions import CONVENTIONS, convention
from attn_ref.verify import identify
from attn_ref.verify.mistakes import MISTAKES

PRESETS = [(name, aligned) for name, c in CONVENTIONS.items() for aligned in (c.alignments or (None,))]


def mistaken(name):
    """The sampler of the catalogue that makes a mistake."""
    return next(m for m in MISTAKES["grid_sample"] if m.name == name).functions.forward


def aligned(**options):
    return {"mode": "bilinear", "padding_mode": "zeros", "align_corners": True, **options}


@pytest.mark.parametrize(("name", "align_corners"), PRESETS)
def test_every_preset_is_found_with_all_its_modes_and_paddings(name, align_corners):
    system = convention(name, align_corners=align_corners)
    for axes in system.axes:
        for mode in system.modes:
            for padding in system.paddings:
                options = {"mode": mode, "padding_mode": padding}
                if align_corners is not None:
                    options["align_corners"] = align_corners
                found = identify(system.grid_sample, options=options, axes=axes)
                wanted = name if align_corners is None else f"{name} (align_corners={align_corners})"
                assert wanted in found.matches, found
                assert found.unknown == (), found
                assert found.mode == system.modes[mode]
                assert found.padding.partition(" ")[0] == system.paddings[padding][0]
                assert found.rounding == ("half to even" if found.mode == "nearest" else None)


def test_only_the_presets_that_agree_are_named():
    assert identify(convention("stn_pytorch_bhwd").grid_sample).matches == ("stn_pytorch_bhwd", "stnbhwd")
    assert identify(convention("kevinzakka").grid_sample).matches == ("kevinzakka",)
    assert identify(convention("mxnet_warp").grid_sample).matches == ("mxnet_warp",)


@pytest.mark.parametrize("align_corners", [True, False])
@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
@pytest.mark.parametrize("mode", ["bilinear", "nearest", "bicubic"])
def test_pytorch(mode, padding, align_corners):
    torch = pytest.importorskip("torch")
    options = {"mode": mode, "padding_mode": padding, "align_corners": align_corners}
    found = identify(torch.nn.functional.grid_sample, adapter="torch", options=options)
    assert f"pytorch (align_corners={align_corners})" in found.matches, found
    assert found.unknown == ()
    assert found.cubic_coefficient == (-0.75 if mode == "bicubic" else None)
    assert found.rounding == ("half to even" if mode == "nearest" else None)


@pytest.mark.parametrize(
    ("mode", "padding"),
    [
        ("grid-constant", "zeros"),
        ("nearest", "border"),
        ("mirror", "reflection about the centres"),
        ("reflect", "reflection about the edges"),
    ],
)
def test_scipy(mode, padding):
    found = identify(ndimage.map_coordinates, options={"order": 1, "mode": mode})
    assert (found.matches, found.padding, found.mode) == (("scipy",), padding, "bilinear")


def test_scipys_default_mode_is_not_zeros():
    found = identify(ndimage.map_coordinates, options={"order": 1, "mode": "constant"})
    assert found.matches == ()
    assert (found.padding, found.gate) == ("zeros", "the whole point, unless [0, S − 1]")


def test_scipys_order_0_breaks_ties_otherwise():
    assert identify(ndimage.map_coordinates, options={"order": 0, "mode": "grid-constant"}).rounding == "half up"
    found = identify(ndimage.map_coordinates, options={"order": 0, "mode": "nearest"})
    assert found.rounding == "half up, or away from zero"


def test_scipys_order_3_is_a_spline():
    found = identify(ndimage.map_coordinates, options={"order": 3})
    assert found.mode == "cubic B-spline"
    assert found.matches == ()
    assert found.unknown == ("the padding: that of a B-spline is not looked at",)


@pytest.mark.parametrize("align_corners", [0, 1])
@pytest.mark.parametrize("mode", ["linear", "nearest", "cubic"])
def test_onnx_runtime(mode, align_corners):
    helper = pytest.importorskip("onnx.helper")
    runtime = pytest.importorskip("onnxruntime")
    node = helper.make_node("GridSample", ["x", "g"], ["y"], mode=mode, align_corners=align_corners)
    four = [None] * 4
    inputs = [helper.make_tensor_value_info(name, 1, four) for name in "xg"]
    graph = helper.make_graph([node], "one", inputs, [helper.make_tensor_value_info("y", 1, four)])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    session = runtime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    found = identify(lambda x, g: session.run(None, {"x": x, "g": g})[0])
    assert found.precision == "float32"
    assert f"onnx (align_corners={bool(align_corners)})" in found.matches, found


# ---------------------------------------------------------------------------------------------------------------------
# Samplers that are none of the presets


@pytest.mark.parametrize(
    ("name", "options", "field", "value"),
    [
        ("nearest rounds half away from zero", {"mode": "nearest"}, "rounding", "half away from zero"),
        ("cubic with A = −0.5", {"mode": "bicubic"}, "cubic_coefficient", -0.5),
        ("reflection folds once", {"padding_mode": "reflection"}, "padding", "reflection about the centres, once"),
        ("reflection wraps round", {"padding_mode": "reflection"}, "padding", "periodic"),
        (
            "cubic pads the point, not the taps",
            {"mode": "bicubic", "padding_mode": "border"},
            "padding",
            "border of the point, not of its taps",
        ),
        (
            "border as a clamped grid with zeros",
            {"padding_mode": "border", "align_corners": False},
            "padding",
            "zeros, the grid clamped to [−1, 1]",
        ),
        ("point beyond ±1 reads nothing", {"align_corners": False}, "gate", "the whole point, unless g in [−1, 1]"),
        ("pixels (g + 1)S/2", {}, "pixel_map", "HALF"),
        ("grid taken for pixels", {}, "pixel_map", "pixels"),
        ("NaN reads nothing", {}, "nan", "0"),
    ],
)
def test_a_mistake_is_named_for_what_it_is(name, options, field, value):
    found = identify(mistaken(name), options=aligned(channels_last=False, **options))
    assert getattr(found, field) == value, found


def test_any_coefficient_of_keys_kernel_is_measured():
    from attn_ref.ops.interpolation import keys
    from attn_ref.verify.mistakes.recipe import Mistake
    from attn_ref.verify.mistakes.sampler import SAMPLER

    odd = Mistake("", "", "", SAMPLER, {"kernel": keys(-0.62)}).functions.forward
    found = identify(odd, options=aligned(mode="bicubic"))
    assert found.cubic_coefficient == pytest.approx(-0.62, abs=1e-5)
    assert found.matches == ()


def test_an_unknown_pixel_map_is_measured_and_told():
    def squeezed(image, grid):
        return attn_ref.grid_sample(image, 0.8 * grid + 0.05, align_corners=True)

    found = identify(squeezed)
    assert found.matches == ()
    assert found.pixel_map is None
    assert found.unknown == ("the pixel map: along x it is about p = 6.4 g + 8.4 for S = 17, "
                             "p = 6 g + 7.875 for S = 16, p = 6.8 g + 8.925 for S = 18",)  # fmt: skip


def test_an_unknown_interpolation_is_told():
    def odd(image, grid):
        return attn_ref.grid_sample(image, grid, align_corners=True) ** 3

    assert "could not tell" in str(identify(odd))


def test_what_takes_nothing_is_told_with_its_own_words():
    def refuses(image, grid):
        raise RuntimeError("only on Sundays")

    found = identify(refuses)
    assert found.unknown == ("anything: it takes no layout that is known here (RuntimeError: only on Sundays)",)


def test_it_is_never_asked_for_more_than_values():
    """And gets arrays of its own, which it may write to."""

    def greedy(image, grid):
        y = attn_ref.grid_sample(image, grid, align_corners=False)
        image[...] = grid[...] = np.nan
        return y

    assert "pytorch (align_corners=False)" in identify(greedy).matches


def test_bad_arguments():
    with pytest.raises(TypeError, match="sampler must be a function"):
        identify("grid_sample")
    with pytest.raises(ValueError, match="axes=4"):
        identify(attn_ref.grid_sample, axes=4)
    with pytest.raises(ValueError, match="adapter"):
        identify(attn_ref.grid_sample, adapter="jax")


# ---------------------------------------------------------------------------------------------------------------------
# The command line

RUNNER = CliRunner(env={"COLUMNS": "100", "NO_COLOR": "1", "TERM": "dumb"})


def run(*arguments):
    return RUNNER.invoke(app, ["identify", *arguments], prog_name="attn-ref")


def test_at_the_command_line():
    result = run("attn_ref:grid_sample", "--option", "align_corners=true", "--option", "mode=nearest")
    assert result.exit_code == 0, result.output
    assert "AC1: p = (g + 1)(S − 1)/2" in result.stdout
    assert "half to even" in result.stdout
    assert "pytorch (align_corners=True)" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "give a SAMPLER"),
        (("attn_ref",), "not of the form package.module:function"),
        (("attn_ref:grid_sample", "--option", "mode"), "--option mode: expected NAME=VALUE"),
        (("attn_ref:grid_sample", "--axes", "4"), "axes=4"),
    ],
)
def test_errors_are_one_line(arguments, message):
    result = run(*arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
