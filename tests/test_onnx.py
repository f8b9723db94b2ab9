"""ONNX models: the same rows as from YAML, known counts, and every conformance model lowers or is refused."""

from __future__ import annotations

import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from perfsim import load_network, lower
from perfsim.errors import PerfsimError
from perfsim.network.work import total

FLOAT = TensorProto.FLOAT
LIGHT = Path(onnx.__file__).parent / "backend/test/data/light"
LOWERED_SHARE = 0.82


def weight(name, *shape):
    return helper.make_tensor(name, FLOAT, shape, np.zeros(shape, np.float32).tobytes(), raw=True)


def ints(name, *values):
    return helper.make_tensor(name, TensorProto.INT64, [len(values)], values)


def model(nodes, inputs, outputs, weights=(), opset=17, **more):
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info(name, FLOAT, shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info(name, FLOAT, None) for name in outputs],
        weights,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], **more)


def rows(network):
    """What a row of the table is made from, but for names."""
    program = lower(network)
    return [
        (
            layer.op,
            total(layer.macs),
            total(layer.vector_ops),
            total(layer.params),
            layer.input_shapes,
            layer.output_shapes,
            [(each.op, each.is_free) for each in layer.fused],
            [program.tensors[each].bytes for each in (*layer.reads, *layer.writes, *layer.weights)],
        )
        for layer in program.layers
    ]


def batch_norm(name, read, channels):
    held = [weight(f"{name}.{part}", channels) for part in "smvb"]
    node = helper.make_node("BatchNormalization", [read, *(each.name for each in held)], [name])
    return node, held


def test_conv_batch_norm_relu_is_one_layer_by_hand(read):
    norm, held = batch_norm("n", "c", 8)
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], pads=[1] * 4, strides=[2, 2]),
        norm,
        helper.make_node("Relu", ["n"], ["y"]),
    ]
    network = read(model(nodes, {"x": [1, 3, 8, 8]}, ["y"], [weight("w", 8, 3, 3, 3), *held]))
    (layer,) = lower(network).layers
    assert total(layer.macs) == 16 * 8 * 27
    assert total(layer.params) == 8 * 27 + 16
    assert [each.op for each in layer.fused] == ["batch_norm", "relu"]
    assert layer.output_shapes == ((1, 8, 4, 4),)


