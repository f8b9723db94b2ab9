"""Files of measured latencies: CSV, one measurement a row, for comparison with predictions.

Columns: network, set (what changes of it, such as ``width=0.5 classes=101``; may be empty), precision (such as int8;
empty for the network's own), batch, measured_ms. Where a row is of one layer: convolution (counted from 1 in execution
order) or layer (its name or number; only a label where a convolution is given), and with (layers whose work is in the
same time, such as additions that a compiler put into a convolution). Further columns are carried along.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from perfsim import catalog
from perfsim.csv_table import read_rows, whole_number
from perfsim.document import read_text, read_value
from perfsim.errors import FileError, InputError, InvalidValueError, UnknownNameError, describe
from perfsim.settings import Setting
from perfsim.validation import printable

NEEDED = ("network", "set", "precision", "batch", "measured_ms")
OF_A_LAYER = ("convolution", "layer")
WITH = "with"  # not among those that a slip is looked for: a column may well be called width
COMPUTED = (
    "name",
    "predicted_ms",
    "error",
    "within_interval",
)  # what a comparison adds to its rows
_ALSO_CALLED = {  # by other tools, for the hint after an unknown column
    **dict.fromkeys(("model", "net", "network_name", "model_name", "name"), "network"),
    **dict.fromkeys(("settings", "config", "options"), "set"),
    **dict.fromkeys(("dtype", "bits", "quantization"), "precision"),
    **dict.fromkeys(("batch_size", "batchsize", "n"), "batch"),
    **dict.fromkeys(
        ("ms", "latency", "latency_ms", "time", "time_ms", "measured", "runtime_ms"), "measured_ms"
    ),
}
_FEWEST_MS, _MOST_MS = 1e-9, 1e12

_NUMBER = re.compile(r"[-+]?(?:\d{1,40}(?:\.\d{0,40})?|\.\d{1,40})(?:[eE][-+]?\d{1,3})?", re.ASCII)
_PRECISION = re.compile(r"(?:u?int|b?float|fp|bf)? ?([1-9]\d{0,3})(?:[ -]?bits?)?", re.ASCII)


@dataclass(frozen=True)
class Measurement:
    """One row of a file of measurements.

    Attributes:
        file, line: where it stands.
        network: a path or the name of a bundled network.
        settings: what changes of the network's file, with precision and batch, by dotted key.
        convolution: which of the network's convolutions was measured, from 1; None for another layer or the whole.
        layer: which layer, by name or number (a label where there is a convolution); empty for the whole network.
        with_layers: further layers, by name or number, whose work is in the time.
        measured_ms: the time of the whole batch [ms].
        cells: all of the row's cells as text, by column.
    """

    file: str
    line: int
    network: str
    settings: Mapping[str, Setting]
    convolution: int | None
    layer: str
    with_layers: tuple[str, ...]
    measured_ms: float
    cells: Mapping[str, str]

    @property
    def place(self) -> str:
        """Where it stands, as a message names it: ``measured.csv:7``."""
        return f"{self.file}:{self.line}"

    @property
    def run(self) -> tuple[Any, ...]:
        """What must be simulated for this row: the same for rows of the same network and settings."""
        changed = sorted((key, repr(setting.value)) for key, setting in self.settings.items())
        return self.network, *changed


def read_measurements(paths: Sequence[Path]) -> list[Measurement]:
    """The measurements in the CSV files at `paths`, file by file in their order.

    Raises InputError with file, line and column for missing and misspelt columns, unknown networks, times that are not
    numbers above zero, and rows that repeat, in one file or two: rows that agree in all but numbers that were
    measured. Two measurements of the same network are told apart by a text in a further column, such as a note.
    """
    known: dict[tuple[Any, ...], Measurement] = {}
    for path in paths:
        file = str(path)
        rows = read_rows(
            *(read_text(path), file, NEEDED, OF_A_LAYER),
            row_is="measurement",
            further=True,
            also=_ALSO_CALLED,
        )
        for line, row in rows:
            try:
                measurement = _measurement(row, file, line)
                before = known.setdefault(_identity(measurement), measurement)
                if before is not measurement:
                    of_file = "" if before.file == file else f" of {before.file}"
                    raise InvalidValueError(
                        f"this measurement of '{measurement.network}' stands at line {before.line}{of_file} too",
                        expected="one row each, or a text in a further column (such as note) that differs",
                    ).at(where="network")
            except InputError as error:
                raise error.at(file=file, line=line) from None
    return list(known.values())


def _measurement(row: dict[str, str], file: str, line: int) -> Measurement:
    for column in ("network", "set", "precision", *OF_A_LAYER, WITH):
        try:
            printable(row.get(column, ""))
        except InputError as error:
            raise error.at(where=column) from None
    convolution = whole_number(row, "convolution", 1) if row.get("convolution") else None
    with_layers = tuple(row.get(WITH, "").split())
    if with_layers and convolution is None and not row.get("layer"):
        raise InvalidValueError(
            "",
            found=describe(row[WITH]),
            expected="nothing beside a whole network, or a layer in its column",
        ).at(where=WITH)
    return Measurement(
        file,
        line,
        _network(row["network"]),
        _settings(row, file, line),
        convolution,
        row.get("layer", ""),
        with_layers,
        _measured_ms(row["measured_ms"]),
        row,
    )


def _identity(measurement: Measurement) -> tuple[Any, ...]:
    """What no other row may agree in: what was measured, and what is said of it in words."""
    cells = measurement.cells.items()
    known = (*NEEDED, *OF_A_LAYER, *COMPUTED)
    words = [
        (name, text) for name, text in cells if text and name not in known and not _is_number(text)
    ]
    return measurement.run, measurement.convolution, measurement.layer, *words


def _is_number(text: str) -> bool:
    return _NUMBER.fullmatch(text) is not None


def _network(name: str) -> str:
    if not name:
        raise InvalidValueError("", found="nothing", expected="a network").at(where="network")
    try:
        catalog.find_network(name)
    except FileError as error:
        raise UnknownNameError(
            f"unknown network '{name}'",
            expected=error.expected,
            nearest=error.nearest,
        ).at(where="network") from None
    return name


def _measured_ms(text: str) -> float:
    value = float(text) if _is_number(text) else float("nan")
    if not _FEWEST_MS <= value <= _MOST_MS:
        raise InvalidValueError(
            "",
            found=describe(text) if text else "nothing",
            expected="a number of milliseconds above zero (1e-9 to 1e12)",
        ).at(where="measured_ms")
    return value


def _settings(row: dict[str, str], file: str, line: int) -> dict[str, Setting]:
    """What `set`, `precision` and `batch` of a row change, each with the place where it stands."""
    settings: dict[str, Setting] = {}
    for text in row["set"].split():
        key, equals, value = text.partition("=")
        problem = ""
        if not key or not equals or not value:
            problem = "KEY=VALUE such as width=0.5, several with blanks between them"
        elif key == "hw" or key.startswith("hw."):
            problem = "a key of the network's file: the machine is the same for all rows"
        elif key in ("file", "allow_unpriced"):  # arguments of load_network that are no settings
            problem = "a key of the network's file"
        elif key == "batch" or (key.split(".")[0] == "precision" and row["precision"]):
            problem = f"the {key.split('.')[0]} in its own column alone"
        elif key in settings:
            problem = f"the key '{key}' once"
        if problem:
            raise InvalidValueError("", found=describe(text), expected=problem).at(where="set")
        origin = origin_of(file, line, "set")
        try:
            settings[key] = Setting(read_value(value, origin), origin)
        except InputError as error:
            error.file = None
            raise error.at(where="set") from None
    if row["precision"]:
        match = _PRECISION.fullmatch(row["precision"])
        if match is None:
            raise InvalidValueError(
                "", found=describe(row["precision"]), expected="bits such as int8, fp16 or '16 bit'"
            ).at(where="precision")
        bits = Setting(int(match[1]), origin_of(file, line, "precision"))
        settings |= {"precision.feature_map": bits, "precision.weight": bits}
    batch = whole_number(row, "batch", 1)
    return settings | {"batch": Setting(batch, origin_of(file, line, "batch"))}


def origin_of(file: str, line: int, column: str) -> str:
    """How a message names where a setting was given."""
    return f"{file}:{line}: {column}"
