"""Which numbers of a machine's file are fitted: those that were named, or those that carry over best."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from perfsim.calibration_fit import Fit, Flags, Parameter, Residuals, fit, fit_identified
from perfsim.calibration_steps import (
    Groups,
    Solution,
    Unseen,
    left_out,
    left_out_chosen,
    stepwise,
    without_outliers,
)
from perfsim.errors import InputError, InvalidValueError, UnknownNameError
from perfsim.hardware import units
from perfsim.hardware.fields import field_of, start_of
from perfsim.hardware.parts import LAYER_CLASSES
from perfsim.hardware.profile import load_hardware
from perfsim.settings import Setting

if TYPE_CHECKING:
    from pathlib import Path

    from perfsim.document import Document

MOST_CHOSEN = 4
ROWS_PER_CHOSEN = 3  # what is chosen by its success needs more rows than what is asked for
_BELIEVED = 10.0
_RANGE = 1000.0  # a fitted number stays within this factor of where the search begins

# What is tried unless numbers are named, those that matter most on real machines first; those of parts only where
# the base has the part, since to have it is a claim about the machine and not a number.
CANDIDATES = (
    "ddr_efficiency",
    "ddr_bandwidth",
    "stream.bandwidth",
    "stream.read_bandwidth",
    "stream.write_bandwidth",
    "weight_memory.bandwidth",
    "layer_cost",
    "inference_cost",
    *(f"efficiency.{name}" for name in LAYER_CLASSES),
    "compression.weight.depthwise",
    "array.partial_sum_bandwidth",
    "vector",
)
_ONLY_STATED = ("stream.read_", "stream.write_", "weight_memory.", "compression.", "array.")


def named_parameters(
    document: Document, path: Path, stated: Mapping[str, float], keys: Sequence[str], rows: int
) -> list[Parameter]:
    """The parameters of the keys of ``--fit``.

    Raises InputError for an unknown or repeated one, one that no time depends on or that cannot be fitted, one that
    contradicts the file, and for as many as there are rows or more.
    """
    if not keys:
        raise InvalidValueError("", found="no name", expected="names such as layer_cost").at(
            file="--fit"
        )
    parameters: list[Parameter] = []
    for key in keys:
        try:
            if key in {each.key for each in parameters}:
                raise InvalidValueError(f"'{key}' is named twice")
            parameters.append(_parameter(document, stated, key))
        except InputError as error:
            raise error.at(file="--fit") from None
        _check(path, stated, [key])
    _check(path, stated, keys)
    sizes = [each.key for each in parameters if each.is_size]
    if len(sizes) > 1:
        raise InvalidValueError(
            "", found=f"the sizes {' and '.join(sizes)}", expected="one size at a time"
        ).at(file="--fit")
    if len(parameters) >= rows:
        raise InvalidValueError(
            "fewer rows than it takes",
            found=f"{len(parameters)} number{'s'[: len(parameters) != 1]} to fit and {rows} "
            f"row{'s'[: rows != 1]} of measurements",
            expected="more rows than numbers",
        ).at(file="--fit")
    return parameters


def candidates_of(document: Document, path: Path, stated: Mapping[str, float]) -> list[Parameter]:
    """Those of `CANDIDATES` that the base has a place for."""
    candidates = []
    for key in CANDIDATES:
        if key.startswith(_ONLY_STATED) and key not in stated:
            continue
        if key == "ddr_bandwidth" and "ddr_efficiency" in stated:
            continue  # the share of it does the same
        try:
            _check(path, stated, [key])
        except InputError:
            continue  # it contradicts what the base says
        found = _parameter(document, stated, key)
        # Costs and bandwidths that the base leaves out may be anything.
        if key in stated or field_of(key).dimension is None:
            found = replace(found, within=_BELIEVED)
        candidates.append(found)
    return candidates


def fit_named(
    residuals: Residuals, parameters: Sequence[Parameter], groups: Groups | None = None
) -> Solution:
    """The fit of the numbers that were named; rows of one of the `groups` are predicted without all of it."""

    def again(some: Residuals, kept: Flags) -> tuple[Fit, Mapping[str, float], Unseen]:
        found, frozen = fit_identified(some, parameters)
        of_kept = None if groups is None else groups[kept]
        return found, frozen, left_out(some, parameters, of_kept)

    first, _ = fit_identified(residuals, parameters)
    return without_outliers(residuals, first, again)


def fit_chosen(
    residuals: Residuals, candidates: Sequence[Parameter], groups: Groups | None = None
) -> Solution:
    """The fit of the numbers that carry over best; rows of one of the `groups` are predicted without all of it.

    At most four numbers, and one for every three rows; none where the choice, repeated without each row, predicts the
    rows no better than the base does.
    """

    def again(some: Residuals, kept: Flags) -> tuple[Fit, Mapping[str, float], Unseen]:
        base = some({})
        most = _most(len(base))
        found = stepwise(some, candidates, most)
        nothing = Unseen(base, frozenset())
        of_kept = None if groups is None else groups[kept]
        unseen = left_out_chosen(some, candidates, most, of_kept) if found.values else nothing
        if abs(unseen.residuals).mean() >= abs(base).mean():
            return fit(some, []), {}, nothing
        return found, {}, unseen

    first = stepwise(residuals, candidates, _most(len(residuals({}))))
    return without_outliers(residuals, first, again)


def _most(rows: int) -> int:
    return min(MOST_CHOSEN, rows // ROWS_PER_CHOSEN)


def _parameter(document: Document, stated: Mapping[str, float], key: str) -> Parameter:
    field = field_of(key)
    if key.startswith("energy."):
        raise InvalidValueError(f"no time depends on '{key}'", expected="a number that times need")
    is_size = field.dimension is units.SIZE
    if field.whole and not is_size:
        raise InvalidValueError(
            f"'{key}' is a whole number, which the design of a machine says and no fit",
            expected="a rate, a share, a time or a size",
        )
    start = start_of(key, stated)
    if start is None:
        raise UnknownNameError(
            f"the base does not state '{key}', which cannot be added alone",
            expected="a key of its file",
        )
    most = field.most
    if (
        key.startswith("efficiency.")
        and document.value.get("efficiency", {}).get("above_one") is True
    ):
        most = 1e6
    return Parameter(
        key,
        start,
        max(field.least, start / _RANGE),
        min(most, start * _RANGE),
        is_size,
    )


def _check(path: Path, stated: Mapping[str, float], keys: Sequence[str]) -> None:
    """Raise InputError where other numbers for `keys` contradict what else the file states."""
    changed = {}
    for key in keys:
        field, start = field_of(key), start_of(key, stated)
        if start is not None:
            value = field.written(start if field.whole else 0.9 * start)
            changed[key] = Setting(value, f"--fit {key}")
    load_hardware(path, **changed)
