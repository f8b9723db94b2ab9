"""The rule of a published MobileNet write-up: nothing is freed until memory overflows.

    used[l]  = used[l-1] + output[l] + weights[l]           the first layer also counts its input
    moved[l] = 2 weights[l]                                 in and out; the first layer also reads its input
    when used[l] exceeds the memory:
    moved[l] = used[l] + weights[l]                         everything resident goes to DDR, and then
    used[l+1] = input[l+1] + output[l+1] + weights[l+1]     the next layer starts afresh

Source: the two per-layer tables of the write-up (docs/model.md); they are chains. For branches the rule is
continued in its own spirit: a layer's inputs are resident while it runs; what an overflow has sent to DDR is
read again by the next layer that needs it, except by the very next layer, for which the rule counts no reading.

More memory can make this rule slower, because the overflow then comes at a costlier layer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from perfsim.placement.placement import (
    Capacities,
    Moves,
    Placement,
    between,
    per_layer,
    touches_of,
)

if TYPE_CHECKING:
    from perfsim.program import Program


class Accumulate:
    """Nothing is freed; weights go in and out; an overflow sends everything to DDR."""

    name = "accumulate"
    rule = (
        "nothing is freed, weights move in and out, an overflow sends all to DDR (published rule)"
    )
    searches = False

    def place(
        self,
        program: Program,
        sram_bytes: int,
        *,
        double_buffered: bool = False,  # noqa: ARG002 - the rule knows no tiles
    ) -> Placement:
        """The placement of `program` under the published rule, on `sram_bytes`."""
        walk = _Walk(program, sram_bytes)
        for position in range(len(program.layers)):
            walk.step(position)
        table = np.array(walk.moves, dtype=np.int64).reshape(-1, 4)
        moves = Moves(table[:, 0], table[:, 1], table[:, 2], table[:, 3])
        touches = touches_of(program)
        spilled = np.zeros(touches.layers, dtype=bool)
        spilled[walk.overflows] = True
        used = np.array(walk.used_bytes, dtype=np.int64)
        return Placement(
            policy=self.name,
            sram_bytes=sram_bytes,
            double_buffered=False,
            internal=~(touches.is_write & spilled[touches.layer]),
            moves=moves,
            sram_used_bytes=used,
            ddr_read_bytes=per_layer(moves.layer, moves.read_bytes, touches.layers),
            ddr_write_bytes=per_layer(moves.layer, moves.write_bytes, touches.layers),
            kept_bytes=np.zeros(touches.layers, dtype=np.int64),
            tile_bytes=np.zeros(touches.layers, dtype=np.int64),
            pinned=np.zeros(len(program.tensors), dtype=bool),
            capacities=Capacities(
                *between(used, sram_bytes), fills=np.zeros(touches.layers, dtype=bool)
            ),
        )

    def in_use(
        self, program: Program, placement: Placement, position: int
    ) -> list[tuple[str, int]]:
        """What the rule has in memory at the layer at `position`, before an overflow."""
        walk = _Walk(program, placement.sram_bytes)
        for earlier in range(position + 1):
            walk.step(earlier)
        tensors = [program.tensors[index] for index in walk.in_use]
        return [(f"'{tensor.name}'", tensor.bytes) for tensor in tensors]

    def explain(self, program: Program, placement: Placement, position: int) -> list[str]:
        """What the rule counts at the layer at `position`."""
        used = int(placement.sram_used_bytes[position])
        sentences = [
            f"used = {used:,} bytes: everything resident so far, the output and the weights "
            "(nothing is freed)"
        ]
        if program.layers[position].weights:
            sentences.append("the weights travel in and out again")
        if used > placement.sram_bytes:
            sentences.append(
                f"overflow: {used:,} bytes exceed the memory of {placement.sram_bytes:,}, "
                f"so all {used:,} bytes are moved to DDR and the next layer starts afresh"
            )
        return sentences


class _Walk:
    """The state of the rule while it walks over the layers."""

    def __init__(self, program: Program, sram_bytes: int) -> None:
        self._program = program
        self._sram_bytes = sram_bytes
        self._resident: dict[int, int] = {}  # tensor -> bytes
        self._resident_bytes = 0
        self._just_spilled = False
        self._in_ddr: set[int] = {
            index for index, tensor in enumerate(program.tensors) if tensor.kind.value == "input"
        }
        self.moves: list[tuple[int, int, int, int]] = []  # layer, tensor, read, written
        self.used_bytes: list[int] = []
        self.overflows: list[int] = []
        self.in_use: list[int] = []  # at the last step

    def step(self, position: int) -> None:
        layer = self._program.layers[position]
        if layer.is_view:
            self.in_use = list(self._resident)
            self.used_bytes.append(self._resident_bytes)
            return
        for index in layer.reads:
            if index not in self._resident:
                is_first_use = self._program.tensors[index].first == position
                if index in self._in_ddr and (is_first_use or not self._just_spilled):
                    self._move(position, index, read=True)
                self._keep(index)
        for index in (*layer.writes, *layer.weights):
            self._keep(index)
        used = self._resident_bytes
        self.used_bytes.append(used)
        self.in_use = list(self._resident)
        for index in layer.weights:
            self._move(position, index, read=True)
        self._just_spilled = used > self._sram_bytes
        if self._just_spilled:
            self.overflows.append(position)
            for index in self._resident:
                self._move(position, index, read=False)
            self._in_ddr.update(self._resident)
            self._resident.clear()
            self._resident_bytes = 0
        else:
            for index in layer.weights:
                self._move(position, index, read=False)

    def _keep(self, index: int) -> None:
        size = self._program.tensors[index].bytes
        self._resident[index] = size
        self._resident_bytes += size

    def _move(self, position: int, index: int, *, read: bool) -> None:
        size = self._program.tensors[index].bytes
        self.moves.append((position, index, size if read else 0, 0 if read else size))
