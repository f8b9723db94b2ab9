"""Runs that are repeated until their median is known well enough.

Two sessions run in turns, so that what else the computer does meets both. The first run of a turn is dropped: it finds
the other session's weights in the caches. The standard error of a median is taken from the median absolute deviation,

    1.2533 x 1.4826 x MAD / sqrt(runs)

as for normal noise: 1.2533 (sqrt(pi / 2)) is the error of a median over that of a mean, and 1.4826 x MAD the standard
deviation (Rousseeuw and Croux, JASA 88(424), 1993).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median, median_grouped
from time import perf_counter

import numpy as np

ENOUGH = 0.002  # standard error of a median, as a fraction of it, at which measuring ends
_FEWEST_RUNS = 50
_WARM_UP_RUNS = 3
_TURN_RUNS = 5


@dataclass(frozen=True)
class Timing:
    """Times of repeated runs [s]: the median, the quartiles around it, and how many there were."""

    median_s: float
    first_quartile_s: float
    third_quartile_s: float
    runs: int


def timing_of(times_s: Sequence[float]) -> Timing:
    """What sums up the times of runs [s], of which there is at least one."""
    first, third = np.quantile(times_s, (0.25, 0.75))
    return Timing(median(times_s), float(first), float(third), len(times_s))


def timing_of_microseconds(times_us: Sequence[float]) -> Timing:
    """What sums up the times of runs [us] that a clock with steps of a microsecond gave.

    Many are equal, so that the median is interpolated among those that are equal to it, as that of grouped data.
    """
    first, third = np.quantile(times_us, (0.25, 0.75))
    middle = median_grouped(times_us, 1.0)
    return Timing(middle * 1e-6, float(first) * 1e-6, float(third) * 1e-6, len(times_us))


def relative_error_of_median(times_s: Sequence[float]) -> float:
    """The standard error of the median of some times, as a fraction of it."""
    middle = median(times_s)
    deviation = 1.4826 * median(abs(time - middle) for time in times_s)
    return 1.2533 * deviation / math.sqrt(len(times_s)) / middle


def run_in_turns(
    plain: Callable[[], float],
    profiled: Callable[[], float],
    *,
    runs: int | None,
    budget_s: float,
    most_profiled: int,
) -> tuple[list[float], list[int]]:
    """Run two sessions in turns, as many times; (the times of `plain` [s], which runs of `profiled` are kept, from 0).

    runs: of each that are kept; unless given, until the median of `plain` has a standard error of `ENOUGH`, or for
    about `budget_s` seconds. most_profiled: runs of `profiled`, at most, those that are dropped among them.
    """
    start = perf_counter()
    profiled_runs = 0
    for _ in range(_WARM_UP_RUNS):
        once_s = plain() + profiled()
        profiled_runs += 1
        if perf_counter() - start > budget_s / 10:
            break
    turns_in_budget = budget_s / once_s
    times_s: list[float] = []
    kept: list[int] = []
    while True:
        wanted = _TURN_RUNS if turns_in_budget > 10 * _TURN_RUNS else 1
        if runs is not None:
            wanted = min(wanted, runs - len(times_s))
        dropped = 1 if wanted > 1 else 0  # what takes so long has no use for what is in the caches
        if profiled_runs + dropped + wanted > most_profiled:
            return times_s, kept
        times_s += [plain() for _ in range(dropped + wanted)][dropped:]
        for _ in range(dropped + wanted):
            profiled()
        kept += range(profiled_runs + dropped, profiled_runs + dropped + wanted)
        profiled_runs += dropped + wanted
        if runs is not None:
            if len(times_s) == runs:
                return times_s, kept
        elif perf_counter() - start > budget_s or (
            len(times_s) >= _FEWEST_RUNS and relative_error_of_median(times_s) <= ENOUGH
        ):
            return times_s, kept
