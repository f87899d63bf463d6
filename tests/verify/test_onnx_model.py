"""ONNX models, right and wrong, through ONNX Runtime."""

import json
import sys
import warnings

import numpy as np
import pytest
from typer.testing import CliRunner

from attn_ref.cli import app
from attn_ref.verify.onnx_model import verify_onnx

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
helper, FLOAT = onnx.helper, onnx.TensorProto.FLOAT
RNG = np.random.default_rng(0)


def save(path, nodes, inputs, weights=None, output="y", opset=20, elem=FLOAT):
    """Write a model of some nodes."""
    described = [helper.make_tensor_value_info(name, kind, shape) for name, kind, shape in inputs]
    result = helper.make_tensor_value_info(output, elem, None)
    tensors = [onnx.numpy_helper.from_array(array, name) for name, array in (weights or {}).items()]
    graph = helper.make_graph(nodes, "model", described, [result], tensors)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10), path)
    return path


def sampler(path, shape=("N", 3, 8, 9), opset=20, **attributes):
    grid = ("N", *[None] * (len(shape) - 2), len(shape) - 2)
    node = helper.make_node("GridSample", ["x", "grid"], ["y"], name="sample", **attributes)
    return save(path, [node], [("x", FLOAT, shape), ("grid", FLOAT, grid)], opset=opset)


WEIGHTS = {
    "w1": RNG.standard_normal((4, 6, 1, 1)).astype(np.float32),
    "w2": RNG.standard_normal((6, 4, 1, 1)).astype(np.float32),
    "b1": RNG.standard_normal(4).astype(np.float32),
    "b2": RNG.standard_normal(6).astype(np.float32),
}


def block(path, *, pool="GlobalAveragePool", gate="Sigmoid", act="Relu", join="Mul", biased=True, **gate_attributes):
    """A block of 1×1 convolutions, as torchvision and timm export it."""
    bias = (lambda name: [name]) if biased else lambda name: []
    act_nodes = [helper.make_node(act, ["h"], ["a"])]
    if act == "silu":
        act_nodes = [helper.make_node("Sigmoid", ["h"], ["sh"]), helper.make_node("Mul", ["h", "sh"], ["a"])]
    nodes = [
        helper.make_node(pool, ["x"], ["z"], **({"keepdims": 1} if pool == "Whole" else {})),
        helper.make_node("Conv", ["z", "w1", *bias("b1")], ["h"]),
        *act_nodes,
        helper.make_node("Conv", ["a", "w2", *bias("b2")], ["u"]),
        helper.make_node(gate, ["u"], ["s"], name="gate", **gate_attributes),
        helper.make_node(join, ["x", "s"], ["y"], name="scale"),
    ]
    return save(path, nodes, [("x", FLOAT, ("N", 6, "H", "W"))], WEIGHTS)


def of_kind(found, kind):
    (one,) = [one for one in found if one.kind == kind]
    return one


@pytest.mark.parametrize("mode", ["linear", "nearest", "cubic"])
@pytest.mark.parametrize("padding_mode", ["zeros", "border", "reflection"])
@pytest.mark.parametrize("align_corners", [0, 1])
def test_samplers_are_right_but_for_huge_coordinates(tmp_path, mode, padding_mode, align_corners):
    path = sampler(tmp_path / "m.onnx", mode=mode, padding_mode=padding_mode, align_corners=align_corners)
    (one,) = verify_onnx(path)
    assert one.options["align_corners"] is bool(align_corners)
    assert len(one.outcomes) > 4
    assert {failure.case.rule for failure in one.failures} <= {"X3"}
    assert {failure.kind for failure in one.acceptable} <= {"NaN input", "infinite input", "huge", "tie"}


def test_a_sampler_with_onnx_s_defaults_is_linear_with_zeros_between_edges(tmp_path):
    (one,) = verify_onnx(sampler(tmp_path / "m.onnx"))
    assert one.options == {"mode": "bilinear", "padding_mode": "zeros", "align_corners": False}


def test_opset_16_has_other_names_for_the_modes(tmp_path):
    (one,) = verify_onnx(sampler(tmp_path / "m.onnx", opset=16, mode="bicubic"))
    assert one.options["mode"] == "bicubic"
    assert {failure.case.rule for failure in one.failures} <= {"X3"}


