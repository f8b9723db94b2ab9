"""What each optional part of a machine does to time, movement and energy: by hand, on two small layers."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from conftest import MACHINE

from perfsim import load_hardware, simulate
from perfsim.errors import InvalidValueError
from perfsim.hardware.parts import Energy, Extras, Stream, WeightMemory

# Feature maps 3 x 8 x 8 = 192, 16 x 8 x 8 = 1024 and 10 bytes; weights 16 x 27 + 16 = 448 and 10,240 + 10 bytes.
NETWORK = """\
input: [3, 8, 8]
layers:
  - conv: {name: a, channels: 16, kernel: 3, activation: sigmoid}
  - flatten: {name: view}
  - fully_connected: {name: b, units: 10}
"""
MACS_A, MACS_B = 192 * 9 * 16, 10_240
READ_A, READ_B = 192 + 448, 10_250  # all lies on the chip: what is compulsory moves
WRITE_B = 10
OPS_A = 4 * 1024  # a sigmoid: four operations an element (docs/operators.md)


@pytest.fixture
def run(load, write):
    """The columns of a run on a machine of 1 GB/s, 1 TFLOPS and 10 GFLOPS with these parts."""
    network = load(NETWORK)
    machine = load_hardware(write("m.yaml", MACHINE))

    def simulated(timing="serial", placement="liveness", network=network, **extras):
        return simulate(network, replace(machine, extras=Extras(**extras)), placement, timing)

    return simulated


def test_without_parts(run):
    columns = run().columns
    assert columns["ddr_bytes"] == [READ_A, 0, READ_B + WRITE_B]
    assert columns["matrix_s"] == pytest.approx([2 * MACS_A / 1e12, 0, 2 * MACS_B / 1e12])
    assert columns["vector_s"] == pytest.approx([OPS_A / 1e10, 0, 0])


def test_external_memory(run):
    assert run(ddr_efficiency=0.5).columns["ddr_s"] == pytest.approx([1280e-9, 0, 20_520e-9])
    # a reads its input and its weights, b reads its weights and writes its output; a view moves nothing
    assert run(ddr_latency_s=1e-6).columns["ddr_s"] == pytest.approx([2640e-9, 0, 12_260e-9])
    assert run(ddr_burst_bytes=512).columns["ddr_s"] == pytest.approx([1024e-9, 0, 10_752e-9])
    together = run(ddr_efficiency=0.5, ddr_latency_s=1e-6, ddr_burst_bytes=512).columns
    assert together["ddr_s"] == pytest.approx([4048e-9, 0, 23_504e-9])


def test_latency_counts_the_transfers_that_are_over_this_bus(run):
    """Weights of a memory of their own are none of them, nor are those that an inference before has left."""
    own = run(ddr_latency_s=1e-6, weight_memory=WeightMemory(1e9)).columns
    assert own["ddr_s"] == pytest.approx([192e-9 + 1e-6, 0, 10e-9 + 1e-6])
    pinned = run(placement="pinned", ddr_latency_s=1e-6).totals
    assert pinned.ddr_s == pytest.approx(4e-6 + (READ_A + READ_B + WRITE_B) * 1e-9)
    steady = 2e-6 + (192 + 10) * 1e-9
    assert pinned.steady_s == pytest.approx(steady + 2 * (MACS_A + MACS_B) / 1e12 + OPS_A / 1e10)


def test_efficiency_is_of_the_matrix_unit_by_class(run):
    columns = run(efficiency={"conv": 0.5, "recurrent": 0.1}).columns
    assert columns["matrix_s"] == pytest.approx([4 * MACS_A / 1e12, 0, 2 * MACS_B / 1e12])
    assert columns["vector_s"] == pytest.approx([OPS_A / 1e10, 0, 0])
    dense = run(efficiency={"dense": 0.25}).columns["matrix_s"]
    assert dense == pytest.approx([2 * MACS_A / 1e12, 0, 8 * MACS_B / 1e12])


@pytest.mark.parametrize(
    ("given", "network", "share"),
    [
        ({"conv": 0.5}, "conv: {channels: 4, kernel: 1}", 0.5),
        ({"conv": 0.5, "pointwise": 0.25}, "conv: {channels: 4, kernel: 1}", 0.25),
        ({"conv": 0.5}, "depthwise_conv: {kernel: 3}", 1),
        ({"pointwise": 0.5}, "conv: {channels: 4, kernel: 3}", 1),
        ({"dense": 0.5}, "matmul: {inputs: [input, input]}", 1),
        ({"matmul": 0.5}, "matmul: {inputs: [input, input]}", 0.5),
    ],
)
def test_classes_that_stand_in_for_others(given, network, share, load, run):
    made = load(f"input: [3, 8, 8]\nlayers:\n  - {network}\n")
    plain = run(network=made).columns["matrix_s"][0]
    assert run(network=made, efficiency=given).columns["matrix_s"][0] == pytest.approx(
        plain / share
    )


def test_recurrent_layers_take_the_dense_ones_share(load, run):
    made = load("input: [5, 8]\nlayers:\n  - lstm: {units: 4}\n")
    plain = run(network=made).columns["matrix_s"][0]
    for given, share in (({"dense": 0.5}, 0.5), ({"dense": 0.5, "recurrent": 0.2}, 0.2)):
        found = run(network=made, efficiency=given).columns["matrix_s"][0]
        assert found == pytest.approx(plain / share)


def test_a_layer_runs_at_the_rate_of_the_smallest_width_that_holds_its_operands(load, run):
    speeds = {8: 1.0, 16: 0.25, 4: 2.0}
    for bits, speed in (
        ((8, 8), 1),
        ((8, 4), 1),
        ((4, 4), 2),
        ((16, 8), 0.25),
        ((2, 3), 2),
        ((9, 1), 0.25),
    ):
        made = load(NETWORK + f"precision: {{feature_map: {bits[0]}, weight: {bits[1]}}}\n")
        columns = run(network=made, matrix_speed=speeds).columns
        expected = [2 * MACS_A / 1e12 / speed, 0, 2 * MACS_B / 1e12 / speed]
        assert columns["matrix_s"] == pytest.approx(expected)
    made = load(NETWORK + "precision: {feature_map: 8, weight: 32}\n")
    with pytest.raises(
        InvalidValueError, match="layer 1; found operands of 32 bits, expected at most 16"
    ):
        run(network=made, matrix_speed=speeds)


def test_a_stream(run):
    """Layer a: 192 + 1024 bytes; b: 1024 + 10. At 1 GB/s a takes longer than its units (0.46 us)."""
    hidden = run(stream=Stream(1e9))
    assert hidden.columns["stream_s"] == pytest.approx([1216e-9, 0, 1034e-9])
    assert hidden.columns["compute_s"] == pytest.approx([1216e-9, 0, 1034e-9])
    assert hidden.totals.stream_s == pytest.approx(2250e-9)
    units = [2 * MACS_A / 1e12 + OPS_A / 1e10, 0, 2 * MACS_B / 1e12]
    beside = run(stream=Stream(1e9, hidden=False)).columns
    expected = [sum(each) for each in zip(units, (1216e-9, 0, 1034e-9), strict=True)]
    assert beside["compute_s"] == pytest.approx(expected)
    assert run(stream=Stream(1e15)).columns["compute_s"] == pytest.approx(units)
    apart = Stream(None, read_bytes_per_s=1e9, write_bytes_per_s=1e8)
    assert run(stream=apart).columns["stream_s"] == pytest.approx([10_240e-9, 0, 1024e-9])
    only = Stream(None, write_bytes_per_s=1e8)
    assert run(stream=only).columns["stream_s"] == pytest.approx([10_240e-9, 0, 100e-9])


@pytest.mark.parametrize("hidden", [False, True])
def test_a_memory_for_weights(hidden, run):
    memory = WeightMemory(1e8, hidden=hidden)
    compute = [2 * MACS_A / 1e12 + OPS_A / 1e10, 0, 2 * MACS_B / 1e12]
    weights, ddr = [4480e-9, 0, 102_500e-9], [192e-9, 0, 10e-9]
    for timing, beside, within in (
        ("serial", lambda d, c, w: d + c + w, lambda d, c, w: d + max(c, w)),
        ("overlap", lambda d, c, w: max(d, c) + w, max),
    ):
        columns = run(timing, weight_memory=memory).columns
        assert columns["ddr_read_bytes"] == [192, 0, 0]
        assert columns["ddr_bytes"] == [192, 0, 10]
        assert columns["weight_memory_bytes"] == [448, 0, 10_250]
        assert columns["weight_s"] == pytest.approx(weights)
        of = within if hidden else beside
        expected = [of(*each) for each in zip(ddr, compute, weights, strict=True)]
        assert columns["layer_s"] == pytest.approx(expected)
        assert columns["bound"][2] == "weights"


def test_a_cache_for_weights_shrinks_with_the_feature_maps(load, write):
    """What the memory of weights is read for, inference after inference: what found no room."""
    network = load(NETWORK)
    machine = load_hardware(write("m.yaml", MACHINE))
    extras = Extras(weight_memory=WeightMemory(1e8))
    for sram, kept in ((64_000, 10_698), (12_000, 10_698), (11_000, 448), (1300, 0)):
        small = replace(machine, sram_bytes=sram, extras=extras)
        result = simulate(network, small, "pinned", "serial")
        assert result.columns["weight_memory_bytes"] == [448, 0, 10_250]
        steady = result.steady_times.steps["weight_memory_bytes"]
        assert steady.sum() == 10_698 - kept


def test_compression(run):
    both = run(feature_map_ratio=0.3, weight_ratio={"conv": 0.5, "dense": 2}).columns
    assert both["ddr_read_bytes"] == [math.ceil(57.6) + 224, 0, 20_500]
    assert both["ddr_write_bytes"] == [0, 0, 3]
    assert both["sram_used_bytes"] == run().columns["sram_used_bytes"]


def test_costs_are_of_layers_that_take_time_and_of_an_inference(run):
    layer = run(layer_cost_s=1e-3)
    assert layer.columns["overhead_s"] == pytest.approx([1e-3, 0, 1e-3])
    assert layer.columns["bound"] == ["overhead", "ddr", "overhead"]
    inference = run(inference_cost_s=1e-3).columns
    assert inference["overhead_s"] == pytest.approx([1e-3, 0, 0])
    for timing in ("serial", "overlap", "pipelined"):
        result = run(timing, layer_cost_s=1e-3, inference_cost_s=1e-2)
        assert result.totals.overhead_s == pytest.approx(12e-3)
        assert result.totals.total_s == pytest.approx(run(timing).totals.total_s + 12e-3)


def test_energy(run):
    energy = Energy({8: 1e-12, 16: 4e-12}, 2e-12, 3e-12, 100e-12, 50e-12, 0.5)
    result = run(energy=energy, weight_memory=WeightMemory(1e9))
    columns = result.columns
    assert columns["matrix_j"] == pytest.approx([MACS_A * 1e-12, 0, MACS_B * 1e-12])
    assert columns["vector_j"] == pytest.approx([OPS_A * 2e-12, 0, 0])
    # operands once, and what comes in from and goes out to other memories once more
    assert columns["sram_j"] == pytest.approx(
        [(192 + 1024 + 448 + 192 + 448) * 3e-12, 0, (1024 + 10 + 10_250 + 10 + 10_250) * 3e-12]
    )
    assert columns["ddr_j"] == pytest.approx([192e-10, 0, 10e-10])
    assert columns["weight_j"] == pytest.approx([448 * 50e-12, 0, 10_250 * 50e-12])
    assert columns["static_j"] == pytest.approx([0.5 * each for each in columns["layer_s"]])
    causes = ("matrix_j", "vector_j", "sram_j", "ddr_j", "weight_j", "static_j")
    for position, energy_j in enumerate(columns["energy_j"]):
        assert energy_j == pytest.approx(sum(columns[name][position] for name in causes))
    totals = result.totals
    assert totals.energy_j == pytest.approx(sum(columns["energy_j"]))
    assert totals.energy_delay_js == pytest.approx(totals.energy_j * totals.total_s)


def test_energy_by_width(load, run):
    energy = Energy({8: 1e-12, 16: 4e-12}, 2e-12, 3e-12, 100e-12)
    made = load(NETWORK + "precision: {feature_map: 16, weight: 8}\n")
    assert run(network=made, energy=energy).columns["matrix_j"][0] == pytest.approx(MACS_A * 4e-12)


def test_a_machine_without_energies_has_no_energy(run):
    result = run()
    assert result.totals.energy_j is None
    assert "energy_j" not in result.columns
    assert "energy_j" not in result.totals_record()
