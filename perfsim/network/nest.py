"""The loops of a layer of the matrix unit, as counts without a machine: what tiling works on.

A convolution, a product of matrices and attention are one thing here: loops, each with a number of steps, and three
operands that depend on some of the loops. Loops over a kernel's taps are never cut: they are the depth of the weights.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property

from perfsim.network.operator import Padding, PerAxis, per_axis
from perfsim.network.window import pads_of
from perfsim.network.work import Shape, elements

WEIGHT = "weight"

TOKENS = "tokens"
IMAGES = "images"
OUTPUT_CHANNELS = "output channels"
INPUT_CHANNELS = "input channels"


@dataclass(frozen=True, slots=True)
class Axis:
    """One spatial axis of a convolution: which inputs a run of outputs reads.

    Attributes:
        output, input: sizes.
        kernel, stride, dilation: as the operator has them.
        before: the padding in front; of a transposed convolution, what is cut off the output there.
        transposed: whether the stride is between the places of the input.
    """

    output: int
    input: int
    kernel: int
    stride: int = 1
    dilation: int = 1
    before: int = 0
    transposed: bool = False

    @property
    def reach(self) -> int:
        """From the first to the last tap: dilation (kernel - 1) + 1."""
        return self.dilation * (self.kernel - 1) + 1

    @property
    def places(self) -> int:
        """How often the kernel is applied."""
        return self.input if self.transposed else self.output

    def span(self, outputs: int) -> int:
        """Inputs that so many neighbouring outputs read at most, from the first to the last."""
        if self.transposed:
            return min(self.input, (outputs + self.reach - 2) // self.stride + 1)
        return min(self.input, (outputs - 1) * self.stride + self.reach)


@dataclass(frozen=True, slots=True)
class Operand:
    """A tensor that a nest reads or writes.

    Attributes:
        name: "weight" for what is the layer's own; all others that are read are its inputs, in order.
        loops: the names of the loops on which its elements depend.
        depth: elements for each choice of them.
        tensors: how many tensors it is, where inputs of a layer always pass together.
    """

    name: str
    loops: tuple[str, ...]
    depth: int = 1
    tensors: int = 1


@dataclass(frozen=True)
class Nest:
    """The loops of one layer, and its operands.

    Attributes:
        sizes: (loop, steps) in the order images, output channels, input channels, spatial axes ("axis 0", ...); an
            axis has a step for each output. What is independent but for the weights counts as images: the rows of a
            matrix, the places of a kernel of 1. A recurrence begins with its tokens, which stay outermost, one at a
            time. Each number is of one group.
        operands: what is read, what it is multiplied with, and what is written; of one group. Along an axis the first
            is read in windows. Partial sums over the input channels form the last.
        axes: the spatial axes, in order.
        groups: so many independent nests follow each other.
        macs_per_step: multiply-accumulates for each choice of images, channels and kernel places.
    """

    sizes: tuple[tuple[str, int], ...]
    operands: tuple[Operand, Operand, Operand]
    axes: tuple[Axis, ...] = ()
    groups: int = 1
    macs_per_step: int = 1

    @cached_property
    def size(self) -> dict[str, int]:
        """Steps by loop."""
        return dict(self.sizes)

    @cached_property
    def axis(self) -> dict[str, Axis]:
        """Spatial axes by loop."""
        return {axis_name(number): axis for number, axis in enumerate(self.axes)}

    @property
    def macs(self) -> int:
        """Multiply-accumulates of all groups."""
        loops = math.prod(size for name, size in self.sizes if name not in self.axis)
        places = math.prod(axis.places for axis in self.axes)
        return self.groups * loops * places * self.macs_per_step

    def elements(self, operand: Operand) -> int:
        """The elements of an operand, all groups together."""
        extents = {**self.size}
        if operand is self.operands[0]:
            extents |= {name: axis.input for name, axis in self.axis.items()}
        return self.groups * operand.depth * math.prod(extents[loop] for loop in operand.loops)

    def reads(self, inputs: tuple[Shape, ...]) -> bool:
        """Whether its operands that are no weights are the first of `inputs`, element for element.

        They are not where, as in attention with a cache, an operand is put together from several inputs.
        """
        sizes = list(map(elements, inputs))
        for operand in self.operands[:2]:
            if operand.name != WEIGHT:
                if sum(sizes[: operand.tensors]) != self.elements(operand):
                    return False
                del sizes[: operand.tensors]
        return True

    def named(self, first: str, second: str, result: str) -> Nest:
        """The same loops with other names for the operands."""
        one, two, three = self.operands
        renamed = (replace(one, name=first), replace(two, name=second), replace(three, name=result))
        return replace(self, operands=renamed)


def axis_name(number: int) -> str:
    """The loop over a spatial axis."""
    return f"axis {number}"


def axes_between(
    source: Shape,
    result: Shape,
    kernel: PerAxis,
    stride: PerAxis,
    padding: Padding,
    dilation: PerAxis,
    *,
    transposed: bool = False,
) -> tuple[Axis, ...]:
    """The spatial axes of a convolution of an input of shape `source` to an output of shape `result`.

    "same" pads, or a transposed convolution cuts off, half of what is needed in front, rounded down, as TensorFlow.
    """
    number = len(source) - 2
    kernels, strides = per_axis(kernel, number, "a kernel"), per_axis(stride, number, "a stride")
    dilations = per_axis(dilation, number, "a dilation")
    pads = ((0, 0),) * number if padding == "same" else pads_of(padding, number)
    axes = []
    for place in range(number):
        axis = Axis(
            output=result[2 + place],
            input=source[2 + place],
            kernel=kernels[place],
            stride=strides[place],
            dilation=dilations[place],
            before=pads[place][0],
            transposed=transposed,
        )
        if padding == "same":
            missing = axis.reach - axis.stride
            if not transposed:
                missing = (axis.output - 1) * axis.stride + axis.reach - axis.input
            axis = replace(axis, before=max(missing, 0) // 2)
        axes.append(axis)
    return tuple(axes)


def convolution(
    images: int, output_channels: int, input_channels: int, axes: tuple[Axis, ...], groups: int = 1
) -> Nest:
    """The nest of a convolution; channels per group. Axes with a kernel and a stride of 1 count as images."""
    if all(
        axis.kernel == axis.stride == 1 and axis.output == axis.input and not axis.before
        for axis in axes
    ):
        images, axes = images * math.prod(axis.output for axis in axes), ()
    names = tuple(map(axis_name, range(len(axes))))
    taps = math.prod(axis.kernel for axis in axes)
    return Nest(
        sizes=(
            (IMAGES, images),
            (OUTPUT_CHANNELS, output_channels),
            (INPUT_CHANNELS, input_channels),
            *((name, axis.output) for name, axis in zip(names, axes, strict=True)),
        ),
        operands=(
            Operand("input", (IMAGES, INPUT_CHANNELS, *names)),
            Operand(WEIGHT, (OUTPUT_CHANNELS, INPUT_CHANNELS), taps),
            Operand("output", (IMAGES, OUTPUT_CHANNELS, *names)),
        ),
        axes=axes,
        groups=groups,
        macs_per_step=taps,
    )


def product(rows: int, summed: int, columns: int, groups: int = 1) -> Nest:
    """The nest of matrix products, (rows x summed) times (summed x columns): a convolution without axes."""
    return convolution(rows, columns, summed, (), groups)


def attention(queries: int, keys: int, key_size: int, value_size: int, groups: int) -> Nest:
    """The nest of attention that keeps no scores: a run of queries meets one run of keys and values after another.

    queries: rows that meet the same keys, of all heads that share them. Keys are summed over, as Dao et al.,
    FlashAttention, arXiv:2205.14135, algorithm 1.
    """
    return Nest(
        sizes=((IMAGES, queries), (OUTPUT_CHANNELS, 1), (INPUT_CHANNELS, keys)),
        operands=(
            Operand("query", (IMAGES,), key_size),
            Operand("key and value", (INPUT_CHANNELS,), key_size + value_size, tensors=2),
            Operand("output", (IMAGES,), value_size),
        ),
        groups=groups,
        macs_per_step=key_size + value_size,
    )


def recurrence(
    tokens: int, images: int, features: int, units: int, gates: int, directions: int
) -> Nest:
    """The nest of a recurrent layer: each token needs the state that the one before it leaves, and all weights.

    The state stays in the memory, and takes none of the tiles' room. Directions count as further units.
    """
    read = gates * (features + units)  # by each unit
    return Nest(
        sizes=(
            (TOKENS, tokens),
            (IMAGES, images),
            (OUTPUT_CHANNELS, directions * units),
            (INPUT_CHANNELS, 1),
        ),
        operands=(
            Operand("input", (TOKENS, IMAGES), features),
            Operand(WEIGHT, (OUTPUT_CHANNELS,), read),
            Operand("output", (TOKENS, IMAGES, OUTPUT_CHANNELS)),
        ),
        macs_per_step=read,
    )
