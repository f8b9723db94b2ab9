"""From how much memory on each tensor stays internal: thresholds that do not depend on the machine.

    all buffers of feature maps are internal at first, and, where they are asked for, all weights stay pinned
    repeat: take the layer that needs most: live bytes, and tiles with which all that is external moves once;
            its threshold is that many bytes
            of what lies there one leaves

Which one: first a buffer that costs nothing (a network input that has one reader, an output that has none: they
cross the bus once wherever they lie); then the largest pinned weights, which save one transfer where a feature map
saves two; then the buffer whose next use is furthest (Belady, IBM Systems Journal 5(2), 1966), of equals the one
with fewest extra transfers, then the larger, then the earlier.

A threshold that would lie above the one before it is that one: so what is internal only grows with the memory.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from perfsim.per_object import per_object
from perfsim.placement.buffers import buffers_of
from perfsim.placement.placement import UNLIMITED, Counts, Flags, touches_of
from perfsim.placement.plan import streams_of
from perfsim.program import Kind, Program


@dataclass(frozen=True, eq=False)
class Uses:
    """Who touches what, per program.

    Attributes:
        arrives, leaves: of shape (touches,): the first read of a network input, the write of an output.
        extra_bytes: of shape (buffers,): what crosses the bus more when the buffer is external.
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


@dataclass(frozen=True, eq=False)
class Thresholds:
    """The least SRAM [bytes] from which things are internal.

    Attributes:
        buffers: each buffer of feature maps, shape (buffers,).
        weights: each tensor that holds weights, shape (tensors,); what never stays has none (`UNLIMITED`).
    """

    buffers: Counts
    weights: Counts


def thresholds_of(
    program: Program, *, double_buffered: bool = False, pinned: bool = False
) -> Thresholds:
    """The thresholds of `program`; made once for each pair of settings.

    double_buffered: whether every tile has a second buffer. pinned: whether weights may stay between inferences.
    """
    known = _known_thresholds(program)
    key = (double_buffered, pinned)
    if key not in known:
        eviction = _Eviction(program, 2 if double_buffered else 1, pinned=pinned)
        known[key] = eviction.thresholds()
    return known[key]


@per_object
def _known_thresholds(_: Program) -> dict[tuple[bool, bool], Thresholds]:
    return {}


def _weights_by_size(program: Program) -> list[int]:
    """The tensors that hold weights, the largest last."""
    weights = [index for index, tensor in enumerate(program.tensors) if tensor.kind is Kind.WEIGHT]
    return sorted(weights, key=lambda index: (program.tensors[index].bytes, -index))


class _Eviction:
    """Takes what is internal out of memory, one by one, until nothing is left.

    copies: tiles in memory for each that is worked on. pinned: whether weights stay at first.
    """

    def __init__(self, program: Program, copies: int, *, pinned: bool) -> None:
        touches, streams, buffers = touches_of(program), streams_of(program), buffers_of(program)
        self._buffers, self._copies, self._uses = buffers, copies, uses_of(program)
        self._least = streams.least_bytes
        self._layers = len(program.layers)
        self._sizes = np.array([tensor.bytes for tensor in program.tensors], dtype=np.int64)
        self._pinned = _weights_by_size(program) if pinned else []
        self._resident = np.ones(len(buffers.bytes), dtype=bool)
        self._live = buffers.live_bytes(self._resident)
        self._mask = np.where(streams.weight_bytes > 0, streams.weight_bit, 0)
        self._pieces = np.zeros(self._layers, dtype=np.int64)
        weights = touches.is_weight
        np.add.at(self._pieces, touches.layer[weights], streams.piece_bytes[weights])
        passing = np.flatnonzero(streams.streams)
        of = buffers.of[touches.tensor[passing]]
        order = np.argsort(of, kind="stable")
        self._bounds = np.searchsorted(of[order], np.arange(len(buffers.bytes) + 1))
        passing = passing[order]
        self._touch_layer = touches.layer[passing]
        self._touch_bit = streams.operand_bit[passing]
        self._touch_piece = streams.piece_bytes[passing]

    def thresholds(self) -> Thresholds:
        buffers = np.zeros(len(self._buffers.bytes), dtype=np.int64)
        weights = np.full(len(self._sizes), UNLIMITED)
        need = self._need(np.arange(self._layers))
        exhausted = np.zeros(self._layers, dtype=bool)  # nothing can leave there any more
        pinned_bytes = int(self._sizes[self._pinned].sum())
        least = UNLIMITED
        while self._resident.any() or self._pinned:
            peak = int(np.where(exhausted, -1, need).argmax())
            victim = self._victim(peak)
            if victim is None and not self._pinned:
                exhausted[peak] = True
                continue
            least = min(least, int(need[peak]) + pinned_bytes)
            if self._pinned and (victim is None or self._uses.extra_bytes[victim]):
                weight = self._pinned.pop()
                weights[weight] = least
                pinned_bytes -= int(self._sizes[weight])
            elif victim is not None:
                buffers[victim] = least
                changed = self._leave(victim)
                need[changed] = self._need(changed)
        return Thresholds(buffers, weights)

    def _need(self, layers: Counts) -> Counts:
        """Live bytes, and tiles with which all that is external moves once."""
        tiles = self._copies * self._least[layers, self._mask[layers]]
        return np.asarray(self._live[layers] + tiles + self._pieces[layers])

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
        np.add.at(self._pieces, layers, self._touch_piece[touched])
        return np.arange(first, last + 1)
