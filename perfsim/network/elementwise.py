"""Normalisation, activations, arithmetic between tensors, softmax.

One vector operation is one arithmetic operation on one element: an addition, multiplication,
comparison, division, exponential or error function each count as one, since a machine's file gives one
rate for all. The formulas are those of the operators' definitions in ONNX.
"""

from __future__ import annotations

from typing import ClassVar

from perfsim.errors import ShapeError
from perfsim.network.operator import Exit, Operator
from perfsim.network.work import Product, Shape, Work, elements, shape_text


def _per_element(output: Shape, ops: int, what: str) -> tuple[Product, ...]:
    return (Product(what, ((elements(output), "output elements"), (ops, "operations each"))),)


class BatchNorm(Operator):
    """Scale and shift per channel; at inference the running statistics are folded into both."""

    name: ClassVar[str] = "batch_norm"
    exit: ClassVar[Exit] = Exit.NORMALIZATION
    free_on_matrix_exit: ClassVar[bool] = True
    cost: ClassVar[str] = "2 per element (scale, shift)"

    def work(self, inputs: tuple[Shape, ...], outputs: tuple[Shape, ...]) -> Work:
        if len(inputs[0]) < 2:
            raise ShapeError(
                "", found=f"an input of shape {shape_text(inputs[0])}", expected="batch x channels"
            )
        return Work(
            vector_ops=_per_element(outputs[0], 2, "scale and shift"),
            params=(
                Product("batch_norm scale and shift", ((2, "numbers"), (inputs[0][1], "channels"))),
            ),
        )


class Activation(Operator):
    """A function of each element; the subclasses say which, and what it costs."""

    exit: ClassVar[Exit] = Exit.ACTIVATION
    ops_per_element: ClassVar[int]

    def work(self, inputs: tuple[Shape, ...], outputs: tuple[Shape, ...]) -> Work:
        return Work(vector_ops=_per_element(outputs[0], self.ops_per_element, self.name))


class Relu(Activation):
    """max(x, 0)."""

    name = "relu"
    ops_per_element = 1
    free_on_matrix_exit = True
    cost = "1 per element (max)"


class Relu6(Activation):
    """min(max(x, 0), 6)."""

    name = "relu6"
    ops_per_element = 2
    free_on_matrix_exit = True
    cost = "2 per element (max, min)"


class LeakyRelu(Activation):
    """max(x, a x) with 0 < a < 1."""

    name = "leaky_relu"
    ops_per_element = 2
    free_on_matrix_exit = True
    cost = "2 per element (multiply, max)"


class HardSigmoid(Activation):
    """min(max(a x + b, 0), 1)."""

    name = "hard_sigmoid"
    ops_per_element = 4
    cost = "4 per element (multiply, add, max, min)"


class HardSwish(Activation):
    """x hard_sigmoid(x)."""

    name = "hard_swish"
    ops_per_element = 5
    cost = "5 per element (hard_sigmoid, multiply)"


class Sigmoid(Activation):
    """1 / (1 + exp(-x))."""

    name = "sigmoid"
    ops_per_element = 4
    cost = "4 per element (negate, exp, add, divide)"


class Silu(Activation):
    """x sigmoid(x), also called swish."""

    name = "silu"
    ops_per_element = 5
    cost = "5 per element (sigmoid, multiply)"


class Tanh(Activation):
    """1 - 2 / (exp(2 x) + 1)."""

    name = "tanh"
    ops_per_element = 5
    cost = "5 per element (multiply, exp, add, divide, subtract)"


class Gelu(Activation):
    """x (1 + erf(x / sqrt 2)) / 2."""

    name = "gelu"
    ops_per_element = 5
    cost = "5 per element (multiply, erf, add, multiply, multiply)"


class Elu(Activation):
    """x above 0, a (exp(x) - 1) below."""

    name = "elu"
    ops_per_element = 4
    cost = "4 per element (exp, subtract, multiply, select)"


ACTIVATIONS: tuple[type[Activation], ...] = (
    Relu,
    Relu6,
    LeakyRelu,
    HardSigmoid,
    HardSwish,
    Sigmoid,
    Silu,
    Tanh,
    Gelu,
    Elu,
)


class _Arithmetic(Operator):
    """All inputs combined element by element; they have one shape."""

    inputs_allowed: ClassVar[tuple[int, int | None]] = (2, None)

    def output_shapes(self, inputs: tuple[Shape, ...]) -> tuple[Shape, ...]:
        for shape in inputs[1:]:
            if shape != inputs[0]:
                raise ShapeError(
                    "the inputs have different shapes",
                    found=" and ".join(shape_text(each) for each in inputs),
                    expected="equal shapes",
                )
        return (inputs[0],)

    def work(self, inputs: tuple[Shape, ...], outputs: tuple[Shape, ...]) -> Work:
        return Work(vector_ops=_per_element(outputs[0], len(inputs) - 1, self.name))


class Add(_Arithmetic):
    """The sum of all inputs."""

    name: ClassVar[str] = "add"
    cost: ClassVar[str] = "1 per element and further input"


class Mul(_Arithmetic):
    """The product of all inputs."""

    name: ClassVar[str] = "mul"
    cost: ClassVar[str] = "1 per element and further input"


class Softmax(Operator):
    """exp(x - max) divided by its sum, over the channels."""

    name: ClassVar[str] = "softmax"
    cost: ClassVar[str] = "5 per element (max, subtract, exp, sum, divide)"

    def work(self, inputs: tuple[Shape, ...], outputs: tuple[Shape, ...]) -> Work:
        return Work(vector_ops=_per_element(outputs[0], 5, "max, subtract, exp, sum, divide"))
