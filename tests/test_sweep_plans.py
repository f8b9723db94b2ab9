"""A plan says for which memories it is the same plan: at every one of them the policy decides the same."""

from __future__ import annotations

import contextlib
import random
from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pytest

import perfsim
from perfsim.errors import MemoryTooSmallError
from perfsim.placement import PLACEMENTS, optimal_search
from perfsim.placement.memory_levels import ample_bytes
from perfsim.placement.optimal import Optimal
from perfsim.placement.optimal_solver import solve
from perfsim.placement.placement import UNLIMITED
from perfsim.placement.prefetch import prefetch_bytes
from perfsim.sweeps.compiled import compiled_which
from perfsim.sweeps.plans import Plans

THRESHOLD_POLICIES = [policy for policy in PLACEMENTS if not policy.searches]
NETWORKS = ("mobilenet", "squeezenet1_1", "resnet18", "googlenet")
SAME = (
    *("internal", "ddr_read_bytes", "ddr_write_bytes", "kept_bytes", "pinned"),
    *("tile_bytes", "sram_used_bytes"),
)


def some_sizes(program, generator, count):
    most = 2 * ample_bytes(program)
    return [int(most ** generator.uniform(0.4, 1)) for _ in range(count)]


@pytest.mark.thorough
@pytest.mark.parametrize("doubled", [False, True])
@pytest.mark.parametrize("policy", PLACEMENTS, ids=lambda policy: policy.name)
@pytest.mark.parametrize("name", NETWORKS)
def test_a_plan_is_the_same_in_its_whole_range(name, policy, doubled):
    program = perfsim.lower(perfsim.load_network(name))
    generator = random.Random(name)
    tried = 0
    for size in some_sizes(program, generator, 8 if policy.searches else 12):
        try:
            placed = policy.place(program, size, double_buffered=doubled)
        except MemoryTooSmallError:
            continue
        tried += 1
        least, below = placed.capacities.least_bytes, placed.capacities.below_bytes
        assert least <= size < below
        last = min(below - 1, 4 * size)
        for other in {least, last, generator.randint(least, last)}:
            again = policy.place(program, other, double_buffered=doubled)
            fills = placed.capacities.fills
            assert np.array_equal(again.capacities.fills, fills)
            assert (again.capacities.least_bytes, again.capacities.below_bytes) == (least, below)
            for key in SAME:
                mine, theirs = getattr(placed, key), getattr(again, key)
                if key in ("tile_bytes", "sram_used_bytes"):
                    mine, theirs = mine[~fills], theirs[~fills]
                assert np.array_equal(mine, theirs), (key, size, other)
            assert (again.sram_used_bytes[fills] == other).all()
            assert {place: each.tile for place, each in again.tilings.items()} == {
                place: each.tile for place, each in placed.tilings.items()
            }
            early = prefetch_bytes(program, placed, sram_bytes=np.array([other, size]))
            assert np.array_equal(early[:, 0], prefetch_bytes(program, again))
    assert tried > (1 if policy.searches else 4)


def test_a_search_is_run_once_for_each_plan():
    class Counted(Optimal):
        searched = 0

        def place(self, program, sram_bytes, *, double_buffered=False):
            self.searched += 1
            return super().place(program, sram_bytes, double_buffered=double_buffered)

    program = perfsim.lower(perfsim.load_network("squeezenet1_1"))
    policy = Counted()
    plans = Plans(program, policy, double_buffered=False)
    sizes = np.unique(np.linspace(400_000, 1_600_000, 20_000).astype(np.int64))
    which = plans.which(sizes)
    assert policy.searched == len(plans.plans) < 200
    for at in range(0, len(sizes), 4000):
        placed = plans.plans[which[at]].placement
        again = Optimal().place(program, int(sizes[at]))
        assert np.array_equal(placed.ddr_read_bytes, again.ddr_read_bytes)
        assert np.array_equal(placed.ddr_write_bytes, again.ddr_write_bytes)
        assert placed.lower_bound_bytes == again.lower_bound_bytes


