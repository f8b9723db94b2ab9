"""How a fit predicts rows that it has not seen, and the choice of what to fit by that."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from perfsim.calibration_fit import LARGEST_ERROR, Fit, Floats, Kept, Parameter, Residuals, fit

MOST_FOLDS = 30
LEAST_GAIN = 0.1  # one of a dozen candidates lowers the error by a few percent by chance


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
