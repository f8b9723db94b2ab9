"""What a run gives: all values that led to it, its columns, its totals."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from perfsim.network.work import shape_text, total
from perfsim.timing.energy import ENERGIES
from perfsim.timing.kernel import BOUNDS, PARTS, LayerTimes, fold

if TYPE_CHECKING:
    import pandas as pd

    from perfsim.hardware.machine import Machine
    from perfsim.placement.placement import Placement, PlacementPolicy
    from perfsim.program import Program
    from perfsim.timing.kernel import TimingPolicy

Columns = dict[str, list[Any]]

_SUMMED = ("weight_s", "stream_s", "overhead_s")
# The columns behind all others, of machines that state what they need.
FURTHER = ("matrix_cycles", "weight_memory_bytes", *_SUMMED, *ENERGIES)


@dataclass(frozen=True)
class Totals:
    """A run in numbers: the sums over its layers, and the peak of its memory.

    Attributes:
        macs, vector_ops, params: exact counts.
        ddr_read_bytes, ddr_write_bytes, ddr_bytes: data movement.
        ddr_s, matrix_s, vector_s, compute_s: the time each part is busy [s].
        total_s: the time of one inference [s]: the sum of the rows' `layer_s`.
        peak_sram_bytes: the most internal memory that any layer has in use.
        bound: what limits the layers that take most of the time.
        steady_ddr_bytes, steady_s: data movement and time [s] of every further inference, which finds pinned weights
            in place.
        weight_s, stream_s, overhead_s: the time [s] of what else the machine states: the weights' own memory, the
            stream between on-chip memory and the units, fixed costs; None where it states none.
        energy_j, energy_delay_js: energy [J], and its product with the time [J s]; None where no energies are stated.
    """

    macs: int
    vector_ops: int
    params: int
    ddr_read_bytes: int
    ddr_write_bytes: int
    ddr_bytes: int
    ddr_s: float
    matrix_s: float
    vector_s: float
    compute_s: float
    total_s: float
    peak_sram_bytes: int
    bound: str
    steady_ddr_bytes: int
    steady_s: float
    weight_s: float | None = None
    stream_s: float | None = None
    overhead_s: float | None = None
    energy_j: float | None = None
    energy_delay_js: float | None = None


@dataclass(frozen=True, eq=False)
class Result:
    """One run of one network on one machine.

    Attributes:
        program, machine, placement, times: the values that led to it.
        steady_times: those of every further inference.
        placement_policy, timing_policy: the policies that were used.
    """

    program: Program
    machine: Machine
    placement: Placement = field(repr=False)
    times: LayerTimes = field(repr=False)
    steady_times: LayerTimes = field(repr=False)
    placement_policy: PlacementPolicy = field(repr=False)
    timing_policy: TimingPolicy = field(repr=False)

    @cached_property
    def columns(self) -> Columns:
        """The per-layer table as plain lists, column by column (the columns of `COLUMNS`)."""
        placement, times = self.placement, self.times
        columns: Columns = counts_table(self.program)
        fused = columns.pop("fused")
        columns |= self._locations()
        read, written = self._moved
        columns["sram_used_bytes"] = placement.sram_used_bytes.tolist()
        columns["ddr_read_bytes"] = read.tolist()
        columns["ddr_write_bytes"] = written.tolist()
        columns["ddr_bytes"] = (read + written).tolist()
        for name in ("ddr_s", "matrix_s", "vector_s", "compute_s", "layer_s"):
            columns[name] = getattr(times, name).tolist()
        columns["bound"] = [BOUNDS[code] for code in times.bound.tolist()]
        columns["fused"] = fused
        for name in FURTHER:
            if name in times.steps:
                columns[name] = _spread(times.steps[name], len(fused))
        return columns

    @cached_property
    def steady_layer_s(self) -> list[float]:
        """The time [s] that each layer adds to every further inference."""
        return list(self.steady_times.layer_s.tolist())

    @cached_property
    def steady_bounds(self) -> list[str]:
        """What limits each layer in every further inference."""
        return [BOUNDS[code] for code in self.steady_times.bound.tolist()]

    @cached_property
    def steady_bound(self) -> str:
        """What limits the layers that take most of the time of every further inference."""
        return _mostly(self.steady_times)

    @property
    def warms_up(self) -> bool:
        """Whether the first inference differs from every further one, since it fetches the pinned weights."""
        return self.totals.steady_ddr_bytes < self.totals.ddr_bytes

    @property
    def _moved(self) -> tuple[Any, Any]:
        """Bytes from and to external memory per layer; the machine's, where it compresses or has a weight memory."""
        steps, placement = self.times.steps, self.placement
        if "ddr_read_bytes" not in steps:
            return placement.ddr_read_bytes, placement.ddr_write_bytes
        return tuple(steps[name].astype("int64") for name in ("ddr_read_bytes", "ddr_write_bytes"))

    @cached_property
    def table(self) -> pd.DataFrame:
        """The per-layer table as a pandas DataFrame, one row per layer in execution order."""
        import pandas as pd

        return pd.DataFrame(self.columns)

    @cached_property
    def totals(self) -> Totals:
        """The sums over the layers, each added in execution order."""
        placement, times = self.placement, self.times
        read, written = (int(each.sum()) for each in self._moved)
        sums = {name: self._sum(name) for name in (*_SUMMED, "energy_j")}
        total_s = float(fold(times.layer_s))
        energy_j = sums["energy_j"]
        layers = self.program.layers
        return Totals(
            macs=sum(total(layer.macs) for layer in layers),
            vector_ops=sum(total(layer.vector_ops) for layer in layers),
            params=sum(total(layer.params) for layer in layers),
            ddr_read_bytes=read,
            ddr_write_bytes=written,
            ddr_bytes=read + written,
            ddr_s=float(fold(times.ddr_s)),
            matrix_s=float(fold(times.matrix_s)),
            vector_s=float(fold(times.vector_s)),
            compute_s=float(fold(times.compute_s)),
            total_s=total_s,
            peak_sram_bytes=int(placement.sram_used_bytes.max()),
            bound=_mostly(times),
            steady_ddr_bytes=int(self.steady_times.steps["ddr_bytes"].sum()),
            steady_s=float(fold(self.steady_times.layer_s)),
            **sums,
            energy_delay_js=None if energy_j is None else energy_j * total_s,
        )

    def _sum(self, name: str) -> float | None:
        """The sum of a further column; None where there is none."""
        return float(fold(self.columns[name])) if name in self.columns else None

    def totals_record(self) -> dict[str, Any]:
        """The totals as a dictionary, in order; what the machine does not state is left out."""
        return {name: value for name, value in asdict(self.totals).items() if value is not None}

    def _repr_html_(self) -> str:
        """The run as a notebook shows it: totals, a chart, the layers."""
        from perfsim.report.notebook import result_html

        return result_html(
            f"{self.program.name} on {self.machine.name}",
            self.program.unpriced,
            self.totals_record(),
            self.columns,
            parts_of(self.columns),
        )

    def _locations(self) -> Columns:
        """The columns that say where each layer's tensors lie."""
        from perfsim.placement.placement import touches_of

        touches = touches_of(self.program)
        where: dict[tuple[int, int], str] = {}
        keys = zip(touches.layer.tolist(), touches.tensor.tolist(), strict=True)
        for key, internal in zip(keys, self.placement.internal.tolist(), strict=True):
            where[key] = "internal" if internal else "external"
        columns: Columns = {"input_location": [], "output_location": [], "weight_location": []}
        storage: dict[int, str] = {}  # where a view's bytes lie: where they lay last
        for position, layer in enumerate(self.program.layers):
            for name, tensors in (
                ("input_location", layer.reads),
                ("output_location", layer.writes),
                ("weight_location", layer.weights),
            ):
                places = []
                for tensor in tensors:
                    place = where.get((position, tensor)) or storage.get(tensor, "external")
                    storage[tensor] = place
                    places.append(place)
                columns[name].append(";".join(places))
        return columns


