"""One network on blocks of machines: the columns of a sweep.

    plans (once for each range of memories) -> schedule of each plan -> blocks of machines with the same plan

Points are ordered by plan inside a block, so that a layer's counts are plain numbers there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from perfsim.errors import UnknownNameError, unknown_name
from perfsim.program import lower
from perfsim.simulation import policies_of
from perfsim.sweeps.compiled import (
    COMPILED,
    Tables,
    compiled_columns,
    compiled_which,
    is_compiled,
    tables,
)
from perfsim.sweeps.freed_memory import keep_freed_memory
from perfsim.sweeps.plans import Plan, plans_of
from perfsim.sweeps.schedule import Schedule, some_machines
from perfsim.timing.output_stage import output_stage, work_with
from perfsim.timing.terms import shape_of

if TYPE_CHECKING:
    from perfsim.hardware.machine import Machine
    from perfsim.network.graph import Network
    from perfsim.placement.placement import PlacementPolicy
    from perfsim.sweeps.schedule import Machines

Array: TypeAlias = np.ndarray[Any, Any]
Columns: TypeAlias = dict[str, Array]

# What a sweep can give for each point: the totals of a run by the same names.
SUMS = (
    *("total_s", "ddr_bytes", "ddr_s", "matrix_s", "vector_s", "compute_s"),
    *("weight_s", "stream_s", "overhead_s", "energy_j"),
)
COLUMNS = (*SUMS, "peak_sram_bytes", "bound", "steady_s", "steady_ddr_bytes", "energy_delay_js")
DEFAULT_COLUMNS = ("total_s", "ddr_bytes", "peak_sram_bytes", "bound", "energy_j")

# What it can give for each layer: columns of a run's table by the same names.
LAYER_COLUMNS = (
    *("ddr_bytes", "ddr_s", "matrix_s", "vector_s", "compute_s", "layer_s", "bound"),
    *("weight_s", "stream_s", "overhead_s", "energy_j"),
)
_STEADY = {"steady_s": "total_s", "steady_ddr_bytes": "ddr_bytes"}

FILLED = -1  # a peak that is the memory itself
_OF_PLAN: Mapping[str, Callable[[Plan], int]] = {
    "peak_sram_bytes": lambda plan: FILLED if plan.fills_memory else plan.peak_bytes,
    "ddr_bytes": lambda plan: int(plan.traffic.ddr_bytes.sum()),
    "steady_ddr_bytes": lambda plan: int(plan.steady_traffic.ddr_bytes.sum()),
}

BLOCK = 1 << 20  # points that are ordered by plan at once, where they go through a schedule
COMPILED_BLOCK = 1 << 17  # points that are computed at once, where all of it is compiled
PIECE = 1 << 15  # points that go through a schedule at once: their values stay in a core's cache


class Evaluation:
    """What one network needs to be computed on blocks of machines.

    machine: one of them, with numbers where all have the same and arrays of shape (1,) where they differ.
    """

    def __init__(
        self,
        network: Network,
        machine: Machine,
        placement: str | PlacementPolicy | None,
        timing: str | None,
        columns: Sequence[str] | None = None,
    ) -> None:
        keep_freed_memory()
        self._machine = machine
        self._placement, self._timing = policies_of(machine, placement, timing)
        self._program = lower(network)
        self._plans = plans_of(self._program, self._placement, machine)
        stage = output_stage(self._program, machine.extras.output_stage)
        self._work = work_with(self._program, stage)
        self._schedules: dict[tuple[int, bool, bool], Schedule] = {}
        self._per_plan: Columns = {}
        self._tables: Tables | None = None
        self._lock = Lock()
        shape = shape_of(machine)
        self._symbols = {each.symbol for each in self._timing.formulas(shape)}
        self.stated = [
            name
            for name in COLUMNS
            if name not in SUMS or name in ("total_s", "ddr_bytes") or name in self._symbols
            if name != "energy_delay_js" or shape.energy
        ]
        self.columns = self._checked(columns)
        # What is the same for all machines of a plan, what is compiled, and what goes through its schedule.
        per_plan = ["peak_sram_bytes"]
        if "ddr_bytes" not in self._symbols:
            per_plan += ["ddr_bytes", "steady_ddr_bytes"]
        self._of_plan = [name for name in self.columns if name in per_plan]
        can_compile = is_compiled(self._timing, shape)
        self._compiled = [name for name in self.columns if name in COMPILED and can_compile]
        elsewhere = (*self._of_plan, *self._compiled)
        scheduled = [name for name in self.columns if name not in elsewhere]
        self._computed = list(scheduled)  # what `_run` fills
        if "energy_delay_js" in scheduled:
            scheduled += [name for name in ("energy_j", "total_s") if name not in scheduled]
        self._scheduled = [name for name in scheduled if name in (*SUMS, "bound")]
        self._steady = [name for name in scheduled if name.startswith("steady_")]

    @property
    def block(self) -> int:
        """How many machines `totals` is best given at once."""
        return BLOCK if self._computed else COMPILED_BLOCK

    def _checked(self, columns: Sequence[str] | None) -> list[str]:
        if columns is None:
            return [name for name in DEFAULT_COLUMNS if name in self.stated]
        for name in columns:
            if name not in self.stated:
                raise absent_column(self._machine, name) or unknown_name(
                    "column", name, self.stated
                )
        return list(dict.fromkeys(columns))

    def empty(self, count: int) -> Columns:
        """Arrays for so many points."""
        return {name: np.empty(count, dtype=_dtype(name)) for name in self.columns}

    def totals(self, machine: Machine, count: int, into: Columns | None = None) -> Columns:
        """The columns of an array of so many machines, arrays of shape (machines,); raises MemoryTooSmallError.

        into: arrays to put them into, as `empty` gives them, or parts of such.
        """
        machines = some_machines(machine, count)
        found = self.empty(count) if into is None else into
        sizes = np.atleast_1d(machine.sram_bytes)
        which = compiled_which(sizes, self._plans.breakpoints) if self._compiled else None
        if which is None:
            which = self._plans.which(sizes)
        self._look_up(which, machines.sram_bytes, found)
        if self._compiled:
            self._run_compiled(which, machines, found)
        if not self._computed:
            return found
        if len(which) == 1:
            self._run(int(which[0]), machines, found, slice(0, count))
            return found
        order = np.argsort(which.astype(np.uint16) if which.max() < 2**16 else which, kind="stable")
        ordered = machines.taken(order)
        parts = self.empty(count)
        for number, part in _runs(which[order]):
            self._run(number, ordered, parts, part)
        for name in self._computed:
            found[name][order] = parts[name]
        return found

    def _look_up(self, which: Array, sram_bytes: Array, found: Columns) -> None:
        """Puts what is the same for all machines of a plan into `found`."""
        plans = self._plans.plans
        for name in self._of_plan:
            with self._lock:
                known = self._per_plan.get(name, np.zeros(0, dtype=np.int64))
                more = [_OF_PLAN[name](plan) for plan in plans[len(known) :]]
                known = self._per_plan[name] = np.append(known, np.array(more, dtype=np.int64))
            values = known[which]
            if name == "peak_sram_bytes":
                values = np.where(values == FILLED, sram_bytes, values)
            found[name][:] = values

    def _run_compiled(self, which: Array, machines: Machines, found: Columns) -> None:
        with self._lock:
            plans = tuple(self._plans.plans)  # other threads add to them meanwhile
            if self._tables is None or len(self._tables.kinds) < len(plans):
                self._tables = tables(self._work, plans)
            counts = self._tables
        count = len(machines.sram_bytes)
        bandwidth, matrix, vector = (
            np.ascontiguousarray(np.broadcast_to(machines.values[name], count), dtype=np.float64)
            for name in ("ddr_bytes_per_s", "matrix_flops", "vector_flops")
        )
        which = np.ascontiguousarray(np.broadcast_to(which, count))
        columns = {name: found[name] for name in self._compiled}
        compiled_columns(counts, which, (bandwidth, matrix, vector), self._timing, columns)

    def _run(self, number: int, machines: Machines, found: Columns, part: slice) -> None:
        """Puts the columns of machines that have one plan into `found`, by its schedule."""
        for start in range(part.start, part.stop, PIECE):
            piece = slice(start, min(start + PIECE, part.stop))
            taken = machines.taken(piece)
            totals: Columns = {}
            if self._scheduled:
                totals |= self._schedule(number, steady=False).run(taken)
            if self._steady:
                later = self._schedule(number, steady=True).run(taken)
                totals |= {f"steady_{name.removeprefix('total_')}": later[name] for name in later}
            if "energy_delay_js" in self.columns:
                totals["energy_delay_js"] = totals["energy_j"] * totals["total_s"]
            for name in self._computed:
                found[name][piece] = totals[name]

    @property
    def layer_columns(self) -> list[str]:
        """What `layers` gives."""
        return [name for name in LAYER_COLUMNS if name in ("ddr_bytes", "bound", *self._symbols)]

    def empty_layers(self, count: int) -> Columns:
        """Arrays for the layers of so many points."""
        shape = (count, len(self._program.layers))
        return {name: np.empty(shape, dtype=_dtype(name)) for name in self.layer_columns}

    def layers(self, machine: Machine, count: int) -> Columns:
        """The values of each layer of an array of so many machines, arrays of shape (machines, layers)."""
        machines = some_machines(machine, count)
        which = np.broadcast_to(self._plans.which(np.atleast_1d(machine.sram_bytes)), count)
        rows = len(self._program.layers)
        found = self.empty_layers(count)
        for number in np.unique(which).tolist():
            positions = np.flatnonzero(which == number)
            for start in range(0, len(positions), PIECE):
                piece = positions[start : start + PIECE]
                values = self._schedule(number, by_row=True).run(machines.taken(piece))
                for name, column in found.items():
                    for at in range(rows):
                        column[piece, at] = values[f"{name} {at}"]
        return found

    def _schedule(self, number: int, *, steady: bool = False, by_row: bool = False) -> Schedule:
        key = (number, steady, by_row)
        if key not in self._schedules:
            wanted = self.layer_columns if by_row else self._scheduled
            if steady:
                wanted = [_STEADY[name] for name in self._steady]
            self._schedules[key] = Schedule(
                self._plans.plans[number],
                self._timing,
                self._machine,
                wanted,
                steady=steady,
                by_row=by_row,
            )
        return self._schedules[key]


def absent_column(machine: Machine, name: str) -> UnknownNameError | None:
    """Why a machine has not a column that others have; None where that is not the machine's doing."""
    extras = machine.extras
    needed: tuple[str, object] | None = {
        "energy_j": ("energy", extras.energy),
        "energy_delay_js": ("energy", extras.energy),
        "weight_s": ("weight_memory", extras.weight_memory),
        "stream_s": ("stream", extras.stream),
    }.get(name)
    if needed is None or needed[1] is not None:
        return None
    return UnknownNameError(
        f"'{machine.name}' states no {needed[0]}, and so has no '{name}'",
        expected=f"the key '{needed[0]}' in its file",
    )


def _runs(numbers: Array) -> Iterator[tuple[int, slice]]:
    """Each number of an ordered array with where it stands."""
    edges = np.flatnonzero(np.diff(numbers)) + 1
    bounds = [0, *edges.tolist(), len(numbers)]
    for start, stop in pairwise(bounds):
        yield int(numbers[start]), slice(start, stop)


def _dtype(name: str) -> type:
    if name == "bound":
        return np.int8
    return np.int64 if name.endswith("_bytes") else np.float64
