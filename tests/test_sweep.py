"""A sweep gives the bits of single runs, for every policy, on every kind of machine."""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pytest

import perfsim
from perfsim.errors import InputError
from perfsim.hardware.fields import field_of, with_values
from perfsim.hardware.machine import Machine
from perfsim.network.work import LARGEST_COUNT
from perfsim.placement import PLACEMENTS
from perfsim.placement.liveness import Liveness
from perfsim.placement.memory_levels import ample_bytes, least_sram_bytes
from perfsim.placement.optimal import Optimal
from perfsim.sweeps.compiled import is_compiled, tables
from perfsim.sweeps.evaluation import Evaluation
from perfsim.sweeps.machines import machines_with
from perfsim.timing.kernel import TIMINGS, timing_policy
from perfsim.timing.terms import shape_of
from perfsim.traffic import Moved

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
        key: np.clip(
            machine.stated[key] * generator.uniform(0.5, 2, count),
            field_of(key).least,
            field_of(key).most,
        )
        for key in keys
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


def test_a_search_is_asked_once_for_each_plan():
    network, asked = perfsim.load_network("lenet5"), []

    class Asked(Optimal):
        def place(self, program, sram_bytes, *, double_buffered=False):
            asked.append(sram_bytes)
            return super().place(program, sram_bytes, double_buffered=double_buffered)

    points = {
        "sram": np.tile(np.array([20_000, 30_000, 90_000]), 50),
        "ddr_bandwidth": np.linspace(1e8, 1e9, 150),
    }
    found = perfsim.sweep(network, PLAIN, points, Asked())
    assert len(asked) == 2  # 30,000 and 90,000 have room for all there is
    assert 20_000 in asked
    for at in range(0, 150, 29):
        totals = single(network, PLAIN, points, at, "optimal", None).totals
        assert found.total_s[at] == totals.total_s
        assert found.ddr_bytes[at] == totals.ddr_bytes


def test_a_plan_is_made_once_however_many_memories_there_are():
    network, asked = perfsim.load_network("mobilenet"), []

    class Asked(Liveness):
        def place(self, program, sram_bytes, *, double_buffered=False):
            asked.append(sram_bytes)
            return super().place(program, sram_bytes, double_buffered=double_buffered)

    policy = Asked()
    sizes = np.arange(200_000, 400_000)
    found = perfsim.sweep(network, PLAIN, {"sram": sizes}, policy)
    program = perfsim.lower(network)
    traffic = [
        int(Moved(program, Liveness().place(program, size)).ddr_bytes.sum())
        for size in range(200_000, 400_000, 1999)
    ]
    assert found.ddr_bytes[::1999].tolist() == traffic[: len(found.ddr_bytes[::1999])]
    assert len(asked) <= 60
    perfsim.sweep(network, PLAIN, {"sram": sizes[::-1].copy()}, policy)
    assert len(asked) == len(set(asked))


def wide_points(count):
    generator = np.random.default_rng(3)
    return {
        "sram": generator.integers(20_000, 3_000_000, count),
        "ddr_bandwidth": 10 ** generator.uniform(0, 24, count),
        "matrix": 10 ** generator.uniform(0, 24, count),
        "vector": 10 ** generator.uniform(0, 24, count),
    }


@pytest.mark.skipif(not find_spec("numba"), reason="needs the extra fast")
@pytest.mark.parametrize("timing", ["serial", "overlap"])
@pytest.mark.parametrize("name", ["mobilenet", "mobilenet_v3_small"])
def test_what_is_compiled_has_the_bits_of_numpy(name, timing, monkeypatch):
    """Rates from 1 to 1e24, and a network with layers that use both units."""
    network, points = perfsim.load_network(name), wide_points(30_000)
    columns = ["total_s", "bound"]
    policy = timing_policy(timing)
    assert is_compiled(policy, shape_of(PLAIN))
    compiled = perfsim.sweep(network, PLAIN, points, "liveness", timing, columns=columns)
    monkeypatch.setattr("perfsim.sweeps.evaluation.is_compiled", lambda *_: False)
    plain = perfsim.sweep(network, PLAIN, points, "liveness", timing, columns=columns)
    for column in columns:
        assert np.array_equal(compiled.columns[column], plain.columns[column])


@pytest.mark.skipif(not find_spec("numba"), reason="needs the extra fast")
def test_compiled_quotients_are_those_of_a_division():
    from perfsim.sweeps import compiled_loops

    generator = np.random.default_rng(4)
    quotients = np.empty((40, 128))
    for _ in range(300):
        counts = np.floor(2.0 ** generator.uniform(0, 53, 40))
        rates = 2.0 ** generator.uniform(0, 80, 128)
        # close to powers of two, where an ulp changes its size
        rates[:32] = np.nextafter(
            2.0 ** generator.integers(1, 80, 32), generator.choice([0, 1e30], 32)
        )
        compiled_loops.divide(counts, rates, *np.empty((2, 128)), quotients)
        assert np.array_equal(quotients, counts[:, np.newaxis] / rates)


@pytest.mark.parametrize(
    ("points", "says"),
    [
        ({}, "a mapping"),
        ({"sram": [1, 2], "vector": [1.0]}, "arrays of one length"),
        ({"sram": []}, "empty"),
        ({"sram": [1.5]}, "whole numbers"),
        ({"sram": 5}, "one dimension"),
        ({"srma": [5]}, "did you mean 'sram'"),
        ({"vector": [0.0]}, "found 0.0 at"),
        ({"vector": [float("nan"), 1.0]}, "found nan at"),
        ({"clock": [1e9]}, "states no macs_per_cycle beside it"),
        ({"stream.bandwidth": ["1"]}, "numbers"),
        ({"sram": [10**9, 1]}, "too small"),
    ],
)
def test_wrong_points_are_one_error(points, says):
    network = perfsim.load_network("lenet5")
    with pytest.raises(InputError, match=says):
        perfsim.sweep(network, PLAIN, points)


def test_the_table_has_a_row_for_each_point():
    network = perfsim.load_network("lenet5")
    points = {"sram": np.array([10**6, 10**5]), "vector": np.array([1e9, 2e9])}
    table = perfsim.sweep(network, PLAIN, points).table
    assert list(table) == ["sram", "vector", "total_s", "ddr_bytes", "peak_sram_bytes", "bound"]
    assert table["sram"].tolist() == [10**6, 10**5]
    assert set(table["bound"]) <= {"ddr", "matrix", "vector"}


@pytest.mark.skipif(not find_spec("numba"), reason="needs the extra fast")
def test_a_plan_that_another_thread_finds_meanwhile_is_not_counted_in_halves(monkeypatch):
    network = perfsim.load_network("mobilenet")
    evaluation = Evaluation(network, machines_with(PLAIN, {}), "liveness", "overlap", ["total_s"])

    def disturbed(work, plans):
        known = len(plans)
        evaluation._plans.which(np.array([150_000]))  # as another thread may do now
        assert len(evaluation._plans.plans) > known
        assert len(plans) == known
        return tables(work, plans)

    monkeypatch.setattr("perfsim.sweeps.evaluation.tables", disturbed)
    some = machines_with(PLAIN, {"sram": np.array([2_000_000, 4_000_000])})
    found = evaluation.totals(some, 2)["total_s"].tolist()
    assert found == [
        perfsim.simulate(
            network, replace(PLAIN, sram_bytes=size), "liveness", "overlap"
        ).totals.total_s
        for size in (2_000_000, 4_000_000)
    ]
