"""The contract that every placement policy obeys, and each policy's own rule worked by hand."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import TINY
from hypothesis import given, settings
from hypothesis import strategies as st

from perfsim import catalog, load_hardware, load_network, lower, simulate, simulate_array
from perfsim.errors import MemoryTooSmallError
from perfsim.hardware.machine import Machine
from perfsim.network.arithmetic import Add
from perfsim.network.convolution import Conv
from perfsim.network.elementwise import Relu
from perfsim.network.graph import Node, Tensor, build_network
from perfsim.network.layout import Concat, Flatten
from perfsim.network.normalization import BatchNorm
from perfsim.network.pooling import MaxPool
from perfsim.placement import PLACEMENTS
from perfsim.placement.buffers import buffers_of
from perfsim.placement.eviction import thresholds_of
from perfsim.placement.placement import touches_of
from perfsim.program import Kind
from perfsim.timing.kernel import TIMINGS

NETWORKS = {name: load_network(name) for name in catalog.bundled_networks()}
MACHINES = {name: load_hardware(name) for name in catalog.bundled_machines()}
SIZES = [16_000, 32_000, 64_000, 100_001, 256_000, 500_000, 1_000_000, 2**20]
SIZES += [3_000_000, 8_000_000, 2**24, 64_000_000]
POLICIES = {policy.name: policy for policy in PLACEMENTS}
QUICK = [
    name for name, policy in POLICIES.items() if not policy.searches
]  # test_optimal.py has the other
MONOTONE = [name for name in QUICK if name != "accumulate"]  # its published rule is not

policies = pytest.mark.parametrize("policy", QUICK)
networks = pytest.mark.parametrize("network", NETWORKS)


def machine(sram_bytes: int, rate: float = 1e9) -> Machine:
    return Machine("m", sram_bytes, rate, 1e3 * rate, 10 * rate)


def compulsory_bytes(program, *, output: bool = True) -> int:
    """What must cross the bus once: weights, the network's inputs and, mostly, its outputs; counted anew."""
    kinds = {Kind.WEIGHT, Kind.INPUT} | ({Kind.OUTPUT} if output else set())
    return sum(tensor.bytes for tensor in program.tensors if tensor.kind in kinds)


@policies
@networks
def test_capacity_traffic_and_sums(policy, network):
    program = lower(NETWORKS[network])
    for size in SIZES:
        result = simulate(NETWORKS[network], machine(size), placement=policy)
        columns, totals = result.columns, result.totals
        # `accumulate` prints what is in use before an overflow is sent to DDR, and leaves the output on chip.
        if policy != "accumulate":
            assert totals.peak_sram_bytes <= size
        least = compulsory_bytes(program, output=policy != "accumulate")
        assert totals.ddr_bytes >= least
        if size == SIZES[-1] and policy not in ("accumulate", "streaming"):
            assert totals.ddr_bytes == least
        assert totals.ddr_bytes == sum(columns["ddr_bytes"])
        assert totals.ddr_read_bytes == sum(columns["ddr_read_bytes"])
        assert totals.ddr_write_bytes == sum(columns["ddr_write_bytes"])


@policies
@networks
def test_every_location_is_one_of_two(policy, network):
    table = simulate(NETWORKS[network], machine(200_000), placement=policy).table
    for column in ("input_location", "output_location", "weight_location"):
        places = set(";".join(table[column]).split(";"))
        assert places <= {"internal", "external", ""}
    assert (table["weight_location"].eq("") == table["weight_bytes"].eq(0)).all()


@policies
@networks
def test_what_is_resident_adds_up_to_what_is_in_use(policy, network):
    program = lower(NETWORKS[network])
    for size in (20_000, 300_000, 3_000_000):
        result = simulate(NETWORKS[network], machine(size), placement=policy)
        for position in range(0, len(program.layers), 5):
            in_use = POLICIES[policy].in_use(program, result.placement, position)
            used = sum(size for _, size in in_use)
            assert used == result.columns["sram_used_bytes"][position]


