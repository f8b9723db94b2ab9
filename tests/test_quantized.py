"""Bits per tensor: quantize and dequantize in files, and ONNX models that were quantised."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, helper
from test_onnx import ints, model, rows, weight

from perfsim import load_hardware, lower, simulate
from perfsim.errors import InvalidValueError
from perfsim.network.work import total
from perfsim.program import Kind
from perfsim.timing.work import layer_work

FILE = """\
name: net
input: [4, 8, 8]
precision: {feature_map: 16, weight: 8}
layers:
"""


def made(load, layers):
    program = lower(load(FILE + layers))
    return program, {layer.name: layer for layer in program.layers}


def sizes(program, layer, what):
    return [program.tensors[index].bytes for index in getattr(layer, what)]


def fused(layer):
    return [(each.op, each.is_free) for each in layer.fused]


def test_quantize_is_free_behind_the_matrix_unit_and_halves_what_is_written(load):
    program, layers = made(
        load,
        """\
  - conv: {name: c, channels: 8, kernel: 3, bias: false, activation: silu}
  - quantize: {bits: 4}
  - conv: {name: d, channels: 2, kernel: 1}
""",
    )
    assert list(layers) == ["c", "d"]
    assert fused(layers["c"]) == [("silu", False), ("quantize", True)]
    assert sizes(program, layers["c"], "writes") == [8 * 64 * 4 // 8]
    assert total(layers["c"].vector_ops) == 5 * 8 * 64  # silu alone
    assert sizes(program, layers["d"], "writes") == [2 * 64 * 16 // 8]


def test_dequantize_is_applied_by_every_reader(load):
    program, layers = made(
        load,
        """\
  - conv: {name: c, channels: 4, kernel: 3, bias: false}
  - quantize: {bits: 8}
  - dequantize: {name: q}
  - conv: {name: d, channels: 4, kernel: 1, bias: false}
  - add: {name: s, inputs: [q, d]}
  - max_pool: {name: m, inputs: [q], kernel: 2}
""",
    )
    assert list(layers) == ["c", "d", "s", "m"]
    assert fused(layers["d"]) == [("dequantize", True)]
    assert fused(layers["s"]) == [("dequantize", False)]
    assert fused(layers["m"]) == [("dequantize", True)]
    assert total(layers["s"].vector_ops) == 256 + 2 * 256  # the addition, one input of two
    assert sizes(program, layers["s"], "reads") == [256, 512]
    assert sizes(program, layers["m"], "reads") == [256]
    assert program.position("q") == 1  # the first layer that applies it


def test_a_dequantised_output_is_a_layer(load):
    program, layers = made(load, "  - quantize: {name: q}\n  - dequantize: {name: d}\n")
    assert [total(layer.vector_ops) for layer in program.layers] == [4 * 256, 2 * 256]
    assert sizes(program, layers["q"], "writes") == [256]
    assert sizes(program, layers["d"], "writes") == [512]


def test_what_only_selects_keeps_the_encoding(load):
    """Quantising what a pooling or a transposition chose from dequantised elements undoes that."""
    program, layers = made(
        load,
        """\
  - quantize: {name: q}
  - dequantize: {}
  - max_pool: {name: m, kernel: 2}
  - quantize: {}
  - dequantize: {}
  - flatten: {name: f}
  - quantize: {}
  - dequantize: {}
  - fully_connected: {name: fc, units: 2, bias: false}
""",
    )
    assert list(layers) == ["q", "m", "f", "fc"]
    assert fused(layers["m"]) == [("dequantize", True), ("quantize", True)]
    assert total(layers["m"].vector_ops) == 3 * 64
    assert sizes(program, layers["m"], "writes") == sizes(program, layers["fc"], "reads") == [64]


def test_to_another_width_is_work(load):
    program, layers = made(
        load,
        "  - quantize: {name: q}\n  - dequantize: {}\n  - quantize: {name: r, bits: 4}\n"
        "  - dequantize: {}\n  - conv: {channels: 1, kernel: 1}\n",
    )
    assert fused(layers["r"]) == [("dequantize", False)]
    assert total(layers["r"].vector_ops) == (2 + 4) * 256
    assert sizes(program, layers["r"], "writes") == [128]


def test_bits_of_one_layer(load):
    program, layers = made(
        load,
        """\
  - conv: {name: c, channels: 8, kernel: 3, batch_norm: true, activation: relu, precision: {weight: 2, feature_map: 8}}
  - conv: {name: d, channels: 4, kernel: 1, precision: {weight: 4}}
