"""The address planner: byte offsets for buffers so that no two that live at the same time overlap.

docs/addresses.md has the algorithm, its sources and what is guaranteed.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from perfsim.errors import InvalidValueError, unknown_name
from perfsim.network.work import LARGEST_COUNT
from perfsim.placement.address_buffers import Buffers, components, height, least_height, verify
from perfsim.placement.address_greedy import greedy_plans
from perfsim.placement.placement import Counts

SEARCHES: Mapping[str, str] = {
    "auto": "greedy orders, then the exact search where they leave a gap",
    "greedy": "greedy orders alone",
    "exact": "the exact search at once",
    "cp-sat": "greedy orders, then the solver CP-SAT (extra 'solver')",
}

_GREEDY_SHARE = 0.25  # of the time limit, at most, where a search follows


@dataclass(frozen=True, eq=False)
class AddressPlan:
    """Where each buffer lies, and how far that is from the least height there can be.

    Attributes:
        offsets: of each buffer [bytes], shape (buffers,); verified. Where `fits` is false they are the best found.
        peak_bytes: the highest end.
        bound_bytes: it is proven that no plan is lower.
        capacity_bytes: what was asked for, or None.
        method: the search that gave the offsets: greedy, exact or cp-sat.
        nodes: how many nodes were searched.
        seconds: what it took.
    """

    offsets: Counts
    peak_bytes: int
    bound_bytes: int
    capacity_bytes: int | None
    method: str
    nodes: int
    seconds: float

    @property
    def fits(self) -> bool:
        """Whether the plan keeps within the capacity; true when none was given."""
        return self.capacity_bytes is None or self.peak_bytes <= self.capacity_bytes

    @property
    def is_optimal(self) -> bool:
        """Whether it is proven that no plan is lower."""
        return self.peak_bytes == self.bound_bytes

    @property
    def is_ruled_out(self) -> bool:
        """Whether it is proven that no plan keeps within the capacity."""
        return self.capacity_bytes is not None and self.bound_bytes > self.capacity_bytes

    @property
    def gap_bytes(self) -> int:
        """By how much the peak may exceed the least height there can be."""
        return self.peak_bytes - self.bound_bytes


def check_search(name: str) -> None:
    """Raise UnknownNameError when there is no such search."""
    if name not in SEARCHES:
        raise unknown_name("search", name, SEARCHES)


class GroupSearch(Protocol):
    """A search for a group of buffers; `ExactSearch` says what each part means."""

    offsets: Counts
    peak: int
    bound: int
    nodes: int
    node_limit: float

    def is_affordable(self, seconds: float) -> bool: ...

    def decide(self, capacity: int, deadline_s: float) -> None: ...

    def minimise(self, goal: int, deadline_s: float) -> None: ...


def plan_addresses(
    buffers: Buffers,
    capacity_bytes: int | None = None,
    *,
    search: str = "auto",
    time_limit_s: float = 60.0,
    node_limit: int | None = None,
) -> AddressPlan:
    """Offsets for `buffers` within `capacity_bytes`, or as low as is found when None is given.

    >>> plan_addresses(make_buffers([0, 0, 2], [2, 3, 3], [4, 4, 4])).peak_bytes
    8

    search: one of SEARCHES. time_limit_s: after about so many seconds the best found is given out; the first greedy
    order is always finished. node_limit: where it is given, the exact search ends after so many nodes and nothing looks
    at the clock, so that equal buffers have equal plans on every machine.

    That nothing fits is no error: `fits` is false, and `is_ruled_out` says whether it is
    proven. Raises UnknownNameError for the search, InvalidValueError for a capacity that is negative or above 2^53,
    MissingExtraError.
    """
    check_search(search)
    if capacity_bytes is not None and not 0 <= capacity_bytes <= LARGEST_COUNT:
        raise InvalidValueError(
            "", found=f"a capacity of {capacity_bytes} bytes", expected="from 0 to 2^53"
        )
    start_s = time.monotonic()
    if node_limit is not None:
        time_limit_s = math.inf
    greedy_s = time_limit_s * (1.0 if search == "greedy" else _GREEDY_SHARE)
    planning = _Planning(
        buffers, capacity_bytes, start_s + greedy_s, start_s + time_limit_s, node_limit
    )
    planning.run(search)
    fault = verify(buffers, planning.offsets)
    if fault is not None:
        raise RuntimeError(f"the search '{search}' gave a wrong plan: {fault}")
    return AddressPlan(
        offsets=planning.offsets,
        peak_bytes=height(buffers, planning.offsets),
        bound_bytes=planning.bound,
        capacity_bytes=capacity_bytes,
        method=planning.method,
        nodes=planning.nodes,
        seconds=time.monotonic() - start_s,
    )


class _Planning:
    """A plan in the making."""

    def __init__(
        self,
        buffers: Buffers,
        capacity: int | None,
        greedy_until_s: float,
        deadline_s: float,
        node_limit: int | None,
    ) -> None:
        self._buffers, self._capacity = buffers, capacity
        self._greedy_until_s, self._deadline_s = greedy_until_s, deadline_s
        self._node_limit = math.inf if node_limit is None else node_limit
        self.offsets = np.maximum(buffers.fixed, 0)  # where those without bytes lie
        self.bound = least_height(buffers)
        self.method, self.nodes = "greedy", 0
        sized = np.flatnonzero(buffers.size > 0)
        self._groups = [sized[group] for group in components(buffers.at(sized))]

    def run(self, search: str) -> None:
        """Plan all groups by greedy orders and, unless the search is that alone, those that it leaves too high."""
        peaks = [
            self._place_greedily(group, only_first=search == "exact") for group in self._groups
        ]
        if search == "greedy" or self._is_ruled_out():
            return
        high = sorted(
            ((peak, index) for index, peak in enumerate(peaks) if peak > self._goal()), reverse=True
        )
        done = max((peak for peak in peaks if peak <= self._goal()), default=0)
        for turn, (_, index) in enumerate(high):
            left_s = max(0.0, self._deadline_s - time.monotonic()) / (len(high) - turn)
            done = max(done, self._search(self._groups[index], search, done, left_s))
            if self._is_ruled_out():
                return

    def _goal(self) -> int:
        return self.bound if self._capacity is None else self._capacity

    def _is_ruled_out(self) -> bool:
        return self._capacity is not None and self.bound > self._capacity

    def _place_greedily(self, group: Counts, *, only_first: bool) -> int:
        """Give the group the best of the greedy plans, until one is good enough; its height [bytes]."""
        buffers = self._buffers.at(group)
        best = None
        for _, offsets in greedy_plans(buffers):
            peak = height(buffers, offsets)
            if best is None or peak < best:
                best = peak
                self.offsets[group] = offsets
            if best <= self._goal() or only_first or time.monotonic() > self._greedy_until_s:
                break
        return best or 0

    def _search(self, group: Counts, search: str, done: int, left_s: float) -> int:
        """Search for a better plan of the group for so many seconds; its height [bytes].

        done: a height that the whole has anyway [bytes].
        """
        buffers = self._buffers.at(group)
        deadline_s = time.monotonic() + left_s
        road, make = _road(search)
        found = make(buffers, self.offsets[group], least_height(buffers))
        found.node_limit = self._node_limit - self.nodes
        before = found.peak
        if found.is_affordable(left_s):
            if self._capacity is None:
                found.minimise(max(done, self.bound), deadline_s)
            else:
                found.decide(self._capacity, deadline_s)
        self.nodes += found.nodes
        self.bound = max(self.bound, found.bound)
        if found.peak < before:
            self.offsets[group] = found.offsets
            self.method = road
        return found.peak


def _road(search: str) -> tuple[str, Callable[[Buffers, Counts, int], GroupSearch]]:
    """The name of the road that a search takes where greedy orders do not reach, and what goes it."""
    if search == "cp-sat":
        from perfsim.placement.address_cp_sat import CpSatSearch

        return "cp-sat", CpSatSearch
    from perfsim.placement.address_exact import ExactSearch

    return "exact", ExactSearch
