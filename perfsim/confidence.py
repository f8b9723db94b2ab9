"""How sure a prediction is: an interval from what a calibration got wrong, and what may make it wrong beyond that.

The left-out errors e of a calibration's n rows, ln(measured / predicted without the row), are taken as a sample of
a normal distribution. The next error lies, with probability `LEVEL`, within

    mean(e) ± t s sqrt(1 + 1/n)        s the sample's standard deviation, t Student's quantile for n - 1

(the prediction interval of a normal sample, Hahn and Meeker, Statistical Intervals, 1991, section 4.7). The mean
stays in: a calibration that predicts too fast on what it has not seen will do so again. Errors beyond four robust
standard deviations are not of that distribution: at most one row of ten is left out for it, and the basis says so. s
is at least `LEAST_NOISE`: rows that happen to be met exactly do not make a prediction exact.

A calibration on layers gives errors of layers. The relative error of a total is a mean of theirs, weighted by time,
whose spread is at most theirs however they are correlated (Minkowski); so the same interval, too wide rather than too
narrow, is used for totals.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cache
from statistics import fmean, median, stdev
from typing import TYPE_CHECKING

from perfsim.cliffs import cliffs_of
from perfsim.network.work import total

if TYPE_CHECKING:
    from perfsim.hardware.machine import Machine
    from perfsim.hardware.parts import Calibration
    from perfsim.program import Program
    from perfsim.result import Result

LEVEL = 0.9
FEWEST_ROWS = 3
LEAST_NOISE = 0.01  # of the logarithm of a measured time: no machine repeats itself better
_OUTLIER = 4.0  # robust standard deviations
_ROWS_PER_OUTLIER = 10
_FAR = 2.0  # by what factor a size may lie outside of what was measured
# Keys of a machine's file that no time depends on.
_TIMELESS = ("name", "description", "source", "energy", "calibration")


@dataclass(frozen=True)
class Spread:
    """The errors of a calibration as factors of a predicted time.

    Attributes:
        low, high: measured / predicted lies between them with probability `LEVEL`.
        rows: how many errors it is from.
        outliers: how many were left out.
        of_layers: whether they are errors of layers.
    """

    low: float
    high: float
    rows: int
    outliers: int
    of_layers: bool

    @property
    def basis(self) -> str:
        """Where the interval comes from, in a few words."""
        kind = "layers" if self.of_layers else "networks"
        left_out = f", {self.outliers} outlier{'s'[: self.outliers != 1]} left out"
        return f"left-out errors of {self.rows} measured {kind}" + left_out * bool(self.outliers)


@dataclass(frozen=True)
class Interval:
    """Between what a time lies with probability `level`.

    Attributes:
        low_s, high_s: of the time of every inference after the first [s], which is what was measured.
        basis: where it comes from.
    """

    low_s: float
    high_s: float
    level: float
    basis: str


@dataclass(frozen=True)
class Confidence:
    """How sure a run's time is.

    Attributes:
        interval: None where the machine is not calibrated, or not as it was run, or on other widths.
        calibrated: whether the machine is.
        notes: what may make the time wrong beyond the interval, a sentence each.
    """

    interval: Interval | None
    calibrated: bool
    notes: tuple[str, ...]


@cache
def student_quantile(level: float, freedom: int) -> float:
    """t such that a Student variable with `freedom` degrees lies within ±t with probability `level` (0 to 1).

    >>> student_quantile(0.9, 9)
    1.833...

    By bisection of the finite sums for whole degrees of freedom (Abramowitz and Stegun, 26.7.3 and 26.7.4).
    """
    low, high = 0.0, 1.0
    while _student_within(high, freedom) < level:
        high *= 2
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if _student_within(middle, freedom) < level else (low, middle)
    return (low + high) / 2


def _student_within(bound: float, freedom: int) -> float:
    angle = math.atan(bound / math.sqrt(freedom))
    sine, cosine = math.sin(angle), math.cos(angle)
    term = cosine if freedom % 2 else 1.0
    terms = term if freedom > 1 else 0.0
    for number in range(3 if freedom % 2 else 2, freedom - 1, 2):
        term *= cosine * cosine * (number - 1) / number
        terms += term
    if freedom % 2:
        return 2 / math.pi * (angle + sine * terms)
    return sine * terms


def spread_of(calibration: Calibration) -> Spread | None:
    """The errors of a calibration; None for one on fewer than three rows."""
    errors = sorted(calibration.log_errors)
    rows = len(errors)
    if rows < FEWEST_ROWS:
        return None
    middle = median(errors)
    robust = 1.4826 * median(abs(error - middle) for error in errors)
    far = sorted(errors, key=lambda error: -abs(error - middle))[: rows // _ROWS_PER_OUTLIER]
    # Where half of the rows have the same error, the others are not far from them by any measure.
    outliers = [error for error in far if abs(error - middle) > _OUTLIER * robust > 0]
    for error in outliers:
        errors.remove(error)
    half = student_quantile(LEVEL, len(errors) - 1) * max(stdev(errors), LEAST_NOISE)
    half *= math.sqrt(1 + 1 / len(errors))
    mean = fmean(errors)
    return Spread(
        math.exp(mean - half),
        math.exp(mean + half),
        len(errors),
        len(outliers),
        calibration.of_layers,
    )


def changes(machine: Machine, placement: str, timing: str) -> list[str]:
    """What a run does differently from how the machine was calibrated, in words; empty where nothing."""
    found = [
        f"{what} {used} instead of {own}"
        for what, used, own in (
            ("placement", placement, machine.placement),
            ("timing", timing, machine.timing),
        )
        if used != own
    ]
    keys = [key for key in machine.changed if key.split(".")[0] not in _TIMELESS]
    return found + [f"another {key}" for key in keys]


def operand_bits(program: Program, positions: Sequence[int] = ()) -> set[int]:
    """The widths that are multiplied [bits] in the layers at `positions`, in all unless given: of inputs and weights.

    Of a layer's weights the largest tensor counts: int8 networks have biases of 32 bits.
    """
    found = set[int]()
    for position in positions or range(len(program.layers)):
        layer = program.layers[position]
        if total(layer.macs):
            found |= {program.tensors[each].bits for each in layer.reads}
            weights = [program.tensors[each] for each in layer.weights]
            if weights:
                found.add(max(weights, key=lambda each: each.elements).bits)
    return found


def batch_of(program: Program) -> int | None:
    """The images of an inference: the first dimension of the first layer's input; None where no shape is known."""
    shapes = [shape for layer in program.layers[:1] for shape in layer.input_shapes[:1]]
    return shapes[0][0] if shapes and shapes[0] else None


