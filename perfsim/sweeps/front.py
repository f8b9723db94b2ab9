"""The points that no other point beats: as good in every cost, and better in one.

Points come in blocks; nothing but the front of those seen so far is kept. Of points with the same costs the first one
stays.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from perfsim.sweeps.evaluation import Columns
    from perfsim.sweeps.study import Study

Array: TypeAlias = np.ndarray[Any, Any]

_JUDGES = 12  # points of the front that every new point is held against first
_STAIRS = (
    12  # bits: with two costs it is held against the whole front, the first cost in so many steps
)
_AT_ONCE = 1 << 22  # comparisons
_CELLS, _CELLS_PER_POINT = (
    1 << 22,
    4,
)  # of a table with a cell for each combination of costs, at most
BLOCK = 1 << 18  # points that each thread has in memory


def non_dominated(costs: Array) -> Array:
    """The positions of the points that no other one beats, costs of shape (points, costs), the smaller the better.

    >>> non_dominated(np.array([[1, 3], [2, 2], [3, 3], [2, 2]]))
    array([0, 1])
    """
    if not len(costs):
        return np.zeros(0, dtype=np.int64)
    # A point can only be beaten by one that stands before it in this order; of equals the first stands first.
    order = np.lexsort((np.arange(len(costs)), *costs.T[::-1]))
    ordered = costs[order]
    if costs.shape[1] <= 2:
        last = ordered[:, -1]
        best = np.minimum.accumulate(last)
        kept = np.ones(len(order), dtype=bool)
        kept[1:] = last[1:] < best[:-1]
        return np.sort(order[kept])
    ranks = [np.unique(cost, return_inverse=True)[1] for cost in ordered.T]
    fewest = sorted(range(len(ranks)), key=lambda cost: int(ranks[cost].max()))
    sizes = [int(ranks[cost].max()) + 1 for cost in fewest[:-1]]
    if math.prod(sizes) <= max(_CELLS_PER_POINT * len(order), _CELLS):
        places = tuple(ranks[cost] for cost in fewest[:-1])
        kept = _least_of_grid(places, sizes, ordered[:, fewest[-1]])
        return np.sort(order[kept])
    front = np.zeros((0, costs.shape[1]))
    found = []
    size = 256
    for start in range(0, len(order), size):
        block = ordered[start : start + size]
        left = np.flatnonzero(~_beaten(block, front))
        among = block[left]
        inner = (among[:, np.newaxis] >= among).all(axis=2)  # [i, j]: j is as good as i
        left = left[~np.tril(inner, -1).any(axis=1)]
        found.append(order[start + left])
        front = np.concatenate([front, block[left]])
    return np.sort(np.concatenate(found))


def _least_of_grid(places: tuple[Array, ...], sizes: Sequence[int], cost: Array) -> Array:
    """Whether each point is better in one cost than all that are as good in the others, of which there are few values.

    places: of each point the ranks of its other costs, arrays of shape (points,), below `sizes`. Of points that are
    equal in all costs the first is. One table of the least cost of each cell, made the least of all cells that are as
    good: what a point has to be better than stands in the cells one step below its own.
    """
    least = np.full(sizes, np.inf)
    np.minimum.at(least, places, cost)
    cell = np.ravel_multi_index(places, sizes)
    best = cost == least.ravel()[cell]
    first = np.zeros(len(cost), dtype=bool)
    at = np.flatnonzero(best)
    first[at[np.unique(cell[at], return_index=True)[1]]] = True
    for axis in range(len(sizes)):
        np.minimum.accumulate(least, axis=axis, out=least)
    for axis in range(len(sizes)):
        below = tuple(place - (at == axis) for at, place in enumerate(places))
        first &= (places[axis] == 0) | (
            cost < least[below]
        )  # below 0 it is the last, and is not looked at
    return first


def _beaten(costs: Array, judges: Array) -> Array:
    """Whether each point is no better in any cost than one of the judges."""
    beaten = np.zeros(len(costs), dtype=bool)
    step = max(_AT_ONCE // max(len(costs), 1), 1)
    for start in range(0, len(judges), step):
        part = judges[start : start + step]
        worse = np.ones((len(costs), len(part)), dtype=bool)
        for cost in range(costs.shape[1]):
            worse &= costs[:, cost, np.newaxis] >= part[:, cost]
        beaten |= worse.any(axis=1)
    return beaten


class Front:
    """The front of all points that were added, and their rows.

    New points wait until they are as many as the front has, so that a large front is not gone through for each block.
    """

    def __init__(self) -> None:
        self._costs: Array = np.zeros((0, 0))
        self._numbers: Array = np.zeros(0, dtype=np.int64)  # of their blocks, for their order
        self._rows: Columns = {}
        self._waiting: list[tuple[Array, Array, Columns]] = []

    def add(self, number: int, costs: Array, rows: Columns) -> None:
        """Add the points of a block; number: of the block, by which of equal points one is the first."""
        self._waiting.append((costs, np.full(len(costs), number), rows))
        if sum(len(each) for each, _, _ in self._waiting) >= len(self._numbers):
            self._merge()

    def _merge(self) -> None:
        parts = [(self._costs, self._numbers, self._rows)] * bool(self._rows) + self._waiting
        self._waiting = []
        costs, numbers = (np.concatenate([part[at] for part in parts]) for at in (0, 1))
        order = np.argsort(numbers, kind="stable")
        kept = order[non_dominated(costs[order])]
        self._rows = {
            name: np.concatenate([rows[name] for _, _, rows in parts])[kept] for name in parts[0][2]
        }
        self._costs, self._numbers = costs[kept], numbers[kept]

    def __len__(self) -> int:
        return len(self._numbers)

    def rows(self) -> Columns:
        """The rows of the front, by rising costs, the first one first."""
        if self._waiting:
            self._merge()
        order = np.lexsort((self._numbers, *self._costs.T[::-1]))
        return {name: values[order] for name, values in self._rows.items()}

    def not_beaten(self, number: int, costs: Sequence[Array]) -> Array:
        """The positions of the points of a block that blocks before it may not beat; costs one after the other.

        That is quick and leaves some that are beaten: `non_dominated` has the last word.
        """
        earlier = self._costs[self._numbers < number]
        if not len(earlier):
            return np.arange(len(costs[0]))
        if len(costs) == 2:
            return np.flatnonzero(costs[1] < _limits(earlier, costs[0]))
        left = np.arange(len(costs[0]))
        judges = np.linspace(0, len(earlier) - 1, min(_JUDGES, len(earlier))).astype(np.int64)
        for judge in earlier[judges]:
            better = costs[0] < judge[0]
            for cost, limit in zip(costs[1:], judge[1:], strict=True):
                better |= cost < limit
            left = left[better]
            costs = [cost[better] for cost in costs]
        return left


def front_of(
    study: Study,
    *,
    threads: int | None = None,
    progress: Callable[[int, int], None] = lambda _done, _rows: None,
) -> Columns:
    """The rows of a study that no other row beats in its costs, by rising costs, the first one first.

    progress: told after each block how many points are done and how many rows the front has.

    As many blocks as there are threads are in memory at once, and the front. Raises what `Study.rows` does,
    and InvalidValueError for a cost that is not finite.
    """
    front = Front()
    workers = threads or os.cpu_count() or 1

    def reduced(number: int) -> tuple[int, Array, Columns]:
        rows = study.rows(number * BLOCK, min((number + 1) * BLOCK, study.count))
        count = len(rows["network"])
        costs = [
            np.broadcast_to(each.of(rows), count).astype(np.float64, copy=False)
            for each in study.costs
        ]
        kept = front.not_beaten(number, costs)
        left = np.stack([cost[kept] for cost in costs], axis=1)
        best = non_dominated(left)
        kept = kept[best]
        return number, left[best], {name: values[kept] for name, values in rows.items()}

    with ThreadPoolExecutor(workers) as pool:
        numbers = iter(range(-(-study.count // BLOCK)))
        running: set[Future[tuple[int, Array, Columns]]] = set()
        done = 0
        while True:
            while len(running) < workers and (number := next(numbers, None)) is not None:
                running.add(pool.submit(reduced, number))
            if not running:
                break
            finished, running = wait(running, return_when=FIRST_COMPLETED)
            for each in finished:
                front.add(*each.result())
                done += BLOCK
                progress(min(done, study.count), len(front))
    return front.rows()


def _limits(front: Array, first: Array) -> Array:
    """For each first cost the least second cost of a front of two, shape (points, 2), at lower steps of the first.

    A step is a range of floats with the same leading bits, so a point of a lower step has a lower cost.
    """
    steps = _ordinals(front[:, 0])
    low, high = int(steps.min()), int(steps.max())
    shift = max((high - low).bit_length() - _STAIRS, 0)
    count = ((high - low) >> shift) + 1
    least = np.full(count + 2, np.inf)  # below the front, its steps, above it
    np.minimum.at(least, ((steps - low) >> shift).astype(np.int64) + 2, front[:, 1])
    least = np.minimum.accumulate(least)
    asked = _ordinals(first)
    step = np.clip(asked, low, min(low + (count << shift), 2**64 - 1))
    step -= low
    step >>= shift
    step += 1
    step *= asked >= low
    return np.asarray(least[step.astype(np.int64)])


def _ordinals(values: Array) -> Array:
    """Unsigned whole numbers in the order of 64-bit floats that are no NaN, a difference of 1 for neighbours."""
    bits = (values + 0.0).view(np.int64)  # -0 becomes 0
    turned: Array = (bits >> 63).view(np.uint64) | np.uint64(1 << 63)
    return turned ^ bits.view(np.uint64)
