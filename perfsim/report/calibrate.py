"""The report of a calibration: what was fitted, how sure it is, and how it predicts what it was not fitted on."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, BinaryIO

from perfsim.confidence import LEVEL
from perfsim.report.files import check_outputs, write_whole
from perfsim.report.machine import machine_record
from perfsim.report.sheet import Sheet
from perfsim.report.text import NAME_LEAST, Column, table, wrapped
from perfsim.report.validate import percent

if TYPE_CHECKING:
    from perfsim.calibration import CalibrationResult

_UNDETERMINED = 10.0  # a relative error above this is no number that anybody needs


def write_calibrated(result: CalibrationResult, file: str) -> None:
    """Write the machine's file, whole or not at all; raises OutputError."""
    check_outputs([file], suffixes=(".yaml", ".yml"))
    write_whole([(file, partial(_write_text, result.text))])


def _write_text(text: str, file: BinaryIO) -> None:
    file.write(text.encode())


def calibrate_sheet(result: CalibrationResult, output: str) -> Sheet:
    """A calibration as a sheet; `output` is the file of the fitted machine."""
    networks = result.networks_after
    record = {
        "file": result.measured.file,
        "hardware": result.base.name,
        "policies": {"placement": result.base.placement, "timing": result.base.timing},
        "output": output,
        "machine": machine_record(result.machine),
        "fitted": [asdict(each) for each in result.fitted],
        "frozen": {key: _finite(error) for key, error in result.frozen.items()},
        "before": asdict(result.before),
        "after": asdict(result.after),
        "leave_one_out": asdict(result.left_out),
        "networks": None if networks is None else asdict(networks),
        "spread": None if result.spread is None else asdict(result.spread),
        "outliers": [result.measured.measurements[row].place for row in result.outliers],
        "fitted_rows": len(result.fitted_rows),
    }
    return Sheet(record, "measurements", result.columns, lambda width: _text(result, output, width))


def _finite(error: float) -> float | None:
    return error if error <= _UNDETERMINED else None


def _text(result: CalibrationResult, output: str, width: int) -> str:
    every, rows, machine = len(result.rows), len(result.fitted_rows), result.base
    of_layers = any(result.measured.positions[row] for row in result.rows)
    heading = (
        f"{machine.name} fitted to {rows}{f' of {every}' * (every > rows)} row{'s'[: every != 1]}"
        f"{' of layers' * of_layers} of "
        f"{result.measured.file}; placement {machine.placement}, timing {machine.timing}"
    )
    lines = [
        f"mean absolute error: {percent(result.before.mape)} before, {percent(result.after.mape)} on the rows that it "
        f"was fitted on, {percent(result.left_out.mape)} on each row when fitted without it (bias "
        f"{percent(result.left_out.bias, sign=True)}, worst {percent(result.left_out.worst, sign=True)})"
    ]
    spread = result.spread
    if spread is not None:
        lines.append(
            f"{LEVEL:.0%} of measured times lie from {percent(spread.low - 1, sign=True)} to "
            f"{percent(spread.high - 1, sign=True)} of the prediction ({spread.basis})"
        )
    networks = result.networks_after
    if networks is not None:
        lines.append(
            f"whole networks, which were not fitted: {networks.rows} row{'s'[: networks.rows != 1]}, mean absolute "
            f"error {percent(networks.mape)}, bias {percent(networks.bias, sign=True)}"
        )
    for key, error in result.frozen.items():
        how = f"±{percent(error)}" if error <= _UNDETERMINED else "nothing depends on it"
        lines.append(f"{key} keeps its value: the measurements do not determine it ({how})")
    if every > rows:
        lines.append(
            f"{every - rows} of {every} rows do not fit and were left out of it; their errors count among those of "
            "rows when fitted without them"
        )
    lines += [_outlier_text(result, row) for row in result.outliers]
    lines.append(f"written: {output}")
    body = "\n".join(wrapped(line, width) for line in lines)
    return f"{wrapped(heading, width)}\n\n{_fitted_text(result, width)}\n{body}\n"


def _outlier_text(result: CalibrationResult, row: int) -> str:
    measured, name = result.measured.measurements[row], result.measured.names[row]
    residual = abs(result.standardised[list(result.rows).index(row)])
    return (
        f"{measured.place}: {measured.network}{f' layer {name}' if name else ''} does not fit: predicted "
        f"{1000 * result.after_s[row]:.4g} ms, measured {measured.measured_ms:.4g} ms, "
        f"{residual:.1f} times the usual residual; is the row right?"
    )


def _fitted_text(result: CalibrationResult, width: int) -> str:
    if not result.fitted:
        return "no number of the machine predicts better when it is fitted: all keep their values\n"
    fitted = result.fitted
    return table(
        [
            Column("number", [each.key for each in fitted], left=True, least=NAME_LEAST),
            Column("before", ["-" if each.before is None else str(each.before) for each in fitted]),
            Column("fitted", [str(each.value) for each in fitted]),
            Column("standard error", [f"±{percent(each.relative_error)}" for each in fitted]),
        ],
        width,
    )
