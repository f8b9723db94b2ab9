"""A machine's file: the keys it may have, and its reading."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from os import PathLike
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, Field, model_validator

from perfsim import catalog
from perfsim.document import Document, read_document
from perfsim.errors import InvalidValueError, UnknownNameError, describe, unknown_name
from perfsim.hardware.fields import field_of, flattened, peak_rates
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
    ComputeByWidth,
    Frequency,
    LayerClass,
    Ratio,
    Seconds,
    Share,
    Size,
    WholeByWidth,
)
from perfsim.settings import apply_settings
from perfsim.validation import STRICT, Misfit, Name, Text, validate

_NO_RATE = (
    "peak of the matrix unit, such as '1 TFLOPS'; or 'clock' and 'macs_per_cycle' that give it"
)


def _check_output_stage(value: Any) -> Any:
    """Operators of the vector unit by their names; raises UnknownNameError or InvalidValueError."""
    from perfsim.network.operator import Unit  # few machines say so
    from perfsim.network.operators import OPERATORS

    names = [name for name, each in OPERATORS.items() if each.unit is Unit.VECTOR]
    if not isinstance(value, list):
        raise InvalidValueError("", found=describe(value), expected="a list of operators")
    for name in value:
        if name not in names:
            raise unknown_name("operator of the vector unit", str(name), names)
        if value.count(name) > 1:
            raise InvalidValueError("", found=f"'{name}' twice", expected="each once")
    return value


class HardwareProfile(BaseModel):
    """A machine: the first five keys are a whole file."""

    model_config = STRICT

    name: Name = Field(description="the machine's name")
    sram: Size = Field(description="internal memory, such as '1 MB' (10^6 bytes) or '1 MiB' (2^20)")
    ddr_bandwidth: Bandwidth = Field(description="to external memory, such as '1 GB/s'")
    matrix: ComputeByWidth | None = Field(
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
    macs_per_cycle: WholeByWidth | None = Field(
        None,
        description="multiply-accumulates per cycle, or by width in bits, the native one first",
    )
    array: ArrayProfile | None = Field(None, description="the geometry of the matrix unit")
    efficiency: Annotated[dict[str, Share], BeforeValidator(check_efficiency)] = Field(
        {}, description="share of the matrix unit's peak that is reached, by class of layers"
    )
    ddr_efficiency: Annotated[Share, Field(le=1)] | None = Field(
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
    weights_shared_by: dict[LayerClass, Annotated[Ratio, Field(ge=1)]] = Field(
        {}, description="images that have a fetch of weights in common, by class of layers"
    )
    output_stage: Annotated[list[str], BeforeValidator(_check_output_stage)] = Field(
        [], description="operators that are applied on the matrix unit's way out, such as add"
    )
    write_through: bool = Field(
        False, description="whether feature maps that stay on chip are written to DDR as well"
    )
    layer_cost: Seconds | None = Field(None, description="time of each layer beside")
    inference_cost: Seconds | None = Field(None, description="time of each inference beside")
    energy: EnergyProfile | None = Field(None, description="energy per event")
    calibration: CalibrationProfile | None = Field(
        None, description="what the calibrated numbers were fitted on"
    )
    description: Text = Field("", description="one line about the machine")
    source: Text = Field("", description="where the numbers come from")

    @classmethod
    def also_missing(cls, value: object) -> dict[str, str]:
        """The matrix unit's rate, with its meaning, where the mapping `value` says nothing of it."""
        if not isinstance(value, dict) or {"matrix", "clock", "macs_per_cycle"} & value.keys():
            return {}
        return {"matrix": _NO_RATE}

    @model_validator(mode="after")
    def _fits_together(self) -> HardwareProfile:
        if not self.rates():
            raise Misfit(UnknownNameError(f"the key 'matrix' is missing ({_NO_RATE})"))
        if self.stream and self.stream.operand_bandwidth and not self.output_stage:
            raise Misfit(
                InvalidValueError(
                    "nothing is applied on the way out",
                    found="a port for its operands",
                    expected="output_stage beside it",
                ),
                ("stream", "operand_bandwidth"),
                ("output_stage",),
            )
        energy, has_own = self.energy, self.weight_memory is not None
        if energy is not None and (energy.weight_byte is not None) != has_own:
            raise Misfit(
                InvalidValueError(
                    "there is a memory for weights"
                    if has_own
                    else "there is no memory for weights",
                    found="no weight_byte" if has_own else "weight_byte",
                    expected="its energy per byte" if has_own else "weight_memory beside it",
                ),
                *([] if has_own else [("energy", "weight_byte")]),
                ("energy",),
                ("weight_memory",),
            )
        return self

    def rates(self) -> dict[int, float]:
        """Peaks of the matrix unit [FLOP/s] by width [bits], the native one first; the width is 0 where none is given.

        Raises Misfit where what is stated contradicts itself.
        """
        derived = self._rates_of_the_clock()
        stated = self.matrix if isinstance(self.matrix, dict) else {0: self.matrix or 0.0}
        if not derived:
            return {width: rate for width, rate in stated.items() if rate}
        for width, rate in stated.items():
            own = derived.get(width) if width or 0 in derived else next(iter(derived.values()))
            if rate and (own is None or abs(rate - own) > 0.005 * own):
                bits = f" for {width} bits" if width else ""
                raise Misfit(
                    InvalidValueError(
                        "matrix and clock x macs_per_cycle x 2 contradict each other",
                        found=f"{_rate(rate)}{bits}, "
                        + (f"{_rate(own)} from the clock" if own else "nothing from the clock"),
                        expected="one of them, or the same",
                    ),
                    *(("matrix",), ("clock",), ("macs_per_cycle",), ("array",)),
                )
        return derived

    def _rates_of_the_clock(self) -> dict[int, float]:
        """The peaks that the clock and the multiply-accumulates per cycle give; empty where there is no clock."""
        macs = self.macs_per_cycle
        per_cycle = macs if isinstance(macs, dict) else {0: macs or 0}
        if self.array is not None:
            lanes = int(self.array.part().macs_per_cycle)
            native = next(iter(per_cycle.values()), 0) or lanes
            if native != lanes:
                raise Misfit(
                    InvalidValueError(
                        "macs_per_cycle and the array contradict each other",
                        found=f"{native}, and an array of {lanes}",
                        expected="one of them, or the same",
                    ),
                    *(("macs_per_cycle",), ("array",)),
                )
            per_cycle = per_cycle if any(per_cycle.values()) else {0: lanes}
        counted = any(per_cycle.values())
        if self.clock is not None and not counted:
            what = "a clock alone says nothing"
            expected = "macs_per_cycle or array beside it"
            if self.matrix is not None:
                what += " of the matrix unit's rate"
                expected += ", or no clock (matrix alone needs none)"
            raise Misfit(InvalidValueError(what, expected=expected), ("clock",))
        if self.clock is None and macs is not None:
            error = InvalidValueError(
                "macs_per_cycle alone says nothing", expected="clock beside it"
            )
            raise Misfit(error, ("macs_per_cycle",))
        return {} if self.clock is None else peak_rates(self.clock, per_cycle)

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
            weights_shared_by=self.weights_shared_by,
            output_stage=tuple(self.output_stage),
            write_through=self.write_through,
            layer_cost_s=self.layer_cost,
            inference_cost_s=self.inference_cost,
            energy=self.energy.part() if self.energy else None,
            calibration=self.calibration.part() if self.calibration else None,
        )


def _rate(flops: float) -> str:
    """A rate as a file has it: ``1 TFLOPS``."""
    return str(field_of("matrix").written(flops, 4))


def load_hardware(file: str | PathLike[str], /, **settings: Any) -> Machine:
    """The machine in `file`: a path, or the name of a bundled machine.

    >>> load_hardware("1MB_1GBs_1TF", ddr_bandwidth="4 GB/s")

    `settings` replace keys of the file. Raises InputError when something is wrong with it.
    """
    document = read_document(catalog.find_machine(file))
    apply_settings(document, settings)
    changed = tuple(key for key, value in settings.items() if value is not None)
    return replace(read_machine(document), changed=changed)


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
        stated=_stated(profile),
    )


def stated_numbers(document: Document) -> dict[str, float]:
    """The numbers that a machine's file states, by dotted key and in SI units; raises as `read_machine` does."""
    return _stated(validate(HardwareProfile, document.value, document))


def _stated(profile: HardwareProfile) -> dict[str, float]:
    return flattened(profile.model_dump(exclude={"calibration"}))


@cache
def hardware_schema() -> dict[str, Any]:
    """The JSON schema of a machine's file."""
    return HardwareProfile.model_json_schema()
