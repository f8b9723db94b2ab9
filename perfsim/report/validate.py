"""The report of a comparison with measurements: a row for each, and what sums them up."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from perfsim.report.machine import machine_record, machine_text
from perfsim.report.run import settings_text
from perfsim.report.sheet import Sheet
from perfsim.report.text import NAME_LEAST, Column, table, texts, wrapped

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfsim.accuracy import Validation


def validate_sheet(
    validation: Validation, settings: Sequence[str] = (), max_error: float | None = None
) -> Sheet:
    """Predictions beside measurements as a sheet.

    settings: what was changed of the machine ("hw.sram=1MB"); max_error: the limit of the mean absolute error
    as a fraction, None for none.
    """
    record = {
        "file": validation.file,
        "hardware": validation.machine.name,
        "policies": {
            "placement": validation.placement_policy.name,
            "timing": validation.timing_policy.name,
        },
        "settings": list(settings),
        "machine": machine_record(validation.machine),
        **asdict(validation.accuracy),
        "max_error": max_error,
    }
    return Sheet(
        record, "measurements", validation.columns, lambda width: _text(validation, settings, width)
    )


def percent(fraction: float, *, sign: bool = False) -> str:
    """A fraction with one decimal as a percentage: ``12.5%``."""
    return f"{100 * fraction:{'+' if sign else ''}.1f}%"


def _text(validation: Validation, settings: Sequence[str], width: int) -> str:
    machine, accuracy = validation.machine, validation.accuracy
    heading = (
        f"{validation.file} on {machine.name} ({machine_text(machine)}); "
        f"placement {validation.placement_policy.name}, timing {validation.timing_policy.name}"
        f"{settings_text(settings)}"
    )
    rank = accuracy.rank_correlation
    summary = [
        f"{accuracy.rows} row{'s'[: accuracy.rows != 1]}: mean absolute error {percent(accuracy.mape)}, "
        f"median {percent(accuracy.median)}, worst {percent(accuracy.worst, sign=True)}, "
        f"bias {percent(accuracy.bias, sign=True)}, rank correlation "
        + ("undefined" if rank is None else f"{rank:.3f}"),
        "predicted: the steady time, that of every inference after the first; error: (predicted - measured) / measured",
    ]
    lines = "\n".join(wrapped(line, width) for line in summary)
    return f"{wrapped(heading, width)}\n\n{table(_columns(validation), width)}\n{lines}\n"


def _columns(validation: Validation) -> list[Column]:
    columns, errors = validation.columns, validation.errors
    worst = max(map(abs, errors))
    shown = [
        Column("network", columns["network"], left=True, least=NAME_LEAST),
        Column("set", columns["set"], 1, left=True, least=12),
        Column("precision", columns["precision"], 3, left=True),
        Column("batch", texts(columns["batch"]), 2),
    ]
    if "name" in columns:
        names = [name or "" for name in columns["name"]]
        shown.append(Column("layer", names, left=True, least=NAME_LEAST))
    return [
        *shown,
        Column("measured [ms]", [f"{value:.4g}" for value in columns["measured_ms"]]),
        Column("predicted [ms]", [f"{value:.4g}" for value in columns["predicted_ms"]]),
        Column("error", [percent(error, sign=True) for error in errors]),
        Column("", ["worst" if abs(error) == worst else "" for error in errors], left=True),
    ]
