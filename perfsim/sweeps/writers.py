"""The formats that a sweep can be written in, row by row as they come."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from perfsim.errors import missing_extra

if TYPE_CHECKING:
    from perfsim.sweeps.evaluation import Columns

Categories = Mapping[str, Sequence[str]]


class Writer(Protocol):
    """Writes rows to a file, part by part; what of it raises OSError is not complete."""

    def add(self, columns: Columns) -> None:
        """Write some rows."""
        ...

    def close(self) -> None:
        """Complete the file."""
        ...


class ParquetRows:
    """Parquet, a row group for each part.

    columns: a part, for its types. categories: what the codes of columns of text mean.
    """

    def __init__(self, path: Path, columns: Columns, categories: Categories) -> None:
        arrow = _pyarrow()
        self._categories = {
            name: arrow.array(texts) for name, texts in categories.items() if name in columns
        }
        self._arrow = arrow
        self._writer = arrow.parquet.ParquetWriter(
            path, self._table(columns).schema, compression="zstd"
        )

    def _table(self, columns: Columns) -> Any:
        arrow = self._arrow
        arrays: dict[str, Any] = {}
        for name, values in columns.items():
            codes = arrow.array(values)
            texts = self._categories.get(name)
            arrays[name] = (
                codes if texts is None else arrow.DictionaryArray.from_arrays(codes, texts)
            )
        return arrow.table(arrays)

    def add(self, columns: Columns) -> None:
        """Write some rows."""
        self._writer.write_table(self._table(columns))

    def close(self) -> None:
        """Complete the file."""
        self._writer.close()


def _pyarrow() -> Any:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise missing_extra("writing .parquet needs the library pyarrow", "parquet") from None
    return pyarrow


class CsvRows:
    """CSV; floats are printed so that they read back to the same value.

    columns: a part, for its heads. categories: what the codes of columns of text mean.
    """

    def __init__(self, path: Path, columns: Columns, categories: Categories) -> None:
        self._file = path.open("w", newline="", encoding="utf-8")
        self._categories = {name: categories[name] for name in columns if name in categories}
        self._rows = csv.writer(self._file, lineterminator="\n")
        self._rows.writerow(columns)

    def add(self, columns: Columns) -> None:
        """Write some rows."""
        self._rows.writerows(zip(*plain_columns(columns, self._categories).values(), strict=True))

    def close(self) -> None:
        """Complete the file."""
        self._file.close()


def plain_columns(columns: Columns, categories: Categories) -> dict[str, list[Any]]:
    """The columns as lists of plain numbers and texts."""
    plain: dict[str, list[Any]] = {}
    for name, values in columns.items():
        texts = categories.get(name)
        listed = values.tolist()
        plain[name] = listed if texts is None else [texts[code] for code in listed]
    return plain


WRITERS: Mapping[str, Callable[[Path, Columns, Categories], Writer]] = {
    ".parquet": ParquetRows,
    ".csv": CsvRows,
}
