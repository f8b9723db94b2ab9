"""What a sweep answers to points, conditions, costs and options that make no sense."""

from __future__ import annotations

import json

import numpy as np
import pytest

import perfsim
from perfsim.errors import InputError
from perfsim.sweeps.expression import parse_expression

HW = "1MB_1GBs_1TF"


@pytest.fixture(scope="module")
def mobilenet():
    return perfsim.load_network("mobilenet_v1")


@pytest.fixture(scope="module")
def machine():
    return perfsim.load_hardware(HW)


@pytest.mark.parametrize(
    ("points", "says"),
    [
        (
            {"ddr_efficiency": [0.5, 1.5]},
            ["ddr_efficiency", "1.5 at position 1 of 2", "1e-09 to 1"],
        ),
        ({"efficiency.conv": [2.0]}, ["efficiency.conv", "2.0 at position 0", "to 1"]),
        ({"compression.weight": [1e7]}, ["compression.weight", "to 1e+06"]),
        ({"ddr_bandwidth": [1e9, 5e-324]}, ["ddr_bandwidth", "5e-324 at position 1", "1 to 1e+24"]),
        ({"ddr_bandwidth": [1e9, np.nan, 0.0]}, ["ddr_bandwidth", "nan at position 1"]),
        ({"sram": [2**20, 0, -1]}, ["sram", "found 0 at position 1", "whole numbers from 1"]),
        ({"sram": [1e6, 1.5, 2.5]}, ["sram", "1.5 at position 1 of 3", "whole numbers"]),
        ({"sram": [1e300]}, ["sram", "1e+300"]),
        ({"sram": []}, ["sram", "an empty array"]),
        ({"vector": [True]}, ["vector", "an array of numbers"]),
        ({"vector": [[1.0], [1.0, 2.0]]}, ["vector", "one dimension"]),
    ],
)
def test_points_that_no_file_may_state(mobilenet, machine, points, says):
    with pytest.raises(InputError) as caught:
        perfsim.sweep(mobilenet, machine, points)
    assert all(each in str(caught.value) for each in says), str(caught.value)


def test_sizes_may_be_floats_that_are_whole(mobilenet, machine):
    found = perfsim.sweep(mobilenet, machine, {"sram": np.rint(np.geomspace(2**18, 2**20, 3))})
    wanted = perfsim.sweep(mobilenet, machine, {"sram": [2**18, 2**19, 2**20]})
    assert found.points["sram"].tolist() == [2**18, 2**19, 2**20]
    assert found.points["sram"].dtype == np.int64
    assert found.total_s.tolist() == wanted.total_s.tolist()


def test_a_name_is_no_network_and_no_machine(mobilenet, machine):
    for wrong in [("mobilenet_v1", machine), (mobilenet, HW)]:
        with pytest.raises(InputError) as swept:
            perfsim.sweep(*wrong, {"sram": [2**20]})
        with pytest.raises(InputError) as simulated:
            perfsim.simulate(*wrong)
        assert str(swept.value) == str(simulated.value)


def refused(perfsim_cli, command, *words):
    """What a command line says that is refused, in one line and without a traceback."""
    told = perfsim_cli(command, "mobilenet_v1", "--hw", HW, *words)
    assert told.status == 2, told.err
    assert told.err.count("\n") == 1, told.err
    assert "Traceback" not in told.err
    return told.err


SRAM = ("--vary", "sram=1MB,2MB")


