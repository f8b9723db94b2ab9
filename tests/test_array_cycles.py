"""Cycles of a grid against loops that put every multiply-accumulate into its cycle; what layers are made of."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import pytest
from conftest import MACHINE
from test_operators import BY_HAND

from perfsim import catalog, load_hardware, load_network, lower, simulate
from perfsim.errors import InvalidValueError
from perfsim.hardware.parts import DepthwiseUnit, Extras, Grid, RowStationary, Systolic, Winograd
from perfsim.network.operators import OPERATORS
from perfsim.network.work import total
from perfsim.timing.systolic import FLOWS
from perfsim.timing.work import CLASSES, layer_work

CONVS = [  # input, layer, groups: what of it differs from (channels, height, width) of a plain convolution
    ([3, 7, 9], {"channels": 5, "kernel": 3}),
    ([3, 8, 9], {"channels": 4, "kernel": 3, "stride": 2}),
    ([2, 6, 5], {"channels": 4, "kernel": 1}),
    ([6, 5, 5], {"channels": 9, "kernel": [3, 2], "groups": 3, "padding": "valid"}),
    ([5, 9, 9], {"channels": 3, "kernel": 5, "stride": 3, "padding": "valid"}),
    ([4, 6, 6], {"channels": 4, "kernel": 3, "groups": 4}),
    ([3, 6, 6], {"channels": 2, "kernel": [5, 2]}),
    ([3, 8, 9], {"channels": 4, "kernel": 3, "stride": [1, 2]}),
    ([3, 9, 8], {"channels": 4, "kernel": [4, 3], "stride": [3, 1]}),
    ([3, 9, 9], {"channels": 4, "kernel": 3, "stride": 2, "dilation": 2}),
    ([3, 9, 9], {"channels": 4, "kernel": [1, 3], "stride": 2, "dilation": [2, 1]}),
]
ARRAYS = [Grid(1, 1, 1), Grid(4, 8, 2), Grid(2, 3, 4), Grid(3, 2, 1), Grid(2, 64, 16)]


def network(load, shape, layer, op="conv"):
    attributes = ", ".join(f"{key}: {value}" for key, value in layer.items())
    return load(f"input: {shape}\nlayers:\n  - {op}: {{{attributes}}}\n")


def run(network, write, array, **extras):
    machine = load_hardware(write("m.yaml", MACHINE.replace("64 KB", "64 MB")))
    return simulate(network, replace(machine, extras=Extras(array=array, **extras)))


def cycles(network, write, array):
    return run(network, write, array).columns["matrix_cycles"][0]


def pair(layer, key):
    given = layer.get(key, 1)
    return given if isinstance(given, list) else (given, given)


def steps(shape, layer, array, output):
    """The cycles of a convolution: every multiply-accumulate is put into one, and the different ones are counted."""
    channels, kernel = layer["channels"], layer["kernel"]
    rows, columns = kernel if isinstance(kernel, list) else (kernel, kernel)
    groups, strides, dilations = (
        layer.get("groups", 1),
        pair(layer, "stride"),
        pair(layer, "dilation"),
    )
    inputs, outputs = shape[0] // groups, channels // groups
    few = inputs < array.input_channels
    # what a stride skips can only become channels where the kernel's places lie side by side
    down, across = (
        1 if dilation > 1 and size > 1 else stride
        for stride, dilation, size in zip(strides, dilations, (rows, columns), strict=True)
    )
    if array.packing == "stride" and few:  # a kernel is made whole blocks, with weights of zero
        rows, columns = math.ceil(rows / down) * down, math.ceil(columns / across) * across
    found = set()
    sizes = (groups, output[0], output[1], rows, columns, inputs, outputs)
    for group, y, x, ky, kx, i, o in itertools.product(*map(range, sizes)):
        if array.packing == "kernel_row" and few:
            place, lane = (ky,), kx * inputs + i
        elif array.packing == "kernel":
            place, lane = (), (ky * columns + kx) * inputs + i
        elif array.packing == "stride" and few:
            place = (ky // down, kx // across)
            lane = (ky % down * across + kx % across) * inputs + i
        else:
            place, lane = (ky, kx), i
        depth = lane // array.input_channels
        found.add((group, y, x // array.pixels, place, depth, o // array.output_channels))
    return len(found)


@pytest.mark.parametrize("packing", ["none", "kernel_row", "kernel", "stride"])
@pytest.mark.parametrize(
    "array", ARRAYS, ids=lambda array: f"{array.pixels}x{array.input_channels}"
)
@pytest.mark.parametrize(("shape", "layer"), CONVS)
def test_a_grid_against_loops(shape, layer, array, packing, load, write):
    array = replace(array, packing=packing)
    made = network(load, shape, layer)
    output = lower(made).layers[0].output_shapes[0][2:]
    assert cycles(made, write, array) == steps(shape, layer, array, output)


def test_a_grid_by_hand(load, write):
    """PG338's B4096: 8 x 16 x 16. A 3 x 3 convolution of 20 to 40 channels on 10 x 10 pixels."""
    made = network(load, [20, 10, 10], {"channels": 40, "kernel": 3})
    array = Grid(8, 16, 16)
    assert cycles(made, write, array) == 10 * 2 * 9 * 2 * 3
    result = run(made, write, array)
    assert result.columns["matrix_s"][0] == 2 * 1080 * 2048 / 1e12  # of 1 TFLOPS
    dense = network(load, [20], {"units": 40}, "fully_connected")
    assert cycles(dense, write, array) == 1 * 2 * 3


