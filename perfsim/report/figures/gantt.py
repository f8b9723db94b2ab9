"""The timeline: which part of the machine works on which layer when, from the same intervals as the trace."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from perfsim.report.figures import canvas
from perfsim.report.figures.labels import label_rectangles
from perfsim.timeline import RESOURCES, timeline_of

if TYPE_CHECKING:
    from perfsim.result import Result

LONGEST_NAME = 20
_SHADES = (1.0, 0.55)  # of odd and even layers, so that neighbours can be told apart


def draw_timeline(result: Result, title: str, facts: str) -> Any:
    """The figure: a track for the layers and one for each resource, and below them the memory in use."""
    timeline = timeline_of(result)
    resources = timeline.resources
    figure = canvas.new_figure(9.0, 3.0 + 0.35 * len(resources))
    tracks, used = figure.subplots(2, 1, sharex=True, height_ratios=[2 + len(resources), 1.6])
    canvas.headed(figure, tracks, title, facts)
    factor, unit = canvas.time_unit(timeline.total_s)
    rows = len(resources)
    starts, ends = timeline.layer_start_s / factor, timeline.layer_end_s / factor
    tracks.set_xlim(0, max(timeline.total_s / factor, 1e-12))
    tracks.set_ylim(-0.55, rows + 1.55)
    for parity, shade in enumerate(_SHADES):
        of = np.arange(len(starts)) % 2 == parity
        _track(
            tracks, starts[of], ends[of], rows, canvas.GREY, shade * 0.5, f"layers {parity}", 1.8
        )
        for row, resource in enumerate(resources):
            of = (timeline.resource == row) & (timeline.layer % 2 == parity)
            left, right = timeline.start_s[of] / factor, timeline.end_s[of] / factor
            color = canvas.PARTS[resource]
            _track(tracks, left, right, rows - 1 - row, color, shade, f"{resource} {parity}")
    places = [rows + 0.5, *range(rows - 1, -1, -1)]
    tracks.set_yticks(places, ["layers", *(RESOURCES[resource][0] for resource in resources)])
    tracks.tick_params(axis="y", length=0)
    tracks.tick_params(axis="x", labelbottom=False)
    bytes_factor, bytes_unit = canvas.byte_unit(
        max(float(result.machine.sram_bytes), result.totals.peak_sram_bytes)
    )
    in_use = np.array(result.columns["sram_used_bytes"]) / bytes_factor
    edges = np.append(starts, ends[-1])
    used.stairs(in_use, edges, fill=True, color=canvas.KINDS["feature map"], linewidth=0, gid="use")
    capacity = float(result.machine.sram_bytes) / bytes_factor
    used.axhline(capacity, color="black", linestyle="--", linewidth=1, gid="capacity")
    used.set_ylim(0, 1.1 * max(capacity, float(in_use.max())))
    used.set_ylabel(f"SRAM [{bytes_unit}]")
    used.set_xlabel(f"time [{unit}]; shades alternate from layer to layer")
    handles = [
        canvas.swatch("SRAM in use", facecolor=canvas.KINDS["feature map"]),
        canvas.stroke("capacity", color="black", linestyle="--", linewidth=1),
    ]
    canvas.legend_below(figure, handles)
    boxes = np.column_stack(
        [starts, np.full_like(starts, rows - 0.4), ends, np.full_like(starts, rows + 1.4)]
    )
    names = [canvas.shortened_name(name, LONGEST_NAME) for name in result.columns["name"]]
    canvas.settle(figure)
    label_rectangles(tracks, boxes, names, 5.5)
    return figure


def _track(
    axes: Any,
    left: Any,
    right: Any,
    row: int,
    color: str,
    shade: float,
    name: str,
    height: float = 0.8,
) -> None:
    bottom = np.full(len(left), row - 0.4)
    look = {"facecolor": color, "alpha": shade, "linewidth": 0}
    canvas.rectangles(axes, left, bottom, right - left, np.full(len(left), height), name, **look)
