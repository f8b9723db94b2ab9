"""Which layers belong together: blocks, found in the names of layers."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, groupby

MOST_BLOCKS = 40  # that a picture can name
_TO = " … "

_LEVELS = re.compile(r"[/.]+")
_LEVELS_OR_STEMS = re.compile(r"[/._]+")
_ENDING = re.compile(r"\d+$")

Path = tuple[str, ...]


@dataclass(frozen=True)
class Block:
    """Layers that stand one behind the other and belong together.

    Attributes:
        name: what their names have in common, or the first and the last of them.
        first, end: positions of the first layer and of the one behind the last.
    """

    name: str
    first: int
    end: int


def blocks_of(names: Sequence[str], most: int = MOST_BLOCKS) -> list[Block]:
    """The blocks that layers of these names form, in order, each layer in one.

    A name is read as a path: parts between ``/`` and ``.`` (between ``_`` too where no name has either), a number
    belonging to the part before it: ``stage1.block.2.conv1`` is the layer conv1 of block.2 of stage1. Neighbours on a
    common path form a block; one that holds nothing but blocks of more than one layer is taken apart as long as there
    are at most `most`.
    Neighbours without a path belong together when their names end in the same number (dw3, pw3), and single ones
    between blocks are one block. Where there are more blocks than `most` even so, neighbouring ones are put together.
    """
    if any("." in name or "/" in name for name in names):
        paths = [_path(name, _LEVELS) for name in names]
    else:
        paths = [_path(name, _LEVELS_OR_STEMS) for name in names]
        if 2 * len(_blocks(names, paths, 1, most)) > len(names):
            paths = [()] * len(names)  # the _ is within words: batch_norm
    blocks = _blocks(names, paths, 1, most)
    for depth in range(2, max(map(len, paths), default=0) + 1):
        deeper = _blocks(names, paths, depth, most)
        if len(deeper) > most:
            break
        blocks = deeper
    return _joined(blocks, most)


def _path(name: str, split: re.Pattern[str]) -> Path:
    """The parts of a name before its last."""
    parts: list[str] = []
    for part in filter(None, split.split(name)):
        if part.isdecimal() and parts:
            parts[-1] += f".{part}"
        else:
            parts.append(part)
    return tuple(parts[:-1])


def _whole(paths: Sequence[Path]) -> set[Path]:
    """The paths that are not taken apart: they have layers of their own, or nothing but single layers below them."""
    layers = Counter(path[:length] for path in paths for length in range(1, len(path) + 1))
    deeper = {path[:-1] for path, count in layers.items() if count > 1}
    return (set(layers) - deeper) | set(paths)


def _blocks(names: Sequence[str], paths: Sequence[Path], depth: int, most: int) -> list[Block]:
    """The blocks on paths of at most `depth` parts, not beyond those that stay whole."""
    whole = _whole(paths)

    def key(position: int) -> Path:
        path = paths[position][:depth]
        starts = (path[:length] for length in range(1, len(path)))
        return next((start for start in starts if start in whole), path)

    found: list[Block] = []
    for path, group in groupby(range(len(names)), key):
        positions = list(group)
        if path:
            found.append(Block(".".join(path), positions[0], positions[-1] + 1))
        else:
            found += _without_path(names, positions, most)
    return found


def _without_path(names: Sequence[str], positions: list[int], most: int) -> list[Block]:
    """The blocks of neighbouring layers whose names are no paths."""

    def ending(position: int) -> str:
        number = _ENDING.search(names[position])
        return number[0] if number else ""

    runs = [list(group) for _, group in groupby(positions, ending)]
    longest = max(len(names) // most, most)  # of a block whose layers have nothing in common
    found: list[Block] = []
    for is_alone, group in groupby(runs, lambda run: len(run) == 1 or not ending(run[0])):
        for run in [list(chain.from_iterable(group))] if is_alone else list(group):
            for start in range(run[0], run[-1] + 1, longest):
                end = min(start + longest, run[-1] + 1)
                found.append(Block(_span(names[start], names[end - 1]), start, end))
    return found


def _joined(blocks: list[Block], most: int) -> list[Block]:
    """`blocks` with neighbours put together where there are more than `most`."""
    step = -(-len(blocks) // most)
    if step < 2:
        return blocks
    groups = [blocks[start : start + step] for start in range(0, len(blocks), step)]
    return [
        Block(_span(group[0].name, group[-1].name), group[0].first, group[-1].end)
        for group in groups
    ]


def _span(first: str, last: str) -> str:
    return first if first == last else f"{first.partition(_TO)[0]}{_TO}{last.rpartition(_TO)[2]}"