def test_volumes(tmp_path):
    (one,) = verify_onnx(sampler(tmp_path / "m.onnx", shape=("N", 3, 4, 5, 6), padding_mode="border"))
    assert {outcome.case.call.inputs[0].ndim for outcome in one.outcomes} == {5}
    assert one.failures == []


def test_what_the_runtime_refuses_to_do_is_told_as_that(tmp_path):
    (one,) = verify_onnx(sampler(tmp_path / "m.onnx", shape=("N", 3, 4, 5, 6), mode="cubic"))
    assert {failure.kind for failure in one.failures} == {"raises"}
    assert "Only support GridSample Cubic mode in 4-D" in one.failures[0].message


@pytest.mark.parametrize("align_corners", [0, 1])
@pytest.mark.parametrize("axes", [2, 3])
def test_affine_grids(tmp_path, align_corners, axes):
    node = helper.make_node("AffineGrid", ["theta", "size"], ["y"], align_corners=align_corners)
    inputs = [("theta", FLOAT, ("N", axes, axes + 1)), ("size", onnx.TensorProto.INT64, (axes + 2,))]
    (one,) = verify_onnx(save(tmp_path / "m.onnx", [node], inputs))
    assert one.failures == []
    assert {failure.kind for failure in one.acceptable} == ({"one pixel"} if align_corners else set())
    assert {outcome.case.call.inputs[0].shape[1] for outcome in one.outcomes} == {axes}


@pytest.mark.parametrize(("attributes", "notes"), [({}, 1), ({"alpha": 1 / 6}, 0), ({"alpha": 0.5, "beta": 0.25}, 0)])
def test_hard_sigmoids_are_compared_with_their_own_line(tmp_path, attributes, notes):
    node = helper.make_node("HardSigmoid", ["x"], ["y"], **attributes)
    (one,) = verify_onnx(save(tmp_path / "m.onnx", [node], [("x", FLOAT, ("N", 7))]))
    assert one.failures == []
    assert len(one.notes) == notes
    assert one.options["slope"] == pytest.approx(attributes.get("alpha", 0.2))


@pytest.mark.parametrize("biased", [True, False])
@pytest.mark.parametrize("act", ["Relu", "silu", "Sigmoid", "Gelu"])
def test_blocks_are_found_and_right(tmp_path, act, biased):
    one = of_kind(verify_onnx(block(tmp_path / "m.onnx", act=act, biased=biased)), "squeeze-and-excitation")
    assert (one.name, one.failures, one.acceptable, one.skipped) == ("scale", [], [], None)
    assert one.options == {"activation": act.lower(), "gate": "sigmoid"}
    assert ("absent" in one.outcomes[0].case.call.options) == (not biased)


def test_a_block_of_linear_layers_between_reshapes(tmp_path):
    """As senet.pytorch exports it: the mean over two axes, MatMul without bias, a view back."""
    weights = {
        "w1": RNG.standard_normal((6, 4)).astype(np.float32),
        "w2": RNG.standard_normal((6, 4)).astype(np.float32),
    }
    weights |= {
        "b2": RNG.standard_normal(6).astype(np.float32),
        "axes": np.array([2, 3]),
        "view": np.array([2, 6, 1, 1]),
    }
    nodes = [
        helper.make_node("ReduceMean", ["x", "axes"], ["z"], keepdims=0),
        helper.make_node("MatMul", ["z", "w1"], ["h"]),
        helper.make_node("Relu", ["h"], ["a"]),
        helper.make_node("Gemm", ["a", "w2"], ["v"], transB=1),
        helper.make_node("Add", ["b2", "v"], ["u"]),
        helper.make_node("Sigmoid", ["u"], ["s"]),
        helper.make_node("Reshape", ["s", "view"], ["s4"]),
        helper.make_node("Mul", ["s4", "x"], ["y"], name="scale"),
    ]
    path = save(tmp_path / "m.onnx", nodes, [("x", FLOAT, (2, 6, 7, 5))], weights)
    (one,) = verify_onnx(path)
    assert (one.failures, one.skipped) == ([], None)
    assert one.outcomes[0].case.call.inputs[0].shape == (2, 6, 7, 5)
    assert one.outcomes[0].case.call.options["absent"] == ("reduce_bias",)


