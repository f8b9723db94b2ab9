"""The order of the layers chosen for memory: against all orders of small networks, and never worse than given."""

from __future__ import annotations

import json
import random
from dataclasses import replace

import pytest

from perfsim import bundled_networks, load_hardware, load_network, lower, order_for_memory, simulate
from perfsim.placement import order_segments
from perfsim.placement.order_segments import live_of

BRANCHES = """\
name: branches
input: [1, 1, 1]
layers:
  - conv: {name: a1, channels: 100, kernel: 1, inputs: [input]}
  - conv: {name: b1, channels: 80, kernel: 1, inputs: [input]}
  - conv: {name: b2, channels: 40, kernel: 1, inputs: [b1]}
  - conv: {name: a2, channels: 10, kernel: 1, inputs: [a1]}
  - concat: {name: c, inputs: [a2, b2]}
"""


def live(network):
    return live_of(lower(network))


def node_names(network):
    return [node.name for node in network.nodes]


def all_orders(nodes, known):
    """Every order of `nodes` in which each reads what is known or was written before."""
    if not nodes:
        yield ()
    for position, node in enumerate(nodes):
        if known.issuperset(node.inputs):
            rest = nodes[:position] + nodes[position + 1 :]
            for order in all_orders(rest, known | set(node.outputs)):
                yield (node, *order)


def random_text(seed, layers):
    """A network file of layers that read any of the last few tensors; several may be outputs."""
    chance = random.Random(seed)
    channels = {"input": 4}
    lines = ["name: random", "input: [4, 4, 4]", "layers:"]
    for number in range(layers):
        names = list(channels)
        source = chance.choice(names[-4:])
        same = [name for name in names if channels[name] == channels[source] and name != source]
        op = chance.choice(("conv", "conv", "conv", "sigmoid", "add", "concat", "max_pool"))
        if (op == "add" and not same) or (op == "concat" and len(names) == 1):
            op = "conv"
        inputs, keys, wide = [source], "", channels[source]
        if op == "conv":
            wide = chance.choice((1, 2, 3, 5, 8, 13, 16))
            keys = f", channels: {wide}, kernel: 1"
        elif op == "max_pool":
            keys = ", kernel: 3, stride: 1"
        elif op == "add":
            inputs.append(chance.choice(same))
        elif op == "concat":
            inputs = chance.sample(names, min(len(names), chance.choice((2, 2, 3))))
            wide = sum(channels[name] for name in inputs)
        name = f"n{number}"
        lines.append(f"  - {op}: {{name: {name}, inputs: [{', '.join(inputs)}]{keys}}}")
        channels[name] = wide
    return "\n".join(lines) + "\n"


def counts(network):
    return {
        layer.name: (layer.op, layer.macs, layer.vector_ops, layer.params, layer.output_shapes)
        for layer in lower(network).layers
    }


def test_two_branches_by_hand(load):
    """Bytes live at a1 a2 b1 b2 c: 101, 111, 91, 130, 100; as given b2 needs a1 + b1 + b2 = 220."""
    network = load(BRANCHES)
    ordered = order_for_memory(network)
    assert live(network).peak_bytes == 220
    assert live(ordered) == (130, 101 + 111 + 91 + 130 + 100)
    assert node_names(ordered) == ["a1", "a2", "b1", "b2", "c"]
    assert network.order is None
    assert (ordered.order.given_peak_bytes, ordered.order.peak_bytes) == (220, 130)
    assert ordered.order.mean_bytes == 533 // 5
    assert order_for_memory(ordered) is ordered


@pytest.mark.parametrize("seeds", [range(start, start + 10) for start in range(0, 100, 10)])
def test_small_networks_against_all_their_orders(load, seeds):
    improved = 0
    for seed in seeds:
        network = load(random_text(seed, 6 + (seed % 10 == 0)))
        nodes = all_orders(network.nodes, set(network.inputs))
        best = min(live(replace(network, nodes=order)) for order in nodes)
        ordered = order_for_memory(network)
        assert live(ordered) == best, seed
        assert counts(ordered) == counts(network)
        assert ordered.outputs == network.outputs
        improved += best < live(network)
    assert improved


