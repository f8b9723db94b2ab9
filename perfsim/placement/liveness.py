"""Feature maps live from their producer to their last reader; what does not fit goes to DDR.

Each feature map has a threshold: it lies in internal memory on every machine that has at least so many bytes, and
in DDR on the others, for its whole life. The thresholds do not depend on the machine:

    all feature maps are internal at first
    repeat: take the layer at which most bytes are live, the first such layer
            its threshold is that many bytes
            of the feature maps live there, one leaves

Which one: first those that cost nothing (a network input that has one reader, an output that has none: they cross the
bus once wherever they lie); then the one whose next use is furthest (Belady, IBM Systems Journal 5(2), 1966); of
equals the one with fewest extra transfers, then the larger, then the earlier. Measured on the bundled networks at 14
sizes from 64 KB to 2 MB, the extra traffic is 5 to 9 % above the least that any choice of whole lives has.

So the set of internal feature maps only grows with the memory, and with it nothing moves more: more memory is
never slower. Weights are streamed in once per inference. They are internal, as a whole, where the feature maps leave
them room, and else pass through; that changes no traffic, so the feature maps go first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from perfsim.per_object import per_object
from perfsim.placement.placement import Counts, Flags, Moves, Placement, per_layer, touches_of
from perfsim.program import Kind, Program, Tensor

if TYPE_CHECKING:
    from perfsim.placement.placement import Touches


class Liveness:
    """Feature maps are freed after their last reader; what does not fit goes to DDR."""

    name = "liveness"
    rule = "feature maps are freed after their last reader; what does not fit goes to DDR (default)"

    def place(self, program: Program, sram_bytes: int) -> Placement:
        """The placement of `program` in `sram_bytes`."""
        touches = touches_of(program)
        fits = sram_bytes >= thresholds_of(program)
        feature_map_bytes = _live_bytes(program, fits)
        weight_bytes = per_layer(
            touches.layer, np.where(touches.is_weight, touches.bytes, 0), touches.layers
        )
        weights_fit = feature_map_bytes + weight_bytes <= sram_bytes
        internal = np.where(touches.is_weight, weights_fit[touches.layer], fits[touches.tensor])
        moves = _moves(program, touches, internal)
        return Placement(
            policy=self.name,
            sram_bytes=sram_bytes,
            internal=internal,
            moves=moves,
            sram_used_bytes=feature_map_bytes + np.where(weights_fit, weight_bytes, 0),
            ddr_read_bytes=per_layer(moves.layer, moves.read_bytes, touches.layers),
            ddr_write_bytes=per_layer(moves.layer, moves.write_bytes, touches.layers),
        )

    def resident(self, program: Program, placement: Placement, position: int) -> list[int]:
        """The internal feature maps live at the layer at `position`, and its weights if internal."""
        fits = placement.sram_bytes >= thresholds_of(program)
        maps = [
            index
            for index, tensor in enumerate(program.tensors)
            if tensor.kind is not Kind.WEIGHT
            and fits[index]
            and tensor.first <= position <= tensor.last
        ]
        touches = touches_of(program)
        weights = touches.is_weight & (touches.layer == position) & placement.internal
        return maps + [int(index) for index in touches.tensor[weights]]

    def explain(self, program: Program, placement: Placement, position: int) -> list[str]:
        """Why each tensor of the layer at `position` is internal or external."""
        touches = touches_of(program)
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
                    f"{int(thresholds[index]):,} bytes of SRAM; there are {placement.sram_bytes:,}"
                )
        return sentences


@per_object
def thresholds_of(program: Program) -> Counts:
    """The least SRAM [bytes] with which each tensor is internal, shape (tensors,); weights 0."""
    thresholds = np.zeros(len(program.tensors), dtype=np.int64)
    feature_maps = [
        index
        for index, tensor in enumerate(program.tensors)
        if tensor.kind is not Kind.WEIGHT and tensor.first <= tensor.last
    ]
    first = np.array([program.tensors[index].first for index in feature_maps])
    last = np.array([program.tensors[index].last for index in feature_maps])
    resident = np.ones(len(feature_maps), dtype=bool)
    live_bytes = _live_bytes(program, np.ones(len(program.tensors), dtype=bool))
    uses = _uses(program)
    for _ in feature_maps:
        peak = int(live_bytes.argmax())
        candidates = np.flatnonzero(resident & (first <= peak) & (peak <= last))
        victim = min(
            candidates.tolist(), key=lambda each: _rank(program, uses, feature_maps[each], peak)
        )
        tensor = program.tensors[feature_maps[victim]]
        thresholds[feature_maps[victim]] = live_bytes[peak]
        live_bytes[tensor.first : tensor.last + 1] -= tensor.bytes
        resident[victim] = False
    return thresholds


def _rank(
    program: Program, uses: dict[int, list[int]], index: int, peak: int
) -> tuple[int, int, int, int]:
    """The order in which feature maps that are live at the layer `peak` leave: smallest first."""
    tensor = program.tensors[index]
    next_use = next((use for use in uses.get(index, []) if use > peak), peak)
    extra = _extra_transfers(tensor)
    return -next_use if extra else -len(program.layers), extra, -tensor.bytes, index


def _extra_transfers(tensor: Tensor) -> int:
    """How often more the tensor crosses the bus when it is external than when it is internal."""
    if tensor.kind is Kind.INPUT:
        return max(0, tensor.readers - 1)
    if tensor.kind is Kind.OUTPUT:
        return tensor.readers
    return tensor.readers + 1


def _uses(program: Program) -> dict[int, list[int]]:
    """The layers that read each tensor, in order."""
    uses: dict[int, list[int]] = {}
    for position, layer in enumerate(program.layers):
        if not layer.is_view:
            for index in dict.fromkeys(layer.reads):
                uses.setdefault(index, []).append(position)
    return uses


def _live_bytes(program: Program, internal: Flags) -> Counts:
    """Bytes of the internal feature maps live at each layer, shape (layers,)."""
    changes = np.zeros(len(program.layers) + 1, dtype=np.int64)
    first, beyond, sizes = _lives(program)
    present = np.where(internal, sizes, 0)
    np.add.at(changes, first, present)
    np.subtract.at(changes, beyond, present)
    return np.cumsum(changes)[:-1]


@per_object
def _lives(program: Program) -> tuple[Counts, Counts, Counts]:
    """(first layer, layer after the last, bytes) of each tensor; weights have no bytes here."""
    rows = [
        (tensor.first, tensor.last + 1, 0 if tensor.kind is Kind.WEIGHT else tensor.bytes)
        for tensor in program.tensors
    ]
    table = np.array(rows, dtype=np.int64)
    return table[:, 0], table[:, 1], table[:, 2]


def _moves(program: Program, touches: Touches, internal: Flags) -> Moves:
    """What crosses the bus at each touch.

    Weights come in. An external feature map is read by each reader and written by its producer; an
    internal network input is read once, by its first reader, and an internal network output is written.
    """
    kinds, firsts = _kinds(program)
    kind = kinds[touches.tensor]
    is_read = ~touches.is_weight & ~touches.is_write
    comes_in = (kind == _INPUT) & (firsts[touches.tensor] == touches.layer)
    reads = touches.is_weight | (is_read & (~internal | comes_in))
    writes = touches.is_write & (~internal | (kind == _OUTPUT))
    moved = reads | writes
    return Moves(
        layer=touches.layer[moved],
        tensor=touches.tensor[moved],
        read_bytes=np.where(reads, touches.bytes, 0)[moved],
        write_bytes=np.where(writes, touches.bytes, 0)[moved],
    )


_INPUT, _OUTPUT, _OTHER = 0, 1, 2


@per_object
def _kinds(program: Program) -> tuple[Counts, Counts]:
    """(whether each tensor is a network input, output or neither; its first layer)."""
    codes = {Kind.INPUT: _INPUT, Kind.OUTPUT: _OUTPUT}
    rows = [(codes.get(tensor.kind, _OTHER), tensor.first) for tensor in program.tensors]
    table = np.array(rows, dtype=np.int64)
    return table[:, 0], table[:, 1]
