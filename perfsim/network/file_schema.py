"""The keys that a network's file may have, and its JSON schema."""

from __future__ import annotations

import re
from dataclasses import MISSING, fields
from functools import cache
from typing import Annotated, Any, get_type_hints

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    create_model,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from perfsim.errors import InvalidValueError, describe
from perfsim.network.field_types import (
    ACTIVATION_NAMES,
    ActivationField,
    LayerName,
    PositiveField,
    field_type,
)
from perfsim.network.operator import (
    Unit,
)
from perfsim.network.operators import OPERATORS
from perfsim.validation import STRICT, Name, Text

_BLOCK_NAME = re.compile(r"^[A-Z][A-Za-z0-9]*")


class _Widths(BaseModel):
    """Bits per element, also as one number for both."""

    model_config = STRICT

    @model_validator(mode="before")
    @classmethod
    def _both(cls, value: Any) -> Any:
        if isinstance(value, int) and not isinstance(value, bool):
            return {"feature_map": value, "weight": value}
        return value

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        number = {"type": "integer", "minimum": 1, "maximum": 64}
        return {"anyOf": [number, handler.resolve_ref_schema(handler(core_schema))]}


class Precision(_Widths):
    """Bits per element: of both, or one number for them."""

    feature_map: int = Field(default=8, ge=1, le=64)
    weight: int = Field(default=8, ge=1, le=64)


class LayerPrecision(_Widths):
    """Bits per element of one layer; the network's where it says nothing."""

    feature_map: int | None = Field(
        default=None, ge=1, le=64, description="of what the layer writes"
    )
    weight: int | None = Field(default=None, ge=1, le=64, description="of its weights")


class LayerModel(BaseModel):
    """The keys that every layer has."""

    model_config = STRICT | ConfigDict(
        defer_build=True
    )  # the operators' models are built when used

    name: LayerName | None = Field(None, description="by which others read it; unique")
    inputs: list[str] | None = Field(
        None,
        min_length=1,
        description="names of layers, or previous, input, block_input; the layer before unless given",
    )
    precision: LayerPrecision | None = Field(None, description="bits of this layer alone")


class ComputingModel(LayerModel):
    """The keys of a layer that computes, so that an activation can be fused behind it."""

    activation: ActivationField = Field(None, description="applied to the output, fused")


class MatrixModel(ComputingModel):
    """The keys of a layer of the matrix unit that has weights."""

    batch_norm: bool = Field(False, description="applied to the output, fused, before activation")
    bias: bool | None = Field(
        None, description="added to each output channel; by default unless batch_norm follows"
    )


@cache
def layer_model(operator_name: str) -> type[LayerModel]:
    """The pydantic model of the attributes that a file may give to this operator."""
    operator: Any = OPERATORS[operator_name]
    base: type[LayerModel] = LayerModel
    computes = operator.unit in (Unit.MATRIX, Unit.VECTOR) and not operator.gives_parts
    if operator.unit is Unit.MATRIX and "bias" in operator.__dataclass_fields__:
        base = MatrixModel
    elif computes and operator_name not in ACTIVATION_NAMES:
        base = ComputingModel
    hints = get_type_hints(operator, include_extras=True)
    attributes: dict[str, Any] = {
        each.name: (
            field_type(hints[each.name]),
            ... if each.default is MISSING else each.default,
        )
        for each in fields(operator)
        if each.name != "bias"
    }
    model: type[LayerModel] = create_model(operator_name, __base__=base, **attributes)
    model.__doc__ = f"{operator.__doc__.strip()} Cost: {operator.cost}."
    return model


class Block(BaseModel):
    """Layers under a name, to be used several times with other numbers."""

    model_config = STRICT

    description: Text = Field("", description="one line about the block")
    parameters: dict[str, Any] = Field(
        default_factory=dict,
        description="names and what they are unless the use says otherwise; null must be said",
    )
    layers: list[Any] = Field(min_length=1, description="as in the network")


def _blocks(value: object) -> Any:
    for name in value if isinstance(value, dict) else ():
        if not _BLOCK_NAME.fullmatch(name):
            raise InvalidValueError(
                "",
                found=describe(name),
                expected="a block's name in CapitalizedWords, such as Bottleneck",
            )
    return value


class NetworkFile(BaseModel):
    """A network: its input, and its layers in order."""

    model_config = STRICT

    name: Name | None = Field(None, description="the network's name; that of the file if absent")
    description: Text = Field("", description="one line about the network")
    source: Text = Field("", description="where the definition comes from")
    input: Annotated[list[PositiveField], Field(min_length=1)] = Field(
        description="shape without the batch, such as [channels, height, width]"
    )
    precision: Precision = Precision()
    width: float = Field(1.0, gt=0, le=1000, description="multiplies the channels of every conv")
    resolution: int | None = Field(None, ge=1, description="replaces the input's spatial axes")
    batch: int = Field(1, ge=1, description="images per inference")
    classes: int | None = Field(
        None, ge=1, description="size of the classifier, $classes in layers"
    )
    blocks: Annotated[dict[str, Block], BeforeValidator(_blocks)] = Field(
        default_factory=dict, description="blocks by name; names start with a capital letter"
    )
    layers: list[Any] = Field(description="one-key mappings from operator to attributes, in order")


_EXPRESSION = {"type": "string", "pattern": r"^\$", "description": "worked out: $name or $(a * b)"}


def _of_expressions(schema: dict[str, Any]) -> dict[str, Any]:
    """`schema` with expressions allowed in its lists of numbers."""
    if "anyOf" in schema:
        return schema | {"anyOf": [_of_expressions(each) for each in schema["anyOf"]]}
    if schema.get("type") == "array":
        return schema | {"items": {"anyOf": [schema["items"], _EXPRESSION]}}
    return schema


def _operator_schema(name: str) -> dict[str, Any]:
    """The schema of one operator's attributes, each of which may be an expression, or a list with some."""
    schema = layer_model(name).model_json_schema()
    schema["properties"] = {
        key: value if key == "name" else {"anyOf": [_of_expressions(value), _EXPRESSION]}
        for key, value in schema["properties"].items()
    }
    return schema


def _entry_schema(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def network_schema() -> dict[str, Any]:
    """The JSON schema of a network's file."""
    schema = NetworkFile.model_json_schema()
    layers = {"$ref": "#/$defs/layers"}
    rounds = {"anyOf": [{"type": "integer", "minimum": 1}, _EXPRESSION]}
    layer = {
        "type": "object",
        "description": "one operator, or a block of this file, with its attributes",
        "properties": {
            name: {"anyOf": [_operator_schema(name), {"type": "null"}]} for name in OPERATORS
        },
        "patternProperties": {_BLOCK_NAME.pattern + "$": {"type": ["object", "null"]}},
        "additionalProperties": False,
        "minProperties": 1,
        "maxProperties": 1,
    }
    repeat = _entry_schema({"repeat": rounds, "layers": layers})
    when = _entry_schema({"when": _EXPRESSION, "layers": layers})
    schema["$defs"]["layers"] = {
        "type": "array",
        "minItems": 1,
        "items": {
            "if": {"required": ["repeat"]},
            "then": repeat,
            "else": {"if": {"required": ["when"]}, "then": when, "else": layer},
        },
    }
    for properties in (schema["properties"], schema["$defs"]["Block"]["properties"]):
        properties["layers"] = layers | {"description": "in order, each reads the one before it"}
    return schema
