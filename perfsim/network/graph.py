"""The network: operators and tensors in execution order, and the graph that they form.

networkx is loaded only where a graph algorithm is needed: to order nodes that are not in order yet, to
find a cycle, and for callers who ask for `Network.graph`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from perfsim.errors import GraphError, InputError, ShapeError, nearest_name
from perfsim.network.operator import Operator, Unit
from perfsim.network.work import LARGEST_COUNT, Shape, Work, elements, shape_text, too_large

if TYPE_CHECKING:
    import networkx as nx

_LONGEST_CYCLE = 12  # layers that a message names


@dataclass(frozen=True, slots=True)
class Tensor:
    """A feature map of a network: shape with the batch first, and bits per element."""

    name: str
    shape: Shape
    bits: int


@dataclass(frozen=True, slots=True)
class Node:
    """One operator in a network.

    Attributes:
        inputs, outputs: names of tensors.
        place: (file, line) where it was written, for messages.
        output_bits: bits per element of each output; where empty, what `build_network` says.
        weight_bits: bits per weight; the network's unless given.
        other_weights: (count, bits) of those of its weights that have another width.
        shared: (node, count) of those of its parameters that are the other node's, which counts them.
    """

    name: str
    operator: Operator
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    place: tuple[str, int | None] = ("", None)
    output_bits: tuple[int, ...] = ()
    weight_bits: int | None = None
    other_weights: tuple[tuple[int, int], ...] = ()
    shared: tuple[tuple[str, int], ...] = ()

    def locate(self, error: InputError) -> InputError:
        """Add to `error` where this node was written."""
        file, line = self.place
        return error.at(file=file or None, line=line, where=f"{self.operator.name} '{self.name}'")


@dataclass(frozen=True, slots=True)
class ChosenOrder:
    """What an order of the layers changes that is not the given one.

    Attributes:
        name: what it was chosen for.
        given_peak_bytes, peak_bytes: feature maps live at any layer, at most, were all of them internal: in the given
            order and in this one.
        given_mean_bytes, mean_bytes: the same on average over the layers, rounded down.
    """

    name: str
    given_peak_bytes: int
    peak_bytes: int
    given_mean_bytes: int
    mean_bytes: int


@dataclass(frozen=True, eq=False)
class Network:
    """What is computed, at which precision. Made by `build_network`.

    Attributes:
        name: the network's name.
        nodes: in execution order: each reads what earlier ones wrote.
        tensors: every feature map by name, inputs and outputs included.
        inputs, outputs: names of tensors; an output is what no node reads, or what was asked for.
        weight_bits: bits per weight where a node does not say otherwise.
        file: where it was read.
        warnings: what is allowed but likely not meant.
        unpriced: how many operators cost nothing because nobody knows them, and which; empty for none.
        order: what the order of the nodes changes, where it was chosen; None for the given one.
    """

    name: str
    nodes: tuple[Node, ...] = field(repr=False)
    tensors: Mapping[str, Tensor] = field(repr=False)
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    weight_bits: int
    description: str = ""
    file: str = ""
    warnings: tuple[str, ...] = ()
    unpriced: str = ""
    order: ChosenOrder | None = None

    def shapes(self, names: Iterable[str]) -> tuple[Shape, ...]:
        """The shapes of the tensors of these names."""
        return tuple(self.tensors[name].shape for name in names)

    def work(self, node: Node) -> Work:
        """What `node` costs."""
        return node.operator.work(self.shapes(node.inputs), self.shapes(node.outputs))

    @cached_property
    def graph(self) -> nx.MultiDiGraph[str]:
        """The network as a networkx graph.

        Graph nodes are the names of nodes and of network inputs, with the attributes `operator` (None for an
        input) and `shapes`; an edge carries the `tensor` that flows, its `shape` and `bits`. Two edges between the
        same nodes are two inputs.
        """
        import networkx as nx

        graph: nx.MultiDiGraph[str] = nx.MultiDiGraph(name=self.name)
        writer: dict[str, str] = {}
        for name in self.inputs:
            graph.add_node(name, operator=None, shapes=self.shapes([name]))
            writer[name] = name
        for node in self.nodes:
            graph.add_node(node.name, operator=node.operator, shapes=self.shapes(node.outputs))
            writer.update(dict.fromkeys(node.outputs, node.name))
            for name in node.inputs:
                tensor = self.tensors[name]
                graph.add_edge(
                    writer[name], node.name, tensor=name, shape=tensor.shape, bits=tensor.bits
                )
        return graph


def build_network(
    name: str,
    inputs: Sequence[Tensor],
    nodes: Sequence[Node],
    *,
    feature_map_bits: int,
    weight_bits: int,
    outputs: Sequence[str] = (),
    description: str = "",
    file: str = "",
    warnings: tuple[str, ...] = (),
    unpriced: str = "",
) -> Network:
    """A network from nodes in any order: sorted for execution, with all shapes inferred.

    feature_map_bits: bits per element of what a node writes, unless it says so itself, moves or only chooses
        elements (they keep their width; of several the widest) or quantises.
    outputs: tensors that are outputs although a node reads them; what no node reads is one anyway.

    Raises GraphError (empty network, unknown tensor, cycle) or ShapeError, naming the node.
    """
    if not nodes:
        raise GraphError("the network has no layers").at(file=file or None)
    ordered = execution_order(inputs, nodes)
    tensors = {tensor.name: tensor for tensor in inputs}
    for tensor in inputs:
        if elements(tensor.shape) > LARGEST_COUNT:
            error = too_large(elements(tensor.shape), f"elements in '{tensor.name}'")
            raise error.at(file=file or None, where=tensor.name)
    read: set[str] = set()
    for node in ordered:
        shapes = _infer(node, tuple(tensors[each].shape for each in node.inputs))
        read.update(node.inputs)
        own_bits = node.output_bits or (_bits(node, tensors, feature_map_bits),) * len(shapes)
        for output, shape, bits in zip(node.outputs, shapes, own_bits, strict=True):
            if elements(shape) > LARGEST_COUNT:
                raise node.locate(too_large(elements(shape), f"elements in '{output}'"))
            tensors[output] = Tensor(output, shape, bits)
    kept = set(outputs)
    results = tuple(
        each for node in ordered for each in node.outputs if each not in read or each in kept
    )
    return Network(
        name=name,
        nodes=tuple(ordered),
        tensors=tensors,
        inputs=tuple(tensor.name for tensor in inputs),
        outputs=results,
        weight_bits=weight_bits,
        description=description,
        file=file,
        warnings=warnings,
        unpriced=unpriced,
    )


def _bits(node: Node, tensors: Mapping[str, Tensor], feature_map_bits: int) -> int:
    """Bits per element of what `node` writes when it does not say so itself."""
    bits = node.operator.output_bits()
    if bits is not None:
        return bits
    selects = node.operator.selects or node.operator.unit in (Unit.COPY, Unit.VIEW)
    if node.inputs and selects:
        return max(tensors[name].bits for name in node.inputs)
    return feature_map_bits


def _infer(node: Node, inputs: tuple[Shape, ...]) -> tuple[Shape, ...]:
    least, most = node.operator.inputs_allowed
    if len(inputs) < least or (most is not None and len(inputs) > most):
        expected = f"{least}" if least == most else f"at least {least}"
        error: InputError = ShapeError(
            "", found=f"{len(inputs)} input{'s'[: len(inputs) != 1]}", expected=expected
        )
        raise node.locate(error)
    try:
        return node.operator.output_shapes(inputs)
    except InputError as error:
        if error.found is None:
            error.found = "inputs " + " and ".join(map(shape_text, inputs))
        raise node.locate(error) from None


def execution_order(
    inputs: Sequence[Tensor], nodes: Sequence[Node], *, read: str = "layer"
) -> Sequence[Node]:
    """The nodes such that each reads what earlier ones wrote; as given wherever that is free.

    Nodes that are in order already, as most files have them, are returned as they are: this is what the
    lexicographical topological sort by position would give.

    read: what nodes read, for messages.
    """
    written = {tensor.name for tensor in inputs}
    writers: dict[str, int] = {}  # tensor -> position of the node that writes it
    names: set[str] = set()
    in_order = True
    for position, node in enumerate(nodes):
        if node.name in names:
            raise node.locate(GraphError(f"the name '{node.name}' is used twice"))
        names.add(node.name)
        in_order = in_order and written.issuperset(node.inputs)
        for output in node.outputs:
            if output in written:
                raise node.locate(GraphError(f"the name '{output}' is used twice"))
            written.add(output)
            writers[output] = position
    for node in nodes:
        for name in node.inputs:
            if name not in written:
                near = nearest_name(name, written)
                raise node.locate(GraphError(f"no {read} is named '{name}'", nearest=near))
    return nodes if in_order else _sorted_topologically(nodes, writers)


def _sorted_topologically(nodes: Sequence[Node], writers: dict[str, int]) -> Sequence[Node]:
    import networkx as nx

    graph: nx.DiGraph[int] = nx.DiGraph()
    graph.add_nodes_from(range(len(nodes)))
    for position, node in enumerate(nodes):
        for name in node.inputs:
            if name in writers:
                graph.add_edge(writers[name], position)
    try:
        order = list(nx.lexicographical_topological_sort(graph))
    except nx.NetworkXUnfeasible:
        cycle = [edge[0] for edge in nx.find_cycle(graph)]
        start = cycle.index(min(cycle))
        names = [nodes[position].name for position in cycle[start:] + cycle[:start]]
        if len(names) > _LONGEST_CYCLE:
            names = [*names[:_LONGEST_CYCLE], f"... ({len(names) - _LONGEST_CYCLE} more)"]
        text = " -> ".join([*names, names[0]])
        first = nodes[min(cycle)]
        raise first.locate(GraphError(f"the layers read each other in a cycle: {text}")) from None
    return [nodes[position] for position in order]
