"""What the search for addresses reads and writes: arrays for numba, lists for plain Python."""

from __future__ import annotations

from typing import Any, NamedTuple


class Problem(NamedTuple):
    """Buffers by index, sizes in units of their greatest common divisor.

    Attributes:
        first, last: the sections in which each lives, last exclusive.
        size, alignment: at least 1.
        fixed: the offset that each must have, -1 where it is free.
        fixed_order: the fixed buffers by offset.
        twin: the buffer before it that is just like it, or -1; of twins the earlier lies lower.
    """

    first: Any
    last: Any
    size: Any
    alignment: Any
    fixed: Any
    fixed_order: Any
    twin: Any


class State(NamedTuple):
    """What the search writes, allocated once.

    Attributes:
        placed, offset, earliest: per buffer; the least offset that the buffers placed so far leave it.
        queue: the buffers, those not placed by falling earliest offset.
        floor: per section, above what is placed or given up.
        level: the least offset that anything still to come can have there, FAR where nothing is to come.
        level_above: the next such offset.
        options: how many buffers can lie at the level.
        load: the sum of the sizes still to come.
        crossing: how many buffers still to come live on both sides of the section's start.
        trail_section, trail_floor: what to write back on the way up.
        stack, stack_key: the buffers still to be tried, of every frame.
        frame_*: one entry per decision on the way down.
        counts: [nodes].
    """

    placed: Any
    offset: Any
    earliest: Any
    queue: Any
    floor: Any
    level: Any
    level_above: Any
    options: Any
    load: Any
    crossing: Any
    trail_section: Any
    trail_floor: Any
    stack: Any
    stack_key: Any
    frame_section: Any
    frame_level: Any
    frame_lift: Any
    frame_next: Any
    frame_end: Any
    frame_trail: Any
    frame_choice: Any
    frame_from: Any
    frame_to: Any
    counts: Any
