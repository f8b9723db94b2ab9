"""How a fit predicts rows that it has not seen, the choice of what to fit by that, and rows that do not fit."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from perfsim.calibration_fit import (
    LARGEST_ERROR,
    Fit,
    Flags,
    Floats,
    Kept,
    Parameter,
    Residuals,
    fit,
)

MOST_FOLDS = 30
OUTLIER = 3.0  # standardised residuals
ROWS_PER_OUTLIER = 10  # where more rows do not fit, it is the machine's form that does not
FEWEST_WITH_OUTLIER = 5
LEAST_GAIN = 0.1  # one of a dozen candidates lowers the error by a few percent by chance


@dataclass(frozen=True, eq=False)
class Solution:
    """A fit to the rows that fit.

    Attributes:
        fit: to the rows that were kept.
        frozen: the numbers that the data does not determine, with the standard error that each would have had.
        kept: whether each row was fitted, shape (rows,).
        outliers: whether each row does not fit, shape (rows,): left out unless they are too many.
        left_out: the residual of each row as predicted without it, shape (rows,).
        standardised: the residuals in units of the spread of the fitted ones, shape (rows,).
    """

    fit: Fit
    frozen: Mapping[str, float]
    kept: Flags
    outliers: Flags
    left_out: Floats
    standardised: Floats


def without_outliers(
    residuals: Residuals,
    first: Fit,
    again: Callable[[Residuals], tuple[Fit, Mapping[str, float], Floats]],
) -> Solution:
    """The fit of the rows but for those that do not fit the `first` one, which was to all of them.

    again: fits some rows, and gives the numbers that they do not determine and the residual of each without it.

    They are left out once, as of what is left some row is always farthest, and where they are few: one of ten (as in
    an interval), or a single one of five to nine rows. The fit without them predicts them.
    """
    rows = len(first.residuals)
    outliers = abs(first.standardised) > OUTLIER
    most = max(rows // ROWS_PER_OUTLIER, int(rows >= FEWEST_WITH_OUTLIER))
    most = min(most, rows - 1 - len(first.values))
    kept = ~outliers if outliers.sum() <= most else np.full(rows, True)
    found, frozen, unseen = again(lambda values: residuals(values)[kept])
    if not found.values:  # nothing is fitted, to no rows
        kept = np.full(rows, True)
    everywhere = residuals(found.values)
    left_out, standardised = everywhere.copy(), everywhere / found.spread
    if found.values:
        left_out[kept], standardised[kept] = unseen, found.standardised
    return Solution(found, frozen, kept, outliers, left_out, standardised)


def left_out(residuals: Residuals, parameters: Sequence[Parameter], whole: Fit) -> Floats:
    """The residual of each row as predicted without it, shape (rows,): the fit is repeated without each row.

    Of more than `MOST_FOLDS` rows, several are left out together.
    """
    return _in_folds(
        residuals, lambda kept: fit(residuals, parameters, kept, near=whole.values).values
    )


def left_out_chosen(residuals: Residuals, candidates: Sequence[Parameter], most: int) -> Floats:
    """The same where the numbers are chosen: the choice is repeated without each row as well.

    Else a choice among many, made with a row in sight, would seem to predict that row.
    """
    return _in_folds(residuals, lambda kept: stepwise(residuals, candidates, most, kept).values)


def _in_folds(residuals: Residuals, fitted: Callable[[Kept], Mapping[str, float]]) -> Floats:
    rows = len(residuals({}))
    folds = np.arange(rows) % min(rows, MOST_FOLDS)
    found = np.empty(rows)
    for fold in range(int(folds.max()) + 1):
        out = folds == fold
        found[out] = residuals(fitted(~out))[out]
    return found


def stepwise(
    residuals: Residuals, candidates: Sequence[Parameter], most: int, kept: Kept = slice(None)
) -> Fit:
    """The fit of those candidates, at most so many, that lower the leave-one-out error, found one after the other.

    Each must lower it by `LEAST_GAIN` of itself; one that is no longer needed when others are there is left out again.
    """
    chosen: list[Parameter] = []
    best = fit(residuals, chosen, kept)
    while len(chosen) < most:
        tried = []
        for each in candidates:
            if each not in chosen:
                found = fit(residuals, [*chosen, each], kept, near=best.values)
                if max(found.relative_errors.values()) <= LARGEST_ERROR:
                    tried.append((found.left_out_size, [*chosen, each], found))
        if not tried:
            return best
        size, names, found = min(tried, key=lambda entry: entry[0])
        if size > best.left_out_size * (1 - LEAST_GAIN) or best.left_out_size - size < 1e-4:
            return best
        chosen, best = names, found
        for each in names[:-1]:
            fewer = [other for other in chosen if other is not each]
            near = {key: value for key, value in best.values.items() if key != each.key}
            without = fit(residuals, fewer, kept, near=near)
            if without.left_out_size <= best.left_out_size:
                chosen, best = fewer, without
    return best
