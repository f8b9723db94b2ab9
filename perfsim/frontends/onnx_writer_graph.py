"""An ONNX graph as it is put together: its nodes, the constants that it needs, and which weights it will have.

Weights are noted with their shapes alone: their numbers are made when the file is written (`onnx_writer`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import onnx
from onnx import helper, numpy_helper

from perfsim.errors import InvalidValueError
from perfsim.frontends.names import unique_name
from perfsim.frontends.onnx_types import FLOAT, INT64
from perfsim.network.graph import Network, Node
from perfsim.network.operator import Unit
from perfsim.network.work import Shape, shape_text

OLDEST_WRITTEN = 18  # from here on reductions have their axes as an input
_QUANTIZED_KINDS = {4: ("INT4", 21), 8: ("INT8", 10), 16: ("INT16", 21)}


class Weight(NamedTuple):
    """A trained tensor to be filled with normal numbers: mean + deviation x N(0, 1)."""

    name: str
    shape: Shape
    mean: float
    deviation: float


class GraphWriter:
    """Nodes, constants and weights in the order in which they are written.

    Attributes:
        opset: the oldest in which all operators so far are defined.
        newest_part: the layer that needs it.
        matrices: (name, shape) of every matrix of weights, for the layers that use it again.
    """

    def __init__(self, network: Network) -> None:
        self.network = network
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.weights: list[Weight] = []
        self.matrices: list[tuple[str, Shape]] = []
        self.opset = OLDEST_WRITTEN
        self.newest_part = ""
        self._taken = {node.name for node in network.nodes} | set(network.tensors)
        wanted = _wanted_kinds(network)
        self.kinds = {name: wanted.get(name, FLOAT) for name in network.inputs}
        self._casts: dict[tuple[str, int], str] = {}

    def own_name(self, name: str) -> str:
        """`name`, or one like it that nothing has yet."""
        return unique_name(name, self._taken)

    def need(self, opset: int, part: str) -> None:
        """Note that `part` needs this opset."""
        if opset > self.opset:
            self.opset, self.newest_part = opset, part

    def add(
        self, op: str, name: str, inputs: Sequence[str], outputs: Sequence[str], **how: Any
    ) -> None:
        """Append a node."""
        self.nodes.append(helper.make_node(op, inputs, outputs, name=name, **how))

    def constant(self, name: str, values: Any) -> str:
        """A constant that is no weight; returns the name that it got."""
        name = self.own_name(name)
        self.constants.append(numpy_helper.from_array(values, name))
        return name

    def as_kind(self, name: str, kind: int) -> str:
        """The tensor `name` with elements of type `kind`."""
        if self.kinds[name] == kind:
            return name
        if (name, kind) not in self._casts:
            cast = self.own_name(f"{name}.cast")
            self.add("Cast", cast, [name], [cast], to=kind)
            self._casts[name, kind] = cast
        return self._casts[name, kind]

    def model(self, opset: int) -> Any:
        """The ModelProto, with everything but the numbers and the names of the weights."""
        network = self.network
        graph = helper.make_graph(
            self.nodes,
            network.name,
            [self._described(name) for name in network.inputs],
            [self._described(name) for name in network.outputs],
            self.constants,
        )
        imports = [helper.make_opsetid("", opset)]
        return helper.make_model(
            graph,
            opset_imports=imports,
            ir_version=helper.find_min_ir_version_for(imports),
            producer_name="perfsim",
        )

    def _described(self, name: str) -> Any:
        return helper.make_tensor_value_info(
            name, self.kinds[name], self.network.tensors[name].shape
        )


class Writing:
    """One node of a network while it is written; what belongs to it is named after it.

    Attributes:
        operator: of the node. shapes, outputs: of what it reads and writes.
    """

    def __init__(self, graph: GraphWriter, node: Node) -> None:
        self.graph = graph
        self.node = node
        self.operator: Any = node.operator
        self.shapes = graph.network.shapes(node.inputs)
        self.outputs = graph.network.shapes(node.outputs)

    def read(self, position: int = 0, kind: int = FLOAT) -> str:
        """The input at `position`, cast to `kind` unless it is of that type already."""
        return self.graph.as_kind(self.node.inputs[position], kind)

    def moved(self) -> tuple[list[str], int]:
        """(all inputs, their type) for what only moves elements: as they are, or as fractions if they differ."""
        kinds = {self.graph.kinds[name] for name in self.node.inputs}
        kind = kinds.pop() if len(kinds) == 1 else FLOAT
        return [self.read(position, kind) for position in range(len(self.shapes))], kind

    def write(
        self, op: str, *inputs: str, kinds: Iterable[int] = (), since: int = 0, **how: Any
    ) -> None:
        """The node that has the name of ours and writes what ours writes.

        kinds: the types of the outputs, fractions unless given. since: the first opset that has it.
        """
        names = self.node.outputs
        self.graph.need(since, self.node.name)
        self.graph.kinds.update(zip(names, kinds or (FLOAT,) * len(names), strict=True))
        self.graph.add(op, self.node.name, inputs, names, **how)

    def named(self, op: str, *inputs: str, **how: Any) -> str:
        """A node that has the name of ours, but not its output, which another one writes; returns what it writes."""
        output = self.graph.own_name(f"{self.node.name}.{op.lower()}")
        self.graph.add(op, self.node.name, inputs, [output], **how)
        return output

    def part(self, op: str, *inputs: str, **how: Any) -> str:
        """A further node, named after ours; returns what it writes."""
        name = self.graph.own_name(f"{self.node.name}.{op.lower()}")
        self.graph.add(op, name, inputs, [name], **how)
        return name

    def last(self, op: str, *inputs: str, kind: int = FLOAT, **how: Any) -> None:
        """A further node, named after ours, that writes what ours writes."""
        self.graph.kinds[self.node.outputs[0]] = kind
        name = self.graph.own_name(f"{self.node.name}.{op.lower()}")
        self.graph.add(op, name, inputs, self.node.outputs, **how)

    def reshaped(self, tensor: str, shape: Shape) -> str:
        """`tensor` under another shape."""
        return self.part("Reshape", tensor, self.integers("shape", shape))

    def weight(self, what: str, shape: Shape, *, fan_in: int) -> str:
        """A matrix or kernel of deviation 1 / sqrt(fan_in): what it gives is as large as what it reads."""
        return self.trained(what, shape, deviation=1 / math.sqrt(fan_in))

    def trained(
        self, what: str, shape: Shape, *, mean: float = 0.0, deviation: float = 0.02
    ) -> str:
        """A trained tensor of normal numbers."""
        name = self.graph.own_name(f"{self.node.name}.{what}")
        self.graph.weights.append(Weight(name, shape, mean, deviation))
        return name

    def bias(self, count: int) -> tuple[str, ...]:
        """The bias of so many channels, or nothing where the operator has none."""
        return (self.trained("bias", (count,)),) if self.operator.bias else ()

    def integers(self, what: str, values: Sequence[int], shape: Shape | None = None) -> str:
        """Whole numbers, an axis of them unless `shape` says otherwise."""
        array = np.array(values, np.int64)
        return self.graph.constant(
            f"{self.node.name}.{what}", array if shape is None else array.reshape(shape)
        )

    def number(self, what: str, value: float) -> str:
        """One fraction."""
        return self.graph.constant(f"{self.node.name}.{what}", np.array(value, np.float32))

    def zero(self, kind: int) -> str:
        """The zero point of a quantisation to this type."""
        zero = helper.make_tensor(self.graph.own_name(f"{self.node.name}.zero"), kind, (), [0])
        self.graph.constants.append(zero)
        return str(zero.name)

    def refuse(self, found: str, expected: str) -> InvalidValueError:
        """The error for what ONNX has no counterpart of."""
        error = InvalidValueError(
            f"'{self.operator.name}' has no counterpart in ONNX here",
            found=found,
            expected=expected,
        )
        self.node.locate(error)
        return error

    def input_text(self) -> str:
        """The shapes of the inputs, for a message."""
        return " and ".join(map(shape_text, self.shapes))


def quantized_kind(bits: int) -> tuple[int, int] | None:
    """(the type of whole numbers of so many bits, the first opset that quantises to it); None if there is none."""
    if bits not in _QUANTIZED_KINDS:
        return None
    name, since = _QUANTIZED_KINDS[bits]
    return int(onnx.TensorProto.DataType.Value(name)), since


def newest_opset() -> int:
    """The newest opset that the installed onnx knows."""
    return int(onnx.defs.onnx_opset_version())


def _wanted_kinds(network: Network) -> dict[str, int]:
    """The type of each tensor whose reader needs whole numbers: rows of a table, indices, what is dequantised."""
    wanted: dict[str, int] = {}
    for node in reversed(network.nodes):
        name = node.operator.name
        if name == "embedding":
            wanted[node.inputs[0]] = INT64
        elif name == "dequantize":
            known = quantized_kind(network.tensors[node.inputs[0]].bits)
            if known is not None:
                wanted[node.inputs[0]] = known[0]
        elif node.operator.unit in (Unit.COPY, Unit.VIEW) and node.outputs[0] in wanted:
            wanted[node.inputs[0]] = wanted[node.outputs[0]]
        if name == "gather" and len(node.inputs) > 1:
            wanted[node.inputs[1]] = INT64
    return wanted
