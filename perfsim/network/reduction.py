"""Reductions: the axes that are reduced shrink to one element, or go; and running sums, which keep theirs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from perfsim.errors import ShapeError
from perfsim.network.operator import Operator, Whole, Wholes, axis_index
from perfsim.network.work import Product, Shape, Work, elements, per_element


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


class ReduceVar(_Reduction):
    """The variance along the axes: the mean of the squares of the differences from the mean."""

    name: ClassVar[str] = "reduce_var"
    cost: ClassVar[str] = (
        "4 per element that it is made from (mean, subtract, square, mean); each mean as `reduce_mean`"
    )
    roots: ClassVar[int] = 0

    def work(self, inputs: tuple[Shape, ...], outputs: tuple[Shape, ...]) -> Work:
        each = 4 * (elements(inputs[0]) // elements(outputs[0])) + self.roots
        factors = ((elements(outputs[0]), "output elements"), (each, "operations each"))
        return Work(vector_ops=(Product("reduction", factors),))


class ReduceStd(ReduceVar):
    """The standard deviation along the axes: the root of the variance."""

    name: ClassVar[str] = "reduce_std"
    cost: ClassVar[str] = "as `reduce_var`, and a root per output element"
    roots: ClassVar[int] = 1


@dataclass(frozen=True)
class _Extreme(Operator):
    """The number of an element along one axis.

    Attributes:
        axis: which; 0 is the batch, 1 the channels (the default), -1 the last.
        keep_dims: whether the axis stays, with one element.
    """

    cost: ClassVar[str] = "per output element: one comparison fewer than it is made from elements"

    axis: Whole = 1
    keep_dims: bool = False

    def output_shapes(self, inputs: tuple[Shape, ...]) -> tuple[Shape, ...]:
        return self._reduction().output_shapes(inputs)

    def work(self, inputs: tuple[Shape, ...], outputs: tuple[Shape, ...]) -> Work:
        return self._reduction().work(inputs, outputs)

    def _reduction(self) -> ReduceMax:
        return ReduceMax((self.axis,), self.keep_dims)


class ArgMax(_Extreme):
    """The number of the largest element along one axis."""

    name: ClassVar[str] = "arg_max"


class ArgMin(_Extreme):
    """The number of the smallest element along one axis."""

    name: ClassVar[str] = "arg_min"


@dataclass(frozen=True)
class CumSum(Operator):
    """The sums of the elements up to each one along an axis.

    Attributes:
        axis: which; 0 is the batch, 1 the channels (the default), -1 the last.
    """

    name: ClassVar[str] = "cum_sum"
    cost: ClassVar[str] = "1 per element (addition)"

    axis: Whole = 1

    def output_shapes(self, inputs: tuple[Shape, ...]) -> tuple[Shape, ...]:
        axis_index(self.axis, len(inputs[0]))
        return (inputs[0],)

    def work(self, inputs: tuple[Shape, ...], outputs: tuple[Shape, ...]) -> Work:
        return Work(vector_ops=per_element(outputs[0], 1, self.name))
