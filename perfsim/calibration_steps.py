"""How a fit predicts rows that it has not seen, the choice of what to fit by that, and rows that do not fit."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

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
    fit_identified,
)

Groups: TypeAlias = np.ndarray[Any, np.dtype[np.int64]]

MOST_FOLDS = 30
OUTLIER = 3.0  # standardised residuals
ROWS_PER_OUTLIER = 10  # where more rows do not fit, it is the machine's form that does not
FEWEST_WITH_OUTLIER = 5
LARGEST_LEVERAGE = 0.5
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
        always: the numbers that every fit without some rows determined.
        standardised: the residuals in units of the spread of the fitted ones, shape (rows,).
    """

    fit: Fit
    frozen: Mapping[str, float]
    kept: Flags
    outliers: Flags
    left_out: Floats
    always: frozenset[str]
    standardised: Floats


@dataclass(frozen=True, eq=False)
class Unseen:
    """How fits predict the rows that they have not seen.

    Attributes:
        residuals: of each row as predicted without it, shape (rows,).
        always: the numbers that all of these fits determined.
    """

    residuals: Floats
    always: frozenset[str]


def without_outliers(
    residuals: Residuals,
    first: Fit,
    again: Callable[[Residuals, Flags], tuple[Fit, Mapping[str, float], Unseen]],
) -> Solution:
    """The fit of the rows but for those that do not fit the `first` one, which was to all of them.

    again: fits the rows that are kept, and gives the numbers that they do not determine and how each is predicted
        without it.

    They are left out once, as of what is left some row is always farthest, and where they are few: one of ten (as in
    an interval), or a single one of five to nine rows. The fit without them predicts them.
    """
    rows = len(first.residuals)
    outliers = abs(first.standardised) > OUTLIER
    most = min(most_outliers(rows), rows - 1 - len(first.values))
    kept = ~outliers if outliers.sum() <= most else np.full(rows, True)
    found, frozen, unseen = again(lambda values: residuals(values)[kept], kept)
    if not found.values:  # nothing is fitted, to no rows
        kept = np.full(rows, True)
    everywhere = residuals(found.values)
    left_out, standardised = everywhere.copy(), everywhere / found.spread
    if found.values:
        left_out[kept], standardised[kept] = unseen.residuals, found.standardised
    return Solution(found, frozen, kept, outliers, left_out, unseen.always, standardised)


def left_out(
    residuals: Residuals, parameters: Sequence[Parameter], groups: Groups | None = None
) -> Unseen:
    """How each row is predicted without it: the fit is repeated without each row.

    groups: shape (rows,): rows of one group, which are alike, are left out together; of one group or none each row by
        itself, of more than `MOST_FOLDS` rows several together.

    From the beginning: numbers that the other rows do not determine keep what the base says, as what a fit to all rows
    gives them is known from the row that is left out.
    """
    return _in_folds(
        residuals, lambda kept: fit_identified(residuals, parameters, kept)[0].values, groups
    )


def left_out_chosen(
    residuals: Residuals, candidates: Sequence[Parameter], most: int, groups: Groups | None = None
) -> Unseen:
    """The same where the numbers are chosen: the choice is repeated without each row as well.

    Else a choice among many, made with a row in sight, would seem to predict that row.
    """
    return _in_folds(
        residuals, lambda kept: stepwise(residuals, candidates, most, kept).values, groups
    )


def _in_folds(
    residuals: Residuals, fitted: Callable[[Kept], Mapping[str, float]], groups: Groups | None
) -> Unseen:
    rows = len(residuals({}))
    folds = np.arange(rows) % min(rows, MOST_FOLDS)
    if groups is not None and len(set(groups.tolist())) > 1:
        folds = np.unique(groups, return_inverse=True)[1]
    found, keys = np.empty(rows), []
    for fold in range(int(folds.max()) + 1):
        out = folds == fold
        values = fitted(~out)
        found[out] = residuals(values)[out]
        keys.append(frozenset(values))
    return Unseen(found, frozenset.intersection(*keys))


def stepwise(
    residuals: Residuals, candidates: Sequence[Parameter], most: int, kept: Kept = slice(None)
) -> Fit:
    """The fit of those candidates, at most so many, that lower the leave-one-out error, found one after the other.

    Each must lower it by `LEAST_GAIN` of itself; one that is no longer needed when others are there is left out again.
    A number that would have to be far from what it is thought to be (`Parameter.within`) is not what is wrong.
    """
    chosen: list[Parameter] = []
    best = fit(residuals, chosen, kept)
    least = typical_error(residuals, chosen, best, kept)
    while len(chosen) < most:
        tried = []
        for each in candidates:
            if each not in chosen:
                names = [*chosen, each]
                found = fit(residuals, names, kept, near=best.values)
                determined = max(found.relative_errors.values()) <= LARGEST_ERROR
                if determined and _is_believed(found, names):
                    tried.append((typical_error(residuals, names, found, kept), names, found))
        if not tried:
            return best
        size, names, found = min(tried, key=lambda entry: entry[0])
        if size > least * (1 - LEAST_GAIN) or least - size < 1e-4:
            return best
        chosen, best, least = names, found, size
        for each in names[:-1]:
            fewer = [other for other in chosen if other is not each]
            near = {key: value for key, value in best.values.items() if key != each.key}
            without = fit(residuals, fewer, kept, near=near)
            size = typical_error(residuals, fewer, without, kept)
            if size <= least and _is_believed(without, fewer):
                chosen, best, least = fewer, without, size
    return best


def typical_error(
    residuals: Residuals, parameters: Sequence[Parameter], found: Fit, kept: Kept = slice(None)
) -> float:
    """The mean size of the residuals of rows left out of a fit, but for the largest, which may be of outliers.

    To first order, residual / (1 - leverage), for rows of which the others say most; where a row decides its own
    prediction, the fit is repeated without it. Infinite where a number hangs on one row: what explains a row alone says
    nothing of others, and may be all that is wrong with the row. `found` is the fit of `parameters` to the kept rows.
    """
    leverage = found.leverage
    sizes = abs(found.residuals) / np.maximum(1 - leverage, 1 - LARGEST_LEVERAGE)
    rows = np.arange(len(residuals({})))[kept]
    for place in np.flatnonzero(leverage > LARGEST_LEVERAGE).tolist():
        without = fit(residuals, parameters, np.delete(rows, place))
        if max(without.relative_errors.values()) > LARGEST_ERROR:
            return math.inf
        sizes[place] = abs(residuals(without.values)[rows[place]])
    return float(np.sort(sizes)[: len(sizes) - most_outliers(len(sizes))].mean())


def most_outliers(rows: int) -> int:
    """How many of so many rows may be outliers: one of ten, a single one of five to nine."""
    return max(rows // ROWS_PER_OUTLIER, int(rows >= FEWEST_WITH_OUTLIER))


def _is_believed(found: Fit, parameters: Sequence[Parameter]) -> bool:
    return all(each.is_believed(found.values[each.key]) for each in parameters)
