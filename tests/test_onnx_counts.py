"""Operators of ONNX that no network file has: MACs, vector operations and parameters, counted by loops or by hand."""

from __future__ import annotations

from itertools import product
from math import ceil, log2

import numpy as np
import pytest
from onnx import TensorProto, helper

from perfsim import load_network, lower
from perfsim.network.work import total
from perfsim.program import Kind

FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64


def held(name, *shape, kind=FLOAT):
    """An initializer of zeros."""
    array = np.zeros(shape, helper.tensor_dtype_to_np_dtype(kind))
    return helper.make_tensor(name, kind, shape, array.tobytes(), raw=True)


def number(name, value):
    return helper.make_tensor(name, FLOAT, [], [value])


def node(op, read, write, **attributes):
    return helper.make_node(op, read.split(" "), write.split(), **attributes)


@pytest.fixture
def layers(write):
    """The layers of an ONNX model: (operator, MACs, vector operations, parameters, output shapes) of each."""

    def of_model(nodes, *weights, opset=17, kind=FLOAT, **inputs):
        graph = helper.make_graph(
            nodes,
            "g",
            [helper.make_tensor_value_info(name, kind, shape) for name, shape in inputs.items()],
            [helper.make_tensor_value_info(name, FLOAT, None) for name in nodes[-1].output if name],
            weights,
        )
        made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
        program = lower(load_network(write("net.onnx", made.SerializeToString())))
        return [
            (
                each.op,
                total(each.macs),
                total(each.vector_ops),
                total(each.params),
                each.output_shapes,
            )
            for each in program.layers
        ]

    return of_model


def times(*ranges):
    """How often the innermost of nested loops runs."""
    return sum(1 for _ in product(*map(range, ranges)))


def test_gelu_with_tanh_in_both_spellings(layers):
    """0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))), the cube as a power and as products."""
    numbers = [number("three", 3.0), number("c", 0.044715), number("one", 1.0)]
    numbers += [number("root", 0.7978845608), number("half", 0.5)]
    for cube in (
        [node("Pow", "x three", "cube")],
        [node("Mul", "x x", "square"), node("Mul", "square x", "cube")],
    ):
        nodes = [
            *cube,
            node("Mul", "cube c", "small"),
            node("Add", "x small", "sum"),
            node("Mul", "sum root", "scaled"),
            node("Tanh", "scaled", "tanh"),
            node("Add", "tanh one", "raised"),
            node("Mul", "x raised", "double"),
            node("Mul", "double half", "y"),
        ]
        # 5 for each of 2 x 6: multiply, erf (or tanh), add, multiply, multiply
        assert layers(nodes, *numbers, x=[2, 6]) == [("gelu", 0, 5 * 12, 0, ((2, 6),))]


def test_mish_by_its_nodes(layers):
    nodes = [node("Softplus", "x", "s"), node("Tanh", "s", "t"), node("Mul", "x t", "y")]
    each = 3 + 5 + 1  # exp, add, log; multiply, exp, add, divide, subtract; multiply
    assert layers(nodes, x=[2, 6]) == [("mish", 0, each * 12, 0, ((2, 6),))]


@pytest.mark.parametrize("squared", ["Pow", "Mul"])
def test_layer_norm_by_its_nodes(squared, layers):
    square = node("Pow", "d two", "q") if squared == "Pow" else node("Mul", "d d", "q")
    nodes = [
        node("ReduceMean", "x", "m", axes=[-1]),
        node("Sub", "x m", "d"),
        square,
        node("ReduceMean", "q", "v", axes=[-1]),
        node("Add", "v e", "p"),
        node("Sqrt", "p", "r"),
        node("Div", "d r", "n"),
        node("Mul", "n scale", "s"),
        node("Add", "s shift", "y"),
    ]
    weights = [number("two", 2.0), number("e", 1e-5), held("scale", 8), held("shift", 8)]
    found = layers(nodes, *weights, x=[2, 5, 8])
    # 10 places: of 8 elements, each added to the mean, centred, squared, added to the variance, and multiplied,
    # scaled and shifted; epsilon, root and reciprocal at each place
    assert found == [("layer_norm", 0, 10 * (8 * 7 + 3), 16, ((2, 5, 8),))]


