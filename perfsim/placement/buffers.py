"""Which tensors share memory: an operator that works in place, and the parts of a concatenation.

A buffer is a run of bytes that holds one or more feature maps:

- An element-wise operator writes over an input of as many elements of the same width when nobody reads it afterwards.
- The inputs of a concatenation lie one behind the other in the buffer of its output, so that nothing is copied. This
  needs parts that are contiguous in the output (only axes of size 1 before the one that they are joined along).
  It reserves the whole buffer from the first part on, so it is done only where that does not raise the peak.

Network inputs keep a buffer of their own: the caller's data is not written over.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from perfsim.per_object import per_object
from perfsim.placement.placement import Counts, Flags, live_bytes
from perfsim.program import Kind

if TYPE_CHECKING:
    from collections.abc import Iterable

    from perfsim.program import Layer, Program


@dataclass(frozen=True, eq=False)
class Buffers:
    """Where feature maps lie relative to each other.

    Attributes:
        of: for each tensor of the program its buffer; -1 for weights and for what nothing touches.
        offset: for each tensor where it begins in its buffer [bytes].
        bytes: of each buffer.
        first, last: the first and the last layer that touches each buffer.
        joined: for each layer whether it is a concatenation that copies nothing.
    """

    of: Counts
    offset: Counts
    bytes: Counts
    first: Counts
    last: Counts
    joined: Flags

    def live_bytes(self, present: Flags) -> Counts:
        """Bytes of the `present` buffers that are live at each layer, shape (layers,)."""
        return live_bytes(
            self.first[present], self.last[present], self.bytes[present], len(self.joined)
        )


@dataclass(slots=True)
class _Buffer:
    bytes: int
    first: int
    last: int
    members: list[int] = field(default_factory=list)


@per_object
def buffers_of(program: Program) -> Buffers:
    """The buffers of `program`; made once per program."""
    return _Sharing(program).buffers()


def buffers_joined(program: Program, joins: Iterable[int]) -> Buffers:
    """The buffers when these concatenations copy nothing, as far as their parts allow it, and nothing is written over.

    joins: positions in `Program.layers`, in execution order. What orders of the layers are searched with: which
    concatenations do not raise the peak is known for a whole order only.
    """
    sharing = _Sharing(program)
    for position in joins:
        sharing.join(position)
    return sharing.result()


def may_write_over(program: Program, layer: Layer, index: int) -> bool:
    """Whether `layer` works in place and each element of the tensor `index` lies where one of its output goes.

    As many bytes are not enough: what is stretched and then quantised may have as many, and would be written over
    before it is read.
    """
    if not layer.operator.works_in_place or len(layer.writes) != 1:
        return False
    read, output = program.tensors[index], program.tensors[layer.writes[0]]
    return (read.elements, read.bits) == (output.elements, output.bits)


class _Sharing:
    def __init__(self, program: Program) -> None:
        self._program = program
        self._buffer: dict[int, _Buffer] = {}  # tensor -> its buffer
        self._offset: dict[int, int] = {}
        for index, tensor in enumerate(program.tensors):
            if tensor.kind is not Kind.WEIGHT and tensor.first <= tensor.last:
                self._buffer[index] = _Buffer(tensor.bytes, tensor.first, tensor.last, [index])
                self._offset[index] = 0
        self._joined = np.zeros(len(program.layers), dtype=bool)

    def buffers(self) -> Buffers:
        joins = [
            position
            for position, layer in enumerate(self._program.layers)
            if layer.operator.joined_along() is not None
        ]
        if joins:
            live = self._live_bytes()
            for position in joins:
                self.join(position, live)
        for position, layer in enumerate(self._program.layers):
            if not layer.is_view:
                self._write_over(position, layer)
        return self.result()

    def _live_bytes(self) -> Counts:
        live = np.zeros(len(self._program.layers), dtype=np.int64)
        for buffer in self._buffer.values():
            live[buffer.first : buffer.last + 1] += buffer.bytes
        return live

    def join(self, position: int, live: Counts | None = None) -> None:
        """Put the parts of a concatenation into one buffer, if they fit and that does not raise the peak.

        live: bytes that are live at each layer, brought up to date; without them the peak does not matter.
        """
        layer = self._program.layers[position]
        base = self._base(layer) if self._can_join(layer) else None
        if base is None:
            return
        output = layer.writes[0]
        gathered = {
            id(each): each for each in map(self._buffer.__getitem__, (*layer.reads, output))
        }
        old = list(gathered.values())
        merged = _Buffer(
            self._program.tensors[output].bytes,
            min(each.first for each in old),
            max(each.last for each in old),
            [index for each in old for index in each.members],
        )
        if live is not None:
            span = slice(merged.first, merged.last + 1)
            after = live[span] + merged.bytes
            for each in old:
                after[each.first - merged.first : each.last + 1 - merged.first] -= each.bytes
            if after.max() > live[span].max():
                return
            live[span] = after
        at = 0
        for index in layer.reads:
            self._offset.setdefault(index, 0)
            if self._buffer[index] is not base:
                self._offset[index] = at
            at += self._program.tensors[index].bytes
        self._offset[output] = 0
        for index in merged.members:
            self._buffer[index] = merged
        self._joined[position] = True

    def _can_join(self, layer: Layer) -> bool:
        axis = layer.operator.joined_along()
        output = self._program.tensors[layer.writes[0]]
        shape = layer.output_shapes[0]
        if axis is None or math.prod(shape[: axis % len(shape)]) != 1 or layer.weights:
            return False
        parts = [self._program.tensors[index] for index in layer.reads]
        return (
            output.kind is Kind.FEATURE_MAP
            and output.first <= output.last
            and len(set(layer.reads)) == len(layer.reads)
            and all(part.kind is not Kind.INPUT and part.bits == output.bits for part in parts)
            and all(part.elements * part.bits % 8 == 0 for part in parts)
            and sum(part.bytes for part in parts) == output.bytes
        )

    def _base(self, layer: Layer) -> _Buffer | None:
        """The buffer that the concatenation extends, or its first part's; None where the parts lie elsewhere."""
        base = self._buffer[layer.reads[0]]
        at = 0
        for index in layer.reads:
            buffer = self._buffer[index]
            if buffer is base and self._offset[index] == at:
                at += self._program.tensors[index].bytes
            elif len(buffer.members) > 1 or at < base.bytes:
                return None
            else:
                at += self._program.tensors[index].bytes
        return base if at >= base.bytes else None

    def _write_over(self, position: int, layer: Layer) -> None:
        """Give the output of an element-wise operator the buffer of an input that dies there."""
        output = layer.writes[0]
        own = self._buffer[output]
        if own.members != [output]:
            return
        for index in layer.reads:
            if not may_write_over(self._program, layer, index):
                continue
            buffer = self._buffer[index]
            kinds = {self._program.tensors[each].kind for each in buffer.members}
            if sum(self._buffer[each] is buffer for each in dict.fromkeys(layer.reads)) > 1:
                continue
            covers = self._offset[index] == 0 and self._program.tensors[index].bytes == buffer.bytes
            dies = kinds == {Kind.FEATURE_MAP} and buffer.last == position
            if covers and dies:
                buffer.members.append(output)
                buffer.last = own.last
                self._buffer[output] = buffer
                return

    def result(self) -> Buffers:
        distinct = list({id(each): each for each in self._buffer.values()}.values())
        number = {id(each): position for position, each in enumerate(distinct)}
        tensors = len(self._program.tensors)
        of, offset = np.full(tensors, -1, dtype=np.int64), np.zeros(tensors, dtype=np.int64)
        for index, buffer in self._buffer.items():
            of[index] = number[id(buffer)]
            offset[index] = self._offset[index]
        table = np.array(
            [(each.bytes, each.first, each.last) for each in distinct], dtype=np.int64
        ).reshape(-1, 3)
        return Buffers(of, offset, table[:, 0], table[:, 1], table[:, 2], self._joined)
