"""The parts of a machine that NVDLA's workbook needs, each worked by hand on small layers."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest

from perfsim import InputError, load_hardware, load_network, simulate, simulate_array
from perfsim.hardware.machine import with_numbers
from perfsim.timing.kernel import TIMINGS, timing_policy
from perfsim.timing.terms import shape_of

MACHINE = """\
name: m
sram: 1 MB
ddr_bandwidth: 1 GB/s
clock: 1 GHz
vector: 1 GFLOPS
array: {pixels: 4, input_channels: 16, output_channels: 8}
"""


@pytest.fixture
def machine(write):
    """The machine above with some keys changed."""
    file = write("m.yaml", MACHINE)
    return lambda **settings: load_hardware(file, **settings)


def net(layers: str, shape: str = "[3, 16, 16]") -> str:
    return f"name: n\ninput: {shape}\nlayers:\n" + "".join(
        f"  - {line}\n" for line in layers.strip().splitlines()
    )


def steps(network, machine, placement=None, timing=None):
    """Everything that the kernel worked out, by symbol, for each layer."""
    result = simulate(network, machine, placement, timing)
    names = result.columns["name"]
    return {
        name: {
            symbol: np.broadcast_to(values, len(names))[position].item()
            for symbol, values in result.times.steps.items()
            if not isinstance(values, dict)
        }
        for position, name in enumerate(names)
    }


CONV = "conv: {name: a, channels: 12, kernel: 7, stride: 2, bias: false}"  # 8 x 8 places


DIMENSIONS = ("pixels", "input_channels", "output_channels", "taps")
SUBSETS = [list(each) for size in range(5) for each in combinations(DIMENSIONS, size)]


@pytest.mark.parametrize("rounded", SUBSETS)
def test_what_is_not_rounded_is_used_to_the_last_piece(load, machine, rounded):
    def whole(name: str, number: float) -> float:
        return math.ceil(number) if name in rounded else number

    network = load(
        net("conv: {name: a, channels: 12, kernel: 7, stride: 2, bias: false}", "[3, 20, 20]")
    )
    keys = {"array.rounded": rounded, "array.packing": "stride"}
    found = steps(network, machine(**keys))["a"]["matrix_cycles"]
    places = 10 * whole("pixels", 10 / 4)
    depth = whole("input_channels", 3 * 4 / 16) * whole("taps", 7 / 2) ** 2
    assert found == pytest.approx(places * depth * whole("output_channels", 12 / 8), rel=1e-12)


@pytest.mark.parametrize(
    ("packing", "layers", "channels", "depth"),
    [
        ("kernel_row", None, 3, 7 * 2),  # 3 x 7 = 21 of 16
        ("kernel_row", None, 20, 49 * 2),
        ("kernel_row", "all", 20, 7 * 9),  # 140 of 16
        ("kernel", None, 20, 62),  # 980 of 16
        ("kernel", "narrow", 20, 49 * 2),
        ("kernel", "narrow", 3, 10),  # 147 of 16
        ("stride", None, 3, 16),
        ("stride", None, 20, 49 * 2),
        ("stride", "all", 20, 16 * 5),  # 80 of 16
        ("none", None, 3, 49),
    ],
)
def test_which_layers_are_packed(load, machine, packing, layers, channels, depth):
    network = load(net(CONV, f"[{channels}, 16, 16]"))
    settings = {"array.packing": packing} | ({"array.packing_layers": layers} if layers else {})
    found = steps(network, machine(**settings))["a"]
    assert found["matrix_cycles"] == 8 * 2 * depth * 2


@pytest.mark.parametrize(("kernel", "channels"), [(7, 3), (3, 3), (1, 32), (2, 20), (5, 6)])
def test_packed_weights_are_what_numpy_pads(load, machine, kernel, channels):
    """Packed in all layers the kernel is filled up to whole strides; in narrow ones alone it moves as it is."""
    over = -kernel % 2
    weights = np.pad(
        np.ones((12, channels, kernel, kernel)), ((0, 0), (0, 0), (0, over), (0, over))
    )
    layer = f"conv: {{name: a, channels: 12, kernel: {kernel}, stride: 2, bias: false}}"
    network = load(net(layer, f"[{channels}, 16, 16]"))
    packed = {"array.packing": "stride", "array.packing_layers": "all"}
    found = steps(network, machine(**packed))["a"]
    assert found["ddr_read_bytes"] - found["map_read_bytes"] == weights.size
    tall = load(net(layer.replace("stride: 2", "stride: [2, 1]"), f"[{channels}, 16, 16]"))
    found = steps(tall, machine(**packed))["a"]
    assert found["ddr_read_bytes"] - found["map_read_bytes"] == weights[..., :kernel].size
    narrow = steps(network, machine(**packed | {"array.packing_layers": "narrow"}))["a"]
    assert narrow["ddr_bytes"] == channels * 256 + 12 * channels * kernel**2 + 12 * 64


def test_layers_of_stride_one_and_without_weights_are_stored_as_they_are(load, machine):
    network = load(net(f"{A}\nmax_pool: {{name: p, kernel: 2}}"))
    keys = {"array.packing": "stride", "array.packing_layers": "all"}
    found = steps(network, machine(**keys))
    assert found["a"]["packed_weights"] == found["p"]["packed_weights"] == 1


def test_winograd_is_for_groups_too_but_not_for_depthwise(load, machine):
    layers = """
