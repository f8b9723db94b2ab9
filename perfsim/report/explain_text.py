"""The explanation of a layer as text: numbers rounded for reading, lines that fit. The data keep every digit."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from perfsim.report.run import order_text, policies, settings_text
from perfsim.report.text import duration, small_amount, wrapped
from perfsim.timing.values import MEANINGS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfsim.result import Result

Row = tuple[str, str, str, str, Any]  # about, quantity, formula, values, result
_FRACTION = re.compile(r"\d+\.\d+(?:e[+-]\d+)?|\d+e[+-]\d+")
_FORMULAS = ("time", "energy")  # rows that are about these have numbers as values, the others texts


def _rounded(value: float) -> str:
    """A number with at most seven significant digits; a whole one with all."""
    return str(int(value)) if value == int(value) and abs(value) < 1e16 else f"{value:.7g}"


def _with_unit(quantity: str, value: float) -> str:
    """``0.00018816 s (188.2 us)``, ``56,448 cycles``: the unit is in the quantity's name."""
    if quantity.endswith(("_s", "_j")):
        unit = "s" if quantity.endswith("_s") else "J"
        readable = duration(value) if unit == "s" else small_amount(value, unit)
        return f"{_rounded(value)} {unit}" + (f" ({readable})" if value else "")
    unit = next((f" {unit}" for unit in ("bytes", "cycles") if quantity.endswith(unit)), "")
    return f"{int(value):,}{unit}" if value == int(value) else f"{_rounded(value)}{unit}"


def explain_text(
    result: Result, position: int, rows: Sequence[Row], settings: Sequence[str], width: int
) -> str:
    """The rows of the layer at `position` in lines of at most `width`, under what they are about."""
    layer, used = result.program.layers[position], policies(result)
    columns = result.columns
    layers = len(result.program.layers)
    lines = [
        f"{layer.name}: {layer.op}, layer {position + 1} of {layers} of {result.program.name} "
        f"on {result.machine.name}; placement {used['placement']}, timing {used['timing']}"
        f"{settings_text(settings)}{order_text(result.program)}",
        f"{columns['input_shape'][position]} -> {columns['output_shape'][position]}",
    ]
    about = ""
    for row in rows:
        if row[0] != about:
            about = row[0]
            lines += ["", about]
        lines.append(_row_text(row))
    return "\n".join(wrapped(line, width, "      ") for line in lines) + "\n"


def _row_text(row: Row) -> str:
    about, quantity, formula, values, result = row
    if about in _FORMULAS:
        values = _FRACTION.sub(lambda match: _rounded(float(match[0])), values)
    if result == "" and not values:
        return f"  {quantity}: {formula}"
    shown = f"{result:,}" if isinstance(result, int) else str(result)
    if isinstance(result, float):
        shown = _with_unit(quantity, result)
    parts = [part for part in (formula, values) if part and part not in (str(result), shown)]
    if quantity == "bound" or quantity in MEANINGS:
        return f"  {quantity}{':' if quantity == 'bound' else ' ='} {shown} ({formula})"
    return f"  {quantity} = " + " = ".join([*parts, shown])
