"""What a machine's file may say beside the four numbers: what it becomes, and one clear error for what is wrong."""

from __future__ import annotations

import pytest
from conftest import MACHINE

from perfsim import load_hardware
from perfsim.errors import InputError
from perfsim.hardware.fields import field_of
from perfsim.hardware.machine import numbers_in
from perfsim.hardware.parts import DepthwiseUnit, Grid, RowStationary, Systolic, Winograd

PLAIN = MACHINE.replace("matrix: 1 TFLOPS\n", "")  # no rate of the matrix unit
ENERGY = "mac: 1 pJ, vector_op: 1 pJ, sram_byte: 1 pJ, ddr_byte: 1 pJ"
GRID = "matrix: 1 TFLOPS\narray: {pixels: 2, input_channels: 4, output_channels: 8}\n"
FLOWS = "'output_stationary', 'weight_stationary', 'input_stationary' or 'row_stationary'"

# name -> lines after the four of PLAIN (the first is line 5), what the error must say
WRONG = {
    "matrix against the clock": (
        "clock: 1 GHz\nmatrix: 1 TFLOPS\nmacs_per_cycle: 400\n",
        [
            "m.yaml:6: matrix:",
            "found 1 TFLOPS, 800 GFLOPS from the clock",
            "one of them, or the same",
        ],
    ),
    "a width without multiply-accumulates": (
        "clock: 1 GHz\nmacs_per_cycle: {8: 500}\nmatrix: {8: 1 TFLOPS, 16: 1 TFLOPS}\n",
        ["m.yaml:7: matrix:", "1 TFLOPS for 16 bits, nothing from the clock"],
    ),
    "macs per cycle against the array": (
        "clock: 1 GHz\nmacs_per_cycle: 400\narray: {input_channels: 4, output_channels: 64}\n",
        ["m.yaml:6: macs_per_cycle:", "found 400, and an array of 256", "or the same"],
    ),
    "no rate": ("", ["m.yaml:1: the key 'matrix' is missing", "'clock' and 'macs_per_cycle'"]),
    "a clock beside a rate": (
        "clock: 1 GHz\nmatrix: 1 TFLOPS\n",
        [
            "m.yaml:5: clock:",
            "expected macs_per_cycle or array beside it, or no clock (matrix alone",
        ],
    ),
    "a share above 1": (
        "matrix: 1 TFLOPS\nddr_efficiency: 150%\n",
        ["m.yaml:6: ddr_efficiency: found '150%', expected a number of at most 1"],
    ),
    "a share of no number": (
        "matrix: 1 TFLOPS\nddr_efficiency: x%\n",
        ["m.yaml:6: ddr_efficiency: found 'x%', expected a percentage such as '10%'"],
    ),
    "a clock alone": ("clock: 1 GHz\n", ["m.yaml:5: clock:", "expected macs_per_cycle or array"]),
    "macs per cycle alone": (
        "macs_per_cycle: 5\n",
        ["m.yaml:5: macs_per_cycle:", "expected clock"],
    ),
    "no width": ("matrix: {eight: 1 TFLOPS}\n", ["m.yaml:5: matrix.eight:", "a width in bits"]),
    "a width of 0": ("matrix: {0: 1 TFLOPS}\n", ["m.yaml:5: matrix.0:", "from 1 to 1024"]),
    "no unit": ("matrix: {8: 5}\n", ["m.yaml:5: matrix.8: found 5 without a unit", "'1 TFLOPS'"]),
    "a large depthwise unit": (
        "matrix: 1 TFLOPS\narray: {output_channels: 4, depthwise: {channels: 64}}\n",
        ["m.yaml:6: array.depthwise:", "found 64 multiply", "at most the array's 4"],
    ),
    "an efficiency above 1": (
        "matrix: 1 TFLOPS\nefficiency:\n  dense: 0.5\n  conv: 1.2\n",
        ["m.yaml:8: efficiency.conv: found 1.2", "at most 1", "above_one: true"],
    ),
    "an efficiency of 0": (
        "matrix: 1 TFLOPS\nefficiency: {conv: 0, above_one: true}\n",
        ["efficiency.conv: found 0", "above 0"],
    ),
    "an efficiency of nothing": (
        "matrix: 1 TFLOPS\nefficiency: {conv: 1.0e-300}\n",
        ["efficiency.conv: found 1e-300", "from 1e-09"],
    ),
    "a share of nothing": (
        "matrix: 1 TFLOPS\nddr_efficiency: 1.0e-300\n",
        ["m.yaml:6: ddr_efficiency: found 1e-300", "at least 1e-09"],
    ),
    "rates of no width": (
        "matrix: {}\n",
        ["m.yaml:5: matrix: found an empty mapping", "at least 1 entries"],
    ),
    "macs per cycle of no width": (
        "clock: 1 GHz\nmacs_per_cycle: {}\narray: {output_channels: 4}\n",
        ["m.yaml:6: macs_per_cycle: found an empty mapping", "at least 1 entries"],
    ),
    "energies of no width": (
        f"matrix: 1 TFLOPS\nenergy: {{{ENERGY.replace('1 pJ', '{}', 1)}}}\n",
        ["m.yaml:6: energy.mac: found an empty mapping", "at least 1 entries"],
    ),
    "ratios of no class": (
        "matrix: 1 TFLOPS\ncompression: {weight: {}}\n",
        ["m.yaml:6: compression.weight: found an empty mapping", "at least 1 entries"],
    ),
    "layers of no packing": (
        "matrix: 1 TFLOPS\narray: {output_channels: 4, packing: none, packing_layers: all}\n",
        ["m.yaml:6: array.packing_layers:", "nothing is packed", "expected packing beside it"],
    ),
    "rounded twice": (
        "matrix: 1 TFLOPS\narray: {output_channels: 4, rounded: [taps, pixels, taps]}\n",
        ["m.yaml:6: array.rounded: found 'taps' twice, expected each once"],
    ),
    "applied twice": (
        "matrix: 1 TFLOPS\noutput_stage: [add, max_pool, add]\n",
        ["m.yaml:6: output_stage: found 'add' twice, expected each once"],
    ),
    "a port for nothing": (
        "matrix: 1 TFLOPS\nstream: {read_bandwidth: 1 GB/s, operand_bandwidth: 1 GB/s}\n",
        ["m.yaml:6: stream.operand_bandwidth:", "expected output_stage beside it"],
    ),
    "winograd of kernels of 1": (
        "matrix: 1 TFLOPS\narray: {output_channels: 4, winograd: {kernel: 1}}\n",
        ["m.yaml:6: array.winograd.kernel: found 1, expected a number of at least 2"],
    ),
    "winograd that gains nothing": (
        "matrix: 1 TFLOPS\narray: {output_channels: 4, winograd: {gain: 1}}\n",
        ["m.yaml:6: array.winograd.gain: found 1, expected a number above 1"],
    ),
    "above_one no truth": (
        "matrix: 1 TFLOPS\nefficiency: {conv: 0.5, above_one: 3}\n",
        ["m.yaml:6: efficiency.above_one: found 3, expected true or false"],
    ),
    "no class": (
        "matrix: 1 TFLOPS\nefficiency: {pointwize: 0.5}\n",
        ["m.yaml:6: efficiency.pointwize: unknown class of layers", "did you mean 'pointwise'"],
    ),
    "efficiency no mapping": (
        "matrix: 1 TFLOPS\nefficiency: 0.5\n",
        ["m.yaml:6: efficiency: found 0.5, expected shares by class of layers: conv, pointwise"],
    ),
    "preload of sums": (
        "matrix: 1 TFLOPS\narray: {rows: 4, columns: 4, flow: output_stationary, preload: true}\n",
        ["m.yaml:6: array.preload:", "loads nothing that stays", "found true, expected no preload"],
    ),
    "no flow": (
        "matrix: 1 TFLOPS\narray: {rows: 4, columns: 4}\n",
        ["m.yaml:6: array.columns:", "'flow' is missing", "expected one of pixels, input_channels"],
    ),
    "a misspelt flow": (
        "matrix: 1 TFLOPS\narray: {rows: 4, columns: 4, flow: weight_stationery}\n",
        [
            "m.yaml:6: array.flow: found 'weight_stationery'",
            FLOWS,
            "did you mean 'weight_stationary'",
        ],
    ),
    "a misspelt packing": (
        "matrix: 1 TFLOPS\narray: {output_channels: 4, packing: kernelrow}\n",
        ["m.yaml:6: array.packing: found 'kernelrow'", "did you mean 'kernel_row'"],
    ),
    "a grid without output channels": (
        "matrix: 1 TFLOPS\narray: {pixels: 4}\n",
        ["m.yaml:6: array: the key 'output_channels' is missing, which a grid"],
    ),
    "a systolic array without columns": (
        "matrix: 1 TFLOPS\narray: {rows: 4, flow: weight_stationary}\n",
        ["m.yaml:6: array: the key 'columns' is missing, which a systolic array"],
    ),
    "rows kept without a buffer": (
        "matrix: 1 TFLOPS\narray: {rows: 4, columns: 4, flow: row_stationary, input_words: 3, weight_words: 9}\n",
        ["m.yaml:6: array: the key 'buffer' is missing, which a row-stationary array needs"],
    ),
    "two kinds of array": (
        "matrix: 1 TFLOPS\narray: {rows: 4, columns: 4, flow: weight_stationary, output_channels: 4}\n",
        ["m.yaml:6: array.output_channels:", "is nothing of a systolic array"],
    ),
    "an array of nothing": (
        "matrix: 1 TFLOPS\narray: {output_channels: 0}\n",
        ["m.yaml:6: array.output_channels: found 0, expected a number of at least 1"],
    ),
    "a misspelt key of the array": (
        "matrix: 1 TFLOPS\narray: {output_chanels: 4}\n",
        ["m.yaml:6: array.output_chanels: unknown key", "did you mean 'output_channels'"],
    ),
    "a stream twice": (
        "matrix: 1 TFLOPS\nstream: {bandwidth: 1 GB/s, read_bandwidth: 1 GB/s}\n",
        ["m.yaml:6: stream: found bandwidth and that of a direction", "either bandwidth, or"],
    ),
    "a stream of nothing": (
        "matrix: 1 TFLOPS\nstream: {hidden: false}\n",
        ["m.yaml:6: stream: found no bandwidth", "read_bandwidth, write_bandwidth or both"],
    ),
    "no bandwidth": (
        "matrix: 1 TFLOPS\nweight_memory: {hidden: true}\n",
        ["m.yaml:6: weight_memory: the key 'bandwidth' is missing"],
    ),
    "energy of no memory": (
        f"matrix: 1 TFLOPS\nenergy: {{{ENERGY}, weight_byte: 1 pJ}}\n",
        ["m.yaml:6: energy.weight_byte: there is no memory for weights", "expected weight_memory"],
    ),
    "a memory without energy": (
        f"matrix: 1 TFLOPS\nweight_memory: {{bandwidth: 1 GB/s}}\nenergy: {{{ENERGY}}}\n",
        ["m.yaml:7: energy: there is a memory for weights; found no weight_byte"],
    ),
    "power for energy": (
        "matrix: 1 TFLOPS\nenergy: {mac: 1 pW}\n",
        ["m.yaml:6: energy.mac: found '1 pW', which is a power, expected an energy such as"],
    ),
    "missing energies": (
        "matrix: 1 TFLOPS\nenergy: {mac: {8: 1 pJ}}\n",
        ["m.yaml:6: energy: the keys 'vector_op' (per operation"],
    ),
    "compression of no class": (
        "matrix: 1 TFLOPS\ncompression: {weight: {convs: 2}}\n",
        ["m.yaml:6: compression.weight.convs: unknown class of layers", "did you mean 'conv'"],
    ),
    "compression below 0": (
        "matrix: 1 TFLOPS\ncompression: {weight: {conv: -2}}\n",
        ["m.yaml:6: compression.weight.conv: found -2, expected a number of at least 1e-09"],
    ),
    "more than all of the bandwidth": (
        "matrix: 1 TFLOPS\nddr_efficiency: 1.5\n",
        ["m.yaml:6: ddr_efficiency: found 1.5, expected a number of at most 1"],
    ),
    "a latency in bytes": (
        "matrix: 1 TFLOPS\nddr_latency: 5 MB\n",
        ["m.yaml:6: ddr_latency: found '5 MB', which is a size, expected a time"],
    ),
    "a cost below 0": (
        "matrix: 1 TFLOPS\nlayer_cost: -5 us\n",
        ["m.yaml:6: layer_cost: found '-5 us', expected a time above zero"],
    ),
    "a misspelt timing": (
        "matrix: 1 TFLOPS\ntiming: pipeline\n",
        ["m.yaml:6: unknown timing 'pipeline'", "did you mean 'pipelined'"],
    ),
    "operands that no rate is for": (
        "matrix: {4: 1 TFLOPS}\n",
        [
            "m.yaml:5: matrix:",
            "no number for layer 1",
            "found operands of 8 bits",
            "at most 4 bits",
        ],
    ),
    "operands that no energy is for": (
        f"matrix: 1 TFLOPS\nenergy: {{{ENERGY.replace('1 pJ', '{4: 1 pJ}', 1)}}}\n",
        ["m.yaml:6: energy:", "no number for layer 1", "found operands of 8 bits"],
    ),
}


