"""Labels where there is room for them: none lies over another, over a mark, or outside its axes."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from perfsim.report.figures.canvas import DARK, plain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfsim.report.figures.canvas import Numbers

GAP = 4.0  # between a mark and its label [points]
PADDING = 5  # around the name in a rectangle [pixels]
SAME = 1.5  # points nearer to each other lie upon each other [points]
_LOOK: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": 7, "color": DARK}
_DIRECTIONS = ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, 1), (1, -1), (-1, -1))
_REACHES = (1, 2.5, 5)


def label_points(
    axes: Any,
    points: Numbers,
    radii_pt: Numbers,
    names: Sequence[str],
    wanted: Sequence[int],
    lines: Sequence[Numbers] = (),
    most: int = 40,
) -> None:
    """Write the names of at most so many of the points `wanted`, the first ones first, each where there is room.

    The figure is settled. Points upon each other have one label: the first one's name, and how many more there are.

    points: shape (points, 2) in data coordinates. radii_pt: of the marks [points], shape (points,).
    lines: curves that no label may lie on, each of shape (any, 2) in data coordinates.
    """
    pixels_per_pt = axes.figure.dpi / 72
    marks = axes.transData.transform(np.asarray(points))
    radii = np.asarray(radii_pt) * pixels_per_pt
    blocked = np.column_stack([marks - radii[:, None], marks + radii[:, None]])
    curves = [_dense(axes.transData.transform(np.asarray(line))) for line in lines]
    on_lines = np.concatenate(curves) if curves else np.empty((0, 2))
    blocked = np.concatenate([blocked, np.column_stack([on_lines - 1, on_lines + 1])])
    inside = axes.get_window_extent()
    labels = np.empty((0, 4))
    named = np.zeros(len(marks), dtype=bool)
    left = most
    for index in wanted:
        if named[index] or not left:
            continue
        left -= 1
        same = np.hypot(*(marks - marks[index]).T) < SAME * pixels_per_pt
        named |= same
        name = plain(names[index]) + (f" (+{same.sum() - 1})" if same.sum() > 1 else "")
        size = _text_size(axes, name, _LOOK["fontsize"])
        box = _free_box(marks[index], radii[index], size, blocked, labels, inside, pixels_per_pt)
        if box is None:
            continue
        center = (box[:2] + box[2:]) / 2
        # where the leader ends: at the label's side that faces the mark
        end = np.clip(marks[index], box[:2], box[2:])
        leader = _dense(np.array([marks[index], end]))
        blocked = np.concatenate([blocked, box[None], np.column_stack([leader, leader])])
        labels = np.concatenate([labels, box[None]])
        place = np.asarray(points)[index]
        beside = {"xycoords": "data", "textcoords": "offset points"}
        axes.annotate(
            name,
            place,
            xytext=(center - marks[index]) / pixels_per_pt,
            **beside,
            **_LOOK,
            gid=f"label {index}",
        )
        if np.hypot(*(end - marks[index])) > radii[index] + 2 * GAP * pixels_per_pt:
            line = {"arrowstyle": "-", "linewidth": 0.4, "color": DARK, "shrinkA": 0, "shrinkB": 0}
            axes.annotate(
                "", place, xytext=(end - marks[index]) / pixels_per_pt, **beside, arrowprops=line
            )


def _text_size(axes: Any, text: str, size_pt: float) -> tuple[float, float]:
    """Width and height [pixels]."""
    drawn = axes.annotate(text, (0, 0), xycoords="figure pixels", **{**_LOOK, "fontsize": size_pt})
    box = drawn.get_window_extent()
    drawn.remove()
    return box.width, box.height


def _free_box(
    mark: Any,
    radius: float,
    size: tuple[float, float],
    blocked: Any,
    labels: Any,
    inside: Any,
    scale: float,
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
            if meets.any():
                continue
            leader = _dense(np.array([mark, np.clip(mark, box[:2], box[2:])]))
            if not any(
                ((leader > label[:2]) & (leader < label[2:])).all(axis=1).any() for label in labels
            ):
                return box
    return None


def _dense(line: Any) -> Any:
    """A curve of straight pieces as points at most about four pixels apart."""
    pieces = []
    for start, end in pairwise(line):
        steps = max(int(np.hypot(*(end - start)) / 4), 1)
        pieces.append(np.linspace(start, end, steps + 1))
    return np.concatenate(pieces)


def label_rectangles(axes: Any, boxes: Any, names: Sequence[str], size_pt: float = 6) -> None:
    """Write names into the rectangles in which they fit, along or upright.

    The figure is settled. boxes: left, bottom, right, top in data coordinates, shape (boxes, 4); they do not overlap.
    """
    corners = np.asarray(boxes, dtype=float).reshape(-1, 2, 2)
    pixels = axes.transData.transform(corners.reshape(-1, 2)).reshape(-1, 2, 2)
    room = pixels[:, 1] - pixels[:, 0] - PADDING
    sizes: dict[str, tuple[float, float]] = {}
    for index, name in enumerate(names):
        across, along = room[index]
        if min(across, along) < size_pt:  # too small for any name
            continue
        if name not in sizes:
            sizes[name] = _text_size(axes, plain(name), size_pt)
        width, height = sizes[name]
        lies, stands = (width <= across and height <= along), (height <= across and width <= along)
        if lies or stands:
            look = {**_LOOK, "fontsize": size_pt, "clip_on": True, "gid": f"label {index}"}
            rotation = 0 if lies else 90
            axes.text(*corners[index].mean(axis=0), plain(name), rotation=rotation, **look)
