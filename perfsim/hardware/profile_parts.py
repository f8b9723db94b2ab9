"""The optional keys of a machine's file: what each may hold, and the part of a machine that it becomes."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, Field, model_validator

from perfsim.errors import InvalidValueError, UnknownNameError, describe, unknown_name
from perfsim.hardware.fields import LEAST_RATIO, MOST_RATIO, field_of
from perfsim.hardware.parts import (
    LAYER_CLASSES,
    Calibration,
    Energy,
    Stream,
    WeightMemory,
)
from perfsim.hardware.profile_types import (
    Bandwidth,
    Joules,
    JoulesByWidth,
    Ratio,
    RatioByClass,
    Watts,
    as_share,
)
from perfsim.validation import STRICT, Misfit, Text

LogError = Annotated[
    float,
    Field(ge=-Calibration.LARGEST_LOG_ERROR, le=Calibration.LARGEST_LOG_ERROR, allow_inf_nan=False),
]
Range = Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=2, max_length=2)]


class StreamProfile(BaseModel):
    """Between on-chip memory and the units: the feature maps of each layer pass once."""

    model_config = STRICT

    bandwidth: Bandwidth | None = Field(None, description="both directions together")
    read_bandwidth: Bandwidth | None = Field(None, description="to the units")
    write_bandwidth: Bandwidth | None = Field(None, description="from the units")
    operand_bandwidth: Bandwidth | None = Field(
        None, description="to what is applied on the way out (output_stage), a port of its own"
    )
    hidden: bool = Field(True, description="whether it passes while the units compute")

    @model_validator(mode="after")
    def _has_one(self) -> StreamProfile:
        apart = (self.read_bandwidth, self.write_bandwidth)
        if (self.bandwidth is None) == (apart == (None, None)):
            found = "bandwidth and that of a direction" if self.bandwidth else "no bandwidth"
            raise InvalidValueError(
                "",
                found=found,
                expected="either bandwidth, or read_bandwidth, write_bandwidth or both",
            )
        if self.operand_bandwidth and self.read_bandwidth is None:
            raise InvalidValueError(
                "a port for operands stands beside one for the rest",
                found="operand_bandwidth alone",
                expected="read_bandwidth beside it",
            )
        return self

    def part(self) -> Stream:
        """The stream."""
        return Stream(
            self.bandwidth,
            self.read_bandwidth,
            self.write_bandwidth,
            self.hidden,
            self.operand_bandwidth,
        )


class WeightMemoryProfile(BaseModel):
    """A memory of its own for weights: flash, a second DRAM, a link."""

    model_config = STRICT

    bandwidth: Bandwidth = Field(description="its bandwidth")
    hidden: bool = Field(False, description="whether weights come in while their layer computes")

    def part(self) -> WeightMemory:
        """The memory."""
        return WeightMemory(self.bandwidth, self.hidden)


class CompressionProfile(BaseModel):
    """Bytes that move for each byte of a tensor: below 1 where it is compressed, above where it is padded."""

    model_config = STRICT

    feature_map: Ratio | None = Field(None, description="of feature maps, over DDR")
    weight: RatioByClass | None = Field(
        None, description="of weights: one number, or by class of layers"
    )

    def weights(self) -> dict[str, float]:
        """The ratio of weights by class of layers."""
        if isinstance(self.weight, float | int):
            return dict.fromkeys(LAYER_CLASSES, float(self.weight))
        return dict(self.weight or {})


class EnergyProfile(BaseModel):
    """Energy per event, and static power."""

    model_config = STRICT

    mac: JoulesByWidth = Field(description="per multiply-accumulate, or by width in bits")
    vector_op: Joules = Field(description="per operation of the vector unit")
    sram_byte: Joules = Field(description="per byte to or from internal memory")
    ddr_byte: Joules = Field(description="per byte to or from external memory")
    weight_byte: Joules | None = Field(None, description="per byte from the weights' own memory")
    static: Watts | None = Field(None, description="power that is drawn all the time")

    def part(self) -> Energy:
        """The energies; one number for all widths counts as that of 1024 bits."""
        by_width = self.mac if isinstance(self.mac, dict) else {1024: self.mac}
        return Energy(
            by_width,
            self.vector_op,
            self.sram_byte,
            self.ddr_byte,
            self.weight_byte,
            self.static,
        )


class CalibrationProfile(BaseModel):
    """What the calibrated numbers of this file were fitted on (written by `perfsim calibrate`)."""

    model_config = STRICT

    source: Text = Field(description="where the measurements are from")
    fitted: list[Text] = Field(description="the keys that were fitted")
    log_errors: list[LogError] = Field(
        description="ln(measured / predicted) of each row, predicted without it"
    )
    networks: list[Text] = Field([], description="the networks that were measured")
    operators: list[Text] = Field([], description="the operators in them")
    macs: Range | None = Field(None, description="least and most of a row")
    layers: Range | None = Field(None, description="least and most of a row")
    of_layers: bool = Field(False, description="whether the rows are of single layers")
    bits: list[Annotated[int, Field(ge=1, le=1024)]] = Field(
        [], description="the widths of the inputs and weights that were multiplied"
    )
    batches: list[Annotated[int, Field(ge=1)]] = Field([], description="images of an inference")

    @model_validator(mode="after")
    def _makes_sense(self) -> CalibrationProfile:
        for name, values in (("macs", self.macs), ("layers", self.layers)):
            if values is not None and values[0] > values[1]:
                found, expected = f"{values[0]}, {values[1]}", "the least first, then the most"
                raise Misfit(InvalidValueError("", found=found, expected=expected), (name,))
        for position, key in enumerate(self.fitted):
            try:
                field_of(key)
            except UnknownNameError as error:
                raise Misfit(error, ("fitted", position)) from None
        return self

    def part(self) -> Calibration:
        """The calibration."""
        return Calibration(
            self.source,
            tuple(self.fitted),
            tuple(self.log_errors),
            tuple(self.networks),
            tuple(self.operators),
            (self.macs[0], self.macs[1]) if self.macs else None,
            (self.layers[0], self.layers[1]) if self.layers else None,
            self.of_layers,
            tuple(self.bits),
            tuple(self.batches),
        )


def check_efficiency(value: Any) -> Any:
    """Efficiencies by class; above 1 only where `above_one: true` says so.

    Raises Misfit or InvalidValueError.
    """
    if not isinstance(value, dict):
        raise InvalidValueError(
            "",
            found=describe(value),
            expected=f"shares by class of layers: {', '.join(LAYER_CLASSES)}",
        )
    above_one = value.get("above_one", False)
    if not isinstance(above_one, bool):
        error = InvalidValueError("", found=describe(above_one), expected="true or false")
        raise Misfit(error, ("above_one",))
    numbers = {name: as_share(number) for name, number in value.items() if name != "above_one"}
    for name, number in numbers.items():
        if name not in LAYER_CLASSES:
            known = [*LAYER_CLASSES, "above_one"]
            raise Misfit(unknown_name("class of layers", name, known), (name,))
        share = number if isinstance(number, float) else 0.0
        if not LEAST_RATIO <= share <= (MOST_RATIO if above_one else 1):
            error = InvalidValueError(
                "",
                found=describe(value[name]),
                expected=f"a share above 0 (from {LEAST_RATIO:g}) and at most 1 (up to {MOST_RATIO:g} beside "
                "'above_one: true')",
            )
            raise Misfit(error, (name,))
    return numbers