@pytest.mark.parametrize("policy", MONOTONE)
@networks
def test_internal_tensors_fit_at_every_step(policy, network):
    """Counted anew: what is internal lies in a span of its buffer from touch to touch, and all of it fits."""
    program = lower(NETWORKS[network])
    buffers, touches = buffers_of(program), touches_of(program)
    for size in SIZES:
        placement = POLICIES[policy].place(program, size)
        spans = list(
            zip(
                *(each.tolist() for each in (placement.spans.buffer, placement.spans.first)),
                placement.spans.last.tolist(),
                strict=True,
            )
        )
        used = np.zeros(len(program.layers), dtype=np.int64)
        of_buffer: dict[int, list[tuple[int, int]]] = {}
        for buffer, first, last in spans:
            used[first : last + 1] += buffers.bytes[buffer]
            of_buffer.setdefault(buffer, []).append((first, last))
        last_touch: dict[int, int] = {}
        arrived = set(
            zip(placement.moves.layer.tolist(), placement.moves.tensor.tolist(), strict=True)
        )
        rows = zip(
            touches.layer.tolist(),
            touches.tensor.tolist(),
            placement.internal.tolist(),
            strict=True,
        )
        for position, index, internal in rows:
            tensor = program.tensors[index]
            if tensor.kind is Kind.WEIGHT:
                used[position] += tensor.bytes * (internal and not placement.pinned[index])
            elif internal:
                covering = [(a, b) for a, b in of_buffer[buffers.of[index]] if a <= position <= b]
                assert len(covering) == 1
                before = last_touch.get(index)
                stayed = before is not None and covering[0][0] <= before
                written = index in program.layers[position].writes
                assert written or stayed or (position, index) in arrived
            last_touch[index] = position
        used += sum(
            tensor.bytes
            for tensor, stays in zip(program.tensors, placement.pinned, strict=True)
            if stays
        )
        assert (used + placement.tile_bytes == placement.sram_used_bytes).all()
        assert (placement.sram_used_bytes <= size).all()


@pytest.mark.thorough
@pytest.mark.parametrize("policy", MONOTONE)
@networks
def test_more_memory_moves_no_more_at_any_layer(policy, network):
    """So it is never slower, whatever overlaps."""
    program, before = lower(NETWORKS[network]), None
    for size in np.unique(np.geomspace(8_000, 64_000_000, 40).astype(np.int64)).tolist():
        placement = POLICIES[policy].place(program, size)
        moved = placement.ddr_read_bytes + placement.ddr_write_bytes
        assert before is None or (moved <= before).all()
        before = moved


@pytest.mark.parametrize("policy", MONOTONE)
@pytest.mark.parametrize("timing", [each.name for each in TIMINGS])
@pytest.mark.parametrize("network", ["mobilenet_v2", "squeezenet1_0", "nasnet_mobile"])
def test_more_memory_is_never_slower(policy, timing, network):
    sizes = np.unique(np.geomspace(8_000, 64_000_000, 60).astype(np.int64))
    totals = simulate_array(NETWORKS[network], machine(sizes), policy, timing)
    assert (np.diff(totals.ddr_bytes) <= 0).all()
    assert (np.diff(totals.total_s) <= 0).all()


def test_accumulate_is_excused_because_its_rule_is_not_monotone():
    """The example of docs/model.md: 50 KB more, and the overflow comes at a costlier layer."""
    network = load_network("mobilenet_printed", precision={"weight": 1})
    small, large = (
        simulate(network, load_hardware("1MB_1GBs_1TF", sram=size)).totals.total_s
        for size in ("550 KB", "600 KB")
    )
    assert large > small


