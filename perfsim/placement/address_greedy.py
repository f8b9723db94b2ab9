"""Addresses from greedy orders: each buffer in turn goes into a gap that the ones before it leave."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from perfsim.placement.address_buffers import FREE, Buffers, by_contention
from perfsim.placement.placement import Counts

_OPEN = np.iinfo(np.int64).max // 2  # the end of the gap above everything


def _keys(buffers: Buffers) -> dict[str, Callable[[], tuple[Counts, ...]]]:
    """The orders: name -> keys, the first the most important, smallest first."""
    size, life, lower = buffers.size, buffers.upper - buffers.lower, buffers.lower
    # the products are floats because they may exceed 64 bits, and only their order matters
    area = size.astype(np.float64) * life
    return {
        "size": lambda: (-size, -life),
        "area": lambda: (-area, -size),
        "lifetime": lambda: (-life, -size),
        "start": lambda: (lower, -size),
        "contention": lambda: (-by_contention(buffers), -life, -size),
        "contention and area": lambda: (-by_contention(buffers), -area, -size),
        "end": lambda: (-buffers.upper, -size),
        "start and lifetime": lambda: (lower, -life),
    }


def greedy_plans(buffers: Buffers) -> Iterator[tuple[str, Counts]]:
    """Plans of falling promise, one after the other as they are asked for: (name of the order, offsets [bytes])."""
    for best_fit in (False, True):
        for name, keys in _keys(buffers).items():
            order = np.lexsort(keys()[::-1])
            yield name, place_in_order(buffers, order, best_fit=best_fit)


def place_in_order(buffers: Buffers, order: Counts, *, best_fit: bool) -> Counts:
    """Offsets [bytes], shape (buffers,), when each buffer in `order` goes into the lowest gap that holds it.

    best_fit: into the smallest such gap instead. The fixed buffers come first. What is placed is kept by rising
    offset, so that one comparison with all of it finds the gaps; n buffers take time in the order of n^2, of which
    numpy does all but n steps.
    """
    held = buffers.fixed != FREE
    order = np.concatenate([order[held[order]], order[~held[order]]])
    offsets = np.zeros(len(order), dtype=np.int64)
    placed = np.zeros((4, len(order)), dtype=np.int64)  # lower, upper, offset, top
    lowers, uppers = buffers.lower.tolist(), buffers.upper.tolist()
    sizes, alignments = buffers.size.tolist(), buffers.alignment.tolist()
    fixed = buffers.fixed.tolist()
    count = 0
    for index in order.tolist():
        lower, upper, size = lowers[index], uppers[index], sizes[index]
        if not size:
            offsets[index] = max(fixed[index], 0)
            continue
        offset = fixed[index]
        if offset == FREE:
            live = (placed[0, :count] < upper) & (placed[1, :count] > lower)
            spans = placed[2:, :count].compress(live, axis=1)
            offset = _gap(spans, size, alignments[index], best_fit)
        offsets[index] = offset
        slot = int(placed[2, :count].searchsorted(offset))
        placed[:, slot + 1 : count + 1] = placed[:, slot:count]
        placed[:, slot] = lower, upper, offset, offset + size
        count += 1
    return offsets


def _gap(spans: Counts, size: int, alignment: int, best_fit: bool) -> int:
    """The offset of a gap between `spans`, shape (2, spans), offsets and tops by rising offset."""
    count = spans.shape[1]
    begins = np.zeros(count + 1, dtype=np.int64)
    np.maximum.accumulate(spans[1], out=begins[1:])
    if alignment > 1:
        begins += -begins % alignment
    rooms = np.full(count + 1, _OPEN)
    rooms[:count] = spans[0]
    rooms -= begins
    if best_fit:
        rooms[rooms < size] = _OPEN
        return int(begins[rooms.argmin()])
    return int(begins[(rooms >= size).argmax()])
