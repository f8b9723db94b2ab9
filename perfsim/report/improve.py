"""The report of what helps most: overall, for each layer, and where the next bottleneck begins."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from perfsim.hardware.fields import field_of
from perfsim.report.machine import machine_record, machine_text
from perfsim.report.run import settings_text
from perfsim.report.sheet import Sheet
from perfsim.report.text import NAME_LEAST, Column, duration, table, wrapped

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfsim.hardware.machine import Machine
    from perfsim.program import Program
    from perfsim.sweeps.improve import Improvement


def improvements_sheet(
    program: Program,
    machine: Machine,
    found: Sequence[Improvement],
    factor: float,
    settings: Sequence[str] = (),
) -> Sheet:
    """The improvements as a sheet: the network is layer 0, named "total", before its layers."""
    columns: dict[str, list[Any]] = {
        name: []
        for name in (
            *("layer", "name", "number", "value", "better_value", "saved_s", "saved_share"),
            *("next_value", "next_bound"),
        )
    }
    layers = [(0, "total"), *((at + 1, layer.name) for at, layer in enumerate(program.layers))]
    for each in found:
        saved = [each.total_s - each.better_total_s, *each.saved_s]
        for (at, name), saved_s in zip(layers, saved, strict=True):
            row = (
                *(at, name, each.key, each.value, each.better_value, saved_s),
                saved_s / each.total_s if each.total_s else 0.0,
                *((each.next_value, each.next_bound) if not at else (None, None)),
            )
            for column, value in zip(columns.values(), row, strict=True):
                column.append(value)
    record = {
        "network": program.name,
        "hardware": machine.name,
        "settings": list(settings),
        "machine": machine_record(machine),
        "factor": factor,
        "total_s": found[0].total_s,
    }
    heading = (
        f"{program.name} on {machine.name} ({machine_text(machine)}){settings_text(settings)}: "
        f"{duration(found[0].total_s)}; each number {factor:g} times as good"
    )
    return Sheet(
        record,
        "improvements",
        columns,
        lambda width: f"{wrapped(heading, width)}\n\n{_text(program, found, width)}",
    )


def _text(program: Program, found: Sequence[Improvement], width: int) -> str:
    overall = [
        Column("number", [each.key for each in found], left=True),
        Column("better", [_written(each, each.better_value) for each in found]),
        Column("saves", [duration(each.total_s - each.better_total_s) for each in found]),
        Column("", [f"{each.saved_share:.1%}" for each in found]),
        Column("the next bottleneck", [_next(each) for each in found], left=True, keep=1),
    ]
    by_layer = []
    for at, layer in enumerate(program.layers):
        best = max(found, key=lambda each: each.saved_s[at])
        if best.saved_s[at] > 0:
            by_layer.append((layer.name, best.key, best.saved_s[at]))
    if not by_layer:
        return table(overall, width)
    layers = [
        Column("layer", [name for name, _, _ in by_layer], left=True, least=NAME_LEAST),
        Column("helps most", [key for _, key, _ in by_layer], left=True),
        Column("saves", [duration(saved_s) for _, _, saved_s in by_layer]),
    ]
    return f"{table(overall, width)}\n{table(layers, width)}"


def _written(each: Improvement, value: float) -> str:
    field = field_of(each.key)
    return str(field.written(int(value) if field.whole else value, 4))


def _next(each: Improvement) -> str:
    if each.next_value is None:
        return f"{each.next_bound}, as now"
    return f"{each.next_bound} from {_written(each, each.next_value)} on"