@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(("op", "gates", "each"), [("LSTM", 4, 26), ("GRU", 3, 19)])
def test_recurrent_layers(op, gates, each, bias, both, layers):
    """7 tokens of 5 features for 3 sequences; 4 units. `each`: operations per unit, in docs/operators.md."""
    tokens, batch, features, units, directions = 7, 3, 5, 4, 1 + both
    weights = [held("w", directions, gates * units, features)]
    weights += [held("r", directions, gates * units, units)]
    if bias:
        weights.append(held("b", directions, 2 * gates * units))
    read = "x w r b" if bias else "x w r"
    direction = "bidirectional" if both else "forward"
    made = node(op, read, "y", hidden_size=units, direction=direction)
    macs = times(directions, tokens, batch, gates * units, features)
    macs += times(directions, tokens, batch, gates * units, units)
    operations = times(directions, tokens, batch, units) * each
    params = sum(np.prod(weight.dims) for weight in weights)
    shapes = ((tokens, directions, batch, units),)
    found = layers([made], *weights, x=[tokens, batch, features])
    assert found == [(op.lower(), macs, operations, params, shapes)]


def test_initial_states_change_no_count(layers):
    weights = [held("w", 1, 16, 5), held("r", 1, 16, 4), held("h", 1, 3, 4), held("c", 1, 3, 4)]
    given = layers([node("LSTM", "x w r   h c", "y", hidden_size=4)], *weights, x=[7, 3, 5])
    none = layers([node("LSTM", "x w r", "y", hidden_size=4)], *weights[:2], x=[7, 3, 5])
    assert given[0][:3] == none[0][:3]
    read = layers(
        [node("LSTM", "x w r   h c", "y", hidden_size=4)],
        *weights[:2],
        x=[7, 3, 5],
        h=[1, 3, 4],
        c=[1, 3, 4],
    )
    assert read == none


def test_attention_of_4_axes(layers):
    """2 images, 3 heads, 4 queries of 8 numbers, 6 keys, values of 10 numbers."""
    found = layers(
        [node("Attention", "q k v", "y")],
        opset=23,
        q=[2, 3, 4, 8],
        k=[2, 3, 6, 8],
        v=[2, 3, 6, 10],
    )
    scores = times(2, 3, 4, 6)
    assert found == [("attention", scores * (8 + 10), scores * 6, 0, ((2, 3, 4, 10),))]


def test_a_soft_cap_of_the_scores_is_a_division_a_tanh_and_a_multiplication(layers):
    shapes = {"q": [2, 3, 4, 8], "k": [2, 3, 6, 8], "v": [2, 3, 6, 10]}
    found = layers([node("Attention", "q k v", "y", softcap=30.0)], opset=23, **shapes)
    assert found[0][2] == times(2, 3, 4, 6) * (6 + 1 + 5 + 1)


def test_attention_in_groups_with_a_mask(layers):
    """9 query heads share 3 of keys and values; a mask is an addition to each score."""
    found = layers(
        [node("Attention", "q k v m", "y", q_num_heads=9, kv_num_heads=3)],
        opset=23,
        q=[2, 4, 9 * 8],
        k=[2, 6, 3 * 8],
        v=[2, 6, 3 * 10],
        m=[4, 6],
    )
    scores = times(2, 9, 4, 6)
    assert found == [("attention", scores * (8 + 10), scores * 7, 0, ((2, 4, 9 * 10),))]


def test_attention_with_keys_of_earlier_tokens(layers):
    found = layers(
        [node("Attention", "q k v  pk pv", "y nk nv", q_num_heads=2, kv_num_heads=2)],
        opset=23,
        q=[1, 4, 16],
        k=[1, 4, 16],
        v=[1, 4, 16],
        pk=[1, 2, 5, 8],
        pv=[1, 2, 5, 8],
    )
    scores = times(1, 2, 4, 4 + 5)
    shapes = ((1, 4, 16), (1, 2, 9, 8), (1, 2, 9, 8))
    assert found == [("attention", scores * 16, scores * 6, 0, shapes)]


