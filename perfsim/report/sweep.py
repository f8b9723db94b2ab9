"""The report of a sweep: its rows as a sheet, and what sums them up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeAlias

from perfsim.errors import UnknownNameError
from perfsim.hardware import units
from perfsim.hardware.fields import field_of
from perfsim.report.machine import machine_record, machine_text
from perfsim.report.run import settings_text
from perfsim.report.sheet import Sheet
from perfsim.report.text import (
    BYTE_UNITS,
    ENERGY_UNITS,
    NAME_LEAST,
    TIME_UNITS,
    Column,
    scaled,
    table,
    wrapped,
)
from perfsim.sweeps.evaluation import COLUMNS, LAYER_COLUMNS
from perfsim.sweeps.writers import plain_columns

if TYPE_CHECKING:
    from perfsim.sweeps.evaluation import Columns
    from perfsim.sweeps.study import Study

Scale: TypeAlias = (
    "Sequence[tuple[float, str]]"  # units from small to large: their factor to SI, and name
)

SHOWN = 60  # rows of a table for people
_ENDINGS: Mapping[str, Scale] = {"_bytes": BYTE_UNITS, "_s": TIME_UNITS, "_j": ENERGY_UNITS}


def _rates(unit: str) -> Scale:
    return [(10.0 ** (3 * at), f"{prefix}{unit}") for at, prefix in enumerate(("", *"kMGTP"))]


_UNITS: Mapping[str, Scale] = {
    units.BANDWIDTH.name: _rates("B/s"),
    units.COMPUTE.name: _rates("FLOPS"),
    units.FREQUENCY.name: _rates("Hz"),
    units.TIME.name: TIME_UNITS,
    units.ENERGY.name: [(1e-15, "fJ"), *ENERGY_UNITS],
    units.POWER.name: [(factor, unit.replace("J", "W")) for factor, unit in ENERGY_UNITS],
}

# What is left out first where the table is too wide; never what is varied, a cost that is an expression, or the time.
_KEEP_OTHERS = 6
_KEEP = {
    "total_s": 0,
    "layer_s": 0,
    "bound": 2,
    "energy_j": 3,
    "ddr_bytes": 4,
    "peak_sram_bytes": 7,
}


def sweep_sheet(
    study: Study, columns: Columns, settings: Sequence[str] = (), title: str = "points"
) -> Sheet:
    """Rows of a sweep as a sheet; title: what the rows are."""
    plain = plain_columns(columns, study.categories)
    record = {
        "hardware": study.machine.name,
        "policies": dict(zip(("placement", "timing"), study.policies, strict=True)),
        "settings": list(settings),
        "machine": machine_record(study.machine),
        "points": study.count,
    }

    def text(width: int) -> str:
        names = study.categories["network"]
        of = f" of {names[0]}" if len(names) == 1 else ""
        varied = ", ".join(study.inputs)
        heading = (
            f"{study.count:,} {'point' if study.count == 1 else 'points'}{of} on {study.machine.name} "
            f"({machine_text(study.machine, varied=study.inputs)}), varied: {varied}; "
            f"placement {study.policies[0]}, timing {study.policies[1]}{settings_text(settings)}"
        )
        shown = {name: values for name, values in plain.items() if not (of and name == "network")}
        return f"{wrapped(heading, width)}\n\n{rows_text(shown, width, title)}"

    return Sheet(record, "points", plain, text)


def rows_text(plain: dict[str, list[Any]], width: int, title: str) -> str:
    """The first rows as a table for people, and how many more there are."""
    count = len(next(iter(plain.values())))
    if not count:
        return f"no {title}\n"
    shown = [_column(name, values[:SHOWN]) for name, values in plain.items()]
    more = f"{count - SHOWN:,} more {title}: -o FILE writes all\n" if count > SHOWN else ""
    return table(shown, width) + more


def _column(name: str, values: list[Any]) -> Column:
    keep = _KEEP.get(name, _KEEP_OTHERS if name in COLUMNS or name in LAYER_COLUMNS else 0)
    return replace(_cells(name, values), keep=keep)


def _cells(name: str, values: list[Any]) -> Column:
    if isinstance(values[0], str):
        return Column(name, values, left=True, least=NAME_LEAST)
    for end, scale in _ENDINGS.items():
        if name.endswith(end):
            return scaled(name, values, scale)
    dimension = _dimension(name)
    if dimension is units.SIZE:
        return scaled(name, values, BYTE_UNITS)
    if dimension is not None:
        return scaled(name, values, _fitting(_UNITS[dimension.name], values))
    written = [str(value) if isinstance(value, int) else f"{value:.6g}" for value in values]
    return Column(name, written)


def _dimension(name: str) -> units.Dimension | None:
    """Of a key of the machine's file; None for plain numbers, and for all other columns."""
    try:
        return field_of(name).dimension
    except UnknownNameError:
        return None


def _fitting(scale: Scale, values: Sequence[float]) -> Scale:
    """The one unit in which the smallest is 1 or more, where the largest is not too long in it; else all units."""
    usual = [unit for unit in scale if unit[0] <= min(values)][-1:]
    return usual if usual and max(values) < 1e5 * usual[0][0] else scale