@policies
@pytest.mark.parametrize("timing", [each.name for each in TIMINGS])
@networks
def test_faster_parts_are_never_slower(policy, timing, network):
    base = MACHINES["1MB_1GBs_1TF"]
    before = simulate(NETWORKS[network], base, policy, timing).totals.total_s
    for key in ("ddr_bytes_per_s", "matrix_flops", "vector_flops"):
        numbers = dict(
            zip(
                ("sram_bytes", "ddr_bytes_per_s", "matrix_flops", "vector_flops"),
                base.numbers,
                strict=True,
            )
        )
        faster = Machine("faster", **numbers | {key: numbers[key] * 1.1})
        assert simulate(NETWORKS[network], faster, policy, timing).totals.total_s <= before


@policies
@pytest.mark.parametrize("timing", [each.name for each in TIMINGS])
@networks
def test_all_rates_times_k_gives_all_times_over_k(policy, timing, network):
    """Exactly, since k is a power of two."""
    slow = simulate(NETWORKS[network], machine(300_000, 1e9), policy, timing)
    fast = simulate(NETWORKS[network], machine(300_000, 8e9), policy, timing)
    for column in ("ddr_s", "matrix_s", "vector_s", "compute_s", "layer_s"):
        assert slow.columns[column] == [8 * each for each in fast.columns[column]]
    assert slow.totals.total_s == 8 * fast.totals.total_s
    assert slow.columns["ddr_bytes"] == fast.columns["ddr_bytes"]


@pytest.mark.thorough
@policies
@networks
def test_a_single_run_equals_the_array(policy, network):
    """Bit for bit, over random machines and the bundled ones, with one timing after the other."""
    timing = TIMINGS[(list(NETWORKS).index(network) + QUICK.index(policy)) % len(TIMINGS)].name
    random = np.random.default_rng(7)
    names = ("sram_bytes", "ddr_bytes_per_s", "matrix_flops", "vector_flops")
    bundled = [each.numbers for each in MACHINES.values()]
    columns = [np.array(column) for column in zip(*bundled, strict=True)]
    low = (10_000, 1e8, 1e10, 1e9)
    many = {
        name: np.concatenate([column, random.uniform(least, 1000 * least, 20).astype(column.dtype)])
        for name, column, least in zip(names, columns, low, strict=True)
    }
    totals = simulate_array(NETWORKS[network], Machine("many", **many), policy, timing)
    for index in range(len(many["sram_bytes"])):
        one = {name: many[name][index].item() for name in names}
        single = simulate(NETWORKS[network], Machine("one", **one), policy, timing).totals
        for name in ("ddr_s", "matrix_s", "vector_s", "compute_s", "total_s"):
            assert getattr(totals, name)[index] == getattr(single, name)
        assert totals.ddr_bytes[index] == single.ddr_bytes
        assert totals.peak_sram_bytes[index] == single.peak_sram_bytes


def test_an_array_may_vary_one_number_only():
    network = NETWORKS["mobilenet"]
    rates = np.array([1e9, 2e9, 4e9])
    totals = simulate_array(network, Machine("rates", 10**6, rates, 1e12, 1e10))
    assert totals.total_s.shape == totals.ddr_bytes.shape == totals.matrix_s.shape == (3,)
    for index, rate in enumerate(rates):
        single = simulate(network, Machine("one", 10**6, float(rate), 1e12, 1e10)).totals
        assert totals.total_s[index] == single.total_s


