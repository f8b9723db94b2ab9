"""What a sweep answers to points, conditions, costs and options that make no sense."""

from __future__ import annotations

import numpy as np
import pytest

import perfsim
from perfsim.errors import InputError

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
