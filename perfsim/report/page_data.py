"""The data block of a page: runs of networks on machines as plain values, for JSON. Nothing is drawn here."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

from perfsim import __version__
from perfsim.errors import InputError
from perfsim.placement.memory_levels import spilled
from perfsim.placement.memory_map import MemoryMap, memory_map
from perfsim.placement.remembered import Remembered
from perfsim.report.explain import explain_rows
from perfsim.report.figures.roofline import roofline_points, roofs
from perfsim.report.machine import machine_record
from perfsim.report.number_words import number_label
from perfsim.report.page_blocks import blocks_of
from perfsim.report.page_words import (
    assumptions,
    column_label,
    findings,
    network_text,
)
from perfsim.report.run import policies
from perfsim.result import counts_table, parts_of
from perfsim.sensitivity import Gain, gains, numbers_of
from perfsim.simulation import speedup
from perfsim.timing.kernel import BOUNDS

if TYPE_CHECKING:
    from perfsim.placement.placement import PlacementPolicy
    from perfsim.program import Program
    from perfsim.result import Columns, Result


def page_record(runs: Sequence[Sequence[Result]], settings: Sequence[str] = ()) -> dict[str, Any]:
    """Everything that a page shows: for each network its runs on all machines, the first being the base.

    docs/report.md says what each key holds. Columns of the per-layer table that do not depend on the machine stand
    once per network; explanations are lists of indices into `steps`, whose texts are indices into `texts`.
    """
    steps = _Steps()
    maps = _Maps()
    names = list(dict.fromkeys(chain(*(result.columns for results in runs for result in results))))
    return {
        "perfsim": __version__,
        "settings": list(settings),
        "bounds": list(BOUNDS),
        "parts": [list(part) for part in parts_of(names)],
        "labels": {name: column_label(name) for name in names},
        "columns": names,
        "networks": [_network_record(results, steps, maps) for results in runs],
        "texts": list(steps.texts),
        "steps": [list(step[:-1]) for step in steps.steps],
    }


def by_bound(result: Result) -> list[dict[str, Any]]:
    """What bounds the layers of a further inference, the most time first: `bound`, how many `layers`, `layer_s` [s]."""
    sums: dict[str, dict[str, Any]] = {}
    for bound, layer_s in zip(result.steady_bounds, result.steady_layer_s, strict=True):
        entry = sums.setdefault(bound, {"bound": bound, "layers": 0, "layer_s": 0.0})
        entry["layers"] += 1
        entry["layer_s"] += layer_s
    return sorted(sums.values(), key=lambda entry: -entry["layer_s"])


def _network_record(results: Sequence[Result], steps: _Steps, maps: _Maps) -> dict[str, Any]:
    program = results[0].program
    common = counts_table(program)
    blocks = blocks_of(common["name"])
    return {
        "name": program.name,
        "unpriced": program.unpriced,
        "text": network_text(results[0]),
        "layers": len(program.layers),
        "common": common,
        "blocks": [[block.name, block.first, block.end] for block in blocks],
        "edges": edges_of(program),
        "runs": [_run_record(result, results[0], common, steps, maps) for result in results],
    }


def _run_record(
    result: Result, base: Result, common: Columns, steps: _Steps, maps: _Maps
) -> dict[str, Any]:
    gained = gains_of(result)
    shares = by_bound(result)
    layers = range(len(result.program.layers))
    return {
        "hardware": result.machine.name,
        "policies": policies(result),
        "machine": machine_record(result.machine),
        "assumptions": assumptions(result),
        "calibrated": result.machine.extras.calibration is not None,
        "totals": result.totals_record(),
        "speedup": speedup(base.totals.steady_s, result.totals.steady_s),
        "steady_bound": result.steady_bound,
        "columns": {name: each for name, each in result.columns.items() if name not in common},
        "by_bound": shares,
        "points": _points(result),
        "roofs": [[roof.unit, roof.label, roof.flops] for roof in roofs(result)],
        "gains": [_gain_record(gain) for gain in gained],
        "findings": findings(result, shares, gained),
        "memory": maps.record(result),
        "steps": [steps.of(explain_rows(result, position)) for position in layers],
    }


def _points(result: Result) -> list[list[float | None]]:
    """[layer, FLOP per byte, FLOP/s] of every layer of the roofline; null per byte where nothing moves."""
    points = roofline_points(result)
    finite = [each if each < math.inf else None for each in points.flop_per_byte.tolist()]
    return [
        list(each)
        for each in zip(points.layer.tolist(), finite, points.flops.tolist(), strict=True)
    ]


def gains_of(result: Result) -> tuple[Gain, ...]:
    """What each number of the machine would gain; all but the memory's where a placement takes a search of seconds."""
    numbers = list(numbers_of(result.machine))
    if result.placement_policy.searches:
        numbers.remove("sram_bytes")
    policy = _policy(result)
    timing = result.timing_policy.name
    return gains(result.program, result.machine, policy, timing, numbers=numbers)


