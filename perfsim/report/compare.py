"""The report of a comparison: totals per machine, then the layers side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from perfsim.confidence import LEVEL, confidence_of
from perfsim.report.machine import machine_text
from perfsim.report.run import (
    confidence_record,
    interval_text,
    order_record,
    order_text,
    policies,
    settings_text,
)
from perfsim.report.sheet import Sheet
from perfsim.report.text import (
    GAP,
    NAME_LEAST,
    TIME_UNITS,
    Column,
    amount,
    duration,
    scaled,
    small_amount,
    table,
    texts,
    wrapped,
)
from perfsim.simulation import comparison, speedup

if TYPE_CHECKING:
    from perfsim.confidence import Confidence
    from perfsim.result import Result

Runs = Sequence[Sequence["Result"]]


def compare_sheet(runs: Runs, settings: Sequence[str] = ()) -> Sheet:
    """Runs of each network on all machines as a sheet."""
    record = {
        "networks": [results[0].program.name for results in runs],
        "hardware": [result.machine.name for result in runs[0]],
        "policies": [policies(result) for result in runs[0]],
        "orders": [order_record(results[0].program) for results in runs],
        "settings": list(settings),
        "confidence": [[confidence_record(each) for each in results] for results in runs],
    }
    return Sheet(record, "rows", comparison(runs), lambda width: _text(runs, settings, width))


def differing_policies(runs: Runs) -> str | None:
    """A warning when the machines do not use the same policies, or None."""
    used = {tuple(policies(result).values()) for result in runs[0]}
    if len(used) == 1:
        return None
    described = "; ".join(
        f"{result.machine.name}: {' and '.join(policies(result).values())}" for result in runs[0]
    )
    return (
        f"the machines use different policies ({described}), so the speed-up is not the machine's "
        "alone; --placement NAME and --timing NAME choose one for all"
    )


def _text(runs: Runs, settings: Sequence[str], width: int) -> str:
    parts = []
    for results in runs:
        if results[0].program.unpriced:
            parts.append(f"{wrapped(results[0].program.unpriced, width)}\n")
        program = results[0].program
        heading = f"{program.name}{settings_text(settings)}{order_text(program)}"
        sure = [confidence_of(result) for result in results]
        parts.append(f"{wrapped(heading, width)}\n\n" + _totals(results, sure, width))
        parts += _notes(results, sure, width)
        parts += _layers(results, width)
    return "\n".join(parts)


def _notes(results: Sequence[Result], sure: Sequence[Confidence], width: int) -> list[str]:
    """Which machines are not calibrated, and what may make the times of the others wrong."""
    pairs = list(zip(results, sure, strict=True))
    not_calibrated = [each.machine.name for each, confidence in pairs if not confidence.calibrated]
    lines = [f"not calibrated: {', '.join(not_calibrated)}"] if not_calibrated else []
    if any(each.warms_up for each in results):
        lines.append(
            "further: every inference after the first, which finds pinned weights in place; speed-up, bound, interval "
            "and the layers below are of it, the other numbers of the first"
        )
    lines += [
        f"{each.machine.name}: {note}" for each, confidence in pairs for note in confidence.notes
    ]
    return ["".join(f"{wrapped(line, width)}\n" for line in lines)] if lines else []


def _totals(results: Sequence[Result], sure: Sequence[Confidence], width: int) -> str:
    totals = [result.totals for result in results]
    base_s = totals[0].steady_s
    further = [Column("time", [duration(each.total_s) for each in totals])]
    if any(each.warms_up for each in results):
        further = [
            Column("first", [duration(each.total_s) for each in totals], 2),
            Column("further", [duration(each.steady_s) for each in totals]),
        ]
    intervals = [each.interval for each in sure]
    if any(intervals):
        cells = ["" if each is None else interval_text(each) for each in intervals]
        further.append(Column(f"{LEVEL:.0%} interval", cells, 1))
    gaps = [each.placement.gap for each in results]
    if any(gaps):
        shown = ["" if gap is None else f"{gap:.2%}" for gap in gaps]
        further.append(Column("gap of DDR", shown, 1))
    energies = [each.energy_j for each in totals]
    if any(each is not None for each in energies):
        shown = ["" if each is None else small_amount(each, "J") for each in energies]
        further.append(Column("energy", shown, 1))
    return table(
        [
            Column(
                "hardware", [each.machine.name for each in results], left=True, least=NAME_LEAST
            ),
            *further,
            Column("speed-up", [_speedup(base_s, each.steady_s) for each in totals]),
            Column("bound", [each.steady_bound for each in results], left=True),
            Column("DDR", [amount(each.ddr_bytes, "B") for each in totals], 1),
            Column("DDR time", [duration(each.ddr_s) for each in totals], 3),
            Column("compute", [duration(each.compute_s) for each in totals], 3),
            Column("SRAM peak", [amount(each.peak_sram_bytes, "B") for each in totals], 4),
            Column("placement", [each.placement_policy.name for each in results], 2, left=True),
            Column("timing", [each.timing_policy.name for each in results], 2, left=True),
            Column("machine", [machine_text(each.machine) for each in results], 5, left=True),
        ],
        width,
    )


def _layers(results: Sequence[Result], width: int) -> list[str]:
    """The layers with as many machines side by side as fit, the rest in further tables."""
    columns = results[0].columns
    number = Column("#", texts(columns["layer"]))
    name = Column("layer", columns["name"], left=True, least=NAME_LEAST)
    op = Column("op", columns["op"], 1, left=True)
    largest_s = max(max(result.steady_layer_s) for result in results)
    of = ", further inferences" * any(result.warms_up for result in results)
    base, *others = [_machine_columns(result, results[0], largest_s) for result in results]
    room = width - number.width - min(name.width, width // 4) - GAP - _width(base)
    tables, start = [], 0
    while start < max(1, len(others)):  # the first machine stands in every table
        end, taken = start, 0
        while end < len(others):
            taken += _width(others[end])
            if end > start and taken > room:
                break
            end += 1
        shown = [*base, *(column for group in others[start:end] for column in group)]
        names = [result.machine.name for result in (results[0], *results[start + 1 : end + 1])]
        heading = wrapped(f"per layer on {', '.join(names)}{of}", width)
        tables.append(f"{heading}\n\n" + table([number, name, op, *shown], width))
        start = max(end, start + 1)
    return tables


def _width(columns: Sequence[Column]) -> int:
    return sum(column.width + GAP for column in columns)


def _machine_columns(result: Result, base: Result, largest_s: float) -> list[Column]:
    seconds = result.steady_layer_s
    time = scaled(result.machine.name, seconds, TIME_UNITS, largest_s)
    columns = [time]
    if result is not base:
        pairs = zip(base.steady_layer_s, seconds, strict=True)
        columns.append(Column("speed-up", [_speedup(*pair) for pair in pairs], 2))
    columns.append(Column("bound", result.steady_bounds, 3 if result is not base else 4, left=True))
    return columns


def _speedup(base_s: float, time_s: float) -> str:
    factor = speedup(base_s, time_s)
    return "-" if factor is None else f"{factor:.3g}x"
