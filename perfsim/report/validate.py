"""The report of a comparison with measurements: a row for each, and what sums them up."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from perfsim.confidence import LEVEL
from perfsim.report.machine import machine_record, machine_text
from perfsim.report.run import settings_text
from perfsim.report.sheet import Sheet
from perfsim.report.text import NAME_LEAST, Column, table, texts, wrapped

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfsim.accuracy import Accuracy, Validation


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
        "networks": _record(validation, layers=False),
        "layers": _record(validation, layers=True),
        "within_interval": validation.share_within,
        "max_error": max_error,
    }
    return Sheet(
        record, "measurements", validation.columns, lambda width: _text(validation, settings, width)
    )


def _record(validation: Validation, *, layers: bool) -> dict[str, Any] | None:
    found = validation.accuracy_on(layers=layers)
    return None if found is None else asdict(found)


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
    summary = [_summed_up(accuracy, "")]
    apart = [validation.accuracy_on(layers=layers) for layers in (False, True)]
    if None not in apart:
        pairs = zip(apart, (" of whole networks", " of layers"), strict=True)
        summary += [_summed_up(each, kind) for each, kind in pairs if each is not None]
    spread, share = validation.spread, validation.share_within
    if spread is not None and share is not None:
        summary.append(
            f"{percent(share)} lie within the {LEVEL:.0%} interval, from {percent(spread.low - 1, sign=True)} to "
            f"{percent(spread.high - 1, sign=True)} of the prediction ({spread.basis})"
        )
    elif validation.changes:
        summary.append(
            f"no interval: calibrated otherwise, this has {', '.join(validation.changes)}"
        )
    summary += [
        "predicted: the steady time, that of every inference after the first; error: (predicted - measured) / measured",
    ]
    lines = "\n".join(wrapped(line, width) for line in summary)
    return f"{wrapped(heading, width)}\n\n{table(_columns(validation), width)}\n{lines}\n"


def _summed_up(accuracy: Accuracy, of: str) -> str:
    rank = accuracy.rank_correlation
    return (
        f"{accuracy.rows} row{'s'[: accuracy.rows != 1]}{of}: mean absolute error {percent(accuracy.mape)}, "
        f"median {percent(accuracy.median)}, worst {percent(accuracy.worst, sign=True)}, "
        f"bias {percent(accuracy.bias, sign=True)}, rank correlation "
        + ("undefined" if rank is None else f"{rank:.3f}")
    )


def _columns(validation: Validation) -> list[Column]:
    columns, errors = validation.columns, validation.errors
    worst = max(map(abs, errors))
    inside = validation.within_interval
    remarks = [(abs(error) == worst, within) for error, within in zip(errors, inside, strict=True)]
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
        Column("", [_remark(*each) for each in remarks], left=True),
    ]


def _remark(is_worst: bool, within: bool | None) -> str:
    words = ["worst"] * is_worst + ["outside of its interval"] * (within is False)
    return ", ".join(words)
