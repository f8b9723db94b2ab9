"""The plan of residency that moves least: a mixed-integer programme, solved by HiGHS (docs/optimal.md).

What may change from layer to layer: a feature map may leave internal memory in mid-life and come back, and a layer may
run in tiles that move more so that others keep what they need. Nothing is written twice. Weights are streamed in once
per inference.

The placement carries a lower bound on what any such plan moves. Where the time ran out it is the best plan that was
found; it never moves more than that of `liveness`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfsim.placement.liveness import reasons
from perfsim.placement.plan import Planned

if TYPE_CHECKING:
    from perfsim.placement.placement import Placement
    from perfsim.program import Program


class Optimal(Planned):
    """Least traffic, spills in mid-life included.

    time_limit_s: how long the solver may search [s].
    """

    name = "optimal"
    rule = "the plan that moves least, spills in mid-life included (a mixed-integer programme)"
    searches = True

    def __init__(self, time_limit_s: float = 30.0) -> None:
        self.time_limit_s = time_limit_s

    def place(
        self, program: Program, sram_bytes: int, *, double_buffered: bool = False
    ) -> Placement:
        """The placement of `program` in `sram_bytes`; raises MemoryTooSmallError."""
        from perfsim.placement.optimal_search import search

        return search(program, sram_bytes, self.name, self.time_limit_s, double_buffered)

    def explain(self, program: Program, placement: Placement, position: int) -> list[str]:
        """What the plan does with each tensor of the layer at `position`, and how good the plan is."""
        from perfsim.placement.optimal_search import Story

        story = Story(program, placement)
        return [*reasons(program, placement, position, story.of_map), story.summary()]
