"""Feature maps live from their producer to their last reader; what does not fit goes to DDR.

Each buffer (`buffers`) has a threshold (`eviction`): it lies in internal memory on every machine that has at least so
many bytes, and in DDR on the others, for its whole life. The thresholds do not depend on the machine. So the set of
internal buffers only grows with the memory, and a buffer comes in only where every layer that it lives through moves
all its operands just once: with more memory no layer moves more. Weights are streamed
in once per inference; the feature maps go first.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from perfsim.placement.buffers import buffers_of
from perfsim.placement.eviction import Thresholds, thresholds_of, uses_of
from perfsim.placement.placement import Flags, Placement, between, touches_of
from perfsim.placement.plan import Choice, Planned, Spans, placement_of
from perfsim.program import Kind, Program


class Liveness(Planned):
    """Feature maps are freed after their last reader; what does not fit goes to DDR."""

    name = "liveness"
    rule = "feature maps are freed after their last reader; what does not fit goes to DDR (default)"
    searches = False

    def place(
        self, program: Program, sram_bytes: int, *, double_buffered: bool = False
    ) -> Placement:
        """The placement of `program` in `sram_bytes`; raises MemoryTooSmallError."""
        thresholds = thresholds_of(program, double_buffered=double_buffered)
        choice = threshold_choice(program, thresholds, sram_bytes)
        return placement_of(program, choice, sram_bytes, self.name, double_buffered=double_buffered)

    def explain(self, program: Program, placement: Placement, position: int) -> list[str]:
        """Why each tensor of the layer at `position` is internal or external."""
        return threshold_reasons(program, placement, position, pinned=False)


def threshold_reasons(
    program: Program, placement: Placement, position: int, *, pinned: bool
) -> list[str]:
    """A sentence for each tensor of the layer at `position`, with its threshold.

    pinned: whether weights may stay between inferences.
    """
    doubled = placement.double_buffered
    thresholds = thresholds_of(program, double_buffered=doubled, pinned=pinned)

    def of_map(touch: int) -> str:
        buffer = buffers_of(program).of[touches_of(program).tensor[touch]]
        threshold = int(thresholds.buffers[buffer])
        return f"internal from {threshold:,} bytes of SRAM; there are {placement.sram_bytes:,}"

    return reasons(program, placement, position, of_map)


def reasons(
    program: Program, placement: Placement, position: int, of_map: Callable[[int], str]
) -> list[str]:
    """A sentence for each tensor of the layer at `position`; `of_map` says it for a touch of a feature map."""
    touches = touches_of(program)
    sentences = []
    for touch in np.flatnonzero(touches.layer == position):
        index = int(touches.tensor[touch])
        tensor = program.tensors[index]
        where = "internal" if placement.internal[touch] else "external"
        if tensor.kind is not Kind.WEIGHT:
            reason = of_map(int(touch))
        elif placement.pinned[index]:
            reason = "pinned: they stay there from the first inference on"
        elif where == "internal":
            reason = "streamed in; the feature maps leave room for them"
        else:
            reason = "streamed in; the feature maps leave no room for all of them at once"
        name = "weights" if tensor.kind is Kind.WEIGHT else f"'{tensor.name}'"
        sentences.append(f"{name} ({tensor.bytes:,} bytes), {where}: {reason}")
    sentences += _shared(program, position)
    tiling = placement.tilings.get(position)
    if tiling is not None:
        sizes = dict(tiling.tile)
        loops = ", ".join(f"{loop} by {sizes[loop]}" for loop in tiling.order)
        sentences.append(
            f"it does not fit, so it runs in {tiling.tiles:,} tiles, which take {tiling.buffer_bytes:,} bytes; loops "
            f"from the outermost to the innermost: {loops}"
        )
    return sentences


def _shared(program: Program, position: int) -> list[str]:
    """What the layer at `position` writes into memory that it shares."""
    buffers, layer = buffers_of(program), program.layers[position]
    if buffers.joined[position]:
        return [
            "its inputs lie one behind the other in the memory of its output: nothing is copied"
        ]
    return [
        f"'{program.tensors[output].name}' is written over '{program.tensors[index].name}'"
        for output in layer.writes
        for index in dict.fromkeys(layer.reads)
        if buffers.of[output] == buffers.of[index] >= 0 and index != output
        if buffers.offset[output] == buffers.offset[index]
    ]


def threshold_choice(program: Program, thresholds: Thresholds, sram_bytes: int) -> Choice:
    """The choice that keeps inside all whose thresholds `sram_bytes` reaches."""
    choice = whole_lives(
        program, sram_bytes >= thresholds.buffers, sram_bytes >= thresholds.weights
    )
    reached = np.concatenate([thresholds.buffers, thresholds.weights])
    return replace(choice, capacities=between(reached, sram_bytes))


def whole_lives(program: Program, present: Flags, pinned: Flags | None = None) -> Choice:
    """The choice that keeps the `present` buffers, shape (buffers,), in internal memory for their whole lives.

    pinned: the weights that stay between inferences, shape (tensors,); none unless given.

    A network input is read once, by its first reader, and an output is written by its producer.
    """
    touches, buffers, uses = touches_of(program), buffers_of(program), uses_of(program)
    resident = ~touches.is_weight & present[buffers.of[touches.tensor]]
    chosen = np.flatnonzero(present)
    return Choice(
        resident=resident,
        arrives=resident & uses.arrives,
        leaves=resident & uses.leaves,
        spans=Spans(chosen, buffers.first[chosen], buffers.last[chosen]),
        pinned=np.zeros(len(program.tensors), dtype=bool) if pinned is None else pinned,
    )
