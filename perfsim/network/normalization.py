"""Normalisations: per channel with folded statistics, or over the data themselves.

Those over the data count, per element: the mean (additions and one scaling), the difference from it, its
square, the variance (additions and one scaling), and the product with 1 / sqrt(variance + epsilon), which
itself takes an addition, a root and a division for each group of elements that is normalised together.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from perfsim.errors import ShapeError
from perfsim.network.operator import (
    Exit,
    Operator,
    Positive,
    channels_and_space,
    check_divides,
    check_rank,
)
from perfsim.network.work import Count, Factor, Product, Shape, Work, elements, per_element


class BatchNorm(Operator):
    """Scale and shift per channel; at inference the running statistics are folded into both."""

    name: ClassVar[str] = "batch_norm"
    exit: ClassVar[Exit] = Exit.NORMALIZATION
    free_on_matrix_exit: ClassVar[bool] = True
    works_in_place: ClassVar[bool] = True
    cost: ClassVar[str] = "2 per element (scale, shift)"

    def work(self, inputs: tuple[Shape, ...], outputs: tuple[Shape, ...]) -> Work:
        check_rank(inputs[0], 2, "batch x channels")
        return Work(
            vector_ops=per_element(outputs[0], 2, "scale and shift"),
            params=(
                Product("batch_norm scale and shift", ((2, "numbers"), (inputs[0][1], "channels"))),
            ),
        )


def _inverse_deviations(groups: int) -> Count:
    operations = (3, "operations each (epsilon, root, reciprocal)")
    return (Product("inverse deviations", ((groups, "groups of elements"), operations)),)


class _OverData(Operator):
    """(x - mean) / sqrt(variance + epsilon), and a scale and a shift if affine."""

    affine: bool

    @abstractmethod
    def _normalized(self, shape: Shape) -> tuple[int, Factor]:
        """(how many groups are normalised, how many scales there are and per what)."""

    def work(self, inputs: tuple[Shape, ...], outputs: tuple[Shape, ...]) -> Work:
        groups, scales = self._normalized(inputs[0])
        statistics = per_element(outputs[0], 5, "mean, subtract, square, variance, multiply")
        count = (*statistics, *_inverse_deviations(groups))
        if not self.affine:
            return Work(vector_ops=count)
        return Work(
            vector_ops=(*count, *per_element(outputs[0], 2, "scale and shift")),
            params=(Product(f"{self.name} scale and shift", ((2, "numbers"), scales)),),
        )


_COST = (
    "7 per element (mean, subtract, square, variance, multiply; if affine scale, shift), "
    "3 per {group} (epsilon, root, reciprocal)"
)


@dataclass(frozen=True)
class LayerNorm(_OverData):
    """The last axes normalised at each place. Ba et al., arXiv:1607.06450.

    Attributes:
        axes: how many axes are normalised together, from the last.
        affine: whether each element of those axes has a trained scale and shift.
    """

    name: ClassVar[str] = "layer_norm"
    cost: ClassVar[str] = _COST.format(group="place")

    axes: Positive = 1
    affine: bool = True

    def output_shapes(self, inputs: tuple[Shape, ...]) -> tuple[Shape, ...]:
        _check_trailing(inputs[0], self.axes)
        return (inputs[0],)

    def _normalized(self, shape: Shape) -> tuple[int, Factor]:
        return elements(shape[: -self.axes]), (elements(shape[-self.axes :]), "elements")


def _check_trailing(shape: Shape, axes: int) -> None:
    if axes >= len(shape):
        raise ShapeError(
            "", found=f"axes {axes} of {len(shape)} axes", expected="fewer: the batch stays"
        )


@dataclass(frozen=True)
class GroupNorm(_OverData):
    """Groups of channels normalised in each image. Wu and He, arXiv:1803.08494.

    Attributes:
        groups: the channels are split into so many.
        affine: whether each channel has a trained scale and shift.
    """

    name: ClassVar[str] = "group_norm"
    cost: ClassVar[str] = _COST.format(group="group")

    groups: Positive
    affine: bool = True

    def output_shapes(self, inputs: tuple[Shape, ...]) -> tuple[Shape, ...]:
        check_rank(inputs[0], 2, "batch x channels")
        check_divides(self.groups, inputs[0][1], "channels")
        return (inputs[0],)

    def _normalized(self, shape: Shape) -> tuple[int, Factor]:
        return shape[0] * self.groups, (shape[1], "channels")


@dataclass(frozen=True)
class InstanceNorm(_OverData):
    """Each channel normalised in each image. Ulyanov et al., arXiv:1607.08022."""

    name: ClassVar[str] = "instance_norm"
    cost: ClassVar[str] = _COST.format(group="channel")

    affine: bool = True

    def output_shapes(self, inputs: tuple[Shape, ...]) -> tuple[Shape, ...]:
        channels_and_space(inputs[0])
        return (inputs[0],)

    def _normalized(self, shape: Shape) -> tuple[int, Factor]:
        return shape[0] * shape[1], (shape[1], "channels")


@dataclass(frozen=True)
class RmsNorm(Operator):
    """x / sqrt(mean(x^2) + epsilon) times a trained scale. Zhang and Sennrich, arXiv:1910.07467.

    Attributes:
        axes: how many axes are normalised together, from the last.
    """

    name: ClassVar[str] = "rms_norm"
    cost: ClassVar[str] = (
        "4 per element (square, mean, multiply, scale), 3 per place (epsilon, root, reciprocal)"
    )

    axes: Positive = 1

    def output_shapes(self, inputs: tuple[Shape, ...]) -> tuple[Shape, ...]:
        _check_trailing(inputs[0], self.axes)
        return (inputs[0],)

    def work(self, inputs: tuple[Shape, ...], outputs: tuple[Shape, ...]) -> Work:
        places, normalized = inputs[0][: -self.axes], inputs[0][-self.axes :]
        return Work(
            vector_ops=(
                *per_element(outputs[0], 4, "square, mean, multiply, scale"),
                *_inverse_deviations(elements(places)),
            ),
            params=(Product("rms_norm scale", ((elements(normalized), "elements"),)),),
        )


@dataclass(frozen=True)
class Lrn(Operator):
    """x / (k + a / size sum(x^2))^b, the sum over neighbouring channels.

    The definition of LRN in ONNX, after Krizhevsky et al., ImageNet classification, 2012, section 3.3. Channels
    beyond the first and the last are counted like data, as padding is.

    Attributes:
        size: how many neighbouring channels are summed over.
    """

    name: ClassVar[str] = "lrn"
    cost: ClassVar[str] = (
        "size + 4 per element (square, size - 1 additions; multiply, add, power, divide)"
    )

    size: Positive

    def output_shapes(self, inputs: tuple[Shape, ...]) -> tuple[Shape, ...]:
        check_rank(inputs[0], 2, "batch x channels")
        return (inputs[0],)

    def work(self, inputs: tuple[Shape, ...], outputs: tuple[Shape, ...]) -> Work:
        return Work(vector_ops=per_element(outputs[0], self.size + 4, self.name))
