"""Buffers that want addresses: what they are, the least height that they need, and whether offsets keep them apart."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from perfsim.errors import InvalidValueError, ShapeError
from perfsim.network.work import LARGEST_COUNT, too_large
from perfsim.placement.placement import Counts

Whole: TypeAlias = Sequence[int] | Counts

FREE = -1  # as a fixed offset: it may be chosen


@dataclass(frozen=True, eq=False)
class Buffers:
    """Buffers, one entry each, arrays of shape (buffers,); made and checked by `make_buffers`.

    Attributes:
        lower, upper: each lives from time `lower` to before `upper`; only the order of times matters.
        size: in bytes.
        alignment: its offset is a multiple of this many bytes.
        fixed: the offset that it must have [bytes], or FREE.
    """

    lower: Counts
    upper: Counts
    size: Counts
    alignment: Counts
    fixed: Counts

    def __len__(self) -> int:
        return len(self.lower)

    def at(self, indices: Counts) -> Buffers:
        """Those at `indices`, in that order."""
        return Buffers(
            self.lower[indices],
            self.upper[indices],
            self.size[indices],
            self.alignment[indices],
            self.fixed[indices],
        )


def make_buffers(
    lower: Whole,
    upper: Whole,
    size: Whole,
    alignment: Whole | None = None,
    fixed: Whole | None = None,
) -> Buffers:
    """Buffers from arrays or lists of whole numbers; alignments are 1 and offsets free unless given.

    >>> make_buffers([0, 2], [3, 4], [100, 50])

    Raises ShapeError for arrays of different lengths; InvalidValueError for `lower` not below `upper`, a negative
    size, an alignment below 1, a fixed offset that is negative or not aligned, and fixed offsets that make two
    buffers overlap; CountError when the sizes with their padding exceed 2^53 bytes together.
    """
    count = len(lower)
    given = {
        "lower": lower,
        "upper": upper,
        "size": size,
        "alignment": [1] * count if alignment is None else alignment,
        "fixed": [FREE] * count if fixed is None else fixed,
    }
    for name, values in given.items():
        if len(values) != count:
            raise ShapeError(f"'{name}'", found=f"{len(values)} values", expected=f"{count}")
    buffers = Buffers(*(np.array(values, dtype=np.int64) for values in given.values()))
    _check(buffers)
    return buffers


def _check(buffers: Buffers) -> None:
    alignment, fixed = buffers.alignment, buffers.fixed
    for wrong, what in (
        (buffers.lower >= buffers.upper, "lower is not below upper"),
        (buffers.size < 0, "the size is negative"),
        (alignment < 1, "the alignment is below 1"),
        (fixed < FREE, "the fixed offset is negative"),
        (
            (fixed != FREE) & (fixed % np.maximum(alignment, 1) != 0),
            "the fixed offset is unaligned",
        ),
    ):
        if wrong.any():
            raise InvalidValueError(what).at(where=f"buffer {int(np.argmax(wrong))}")
    total = sum(buffers.size.tolist()) + sum(alignment.tolist()) + int(fixed.max(initial=0))
    if total > LARGEST_COUNT:
        raise too_large(total, "bytes of all buffers with their padding")
    pair = fixed_overlap(buffers)
    if pair is not None:
        raise InvalidValueError(
            f"its fixed offset lets it overlap buffer {pair[0]}, which lives at the same time"
        ).at(where=f"buffer {pair[1]}")


def fixed_overlap(buffers: Buffers) -> tuple[int, int] | None:
    """Two buffers that their fixed offsets make overlap, the earlier in the arrays first, or None."""
    held = np.flatnonzero(buffers.fixed != FREE)
    pair = first_overlap(buffers.at(held), buffers.fixed[held])
    if pair is None:
        return None
    one, other = sorted(int(held[index]) for index in pair)
    return one, other


def first_overlap(buffers: Buffers, offsets: Counts) -> tuple[int, int] | None:
    """Two buffers that share a byte at one time, or None.

    Time is swept once; those that live at it are kept in the order of their offsets, so that neighbours tell.
    """
    starts = offsets.tolist()
    tops = (offsets + buffers.size).tolist()
    events = [
        event
        for index, (lower, upper) in enumerate(
            zip(buffers.lower.tolist(), buffers.upper.tolist(), strict=True)
        )
        if tops[index] > starts[index]
        for event in ((lower, 1, index), (upper, 0, index))  # what ends at a time is gone by then
    ]
    live: list[tuple[int, int, int]] = []
    for _, begins, index in sorted(events):
        entry = (starts[index], tops[index], index)
        place = bisect_left(live, entry)
        if not begins:
            live.pop(place)
            continue
        if place > 0 and live[place - 1][1] > entry[0]:
            return live[place - 1][2], index
        if place < len(live) and live[place][0] < entry[1]:
            return index, live[place][2]
        insort(live, entry)
    return None


def verify(buffers: Buffers, offsets: Counts) -> str | None:
    """What is wrong with `offsets` [bytes], shape (buffers,), in a sentence; None when nothing is."""
    if offsets.shape != buffers.size.shape:
        return f"{offsets.shape} offsets for {len(buffers)} buffers"
    for wrong, what in (
        (offsets < 0, "lies below 0"),
        (offsets % buffers.alignment != 0, "is not aligned"),
        ((buffers.fixed != FREE) & (offsets != buffers.fixed), "is not where it must be"),
    ):
        if wrong.any():
            return f"buffer {int(np.argmax(wrong))} {what}"
    pair = first_overlap(buffers, offsets)
    return None if pair is None else f"buffers {pair[0]} and {pair[1]} overlap"


def height(buffers: Buffers, offsets: Counts) -> int:
    """The highest end [bytes]; 0 without buffers."""
    return int((offsets + buffers.size).max(initial=0))


def least_height(buffers: Buffers) -> int:
    """A lower bound on the height [bytes]: the largest sum of sizes live at one time.

    Where every alignment is a multiple of some A, each size but that of the topmost is rounded up to a multiple of A,
    since the next one starts at such a multiple.
    """
    if not len(buffers):
        return 0
    unit = int(np.gcd.reduce(buffers.alignment))
    padding = -buffers.size % unit
    held = buffers.fixed != FREE
    least = int(np.where(held, buffers.fixed + buffers.size, buffers.size).max())
    times, live_bytes = _live(buffers, buffers.size + padding)
    for index in np.argsort(-live_bytes, kind="stable").tolist():
        if int(live_bytes[index]) - (unit - 1) <= least:
            break
        live = (buffers.lower <= times[index]) & (times[index] < buffers.upper)
        least = max(
            least, int(live_bytes[index]) - int(padding[live & (buffers.size > 0)].max(initial=0))
        )
    return least


def _live(buffers: Buffers, sizes: Counts) -> tuple[Counts, Counts]:
    """The times at which what lives changes, and the sum of the `sizes` live from each of them on."""
    times, places = np.unique(np.concatenate([buffers.lower, buffers.upper]), return_inverse=True)
    changes = np.zeros(len(times), dtype=np.int64)
    np.add.at(changes, places[: len(buffers)], sizes)
    np.subtract.at(changes, places[len(buffers) :], sizes)
    return times, np.cumsum(changes)


def components(buffers: Buffers) -> list[Counts]:
    """The indices of the buffers in groups that share no moment; each can be planned by itself."""
    order = np.argsort(buffers.lower, kind="stable")
    latest = np.maximum.accumulate(buffers.upper[order])
    cuts = np.flatnonzero(buffers.lower[order][1:] >= latest[:-1]) + 1
    return np.split(order, cuts) if len(buffers) else []


def by_contention(buffers: Buffers) -> Counts:
    """The largest sum of sizes live at one time of each buffer's life, shape (buffers,)."""
    times, live_bytes = _live(buffers, buffers.size)
    first = np.searchsorted(times, buffers.lower)
    beyond = np.searchsorted(times, buffers.upper)
    spans = np.stack([first, beyond], axis=1).ravel()
    return np.maximum.reduceat(live_bytes, spans)[::2]
