"""The kernel: its formulas by hand, their texts, and the folds."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import ROOT

from perfsim import Machine, compare, load_hardware, load_network, simulate
from perfsim.errors import InputError, InvalidValueError, UnknownNameError
from perfsim.hardware.machine import NUMBERS
from perfsim.timing.formula import FUNCTIONS
from perfsim.timing.kernel import BOUNDS, TIMINGS, fold, layer_times, timing_policy
from perfsim.timing.terms import shape_of

MACHINE = Machine("m", 10**6, 1e9, 1e12, 1e10)


# ddr_bytes, macs, vector_ops -> ddr, matrix, vector [s], serial (time, bound), overlap (time, bound)
@pytest.mark.parametrize(
    ("ddr_bytes", "macs", "vector_ops", "terms", "serial", "overlap"),
    [
        (1e6, 5e8, 1e7, (1e-3, 1e-3, 1e-3), (3e-3, "ddr"), (2e-3, "matrix")),
        (3e6, 5e8, 1e7, (3e-3, 1e-3, 1e-3), (5e-3, "ddr"), (3e-3, "ddr")),
        (1e6, 1e9, 1e7, (1e-3, 2e-3, 1e-3), (4e-3, "matrix"), (3e-3, "matrix")),
        (1e6, 0, 2e7, (1e-3, 0, 2e-3), (3e-3, "vector"), (2e-3, "vector")),
        (4e6, 1e9, 3e7, (4e-3, 2e-3, 3e-3), (9e-3, "ddr"), (5e-3, "vector")),
        (0, 0, 0, (0, 0, 0), (0, "ddr"), (0, "ddr")),
    ],
)
def test_by_hand(ddr_bytes, macs, vector_ops, terms, serial, overlap):
    for name, (seconds, bound) in (("serial", serial), ("overlap", overlap)):
        work = SimpleNamespace(macs=np.array([macs]), vector_ops=np.array([vector_ops]))
        traffic = SimpleNamespace(ddr_bytes=np.array([ddr_bytes]), which=None)
        times = layer_times(work, traffic, MACHINE, timing_policy(name), position=0)
        assert (times.ddr_s, times.matrix_s, times.vector_s) == pytest.approx(terms)
        assert times.layer_s == pytest.approx(seconds)
        assert BOUNDS[int(times.bound)] == bound


def test_the_documentation_has_every_formula():
    """Of machines of four numbers, with every policy; docs/machines.md has those of the optional parts."""
    model = (ROOT / "docs/model.md").read_text()
    for policy in TIMINGS:
        for formula in policy.formulas(shape_of(MACHINE)):
            assert f"{formula.symbol} = {formula.text}" in model


def test_formulas_take_numbers_and_arrays_alike():
    """Every formula at every point of an array gives the bits that it gives at that point alone."""
    random = np.random.default_rng(3)
    for policy in TIMINGS:
        for formula in policy.formulas(shape_of(MACHINE)):
            assert not FUNCTIONS.keys() & set(formula.names)
            values = {name: random.uniform(1, 1e6, 20) for name in formula.names}
            together = np.broadcast_to(formula.of(values), 20)
            for point in range(20):
                alone = {name: value[point].item() for name, value in values.items()}
                assert formula.of(alone) == together[point]


def test_fold_adds_one_after_the_other():
    values = np.random.default_rng(5).uniform(0, 1, 1000)
    expected = 0.0
    for value in values.tolist():
        expected += value
    assert fold(values) == expected
    assert fold(np.stack([values, values], axis=1)).tolist() == [expected, expected]


def test_the_totals_are_the_sums_of_the_rows():
    result = simulate(load_network("resnet18"), load_hardware("1MB_2GBs_2TF"))
    for total, column in (("total_s", "layer_s"), ("ddr_s", "ddr_s"), ("compute_s", "compute_s")):
        assert getattr(result.totals, total) == pytest.approx(
            math.fsum(result.columns[column]), rel=1e-14
        )


def test_overlap_lies_between_the_largest_term_and_serial():
    network = load_network("resnet18")
    for name in ("256KB_1GBs_0.5TF", "16MB_16GBs_16TF"):
        machine = load_hardware(name)
        serial = simulate(network, machine, timing="serial").totals
        overlap = simulate(network, machine, timing="overlap").totals
        assert max(overlap.ddr_s, overlap.compute_s) <= overlap.total_s <= serial.total_s


def test_unknown_policies():
    with pytest.raises(UnknownNameError, match="did you mean 'serial'"):
        simulate(load_network("mobilenet"), MACHINE, timing="serail")
    with pytest.raises(UnknownNameError, match="did you mean 'liveness'"):
        simulate(load_network("mobilenet"), MACHINE, placement="livenes")


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("value", [0, -1, math.nan])
def test_machines_made_in_python_are_checked_too(number, value):
    numbers = dict(zip(NUMBERS, MACHINE.numbers, strict=True)) | {number: value}
    with pytest.raises(InvalidValueError, match=number):
        Machine("wrong", **numbers)
    with pytest.raises(InvalidValueError, match=number):
        Machine("wrong", **numbers | {number: np.array([1.0, value])})


@pytest.mark.parametrize("sram_bytes", ["1 MB", 1.5, True, np.array([1.5]), None])
def test_internal_memory_is_whole_bytes(sram_bytes):
    with pytest.raises(InvalidValueError, match="sram_bytes"):
        Machine("wrong", sram_bytes, 1e9, 1e12, 1e10)


def test_numbers_of_numpy_are_numbers():
    machine = Machine("m", np.int64(10**6), np.float64(1e9), 1e12, 1e10)
    network = load_network("mobilenet")
    assert simulate(network, machine).totals == simulate(network, MACHINE).totals


def test_wrong_types_are_said_in_our_words():
    network = load_network("mobilenet")
    for call in (
        lambda: simulate("mobilenet", MACHINE),
        lambda: simulate(network, "1MB_1GBs_1TF"),
        lambda: compare(network, [MACHINE]),
        lambda: compare([network], ["1MB_1GBs_1TF"]),
        lambda: load_network(None),
        lambda: load_network({"layers": []}),
        lambda: load_hardware(5),
    ):
        with pytest.raises(InputError, match="expected"):
            call()


def test_paths_may_be_path_objects():
    assert load_network(ROOT / "models" / "mobilenet.yaml").name == "mobilenet"
    assert load_hardware(ROOT / "hardware_profiles" / "1MB_1GBs_1TF.yaml").name == "1MB_1GBs_1TF"


@pytest.mark.parametrize("number", NUMBERS)
def test_an_array_of_machines_is_not_one(number):
    """Even when it is as long as the network has layers, or has one entry."""
    network = load_network("mobilenet")
    for length in (1, 3, 30):
        numbers = dict(zip(NUMBERS, MACHINE.numbers, strict=True))
        many = Machine("many", **numbers | {number: np.full(length, 10**9)})
        with pytest.raises(InvalidValueError, match="simulate_array"):
            simulate(network, many)


@pytest.mark.parametrize("shapes", [((2,), (3,)), ((0,), (0,)), ((2, 2), (2, 2)), ((0,), (1,))])
def test_arrays_of_machines_have_one_length(shapes):
    with pytest.raises(InvalidValueError, match="arrays of one length"):
        Machine("wrong", np.ones(shapes[0], dtype=int), np.ones(shapes[1]), 1e12, 1e10)


def test_simulate_wants_one_machine():
    with pytest.raises(InvalidValueError, match="simulate_array"):
        simulate(load_network("mobilenet"), Machine("two", np.array([1, 2]), 1e9, 1e12, 1e10))
