"""Wrong ONNX models: one error with the file, the node, what was found and expected; status 2; nothing written."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from onnx import TensorProto, helper

from perfsim import load_network, lower
from perfsim.errors import PerfsimError
from perfsim.network.work import total

INT64, FLOAT = TensorProto.INT64, TensorProto.FLOAT
IMAGE = [1, 3, 8, 8]


def weight(name, *shape):
    return helper.make_tensor(name, FLOAT, shape, np.zeros(shape, np.float32).tobytes(), raw=True)


def ints(name, *values):
    return helper.make_tensor(name, INT64, [len(values)], values)


def claimed(name, *shape, kind=FLOAT, external=False, raw=None):
    """An initializer without values, or with the bytes `raw`."""
    made = TensorProto(name=name, dims=shape, data_type=kind)
    if external:
        made.data_location = TensorProto.EXTERNAL
        made.external_data.add(key="location", value="missing.data")
    if raw is not None:
        made.raw_data = raw
    return made


def info(name, shape, kind=FLOAT):
    return helper.make_tensor_value_info(name, kind, shape)


def node(op, read="x", write="y", **attributes):
    return helper.make_node(op, read.split(), write.split(), name="n", **attributes)


def model(nodes, *weights, x=IMAGE, y=None, opset=17, declared=()):
    graph = helper.make_graph(nodes, "g", [info("x", x)], [info("y", y)], weights)
    graph.value_info.extend(declared)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])


def conv(**attributes):
    return model([node("Conv", "x w", **attributes)], weight("w", 4, 3, 3, 3))


def changed(made, change):
    change(made)
    return made


def nested_functions(depth, *, recursive=False):
    """F0 calls F1 calls F2 ..., the last is a Relu, or calls F0."""
    made = model([helper.make_node("F0", ["x"], ["y"], domain="me")])
    made.opset_import.append(helper.make_opsetid("me", 1))
    own = [helper.make_opsetid("", 17), helper.make_opsetid("me", 1)]
    for at in range(depth):
        called = helper.make_node(f"F{at + 1}", ["a"], ["b"], domain="me")
        if at == depth - 1:
            called = helper.make_node("Relu", ["a"], ["b"])
            if recursive:
                called = helper.make_node("F0", ["a"], ["b"], domain="me")
        made.functions.append(helper.make_function("me", f"F{at}", ["a"], ["b"], [called], own))
    return made


def nested_ifs(depth):
    inner = helper.make_node("Identity", ["x"], ["y"])
    for _ in range(depth):
        branch = helper.make_graph([inner], "b", [], [info("y", IMAGE)])
        inner = helper.make_node(
            "If", ["c"], ["y"], name="n", then_branch=branch, else_branch=branch
        )
    made = model([inner])
    made.graph.input.append(info("c", [], TensorProto.BOOL))
    return made


BIG = 2**60
EXTERNAL = "in the file 'missing.data'"
SCALES = helper.make_tensor("s", FLOAT, [4], [1.0, 1.0, float("nan"), 2.0])
NOTHING = claimed("e", 0, raw=b"")


def steps(name, count):
    return claimed(name, count, kind=INT64, external=True)


# name -> (the model, what the one error line must contain)
FILES = {
    "cut off": (conv().SerializeToString()[:-30], ["not an ONNX model, or cut off"]),
    "cut off in the weights": (
        model([node("Conv", "x w")], weight("w", 64, 64, 9, 9)).SerializeToString()[:-9_000],
        ["not an ONNX model, or cut off"],
    ),
    "foreign protobuf": (weight("t", 1).SerializeToString(), ["expected a protobuf of ONNX"]),
    "no bytes": (b"", ["found an empty file, expected a protobuf of ONNX"]),
    "text": (b"name: net\nlayers: []\n", ["not an ONNX model"]),
    "no graph": (changed(conv(), lambda m: m.ClearField("graph")), ["an ONNX model with a graph"]),
    "no nodes": (model([]), ["no layers"]),
    "no outputs": (changed(conv(), lambda m: m.graph.ClearField("output")), ["no outputs"]),
    "no inputs": (
        changed(conv(), lambda m: m.graph.ClearField("input")),
        ["Conv 'n'", "no tensor or initializer is named 'x'"],
    ),
    "opset too new": (
        changed(conv(), lambda m: setattr(m.opset_import[0], "version", 2**40)),
        ["opset_import", "found opset 1099511627776, expected from 7 to"],
    ),
    "no opset": (
        changed(conv(), lambda m: setattr(m.opset_import[0], "domain", "me")),
        ["opset_import", "found 0 versions", "expected one"],
    ),
    "two opsets": (
        changed(conv(), lambda m: m.opset_import.append(helper.make_opsetid("ai.onnx", 18))),
        ["opset_import", "found 2 versions", "expected one"],
    ),
    "unknown domain": (
        model([helper.make_node("Relu", ["x"], ["y"], name="n", domain="me")]),
        ["Relu 'n'", "unknown operator 'Relu' of me", "--allow-unpriced"],
    ),
    "functions 1000 deep": (nested_functions(1000), ["local functions", "depth"]),
    "functions that call each other": (nested_functions(3, recursive=True), ["Cycle detected"]),
    "a function that calls itself": (nested_functions(1, recursive=True), ["Cycle detected"]),
    "If in If": (nested_ifs(8), ["If 'n'", "control flow (If) is not supported"]),
}
SHAPES = {
    "Reshape to an absent tensor": (
        model([node("Reshape", "x s")], steps("s", 2)),
        ["Reshape 'n'", EXTERNAL],
    ),
    "Slice from an absent tensor": (
        model([node("Slice", "x a b")], steps("a", 1), ints("b", 2)),
        ["Slice 'n'", EXTERNAL],
    ),
    "open batch": (model([node("Relu")], x=["n", 3, 8, 8]), ["input 'x'", "--set batch=N or"]),
    "open batch without a name": (
        model([node("Relu")], x=[None, 3, 8, 8]),
        ["input 'x'", "expected --set batch=N"],
    ),
    "open height": (model([node("Relu")], x=[1, 3, "h", 8]), ["'h'", "--set dim.h=N"]),
    "open and nameless": (
        model([node("Relu")], x=[1, 3, None, 8]),
        ["the size of axis 2 is left open", "it has no name"],
    ),
    "declared output": (
        model([node("Relu")], y=[1, 3, 9, 9]),
        ["Relu 'n'", "declares another shape for 'y'", "found 1x3x9x9, expected 1x3x8x8"],
    ),
    "declared rank": (model([node("Relu")], y=[1, 3, 8]), ["found 1x3x8, expected 1x3x8x8"]),
    "declared between": (
        model(
            [node("Relu", "x", "h"), node("Relu", "h")],
            declared=[info("h", [1, None, 9, 8])],
        ),
        ["Relu 'n'", "'h'", "found 1x?x9x8, expected 1x3x8x8"],
    ),
    "weights of too few bytes": (
        model([node("Conv", "x w")], claimed("w", 4, 3, 3, 3, raw=b"0" * 100)),
        ["initializer 'w'", "found 100 bytes, expected 432 for 4x3x3x3"],
    ),
    "large weights of too few bytes": (
        model([node("Conv", "x w")], claimed("w", 400, 3, 33, 33, raw=b"0" * 1_000_000)),
        ["initializer 'w'", "found 1000000 bytes, expected 5227200 for 400x3x33x33"],
    ),
    "large weights of too few numbers": (
        model(
            [node("MatMul", "x w")],
            TensorProto(name="w", dims=[8, 9_000], data_type=FLOAT, float_data=[0] * 70_000),
        ),
        ["initializer 'w'", "found 280000 bytes, expected 288000 for 8x9000"],
    ),
    "an initializer of 4 GB in 4 bytes": (
        model([node("MatMul", "x w")], claimed("w", 8, 2**27, raw=b"0000")),
        ["initializer 'w'", "found 4 bytes, expected 4294967296"],
    ),
    "10^37 weights": (
        model([node("MatMul", "x w")], claimed("w", 8, BIG, BIG)),
        ["MatMul 'n'"],
    ),
    "10^18 weights": (
        model([node("Conv", "x w")], claimed("w", BIG, 3, 3, 3)),
        ["Conv 'n'", "a count would not be exact"],
    ),
    "an input too large": (model([node("Relu")], x=[2**40, 2**40]), ["'x'", "would not be exact"]),
    "negative weights": (
        model([node("Conv", "x w")], claimed("w", 4, 3, -3, 3)),
        ["initializer 'w'", "found a tensor of shape [4, 3, -3, 3], expected sizes from 0"],
    ),
    "negative input": (
        model([node("Relu")], x=[1, -3, 8, 8]),
        ["input 'x'", "found a size of -3 on axis 1, expected at least 0"],
    ),
    "no output channels": (
        model([node("Conv", "x w")], claimed("w", 0, 3, 3, 3)),
        ["Conv 'n'", "nothing is computed", "found an output of 1x0x6x6"],
    ),
    "no columns": (model([node("MatMul", "x w")], claimed("w", 8, 0)), ["nothing is computed"]),
    "cycle": (
        model([node("Add", "x b", "a"), node("Relu", "a", "b"), node("Relu", "a")]),
        ["Add 'n'", "in a cycle: n -> n_2 -> n"],
    ),
    "reads itself": (model([node("Add", "x y")]), ["in a cycle: n -> n"]),
    "dangling": (
        model([node("Add", "x xx")]),
        ["no tensor or initializer is named 'xx'", "did you mean 'x'?"],
    ),
    "a tensor written twice": (
        model([node("Relu"), node("Sigmoid")]),
        ["Sigmoid 'n_2'", "the name 'y' is used twice"],
    ),
    "an input written": (model([node("Relu", "x", "x")]), ["the name 'x' is used twice"]),
    "a weight written": (
        model([node("Relu", "x", "w"), node("Conv", "x w")], weight("w", 4, 3, 3, 3)),
        ["the name 'w' is used twice"],
    ),
    "two initializers": (
        model([node("Conv", "x w")], weight("w", 4, 3, 3, 3), weight("w", 8, 3, 3, 3)),
        ["initializer 'w'", "used twice"],
    ),
    "two inputs": (
        changed(model([node("Relu")]), lambda m: m.graph.input.append(info("x", [1, 4]))),
        ["input 'x'", "used twice"],
    ),
    "two outputs": (
        changed(model([node("Relu")]), lambda m: m.graph.output.append(info("y", None))),
        ["output 'y'", "used twice"],
    ),
    "no names of outputs": (model([node("Relu", "x", "")]), ["found no outputs"]),
}
ATTRIBUTES = {
    "pads of 2^60": (conv(pads=[BIG] * 4), ["Conv 'n'", "a count would not be exact"]),
    "negative pads": (conv(pads=[-30, 0, 0, 0]), ["Conv 'n'", "pads"]),
    "kernel 0": (conv(kernel_shape=[0, 3]), ["found kernel_shape [0, 3]", "at least 1"]),
    "pool of 2^60": (model([node("MaxPool", kernel_shape=[BIG, 2])]), ["found kernel_shape"]),
    "pool without a kernel": (model([node("MaxPool")]), ["MaxPool 'n'", "kernel_shape"]),
    "group 0": (conv(group=0), ["Conv 'n'", "in 0 groups"]),
    "group of 2^60": (conv(group=BIG), ["1152921504606846976 groups for 3 channels"]),
    "stride -1": (conv(strides=[-1, 1]), ["Conv 'n'", "found strides [-1, 1]", "at least 1"]),
    "dilation 0": (conv(dilations=[0, 1]), ["found dilations [0, 1]"]),
    "groups of a normalisation": (
        model([node("GroupNormalization", "x s s", num_groups=0)], weight("s", 3), opset=21),
        ["found num_groups 0, expected at least 1"],
    ),
    "LRN over nothing": (model([node("LRN", size=-5)]), ["found size -5, expected at least 1"]),
    "axis 9": (model([node("Softmax", axis=9)]), ["Softmax 'n'", "axis"]),
    "axis 1.5": (model([node("Softmax", axis=1.5)]), ["Softmax 'n'", "axis", "FLOAT"]),
    "blocks of 0": (model([node("DepthToSpace", blocksize=0)]), ["DepthToSpace 'n'"]),
    "Pad by 2^60": (
        model([node("Pad", "x p")], ints("p", 0, 0, BIG, 0, 0, 0, 0, 0)),
        ["Pad 'n'", "would not be exact"],
    ),
    "Tile by 2^60": (
        model([node("Tile", "x p")], ints("p", 1, 1, BIG, BIG)),
        ["Tile 'n'", "overflow"],
    ),
    "scale NaN": (
        model([node("Resize", "x e s")], NOTHING, SCALES),
        ["Resize 'n'", "sizes from 0"],
    ),
    "range to infinity": (
        model(
            [node("Range", "a b a", "r"), node("Add", "x r")],
            helper.make_tensor("a", FLOAT, [], [float("nan")]),
            helper.make_tensor("b", FLOAT, [], [float("inf")]),
        ),
        ["Range 'n'", "cannot be worked out"],
    ),
    "hidden size of 2^60": (
        model(
            [node("LSTM", "x w r", hidden_size=BIG)],
            *(claimed("w", 1, 16, 8), claimed("r", 1, 16, 4)),
            x=[5, 1, 8],
        ),
        ["LSTM 'n'"],
    ),
    "a value that does not fill its shape": (
        model(
            [
                helper.make_node(
                    "Constant", [], ["c"], name="k", value=claimed("t", 9, raw=b"0" * 4)
                ),
                node("Mul", "x c"),
            ]
        ),
        ["Constant 'k'", "found 4 bytes, expected 36 for 9"],
    ),
    "a split into others than its outputs": (
        model([node("Split", "x", "y z", num_outputs=3)], opset=18),
        ["found num_outputs 3, expected its 2 outputs"],
    ),
    "a negative count of batch axes": (
        model([node("GatherND", "x i", batch_dims=-5)], ints("i", 0)),
        ["found batch_dims -5, expected at least 0"],
    ),
}
RECURRENT = (claimed("w", 1, 16, 5), claimed("r", 1, 16, 4))
WEIGHTS = {
    "a bias of 99 for 4 channels": (
        model([node("Conv", "x w b")], weight("w", 4, 3, 3, 3), weight("b", 99)),
        ["Conv 'n'", "found weights of 4x3x3x3 and 99, expected 112 numbers"],
    ),
    "a bias of a transposed convolution": (
        model([node("ConvTranspose", "x w b")], weight("w", 3, 4, 3, 3), weight("b", 99)),
        ["ConvTranspose 'n'", "expected 112 numbers"],
    ),
    "a bias of Gemm": (
        model([node("Gemm", "x w b")], weight("w", 8, 4), weight("b", 99), x=[2, 8]),
        ["Gemm 'n'", "2x4 and 99"],
    ),
    "a scale of LayerNormalization": (
        model([node("LayerNormalization", "x w")], weight("w", 99)),
        ["LayerNormalization 'n'", "8 and 99"],
    ),
    "a scale that is larger": (
        model([node("LayerNormalization", "x w")], weight("w", 3, 8)),
        ["found weights of 3x8, expected what stretches to 8"],
    ),
    "a scale of RMSNormalization": (
        model([node("RMSNormalization", "x w")], weight("w", 99), opset=23),
        ["RMSNormalization 'n'", "8 and 99"],
    ),
    "a scale of InstanceNormalization": (
        model([node("InstanceNormalization", "x w b")], weight("w", 99), weight("b", 99)),
        ["found weights of 99 and 99, expected 6 numbers"],
    ),
    "a scale of GroupNormalization": (
        model([node("GroupNormalization", "x w w", num_groups=3)], weight("w", 99), opset=21),
        ["found weights of 99 and 99, expected 6 numbers"],
    ),
    "slopes of PRelu": (model([node("PRelu", "x w")], weight("w", 99)), ["PRelu 'n'", "99"]),
    "an LSTM of other features": (
        model([node("LSTM", "x w r", hidden_size=4)], *RECURRENT, x=[7, 3, 9]),
        ["LSTM 'n'", "found weights of 1x16x5 and 1x16x4, expected 208 numbers"],
    ),
    "an LSTM with weights for one direction": (
        model(
            [node("LSTM", "x w r", hidden_size=4, direction="bidirectional")],
            *RECURRENT,
            x=[7, 3, 5],
        ),
        ["LSTM 'n'", "expected 288 numbers"],
    ),
    "an LSTM sideways": (
        model(
            [node("LSTM", "x w r", hidden_size=4, direction="sideways")],
            *RECURRENT,
            x=[7, 3, 5],
            y=[7, 1, 3, 4],
        ),
        ["found direction 'sideways', expected forward or reverse or bidirectional"],
    ),
    "a matrix as recurrent weights": (
        model([node("LSTM", "x w r", hidden_size=4)], RECURRENT[0], claimed("r", 4), x=[7, 3, 5]),
        ["LSTM 'n'", "found 7x3x5 and weights of 4, expected three axes each"],
    ),
    "keys longer than queries": (
        model(
            [node("Attention", "x k v")], weight("k", 1, 3, 6, 9), weight("v", 1, 3, 6, 9), opset=23
        ),
        ["Attention 'n'", "found 8 and 9 features, expected equal sizes"],
    ),
    "fewer values than keys": (
        model(
            [node("Attention", "x k v")], weight("k", 1, 3, 6, 8), weight("v", 1, 3, 5, 8), opset=23
        ),
        ["Attention 'n'", "with as many values as keys"],
    ),
    "a normalisation over an axis that is not there": (
        model([node("LayerNormalization", "x w", axis=2**63 - 1)], weight("w", 8)),
        ["LayerNormalization 'n'", "of 4 axes, expected from -4 to 3"],
    ),
}
WRONG = FILES | SHAPES | ATTRIBUTES | WEIGHTS


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_model_is_one_error_and_writes_nothing(case, perfsim_cli, write, tmp_path):
    made, fragments = WRONG[case]
    path = write("net.onnx", made if isinstance(made, bytes) else made.SerializeToString())
    result = perfsim_cli("run", path, "--hw", "1MB_1GBs_1TF", "-o", "table.csv")
    assert (result.status, result.out) == (2, "")
    assert result.err.startswith(f"error: {path}: ")
    assert result.err.count("\n") == 1
    for fragment in fragments:
        assert fragment in result.err
    assert [each.name for each in tmp_path.iterdir()] == ["net.onnx"]


def test_an_unknown_dimension_names_the_nearest(perfsim_cli, write):
    path = write("net.onnx", model([node("Relu")], x=[1, 3, "height", 8]).SerializeToString())
    bound = ("--set", "dim.height=8", "--set", "dim.heihgt=8")
    result = perfsim_cli("run", path, "--hw", "1MB_1GBs_1TF", *bound)
    assert result.status == 2
    assert "dim.heihgt" in result.err
    assert "did you mean 'height'?" in result.err


def test_a_library_that_is_not_installed_is_named(perfsim_cli, write, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    path = write("net.onnx", conv().SerializeToString())
    result = perfsim_cli("run", path, "--hw", "1MB_1GBs_1TF")
    assert result.status == 2
    assert result.err == (
        f"error: {path}: reading an ONNX model needs the library onnx; "
        "expected pip install 'perfsim[onnx]', or in a clone '.[onnx]'\n"
    )


def test_two_nodes_of_one_name_are_told_apart(write):
    made = model([node("Relu", "x", "a"), node("Sigmoid", "a")])
    network = load_network(write("net.onnx", made.SerializeToString()))
    assert [each.name for each in network.nodes] == ["n", "n_2"]


def test_weights_that_are_absent_do_not_matter(write):
    """Stored elsewhere, or left out: what a model costs is in their shapes."""
    counts = []
    for made in (
        weight("w", 4, 3, 3, 3),
        claimed("w", 4, 3, 3, 3),
        claimed("w", 4, 3, 3, 3, external=True),
    ):
        path = write("net.onnx", model([node("Conv", "x w")], made).SerializeToString())
        (layer,) = lower(load_network(path)).layers
        counts.append((total(layer.macs), total(layer.params)))
    assert counts == [(4 * 27 * 36, 108)] * 3


def test_large_weights_are_not_read(write):
    """The same rows as with small ones, and a shape that is stored among them is still known."""
    nodes = [node("MatMul", "x w", "h"), node("Reshape", "h s")]
    made = model(nodes, weight("w", 8, 9_000), ints("s", 1, -1))
    network = load_network(write("net.onnx", made.SerializeToString()))
    linear, reshape = lower(network).layers
    assert (total(linear.macs), total(linear.params)) == (3 * 8 * 8 * 9_000, 72_000)
    assert reshape.output_shapes == ((1, 3 * 8 * 9_000),)


@pytest.mark.parametrize(
    ("kind", "bits"),
    [
        (FLOAT, 32),
        (TensorProto.BFLOAT16, 16),
        (TensorProto.INT8, 8),
        (TensorProto.INT4, 4),
        (TensorProto.BOOL, 8),
    ],
)
def test_data_of_each_size_fill_their_shape(kind, bits, write):
    """35 elements: of 4 bits, the last byte is half empty."""
    length = (35 * bits + 7) // 8
    for more in (0, 1):
        held = claimed("c", 5, 7, kind=kind, raw=b"0" * (length + more))
        made = model(
            [node("Cast", "c", "f", to=FLOAT), node("Mul", "x f")], held, x=[5, 7], opset=21
        )
        path = write("net.onnx", made.SerializeToString())
        if more:
            with pytest.raises(PerfsimError, match=f"found {length + 1} bytes, expected {length}"):
                load_network(path)
        else:
            assert load_network(path).nodes


def test_an_unknown_operator_says_that_its_shape_must_be_declared(perfsim_cli, write):
    made = model([helper.make_node("Own", ["x"], ["z"], name="n", domain="me"), node("Relu", "z")])
    path = write("net.onnx", made.SerializeToString())
    run = perfsim_cli("run", path, "--hw", "1MB_1GBs_1TF", "--allow-unpriced")
    assert "'Own' is unknown, and so is the shape of its output 'z'" in run.err
    assert "value_info" in run.err


def test_a_misspelt_dimension_is_named_before_one_that_is_open(perfsim_cli, write):
    path = write("net.onnx", model([node("Relu")], x=["N", 4]).SerializeToString())
    for command in (["check", path], ["models", path], ["run", path, "--hw", "1MB_1GBs_1TF"]):
        wrong = perfsim_cli(*command, "--set", "dim.n=2")
        assert (wrong.status, wrong.out) == (2, "")
        assert "no input of the model has a dimension 'n'" in wrong.err
        assert "did you mean 'N'?" in wrong.err
        assert "--set dim.N=N" in perfsim_cli(*command).err
        assert perfsim_cli(*command, "--set", "dim.N=2").status == 0


def test_check_and_models_take_what_their_errors_advise(perfsim_cli, write):
    made = model([helper.make_node("Own", ["x"], ["y"], name="n", domain="me")], y=[1, 3, 8, 8])
    path = write("net.onnx", made.SerializeToString())
    for command in ("check", "models"):
        assert "--allow-unpriced" in perfsim_cli(command, path).err
        assert perfsim_cli(command, path, "--allow-unpriced").status == 0
