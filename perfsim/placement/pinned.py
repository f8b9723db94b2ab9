"""Weights that fit stay on chip from the first inference on; the rest is streamed: a cache of parameters.

Feature maps go first: weights are pinned only in what all layers leave, the smaller ones first (`eviction`), so that
more memory never moves more. The table is that of the first inference, which reads every weight; later ones read
those only that are not pinned.
"""

from __future__ import annotations

from perfsim.placement.eviction import thresholds_of
from perfsim.placement.liveness import threshold_choice, threshold_reasons
from perfsim.placement.placement import Placement
from perfsim.placement.plan import Planned, placement_of
from perfsim.program import Program


class Pinned(Planned):
    """Liveness, and weights that fit beside the feature maps of all layers stay between inferences."""

    name = "pinned"
    rule = "as liveness; weights that fit beside all feature maps stay on chip between inferences"
    searches = False

    def place(
        self, program: Program, sram_bytes: int, *, double_buffered: bool = False
    ) -> Placement:
        """The placement of `program` in `sram_bytes`; raises MemoryTooSmallError."""
        thresholds = thresholds_of(program, double_buffered=double_buffered, pinned=True)
        choice = threshold_choice(program, thresholds, sram_bytes)
        return placement_of(program, choice, sram_bytes, self.name, double_buffered=double_buffered)

    def explain(self, program: Program, placement: Placement, position: int) -> list[str]:
        """Why each tensor of the layer at `position` is internal or external."""
        return threshold_reasons(program, placement, position, pinned=True)
