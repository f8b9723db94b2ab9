"""What a placement moves, as the timing kernel takes it: by layer, weights and feature maps apart.

Each part is worked out where a formula asks for it, so that a machine of four numbers pays for one of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from perfsim.per_object import per_object
from perfsim.placement.buffers import buffers_of
from perfsim.placement.placement import Moves, per_layer, touches_of
from perfsim.placement.prefetch import layer_before, prefetch_bytes
from perfsim.program import Kind

if TYPE_CHECKING:
    from perfsim.placement.placement import Placement
    from perfsim.program import Program
    from perfsim.timing.output_stage import OutputStage

Counts: TypeAlias = np.ndarray[Any, np.dtype[np.int64]]


class Moved:
    """The traffic of one placement: arrays of shape (layers,), as `timing.terms.Traffic`."""

    which = None

    _kept: Counts

    def __init__(
        self,
        program: Program,
        placement: Placement,
        stage: OutputStage | None = None,
        write_through: bool = False,
        *,
        steady: bool = False,
    ) -> None:
        self._program = program
        self._placement = placement
        self._steady = steady
        self._stage = stage
        self._kept = placement.kept_bytes if steady else np.zeros_like(placement.kept_bytes)
        if stage is not None:
            self._kept = per_layer(stage.head, self._kept, len(stage.head))
        self._moves = placement.moves
        if write_through:
            self._moves = _written_through(program, placement)
        self._is_plain = stage is None and not write_through

    def _sum(self, values: Counts) -> Counts:
        """The sum of a value of each move per layer; those applied on the way out count with the one before."""
        moves, layer = self._moves, self._moves.layer
        if self._stage is not None:
            values = np.where(self._stage.handed[moves.tensor], 0, values)
            layer = self._stage.head[layer]
        return per_layer(layer, values, len(self._program.layers))

    @cached_property
    def ddr_bytes(self) -> Counts:
        """All that moves."""
        placement = self._placement
        if self._is_plain:
            return placement.ddr_read_bytes + placement.ddr_write_bytes - self._kept
        return self._sum(self._moves.read_bytes) + self.write_bytes - self._kept

    @cached_property
    def weight_read_bytes(self) -> Counts:
        """Weights that are read, but for those that an inference before has left."""
        moves = self._moves
        reads = np.where(_is_weight(self._program)[moves.tensor], moves.read_bytes, 0)
        return self._sum(reads) - self._kept

    @property
    def map_read_bytes(self) -> Counts:
        """Everything else that is read."""
        return self._sum(self._moves.read_bytes) - self._kept - self.weight_read_bytes

    @property
    def write_bytes(self) -> Counts:
        """What is written."""
        return self._sum(self._moves.write_bytes)

    @cached_property
    def ddr_transfers(self) -> Counts:
        """Tensors that move, each way for itself."""
        moves = self._moves
        maps = (moves.read_bytes > 0) & ~_is_weight(self._program)[moves.tensor]
        ways = maps.astype(np.int64) + (moves.write_bytes > 0)
        return self._sum(ways) + self.weight_transfers

    @cached_property
    def weight_transfers(self) -> Counts:
        """Weights that are read, each tensor once, but for those that an inference before has left."""
        moves = self._moves
        reads = (moves.read_bytes > 0) & _is_weight(self._program)[moves.tensor]
        if self._steady:
            reads &= ~self._placement.pinned[moves.tensor]
        return self._sum(reads.astype(np.int64))

    @cached_property
    def prefetch_bytes(self) -> Counts:
        """Of the weights, what can come in while the layer before runs; pinned ones have their room already."""
        return self.prefetch_bytes_in(None)

    def prefetch_bytes_in(self, sram_bytes: Counts | None) -> Counts:
        """The same in memories for which the placement is the same plan, shape (machines,): then (layers, machines)."""
        touches, placement = touches_of(self._program), self._placement
        pinned = touches.is_weight & placement.pinned[touches.tensor]
        kept = per_layer(touches.layer, np.where(pinned, touches.bytes, 0), touches.layers)
        reads, arrives = self.weight_read_bytes, self.before.tolist()
        if sram_bytes is not None:
            kept, reads = kept[:, np.newaxis], reads[:, np.newaxis]
        early = prefetch_bytes(self._program, placement, arrives, sram_bytes) + kept
        return np.asarray(np.minimum(early, reads))

    @cached_property
    def before(self) -> Counts:
        """The layer before each, -1 for none."""
        before = np.array(layer_before(self._program), dtype=np.int64)
        if self._stage is None:
            return before
        return np.asarray(np.where(before >= 0, self._stage.head[before], -1))


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
    def weight_transfers(self) -> Counts:
        """Weights that are read, each tensor once."""
        return self._stacked(lambda each: each.weight_transfers)

    @cached_property
    def prefetch_bytes(self) -> Counts:
        """What can come in early."""
        return self._stacked(lambda each: each.prefetch_bytes)

    @property
    def before(self) -> Counts:
        """The layer before each."""
        return self._parts[0].before


def _written_through(program: Program, placement: Placement) -> Moves:
    """The moves of a placement, and the writing of each feature map that stays in internal memory."""
    touches, moves, tensors = touches_of(program), placement.moves, len(program.tensors)
    written = (moves.layer * tensors + moves.tensor)[moves.write_bytes > 0]
    stays = touches.is_write & ~buffers_of(program).joined[touches.layer]
    stays &= ~np.isin(touches.layer * tensors + touches.tensor, written)
    layer, tensor, sizes = (each[stays] for each in (touches.layer, touches.tensor, touches.bytes))
    return Moves(
        layer=np.concatenate((moves.layer, layer)),
        tensor=np.concatenate((moves.tensor, tensor)),
        read_bytes=np.concatenate((moves.read_bytes, np.zeros_like(sizes))),
        write_bytes=np.concatenate((moves.write_bytes, sizes)),
    )


@per_object
def _is_weight(program: Program) -> np.ndarray[Any, np.dtype[np.bool_]]:
    return np.array([tensor.kind is Kind.WEIGHT for tensor in program.tensors], dtype=bool)
