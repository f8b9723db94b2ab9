"""Operators as a tensor program has them: no axis is special, and an operand may be a constant.

The operators of `perfsim.network` keep the batch in front. These differ from those of the same name in what is
said in each class; the counts follow the same rules.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import ClassVar

from perfsim.errors import ShapeError
from perfsim.network.arithmetic import broadcast
from perfsim.network.layout import Copy, View
from perfsim.network.operator import Operator, Unit, axis_index
from perfsim.network.work import Count, Product, Shape, Work, elements, per_element, shape_text


def trained(count: int) -> Count:
    """The parameters of an operand that is trained."""
    return (Product("trained operand", ((count, "elements"),)),) if count else ()


def sampled(mode: str, shape: Shape) -> Work:
    """Elements of this shape interpolated at positions that are given as fractions of an axis.

    For each of n axes two operations turn the fraction into a place (scale, shift) and one takes its fractional part;
    then as in resizing: nothing for the nearest element, 3 (2^n - 1) operations linearly, 2 x 4^n cubically.
    """
    axes = len(shape) - 2
    interpolation = {"nearest": 0, "linear": 3 * (2**axes - 1), "cubic": 2 * 4**axes}[mode]
    places = Product(
        "places", ((elements((shape[0], *shape[2:])), "places"), (3 * axes, "operations each"))
    )
    if not interpolation:
        return Work(vector_ops=(places,))
    return Work(vector_ops=(places, *per_element(shape, interpolation, "interpolation")))


@dataclass(frozen=True)
class Declared(Operator):
    """An operator with the shapes that the program gives its outputs, and with counts worked out for them.

    For what has no exact counterpart among perfsim's operators, or one that reads constants as well.

    Attributes:
        name, unit: as the table shows it, and what executes it.
        shapes: of the outputs.
        counts: what it costs.
    """

    name: str  # type: ignore[misc]  # each brings its own
    unit: Unit = Unit.COPY  # type: ignore[misc]
    shapes: tuple[Shape, ...] = ()
    counts: Work = field(default_factory=Work)
    cost: ClassVar[str] = "the counts that the reader works out for its shapes"
    inputs_allowed: ClassVar[tuple[int, int | None]] = (0, None)

    def output_shapes(self, inputs: tuple[Shape, ...]) -> tuple[Shape, ...]:
        return self.shapes

    def work(self, inputs: tuple[Shape, ...], outputs: tuple[Shape, ...]) -> Work:
        return self.counts


@dataclass(frozen=True, kw_only=True)
class Holding(Operator):
    """`inner`, some of whose inputs are constants: those are trained, and parameters of its own.

    Attributes:
        constants: (position among the inputs of `inner`, shape) of each, in order.
        params: how many of their elements are trained.
    """

    name: str  # type: ignore[misc]  # that of `inner`
    unit: Unit  # type: ignore[misc]
    inner: Operator
    constants: tuple[tuple[int, Shape], ...]
    params: int
    cost: ClassVar[str] = "what the operator that it stands for costs"
    inputs_allowed: ClassVar[tuple[int, int | None]] = (0, None)

    def output_shapes(self, inputs: tuple[Shape, ...]) -> tuple[Shape, ...]:
        return self.inner.output_shapes(self._all(inputs))

    def work(self, inputs: tuple[Shape, ...], outputs: tuple[Shape, ...]) -> Work:
        work = self.inner.work(self._all(inputs), outputs)
        return replace(work, params=(*work.params, *trained(self.params)))

    def _all(self, inputs: tuple[Shape, ...]) -> tuple[Shape, ...]:
        shapes = list(inputs)
        for position, shape in self.constants:
            shapes.insert(position, shape)
        return tuple(shapes)


@dataclass(frozen=True)
class Reshaped(View):
    """The same elements under another shape, the batch included."""

    name: ClassVar[str] = "reshape"

    shape: Shape

    def output_shapes(self, inputs: tuple[Shape, ...]) -> tuple[Shape, ...]:
        if elements(inputs[0]) != elements(self.shape):
            raise ShapeError(
                "the elements do not fill the shape",
                found=shape_text(inputs[0]),
                expected=f"as many elements as {shape_text(self.shape)}",
            )
        return (self.shape,)


@dataclass(frozen=True)
class Copied(Copy):
    """Elements written in another order or another number: what is read and written moves.

    Attributes:
        name: what is done: expand, roll, pixel_shuffle, ...
        shape: of the output.
    """

    name: str  # type: ignore[misc]  # each brings its own
    inputs_allowed: ClassVar[tuple[int, int | None]] = (1, None)

    shape: Shape

    def output_shapes(self, inputs: tuple[Shape, ...]) -> tuple[Shape, ...]:
        return (self.shape,)


@dataclass(frozen=True)
class Joined(Copy):
    """The inputs, and constants among them, one after another along any axis.

    Attributes:
        axis: along which.
        constants: the shapes of operands that are constants.
        params: how many elements of those are trained.
    """

    name: ClassVar[str] = "concat"
    inputs_allowed: ClassVar[tuple[int, int | None]] = (1, None)

    axis: int
    constants: tuple[Shape, ...] = ()
    params: int = 0

    def output_shapes(self, inputs: tuple[Shape, ...]) -> tuple[Shape, ...]:
        shapes = (*inputs, *self.constants)
        axis = axis_index(self.axis, len(shapes[0]))
        rests = {shape[:axis] + shape[axis + 1 :] for shape in shapes}
        if len(rests) > 1:
            raise ShapeError(
                "the inputs differ in more than the axis that they are joined along",
                found=" and ".join(map(shape_text, shapes)),
                expected=f"shapes that are equal but for axis {axis}",
            )
        joined = sum(shape[axis] for shape in shapes)
        return ((*shapes[0][:axis], joined, *shapes[0][axis + 1 :]),)

    def work(self, inputs: tuple[Shape, ...], outputs: tuple[Shape, ...]) -> Work:
        return Work(params=trained(self.params))


@dataclass(frozen=True)
class Elementwise(Operator):
    """Inputs, and constants, combined element by element, stretched to one shape.

    Attributes:
        name: the function.
        ops: vector operations per output element.
        constants: the shapes of operands that are constants.
        params: how many elements of those are trained.
    """

    name: str  # type: ignore[misc]  # each brings its own
    cost: ClassVar[str] = "its vector operations per output element"
    inputs_allowed: ClassVar[tuple[int, int | None]] = (1, None)

    ops: int
    constants: tuple[Shape, ...] = ()
    params: int = 0

    def output_shapes(self, inputs: tuple[Shape, ...]) -> tuple[Shape, ...]:
        return (broadcast((*inputs, *self.constants)),)

    def work(self, inputs: tuple[Shape, ...], outputs: tuple[Shape, ...]) -> Work:
        return Work(
            vector_ops=per_element(outputs[0], self.ops, self.name), params=trained(self.params)
        )


@dataclass(frozen=True)
class HeadsAttention(Operator):
    """Attention with the heads as an axis: (..., tokens, features of a head); heads broadcast.

    Attributes:
        masked: whether a mask, the fourth input if it is one, is added to the scores.
        mask_params: elements of the mask that are trained.
    """

    name: ClassVar[str] = "attention"
    unit: ClassVar[Unit] = Unit.MATRIX
    cost: ClassVar[str] = (
        "a MAC per score and feature of a head, twice; 6 vector operations per score (scale, softmax), "
        "and one for a mask"
    )
    inputs_allowed: ClassVar[tuple[int, int | None]] = (3, 4)

    masked: bool = False
    mask_params: int = 0

    def output_shapes(self, inputs: tuple[Shape, ...]) -> tuple[Shape, ...]:
        query, key, value = inputs[:3]
        if (
            min(map(len, inputs[:3])) < 2
            or query[-1] != key[-1]
            or key[-2] != value[-2]
            or any(
                part == 0 or whole % part
                for other in (key, value)
                for whole, part in zip(query[:-2], other[:-2], strict=False)
            )
            or len({len(query), len(key), len(value)}) > 1
        ):
            raise ShapeError(
                "query, key and value do not fit together",
                found=" and ".join(map(shape_text, inputs[:3])),
                expected="heads x tokens x features, with as many values as keys",
            )
        return ((*query[:-1], value[-1]),)

    def work(self, inputs: tuple[Shape, ...], outputs: tuple[Shape, ...]) -> Work:
        query, key, value = inputs[:3]
        scores = (
            (math.prod(query[:-2]), "images and heads"),
            (query[-2], "queries"),
            (key[-2], "keys"),
        )
        return Work(
            macs=(
                Product("query times key", (*scores, (key[-1], "features of a head"))),
                Product("scores times value", (*scores, (value[-1], "features of a head"))),
            ),
            vector_ops=(
                Product("scale and softmax", (*scores, (6, "operations each"))),
                *((Product("mask", scores),) if self.masked else ()),
            ),
            params=trained(self.mask_params),
        )


@dataclass(frozen=True)
class Einsum(Operator):
    """The product of two tensors, summed over the axes that the result lacks.

    Attributes:
        a, b, result: a letter for each axis; equal letters are one axis.
    """

    name: ClassVar[str] = "einsum"
    unit: ClassVar[Unit] = Unit.MATRIX
    cost: ClassVar[str] = "a MAC for each choice of one index of every axis"
    inputs_allowed: ClassVar[tuple[int, int | None]] = (2, 2)

    a: str
    b: str
    result: str

    def output_shapes(self, inputs: tuple[Shape, ...]) -> tuple[Shape, ...]:
        sizes = self._sizes(inputs)
        return (tuple(sizes[letter] for letter in self.result),)

    def work(self, inputs: tuple[Shape, ...], outputs: tuple[Shape, ...]) -> Work:
        factors = tuple((size, f"axis {name}") for name, size in self._sizes(inputs).items())
        return Work(macs=(Product("product over all axes", factors),))

    def _sizes(self, inputs: tuple[Shape, ...]) -> dict[str, int]:
        sizes: dict[str, int] = {}
        for letters, shape in zip((self.a, self.b), inputs, strict=True):
            for letter, size in zip(letters, shape, strict=True):
                if sizes.setdefault(letter, size) != size:
                    raise ShapeError(
                        "", found=f"{size} along axis {letter}", expected=str(sizes[letter])
                    )
        return sizes