@pytest.mark.parametrize("alpha", [None, 1 / 6])
def test_a_gate_of_onnx_s_default_line_is_wrong_and_named(tmp_path, alpha):
    attributes = {} if alpha is None else {"alpha": alpha}
    found = verify_onnx(block(tmp_path / "m.onnx", gate="HardSigmoid", **attributes))
    assert of_kind(found, "HardSigmoid").failures == []  # by itself it does what it says
    one = of_kind(found, "squeeze-and-excitation")
    assert len(one.failures) == (alpha is None)
    assert ["ONNX's default" in note for note in one.notes] == [True] * (alpha is None)


@pytest.mark.parametrize("wrong", [{"pool": "GlobalMaxPool"}, {"join": "Add"}])
def test_blocks_that_pool_or_join_otherwise_are_found_and_wrong(tmp_path, wrong):
    (one,) = verify_onnx(block(tmp_path / "m.onnx", **wrong))
    (failure,) = one.failures
    assert failure.kind == "value"
    assert "expected" in failure.message


def test_a_network_that_torch_exported(tmp_path):
    """An affine grid, a sampler and the block of senet.pytorch, whose view back computes its shape."""
    torch = pytest.importorskip("torch")

    class Network(torch.nn.Module):
        def __init__(self):
            super().__init__()
            layers = torch.nn.Linear(6, 4, bias=False), torch.nn.ReLU(), torch.nn.Linear(4, 6, bias=False)
            self.fc = torch.nn.Sequential(*layers, torch.nn.Sigmoid())

        def forward(self, x, theta):
            grid = torch.nn.functional.affine_grid(theta, x.shape, align_corners=False)
            x = torch.nn.functional.grid_sample(x, grid, padding_mode="border", align_corners=False)
            return x * self.fc(x.mean((2, 3))).view(x.shape[0], x.shape[1], 1, 1).expand_as(x)

    path = tmp_path / "network.onnx"
    given = torch.randn(2, 6, 7, 5), torch.randn(2, 2, 3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of tracing, which writes down one path through the code
        torch.onnx.export(Network().eval(), given, str(path), dynamo=False, opset_version=20)
    found = {one.kind: one for one in verify_onnx(path)}
    assert list(found) == ["AffineGrid", "GridSample", "squeeze-and-excitation"]
    assert found["GridSample"].options["padding_mode"] == "border"
    assert found["squeeze-and-excitation"].skipped is None
    assert found["squeeze-and-excitation"].outcomes
    assert {failure.case.rule for one in found.values() for failure in one.failures} == {"X3"}


def test_a_block_in_a_function_of_the_model(tmp_path):
    """As newer exporters write them: they are written out before the graph is walked."""
    path = block(tmp_path / "m.onnx")
    model = onnx.load(path)
    nodes = list(model.graph.node)
    function = helper.make_function("local", "Block", ["x", *WEIGHTS], ["y"], nodes, [helper.make_opsetid("", 20)])
    call = helper.make_node("Block", ["x", *WEIGHTS], ["y"], domain="local")
    graph = helper.make_graph([call], "outer", model.graph.input, model.graph.output, model.graph.initializer)
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("local", 1)]
    onnx.save(helper.make_model(graph, functions=[function], opset_imports=opsets, ir_version=10), path)
    (one,) = verify_onnx(path)
    assert (one.kind, one.failures, one.skipped) == ("squeeze-and-excitation", [], None)


def test_a_block_that_depends_on_something_else_is_not_run(tmp_path):
    """Its view has a shape that is an input of the model."""
    nodes = [
        helper.make_node("GlobalAveragePool", ["x"], ["z"]),
        helper.make_node("Conv", ["z", "w1"], ["h"]),
        helper.make_node("Relu", ["h"], ["a"]),
        helper.make_node("Conv", ["a", "w2"], ["u"]),
        helper.make_node("Sigmoid", ["u"], ["s"]),
        helper.make_node("Reshape", ["s", "view"], ["s4"]),
        helper.make_node("Mul", ["x", "s4"], ["y"]),
    ]
    inputs = [("x", FLOAT, ("N", 6, "H", "W")), ("view", onnx.TensorProto.INT64, (4,))]
    (one,) = verify_onnx(save(tmp_path / "m.onnx", nodes, inputs, WEIGHTS))
    assert one.skipped == "it also depends on view"
    assert one.outcomes == ()


