"""Networks written as ONNX: accepted by onnx's checker, read back to the same rows, and run by others."""

from __future__ import annotations

import hashlib
import math
import sys
from dataclasses import dataclass

import numpy as np
import onnx
import pytest
from onnx import checker, numpy_helper
from onnx.reference import ReferenceEvaluator

import perfsim
from perfsim import load_network, lower
from perfsim.network.operators import OPERATORS
from perfsim.network.work import total

MAPS, TOKENS = "[8, 12, 10]", "[6, 8]"


@dataclass(frozen=True)
class Case:
    """A network of one operator.

    Attributes:
        back: the operator that it comes back as, where ONNX has no such.
        same: whether each of its rows comes back with its shapes; else its counts in all are the same.
        positive: whether it is a function of positive numbers.
        evaluator: whether onnx's own evaluator can run it (it knows no groups of transposed convolutions).
        opset: that it is written with, where onnx's own evaluator does not know the one chosen.
    """

    layers: str
    input: str = MAPS
    back: str = ""
    same: bool = True
    positive: bool = False
    opset: int | None = None
    evaluator: bool = True


def on_tokens(layers, **more):
    return Case(layers, TOKENS, **more)


PROJECTIONS = (
    "linear: {name: q, units: 8, inputs: [input]}\n"
    "  - linear: {name: k, units: 4, inputs: [input]}\n"
    "  - linear: {name: v, units: 4, inputs: [input]}\n"
)
CASES = {
    "conv": [
        Case("conv: {channels: 4, kernel: 3, stride: 2}"),
        Case(
            "conv: {channels: 4, kernel: [5, 3], stride: [1, 2], padding: [2, 1], dilation: [1, 2], groups: 2}"
        ),
        Case("conv: {channels: 6, kernel: 1, stride: 2, batch_norm: true, activation: silu}"),
        Case("conv: {channels: 6, kernel: 3, padding: [[0, 1], [1, 0]], activation: relu6}"),
        Case("conv: {channels: 4, kernel: 3}", "[3, 9]"),
    ],
    "depthwise_conv": [
        Case("depthwise_conv: {kernel: 3, stride: 2, batch_norm: true, activation: relu}"),
        Case("depthwise_conv: {kernel: 3, multiplier: 2}"),
    ],
    "conv_transpose": [
        Case("conv_transpose: {channels: 4, kernel: 3, stride: 2}"),
        Case("conv_transpose: {channels: 4, kernel: 2, stride: 3}"),
        Case("conv_transpose: {channels: 4, kernel: 4, stride: 2, padding: 1, output_padding: 1}"),
        Case("conv_transpose: {channels: 4, kernel: 3, groups: 2}", evaluator=False),
    ],
    "fully_connected": [
        on_tokens("flatten: {}\n  - fully_connected: {units: 5, activation: relu}"),
        on_tokens("fully_connected: {units: 5, bias: false}", same=False),
    ],
    "linear": [
        on_tokens("linear: {units: 5, activation: gelu}"),
        on_tokens("linear: {units: 5, bias: false}"),
        Case(
            "embedding: {entries: 7, features: 8}\n  - linear: {units: 7, bias: false, tied: true}",
            "[6]",
        ),
    ],
    "matmul": [
        on_tokens(
            "transpose: {name: t, order: [0, 2, 1]}\n  - matmul: {inputs: [t, input]}",
        ),
        on_tokens("matmul: {inputs: [input, input], transpose_b: true}", same=False),
        on_tokens("matmul: {inputs: [input, input], transpose_a: true}", same=False),
    ],
    "attention": [
        on_tokens(PROJECTIONS + "  - attention: {inputs: [q, k, v], heads: 4, kv_heads: 2}"),
        on_tokens("attention: {inputs: [input, input, input], heads: 1, causal: true}"),
        on_tokens("attention: {inputs: [input, input, input], heads: 2, window: [2, 3]}"),
        on_tokens(
            "matmul: {name: mask, inputs: [input, input], transpose_b: true}\n"
            "  - attention: {inputs: [input, input, input, mask], heads: 1}",
            same=False,
        ),
        Case("attention: {inputs: [input, input, input], heads: 1}"),
        Case("attention: {inputs: [input, input, input], heads: 2, window: [3, 4]}", same=False),
    ],
    "rnn": [on_tokens("rnn: {units: 3, bias: false}", same=False)],
    "lstm": [on_tokens("lstm: {units: 3, bidirectional: true}", same=False)],
    "gru": [on_tokens("gru: {units: 3}", same=False)],
    "max_pool": [
        Case("max_pool: {kernel: 3, stride: 2}"),
        Case("max_pool: {kernel: 3, stride: 2, padding: valid, ceil_mode: true}"),
        Case("max_pool: {kernel: 2, stride: 1, padding: 1, dilation: 2}"),
    ],
    "avg_pool": [
        Case("avg_pool: {kernel: 2}"),
        Case("avg_pool: {kernel: 3, stride: 2, padding: 1, ceil_mode: true}"),
        Case("avg_pool: {kernel: 2, stride: 1, dilation: 2}"),
    ],
    "global_max_pool": [Case("global_max_pool: {}")],
    "global_avg_pool": [Case("global_avg_pool: {}")],
    "adaptive_max_pool": [Case("adaptive_max_pool: {output: [3, 5]}", back="max_pool")],
    "adaptive_avg_pool": [
        Case("adaptive_avg_pool: {output: 2}", back="avg_pool"),
        Case("adaptive_avg_pool: {output: 1}", back="global_avg_pool"),
    ],
    "reduce_mean": [
        Case("reduce_mean: {axes: [1]}"),
        Case("reduce_mean: {axes: [2, 3], keep_dims: true}", back="global_avg_pool"),
    ],
    "reduce_sum": [Case("reduce_sum: {}")],
    "reduce_max": [Case("reduce_max: {axes: [-1], keep_dims: true}")],
    "reduce_min": [Case("reduce_min: {axes: [2]}")],
    "reduce_var": [Case("reduce_var: {axes: [1, 2]}", same=False)],
    "reduce_std": [Case("reduce_std: {axes: [3], keep_dims: true}", same=False)],
    "arg_max": [Case("arg_max: {}")],
    "arg_min": [Case("arg_min: {axis: -1, keep_dims: true}")],
    "cum_sum": [Case("cum_sum: {axis: 2}")],
    "batch_norm": [Case("batch_norm: {}")],
    "layer_norm": [
        on_tokens("layer_norm: {}"),
        Case("layer_norm: {axes: 3}"),
        on_tokens("layer_norm: {affine: false}", same=False),
    ],
    "group_norm": [
        Case("group_norm: {groups: 2}"),
        Case("group_norm: {groups: 2, affine: false}", same=False),
    ],
    "instance_norm": [
        Case("instance_norm: {}"),
        Case("instance_norm: {affine: false}", same=False),
    ],
    "rms_norm": [on_tokens("rms_norm: {}")],
    "lrn": [Case("lrn: {size: 5}")],
    **{
        name: [Case(f"{name}: {{}}")]
        for name in ("relu", "relu6", "leaky_relu", "hard_sigmoid", "hard_swish", "sigmoid", "silu")
    },
    **{
        name: [Case(f"{name}: {{}}")]
        for name in ("tanh", "gelu", "elu", "selu", "mish", "softplus", "softsign", "hard_tanh")
    },
    "prelu": [Case("prelu: {}"), Case("conv: {channels: 4, kernel: 1, activation: prelu}")],
    "softmax": [Case("softmax: {}"), Case("softmax: {axis: -1}")],
    "log_softmax": [Case("log_softmax: {axis: 2}")],
    "add": [
        Case("add: {inputs: [input, input, input]}"),
        Case("add: {inputs: [input], value: 0.5}"),
    ],
    "mul": [
        Case("mul: {inputs: [input, input]}"),
        Case("mul: {inputs: [input, input, input], value: 0.5}", same=False),
    ],
    "sub": [Case("sub: {inputs: [input], value: 1}")],
    "div": [Case("div: {inputs: [input], value: 2}")],
    "pow": [Case("pow: {inputs: [input], value: 2}")],
    "minimum": [Case("minimum: {inputs: [input, input, input]}")],
    "maximum": [Case("maximum: {inputs: [input], value: 0}")],
    **{name: [Case(f"{name}: {{}}")] for name in ("exp", "abs", "neg", "reciprocal", "clip")},
    **{name: [Case(f"{name}: {{}}", positive=True)] for name in ("log", "sqrt")},
    "quantize": [
        Case(
            "quantize: {}\n  - dequantize: {}\n  - conv: {channels: 4, kernel: 1}",
            opset=19,
        ),
        Case("quantize: {bits: 16}\n  - slice: {axis: 1, start: 1}\n  - dequantize: {}"),
    ],
    "dequantize": [Case("dequantize: {}\n  - sigmoid: {}\n  - quantize: {}", opset=19)],
    "resize_linear": [Case("resize_linear: {scale: 2}"), Case("resize_linear: {output: [24, 7]}")],
    "resize_nearest": [Case("resize_nearest: {scale: [2, 3]}")],
    "learned_add": [on_tokens("learned_add: {shape: [-1, -1]}", back="add")],
    "learned_scale": [Case("learned_scale: {shape: [-1, 1, 1]}", back="mul")],
    "learned_tokens": [on_tokens("learned_tokens: {tokens: 2}", back="concat")],
    "roll": [
        Case("roll: {axes: [3, 1], shifts: [-3, 2]}", back="gather_nd"),
        Case("roll: {axes: [-1], shifts: [4]}", back="gather"),
    ],
    "split": [Case("split: {name: s, parts: [3, 5]}\n  - relu: {inputs: [s.2]}")],
    "gather": [
        Case("gather: {axis: 2, indices: 5}"),
        on_tokens(
            "reduce_mean: {name: score, axes: [2], inputs: [input]}\n"
            "  - top_k: {name: t, k: 3, inputs: [score]}\n"
            "  - gather: {axis: 1, indices: 3, inputs: [input, t.2]}",
            same=False,
        ),
    ],
    "top_k": [on_tokens("top_k: {name: t, k: 3}")],
    "concat": [Case("concat: {axis: 2, inputs: [input, input]}")],
    "transpose": [Case("transpose: {order: [0, 2, 3, 1]}")],
    "pad": [Case("pad: {before: [1, 2], after: [3, 0]}")],
    "slice": [
        Case("slice: {axis: 1, start: 1, stop: -1, step: 2}"),
        Case("slice: {axis: -1, start: -3}"),
    ],
    "channel_shuffle": [Case("channel_shuffle: {groups: 4}", back="gather")],
    "embedding": [Case("embedding: {entries: 7, features: 3}", "[6]")],
    "flatten": [Case("flatten: {}")],
    "reshape": [Case("reshape: {shape: [-1, 8]}")],
    "squeeze": [Case("reshape: {shape: [1, -1]}\n  - squeeze: {axis: 1}")],
    "unsqueeze": [Case("unsqueeze: {axis: -1}")],
}