conv: {name: a, channels: 8, kernel: 3, bias: false}
conv: {name: b, channels: 8, kernel: 3, groups: 2, bias: false}
depthwise_conv: {name: c, kernel: 3, bias: false}
conv: {name: d, channels: 8, kernel: 3, stride: 2, bias: false}
conv: {name: e, channels: 8, kernel: 1, bias: false}
conv: {name: f, channels: 8, kernel: 3, dilation: 2, bias: false}
conv: {name: g, channels: 8, kernel: 3, stride: [2, 1], bias: false}
conv: {name: h, channels: 8, kernel: 3, dilation: [1, 2], bias: false}
conv: {name: i, channels: 8, kernel: [3, 1], bias: false}"""
    found = steps(load(net(layers)), machine(**{"array.winograd": {"gain": 2.25}}))
    gains = {name: found[name]["array_cycles"] / found[name]["matrix_cycles"] for name in found}
    assert gains == {"a": 2.25, "b": 2.25} | dict.fromkeys("cdefghi", 1)


def test_images_share_a_fetch_of_weights_by_class(load, machine):
    layers = """
conv: {name: a, channels: 8, kernel: 3, bias: false}
conv: {name: b, channels: 8, kernel: 1, bias: false}
depthwise_conv: {name: c, kernel: 3, bias: false}
flatten: {}
fully_connected: {name: d, units: 10, bias: false}"""
    network = load(net(layers))
    shared = {"weights_shared_by": {"conv": 4, "dense": 16}}
    found = steps(network, machine(**shared))
    moved = {name: found[name]["ddr_read_bytes"] - found[name]["map_read_bytes"] for name in "abcd"}
    assert moved == {"a": 8 * 27 / 4, "b": 64 / 4, "c": 72, "d": 8 * 256 * 10 / 16}
    both = steps(network, machine(**shared, compression={"weight": {"dense": 0.5}}))
    assert both["d"]["ddr_read_bytes"] - both["d"]["map_read_bytes"] == 8 * 256 * 10 / 32


# A map of 8 x 16 x 16 = 2048 bytes from each of a, b and sum; 512 pooled.
STAGED = """
conv: {name: a, channels: 8, kernel: 1, bias: false}
conv: {name: b, channels: 8, kernel: 1, bias: false}
add: {name: sum, inputs: [b, a]}
max_pool: {name: pool, kernel: 2}
conv: {name: c, channels: 8, kernel: 1, bias: false}
"""
STAGE = ["add", "max_pool"]
A = "conv: {name: a, channels: 8, kernel: 1, bias: false}"


def test_a_layer_and_its_output_stage_are_one(load, machine):
    network = load(net(STAGED))
    keys = {"output_stage": STAGE, "layer_cost": "1 us"}
    found = steps(network, machine(**keys), "streaming")
    # b reads a's map for itself, and once more for the addition on its way out; nothing but the pooled map is written
    assert found["a"]["ddr_bytes"] == 768 + 24 + 2048
    assert (found["b"]["ddr_read_bytes"], found["b"]["ddr_write_bytes"]) == (2048 + 64 + 2048, 512)
    assert found["b"]["vector_s"] == 0
    assert found["b"]["layer_s"] == pytest.approx((2048 + 64 + 2048 + 512) * 1e-9 + 1e-6, rel=1e-12)
    assert {found[name]["layer_s"] for name in ("sum", "pool")} == {0}
    assert {found[name]["ddr_bytes"] for name in ("sum", "pool")} == {0}
    assert found["c"]["ddr_bytes"] == 512 + 64 + 512


def test_inside_the_memory_nothing_of_it_passes_the_stream(load, machine):
    network = load(net(STAGED))
    rates = {"read_bandwidth": "1 GB/s", "write_bandwidth": "1 GB/s"}
    found = steps(network, machine(output_stage=STAGE, stream=rates))
    assert found["b"]["ddr_bytes"] == 64
    assert found["b"]["stream_s"] == pytest.approx(
        4096e-9, rel=1e-12
    )  # both of its inputs through one port
    rates |= {"operand_bandwidth": "0.5 GB/s"}
    found = steps(network, machine(output_stage=STAGE, stream=rates))
    assert found["b"]["stream_s"] == pytest.approx(2048e-9 / 0.5, rel=1e-12)
    rates |= {"operand_bandwidth": "4 GB/s"}
    found = steps(network, machine(output_stage=STAGE, stream=rates))
    assert found["b"]["stream_s"] == pytest.approx(2048e-9, rel=1e-12)
    assert found["a"]["stream_s"] == pytest.approx(2048e-9, rel=1e-12)  # 768 in, 2048 out


@pytest.mark.parametrize(
    ("layers", "staged"),
    [
        (STAGED, {"sum", "pool"}),
        (f"{A}\nadd: {{name: sum, inputs: [a, a]}}", {"sum"}),
        (f"{A}\nmax_pool: {{name: pool, kernel: 2}}".replace("bias: false", "activation: relu"), {"pool"}),
        # nothing of the matrix unit before it; another reader; a layer between; an operator that is not of the stage
        ("max_pool: {name: pool, kernel: 2}\nadd: {name: sum, inputs: [pool, pool]}", set()),
        (f"{A}\nmax_pool: {{name: pool, kernel: 2, stride: 1}}\nadd: {{name: sum, inputs: [pool, a]}}", set()),
        (f"{A}\navg_pool: {{name: mean, kernel: 2}}\nmax_pool: {{name: pool, kernel: 2}}", set()),
        ("conv: {name: a, channels: 3, kernel: 1}\nmax_pool: {name: p, inputs: [input], kernel: 2, stride: 1}\n"
         "add: {name: sum, inputs: [a, p]}", set()),
    ],
)  # fmt: skip
def test_what_runs_on_the_way_out(load, machine, layers, staged):
    network = load(net(layers))
    found = steps(network, machine(output_stage=STAGE), "streaming")
    assert {name for name, each in found.items() if each["layer_s"] == 0} == staged


@pytest.mark.parametrize("timing", [each.name for each in TIMINGS])
@pytest.mark.parametrize("placement", ["liveness", "streaming", "pinned"])
@pytest.mark.parametrize(
    "name", ["resnet50_v1", "mobilenet_v2", "nasnet_mobile", "alexnet_grouped"]
)
def test_a_stage_never_costs_and_an_array_of_machines_gives_the_same_bits(
    machine, name, timing, placement
):
    network = load_network(name)
    keys = {
        "stream": {"read_bandwidth": "20 GB/s"},
        "array.packing": "stride",
    }
    operands = {"stream": {"read_bandwidth": "20 GB/s", "operand_bandwidth": "9 GB/s"}}
    staged = {**keys, **operands, "output_stage": STAGE}
    plain, staged, through = (
        machine(**each) for each in (keys, staged, staged | {"write_through": True})
    )
    totals = [
        simulate(network, each, placement, timing).totals for each in (plain, staged, through)
    ]
    assert totals[1].ddr_bytes <= min(totals[0].ddr_bytes, totals[2].ddr_bytes)
    assert totals[1].total_s < totals[0].total_s
    assert totals[1].total_s <= totals[2].total_s
    many = with_numbers(
        through, {"ddr_bytes_per_s": np.array([5e8, 1e9]), "sram_bytes": np.array([10**6] * 2)}
    )
    array = simulate_array(network, many, placement, timing)
    assert array.total_s[1] == totals[2].total_s
    assert array.ddr_bytes[1] == totals[2].ddr_bytes


@pytest.mark.parametrize(("operand", "expected"), [("0.25 GB/s", 1024 / 0.25), ("8 GB/s", 2048)])
def test_only_what_the_stage_reads_takes_its_port(load, machine, operand, expected):
    """The convolution reads 2048 bytes and writes 1024, the addition reads 1024 more."""
    layers = f"""
