"""How the parts of a layer follow each other under each timing policy: intervals from the kernel's seconds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from perfsim.timing.kernel import LayerTimes
    from perfsim.timing.terms import Shape

Seconds: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]


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


# The parts that a machine may state beside movement and compute.
BESIDE = {"stream_s", "weight_s", "overhead_s"}


def column(times: LayerTimes, name: str) -> Seconds:
    """A step of the kernel as an array of shape (layers,)."""
    values = np.asarray(times.steps[name], dtype=np.float64)
    return np.broadcast_to(values, times.layer_s.shape)


def serial_schedule(times: LayerTimes, shape: Shape, start_s: Seconds) -> list[Work]:
    """Movement, then the matrix unit, then the vector unit, of each layer; the vector unit ends with the layer."""
    moved_s = start_s + times.ddr_s
    multiplied_s = start_s + (times.ddr_s + times.matrix_s)
    computed_s = multiplied_s + times.vector_s
    if not BESIDE & times.steps.keys():
        computed_s = start_s + times.layer_s  # the same bits as the fold of the layers
    return [
        Work("ddr", "ddr_s", start_s, moved_s, times.ddr_s),
        Work("matrix", "matrix_s", moved_s, multiplied_s, times.matrix_s),
        Work("vector", "vector_s", multiplied_s, computed_s, times.vector_s),
        *beside(times, shape, moved_s, start_s),
    ]


def overlap_schedule(times: LayerTimes, shape: Shape, start_s: Seconds) -> list[Work]:
    """Movement beside the matrix unit and then the vector unit; the layer ends with the later."""
    multiplied_s = start_s + times.matrix_s
    computed_s = start_s + (times.matrix_s + times.vector_s)
    return [
        Work("ddr", "ddr_s", start_s, start_s + times.ddr_s, times.ddr_s),
        Work("matrix", "matrix_s", start_s, multiplied_s, times.matrix_s),
        Work("vector", "vector_s", multiplied_s, computed_s, times.vector_s),
        *beside(times, shape, start_s, start_s),
    ]


def beside(
    times: LayerTimes, shape: Shape, compute_start_s: Seconds, start_s: Seconds
) -> list[Work]:
    """The stream, the weights' own memory and fixed costs of each layer that starts at `start_s`.

    What is hidden begins with the compute; what is not follows it, and fixed costs end the layer.
    """
    end_s = start_s + times.layer_s
    found = []
    if "overhead_s" in times.steps:
        overhead_s = column(times, "overhead_s")
        found.append(Work("overhead", "overhead_s", end_s - overhead_s, end_s, overhead_s))
        end_s = end_s - overhead_s
    if "weight_s" in times.steps:
        weight_s = column(times, "weight_s")
        # Where they are not hidden the layer has room for them behind everything else.
        since = compute_start_s if shape.weights_hidden else end_s - weight_s
        found.append(Work("weights", "weight_s", since, since + weight_s, weight_s))
    if "stream_s" in times.steps:
        stream_s = column(times, "stream_s")
        units_s = times.matrix_s + times.vector_s
        since = compute_start_s if shape.stream_hidden else compute_start_s + units_s
        found.append(Work("stream", "stream_s", since, since + stream_s, stream_s))
    return found