def network_of(case, load, batch=2):
    return load(f"name: one\nbatch: {batch}\ninput: {case.input}\nlayers:\n  - {case.layers}\n")


def read_back(network, path, opset=None):
    perfsim.export_onnx(network, path, opset=opset)
    checker.check_model(str(path), full_check=True)
    bits = {"feature_map": network.tensors[network.outputs[0]].bits, "weight": network.weight_bits}
    return load_network(path, precision=bits)


def row(program, layer, *, with_shapes):
    tensors = program.tensors
    shapes = (layer.input_shapes, layer.output_shapes) if with_shapes else ()
    return (
        total(layer.macs),
        total(layer.vector_ops),
        total(layer.params),
        [sum(tensors[each].bytes for each in part) for part in (layer.reads, layer.weights)],
        [tensors[each].bytes for each in layer.writes],
        [(each.op, each.is_free) for each in layer.fused],
        *shapes,
    )


def sums(network):
    layers = lower(network).layers
    return tuple(
        sum(total(getattr(layer, each)) for layer in layers)
        for each in ("macs", "vector_ops", "params")
    )


def fed(path, *, run=None, positive=False):
    """(what goes into the model, what comes out), by name; whole numbers are 0 or 1, which every table has rows for."""
    graph = onnx.load(path, load_external_data=False).graph
    random = np.random.default_rng(1)
    given = {}
    for each in graph.input:
        kind = each.type.tensor_type
        shape = [dim.dim_value for dim in kind.shape.dim]
        dtype = onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type)
        if np.issubdtype(dtype, np.integer):
            given[each.name] = random.integers(0, 2, shape).astype(dtype)
        else:
            values = random.standard_normal(shape, np.float32)
            given[each.name] = np.abs(values) + 1 if positive else values
    names = [each.name for each in graph.output]
    found = (run or ReferenceEvaluator(str(path)).run)(names, given)
    return given, dict(zip(names, found, strict=True))