def _mostly(times: LayerTimes) -> str:
    """What limits the layers that take most of the time."""
    by_bound = [0.0] * len(BOUNDS)
    for code, layer_s in zip(times.bound.tolist(), times.layer_s.tolist(), strict=True):
        by_bound[code] += layer_s
    return BOUNDS[by_bound.index(max(by_bound))]


def parts_of(columns: Iterable[str]) -> list[tuple[str, str]]:
    """(part, column) of every part of a machine whose seconds are among `columns`: ("ddr", "ddr_s"), ..."""
    present = set(columns)
    return [(part, column) for part, column in PARTS.items() if column in present]


def _spread(values: Any, layers: int) -> list[Any]:
    """A column of values, one number standing for all layers."""
    import numpy as np

    column: list[Any] = np.broadcast_to(values, layers).tolist()
    return column


def counts_table(program: Program) -> Columns:
    """What is known of each layer without a machine: names, shapes and exact counts."""
    columns: Columns = {
        "layer": list(range(1, len(program.layers) + 1)),
        "name": [layer.name for layer in program.layers],
        "op": [layer.op for layer in program.layers],
        "input_shape": [_shapes(layer.input_shapes) for layer in program.layers],
        "output_shape": [_shapes(layer.output_shapes) for layer in program.layers],
        "macs": [total(layer.macs) for layer in program.layers],
        "vector_ops": [total(layer.vector_ops) for layer in program.layers],
        "params": [total(layer.params) for layer in program.layers],
        "input_bytes": [_bytes(program, layer.reads) for layer in program.layers],
        "output_bytes": [_bytes(program, layer.writes) for layer in program.layers],
        "weight_bytes": [_bytes(program, layer.weights) for layer in program.layers],
        "fused": ["+".join(fused.op for fused in layer.fused) for layer in program.layers],
    }
    return columns


def _shapes(shapes: tuple[tuple[int, ...], ...]) -> str:
    return ";".join(map(shape_text, shapes))


def _bytes(program: Program, tensors: tuple[int, ...]) -> int:
    return sum(program.tensors[index].bytes for index in dict.fromkeys(tensors))