def _gain_record(gain: Gain) -> dict[str, Any]:
    return {
        "number": gain.number,
        "label": number_label(gain.number),
        "value": gain.value,
        "better_value": gain.better_value,
        "better_total_s": gain.better_total_s,
        "saved_s": gain.saved_s,
        "saved_share": gain.saved_share,
    }


def _policy(result: Result) -> PlacementPolicy:
    return Remembered(result.placement_policy, result.program, result.placement)


def edges_of(program: Program) -> list[list[int]]:
    """[from, to] of every pair of layers of which one reads what the other wrote, by position."""
    writer: dict[int, int] = {}
    edges: dict[tuple[int, int], None] = {}
    for position, layer in enumerate(program.layers):
        for tensor in layer.reads:
            if tensor in writer:
                edges[writer[tensor], position] = None
        for tensor in layer.writes:
            writer[tensor] = position
    return [list(edge) for edge in edges]


class _Steps:
    """Explanations without repetition: machines share most of the steps, and layers most of the formulas."""

    def __init__(self) -> None:
        self.texts: dict[str, int] = {}
        self.steps: dict[tuple[Any, ...], int] = {}

    def of(self, rows: Sequence[tuple[str, str, str, str, Any]]) -> list[int]:
        """The indices of the steps of one layer."""
        found = []
        for *words, value in rows:
            indices = (self.texts.setdefault(word, len(self.texts)) for word in words)
            step = (*indices, value, type(value))  # 0 and 0.0 are equal, but not the same text
            found.append(self.steps.setdefault(step, len(self.steps)))
        return found


class _Maps:
    """Memory maps, one for all runs of one program whose placement is the same."""

    def __init__(self) -> None:
        self._known: dict[tuple[Any, ...], dict[str, Any]] = {}

    def record(self, result: Result) -> dict[str, Any]:
        """Addresses, what is spilled, and notes; `entries` is null where there are no addresses."""
        placement = result.placement
        key = (
            result.program,
            result.placement_policy.name,
            placement.sram_bytes,
            placement.double_buffered,
        )
        if key not in self._known:
            self._known[key] = _memory_record(result)
        return self._known[key]


def _memory_record(result: Result) -> dict[str, Any]:
    program, placement = result.program, result.placement
    tensors = program.tensors
    record: dict[str, Any] = {
        "sram_bytes": placement.sram_bytes,
        "spilled": [
            [tensors[index].name, tensors[index].first, tensors[index].last, extra_bytes]
            for index, extra_bytes in spilled(program, placement)
        ],
        "entries": None,
        "note": "",
    }
    try:
        planned = memory_map(
            _policy(result),
            program,
            placement.sram_bytes,
            double_buffered=placement.double_buffered,
        )
    except InputError as error:
        record["note"] = f"No addresses: {error}."
        return record
    return record | _addresses(planned, placement.sram_bytes)


def _addresses(planned: MemoryMap, sram_bytes: int) -> dict[str, Any]:
    note = ""
    if planned.placement.sram_bytes < sram_bytes:
        note = (
            f"Fragmentation: the addresses of the plan that was simulated do not fit. The map is that of a plan for "
            f"{planned.placement.sram_bytes:,} bytes, which moves more."
        )
    return {
        "entries": [
            [each.tensor, each.kind, each.layer_from - 1, each.layer_to, each.address, each.bytes]
            for each in planned.entries
        ],
        "peak_bytes": planned.addresses.peak_bytes,
        "bound_bytes": planned.addresses.bound_bytes,
        "note": note,
    }
