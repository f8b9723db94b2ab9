"""Operators that compute nothing: they copy bytes, or give the same bytes another shape."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from perfsim.errors import ShapeError
from perfsim.network.operator import (
    Amounts,
    Operator,
    Positive,
    Unit,
    Whole,
    Wholes,
    axis_index,
    channels_and_space,
    check_divides,
    check_rank,
    per_axis,
)
from perfsim.network.work import Product, Shape, Work, elements, shape_text


class Copy(Operator):
    """Copies bytes and computes nothing."""

    unit: ClassVar[Unit] = Unit.COPY
    cost: ClassVar[str] = "no operations: it copies, and what of that crosses the DDR bus counts"

    def work(self, inputs: tuple[Shape, ...], outputs: tuple[Shape, ...]) -> Work:
        return Work()


class View(Operator):
    """The same bytes under another shape."""

    unit: ClassVar[Unit] = Unit.VIEW
    cost: ClassVar[str] = "free: the same bytes under another shape"

    def work(self, inputs: tuple[Shape, ...], outputs: tuple[Shape, ...]) -> Work:
        return Work()


@dataclass(frozen=True)
class Concat(Copy):
    """The inputs one after another along one axis.

    Attributes:
        axis: which; the channels unless given.
    """

    name: ClassVar[str] = "concat"
    inputs_allowed: ClassVar[tuple[int, int | None]] = (2, None)

    axis: Whole = 1

    def joined_along(self) -> int | None:
        return self.axis

    def output_shapes(self, inputs: tuple[Shape, ...]) -> tuple[Shape, ...]:
        first = inputs[0]
        axis = axis_index(self.axis, len(first))
        what = "channels" if axis == 1 else f"elements along axis {axis}"
        for shape in inputs:
            if (
                len(shape) != len(first)
                or shape[:axis] + shape[axis + 1 :] != first[:axis] + first[axis + 1 :]
            ):
                raise ShapeError(
                    f"the inputs differ in more than their {what}",
                    found=" and ".join(shape_text(each) for each in inputs),
                    expected=f"shapes that are equal but for the {what}",
                )
        return ((*first[:axis], sum(shape[axis] for shape in inputs), *first[axis + 1 :]),)


@dataclass(frozen=True)
class Transpose(Copy):
    """The axes in another order.

    Attributes:
        order: for each axis of the output the axis of the input, 0 being the batch.
    """

    name: ClassVar[str] = "transpose"

    order: Wholes

    def output_shapes(self, inputs: tuple[Shape, ...]) -> tuple[Shape, ...]:
        shape = inputs[0]
        if sorted(self.order) != list(range(len(shape))):
            raise ShapeError(
                "",
                found=f"the order {list(self.order)} for {len(shape)} axes",
                expected=f"each of {list(range(len(shape)))} once; 0 is the batch",
            )
        return (tuple(shape[axis] for axis in self.order),)


@dataclass(frozen=True)
class Pad(Copy):
    """Elements around each spatial axis.

    Attributes:
        before: how many in front: one number, or one per spatial axis.
        after: how many behind; as many as in front unless given.
    """

    name: ClassVar[str] = "pad"

    before: Amounts
    after: Amounts | None = None

    def output_shapes(self, inputs: tuple[Shape, ...]) -> tuple[Shape, ...]:
        _, space = channels_and_space(inputs[0])
        before = per_axis(self.before, len(space), "a padding before", least=0)
        after = before
        if self.after is not None:
            after = per_axis(self.after, len(space), "a padding after", least=0)
        return ((*inputs[0][:2], *map(sum, zip(before, space, after, strict=True))),)


@dataclass(frozen=True)
class Slice(Copy):
    """A part of one axis: what ``[start:stop:step]`` takes of it in Python.

    Attributes:
        axis: which; 0 is the batch, 1 the channels, -1 the last.
        start: the first element that is taken; negative ones count from the end.
        stop: the first that is not; the end unless given.
        step: from one element to the next.
    """

    name: ClassVar[str] = "slice"

    axis: Whole
    start: Whole = 0
    stop: Whole | None = None
    step: Positive = 1

    def output_shapes(self, inputs: tuple[Shape, ...]) -> tuple[Shape, ...]:
        shape = inputs[0]
        axis = axis_index(self.axis, len(shape))
        part = range(shape[axis])[self.start : self.stop : self.step]
        taken = max(-((part.start - part.stop) // part.step), 0)  # len() has a largest value
        if not taken:
            stop = shape[axis] if self.stop is None else self.stop
            raise ShapeError(
                "nothing is left",
                found=f"start {self.start} and stop {stop} of an axis of {shape[axis]}",
                expected="at least one element between them",
            )
        return ((*shape[:axis], taken, *shape[axis + 1 :]),)


@dataclass(frozen=True)
class ChannelShuffle(Copy):
    """The channels of `groups` groups dealt out in turn. Zhang et al., ShuffleNet, arXiv:1707.01083."""

    name: ClassVar[str] = "channel_shuffle"

    groups: Positive

    def output_shapes(self, inputs: tuple[Shape, ...]) -> tuple[Shape, ...]:
        check_rank(inputs[0], 2, "batch x channels")
        check_divides(self.groups, inputs[0][1], "channels")
        return (inputs[0],)


@dataclass(frozen=True)
class Embedding(Copy):
    """A row of a table for each element of the input, which numbers the rows.

    Which rows are asked for is known only when it runs: the layer's weights are the whole table, and where they must
    come over the DDR bus, the whole table does.

    Attributes:
        entries: rows of the table.
        features: elements of a row, the last axis of the output.
    """

    name: ClassVar[str] = "embedding"
    cost: ClassVar[str] = (
        "no operations: it copies rows of its table, and all of the table is weights"
    )

    entries: Positive
    features: Positive

    def output_shapes(self, inputs: tuple[Shape, ...]) -> tuple[Shape, ...]:
        return ((*inputs[0], self.features),)

    def work(self, inputs: tuple[Shape, ...], outputs: tuple[Shape, ...]) -> Work:
        table = ((self.entries, "entries"), (self.features, "features"))
        return Work(params=(Product("table", table),))


class Flatten(View):
    """All axes but the batch in one."""

    name: ClassVar[str] = "flatten"

    def output_shapes(self, inputs: tuple[Shape, ...]) -> tuple[Shape, ...]:
        check_rank(inputs[0], 1, "an input with a batch")
        return ((inputs[0][0], elements(inputs[0][1:])),)


@dataclass(frozen=True)
class Reshape(View):
    """The axes behind the batch cut anew.

    Attributes:
        shape: the new axes without the batch; one of them may be -1, which is what is left over.
    """

    name: ClassVar[str] = "reshape"

    shape: Wholes

    def output_shapes(self, inputs: tuple[Shape, ...]) -> tuple[Shape, ...]:
        check_rank(inputs[0], 1, "an input with a batch")
        count = elements(inputs[0][1:])
        wrong = [size for size in self.shape if size < 1 and size != -1]
        if wrong or self.shape.count(-1) > 1:
            raise ShapeError(
                "",
                found=f"the shape {list(self.shape)}",
                expected="numbers of at least 1, at most one of them -1",
            )
        given = math.prod(size for size in self.shape if size != -1)
        if count % given or (given != count and -1 not in self.shape):
            raise ShapeError(
                "the elements do not fill the shape",
                found=f"the shape {list(self.shape)} for {count} elements of an image",
                expected=f"numbers whose product is {count}",
            )
        return ((inputs[0][0], *(count // given if size == -1 else size for size in self.shape)),)


@dataclass(frozen=True)
class Squeeze(View):
    """Without one axis, which has one element; `axis` 0 is the batch, -1 the last."""

    name: ClassVar[str] = "squeeze"

    axis: Whole

    def output_shapes(self, inputs: tuple[Shape, ...]) -> tuple[Shape, ...]:
        shape = inputs[0]
        axis = axis_index(self.axis, len(shape))
        if shape[axis] != 1:
            raise ShapeError(
                "", found=f"{shape[axis]} elements along axis {self.axis}", expected="one"
            )
        return ((*shape[:axis], *shape[axis + 1 :]),)


@dataclass(frozen=True)
class Unsqueeze(View):
    """With one more axis of one element, which becomes axis `axis` of the output; -1 is the last."""

    name: ClassVar[str] = "unsqueeze"

    axis: Whole

    def output_shapes(self, inputs: tuple[Shape, ...]) -> tuple[Shape, ...]:
        shape = inputs[0]
        axis = axis_index(self.axis, len(shape) + 1)
        return ((*shape[:axis], 1, *shape[axis:]),)
