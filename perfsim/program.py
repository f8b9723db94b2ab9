"""Lowering: from a network to a program of layers with exact counts. No hardware in here.

Which nodes become one layer says `fusion`; here layers and tensors are numbered and their lives are found.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum

from perfsim.errors import UnknownNameError, nearest_name
from perfsim.fusion import Draft, Fused, fuse
from perfsim.garbage import collection_paused
from perfsim.network.graph import ChosenOrder, Network
from perfsim.network.operator import Operator
from perfsim.network.work import LARGEST_COUNT, Count, Shape, elements, too_large, total
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
class Layer:
    """One row of the table: an operator with what is fused behind it.

    Attributes:
        name, op, operator: of the node that the layer was made from.
        macs, vector_ops, params: exact counts as sums of products.
        tied: weights that it reads too, but that count as the parameters of another layer.
        reads, writes, weights: indices into `Program.tensors`. A view writes what it reads.
        input_shapes, output_shapes: as the operators see the tensors.
        fused: what is applied on the way out, in order.
        members: the names of all nodes that became this layer.
        is_view: it moves nothing and takes no memory of its own.

    Of `weights` the first are the operator's own, which it multiplies with; biases and scales of another width follow.
    """

    name: str
    op: str
    operator: Operator
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
        unpriced, order: as in Network.
    """

    name: str
    layers: tuple[Layer, ...] = field(repr=False)
    tensors: tuple[Tensor, ...] = field(repr=False)
    unpriced: str = ""
    order: ChosenOrder | None = None

    def position(self, name: str) -> int | None:
        """The position in `layers` of the layer that the node `name` became part of."""
        for position, layer in enumerate(self.layers):
            if name in layer.members:
                return position
        return None


def position_of(program: Program, name: str) -> int:
    """The position of the layer called `name`, or of that number."""
    position = program.position(name)
    if position is not None:
        return position
    layers = len(program.layers)
    if name.isascii() and name.isdecimal() and len(name) < 10:
        if 1 <= int(name) <= layers:
            return int(name) - 1
        raise UnknownNameError("", found=f"layer {name}", expected=f"a number from 1 to {layers}")
    names = [layer.name for layer in program.layers]
    listed = ", ".join(names[:8]) + (", ..." if layers > 8 else "")
    raise UnknownNameError(
        f"'{program.name}' has no layer '{name}'",
        expected=f"a number from 1 to {layers}, or one of {listed}",
        nearest=nearest_name(name, names),
    )


@per_object
def lower(network: Network) -> Program:
    """The program of `network`; made once per network.

    Raises CountError, naming the layer, when a count would not be exact as a 64-bit number.
    """
    with collection_paused():
        return _Assembly(network, fuse(network)).program()


class _Assembly:
    """Numbers the tensors and finds their lives."""

    def __init__(self, network: Network, drafts: list[Draft]) -> None:
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
        program = Program(
            network.name, layers, tuple(self._tensors), network.unpriced, network.order
        )
        self._check_sums(program)
        return program

    def _written(self) -> Iterable[str]:
        return (name for draft in self._drafts for name in draft.outputs)

    def _storage(self) -> dict[str, str]:
        """For each tensor, the one whose bytes it is: its own, or a view's input."""
        storage = {name: name for name in self._network.inputs}
        for draft in self._drafts:
            for name in draft.outputs:
                storage[name] = storage[draft.inputs[0]] if draft.is_view else name
        return storage

    def _lives(self, storage: dict[str, str]) -> dict[str, tuple[int, int, int]]:
        """(first touch, last touch, readers) of each tensor's bytes; views do not touch."""
        lives: dict[str, tuple[int, int, int]] = {}
        for position, draft in enumerate(self._drafts):
            if draft.is_view:
                continue
            for name in dict.fromkeys(storage[each] for each in draft.inputs):
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

    def _layer(self, position: int, draft: Draft, index: dict[str, int]) -> Layer:
        node = draft.node
        weights = self._weights(position, draft)
        layer = Layer(
            name=node.name,
            op=node.operator.name,
            operator=node.operator,
            macs=draft.work.macs,
            vector_ops=draft.work.vector_ops,
            params=draft.work.params,
            tied=draft.work.tied,
            reads=tuple(index[name] for name in draft.inputs),
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

    def _weights(self, position: int, draft: Draft) -> tuple[int, ...]:
        """The weight tensors of a layer: one, and one more for each width that some of them have by themselves."""
        node = draft.node
        rest = total(draft.work.params) + total(draft.work.tied)
        by_bits: dict[int, int] = {node.weight_bits or self._network.weight_bits: 0}
        for count, bits in draft.other_weights:
            by_bits[bits] = by_bits.get(bits, 0) + count
            rest -= count
        by_bits[next(iter(by_bits))] += rest
        indices: list[int] = []
        for bits, count in by_bits.items():
            if count:
                name = f"{node.name}.weights" + (f".{bits}_bits" if indices else "")
                indices.append(len(self._tensors))
                self._tensors.append(_tensor(name, Kind.WEIGHT, count, bits, position, position, 1))
        return tuple(indices)

    def _check_layer(self, draft: Draft, layer: Layer) -> None:
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
