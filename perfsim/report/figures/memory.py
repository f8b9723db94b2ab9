"""The memory map: which tensor lies at which address while which layers run, what is spilled, what is in use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from perfsim.placement.address_buffers import make_buffers
from perfsim.placement.addresses import plan_addresses
from perfsim.placement.buffers import buffers_of
from perfsim.placement.memory_levels import spilled
from perfsim.placement.placement import touches_of
from perfsim.report.figures import canvas
from perfsim.report.figures.labels import label_rectangles
from perfsim.report.memory import map_of
from perfsim.report.text import amount

if TYPE_CHECKING:
    from perfsim.placement.memory_map import MemoryMap
    from perfsim.placement.placement import Placement
    from perfsim.program import Program
    from perfsim.result import Result

SPILLED = {
    "facecolor": "white",
    "edgecolor": canvas.PARTS["ddr"],
    "hatch": "//////",
    "linewidth": 0.5,
}
OUTLINE = 0.4  # of a rectangle [points]
THICK = 4 * OUTLINE  # the least extent of one that is outlined [points]
LONGEST_NAME = 18
NODE_LIMIT = 500  # of the search for places of what is spilled, which have no meaning


def outside(program: Program, placement: Placement) -> list[tuple[int, int, int]]:
    """(tensor, first layer, last layer) of all that crosses the bus more often than it must, while it is not inside.

    Layers are positions, both included. A tensor that comes and goes has several. Where a layer touches it the
    placement says where it lies (of two that share a buffer one may be outside), between that its buffer's spans do.
    """
    buffers, spans, touches = buffers_of(program), placement.spans, touches_of(program)
    found = []
    for index, _ in spilled(program, placement):
        first, last = program.tensors[index].first, program.tensors[index].last
        is_inside = np.zeros(last - first + 1, dtype=bool)
        if spans is not None:
            own = spans.buffer == buffers.of[index]
            for start, end in zip(spans.first[own].tolist(), spans.last[own].tolist(), strict=True):
                is_inside[max(start - first, 0) : max(end - first + 1, 0)] = True
        touched = touches.tensor == index
        is_inside[touches.layer[touched] - first] = placement.internal[touched]
        edges = np.flatnonzero(np.diff(np.concatenate([[True], is_inside, [True]]))) + first
        found += [
            (index, start, end - 1)
            for start, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)
        ]
    return found


def draw_memory(result: Result, title: str, facts: str) -> Any:
    """The figure; raises InvalidValueError for a policy that keeps no plan of its memory."""
    placed = map_of(result)
    away = outside(result.program, placed.placement)
    ratios = [1, 3, 1] if away else [3, 1]
    figure = canvas.new_figure(7.2, 5.6 if away else 4.8)
    panels = figure.subplots(len(ratios), 1, sharex=True, height_ratios=ratios)
    canvas.headed(figure, panels[0], title, facts + _fragmented(placed, result))
    layers = len(result.program.layers)
    panels[0].set_xlim(0.5, layers + 0.5)
    handles = [
        canvas.swatch(kind, facecolor=color)
        for kind, color in canvas.KINDS.items()
        if any(entry.kind == kind for entry in placed.entries)
    ]
    if away:
        handles.append(canvas.swatch("spilled: in DDR, moved again", **SPILLED))
    handles.append(canvas.stroke("capacity", color="black", linestyle="--", linewidth=1))
    sram_bytes = int(result.machine.sram_bytes)
    factor, unit = canvas.byte_unit(sram_bytes)
    canvas.legend_below(figure, handles, columns=6)
    if away:
        _spilled_panel(panels[0], result.program, away)
    _map_panel(panels[-2], placed, sram_bytes, factor, unit)
    _occupancy_panel(panels[-1], result.program, placed.placement, sram_bytes, factor, unit)
    panels[-1].set_xlabel("layer (number, in order of execution)")
    canvas.settle(figure)
    _outline_entries(panels[-2], placed, factor)
    _name_entries(panels[-2], placed, factor)
    return figure


def _fragmented(placed: MemoryMap, result: Result) -> str:
    """What must be said when the map is not that of the run."""
    decided, given = placed.placement.sram_bytes, result.placement.sram_bytes
    if decided == given:
        return ""
    return (
        f"; for want of addresses decided for {amount(decided, 'B')}, so more moves than in the run"
    )


def _map_panel(axes: Any, placed: MemoryMap, sram_bytes: int, factor: float, unit: str) -> None:
    for kind, color in canvas.KINDS.items():
        of = [entry for entry in placed.entries if entry.kind == kind]
        canvas.rectangles(
            axes,
            [entry.layer_from - 0.5 for entry in of],
            [entry.address / factor for entry in of],
            [entry.layer_to - entry.layer_from + 1 for entry in of],
            [entry.bytes / factor for entry in of],
            f"kind {kind}",
            facecolor=color,
            linewidth=0,
        )
    axes.axhline(sram_bytes / factor, color="black", linestyle="--", linewidth=1, gid="capacity")
    axes.set_ylim(0, 1.04 * sram_bytes / factor)
    axes.set_ylabel(f"address [{unit}]")


def _boxes(placed: MemoryMap, factor: float) -> list[tuple[float, float, float, float]]:
    """Left, bottom, right and top of each entry in the map."""
    return [
        (
            entry.layer_from - 0.5,
            entry.address / factor,
            entry.layer_to + 0.5,
            (entry.address + entry.bytes) / factor,
        )
        for entry in placed.entries
    ]


def _outline_entries(axes: Any, placed: MemoryMap, factor: float) -> None:
    """White lines around the rectangles, but for those that would vanish under them; in a settled figure."""
    boxes = np.array(_boxes(placed, factor)).reshape(-1, 2, 2)
    pixels = np.ptp(axes.transData.transform(boxes.reshape(-1, 2)).reshape(-1, 2, 2), axis=1)
    thick = boxes[pixels.min(axis=1) >= THICK * axes.figure.dpi / 72]
    (left, bottom), (width, height) = thick[:, 0].T, np.ptp(thick, axis=1).T
    look = {"facecolor": "none", "edgecolor": "white", "linewidth": OUTLINE}
    canvas.rectangles(axes, left, bottom, width, height, "outlines", **look)


def _name_entries(axes: Any, placed: MemoryMap, factor: float) -> None:
    """The names of tensors where their rectangles have room, in a settled figure."""
    boxes = _boxes(placed, factor)
    names = [canvas.shortened_name(entry.tensor, LONGEST_NAME) for entry in placed.entries]
    label_rectangles(axes, boxes, names)


def _spilled_panel(axes: Any, program: Program, away: list[tuple[int, int, int]]) -> None:
    """What lies outside though it is needed again: sizes to scale, places so that nothing overlaps."""
    sizes = [program.tensors[index].bytes for index, _, _ in away]
    plan = plan_addresses(
        make_buffers([first for _, first, _ in away], [last + 1 for _, _, last in away], sizes),
        node_limit=NODE_LIMIT,
    )
    offsets = np.array(plan.offsets, dtype=float)
    factor, unit = canvas.byte_unit(plan.peak_bytes)
    left = np.array([first for _, first, _ in away]) + 0.5
    right = np.array([last for _, _, last in away]) + 1.5
    height = np.array(sizes, dtype=float) / factor
    bottom = offsets / factor
    canvas.rectangles(axes, left, bottom, right - left, height, "spilled", **SPILLED)
    axes.set_ylim(0, 1.04 * plan.peak_bytes / factor)
    axes.set_ylabel(f"spilled [{unit}]")


def _occupancy_panel(
    axes: Any, program: Program, placement: Placement, sram_bytes: int, factor: float, unit: str
) -> None:
    """In use at each layer: feature maps, weights, tiles, upon each other."""
    used, tiles = placement.sram_used_bytes, placement.tile_bytes
    spans = placement.spans
    maps = spans.bytes_in_use(program) if spans is not None else used - tiles
    edges = np.arange(len(used) + 1) + 0.5
    below = np.zeros(len(used))
    for kind, end in (("feature map", maps), ("weight", used - tiles), ("tiles", used)):
        top = end / factor
        axes.stairs(
            top,
            edges,
            baseline=below,
            fill=True,
            color=canvas.KINDS[kind],
            linewidth=0,
            gid=f"use {kind}",
        )
        below = top
    limit = {"color": "black", "linestyle": "--", "linewidth": 1}
    axes.axhline(sram_bytes / factor, **limit, gid="capacity in use")
    axes.set_ylim(0, 1.1 * max(sram_bytes, int(used.max())) / factor)
    axes.set_ylabel(f"in use [{unit}]")
