"""A machine's file: the keys it may have, and its reading."""

from __future__ import annotations

from functools import cache
from os import PathLike
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, Field, model_validator

from perfsim import catalog
from perfsim.document import Document, read_document
from perfsim.errors import InvalidValueError, UnknownNameError
from perfsim.hardware.machine import DEFAULT_PLACEMENT, DEFAULT_TIMING, Machine
from perfsim.hardware.parts import Extras
from perfsim.hardware.profile_array import ArrayProfile
from perfsim.hardware.profile_parts import (
    CalibrationProfile,
    CompressionProfile,
    EnergyProfile,
    StreamProfile,
    WeightMemoryProfile,
    check_efficiency,
)
from perfsim.hardware.profile_types import (
    Bandwidth,
    Compute,
    Frequency,
    Ratio,
    Seconds,
    Size,
    Whole,
    Width,
)
from perfsim.settings import apply_settings
from perfsim.validation import STRICT, Name, Text, validate


class HardwareProfile(BaseModel):
    """A machine: the first five keys are a whole file."""

    model_config = STRICT

    name: Name = Field(description="the machine's name")
    sram: Size = Field(description="internal memory, such as '1 MB' (10^6 bytes) or '1 MiB' (2^20)")
    ddr_bandwidth: Bandwidth = Field(description="to external memory, such as '1 GB/s'")
    matrix: Compute | dict[Width, Compute] | None = Field(
        None,
        description="peak of the matrix unit, such as '1 TFLOPS', or peaks by width in bits, the native one first; one "
        "multiply-accumulate is 2 FLOP",
    )
    vector: Compute = Field(description="peak of the vector unit, such as '10 GFLOPS'")
    placement: Text = Field(DEFAULT_PLACEMENT, description="how this machine assigns memory")
    timing: Text = Field(DEFAULT_TIMING, description="what overlaps on this machine")
    double_buffered: bool = Field(
        False,
        description="whether the next tile is read while one is worked on, into a second buffer",
    )
    clock: Frequency | None = Field(None, description="of the matrix unit, such as '300 MHz'")
    macs_per_cycle: Whole | dict[Width, Whole] | None = Field(
        None,
        description="multiply-accumulates per cycle, or by width in bits, the native one first",
    )
    array: ArrayProfile | None = Field(None, description="the geometry of the matrix unit")
    efficiency: Annotated[dict[str, Ratio], BeforeValidator(check_efficiency)] = Field(
        {}, description="share of the matrix unit's peak that is reached, by class of layers"
    )
    ddr_efficiency: Annotated[Ratio, Field(le=1)] | None = Field(
        None, description="share of ddr_bandwidth that is reached"
    )
    ddr_latency: Seconds | None = Field(None, description="before the first byte of a transfer")
    ddr_burst: Size | None = Field(None, description="a layer's movement fills whole bursts")
    stream: StreamProfile | None = Field(None, description="on-chip memory to and from the units")
    weight_memory: WeightMemoryProfile | None = Field(
        None, description="a memory of its own for weights"
    )
    compression: CompressionProfile | None = Field(
        None, description="bytes that move for each byte of a tensor"
    )
    layer_cost: Seconds | None = Field(None, description="time of each layer beside")
    inference_cost: Seconds | None = Field(None, description="time of each inference beside")
    energy: EnergyProfile | None = Field(None, description="energy per event")
    calibration: CalibrationProfile | None = Field(
        None, description="what the calibrated numbers were fitted on"
    )
    description: Text = Field("", description="one line about the machine")
    source: Text = Field("", description="where the numbers come from")

    @model_validator(mode="after")
    def _fits_together(self) -> HardwareProfile:
        rates = self.rates()
        if not rates:
            raise UnknownNameError(
                "the key 'matrix' is missing (peak of the matrix unit, such as '1 TFLOPS'), and so are 'clock' and "
                "'macs_per_cycle' that would give it"
            )
        if self.energy is not None and self.energy.weight_byte and self.weight_memory is None:
            raise InvalidValueError(
                "there is no memory of its own for weights",
                found="energy.weight_byte",
                expected="weight_memory, or no energy.weight_byte",
            )
        return self

    def rates(self) -> dict[int, float]:
        """Peaks of the matrix unit [FLOP/s] by width [bits], the native one first; the width is 0 where none is given.

        Raises InvalidValueError where what is stated contradicts itself.
        """
        stated = self.matrix if isinstance(self.matrix, dict) else {0: self.matrix or 0.0}
        macs = self.macs_per_cycle
        per_cycle = macs if isinstance(macs, dict) else {0: macs or 0}
        if self.array is not None:
            lanes = int(self.array.part().macs_per_cycle)
            native = next(iter(per_cycle.values())) or lanes
            if native != lanes:
                raise InvalidValueError(
                    "macs_per_cycle and the array contradict each other",
                    found=f"macs_per_cycle: {native}, an array of {lanes}",
                    expected="one of them, or the same",
                )
            per_cycle = per_cycle if any(per_cycle.values()) else {0: lanes}
        if self.clock is None or not any(per_cycle.values()):
            if self.clock is not None:
                raise InvalidValueError(
                    "a clock alone says nothing",
                    found="clock",
                    expected="macs_per_cycle or array beside it",
                )
            if macs is not None:
                raise InvalidValueError(
                    "macs_per_cycle alone says nothing", expected="clock beside it"
                )
            return {width: rate for width, rate in stated.items() if rate}
        derived = {width: 2.0 * self.clock * count for width, count in per_cycle.items()}
        for width, rate in stated.items():
            own = derived.get(width) if width or 0 in derived else next(iter(derived.values()))
            if rate and (own is None or abs(rate - own) > 0.005 * own):
                raise InvalidValueError(
                    "matrix and clock × macs_per_cycle × 2 contradict each other",
                    found=f"matrix: {rate:.6g} FLOPS"
                    + (f", {own:.6g} from the clock" if own else f", nothing for {width} bits"),
                    expected="one of them, or the same",
                )
        return derived

    def extras(self) -> Extras:
        """All but the four numbers."""
        rates = self.rates()
        native = next(iter(rates.values()))
        compression = self.compression
        return Extras(
            ddr_efficiency=self.ddr_efficiency,
            ddr_latency_s=self.ddr_latency,
            ddr_burst_bytes=self.ddr_burst,
            array=self.array.part() if self.array else None,
            efficiency=self.efficiency,
            matrix_speed={width: rate / native for width, rate in rates.items() if width},
            stream=self.stream.part() if self.stream else None,
            weight_memory=self.weight_memory.part() if self.weight_memory else None,
            feature_map_ratio=compression.feature_map if compression else None,
            weight_ratio=compression.weights() if compression else {},
            layer_cost_s=self.layer_cost,
            inference_cost_s=self.inference_cost,
            energy=self.energy.part() if self.energy else None,
            calibration=self.calibration.part() if self.calibration else None,
        )


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
        matrix_flops=next(iter(profile.rates().values())),
        vector_flops=profile.vector,
        placement=profile.placement,
        timing=profile.timing,
        description=profile.description,
        double_buffered=profile.double_buffered,
        extras=profile.extras(),
        places=places,
    )


@cache
def hardware_schema() -> dict[str, Any]:
    """The JSON schema of a machine's file."""
    return HardwareProfile.model_json_schema()
