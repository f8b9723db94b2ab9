"""`pipelined` against a simulation that runs every strip through its stages; many machines at once against one each."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perfsim import Machine, catalog, load_hardware, load_network, simulate, simulate_array
from perfsim.hardware.machine import numbers_in, with_numbers
from perfsim.hardware.parts import (
    DepthwiseUnit,
    Energy,
    Extras,
    Grid,
    RowStationary,
    Stream,
    Systolic,
    WeightMemory,
    Winograd,
)
from perfsim.placement.prefetch import prefetch_bytes
from perfsim.program import Kind
from perfsim.timing.kernel import TIMINGS

PARTS = {
    "stream": {"stream": Stream(2e9)},
    "stream beside": {"stream": Stream(None, 2e9, 1e9, hidden=False)},
    "weights": {"weight_memory": WeightMemory(5e8)},
    "hidden weights": {"weight_memory": WeightMemory(5e8, hidden=True)},
    "costs": {"layer_cost_s": 1e-5, "inference_cost_s": 1e-4},
    "ddr": {"ddr_efficiency": 0.7, "ddr_latency_s": 1e-6, "ddr_burst_bytes": 64.0},
    "compression": {"feature_map_ratio": 0.6, "weight_ratio": {"conv": 0.5, "dense": 1.5}},
    "rates": {"efficiency": {"conv": 0.5, "dense": 0.2}, "matrix_speed": {8: 1.0, 16: 0.5}},
    "grid": {
        "array": Grid(8, 16, 16, "kernel_row", DepthwiseUnit(4, 16), Winograd(3, 1, 2.25, 16 / 9))
    },
    "strided grid": {"array": Grid(4, 32, 16, "stride")},
    "kernel grid": {"array": Grid(4, 32, 16, "kernel")},
    "sums": {"array": Systolic(32, 16, "output_stationary")},
    "weights stay": {"array": Systolic(32, 16, "weight_stationary", preload=True)},
    "inputs stay": {"array": Systolic(32, 16, "input_stationary")},
    "rows stay": {"array": RowStationary(12, 14, 12, 224, 102_400, 1.6e9)},
    "energy": {"energy": Energy({8: 1e-12, 16: 4e-12}, 2e-12, 3e-12, 1e-10, None, 0.5)},
}
PARTS["everything"] = {
    **PARTS["stream"],
    **PARTS["weights"],
    **PARTS["costs"],
    **PARTS["ddr"],
    **PARTS["compression"],
    **PARTS["rates"],
    **PARTS["grid"],
    "energy": Energy({8: 1e-12, 16: 4e-12}, 2e-12, 3e-12, 1e-10, 5e-11, 0.5),
}
PLAIN = Machine("m", 300_000, 1e9, 1e12, 1e10)


def machine_with(parts, machine=PLAIN):
    return replace(machine, extras=Extras(**PARTS[parts]))


# --- the slots -------------------------------------------------------------------------------------------------------


def strips_run(count, stages):
    """(time, DMA time that is idle) of strips that pass read, multiply, vector and write; a slot for all to move on."""
    waiting, under_way = list(range(count)), {}
    total = idle = 0.0
    while waiting or under_way:
        under_way = {strip: stage + 1 for strip, stage in under_way.items() if stage < 3}
        if waiting and (count >= 3 or not under_way):
            under_way[waiting.pop(0)] = 0
        busy = {"dma": 0.0, "matrix": 0.0, "vector": 0.0}
        for stage in under_way.values():
            busy[("dma", "matrix", "vector", "dma")[stage]] += stages[stage] / count
        slot = max(busy.values())
        total += slot
        idle += slot - busy["dma"]
    return total, idle


def simulated(program, placement, machine):
    """The time of each layer: bytes from the plan's moves, strips from the shapes."""
    byte_s, early_room = 1 / machine.ddr_bytes_per_s, prefetch_bytes(program, placement)
    moves, found, idle = placement.moves, [], 0.0
    for position, layer in enumerate(program.layers):
        if layer.is_view:
            found.append(0.0)
            continue
        read = {True: 0, False: 0}
        written = 0
        for tensor, at, inward, outward in zip(
            *(
                each.tolist()
                for each in (moves.tensor, moves.layer, moves.read_bytes, moves.write_bytes)
            ),
            strict=True,
        ):
            if at == position:
                read[program.tensors[tensor].kind is Kind.WEIGHT] += inward
                written += outward
        macs, ops = (
            sum(product.value for product in count) for count in (layer.macs, layer.vector_ops)
        )
        shape = layer.output_shapes[0]
        rows = shape[2] if len(shape) == 4 else 1
        by_channel = False
        if rows < 3 and macs:  # places, or of a matrix with one row its channels
            places = (
                int(np.prod(shape[2:])) * shape[0] if len(shape) == 4 else int(np.prod(shape[:-1]))
            )
            by_channel = places < 3
            rows = shape[1] if by_channel else places
        early = min(int(early_room[position]), read[True])
        late = 0 if by_channel else read[True] - early
        strip_bytes = read[False] + (read[True] - early if by_channel else 0)
        stages = (
            strip_bytes * byte_s,
            2 * macs / machine.matrix_flops,
            ops / machine.vector_flops,
            written * byte_s,
        )
        waits = max(0.0, early * byte_s - idle)
        time, idle = strips_run(rows, stages)
        found.append(waits + late * byte_s + time)
    return found


