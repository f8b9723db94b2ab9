"""Fitting a machine's numbers to measurements, and what is known of the result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from perfsim import catalog
from perfsim.accuracy import Accuracy, accuracy_of
from perfsim.calibration_choice import candidates_of, fit_chosen, fit_named, named_parameters
from perfsim.calibration_file import calibrated_text
from perfsim.calibration_rows import Rows
from perfsim.confidence import Spread, spread_of
from perfsim.document import read_document, read_text
from perfsim.hardware.fields import field_of, with_values
from perfsim.hardware.parts import Calibration
from perfsim.hardware.profile import read_machine, stated_numbers
from perfsim.measured import Files, Measured, read_measured
from perfsim.network.work import total
from perfsim.program import lower

if TYPE_CHECKING:
    from perfsim.hardware.machine import Machine
    from perfsim.result import Columns

DIGITS = 4  # of a fitted number: its standard error is seldom below 0.1 %
MOST_SOURCES = 2  # more of them are not repeated in the file


@dataclass(frozen=True)
class FittedValue:
    """A number that was fitted.

    Attributes:
        key: of the machine's file, dotted.
        before: what the base states, as in its file; None where it does not.
        value: what was fitted, as in a file: with its unit.
        relative_error: its standard error as a fraction of it.
    """

    key: str
    before: str | float | None
    value: str | float
    relative_error: float


@dataclass(frozen=True, eq=False)
class CalibrationResult:
    """A machine fitted to measurements.

    Attributes:
        measured: the rows of the files.
        base: the machine before.
        machine: the machine with its fitted numbers.
        text: its file.
        fitted: the fitted numbers.
        frozen: the numbers that the data does not determine, with the standard error that each would have had.
        rows: the positions of the rows that it was to be fitted on: those of layers where there are any.
        outliers: the positions of those that do not fit.
        fitted_rows: the positions of those that it was fitted on: `rows` but for outliers, where these are few.
        before_s, after_s: predicted by the base and by the fitted machine for every row of the files [s].
        left_out_s: predicted for each of `rows` by a machine that was fitted without it [s].
        standardised: the residuals of `rows` in units of the spread of the fitted ones.
    """

    measured: Measured
    base: Machine
    machine: Machine
    text: str
    fitted: Sequence[FittedValue]
    frozen: Mapping[str, float]
    rows: Sequence[int]
    outliers: Sequence[int]
    fitted_rows: Sequence[int]
    before_s: Sequence[float]
    after_s: Sequence[float]
    left_out_s: Sequence[float]
    standardised: Sequence[float]

    @cached_property
    def before(self) -> Accuracy:
        """The accuracy of the base on `rows`."""
        return self._accuracy(self.rows, [self.before_s[row] for row in self.rows])

    @cached_property
    def after(self) -> Accuracy:
        """The accuracy of the fitted machine on the very rows that it was fitted on."""
        return self._accuracy(self.fitted_rows, [self.after_s[row] for row in self.fitted_rows])

    @cached_property
    def left_out(self) -> Accuracy:
        """The accuracy on each of `rows`, outliers among them, of a machine that was fitted without it."""
        return self._accuracy(self.rows, self.left_out_s)

    @cached_property
    def networks_after(self) -> Accuracy | None:
        """The accuracy on rows of whole networks where layers were fitted; None where there are none."""
        others = [row for row in range(len(self.after_s)) if row not in set(self.rows)]
        if not others:
            return None
        return self._accuracy(others, [self.after_s[row] for row in others])

    @property
    def spread(self) -> Spread | None:
        """The errors that the machine's intervals are from; None for fewer than three rows."""
        calibration = self.machine.extras.calibration
        return None if calibration is None else spread_of(calibration)

    @cached_property
    def columns(self) -> Columns:
        """The rows that it was to be fitted on, column by column."""
        measurements = [self.measured.measurements[row] for row in self.rows]
        measured_ms = [each.measured_ms for each in measurements]
        names = [self.measured.names[row] for row in self.rows]
        columns: Columns = {
            "network": [each.network for each in measurements],
            "set": [each.cells["set"] for each in measurements],
        }
        if any(names):
            columns["name"] = list(names)
        return columns | {
            "measured_ms": measured_ms,
            "before_ms": [1000 * self.before_s[row] for row in self.rows],
            "fitted_ms": [1000 * self.after_s[row] for row in self.rows],
            "left_out_ms": [1000 * value for value in self.left_out_s],
            "standardised_residual": list(self.standardised),
        }

    def _accuracy(self, rows: Sequence[int], predicted_s: Sequence[float]) -> Accuracy:
        measured = [self.measured.measurements[row].measured_ms for row in rows]
        return accuracy_of([1000 * value for value in predicted_s], measured)


