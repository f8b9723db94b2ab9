"""Tiling: a layer whose operands do not fit into the memory runs in tiles; what is the least that it must move?

`front` works out once, for every size of the memory, the tile sizes and the order of loops that move least. It
looks at three kinds of order only, since any other moves as much as one of them with the same tiles, or more
(docs/tiling.md):

    places innermost:           weights stay, the input slides past
    output channels innermost:  the input stays, weights pass
    input channels innermost:   partial sums stay
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import compress

import numpy as np

from perfsim.network.nest import IMAGES, INPUT_CHANNELS, OUTPUT_CHANNELS, TOKENS, Nest
from perfsim.placement.placement import Counts
from perfsim.placement.tiling_traffic import PARTIAL_SUM_BITS, Layout, Tiles, moved, tiles

# How many combinations of tile sizes are tried, about, over all orders of the loops.
COMBINATIONS = 100_000


@dataclass(frozen=True, slots=True)
class Tiling:
    """One way to run a layer in tiles; triples are in the order of `Nest.operands`.

    Attributes:
        order: the loops from the outermost to the innermost, inside the loop over groups.
        tile: (loop, steps of it in one tile), in the order of `Nest.sizes`.
        tiles: how many tiles run, all groups together.
        buffer_bytes: memory that the tiles take.
        operand_buffer_bytes, read_bytes, write_bytes: of each operand; partial sums belong to the last.
        traffic_bytes: all that is read and written.
    """

    order: tuple[str, ...]
    tile: tuple[tuple[str, int], ...]
    tiles: int
    buffer_bytes: int
    operand_buffer_bytes: tuple[int, int, int]
    read_bytes: tuple[int, int, int]
    write_bytes: tuple[int, int, int]
    traffic_bytes: int


@dataclass(frozen=True, eq=False)
class Front:
    """The least traffic of a layer as a step function of the memory for its tiles.

    Attributes:
        nest, layout: the layer.
        buffer_bytes: strictly increasing, shape (steps,).
        traffic_bytes: strictly decreasing: what moves with so much memory and less than the next step's.
    """

    nest: Nest
    layout: Layout
    buffer_bytes: Counts
    traffic_bytes: Counts
    _orders: tuple[tuple[str, ...], ...] = field(repr=False)
    _order_of: Counts = field(repr=False)
    _sizes_of: Counts = field(repr=False)

    def step(self, memory_bytes: int) -> int | None:
        """The position of the step that holds for a memory; None when the smallest tiles do not fit."""
        position = int(np.searchsorted(self.buffer_bytes, memory_bytes, side="right")) - 1
        return position if position >= 0 else None

    def tiling(self, step: int) -> Tiling:
        """How the layer runs at one step."""
        order = self._orders[self._order_of[step]]
        sizes = tuple(int(size) for size in self._sizes_of[step])
        return tiling(self.nest, self.layout, order, sizes)


def tiling(nest: Nest, layout: Layout, order: tuple[str, ...], sizes: tuple[int, ...]) -> Tiling:
    """What a layer moves with these tile sizes (in the order of `Nest.sizes`) and this order of loops."""
    cut = {
        loop: tiles(nest, loop, (size,)).shaped(())
        for (loop, _), size in zip(nest.sizes, sizes, strict=True)
    }
    bytes_of = moved(nest, layout, order, cut)
    buffers, reads, writes = (
        (int(each[0]), int(each[1]), int(each[2]))
        for each in (bytes_of.buffer_bytes, bytes_of.read_bytes, bytes_of.write_bytes)
    )
    return Tiling(
        order=order,
        tile=tuple((loop, size) for (loop, _), size in zip(nest.sizes, sizes, strict=True)),
        tiles=nest.groups * math.prod(int(each.counts) for each in cut.values()),
        buffer_bytes=sum(buffers),
        operand_buffer_bytes=buffers,
        read_bytes=reads,
        write_bytes=writes,
        traffic_bytes=sum(reads) + sum(writes),
    )


def best(front: Front, memory_bytes: int) -> Tiling | None:
    """The tiling with the least traffic that fits, of equals the one that needs least; None when none fits."""
    step = front.step(memory_bytes)
    return None if step is None else front.tiling(step)


@lru_cache(maxsize=4096)
def front(
    nest: Nest,
    bits: tuple[int, int, int],
    external: tuple[bool, bool, bool],
    double_buffered: bool = False,
) -> Front:
    """The least traffic of a layer for every size of the memory.

    bits, external: per operand, in the order of `Nest.operands`: its bits per element, and whether it lies in
    external memory. double_buffered: whether the next tiles come in while the present ones are worked on.
    """
    layout = Layout(bits, external, double_buffered)
    candidates = _candidates(nest)
    parts = [_tried_tilings(nest, layout, order, tried) for order, tried in candidates]
    buffer, traffic, sizes = (np.concatenate(each) for each in zip(*parts, strict=True))
    order_of = np.repeat(np.arange(len(parts)), [len(part[0]) for part in parts])
    kept = _least(buffer, traffic)
    orders = tuple(order for order, _ in candidates)
    return Front(nest, layout, buffer[kept], traffic[kept], orders, order_of[kept], sizes[kept])


def _tried_tilings(
    nest: Nest, layout: Layout, order: tuple[str, ...], tried: Mapping[str, tuple[int, ...]]
) -> tuple[Counts, Counts, Counts]:
    """(buffer bytes, traffic bytes, tile sizes) of those that are best for some memory, for one order.

    The sizes have the shape (tilings, loops).
    """
    cut = _broadcast(nest, tried)
    bytes_of = moved(nest, layout, order, cut)
    shape = np.broadcast_shapes(*(each.sizes.shape for each in cut.values()))
    buffer, traffic = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)
    for each in bytes_of.buffer_bytes:
        buffer += each
    for each in (*bytes_of.read_bytes, *bytes_of.write_bytes):
        traffic += each
    kept = _least(buffer.ravel(), traffic.ravel())
    sizes = [np.broadcast_to(cut[loop].sizes, shape).ravel()[kept] for loop, _ in nest.sizes]
    return buffer.ravel()[kept], traffic.ravel()[kept], np.stack(sizes, axis=1)


def _broadcast(nest: Nest, tried: Mapping[str, tuple[int, ...]]) -> dict[str, Tiles]:
    """Each loop's tiles along a dimension of their own, where several sizes are tried."""
    free = [loop for loop, sizes in tried.items() if len(sizes) > 1]
    return {
        loop: tiles(nest, loop, sizes).shaped(
            tuple(len(sizes) if each == loop else 1 for each in free)
        )
        for loop, sizes in tried.items()
    }


