"""Where a little less memory, or a little more, would change much: what a result says beside its time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfsim.placement.eviction import thresholds_of
from perfsim.placement.memory_levels import compulsory_bytes, ddr_bytes, least_sram_bytes
from perfsim.placement.pinned import Pinned
from perfsim.placement.placement import UNLIMITED

if TYPE_CHECKING:
    from perfsim.program import Program
    from perfsim.result import Result

_CACHE_MARGIN = 0.25
_SRAM_MARGIN = 0.1


def cliffs_of(result: Result) -> list[str]:
    """The cliffs that a result is near, a sentence each."""
    program, placement = result.program, result.placement
    doubled = placement.double_buffered
    notes = []
    if isinstance(result.placement_policy, Pinned):
        notes += _cache_cliff(program, placement.sram_bytes, doubled=doubled)
    policy = result.placement_policy
    if policy.searches:
        return notes  # each size of memory would take a search
    least = compulsory_bytes(program)

    def spills(sram_bytes: float) -> bool:
        moved = ddr_bytes(policy, program, int(sram_bytes), double_buffered=doubled)
        return moved is None or moved > least

    sram_bytes = placement.sram_bytes
    if spills((1 - _SRAM_MARGIN) * sram_bytes) != spills((1 + _SRAM_MARGIN) * sram_bytes):
        needed = least_sram_bytes(policy, program, least, double_buffered=doubled)
        if needed is not None:
            notes.append(
                f"near a cliff: nothing spills with {_bytes(needed)} of SRAM, and it has {_bytes(sram_bytes)}"
            )
    return notes


def _cache_cliff(program: Program, sram_bytes: int, *, doubled: bool) -> list[str]:
    """Whether the weights are about what the feature maps leave for them."""
    thresholds = thresholds_of(program, double_buffered=doubled, pinned=True).weights
    kept = [index for index, value in enumerate(thresholds.tolist()) if value < UNLIMITED]
    weights = sum(program.tensors[index].bytes for index in kept)
    if not weights:
        return []
    left = sram_bytes - (max(int(thresholds[index]) for index in kept) - weights)
    if left <= 0 or not 1 - _CACHE_MARGIN <= weights / left <= 1 + _CACHE_MARGIN:
        return []
    return [
        f"near a cliff: {_bytes(weights)} of weights, and {_bytes(left)} left for them beside the feature maps; what "
        "does not fit is read at every inference"
    ]


def _bytes(number: float) -> str:
    for factor, prefix in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if number >= factor:
            return f"{number / factor:.4g} {prefix}"
    return f"{number:.0f} B"
