"""The fit behind a calibration: robust, bounded least squares on the logarithm of the times.

The residual of a row is ln(predicted / measured), and the unknowns are the logarithms of the machine's numbers, so that
all are of one size. The loss is the soft one, 2 (sqrt(1 + z) - 1) of z = (residual / 0.1)^2: quadratic for rows within
about 10 %, linear for rows that do not fit (scipy's trust region reflective; Branch, Coleman, Li, SISC 21(1), 1999).

A number is not determined by the data when its relative standard error, sigma sqrt((J'WJ)^-1), is above
`LARGEST_ERROR`; J holds the derivatives of the residuals, W the weights that the loss gives to the rows, and sigma, the
weighted spread, is at least `LEAST_NOISE`, since no machine repeats itself better (Holland, Welsch, Communications in
Statistics A6(9), 1977).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from perfsim.confidence import LEAST_NOISE

Floats: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]
Residuals: TypeAlias = Callable[[Mapping[str, float]], Floats]
Flags: TypeAlias = np.ndarray[Any, np.dtype[np.bool_]]
Kept: TypeAlias = Flags | np.ndarray[Any, np.dtype[np.int64]] | slice

LOSS_SCALE = 0.1
LARGEST_ERROR = 0.5
_STEP = (
    1e-3  # of a logarithm, for derivatives; wide enough to look across the kinks of rounded counts
)
_SCANNED = np.linspace(-3.5, 3.5, 15)  # a factor of 33 each way
_SIZE_STEPS = (np.arange(-8, 9) / 4, np.arange(-3, 4) / 16)  # powers of two: coarse, then fine


@dataclass(frozen=True)
class Parameter:
    """A number that is fitted: where the search begins, and between what it stays.

    is_size: whether it is a number of bytes, in which times are stepwise constant: tried out instead of differentiated.
    within: by what factor a fitted value may differ from the start to be believed where nobody asked for the number.
    """

    key: str
    start: float
    least: float
    most: float
    is_size: bool = False
    within: float = math.inf

    def is_believed(self, value: float) -> bool:
        """Whether a fitted value is near enough to the start."""
        return self.start / self.within <= value <= self.start * self.within


@dataclass(frozen=True, eq=False)
class Fit:
    """The numbers that fit some rows best.

    Attributes:
        values: by key.
        residuals: ln(predicted / measured), shape (rows,).
        jacobian: derivatives of the residuals by the logarithms of the values, shape (rows, values).
        loss: what was minimised.
    """

    values: Mapping[str, float]
    residuals: Floats
    jacobian: Floats
    loss: float

    @property
    def relative_errors(self) -> dict[str, float]:
        """The relative standard error of each value; very large for one that changes nothing."""
        rows, count = self.jacobian.shape
        if not count:
            return {}
        weights = _weights(self.residuals)
        noise = np.sqrt(float(weights @ np.square(self.residuals)) / max(rows - count, 1))
        weighted = self.jacobian * np.sqrt(weights)[:, None]
        _, sizes, directions = np.linalg.svd(weighted, full_matrices=False)
        sizes = np.maximum(sizes, 1e-12 * max(float(sizes.max()), 1.0))
        spread = np.sqrt((np.square(directions / sizes[:, None])).sum(axis=0))
        errors = max(float(noise), LEAST_NOISE) * spread
        return dict(zip(self.values, errors.tolist(), strict=True))

    @property
    def leverage(self) -> Floats:
        """By how much each row decides its own prediction: 0 for not at all, 1 for alone."""
        rows, count = self.jacobian.shape
        if not count:
            return np.zeros(rows)
        roots = np.sqrt(_weights(self.residuals))
        directions, sizes, _ = np.linalg.svd(self.jacobian * roots[:, None], full_matrices=False)
        used = directions[:, sizes > 1e-9 * max(float(sizes.max()), 1e-300)]
        leverage: Floats = np.square(used).sum(axis=1)
        return leverage

    @property
    def spread(self) -> float:
        """The spread of the residuals: 1.48 times their median size, freedom taken out; at least twice the noise."""
        rows, count = self.jacobian.shape
        freedom = math.sqrt(rows / max(rows - count, 1))
        return max(1.4826 * freedom * float(np.median(np.abs(self.residuals))), 2 * LEAST_NOISE)

    @property
    def standardised(self) -> Floats:
        """The residuals in units of their own spread, leverage taken out."""
        found: Floats = self.residuals / (
            self.spread * np.sqrt(np.maximum(1 - self.leverage, 0.05))
        )
        return found


def _weights(residuals: Floats) -> Floats:
    """The weight that the loss gives to each row: the slope of the loss over that of plain squares."""
    found: Floats = 1 / np.sqrt(1 + np.square(residuals / LOSS_SCALE))
    return found


def fit(
    residuals: Residuals,
    parameters: Sequence[Parameter],
    kept: Kept = slice(None),
    near: Mapping[str, float] | None = None,
) -> Fit:
    """The values of `parameters` that make the residuals smallest.

    kept: which rows count, as numpy takes it. near: values that are close already; those of other keys are looked for
        over a wide range first.
    """
    sizes = [each for each in parameters if each.is_size]
    others = [each for each in parameters if not each.is_size]
    if not sizes:
        return _fit_smooth(residuals, others, {}, kept, near)
    (size,) = sizes
    best: Fit | None = None
    centre = size.start if near is None else near.get(size.key, size.start)
    for steps in _SIZE_STEPS:
        middle = centre if best is None else best.values[size.key]
        for step in steps.tolist():
            value = round(min(max(middle * 2**step, size.least), size.most))
            start = near if best is None else best.values
            found = _fit_smooth(residuals, others, {size.key: value}, kept, start)
            best = found if best is None or found.loss < best.loss else best
    if best is None:  # there are always steps
        raise ValueError("no size was tried")
    values = {each.key: best.values[each.key] for each in parameters}
    jacobian = _jacobian(residuals, parameters, values, kept)
    return Fit(values, best.residuals, jacobian, best.loss)


def _fit_smooth(
    residuals: Residuals,
    parameters: Sequence[Parameter],
    fixed: Mapping[str, float],
    kept: Kept,
    near: Mapping[str, float] | None,
) -> Fit:
    from scipy.optimize import least_squares

    keys = [each.key for each in parameters]

    def values_at(logarithms: Floats) -> dict[str, float]:
        return {**fixed, **dict(zip(keys, np.exp(logarithms).tolist(), strict=True))}

    def rest(logarithms: Floats) -> Floats:
        return residuals(values_at(logarithms))[kept]

    def derivatives(logarithms: Floats) -> Floats:
        return _jacobian(residuals, parameters, values_at(logarithms), kept)

    low = np.log([each.least for each in parameters])
    high = np.log([each.most for each in parameters])
    known = near or {}
    start = np.log([known.get(each.key, each.start) for each in parameters])
    unknown = [place for place, each in enumerate(parameters) if each.key not in known]
    start = _scanned(rest, np.clip(start, low, high), low, high, unknown)
    if parameters:
        # A start on a bound would stay there: the search begins inside.
        inside = np.clip(start, low + 1e-6, high - 1e-6)
        solved = least_squares(
            rest,
            inside,
            jac=derivatives,
            bounds=(low, high),
            loss="soft_l1",
            f_scale=LOSS_SCALE,
            xtol=1e-9,
            ftol=1e-10,
            gtol=1e-10,
            max_nfev=60,
        )
        if solved.cost <= loss_of(rest(start)):
            start = np.clip(solved.x, low, high)
    values = values_at(start)
    found = residuals(values)[kept]
    return Fit(values, found, _jacobian(residuals, parameters, values, kept), loss_of(found))


def loss_of(residuals: Floats) -> float:
    """What the fit minimises, as scipy scales it."""
    scaled = np.square(residuals / LOSS_SCALE)
    return float(0.5 * LOSS_SCALE**2 * np.sum(2 * (np.sqrt(1 + scaled) - 1)))


def _scanned(
    rest: Callable[[Floats], Floats],
    start: Floats,
    low: Floats,
    high: Floats,
    unknown: Sequence[int],
) -> Floats:
    """A better start: each unknown in turn over a wide range, twice where there are several; the others stay.

    A time is the larger of several, so that far from its place a number may change nothing.
    """
    if not unknown:
        return start
    best, least = start.copy(), loss_of(rest(start))
    for place in [*unknown] * min(len(unknown), 2):
        for step in _SCANNED.tolist():
            tried = best.copy()
            tried[place] = min(max(start[place] + step, low[place]), high[place])
            loss = loss_of(rest(tried))
            if loss < least * (1 - 1e-9):
                best, least = tried, loss
    return best


def _jacobian(
    residuals: Residuals,
    parameters: Sequence[Parameter],
    values: Mapping[str, float],
    kept: Kept,
) -> Floats:
    columns = []
    for each in parameters:
        step = 2 ** (1 / 8) if each.is_size else np.exp(_STEP)
        value = values[each.key]
        up, down = min(value * step, each.most), max(value / step, each.least)
        if each.is_size:
            up, down = round(up), round(down)
        above, below = (residuals({**values, each.key: tried})[kept] for tried in (up, down))
        columns.append((above - below) / np.log(up / down) if up > down else 0 * above)
    if columns:
        return np.stack(columns, axis=1)
    return np.zeros((len(residuals(values)[kept]), 0))


def fit_identified(
    residuals: Residuals, parameters: Sequence[Parameter], kept: Kept = slice(None)
) -> tuple[Fit, dict[str, float]]:
    """The fit of those of `parameters` that the data determines, and the relative errors of the others.

    kept: which rows count. Of two that do the same the later one is left out.
    """
    left, frozen = list(parameters), dict[str, float]()
    while True:
        found = fit(residuals, left, kept)
        errors = found.relative_errors
        worst = max(errors.values(), default=0.0)
        if worst <= LARGEST_ERROR:
            return found, frozen
        alike = [each for each in left if errors[each.key] >= 0.9 * worst]
        frozen[alike[-1].key] = errors[alike[-1].key]
        left.remove(alike[-1])