@st.composite
def random_networks(draw):
    """Small networks with branches: every layer reads one or two of the feature maps before it."""
    channels = draw(st.integers(1, 4))
    names = ["input"]
    nodes = []
    for index in range(draw(st.integers(1, 8))):
        name = f"n{index}"
        kind = draw(st.sampled_from(["conv", "relu", "add", "double", "norm", "pool"]))
        first, second = draw(st.sampled_from(names)), draw(st.sampled_from(names))
        operator, inputs = {
            "conv": (Conv(channels, 3), (first,)),
            "relu": (Relu(), (first,)),
            "add": (Add(), (first, second)),
            "double": (Conv(channels, 1, bias=False), (first,)),
            "norm": (BatchNorm(), (names[-1],)),
            "pool": (MaxPool(3, 1), (first,)),
        }[kind]
        nodes.append(Node(name, operator, inputs, (name,)))
        names.append(name)
    if draw(st.booleans()):
        nodes.append(Node("all", Concat(), (names[-1], names[0]), ("all",)))
    if draw(st.booleans()):
        nodes.append(Node("view", Flatten(), (draw(st.sampled_from(names)),), ("view",)))
    size = draw(st.integers(1, 6))
    return build_network(
        "random",
        [Tensor("input", (draw(st.integers(1, 3)), channels, size, size), 8)],
        nodes,
        feature_map_bits=draw(st.sampled_from([1, 8, 16])),
        weight_bits=draw(st.sampled_from([1, 4, 8])),
    )


@settings(max_examples=150, deadline=None)
@given(random_networks(), st.sampled_from(MONOTONE))
def test_random_networks_keep_the_contract(network, policy):
    program = lower(network)
    ample = 9 * sum(tensor.bytes for tensor in program.tensors) + 1000  # tiles hold 32-bit sums
    sizes = np.unique(np.geomspace(_least_size(network, policy), ample, 80).astype(np.int64))
    traffic = simulate_array(network, machine(sizes), policy)
    assert (np.diff(traffic.ddr_bytes) <= 0).all()
    assert (traffic.peak_sram_bytes <= sizes).all()
    assert (traffic.ddr_bytes >= compulsory_bytes(program)).all()
    if policy != "streaming":  # which keeps no map, however much memory there is
        assert traffic.ddr_bytes[-1] == compulsory_bytes(program)


def _least_size(network, policy) -> int:
    """The least memory that holds the smallest tiles of every layer."""
    for size in range(1, 1000):
        try:
            simulate(network, machine(size), policy)
        except MemoryTooSmallError:
            continue
        return size
    raise AssertionError("no memory is enough")


@settings(max_examples=60, deadline=None)
@given(random_networks(), st.integers(1, 2000))
def test_random_networks_accumulate_as_the_rule_says(network, size):
    """Without an overflow: everything stays, weights move twice, inputs come in."""
    program = lower(network)
    columns = simulate(network, machine(10**9), placement="accumulate").columns
    used = 0
    seen: set[int] = set()
    for position, layer in enumerate(program.layers):
        touched = {*layer.reads, *layer.writes, *layer.weights} - seen
        used += sum(program.tensors[index].bytes for index in touched)
        seen |= touched
        inputs = [index for index in touched if program.tensors[index].kind is Kind.INPUT]
        weights = sum(program.tensors[index].bytes for index in layer.weights)
        assert columns["sram_used_bytes"][position] == used
        assert columns["ddr_bytes"][position] == 2 * weights + sum(
            program.tensors[index].bytes for index in inputs
        )
    assert simulate(network, machine(size), placement="accumulate").totals.ddr_bytes > 0


CHAIN = """\
layer,op,input_elements,output_elements,weights,macs
1,conv,100000,60000,10000,1000
2,conv,60000,80000,20000,2000
3,conv,80000,20000,30000,3000
"""


@pytest.fixture
def chain(write):
    return load_network(write("chain.csv", CHAIN))


def test_liveness_thresholds_by_hand(chain):
    """docs/model.md. Needed: 160,064, 140,064, 100,064 with everything internal, the weights passing in pieces of
    64 bytes. The input leaves at 160,064, the second map at 140,064; then the first layer needs 60,128 and the third
    20,128."""
    assert thresholds_by_name(chain) == {
        "input": 160_064,
        "conv_1": 60_128,
        "conv_2": 140_064,
        "conv_3": 20_128,
    }


