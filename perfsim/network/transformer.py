"""What transformers add: trained tensors beside the layers' weights, and a cyclic shift."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from perfsim.errors import ShapeError
from perfsim.network.arithmetic import broadcast
from perfsim.network.operator import Operator, Positive, Unit, Wholes, axis_index, check_rank
from perfsim.network.work import Product, Shape, Work, elements, per_element, shape_text


class _Learned(Operator):
    """Combined element by element with a trained tensor, which stretches to the input's shape."""

    works_in_place: ClassVar[bool] = True

    shape: Wholes

    def output_shapes(self, inputs: tuple[Shape, ...]) -> tuple[Shape, ...]:
        trained = self._trained(inputs[0])
        if broadcast((inputs[0], trained)) != inputs[0]:
            raise ShapeError(
                "the trained tensor does not stretch to the input",
                found=f"the shape {list(trained)} for an input of shape {shape_text(inputs[0])}",
                expected="for each of the last axes 1, what the input has, or -1 for that",
            )
        return (inputs[0],)

    def work(self, inputs: tuple[Shape, ...], outputs: tuple[Shape, ...]) -> Work:
        trained = ((elements(self._trained(inputs[0])), "elements"),)
        return Work(
            vector_ops=per_element(outputs[0], 1, self.name),
            params=(Product("trained tensor", trained),),
        )

    def _trained(self, shape: Shape) -> Shape:
        """The shape of the trained tensor, without the batch."""
        wrong = [size for size in self.shape if size < 1 and size != -1]
        if wrong or len(self.shape) >= len(shape):
            raise ShapeError(
                "",
                found=f"the shape {list(self.shape)} for an input of {len(shape)} axes",
                expected="numbers of at least 1 or -1, for axes behind the batch",
            )
        sizes = zip(self.shape, shape[-len(self.shape) :], strict=True)
        return tuple(given if size == -1 else size for size, given in sizes)


@dataclass(frozen=True)
class LearnedAdd(_Learned):
    """The input plus a trained tensor, such as the embedding of positions.

    Attributes:
        shape: of the trained tensor, for the input's last axes; -1 is what the input has, 1 stretches.
    """

    name: ClassVar[str] = "learned_add"
    cost: ClassVar[str] = "1 per element; the trained tensor is weights"

    shape: Wholes


@dataclass(frozen=True)
class LearnedScale(_Learned):
    """The input times a trained tensor, such as one number for each channel.

    Attributes:
        shape: of the trained tensor, for the input's last axes; -1 is what the input has, 1 stretches.
    """

    name: ClassVar[str] = "learned_scale"
    cost: ClassVar[str] = "1 per element; the trained tensor is weights"

    shape: Wholes


@dataclass(frozen=True)
class LearnedTokens(Operator):
    """Trained tokens in front of those of the input, such as the class token of a vision transformer.

    Attributes:
        tokens: how many.
    """

    name: ClassVar[str] = "learned_tokens"
    unit: ClassVar[Unit] = Unit.COPY
    cost: ClassVar[str] = "no operations: it copies, and the trained tokens are weights"

    tokens: Positive = 1

    def output_shapes(self, inputs: tuple[Shape, ...]) -> tuple[Shape, ...]:
        check_rank(inputs[0], 3, "batch x tokens x features")
        return ((inputs[0][0], self.tokens + inputs[0][1], *inputs[0][2:]),)

    def work(self, inputs: tuple[Shape, ...], outputs: tuple[Shape, ...]) -> Work:
        features = (elements(inputs[0][2:]), "features")
        return Work(params=(Product("trained tokens", ((self.tokens, "tokens"), features)),))


@dataclass(frozen=True)
class Roll(Operator):
    """Shifted along some axes; what leaves at one end comes back at the other.

    Attributes:
        axes: which; 0 is the batch, -1 the last.
        shifts: by how much along each of them; negative ones shift towards the start.
    """

    name: ClassVar[str] = "roll"
    unit: ClassVar[Unit] = Unit.COPY
    cost: ClassVar[str] = "no operations: it copies, and what of that crosses the DDR bus counts"

    axes: Wholes
    shifts: Wholes

    def output_shapes(self, inputs: tuple[Shape, ...]) -> tuple[Shape, ...]:
        if len(self.axes) != len(self.shifts):
            raise ShapeError(
                "",
                found=f"{len(self.axes)} axes and {len(self.shifts)} shifts",
                expected="a shift for each axis",
            )
        for axis in self.axes:
            axis_index(axis, len(inputs[0]))
        return (inputs[0],)

    def work(self, inputs: tuple[Shape, ...], outputs: tuple[Shape, ...]) -> Work:
        return Work()
