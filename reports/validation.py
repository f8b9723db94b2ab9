"""reports/validation: predictions beside measurements for every bundled machine that has some, and what sums them up.

What the columns of the summary mean, and how the machines were calibrated: docs/validation.md.
"""

from __future__ import annotations

import contextlib
import csv
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from statistics import fmean

from perfsim import Machine, Validation, load_hardware, validate
from perfsim.accuracy import accuracy_of
from perfsim.confidence import spread_of
from perfsim.hardware.machine import DEFAULT_PLACEMENT, DEFAULT_TIMING
from perfsim.hardware.parts import Calibration, Extras
from perfsim.report.figures import canvas
from perfsim.report.files import write_files
from perfsim.report.validate import percent, validate_sheet

ROOT = Path(__file__).resolve().parent.parent
MEASURED = "tests/published/measured"
CALIBRATED = ("kv260_dpu", "stm32n6", "coral_usb", "eyeriss_v1")
UNCALIBRATED = (
    *("nvdla_2048", "nvdla_2048_sram", "tpu_v1"),
    *("ethos_u55_256", "ethos_u65_256", "ethos_u65_512"),
    *("exynos_2100_npu", "h100_sxm", "h200_sxm"),
)
MACHINES = (*CALIBRATED, *UNCALIBRATED)
# Their files hold what the vendor's own model says, not what silicon took.
MODELLED = ("nvdla_2048", "nvdla_2048_sram", "ethos_u55_256", "ethos_u65_512")


@dataclass(frozen=True)
class Summary:
    """A machine's line in the summary; errors are fractions of what was measured.

    Attributes:
        times_of: "silicon" or "a model", the vendor's own.
        fitted: the keys of its calibrated numbers, with blanks between; empty for a machine that is not calibrated.
        rows, mape, median, worst, bias, rank_correlation: over all rows of its file.
        roofline_mape: mean absolute error of the same machine without anything but its four numbers, with feature maps
            kept inside (liveness) and the larger of compute and transfer (overlap).
        best_roofline_mape: the least mean absolute error of such a machine under any of `ROOFLINES`, in hindsight.
        fitted_rows, fitted_mape, fitted_best_roofline_mape: how many rows it was fitted on, and the same errors on
            these alone.
        left_out_mape: mean absolute error on each of these rows when fitted without it.
        within_interval: rows of the file inside of the 90 % interval.
        left_out_within: fitted rows inside of the 90 % interval that follows from the errors of the others.
    """

    machine: str
    times_of: str
    fitted: str
    rows: int
    mape: float
    median: float
    worst: float
    bias: float
    rank_correlation: float | None
    roofline_mape: float
    best_roofline_mape: float
    fitted_rows: int = 0
    fitted_mape: float | None = None
    fitted_best_roofline_mape: float | None = None
    left_out_mape: float | None = None
    within_interval: int | None = None
    left_out_within: int | None = None


@cache
def validation_of(name: str) -> Validation:
    """The bundled machine `name` on the file of measurements that has its name."""
    return _validate(name, load_hardware(name))


ROOFLINES = tuple(
    (placement, timing)
    for placement in (DEFAULT_PLACEMENT, "pinned")
    for timing in (DEFAULT_TIMING, "serial")
)


@cache
def rooflines_of(name: str) -> list[Validation]:
    """The same rows on the same machine with its four numbers alone, under each of `ROOFLINES`."""
    machine = replace(load_hardware(name), extras=Extras())
    return [
        _validate(name, replace(machine, placement=placement, timing=timing))
        for placement, timing in ROOFLINES
    ]


def _validate(name: str, machine: Machine) -> Validation:
    with contextlib.chdir(ROOT):  # some rows are of networks beside the measurements
        return validate(f"{MEASURED}/{name}.csv", machine)


def summary_of(name: str) -> Summary:
    """The line of a machine."""
    validation, rooflines = validation_of(name), rooflines_of(name)
    calibration = validation.machine.extras.calibration
    summary = Summary(
        machine=name,
        times_of="a model" if name in MODELLED else "silicon",
        fitted=" ".join(calibration.fitted) if calibration else "",
        **asdict(validation.accuracy),
        roofline_mape=rooflines[0].accuracy.mape,
        best_roofline_mape=min(each.accuracy.mape for each in rooflines),
    )
    if calibration is None:
        return summary
    rows = fitted_rows(validation, calibration)
    return replace(
        summary,
        fitted_rows=len(rows),
        fitted_mape=_mape(validation, rows),
        fitted_best_roofline_mape=min(_mape(each, rows) for each in rooflines),
        left_out_mape=left_out_mape(calibration),
        within_interval=validation.within_interval.count(True),
        left_out_within=left_out_within(calibration),
    )