@pytest.mark.parametrize(("pixels", "channels"), [(1, 1), (4, 16), (3, 5), (100, 2)])
def test_the_depthwise_unit_against_loops(pixels, channels, load, write):
    array = Grid(100, 16, 16, depthwise=DepthwiseUnit(pixels, channels))
    for multiplier, stride in ((1, 1), (2, 2)):
        layer = {"kernel": 3, "stride": stride, "multiplier": multiplier}
        made = network(load, [12, 7, 9], layer, "depthwise_conv")
        _, outputs, height, width = lower(made).layers[0].output_shapes[0]
        sizes = (height, width, 3, 3, outputs)
        found = {
            (y, x // pixels, ky, kx, c // channels)
            for y, x, ky, kx, c in itertools.product(*map(range, sizes))
        }
        assert cycles(made, write, array) == len(found)
    plain = network(load, [12, 7, 9], {"channels": 8, "kernel": 3})
    assert cycles(plain, write, array) == cycles(plain, write, replace(array, depthwise=None))


def test_winograd_concerns_its_convolutions_alone(load, write):
    array = Grid(2, 4, 4)
    fast = replace(array, winograd=Winograd(3, 1, 2.25, 16 / 9))
    for layer, gain, ratio in (
        ({"channels": 8, "kernel": 3}, 2.25, 16 / 9),
        ({"channels": 8, "kernel": 3, "stride": 2}, 1, 1),
        ({"channels": 8, "kernel": 5}, 1, 1),
        ({"channels": 8, "kernel": [3, 1]}, 1, 1),
        ({"channels": 8, "kernel": 3, "groups": 2}, 2.25, 16 / 9),
    ):
        made = network(load, [8, 6, 6], layer)
        assert cycles(made, write, fast) == cycles(made, write, array) / gain
        weights = lower(made).layers[0].weights
        size = sum(lower(made).tensors[each].bytes for each in weights)
        moved = 8 * 36 + math.ceil(size * ratio)
        assert run(made, write, fast).columns["ddr_read_bytes"][0] == moved


@pytest.mark.parametrize("flow", ["output_stationary", "weight_stationary", "input_stationary"])
def test_a_systolic_array_has_the_cycles_of_the_product(flow, load, write):
    """Pixels, depth and channels by hand; `tests/test_systolic.py` has what a product takes."""
    for shape, layer, op, product in (
        ([3, 7, 9], {"channels": 5, "kernel": 3}, "conv", (63, 27, 5, 1)),
        (
            [6, 5, 5],
            {"channels": 9, "kernel": 2, "groups": 3, "padding": "valid"},
            "conv",
            (16, 8, 3, 3),
        ),
        ([4, 6, 6], {"kernel": 3}, "depthwise_conv", (36, 9, 1, 4)),
        ([20], {"units": 40}, "fully_connected", (1, 20, 40, 1)),
    ):
        made = network(load, shape, layer, op)
        found = cycles(made, write, Systolic(4, 8, flow))
        *sizes, groups = product
        assert found == groups * FLOWS[flow](*sizes, 4, 8)


def test_a_preloaded_array_by_hand(load, write):
    """Of 3 x 3 x 4 = 36 weights a channel, 5 folds of 8 rows and 2 of 4 columns; 30 pixels stream through each."""
    made = network(load, [4, 5, 6], {"channels": 6, "kernel": 3})
    assert cycles(made, write, Systolic(8, 4, "weight_stationary", preload=True)) == (
        5 * 2 * 30 + 2 * 8 + 4 - 2
    )
    # 30 pixels lie in 8 folds of 4; 6 channels stream through, and 8 rows to load take longer
    assert cycles(made, write, Systolic(8, 4, "input_stationary", preload=True)) == (
        5 * 8 * 8 + 2 * 8 + 4 - 2
    )


def test_rows_that_fill_the_array_keep_all_of_it_busy(load, write):
    """A 3 x 3 kernel on 12 x 14 elements, 14 rows of output: 4 sets of 3 x 14 below each other."""
    made = network(load, [8, 14, 14], {"channels": 16, "kernel": 3})
    array = RowStationary(12, 14, 12, 224, 10**5, 1e30)
    assert cycles(made, write, array) == 8 * 16 * 14 * 14 * 9 / 168
    # 7 rows stand twice beside each other; 5 rows twice, with 4 columns idle
    for rows, columns in ((7, 14), (5, 10)):
        made = network(load, [8, rows, 14], {"channels": 16, "kernel": 3})
        assert cycles(made, write, array) == pytest.approx(8 * 16 * rows * 14 * 9 / (12 * columns))


def products(work):
    return (
        work.groups
        * work.out_rows
        * work.out_columns
        * work.taps
        * work.in_channels
        * work.out_channels
    )


def test_the_products_of_every_layer_of_every_network_are_its_macs():
    for path in catalog.bundled_networks().values():
        program = lower(load_network(path))
        work = layer_work(program)
        shaped = work.unshaped == 0
        computes = (work.macs > 0) & shaped
        assert (products(work)[computes] == work.macs[computes]).all(), program.name
        assert (work.kind[computes] >= 0).all(), program.name
        assert (products(work)[shaped & ~computes] == 1).all(), program.name
        assert (work.strips >= 1).all(), program.name


@pytest.mark.parametrize(("operator", "inputs"), [row[:2] for row in BY_HAND if row[3]])
def test_the_products_of_every_operator_are_its_macs(operator, inputs):
    shapes = tuple(inputs)
    outputs = operator.output_shapes(shapes)
    macs = operator.work(shapes, outputs).macs
    layer = lambda: None  # noqa: E731 - a thing with attributes
    layer.operator, layer.input_shapes, layer.output_shapes = operator, shapes, outputs
    layer.macs, layer.op = macs, operator.name
    from perfsim.timing.work import _loops

    loops = _loops(layer)
    sizes = (
        "groups",
        "out_rows",
        "out_columns",
        "tap_rows",
        "tap_columns",
        "in_channels",
        "out_channels",
    )
    assert math.prod(loops[name] for name in sizes) == total(macs)


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        ("conv: {channels: 4, kernel: 3}", "conv"),
        ("conv: {channels: 4, kernel: 3, groups: 2}", "conv"),
        ("conv: {channels: 4, kernel: 1}", "pointwise"),
        ("conv: {channels: 4, kernel: 3, groups: 4}", "depthwise"),
        ("depthwise_conv: {kernel: 3}", "depthwise"),
        ("conv_transpose: {channels: 4, kernel: 3, stride: 2}", "conv"),
        ("fully_connected: {units: 5}", "dense"),
    ],
)
def test_classes(layer, expected, load):
    work = layer_work(lower(load(f"input: [4, 8, 8]\nlayers:\n  - {layer}\n")))
    assert CLASSES[int(work.kind[0])] == expected


