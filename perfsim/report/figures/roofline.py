"""The roofline: what each layer reaches against what the machine could, over its arithmetic per byte of DDR traffic.

Source: Williams, Waterman, Patterson, CACM 52(4), 2009; one ceiling for each unit, and for each rate that it ran at.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from perfsim.report.figures import canvas
from perfsim.report.figures.labels import label_points
from perfsim.report.machine import matrix_rates
from perfsim.report.text import amount, duration
from perfsim.timing.array import FLOP_PER_MAC
from perfsim.timing.values import by_width
from perfsim.timing.work import layer_work

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfsim.result import Result

STROKES = ("-", "-.", ":")  # of the matrix unit's ceilings, one a rate
NAMED = 8  # places that are named, those of the layers that take longest
LEAST_AREA, MOST_AREA = 8.0, 260.0  # of a mark [square points]


@dataclass(frozen=True)
class Roof:
    """A ceiling: the peak of a unit at the width of the operands that some layers ran at.

    Attributes:
        unit: "matrix" or "vector".
        label: the unit and, where its rate depends on it, the width: ``matrix, 8 bit``.
        flops: the rate [FLOPS, or vector operations per second].
    """

    unit: str
    label: str
    flops: float


def roofs(result: Result) -> tuple[Roof, ...]:
    """The ceilings of a run, those of the matrix unit first: one for each width that ran (the native one for none)."""
    machine = result.machine
    vector = Roof("vector", "vector", float(machine.vector_flops))
    rates = matrix_rates(machine)
    if not rates:
        return (Roof("matrix", "matrix", float(machine.matrix_flops)), vector)
    work = layer_work(result.program)
    widths = {width: width for width in rates}
    taken = by_width(widths, work, slice(None), machine, "matrix") * np.ones(len(work.macs))
    ran = sorted({int(width) for width in taken[work.macs > 0]}) or [next(iter(rates))]
    return (*(Roof("matrix", f"matrix, {width} bit", rates[width]) for width in ran), vector)


@dataclass(frozen=True, eq=False)
class Points:
    """The layers in the roofline: arrays of shape (points,).

    Attributes:
        layer: positions of the layers.
        flop_per_byte: arithmetic per byte of DDR traffic; infinite for a layer that moves nothing.
        flops: FLOP and vector operations per second of the layer's time.
        layer_s: time [s].
        bound: what limits each.
        without: how many layers are left out since they compute nothing or take no time.
    """

    layer: Any
    flop_per_byte: Any
    flops: Any
    layer_s: Any
    bound: list[str]
    without: int


def roofline_points(result: Result) -> Points:
    """Where each layer lies: FLOP = 2 * macs + vector_ops, over DDR bytes and over `layer_s`."""
    columns = result.columns
    macs, vector_ops = (np.array(columns[name], dtype=float) for name in ("macs", "vector_ops"))
    flop = FLOP_PER_MAC * macs + vector_ops
    moved, layer_s = (np.array(columns[name], dtype=float) for name in ("ddr_bytes", "layer_s"))
    kept = np.flatnonzero((flop > 0) & (layer_s > 0))
    intensity = np.full(len(flop), np.inf)
    np.divide(flop, moved, out=intensity, where=moved > 0)
    return Points(
        layer=kept,
        flop_per_byte=intensity[kept],
        flops=flop[kept] / layer_s[kept],
        layer_s=layer_s[kept],
        bound=[columns["bound"][position] for position in kept.tolist()],
        without=len(flop) - len(kept),
    )


def draw_roofline(result: Result, title: str, facts: str) -> Any:
    """The figure: machine's ceilings, layers as marks whose area is their time, colour and shape what bounds them."""
    machine, points = result.machine, roofline_points(result)
    figure = canvas.new_figure(6.4, 4.6)
    axes = figure.add_subplot(xscale="log", yscale="log")
    canvas.headed(figure, axes, title, facts)
    levels = roofs(result)
    peaks = [roof.flops for roof in levels]
    bytes_per_s = float(machine.ddr_bytes_per_s)
    ridge = max(peaks) / bytes_per_s
    moving = np.isfinite(points.flop_per_byte)
    met = [*points.flop_per_byte[moving].tolist(), ridge]
    first, last = min(met) / 3, max(met) * 3
    x = np.where(moving, points.flop_per_byte, last * 2)
    end = last if moving.all() else last * 4
    along = np.geomspace(first, end, 200)
    ceilings = [np.column_stack([along, np.minimum(along * bytes_per_s, peak)]) for peak in peaks]
    for number, (roof, line) in enumerate(zip(levels, ceilings, strict=True)):
        axes.plot(*line.T, **_stroke(roof, number), gid=f"ceiling {roof.label}")
    axes.set_xlim(first, end)
    lowest = min([*points.flops.tolist(), first * bytes_per_s, *peaks])
    # fewer multiplications than those of the direct convolution (Winograd) may lead above the roof
    axes.set_ylim(lowest / 2, max([*points.flops.tolist(), *peaks]) * 2)
    axes.grid(True)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(canvas.power_of_ten)
    if not moving.all():
        _on_chip_band(axes, last, end)
    axes.set_xlabel("arithmetic per byte of DDR traffic [FLOP/byte]")
    axes.set_ylabel("arithmetic per second [FLOP/s]")
    areas = LEAST_AREA + (MOST_AREA - LEAST_AREA) * points.layer_s / points.layer_s.max(
        initial=1e-30
    )
    by_time = np.argsort(-points.layer_s, kind="stable").tolist()
    for bound in dict.fromkeys(points.bound):
        of = np.array([at for at in by_time if points.bound[at] == bound])  # small ones on top
        axes.scatter(
            x[of],
            points.flops[of],
            s=areas[of],
            **_look(bound),
            gid=f"layers bound by {bound}",
            zorder=3,
        )
    names = [result.program.layers[position].name for position in points.layer.tolist()]
    places = np.column_stack([x, points.flops])
    canvas.legend_below(figure, _legend(machine, levels, points), columns=3, title=_area(points))
    canvas.settle(figure)
    label_points(axes, places, np.sqrt(areas / np.pi), names, by_time, ceilings, NAMED)
    return figure


