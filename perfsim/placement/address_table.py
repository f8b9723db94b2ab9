"""Buffers from a CSV file: the columns id, lower, upper, size, as the MiniMalloc project writes them, and more.

Optional: alignment (where empty, the default) and offset (where given, the buffer must lie there).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from perfsim.csv_table import read_rows, whole_number
from perfsim.document import read_text
from perfsim.errors import InputError, InvalidValueError
from perfsim.network.work import LARGEST_COUNT
from perfsim.placement.address_buffers import FREE, Buffers, fixed_overlap, make_buffers
from perfsim.validation import printable

NEEDED = ("id", "lower", "upper", "size")
OPTIONAL = ("alignment", "offset")


@dataclass(frozen=True, eq=False)
class BufferTable:
    """The buffers of a file.

    Attributes:
        names: their ids.
        buffers: in the order of the file.
    """

    names: tuple[str, ...]
    buffers: Buffers


def read_buffers(path: Path, alignment: int = 1) -> BufferTable:
    """The buffers in the CSV file at `path`; raises InputError with file, line and column.

    alignment: of the buffers of which the file does not say it [bytes].
    """
    file = str(path)
    lines: dict[str, int] = {}
    columns: list[tuple[int, int, int, int, int]] = []
    for line, row in read_rows(read_text(path), file, NEEDED, OPTIONAL, row_is="buffer"):
        try:
            columns.append(_buffer(row, alignment))
            name = printable(row["id"])
            if not name:
                raise InvalidValueError("", found="nothing", expected="a name").at(where="id")
            if name in lines:
                raise InvalidValueError(
                    f"the id '{name}' is used twice; it stands at line {lines[name]} too"
                ).at(where="id")
        except InputError as error:
            raise error.at(file=file, line=line) from None
        lines[name] = line
    names = tuple(lines)
    values = list(zip(*columns, strict=True))
    pair = fixed_overlap(Buffers(*(np.array(each, dtype=np.int64) for each in values)))
    if pair is not None:
        one, other = (names[index] for index in pair)
        raise InvalidValueError(
            f"'{other}' must overlap '{one}' (line {lines[one]}), which lives at the same time"
        ).at(file=file, line=lines[other], where="offset")
    try:
        return BufferTable(names, make_buffers(*values))
    except InputError as error:
        raise error.at(file=file) from None


def _buffer(row: dict[str, str], alignment: int) -> tuple[int, int, int, int, int]:
    """lower, upper, size, alignment and fixed offset of a row."""
    lower, upper, size = (_number(row, column) for column in NEEDED[1:])
    if lower >= upper:
        raise InvalidValueError(
            "", found=f"{upper}, with a lower of {lower}", expected="a time after lower"
        ).at(where="upper")
    if row.get("alignment"):
        alignment = _number(row, "alignment", least=1)
    fixed = _number(row, "offset") if row.get("offset") else FREE
    if fixed != FREE and fixed % alignment:
        raise InvalidValueError(
            "", found=f"{fixed}", expected=f"a multiple of its alignment, {alignment}"
        ).at(where="offset")
    return lower, upper, size, alignment, fixed


def _number(row: dict[str, str], column: str, least: int = 0) -> int:
    value = whole_number(row, column, least)
    if value > LARGEST_COUNT:
        raise InvalidValueError("", found=f"{value:,}", expected="at most 2^53").at(where=column)
    return value