def calibrate(
    files: Files,
    base: str | PathLike[str],
    fit: Sequence[str] | None = None,
) -> CalibrationResult:
    """The machine `base` with some of its numbers fitted to the measurements in CSV files (docs/calibration.md).

    >>> result = calibrate("measured.csv", "kv260_dpu", fit=["ddr_efficiency", "layer_cost"])
    >>> Path("fitted.yaml").write_text(result.text)

    files: a CSV file or several. fit: dotted keys of the machine's file; chosen by leave-one-out error unless given.

    Rows of layers are fitted where there are any, else those of whole networks. Raises InputError for what is wrong
    with the files, and for numbers that cannot be fitted to so few rows.
    """
    path = catalog.find_machine(base)
    document = read_document(path)
    stated = stated_numbers(document)
    machine = read_machine(document)
    measured = read_measured(files)
    rows = Rows(measured, machine)
    to_fit = _rows_to_fit(measured)

    def residuals(values: Mapping[str, float]) -> Any:
        predicted_s = rows.predicted_s(with_values(machine, stated, values))
        return np.log(predicted_s / rows.measured_s)[to_fit]

    if fit is None:
        solution = fit_chosen(residuals, candidates_of(document, path, stated))
    else:
        parameters = named_parameters(document, path, stated, fit, len(to_fit))
        solution = fit_named(residuals, parameters)
    values, errors = solution.fit.values, solution.fit.relative_errors
    fitted_rows = [row for row, kept in zip(to_fit, solution.kept, strict=True) if kept]
    written = {key: field_of(key).written(value, DIGITS) for key, value in values.items()}
    before = {key: field_of(key).written(stated[key]) for key in values if key in stated}
    log_errors = (-solution.left_out).tolist()
    calibration = _calibration(measured, fitted_rows, list(written), log_errors)
    fitted_machine = with_values(
        machine, stated, {key: field_of(key).read(value) for key, value in written.items()}
    )
    extras = replace(fitted_machine.extras, calibration=calibration)
    return CalibrationResult(
        measured=measured,
        base=machine,
        machine=replace(fitted_machine, extras=extras),
        text=calibrated_text(document, read_text(path), written, _record(calibration)),
        fitted=[
            FittedValue(key, before.get(key), value, errors[key]) for key, value in written.items()
        ],
        frozen=solution.frozen,
        rows=to_fit,
        outliers=[row for row, is_far in zip(to_fit, solution.outliers, strict=True) if is_far],
        fitted_rows=fitted_rows,
        before_s=rows.predicted_s(machine).tolist(),
        after_s=rows.predicted_s(fitted_machine).tolist(),
        left_out_s=(rows.measured_s[to_fit] * np.exp(solution.left_out)).tolist(),
        standardised=solution.standardised.tolist(),
    )


def _rows_to_fit(measured: Measured) -> list[int]:
    """The rows of layers, or all where there are none."""
    layers = [row for row, positions in enumerate(measured.positions) if positions]
    return layers or list(range(len(measured.positions)))


def _calibration(
    measured: Measured, rows: Sequence[int], fitted: Sequence[str], log_errors: Sequence[float]
) -> Calibration:
    """What a file says of its calibration; `rows` were fitted, the errors are of outliers too."""
    programs = [lower(network) for network in measured.networks]
    operators: set[str] = set()
    macs: list[int] = []
    layers: list[int] = []
    for row in rows:
        layers_of, positions = programs[measured.runs[row]].layers, measured.positions[row]
        parts = [layers_of[position] for position in positions]
        if not positions:
            parts = [each for each in layers_of if not each.is_view]
        operators |= {each.op for each in parts}
        macs.append(sum(total(each.macs) for each in parts))
        layers.append(len(parts))
    every = len(log_errors)
    files = ", ".join(Path(file).name for file in measured.files)
    of_layers = bool(measured.positions[rows[0]])
    sources = {measured.measurements[row].cells.get("source", "") for row in rows} - {""}
    return Calibration(
        source=f"{len(rows)}{f' of {every}' * (every > len(rows))} rows of {files}"
        + (f": {'; '.join(sorted(sources))}" if 0 < len(sources) <= MOST_SOURCES else ""),
        fitted=tuple(fitted),
        log_errors=tuple(round(error, 6) for error in log_errors),
        networks=tuple(
            dict.fromkeys(
                " ".join(filter(None, (each.network, each.cells["set"])))
                for each in (measured.measurements[row] for row in rows)
            )
        ),
        operators=tuple(sorted(operators)),
        macs=(min(macs), max(macs)),
        layers=None if of_layers else (min(layers), max(layers)),
        of_layers=of_layers,
    )


def _record(calibration: Calibration) -> dict[str, Any]:
    """The calibration as it stands in a file."""
    record = {key: value for key, value in asdict(calibration).items() if value is not None}
    return {
        key: list(value) if isinstance(value, tuple) else value for key, value in record.items()
    }
