"""Nodes of an ONNX graph that are known before it runs, or that give what they read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import onnx

from perfsim.errors import InputError, InvalidValueError, ShapeError
from perfsim.frontends.names import unique_name
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
    return [replace(data, shape=shapes[0], elem_type=step.types[0], array=array)]


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


def live(nodes: list[tuple[Any, str]], outputs: Iterable[str]) -> list[tuple[Any, str]]:
    """Those of `nodes`, which stand in execution order, on which an output depends, or that name no outputs."""
    read = set(outputs)
    kept: list[tuple[Any, str]] = []
    for node, label in reversed(nodes):
        if not any(node.output) or not read.isdisjoint(node.output):
            kept.append((node, label))
            read.update(each for each in node.input if each)
    return kept[::-1]


def cut_sequences(graph: Any) -> None:
    """Write parts that are taken from a split sequence, one at a time, as slices: no list of tensors is needed."""
    splits = {
        node.output[0]: node
        for node in graph.node
        if node.domain in DOMAINS and node.op_type == "SplitToSequence" and node.output
    }
    if not splits:
        return
    known = {each.name: each for each in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant" and node.attribute and node.attribute[0].name == "value":
            known.update(dict.fromkeys(node.output, node.attribute[0].t))
    names = {name for node in graph.node for name in (*node.input, *node.output)} | set(known)
    kept = []
    for node in graph.node:
        taken = node.domain in DOMAINS and node.op_type == "SequenceAt" and len(node.input) == 2
        split = splits.get(node.input[0]) if taken and node.output else None
        kept.append(node if split is None else _part(graph, node, split, known, names) or node)
    read = {name for node in kept for name in node.input} | {each.name for each in graph.output}
    del graph.node[:]
    graph.node.extend(
        node for node in kept if node.op_type != "SplitToSequence" or read.intersection(node.output)
    )


def _part(graph: Any, node: Any, split: Any, known: Mapping[str, Any], names: set[str]) -> Any:
    """A slice, or a gather where the axis goes, in the place of `node`; None if what it takes is not known."""
    attributes = {each.name: each.i for each in split.attribute}
    axis = attributes.get("axis", 0)
    index = _whole_numbers(known.get(node.input[1]))
    if not split.input or index is None or index.size != 1:
        return None
    if len(split.input) < 2 or not split.input[1]:
        if attributes.get("keepdims", 1):
            return None
        inputs = [split.input[0], node.input[1]]
        return onnx.helper.make_node("Gather", inputs, node.output, node.name, axis=axis)
    sizes = _whole_numbers(known.get(split.input[1]))
    if sizes is None:
        return None
    at = int(index.ravel()[0])
    if sizes.ndim and -len(sizes) <= at < len(sizes):
        at %= len(sizes)
        bounds = (int(sizes[:at].sum()), int(sizes[: at + 1].sum()))
    elif not sizes.ndim and at >= 0:
        bounds = (at * int(sizes), (at + 1) * int(sizes))
    else:
        return None
    inputs = [split.input[0]]
    for part, value in zip(("start", "stop", "axis"), (*bounds, axis), strict=True):
        inputs.append(unique_name(f"{node.output[0]}.{part}", names))
        graph.initializer.append(
            onnx.numpy_helper.from_array(np.array([value], np.int64), inputs[-1])
        )
    return onnx.helper.make_node("Slice", inputs, node.output, node.name)


def _whole_numbers(tensor: Any) -> Any:
    """The value of a small tensor of whole numbers; None for any other, and for one that cannot be read."""
    try:
        array = None if tensor is None else constant(tensor).array
    except InputError:
        return None  # the tensor itself is refused where it is read
    return array if array is not None and array.ndim < 2 and array.dtype.kind in "iu" else None


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
