"""Feature maps live from their producer to their last reader; what does not fit goes to DDR.

Each buffer (`buffers`) has a threshold: it lies in internal memory on every machine that has at least so many bytes,
and in DDR on the others, for its whole life. The thresholds do not depend on the machine:

    all buffers are internal at first
    repeat: take the layer that needs most: live bytes, and tiles with which all that is external moves once;
            its threshold is that many bytes
            of the buffers live there, one leaves

Which one: first those that cost nothing (a network input that has one reader, an output that has none: they cross the
bus once wherever they lie); then the one whose next use is furthest (Belady, IBM Systems Journal 5(2), 1966); of
equals the one with fewest extra transfers, then the larger, then the earlier.

So the set of internal buffers only grows with the memory, and a buffer comes in only where every layer that it lives
through moves all its operands just once: with more memory no layer moves more, so more memory is never slower. Weights
are streamed in once per inference; the feature maps go first.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from perfsim.per_object import per_object
from perfsim.placement.buffers import buffers_of
from perfsim.placement.placement import Counts, Flags, Placement, touches_of
from perfsim.placement.plan import Choice, Spans, in_use, placement_of, streams_of
from perfsim.program import Kind, Program


class Liveness:
    """Feature maps are freed after their last reader; what does not fit goes to DDR."""

    name = "liveness"
    rule = "feature maps are freed after their last reader; what does not fit goes to DDR (default)"

    def place(
        self, program: Program, sram_bytes: int, *, double_buffered: bool = False
    ) -> Placement:
        """The placement of `program` in `sram_bytes`; raises MemoryTooSmallError."""
        thresholds = thresholds_of(program, double_buffered=double_buffered)
        choice = whole_lives(program, sram_bytes >= thresholds)
        return placement_of(program, choice, sram_bytes, self.name, double_buffered=double_buffered)

    def in_use(
        self, program: Program, placement: Placement, position: int
    ) -> list[tuple[str, int]]:
        """The internal feature maps live at the layer at `position`, its weights if internal, and tiles."""
        return in_use(program, placement, position)

    def explain(self, program: Program, placement: Placement, position: int) -> list[str]:
        """Why each tensor of the layer at `position` is internal or external."""
        touches, buffers = touches_of(program), buffers_of(program)
        thresholds = thresholds_of(program)
        sentences = []
        for touch in np.flatnonzero(touches.layer == position):
            index = int(touches.tensor[touch])
            tensor = program.tensors[index]
            where = "internal" if placement.internal[touch] else "external"
            if tensor.kind is Kind.WEIGHT:
                room = "the feature maps leave room for them"
                if where == "external":
                    room = "the feature maps leave no room for all of them at once"
                sentences.append(f"weights ({tensor.bytes:,} bytes), {where}: streamed in; {room}")
            else:
                sentences.append(
                    f"'{tensor.name}' ({tensor.bytes:,} bytes), {where}: internal from "
                    f"{int(thresholds[buffers.of[index]]):,} bytes of SRAM; there are "
                    f"{placement.sram_bytes:,}"
                )
        return sentences


def whole_lives(program: Program, present: Flags) -> Choice:
    """The choice that keeps the `present` buffers, shape (buffers,), in internal memory for their whole lives.

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
        pinned=np.zeros(len(program.tensors), dtype=bool),
    )


@dataclass(frozen=True, eq=False)
class Uses:
    """Who touches what, per program.

    Attributes:
        arrives, leaves: of shape (touches,): the first read of a network input, the write of an output.
        extra_bytes: of shape (buffers,): what crosses the bus more when the buffer is external than when it is internal.
        reads: for each buffer the layers that read it, in order.
    """

    arrives: Flags
    leaves: Flags
    extra_bytes: Counts
    reads: tuple[tuple[int, ...], ...]


@per_object
def uses_of(program: Program) -> Uses:
    """The uses of the buffers of `program`; made once per program."""
    touches, buffers, streams = touches_of(program), buffers_of(program), streams_of(program)
    kinds = np.array([_KINDS.get(tensor.kind, 0) for tensor in program.tensors], dtype=np.int64)
    firsts = np.array([tensor.first for tensor in program.tensors], dtype=np.int64)
    kind = kinds[touches.tensor]
    arrives = (kind == _INPUT) & (firsts[touches.tensor] == touches.layer)
    leaves = (kind == _OUTPUT) & touches.is_write
    passing = streams.streams
    extra = np.zeros(len(buffers.bytes), dtype=np.int64)
    counted = passing & ~arrives & ~leaves
    np.add.at(extra, buffers.of[touches.tensor[counted]], touches.bytes[counted])
    reads: list[list[int]] = [[] for _ in buffers.bytes]
    is_read = passing & ~touches.is_write
    pairs = zip(touches.layer[is_read].tolist(), touches.tensor[is_read].tolist(), strict=True)
    for position, tensor in pairs:
        reads[buffers.of[tensor]].append(position)
    return Uses(arrives, leaves, extra, tuple(map(tuple, reads)))