""",
    )
    assert sizes(program, layers["c"], "weights") == [(8 * 4 * 9 + 16) * 2 // 8]
    assert sizes(program, layers["c"], "writes") == [8 * 64]
    assert sizes(program, layers["d"], "weights") == [(32 + 4) * 4 // 8]
    assert sizes(program, layers["d"], "writes") == [4 * 64 * 2]


@pytest.mark.parametrize(
    "follower", ["relu: {}", "max_pool: {kernel: 1}", "reshape: {shape: [512]}"]
)
def test_what_only_selects_keeps_the_width(follower, load):
    conv = "  - conv: {channels: 8, kernel: 3, precision: {feature_map: 4}}\n"
    program, _ = made(load, conv + f"  - {follower}\n")
    written = program.tensors[program.layers[-1].writes[0]]
    assert (written.bits, written.bytes) == (4, 8 * 64 * 4 // 8)
    program, _ = made(load, conv + "  - silu: {}\n")
    assert program.tensors[program.layers[-1].writes[0]].bits == 16


@pytest.mark.parametrize("bits", ["0", "65", "x"])
def test_wrong_bits(load, bits):
    with pytest.raises(InvalidValueError, match="weight"):
        made(load, f"  - conv: {{channels: 8, kernel: 3, precision: {{weight: {bits}}}}}\n")


def small(name, kind, values, *shape):
    return helper.make_tensor(name, kind, shape, [values] * int(np.prod(shape)))


def scale(name):
    return small(name, FLOAT, 0.5, *())


FLOAT, INT8, UINT8, INT32 = (
    TensorProto.FLOAT,
    TensorProto.INT8,
    TensorProto.UINT8,
    TensorProto.INT32,
)


class Qdq:
    """Writes a graph with each tensor quantised and dequantised."""

    def __init__(self):
        self.nodes = []
        self.held = [small("s", FLOAT, 0.5), small("z", UINT8, 0), small("z8", INT8, 0)]

    def pair(self, name):
        self.nodes += [
            helper.make_node("QuantizeLinear", [name, "s", "z"], [f"{name}_q"]),
            helper.make_node("DequantizeLinear", [f"{name}_q", "s", "z"], [f"{name}_d"]),
        ]
        return f"{name}_d"

    def held_as(self, name, kind, *shape):
        self.held.append(small(name, kind, 1, *shape))
        zero = ["z8"] if kind == INT8 else []
        self.nodes.append(helper.make_node("DequantizeLinear", [name, "s", *zero], [f"{name}_d"]))
        return f"{name}_d"

    def add(self, op, reads, name, **attributes):
        self.nodes.append(helper.make_node(op, reads, [name], **attributes))
        return name


def residual_qdq():
    q = Qdq()
    x = q.pair("x")
    c = q.add(
        "Conv", [x, q.held_as("w", INT8, 8, 4, 3, 3), q.held_as("b", INT32, 8)], "c", pads=[1] * 4
    )
    c = q.pair(q.add("Relu", [c], "r"))
    d = q.pair(q.add("Conv", [c, q.held_as("v", INT8, 8, 8, 1, 1)], "d"))
    s = q.pair(q.add("Add", [c, d], "sum"))
    m = q.pair(q.add("MaxPool", [s], "m", kernel_shape=[2, 2], strides=[2, 2]))
    f = q.pair(q.add("Flatten", [m], "f"))
    q.add("MatMul", [f, q.held_as("u", INT8, 128, 10)], "mm")
    y = q.pair(q.add("Add", ["mm", q.held_as("ub", INT32, 10)], "a"))
    q.nodes[-1].output[0] = "y"
    assert y == "a_d"
    return model(q.nodes, {"x": [1, 4, 8, 8]}, ["y"], q.held)


def test_a_qdq_model_has_the_rows_of_the_float_model_and_its_bits(read):
    program = lower(read(residual_qdq()))
    assert [layer.op for layer in program.layers] == [
        *("quantize", "conv", "conv", "add", "max_pool", "flatten", "linear", "dequantize")
    ]
    first, conv, point, add, pool, view, last, result = program.layers
    assert (sizes(program, first, "reads"), sizes(program, first, "writes")) == ([1024], [256])
    assert total(conv.macs) == 8 * 64 * 36
    assert sizes(program, conv, "weights") == [8 * 36, 4 * 8]  # 8 bits, and a bias of 32
    assert sizes(program, conv, "writes") == [8 * 64]
    assert fused(conv) == [
        *(("dequantize", True), ("bias", True), ("relu", True), ("quantize", True))
    ]
    assert total(point.params) == 64
    assert total(add.vector_ops) == (1 + 2 * 2 + 4) * 512
    assert sizes(program, add, "reads") == [512, 512]
    assert total(pool.vector_ops) == 3 * 128
    assert view.is_view
    assert sizes(program, last, "weights") == [1280, 40]
    assert total(last.params) == 1290
    assert (sizes(program, result, "reads"), sizes(program, result, "writes")) == ([10], [40])


def test_settings_are_for_what_stayed_a_fraction(read):
    program = lower(read(residual_qdq(), precision={"feature_map": 16, "weight": 2}))
    assert sizes(program, program.layers[0], "reads") == [512]
    assert sizes(program, program.layers[0], "writes") == [256]
    assert sizes(program, program.layers[1], "weights") == [288, 32]


def test_a_model_that_does_not_quantise_has_the_bits_of_the_setting(read):
    nodes = [helper.make_node("Conv", ["x", "w"], ["y"])]
    made = model(nodes, {"x": [1, 4, 8, 8]}, ["y"], [weight("w", 8, 4, 1, 1)])
    program = lower(read(made))
    assert sizes(program, program.layers[0], "reads") == [256]
    assert sizes(program, program.layers[0], "weights") == [32]


def qlinear(*nodes, held=(), outputs=("y",)):
    kinds = [small("s", FLOAT, 0.5), small("z", UINT8, 0), small("z8", INT8, 0)]
    graph = helper.make_graph(
        list(nodes),
        "g",
        [helper.make_tensor_value_info("x", UINT8, [1, 4, 8, 8])],
        [helper.make_tensor_value_info(name, UINT8, None) for name in outputs],
        [*kinds, *held],
    )
    domains = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=domains)


def runtime(op, *arguments, **more):
    return helper.make_node(op, *arguments, domain="com.microsoft", **more)


def test_quantised_operators(read):
    """A residual block as ONNX Runtime's static quantisation writes it without QDQ."""
    program = lower(
        read(
            qlinear(
                helper.make_node(
                    "QLinearConv",
                    ["x", "s", "z", "w", "s", "z8", "s", "z", "b"],
                    ["c"],
                    pads=[1] * 4,
                ),
                runtime("QLinearAdd", ["x", "s", "z", "c", "s", "z", "s", "z"], ["a"]),
                runtime("QLinearConcat", ["s", "z", "a", "s", "z", "c", "s", "z"], ["k"], axis=1),
                runtime("QLinearGlobalAveragePool", ["k", "s", "z", "s", "z"], ["g"]),
                helper.make_node("Flatten", ["g"], ["f"]),
                runtime("QGemm", ["f", "s", "z", "u", "s", "z8", "v", "s", "z"], ["y"], transB=1),
                held=[
                    small("w", INT8, 1, 4, 4, 3, 3),
                    small("b", INT32, 1, 4),
                    small("u", INT8, 1, 10, 8),
                    small("v", INT32, 1, 10),
                ],
            )
        )
    )
    conv, add, concat, pool, _, gemm = program.layers
    assert total(conv.macs) == 4 * 64 * 36
    assert sizes(program, conv, "weights") == [144, 16]
    assert [sizes(program, each, "writes") for each in (conv, add, concat)] == [[256], [256], [512]]
    assert total(add.vector_ops) == (1 + 2 * 2 + 4) * 256
    assert total(pool.vector_ops) == 512 + 2 * 512 + 4 * 8
    assert (total(gemm.macs), total(gemm.params)) == (80, 90)
    assert sizes(program, gemm, "weights") == [80, 40]
    assert sizes(program, gemm, "writes") == [10]