def test_every_operator_has_a_case():
    assert set(CASES) == set(OPERATORS)


@pytest.mark.parametrize(
    ("name", "case"),
    [
        pytest.param(name, case, id=f"{name}{number}")
        for name, cases in CASES.items()
        for number, case in enumerate(cases)
    ],
)
def test_an_operator_comes_back_with_its_counts(name, case, load, tmp_path):
    network = network_of(case, load)
    path = tmp_path / "net.onnx"
    back = read_back(network, path, case.opset)
    assert sums(back) == sums(network)
    if case.same:
        ours, theirs = lower(network), lower(back)
        assert [each.name for each in ours.layers] == [each.name for each in theirs.layers]
        for mine, other in zip(ours.layers, theirs.layers, strict=True):
            assert row(theirs, other, with_shapes=True) == row(ours, mine, with_shapes=True)
            assert other.op == (case.back if case.back and mine.op == name else mine.op)
    if case.evaluator:
        check_run(network, fed(path, positive=case.positive)[1])


def test_onnx_runtime_runs_every_operator(load, tmp_path):
    runtime = pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed")
    path = str(tmp_path / "net.onnx")
    for case in (case for cases in CASES.values() for case in cases):
        network = network_of(case, load)
        perfsim.export_onnx(network, path)
        run = runtime.InferenceSession(path, providers=["CPUExecutionProvider"]).run
        check_run(network, fed(path, positive=case.positive, run=run)[1])


