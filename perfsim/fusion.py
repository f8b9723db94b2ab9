"""Which nodes become one layer.

On a layer's way out: a batch normalisation, an activation or a quantisation that alone reads what a computing layer
produces, in this order. On its way in: a dequantisation, in every layer that reads what it gives. What is fused moves
no bytes of its own. Behind a layer of the matrix unit, what `Operator.free_on_matrix_exit` says is free, and so is
dequantising in front of it; everything else keeps its vector operations. Biases are part of their layer anyway.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

from perfsim.network.graph import Network, Node
from perfsim.network.operator import Exit, Operator, Unit
from perfsim.network.work import Count, Product, Shape, Work, total


@dataclass(frozen=True, slots=True)
class Fused:
    """Something that a layer applies on its way in or out.

    Attributes:
        op: the operator, or "bias".
        is_free: it costs nothing there; else its work is in the layer's counts.
    """

    op: str
    is_free: bool


@dataclass(slots=True)
class Draft:
    """A layer while nodes may still be fused into it.

    Attributes:
        inputs: the tensors whose bytes it reads; where a dequantisation stands between, the quantised ones.
        encoded_bits: of everything that it reads, where all of that is dequantised from one width on the way in.
        other_weights: as in Node, with those of the nodes that are fused behind it.
    """

    node: Node
    inputs: tuple[str, ...]
    work: Work
    outputs: tuple[str, ...]
    fused: list[Fused]
    members: list[str]
    other_weights: tuple[tuple[int, int], ...]
    encoded_bits: int | None = None
    stage: Exit = Exit.NEVER

    @property
    def is_view(self) -> bool:
        return self.node.operator.unit is Unit.VIEW

    def takes(self, node: Node) -> bool:
        """Whether `node` can be applied on the way out."""
        if self._undoes(node):
            return True
        unit = self.node.operator.unit
        computes = unit is Unit.MATRIX or unit is Unit.VECTOR
        return computes and len(self.outputs) == 1 and node.operator.exit.value > self.stage.value

    def absorb(self, node: Node, work: Work) -> None:
        """Apply `node`, which costs `work` by itself, on the way out."""
        operator = node.operator
        on_matrix_exit = self.node.operator.unit is Unit.MATRIX and operator.free_on_matrix_exit
        is_free = on_matrix_exit or self._undoes(node)
        self.work = Work(
            self.work.macs,
            self.work.vector_ops + (() if is_free else work.vector_ops),
            self.work.params + work.params,
            self.work.tied + work.tied,
        )
        self.other_weights += self._widths(node, work)
        self.outputs = tuple(
            node.outputs[0] if name == node.inputs[0] else name for name in self.outputs
        )
        applied = Fused(operator.name, is_free)
        if applied not in self.fused:  # a quantisation of each of several outputs is named once
            self.fused.append(applied)
        self.members.append(node.name)
        self.stage = operator.exit

    def _widths(self, node: Node, work: Work) -> tuple[tuple[int, int], ...]:
        """(count, bits) of the weights of `node` that have another width than most of this layer's."""
        if node.weight_bits is None or node.weight_bits == self.node.weight_bits:
            return node.other_weights
        count = total(work.params) + total(work.tied) - sum(n for n, _ in node.other_weights)
        return (*node.other_weights, (count, node.weight_bits))

    def _undoes(self, node: Node) -> bool:
        """Whether `node` quantises what this layer only selected from inputs that were quantised to the same width."""
        is_selected = _selects(self.node.operator) and node.inputs[0] in self.node.outputs
        quantizes = node.operator.exit is Exit.QUANTIZATION
        return quantizes and is_selected and node.operator.output_bits() == self.encoded_bits


def fuse(network: Network) -> list[Draft]:
    """The layers of `network` in execution order: each node, but for those that go with another."""
    entries = _Entries(network)
    stored = entries.stored
    readers = Counter(
        stored.get(name, name)
        for node in network.nodes
        if node.outputs[0] not in stored
        for name in node.inputs
    )
    outputs = set(network.outputs)
    drafts: list[Draft] = []
    producer: dict[str, Draft] = {}
    known: dict[tuple[Operator, tuple[Shape, ...]], Work] = {}  # networks repeat their blocks
    for node in network.nodes:
        if node.outputs[0] in stored:
            continue
        shapes = network.shapes(node.inputs)
        work = known.get((node.operator, shapes)) or network.work(node)
        known[node.operator, shapes] = work
        if node.shared:
            work = _without_shared(work, node)
        inputs = tuple(stored.get(name, name) for name in node.inputs) if stored else node.inputs
        before = producer.get(inputs[0]) if len(inputs) == 1 else None
        if (
            before is not None
            and readers[inputs[0]] == 1
            and node.inputs[0] not in stored
            and inputs[0] not in outputs
            and before.takes(node)
        ):
            before.absorb(node, work)
            producer[node.outputs[0]] = before
            continue
        draft = Draft(node, inputs, work, node.outputs, [], [node.name], node.other_weights)
        if stored:
            entries.enter(draft)
        if getattr(node.operator, "bias", False):
            draft.fused.append(Fused("bias", is_free=True))
        drafts.append(draft)
        producer.update(dict.fromkeys(node.outputs, draft))
    return drafts


