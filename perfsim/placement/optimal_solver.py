"""Solves the programme of `optimal_model` with HiGHS, part by part where nothing connects the parts."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from perfsim.placement.placement import Counts, Flags

if TYPE_CHECKING:
    from perfsim.placement.optimal_model import Model


@dataclass(frozen=True, eq=False)
class Part:
    """What is known of one part of a model.

    Attributes:
        gaps: the touches at which its gaps begin.
        kept: which of these gaps a solution keeps; None where none was found in time.
        is_proven: whether no other solution is better.
        bound: no solution of the part costs less [bytes].
    """

    gaps: Counts
    kept: Flags | None
    is_proven: bool
    bound: int


def solve(model: Model, time_limit_s: float) -> list[Part]:
    """The parts of `model`, the small ones first; those left get equal shares of the time that is left."""
    rows, least = model.rows, np.array(model.rows.least)
    row, column = np.array(rows.row, dtype=np.int64), np.array(rows.column, dtype=np.int64)
    variables = len(model.cost)
    matrix = csr_array((np.array(rows.coefficient), (row, column)), shape=(len(least), variables))
    nodes = len(least) + variables  # each row is connected with its variables
    links = csr_array((np.ones(len(row)), (row, len(least) + column)), shape=(nodes, nodes))
    count, part_of = connected_components(links, directed=False)
    # Where nothing can be kept nothing is searched for: all such parts are one.
    searched = np.zeros(count, dtype=bool)
    searched[part_of[len(least) :][model.gap >= 0]] = True
    part_of = np.where(searched, np.cumsum(searched), 0)[part_of]
    count = int(searched.sum()) + 1
    row_groups = _grouped(part_of[: len(least)], count)
    groups = _grouped(part_of[len(least) :], count)
    deadline = time.monotonic() + time_limit_s
    parts = []
    by_size = sorted(range(count), key=lambda each: len(groups[each]))
    for at, part in enumerate(by_size):
        left_s = max(deadline - time.monotonic(), 0.0) / (count - at)
        inside = matrix[row_groups[part]][:, groups[part]]
        parts.append(_solve_part(model, groups[part], inside, least[row_groups[part]], left_s))
    return parts


def _grouped(part_of: Counts, parts: int) -> list[Counts]:
    """The positions of each part."""
    order = np.argsort(part_of, kind="stable")
    return np.split(order, np.cumsum(np.bincount(part_of, minlength=parts))[:-1])


def _solve_part(
    model: Model, variables: Counts, rows: csr_array, least: Counts, time_limit_s: float
) -> Part:
    cost = model.cost[variables]
    if not len(
        cost
    ):  # a row without variables is one that nothing fulfils: a layer that does not fit
        return Part(variables, None, not len(least), 0)
    keep = model.gap[variables] >= 0
    gaps = model.gap[variables[keep]]
    lowest = int(np.minimum(cost, 0).sum())
    all_kept = keep.astype(float)
    if cost @ all_kept == lowest and (rows @ all_kept >= least).all():
        return Part(gaps, np.ones(len(gaps), dtype=bool), True, lowest)
    unit = math.gcd(*cost.tolist()) or 1
    answer = milp(
        cost / unit,
        integrality=model.is_whole[variables].astype(int),
        bounds=Bounds(0, 1),
        constraints=LinearConstraint(rows, least, np.inf),
        options={"time_limit": max(time_limit_s, 0.01), "mip_rel_gap": 0.0},
    )
    kept = None if answer.x is None else answer.x[keep] > 0.5
    is_proven = answer.status == _OPTIMAL
    if is_proven:
        return Part(gaps, kept, True, unit * round(answer.fun))  # costs are whole numbers of units
    bound = answer.mip_dual_bound
    if bound is None or not math.isfinite(bound):
        return Part(gaps, kept, False, lowest)
    return Part(gaps, kept, False, unit * math.floor(bound))


_OPTIMAL = 0  # a status of `milp`