def other_bits(calibration: Calibration, program: Program, positions: Sequence[int] = ()) -> bool:
    """Whether something is multiplied at a width that was not measured."""
    return bool(calibration.bits and operand_bits(program, positions) - set(calibration.bits))


def confidence_of(result: Result) -> Confidence:
    """How sure the time of a run is."""
    machine = result.machine
    calibration = machine.extras.calibration
    notes: list[str] = []
    interval = None
    if calibration is not None:
        spread = spread_of(calibration)
        changed = changes(machine, result.placement_policy.name, result.timing_policy.name)
        if changed:
            notes.append(f"no interval: calibrated otherwise, this run has {', '.join(changed)}")
        elif other_bits(calibration, result.program):
            notes.append(
                f"no interval: measured with {_listed(calibration.bits)} bits, this network has "
                f"{_listed(operand_bits(result.program))}"
            )
        elif spread is None:
            notes.append("no interval: calibrated on fewer than three rows")
        else:
            seconds = result.totals.steady_s
            interval = Interval(spread.low * seconds, spread.high * seconds, LEVEL, spread.basis)
        notes += _distances(result, calibration)
    return Confidence(interval, calibration is not None, (*notes, *cliffs_of(result)))


def _distances(result: Result, calibration: Calibration) -> list[str]:
    """How far the network lies from what was measured."""
    notes = []
    program = result.program
    busy = [
        (layer, seconds)
        for layer, seconds in zip(program.layers, result.steady_times.layer_s.tolist(), strict=True)
        if not layer.is_view
    ]
    unknown = {layer.op for layer, _ in busy} - set(calibration.operators)
    if unknown and calibration.operators:
        seconds = math.fsum(seconds for layer, seconds in busy if layer.op in unknown)
        whole = result.totals.steady_s
        share = f" ({seconds / whole:.0%} of the time)" if whole else ""
        notes.append(f"not measured: {', '.join(sorted(unknown))}{share}")
    macs = [total(layer.macs) for layer, _ in busy]
    batch = batch_of(program)
    if calibration.batches and batch is not None and batch not in calibration.batches:
        measured = f"measured at a batch of {_listed(calibration.batches)}"
        notes.append(f"{measured}, this network has {batch}")
    what = "MACs in its largest layer" if calibration.of_layers else "MACs"
    size = max(macs, default=0) if calibration.of_layers else sum(macs)
    notes += _outside(size, calibration.macs, what)
    if not calibration.of_layers:
        notes += _outside(len(busy), calibration.layers, "layers")
    return notes


def _outside(size: int, measured: tuple[int, int] | None, what: str) -> list[str]:
    if measured is None:
        return []
    least, most = measured
    if size > _FAR * most:
        return [
            f"{_count(size)} {what}: {_factor(size, most)} the most that was measured ({_count(most)})"
        ]
    if size * _FAR < least:
        return [
            f"{_count(size)} {what}: the least that was measured is {_factor(least, size)} that ({_count(least)})"
        ]
    return []


def _listed(numbers: Collection[int]) -> str:
    return " and ".join(map(str, sorted(numbers)))


def _factor(some: int, other: int) -> str:
    return f"{some / other:.3g} times" if other else "beyond"


def _count(number: float) -> str:
    for factor, prefix in ((1e12, "T"), (1e9, "G"), (1e6, "M")):
        if number >= factor:
            return f"{number / factor:.3g} {prefix}"
    return f"{number:,.0f}"
