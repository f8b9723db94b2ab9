"""The policy `optimal`: equal to brute force on small networks, never worse than `liveness`, honest about its bound."""

from __future__ import annotations

import json
import random
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perfsim import Machine, load_network, lower, simulate
from perfsim.errors import MemoryTooSmallError
from perfsim.network.arithmetic import Add
from perfsim.network.convolution import Conv
from perfsim.network.elementwise import Relu
from perfsim.network.graph import Node, Tensor, build_network
from perfsim.network.layout import Concat
from perfsim.network.matrix import Matmul
from perfsim.network.pooling import MaxPool
from perfsim.placement import optimal_model
from perfsim.placement.buffers import buffers_of
from perfsim.placement.liveness import Liveness
from perfsim.placement.operands import flags, operands_of
from perfsim.placement.optimal import Optimal
from perfsim.placement.tiling import front
from perfsim.program import Kind

QUICK = ("mobilenet", "mobilenet_v2", "resnet50", "googlenet", "squeezenet1_0", "lenet5", "vgg16")


def moved(placement):
    return int(placement.ddr_read_bytes.sum() + placement.ddr_write_bytes.sum())


def compulsory_bytes(program):
    kinds = (Kind.WEIGHT, Kind.INPUT, Kind.OUTPUT)
    return sum(tensor.bytes for tensor in program.tensors if tensor.kind in kinds)


# --- brute force: every choice of gaps and of tensors that lie in memory for one layer, walked layer by layer


def joined_layers(program):
    return set(np.flatnonzero(buffers_of(program).joined).tolist())


def uses(program):
    """For each feature map the layers that touch it, in order."""
    found = {}
    for position, layer in enumerate(program.layers):
        if not layer.is_view:
            for tensor in dict.fromkeys((*layer.reads, *layer.writes)):
                found.setdefault(tensor, []).append(position)
    return found


class Walk:
    """What one choice of gaps moves. `kept` holds (tensor, layer): from that layer to its next use."""

    def __init__(self, program, sram_bytes, kept, copies=1):
        self.program, self.sram_bytes, self.copies = program, sram_bytes, copies
        self.uses = uses(program)
        self.inside = [set() for _ in program.layers]  # kept tensors at each layer, ends included
        self.arrives, self.stays = set(), set()
        for tensor, layer in kept:
            end = self.uses[tensor][self.uses[tensor].index(layer) + 1]
            for position in range(layer, end + 1):
                self.inside[position].add(tensor)
            self.stays.add((tensor, layer))
            self.arrives.add((tensor, end))
        self.read_outside = set()  # tensors that somebody reads in external memory

    def traffic(self):
        """Bytes, or None where it does not fit."""
        program, joined = self.program, joined_layers(self.program)
        total = sum(
            program.tensors[each].bytes for layer in program.layers for each in layer.weights
        )
        for position, layer in enumerate(program.layers):
            if layer.is_view:
                continue
            together = position in joined and (layer.writes[0], position) in self.stays
            for tensor in dict.fromkeys(layer.reads):
                comes = (tensor, position) not in self.arrives
                wanted = tensor in self.inside[position] or together
                if comes and (position not in joined or wanted):
                    total += program.tensors[tensor].bytes
                    self.read_outside.add(tensor)
        for position in sorted(joined, reverse=True):
            if program.layers[position].writes[0] in self.read_outside:
                self.read_outside |= set(program.layers[position].reads)
        for tensor, each in enumerate(program.tensors):
            if each.kind is Kind.OUTPUT or (
                each.kind is Kind.FEATURE_MAP
                and tensor in self.read_outside
                and self.uses[tensor][0] not in joined
            ):
                total += each.bytes
        for position in range(len(program.layers)):
            cost = self.cheapest(position, position in joined)
            if cost is None:
                return None
            total += cost
        return total

    def cheapest(self, position, is_joined):
        """The least that a layer adds, over what lies in memory for it alone."""
        program, layer = self.program, self.program.layers[position]
        here = (
            [] if layer.is_view or is_joined else list(dict.fromkeys((*layer.reads, *layer.writes)))
        )
        free_choice = [tensor for tensor in here if tensor not in self.inside[position]]
        costs = []
        for chosen in product((False, True), repeat=len(free_choice)):
            whole = self.inside[position] | {
                tensor for tensor, inside in zip(free_choice, chosen, strict=True) if inside
            }
            buffers = buffers_of(program)
            used = sum(int(buffers.bytes[each]) for each in {int(buffers.of[t]) for t in whole})
            passing = [tensor for tensor in here if tensor not in whole]
            cost = self.tiles(position, passing, self.sram_bytes - used)
            if cost is not None:
                costs.append(cost)
        return min(costs, default=None)

    def tiles(self, position, passing, free):
        """What a layer moves beyond moving each once, with so much memory for its tiles."""
        program, layer = self.program, self.program.layers[position]
        operands = operands_of(program).get(position)
        if operands is None:
            return 0 if free >= len(passing) + len(layer.weights) else None
        mask = 2 if operands.weight is not None else 0
        for tensor in passing:
            mask |= 4 if tensor in layer.writes else 0
            mask |= 1 if tensor == layer.reads[0] else 0
            mask |= 2 if tensor in layer.reads[1:] else 0  # a tensor may be multiplied with itself
        weights = sum(program.tensors[each].bytes for each in layer.weights)
        once, held = (
            self.copies * operands.least_bytes[each]
            for each in (mask, mask & ~2 if layer.weights else mask)
        )
        if free >= min(once, held + weights):
            return 0
        steps = front(operands.nest, operands.bits, flags(mask), self.copies == 2)
        fitting = steps.traffic_bytes[steps.buffer_bytes <= free]
        once = sum(size for size, out in zip(operands.bytes, flags(mask), strict=True) if out)
        return int(fitting[-1]) - once if len(fitting) else None


