"""Parts of one axis: all of them, those that are picked by their numbers, or the largest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from perfsim.errors import ShapeError
from perfsim.network.layout import Copy
from perfsim.network.operator import Operator, Parts, Positive, Whole, axis_index
from perfsim.network.work import Shape, Work, elements, per_element, shape_text


@dataclass(frozen=True)
class Split(Copy):
    """One axis cut into parts, each of which is an output: the part n of the layer s is read as `s.n`.

    Attributes:
        parts: how many equal ones, or the size of each, in order.
        axis: which; 0 is the batch, 1 the channels (the default), -1 the last.
    """

    name: ClassVar[str] = "split"
    gives_parts: ClassVar[bool] = True

    parts: Parts
    axis: Whole = 1

    @property
    def outputs(self) -> int:
        return self.parts if isinstance(self.parts, int) else len(self.parts)

    def output_shapes(self, inputs: tuple[Shape, ...]) -> tuple[Shape, ...]:
        shape = inputs[0]
        axis = axis_index(self.axis, len(shape))
        sizes = self.parts
        if isinstance(sizes, int):
            if shape[axis] % sizes:
                raise ShapeError(
                    f"{sizes} equal parts of {shape[axis]} elements along axis {self.axis}",
                    found=f"parts {sizes}",
                    expected=f"a divisor of {shape[axis]}, or the size of each part",
                )
            sizes = (shape[axis] // sizes,) * sizes
        elif sum(sizes) != shape[axis]:
            raise ShapeError(
                "the parts are not the whole",
                found=f"parts {list(sizes)}, {sum(sizes)} elements in all",
                expected=f"the {shape[axis]} elements along axis {self.axis}",
            )
        return tuple((*shape[:axis], size, *shape[axis + 1 :]) for size in sizes)


@dataclass(frozen=True)
class Gather(Copy):
    """Elements of one axis picked by their numbers, which are known beforehand or computed: the second input.

    Attributes:
        axis: which; 0 is the batch, 1 the channels, -1 the last.
        indices: how many are picked, the same one more than once if need be.
    """

    name: ClassVar[str] = "gather"
    inputs_allowed: ClassVar[tuple[int, int | None]] = (1, 2)

    axis: Whole
    indices: Positive

    def output_shapes(self, inputs: tuple[Shape, ...]) -> tuple[Shape, ...]:
        shape = inputs[0]
        axis = axis_index(self.axis, len(shape))
        for numbers in inputs[1:]:
            if numbers[:1] != shape[:1] or elements(numbers[1:]) != self.indices:
                raise ShapeError(
                    "the second input does not hold the indices",
                    found=f"an input of shape {shape_text(numbers)}",
                    expected=f"{self.indices} for each image of the batch",
                )
        return ((*shape[:axis], self.indices, *shape[axis + 1 :]),)


@dataclass(frozen=True)
class TopK(Operator):
    """The largest elements along one axis, and their numbers: the layer t is read as `t.1` and `t.2`.

    A heap of the k largest: an element is compared with the least of them, and sinks through ceil(log2 k) levels.

    Attributes:
        k: how many.
        axis: which; 0 is the batch, 1 the channels, -1 the last (the default).
    """

    name: ClassVar[str] = "top_k"
    cost: ClassVar[str] = "log2(k), rounded up, + 1 per element (comparisons in a heap of k)"
    gives_parts: ClassVar[bool] = True

    k: Positive
    axis: Whole = -1

    @property
    def outputs(self) -> int:
        return 2

    def output_shapes(self, inputs: tuple[Shape, ...]) -> tuple[Shape, ...]:
        shape = inputs[0]
        axis = axis_index(self.axis, len(shape))
        if self.k > shape[axis]:
            raise ShapeError(
                "",
                found=f"k {self.k} of {shape[axis]} elements along axis {self.axis}",
                expected=f"at most {shape[axis]}",
            )
        return ((*shape[:axis], self.k, *shape[axis + 1 :]),) * 2

    def work(self, inputs: tuple[Shape, ...], outputs: tuple[Shape, ...]) -> Work:
        levels = (self.k - 1).bit_length()
        return Work(vector_ops=per_element(inputs[0], levels + 1, "comparisons"))
