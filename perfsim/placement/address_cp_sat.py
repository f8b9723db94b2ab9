"""The road to addresses through CP-SAT of OR-tools (extra `solver`): rectangles in time and bytes do not overlap."""

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np

from perfsim.errors import missing_extra
from perfsim.placement.address_buffers import FREE, Buffers, height
from perfsim.placement.address_sections import spans, unit_bytes
from perfsim.placement.placement import Counts


class CpSatSearch:
    """A group of buffers for the solver; attributes and methods are those of `ExactSearch`."""

    def __init__(self, buffers: Buffers, offsets: Counts, bound: int) -> None:
        """As of `ExactSearch`; raises MissingExtraError without OR-tools."""
        self.offsets, self.peak, self.bound, self.nodes = (
            offsets,
            height(buffers, offsets),
            bound,
            0,
        )
        self.node_limit = math.inf  # it counts none
        self._buffers = buffers
        self._unit = unit_bytes(buffers)
        try:
            from ortools.sat.python import cp_model
        except ImportError:
            raise missing_extra("the search 'cp-sat' needs OR-tools", "solver") from None
        self._library: Any = cp_model

    def is_affordable(self, seconds: float) -> bool:  # noqa: ARG002
        """Always: the solver looks at the clock itself."""
        return True

    def decide(self, capacity: int, deadline_s: float) -> None:
        """Look for a plan of at most `capacity` bytes until time.monotonic() is `deadline_s`."""
        if self.bound <= capacity < self.peak:
            self._solve(capacity, None, deadline_s)

    def minimise(self, goal: int, deadline_s: float) -> None:
        """Look for plans of fewer bytes, down to `goal`, until time.monotonic() is `deadline_s`."""
        least = max(goal, self.bound)
        if least < self.peak:
            self._solve(self.peak - self._unit, least, deadline_s)

    def _solve(self, capacity: int, least: int | None, deadline_s: float) -> None:
        """One call of the solver; with `least` it minimises down to there."""
        buffers, unit, room = self._buffers, self._unit, capacity // self._unit
        model = self._library.CpModel()
        starts, in_time, in_bytes = [], [], []
        first, last = spans(buffers)
        top = model.new_int_var(0 if least is None else -(-least // unit), room, "top")
        for index in range(len(buffers)):
            size = int(buffers.size[index]) // unit
            step = -(-int(buffers.alignment[index]) // unit)
            start: Any = int(buffers.fixed[index]) // unit
            if buffers.fixed[index] == FREE:
                start = step * model.new_int_var(0, max(0, (room - size) // step), f"start {index}")
            starts.append(start)
            length = int(last[index] - first[index])
            in_time.append(
                model.new_fixed_size_interval_var(int(first[index]), length, f"t {index}")
            )
            in_bytes.append(model.new_fixed_size_interval_var(start, size, f"b {index}"))
            model.add(top >= start + size)
        model.add_no_overlap_2d(in_time, in_bytes)
        if least is not None:
            model.minimize(top)
        solver = self._library.CpSolver()
        parameters = solver.parameters
        parameters.max_time_in_seconds = max(0.0, deadline_s - time.monotonic())
        parameters.use_energetic_reasoning_in_no_overlap_2d = True
        parameters.use_timetabling_in_no_overlap_2d = True
        parameters.use_area_energetic_reasoning_in_no_overlap_2d = True
        answer = solver.solve(model)
        self.nodes += int(solver.num_branches)
        if answer in (self._library.OPTIMAL, self._library.FEASIBLE):
            values = [start if isinstance(start, int) else solver.value(start) for start in starts]
            self.offsets = unit * np.array(values, dtype=np.int64)
            self.peak = height(buffers, self.offsets)
            if least is not None:
                bound = unit * round(solver.best_objective_bound)
                # at `least` it may be no more than what the model was told
                if bound > least or least <= self.bound:
                    self.bound = max(self.bound, bound)
        if answer == self._library.INFEASIBLE:
            self.bound = max(self.bound, unit * (room + 1))