def brute_force(program, sram_bytes, copies=1):
    gaps = [(tensor, layer) for tensor, layers in uses(program).items() for layer in layers[:-1]]
    results = []
    for chosen in product((False, True), repeat=len(gaps)):
        kept = [gap for gap, keep in zip(gaps, chosen, strict=True) if keep]
        results.append(Walk(program, sram_bytes, kept, copies).traffic())
    return min((each for each in results if each is not None), default=None)


def random_program(seed):
    """4 to 7 operators: branches, concatenations, sums in place, inputs with several readers, several outputs."""
    draw = random.Random(seed)
    size = draw.choice((1, 2, 3, 4))
    channels = {"x": draw.randint(1, 4)}
    nodes = []
    for index in range(draw.randint(4, 7)):
        name = f"n{index}"
        first = draw.choice(list(channels)[-3:])
        alike = [each for each in channels if channels[each] == channels[first]]
        kind = draw.choice(("conv", "point", "pool", "add", "concat", "concat", "relu", "product"))
        second = draw.choice(alike)
        if kind == "concat":
            second = draw.choice([each for each in channels if each != first] or [first])
        operator, inputs, depth = {
            "conv": (Conv(draw.randint(1, 5), 3), (first,), None),
            "point": (Conv(draw.randint(1, 5), 1, bias=False), (first,), None),
            "pool": (MaxPool(3, 1), (first,), channels[first]),
            "add": (Add(), (first, second), channels[first]),
            "concat": (Concat(1), (first, second), channels[first] + channels[second]),
            "relu": (Relu(), (first,), channels[first]),
            "product": (Matmul(), (first, second), channels[first]),
        }[kind]
        nodes.append(Node(name, operator, inputs, (name,)))
        channels[name] = operator.channels if depth is None else depth
    outputs = [draw.choice(list(channels)[1:])] if draw.random() < 0.3 else []
    batch = draw.choice((1, 1, 1, 2))
    network = build_network(
        "random",
        [Tensor("x", (batch, channels["x"], size, size), 8)],
        nodes,
        feature_map_bits=draw.choice((8, 8, 16)),
        weight_bits=8,
        outputs=outputs,
    )
    return lower(network)