# SRAM -> per layer (bytes in use, read, written), worked by hand in docs/model.md
BY_HAND = {
    1_000_000: [(170_000, 110_000, 0), (160_000, 20_000, 0), (130_000, 30_000, 20_000)],
    160_064: [(160_064, 110_000, 0), (160_000, 20_000, 0), (130_000, 30_000, 20_000)],
    150_000: [(70_064, 110_000, 0), (140_064, 20_000, 0), (130_000, 30_000, 20_000)],
    140_064: [(70_064, 110_000, 0), (140_064, 20_000, 0), (130_000, 30_000, 20_000)],
    100_000: [(70_064, 110_000, 0), (80_064, 20_000, 80_000), (50_064, 110_000, 20_000)],
    50_000: [(10_128, 110_000, 60_000), (20_128, 80_000, 80_000), (20_128, 110_000, 20_000)],
    10_000: [(192, 110_000, 60_000), (192, 80_000, 80_000), (192, 110_000, 20_000)],
}


@pytest.mark.parametrize("size", BY_HAND)
def test_liveness_by_hand(size, chain):
    columns = simulate(chain, machine(size), placement="liveness").columns
    names = ("sram_used_bytes", "ddr_read_bytes", "ddr_write_bytes")
    assert list(zip(*(columns[name] for name in names), strict=True)) == BY_HAND[size]


def test_liveness_locations_by_hand(chain):
    columns = simulate(chain, machine(100_000), placement="liveness").columns
    assert columns["input_location"] == ["external", "internal", "external"]
    assert columns["output_location"] == ["internal", "external", "internal"]
    assert columns["weight_location"] == ["internal", "internal", "internal"]


def test_a_spilled_map_comes_back_for_each_reader(load):
    """Two readers: one write, two reads; the input, read once, costs one read wherever it lies."""
    network = load(
        "input: [1, 10, 10]\nlayers:\n"
        "  - conv: {name: a, channels: 1, kernel: 1, bias: false}\n"
        "  - conv: {name: b, channels: 1, kernel: 1, bias: false}\n"
        "  - add: {inputs: [a, b]}\n"
    )
    totals = simulate(network, machine(50), placement="liveness").totals
    assert totals.ddr_read_bytes == 100 + 1 + (100 + 1) + (100 + 100)
    assert totals.ddr_write_bytes == 100 + 100 + 100


def test_accumulate_by_hand(chain):
    """150 kB: 170 in use at layer 1 overflows; afresh 60 + 80 + 20 overflows; afresh 130 does not."""
    columns = simulate(chain, machine(150_000), placement="accumulate").columns
    assert columns["sram_used_bytes"] == [170_000, 160_000, 130_000]
    assert columns["ddr_bytes"] == [280_000, 180_000, 60_000]


def test_accumulate_reads_again_what_an_overflow_sent_away(load):
    """A skip over an overflow: `a` leaves with everything at layer 2, layer 3 need not read b, layer 4 reads a."""
    network = load(
        "input: [1, 10, 10]\nlayers:\n"
        "  - conv: {name: a, channels: 1, kernel: 1, bias: false}\n"
        "  - conv: {name: b, channels: 1, kernel: 1, bias: false}\n"
        "  - conv: {name: c, channels: 1, kernel: 1, bias: false}\n"
        "  - add: {inputs: [a, c]}\n"
    )
    columns = simulate(network, machine(301), placement="accumulate").columns
    # input + a + weight = 201; + b + weight = 302: overflow; afresh b + c + weight = 201; + a + output = 401
    assert columns["sram_used_bytes"] == [201, 302, 201, 401]
    assert columns["ddr_read_bytes"] == [100 + 1, 1, 1, 100]
    assert columns["ddr_write_bytes"] == [1, 302, 1, 401]


