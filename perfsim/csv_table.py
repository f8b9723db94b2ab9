"""Tables in CSV files: rows by column name with their line numbers, and errors that say where."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence

from perfsim.errors import (
    InputError,
    InvalidValueError,
    ParseError,
    describe,
    nearest_name,
    unknown_name,
)

_OTHER_SEPARATORS = {";": "';'", "\t": "tabs", "|": "'|'"}
_DIGITS = re.compile(r"[0-9]{1,4000}")


def read_rows(
    text: str,
    file: str,
    needed: Sequence[str],
    optional: Sequence[str],
    *,
    row_is: str,
    further: bool = False,
    also: Mapping[str, str] | None = None,
) -> list[tuple[int, dict[str, str]]]:
    """The rows of a table with their line numbers, each a mapping from column to text without outer blanks.

    The first row that is not empty names the columns, in any order. row_is: what a row stands for, for errors.
    further: whether there may be columns of other names, unless they look like a known one that is not there.
    also: what others call the columns: {"model": "network"}.
    Raises ParseError and UnknownNameError with file and line.
    """
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    rows: list[tuple[int, dict[str, str]]] = []
    columns: list[str] = []
    try:
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            if not columns:
                names = [cell.strip() for cell in cells]
                columns = _columns(names, needed, optional, further, also or {})
                continue
            if len(cells) != len(columns):
                raise ParseError(
                    "", found=f"{len(cells)} cells", expected=f"{len(columns)}, as in the header"
                )
            rows.append((reader.line_num, dict(zip(columns, map(str.strip, cells), strict=True))))
    except csv.Error as error:
        raise ParseError(f"not valid CSV: {error}").at(file=file, line=reader.line_num) from None
    except InputError as error:
        raise error.at(file=file, line=reader.line_num) from None
    if not rows:
        found = "a header and no rows" if columns else "an empty file"
        raise ParseError("", found=found, expected=f"one row per {row_is}").at(file=file)
    return rows


def _columns(
    columns: list[str],
    needed: Sequence[str],
    optional: Sequence[str],
    further: bool,
    also: Mapping[str, str],
) -> list[str]:
    known = (*needed, *optional)
    if len(columns) == 1:
        for separator, shown in _OTHER_SEPARATORS.items():
            if separator in columns[0]:
                raise ParseError("", found=f"columns separated by {shown}", expected="','")
    absent = [column for column in needed if column not in columns]
    unused = [column for column in optional if column not in columns]
    for column in columns:
        if column not in known and (
            not further
            or not column
            or _is_slip(column, absent, also=also)
            or _is_slip(column, unused, 0.85)
        ):
            raise unknown_name("column", column, known, also=also)
        if columns.count(column) > 1:
            raise ParseError(f"the column '{column}' is repeated")
    if absent:
        raise ParseError(
            f"the column '{absent[0]}' is missing", expected=f"the columns {', '.join(needed)}"
        )
    return columns


def _is_slip(
    column: str,
    missing: Sequence[str],
    cutoff: float = 0.6,
    also: Mapping[str, str] | None = None,
) -> bool:
    """Whether an unknown column stands where one of the missing ones should: they are that much alike."""
    return nearest_name(column, missing, also, cutoff=cutoff) is not None


def whole_number(row: dict[str, str], column: str, least: int) -> int:
    """The whole number in a cell of a row; raises InvalidValueError with the column."""
    text = row[column]
    if not _DIGITS.fullmatch(text) or int(text) < least:
        raise InvalidValueError(
            "", found=describe(text), expected=f"a whole number of at least {least}"
        ).at(where=column)
    return int(text)
