"""Convolutions and the fully connected layer: the work of the matrix unit.

One multiply-accumulate per tap, input channel of the group and output element. Padding is counted like
data, as the published tables do. Source: the definition of convolution; Howard et al., MobileNets,
arXiv:1704.04861, section 3.1 for the depthwise case.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from perfsim.errors import ShapeError
from perfsim.network.operator import (
    Operator,
    Padding,
    PerAxis,
    Positive,
    Unit,
    channels_and_space,
)
from perfsim.network.window import windows
from perfsim.network.work import Product, Shape, Work, elements


@dataclass(frozen=True)
class Conv(Operator):
    """A convolution over any number of spatial axes.

    Attributes:
        channels: output channels.
        kernel, stride, dilation: one number, or one per spatial axis.
        padding: "same", "valid", or numbers.
        groups: input and output channels are split into so many independent convolutions.
        bias: whether each output channel adds a constant.
    """

    name: ClassVar[str] = "conv"
    unit: ClassVar[Unit] = Unit.MATRIX
    cost: ClassVar[str] = "a MAC per output element, tap and input channel of its group"

    channels: Positive
    kernel: PerAxis
    stride: PerAxis = 1
    padding: Padding = "same"
    dilation: PerAxis = 1
    groups: Positive = 1
    bias: bool = True

    def output_shapes(self, inputs: tuple[Shape, ...]) -> tuple[Shape, ...]:
        channels, _ = channels_and_space(inputs[0])
        for what, number in (("input", channels), ("output", self.channels)):
            if number % self.groups:
                raise ShapeError(
                    f"{self.groups} groups do not divide the {number} {what} channels",
                    found=f"groups {self.groups}",
                    expected=f"a divisor of {number}",
                )
        space, _ = windows(inputs[0], self.kernel, self.stride, self.padding, self.dilation)
        return ((inputs[0][0], self.channels, *space),)

    def work(self, inputs: tuple[Shape, ...], outputs: tuple[Shape, ...]) -> Work:
        _, sizes = windows(inputs[0], self.kernel, self.stride, self.padding, self.dilation)
        return _convolution_work(outputs[0], sizes, inputs[0][1] // self.groups, bias=self.bias)


@dataclass(frozen=True)
class DepthwiseConv(Operator):
    """A convolution of each input channel by itself, into `multiplier` output channels each."""

    name: ClassVar[str] = "depthwise_conv"
    unit: ClassVar[Unit] = Unit.MATRIX
    cost: ClassVar[str] = "a MAC per output element and tap: each output reads one channel"

    kernel: PerAxis
    stride: PerAxis = 1
    padding: Padding = "same"
    dilation: PerAxis = 1
    multiplier: Positive = 1
    bias: bool = True

    def output_shapes(self, inputs: tuple[Shape, ...]) -> tuple[Shape, ...]:
        channels, _ = channels_and_space(inputs[0])
        space, _ = windows(inputs[0], self.kernel, self.stride, self.padding, self.dilation)
        return ((inputs[0][0], channels * self.multiplier, *space),)

    def work(self, inputs: tuple[Shape, ...], outputs: tuple[Shape, ...]) -> Work:
        _, sizes = windows(inputs[0], self.kernel, self.stride, self.padding, self.dilation)
        return _convolution_work(outputs[0], sizes, 1, bias=self.bias)


def _convolution_work(output: Shape, kernel: Shape, input_channels: int, *, bias: bool) -> Work:
    taps = (math.prod(kernel), f"taps ({'x'.join(map(str, kernel))})")
    depth = (input_channels, "input channels of the group")
    channels = (output[1], "output channels")
    return Work(
        macs=(Product("convolution", ((elements(output), "output elements"), taps, depth)),),
        params=(Product("weights", (channels, taps, depth)), *_biases(output[1], bias=bias)),
    )


def _biases(channels: int, *, bias: bool) -> tuple[Product, ...]:
    return (Product("biases", ((channels, "output channels"),)),) if bias else ()


@dataclass(frozen=True)
class FullyConnected(Operator):
    """Every output reads every input of its image; the input is flattened."""

    name: ClassVar[str] = "fully_connected"
    unit: ClassVar[Unit] = Unit.MATRIX
    cost: ClassVar[str] = "a MAC per output element and input feature"

    units: Positive
    bias: bool = True

    def output_shapes(self, inputs: tuple[Shape, ...]) -> tuple[Shape, ...]:
        return ((inputs[0][0], self.units),)

    def work(self, inputs: tuple[Shape, ...], outputs: tuple[Shape, ...]) -> Work:
        features = (elements(inputs[0][1:]), "input features")
        return Work(
            macs=(
                Product("matrix product", ((elements(outputs[0]), "output elements"), features)),
            ),
            params=(
                Product("weights", ((self.units, "units"), features)),
                *_biases(self.units, bias=self.bias),
            ),
        )