@pytest.mark.thorough
@pytest.mark.parametrize("name", sorted(bundled_networks()))
def test_bundled_networks_never_get_worse_and_keep_their_counts(name):
    network = load_network(name)
    ordered = order_for_memory(network)
    given, found = live(network), live(ordered)
    assert found <= given
    assert ordered.order.given_peak_bytes == given.peak_bytes
    assert ordered.order.peak_bytes == found.peak_bytes
    assert ordered.order.mean_bytes == found.sum_bytes // len(lower(network).layers)
    assert counts(ordered) == counts(network)
    if found == given:
        assert ordered.nodes == network.nodes
    elif name.startswith("nasnet"):
        assert found.peak_bytes < 0.93 * given.peak_bytes
        again = order_for_memory(load_network(name))
        assert node_names(again) == node_names(ordered)


THROUGHOUT = """\
name: throughout
input: [{}, 4, 4]
layers:
  - conv: {{name: stem, channels: {}, kernel: 1}}
  - conv: {{name: a1, channels: {}, kernel: 1, inputs: [stem]}}
  - conv: {{name: a2, channels: {}, kernel: 1}}
  - conv: {{name: b1, channels: {}, kernel: 1, inputs: [stem]}}
  - conv: {{name: b2, channels: {}, kernel: 1, inputs: [b1]}}
  - conv: {{name: b3, channels: {}, kernel: 1, inputs: [b1]}}
  - concat: {{name: c, inputs: [a2, b2, b3]}}
  - conv: {{name: d, channels: {}, kernel: 1}}
  - concat: {{name: e, inputs: [d, input]}}
"""

WITHIN_AND_BEHIND = """\
name: behind
input: [{}, 4, 4]
layers:
  - conv: {{name: a1, channels: {}, kernel: 1, inputs: [input]}}
  - conv: {{name: a2, channels: {}, kernel: 1}}
  - conv: {{name: b1, channels: {}, kernel: 1, inputs: [input]}}
  - conv: {{name: b2, channels: {}, kernel: 1, inputs: [b1]}}
  - conv: {{name: b3, channels: {}, kernel: 1, inputs: [b1]}}
  - concat: {{name: c, inputs: [a2, b2, b3]}}
  - conv: {{name: d, channels: {}, kernel: 1}}
  - concat: {{name: e, inputs: [d, input]}}
"""


@pytest.mark.parametrize("text", [THROUGHOUT, WITHIN_AND_BEHIND])
def test_what_lives_before_and_behind_a_segment(load, text):
    """The input is read behind the segment, before it or in it too; the peak is the least of all orders."""
    chance = random.Random(4)
    improved = 0
    for _ in range(100):
        network = load(text.format(*(chance.choice((1, 2, 3, 5, 8, 13, 21, 34)) for _ in range(8))))
        orders = all_orders(network.nodes, set(network.inputs))
        best = min(live(replace(network, nodes=order)).peak_bytes for order in orders)
        assert live(order_for_memory(network)).peak_bytes == best
        improved += best < live(network).peak_bytes
    assert improved


def test_a_search_that_runs_out_of_steps_is_never_worse(load, monkeypatch):
    for steps in (1, 30, 300):
        monkeypatch.setattr(order_segments, "PEAK_STEPS", steps)
        monkeypatch.setattr(order_segments, "SUM_STEPS", steps)
        for seed in range(10):
            network = load(random_text(seed, 20))
            ordered = order_for_memory(network)
            assert live(ordered) <= live(network)
            assert sorted(node_names(ordered)) == sorted(node_names(network))


def test_a_long_chain_has_one_order(load):
    convs = "\n".join(f"  - conv: {{channels: {4 + n % 3}, kernel: 3}}" for n in range(3000))
    network = load(f"name: chain\ninput: [4, 4, 4]\nlayers:\n{convs}\n")
    ordered = order_for_memory(network)
    assert ordered.nodes is network.nodes
    assert ordered.order.peak_bytes == ordered.order.given_peak_bytes == (6 + 5) * 16


