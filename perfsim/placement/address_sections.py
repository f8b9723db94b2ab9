"""A group of buffers as the search sees it, and the search run on it, by numba where it is installed."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from typing import Any, TypeAlias

import numpy as np

from perfsim.placement import address_search
from perfsim.placement.address_buffers import FREE, Buffers
from perfsim.placement.address_search import TOO_DEEP, search
from perfsim.placement.address_state import Problem, State
from perfsim.placement.placement import Counts

Search: TypeAlias = Callable[..., int]

# what the search calls, and numba must know
_PARTS = (
    address_search.find_earliest,
    address_search.sort_queue,
    address_search.infer_levels,
    address_search.choose_section,
    address_search.list_options,
    address_search.lift_target,
    address_search.component_of,
    address_search.open_frame,
    address_search.take_branch,
    address_search.retreat,
)


def has_numba() -> bool:
    """Whether numba is installed; it is not loaded for that."""
    return find_spec("numba") is not None


@cache
def compiled_search() -> Search:
    """`address_search.search` as numba compiles it, kept on disk for later processes."""
    from numba import njit
    from numba.extending import register_jitable

    for part in _PARTS:
        register_jitable(part)
    compiled: Search
    try:
        compiled = njit(cache=True)(search)
    except RuntimeError:  # there is no folder to keep it in that can be written to
        compiled = njit(search)
    return compiled


class Sections:
    """Buffers with times cut into sections, in each of which the live buffers are the same, and sizes in units.

    Of neighbouring sections only those are kept whose buffers do not all live in another one too.

    Attributes:
        unit: all sizes and offsets are multiples of it [bytes].
        count: how many sections there are.
        pairs: how many (buffer, section) pairs; a node takes about so many steps.
    """

    def __init__(self, buffers: Buffers) -> None:
        """buffers: none of size 0."""
        self.unit = unit = unit_bytes(buffers)
        fixed = np.where(buffers.fixed == FREE, FREE, buffers.fixed // unit)
        columns = (*spans(buffers), buffers.size // unit, -(-buffers.alignment // unit), fixed)
        rows = list(zip(*(column.tolist() for column in columns), strict=True))
        twins, latest = [], dict[tuple[int, ...], int]()
        for index, row in enumerate(rows):
            twins.append(latest.get(row, -1) if row[-1] == FREE else -1)
            latest[row] = index
        first, last, size, alignment, offsets = map(list, zip(*rows, strict=True))
        held = [index for index, offset in enumerate(offsets) if offset != FREE]
        held.sort(key=lambda index: offsets[index])
        self._problem = Problem(first, last, size, alignment, offsets, held, twins)
        self.count = max(last)
        self.pairs = sum(last) - sum(first)
        self._depth = 3 * len(rows) + 100

    def search(
        self,
        run: Search,
        keys: list[float],
        weights: list[float],
        fit: float,
        capacity: int,
        node_limit: int,
    ) -> tuple[int, list[int], int]:
        """What `address_search.search`, as is or compiled, answers, the offsets in units, and the number of nodes.

        `weights`, of shape (sections,), grow.
        """
        while True:
            problem, state = self._problem, self._state()
            ordering: tuple[Any, Any] = keys, weights
            if run is not search:
                problem = Problem(*map(_array, problem))
                state = State(*map(_array, state))
                ordering = _array(keys), _array(weights)
            answer = run(problem, state, *ordering, fit, capacity, node_limit)
            weights[:] = [float(each) for each in ordering[1]]
            if answer != TOO_DEEP:
                return answer, [int(each) for each in state.offset], int(state.counts[0])
            self._depth *= 2

    def _state(self) -> State:
        buffers, sections, depth = len(self._problem.first), self.count, self._depth
        return State(
            placed=[0] * buffers,
            offset=[0] * buffers,
            earliest=[0] * buffers,
            queue=list(range(buffers)),
            floor=[0] * sections,
            level=[0] * sections,
            level_above=[0] * sections,
            options=[0] * sections,
            load=[0] * sections,
            crossing=[0] * sections,
            trail_section=[0] * (self.pairs + depth),
            trail_floor=[0] * (self.pairs + depth),
            stack=[0] * (4 * depth),
            stack_key=[0.0] * (4 * depth),
            frame_section=[0] * depth,
            frame_level=[0] * depth,
            frame_lift=[0] * depth,
            frame_next=[0] * depth,
            frame_end=[0] * depth,
            frame_trail=[0] * depth,
            frame_choice=[0] * depth,
            frame_from=[0] * depth,
            frame_to=[0] * depth,
            counts=[0],
        )


def unit_bytes(buffers: Buffers) -> int:
    """The largest number of bytes that divides every size, every fixed offset and what aligning can give."""
    held = buffers.fixed[buffers.fixed != FREE]
    unit = int(np.gcd.reduce(np.concatenate([buffers.size, held])))
    if (unit % buffers.alignment).any():
        unit = int(np.gcd(unit, np.gcd.reduce(buffers.alignment)))
    return unit


def spans(buffers: Buffers) -> tuple[Counts, Counts]:
    """The sections of each buffer: first, last (exclusive), shape (buffers,).

    A section that begins where none starts, or ends where none ends, has no buffers that its neighbour lacks.
    """
    times = np.unique(np.concatenate([buffers.lower, buffers.upper]))
    kept = np.isin(times[:-1], buffers.lower) & np.isin(times[1:], buffers.upper)
    before = np.concatenate([[0], np.cumsum(kept)])
    return before[np.searchsorted(times, buffers.lower)], before[
        np.searchsorted(times, buffers.upper)
    ]


def _array(values: list[Any]) -> np.ndarray[Any, Any]:
    """The array that numba was compiled for: 64 bits, whole numbers also where there are none."""
    is_float = bool(values) and isinstance(values[0], float)
    return np.array(values, dtype=np.float64 if is_float else np.int64)
