"""What a better machine gains is what a run on a better machine says."""

from __future__ import annotations

from dataclasses import replace

import pytest

import perfsim
from perfsim import Machine, gains, load_hardware, load_network, simulate
from perfsim.errors import InvalidValueError, UnknownNameError
from perfsim.hardware.fields import field_of
from perfsim.hardware.machine import NUMBERS
from perfsim.sensitivity import numbers_of


@pytest.fixture(scope="module")
def network():
    return load_network("resnet18")


@pytest.mark.parametrize(
    "hardware", ["512KB_1GBs_0.5TF", "1MB_1GBs_1TF", "16MB_16GBs_16TF", "kv260_dpu"]
)
@pytest.mark.parametrize("timing", ["serial", "overlap"])
def test_each_gain_is_a_run_of_its_own(network, hardware, timing):
    machine = load_hardware(hardware)
    found = gains(network, machine, timing=timing, factor=1.5)
    assert [gain.number for gain in found] == list(NUMBERS)
    for gain in found:
        value = getattr(machine, gain.number)
        better = replace(machine, **{gain.number: type(value)(value * 1.5)})
        assert gain.value == value
        assert gain.better_value == getattr(better, gain.number)
        assert gain.total_s == simulate(network, machine, timing=timing).totals.total_s
        assert gain.better_total_s == simulate(network, better, timing=timing).totals.total_s


@pytest.mark.parametrize("hardware", perfsim.bundled_machines())
def test_further_numbers_are_those_of_a_file_that_states_better_ones(hardware):
    machine = load_hardware(hardware)
    network = load_network("mobilenet", precision={"feature_map": 8, "weight": 8})
    names = numbers_of(machine)
    assert names[:4] == NUMBERS
    found = gains(network, machine, numbers=names[4:], factor=1.25)
    for gain in found:
        (key,) = [key for key in machine.stated if field_of(key).path == f"extras.{gain.number}"]
        is_cost = gain.number.endswith("_s") and not gain.number.endswith("_per_s")
        better = gain.value / 1.25 if is_cost else gain.value * 1.25
        assert gain.value == machine.stated[key]
        assert gain.better_value == better
        stated = load_hardware(hardware, **{key: field_of(key).written(better)})
        assert gain.better_total_s == simulate(network, stated).totals.total_s


def test_which_machines_have_further_numbers():
    assert numbers_of(load_hardware("1MB_1GBs_1TF")) == NUMBERS
    assert "layer_cost_s" in numbers_of(load_hardware("kv260_dpu"))
    every = {
        name for each in perfsim.bundled_machines() for name in numbers_of(load_hardware(each))
    }
    assert {"stream.bytes_per_s", "weight_memory.bytes_per_s", "inference_cost_s"} <= every


def test_shares_by_hand(load):
    """Serial, one layer of 1,000 inputs, 8,000 outputs and 8,000,000 weights of a byte each."""
    network = load("input: [1000]\nlayers:\n  - fully_connected: {units: 8000, bias: false}\n")
    machine = Machine("m", 10**8, 1e9, 1e12, 1e9, timing="serial")
    moved_s = (1000 + 8000 + 8_000_000) / 1e9
    computed_s = 2 * 8_000_000 / 1e12
    by_number = {gain.number: gain for gain in gains(network, machine)}
    total_s = moved_s + computed_s
    assert by_number["ddr_bytes_per_s"].saved_s == pytest.approx(moved_s * (1 - 1 / 1.1))
    assert by_number["matrix_flops"].saved_share == pytest.approx(
        computed_s * (1 - 1 / 1.1) / total_s
    )
    assert by_number["vector_flops"].saved_s == 0
    assert by_number["sram_bytes"].saved_share == 0


def test_a_program_will_do(network):
    machine = load_hardware("1MB_1GBs_1TF")
    assert gains(perfsim.lower(network), machine) == gains(network, machine)


def test_some_numbers_alone(network):
    found = gains(network, load_hardware("1MB_1GBs_1TF"), numbers=["matrix_flops"])
    assert [gain.number for gain in found] == ["matrix_flops"]


def test_a_network_without_time_gains_nothing(load):
    network = load("input: [4, 8]\nlayers:\n  - flatten: {}\n")
    assert {gain.saved_share for gain in gains(network, load_hardware("1MB_2GBs_2TF"))} == {0.0}


def test_wrong_questions(network):
    machine = load_hardware("1MB_1GBs_1TF")
    with pytest.raises(UnknownNameError, match="matrix_flops"):
        gains(network, machine, numbers=["matrix_flop"])
    with pytest.raises(InvalidValueError, match="above 1"):
        gains(network, machine, factor=1.0)