def fitted_rows(validation: Validation, calibration: Calibration) -> list[int]:
    """The positions of the rows that the machine was fitted on, by what its calibration says was measured."""
    return [
        position
        for position, row in enumerate(validation.measurements)
        if f"{row.cells['network']} {row.cells['set']}".strip() in calibration.networks
    ]


def left_out_mape(calibration: Calibration) -> float:
    """The mean absolute error of the fitted rows, each predicted by a fit without it."""
    return fmean(abs(math.exp(-each) - 1) for each in calibration.log_errors)


def left_out_within(calibration: Calibration) -> int:
    """How many of the calibration's errors lie in the interval that follows from the others."""
    errors = calibration.log_errors
    count = 0
    for position, error in enumerate(errors):
        others = errors[:position] + errors[position + 1 :]
        spread = spread_of(replace(calibration, log_errors=others))
        count += spread is not None and spread.low <= math.exp(error) <= spread.high
    return count


def _mape(validation: Validation, rows: Sequence[int]) -> float:
    predicted = [validation.predicted_ms[row] for row in rows]
    return accuracy_of(predicted, [validation.measurements[row].measured_ms for row in rows]).mape


HEAD = (
    *("machine", "times of", "fitted", "rows", "mape", "median", "worst", "bias"),
    *("rank correlation", "left out", "in 90 %", "roofline", "best roofline"),
)


def summary_lines(summaries: Sequence[Summary]) -> list[str]:
    """The summary as a table in Markdown."""
    cells = [HEAD, ("---",) * len(HEAD), *map(_cells, summaries)]
    return [f"| {' | '.join(line)} |" for line in cells]


def _cells(summary: Summary) -> tuple[str, ...]:
    rank, left_out = summary.rank_correlation, summary.left_out_mape
    of = f" of {summary.fitted_rows}"
    return (
        f"`{summary.machine}`",
        summary.times_of,
        str(len(summary.fitted.split())),
        str(summary.rows),
        percent(summary.mape),
        percent(summary.median),
        percent(summary.worst, sign=True),
        percent(summary.bias, sign=True),
        "" if rank is None else f"{rank:.2f}",
        "" if left_out is None else f"{percent(left_out)}{of}",
        "" if summary.left_out_within is None else f"{summary.left_out_within}{of}",
        percent(summary.roofline_mape),
        percent(summary.best_roofline_mape),
    )


def write_validation(folder: Path) -> None:
    """Write a table for each machine and the summary into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in MACHINES:
        write_files(validate_sheet(validation_of(name)), [str(folder / f"{name}.csv")])
    summaries = [summary_of(name) for name in MACHINES]
    with (folder / "summary.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(asdict(summaries[0])), lineterminator="\n")
        writer.writeheader()
        writer.writerows(map(asdict, summaries))
    text = "\n".join(summary_lines(summaries)) + "\n"
    (folder / "summary.md").write_text(text, encoding="utf-8")


def draw_validation(folder: Path) -> None:
    """Draw predicted against measured times, of each machine and of all, into `folder`."""
    from perfsim.report.figures.accuracy import draw_accuracies, draw_accuracy

    folder.mkdir(parents=True, exist_ok=True)
    with canvas.drawing():
        for name in MACHINES:
            title = f"{name}: predicted against measured times"
            figure = draw_accuracy(validation_of(name), title, _facts(name))
            (folder / f"{name}.svg").write_bytes(canvas.picture_bytes(figure, ".svg", title))
        title = f"{len(MACHINES)} machines: predicted against measured times"
        facts = (
            "filled: calibrated, and fitted on nearly all of these rows; hollow: not calibrated; "
            f"the vendor's model instead of silicon: {', '.join(MODELLED)}"
        )
        figure = draw_accuracies([validation_of(name) for name in MACHINES], title, facts)
        (folder / "all.svg").write_bytes(canvas.picture_bytes(figure, ".svg", title))


def _facts(name: str) -> str:
    validation = validation_of(name)
    accuracy, calibration = validation.accuracy, validation.machine.extras.calibration
    rows = f"{accuracy.rows} row{'s'[: accuracy.rows != 1]}"
    text = f"{rows}: mean absolute error {percent(accuracy.mape)}"
    if name in MODELLED:
        text = f"measured: the vendor's model, not silicon; {text}"
    if calibration is None:
        return f"not calibrated; {text}"
    fitted = fitted_rows(validation, calibration)
    on_fitted = f"{percent(_mape(validation, fitted))} on the {len(fitted)} that it was fitted on"
    left_out = percent(left_out_mape(calibration))
    return f"{text}; {on_fitted}, {left_out} on each of these when fitted without it"
