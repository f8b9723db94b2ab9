"""Activations and softmax.

One vector operation is one arithmetic operation on one element: an addition, multiplication,
comparison, division, exponential or error function each count as one, since a machine's file gives one
rate for all. The formulas are those of the operators' definitions in ONNX.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from perfsim.network.operator import Exit, Operator, Whole, axis_index, check_rank
from perfsim.network.work import Product, Shape, Work, elements, per_element


class Function(Operator):
    """A function of each element; the subclasses say which, and what it costs."""

    exit: ClassVar[Exit] = Exit.ACTIVATION
    ops_per_element: ClassVar[int]

    def work(self, inputs: tuple[Shape, ...], outputs: tuple[Shape, ...]) -> Work:
        return Work(vector_ops=per_element(outputs[0], self.ops_per_element, self.name))


class Activation(Function):
    """A function that a layer may name as its `activation`."""


class Relu(Activation):
    """max(x, 0)."""

    name = "relu"
    selects = True
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


class Selu(Activation):
    """s x above 0, s a (exp(x) - 1) below."""

    name = "selu"
    ops_per_element = 5
    cost = "5 per element (elu, multiply)"


class Softplus(Activation):
    """log(1 + exp(x))."""

    name = "softplus"
    ops_per_element = 3
    cost = "3 per element (exp, add, log)"


class Mish(Activation):
    """x tanh(softplus(x))."""

    name = "mish"
    ops_per_element = 9
    cost = "9 per element (softplus, tanh, multiply)"


class Softsign(Activation):
    """x / (1 + |x|)."""

    name = "softsign"
    ops_per_element = 3
    cost = "3 per element (absolute value, add, divide)"


class HardTanh(Activation):
    """min(max(x, -1), 1)."""

    name = "hard_tanh"
    ops_per_element = 2
    free_on_matrix_exit = True
    cost = "2 per element (max, min)"


class Prelu(Activation):
    """x above 0, a x below, with a trained slope a for each channel.

    Not free on the matrix unit's way out as leaky_relu is: the slopes must be fetched.
    """

    name = "prelu"
    ops_per_element = 2
    cost = "2 per element (multiply, select)"

    def output_shapes(self, inputs: tuple[Shape, ...]) -> tuple[Shape, ...]:
        check_rank(inputs[0], 2, "batch x channels")
        return (inputs[0],)

    def work(self, inputs: tuple[Shape, ...], outputs: tuple[Shape, ...]) -> Work:
        slopes = Product("prelu slopes", ((inputs[0][1], "channels"),))
        return Work(vector_ops=super().work(inputs, outputs).vector_ops, params=(slopes,))


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
    Selu,
    Softplus,
    Mish,
    Softsign,
    HardTanh,
    Prelu,
)


@dataclass(frozen=True)
class Softmax(Operator):
    """exp(x - max) divided by its sum, over one axis.

    Attributes:
        axis: over which; 0 is the batch, 1 the channels (the default), -1 the last.
    """

    name: ClassVar[str] = "softmax"
    cost: ClassVar[str] = "5 per element (max, subtract, exp, sum, divide)"

    axis: Whole = 1

    def output_shapes(self, inputs: tuple[Shape, ...]) -> tuple[Shape, ...]:
        axis_index(self.axis, len(inputs[0]))
        return (inputs[0],)

    def work(self, inputs: tuple[Shape, ...], outputs: tuple[Shape, ...]) -> Work:
        return Work(vector_ops=per_element(outputs[0], 5, "max, subtract, exp, sum, divide"))


class LogSoftmax(Softmax):
    """x - max - log(sum(exp(x - max))), over one axis."""

    name: ClassVar[str] = "log_softmax"
    cost: ClassVar[str] = "5 per element (max, subtract, exp, sum, subtract), 1 per place (log)"

    def work(self, inputs: tuple[Shape, ...], outputs: tuple[Shape, ...]) -> Work:
        places = (elements(inputs[0]) // inputs[0][self.axis], "places")
        return Work(
            vector_ops=(
                *per_element(outputs[0], 5, "max, subtract, exp, sum, subtract"),
                Product("log", (places,)),
            )
        )
