"""The exact road to addresses: restarts of the depth-first search, at one height or at falling ones."""

from __future__ import annotations

import math
import random
import time

import numpy as np

from perfsim.placement.address_buffers import Buffers, by_contention, height
from perfsim.placement.address_search import EXHAUSTED, FOUND, search
from perfsim.placement.address_sections import Sections, compiled_search, has_numba
from perfsim.placement.placement import Counts

_FIRST_STEPS = 400_000  # of the first restart, in plain Python; numba takes longer to load
_FEW_STEPS = 3_000_000  # no more in all: plain Python takes about as long as numba takes to load, not to compile
_RESTART_NODES = 10  # the unit of the later restarts' lengths, per buffer
_AFFORDABLE_S = 10.0
_STEPS_PER_S = 5e6  # of plain Python, a little less than it does
_COMPILED_STEPS_PER_S = 1e8
_NOISE = 0.1  # standard deviation by which they shuffle the ranks, as a share of all ranks


class ExactSearch:
    """A group of buffers while heights are tried for it.

    Attributes:
        offsets: the best plan so far [bytes], shape (buffers,).
        peak: its height [bytes].
        bound: no plan is lower [bytes].
        nodes: how many nodes were searched.
        node_limit: after how many the search ends; infinite where the clock alone ends it.
    """

    def __init__(self, buffers: Buffers, offsets: Counts, bound: int) -> None:
        """buffers: none of size 0; offsets, bound: a plan and a bound to begin with [bytes]."""
        self.offsets, self.peak, self.bound, self.nodes = (
            offsets,
            height(buffers, offsets),
            bound,
            0,
        )
        self.node_limit = math.inf
        self._buffers = buffers
        self._sections = Sections(buffers)
        self._ranks = _ranks(buffers)
        self._weights = [[1.0] * self._sections.count for _ in self._ranks]
        self._restarts = 0
        self._has_numba = has_numba()
        self._nodes_per_s = _STEPS_PER_S / self._sections.pairs  # a guess, then what was measured
        self._random = random.Random(0)

    def is_affordable(self, seconds: float) -> bool:
        """Whether one way down, a node for each buffer, can be expected to take less time than that.

        Where the clock does not count: less than `_AFFORDABLE_S` without numba.
        """
        if self.node_limit < math.inf:
            return bool(len(self._buffers) * self._sections.pairs < _AFFORDABLE_S * _STEPS_PER_S)
        speed = _COMPILED_STEPS_PER_S if self._has_numba else _STEPS_PER_S
        return bool(len(self._buffers) * self._sections.pairs < seconds * speed)

    def decide(self, capacity: int, deadline_s: float) -> None:
        """Restart until `peak` is at most `capacity` or `bound` is above it; time.monotonic() ends it at `deadline_s`.

        Every fourth restart aims half-way between the peak and the capacity, so that what is found in vain is low.
        """
        while self.bound <= capacity < self.peak and self._goes_on(deadline_s):
            is_fourth = self._restarts % 4 == 3
            self._restart((capacity + self.peak) // 2 if is_fourth else capacity, deadline_s)

    def minimise(self, goal: int, deadline_s: float) -> None:
        """Restart until `peak` is at most `goal` or equals `bound`; time.monotonic() ends it at `deadline_s`.

        Every other restart aims at the least height that is left; the rest aim below the peak, first by half of the
        gap, then, while that fails, by half of that.
        """
        halvings, aims_low = 1, True
        while self.peak > max(goal, self.bound) and self._goes_on(deadline_s):
            least, peak, unit = max(self.bound, goal), self.peak, self._sections.unit
            step = unit * max(1, (peak - least) // unit >> halvings)
            self._restart(least if aims_low else peak - step, deadline_s)
            if not aims_low:
                halvings = 1 if self.peak < peak or step == unit else halvings + 1
            aims_low = not aims_low

    def _goes_on(self, deadline_s: float) -> bool:
        return self.nodes < self.node_limit and time.monotonic() < deadline_s

    def _restart(self, capacity: int, deadline_s: float) -> None:
        """One restart at `capacity`; takes over what it finds or rules out."""
        turn, order = divmod(self._restarts, len(self._ranks))
        keys = self._ranks[order]
        if turn:
            keys = [key + self._random.gauss(0.0, _NOISE * len(keys)) for key in keys]
        fit = 0.0 if self._restarts % 2 else float(len(keys))
        start_s = time.monotonic()
        pairs = self._sections.pairs
        run, node_limit = search, _RESTART_NODES * len(keys) * luby(turn + 1)
        if not self._restarts:
            node_limit = max(1, _FIRST_STEPS // pairs)
        elif self._has_numba and self.node_limit * pairs > _FEW_STEPS:
            run = compiled_search()
            if self._restarts == 1:
                self._nodes_per_s = _COMPILED_STEPS_PER_S / pairs
        if self.node_limit < math.inf:
            node_limit = min(node_limit, int(self.node_limit) - self.nodes)
        else:
            left_s = max(0.0, deadline_s - start_s)
            node_limit = min(node_limit, 1 + int(self._nodes_per_s * left_s))
        unit = self._sections.unit
        answer, offsets, nodes = self._sections.search(
            run, keys, self._weights[order], fit, capacity // unit, node_limit
        )
        self._restarts += 1
        self._nodes_per_s = nodes / max(time.monotonic() - start_s, 1e-6)
        self.nodes += nodes
        if answer == FOUND:
            self.offsets = unit * np.array(offsets, dtype=np.int64)
            self.peak = height(self._buffers, self.offsets)
        elif answer == EXHAUSTED:
            self.bound = max(self.bound, unit * (capacity // unit + 1))


def _ranks(buffers: Buffers) -> list[list[float]]:
    """The rank of each buffer in the orders in which the options at a section are tried."""
    life, size, contention = buffers.upper - buffers.lower, buffers.size, by_contention(buffers)
    area = life.astype(np.float64) * size
    orders = (
        (life, area, contention),
        (contention, area, life),
        (contention, life, area),
        (size, life, contention),
        (area, contention, life),
    )
    ranks = []
    for keys in orders:
        order = np.lexsort([-key for key in reversed(keys)])
        rank = np.empty(len(order))
        rank[order] = np.arange(len(order))
        ranks.append(rank.tolist())
    return ranks


def luby(index: int) -> int:
    """The sequence 1, 1, 2, 1, 1, 2, 4, ... of restart lengths, from 1 (Luby, Sinclair, Zuckerman, IPL 47, 1993)."""
    power = index.bit_length()
    if index == 2**power - 1:
        return int(2 ** (power - 1))
    return luby(index - 2 ** (power - 1) + 1)
