"""Resizing by whole numbers or to a given size: the nearest element is copied, or the neighbours are interpolated."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from perfsim.errors import ShapeError
from perfsim.network.layout import Copy
from perfsim.network.operator import Operator, PerAxis, channels_and_space, per_axis
from perfsim.network.work import Product, Shape, Work, elements


def _resized(shape: Shape, scale: PerAxis | None, output: PerAxis | None) -> Shape:
    """The shape after resizing; raises ShapeError unless one of `scale` and `output` says how."""
    _, space = channels_and_space(shape)
    if output is not None and scale is None:
        return (*shape[:2], *per_axis(output, len(space), "an output"))
    if scale is None or output is not None:
        found = "neither" if scale is None else "both"
        raise ShapeError("", found=f"{found} of scale and output", expected="one of them")
    scales = per_axis(scale, len(space), "a scale")
    return (*shape[:2], *map(math.prod, zip(space, scales, strict=True)))


@dataclass(frozen=True)
class ResizeNearest(Copy):
    """Another number of elements along each spatial axis, each the nearest one of the input.

    Attributes:
        scale: so many times as many: one number, or one per spatial axis.
        output: or so many: one number, or one per spatial axis.
    """

    name: ClassVar[str] = "resize_nearest"

    scale: PerAxis | None = None
    output: PerAxis | None = None

    def output_shapes(self, inputs: tuple[Shape, ...]) -> tuple[Shape, ...]:
        return (_resized(inputs[0], self.scale, self.output),)


@dataclass(frozen=True)
class ResizeLinear(Operator):
    """Another number of elements along each spatial axis, interpolated: bilinear with two axes.

    From the 2^n neighbours along the n axes that change to one element there are 2^n - 1 interpolations a + t (b - a).

    Attributes:
        scale: so many times as many: one number, or one per spatial axis.
        output: or so many: one number, or one per spatial axis.
    """

    name: ClassVar[str] = "resize_linear"
    cost: ClassVar[str] = (
        "3 per output element and interpolation (subtract, multiply, add), of which n spatial axes "
        "that change take 2^n - 1"
    )

    scale: PerAxis | None = None
    output: PerAxis | None = None

    def output_shapes(self, inputs: tuple[Shape, ...]) -> tuple[Shape, ...]:
        return (_resized(inputs[0], self.scale, self.output),)

    def work(self, inputs: tuple[Shape, ...], outputs: tuple[Shape, ...]) -> Work:
        changed = sum(a != b for a, b in zip(inputs[0], outputs[0], strict=True))
        factors = (
            (elements(outputs[0]), "output elements"),
            (2**changed - 1, "interpolations"),
            (3, "operations each"),
        )
        return Work(vector_ops=(Product("linear interpolation", factors),))
