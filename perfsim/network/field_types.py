"""How the attributes of operators are spelt in a network's file: one checked type for each kind of attribute."""

from __future__ import annotations

from fractions import Fraction
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from perfsim.errors import InvalidValueError, describe, nearest_name
from perfsim.network.elementwise import ACTIVATIONS
from perfsim.network.operator import (
    Amounts,
    Number,
    Padding,
    Parts,
    PerAxis,
    Positive,
    Whole,
    Wholes,
)
from perfsim.network.operators import ALSO_CALLED
from perfsim.network.window import PADDING_WORDS
from perfsim.validation import Name

RESERVED_NAMES = ("previous", "input", "block_input")
ACTIVATION_NAMES = tuple(activation.name for activation in ACTIVATIONS)


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


def _parts(value: object) -> Any:
    try:
        return _per_axis(value)
    except InvalidValueError as error:
        error.expected = "how many equal parts, or a list with the size of each such as [16, 48]"
        raise


def _number(value: Any) -> Any:
    is_number = isinstance(value, int | float | Fraction) and not isinstance(value, bool)
    if is_number and abs(value) < 2**1024:
        return float(value)
    raise InvalidValueError("", found=describe(value), expected="a number such as 0.5")


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
    if value is None or value in ACTIVATION_NAMES:
        return value
    near = nearest_name(value, ACTIVATION_NAMES, ALSO_CALLED) if isinstance(value, str) else None
    expected = "one of " + ", ".join(ACTIVATION_NAMES)
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
PartsField = Annotated[Any, BeforeValidator(_parts), WithJsonSchema(_numbers(1))]
NumberField = Annotated[Any, BeforeValidator(_number), WithJsonSchema({"type": "number"})]
AmountsField = Annotated[Any, BeforeValidator(_amounts), WithJsonSchema(_numbers(0))]
WholesField = Annotated[
    Any,
    BeforeValidator(_wholes),
    WithJsonSchema({"type": "array", "items": {"type": "integer"}, "minItems": 1}),
]
ActivationField = Annotated[
    Any, BeforeValidator(_activation), WithJsonSchema({"enum": list(ACTIVATION_NAMES)})
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
    (Parts, PartsField),
    (Number | None, NumberField),
    (Whole, int),
    (Whole | None, int),
    (Wholes, WholesField),
    (Wholes | None, WholesField),
    (bool, bool),
)


def field_type(hint: Any) -> Any:
    """The type that a file's value for an attribute of this type is checked with."""
    for known, checked in _FIELD_TYPES:
        if hint == known:
            return checked
    raise TypeError(f"no spelling in files for attributes of type {hint}")
