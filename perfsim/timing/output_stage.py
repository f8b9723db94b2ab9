"""Layers that are applied on the matrix unit's way out: each runs as a part of the layer whose result it takes.

Additions, poolings and the like follow at the rate at which results come, so they take no time of their own, and what
they are handed goes to no memory. A layer and what is applied on its way out are timed as one: its counts are theirs
together, and theirs are zero.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from perfsim.program import Kind
from perfsim.timing.work import layer_work

if TYPE_CHECKING:
    from perfsim.program import Program
    from perfsim.timing.work import LayerWork

Counts: TypeAlias = np.ndarray[Any, np.dtype[np.int64]]
Flags: TypeAlias = np.ndarray[Any, np.dtype[np.bool_]]


@dataclass(frozen=True, eq=False)
class OutputStage:
    """What a machine applies on the way out of a program's layers.

    Attributes:
        head: for each layer the position of the one that it runs with, shape (layers,); its own for all others.
        handed: whether a tensor is handed on inside and so goes to no memory, shape (tensors,).
    """

    head: Counts
    handed: Flags


def output_stage(program: Program, operators: Collection[str]) -> OutputStage | None:
    """Where layers of these operators are applied on the way out; None where `operators` is empty.

    One is where it alone reads what the layer right before it gives, if that is of the matrix unit or applied on its
    way out itself.
    """
    if not operators:
        return None
    macs = layer_work(program).macs
    head = np.arange(len(program.layers), dtype=np.int64)
    handed = np.zeros(len(program.tensors), dtype=bool)
    before = -1
    for position, layer in enumerate(program.layers):
        if layer.is_view:
            continue
        if before >= 0 and layer.op in operators and macs[head[before]]:
            given = program.layers[before].writes
            alone = len(given) == 1 and program.tensors[given[0]].readers == 1
            if alone and given[0] in layer.reads:
                is_inside = program.tensors[given[0]].kind is Kind.FEATURE_MAP
                handed[given[0]] = is_inside
                head[position] = head[before] if is_inside else position
        before = position
    return OutputStage(head, handed)


def work_with(program: Program, stage: OutputStage | None) -> LayerWork:
    """The work of the layers, each together with what is applied on its way out."""
    work = layer_work(program)
    if stage is None:
        return work
    sizes = np.array([tensor.bytes for tensor in program.tensors], dtype=np.float64) * stage.handed
    inputs, outputs = work.input_bytes.copy(), work.output_bytes.copy()
    for position, layer in enumerate(program.layers):
        if not layer.is_view:
            inputs[position] -= sum(sizes[each] for each in dict.fromkeys(layer.reads))
            outputs[position] -= sum(sizes[each] for each in layer.writes)
    leads = stage.head == np.arange(len(stage.head))

    def together(counts: np.ndarray[Any, np.dtype[np.float64]]) -> Any:
        return np.bincount(stage.head, counts, len(stage.head))

    return replace(
        work,
        vector_ops=np.where(leads, work.vector_ops, 0.0),
        exit_ops=together(np.where(leads, 0.0, work.vector_ops)),
        counted=np.where(leads, work.counted, 0.0),
        input_bytes=together(inputs),
        operand_bytes=together(np.where(leads, 0.0, inputs)),
        output_bytes=together(outputs),
        weight_bytes=together(work.weight_bytes),
    )
