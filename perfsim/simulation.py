"""One run, many machines at once, and a comparison. Nothing is computed here; calls are ordered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from perfsim.errors import InvalidValueError, UnknownNameError, describe
from perfsim.hardware.machine import NUMBERS, Machine, numbers_in, with_numbers
from perfsim.network.graph import Network
from perfsim.placement import placement_policy
from perfsim.placement.placement import PlacementPolicy
from perfsim.program import Program, lower
from perfsim.result import Columns, Result
from perfsim.timing.kernel import LayerTimes, TimingPolicy, layer_times, timing_policy
from perfsim.timing.output_stage import output_stage, work_with
from perfsim.traffic import Moved, MovedInSizes

if TYPE_CHECKING:
    import pandas as pd

    from perfsim.timing.terms import Traffic
    from perfsim.timing.work import LayerWork

Floats: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]
Wholes: TypeAlias = np.ndarray[Any, np.dtype[np.int64]]


def simulate(
    network: Network,
    machine: Machine,
    placement: str | PlacementPolicy | None = None,
    timing: str | None = None,
) -> Result:
    """One inference of `network` on `machine`.

    >>> result = simulate(load_network("mobilenet"), load_hardware("1MB_1GBs_1TF"))
    >>> result.totals.total_s

    placement, timing: names of policies, or a placement policy itself; the machine's own unless given.

    Raises InputError for an unknown policy, an array of machines, or counts that are not exact.
    """
    check_type(network, Network, "load_network")
    check_type(machine, Machine, "load_hardware")
    if not machine.is_one:
        raise InvalidValueError(
            "", found=f"several machines in '{machine.name}'", expected="one (see simulate_array)"
        )
    places, times = policies_of(machine, placement, timing)
    sram_bytes: Any = machine.sram_bytes
    program = lower(network)
    stage = output_stage(program, machine.extras.output_stage)
    work = work_with(program, stage)
    placed = places.place(program, sram_bytes, double_buffered=machine.double_buffered)
    through = machine.extras.write_through
    layers = steady = layer_times(work, Moved(program, placed, stage, through), machine, times)
    if placed.kept_bytes.any():
        moved = Moved(program, placed, stage, through, steady=True)
        steady = layer_times(work, moved, machine, times)
    return Result(program, machine, placed, layers, steady, places, times)


@dataclass(frozen=True, eq=False)
class ArrayTotals:
    """The totals of many machines, arrays of shape (machines,), as in `Totals`."""

    ddr_bytes: Wholes
    ddr_s: Floats
    matrix_s: Floats
    vector_s: Floats
    compute_s: Floats
    total_s: Floats
    peak_sram_bytes: Wholes


def simulate_array(
    network: Network | Program,
    machines: Machine,
    placement: str | PlacementPolicy | None = None,
    timing: str | None = None,
) -> ArrayTotals:
    """The totals of `network` on every machine of an array, the same bits as one run each gives.

    network: or the program that it was lowered to.
    machines: a Machine whose numbers are arrays of shape (machines,), or numbers that stand for all.

    A placement depends on the memory alone, so it is decided once per distinct size; the kernel then
    runs layer by layer over all machines.
    """
    places, times = policies_of(machines, placement, timing)
    program = network if isinstance(network, Program) else lower(network)
    stage = output_stage(program, machines.extras.output_stage)
    work = work_with(program, stage)
    through = machines.extras.write_through
    sizes, which = np.unique(np.atleast_1d(machines.sram_bytes), return_inverse=True)
    doubled = machines.double_buffered
    placed = [places.place(program, int(size), double_buffered=doubled) for size in sizes]
    moved = [Moved(program, each, stage, through) for each in placed]
    peaks = np.array([each.sram_used_bytes.max() for each in placed])[which]
    numbers = (*machines.numbers, *numbers_in(machines.extras).values())
    count = np.broadcast_shapes(which.shape, *(np.shape(each) for each in numbers))[0]
    full: dict[str, Any] = {name: np.empty(count) for name in _SUMS}
    in_sizes = MovedInSizes(moved, which)
    for start in range(0, count, _BLOCK):
        block = slice(start, start + _BLOCK)
        if len(moved) > 1:
            in_sizes.which = which[block]
        traffic = in_sizes if len(moved) > 1 else moved[0]
        sums = _sums(work, traffic, _some(machines, block), times)
        for name, values in sums.items():
            full[name][block] = values
    return ArrayTotals(
        ddr_bytes=full["ddr_bytes"].astype(np.int64),
        ddr_s=full["ddr_s"],
        matrix_s=full["matrix_s"],
        vector_s=full["vector_s"],
        compute_s=full["compute_s"],
        total_s=full["layer_s"],
        peak_sram_bytes=np.broadcast_to(peaks, count),
    )


# The machines of one pass of the kernel: so many that its arrays stay in a processor's cache.
_BLOCK = 8192
_SUMS = ("ddr_bytes", "ddr_s", "matrix_s", "vector_s", "compute_s", "layer_s")


def _sums(
    work: LayerWork, traffic: Traffic, machines: Machine, times: TimingPolicy
) -> dict[str, Any]:
    """The sums over the layers, each added in execution order."""
    sums: dict[str, Any] = dict.fromkeys(_SUMS, 0.0)
    done: dict[int, LayerTimes] = {}  # the times of the last layer that takes time
    for position, before in enumerate(traffic.before.tolist()):
        layer = layer_times(work, traffic, machines, times, position, done.get(before), lean=True)
        for name in _SUMS:
            sums[name] = sums[name] + layer.steps[name]
        if work.counted[position]:
            done = {position: layer}
    return sums


def _some(machines: Machine, block: slice) -> Machine:
    """Some machines of an array of them."""

    def cut(numbers: dict[str, Any]) -> dict[str, Any]:
        return {key: value[block] for key, value in numbers.items() if np.size(value) > 1}

    own = dict(zip(NUMBERS, machines.numbers, strict=True))
    extras = with_numbers(machines.extras, cut(numbers_in(machines.extras)))
    return replace(machines, **cut(own), extras=extras)


def compare(
    networks: Sequence[Network],
    machines: Sequence[Machine],
    placement: str | PlacementPolicy | None = None,
    timing: str | None = None,
) -> pd.DataFrame:
    """The same work on several machines, as a DataFrame with the columns of `comparison`."""
    import pandas as pd

    check_type(networks, Sequence, "[network, ...]")
    check_type(machines, Sequence, "[machine, ...]")
    runs = [
        [simulate(network, machine, placement, timing) for machine in machines]
        for network in networks
    ]
    return pd.DataFrame(comparison(runs))


def comparison(runs: Sequence[Sequence[Result]]) -> Columns:
    """Runs side by side: for each network its runs on all machines, the first being the base.

    Columns: network, hardware, placement, timing, layer, name, op, time_s, speedup (`steady_s` on the first machine /
    `steady_s` on this one), bound, ddr_s, compute_s, ddr_bytes, sram_used_bytes, steady_s; where any machine states
    energies also energy_j, None on those that state none. `steady_s` is the time of every further inference, which
    finds pinned weights in place; all else is of the first one. The whole network is layer 0, named "total", before its
    layers; its memory is the peak.
    """
    columns: Columns = {
        name: []
        for name in (
            *("network", "hardware", "placement", "timing", "layer", "name", "op"),
            *("time_s", "speedup", "bound", "ddr_s", "compute_s", "ddr_bytes", "sram_used_bytes"),
            "steady_s",
        )
    }
    has_energy = any("energy_j" in result.columns for results in runs for result in results)
    if has_energy:
        columns["energy_j"] = []
    for results in runs:
        for result in results:
            for row in _comparison_rows(result, results[0]):
                for name, value in zip(columns, row if has_energy else row[:-1], strict=True):
                    columns[name].append(value)
    return columns


def _comparison_rows(result: Result, base: Result) -> list[tuple[Any, ...]]:
    run = (
        result.program.name,
        result.machine.name,
        result.placement_policy.name,
        result.timing_policy.name,
    )
    totals, layers = result.totals, result.columns
    rows: list[tuple[Any, ...]] = [
        (
            *(*run, 0, "total", "network", totals.total_s),
            speedup(base.totals.steady_s, totals.steady_s),
            *(totals.bound, totals.ddr_s, totals.compute_s, totals.ddr_bytes),
            *(totals.peak_sram_bytes, totals.steady_s, totals.energy_j),
        )
    ]
    energies = layers.get("energy_j", [None] * len(layers["layer"]))
    shown = ("bound", "ddr_s", "compute_s", "ddr_bytes", "sram_used_bytes")
    for position, layer_s in enumerate(layers["layer_s"]):
        steady_s = result.steady_layer_s[position]
        factor = speedup(base.steady_layer_s[position], steady_s)
        identity = (layers[name][position] for name in ("layer", "name", "op"))
        rest = (layers[name][position] for name in shown)
        rows.append((*run, *identity, layer_s, factor, *rest, steady_s, energies[position]))
    return rows


def check_type(value: object, wanted: type, made_by: str) -> None:
    """Raise InvalidValueError for an argument that is no `wanted`, such as the name of a network for the network."""
    if not isinstance(value, wanted) or isinstance(value, str):
        raise InvalidValueError(
            "", found=describe(value), expected=f"a {wanted.__name__} (see {made_by})"
        )


def speedup(base_s: float, time_s: float) -> float | None:
    """How many times as fast as the base; None where this one takes no time at all."""
    if time_s:
        return base_s / time_s
    return None if base_s else 1.0


def policies_of(
    machine: Machine, placement: str | PlacementPolicy | None, timing: str | None
) -> tuple[PlacementPolicy, TimingPolicy]:
    """The policies of a run; an unknown one is reported where it was written."""
    try:
        if placement is None or isinstance(placement, str):
            places = placement_policy(placement or machine.placement)
        else:
            places = placement
    except UnknownNameError as error:
        raise error.at(file=None if placement else machine.places.get("placement")) from None
    try:
        return places, timing_policy(timing or machine.timing)
    except UnknownNameError as error:
        raise error.at(file=None if timing else machine.places.get("timing")) from None
