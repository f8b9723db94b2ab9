"""The best order of the layers of a program, segment by segment.

A layer that all earlier ones lead to and that leads to all later ones has its place; what stands between two of these
is a segment that is ordered by itself (`order_search`). Which concatenations copy nothing is decided for a whole order
(`buffers`), so a segment is searched with several choices of them, and what is found is judged by the buffers that it
then has.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain, combinations
from typing import NamedTuple

import numpy as np

from perfsim.placement.buffers import Buffers, buffers_joined, buffers_of, may_write_over
from perfsim.placement.order_search import Segment, Steps, lowest_peak, lowest_sum
from perfsim.placement.placement import Counts
from perfsim.program import Kind, Program

PEAK_STEPS = 200_000  # of the search for the lowest peak in a network, about half a second
SUM_STEPS = 100_000  # of the search for the lowest sum
SUBSETS_OF = 3  # so many concatenations of a segment are tried in all combinations
WIDEST = 1000  # states that the search for the lowest sum follows at a time


class Live(NamedTuple):
    """What an order is judged by: bytes of feature maps live at any layer, the most and then the sum over layers."""

    peak_bytes: int
    sum_bytes: int


def live_of(program: Program) -> Live:
    """The bytes of feature maps that are live in `program`, were all of them internal."""
    live = _live_bytes(program)
    return Live(int(live.max()), int(live.sum()))


def in_order(program: Program, order: Sequence[int]) -> Program:
    """`program` with its layers in another order: what lowering the reordered network gives."""
    place = {old: new for new, old in enumerate(order)}
    touching: dict[int, list[int]] = {}
    for old, layer in enumerate(program.layers):
        for index in (*(() if layer.is_view else (*layer.reads, *layer.writes)), *layer.weights):
            touching.setdefault(index, []).append(place[old])
    tensors = tuple(
        replace(tensor, first=min(touching[index]), last=max(touching[index]))
        if index in touching
        else tensor
        for index, tensor in enumerate(program.tensors)
    )
    layers = tuple(program.layers[old] for old in order)
    return replace(program, layers=layers, tensors=tensors)


def _live_bytes(program: Program) -> Counts:
    buffers = buffers_of(program)
    return buffers.live_bytes(np.ones(len(buffers.bytes), dtype=bool))


def best_order(program: Program, needs: list[list[int]]) -> list[int]:
    """The positions of the layers in the best order found; as given where no other is better.

    needs: for each layer the positions of those that it needs, ascending.
    """
    order = _Ordering(program, needs).order()
    better = live_of(in_order(program, order)) < live_of(program)
    return order if better else list(range(len(order)))


class _Ordering:
    """The search over a whole program."""

    def __init__(self, program: Program, needs: list[list[int]]) -> None:
        self._program = program
        self._needs = needs
        self._spans = list(_segments(needs))

    def order(self) -> list[int]:
        order = list(range(len(self._program.layers)))
        given = _live_bytes(self._program)
        fixed = np.ones(len(order), dtype=bool)
        for first, end in self._spans:
            fixed[first:end] = False
        floor = max(int(given[fixed].max(initial=0)), *map(self._least_bytes, order))
        searches = [
            _SegmentSearch(self._program, self._needs, first, end) for first, end in self._spans
        ]
        steps = Steps(PEAK_STEPS)
        for search in searches:
            search.lower_peak(floor, steps)
            floor = max(floor, search.peak_bytes(floor))
        open_layers = sum(search.end - search.first for search in searches)
        for search in searches:
            search.lower_sum(floor, SUM_STEPS * (search.end - search.first) // open_layers)
            order[search.first : search.end] = search.best(floor)
        return order

    def _least_bytes(self, position: int) -> int:
        """What is live at a layer in any order: what it touches, less what it may write over or join."""
        layer = self._program.layers[position]
        if layer.is_view:
            return 0
        tensors = self._program.tensors
        read = [tensors[index].bytes for index in dict.fromkeys(layer.reads)]
        written = sum(tensors[index].bytes for index in layer.writes)
        if layer.operator.joined_along() is not None:
            return max(sum(read), written)
        overlaps = any(may_write_over(self._program, layer, index) for index in layer.reads)
        return sum(read) + (0 if overlaps else written)


def _segments(needs: list[list[int]]) -> Iterator[tuple[int, int]]:
    """The ranges of positions, each ending with its layer of a fixed place, in which there is a choice."""
    layers = len(needs)
    last_reader = [-1] * layers
    for position, before in enumerate(needs):
        for each in before:
            last_reader[each] = position
    last_source = max((position for position in range(layers) if not needs[position]), default=0)
    first = 0
    furthest = -1  # the last layer that reads what stands before `position`
    for position in range(layers):
        is_fixed = position >= last_source and furthest <= position
        if is_fixed:
            if not is_chain(needs[first : position + 1], first):
                yield first, position + 1
            first = position + 1
        # What nobody reads may stand anywhere behind what it needs.
        furthest = max(furthest, last_reader[position] if last_reader[position] >= 0 else layers)
    if first < layers and not is_chain(needs[first:], first):
        yield first, layers


def is_chain(needs: list[list[int]], first: int = 0) -> bool:
    """Whether each of these layers, of which the first is at `first`, needs the one before it: there is one order."""
    return all(before[-1:] == [first + at] for at, before in enumerate(needs[1:]))


class _SegmentSearch:
    """Orders of one segment, and the buffers that they give.

    Attributes:
        first, end: the range of positions.
    """

    def __init__(self, program: Program, needs: list[list[int]], first: int, end: int) -> None:
        self.first, self.end = first, end
        self._program = program
        self._needs = needs
        self._given = tuple(range(first, end))
        self._found: dict[tuple[int, ...], Live] = {}
        self._segments = [self._segment(joined) for joined in self._choices_of_joins()]
        self._add(range(end - first))

    def lower_peak(self, floor_bytes: int, steps: Steps) -> None:
        """Look for orders with a low peak, which need not be below `floor_bytes`."""
        for segment in self._segments:
            below = self.peak_bytes(floor_bytes)
            self._add(lowest_peak(segment, floor_bytes, below, steps))

    def lower_sum(self, limit_bytes: int, steps: int) -> None:
        """Look for orders with a low sum whose peak stays within a limit."""
        layers = self.end - self.first
        # A step for each layer that is ready, of which there are rarely more than a few at a time.
        width = steps // (len(self._segments) * 4 * layers)
        for segment in self._segments:
            self._add(lowest_sum(segment, limit_bytes, min(max(width, 1), WIDEST)))

    def best(self, floor_bytes: int) -> tuple[int, ...]:
        """The positions in the best order: the lowest peak above the floor, then the lowest sum, then as given."""
        return min(
            self._found,
            key=lambda order: (
                max(floor_bytes, self._found[order].peak_bytes),
                self._found[order].sum_bytes,
                order,
            ),
        )

    def peak_bytes(self, floor_bytes: int) -> int:
        """The peak of the best order so far."""
        return self._found[self.best(floor_bytes)].peak_bytes

    def _add(self, layers_of_segment: Iterable[int] | None) -> None:
        if layers_of_segment is None:
            return
        order = tuple(self.first + layer for layer in layers_of_segment)
        if order not in self._found:
            layers = len(self._program.layers)
            whole = [*range(self.first), *order, *range(self.end, layers)]
            live = _live_bytes(in_order(self._program, whole))[self.first : self.end]
            self._found[order] = Live(int(live.max()), int(live.sum()))

    def _choices_of_joins(self) -> list[list[int]]:
        """Sets of concatenations that copy nothing: those of the given order outside, several choices inside."""
        program = self._program
        given = np.flatnonzero(buffers_of(program).joined).tolist()
        inside = [
            position
            for position in self._given
            if program.layers[position].operator.joined_along() is not None
        ]
        outside = [position for position in given if not self.first <= position < self.end]
        chosen: list[tuple[int, ...]]
        if len(inside) <= SUBSETS_OF:
            sizes = range(len(inside), -1, -1)
            chosen = list(chain.from_iterable(combinations(inside, size) for size in sizes))
        else:
            chosen = [tuple(each for each in inside if each in given), tuple(inside), ()]
        return [sorted({*outside, *each}) for each in dict.fromkeys(chosen)]

    def _segment(self, joined: list[int]) -> Segment:
        program, first, end = self._program, self.first, self.end
        buffers = buffers_joined(program, joined)
        before, after = 1 << end - first, 2 << end - first
        masks: dict[int, int] = {}
        for buffer, (start, stop) in enumerate(
            zip(buffers.first.tolist(), buffers.last.tolist(), strict=True)
        ):
            if start < end and stop >= first:
                masks[buffer] = (before if start < first else 0) | (after if stop >= end else 0)
        touched = [_buffers_touched(program, buffers, position) for position in self._given]
        for layer, touches in enumerate(touched):
            for buffer in touches:
                masks[buffer] |= 1 << layer
        sizes = buffers.bytes.tolist()
        needs = [
            sum(1 << each - first for each in self._needs[position] if each >= first)
            for position in self._given
        ]
        followers: list[list[int]] = [[] for _ in needs]
        for position in self._given:
            for each in self._needs[position]:
                if each >= first:
                    followers[each - first].append(position - first)
        members = np.bincount(buffers.of[buffers.of >= 0], minlength=len(sizes)).tolist()
        kept = {
            int(buffers.of[index])
            for index, tensor in enumerate(program.tensors)
            if tensor.kind is not Kind.FEATURE_MAP and buffers.of[index] >= 0
        }
        written_over = []
        for position in self._given:
            size, over = _written_over(program, buffers, position, members, kept)
            written_over.append((size, [masks[buffer] for buffer in over]))
        return Segment(
            needs=needs,
            followers=followers,
            touches=[[(sizes[each], masks[each]) for each in touches] for touches in touched],
            written_over=written_over,
            live_bytes=sum(sizes[buffer] for buffer, mask in masks.items() if mask & before),
        )


def _buffers_touched(program: Program, buffers: Buffers, position: int) -> list[int]:
    layer = program.layers[position]
    if layer.is_view:
        return []
    return list(dict.fromkeys(int(buffers.of[index]) for index in (*layer.reads, *layer.writes)))


def _written_over(
    program: Program, buffers: Buffers, position: int, members: list[int], kept: set[int]
) -> tuple[int, list[int]]:
    """(bytes of the output, buffers that it may take over once nobody else needs them) of an element-wise layer."""
    layer = program.layers[position]
    if layer.is_view or len(layer.writes) != 1:
        return 0, []
    own = int(buffers.of[layer.writes[0]])
    if members[own] != 1:
        return 0, []
    size = int(buffers.bytes[own])
    read = list(dict.fromkeys(layer.reads))
    over = []
    for index in read:
        buffer = int(buffers.of[index])
        alone = sum(int(buffers.of[each]) == buffer for each in read) == 1
        covers = buffers.offset[index] == 0 and buffers.bytes[buffer] == size
        if alone and covers and buffer not in kept and may_write_over(program, layer, index):
            over.append(buffer)
    return size, over
