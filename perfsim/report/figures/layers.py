"""Time per layer: a bar for each, its parts upon each other, and a line for what the layer adds to the total."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from perfsim.report.figures import canvas
from perfsim.timeline import RESOURCES

if TYPE_CHECKING:
    from perfsim.result import Result

MOST_BARS = 400
MOST_NAMES = 90
LONGEST_NAME = 24
_RESOURCE = {"weight_s": "weights"}  # of the columns that are not named after theirs
_SUMS = ("compute_s", "layer_s")  # columns that are made of the others


def parts_of(result: Result) -> dict[str, Any]:
    """The seconds per layer that each resource that is used is busy, arrays of shape (layers,)."""
    parts = {
        _RESOURCE.get(name, name.removesuffix("_s")): np.array(values)
        for name, values in result.columns.items()
        if name.endswith("_s") and name not in _SUMS
    }
    return {name: seconds for name, seconds in parts.items() if seconds.any()}


def draw_layers(result: Result, title: str, facts: str) -> Any:
    """The figure. Beyond `MOST_BARS` layers several that follow each other share a bar, and the axis says so."""
    layer_s = np.array(result.columns["layer_s"])
    layers = len(layer_s)
    step = -(-layers // MOST_BARS)
    starts = np.arange(0, layers, step)
    bars = len(starts)
    named = layers <= MOST_NAMES
    figure = canvas.new_figure(float(np.clip(2 + 0.15 * bars, 6.4, 12)), 4.2)
    axes = figure.add_subplot()
    canvas.headed(figure, axes, title, facts)
    added = np.add.reduceat(layer_s, starts)
    stacked = {name: np.add.reduceat(seconds, starts) for name, seconds in parts_of(result).items()}
    height = np.sum(list(stacked.values()), axis=0) if stacked else np.zeros(bars)
    factor, unit = canvas.time_unit(float(max(height.max(), added.max())))
    below = np.zeros(bars)
    places = np.arange(bars)
    handles = []
    for name, seconds in stacked.items():
        look = {"facecolor": canvas.PARTS[name], "linewidth": 0}
        used = np.flatnonzero(seconds)
        canvas.rectangles(
            axes,
            places[used] - 0.4,
            below[used] / factor,
            np.full(len(used), 0.8),
            seconds[used] / factor,
            f"part {name}",
            **look,
        )
        below += seconds
        handles.append(canvas.swatch(f"{RESOURCES[name][0]} busy", **look))
    ticks = {"color": canvas.DARK, "linewidth": 1.1}
    axes.hlines(added / factor, places - 0.5, places + 0.5, **ticks, gid="layer time")
    handles.append(canvas.stroke("what the layer adds to the total", **ticks))
    axes.set_xlim(-0.7, bars - 0.3)
    axes.set_ylim(0, 1.04 * max(height.max(), added.max()) / factor or 1)
    axes.yaxis.grid(True)
    axes.set_ylabel(f"time [{unit}]")
    if named:
        names = [canvas.shortened_name(name, LONGEST_NAME) for name in result.columns["name"]]
        axes.set_xticks(places, names, rotation=90, fontsize=6)
        axes.tick_params(axis="x", length=0)
        axes.set_xlabel("layer")
    else:
        shown = np.linspace(0, bars - 1, 12).round().astype(int)
        axes.set_xticks(shown, [str(1 + starts[place]) for place in shown])
        axes.set_xlabel(
            "layer (number)" + (f"; a bar is the sum of {step} layers" if step > 1 else "")
        )
    canvas.legend_below(figure, handles)
    canvas.settle(figure)
    return figure
