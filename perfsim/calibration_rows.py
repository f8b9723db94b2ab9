"""Predictions for all rows of files of measurements at once, for one machine after another.

The layers of all networks lie one behind the other, so that the kernel runs once for a machine; lowering is done once,
and the placement once for each size of the internal memory.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from perfsim.errors import InputError, InvalidValueError
from perfsim.measured import at_row
from perfsim.program import lower
from perfsim.simulation import policies_of
from perfsim.timing.kernel import fold, layer_times
from perfsim.timing.output_stage import output_stage, work_with
from perfsim.timing.values import TRAFFIC
from perfsim.timing.work import LayerWork
from perfsim.traffic import Moved

if TYPE_CHECKING:
    from perfsim.hardware.machine import Machine
    from perfsim.measured import Measured

Floats: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]
Counts: TypeAlias = np.ndarray[Any, np.dtype[np.int64]]


@dataclass(frozen=True, eq=False)
class JoinedTraffic:
    """The traffic of several programs one behind the other: arrays of shape (all layers,), as `Traffic`."""

    ddr_bytes: Counts
    map_read_bytes: Counts
    weight_read_bytes: Counts
    write_bytes: Counts
    ddr_transfers: Counts
    weight_transfers: Counts
    prefetch_bytes: Counts
    before: Counts
    which: None = None


class Rows:
    """What the rows of files of measurements take on machines of the same parts and policies as `machine`.

    Attributes:
        measured: the rows.
        measured_s: their times [s], shape (rows,).
    """

    def __init__(self, measured: Measured, machine: Machine) -> None:
        self.measured = measured
        self.measured_s = np.array([row.measured_ms / 1000 for row in measured.measurements])
        self._policy, self._timing = policies_of(machine, None, None)
        self._programs = [lower(network) for network in measured.networks]
        self._stages = [
            output_stage(program, machine.extras.output_stage) for program in self._programs
        ]
        works = map(work_with, self._programs, self._stages)
        self._work = _joined_work(list(works))
        lengths = [len(program.layers) for program in self._programs]
        self._starts = np.cumsum([0, *lengths])
        layers_of_rows = [
            start + np.array(positions or range(length))
            for positions, start, length in (
                (positions, self._starts[run], lengths[run])
                for run, positions in zip(measured.runs, measured.positions, strict=True)
            )
        ]
        # One column a row; the shorter ones go on with a layer behind all others, which takes no time.
        longest = max(map(len, layers_of_rows))
        self._layers = np.full((longest, len(layers_of_rows)), self._starts[-1])
        for row, layers in enumerate(layers_of_rows):
            self._layers[: len(layers), row] = layers
        self._traffic: dict[int, JoinedTraffic] = {}
        self._check(machine)

    def predicted_s(self, machine: Machine) -> Floats:
        """The steady times [s] of the rows on `machine`, shape (rows,); raises InputError as `simulate` does."""
        if machine.extras.energy is not None:  # no time depends on it
            machine = replace(machine, extras=replace(machine.extras, energy=None))
        times = layer_times(self._work, self._traffic_of(machine), machine, self._timing)
        layer_s = np.append(np.broadcast_to(times.layer_s, self._starts[-1:]), 0.0)
        found: Floats = fold(layer_s[self._layers])
        return found

    def _traffic_of(self, machine: Machine) -> JoinedTraffic:
        sram_bytes: Any = machine.sram_bytes
        if sram_bytes not in self._traffic:
            moved = []
            for run, program in enumerate(self._programs):
                try:
                    placement = self._policy.place(
                        program, sram_bytes, double_buffered=machine.double_buffered
                    )
                except InputError as error:
                    row = self.measured.measurements[self.measured.runs.index(run)]
                    raise at_row(error, row) from None
                through = machine.extras.write_through
                moved.append(Moved(program, placement, self._stages[run], through, steady=True))
            self._traffic[sram_bytes] = _joined_traffic(moved, self._starts)
        return self._traffic[sram_bytes]

    def _check(self, machine: Machine) -> None:
        """Raise InvalidValueError for a row of a layer that takes no time."""
        predicted_s = self.predicted_s(machine)
        for row, seconds in zip(self.measured.measurements, predicted_s.tolist(), strict=True):
            if not seconds > 0:
                raise InvalidValueError(
                    "this layer takes no time here",
                    found="one that only renames what lies in memory, or is applied on another one's way out",
                    expected="rows of layers that do something",
                ).at(file=row.file, line=row.line)


def _joined_work(works: list[LayerWork]) -> LayerWork:
    return LayerWork(
        **{
            each.name: np.concatenate([getattr(work, each.name) for work in works])
            for each in fields(LayerWork)
        }
    )


def _joined_traffic(moved: list[Moved], starts: Counts) -> JoinedTraffic:
    before = [
        np.where(each.before >= 0, each.before + start, -1)
        for each, start in zip(moved, starts.tolist()[:-1], strict=True)
    ]
    parts = {name: np.concatenate([getattr(each, name) for each in moved]) for name in TRAFFIC}
    return JoinedTraffic(**dict[str, Any](parts), before=np.concatenate(before))
