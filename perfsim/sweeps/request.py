"""A sweep from the texts in which people state it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perfsim.errors import InputError, InvalidValueError, UnknownNameError, unknown_name
from perfsim.hardware.fields import FIELDS, Field, field_of
from perfsim.sweeps.evaluation import COLUMNS, LAYER_COLUMNS, absent_column
from perfsim.sweeps.expression import Expression, parse_expression
from perfsim.sweeps.grid import Axis, Grid, Sample, parse_axis
from perfsim.sweeps.study import Study
from perfsim.sweeps.variant import Variant

if TYPE_CHECKING:
    from perfsim.hardware.machine import Machine
    from perfsim.network.graph import Network
    from perfsim.placement.placement import PlacementPolicy

# What can be varied of a network's file.
SCALES: Mapping[str, Field] = {
    field.key: field
    for field in (
        Field("width", "", None, 1e-6, 1e6),
        Field("resolution", "", None, 1, 2**31, whole=True),
        Field("batch", "", None, 1, 2**31, whole=True),
        Field("precision.feature_map", "", None, 1, 1024, whole=True),
        Field("precision.weight", "", None, 1, 1024, whole=True),
    )
}

LARGEST = 10**12  # points: hours even where nothing is written


def make_study(
    models: Sequence[str],
    load: Callable[[str, Mapping[str, Any]], Network],
    machine: Machine,
    vary: Sequence[str],
    *,
    sample: int | None = None,
    seed: int = 0,
    sampler: str = "sobol",
    where: Sequence[str] = (),
    placement: str | PlacementPolicy | None = None,
    timing: str | None = None,
    columns: Sequence[str] | None = None,
    per_layer: bool = False,
    costs: Sequence[str] = (),
) -> Study:
    """The sweep of `models` on `machine` that these texts state.

    load: gives a network at some scales, by key of its file; called when a network is needed, for `pool` in other
    processes. vary: ``KEY=VALUES`` each, of the machine's file or of
    `SCALES`; see `grid.parse_axis`. sample: of the machine's numbers, how many points to draw for each network.
    where: conditions; see `expression`. costs: numbers of which less is better; then only what they need is computed.

    Raises InputError where something is wrong with them.
    """
    scales: list[Axis] = []
    axes: list[Axis] = []
    for text in vary:
        key, equals, values = text.partition("=")
        key = key.strip()
        if not key or not equals or not values.strip():
            raise InvalidValueError(
                "", found=f"'{text}'", expected="KEY=VALUES such as sram=64KiB:16MiB:log:64"
            ).at(file="--vary")
        try:
            field = _machine_or_network_field(key)
            if key not in SCALES:
                axes.append(parse_axis(field, values, sampled=sample is not None))
                continue
            if sample is not None and 0 < values.count(":") < 3:
                raise InvalidValueError(
                    "only numbers of the machine are drawn",
                    found=f"the range '{values.strip()}' without steps",
                    expected="a list 1,2,4 or FIRST:LAST:log:STEPS, all of which are taken",
                )
            scales.append(parse_axis(field, values))
        except InputError as error:
            raise error.at(file=f"--vary {key}") from None
    keys = [axis.key for axis in (*scales, *axes)]
    for key in keys:
        if keys.count(key) > 1:
            raise InvalidValueError("", found=f"'{key}' twice", expected="each key once").at(
                file="--vary"
            )
    space = Grid(axes) if sample is None else Sample(axes, sample, seed, sampler)
    combinations = list(product(*(axis.values.tolist() for axis in scales)))
    check_count(len(models) * len(combinations) * space.count)
    variants = []
    for model in models:
        for values_of in combinations:
            scale = {axis.key: value for axis, value in zip(scales, values_of, strict=True)}
            variants.append(Variant(partial(load, model, scale), scale))
    study = Study(variants, machine, space, placement, timing, columns, per_layer=per_layer)
    conditions = [_expression(study, text, "--where", condition=True) for text in where]
    wanted = [_expression(study, text, "--cost", condition=False) for text in costs]
    chosen = [] if costs and columns is None else study.result_columns
    used = sorted(
        {name for each in (*conditions, *wanted) for name in each.names} - {*study.inputs, *chosen},
        key=study.stated_columns.index,
    )
    if not per_layer:
        study = replace(study, columns=[*chosen, *used] or ["total_s"])
    return replace(study, where=conditions, costs=wanted)


def _expression(study: Study, text: str, option: str, *, condition: bool) -> Expression:
    known = [*study.inputs, *study.stated_columns]
    absent = partial(_why_absent, study)
    try:
        return parse_expression(text, known, condition=condition, absent=absent)
    except InputError as error:
        raise error.at(file=option) from None


def _why_absent(study: Study, name: str) -> UnknownNameError | None:
    """Why a sweep has not a name that others have; None for a name that none has."""
    if name in COLUMNS:
        if study.per_layer and name not in LAYER_COLUMNS:
            return UnknownNameError(
                f"'{name}' is of a network, not of a layer",
                expected=f"one of {', '.join(study.stated_columns)} with --per-layer",
            )
        return absent_column(study.machine, name)
    try:
        _machine_or_network_field(name)
    except UnknownNameError:
        return None
    return UnknownNameError(
        f"'{name}' is not varied, and so the same everywhere", expected=f"--vary {name}=VALUES"
    )


def _machine_or_network_field(key: str) -> Field:
    try:
        return SCALES[key] if key in SCALES else field_of(key)
    except UnknownNameError:
        known = [*SCALES, *FIELDS]
        raise unknown_name("number of a machine or scale of a network", key, known) from None


def check_count(count: int) -> None:
    """Raise for more points than can be computed in hours."""
    if count > LARGEST:
        raise InvalidValueError(
            "", found=f"{count:,} points", expected=f"at most {LARGEST:,}; fewer steps, or --sample"
        ).at(file="--vary")


def check_room(study: Study, output: str) -> None:
    """Raise where the rows of a sweep would not fit on the disk of `output`."""
    free = shutil.disk_usage(Path(output).resolve().parent).free
    columns = 1 + len(study.inputs) + len(study.result_columns)
    needed = 2 * 8 * columns * study.most_rows  # the finished partitions, and the output
    if needed > free:
        raise InvalidValueError(
            f"{study.count:,} points would take up to {needed / 1e6:,.1f} MB",
            found=f"{free / 1e6:,.1f} MB free",
            expected="fewer steps, --sample, or 'perfsim pareto', which keeps no points",
        ).at(file=output)
