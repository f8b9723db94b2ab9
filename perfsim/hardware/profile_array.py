"""The array of a machine's matrix unit as its file describes it."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field, model_validator

from perfsim.errors import InvalidValueError, UnknownNameError
from perfsim.hardware.parts import (
    ROUNDED,
    Array,
    DepthwiseUnit,
    Grid,
    RowStationary,
    Systolic,
    Winograd,
)
from perfsim.hardware.profile_types import Bandwidth, Ratio, Size, Whole
from perfsim.validation import STRICT, Misfit


class DepthwiseProfile(BaseModel):
    """A unit of its own for depthwise convolutions."""

    model_config = STRICT

    pixels: Whole = Field(1, description="neighbours in a row of the output in a cycle")
    channels: Whole = Field(description="channels in a cycle")

    def part(self) -> DepthwiseUnit:
        """The unit."""
        return DepthwiseUnit(self.pixels, self.channels)


class WinogradProfile(BaseModel):
    """Convolutions with fewer multiplications."""

    model_config = STRICT

    kernel: Whole = Field(3, description="of the square kernels that run so")
    stride: Whole = Field(1, description="of the convolutions that run so")
    gain: Ratio = Field(2.25, description="multiply-accumulates for each one that is done")
    weights: Ratio = Field(16 / 9, description="bytes of weights for each given one")

    def part(self) -> Winograd:
        """The same as a part of a machine."""
        return Winograd(self.kernel, self.stride, self.gain, self.weights)


class ArrayProfile(BaseModel):
    """The array of the matrix unit: a grid (pixels, input and output channels), or rows, columns and a flow."""

    model_config = STRICT

    pixels: Whole | None = Field(None, description="neighbours in a row of the output in a cycle")
    input_channels: Whole | None = Field(None, description="input channels in a cycle")
    output_channels: Whole | None = Field(None, description="output channels in a cycle")
    packing: Literal["none", "kernel_row", "kernel", "stride"] | None = Field(
        None,
        description="what else fills the input channels: the taps of a row of the kernel (kernel_row), the pixels that "
        "a stride skips (stride) or all taps (kernel)",
    )
    packing_layers: Literal["narrow", "all"] | None = Field(
        None,
        description="which layers are packed: those with fewer channels (narrow, unless given for kernel_row and "
        "stride) or all (for kernel)",
    )
    rounded: list[Literal["pixels", "input_channels", "output_channels", "taps"]] | None = Field(
        None, description="what is rounded up to whole steps of the array; all of it unless given"
    )
    rows: Whole | None = Field(None, description="rows of a systolic or row-stationary array")
    columns: Whole | None = Field(None, description="its columns")
    flow: (
        Literal["output_stationary", "weight_stationary", "input_stationary", "row_stationary"]
        | None
    ) = Field(None, description="what stays in its elements")
    preload: bool | None = Field(
        None, description="whether the next fold is loaded while one is computed"
    )
    input_words: Whole | None = Field(None, description="row_stationary: inputs in an element")
    weight_words: Whole | None = Field(None, description="row_stationary: weights in an element")
    buffer: Size | None = Field(None, description="row_stationary: global buffer for its data")
    partial_sum_bandwidth: Bandwidth | None = Field(
        None, description="row_stationary: to and from the global buffer, each way"
    )
    depthwise: DepthwiseProfile | None = Field(
        None, description="a unit of its own for depthwise convolutions"
    )
    winograd: WinogradProfile | None = Field(
        None, description="convolutions with fewer multiplications"
    )

    _GRID = (
        *("pixels", "input_channels", "output_channels"),
        *("packing", "packing_layers", "rounded"),
    )
    _ROW = ("input_words", "weight_words", "buffer", "partial_sum_bandwidth")

    @model_validator(mode="after")
    def _fits_together(self) -> ArrayProfile:
        given = {name for name in type(self).model_fields if getattr(self, name) is not None}
        if self.flow is None:
            allowed, needed = {*self._GRID, "depthwise", "winograd"}, {"output_channels"}
            kind = "a grid of pixels, input and output channels"
        elif self.flow == "row_stationary":
            needed = {"rows", "columns", "flow", *self._ROW}
            allowed, kind = needed, "a row-stationary array"
        else:
            needed = {"rows", "columns", "flow"}
            allowed = {*needed, "preload", "depthwise", "winograd"}
            kind = f"a systolic array that is {self.flow}"
        for name in sorted(given - allowed):
            hint = (
                "; 'flow' is missing" if name in ("rows", "columns", "preload", *self._ROW) else ""
            )
            error = InvalidValueError(
                f"'{name}' is nothing of {kind}{hint if self.flow is None else ''}",
                expected=f"one of {', '.join(name for name in type(self).model_fields if name in allowed)}",
            )
            raise Misfit(error, (name,))
        for name in sorted(needed - given):
            raise Misfit(UnknownNameError(f"the key '{name}' is missing, which {kind} needs"))
        if self.preload and self.flow == "output_stationary":
            error = InvalidValueError(
                "an output-stationary array loads nothing that stays",
                found="true",
                expected="no preload",
            )
            raise Misfit(error, ("preload",), ("flow",))
        part = self.part()
        unit = part.depthwise
        if unit is not None and unit.macs_per_cycle > part.macs_per_cycle:
            error = InvalidValueError(
                "the depthwise unit is larger than the array",
                found=f"{unit.macs_per_cycle} multiply-accumulates per cycle",
                expected=f"at most the array's {part.macs_per_cycle}",
            )
            inside = [("depthwise", "pixels"), ("depthwise", "channels")]
            sizes = ("rows", "columns", "pixels", "input_channels", "output_channels")
            raise Misfit(error, ("depthwise",), *inside, *((name,) for name in sizes))
        return self

    def part(self) -> Array:
        """The array."""
        depthwise = self.depthwise.part() if self.depthwise else None
        winograd = self.winograd.part() if self.winograd else None
        if self.flow is None:
            return Grid(
                self.pixels or 1,
                self.input_channels or 1,
                self.output_channels or 1,
                self.packing or "none",
                depthwise,
                winograd,
                self.packing_layers or "",
                ROUNDED if self.rounded is None else tuple(self.rounded),
            )
        rows, columns = self.rows or 1, self.columns or 1
        if self.flow == "row_stationary":
            return RowStationary(
                rows,
                columns,
                self.input_words or 1,
                self.weight_words or 1,
                self.buffer or 1,
                self.partial_sum_bandwidth or 1,
            )
        return Systolic(rows, columns, self.flow, bool(self.preload), depthwise, winograd)