def test_every_operator_of_the_matrix_unit_has_a_class():
    found = set()
    for path in catalog.bundled_networks().values():
        program = lower(load_network(path))
        kinds = layer_work(program).kind
        found |= {(layer.op, int(kind)) for layer, kind in zip(program.layers, kinds, strict=True)}
    for op, kind in found:
        if kind >= 0:
            assert OPERATORS[op].unit.value == "matrix unit"
    assert {CLASSES[kind] for _, kind in found if kind >= 0} >= {
        "conv",
        "pointwise",
        "depthwise",
        "dense",
        "matmul",
    }


def test_a_layer_table_has_no_loops_for_an_array():
    table = load_network("mobilenet_printed")
    with pytest.raises(
        InvalidValueError, match="layer 1 of a layer table, which has none"
    ) as caught:
        simulate(table, load_hardware("kv260_dpu"))
    assert "kv260_dpu.yaml" in str(caught.value)
    machine = load_hardware("1MB_2GBs_2TF", efficiency={"depthwise": 0.5})
    slow, fast = (
        simulate(table, each).columns for each in (machine, load_hardware("1MB_2GBs_2TF"))
    )
    for op, slow_s, fast_s in zip(slow["op"], slow["matrix_s"], fast["matrix_s"], strict=True):
        assert slow_s == (2 * fast_s if op == "depthwise_conv" else fast_s)