def check_run(network, found):
    assert set(found) == set(network.outputs)
    for output, values in found.items():
        assert values.shape == network.tensors[output].shape, network.nodes
        assert np.isfinite(values.astype(float)).all(), network.nodes


def softmax(scores):
    shifted = np.exp(scores - scores.max(-1, keepdims=True))
    return shifted / shifted.sum(-1, keepdims=True)


def window_attention(x, table, *, heads=2, window=(2, 3)):
    """Liu et al., arXiv:2103.14030, equation 4, place by place."""
    batch, tokens, features = x.shape
    size = features // heads
    out = np.zeros_like(x)
    for image in range(batch):
        for head in range(heads):
            part = x[image, :, head * size : (head + 1) * size]
            scores = part @ part.T / math.sqrt(size)
            for a in range(tokens):
                for b in range(tokens):
                    down = a // window[1] - b // window[1] + window[0] - 1
                    right = a % window[1] - b % window[1] + window[1] - 1
                    scores[a, b] += table[down * (2 * window[1] - 1) + right, head]
            out[image, :, head * size : (head + 1) * size] = softmax(scores) @ part
    return out


VALUES = {
    "roll: {axes: [3, 1], shifts: [-3, 2]}": lambda x: np.roll(x, (-3, 2), (3, 1)),
    "roll: {axes: [2], shifts: [5]}": lambda x: np.roll(x, 5, 2),
    "channel_shuffle: {groups: 4}": lambda x: (
        x.reshape(2, 4, 2, 12, 10).swapaxes(1, 2).reshape(x.shape)
    ),
    "slice: {axis: 1, start: 1, stop: -1, step: 2}": lambda x: x[:, 1:-1:2],
    "pad: {before: [1, 2], after: [3, 0]}": lambda x: np.pad(x, ((0, 0), (0, 0), (1, 3), (2, 0))),
    "resize_nearest: {scale: [2, 3]}": lambda x: x.repeat(2, 2).repeat(3, 3),
    "adaptive_avg_pool: {output: [3, 5]}": lambda x: x.reshape(2, 8, 3, 4, 5, 2).mean((3, 5)),
    "reduce_std: {axes: [1]}": lambda x: x.std(1),
    "reduce_var: {}": lambda x: x.var((1, 2, 3)),
    "instance_norm: {affine: false}": lambda x: (
        (x - x.mean((2, 3), keepdims=True)) / np.sqrt(x.var((2, 3), keepdims=True) + 1e-5)
    ),
    "silu: {}": lambda x: x / (1 + np.exp(-x)),
    "mul: {inputs: [input, input, input], value: 0.5}": lambda x: x**3 / 2,
    "sub: {inputs: [input], value: 3}": lambda x: x - 3,
    "max_pool: {kernel: 2, stride: 2}": lambda x: x.reshape(2, 8, 6, 2, 5, 2).max((3, 5)),
}