def test_the_same_rows_as_from_yaml(read, load):
    """MobileNet's first block, a residual block, squeeze-and-excite and a classifier."""
    yaml = load("""\
name: net
input: [3, 16, 16]
layers:
  - conv: {name: stem, channels: 8, kernel: 3, stride: 2, batch_norm: true, activation: relu}
  - depthwise_conv: {kernel: 3, batch_norm: true, activation: relu6}
  - conv: {name: point, channels: 8, kernel: 1, activation: hard_swish}
  - add: {name: sum, inputs: [stem, point]}
  - global_avg_pool: {}
  - conv: {channels: 2, kernel: 1, activation: relu}
  - conv: {name: gate, channels: 8, kernel: 1, activation: sigmoid}
  - mul: {inputs: [sum, gate]}
  - max_pool: {kernel: 2, padding: valid}
  - flatten: {}
  - fully_connected: {units: 10}
  - softmax: {}
""")
    norm1, held1 = batch_norm("n1", "c1", 8)
    norm2, held2 = batch_norm("n2", "c2", 8)
    node = helper.make_node
    nodes = [
        node("Conv", ["x", "w1"], ["c1"], auto_pad="SAME_UPPER", strides=[2, 2]),
        norm1,
        node("Relu", ["n1"], ["stem"]),
        node("Conv", ["stem", "w2"], ["c2"], pads=[1] * 4, group=8),
        norm2,
        node("Clip", ["n2", "zero", "six"], ["r2"]),
        node("Conv", ["r2", "w3", "b3"], ["c3"]),
        node("HardSwish", ["c3"], ["point"]),
        node("Add", ["stem", "point"], ["sum"]),
        node("ReduceMean", ["sum"], ["mean"], axes=[2, 3]),
        node("Conv", ["mean", "w4", "b4"], ["c4"]),
        node("Relu", ["c4"], ["r4"]),
        node("Conv", ["r4", "w5", "b5"], ["c5"]),
        node("Sigmoid", ["c5"], ["gate"]),
        node("Mul", ["sum", "gate"], ["scaled"]),
        node("MaxPool", ["scaled"], ["pooled"], kernel_shape=[2, 2], strides=[2, 2]),
        node("Flatten", ["pooled"], ["flat"]),
        node("Dropout", ["flat"], ["dropped"]),
        node("Gemm", ["dropped", "w6", "b6"], ["logits"], transB=1),
        node("Softmax", ["logits"], ["y"]),
    ]
    weights = [
        *(weight("w1", 8, 3, 3, 3), weight("w2", 8, 1, 3, 3), weight("w3", 8, 8, 1, 1)),
        *(weight("b3", 8), weight("w4", 2, 8, 1, 1), weight("b4", 2), weight("w5", 8, 2, 1, 1)),
        *(weight("b5", 8), weight("w6", 10, 8 * 4 * 4), weight("b6", 10), *held1, *held2),
        helper.make_tensor("zero", FLOAT, [], [0.0]),
        helper.make_tensor("six", FLOAT, [], [6.0]),
    ]
    made = model(nodes, {"x": ["n", 3, 16, 16]}, ["y"], weights)
    network = read(made, batch=1, precision={"weight": 8})
    mine, theirs = rows(network), rows(yaml)
    assert mine[-1][:6] == (*theirs[-1][:4], ((1, 10),), ((1, 10),))
    assert mine == theirs


def test_light_models_are_exact(read):
    """MACs from published tables, or worked out from ONNX's shapes; parameters from the shapes of all weights."""
    published = {"resnet50": (4_089_184_256, 25_557_032), "vgg19": (19_632_062_464, 143_667_240)}
    published["squeezenet"] = (349_151_936, 1_235_496)
    models = sorted(LIGHT.glob("*.onnx"))
    assert len(models) == 9
    for path in models:
        network = load_network(path)
        layers = lower(network).layers
        found = (
            sum(total(layer.macs) for layer in layers),
            sum(total(layer.params) for layer in layers),
        )
        inferred = onnx.shape_inference.infer_shapes(onnx.load(path), strict_mode=True)
        shapes = {
            each.name: tuple(dim.dim_value for dim in each.type.tensor_type.shape.dim)
            for each in (*inferred.graph.value_info, *inferred.graph.output, *inferred.graph.input)
        }
        for name, tensor in network.tensors.items():
            assert tensor.shape == shapes[name], (path, name)
        assert found == counted(inferred.graph, shapes), path
        name = path.stem.removeprefix("light_")
        assert found == published.get(name, found)


def counted(graph, shapes):
    """(MACs, parameters) of a light model, from nothing but shapes."""
    macs = params = 0
    made = {node.output[0]: node for node in graph.node}
    floats = [each for each in graph.initializer if each.data_type == FLOAT]
    weights = {each.name: np.prod(each.dims) for each in floats}
    for node in graph.node:
        if node.op_type == "Unsqueeze" and node.input[0] in weights:
            weights[node.output[0]] = weights[node.input[0]]
    for node in graph.node:
        held = [] if node.op_type == "Unsqueeze" else list(node.input[1:])
        if node.op_type == "Conv":
            macs += np.prod(shapes[node.output[0]]) * np.prod(shapes[node.input[1]][1:])
        elif node.op_type == "Gemm":
            macs += np.prod(shapes[node.input[1]])
        elif node.op_type == "BatchNormalization":
            held = held[:2]  # its statistics are not trained
        for name in held:
            writer = made.get(name)
            if writer is not None and writer.op_type in ("Unsqueeze", "Reshape"):
                writer = made.get(writer.input[0])
            if writer is not None and writer.op_type == "ConstantOfShape":
                params += np.prod(shapes[name])  # in every layer that reads it
            params += weights.get(name, 0)
    return int(macs), int(params)


