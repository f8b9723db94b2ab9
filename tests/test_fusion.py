"""What is quantised and fused: widths, several outputs, weights of fused nodes. Expected numbers by hand."""

from __future__ import annotations

import pytest
from onnx import TensorProto, helper
from test_onnx import model, weight
from test_quantized import FLOAT, INT8, Qdq, fused, made, qlinear, runtime, sizes, small

from perfsim import lower
from perfsim.network.work import total

QUANTIZED = "  - quantize: {name: q}\n  - dequantize: {name: d}\n"


@pytest.mark.parametrize(("bits", "written"), [(4, 256 * 4 // 8), (16, 256 * 16 // 8)])
def test_behind_a_view_another_width_is_a_layer(bits, written, load):
    rest = f"  - reshape: {{shape: [8, 4, 8]}}\n  - quantize: {{name: r, bits: {bits}}}\n"
    program, layers = made(load, QUANTIZED + rest)
    assert fused(layers["r"]) == [("dequantize", False)]
    assert total(layers["r"].vector_ops) == 256 * (2 + 4)
    assert (sizes(program, layers["r"], "reads"), sizes(program, layers["r"], "writes")) == (
        [256],
        [written],
    )


def test_behind_a_selection_another_width_is_work(load):
    rest = "  - max_pool: {name: m, kernel: 2}\n  - quantize: {bits: 4}\n"
    program, layers = made(load, QUANTIZED + rest)
    assert fused(layers["m"]) == [("dequantize", True), ("quantize", False)]
    assert total(layers["m"].vector_ops) == (3 + 4) * 64
    assert sizes(program, layers["m"], "writes") == [64 * 4 // 8]


def test_inputs_of_two_widths_are_not_undone(load):
    rest = (
        "  - quantize: {name: p, inputs: [input], bits: 4}\n  - dequantize: {name: e}\n"
        "  - concat: {name: c, inputs: [d, e]}\n  - quantize: {name: r}\n"
    )
    _, layers = made(load, QUANTIZED + rest)
    assert fused(layers["c"]) == [("dequantize", True)]
    assert total(layers["r"].vector_ops) == 4 * 512


def test_each_output_of_a_split_keeps_the_encoding(load):
    rest = (
        "  - split: {name: s, parts: [1, 3]}\n"
        "  - quantize: {name: a, inputs: [s.1]}\n  - dequantize: {name: ad}\n"
        "  - quantize: {name: b, inputs: [s.2]}\n  - dequantize: {name: bd}\n"
        "  - conv: {name: c, inputs: [ad], channels: 1, kernel: 1}\n"
        "  - conv: {name: e, inputs: [bd], channels: 1, kernel: 1}\n"
    )
    program, layers = made(load, QUANTIZED + rest)
    assert list(layers) == ["q", "s", "c", "e"]
    assert fused(layers["s"]) == [("dequantize", True), ("quantize", True)]
    assert total(layers["s"].vector_ops) == 0
    assert sizes(program, layers["s"], "writes") == [64, 192]
    assert sizes(program, layers["c"], "reads") == [64]
    assert sizes(program, layers["e"], "reads") == [192]
    assert layers["s"].members == ("s", "d", "a", "b")


@pytest.mark.parametrize("op", ["BatchNormalization", "PRelu"])
def test_what_is_fused_behind_keeps_the_width_of_its_weights(op, read):
    """2 vectors of a batch normalisation, or one of slopes, in 32 bits behind weights of 8."""
    q = Qdq()
    conv = q.add("Conv", [q.pair("x"), q.held_as("w", INT8, 8, 4, 1, 1)], "c")
    vectors = {"BatchNormalization": ("g", "b", "m", "v"), "PRelu": ("p",)}[op]
    shape = {"BatchNormalization": (8,), "PRelu": (8, 1, 1)}[op]
    q.held += [small(name, FLOAT, 0.5, *shape) for name in vectors]
    q.pair(q.add(op, [conv, *vectors], "n"))
    program = lower(read(model(q.nodes, {"x": [1, 4, 8, 8]}, ["n_d"], q.held)))
    layer = program.layers[1]
    params = {"BatchNormalization": 16, "PRelu": 8}[op]
    assert total(layer.params) == 32 + params
    assert sizes(program, layer, "weights") == [32, 4 * params]


def test_slopes_behind_a_layer_without_weights_keep_their_width(read):
    q = Qdq()
    total_of_two = q.add("Add", [q.pair("x"), q.pair("z1")], "sum")
    q.held.append(small("p", FLOAT, 0.5, 4, 1, 1))
    q.pair(q.add("PRelu", [total_of_two, "p"], "n"))
    inputs = {"x": [1, 4, 8, 8], "z1": [1, 4, 8, 8]}
    program = lower(read(model(q.nodes, inputs, ["n_d"], q.held)))
    (layer,) = (layer for layer in program.layers if layer.op == "add")
    assert sizes(program, layer, "weights") == [16]


def test_initial_states_that_two_layers_share_are_no_parameters(read):
    """2 sequences, so that the states are a matrix; 4 gates of 3 units, which read 3 features and 3 units."""
    nodes = [
        helper.make_node("LSTM", ["x", "w", "r", "", "", "h", "h"], ["a"], hidden_size=3),
        helper.make_node("Squeeze", ["a", "axis"], ["b"]),
        helper.make_node("LSTM", ["b", "u", "t", "", "", "h", "h"], ["y"], hidden_size=3),
    ]
    held = [weight(name, 1, 12, 3) for name in ("w", "r", "u", "t")] + [weight("h", 1, 2, 3)]
    held.append(helper.make_tensor("axis", TensorProto.INT64, [1], [1]))
    program = lower(read(model(nodes, {"x": [5, 2, 3]}, ["y"], held)))
    found = [(total(layer.params), total(layer.tied)) for layer in program.layers]
    assert found == [(72, 0), (0, 0), (72, 0)]


def test_quantising_to_the_range_of_the_input_is_work(read):
    """min, max, divide, round, add and clip of each of 2 x 8 elements."""
    nodes = [
        helper.make_node("DequantizeLinear", ["x", "s", "z"], ["f"]),
        helper.make_node("Flatten", ["f"], ["g"]),
        helper.make_node("Identity", ["f"], ["k"]),
        runtime("DynamicQuantizeMatMul", ["g", "w", "s"], ["y"]),
    ]
    held = [small("w", INT8, 1, 256, 3)]
    program = lower(read(qlinear(*nodes, held=held, outputs=("y", "k"))))
    layer = next(layer for layer in program.layers if layer.op == "linear")
    assert total(layer.macs) == 256 * 3
    assert total(layer.vector_ops) == 6 * 256
    assert total(layer.params) == 256 * 3


def test_a_bias_behind_weights_of_few_bits(read):
    nodes = [
        helper.make_node("Cast", ["x"], ["h"], to=FLOAT),
        runtime(
            "MatMulNBits", ["h", "w", "s4", "", "", "b"], ["y"], K=8, N=6, bits=4, block_size=4
        ),
    ]
    held = [small("w", TensorProto.UINT8, 1, 6, 2, 2), small("s4", FLOAT, 1, 12)]
    program = lower(read(qlinear(*nodes, held=[*held, small("b", FLOAT, 1, 6)])))
    layer = program.layers[-1]
    assert total(layer.params) == 48 + 12 + 6
    assert sizes(program, layer, "weights") == [48 * 4 // 8, (12 + 6) * 4]
