"""From what a policy decides to a placement: what moves, what is in use, tile by tile where a layer does not fit.

A policy decides which feature maps lie whole in internal memory while which layer runs. Everything else follows here,
for all policies alike: the operands that stay external, and the weights, are streamed through the memory that is left,
in tiles where they do not fit (`tiling`); weights are held as a whole where there is room; and free memory takes
the next layer's weights in advance.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from perfsim.errors import MemoryTooSmallError
from perfsim.per_object import per_object
from perfsim.placement.buffers import buffers_of
from perfsim.placement.operands import flags, operands_of
from perfsim.placement.placement import (
    UNLIMITED,
    Capacities,
    Counts,
    Flags,
    Moves,
    Placement,
    between,
    live_bytes,
    per_layer,
    touches_of,
)

if TYPE_CHECKING:
    from perfsim.placement.tiling import Tiling
    from perfsim.program import Program


@dataclass(frozen=True, eq=False)
class Spans:
    """When buffers lie in internal memory: arrays of shape (spans,), both layers included.

    A buffer may have several spans, which do not overlap.
    """

    buffer: Counts
    first: Counts
    last: Counts

    def bytes_in_use(self, program: Program) -> Counts:
        """Bytes that the spans take at each layer, shape (layers,)."""
        sizes = buffers_of(program).bytes[self.buffer]
        return live_bytes(self.first, self.last, sizes, len(program.layers))


@dataclass(frozen=True, eq=False)
class Choice:
    """What a policy decides. Flags of touches are of shape (touches,), those of `Touches`.

    Attributes:
        resident: whether a feature map lies whole in internal memory while the layer runs.
        arrives: whether a resident feature map is read from external memory by the layer first.
        leaves: whether a resident feature map is written to external memory by the layer as well.
        spans: when the buffers of the resident feature maps take memory.
        pinned: for each tensor of the program whether it is a weight that stays between inferences.
        capacities: for which memories the policy decides the same (from, below); None where that is not known.
    """

    resident: Flags
    arrives: Flags
    leaves: Flags
    spans: Spans
    pinned: Flags
    capacities: tuple[int, int] | None = None


PIECE_BYTES = 64  # a burst of DDR


@dataclass(frozen=True, eq=False)
class Streams:
    """What passes through memory in parts, per program: arrays of shape (layers,) unless said.

    Attributes:
        streams: of shape (touches,): whether the touch moves unless it is resident (a joined concatenation's do not).
        operand_bit: of shape (touches,): 1, 2 or 4 for the operands of a layer with loops, else 0.
        piece_bytes: of shape (touches,): what a layer holds of a tensor that passes through and is no operand of
            its loops.
        least_bytes: of shape (layers, 8): `Operands.least_bytes`; 0 for layers without loops.
        weight_bit: of the operand that holds weights; 0 for none.
        weight_bytes: all weights of each layer.
    """

    streams: Flags
    operand_bit: Counts
    piece_bytes: Counts
    least_bytes: Counts
    weight_bit: Counts
    weight_bytes: Counts


@per_object
def streams_of(program: Program) -> Streams:
    """The streams of `program`; made once per program."""
    touches, operands = touches_of(program), operands_of(program)
    layers = len(program.layers)
    bit = np.zeros(len(touches.layer), dtype=np.int64)
    least = np.zeros((layers, 8), dtype=np.int64)
    weight_bit = np.zeros(layers, dtype=np.int64)
    for position, each in operands.items():
        least[position] = each.least_bytes
        weight_bit[position] = 0 if each.weight is None else 1 << each.weight
        for number, indices in enumerate(each.touches):
            bit[list(indices)] = 1 << number
    is_operand = (bit > 0) | (touches.is_weight & (weight_bit[touches.layer] > 0))
    return Streams(
        streams=~touches.is_weight & ~buffers_of(program).joined[touches.layer],
        operand_bit=bit,
        piece_bytes=np.where(is_operand, 0, np.minimum(touches.bytes, PIECE_BYTES)),
        least_bytes=least,
        weight_bit=weight_bit,
        weight_bytes=per_layer(
            touches.layer, np.where(touches.is_weight, touches.bytes, 0), layers
        ),
    )


def placement_of(
    program: Program, choice: Choice, sram_bytes: int, policy: str, *, double_buffered: bool = False
) -> Placement:
    """The placement that `choice` comes to in `sram_bytes`.

    double_buffered: whether every tile has a second buffer, into which the next one is read.

    Raises MemoryTooSmallError where a layer's smallest tiles do not fit.
    """
    return _Filling(program, choice, sram_bytes, double_buffered=double_buffered).placement(policy)


class _Filling:
    """Fills the memory that the resident feature maps leave, layer by layer."""

    def __init__(
        self, program: Program, choice: Choice, sram_bytes: int, *, double_buffered: bool
    ) -> None:
        touches, streams = touches_of(program), streams_of(program)
        self._program, self._choice, self._sram_bytes = program, choice, sram_bytes
        self._touches, self._streams = touches, streams
        self._double_buffered = double_buffered
        external = streams.streams & ~choice.resident
        is_weight, is_write, sizes = touches.is_weight, touches.is_write, touches.bytes
        self._reads = np.where(is_weight | choice.arrives | (external & ~is_write), sizes, 0)
        self._writes = np.where(choice.leaves | (external & is_write), sizes, 0)
        self._kept = np.where(choice.pinned[touches.tensor], sizes, 0)
        self._weights = streams.weight_bytes - self._per_layer(self._kept)  # that come from outside
        occupied = choice.spans.bytes_in_use(program) + int(self._kept.sum())
        self._free = sram_bytes - occupied
        self._pieces = self._per_layer(np.where(external, streams.piece_bytes, 0))
        self._weight_pieces = self._per_layer(
            np.where(is_weight & (self._kept == 0), streams.piece_bytes, 0)
        )
        self._passing = external | (is_weight & (self._kept == 0))
        self._mask = np.where(self._weights > 0, streams.weight_bit, 0)
        np.bitwise_or.at(self._mask, touches.layer, np.where(external, streams.operand_bit, 0))
        self._steps: list[int] = []  # of the memory, at which tilings change
        self._fill()

    def _per_layer(self, values: Counts) -> Counts:
        return per_layer(self._touches.layer, values, self._touches.layers)

    def _fill(self) -> None:
        """Decides how each layer streams: with its weights whole, in tiles that move all once, or in other tiles."""
        streams, layers = self._streams, np.arange(self._touches.layers)
        copies = 2 if self._double_buffered else 1
        without_weights = self._mask & ~streams.weight_bit
        beside = copies * streams.least_bytes[layers, without_weights] + self._pieces
        once = copies * streams.least_bytes[layers, self._mask] + self._pieces + self._weight_pieces
        self._whole_at, self._once_at = beside + self._weights, once
        self._whole = self._free >= self._whole_at
        self._tiles = np.where(self._whole, beside, np.minimum(once, self._free))
        tight = np.flatnonzero(~self._whole & (self._free < once)).tolist()
        self.tilings: dict[int, Tiling] = {}
        self._fills = np.zeros(self._touches.layers, dtype=bool)
        for position in tight:
            if position in operands_of(self._program):
                self._tile(position)
            else:
                self._check_room(position)

    def _check_room(self, position: int) -> None:
        """Raises unless there is a byte for each tensor that passes through."""
        here = self._touches.layer == position
        passing = int(np.count_nonzero(self._passing & here))
        if self._free[position] < passing:
            raise self._too_small(position, passing)
        self._fills[position] = True
        self._steps.append(self._sram_bytes - int(self._free[position]) + passing)

    def _tile(self, position: int) -> None:
        """Puts the traffic of the best tiling in the place of moving everything once."""
        from perfsim.placement.tiling import best, front

        operands = operands_of(self._program)[position]
        external = flags(int(self._mask[position]))
        steps = front(operands.nest, operands.bits, external, self._double_buffered)
        tiling = best(steps, int(self._free[position]))
        if tiling is None:
            raise self._too_small(position, int(steps.buffer_bytes[0]))
        occupied = self._sram_bytes - int(self._free[position])
        least, below = between(steps.buffer_bytes, int(self._free[position]))
        self._steps += [occupied + least, min(occupied + below, UNLIMITED)]
        self.tilings[position] = tiling
        self._tiles[position] = tiling.buffer_bytes
        for number, indices in enumerate(operands.touches):
            whole = operands.bytes[number] if external[number] else 0
            again = tiling.read_bytes[number] + tiling.write_bytes[number] - whole
            if number == _OUTPUT:
                (output,) = indices  # its partial sums move even where it lies inside itself
                self._reads[output] += tiling.read_bytes[number]
                self._writes[output] += tiling.write_bytes[number] - whole
            elif not external[number]:
                continue
            elif number == operands.weight:
                weights = np.flatnonzero(
                    (self._touches.layer == position) & self._touches.is_weight
                )
                self._reads[weights[0]] += again
            else:
                self._reads[indices[0]] += again

    def _too_small(self, position: int, least_bytes: int) -> MemoryTooSmallError:
        name = self._program.layers[position].name
        return MemoryTooSmallError(
            f"the internal memory is too small for the smallest tiles of '{name}'",
            found=f"{self._sram_bytes:,} bytes",
            expected=f"{self._sram_bytes - int(self._free[position]) + least_bytes:,} bytes or more",
        )

    def placement(self, policy: str) -> Placement:
        """All of it."""
        touches, choice = self._touches, self._choice
        moved = (self._reads > 0) | (self._writes > 0)
        moves = Moves(
            layer=touches.layer[moved],
            tensor=touches.tensor[moved],
            read_bytes=self._reads[moved],
            write_bytes=self._writes[moved],
        )
        held = np.where(self._whole, self._weights, 0)
        pinned = choice.pinned[touches.tensor]
        resident = choice.resident | (touches.is_weight & (self._whole[touches.layer] | pinned))
        return Placement(
            policy=policy,
            sram_bytes=self._sram_bytes,
            double_buffered=self._double_buffered,
            internal=resident,
            moves=moves,
            sram_used_bytes=self._sram_bytes - self._free + held + self._tiles,
            ddr_read_bytes=self._per_layer(self._reads),
            ddr_write_bytes=self._per_layer(self._writes),
            kept_bytes=self._per_layer(self._kept),
            tile_bytes=self._tiles,
            spans=choice.spans,
            pinned=choice.pinned,
            tilings=self.tilings,
            capacities=self._capacities(),
        )

    def _capacities(self) -> Capacities | None:
        """The memories that reach the same of all thresholds: the policy's, and those of each layer's filling."""
        if self._choice.capacities is None:
            return None
        occupied = self._sram_bytes - self._free
        once_at = (occupied + self._once_at)[~self._whole]
        steps = [*self._choice.capacities, *self._steps]
        thresholds = np.concatenate([occupied + self._whole_at, once_at, np.array(steps)])
        return Capacities(*between(thresholds, self._sram_bytes), self._fills)


_OUTPUT = 2  # the operand that a nest writes


class Planned:
    """What all policies share that decide by a `Choice`."""

    def in_use(
        self, program: Program, placement: Placement, position: int
    ) -> list[tuple[str, int]]:
        """Buffers, weights that are whole or pinned, and tiles while the layer at `position` runs, with their bytes."""
        buffers, touches, spans = buffers_of(program), touches_of(program), placement.spans
        found: list[tuple[str, int]] = []
        if spans is not None:
            here = (spans.first <= position) & (position <= spans.last)
            for buffer in spans.buffer[here].tolist():
                members = np.flatnonzero(buffers.of == buffer).tolist()
                live = [
                    each
                    for each in members
                    if program.tensors[each].first <= position <= program.tensors[each].last
                ]
                names = " and ".join(f"'{program.tensors[each].name}'" for each in live or members)
                found.append((names, int(buffers.bytes[buffer])))
        weights = touches.is_weight & placement.internal
        weights &= (touches.layer == position) | placement.pinned[touches.tensor]
        for touch in np.flatnonzero(weights).tolist():
            found.append(
                (f"'{program.tensors[touches.tensor[touch]].name}'", int(touches.bytes[touch]))
            )
        tiles = int(placement.tile_bytes[position])
        return [*found, ("tiles", tiles)] if tiles else found
