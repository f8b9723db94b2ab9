"""The keys that a network's file may have, and its JSON schema."""

from __future__ import annotations

import re
from dataclasses import MISSING, fields
from functools import cache
from typing import Annotated, Any, get_type_hints

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    WithJsonSchema,
    create_model,
)

from perfsim.errors import InvalidValueError, describe, nearest_name
from perfsim.network.elementwise import ACTIVATIONS
from perfsim.network.operator import (
    Amounts,
    Padding,
    PerAxis,
    Positive,
    Unit,
    Whole,
    Wholes,
)
from perfsim.network.operators import ALSO_CALLED, OPERATORS
from perfsim.network.window import PADDING_WORDS
from perfsim.validation import STRICT, Name, Text

_BLOCK_NAME = re.compile(r"^[A-Z][A-Za-z0-9]*")
RESERVED_NAMES = ("previous", "input", "block_input")
_ACTIVATION_NAMES = tuple(activation.name for activation in ACTIVATIONS)


def _whole(value: object, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _per_axis(value: object, least: int = 1) -> Any:
    if _whole(value, least):
        return value
    if isinstance(value, list) and value and all(_whole(each, least) for each in value):
        return tuple(value)
    raise InvalidValueError(
        "",
        found=describe(value),
        expected=f"a whole number of at least {least}, or a list of one per axis such as [3, 3]",
    )


def _amounts(value: object) -> Any:
    return _per_axis(value, least=0)


def _wholes(value: object) -> Any:
    if isinstance(value, list) and value and {type(each) for each in value} == {int}:
        return tuple(value)
    raise InvalidValueError(
        "", found=describe(value), expected="a list of whole numbers such as [0, 2, 1]"
    )


def _padding(value: object) -> Any:
    if value in PADDING_WORDS or _whole(value, 0):
        return value
    if isinstance(value, list) and value and all(_pad(each) for each in value):
        return tuple(tuple(each) if isinstance(each, list) else each for each in value)
    near = nearest_name(value, PADDING_WORDS) if isinstance(value, str) else None
    raise InvalidValueError(
        "",
        found=describe(value),
        expected="same, valid, a number of at least 0, or a list of one per axis",
        nearest=near,
    )


def _pad(value: object) -> bool:
    """Whether `value` pads one axis: a number, or two, before and after."""
    return _whole(value, 0) or (
        isinstance(value, list) and len(value) == 2 and all(_whole(each, 0) for each in value)
    )


def _activation(value: object) -> Any:
    if value is None or value in _ACTIVATION_NAMES:
        return value
    near = nearest_name(value, _ACTIVATION_NAMES, ALSO_CALLED) if isinstance(value, str) else None
    expected = "one of " + ", ".join(_ACTIVATION_NAMES)
    raise InvalidValueError("", found=describe(value), expected=expected, nearest=near)


def _not_reserved(value: str) -> str:
    if value in RESERVED_NAMES:
        raise InvalidValueError(
            f"the name '{value}' is reserved", expected="another name for the layer"
        )
    return value


def _numbers(least: int) -> dict[str, Any]:
    number = {"type": "integer", "minimum": least}
    return {"anyOf": [number, {"type": "array", "items": number, "minItems": 1}]}


def _padding_schema() -> dict[str, Any]:
    number = {"type": "integer", "minimum": 0}
    pair = {"type": "array", "items": number, "minItems": 2, "maxItems": 2}
    per_axis = {"type": "array", "items": {"anyOf": [number, pair]}, "minItems": 1}
    return {"anyOf": [{"enum": list(PADDING_WORDS)}, number, per_axis]}


PositiveField = Annotated[int, Field(ge=1)]
PerAxisField = Annotated[Any, BeforeValidator(_per_axis), WithJsonSchema(_numbers(1))]
PaddingField = Annotated[
    Any,
    BeforeValidator(_padding),
    WithJsonSchema(_padding_schema()),
]
AmountsField = Annotated[Any, BeforeValidator(_amounts), WithJsonSchema(_numbers(0))]
WholesField = Annotated[
    Any,
    BeforeValidator(_wholes),
    WithJsonSchema({"type": "array", "items": {"type": "integer"}, "minItems": 1}),
]
ActivationField = Annotated[
    Any, BeforeValidator(_activation), WithJsonSchema({"enum": list(_ACTIVATION_NAMES)})
]
LayerName = Annotated[Name, AfterValidator(_not_reserved)]

_FIELD_TYPES: tuple[tuple[Any, Any], ...] = (
    (Positive, PositiveField),
    (PerAxis, PerAxisField),
    (PerAxis | None, PerAxisField),
    (Padding, PaddingField),
    (Positive | None, PositiveField),
    (Amounts, AmountsField),
    (Amounts | None, AmountsField),
    (Whole, int),
    (Whole | None, int),
    (Wholes, WholesField),
    (Wholes | None, WholesField),
    (bool, bool),
)


def _field_type(hint: Any) -> Any:
    for known, field_type in _FIELD_TYPES:
        if hint == known:
            return field_type
    raise TypeError(f"no spelling in files for attributes of type {hint}")


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
    if operator.unit is Unit.MATRIX and "bias" in operator.__dataclass_fields__:
        base = MatrixModel
    elif operator.unit in (Unit.MATRIX, Unit.VECTOR) and operator_name not in _ACTIVATION_NAMES:
        base = ComputingModel
    hints = get_type_hints(operator, include_extras=True)
    attributes: dict[str, Any] = {
        each.name: (
            _field_type(hints[each.name]),
            ... if each.default is MISSING else each.default,
        )
        for each in fields(operator)
        if each.name != "bias"
    }
    model: type[LayerModel] = create_model(operator_name, __base__=base, **attributes)
    model.__doc__ = f"{operator.__doc__.strip()} Cost: {operator.cost}."
    return model


class Precision(BaseModel):
    """Bits per element."""

    model_config = STRICT

    feature_map: int = Field(default=8, ge=1, le=64)
    weight: int = Field(default=8, ge=1, le=64)


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


def _operator_schema(name: str) -> dict[str, Any]:
    """The schema of one operator's attributes, each of which may be an expression."""
    schema = layer_model(name).model_json_schema()
    schema["properties"] = {
        key: value if key == "name" else {"anyOf": [value, _EXPRESSION]}
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
    block_use = {
        "type": "object",
        "description": "a block of this file, with values for its parameters",
        "patternProperties": {_BLOCK_NAME.pattern + "$": {"type": ["object", "null"]}},
        "additionalProperties": False,
        "minProperties": 1,
        "maxProperties": 1,
    }
    schema["$defs"]["layers"] = {
        "type": "array",
        "minItems": 1,
        "items": {
            "anyOf": [
                *(
                    _entry_schema({name: {"anyOf": [_operator_schema(name), {"type": "null"}]}})
                    for name in OPERATORS
                ),
                _entry_schema({"repeat": rounds, "layers": layers}),
                _entry_schema({"when": _EXPRESSION, "layers": layers}),
                block_use,
            ]
        },
    }
    for properties in (schema["properties"], schema["$defs"]["Block"]["properties"]):
        properties["layers"] = layers | {"description": "in order, each reads the one before it"}
    return schema