def _look(bound: str) -> dict[str, Any]:
    return {
        "marker": canvas.MARKERS[bound],
        "facecolor": canvas.PARTS[bound],
        "edgecolor": "white",
        "linewidth": 0.5,
        "alpha": 0.8,
    }


def _on_chip_band(axes: Any, last: float, end: float) -> None:
    """The strip at the right for layers that move nothing over DDR, whose place on the axis is infinity."""
    axes.axvspan(last, end, color=canvas.PALE, alpha=0.5, linewidth=0)
    powers = range(int(np.ceil(np.log10(axes.get_xlim()[0]))), int(np.floor(np.log10(last))) + 1)
    axes.set_xticks([*(10.0**power for power in powers), last * 2])
    axes.set_xticklabels(
        [*(canvas.power_of_ten(10.0**power) for power in powers), "no DDR\ntraffic"]
    )
    axes.minorticks_off()


def _stroke(roof: Roof, number: int) -> dict[str, Any]:
    """How the ceiling is drawn that is number `number` of all."""
    style = STROKES[number % len(STROKES)] if roof.unit == "matrix" else "--"
    return {"color": canvas.PARTS[roof.unit], "linestyle": style, "linewidth": 1.3}


def _legend(machine: Any, levels: Sequence[Roof], points: Points) -> list[Any]:
    handles = []
    for number, roof in enumerate(levels):
        slope = "" if number else f"DDR {amount(machine.ddr_bytes_per_s, 'B/s')}, "
        text = f"{slope}then {roof.label} {amount(roof.flops, 'FLOPS')}"
        handles.append(canvas.stroke(text, **_stroke(roof, number)))
    for bound in [each for each in canvas.PARTS if each in points.bound]:
        look = _look(bound)
        handles.append(
            canvas.stroke(
                f"bound by {bound}",
                marker=look["marker"],
                color=look["facecolor"],
                linestyle="",
                markersize=6,
            )
        )
    return handles


def _area(points: Points) -> str:
    """What the size of a mark says, and how many layers have none."""
    longest = points.layer_s.max(initial=0.0)
    text = f"area: time of the layer, at most {duration(float(longest)).replace(' u', ' µ')}"
    if points.without:
        text += f"; without arithmetic, not shown: {points.without}"
    return text
