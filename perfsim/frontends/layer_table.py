"""A layer table: a network as counts without a graph, one row a layer, each reading the one before.

Needed columns: layer, op, input_elements, output_elements, weights, macs. Optional: name and vector_ops.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from pydantic import BaseModel, Field

from perfsim.csv_table import read_rows, whole_number
from perfsim.document import Document, read_text
from perfsim.errors import (
    InputError,
    InvalidValueError,
    UnknownNameError,
    describe,
    unknown_name,
)
from perfsim.network.file_schema import Precision
from perfsim.network.graph import Network, Node, Tensor, build_network
from perfsim.network.operator import Operator, Unit
from perfsim.network.operators import ALSO_CALLED, FAMILIES, OPERATORS
from perfsim.network.work import Product, Shape, Work, total
from perfsim.settings import apply_settings
from perfsim.validation import STRICT, Name, printable, validate

NEEDED = ("layer", "op", "input_elements", "output_elements", "weights", "macs")
OPTIONAL = ("name", "vector_ops")
_PER_ELEMENT = {*FAMILIES["elementwise"], *FAMILIES["arithmetic"], "batch_norm"}


class TableSettings(BaseModel):
    """What a call or ``--set`` may change of a layer table; its shapes are not known."""

    model_config = STRICT

    name: Name | None = None
    batch: int = Field(1, ge=1)
    precision: Precision = Precision()


@dataclass(frozen=True)
class Counted(Operator):
    """An operator known by its counts for one image.

    Attributes:
        name: the operator's name, as the table gives it.
        output_elements, macs, vector_ops: per image.
        weights: weights and biases.
    """

    name: str  # type: ignore[misc]  # each row of a table brings its own
    output_elements: int
    weights: int
    macs: int
    vector_ops: int
    cost: ClassVar[str] = "the counts of its row"

    @property
    def unit(self) -> Unit:  # type: ignore[override]  # that of the operator so named
        return OPERATORS[self.name].unit

    def output_shapes(self, inputs: tuple[Shape, ...]) -> tuple[Shape, ...]:
        return ((inputs[0][0], self.output_elements),)

    def work(self, inputs: tuple[Shape, ...], outputs: tuple[Shape, ...]) -> Work:
        batch = (inputs[0][0], "images")
        source = "given in the layer table"
        return Work(
            macs=(Product(source, (batch, (self.macs, "MACs"))),) if self.macs else (),
            vector_ops=(Product(source, (batch, (self.vector_ops, "operations"))),)
            if self.vector_ops
            else (),
            params=(Product(source, ((self.weights, "weights"),)),) if self.weights else (),
        )


def read_layer_table(path: Path, settings: Mapping[str, Any]) -> Network:
    """The network that the layer table at `path` counts; raises InputError with file and line."""
    file = str(path)
    rows = read_rows(read_text(path), file, NEEDED, OPTIONAL, row_is="layer")
    document = Document(file, {}, {})
    apply_settings(document, settings)
    chosen = _settings(document)
    bits = chosen.precision.feature_map
    nodes: list[Node] = []
    previous, elements = "input", 0
    taken = {"input"}
    for index, (line, row) in enumerate(rows):
        try:
            name, read, operator = _layer(row, index + 1)
            if index and read != elements:
                raise InvalidValueError(
                    f"each layer reads the one before it, which wrote {elements:,} elements",
                    found=f"input_elements {read:,}",
                    expected=f"{elements:,}",
                )
            if name in taken:
                raise InvalidValueError(f"the name '{name}' is used twice", expected="unique names")
        except InputError as error:
            raise error.at(file=file, line=line) from None
        taken.add(name)
        if not index:
            shape = (chosen.batch, read)
        nodes.append(Node(name, operator, (previous,), (name,), (file, line)))
        previous, elements = name, operator.output_elements
    return build_network(
        chosen.name or path.stem,
        [Tensor("input", shape, bits)],
        nodes,
        feature_map_bits=bits,
        weight_bits=chosen.precision.weight,
        description="counts of a layer table",
        file=file,
    )


def _settings(document: Document) -> TableSettings:
    for key in ("width", "resolution", "input", "layers"):
        if key in document.value:
            error = UnknownNameError(
                f"the layer table {document.file} has counts, not shapes, so '{key}' cannot change",
                expected="batch, precision.feature_map, precision.weight or name",
            )
            raise document.place(error, (key,))
    return validate(TableSettings, document.value, document)


def _layer(row: dict[str, str], number: int) -> tuple[str, int, Counted]:
    """The name, the elements read, and the operator of one row."""
    if row["layer"] != str(number):
        raise InvalidValueError(
            "", found=f"layer {describe(row['layer'])}", expected=f"{number}, in running order"
        ).at(where="layer")
    op = row["op"]
    if op not in OPERATORS:
        raise unknown_name("operator", op, OPERATORS, also=ALSO_CALLED).at(where="op")
    read, written = whole_number(row, "input_elements", 1), whole_number(row, "output_elements", 1)
    operator = Counted(
        name=op,
        output_elements=written,
        weights=whole_number(row, "weights", 0),
        macs=whole_number(row, "macs", 0),
        vector_ops=whole_number(row, "vector_ops", 0)
        if row.get("vector_ops")
        else _vector_ops(op, read, written),
    )
    if operator.unit is not Unit.MATRIX and operator.macs:
        raise InvalidValueError(
            f"'{op}' does not run on the matrix unit", found=f"{operator.macs:,} MACs", expected="0"
        ).at(where="macs")
    if operator.unit is Unit.VIEW and read != operator.output_elements:
        raise InvalidValueError(
            f"'{op}' gives the same elements another shape",
            found=f"{operator.output_elements:,} of {read:,} elements",
            expected=f"{read:,}",
        ).at(where="output_elements")
    return printable(row.get("name") or f"{op}_{number}"), read, operator


def _vector_ops(op: str, read: int, written: int) -> int:
    """What an operator of the vector unit costs on so many elements, where the table does not say.

    Exact for what costs a fixed number of operations per element, a sum of two tensors included. A pooling's windows
    are taken as not overlapping: each element that is read is in one. Raises InvalidValueError for the rest.
    """
    kind: Any = OPERATORS[op]
    if kind.unit is not Unit.VECTOR:
        return 0
    inputs: tuple[Shape, ...] = ((1, written),) * 2  # arithmetic is between two tensors
    if op in FAMILIES["pooling"] and read % written == 0:
        inputs = ((1, written, read // written),)
        kind = OPERATORS["global_max_pool" if "max" in op else "global_avg_pool"]
    elif op not in _PER_ELEMENT:
        raise InvalidValueError(
            f"what '{op}' costs does not follow from {read:,} and {written:,} elements",
            expected="a column vector_ops that says it",
        )
    return total(kind().work(inputs, ((1, written),)).vector_ops)
