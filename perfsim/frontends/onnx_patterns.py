"""What exporters write as several nodes and perfsim has as one operator, found while the nodes are made."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from perfsim.frontends.onnx_graph import Step, Value
from perfsim.network.convolution import Conv, ConvTranspose, DepthwiseConv, FullyConnected
from perfsim.network.elementwise import Gelu, HardSwish, Mish, Silu
from perfsim.network.graph import Node
from perfsim.network.matrix import Linear
from perfsim.network.normalization import LayerNorm
from perfsim.network.operator import Operator
from perfsim.network.reduction import ReduceMean
from perfsim.network.work import elements

_GATED: Mapping[str, type[Operator]] = {"sigmoid": Silu, "hard_sigmoid": HardSwish}
_GELU = (
    {"erf": 1, "add": 1, "scale": 3},
    {"tanh": 1, "add": 2, "pow": 1, "scale": 4},
    {"tanh": 1, "add": 2, "scale": 6},
)
_LAYER_NORM = (
    {"reduce_mean": 2, "sub": 1, "pow": 1, "add": 2, "sqrt": 1, "scale": 2},
    {"reduce_mean": 2, "sub": 2, "pow": 1, "add": 2, "sqrt": 1, "scale": 2},
    {"reduce_mean": 2, "sub": 1, "add": 2, "sqrt": 1, "scale": 3},
)
_PARTS = {"mul": "scale", "div": "scale"}
_LONGEST = 12  # nodes of a pattern


class Patterns:
    """The nodes made so far, in order, with patterns put together as they are completed.

    Attributes:
        nodes: by name.
        weights: inputs of the graph that were taken as weights.
        initializers: names of the graph's initializers.
    """

    def __init__(
        self, nodes: Sequence[Any], outputs: Sequence[str], values: Mapping[str, Value]
    ) -> None:
        self.nodes: dict[str, Node] = {}
        self.weights: set[str] = set()
        self.initializers = {name for name, value in values.items() if value.is_constant}
        self._values = values
        self._readers = Counter(name for node in nodes for name in node.input)
        self._readers.update(outputs)
        self._writer: dict[str, Node] = {}

    def add(self, step: Step, node: Node) -> None:
        """Append `node`, made from `step`, or what it completes."""
        self.nodes[node.name] = node
        for name in node.outputs:
            self._writer[name] = node
        if step.op == "Add":
            _ = self._bias(step, node) or self._layer_norm(node)
        elif step.op == "Mul":
            _ = self._gated(node) or self._gelu(node)

    def _bias(self, step: Step, node: Node) -> bool:
        """A constant added to each output channel of a layer that has no bias yet."""
        held = [value for value in step.inputs if value is not None and value.is_constant]
        if len(node.inputs) != 1 or len(held) != 1:
            return False
        layer = self._alone(node.inputs[0])
        operator: Any = layer.operator if layer else None
        if layer is None or getattr(operator, "bias", True):
            return False
        written = self._values[layer.outputs[0]].shape
        if isinstance(operator, Linear | FullyConnected):
            channels, fits = operator.units, held[0].shape[-1:] == (operator.units,)
        elif isinstance(operator, Conv | DepthwiseConv | ConvTranspose):
            channels = written[1]
            fits = held[0].shape[-len(written) + 1 :] == (channels, *(1 for _ in written[2:]))
        else:
            return False
        if not fits or elements(held[0].shape) != channels:
            return False
        if written != self._values[node.outputs[0]].shape:
            return False
        others = layer.other_weights
        if node.weight_bits is not None and node.weight_bits != layer.weight_bits:
            others = (*others, (channels, node.weight_bits))
        biased = replace(layer, operator=replace(operator, bias=True), other_weights=others)
        self._replace([layer, node], biased, node)
        return True

    def _gated(self, node: Node) -> bool:
        """x sigmoid(x), x hard_sigmoid(x) and x tanh(softplus(x))."""
        if len(node.inputs) != 2:
            return False
        for x, gate_output in (node.inputs, node.inputs[::-1]):
            gate = self._alone(gate_output)
            if gate is None or len(gate.inputs) != 1:
                continue
            if gate.inputs[0] == x and gate.operator.name in _GATED:
                operator = _GATED[gate.operator.name]()
                self._replace([gate, node], replace(gate, operator=operator), node)
                return True
            inner = self._alone(gate.inputs[0]) if gate.operator.name == "tanh" else None
            if inner is not None and inner.operator.name == "softplus" and inner.inputs == (x,):
                self._replace([inner, gate, node], replace(inner, operator=Mish()), node)
                return True
        return False

    def _gelu(self, node: Node) -> bool:
        found = self._region(node, ("erf", "tanh", "add", "mul", "div", "pow"), _GELU)
        if found is None:
            return False
        region, x = found
        self._replace(region, replace(node, operator=Gelu(), inputs=(x,)), node)
        return True

    def _layer_norm(self, node: Node) -> bool:
        parts = ("reduce_mean", "sub", "pow", "add", "sqrt", "mul", "div")
        found = self._region(node, parts, _LAYER_NORM)
        if found is None:
            return False
        region, x = found
        shape = self._values[x].shape
        for each in region:
            operator = each.operator
            if isinstance(operator, ReduceMean) and (
                not operator.keep_dims or operator.axes not in ((-1,), (len(shape) - 1,))
            ):
                return False
        params = sum(
            product.value
            for each in region
            for product in each.operator.work(
                tuple(self._values[name].shape for name in each.inputs),
                tuple(self._values[name].shape for name in each.outputs),
            ).params
        )
        if len(shape) < 2 or params != 2 * shape[-1]:
            return False
        self._replace(region, replace(node, operator=LayerNorm(), inputs=(x,)), node)
        return True

    def _region(
        self, end: Node, parts: Sequence[str], wanted: Sequence[Mapping[str, int]]
    ) -> tuple[list[Node], str] | None:
        """The nodes from one tensor to `end` whose operators are those wanted, and that tensor's name.

        Nothing outside may read what is between them.
        """
        passed: dict[str, None] = {}
        pending = list(end.inputs)
        while pending and len(passed) < 2 * _LONGEST:
            name = pending.pop(0)
            if name in passed:
                continue
            passed[name] = None
            writer = self._writer.get(name)
            if writer is not None and writer.operator.name in parts:
                pending += writer.inputs
        for source in passed:
            if self._readers[source] < 2:
                continue
            region = self._between(source, end, parts)
            if region is None:
                continue
            kinds = Counter(_PARTS.get(each.operator.name, each.operator.name) for each in region)
            if any(kinds == Counter(each) for each in wanted):
                return region, source
        return None

    def _between(self, source: str, end: Node, parts: Sequence[str]) -> list[Node] | None:
        region: dict[str, Node] = {end.name: end}
        pending = list(end.inputs)
        while pending:
            name = pending.pop()
            writer = self._writer.get(name)
            if name == source or (writer is not None and writer.name in region):
                continue
            if writer is None or writer.operator.name not in parts or len(region) > _LONGEST:
                return None
            region[writer.name] = writer
            pending += writer.inputs
        reads = Counter(name for each in region.values() for name in each.inputs)
        for each in region.values():
            if each is not end and any(reads[out] != self._readers[out] for out in each.outputs):
                return None
        return list(region.values())

    def _alone(self, name: str) -> Node | None:
        """The node that writes `name` if only one node reads it and it is no output."""
        writer = self._writer.get(name)
        fits = writer is not None and len(writer.outputs) == 1 and self._readers[name] == 1
        return writer if fits else None

    def _replace(self, region: Sequence[Node], node: Node, end: Node) -> None:
        """Put `node` in the place of `region`, writing what `end` wrote."""
        for each in region:
            del self.nodes[each.name]
            for name in each.inputs:
                self._readers[name] -= 1
        node = replace(node, outputs=end.outputs)
        self._readers.update(node.inputs)
        self.nodes[node.name] = node
        for name in node.outputs:
            self._writer[name] = node
