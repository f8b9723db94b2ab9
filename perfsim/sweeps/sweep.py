"""One network on any number of machines: each point the same bits as a run of its own.

    plans (once for each range of memories) -> schedule of each plan -> blocks of machines with the same plan

Points are taken in blocks that stay in a core's cache, ordered by plan inside a block, so that a layer's counts are plain
numbers there. numpy lets go of the interpreter, so that several blocks are computed at once.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from perfsim.errors import InvalidValueError, unknown_name
from perfsim.program import lower
from perfsim.simulation import policies_of
from perfsim.sweeps.machines import Points
from perfsim.sweeps.plans import plans_of
from perfsim.sweeps.schedule import Schedule, some_machines
from perfsim.timing.kernel import BOUNDS
from perfsim.timing.terms import shape_of

if TYPE_CHECKING:
    import pandas as pd

    from perfsim.hardware.machine import Machine
    from perfsim.network.graph import Network
    from perfsim.placement.placement import PlacementPolicy
    from perfsim.sweeps.plans import Plan
    from perfsim.sweeps.schedule import Machines
    from perfsim.timing.kernel import TimingPolicy

Array: TypeAlias = np.ndarray[Any, Any]
Columns: TypeAlias = dict[str, Array]

# What a sweep can give for each point: the totals of a run by the same names.
SUMS = (
    *("total_s", "ddr_bytes", "ddr_s", "matrix_s", "vector_s", "compute_s"),
    *("weight_s", "stream_s", "overhead_s", "energy_j"),
)
COLUMNS = (*SUMS, "peak_sram_bytes", "bound", "steady_s", "steady_ddr_bytes", "energy_delay_js")
DEFAULT_COLUMNS = ("total_s", "ddr_bytes", "peak_sram_bytes", "bound", "energy_j")

BLOCK = 1 << 20  # points that are ordered by plan at once
PIECE = 1 << 14  # points that go through a schedule at once: their values stay in a core's cache


@dataclass(frozen=True, eq=False)
class Sweep:
    """The totals of one network on many machines.

    Attributes:
        points: the numbers that differ, by key of a machine's file in SI units: arrays of shape (points,).
        columns: the totals by name, arrays of shape (points,): seconds, bytes, joules; "bound" holds codes into
            `timing.kernel.BOUNDS`.
    """

    points: Mapping[str, Array]
    columns: Columns

    @property
    def total_s(self) -> Array:
        """The time of one inference [s]."""
        return self.columns["total_s"]

    @property
    def ddr_bytes(self) -> Array:
        """Data movement [bytes]."""
        return self.columns["ddr_bytes"]

    @property
    def peak_sram_bytes(self) -> Array:
        """The most internal memory that any layer has in use [bytes]."""
        return self.columns["peak_sram_bytes"]

    @property
    def energy_j(self) -> Array:
        """Energy [J]; raises KeyError where the machine states none."""
        return self.columns["energy_j"]

    @cached_property
    def bound(self) -> Array:
        """What bounds the network: "ddr", "matrix", "vector", ..."""
        return np.array(BOUNDS)[self.columns["bound"]]

    @cached_property
    def table(self) -> pd.DataFrame:
        """The points and their totals as a pandas DataFrame, a row for each point."""
        import pandas as pd

        columns: dict[str, Any] = {**self.points, **self.columns}
        if "bound" in columns:
            columns["bound"] = pd.Categorical.from_codes(self.columns["bound"], list(BOUNDS))
        return pd.DataFrame(columns)


def sweep(
    network: Network,
    machine: Machine,
    points: Mapping[str, Any],
    placement: str | PlacementPolicy | None = None,
    timing: str | None = None,
    *,
    columns: Sequence[str] | None = None,
    threads: int | None = None,
) -> Sweep:
    """The totals of `network` on `machine` with other numbers, each point the same bits as `simulate` gives.

    >>> import numpy as np
    >>> found = sweep(network, machine, {"sram": np.array([2**18, 2**20]), "ddr_bandwidth": np.array([1e9, 2e9])})
    >>> found.total_s

    points: by key of a machine's file (``sram``, ``ddr_bandwidth``, ``matrix``, ``stream.bandwidth``, ...) arrays of one
        length in SI units; whole numbers for sizes.
    placement, timing: names of policies, or a placement policy itself; the machine's own unless given.
    columns: of `COLUMNS`, those to compute; unless given those of `DEFAULT_COLUMNS` that the machine has.
    threads: how many blocks are computed at once; as many as there are processors unless given.

    A plan is made once for all the memories for which it is the same, however many points there are.

    Raises InputError for unknown keys or policies, numbers that no machine has, arrays of several lengths, and
    MemoryTooSmallError where a memory is too small for the network.
    """
    each = Points(machine, points)
    evaluation = Evaluation(network, each.sample, placement, timing, columns)
    found = evaluation.empty(each.count)
    blocks = [slice(start, min(start + BLOCK, each.count)) for start in range(0, each.count, BLOCK)]

    def compute(block: slice) -> None:
        for name, values in evaluation.totals(
            each.machines(block), block.stop - block.start
        ).items():
            found[name][block] = values

    workers = min(threads or os.cpu_count() or 1, len(blocks))
    if workers == 1:
        for block in blocks:
            compute(block)
    else:
        with ThreadPoolExecutor(workers) as pool:
            list(pool.map(compute, blocks))
    return Sweep(each.arrays, found)


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
        self._machine = machine
        self._placement, self._timing = policies_of(machine, placement, timing)
        self._program = lower(network)
        doubled = machine.double_buffered
        self._plans = plans_of(self._program, self._placement, double_buffered=doubled)
        self._schedules: dict[tuple[int, bool], Schedule] = {}
        self.columns = self._checked(columns)
        sums = [name for name in self.columns if name in (*SUMS, "bound")]
        if "energy_delay_js" in self.columns:
            sums += [name for name in ("energy_j", "total_s") if name not in sums]
        self._first = ["layer_s" if name == "total_s" else name for name in sums]
        self._steady = [name for name in self.columns if name.startswith("steady_")]

    def _checked(self, columns: Sequence[str] | None) -> list[str]:
        shape = shape_of(self._machine)
        symbols = {each.symbol for each in self._timing.formulas(shape)}
        stated = {
            name
            for name in COLUMNS
            if name not in SUMS or name in ("total_s", "ddr_bytes") or name in symbols
        }
        if not shape.energy:
            stated.discard("energy_delay_js")
        if columns is None:
            return [name for name in DEFAULT_COLUMNS if name in stated]
        for name in columns:
            if name not in stated:
                raise unknown_name("column", name, sorted(stated, key=COLUMNS.index))
        return list(dict.fromkeys(columns))

    def empty(self, count: int) -> Columns:
        """Arrays for so many points."""
        return {name: np.empty(count, dtype=_dtype(name)) for name in self.columns}

    def totals(self, machine: Machine, count: int) -> Columns:
        """The columns of an array of so many machines, arrays of shape (machines,); raises MemoryTooSmallError."""
        machines = some_machines(machine, count)
        found = self.empty(count)
        which = self._plans.which(np.atleast_1d(machine.sram_bytes))
        if len(which) == 1:
            self._compute(int(which[0]), machines, found, slice(0, count))
            return found
        order = np.argsort(which.astype(np.uint16) if which.max() < 2**16 else which, kind="stable")
        ordered = machines.taken(order)
        parts = self.empty(count)
        for number, part in _runs(which[order]):
            self._compute(number, ordered, parts, part)
        for name, values in parts.items():
            found[name][order] = values
        return found

    def _compute(self, number: int, machines: Machines, found: Columns, part: slice) -> None:
        """Puts the columns of machines that have one plan into `found`."""
        plan = self._plans.plans[number]
        for start in range(part.start, part.stop, PIECE):
            piece = slice(start, min(start + PIECE, part.stop))
            taken = machines.taken(piece)
            totals = self._schedule(number, steady=False).run(taken)
            if self._steady:
                later = self._schedule(number, steady=True).run(taken)
                totals |= {"steady_s": later["layer_s"], "steady_ddr_bytes": later["ddr_bytes"]}
            if "layer_s" in totals:
                totals["total_s"] = totals["layer_s"]
            if "energy_delay_js" in found:
                totals["energy_delay_js"] = totals["energy_j"] * totals["total_s"]
            if "peak_sram_bytes" in found:
                totals["peak_sram_bytes"] = (
                    taken.sram_bytes if plan.fills_memory else plan.peak_bytes
                )
            for name, values in found.items():
                values[piece] = totals[name]

    def _schedule(self, number: int, *, steady: bool) -> Schedule:
        key = (number, steady)
        if key not in self._schedules:
            wanted = ["layer_s", "ddr_bytes"] if steady else self._first
            self._schedules[key] = Schedule(
                self._plans.plans[number], self._timing, self._machine, wanted, steady=steady
            )
        return self._schedules[key]


def _runs(numbers: Array) -> Iterator[tuple[int, slice]]:
    """Each number of an ordered array with where it stands."""
    edges = np.flatnonzero(np.diff(numbers)) + 1
    bounds = [0, *edges.tolist(), len(numbers)]
    for start, stop in zip(bounds, bounds[1:], strict=False):
        yield int(numbers[start]), slice(start, stop)


def _dtype(name: str) -> type:
    if name == "bound":
        return np.int8
    return np.int64 if name.endswith("_bytes") else np.float64