def test_lp_pool(layers):
    """Windows of 3 x 2: 6 powers, 5 additions and a root."""
    found = layers([node("LpPool", "x", "y", kernel_shape=[3, 2])], x=[1, 2, 5, 5])
    assert found == [("lp_pool", 0, times(2, 3, 4) * (6 + 5 + 1), 0, ((1, 2, 3, 4),))]


def test_group_normalization(layers):
    """2 images of 6 channels in 3 groups; a scale and a shift for each channel."""
    made = node("GroupNormalization", "x s b", "y", num_groups=3)
    found = layers([made], held("s", 6), held("b", 6), opset=21, x=[2, 6, 4, 4])
    operations = times(2, 6, 4, 4) * 7 + times(2, 3) * 3
    assert found == [("group_norm", 0, operations, 12, ((2, 6, 4, 4),))]


@pytest.mark.parametrize("k", [1, 5, 8])
def test_top_k(k, layers):
    counts = helper.make_tensor("k", INT64, [1], [k])
    found = layers([node("TopK", "x k", "y i")], counts, x=[3, 100])
    assert found == [("top_k", 0, 300 * (ceil(log2(k)) + 1), 0, ((3, k), (3, k)))]


@pytest.mark.parametrize(
    ("equation", "shapes", "macs", "shape"),
    [
        ("bhid,bhjd->bhij", ([2, 3, 4, 8], [2, 3, 6, 8]), times(2, 3, 4, 6, 8), (2, 3, 4, 6)),
        ("ij,jk", ([4, 5], [5, 6]), times(4, 5, 6), (4, 6)),
        ("i,j->ij", ([4], [5]), times(4, 5), (4, 5)),
        ("bij,bij->b", ([2, 4, 5], [2, 4, 5]), times(2, 4, 5), (2,)),
    ],
)
def test_einsum_of_two(equation, shapes, macs, shape, layers):
    made = node("Einsum", "a b", "y", equation=equation)
    assert layers([made], a=shapes[0], b=shapes[1]) == [("einsum", macs, 0, 0, (shape,))]


def test_einsum_of_one(layers):
    made = node("Einsum", "x", "y", equation="ijk->kji")
    assert layers([made], x=[2, 3, 4]) == [("einsum", 0, 0, 0, ((4, 3, 2),))]


def test_conv_transpose_with_output_padding(layers):
    """4 x 5 x 5 to 6 channels in 2 groups, 3 x 3 taps, stride 2: (5 - 1) 2 - 2 + 3 + 1 = 10."""
    attributes = {"strides": [2, 2], "pads": [1] * 4, "output_padding": [1, 1], "group": 2}
    made = node("ConvTranspose", "x w b", "y", **attributes)
    found = layers([made], held("w", 4, 3, 3, 3), held("b", 6), x=[1, 4, 5, 5])
    macs = times(4, 5, 5, 3, 3, 3)  # an input element, a tap, an output channel of its group
    assert found == [("conv_transpose", macs, 0, 4 * 3 * 9 + 6, ((1, 6, 10, 10),))]


def test_quantised_convolutions(layers):
    """8 x 8, 3 to 4 channels, 3 x 3 taps without padding: 36 windows."""
    int8, uint8, int32 = TensorProto.INT8, TensorProto.UINT8, TensorProto.INT32
    macs = times(4, 6, 6, 3, 3, 3)
    weights = [held("w", 4, 3, 3, 3, kind=int8), held("b", 4, kind=int32)]
    scales = [number("xs", 0.1), number("ws", 0.1), number("ys", 0.1)]
    zeros = [held("xz", kind=uint8), held("wz", kind=int8), held("yz", kind=uint8)]
    made = node("QLinearConv", "x xs xz w ws wz ys yz b", "y")
    found = layers([made], *weights, *scales, *zeros, kind=uint8, x=[1, 3, 8, 8])
    assert found == [("conv", macs, 0, 4 * 27 + 4, ((1, 4, 6, 6),))]
    made = node("ConvInteger", "x w xz wz", "y")
    found = layers([made], weights[0], *zeros[:2], kind=uint8, x=[1, 3, 8, 8])
    assert found == [("conv", macs, 0, 4 * 27, ((1, 4, 6, 6),))]


