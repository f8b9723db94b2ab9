"""How much memory a network needs: what is spilled, what moves with less or more, the least memory for a traffic.

All of it asks the policy for placements; it holds for policies under which more memory never moves more.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from perfsim.errors import MemoryTooSmallError
from perfsim.network.work import LARGEST_COUNT
from perfsim.per_object import per_object
from perfsim.placement.eviction import thresholds_of
from perfsim.placement.placement import Placement, PlacementPolicy
from perfsim.program import Kind

if TYPE_CHECKING:
    from perfsim.program import Program

SMALLEST_SHARE = 1000  # of an ample memory: less is not worth a line

_COMPULSORY = (Kind.WEIGHT, Kind.INPUT, Kind.OUTPUT)


def compulsory_bytes(program: Program) -> int:
    """What crosses the bus in any case: each weight, network input and network output that is touched, once."""
    return sum(
        tensor.bytes
        for tensor in program.tensors
        if tensor.kind in _COMPULSORY and tensor.first <= tensor.last
    )


def spilled(program: Program, placement: Placement) -> list[tuple[int, int]]:
    """(tensor, bytes) of all that moves beyond the compulsory, the most first."""
    moves = placement.moves
    extra = np.zeros(len(program.tensors), dtype=np.int64)
    np.add.at(extra, moves.tensor, moves.read_bytes + moves.write_bytes)
    for index, tensor in enumerate(program.tensors):
        if tensor.kind in _COMPULSORY and tensor.first <= tensor.last:
            extra[index] -= tensor.bytes
    order = np.argsort(-extra, kind="stable")
    return [(int(index), int(extra[index])) for index in order if extra[index] > 0]


def ddr_bytes(
    policy: PlacementPolicy, program: Program, sram_bytes: int, *, double_buffered: bool = False
) -> int | None:
    """What the first inference moves with so much memory; None where it is too small for the smallest tiles.

    Asked once for each memory: the searches below meet the same ones.
    """
    known = _known_traffic(program)
    key = (policy, sram_bytes, double_buffered)
    if key not in known:
        try:
            placement = policy.place(program, sram_bytes, double_buffered=double_buffered)
        except MemoryTooSmallError:
            known[key] = None
        else:
            known[key] = int(placement.ddr_read_bytes.sum() + placement.ddr_write_bytes.sum())
    return known[key]


@per_object
def _known_traffic(_: Program) -> dict[tuple[PlacementPolicy, int, bool], int | None]:
    return {}


def least_sram_bytes(
    policy: PlacementPolicy,
    program: Program,
    most_ddr_bytes: int,
    *,
    double_buffered: bool = False,
) -> int | None:
    """The least memory with which at most `most_ddr_bytes` move, by bisection; None where none is enough."""

    def is_enough(sram_bytes: int) -> bool:
        moved = ddr_bytes(policy, program, sram_bytes, double_buffered=double_buffered)
        return moved is not None and moved <= most_ddr_bytes

    enough = ample_bytes(program, double_buffered=double_buffered)
    if not is_enough(enough):
        return None
    return least_enough(1, enough, is_enough)


def least_enough(low: int, high: int, is_enough: Callable[[int], bool]) -> int:
    """The least whole number that is enough, of those from `low` to `high`, which is."""
    low -= 1
    while high - low > 1:
        middle = (low + high) // 2
        if is_enough(middle):
            high = middle
        else:
            low = middle
    return high


def ample_bytes(program: Program, *, double_buffered: bool = False) -> int:
    """A memory with which only the compulsory moves, under any policy."""
    thresholds = thresholds_of(program, double_buffered=double_buffered).buffers
    return int(thresholds.max(initial=1)) + sum(tensor.bytes for tensor in program.tensors)


def levels(
    policy: PlacementPolicy, program: Program, most: int, *, double_buffered: bool = False
) -> list[tuple[int, int]]:
    """(memory, what moves) at up to `most` memories that matter, rising: each the least for its traffic.

    They are picked so that the traffic falls from one to the next by about the same factor; for a policy that
    searches, the memory grows by the same factor, since asking for the least one takes many searches.
    """
    ample = ample_bytes(program, double_buffered=double_buffered)

    def moved(size: int) -> int | None:
        return ddr_bytes(policy, program, size, double_buffered=double_buffered)

    def least(traffic: int) -> int | None:
        return least_sram_bytes(policy, program, traffic, double_buffered=double_buffered)

    bottom = compulsory_bytes(program)
    smallest = max(ample // SMALLEST_SHARE, 1)
    sizes: list[int | None]
    if policy.searches:
        enough = least(bottom) or ample
        sizes = list(np.geomspace(smallest, enough, most).astype(np.int64).tolist())
    else:
        smallest = max(smallest, least(LARGEST_COUNT) or ample)
        top = moved(smallest) or bottom
        wanted = np.geomspace(max(top, 1), max(bottom, 1), most).astype(np.int64).tolist()
        sizes = [smallest, *(least(max(traffic, bottom)) for traffic in wanted[1:])]
    found = {size: moved(size) for size in sizes if size is not None}
    return sorted((size, traffic) for size, traffic in found.items() if traffic is not None)