@pytest.fixture(scope="module")
def conformance():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from onnx.backend.test.case.node import collect_testcases

        return {case.name: case.model for case in collect_testcases(None)}


@pytest.mark.thorough
@pytest.mark.filterwarnings("ignore")
def test_conformance_models_lower_or_are_refused(conformance, tmp_path):
    path = tmp_path / "m.onnx"
    lowered = 0
    refused = Counter()
    for name, made in conformance.items():
        path.write_bytes(made.SerializeToString())
        try:
            network = load_network(path)
            lower(network)
        except PerfsimError as error:
            assert_one_line(error)
            refused[" ".join(sorted({node.op_type for node in made.graph.node})[:3])] += 1
            continue
        lowered += 1
        for output in made.graph.output:
            dims = output.type.tensor_type.shape.dim
            if output.name in network.tensors and all(dim.HasField("dim_value") for dim in dims):
                shape = tuple(dim.dim_value for dim in dims)
                assert network.tensors[output.name].shape == shape, name
    assert lowered >= LOWERED_SHARE * len(conformance), (lowered, len(conformance), refused)


def assert_one_line(error):
    assert "\n" not in str(error)


CONV = helper.make_node("Conv", ["x", "w"], ["y"], name="c")
W = weight("w", 4, 3, 3, 3)
IMAGE = {"x": [1, 3, 8, 8]}


def relu(read, write):
    return helper.make_node("Relu", [read], [write], name=f"{read}_{write}")


WRONG = {
    "cut off": (model([CONV], IMAGE, ["y"], [W]).SerializeToString()[:-40], ["cut off"]),
    "text": (b"not a protobuf at all", ["ONNX"]),
    "empty": (b"", ["ONNX"]),
    "foreign": (helper.make_tensor("t", FLOAT, [1], [1.0]).SerializeToString(), ["ONNX"]),
    "unbound batch": (model([CONV], {"x": ["n", 3, 8, 8]}, ["y"], [W]), ["--set batch=N"]),
    "unbound size": (model([CONV], {"x": [1, 3, "h", 8]}, ["y"], [W]), ["--set dim.h=N"]),
    "cycle": (model([relu("a", "b"), relu("b", "a")], IMAGE, ["b"]), ["a_b -> b_a -> a_b"]),
    "dangling": (model([relu("xx", "y")], IMAGE, ["y"]), ["'xx'", "did you mean 'x'"]),
    "written twice": (model([relu("x", "y")] * 2, IMAGE, ["y"]), ["'y' is used twice"]),
    "no writer": (model([relu("x", "y")], IMAGE, ["z"]), ["output 'z'"]),
    "opset": (model([CONV], IMAGE, ["y"], [W], opset=9999), ["opset 9999", "from 7"]),
    "old opset": (model([CONV], IMAGE, ["y"], [W], opset=5), ["opset 5", "from 7"]),
    "unknown": (
        model([helper.make_node("Convv", ["x"], ["y"], name="k")], IMAGE, ["y"]),
        ["Convv 'k'", "unknown operator 'Convv'", "did you mean 'Conv'?"],
    ),
    "wrong weights": (
        model([CONV], {"x": [1, 5, 8, 8]}, ["y"], [W]),
        ["Conv 'c'", "4x3x3x3"],
    ),
    "no nodes": (model([], IMAGE, ["x"]), ["no layers"]),
}
for control in ("If", "Loop", "Scan"):
    made = model([helper.make_node(control, ["x"], ["y"], name="k")], IMAGE, ["y"])
    WRONG[control] = (made, [f"{control} 'k'", "control flow"])


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_model_gives_one_error(case, read):
    made, fragments = WRONG[case]
    with pytest.raises(PerfsimError) as caught:
        read(made)
    text = str(caught.value)
    assert "net.onnx" in text
    assert "\n" not in text
    for fragment in fragments:
        assert fragment in text


