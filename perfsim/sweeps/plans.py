"""The plans of a policy for any memories: each is made once, for all the memories for which it is the same.

A placement says from how much memory up to how much it holds (`Capacities`), so the breakpoints are found, not sampled:
a memory is looked up between them, and only where none is known the policy is asked.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from threading import Lock
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np

from perfsim.per_object import per_object
from perfsim.timing.output_stage import output_stage
from perfsim.traffic import Moved

if TYPE_CHECKING:
    from perfsim.hardware.machine import Machine
    from perfsim.placement.placement import Placement, PlacementPolicy
    from perfsim.program import Program
    from perfsim.timing.output_stage import OutputStage

Wholes: TypeAlias = np.ndarray[Any, np.dtype[np.int64]]
Numbers: TypeAlias = np.ndarray[Any, np.dtype[np.int32]]

_BUCKETS = (
    1 << 14
)  # of the table that finds most plans without a search; it stays in a core's cache
_UNKNOWN = -1


@dataclass(frozen=True, eq=False)
class Plan:
    """One plan and the memories for which it holds, from `least_bytes` to below `below_bytes`."""

    program: Program
    placement: Placement
    least_bytes: int
    below_bytes: int
    stage: OutputStage | None = None
    write_through: bool = False

    @cached_property
    def traffic(self) -> Moved:
        """What the first inference moves."""
        return Moved(self.program, self.placement, self.stage, self.write_through)

    @cached_property
    def steady_traffic(self) -> Moved:
        """What every further inference moves."""
        return Moved(self.program, self.placement, self.stage, self.write_through, steady=True)

    @cached_property
    def fills_memory(self) -> bool:
        """Whether a layer takes all memory there is, so that the peak is the memory."""
        capacities = self.placement.capacities
        return capacities is not None and bool(capacities.fills.any())

    @cached_property
    def peak_bytes(self) -> int:
        """The most memory in use, where no layer takes all there is."""
        return int(self.placement.sram_used_bytes.max())

    def prefetch_bytes(self, sram_bytes: Wholes, *, steady: bool) -> Wholes:
        """`Moved.prefetch_bytes` for each of so many memories, shape (layers, machines)."""
        moved = self.steady_traffic if steady else self.traffic
        return moved.prefetch_bytes_in(sram_bytes)


class Breakpoints(NamedTuple):
    """The memories at which plans begin and end, by rising memory.

    Attributes:
        least, below, number: from and below which memory each plan holds, and its position among the plans.
        table: for each `memory >> shift` the number of the plan that all those memories have, -1 where they have
            several or it is not known; what lies above has the last one.
    """

    least: Wholes
    below: Wholes
    number: Numbers
    table: Numbers
    shift: int


class Plans:
    """All plans of one program under one policy that have been asked for."""

    def __init__(
        self,
        program: Program,
        policy: PlacementPolicy,
        *,
        double_buffered: bool,
        operators: tuple[str, ...] = (),
        write_through: bool = False,
    ) -> None:
        self._stage = output_stage(program, operators)
        self._write_through = write_through
        self._program, self._policy, self._doubled = program, policy, double_buffered
        self._lock = Lock()
        self.plans: list[Plan] = []
        none = np.zeros(0, dtype=np.int64)
        self.breakpoints = Breakpoints(none, none, none.astype(np.int32), none.astype(np.int32), 0)

    def which(self, sram_bytes: Wholes) -> Numbers:
        """The position in `plans` of the plan for each memory, shape (machines,).

        Raises MemoryTooSmallError where a memory is too small for a layer's smallest tiles.
        """
        found = self._known(sram_bytes)
        missing = sram_bytes[found == _UNKNOWN]
        if len(missing):
            with self._lock:
                self._add(np.sort(missing))
            found = self._known(sram_bytes)
        return found

    def plan(self, sram_bytes: int) -> Plan:
        """The plan for one memory; raises MemoryTooSmallError."""
        return self.plans[int(self.which(np.array([sram_bytes]))[0])]

    def _known(self, sram_bytes: Wholes) -> Numbers:
        """The plans that are known; `_UNKNOWN` for others."""
        least, below, number, table, shift = self.breakpoints
        if not len(least):
            return np.full(len(sram_bytes), _UNKNOWN, dtype=np.int32)
        found = table[np.minimum(sram_bytes >> shift, len(table) - 1)]
        wrong = np.flatnonzero(found == _UNKNOWN)
        if len(wrong):
            asked = sram_bytes[wrong]
            exact = np.searchsorted(least, asked, side="right") - 1
            holds = (exact >= 0) & (asked < below[exact])
            found[wrong] = np.where(holds, number[exact], _UNKNOWN)
        return np.asarray(found)

    def _add(self, sizes: Wholes) -> None:
        """Makes the plans for `sizes`, which rise, where they are not known by now."""
        sizes = sizes[self._known(sizes) == _UNKNOWN]
        at = 0
        made: list[Plan] = []
        while at < len(sizes):
            size = int(sizes[at])
            placed = self._policy.place(self._program, size, double_buffered=self._doubled)
            capacities = placed.capacities
            least_bytes, below_bytes = size, size + 1
            if capacities is not None:
                least_bytes, below_bytes = capacities.least_bytes, capacities.below_bytes
            made.append(
                Plan(
                    self._program,
                    placed,
                    least_bytes,
                    below_bytes,
                    self._stage,
                    self._write_through,
                )
            )
            at = int(np.searchsorted(sizes, below_bytes, side="left"))
        if not made:
            return
        first = len(self.plans)
        self.plans += made
        least, below, number, *_ = self.breakpoints
        number = np.concatenate([number, np.arange(first, len(self.plans), dtype=np.int32)])
        least = np.concatenate([least, [plan.least_bytes for plan in made]])
        below = np.concatenate([below, [plan.below_bytes for plan in made]])
        order = np.argsort(least, kind="stable")
        least, below, number = least[order], below[order], number[order]
        # Above the last breakpoint there is one plan only.
        shift = max(int(least[-1]).bit_length() - _BUCKETS.bit_length() + 1, 0)
        starts = np.arange((int(least[-1]) >> shift) + 2) << shift
        ends = np.append(starts[1:], np.iinfo(np.int64).max)
        place = np.searchsorted(least, starts, side="right") - 1
        is_one = (place >= 0) & (ends <= below[place])
        table = np.where(is_one, number[place], _UNKNOWN).astype(np.int32)
        self.breakpoints = Breakpoints(least, below, number, table, shift)


def plans_of(program: Program, policy: PlacementPolicy, machine: Machine) -> Plans:
    """The plans of `program` under `policy` on machines like this one; the same ones whenever they are asked for."""
    known = _known_plans(program)
    operators = tuple(sorted(machine.extras.output_stage))
    key = (policy, machine.double_buffered, operators, machine.extras.write_through)
    if key not in known:
        known[key] = Plans(
            program,
            policy,
            double_buffered=machine.double_buffered,
            operators=operators,
            write_through=machine.extras.write_through,
        )
    return known[key]


@per_object
def _known_plans(_: Program) -> dict[tuple[PlacementPolicy, bool, tuple[str, ...], bool], Plans]:
    return {}