def test_all_missing_keys_are_named_at_once(write, perfsim_cli):
    result = perfsim_cli("run", "lenet5", "--hw", write("m.yaml", "name: m\nsram: 1 MB\n"))
    assert result.status == 2
    assert "m.yaml:1: the keys 'ddr_bandwidth' (to" in result.err
    assert "'vector' (peak" in result.err
    assert "and 'matrix' (peak of the matrix unit, such as '1 TFLOPS'; or 'clock' and" in result.err
    with_clock = "name: m\nsram: 1 MB\nclock: 1 GHz\nvector: 1 GFLOPS\n"
    result = perfsim_cli("run", "lenet5", "--hw", write("m.yaml", with_clock))
    assert "m.yaml:1: the key 'ddr_bandwidth' is missing (to" in result.err


def test_shares_may_be_percentages(write):
    text = PLAIN + "matrix: 1 TFLOPS\nddr_efficiency: 90%\nefficiency: {conv: 80 %, dense: 0.5}\n"
    extras = load_hardware(write("m.yaml", text)).extras
    assert (extras.ddr_efficiency, extras.efficiency) == (0.9, {"conv": 0.8, "dense": 0.5})
    assert field_of("ddr_efficiency").read("90%") == 0.9


@pytest.mark.parametrize("name", WRONG)
def test_wrong(name, write, perfsim_cli):
    lines, expected = WRONG[name]
    result = perfsim_cli("run", "mobilenet", "--hw", write("m.yaml", PLAIN + lines))
    assert (result.status, result.out) == (2, "")
    assert result.err.count("error:") == 1, result.err
    assert "function" not in result.err
    for part in expected:
        assert part in result.err


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("array.rows=4", "array.rows: 'rows' is nothing of a grid"),
        ("array.output_channels=0", "array.output_channels: found 0"),
        ("array.depthwise.channels=100", "the depthwise unit is larger than the array"),
        ("array.depthwise.channel=1", "did you mean 'channels'"),
        ("array.packing=kernels", "did you mean 'kernel'"),
        ("efficiency.conf=0.5", "efficiency.conf: unknown class of layers 'conf'"),
        ("efficiency.conv=1.5", "efficiency.conv: found 1.5"),
        ("energy.mac=5", "energy.mac: found 5 without a unit"),
        ("stream.bandwith=2GB/s", "did you mean 'bandwidth'"),
        ("clock=5GHz", "clock: matrix and clock x macs_per_cycle x 2 contradict each other"),
        ("macs_per_cycle=7", "macs_per_cycle: macs_per_cycle and the array contradict each other"),
        ("matrix.8=5", "'matrix.8' leads nowhere"),
        ("compression.weight.conv=x", "compression.weight.conv: found 'x', expected a number"),
    ],
)
def test_wrong_settings_are_placed_at_themselves(setting, expected, write, perfsim_cli):
    path = write("m.yaml", PLAIN + GRID)
    result = perfsim_cli("run", "mobilenet", "--hw", path, "--set", f"hw.{setting}")
    assert (result.status, result.out) == (2, "")
    assert f"error: --set hw.{setting}: " in result.err
    assert expected in result.err