@pytest.mark.parametrize("layers", VALUES)
def test_what_is_written_computes_what_the_operator_says(layers, load, tmp_path):
    path = tmp_path / "net.onnx"
    perfsim.export_onnx(network_of(Case(layers), load), path)
    given, found = fed(path)
    np.testing.assert_allclose(*found.values(), VALUES[layers](*given.values()), atol=1e-4)


def weights_of(path):
    return {each.name: numpy_helper.to_array(each) for each in onnx.load(path).graph.initializer}


def test_the_biases_of_a_window_stand_where_the_paper_puts_them(load, tmp_path):
    path = tmp_path / "net.onnx"
    layers = "attention: {name: a, inputs: [input, input, input], heads: 2, window: [2, 3]}"
    perfsim.export_onnx(network_of(on_tokens(layers), load), path)
    given, found = fed(path)
    table = weights_of(path)["a.biases"]
    np.testing.assert_allclose(found["a"], window_attention(given["input"], table), atol=1e-4)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def gru(x, weight, recurrent, bias):
    """Cho et al., arXiv:1406.1078, as PyTorch defines it (n = tanh(W x + r (U h))); ONNX has z, r, n in this order."""
    units = recurrent.shape[1]
    of_x, of_h = bias[: 3 * units], bias[3 * units :]
    state = np.zeros((len(x), units))
    states = []
    for token in x.swapaxes(0, 1):
        z_x, r_x, n_x = np.split(token @ weight.T + of_x, 3, -1)
        z_h, r_h, n_h = np.split(state @ recurrent.T + of_h, 3, -1)
        z = sigmoid(z_x + z_h)
        state = (1 - z) * np.tanh(n_x + sigmoid(r_x + r_h) * n_h) + z * state
        states.append(state)
    return np.stack(states, 1)


