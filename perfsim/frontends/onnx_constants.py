"""Nodes of an ONNX graph that are known before it runs, or that give what they read."""

from __future__ import annotations

from typing import Any

import numpy as np

from perfsim.errors import InvalidValueError, ShapeError
from perfsim.frontends.onnx_graph import DOMAINS, Step, Value, as_type, constant, counted, empty
from perfsim.frontends.onnx_types import params_of
from perfsim.network.operator import Operator, Unit
from perfsim.network.work import Shape, elements, shape_text


def known_result(
    step: Step, operator: Operator, data: Value, shapes: tuple[Shape, ...]
) -> list[Value] | None:
    """The outputs of a node that are constant although it reads what is not: of views of constants, and empty ones."""
    if not any(map(elements, shapes)):
        if operator.unit is Unit.MATRIX:
            raise ShapeError(
                "nothing is computed",
                found=f"an output of {shape_text(shapes[0])}",
                expected="sizes from 1",
            )
        return [empty(shape, kind) for shape, kind in zip(shapes, step.types, strict=False)]
    if operator.unit is not Unit.VIEW or not data.is_constant:
        return None
    array = None
    if data.array is not None:
        array = as_type(data.array.reshape(shapes[0]), step.types[0])
    return [Value(shapes[0], step.types[0], True, array=array, params=data.params)]


def pass_on(graph: Any, outputs: set[str], read: set[str]) -> None:
    """Take out nodes that give what they read, so that what stands behind them can fuse."""
    source: dict[str, str] = {}
    kept = []
    for node in graph.node:
        for position, name in enumerate(node.input):
            if name in source:
                node.input[position] = source[name]
        gives_input = node.domain in DOMAINS and node.op_type in ("Identity", "Dropout")
        shown = [each for each in node.output if each in read]
        if (
            gives_input
            and node.input
            and len(shown) == 1
            and shown == node.output[:1]
            and shown[0] not in outputs
        ):
            source[shown[0]] = node.input[0]
        else:
            kept.append(node)
    if source and len(kept) < len(graph.node):
        del graph.node[:]
        graph.node.extend(kept)


def constant_node(step: Step) -> Value:
    """What a Constant node gives."""
    for name, value in step.attributes.items():
        if name == "value":
            step.tensor("value")
            return constant(value.t)
        if name == "sparse_value":
            shape = counted(value.sparse_tensor.dims)
            return Value(shape, value.sparse_tensor.values.data_type, True)
        if name in ("value_int", "value_ints", "value_float", "value_floats"):
            return _of_numbers(step, name)
    raise InvalidValueError("", found="a Constant without numbers", expected="a value")


def _of_numbers(step: Step, name: str) -> Value:
    attribute = step.attributes[name]
    numbers: dict[str, Any] = {
        "value_int": attribute.i,
        "value_ints": attribute.ints,
        "value_float": attribute.f,
        "value_floats": attribute.floats,
    }
    is_whole = "int" in name
    kind = 7 if is_whole else 1
    array = np.array(numbers[name], np.int64 if is_whole else np.float32)
    return Value(array.shape, kind, True, array=array, params=params_of(array.shape, kind))


def shape_value(step: Step) -> Value:
    """What a Shape or Size node gives."""
    shape = step.shape(0)
    if step.op == "Size":
        array = np.asarray(elements(shape), np.int64)
    else:
        start, end = step.integer("start", 0), step.integer("end", len(shape))
        array = np.asarray(shape[start:end], np.int64)
    return Value(array.shape, 7, True, array=array)
