"""A sweep gives the bits of single runs, for every policy, on every kind of machine."""

from __future__ import annotations

import numpy as np
import pytest

import perfsim
from perfsim.hardware.fields import field_of, with_values
from perfsim.hardware.machine import Machine
from perfsim.network.work import LARGEST_COUNT
from perfsim.placement import PLACEMENTS
from perfsim.placement.memory_levels import ample_bytes, least_sram_bytes
from perfsim.timing.kernel import TIMINGS

THRESHOLD_POLICIES = [policy for policy in PLACEMENTS if not policy.searches]
PLAIN = Machine("plain", 10**6, 1e9, 1e12, 1e10)
TOTALS = (
    *("total_s", "ddr_bytes", "ddr_s", "matrix_s", "vector_s", "compute_s", "peak_sram_bytes"),
    *("steady_s", "steady_ddr_bytes"),
)


def points_for(program, policy, count, keys=(), seed=0, machine=PLAIN):
    """Random machines that can run a program."""
    generator = np.random.default_rng(seed)
    least = least_sram_bytes(
        policy, program, LARGEST_COUNT, double_buffered=machine.double_buffered
    )
    most = ample_bytes(program)
    points = {
        "sram": np.exp(generator.uniform(np.log(least), np.log(most), count)).astype(np.int64) + 1,
        "ddr_bandwidth": 10 ** generator.uniform(8, 11, count),
        "vector": 10 ** generator.uniform(9, 12, count),
    }
    return points | {
        key: np.abs(machine.stated[key] * generator.uniform(0.5, 2, count)) for key in keys
    }


def single(network, machine, points, at, placement, timing):
    one = with_values(
        machine,
        machine.stated,
        {key: values[at].item() for key, values in points.items()},
    )
    return perfsim.simulate(network, one, placement, timing)


@pytest.mark.parametrize("timing", [policy.name for policy in TIMINGS])
@pytest.mark.parametrize("policy", THRESHOLD_POLICIES, ids=lambda policy: policy.name)
@pytest.mark.parametrize("name", ["mobilenet", "squeezenet1_1", "sum_mlp"])
def test_each_point_has_the_bits_of_a_run(name, policy, timing):
    network = perfsim.load_network(name)
    points = points_for(perfsim.lower(network), policy, 40)
    points["matrix"] = 10 ** np.random.default_rng(5).uniform(10, 13, 40)
    found = perfsim.sweep(network, PLAIN, points, policy.name, timing, columns=[*TOTALS, "bound"])
    for at in range(0, 40, 4):
        totals = single(network, PLAIN, points, at, policy.name, timing).totals
        for column in TOTALS:
            assert found.columns[column][at] == getattr(totals, column), (column, at)
        assert found.bound[at] == totals.bound


@pytest.mark.parametrize("profile", perfsim.bundled_machines())
def test_each_point_has_the_bits_of_a_run_on_every_bundled_machine(profile):
    machine = perfsim.load_hardware(profile)
    network = perfsim.load_network("mobilenet", precision={"feature_map": 8, "weight": 8})
    keys = [
        key
        for key in machine.stated
        if field_of(key).path and not field_of(key).whole and key not in ("ddr_bandwidth", "vector")
    ]
    policy = next(each for each in PLACEMENTS if each.name == machine.placement)
    points = points_for(perfsim.lower(network), policy, 12, keys, machine=machine)
    further = ["weight_s", "stream_s", "overhead_s", "energy_j", "energy_delay_js"]
    sample = single(network, machine, points, 0, None, None).totals
    columns = [*TOTALS, "bound", *(each for each in further if getattr(sample, each) is not None)]
    found = perfsim.sweep(network, machine, points, columns=columns)
    for at in range(0, 12, 3):
        totals = single(network, machine, points, at, None, None).totals
        for column in columns:
            mine = found.bound[at] if column == "bound" else found.columns[column][at]
            assert mine == getattr(totals, column), (column, at)