def test_views_move_nothing(load):
    """flatten between two layers: the same bytes, no movement, and the map lives on to its reader."""
    plain = "input: [2, 4, 4]\nlayers:\n  - conv: {channels: 4, kernel: 3}\n"
    head = "  - fully_connected: {units: 5}\n"
    with_view, without = load(plain + "  - flatten: {}\n" + head), load(plain + head)
    for policy in POLICIES:
        for size in (60, 90, 1000):
            viewed = simulate(with_view, machine(size), placement=policy)
            direct = simulate(without, machine(size), placement=policy)
            assert viewed.totals.ddr_bytes == direct.totals.ddr_bytes
            assert viewed.totals.total_s == direct.totals.total_s
            row = viewed.table.iloc[1]
            assert (row["op"], row["ddr_bytes"], row["layer_s"]) == ("flatten", 0, 0)
            assert row["input_location"] == viewed.table.iloc[0]["output_location"]


def test_every_policy_explains_every_layer(load):
    network = load(TINY)
    for policy in PLACEMENTS:
        result = simulate(network, machine(20_000), placement=policy.name)
        for position in range(len(result.program.layers)):
            assert policy.explain(result.program, result.placement, position)


def thresholds_by_name(network) -> dict[str, int]:
    program = lower(network)
    thresholds, of = thresholds_of(program).buffers, buffers_of(program).of
    return {
        tensor.name: int(thresholds[of[index]])
        for index, tensor in enumerate(program.tensors)
        if of[index] >= 0
    }


BRANCH = """\
input: [1, 10, 10]
layers:
  - conv: {name: a, channels: 1, kernel: 1, bias: false}
  - conv: {name: b, channels: 2, kernel: 1, bias: false}
  - conv: {name: c, channels: 1, kernel: 1, bias: false}
  - add: {name: d, inputs: [a, c]}
"""


def test_who_leaves_has_the_furthest_next_use_by_hand(load):
    """The sum is written over `a`, so these share a buffer. Needed, with the weights that pass: 201, 301, 402, 200.

    At c: a and c are next used at d, c crosses less often: c at 402. Then c needs 300 and tiles of 3 (its weights and a
    place of its output): a, next used at d, leaves at 303; b (200 and 3) at 203; the input (100 and 2) at 102.
    """
    assert thresholds_by_name(load(BRANCH)) == {
        "input": 102,
        "a": 303,
        "b": 203,
        "c": 402,
        "d": 303,
    }


def test_of_equals_the_larger_leaves_by_hand(load):
    """Needed: 201, 401, 600. The output leaves at 600 for nothing; at y, x (100) and y (200) are next used together, so
    y leaves at 401. Then z needs x and two pieces of 64: x at 228; y the input, its weights and two places: 104."""
    network = load(
        "input: [1, 10, 10]\nlayers:\n"
        "  - conv: {name: x, channels: 1, kernel: 1, bias: false}\n"
        "  - conv: {name: y, inputs: [input], channels: 2, kernel: 1, bias: false}\n"
        "  - concat: {name: z, inputs: [x, y]}\n"
    )
    assert thresholds_by_name(network) == {"input": 104, "x": 228, "y": 401, "z": 600}


def test_outputs_nobody_reads_leave_first_by_hand(load):
    """Needed 201 everywhere: the input, then o, then p cost nothing; a stays while it and two bytes of tiles fit."""
    network = load(
        "input: [1, 10, 10]\nlayers:\n"
        "  - conv: {name: a, channels: 1, kernel: 1, bias: false}\n"
        "  - conv: {name: o, channels: 1, kernel: 1, bias: false}\n"
        "  - conv: {name: p, inputs: [a], channels: 1, kernel: 1, bias: false}\n"
    )
    assert thresholds_by_name(network) == {"input": 201, "a": 102, "o": 201, "p": 201}


def test_a_network_that_ends_in_a_view_writes_its_output(load):
    network = load("input: [1, 10, 10]\nlayers:\n  - relu: {}\n  - flatten: {}\n")
    for size in (2, 10_000):
        totals = simulate(network, machine(size), placement="liveness").totals
        assert (totals.ddr_read_bytes, totals.ddr_write_bytes) == (100, 100)