def test_a_search_that_the_clock_ends_says_no_range(monkeypatch):
    """It may find something else the next time, so it is run for each memory."""
    program = perfsim.lower(perfsim.load_network("squeezenet1_1"))
    assert Optimal().place(program, 500_000).capacities is not None
    unproven = lambda *arguments: [replace(part, is_proven=False) for part in solve(*arguments)]  # noqa: E731
    monkeypatch.setattr(optimal_search, "solve", unproven)
    assert Optimal().place(program, 500_000).capacities is None


@pytest.mark.parametrize("policy", THRESHOLD_POLICIES, ids=lambda policy: policy.name)
def test_ranges_follow_each_other_without_gaps(policy):
    program = perfsim.lower(perfsim.load_network("mobilenet"))
    size = 20_000
    seen = 0
    while size < UNLIMITED:
        placed = policy.place(program, size)
        if seen:
            assert placed.capacities.least_bytes == size
        size = placed.capacities.below_bytes
        seen += 1
    assert seen > 5


TABLE = """layer,op,input_elements,output_elements,weights,macs
1,max_pool,120,60,0,0
2,fully_connected,60,80,200,100
3,max_pool,80,20,0,0
4,fully_connected,20,30,150,60
"""
CHAIN = """name: chain
input: [2, 6, 6]
layers:
  - conv: {name: one, channels: 4, kernel: 3}
  - max_pool: {name: two, kernel: 2}
  - conv: {name: three, channels: 6, kernel: 3}
  - add: {inputs: [three, previous]}
  - fully_connected: {units: 5}
"""


@pytest.mark.parametrize("policy", THRESHOLD_POLICIES, ids=lambda policy: policy.name)
@pytest.mark.parametrize(("file", "text"), [("table.csv", TABLE), ("chain.yaml", CHAIN)])
def test_every_single_memory_has_the_plan_that_is_found_for_it(file, text, policy, tmp_path):
    path = tmp_path / file
    path.write_text(text)
    program = perfsim.lower(perfsim.load_network(path))
    sizes = np.arange(1, 1500)
    placed = {}
    for size in sizes.tolist():
        with contextlib.suppress(MemoryTooSmallError):
            placed[size] = policy.place(program, size)
    fitting = np.array(list(placed))
    plans = Plans(program, policy, double_buffered=False)
    plans.which(fitting[:: len(fitting) // 9])  # some are known, others not
    which = plans.which(fitting)
    breakpoints = plans.breakpoints
    for size, number in zip(fitting.tolist(), which.tolist(), strict=True):
        plan, own = plans.plans[number], placed[size]
        assert plan.least_bytes <= size < plan.below_bytes
        fills = own.capacities.fills
        used = np.where(fills, size, plan.placement.sram_used_bytes)
        assert np.array_equal(used, own.sram_used_bytes)
        for key in ("internal", "ddr_read_bytes", "ddr_write_bytes", "kept_bytes", "pinned"):
            assert np.array_equal(getattr(plan.placement, key), getattr(own, key)), (size, key)
        early = prefetch_bytes(program, plan.placement, sram_bytes=np.array([size]))[:, 0]
        assert np.array_equal(early, prefetch_bytes(program, own))
    assert len(breakpoints.least) > 3
    assert any(each.capacities.fills.any() for each in placed.values()) == (
        policy.name != "accumulate"
    )
    if find_spec("numba"):
        assert np.array_equal(compiled_which(fitting, breakpoints), which)


def test_a_memory_is_looked_up_where_a_bucket_holds_several_plans():
    program = perfsim.lower(perfsim.load_network("mobilenet"))
    plans = Plans(program, THRESHOLD_POLICIES[0], double_buffered=False)
    sizes = np.unique(np.geomspace(2_000, 4_000_000, 20_000).astype(np.int64))
    which = plans.which(sizes)
    again = plans.which(sizes)
    assert np.array_equal(which, again)
    least = np.array([plan.least_bytes for plan in plans.plans])[again]
    below = np.array([plan.below_bytes for plan in plans.plans])[again]
    assert ((least <= sizes) & (sizes < below)).all()
    assert np.bincount(plans.breakpoints.least >> plans.breakpoints.shift).max() > 1
    if find_spec("numba"):
        assert np.array_equal(compiled_which(sizes, plans.breakpoints), which)
