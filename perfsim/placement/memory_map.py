"""The map of internal memory: which tensor lies at which address while which layers run."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from perfsim.errors import InvalidValueError, MemoryTooSmallError
from perfsim.placement.address_buffers import least_height, make_buffers
from perfsim.placement.addresses import AddressPlan, plan_addresses
from perfsim.placement.buffers import buffers_of
from perfsim.placement.eviction import thresholds_of
from perfsim.placement.placement import Counts, Placement, PlacementPolicy, touches_of
from perfsim.placement.prefetch import layer_before, prefetch_bytes

if TYPE_CHECKING:
    from perfsim.program import Program

NODE_LIMIT = 12_000  # of the search for addresses: no clock, so that a map does not depend on the machine's speed


@dataclass(frozen=True, slots=True)
class Entry:
    """A run of internal memory and what lies there.

    Attributes:
        tensor: the tensor's name; of several that share the memory all of them, joined by " = ".
        kind: feature map, weight, prefetch (weights that come in while the layer before runs) or tiles.
        layer_from, layer_to: numbers of the first and the last layer, both included, from 1.
        address, bytes: where it begins, and how long it is.
    """

    tensor: str
    kind: str
    layer_from: int
    layer_to: int
    address: int
    bytes: int


@dataclass(frozen=True, eq=False)
class MemoryMap:
    """Addresses for everything internal.

    Attributes:
        placement: what was placed.
        entries: in the order of layers.
        addresses: the address plan, with its peak and its bound.
        alignment: of every address [bytes].
        given_bytes: the machine's memory; the placement was decided for less where fragmentation asked for it.
    """

    placement: Placement
    entries: tuple[Entry, ...]
    addresses: AddressPlan
    alignment: int
    given_bytes: int


def memory_map(
    policy: PlacementPolicy,
    program: Program,
    sram_bytes: int,
    *,
    double_buffered: bool = False,
    alignment: int = 1,
) -> MemoryMap:
    """The placement of `program` under `policy` with addresses for everything that is internal.

    When the addresses do not fit, the weights' prefetch is given up first, and then the policy decides again for
    less memory, one threshold after another, until they do.

    Raises InvalidValueError for a policy that keeps no plan of its memory, MemoryTooSmallError.
    """
    decided_for = sram_bytes
    while True:
        try:
            placement = policy.place(program, decided_for, double_buffered=double_buffered)
        except MemoryTooSmallError as error:
            if decided_for == sram_bytes:
                raise
            raise MemoryTooSmallError(
                f"no addresses at multiples of {alignment:,} bytes were found for any plan",
                found=f"{sram_bytes:,} bytes of internal memory",
                expected="more memory, or a smaller --alignment",
            ) from error
        if placement.spans is None:
            raise InvalidValueError(
                f"the placement '{policy.name}' keeps no plan of what lies where",
                expected="another, such as --placement liveness",
            )
        for with_prefetch in (True, False):
            entries = _entries(program, placement, with_prefetch=with_prefetch)
            plan = _planned(entries, sram_bytes, alignment)
            if plan.fits:
                placed = tuple(
                    replace(entry, address=int(address))
                    for entry, address in zip(entries, plan.offsets, strict=True)
                )
                return MemoryMap(placement, placed, plan, alignment, sram_bytes)
        decided_for = _next_smaller(program, decided_for, double_buffered=double_buffered)


def _next_smaller(program: Program, sram_bytes: int, *, double_buffered: bool) -> int:
    """The next smaller memory for which a policy may decide otherwise; below all of them half as much."""
    thresholds = thresholds_of(program, double_buffered=double_buffered, pinned=True)
    sizes = np.concatenate([thresholds.buffers, thresholds.weights])
    smaller = sizes[sizes < sram_bytes]
    return int(smaller.max()) if smaller.size and smaller.max() > 0 else sram_bytes // 2


def _planned(entries: list[Entry], sram_bytes: int, alignment: int) -> AddressPlan:
    """The lowest plan that is found soon; where that is above the memory, one that is looked for longer."""
    buffers = make_buffers(
        [entry.layer_from - 1 for entry in entries],
        [entry.layer_to for entry in entries],
        [entry.bytes for entry in entries],
        [alignment] * len(entries),
    )
    if least_height(buffers) <= sram_bytes:
        lowest = plan_addresses(buffers, node_limit=NODE_LIMIT)
        if lowest.peak_bytes <= sram_bytes:
            return replace(lowest, capacity_bytes=sram_bytes)
    return plan_addresses(buffers, sram_bytes, node_limit=NODE_LIMIT)


def _entries(program: Program, placement: Placement, *, with_prefetch: bool) -> list[Entry]:
    """Everything internal, without addresses yet."""
    early = prefetch_bytes(program, placement)
    if not with_prefetch:
        early[:] = 0
    return sorted(
        [
            *_feature_maps(program, placement),
            *_weights(program, placement, early),
            *(
                Entry(program.layers[at].name, "tiles", at + 1, at + 1, 0, size)
                for at, size in enumerate(placement.tile_bytes.tolist())
                if size
            ),
        ],
        key=lambda entry: (entry.layer_from, entry.layer_to),
    )


def _feature_maps(program: Program, placement: Placement) -> list[Entry]:
    buffers, spans = buffers_of(program), placement.spans
    members: dict[int, list[int]] = {}
    for index, buffer in enumerate(buffers.of.tolist()):
        members.setdefault(buffer, []).append(index)
    found = []
    if spans is not None:
        rows = zip(spans.buffer.tolist(), spans.first.tolist(), spans.last.tolist(), strict=True)
        for buffer, first, last in rows:
            names = [
                program.tensors[index].name
                for index in members[buffer]
                if program.tensors[index].first <= last and program.tensors[index].last >= first
            ]
            size = int(buffers.bytes[buffer])
            found.append(Entry(" = ".join(names), "feature map", first + 1, last + 1, 0, size))
    return found


def _weights(program: Program, placement: Placement, early: Counts) -> list[Entry]:
    """Weights that lie there as a whole, those that come in early as a part of their own.

    early: how many bytes do, of each layer's; used up.
    """
    touches, before = touches_of(program), layer_before(program)
    found = []
    internal = np.flatnonzero(touches.is_weight & placement.internal)
    for touch in internal.tolist():
        position, index = int(touches.layer[touch]), int(touches.tensor[touch])
        tensor = program.tensors[index]
        if placement.pinned[index]:
            found.append(Entry(tensor.name, "weight", 1, len(program.layers), 0, tensor.bytes))
            continue
        ahead = min(int(early[position]), tensor.bytes)
        early[position] -= ahead
        if ahead:
            found.append(
                Entry(tensor.name, "prefetch", before[position] + 1, position + 1, 0, ahead)
            )
        if tensor.bytes > ahead:
            rest = tensor.bytes - ahead
            found.append(Entry(tensor.name, "weight", position + 1, position + 1, 0, rest))
    return found