conv: {{name: o, channels: 4, kernel: 1, bias: false}}
{A.replace("{", "{inputs: [input], ")}
conv: {{name: b, channels: 4, kernel: 1, bias: false}}
add: {{name: sum, inputs: [b, o]}}"""
    rates = {"read_bandwidth": "1 GB/s", "operand_bandwidth": operand}
    found = steps(load(net(layers)), machine(output_stage=STAGE, stream=rates))
    assert found["b"]["stream_s"] == pytest.approx(expected * 1e-9, rel=1e-12)


def test_what_stays_is_written_through(load, machine):
    network = load(net(STAGED))
    through = steps(network, machine(write_through=True))
    written = {name: each["ddr_write_bytes"] for name, each in through.items()}
    assert written == {"a": 2048, "b": 2048, "sum": 2048, "pool": 512, "c": 512}
    reads = {name: each["ddr_read_bytes"] for name, each in through.items()}
    assert reads == {"a": 768 + 24, "b": 64, "sum": 0, "pool": 0, "c": 64}
    staged = steps(network, machine(write_through=True, output_stage=STAGE))
    written = {name: each["ddr_write_bytes"] for name, each in staged.items()}
    assert written == {"a": 2048, "b": 512, "sum": 0, "pool": 0, "c": 512}


def test_streaming_moves_every_map_at_each_touch(load, machine):
    network = load(net(STAGED))
    columns = simulate(network, machine(), "streaming").columns
    assert columns["ddr_read_bytes"] == [768 + 24, 2048 + 64, 4096, 2048, 512 + 64]
    assert columns["ddr_write_bytes"] == [2048, 2048, 2048, 512, 512]
    assert set(";".join(columns["input_location"]).split(";")) == {"external"}


def test_a_table_with_an_output_stage_adds_up_and_explains_itself(perfsim_cli, write):
    hardware = write("m.yaml", MACHINE + "output_stage: [add, max_pool]\nplacement: streaming\n")
    file = write("net.yaml", net(STAGED))
    head = perfsim_cli("explain", file, "--hw", hardware, "--layer", "b").out
    assert "on its way out, and timed with it: 'sum' and 'pool'" in " ".join(head.split())
    staged = perfsim_cli("explain", file, "--hw", hardware, "--layer", "pool").out
    assert "on the way out of 'b', which moves and is timed with it" in " ".join(staged.split())


def test_a_machine_that_states_none_of_it_has_the_formulas_of_four_numbers():
    plain = shape_of(load_hardware("1MB_1GBs_1TF"))
    symbols = [each.symbol for each in timing_policy("overlap").formulas(plain)]
    assert symbols == ["ddr_s", "matrix_s", "vector_s", "compute_s", "layer_s"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"output_stage": ["ad"]}, "unknown operator of the vector unit 'ad'.*did you mean 'add'"),
        ({"output_stage": ["conv"]}, "unknown operator of the vector unit 'conv'"),
        ({"output_stage": "add"}, "expected a list of operators"),
        ({"output_stage": [3]}, "unknown operator of the vector unit '3'"),
        ({"weights_shared_by": {"dens": 4}}, "unknown class of layers 'dens'.*did you mean 'dense'"),
        ({"weights_shared_by": {"dense": 0.5}}, "0.5"),
        ({"weights_shared_by": 16}, "16"),
        ({"write_through": "maybe"}, "maybe"),
        ({"stream": {"operand_bandwidth": "1 GB/s"}}, "bandwidth"),
        ({"stream": {"bandwidth": "1 GB/s", "operand_bandwidth": "1 GB/s"}}, "expected read_bandwidth beside it"),
        ({"array.rounded": ["pixel"]}, "pixel"),
        ({"array.packing_layers": "some"}, "some"),
        ({"array": {"rows": 4, "columns": 4, "flow": "weight_stationary", "rounded": []}}, "nothing of"),
    ],
)  # fmt: skip
def test_wrong_switches_are_one_error(machine, settings, message):
    with pytest.raises(InputError, match=message):
        machine(**settings)


def test_a_view_between_hands_on_too(load, machine):
    layers = f"{A}\nreshape: {{shape: [8, 8, 32]}}\nmax_pool: {{name: pool, kernel: 2}}"
    found = steps(load(net(layers)), machine(output_stage=STAGE), "streaming")
    assert (found["a"]["ddr_bytes"], found["pool"]["ddr_bytes"]) == (768 + 24 + 512, 0)


ENERGY = {"mac": "1 pJ", "vector_op": "1 nJ", "sram_byte": "1 fJ", "ddr_byte": "1 fJ"}


def test_what_takes_no_time_on_the_way_out_takes_energy(load, machine):
    """2048 additions, and a maximum of 4 for each of 512 places: 3 operations."""
    found = {
        stage: steps(load(net(STAGED)), machine(energy=ENERGY, **stage_of))
        for stage, stage_of in {"staged": {"output_stage": STAGE}, "apart": {}}.items()
    }
    spent = {stage: [each["vector_j"] for each in rows.values()] for stage, rows in found.items()}
    assert spent["staged"] == pytest.approx([0, (2048 + 3 * 512) * 1e-9, 0, 0, 0])
    assert spent["apart"] == pytest.approx([0, 0, 2048e-9, 3 * 512e-9, 0])
    assert found["staged"]["b"]["vector_s"] == 0


def test_multiplications_that_winograd_saves_take_no_energy(load, machine):
    """F(2 x 2, 3 x 3) does 16 multiplications for 4 places of 9 taps."""
    layers = """
conv: {name: a, channels: 8, kernel: 3, bias: false}
conv: {name: b, channels: 8, kernel: 3, stride: 2, bias: false}"""
    found = steps(load(net(layers)), machine(energy=ENERGY, **{"array.winograd": {"gain": 2.25}}))
    assert found["a"]["matrix_j"] == pytest.approx(256 / 4 * 16 * 3 * 8 * 1e-12)
    assert found["b"]["matrix_j"] == pytest.approx(64 * 9 * 8 * 8 * 1e-12)