def test_a_recurrent_layer_gives_image_by_image_and_both_directions_behind_each_other(
    load, tmp_path
):
    path = tmp_path / "net.onnx"
    layers = "gru: {name: g, units: 3, bidirectional: true}"
    perfsim.export_onnx(network_of(on_tokens(layers), load), path)
    model = onnx.load(path)
    for (
        each
    ) in model.graph.initializer:  # the biases are small: ten times as much shows which is where
        if each.name == "g.bias":
            each.raw_data = (10 * numpy_helper.to_array(each)).tobytes()
    onnx.save(model, path)
    given, found = fed(path)
    x = given["input"]
    weights = [
        weights_of(path)[f"g.{each}"] for each in ("input_weight", "recurrent_weight", "bias")
    ]
    forward, backward = (
        gru(part, *(each[d] for each in weights)) for d, part in enumerate((x, x[:, ::-1]))
    )
    np.testing.assert_allclose(
        found["g"], np.concatenate([forward, backward[:, ::-1]], -1), atol=1e-5
    )


@pytest.mark.parametrize(
    ("layers", "kind"),
    [
        ("reshape: {shape: [3, 2]}\n  - embedding: {entries: 7, features: 3}", "INT64"),
        ("reshape: {shape: [3, 2]}\n  - dequantize: {}", "INT8"),
        ("quantize: {}\n  - dequantize: {}", "FLOAT"),
    ],
)
def test_inputs_have_the_type_that_their_reader_needs(layers, kind, load, tmp_path):
    path = tmp_path / "net.onnx"
    perfsim.export_onnx(network_of(Case(layers, "[6]"), load), path)
    graph = onnx.load(path).graph
    assert onnx.TensorProto.DataType.Name(graph.input[0].type.tensor_type.elem_type) == kind
    assert "Cast" not in {each.op_type for each in graph.node}


def test_same_pads_as_tensorflow_does(load, tmp_path):
    """Of 12 rows and a stride of 2 a kernel of 3 misses one, which comes behind; of 9 columns one on each side."""
    path = tmp_path / "net.onnx"
    perfsim.export_onnx(
        network_of(Case("conv: {channels: 1, kernel: 3, stride: 2}", "[1, 12, 9]"), load), path
    )
    (node,) = onnx.load(path).graph.node
    assert onnx.helper.get_node_attr_value(node, "pads") == [0, 1, 1, 1]


def test_names_are_those_of_the_layers(load, tmp_path):
    path = tmp_path / "net.onnx"
    layers = "linear: {name: a, units: 4}\n  - softmax: {name: a.matmul}"
    perfsim.export_onnx(network_of(on_tokens(layers), load), path)
    graph = onnx.load(path).graph
    assert {"a", "a.matmul"} <= {each.name for each in graph.node}
    written = [name for each in graph.node for name in each.output]
    assert {"a", "a.matmul"} <= set(written)
    assert len(written) == len(set(written))


def test_the_seed_alone_decides_the_weights(load, tmp_path):
    network = network_of(Case("conv: {name: c, channels: 400, kernel: 5}", "[40, 8, 8]"), load)

    def digest(seed):
        perfsim.export_onnx(network, tmp_path / "net.onnx", seed=seed)
        return hashlib.sha256((tmp_path / "net.onnx").read_bytes()).digest()

    assert digest(3) == digest(3) != digest(4)
    weights = weights_of(tmp_path / "net.onnx")["c.weight"]
    assert weights.shape == (400, 40, 5, 5)
    assert weights.dtype == np.float32
    assert weights.std() == pytest.approx(1 / math.sqrt(40 * 25), rel=0.01)


ZOO = {
    "lenet5": {},
    "cifar10_classifier": {},
    "mnist_autoencoder": {},
    "resnet18": {"resolution": 64},
    "mobilenet_v2": {"resolution": 64, "width": 0.35},
    "mobilenet_v3_small": {"resolution": 64},
    "shufflenet_v2": {"resolution": 64},
    "swin_t": {},
    "efficientnet_b0": {"resolution": 64},
}
# What a layer of the network comes back as, where ONNX has no such operator.
OTHERWISE = {"channel_shuffle": "gather", "roll": "gather_nd"}


