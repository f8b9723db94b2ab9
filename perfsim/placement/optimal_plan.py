"""What a plan of residency comes to: from the gaps that values are kept through to bytes and a `Choice`.

A value is a feature map: written once or given, touched by layers one after the other. A gap lies between two
touches of one value that follow each other; a plan says through which gaps values are kept in internal memory. All
else follows, and is the best for these gaps:

- What is kept up to a touch, or from it on, lies in internal memory there. Other touches stream, or lie there whole for
  the layer alone if that spares tiles.
- A value is written to external memory once, by its producer, if it is an output or if anything reads it there.
- A joined concatenation moves nothing. Its output lies inside if it is kept on; then all its parts must, and those
  that do not are read. Outside it lies where its parts do, so they must have been written.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise, product
from typing import TYPE_CHECKING

import numpy as np

from perfsim.placement.buffers import buffers_of
from perfsim.placement.optimal_needs import INFEASIBLE
from perfsim.placement.placement import Counts, Flags, touches_of
from perfsim.placement.plan import Choice, Spans, streams_of
from perfsim.program import Kind

if TYPE_CHECKING:
    from perfsim.placement.optimal_needs import Needs
    from perfsim.program import Program

# With more touches at one layer, all or none of those that nothing keeps lie whole in memory.
MOST_OPTIONAL = 6


class Lives:
    """The touches of the values of a program, linked. Arrays of shape (touches,) unless said.

    Attributes:
        previous, next: the neighbouring touches of the same value; -1 for none.
        is_map: whether it is a touch of a value (else of weights).
        joined: whether the layer is a concatenation that moves nothing.
        buffer: where the value lies; -1 for weights.
        streaming: for each layer the touches of values that move unless resident, as lists.
        parts: for each joined concatenation (its write) the touches of its parts.
        is_output, is_input: of shape (tensors,).
    """

    def __init__(self, program: Program) -> None:
        touches, buffers = touches_of(program), buffers_of(program)
        self.program, self.touches, self.buffers = program, touches, buffers
        self.is_map = ~touches.is_weight
        self.joined = self.is_map & buffers.joined[touches.layer]
        self.buffer = np.where(self.is_map, buffers.of[touches.tensor], -1)
        self.previous = np.full(len(touches.layer), -1)
        self.next = np.full(len(touches.layer), -1)
        maps = np.flatnonzero(self.is_map)
        for touch, follower in pairwise(
            maps[np.argsort(touches.tensor[maps], kind="stable")].tolist()
        ):
            if touches.tensor[touch] == touches.tensor[follower]:
                self.next[touch], self.previous[follower] = follower, touch
        self.streaming: list[list[int]] = [[] for _ in program.layers]
        for touch in np.flatnonzero(streams_of(program).streams).tolist():
            self.streaming[touches.layer[touch]].append(touch)
        self.parts: dict[int, list[int]] = {}
        for write in np.flatnonzero(self.joined & touches.is_write).tolist():
            here = self.joined & (touches.layer == touches.layer[write]) & ~touches.is_write
            self.parts[write] = np.flatnonzero(here).tolist()
        kinds = [tensor.kind for tensor in program.tensors]
        self.is_output = np.array([kind is Kind.OUTPUT for kind in kinds], dtype=bool)
        self.is_input = np.array([kind is Kind.INPUT for kind in kinds], dtype=bool)

    def covered(self, gap: int) -> range:
        """The layers of the gap that begins at this touch, both ends included."""
        layer = self.touches.layer
        return range(int(layer[gap]), int(layer[self.next[gap]]) + 1)


@dataclass(frozen=True, eq=False)
class Plan:
    """A plan and its traffic.

    Attributes:
        kept: for each touch whether its value is kept to the next one, shape (touches,).
        resident: whether it lies whole in memory while the layer runs, shape (touches,).
        needed: whether each value is read from external memory or an output, shape (tensors,).
        traffic_bytes: all that is read and written.
    """

    kept: Flags
    resident: Flags
    needed: Flags
    traffic_bytes: int


def plan_of(lives: Lives, needs: Needs, sram_bytes: int, kept: Flags) -> Plan | None:
    """The best plan that keeps values through these gaps; None where it does not fit."""
    touches, previous = lives.touches, lives.previous
    arrived = (previous >= 0) & kept[
        previous
    ]  # a previous of -1 reads the last element, and is masked
    resident = lives.is_map & (kept | arrived)
    for write, parts in lives.parts.items():
        if kept[write]:
            resident[parts] = True
    needed = _needed(lives, arrived, resident)
    in_use = _buffers_in_use(lives, kept)
    excess = 0
    for position, here in enumerate(lives.streaming):
        if not here and not in_use[position]:
            continue
        options = _options(here, resident)
        free = sram_bytes - _bytes_in_use(lives, in_use[position], here, options)
        cost = needs.excess(position, here, options, free)
        best = np.lexsort((options.sum(axis=1), cost))[0]
        if cost[best] == INFEASIBLE:
            return None
        excess += int(cost[best])
        resident[here] = options[best]
    reads = lives.is_map & ~touches.is_write & ~arrived & (~lives.joined | resident)
    writes = touches.is_write & ~lives.joined & needed[touches.tensor]
    floor = touches.bytes[reads | writes | touches.is_weight].sum()
    return Plan(kept, resident, needed, int(floor) + excess)


def _needed(lives: Lives, arrived: Flags, resident: Flags) -> Flags:
    """Which values are read from external memory, or are outputs."""
    touches = lives.touches
    needed = lives.is_output.copy()
    outside = lives.is_map & ~touches.is_write & ~arrived & (~lives.joined | resident)
    needed[touches.tensor[outside]] = True
    for write in sorted(lives.parts, reverse=True):  # a part may be joined of parts itself
        if needed[touches.tensor[write]]:
            needed[touches.tensor[lives.parts[write]]] = True
    return needed


def _buffers_in_use(lives: Lives, kept: Flags) -> list[set[int]]:
    in_use: list[set[int]] = [set() for _ in lives.streaming]
    for gap in np.flatnonzero(kept).tolist():
        for position in lives.covered(gap):
            in_use[position].add(int(lives.buffer[gap]))
    return in_use


def _options(here: list[int], resident: Flags) -> Flags:
    """Which of the touches `here` lie whole in memory: all choices that a plan allows, shape (choices, touches)."""
    required = resident[here]
    optional = np.flatnonzero(~required)
    wide = len(optional) > MOST_OPTIONAL
    free = product((False, True), repeat=1 if wide else len(optional))
    chosen = np.array(list(free), dtype=bool)
    options = np.tile(required, (len(chosen), 1))
    if len(optional):
        options[:, optional] = chosen
    return options


def _bytes_in_use(lives: Lives, kept: set[int], here: list[int], options: Flags) -> Counts:
    """Bytes of the buffers that are kept, or that a choice has in memory, shape (choices,)."""
    sizes = lives.buffers.bytes
    total = np.full(len(options), sum(int(sizes[buffer]) for buffer in kept))
    by_buffer: dict[int, list[int]] = {}
    for at, touch in enumerate(here):
        by_buffer.setdefault(int(lives.buffer[touch]), []).append(at)
    for buffer, columns in by_buffer.items():
        if buffer not in kept:
            total += np.where(options[:, columns].any(axis=1), sizes[buffer], 0)
    return total


def choice_of(lives: Lives, plan: Plan, capacities: tuple[int, int] | None) -> Choice:
    """What the policy hands in for a plan; capacities: for which memories it is the same one."""
    touches = lives.touches
    arrived = (lives.previous >= 0) & plan.kept[lives.previous]
    resident = plan.resident
    return Choice(
        resident=resident,
        arrives=resident & ~touches.is_write & ~arrived,
        leaves=resident & touches.is_write & ~lives.joined & plan.needed[touches.tensor],
        spans=_spans(lives, plan),
        pinned=np.zeros(len(lives.program.tensors), dtype=bool),
        capacities=capacities,
    )


def _spans(lives: Lives, plan: Plan) -> Spans:
    """The kept gaps and the single layers of each buffer; those that share a layer are one span."""
    layer = lives.touches.layer
    pieces = [
        (int(lives.buffer[touch]), int(layer[touch]), int(layer[lives.next[touch]]))
        for touch in np.flatnonzero(plan.kept).tolist()
    ]
    pieces += [
        (int(lives.buffer[touch]), int(layer[touch]), int(layer[touch]))
        for touch in np.flatnonzero(plan.resident).tolist()
    ]
    merged: list[tuple[int, int, int]] = []
    for buffer, first, last in sorted(pieces):
        if merged and merged[-1][0] == buffer and first <= merged[-1][2]:
            merged[-1] = (buffer, merged[-1][1], max(merged[-1][2], last))
        else:
            merged.append((buffer, first, last))
    table = np.array(merged, dtype=np.int64).reshape(-1, 3)
    return Spans(table[:, 0], table[:, 1], table[:, 2])