@pytest.mark.parametrize(
    ("setting", "path", "number"),
    [
        ("array.pixels=6", "array.pixels", 6),
        ("array.depthwise.channels=5", "array.depthwise.channels", 5),
        ("efficiency.conv=0.5", "efficiency.conv", 0.5),
        ("stream.bandwidth=2GB/s", "stream.bytes_per_s", 2e9),
        ("stream.write_bandwidth=2GB/s", "stream.write_bytes_per_s", 2e9),
        ("weight_memory.bandwidth=1 MB/s", "weight_memory.bytes_per_s", 1e6),
        ("compression.weight=2", "weight_ratio.matmul", 2),
        ("compression.weight.depthwise=9", "weight_ratio.depthwise", 9),
        ("compression.feature_map=0.5", "feature_map_ratio", 0.5),
        ("ddr_latency=5 us", "ddr_latency_s", 5e-6),
        ("ddr_burst=64 B", "ddr_burst_bytes", 64),
        ("ddr_efficiency=1", "ddr_efficiency", 1),
        ("layer_cost=5 us", "layer_cost_s", 5e-6),
        ("inference_cost=5 us", "inference_cost_s", 5e-6),
    ],
)
def test_every_number_can_be_set(setting, path, number, write, perfsim_cli):
    file = write("m.yaml", PLAIN + GRID)
    key, _, value = setting.partition("=")
    value = float(value) if value.replace(".", "").isdecimal() else value
    value = int(value) if isinstance(value, float) and value == int(value) else value
    assert numbers_in(load_hardware(file, **{key: value}).extras)[path] == number
    assert (
        perfsim_cli("run", "mobilenet", "--hw", file, "--quiet", "--set", f"hw.{setting}").status
        == 0
    )


