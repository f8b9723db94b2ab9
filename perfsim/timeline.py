"""When which part of the machine works on which layer: intervals, from the same seconds as the per-layer table.

A timing policy says how the parts of a layer follow each other; its schedule in `SCHEDULES` turns that into intervals.
Layers follow one another without gaps, so a layer begins where the left fold of the times before it ends, and the last
one ends at `total_s`, the same bits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from perfsim.errors import unknown_name
from perfsim.schedule import Seconds, Work, overlap_schedule, serial_schedule
from perfsim.schedule_pipelined import pipelined_schedule
from perfsim.timing.terms import Shape, shape_of

if TYPE_CHECKING:
    from perfsim.result import Result
    from perfsim.timing.kernel import LayerTimes

Positions: TypeAlias = np.ndarray[Any, np.dtype[np.int64]]

# What a resource is for people, and of which columns of the per-layer table a slice of it shows the numbers.
RESOURCES: dict[str, tuple[str, tuple[str, ...]]] = {
    "ddr": ("DMA (DDR)", ("ddr_read_bytes", "ddr_write_bytes")),
    "matrix": ("matrix unit", ("macs",)),
    "vector": ("vector unit", ("vector_ops",)),
    "stream": ("on-chip stream", ("input_bytes", "output_bytes")),
    "weights": ("weight memory", ("weight_memory_bytes",)),
    "overhead": ("fixed costs", ()),
}


@dataclass(frozen=True, eq=False)
class Timeline:
    """Who works when in one inference.

    Attributes:
        resources: the names of those that are used, keys of `RESOURCES`.
        resource: index into `resources`, shape (intervals,), in order of resource and time.
        layer: position of the layer, shape (intervals,).
        start_s, end_s: when [s], shape (intervals,).
        part: for each interval the column of the per-layer table that its time counts to.
        layer_start_s, layer_end_s: from when to when each layer is the one that runs [s], shape (layers,).
    """

    resources: tuple[str, ...]
    resource: Positions
    layer: Positions
    start_s: Seconds
    end_s: Seconds
    part: tuple[str, ...]
    layer_start_s: Seconds
    layer_end_s: Seconds

    @property
    def total_s(self) -> float:
        """When the last layer ends [s]."""
        return float(self.layer_end_s[-1])


# timing policy -> what each resource does, from the layers' times, the machine's shape and the layers' starts
SCHEDULES: dict[str, Callable[[LayerTimes, Shape, Seconds], list[Work]]] = {
    "serial": serial_schedule,
    "overlap": overlap_schedule,
    "pipelined": pipelined_schedule,
}


def timeline_of(result: Result) -> Timeline:
    """The timeline of the first inference of a run.

    >>> timeline = timeline_of(simulate(network, machine))
    >>> timeline.end_s[timeline.resource == timeline.resources.index("ddr")]

    No resource does two things at once; the intervals of a resource add up to its column's sum, and `total_s` is that
    of the totals. Raises UnknownNameError for a timing policy without a schedule.
    """
    name = result.timing_policy.name
    if name not in SCHEDULES:
        raise unknown_name("timing with a timeline", name, SCHEDULES)
    ends = np.add.accumulate(result.times.layer_s)
    starts = np.concatenate([[0.0], ends[:-1]])
    works = SCHEDULES[name](result.times, shape_of(result.machine), starts)
    resources = tuple(dict.fromkeys(work.resource for work in works if work.seconds.any()))
    rows = [
        (resources.index(work.resource), position, work)
        for work in works
        for position in np.flatnonzero(work.seconds > 0).tolist()
    ]
    rows.sort(key=lambda row: (row[0], row[2].start_s[row[1]], row[1]))
    return Timeline(
        resources=resources,
        resource=np.array([row[0] for row in rows], dtype=np.int64),
        layer=np.array([row[1] for row in rows], dtype=np.int64),
        start_s=np.array([work.start_s[position] for _, position, work in rows], dtype=np.float64),
        end_s=np.array([work.end_s[position] for _, position, work in rows], dtype=np.float64),
        part=tuple(work.part for _, _, work in rows),
        layer_start_s=starts,
        layer_end_s=ends,
    )
