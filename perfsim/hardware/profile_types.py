"""The kinds of numbers in a machine's file: each with its unit, read once."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field, WithJsonSchema

from perfsim.hardware import units


def quantity(dimension: units.Dimension) -> WithJsonSchema:
    """The JSON schema of a number with a unit."""
    return WithJsonSchema({"type": "string", "examples": [dimension.example]})


def as_number(value: object) -> object:
    """A whole number where a fraction may stand."""
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


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
Ratio = Annotated[float, BeforeValidator(as_number), Field(gt=0, le=1e6)]
Whole = Annotated[int, Field(ge=1, le=2**31)]
Width = Annotated[int, Field(ge=1, le=1024)]
