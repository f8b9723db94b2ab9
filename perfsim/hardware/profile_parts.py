"""The optional keys of a machine's file: what each may hold, and the part of a machine that it becomes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, Field, model_validator

from perfsim.errors import InvalidValueError, describe, unknown_name
from perfsim.hardware.parts import (
    CLASS_RULES,
    LAYER_CLASSES,
    Calibration,
    Energy,
    Stream,
    WeightMemory,
)
from perfsim.hardware.profile_types import Bandwidth, Joules, Ratio, Watts, Width, as_number
from perfsim.validation import STRICT, Text


class StreamProfile(BaseModel):
    """Between on-chip memory and the units: the feature maps of each layer pass once."""

    model_config = STRICT

    bandwidth: Bandwidth | None = Field(None, description="both directions together")
    read_bandwidth: Bandwidth | None = Field(None, description="to the units")
    write_bandwidth: Bandwidth | None = Field(None, description="from the units")
    hidden: bool = Field(True, description="whether it passes while the units compute")

    @model_validator(mode="after")
    def _has_one(self) -> StreamProfile:
        apart = (self.read_bandwidth, self.write_bandwidth)
        if (self.bandwidth is None) == (apart == (None, None)):
            raise InvalidValueError(
                "",
                found="bandwidth and those of each direction" if self.bandwidth else "none",
                expected="either bandwidth, or read_bandwidth, write_bandwidth or both",
            )
        return self

    def part(self) -> Stream:
        """The stream."""
        return Stream(self.bandwidth, self.read_bandwidth, self.write_bandwidth, self.hidden)


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
    weight: Ratio | dict[str, Ratio] | None = Field(
        None, description="of weights: one number, or by class of layers"
    )

    def weights(self) -> dict[str, float]:
        """The ratio of weights by class of layers."""
        if isinstance(self.weight, float | int):
            return dict.fromkeys(LAYER_CLASSES, float(self.weight))
        return check_classes(self.weight or {}, "weight")


class EnergyProfile(BaseModel):
    """Energy per event, and static power."""

    model_config = STRICT

    mac: Joules | dict[Width, Joules] = Field(
        description="per multiply-accumulate, or by width in bits"
    )
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
    log_errors: list[float] = Field(
        description="ln(measured / predicted) of each row, predicted without it"
    )
    networks: list[Text] = Field([], description="the networks that were measured")
    operators: list[Text] = Field([], description="the operators in them")
    macs: tuple[int, int] | None = Field(None, description="least and most of a row")
    layers: tuple[int, int] | None = Field(None, description="least and most of a row")
    of_layers: bool = Field(False, description="whether the rows are of single layers")

    def part(self) -> Calibration:
        """The calibration."""
        return Calibration(
            self.source,
            tuple(self.fitted),
            tuple(self.log_errors),
            tuple(self.networks),
            tuple(self.operators),
            self.macs,
            self.layers,
            self.of_layers,
        )


def check_classes(numbers: Mapping[str, float], key: str) -> dict[str, float]:
    """`numbers` by class of layers; raises UnknownNameError for a class that there is not."""
    for name in numbers:
        if name not in LAYER_CLASSES:
            raise unknown_name("class of layers", name, list(CLASS_RULES)).at(where=key)
    return dict(numbers)


def check_efficiency(value: Any) -> Any:
    """Efficiencies by class; above 1 only where `above_one: true` says so.

    Raises UnknownNameError or InvalidValueError.
    """
    if not isinstance(value, dict):
        raise InvalidValueError(
            "",
            found=describe(value),
            expected=f"shares by class of layers: {', '.join(LAYER_CLASSES)}",
        )
    numbers = {name: as_number(number) for name, number in value.items() if name != "above_one"}
    check_classes(numbers, "efficiency")  # type: ignore[arg-type]
    for name, number in numbers.items():
        share = number if isinstance(number, float) else 0.0
        if not 0 < share <= (1e6 if value.get("above_one") is True else 1):
            raise InvalidValueError(
                "",
                found=f"{name}: {describe(value[name])}",
                expected="a share above 0 and at most 1 (more only beside 'above_one: true')",
            )
    return numbers