def test_weights_of_four_bits_in_blocks(read):
    nodes = [
        helper.make_node("Cast", ["x"], ["h"], to=TensorProto.FLOAT16),
        runtime("MatMulNBits", ["h", "w", "s4"], ["y"], K=8, N=6, bits=4, block_size=4),
    ]
    held = [small("w", UINT8, 1, 6, 2, 2), small("s4", TensorProto.FLOAT16, 1, 12)]
    program = lower(read(qlinear(*nodes, held=held)))
    layer = program.layers[-1]
    assert total(layer.macs) == 32 * 8 * 6
    assert sizes(program, layer, "weights") == [8 * 6 // 2, 12 * 2]
    assert total(layer.params) == 48 + 12


def test_integer_products_give_32_bits(read):
    nodes = [helper.make_node("ConvInteger", ["x", "w", "z", "z8"], ["y"])]
    program = lower(read(qlinear(*nodes, held=[small("w", INT8, 1, 2, 4, 1, 1)])))
    (layer,) = program.layers
    assert sizes(program, layer, "reads") == [256]
    assert sizes(program, layer, "writes") == [2 * 64 * 4]
    assert sizes(program, layer, "weights") == [8]


def test_quantised_rows_of_an_embedding(read):
    graph = helper.make_graph(
        [
            helper.make_node("Gather", ["t", "x"], ["r"]),
            helper.make_node("DequantizeLinear", ["r", "s", "z8"], ["y"]),
        ],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.INT64, [1, 5])],
        [helper.make_tensor_value_info("y", FLOAT, None)],
        [small("t", INT8, 1, 100, 8), small("s", FLOAT, 0.5), small("z8", INT8, 0)],
    )
    program = lower(read(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])))
    embedding, output = program.layers
    assert (embedding.op, total(embedding.params)) == ("embedding", 800)
    assert sizes(program, embedding, "writes") == [40]
    assert sizes(program, output, "writes") == [160]


