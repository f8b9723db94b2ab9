"""What every operator is: a frozen dataclass of typed attributes with two pure methods."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, TypeAlias

from perfsim.errors import ShapeError
from perfsim.network.work import Shape, Work, shape_text

if TYPE_CHECKING:
    from perfsim.network.nest import Nest

# The vocabulary of attribute types. The file reader maps each to its spelling in files.
Positive: TypeAlias = Annotated[int, "at least 1"]
PerAxis: TypeAlias = Annotated[int | tuple[int, ...], "one number, or one per spatial axis"]
Amounts: TypeAlias = Annotated[int | tuple[int, ...], "from 0: one, or one per spatial axis"]
Padding: TypeAlias = Annotated[
    int | str | tuple[int | tuple[int, int], ...], "same, valid, numbers, or (before, after) pairs"
]
Whole: TypeAlias = Annotated[int, "any whole number; of an axis, negative ones count from the last"]
Wholes: TypeAlias = Annotated[tuple[int, ...], "a list of whole numbers"]
Parts: TypeAlias = Annotated[int | tuple[int, ...], "how many equal parts, or the size of each"]
Number: TypeAlias = Annotated[float, "any number"]


class Unit(Enum):
    """Which part of the machine executes an operator."""

    MATRIX = "matrix unit"
    VECTOR = "vector unit"
    COPY = "data movement only"
    VIEW = "nothing: the same bytes under another shape"


class Exit(Enum):
    """Where an operator can be fused on a producing layer's way out, in this order."""

    NEVER = 0
    NORMALIZATION = 1
    ACTIVATION = 2
    QUANTIZATION = 3


@dataclass(frozen=True)
class Operator(ABC):
    """One operator with its attributes: a frozen dataclass with a shape rule and its work.

    An operator without attributes inherits its comparison and representation from here.

    Attributes:
        name: its name in files and tables.
        unit: the part of the machine that executes it.
        exit: where it can be fused behind the layer that produces its input.
        free_on_matrix_exit: whether the matrix unit's way out applies it at no cost.
        enters: whether the layers that read what it gives apply it on their way in.
        selects: whether it only chooses among the elements that it reads (copies and views do anyway).
        works_in_place: whether its output may be written over an input of the same size.
        cost: one sentence on what it costs and why, for the table of operators.
        inputs_allowed: (least, most) number of inputs; most None means any number.
        multiplied_inputs: of the matrix unit, how many of its inputs, the first ones, are multiplied with each other;
            None where all of them are, with its weights.
        gives_parts: whether it has several outputs by its nature, each of which is read by its number.
    """

    name: ClassVar[str]
    unit: ClassVar[Unit] = Unit.VECTOR
    exit: ClassVar[Exit] = Exit.NEVER
    free_on_matrix_exit: ClassVar[bool] = False
    enters: ClassVar[bool] = False
    selects: ClassVar[bool] = False
    works_in_place: ClassVar[bool] = False
    cost: ClassVar[str]
    inputs_allowed: ClassVar[tuple[int, int | None]] = (1, 1)
    multiplied_inputs: ClassVar[int | None] = None
    gives_parts: ClassVar[bool] = False

    @property
    def outputs(self) -> int:
        """How many tensors it gives."""
        return 1

    def output_shapes(self, inputs: tuple[Shape, ...]) -> tuple[Shape, ...]:
        """The shapes of the outputs, batch first; raises ShapeError for inputs that do not fit.

        By default the shape of the input, as an element-wise operator gives.
        """
        return (inputs[0],)

    def output_bits(self) -> int | None:
        """Bits per element of what it writes, where the operator decides that."""
        return None

    def joined_along(self) -> int | None:
        """The axis along which it lays its inputs one behind the other, if that is all that it does."""
        return None

    @abstractmethod
    def work(self, inputs: tuple[Shape, ...], outputs: tuple[Shape, ...]) -> Work:
        """What it costs on inputs and outputs of these shapes."""

    def nest(self, inputs: tuple[Shape, ...], outputs: tuple[Shape, ...]) -> Nest | None:
        """Its loops, for a layer that may have to run in tiles; None for one that streams its operands past."""
        return None


def channels_and_space(shape: Shape) -> tuple[int, Shape]:
    """(channels, spatial axes) of a feature map of shape (batch, channels, *space).

    Raises ShapeError when there is no spatial axis.
    """
    check_rank(shape, 3, "batch x channels x space")
    return shape[1], shape[2:]


def per_axis(value: Any, axes: int, what: str, least: int = 1) -> tuple[int, ...]:
    """`value` for each of `axes` spatial axes; raises ShapeError when it does not fit."""
    values: tuple[int, ...] = (value,) * axes if isinstance(value, int) else tuple(value)
    if len(values) != axes:
        raise ShapeError(
            "",
            found=f"{what} with {len(values)} numbers",
            expected=f"one number, or {axes} for {axes} spatial axes",
        )
    if min(values) < least:
        raise ShapeError("", found=f"{what} {min(values)}", expected=f"at least {least}")
    return values


def axis_index(axis: int, rank: int) -> int:
    """The position of `axis` among `rank` axes; the batch is 0, negative ones count from the last.

    Raises ShapeError when there is no such axis.
    """
    if not -rank <= axis < rank:
        raise ShapeError(
            "", found=f"axis {axis} of {rank} axes", expected=f"from {-rank} to {rank - 1}"
        )
    return axis % rank


def check_divides(groups: int, number: int, what: str) -> None:
    """Raises ShapeError unless `groups` divides the `number` of `what` ("input channels")."""
    if number % groups:
        raise ShapeError(
            f"{groups} groups do not divide the {number} {what}",
            found=f"groups {groups}",
            expected=f"a divisor of {number}",
        )


def check_rank(shape: Shape, least: int, axes: str) -> None:
    """Raises ShapeError when a shape has fewer than `least` axes; `axes` names those expected."""
    if len(shape) < least:
        raise ShapeError("", found=f"an input of shape {shape_text(shape)}", expected=axes)