def test_a_view_of_the_input_lies_where_the_input_does(load):
    network = load("input: [1, 10, 10]\nlayers:\n  - flatten: {}\n")
    table = simulate(network, machine(1000), placement="liveness").table
    assert table["input_location"].tolist() == table["output_location"].tolist() == ["external"]
    assert table["sram_used_bytes"].tolist() == [0]


def test_one_tensor_read_twice_is_read_once(load):
    network = load("input: [1, 10, 10]\nlayers:\n  - add: {inputs: [input, input]}\n")
    for policy in QUICK:
        columns = simulate(network, machine(1000), placement=policy).columns
        assert columns["input_bytes"] == [100]
        held = 200 if policy != "streaming" else 2 * 64  # or a run of 64 bytes of each, as a tile
        assert columns["sram_used_bytes"] == [held]
        assert columns["ddr_read_bytes"] == [100]


def test_accumulate_does_not_overflow_when_memory_is_just_enough(chain):
    for size, moved in ((170_000, 120_000), (169_999, 280_000)):
        columns = simulate(chain, machine(size), placement="accumulate").columns
        assert columns["ddr_bytes"][0] == moved


def test_accumulate_reads_an_input_that_is_first_used_after_an_overflow():
    """Two inputs: x overflows at the first layer, and y has to come in at the second all the same."""
    nodes = [Node("a", Relu(), ("x",), ("a",)), Node("b", Relu(), ("y",), ("b",))]
    network = build_network(
        "two inputs",
        [Tensor("x", (1, 100), 8), Tensor("y", (1, 60), 8)],
        nodes,
        feature_map_bits=8,
        weight_bits=8,
    )
    columns = simulate(network, machine(150), placement="accumulate").columns
    assert columns["sram_used_bytes"] == [200, 120]
    assert columns["ddr_read_bytes"] == [100, 60]
    assert columns["ddr_write_bytes"] == [200, 0]


def test_an_input_that_nobody_reads_takes_nothing():
    network = build_network(
        "spare input",
        [Tensor("x", (1, 100), 8), Tensor("spare", (1, 10**6), 8)],
        [Node("a", Relu(), ("x",), ("a",))],
        feature_map_bits=8,
        weight_bits=8,
    )
    for policy in QUICK:
        totals = simulate(network, machine(1000), placement=policy).totals
        assert totals.peak_sram_bytes == (200 if policy != "streaming" else 2 * 64)
        assert totals.ddr_read_bytes == 100


def test_an_output_that_is_read_too_is_written_and_not_fused_away():
    """conv -> relu, with the convolution's own output asked for as well."""
    network = build_network(
        "two outputs",
        [Tensor("x", (1, 1, 10, 10), 8)],
        [Node("c", Conv(1, 1, bias=False), ("x",), ("c",)), Node("r", Relu(), ("c",), ("r",))],
        feature_map_bits=8,
        weight_bits=8,
        outputs=["c"],
    )
    assert [layer.op for layer in lower(network).layers] == ["conv", "relu"]
    totals = simulate(network, machine(1000), placement="liveness").totals
    assert totals.ddr_write_bytes == 200
    assert (
        simulate(network, machine(3), placement="liveness").totals.ddr_read_bytes == 100 + 1 + 100
    )


def test_what_bounds_a_network():
    fast_memory = Machine("m", 10**8, 1e15, 1e12, 1e10)
    assert simulate(NETWORKS["resnet50"], fast_memory).totals.bound == "matrix"
    slow_memory = Machine("m", 10**8, 1e6, 1e12, 1e10)
    assert simulate(NETWORKS["resnet50"], slow_memory).totals.bound == "ddr"
    slow_vector = Machine("m", 10**8, 1e15, 1e15, 1e3)
    assert simulate(NETWORKS["resnet50"], slow_vector).totals.bound == "vector"
