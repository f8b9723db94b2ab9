"""What a notebook shows of a result: totals, a chart by blocks, the layers. HTML without scripts."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from perfsim.report.page_blocks import blocks_of
from perfsim.report.text import amount, count, duration

LAYERS_SHOWN = 200

# The colours of page_files/page.css that can be seen on white and on black.
_COLOURS = ("#2f6fd6", "#d9730d", "#1d8a4f", "#8a4fc9", "#c13584", "#0e8a9a", "#8a6d1d", "#6b7280")
_CELL = "text-align:left;padding:0 .6em;white-space:nowrap"
_SHOWN = (
    ("#", "layer", str),
    ("layer", "name", None),
    ("op", "op", str),
    ("MACs", "macs", lambda value: f"{value:,}"),
    ("DDR", "ddr_bytes", lambda value: amount(value, "B")),
    ("time", "layer_s", duration),
    ("bound", "bound", str),
)


def result_html(
    title: str,
    unpriced: str,
    totals: dict[str, Any],
    columns: dict[str, list[Any]],
    parts: Sequence[tuple[str, str]],
) -> str:
    """A run as HTML.

    unpriced: as of `Program`, said first. totals, columns: as of `Result`. parts: (part, column) of what the chart
    stacks.
    """
    facts = (
        f"{duration(totals['total_s'])} per inference, mostly bound by {totals['bound']}; "
        f"{count(totals['macs'], 'MACs')}, {amount(totals['ddr_bytes'], 'B')} over DDR, at most "
        f"{amount(totals['peak_sram_bytes'], 'B')} of SRAM in use"
    )
    warning = f"<p>{escape(unpriced)}</p>" if unpriced else ""
    return (
        f'<div style="max-width:60em">{warning}<p><b><bdi>{escape(title)}</bdi></b><br>{facts}</p>'
        f"{_chart(columns, parts)}{_table(columns)}</div>"
    )


def _chart(columns: dict[str, list[Any]], parts: Sequence[tuple[str, str]]) -> str:
    """A bar for each block: how long each part is busy with its layers."""
    blocks = blocks_of(columns["name"])
    busy = [[sum(columns[name][block.first : block.end]) for _, name in parts] for block in blocks]
    longest = max(map(sum, busy), default=0.0)
    legend = " ".join(
        f'<span style="color:{_colour(at)}">■</span> {part}' for at, (part, _) in enumerate(parts)
    )
    rows = []
    for block, seconds in zip(blocks, busy, strict=True):
        bar = "".join(
            f'<span style="background:{_colour(at)};width:{100 * each / longest:.2f}%"></span>'
            for at, each in enumerate(seconds)
            if each
        )
        taken = duration(sum(columns["layer_s"][block.first : block.end]))
        rows.append(
            f'<tr><td style="{_CELL}"><bdi>{escape(block.name)}</bdi></td>'
            f'<td style="{_CELL};text-align:right">{taken}</td>'
            f'<td style="width:24em"><div style="display:flex;height:.8em">{bar}</div></td></tr>'
        )
    return (
        f"<p>busy, by block: {legend}</p><table><thead><tr>"
        f'<th style="{_CELL}">block</th><th style="{_CELL};text-align:right">time</th><th></th></tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table>"
    )


def _table(columns: dict[str, list[Any]]) -> str:
    layers = len(columns["name"])
    heads = "".join(f'<th style="{_CELL}">{head}</th>' for head, _, _ in _SHOWN)
    rows = []
    for position in range(min(layers, LAYERS_SHOWN)):
        cells = []
        for _, name, text in _SHOWN:
            value = columns[name][position]
            shown = f"<bdi>{escape(value)}</bdi>" if text is None else escape(text(value))
            cells.append(f'<td style="{_CELL}">{shown}</td>')
        rows.append(f"<tr>{''.join(cells)}</tr>")
    more = layers - len(rows)
    note = f"<p>and {more:,} more; all are in .table</p>" if more else ""
    return (
        f"<details><summary>{layers:,} layer{'s'[: layers != 1]}</summary><table><thead><tr>{heads}</tr></thead>"
        f"<tbody>{''.join(rows)}</tbody></table>{note}</details>"
    )


def _colour(index: int) -> str:
    return _COLOURS[index % len(_COLOURS)]
