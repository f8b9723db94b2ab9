"""The policy `optimal`: equal to brute force on small networks, never worse than `liveness`, honest about its bound."""

from __future__ import annotations

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
from perfsim.network.matrix import MatMul
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

    def __init__(self, program, sram_bytes, kept):
        self.program, self.sram_bytes = program, sram_bytes
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
        total = sum(program.tensors[each].bytes for layer in program.layers for each in layer.weights)
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
        here = [] if layer.is_view or is_joined else list(dict.fromkeys((*layer.reads, *layer.writes)))
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
                useless = [
                    program.tensors[tensor].bytes
                    for tensor in passing
                    if tensor in layer.writes
                    and program.tensors[tensor].kind is Kind.FEATURE_MAP
                    and tensor not in self.read_outside
                ]
                costs.append(cost + sum(useless))  # it streams out although nobody reads it
        return min(costs, default=None)

    def tiles(self, position, passing, free):
        """What a layer moves beyond moving each once, with so much memory for its tiles."""
        program, layer = self.program, self.program.layers[position]
        operands = operands_of(program).get(position)
        if operands is None:
            return 0 if free >= len(passing) + len(layer.weights) else None
        mask = 2 if operands.weight is not None else 0
        for tensor in passing:
            if tensor in layer.writes:
                mask |= 4
            elif tensor in layer.reads[1:]:
                mask |= 2
            else:
                mask |= 1
        weights = sum(program.tensors[each].bytes for each in layer.weights)
        held = mask & ~2 if layer.weights else mask
        if free >= min(operands.least_bytes[mask], operands.least_bytes[held] + weights):
            return 0
        steps = front(operands.nest, operands.bits, flags(mask))
        fitting = steps.traffic_bytes[steps.buffer_bytes <= free]
        once = sum(size for size, out in zip(operands.bytes, flags(mask), strict=True) if out)
        return int(fitting[-1]) - once if len(fitting) else None


def brute_force(program, sram_bytes):
    gaps = [(tensor, layer) for tensor, layers in uses(program).items() for layer in layers[:-1]]
    results = []
    for chosen in product((False, True), repeat=len(gaps)):
        kept = [gap for gap, keep in zip(gaps, chosen, strict=True) if keep]
        results.append(Walk(program, sram_bytes, kept).traffic())
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
            "product": (MatMul(), (first, second), channels[first]),
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
    program = random_program(seed)
    if sum(len(layers) - 1 for layers in uses(program).values()) > 9:
        return 0
    compared = 0
    for size in sizes_of(program, seed):
        try:
            placement = Optimal().place(program, size)
        except MemoryTooSmallError:
            continue
        assert moved(placement) == brute_force(program, size), (seed, size)
        assert placement.lower_bound_bytes == moved(placement)
        compared += 1
    return compared


@pytest.mark.parametrize("block", range(6))
def test_small_networks_agree_with_brute_force(block):
    compared = sum(check_against_brute_force(20 * block + each) for each in range(20))
    assert compared > 20


def test_layers_with_too_many_candidates_for_sets_agree_too(monkeypatch):
    monkeypatch.setattr(optimal_model, "MOST_CANDIDATES", 0)
    assert sum(check_against_brute_force(1000 + each) for each in range(20)) > 20
