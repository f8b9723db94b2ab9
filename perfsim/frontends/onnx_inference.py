"""ONNX's own shape inference, one node at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import onnx

from perfsim.errors import InvalidValueError, ShapeError
from perfsim.frontends.onnx_graph import DOMAINS, Step, counted, first_line
from perfsim.network.operator import axis_index
from perfsim.network.work import LARGEST_COUNT, Shape, shape_text

_SIZES = ("kernel_shape", "strides", "dilations")
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

    def __init__(self, model: Any, bound: Mapping[str, int]) -> None:
        """bound: the sizes of dimensions that have a name."""
        graph = model.graph
        self._opsets = list(model.opset_import)
        self._version = next(each.version for each in self._opsets if each.domain in DOMAINS)
        self._ir_version = model.ir_version
        self._declared = {each.name: each for each in (*graph.value_info, *graph.output)}
        self._bound = bound
        self._schemas: dict[str, Any] = {}

    def complete(self, step: Step) -> None:
        """Write the shapes and types of the outputs into `step`: what ONNX infers, else what the model declares.

        Raises ShapeError if ONNX finds a fault or the two contradict each other.
        """
        found = self._outputs(step) if step.node.domain in DOMAINS else {}
        for each in step.outputs:
            shape, elem_type = found.get(each, (None, 0))
            sizes, declared_type = self._declared_shape(each)
            if shape is None:
                elem_type = elem_type or declared_type
                if sizes is not None and None not in sizes:
                    shape = counted(size for size in sizes if size is not None)
            elif sizes is not None and not _agree(sizes, shape):
                raise ShapeError(
                    f"the model declares another shape for '{each}' than its inputs give it",
                    found="x".join("?" if size is None else str(size) for size in sizes)
                    or "scalar",
                    expected=shape_text(shape),
                )
            step.inferred.append(shape)
            known = step.inputs[0] if step.inputs else None
            step.types.append(elem_type or (known.elem_type if known else onnx.TensorProto.FLOAT))

    def _outputs(self, step: Step) -> dict[str, tuple[Shape | None, int]]:
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

    def _declared_shape(self, name: str) -> tuple[list[int | None] | None, int]:
        """The sizes that the model declares, None for one that is open, and the element type."""
        info = self._declared.get(name)
        if info is None or not info.type.HasField("tensor_type"):
            return None, 0
        tensor_type = info.type.tensor_type
        if not tensor_type.HasField("shape"):
            return None, tensor_type.elem_type
        sizes = [
            each.dim_value if each.HasField("dim_value") else self._bound.get(each.dim_param)
            for each in tensor_type.shape.dim
        ]
        return sizes, tensor_type.elem_type

    def _schema(self, op: str) -> Any:
        if op not in self._schemas:
            try:
                schema = onnx.defs.get_schema(op, self._version)
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


def _agree(sizes: Sequence[int | None], shape: Shape) -> bool:
    """Whether a shape can be what is declared, of which open sizes are None."""
    return len(sizes) == len(shape) and all(
        size in (None, known) for size, known in zip(sizes, shape, strict=True)
    )


def _check(step: Step, schema: Any) -> None:
    """Raise ShapeError or InvalidValueError for counts and attributes that the operator `schema` rules out.

    ONNX's inference trusts these, and where they do not hold it reads outside its memory, which ends the process.
    """
    _check_count(len(step.names), schema.min_input, schema.max_input, "inputs")
    _check_count(len(step.node.output), schema.min_output, schema.max_output, "outputs")
    for name in _SIZES:
        sizes = step.integers(name) or ()
        if any(not 1 <= size <= LARGEST_COUNT for size in sizes):
            found = f"{name} {list(sizes)}"
            raise InvalidValueError("", found=found, expected="numbers of at least 1, up to 2^53")
    if step.op in ("LayerNormalization", "RMSNormalization"):
        axis_index(step.integer("axis", -1), len(step.shape(0)))
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
