"""Operators that compute nothing: concat moves bytes, flatten does not even that."""

from __future__ import annotations

from typing import ClassVar

from perfsim.errors import ShapeError
from perfsim.network.operator import Operator, Unit
from perfsim.network.work import Shape, Work, elements, shape_text


class Concat(Operator):
    """The inputs one after another along the channels."""

    name: ClassVar[str] = "concat"
    unit: ClassVar[Unit] = Unit.COPY
    cost: ClassVar[str] = "no operations: it copies, and what of that crosses the DDR bus counts"
    inputs_allowed: ClassVar[tuple[int, int | None]] = (2, None)

    def output_shapes(self, inputs: tuple[Shape, ...]) -> tuple[Shape, ...]:
        first = inputs[0]
        for shape in inputs:
            if len(shape) < 2 or shape[:1] + shape[2:] != first[:1] + first[2:]:
                raise ShapeError(
                    "the inputs differ in more than their channels",
                    found=" and ".join(shape_text(each) for each in inputs),
                    expected="shapes that are equal but for the channels",
                )
        return ((first[0], sum(shape[1] for shape in inputs), *first[2:]),)

    def work(self, inputs: tuple[Shape, ...], outputs: tuple[Shape, ...]) -> Work:
        return Work()


class Flatten(Operator):
    """All axes but the batch in one."""

    name: ClassVar[str] = "flatten"
    unit: ClassVar[Unit] = Unit.VIEW
    cost: ClassVar[str] = "free: the same bytes under another shape"

    def output_shapes(self, inputs: tuple[Shape, ...]) -> tuple[Shape, ...]:
        return ((inputs[0][0], elements(inputs[0][1:])),)

    def work(self, inputs: tuple[Shape, ...], outputs: tuple[Shape, ...]) -> Work:
        return Work()
