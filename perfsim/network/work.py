"""What an operator costs, as counts that can be asked how they came about."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias

from perfsim.errors import CountError

LARGEST_COUNT = 2**53  # up to which 64-bit floats hold every whole number

Shape: TypeAlias = tuple[int, ...]
Factor: TypeAlias = tuple[int, str]


@dataclass(frozen=True, slots=True)
class Product:
    """A count as a product of named factors: ``Product("weights", (32, "outputs"), (27, "taps"))``.

    Attributes:
        of: what is counted.
        factors: (value, meaning) pairs; the count is the product of the values.
    """

    of: str
    factors: tuple[Factor, ...]

    @property
    def value(self) -> int:
        return math.prod(value for value, _ in self.factors)

    def __str__(self) -> str:
        return " × ".join(f"{value:,} {meaning}" for value, meaning in self.factors)


Count: TypeAlias = tuple[Product, ...]


def total(count: Count) -> int:
    """The exact value of a count: the sum of its products."""
    return sum(product.value for product in count)


@dataclass(frozen=True, slots=True)
class Work:
    """What one operator asks of a machine, each a sum of products (exact integers).

    Attributes:
        macs: multiply-accumulates on the matrix unit.
        vector_ops: operations on the vector unit.
        params: trainable parameters (weights, biases, scales, shifts).
        tied: weights that it reads as its own, but that are the parameters of another layer.
    """

    macs: Count = ()
    vector_ops: Count = ()
    params: Count = ()
    tied: Count = ()


def elements(shape: Shape) -> int:
    """The number of elements of a tensor of this shape."""
    return math.prod(shape)


def per_element(shape: Shape, ops: int, what: str) -> Count:
    """`ops` vector operations on each element of a tensor of this shape; `what` names them."""
    return (Product(what, ((elements(shape), "output elements"), (ops, "operations each"))),)


def too_large(count: int, what: str) -> CountError:
    """The error for a count that would not stay exact."""
    shown = f"{count:,}" if count < 10**30 else f"about 10^{int(math.log10(count))}"
    return CountError(
        "a count would not be exact as a 64-bit number",
        found=f"{shown} {what}",
        expected=f"at most {LARGEST_COUNT:,} (2^53)",
    )


def shape_text(shape: Shape) -> str:
    """A shape as tables print it: ``1x3x28x28``."""
    return "x".join(map(str, shape)) or "scalar"
