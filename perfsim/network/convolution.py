"""Convolutions and the fully connected layer: the work of the matrix unit.

One multiply-accumulate per tap, input channel of the group and output element. Padding is counted like
data, as the published tables do. Source: the definition of convolution; Howard et al., MobileNets,
arXiv:1704.04861, section 3.1 for the depthwise case; Dumoulin and Visin, arXiv:1603.07285, chapter 4 for
the transposed one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from perfsim.network.operator import (
    Amounts,
    Operator,
    Padding,
    PerAxis,
    Positive,
    Unit,
    channels_and_space,
    check_divides,
    check_rank,
)
from perfsim.network.window import spread, windows
from perfsim.network.work import Count, Factor, Product, Shape, Work, elements

if TYPE_CHECKING:
    from perfsim.network.nest import Nest


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
            check_divides(self.groups, number, f"{what} channels")
        space, _ = windows(inputs[0], self.kernel, self.stride, self.padding, self.dilation)
        return ((inputs[0][0], self.channels, *space),)

    def work(self, inputs: tuple[Shape, ...], outputs: tuple[Shape, ...]) -> Work:
        _, sizes = windows(inputs[0], self.kernel, self.stride, self.padding, self.dilation)
        return _convolution_work(outputs[0], sizes, inputs[0][1] // self.groups, bias=self.bias)

    def nest(self, inputs: tuple[Shape, ...], outputs: tuple[Shape, ...]) -> Nest | None:
        return _convolution_nest(self, inputs[0], outputs[0], self.groups)


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

    def nest(self, inputs: tuple[Shape, ...], outputs: tuple[Shape, ...]) -> Nest | None:
        return _convolution_nest(self, inputs[0], outputs[0], inputs[0][1])


@dataclass(frozen=True)
class ConvTranspose(Operator):
    """A transposed convolution: each input element is spread over a kernel's worth of output.

    Attributes:
        channels: output channels.
        kernel, stride, dilation: one number, or one per spatial axis.
        padding: "same" (the output is stride times the input), "valid", or numbers: what is cut off the
            output on both sides.
        output_padding: what the output has more at the end of each axis.
        groups: input and output channels are split into so many independent convolutions.
        bias: whether each output channel adds a constant.
    """

    name: ClassVar[str] = "conv_transpose"
    unit: ClassVar[Unit] = Unit.MATRIX
    cost: ClassVar[str] = "a MAC per input element, tap and output channel of its group"

    channels: Positive
    kernel: PerAxis
    stride: PerAxis = 1
    padding: Padding = "same"
    output_padding: Amounts = 0
    dilation: PerAxis = 1
    groups: Positive = 1
    bias: bool = True

    def output_shapes(self, inputs: tuple[Shape, ...]) -> tuple[Shape, ...]:
        channels, _ = channels_and_space(inputs[0])
        for what, number in (("input", channels), ("output", self.channels)):
            check_divides(self.groups, number, f"{what} channels")
        space, _ = self._spread(inputs[0])
        return ((inputs[0][0], self.channels, *space),)

    def work(self, inputs: tuple[Shape, ...], outputs: tuple[Shape, ...]) -> Work:
        _, sizes = self._spread(inputs[0])
        taps = _taps(sizes)
        depth = (self.channels // self.groups, "output channels of the group")
        return Work(
            macs=(
                Product(
                    "transposed convolution", ((elements(inputs[0]), "input elements"), taps, depth)
                ),
            ),
            params=(
                Product("weights", ((inputs[0][1], "input channels"), taps, depth)),
                *biases(self.channels, bias=self.bias),
            ),
        )

    def nest(self, inputs: tuple[Shape, ...], outputs: tuple[Shape, ...]) -> Nest | None:
        return _convolution_nest(self, inputs[0], outputs[0], self.groups, transposed=True)

    def _spread(self, shape: Shape) -> tuple[Shape, Shape]:
        return spread(
            shape, self.kernel, self.stride, self.padding, self.output_padding, self.dilation
        )


def _taps(kernel: Shape) -> Factor:
    return (math.prod(kernel), f"taps ({'x'.join(map(str, kernel))})")


def _convolution_work(output: Shape, kernel: Shape, input_channels: int, *, bias: bool) -> Work:
    taps = _taps(kernel)
    depth = (input_channels, "input channels of the group")
    channels = (output[1], "output channels")
    return Work(
        macs=(Product("convolution", ((elements(output), "output elements"), taps, depth)),),
        params=(Product("weights", (channels, taps, depth)), *biases(output[1], bias=bias)),
    )


def _convolution_nest(
    operator: Conv | DepthwiseConv | ConvTranspose,
    source: Shape,
    result: Shape,
    groups: int,
    *,
    transposed: bool = False,
) -> Nest:
    from perfsim.network.nest import axes_between, convolution

    axes = axes_between(
        source,
        result,
        operator.kernel,
        operator.stride,
        operator.padding,
        operator.dilation,
        transposed=transposed,
    )
    return convolution(source[0], result[1] // groups, source[1] // groups, axes, groups)


def biases(channels: int, *, bias: bool) -> Count:
    """The parameters of a bias: one per output channel, or none."""
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
        check_rank(inputs[0], 1, "batch x features")
        return ((inputs[0][0], self.units),)

    def work(self, inputs: tuple[Shape, ...], outputs: tuple[Shape, ...]) -> Work:
        features = (elements(inputs[0][1:]), "input features")
        return Work(
            macs=(
                Product("matrix product", ((elements(outputs[0]), "output elements"), features)),
            ),
            params=(
                Product("weights", ((self.units, "units"), features)),
                *biases(self.units, bias=self.bias),
            ),
        )

    def nest(self, inputs: tuple[Shape, ...], outputs: tuple[Shape, ...]) -> Nest | None:
        from perfsim.network.nest import product

        return product(inputs[0][0], elements(inputs[0][1:]), self.units)
