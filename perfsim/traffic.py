"""What a placement moves, as the timing kernel takes it: by layer, weights and feature maps apart.

Each part is worked out where a formula asks for it, so that a machine of four numbers pays for one of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from perfsim.per_object import per_object
from perfsim.placement.placement import per_layer, touches_of
from perfsim.placement.plan import layer_before, prefetch_bytes
from perfsim.program import Kind

if TYPE_CHECKING:
    from perfsim.placement.placement import Placement
    from perfsim.program import Program

Counts: TypeAlias = np.ndarray[Any, np.dtype[np.int64]]


class Moved:
    """The traffic of one placement: arrays of shape (layers,), as `timing.terms.Traffic`."""

    which = None

    def __init__(self, program: Program, placement: Placement, *, steady: bool = False) -> None:
        self._program = program
        self._placement = placement
        self._kept = placement.kept_bytes if steady else 0

    @cached_property
    def ddr_bytes(self) -> Counts:
        """All that moves."""
        placement = self._placement
        return placement.ddr_read_bytes + placement.ddr_write_bytes - self._kept

    @cached_property
    def weight_read_bytes(self) -> Counts:
        """Weights that are read, but for those that an inference before has left."""
        moves = self._placement.moves
        reads = np.where(_is_weight(self._program)[moves.tensor], moves.read_bytes, 0)
        return per_layer(moves.layer, reads, len(self._program.layers)) - self._kept

    @property
    def map_read_bytes(self) -> Counts:
        """Everything else that is read."""
        return self._placement.ddr_read_bytes - self._kept - self.weight_read_bytes

    @property
    def write_bytes(self) -> Counts:
        """What is written."""
        return self._placement.ddr_write_bytes

    @cached_property
    def ddr_transfers(self) -> Counts:
        """Tensors that move, each way for itself."""
        moves = self._placement.moves
        ways = (moves.read_bytes > 0).astype(np.int64) + (moves.write_bytes > 0)
        return per_layer(moves.layer, ways, len(self._program.layers))

    @cached_property
    def prefetch_bytes(self) -> Counts:
        """Of the weights, what can come in while the layer before runs; pinned ones have their room already."""
        touches, placement = touches_of(self._program), self._placement
        pinned = touches.is_weight & placement.pinned[touches.tensor]
        kept = per_layer(touches.layer, np.where(pinned, touches.bytes, 0), touches.layers)
        early: Counts = prefetch_bytes(self._program, placement) + kept
        possible: Counts = np.minimum(early, self.weight_read_bytes)
        return possible

    @cached_property
    def before(self) -> Counts:
        """The layer before each, -1 for none."""
        return np.array(layer_before(self._program), dtype=np.int64)


class MovedInSizes:
    """The traffic of a program in several memories, arrays of shape (layers, sizes); `which` each machine has."""

    def __init__(self, parts: Sequence[Moved], which: Counts) -> None:
        self._parts = parts
        self.which = which

    def _stacked(self, part: Callable[[Moved], Counts]) -> Counts:
        return np.stack([part(each) for each in self._parts], axis=1)

    @cached_property
    def ddr_bytes(self) -> Counts:
        """As in `Moved`, as all that follow."""
        return self._stacked(lambda each: each.ddr_bytes)

    @cached_property
    def weight_read_bytes(self) -> Counts:
        """Weights that are read."""
        return self._stacked(lambda each: each.weight_read_bytes)

    @cached_property
    def map_read_bytes(self) -> Counts:
        """Everything else that is read."""
        return self._stacked(lambda each: each.map_read_bytes)

    @cached_property
    def write_bytes(self) -> Counts:
        """What is written."""
        return self._stacked(lambda each: each.write_bytes)

    @cached_property
    def ddr_transfers(self) -> Counts:
        """Tensors that move."""
        return self._stacked(lambda each: each.ddr_transfers)

    @cached_property
    def prefetch_bytes(self) -> Counts:
        """What can come in early."""
        return self._stacked(lambda each: each.prefetch_bytes)

    @property
    def before(self) -> Counts:
        """The layer before each."""
        return self._parts[0].before


@per_object
def _is_weight(program: Program) -> np.ndarray[Any, np.dtype[np.bool_]]:
    return np.array([tensor.kind is Kind.WEIGHT for tensor in program.tensors], dtype=bool)
