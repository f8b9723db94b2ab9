"""The least memory with which one machine is fast enough, to the byte, under any placement and timing.

Over memories the time is a step function with the plans as steps, and under `pipelined` a piecewise linear one inside a
plan: what of the weights comes in early goes with the memory. More memory is not always faster there. Weights of a
layer that waits for all of them are never later for coming in early. But those of a layer that reads them strip by
strip (one row of output) may come in early while the bus is busy, and would have been hidden behind its own work.

With S the time of a layer's strips, e and l the early and late weights, R and W what its strips read and write, b the
time of a byte, the formulas of `timing.pipelined` add up to

    sum over layers of  l b + max(S, R + W + b' e')      (b', e': of the layer after it)

since S >= R + W. A further early byte takes b from l or from R, and S falls by no more than R does; so from a memory to
a larger one the time

    falls by at most the sum of b over all bytes that come in early in addition
    rises by at most the same sum over those of layers that read weights strip by strip

and that leaves out all memories between two that cannot be enough. It holds for exact numbers; `rounding` is what the
floats may differ from them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from perfsim.placement.memory_levels import least_enough
from perfsim.timing.kernel import fold, layer_times
from perfsim.timing.output_stage import output_stage, work_with
from perfsim.timing.terms import shape_of

if TYPE_CHECKING:
    from perfsim.hardware.machine import Machine
    from perfsim.program import Program
    from perfsim.sweeps.plans import Plan, Plans
    from perfsim.timing.kernel import LayerTimes, TimingPolicy

Array: TypeAlias = np.ndarray[Any, Any]

_GRID = 1025  # memories of a plan that are looked at at once
_ROUNDINGS = 200  # that a layer's time may carry; its formulas have fewer, differences counted with what they lose
_NEVER_MORE = ("liveness", "pinned")  # bytes that move at any layer, with more memory


def rounding(program: Program) -> float:
    """By what share the time of a network, as floats, is at most away from that of the formulas in exact numbers."""
    return (_ROUNDINGS + len(program.layers)) * 2.0**-53


def moves_never_more(placement: str, machine: Machine) -> bool:
    """Whether movement takes no longer with more memory.

    Tiles are chosen for the fewest bytes in all. Where weights and feature maps take different times, or each transfer
    takes some, fewer bytes in all may take longer.
    """
    shape = shape_of(machine)
    is_packed = shape.packing == "stride" and shape.packing_layers == "all"
    differ = shape.ratios or shape.weight_memory or shape.apart or is_packed
    return placement in _NEVER_MORE and not differ and "ddr_latency_s" not in shape.ddr


def plan_ranges(plans: Plans, least: int, most: int) -> Iterator[tuple[Plan, int, int]]:
    """The plans of memories from `least` to `most`, each with the first and the last memory that has it."""
    while least <= most:
        plan = plans.plan(least)
        last = min(plan.below_bytes - 1, most)
        yield plan, least, last
        least = last + 1


@dataclass(frozen=True)
class LeastMemory:
    """A search for the least memory.

    Attributes:
        plans: of the program under the placement policy.
        machine: one machine; its memory does not matter.
        timing: the timing policy.
        never_more: whether movement takes no longer with more memory.
        times: the total times [s] with these memories, shape (memories,).
    """

    program: Program
    plans: Plans
    machine: Machine
    timing: TimingPolicy
    never_more: bool
    times: Callable[[Array], Array]

    def find(self, least: int, most: int, target_s: float) -> int | None:
        """The least memory of `least` to `most` with which the time is at most `target_s`; None where none is."""
        start: int | None = least
        if self.never_more:
            start = self._first_possible(least, most, target_s)
        if start is None:
            return None
        if self.never_more and not self.timing.carried:
            return start
        for plan, first, last in plan_ranges(self.plans, start, most):
            found = self._in_plan(plan, first, last, target_s)
            if found is not None:
                return found
        return None

    def _run(self, plan: Plan, sram_bytes: int) -> LayerTimes:
        traffic = plan.traffic
        if self.timing.carried:
            traffic = copy(traffic)
            traffic.prefetch_bytes = plan.prefetch_bytes(np.array([sram_bytes]), steady=False)[:, 0]
        stage = output_stage(self.program, self.machine.extras.output_stage)
        work = work_with(self.program, stage)
        return layer_times(work, traffic, self.machine, self.timing, lean=True)

    def _first_possible(self, least: int, most: int, target_s: float) -> int | None:
        """The least memory with which no resource is busy for too long; where a layer's time is that of its own work
        alone, with which the time is short enough."""
        limit_s = target_s * (1 + 2 * rounding(self.program))

        def is_enough(sram_bytes: int) -> bool:
            run = self._run(self.plans.plan(sram_bytes), sram_bytes)
            if not self.timing.carried:
                return bool(fold(run.layer_s) <= target_s)
            busy = (run.ddr_s, run.matrix_s, run.vector_s)
            return all(bool(fold(each) <= limit_s) for each in busy)

        return least_enough(least, most, is_enough) if is_enough(most) else None

    def _in_plan(self, plan: Plan, first: int, last: int, target_s: float) -> int | None:
        run = self._run(plan, first)
        first_s = fold(run.layer_s)
        if first_s <= target_s:
            return first
        if not self.timing.carried or first == last:
            return None
        steps, layers = run.steps, len(self.program.layers)
        byte_s, moved_bytes, in_strips = (
            np.broadcast_to(steps[name], layers)
            for name in ("byte_s", "weights_moved_bytes", "streams_weights")
        )
        share = rounding(self.program)

        def not_below(sizes: Array, total_s: Array) -> Array:
            """The least that the time may be between each two neighbours of `sizes` [s]."""
            early = plan.prefetch_bytes(sizes, steady=False)
            more = np.diff(np.minimum(early, moved_bytes[:, np.newaxis]), axis=1)
            falls_s, rises_s = byte_s @ more, (byte_s * in_strips) @ more
            sure_s = total_s * (1 - 2 * share)
            return np.asarray(np.maximum(sure_s[:-1] - falls_s, sure_s[1:] - rises_s))

        def within(first: int, last: int) -> int | None:
            """The least of the memories above `first` that is enough."""
            sizes = np.linspace(first, last, min(last - first + 1, _GRID)).astype(np.int64)
            total_s = self.times(sizes)
            possible = not_below(sizes, total_s) <= target_s * (1 + 2 * share)
            possible &= np.diff(sizes) > 1
            enough = total_s[1:] <= target_s
            for at in np.flatnonzero(possible | enough).tolist():
                found = within(int(sizes[at]), int(sizes[at + 1])) if possible[at] else None
                if found is None and enough[at]:
                    found = int(sizes[at + 1])
                if found is not None:
                    return found
            return None

        ends = np.array([first, last])
        last_s = fold(self._run(plan, last).layer_s)
        lowest_s = not_below(ends, np.array([first_s, last_s]))[0]
        if lowest_s > target_s * (1 + 2 * share):
            return None
        return within(first, last)
