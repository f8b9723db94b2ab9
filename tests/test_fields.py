"""Every number of a machine's file by its key: with_values gives the very machine that the file would give."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from conftest import MACHINE

from perfsim import InvalidValueError, UnknownNameError, load_hardware, load_network, simulate
from perfsim.document import read_document
from perfsim.hardware.fields import FIELDS, field_of, start_of, with_values
from perfsim.hardware.machine import NUMBERS, numbers_in
from perfsim.hardware.profile import HardwareProfile, stated_numbers
from perfsim.settings import Setting
from perfsim.simulation import simulate_array

GRID = """\
name: rich
sram: 512 KiB
ddr_bandwidth: 5 GB/s
clock: 500 MHz
vector: 10 GFLOPS
array:
  pixels: 8
  input_channels: 16
  output_channels: 16
  depthwise: {pixels: 4, channels: 16}
  winograd: {}
efficiency: {conv: 0.9}
stream: {bandwidth: 40 GB/s}
weight_memory: {bandwidth: 400 MB/s}
compression: {weight: {depthwise: 2.0}}
energy: {mac: {"8": 0.2 pJ, "16": 0.5 pJ}, vector_op: 1 pJ, sram_byte: 2 pJ, ddr_byte: 50 pJ,
  weight_byte: 9 pJ}
"""
ROW = """\
name: rows
sram: 108 KB
ddr_bandwidth: 1 GB/s
clock: 200 MHz
vector: 10 GFLOPS
array: {rows: 12, columns: 14, flow: row_stationary, input_words: 12, weight_words: 224, buffer: 100 KB,
  partial_sum_bandwidth: 1 GB/s}