LAYERS = st.lists(
    st.one_of(
        st.tuples(st.just("conv"), st.integers(1, 9), st.sampled_from([1, 3]), st.integers(1, 2)),
        st.tuples(st.just("depthwise_conv"), st.sampled_from([3]), st.integers(1, 2)),
        st.tuples(st.just("sigmoid")),
        st.tuples(st.just("fully_connected"), st.integers(1, 40)),
    ),
    min_size=1,
    max_size=6,
)


def text_of(size, layers):
    lines = [f"input: [{size[0]}, {size[1]}, {size[2]}]", "layers:"]
    flat = False
    for kind, *numbers in layers:
        if kind == "conv" and not flat:
            lines.append("  - conv: {{channels: {}, kernel: {}, stride: {}}}".format(*numbers))
        elif kind == "depthwise_conv" and not flat:
            lines.append("  - depthwise_conv: {{kernel: {}, stride: {}}}".format(*numbers))
        elif kind == "fully_connected":
            lines += [] if flat else ["  - flatten: {}"]
            flat = True
            lines.append("  - fully_connected: {{units: {}}}".format(*numbers))
        else:
            lines.append("  - sigmoid: {}")
    return "\n".join(lines) + "\n"


@settings(max_examples=80, deadline=None)
@given(
    st.tuples(st.integers(1, 5), st.integers(1, 9), st.integers(1, 9)),
    LAYERS,
    st.sampled_from([1_500, 3_000, 10_000, 10**6]),
    st.tuples(st.floats(6, 9), st.floats(7, 12), st.floats(6, 10)),
)
def test_every_layer_takes_as_long_as_its_strips(size, layers, sram, rates):
    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "net.yaml"
        path.write_text(text_of(size, layers))
        network = load_network(path)
    machine = Machine("m", sram, *(10.0**each for each in rates))
    result = simulate(network, machine, timing="pipelined")
    expected = simulated(result.program, result.placement, machine)
    assert result.columns["layer_s"] == pytest.approx(expected, rel=1e-12, abs=1e-30)


def test_by_hand(load):
    """Two convolutions of 4 rows on a chip that holds all: four strips each."""
    network = load(
        "input: [4, 4, 16]\nlayers:\n"
        "  - conv: {channels: 8, kernel: 1, bias: false}\n"
        "  - conv: {channels: 2, kernel: 1, bias: false}\n"
    )
    # first: 256 bytes in, 32 of weights, 2048 MACs; second: 16 of weights, 1024 MACs, 128 bytes out
    machine = Machine("m", 10**6, 1e9, 2 * 2048 / 1e-6, 1e10)
    result = simulate(network, machine, timing="pipelined")
    # first layer: 32 ns of weights; strips of 64 ns in, 250 ns of compute: 64 + 4 x 250 = 1064
    # second: 16 bytes came in meanwhile; 125 ns of compute each, 32 out. Each strip stands for a slot in the vector
    # unit, which has nothing to do, so the last two are written when all is multiplied: 4 x 125 + 2 x 32
    assert result.columns["layer_s"] == pytest.approx([1096e-9, 564e-9])
    slow = simulate(network, replace(machine, matrix_flops=1e30), timing="pipelined")
    # nothing to hide behind: 32 + 256 in; 16 of weights, 128 out
    assert slow.columns["layer_s"] == pytest.approx([288e-9, 144e-9])


