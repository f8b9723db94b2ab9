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

if TYPE_CHECKING:
    from perfsim.result import Result
    from perfsim.timing.kernel import LayerTimes

Seconds: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]
Positions: TypeAlias = np.ndarray[Any, np.dtype[np.int64]]

# What a resource is for people, and of which columns of the per-layer table a slice of it shows the numbers.
RESOURCES: dict[str, tuple[str, tuple[str, ...]]] = {
    "ddr": ("DMA (DDR)", ("ddr_read_bytes", "ddr_write_bytes")),
    "matrix": ("matrix unit", ("macs",)),
    "vector": ("vector unit", ("vector_ops",)),
}


@dataclass(frozen=True)
class Work:
    """What one resource does, layer by layer: arrays of shape (layers,).

    Attributes:
        resource: a key of `RESOURCES`.
        part: the column of the per-layer table whose seconds these are, such as "ddr_s".
        start_s, end_s: when [s]; a layer whose `seconds` are zero does not use the resource.
        seconds: how long [s].
    """

    resource: str
    part: str
    start_s: Seconds
    end_s: Seconds
    seconds: Seconds


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


def serial_schedule(times: LayerTimes, start_s: Seconds) -> list[Work]:
    """Movement, then the matrix unit, then the vector unit, of each layer; the vector unit ends with the layer."""
    moved_s = start_s + times.ddr_s
    multiplied_s = start_s + (times.ddr_s + times.matrix_s)
    return [
        Work("ddr", "ddr_s", start_s, moved_s, times.ddr_s),
        Work("matrix", "matrix_s", moved_s, multiplied_s, times.matrix_s),
        Work("vector", "vector_s", multiplied_s, start_s + times.layer_s, times.vector_s),
    ]


def overlap_schedule(times: LayerTimes, start_s: Seconds) -> list[Work]:
    """Movement beside the matrix unit and then the vector unit; the layer ends with the later."""
    multiplied_s = start_s + times.matrix_s
    return [
        Work("ddr", "ddr_s", start_s, start_s + times.ddr_s, times.ddr_s),
        Work("matrix", "matrix_s", start_s, multiplied_s, times.matrix_s),
        Work("vector", "vector_s", multiplied_s, start_s + times.compute_s, times.vector_s),
    ]


# timing policy -> what each resource does, from the layers' times and starts; a timing that fills one layer's
# gaps with another's work takes its intervals from its own calculation and ends the layers as it does
SCHEDULES: dict[str, Callable[[LayerTimes, Seconds], list[Work]]] = {
    "serial": serial_schedule,
    "overlap": overlap_schedule,
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
    works = SCHEDULES[name](result.times, starts)
    resources = tuple(dict.fromkeys(work.resource for work in works if work.seconds.any()))
    rows = [
        (resources.index(work.resource), position, work)
        for work in works
        for position in np.flatnonzero(work.seconds).tolist()
    ]
    rows.sort(key=lambda row: (row[0], row[1]))
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
