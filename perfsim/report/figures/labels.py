"""Labels where there is room for them: none lies over another, over a mark, or outside its axes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from perfsim.report.figures.canvas import DARK, plain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfsim.report.figures.canvas import Numbers

GAP = 4.0  # between a mark and its label [points]
_DIRECTIONS = ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, 1), (1, -1), (-1, -1))
_REACHES = (1, 2.5, 5)


def label_points(
    axes: Any,
    points: Numbers,
    radii_pt: Numbers,
    names: Sequence[str],
    wanted: Sequence[int],
    lines: Sequence[Numbers] = (),
) -> None:
    """Write the names of the points `wanted`, the first ones first, each beside its point if there is room.

    points: shape (points, 2) in data coordinates. radii_pt: of the marks [points], shape (points,).
    lines: curves that no label may lie on, each of shape (any, 2) in data coordinates.
    """
    figure = axes.figure
    figure.draw_without_rendering()
    renderer = figure.canvas.get_renderer()
    pixels_per_pt = figure.dpi / 72
    marks = axes.transData.transform(np.asarray(points))
    radii = np.asarray(radii_pt) * pixels_per_pt
    blocked = np.column_stack([marks - radii[:, None], marks + radii[:, None]])
    curves = [_dense(axes.transData.transform(np.asarray(line))) for line in lines]
    on_lines = np.concatenate(curves) if curves else np.empty((0, 2))
    blocked = np.concatenate([blocked, np.column_stack([on_lines - 1, on_lines + 1])])
    inside = axes.get_window_extent(renderer)
    for index in wanted:
        text = axes.annotate(
            plain(names[index]), (0, 0), xycoords="figure pixels", fontsize=7, color=DARK
        )
        size = text.get_window_extent(renderer)
        width, height = size.width, size.height
        box = _free_box(marks[index], radii[index], (width, height), blocked, inside, pixels_per_pt)
        text.remove()
        if box is None:
            continue
        blocked = np.concatenate([blocked, box[None]])
        center = ((box[:2] + box[2:]) / 2 - marks[index]) / pixels_per_pt
        axes.annotate(
            plain(names[index]),
            np.asarray(points)[index],
            xytext=center,
            textcoords="offset points",
            **{"ha": "center", "va": "center", "fontsize": 7, "color": DARK},
            arrowprops={
                "arrowstyle": "-",
                "linewidth": 0.4,
                "color": DARK,
                "shrinkA": 0,
                "shrinkB": 0,
            },
        )


def _free_box(
    mark: Any, radius: float, size: tuple[float, float], blocked: Any, inside: Any, scale: float
) -> Any:
    """The first box (left, bottom, right, top) [pixels] beside a mark that meets nothing; None where none is free."""
    half = np.array(size) / 2
    for reach in _REACHES:
        for direction in _DIRECTIONS:
            away = radius / np.hypot(*direction) + GAP * scale * reach
            center = mark + np.array(direction) * (half + away)
            box = np.concatenate([center - half, center + half])
            if box[0] < inside.x0 or box[1] < inside.y0 or box[2] > inside.x1 or box[3] > inside.y1:
                continue
            meets = (
                (blocked[:, 0] < box[2])
                & (blocked[:, 2] > box[0])
                & (blocked[:, 1] < box[3])
                & (blocked[:, 3] > box[1])
            )
            if not meets.any():
                return box
    return None


def _dense(line: Any) -> Any:
    """A curve of straight pieces as points at most about four pixels apart."""
    pieces = []
    for start, end in zip(line[:-1], line[1:], strict=True):
        steps = max(int(np.hypot(*(end - start)) / 4), 1)
        pieces.append(np.linspace(start, end, steps + 1))
    return np.concatenate(pieces)


def label_rectangles(axes: Any, boxes: Numbers, names: Sequence[str], color: str = DARK) -> None:
    """Write names into the rectangles in which they fit.

    boxes: left, bottom, right, top in data coordinates, shape (boxes, 4); rectangles that do not overlap.
    """
    figure = axes.figure
    figure.draw_without_rendering()
    renderer = figure.canvas.get_renderer()
    corners = np.asarray(boxes, dtype=float).reshape(-1, 2, 2)
    pixels = axes.transData.transform(corners.reshape(-1, 2)).reshape(-1, 2, 2)
    room = pixels[:, 1] - pixels[:, 0]
    for index, name in enumerate(names):
        if room[index, 0] < 12 or room[index, 1] < 8:  # too small for any name
            continue
        text = axes.text(
            *corners[index].mean(axis=0),
            plain(name),
            **{"ha": "center", "va": "center", "fontsize": 6, "color": color, "clip_on": True},
        )
        size = text.get_window_extent(renderer)
        if size.width + 4 > room[index, 0] or size.height + 2 > room[index, 1]:
            text.remove()
