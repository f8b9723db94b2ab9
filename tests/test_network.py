"""Networks from YAML: names, branches, repeats, settings; the graph; what lowering makes of them."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from pathlib import Path

import networkx as nx
import numpy as np
import pytest
from conftest import TINY

from perfsim import catalog, load_network, lower
from perfsim.errors import CountError, GraphError, UnknownNameError
from perfsim.network.elementwise import Relu
from perfsim.network.graph import Node, Tensor, build_network
from perfsim.network.work import total
from perfsim.program import Kind


def test_the_tiny_network_of_the_interface(load):
    """Every count by hand: 16 x 16 after the stem, two rounds, the sum, the head."""
    program = lower(load(TINY))
    rows = [
        (layer.name, layer.op, total(layer.macs), total(layer.vector_ops), total(layer.params))
        for layer in program.layers
    ]
    assert rows == [
        ("stem", "conv", 16 * 256 * 27, 0, 16 * 27 + 32),
        ("depthwise_conv_1", "depthwise_conv", 16 * 256 * 9, 0, 16 * 9 + 32),
        ("conv_1", "conv", 16 * 256 * 16, 0, 256 + 32),
        ("depthwise_conv_2", "depthwise_conv", 16 * 256 * 9, 0, 16 * 9 + 32),
        ("conv_2", "conv", 16 * 256 * 16, 0, 256 + 32),
        ("add_1", "add", 0, 16 * 256, 0),
        ("global_avg_pool_1", "global_avg_pool", 0, 16 * 256, 0),
        ("fully_connected_1", "fully_connected", 160, 0, 170),
        ("softmax_1", "softmax", 0, 50, 0),
    ]
    assert program.layers[0].members == ("stem", "stem.batch_norm", "stem.relu")


def test_the_graph_is_a_networkx_graph_with_shapes(load):
    graph = load(TINY).graph
    assert isinstance(graph, nx.MultiDiGraph)
    assert nx.is_directed_acyclic_graph(graph)
    assert graph.nodes["input"]["shapes"] == ((1, 3, 32, 32),)
    assert graph.nodes["stem"]["shapes"] == ((1, 16, 16, 16),)
    assert set(graph.predecessors("add_1")) == {"stem.relu", "conv_2.relu"}
    assert graph.edges["stem.relu", "add_1", 0] == {
        "tensor": "stem.relu",
        "shape": (1, 16, 16, 16),
        "bits": 8,
    }


def test_layers_may_stand_in_any_order(load):
    forward = "input: [2, 4, 4]\nlayers:\n"
    a = "  - conv: {name: a, inputs: [input], channels: 2, kernel: 1}\n"
    b = "  - relu6: {name: b, inputs: [a]}\n"
    c = "  - add: {name: c, inputs: [a, b]}\n"
    orders = [load(forward + text).nodes for text in (a + b + c, c + b + a, b + c + a)]
    names = [[node.name for node in nodes] for nodes in orders]
    assert names == [["a", "b", "c"]] * 3


def test_rounds_of_a_repeat_have_their_own_names(load):
    network = load(
        "input: [2, 4, 4]\nlayers:\n"
        "  - repeat: 2\n"
        "    layers:\n"
        "      - conv: {name: a, channels: 2, kernel: 1}\n"
        "      - repeat: 2\n"
        "        layers:\n"
        "          - relu: {name: b, inputs: [a]}\n"
        "          - add: {name: c, inputs: [b, block_input]}\n"
        "      - add: {name: d, inputs: [previous, block_input]}\n"
        "  - add: {name: e, inputs: [a.1, c.2.1, d.2]}\n"
    )
    reads = {node.name: node.inputs for node in network.nodes}
    assert reads == {
        "a.1": ("input",),
        "b.1.1": ("a.1",),
        "c.1.1": ("b.1.1", "a.1"),
        "b.1.2": ("a.1",),
        "c.1.2": ("b.1.2", "c.1.1"),
        "d.1": ("c.1.2", "input"),
        "a.2": ("d.1",),
        "b.2.1": ("a.2",),
        "c.2.1": ("b.2.1", "a.2"),
        "b.2.2": ("a.2",),
        "c.2.2": ("b.2.2", "c.2.1"),
        "d.2": ("c.2.2", "d.1"),
        "e": ("a.1", "c.2.1", "d.2"),
    }


def test_a_body_names_the_rounds_of_its_own_inner_repeat(load):
    """In each outer round, `a.1` is the first inner one of that round."""
    network = load(
        "input: [3, 4, 4]\nlayers:\n"
        "  - repeat: 2\n"
        "    layers:\n"
        "      - repeat: 2\n"
        "        layers:\n"
        "          - conv: {name: a, channels: 3, kernel: 3}\n"
        "      - add: {name: s, inputs: [a.1, previous]}\n"
        "  - add: {name: t, inputs: [a.1.2, a.2.1]}\n"
    )
    reads = {node.name: node.inputs for node in network.nodes}
    assert reads["s.1"] == ("a.1.1", "a.1.2")
    assert reads["s.2"] == ("a.2.1", "a.2.2")
    assert reads["t"] == ("a.1.2", "a.2.1")


def test_a_name_with_a_number_keeps_it(load):
    network = load(
        "input: [3, 4, 4]\nlayers:\n"
        "  - relu: {name: b.1}\n"
        "  - repeat: 2\n"
        "    layers:\n"
        "      - relu: {name: c.7}\n"
        "      - add: {name: d, inputs: [b.1, c.7]}\n"
    )
    reads = {node.name: node.inputs for node in network.nodes}
    assert reads["d.2"] == ("b.1", "c.7.2")


def test_automatic_names_keep_clear_of_given_ones(load):
    network = load("input: [2, 4, 4]\nlayers:\n  - relu: {}\n  - relu: {name: relu_1}\n")
    assert [node.name for node in network.nodes] == ["relu_2", "relu_1"]


def test_settings_change_the_file(load):
    network = load(TINY, batch=2, resolution=16, precision={"weight": 4}, width=0.5)
    program = lower(network)
    assert program.layers[0].input_shapes == ((2, 3, 16, 16),)
    assert program.layers[0].output_shapes == ((2, 8, 8, 8),)
    weights = [tensor for tensor in program.tensors if tensor.kind is Kind.WEIGHT]
    assert {tensor.bits for tensor in weights} == {4}
    assert weights[0].elements == 8 * 27 + 16
    assert weights[0].bytes == (8 * 27 + 16) // 2


def test_dotted_settings_and_nested_ones_agree(load):
    dotted, nested = load(TINY, **{"precision.weight": 4}), load(TINY, precision={"weight": 4})
    assert dotted.weight_bits == nested.weight_bits == 4
    assert load(TINY, batch=None).tensors["input"].shape[0] == 1


def test_width_rounds_down_but_not_to_nothing(load):
    text = "input: [3, 4, 4]\nlayers:\n  - conv: {channels: 10, kernel: 1}\n"
    channels = {
        width: load(text, width=width).nodes[0].operator.channels for width in (0.7, 0.29, 0.01, 2)
    }
    assert channels == {0.7: 7, 0.29: 2, 0.01: 1, 2: 20}


def test_a_tensor_occupies_whole_bytes(load):
    program = lower(load("input: [3]\nlayers:\n  - relu: {}\n", precision={"feature_map": 3}))
    assert program.tensors[0].bytes == 2  # ceil(3 x 3 / 8)


def test_bias_unless_batch_norm_follows(load):
    def params(lines: str) -> int:
        program = lower(load("input: [3, 4, 4]\nlayers:\n" + lines))
        return sum(total(layer.params) for layer in program.layers)

    conv = "  - conv: {name: c, channels: 2, kernel: 1"
    assert params(conv + "}\n") == 6 + 2
    assert params(conv + ", bias: false}\n") == 6
    assert params(conv + ", batch_norm: true}\n") == 6 + 4
    assert params(conv + "}\n  - batch_norm: {}\n") == 6 + 4
    assert params(conv + ", bias: true, batch_norm: true}\n") == 6 + 2 + 4
    # a batch norm behind the activation, or beside another reader, cannot take the bias over
    assert params(conv + ", activation: relu}\n  - batch_norm: {}\n") == 6 + 2 + 4
    beside = "  - batch_norm: {name: n}\n  - add: {inputs: [c, n]}\n"
    assert params(conv + "}\n" + beside) == 6 + 2 + 4


def fused(load, lines: str) -> list[tuple[str, str, int]]:
    """(operator, fused operators, vector operations) of each layer, on a 3 x 4 x 4 input."""
    program = lower(load("input: [3, 4, 4]\nlayers:\n" + lines))
    return [
        (layer.op, "+".join(each.op for each in layer.fused), total(layer.vector_ops))
        for layer in program.layers
    ]


CONV = "  - conv: {name: c, channels: 2, kernel: 1, bias: false}\n"  # 32 output elements


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (CONV + "  - batch_norm: {}\n  - relu: {}\n", [("conv", "batch_norm+relu", 0)]),
        # an exponential is not free on the way out, but moves nothing
        (CONV + "  - sigmoid: {}\n", [("conv", "sigmoid", 32 * 4)]),
        # on the vector unit the way out is the vector unit itself
        (
            "  - max_pool: {kernel: 2}\n  - relu: {}\n",
            [("max_pool", "relu", 12 * 3 + 12)],
        ),
        # after the activation there is no normalisation on the way out
        (
            CONV + "  - relu: {}\n  - batch_norm: {}\n",
            [("conv", "relu", 0), ("batch_norm", "", 64)],
        ),
        (CONV + "  - relu: {}\n  - relu: {}\n", [("conv", "relu", 0), ("relu", "", 32)]),
        # a second reader needs the unfused value
        (
            CONV + "  - relu: {name: r}\n  - add: {inputs: [c, r]}\n",
            [("conv", "", 0), ("relu", "", 32), ("add", "", 32)],
        ),
        # what only copies or renames has no way out
        (
            "  - concat: {inputs: [input, input]}\n  - relu: {}\n",
            [("concat", "", 0), ("relu", "", 96)],
        ),
        ("  - flatten: {}\n  - relu: {}\n", [("flatten", "", 0), ("relu", "", 48)]),
        # nothing computes before the first layer
        (
            "  - relu: {}\n  - conv: {channels: 2, kernel: 1}\n",
            [("relu", "", 48), ("conv", "bias", 0)],
        ),
    ],
)
def test_what_is_fused(lines, expected, load):
    assert fused(load, lines) == expected


def test_the_keys_of_a_layer_and_layers_of_their_own_are_one_thing(load):
    keys = "  - conv: {name: c, channels: 2, kernel: 1, batch_norm: true, activation: relu}\n"
    own = "  - conv: {name: c, channels: 2, kernel: 1}\n  - batch_norm: {}\n  - relu: {}\n"
    assert fused(load, keys) == fused(load, own) == [("conv", "batch_norm+relu", 0)]


def test_tied_weights_are_read_twice_and_counted_once(load):
    program = lower(
        load(
            "input: [4]\nlayers:\n"
            "  - embedding: {entries: 10, features: 8}\n"
            "  - linear: {units: 10, tied: true}\n"
        )
    )
    embedding, head = program.layers
    assert (total(embedding.params), total(head.params), total(head.tied)) == (80, 10, 80)
    assert [program.tensors[layer.weights[0]].bytes for layer in program.layers] == [80, 90]


def test_lives_of_tensors(load):
    program = lower(load(TINY))
    lives = {
        each.name: (each.kind, each.first, each.last, each.readers) for each in program.tensors
    }
    assert lives["input"] == (Kind.INPUT, 0, 0, 1)
    assert lives["stem.relu"] == (Kind.FEATURE_MAP, 0, 5, 2)
    assert lives["softmax_1"] == (Kind.OUTPUT, 8, 8, 0)
    assert lives["fully_connected_1.weights"] == (Kind.WEIGHT, 7, 7, 1)


def test_a_view_neither_reads_nor_ends_a_life(load):
    program = lower(
        load(
            "input: [2, 4, 4]\nlayers:\n"
            "  - relu: {name: a}\n  - flatten: {name: v}\n  - fully_connected: {units: 5}\n"
            "  - flatten: {name: w, inputs: [a]}\n"
        )
    )
    a = next(tensor for tensor in program.tensors if tensor.name == "a")
    assert (a.kind, a.first, a.last, a.readers) == (Kind.OUTPUT, 0, 2, 1)


def test_a_tensor_read_twice_by_one_layer_has_one_reader(load):
    program = lower(load("input: [3, 4, 4]\nlayers:\n  - add: {inputs: [input, input]}\n"))
    assert program.tensors[0].readers == 1


def test_lowering_is_done_once(load):
    network = load(TINY)
    assert lower(network) is lower(network)


def test_counts_stay_exact_up_to_2_to_the_53(load):
    def one_layer(units: int) -> str:
        return f"input: [1]\nlayers:\n  - fully_connected: {{units: {units}, bias: false}}\n"

    largest = (
        2**53 // 8
    )  # twice what the layer touches (its weights and its output) must stay below
    assert total(lower(load(one_layer(largest))).layers[0].macs) == largest
    with pytest.raises(CountError, match="64-bit"):
        lower(load(one_layer(2**53 + 1)))


def test_sums_stay_exact_too(load, write):
    """A layer moves at most twice what it touches (its weights and its output); the error names the file."""

    def text(units: int) -> str:
        return f"input: [1]\nlayers:\n  - fully_connected: {{units: {units}, bias: false}}\n"

    lower(load(text(2**51 - 10)))
    with pytest.raises(CountError, match=r"bytes in all") as caught:
        lower(load(text(2**51 + 10)))
    assert caught.value.file.endswith("net.yaml")


def test_nodes_of_one_name_are_an_error():
    nodes = [
        Node("b", Relu(), ("t1",), ("t2",)),
        Node("a", Relu(), ("input",), ("t1",)),
        Node("s", Relu(), ("t1",), ("t3",)),
        Node("s", Relu(), ("t1",), ("t4",)),
    ]
    for some in (nodes, nodes[1:]):
        with pytest.raises(GraphError, match="'s' is used twice"):
            build_network(
                "n", [Tensor("input", (1, 4), 8)], some, feature_map_bits=8, weight_bits=8
            )


def test_values_are_immutable(load):
    network = load(TINY)
    with pytest.raises(FrozenInstanceError):
        network.name = "other"
    with pytest.raises(FrozenInstanceError):
        lower(network).layers[0].name = "other"


def test_errors_say_what_a_program_can_catch(load):
    with pytest.raises(GraphError):
        load("input: [3, 4, 4]\nlayers:\n  - relu: {name: a, inputs: [a]}\n")
    with pytest.raises(UnknownNameError) as caught:
        load("input: [3, 4, 4]\nlayers:\n  - rleu: {}\n")
    assert (caught.value.nearest, caught.value.line) == ("relu", 3)
    assert caught.value.file.endswith("net.yaml")


def test_yaml_values_are_those_of_version_1_2(load):
    network = load("name: no\ninput: [0x3, 0o4, 4]\nlayers:\n  - relu: {name: 12:30}\n")
    assert network.name == "no"
    assert network.tensors["input"].shape == (1, 3, 4, 4)
    assert network.nodes[0].name == "12:30"


def test_settings_may_be_numpy_s_or_tuples(load):
    network = load(TINY, input=(3, 16, 16), batch=np.int64(2), width=np.float64(0.5))
    assert network.tensors["input"].shape == (2, 3, 16, 16)
    assert network.nodes[0].operator.channels == 8


def test_aliases_and_null_attributes(load):
    network = load(
        "input: [3, 4, 4]\nlayers:\n"
        "  - conv: &c {channels: 3, kernel: 1}\n  - conv: *c\n  - softmax:\n"
    )
    assert len(network.nodes) == 3


def test_a_file_in_the_working_directory_wins(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert load_network("mobilenet").name == "mobilenet"
    Path("mobilenet.yaml").write_text(TINY)
    assert load_network("mobilenet").name == load_network("mobilenet.yaml").name == "tiny"
    Path("resnet18").write_text("not a network: it has no suffix")
    assert load_network("resnet18").name == "resnet18"
    Path("resnet18").unlink()
    Path("resnet18").mkdir()  # a folder of that name is no file
    assert load_network("resnet18").name == "resnet18"


def test_bundled_networks_are_found_with_or_without_suffix():
    for name, path in catalog.bundled_networks().items():
        assert catalog.find_network(name) == catalog.find_network(path.name) == path
    for name, path in catalog.bundled_machines().items():
        assert catalog.find_machine(name) == catalog.find_machine(f"{name}.yaml") == path


@pytest.mark.parametrize(
    ("op", "read", "written", "vector_ops"),
    # by hand: 5 per element, 1, 1 more input, 2, windows of 49 (additions and a scaling), of 4 (comparisons)
    [
        ("softmax", 1000, 1000, 5000),
        ("relu", 70, 70, 70),
        ("add", 70, 70, 70),
        ("batch_norm", 70, 70, 140),
        ("avg_pool", 12544, 256, 12544),
        ("global_avg_pool", 12544, 256, 12544),
        ("max_pool", 400, 100, 300),
        ("conv", 400, 100, 0),
        ("concat", 400, 400, 0),
    ],
)
def test_a_layer_table_without_vector_operations(op, read, written, vector_ops, write):
    path = write(
        "net.csv",
        f"layer,op,input_elements,output_elements,weights,macs\n1,{op},{read},{written},0,0\n",
    )
    (layer,) = lower(load_network(path, batch=2)).layers
    assert total(layer.vector_ops) == 2 * vector_ops


def test_a_layer_table_with_names_vector_operations_and_batch(write):
    path = write(
        "net.csv",
        "\ufefflayer,op,name,input_elements,output_elements,weights,macs,vector_ops\r\n"
        "1,conv,first,10,20,30,40,0\r\n\r\n2,softmax,last,20,20,0,0,100\r\n",
    )
    program = lower(load_network(path, batch=3))
    assert [layer.name for layer in program.layers] == ["first", "last"]
    assert total(program.layers[0].macs) == 120
    assert total(program.layers[0].params) == 30
    assert total(program.layers[1].vector_ops) == 300
    assert program.layers[0].input_shapes == ((3, 10),)


@pytest.mark.parametrize("text", ["precision: 16\n", "precision: {feature_map: 16, weight: 16}\n"])
def test_one_number_is_the_width_of_feature_maps_and_weights(load, text):
    layers = "layers:\n  - conv: {channels: 2, kernel: 1, precision: 4}\n  - relu: {}\n"
    network = load(f"input: [3, 4, 4]\n{text}{layers}")
    assert network.tensors[network.inputs[0]].bits == 16
    assert network.nodes[0].weight_bits == 4
    assert load(f"input: [3, 4, 4]\n{layers}", precision=32).weight_bits == 32
