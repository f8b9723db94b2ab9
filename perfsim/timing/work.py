"""What the layers of a program are made of, as far as the time on a machine depends on it: counts, no machine."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from perfsim.hardware.parts import LAYER_CLASSES
from perfsim.network.nest import IMAGES, INPUT_CHANNELS, OUTPUT_CHANNELS, TOKENS, axis_name
from perfsim.network.work import total
from perfsim.per_object import per_object

if TYPE_CHECKING:
    from perfsim.network.nest import Nest
    from perfsim.program import Layer, Program

Counts: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]

CLASSES = tuple(LAYER_CLASSES)
_CLASS_OF = {
    "conv": "conv",
    "conv_transpose": "conv",
    "depthwise_conv": "depthwise",
    "fully_connected": "dense",
    "linear": "dense",
    "matmul": "matmul",
    "attention": "matmul",
}


@dataclass(frozen=True, eq=False)
class LayerWork:
    """The counts of each layer: arrays of shape (layers,), floats that hold whole numbers exactly.

    A layer of the matrix unit is `groups` products, one after the other, each of which has out_rows x out_columns
    places, `taps` kernel places, in_channels summed and out_channels computed; all are 1 for other layers.

    Attributes:
        macs, vector_ops: as in `Layer`.
        exit_ops: vector operations that are applied on its way out at no time (`output_stage`).
        counted: 1 for each layer that takes time, 0 for a view.
        begins: 1 for the first layer that takes time.
        kind: index into `CLASSES`; -1 for layers without multiply-accumulates.
        unshaped: 1 for layers with multiply-accumulates whose loops are not known: rows of a layer table.
        bits: the width of the widest operand that is multiplied: inputs and the operator's own weights, not biases of
            another width and not what is written; of other layers that of the widest input.
        input_bytes, output_bytes, weight_bytes: of the tensors that it touches, each once.
        operand_bytes: of the inputs, what is read on its way out (`output_stage`).
        out_rows: places along all axes but the last, images included; of matrices 1.
        out_height: places along the axis before the last; 1 where there is none.
        out_columns: places along the last axis; of matrices their rows.
        tap_rows, tap_columns, taps: kernel places along all axes but the last, along the last, and in all.
        stride: along the last axis.
        fold_rows, fold_columns: the strides along all axes but the last, multiplied, and along the last, where skipped
            places can become channels: 1 along an axis whose kernel is dilated or that is transposed.
        square: the kernel's size where it and the stride are the same along both of two axes, and it is not dilated;
            else 0.
        strips: pieces in which a layer may run: the rows of its output; its channels where it has one row.
        streams_weights: 1 where each strip needs weights of its own, 0 where all strips need all.
    """

    macs: Counts
    vector_ops: Counts
    exit_ops: Counts
    counted: Counts
    begins: Counts
    kind: Counts
    unshaped: Counts
    bits: Counts
    input_bytes: Counts
    operand_bytes: Counts
    output_bytes: Counts
    weight_bytes: Counts
    groups: Counts
    out_rows: Counts
    out_height: Counts
    out_columns: Counts
    tap_rows: Counts
    tap_columns: Counts
    in_channels: Counts
    out_channels: Counts
    stride: Counts
    fold_rows: Counts
    fold_columns: Counts
    square: Counts
    strips: Counts
    streams_weights: Counts

    @cached_property
    def taps(self) -> Counts:
        """Kernel places."""
        return self.tap_rows * self.tap_columns

    @cached_property
    def first_unshaped(self) -> int:
        """The position of the first layer whose loops are not known; -1 for none."""
        return int(np.argmax(self.unshaped)) if self.unshaped.any() else -1

    @cached_property
    def depthwise(self) -> Counts:
        """1 for depthwise convolutions."""
        return np.where(self.kind == CLASSES.index("depthwise"), 1.0, 0.0)


@per_object
def layer_work(program: Program) -> LayerWork:
    """The work of the layers of `program`; made once per program."""
    tensors = program.tensors
    rows: list[dict[str, float]] = []
    begun = False
    for layer in program.layers:
        row = {
            "macs": total(layer.macs),
            "vector_ops": total(layer.vector_ops),
            "exit_ops": 0,
            "counted": float(not layer.is_view),
            "begins": float(not layer.is_view and not begun),
            "kind": -1,
            "unshaped": 0,
            "bits": max((tensors[each].bits for each in _operands(layer)), default=0),
            "input_bytes": sum(tensors[each].bytes for each in dict.fromkeys(layer.reads)),
            "operand_bytes": 0,
            "output_bytes": sum(tensors[each].bytes for each in layer.writes),
            "weight_bytes": sum(tensors[each].bytes for each in layer.weights),
        }
        if layer.is_view:
            row |= dict.fromkeys(("input_bytes", "output_bytes", "weight_bytes"), 0)
        begun = begun or not layer.is_view
        rows.append(row | _loops(layer))
    names = [each.name for each in fields(LayerWork)]
    return LayerWork(
        **{name: np.array([row[name] for row in rows], dtype=np.float64) for name in names}
    )


def _operands(layer: Layer) -> tuple[int, ...]:
    """The tensors whose elements a layer multiplies; of a layer without multiply-accumulates what it reads."""
    inputs = layer.operator.multiplied_inputs
    if inputs is not None or not total(layer.macs):
        return layer.reads[:inputs]
    return (*layer.reads, *layer.weights[:1])


def _loops(layer: Layer) -> dict[str, float]:
    shape = layer.output_shapes[0] if layer.output_shapes else (1,)
    places = shape[-2] if len(shape) > 3 else 1
    found: dict[str, float] = {
        "groups": 1,
        "out_rows": 1,
        "out_height": 1,
        "out_columns": 1,
        "tap_rows": 1,
        "tap_columns": 1,
        "in_channels": 1,
        "out_channels": 1,
        "stride": 1,
        "fold_rows": 1,
        "fold_columns": 1,
        "square": 0,
        "strips": max(places, 1),
        "streams_weights": 0,
    }
    nest = layer.operator.nest(layer.input_shapes, layer.output_shapes)
    if not total(layer.macs):
        return found
    if nest is None:
        kind = _CLASS_OF.get(layer.op)
        return found | {"unshaped": 1, "kind": -1 if kind is None else CLASSES.index(kind)}
    found |= {"groups": nest.groups, **_products(nest, layer)}
    kind = _class_of(layer, found)
    found["kind"] = CLASSES.index(kind)
    one_row = found["out_rows"] * found["out_columns"] < 3
    if found["strips"] < 3:
        channels = found["out_channels"] * (found["groups"] if kind == "depthwise" else 1)
        found["strips"] = channels if one_row else found["out_rows"] * found["out_columns"]
        found["streams_weights"] = float(one_row)
    return found


def _products(nest: Nest, layer: Layer) -> dict[str, float]:
    """The sizes of the products of one group of a nest."""
    sizes = nest.size
    tokens = sizes.get(TOKENS, 1)
    found: dict[str, float] = {
        "in_channels": sizes[INPUT_CHANNELS],
        "out_channels": sizes[OUTPUT_CHANNELS],
        "out_columns": sizes[IMAGES],
    }
    if tokens > 1 or (not nest.axes and nest.macs_per_step > 1):
        return found | _without_axes(nest, tokens)
    if layer.op in ("conv", "depthwise_conv"):
        # A kernel of 1 has no axes in its nest, but its places lie in rows all the same.
        images, _, *space = layer.output_shapes[0]
        found |= {"out_rows": images * math.prod(space[:-1]), "out_columns": space[-1]}
        found["out_height"] = math.prod(space[:-1])
    elif nest.axes:
        places = [axis.places for axis in nest.axes]
        found |= {"out_rows": sizes[IMAGES] * math.prod(places[:-1]), "out_columns": places[-1]}
    if nest.axes:
        axes = [nest.axis[axis_name(number)] for number in range(len(nest.axes))]
        kernels = [axis.kernel for axis in axes]
        is_direct = [axis.reach == axis.kernel and not axis.transposed for axis in axes]
        folds = [axis.stride if direct else 1 for axis, direct in zip(axes, is_direct, strict=True)]
        same = len(axes) == 2 and len({(axis.kernel, axis.stride) for axis in axes}) == 1
        found |= {
            "tap_rows": math.prod(kernels[:-1]),
            "tap_columns": kernels[-1],
            "stride": nest.axes[-1].stride,
            "fold_rows": math.prod(folds[:-1]),
            "fold_columns": folds[-1],
            "square": kernels[0] if same and all(is_direct) else 0,
        }
    return found


def _without_axes(nest: Nest, tokens: int) -> dict[str, float]:
    """Recurrences, whose tokens follow each other, and attention, whose second product is taken as the first."""
    if TOKENS in nest.size:
        return {
            "groups": nest.groups * tokens,
            "in_channels": nest.macs_per_step,
            "out_columns": nest.size[IMAGES],
        }
    return {"in_channels": nest.macs_per_step, "out_channels": nest.size[INPUT_CHANNELS]}


def _class_of(layer: Layer, loops: dict[str, float]) -> str:
    if layer.op in ("conv", "conv_transpose"):
        if loops["groups"] > 1 and loops["in_channels"] == 1:
            return "depthwise"
        return "pointwise" if loops["tap_rows"] * loops["tap_columns"] == 1 else "conv"
    return _CLASS_OF.get(layer.op, "recurrent")
