"""Lowering: from a network to a program of layers with exact counts. No hardware in here.

What is fused: a batch normalisation or an activation that alone reads what a computing layer produces
is applied on that layer's way out, normalisation before activation. It then moves no bytes of its own. Behind a
layer of the matrix unit, what `Operator.free_on_matrix_exit` says is free; everything else keeps
its vector operations. Biases are part of their layer anyway.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum

from perfsim.garbage import collection_paused
from perfsim.network.graph import Network, Node
from perfsim.network.operator import Exit, Unit
from perfsim.network.work import LARGEST_COUNT, Count, Shape, Work, elements, too_large, total
from perfsim.per_object import per_object


class Kind(Enum):
    """What a tensor is for."""

    INPUT = "input"
    WEIGHT = "weight"
    FEATURE_MAP = "feature map"
    OUTPUT = "output"


@dataclass(frozen=True, slots=True)
class Tensor:
    """A run of bytes that must lie somewhere.

    Attributes:
        bytes: ceil(elements × bits / 8).
        first, last: positions in `Program.layers` of the first and the last layer that touches it; last is
            below first where none does.
        readers: how many layers read it.
    """

    name: str
    kind: Kind
    elements: int
    bits: int
    bytes: int
    first: int
    last: int
    readers: int


@dataclass(frozen=True, slots=True)
class Fused:
    """Something that a layer applies on its way out.

    Attributes:
        op: the operator, or "bias".
        is_free: it costs nothing there; else its work is in the layer's counts.
    """

    op: str
    is_free: bool


@dataclass(frozen=True, slots=True)
class Layer:
    """One row of the table: an operator with what is fused behind it.

    Attributes:
        name, op: of the node that the layer was made from.
        macs, vector_ops, params: exact counts as sums of products.
        tied: weights that it reads too, but that count as the parameters of another layer.
        reads, writes, weights: indices into `Program.tensors`. A view writes what it reads.
        input_shapes, output_shapes: as the operators see the tensors.
        fused: what is applied on the way out, in order.
        members: the names of all nodes that became this layer.
        is_view: it moves nothing and takes no memory of its own.
    """

    name: str
    op: str
    macs: Count
    vector_ops: Count
    params: Count
    tied: Count
    reads: tuple[int, ...]
    writes: tuple[int, ...]
    weights: tuple[int, ...]
    input_shapes: tuple[Shape, ...]
    output_shapes: tuple[Shape, ...]
    fused: tuple[Fused, ...]
    members: tuple[str, ...]
    is_view: bool


@dataclass(frozen=True, eq=False)
class Program:
    """A network lowered to layers in execution order, with the tensors that they touch.

    Attributes:
        name: the network's name.
        layers: in execution order.
        tensors: feature maps, inputs, outputs and weights; a view has none of its own.
        unpriced: as in Network.
    """

    name: str
    layers: tuple[Layer, ...] = field(repr=False)
    tensors: tuple[Tensor, ...] = field(repr=False)
    unpriced: str = ""

    def position(self, name: str) -> int | None:
        """The position in `layers` of the layer that the node `name` became part of."""
        for position, layer in enumerate(self.layers):
            if name in layer.members:
                return position
        return None


@dataclass(slots=True)
class _Draft:
    """A layer while nodes may still be fused into it."""

    node: Node
    macs: Count
    vector_ops: Count
    params: Count
    tied: Count
    outputs: tuple[str, ...]
    fused: list[Fused]
    members: list[str]
    stage: Exit = Exit.NEVER

    @property
    def is_view(self) -> bool:
        return self.node.operator.unit is Unit.VIEW


@per_object
def lower(network: Network) -> Program:
    """The program of `network`; made once per network.

    Raises CountError, naming the layer, when a count would not be exact as a 64-bit number.
    """
    with collection_paused():
        return _Assembly(network, _fuse(network)).program()


def _fuse(network: Network) -> list[_Draft]:
    """The layers: each node, but for those that go with the layer before them."""
    readers: dict[str, int] = {}
    for node in network.nodes:
        for name in node.inputs:
            readers[name] = readers.get(name, 0) + 1
    outputs = set(network.outputs)
    drafts: list[_Draft] = []
    producer: dict[str, _Draft] = {}
    known: dict[tuple[object, ...], Work] = {}  # networks repeat their blocks
    for node in network.nodes:
        shapes = network.shapes(node.inputs)
        work = known.get((node.operator, shapes)) or network.work(node)
        known[node.operator, shapes] = work
        before = producer.get(node.inputs[0]) if len(node.inputs) == 1 else None
        alone = (
            readers.get(node.inputs[0]) == 1 and node.inputs[0] not in outputs if before else False
        )
        if before is not None and alone and _fits_behind(node, before):
            operator = node.operator
            free = operator.free_on_matrix_exit and before.node.operator.unit is Unit.MATRIX
            before.vector_ops += () if free else work.vector_ops
            before.params += work.params
            before.outputs = node.outputs
            before.fused.append(Fused(operator.name, free))
            before.members.append(node.name)
            before.stage = operator.exit
            producer[node.outputs[0]] = before
            continue
        bias = [Fused("bias", is_free=True)] if getattr(node.operator, "bias", False) else []
        draft = _Draft(
            node,
            *(work.macs, work.vector_ops, work.params, work.tied),
            node.outputs,
            bias,
            [node.name],
        )
        drafts.append(draft)
        producer.update(dict.fromkeys(node.outputs, draft))
    return drafts


def _fits_behind(node: Node, before: _Draft) -> bool:
    stage = node.operator.exit
    computes = before.node.operator.unit in (Unit.MATRIX, Unit.VECTOR)
    return computes and len(before.outputs) == 1 and stage.value > before.stage.value


class _Assembly:
    """Numbers the tensors and finds their lives."""

    def __init__(self, network: Network, drafts: list[_Draft]) -> None:
        self._network = network
        self._drafts = drafts
        self._tensors: list[Tensor] = []

    def program(self) -> Program:
        storage = self._storage()
        lives = self._lives(storage)
        outputs = {storage[name] for name in self._network.outputs}
        position_of: dict[str, int] = {}
        for name in (*self._network.inputs, *self._written()):
            if storage[name] == name:
                position_of[name] = len(self._tensors)
                self._tensors.append(self._feature_map(name, name in outputs, *lives[name]))
        index = {name: position_of[stored] for name, stored in storage.items()}
        layers = tuple(
            self._layer(position, draft, index) for position, draft in enumerate(self._drafts)
        )
        network = self._network
        program = Program(network.name, layers, tuple(self._tensors), network.unpriced)
        self._check_sums(program)
        return program

    def _written(self) -> Iterable[str]:
        return (name for draft in self._drafts for name in draft.outputs)

    def _storage(self) -> dict[str, str]:
        """For each tensor, the one whose bytes it is: its own, or a view's input."""
        storage = {name: name for name in self._network.inputs}
        for draft in self._drafts:
            for name in draft.outputs:
                storage[name] = storage[draft.node.inputs[0]] if draft.is_view else name
        return storage

    def _lives(self, storage: dict[str, str]) -> dict[str, tuple[int, int, int]]:
        """(first touch, last touch, readers) of each tensor's bytes; views do not touch."""
        lives: dict[str, tuple[int, int, int]] = {}
        for position, draft in enumerate(self._drafts):
            if draft.is_view:
                continue
            for name in dict.fromkeys(storage[each] for each in draft.node.inputs):
                first, _, readers = lives.get(name, (position, position, 0))
                lives[name] = (first, position, readers + 1)
            for name in draft.outputs:
                lives[name] = (position, position, 0)
        for name in self._network.inputs:
            lives.setdefault(name, (0, -1, 0))  # nobody reads it: it never lives
        return lives

    def _feature_map(
        self, name: str, is_output: bool, first: int, last: int, readers: int
    ) -> Tensor:
        tensor = self._network.tensors[name]
        kind = Kind.FEATURE_MAP
        if name in self._network.inputs:
            kind = Kind.INPUT
        elif is_output:
            kind = Kind.OUTPUT
        return _tensor(name, kind, elements(tensor.shape), tensor.bits, first, last, readers)

    def _layer(self, position: int, draft: _Draft, index: dict[str, int]) -> Layer:
        node = draft.node
        count = total(draft.params) + total(draft.tied)
        weights: tuple[int, ...] = ()
        if count:
            weights = (len(self._tensors),)
            bits = self._network.weight_bits
            self._tensors.append(
                _tensor(f"{node.name}.weights", Kind.WEIGHT, count, bits, position, position, 1)
            )
        layer = Layer(
            name=node.name,
            op=node.operator.name,
            macs=draft.macs,
            vector_ops=draft.vector_ops,
            params=draft.params,
            tied=draft.tied,
            reads=tuple(index[name] for name in node.inputs),
            writes=tuple(index[name] for name in draft.outputs),
            weights=weights,
            input_shapes=self._network.shapes(node.inputs),
            output_shapes=self._network.shapes(draft.outputs),
            fused=tuple(draft.fused),
            members=tuple(draft.members),
            is_view=draft.is_view,
        )
        self._check_layer(draft, layer)
        return layer

    def _check_layer(self, draft: _Draft, layer: Layer) -> None:
        touched = [self._tensors[index] for index in (*layer.reads, *layer.writes, *layer.weights)]
        counts = [
            (total(layer.macs), "MACs"),
            (total(layer.vector_ops), "vector operations"),
            *((tensor.elements, f"elements in '{tensor.name}'") for tensor in touched),
            *((tensor.bytes, f"bytes in '{tensor.name}'") for tensor in touched),
        ]
        for count, what in counts:
            if count > LARGEST_COUNT:
                raise draft.node.locate(too_large(count, what))

    def _check_sums(self, program: Program) -> None:
        # Traffic is at most twice what every layer touches, and everything else is less.
        macs = sum(total(layer.macs) for layer in program.layers)
        vector_ops = sum(total(layer.vector_ops) for layer in program.layers)
        moved = 2 * sum(
            self._tensors[index].bytes
            for layer in program.layers
            for index in (*layer.reads, *layer.writes, *layer.weights)
        )
        for count, what in ((macs, "MACs"), (vector_ops, "vector operations"), (moved, "bytes")):
            if count > LARGEST_COUNT:
                error = too_large(count, f"{what} in all")
                raise error.at(file=self._network.file, where=f"network '{program.name}'")


def _tensor(
    name: str, kind: Kind, count: int, bits: int, first: int, last: int, readers: int
) -> Tensor:
    return Tensor(name, kind, count, bits, -(-count * bits // 8), first, last, readers)