@pytest.mark.parametrize(
    ("mode", "scales", "name", "each"),
    [
        ("nearest", (2, 2), "resize_nearest", 0),
        ("nearest", (2, 1.5), "resize_nearest", 0),
        ("linear", (2, 2), "resize_linear", 3 * 3),  # along x above and below, then along y
        ("linear", (2, 1.5), "resize_linear", 3 * 3),
        ("linear", (2, 1), "resize_linear", 3),
        ("cubic", (2, 2), "resize_cubic", 2 * 16),  # 16 neighbours: multiply, add
        ("cubic", (1, 2), "resize_cubic", 2 * 4),
    ],
)
def test_resize(mode, scales, name, each, layers):
    given = helper.make_tensor("s", FLOAT, [4], [1.0, 1.0, *scales])
    made = node("Resize", "x  s", "y", mode=mode)
    height, width = int(4 * scales[0]), int(6 * scales[1])
    found = layers([made], given, x=[1, 2, 4, 6])
    assert found == [(name, 0, times(2, height, width) * each, 0, ((1, 2, height, width),))]


def test_upsample(layers):
    given = helper.make_tensor("s", FLOAT, [4], [1.0, 1.0, 2.0, 2.0])
    made = node("Upsample", "x s", "y", mode="linear")
    found = layers([made], given, opset=9, x=[1, 2, 4, 6])
    assert found == [("resize_linear", 0, times(2, 8, 12) * 9, 0, ((1, 2, 8, 12),))]


def test_gemm_of_weights_times_the_input_reads_the_input(layers):
    """(4, 8) times (8, 3): the constant has the parameters, and the input is no weight."""
    found = layers([node("Gemm", "w x", "y")], held("w", 4, 8), x=[8, 3])
    assert found == [("matmul", times(4, 8, 3), 0, 32, ((4, 3),))]


def test_what_no_output_depends_on_is_neither_work_nor_an_output(read):
    """A dead branch, also of an unknown operator, and those of several outputs that nobody reads."""
    nodes = [
        node("Conv", "x w", "c"),
        node("Sigmoid", "c", "d"),
        helper.make_node("Unknown", ["d"], ["e"], domain="some.where"),
        node("Split", "c", "a b", axis=1),
        node("TopK", "b k", "values places", axis=-1),
    ]
    weights = [held("w", 4, 3, 1, 1), helper.make_tensor("k", INT64, [1], [2])]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", FLOAT, [1, 3, 5, 5])],
        [helper.make_tensor_value_info("places", INT64, None)],
        weights,
    )
    program = lower(read(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])))
    found = [(each.op, each.output_shapes) for each in program.layers]
    half, places = (1, 2, 5, 5), (1, 2, 5, 2)
    assert found == [("conv", ((1, 4, 5, 5),)), ("split", (half,)), ("top_k", (places,))]
    assert [each.name for each in program.tensors if each.kind is Kind.OUTPUT] == ["places"]


def test_only_the_states_of_a_recurrent_layer_that_are_read_are_written(layers):
    weights = [held("w", 1, 16, 5), held("r", 1, 16, 4)]
    for outputs in (["y", "h"], ["", "h"]):
        lstm = helper.make_node("LSTM", ["x", "w", "r"], outputs, hidden_size=4)
        found = layers([lstm, node("Relu", "h", "z")], *weights, x=[7, 3, 5])
        assert found[0][4] == ((1, 3, 4),)
