"""The intervals of `pipelined`: what its formulas add up, laid out in time.

A layer's strips pass in phases of slots: the first slots fill the stages, the last ones empty them, and those between
are all alike. Within a phase each resource works from its beginning; what time the DMA has left there takes
the next layer's early weights. So an interval stands for one slot, or for all alike slots together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from perfsim.schedule import Seconds, Work, beside, column

if TYPE_CHECKING:
    from perfsim.timing.kernel import LayerTimes
    from perfsim.timing.terms import Shape

# In which phases (of 7, the fourth being all slots between) each stage has a strip: read, multiply, vector, write.
_STAGES = {
    "read": (1, 1, 1, 1, 0, 0, 0),
    "unit": (0, 1, 1, 1, 1, 0, 0),
    "vector": (0, 0, 1, 1, 1, 1, 0),
    "write": (0, 0, 0, 1, 1, 1, 1),
}
PHASES = 7


def pipelined_schedule(times: LayerTimes, shape: Shape, start_s: Seconds) -> list[Work]:
    """The work of the first inference; `start_s` are the layers' starts, shape (layers,)."""
    layers = len(start_s)
    strips = column(times, "strips")
    many = (strips >= 3) & (column(times, "sliced_s") <= column(times, "whole_s"))
    slots = np.ones((PHASES, layers))
    slots[3] = np.where(many, strips - 3, 0)
    # Where a layer is not cut: read, multiply, vector and write in the phases that have nothing else.
    share = slots / np.where(many, strips, 1)
    busy = {}
    for (name, phases), alone in zip(_STAGES.items(), (0, 1, 2, 6), strict=True):
        seconds = column(times, f"{name}_s")
        in_phase = np.array(phases, dtype=np.float64)[:, None] * share * seconds
        alone_s = np.zeros((PHASES, layers))
        alone_s[alone] = seconds
        busy[name] = np.where(many, in_phase, alone_s)
    moved = busy["read"] + busy["write"]
    length = np.maximum(np.maximum(moved, busy["unit"]), busy["vector"])

    if (
        shape.stream and shape.stream_hidden
    ):  # of a layer that is not cut it passes beside both units
        beyond = np.maximum(times.vector_s, column(times, "stream_s") - times.matrix_s)
        length[1] = np.where(many, length[1], times.matrix_s)
        length[2] = np.where(many, length[2], beyond)

    early_s = column(times, "early_bytes") * column(times, "byte_s")
    late_s = column(times, "late_bytes") * column(times, "byte_s")
    exposed_s = column(times, "exposed_s")
    begins = start_s + exposed_s + late_s
    begin = begins + np.concatenate([np.zeros((1, layers)), np.cumsum(length, axis=0)[:-1]])

    works = [
        Work("ddr", "ddr_s", start_s, start_s + exposed_s, exposed_s),
        Work("ddr", "ddr_s", start_s + exposed_s, begins, late_s),
    ]
    before = _before(column(times, "counted"))
    wanted = np.where(before >= 0, early_s - exposed_s, 0)
    for phase in range(PHASES):
        read, write = busy["read"][phase], busy["write"][phase]
        read_end = begin[phase] + read
        works += [
            Work("ddr", "ddr_s", begin[phase], read_end, read),
            Work("ddr", "ddr_s", read_end, read_end + write, write),
        ]
        works += _unit_works(times, shape, busy["unit"][phase], begin[phase])
        vector = busy["vector"][phase]
        works.append(Work("vector", "vector_s", begin[phase], begin[phase] + vector, vector))
        # Of the layer before, what the DMA has left in this phase: early weights of this one.
        free = (length[phase] - moved[phase])[before]
        taken = np.minimum(wanted, np.where(before >= 0, free, 0))
        since = (begin[phase] + moved[phase])[before]
        works.append(Work("ddr", "ddr_s", since, since + taken, taken))
        wanted = wanted - taken
    return works + [
        work for work in beside(times, shape, begins, start_s) if work.resource != "stream"
    ]


def _unit_works(times: LayerTimes, shape: Shape, unit: Seconds, begin: Seconds) -> list[Work]:
    """The matrix unit, and what streams to and from it, of which the longer one, or both, made `unit`."""
    unit_s = column(times, "unit_s")
    part = np.divide(unit, unit_s, out=np.zeros_like(unit), where=unit_s > 0)
    matrix = part * times.matrix_s
    found = [Work("matrix", "matrix_s", begin, begin + matrix, matrix)]
    if "stream_s" in times.steps:
        stream = part * column(times, "stream_s")
        since = begin if shape.stream_hidden else begin + matrix
        found.append(Work("stream", "stream_s", since, since + stream, stream))
    return found


def _before(counted: Seconds) -> np.ndarray[Any, np.dtype[np.int64]]:
    """The last layer before each that takes time, -1 for none."""
    found, last = [], -1
    for position, takes_time in enumerate(counted.tolist()):
        found.append(last)
        if takes_time:
            last = position
    return np.array(found, dtype=np.int64)