@pytest.mark.parametrize(
    ("command", "words", "says"),
    [
        ("pareto", ("--cost", "bound"), ["--cost", "'bound' is no number"]),
        ("sweep", ("--where", "bound < 2"), ["--where", "'bound' is no number"]),
        ("sweep", ("--where", "2 == bound"), ["'bound' is no number", "bound == PART"]),
        ("sweep", ("--where", "ddr == bound"), ["'bound' is no number"]),
        ("sweep", ("--where", "bound == dram"), ["one of ddr, matrix, vector"]),
        ("sweep", ("--where", "sram = 1MB"), ["--where", "did you mean '=='"]),
        ("sweep", ("--where", "energy < 1 mJ"), [HW, "states no energy"]),
        ("sweep", ("--columns", "energy_j"), [HW, "states no energy"]),
        ("sweep", ("--columns", "stream_s"), [HW, "states no stream"]),
        ("sweep", ("--where", "matrix < 2 TFLOPS"), ["'matrix' is not varied"]),
        ("sweep", ("--where", "bandwidth < 1 GB/s"), ["'ddr_bandwidth' is not varied"]),
        ("sweep", ("--where", "batch < 2"), ["'batch' is not varied"]),
        ("sweep", ("--per-layer", "--where", "time < 1 ms"), ["'total_s' is of a network"]),
        ("sweep", ("--where", "nonsense < 1"), ["unknown name 'nonsense'"]),
        ("pareto", ("--cost", "1e300*sram*1e300"), ["a number too large in"]),
        ("pareto", ("--cost", "1e999"), ["a number too large"]),
    ],
)
def test_conditions_costs_and_columns_that_make_no_sense(perfsim_cli, command, words, says):
    told = refused(perfsim_cli, command, *SRAM, *words)
    assert all(each in told for each in says), told


def test_what_bounds_may_be_asked_for(perfsim_cli):
    words = ("mobilenet_v1", "--hw", HW, "--vary", "ddr_bandwidth=1GB/s,1TB/s", "--format", "json")
    network, machine = perfsim.load_network("mobilenet_v1"), perfsim.load_hardware(HW)
    points = {"ddr_bandwidth": [1e9, 1e12]}
    bounds = perfsim.sweep(network, machine, points).bound.tolist()
    assert bounds[0] == "ddr" != bounds[1]
    for condition, at in (("bound == ddr", 0), ("bound != ddr and total_s > 0", 1)):
        rows = json.loads(perfsim_cli("sweep", *words, "--where", condition).out)["points"]
        assert [row["ddr_bandwidth"] for row in rows] == [points["ddr_bandwidth"][at]]


def test_sizes_that_are_multiplied_do_not_wrap_around():
    # 2^33 * 2^31 is 2^64, which would be 0 in 64 bits.
    values = {"sram": np.array([2**33]), "ddr_bytes": np.array([2**31])}
    found = parse_expression("sram * ddr_bytes", list(values), condition=False).of(values)
    assert found.tolist() == [2.0**64]


def test_scales_are_not_sampled(perfsim_cli):
    told = refused(perfsim_cli, "sweep", "--vary", "batch=1:8", "--sample", "4")
    assert all(each in told for each in ("--vary batch", "'1:8' without steps", "log:STEPS"))


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--per-layer", "--columns", "total_s"), ["--columns beside --per-layer"]),
        (("--set", "width=0.5", "--vary", "width=0.5,1"), ["--set width and --vary width"]),
        (("--set", "hw.sram=4MB"), ["--set hw.sram and --vary sram"]),
        (
            ("--set", "precision={weight: 4}", "--vary", "precision.weight=4,8"),
            ["precision.weight"],
        ),
        (("--seed", "3"), ["--seed 3", "--sample"]),
        (("--sampler", "random"), ["--sampler random", "--sample"]),
        (("--sample", "-1"), ["--sample", "'-1'", "from 1 to 1,000,000,000,000"]),
        (("--sample", "0"), ["--sample", "'0'", "from 1 to"]),
        (("--sample", "1" + "0" * 26), ["--sample", "to 1,000,000,000,000"]),
        (
            ("--sample", "4", "--seed", "9" * 5000),
            ["--seed", "from 0 to 9,223,372,036,854,775,807"],
        ),
    ],
)
def test_options_that_contradict_or_are_out_of_range(perfsim_cli, words, says):
    told = refused(perfsim_cli, "sweep", *SRAM, *words)
    assert all(each in told for each in says), told


@pytest.mark.parametrize("other", ["mobilenet_v1", "mobilenet_v1.yaml"])
def test_the_same_network_twice(perfsim_cli, other):
    assert "the same network twice" in refused(perfsim_cli, "sweep", other, *SRAM)


def test_one_part_may_be_set_and_another_varied(perfsim_cli):
    words = ("--set", "precision.feature_map=8", "--vary", "precision.weight=4,8")
    told = perfsim_cli("sweep", "lenet5", "--hw", HW, *SRAM, *words)
    assert told.status == 0, told.err
