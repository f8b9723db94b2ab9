"""Fitting a machine's numbers to measurements, and what is known of the result."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from perfsim import catalog
from perfsim.accuracy import Accuracy, accuracy_of, unit_hint
from perfsim.calibration_choice import candidates_of, fit_chosen, fit_named, named_parameters
from perfsim.calibration_file import calibrated_text
from perfsim.calibration_rows import Rows
from perfsim.confidence import FEWEST_ROWS, Spread, batch_of, operand_bits, spread_of
from perfsim.document import read_document, read_text
from perfsim.errors import InvalidValueError
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
        left_out_s: predicted for each of `rows` by a machine that was fitted without it [s]; of rows of layers of
            several networks without all rows of its network.
        standardised: the residuals of `rows` in units of the spread of the fitted ones.
        fitted_before: the numbers that a calibration of the base fitted and that its rows, or some of them, do not
            determine anew: if these were among those rows, the errors of rows when left out are too small.
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
    fitted_before: Sequence[str]

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
    def warnings(self) -> list[str]:
        """What was doubtful about the networks, the unit of the measurements and the base."""
        measured_ms = [row.measured_ms for row in self.measured.measurements]
        hint = unit_hint([1000 * value for value in self.before_s], measured_ms)
        found = [*self.measured.warnings, *([hint] if hint else [])]
        if self.fitted_before:
            found.append(
                f"{', '.join(self.fitted_before)}: fitted before, by the calibration of the base, and kept where "
                "the rows do not determine it; if it was on these rows, their leave-one-out errors are too small: "
                "begin with a base of data-sheet numbers"
            )
        return found

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
    with the files, for fewer than three rows, and for numbers that cannot be fitted to so few.
    """
    path = catalog.find_machine(base)
    document = read_document(path)
    stated = stated_numbers(document)
    machine = read_machine(document)
    measured = read_measured(files)
    rows = Rows(measured, machine)
    to_fit = _rows_to_fit(measured)
    if len(to_fit) < FEWEST_ROWS:
        raise InvalidValueError(
            "",
            found=f"{len(to_fit)} row{'s'[: len(to_fit) != 1]} to fit",
            expected=f"{FEWEST_ROWS} rows or more",
        ).at(file=measured.file)

    def residuals(values: Mapping[str, float]) -> Any:
        predicted_s = rows.predicted_s(with_values(machine, stated, values))
        return np.log(predicted_s / rows.measured_s)[to_fit]

    groups = _networks_of_layers(measured, to_fit)
    if fit is None:
        solution = fit_chosen(residuals, candidates_of(document, path, stated), groups)
    else:
        parameters = named_parameters(document, path, stated, fit, len(to_fit))
        solution = fit_named(residuals, parameters, groups)
    values, errors = solution.fit.values, solution.fit.relative_errors
    fitted_rows = [row for row, kept in zip(to_fit, solution.kept, strict=True) if kept]
    written = {key: field_of(key).written(value, DIGITS) for key, value in values.items()}
    before = {key: field_of(key).written(stated[key]) for key in values if key in stated}
    log_errors = (-solution.left_out).tolist()
    _check_errors(measured, to_fit, log_errors)
    calibration = _calibration(measured, fitted_rows, list(written), log_errors)
    fitted_machine = with_values(
        machine, stated, {key: field_of(key).read(value) for key, value in written.items()}
    )
    known = machine.extras.calibration
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
        fitted_before=[key for key in known.fitted if key not in solution.always] if known else [],
    )


def _rows_to_fit(measured: Measured) -> list[int]:
    """The rows of layers, or all where there are none."""
    layers = [row for row, positions in enumerate(measured.positions) if positions]
    return layers or list(range(len(measured.positions)))


def _networks_of_layers(measured: Measured, rows: Sequence[int]) -> Any:
    """For each row of a layer the number of its network, in whatever settings; None for rows of whole networks.

    Layers of one network are alike: a fit to the others of them tells more of a layer than one to another network.
    """
    if not measured.positions[rows[0]]:
        return None
    return np.unique([measured.measurements[row].network for row in rows], return_inverse=True)[1]


def _check_errors(measured: Measured, rows: Sequence[int], log_errors: Sequence[float]) -> None:
    """Raise InvalidValueError for a row that is off by more than a calibration may be."""
    for row, error in zip(rows, log_errors, strict=True):
        if abs(error) > Calibration.LARGEST_LOG_ERROR:
            measurement = measured.measurements[row]
            raise InvalidValueError(
                "no machine is so far from its prediction",
                found=f"{measurement.measured_ms:.4g} ms, predicted {measurement.measured_ms / math.exp(error):.4g} ms",
                expected="a time in milliseconds",
            ).at(file=measurement.file, line=measurement.line, where="measured_ms")


def _calibration(
    measured: Measured, rows: Sequence[int], fitted: Sequence[str], log_errors: Sequence[float]
) -> Calibration:
    """What a file says of its calibration; `rows` were fitted, the errors are of outliers too."""
    programs = [lower(network) for network in measured.networks]
    operators: set[str] = set()
    macs: list[int] = []
    layers: list[int] = []
    bits: set[int] = set()
    batches: set[int] = set()
    for row in rows:
        program = programs[measured.runs[row]]
        bits |= operand_bits(program, measured.positions[row])
        batches |= {batch_of(program) or 1}
        layers_of, positions = program.layers, measured.positions[row]
        parts = [layers_of[position] for position in positions]
        if not positions:
            parts = [each for each in layers_of if not each.is_view]
        operators |= {each.op for each in parts}
        macs.append(sum(total(each.macs) for each in parts))
        layers.append(len(parts))
    every = len(log_errors)
    files = ", ".join(Path(file).name for file in measured.files)
    of_layers = bool(measured.positions[rows[0]])
    by_network = of_layers and len({measured.measurements[row].network for row in rows}) > 1
    sources = {measured.measurements[row].cells.get("source", "") for row in rows} - {""}
    return Calibration(
        source=f"{len(rows)}{f' of {every}' * (every > len(rows))} rows of {files}"
        + ", each network's predicted without all of them" * by_network
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
        bits=tuple(sorted(bits)),
        batches=tuple(sorted(batches)),
    )


def _record(calibration: Calibration) -> dict[str, Any]:
    """The calibration as it stands in a file."""
    record = {key: value for key, value in asdict(calibration).items() if value is not None}
    return {
        key: list(value) if isinstance(value, tuple) else value for key, value in record.items()
    }