@pytest.mark.parametrize(("stream_s", "expected"), [(1.0, 1.0), (0.5, 0.625)])
def test_a_layer_that_is_faster_as_a_whole_is_not_cut(stream_s, expected, load):
    """Four strips, half a second of multiplying and of vector work in all; a second of a stream, and half a second.

    Whole: max(0.5 + 0.5, 1) = 1. In strips 1.125: four slots of a quarter for the stream, an eighth for the last one.
    With half the stream there are five slots of an eighth: 0.625.
    """
    network = load(
        "input: [1, 4, 25]\nlayers:\n  - conv: {channels: 5, kernel: 1, activation: sigmoid}\n"
    )
    macs, ops, stream_bytes = 4 * 25 * 5, 4 * 500, 100 + 500
    machine = Machine(
        "m",
        10**6,
        1e24,
        2 * macs / 0.5,
        ops / 0.5,
        extras=Extras(stream=Stream(stream_bytes / stream_s)),
    )
    result = simulate(network, machine, timing="pipelined")
    assert result.columns["layer_s"] == pytest.approx([expected])


# --- over the zoo ----------------------------------------------------------------------------------------------------

NETWORKS = {
    name: load_network(path)
    for name, path in catalog.bundled_networks().items()
    if name not in ("nasnet_large", "mobilenet_printed")
}
MACHINES = {name: load_hardware(path) for name, path in catalog.bundled_machines().items()}
SOME = ("mobilenet_v1", "resnet18", "squeezenet1_1", "swin_t", "lenet5")


def check(network, machine, placement):
    runs = {each.name: simulate(network, machine, placement, each.name) for each in TIMINGS}
    totals = {name: run.totals for name, run in runs.items()}
    slack = 1 + 1e-9
    for one in totals.values():
        parts = [
            one.ddr_s,
            one.matrix_s,
            one.vector_s,
            one.weight_s or 0,
            one.stream_s or 0,
            one.overhead_s or 0,
        ]
        assert max(parts) <= one.total_s * slack
        assert one.total_s <= sum(parts) * slack
    assert totals["pipelined"].total_s <= totals["serial"].total_s * slack
    assert totals["overlap"].total_s <= totals["serial"].total_s * slack
    pipelined = runs["pipelined"]
    assert sum(pipelined.columns["layer_s"]) == pytest.approx(
        totals["pipelined"].total_s, rel=1e-12
    )
    for run in runs.values():
        columns = run.columns
        if "energy_j" in columns:
            causes = [
                columns[name] for name in columns if name.endswith("_j") and name != "energy_j"
            ]
            by_layer = [sum(each) for each in zip(*causes, strict=True)]
            assert columns["energy_j"] == pytest.approx(by_layer, rel=1e-12)
            assert sum(columns["energy_j"]) == pytest.approx(run.totals.energy_j, rel=1e-12)
        for position, layer in enumerate(run.program.layers):
            if layer.is_view:
                for name in ("layer_s", "compute_s", "ddr_s", "energy_j", "overhead_s", "stream_s"):
                    assert not columns.get(name, [0] * (position + 1))[position]


@pytest.mark.thorough
@pytest.mark.parametrize("machine", MACHINES)
def test_serial_is_the_slowest_and_no_resource_is_busy_for_longer_than_there_is_time(machine):
    names = NETWORKS if MACHINES[machine].extras.array or machine == "1MB_1GBs_1TF" else SOME
    for name in names:
        check(NETWORKS[name], MACHINES[machine], "liveness")
    for name in SOME:
        for placement in ("pinned", "accumulate"):
            check(NETWORKS[name], MACHINES[machine], placement)


@pytest.mark.parametrize("parts", PARTS)
def test_the_same_holds_with_every_part(parts):
    for name in SOME:
        for placement in ("liveness", "pinned"):
            check(NETWORKS[name], machine_with(parts), placement)


# Larger is not faster: a systolic array that is larger takes longer to fill, rows kept go with the size of the set,
# a longer burst moves more; the kernel and the stride say which layers Winograd is for.
LARGER_IS_FASTER = (
    *("array.pixels", "array.input_channels", "array.output_channels"),
    *("array.depthwise.pixels", "array.depthwise.channels", "array.winograd.gain"),
    *("array.partial_sum_bytes_per_s", "efficiency.conv", "efficiency.dense"),
    *("matrix_speed.8", "matrix_speed.16", "ddr_efficiency"),
    *("stream.bytes_per_s", "stream.read_bytes_per_s", "stream.write_bytes_per_s"),
    "weight_memory.bytes_per_s",
)
SMALLER_IS_FASTER = (
    *("ddr_latency_s", "layer_cost_s", "inference_cost_s", "feature_map_ratio"),
    *("weight_ratio.conv", "weight_ratio.dense"),
)