def test_a_matrix_that_two_nodes_use_is_a_parameter_once(read):
    nodes = [
        helper.make_node("Gather", ["t", "x"], ["r"]),
        helper.make_node("LayerNormalization", ["r", "n", "n"], ["l"]),
        helper.make_node("Transpose", ["t"], ["u"], perm=[1, 0]),
        helper.make_node("MatMul", ["l", "u"], ["m"]),
        helper.make_node("Add", ["m", "b"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.INT64, [1, 5])],
        [helper.make_tensor_value_info("y", FLOAT, None)],
        [weight("t", 100, 8), weight("n", 8), weight("b", 100)],
    )
    program = lower(read(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])))
    assert [total(each.params) for each in program.layers] == [800, 16, 100]
    assert [total(each.tied) for each in program.layers] == [0, 0, 800]
    assert sizes(program, program.layers[-1], "weights") == [900]


def test_equal_vectors_that_an_exporter_merged_count_in_every_layer(read):
    nodes = [
        helper.make_node("LayerNormalization", ["x", "n", "m"], ["a"]),
        helper.make_node("LayerNormalization", ["a", "n", "m"], ["y"]),
    ]
    program = lower(read(model(nodes, {"x": [1, 5, 8]}, ["y"], [weight("n", 8), weight("m", 8)])))
    assert [total(each.params) for each in program.layers] == [16, 16]


def test_the_rows_of_a_shared_matrix_are_printed(read):
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["a"]),
        helper.make_node("MatMul", ["a", "w"], ["y"]),
    ]
    network = read(model(nodes, {"x": [1, 5, 8]}, ["y"], [weight("w", 8, 8)]))
    assert [row[3] for row in rows(network)] == [64, 0]
    assert ints("i", 1).dims == [1]


def test_a_quantised_constant_that_the_vector_unit_reads_is_dequantised_there(read):
    """As an input would be: 2 operations for each of 8 elements beside the 40 of the product."""
    nodes = [
        helper.make_node("DequantizeLinear", ["c", "s", "z"], ["d"]),
        helper.make_node("Mul", ["x", "d"], ["m"]),
        helper.make_node("MatMul", ["m", "w"], ["y"]),
    ]
    held = [small("c", INT8, 1, 8), small("s", FLOAT, 0.5), small("z", INT8, 0)]
    network = read(model(nodes, {"x": [1, 5, 8]}, ["y"], [*held, weight("w", 8, 8)]))
    assert [total(each.vector_ops) for each in lower(network).layers] == [40 + 2 * 8, 0]


def test_a_run_says_at_how_many_bits_it_was_priced(perfsim_cli, write):
    layers = """\
  - conv: {channels: 4, kernel: 1, precision: {weight: 2}}
  - quantize: {bits: 4}
  - conv: {channels: 4, kernel: 1}
"""
    run = perfsim_cli("run", write("net.yaml", FILE + layers), "--hw", "1MB_1GBs_1TF")
    shown = " ".join(run.out.split())
    assert "; 4- and 16-bit feature maps, 2- and 8-bit weights DDR" in shown
    alone = write("pool.yaml", "name: p\ninput: [4, 8, 8]\nlayers: [global_avg_pool: {}]\n")
    run = perfsim_cli("run", alone, "--hw", "1MB_1GBs_1TF")
    assert "0 parameters; 8-bit feature maps DDR" in " ".join(run.out.split())


def test_explain_says_where_a_conversion_is_free(perfsim_cli, write):
    layers = (
        "  - quantize: {name: q}\n  - dequantize: {}\n  - conv: {name: c, channels: 4, kernel: 1}\n"
    )
    path = write("net.yaml", FILE + layers + "  - quantize: {}\n")
    shown = perfsim_cli("explain", path, "--hw", "1MB_1GBs_1TF", "--layer", "c").out
    assert "fused dequantize: free on the way in" in shown
    assert "fused quantize: free on the matrix unit's way out" in shown


