"""A machine's file: the keys it may have, and its reading."""

from __future__ import annotations

from functools import cache
from os import PathLike
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, Field, WithJsonSchema

from perfsim import catalog
from perfsim.document import Document, read_document
from perfsim.hardware import units
from perfsim.hardware.machine import DEFAULT_PLACEMENT, DEFAULT_TIMING, Machine
from perfsim.settings import apply_settings
from perfsim.validation import STRICT, Name, Text, validate


def _quantity(dimension: units.Dimension) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "examples": [dimension.example]})


Size = Annotated[int, BeforeValidator(units.parse_bytes), _quantity(units.SIZE)]
Bandwidth = Annotated[
    float,
    BeforeValidator(lambda text: units.parse_rate(text, units.BANDWIDTH)),
    _quantity(units.BANDWIDTH),
]
Compute = Annotated[
    float,
    BeforeValidator(lambda text: units.parse_rate(text, units.COMPUTE)),
    _quantity(units.COMPUTE),
]


class HardwareProfile(BaseModel):
    """A machine: the first five keys are a whole file."""

    model_config = STRICT

    name: Name = Field(description="the machine's name")
    sram: Size = Field(description="internal memory, such as '1 MB' (10^6 bytes) or '1 MiB' (2^20)")
    ddr_bandwidth: Bandwidth = Field(description="to external memory, such as '1 GB/s'")
    matrix: Compute = Field(
        description="peak of the matrix unit, such as '1 TFLOPS'; one multiply-accumulate is 2 FLOP"
    )
    vector: Compute = Field(description="peak of the vector unit, such as '10 GFLOPS'")
    placement: Text = Field(DEFAULT_PLACEMENT, description="how this machine assigns memory")
    timing: Text = Field(DEFAULT_TIMING, description="what overlaps on this machine")
    double_buffered: bool = Field(
        False,
        description="whether the next tile is read while one is worked on, into a second buffer",
    )
    description: Text = Field("", description="one line about the machine")
    source: Text = Field("", description="where the numbers come from")


def load_hardware(file: str | PathLike[str], /, **settings: Any) -> Machine:
    """The machine in `file`: a path, or the name of a bundled machine.

    >>> load_hardware("1MB_1GBs_1TF", ddr_bandwidth="4 GB/s")

    `settings` replace keys of the file. Raises InputError when something is wrong with it.
    """
    document = read_document(catalog.find_machine(file))
    apply_settings(document, settings)
    return read_machine(document)


def read_machine(document: Document) -> Machine:
    """The machine that `document` describes."""
    profile = validate(HardwareProfile, document.value, document)
    places = {key: document.place_text((key,)) for key in document.value}
    return Machine(
        name=profile.name,
        sram_bytes=profile.sram,
        ddr_bytes_per_s=profile.ddr_bandwidth,
        matrix_flops=profile.matrix,
        vector_flops=profile.vector,
        placement=profile.placement,
        timing=profile.timing,
        description=profile.description,
        double_buffered=profile.double_buffered,
        places=places,
    )


@cache
def hardware_schema() -> dict[str, Any]:
    """The JSON schema of a machine's file."""
    return HardwareProfile.model_json_schema()
