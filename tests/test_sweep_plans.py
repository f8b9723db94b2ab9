"""A plan says for which memories it is the same plan: at every one of them the policy decides the same."""

from __future__ import annotations

import random

import numpy as np
import pytest

import perfsim
from perfsim.errors import MemoryTooSmallError
from perfsim.placement import PLACEMENTS
from perfsim.placement.memory_levels import ample_bytes
from perfsim.placement.placement import UNLIMITED
from perfsim.placement.prefetch import prefetch_bytes

THRESHOLD_POLICIES = [policy for policy in PLACEMENTS if not policy.searches]
NETWORKS = ("mobilenet", "squeezenet1_1", "resnet18", "googlenet")
SAME = (
    *("internal", "ddr_read_bytes", "ddr_write_bytes", "kept_bytes", "pinned"),
    *("tile_bytes", "sram_used_bytes"),
)


def some_sizes(program, generator, count):
    most = 2 * ample_bytes(program)
    return [int(most ** generator.uniform(0.4, 1)) for _ in range(count)]


@pytest.mark.parametrize("doubled", [False, True])
@pytest.mark.parametrize("policy", THRESHOLD_POLICIES, ids=lambda policy: policy.name)
@pytest.mark.parametrize("name", NETWORKS)
def test_a_plan_is_the_same_in_its_whole_range(name, policy, doubled):
    program = perfsim.lower(perfsim.load_network(name))
    generator = random.Random(name)
    tried = 0
    for size in some_sizes(program, generator, 12):
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
            early = prefetch_bytes(program, placed, np.array([other, size]))
            assert np.array_equal(early[:, 0], prefetch_bytes(program, again))
    assert tried > 4


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
