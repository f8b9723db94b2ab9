"""Numbers with units, and tables that fit the terminal.

A table library was measured and left: rich adds 15 to 40 ms to a run of 150, tabulate 18, and neither leaves out
columns by importance to fit a width, which is what is needed here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

GAP = 2
NAME_LEAST = 16  # to how many characters the name of a layer may be cut
_PREFIXES = ((1e18, "E"), (1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))
_SMALL = ((1.0, ""), (1e-3, "m"), (1e-6, "u"), (1e-9, "n"), (1e-12, "p"))


def amount(value: float, unit: str) -> str:
    """A quantity with four significant digits and a decimal prefix: ``803.8 kB``."""
    for factor, prefix in _PREFIXES:
        if abs(value) >= factor:
            return f"{_digits(value / factor)} {prefix}{unit}"
    return f"{_digits(value)} {unit}".rstrip()


def count(value: float, what: str) -> str:
    """A count of things with four significant digits: ``568.7 M MACs``."""
    return amount(value, f" {what}").replace("  ", " ")


def duration(seconds: float) -> str:
    """A time with four significant digits: ``1.335 ms``."""
    return small_amount(seconds, "s")


def small_amount(value: float, unit: str, digits: int = 4) -> str:
    """A quantity that is mostly below 1 of its unit, with so many significant digits: ``1.335 mJ``."""
    for factor, prefix in _SMALL:
        if abs(value) >= factor:
            return f"{_digits(value / factor, digits)} {prefix}{unit}"
    return f"{value:.{digits}g} {unit}"


def _digits(value: float, digits: int = 4) -> str:
    if digits < 4:
        value = float(f"{value:.{digits}g}")  # which four digits then show as it is
    if value >= 1000 or value == int(value):
        return f"{value:.0f}"
    return f"{value:.4g}"


@dataclass(frozen=True)
class Column:
    """A column of a table for people.

    Attributes:
        head: its heading.
        cells: its texts, a total at the end when the table has one.
        keep: how important it is; the least important are left out first, those with 0 never.
        left: whether it is aligned to the left.
        least: to how many characters its texts may be cut to make the table fit; 0 is never.
        cut_end: whether they are cut at the end rather than in the middle.
    """

    head: str
    cells: list[str]
    keep: int = 0
    left: bool = False
    least: int = 0
    cut_end: bool = False

    @property
    def width(self) -> int:
        return max([len(self.head), *map(len, self.cells)])


TIME_UNITS = ((1e-12, "ps"), (1e-9, "ns"), (1e-6, "us"), (1e-3, "ms"), (1.0, "s"))
BYTE_UNITS = ((1.0, "B"), (1e3, "kB"), (1e6, "MB"), (1e9, "GB"))
ENERGY_UNITS = ((1e-12, "pJ"), (1e-9, "nJ"), (1e-6, "uJ"), (1e-3, "mJ"), (1.0, "J"))
COUNT_UNITS = ((1.0, ""), (1e3, "k"), (1e6, "M"), (1e9, "G"))


def scaled(
    head: str,
    values: Sequence[float],
    units: Sequence[tuple[float, str]],
    largest: float | None = None,
) -> Column:
    """A column of numbers in one unit, in which the largest has at most five digits before the point.

    units: (factor, name) from small to large, such as (1e-6, "us"), (1e-3, "ms").
    largest: of the values that share the unit, when other columns do.
    """
    largest = max(values, default=0) if largest is None else largest
    factor, unit = next(
        ((factor, unit) for factor, unit in units if largest < 1e5 * factor), units[-1]
    )
    decimals = 3 if largest < 1e4 * factor else 1
    if factor == 1.0 and units in (BYTE_UNITS, COUNT_UNITS):
        decimals = 0  # whole bytes and counts
    cells = [f"{value / factor:.{decimals}f}" for value in values]
    return Column(f"{head} [{unit}]" if unit else head, cells)


# Columns with a greater `keep` are left out before any text is cut.
_CUT_BEFORE = 5


def table(
    columns: Sequence[Column], width: int, *, has_total: bool = False, has_head: bool = True
) -> str:
    """The columns side by side in at most `width` characters, the least important left out."""
    shown = [(column, column.width) for column in columns]

    def least(column: Column, natural: int) -> int:
        return min(column.least, natural) if column.least else natural

    def leave_out(over: int, widths: Callable[[], list[int]]) -> None:
        """Leave out columns whose `keep` is above `over` while the table is too wide."""
        while sum(widths()) + GAP * (len(shown) - 1) > width:
            droppable = [pair for pair in shown if pair[0].keep > over]
            if not droppable:
                break
            shown.remove(max(droppable, key=lambda pair: pair[0].keep))

    leave_out(_CUT_BEFORE, lambda: [natural for _, natural in shown])
    leave_out(0, lambda: [least(*pair) for pair in shown])
    excess = sum(natural for _, natural in shown) + GAP * (len(shown) - 1) - width
    # what matters least is cut first: a name keeps what room there is
    for index in sorted(range(len(shown)), key=lambda index: -shown[index][0].keep):
        column, natural = shown[index]
        room = max(least(column, natural), natural - max(0, excess))
        if room < natural:
            excess -= natural - room
            cells = [shortened(cell, room, column.cut_end) for cell in column.cells]
            shown[index] = (replace(column, cells=cells), room)
    lines = [_line([column.head for column, _ in shown], shown)]
    rule = "-" * len(lines[0].rstrip())
    lines = [*lines, rule] if has_head else []
    rows = len(shown[0][0].cells)
    for row in range(rows):
        if has_total and row == rows - 1:
            lines.append(rule)
        lines.append(_line([column.cells[row] for column, _ in shown], shown))
    return "\n".join(line.rstrip() for line in lines) + "\n"


def telling_room(cells: Sequence[str], least: int, most: int) -> int:
    """The fewest characters, from `least` to `most`, that texts can be cut to so that no two become the same.

    `most` where none are enough.
    """
    different = set(cells)
    for room in range(least, most):
        if len({shortened(cell, room) for cell in different}) == len(different):
            return room
    return most


def shortened(text: str, room: int, cut_end: bool = False) -> str:
    """`text` with its middle (or end) left out so that it takes at most `room` characters."""
    if len(text) <= room:
        return text
    tail = 0 if cut_end else (room - 1) // 2
    return text[: room - 1 - tail] + "…" + text[len(text) - tail :]


def _line(cells: Sequence[str], columns: Sequence[tuple[Column, int]]) -> str:
    parts = [
        cell.ljust(width) if column.left else cell.rjust(width)
        for cell, (column, width) in zip(cells, columns, strict=True)
    ]
    return (" " * GAP).join(parts)


def texts(values: Sequence[Any]) -> list[str]:
    """Each value as text."""
    return [str(value) for value in values]


def wrapped(text: str, width: int, indent: str = "  ") -> str:
    """`text` broken into lines of at most `width`, those after the first indented."""
    import textwrap

    return "\n".join(
        textwrap.wrap(
            text,
            max(width, 40),
            subsequent_indent=indent,
            break_long_words=False,
            break_on_hyphens=False,
        )
    )
