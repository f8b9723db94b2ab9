"""What a tiled layer moves and how much memory its tiles take, for one order of its loops.

Functions of numbers or of arrays of tile sizes that broadcast. docs/tiling.md says the same in words, with an example.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from perfsim.network.nest import INPUT_CHANNELS, Axis, Nest
from perfsim.placement.placement import Counts

PARTIAL_SUM_BITS = 32


@dataclass(frozen=True, slots=True)
class Layout:
    """What is known of a layer's operands beside its loops; triples in the order of `Nest.operands`.

    Attributes:
        bits: per element.
        external: which operands lie in external memory; the others move nothing and need no tile.
        double_buffered: whether each external operand has two tiles in the buffer.
    """

    bits: tuple[int, int, int]
    external: tuple[bool, bool, bool]
    double_buffered: bool = False

    @property
    def partial_sum_bits(self) -> int:
        """Bits per partial sum, in the buffer and on the bus."""
        return max(PARTIAL_SUM_BITS, self.bits[2])


@dataclass(frozen=True, slots=True)
class Tiles:
    """One loop cut into tiles, for an array of tile sizes.

    Attributes:
        sizes: steps of a tile; the last tile may have fewer.
        counts: ceil(steps / size) tiles.
        spans: inputs that the largest tile reads along this loop.
        fetched: inputs that all tiles together read along it, overlaps of neighbours each time.
        extent: inputs along it.
    """

    sizes: Counts
    counts: Counts
    spans: Counts
    fetched: Counts
    extent: int

    def shaped(self, shape: tuple[int, ...]) -> Tiles:
        """The same with arrays of another shape, to broadcast against those of other loops."""
        return Tiles(
            self.sizes.reshape(shape),
            self.counts.reshape(shape),
            self.spans.reshape(shape),
            self.fetched.reshape(shape),
            self.extent,
        )


def tiles(nest: Nest, loop: str, sizes: Iterable[int]) -> Tiles:
    """The loop cut into tiles of each of `sizes`."""
    if loop in nest.axis:
        return _axis_tiles(nest.axis[loop], tuple(sizes))
    steps = nest.size[loop]
    array = np.array(tuple(sizes), dtype=np.int64)
    return Tiles(array, -(-steps // array), array, np.full_like(array, steps), steps)


@lru_cache(maxsize=1024)
def _axis_tiles(axis: Axis, sizes: tuple[int, ...]) -> Tiles:
    array = np.array(sizes, dtype=np.int64)
    outputs = np.arange(axis.output + 1)
    low, high = inputs_read(axis, outputs, outputs)  # of what starts there, and of what stops there
    spans, shared = [], []
    for size in sizes:
        inner, last = slice(size, axis.output, size), (axis.output - 1) // size * size
        spans.append(max((high[inner] - low[:last:size]).max(initial=0), high[-1] - low[last]))
        shared.append(np.maximum(high[inner] - low[inner], 0).sum())
    # What no window reads is part of the input, and comes with it.
    fetched = axis.input + np.array(shared, dtype=np.int64)
    return Tiles(array, -(-axis.output // array), np.array(spans), fetched, axis.input)


def inputs_read(axis: Axis, start: Counts, stop: Counts) -> tuple[Counts, Counts]:
    """The first input and the one behind the last that the outputs from `start` until `stop` read.

    Without padding, and from the first tap of the first output to the last tap of the last one.
    """
    if axis.transposed:
        low = -(-(start + axis.before - axis.reach + 1) // axis.stride)
        high = (stop - 1 + axis.before) // axis.stride + 1
    else:
        low = start * axis.stride - axis.before
        high = (stop - 1) * axis.stride - axis.before + axis.reach
    return np.clip(low, 0, axis.input), np.clip(high, 0, axis.input)


@dataclass(frozen=True, slots=True)
class Moved:
    """Bytes of each operand, in the order of `Nest.operands`.

    Attributes:
        buffer_bytes: taken by its tile, or two.
        read_bytes, write_bytes: from and to external memory.
    """

    buffer_bytes: tuple[Counts, Counts, Counts]
    read_bytes: tuple[Counts, Counts, Counts]
    write_bytes: tuple[Counts, Counts, Counts]


def moved(nest: Nest, layout: Layout, order: tuple[str, ...], cut: Mapping[str, Tiles]) -> Moved:
    """What moves when the loops run in `order`, from the outermost to the innermost, over the tiles `cut`."""
    read_in, read_weight, output = nest.operands
    nothing = np.zeros((), dtype=np.int64)
    split = cut[INPUT_CHANNELS].counts > 1
    final_bits, partial_bits = layout.bits[2], layout.partial_sum_bits
    in_tile = _product(cut[loop].spans for loop in read_in.loops) * read_in.depth
    weight_tile = _product(cut[loop].sizes for loop in read_weight.loops) * read_weight.depth
    out_tile = _product(cut[loop].sizes for loop in output.loops) * output.depth
    in_external, weight_external, out_external = layout.external
    tiles_each = 2 if layout.double_buffered else 1
    out_bytes = _bytes(out_tile, np.where(split, partial_bits, final_bits))
    buffers = (
        tiles_each * _bytes(in_tile, layout.bits[0]) if in_external else nothing,
        tiles_each * _bytes(weight_tile, layout.bits[1]) if weight_external else nothing,
        # Partial sums of an internal output take memory of their own: they are wider than the output.
        tiles_each * out_bytes if out_external else np.where(split, out_bytes, 0),
    )
    in_read = weight_read = nothing
    if in_external:
        passes = nest.groups * _passes(order, read_in.loops, cut)
        in_read = _bytes(passes * _input_fetched(nest, order, cut), layout.bits[0])
    if weight_external:
        passes = _passes(order, read_weight.loops, cut)
        weight_read = _bytes(passes * nest.elements(read_weight), layout.bits[1])
    elements = nest.elements(output)
    # The last pass writes the output, each one before it writes partial sums, which the next one reads.
    partial = (_passes(order, output.loops, cut) - 1) * _bytes(elements, partial_bits)
    final = _bytes(elements, final_bits) if out_external else 0
    return Moved(buffers, (in_read, weight_read, partial), (nothing, nothing, partial + final))


def _passes(order: tuple[str, ...], own: tuple[str, ...], cut: Mapping[str, Tiles]) -> Counts:
    """How often all tiles of an operand pass.

    A loop that is not its own lets its tiles pass again when a loop of its own moves inside it.
    """
    passes = np.ones((), dtype=np.int64)
    own_moves = np.zeros((), dtype=np.bool_)
    for loop in reversed(order):
        counts = cut[loop].counts
        if loop in own:
            own_moves = own_moves | (counts > 1)
        else:
            passes = passes * np.where(own_moves, counts, 1)
    return passes


def _input_fetched(nest: Nest, order: tuple[str, ...], cut: Mapping[str, Tiles]) -> Counts:
    """Elements of the input, of one group, that one pass over its tiles fetches.

    The innermost of its loops that moves slides along: what two neighbours share stays.
    """
    read_in = nest.operands[0]
    fetched = np.full((), read_in.depth, dtype=np.int64)
    inner_moves = np.zeros((), dtype=np.bool_)
    for loop in reversed(order):
        if loop in read_in.loops:
            each = cut[loop]
            fetched = fetched * np.where(inner_moves, each.fetched, each.extent)
            inner_moves = inner_moves | (each.counts > 1)
    return fetched


def _product(factors: Iterable[Counts]) -> Counts:
    result = np.ones((), dtype=np.int64)
    for factor in factors:
        result = result * factor
    return result


def _bytes(elements: Counts | int, bits: Counts | int) -> Counts:
    return np.asarray((elements * bits + 7) >> 3)