_INPUT, _OUTPUT = 1, 2
_KINDS = {Kind.INPUT: _INPUT, Kind.OUTPUT: _OUTPUT}


def thresholds_of(program: Program, *, double_buffered: bool = False) -> Counts:
    """The least SRAM [bytes] with which each buffer is internal, shape (buffers,); made once per program."""
    return _double_thresholds(program) if double_buffered else _thresholds(program)


@per_object
def _thresholds(program: Program) -> Counts:
    return _Eviction(program, 1).thresholds()


@per_object
def _double_thresholds(program: Program) -> Counts:
    return _Eviction(program, 2).thresholds()


class _Eviction:
    """Takes buffers out of internal memory, one by one, until none is left.

    copies: tiles in memory for each that is worked on.
    """

    def __init__(self, program: Program, copies: int) -> None:
        touches, streams, buffers = touches_of(program), streams_of(program), buffers_of(program)
        self._buffers, self._copies, self._uses = buffers, copies, uses_of(program)
        self._least = streams.least_bytes
        self._layers = len(program.layers)
        self._resident = np.ones(len(buffers.bytes), dtype=bool)
        self._live = buffers.live_bytes(self._resident)
        self._mask = np.where(streams.weight_bytes > 0, streams.weight_bit, 0)
        self._rows = np.zeros(self._layers, dtype=np.int64)
        weights = touches.is_weight
        np.add.at(self._rows, touches.layer[weights], streams.row_bytes[weights])
        passing = np.flatnonzero(streams.streams)
        of = buffers.of[touches.tensor[passing]]
        order = np.argsort(of, kind="stable")
        self._bounds = np.searchsorted(of[order], np.arange(len(buffers.bytes) + 1))
        passing = passing[order]
        self._touch_layer = touches.layer[passing]
        self._touch_bit = streams.operand_bit[passing]
        self._touch_row = streams.row_bytes[passing]

    def thresholds(self) -> Counts:
        thresholds = np.zeros(len(self._buffers.bytes), dtype=np.int64)
        need = self._need(np.arange(self._layers))
        least = np.iinfo(np.int64).max
        while self._resident.any():
            peak = int(need.argmax())
            victim = self._victim(peak)
            if victim is None:
                need[peak] = -1  # nothing can leave there any more
                continue
            least = min(least, int(need[peak]))
            thresholds[victim] = least
            changed = self._leave(victim)
            need[changed] = np.where(need[changed] < 0, -1, self._need(changed))
        return thresholds

    def _need(self, layers: Counts) -> Counts:
        """Live bytes, and tiles with which all that is external moves once."""
        tiles = self._copies * self._least[layers, self._mask[layers]]
        return np.asarray(self._live[layers] + tiles + self._rows[layers])

    def _victim(self, peak: int) -> int | None:
        """The buffer that leaves first of those live at the layer `peak`."""
        buffers = self._buffers
        live = self._resident & (buffers.first <= peak) & (peak <= buffers.last)
        candidates = np.flatnonzero(live).tolist()
        return min(candidates, key=lambda each: self._rank(each, peak)) if candidates else None

    def _rank(self, buffer: int, peak: int) -> tuple[int, float, int, int]:
        size, extra = int(self._buffers.bytes[buffer]), int(self._uses.extra_bytes[buffer])
        next_use = next((use for use in self._uses.reads[buffer] if use > peak), peak)
        return (-next_use if extra else -self._layers, extra / max(size, 1), -size, buffer)

    def _leave(self, buffer: int) -> Counts:
        """Take `buffer` out; returns the layers whose need changes."""
        first, last = int(self._buffers.first[buffer]), int(self._buffers.last[buffer])
        self._resident[buffer] = False
        self._live[first : last + 1] -= self._buffers.bytes[buffer]
        touched = slice(int(self._bounds[buffer]), int(self._bounds[buffer + 1]))
        layers = self._touch_layer[touched]
        np.bitwise_or.at(self._mask, layers, self._touch_bit[touched])
        np.add.at(self._rows, layers, self._touch_row[touched])
        return np.arange(first, last + 1)