@pytest.mark.parametrize(
    ("settings", "fragment"),
    [
        ({"batch": 4}, "the batch cannot change"),
        ({"dim": {"k": 4}}, "no input of the model has a dimension 'k'"),
        ({"width": 0.5}, "fixed layers"),
        ({"batches": 4}, "unknown key 'batches'"),
    ],
)
def test_a_wrong_setting_is_an_error(read, settings, fragment):
    with pytest.raises(PerfsimError, match=fragment):
        read(model([CONV], IMAGE, ["y"], [W]), **settings)


def test_open_dimensions_are_bound(read):
    made = model([CONV], {"x": ["n", 3, "h", 8]}, ["y"], [W])
    network = read(made, batch=2, dim={"h": 9})
    assert network.tensors["y"].shape == (2, 4, 7, 6)


def test_unknown_operators_move_bytes_when_that_is_allowed(read, perfsim_cli, tmp_path):
    info = helper.make_tensor_value_info("z", FLOAT, [1, 3, 8, 8])
    made = model(
        [helper.make_node("Mine", ["x"], ["z"], domain="me"), relu("z", "y")], IMAGE, ["y"]
    )
    made.graph.value_info.append(info)
    made.opset_import.append(helper.make_opsetid("me", 1))
    network = read(made, allow_unpriced=True)
    said = "1 unknown operator moves its bytes and cost no compute: Mine (1)"
    assert network.unpriced == said
    path = tmp_path / "unknown.onnx"
    path.write_bytes(made.SerializeToString())
    refused = perfsim_cli("run", str(path), "--hw", "1MB_1GBs_1TF")
    assert (refused.status, refused.out) == (2, "")
    assert "--allow-unpriced" in refused.err
    allowed = perfsim_cli("run", str(path), "--hw", "1MB_1GBs_1TF", "--allow-unpriced")
    assert (allowed.status, allowed.out.splitlines()[0]) == (0, said)
    first = lower(network).layers[0]
    assert (first.op, total(first.macs), total(first.vector_ops)) == ("unpriced Mine", 0, 0)


def test_gelu_layer_norm_and_bias_are_put_together(read):
    """A transformer's feed-forward part as exporters write it: 5 tokens of 8 features."""
    node = helper.make_node

    def number(name, value):
        return helper.make_tensor(name, FLOAT, [], [value])

    nodes = [
        node("ReduceMean", ["x"], ["mean"], axes=[-1]),
        node("Sub", ["x", "mean"], ["centred"]),
        node("Pow", ["centred", "two"], ["square"]),
        node("ReduceMean", ["square"], ["variance"], axes=[-1]),
        node("Add", ["variance", "epsilon"], ["positive"]),
        node("Sqrt", ["positive"], ["deviation"]),
        node("Div", ["centred", "deviation"], ["normal"]),
        node("Mul", ["normal", "scale"], ["scaled"]),
        node("Add", ["scaled", "shift"], ["norm"]),
        node("MatMul", ["norm", "w"], ["product"]),
        node("Add", ["b", "product"], ["wide"]),
        node("Div", ["wide", "root"], ["divided"]),
        node("Erf", ["divided"], ["erf"]),
        node("Add", ["erf", "one"], ["raised"]),
        node("Mul", ["wide", "raised"], ["doubled"]),
        node("Mul", ["doubled", "half"], ["y"]),
    ]
    held = [
        *(number("two", 2.0), number("epsilon", 1e-5), number("root", 2**0.5)),
        *(number("one", 1.0), number("half", 0.5), weight("scale", 8), weight("shift", 8)),
        *(weight("w", 8, 32), weight("b", 32)),
    ]
    network = read(model(nodes, {"x": [1, 5, 8]}, ["y"], held))
    norm, linear = lower(network).layers
    assert (norm.op, total(norm.params), total(norm.vector_ops)) == ("layer_norm", 16, 40 * 7 + 15)
    assert (linear.op, total(linear.params), total(linear.macs)) == ("linear", 288, 5 * 8 * 32)
    assert [each.op for each in linear.fused] == ["bias", "gelu"]


