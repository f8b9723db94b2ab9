"""Reductions: the axes that are reduced shrink to one element, or go."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from perfsim.errors import ShapeError
from perfsim.network.operator import Operator, Wholes, axis_index
from perfsim.network.work import Product, Shape, Work, elements


@dataclass(frozen=True)
class _Reduction(Operator):
    """One number for all elements along some axes.

    Attributes:
        axes: which; 0 is the batch, -1 the last axis. All but the batch unless given.
        keep_dims: whether a reduced axis stays, with one element.
    """

    what: ClassVar[str] = "comparisons"
    scalings: ClassVar[int] = 0

    axes: Wholes | None = None
    keep_dims: bool = False

    def output_shapes(self, inputs: tuple[Shape, ...]) -> tuple[Shape, ...]:
        reduced = self._reduced(inputs[0])
        if self.keep_dims:
            return (tuple(1 if i in reduced else size for i, size in enumerate(inputs[0])),)
        return (tuple(size for i, size in enumerate(inputs[0]) if i not in reduced),)

    def work(self, inputs: tuple[Shape, ...], outputs: tuple[Shape, ...]) -> Work:
        each = elements(inputs[0]) // elements(outputs[0]) - 1 + self.scalings
        return Work(
            vector_ops=(
                Product(
                    "reduction", ((elements(outputs[0]), "output elements"), (each, self.what))
                ),
            )
        )

    def _reduced(self, shape: Shape) -> tuple[int, ...]:
        if self.axes is None:
            return tuple(range(1, len(shape)))
        reduced = tuple(axis_index(axis, len(shape)) for axis in self.axes)
        if len(set(reduced)) != len(reduced):
            raise ShapeError(
                "", found=f"axes {list(self.axes)}, one of them twice", expected="each axis once"
            )
        return reduced


class ReduceMean(_Reduction):
    """The mean along the axes."""

    name: ClassVar[str] = "reduce_mean"
    cost: ClassVar[str] = (
        "per output element: the additions of what it is made from and one scaling"
    )
    what: ClassVar[str] = "additions and scalings each"
    scalings: ClassVar[int] = 1


class ReduceSum(_Reduction):
    """The sum along the axes."""

    name: ClassVar[str] = "reduce_sum"
    cost: ClassVar[str] = "per output element: one addition fewer than it is made from elements"
    what: ClassVar[str] = "additions each"


class ReduceMax(_Reduction):
    """The largest element along the axes."""

    name: ClassVar[str] = "reduce_max"
    cost: ClassVar[str] = "per output element: one comparison fewer than it is made from elements"


class ReduceMin(_Reduction):
    """The smallest element along the axes."""

    name: ClassVar[str] = "reduce_min"
    cost: ClassVar[str] = "per output element: one comparison fewer than it is made from elements"
