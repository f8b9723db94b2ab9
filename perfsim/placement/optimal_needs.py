"""What a layer moves beyond its floor, and whether it fits, for each choice of what lies whole in internal memory.

The floor of a layer is every operand that lies outside, once. It is the step function that `plan` applies: moving
everything once where there is room for it, else the best tiling that fits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from perfsim.placement.operands import flags, operands_of
from perfsim.placement.placement import UNLIMITED, Counts, Flags, touches_of
from perfsim.placement.plan import streams_of

if TYPE_CHECKING:
    from perfsim.program import Program

INFEASIBLE = np.iinfo(np.int64).max  # in the place of bytes: the layer's smallest tiles do not fit


class Margin:
    """How much less and how much more memory changes the outcome of no comparison with it, of those made so far.

    Attributes:
        less_bytes: with so many bytes less it still is the same. more_bytes: with so many more it is not.
    """

    def __init__(self) -> None:
        self.less_bytes, self.more_bytes = UNLIMITED, UNLIMITED

    def compared(self, spare_bytes: Counts) -> None:
        """Notes comparisons: the memory less the thresholds it was held against, reached where that is not below 0."""
        reached = spare_bytes >= 0
        self.less_bytes = int(spare_bytes.min(initial=self.less_bytes, where=reached))
        self.more_bytes = int((-spare_bytes).min(initial=self.more_bytes, where=~reached))

    def exactly(self) -> None:
        """Notes that the memory itself went in."""
        self.less_bytes, self.more_bytes = 0, 1

    def capacities(self, sram_bytes: int) -> tuple[int, int]:
        """The memories with the same outcomes as `sram_bytes`: (the least, the first above)."""
        least = max(sram_bytes - self.less_bytes, 1)
        return least, min(self.more_bytes, UNLIMITED - sram_bytes) + sram_bytes


class Needs:
    """The layers of one program, with one or two buffers per tile.

    Attributes:
        margin: of all comparisons of `excess`, and those that others note.
    """

    def __init__(self, program: Program, *, double_buffered: bool) -> None:
        touches = touches_of(program)
        self._streams, self._operands = streams_of(program), operands_of(program)
        self._copies = 2 if double_buffered else 1
        self._double_buffered = double_buffered
        self._weight_touches = np.bincount(
            touches.layer[touches.is_weight], minlength=touches.layers
        )
        self._steps: dict[tuple[int, int], tuple[Counts, Counts]] = {}
        self.margin = Margin()

    def has_loops(self, position: int) -> bool:
        """Whether the layer runs in tiles of loops; the others stream."""
        return position in self._operands

    def mask(self, position: int, touches: list[int], resident: Flags) -> Counts:
        """The external operands as numbers, shape (choices,).

        touches: feature maps that the layer streams; resident: of shape (choices, touches).
        """
        weights = self._streams.weight_bytes[position] > 0
        mask = np.full(len(resident), self._streams.weight_bit[position] if weights else 0)
        for at, touch in enumerate(touches):
            mask |= np.where(resident[:, at], 0, self._streams.operand_bit[touch])
        return mask

    def floor_bytes(self, position: int, mask: int) -> int:
        """A memory for tiles with which no more than the floor moves."""
        if position not in self._operands:
            return int(self._weight_touches[position])
        least = self._streams.least_bytes[position]
        weight_bit = int(self._streams.weight_bit[position])
        weights = int(self._streams.weight_bytes[position])
        held = self._copies * int(least[mask & ~weight_bit]) + weights
        return min(self._copies * int(least[mask]), held)

    def steps(self, position: int, mask: int, free_bytes: int = -1) -> tuple[Counts, Counts]:
        """(memory, bytes beyond the floor) of a layer with loops, memory rising; the last one is the floor.

        free_bytes: less memory than that is of no interest.
        """
        floor = self.floor_bytes(position, mask)
        if free_bytes >= floor:
            return np.array([floor]), np.array([0])
        key = (position, mask)
        if key not in self._steps:
            self._steps[key] = self._tiled_steps(position, mask, floor)
        return self._steps[key]

    def _tiled_steps(self, position: int, mask: int, floor: int) -> tuple[Counts, Counts]:
        from perfsim.placement.tiling import front

        operands, external = self._operands[position], flags(mask)
        steps = front(operands.nest, operands.bits, external, self._double_buffered)
        tight = steps.buffer_bytes < floor
        once = sum(size for size, out in zip(operands.bytes, external, strict=True) if out)
        return (
            np.append(steps.buffer_bytes[tight], floor),
            np.append(steps.traffic_bytes[tight] - once, 0),
        )

    def excess(
        self, position: int, touches: list[int], resident: Flags, free_bytes: Counts
    ) -> Counts:
        """Bytes beyond the floor or INFEASIBLE, shape (choices,).

        touches: the feature maps that the layer streams unless `resident`, shape (choices, touches).
        free_bytes: what everything resident leaves, shape (choices,).
        """
        if position not in self._operands:
            passing = (~resident).sum(axis=1) + self._weight_touches[position]
            self.margin.compared(free_bytes - passing)
            return np.where(free_bytes >= passing, 0, INFEASIBLE)
        self.margin.compared(free_bytes)
        masks = self.mask(position, touches, resident)
        excess = np.full(len(resident), INFEASIBLE)
        for mask in np.unique(masks).tolist():
            here = np.flatnonzero((masks == mask) & (free_bytes >= 0))
            if not len(here):
                continue
            memory, beyond = self.steps(position, mask, int(free_bytes[here].min()))
            step = np.searchsorted(memory, free_bytes[here], side="right") - 1
            excess[here] = np.where(step >= 0, beyond[step], INFEASIBLE)
            for each in (step, step + 1):
                known = (each >= 0) & (each < len(memory))
                self.margin.compared(free_bytes[here[known]] - memory[each[known]])
        return excess
