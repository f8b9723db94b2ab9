"""Recurrent layers: at each token, gates that read the token's features and the units' last state."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from perfsim.errors import ShapeError
from perfsim.network.operator import Operator, Positive, Unit
from perfsim.network.work import Product, Shape, Work, shape_text

if TYPE_CHECKING:
    from perfsim.network.nest import Nest


@dataclass(frozen=True)
class _Recurrent(Operator):
    """Gates of `units` units each, from (batch, tokens, features) to (batch, tokens, units).

    Attributes:
        units: the size of the state.
        bidirectional: whether a second layer reads the tokens backwards; its output comes behind the
            first one's along the last axis.
        bias: whether each gate has two bias vectors, one for each of its products (as in PyTorch).
    """

    unit: ClassVar[Unit] = Unit.MATRIX
    gates: ClassVar[int]
    ops_per_unit: ClassVar[int]

    units: Positive
    bidirectional: bool = False
    bias: bool = True

    def output_shapes(self, inputs: tuple[Shape, ...]) -> tuple[Shape, ...]:
        if len(inputs[0]) != 3:
            raise ShapeError(
                "",
                found=f"an input of shape {shape_text(inputs[0])}",
                expected="batch x tokens x features",
            )
        return ((*inputs[0][:2], self.units * self.directions),)

    def work(self, inputs: tuple[Shape, ...], outputs: tuple[Shape, ...]) -> Work:
        batch, tokens, features = inputs[0]
        steps = ((batch, "images"), (tokens, "tokens"))
        gates = (
            (self.directions, "directions"),
            (self.gates, "gates"),
            (self.units, "units"),
        )
        from_input = (*gates, (features, "input features"))
        from_state = (*gates, (self.units, "units of the state"))
        biases = (Product("biases", ((2, "vectors"), *gates)),) if self.bias else ()
        operations = (self.ops_per_unit, "operations each")
        return Work(
            macs=(
                Product("input product", (*steps, *from_input)),
                Product("recurrent product", (*steps, *from_state)),
            ),
            vector_ops=(Product("gates and state", (*self.states(inputs[0]), operations)),),
            params=(
                Product("input weights", from_input),
                Product("recurrent weights", from_state),
                *biases,
            ),
        )

    def nest(self, inputs: tuple[Shape, ...], outputs: tuple[Shape, ...]) -> Nest | None:
        from perfsim.network.nest import recurrence

        batch, tokens, features = inputs[0]
        return recurrence(tokens, batch, features, self.units, self.gates, self.directions)

    def states(self, shape: Shape) -> tuple[tuple[int, str], ...]:
        """How many numbers the states of all steps have, as factors, for an input of this shape."""
        steps = ((shape[0], "images"), (shape[1], "tokens"))
        return (*steps, (self.directions, "directions"), (self.units, "units"))

    @property
    def directions(self) -> int:
        """How many layers read the tokens: each in its own direction."""
        return 2 if self.bidirectional else 1


class Lstm(_Recurrent):
    """i, f, o = sigmoid(W x + U h), g = tanh(W x + U h), c = f c + i g, h = o tanh(c).

    Hochreiter and Schmidhuber, 1997, as PyTorch and ONNX define it. Per unit three sigmoids of 4 operations, two
    tanh of 5, three multiplications and an addition.
    """

    name: ClassVar[str] = "lstm"
    gates: ClassVar[int] = 4
    ops_per_unit: ClassVar[int] = 3 * 4 + 2 * 5 + 3 + 1
    cost: ClassVar[str] = (
        "a MAC per token, gate (4), unit and number that the gate reads (features and units); "
        "26 vector operations per token and unit (3 sigmoid, 2 tanh, 4 for the state)"
    )


class Gru(_Recurrent):
    """r, z = sigmoid(W x + U h), n = tanh(W x + r (U h)), h = (1 - z) n + z h.

    Cho et al., arXiv:1406.1078, as PyTorch defines it. Per unit two sigmoids of 4 operations, a tanh of 5; r's
    multiplication and addition; a subtraction, two multiplications and an addition for the state.
    """

    name: ClassVar[str] = "gru"
    gates: ClassVar[int] = 3
    ops_per_unit: ClassVar[int] = 2 * 4 + 5 + 2 + 4
    cost: ClassVar[str] = (
        "a MAC per token, gate (3), unit and number that the gate reads (features and units); "
        "19 vector operations per token and unit (2 sigmoid, tanh, 2 for the reset, 4 for the state)"
    )


class Rnn(_Recurrent):
    """h = tanh(W x + U h), as PyTorch and ONNX define it. Elman, Cognitive Science 14(2), 1990."""

    name: ClassVar[str] = "rnn"
    gates: ClassVar[int] = 1
    ops_per_unit: ClassVar[int] = 5
    cost: ClassVar[str] = (
        "a MAC per token, unit and number that it reads (features and units); "
        "5 vector operations per token and unit (tanh)"
    )
