"""A result of ``perfsim run -o result.json``, read again."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perfsim.document import read_text
from perfsim.errors import InvalidValueError, ParseError, describe

if TYPE_CHECKING:
    from os import PathLike

_NUMBERS = ("layer_s", "ddr_bytes", "sram_used_bytes")
_NEEDED = ("name", "op", "bound", *_NUMBERS)
_EXPECTED = "the JSON of 'perfsim run MODEL --hw PROFILE -o result.json'"


@dataclass(frozen=True)
class Saved:
    """A result as it was written.

    Attributes:
        file: where it was read.
        record: everything but the layers.
        layers: the row of each layer, by its name, in execution order.
    """

    file: str
    record: dict[str, Any]
    layers: dict[str, dict[str, Any]]

    @property
    def totals(self) -> dict[str, Any]:
        """The totals by name."""
        totals: dict[str, Any] = self.record["totals"]
        return totals


def read_result(file: str | PathLike[str]) -> Saved:
    """The result in `file`; raises FileError, ParseError (not JSON), InvalidValueError (another JSON)."""
    path = Path(file)
    name = str(path)
    document = _read_json(name, read_text(path))
    if not isinstance(document, dict):
        raise InvalidValueError("", found=_kind(document), expected=_EXPECTED).at(file=name)
    if "perfsim" not in document:
        raise InvalidValueError("", found=describe(document), expected=_EXPECTED).at(file=name)
    by = f"perfsim {describe(document['perfsim']).strip(chr(39))}"
    missing = [key for key in ("network", "hardware", "totals", "layers") if key not in document]
    if missing:
        raise InvalidValueError(
            f"{by} wrote another result", found=f"no '{missing[0]}'", expected=_EXPECTED
        ).at(file=name)
    layers, totals = document.pop("layers"), document["totals"]
    if not isinstance(totals, dict) or not is_number(totals.get("total_s")):
        found = describe(totals.get("total_s") if isinstance(totals, dict) else totals)
        raise InvalidValueError("", found=found, expected=f"a number ({by} wrote it)").at(
            file=name, where="totals.total_s"
        )
    return Saved(name, document, _by_name(layers, name, by))


def _read_json(file: str, text: str) -> Any:
    def not_a_number(word: str) -> float:
        raise InvalidValueError("", found=word, expected="finite numbers").at(file=file)

    try:
        return json.loads(text, parse_constant=not_a_number)
    except json.JSONDecodeError as error:
        raise ParseError(f"is not JSON: {error.msg}", expected=_EXPECTED).at(
            file=file, line=error.lineno
        ) from None
    except (RecursionError, ValueError) as error:
        if isinstance(error, InvalidValueError):
            raise
        raise ParseError("is no result: nested or long beyond reading", expected=_EXPECTED).at(
            file=file
        ) from None


def _by_name(layers: Any, file: str, by: str) -> dict[str, dict[str, Any]]:
    """The rows by name, checked for what is compared."""
    if not isinstance(layers, list) or not layers:
        raise InvalidValueError("", found=_kind(layers), expected="a list of layers").at(
            file=file, where="layers"
        )
    found: dict[str, dict[str, Any]] = {}
    for number, row in enumerate(layers, 1):
        where = f"layer {number}"
        if not isinstance(row, dict):
            raise InvalidValueError("", found=_kind(row), expected="a layer's columns").at(
                file=file, where=where
            )
        for key in _NEEDED:
            number_wanted = key in _NUMBERS
            if number_wanted != is_number(row.get(key)) or not (
                number_wanted or isinstance(row.get(key), str)
            ):
                wanted = "a number" if number_wanted else "text"
                raise InvalidValueError(
                    "", found=describe(row.get(key)), expected=f"{wanted} ({by} wrote it)"
                ).at(file=file, where=f"{where}, {key}")
        if row["name"] in found:
            raise InvalidValueError(f"two layers are called '{row['name']}'").at(
                file=file, where=where
            )
        found[row["name"]] = row
    return found


def _kind(value: Any) -> str:
    return "a list" if isinstance(value, list) and value else describe(value)


def is_number(value: object) -> bool:
    """Whether it is a finite number, which true and false are not."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
