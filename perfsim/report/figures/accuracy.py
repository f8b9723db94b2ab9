"""Predicted against measured times: a point for each row, the line on which both are equal, and the interval."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from perfsim.confidence import LEVEL
from perfsim.report.figures import canvas
from perfsim.report.figures.labels import label_points

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfsim.accuracy import Validation

LEAST_RANGE = 10.0  # the last number of an axis over its first, at least
MARGIN = 1.5  # from the outermost points to the ends of the axes, as a factor
NEAR = 0.1  # the relative error up to which the band of a picture of several machines reaches
RADIUS_PT = 3.0

_KINDS: dict[bool | None, tuple[str, str, dict[str, Any]]] = {  # of `Validation.within_interval`
    True: (
        "rows inside",
        f"inside of its {LEVEL:.0%} interval",
        {"marker": "o", "facecolor": canvas.PARTS["matrix"], "edgecolor": "white"},
    ),
    False: (
        "rows outside",
        f"outside of its {LEVEL:.0%} interval",
        {"marker": "D", "facecolor": canvas.PARTS["ddr"], "edgecolor": "white"},
    ),
    None: (
        "rows without",
        "without an interval",
        {"marker": "o", "facecolor": "white", "edgecolor": canvas.DARK},
    ),
}
_FILLED = ("#0072B2", "#D55E00", "#009E73", "#E69F00", "#CC79A7", "#56B4E9")  # calibrated machines
_SHAPES = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p", "h")


def row_names(validation: Validation) -> list[str]:
    """What each row is of, in a few words: the network with its settings, and the layer."""
    return [
        " ".join(filter(None, (row.cells["network"], row.cells["set"], name)))
        for row, name in zip(validation.measurements, validation.names, strict=True)
    ]


def draw_accuracy(validation: Validation, title: str, facts: str) -> Any:
    """The figure of one machine: its rows, named where there is room, the largest errors first.

    The band is where a prediction's interval holds the measured time; there is none without a calibration.
    """
    measured_ms, predicted_ms = _times([validation])
    figure, axes, ends = _axes(measured_ms, predicted_ms, title, facts)
    handles = [canvas.stroke("predicted = measured", color=canvas.GREY)]
    spread = validation.spread
    if spread is not None:
        text = f"{LEVEL:.0%} interval: {spread.low - 1:+.0%} to {spread.high - 1:+.0%} of the prediction"
        handles.append(_band(axes, ends, 1 / spread.high, 1 / spread.low, text))
    for within, (group, text, look) in _KINDS.items():
        of = [row for row, each in enumerate(validation.within_interval) if each is within]
        if of:
            handles.append(_points(axes, measured_ms[of], predicted_ms[of], text, group, look))
    canvas.legend_below(figure, handles, columns=2)
    canvas.settle(figure)
    label_points(
        axes,
        np.column_stack([measured_ms, predicted_ms]),
        np.full(len(measured_ms), RADIUS_PT),
        [canvas.shortened_name(name, 40) for name in row_names(validation)],
        np.argsort(-np.abs(validation.errors), kind="stable").tolist(),
        [np.column_stack([ends, ends])],
    )
    return figure


def draw_accuracies(validations: Sequence[Validation], title: str, facts: str) -> Any:
    """The figure of several machines: calibrated ones as filled marks, the others as hollow ones."""
    measured_ms, predicted_ms = _times(validations)
    figure, axes, ends = _axes(measured_ms, predicted_ms, title, facts)
    handles = [
        canvas.stroke("predicted = measured", color=canvas.GREY),
        _band(axes, ends, 1 - NEAR, 1 + NEAR, f"within {NEAR:.0%}"),
    ]
    filled = hollow = 0
    for validation in validations:
        name = validation.machine.name
        if validation.machine.extras.calibration is not None:
            color, shape = _FILLED[filled % len(_FILLED)], _SHAPES[filled % len(_SHAPES)]
            look = {"marker": shape, "facecolor": color, "edgecolor": "white"}
            filled += 1
        else:
            shape = _SHAPES[hollow % len(_SHAPES)]
            look = {"marker": shape, "facecolor": "none", "edgecolor": canvas.GREY}
            hollow += 1
        handles.append(_points(axes, *_times([validation]), name, f"rows of {name}", look))
    canvas.legend_below(figure, handles, columns=4)
    return figure


def _times(validations: Sequence[Validation]) -> tuple[Any, Any]:
    """Measured and predicted times of all rows [ms], arrays of shape (rows,)."""
    rows = [row for validation in validations for row in validation.measurements]
    predicted = [each for validation in validations for each in validation.predicted_ms]
    return np.array([row.measured_ms for row in rows]), np.array(predicted)


def _axes(
    measured_ms: Any, predicted_ms: Any, title: str, facts: str
) -> tuple[Any, Any, tuple[float, float]]:
    """A figure, its axes with the line of equal times, and the ends that both axes have [ms]."""
    least = float(min(measured_ms.min(), predicted_ms.min()))
    most = float(max(measured_ms.max(), predicted_ms.max()))
    margin = max(MARGIN, math.sqrt(LEAST_RANGE * least / most))
    ends = (least / margin, most * margin)
    figure = canvas.new_figure(6.4, 5.6)
    axes = figure.add_subplot(xscale="log", yscale="log", xlim=ends, ylim=ends)
    canvas.headed(figure, axes, title, facts)
    axes.plot(ends, ends, color=canvas.GREY, linewidth=0.9, zorder=2, gid="equal times")
    axes.grid(True, which="major")
    axes.set_xlabel("measured [ms]")
    axes.set_ylabel("predicted [ms]")
    canvas.plain_ticks(axes)
    return figure, axes, ends


def _band(axes: Any, ends: tuple[float, float], low: float, high: float, text: str) -> Any:
    """The band of predictions between `low` and `high` times what was measured; returns its entry of the legend."""
    look = {"color": canvas.PALE, "alpha": 0.6, "linewidth": 0}
    below, above = ([factor * end for end in ends] for factor in (low, high))
    axes.fill_between(ends, below, above, zorder=1, gid="interval band", **look)
    return canvas.swatch(text, **look)


def _points(
    axes: Any, measured_ms: Any, predicted_ms: Any, text: str, gid: str, look: dict[str, Any]
) -> Any:
    """The marks of some rows; returns their entry of the legend."""
    axes.scatter(
        measured_ms, predicted_ms, s=(2 * RADIUS_PT) ** 2, linewidth=0.7, zorder=3, gid=gid, **look
    )
    return canvas.stroke(
        text,
        marker=look["marker"],
        linestyle="",
        markersize=2 * RADIUS_PT,
        markerfacecolor=look["facecolor"],
        markeredgecolor=look["edgecolor"],
    )