def test_shape_arithmetic_is_folded_away(read):
    """x.view(x.shape[0], -1), as exporters write it."""
    node = helper.make_node
    nodes = [
        node("Shape", ["x"], ["shape"]),
        node("Gather", ["shape", "zero"], ["size"], axis=0),
        node("Concat", ["size", "rest"], ["target"], axis=0),
        node("Reshape", ["x", "target"], ["flat"]),
        node("Relu", ["flat"], ["y"]),
    ]
    made = model(nodes, {"x": ["n", 3, 4]}, ["y"], [ints("zero", 0), ints("rest", -1)])
    network = read(made, batch=2)
    assert [each.operator.name for each in network.nodes] == ["reshape", "relu"]
    assert network.tensors["y"].shape == (2, 12)


def test_uneven_padding_ceil_mode_and_split(read):
    node = helper.make_node
    nodes = [
        node("Conv", ["x", "w"], ["c"], pads=[0, 0, 1, 1], strides=[2, 2]),  # (8 + 1 - 3) / 2 + 1
        node("MaxPool", ["c"], ["p"], kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1),
        node("Split", ["p"], ["a", "b"], axis=1),
        node("Add", ["a", "b"], ["y"]),
    ]
    network = read(model(nodes, IMAGE, ["y"], [W]))
    shapes = {name: tensor.shape for name, tensor in network.tensors.items()}
    assert shapes["c"] == (1, 4, 4, 4)
    assert shapes["p"] == (1, 4, 2, 2)
    assert shapes["a"] == shapes["b"] == shapes["y"] == (1, 2, 2, 2)


def test_uneven_padding_and_ceil_mode_in_yaml(load):
    network = load("""\
input: [3, 8, 8]
layers:
  - conv: {channels: 4, kernel: 3, stride: 2, padding: [[0, 1], [0, 1]]}
  - max_pool: {kernel: 3, stride: 2, padding: valid, ceil_mode: true}
""")
    assert [network.tensors[each.outputs[0]].shape for each in network.nodes] == [
        (1, 4, 4, 4),
        (1, 4, 2, 2),
    ]


def test_local_functions_are_written_out(read):
    function = helper.make_function(
        "me",
        "Twice",
        ["a"],
        ["b"],
        [relu("a", "c"), helper.make_node("Sigmoid", ["c"], ["b"])],
        [helper.make_opsetid("", 17)],
    )
    made = model([helper.make_node("Twice", ["x"], ["y"], domain="me")], IMAGE, ["y"])
    made.opset_import.append(helper.make_opsetid("me", 1))
    made.functions.append(function)
    assert [each.operator.name for each in read(made).nodes] == ["relu", "sigmoid"]


@pytest.mark.parametrize("setting", [{"batch": 2}, {"dim": {"N": 2}}])
def test_the_batch_binds_the_shapes_that_are_declared_by_its_name(setting, read):
    """What ONNX cannot infer, as the output of an unknown operator, has the declared shape (N, 4)."""
    made = helper.make_model(
        helper.make_graph(
            [helper.make_node("Unheard", ["x"], ["f"]), helper.make_node("Relu", ["f"], ["y"])],
            "g",
            [helper.make_tensor_value_info("x", FLOAT, ["N", 4])],
            [helper.make_tensor_value_info("y", FLOAT, None)],
            value_info=[helper.make_tensor_value_info("f", FLOAT, ["N", 4])],
        ),
        opset_imports=[helper.make_opsetid("", 17)],
    )
    assert read(made, allow_unpriced=True, **setting).tensors["y"].shape == (2, 4)
