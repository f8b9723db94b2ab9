"""How sure a prediction is: an interval from what a calibration got wrong, and what may make it wrong beyond that.

The leave-one-out errors e of a calibration's n rows, ln(measured / predicted without the row), are taken as a sample of
a normal distribution. The next error lies, with probability `LEVEL`, within

    mean(e) ± t s sqrt(1 + 1/n)        s the sample's standard deviation, t Student's quantile for n - 1

(the prediction interval of a normal sample, Hahn and Meeker, Statistical Intervals, 1991, section 4.7). The mean
stays in: a calibration that predicts too fast on what it has not seen will do so again. Errors beyond four robust
standard deviations are not of that distribution: at most one row of ten is left out for it, and the basis says so.

A calibration on layers gives errors of layers. The relative error of a total is a mean of theirs, weighted by time,
whose spread is at most theirs however they are correlated (Minkowski); so the same interval, too wide rather than too
narrow, is used for totals.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from statistics import fmean, median, stdev
from typing import TYPE_CHECKING

from perfsim.network.work import total
from perfsim.placement.eviction import thresholds_of
from perfsim.placement.memory_levels import compulsory_bytes, ddr_bytes, least_sram_bytes
from perfsim.placement.pinned import Pinned
from perfsim.placement.placement import UNLIMITED

if TYPE_CHECKING:
    from perfsim.hardware.machine import Machine
    from perfsim.hardware.parts import Calibration
    from perfsim.program import Program
    from perfsim.result import Result

LEVEL = 0.9
FEWEST_ROWS = 3
_OUTLIER = 4.0  # robust standard deviations
_ROWS_PER_OUTLIER = 10
_FAR = 2.0  # by what factor a size may lie outside of what was measured
_CACHE_MARGIN = 0.25
_SRAM_MARGIN = 0.1
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
        return f"leave-one-out errors of {self.rows} measured {kind}" + left_out * bool(
            self.outliers
        )


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
        interval: None where the machine is not calibrated, or not as it was run.
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
    outliers = [error for error in far if abs(error - middle) > _OUTLIER * robust]
    for error in outliers:
        errors.remove(error)
    half = student_quantile(LEVEL, len(errors) - 1) * stdev(errors)
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
        elif spread is None:
            notes.append("no interval: calibrated on fewer than three rows")
        else:
            seconds = result.totals.steady_s
            interval = Interval(spread.low * seconds, spread.high * seconds, LEVEL, spread.basis)
        notes += _distances(result, calibration)
    return Confidence(interval, calibration is not None, (*notes, *_cliffs(result)))


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


def _factor(some: int, other: int) -> str:
    return f"{some / other:.3g} times" if other else "beyond"


def _count(number: float) -> str:
    for factor, prefix in ((1e12, "T"), (1e9, "G"), (1e6, "M")):
        if number >= factor:
            return f"{number / factor:.3g} {prefix}"
    return f"{number:,.0f}"


def _cliffs(result: Result) -> list[str]:
    """Where a little less memory, or a little more, would change much."""
    program, placement = result.program, result.placement
    doubled = placement.double_buffered
    notes = []
    if isinstance(result.placement_policy, Pinned):
        notes += _cache_cliff(program, placement.sram_bytes, doubled=doubled)
    policy = result.placement_policy
    if policy.searches:
        return notes  # each size of memory would take a search
    least = compulsory_bytes(program)

    def spills(sram_bytes: float) -> bool:
        moved = ddr_bytes(policy, program, int(sram_bytes), double_buffered=doubled)
        return moved is None or moved > least

    sram_bytes = placement.sram_bytes
    if spills((1 - _SRAM_MARGIN) * sram_bytes) != spills((1 + _SRAM_MARGIN) * sram_bytes):
        needed = least_sram_bytes(policy, program, least, double_buffered=doubled)
        if needed is not None:
            notes.append(
                f"near a cliff: nothing spills with {_bytes(needed)} of SRAM, and it has {_bytes(sram_bytes)}"
            )
    return notes


def _cache_cliff(program: Program, sram_bytes: int, *, doubled: bool) -> list[str]:
    """Whether the weights are about what the feature maps leave for them."""
    thresholds = thresholds_of(program, double_buffered=doubled, pinned=True).weights
    kept = [index for index, value in enumerate(thresholds.tolist()) if value < UNLIMITED]
    weights = sum(program.tensors[index].bytes for index in kept)
    if not weights:
        return []
    left = sram_bytes - (max(int(thresholds[index]) for index in kept) - weights)
    if left <= 0 or not 1 - _CACHE_MARGIN <= weights / left <= 1 + _CACHE_MARGIN:
        return []
    return [
        f"near a cliff: {_bytes(weights)} of weights, and {_bytes(left)} left for them beside the feature maps; what "
        "does not fit is read at every inference"
    ]


def _bytes(number: float) -> str:
    for factor, prefix in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if number >= factor:
            return f"{number / factor:.4g} {prefix}"
    return f"{number:.0f} B"
