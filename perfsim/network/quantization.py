"""Between fractions and the whole numbers of few bits that stand for them, as ONNX's QuantizeLinear defines them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from perfsim.network.operator import Exit, Operator, Positive
from perfsim.network.work import Count, Shape, Work, per_element


@dataclass(frozen=True)
class Quantize(Operator):
    """round(x / scale) + zero point, limited to what `bits` can hold.

    Attributes:
        bits: per element of what it writes.
    """

    name: ClassVar[str] = "quantize"
    exit: ClassVar[Exit] = Exit.QUANTIZATION
    free_on_matrix_exit: ClassVar[bool] = True
    cost: ClassVar[str] = "4 per element (divide, round, add, clip)"

    bits: Positive = 8

    def output_bits(self) -> int | None:
        return self.bits

    def work(self, inputs: tuple[Shape, ...], outputs: tuple[Shape, ...]) -> Work:
        return Work(vector_ops=per_element(outputs[0], 4, self.name))


@dataclass(frozen=True)
class Dequantize(Operator):
    """(x - zero point) scale."""

    name: ClassVar[str] = "dequantize"
    enters: ClassVar[bool] = True
    cost: ClassVar[str] = (
        "2 per element (subtract, multiply); none in front of the matrix unit and of what only selects"
    )

    def work(self, inputs: tuple[Shape, ...], outputs: tuple[Shape, ...]) -> Work:
        return Work(vector_ops=dequantizing(outputs[0]))


def dequantizing(shape: Shape) -> Count:
    """What it costs the vector unit to dequantise a tensor of this shape."""
    return per_element(shape, 2, Dequantize.name)
