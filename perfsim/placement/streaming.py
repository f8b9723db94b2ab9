"""No feature map stays: what a layer gives goes to external memory, and comes back where it is read.

The rule of machines whose internal memory is a buffer for operands that no producer can write to.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from perfsim.placement.buffers import buffers_of
from perfsim.placement.liveness import reasons, whole_lives
from perfsim.placement.placement import UNLIMITED, Placement
from perfsim.placement.plan import Planned, placement_of
from perfsim.program import Program


class Streaming(Planned):
    """Every feature map lies in external memory; the internal one is for tiles and weights."""

    name = "streaming"
    rule = "every feature map goes to DDR and comes back; the memory is for tiles and weights"
    searches = False

    def place(
        self, program: Program, sram_bytes: int, *, double_buffered: bool = False
    ) -> Placement:
        """The placement of `program` in `sram_bytes`; raises MemoryTooSmallError."""
        none = np.zeros(len(buffers_of(program).bytes), dtype=bool)
        choice = replace(whole_lives(program, none), capacities=(1, UNLIMITED))
        return placement_of(program, choice, sram_bytes, self.name, double_buffered=double_buffered)

    def explain(self, program: Program, placement: Placement, position: int) -> list[str]:
        """Why each tensor of the layer at `position` is internal or external."""
        return reasons(program, placement, position, lambda _: "no feature map stays")
