"""Resizing by whole numbers: the nearest element is copied, or the neighbours are interpolated."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from perfsim.network.layout import Copy
from perfsim.network.operator import Operator, PerAxis, channels_and_space, per_axis
from perfsim.network.work import Product, Shape, Work, elements


def _enlarged(shape: Shape, scale: PerAxis) -> Shape:
    _, space = channels_and_space(shape)
    scales = per_axis(scale, len(space), "a scale")
    return (*shape[:2], *map(math.prod, zip(space, scales, strict=True)))


@dataclass(frozen=True)
class ResizeNearest(Copy):
    """Each element repeated `scale` times along each spatial axis."""

    name: ClassVar[str] = "resize_nearest"

    scale: PerAxis

    def output_shapes(self, inputs: tuple[Shape, ...]) -> tuple[Shape, ...]:
        return (_enlarged(inputs[0], self.scale),)


@dataclass(frozen=True)
class ResizeLinear(Operator):
    """`scale` times as many elements along each spatial axis, interpolated: bilinear with two axes.

    From the 2^n neighbours along n axes to one element there are 2^n - 1 interpolations a + t (b - a).
    """

    name: ClassVar[str] = "resize_linear"
    cost: ClassVar[str] = (
        "3 per output element and interpolation (subtract, multiply, add), of which n spatial axes "
        "take 2^n - 1"
    )

    scale: PerAxis

    def output_shapes(self, inputs: tuple[Shape, ...]) -> tuple[Shape, ...]:
        return (_enlarged(inputs[0], self.scale),)

    def work(self, inputs: tuple[Shape, ...], outputs: tuple[Shape, ...]) -> Work:
        interpolations = (2 ** len(inputs[0][2:]) - 1, "interpolations")
        return Work(
            vector_ops=(
                Product(
                    "linear interpolation",
                    (
                        (elements(outputs[0]), "output elements"),
                        interpolations,
                        (3, "operations each"),
                    ),
                ),
            )
        )