def test_a_whole_file(write):
    """Every key once; SI numbers by hand."""
    machine = load_hardware(
        write(
            "m.yaml",
            PLAIN
            + """\
clock: 300 MHz
macs_per_cycle: {8: 64, 16: 16}
matrix: {8: 38.4 GFLOPS}
array:
  pixels: 2
  input_channels: 4
  output_channels: 8
  packing: stride
  depthwise: {pixels: 2, channels: 16}
  winograd: {kernel: 5, stride: 2, gain: 2, weights: 1.5}
efficiency: {conv: 0.9, dense: 1.5, above_one: true}
ddr_efficiency: 0.8
ddr_latency: 100 ns
ddr_burst: 64 B
stream: {read_bandwidth: 2 GB/s, write_bandwidth: 8 Gb/s, hidden: false}
weight_memory: {bandwidth: 100 MB/s, hidden: true}
compression: {feature_map: 0.5, weight: 0.25}
layer_cost: 1 us
inference_cost: 1 ms
energy: {mac: {8: 0.2 pJ, 16: 1 nJ}, vector_op: 2 fJ, sram_byte: 1 pJ, ddr_byte: 1 uJ, weight_byte: 3 pJ, static: 50 mW}
timing: pipelined
""",
        )
    )
    extras = machine.extras
    assert machine.matrix_flops == 2 * 300e6 * 64
    assert extras.matrix_speed == {8: 1.0, 16: 0.25}
    assert isinstance(extras.array, Grid)
    assert extras.array.macs_per_cycle == 64
    assert isinstance(extras.array.depthwise, DepthwiseUnit)
    assert isinstance(extras.array.winograd, Winograd)
    assert (extras.array.packing, extras.array.winograd.kernel) == ("stride", 5)
    assert (extras.stream.hidden, extras.weight_memory.hidden) == (False, True)
    numbers = numbers_in(extras)
    assert numbers == pytest.approx(
        {
            **{"array.pixels": 2, "array.input_channels": 4, "array.output_channels": 8},
            **{"array.depthwise.pixels": 2, "array.depthwise.channels": 16},
            **{"array.winograd.kernel": 5, "array.winograd.stride": 2},
            **{"array.winograd.gain": 2, "array.winograd.weights": 1.5},
            **{"efficiency.conv": 0.9, "efficiency.dense": 1.5, "ddr_efficiency": 0.8},
            **{"matrix_speed.8": 1, "matrix_speed.16": 0.25},
            **{"ddr_latency_s": 1e-7, "ddr_burst_bytes": 64, "feature_map_ratio": 0.5},
            **{"stream.read_bytes_per_s": 2e9, "stream.write_bytes_per_s": 1e9},
            "weight_memory.bytes_per_s": 1e8,
            **{
                f"weight_ratio.{name}": 0.25
                for name in ("conv", "pointwise", "depthwise", "dense", "recurrent", "matmul")
            },
            **{"layer_cost_s": 1e-6, "inference_cost_s": 1e-3},
            **{"energy.mac_j.8": 2e-13, "energy.mac_j.16": 1e-9, "energy.vector_op_j": 2e-15},
            **{"energy.sram_byte_j": 1e-12, "energy.ddr_byte_j": 1e-6},
            **{"energy.weight_byte_j": 3e-12, "energy.static_w": 0.05},
        }
    )


