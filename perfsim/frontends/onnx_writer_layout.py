"""Our operators that move elements or give them another shape as nodes of ONNX."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import product

from perfsim.frontends.onnx_types import FLOAT, INT64
from perfsim.frontends.onnx_writer_graph import Writing
from perfsim.frontends.onnx_writer_matrix import Writer
from perfsim.network.operator import axis_index, per_axis


def _reshape(w: Writing) -> None:
    (source,), kind = w.moved()
    w.write("Reshape", source, w.integers("shape", w.outputs[0]), kinds=(kind,))


def _flatten(w: Writing) -> None:
    (source,), kind = w.moved()
    w.write("Flatten", source, axis=1, kinds=(kind,))


def _with_axis(op: str) -> Writer:
    def write(w: Writing) -> None:
        (source,), kind = w.moved()
        w.write(op, source, w.integers("axes", (w.operator.axis,)), kinds=(kind,))

    return write


def _concat(w: Writing) -> None:
    sources, kind = w.moved()
    w.write("Concat", *sources, axis=w.operator.axis, kinds=(kind,))


def _transpose(w: Writing) -> None:
    (source,), kind = w.moved()
    w.write("Transpose", source, perm=w.operator.order, kinds=(kind,))


def _pad(w: Writing) -> None:
    (source,), kind = w.moved()
    axes = len(w.shapes[0]) - 2
    before = per_axis(w.operator.before, axes, "a padding before", least=0)
    after = before
    if w.operator.after is not None:
        after = per_axis(w.operator.after, axes, "a padding after", least=0)
    w.write("Pad", source, w.integers("pads", (0, 0, *before, 0, 0, *after)), kinds=(kind,))


def _slice(w: Writing) -> None:
    (source,), kind = w.moved()
    operator, shape = w.operator, w.shapes[0]
    axis = axis_index(operator.axis, len(shape))
    stop = shape[axis] if operator.stop is None else operator.stop
    numbers = (("start", operator.start), ("stop", stop), ("axis", axis), ("step", operator.step))
    w.write("Slice", source, *(w.integers(what, (n,)) for what, n in numbers), kinds=(kind,))


def _split(w: Writing) -> None:
    (source,), kind = w.moved()
    axis = axis_index(w.operator.axis, len(w.shapes[0]))
    sizes = w.integers("sizes", [shape[axis] for shape in w.outputs])
    w.write("Split", source, sizes, axis=axis, kinds=(kind,) * len(w.outputs))


def _channel_shuffle(w: Writing) -> None:
    """The channel c of the group g becomes channel c groups + g: one choice of channels."""
    (source,), kind = w.moved()
    channels, groups = w.shapes[0][1], w.operator.groups
    each = channels // groups
    order = [group * each + channel for channel in range(each) for group in range(groups)]
    w.write("Gather", source, w.integers("order", order), axis=1, kinds=(kind,))


def _roll(w: Writing) -> None:
    """One choice of elements, however many axes are shifted: all between the first and the last of them are named."""
    (source,), kind = w.moved()
    shape = w.shapes[0]
    shifts: dict[int, int] = {}
    for axis, shift in zip(w.operator.axes, w.operator.shifts, strict=True):
        place = axis_index(axis, len(shape))
        shifts[place] = shifts.get(place, 0) + shift
    first, end = min(shifts), max(shifts) + 1
    sources = [
        [(at - shifts.get(axis, 0)) % shape[axis] for at in range(shape[axis])]
        for axis in range(first, end)
    ]
    if end - first == 1:
        w.write("Gather", source, w.integers("order", sources[0]), axis=first, kinds=(kind,))
        return
    numbers = [number for place in product(*sources) for number in place]
    numbers *= math.prod(shape[:first])
    order = w.integers("order", numbers, (*shape[:end], end - first))
    w.write("GatherND", source, order, batch_dims=first, kinds=(kind,))


def _gather(w: Writing) -> None:
    kind = w.graph.kinds[w.node.inputs[0]]
    shape, count = w.shapes[0], w.operator.indices
    source, axis = w.read(0, kind), axis_index(w.operator.axis, len(shape))
    if len(w.shapes) == 1:
        picked = w.integers("indices", [at % shape[axis] for at in range(count)])
        w.write("Gather", source, picked, axis=axis, kinds=(kind,))
        return
    indices = w.read(1, INT64)
    if shape[0] == 1 and axis > 0:
        w.write("Gather", source, w.reshaped(indices, (count,)), axis=axis, kinds=(kind,))
    elif axis == 1:
        picked = w.reshaped(indices, (shape[0], count, 1))
        w.write("GatherND", source, picked, batch_dims=1, kinds=(kind,))
    else:
        raise w.refuse(f"indices for each image along axis {axis}", "along axis 1")


def _embedding(w: Writing) -> None:
    table = (w.operator.entries, w.operator.features)
    name = w.trained("weight", table, deviation=1.0)
    w.graph.matrices.append((name, table))
    w.write("Gather", name, w.read(0, INT64), axis=0)


def _learned_tokens(w: Writing) -> None:
    batch, _, *features = w.shapes[0]
    tokens = w.trained("tokens", (1, w.operator.tokens, *features), deviation=1.0)
    if batch > 1:
        size = w.integers("tokens_shape", (batch, w.operator.tokens, *features))
        tokens = w.part("Expand", tokens, size)
    w.write("Concat", tokens, w.read(), axis=1, kinds=(FLOAT,))


LAYOUT: Mapping[str, Writer] = {
    "reshape": _reshape,
    "flatten": _flatten,
    "squeeze": _with_axis("Squeeze"),
    "unsqueeze": _with_axis("Unsqueeze"),
    "concat": _concat,
    "transpose": _transpose,
    "pad": _pad,
    "slice": _slice,
    "split": _split,
    "channel_shuffle": _channel_shuffle,
    "roll": _roll,
    "gather": _gather,
    "embedding": _embedding,
    "learned_tokens": _learned_tokens,
}