@pytest.mark.parametrize("parts", [None, *PARTS])
def test_a_faster_part_never_makes_a_network_slower(parts):
    machine = PLAIN if parts is None else machine_with(parts)
    changes = [
        lambda each, name=name: replace(each, **{name: getattr(each, name) * 2})
        for name in ("ddr_bytes_per_s", "matrix_flops", "vector_flops")
    ]
    present = numbers_in(machine.extras)
    for path in (*LARGER_IS_FASTER, *SMALLER_IS_FASTER):
        if path in present and not (
            path.startswith("array.") and parts in ("sums", "weights stay")
        ):
            factor = 2 if path in LARGER_IS_FASTER else 0.5
            # the peak stays: an array with more lanes at the same rate has fewer, longer cycles
            rate = (
                factor
                if path in ("array.pixels", "array.input_channels", "array.output_channels")
                else 1
            )

            def change(each, path=path, factor=factor, rate=rate):
                numbers = {path: present[path] * factor}
                return replace(
                    each,
                    extras=with_numbers(each.extras, numbers),
                    matrix_flops=each.matrix_flops * rate,
                )

            changes.append(change)
    for name in SOME:
        for timing in TIMINGS:
            slow = simulate(NETWORKS[name], machine, timing=timing.name).totals.total_s
            for change in changes:
                fast = simulate(NETWORKS[name], change(machine), timing=timing.name).totals.total_s
                assert fast <= slow * (1 + 1e-12), (name, timing.name)


# --- many machines at once -------------------------------------------------------------------------------------------

WHOLE = {
    "rows",
    "columns",
    "pixels",
    "channels",
    "kernel",
    "stride",
    "input_channels",
    "output_channels",
}


@pytest.mark.parametrize("timing", [each.name for each in TIMINGS])
@pytest.mark.parametrize("parts", PARTS)
def test_an_array_of_machines_gives_the_bits_of_one_run_each(parts, timing):
    random = np.random.default_rng(7)
    count = 4
    extras = Extras(**PARTS[parts])
    varied = {}
    for path, number in numbers_in(extras).items():
        last = path.rpartition(".")[2]
        if last in ("kernel", "stride"):
            continue
        values = number * random.uniform(0.5, 2, count)
        if last in WHOLE or path.startswith("array.input_words"):
            values = np.maximum(1, np.round(values))
        varied[path] = np.minimum(values, 1) if path == "ddr_efficiency" else values
    own = {
        "sram_bytes": random.integers(200_000, 3_000_000, count),
        "ddr_bytes_per_s": random.uniform(1e8, 1e10, count),
        "matrix_flops": random.uniform(1e10, 1e13, count),
        "vector_flops": random.uniform(1e9, 1e11, count),
    }
    many = Machine("many", **own, extras=with_numbers(extras, varied))
    for name in ("mobilenet_v1", "squeezenet1_1"):
        for placement in ("liveness", "pinned"):
            together = simulate_array(NETWORKS[name], many, placement, timing)
            for index in range(count):
                numbers = {path: values[index].item() for path, values in varied.items()}
                one = Machine(
                    "one",
                    **{key: values[index].item() for key, values in own.items()},
                    extras=with_numbers(extras, numbers),
                )
                alone = simulate(NETWORKS[name], one, placement, timing).totals
                for key in (
                    "ddr_bytes",
                    "ddr_s",
                    "matrix_s",
                    "vector_s",
                    "compute_s",
                    "total_s",
                    "peak_sram_bytes",
                ):
                    assert getattr(together, key)[index].item() == getattr(alone, key), (key, name)


@pytest.mark.parametrize("sram", [600, 1024, 2048])
def test_what_comes_in_early_has_room_from_the_layer_on_whose_way_out_others_run(sram):
    """It comes in while the matrix unit's layer runs, so it lies beside that one and all that are applied after it."""
    machine = load_hardware("nvdla_2048_sram", sram=f"{sram} KiB", timing="pipelined")
    result = simulate(load_network("resnet50"), machine)
    early = result.times.steps["early_bytes"].tolist()
    used = result.placement.sram_used_bytes.tolist()
    names, layer_s = result.columns["name"], result.columns["layer_s"]
    runs = [position for position in range(len(names)) if layer_s[position] > 0]
    assert sum(early)
    assert len(runs) < len(names)
    for before, position in itertools.pairwise(runs):
        assert early[position] + max(used[before:position]) <= sram * 1024, names[position]
