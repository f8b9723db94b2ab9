"""Operators as a tensor program has them, for the readers of ONNX and PyTorch.

No axis is special, and an operand may be a constant. The operators of `perfsim.network` keep the batch in front;
these differ from those of the same name in what is said in each class, and the counts follow the same rules.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from perfsim.errors import ShapeError
from perfsim.network.arithmetic import broadcast
from perfsim.network.layout import View
from perfsim.network.normalization import LayerNorm
from perfsim.network.operator import Operator, Unit
from perfsim.network.work import Count, Product, Shape, Work, elements, per_element, shape_text

if TYPE_CHECKING:
    from perfsim.network.nest import Nest

NO_WORK = Work()


def trained(count: int) -> Count:
    """The parameters of operands that are constants."""
    return (Product("constants", ((count, "numbers"),)),) if count else ()


@dataclass(frozen=True)
class Declared(Operator):
    """An operator with the shapes of its outputs given, and with counts worked out for them.

    For what has no exact counterpart among perfsim's operators, or one that reads constants as well.

    Attributes:
        name, unit: as the table shows it, and what executes it.
        shapes: of the outputs.
        counts: what it costs.
        inner: an operator that runs in the same way, and what that one reads, constants included.
    """

    name: str  # type: ignore[misc]  # each brings its own
    unit: Unit = Unit.COPY  # type: ignore[misc]
    shapes: tuple[Shape, ...] = ()
    counts: Work = NO_WORK
    inner: tuple[Operator, tuple[Shape, ...]] | None = None
    cost: ClassVar[str] = "the counts that the reader works out for its shapes"
    inputs_allowed: ClassVar[tuple[int, int | None]] = (0, None)

    def output_shapes(self, inputs: tuple[Shape, ...]) -> tuple[Shape, ...]:
        return self.shapes

    def work(self, inputs: tuple[Shape, ...], outputs: tuple[Shape, ...]) -> Work:
        return self.counts

    def nest(self, inputs: tuple[Shape, ...], outputs: tuple[Shape, ...]) -> Nest | None:
        if self.inner is None:
            return None
        operator, shapes = self.inner
        nest = operator.nest(shapes, operator.output_shapes(shapes))
        if nest is not None and len(shapes) == 2 and len(inputs) == 1:
            # One of two factors is a constant, and so the layer's own.
            names = ("input", "weight") if inputs[0] == shapes[0] else ("weight", "input")
            nest = nest.named(*names, "output")
        return nest if nest is not None and nest.reads(inputs) else None


def worked(inner: Operator, inputs: tuple[Shape, ...], shapes: tuple[Shape, ...]) -> Declared:
    """`inner` with its work on inputs of other shapes than the node's, and outputs of these `shapes`."""
    work = inner.work(inputs, inner.output_shapes(inputs))
    return Declared(inner.name, inner.unit, shapes, work, (inner, inputs))


def adding(made: Declared, *operations: Product, params: Count = ()) -> Declared:
    """`made` with further vector operations and parameters."""
    work = made.counts
    more = (*work.vector_ops, *operations)
    counts = Work(work.macs, more, (*work.params, *params), work.tied)
    return Declared(made.name, made.unit, made.shapes, counts)


def holding(
    operator: Operator, inputs: tuple[Shape, ...], shapes: tuple[Shape, ...], held: int
) -> Declared:
    """`operator`, some of whose operands are constants that it holds itself.

    inputs: the shapes of all operands, constants included. shapes: of the outputs; those without elements are left
    out. held: how many trained numbers the constants are, which become parameters of its own.
    """
    work = operator.work(inputs, shapes[:1])
    counts = Work(work.macs, work.vector_ops, (*work.params, *trained(held)))
    shown = tuple(shape for shape in shapes if elements(shape))
    return Declared(operator.name, operator.unit, shown, counts, (operator, inputs))


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
class Elementwise(Operator):
    """Inputs combined element by element, stretched to one shape, by what perfsim has no operator of its own for.

    Attributes:
        name: the function.
        ops: vector operations per output element.
    """

    name: str  # type: ignore[misc]  # each brings its own
    cost: ClassVar[str] = "its vector operations per output element"
    inputs_allowed: ClassVar[tuple[int, int | None]] = (1, None)

    ops: int

    def output_shapes(self, inputs: tuple[Shape, ...]) -> tuple[Shape, ...]:
        return (broadcast(inputs),)

    def work(self, inputs: tuple[Shape, ...], outputs: tuple[Shape, ...]) -> Work:
        return Work(vector_ops=per_element(outputs[0], self.ops, self.name))


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

    def nest(self, inputs: tuple[Shape, ...], outputs: tuple[Shape, ...]) -> Nest | None:
        from perfsim.network.nest import product

        a, b, result = set(self.a), set(self.b), set(self.result)
        if a ^ b != (a ^ b) & result or (len(a), len(b)) != (len(self.a), len(self.b)):
            return None  # summed over in one of them, or a diagonal: no product of matrices
        sizes = self._sizes(inputs)
        rows, summed, columns, groups = (
            math.prod(sizes[letter] for letter in letters)
            for letters in (a - b, (a & b) - result, b - a, a & b & result)
        )
        return product(rows, summed, columns, groups).named("a", "b", "output")

    def _sizes(self, inputs: tuple[Shape, ...]) -> dict[str, int]:
        sizes: dict[str, int] = {}
        for letters, shape in zip((self.a, self.b), inputs, strict=True):
            for letter, size in zip(letters, shape, strict=True):
                if sizes.setdefault(letter, size) != size:
                    raise ShapeError(
                        "", found=f"{size} along axis {letter}", expected=str(sizes[letter])
                    )
        return sizes


@dataclass(frozen=True)
class LayerNormWithoutShift(LayerNorm):
    """A layer normalisation that has a trained scale and no shift."""

    affine: bool = False

    def work(self, inputs: tuple[Shape, ...], outputs: tuple[Shape, ...]) -> Work:
        work = super().work(inputs, outputs)
        scales = (elements(inputs[0][-self.axes :]), "elements")
        return Work(
            vector_ops=(*work.vector_ops, *per_element(outputs[0], 1, "scale")),
            params=(Product("layer_norm scale", (scales,)),),
        )
