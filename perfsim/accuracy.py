"""How far predictions are from measurements: the error of each row, and what sums the rows up.

Of n rows with predictions p and measurements m, all errors being fractions of the measurement:

    error_i = (p_i - m_i) / m_i           above zero: predicted too slow
    mape    = sum |error_i| / n           mean absolute percentage error
    median  = the middle |error_i|        the mean of the two in the middle where n is even
    worst   = the error with the largest |error_i|, with its sign
    bias    = sum error_i / n
    rank_correlation = Spearman's rho: Pearson's correlation of the ranks, equal values sharing the mean of theirs

Sources: mape, Hyndman and Koehler, International Journal of Forecasting 22(4), 2006; the rank correlation, Spearman,
American Journal of Psychology 15(1), 1904, with average ranks as in Kendall, Biometrika 33(3), 1945.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import median
from typing import TYPE_CHECKING

from perfsim.confidence import Spread, changes, other_bits, spread_of
from perfsim.errors import InputError
from perfsim.measured import Files, at_row, read_measured
from perfsim.measurements import COMPUTED, NEEDED, OF_A_LAYER, WITH, Measurement
from perfsim.program import lower
from perfsim.simulation import policies_of, simulate
from perfsim.timing.kernel import fold

if TYPE_CHECKING:
    import pandas as pd

    from perfsim.hardware.machine import Machine
    from perfsim.placement.placement import PlacementPolicy
    from perfsim.result import Columns, Result
    from perfsim.timing.kernel import TimingPolicy

_ROWS_OF_A_UNIT = 3
_SAME_ORDER = 0.9  # a rank correlation


@dataclass(frozen=True)
class Accuracy:
    """What sums up the errors of `rows` predictions; the formulas are those of the module.

    Attributes:
        mape, median, worst, bias: fractions of the measured time (0.1 is 10 %).
        rank_correlation: from -1 to 1; None where all predictions or all measurements are equal.
    """

    rows: int
    mape: float
    median: float
    worst: float
    bias: float
    rank_correlation: float | None


def relative_error(predicted: float, measured: float) -> float:
    """The error of a prediction as a fraction of what was measured (in the same unit, above zero)."""
    return (predicted - measured) / measured


def accuracy_of(predicted: Sequence[float], measured: Sequence[float]) -> Accuracy:
    """The accuracy of predictions, at least one, of measurements above zero in the same unit and order."""
    errors = [relative_error(*pair) for pair in zip(predicted, measured, strict=True)]
    sizes = [abs(error) for error in errors]
    return Accuracy(
        rows=len(errors),
        mape=math.fsum(sizes) / len(errors),
        median=median(sizes),
        worst=max(errors, key=abs),
        bias=math.fsum(errors) / len(errors),
        rank_correlation=rank_correlation(predicted, measured),
    )


def rank_correlation(some: Sequence[float], others: Sequence[float]) -> float | None:
    """Spearman's rank correlation of two sequences of the same length; None where one of them has one value only.

    Computed in whole numbers up to the last root, so that the same order gives 1 exactly.
    """
    x, y = _doubled_ranks(some), _doubled_ranks(others)
    covariance, x_variance, y_variance = (
        len(x) * sum(a * b for a, b in zip(one, other, strict=True)) - sum(one) * sum(other)
        for one, other in ((x, y), (x, x), (y, y))
    )
    if not x_variance or not y_variance:
        return None
    return covariance / math.sqrt(x_variance * y_variance)


def unit_hint(predicted_ms: Sequence[float], measured_ms: Sequence[float]) -> str | None:
    """A sentence where the measurements look as if they were in another unit than milliseconds; else None.

    They do where they are of the same order as the predictions (a rank correlation of at least 0.9, of three rows or
    more), the median of their ratios is within a factor of 3 of 1000 or of 1/1000, and each within one of 10.
    """
    if len(measured_ms) < _ROWS_OF_A_UNIT:
        return None
    correlation = rank_correlation(predicted_ms, measured_ms)
    if correlation is None or correlation < _SAME_ORDER:
        return None
    ratios = [one / other for one, other in zip(measured_ms, predicted_ms, strict=True)]
    for factor, unit in ((1000, "microseconds"), (1 / 1000, "seconds")):
        off = [ratio / factor for ratio in ratios]
        if 1 / 3 <= median(off) <= 3 and min(off) >= 1 / 10 and max(off) <= 10:
            of = "1000 times" if factor > 1 else "a thousandth of"
            return (
                f"all measured times are about {of} the predicted ones: are these {unit}? "
                "'measured_ms' is in milliseconds"
            )
    return None


def _doubled_ranks(values: Sequence[float]) -> list[int]:
    """Twice the rank of each value from the smallest on, equal values sharing the mean of theirs."""
    first: dict[float, int] = {}  # values below
    last: dict[float, int] = {}  # values below or equal
    for number, value in enumerate(sorted(values)):
        first.setdefault(value, number)
        last[value] = number + 1
    return [first[value] + 1 + last[value] for value in values]


@dataclass(frozen=True, eq=False)
class Validation:
    """Predictions beside the measurements of one file or several.

    Attributes:
        file: the measurements: their files in words.
        machine, placement_policy, timing_policy: what predicted.
        measurements: the rows.
        names: the network's own name of the layer that each row is of; None for a whole network.
        predicted_ms: the predicted times [ms]: those of every inference after the first, as in `Totals.steady_s`.
        accuracy: what sums up the errors.
        warnings: what was doubtful about the networks, and about the unit of the measurements.
        other_bits: for each row whether it has widths that the machine's calibration was not measured with.
    """

    file: str
    machine: Machine
    placement_policy: PlacementPolicy
    timing_policy: TimingPolicy
    measurements: Sequence[Measurement]
    names: Sequence[str | None]
    predicted_ms: Sequence[float]
    accuracy: Accuracy
    warnings: Sequence[str]
    other_bits: Sequence[bool]

    @cached_property
    def errors(self) -> list[float]:
        """The error of each row, a fraction of what was measured."""
        measured = (row.measured_ms for row in self.measurements)
        return [relative_error(*pair) for pair in zip(self.predicted_ms, measured, strict=True)]

    @cached_property
    def spread(self) -> Spread | None:
        """The errors of the machine's calibration; None without one, or where it does not hold for these policies."""
        calibration = self.machine.extras.calibration
        if calibration is None or self.changes:
            return None
        return spread_of(calibration)

    @property
    def changes(self) -> list[str]:
        """What is done differently from how the machine was calibrated, in words."""
        return changes(self.machine, self.placement_policy.name, self.timing_policy.name)

    @cached_property
    def within_interval(self) -> list[bool | None]:
        """Whether each measured time lies in the interval of its prediction; None where there is no interval.

        A calibration on whole networks says nothing of single layers, and none of widths that were not measured.
        """
        spread = self.spread
        return [
            None
            if spread is None or others or (name is not None and not spread.of_layers)
            else spread.low * predicted <= row.measured_ms <= spread.high * predicted
            for row, name, predicted, others in zip(
                self.measurements, self.names, self.predicted_ms, self.other_bits, strict=True
            )
        ]

    @property
    def share_within(self) -> float | None:
        """The share of the rows with an interval that lie within it."""
        known = [each for each in self.within_interval if each is not None]
        return sum(known) / len(known) if known else None

    def accuracy_on(self, *, layers: bool) -> Accuracy | None:
        """The accuracy on the rows of layers, or on those of whole networks; None where there are none."""
        rows = [row for row, name in enumerate(self.names) if (name is not None) == layers]
        if not rows:
            return None
        measured = [self.measurements[row].measured_ms for row in rows]
        return accuracy_of([self.predicted_ms[row] for row in rows], measured)

    @cached_property
    def columns(self) -> Columns:
        """The rows, column by column: the files' columns with name (of layers), predicted_ms and error among them."""
        rows = self.measurements
        given = list(dict.fromkeys(column for row in rows for column in row.cells))
        texts = {column: [row.cells.get(column, "") for row in rows] for column in given}
        shown = ("network", "set", "precision", "batch", *OF_A_LAYER, WITH)
        columns: Columns = {column: texts.pop(column) for column in shown if column in texts}
        columns["batch"] = [row.settings["batch"].value for row in rows]
        if "convolution" in columns:
            columns["convolution"] = [row.convolution for row in rows]
        if any(self.names):
            columns["name"] = list(self.names)
        columns["measured_ms"] = [row.measured_ms for row in rows]
        columns["predicted_ms"] = list(self.predicted_ms)
        columns["error"] = self.errors
        if self.share_within is not None:
            columns["within_interval"] = list(self.within_interval)
        known = (*NEEDED, *COMPUTED)
        return columns | {column: text for column, text in texts.items() if column not in known}

    @cached_property
    def table(self) -> pd.DataFrame:
        """The rows as a pandas DataFrame."""
        import pandas as pd

        return pd.DataFrame(self.columns)