def _selects(operator: Operator) -> bool:
    """Whether it only chooses among the elements that it reads, so that it works on any encoding of them."""
    return operator.unit is Unit.COPY or operator.unit is Unit.VIEW or operator.selects


def _without_shared(work: Work, node: Node) -> Work:
    """`work` without the parameters that other layers count: it reads them as theirs."""
    less = tuple(
        Product(f"counted at '{owner}'", ((-count, "elements"),)) for owner, count in node.shared
    )
    tied = tuple(
        Product(f"parameters of '{owner}'", ((count, "elements"),)) for owner, count in node.shared
    )
    return replace(work, params=work.params + less, tied=work.tied + tied)


class _Entries:
    """What is dequantised on the way into the layers that read it.

    A dequantisation is, unless it writes an output of the network; and so is a quantisation, to the same width, of
    what a dequantisation gave and only views have seen: the two undo each other.

    Attributes:
        stored: what these nodes write -> the tensor whose bytes are read in its place.
    """

    def __init__(self, network: Network) -> None:
        self._network = network
        self.stored: dict[str, str] = {}
        self._shown: dict[str, str] = {}  # a view's output -> the tensor that it shows
        self._waiting: dict[str, list[Node]] = {}  # nodes that no layer has taken over yet
        if any(node.operator.enters for node in network.nodes):
            self._find()

    def _find(self) -> None:
        kept = set(self._network.outputs)
        for node in reversed(self._network.nodes):
            if node.operator.unit is Unit.VIEW and node.outputs[0] in kept:
                kept.add(node.inputs[0])
        for node in self._network.nodes:
            output = node.outputs[0]
            if node.operator.unit is Unit.VIEW:
                self._shown[output] = self._shown.get(node.inputs[0], node.inputs[0])
            elif output not in kept and (node.operator.enters or self._is_undone(node)):
                read = self.stored.get(node.inputs[0], node.inputs[0])
                self.stored[output] = read
                self._waiting.setdefault(read, []).append(node)

    def _is_undone(self, node: Node) -> bool:
        if node.operator.exit is not Exit.QUANTIZATION or not self._is_converted(node.inputs[0]):
            return False
        return self._network.tensors[node.outputs[0]].bits == self._source_bits(node.inputs[0])

    def _is_converted(self, name: str) -> bool:
        return self._shown.get(name, name) in self.stored

    def enter(self, draft: Draft) -> None:
        """Apply what stands before `draft` on its way in."""
        operator = draft.node.operator
        converted = [name for name in dict.fromkeys(draft.node.inputs) if self._is_converted(name)]
        if not converted:
            return
        draft.encoded_bits = self._encoded_bits(draft.node)
        for name in draft.inputs:
            draft.members += [node.name for node in self._waiting.pop(name, ())]
        if draft.is_view:
            return
        is_free = operator.unit is Unit.MATRIX or _selects(operator)
        draft.fused.append(Fused("dequantize", is_free))
        if not is_free:
            costs = (product for name in converted for product in self._cost(name))
            draft.work = replace(draft.work, vector_ops=(*draft.work.vector_ops, *costs))

    def _encoded_bits(self, node: Node) -> int | None:
        """The width that everything which `node` reads was quantised to; None unless there is one."""
        if not all(map(self._is_converted, node.inputs)):
            return None
        widths = {self._source_bits(name) for name in node.inputs}
        return widths.pop() if len(widths) == 1 else None

    def _source_bits(self, name: str) -> int:
        return self._network.tensors[self.stored[self._shown.get(name, name)]].bits

    def _cost(self, name: str) -> Count:
        from perfsim.network.quantization import dequantizing  # few networks need it

        return dequantizing(self._network.tensors[name].shape)
