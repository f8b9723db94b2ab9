"""ONNX's operators one at a time, operations worked out by hand, and which constants count as trained."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from perfsim import load_network, lower
from perfsim.errors import PerfsimError
from perfsim.frontends.onnx_trained import SIGNATURE
from perfsim.network.work import total

FLOAT = TensorProto.FLOAT


def held(name, value):
    return numpy_helper.from_array(np.asarray(value), name)


def weights(name, *shape):
    return held(name, np.full(shape, 0.5, np.float32))


@pytest.fixture
def read(tmp_path):
    def read_model(nodes, inputs, outputs, constants=(), *, opset=20, notes=None):
        graph = helper.make_graph(
            nodes,
            "g",
            [helper.make_tensor_value_info(name, FLOAT, shape) for name, shape in inputs.items()],
            [helper.make_tensor_value_info(name, FLOAT, None) for name in outputs],
            constants,
        )
        for key, value in (notes or {}).items():
            graph.metadata_props.add(key=key, value=value)
        path = tmp_path / "net.onnx"
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
        path.write_bytes(model.SerializeToString())
        return load_network(path)

    return read_model


def layers(network):
    """(op, MACs, vector operations, parameters, output shapes) of each layer that is no view."""
    return [
        (
            each.op,
            total(each.macs),
            total(each.vector_ops),
            total(each.params),
            each.output_shapes,
        )
        for each in lower(network).layers
        if not each.is_view
    ]


@pytest.mark.parametrize(
    ("mode", "each"),
    [("nearest", 0), ("linear", 3 * 3), ("cubic", 2 * 16)],
)
def test_grid_sample(mode, each, read):
    node = helper.make_node("GridSample", ["x", "grid"], ["y"], mode=mode)
    network = read([node], {"x": [2, 3, 8, 8], "grid": [2, 4, 5, 2]}, ["y"])
    places = 2 * 4 * 5 * (2 * 3)  # scale, shift and fraction of two coordinates
    assert layers(network) == [
        ("grid_sample", 0, places + 2 * 3 * 4 * 5 * each, 0, ((2, 3, 4, 5),))
    ]
    assert network.inputs == ("x", "grid")


def test_col2im(read):
    node = helper.make_node("Col2Im", ["x", "image", "block"], ["y"])
    sizes = [held("image", np.array([5, 5])), held("block", np.array([1, 5]))]
    network = read([node], {"x": [1, 5, 5]}, ["y"], sizes)
    assert layers(network) == [("col2im", 0, 25, 0, ((1, 1, 5, 5),))]


@pytest.mark.skipif(not onnx.defs.has("SwiGLU"), reason="this onnx does not know SwiGLU")
@pytest.mark.parametrize(("alpha", "each"), [(1.0, 6), (2.0, 7)])
def test_swiglu(alpha, each, read):
    node = helper.make_node("SwiGLU", ["a", "b"], ["y"], alpha=alpha)
    opset = onnx.defs.get_schema("SwiGLU").since_version
    network = read([node], {"a": [2, 4], "b": [2, 4]}, ["y"], opset=opset)
    assert layers(network) == [("swiglu", 0, 8 * each, 0, ((2, 4),))]


@pytest.mark.parametrize(
    ("shape", "params"), [((6, 6), 0), ((1, 1, 6, 6), 0), ((4, 6, 6), 144), ((2, 1, 6, 6), 72)]
)
def test_a_constant_that_is_added_to_the_scores_of_all_heads_alike_is_a_mask(shape, params, read):
    nodes = [
        helper.make_node("Transpose", ["k"], ["kt"], perm=[0, 1, 3, 2]),
        helper.make_node("MatMul", ["q", "kt"], ["scores"]),
        helper.make_node("Add", ["scores", "mask"], ["masked"]),
        helper.make_node("Softmax", ["masked"], ["shares"], axis=-1),
        helper.make_node("IsNaN", ["shares"], ["hidden"]),
        helper.make_node("Where", ["hidden", "zero", "shares"], ["kept"]),
        helper.make_node("MatMul", ["kept", "v"], ["y"]),
    ]
    constants = [weights("mask", *shape), held("zero", np.array(0, np.float32))]
    four_heads = {key: [2, 4, 6, 8] for key in ("q", "k", "v")}
    scores = 2 * 4 * 6 * 6
    assert layers(read(nodes, four_heads, ["y"], constants)) == [
        ("attention", scores * 16, scores * 7, params, ((2, 4, 6, 8),))
    ]


@pytest.mark.parametrize(("shape", "count"), [((4, 6, 6), 144), ((6, 6), 0)])
def test_a_bias_of_the_scores_that_two_attentions_use_is_a_parameter_once(shape, count, read):
    """As T5 has it, one for each head, query and key; one for all heads is a mask."""
    nodes, shapes = [], {}
    for each in "12":
        shapes |= {name + each: [2, 4, 6, 8] for name in "qkv"}
        nodes += [
            helper.make_node("Transpose", ["k" + each], ["kt" + each], perm=[0, 1, 3, 2]),
            helper.make_node("MatMul", ["q" + each, "kt" + each], ["scores" + each]),
            helper.make_node("Add", ["scores" + each, "bias"], ["biased" + each]),
            helper.make_node("Softmax", ["biased" + each], ["shares" + each], axis=-1),
            helper.make_node("MatMul", ["shares" + each, "v" + each], ["y" + each]),
        ]
    program = lower(read(nodes, shapes, ["y1", "y2"], [weights("bias", *shape)]))
    found = [each for each in program.layers if each.op == "attention"]
    assert [(total(each.params), total(each.tied)) for each in found] == [(count, 0), (0, count)]
    assert all(f"'{found[0].name}'" in product.of for product in found[1].tied)


def test_a_query_without_axes_for_heads_leaves_the_products_as_they_are(read):
    nodes = [
        helper.make_node("Transpose", ["k"], ["kt"], perm=[1, 0]),
        helper.make_node("MatMul", ["q", "kt"], ["scores"]),
        helper.make_node("Softmax", ["scores"], ["shares"], axis=-1),
        helper.make_node("MatMul", ["shares", "v"], ["y"]),
    ]
    shapes = {"q": [8], "k": [6, 8], "v": [6, 3]}
    assert [(op, macs) for op, macs, *_ in layers(read(nodes, shapes, ["y"]))] == [
        ("transpose", 0),
        ("matmul", 8 * 6),
        ("softmax", 0),
        ("matmul", 6 * 3),
    ]


@pytest.mark.parametrize("layout", [0, 1])
@pytest.mark.parametrize(("op", "gates", "each"), [("LSTM", 4, 26), ("GRU", 3, 19), ("RNN", 1, 5)])
def test_recurrent_layers_in_both_layouts_and_with_the_last_state_alone(
    op, gates, each, layout, read
):
    tokens, batch, features, units = 7, 2, 5, 4
    shape = [batch, tokens, features] if layout else [tokens, batch, features]
    constants = [weights("w", 1, gates * units, features), weights("r", 1, gates * units, units)]
    macs, params = tokens * batch * gates * units * (features + units), gates * units * 9
    operations = tokens * batch * units * each
    every = (batch, tokens, 1, units) if layout else (tokens, 1, batch, units)
    last = (batch, 1, units) if layout else (1, batch, units)
    for outputs, shapes in ((["y", "h"], (every, last)), (["", "h"], (last,))):
        node = helper.make_node(op, ["x", "w", "r"], outputs, hidden_size=units, layout=layout)
        network = read([node], {"x": shape}, [name for name in outputs if name], constants)
        assert layers(network) == [(op.lower(), macs, operations, params, shapes)]


@pytest.mark.parametrize(
    ("op", "gates", "attributes", "message"),
    [
        ("RNN", 1, {"activations": ["Relu"]}, "Relu, expected Tanh"),
        ("GRU", 3, {"activations": ["Tanh", "Tanh"]}, "Tanh, Tanh, expected Sigmoid, Tanh"),
        ("LSTM", 4, {"activations": ["Sigmoid", "Tanh", "Relu"]}, "Relu, expected Sigmoid, Tanh"),
        ("LSTM", 4, {"input_forget": 1}, "input_forget 1"),
    ],
)
def test_what_changes_the_gates_of_a_recurrent_layer_is_refused(
    op, gates, attributes, message, read
):
    node = helper.make_node(op, ["x", "w", "r"], ["y"], hidden_size=4, **attributes)
    held = [weights("w", 1, gates * 4, 5), weights("r", 1, gates * 4, 4)]
    with pytest.raises(PerfsimError, match=message):
        read([node], {"x": [7, 2, 5]}, ["y"], held)


def test_peepholes_and_clip_of_an_lstm_are_priced(read):
    """Each of 3 gates reads the state of each of 2 x 4 units: 3 x 2 operations and a number; 5 inputs are clipped."""
    node = helper.make_node(
        *("LSTM", ["x", "w", "r", "", "", "", "", "p"], ["y"]),
        hidden_size=4,
        direction="bidirectional",
        clip=3.0,
        activations=["sigmoid", "tanh", "tanh"] * 2,
    )
    held = [weights("w", 2, 16, 5), weights("r", 2, 16, 4)]
    network = read([node], {"x": [7, 3, 5]}, ["y"], [*held, weights("p", 2, 12)])
    states = 7 * 3 * 2 * 4
    expected = (states * 4 * (5 + 4), states * (26 + 6 + 10), 2 * 16 * 9 + 2 * 12)
    assert layers(network) == [("lstm", *expected, ((7, 2, 3, 4),))]
    with pytest.raises(PerfsimError, match="peepholes of 2x11, expected 24 numbers"):
        read([node], {"x": [7, 3, 5]}, ["y"], [*held, weights("p", 2, 11)])


def test_padding_that_is_worked_out_from_the_shape(read):
    """TensorFlow's "same" as PyTorch's exporter writes it: max(needed, 0)."""
    nodes = [
        helper.make_node("Clip", ["needed", "zero", ""], ["right"]),
        helper.make_node("Cast", ["right"], ["whole"], to=TensorProto.INT64),
        helper.make_node("Concat", ["four", "zeros", "whole", "whole"], ["pads"], axis=0),
        helper.make_node("Pad", ["x", "pads"], ["y"]),
    ]
    constants = [
        held("needed", np.array([1.0], np.float32)),
        held("zero", np.array(0.0, np.float32)),
        held("four", np.zeros(4, np.int64)),
        held("zeros", np.zeros(2, np.int64)),
    ]
    ((_, _, _, _, shapes),) = layers(read(nodes, {"x": [1, 3, 8, 8]}, ["y"], constants))
    assert shapes == ((1, 3, 9, 9),)


@pytest.mark.parametrize(("sizes", "shape"), [([2, 5, 1], (1, 5)), (4, (1, 4))])
def test_a_part_of_a_split_sequence_is_a_slice(sizes, shape, read):
    nodes = [
        helper.make_node("SplitToSequence", ["x", "sizes"], ["parts"], axis=1),
        helper.make_node("SequenceAt", ["parts", "one"], ["y"]),
    ]
    constants = [held("sizes", np.array(sizes)), held("one", np.array(1))]
    network = read(nodes, {"x": [1, 8]}, ["y"], constants)
    assert layers(network) == [("slice", 0, 0, 0, (shape,))]


POSITIONS = np.arange(10)[:, None] * 10000.0 ** (-np.arange(4) / 4)
CAUSAL = np.triu(np.full((6, 6), np.finfo(np.float32).min), 1)


@pytest.mark.parametrize(
    ("value", "params"),
    [
        (CAUSAL, 0),
        (np.triu(np.full((100, 100), -np.inf), 1), 0),  # larger than what is kept
        (np.triu(np.full((200, 200), -np.inf), 1), 0),  # and than what is read of weights
        (np.full((200, 200), 0.5), 40000),
        (np.where(np.eye(6) > 0, 0, -100.0), 0),
        (np.tile(np.cos(POSITIONS), 2)[None, None], 0),
        (np.tile(np.sin(POSITIONS), 2), 0),
        (CAUSAL * 1e-38, 36),  # small numbers hide nothing
        (np.zeros((6, 6)), 36),  # weights that were taken out
        (np.ones((6, 6)), 36),  # a scale as it begins
        (np.concatenate([np.cos(POSITIONS[:5]), np.cos(POSITIONS[:5])]), 40),  # begins anew
        (np.full((6, 6), -200.0), 36),
    ],
)
def test_masks_and_tables_of_angles_are_not_trained(value, params, read):
    node = helper.make_node("Mul", ["x", "c"], ["y"])
    shape = list(value.shape)
    network = read([node], {"x": shape}, ["y"], [held("c", value.astype(np.float32))])
    assert layers(network)[0][3] == params


def test_what_the_exporter_notes_as_a_buffer_is_not_trained(read):
    node = helper.make_node("Add", ["x", "m.table"], ["y"])
    for kind, params in (("BUFFER", 0), ("CONSTANT_TENSOR", 0), ("PARAMETER", 12)):
        note = f"# inputs\nb_m_table: {kind} target='m.table' persistent=True\nx: USER_INPUT"
        network = read(
            [node], {"x": [3, 4]}, ["y"], [weights("m.table", 3, 4)], notes={SIGNATURE: note}
        )
        assert layers(network)[0][3] == params


def test_a_bias_that_is_filled_with_zeros_is_none(read):
    nodes = [
        helper.make_node("Expand", ["zero", "size"], ["bias"]),
        helper.make_node("Conv", ["x", "w", "bias"], ["y"]),
    ]
    constants = [
        held("zero", np.array(0, np.float32)),
        held("size", np.array([8])),
        weights("w", 8, 3, 1, 1),
    ]
    network = read(nodes, {"x": [1, 3, 4, 4]}, ["y"], constants)
    assert layers(network) == [("conv", 8 * 3 * 16, 0, 24, ((1, 8, 4, 4),))]


def test_attention_written_out_is_attention_whatever_way_the_keys_are_turned(read):
    def nodes(keys, *more):
        return [
            *more,
            helper.make_node("Mul", ["q", "scale"], ["scaled"]),
            helper.make_node("MatMul", ["scaled", keys], ["scores"]),
            helper.make_node("Add", ["scores", "mask"], ["masked"]),
            helper.make_node("Softmax", ["masked"], ["shares"], axis=-1),
            helper.make_node("MatMul", ["shares", "v"], ["y"]),
        ]

    constants = [held("scale", np.array(0.5, np.float32)), held("mask", CAUSAL.astype(np.float32))]
    shapes = {"q": [2, 4, 6, 8], "v": [2, 4, 6, 3]}
    scores = 2 * 4 * 6 * 6
    attention = ("attention", scores * (8 + 3), scores * (6 + 1), 0, ((2, 4, 6, 3),))
    turned = helper.make_node("Transpose", ["k"], ["kt"], perm=[0, 1, 3, 2])
    found = read(nodes("kt", turned), {**shapes, "k": [2, 4, 6, 8]}, ["y"], constants)
    assert layers(found) == [attention]
    at_once = helper.make_node("Transpose", ["k"], ["kt"], perm=[0, 2, 3, 1])
    found = read(nodes("kt", at_once), {**shapes, "k": [2, 6, 4, 8]}, ["y"], constants)
    assert layers(found) == [("transpose", 0, 0, 0, ((2, 4, 6, 8),)), attention]
    heads_apart = [
        helper.make_node("Transpose", ["k"], ["flat"], perm=[0, 2, 1]),
        helper.make_node("Reshape", ["flat", "of_heads"], ["unscaled"]),
        helper.make_node("Mul", ["unscaled", "scale"], ["kt"]),
    ]
    more = [*constants, held("of_heads", np.array([2, 4, 8, 6]))]
    found = read(nodes("kt", *heads_apart), {**shapes, "k": [8, 6, 8]}, ["y"], more)
    assert layers(found) == [attention]
    as_they_are = read(nodes("kt"), {**shapes, "kt": [2, 4, 8, 6]}, ["y"], constants)
    assert [op for op, *_ in layers(as_they_are)] == ["mul", "matmul", "add", "softmax", "matmul"]
