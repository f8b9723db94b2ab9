"""What is known of an ONNX graph while it is read: constants, shapes, and one node at a time."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx

from perfsim.errors import InvalidValueError, ShapeError, shortened
from perfsim.frontends.onnx_file import check_data
from perfsim.frontends.onnx_fold import LARGEST_VALUE
from perfsim.frontends.onnx_trained import LARGEST_LOOK, is_computed
from perfsim.frontends.onnx_types import STRING, params_of
from perfsim.network.work import LARGEST_COUNT, Shape, elements, too_large

DOMAINS = ("", "ai.onnx")  # of ONNX's own operators
_TYPED_DATA = ("float_data", "int32_data", "int64_data", "double_data", "uint64_data")


@dataclass(frozen=True, slots=True)
class Value:
    """A tensor of an ONNX graph.

    Attributes:
        elem_type: as ONNX numbers them.
        is_constant: known before the network runs: an initializer, or worked out from constants.
        is_input: an input of the graph.
        array: the value, where it is constant and small.
        params: how many trained numbers a constant holds.
        bits: of each number of a constant, where it was quantised; else its type says.
        source: the initializer that it shows, if that is one of which several nodes may make use.
        elsewhere: the initializer and the file that its value lies in, where that is not the model.
    """

    shape: Shape
    elem_type: int
    is_constant: bool = False
    is_input: bool = False
    array: Any = None
    params: int = 0
    bits: int | None = None
    source: str = ""
    elsewhere: str = ""

    @property
    def is_filled(self) -> bool:
        """Whether it holds fractions that were not trained, as the zeros do that exporters give for no bias."""
        return self.is_constant and not self.params and params_of(self.shape, self.elem_type) > 0

    @property
    def is_weight(self) -> bool:
        """Whether an operator that takes weights takes them from here: a model may leave them as inputs."""
        return self.is_constant or self.is_input


@dataclass(slots=True)
class Step:
    """One node while it is read: its attributes and what is known of its inputs and outputs.

    Attributes:
        inferred: the shapes that ONNX infers or declares for the outputs, None where it knows none.
    """

    node: Any
    name: str
    version: int
    names: list[str]
    inputs: list[Value | None]
    outputs: list[str]
    inferred: list[Shape | None] = field(default_factory=list)
    types: list[int] = field(default_factory=list)
    attributes: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.attributes = {each.name: each for each in self.node.attribute}

    @property
    def op(self) -> str:
        return str(self.node.op_type)

    def has(self, position: int) -> bool:
        """Whether there is an input at this position; optional ones may be left out."""
        return position < len(self.inputs) and self.inputs[position] is not None

    def has_bias(self, position: int) -> bool:
        """Whether there is a bias at this position, trained or computed."""
        return self.has(position) and not self.value(position).is_filled

    def value(self, position: int) -> Value:
        """What is known of an input that must be there."""
        found = self.inputs[position] if position < len(self.inputs) else None
        if found is None:
            raise ShapeError(
                "", found=f"{len(self.inputs)} inputs", expected=f"an input {position + 1}"
            )
        return found

    def shape(self, position: int = 0) -> Shape:
        """The shape of an input that must be there."""
        return self.value(position).shape

    def numbers(self, position: int) -> list[int] | None:
        """The whole numbers in a constant input; None if it is absent or not known before running."""
        if not self.has(position):
            return None
        array = self.value(position).array
        return None if array is None else [int(each) for each in array.ravel().tolist()]

    def scalar(self, position: int) -> float | None:
        """The one number in a constant input, if it is that."""
        array = self.value(position).array if self.has(position) else None
        return float(array.ravel()[0]) if array is not None and array.size == 1 else None

    def output(self, position: int = 0) -> Shape:
        """The shape of an output as ONNX infers or declares it; raises ShapeError if it does not."""
        found = self.inferred[position] if position < len(self.inferred) else None
        for value in self.inputs if found is None else ():
            if value is not None and value.elsewhere and elements(value.shape) <= LARGEST_VALUE:
                raise ShapeError(
                    "the shape of its output depends on a constant whose value is not in the model",
                    found=value.elsewhere,
                    expected="small constants in the model itself",
                )
        if found is None:
            raise ShapeError(
                "the shape of its output depends on values that are known only when it runs, and the "
                "model does not declare it"
            )
        return found

    def all_outputs(self) -> tuple[Shape, ...]:
        """The shapes of all outputs as ONNX infers or declares them; one that is left out is empty."""
        return tuple(
            self.output(position) if name else (0,) for position, name in enumerate(self.outputs)
        )

    def integer(self, name: str, default: int) -> int:
        """The value of a whole-number attribute."""
        return int(self._attribute(name, onnx.AttributeProto.INT, "i", default))

    def at_least_one(self, name: str) -> int:
        """The value of a whole-number attribute that counts something, 1 where it is left out."""
        found = self.integer(name, 1)
        if found < 1:
            raise InvalidValueError("", found=f"{name} {found}", expected="at least 1")
        return found

    def number(self, name: str, default: float) -> float:
        """The value of an attribute that is a number."""
        return float(self._attribute(name, onnx.AttributeProto.FLOAT, "f", default))

    def text(self, name: str, default: str) -> str:
        """The value of a text attribute."""
        value = self._attribute(name, onnx.AttributeProto.STRING, "s", default)
        return value.decode(errors="replace") if isinstance(value, bytes) else str(value)

    def integers(self, name: str) -> list[int] | None:
        """The whole numbers of an attribute; None if it is absent."""
        value = self._attribute(name, onnx.AttributeProto.INTS, "ints", None)
        return None if value is None else list(value)

    def tensor(self, name: str) -> Any:
        """The value of a tensor attribute; None if it is absent."""
        value = self._attribute(name, onnx.AttributeProto.TENSOR, "t", None)
        if value is None:
            return None
        check_data(value)
        return _array(value)

    def cast(self, array: Any) -> Any:
        """`array` with elements of the type that the attribute `to` asks for."""
        return as_type(array, self.integer("to", 1))

    def _attribute(self, name: str, kind: int, member: str, default: Any) -> Any:
        found = self.attributes.get(name)
        if found is None:
            return default
        if found.type != kind:
            kinds = onnx.AttributeProto.AttributeType
            known = found.type in kinds.values()
            raise InvalidValueError(
                f"the attribute '{shortened(name)}' has the wrong kind",
                found=kinds.Name(found.type) if known else str(found.type),
                expected=kinds.Name(kind),
            )
        return getattr(found, member)


def constant(tensor: Any, *, is_trained: bool = True) -> Value:
    """What is known of an initializer or the value of a Constant node; large values are not kept.

    is_trained: False where the model says that it is not.
    """
    shape = counted(tensor.dims)
    check_data(tensor)
    array = None
    external = tensor.data_location == onnx.TensorProto.EXTERNAL
    held = tensor.HasField("raw_data") or any(len(getattr(tensor, each)) for each in _TYPED_DATA)
    left_out = external or (
        not held and elements(shape) > 0
    )  # models are passed on without weights
    if elements(shape) <= LARGEST_VALUE and not left_out and tensor.data_type != STRING:
        array = _array(tensor)
    params = params_of(shape, tensor.data_type) if is_trained else 0
    if params and is_computed(_raw(tensor, shape) if array is None else array):
        params = 0
    where = [each.value for each in tensor.external_data if each.key == "location"]
    name, file = shortened(tensor.name), shortened("".join(where))
    elsewhere = f"initializer '{name}' in the file '{file}'" if external else ""
    return Value(shape, tensor.data_type, True, array=array, params=params, elsewhere=elsewhere)


def _raw(tensor: Any, shape: Shape) -> Any:
    """The value of a larger constant that lies in the file in single precision; empty for any other."""
    if tensor.data_type == onnx.TensorProto.FLOAT and elements(shape) <= LARGEST_LOOK:
        raw = tensor.raw_data
        if len(raw) == 4 * elements(shape):
            return np.frombuffer(raw, "<f4").reshape(shape)
    return np.empty(0)


def _array(tensor: Any) -> Any:
    """The value of a tensor that lies in the model."""
    if tensor.data_location == onnx.TensorProto.EXTERNAL:
        raise InvalidValueError("", found="a value in another file", expected="one in the model")
    try:
        return onnx.numpy_helper.to_array(tensor)
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:
        raise InvalidValueError(
            f"the constant '{shortened(tensor.name)}' cannot be read: {first_line(error)}"
        ) from None


def as_type(array: Any, elem_type: int) -> Any:
    """`array` with elements of another type."""
    try:
        return np.asarray(array).astype(onnx.helper.tensor_dtype_to_np_dtype(elem_type))
    except KeyError:
        raise InvalidValueError(
            "", found=f"element type {elem_type}", expected="a type of numbers of ONNX"
        ) from None


def empty(shape: Shape, elem_type: int) -> Value:
    """A tensor without elements."""
    filled = math.prod(size for size in shape if size)
    if filled > LARGEST_COUNT:
        raise too_large(filled, "elements along its other axes")
    return Value(shape, elem_type, True, array=as_type(np.empty(shape), elem_type))


def first_line(error: Exception) -> str:
    """What another library's error says, in one line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:200] if lines else type(error).__name__


def counted(sizes: Iterable[int]) -> Shape:
    """`sizes` as a shape; raises ShapeError for one below 0."""
    shape = tuple(sizes)
    if any(size < 0 for size in shape):
        raise ShapeError("", found=f"a tensor of shape {list(shape)}", expected="sizes from 0")
    return shape