def test_networks_come_back_row_by_row(tmp_path):
    for name, settings in ZOO.items():
        network = load_network(name, **settings)
        back = read_back(network, tmp_path / f"{name}.onnx")
        assert sums(back) == sums(network), name
        ours, theirs = lower(network), lower(back)
        by_name = {each.name: each for each in theirs.layers}
        for mine in ours.layers:
            other = by_name.pop(mine.name)
            # these are laid out anew in front: ONNX wants two axes, or at most four
            is_flat = mine.op in ("fully_connected", "attention")
            assert row(ours, mine, with_shapes=not is_flat) == row(
                theirs, other, with_shapes=not is_flat
            ), (name, mine.name)
            assert other.op == OTHERWISE.get(mine.op, mine.op), (name, mine.name)
        assert all(each.is_view for each in by_name.values()), name


def test_onnx_runtime_runs_networks(tmp_path):
    runtime = pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed")
    path = str(tmp_path / "net.onnx")
    for name, settings in ZOO.items():
        network = load_network(name, **settings)
        perfsim.export_onnx(network, path)
        run = runtime.InferenceSession(path, providers=["CPUExecutionProvider"]).run
        _, found = fed(path, run=run)
        check_run(network, found)
        assert all(values.std() > 0 for values in found.values()), name


def test_the_command_writes_one_file(perfsim_cli, tmp_path):
    done = perfsim_cli("export", "lenet5", "-o", "net.onnx", "--set", "batch=3", "--opset", "19")
    assert (done.status, done.out, done.err) == (0, "", "")
    assert [each.name for each in tmp_path.iterdir()] == ["net.onnx"]
    model = onnx.load(tmp_path / "net.onnx")
    assert [each.version for each in model.opset_import] == [19]
    assert model.graph.input[0].type.tensor_type.shape.dim[0].dim_value == 3


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["lenet5", "-o", "net.yaml"], "net.yaml: found the suffix '.yaml', expected .onnx"),
        (["lenet5", "-o", "no/net.onnx"], "the folder 'no' does not exist"),
        (["lenet5"], "-o"),
        (["lenet5", "-o", "net.onnx", "--seed", "-1"], "found seed -1, expected at least 0"),
        (["lenet5", "-o", "net.onnx", "--opset", "17"], "found opset 17, expected from 18 to"),
        (
            ["gpt2", "-o", "net.onnx", "--opset", "20"],
            "from 23, which 'block.1.attention.attention' needs, to",
        ),
        (["lenet5", "-o", "net.onnx", "--set", "hw.sram=1MB"], "one of the network"),
        (["mobilenet_printed.csv", "-o", "net.onnx"], "'conv' cannot be written as ONNX"),
        (["alexnet", "-o", "net.onnx", "--set", "resolution=256"], "7x7 elements"),
    ],
)
def test_what_cannot_be_written_is_one_error(arguments, words, perfsim_cli, tmp_path):
    done = perfsim_cli("export", *arguments)
    assert done.status == 2
    assert done.out == ""
    assert words in done.err
    assert len(done.err.splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_a_model_beyond_two_gibibytes_is_an_error_and_leaves_nothing(load, tmp_path):
    network = load("name: wide\ninput: [24000]\nlayers:\n  - fully_connected: {units: 24000}\n")
    with pytest.raises(perfsim.CountError, match="network 'wide'"):
        perfsim.export_onnx(network, tmp_path / "net.onnx")
    assert [each.name for each in tmp_path.iterdir()] == ["net.yaml"]


def test_without_onnx_the_extra_is_named(load, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(perfsim.MissingExtraError, match=r"'perfsim\[onnx\]', or in a clone"):
        perfsim.export_onnx(load("input: [4]\nlayers:\n  - relu: {}\n"), tmp_path / "net.onnx")
