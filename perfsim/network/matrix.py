"""Matrix products: of two tensors, with weights, and the two of attention."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import zip_longest
from typing import TYPE_CHECKING, ClassVar

from perfsim.errors import ShapeError
from perfsim.network.arithmetic import broadcast
from perfsim.network.convolution import biases
from perfsim.network.operator import Operator, Positive, Unit, Wholes, check_rank
from perfsim.network.work import Count, Product, Shape, Work, elements, shape_text

if TYPE_CHECKING:
    from perfsim.network.nest import Nest


@dataclass(frozen=True)
class Matmul(Operator):
    """The matrix product of two tensors over their last two axes; the axes before them broadcast.

    As in numpy and ONNX a first input of one axis is a row and a second one a column, an axis that the output lacks.

    Attributes:
        transpose_a, transpose_b: whether the last two axes of the first or second input are exchanged.
    """

    name: ClassVar[str] = "matmul"
    unit: ClassVar[Unit] = Unit.MATRIX
    cost: ClassVar[str] = "a MAC per output element and element of the axis that is summed over"
    inputs_allowed: ClassVar[tuple[int, int | None]] = (2, 2)
    multiplied_inputs: ClassVar[int | None] = 2

    transpose_a: bool = False
    transpose_b: bool = False

    def output_shapes(self, inputs: tuple[Shape, ...]) -> tuple[Shape, ...]:
        for shape in inputs:
            check_rank(shape, 1, "rows x columns, after any other axes")
        (rows, summed), (summed_b, columns) = self._matrices(inputs)
        if summed != summed_b:
            raise ShapeError(
                "the axes that are summed over differ",
                found=f"{rows}x{summed} times {summed_b}x{columns}",
                expected="as many columns in the first input as rows in the second",
            )
        lead = broadcast((inputs[0][:-2], inputs[1][:-2]))
        return ((*lead, *(rows,) * (len(inputs[0]) > 1), *(columns,) * (len(inputs[1]) > 1)),)

    def work(self, inputs: tuple[Shape, ...], outputs: tuple[Shape, ...]) -> Work:
        (_, summed), _ = self._matrices(inputs)
        factors = ((elements(outputs[0]), "output elements"), (summed, "elements summed over"))
        return Work(macs=(Product("matrix product", factors),))

    def nest(self, inputs: tuple[Shape, ...], outputs: tuple[Shape, ...]) -> Nest | None:
        from perfsim.network.nest import product

        (rows, summed), (_, columns) = self._matrices(inputs)
        groups = 1
        leads = zip_longest(reversed(inputs[0][:-2]), reversed(inputs[1][:-2]), fillvalue=1)
        for of_a, of_b in leads:
            # Along what one of them lacks or stretches, the other has further rows or columns.
            groups *= of_a if of_a == of_b else 1
            rows *= of_a if of_b == 1 else 1
            columns *= of_b if of_a == 1 else 1
        return product(rows, summed, columns, groups).named("a", "b", "output")

    def _matrices(self, inputs: tuple[Shape, ...]) -> tuple[Shape, Shape]:
        """(rows, columns) of both matrices as they are multiplied."""
        a, b = inputs
        first = (1, *a) if len(a) == 1 else a[-2:][:: -1 if self.transpose_a else 1]
        second = (*b, 1) if len(b) == 1 else b[-2:][:: -1 if self.transpose_b else 1]
        return first, second


@dataclass(frozen=True)
class Linear(Operator):
    """Every output reads the features (the last axis) at its place; the other axes stay.

    Attributes:
        units: outputs at each place.
        bias: whether each of them adds a constant.
        tied: whether the weights are those of another layer, such as an embedding: they are read here as well, but
            count as parameters there.
    """

    name: ClassVar[str] = "linear"
    unit: ClassVar[Unit] = Unit.MATRIX
    cost: ClassVar[str] = "a MAC per output element and input feature, the last axis"

    units: Positive
    bias: bool = True
    tied: bool = False

    def output_shapes(self, inputs: tuple[Shape, ...]) -> tuple[Shape, ...]:
        check_rank(inputs[0], 2, "batch x features, or axes between them")
        return ((*inputs[0][:-1], self.units),)

    def work(self, inputs: tuple[Shape, ...], outputs: tuple[Shape, ...]) -> Work:
        features = (inputs[0][-1], "input features")
        weights = (Product("weights", ((self.units, "units"), features)),)
        return Work(
            macs=(
                Product("matrix product", ((elements(outputs[0]), "output elements"), features)),
            ),
            params=(*(() if self.tied else weights), *biases(self.units, bias=self.bias)),
            tied=weights if self.tied else (),
        )

    def nest(self, inputs: tuple[Shape, ...], outputs: tuple[Shape, ...]) -> Nest | None:
        from perfsim.network.nest import product

        return product(elements(inputs[0][:-1]), inputs[0][-1], self.units)


@dataclass(frozen=True)
class Attention(Operator):
    """softmax(query key^T / sqrt size) value in each head, from inputs (batch, tokens, features).

    Vaswani et al., arXiv:1706.03762, equation 1; the projections before and after are `linear` layers
    of their own. Heads that share keys and values: Ainslie et al., arXiv:2305.13245. Windows whose offsets have
    a trained bias: Liu et al., arXiv:2103.14030, equation 4. Axes before the tokens stay apart, as the images of a
    batch do, and the heads do where they are such an axis; several of the query may share one of key and value.
    A fourth input is a mask that is added to the scores, and stretches to their shape.

    Attributes:
        heads: the query's features are split into so many heads; 1 where the heads are an axis of their own.
        kv_heads: the heads of key and value, `heads` unless given; must divide `heads`.
        causal: whether a token sees only those before it, by a mask: the products are dense, and what is masked
            is computed and thrown away.
        window: (height, width) of the window that the tokens are; a bias for each head and each offset between two
            of them is added to the scores.
    """

    name: ClassVar[str] = "attention"
    unit: ClassVar[Unit] = Unit.MATRIX
    cost: ClassVar[str] = (
        "a MAC per score and feature of a head, for query times key and again for scores times value; "
        "6 vector operations per score (scale, softmax), and one each for a mask and for the biases of a window"
    )
    inputs_allowed: ClassVar[tuple[int, int | None]] = (3, 4)
    multiplied_inputs: ClassVar[int | None] = 3

    heads: Positive
    kv_heads: Positive | None = None
    causal: bool = False
    window: Wholes | None = None

    def output_shapes(self, inputs: tuple[Shape, ...]) -> tuple[Shape, ...]:
        query, key, value = inputs[:3]
        for shape in inputs[:3]:
            check_rank(shape, 3, "batch x tokens x features")
        if key[-2] != value[-2] or not (_shares(query, key) and _shares(query, value)):
            raise ShapeError(
                "query, key and value do not fit together",
                found=" and ".join(map(shape_text, inputs[:3])),
                expected="batch x tokens x features, with as many values as keys",
            )
        self._check_heads(inputs)
        self._check_window(inputs)
        scores = (*query[:-2], *((self.heads,) if self.heads > 1 else ()), query[-2], key[-2])
        for mask in inputs[3:]:
            if broadcast((scores, mask)) != scores:
                raise ShapeError(
                    "the mask does not stretch to the scores",
                    found=f"a mask of {shape_text(mask)} for scores of {shape_text(scores)}",
                    expected="for each of the last axes 1, or what the scores have",
                )
        return ((*query[:-1], self.heads * (value[-1] // self._shared_heads)),)

    def work(self, inputs: tuple[Shape, ...], outputs: tuple[Shape, ...]) -> Work:
        query, key, value = inputs[:3]
        scores = (
            (query[0], "images"),
            *(((math.prod(query[1:-2]), "heads or windows"),) if len(query) > 3 else ()),
            *(((self.heads, "heads"),) if self.heads > 1 else ()),
            (query[-2], "queries"),
            (key[-2], "keys"),
        )
        key_size = (query[-1] // self.heads, "features of a head")
        value_size = (value[-1] // self._shared_heads, "features of a head")
        return Work(
            macs=(
                Product("query times key", (*scores, key_size)),
                Product("scores times value", (*scores, value_size)),
            ),
            vector_ops=(
                Product("scale and softmax", (*scores, (6, "operations each"))),
                *((Product("mask", scores),) if self.causal or len(inputs) > 3 else ()),
                *((Product("bias", scores),) if self.window else ()),
            ),
            params=self._biases(),
        )

    def nest(self, inputs: tuple[Shape, ...], outputs: tuple[Shape, ...]) -> Nest | None:
        from perfsim.network.nest import attention

        query, key, value = inputs[:3]
        heads = self._shared_heads
        if key[:-2] != value[:-2]:
            return None  # runs of keys and runs of values are not those of the same queries
        groups = math.prod(key[:-2]) * heads
        queries = math.prod(query[:-1]) * self.heads // groups
        return attention(queries, key[-2], key[-1] // heads, value[-1] // heads, groups)

    def _biases(self) -> Count:
        if self.window is None:
            return ()
        offsets = math.prod(2 * size - 1 for size in self.window)
        return (Product("biases", ((offsets, "offsets"), (self.heads, "heads"))),)

    def _check_window(self, inputs: tuple[Shape, ...]) -> None:
        if self.window is None:
            return
        tokens = {shape[-2] for shape in inputs[:3]}
        if min(self.window) < 1 or {math.prod(self.window)} != tokens:
            raise ShapeError(
                "the window does not hold the tokens",
                found=f"the window {list(self.window)} for {inputs[0][-2]} queries, {inputs[1][-2]} keys",
                expected="sizes whose product is the number of queries and of keys",
            )

    @property
    def _shared_heads(self) -> int:
        return self.heads if self.kv_heads is None else self.kv_heads

    def _check_heads(self, inputs: tuple[Shape, ...]) -> None:
        query, key, value = inputs[:3]
        shared = self._shared_heads
        for what, number, heads in (
            ("heads", self.heads, shared),
            ("features of the query", query[-1], self.heads),
            ("features of the key", key[-1], shared),
            ("features of the value", value[-1], shared),
        ):
            if number % heads:
                raise ShapeError(
                    f"{heads} heads do not divide the {number} {what}",
                    found=f"{number} {what}",
                    expected=f"a multiple of {heads}",
                )
        if query[-1] // self.heads != key[-1] // shared:
            raise ShapeError(
                "the heads of query and key differ in size",
                found=f"{query[-1] // self.heads} and {key[-1] // shared} features",
                expected="equal sizes",
            )


def _shares(query: Shape, other: Shape) -> bool:
    """Whether each axis of the query before the tokens is so many times that of `other`."""
    return len(query) == len(other) and all(
        part > 0 and whole % part == 0 for whole, part in zip(query[:-2], other[:-2], strict=True)
    )
