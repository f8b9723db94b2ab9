"""The kinds of numbers in a machine's file: each with its unit, read once."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field, WithJsonSchema

from perfsim.errors import InvalidValueError, describe, unknown_name
from perfsim.hardware import units
from perfsim.hardware.fields import LEAST_RATIO, MOST_RATIO
from perfsim.hardware.parts import LAYER_CLASSES
from perfsim.validation import MANY, ONE, ONE_OR_MANY, Misfit


def quantity(dimension: units.Dimension) -> WithJsonSchema:
    """The JSON schema of a number with a unit."""
    return WithJsonSchema({"type": "string", "examples": [dimension.example]})


def as_number(value: object) -> object:
    """A whole number where a fraction may stand."""
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def as_share(value: object) -> object:
    """A share: a number, or a percentage such as '90%' as one."""
    if isinstance(value, str) and value.rstrip().endswith("%"):
        return units.parse_share(value)
    return as_number(value)


Size = Annotated[int, BeforeValidator(units.parse_bytes), quantity(units.SIZE)]
Bandwidth = Annotated[
    float,
    BeforeValidator(lambda text: units.parse_rate(text, units.BANDWIDTH)),
    quantity(units.BANDWIDTH),
]
Compute = Annotated[
    float,
    BeforeValidator(lambda text: units.parse_rate(text, units.COMPUTE)),
    quantity(units.COMPUTE),
]
Frequency = Annotated[
    float,
    BeforeValidator(lambda text: units.parse_rate(text, units.FREQUENCY)),
    quantity(units.FREQUENCY),
]
Seconds = Annotated[float, BeforeValidator(units.parse_seconds), quantity(units.TIME)]
Joules = Annotated[
    float,
    BeforeValidator(lambda text: units.parse_amount(text, units.ENERGY)),
    quantity(units.ENERGY),
]
Watts = Annotated[
    float,
    BeforeValidator(lambda text: units.parse_amount(text, units.POWER)),
    quantity(units.POWER),
]
Ratio = Annotated[float, BeforeValidator(as_number), Field(ge=LEAST_RATIO, le=MOST_RATIO)]
Share = Annotated[
    float,
    BeforeValidator(as_share),
    Field(ge=LEAST_RATIO, le=MOST_RATIO),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "minimum": LEAST_RATIO, "maximum": MOST_RATIO},
                {"type": "string", "pattern": "%\\s*$", "examples": ["90%"]},
            ]
        }
    ),
]
Whole = Annotated[int, Field(ge=1, le=2**31)]


def parse_width(text: object) -> object:
    """A width in bits, a key of a mapping, as a whole number; raises InvalidValueError."""
    if not isinstance(text, str) or not text.isdecimal() or not 1 <= int(text) <= 1024:
        raise InvalidValueError(
            "", found=f"the key {describe(text)}", expected="a width in bits, from 1 to 1024"
        )
    return int(text)


def layer_class(name: object) -> object:
    """A class of layers; raises Misfit for one that there is not."""
    if name not in LAYER_CLASSES:
        raise Misfit(unknown_name("class of layers", str(name), list(LAYER_CLASSES)))
    return name


Width = Annotated[int, BeforeValidator(parse_width)]
LayerClass = Annotated[str, BeforeValidator(layer_class)]
_SOME = Field(min_length=1)
ComputeByWidth = Annotated[
    Annotated[Compute, ONE] | Annotated[dict[Width, Compute], _SOME, MANY], ONE_OR_MANY
]
WholeByWidth = Annotated[
    Annotated[Whole, ONE] | Annotated[dict[Width, Whole], _SOME, MANY], ONE_OR_MANY
]
JoulesByWidth = Annotated[
    Annotated[Joules, ONE] | Annotated[dict[Width, Joules], _SOME, MANY], ONE_OR_MANY
]
RatioByClass = Annotated[
    Annotated[Ratio, ONE] | Annotated[dict[LayerClass, Ratio], _SOME, MANY], ONE_OR_MANY
]