def test_what_is_fused_moves_with_its_layer(load):
    """The first reader of a dequantised tensor changes; it stays in front of both, and so does a normalisation."""
    text = """\
name: quantised
input: [1, 4, 4]
precision: {feature_map: 16, weight: 8}
layers:
  - conv: {name: stem, channels: 8, kernel: 1, batch_norm: true, activation: relu}
  - quantize: {name: q, bits: 8}
  - dequantize: {name: d}
  - conv: {name: b1, channels: 80, kernel: 1, inputs: [d], activation: silu}
  - conv: {name: a1, channels: 200, kernel: 1, inputs: [d], batch_norm: true}
  - conv: {name: a2, channels: 10, kernel: 1}
  - flatten: {name: f}
  - conv: {name: b2, channels: 40, kernel: 1, inputs: [b1]}
  - flatten: {name: g}
  - concat: {name: c, inputs: [f, g]}
"""
    network = load(text)
    ordered = order_for_memory(network)
    names = [layer.name for layer in lower(ordered).layers]
    assert names.index("a2") < names.index("b1")
    assert live(ordered).peak_bytes < live(network).peak_bytes
    assert counts(ordered) == counts(network)
    given, moved = ({each.name: each for each in lower(net).layers} for net in (network, ordered))
    assert all(moved[name].fused == given[name].fused for name in given)


def test_a_run_in_the_chosen_order():
    """On 1 MB the given order of NASNet spills feature maps that the chosen one has room for."""
    network, machine = load_network("nasnet_mobile"), load_hardware("1MB_2GBs_2TF")
    given, chosen = (simulate(net, machine) for net in (network, order_for_memory(network)))
    assert chosen.totals.ddr_bytes < given.totals.ddr_bytes
    assert chosen.totals.macs == given.totals.macs


HARDWARE = ("--hw", "1MB_1GBs_1TF")


@pytest.mark.parametrize(
    "arguments", [("run",), ("compare",), ("explain", "--layer", "b2"), ("memory",)]
)
def test_commands_say_what_the_order_changes(perfsim_cli, write, arguments):
    path = write("branches.yaml", BRANCHES)
    command, *more = arguments
    line = [command, path, *HARDWARE, *more]
    if command == "memory":
        line += ["--placement", "liveness"]
    given = perfsim_cli(*line)
    assert given.out == perfsim_cli(*line, "--order", "given").out
    assert "order for memory" not in given.out
    chosen = " ".join(perfsim_cli(*line, "--order", "memory").out.split())
    said = "order for memory (at most 130 B of feature maps live, 220 B in the given order)"
    assert said in chosen
    document = json.loads(perfsim_cli(*line, "--format", "json").out)
    changed = json.loads(perfsim_cli(*line, "--order", "memory", "--format", "json").out)
    key = "orders" if command == "compare" else "order"  # of each of the networks
    expected = {
        "name": "memory",
        "given_peak_bytes": 220,
        "peak_bytes": 130,
        "given_mean_bytes": (101 + 181 + 220 + 150 + 100) // 5,
        "mean_bytes": (101 + 111 + 91 + 130 + 100) // 5,
    }
    assert document[key] in ({"name": "given"}, [{"name": "given"}])
    assert changed[key] in (expected, [expected])


def test_an_order_that_changes_nothing_or_only_the_mean_says_so(perfsim_cli):
    same = perfsim_cli("run", "lenet5", *HARDWARE, "--order", "memory").out
    assert "the given one is the best found" in " ".join(same.split())
    mean = perfsim_cli("run", "resnet18", *HARDWARE, "--order", "memory").out
    assert "as in the given order, on average" in " ".join(mean.split())


def test_an_unknown_order(perfsim_cli):
    run = perfsim_cli("run", "lenet5", *HARDWARE, "--order", "random")
    assert run.status == 2
    assert "--order" in run.err
    assert "memory" in run.err