def sizes_of(program, seed):
    """Memories where something is decided: what some layer has live, a byte less, and something between."""
    draw = random.Random(seed)
    buffers = buffers_of(program)
    live = buffers.live_bytes(np.ones(len(buffers.bytes), dtype=bool))
    peak = int(live.max())
    exact = draw.choice(live.tolist())
    return {exact, exact - 1, draw.randint(4, max(peak, 5)), draw.randint(peak // 2, peak + 8)}


def check_against_brute_force(seed):
    """How many memories were compared; one network in four has two buffers for each tile."""
    program, copies = random_program(seed), 2 if seed % 4 == 0 else 1
    if sum(len(layers) - 1 for layers in uses(program).values()) > 8:
        return 0
    compared = 0
    for size in sizes_of(program, seed):
        try:
            placement = Optimal().place(program, size, double_buffered=copies == 2)
        except MemoryTooSmallError:
            assert brute_force(program, size, copies) is None
            continue
        assert moved(placement) == brute_force(program, size, copies), (seed, size)
        assert placement.lower_bound_bytes == moved(placement)
        compared += 1
    return compared


@pytest.mark.parametrize("block", range(6))
def test_small_networks_agree_with_brute_force(block):
    compared = sum(check_against_brute_force(14 * block + each) for each in range(14))
    assert compared > 15


def test_layers_with_too_many_candidates_for_sets_agree_too(monkeypatch):
    monkeypatch.setattr(optimal_model, "MOST_CANDIDATES", 0)
    assert sum(check_against_brute_force(1000 + each) for each in range(20)) > 20


# --- the contract, on small and on bundled networks


def check_capacity(program, placement, size):
    """Counted anew from the spans: buffers, weights that are inside, and tiles fit at every layer."""
    spans, buffers = placement.spans, buffers_of(program)
    in_use = placement.tile_bytes.copy()
    for buffer, first, last in zip(spans.buffer, spans.first, spans.last, strict=True):
        in_use[first : last + 1] += buffers.bytes[buffer]
    at = 0
    for position, layer in enumerate(program.layers):
        touched = [] if layer.is_view else [*dict.fromkeys(layer.reads), *layer.writes]
        for tensor in touched:
            if placement.internal[at]:
                inside = (spans.buffer == buffers.of[tensor]) & (spans.first <= position)
                assert (inside & (position <= spans.last)).any()
            at += 1
        for tensor in () if layer.is_view else layer.weights:
            in_use[position] += program.tensors[tensor].bytes if placement.internal[at] else 0
            at += 1
    assert at == len(placement.internal)
    assert (in_use <= size).all()
    assert (in_use == placement.sram_used_bytes).all()
    order = np.lexsort((spans.first, spans.buffer))
    buffer, first, last = (each[order] for each in (spans.buffer, spans.first, spans.last))
    assert ((buffer[1:] != buffer[:-1]) | (first[1:] > last[:-1])).all()


@settings(max_examples=40, deadline=None)
@given(st.integers(10**6, 10**9))
def test_small_networks_keep_the_contract(seed):
    program = random_program(seed)
    ample = sum(tensor.bytes for tensor in program.tensors)
    before = None
    for size in np.unique(np.linspace(8, ample, 8).astype(int)).tolist():
        try:
            placement, other = Optimal().place(program, size), Liveness().place(program, size)
        except MemoryTooSmallError:
            assert before is None
            continue
        check_capacity(program, placement, size)
        assert compulsory_bytes(program) <= moved(placement) <= moved(other)
        assert before is None or moved(placement) <= before
        before = moved(placement)
    assert before == compulsory_bytes(program)


@pytest.mark.parametrize("name", QUICK)
def test_bundled_networks_are_proven_and_never_worse_than_liveness(name):
    program = lower(load_network(name))
    before = None
    for size in (32_000, 200_000, 1_000_000, 4_000_000, 64_000_000):
        placement = Optimal().place(program, size)
        check_capacity(program, placement, size)
        assert placement.gap == 0
        assert moved(placement) <= moved(Liveness().place(program, size))
        assert moved(placement) >= compulsory_bytes(program)
        assert before is None or moved(placement) <= before
        before = moved(placement)
    assert before == compulsory_bytes(program)


def test_equal_inputs_give_equal_plans():
    program = lower(load_network("nasnet_mobile"))
    first, second = (Optimal().place(program, 200_000) for _ in range(2))
    assert (first.internal == second.internal).all()
    assert (first.moves.read_bytes == second.moves.read_bytes).all()


def test_a_search_that_runs_out_of_time_says_how_far_it_may_be_off():
    program = lower(load_network("nasnet_mobile"))
    best = moved(Optimal().place(program, 64_000))
    hasty = Optimal(time_limit_s=1e-9).place(program, 64_000)
    assert hasty.lower_bound_bytes <= best <= moved(hasty)
    assert moved(hasty) <= moved(Liveness().place(program, 64_000))
    assert hasty.gap == (moved(hasty) - hasty.lower_bound_bytes) / moved(hasty) > 0


def test_a_value_is_spilled_in_mid_life():
    """Bytes: p (100) is read by the second and the last layer; between them r (160) lies in 215 bytes with q (50).

    p is written when it is made, still there for q, and read again at the end: 100 + 100. s (80) has no room beside
    r: 80 + 80. In with x (100) and y (160), out with the result (230). Outside for its whole life p would cost 300;
    inside it would cost r outside (320) and q (100) or s (160).
    """
    nodes = [
        Node("p", MaxPool(1, 1), ("x",), ("p",)),
        Node("q", MaxPool(2, 2), ("p",), ("q",)),
        Node("r", MaxPool(1, 1), ("y",), ("r",)),
        Node("s", MaxPool(2, 2), ("r",), ("s",)),
        Node("all", Concat(2), ("p", "q", "s"), ("all",)),
    ]
    network = build_network(
        "spill",
        [Tensor("x", (1, 1, 100), 8), Tensor("y", (1, 1, 160), 8)],
        nodes,
        feature_map_bits=8,
        weight_bits=8,
    )
    result = simulate(network, Machine("m", 215, 1e9, 1e12, 1e10), "optimal")
    assert result.columns["ddr_read_bytes"] == [100, 0, 160, 0, 180]
    assert result.columns["ddr_write_bytes"] == [100, 0, 0, 80, 230]
    assert result.columns["input_location"][-1] == "external;internal;external"
    assert result.placement.lower_bound_bytes == 490 + 200 + 160
    whole = simulate(network, Machine("m", 215, 1e9, 1e12, 1e10), "liveness")
    assert whole.totals.ddr_bytes >= 490 + 300 + 160


def test_explanations_say_what_happens_to_each_tensor():
    network = load_network("resnet18")
    result = simulate(network, Machine("m", 500_000, 1e9, 1e12, 1e10), "optimal")
    policy, program = result.placement_policy, result.program
    text = [
        sentence
        for position in range(len(program.layers))
        for sentence in policy.explain(program, result.placement, position)
    ]
    for words in ("made here, kept for", "kept since", "read here first", "not kept for"):
        assert any(words in sentence for sentence in text), words
    assert all(
        sum(size for _, size in policy.in_use(program, result.placement, position))
        == result.columns["sram_used_bytes"][position]
        for position in range(len(program.layers))
    )


# --- the command line


def test_a_run_says_how_good_the_plan_is(perfsim_cli):
    arguments = ("run", "resnet18", "--hw", "256KB_4GBs_1TF", "--placement", "optimal")
    run = perfsim_cli(*arguments)
    assert run.status == 0
    head = " ".join(run.out.split("\n\n")[0].split())
    document = json.loads(perfsim_cli(*arguments, "--format", "json").out)
    moved_bytes = document["totals"]["ddr_bytes"]
    assert document["search"] == {"lower_bound_bytes": moved_bytes, "gap": 0.0}
    assert head.endswith(f"no plan moves less than {moved_bytes / 1e6:.4g} MB (gap 0.00%)")
    other = perfsim_cli("run", "resnet18", "--hw", "256KB_4GBs_1TF", "--format", "json")
    assert "search" not in json.loads(other.out)


def test_the_time_limit_is_an_option_of_the_search(perfsim_cli):
    arguments = ("run", "nasnet_mobile", "--hw", "256KB_4GBs_1TF", "--format", "json")
    hasty = perfsim_cli(*arguments, "--placement", "optimal", "--time-limit", "1us")
    assert 0 < json.loads(hasty.out)["search"]["gap"] < 1


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--placement", "liveness", "--time-limit", "5s"), "found --placement liveness"),
        (("--time-limit", "5s"), "found no --placement"),
        (("--placement", "optimal", "--time-limit", "5"), "found '5' without a unit"),
        (("--placement", "optimal", "--time-limit", "5 MB"), "which is a size"),
    ],
)
@pytest.mark.parametrize("command", ["run", "compare", "explain"])
def test_a_wrong_time_limit_is_one_error(perfsim_cli, command, options, words):
    layer = ("--layer", "1") if command == "explain" else ()
    run = perfsim_cli(command, "lenet5", "--hw", "256KB_4GBs_1TF", *layer, *options)
    assert run.status == 2
    assert run.err.startswith("error: --time-limit: ")
    assert words in run.err
    assert run.err.count("\n") == 1
