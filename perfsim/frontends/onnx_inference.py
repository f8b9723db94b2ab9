"""ONNX's own shape inference, one node at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import onnx

from perfsim.errors import InvalidValueError, ShapeError
from perfsim.frontends.onnx_graph import Step, counted, first_line
from perfsim.network.work import Shape

_INFERENCE_FAULTS = (
    onnx.shape_inference.InferenceError,
    onnx.checker.ValidationError,
    onnx.defs.SchemaError,
    RuntimeError,
    ValueError,
    TypeError,
)


class Inference:
    """ONNX's own shape inference, one node at a time, with the shapes and values that are known."""

    def __init__(self, opsets: Sequence[Any], ir_version: int) -> None:
        self._opsets = list(opsets)
        self._versions = {each.domain: each.version for each in opsets}
        self._ir_version = ir_version
        self._schemas: dict[str, Any] = {}

    def outputs(self, step: Step) -> dict[str, tuple[Shape | None, int]]:
        """(shape, element type) of each output that ONNX can infer; raises ShapeError if it finds a fault."""
        schema = self._schema(step.op)
        if schema is None:
            return {}
        _check(step, schema)
        types: dict[str, Any] = {}
        data: dict[str, Any] = {}
        for name, value in zip(step.names, step.inputs, strict=True):
            if value is None:
                continue
            types[name] = onnx.helper.make_tensor_type_proto(value.elem_type, value.shape)
            if value.array is not None and value.array.size <= 64:
                data[name] = onnx.numpy_helper.from_array(value.array, name)
        try:
            found = onnx.shape_inference.infer_node_outputs(
                schema, step.node, types, data, None, self._opsets, self._ir_version
            )
        except _INFERENCE_FAULTS as error:
            raise ShapeError(f"ONNX refuses it: {_fault(error)}") from None
        return {
            name: (_fixed(proto.tensor_type), proto.tensor_type.elem_type)
            for name, proto in found.items()
            if proto.HasField("tensor_type")
        }

    def _schema(self, op: str) -> Any:
        if op not in self._schemas:
            try:
                schema = onnx.defs.get_schema(op, self._versions.get("", 1))
            except onnx.defs.SchemaError:
                schema = None
            self._schemas[op] = schema
        return self._schemas[op]


def _fault(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text.rpartition("] ")[2][:200] or first_line(error)


def _fixed(tensor_type: Any) -> Shape | None:
    if not tensor_type.HasField("shape"):
        return None
    sizes = tensor_type.shape.dim
    if not all(each.HasField("dim_value") for each in sizes):
        return None
    return counted(each.dim_value for each in sizes)


def _check(step: Step, schema: Any) -> None:
    """Raise ShapeError or InvalidValueError for counts and attributes that the operator `schema` rules out.

    ONNX's inference trusts these, and where they do not hold it reads outside its memory, which ends the process.
    """
    _check_count(len(step.names), schema.min_input, schema.max_input, "inputs")
    _check_count(len(step.node.output), schema.min_output, schema.max_output, "outputs")
    batch_axes = step.integer("batch_dims", 0) if step.op == "GatherND" else 0
    if batch_axes < 0:
        raise InvalidValueError("", found=f"batch_dims {batch_axes}", expected="at least 0")
    parts = step.integer("num_outputs", len(step.node.output)) if step.op == "Split" else 0
    if parts and parts != len(step.node.output):
        raise ShapeError(
            "", found=f"num_outputs {parts}", expected=f"its {len(step.node.output)} outputs"
        )


def _check_count(count: int, least: int, most: int, what: str) -> None:
    if not least <= count <= most:
        expected = f"{least}" if least == most else f"from {least} to {most}"
        raise ShapeError("", found=f"{count} {what}", expected=expected)
