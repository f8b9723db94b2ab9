"""What every command prints or writes: rows by column, a record around them, a text for people."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from perfsim import __version__
from perfsim.errors import missing_extra

if TYPE_CHECKING:
    from perfsim.result import Columns

FORMATS = ("table", "csv", "json")


@dataclass(frozen=True)
class Sheet:
    """One command's result.

    Attributes:
        record: what JSON says before the rows.
        rows_name: the key of the rows in JSON.
        columns: the rows, column by column.
        text: the result for a person, given the width of the terminal.
    """

    record: dict[str, Any]
    rows_name: str
    columns: Columns
    text: Callable[[int], str]


def csv_text(sheet: Sheet) -> str:
    """The rows as CSV; floats are printed so that they read back to the same value."""
    import csv
    import io

    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(sheet.columns)
    writer.writerows(zip(*sheet.columns.values(), strict=True))
    return buffer.getvalue()


def json_text(sheet: Sheet) -> str:
    """The record and the rows as JSON."""
    import json

    rows = [
        dict(zip(sheet.columns, row, strict=True))
        for row in zip(*sheet.columns.values(), strict=True)
    ]
    document = {"perfsim": __version__, **sheet.record, sheet.rows_name: rows}
    return json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def parquet_bytes(sheet: Sheet) -> bytes:
    """The rows as Parquet; raises MissingExtraError without pyarrow."""
    import io

    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise missing_extra("writing .parquet needs the library pyarrow", "parquet") from None
    buffer = io.BytesIO()
    pq.write_table(pa.table(sheet.columns), buffer, compression="zstd")
    return buffer.getvalue()
