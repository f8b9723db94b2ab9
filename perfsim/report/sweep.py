"""The report of a sweep: its rows as a sheet, and what sums them up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from perfsim.report.machine import machine_record, machine_text
from perfsim.report.run import settings_text
from perfsim.report.sheet import Sheet
from perfsim.report.text import (
    BYTE_UNITS,
    COUNT_UNITS,
    NAME_LEAST,
    TIME_UNITS,
    Column,
    scaled,
    table,
    texts,
    wrapped,
)
from perfsim.sweeps.expression import ALIASES
from perfsim.sweeps.writers import plain_columns

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfsim.sweeps.evaluation import Columns
    from perfsim.sweeps.study import Study

SHOWN = 60  # rows of a table for people


def with_costs(study: Study, columns: Columns) -> Columns:
    """The rows with a column for each cost that is an expression, named as it was written.

    columns: of the rows, arrays of shape (rows,), with what the costs need.
    """
    count = len(columns["network"])
    costs = {
        each.text.strip(): np.broadcast_to(np.asarray(each.of(columns), dtype=np.float64), count)
        for each in study.costs
        if ALIASES.get(each.text.strip(), each.text.strip()) not in columns
    }
    return {**columns, **costs}


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
        heading = (
            f"{study.count:,} points on {study.machine.name} ({machine_text(study.machine)}); "
            f"placement {study.policies[0]}, timing {study.policies[1]}{settings_text(settings)}"
        )
        return f"{wrapped(heading, width)}\n\n{rows_text(plain, width, title)}"

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
    if isinstance(values[0], str):
        return Column(name, values, left=True, least=NAME_LEAST)
    if name.endswith("_bytes") or name in ("sram", "ddr_burst"):
        return scaled(name, values, BYTE_UNITS)
    if name.endswith("_s"):
        return scaled(name, values, TIME_UNITS)
    if isinstance(values[0], float) and max(values) >= 1e5:
        return scaled(name, values, COUNT_UNITS)
    return Column(name, texts([f"{value:.6g}" for value in values]))