@pytest.mark.parametrize(("kind", "wide"), [(TensorProto.FLOAT16, 2), (FLOAT, 4)])
def test_a_last_cast_writes_its_own_width(kind, wide, read):
    q = Qdq()
    q.add("Cast", [q.add("Sigmoid", [q.pair("x")], "gate")], "y", to=kind)
    made = model(q.nodes, {"x": [1, 8]}, ["y"], q.held)
    made.graph.output[0].type.tensor_type.elem_type = kind
    program = lower(read(made))
    (output,) = (each for each in program.tensors if each.kind is Kind.OUTPUT)
    assert output.bytes == 8 * wide


def test_a_view_of_a_quantised_constant_keeps_its_bits(read):
    """Reshaped to a shape that is known only when it runs, whose sizes the model declares."""
    q = Qdq()
    w = q.held_as("w", INT8, 4, 16)
    q.add("Reshape", [w, "sizes"], "r")
    q.add("MatMul", [q.pair("x"), "r"], "y")
    made = model(q.nodes, {"x": [1, 8]}, ["y"], q.held)
    made.graph.input.append(helper.make_tensor_value_info("sizes", TensorProto.INT64, [2]))
    made.graph.value_info.append(helper.make_tensor_value_info("r", FLOAT, [8, 8]))
    program = lower(read(made))
    assert [each.bytes for each in program.tensors if each.kind is Kind.WEIGHT] == [64]


def test_the_statistics_of_a_batch_norm_have_no_say_in_its_widths(read):
    q = Qdq()
    held = [q.held_as(name, INT8, 4) for name in ("scale", "shift")]
    q.held += [small("mean", FLOAT, 1, 4), small("var", FLOAT, 1, 4)]
    q.add("BatchNormalization", [q.pair("x"), *held, "mean", "var"], "y")
    program = lower(read(model(q.nodes, {"x": [1, 4, 8]}, ["y"], q.held)))
    assert [each.bytes for each in program.tensors if each.kind is Kind.WEIGHT] == [2 * 4]


def quantised_convolution():
    reads = ["x", "s", "z", "w", "s", "z8", "s", "z", "b"]
    conv = helper.make_node("QLinearConv", reads, ["y"], pads=[1] * 4)
    return qlinear(conv, held=[small("w", INT8, 1, 4, 4, 3, 3), small("b", INT32, 1, 4)])


def integer_convolution():
    node = helper.make_node("ConvInteger", ["x", "w", "z", "z8"], ["y"])
    return qlinear(node, held=[small("w", INT8, 1, 2, 4, 1, 1)])


@pytest.mark.parametrize("made", [residual_qdq, quantised_convolution, integer_convolution])
def test_biases_and_sums_of_32_bits_do_not_make_a_layer_wide(made, read, write):
    """Inputs and kernels of 8 bits are multiplied at the rate of 8 bits, and there need not be another."""
    for rates in ('"8": 2 TOPS', '"32": 0.1 TOPS, "8": 2 TOPS'):
        file = write(
            "m.yaml",
            f"name: m\nsram: 1 MB\nddr_bandwidth: 1 GB/s\nvector: 1 GFLOPS\nmatrix: {{{rates}}}\n",
        )
        network = read(made())
        columns = simulate(network, load_hardware(file)).columns
        expected = [2 * total(layer.macs) / 2e12 for layer in lower(network).layers]
        assert columns["matrix_s"] == pytest.approx(expected, rel=1e-12)
        assert sum(expected)


@pytest.mark.parametrize(
    ("layers", "bits"),
    [
        ("conv: {channels: 8, kernel: 1, precision: {feature_map: 32}}", 16),  # what is written
        ("conv: {channels: 8, kernel: 1, precision: {weight: 24}}", 24),
        ("matmul: {inputs: [input, input]}", 16),
        ("conv: {channels: 8, kernel: 1}", 16),
    ],
)
def test_a_layer_is_as_wide_as_what_it_multiplies(layers, bits, load):
    program, _ = made(load, f"  - {layers}\n")
    assert layer_work(program).bits[0] == bits


def test_a_mask_is_added_and_not_multiplied(load):
    program = lower(
        load(
            "name: n\ninput: [4, 4]\nprecision: {feature_map: 8, weight: 8}\nlayers:\n"
            "  - relu: {name: x}\n"
            "  - linear: {name: mask, inputs: [x], units: 4, precision: {feature_map: 32}}\n"
            "  - attention: {name: a, heads: 1, inputs: [x, x, x, mask]}\n"
        )
    )
    assert layer_work(program).bits.tolist()[1:] == [8, 8]
