"""Arithmetic between tensors that broadcast, or with one number, and functions that are no activations.

A tensor is stretched along each axis where it has one element, and axes that it lacks come first: the
broadcasting of numpy and ONNX.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import zip_longest
from typing import ClassVar

from perfsim.errors import ShapeError
from perfsim.network.elementwise import Function
from perfsim.network.operator import Number, Operator
from perfsim.network.work import Shape, Work, per_element, shape_text


def broadcast(shapes: tuple[Shape, ...]) -> Shape:
    """The shape that all `shapes` stretch to; raises ShapeError when there is none."""
    stretched = []
    for sizes in zip_longest(*(reversed(shape) for shape in shapes), fillvalue=1):
        wide = {size for size in sizes if size != 1}
        if len(wide) > 1:
            raise ShapeError(
                "the inputs have different shapes",
                found=" and ".join(map(shape_text, shapes)),
                expected="equal shapes, or axes of one element that stretch",
            )
        stretched.append(wide.pop() if wide else 1)
    return tuple(reversed(stretched))


@dataclass(frozen=True)
class _Arithmetic(Operator):
    """All inputs combined element by element, stretched to one shape.

    Attributes:
        value: one number as the last operand. It is part of the program: no weight, and nothing moves for it.
    """

    inputs_allowed: ClassVar[tuple[int, int | None]] = (1, None)
    most_operands: ClassVar[int | None] = None

    value: Number | None = None

    def output_shapes(self, inputs: tuple[Shape, ...]) -> tuple[Shape, ...]:
        count = self._operands(inputs)
        if count < 2 or count > (self.most_operands or count):
            number = "" if self.value is None else " and a value"
            raise ShapeError(
                "",
                found=f"{len(inputs)} input{'s'[: len(inputs) != 1]}{number}",
                expected="2 inputs, or one and a value",
            )
        return (broadcast(inputs),)

    def work(self, inputs: tuple[Shape, ...], outputs: tuple[Shape, ...]) -> Work:
        return Work(vector_ops=per_element(outputs[0], self._operands(inputs) - 1, self.name))

    def _operands(self, inputs: tuple[Shape, ...]) -> int:
        return len(inputs) + (self.value is not None)


class Add(_Arithmetic):
    """The sum of all inputs."""

    name: ClassVar[str] = "add"
    cost: ClassVar[str] = "1 per output element and further operand"


class Mul(_Arithmetic):
    """The product of all inputs."""

    name: ClassVar[str] = "mul"
    cost: ClassVar[str] = "1 per output element and further operand"


class Minimum(_Arithmetic):
    """The smallest of all inputs at each place."""

    name: ClassVar[str] = "minimum"
    cost: ClassVar[str] = "1 per output element and further operand (comparison)"


class Maximum(_Arithmetic):
    """The largest of all inputs at each place."""

    name: ClassVar[str] = "maximum"
    cost: ClassVar[str] = "1 per output element and further operand (comparison)"


class _OfTwo(_Arithmetic):
    """Two operands, the order of which matters."""

    most_operands: ClassVar[int | None] = 2


class Sub(_OfTwo):
    """The first input minus the second."""

    name: ClassVar[str] = "sub"
    cost: ClassVar[str] = "1 per output element"


class Div(_OfTwo):
    """The first input divided by the second."""

    name: ClassVar[str] = "div"
    cost: ClassVar[str] = "1 per output element"


class Pow(_OfTwo):
    """The first input to the power of the second."""

    name: ClassVar[str] = "pow"
    cost: ClassVar[str] = "1 per output element: like exp, a power counts as one"


class Exp(Function):
    """The exponential."""

    name = "exp"
    ops_per_element = 1
    cost = "1 per element"


class Log(Function):
    """The natural logarithm."""

    name = "log"
    ops_per_element = 1
    cost = "1 per element"


class Sqrt(Function):
    """The square root."""

    name = "sqrt"
    ops_per_element = 1
    cost = "1 per element"


class Abs(Function):
    """The absolute value."""

    name = "abs"
    ops_per_element = 1
    cost = "1 per element"


class Neg(Function):
    """-x."""

    name = "neg"
    ops_per_element = 1
    cost = "1 per element"


class Reciprocal(Function):
    """1 / x."""

    name = "reciprocal"
    ops_per_element = 1
    cost = "1 per element (divide)"


class Clip(Function):
    """min(max(x, a), b), of which relu6 is one."""

    name = "clip"
    ops_per_element = 2
    free_on_matrix_exit = True
    cost = "2 per element (max, min)"


FUNCTIONS: tuple[type[Function], ...] = (Exp, Log, Sqrt, Abs, Neg, Reciprocal, Clip)