def _least(buffer: Counts, traffic: Counts) -> Counts:
    """The positions of the pairs that no other one beats in both, by rising buffer; the first of equals."""
    # Most fall away without being sorted: a pair in a lower bucket, so with less buffer, moves no more. A bucket is an
    # eighth of an octave: the exponent of a float and the first three bits behind it.
    bucket = buffer.astype(np.float64).view(np.int64) >> 49
    bucket -= bucket.min()
    least = np.full(int(bucket.max()) + 2, np.iinfo(np.int64).max)
    np.minimum.at(least, bucket + 1, traffic)
    (left,) = np.nonzero(traffic < np.minimum.accumulate(least)[bucket])
    order = left[np.lexsort((traffic[left], buffer[left]))]
    ordered = traffic[order]
    kept = np.ones(len(order), dtype=np.bool_)
    kept[1:] = ordered[1:] < np.minimum.accumulate(ordered)[:-1]
    return np.asarray(order[kept])


def _candidates(nest: Nest) -> list[tuple[tuple[str, ...], dict[str, tuple[int, ...]]]]:
    """Orders of loops with the tile sizes to try for each loop.

    A loop whose tile size changes no traffic in that order has tiles of one step, which take least memory.
    """
    first = (TOKENS,) if TOKENS in nest.size else ()
    axes = tuple(nest.axis)
    places = [axes] if axes else []
    if not axes or nest.size[IMAGES] > 1:
        places.append((IMAGES,))
    if len(places) > 1:
        places.append((IMAGES, *axes))
    free: list[tuple[tuple[str, ...], tuple[str, ...]]] = []
    for slide in axes or (IMAGES,):
        inner = (*(loop for loop in (IMAGES, *axes) if loop != slide), slide)
        halo = [loop for loop in inner[:-1] if loop in axes and _has_halo(nest, loop)]
        order = (*first, OUTPUT_CHANNELS, INPUT_CHANNELS, *inner)
        free.append((order, (OUTPUT_CHANNELS, INPUT_CHANNELS, *halo)))
        order = (*first, INPUT_CHANNELS, *inner, OUTPUT_CHANNELS)
        free += [(order, (INPUT_CHANNELS, *cut)) for cut in places]
    order = (*first, IMAGES, *axes, OUTPUT_CHANNELS, INPUT_CHANNELS)
    free += [(order, (OUTPUT_CHANNELS, *cut)) for cut in places]
    return [(order, _tried(nest, loops, COMBINATIONS // len(free))) for order, loops in free]


def _has_halo(nest: Nest, axis: str) -> bool:
    """Whether neighbouring tiles of one output read inputs in common."""
    each = tiles(nest, axis, (1,))
    return int(each.fetched[0]) > each.extent


def _tried(nest: Nest, free: tuple[str, ...], combinations: int) -> dict[str, tuple[int, ...]]:
    """Sizes to try: of the free loops several, of others one step, or all where whole images are cut."""
    whole = IMAGES in free and not any(loop in nest.axis for loop in free)
    sizes = {loop: (steps if whole and loop in nest.axis else 1,) for loop, steps in nest.sizes}
    every = {loop: tile_sizes(nest.size[loop]) for loop in free}
    most = max(map(len, every.values()))
    while math.prod(min(len(each), most) for each in every.values()) > combinations:
        most -= max(1, most // 16)
    return sizes | {loop: _thinned(each, most) for loop, each in every.items()}


@lru_cache(maxsize=1024)
def tile_sizes(steps: int) -> tuple[int, ...]:
    """The least tile size of a loop for each number of tiles that it can have, in rising order."""
    root = math.isqrt(steps)
    few_tiles = (-(-steps // count) for count in range(1, root + 2))
    return tuple(sorted({*range(1, root + 1), *few_tiles}))


@lru_cache(maxsize=1024)
def _thinned(sizes: tuple[int, ...], most: int) -> tuple[int, ...]:
    """At most `most` of the sizes, evenly by their ratio, with the first and the last."""
    if len(sizes) <= most:
        return sizes
    wanted = np.searchsorted(sizes, np.geomspace(sizes[0], sizes[-1], most) - 0.5)
    return tuple(dict.fromkeys(sizes[place] for place in wanted))


def compulsory_bytes(
    nest: Nest, bits: tuple[int, int, int], external: tuple[bool, bool, bool]
) -> int:
    """What crosses the bus at least: each external operand once."""
    return sum(
        _bytes(nest.elements(operand), width)
        for operand, width, moves in zip(nest.operands, bits, external, strict=True)
        if moves
    )


@dataclass(frozen=True, slots=True)
class FloorTile:
    """At most what tiles take with which each operand moves once.

    Attributes:
        bytes: of each operand; the last one's in partial sums where they are `split`.
        split: whether the tile has not all input channels, so that partial sums stay in the buffer.
    """

    bytes: tuple[int, int, int]
    split: bool

    def buffer_bytes(self, external: tuple[bool, bool, bool], double_buffered: bool = False) -> int:
        """For a choice of external operands."""
        moved = sum(compress(self.bytes, external))
        held = self.bytes[2] if self.split and not external[2] else 0
        return (2 if double_buffered else 1) * moved + held


def floor_tiles(nest: Nest, bits: tuple[int, int, int]) -> list[FloorTile]:
    """The tiles that need no search.

    All weights, with as much input as one row (one place of one axis, all of the others) of one image needs, and that
    row of all output channels; the whole input, with one output channel and its weights; the whole output in partial
    sums, with one input channel and its weights. Of one group. `front` may find a smaller one.
    """
    parts: list[dict[str, int]]
    parts = [{IMAGES: 1, axis: 1} for axis in nest.axis] or [{IMAGES: 1}]
    if TOKENS in nest.size:  # each token needs all weights
        parts = [{IMAGES: 1, TOKENS: 1}]
    else:
        parts += [{OUTPUT_CHANNELS: 1}, {INPUT_CHANNELS: 1}]
    return [_floor_tile(nest, bits, {**nest.size, **part}) for part in parts]


def _floor_tile(nest: Nest, bits: tuple[int, int, int], tile: Mapping[str, int]) -> FloorTile:
    split = tile[INPUT_CHANNELS] < nest.size[INPUT_CHANNELS]
    in_width, weight_width, out_width = bits
    if split:
        out_width = max(PARTIAL_SUM_BITS, out_width)
    spans = {**tile, **{loop: axis.span(tile[loop]) for loop, axis in nest.axis.items()}}
    first, second, last = (
        _bytes(operand.depth * math.prod([sizes[loop] for loop in operand.loops]), width)
        for operand, sizes, width in zip(
            nest.operands, (spans, tile, tile), (in_width, weight_width, out_width), strict=True
        )
    )
    return FloorTile((first, second, last), split)


def _bytes(elements: int, bits: int) -> int:
    return (elements * bits + 7) >> 3