def test_what_only_looks_like_a_block_is_left_alone(tmp_path):
    """The gate is of another tensor than the one that it is multiplied with."""
    nodes = [
        helper.make_node("GlobalAveragePool", ["x"], ["z"]),
        helper.make_node("Conv", ["z", "w1", "b1"], ["h"]),
        helper.make_node("Relu", ["h"], ["a"]),
        helper.make_node("Conv", ["a", "w2", "b2"], ["u"]),
        helper.make_node("Sigmoid", ["u"], ["s"]),
        helper.make_node("Mul", ["other", "s"], ["y"]),
    ]
    shape = ("N", 6, "H", "W")
    path = save(tmp_path / "m.onnx", nodes, [("x", FLOAT, shape), ("other", FLOAT, shape)], WEIGHTS)
    with pytest.raises(ValueError, match="has no GridSample"):
        verify_onnx(path)


def test_plain_values_for_json(tmp_path):
    (one,) = verify_onnx(block(tmp_path / "m.onnx", join="Add"))
    told = one.to_dict()
    assert told["kind"] == "squeeze-and-excitation"
    assert len(told["failures"]) == 1
    assert told["cases"] == 1


@pytest.mark.parametrize("content", [None, b"", b"nonsense"])
def test_what_is_no_model_is_an_error(tmp_path, content):
    path = tmp_path / "m.onnx"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=r"m\.onnx (cannot be read|is not an ONNX model)"):
        verify_onnx(path)


# ---------------------------------------------------------------------------------------------------------------------
# The command line

RUNNER = CliRunner(env={"COLUMNS": "120", "NO_COLOR": "1", "TERM": "dumb"})


def run(*arguments):
    return RUNNER.invoke(app, ["verify", *map(str, arguments)], prog_name="attn-ref")


def test_the_command_line_on_a_right_model(tmp_path):
    result = run("--onnx", block(tmp_path / "m.onnx"), "--json", tmp_path / "told.json")
    assert result.exit_code == 0, result.output
    assert "squeeze-and-excitation" in result.stdout
    (one,) = json.loads((tmp_path / "told.json").read_bytes())["checked"]
    assert (one["failures"], one["cases"], one["options"]["gate"]) == ([], 1, "sigmoid")


def test_the_command_line_on_a_wrong_model(tmp_path):
    result = run("--onnx", block(tmp_path / "m.onnx", gate="HardSigmoid"))
    assert result.exit_code == 1
    assert "WRONG" in result.stdout
    assert "scale: forward: output" in result.stdout
    assert "ONNX's default" in result.stdout


@pytest.mark.parametrize(("wrong", "name"), [({"join": "Add"}, "added"), ({"pool": "GlobalMaxPool"}, "maximum")])
def test_what_is_wrong_with_a_block_is_named(tmp_path, wrong, name):
    (one,) = verify_onnx(block(tmp_path / "m.onnx", **wrong))
    assert name in str(one.diagnoses[0])


def test_errors_of_the_command_line(tmp_path):
    for arguments, words in (
        (("--onnx", tmp_path / "m.onnx"), "cannot be read"),
        (("grid_sample", "--onnx", tmp_path / "m.onnx"), "leave out OPERATION"),
    ):
        result = run(*arguments)
        assert result.exit_code == 2
        assert result.stderr.count("\n") == 1
        assert words in result.stderr


@pytest.mark.parametrize("package", ["onnx", "onnxruntime"])
def test_without_the_packages_one_line_says_which_extra_has_them(tmp_path, monkeypatch, package):
    path = block(tmp_path / "m.onnx")
    monkeypatch.setitem(sys.modules, package, None)
    result = run("--onnx", path)
    assert result.exit_code == 2
    assert (
        result.stderr.strip() == f"attn-ref verify: the package {package} is missing: pip install 'attn_ref[oracles]'"
    )
