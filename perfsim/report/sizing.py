"""The report of the smallest machine that is fast enough."""

from __future__ import annotations

from decimal import ROUND_CEILING, Context
from typing import TYPE_CHECKING

from perfsim.hardware.fields import field_of
from perfsim.report.machine import machine_record
from perfsim.report.sheet import Sheet
from perfsim.report.text import Column, count, duration, table, wrapped

if TYPE_CHECKING:
    from perfsim.hardware.machine import Machine
    from perfsim.sweeps.sizing import Sizes

_DIGITS = 7  # significant ones of a rate, for reading


def sizes_sheet(name: str, machine: Machine, sizes: Sizes, target_s: float) -> Sheet:
    """The smallest numbers as a sheet; name: of the network."""
    columns = {key: [row[at] for row in sizes.rows] for at, key in enumerate(sizes.keys)}
    columns["total_s"] = list(sizes.total_s)
    record = {
        "network": name,
        "hardware": machine.name,
        "machine": machine_record(machine),
        "target_s": target_s,
        "best_s": sizes.best_s,
        "bound": sizes.bound,
        "is_part": sizes.is_part,
        "share": sizes.share,
    }

    def text(width: int) -> str:
        wanted = f"{name} on {machine.name} in at most {duration(target_s)}"
        keys = " and ".join(sizes.keys)
        if not sizes.rows:
            told = (
                f"{wanted}: not at any size: bound by {sizes.bound}, with the most {keys} it takes "
                f"{duration(sizes.best_s)}"
            )
            return f"{wrapped(told, width)}\n"
        shown = [
            Column(key, [_written(key, number) for number in columns[key]]) for key in sizes.keys
        ]
        shown.append(Column("total", [duration(seconds) for seconds in sizes.total_s]))
        heading = f"{wanted}: the smallest {keys}"
        if sizes.is_part:
            heading += f": {count(len(sizes.rows), 'pairs')} of a curve of them"
        notes = ""
        if not all(field_of(key).whole for key in sizes.keys):
            told = "rates are rounded up; --format csv and json, and -o, give every digit"
            notes = f"\n{wrapped(told, width)}\n"
        if sizes.share:
            notes += "\n" + wrapped(
                f"rounding: a rate that is smaller by up to {sizes.share:.1e} of it may be enough too",
                width,
            )
            notes += "\n"
        return f"{wrapped(heading, width)}\n\n{table(shown, width)}{notes}"

    return Sheet(record, "sizes", columns, text)


def _written(key: str, number: float) -> str:
    """A number as the machine's file would state it, rounded up: a rate rounded down would not be enough."""
    field = field_of(key)
    return str(field.written(number if field.whole else _rounded_up(number)))


def _rounded_up(number: float) -> float:
    """The least number of so many significant digits that is not smaller."""
    return float(Context(prec=_DIGITS, rounding=ROUND_CEILING).create_decimal_from_float(number))
