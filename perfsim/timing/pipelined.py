"""The formulas of `pipelined`: a layer runs in strips, and the next layer's weights come in early where there is room.

Resources are the DMA, the matrix unit and the vector unit; none does two things at once. A layer's n strips pass four
stages: read, multiply, apply the vector operations, write. Time goes in slots: while one strip is multiplied, the one
before it is in the vector unit, the next is read, and one that is done is written. A slot takes as long as the
busiest resource in it. With r, m, v, w the times of the stages for one strip, the slots of n >= 3 strips are

    r, max(r, m), max(r, m, v), then n - 3 times max(r + w, m, v), max(m, v, w), max(v, w), w

and with fewer strips the stages follow each other; so they do in a layer that is faster so, since what streams to and
from the units takes longer than their work. A kernel's strips are rows of the output. All of them need all of
the weights, so weights come before the first strip: in the time that the DMA is idle while the layer before runs, as
far as there is room for them, and else before the layer starts. Layers with one row of output (fully connected ones)
read the weights of a strip of channels with it.

What moves, and into which room, is the plan's: prefetched weights take memory that it left free while the layer
before runs, never more.
"""

from __future__ import annotations

from perfsim.timing.formula import Formula
from perfsim.timing.terms import Shape

PIPELINED = "pipelined"


def pipelined_formulas(shape: Shape) -> tuple[Formula, ...]:
    """The formulas from the movement and compute times of a layer to its own."""
    unit = "matrix_s"
    if shape.stream:
        unit = "max(matrix_s, stream_s)" if shape.stream_hidden else "matrix_s + stream_s"
    maps = "map_read_bytes"
    if "feature_map_ratio" in shape.ratios:
        maps = "ceil(map_read_bytes * feature_map_ratio)"
    weights, within, beside = "ddr_read_bytes - map_moved_bytes", "strips_s", ""
    if shape.weight_memory:
        weights = "0"  # over DDR
        within = "max(strips_s, weight_s)" if shape.weights_hidden else within
        beside = "" if shape.weights_hidden else " + weight_s"
    overhead = " + overhead_s" if shape.overhead else ""
    return (
        Formula("map_moved_bytes", maps, "feature maps that are read [bytes]"),
        Formula("weights_moved_bytes", weights, "weights over DDR [bytes]"),
        Formula(
            "early_bytes",
            "min(prefetch_bytes, weights_moved_bytes)",
            "of them, what has room while the layer before runs [bytes]",
        ),
        Formula(
            "late_bytes",
            "where(streams_weights, 0, weights_moved_bytes - early_bytes)",
            "of them, what comes in before the first strip [bytes]",
        ),
        Formula("byte_s", "ddr_s / max(ddr_bytes, 1)", "a byte over DDR [s]"),
        Formula(
            "read_s",
            "(ddr_read_bytes - early_bytes - late_bytes) * byte_s",
            "what is read strip by strip [s]",
        ),
        Formula("write_s", "ddr_write_bytes * byte_s", "what is written [s]"),
        Formula("unit_s", unit, "the matrix unit, and what streams to and from it [s]"),
        Formula(
            "sliced_s",
            "(read_s + max(read_s, unit_s) + max(read_s, unit_s, vector_s) + "
            "(strips - 3) * max(read_s + write_s, unit_s, vector_s) + max(unit_s, vector_s, write_s) + "
            "max(vector_s, write_s) + write_s) / strips",
            "all slots of strips [s]",
        ),
        Formula("whole_s", "read_s + compute_s + write_s", "one stage after the other [s]"),
        Formula(
            "strips_s",
            "where(strips >= 3, min(sliced_s, whole_s), whole_s)",
            "from the first strip's reading to the last one's writing [s]",
        ),
        Formula(
            "idle_s",
            "max(strips_s - read_s - write_s, 0)",
            "the DMA is idle while the strips run [s]",
        ),
        Formula(
            "exposed_s",
            "max(early_bytes * byte_s - before_idle_s, 0)",
            "early weights that the layer before does not hide [s]",
        ),
        Formula(
            "layer_s",
            f"exposed_s + late_bytes * byte_s + {within}{beside}{overhead}",
            "what the layer adds [s]",
        ),
    )