stream: {read_bandwidth: 1 GB/s}
energy: {mac: 0.2 pJ, vector_op: 1 pJ, sram_byte: 2 pJ, ddr_byte: 50 pJ}
"""
WIDTHS = """\
name: widths
sram: 1 MB
ddr_bandwidth: 1 GB/s
clock: 1 GHz
macs_per_cycle: {"8": 2048, "16": 1024}
vector: 10 GFLOPS
"""
RATES = """\
name: rates
sram: 1 MB
ddr_bandwidth: 1 GB/s
matrix: {"8": 4 TOPS, "16": 2 TOPS}
vector: 10 GFLOPS
"""


def assert_same(machine, other):
    for key in NUMBERS:
        assert getattr(machine, key) == getattr(other, key), key
    assert numbers_in(machine.extras) == numbers_in(other.extras)


@pytest.mark.parametrize("text", [MACHINE, GRID, ROW, WIDTHS, RATES])
def test_a_number_given_by_key_is_as_if_the_file_stated_it(write, text):
    file = write("machine.yaml", text)
    machine, stated = load_hardware(file), stated_numbers(read_document(Path(file)))
    tried = set()
    for key in [*FIELDS, *stated]:
        if "<bits>" in key:
            continue
        field, start = field_of(key), start_of(key, stated)
        if start is None:
            continue
        value = field.written(start if field.whole else start * 0.9)
        try:
            expected = load_hardware(file, **{key: Setting(value, "here")})
        except (InvalidValueError, UnknownNameError):
            continue  # it contradicts what else is stated
        assert_same(with_values(machine, stated, {key: field.read(value)}), expected)
        tried.add(key)
    assert set(stated) <= tried | {"array.depthwise.pixels"}


def test_whole_numbers_too(write):
    file = write("machine.yaml", GRID)
    machine, stated = load_hardware(file), stated_numbers(read_document(Path(file)))
    for key in ("array.pixels", "array.output_channels", "sram", "ddr_burst"):
        value = int(2 * (start_of(key, stated) or 0))
        written = field_of(key).written(value)
        expected = load_hardware(file, **{key: Setting(written, "here")})
        assert_same(with_values(machine, stated, {key: value}), expected)
    assert with_values(machine, stated, {"array.pixels": 16}).matrix_flops == 2 * 4096 * 500e6


def test_every_number_of_the_schema_has_a_field(write):
    """All numbers of three rich files, and every leaf of the schema that may hold one."""

    def leaves(model, before=""):
        for name, field in model.model_fields.items():
            inner = [
                each
                for each in (field.annotation, *getattr(field.annotation, "__args__", ()))
                if hasattr(each, "model_fields")
            ]
            if inner:
                yield from leaves(inner[0], f"{before}{name}.")
            else:
                yield f"{before}{name}", str(field.annotation)

    known = {key.split(".<")[0] for key in FIELDS}
    for key, kind in leaves(HardwareProfile):
        if key.startswith("calibration.") or not ("int" in kind or "float" in kind):
            continue
        if (
            key == "weights_shared_by"
        ):  # a part of the machine's weight_ratio, as compression.weight is
            continue
        assert key in known or any(each.startswith(f"{key}.") for each in known), key


def test_what_is_written_reads_back_to_the_same_number():
    numbers = [1.0, 3.2e9, 1.1 + 2.2, 4194305.0, 1.23456789012345e23, 7.0]
    for key in ("ddr_bandwidth", "matrix", "clock"):
        for number in numbers:
            assert field_of(key).read(field_of(key).written(number)) == number
    for key in ("layer_cost", "energy.mac", "energy.static"):
        for number in (1.0, 0.1 + 0.2, 1e-9 / 3, 4.7e-12, 1234.5, 7e-12):
            assert field_of(key).read(field_of(key).written(number)) == number
    assert field_of("sram").written(4194305) == "4.194305 MB"
    assert field_of("sram").read("4.194305 MB") == 4194305
    assert field_of("ddr_bandwidth").written(3.14159e9, 3) == "3.14 GB/s"
    assert field_of("layer_cost").written(2.5e-6) == "2.5 us"
    assert field_of("energy.mac").written(2.5e-16) == "0.25 fJ"
    assert field_of("efficiency.conv").written(0.8512345, 3) == 0.851
    assert field_of("array.rows").written(12) == 12


def test_arrays_of_numbers_are_one_machine_each(write):
    file = write("machine.yaml", GRID)
    machine, stated = load_hardware(file), stated_numbers(read_document(Path(file)))
    network = load_network("squeezenet1_1")
    grids = {
        "clock": [3e8, 7e8],
        "array.pixels": [4, 8],
        "array.winograd.stride": [1, 2],
        "efficiency.pointwise": [0.5, 0.9],
        "weight_memory.bandwidth": [1e8, 1e9],
        "compression.weight": [0.5, 1.5],
        "layer_cost": [1e-6, 1e-5],
        "sram": [100_000, 1_000_000],
    }
    for key, values in grids.items():
        together = simulate_array(network, with_values(machine, stated, {key: np.array(values)}))
        for index, value in enumerate(values):
            alone = simulate(network, with_values(machine, stated, {key: value}))
            assert together.total_s[index] == alone.totals.total_s, key


def test_unknown_keys_and_absent_parts(write):
    file = write("machine.yaml", MACHINE)
    machine, stated = load_hardware(file), stated_numbers(read_document(Path(file)))
    with pytest.raises(UnknownNameError) as caught:
        field_of("ddr_eficiency")
    assert caught.value.nearest == "ddr_efficiency"
    for key in ("matrix.0", "matrix.x", "matrix.<bits>", "array", "calibration.macs"):
        with pytest.raises(UnknownNameError):
            field_of(key)
    with pytest.raises(UnknownNameError):
        with_values(machine, stated, {"array.rows": 3})
    with pytest.raises(UnknownNameError):
        with_values(machine, stated, {"energy.mac": 1e-12})
    for value in ("1 GB", 3, True, None):
        with pytest.raises(InvalidValueError):
            field_of("ddr_bandwidth").read(value)
    for value in ("1", True, 1.5):
        with pytest.raises(InvalidValueError):
            field_of("array.rows").read(value)