def test_other_arrays(write):
    systolic = (
        "array: {rows: 16, columns: 8, flow: weight_stationary, preload: true}\nclock: 1 GHz\n"
    )
    machine = load_hardware(write("m.yaml", PLAIN + systolic))
    assert machine.matrix_flops == 2 * 128 * 1e9
    array = machine.extras.array
    assert isinstance(array, Systolic)
    assert (array.flow, array.preload) == ("weight_stationary", True)
    rows = (
        "array: {rows: 12, columns: 14, flow: row_stationary, input_words: 12, weight_words: 224, "
        "buffer: 100 KiB, partial_sum_bandwidth: 1.6 GB/s}\nclock: 200 MHz\n"
    )
    array = load_hardware(write("m.yaml", PLAIN + rows)).extras.array
    assert isinstance(array, RowStationary)
    assert (array.buffer_bytes, array.partial_sum_bytes_per_s) == (102_400, 1.6e9)


def test_a_machine_of_four_numbers_has_no_parts(write):
    assert numbers_in(load_hardware(write("m.yaml", MACHINE)).extras) == {}


def test_matrix_may_be_rounded(write):
    """A data sheet's 4 TOPS beside 480 MHz x 4096 x 2 = 3.93: too far apart; 3.93 is not."""
    lines = "clock: 480 MHz\nmacs_per_cycle: 4096\nmatrix: {} TFLOPS\n"
    with pytest.raises(InputError, match="contradict"):
        load_hardware(write("m.yaml", PLAIN + lines.format(4)))
    machine = load_hardware(write("m.yaml", PLAIN + lines.format(3.93)))
    assert machine.matrix_flops == 2 * 480e6 * 4096
