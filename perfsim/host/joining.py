"""Which layer of ours each node that ONNX Runtime executes belongs to.

ONNX Runtime fuses nodes, lays tensors out in blocks of channels and puts nodes in that do so. What stays are names: a
node that was fused writes the tensor that the last of its parts wrote, or is called after a node or tensor of the
model, with a suffix. A node of the model belongs to the layer that writes the first tensor of ours at or behind it. So
an executed node belongs to

1. the layer of the model's node that wrote what it writes, or that it is called after;
2. else, and where that layer is a view, the layer whose node reads what it writes: it is there for that one;
3. else the layer whose node wrote what it reads;
4. else to none ("other").

A layer that is left without a node was fused into another one: one whose nodes have all that it reads.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from perfsim.host.onnx_runtime import RunNode
from perfsim.network.graph import Network
from perfsim.network.work import total
from perfsim.program import Program

# What ONNX Runtime's optimiser puts behind names.
_SUFFIX = re.compile(r"(?:_nchwc|_bn|_token_\d+|/\w*Fusion\w*/?)$", re.ASCII)
_REORDERS = (
    "ReorderInput",
    "ReorderOutput",
)  # what lays a tensor out in blocks of channels, and back


@dataclass(frozen=True)
class Joined:
    """Nodes and layers joined; layers are positions in `Program.layers`.

    Attributes:
        layer_of: of each node, in their order; None where there is none.
        fused_into: layers without a node of their own, with the layer whose nodes do their work.
        lost: layers without a node of which that could not be told.
    """

    layer_of: tuple[int | None, ...]
    fused_into: dict[int, int]
    lost: tuple[int, ...]


def join(
    executed: Sequence[RunNode], model: Sequence[RunNode], network: Network, program: Program
) -> Joined:
    """Join the `executed` nodes with the layers of `program`.

    executed: in the order of execution. model: the nodes as the model has them. network: what `program` was lowered
    from; its tensors have the names of the model's.
    """
    return _Joining(executed, model, network, program).joined()


class _Joining:
    def __init__(
        self,
        executed: Sequence[RunNode],
        model: Sequence[RunNode],
        network: Network,
        program: Program,
    ) -> None:
        self._nodes = executed
        self._network = network
        self._layers = program.layers
        position = {
            name: index for index, layer in enumerate(program.layers) for name in layer.members
        }
        self._writer = {
            tensor: position[node.name] for node in network.nodes for tensor in node.outputs
        }
        owners = _owners(model, lambda node: _first(self._writer, node.outputs))
        self._owner = dict(self._writer)  # by tensor and by name of the model
        self._written: dict[str, set[str]] = {}  # by the same
        for node, owner in zip(model, owners, strict=True):
            for name in filter(None, (*node.outputs, node.name)):
                self._written.setdefault(name, set()).update(node.outputs)
                if owner is not None:
                    self._owner.setdefault(name, owner)
        self._producer = {
            tensor: index for index, node in enumerate(executed) for tensor in node.outputs
        }

    def joined(self) -> Joined:
        layer_of = _owners(self._nodes, self._own)
        for index, node in enumerate(self._nodes):
            if layer_of[index] is None:
                sources = (self._producer.get(name) for name in node.inputs)
                layers = (layer_of[source] for source in sources if source is not None)
                layer_of[index] = next((layer for layer in layers if layer is not None), None)
        fused_into = self._fused(layer_of)
        self._rename(layer_of, fused_into)
        timed = {*layer_of, *fused_into}
        lost = (
            position
            for position, layer in enumerate(self._layers)
            if position not in timed and not layer.is_view
        )
        return Joined(tuple(layer_of), fused_into, tuple(lost))

    def _rename(self, layer_of: list[int | None], fused_into: dict[int, int]) -> None:
        """Give the nodes of a layer without MACs, with which one that has some was fused, to that one.

        ONNX Runtime calls a convolution after the activation behind it, which may be a layer of its own here.
        """
        for position, holder in list(fused_into.items()):
            macs = total(self._layers[position].macs)
            if macs and fused_into.get(position) == holder and not total(self._layers[holder].macs):
                layer_of[:] = [position if layer == holder else layer for layer in layer_of]
                del fused_into[position]
                fused_into |= {one: position for one, into in fused_into.items() if into == holder}
                fused_into[holder] = position

    def _own(self, node: RunNode) -> int | None:
        """The layer of the model's node that the node stands for, unless that is a view."""
        layer = _first(self._owner, (*node.outputs, self._called_after(node)))
        return None if layer is None or self._layers[layer].is_view else layer

    def _called_after(self, node: RunNode) -> str:
        """The node or tensor of the model that the node is called after; else nothing."""
        name = node.name
        while name not in self._written:
            shorter = _SUFFIX.sub("", name)
            if shorter == name:
                return ""
            name = shorter
        return name

    def _fused(self, layer_of: Sequence[int | None]) -> dict[int, int]:
        """Each layer without a node, with the first whose nodes know all that it reads."""
        nodes_of: dict[int, list[int]] = {}
        for index, layer in enumerate(layer_of):
            if layer is not None:
                nodes_of.setdefault(layer, []).append(index)
        fused: dict[int, int] = {}
        for node, layer in zip(self._nodes, layer_of, strict=True):
            for tensor in node.outputs:
                other = self._writer.get(tensor)
                if layer is None or other is None or other in nodes_of:
                    continue
                if not self._layers[other].is_view:
                    fused[other] = layer
        # What may be in a tensor of another name: what its node is called after, and what is fused behind that.
        held = [set(self._written.get(self._called_after(node), ())) for node in self._nodes]
        for tensor, layer in self._writer.items():
            if layer in nodes_of and tensor not in self._producer:
                held[nodes_of[layer][-1]].add(tensor)
        named = {layer: self._known(indices, held) for layer, indices in nodes_of.items()}
        readers = self._readers()
        for each in self._network.nodes:
            position = self._writer[each.outputs[0]]
            is_view = self._layers[position].is_view
            if position in nodes_of and not is_view:
                continue
            needed = set(each.inputs)
            behind = (
                layer for layer in readers.get(position, ()) if needed <= named.get(layer, set())
            )
            into = fused.get(position, next(behind, None))
            for layer, indices in nodes_of.items():
                if into in (None, layer) and needed <= self._known(indices, held):
                    if not is_view:
                        fused[position] = into = layer
                    for index in indices:
                        held[index].update(each.outputs)
        return {position: fused[position] for position in sorted(fused)}

    def _known(self, indices: Sequence[int], held: Sequence[set[str]]) -> set[str]:
        """The tensors that nodes read, and those behind which they may do more: not given out under their names."""
        known: set[str] = set()
        for index in indices:
            node = self._nodes[index]
            read = (self._content(name, held) for name in node.inputs)
            known |= held[index].union(*read).difference(node.outputs)
        return known

    def _content(self, name: str, held: Sequence[set[str]]) -> set[str]:
        """The names that the content of a tensor may have."""
        content = {name}
        index = self._producer.get(name)
        if index is not None:
            content |= held[index]
            node = self._nodes[index]
            if node.op in _REORDERS:
                content |= self._content(node.inputs[0], held)
        return content

    def _readers(self) -> dict[int, list[int]]:
        """The layers that read what each layer writes."""
        readers: dict[int, list[int]] = {}
        for node in self._network.nodes:
            for tensor in node.inputs:
                if tensor in self._writer:
                    layer = self._writer[node.outputs[0]]
                    readers.setdefault(self._writer[tensor], []).append(layer)
        return readers


def _owners(nodes: Sequence[RunNode], own: Callable[[RunNode], int | None]) -> list[int | None]:
    """What each node owns by itself, or else what the first that reads from it does; in the order of execution."""
    found: list[int | None] = []
    read_by: dict[str, int] = {}
    for node in reversed(nodes):
        owner = own(node)
        if owner is None:
            owner = _first(read_by, node.outputs)
        found.append(owner)
        if owner is not None:
            read_by |= dict.fromkeys(node.inputs, owner)
    return found[::-1]


def _first(table: dict[str, int], names: Sequence[str]) -> int | None:
    """The value of the first of the names that the table has."""
    return next((table[name] for name in names if name in table), None)
