"""Which tensors the three operands of each layer's loops are, and the memory that lets each of them move once."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import compress
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from perfsim.per_object import per_object
from perfsim.placement.placement import Counts, touches_of

if TYPE_CHECKING:
    from perfsim.network.nest import Nest
    from perfsim.program import Layer, Program

Three: TypeAlias = tuple[bool, bool, bool]


def flags(number: int) -> Three:
    """Which operands a choice of external ones has, from its number."""
    return bool(number & 1), bool(number & 2), bool(number & 4)


_CHOICES = tuple(map(flags, range(8)))
_CONTAINED = tuple([each for each in range(8) if each & ~choice == 0] for choice in range(8))


@dataclass(frozen=True, slots=True)
class Operands:
    """The operands of a layer of the matrix unit.

    Attributes:
        nest: its loops.
        bits, bytes: of each operand; its bits per element, and all of it.
        touches: for each operand its touches among `Touches`; none for weights.
        weight: which operand holds weights; None in a product of feature maps.
        least_bytes: for each choice of external operands (as a number, the first operand being bit 0) a memory for
            tiles with which each of them moves once; it never grows when an operand becomes internal by more than
            that operand's bytes.
    """

    nest: Nest
    bits: tuple[int, int, int]
    bytes: tuple[int, int, int]
    touches: tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]
    weight: int | None
    least_bytes: tuple[int, ...]


@per_object
def operands_of(program: Program) -> dict[int, Operands]:
    """The operands of each layer that has loops, by position; all other layers stream. Made once per program."""
    touches = touches_of(program)
    starts = np.searchsorted(touches.layer, np.arange(len(program.layers) + 1)).tolist()
    nests: dict[object, Nest | None] = {}
    least: dict[object, tuple[int, ...]] = {}
    found: dict[int, Operands] = {}
    for position, layer in enumerate(program.layers):
        key = (layer.operator, layer.input_shapes)
        if key not in nests:
            nests[key] = layer.operator.nest(layer.input_shapes, layer.output_shapes)
        nest = nests[key]
        if nest is None or layer.is_view:
            continue
        assigned = _assigned(program, layer, nest, starts[position], touches.tensor)
        if assigned is None:
            continue
        groups, weight, bits = assigned
        known = (key, bits)
        if known not in least:
            least[known] = _least_bytes(nest, bits)
        sizes = _sizes(nest, bits)
        found[position] = Operands(nest, bits, sizes, groups, weight, least[known])
    return found


def _assigned(
    program: Program, layer: Layer, nest: Nest, start: int, tensor_of: Counts
) -> (
    tuple[
        tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]],
        int | None,
        tuple[int, int, int],
    ]
    | None
):
    """(touches, position of the weights, bits) of the three operands; None where the layer reads something else.

    Whatever else it reads (a mask, a state, a bias of a window) is no operand: it passes once, as in other layers.
    """
    reads = list(dict.fromkeys(layer.reads))
    touch = {int(tensor_of[start + at]): (start + at) for at in range(len(reads))}
    second = nest.operands[1]
    of_weights = second.name == "weight"
    used = layer.reads[: 1 if of_weights else 1 + second.tensors]
    fits = len(set(used)) == len(used) >= (1 if of_weights else 2)  # no product with itself
    if len(layer.writes) != 1 or not fits or (of_weights and not layer.weights):
        return None
    first, *others = (touch[index] for index in used)
    second_tensors = layer.weights[:1] if of_weights else used[1:]
    bits = (
        program.tensors[used[0]].bits,
        max(program.tensors[index].bits for index in second_tensors),
        program.tensors[layer.writes[0]].bits,
    )
    return ((first,), tuple(others), (start + len(reads),)), 1 if of_weights else None, bits


def _least_bytes(nest: Nest, bits: tuple[int, int, int]) -> tuple[int, ...]:
    """`Operands.least_bytes`: the least over holding some of the external operands whole."""
    from perfsim.placement.tiling import floor_tiles

    tiles, whole = floor_tiles(nest, bits), _sizes(nest, bits)
    alone = [min([tile.buffer_bytes(external) for tile in tiles]) for external in _CHOICES]
    held = [sum(compress(whole, each)) for each in _CHOICES]
    return tuple(
        min([alone[external & ~each] + held[each] for each in _CONTAINED[external]])
        for external in range(8)
    )


def _sizes(nest: Nest, bits: tuple[int, int, int]) -> tuple[int, int, int]:
    first, second, last = (
        -(-nest.elements(operand) * width // 8)
        for operand, width in zip(nest.operands, bits, strict=True)
    )
    return first, second, last
