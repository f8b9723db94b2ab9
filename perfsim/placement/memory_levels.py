"""How much memory a network needs: what is spilled, what moves with less or more, the least memory for a traffic.

All of it asks the policy for placements; it holds for policies under which more memory never moves more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from perfsim.errors import MemoryTooSmallError
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
    """What the first inference moves with so much memory; None where it is too small for the smallest tiles."""
    try:
        placement = policy.place(program, sram_bytes, double_buffered=double_buffered)
    except MemoryTooSmallError:
        return None
    return int(placement.ddr_read_bytes.sum() + placement.ddr_write_bytes.sum())


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
    too_little = 0
    while enough - too_little > 1:
        middle = (enough + too_little) // 2
        if is_enough(middle):
            enough = middle
        else:
            too_little = middle
    return enough


def ample_bytes(program: Program, *, double_buffered: bool = False) -> int:
    """A memory with which only the compulsory moves, under any policy."""
    thresholds = thresholds_of(program, double_buffered=double_buffered).buffers
    return int(thresholds.max(initial=1)) + sum(tensor.bytes for tensor in program.tensors)


def levels(
    policy: PlacementPolicy, program: Program, most: int, *, double_buffered: bool = False
) -> list[tuple[int, int]]:
    """(memory, what moves) at up to `most` memories that matter, rising: each the least for its traffic.

    They are picked so that the traffic falls from one to the next by about the same factor.
    """
    ample = ample_bytes(program, double_buffered=double_buffered)
    least = least_sram_bytes(policy, program, 2**53, double_buffered=double_buffered) or ample
    least = min(max(least, ample // SMALLEST_SHARE), ample)
    top = ddr_bytes(policy, program, least, double_buffered=double_buffered) or 0
    bottom = max(ddr_bytes(policy, program, ample, double_buffered=double_buffered) or 1, 1)
    wanted = np.geomspace(max(top, bottom), bottom, most)
    found: dict[int, int] = {}
    for traffic in wanted.astype(np.int64).tolist():
        size = least_sram_bytes(
            policy, program, max(traffic, bottom), double_buffered=double_buffered
        )
        if size is not None:
            found[size] = (
                ddr_bytes(policy, program, size, double_buffered=double_buffered) or traffic
            )
    return sorted(found.items())
