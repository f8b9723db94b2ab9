"""Time against cost: which machines no other one beats in both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from perfsim.report.figures import canvas
from perfsim.report.figures.labels import label_points

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfsim.report.figures.canvas import Numbers

NAMED = 40  # of the points that none beats


@dataclass(frozen=True, eq=False)
class Candidates:
    """What is compared: arrays of shape (candidates,).

    Attributes:
        cost: what a candidate takes, in units of `cost_name`; less is better.
        time_s: the time of one inference [s].
        names: of the candidates, or an empty list for none.
        cost_name: with its unit, such as "internal memory [MB]".
    """

    cost: Numbers
    time_s: Numbers
    names: Sequence[str]
    cost_name: str


def non_dominated(cost: Numbers, time_s: Numbers) -> Any:
    """Whether no other candidate is at most as large in both and smaller in one: flags of shape (candidates,).

    Of candidates equal in both none beats the other. In O(n log n): by cost, and by time within one cost.
    """
    costs, times = np.asarray(cost, dtype=float), np.asarray(time_s, dtype=float)
    order = np.lexsort((times, costs))
    best = np.full(len(costs), np.inf)  # the least time of all that cost less
    ordered = times[order]
    first_of_cost = np.searchsorted(costs[order], costs[order], side="left")
    least = np.minimum.accumulate(ordered) if len(ordered) else ordered
    cheaper = first_of_cost > 0
    best[cheaper] = least[first_of_cost[cheaper] - 1]
    flags = np.empty(len(costs), dtype=bool)
    flags[order] = (ordered < best) & (ordered == ordered[first_of_cost])
    return flags


def draw_pareto(candidates: Candidates, title: str, facts: str) -> Any:
    """The figure: all candidates, those that none beats joined by a staircase and named."""
    cost = np.asarray(candidates.cost, dtype=float)
    time_s = np.asarray(candidates.time_s, dtype=float)
    figure = canvas.new_figure(6.4, 4.4)
    axes = figure.add_subplot(xscale="log", yscale="log")
    canvas.headed(figure, axes, title, facts)
    factor, unit = canvas.time_unit(float(time_s.max(initial=0.0)))
    best = non_dominated(cost, time_s)
    times = time_s / factor
    front = np.lexsort((time_s[best], cost[best]))
    steps = {"color": canvas.PARTS["matrix"], "linewidth": 1.0}
    axes.step(cost[best][front], times[best][front], where="post", zorder=2, gid="front", **steps)
    looks = {
        "beaten": {"marker": "o", "facecolor": "white", "edgecolor": canvas.GREY, "linewidth": 0.8},
        "front": {
            "marker": "o",
            "facecolor": canvas.PARTS["matrix"],
            "edgecolor": "white",
            "linewidth": 0.5,
        },
    }
    axes.scatter(
        cost[~best], times[~best], s=28, zorder=3, gid="beaten candidates", **looks["beaten"]
    )
    axes.scatter(cost[best], times[best], s=34, zorder=4, gid="best candidates", **looks["front"])
    axes.grid(True, which="major")
    axes.margins(0.15)
    axes.set_xlabel(candidates.cost_name)
    axes.set_ylabel(f"time of one inference [{unit}]")
    canvas.plain_ticks(axes)
    handles = [
        canvas.stroke("none is both faster and smaller", marker="o", **steps),
        canvas.stroke(
            "others", marker="o", linestyle="", color="none", markeredgecolor=canvas.GREY
        ),
    ]
    canvas.legend_below(figure, handles)
    canvas.settle(figure)
    if candidates.names:
        wanted = np.concatenate(
            [np.flatnonzero(best)[front][:NAMED], np.flatnonzero(~best)[:NAMED]]
        )
        lines = [_staircase(cost[best][front], times[best][front])]
        radii = np.full(len(cost), 3.2)
        label_points(
            axes, np.column_stack([cost, times]), radii, candidates.names, wanted.tolist(), lines
        )
    return figure


def _staircase(cost: Any, times: Any) -> Any:
    """The corners of the steps from one candidate to the next."""
    corners = [(cost[0], times[0])]
    for x, y in zip(cost[1:], times[1:], strict=True):
        corners += [(x, corners[-1][1]), (x, y)]
    return np.array(corners if len(corners) > 1 else corners * 2)