def validate(
    files: Files,
    machine: Machine,
    placement: str | PlacementPolicy | None = None,
    timing: str | None = None,
) -> Validation:
    """What `machine` is predicted to take for the networks of files of measurements, beside what was measured.

    >>> validation = validate("measured.csv", load_hardware("nvdla_2048"))
    >>> validation.accuracy.mape, validation.table

    files: a CSV file (docs/validation.md) or several. placement, timing: policies instead of the machine's own.

    The steady time is compared, that of every inference after the first: measurements are means of many.
    Raises InputError with file, line and column for what is wrong with a row.
    """
    places, times = policies_of(machine, placement, timing)
    measured = read_measured(files)
    measurements = measured.measurements
    runs: dict[int, Result] = {}
    predicted_ms: list[float] = []
    for row, run, positions in zip(measurements, measured.runs, measured.positions, strict=True):
        if run not in runs:
            try:
                runs[run] = simulate(measured.networks[run], machine, places, times.name)
            except InputError as error:
                raise at_row(error, row) from None
        result = runs[run]
        layer_s = result.steady_times.layer_s
        seconds = float(fold(layer_s[list(positions)])) if positions else result.totals.steady_s
        predicted_ms.append(seconds * 1000)
    measured_ms = [row.measured_ms for row in measurements]
    accuracy = accuracy_of(predicted_ms, measured_ms)
    calibration = machine.extras.calibration
    others = [
        calibration is not None
        and other_bits(calibration, lower(measured.networks[run]), positions)
        for run, positions in zip(measured.runs, measured.positions, strict=True)
    ]
    hint = unit_hint(predicted_ms, measured_ms)
    warnings = [*measured.warnings, *([hint] if hint else [])]
    return Validation(
        *(measured.file, machine, places, times, measurements, measured.names),
        *(predicted_ms, accuracy, warnings, others),
    )
